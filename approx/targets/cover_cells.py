"""How is a cell of a cover made, and where are cells cut? Coefficients at the centre, remainder over the cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flint import arb, ctx

from approx.numbers import arb_interval, float_up

if TYPE_CHECKING:
    from approx.targets.target import Target

_GROW = 1 + 2.0**-40
_EXACT_BITS = 2200
_LEAST_DEGREE = 3
_LARGEST = 2.0**900
_NARROW = 2.0**-20
_FINEST = 2.0**-1040


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: ends, centre, half-width, scale, coefficients of ((x - centre)/scale)^k, remainders of f and f''."""

    left: float
    right: float
    centre: float
    halfwidth: float
    scale: float
    hi: list[float]
    lo: list[float]
    remainder: float
    second_remainder: float


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cell lies: ends, centre, a bound of the distance to both ends, and a power of two >= it."""

    left: float
    right: float
    centre: float
    halfwidth: float
    scale: float

    @classmethod
    def between(cls, left: float, right: float) -> _Place:
        centre = 0.5 * left + 0.5 * right
        halfwidth = _upward(right, centre, left)
        mantissa, exponent = math.frexp(halfwidth)
        return cls(left, right, centre, halfwidth, math.ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent))

    def cell(self, hi: list[float], lo: list[float], remainder: float, second: float) -> Cell:
        return Cell(self.left, self.right, self.centre, self.halfwidth, self.scale, hi, lo, remainder, second)

    def constant(self, value: arb) -> Cell:
        """The cell on which only the value is enclosed."""
        middle = float(value) if value.is_finite() else math.nan
        if not math.isfinite(middle):
            return self.cell([0.0], [0.0], math.inf, math.inf)
        return self.cell([middle], [0.0], float_up((value - middle).abs_upper()), math.inf)


class CellMaker:
    """Makes cells for one target: `attempt` gives the cell and how much too wide it is."""

    def __init__(self, target: Target, width: float, tolerance: float, degree: int) -> None:
        self.series = target.series
        self.width, self.tolerance, self.degree = width, tolerance, degree

    def attempt(self, left: float, right: float, anchor_right: bool) -> tuple[Cell, float]:
        """Return the cell and a factor: 1 when it meets the tolerance, else the estimated number of parts needed."""
        place = _Place.between(left, right)
        spread = self.series(_ball(left, right, anchor_right), self.degree + 1, place.scale)
        powers = _powers(place.halfwidth / place.scale, self.degree + 1)
        goal = self.tolerance
        if spread[0].is_finite():  # double-double coefficients cannot represent more
            goal = max(goal, 2.0**-106 * float_up(spread[0].abs_upper()))
        degree, remainder = self._choose(spread, powers, goal)
        if remainder <= goal:
            return self._smooth(place, degree, spread, powers, remainder), 1.0
        value_radius = float_up(spread[0].rad()) if spread[0].is_finite() else math.inf
        if right - left <= _NARROW * self.width and value_radius <= self.tolerance:
            return place.constant(spread[0]), 1.0
        if remainder < value_radius:
            cell = self._smooth(place, degree, spread, powers, remainder)
        else:
            cell = place.constant(spread[0])
        if not math.isfinite(remainder):
            return cell, 2.0
        return cell, max(1.5, (remainder / goal) ** (1.0 / (self.degree + 1)))

    def _choose(self, spread: list[arb], powers: list[float], goal: float) -> tuple[int, float]:
        """The least degree whose remainder meets the goal, or the highest, and its remainder."""
        best, remainder = 0, math.inf
        for n in range(self.degree + 1):
            coefficient = spread[n + 1]
            if not coefficient.is_finite():
                break
            if n >= _LEAST_DEGREE or coefficient.is_zero():
                best, remainder = n, _term(coefficient, powers[n + 1])
                if remainder <= goal:
                    break
        return best, remainder

    def _smooth(self, place: _Place, degree: int, spread: list[arb], powers: list[float], remainder: float) -> Cell:
        hi, lo, lost, second_lost = [], [], 0.0, 0.0
        for k, coefficient in enumerate(self.series(arb(place.centre), degree, place.scale)):
            middle = float(coefficient)
            rest = coefficient - middle
            tail = float(rest)
            error = float_up((rest - tail).abs_upper())
            hi.append(middle)
            lo.append(tail)
            lost += error
            second_lost += k * k * error
        if not (math.isfinite(lost) and all(map(math.isfinite, hi))):
            return place.constant(spread[0])
        total = (remainder + lost) * _GROW
        second = second_lost
        if degree >= 1:
            second += degree * (degree + 1) * _term(spread[degree + 1], powers[degree - 1])
        # Division by the scale twice is exact unless it underflows, which loses less than the smallest normal number.
        second = second / place.scale / place.scale * _GROW + (1e-300 if second else 0.0)
        return place.cell(hi, lo, total, second)


def _upward(right: float, centre: float, left: float) -> float:
    """A float64 >= the distance of the centre to both ends, equal to it when the subtraction is exact."""
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
    """A ball that contains [left, right], exact at the anchored end and within 2^-28 relative at the other."""
    width = 0.5 * right - 0.5 * left
    if width < _FINEST:  # a radius that float64 hardly represents
        return arb_interval(left, right)
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


def _powers(ratio: float, order: int) -> list[float]:
    """Upper bounds of ratio^0 .. ratio^order, 1/2 <= ratio <= 1."""
    powers = [1.0]
    for _ in range(order):
        powers.append(min(1.0, powers[-1] * ratio * (1 + 2.0**-50)))
    return powers


def _term(coefficient: arb, power: float) -> float:
    """An upper bound of |coefficient| * power."""
    if coefficient.is_zero():
        return 0.0
    return float_up(coefficient.abs_upper()) * power * _GROW


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
