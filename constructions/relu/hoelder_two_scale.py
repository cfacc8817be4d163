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
from constructions.relu._coons_narrow_reader import coons_narrow  # with how it is read
from constructions.relu._coons_network import coons_network
from constructions.relu._coons_plan import HIGHEST, CoonsPlan
from constructions.relu._coons_reader import FORMS as COONS
from constructions.relu._difference_fit import fit_differences, smoothness
from constructions.relu._difference_forms import FORMS as DIFFERENCES
from constructions.relu._difference_narrow import difference_narrow
from constructions.relu._difference_network import difference_network
from constructions.relu._difference_plan import DifferencePlan
from constructions.relu._difference_reader import ORDERS
from constructions.relu._hoelder_narrow import hoelder_narrow
from constructions.relu._hoelder_network import hoelder_network
from constructions.relu._hoelder_patch_narrow import bent_narrow
from constructions.relu._hoelder_patch_network import bent_network
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._hoelder_patch_reader import FORMS as PATCHES
from constructions.relu._hoelder_patch_search import given_bent, search_bent
from constructions.relu._hoelder_plan import HoelderPlan, curvature, fit_plan
from constructions.relu._hoelder_reader import FORMS
from constructions.relu._newton_windows import lebesgue, remainder
from constructions.relu._two_scale_search import MAXIMUM_NODES, given_grid, proved_bound

NAME = "hoelder-two-scale"
DESCRIPTION = {
    "name": NAME,
    "activations": ("relu",),
    "needs": "bounded derivatives of order r: one or two variables, r = 2 .. 8; three, r = 2 .. 6",
    "guarantee": "sup |f - net| <= eps, proved: O(h^r max |D^r f|), h = side/(N M); 3/8 h^2 max |f''| for r = 2, d = 1",
    "rate": "error O(W^-p), r/d < p <= 2 r/d, O(W^(p d/r - 1)) hidden layers (form='narrow', p = 2 r/d: width 6, 12, 15 for "
    "d = 1, 2, 3 and r = 2; 10, 20, 28 for all r >= 3); discontinuous in f",
    "references": ("P19", "P18"),
}
#: A coarse cell costs this share of a fine step: order 2, higher orders.
_SHARE, _HIGHER_SHARE = 6, 10
#: A plan with what is proved of it.
_Plan = HoelderPlan | DifferencePlan | BentPatches
_Fitted = tuple[_Plan, tuple[BudgetItem, ...]]
_Fit = Callable[[int, int], _Fitted]


def hoelder_two_scale(
    target: Target, eps: Any, *, order: int = 2, rate: Any = None, form: str = "skips", cells: int | None = None,
    steps: int | None = None,
) -> Approximant:  # fmt: skip
    """The Approximant by a two-scale network for f with bounded derivatives of order r = `order`, error O(W^(-2 r/d)).

    d = 1: N coarse cells of M fine steps; nodal values are f_1(x_k) + lambda A_k, f_1 a coarse polygon, A_k integers whose r-th
    differences inside a cell are digits of r + 1 bits, which are all that is coded, in one integer per cell; between nodes the
    network is the polygon (r = 2) or the polynomial of degree r - 1 through r neighbouring values (r >= 3; r products in all).
    d = 2, 3 (r = 2): N^d patches of M^d nodes; nodal values are an affine function + lambda Q, Q integers whose second
    differences, mixed ones as well, are two ternary digits each; the network is their interpolant on simplices at every x.
    d = 2, 3, r >= 3: differences of order r are n ternary digits each (r = 3, 4: n = 3; 5, 6: 4; 7: 5; 8: 6); in every fine
    cell the network is the Coons patch of polynomials of degree r - 1 along its edges, through r coded values of a line each,
    and, for r >= 5, of total degree r - 1 on its faces; d = 2: 4 r - 5 products, (r - 4)(r - 3)/2 more for r >= 5.
    Guarantee (proved): sup |f - net| <= bound <= eps. d = 1, r = 2: lambda/2 at the nodes, h^2/8 max |f''| between them, lambda
    about h^2 max |f''|/2. r >= 3: Lambda_r lambda/2 + omega_r h^r max |f^(r)|, lambda about h^r max |f^(r)|/2^(r-1),
    Lambda_3 = 5/4, omega_3 < 0.065. d = 2, 3: lambda/2 + sum_{k,l} b_kl/8, lambda = max b_kl/3, b_kl = h_k h_l max |D_k D_l f|.
    d = 2, r >= 3: Lambda_r lambda/2 + m_r (B_r0 + B_0r) + T, lambda = max B_ab/((3^n - 1)/2 - 2^(r-1)) over a + b = r, where
    B_ab is h_1^a h_2^b max |D_1^a D_2^b f|, Lambda_3 = 2, m_3 = 3/16, Lambda_4 < 5.01, m_4 < 0.227, Lambda_5 < 12.6, m_5 <
    0.254, Lambda_6 < 31.1, m_6 < 0.275, T = min(B_21, B_12, B_22/4)/16 for r = 3, B_22/64 for r = 4, below 0.047 max B_ab for r
    = 5, 0.156 max B_ab for r = 6 (a, b >= 2). d = 3 alike, with all edges and faces (constructions/relu/_coons_plan).
    Ramps, products and rounding are in the budget, and no point of the domain is left out.
    Exact weights; evaluated exactly or by structure. Cost: about 6 N + 36 M weights, 9 M + 2 log2 N hidden layers for r = 2;
    6 N + O(r^2 M) (r = 3: 55 M) and O(r log(1/eps)) more for r >= 3; about 3 N^2 + 176 M^2 weights for d = 2, 3 N^3 + 368 M^3
    for d = 3, 6 M^d hidden layers, and O(log(1/eps)) more (d = 2, r = 3: 3 N^2 + 252 M^2, r = 4: 328 M^2, r = 5: 536 M^2, r =
    6: 776 M^2; d = 3, r = 3: 3 N^3 + 608 M^3, r = 4: 832 M^3; 3 n M^d layers; O(M^(d-1) + r^d log(1/eps)) more). With M^d ~
    N^(rate d^2/r - d): error O(W^-rate), depth O(W^(rate d/r - 1)); rate = 2 r/d is the fastest there is.
    form="narrow" (rate 2 r/d): standard fully-connected form, no skips, of a width that depends on d alone, but for r = 2.
    r = 2: the same function. d = 1: width 6, about 11 N + 57 M weights, N + 6 M + 2 log2 N hidden layers; d = 2: width 12,
    about 7 N^2 + 324 M^2 weights, N^2 + 16 M^2 hidden layers; d = 3: width 15, 8 N^3 + 776 M^3, N^3 + 32 M^3 (N^d twice as
    much at most where N is not twice a power of 2). d = 1, r >= 3: width 10 for every r, the same piecewise polynomial and
    bound (ramps and products differ), about 9 N + (10 r + 37) M weights, N + (r + 2) M hidden layers, and O(r log(1/eps)) more
    of both: differences are packed in one number, and 2 (r - 1) products follow each other. d = 2, r >= 3: width 20 for every
    r, the same surface and bound, about 21 N^2 + 1284 M^2 weights for r = 3, 4 (r = 5: 29 N^2 + 2368 M^2) and O(M log W) more,
    2 N^2 + 48 M^2 layers; d = 3: width 28, 43 N^3 + 4488 M^3 for r = 3, 4 and O(M^2 log W) more, 3 N^3 + 144 M^3 layers.
    cells and steps fix N and M (then the bound is what it is); for d > 1 N >= 3 and M >= 3 is odd, M >= r.
    Raises InputError (eps, order, rate outside (r/d, 2 r/d], form, cells, steps), RegularityError beyond 3 variables, for
    orders above 8, above 6 in three, or without bounded derivatives of this order, UnreachableError beyond 60,000,000
    fine nodes (250,000,000 for d > 1, r >= 3) or the accuracy of values, float64 for r = 2 or d > 1, else 2^-54 of the largest.
    Source: P19, deep discontinuous phase; coded differences, polynomials between nodes and the bounds are derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    if isinstance(order, bool) or order not in (2, *ORDERS):
        raise InputError("order", order, f"an integer from 2 to {ORDERS[-1]}; order 1 is method 'deep-two-scale'")
    d = target.dimension
    if d > 3:
        raise RegularityError(f"{NAME}: needs 1 to 3 variables, the target has {d}")
    most = {1: ORDERS[-1], **HIGHEST}[d]
    if order > most:
        raise RegularityError(
            f"{NAME}: order {order} is not built in {d} variables, orders 2 to {most} are; 'local-taylor' has it, at rates up "
            "to r/d"
        )
    power = _rate(to_fmpq(2 * order) / d if rate is None else rate, order, d)
    if form not in ("skips", "narrow"):
        raise InputError("form", form, "'skips' or 'narrow'")
    if form == "narrow":
        _check_narrow(order, d, power)
    share = power * d / order
    if d > 1:
        plan, budget = _several(target, goal, share, order, form, cells, steps)
    else:
        plan, budget = _one(target, goal, share, order, cells, steps)
    return Approximant(
        network=_network(plan, target, form),
        target=target,
        bound=proved_bound(budget),
        method=NAME,
        statement=f"P19, deep discontinuous phase, d = {d}, r = {order}: error O(W^-p), depth O(W^(p d/r - 1)), "
        "by bit extraction.",
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


def _one(target: Target, goal: float, share: float, order: int, cells: Any, steps: Any) -> _Fitted:
    fit, factor = (_polygons if order == 2 else _polynomials)(target, order)
    if cells is not None or steps is not None:
        return fit(*_grid_given(cells, steps, order))
    return _searched(target, goal, share, order, fit, factor)


def _several(target: Target, goal: float, share: float, order: int, form: str, cells: Any, steps: Any) -> _Fitted:
    if cells is not None or steps is not None:
        return given_bent(NAME, target, order, cells, steps)
    return search_bent(NAME, target, order, goal, share, form)


def _network(plan: _Plan, target: Target, form: str) -> Network:
    if isinstance(plan, CoonsPlan):
        network = (coons_narrow if form == "narrow" else coons_network)(plan, target)
        if not plan.constant:
            COONS.remember(network, target, plan)
    elif isinstance(plan, BentPatches):
        network = (bent_narrow if form == "narrow" else bent_network)(plan, target)
        if not plan.constant:
            PATCHES.remember(network, target, plan)
    elif isinstance(plan, DifferencePlan):
        network = (difference_narrow if form == "narrow" else difference_network)(plan, target)
        if plan.corrected:
            DIFFERENCES.remember(network, target, plan)
    else:
        network = (hoelder_narrow if form == "narrow" else hoelder_network)(plan, target)
        if plan.corrected:
            FORMS.remember(network, target, plan)
    return network


def _rate(rate: Any, order: int, dimension: int) -> float:
    power, least, most = to_fmpq(rate), to_fmpq(order) / dimension, to_fmpq(2 * order) / dimension
    if not least < power <= most:
        why = (
            f"no ReLU network has a faster one for order {order}: rates are at most 2 r/d by VC dimension, P19"
            if power > most
            else f"up to W^-({least}) weights depend continuously on f: methods 'simplicial' (order 2) and 'local-taylor'"
        )
        where = "one variable" if dimension == 1 else f"{dimension} variables"
        raise InputError("rate", rate, f"{least} < rate <= {most} for order {order} in {where} ({why})")
    return to_float(power)


def _check_narrow(order: int, dimension: int, power: float) -> None:
    """Raise InputError where there is no network of constant width."""
    fastest = to_fmpq(2 * order) / dimension
    if power != to_float(fastest):
        why = f"'skips' for this rate; 'narrow' is for rate {fastest}: constant width makes depth O(W)"
        raise InputError("form", "narrow", why)


def _grid_given(cells: Any, steps: Any, order: int) -> tuple[int, int]:
    n, m = given_grid(NAME, cells, steps)
    if m < order:
        raise InputError("steps", steps, f"an integer of at least {order}")
    return n, m


def _searched(target: Target, goal: float, power: float, order: int, fit: _Fit, factor: float) -> _Fitted:
    """The plan of a grid, M ~ N^(power - 1), nearly the smallest, whose bound is at most `goal`; estimate: factor h^order."""
    [(low, high)] = target.domain
    nodes = max(2.0 * order, to_float(high - low) * (factor / goal) ** (1 / order))
    share = _SHARE if order == 2 else _HIGHER_SHARE
    for _ in range(40):
        if nodes > MAXIMUM_NODES:
            break
        cells = max(2, math.ceil((nodes * share ** (power - 1)) ** (1 / power)))
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
        f"{'float64' if order == 2 else '2^-54 of the largest'}"
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
