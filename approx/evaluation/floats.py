"""What are the float64 values of a network at many points, and which backend computes them?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from approx.errors import InputError
from approx.evaluation.fitness import refuse_unfit
from approx.evaluation.fused import run_fused, worthwhile
from approx.evaluation.layered import run_layered
from approx.evaluation.shapes import as_points, shape_values

if TYPE_CHECKING:
    from approx.networks import Network

BACKENDS = ("auto", "numpy", "fused")


def evaluate(network: Network, x: Any, backend: str = "auto") -> Any:
    """Return the float64 values of the network at x.

    Shapes: with one input a scalar gives a scalar (or (k,)), (n,) and (n, 1) give (n,) or (n, k); with d inputs (n, d)
    gives (n,) for one output and (n, k) for k outputs. NaN inputs give NaN, empty inputs empty outputs.

    Rounding rule (the promise): every weight that is not a float64 number is rounded to the nearest one; every unit
    starts from its bias and adds weight * source from left to right (sources by layer, within a layer as stored); every
    product and every sum is rounded separately to nearest (no fused multiply-add); then the activation is applied. Both
    backends follow it and give the same bits for piecewise-linear and floor activations. `rounding_slack` bounds the
    distance to the exact value.

    Cost: O(weights * n) time; memory O(live units * block), not O(units * n). Raises InputError on a wrong shape or
    backend, UnsupportedError / MissingExtraError when backend="fused" is asked for and cannot serve, and
    when weights do not fit into float64 (`approx.evaluation.evaluate_precisely` serves then).

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> tent = b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)])
    >>> evaluate(tent, [0.25, 0.75]).tolist()
    [0.5, 0.5]
    """
    if backend not in BACKENDS:
        raise InputError("backend", backend, "one of " + ", ".join(BACKENDS))
    network = network.native
    refuse_unfit(network)
    points, scalar = as_points(x, network.inputs)
    fused = backend == "fused" or (backend == "auto" and worthwhile(network, len(points)))
    return shape_values((run_fused if fused else run_layered)(network, points), scalar)
