"""What f is on the cells of a rectangle: polynomials with proved remainders, refined where and when it is asked for.

Statement. On a cell f = P + R with |R| <= remainder (box_cover). About a point c inside, P(c + h u) for u in [-1, 1]^2 is a
quadratic in u plus at most the sum of |D^a P(c)/a!| h^a, |a| = 3, plus the bounds of the fourth derivatives over the cell.
So f is a quadratic up to O(h^3), and no second derivative is ever asked for in balls.
On a cell where f has kinks there is one P for each branch (branches.py), and one for each gap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq

from approx.certification.box_cover import taylor_cell
from approx.certification.branches import Branch, branches
from approx.certification.mesh import Rectangle
from approx.numbers import arb_interval, float_down, float_up, to_float, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.targets import Target

_UNIT = 2.0**-53
_BITS = 128
_LOW = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)]
_FOURTH = [(4, 0), (3, 1), (2, 2), (1, 3), (0, 4)]
_DEEPEST = 48
#: Cells are enclosed with this margin, relative to the largest coordinate.
MARGIN = 2.0**-43


class Polynomial:
    """One P on a cell, ready for expansion about many points of it."""

    def __init__(self, indices: Sequence[tuple[int, ...]], coefficients: Sequence[float], remainder: float) -> None:
        self.indices = [i for i, p in zip(indices, coefficients, strict=True) if p or not any(i)]
        place = {i: k for k, i in enumerate(self.indices)}
        table = np.zeros((len(self.indices), len(_LOW) + len(_FOURTH)))
        for i, p in zip(indices, coefficients, strict=True):
            if not p:
                continue
            for column, a in enumerate(_LOW + _FOURTH):
                low = (i[0] - a[0], i[1] - a[1])
                if min(low) >= 0:
                    row = place.setdefault(low, len(self.indices))
                    if row == len(self.indices):
                        self.indices.append(low)
                        table = np.concatenate([table, np.zeros((1, table.shape[1]))])
                    table[row, column] = p * math.comb(i[0], a[0]) * math.comb(i[1], a[1])
        self.table = table[:, : len(_LOW)]
        sizes = np.abs(table).sum(axis=0) * (1 + 2.0**-30)
        self.fourth = sizes[len(_LOW) :]
        degree = max(sum(i) for i in self.indices)
        self.rounding = (2 * len(self.indices) + 8 * degree + 16) * _UNIT * sizes[: len(_LOW)]
        # Bounds of the first derivatives over the cell, in the cell's own scale.
        self.slopes = sizes[1:3]
        self.remainder = remainder

    def expand(self, s: np.ndarray, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """((6, n) coefficients of 1, u, w, uu, uw, ww; slack (n,)) about the points s (2, n) with h = ratio (2, n)."""
        degree = max(max(i) for i in self.indices)
        powers = [np.ones_like(s)]
        for _ in range(degree):
            powers.append(powers[-1] * s)
        monomials = np.stack([powers[i][0] * powers[j][1] for i, j in self.indices])
        values = self.table.T @ monomials
        scales = [np.ones_like(ratio), ratio, ratio * ratio]
        scales += [scales[2] * ratio, scales[2] * scales[2]]
        slack = np.full(s.shape[1], self.remainder)
        result = np.empty((6, s.shape[1]))
        for k, (i, j) in enumerate(_LOW):
            scale = scales[i][0] * scales[j][1]
            slack += self.rounding[k] * scale
            if k < 6:
                result[k] = values[k] * scale
            elif self.table[:, k].any():
                slack += np.abs(values[k]) * scale
        for k, (i, j) in enumerate(_FOURTH):
            if self.fourth[k]:
                slack += self.fourth[k] * scales[i][0] * scales[j][1]
        return result, slack * (1 + 2.0**-40)


@dataclass
class Piece:
    """One branch of f on a cell: its polynomial, those of the gaps of its kinks, and the jumps (branches.py)."""

    signs: tuple[int, ...]
    function: Polynomial
    gaps: tuple[Polynomial, ...]
    jumps: tuple[float, ...]


@dataclass
class PlaneCell:
    """f on one rectangle."""

    rectangle: Rectangle
    centre: np.ndarray
    half: np.ndarray
    pieces: list[Piece]
    depth: int
    children: tuple[int, int] | None = None

    @property
    def remainder(self) -> float:
        """The largest remainder of a branch."""
        return max(p.function.remainder for p in self.pieces)

    @property
    def wide(self) -> bool:
        """Whether the cell is halved across its width."""
        return self.rectangle.right - self.rectangle.left >= self.rectangle.top - self.rectangle.bottom

    @property
    def middle(self) -> float:
        """Where it is halved."""
        r = self.rectangle
        return 0.5 * (r.left + r.right) if self.wide else 0.5 * (r.bottom + r.top)

    def expand(self, p: Polynomial, centre: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p about centres (2, n) with half-widths (2, n), see Polynomial.expand."""
        return p.expand((centre - self.centre[:, None]) / self.half[:, None], half / self.half[:, None])


class PlaneCover:
    """The cells of a target of two variables on its domain; `roots` tile it, every cell can be halved on demand."""

    def __init__(self, target: Target, tolerance: float, most: int = 400) -> None:
        self.target = target
        self.sides = [(fmpq(a), fmpq(b)) for a, b in zip(target.domain.lower, target.domain.upper, strict=True)]
        (left, right), (bottom, top) = ((float_down(a), float_up(b)) for a, b in self.sides)
        self.cells: list[PlaneCell] = []
        self.order = 6
        whole = Rectangle(left, right, bottom, top)
        for order in (2, 3, 4, 6):
            self.order = order
            first = self._cell(whole, 0)
            if first.remainder == 0.0:
                break
        self.cells.append(first)
        self.roots = self._refined(tolerance, most)

    @property
    def infinite(self) -> int:
        """How many cells have no finite remainder."""
        return sum(not math.isfinite(c.remainder) for c in self.cells)

    def _refined(self, tolerance: float, most: int) -> list[int]:
        """Halve the cells with the largest remainders, as long as halving helps."""
        roots = [0]
        while len(roots) < most:
            worst = max(roots, key=lambda k: (self.cells[k].remainder, -k))
            if not self.cells[worst].remainder > tolerance:
                break
            halves = self.halve(worst)
            if halves is None:
                break
            roots.remove(worst)
            roots += halves
        return sorted(roots)

    def halve(self, number: int) -> tuple[int, int] | None:
        """The numbers of both halves of a cell, or None where it is too small."""
        cell = self.cells[number]
        if cell.children is None:
            r, m = cell.rectangle, cell.middle
            low, high = (r.left, r.right) if cell.wide else (r.bottom, r.top)
            if cell.depth >= _DEEPEST or not low < m < high:
                return None
            if cell.wide:
                parts = Rectangle(r.left, m, r.bottom, r.top), Rectangle(m, r.right, r.bottom, r.top)
            else:
                parts = Rectangle(r.left, r.right, r.bottom, m), Rectangle(r.left, r.right, m, r.top)
            count = len(self.cells)
            self.cells += [self._cell(part, cell.depth + 1) for part in parts]
            cell.children = (count, count + 1)
        return cell.children

    def _cell(self, r: Rectangle, depth: int) -> PlaneCell:
        sides = []
        for (low, high), (a, b) in zip(self.sides, ((r.left, r.right), (r.bottom, r.top)), strict=True):
            # Rounded corners of the domain reach beyond it, and f is only asked for inside; the margin around the other
            # sides is for points that rounded cuts put on the wrong side (polygon_bounds).
            margin = to_fmpq(MARGIN) * max(abs(low), abs(high))
            sides.append((max(low, to_fmpq(a) - margin), min(high, to_fmpq(b) + margin)))
        indices = tuple(i for i in itertools.product(range(self.order + 1), repeat=2) if sum(i) <= self.order)
        with working_precision(_BITS):
            box = [arb_interval(a, b) for a, b in sides]
            found = [self._piece(branch, sides, indices) for branch in branches(self.target, box)]
            if not found:
                found = [Piece((), self._polynomial(self.target, sides, indices), (), ())]
        centre = np.array([to_float((a + b) / 2) for a, b in sides])
        half = np.array([_reach(a, b, c) for (a, b), c in zip(sides, centre, strict=True)])
        return PlaneCell(r, centre, half, found, depth)

    def _piece(self, branch: Branch, sides: list, indices: tuple) -> Piece:
        gaps = tuple(self._polynomial(g, sides, indices) for g in branch.gaps)
        return Piece(branch.signs, self._polynomial(branch.function, sides, indices), gaps, branch.jumps)

    def _polynomial(self, function: Any, sides: list, indices: tuple) -> Polynomial:
        _, _, flat, remainder = taylor_cell(function, tuple(sides), indices, self.order)
        return Polynomial(indices, flat, remainder)


def _reach(a: fmpq, b: fmpq, centre: float) -> float:
    exact = to_fmpq(float(centre))
    return float_up(max(b - exact, exact - a))
