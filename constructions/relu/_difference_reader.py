"""How far are two-scale networks of order r >= 3 from f? Their plan is read, and its piecewise polynomial bounded step by step.

A network that is recognised (_difference_forms) is the piecewise polynomial P of its plan, up to what _difference_network
states. On a step, P is the interpolant of its values at the r nodes of its window, and so, with h = 1, m the window's middle,
    f - P = sum_j l_j (f - P)(x_j) + c_r E_r + c_(r+1) E_(r+1) + ... + remainder,   c_j = f^(j)(m)/j!,
E_j what interpolation leaves of (x - m)^j, the remainder at most prod_j |x - x_j| times what the Taylor polynomial of f^(r)/r!
about m, of degree 1 to 5, lacks on the window. Bernstein coefficients on pieces of the step bound the polynomial: little is
lost. The errors at the nodes come from double-double numbers, so that they may be far below 2^-53 of f.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.structure import STRUCTURE_ONLY, Enclosure, register
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import float_down, float_up, to_float, working_precision
from approx.targets import Target
from constructions.relu._difference_fit import residuals
from constructions.relu._difference_forms import read_differences
from constructions.relu._difference_plan import DifferencePlan, clip_leaves_little
from constructions.relu._newton_windows import node_product, step_pieces, window
from constructions.relu._plan_forms import evaluate_by
from constructions.relu._smooth_doubles import BENDS, SmoothValues, smooth_doubles

Array = np.ndarray
#: The orders that are built; order 2 has a form of its own.
ORDERS = range(3, 9)
#: What is lost at most where more coefficients help, in quanta.
_LITTLE = 2.0**-11


@register
def difference_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method): bounds of all fine steps, exact evaluations below."""
    plan = read_differences(network, target)
    if plan is None or not clip_is_wide(plan, target):
        return None
    bounds = step_errors(plan, target)
    work.count("structural", plan.cells * plan.steps)
    [(low, high)] = target.domain
    lower, witness = 0.0, low
    for place in bounds.places:
        x = low + (high - low) * place
        value = evaluate_exact(network, [x])[0]
        with working_precision(200):
            gap = float_down(abs(target.ball([arb(x)]) - arb(value)))
        if gap > lower:
            lower, witness = gap, x
    upper = (bounds.largest + bounds.extra) * (1 + 2.0**-40)
    upper = upper if math.isfinite(upper) else math.inf
    return lower, upper, (witness,), f"{STRUCTURE_ONLY} (two scales, r-th differences decoded exactly)"


def clip_is_wide(plan: DifferencePlan, target: Target) -> bool:
    """Whether lambda L min(t, M - t) >= |f - chord| in all cells, as L lambda >= 2 h max |f'|, and ramps are short enough."""
    [(low, high)] = target.domain
    with working_precision(80):
        step = float_up((high - low) / (plan.cells * plan.steps))
    rise = 2 * target.lipschitz() * step
    return clip_leaves_little(plan) and rise * (1 + 2.0**-50) <= plan.quantum * plan.slope


class StepErrors(NamedTuple):
    """Bounds of |P - f|: the largest of all steps, what ramps, the clip and roundings add, places in [0, 1] of large error."""

    largest: float
    extra: float
    places: list[fmpq]


def step_errors(plan: DifferencePlan, target: Target) -> StepErrors:
    """The StepErrors of a plan."""
    r, m, total = plan.order, plan.steps, plan.cells * plan.steps
    found = smooth_doubles(target)
    count, lost = _enough(plan, found)
    largest = reached = coarse = rounding = 0.0
    top: list[tuple[float, fmpq]] = []
    for cells, left, error in residuals(plan, found):
        for parity, kappa, steps in _kinds(m, r):
            rows = np.flatnonzero(cells % 2 == parity)
            if not len(rows):
                continue
            starts = steps - kappa
            nodes = left[rows[:, None, None], starts[:, None] + np.arange(r)].reshape(-1, r)
            middles = (2 * (cells[rows][:, None] * m + starts) + r - 1).ravel()
            table = np.column_stack((nodes, found.bends(r, middles, 2 * total, total, count).T))
            size, bound, at, u = _largest(table, r, kappa, reached)
            reached = max(reached, size)
            largest = max(largest, bound + lost * node_product(r, kappa))
            cell, step = int(cells[rows[at // len(steps)]]), int(steps[at % len(steps)])
            top.append((size, (cell * m + step + fmpq(*u.as_integer_ratio())) / total))
        coarse = max(coarse, float(np.abs(left[:, [0, -1]]).max()) + error)
        rounding = max(rounding, error)
    top.sort(key=lambda pair: -pair[0])
    # Bernstein coefficients are sums of a few terms with weights of moderate size.
    extra = 2.0**-44 * largest + _weight(r, count) * rounding + coarse + plan.gap_at_ramps()
    return StepErrors(largest, extra, [place for _, place in top[:2]])


def _kinds(steps: int, order: int) -> Iterator[tuple[int, int, Array]]:
    """(parity of the cell, kappa, the steps of such cells whose window starts kappa before them), all from left to right."""
    starts = np.array([window(k, steps, order) for k in range(steps)])
    mirrored = steps - order + 1 - starts[::-1]
    for parity, at in enumerate((starts, mirrored)):
        kappas = np.arange(steps) - at
        for kappa in range(order - 1):
            found = np.flatnonzero(kappas == kappa)
            if len(found):
                yield parity, kappa, found


def _enough(plan: DifferencePlan, found: SmoothValues) -> tuple[int, float]:
    """(the number of coefficients that leaves little, of those that are offered, and what it leaves of h^r f^(r)/r!)."""
    reach, total = (plan.order - 1) / 2, plan.cells * plan.steps
    for count in BENDS:
        lost = found.lost(plan.order, total, reach, count)
        if lost * node_product(plan.order, 0) <= _LITTLE * plan.quantum:
            break
    return count, lost


def _weight(order: int, count: int) -> float:
    """How much errors of the r values grow in Bernstein coefficients."""
    return max(float(np.abs(step_pieces(order, k, 32, count)[:order]).sum(axis=0).max()) for k in range(order - 1))


def _largest(table: Array, order: int, kappa: int, known: float) -> tuple[float, float, int, float]:
    """(a size that is reached, up to the remainder, a bound, the row and the u of the first) of polynomials on [0, 1]."""
    count, width = 4, table.shape[1]
    bends = width - order
    rough = np.abs(table @ step_pieces(order, kappa, count, bends)).reshape(len(table), count, width)
    bound = rough.max(axis=(1, 2))
    ends = rough[:, :, [0, -1]]
    reached = max(known, float(ends.max()))
    still = np.flatnonzero(bound > reached)
    settled = float(bound[bound <= reached].max(initial=0.0))
    if len(still):
        count = 32
        rough = np.abs(table[still] @ step_pieces(order, kappa, count, bends)).reshape(len(still), count, width)
        ends = rough[:, :, [0, -1]]
        settled = max(settled, float(rough.max()))
    else:
        still = np.arange(len(table))
    row, piece, end = np.unravel_index(int(ends.argmax()), ends.shape)
    return float(ends.max()), settled, int(still[row]), float(piece + end) / count


def polynomial_values(plan: DifferencePlan, position: Array) -> Array:
    """P in float64 at positions in [0, N], in coarse cells; no bound of rounding."""
    cell = np.clip(np.floor(position).astype(np.int64), 0, plan.cells - 1)
    share = position - cell
    t = np.where(cell % 2 == 1, 1 - share, share) * plan.steps
    k = np.clip(np.floor(t).astype(np.int64), 0, plan.steps - 1)
    starts = np.array([window(j, plan.steps, plan.order) for j in range(plan.steps)])[k]
    total, factor = np.zeros(len(position)), np.ones(len(position))
    nodes = plan.rows[cell[:, None], starts[:, None] + np.arange(plan.order)]
    for i in range(plan.order):
        total += np.diff(nodes, i, axis=1)[:, 0] * factor
        factor = factor * (t - starts - i) / (i + 1)
    coarse = np.array([to_float(v) for v in plan.coarse_values])
    line = coarse[cell] + (coarse[cell + 1] - coarse[cell]) * share
    return line + plan.quantum * total


evaluate_by(read_differences, lambda plan, share: polynomial_values(plan, share * plan.cells))
