"""Where do numerator and denominator of a quotient vanish together, and how far? Removable singularities of one variable.

Statement. Let N and D be smooth on an interval B that contains p, with zeros of order >= m at p. Then N(x) = (x - p)^m N_m(x),
and for every x in B the k-th Taylor coefficient of N_m at x lies in the ball that contains the (k + m)-th ones of N over
B (once: N_1(x) = int_0^1 N'(p + s (x - p)) ds, whose k-th derivative is the integral of s^k N^(k+1), so that divided by
k! it is an average of N^(k+1)/(k+1)!). So the series of N/D over B is the quotient of both series shifted by m, if the
m-th coefficient of D over B is not 0.

The common zero is proved at a dyadic p: there balls of exact values are exact, and a coefficient that is the ball [0, 0] is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flint import arb, fmpq

from approx.targets.polynomials import polynomial_of
from approx.targets.program import Program

#: Orders of common zeros that are looked for.
MOST = 4
#: With more quotients nothing is looked for; with more numbers only 0 and the zeros of polynomials are tried.
MOST_QUOTIENTS, MOST_NUMBERS = 32, 32


@dataclass(frozen=True)
class Removable:
    """The quotient computed by instruction `place` has zeros of order at least `order` above and below at the dyadic `zero`."""

    place: int
    zero: arb
    order: int


def find_removable(program: Program, series: Callable[[Program, arb, int], list[arb]]) -> list[Removable]:
    """The removable singularities that are found; series(part, point, order) gives Taylor coefficients.

    Candidates are 0, the numbers of the expression, and the rational zeros of a polynomial denominator.
    """
    numbers = {fmpq(0)}
    for step in program.instructions:
        if step.operation == "number":
            numbers |= {step.data, -step.data}
    if len(numbers) > MOST_NUMBERS:
        numbers = {fmpq(0)}
    found: list[Removable] = []
    if sum(step.operation == "div" for step in program.instructions) > MOST_QUOTIENTS:
        return found
    for place, step in enumerate(program.instructions):
        if step.operation != "div":
            continue
        top, bottom = (program.part(i) for i in step.arguments)
        if not (top.variables() and bottom.variables()):
            continue
        for candidate in sorted(numbers | _zeros(bottom)):
            zero = arb(candidate)
            if not zero.is_exact():
                continue
            order = min(_leading_zeros(series(part, zero, MOST - 1)) for part in (bottom, top))
            if order:
                found.append(Removable(place, zero, order))
    return found


def _zeros(program: Program) -> set[fmpq]:
    """The rational zeros of a polynomial."""
    polynomial = polynomial_of(program)
    if polynomial is None or polynomial[1].degree() < 1:
        return set()
    factors = [factor for factor, _ in polynomial[1].factor()[1] if factor.degree() == 1]
    return {-factor[0] / factor[1] for factor in factors}


def _leading_zeros(coefficients: list[arb]) -> int:
    """How many coefficients from the first on are exactly 0."""
    return next((k for k, c in enumerate(coefficients) if not c.is_zero()), len(coefficients))
