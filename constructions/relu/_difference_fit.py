"""Which levels and which quantum suit a function on a grid, and how far are the levels from it? To twice float64's digits.

Values of f, the polygon f_1 and the products lambda A_k are double-double numbers: A_k may be beyond 2^53, and what is left,
f - f_1 - lambda A_k, is known to a small share of lambda all the same. Coarse values are int64 multiples of a power of two that
is 2^-60 of max |f| at most, so the method ends where lambda is 2^-54 of max |f|.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from flint import fmpq

from approx.errors import RegularityError, UnreachableError
from approx.numbers import to_float
from approx.numbers.doubledouble import dd_add, dd_mul, dd_mul_float, fast_two_sum
from approx.targets import Target
from constructions.relu._difference_codes import LARGEST_BITS
from constructions.relu._difference_plan import LEAST_QUANTUM, DifferencePlan, coarse_ramp
from constructions.relu._smooth_doubles import SmoothValues, smooth_doubles
from constructions.relu._two_scale_plan import short

Array = np.ndarray
_CHUNK = 1 << 17
_SAMPLES = 1 << 16
#: What double-double operations may lose, of the largest number that is met.
_ROUNDING = 2.0**-96


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
    found = smooth_doubles(target)
    nodes = found.at(np.arange(cells + 1), cells)
    size = float(np.abs(nodes.high).max())
    grain = 2.0 ** (math.ceil(math.log2(size)) - 60) if size > 0 else 1.0
    coarse = np.rint(nodes.high / grain).astype(np.int64) + np.rint(nodes.low / grain).astype(np.int64)
    # The clip c = L min(t, M - t) must be at least |g|/lambda: on a fine step g changes by at most 2 h max |f'|.
    rise = 2 * target.lipschitz() * to_float(target.domain.upper[0] - target.domain.lower[0])
    rise *= (1 + 2.0**-40) / (cells * steps)
    quantum = short(max(_bend(found, order, cells * steps) / 2 ** (order - 1), LEAST_QUANTUM * grain))
    none = np.zeros(cells * steps + 1, dtype=np.int64)
    for _ in range(40):
        slope = math.ceil(rise / quantum * (1 + 2.0**-40)) + 1
        flat = DifferencePlan(order, cells, steps, coarse_ramp(slope, steps), slope, quantum, grain, coarse, none)
        levels = _levels(flat, found)
        if levels is not None:
            plan = DifferencePlan(order, cells, steps, flat.ramp, slope, quantum, grain, coarse, levels)
            if not plan.corrected:
                plan = DifferencePlan(order, cells, steps, fmpq(1, 2), 0, 0.0, grain, coarse, levels)
            return plan, *node_errors(plan, found)
        quantum = short(quantum * (1 + 2.0**-6))
    raise UnreachableError("hoelder-two-scale: values of f, known to 2^-60, are too coarse for such steps")


def _bend(found: SmoothValues, order: int, total: int) -> float:
    """About the largest |D^r f| on the grid; what it lacks is made up for when digits are checked."""
    places = np.unique(np.linspace(0, total, min(total, _SAMPLES) + 1).astype(np.int64))
    bends = np.abs(found.bends(order, places, total, total)[0])
    return (float(bends.max()) + found.lost(order, total, 0.0)) * math.factorial(order) * (1 + 2.0**-12)


def _levels(plan: DifferencePlan, found: SmoothValues) -> Array | None:
    """The A_k, None unless they are 0 at coarse nodes and their r-th differences are digits."""
    levels = np.zeros(plan.cells * plan.steps + 1, dtype=np.int64)
    for cells, high, low, _ in _rests(plan, found):
        rough = np.rint(high / plan.quantum)
        if not np.abs(rough).max() < 2.0 ** (LARGEST_BITS - plan.order):
            why = "levels beyond 64-bit integers; a method for such accuracies: local-taylor"
            raise UnreachableError(f"hoelder-two-scale: {why}")
        left, _ = _without(plan, high, low, rough.astype(np.int64))
        rows = rough.astype(np.int64) + np.floor(left / plan.quantum + 0.5).astype(np.int64)
        if rows[:, [0, -1]].any() or np.abs(np.diff(rows, plan.order, axis=1)).max() > plan.shift:
            return None
        levels[cells[0] * plan.steps : (cells[-1] + 1) * plan.steps] = rows[:, :-1].ravel()
    return levels


def _rests(plan: DifferencePlan, found: SmoothValues) -> Iterator[tuple[Array, Array, Array, float]]:
    """Some cells, f - f_1 at their nodes, (cells, M + 1), high and low, and its proved error."""
    m, total = plan.steps, plan.cells * plan.steps
    inverse = 1.0 / m
    left_over = to_float(fmpq(1, m) - fmpq(*inverse.as_integer_ratio()))
    count = max(1, _CHUNK // m)
    for start in range(0, plan.cells, count):
        cells = np.arange(start, min(start + count, plan.cells))
        f = found.at(np.arange(cells[0] * m, (cells[-1] + 1) * m + 1), total)
        nodes = (cells - cells[0])[:, None] * m + np.arange(m + 1)
        first, change = _doubled(plan.coarse[cells]), _doubled(np.diff(plan.coarse[cells[0] : cells[-1] + 2]))
        share = dd_mul_float(inverse, left_over, np.arange(m + 1.0))
        rise = dd_mul(change[0][:, None], change[1][:, None], *share)
        line = dd_add(first[0][:, None], first[1][:, None], *rise)
        high, low = dd_add(f.high[nodes], f.low[nodes], *(-plan.grain * part for part in line))
        largest = float(np.abs(f.high).max()) + plan.grain * float(np.abs(plan.coarse).max())
        yield cells, high, low, f.error + _ROUNDING * largest


def _without(plan: DifferencePlan, high: Array, low: Array, rows: Array) -> tuple[Array, Array]:
    """f - f_1 - lambda A."""
    return dd_add(high, low, *dd_mul_float(*_doubled(rows), np.full(rows.shape, -plan.quantum)))


def _doubled(integers: Array) -> tuple[Array, Array]:
    """int64 numbers as double-double numbers, exactly."""
    high = integers.astype(np.float64)
    return fast_two_sum(high, (integers - high.astype(np.int64)).astype(np.float64))


def residuals(plan: DifferencePlan, found: SmoothValues) -> Iterator[tuple[Array, Array, float]]:
    """Some cells, f - f_1 - lambda A at their nodes from left to right, (cells, M + 1), and its proved error."""
    for cells, high, low, error in _rests(plan, found):
        rows = plan.levels[cells[:, None] * plan.steps + np.arange(plan.steps + 1)]
        left, _ = _without(plan, high, low, rows)
        size = plan.quantum * float(np.abs(rows).max())
        yield cells, left, error + _ROUNDING * size + 2.0**-52 * float(np.abs(left).max())


def node_errors(plan: DifferencePlan, found: SmoothValues) -> tuple[float, float]:
    """Proved bounds of |f - P| at all fine nodes, of |f - f_1| at the coarse ones."""
    fine = coarse = 0.0
    for _, left, error in residuals(plan, found):
        fine = max(fine, float(np.abs(left).max()) + error)
        coarse = max(coarse, float(np.abs(left[:, [0, -1]]).max()) + error)
    return fine * (1 + 2.0**-40), coarse * (1 + 2.0**-40)
