"""Which patches and fine steps reach an accuracy for a smooth function of d >= 2 variables?"""

from __future__ import annotations

import math
from typing import Any

from approx.approximant import BudgetItem
from approx.errors import UnreachableError
from approx.targets import Target
from constructions.relu._hoelder_patch_plan import BentPatches, between_nodes, fit_bent
from constructions.relu._patch_search import check_grid, patch_grid
from constructions.relu._two_scale_search import MAXIMUM_NODES, proved_bound

Found = tuple[BentPatches, tuple[BudgetItem, ...]]
#: Weights of a node in all 2^d classes over those of a patch.
_BALANCE = {2: 4 * 44 / 3, 3: 8 * 46 / 3}


def given_bent(method: str, target: Target, cells: Any, steps: Any) -> Found:
    """The plan on the grid as the user gave it, and its budget; raises InputError, UnreachableError (MAXIMUM_NODES)."""
    check_grid(cells, steps)
    return _fitted(method, target, cells, steps)


def search_bent(method: str, target: Target, goal: float, share: float) -> Found:
    """(plan, budget) of a grid with M^d ~ N^(d (share - 1)), nearly the smallest, whose bound is at most `goal`.

    Raises UnreachableError beyond MAXIMUM_NODES fine nodes, RegularityError without bounded second derivatives.
    """
    d = target.dimension
    nodes = max(9.0, 1 + math.sqrt(between_nodes(target, 1) / goal))
    for _ in range(40):
        if not nodes**d <= MAXIMUM_NODES:
            break
        plan, budget = _fitted(method, target, *patch_grid(math.ceil(nodes), share, d, _BALANCE[d]))
        bound = proved_bound(budget)
        if bound <= goal:
            return plan, budget
        nodes = max(nodes * 1.02 + 1, plan.cells * plan.steps * min(4.0, math.sqrt(bound / goal)))
    raise UnreachableError(f"{method}: eps = {goal:g} needs more than {MAXIMUM_NODES:,} fine nodes")


def _fitted(method: str, target: Target, cells: int, steps: int) -> Found:
    count = (cells * steps) ** target.dimension
    if count > MAXIMUM_NODES:
        raise UnreachableError(f"{method}: {count:,} fine nodes are more than {MAXIMUM_NODES:,}")
    return fit_bent(target, cells, steps)
