"""Which networks are two-scale networks of one variable, and what is their error? Read, rebuilt, compared; then fine cells.

Reading: the numbers of a plan (_two_scale_plan) stand at known places among the weights; the network is recognised only if the
plan so read gives back the very same network, weight for weight. Then the theorem of _two_scale_network says which polygon it
computes, and the error is bounded on every fine step from the values at its ends: on a step of length h, with the slopes of f
in [m, M] and s the slope of its chord, f is within h (M - s)(s - m)/(M - m) of the chord (where the lines of slope M and m
through the two ends meet); in general within C (h/2)^a. Steps whose bound is too large are halved, and new nodes raise the
largest error known, until the bounds are within half a per cent of the largest error found.
Following such a network piece by piece is out of reach: on the ramps between codes it has 3^digits pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.structure import STRUCTURE_ONLY, Enclosure, register
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import float_down, float_up, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._digits import decode
from constructions.relu._node_values import node_values
from constructions.relu._plan_forms import PlanForms, Rows, evaluate_by
from constructions.relu._step_slopes import step_slopes
from constructions.relu._two_scale_network import plan_network
from constructions.relu._two_scale_plan import TwoScalePlan, levels_of, polygon_values

Number = TypeVar("Number", int, fmpq)
_RTOL, _ROUNDS = 0.01, 12
#: Halved steps beyond this number keep the bound that they have.
_MOST_POINTS = 30_000_000
#: How plans are read off networks of one form, and written again.
FORMS: PlanForms[TwoScalePlan] = PlanForms("deep-two-scale")


def read_plan(network: Network, target: Target) -> TwoScalePlan | None:
    """The plan of a network that is exactly a two-scale network on the target's interval, else None; O(weights)."""
    return FORMS.plan(network, target) if target.dimension == 1 else None


def unit_starts(network: Network) -> list[int]:
    """The number of the first unit of every layer in `exact_rows` plus one: the input is 0, layer 1 starts at 1."""
    counts = [layer.units for layer in network.layers]
    return [0, *np.cumsum([1, *counts]).tolist()]


def _plan(rows: Rows, network: Network, target: Target) -> TwoScalePlan | None:
    [(low, high)] = target.domain
    starts = unit_starts(network)
    cells = whole(rows[0][2][0][1] * (high - low))
    levels = (cells - 1).bit_length()
    if cells < 2 or len(starts) < 2 * levels + 6:
        return None
    ramp = rows[0][1] + 2 ** (levels - 1) + cells * low / (high - low)
    above, below = rows[starts[-3] - 1], rows[starts[-3]]
    steps = whole(-below[1] / 2)
    output = dict(rows[-1][2])
    quantum = output[starts[-3]]
    tables = code_tables(rows, starts, levels, cells)
    if not tables or not ramp > 0 or len(above[2]) != 2 or steps < len(tables):
        return None
    digits = -(-steps // len(tables))
    lengths = [min(digits, steps - j) for j in range(0, steps, digits)]
    blocks = [np.array([decode(c, n) for c in codes]) for codes, n in zip(tables, lengths, strict=True)]
    levels_found = levels_of(np.concatenate(blocks, axis=1))
    coarse = exact_numbers(coarse_nodes(rows, output, cells, low, high, quantum * steps))
    if levels_found is None:
        return None
    return TwoScalePlan(cells, steps, digits, ramp, exact_number(quantum), coarse, levels_found)


def whole(value: fmpq) -> int:
    """The integer that the number is; raises ValueError."""
    if value.q != 1:
        raise ValueError("not whole")
    return int(value.p)


def exact_number(value: fmpq) -> float:
    """The float64 number that the number is; raises ValueError."""
    found = float(int(value.p) / int(value.q))
    if to_fmpq(found) != value:
        raise ValueError("no float64 number")
    return found


def code_tables(rows: Rows, starts: list[int], levels: int, cells: int) -> list[list[int]]:
    """The codes of all cells, one list per code: the first units of layer 2 levels + 3."""
    layer = 2 * levels + 1
    number = starts[layer]
    hinge_of = {number: 0}
    for unit in range(starts[layer + 1], starts[layer + 2]):
        _, bias, terms = rows[unit - 1]
        if [u for u, _ in terms] == [number]:
            hinge_of[unit] = whole(-bias)
    tables: list[list[int]] = []
    for unit in range(starts[layer + 2], starts[layer + 3]):
        _, bias, terms = rows[unit - 1]
        if not terms or any(u not in hinge_of for u, _ in terms):
            break
        bends = [0] * cells
        for u, weight in terms:
            bends[hinge_of[u]] = whole(weight)
        tables.append(polygon_of(whole(bias), bends)[:-1])
    return tables


def coarse_nodes(rows: Rows, output: dict[int, fmpq], cells: int, low: fmpq, high: fmpq, more: fmpq) -> list[fmpq]:
    """The coarse values: sums of the output's bends, exactly; `more` is what the first lacks in the output's bias."""
    scale = fmpq(cells) / (high - low)
    bends = [fmpq(0)] * cells
    bends[0] = output.get(0, fmpq(0)) / scale
    for unit, weight in output.items():
        if unit and rows[unit - 1][2] == [(0, scale)]:
            place = -rows[unit - 1][1] - scale * low
            if place.q == 1 and 0 < place < cells:
                bends[int(place.p)] = weight
    return polygon_of(rows[-1][1] + more + bends[0] * scale * low, bends)


def polygon_of(value: Number, bends: Iterable[Number]) -> list[Number]:
    """The values at 0, 1, 2 ... of the polygon that starts at `value` and changes its slope by bends[i] at i."""
    slope, values = 0 * value, [value]
    for bend in bends:
        slope += bend
        value += slope
        values.append(value)
    return values


def exact_numbers(values: Iterable[fmpq]) -> np.ndarray:
    """The float64 numbers that these are; raises ValueError."""
    return np.array([exact_number(v) for v in values])


FORMS.add(_plan, plan_network)


# -- the certificate ---------------------------------------------------------------------------------------------------


@register
def two_scale_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) for a two-scale network: bounds of all fine steps, an exact evaluation below."""
    plan = read_plan(network, target)
    if plan is None:
        return None
    upper, places, points = _bounds(plan, target)
    work.count("structural", points)
    [(low, high)] = target.domain
    lower, witness = 0.0, low
    for place in places:
        x = low + (high - low) * place
        value = evaluate_exact(network, [x])[0]
        with working_precision(160):
            gap = float_down(abs(target.ball([arb(x)]) - arb(value)))
        if gap > lower:
            lower, witness = gap, x
    return lower, upper, (witness,), f"{STRUCTURE_ONLY} (two scales, digits decoded exactly)"


_Ends = tuple[np.ndarray, np.ndarray]


def _bounds(plan: TwoScalePlan, target: Target) -> tuple[float, list[fmpq], int]:
    """(proved upper bound of |f - net|, places in [0, 1] of largest error, evaluations)."""
    total = plan.cells * plan.steps
    values, rounding = node_values(target, np.arange(total + 1), total)
    polygon = plan.fine_values()
    extra = 3 * rounding + plan.slop() + plan.gap_at_ramps()
    gaps = np.abs(values - polygon)
    best, where = float(gaps.max()), fmpq(int(gaps.argmax()), total)
    index = np.arange(total)
    left, right = (values[:-1], polygon[:-1]), (values[1:], polygon[1:])
    settled, points = 0.0, total + 1
    places = [where]
    for _ in range(_ROUNDS):
        bound = _step_bounds(target, left, right, index, total)
        open_steps = np.flatnonzero(~(bound <= best * (1 + _RTOL / 2)))
        if len(open_steps) == 0 or points + len(open_steps) > _MOST_POINTS or total > 2**52:
            settled = max(settled, float(bound.max(initial=0.0)))
            break
        settled = max(settled, best * (1 + _RTOL / 2))
        index, total = 2 * index[open_steps], 2 * total
        ends = [tuple(part[open_steps] for part in side) for side in (left, right)]
        middle, error = node_values(target, index + 1, total)
        extra = max(extra, 3 * error + plan.slop() + plan.gap_at_ramps())
        points += len(middle)
        line = (ends[0][1] + ends[1][1]) / 2
        gaps = np.abs(middle - line)
        if float(gaps.max()) > best:
            best, where = float(gaps.max()), fmpq(int(index[gaps.argmax()]) + 1, total)
            places.append(where)
        left = tuple(_paired(a, m) for a, m in zip(ends[0], (middle, line), strict=True))  # type: ignore[assignment]
        right = tuple(_paired(m, b) for m, b in zip((middle, line), ends[1], strict=True))  # type: ignore[assignment]
        index = _paired(index, index + 1)
    else:
        settled = max(settled, float(_step_bounds(target, left, right, index, total).max(initial=0.0)))
    upper = (settled + extra) * (1 + 2.0**-30)
    return (upper if math.isfinite(upper) else math.inf), places[:-3:-1], points


def _paired(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack((first, second), axis=1).ravel()


def _step_bounds(target: Target, left: _Ends, right: _Ends, index: np.ndarray, total: int) -> np.ndarray:
    """The error at the worse end plus the distance of f from its chord, on the steps [k, k+1]/total of the interval."""
    exponent, constant = target.hoelder()
    [(low, high)] = target.domain
    h = float_up((high - low) / total)
    ends = np.maximum(np.abs(left[0] - left[1]), np.abs(right[0] - right[1]))
    if exponent != 1.0:
        return ends + constant * (h / 2) ** exponent * (1 + 2.0**-40)
    least, greatest = step_slopes(target, index, total)
    slope = np.clip((right[0] - left[0]) / h, least, greatest)
    spread = greatest - least
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(spread > 0, h * (greatest - slope) * (slope - least) / spread, 0.0)
    return ends + gap * (1 + 2.0**-40)


evaluate_by(read_plan, lambda plan, share: polygon_values(plan, share * (plan.cells * plan.steps)))
