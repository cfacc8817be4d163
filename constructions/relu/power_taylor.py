"""How do local Taylor polynomials become a network of max(t, 0)^2 or max(t, 0)^3 alone? Exact products, no logarithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Form, Network
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu import _power_reader  # noqa: F401 (register the certificates of these networks)
from constructions.relu._cell_grid import Axis, Front, families, front
from constructions.relu._cell_polynomials import (
    FOR_KINKS,
    CellPolynomials,
    float_polynomials,
    proved_polynomials,
    tail_bound,
)
from constructions.relu._economical_taylor import ORDERS, cells_for, grid, monomials, splice, steps_rounding
from constructions.relu._exact_tail import ExactTail

DESCRIPTION = {
    "name": "power-taylor",
    "activations": ("relu2", "relu3"),
    "needs": "1 to 3 variables, bounded derivatives up to the order in use (and one more)",
    "guarantee": "sup |f - net| <= eps, proved: Taylor remainder + rounded coefficients; products are exact",
    "rate": "W = O(eps^(-d/r)) for every order r, depth O(r d) at every eps, no logarithm",
    "references": ("P19",),
}
#: Cells with coefficients proved in balls (about 0.2 ms each in one variable, more above).
MAXIMUM_CELLS = 400_000
MOST_ORDER = {1: 16, 2: 10, 3: 6}


def power_taylor(
    target: Target, eps: Any, *, order: int | None = None, power: int = 2, cells: int | None = None, proved: bool = True
) -> Approximant:
    """The Approximant by local Taylor polynomials of degree order - 1 whose units are all max(t, 0)^power.

    The grid is that of `local-taylor` (even and odd cells, one local coordinate for all cells of a family, one function of x
    for one coefficient of all cells); staircases, indicators and blends are 0 and 1 where it matters for any power, numbers
    are held by finite differences, and products are exact polarised squares: there is no product error and no m to choose.
    Guarantee (proved): sup |f - net| <= bound <= eps; bound = truncation (coefficients of degree r in balls at all centres,
    remainder of degree r + 1 from derivative bounds) + rounding of the coefficients to float64. `certify` reads the network as
    its polynomials (_power_reader) and encloses the error, to 1 % for d = 1, 2.
    Cost: d + power * #monomials weights per cell for d >= 2, 8 + power * (r + 2) for d = 1, O(cells per axis) for
    coordinates and O(2^d #monomials) for products: W = O(eps^(-d/r)); at most 2 r + 2 hidden layers in one variable.
    order: 2 to 16, 10, 6 for d = 1, 2, 3 (None: the cheapest up to 10, 7, 5). cells: per axis, given with order; then the
    bound is what it is. proved=False takes coefficients from float64 jets (fast; bound is then inf).
    Raises InputError (eps, order, power, cells), RegularityError in more than 3 variables or where derivatives are unbounded
    (kinks), UnreachableError when the grid would be too large. Source: P19 (piecewise-polynomial activations); derived.

    >>> a = power_taylor(Target("sin(2*pi*x)"), 1e-4, order=4)
    >>> sorted(a.network.activations), a.bound <= 1e-4
    (['identity', 'relu2'], True)
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    if isinstance(power, bool) or power not in (2, 3):
        raise InputError("power", power, "2 or 3")
    d = target.dimension
    if d not in MOST_ORDER:
        raise RegularityError(f"power-taylor: needs 1 to 3 variables, the target has {d}")
    if order is not None and (isinstance(order, bool) or order not in range(2, MOST_ORDER[d] + 1)):
        raise InputError("order", order, f"an integer from 2 to {MOST_ORDER[d]} in {d} variables")
    if cells is not None and (order is None or isinstance(cells, bool) or cells < 2):
        raise InputError("cells", cells, "2 or more cells per axis, given together with order")
    fixed = cells is not None
    if order is None or cells is None:
        order, cells = _choose(target, goal, power, [order] if order is not None else list(ORDERS[d]))
    while True:
        network, truncation, rounding = _built(target, order, power, cells, proved)
        total = (truncation + rounding) * (1 + 1e-12)
        if fixed or total <= goal:
            break
        if not rounding < goal / 2 or cells**d > MAXIMUM_CELLS:
            raise UnreachableError(f"power-taylor: order {order} with {cells} cells per axis does not reach eps = {goal:g}")
        cells += 1
    word = "" if proved else "estimate from float64 jets, not proved"
    return Approximant(
        network=network,
        target=target,
        bound=total if proved else math.inf,
        method=str(DESCRIPTION["name"]),
        statement=f"Local Taylor polynomials of order {order} by max(t, 0)^{power}: W = O(eps^(-{d}/{order})), no logarithm.",
        budget=(
            BudgetItem("Taylor remainder", truncation, word or "jets in balls at all centres, derivative bounds"),
            BudgetItem("rounded coefficients", rounding, word or "distance of balls to the float64 weights"),
        ),
        parameters={"order": order, "cells": cells, "power": power},
        references=tuple(DESCRIPTION["references"]),
    )


def _choose(target: Target, goal: float, power: int, orders: list[int]) -> tuple[int, int]:
    """The order and the cells per axis with the fewest weights, by float64 jets (a guess that the proof then meets)."""
    found: list[tuple[float, int, int]] = []
    for order in orders:
        if not math.isfinite(tail_bound(target, grid(target, 1), order)):
            break
        reached = cells_for(target, goal * (1 - 2.0**-10), order)
        if reached is not None and reached[0] ** target.dimension <= MAXIMUM_CELLS:
            cells, polynomials = reached
            found.append((cell_weights(target.dimension, order, power) * polynomials.count + 60 * order**2, order, cells))
        if len(found) > 2 and found[-1] > found[-2] > found[-3]:
            break
    if not found:
        raise RegularityError(
            f"power-taylor: {target.text} has no bounded derivatives of the orders {orders[0]} to {orders[-1]} (and one more), "
            f"or needs too many cells; {FOR_KINKS}"
        )
    _, order, cells = min(found)
    return order, cells


def cell_weights(dimension: int, order: int, power: int) -> int:
    """Weights per cell, beyond those of coordinates and products."""
    values = power * monomials(dimension, order)
    return 8 + 2 * power + values if dimension == 1 else dimension + values


def _built(target: Target, order: int, power: int, cells: int, proved: bool) -> tuple[Network, float, float]:
    axes = grid(target, cells)
    if cells ** len(axes) > MAXIMUM_CELLS:
        raise UnreachableError(f"power-taylor: {cells} cells per axis are more than {MAXIMUM_CELLS:,} cells")
    tail = tail_bound(target, axes, order)
    if not math.isfinite(tail):
        raise RegularityError(f"power-taylor: {target.text} has no bounded derivative of order {order + 1} on {target.domain}")
    polynomials = (proved_polynomials if proved else float_polynomials)(target, axes, order, tail)
    network = _assemble(axes, front(axes, power), polynomials)
    return network, polynomials.truncation, polynomials.rounding + steps_rounding(polynomials)


def _assemble(axes: list[Axis], stand: Front, polynomials: CellPolynomials) -> Network:
    sources: list[tuple[int, np.ndarray, np.ndarray]] = []
    number: dict[Any, int] = {}
    offsets: dict[Any, float] = {}
    one = np.ones(1)
    for k in range(len(axes)):
        for key, place in ((("s", k, 0), stand.local[k][0]), (("s", k, 1), stand.local[k][1]), (("w", k), stand.weight[k])):
            if place is not None:
                number[key] = len(sources)
                sources += [(stand.reading, np.array([place + j]), one) for j in range(stand.power)]
    for family in families(axes):
        for alpha, values in polynomials.coefficients[family].items():
            index = stand.offset[family] + np.arange(len(values))
            number[family, alpha] = len(sources)
            if len(axes) == 1:
                offsets[family, alpha] = float(values[-1])
                sources.append((stand.indicators, index[:-1], values[:-1] - values[1:]))
            else:
                sources.append((stand.indicators, index, values))
    tail = ExactTail(polynomials, stand, len(sources))
    b = tail.builder

    def held(key: Any) -> list[Form]:
        return [b.input(number[key] + j) for j in range(stand.power)]

    network = tail.network(
        lambda k, p: held(("s", k, p)),
        lambda k: held(("w", k)),
        lambda family, alpha: b.input(number[family, alpha]) + to_fmpq(offsets.get((family, alpha), 0.0)),
    )
    return splice(len(axes), list(stand.layers), network, sources)
