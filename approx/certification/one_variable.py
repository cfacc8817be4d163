"""How large |f - net| is on pieces of a network of one variable: second-order bounds with everything that rounding adds.

A cover represents f on every cell as a polynomial plus a proved remainder. On each piece the chord of the computed network
values is compared with f (chord.py), and the proved distance between network and chord (forward.py, adjoint.py) is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.certification.adjoint import forward_adjoint
from approx.certification.arithmetic import Arithmetic, Float64, Vector, join, take
from approx.certification.chord import chord_bound
from approx.certification.forward import forward
from approx.certification.pieces import Program
from approx.numbers.doubledouble import dd_add
from approx.targets.cover import Cover


@dataclass
class Pieces:
    """Intervals with all that is known of |f - net| on them; arrays of equal length."""

    left: Vector
    right: Vector
    upper: np.ndarray
    slack: np.ndarray
    fraction: np.ndarray
    estimate: np.ndarray

    def __len__(self) -> int:
        return len(self.upper)

    def take(self, index: np.ndarray) -> Pieces:
        """The pieces at `index`."""
        return Pieces(
            take(self.left, index),
            take(self.right, index),
            *(a[index] for a in (self.upper, self.slack, self.fraction, self.estimate)),
        )


def bound_pieces(
    program: Program, cover: Cover, points: Vector, shared: bool, arithmetic: Arithmetic, adjoint: bool = False
) -> Pieces:
    """The Pieces between points (see forward); every interval must lie within one cell of the cover.

    adjoint: whether the distance between network and chord is also bounded by signed sensitivities.
    """
    values, error = (forward_adjoint if adjoint else forward)(program, points, shared, arithmetic)
    count = len(points[0])
    ends = (slice(None, -1), slice(1, None)) if shared else (slice(None, count // 2), slice(count // 2, None))
    left, right = take(points, ends[0]), take(points, ends[1])
    cell = cells_of(cover, left)
    with np.errstate(all="ignore"):
        gap_left, err_left = _deviation(cover, left, take(values, ends[0]), cell, arithmetic)
        gap_right, err_right = _deviation(cover, right, take(values, ends[1]), cell, arithmetic)
        width = difference(right, left)
        second = _second_derivative(cover, left[0], right[0], cell)
        upper, fraction, estimate = chord_bound(gap_left, gap_right, width, second)
        slack = (error + np.maximum(err_left, err_right)) * (1 + 2.0**-40)
        total = (upper + slack) * (1 + 2.0**-50)
    return Pieces(left, right, np.where(np.isnan(total), np.inf, total), slack, fraction, estimate)


def _second_derivative(
    cover: Cover, left: np.ndarray, right: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The range of f'' on the pieces; of the constant that stands for f where f'' is unbounded.

    On such a cell the remainder, which is part of the error of every value of f, covers all of f minus the constant.
    """
    low, high = cover.second_derivative_range(left, right, cell)
    constant = (cover.degrees[cell] == 0) & ~(np.isfinite(low) & np.isfinite(high))
    return np.where(constant, 0.0, low), np.where(constant, 0.0, high)


def cells_of(cover: Cover, left: Vector) -> np.ndarray:
    """The cell to the right of each point, exactly (a point a tail below an edge belongs to the cell before)."""
    cell = np.searchsorted(cover.edges, left[0], side="right") - 1
    cell = np.clip(cell, 0, len(cover.edges) - 2)
    if len(left) > 1:
        cell = np.where((left[0] == cover.edges[cell]) & (left[1] < 0), np.maximum(cell - 1, 0), cell)
    return cell


def _deviation(
    cover: Cover, x: Vector, value: Vector, cell: np.ndarray, arithmetic: Arithmetic
) -> tuple[np.ndarray, np.ndarray]:
    """f - net at the points, with the bound of its error that comes from f and from the subtraction."""
    if arithmetic is Float64:
        f, error = cover.value(x[0], cell)
        gap = f - value[0]
        return gap, error + 2.0**-52 * np.abs(gap)
    hi, lo, error = cover.value_dd(x[0], x[1], cell)
    gap, tail = dd_add(hi, lo, -value[0], -value[1])
    return gap, error + np.abs(tail) + 2.0**-100 * (np.abs(hi) + np.abs(value[0]))


def difference(right: Vector, left: Vector) -> np.ndarray:
    """right - left as float64, not below the true difference by more than an underflow."""
    if len(right) == 1:
        return (right[0] - left[0]) * (1 + 2.0**-52)
    return dd_add(right[0], right[1], -left[0], -left[1])[0] * (1 + 2.0**-52)


def concatenate(parts: list[Pieces]) -> Pieces:
    """All pieces of the parts, which are in the same arithmetic."""
    return Pieces(
        join([p.left for p in parts]),
        join([p.right for p in parts]),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("upper", "slack", "fraction", "estimate")),
    )


def coarse(program: Program, cover: Cover, left: float, right: float) -> float:
    """A valid bound of sup |f - net| on [left, right] without looking for pieces: one interval per cell of the cover."""
    inner = cover.edges[(cover.edges > left) & (cover.edges < right)]
    nodes = np.concatenate(([left], inner, [right]))
    return float(bound_pieces(program, cover, (nodes,), True, Float64).upper.max(initial=0.0))
