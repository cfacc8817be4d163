"""How does a deep ReLU network reach the rate W^-p, 1 < p <= 2, for a merely continuous function? Two scales, coded digits."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant
from approx.errors import InputError, RegularityError
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu import _two_scale_reader  # noqa: F401 (registers the certificate of these networks)
from constructions.relu._digits import FLOAT64_DIGITS, float64_digits
from constructions.relu._two_scale_network import plan_network
from constructions.relu._two_scale_plan import TwoScalePlan, fit_plan
from constructions.relu._two_scale_search import budget_of, given_grid, proved_bound, search_plan

DESCRIPTION = {
    "name": "deep-two-scale",
    "activations": ("relu",),
    "needs": "one variable, a modulus of continuity",
    "guarantee": "sup |f - net| <= eps, proved: at most 2 omega_f(h) (1 + 2^-11), h = 1/(N M) of the interval",
    "rate": "error omega_f(O(W^-p)), 1 < p <= 2, with O(W^(p-1)) hidden layers; discontinuous in f",
    "references": ("P18",),
}
ARITHMETICS = ("exact", "float64")


def deep_two_scale(
    target: Target, eps: Any, *, rate: Any = 2, cells: int | None = None, steps: int | None = None,
    arithmetic: str = "exact", digits: int | None = None,
) -> Approximant:  # fmt: skip
    """The Approximant by a two-scale network: N coarse cells of M fine steps, one ternary digit per fine step.

    Guarantee (proved): sup |f - net| <= bound <= eps. The network is the polygon through f_1(x_k) + lambda A_k at the N M + 1
    fine nodes, A_k integers with steps in {-1, 0, 1}, everywhere but on ramps of 2^-13 of a fine step, where it differs from it
    by at most 2^-12 lambda; lambda <= 2 omega_f(h), so the bound is at most 2 omega_f(h) (1 + 2^-11) for f with
    |f(x) - f(y)| <= omega_f(|x - y|) = C |x - y|^a, and rounding of the nodal values.
    Cost: about (5 + codes) N + 23 M weights, 3 M + 2 log2 N + 6 hidden layers. With M = (N/4)^(rate - 1): error
    omega_f(O(W^-rate)), depth O(W^(rate - 1)); rate = 2 is the fastest there is.
    cells and steps fix N and M (then the bound is what it is). arithmetic="exact": one code of M digits per cell, an
    integer weight of 1.585 M bits; the network is evaluated exactly, or by its structure. "float64": several codes per
    cell, so short that float64 execution finds every digit exactly (proved in _digits); that costs weights, and the rate is
    W^-2 only up to the factor M/digits. `digits` sets the digits per code.
    Raises InputError (eps, rate outside (1, 2], cells, steps, digits that the arithmetic cannot hold), RegularityError in
    several variables or without a modulus, UnreachableError beyond 60,000,000 fine nodes.
    Source: P18 Theorem 2; exact at every x off the ramps, integers instead of fractions, and the bound: derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    power = _rate(rate)
    if arithmetic not in ARITHMETICS:
        raise InputError("arithmetic", arithmetic, "'exact' or 'float64'")
    if target.dimension != 1:
        raise RegularityError(f"deep-two-scale: needs one variable, the target has {target.dimension}")
    name = str(DESCRIPTION["name"])

    def per_code(cells: int, steps: int) -> int:
        return _digits(cells, steps, arithmetic, digits)

    if cells is not None or steps is not None:
        grid = given_grid(name, cells, steps)
        plan, error = fit_plan(target, *grid, per_code(*grid))
    else:
        plan, error = search_plan(name, target, goal, power, per_code)
    return _approximant(target, plan, error, arithmetic)


def _rate(rate: Any) -> float:
    power = to_float(to_fmpq(rate))
    if not 1 < power <= 2:
        why = (
            "no ReLU network has a faster one: VC dimension, P18 Theorem 1c"
            if power > 2
            else "up to W^-1 weights depend continuously on f: method 'simplicial'"
        )
        raise InputError("rate", rate, f"1 < rate <= 2 in one variable ({why})")
    return power


def _digits(cells: int, steps: int, arithmetic: str, digits: Any) -> int:
    """Digits per code, evened out over the codes of a cell."""
    most = float64_digits(cells) if arithmetic == "float64" else steps
    if digits is not None:
        if not isinstance(digits, int) or isinstance(digits, bool) or digits < 1:
            raise InputError("digits", digits, "an integer of at least 1")
        if arithmetic == "float64" and digits > most:
            raise InputError(
                "digits", digits,
                f"at most {most} ternary digits per code with {cells} cells in float64 (never more than {FLOAT64_DIGITS}); "
                "arithmetic='exact' holds any number of digits",
            )  # fmt: skip
    wanted = min(digits or most, steps)
    if wanted < 1:
        raise InputError("arithmetic", arithmetic, f"'exact': float64 holds no code that is read by {cells} hinges")
    return -(-steps // -(-steps // wanted))


def _approximant(target: Target, plan: TwoScalePlan, error: float, arithmetic: str) -> Approximant:
    budget = budget_of(target, plan, error)
    return Approximant(
        network=plan_network(plan, target),
        target=target,
        bound=proved_bound(budget),
        method=str(DESCRIPTION["name"]),
        statement="P18 Theorem 2, d = 1: error omega_f(O(W^-p)) with depth O(W^(p-1)), by bit extraction.",
        budget=budget,
        parameters={
            "cells": plan.cells,
            "steps": plan.steps,
            "digits": plan.digits,
            "codes": plan.codes,
            "quantum": plan.quantum,
            "arithmetic": arithmetic,
        },
        references=("P18", "approx"),
    )
