"""Which networks are two-scale networks of order r >= 3, and how far are they from f? Read, rebuilt, bounded step by step.

Reading is that of _hoelder_reader: the numbers of a plan stand at known places, and a network is recognised only if the plan so
read gives back the very same network. Then it is the piecewise polynomial P of the plan, up to what _difference_network states.
On a step P has degree r - 1, so e = P - f is the polynomial of degree r - 1 through its values at u_i = i/(r - 1), plus
c(u) prod_i (u - u_i), c in -h^r/r! [min f^(r), max f^(r)]: for the two extreme c, Bernstein coefficients on pieces of the step
bound it. What is lost is the variation of f^(r) over a thousandth of the interval, times h^r/r! max |prod|, and little else.
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
from approx.evaluation.cache import cached
from approx.networks import Network
from approx.numbers import arb_interval, float_down, float_up, to_float, working_precision
from approx.targets import Target
from constructions.relu._difference_network import difference_network
from constructions.relu._difference_plan import DifferencePlan, levels_from
from constructions.relu._newton_windows import newton, step_matrix, window
from constructions.relu._plan_forms import evaluate_by
from constructions.relu._smooth_values import smooth_values
from constructions.relu._two_scale_reader import _coarse_values, _tables, exact_number, unit_starts, whole

Array = np.ndarray
ORDERS = range(3, 9)
_GROUPS, _CHUNK = 1024, 1 << 17


def read_differences(network: Network, target: Target) -> DifferencePlan | None:
    """The plan of a network that is exactly `difference_network` of it on the target's interval, else None; O(weights)."""
    if network.inputs != 1 or network.outputs != 1 or target.dimension != 1 or len(network.layers) < 12:
        return None
    if network.activations != {"relu", "identity"} or not network.tags["rational"]:
        return None
    key = (target.domain.lower[0], target.domain.upper[0])
    known = _known(network)
    if key not in known:
        known[key] = None
        try:
            for plan in _plans(network, target):
                if difference_network(plan, target) == network:
                    known[key] = plan
                    break
        except (IndexError, KeyError, ValueError, ZeroDivisionError):  # not of this form
            pass
    return known[key]


def _known(network: Network) -> dict[tuple[fmpq, fmpq], DifferencePlan | None]:
    return cached(network, "hoelder-two-scale, differences", dict)


def remember_differences(network: Network, target: Target, plan: DifferencePlan) -> None:
    """Keep what a builder knows of its own network, so that certification need not read it again."""
    if plan.corrected:
        _known(network)[(target.domain.lower[0], target.domain.upper[0])] = plan


def _plans(network: Network, target: Target) -> Iterator[DifferencePlan]:
    """The plans, one for an order at most, that may have given the network."""
    [(low, high)] = target.domain
    rows, starts = network.exact_rows(), unit_starts(network)
    cells = whole(rows[0][2][0][1] * (high - low))
    if cells < 2:
        return
    levels = (cells - 1).bit_length()
    ramp = rows[0][1] + 2 ** (levels - 1) + cells * low / (high - low)
    output = dict(rows[-1][2])
    last = max(output)
    quantum = -output[last]
    # c = L (t - 2 max(t - M/2, 0)): two units of the output, one of which reads the other.
    nested = [u for u in output if u and rows[u - 1][2] and rows[u - 1][2][0][0] in output and rows[u - 1][2][0][0]]
    middle = nested[0]  # IndexError: of another form
    steps = whole(-2 * rows[middle - 1][1])
    slope = whole(output[middle] / (2 * quantum))
    if steps < 2 or slope < 1 or not ramp > 0 or not quantum > 0:
        return
    [codes] = _tables(rows, starts, levels, cells)
    code = starts[2 * levels + 3]
    tests = [bias for _, bias, terms in rows[code:] if terms == [(code, 1)]]
    length = whole(1 - tests[0]).bit_length()
    coarse = _coarse_values(rows, output, cells, 0, quantum, low, high)
    for order in ORDERS:
        if order <= steps:
            try:
                found = levels_from(codes, order, steps, length)
            except ValueError:  # codes of another order
                continue
            plan = DifferencePlan(cells, steps, steps, ramp, exact_number(quantum), coarse, found, order, slope)
            if plan.code_bits == length:
                yield plan


@register
def difference_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method): bounds of all fine steps, exact evaluations below."""
    plan = read_differences(network, target)
    if plan is None or not _clip_is_wide(plan, target):
        return None
    bounds = step_errors(plan, target)
    work.count("structural", plan.cells * plan.steps)
    [(low, high)] = target.domain
    lower, witness = 0.0, low
    for place in bounds.places:
        x = low + (high - low) * place
        value = evaluate_exact(network, [x])[0]
        with working_precision(160):
            gap = float_down(abs(target.ball([arb(x)]) - arb(value)))
        if gap > lower:
            lower, witness = gap, x
    upper = (bounds.largest + bounds.extra) * (1 + 2.0**-40)
    upper = upper if math.isfinite(upper) else math.inf
    return lower, max(lower, upper), (witness,), f"{STRUCTURE_ONLY} (two scales, r-th differences decoded exactly)"


def _clip_is_wide(plan: DifferencePlan, target: Target) -> bool:
    """Whether lambda L min(t, M - t) >= |f - chord| in all cells, as L lambda >= 2 h max |f'|, and ramps are short enough."""
    [(low, high)] = target.domain
    with working_precision(80):
        step = float_up((high - low) / (plan.cells * plan.steps))
    rise = 2 * target.lipschitz() * step
    short = plan.ramp * 2 * plan.slope * plan.steps <= fmpq(1, 2**10)
    return short and rise * (1 + 2.0**-50) <= plan.quantum * plan.slope


class StepErrors(NamedTuple):
    """Bounds of |P - f|: the largest of all steps, what ramps, the clip and roundings add, places in [0, 1] of large error."""

    largest: float
    extra: float
    places: list[fmpq]


def step_errors(plan: DifferencePlan, target: Target) -> StepErrors:
    """The StepErrors of a plan."""
    r, n, m = plan.order, plan.cells, plan.steps
    values, rounding = smooth_values(target, (r - 1) * n * m)
    lost = 16 * 2.0**-53 * (float(np.abs(plan.coarse).max()) + plan.quantum * r * r * float(sum(plan.sizes)))
    coarse_gap = float(np.abs(values[:: (r - 1) * m] - plan.coarse).max()) + rounding
    groups = _derivatives(plan, target)
    best = np.zeros(2)  # what pieces reach, what they are bounded by
    top: list[tuple[float, fmpq]] = []
    chunk = max(1, _CHUNK // m)
    for first in range(0, n, chunk):
        cells = np.arange(first, min(first + chunk, n))
        errors, bends = _errors_at_places(plan, values, cells), _bends(plan, cells, groups)
        for side in (0, 1):
            reached, bound, step, u = _largest(errors, bends[:, side], r, float(best[0]))
            best = np.maximum(best, (reached, bound))
            cell, k = int(cells[step // m]), step % m
            place = fmpq(k) + fmpq(*float(u).as_integer_ratio())
            top.append((reached, (cell + (m - place if cell % 2 else place) / m) / n))
    top.sort(key=lambda pair: -pair[0])
    # Bernstein coefficients are sums of r + 1 terms with weights of moderate size.
    rounded = 2.0**-44 * float(best[1]) + _weight(r) * (lost + rounding)
    return StepErrors(float(best[1]), rounded + coarse_gap + plan.gap_at_ramps(), [place for _, place in top[:2]])


def _weight(order: int) -> float:
    """How much errors of the r values on a step grow in its Bernstein coefficients."""
    return float(np.abs(step_matrix(order, 32)[:-1]).sum(axis=0).max())


def _derivatives(plan: DifferencePlan, target: Target) -> tuple[int, Array]:
    """(G, bounds of -h^r/r! f^(r) on every G neighbouring steps: (groups, 2))."""
    [(low, high)] = target.domain
    r, total = plan.order, plan.cells * plan.steps
    share = -(-total // _GROUPS)
    found = []
    most = target.derivative_bound((r,)) / math.factorial(r) * (1 + 2.0**-50)
    with working_precision(80):
        scale = arb((high - low) / total) ** r
        for start in range(0, total, share):
            stop = min(start + share, total)
            ends = arb_interval(low + (high - low) * fmpq(start, total), low + (high - low) * fmpq(stop, total))
            ball = target.jet([ends], r)[(r,)]
            least, largest = (ball.lower(), ball.upper()) if ball.is_finite() else (arb(-most), arb(most))
            found.append((-float_up(largest * scale), float_up(-least * scale)))
    return share, np.array(found)


def _bends(plan: DifferencePlan, cells: Array, groups: tuple[int, Array]) -> Array:
    """Those bounds for all steps of these cells, in the order and the direction in which they are passed: (steps, 2)."""
    share, table = groups
    steps = cells[:, None] * plan.steps + np.arange(plan.steps)
    odd = cells % 2 == 1
    steps[odd] = steps[odd, ::-1].copy()
    found = table[steps // share]
    if plan.order % 2:
        found[odd] = -found[odd][:, :, ::-1]
    return found.reshape(-1, 2)


def _errors_at_places(plan: DifferencePlan, values: Array, cells: Array) -> Array:
    """P - f at u_i = i/(r - 1) of all steps of these cells, in the order in which they are passed: (steps, r)."""
    r, m = plan.order, plan.steps
    fine = (r - 1) * m
    f = values[cells[:, None] * fine + np.arange(fine + 1)]
    share = np.arange(fine + 1) / fine
    f = f - (plan.coarse[cells][:, None] + (plan.coarse[cells + 1] - plan.coarse[cells])[:, None] * share)
    f[cells % 2 == 1] = f[cells % 2 == 1, ::-1].copy()
    places = np.arange(m)[:, None] * (r - 1) + np.arange(r)
    return (_corrections(plan, cells) - f[:, places]).reshape(-1, r)


def _corrections(plan: DifferencePlan, cells: Array) -> Array:
    """lambda times the polynomials at the same places: (cells, M, r)."""
    r, m = plan.order, plan.steps
    starts = np.array([window(k, m, r) for k in range(m)])
    table = np.array([
        [[to_float(p(fmpq(i, r - 1))) for i in range(r)] for p in newton(r, kappa)] for kappa in range(r - 1)
    ])  # (kappa, difference, place)  # fmt: skip
    weights = table[np.arange(m) - starts]
    total = np.zeros((len(cells), m, r))
    for i in range(r - 1, -1, -1):  # the largest terms last
        total += np.diff(plan.rows[cells], i, axis=1)[:, starts][:, :, None] * weights[:, i]
    return plan.quantum * total


def _largest(errors: Array, bends: Array, order: int, known: float) -> tuple[float, float, int, float]:
    """(a size that is reached, up to rounding and c, a bound, the step and the u of the first) of polynomials on [0, 1]."""
    table = np.column_stack((errors, bends))
    count = 4
    rough = np.abs(table @ step_matrix(order, count)).reshape(len(table), count, order + 1)
    bound = rough.max(axis=(1, 2))
    reached = max(known, float(rough[:, :, [0, -1]].max()))
    still = np.flatnonzero(bound > reached)
    settled = float(bound[bound <= reached].max(initial=0.0))
    if not len(still):
        step, piece, end = np.unravel_index(int(rough[:, :, [0, -1]].argmax()), (len(table), count, 2))
        return float(rough[:, :, [0, -1]].max()), settled, int(step), float(piece + end) / count
    count = 32
    sharp = np.abs(table[still] @ step_matrix(order, count)).reshape(len(still), count, order + 1)
    at = sharp[:, :, [0, -1]]
    step, piece, end = np.unravel_index(int(at.argmax()), at.shape)
    return float(at.max()), max(settled, float(sharp.max())), int(still[step]), float(piece + end) / count


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
    line = plan.coarse[cell] + (plan.coarse[cell + 1] - plan.coarse[cell]) * share
    return line + plan.quantum * total


evaluate_by(read_differences, lambda plan, share: polynomial_values(plan, share * plan.cells))
