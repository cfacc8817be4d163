"""What sup |f - net| is in any dimension: branch and bound on boxes with affine forms for the network.

On a box with centre c and half-widths h the network is p + a.u + [-e, e], u in [-1, 1]^d (affine_forms, gadget_forms). f is
expanded about c to any order (box_cover). The affine parts cancel before absolute values are taken, and pure squares are
maximised in closed form. Boxes with the largest bounds are cut first: across the axis that matters most, where units of that
coordinate alone bend, otherwise in the middle.

Guarantee: lower <= sup <= upper at any time; all roundings of float64 are bounded and added (running error bounds).
Cost: O(weights) per box, 1e4 to 1e5 boxes a second; the number of boxes grows like that of the linear regions of the network
times a constant, except for regions inside whole sawtooth squares.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from flint import fmpq

from approx.certification.axis_kinks import axis_kinks
from approx.certification.box_cover import BoxCover, box_cover
from approx.certification.budget import Work
from approx.certification.gadget_forms import Forms, GadgetForms, forms_of, reading_of
from approx.certification.pieces import Program
from approx.certification.witness import Witness

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_CHUNK = 4096
_MOST_GROUPS = 32
#: At the start boxes are cut at the kinks of the axes into at most so many.
_MOST_STARTS = 20_000
_UNIT = 2.0**-53


@dataclass
class Boxes:
    """Boxes centre +- half in the cell `cell` of a cover, with the bound of |f - net| on each."""

    centre: np.ndarray
    half: np.ndarray
    cell: np.ndarray
    upper: np.ndarray
    axis: np.ndarray
    point: np.ndarray
    estimate: np.ndarray

    def take(self, index: np.ndarray) -> Self:
        """The boxes at `index`."""
        return type(self)(*(getattr(self, n)[index] for n in self.__dataclass_fields__))


AnyBoxes = TypeVar("AnyBoxes", bound=Boxes)


def concatenate(groups: Sequence[AnyBoxes]) -> AnyBoxes:
    """All boxes of the groups."""
    kind = type(groups[0])
    return kind(*(np.concatenate([getattr(g, n) for g in groups]) for n in kind.__dataclass_fields__))


def certify_boxes(
    network: Network, target: Target, rtol: float, atol: float, work: Work
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by branch and bound on boxes."""
    program = Program(network, hinges=False)
    kinks = axis_kinks(network, target.domain.floats().tolist())
    witness = Witness(program, target)
    witness.sample(kinks)
    reading = reading_of(network, list(target.domain))
    if target.dimension > 2 and reading is not None and reading.squares:
        from approx.certification.region_search import certify_regions

        return certify_regions(reading, target, witness, kinks, rtol, atol, work)
    cover = box_cover(target, 0.02 * max(rtol * witness.lower, atol), order=8 if target.dimension <= 2 else 6, work=work)
    forms, name = forms_of(program, reading)
    search = BoxSearch(cover, witness, kinks, rtol, atol, work, forms)
    if target.dimension > 2 and isinstance(forms, GadgetForms):
        from approx.certification.neuron_splits import SplitSearch

        search = SplitSearch(cover, witness, kinks, rtol, atol, work, forms)
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run()
    return witness.lower, search.upper, witness.point, f"boxes (float64 {name})"


class BoxSearch:
    """The state of one branch and bound: open boxes, the best lower bound and the largest settled bound."""

    def __init__(
        self,
        cover: BoxCover,
        witness: Witness,
        kinks: list[np.ndarray],
        rtol: float,
        atol: float,
        work: Work,
        forms: Forms,
    ) -> None:
        self.cover, self.witness, self.kinks, self.forms = cover, witness, kinks, forms
        self.rtol, self.atol, self.work = rtol, atol, work
        self.settled = 0.0
        # Until boxes have been bounded, nothing is known.
        self.open: list[Boxes] = []
        self.pending = float("inf")

    @property
    def goal(self) -> float:
        return max(self.witness.lower * (1 + self.rtol), self.atol)

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        return max([self.settled, self.pending, *(float(b.upper.max(initial=0.0)) for b in self.open)])

    def run(self) -> None:
        """Cut the boxes with the largest bounds until the goal is met or the work is exhausted."""
        everything = self.bound(*cut_at(self.kinks, self.cover.centres, self.cover.halves))
        self.open, self.pending = [everything], 0.0
        self.improve(everything)
        while self.open and not self.work.exhausted:
            if len(self.open) > _MOST_GROUPS:
                self.open = [concatenate(self.open)]
            # The group with the largest bound first, so that the enclosure shrinks from the beginning.
            number = max(range(len(self.open)), key=lambda k: float(self.open[k].upper.max(initial=0.0)))
            boxes = self.open[number]
            # Where the cover itself is too coarse (kinks, poles) halving boxes cannot help: such boxes are settled as is.
            # The lower bound may still be far too low, and the goal with it: a box whose bound is not mostly its
            # remainder gains from halving whatever the goal is.
            bearable = np.maximum(self.goal, np.where(np.isfinite(boxes.upper), boxes.upper / 2, 0.0))
            stuck = ~(self.cover.remainders[boxes.cell] <= bearable)
            stuck |= ~(boxes.half.max(axis=1) > 2.0**-300)
            done = (boxes.upper <= self.goal) | stuck
            self.settled = max(self.settled, float(boxes.upper[done].max(initial=0.0)))
            active = np.flatnonzero(~done)
            if not len(active):
                self.open.pop(number)
                continue
            active = active[np.argsort(-boxes.upper[active], kind="stable")]
            first, rest = boxes.take(active[:_CHUNK]), boxes.take(active[_CHUNK:])
            children = self.halve(first)
            # One assignment, so that an interrupt never finds the parents gone and the children missing.
            self.open[number : number + 1] = [rest, children]
            self.improve(children)

    def halve(self, boxes: Boxes) -> Boxes:
        """Both parts of every box, with their bounds."""
        centre, half = halved(boxes, self.kinks)
        parts = self.bound(centre, half, np.tile(boxes.cell, 2))
        parts.upper = np.minimum(parts.upper, np.tile(boxes.upper, 2))
        return parts

    def bound(self, centre: np.ndarray, half: np.ndarray, cell: np.ndarray) -> Boxes:
        """The Boxes with their bounds."""
        self.work.count("boxes", len(cell))
        with np.errstate(all="ignore"):
            q, rounding = self.cover.expand(cell, centre, half)
            p, a, e, weight = self.forms(centre, half)
            constant, linear, square, slack, other = self.difference(cell, q, rounding, p, a, e)
            up, at_up = separable(constant, linear, square)
            down, at_down = separable(-constant, -linear, -square)
            size = np.abs(constant) + np.abs(linear).sum(axis=1) + np.abs(square).sum(axis=1)
            upper = np.maximum(up, down) + slack + 16 * centre.shape[1] * _UNIT * (size + slack)
            upper = np.where(np.isnan(upper), np.inf, upper)
            side = np.where((up >= down)[:, None], at_up, at_down)
            # Split where the curvature of f or the crossing ReLUs lose most.
            axis = np.argmax(np.nan_to_num(bending(square, other) + weight, nan=np.inf), axis=1)
            return Boxes(centre, half, cell, upper, axis, centre + half * side, np.maximum(up, down))

    def difference(self, cell, q, rounding, p, a, e):  # type: ignore[no-untyped-def]
        """(c, l, s, slack, other): f - net = c + sum (l_i u_i + s_i u_i^2) +- slack; other: the bending off the axes."""
        d = a.shape[1]
        indices = self.cover.indices
        constant = q[:, indices.index((0,) * d)] - p
        linear, square = np.empty_like(a), np.empty_like(a)
        other = np.zeros(len(p))
        for k, index in enumerate(indices):
            degree, support = sum(index), [i for i in range(d) if index[i]]
            if degree == 1:
                linear[:, support[0]] = q[:, k] - a[:, support[0]]
            elif degree == 2 and len(support) == 1:
                square[:, support[0]] = q[:, k]
            elif degree:
                # u^a with even powers only stays in [0, 1], but half of that gain is not worth the case.
                other += np.abs(q[:, k])
        return constant, linear, square, e + other + self.cover.remainders[cell] + rounding, other

    def improve(self, boxes: Boxes) -> None:
        """Raise the lower bound at the most promising points, in exact arithmetic."""
        finite = np.where(np.isfinite(boxes.estimate), boxes.estimate, 0.0)
        for k in np.argsort(-finite, kind="stable")[:2]:
            if finite[k] > self.witness.lower * (1 + 1e-6):
                self.witness.try_point(boxes.point[k].tolist())


def halved(boxes: Boxes, kinks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(centres, half-widths) of the lower, then the upper parts of all boxes, each cut across its axis.

    Cut in the middle, or where units of that axis alone bend. Parts are a little too wide where numbers round, never too
    narrow.
    """
    rows = np.arange(len(boxes.axis))
    middle, radius = boxes.centre[rows, boxes.axis], boxes.half[rows, boxes.axis]
    low, high = middle - radius, middle + radius
    at = middle.copy()
    for axis, places in enumerate(kinks):
        here = np.flatnonzero(boxes.axis == axis)
        if len(here) and len(places):
            at[here] = _nearest_inside(places, low[here], high[here], middle[here])
    centres, halves = [], []
    for a, b in ((low, at), (at, high)):
        centre, half = boxes.centre.copy(), boxes.half.copy()
        centre[rows, boxes.axis] = 0.5 * (a + b)
        reach = np.maximum(b - centre[rows, boxes.axis], centre[rows, boxes.axis] - a)
        half[rows, boxes.axis] = reach * (1 + 2.0**-51) + 2.0**-52 * (np.abs(middle) + radius)
        centres.append(centre)
        halves.append(half)
    return np.concatenate(centres), np.concatenate(halves)


def cut_at(kinks: list[np.ndarray], centre: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(centres, half-widths, cells) of the boxes cut at the kinks of all axes, as long as these are not too many."""
    cell = np.arange(len(centre))
    for axis, places in enumerate(kinks):
        low, high = centre[:, axis] - half[:, axis], centre[:, axis] + half[:, axis]
        first, last = np.searchsorted(places, low, side="right"), np.searchsorted(places, high, side="left")
        count = np.maximum(last - first, 0) + 1
        if not len(places) or count.sum() > _MOST_STARTS:
            continue
        parent = np.repeat(np.arange(len(cell)), count)
        number = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
        at = np.concatenate([places, [0.0]])
        left = np.where(number == 0, low[parent], at[np.clip(first[parent] + number - 1, 0, len(places))])
        right = np.where(number == count[parent] - 1, high[parent], at[np.clip(first[parent] + number, 0, len(places))])
        centre, half, cell = centre[parent].copy(), half[parent].copy(), cell[parent]
        size = np.maximum(np.abs(left), np.abs(right))
        centre[:, axis] = 0.5 * (left + right)
        reach = np.maximum(right - centre[:, axis], centre[:, axis] - left)
        half[:, axis] = reach * (1 + 2.0**-51) + 2.0**-52 * size
    return centre, half, cell


def _nearest_inside(kinks: np.ndarray, low: np.ndarray, high: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The kink nearest to the middle, where one lies clearly inside (low, high); otherwise the middle."""
    place = np.searchsorted(kinks, middle)
    best, distance = middle.copy(), np.full(len(middle), np.inf)
    for step in (-1, 0):
        kink = kinks[np.clip(place + step, 0, len(kinks) - 1)]
        margin = 2.0**-30 * (high - low) + 2.0**-45 * np.abs(middle)
        use = (kink > low + margin) & (kink < high - margin) & (np.abs(kink - middle) < distance)
        best, distance = np.where(use, kink, best), np.where(use, np.abs(kink - middle), distance)
    return best


def separable(constant: np.ndarray, linear: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(max, argmax) of c + sum (l_i u_i + s_i u_i^2) on [-1, 1]^d; the last axis of l and s is that of the i."""
    total, at = constant, np.empty_like(linear)
    for i in range(linear.shape[-1]):
        more, at[..., i] = _quadratic(linear[..., i], square[..., i])
        total = total + more
    return total, at


def bending(square: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How much f bends along each axis of a box."""
    return np.abs(square) + other[:, None] / square.shape[1]


def _quadratic(linear: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(max, argmax) of linear*u + square*u^2 on [-1, 1]."""
    end = np.abs(linear) + square
    vertex = np.clip(linear / np.where(square < 0, -2 * square, 1.0), -1, 1)
    inside = (square < 0) & (np.abs(linear) < -2 * square)
    value = np.where(inside, linear * vertex + square * vertex * vertex, end)
    return value, np.where(inside, vertex, np.where(linear >= 0, 1.0, -1.0))
