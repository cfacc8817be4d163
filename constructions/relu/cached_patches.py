"""How does a Lipschitz function of one variable get a network that stores equal cells once? Error c/(W ln W), not c/W."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from constructions.relu._cached_network import FORMS, cached_network, cached_weights
from constructions.relu._zigzag import CellPlan, FineValues, fine_values, sign_plan, three_slope_plan

DESCRIPTION = {
    "name": "cached-patches",
    "activations": ("relu",),
    "needs": "one variable, Lipschitz; best where f is rough at every scale",
    "guarantee": "sup |f - net| <= eps, proved from the Lipschitz constant: the network is a zig-zag within L h of f",
    "rate": "W = O(1/(eps ln(1/eps))) for Lipschitz f, an architecture that depends on f",
    "references": ("P16",),
}
#: Steps per cell that are tried where the caller names none; more only pay where cells repeat.
_TRIED = (*range(2, 17), 18, 20, 22, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)


def cached_patches(
    target: Target, eps: Any, *, form: str = "economical", steps_per_cell: int | None = None
) -> Approximant:
    """The Approximant that equals a zig-zag near f: T cells of m steps, equal cells share one copy of their pattern.

    Guarantee (proved): with h the length of a step and L the Lipschitz constant, |f - net| <= lambda plus the rounding of
    values, lambda = L h (1 + 1e-6) <= eps. The zig-zag has slopes +-lambda/h, so f - net is monotone on every step. At most
    2^m patterns exist; only those that occur are built, once for a pattern and its reversal.
    Cost: 6 T + 3 (breakpoints of the patterns) + 4 log2(T) weights, 2 log2(T) + O(1) hidden layers; form="four-layers":
    9 T + 4 (breakpoints), four hidden layers (depth 6 in the paper's count). form="paper": interpolation at T + 1 knots plus
    remainders with slopes -2L, 0, 2L, at most 3^m patterns, error 1.5 L h, four hidden layers. `steps_per_cell` is m; by
    default the m with the fewest weights, for the paper's form about log_3(1/eps)/2. Time 10 us per step, 1/eps steps.
    Raises InputError (eps, form, steps_per_cell), RegularityError in several variables or without a Lipschitz constant,
    UnreachableError beyond 4,000,000 steps. Source: P16 Theorem 2; two slopes instead of three, the clip and the wave derived.

    >>> a = cached_patches(Target("abs(sin(9*x))"), 0.05)
    >>> a.network.size.weights, a.bound <= 0.05
    (225, True)
    """
    if form not in FORMS:
        raise InputError("form", form, " or ".join(repr(f) for f in FORMS))
    cost = lambda plan: cached_weights(plan, form)  # noqa: E731
    plan = lipschitz_plan(str(DESCRIPTION["name"]), target, eps, steps_per_cell, form == "paper", cost)
    if not isinstance(plan, CellPlan):
        return plan
    return approximant(DESCRIPTION, target, cached_network(plan, form), plan, {"form": form})


def lipschitz_plan(
    name: str, target: Target, eps: Any, steps_per_cell: int | None, paper: bool, cost: Callable[[CellPlan], int]
) -> CellPlan | Approximant:
    """The CellPlan with error <= eps and the fewest weights by `cost`; an Approximant where f is constant.

    Raises what cached_patches raises.
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    if steps_per_cell is not None and (not isinstance(steps_per_cell, int) or steps_per_cell < 1):
        raise InputError("steps_per_cell", steps_per_cell, "a positive integer")
    if target.dimension != 1:
        raise RegularityError(f"{name}: needs a target of one variable, this one has {target.dimension}")
    lipschitz = target.lipschitz()
    if not math.isfinite(lipschitz):
        raise RegularityError(
            f"{name}: no Lipschitz constant of {target.text} on {target.domain} was found; "
            "piecewise-linear, simplicial and sin-arcsin take targets with any modulus of continuity"
        )
    if lipschitz == 0:
        return _constant(name, target)
    make = three_slope_plan if paper else sign_plan
    fine = _fine_enough(name, target, goal, lipschitz, paper)
    if steps_per_cell is not None:
        return make(fine, min(steps_per_cell, len(fine.middle) - 1))
    if paper:
        return make(fine, max(2, round(math.log(len(fine.middle), 3) / 2)))
    return _cheapest(fine, make, cost)


def _fine_enough(name: str, target: Target, goal: float, lipschitz: float, paper: bool) -> FineValues:
    """The values on the coarsest grid whose zig-zag is within goal."""
    [(low, high)] = target.domain
    share = 1.5 if paper else 1.0
    ratio = share * to_float((high - low) * to_fmpq(lipschitz)) * (1 + 2.0**-18) / goal
    for _ in range(4):
        if not ratio < 2.0**40:
            break
        fine = fine_values(target, max(1, math.ceil(ratio)), lipschitz)
        bound = (three_slope_plan if paper else sign_plan)(fine, 2).error
        if bound <= goal * (1 - 2.0**-21):
            return fine
        ratio = max(len(fine.middle), ratio * bound / goal * (1 + 2.0**-16))
    raise UnreachableError(
        f"{name}: eps = {goal:g} not reached; it needs too many steps, or values of f are too uncertain"
    )


def _cheapest(
    fine: FineValues, make: Callable[[FineValues, int], CellPlan], cost: Callable[[CellPlan], int]
) -> CellPlan:
    steps = len(fine.middle) - 1
    best: tuple[int, CellPlan] | None = None
    for m in sorted({min(m, steps) for m in _TRIED}, reverse=True):
        if best is not None and 3 * steps / m > best[0]:  # hinges and f_1 alone would cost more
            break
        plan = make(fine, m)
        weights = cost(plan)
        if best is None or weights < best[0]:
            best = weights, plan
    if best is None:
        raise UnreachableError("cached patches: no number of steps per cell was tried")
    return best[1]


def _constant(name: str, target: Target) -> Approximant:
    fine = fine_values(target, 1, 0.0)
    b = Builder(1)
    network = b.build([0 * b.input() + float(fine.middle[0])])
    item = BudgetItem("value", fine.error, "a ball around the constant")
    description = {"name": name, "references": ("P16",)}
    return Approximant(
        network, target, fine.error, name, "f is constant.", (item,), {}, tuple(description["references"])
    )


def approximant(
    description: dict[str, Any], target: Target, network: Network, plan: CellPlan, more: dict[str, Any]
) -> Approximant:
    """The Approximant of a network that equals the plan's z, with the plan's error as its itemised bound."""
    matched = plan.error - plan.values
    return Approximant(
        network=network,
        target=target,
        bound=plan.error,
        method=str(description["name"]),
        statement="P16 Theorem 2: Lipschitz f within eps by c/(eps ln(1/eps)) weights, equal cells sharing one pattern.",
        budget=(
            BudgetItem("zig-zag", float_up(to_fmpq(matched)), "Lipschitz constant: f - z is monotone on every step"),
            BudgetItem("values of f", plan.values, "balls at the nodes"),
        ),
        parameters={"cells": plan.cells, "steps_per_cell": plan.steps, **more},
        references=tuple(description["references"]),
    )
