"""Which piecewise-linear function with coded second differences does a two-scale network for smooth functions compute?

Statement. Let [lower, upper] have N coarse cells of M fine steps, h = (upper - lower)/(NM), f_1 the interpolant of the coarse
values, g = f - f_1, A_k = floor(g(x_k)/lambda + 1/2) with lambda >= max |g(x_{k-1}) - 2 g(x_k) + g(x_{k+1})|/2 over the inner
fine nodes of all cells. Then A = 0 at the coarse nodes, and the second differences of A inside a cell are integers in [-3, 3]:
they differ from those of g/lambda, at most 2, by less than 2, and are checked (should rounding spoil it, lambda is increased).
The polygon P through f_1(x_k) + lambda A_k differs from f by at most lambda/2 at the nodes and by h^2/8 max |f''| more
between them. max h^2 |f''|/2 is such a lambda: the error is about 3/8 h^2 max |f''|, while a step costs three bits. Values are
not coded at all: inside a cell they follow from A = 0 at both ends. Source: P19 (Taylor data of neighbouring fine nodes
determine each other up to O(1) choices); in one variable, order 2: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import fmpq

from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_fmpq
from approx.targets import Target
from constructions.relu._smooth_doubles import smooth_values
from constructions.relu._two_scale_plan import TwoScalePlan, short

#: Digits are second differences plus 3, of this many bits.
BITS, SHIFT = 3, 3


@dataclass(frozen=True)
class HoelderPlan(TwoScalePlan):
    """A two-scale plan whose codes hold second differences; one code per cell, of BITS (steps - 1) bits."""

    def gap_at_ramps(self) -> float:
        """What network and polygon may differ by, next to coarse nodes only.

        There t or M - t is at most M ramp; every tent is below it in sum by M t/2 and M (M - t)/2; digits that are not
        decoded lie in [-3, 4], those of the polygon in [-3, 3].
        """
        return float_up(7 * to_fmpq(self.quantum) * self.steps**2 * self.ramp / 2) if self.corrected else 0.0


def ramp_for(steps: int) -> fmpq:
    """A ramp so short that the gap at it is at most 2^-12 of a quantum."""
    return fmpq(1, 2 ** (14 + 2 * steps.bit_length()))


def curvature(target: Target) -> float:
    """max |f''|, proved; raises RegularityError where there is none."""
    bound = target.derivative_bound((2,))
    if not math.isfinite(bound):
        raise RegularityError(
            f"hoelder-two-scale: {target.text} has no bounded second derivative; methods for such targets: deep-two-scale, "
            "narrow, cached-patches, piecewise-linear, simplicial"
        )
    return bound


def fit_plan(target: Target, cells: int, steps: int) -> tuple[HoelderPlan, float]:
    """(the plan for f on this grid, proved bound of |f - P| at the fine nodes)."""
    values, rounding = smooth_values(target, cells * steps)
    size = float(np.abs(values).max())
    # Coarse values on a dyadic grid: their second differences, the weights of f_1, are then float64 numbers.
    grain = 2.0 ** (np.ceil(np.log2(size)) - 48) if size > 0 else 1.0
    coarse = np.round(values[::steps] / grain) * grain
    none = np.zeros(len(values), dtype=np.int64)
    flat = HoelderPlan(cells, steps, steps, ramp_for(steps), 0.0, coarse, none)
    rest = values - flat.fine_values()
    inner = np.ones(len(values) - 2, dtype=bool)
    inner[steps - 1 :: steps] = False
    bends = np.abs(np.diff(rest, 2)[inner])
    quantum = short(max(float(bends.max(initial=0.0)) / (SHIFT - 1), 8 * grain))
    for _ in range(40):
        levels = np.floor(rest / quantum + 0.5).astype(np.int64)
        if not levels.any():
            plan = flat
            break
        if not levels[::steps].any() and np.abs(np.diff(levels, 2)[inner]).max(initial=0) <= SHIFT:
            plan = HoelderPlan(cells, steps, steps, flat.ramp, quantum, coarse, levels)
            break
        quantum = short(quantum * (1 + 2.0**-6))
    else:
        raise UnreachableError("hoelder-two-scale: float64 values of f are too coarse for steps as small as these")
    worst = float(np.abs(values - plan.fine_values()).max())
    return plan, (worst + plan.slop() + rounding) * (1 + 2.0**-40)


def cell_digits(plan: HoelderPlan) -> np.ndarray:
    """The second differences of A plus SHIFT, shape (N, M - 1), in the order in which a network passes them.

    The local coordinate of a cell rises in even cells and falls in odd ones, so odd cells are passed from right to left.
    """
    nodes = np.arange(plan.cells)[:, None] * plan.steps + np.arange(plan.steps + 1)
    bends = np.diff(plan.levels[nodes], 2, axis=1)
    bends[1::2] = bends[1::2, ::-1]
    return bends + SHIFT


def levels_of(digits: np.ndarray) -> np.ndarray:
    """The A_k of digits as in cell_digits."""
    inner = digits.shape[1]
    bends = digits.astype(np.int64) - SHIFT
    bends[1::2] = bends[1::2, ::-1]
    # With A_0 = 0 and first step s, A_M = M s + sum (M - j) d_j = 0.
    steps = inner + 1
    total = bends @ (steps - np.arange(1, steps))
    if (total % steps).any():
        raise ValueError("A does not return to 0 in integers")
    slopes = np.concatenate((-(total // steps)[:, None], bends), axis=1).cumsum(axis=1)
    return np.concatenate(([0], np.cumsum(slopes.ravel())))
