"""What sup |f - net| is for networks with smooth activations: branch and bound on boxes with Taylor models.

On a box the network is a polynomial plus [-e, e] (taylor_forms) and f a polynomial plus its remainder (box_cover). Their
difference is formed coefficient by coefficient before absolute values are taken; constant, linear and pure square terms are
maximised in closed form, the others enter by their absolute values. So the gap of a box of width h is O(h^3), and no
sampling is involved. Boxes whose bound exceeds (1 + rtol) times the lower bound are halved.

Guarantee: lower <= sup <= upper at any time; roundings are bounded and added. lower is a ball evaluation at one exact point.
Cost: boxes * weights * C(n + d, d) for order n in d variables; n is 6, 4, 3, 2 for d = 1, 2, 3, more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from flint import arb, fmpq

from approx.certification.ball_boxes import ADMITTED as BALLS
from approx.certification.ball_boxes import certify_balls
from approx.certification.box_cover import BoxCover, box_cover
from approx.certification.budget import Work
from approx.certification.taylor_forms import Model, Monomials, TaylorProgram
from approx.errors import UnsupportedError
from approx.evaluation import evaluate_balls
from approx.numbers import float_down, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_UNIT = 2.0**-53
_ORDERS = {1: 6, 2: 4, 3: 3}
#: Doubles that the coefficients of one layer may occupy.
_DOUBLES = 4_000_000
#: A box this small (relative to the domain) that is still open is held up by rounding: it is settled as it is.
_SMALLEST = 2.0**-40
_BITS = 192


@dataclass
class _Boxes:
    """Boxes centre +- half in cells of the cover, their bounds, the axis to halve, and a promising point with its value."""

    centre: np.ndarray
    half: np.ndarray
    cell: np.ndarray
    upper: np.ndarray
    axis: np.ndarray
    point: np.ndarray
    estimate: np.ndarray

    def take(self, index: np.ndarray | slice) -> _Boxes:
        return _Boxes(*(v[index] for v in vars(self).values()))


class ModelProgram(Protocol):
    """What the search needs of a network: models of its output 0 on boxes, and the network for exact points."""

    network: Network
    monomials: Monomials

    def models(self, centre: np.ndarray, half: np.ndarray) -> Model:
        """The Model of the outputs on the boxes (rows of centre and half)."""
        ...


def certify_taylor(
    network: Network, target: Target, rtol: float, atol: float, work: Work, otherwise: bool = False
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by branch and bound with Taylor models; any activation, any dimension.

    otherwise: whether balls alone may serve networks that have no Taylor models in float64.
    """
    from approx.certification.certify import observed_error

    order = _ORDERS.get(target.dimension, 2)
    reach = [max(abs(to_fmpq(a)), abs(to_fmpq(b))) for a, b in target.domain]
    # Where rounding stops the models of float64, balls go on, if they can hold the network.
    stoppable = network.activations <= BALLS and network.tags["rational"]
    try:
        program = TaylorProgram(network, order, reach)
    except UnsupportedError:
        if not (stoppable and otherwise):
            raise
        return certify_balls(network, target, rtol, atol, work)
    guess = observed_error(network, target, 20_000)
    cover = box_cover(target, 0.02 * max(rtol * guess, atol), order=8 if target.dimension <= 2 else 6, work=work)
    search = Search(program, target, cover, rtol, atol, work, stoppable)
    name = f"taylor (float64 models of order {order})"
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run()
        settled = search.limited or (search.upper > search.goal and not work.exhausted)
        if stoppable and settled and np.isfinite(cover.remainders).all():  # a pole is one at any precision
            start = search.lower, search.witness
            lower, upper, witness, more = certify_balls(network, target, rtol, atol, work, start)
            return lower, min(upper, search.upper), witness, f"{name}, limited by rounding; {more}"
    return search.lower, search.upper, search.witness, name


class Search:
    """The state of one branch and bound: open boxes, the best lower bound and the largest settled bound."""

    def __init__(
        self,
        program: ModelProgram,
        target: Target,
        cover: BoxCover,
        rtol: float,
        atol: float,
        work: Work,
        stoppable: bool = False,
    ) -> None:
        self.program, self.target, self.cover = program, target, cover
        self.rtol, self.atol, self.work = rtol, atol, work
        self.lower, self.settled = 0.0, 0.0
        self.stoppable, self.limited, self.checked = stoppable, False, 0
        self.witness: tuple[fmpq, ...] = tuple(to_fmpq(v) for v in target.domain.lower)
        self.open: list[_Boxes] = []
        self.pending = float("inf")
        widest = max(l.units for l in program.network.layers)
        self.chunk = int(np.clip(_DOUBLES // (widest * len(program.monomials.indices)), 16, 4096))
        self.smallest = _SMALLEST * float(cover.halves.max())
        # Where the terms of the target stand: among the network's monomials, or beyond their degree.
        place = {a: k for k, a in enumerate(program.monomials.indices)}
        self.shared = [(k, place[a]) for k, a in enumerate(cover.indices) if a in place]
        self.beyond = [k for k, a in enumerate(cover.indices) if a not in place]

    @property
    def goal(self) -> float:
        return max(self.lower * (1 + self.rtol), self.atol)

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        return max([self.settled, self.pending, *(float(b.upper.max(initial=0.0)) for b in self.open)])

    def run(self) -> None:
        """Halve the boxes with the largest bounds until the goal is met or the work is exhausted."""
        cells = np.arange(len(self.cover.centres))
        parts = np.array_split(cells, -(-len(cells) // self.chunk))
        self.open = [self.bound(self.cover.centres[p], self.cover.halves[p], p) for p in parts]
        self.pending = 0.0
        for boxes in self.open:
            self.improve(boxes)
        while self.open and not self.work.exhausted:
            boxes = self.open[-1]
            # Where the cover itself is too coarse (kinks, poles), or boxes are tiny, halving cannot help.
            # The lower bound may still be far too low, and the goal with it: a box whose bound is not mostly its
            # remainder gains from halving whatever the goal is.
            bearable = np.maximum(self.goal, np.where(np.isfinite(boxes.upper), boxes.upper / 2, 0.0))
            stuck = ~(self.cover.remainders[boxes.cell] <= bearable) | (boxes.half.max(axis=1) < self.smallest)
            settled = (boxes.upper <= self.goal) | stuck
            self.settled = max(self.settled, float(boxes.upper[settled].max(initial=0.0)))
            active = np.flatnonzero(~settled)
            if not len(active):
                self.open.pop()
                continue
            boxes = boxes.take(active[np.argsort(-boxes.upper[active], kind="stable")])
            size = max(1, self.chunk // 2)
            first, rest = boxes.take(slice(size)), boxes.take(slice(size, None))
            if self.stoppable and self.rounding_dominates(first):
                self.limited = True
                return
            children = self.halve(first)
            # One assignment, so that an interrupt never finds the parents gone and the children missing.
            self.open[-1:] = [rest, children]
            self.improve(children)

    def rounding_dominates(self, boxes: _Boxes) -> bool:
        """Whether at the centre of the worst box rounding alone costs half of what rtol leaves (while no lower bound is
        known: a quarter of the box's own bound); asked ever more rarely."""
        if self.work.total < 2 * self.checked:
            return False
        self.checked = self.work.total
        with np.errstate(all="ignore"):
            error = self.program.models(boxes.centre[:1], 0 * boxes.half[:1]).error[0, 0]
        room = 0.5 * (self.goal - self.lower) if self.lower > 0 else 0.25 * float(boxes.upper[0])
        return not error <= room

    def halve(self, boxes: _Boxes) -> _Boxes:
        """Both halves of every box along its axis, a little too wide where centres round, never too narrow."""
        rows = np.arange(len(boxes.axis))
        half = boxes.half.copy()
        half[rows, boxes.axis] *= 0.5
        step = np.zeros_like(half)
        step[rows, boxes.axis] = half[rows, boxes.axis]
        lower, upper = boxes.centre - step, boxes.centre + step
        half[rows, boxes.axis] += 2.0**-52 * np.abs(boxes.centre[rows, boxes.axis])
        return self.bound(np.concatenate([lower, upper]), np.concatenate([half, half]), np.tile(boxes.cell, 2))

    def bound(self, centre: np.ndarray, half: np.ndarray, cell: np.ndarray) -> _Boxes:
        """The boxes with their bounds."""
        self.work.count("boxes", len(cell))
        with np.errstate(all="ignore"):
            model = self.program.models(centre, half)
            q, rounding = self.cover.expand(cell, centre, half)
            difference = -model.coefficients[:, 0, :]
            for k, place in self.shared:
                difference[place] += q[:, k]
            slack = model.error[0] + self.cover.remainders[cell] + rounding + np.abs(q[:, self.beyond]).sum(axis=1)
            sizes = np.abs(q).sum(axis=1) + np.abs(model.coefficients[:, 0, :]).sum(axis=0)
            slack = slack + 4 * len(difference) * _UNIT * (sizes + slack)
            up, down, at, share = extrema(self.program.monomials, difference)
            upper = np.maximum(up, down) + slack
            # What the polynomial part loses is known by axis; the slack is shared out by the widths.
            share = share + half * (slack / half.max(axis=1))[:, None]
        upper = np.where(np.isnan(upper), np.inf, upper)
        axis = np.argmax(np.nan_to_num(share, nan=np.inf), axis=1)
        return _Boxes(centre, half, cell, upper, axis, centre + half * at, np.maximum(up, down))

    def improve(self, boxes: _Boxes) -> None:
        """Raise the lower bound at the most promising points, by ball arithmetic."""
        finite = np.where(np.isfinite(boxes.estimate), boxes.estimate, 0.0)
        sides = [(to_fmpq(a), to_fmpq(b)) for a, b in self.target.domain]
        for k in np.argsort(-finite)[:2]:
            if finite[k] <= self.lower * (1 + 1e-6):
                continue
            x = tuple(min(max(to_fmpq(float(v)), lo), hi) for v, (lo, hi) in zip(boxes.point[k], sides, strict=True))
            with working_precision(_BITS):
                at = [arb(c) for c in x]
                ball = abs(self.target.ball(at) - evaluate_balls(self.program.network, at)[0])
                low = float_down(ball.lower()) if ball.is_finite() else 0.0
            if low > self.lower:
                self.lower, self.witness = low, x


def extrema(monomials: Monomials, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(bound of max P, bound of max -P, where the larger is expected, share of each axis in the nonlinear terms).

    c: (monomials, boxes), P(u) = sum c_a u^a on [-1, 1]^d. Terms other than constant, linear and u_i^2 count by |c_a|.
    """
    d, indices = monomials.dimension, monomials.indices
    special = {(0,) * d}
    up, down = c[0], -c[0]
    best, worst = np.zeros((2, c.shape[1], d))
    share = np.zeros((c.shape[1], d))
    for i in range(d):
        one = tuple(int(i == j) for j in range(d))
        two = tuple(2 * v for v in one)
        special |= {one, two}
        linear = c[indices.index(one)]
        square = c[indices.index(two)] if two in indices else np.zeros_like(linear)
        more, best[:, i] = _quadratic(linear, square)
        less, worst[:, i] = _quadratic(-linear, -square)
        up, down = up + more, down + less
    other = np.zeros(c.shape[1])
    for k, a in enumerate(indices):
        if sum(a) > 1:
            share += np.abs(c[k])[:, None] * (np.array(a) / sum(a))
        if a not in special:
            # u^a with even powers stays in [0, 1], but half of that gain is not worth the case.
            other = other + np.abs(c[k])
    at = np.where((up >= down)[:, None], best, worst)
    return up + other, down + other, at, share


def _quadratic(linear: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(max, argmax) of linear*u + square*u^2 on [-1, 1]."""
    end = np.abs(linear) + square
    inside = (square < 0) & (np.abs(linear) < -2 * square)
    vertex = np.clip(np.where(inside, linear / np.where(inside, -2 * square, 1.0), 0.0), -1, 1)
    # The value of the vertex formula, which no rounding of the vertex can miss.
    value = np.where(inside, linear * linear / np.where(inside, -4 * square, 1.0), end)
    return value, np.where(inside, vertex, np.where(linear >= 0, 1.0, -1.0))

