"""How far are Coons patches of coded values from a smooth f, rigorously? A polynomial on every fine cell, and a small rest.

Statement (_coons_plan). On a fine cell f - P is the bilinear function of its values e at the corners, plus
    (1 - v) B_0(u) + v B_1(u) + (1 - u) C_0(v) + u C_1(v),    B, C = (1 - I) f - lambda (bubble of Q) on the four edges,
plus (1 - I_1)(1 - I_2) f, at most T. On an edge with middle m and h = 1, c_j = D^j f(m)/j! along it, B is the bubble of the
errors e in its window plus what c_j (x - m)^j, j = r .. r + t - 1, leave, up to missed(r) times what the Taylor polynomial of
D^r f of degree t - 1 about m lacks on the window: at most max |D^(r+t) f| s^t/t! at distances s <= r - 3/2, or r - 1/2 on edges
between patches, where means of two such are taken (_coons_curves, for f less these terms). t is as large as it helps.
So but for this rest f - P is a polynomial that is known on each cell: its Bernstein coefficients, on the cell and, where that
is not enough, on 64 parts of it, bound it. Source: derived.
"""

from __future__ import annotations

import math
from functools import cache
from math import comb, factorial

import numpy as np
from flint import fmpq, fmpq_poly

from approx.certification.budget import Work
from approx.numbers import to_float
from approx.targets import Target
from constructions.relu._coons_curves import missed, node_bubble, swing, windows
from constructions.relu._coons_plan import (
    CHUNK,
    CoonsPlan,
    between_nodes,
    derivative_size,
    node_table,
    subtract_plan,
    twist,
    values_for,
)
from constructions.relu._newton_windows import bubbles, pieces

Array = np.ndarray
#: Parts per axis of a cell that is looked at more closely, and how many such cells of a chunk come first.
_PARTS, _FIRST = 8, 500
#: Terms of a Taylor polynomial are taken while more than this share of the r-th derivative is unknown.
_LITTLE, _MOST_TERMS = 0.004, 4


class CoonsSearch:
    """The search: `upper` is proved, `places` (in the unit box) are exact points where the error is large.

    When the budget of `work` is exhausted, cells keep the bound that they have.
    """

    def __init__(self, plan: CoonsPlan, target: Target, work: Work) -> None:
        self._plan, self._target, self._work = plan, target, work
        self._values = values_for(target, plan.order, plan.pieces)
        errors, rounding = node_table(self._values, plan.pieces)
        subtract_plan(errors, plan)
        self._best = float(np.abs(errors).max())
        self.places: list[list[fmpq]] = [
            _place(np.unravel_index(int(np.abs(errors).argmax()), errors.shape), plan.pieces)
        ]
        self._terms = self._enough()
        plain = (1 + 2 * swing(plan.order)) * self._best + between_nodes(target, plan.order, plan.pieces)
        self._grain = 0.0
        settled = self._run(errors) + twist(target, plan.order, plan.pieces)
        # Nodes are looked at whatever the budget is, so that they count afterwards.
        work.count("structural", errors.size)
        # Errors of values grow by Lambda at most.
        rounding = (1 + 2 * swing(plan.order)) * (rounding + plan.slop()) + self._grain
        self.upper = (min(settled * (1 + 2.0**-40), plain) + rounding + plan.gap()) * (1 + 2.0**-40)
        if not np.isfinite(self.upper):
            self.upper = np.inf

    def _size(self, axis: int, more: int) -> float:
        """h^(r + more) max |D^(r + more) f| along an axis."""
        order = self._plan.order + more
        return derivative_size(self._target, (order, 0) if axis == 0 else (0, order), self._plan.pieces)

    def _enough(self) -> int:
        """How many Taylor coefficients c_r, c_(r+1), .. are taken: as many as help, until little is unknown."""
        size, found = self._size(0, 0) + self._size(1, 0), (math.inf, 0)
        for terms in range(_MOST_TERMS + 1 if self._values.expanded else 1):
            share = (self._plan.order - 0.5) ** terms / factorial(terms)
            found = min(found, ((self._size(0, terms) + self._size(1, terms)) * share, terms))
            if found[0] <= _LITTLE * size:
                break
        return found[1]

    def _run(self, errors: Array) -> float:
        """A bound of the polynomials of all cells; rows of cells in parts."""
        plan, settled = self._plan, 0.0
        starts = windows(plan.cells, plan.steps, plan.order)
        rows = max(1, CHUNK // plan.pieces)
        for start in range(0, plan.pieces, rows):
            cells = np.arange(start, min(start + rows, plan.pieces))
            lines = np.arange(start, cells[-1] + 2)
            # Along axis 2 on the lines of nodes around these cells; along axis 1, for the steps that these cells are.
            along, beside = self._edges(errors[lines], starts, np.arange(plan.pieces), lines, 1)
            across, above = self._edges(errors.T, starts, cells, np.arange(plan.pieces + 1), 0)
            corners = errors[lines]
            table = np.concatenate(
                [part[..., np.newaxis] for part in
                 (corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:])]
                + [across[:-1].transpose(1, 0, 2), across[1:].transpose(1, 0, 2), along[:-1], along[1:]],
                axis=-1,
            )  # fmt: skip
            rest = (above[:, np.newaxis] + beside).ravel()
            settled = max(settled, self._settled(table.reshape(-1, table.shape[-1]), rest, start))
        return settled

    def _edges(self, errors: Array, starts: Array, steps: Array, lines: Array, axis: int) -> tuple[Array, Array]:
        """(B/(u (1 - u)) on the edges of these steps on all lines, (lines, steps, degree + 1); the rest of each step).

        `errors`: e (lines, K + 1) along the lines.
        """
        r = self._plan.order
        found = np.zeros((len(lines), len(steps), r - 2 + max(self._terms, 1)))
        for side in starts[:, steps]:
            kappas = steps - side
            for kappa in np.unique(kappas).tolist():
                at = np.flatnonzero(kappas == kappa)
                rows = bubbles(r, kappa, False)
                values = [errors[:, side[at] + j] for j in range(r)]
                for i in range(2, r):
                    change = sum((-1) ** (i - j) * comb(i, j) * values[j] for j in range(i + 1))
                    for l in range(r - 2):
                        if rows[i][l]:
                            found[:, at, l] += to_float(rows[i][l]) / 2 * change
        errors_of_bends = []
        for more in range(self._terms):
            bend, error = self._bends(steps, lines, axis, more)
            errors_of_bends.append(error)
            for side in starts[:, steps]:
                shape = [[to_float(v) / 2 for v in node_bubble(r, k, more)] for k in (steps - side).tolist()]
                found[:, :, : r - 1 + more] += bend[:, :, np.newaxis] * np.array(shape)
        crossing, rests = starts[0, steps] != starts[1, steps], np.empty(len(steps))
        for kind, reach in ((False, r - 1.5), (True, r - 0.5)):
            # Of the r-th derivative at the distance `reach`, when these terms are taken away.
            unknown = self._size(axis, self._terms) * reach**self._terms / factorial(self._terms)
            unknown += sum(error * reach**i / factorial(i) for i, error in enumerate(errors_of_bends))
            rests[crossing == kind] = missed(r, kind) * unknown * (1 + 2.0**-40)
        return found, rests

    def _bends(self, steps: Array, lines: Array, axis: int, more: int) -> tuple[Array, float]:
        """(c_(r + more) at the middles of edges, (lines, steps); proved bound of the errors of (r + more)! c)."""
        order, k = self._plan.order + more, self._plan.pieces
        middles, fixed = np.tile(2 * steps + 1, len(lines)), np.repeat(2 * lines, len(steps))
        places = np.column_stack((middles, fixed) if axis == 0 else (fixed, middles))
        found, error = self._values.derivatives((axis,) * order, places, 2 * k, k)
        return found.reshape(len(lines), len(steps)) / factorial(order), error

    def _settled(self, table: Array, rest: Array, start: int) -> float:
        """A bound of the polynomials of these cells and what is not known of them."""
        degree = self._plan.order - 1 + max(self._terms, 1)
        coarse, fine = _bernstein(degree, 1), _bernstein(degree, _PARTS)
        # What sums of so few products may lose, and the sums that made their terms.
        grain = 2.0**-44 * float(np.abs(table).max()) * float(np.abs(fine).sum(axis=0).max())
        self._grain = self._grain if grain <= self._grain else grain  # NaN is kept
        bound = np.abs(table @ coarse).max(axis=1) + rest
        if not (np.isfinite(bound).all() and np.isfinite(self._grain)):
            return math.inf
        still = np.argsort(-bound, kind="stable")[: int((bound > self._best).sum())]
        settled = float(bound[bound <= self._best].max(initial=0.0))
        while len(still):
            if self._work.exhausted:
                return max(settled, float(bound[still[0]]))
            part, still = still[:_FIRST], still[_FIRST:]
            self._work.count("structural", len(part))
            rough = np.abs(table[part] @ fine).reshape(len(part), _PARTS, _PARTS, degree + 1, -1)
            settled = max(settled, float((rough.max(axis=(1, 2, 3, 4)) + rest[part]).max()))
            self._note(rough[:, :, :, [0, -1]][..., [0, -1]], part, start)
            if len(still) and bound[still[0]] <= max(settled, self._best):
                settled = max(settled, float(bound[still[0]]))
                break
        return settled

    def _note(self, ends: Array, part: Array, start: int) -> None:
        """Keep the place of the largest value at corners of parts of cells."""
        if ends.max() > self._best:
            self._best = float(ends.max())
            cell, p, q, i, j = np.unravel_index(int(ends.argmax()), ends.shape)
            row, column = divmod(int(part[cell]), self._plan.pieces)
            spot = (fmpq(int(p + i), _PARTS) + start + row, fmpq(int(q + j), _PARTS) + column)
            self.places.append([s / self._plan.pieces for s in spot])


def _place(spot: tuple[np.intp, ...], total: int) -> list[fmpq]:
    return [fmpq(int(s), total) for s in spot]


@cache
def _bernstein(degree: int, parts: int) -> Array:
    """(4 + 4 (degree - 1), parts^2 (degree + 1)^2): from what is known of a cell to Bernstein coefficients on its parts.

    Known are e at (0,0), (0,1), (1,0), (1,1), then the degree - 1 coefficients of B_0, B_1 and of C_0, C_1.
    """
    low, high, bubble = fmpq_poly([1, -1]), fmpq_poly([0, 1]), fmpq_poly([0, 1, -1])
    powers = [bubble * fmpq_poly([0] * l + [1]) for l in range(degree - 1)]
    rows = [(p, q) for p in (low, high) for q in (low, high)]
    rows += [(p, side) for side in (low, high) for p in powers]
    rows += [(side, p) for side in (low, high) for p in powers]
    tables = []
    for p, q in rows:
        first, second = (np.array([[to_float(v) for v in piece] for piece in pieces(f, parts, degree)]) for f in (p, q))
        tables.append((first[:, None, :, None] * second[None, :, None, :]).ravel())
    return np.array(tables)


def coons_values(plan: CoonsPlan, target: Target, points: Array) -> Array:
    """P in float64 at points (n, 2) of the box; no bound of rounding."""
    ends = target.domain.floats()
    places = np.clip((points - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) * plan.pieces, 0, plan.pieces)
    cells = np.minimum(places.astype(np.int64), plan.pieces - 1)
    (u, v), (i, j) = (places - cells).T, cells.T
    levels, starts = plan.levels.astype(np.float64), windows(plan.cells, plan.steps, plan.order)
    total = (1 - u) * ((1 - v) * levels[i, j] + v * levels[i, j + 1])
    total += u * ((1 - v) * levels[i + 1, j] + v * levels[i + 1, j + 1])
    for lines, step, line, s, weight in ((levels.T, i, j, u, v), (levels, j, i, v, u)):
        for end in (0, 1):
            share = weight if end else 1 - weight
            total += share * _bubble_at(lines, line + end, step, starts, s, plan.order)
    return plan.affine(places) + plan.quantum * total


def _bubble_at(lines: Array, line: Array, step: Array, starts: Array, u: Array, order: int) -> Array:
    found = np.zeros(len(u))
    for side in starts[:, step]:
        for kappa in np.unique(step - side).tolist():
            at = np.flatnonzero(step - side == kappa)
            nodes = lines[line[at][:, None], side[at][:, None] + np.arange(order)]
            for i in range(2, order):
                row = np.array([to_float(c) for c in bubbles(order, kappa, False)[i]])
                factor = sum(c * u[at] ** l for l, c in enumerate(row)) * u[at] * (1 - u[at])
                found[at] += np.diff(nodes, i, axis=1)[:, 0] * factor / 2
    return found
