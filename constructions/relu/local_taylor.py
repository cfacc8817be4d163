"""How do local Taylor polynomials become a ReLU network? The paper's form, and an economical one that shares all it can."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu._economical_taylor import ORDERS, Built, build, choose
from constructions.relu._paper_taylor import paper_constants, paper_count, paper_network, sobolev_norm

DESCRIPTION = {
    "name": "local-taylor",
    "activations": ("relu",),
    "needs": "1 to 3 variables, bounded derivatives up to the order in use (and one more)",
    "guarantee": "sup |f - net| <= eps, proved: Taylor remainder + rounded coefficients + products",
    "rate": "W = O(eps^(-d/r)) + O(log(1/eps)): the logarithm does not multiply the number of cells",
    "references": ("P16",),
}
__all__ = ["DESCRIPTION", "local_taylor", "paper_constants", "paper_count", "paper_weights"]


def local_taylor(
    target: Target, eps: Any, *, order: int | None = None, form: str = "economical", cells: int | None = None,
    proved: bool = True,
) -> Approximant:  # fmt: skip
    """The Approximant by local Taylor polynomials of degree order - 1 on a grid of cells, d = 1, 2, 3.

    form="economical": even and odd cells per axis are families with one shared local coordinate; the coefficient of one
    monomial over all cells of a family is ONE piecewise-linear function of x, read by one unit; each family evaluates
    its polynomial by Horner's rule; blends P_0 + w (P_1 - P_0) with piecewise-linear weights hide the jumps. The top
    degree of the Taylor polynomial is economised (s^a replaced by s^a minus the monic Chebyshev product).
    Guarantee (proved): sup |f - net| <= bound <= eps; bound = truncation (coefficients of degree r in balls at all
    centres, remainder of degree r + 1 from derivative bounds) + rounding of the coefficients + products.
    Cost: (d + number of monomials) weights per cell for d >= 2, 4 + r for d = 1, O(d cells^(1/d)) for coordinates, and
    2^d (number of monomials) products of O(log 1/eps) weights: W = O(eps^(-d/r)) + O(log 1/eps).
    form="paper": the network of P16 Theorem 1 with its constants (see `_paper_taylor`); beyond 400,000 weights it is
    only counted (`paper_weights`). proved=False takes coefficients from float64 jets (fast; bound is then inf).
    Raises InputError (eps, order, form, cells), RegularityError in more than 3 variables or where derivatives are
    unbounded, UnreachableError when the grid would be too large.
    Source: P16 Theorem 1; the economical form and its proof are derived here.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if form not in ("economical", "paper"):
        raise InputError("form", form, "'economical' or 'paper'")
    if target.dimension not in ORDERS:
        raise RegularityError(f"local-taylor: needs 1 to 3 variables, the target has {target.dimension}")
    allowed = ORDERS[target.dimension]
    if order is not None and (isinstance(order, bool) or order not in allowed):
        raise InputError("order", order, f"an integer from {allowed[0]} to {allowed[-1]}")
    if form == "paper":
        return _paper(target, goal, order)
    orders = [order] if order is not None else list(allowed)
    if cells is None or order is None:
        choice = choose(target, goal, orders)
        order, cells = choice.order, choice.cells
    elif cells < 2:
        raise InputError("cells", cells, "at least 2 cells per axis")
    return _economical(target, build(target, goal, order, cells, proved=proved), proved)


def _economical(target: Target, built: Built, proved: bool) -> Approximant:
    total = (built.truncation + built.rounding + built.products) * (1 + 1e-12)
    word = "" if proved else "estimate from float64 jets, not proved"
    return Approximant(
        network=built.network,
        target=target,
        bound=total if proved else float("inf"),
        method=str(DESCRIPTION["name"]),
        statement="Local Taylor polynomials on shared coordinates: W = O(eps^(-d/r)) + O(log 1/eps), from P16 Theorem 1.",
        budget=(
            BudgetItem("Taylor remainder", built.truncation, word or "jets in balls at all centres, derivative bounds"),
            BudgetItem("rounded coefficients", built.rounding, word or "distance of balls to the float64 weights"),
            BudgetItem("products", built.products, "P16 Proposition 3, Horner's rule with |s| <= 1, convex blends"),
        ),
        parameters={"form": "economical", "order": built.order, "cells": built.cells, "levels": built.levels},
        references=("P16",),
    )


def _paper(target: Target, goal: float, order: int | None) -> Approximant:
    best = order if order is not None else _paper_order(target, goal)[0]
    network, constants, rounding, _ = paper_network(target, best, goal)
    total = (constants.truncation + constants.products + rounding) * (1 + 1e-12)
    return Approximant(
        network=network,
        target=target,
        bound=total,
        method=str(DESCRIPTION["name"]),
        statement="P16 Theorem 1: |f - f_1| <= 2^d d^r / r! N^-r max |D^a f|, W <= c eps^(-d/r) (ln(1/eps) + 1).",
        budget=(
            BudgetItem("Taylor remainder", constants.truncation, "P16 Theorem 1 with derivative bounds in balls"),
            BudgetItem("rounded coefficients", rounding, "distance of balls to the float64 weights"),
            BudgetItem("products", constants.products, "P16 Proposition 3, 2^d active patches"),
        ),
        parameters={"form": "paper", "order": best, "cells": constants.cells, "levels": constants.levels},
        references=("P16",),
    )


def paper_weights(target: Target, eps: Any, order: int | None = None) -> int:
    """The weights of the paper's form for this target and eps, by formula; without an order, of its cheapest order.

    Assumes that no Taylor coefficient vanishes (then the count is exact; otherwise an upper bound).
    """
    if order is not None:
        return paper_count(target.dimension, order, eps, sobolev_norm(target.on_unit_box(), order))
    return _paper_order(target, to_float(to_fmpq(eps)))[1]


def _paper_order(target: Target, goal: float) -> tuple[int, int]:
    unit, found = target.on_unit_box(), []
    for order in ORDERS[target.dimension]:
        try:
            found.append((paper_count(target.dimension, order, goal, sobolev_norm(unit, order)), order))
        except RegularityError:
            break
    if not found:
        raise UnreachableError("local-taylor: the target has no bounded derivatives of order 2")
    count, order = min(found)
    return order, count
