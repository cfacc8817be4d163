"""What sup |f - net| is in any dimension: branch and bound on boxes with affine forms for the network.

On a box with centre c and half-widths h every unit is written as p + a.u + [-e, e], u in [-1, 1]^d: exact through affine
maps, and through a ReLU whose input changes sign by the chord from (lo, 0) to (hi, hi) and its offset. f is expanded about
c to any order (box_cover). The affine parts cancel before absolute values are taken, and pure squares are maximised in
closed form. Boxes whose bound exceeds (1+rtol) times the lower bound are halved, the axis chosen where it matters most.

Guarantee: lower <= sup <= upper at any time; all roundings of float64 are bounded and added (running error bounds).
Cost: O(weights) per box, about 1e5 boxes a second for small networks. An honest first version for two and more variables:
the number of boxes grows like the number of linear regions of the network times a constant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, fmpq

from approx.certification.box_cover import BoxCover, box_cover
from approx.certification.budget import Work
from approx.certification.pieces import Program
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_CHUNK = 4096
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

    def take(self, index: np.ndarray) -> Boxes:
        """The boxes at `index`."""
        return Boxes(
            *(getattr(self, n)[index] for n in ("centre", "half", "cell", "upper", "axis", "point", "estimate"))
        )


def certify_boxes(
    network: Network, target: Target, rtol: float, atol: float, work: Work
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by branch and bound on boxes."""
    from approx.certification.certify import observed_error

    program = Program(network, hinges=False)
    guess = observed_error(network, target, 20_000)
    cover = box_cover(target, 0.02 * max(rtol * guess, atol), order=8 if target.dimension <= 2 else 6)
    search = _Search(program, target, cover, rtol, atol, work)
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run()
    return search.lower, search.upper, search.witness, "boxes (float64 affine forms)"


class _Search:
    """The state of one branch and bound: open boxes, the best lower bound and the largest settled bound."""

    def __init__(self, program: Program, target: Target, cover: BoxCover, rtol: float, atol: float, work: Work) -> None:
        self.program, self.target, self.cover = program, target, cover
        self.rtol, self.atol, self.work = rtol, atol, work
        self.lower, self.settled = 0.0, 0.0
        self.witness: tuple[fmpq, ...] = tuple(target.domain.lower)
        # Until boxes have been bounded, nothing is known.
        self.open: list[Boxes] = []
        self.pending = float("inf")

    @property
    def goal(self) -> float:
        return max(self.lower * (1 + self.rtol), self.atol)

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        return max([self.settled, self.pending, *(float(b.upper.max(initial=0.0)) for b in self.open)])

    def run(self) -> None:
        """Halve the boxes with the largest bounds until the goal is met or the work is exhausted."""
        everything = self.bound(self.cover.centres, self.cover.halves, np.arange(len(self.cover.centres)))
        self.open, self.pending = [everything], 0.0
        self.improve(everything)
        while self.open and not self.work.exhausted:
            boxes = self.open[-1]
            # Where the cover itself is too coarse (kinks, poles) halving boxes cannot help: such boxes are settled as is.
            stuck = ~(self.cover.remainders[boxes.cell] <= self.goal)
            active = np.flatnonzero(~(boxes.upper <= self.goal) & ~stuck)
            done = np.flatnonzero((boxes.upper <= self.goal) | stuck)
            self.settled = max(self.settled, float(boxes.upper[done].max(initial=0.0)))
            if not len(active):
                self.open.pop()
                continue
            boxes = boxes.take(active[np.argsort(-boxes.upper[active], kind="stable")])
            first, rest = boxes.take(np.arange(len(active)) < _CHUNK), boxes.take(np.arange(len(active)) >= _CHUNK)
            if not (first.half.max(axis=1) > 2.0**-300).all():
                break
            children = self.halve(first)
            # One assignment, so that an interrupt never finds the parents gone and the children missing.
            self.open[-1:] = [rest, children]
            self.improve(children)

    def halve(self, boxes: Boxes) -> Boxes:
        """Both halves of every box along its axis. Halves are a little too wide where centres round, never too narrow."""
        rows = np.arange(len(boxes.axis))
        half = boxes.half.copy()
        half[rows, boxes.axis] *= 0.5
        step = np.zeros_like(half)
        step[rows, boxes.axis] = half[rows, boxes.axis]
        lower, upper = boxes.centre - step, boxes.centre + step
        half[rows, boxes.axis] += 2.0**-52 * np.abs(boxes.centre[rows, boxes.axis])
        return self.bound(np.concatenate([lower, upper]), np.concatenate([half, half]), np.tile(boxes.cell, 2))

    def bound(self, centre: np.ndarray, half: np.ndarray, cell: np.ndarray) -> Boxes:
        """The Boxes with their bounds."""
        self.work.count("boxes", len(cell))
        with np.errstate(all="ignore"):
            q, rounding = self.cover.expand(cell, centre, half)
            p, a, e, weight = affine_forms(self.program, centre, half)
            return self._compare(centre, half, cell, q, rounding, p, a, e, weight)

    def _compare(self, centre, half, cell, q, rounding, p, a, e, weight):  # type: ignore[no-untyped-def]
        d = centre.shape[1]
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
        up, down, at_up, at_down = constant, -constant, np.zeros_like(a), np.zeros_like(a)
        for i in range(d):
            more, at_up[:, i] = _quadratic(linear[:, i], square[:, i])
            less, at_down[:, i] = _quadratic(-linear[:, i], -square[:, i])
            up, down = up + more, down + less
        slack = e + other + self.cover.remainders[cell] + rounding
        size = np.abs(constant) + np.abs(linear).sum(axis=1) + np.abs(square).sum(axis=1)
        upper = np.maximum(up, down) + slack + 16 * d * _UNIT * (size + slack)
        upper = np.where(np.isnan(upper), np.inf, upper)
        side = np.where((up >= down)[:, None], at_up, at_down)
        curve = np.abs(square) + other[:, None] / d
        # Split where the curvature of f or the crossing ReLUs lose most.
        axis = np.argmax(np.nan_to_num(curve + weight, nan=np.inf), axis=1)
        return Boxes(centre, half, cell, upper, axis, centre + half * side, np.maximum(up, down))

    def improve(self, boxes: Boxes) -> None:
        """Raise the lower bound at the most promising points, in exact arithmetic."""
        finite = np.where(np.isfinite(boxes.estimate), boxes.estimate, 0.0)
        lo, hi = self.target.domain.lower, self.target.domain.upper
        for k in np.argsort(-finite)[:2]:
            if finite[k] <= self.lower * (1 + 1e-6):
                continue
            x = tuple(min(max(to_fmpq(float(v)), lo[i]), hi[i]) for i, v in enumerate(boxes.point[k]))
            with working_precision(160):
                ball = abs(self.target.ball([arb(c) for c in x]) - arb(evaluate_exact(self.program.network, [x])[0]))
                low = float_down(ball.lower()) if ball.is_finite() else 0.0
            if low > self.lower:
                self.lower, self.witness = low, x


def _quadratic(linear: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(max, argmax) of linear*u + square*u^2 on [-1, 1]."""
    end = np.abs(linear) + square
    vertex = np.clip(linear / np.where(square < 0, -2 * square, 1.0), -1, 1)
    inside = (square < 0) & (np.abs(linear) < -2 * square)
    value = np.where(inside, linear * vertex + square * vertex * vertex, end)
    return value, np.where(inside, vertex, np.where(linear >= 0, 1.0, -1.0))


def affine_forms(
    program: Program, centre: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(p, a, e, weight) per box with net(centre + half*u) in p + a.u + [-e, e] for u in [-1, 1]^d.

    weight (boxes, d): how much of e is due to each axis, a guide for splitting. Rounding is inside e: every sum of n
    products in float64 errs by at most (n + 2) 2^-53 times the sum of absolute values, whatever the order.
    """
    n, d = centre.shape
    # Coordinates: (d + 1, n) for constant and slopes of each input.
    slopes = np.zeros((d, d, n))
    for i in range(d):
        slopes[i, i] = half[:, i]
    forms = {0: (centre.T.copy(), slopes)}
    errors = {0: np.zeros((d, n))}
    blame = np.zeros((d, n))
    last = len(program.activations)
    for k in range(1, last + 1):
        layer = program.network.layers[k - 1]
        p = np.repeat(layer.bias.floats[:, None], n, axis=1)
        a = np.zeros((layer.units, d, n))
        e = np.zeros((layer.units, n))
        size = np.abs(p)
        length = np.full(layer.units, 4.0)
        for source, matrix in program.matrices[k - 1]:
            sp, sa = forms[source]
            absolute = abs(matrix)
            p += matrix @ sp
            a += (matrix @ sa.reshape(len(sp), d * n)).reshape(layer.units, d, n)
            size += absolute @ (np.abs(sp) + np.abs(sa).sum(axis=1))
            e += absolute @ errors[source]
            length += np.diff(matrix.indptr)
        # The third unit per weight covers pooled weights, whose float64 is only the nearest.
        e = e * (1 + 2.0**-30) + (1.01 * _UNIT) * (length[:, None] + 3) * size + 2.0**-1000
        if program.activations[k - 1] != "identity":
            p, a, e = _activate(p, a, e, program.activations[k - 1], blame)
        forms[k], errors[k] = (p, a), e
        for source in [s for s in forms if program.last_use[s] <= k and s != k]:
            del forms[source], errors[source]
    (p, a), e = forms[last], errors[last]
    return p[0], a[0].T, e[0], blame.T


def _activate(p, a, e, activation, blame):  # type: ignore[no-untyped-def]
    radius = (np.abs(a).sum(axis=1) + e) * (1 + 2.0**-40)
    lo, hi = p - radius, p + radius
    if activation == "abs":
        # |z| = 2 max(z, 0) - z
        rp, ra, re = _relu(p, a, e, lo, hi, blame)
        extra = 4 * _UNIT * (np.abs(p) + np.abs(a).sum(axis=1) + np.abs(rp) + np.abs(ra).sum(axis=1))
        crossing = (lo < 0) & (hi > 0)
        return 2 * rp - p, 2 * ra - a, np.where(crossing, 2 * re + e, e) + extra
    return _relu(p, a, e, lo, hi, blame)


def _relu(p, a, e, lo, hi, blame):  # type: ignore[no-untyped-def]
    crossing = (lo < 0) & (hi > 0)
    slope = np.where(crossing, hi / np.where(crossing, hi - lo, 1.0), np.where(lo >= 0, 1.0, 0.0))
    # On [lo, hi] max(z, 0) lies between slope*z and slope*(z - lo); NaN inputs give NaN, which the caller turns to inf.
    offset = np.where(crossing, -0.5 * slope * lo, 0.0)
    new_p = np.where(np.isnan(p), np.nan, slope * p + offset)
    new_a = slope[:, None, :] * a
    rounding = np.where(crossing, 8 * _UNIT * (np.abs(p) + np.abs(lo) + np.abs(a).sum(axis=1) + e), 0.0)
    new_e = slope * e + offset + rounding
    share = np.abs(a) / np.where(np.abs(a).sum(axis=1) > 0, np.abs(a).sum(axis=1), 1.0)[:, None, :]
    blame += np.einsum("un,udn->dn", np.where(np.isfinite(offset), offset, 0.0), share)
    return new_p, new_a, new_e
