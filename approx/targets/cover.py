"""What is f on an interval, rigorously and in bulk? Cells with a Taylor polynomial and a proved remainder.

On the cell with centre c and half-width h, f(x) = p(x - c) + R(x), |R| <= remainder. By Taylor's theorem the
remainder of degree n is |c_{n+1}| h^{n+1} with c_{n+1} the ball of f^(n+1)(xi)/(n+1)! over the cell; coefficients are
those at the exact centre, and what they lose on rounding to double-double is part of the remainder. The same ball
bounds f'' - p'' by n(n+1) |c_{n+1}| h^{n-1}.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from flint import fmpq

from approx.errors import InputError
from approx.numbers import float_down, float_up, to_fmpq, working_precision
from approx.numbers.doubledouble import dd_add, dd_add_float, fast_two_sum, split, two_prod_split
from approx.targets.cover_cells import Cell, CellMaker, graded_cells

if TYPE_CHECKING:
    from approx.targets.target import Target

_UNIT = 2.0**-53
_TINY = 1e-290
_BLOCK = 1 << 14
_FINEST = 2.0**-1000
Array = np.ndarray


@dataclass(frozen=True)
class Cover:
    """A partition of [lower, upper] into cells, each with a polynomial and a proved remainder.

    edges (m+1,): exact float64, rising; the first and last contain the interval (they are its ends where these are
    float64). centres, halfwidths (m,): every point x of cell i has |x - centres[i]| <= halfwidths[i].
    scales (m,): powers of two, halfwidths <= scales < 2 halfwidths.
    hi, lo (m, degree+1): p_i = sum over k of (hi[i, k] + lo[i, k]) ((x - centres[i]) / scales[i])^k.
    degrees (m,): the degree used; 0 marks a cell at a kink or singularity, where only the value is enclosed.
    remainder (m,): |f(x) - p_i(x)| <= remainder[i] for all x of the cell that lie in the domain of f; inf where
    f is not shown to be finite. second_remainder (m,): the same for f'' - p_i'', inf where f'' is not bounded.
    """

    edges: Array
    centres: Array
    halfwidths: Array
    scales: Array
    hi: Array
    lo: Array
    degrees: Array
    remainder: Array
    second_remainder: Array
    tolerance: float

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def degree(self) -> int:
        """The largest degree of a cell."""
        return self.hi.shape[1] - 1

    @property
    def worst(self) -> float:
        """The largest remainder."""
        return float(self.remainder.max())

    def cell_of(self, points: Array) -> Array:
        """Return the index of a cell that contains each float64 point (at an edge, the cell on its right)."""
        return np.clip(np.searchsorted(self.edges, points, side="right") - 1, 0, len(self) - 1)

    def value(self, points: Array, cell: Array) -> tuple[Array, Array]:
        """Return (v, bound) with |f(x) - v| <= bound at float64 points x of the cells; 0.2 ms per degree and 1e5.

        The bound is the remainder plus the rounding of Horner's rule, about 4 units in the last place of |f|.
        """
        values = np.empty(len(points))
        table = self._columns
        with np.errstate(all="ignore"):
            for block in _blocks(len(points)):
                index = cell[block]
                t = (points[block] - self.centres[index]) * self._inverse[index]
                total = table[-1][index]
                for row in table[-2::-1]:
                    total *= t
                    total += row[index]
                values[block] = total
        return values, self._float_error[cell]

    def value_dd(self, high: Array, low: Array, cell: Array) -> tuple[Array, Array, Array]:
        """Return (hi, lo, bound) with |f(x) - hi - lo| <= bound at double-double points x = high + low of the cells.

        The highest powers are summed in float64 where that costs less than a quarter of the remainder.
        """
        values = np.empty(len(high)), np.empty(len(high))
        with np.errstate(all="ignore"):
            for block in _blocks(len(high)):
                pair = self._horner_dd(high[block], low[block], cell[block])
                values[0][block], values[1][block] = pair
        return values[0], values[1], self._mixed[1][cell]

    def _horner_dd(self, high: Array, low: Array, cell: Array) -> tuple[Array, Array]:
        switch = self._mixed[0]
        t_hi, t_lo = dd_add_float(high, low, -self.centres[cell])
        inverse = self._inverse[cell]
        t_hi, t_lo = t_hi * inverse, t_lo * inverse
        upper = self._columns[switch:]
        total = upper[-1][cell] if len(upper) else np.zeros(len(high))
        for row in upper[-2::-1]:
            total *= t_hi
            total += row[cell]
        hi, lo = total, np.zeros(len(high))
        halves = split(t_hi)
        for k in range(switch - 1, -1, -1):
            product, residue = two_prod_split(hi, split(hi), t_hi, halves)
            product, residue = fast_two_sum(product, residue + (hi * t_lo + lo * t_hi))
            hi, lo = dd_add(self._columns[k][cell], self._low_columns[k][cell], product, residue)
        return hi, lo

    def value_range(self, left: Array, right: Array, cell: Array) -> tuple[Array, Array]:
        """Return (low, high) with low <= f <= high on [left, right] within the cells, f'' bounded or not."""
        middle = 0.5 * (left + right)
        value, error = self.value(middle, cell)
        radius = (0.5 * (right - left)) * (1 + 2.0**-40) + 2.0**-50 * (np.abs(left) + np.abs(right))
        radius = radius * self._inverse[cell]
        spread = (radius * self._sums[1][cell] + error) * (1 + 2.0**-40)
        spread = np.where(np.isnan(spread), np.inf, spread)
        return value - spread, value + spread

    def model_curvature(self, left: Array, right: Array, cell: Array) -> tuple[Array, Array]:
        """Return (low, high) with low <= p'' <= high on [left, right] within the cells, p the cell's polynomial."""
        with np.errstate(all="ignore"):
            inverse = self._inverse[cell]
            middle = np.clip((0.5 * (left + right) - self.centres[cell]) * inverse, -1.0, 1.0)
            radius = (0.5 * (right - left) * (1 + 2.0**-40) + 2.0**-50 * (np.abs(left) + np.abs(right))) * inverse
            curvature, jerk = self._high_derivatives(middle, radius, cell, bool(np.any(radius > 0.01)))
            curvature = curvature * inverse * inverse
            spread = (radius * jerk * (1 + 2.0**-40) + self._second_rounding[cell]) * inverse * inverse
            spread = spread * (1 + 2.0**-40) + 2.0**-50 * np.abs(curvature)
            spread = np.where(np.isnan(spread + curvature), np.inf, spread + _TINY)
            curvature = np.where(np.isfinite(curvature), curvature, 0.0)
        return curvature - spread, curvature + spread

    def second_derivative_range(self, left: Array, right: Array, cell: Array) -> tuple[Array, Array]:
        """Return (low, high) with low <= f'' <= high on [left, right] within the cells; +-inf if unbounded."""
        low, high = self.model_curvature(left, right, cell)
        rest = self.second_remainder[cell]
        with np.errstate(all="ignore"):
            slack = rest + 2.0**-50 * (np.abs(low) + np.abs(high) + rest)
            spread = np.where(np.isnan(slack), np.inf, slack)
            return low - spread, high + spread

    def _high_derivatives(self, t: Array, reach: Array, cell: Array, fine: bool) -> tuple[Array, Array]:
        """The second derivative in the scaled variable at t, and a bound of the third within `reach` of t."""
        third, fourth = self._sums[3], self._sums[4]
        if self.degree < 2:
            return np.zeros(len(t)), np.zeros(len(t))
        second = np.zeros(len(t))
        for k in range(self.degree, 1, -1):
            second = second * t + (k * (k - 1)) * self._columns[k][cell]
        if not fine or self.degree < 3:
            return second, third[cell]
        slope = np.zeros(len(t))
        for k in range(self.degree, 2, -1):
            slope = slope * t + (k * (k - 1) * (k - 2)) * self._columns[k][cell]
        finer = np.abs(slope) + reach * fourth[cell] + 2.0**-45 * third[cell]
        return second, np.fmin(finer, third[cell])

    @cached_property
    def _columns(self) -> list[Array]:
        return [np.ascontiguousarray(self.hi[:, k]) for k in range(self.hi.shape[1])]

    @cached_property
    def _low_columns(self) -> list[Array]:
        return [np.ascontiguousarray(self.lo[:, k]) for k in range(self.lo.shape[1])]

    @cached_property
    def _sums(self) -> list[Array]:
        """For j = 0..4: a bound of sum_k k!/(k-j)! |c_k| r^(k-j), r = h/scale: of the scaled derivative."""
        sums = []
        with np.errstate(all="ignore"):
            for j in range(5):
                total = np.zeros(len(self))
                for k in range(self.degree, j - 1, -1):
                    total = total * self._ratio + math.perm(k, j) * np.abs(self._columns[k])
                sums.append(total * (1 + 2.0**-40) + _TINY)
        return sums

    @cached_property
    def _float_error(self) -> Array:
        """Remainder + Horner: term k has 2k+1 roundings, its coefficient one, x - c one: u (2 S0 + 3 S1)."""
        rounding = _UNIT * (2.1 * self._sums[0] + 3.1 * self._sums[1]) + _TINY
        return (self.remainder + rounding) * (1 + 2.0**-40)

    @cached_property
    def _second_rounding(self) -> Array:
        return _UNIT * (4.1 * self._sums[2] + 3.1 * self._sums[3])

    @cached_property
    def _inverse(self) -> Array:
        return 1.0 / self.scales

    @cached_property
    def _ratio(self) -> Array:
        return self.halfwidths / self.scales

    @cached_property
    def _mixed(self) -> tuple[int, Array]:
        """From which power on float64 is enough, and the error of `value_dd` on each cell."""
        base = 2.0**-101 * (self._sums[0] + self._sums[1]) + _TINY
        allowed = np.maximum(0.25 * self.remainder, base)
        powers = [np.abs(column) for column in self._columns]
        scale = np.ones(len(self))
        for k in range(1, len(powers)):
            scale = scale * self._ratio
            powers[k] = powers[k] * scale
        for switch in range(len(powers) + 1):
            lost = np.zeros(len(self))
            for k in range(switch, len(powers)):
                lost = lost + (2 * (k - switch) + 3) * _UNIT * powers[k]
            lost = lost * (1 + 2.0**-30)
            if np.all(lost <= allowed) or switch == len(powers):
                break
        return switch, (self.remainder + lost + base) * (1 + 2.0**-40)


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def taylor_cover(
    target: Target,
    lower: fmpq,
    upper: fmpq,
    tolerance: float,
    max_cells: int = 20_000,
    degree: int | None = None,
) -> Cover:
    """Return a cover of [lower, upper] whose remainders are <= tolerance wherever that can be reached.

    Cells are halved until the remainder of the chosen degree is small enough; known kinks and branch points are
    edges, and cells shrink geometrically towards them. A cell stays above the tolerance only where it cannot be
    halved (neighbouring float64 edges), where f is not shown to be finite, or after `max_cells`. The degree grows
    with the number of digits asked for, from 8 to 20.

    Cost: 30 to 60 us per cell; exp or sin(20x) on [0, 1] to 1e-14: 1-3 ms.
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise InputError("tolerance", tolerance, "a finite number > 0")
    if not to_fmpq(lower) < to_fmpq(upper):
        raise InputError("interval", (lower, upper), "lower < upper")
    low, high = float_down(to_fmpq(lower)), float_up(to_fmpq(upper))
    with working_precision(128):
        maker = CellMaker(target, high - low, tolerance, degree or _degree(target, low, high, tolerance))
        cells = list(graded_cells(maker, _special_edges(target, low, high), max_cells))
    return _assemble(cells, tolerance)


def _degree(target: Target, low: float, high: float, tolerance: float) -> int:
    """A degree that balances the number of cells against the cost of evaluating (a heuristic)."""
    values = np.abs(target(np.linspace(low, high, 9)))
    scale = float(np.max(values[np.isfinite(values)], initial=1e-300))
    digits = math.log10(max(scale, 1e-300)) - math.log10(max(tolerance, 1e-300))
    return int(min(20, max(8, 4 + round(0.7 * digits))))


def _special_edges(target: Target, low: float, high: float) -> list[float]:
    """The ends and, for every place where f is not smooth, the float64 numbers that enclose it."""
    edges = {low, high}
    for place in target.split_points():
        for edge in (float_down(place), float_up(place)):
            if low < edge < high:
                edges.add(edge)
    return sorted(edges)


def _assemble(cells: list[Cell], tolerance: float) -> Cover:
    degree = max(len(cell.hi) for cell in cells) - 1
    hi, lo = np.zeros((degree + 1, len(cells))), np.zeros((degree + 1, len(cells)))
    for index, cell in enumerate(cells):
        hi[: len(cell.hi), index] = cell.hi
        lo[: len(cell.lo), index] = cell.lo
    return Cover(
        edges=np.array([cells[0].left] + [cell.right for cell in cells]),
        centres=np.array([cell.centre for cell in cells]),
        halfwidths=np.array([cell.halfwidth for cell in cells]),
        scales=np.array([cell.scale for cell in cells]),
        hi=hi.T,
        lo=lo.T,
        degrees=np.array([len(cell.hi) - 1 for cell in cells]),
        remainder=np.array([cell.remainder for cell in cells]),
        second_remainder=np.array([cell.second_remainder for cell in cells]),
        tolerance=tolerance,
    )
