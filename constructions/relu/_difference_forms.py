"""Which networks are written from plans of coded r-th differences? Plans are read off the weights, written again, compared."""

from __future__ import annotations

from math import lcm

import numpy as np
from flint import fmpq

from approx.networks import Network
from approx.targets import Target
from constructions.relu._difference_codes import levels_from
from constructions.relu._difference_network import difference_network
from constructions.relu._difference_plan import DifferencePlan
from constructions.relu._gray_cells import codes_of_bends
from constructions.relu._plan_forms import PlanForms, Rows
from constructions.relu._two_scale_reader import coarse_nodes, exact_number, unit_starts, whole

FORMS: PlanForms[DifferencePlan] = PlanForms("hoelder-two-scale, differences")


def read_differences(network: Network, target: Target) -> DifferencePlan | None:
    """The plan of a network that is exactly one of its forms on the target's interval, else None; O(weights)."""
    return FORMS.plan(network, target) if target.dimension == 1 else None


def _plan(rows: Rows, network: Network, target: Target) -> DifferencePlan | None:
    [(low, high)] = target.domain
    starts = unit_starts(network)
    binary = [u for u, row in enumerate(rows, 1) if _is_binary(row[2])]
    number, levels = binary[0], len(rows[binary[0] - 1][2])
    cells = whole(rows[0][2][0][1] * 2**levels * (high - low))
    ramp = -(2**levels) / rows[starts[2] - 1][2][0][1]
    output = dict(rows[-1][2])
    quantum = -output[max(output)]
    # c = L (t - 2 max(t - M/2, 0)): two units of the output, one of which reads the other.
    nested = [u for u in output if u and rows[u - 1][2] and rows[u - 1][2][0][0] in output and rows[u - 1][2][0][0]]
    steps = whole(-2 * rows[nested[0] - 1][1])
    slope = whole(output[nested[0]] / (2 * quantum))
    heads = [len(rows[u - 1][2]) for u in binary[1:] if len(rows[u - 1][2]) > 1]
    if cells < 2 or slope < 1 or not ramp > 0 or not quantum > 0:
        return None
    codes = _codes(rows, starts, number, levels, cells)
    grain, coarse = multiples(coarse_nodes(rows, output, cells, low, high, fmpq(0)))
    found = levels_from(codes, heads, steps)
    return DifferencePlan(len(heads) + 1, cells, steps, ramp, slope, exact_number(quantum), grain, coarse, found)


def _is_binary(terms: list[tuple[int, fmpq]]) -> bool:
    """Whether the weights are those of a number whose bits are missing: -2^(n-1) .. -1."""
    return bool(terms) and all(w == -(2**k) for k, (_, w) in enumerate(reversed(terms)))


def _codes(rows: Rows, starts: list[int], number: int, levels: int, cells: int) -> list[int]:
    """The codes of all cells, from the first unit of layer levels + 4."""
    hinges = {number: 0}
    for u in range(starts[levels + 3], starts[levels + 4]):
        _, bias, terms = rows[u - 1]
        if terms == [(number, 1)]:
            hinges[u] = whole(-bias)
    _, bias, terms = rows[starts[levels + 4] - 1]
    bend_at = {hinges[u]: weight for u, weight in terms}
    places = sorted(i ^ i >> 1 for i in range(cells))
    return codes_of_bends(whole(bias), [bend_at.get(place, fmpq(0)) for place in places])


def multiples(values: list[fmpq]) -> tuple[float, np.ndarray]:
    """(a power of two, the values as int64 multiples of it); raises ValueError where there is none."""
    q = lcm(*(int(v.q) for v in values))
    found = [whole(v * q) for v in values]
    if q & (q - 1) or q > 2**1000 or max(map(abs, found)) >= 2**62:
        raise ValueError("no multiples of a power of two")
    return 1.0 / q, np.array(found, dtype=np.int64)


FORMS.add(_plan, difference_network)
