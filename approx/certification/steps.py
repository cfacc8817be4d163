"""How large is |f - net| for a step network (floor and 2^t), everywhere? Cell by cell: the network is constant there.

Statement. Let v_k be the exact value of the network on cell k (`step_values`), c_k the middle of the cell and r half its sides.
Then on the closure of the cell |f - net| <= |f(c_k) - v_k| + m, where m bounds |f(x) - f(c_k)| for |x_i - c_ki| <= r_i: the
modulus of continuity at max r_i, or sum_i sup |d_i f| r_i where that is smaller. The largest cells are then halved, with the
slopes of f over the box itself for m, until upper <= (1 + rtol) lower or the share of boxes is used up.
The lower bound is |f - v_k| at a point inside a cell. Every cell is covered, no sampling anywhere.
Cost: one ball per cell (some 10 us), plus about 0.2 ms per halved box, at most 20,000 of them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.evaluation.step_cells import StepValues, step_values
from approx.numbers import absolute, float_down, float_up, to_float, working_precision
from approx.targets.enclosures import grid_enclosures
from approx.targets.variation import variation_on, variation_within

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

Enclosure = tuple[float, float, tuple[fmpq, ...], str]
_BITS = 80
_MOST_BOXES = 20_000
#: Rounding of the few float64 operations on a gap, far above what they lose.
_ROUNDING = 2.0**-48


def step_enclosure(network: Network, target: Target, rtol: float, atol: float, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) when the network is a step network of the supported form, otherwise None."""
    found = step_values(network, target.domain.lower, target.domain.upper)
    if found is None or found.multiples.size > work.budget.regions:
        return None
    return enclose_steps(found, target, rtol, atol, work)


def enclose_steps(steps: StepValues, target: Target, rtol: float, atol: float, work: Work) -> Enclosure:
    """(lower, upper, witness, method) for the step function `steps` on its own box against the target."""
    search = _Search(steps, target, work)
    search.refine(rtol, atol)
    cells = "x".join(map(str, steps.grid.counts))
    return search.lower, search.upper, search.witness, f"structure (step function, {cells} cells decoded exactly)"


class _Box(NamedTuple):
    """A box inside one cell: exact ends per axis, and the flat number of the cell."""

    ends: tuple[tuple[fmpq, fmpq], ...]
    cell: int


class _Search:
    """The bounds of all cells, and a heap of the boxes into which the largest ones were halved."""

    def __init__(self, steps: StepValues, target: Target, work: Work) -> None:
        self.steps, self.target, self.work = steps, target, work
        self.edges = [steps.grid.edges(axis) for axis in range(len(steps.grid.counts))]
        centres = [[(a + b) / 2 for a, b in pairwise(e)] for e in self.edges]
        middle, radius = grid_enclosures(target, centres, lambda: work.exhausted)
        work.count("cells", middle.size)
        values = self.values = steps.multiples * to_float(steps.unit)
        slack = float_up(steps.slack)
        gap = np.abs(middle - values)
        error = radius + slack + _ROUNDING * (np.abs(middle) + np.abs(values)) + 2.0**-1000
        self.variation = variation_within(target, [1 / (2 * scale) for scale in steps.grid.scale])
        with np.errstate(invalid="ignore"):
            self.bounds = ((gap + error) * (1 + 2.0**-50) + self.variation).reshape(-1)
            below = np.where(np.isfinite(error), (gap - error) * (1 - 2.0**-50), 0.0).reshape(-1)
        best = int(np.argmax(below))
        self.lower = max(0.0, float(below[best]))
        where = np.unravel_index(best, steps.grid.counts)
        self.witness = tuple(centres[axis][int(k)] for axis, k in enumerate(where))
        self.order = np.argsort(-self.bounds, kind="stable")
        self.opened = 0
        self.heap: list[tuple[float, int, _Box]] = []
        self.ticket = count()

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        closed = float(self.bounds[self.order[self.opened]]) if self.opened < len(self.order) else 0.0
        return max(closed, -self.heap[0][0] if self.heap else 0.0)

    def refine(self, rtol: float, atol: float) -> None:
        """Replace the largest bound by those of smaller boxes until it is near the lower bound."""
        if not math.isfinite(self.upper):
            return
        for _ in range(_MOST_BOXES):
            upper = self.upper
            if upper <= max(self.lower * (1 + rtol), atol) or self.work.exhausted:
                break
            for box in self._parts(upper):
                bound = self._bound(box)
                # A part inherits the bound of the whole where its own is worse.
                heapq.heappush(self.heap, (-min(bound, upper), next(self.ticket), box))

    def _parts(self, upper: float) -> Iterator[_Box]:
        if self.heap and -self.heap[0][0] >= upper:
            box = heapq.heappop(self.heap)[2]
            axis = max(range(len(box.ends)), key=lambda i: box.ends[i][1] - box.ends[i][0])
            a, b = box.ends[axis]
            for part in ((a, (a + b) / 2), ((a + b) / 2, b)):
                yield box._replace(ends=(*box.ends[:axis], part, *box.ends[axis + 1 :]))
            return
        cell = int(self.order[self.opened])
        self.opened += 1
        where = np.unravel_index(cell, self.steps.grid.counts)
        yield _Box(tuple((e[int(k)], e[int(k) + 1]) for e, k in zip(self.edges, where, strict=True)), cell)

    def _bound(self, box: _Box) -> float:
        """An upper bound of |f - v| on the box; raises the lower bound on the way."""
        self.work.count("boxes", 1)
        middle = [(a + b) / 2 for a, b in box.ends]
        value, cut = self.steps.unit * int(self.steps.multiples.reshape(-1)[box.cell]), self.steps.slack
        with working_precision(_BITS):
            gap = absolute(self.target.ball([arb(x) for x in middle]) - arb(value))
            if not gap.is_finite():
                return math.inf
            low = float_down(gap - arb(cut))
            if low > self.lower:
                self.lower, self.witness = low, tuple(middle)
            spread = float_up(gap + arb(cut)) + variation_on(self.target, box.ends)
            natural = absolute(self.target.ball([arb(a).union(arb(b)) for a, b in box.ends]) - arb(value))
            if natural.is_finite():
                spread = min(spread, float_up(natural + arb(cut)))
        return spread * (1 + 2.0**-50)
