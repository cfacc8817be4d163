"""Where is a function of one variable, rigorously and fast? Local Taylor models on adaptive cells, for float arrays."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import RegularityError
from approx.numbers import arb_interval, float_down, float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target

_BITS = 96
_UNIT = 2.0**-53


class TaylorCover:
    """Cells covering [lower, upper]; on each, f(x) = sum_{j<K} t_j (x - c)^j + remainder, everything enclosed.

    `value(x)` and `curvature(left, right)` work on float arrays and return lower and upper bounds that include the
    rounding of their own arithmetic. Cells where derivatives do not exist (kinks, a root at its end) are bisected to
    the tolerance and then carry the range of f alone; curvature is (-inf, inf) there.

    tolerance: the width of the value enclosures that is aimed at, not promised. Cost: about 30 us per cell, then
    some 30 ns per point and order. Derived; the remainder is Lagrange's, from balls over each cell.
    """

    def __init__(self, target: Target, tolerance: float, order: int = 8, cells: tuple[int, int] = (64, 4096)) -> None:
        if target.dimension != 1:
            raise RegularityError("a Taylor cover needs a target of one variable")
        self.target, self.order = target, order
        self.lower, self.upper = target.domain.lower[0], target.domain.upper[0]
        self.start, self.stop = float_up(self.lower), float_down(self.upper)
        self.tolerance = max(tolerance, 1e-300)
        found = sorted(self._refine(*cells), key=lambda cell: cell[0])
        self.edges = np.array([cell[0] for cell in found] + [self.stop])
        self.centre = np.array([cell[2] for cell in found])
        self.radius = np.array([cell[3] for cell in found])
        self.coefficients = np.array([cell[4] for cell in found])
        self.remainder = np.array([cell[5] for cell in found])
        self._bound_models()

    def _refine(self, minimum: int, maximum: int) -> list[tuple[Any, ...]]:
        width = (self.stop - self.start) / minimum
        ends = [self.start + i * width for i in range(minimum)] + [self.stop]
        for kink in self.target.split_points():
            near = to_float(kink.mid())
            ends.extend(p for p in (near,) if self.start < p < self.stop)
        ends = sorted(set(ends))
        with working_precision(_BITS):
            heap = [self._entry(a, b) for a, b in itertools.pairwise(ends)]
            heapq.heapify(heap)
            while len(heap) < maximum and -heap[0][0] > self.tolerance:
                _, cell = heapq.heappop(heap)
                middle = (cell[0] + cell[1]) / 2
                if not cell[0] < middle < cell[1]:
                    heapq.heappush(heap, (0.0, cell))
                    continue
                heapq.heappush(heap, self._entry(cell[0], middle))
                heapq.heappush(heap, self._entry(middle, cell[1]))
        return [cell for _, cell in heap]

    def _entry(self, a: float, b: float) -> tuple[float, tuple[Any, ...]]:
        cell = self._model(a, b)
        return -cell[5][0], cell

    def _model(self, a: float, b: float) -> tuple[Any, ...]:
        # The outer cells reach to the exact ends of the domain, which may lie outside the outermost floats.
        low = to_fmpq(a) if a > self.start else self.lower
        high = to_fmpq(b) if b < self.stop else self.upper
        c = (a + b) / 2
        radius = float_up(max(to_fmpq(c) - low, high - to_fmpq(c)))
        over = self.target.series(arb_interval(low, high), self.order)
        if all(v.is_finite() for v in over):
            return self._smooth(a, b, c, radius, over)
        whole = over[0]
        middle = to_float(whole.mid()) if whole.is_finite() else 0.0
        rest = float_up(abs(whole - to_arb(middle))) if whole.is_finite() else math.inf
        return a, b, c, radius, [middle] + [0.0] * (self.order - 1), [rest, math.inf, math.inf]

    def _smooth(self, a: float, b: float, c: float, radius: float, over: list[Any]) -> tuple[Any, ...]:
        at = self.target.series(to_arb(c), self.order)
        k = self.order
        coefficients = [to_float(v.mid()) for v in at[:k]]
        slack = [float_up(abs(v - to_arb(t))) for v, t in zip(at[:k], coefficients, strict=True)]
        top = float_up(abs(over[k]))
        remainder = []
        for d in range(3):  # remainder of the d-th derivative: rounding of the t_j, and k!/(k-d)! |c_k| r^(k-d)
            rest = sum(math.perm(j, d) * slack[j] * radius ** (j - d) for j in range(d, k))
            model = rest + math.perm(k, d) * top * radius ** (k - d)
            remainder.append(model * (1 + 1e-12))
        whole = over[0]
        if not all(v.is_finite() for v in at) or float_up(abs(whole - whole.mid())) < remainder[0]:
            middle = to_float(whole.mid())  # the plain range is sharper than the model
            coefficients = [middle] + [0.0] * (k - 1)
            bounds = [whole - to_arb(middle), over[1], 2 * over[2]]
            remainder = [float_up(abs(v)) for v in bounds]
        return a, b, c, radius, coefficients, remainder

    def _bound_models(self) -> None:
        t, r, k = np.abs(self.coefficients), self.radius, self.order
        powers = r[:, None] ** np.arange(k)
        self._size = (t * powers).sum(axis=1)
        second = np.array([math.perm(j, 2) for j in range(2, k)])
        third = np.array([math.perm(j, 3) for j in range(3, k)])
        with np.errstate(invalid="ignore"):
            self._size2 = (t[:, 2:] * second * powers[:, : k - 2]).sum(axis=1)
            self._third = (t[:, 3:] * third * powers[:, : k - 3]).sum(axis=1) * (1 + 1e-12)
            first = (t[:, 1:] * np.arange(1, k) * powers[:, : k - 1]).sum(axis=1)
            self.slope = (first + self.remainder[:, 1]) * (1 + 1e-12)

    def cell_of(self, x: np.ndarray) -> np.ndarray:
        """The number of the cell that contains each point."""
        return np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.centre) - 1)

    def value(self, x: np.ndarray, cell: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(approximate values, proved bounds of their distance from f(x)) at float points of the domain."""
        i = self.cell_of(x) if cell is None else cell
        u = x - self.centre[i]
        total = np.zeros_like(u)
        for j in range(self.order - 1, -1, -1):
            total = total * u + self.coefficients[i, j]
        rounding = 4 * (self.order + 1) * _UNIT * self._size[i]
        return total, (self.remainder[i, 0] + rounding) * (1 + 1e-12)

    def curvature(self, left: np.ndarray, right: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Proved (lower, upper) bounds of f'' on intervals that lie each in the given cell."""
        middle, half = (left + right) / 2, (right - left) / 2
        u = middle - self.centre[cell]
        total = np.zeros_like(u)
        for j in range(self.order - 1, 1, -1):
            total = total * u + math.perm(j, 2) * self.coefficients[cell, j]
        with np.errstate(invalid="ignore"):
            spread = self.remainder[cell, 2] + 4 * (self.order + 1) * _UNIT * self._size2[cell]
            spread = (spread + half * (1 + 1e-9) * self._third[cell]) * (1 + 1e-12)
        spread = np.where(np.isfinite(spread), spread, np.inf)
        return total - spread, total + spread

    def span(self, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Proved (lower, upper) bounds of f on whole cells."""
        size = self._size[cell] - np.abs(self.coefficients[cell, 0]) + self.remainder[cell, 0]
        size = (size + 8 * _UNIT * self._size[cell]) * (1 + 1e-12)
        return self.coefficients[cell, 0] - size, self.coefficients[cell, 0] + size


def fmpq_floats(values: np.ndarray) -> list[fmpq]:
    """The exact rationals of a float array."""
    return [fmpq(*v.as_integer_ratio()) for v in values.tolist()]
