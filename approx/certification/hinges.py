"""What a wide first layer of a network of one variable adds up to: sums of hinges by prefix sums, not unit by unit.

Statement. S(x) = sum_j w_j max(a_j x + b_j, 0) has its kinks at k_j = -b_j/a_j. Sorted by their rounded values, S(x) =
A_i x + B_i where i is the number of kinks up to x, and A, B are prefix sums in double-double. Errors, all proved: those of
the products w_j a_j, of the sums (see _scan) and of the final A x + B, about 2^-97 times the sums of absolute values; kinks
within `near` of x may be counted on the wrong side, each of which changes S by at most |w_j a_j| * 2 near; a kink inside an
interval, further than `near` from both ends, leaves a chord gap of at most |w_j a_j| * width/4.
Cost O(n log n) once per row and O(points log n) per call, instead of O(n * points).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from approx.certification.arithmetic import DD_UNIT, UNIT, DoubleDouble, Float64, Vector
from approx.certification.machine_code import machine_code
from approx.numbers.doubledouble import dd_add, dd_mul, dd_mul_float, two_sum

#: Two rounded positions of the same kink, or a point and its float64 head, differ by less than this times the size.
_NEAR = 2.0**-50
_UP = 1 + 2.0**-30
#: Terms of a unit that cost as much as one value.
_TERMS = 12
_NONE = np.zeros(0)


@dataclass(frozen=True)
class Line:
    """The units of a first layer: slopes a and offsets b as double-double, kinks in increasing order of `kinks`."""

    slope: tuple[np.ndarray, np.ndarray]
    offset: tuple[np.ndarray, np.ndarray]
    kinks: np.ndarray
    order: np.ndarray
    flat: np.ndarray

    @classmethod
    def of(cls, slope: tuple[np.ndarray, np.ndarray], offset: tuple[np.ndarray, np.ndarray]) -> Line:
        """The Line of units max(slope x + offset, 0); units with slope 0 are constants."""
        flat = slope[0] == 0
        with np.errstate(all="ignore"):
            first = -offset[0] / slope[0]
            zero = np.zeros_like(first)
            rest = dd_add(*dd_mul(first, zero, *slope), *offset)
            kinks = np.where(flat, np.inf, first - rest[0] / slope[0])
        order = np.argsort(kinks, kind="stable")
        return cls(slope, offset, kinks[order], order, flat)

    @cached_property
    def padded(self) -> np.ndarray:
        """The kinks between -inf and inf, so that padded[i] is the last one of the first i."""
        return np.concatenate(([-np.inf], self.kinks, [np.inf]))

    def inside(self, lower: float, upper: float) -> np.ndarray:
        """The distinct kinks strictly between two numbers."""
        return np.unique(self.kinks[(self.kinks > lower) & (self.kinks < upper)])


class HingeSum:
    """One linear form over a Line, as a function of x."""

    def __init__(self, line: Line, weight: tuple[np.ndarray, np.ndarray]) -> None:
        self.kinks, self.padded = line.kinks, line.padded
        # Rows 0 and 1: slopes and offsets times their weights.
        parts = dd_mul(*weight, np.stack([line.slope[0], line.offset[0]]), np.stack([line.slope[1], line.offset[1]]))
        falling = (line.slope[0] < 0) | (line.flat & (line.offset[0] > 0))
        sign = np.where(line.flat, 0.0, np.where(line.slope[0] < 0, -1.0, 1.0))
        steps = tuple((sign * c)[:, line.order] for c in parts)
        sums, error = _scan(steps)
        if falling.any():
            start, more = _scan(tuple(np.where(falling, c, 0.0) for c in parts))
            sums, error = dd_add(sums[0], sums[1], start[0][:, -1:], start[1][:, -1:]), error + more
        self.slopes, self.offsets = ((sums[0][i].copy(), sums[1][i].copy()) for i in (0, 1))
        size = np.abs(steps[0]) * _UP
        self.jumps = np.concatenate(([0.0], np.cumsum(size[0]))) * _UP
        # What the scans, the products before them and the sum with the start may be wrong by.
        error = error + 8 * DD_UNIT * np.abs(parts[0]).sum(axis=1) * _UP
        self.scan_error = float(error[0]), float(error[1])

    def values(self, x: Vector) -> Vector:
        """The double-double values at the points; x in float64 or double-double."""
        return self._at(x, np.searchsorted(self.kinks, x[0], side="right"))[0]

    def add_to(self, total: Vector, local: np.ndarray, x: Vector, step: int) -> None:
        """Add the sum at the points x to `total`, in place, and to `local` what it adds to E per interval.

        Interval i lies between the points i and i + step. Its share: the errors of the values and of the addition at either
        end, and the distance between S and its chord.
        """
        run = machine_code("hinges", Float64 if len(x) == 1 else DoubleDouble, _TERMS * len(x[0]))
        if run is not None:
            prefix = (*self.slopes, *self.offsets, self.jumps)
            tails = (x[1], total[1]) if len(x) > 1 else (_NONE, _NONE)
            run(x[0], tails[0], self.kinks, *prefix, *self.scan_error, step, total[0], tails[1], local)
            return
        left, right = slice(0, len(local)), slice(step, step + len(local))
        part, error, gap = self.along(x, left, right)
        if len(x) == 1:
            value, residue = two_sum(total[0], part[0])
            sums: Vector = (value,)
            error = error + (np.abs(part[1]) + np.abs(residue))
        else:
            sums = dd_add(*total, *part)
            error = error + DD_UNIT * np.abs(sums[0])
        for old, new in zip(total, sums, strict=True):
            old[:] = new
        local += np.maximum(error[left], error[right]) + gap

    def along(self, x: Vector, left: slice, right: slice) -> tuple[Vector, np.ndarray, np.ndarray]:
        """(values, their error bounds, bounds of the distance between S and its chord from the points left to right)."""
        result, error, lower, upper = self._along(x)
        # The kinks further than `near` from both ends.
        first, last = upper[left], lower[right]
        inner = np.where(last > first, self.jumps[last] - self.jumps[first] + 2.0**-40 * self.jumps[last], 0.0)
        return result, error, inner * 0.25 * (x[0][right] - x[0][left]) * _UP

    def _along(self, x: Vector) -> tuple[Vector, np.ndarray, np.ndarray, np.ndarray]:
        """(values, error bounds, numbers of kinks surely below and perhaps not above the points)."""
        position = np.searchsorted(self.kinks, x[0], side="right")
        result, size = self._at(x, position)
        near = _NEAR * np.abs(x[0]) + 2.0**-1000
        lower, upper = self._around(x[0], near, position)
        # Differences of prefix sums lose digits: allow for the rounding of the sums themselves.
        doubtful = np.where(upper > lower, self.jumps[upper] - self.jumps[lower] + 2.0**-40 * self.jumps[upper], 0.0)
        error = 2 * near * doubtful * _UP + self.scan_error[0] * np.abs(x[0]) + self.scan_error[1]
        return result, error + 4 * DD_UNIT * size, lower, upper

    def _at(self, x: Vector, position: np.ndarray) -> tuple[Vector, np.ndarray]:
        """(values, sizes of the product and of the sum) where so many kinks lie below."""
        a = (self.slopes[0][position], self.slopes[1][position])
        b = (self.offsets[0][position], self.offsets[1][position])
        product = dd_mul(*a, x[0], x[1]) if len(x) > 1 else dd_mul_float(*a, x[0])
        result = dd_add(*product, *b)
        return result, np.abs(product[0]) + np.abs(result[0])

    def _around(self, x: np.ndarray, near: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many kinks lie below x - near, and how many not above x + near; `position` of them are not above x."""
        low, high = x - near, x + near
        lower = position - (self.padded[position] >= low)
        upper = position + (self.padded[position + 1] <= high)
        # More than one kink as close as that is rare.
        far = np.flatnonzero((self.padded[lower] >= low) | (self.padded[upper + 1] <= high))
        lower[far] = np.searchsorted(self.kinks, low[far], side="left")
        upper[far] = np.searchsorted(self.kinks, high[far], side="right")
        return lower, upper


def _scan(values: Vector) -> tuple[Vector, np.ndarray]:
    """(prefix sums of the rows with a leading 0 in double-double, a bound of their errors per row).

    Sequential sums s of the heads, the residues of every addition, their sequential sums t, the residues again, and the sums r
    of what is left: s + t + r is exact but for the rounding of r (SumK of Ogita, Rump and Oishi 2005, with K = 3).
    """
    heads, rest = _accumulated(values[0])
    tails, fine = two_sum(rest, values[1])
    tails, rest = _accumulated(tails)
    left = rest + fine
    hi, lo = two_sum(heads, tails)
    hi, lo = two_sum(hi, lo + np.cumsum(left, axis=1))
    size = np.abs(values[0]).sum(axis=1) + np.abs(values[1]).sum(axis=1)
    error = 8 * DD_UNIT * size + (left.shape[1] + 4) * UNIT * np.abs(left).sum(axis=1)
    first = np.zeros((len(hi), 1))
    sums = np.concatenate([first, hi], axis=1), np.concatenate([first, lo], axis=1)
    return sums, np.where(np.isnan(error), np.inf, error * _UP)


def _accumulated(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sums of the first numbers of each row, one addition after the other, and what each addition rounded off)."""
    sums = np.cumsum(values, axis=1)
    before = np.concatenate([np.zeros((len(sums), 1)), sums[:, :-1]], axis=1)
    total, residue = two_sum(before, values)
    # NaN where numpy did not add in this order, or something overflowed: fails closed.
    return sums, np.where(total == sums, residue, np.nan)
