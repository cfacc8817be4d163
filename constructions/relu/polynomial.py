"""How does a polynomial become a ReLU network? Four evaluation schemes; the one with the fewest weights is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.numbers import arb_interval, float_down, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._distance import polynomial_distance
from constructions.relu._polynomial_programs import chebyshev_coefficients, monomial_coefficients, programs
from constructions.relu._straight_line import Analysis, Program

METHODS = ("monomial", "horner", "clenshaw", "paterson-stockmeyer")
MAXIMUM_DEGREE = 240
DESCRIPTION = {
    "name": "polynomial",
    "activations": ("relu",),
    "needs": "one variable, analytic near the domain (or smooth with a fast Chebyshev series); polynomials are exact",
    "guarantee": "sup |f - net| <= eps, proved: distance to a Chebyshev series in balls + propagated product errors",
    "rate": "W = O(sqrt(n) log(1/eps)) with n = O(log(1/eps)) for analytic f",
    "references": ("P16",),
}


def polynomial(
    target: Target, eps: Any, *, method: str = "auto", degree: int | None = None, limit: int | None = None
) -> Approximant:
    """The Approximant that evaluates a polynomial near f by deep products.

    f is replaced by a truncated Chebyshev series p (a guess; p = f when f is a polynomial with rational values) with
    sup |f - p| <= delta proved by Taylor models in balls; p is evaluated by a table of powers, by Horner's or
    Clenshaw's rule, or by Paterson-Stockmeyer (about 2 sqrt(n) products); the levels of every product follow from the
    rest eps - delta through proved sensitivities. method="auto" keeps the fewest weights, `degree` fixes the degree,
    `limit` gives up when a program cannot win against that many weights.
    Guarantee (proved): sup |f - net| <= bound <= eps.
    Cost: 10 m + O(1) weights per product, 5 m + O(1) per square, m levels; seconds to build.
    Raises InputError (eps, method, degree), RegularityError in several variables, UnreachableError when no degree up
    to 240 is proved to suffice. Source: P16 Propositions 2, 3 for the products; schemes classical, proof derived.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if method not in ("auto", *METHODS):
        raise InputError("method", method, "'auto' or one of " + ", ".join(METHODS))
    if degree is not None and not 1 <= degree <= MAXIMUM_DEGREE:
        raise InputError("degree", degree, f"an integer from 1 to {MAXIMUM_DEGREE}")
    if target.dimension != 1:
        raise RegularityError("polynomial: needs a target of one variable")
    best: Approximant | None = None
    for series, delta in _candidates(target, goal, degree):
        found = _smallest(target, series, delta, goal, method, limit)
        if found is not None and (best is None or found.network.size.weights < best.network.size.weights):
            best = found
    if best is None:
        raise UnreachableError(f"polynomial: no Chebyshev series up to degree {MAXIMUM_DEGREE} is proved within {goal:g}")
    return best


def exact_polynomial(target: Target, maximum: int = 64) -> list[fmpq] | None:
    """The exact coefficients of f in powers of s = (x - centre)/half if f is a polynomial with rational values, or None.

    Proof: the enclosure of f^(n+1)/(n+1)! over the whole domain is exactly 0; f is then the exact interpolant.
    """
    centre, half = middle_and_half(target)
    with working_precision(96):
        over = target.series(arb_interval(target.domain.lower[0], target.domain.upper[0]), maximum + 1)
    top = [k for k, c in enumerate(over) if not (c.is_finite() and c == 0)]
    n = max(top, default=0)
    if n > maximum:
        return None
    points = [fmpq(2 * i, max(n, 1)) - 1 if n else fmpq(0) for i in range(n + 1)]
    values = [v for p in points if (v := target.exact([centre + half * p])) is not None]
    if len(values) <= n:
        return None
    matrix = fmpq_mat(n + 1, n + 1, [p**k for p in points for k in range(n + 1)])
    solution = matrix.solve(fmpq_mat(n + 1, 1, values))
    return [solution[k, 0] for k in range(n + 1)]


def middle_and_half(target: Target) -> tuple[fmpq, fmpq]:
    """The exact centre and half-width of a one-dimensional domain."""
    low, high = target.domain.lower[0], target.domain.upper[0]
    return (low + high) / 2, (high - low) / 2


def _candidates(target: Target, goal: float, degree: int | None) -> list[tuple[list[fmpq], float]]:
    """Chebyshev series in s with their proved distances from f, the exact one alone when f is a polynomial."""
    exact = exact_polynomial(target) if degree is None else None
    if exact is not None and len(exact) <= 6:
        return [(chebyshev_coefficients(exact), 0.0)]
    centre, half = middle_and_half(target)
    coefficients = _float_series(target, centre, half, goal)
    tail = np.cumsum(np.abs(coefficients[::-1]))[::-1]
    below = np.flatnonzero(tail <= goal)
    first = int(below[0]) - 1 if len(below) else len(coefficients) - 1
    found = [(chebyshev_coefficients(exact), 0.0)] if exact is not None else []
    step = 1 if coefficients[1::2].any() and coefficients[0::2].any() else 2
    if degree is not None:
        tried = [degree]
    else:
        more = 6 if first <= 20 else 3 if first <= 60 else 2  # high degrees are slow to prove, one more matters little
        tried = [n for n in range(max(1, first - step), first + more * step, step) if n < len(coefficients)]
    for n in tried:
        series = [to_fmpq(float(c)) for c in coefficients[: n + 1]]
        delta = polynomial_distance(target, monomial_coefficients(series), centre, half, goal)
        if delta < goal:
            found.append((series, delta))
    return found


def _float_series(target: Target, centre: fmpq, half: fmpq, goal: float) -> np.ndarray:
    # Chebyshev interpolation of growing degree until the tail is at rounding level; exact parity is restored.
    c, h = to_float(centre), to_float(half)
    for n in (16, 32, 64, 128, 256, 512, 1024):
        k = np.cos(np.pi * (np.arange(n) + 0.5) / n)
        low, high = target.domain.floats_inside()[0]
        values = np.asarray(target(np.clip(c + h * k, low, high)))
        if not np.isfinite(values).all():
            raise UnreachableError("polynomial: f has no finite values at the interpolation points")
        series = np.array([2.0 / n * (values * np.cos(j * np.arccos(k))).sum() for j in range(n)])
        series[0] /= 2
        if np.abs(series[-max(4, n // 8) :]).max() < 0.02 * goal:
            break
    noise = 1e-15 * np.abs(series).max()
    for parity in (0, 1):
        if np.abs(series[parity::2]).max(initial=0.0) < 4 * noise:
            series[parity::2] = 0.0
    return series[: MAXIMUM_DEGREE + 2]


def _smallest(
    target: Target, series: Sequence[fmpq], delta: float, goal: float, method: str, limit: int | None
) -> Approximant | None:
    size = len(series)
    names: Sequence[str] = METHODS if size <= 9 else ("monomial", "paterson-stockmeyer") if size <= 17 else METHODS[3:]
    if method != "auto":
        names = (method,)
    best: Approximant | None = None
    for name, program in programs(series, names):
        found = build_program(target, program, delta, goal, name, size - 1)
        if found is not None and (best is None or found.network.size.weights < best.network.size.weights):
            best = found
    return best if best is None or limit is None or best.network.size.weights < limit else None


def build_program(
    target: Target, program: Program, delta: float, goal: float, name: str, degree: int
) -> Approximant | None:
    """The Approximant of one program with the fewest levels for goal - delta, or None when it cannot reach that."""
    if not program.steps:
        return _finish(target, _affine(target, program), delta, 0.0, name, degree, [])
    analysis = Analysis(program)
    levels = analysis.levels(float_down((to_fmpq(goal) - to_fmpq(delta)) * to_fmpq(1 - 2**-30)))
    if levels is None:
        return None
    centre, half = middle_and_half(target)
    b = Builder(1)
    form = analysis.form(b, (b.input() - centre) * (1 / half), levels)
    return _finish(target, b.build([form]), delta, analysis.errors(levels).output, name, degree, levels)


def _affine(target: Target, program: Program) -> Network:
    centre, half = middle_and_half(target)
    b = Builder(1)
    s = (b.input() - centre) * (1 / half)
    return b.build([s * program.output.terms.get(0, fmpq(0)) + program.output.constant])


def _finish(
    target: Target, network: Network, delta: float, products: float, name: str, degree: int, levels: Sequence[int]
) -> Approximant:
    bound = (delta + products) * (1 + 1e-12)
    return Approximant(
        network=network,
        target=target,
        bound=bound,
        method=str(DESCRIPTION["name"]),
        statement="Polynomial of degree n by products xy = ((x+y)/2)^2 - ((x-y)/2)^2, each square by m sawtooth levels.",
        budget=(
            BudgetItem("distance of f to the polynomial", delta, "Taylor models in balls" if delta else "f is it"),
            BudgetItem("products", products, "P16 Proposition 3, propagated by exact sensitivities"),
        ),
        parameters={"scheme": name, "degree": degree, "levels": list(levels)},
        references=("P16",),
    )
