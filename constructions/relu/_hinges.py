"""How is a piecewise-linear function written with one hinge per knot, and how far is it from a target, rigorously?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from approx.networks import Network, block, layer
from approx.numbers import float_up, to_fmpq
from constructions.relu._taylor_cover import TaylorCover

_UNIT = 2.0**-53


@dataclass(frozen=True)
class HingeFunction:
    """bias + slope x + sum of steps over hinges: hinges right of the pivot piece face right, the others left.

    `values` are the intended values at the `knots`; the network's own values differ from them by at most `drift`
    (proved: rounding of the slopes' steps, accumulated from the pivot outwards).
    """

    knots: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    steps: np.ndarray
    pivot: int
    bias: float
    drift: float

    def network(self) -> Network:
        """The network with one unit per interior knot; O(knots) numpy work, no loop."""
        inner = self.knots[1:-1]
        side = np.where(np.arange(1, len(inner) + 1) > self.pivot, 1.0, -1.0)
        kept = np.flatnonzero(self.steps)
        affine = [block(0, [0, 1], [0], [self.slopes[self.pivot]])]
        if len(kept) == 0:
            return Network(1, [layer("identity", [self.bias], affine)])
        count = len(kept)
        hidden = block(0, np.arange(count + 1), np.zeros(count, dtype=np.int32), side[kept])
        output = block(1, [0, count], np.arange(count), self.steps[kept])
        return Network(
            1,
            [
                layer("relu", -side[kept] * inner[kept], [hidden]),
                layer("identity", [self.bias], [*affine, output]),
            ],
        )


def hinge_function(knots: np.ndarray, values: np.ndarray) -> HingeFunction:
    """The HingeFunction through (knots, values), with a proved bound of its drift.

    The pivot is the flattest piece: steep pieces (a root at the end) then cannot spoil the others by rounding.
    """
    h = np.diff(knots)
    rise = np.diff(values)
    slopes = rise / h
    steps = np.diff(slopes)
    pivot = int(np.argmin(np.abs(slopes)))
    # A slope is the pivot's plus exact steps; each step carries the rounding 2^-53 |step|.
    rounding = _UNIT * np.abs(steps)
    right = np.concatenate(([0.0], np.cumsum(rounding[pivot:])))
    left = np.concatenate(([0.0], np.cumsum(rounding[:pivot][::-1])))
    off = np.concatenate((left[:0:-1], right))
    residual = 6 * _UNIT * (np.abs(rise) + _UNIT * np.abs(values).max()) + off * h
    bias = float(values[pivot] - slopes[pivot] * knots[pivot])
    start = 4 * _UNIT * (abs(values[pivot]) + abs(slopes[pivot] * knots[pivot]))
    drift = (start + max(residual[:pivot].sum(), residual[pivot:].sum())) * (1 + 1e-9)
    return HingeFunction(knots, values, slopes, steps, pivot, bias, float(drift))


@dataclass(frozen=True)
class HingeError:
    """Proved: sup |target - hinge function| <= bound; `pieces` bounds it on every piece."""

    bound: float
    pieces: np.ndarray


def refine(cover: TaylorCover, knots: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """(points, piece number of every segment between them): knots, cell edges and `parts` subdivisions per piece."""
    inner = cover.edges[(cover.edges > knots[0]) & (cover.edges < knots[-1])]
    fine = knots
    if parts > 1:
        fine = (knots[:-1, None] + np.diff(knots)[:, None] * (np.arange(parts) / parts)).ravel()
        fine = np.append(fine, knots[-1])
    points = np.unique(np.concatenate((fine, knots, inner)))
    piece = np.clip(np.searchsorted(knots, points[:-1], side="right") - 1, 0, len(knots) - 2)
    return points, piece


def hinge_error(cover: TaylorCover, function: HingeFunction, parts: int = 1) -> HingeError:
    """The proved error of a hinge function on the cover's whole interval; O(knots + cells) vectorised.

    On a segment [a,b] inside one cell the error is the chord of its end values plus f''(xi)/2 (x-a)(b-x), whose
    extrema over f'' in [m, M] are closed forms.
    """
    points, piece = refine(cover, function.knots, parts)
    a, b = points[:-1], points[1:]
    cell = cover.cell_of((a + b) / 2)
    left, width_left = _deviation(cover, function, a, piece, cell)
    right, width_right = _deviation(cover, function, b, piece, cell)
    low, high = cover.curvature(a, b, cell)
    spread = np.maximum(width_left, width_right)
    with np.errstate(invalid="ignore", over="ignore"):
        top = peak(left, right, np.maximum(high, 0) * (b - a) ** 2 / 2) + spread
        bottom = peak(-left, -right, np.maximum(-low, 0) * (b - a) ** 2 / 2) + spread
    crude = ~np.isfinite(top) | ~np.isfinite(bottom)
    if crude.any():
        lo, hi = cover.span(cell[crude])
        base, slope = function.values[piece[crude]], function.slopes[piece[crude]]
        line = [base + slope * (p[crude] - function.knots[piece[crude]]) for p in (a, b)]
        slack = 8 * _UNIT * (np.abs(line[0]) + np.abs(line[1]) + np.abs(base))
        top[crude] = np.maximum(line[0], line[1]) - lo + slack
        bottom[crude] = hi - np.minimum(line[0], line[1]) + slack
    worst = np.maximum(top, bottom) * (1 + 1e-12) + function.drift
    worst[0] += overhang(cover, function, 0)
    worst[-1] += overhang(cover, function, -1)
    pieces = np.zeros(len(function.slopes))
    np.maximum.at(pieces, piece, worst)
    bound = float(pieces.max())
    return HingeError(bound if math.isfinite(bound) else math.inf, pieces)


def _deviation(
    cover: TaylorCover, function: HingeFunction, x: np.ndarray, piece: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    value, width = cover.value(x, cell)
    base, rise = function.values[piece], function.slopes[piece] * (x - function.knots[piece])
    rounding = 8 * _UNIT * (np.abs(base) + np.abs(rise) + np.abs(value))
    return base + rise - value, (width + rounding) * (1 + 1e-12)


def peak(left: np.ndarray, right: np.ndarray, bump: np.ndarray) -> np.ndarray:
    """An upper bound of the maximum over s in [0,1] of (1-s) left + s right + bump s (1-s), bump >= 0."""
    difference = right - left
    with np.errstate(divide="ignore", invalid="ignore"):
        s = np.where(bump > 0, np.clip(0.5 + difference / (2 * bump), 0, 1), 0.0)
    inside = left + difference * s + bump * s * (1 - s)
    return np.maximum(np.maximum(left, right), inside) + 1e-14 * (np.abs(left) + np.abs(right) + bump)


def overhang(cover: TaylorCover, function: HingeFunction, side: int) -> float:
    """What the error may gain where the domain's exact end lies beyond the outermost float, by less than one ulp."""
    gap = cover.lower - to_fmpq(cover.start) if side == 0 else cover.upper - to_fmpq(cover.stop)
    size = float_up(abs(gap))
    if size == 0:
        return 0.0
    slope = cover.slope[side]
    low, high = cover.span(np.array([side]))
    change = slope * size if math.isfinite(slope) else 2 * float((high - low)[0])
    return (change + abs(float(function.slopes[side])) * size) * (1 + 1e-9)
