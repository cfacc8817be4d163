"""How is a piecewise-linear function written with one hinge per knot, and how far is it from a target, rigorously?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.networks import Network, block, layer
from approx.numbers import float_down, float_up, to_float
from approx.targets import CallableTarget, Target
from approx.targets.cover import Cover, taylor_cover
from approx.targets.declared_cover import declared_cover

_UNIT = 2.0**-53
FINE = 4096  # points, at least, on which densities of knots are sampled


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


def fine_cover(target: Target, eps: float) -> Cover:
    """A cover of the whole domain, far more exact than eps; every point of the domain lies in its cells."""
    if isinstance(target, CallableTarget):
        return declared_cover(target, eps * 2e-3)
    return taylor_cover(target, target.domain.lower[0], target.domain.upper[0], eps * 2e-3, max_cells=4096)


def values_at(target: Target, points: np.ndarray) -> np.ndarray:
    """f at the points, at the nearest float64 number of the domain where a cell's end lies outside it by a rounding."""
    low, high = target.domain.lower[0], target.domain.upper[0]
    return np.asarray(target(np.clip(points, float_up(low), float_down(high))))


def inner_kinks(target: Target, cover: Cover) -> np.ndarray:
    """The float64 numbers nearest to the kinks of f inside the domain."""
    places = {to_float(p.mid()) for p in target.split_points()}
    return np.array(sorted(p for p in places if cover.edges[0] < p < cover.edges[-1]))


def refine(cover: Cover, knots: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """(points, piece number of every segment between them): knots, cell edges and `parts` subdivisions per piece."""
    inner = cover.edges[(cover.edges > knots[0]) & (cover.edges < knots[-1])]
    fine = knots
    if parts > 1:
        fine = (knots[:-1, None] + np.diff(knots)[:, None] * (np.arange(parts) / parts)).ravel()
        fine = np.append(fine, knots[-1])
    points = np.unique(np.concatenate((fine, knots, inner)))
    piece = np.clip(np.searchsorted(knots, points[:-1], side="right") - 1, 0, len(knots) - 2)
    return points, piece


def hinge_error(cover: Cover, function: HingeFunction, parts: int = 1) -> HingeError:
    """The proved error of a hinge function whose knots reach over the whole cover; O(knots + cells) vectorised.

    On a segment [a, b] inside one cell, |f - p| <= remainder on the domain, and the polynomial p minus the line is the
    chord of its end values plus p''(xi)/2 (x-a)(b-x), whose extrema over p'' in [m, M] are closed forms. The segments
    cover the cells, which contain the domain: where its exact ends are no float64 numbers, a little more is bounded.
    """
    points, piece = refine(cover, function.knots, parts)
    a, b = points[:-1], points[1:]
    cell = cover.cell_of((a + b) / 2)
    left, width_left = _deviation(cover, function, a, piece, cell)
    right, width_right = _deviation(cover, function, b, piece, cell)
    low, high = cover.model_curvature(a, b, cell)
    worst = segment_error(left, right, low, high, b - a) + np.maximum(width_left, width_right)
    worst = worst * (1 + 1e-12) + function.drift
    pieces = np.zeros(len(function.slopes))
    np.maximum.at(pieces, piece, np.where(np.isnan(worst), np.inf, worst))
    return HingeError(float(pieces.max()), pieces)


def segment_error(
    left: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray, length: np.ndarray
) -> np.ndarray:
    """Bounds of |e| on segments with these end values of e and low <= -e'' <= high."""
    with np.errstate(invalid="ignore", over="ignore"):
        area = length**2 / 2
        return np.maximum(
            peak(left, right, np.maximum(high, 0) * area), peak(-left, -right, np.maximum(-low, 0) * area)
        )


def _deviation(
    cover: Cover, function: HingeFunction, x: np.ndarray, piece: np.ndarray, cell: np.ndarray
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
