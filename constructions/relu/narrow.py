"""How good is a ReLU network of constant width? Width 7, no skips, error omega_f(O(W^-2)) in one variable."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant
from approx.errors import InputError, RegularityError
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu._narrow_network import narrow_network
from constructions.relu._two_scale_network import plan_network
from constructions.relu._two_scale_plan import fit_plan
from constructions.relu._two_scale_search import budget_of, given_grid, proved_bound, search_plan

DESCRIPTION = {
    "name": "narrow",
    "activations": ("relu",),
    "needs": "one variable, a modulus of continuity",
    "guarantee": "sup |f - net| <= eps, proved: at most 2 omega_f(h) (1 + 2^-11), h = 1/(N M) of the interval",
    "rate": "error omega_f(O(W^-2)) at width 7, standard fully-connected form, depth O(W)",
    "references": ("P18",),
}


def narrow(target: Target, eps: Any, *, cells: int | None = None, steps: int | None = None) -> Approximant:
    """The Approximant by a fully-connected network of width 7 (2d + 10 = 12 in P18): every layer reads the one before it.

    Guarantee (proved): sup |f - net| <= bound <= eps, with the polygon and the budget of deep-two-scale: N coarse cells of M
    fine steps, one code of M ternary digits per cell, at most 2 omega_f(h) (1 + 2^-11) and rounding of the nodal values.
    Cost: about 11 N + 37 M weights, N + 3 M + 2 log2 N + 3 hidden layers. cells and steps fix N and M (then the bound is
    what it is). Weights are exact integers of up to 1.585 M bits: the network is evaluated exactly, or by its structure.
    Functions that need no code (constants, polygons with kinks at coarse nodes) get the one hidden layer of f_1.
    Raises InputError (eps, cells, steps), RegularityError in several variables or without a modulus, UnreachableError
    beyond 60,000,000 fine nodes. Source: P18 Theorem 2; schedule and bound derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if target.dimension != 1:
        raise RegularityError(f"narrow: needs one variable, the target has {target.dimension}")
    name = str(DESCRIPTION["name"])
    if cells is not None or steps is not None:
        grid = given_grid(name, cells, steps)
        plan, error = fit_plan(target, *grid, grid[1])
    else:
        plan, error = search_plan(name, target, goal, 2.0, lambda _, steps: steps)
    budget = budget_of(target, plan, error)
    return Approximant(
        network=narrow_network(plan, target) if plan.corrected else plan_network(plan, target),
        target=target,
        bound=proved_bound(budget),
        method=name,
        statement="P18 Theorem 2, p = 2, d = 1: constant width, error omega_f(O(W^-2)), by bit extraction.",
        budget=budget,
        parameters={"cells": plan.cells, "steps": plan.steps, "quantum": plan.quantum},
        references=("P18", "approx"),
    )
