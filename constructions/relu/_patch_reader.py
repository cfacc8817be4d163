"""Which networks are two-scale networks of several variables, and what is their error? Read, rebuilt, compared, enclosed.

As in one variable (_two_scale_reader): the numbers of a plan stand at known places among the weights, and a network is
recognised only if the plan so read gives back the very same network, weight for weight. Then the theorem of _patch_network
says which interpolant it computes, everywhere, and _patch_enclosure bounds the error of that interpolant; the lower bound is an
exact evaluation of the network itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.structure import STRUCTURE_ONLY, Enclosure, register, register_evaluator
from approx.errors import RegularityError
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import float_down, working_precision
from approx.targets import Target
from constructions.relu._patch_codes import addresses, chunks, classes, codes_at, digits_of, folds, put_levels
from constructions.relu._patch_enclosure import PatchSearch, patch_values
from constructions.relu._patch_network import patch_network, unfolded
from constructions.relu._patch_plan import PatchPlan
from constructions.relu._plan_forms import PlanForms, Rows
from constructions.relu._two_scale_reader import exact_number, whole
from constructions.relu._two_scale_search import MAXIMUM_NODES

#: How plans are read off networks of one form, and written again.
FORMS: PlanForms[PatchPlan] = PlanForms("two-scale-patches")


def read_patches(network: Network, target: Target) -> PatchPlan | None:
    """The plan of a network that is exactly a two-scale network on the target's box, else None; O(weights)."""
    return FORMS.plan(network, target) if target.dimension in (2, 3) else None


def grid_of(slope: fmpq, bias: fmpq, target: Target) -> tuple[int, int]:
    """(N, M) from what the first class folds, slope x_1 + bias with slope (N M - 1)/(2 M 2^L width); raises ValueError."""
    low, high = target.domain[0]
    share = slope * (high - low)
    steps = int(share.q)
    while steps % 2 == 0:
        steps //= 2
    for length in range(1, 40):
        cells = share * 2 ** (length + 1) + fmpq(1, steps)
        if cells.q == 1 and int(cells.p) >= 3 and folds(int(cells.p)) == length:
            found = int(cells.p), steps
            if unfolded(target.domain, 0, *found, 0) == (slope, bias):
                return found
    raise ValueError("no grid")


def assembled(
    cells: int, steps: int, lead: int, base: fmpq, quantum: fmpq, codes: list[list[list[int]]], dimension: int
) -> PatchPlan:
    """The plan of these numbers; codes[class][number of the code] lists codes at the class's rising addresses.

    Raises ValueError beyond MAXIMUM_NODES fine nodes.
    """
    if (cells * steps) ** dimension > MAXIMUM_NODES:
        raise ValueError("more nodes than are built")
    levels = np.zeros((cells * steps,) * dimension, dtype=np.int64)
    total = lead + steps**dimension - 1
    for parities, tables in zip(classes(dimension), codes, strict=True):
        parts = chunks(total, len(tables))
        digits = [digits_of(codes, p.stop - p.start) for codes, p in zip(tables, parts, strict=True)]
        put_levels(levels, cells, steps, parities, lead, np.concatenate(digits, axis=1))
    return PatchPlan(cells, steps, len(codes[0]), exact_number(base), exact_number(quantum), levels)


def _plan(rows: Rows, network: Network, target: Target) -> PatchPlan:
    d = target.dimension
    cells, steps = grid_of(dict(rows[0][2])[0], rows[0][1], target)
    _, base, output = rows[-1]
    quantum = min(abs(w) for _, w in output)
    # 2^d classes of terms: Psi, two gates a digit, and t for every step.
    lead = (len(output) // 2**d - 3 * (steps**d - 1) - 1) // 2
    return assembled(cells, steps, lead, base, quantum, code_tables(rows, network, cells, 1 + d * (steps + 2)), d)


def code_tables(rows: Rows, network: Network, cells: int, apart: int) -> list[list[list[int]]]:
    """codes[class][number of the code]: the codes at the class's rising addresses.

    `apart`: how many units the layer of addresses has per class, the address being the first of them.
    """
    d, length, codes = network.inputs, folds(cells), []
    counts = [layer.units for layer in network.layers]
    starts = [d, *(d + np.cumsum(counts)).tolist()]  # the number of the first unit of layer 1, 2, ...
    for number, parities in enumerate(classes(d)):
        address = starts[length + 1] + number * apart
        hinges = {}
        for unit in range(starts[length + 2], starts[length + 3]):
            _, bias, inputs = rows[unit - d]
            if inputs == [(address, 1)]:
                hinges[unit] = whole(-bias)
        found = np.sort(addresses(cells, parities))
        tables = []
        for unit in range(starts[length + 3], starts[length + 4]):
            _, bias, inputs = rows[unit - d]
            if inputs and all(u in hinges for u, _ in inputs):
                tables.append(codes_at(found, whole(bias), {hinges[u]: whole(w) for u, w in inputs}))
        codes.append(tables)
    return codes


FORMS.add(_plan, patch_network)


def exact_gap(network: Network, target: Target, places: list[list[fmpq]]) -> tuple[float, tuple[fmpq, ...]]:
    """(lower bound of sup |f - net|, where): exact values of the network at the last two places, given on [0, 1]^d."""
    lower, witness = 0.0, tuple(target.domain.lower)
    for place in places[:-3:-1]:
        x = tuple(low + (high - low) * p for p, (low, high) in zip(place, target.domain, strict=True))
        value = evaluate_exact(network, [x])[0]
        with working_precision(160):
            gap = float_down(abs(target.ball([arb(c) for c in x]) - arb(value)))
        if gap > lower:
            lower, witness = gap, x
    return lower, witness


class Search(Protocol):
    """What a branch and bound on the fine cells found: a proved bound, places of large errors on [0, 1]^d, the largest last."""

    upper: float
    places: list[list[fmpq]]


def enclosed(network: Network, target: Target, search: Callable[[], Search], how: str) -> Enclosure:
    """The enclosure by this search, and by errors at points alone where the target lacks the derivatives that it needs.

    Such a network was made for another target.
    """
    try:
        found = search()
        places, upper = found.places, found.upper
    except RegularityError:
        places, upper = [[fmpq(1, k)] * network.inputs for k in (3, 5)], math.inf
    lower, witness = exact_gap(network, target, places)
    return lower, upper, witness, f"{STRUCTURE_ONLY} (two scales, {how} decoded exactly)"


@register
def patch_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) for a two-scale network of 2 or 3 variables, otherwise None."""
    plan = read_patches(network, target)
    if plan is None:
        return None
    return enclosed(network, target, lambda: PatchSearch(plan, target, work), "digits")


@register_evaluator
def patch_evaluator(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
    """Float64 values of a two-scale network at points (n, d) from its interpolant (no bound of rounding), else None."""
    plan = read_patches(network, target)
    return None if plan is None else patch_values(plan, target, points)
