"""Which patches and fine steps reach an accuracy in d >= 2 variables, and how many codes does a patch need?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from approx.approximant import BudgetItem
from approx.errors import InputError, UnreachableError
from approx.numbers import to_float
from approx.targets import Target
from constructions.relu._patch_codes import lead_digits
from constructions.relu._patch_plan import PatchPlan, fit_patches, patch_budget
from constructions.relu._two_scale_search import MAXIMUM_NODES, proved_bound

Found = tuple[PatchPlan, tuple[BudgetItem, ...]]


def given_patches(method: str, target: Target, cells: Any, steps: Any) -> Found:
    """The plan on the grid as the user gave it, and its budget; raises InputError, UnreachableError (MAXIMUM_NODES)."""
    check_grid(cells, steps)
    return _fitted(method, target, cells, steps)


def check_grid(cells: Any, steps: Any) -> None:
    """Raise InputError unless the user gave N >= 3 patches and an odd M >= 3."""
    if not isinstance(cells, int) or isinstance(cells, bool) or cells < 3:
        raise InputError(
            "cells", cells, "an integer of at least 3 in several variables; cells and steps are given together"
        )
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 3 or steps % 2 == 0:
        raise InputError(
            "steps", steps, "an odd integer of at least 3 in several variables (patches are reflected on the fine grid)"
        )


def patch_grid(nodes: int, rate: float, dimension: int, balance: float) -> tuple[int, int]:
    """(N, M) with N M >= nodes per axis and M^d about (N^d / balance)^(rate - 1), M odd.

    `balance` is the cost of a digit, in all classes, over that of a patch: for rate 2 both cost the same in total.
    """
    patches = (nodes * balance ** ((rate - 1) / dimension)) ** (1 / rate)
    steps = max(3, 2 * round((nodes / patches - 1) / 2) + 1)
    return max(3, math.ceil(nodes / steps)), steps


def search_patches(method: str, target: Target, goal: float, rate: float, balance: float) -> Found:
    """(plan, budget) of a grid, nearly the smallest, whose bound is at most `goal`.

    Raises UnreachableError beyond MAXIMUM_NODES fine nodes, RegularityError without a modulus of continuity.
    """
    exponent, constant = target.hoelder()
    d = target.dimension
    longest = max(high - low for low, high in target.domain)
    # The least number of nodes for which what is missed between the nodes is small enough.
    nodes = max(9.0, 1 + to_float(longest) * d / (d + 1) * (constant / goal) ** (1 / exponent))
    for _ in range(40):
        if not nodes**d <= MAXIMUM_NODES:
            break
        cells, steps = patch_grid(math.ceil(nodes), rate, d, balance)
        plan, budget = _fitted(method, target, cells, steps)
        bound = proved_bound(budget)
        if bound <= goal:
            return plan, budget
        nodes = max(nodes * 1.02 + 1, cells * steps * min(4.0, (bound / goal) ** (1 / exponent)))
    raise UnreachableError(f"{method}: eps = {goal:g} needs more than {MAXIMUM_NODES:,} fine nodes")


def _fitted(method: str, target: Target, cells: int, steps: int) -> Found:
    if (cells * steps) ** target.dimension > MAXIMUM_NODES:
        count = (cells * steps) ** target.dimension
        raise UnreachableError(f"{method}: {count:,} fine nodes are more than {MAXIMUM_NODES:,}")
    plan, error = fit_patches(target, cells, steps)
    return plan, patch_budget(target, plan, error)


def coded_digits(plan: PatchPlan) -> int:
    """How many ternary digits a patch has."""
    return lead_digits(plan) + plan.steps**plan.dimension - 1


def with_digits(plan: PatchPlan, digits: int) -> PatchPlan:
    """The plan with as many codes per patch as it takes if a code has at most `digits` digits, evened out."""
    total = coded_digits(plan)
    size = -(-total // -(-total // digits))
    return replace(plan, codes=-(-total // size))
