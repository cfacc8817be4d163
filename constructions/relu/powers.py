"""How is x^n computed by ReLU units? Repeated squaring, and the table of all powers up to n."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from constructions.relu._polynomial_programs import power_of, power_table
from constructions.relu._straight_line import Analysis, Linear, Program
from constructions.relu.polynomial import build_program, exact_polynomial, middle_and_half
from constructions.relu.square import levels_for, square_error, square_form

MAXIMUM_EXPONENT = 64
DESCRIPTION = {
    "name": "powers",
    "activations": ("relu",),
    "needs": "f(x) = c x^n with 1 <= n <= 64",
    "guarantee": "sup |f - net| <= eps, proved: repeated squaring with propagated errors",
    "rate": "W = O(log n log(1/eps))",
    "references": ("P16",),
}


def powers(target: Target, eps: Any) -> Approximant:
    """The Approximant of f(x) = c x^n by repeated squaring: floor(log2 n) squares and at most as many products.

    Guarantee (proved): sup |f - net| <= bound <= eps. Cost: 5 weights per level of a square, 10 of a product.
    Raises InputError unless eps > 0, RegularityError when f is no such monomial.
    Source: P16 Propositions 2, 3; error propagation derived.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    monomial = _monomial(target)
    if monomial is None:
        raise RegularityError("powers: needs a target c * x**n of one variable with rational c and n <= 64")
    factor, exponent = monomial
    centre, half = middle_and_half(target)
    program = _power_program(exponent, centre, half)
    program.output = program.output.times(factor)
    found = build_program(target, program, 0.0, goal, f"power {exponent}", exponent)
    plain = _plain_square(target, factor, goal) if exponent == 2 else None
    options = [o for o in (found, plain) if o is not None]
    if not options:
        raise UnreachableError(f"powers: eps = {goal:g} was not reached")
    return replace(min(options, key=lambda o: o.network.size.weights), method=str(DESCRIPTION["name"]))


def _plain_square(target: Target, factor: fmpq, goal: float) -> Approximant | None:
    # c x^2 on [0, R] straight from the sawtooth: 5m - 2 weights, one fold less than the general square.
    low, high = target.domain.lower[0], target.domain.upper[0]
    if low != 0:
        return None
    scale = abs(factor) * high**2
    levels = levels_for(to_fmpq(goal), scale)
    b = Builder(1)
    net = b.build([square_form(b, b.input() * (1 / high), levels) * (factor * high**2)])
    bound = float_up(scale * square_error(levels))
    item = BudgetItem("square", bound, "P16 Proposition 2")
    return Approximant(
        network=net,
        target=target,
        bound=bound,
        method=str(DESCRIPTION["name"]),
        statement="The piecewise-linear interpolant of x^2 at k/2^m by m sawtooth levels has error 4^-(m+1).",
        budget=(item,),
        parameters={"scheme": "square", "levels": [levels]},
        references=("P16",),
    )


def power(exponent: int, eps: Any, interval: Any = (0, 1)) -> tuple[Network, float]:
    """The network R -> R with |net(x) - x^n| <= eps on the interval, and its proved error bound.

    Raises InputError on an exponent outside 1..64, eps <= 0 or an empty interval.

    >>> net, bound = power(4, 1e-3)
    >>> bound <= 1e-3
    True
    """
    networks, bound = _networks([exponent], eps, interval)
    return networks, bound


def table_of_powers(degree: int, eps: Any, interval: Any = (-1, 1)) -> tuple[Network, float]:
    """The network R -> R^degree with outputs x, x^2, ..., x^degree, each within eps, and the proved bound.

    Even powers are squares and odd ones products of neighbours: degree - 1 of them in all.
    """
    return _networks(list(range(1, degree + 1)), eps, interval)


def _networks(exponents: list[int], eps: Any, interval: Any) -> tuple[Network, float]:
    goal = to_float(to_fmpq(eps))
    low, high = (to_fmpq(v) for v in interval)
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if not low < high:
        raise InputError("interval", interval, "(lower, upper) with lower < upper")
    if not exponents or not 1 <= max(exponents) <= MAXIMUM_EXPONENT:
        raise InputError("exponent", max(exponents, default=0), f"an integer from 1 to {MAXIMUM_EXPONENT}")
    centre, half = (low + high) / 2, (high - low) / 2
    b = Builder(1)
    s = (b.input() - centre) * (1 / half)
    program, outputs = Program(), []
    base, unit = _base(centre, half)
    if len(exponents) == 1:
        outputs = [power_of(program, base, exponents[0]).times(unit ** exponents[0])]
    else:
        table = power_table(program, base, max(exponents))
        outputs = [table[k].times(unit**k) for k in exponents]
    if not program.steps:
        return b.build([s * o.terms.get(0, fmpq(0)) + o.constant for o in outputs]), 0.0
    analysis = Analysis(program)
    levels = analysis.levels_for_outputs(outputs, goal)
    if levels is None:
        raise UnreachableError(f"powers: eps = {goal:g} was not reached")
    return b.build(analysis.forms(b, s, levels, outputs)), max(analysis.output_errors(levels, outputs))


def _base(centre: fmpq, half: fmpq) -> tuple[Linear, fmpq]:
    # x = unit * base(s) with |base| <= 1 on the interval.
    unit = abs(centre) + half
    return Linear({0: half / unit}, centre / unit), unit


def _power_program(exponent: int, centre: fmpq, half: fmpq) -> Program:
    program = Program()
    base, unit = _base(centre, half)
    program.output = power_of(program, base, exponent).times(unit**exponent)
    return program


def _monomial(target: Target) -> tuple[fmpq, int] | None:
    if target.dimension != 1:
        return None
    coefficients = exact_polynomial(target, MAXIMUM_EXPONENT)
    if coefficients is None:
        return None
    n = len(coefficients) - 1
    centre, half = middle_and_half(target)
    top = coefficients[n] / half**n
    # f is a polynomial of degree n with leading coefficient top: it is top * x^n when they agree at n + 1 points.
    points = [centre + half * fmpq(2 * i - n, max(n, 1)) for i in range(n + 1)]
    if n < 1 or top == 0 or any(target.exact([p]) != top * p**n for p in points):
        return None
    return top, n
