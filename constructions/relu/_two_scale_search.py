"""Which grid of coarse cells and fine steps reaches an accuracy, and what is the proved bound of its two-scale network?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from approx.approximant import BudgetItem
from approx.errors import InputError, UnreachableError
from approx.numbers import to_float
from approx.targets import Target
from constructions.relu._two_scale_plan import TwoScalePlan, chord_gap, fit_plan

MAXIMUM_NODES = 60_000_000
#: (cells, steps) -> digits per code
Digits = Callable[[int, int], int]


def given_grid(method: str, cells: Any, steps: Any) -> tuple[int, int]:
    """(cells, steps) as the user gave them; raises InputError, or UnreachableError beyond MAXIMUM_NODES fine nodes."""
    for name, value, least in (("cells", cells, 2), ("steps", steps, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(name, value, f"an integer of at least {least}; cells and steps are given together")
    if cells * steps > MAXIMUM_NODES:
        raise UnreachableError(f"{method}: {cells * steps:,} fine nodes are more than {MAXIMUM_NODES:,}")
    return cells, steps


def grid_of(nodes: float, rate: float) -> tuple[int, int]:
    """(N, M) with N M >= nodes and M about (N/4)^(rate - 1): for rate 2 values and digits cost the same."""
    cells = max(2, math.ceil((nodes * 4 ** (rate - 1)) ** (1 / rate)))
    return cells, max(1, math.ceil(nodes / cells))


def search_plan(method: str, target: Target, goal: float, rate: float, digits: Digits) -> tuple[TwoScalePlan, float]:
    """(plan, proved error at the fine nodes) of a grid, nearly the smallest, whose bound is at most `goal`.

    Raises UnreachableError beyond MAXIMUM_NODES fine nodes, RegularityError without a modulus of continuity.
    """
    exponent, constant = target.hoelder()
    [(low, high)] = target.domain
    # The least number of nodes for which the distance from the chords alone is small enough.
    nodes = max(2.0, to_float(high - low) / 2 * (constant / goal) ** (1 / exponent))
    for _ in range(40):
        if nodes > MAXIMUM_NODES:
            break
        cells, steps = grid_of(nodes, rate)
        plan, error = fit_plan(target, cells, steps, digits(cells, steps))
        bound = proved_bound(budget_of(target, plan, error))
        if bound <= goal:
            return plan, error
        nodes = max(nodes * 1.02 + 1, cells * steps * min(4.0, (bound / goal) ** (1 / exponent)))
    raise UnreachableError(f"{method}: eps = {goal:g} needs more than {MAXIMUM_NODES:,} fine nodes")


def budget_of(target: Target, plan: TwoScalePlan, error: float) -> tuple[BudgetItem, ...]:
    """The summands of the bound, each proved."""
    [(low, high)] = target.domain
    chords = chord_gap(target, (high - low) / (plan.cells * plan.steps))
    return (
        BudgetItem("fine nodes", error, "quantised with steps {-1, 0, 1}, checked at all nodes; rounding included"),
        BudgetItem("between fine nodes", chords, "modulus of continuity: C (h/2)^a"),
        BudgetItem("ramps between codes", plan.gap_at_ramps(), "clipped: at most 2 lambda M r"),
    )


def proved_bound(items: tuple[BudgetItem, ...]) -> float:
    """Their sum, rounded up."""
    return sum(item.value for item in items) * (1 + 2.0**-40)
