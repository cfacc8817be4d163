"""How is one cell of a cover made, and where are the cells cut? Taylor coefficients at the centre, remainder over the
cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flint import arb, ctx

from approx.numbers import float_up

if TYPE_CHECKING:
    from approx.targets.target import Target

_GROW = 1 + 2.0**-40
_EXACT_BITS = 2200
_LEAST_DEGREE = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its ends, centre, half-width, coefficients and the remainders of f and f''."""

    left: float
    right: float
    centre: float
    halfwidth: float
    hi: list[float]
    lo: list[float]
    remainder: float
    second_remainder: float


class CellMaker:
    """Makes cells for one target: `attempt` gives the cell and how much too wide it is."""

    def __init__(self, target: Target, tolerance: float, degree: int) -> None:
        self.series = target.series
        self.tolerance, self.degree = tolerance, degree

    def attempt(self, left: float, right: float, anchor_right: bool) -> tuple[Cell, float]:
        """Return the cell and a factor: 1 when it meets the tolerance, otherwise the estimated number of parts
        needed."""
        centre = 0.5 * left + 0.5 * right
        halfwidth = _upward(right, centre, left)
        ball = _ball(left, right, anchor_right)
        spread = self.series(ball, self.degree + 1)
        powers = _powers(halfwidth, self.degree + 1)
        degree, remainder = self._choose(spread, powers, halfwidth)
        value_radius = _radius(spread[0])
        if value_radius <= self.tolerance and not remainder <= self.tolerance:
            return _constant_cell(left, right, centre, halfwidth, spread[0]), 1.0
        if remainder <= self.tolerance or remainder < value_radius:
            cell = self._smooth(left, right, centre, halfwidth, degree, spread, powers, remainder)
        else:
            cell = _constant_cell(left, right, centre, halfwidth, spread[0])
        if remainder <= self.tolerance:
            return cell, 1.0
        if not math.isfinite(remainder):
            return cell, 2.0
        return cell, max(1.5, (remainder / self.tolerance) ** (1.0 / (self.degree + 1)))

    def _choose(self, spread: list[arb], powers: list[float], halfwidth: float) -> tuple[int, float]:
        """The least degree whose remainder meets the tolerance, or the highest, and its remainder."""
        remainder, n = math.inf, self.degree
        for n in range(self.degree + 1):
            coefficient = spread[n + 1]
            if not coefficient.is_finite():
                return n, math.inf
            if n >= _LEAST_DEGREE or coefficient.is_zero():
                remainder = _term(coefficient, powers[n + 1], halfwidth, n + 1)
                if remainder <= self.tolerance:
                    break
        return n, remainder

    def _smooth(
        self,
        left: float,
        right: float,
        centre: float,
        halfwidth: float,
        degree: int,
        spread: list[arb],
        powers: list[float],
        remainder: float,
    ) -> Cell:
        hi, lo, lost, second_lost = [], [], 0.0, 0.0
        for k, coefficient in enumerate(self.series(arb(centre), degree)):
            middle = float(coefficient)
            rest = coefficient - middle
            tail = float(rest)
            error = float_up((rest - tail).abs_upper())
            hi.append(middle)
            lo.append(tail)
            if error:
                lost += error * powers[k]
                second_lost += k * (k - 1) * error * powers[k - 2] if k >= 2 else 0.0
        if not (math.isfinite(lost) and all(map(math.isfinite, hi))):
            return Cell(left, right, centre, halfwidth, [0.0], [0.0], math.inf, math.inf)
        total = (remainder + lost) * _GROW + (1e-300 if lost else 0.0)
        second = 0.0
        if degree >= 1:
            second = degree * (degree + 1) * _term(spread[degree + 1], powers[degree - 1], halfwidth, degree - 1)
        second = (second + second_lost) * _GROW + (1e-300 if second_lost else 0.0)
        return Cell(left, right, centre, halfwidth, hi, lo, total, second)


def _upward(right: float, centre: float, left: float) -> float:
    """A float64 that is at least the distance of the centre to both ends (exactly so when the subtraction is
    exact)."""
    halfwidth = max(right - centre, centre - left)
    if centre + halfwidth == right and centre - halfwidth == left:
        exact = (right - centre) == halfwidth and (centre - left) == halfwidth
        if exact and _exact_difference(right, centre) and _exact_difference(centre, left):
            return halfwidth
    return math.nextafter(halfwidth, math.inf)


def _exact_difference(a: float, b: float) -> bool:
    s = a - b
    t = s - a
    return (a - (s - t)) - (b + t) == 0.0


def _ball(left: float, right: float, anchor_right: bool) -> arb:
    """A ball that contains [left, right] and ends exactly at the anchored end; it may exceed the other by a part in
    2^28."""
    width = 0.5 * right - 0.5 * left
    fraction, exponent = math.frexp(width * (1 + 2.0**-50))
    radius = math.ldexp(math.ceil(fraction * 2.0**29), exponent - 29)
    before = ctx.prec
    ctx.prec = _EXACT_BITS
    try:
        middle = arb(right) - radius if anchor_right else arb(left) + radius
        return arb(middle, _exact_radius(radius))
    finally:
        ctx.prec = before


def _exact_radius(radius: float) -> tuple[int, int]:
    """A number that flint rounds up to exactly this radius of at most 30 bits (radii are always rounded up)."""
    numerator, denominator = radius.as_integer_ratio()
    exponent = 1 - denominator.bit_length()
    shift = (numerator & -numerator).bit_length() - 1
    mantissa, exponent = numerator >> shift, exponent + shift
    if mantissa == 1:
        return 1, exponent
    lift = 30 - mantissa.bit_length()
    return ((mantissa << lift) << 1) - 1, exponent - lift - 1


def _powers(halfwidth: float, order: int) -> list[float]:
    powers = [1.0]
    for _ in range(order):
        powers.append(powers[-1] * halfwidth)
    return powers


def _term(coefficient: arb, power: float, halfwidth: float, exponent: int) -> float:
    """An upper bound of |coefficient| * halfwidth^exponent; through balls where the power underflows."""
    if coefficient.is_zero():
        return 0.0
    size = float_up(coefficient.abs_upper())
    if 1e-290 < power < 1e290 and size < 1e10:
        return size * power * _GROW + 1e-300
    bound = arb(1)
    for _ in range(exponent):
        bound = bound * arb(halfwidth)
    return float_up((coefficient * bound).abs_upper())


def _radius(value: arb) -> float:
    return float_up(value.rad()) if value.is_finite() else math.inf


def _constant_cell(left: float, right: float, centre: float, halfwidth: float, value: arb) -> Cell:
    """The cell on which only the value is enclosed."""
    middle = float(value) if value.is_finite() else 0.0
    remainder = float_up((value - middle).abs_upper()) if value.is_finite() else math.inf
    return Cell(left, right, centre, halfwidth, [middle], [0.0], remainder, math.inf)


def graded_cells(maker: CellMaker, edges: list[float], most: int) -> Iterator[Cell]:
    """Yield the cells from left to right; intervals are cut until they meet the tolerance or cannot be cut."""
    special = set(edges)
    pending = list(zip(edges[-2::-1], edges[:0:-1], strict=True))
    made = 0
    while pending:
        left, right = pending.pop()
        cell, factor = maker.attempt(left, right, right in special and left not in special)
        parts = _parts(left, right, factor) if made + len(pending) < most else []
        if not parts:
            made += 1
            yield cell
            continue
        pending.extend(parts[::-1])


def _parts(left: float, right: float, factor: float) -> list[tuple[float, float]]:
    """The interval cut into 2, 4 or 8 equal parts; empty when it is fine as it is or no float64 number lies inside."""
    if factor <= 1:
        return []
    middle = 0.5 * left + 0.5 * right
    if not left < middle < right:
        return []
    count = 2 if factor < 3 else 4 if factor < 6 else 8
    nodes = [left]
    for i in range(1, count):
        node = left + (right - left) * (i / count)
        if nodes[-1] < node < right:
            nodes.append(node)
    nodes.append(right)
    return list(pairwise(nodes))
