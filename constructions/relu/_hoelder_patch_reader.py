"""Which networks are two-scale networks of coded second differences in several variables, and what is their error?

As for _patch_reader: the numbers of a plan stand at known places among the weights; a network is recognised only if the plan so
read gives back the very same network, weight for weight. Then the theorem of _hoelder_patch_network says which function it is
at every x, _hoelder_patch_enclosure bounds its error, and the lower bound is an exact evaluation of the network itself.
"""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.certification.budget import Work
from approx.certification.structure import Enclosure, register, register_evaluator
from approx.networks import Network
from approx.targets import Target
from constructions.relu._hoelder_patch_codes import Leads, in_range, levels_of, local_nodes
from constructions.relu._hoelder_patch_enclosure import BendSearch, bent_values
from constructions.relu._hoelder_patch_network import bent_network
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._patch_codes import classes, digits_of, put_class
from constructions.relu._patch_reader import code_tables, enclosed, grid_of
from constructions.relu._plan_forms import PlanForms, Rows
from constructions.relu._two_scale_reader import exact_number
from constructions.relu._two_scale_search import MAXIMUM_NODES

FORMS: PlanForms[BentPatches] = PlanForms("hoelder-two-scale, patches")


def read_bent(network: Network, target: Target) -> BentPatches | None:
    """The plan of a network that is exactly such a two-scale network on the target's box, else None; O(weights)."""
    return FORMS.plan(network, target) if target.dimension in (2, 3) else None


def _plan(rows: Rows, network: Network, target: Target) -> BentPatches:
    d = target.dimension
    cells, steps = grid_of(dict(rows[0][2])[0], rows[0][1], target)
    if (cells * steps) ** d > MAXIMUM_NODES:
        raise ValueError("more nodes than are built")
    _, base, output = rows[-1]
    inputs = dict(term for term in output if term[0] < d)
    slopes = [
        inputs.get(k, fmpq(0)) * (high - low) / (cells * steps - 1) for k, (low, high) in enumerate(target.domain)
    ]
    base += sum((inputs.get(k, fmpq(0)) * low for k, low in enumerate(target.domain.lower)), fmpq(0))
    sizes = [abs(w) for u, w in output if u >= d]
    quantum = min(sizes)
    leads = _leads(max(sizes) / quantum, len(sizes) // 2**d, steps, d)
    if not in_range(steps, d, leads):
        raise ValueError("levels are beyond 8 bytes")
    levels = np.zeros((cells * steps,) * d, dtype=np.int64)
    total = leads[0] + d * leads[1] + 2 * (steps**d - 1 - d)
    for parities, [codes] in zip(classes(d), code_tables(rows, network, cells, 1 + d * (steps + 2)), strict=True):
        found = levels_of(digits_of(codes, total), steps, d, leads)
        put_class(levels, cells, steps, parities, local_nodes(steps, d), found)
    return BentPatches(
        cells, steps, 1, exact_number(base), exact_number(quantum), levels, tuple(exact_number(s) for s in slopes)
    )


def _leads(largest: fmpq, terms: int, steps: int, dimension: int) -> Leads:
    """From the largest weight of a class, 3^(leads[0] - 1) or nearly half of 3^leads[1], and the number of its terms."""
    first = 1
    while 3**first <= largest:
        first += 1
    # Two gates a digit, and the response once for a step and for a second difference.
    second = (terms - 5 * (steps**dimension - 1 - dimension) - dimension - 2 * first) // (2 * dimension)
    if second < 1:
        raise ValueError("no digits of steps")
    return first, second


FORMS.add(_plan, bent_network)


@register
def bent_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) for such a network of 2 or 3 variables, otherwise None."""
    plan = read_bent(network, target)
    if plan is None:
        return None
    return enclosed(network, target, lambda: BendSearch(plan, target, work), "second differences")


@register_evaluator
def bent_evaluator(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
    """Float64 values of such a network at points (n, d) from its interpolant (no bound of rounding), else None."""
    plan = read_bent(network, target)
    return None if plan is None else bent_values(plan, target, points)
