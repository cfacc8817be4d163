"""What f is on boxes: a polynomial per cell of a grid with a proved remainder, and its expansion about sub-boxes.

Statement. On the cell with centre c and half-widths h, f(c + h*s) = sum_{|a| <= n} p_a s^a + R, |R| <= remainder for s in
[-1, 1]^d: Taylor's theorem, the coefficients p_a = D^a f(c)/a! h^a enclosed by ball jets at c, the remainder by the jets of
order n + 1 over the whole cell. Where f is not smooth on a cell, it is represented by a constant and its range.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb, fmpq

from approx.numbers import arb_interval, float_down, float_up, to_float, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.certification.budget import Work
    from approx.targets import Target

Index = tuple[int, ...]
_BITS = 128


@dataclass(frozen=True)
class BoxCover:
    """Polynomials on cells: float64 coefficients (cells, monomials) in the scaled variable s, and remainders.

    lower, upper: the ends of the cells (cells, inputs), rounded outwards where they are no float64 numbers.
    """

    indices: tuple[Index, ...]
    centres: np.ndarray
    halves: np.ndarray
    coefficients: np.ndarray
    remainders: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def expand(self, cell: np.ndarray, centre: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(coefficients in u, rounding bound) with p(centre + half*u) = sum q_a u^a on sub-boxes of the given cells.

        Everything is vectorised over the boxes (rows). The bound covers the float64 roundings of this expansion.
        """
        d = centre.shape[1]
        shift = (centre - self.centres[cell]) / self.halves[cell]
        ratio = half / self.halves[cell]
        coefficients = self.coefficients[cell].copy()
        sizes = np.abs(coefficients)
        for axis in range(d):
            coefficients = self._shift(coefficients, axis, shift[:, axis], ratio[:, axis])
            sizes = self._shift(sizes, axis, np.abs(shift[:, axis]), ratio[:, axis])
        operations = 8.0 * (1 + max(sum(i) for i in self.indices)) ** 2
        return coefficients, operations * 2.0**-53 * sizes.sum(axis=1) + 2.0**-1000

    def _shift(self, coefficients: np.ndarray, axis: int, shift: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Substitute s_axis = shift + ratio*u_axis: repeated synthetic division, then scaling."""
        place = {a: k for k, a in enumerate(self.indices)}
        order = max(a[axis] for a in self.indices)
        result = coefficients.copy()
        for start in range(order):
            for power in range(order - 1, start - 1, -1):
                for a, k in place.items():
                    if a[axis] == power:
                        higher = place.get((*a[:axis], power + 1, *a[axis + 1 :]))
                        if higher is not None:
                            result[:, k] += shift * result[:, higher]
        scale = ratio[:, np.newaxis] ** np.array([a[axis] for a in self.indices])[np.newaxis, :]
        return result * scale


def box_cover(
    target: Target, tolerance: float, order: int = 7, most_cells: int = 1024, places: Sequence[np.ndarray] = (),
    work: Work | None = None,
) -> BoxCover:  # fmt: skip
    """A cover of the target's domain by cells that are halved until the remainder meets the tolerance.

    Cells are split where the remainder is largest, at most `most_cells` of them; the remainders of what is left say
    truly how good the cover is (inf where f is not finite). They are cut in the middle, or at the nearest of the `places`
    of that axis if one lies in the middle half. No cell is split once `work` is exhausted.
    """
    d = target.dimension
    indices = tuple(a for a in itertools.product(range(order + 1), repeat=d) if sum(a) <= order)
    root = tuple((to_fmpq(lo), to_fmpq(hi)) for lo, hi in zip(target.domain.lower, target.domain.upper, strict=True))
    cells = [taylor_cell(target, root, indices, order)]
    while len(cells) < most_cells and not (work and work.exhausted):
        worst = max(range(len(cells)), key=lambda k: cells[k][3])
        if not cells[worst][3] > tolerance:
            break
        sides = cells.pop(worst)[0]
        axis = max(range(d), key=lambda i: to_float(sides[i][1] - sides[i][0]))
        lo, hi = sides[axis]
        at = _near_middle(lo, hi, places[axis] if places else ())
        for part in ((lo, at), (at, hi)):
            cells.append(taylor_cell(target, (*sides[:axis], part, *sides[axis + 1 :]), indices, order))
    centres = np.array([[to_float((a + b) / 2) for a, b in c[0]] for c in cells])
    halves = np.array([_halves(c[0]) for c in cells])
    lower = np.array([[float_down(a) for a, _ in c[0]] for c in cells])
    upper = np.array([[float_up(b) for _, b in c[0]] for c in cells])
    coefficients, remainders = np.array([c[2] for c in cells]), np.array([c[3] for c in cells])
    return BoxCover(indices, centres, halves, coefficients, remainders, lower, upper)


def _near_middle(lo: fmpq, hi: fmpq, places: Any) -> fmpq:
    middle = (lo + hi) / 2
    if not len(places):
        return middle
    at = to_fmpq(float(min(places, key=lambda x: abs(x - to_float(middle)))))
    return at if abs(at - middle) <= (hi - lo) / 4 else middle


def taylor_cell(target: Target, sides: tuple, indices: tuple[Index, ...], order: int) -> tuple:
    """(sides, None, float64 coefficients, remainder) of one cell; the centre and half-widths used are float64 numbers."""
    with working_precision(_BITS):
        centre = [to_fmpq(to_float((a + b) / 2)) for a, b in sides]
        half = [to_fmpq(h) for h in _halves(sides)]
        box = [arb_interval(a, b) for a, b in sides]
        flat = [0.0] * len(indices)
        jet = target.jet([arb(c) for c in centre], order)
        high = target.jet(box, order + 1)
        if all(v.is_finite() for v in jet.values()) and all(v.is_finite() for v in high.values()):
            error = arb(0)
            for k, a in enumerate(indices):
                exact = jet[a] * _power(half, a)
                flat[k] = float(exact.mid())
                # Beyond the largest float64 number there is no model, only the range of f.
                error += abs(exact - arb(to_fmpq(flat[k]))) if isfinite(flat[k]) else arb("inf")
            for a, value in high.items():
                if sum(a) == order + 1:
                    error += abs(value) * _power(half, a)
            bound = float_up(error.upper()) if error.is_finite() else float("inf")
            natural = _natural(target, box)
            if isfinite(bound) and bound <= natural[1]:
                return sides, None, flat, bound
        middle, radius = _natural(target, box)
        flat = [0.0] * len(indices)
        flat[indices.index((0,) * len(sides))] = middle
        return sides, None, flat, radius


def _halves(sides: tuple) -> list[float]:
    """Half-widths that reach both sides from the rounded centre."""
    centres = [to_fmpq(to_float((a + b) / 2)) for a, b in sides]
    return [float_up(max(b - c, c - a)) for (a, b), c in zip(sides, centres, strict=True)]


def _natural(target: Target, box: list[arb]) -> tuple[float, float]:
    value = target.ball(box)
    if not value.is_finite():
        return 0.0, float("inf")
    middle = float(value.mid())
    if not isfinite(middle):
        return 0.0, float("inf")
    return middle, float_up(abs(value - arb(to_fmpq(middle))).upper())


def _power(base: list[fmpq], exponents: Index) -> arb:
    result = arb(1)
    for b, e in zip(base, exponents, strict=True):
        result *= arb(b) ** e
    return result
