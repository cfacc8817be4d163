"""What sup |f - net| is in three and more variables for networks with gadgets: a network of its own for every column of a grid.

The grid is that of the planes x_i = const where units of one coordinate bend. On a column (one grid interval per axis but the
last) most units of a local construction are dead or affine; they are folded away (narrowing), and what remains is enclosed by
polynomials on boxes (gadget_models). f is expanded on the same boxes (box_cover); polynomials are subtracted before absolute
values are taken. The boxes with the largest bounds are cut first, whatever column they belong to.

Guarantee: lower <= sup <= upper at any time, all roundings bounded. Until every column has been bounded once, `upper` is
what the unfolded network gives on the cells of the target's cover.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from flint import fmpq

from approx.certification.box_cover import BoxCover, box_cover
from approx.certification.boxes import Boxes, concatenate, halved
from approx.certification.budget import Work
from approx.certification.gadget_models import GadgetModels
from approx.certification.gadget_products import Steps, with_products
from approx.certification.gadget_rows import shape
from approx.certification.gadgets import Reading
from approx.certification.narrowing import narrowed
from approx.certification.taylor import extrema
from approx.certification.witness import Witness
from approx.numbers import float_down, float_up, to_fmpq

if TYPE_CHECKING:
    from approx.targets import Target

_CHUNK = 1024
#: Points at which one portion of boxes tries to raise the lower bound.
_TRIES = 64
_UNIT = 2.0**-53
#: Total degree of the models by the number of variables.
_ORDERS = {1: 4, 2: 3, 3: 2}
_FINER = {1: 4, 2: 4, 3: 3}
#: More columns than this are not made: grid intervals are joined.
_MOST_COLUMNS = 4096
#: Share of the allowed gap that folding may lose.
_FOLDING = 2.0**-20


def certify_regions(
    reading: Reading, target: Target, witness: Witness, kinks: list[np.ndarray], rtol: float, atol: float, work: Work
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) for a network that was read as gadgets."""
    cover = box_cover(target, 0.02 * max(rtol * witness.lower, atol), order=6, places=kinks, work=work)
    search = _Search(reading, cover, witness, kinks, rtol, atol, work)
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run(list(target.domain))
    return witness.lower, search.upper, witness.point, "regions (float64 polynomial models of gadgets)"


@dataclass
class _Parts(Boxes):
    """Boxes, and which of a region's networks holds there."""

    which: np.ndarray


class _Region:
    """Boxes with the models of the networks that hold on them: one of a column, or many of one shape."""

    def __init__(self, networks: list[Steps], lost: list[float], order: int, sides: list | None = None) -> None:
        self.steps, self.lost, self.sides = networks[0], np.array(lost), sides or []
        self.models = GadgetModels(networks, order)
        self.boxes: _Parts | None = None

    @property
    def upper(self) -> float:
        """The largest bound of the boxes."""
        return 0.0 if self.boxes is None else float(self.boxes.upper.max(initial=0.0))


class _Search:
    """The state of one branch and bound over regions."""

    def __init__(self, reading, cover, witness, kinks, rtol, atol, work) -> None:  # type: ignore[no-untyped-def]
        self.steps: Steps = with_products(reading)
        self.cover: BoxCover = cover
        self.witness: Witness = witness
        self.kinks: list[np.ndarray] = kinks
        self.rtol, self.atol = rtol, atol
        self.work: Work = work
        self.order, self.finer = _ORDERS.get(reading.inputs, 2), _FINER.get(reading.inputs, 2)
        self.lines: list[list[float]] = []
        self.tolerance = _FOLDING * max(rtol * witness.lower, atol) / (reading.inputs + 1)
        self.settled = 0.0
        self.regions: list[_Region] = []
        self.pending = float("inf")

    @property
    def goal(self) -> float:
        return max(self.witness.lower * (1 + self.rtol), self.atol)

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        return max([self.settled, self.pending, *(r.upper for r in self.regions)])

    def run(self, domain: list) -> None:
        """Bound every column, narrow the boxes above the goal, then cut those with the largest bounds."""
        whole = _Region([self.steps], [0.0], self.order)
        coarse = self.bound(whole, self.cover.centres, self.cover.halves, np.arange(len(self.cover.centres)))
        self.pending = float(coarse.upper.max(initial=0.0))
        columns = []
        for region, boxes in self.columns(whole, domain):
            if self.work.exhausted:
                return
            region.boxes = self.bound(region, *boxes)
            self.improve(region.boxes)
            self.settle(region)
            if region.boxes is not None:
                columns.append(region)
        self.regions, self.pending = columns, 0.0
        self.open_all()
        while self.regions and not self.work.exhausted:
            number = max(range(len(self.regions)), key=lambda k: self.regions[k].upper)
            self.settle(self.regions[number])
            if self.regions[number].boxes is None:
                self.regions.pop(number)
            else:
                self.refine(self.regions[number])

    def columns(self, whole: _Region, domain: list) -> Iterator[tuple[_Region, tuple]]:
        """(region, (centres, half-widths, cells) of its boxes) for all columns of the grid."""
        d = self.steps.inputs
        most = max(2, int(_MOST_COLUMNS ** (1 / max(d - 1, 1))))
        for (low, high), places in zip(domain, self.kinks, strict=True):
            thin = places[:: 1 + len(places) // most]
            self.lines.append([float_down(to_fmpq(low)), *thin.tolist(), float_up(to_fmpq(high))])
        stack = [(whole, [(a[0], a[-1]) for a in self.lines], 0)]
        while stack:
            region, sides, axis = stack.pop()
            if axis == d - 1:
                region.sides = sides
                yield region, self.boxes_in(sides)
                continue
            parts = [[*sides[:axis], pair, *sides[axis + 1 :]] for pair in itertools.pairwise(self.lines[axis])]
            low, high = np.moveaxis(np.array(parts), 2, 0)
            for part, (steps, lost) in zip(parts, self.narrowed(region, low, high), strict=True):
                stack.append((_Region([steps], [lost], self.order), part, axis + 1))

    def narrowed(self, region: _Region, low: np.ndarray, high: np.ndarray) -> list[tuple[Steps, float]]:
        """What is left of the network of a column on each of the boxes with these ends (boxes, inputs), and what is lost."""
        found = []
        for k, known in enumerate(region.models.known(*_around(low, high))):
            box = [(to_fmpq(float(a)), to_fmpq(float(b))) for a, b in zip(low[k], high[k], strict=True)]
            steps, more = narrowed(region.steps, box, known, self.tolerance)
            found.append((steps, (float(region.lost[0]) + more) * (1 + 2.0**-50)))
        return found

    def boxes_in(self, sides: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(centres, half-widths, cells): the cells of the cover cut to a part of the domain, and at the kinks in it."""
        low, high = np.array(sides).T
        lows = np.maximum(low, self.cover.lower)
        highs = np.minimum(high, self.cover.upper)
        # A part may be flat (a domain of width 0); cells that only touch a part with an inside are not needed.
        cell = np.flatnonzero(((lows < highs) | ((low == high) & (lows <= highs))).all(axis=1))
        lowest, highest, parent = [], [], []
        for c in cell.tolist():
            line = self.kinks[-1]
            ends = [lows[c, -1], *line[(line > lows[c, -1]) & (line < highs[c, -1])].tolist(), highs[c, -1]]
            for a, b in itertools.pairwise(ends):
                lowest.append([*lows[c, :-1], a])
                highest.append([*highs[c, :-1], b])
                parent.append(c)
        return *_around(np.array(lowest), np.array(highest)), np.array(parent)

    def open_all(self) -> None:
        """Regions of networks of one shape in place of the columns: every box above the goal with what is left there."""
        shapes: dict[Hashable, list[tuple[Steps, float, _Parts]]] = {}
        unopened = []
        for column in self.regions:
            self.settle(column)
            if column.boxes is None:
                continue
            if self.work.exhausted:
                unopened.append(column)
                continue
            boxes, line = column.boxes, np.array(self.lines[-1])
            place = np.clip(np.searchsorted(line, boxes.centre[:, -1], side="right") - 1, 0, len(line) - 2)
            places, which = np.unique(place, return_inverse=True)
            sides = np.array([[*column.sides[:-1], (line[k], line[k + 1])] for k in places])
            for k, (steps, lost) in enumerate(self.narrowed(column, sides[:, :, 0], sides[:, :, 1])):
                shapes.setdefault(shape(steps), []).append((steps, lost, boxes.take(np.flatnonzero(which == k))))
        opened = []
        for found in shapes.values():
            region = _Region([f[0] for f in found], [f[1] for f in found], self.finer)
            old = concatenate([f[2] for f in found])
            which = np.repeat(np.arange(len(found)), [len(f[2].upper) for f in found])
            region.boxes = self.bound(region, old.centre, old.half, old.cell, which)
            region.boxes.upper = np.minimum(region.boxes.upper, old.upper)
            self.improve(region.boxes)
            opened.append(region)
        self.regions = opened + unopened

    def settle(self, region: _Region) -> None:
        """Drop the boxes that need no more work: below the goal, or held back by the cover of the target itself."""
        boxes = region.boxes
        if boxes is None:
            return
        stuck = ~(self.cover.remainders[boxes.cell] <= self.goal) | ~(boxes.half.max(axis=1) > 2.0**-300)
        done = (boxes.upper <= self.goal) | stuck
        self.settled = max(self.settled, float(boxes.upper[done].max(initial=0.0)))
        region.boxes = None if done.all() else boxes.take(np.flatnonzero(~done))

    def refine(self, region: _Region) -> None:
        """Halve the boxes of the region with the largest bounds."""
        boxes = region.boxes
        if boxes is None:
            return
        order = np.argsort(-boxes.upper, kind="stable")
        first, rest = boxes.take(order[:_CHUNK]), boxes.take(order[_CHUNK:])
        centre, half = halved(first, self.kinks)
        children = self.bound(region, centre, half, np.tile(first.cell, 2), np.tile(first.which, 2))
        children.upper = np.minimum(children.upper, np.tile(first.upper, 2))
        # One assignment, so that an interrupt never finds the parents gone and the children missing.
        region.boxes = concatenate([rest, children])
        self.improve(children)

    def bound(
        self, region: _Region, centre: np.ndarray, half: np.ndarray, cell: np.ndarray, which: np.ndarray | None = None
    ) -> _Parts:
        """The boxes with their bounds."""
        self.work.count("boxes", len(cell))
        if which is None:
            which = np.zeros(len(cell), dtype=np.int64)
        models = region.models
        place = {a: k for k, a in enumerate(models.monomials.indices)}
        with np.errstate(all="ignore"):
            p, e, blame = models(centre, half, which)
            q, rounding = self.cover.expand(cell, centre, half)
            difference = -p
            beyond = np.zeros(len(cell))
            for k, a in enumerate(self.cover.indices):
                if a in place:
                    difference[place[a]] += q[:, k]
                else:
                    beyond += np.abs(q[:, k])
            slack = e + region.lost[which] + self.cover.remainders[cell] + rounding + beyond
            sizes = np.abs(q).sum(axis=1) + np.abs(p).sum(axis=0)
            slack = slack + 4 * q.shape[1] * _UNIT * (sizes + slack)
            up, down, at, share = extrema(models.monomials, difference)
            upper = np.maximum(up, down) + slack
        upper = np.where(np.isnan(upper), np.inf, upper)
        axis = np.argmax(np.nan_to_num(share + blame, nan=np.inf) + 1e-9 * half, axis=1)
        return _Parts(centre, half, cell, upper, axis, centre + half * at, np.maximum(up, down), which)

    def improve(self, boxes: Boxes) -> None:
        """Raise the lower bound at the best of the promising points, found in float64, proved in exact arithmetic."""
        estimate = np.nan_to_num(boxes.estimate)
        few = np.argsort(-estimate, kind="stable")[:_TRIES]
        least = 1 + 0.01 * self.rtol
        self.witness.try_best(boxes.point[few[estimate[few] > self.witness.lower * least]], least)


def _around(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(centres, half-widths) of boxes with these ends, a little too wide where numbers round, never too narrow."""
    centre = 0.5 * (low + high)
    half = np.maximum(high - centre, centre - low) * (1 + 2.0**-51)
    return centre, half + 2.0**-52 * np.maximum(np.abs(low), np.abs(high))
