"""What is the exact rational value of a network at a rational point?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq

from approx.errors import InputError, UnsupportedError
from approx.evaluation.cache import cached
from approx.numbers import to_fmpq

if TYPE_CHECKING:
    from approx.networks import Network

#: 2^t is exact for integer t; beyond this size the number would not fit anywhere.
_LARGEST_POWER = 1_000_000


def evaluate_exact(network: Network, points: Iterable[Any]) -> list[Any]:
    """Return the exact values at the points: one fmpq per point, or a list of k fmpq for a network with k outputs.

    Points: numbers (or sequences of one number) when the network has one input, sequences of d numbers otherwise;
    floats are the dyadic rationals that they are. No rounding anywhere.

    Cost: O(weights) operations with rationals per point, whose lengths may grow linearly with the depth. Raises
    UnsupportedError when an activation or a weight is not rational (sin, tanh, closed forms ...), InputError on points
    that do not fit.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> evaluate_exact(b.build([b.relu(3 * b.input() - 1)]), [fmpq(1, 2), 0])
    [1/2, 0]
    """
    rows = cached(network, "exact", lambda: _compile(network))
    single = network.outputs == 1
    results: list[Any] = []
    for point in points:
        values = _run(rows, exact_point(point, network.inputs))
        out = values[len(values) - network.outputs :]
        results.append(out[0] if single else out)
    return results


def exact_point(point: Any, inputs: int) -> list[fmpq]:
    """Return the coordinates of one point as fmpq; raises InputError when their number is not `inputs`."""
    coordinates = list(point) if isinstance(point, (list, tuple, np.ndarray)) and np.ndim(point) else [point]
    if len(coordinates) != inputs:
        raise InputError("point", point, "a number" if inputs == 1 else f"a sequence of {inputs} numbers")
    return [to_fmpq(c) for c in coordinates]


_Row = tuple[Callable[[fmpq], fmpq], fmpq, Any, list[fmpq]]


def _compile(network: Network) -> list[_Row]:
    refused = sorted(network.activations - EXACT.keys())
    if refused:
        raise UnsupportedError(f"exact evaluation: the activations {', '.join(refused)} are not rational; use balls")
    if not all(isinstance(p, fmpq) for p in network.pool):
        raise UnsupportedError("exact evaluation: some weights are not rational; use balls")
    rows = []
    for activation, bias, terms in network.exact_rows():
        columns = [u for u, _ in terms]
        pick = itemgetter(*columns) if len(columns) > 1 else columns[0] if columns else None
        rows.append((EXACT[activation], bias, pick, [w for _, w in terms]))
    return rows


def _run(rows: list[_Row], values: list[fmpq]) -> list[fmpq]:
    for activation, bias, pick, weights in rows:
        if pick is None:
            total = bias
        elif isinstance(pick, int):
            total = bias + weights[0] * values[pick]
        else:
            total = bias
            for w, v in zip(weights, pick(values), strict=True):
                total = total + w * v
        values.append(activation(total))
    return values


def _exp2(t: fmpq) -> fmpq:
    if t.q != 1 or abs(t) > _LARGEST_POWER:
        raise UnsupportedError(f"exact evaluation: 2^t at t = {str(t)[:40]} is no rational of moderate size; use balls")
    return fmpq(2) ** int(t.p)


def _identity(t: fmpq) -> fmpq:
    return t


def _relu(t: fmpq) -> fmpq:
    return t if t > 0 else fmpq(0)


def _floor(t: fmpq) -> fmpq:
    return fmpq(t.floor())


#: The activations that map rationals to rationals.
EXACT: dict[str, Callable[[fmpq], fmpq]] = {
    "identity": _identity,
    "relu": _relu,
    "abs": abs,
    "floor": _floor,
    "exp2": _exp2,
}
