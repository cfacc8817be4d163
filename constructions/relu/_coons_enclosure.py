"""How far are Coons patches of coded values from a smooth f, rigorously? A polynomial on every fine cell, and a small rest.

Statement (_coons_plan). On a fine cell f - P is the sum, over the sets S of axes, of means over parallel S-faces of
    (prod_{k in S} (1 - I_k)) f - lambda (the bubble of Q),   S empty: the errors e at the corners.
This is the bubble of the errors e in the window, plus E f = prod (1 - I_k) (f - p), p the polynomial of the values of f there
(0 where 2 |S| >= r). Let m be the middle of the S-face, h = 1, c_b = D^b f(m)/b!, b on S. E is 0 for degrees below r, so E f
is the sum of c_b E (x - m)^b, r <= |b| < r + t, b_k >= 2, each known (_coons_bubbles.shape), and E of the rest g of Taylor's
formula: |E g| is bounded as in _coons_curves by its derivatives D^a, |a| >= r, at most
    sum_{|c| = n} max |D^(a + c) f| s^n/c!,   n = max(r + t - |a|, 0),
at distances s: in windows of w nodes at most w - 3/2 for steps inside a patch, w - 1/2 for all; 1/2 without a window. t is as
large as it helps.
So but for this rest f - P is a polynomial that is known on each cell: its Bernstein coefficients, on the cell and, where that
is not enough, on parts of it, bound it. Source: derived.
"""

from __future__ import annotations

import math
from itertools import combinations, product
from math import factorial, prod

import numpy as np
from flint import fmpq

from approx.certification.budget import Work
from approx.numbers import to_float
from approx.targets import Target
from constructions.relu._coons_bubbles import (
    Index,
    View,
    indices,
    part,
    parts,
    shape,
    share,
    stencils,
    tables,
    width,
    windows,
)
from constructions.relu._coons_curves import growth, left_out, missed
from constructions.relu._coons_plan import (
    CHUNK,
    CoonsPlan,
    between_nodes,
    kinds,
    node_table,
    subtract_plan,
    values_for,
)

Array = np.ndarray
#: By the number of variables: parts per axis of a cell that is looked at more closely, how many such cells come first.
_PARTS, _FIRST = {2: 8, 3: 4}, {2: 500, 3: 50}
#: Terms of a Taylor polynomial are taken while more than this share of the r-th derivative is unknown.
_LITTLE, _MOST_TERMS = 0.004, 4


class CoonsSearch:
    """The search: `upper` is proved, `places` (in the unit box) are exact points where the error is large.

    When the budget of `work` is exhausted, cells keep the bound that they have.
    """

    def __init__(self, plan: CoonsPlan, target: Target, work: Work) -> None:
        self._plan, self._target, self._work = plan, target, work
        order, d = plan.order, plan.dimension
        self._values = values_for(target, order, plan.pieces)
        errors, rounding = node_table(self._values, plan.pieces, d)
        subtract_plan(errors, plan)
        self._best = float(np.abs(errors).max())
        largest = np.unravel_index(int(np.abs(errors).argmax()), errors.shape)
        self.places = [[fmpq(int(s), plan.pieces) for s in largest]]
        sets = [axes for count in range(1, d + 1) for axes in combinations(range(d), count)]
        chosen = {axes: self._enough(axes) for axes in sets}
        self._rests = {axes: rest for axes, (_, rest) in chosen.items()}
        # The functions of S-faces, and of cells.
        self._parts = {axes: parts(order + terms, len(axes)) for axes, (terms, _) in chosen.items()}
        self._parts[()] = [()]
        self._degree = order + max(terms for terms, _ in chosen.values()) - 1
        self._indices = [i for i in indices(self._degree + 1, d) if part(i) in self._parts[_axes(i)]]
        plain = growth(order, d) * self._best + between_nodes(target, order, plan.pieces)
        self._grain = self._heavy = 0.0
        settled = self._run(errors)
        # Nodes are looked at whatever the budget is, so that they count afterwards.
        work.count("structural", errors.size)
        # Errors of values grow by Lambda at most.
        rounding = growth(order, d) * (rounding + plan.slop()) + self._grain
        self.upper = (min(settled * (1 + 2.0**-40), plain) + rounding + plan.gap()) * (1 + 2.0**-40)
        if not np.isfinite(self.upper):
            self.upper = np.inf

    def _size(self, orders: Index, axes: Index) -> float:
        """max |D^a f| in fine steps, a on these axes."""
        return self._values.largest(_repeated(axes, orders), self._plan.pieces)

    def _enough(self, axes: Index) -> tuple[int, Array]:
        """(t, the bound of |E g| for it): as many degrees of Taylor coefficients as help, until little is unknown."""
        found: list[Array] = []
        while len(found) <= (_MOST_TERMS if self._values.expanded else 0):
            found.append(self._rest(axes, len(found)))
            if found[-1].max() <= _LITTLE * found[0].max():
                break
        best = int(np.argmin([rest.max() for rest in found]))
        return best, found[best]

    def _run(self, errors: Array) -> float:
        """A bound of the polynomials of all cells and what is not known of them; layers of cells in parts."""
        k, d, settled = self._plan.pieces, self._plan.dimension, 0.0
        layers = max(1, CHUNK // k ** (d - 1))
        for start in range(0, k, layers):
            stop = min(start + layers, k)
            known: dict[Index, Array] = {(): errors[np.newaxis, start : stop + 1]}
            rest = np.zeros((stop - start,) + (k,) * (d - 1))
            for axes in self._rests:
                # Along axes of S these are the steps that the cells are, along others the lines of nodes around them.
                spots = [np.arange(start, stop + (0 not in axes))] + [np.arange(k + (j not in axes)) for j in range(1, d)]
                known[axes] = self._coefficients(errors, axes, spots)
                rest += self._rests[axes][start:stop] if axes == (0,) else self._rests[axes]
            columns = [self._column(known, index) for index in self._indices]
            settled = max(settled, self._settled(np.stack(columns, axis=-1), rest.ravel(), start))
        return settled

    def _column(self, known: dict[Index, Array], index: Index) -> Array:
        """What stands before a function of the cell, on all cells."""
        axes = _axes(index)
        number = self._parts[axes].index(part(index))
        cut = {0: slice(None, -1), 1: slice(1, None)}
        return known[axes][number][tuple(cut.get(i, slice(None)) for i in index)]

    def _coefficients(self, errors: Array, axes: Index, spots: list[Array]) -> Array:
        """Of the known part of f - P on S-faces: (functions, steps or lines per axis).

        `errors`: e at all nodes; `spots`: the steps (on axes of S) and lines whose S-faces these are.
        """
        order = self._plan.order
        functions = self._parts[axes]
        found = np.zeros((len(functions), *map(len, spots)))
        bends = {b: self._bend(axes, b, spots)[0] for b in functions if sum(b) >= order}
        lines, heavy = [np.arange(len(s)) for s in spots], sum(float(np.abs(bend).max()) for bend in bends.values())
        whole = (slice(None),)
        for views, at, firsts in self._seen(axes, spots):
            mean = to_float(share(views, order)) if firsts else 1.0
            grid = np.ix_(*(at[axes.index(k)] if k in axes else lines[k] for k in range(len(spots))))
            total = np.zeros((len(functions), *np.broadcast_shapes(*(g.shape for g in grid))))
            weights = stencils(order, views) if firsts else {}
            for j in sorted({j for row in weights.values() for j in row}):
                nodes = list(spots)
                for k, first, n, (_, backwards) in zip(axes, firsts, j, views, strict=True):
                    nodes[k] = first - n if backwards else first + n
                seen = errors[np.ix_(*nodes)]
                for i, row in weights.items():
                    if j in row:
                        total[functions.index(i)] += to_float(row[j]) * seen
            swung = max((float(sum(abs(w) for w in row.values())) for row in weights.values()), default=0.0)
            for b, bend in bends.items():
                bent = shape(order, views, b)
                for i, weight in bent.items():
                    total[functions.index(i)] += to_float(weight) * bend[grid]
                swung = max(swung, max(abs(to_float(w)) for w in bent.values()))
            self._heavy = max(self._heavy, swung * (self._best + heavy))
            found[whole + grid] += mean * total
        return found

    def _seen(self, axes: Index, spots: list[Array]) -> list[tuple[tuple[View, ...], list[Array], list[Array]]]:
        """(views, which of the steps along each axis of S are seen so, the first nodes of their windows), if they have any."""
        plan, count = self._plan, len(axes)
        if not parts(plan.order, count):
            return [(((0, False),) * count, [np.arange(len(spots[k])) for k in axes], [])]
        found = []
        for views in product(windows(plan.cells, plan.steps, width(plan.order, count)).items(), repeat=count):
            at, firsts = [], []
            for k, (_, (steps, first)) in zip(axes, views, strict=True):
                inside = (steps >= spots[k][0]) & (steps <= spots[k][-1])
                at.append(steps[inside] - spots[k][0])
                firsts.append(first[inside])
            if all(map(len, at)):
                found.append((tuple(view for view, _ in views), at, firsts))
        return found

    def _bend(self, axes: Index, orders: Index, spots: list[Array]) -> tuple[Array, float]:
        """(c_b at the middles of S-faces, proved bound of the errors of b! c_b)."""
        pieces = self._plan.pieces
        middles = [2 * s + (k in axes) for k, s in enumerate(spots)]
        places = np.stack([g.ravel() for g in np.meshgrid(*middles, indexing="ij")], axis=-1)
        found, error = self._values.derivatives(_repeated(axes, orders), places, 2 * pieces, pieces)
        return found.reshape(tuple(map(len, spots))) / prod(map(factorial, orders)), error

    def _rest(self, axes: Index, terms: int) -> Array:
        """A bound of |E g| for t = terms: by step for edges, else one number."""
        order, count = self._plan.order, len(axes)
        spots = [np.zeros(1, dtype=np.int64)] * self._plan.dimension
        errors = {b: self._bend(axes, b, spots)[1] for b in parts(order + terms, count) if sum(b) >= order}

        def size(orders: Index, reach: float) -> float:
            more = max(order + terms - sum(orders), 0)
            total = 0.0
            for c in kinds(more, count):
                far = reach**more / prod(map(factorial, c))
                total += far * self._size(tuple(n + m for n, m in zip(orders, c, strict=True)), axes)
            for b, error in errors.items():
                beyond = [n - m for n, m in zip(b, orders, strict=True)]
                if min(beyond) >= 0:
                    total += error * reach ** sum(beyond) / prod(map(factorial, beyond))
            return total * (1 + 2.0**-40)

        if count == 1:
            k = self._plan.pieces
            crossing = (np.arange(k) + 1) % self._plan.steps == 0
            inside, between = (missed(order, kind) * size((order,), order - 1.5 + kind) for kind in (False, True))
            along = np.where(crossing, between, inside) * (1 + 2.0**-40)
            return along.reshape([k if j == axes[0] else 1 for j in range(self._plan.dimension)])
        reach = width(order, count) - 0.5 if parts(order, count) else 0.5
        return np.array(left_out(order, count, lambda a: size(a, reach)))

    def _settled(self, known: Array, rest: Array, start: int) -> float:
        """A bound of the polynomials of these cells and what is not known of them."""
        d = self._plan.dimension
        table, degree, count = known.reshape(len(rest), -1), self._degree, _PARTS[d]
        coarse, fine = tables(self._indices, 1, degree), tables(self._indices, count, degree)
        # What sums of so few products may lose, and the sums that made their terms.
        grain = 2.0**-44 * (float(np.abs(table).max()) + self._heavy) * float(np.abs(fine).sum(axis=0).max())
        self._grain = self._grain if grain <= self._grain else grain  # NaN is kept
        bound = np.abs(table @ coarse).max(axis=1) + rest
        if not (np.isfinite(bound).all() and np.isfinite(self._grain)):
            return math.inf
        still = np.argsort(-bound, kind="stable")[: int((bound > self._best).sum())]
        settled = float(bound[bound <= self._best].max(initial=0.0))
        while len(still):
            if self._work.exhausted:
                return max(settled, float(bound[still[0]]))
            first, still = still[: _FIRST[d]], still[_FIRST[d] :]
            self._work.count("structural", len(first))
            rough = np.abs(table[first] @ fine)
            settled = max(settled, float((rough.max(axis=1) + rest[first]).max()))
            self._note(rough.reshape(-1, *(count,) * d, *(degree + 1,) * d), first, known.shape[:-1], start)
            if len(still) and bound[still[0]] <= max(settled, self._best):
                settled = max(settled, float(bound[still[0]]))
                break
        return settled

    def _note(self, rough: Array, cells: Array, layout: tuple[int, ...], start: int) -> None:
        """Keep the place of the largest value at corners of parts of cells."""
        d = len(layout)
        for axis in range(d + 1, 2 * d + 1):
            rough = rough.take([0, -1], axis=axis)
        if rough.max() > self._best:
            self._best = float(rough.max())
            cell, *spot = (int(s) for s in np.unravel_index(int(rough.argmax()), rough.shape))
            corner = np.unravel_index(int(cells[cell]), layout)
            offsets = [fmpq(p + end, _PARTS[d]) for p, end in zip(spot[:d], spot[d:], strict=True)]
            offsets[0] += start
            self.places.append([(int(c) + o) / self._plan.pieces for c, o in zip(corner, offsets, strict=True)])


def _axes(index: Index) -> Index:
    """S."""
    return tuple(k for k, i in enumerate(index) if i >= 2)


def _repeated(axes: Index, orders: Index) -> Index:
    """Every axis as often as its order."""
    return tuple(k for k, n in zip(axes, orders, strict=True) for _ in range(n))


def coons_values(plan: CoonsPlan, target: Target, points: Array) -> Array:
    """P in float64 at points (n, d) of the box; no bound of rounding."""
    ends = target.domain.floats()
    places = np.clip((points - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) * plan.pieces, 0, plan.pieces)
    cells = np.minimum(places.astype(np.int64), plan.pieces - 1)
    total = np.zeros(len(points))
    for count in range(plan.dimension + 1):
        for axes in combinations(range(plan.dimension), count) if parts(plan.order, count) else ():
            total += _bubbles_at(plan, axes, cells, places - cells)
    return plan.affine(places) + plan.quantum * total


def _bubbles_at(plan: CoonsPlan, axes: Index, cells: Array, u: Array) -> Array:
    """What S-faces add at places u in these cells."""
    d, total = plan.dimension, np.zeros(len(cells))
    firsts = {}  # by view, the first node of the window of every step that is seen so, -1 for others
    for view, (steps, first) in windows(plan.cells, plan.steps, width(plan.order, len(axes))).items() if axes else ():
        firsts[view] = np.full(plan.pieces, -1)
        firsts[view][steps] = first
    for views in product(firsts, repeat=len(axes)):
        starts = [firsts[view][cells[:, k]] for k, view in zip(axes, views, strict=True)]
        at = np.flatnonzero(np.all([s >= 0 for s in starts], axis=0)) if axes else np.arange(len(cells))
        for i, weights in stencils(plan.order, views).items():
            for chosen in product(*((0,) if k in axes else (0, 1) for k in range(d))):
                index = [i[axes.index(k)] if k in axes else end for k, end in enumerate(chosen)]
                factor = to_float(share(views, plan.order)) * np.ones(len(at))
                for k, n in enumerate(index):
                    factor *= _function(n, u[at, k])
                for j, weight in weights.items():
                    nodes = [cells[at, k] + end for k, end in enumerate(chosen)]
                    for k, start, n, (_, backwards) in zip(axes, starts, j, views, strict=True):
                        nodes[k] = start[at] - n if backwards else start[at] + n
                    total[at] += to_float(weight) * factor * plan.levels[tuple(nodes)]
    return total


def _function(i: int, u: Array) -> Array:
    """phi_i."""
    return 1 - u if i == 0 else u if i == 1 else u ** (i - 1) * (1 - u)
