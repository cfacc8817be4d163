"""How does a ReLU network compute a polygon of N*M pieces with O(N + M) weights? Two scales, codes read digit by digit.

With X = N (x - lower)/(upper - lower) in [0, N]: bit tests find y = the number of the cell; piecewise-linear functions of y
give the cell's codes; tents give the local coordinate s, rising in even cells and falling in odd ones; the M digits, read one
after the other, give the steps B_j in {-1, 0, 1} of the correction G = sum_j B_j clamp(M s - j + 1, 0, 1); the output is
f_1(X) + lambda clip(G, -c, c), c = M (1 - s).

Statement. With ramps of width r the network equals the polygon P of the plan exactly, for every x farther than r/N of the
interval to the left of a coarse node; there it differs from P by at most 2 lambda M r. Proof. Off the ramps all tests are
0 or 1, y is an integer, the codes and so the digits are exact; the clamps are linear on fine steps; |A| <= M (1-s), since
A = 0 where s = 1, so the clip changes nothing. On a ramp the indicators are still in [0,1], so |G| <= M s, and the clip
keeps |G| <= M (1-s); s or 1 - s is at most r there, for P's own correction as well.
Indicators in [0,1] multiply without products: t clamp(.,0,1) enters as t + t' - max(t - I_1, 0) - max(t - I_2, 0) for
B = I_1 + I_2 - 1, where t' = max(t - 1, 0) is the next t.
Source: P18 Theorem 2 in one variable; this form, exact on all of the interval but the ramps, is derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.targets import Target
from constructions.relu._digits import encode, read_digits
from constructions.relu._two_scale_plan import TwoScalePlan, cell_steps


def two_scale_network(plan: TwoScalePlan, lower: Any, upper: Any) -> Network:
    """The Network of a plan on [lower, upper]; the units stand in an order that _two_scale_reader knows."""
    b = Builder(1)
    position = (b.input() - lower) * (fmpq(plan.cells) / (upper - lower))
    terms = []
    if plan.corrected:
        cell, start = _cell_and_start(b, position, plan)
        terms = _correction(b, cell, start, plan)
    return b.build([linear_combination([(1, _coarse(b, position, plan.coarse)), *terms])])


def plan_network(plan: TwoScalePlan, target: Target) -> Network:
    """The Network of a plan on the target's interval."""
    return two_scale_network(plan, target.domain.lower[0], target.domain.upper[0])


def two_scale_weights(cells: int, steps: int, codes: int) -> int:
    """An upper bound of the weights: (5 + codes) N for values and codes, 23 M for digits, O(log^2 N) for the cell number."""
    levels = (cells - 1).bit_length()
    return (5 + codes) * cells + 23 * steps + 2 * levels * (levels + 8) + 6 * codes + 20


def _cell_and_start(b: Builder, position: Form, plan: TwoScalePlan) -> tuple[Form, Form]:
    """(unit y, unit M s)."""
    levels = (plan.cells - 1).bit_length()
    rest, number = position, Form()
    for m in range(levels - 1, -1, -1):
        # 1 - max(1 - p, 0) is 0 for p = 0 and 1 for p >= 1 in float64 as well: no rounding spoils a decided bit.
        bit = 1 - b.relu(1 - b.relu(rest - 2**m + plan.ramp) / plan.ramp)
        rest, number = rest - 2**m * bit, number + 2**m * bit
    local = position / 2**levels
    for level in range(levels):
        rising = b.relu(local) if level else local
        local = 2 * rising - 4 * b.relu(local - fmpq(1, 2))
    return b.relu(number), b.relu(plan.steps * local)


def _correction(b: Builder, cell: Form, start: Form, plan: TwoScalePlan) -> list[tuple[Any, Form]]:
    """The terms lambda clip(G, -c, c)."""
    hinges = [cell, *(b.relu(cell - i) for i in range(1, plan.cells))]
    table = cell_steps(plan)
    chunks = [table[:, j : j + plan.digits] for j in range(0, plan.steps, plan.digits)]
    codes = [_code(b, hinges, [encode(row) for row in chunk]) for chunk in chunks]
    t, total = start, []
    for code, chunk in zip(codes, chunks, strict=True):
        for first, second in read_digits(b, code, chunk.shape[1]):
            total += [(1, t), (-1, b.relu(t - first)), (-1, b.relu(t - second))]
            t = b.relu(t - 1)
            total.append((1, t))
    # The last t is 0 everywhere: M s <= M.
    summed = b.relu(linear_combination(total[:-1], plan.steps))
    above, below = b.relu(summed - start), b.relu(summed + start - 2 * plan.steps)
    quantum = plan.quantum
    return [(quantum, above), (-quantum, below), (quantum, start - plan.steps)]


def _code(b: Builder, hinges: list[Form], codes: list[int]) -> Form:
    """The unit that is codes[i] where y = i."""
    slopes = np.diff(np.array(codes, dtype=object))
    steps = [slopes[0], *np.diff(slopes)]
    # The last hinge is 0 at all cell numbers; it is always there, so that codes alike in all cells are read like others.
    weighted = [(int(w), hinge) for w, hinge in zip([*steps, 1], hinges, strict=True) if w]
    return b.relu(linear_combination(weighted, int(codes[0])))


def _coarse(b: Builder, position: Form, values: np.ndarray) -> Form:
    """f_1: the polygon through the coarse values."""
    slopes = np.diff(values)
    bends = [(float(w), b.relu(position - (i + 1))) for i, w in enumerate(np.diff(slopes)) if w]
    return linear_combination([(float(slopes[0]), position), *bends], float(values[0]))
