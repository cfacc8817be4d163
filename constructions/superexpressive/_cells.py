"""Into which cells is a box cut, and which whole multiples of a quantum stand for the target there?"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from flint import fmpq

from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_fmpq
from approx.targets import Target
from approx.targets.enclosures import grid_enclosures
from approx.targets.variation import SHARP, variation_within
from constructions.superexpressive._bit_tables import simplest_between

#: Cells beyond which a builder refuses: each costs a ball of the target and several bits of memory.
MOST_CELLS = 20_000_000
#: Where a bound is inverted in float64, this relative margin absorbs the rounding; the result is proved again.
_MARGIN = 1e-9


class Cells(NamedTuple):
    """Cells k <= scale (x - lower) < k + 1 of every axis; `radii` are half their sides."""

    scale: tuple[fmpq, ...]
    counts: tuple[int, ...]
    radii: tuple[fmpq, ...]

    @property
    def total(self) -> int:
        """The number of cells."""
        return math.prod(self.counts)

    def middles(self, target: Target) -> list[list[fmpq]]:
        """The middles of the cells along every axis; the last cell may be cut off by the end of the domain."""
        result = []
        for (low, high), scale, count in zip(target.domain, self.scale, self.counts, strict=True):
            edges = [low + k / scale for k in range(count)] + [high]
            result.append([(a + b) / 2 for a, b in pairwise(edges)])
        return result


def cells_within(target: Target, budget: float) -> Cells:
    """Return the fewest Cells found on which f provably stays within `budget` of its value in the middle.

    Two shapes are compared: cubes from the modulus of continuity in the maximum norm, and boxes whose sides balance the bounds
    of the partial derivatives. Raises RegularityError when the target has neither, UnreachableError beyond 20 million cells.
    """
    choices = [c for c in (_cubes(target, budget), _boxes(target, budget)) if c is not None]
    if not choices:
        raise RegularityError(
            f"target {target.text}: the modulus of continuity is not finite, so no cell size is proved"
        )
    best = min(choices, key=lambda c: c.total)
    if best.total > MOST_CELLS:
        raise UnreachableError(
            f"eps: {best.total:,} cells would be needed, about {2 * best.total:,} bits; accepted: at most {MOST_CELLS:,} cells"
        )
    return best


def _cubes(target: Target, budget: float) -> Cells | None:
    try:
        alpha, constant = target.hoelder()
    except RegularityError:
        return None
    if math.isfinite(sharp := target.lipschitz(SHARP)):
        alpha, constant = 1.0, min(sharp, constant)
    widest = float_up(max(high - low for low, high in target.domain))
    radius = widest if constant == 0 else min(widest, (budget / constant) ** (1 / alpha) * (1 - _MARGIN))
    for _ in range(8):
        if variation_within(target, [to_fmpq(radius)] * target.dimension) <= budget:
            return _rounded(target, [to_fmpq(radius)] * target.dimension)
        radius *= 1 - 1e-6
    return None


def _boxes(target: Target, budget: float) -> Cells | None:
    d = target.dimension
    if d == 1:
        return None
    slopes = [target.derivative_bound(tuple(int(i == axis) for i in range(d))) for axis in range(d)]
    if not all(map(math.isfinite, slopes)):
        return None
    used = sum(s > 0 for s in slopes)
    widths = [high - low for low, high in target.domain]
    radii = [
        min(w, to_fmpq(budget * (1 - _MARGIN) / (used * s))) if s > 0 else w
        for s, w in zip(slopes, widths, strict=True)
    ]
    found = _rounded(target, radii)
    return found if variation_within(target, found.radii) <= budget else None


def _rounded(target: Target, radii: list[fmpq]) -> Cells:
    """Cells of at most these radii, with short scales and (in several variables) no cell that is only an end point."""
    scales, counts = [], []
    for (low, high), radius in zip(target.domain, radii, strict=True):
        least, width = 1 / (2 * radius), high - low
        count = int((least * width).floor()) + 1
        # floor(scale * width) = count - 1 needs scale < count / width: the shortest such number, a little inside.
        choices = [simplest_between(least, least + (count / width - least) * fmpq(15, 16))]
        if target.dimension == 1:
            choices.append(simplest_between(least, least * fmpq(33, 32)))
        scale = min(choices, key=lambda s: 2 * int((s * width).floor()) + 2 * s.height_bits())
        scales.append(scale)
        counts.append(int((scale * width).floor()) + 1)
    return Cells(tuple(scales), tuple(counts), tuple(1 / (2 * s) for s in scales))


class Digits(NamedTuple):
    """f is within `error` of quantum * (first + digits) at the given points, digits >= 0 with minimum 0."""

    digits: np.ndarray
    first: int
    error: float


def nearest_multiples(target: Target, points: list[list[fmpq]], quantum: fmpq) -> Digits:
    """Return the nearest multiples of the quantum at the points of the product grid, with the error proved by balls.

    Raises RegularityError where the target is not shown to be finite.
    """
    middle, radius = grid_enclosures(target, points)
    return rounded_multiples(middle, radius, quantum, target)


def rounded_multiples(middle: np.ndarray, radius: np.ndarray, quantum: fmpq, target: Target) -> Digits:
    """Return the Digits for enclosures middle +- radius."""
    if not np.isfinite(radius).all():
        raise RegularityError(f"target {target.text}: not shown to be finite on the whole domain")
    step = int(quantum.p) / int(quantum.q)
    whole = np.floor(middle / step + 0.5)
    if np.abs(whole).max(initial=0.0) >= 2.0**50:
        raise UnreachableError("eps: values of more than 50 bits; accepted: an accuracy nearer to the size of f")
    size = np.abs(middle) + np.abs(whole * step)
    error = float((np.abs(middle - whole * step) + radius + 2.0**-50 * size).max())
    first = int(whole.min())
    return Digits(whole.astype(np.int64) - first, first, math.nextafter(error, math.inf))
