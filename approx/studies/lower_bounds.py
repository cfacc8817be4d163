"""Which error can no network of a given size go below? Bounds by pieces (one f), selection, VC dimension and bits (classes).

Four of them hold for the WORST function of a smoothness class and the best weights of one architecture; a single, simpler
function of the class may be approximated better. `pieces` holds for the target itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from approx.errors import InputError
from approx.studies.curvature import CurvatureProfile
from approx.studies.smoothness import SmoothnessClass

if TYPE_CHECKING:
    from approx.networks import Network

#: The bounds in the order in which tables show them, with what they say.
LOWER_BOUNDS = {
    "pieces": "this f, any weights with these widths",
    "continuous": "class, weights selected continuously",
    "depth": "class, any selection, this depth",
    "any": "class, any selection, any depth",
    "bits": "class, this many bits of weights",
}


@dataclass(frozen=True)
class LowerBounds:
    """For one size of network: the errors that it cannot go below, by name as in LOWER_BOUNDS; NaN where one does not apply."""

    pieces: float
    continuous: float
    depth: float
    any: float
    bits: float

    def ratios(self, achieved: float) -> dict[str, float]:
        """achieved / bound by name; NaN where there is no positive bound."""
        values = {name: getattr(self, name) for name in LOWER_BOUNDS}
        return {name: achieved / v if v > 0 and math.isfinite(achieved) else math.nan for name, v in values.items()}


def lower_bounds(
    network: Network, smoothness: SmoothnessClass | None, curvature: CurvatureProfile | None = None
) -> LowerBounds:
    """Return the LowerBounds of the network's size; classes need a SmoothnessClass, `pieces` a profile of f in one variable.

    Each is proved, for networks of piecewise-linear activations with one kink (ReLU); for others only `bits` is given.
    `continuous`, `depth` and `any` speak of all networks of as many weights (and hidden layers) with fixed connections.
    """
    nan, size, selection = math.nan, network.size, (math.nan, math.nan, math.nan)
    relu = network.activations <= {"relu", "identity"}
    pieces = curvature.error_below(relu_pieces(network)) if relu and curvature is not None else nan
    if smoothness is None:
        return LowerBounds(pieces, *selection, nan)
    if relu:
        w = max(1, size.weights)
        deep, shallow = any_selection(smoothness, w, size.hidden_layers), any_selection(smoothness, w)
        selection = continuous_selection(smoothness, w), deep, shallow
    bits = smoothness.amplitude(size.bits + 1) if network.tags["rational"] else nan
    return LowerBounds(pieces, *selection, bits)


def continuous_selection(smoothness: SmoothnessClass, weights: int) -> float:
    """Return an error that W continuously selected weights cannot go below for the whole class: c W^(-r/d), proved.

    The Bernstein width: a ball of radius A of an (W+1)-dimensional space of bumps lies in the class, and Borsuk's
    antipodality theorem gives a g in its sphere whose weights equal those of -g. Source: DeVore, Howard and Micchelli (1989).

    >>> from approx.studies.smoothness import SmoothnessClass
    >>> from flint import fmpq
    >>> round(continuous_selection(SmoothnessClass(1, 1, (fmpq(1),)), 99), 12)
    0.005
    """
    return smoothness.amplitude(_positive("weights", weights) + 1)


def any_selection(smoothness: SmoothnessClass, weights: int, hidden_layers: int | None = None) -> float:
    """Return an error that ReLU networks of W weights cannot go below for the whole class, however the weights are selected.

    With A the amplitude of m bumps: networks within less than A of all 2^m sums +-A B_i realise all signs at the m maxima, so
    m <= VC dimension. Source: P16 Theorem 4; constants derived.
    """
    return smoothness.amplitude(vc_dimension_bound(weights, hidden_layers) + 1)


def vc_dimension_bound(weights: int, hidden_layers: int | None = None) -> int:
    """Return a number that the VC dimension of sgn of ReLU networks of W weights with fixed connections does not exceed.

    Without a depth 16 W (W + 1): such a network is computed by t <= 4 W + 2 operations, and Goldberg and Jerrum's bound is
    4 W (t + 2) (Anthony and Bartlett 1999, Theorem 8.4). With L hidden layers the smaller of that and the largest m with
    m <= (L+1) (1 + W log2(2 e m (L+1))): given the signs of the layers before, the m W inputs of a layer's units are
    polynomials of degree <= L+1 in W weights, which have at most 2 (2 e m W (L+1) / W)^W sign patterns (Warren), and 2^m
    patterns are needed (the argument of Bartlett, Harvey, Liaw and Mehrabian 2019). Units that no weight enters are constant.

    >>> vc_dimension_bound(100), vc_dimension_bound(100, 1) < vc_dimension_bound(100, 10) < 161600
    (161600, True)
    """
    w = _positive("weights", weights)
    general = 16 * w * (w + 1)
    if hidden_layers is None:
        return general
    if isinstance(hidden_layers, bool) or not isinstance(hidden_layers, int) or hidden_layers < 0:
        raise InputError("hidden_layers", hidden_layers, "an integer >= 0")
    stages = hidden_layers + 1

    def possible(m: int) -> bool:
        return m <= stages * (1 + w * math.log2(2 * math.e * m * stages)) * (1 + 1e-9)

    low, high = 1, 2
    while possible(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if possible(middle) else (low, middle)
    return min(general, low)


def relu_pieces(network: Network) -> int:
    """Return a number of linear pieces that no weights of this network's widths exceed on a line: prod (n_l + 1).

    n_l is the number of ReLUs at distance l from the input (skips admitted): on every piece of the layers before, each of
    them has at most one kink.
    """
    if not network.activations <= {"relu", "identity"}:
        raise InputError("network", sorted(network.activations), "a network of ReLUs")
    depth, counts = [0], dict[int, int]()
    for layer in network.layers[:-1]:
        depth.append(1 + max((depth[b.source] for b in layer.blocks), default=0))
        if layer.activation == "relu":
            counts[depth[-1]] = counts.get(depth[-1], 0) + layer.units
    return math.prod(n + 1 for n in counts.values())


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(name, value, "a positive integer")
    return value
