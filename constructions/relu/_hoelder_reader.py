"""Which networks are two-scale networks with coded second differences, and how far are they from f? Read, rebuilt, bounded.

Reading is that of _two_scale_reader: the numbers of a plan stand at known places, and a network is recognised only if the
plan so read gives back the very same network. Then it is a polygon P up to ramps, and on a fine step of length h, with f'' in
[m, M] on the coarse cell and u in [0, 1],
    P - f = (1 - u) e_k + u e_{k+1} + c h^2 u (1 - u)/2,   c in [m, M],
e_k = P(x_k) - f(x_k): the largest absolute value of this quadratic, for c = m and c = M, bounds the error on the step. What is
lost is h^2/8 times the variation of f'' over a coarse cell.
"""

from __future__ import annotations

import math

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.structure import STRUCTURE_ONLY, Enclosure, register
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import arb_interval, float_down, float_up, working_precision
from approx.targets import Target
from constructions.relu._hoelder_network import hoelder_network, unpack
from constructions.relu._hoelder_plan import HoelderPlan, levels_of
from constructions.relu._plan_forms import PlanForms, Rows, evaluate_by
from constructions.relu._smooth_doubles import smooth_values
from constructions.relu._two_scale_plan import polygon_values
from constructions.relu._two_scale_reader import (
    coarse_nodes,
    code_tables,
    exact_number,
    exact_numbers,
    unit_starts,
    whole,
)

Array = np.ndarray
#: How plans are read off networks of one form, and written again.
FORMS: PlanForms[HoelderPlan] = PlanForms("hoelder-two-scale")


def read_hoelder(network: Network, target: Target) -> HoelderPlan | None:
    """The plan of a network that is exactly one of its forms on the target's interval, else None; O(weights)."""
    return FORMS.plan(network, target) if target.dimension == 1 else None


def _plan(rows: Rows, network: Network, target: Target) -> HoelderPlan | None:
    [(low, high)] = target.domain
    starts = unit_starts(network)
    cells = whole(rows[0][2][0][1] * (high - low))
    levels = (cells - 1).bit_length()
    if cells < 2:
        return None
    ramp = rows[0][1] + 2 ** (levels - 1) + cells * low / (high - low)
    output = dict(rows[-1][2])
    last = max(output)
    steps = whole(-min(weight for _, weight in rows[last - 1][2]))
    quantum = -output[last]
    [codes] = code_tables(rows, starts, levels, cells)
    if steps < 2 or not ramp > 0 or not quantum > 0:
        return None
    digits = np.array([unpack(code, steps - 1) for code in codes])
    coarse = exact_numbers(coarse_nodes(rows, output, cells, low, high, fmpq(0)))
    return HoelderPlan(cells, steps, steps, ramp, exact_number(quantum), coarse, levels_of(digits))


FORMS.add(_plan, hoelder_network)


@register
def hoelder_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method): bounds of all fine steps, an exact evaluation below."""
    plan = read_hoelder(network, target)
    if plan is None:
        return None
    bound, place, extra = step_errors(plan, target)
    work.count("structural", len(bound))
    [(low, high)] = target.domain
    lower, witness = 0.0, low
    for step in np.argsort(-bound, kind="stable")[:2].tolist():
        x = low + (high - low) * (step + fmpq(*float(place[step]).as_integer_ratio())) / (plan.cells * plan.steps)
        value = evaluate_exact(network, [x])[0]
        with working_precision(160):
            gap = float_down(abs(target.ball([arb(x)]) - arb(value)))
        if gap > lower:
            lower, witness = gap, x
    upper = (float(bound.max()) + extra) * (1 + 2.0**-40)
    upper = upper if math.isfinite(upper) else math.inf
    return lower, upper, (witness,), f"{STRUCTURE_ONLY} (two scales, second differences decoded exactly)"


def step_errors(plan: HoelderPlan, target: Target) -> tuple[Array, Array, float]:
    """(bound of |P - f| on every fine step, the u where it is attained, what ramps and roundings add)."""
    total = plan.cells * plan.steps
    values, rounding = smooth_values(target, total)
    errors = plan.fine_values() - values
    [(low, high)] = target.domain
    with working_precision(80):
        half = float_up((high - low) * (high - low) / (2 * total * total))
    bends = [
        _second_derivative(
            target, low + (high - low) * fmpq(k, plan.cells), low + (high - low) * fmpq(k + 1, plan.cells)
        )
        for k in range(plan.cells)
    ]
    best, where = np.zeros(total), np.zeros(total)
    for side in np.array(bends).T:
        size, place = largest_parabola(errors[:-1], errors[1:], half * np.repeat(side, plan.steps))
        where = np.where(size > best, place, where)
        best = np.maximum(best, size)
    extra = 3 * rounding + plan.slop() + plan.gap_at_ramps() + 2.0**-48 * float(np.abs(errors).max())
    return best * (1 + 2.0**-40), where, extra


def _second_derivative(target: Target, left: fmpq, right: fmpq) -> tuple[float, float]:
    """Bounds of f'' on an interval."""
    with working_precision(80):
        ball = 2 * target.jet([arb_interval(left, right)], 2)[(2,)]
        if ball.is_finite():
            return -float_up(-ball.lower()), float_up(ball.upper())
    most = target.derivative_bound((2,))
    return -most, most


def largest_parabola(left: Array, right: Array, c: Array) -> tuple[Array, Array]:
    """(max, argmax) over [0, 1] of |(1 - u) left + u right + c u (1 - u)|."""
    ends = np.maximum(np.abs(left), np.abs(right))
    slope = right - left
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(c != 0, (slope + c) / (2 * c), 0.0)
    u = np.where((u > 0) & (u < 1), u, np.where(np.abs(right) > np.abs(left), 1.0, 0.0))
    inside = np.abs((1 - u) * left + u * right + c * u * (1 - u))
    return np.maximum(ends, inside), u


evaluate_by(read_hoelder, lambda plan, share: polygon_values(plan, share * (plan.cells * plan.steps)))
