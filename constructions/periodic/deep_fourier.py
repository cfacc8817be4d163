"""How do networks of {ReLU, sin} approximate smooth functions with the fewest weights? Sines whose phases are looked up."""

from __future__ import annotations

import math
from typing import Any

from approx.approximant import Approximant
from approx.errors import InputError, RegularityError, UnreachableError
from approx.targets import Target
from constructions.periodic._fourier_reader import NAME, FourierStructure, read_plain
from constructions.periodic._fourier_search import Found, find_plans
from constructions.periodic._sign_plan import SignPlan
from constructions.periodic._sign_reader import sign_structure
from constructions.superexpressive import _structure
from constructions.superexpressive._options import accuracy

DESCRIPTION: dict[str, Any] = {
    "name": NAME,
    "activations": ("relu", "sin"),
    "needs": "1 or 2 variables, smooth (the faster the smoother; analytic best)",
    "guarantee": "sup |f - net| <= eps, proved by Taylor models of f and of the decoded sines on every cell and seam",
    "rate": "analytic f: log(1/error) = c W^(1 + 1/d), with cells that grow; c W^(1/d) in one cell",
    "references": ("P19", "approx"),
}
FORMS = ("phases", "bits")


def deep_fourier(
    target: Target, eps: Any, *, digits: int | None = None, order: int | None = None, form: str = "phases"
) -> Approximant:
    """The Approximant by a deep Fourier network {ReLU, sin} with nearly the fewest weights for eps.

    On each of N = 2^digits cells per axis f is a sum of sines with the frequencies and amplitudes of all cells; the phases are
    looked up: each sine adds to w.x an integer weight times cos(k theta), k the number of the cell, which the signs of
    `digits` sines spell. No product is needed, no gap is left: see _fourier_network for the theorem.
    form="bits" is the paper's: coefficients in binary, all in one weight, every bit found by its own access and read as
    the sign of a sine; W = O(log^2(1/eps)) at a fixed order, some hundred times more than the phases need.
    digits = 0 is a plain sum of sines (one hidden layer). order: the frequencies are (theta/a) j, |j|_1 <= order, a the
    half-width of a cell. None: searched, and the combination with the fewest weights is taken.

    Guarantee (proved): sup |f - net| <= bound <= eps; the bound comes from Taylor models of f minus the sines on every cell
    and around every seam. Cost: for d = 1 about 11 digits + 6 order + 25 weights (3 order + 1 for digits = 0), some ms per
    cell to build; the integers have N^d b bits, b about log2(1/eps) + 15.
    Raises InputError (eps, digits, order), RegularityError for targets with kinks or more than 2 variables, UnreachableError
    below the accuracy of float64 fits (some 1e-14 of the coefficients), or where these options do not reach eps.
    Source: P19, deep Fourier expansion; phases instead of bits, seams and bound are derived here.

    >>> a = deep_fourier(Target("exp(x)"), 1e-10)
    >>> a.network.size.weights < 25, a.bound <= 1e-10
    (True, True)
    """
    goal = accuracy(eps)
    _refuse(target, digits, order, form)
    closest: Approximant | None = None
    for found in find_plans(target, goal, digits, order, form == "bits"):
        result = _approximant(target, found)
        if result.bound <= goal:
            return result
        if closest is None or result.bound < closest.bound:
            closest = result
    reached = f"; the nearest has a proved error of {closest.bound:.3g}" if closest is not None else ""
    raise UnreachableError(
        f"{NAME}: eps = {goal:g} is not reached (float64 fits, digits up to 8, orders up to 64 in one and 12 in two variables)"
        + reached,
        closest,
    )


def _refuse(target: Target, digits: Any, order: Any, form: Any) -> None:
    if form not in FORMS:
        raise InputError("form", form, "'phases' or 'bits'")
    for name, value, least, most in (("digits", digits, int(form == "bits"), 8), ("order", order, 1, 64)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most):
            raise InputError(name, value, f"an integer from {least} to {most}, or None")
    if target.dimension > 2:
        raise RegularityError(f"{NAME}: needs 1 or 2 variables, the target has {target.dimension}")
    axes = range(target.dimension)
    bends = [target.derivative_bound(tuple(2 * (i == j) for j in axes), rtol=1.0) for i in axes]
    if not all(map(math.isfinite, bends)):
        raise RegularityError(
            f"{NAME}: {target.text} has no bounded second derivatives on its domain, so sines gain nothing there; methods for "
            "such targets: piecewise-linear, piecewise-polynomial, simplicial, deep-two-scale, narrow, cached-patches"
        )


def _bits(found: Found) -> int:
    if found.plan is None:
        return 0
    return found.plan.depth if isinstance(found.plan, SignPlan) else found.plan.bits


def _approximant(target: Target, found: Found) -> Approximant:
    if found.plan is None:
        structure = read_plain(found.network, target)
        assert structure is not None
    elif isinstance(found.plan, SignPlan):
        structure = sign_structure(found.plan, target, found.network)
    else:
        structure = FourierStructure.of_plan(found.plan, target, found.network)
    items = structure.items()
    _structure.remember(found.network, target, NAME, structure)
    return Approximant(
        network=found.network,
        target=target,
        bound=_structure.bound_of(items),
        method=NAME,
        statement=(
            f"P19, deep Fourier expansion, d = {target.dimension}: {2**found.digits} cells per axis, {found.sines} sines; "
            + ("all coefficients are bits of one weight." if isinstance(found.plan, SignPlan) else "phases looked up.")
        ),
        budget=items,
        parameters={
            "digits": found.digits,
            "order": found.order,
            "theta": found.theta,
            "sines": found.sines,
            "form": "bits" if isinstance(found.plan, SignPlan) else "phases",
            "bits_per_value": _bits(found),
        },
        references=DESCRIPTION["references"],
    )
