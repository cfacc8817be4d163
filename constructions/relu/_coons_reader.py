"""Which networks are Coons patches of coded r-th differences, and what is their error? Read, rebuilt, compared, enclosed.

As for _patch_reader: the numbers of a plan stand at known places among the weights; a network is recognised only if the plan so
read gives back the very same network, weight for weight. Then the theorem of _coons_network, or of _coons_narrow, says which
surface it is, up to a small share of lambda, at every x, _coons_enclosure bounds its error, and the lower bound is an exact
evaluation of the network.
"""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.certification.budget import Work
from approx.certification.structure import Enclosure, register, register_evaluator
from approx.networks import Network
from approx.targets import Target
from constructions.relu._coons_codes import Leads, digit_counts, level_bound, levels_of
from constructions.relu._coons_enclosure import CoonsSearch, coons_values
from constructions.relu._coons_network import coons_network, total_size
from constructions.relu._coons_plan import HIGHEST, MOST_LEVEL, MOST_NODES, CoonsPlan
from constructions.relu._difference_network import offset_for
from constructions.relu._hoelder_patch_codes import local_nodes
from constructions.relu._patch_codes import classes, digits_of, put_class
from constructions.relu._patch_reader import code_tables, enclosed, grid_of
from constructions.relu._plan_forms import PlanForms, Rows
from constructions.relu._two_scale_reader import exact_number

FORMS: PlanForms[CoonsPlan] = PlanForms("hoelder-two-scale, Coons patches")

#: More than a level reads: 2 for each of at most 60 digits, r levels.
_MOST_TERMS = 200


def read_coons(network: Network, target: Target) -> CoonsPlan | None:
    """The plan of a network that is exactly such a two-scale network on the target's box, else None; O(weights)."""
    return FORMS.plan(network, target) if target.dimension in HIGHEST else None


def _plan(rows: Rows, network: Network, target: Target) -> CoonsPlan:
    d = target.dimension
    cells, steps = grid_of(dict(rows[0][2])[0], rows[0][1], target)
    if (cells * steps) ** d > MOST_NODES:
        raise ValueError("more nodes than are built")
    _, base, output = rows[-1]
    inputs = dict(term for term in output if term[0] < d)
    slopes = slopes_at(inputs, 0, target, cells * steps - 1)
    base += sum((inputs.get(k, fmpq(0)) * low for k, low in enumerate(target.domain.lower)), fmpq(0))
    [quantum] = [w for u, w in output if u >= d]
    leads = _leads(rows, steps, d)
    if level_bound(steps, d, leads) > MOST_LEVEL:
        raise ValueError("levels are beyond 8 bytes")
    count = int(digit_counts(steps, d, leads)[0].sum())
    levels = np.zeros((cells * steps,) * d, dtype=np.int64)
    for parities, [codes] in zip(classes(d), code_tables(rows, network, cells, 1 + 2 * d * (steps + 1)), strict=True):
        found = levels_of(digits_of(codes, count), steps, d, leads)
        put_class(levels, cells, steps, parities, local_nodes(steps, d), found)
    numbers = exact_number(quantum), levels, tuple(exact_number(s) for s in slopes)
    base += quantum * offset_for(total_size(CoonsPlan(cells, steps, 1, 0.0, *numbers, len(leads))))
    return CoonsPlan(cells, steps, 1, exact_number(base), *numbers, len(leads)).checked()


def slopes_at(weights: dict[int, fmpq], first: int, target: Target, pieces: int) -> list[fmpq]:
    """A plan's slopes, from what the output takes of the coordinates, units from this one on."""
    return [weights.get(first + k, fmpq(0)) * (high - low) / pieces for k, (low, high) in enumerate(target.domain)]


def _leads(rows: Rows, steps: int, dimension: int) -> Leads:
    """From the units of the levels on the first two lines of the first patch: digits have weights of -3^j, in pairs."""
    units: list[int] = []
    counts: list[int] = []
    for unit, (_, _, terms) in enumerate(rows, dimension):
        known = {u for u, _ in terms if u in units}
        if len(terms) > _MOST_TERMS or (units and not known):
            continue
        count = _digits([w for u, w in terms if u not in known])
        if count > 1 or (count and units):
            units.append(unit)
            counts.append(count)
            if len(units) == 2 * steps:
                # The last one has a difference D_(d-1) D_d^(r-1), of 2 r levels.
                return tuple(counts[: (len(known) + 1) // 2])
    raise ValueError("no levels")


def _digits(weights: list[fmpq]) -> int:
    """n, if the weights are -1, -1, -3, -3, .., -3^(n-1), -3^(n-1) in any order; 0 otherwise."""
    count = len(weights) // 2
    return count if sorted(-w for w in weights) == [3**j for j in range(count) for _ in (0, 1)] else 0


FORMS.add(_plan, coons_network)


@register
def coons_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) for such a network, otherwise None."""
    plan = read_coons(network, target)
    if plan is None:
        return None
    return enclosed(network, target, lambda: CoonsSearch(plan, target, work), "r-th differences")


@register_evaluator
def coons_evaluator(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
    """Float64 values of such a network at points (n, d) from its surface (no bound of rounding), else None."""
    plan = read_coons(network, target)
    return None if plan is None else coons_values(plan, target, points)
