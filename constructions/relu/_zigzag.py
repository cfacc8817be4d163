"""Which zig-zag on a fine grid stays near a Lipschitz function, and what remains of it on coarse cells? Integers, proved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import fmpq

from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from approx.targets.enclosures import grid_enclosures
from constructions.relu._kuhn import GridAxis, grid_axis

MAXIMUM_STEPS = 4_000_000


@dataclass(frozen=True)
class CellPlan:
    """A piecewise-linear function z of tau = axis.slope x + axis.offset in [0, cells * steps], exactly.

    On cell t, tau = t * steps + i: z = quantum * (steps * heights[t] + i * (heights[t+1] - heights[t])) * scale
    + quantum * remainders[t, i] at integers i, linear between. remainders are 0 at i = 0 and i = steps, and at most
    steep * min(i, steps - i) in size. `error` is a proved bound of sup |f - z|, of which `values` is due to the values of f.
    """

    axis: GridAxis
    steps: int
    heights: np.ndarray
    remainders: np.ndarray
    quantum: fmpq
    scale: fmpq
    steep: int
    error: float
    values: float

    @property
    def cells(self) -> int:
        """The number of coarse cells."""
        return len(self.heights) - 1

    def node_values(self) -> list[fmpq]:
        """The exact values of z at tau = 0, 1, ..., cells * steps."""
        found = []
        for t in range(self.cells):
            rise = int(self.heights[t + 1] - self.heights[t])
            start = self.steps * int(self.heights[t])
            for i in range(self.steps):
                found.append(self.quantum * ((start + i * rise) * self.scale + int(self.remainders[t, i])))
        return [*found, self.quantum * self.scale * self.steps * int(self.heights[-1])]


@dataclass(frozen=True)
class FineValues:
    """f at the nodes tau = 0 .. steps of a grid: |f - middle| <= error at all nodes, |f(x) - f(y)| <= rise on a step."""

    axis: GridAxis
    middle: np.ndarray
    error: float
    rise: float


def fine_values(target: Target, steps: int, lipschitz: float) -> FineValues:
    """The FineValues on a grid of `steps` steps, values proved by balls (10 us each).

    Raises UnreachableError beyond MAXIMUM_STEPS, RegularityError where f is not shown to be finite.
    """
    if steps > MAXIMUM_STEPS:
        raise UnreachableError(f"cached patches: {steps:,} fine steps are more than {MAXIMUM_STEPS:,}")
    [(low, high)] = target.domain
    axis = grid_axis(low, high, steps)
    nodes = [min(max(axis.node(j), low), high) for j in range(steps + 1)]
    middle, radius = grid_enclosures(target, [nodes])
    if not np.isfinite(radius).all():
        raise RegularityError(f"target {target.text}: not shown to be finite on the whole domain")
    # Outer nodes may lie outside the domain by a rounding; z is compared with f on the domain alone.
    outside = max(fmpq(0), low - axis.node(0), axis.node(steps) - high)
    size = float(np.abs(middle).max())
    error = (float(radius.max()) + 2.0**-50 * size + lipschitz * float_up(outside)) * (1 + 2.0**-40)
    return FineValues(axis, middle, error, float_up(to_fmpq(lipschitz) * axis.step()))


def _short(value: float) -> fmpq:
    """A number of 24 bits, at least `value` and at most a relative 2^-22 above: its small multiples are float64 numbers."""
    mantissa, exponent = math.frexp(value)
    return fmpq(math.ceil(mantissa * 2**24)) * fmpq(2) ** (exponent - 24)


def sign_plan(fine: FineValues, steps: int) -> CellPlan:
    """The CellPlan of the zig-zag of slopes +-lambda per step, lambda barely above L h: two zig-zags per step.

    Node j carries the multiple of lambda of the parity of j nearest to f: at most lambda away, so neighbours, whose
    difference is odd and below 3, differ by exactly lambda. Between nodes z is at least as steep as f, so f - z is
    monotone there and the error is at most lambda everywhere.
    """
    quantum = _short((fine.rise + 2 * fine.error) * (1 + 2.0**-20) / steps)
    unit = quantum * steps
    nodes = np.arange(len(fine.middle))
    parity = nodes % 2
    whole = 2 * np.floor((fine.middle / to_float(unit) - parity) / 2 + 0.5).astype(np.int64) + parity
    whole = _extended(whole, -(-(len(whole) - 1) // steps) * steps)
    heights = whole[::steps]
    rows = np.lib.stride_tricks.sliding_window_view(whole, steps + 1)[::steps]
    line = np.arange(steps + 1) * np.diff(heights)[:, np.newaxis]
    remainders = steps * (rows - heights[:-1, np.newaxis]) - line
    error = float_up(unit + to_fmpq(fine.error))
    return CellPlan(fine.axis, steps, heights, remainders, quantum, fmpq(1), 2 * steps, error, fine.error)


def _extended(whole: np.ndarray, last: int) -> np.ndarray:
    # Beyond the domain anything goes: up and down by one keeps the values small.
    more = np.arange(1, last - len(whole) + 2) % 2
    return np.concatenate((whole, whole[-1] + more))


def three_slope_plan(fine: FineValues, steps: int) -> CellPlan:
    """The CellPlan of P16 Theorem 2: interpolation at the knots, remainders of slopes -2L, 0, 2L, three per step.

    The remainder f_2 = f - f_1 changes by at most lambda = 2 L h on a step, so its nearest multiples of lambda do by at
    most one. Error: lambda/2 at nodes and L h/2 between them (f against its chord), 3 L h / 2 in all.
    """
    quantum = _short(2 * (fine.rise + 4 * fine.error) * (1 + 2.0**-20))
    size = float(np.abs(fine.middle).max())
    # Knot values are multiples of steps * tiny, so that the slopes of f_1 are exact; off by at most half of that.
    tiny = fmpq(2) ** (math.ceil(math.log2(max(size, to_float(quantum)))) - 42)
    pad = -(-(len(fine.middle) - 1) // steps) * steps - len(fine.middle) + 1
    middle = np.concatenate((fine.middle, np.full(pad, fine.middle[-1])))
    scale = tiny / quantum
    heights = np.round(middle[::steps] / to_float(tiny * steps)).astype(np.int64)
    knots = heights * to_float(tiny * steps)
    share = np.arange(steps + 1) / steps
    chord = knots[:-1, np.newaxis] * (1 - share) + knots[1:, np.newaxis] * share
    rows = np.lib.stride_tricks.sliding_window_view(middle, steps + 1)[::steps]
    remainders = np.round((rows - chord) / to_float(quantum)).astype(np.int64)
    remainders[:, 0] = remainders[:, -1] = 0
    values = fine.error + float_up(tiny * steps) + 2.0**-48 * size
    error = (to_float(quantum) / 2 + fine.rise / 2 + values) * (1 + 2.0**-40)
    return CellPlan(fine.axis, steps, heights, remainders, quantum, scale, 1, error, values)
