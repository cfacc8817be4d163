"""Is a part of an expression a polynomial in one variable, and where is it >= 0? Decided exactly, by factors and
roots."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq, fmpq_poly

from approx.targets.program import Program

MAXIMUM_DEGREE = 24
MAXIMUM_BITS = 2_000


def polynomial_of(program: Program) -> tuple[int, fmpq_poly] | None:
    """Return (index of the variable, the polynomial) of a program that is one in a single variable, else None.

    Degrees above 24 and coefficients above 2000 bits are not followed up.
    """
    used = program.variables()
    if len(used) != 1:
        return None
    values: list[fmpq_poly] = []
    for step in program.instructions:
        given = [values[i] for i in step.arguments]
        match step.operation:
            case "number":
                value = fmpq_poly([step.data])
            case "variable":
                value = fmpq_poly([0, 1])
            case "add":
                value = given[0] + given[1]
            case "sub":
                value = given[0] - given[1]
            case "mul":
                value = given[0] * given[1]
            case "neg":
                value = -given[0]
            case "powi" if step.data >= 0 and given[0].degree() * step.data <= MAXIMUM_DEGREE:
                value = given[0] ** step.data
            case _:
                return None
        if value.degree() > MAXIMUM_DEGREE or any(part.height_bits() > MAXIMUM_BITS for part in value.coeffs()):
            return None
        values.append(value)
    return min(used), values[-1]


def has_sign(polynomial: fmpq_poly, low: fmpq, high: fmpq, strict: bool) -> bool:
    """Return whether the polynomial is > 0 (strict) or >= 0 on [low, high].

    It is factored over the rationals. A sign changes only at a root of a factor of odd multiplicity; the roots of
    factors of degree above 1 are irrational and are separated from the rational ends by balls at the working
    precision (undecided counts as False).
    """
    if polynomial.degree() < 1:
        value = polynomial[0]
        return bool(value > 0 or (not strict and value == 0))
    _, factors = polynomial.factor()
    for factor, multiplicity in factors:
        crosses = strict or multiplicity % 2 == 1
        if crosses and not _free_of_roots(factor, low, high, strict):
            return False
    probes = (low, high, *(low + (high - low) * fmpq(k, MAXIMUM_DEGREE + 2) for k in range(1, MAXIMUM_DEGREE + 2)))
    signs = [value for value in (polynomial(probe) for probe in probes) if value != 0]
    return bool(signs) and bool(signs[0] > 0)


def _free_of_roots(factor: fmpq_poly, low: fmpq, high: fmpq, closed: bool) -> bool:
    """Whether an irreducible factor has no root in (low, high), or in [low, high]."""
    if factor.degree() == 1:
        root = -fmpq(factor[0]) / fmpq(factor[1])
        return bool(root < low or root > high or (not closed and root in (low, high)))
    roots: Any = factor.complex_roots()
    real = [root.real for root, _ in roots if root.imag.contains(0)]
    return all(root < arb(low) or root > arb(high) for root in real)
