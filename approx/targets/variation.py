"""How far can a target move within a box around a point? By its modulus of continuity, or by bounds of its slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from flint import arb, fmpq

from approx.errors import ApproxError
from approx.numbers import absolute, float_up, to_fmpq

#: How near to its supremum a Lipschitz constant is wanted here: cells are counted with its d-th power.
SHARP = 0.01

if TYPE_CHECKING:
    from approx.targets.target import Target


def variation_within(target: Target, radii: Sequence[fmpq]) -> float:
    """A proved bound of |f(x) - f(c)| over all c and |x_i - c_i| <= r_i in the domain: by the modulus or by the slopes."""
    widest = float_up(max(radii))
    bound = float_up(to_fmpq(sharp) * max(radii)) if math.isfinite(sharp := target.lipschitz(SHARP)) else math.inf
    with suppress(ApproxError):
        bound = min(bound, target.modulus(widest))
    d = target.dimension
    if d == 1:
        return bound
    slopes = [target.derivative_bound(tuple(int(i == axis) for i in range(d))) for axis in range(d)]
    if not all(map(math.isfinite, slopes)):
        return bound
    return min(bound, float_up(sum((to_fmpq(s) * r for s, r in zip(slopes, radii, strict=True)), fmpq(0))))


def variation_on(target: Target, ends: tuple[tuple[fmpq, fmpq], ...]) -> float:
    """A proved bound of |f(x) - f(c)| over a box with middle c: the slopes on the box, or the modulus."""
    radii = [(b - a) / 2 for a, b in ends]
    slopes, norm = target.slopes_and_norm([arb(a).union(arb(b)) for a, b in ends])
    bound = math.inf
    if norm.is_finite() and all(s.is_finite() for s in slopes):
        total = sum((absolute(s) * arb(r) for s, r in zip(slopes, radii, strict=True)), arb(0))
        bound = min(float_up(total), float_up(norm * arb(max(radii))))
    with suppress(ApproxError):
        bound = min(bound, target.modulus(float_up(max(radii))))
    return bound
