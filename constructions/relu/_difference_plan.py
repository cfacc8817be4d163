"""Which piecewise polynomial with coded r-th differences does a two-scale network of order r >= 3 compute?

Statement. Let [lower, upper] have N coarse cells of M >= r fine steps, h = (upper - lower)/(NM), f_1 the polygon
through the coarse values, g = f - f_1, A_k = floor(g(x_k)/lambda + 1/2). In a cell |D^r g| <= h^r max |f^(r)| = K, so D^r A are
integers of size at most K/lambda + 2^(r-1): with lambda about K/(2^(r-1) - 1) they are digits of r + 1 bits. All A of a
cell follow from A = 0 at its first node, the differences D^i A, 0 < i < r, there, and those digits. On every step let P be f_1
plus lambda times the polynomial of degree r - 1 through the A of its window (_newton_windows). Then
    |f - P| <= Lambda_r max_k |f(x_k) - f_1(x_k) - lambda A_k| + omega_r K,   Lambda_3 = 5/4, omega_3 = 0.065,
since interpolation of f errs by omega_r K, and errors of values, at most lambda/2, grow by Lambda_r. So the error is O(h^r), at
a bounded number of bits a step. Source: P19 (Taylor data of neighbouring nodes determine each other up to O(1) choices); r-th
differences of quantised values in their place: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import fmpq

from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from constructions.relu._hoelder_plan import _short
from constructions.relu._newton_windows import bubbles
from constructions.relu._smooth_values import smooth_values
from constructions.relu._two_scale_plan import TwoScalePlan

#: What ramps and products may add, in quanta, each at most.
_SLACK = 10


@dataclass(frozen=True)
class DifferencePlan(TwoScalePlan):
    """A two-scale plan of order r: `levels` have r-th differences in [-shift, shift + 1] in cells; slope: the clip's L.

    Everything else that the network needs follows: offsets, widths of ramps, levels of products.
    """

    order: int
    slope: int

    @property
    def bits(self) -> int:
        """Bits of a digit."""
        return self.order + 1

    @property
    def shift(self) -> int:
        """What is added to a difference to make it a digit."""
        return 2**self.order - 1

    @cached_property
    def rows(self) -> np.ndarray:
        """A in every cell, (N, M + 1), in the order in which a network passes it: odd cells from right to left."""
        rows = self.levels[np.arange(self.cells)[:, None] * self.steps + np.arange(self.steps + 1)]
        rows[1::2] = rows[1::2, ::-1].copy()
        return rows

    @cached_property
    def sizes(self) -> list[int]:
        """max |D^i A| over all cells, i = 0 .. r - 1."""
        return [int(np.abs(np.diff(self.rows, i, axis=1)).max()) for i in range(self.order)]

    @cached_property
    def head_bits(self) -> int:
        """Bits, sign included, of every D^i A at the start of a cell."""
        first = self.rows[:, : self.order]
        return 1 + max(int(np.abs(np.diff(first, i, axis=1)[:, 0]).max()).bit_length() for i in range(1, self.order))

    @property
    def code_bits(self) -> int:
        """Bits of a code."""
        return (self.order - 1) * self.head_bits + self.bits * (self.steps - self.order + 1)

    @cached_property
    def bubble_sizes(self) -> list[fmpq]:
        """Bounds of the coefficients of Q, as polynomials of z."""
        cases = [bubbles(self.order, kappa, odd) for kappa in range(self.order - 1) for odd in (False, True)]
        return [
            max(sum((abs(c[i][k]) * self.sizes[i] for i in range(2, self.order)), fmpq(0)) for c in cases)
            for k in range(self.order - 2)
        ]

    @property
    def reach(self) -> fmpq:
        """A bound of the gated values, on ramps as well."""
        return 3 * self.sizes[1] + 3 * sum(self.bubble_sizes, fmpq(0)) + self.order

    @property
    def fine_ramp(self) -> fmpq:
        """The width, in steps, of the ramps at fine nodes: what they add is at most 4 reach times it, 2^-10 quanta."""
        return fmpq(1, 2 ** (_SLACK + 2 + _log2_up(self.reach)))

    @property
    def product_levels(self) -> int:
        """Sawtooth levels m of all products: they add at most 2 r reach 4^-(m+1), 2^-10 quanta."""
        return max(2, -(-(_SLACK + _log2_up(2 * self.order * self.reach)) // 2) - 1)

    def gap_at_ramps(self) -> float:
        """What ramps (fine 2^-10, coarse 2^-10) and products (2^-10) may add."""
        return float_up(3 * to_fmpq(self.quantum) / 2**_SLACK) if self.corrected else 0.0


def _log2_up(value: fmpq) -> int:
    return int(-(-value.p // value.q)).bit_length()


def smoothness(target: Target, order: int) -> float:
    """max |f^(order)|, proved; raises RegularityError where there is none, with the orders and methods that apply."""
    bound = target.derivative_bound((order,))
    if math.isfinite(bound):
        return bound
    lower = [r for r in range(2, order) if math.isfinite(target.derivative_bound((r,)))]
    orders = f"hoelder-two-scale with order {' or '.join(map(str, lower))}, " if lower else ""
    raise RegularityError(
        f"hoelder-two-scale: {target.text} has no bounded derivative of order {order}; methods for such targets: {orders}"
        "deep-two-scale, narrow, cached-patches, piecewise-linear, simplicial"
    )


def fit_differences(target: Target, order: int, cells: int, steps: int) -> tuple[DifferencePlan, float, float]:
    """(the plan for f on this grid, proved bound of |f - P| at the fine nodes, and of |f - f_1| at the coarse ones)."""
    values, rounding = smooth_values(target, cells * steps)
    size = float(np.abs(values).max())
    grain = 2.0 ** (np.ceil(np.log2(size)) - 48) if size > 0 else 1.0
    coarse = np.round(values[::steps] / grain) * grain
    # The clip c = L min(t, M - t) must be at least |g|/lambda: on a fine step g changes by at most 2 h max |f'|.
    rise = 2 * target.lipschitz() * to_float(target.domain.upper[0] - target.domain.lower[0])
    rise *= (1 + 2.0**-40) / (cells * steps)
    none = np.zeros(len(values), dtype=np.int64)
    flat = DifferencePlan(cells, steps, steps, fmpq(1, 2), 0.0, coarse, none, order, 0)
    rest = values - flat.fine_values()
    nodes = np.arange(cells)[:, None] * steps + np.arange(steps + 1)
    largest = float(np.abs(np.diff(rest[nodes], order, axis=1)).max())
    quantum = _short(max(largest / (2 ** (order - 1) - 1), 64 * grain))
    for _ in range(40):
        levels = np.floor(rest / quantum + 0.5).astype(np.int64)
        if not levels.any():
            plan = flat
            break
        if not levels[::steps].any() and np.abs(np.diff(levels[nodes], order, axis=1)).max() <= flat.shift:
            slope = math.ceil(rise / quantum * (1 + 2.0**-40)) + 1
            plan = DifferencePlan(cells, steps, steps, coarse_ramp(slope, steps), quantum, coarse, levels, order, slope)
            break
        quantum = _short(quantum * (1 + 2.0**-6))
    else:
        raise UnreachableError("hoelder-two-scale: float64 values of f are too coarse for steps as small as these")
    gaps = np.abs(values - plan.fine_values())
    lost = (plan.slop() + rounding) * (1 + 2.0**-40)
    return plan, float(gaps.max()) + lost, float(gaps[::steps].max()) + lost


def coarse_ramp(slope: int, steps: int) -> fmpq:
    """A ramp, in cells, so short that the clip leaves at most 2 L M ramp <= 2^-10 quanta there."""
    return fmpq(1, 2 ** (_SLACK + 1 + (slope * steps).bit_length()))


def cell_codes(plan: DifferencePlan) -> list[int]:
    """One integer per cell: D^1 A .. D^(r-1) A at its first node, then the digits, the leading bit first."""
    head = [np.diff(plan.rows[:, : plan.order], i, axis=1)[:, 0] for i in range(1, plan.order)]
    first = np.stack(head, axis=1) + 2 ** (plan.head_bits - 1)
    digits = np.diff(plan.rows, plan.order, axis=1) + plan.shift
    table = np.concatenate((_as_bits(first, plan.head_bits), _as_bits(digits, plan.bits)), axis=1)
    spare = -table.shape[1] % 8
    packed = np.packbits(table, axis=1)
    return [int.from_bytes(row.tobytes(), "big") >> spare for row in packed]


def _as_bits(numbers: np.ndarray, count: int) -> np.ndarray:
    places = np.arange(count - 1, -1, -1)
    return (numbers[:, :, np.newaxis] >> places & 1).astype(np.uint8).reshape(len(numbers), -1)


def levels_from(codes: list[int], order: int, steps: int, length: int) -> np.ndarray:
    """The levels of codes of `length` bits as `cell_codes` makes them; raises ValueError for others."""
    head, spare = divmod(length - (order + 1) * (steps - order + 1), order - 1)
    if spare or head < 2 or head > 62 or any(code >> length for code in codes):
        raise ValueError("no code")
    size = -(-length // 8)
    rows = np.frombuffer(b"".join((c << -length % 8).to_bytes(size, "big") for c in codes), dtype=np.uint8)
    table = np.unpackbits(rows.reshape(len(codes), size), axis=1)[:, :length].astype(np.int64)
    first, rest = table[:, : (order - 1) * head], table[:, (order - 1) * head :]
    starts = first.reshape(len(codes), order - 1, head) @ (1 << np.arange(head - 1, -1, -1)) - 2 ** (head - 1)
    column = rest.reshape(len(codes), -1, order + 1) @ (1 << np.arange(order, -1, -1)) - (2**order - 1)
    for i in range(order - 2, -1, -1):
        column = np.cumsum(np.concatenate((starts[:, i : i + 1], column), axis=1), axis=1)
    cells = np.concatenate((np.zeros((len(codes), 1), dtype=np.int64), np.cumsum(column, axis=1)), axis=1)
    if cells[:, -1].any():
        raise ValueError("A does not return to 0")
    cells[1::2] = cells[1::2, ::-1].copy()
    return np.append(cells[:, :-1].ravel(), 0)
