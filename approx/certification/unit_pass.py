"""How are single units followed along nodes with a proved rounding bound? In numpy, or by machine code with the same bits.

A `Track` holds for every live unit its values at the nodes and its E per interval (forward.py). A unit takes two steps:

- sum: bias + sum w v, in float64 with error-free residues or in double-double. E of what it reads is inherited as
  sum |w| E; `local` bounds the roundings committed at either end. Where all values are multiples of one power of two and the
  sum stays below 2^53 of them, float64 rounds nothing, and local = 0 without any residue.
- activation: the chord of max(z, 0) where z changes its sign between the ends is off by at most min(|z_l|, |z_r|), twice that
  for |z|; a ReLU whose argument is proved negative is exactly 0.

The machine code (extra `fast`) does the same operations in the same order: no bit of a result depends on which one ran, which
tests check, so neither does a certificate. It is used once the work asked for exceeds what loading it costs.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from approx.certification.arithmetic import TINY, UNIT, Arithmetic, Float64, Grid, Vector
from approx.certification.machine_code import machine_code
from approx.certification.unit_plan import CODES, UnitPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Numbers kept in memory between passes.
_MOST_KEPT = 1 << 21
#: A sum whose finest grain is not above this is taken as inexact.
_FINEST = -900


class _Memory(threading.local):
    """Memory of a thread that its passes use again: fresh pages cost more than the passes."""

    buffer = np.empty(0)


_memory = _Memory()


def _rows(*shapes: tuple[int, int]) -> list[np.ndarray]:
    """Arrays of these shapes, valid until the next pass of this thread begins; their entries are arbitrary."""
    sizes = [a * b for a, b in shapes]
    total = sum(sizes)
    if total > _MOST_KEPT:
        return [np.empty(shape) for shape in shapes]
    if len(_memory.buffer) < total:
        _memory.buffer = np.empty(total)
    starts = accumulate(sizes, initial=0)
    return [_memory.buffer[a : a + n].reshape(s) for a, n, s in zip(starts, sizes, shapes, strict=False)]


@dataclass
class Track:
    """Values (rows, points) and E (rows, intervals) of the live units along fixed points; rows by UnitPlan.slot.

    Interval i lies between the points i and i + step. Where `inexact` is 0, E is 0 and `errors` holds nothing; where
    `known` is 1, all values are multiples of 2^grain of at most `size`. local: per unit of the layer under way the part of E
    that arose in its sum, where `committed` is 1, otherwise 0.
    """

    plan: UnitPlan
    arithmetic: Arithmetic
    step: int
    values: Vector
    errors: np.ndarray
    inexact: NDArray[np.uint8]
    known: NDArray[np.uint8]
    grain: NDArray[np.int64]
    size: np.ndarray
    local: np.ndarray
    committed: NDArray[np.uint8]

    @classmethod
    def along(cls, plan: UnitPlan, points: Vector, shared: bool, arithmetic: Arithmetic, width: int) -> Track:
        """The input along the points; `width` units at most are summed before they are activated."""
        count = len(points[0])
        intervals = count - 1 if shared else count // 2
        sizes = [(plan.slots, count)] * len(points)
        *values, errors, local = _rows(*sizes, (plan.slots, intervals), (width, intervals))
        for rows, c in zip(values, points, strict=True):
            rows[0] = c
        inexact, known = np.zeros(plan.slots, dtype=np.uint8), np.zeros(plan.slots, dtype=np.uint8)
        grain, size = np.zeros(plan.slots, dtype=np.int64), np.full(plan.slots, np.inf)
        if arithmetic is Float64 and plan.exactness:
            grid = Grid.of_points(points[0])
            known[0], grain[0], size[0] = 1, grid.grain, grid.size
        committed = np.zeros(width, dtype=np.uint8)
        step = 1 if shared else intervals
        return cls(plan, arithmetic, step, tuple(values), errors, inexact, known, grain, size, local, committed)

    @property
    def ends(self) -> tuple[slice, slice]:
        """Left and right ends of the intervals among the points."""
        intervals = self.errors.shape[1]
        return slice(0, intervals), slice(self.step, self.step + intervals)

    def follow(self, begin: int, end: int, sums: bool = True, activate: bool = True) -> None:
        """Take the units begin..end through their sums, their activations, or both."""
        work = self.plan.terms(begin, end) * self.values[0].shape[1]
        run = machine_code("follow", self.arithmetic, work)
        if run is not None:
            s, plan = self.plan.sums, self.plan
            terms = (s.first, plan.row, s.hi, s.lo, s.power, s.grain, s.bias, s.bias_tail, s.bias_grain)
            state = (
                *self.values,
                self.errors,
                self.inexact,
                self.known,
                self.grain,
                self.size,
                self.local,
                self.committed,
            )
            run(*terms, s.code, s.hinged, plan.slot, begin, end, sums, activate, self.step, *state)
            return
        for u in range(begin, end):
            if sums:
                index = 0 if activate else u - begin
                self._sum(u, index)
                if activate:
                    self.combine(u, index)
            if activate:
                self._activate(u)

    def combine(self, u: int, index: int) -> None:
        """E of the sum from what it inherits and what arose in it."""
        row = self.plan.slot[u + 1]
        if self.committed[index]:
            self.errors[row] = self.errors[row] + self.local[index] if self.inexact[row] else self.local[index]
            self.inexact[row] = 1

    def _sum(self, u: int, index: int) -> None:
        s, row = self.plan.sums, int(self.plan.slot[u + 1])
        terms = range(int(s.first[u]), int(s.first[u + 1]))
        self.inexact[row] = self.known[row] = self.committed[index] = 0
        for t in terms:
            source = self.plan.row[t]
            if self.inexact[source]:
                part = (abs(s.hi[t]) * (1 + 2 * UNIT)) * self.errors[source]
                self.errors[row] = self.errors[row] + part if self.inexact[row] else part
                self.inexact[row] = 1
        grid = self._exact(u, terms)
        if grid is not None:
            self.known[row], self.grain[row], self.size[row] = 1, grid.grain, grid.size
            total = np.full(self.values[0].shape[1], s.bias[u])
            for t in terms:
                total += s.hi[t] * self.values[0][self.plan.row[t]]
            self.values[0][row] = total
            return
        rounding = np.full(self.values[0].shape[1], TINY + self.arithmetic.weight_error(s.bias_tail[u]))
        sums = self.arithmetic.constant(s.bias[u], s.bias_tail[u], len(rounding))
        for t in terms:
            value = tuple(v[self.plan.row[t]] for v in self.values)
            sums = self.arithmetic.add_product(sums, s.hi[t], s.lo[t], value, rounding)
            missing = self.arithmetic.weight_error(s.lo[t])
            if missing:
                rounding += missing * np.abs(value[0]) * (1 + 2 * UNIT)
        for v, c in zip(self.values, sums, strict=True):
            v[row] = c
        left, right = self.ends
        self.local[index] = np.maximum(rounding[left], rounding[right])
        self.committed[index] = 1

    def _exact(self, u: int, terms: range) -> Grid | None:
        """The grid of the unit's sum, when float64 computes it without rounding.

        All partial sums are multiples of the finest grain and below 2^53 of them, so they are float64 numbers.
        """
        s, rows = self.plan.sums, self.plan.row
        if self.arithmetic is not Float64 or s.bias_tail[u] or s.hinged[u]:
            return None
        grain, size = int(s.bias_grain[u]), abs(float(s.bias[u]))
        for t in terms:
            if s.lo[t] or not self.known[rows[t]]:
                return None
            grain = min(grain, int(s.grain[t] + self.grain[rows[t]]))
            size += abs(float(s.hi[t])) * float(self.size[rows[t]])
        return Grid(grain, size) if grain > _FINEST and size * 1.001 < math.ldexp(1.0, min(53 + grain, 1000)) else None

    def _activate(self, u: int) -> None:
        row = int(self.plan.slot[u + 1])
        activation = CODES[self.plan.sums.code[u]]
        if activation != "identity":
            z = tuple(v[row] for v in self.values)
            before = self.errors[row] if self.inexact[row] else 0.0
            value, error = activated(z, before, self.ends, activation)
            for v, c in zip(self.values, value, strict=True):
                v[row] = c
            if not (isinstance(error, float) and error == 0.0):
                self.errors[row], self.inexact[row] = error, 1
        if self.known[row]:
            self.size[row] = np.abs(self.values[0][row]).max()


def activated(
    z: Vector, error: np.ndarray | float, ends: tuple[slice, slice], activation: str
) -> tuple[Vector, np.ndarray | float]:
    """(values, E) of relu or abs of z, whose E is `error`; of one unit or of an array of units."""
    left, right = z[0][..., ends[0]], z[0][..., ends[1]]
    # A zero at a node is no crossing; a NaN is none either, but it stays a NaN in the value.
    above, below = z[0] > 0, z[0] < 0
    crossing = (above[..., ends[0]] & below[..., ends[1]]) | (below[..., ends[0]] & above[..., ends[1]])
    if crossing.any():
        a, b = np.abs(left), np.abs(right)
        gap = np.where(crossing, np.minimum(a, b), 0.0) * (1 + 2.0**-40)
        error = error + (2 * gap if activation == "abs" else gap)
    if activation == "abs":
        positive = z[0] > 0
        return tuple(np.where(positive, c, -c) for c in z), error
    # NaN stays NaN, so that the caller sees it.
    value = (np.maximum(z[0], 0.0),) if len(z) == 1 else tuple(np.where((z[0] > 0) | np.isnan(z[0]), c, 0.0) for c in z)
    if isinstance(error, float) and error == 0.0:
        return value, error
    # The share 2^-20 covers what the additions that made `error` may have lost on the way here.
    dead = np.maximum(left, right) * (1 - 2.0**-20) + error <= 0
    return value, np.where(dead, 0.0, error)
