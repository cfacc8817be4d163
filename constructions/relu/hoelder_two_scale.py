"""How does a deep ReLU network use smoothness at rates that no continuous selection has? Two scales, coded differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Network
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu._difference_fit import fit_differences, smoothness
from constructions.relu._difference_forms import FORMS as DIFFERENCES
from constructions.relu._difference_narrow import difference_narrow
from constructions.relu._difference_network import difference_network
from constructions.relu._difference_plan import DifferencePlan
from constructions.relu._difference_reader import ORDERS
from constructions.relu._hoelder_narrow import hoelder_narrow
from constructions.relu._hoelder_network import hoelder_network
from constructions.relu._hoelder_plan import HoelderPlan, curvature, fit_plan
from constructions.relu._hoelder_reader import FORMS
from constructions.relu._newton_windows import lebesgue, remainder
from constructions.relu._two_scale_search import MAXIMUM_NODES, given_grid, proved_bound

NAME = "hoelder-two-scale"
DESCRIPTION = {
    "name": NAME,
    "activations": ("relu",),
    "needs": "one variable, a bounded derivative of order r = 2 .. 8",
    "guarantee": "sup |f - net| <= eps, proved: O(h^r max |f^(r)|), h = 1/(N M) of the interval; 3/8 h^2 max |f''| for r = 2",
    "rate": "error O(W^-p), r < p <= 2 r, O(W^(p/r - 1)) hidden layers (form='narrow': width 6, 2 r + 5); discontinuous in f",
    "references": ("P19", "P18"),
}
#: A coarse cell costs this share of a fine step: order 2, higher orders.
_SHARE, _HIGHER_SHARE = 6, 10
#: A plan with what is proved of it.
_Fitted = tuple[HoelderPlan | DifferencePlan, tuple[BudgetItem, ...]]
_Fit = Callable[[int, int], _Fitted]


def hoelder_two_scale(
    target: Target, eps: Any, *, order: int = 2, rate: Any = None, form: str = "skips", cells: int | None = None,
    steps: int | None = None,
) -> Approximant:  # fmt: skip
    """The Approximant by a two-scale network for f with a bounded derivative of order r = `order`, error O(W^(-2 r)).

    N coarse cells of M fine steps; nodal values are f_1(x_k) + lambda A_k, f_1 a coarse polygon, A_k integers whose r-th
    differences inside a cell are digits of r + 1 bits, which are all that is coded, in one integer per cell; between nodes the
    network is the polygon (r = 2) or the polynomial of degree r - 1 through r neighbouring values (r >= 3; r products in all).
    Guarantee (proved): sup |f - net| <= bound <= eps. r = 2: lambda/2 at the nodes, h^2/8 max |f''| between them, lambda about
    h^2 max |f''|/2. r >= 3: Lambda_r lambda/2 + omega_r h^r max |f^(r)|, lambda about h^r max |f^(r)|/2^(r-1),
    Lambda_3 = 5/4, omega_3 < 0.065. Ramps, products and rounding are in the budget, and no point of the interval is left out.
    Exact weights; evaluated exactly or by structure. Cost: about 6 N + 36 M weights, 9 M + 2 log2 N hidden layers for r = 2;
    6 N + O(r^2 M) (r = 3: 55 M) and O(r log(1/eps)) more for r >= 3. With M ~ N^(rate/r - 1): error O(W^-rate), depth
    O(W^(rate/r - 1)); rate = 2 r is the fastest there is in one variable.
    form="narrow" (rate 2 r): the same function in standard fully-connected form, no skips, of constant width whatever N and M
    are: 6 for r = 2, with about 11 N + 57 M weights and N + 6 M + 2 log2 N hidden layers; 2 r + 5 for r >= 3, with about
    9 N + 156 M weights for r = 3, and N + (3 r + 1) M hidden layers and O(r log(1/eps)) more.
    cells and steps fix N and M (then the bound is what it is).
    Raises InputError (eps, order, rate outside (r, 2 r], form, cells, steps), RegularityError in several variables or without a
    bounded derivative of this order, UnreachableError beyond 60,000,000 fine nodes or the accuracy of values, float64
    for r = 2, 2^-54 of the largest for r >= 3.
    Source: P19, deep discontinuous phase; coded differences, polynomials between nodes and the bounds are derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    if isinstance(order, bool) or order not in (2, *ORDERS):
        raise InputError("order", order, f"an integer from 2 to {ORDERS[-1]}; order 1 is method 'deep-two-scale'")
    power = _rate(2 * order if rate is None else rate, order)
    if form not in ("skips", "narrow"):
        raise InputError("form", form, "'skips' or 'narrow'")
    if form == "narrow" and power != 2 * order:
        why = f"'skips' for this rate; 'narrow' is for rate {2 * order}: constant width makes depth O(W)"
        raise InputError("form", form, why)
    if target.dimension != 1:
        raise RegularityError(f"{NAME}: needs one variable, the target has {target.dimension}")
    fit, factor = (_polygons if order == 2 else _polynomials)(target, order)
    if cells is not None or steps is not None:
        plan, budget = fit(*_grid_given(cells, steps, order))
    else:
        plan, budget = _searched(target, goal, power, order, fit, factor)
    return Approximant(
        network=_network(plan, target, form),
        target=target,
        bound=proved_bound(budget),
        method=NAME,
        statement=f"P19, deep discontinuous phase, d = 1, r = {order}: error O(W^-p), depth O(W^(p/r - 1)), by bit extraction.",
        budget=budget,
        parameters={
            "cells": plan.cells,
            "steps": plan.steps,
            "quantum": plan.quantum,
            "order": order,
            "form": form,
            "arithmetic": "exact",
        },
        references=("P19", "P18", "approx"),
    )


def _network(plan: HoelderPlan | DifferencePlan, target: Target, form: str) -> Network:
    if isinstance(plan, DifferencePlan):
        network = (difference_narrow if form == "narrow" else difference_network)(plan, target)
        if plan.corrected:
            DIFFERENCES.remember(network, target, plan)
    else:
        network = (hoelder_narrow if form == "narrow" else hoelder_network)(plan, target)
        if plan.corrected:
            FORMS.remember(network, target, plan)
    return network


def _rate(rate: Any, order: int) -> float:
    power = to_float(to_fmpq(rate))
    if not order < power <= 2 * order:
        why = (
            f"no ReLU network has a faster one for order {order}: rates are at most 2 r/d by VC dimension, P19"
            if power > 2 * order
            else f"up to W^-{order} weights depend continuously on f: methods 'simplicial' (order 2) and 'local-taylor'"
        )
        raise InputError("rate", rate, f"{order} < rate <= {2 * order} for order {order} in one variable ({why})")
    return power


def _grid_given(cells: Any, steps: Any, order: int) -> tuple[int, int]:
    n, m = given_grid(NAME, cells, steps)
    if m < order:
        raise InputError("steps", steps, f"an integer of at least {order}")
    return n, m


def _searched(target: Target, goal: float, power: float, order: int, fit: _Fit, factor: float) -> _Fitted:
    """The plan of a grid, nearly the smallest, whose bound is at most `goal`; factor h^order estimates it."""
    [(low, high)] = target.domain
    nodes = max(2.0 * order, to_float(high - low) * (factor / goal) ** (1 / order))
    share = _SHARE if order == 2 else _HIGHER_SHARE
    for _ in range(40):
        if nodes > MAXIMUM_NODES:
            break
        cells = max(2, math.ceil((nodes * share ** (power / order - 1)) ** (order / power)))
        steps = max(order, round(nodes / cells))
        cells = max(2, math.ceil(nodes / steps))
        plan, budget = fit(cells, steps)
        bound = proved_bound(budget)
        if bound <= goal:
            return plan, budget
        if isinstance(plan, DifferencePlan) and plan.finest:
            break
        nodes = max(nodes * 1.02 + 1, cells * steps * min(4.0, (bound / goal) ** (1 / order)))
    raise UnreachableError(
        f"{NAME}: eps = {goal:g} needs more than {MAXIMUM_NODES:,} fine nodes, or is below the accuracy of values of f: "
        f"{'float64' if order == 2 else '2^-60 of the largest'}"
    )


def _step(target: Target, cells: int, steps: int) -> float:
    return to_float((target.domain.upper[0] - target.domain.lower[0]) / (cells * steps)) * (1 + 2.0**-50)


def _polygons(target: Target, order: int) -> tuple[_Fit, float]:
    bend = curvature(target)

    def fit(cells: int, steps: int) -> _Fitted:
        plan, error = fit_plan(target, cells, steps)
        h = _step(target, cells, steps)
        return plan, (
            BudgetItem("fine nodes", error, "second differences in [-3, 3], checked at all nodes; rounding included"),
            BudgetItem("between fine nodes", h * h / 8 * bend * (1 + 2.0**-40), "h^2/8 max |f''|"),
            BudgetItem("ramps between codes", plan.gap_at_ramps(), "tents vanish there: at most 7/2 lambda M^2 r"),
        )

    return fit, bend * 3 / 8


def _polynomials(target: Target, order: int) -> tuple[_Fit, float]:
    bend = smoothness(target, order)
    spread, rest = lebesgue(order), remainder(order)

    def fit(cells: int, steps: int) -> _Fitted:
        plan, fine, coarse = fit_differences(target, order, cells, steps)
        h = _step(target, cells, steps)
        return plan, (
            BudgetItem("fine nodes", spread * fine, f"{order}-th differences are digits, checked at all nodes; Lambda_r"),
            BudgetItem("between fine nodes", rest * h**order * bend * (1 + 2.0**-40), "omega_r h^r max |f^(r)|"),
            BudgetItem("clip, ramps, products", coarse + plan.gap_at_ramps(), "f_1 at coarse nodes; (2^-9 + 2^-8) lambda"),
        )

    return fit, bend * (spread / 2**order + rest)
