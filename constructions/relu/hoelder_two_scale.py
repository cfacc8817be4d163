"""How does a deep ReLU network use smoothness at rates that no continuous selection has? Two scales, coded differences."""

from __future__ import annotations

import math
from typing import Any

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu._hoelder_network import hoelder_network
from constructions.relu._hoelder_plan import HoelderPlan, curvature, fit_plan
from constructions.relu._hoelder_reader import remember
from constructions.relu._two_scale_search import MAXIMUM_NODES, given_grid, proved_bound

NAME = "hoelder-two-scale"
DESCRIPTION = {
    "name": NAME,
    "activations": ("relu",),
    "needs": "one variable, a bounded second derivative",
    "guarantee": "sup |f - net| <= eps, proved: about 5/8 h^2 max |f''|, h = 1/(N M) of the interval",
    "rate": "error O(W^-p), 2 < p <= 4, with O(W^(p/2 - 1)) hidden layers; discontinuous in f",
    "references": ("P19", "P18"),
}
#: A coarse cell costs this share of a fine step.
_SHARE = 6


def hoelder_two_scale(
    target: Target, eps: Any, *, order: int = 2, rate: Any = None, cells: int | None = None, steps: int | None = None
) -> Approximant:
    """The Approximant by a two-scale network for f with a bounded second derivative, error O(W^-4).

    N coarse cells of M fine steps; the network is the polygon through f_1(x_k) + lambda A_k at the N M + 1 fine nodes, A_k
    integers with second differences in [-2, 2] inside a cell, which are all that is coded: 3 bits per fine step, in one
    integer per cell. Guarantee (proved): sup |f - net| <= bound <= eps: lambda/2 at the nodes, h^2/8 max |f''| between them,
    2^-12 lambda on ramps between codes, rounding; lambda is at most about h^2 max |f''|. Exact weights; evaluated exactly or
    by structure. Cost: about 6 N + 36 M weights, 9 M + 2 log2 N hidden layers. With M ~ N^(rate/2 - 1): error O(W^-rate), depth
    O(W^(rate/2 - 1)); rate = 4 is the fastest there is for order 2 in one variable.
    cells and steps fix N and M (then the bound is what it is). order: 2 (the only one that is built).
    Raises InputError (eps, order, rate outside (2, 4], cells, steps), RegularityError in several variables or without a
    bounded second derivative, UnreachableError beyond 60,000,000 fine nodes or the accuracy of float64 values.
    Source: P19, deep discontinuous phase; polygons with coded second differences and the bound are derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    if order != 2 or isinstance(order, bool):
        raise InputError(
            "order", order, "2; order 1 is method 'deep-two-scale', higher orders are not built in this form"
        )
    power = _rate(4 if rate is None else rate)
    if target.dimension != 1:
        raise RegularityError(f"{NAME}: needs one variable, the target has {target.dimension}")
    bend = curvature(target)
    if cells is not None or steps is not None:
        plan, error = fit_plan(target, *_grid_given(cells, steps))
    else:
        plan, error = _searched(target, goal, power, bend)
    budget = _budget(target, plan, error, bend)
    network = hoelder_network(plan, target)
    remember(network, target, plan)
    return Approximant(
        network=network,
        target=target,
        bound=proved_bound(budget),
        method=NAME,
        statement="P19, deep discontinuous phase, d = 1, r = 2: error O(W^-p) with depth O(W^(p/2 - 1)), by bit extraction.",
        budget=budget,
        parameters={
            "cells": plan.cells,
            "steps": plan.steps,
            "quantum": plan.quantum,
            "order": 2,
            "arithmetic": "exact",
        },
        references=("P19", "P18", "approx"),
    )


def _rate(rate: Any) -> float:
    power = to_float(to_fmpq(rate))
    if not 2 < power <= 4:
        why = (
            "no ReLU network has a faster one for order 2: rates are at most 2 r/d by VC dimension, P19"
            if power > 4
            else "up to W^-2 weights depend continuously on f: methods 'simplicial' and 'local-taylor'"
        )
        raise InputError("rate", rate, f"2 < rate <= 4 for order 2 in one variable ({why})")
    return power


def _grid_given(cells: Any, steps: Any) -> tuple[int, int]:
    n, m = given_grid(NAME, cells, steps)
    if m < 2:
        raise InputError("steps", steps, "an integer of at least 2")
    return n, m


def _searched(target: Target, goal: float, power: float, bend: float) -> tuple[HoelderPlan, float]:
    [(low, high)] = target.domain
    nodes = max(4.0, to_float(high - low) * math.sqrt(bend / goal * 0.5))
    for _ in range(40):
        if nodes > MAXIMUM_NODES:
            break
        cells = max(2, math.ceil((nodes * _SHARE ** (power / 2 - 1)) ** (2 / power)))
        steps = max(2, math.ceil(nodes / cells))
        plan, error = fit_plan(target, cells, steps)
        bound = proved_bound(_budget(target, plan, error, bend))
        if bound <= goal:
            return plan, error
        nodes = max(nodes * 1.02 + 1, cells * steps * min(4.0, math.sqrt(bound / goal)))
    raise UnreachableError(
        f"{NAME}: eps = {goal:g} needs more than {MAXIMUM_NODES:,} fine nodes, or is below the accuracy of float64 values"
    )


def _budget(target: Target, plan: HoelderPlan, error: float, bend: float) -> tuple[BudgetItem, ...]:
    [(low, high)] = target.domain
    h = to_float((high - low) / (plan.cells * plan.steps)) * (1 + 2.0**-50)
    return (
        BudgetItem("fine nodes", error, "second differences in [-2, 2], checked at all nodes; rounding included"),
        BudgetItem("between fine nodes", h * h / 8 * bend * (1 + 2.0**-40), "h^2/8 max |f''|"),
        BudgetItem("ramps between codes", plan.gap_at_ramps(), "tents vanish there: at most 7/2 lambda M^2 r"),
    )
