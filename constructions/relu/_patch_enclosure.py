"""How far is the reflected interpolant of a plan from f, rigorously? Branch and bound on boxes that the triangulation respects.

Statement. Cut every fine cell into 2^(d l) boxes of sides delta_k. P is linear on each of the d! simplices of a box, whose
vertices are corners of the box, so with e = f - P, x in such a simplex and mu its barycentric coordinates
    |e(x)| <= max_corners |e| + |sum_v mu_v (f(x) - f(v))|.
The last term is at most C (d delta/(d+1))^a (_patch_plan); and, with partial slopes of f in [m_k, M_k] on the box, at most
sum_k (M_k - m_k) delta_k / 4: subtract the linear function of slopes (m_k + M_k)/2, which the sum does not see; the rest has
slopes within (M_k - m_k)/2, and sum_v mu_v |x_k - v_k| <= delta_k/2 because v_k takes the two ends only. Boxes are halved until
their bound is within half a per cent of the largest error that was found. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from flint import fmpq

from approx.certification.budget import Work
from approx.numbers import float_up
from approx.targets import Target
from constructions.relu._node_values import node_values
from constructions.relu._patch_plan import PatchPlan, between_nodes
from constructions.relu._reflected import reflected_values
from constructions.relu._step_slopes import step_slopes

_ENOUGH, _LEVELS = 1.004, 10
_CHUNK, _PART = 1 << 17, 1 << 14
#: Cells per axis of the blocks on which slopes are asked for first: where f has no kink they settle most cells at once.
_BLOCK = 4


class PatchSearch:
    """The search: `upper` is proved, `places` (in the unit box) are exact points of large error, `best` is the largest.

    When the budget of `work` is exhausted, boxes keep the bound that they have.
    """

    def __init__(self, plan: PatchPlan, target: Target, work: Work) -> None:
        self._plan, self._target, self._work = plan, target, work
        self.best, self._settled, self._rounding = 0.0, 0.0, plan.slop()
        self.places: list[list[fmpq]] = []
        self._sides = [float_up((high - low) / plan.pieces) for low, high in target.domain]
        self._corners = np.array(list(np.ndindex(*(2,) * plan.dimension)))
        self._run()
        # Every bound rests on values at corners, which err by at most `rounding`.
        self.upper = (max(self._settled, self._limit()) + self._rounding) * (1 + 2.0**-30)
        if not math.isfinite(self.upper):
            self.upper = math.inf

    def _limit(self) -> float:
        """What is settled: nearly the largest error, or hardly more than rounding."""
        return max(self.best * _ENOUGH, self.best + 16 * self._rounding)

    def _errors(self, numerators: np.ndarray, level: int) -> np.ndarray:
        """|f - P| at the points (n, d) in units of fine steps / 2^level, up to the rounding that is kept."""
        values, error = node_values(self._target, numerators, self._plan.pieces << level)
        self._rounding = max(self._rounding, error + self._plan.slop())
        self._work.count("structural", len(numerators))
        levels = self._plan.levels
        # Nodes are where P is what the plan says, without a triangulation.
        coded = reflected_values(levels, numerators / 2.0**level) if level else levels[tuple(numerators.T)]
        found = np.abs(values - (self._plan.base + self._plan.quantum * coded))
        worst = int(found.argmax())
        if found[worst] > self.best:
            self.best = float(found[worst])
            total = self._plan.pieces << level
            self.places.append([fmpq(int(n), total) for n in numerators[worst].tolist()])
        return found

    def _run(self) -> None:
        pieces, d = self._plan.pieces, self._plan.dimension
        shape = (pieces + 1,) * d
        nodes = np.empty(math.prod(shape))
        for start in range(0, len(nodes), _CHUNK):
            part = np.arange(start, min(start + _CHUNK, len(nodes)))
            nodes[part] = self._errors(np.stack(np.unravel_index(part, shape), axis=-1), 0)
        worst = nodes.reshape(shape)
        for axis in range(d):  # of every cell, the largest error at its corners
            ends = [tuple(slice(c, c + pieces) if k == axis else slice(None) for k in range(d)) for c in (0, 1)]
            worst = np.maximum(worst[ends[0]], worst[ends[1]])
        bound = (worst + self._gaps()).ravel()
        order = np.flatnonzero(~(bound <= self._limit()))
        order = order[np.argsort(-bound[order], kind="stable")]
        for start in range(0, len(order), _PART):
            part = order[start : start + _PART]
            part = part[~(bound[part] <= self._limit())]
            if len(part) == 0:
                break
            cells = np.stack(np.unravel_index(part, (pieces,) * d), axis=-1)
            corners = [np.ravel_multi_index(tuple((cells + c).T), shape) for c in self._corners]
            self._refine(cells, np.stack([nodes[c] for c in corners], axis=-1))

    def _gaps(self) -> np.ndarray:
        """What every cell's error may exceed the largest one at its corners by: from slopes on blocks of cells, at first."""
        pieces, d = self._plan.pieces, self._plan.dimension
        exponent, _ = self._target.hoelder()
        gap = between_nodes(self._target, pieces)
        if exponent != 1.0:
            return np.array(gap)
        count = -(-pieces // _BLOCK)
        blocks = np.stack(np.unravel_index(np.arange(count**d), (count,) * d), axis=-1)
        # pieces / _BLOCK is exact; the last blocks reach beyond the box, which only widens their slopes.
        found = np.fmin(gap, self._slope_gap(blocks, pieces / _BLOCK, 0)).reshape((count,) * d)
        for axis in range(d):
            found = np.repeat(found, _BLOCK, axis=axis).take(np.arange(pieces), axis=axis)
        return found

    def _slope_gap(self, boxes: np.ndarray, total: float, level: int) -> np.ndarray:
        """The bound by partial slopes of fine cells / 2^level in boxes (n, d) of width 1/total."""
        least, greatest = step_slopes(self._target, boxes, total)
        sides = np.array(self._sides)[:, np.newaxis] / 2.0**level
        return np.asarray(((greatest - least) * sides).sum(axis=0) / 4 * (1 + 2.0**-40))

    def _refine(self, boxes: np.ndarray, errors: np.ndarray) -> None:
        """Settle the boxes (n, d), fine cells with errors (n, 2^d) at their corners; depth first, in small parts."""
        stack = [(boxes, errors, 0)]
        while stack:
            boxes, errors, level = stack.pop()
            bound = self._bounds(boxes, errors, level)
            still = ~(bound <= self._limit())
            if not still.any():
                continue
            if level + 1 == _LEVELS or self._work.exhausted:
                self._settled = max(self._settled, float(bound[still].max()))
                continue
            boxes, errors = boxes[still], errors[still]
            if len(boxes) > _PART:
                cut = [slice(i, i + _PART) for i in range(0, len(boxes), _PART)]
                stack += [(boxes[c], errors[c], level) for c in reversed(cut)]
            else:
                stack.append((*halved(boxes, errors, partial(self._errors, level=level + 1)), level + 1))

    def _bounds(self, boxes: np.ndarray, errors: np.ndarray, level: int) -> np.ndarray:
        exponent, _ = self._target.hoelder()
        worst = errors.max(axis=1)
        bound = worst + between_nodes(self._target, self._plan.pieces << level)
        close = np.flatnonzero(~(bound <= self._limit()))
        if exponent == 1.0 and len(close):
            gap = self._slope_gap(boxes[close], self._plan.pieces << level, level)
            bound[close] = np.fmin(bound[close], worst[close] + gap)
        return np.asarray(bound)


def halved(
    boxes: np.ndarray, errors: np.ndarray, corner_errors: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The 2^d halves of every box and the errors at their corners; known corners are not evaluated again."""
    d = boxes.shape[1]
    lattice, corners = np.array(list(np.ndindex(*(3,) * d))), np.array(list(np.ndindex(*(2,) * d)))
    known = (lattice % 2 == 0).all(axis=1)
    found = np.empty((len(boxes), len(lattice)))
    found[:, known] = errors
    fresh = (2 * boxes[:, np.newaxis, :] + lattice[~known]).reshape(-1, d)
    found[:, ~known] = corner_errors(fresh).reshape(len(boxes), -1)
    powers = 3 ** np.arange(d - 1, -1, -1)
    halves = [found[:, (corner + corners) @ powers] for corner in corners]
    return np.concatenate([2 * boxes + corner for corner in corners]), np.concatenate(halves)


def patch_values(plan: PatchPlan, target: Target, points: np.ndarray) -> np.ndarray:
    """P in float64 at points (n, d) of the box; no bound of rounding."""
    ends = target.domain.floats()
    places = np.clip((points - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) * plan.pieces, 0, plan.pieces)
    return plan.base + plan.quantum * reflected_values(plan.levels, places)
