"""Which piecewise polynomial with coded r-th differences does a two-scale network of order r >= 3 compute?

Statement. Let [lower, upper] have N coarse cells of M >= r fine steps, h = (upper - lower)/(NM), f_1 the polygon
through the coarse values, g = f - f_1, A_k = floor(g(x_k)/lambda + 1/2). In a cell |D^r g| <= h^r max |f^(r)| = K, so D^r A are
integers of size less than K/lambda + 2^(r-1): with lambda about K/2^(r-1) they are digits of r + 1 bits. All A of a
cell follow from A = 0 at its first node, the differences D^i A, 0 < i < r, there, and those digits. On every step let P be f_1
plus lambda times the polynomial of degree r - 1 through the A of its window (_newton_windows). Then
    |f - P| <= Lambda_r max_k |f(x_k) - f_1(x_k) - lambda A_k| + omega_r K,   Lambda_3 = 5/4, omega_3 = 0.065,
since interpolation of f errs by omega_r K, and errors of values, at most lambda/2, grow by Lambda_r. So the error is O(h^r), at
a bounded number of bits a step. Source: P19 (Taylor data of neighbouring nodes determine each other up to O(1) choices); r-th
differences of quantised values in their place: derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import fmpq

from approx.numbers import float_up, to_fmpq
from constructions.relu._newton_windows import bubbles
from constructions.relu.square import levels_for

#: What ramps may add, in quanta, at fine nodes and at coarse ones, and what all products may add.
_RAMPS, _PRODUCTS = fmpq(1, 2**10), fmpq(1, 2**8)
#: Quanta are at least this many grains.
LEAST_QUANTUM = 64


@dataclass(frozen=True)
class DifferencePlan:
    """The data of a two-scale network of order r: everything that its weights are made of.

    cells N, steps M; coarse: the N + 1 values of f_1, int64 multiples of `grain`; quantum: lambda; levels: A_k, k = 0 .. NM, or
    all zero, r-th differences in [-shift, shift + 1] in cells; slope: the clip's L; ramp: the width, in cells, of ramps of
    codes. Everything else that a network needs follows: offsets, widths of ramps at fine nodes, levels of products.
    """

    order: int
    cells: int
    steps: int
    ramp: fmpq
    slope: int
    quantum: float
    grain: float
    coarse: np.ndarray
    levels: np.ndarray

    @property
    def corrected(self) -> bool:
        """Whether anything is coded at all."""
        return bool(self.levels.any())

    @property
    def finest(self) -> bool:
        """Whether the quantum is as small as coarse values allow: finer steps gain nothing."""
        return self.quantum < 2 * LEAST_QUANTUM * self.grain

    @property
    def coarse_values(self) -> list[fmpq]:
        """The values of f_1 at coarse nodes."""
        grain = to_fmpq(self.grain)
        return [v * grain for v in self.coarse.tolist()]

    @property
    def bits(self) -> int:
        """Bits of a digit."""
        return self.order + 1

    @property
    def shift(self) -> int:
        """What is added to a difference to make it a digit."""
        return 2**self.order - 1

    @cached_property
    def rows(self) -> np.ndarray:
        """A in every cell, (N, M + 1), in the order in which a network passes it: odd cells from right to left."""
        rows = self.levels[np.arange(self.cells)[:, None] * self.steps + np.arange(self.steps + 1)]
        rows[1::2] = rows[1::2, ::-1].copy()
        return rows

    @cached_property
    def sizes(self) -> list[int]:
        """max |D^i A| over all cells, i = 0 .. r - 1."""
        found, rows = [], self.rows
        for _ in range(self.order):
            found.append(int(max(rows.max(), -rows.min())))
            rows = np.diff(rows, axis=1)
        return found

    @cached_property
    def state_bounds(self) -> list[fmpq]:
        """Bounds of |S_i|, i = 0 .. r - 1, whatever numbers in [0, 1] the bits are: none falls short of minus them on ramps."""
        found = [fmpq(2 ** (self.bits + 1))]  # of a digit
        for bits in reversed(self.head_bits):
            found.append(2**bits + self.steps * found[-1])
        return [fmpq(0), *found[:0:-1]]

    @cached_property
    def head_bits(self) -> list[int]:
        """Bits, sign included, of the D^i A at the start of a cell, i = 1 .. r - 1."""
        first = self.rows[:, : self.order]
        sizes = [int(np.abs(np.diff(first, i, axis=1)[:, 0]).max()) for i in range(1, self.order)]
        return [1 + max(size, 1).bit_length() for size in sizes]

    @property
    def code_bits(self) -> int:
        """Bits of a code."""
        return sum(self.head_bits) + self.bits * (self.steps - self.order + 1)

    @cached_property
    def bubble_sizes(self) -> list[fmpq]:
        """Bounds of the coefficients of Q, as polynomials of z; at least 1."""
        cases = [bubbles(self.order, kappa, odd) for kappa in range(self.order - 1) for odd in (False, True)]
        return [
            max(fmpq(1), *(sum((abs(c[i][k]) * self.sizes[i] for i in range(2, self.order)), fmpq(0)) for c in cases))
            for k in range(self.order - 2)
        ]

    @property
    def fine_ramp(self) -> fmpq:
        """The width, in steps, of ramps at fine nodes: what is wrong there is at most `reach`, times a factor below it."""
        reach = 2 * self.sizes[1] + 2 * sum(self.bubble_sizes, fmpq(0))
        return _RAMPS / 2 ** _log2_up(reach)

    @property
    def factor_sizes(self) -> list[fmpq]:
        """Bounds of the factors of z and 1 - z: of the chord, then of the polynomials inside, the outermost first.

        A latched number is off by its size at most on its ramp, so 2 sizes bound it; products add less than 1/4 in all.
        """
        found = [2 * self.bubble_sizes[-1]]
        for size in self.bubble_sizes[-2::-1]:
            found.append(2 * size + found[-1] + fmpq(1, 4))
        found.append(2 * self.sizes[1] + found[-1] + fmpq(1, 4))
        return found[::-1]

    @property
    def product_levels(self) -> list[int]:
        """Sawtooth levels of the products with these factors."""
        return [max(2, levels_for(_PRODUCTS / (self.order - 1), size)) for size in self.factor_sizes]

    def gap_at_ramps(self) -> float:
        """What ramps, coarse and fine, and products may add."""
        return float_up((2 * _RAMPS + _PRODUCTS) * to_fmpq(self.quantum)) if self.corrected else 0.0


def _log2_up(value: fmpq) -> int:
    return int(-(-value.p // value.q)).bit_length()


def coarse_ramp(slope: int, steps: int) -> fmpq:
    """A ramp, in cells, so short that the clip leaves at most 2 L M ramp <= 2^-10 quanta there."""
    return _RAMPS / 2 ** (1 + (slope * steps).bit_length())


def clip_leaves_little(plan: DifferencePlan) -> bool:
    """Whether the ramps are as short as that."""
    return plan.ramp * 2 * plan.slope * plan.steps <= _RAMPS
