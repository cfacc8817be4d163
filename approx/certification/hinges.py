"""What a wide first layer of a network of one variable adds up to: sums of hinges by prefix sums, not unit by unit.

Statement. S(x) = sum_j w_j max(a_j x + b_j, 0) has its kinks at k_j = -b_j/a_j. Sorted by their rounded values, S(x) =
A_i x + B_i where i is the number of kinks up to x, and A, B are prefix sums; they are formed in double-double by a scan of
log2(n) steps. Errors, all proved: the scan and the final A x + B err by at most (log2(n) + 4) 2^-101 times the sums of
absolute values; kinks within `near` of x may be counted on the wrong side, each of which changes S by at most |w_j a_j| * 2
near; a kink inside an interval, further than `near` from both ends, leaves a chord gap of at most |w_j a_j| * width/4.
Cost O(n log n) once per row and O(points log n) per call, instead of O(n * points).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from approx.certification.arithmetic import DD_UNIT, Vector
from approx.numbers.doubledouble import dd_add, dd_mul

#: Two rounded positions of the same kink, or a point and its float64 head, differ by less than this times the size.
_NEAR = 2.0**-50
_UP = 1 + 2.0**-30


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

    def inside(self, lower: float, upper: float) -> np.ndarray:
        """The distinct kinks strictly between two numbers."""
        return np.unique(self.kinks[(self.kinks > lower) & (self.kinks < upper)])


class HingeSum:
    """One linear form over a Line, as a function of x."""

    def __init__(self, line: Line, weight: tuple[np.ndarray, np.ndarray]) -> None:
        self.kinks = line.kinks
        wa, wb = dd_mul(*weight, *line.slope), dd_mul(*weight, *line.offset)
        falling = (line.slope[0] < 0) | (line.flat & (line.offset[0] > 0))
        sign = np.where(line.slope[0] < 0, -1.0, 1.0)
        start = [_total(tuple(np.where(falling, c, 0.0) for c in p)) for p in (wa, wb)]
        rising = ~line.flat
        steps = [tuple(np.where(rising, sign * c, 0.0)[line.order] for c in p) for p in (wa, wb)]
        self.slopes = dd_add(*_scan(steps[0]), start[0][0], start[0][1])
        self.offsets = dd_add(*_scan(steps[1]), start[1][0], start[1][1])
        size = np.abs(steps[0][0]) * _UP
        self.jumps = np.concatenate(([0.0], np.cumsum(size))) * _UP
        # What the scans may be wrong by.
        steps_taken = (math.log2(len(size) + 2) + 6) * 2 * DD_UNIT
        total = [float(np.abs(p[0]).sum()) * _UP for p in (wa, wb)]
        self.scan_error = (steps_taken * total[0], steps_taken * total[1])

    def values(self, x: Vector) -> tuple[Vector, np.ndarray]:
        """(double-double values, error bounds) at the points; x in float64 or double-double."""
        position = np.searchsorted(self.kinks, x[0], side="right")
        a = (self.slopes[0][position], self.slopes[1][position])
        b = (self.offsets[0][position], self.offsets[1][position])
        tail = x[1] if len(x) > 1 else np.zeros_like(x[0])
        product = dd_mul(*a, x[0], tail)
        result = dd_add(*product, *b)
        near = self._near(x[0])
        lower = np.searchsorted(self.kinks, x[0] - near, side="left")
        upper = np.searchsorted(self.kinks, x[0] + near, side="right")
        # Differences of prefix sums lose digits: allow for the rounding of the sums themselves.
        doubtful = np.where(upper > lower, self.jumps[upper] - self.jumps[lower] + 2.0**-40 * self.jumps[upper], 0.0)
        error = 2 * near * doubtful * _UP + self.scan_error[0] * np.abs(x[0]) + self.scan_error[1]
        error = error + 4 * DD_UNIT * (np.abs(product[0]) + np.abs(result[0]))
        return result, error

    def gaps(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """A bound of the distance between S and its chord on each interval [left, right]."""
        first = np.searchsorted(self.kinks, left + self._near(left), side="right")
        last = np.searchsorted(self.kinks, right - self._near(right), side="left")
        inner = np.where(last > first, self.jumps[np.maximum(last, first)] - self.jumps[first], 0.0)
        inner = np.where(last > first, inner + 2.0**-40 * self.jumps[last], 0.0)
        return inner * 0.25 * (right - left) * _UP

    @staticmethod
    def _near(x: np.ndarray) -> np.ndarray:
        return _NEAR * np.abs(x) + 2.0**-1000


def _total(values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The double-double total of (hi, lo) arrays, as arrays of length 1."""
    hi, lo = _scan(values)
    return hi[-1:], lo[-1:]


def _scan(values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Prefix sums with a leading 0, in double-double, by doubling strides (log2 n additions deep)."""
    hi: np.ndarray = values[0].copy()
    lo: np.ndarray = values[1].copy()
    stride = 1
    while stride < len(hi):
        head, tail = dd_add(hi[stride:], lo[stride:], hi[:-stride], lo[:-stride])
        hi[stride:], lo[stride:] = head, tail
        stride *= 2
    return np.concatenate(([0.0], hi)), np.concatenate(([0.0], lo))
