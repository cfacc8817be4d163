"""How far is a continuous piecewise quadratic function from a target, rigorously?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.targets.cover import Cover
from constructions.relu._hinges import HingeFunction, refine, segment_error

_UNIT = 2.0**-53


@dataclass(frozen=True)
class Bent:
    """base(x) + sign_i * (zigzag(x))^2 on every piece i; the zig-zag is linear between the knots."""

    base: HingeFunction
    zigzag: np.ndarray
    sign: np.ndarray

    def second(self) -> np.ndarray:
        """The second derivative on every piece."""
        return 2 * self.sign * (np.diff(self.zigzag) / np.diff(self.base.knots)) ** 2

    def value(self, x: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(values, proved rounding bounds) at points of given pieces."""
        base, knot = self.base, self.base.knots[piece]
        rise = base.slopes[piece] * (x - knot)
        slope = np.diff(self.zigzag)[piece] / np.diff(base.knots)[piece]
        line = self.zigzag[piece] + slope * (x - knot)
        size = np.abs(self.zigzag[piece]) + np.abs(slope * (x - knot))
        value = base.values[piece] + rise + self.sign[piece] * line**2
        return value, 16 * _UNIT * (np.abs(base.values[piece]) + np.abs(rise) + size**2)


def deviations(cover: Cover, bent: Bent, parts: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(largest, smallest) sampled bent - f on every piece: a guess for balancing the node values."""
    points, piece = refine(cover, bent.base.knots, parts)
    middle = (points[:-1] + points[1:]) / 2
    cell = cover.cell_of(middle)
    top = np.full(len(bent.sign), -np.inf)
    bottom = np.full(len(bent.sign), np.inf)
    for place, owner in ((middle, piece), (points[:-1], piece), (points[1:], piece)):
        gap = bent.value(place, owner)[0] - cover.value(place, cell)[0]
        np.maximum.at(top, owner, gap)
        np.minimum.at(bottom, owner, gap)
    return top, bottom


def bent_error(cover: Cover, bent: Bent, parts: int) -> tuple[float, np.ndarray]:
    """(proved sup |target - bent|, proved bounds on every piece).

    As for hinge functions: on a segment it is the chord of its end values plus (p'' - bent'')(xi) terms and the remainder.
    """
    base = bent.base
    points, piece = refine(cover, base.knots, parts)
    a, b = points[:-1], points[1:]
    cell = cover.cell_of((a + b) / 2)
    ends: list[np.ndarray] = []
    spreads: list[np.ndarray] = []
    for x in (a, b):
        value, width = cover.value(x, cell)
        own, rounding = bent.value(x, piece)
        ends.append(own - value)
        spreads.append((width + rounding + 4 * _UNIT * np.abs(value)) * (1 + 1e-12))
    low, high = cover.model_curvature(a, b, cell)
    second = bent.second()[piece]
    slack = 1e-14 * np.abs(second)
    worst = segment_error(ends[0], ends[1], low - second - slack, high - second + slack, b - a)
    worst = worst + np.maximum(spreads[0], spreads[1])
    worst = worst * (1 + 1e-12) + base.drift
    pieces = np.zeros(len(bent.sign))
    np.maximum.at(pieces, piece, np.where(np.isnan(worst), np.inf, worst))
    return float(pieces.max()), pieces
