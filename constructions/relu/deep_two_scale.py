"""How does a deep ReLU network reach the rate W^-p, 1 < p <= 2, for a merely continuous function? Two scales, coded digits."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError
from approx.networks import Network
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu import (  # noqa: F401 (register the certificates of these networks)
    _patch_reader,
    _two_scale_reader,
)
from constructions.relu._digits import FLOAT64_DIGITS, float64_digits
from constructions.relu._patch_codes import folds
from constructions.relu._patch_network import patch_network
from constructions.relu._patch_plan import PatchPlan
from constructions.relu._patch_search import coded_digits, given_patches, search_patches, with_digits
from constructions.relu._two_scale_network import plan_network
from constructions.relu._two_scale_plan import TwoScalePlan, fit_plan
from constructions.relu._two_scale_search import budget_of, given_grid, proved_bound, search_plan

DESCRIPTION = {
    "name": "deep-two-scale",
    "activations": ("relu",),
    "needs": "1 to 3 variables, a modulus of continuity",
    "guarantee": "sup |f - net| <= eps, proved: 2 omega_f(h) (1 + 2^-11) for d = 1, omega_f(h)/2 + omega_f(h d/(d+1)) above",
    "rate": "error omega_f(O(W^(-p/d))), 1 < p <= 2, with O(W^(p-1)) hidden layers; discontinuous in f",
    "references": ("P18",),
}
ARITHMETICS = ("exact", "float64")
#: Weights of a digit in all 2^d classes over those of a patch.
_BALANCE = {2: 4 * 26 / 3, 3: 8 * 28 / 3}


def deep_two_scale(
    target: Target, eps: Any, *, rate: Any = 2, cells: int | None = None, steps: int | None = None,
    arithmetic: str = "exact", digits: int | None = None,
) -> Approximant:  # fmt: skip
    """The Approximant by a two-scale network: N^d patches of M^d fine steps, about one ternary digit per fine step.

    Guarantee (proved): sup |f - net| <= bound <= eps, for f with |f(x) - f(y)| <= omega_f(|x - y|) = C |x - y|^a (max norm).
    d = 1: the network is the polygon through f_1(x_k) + lambda A_k at the N M + 1 fine nodes, f_1 the coarse interpolant,
    A_k integers with steps in {-1, 0, 1}, everywhere but on ramps of 2^-13 of a fine step, where it differs from it by at
    most 2^-12 lambda; lambda <= 2 omega_f(h), so the bound is at most 2 omega_f(h) (1 + 2^-11) and rounding.
    d = 2, 3: the network is the interpolant of base + lambda Q on a triangulation of (N M)^d nodes at every x, Q integers with
    steps in {-1, 0, 1}, lambda = the largest step of f; the bound is at most omega_f(h)/2 + omega_f(d h/(d+1)) and rounding.
    Cost: d = 1: about (5 + codes) N + 23 M weights, 3 M + 2 log2 N + 6 hidden layers; d = 2: (2 + codes) N^2 + 104 M^2; d = 3:
    (2 + codes) N^3 + 224 M^3; 3 M^d + O(log) hidden layers. With M^d = (N^d/c_d)^(rate - 1): error omega_f(O(W^(-rate/d))),
    depth O(W^(rate - 1)); rate = 2 is the fastest there is.
    cells and steps fix N and M (then the bound is what it is); for d > 1 N >= 3 and M >= 3 is odd. arithmetic="exact": one
    code per patch, an integer weight of 1.585 M^d bits; the network is evaluated exactly, or by its structure. "float64":
    several codes per patch, so short that float64 execution finds every digit exactly (proved in _digits); that costs
    weights, and the rate holds only up to the factor M^d/digits. `digits` sets the digits per code.
    Raises InputError (eps, rate outside (1, 2], cells, steps, digits that the arithmetic cannot hold), RegularityError beyond
    3 variables or without a modulus, UnreachableError beyond 60,000,000 fine nodes.
    Source: P18 Theorem 2; exact at every x (off the ramps for d = 1), integers instead of fractions, the bounds: derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if not 1 <= target.dimension <= 3:
        raise RegularityError(f"deep-two-scale: needs 1 to 3 variables, the target has {target.dimension}")
    power = _rate(rate, target.dimension)
    if arithmetic not in ARITHMETICS:
        raise InputError("arithmetic", arithmetic, "'exact' or 'float64'")
    if target.dimension > 1:
        return _patches(target, goal, power, cells, steps, arithmetic, digits)
    name = str(DESCRIPTION["name"])

    def per_code(cells: int, steps: int) -> int:
        most = _digits(cells, steps, f"{cells} cells", arithmetic, digits)
        return -(-steps // -(-steps // most))  # evened out over the codes of a cell

    if cells is not None or steps is not None:
        grid = given_grid(name, cells, steps)
        plan, error = fit_plan(target, *grid, per_code(*grid))
    else:
        plan, error = search_plan(name, target, goal, power, per_code)
    network, budget = plan_network(plan, target), budget_of(target, plan, error)
    return _coded(target, network, budget, plan, plan.digits, arithmetic)


def _patches(
    target: Target, goal: float, rate: float, cells: Any, steps: Any, arithmetic: str, digits: Any
) -> Approximant:
    """The same in two and three variables."""
    name, d = str(DESCRIPTION["name"]), target.dimension
    if cells is not None or steps is not None:
        plan, budget = given_patches(name, target, cells, steps)
    else:
        plan, budget = search_patches(name, target, goal, rate, _BALANCE[d])
    total = coded_digits(plan)
    most = _digits(2 ** (d * folds(plan.cells)), total, f"{plan.cells}^{d} patches", arithmetic, digits)
    plan = with_digits(plan, most)
    return _coded(target, patch_network(plan, target), budget, plan, -(-total // plan.codes), arithmetic)


def _coded(
    target: Target,
    network: Network,
    budget: tuple[BudgetItem, ...],
    plan: TwoScalePlan | PatchPlan,
    digits: int,
    arithmetic: str,
) -> Approximant:
    statement = (
        f"P18 Theorem 2, d = {target.dimension}: error omega_f(O(W^(-p/d))), depth O(W^(p-1)), by bit extraction."
    )
    used = {"digits": digits, "codes": plan.codes, "arithmetic": arithmetic}
    return approximant(DESCRIPTION, statement, target, network, budget, plan, **used)


def _rate(rate: Any, dimension: int) -> float:
    power = to_float(to_fmpq(rate))
    if not 1 < power <= 2:
        why = (
            "no ReLU network has a faster one: VC dimension, P18 Theorem 1c"
            if power > 2
            else f"up to W^(-1/{dimension}) weights depend continuously on f: method 'simplicial'"
        )
        raise InputError(
            "rate", rate, f"1 < rate <= 2, for the error W^(-rate/{dimension}) in {dimension} variables ({why})"
        )
    return power


def _digits(knots: int, total: int, what: str, arithmetic: str, digits: Any) -> int:
    """The most digits that a code may have, of `total` digits read by `knots` hinges."""
    most = float64_digits(knots) if arithmetic == "float64" else total
    if digits is not None:
        if not isinstance(digits, int) or isinstance(digits, bool) or digits < 1:
            raise InputError("digits", digits, "an integer of at least 1")
        if arithmetic == "float64" and digits > most:
            raise InputError(
                "digits", digits,
                f"at most {most} ternary digits per code with {what} in float64 (never more than {FLOAT64_DIGITS}); "
                "arithmetic='exact' holds any number of digits",
            )  # fmt: skip
    wanted = min(digits or most, total)
    if wanted < 1:
        raise InputError("arithmetic", arithmetic, f"'exact': float64 holds no code that is read by {knots} hinges")
    return wanted


def approximant(
    description: dict[str, Any],
    statement: str,
    target: Target,
    network: Network,
    budget: tuple[BudgetItem, ...],
    plan: TwoScalePlan | PatchPlan,
    **used: Any,
) -> Approximant:
    """The Approximant of a network written from a plan, with the sum of the budget as its bound."""
    return Approximant(
        network=network,
        target=target,
        bound=proved_bound(budget),
        method=str(description["name"]),
        statement=statement,
        budget=budget,
        parameters={"cells": plan.cells, "steps": plan.steps, "quantum": plan.quantum, **used},
        references=("P18", "approx"),
    )
