"""How far are blended cell polynomials from f, rigorously? Taylor polynomials of the error on every cell, branch and bound.

On the core of a cell with polynomial P, f - P = E + R: E has Taylor's coefficients of f at the cell's centre up to an order
n, in balls, less those of P, and |R| <= R_n from derivative bounds of order n + 1. In the middle of a cell the network is P; on
the strips where cores overlap (_cell_grid) it is the blend of the cells' polynomials with weights that fall from 1 to 0 along
one axis, 1 - slope (x - a)^p, to the power p: so f - network is the same blend of the E, and an R. On a box of half widths
r_k around u, |E - E(u)| <= sum over beta > 0 of |E^(beta)(u)/beta!| r^beta. Boxes are halved along their longest side until
their bound is within half a per cent of the largest error that was found.
Rounding: coefficients are at most |e|, places at most 1, and fewer than 2^8 operations are made with each: all of it is below
2^-44 sum |e_alpha|, which is added. Source: derived.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.errors import UnreachableError
from approx.numbers import float_down, float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._cell_grid import Axis
from constructions.relu._cell_polynomials import Index, centres, minimal_sup, multi_indices, tail_bound

_ENOUGH, _PART = 1.004, 1 << 14
#: The remainder should be this small a part of the leading terms; orders beyond the polynomials' are taken for it.
_NEGLIGIBLE = 2.0**-11
#: At most so many orders more, by the number of variables (derivative bounds become dear in three).
_MORE = {1: 6, 2: 6, 3: 2}
_ROUNDING = 2.0**-44
#: Half the width of the strips and of the middles of cells, in cells.
_HALF = (15 / 32, 1 / 32)


class BlendSearch:
    """The search: `upper` is proved; `places` are exact points of large error (the largest, `best`, is the last).

    Raises UnreachableError when time is over before there is a bound, and where no derivative bound is finite.
    """

    def __init__(
        self,
        axes: list[Axis],
        coefficients: dict[Index, dict[Index, Any]],
        power: int,
        target: Target,
        work: Work,
    ) -> None:
        self._axes, self._power, self._target, self._work = axes, power, target, work
        self._cells = tuple(axis.cells for axis in axes)
        self.best, self._settled = 0.0, 0.0
        self.places: list[list[fmpq]] = []
        order = 1 + max((sum(a) for c in coefficients.values() for a in c), default=0)
        degree, self._remainder = _degree(target, axes, order, work)
        self._alphas = multi_indices(target.dimension, degree)
        self._errors, radius = self._expanded(coefficients, degree)
        self._slack = _ROUNDING * np.abs(self._errors).sum(axis=1) + radius
        self._run()
        self.upper = (max(self._settled, self._limit()) + self._remainder) * (1 + 2.0**-30)
        if not math.isfinite(self.upper):
            self.upper = math.inf

    def _limit(self) -> float:
        """What is settled: nearly the largest error, or hardly more than rounding."""
        return max(self.best * _ENOUGH, self.best + 4 * float(self._slack.max()))

    def _expanded(self, coefficients: dict[Index, dict[Index, Any]], degree: int) -> tuple[np.ndarray, np.ndarray]:
        """(coefficients of E in cells from the centre, (cells, monomials); bounds of what balls leave open)."""
        total = math.prod(self._cells)
        errors, radius = np.empty((total, len(self._alphas))), np.empty(total)
        with working_precision(96):
            pitch = [to_arb(axis.pitch) for axis in self._axes]
            moved = [math.prod((h**k for h, k in zip(pitch, a, strict=True)), start=arb(1)) for a in self._alphas]
            scale = [to_arb(axis.scale) for axis in self._axes]
            local = [math.prod((s**k for s, k in zip(scale, a, strict=True)), start=arb(1)) for a in self._alphas]
            for family, table in coefficients.items():
                members = [axis.members(p) for axis, p in zip(self._axes, family, strict=True)]
                number = np.ravel_multi_index(np.meshgrid(*members, indexing="ij"), self._cells).ravel().tolist()
                rows = [list(table.get(a, ())) for a in self._alphas]
                for i, point in enumerate(centres(self._axes, family).tolist()):
                    if i % 256 == 0 and self._work.exhausted:
                        raise UnreachableError("power-taylor: the time is over")
                    balls = self._target.jet([to_fmpq(v) for v in point], degree)
                    rest = 0.0
                    for j, a in enumerate(self._alphas):
                        ball = balls[a] - to_arb(rows[j][i]) * local[j] if rows[j] else balls[a]
                        ball *= moved[j]
                        if not ball.is_finite():
                            raise UnreachableError("power-taylor: f has no finite derivative at a centre")
                        errors[number[i], j] = to_float(ball.mid())
                        rest += float_up(ball.rad())
                    radius[number[i]] = rest * (1 + 2.0**-30)
        self._work.count("structural", total)
        return errors, radius

    # -- boxes: (strip or middle per axis), numbers of the lower cells, places and half widths in cells ------------------

    def _run(self) -> None:
        waiting = []
        for strips in itertools.product((0, 1), repeat=len(self._axes)):
            sizes = [axis.cells - strip for axis, strip in zip(self._axes, strips, strict=True)]
            if not all(sizes):
                continue
            cells = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=-1)
            middle = np.tile(np.array(strips) / 2, (len(cells), 1))
            half = np.tile(np.array([_HALF[s] for s in strips]), (len(cells), 1))
            self._reach_ends(cells, middle, half, strips)
            for part in np.array_split(np.arange(len(cells)), len(cells) // _PART + 1):
                waiting.append((strips, cells[part], middle[part], half[part]))
        found = [(self._bounds(*boxes), boxes) for boxes in waiting]
        for bound, boxes in sorted(found, key=lambda pair: -float(pair[0].max())):
            self._refine(bound, boxes)

    def _reach_ends(self, cells: np.ndarray, middle: np.ndarray, half: np.ndarray, strips: Index) -> None:
        """The first and last cells have no strip at the ends of the box: their middles go up to them."""
        for k, (axis, strip) in enumerate(zip(self._axes, strips, strict=True)):
            if strip:
                continue
            low, high = self._target.domain[k]
            first = float_down((low - to_fmpq(axis.start)) / to_fmpq(axis.pitch)) - 0.5
            last = float_up((high - to_fmpq(axis.start)) / to_fmpq(axis.pitch)) - (axis.cells - 0.5)
            at, by = cells[:, k] == 0, _HALF[0]
            middle[at, k], half[at, k] = (first + by) / 2, (by - first) / 2
            at = cells[:, k] == axis.cells - 1
            middle[at, k], half[at, k] = (last - by) / 2, (last + by) / 2
        half *= 1 + 2.0**-50

    def _refine(self, bound: np.ndarray, boxes: Any) -> None:
        """Settle the boxes, depth first."""
        strips, stack = boxes[0], [(bound, boxes[1:])]
        while stack:
            bound, parts = stack.pop()
            still = ~(bound <= self._limit())
            if not still.any():
                continue
            if self._work.exhausted:
                self._settled = max(self._settled, float(bound[still].max()))
                continue
            cells, middle, half = (part[still] for part in parts)
            rows, axis = np.arange(len(cells)), half.argmax(axis=1)
            half[rows, axis] /= 2
            step = np.zeros_like(half)
            step[rows, axis] = half[rows, axis]
            children = (
                np.concatenate([cells, cells]),
                np.concatenate([middle - step, middle + step]),
                np.tile(half, (2, 1)),
            )
            bounds = self._bounds(strips, *children)
            for cut in np.array_split(np.argsort(bounds), len(bounds) // _PART + 1):
                stack.append((bounds[cut], tuple(part[cut] for part in children)))

    def _bounds(self, strips: Index, cells: np.ndarray, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Upper bounds of |sum of weights times E| on the boxes; the largest value at a middle is remembered."""
        self._work.count("structural", len(cells))
        ranges: dict[Index, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for side in itertools.product(*[(0, 1) if s else (0,) for s in strips]):
            number = np.ravel_multi_index(tuple((cells + side).T), self._cells)
            value, spread = self._ranges(number, middle - side, half)
            ranges[side] = value, value - spread, value + spread
        for k in reversed([k for k, s in enumerate(strips) if s]):
            at, least, most = (self._falling(k, middle[:, k] + c * half[:, k], c) for c in (0, 1, -1))
            joined = {}
            for side in {(*s[:k], 0, *s[k + 1 :]) for s in ranges}:
                one, two = ranges[side], ranges[(*side[:k], 1, *side[k + 1 :])]
                ends = [[w * one[i] + (1 - w) * two[i] for w in (least, most)] for i in (1, 2)]
                joined[side] = at * one[0] + (1 - at) * two[0], np.minimum(*ends[0]), np.maximum(*ends[1])
            ranges = joined
        [(value, low, high)] = ranges.values()
        self._remember(np.abs(value), cells, middle)
        bound = np.maximum(-low, high) * (1 + 2.0**-40)
        return np.where(np.isfinite(bound), bound, np.inf)

    def _ranges(self, number: np.ndarray, place: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(E at the places, from the centres of these cells; bounds of |E - E(place)| on the boxes, rounding included)."""
        terms = dict(zip(self._alphas, self._errors[number].T, strict=True))
        degree = sum(self._alphas[-1])
        for k in range(len(self._axes)):  # Taylor's shift along one axis after the other, by Horner's rule
            for rest in {(*a[:k], 0, *a[k + 1 :]) for a in self._alphas}:
                line = [(*rest[:k], j, *rest[k + 1 :]) for j in range(degree - sum(rest) + 1)]
                for first in range(len(line) - 1):
                    for j in range(len(line) - 2, first - 1, -1):
                        terms[line[j]] = terms[line[j]] + place[:, k] * terms[line[j + 1]]
        spread = self._slack[number]
        for a in self._alphas[1:]:
            spread = spread + np.abs(terms[a]) * math.prod(half[:, k] ** e for k, e in enumerate(a) if e)
        return terms[self._alphas[0]], spread

    def _falling(self, k: int, place: np.ndarray, side: int) -> np.ndarray:
        """The weight of the lower cell on a strip, at a place from its centre: rounded up (-1), down (1), or not (0)."""
        h, p = self._axes[k].pitch, self._power
        slope = float_up(to_fmpq(float_up(1 / (to_fmpq(h) / 16))) ** p) * h**p
        value = np.maximum(1 - slope * np.maximum(place - _HALF[0], 0.0) ** p, 0.0) ** p
        return np.clip(value - side * 2.0**-40, 0.0, 1.0)

    def _remember(self, values: np.ndarray, cells: np.ndarray, middle: np.ndarray) -> None:
        worst = int(values.argmax())
        if values[worst] > self.best:
            self.best = float(values[worst])
            x = []
            for k, axis in enumerate(self._axes):
                place = to_fmpq(float(middle[worst, k])) + int(cells[worst, k]) + fmpq(1, 2)
                low, high = self._target.domain[k]
                x.append(min(max(to_fmpq(axis.start) + place * to_fmpq(axis.pitch), low), high))
            self.places.append(x)


def _degree(target: Target, axes: list[Axis], order: int, work: Work) -> tuple[int, float]:
    """(n, R_n): the least order whose remainder is small beside the leading terms of f - P, from derivative bounds."""
    leading = 0.0
    for a in multi_indices(target.dimension, order):
        if sum(a) == order:
            size = target.derivative_bound(a, rtol=0.3) * minimal_sup(a)
            leading += size / math.prod(math.factorial(k) * axis.scale**k for k, axis in zip(a, axes, strict=True))
    best = (order, math.inf)
    for degree in range(order, order + _MORE[target.dimension] + 1):
        if work.exhausted:
            break
        rest = tail_bound(target, axes, degree)
        if rest < best[1]:
            best = degree, rest
        if rest <= _NEGLIGIBLE * leading:
            break
    if not math.isfinite(best[1]):
        raise UnreachableError("power-taylor: no bound of derivatives is finite")
    return best
