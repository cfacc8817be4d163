"""How good is a ReLU network of constant width? Width 7, 12, 15 in 1, 2, 3 variables, no skips, error omega_f(O(W^(-2/d)))."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError
from approx.networks import Network
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu._narrow_network import narrow_network
from constructions.relu._patch_narrow import narrow_patches
from constructions.relu._patch_plan import PatchPlan
from constructions.relu._patch_search import given_patches, search_patches
from constructions.relu._two_scale_network import plan_network
from constructions.relu._two_scale_plan import TwoScalePlan, fit_plan
from constructions.relu._two_scale_search import budget_of, given_grid, search_plan
from constructions.relu.deep_two_scale import approximant

DESCRIPTION = {
    "name": "narrow",
    "activations": ("relu",),
    "needs": "1 to 3 variables, a modulus of continuity",
    "guarantee": "sup |f - net| <= eps, proved: 2 omega_f(h) (1 + 2^-11) for d = 1, omega_f(h)/2 + omega_f(h d/(d+1)) above",
    "rate": "error omega_f(O(W^(-2/d))) at width 7, 12, 15 (d = 1, 2, 3), standard fully-connected form, depth O(W)",
    "references": ("P18",),
}
#: Weights of a digit in all 2^d classes over those of a patch.
_BALANCE = {2: 22.0, 3: 50.0}


def narrow(target: Target, eps: Any, *, cells: int | None = None, steps: int | None = None) -> Approximant:
    """The Approximant by a fully-connected network of constant width: every layer reads the one before it, and nothing else.

    Width: 7 for d = 1, 12 for d = 2, 15 for d = 3, whatever the accuracy (P18 has 2d + 10 = 12, 14, 16).
    Guarantee (proved): sup |f - net| <= bound <= eps, with the function and the budget of deep-two-scale: N^d patches of M^d
    fine steps, one code per patch; at most 2 omega_f(h) (1 + 2^-11) for d = 1, omega_f(h)/2 + omega_f(d h/(d+1)) for
    d = 2, 3, and rounding of the nodal values.
    Cost: about 11 N + 37 M weights, N + 3 M + 2 log2 N + 3 hidden layers for d = 1; 10 N^2 + 225 M^2 and 12 N^3 + 600 M^3
    weights, N^d + 2^d 3 M^d + O(log) hidden layers for d = 2, 3. cells and steps fix N and M (then the bound is what it is;
    for d > 1 N >= 3 and M >= 3 is odd). Weights are exact integers of up to 1.585 M^d bits: the network is evaluated
    exactly, or by its structure. Functions that need no code (constants, and for d = 1 polygons with kinks at coarse
    nodes) get at most one hidden layer.
    Raises InputError (eps, cells, steps), RegularityError beyond 3 variables or without a modulus, UnreachableError
    beyond 60,000,000 fine nodes. Source: P18 Theorem 2; schedules and bounds derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if not 1 <= target.dimension <= 3:
        raise RegularityError(f"narrow: needs 1 to 3 variables, the target has {target.dimension}")
    name, given = str(DESCRIPTION["name"]), cells is not None or steps is not None
    if target.dimension > 1:
        if given:
            patches, budget = given_patches(name, target, cells, steps)
        else:
            patches, budget = search_patches(name, target, goal, 2.0, _BALANCE[target.dimension])
        return _approximant(target, narrow_patches(patches, target), budget, patches)
    if given:
        grid = given_grid(name, cells, steps)
        plan, error = fit_plan(target, *grid, grid[1])
    else:
        plan, error = search_plan(name, target, goal, 2.0, lambda _, steps: steps)
    network = narrow_network(plan, target) if plan.corrected else plan_network(plan, target)
    return _approximant(target, network, budget_of(target, plan, error), plan)


def _approximant(
    target: Target, network: Network, budget: tuple[BudgetItem, ...], plan: TwoScalePlan | PatchPlan
) -> Approximant:
    statement = (
        f"P18 Theorem 2, p = 2, d = {target.dimension}: constant width, error omega_f(O(W^(-2/d))), bit extraction."
    )
    return approximant(DESCRIPTION, statement, target, network, budget, plan, arithmetic="exact")
