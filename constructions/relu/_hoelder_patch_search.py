"""Which patches and fine steps reach an accuracy for a smooth function of d >= 2 variables?"""

from __future__ import annotations

import math
from typing import Any

from approx.approximant import BudgetItem
from approx.errors import InputError, UnreachableError
from approx.targets import Target
from constructions.relu._coons_narrow_size import narrow_costs
from constructions.relu._coons_network import node_weights
from constructions.relu._coons_plan import MOST_NODES, CoonsPlan, fit_coons
from constructions.relu._coons_plan import between_nodes as between_curves
from constructions.relu._hoelder_patch_plan import BentPatches, between_nodes, fit_bent
from constructions.relu._patch_search import check_grid, patch_grid
from constructions.relu._two_scale_search import MAXIMUM_NODES, proved_bound

Found = tuple[BentPatches, tuple[BudgetItem, ...]]
#: Weights of a node in all 2^d classes over those of a patch, for order 2.
_BALANCE = {2: 4 * 44 / 3, 3: 8 * 46 / 3}
#: Without skips.
_NARROW_BALANCE = {2: 324 / 7, 3: 776 / 8}


def given_bent(method: str, target: Target, order: int, cells: Any, steps: Any) -> Found:
    """The plan on the grid as the user gave it, and its budget; raises InputError, UnreachableError (too many nodes)."""
    check_grid(cells, steps)
    if steps < order:
        raise InputError("steps", steps, f"an odd integer of at least {order} for order {order}")
    return _fitted(method, target, order, cells, steps)


def search_bent(method: str, target: Target, order: int, goal: float, share: float, form: str) -> Found:
    """(plan, budget) of a grid with M^d ~ N^(d (share - 1)), nearly the smallest, whose bound is at most `goal`.

    Raises UnreachableError beyond the largest number of fine nodes, RegularityError without bounded derivatives.
    """
    d = target.dimension
    missed = between_nodes(target, 1) if order == 2 else between_curves(target, order, 1)
    nodes = max(3.0 * order, 1 + (missed / goal) ** (1 / order))
    if order == 2:
        balance = (_NARROW_BALANCE if form == "narrow" else _BALANCE)[d]
    else:
        node, patch = narrow_costs(order, d) if form == "narrow" else (2**d * node_weights(order, d), 3)
        balance = node / patch
    for _ in range(40):
        if not nodes**d <= _most(order):
            break
        cells, steps = patch_grid(math.ceil(nodes), share, d, balance)
        if steps < order:  # M is odd
            cells, steps = max(3, math.ceil(nodes / (order | 1))), order | 1
        plan, budget = _fitted(method, target, order, cells, steps)
        bound = proved_bound(budget)
        if bound <= goal:
            return plan, budget
        if isinstance(plan, CoonsPlan) and plan.finest:
            break
        nodes = max(nodes * 1.02 + 1, plan.cells * plan.steps * min(4.0, (bound / goal) ** (1 / order)))
    raise UnreachableError(
        f"{method}: eps = {goal:g} needs more than {_most(order):,} fine nodes, or is below the accuracy of float64 values of f"
    )


def _most(order: int) -> int:
    return MAXIMUM_NODES if order == 2 else MOST_NODES


def _fitted(method: str, target: Target, order: int, cells: int, steps: int) -> Found:
    count = (cells * steps) ** target.dimension
    if count > _most(order):
        raise UnreachableError(f"{method}: {count:,} fine nodes are more than {_most(order):,}")
    return fit_bent(target, cells, steps) if order == 2 else fit_coons(target, order, cells, steps)
