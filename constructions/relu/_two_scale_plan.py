"""Which piecewise-linear function on a fine grid does a two-scale network of one variable compute, and how far is it from f?

Statement. Let [lower, upper] have N coarse cells of M fine steps, h = (upper - lower)/(NM), f_1 the interpolant of the
coarse values v, A_k integers with A = 0 at the coarse nodes and A_{k+1} - A_k in {-1, 0, 1}. The polygon P through
f_1(x_k) + lambda A_k differs from f by at most max_k |f(x_k) - P(x_k)| + D, where D bounds the distance of f from its own
chords on the fine steps: with |f(x) - f(y)| <= C |x - y|^a, f lies within (1-t) C (t h)^a + t C ((1-t) h)^a <= C (h/2)^a of
its chord (t in [0,1]; concavity of s^a, and 2 t (1-t) <= 1/2).
With g = f - f_1 and lambda >= max_k |g(x_{k+1}) - g(x_k)|, A_k = floor(g(x_k)/lambda + 1/2) qualifies and |g - lambda A| <=
lambda/2 at the nodes. Such a lambda is at most 2 omega_f(h): a step of f_1 is one M-th of a coarse step of f, and
omega_f(M h) <= M omega_f(h). So the error is at most 2 omega_f(h) for any modulus of this kind. Source: P18; derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import UnreachableError
from approx.numbers import float_up, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._node_values import node_values

_UNIT = 2.0**-53


@dataclass(frozen=True)
class TwoScalePlan:
    """The data of a two-scale network: everything that its weights are made of.

    cells N, steps M per cell; coarse: the N + 1 coarse values; quantum: lambda; levels: the integers A_k, k = 0 .. NM, or all
    zero; digits: ternary digits per code; ramp: the width of the ramps between codes, in cells.
    """

    cells: int
    steps: int
    digits: int
    ramp: fmpq
    quantum: float
    coarse: np.ndarray
    levels: np.ndarray

    @property
    def corrected(self) -> bool:
        """Whether anything is coded at all."""
        return bool(self.levels.any())

    @property
    def codes(self) -> int:
        """Codes per cell."""
        return -(-self.steps // self.digits)

    def fine_values(self) -> np.ndarray:
        """P(x_k), k = 0 .. NM, in float64; each errs by at most 8 * 2^-53 of the largest |v| + lambda |A|."""
        share = np.arange(self.steps) / self.steps
        lines = self.coarse[:-1, np.newaxis] + np.diff(self.coarse)[:, np.newaxis] * share
        return np.append(lines.ravel(), self.coarse[-1]) + self.quantum * self.levels

    def slop(self) -> float:
        """The bound of the rounding errors of fine_values."""
        size = float(np.abs(self.coarse).max()) + self.quantum * float(np.abs(self.levels).max(initial=0))
        return 16 * _UNIT * size

    def gap_at_ramps(self) -> float:
        """What network and polygon may differ by, next to coarse nodes only: both corrections are below lambda M ramp."""
        return float_up(2 * to_fmpq(self.quantum) * self.steps * self.ramp) if self.corrected else 0.0


def chord_gap(target: Target, h: fmpq) -> float:
    """The bound D above of |f - chord| on intervals of length h."""
    exponent, constant = target.hoelder()
    with working_precision(80):
        half = float_up(h / 2)
    return constant * half**exponent * (1 + 2.0**-40)


def ramp_width(steps: int) -> fmpq:
    """A ramp so short that the gap at it is at most 2^-12 of a quantum."""
    return fmpq(1, 2 ** (13 + steps.bit_length()))


def fit_plan(target: Target, cells: int, steps: int, digits: int) -> tuple[TwoScalePlan, float]:
    """(the plan for f on this grid, proved bound of |f - P| at the fine nodes)."""
    values, rounding = node_values(target, np.arange(cells * steps + 1), cells * steps)
    size = float(np.abs(values).max())
    # Coarse values on a dyadic grid: their second differences, the weights of f_1, are then float64 numbers.
    grain = 2.0 ** (np.ceil(np.log2(size)) - 46) if size > 0 else 1.0
    coarse = np.round(values[::steps] / grain) * grain
    flat = TwoScalePlan(cells, steps, digits, ramp_width(steps), 0.0, coarse, np.zeros(len(values), dtype=np.int64))
    rest = values - flat.fine_values()
    quantum = short(max(float(np.abs(np.diff(rest)).max()), 8 * grain))
    for _ in range(8):
        levels = np.floor(rest / quantum + 0.5).astype(np.int64)
        if not levels.any():
            plan = flat
            break
        if not levels[::steps].any() and np.abs(np.diff(levels)).max() <= 1:
            plan = TwoScalePlan(cells, steps, digits, flat.ramp, quantum, coarse, levels)
            break
        quantum = short(quantum * (1 + 2.0**-12))
    else:
        raise UnreachableError("deep-two-scale: float64 values of f are too coarse for steps as small as these")
    worst = float(np.abs(values - plan.fine_values()).max())
    return plan, (worst + plan.slop() + rounding) * (1 + 2.0**-40)


def short(value: float) -> float:
    """The number rounded up to 20 bits: a short weight."""
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.ceil(mantissa * 2.0**20), int(exponent) - 20))


def cell_steps(plan: TwoScalePlan) -> np.ndarray:
    """The digits 1 + step of A, shape (N, M), in the order in which a network passes them.

    The local coordinate of a cell rises in even cells and falls in odd ones, so odd cells are passed from right to left.
    """
    increments = np.diff(plan.levels).reshape(plan.cells, plan.steps)
    increments[1::2] = -increments[1::2, ::-1]
    return increments + 1


def levels_of(digits: np.ndarray) -> np.ndarray | None:
    """The A_k of digits as in cell_steps; None unless A returns to 0 at the end of every cell."""
    increments = digits.astype(np.int64) - 1
    if increments.sum(axis=1).any():
        return None
    increments[1::2] = -increments[1::2, ::-1]
    return np.concatenate(([0], np.cumsum(increments.ravel())))


def polygon_values(plan: TwoScalePlan, place: Any) -> np.ndarray:
    """P in float64 at places in [0, NM], in fine steps; no bound of rounding."""
    return np.interp(place, np.arange(len(plan.levels)), plan.fine_values())
