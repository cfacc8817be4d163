"""How far is a reflected interpolant from a smooth f of 2 or 3 variables, rigorously? A quadratic on every fine cell.

Statement. Let x lie in a box of sides h_k, one of the 2^(d l) into which a fine cell is cut, e = P - f at its corners,
B = (h_k h_l D_k D_l f) at its centre, |change of B_kl on the box| <= R_kl. On each simplex of the box, with vertices v, weights
mu_v of x and u in [0, 1]^d the place of x,
    (P - f)(x) = sum mu_v e_v + 1/2 sum_v mu_v (v - u)' B (v - u) + rest,    |rest| <= sum_{k,l} R_kl / 8
(_hoelder_patch_plan). sum_v mu_v (v - u)_k (v - u)_l = min(u_k, u_l) - u_k u_l, so up to the rest this is the E of
_cell_quadratics, of which the largest value is known. Boxes whose bound is more than half a per cent above the largest value
that was found are halved; the upper bound is proved whatever that value is. Source: derived.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from flint import fmpq

from approx.certification.budget import Work
from approx.targets import Target
from constructions.relu._cell_quadratics import largest_on_cells, place_on_cell, total_bend, unfolded
from constructions.relu._hoelder_patch_plan import BentPatches, between_nodes
from constructions.relu._patch_enclosure import halved
from constructions.relu._patch_plan import grid_numerators
from constructions.relu._reflected import reflected_values
from constructions.relu._smooth_boxes import smooth_boxes

Array = np.ndarray
_ENOUGH, _LEVELS, _CHUNK = 1.004, 8, 1 << 16


class BendSearch:
    """The search: `upper` is proved, `places` (in the unit box) are exact points where the error is large.

    When the budget of `work` is exhausted, boxes keep the bound that they have.
    """

    def __init__(self, plan: BentPatches, target: Target, work: Work) -> None:
        self._plan, self._work, self._values = plan, work, smooth_boxes(target, plan.pieces)
        self._best, self._settled, self._rounding = 0.0, 0.0, plan.slop()
        self.places: list[list[fmpq]] = [[fmpq(0)] * plan.dimension]
        self._corners = np.array(list(np.ndindex(*(2,) * plan.dimension)))
        plain = self._run(between_nodes(target, plan.pieces))
        # Every bound rests on values at corners, which err by at most `rounding`.
        self.upper = (max(self._settled, self._limit()) + self._rounding) * (1 + 2.0**-30)
        self.upper = min(self.upper, (plain + self._rounding) * (1 + 2.0**-44))
        if not math.isfinite(self.upper):
            self.upper = math.inf

    def _limit(self) -> float:
        """What is settled: nearly the largest error, or hardly more than rounding."""
        return max(self._best * _ENOUGH, self._best + 4 * self._rounding)

    def _errors(self, numerators: Array, level: int) -> Array:
        """P - f at the points (n, d) in units of fine steps / 2^level, up to the rounding that is kept."""
        values, error = self._values.values(numerators, self._plan.pieces << level)
        self._rounding = max(self._rounding, error + self._plan.slop())
        self._work.count("structural", len(numerators))
        if level == 0:
            return self._plan.at_nodes(numerators) - values
        places = numerators / 2.0**level
        coded = reflected_values(self._plan.levels, places)
        return self._plan.affine(places) + self._plan.quantum * coded - values

    def _run(self, between: float) -> float:
        """Settle all cells; returns the bound of the plan, the largest error at nodes plus `between`."""
        pieces, d = self._plan.pieces, self._plan.dimension
        shape = (pieces + 1,) * d
        nodes = self._errors(grid_numerators(pieces, d), 0)
        worst = np.abs(nodes).reshape(shape)
        plain = float(worst.max()) + between
        self._note(float(worst.max()), np.array(np.unravel_index(int(worst.argmax()), shape)), 0)
        for axis in range(d):  # of every cell, the largest error at its corners
            ends = [tuple(slice(c, c + pieces) if k == axis else slice(None) for k in range(d)) for c in (0, 1)]
            worst = np.maximum(worst[ends[0]], worst[ends[1]])
        order = np.flatnonzero(~(worst.ravel() + between <= self._limit()))
        order = order[np.argsort(-worst.ravel()[order], kind="stable")]
        for start in range(0, len(order), _CHUNK):
            part = order[start : start + _CHUNK]
            part = part[~(worst.ravel()[part] + between <= self._limit())]
            if len(part) == 0:
                break
            cells = np.stack(np.unravel_index(part, (pieces,) * d), axis=-1)
            corners = [np.ravel_multi_index(tuple((cells + c).T), shape) for c in self._corners]
            self._refine(cells, np.stack([nodes[c] for c in corners], axis=-1))
        return plain

    def _note(self, value: float, place: Array, level: int, inside: list[fmpq] | None = None) -> None:
        """Keep a place of a larger error than all so far: a corner of a box, or a point inside."""
        if value > self._best:
            self._best, total = value, self._plan.pieces << level
            shares = inside or [fmpq(0)] * len(place)
            self.places.append([(int(n) + u) / fmpq(total) for n, u in zip(place.tolist(), shares, strict=True)])

    def _refine(self, boxes: Array, errors: Array) -> None:
        """Settle the boxes (n, d), fine cells with errors (n, 2^d) at their corners; depth first, in small parts."""
        stack = [(boxes, errors, 0)]
        while stack:
            boxes, errors, level = stack.pop()
            bound = self._bounds(boxes, errors, level)
            still = bound > self._limit()
            if not still.any():
                continue
            if level + 1 == _LEVELS or self._work.exhausted:
                self._settled = max(self._settled, float(bound[still].max()))
                continue
            boxes, errors = boxes[still], errors[still]
            for start in range(0, len(boxes), _CHUNK >> 2):
                part = slice(start, start + (_CHUNK >> 2))
                inner = partial(self._errors, level=level + 1)
                stack.append((*halved(boxes[part], errors[part], inner), level + 1))

    def _bounds(self, boxes: Array, errors: Array, level: int) -> Array:
        """Proved bounds of the error on the boxes; the largest value that they show is kept with its place."""
        total = self._plan.pieces << level
        bends, change = self._values.bends(2 * boxes + 1, 2 * total, total)
        errors, bends = unfolded(errors, bends, (boxes >> level) & 1)
        value, slack = largest_on_cells(errors, bends)
        rest = slack + total_bend(change) / 8
        worst = int((value - rest).argmax())
        if value[worst] - rest[worst] > self._best:
            u = place_on_cell(errors[worst], bends[:, worst])
            odd = ((boxes[worst] >> level) & 1).tolist()
            inside = [1 - v if o else v for v, o in zip(u, odd, strict=True)]
            self._note(float(value[worst] - rest[worst]), boxes[worst], level, inside)
        return np.nan_to_num((value + rest) * (1 + 2.0**-40), nan=np.inf)


def bent_values(plan: BentPatches, target: Target, points: Array) -> Array:
    """P in float64 at points (n, d) of the box; no bound of rounding."""
    ends = target.domain.floats()
    places = np.clip((points - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) * plan.pieces, 0, plan.pieces)
    return plan.affine(places) + plan.quantum * reflected_values(plan.levels, places)
