"""What is an expression? An immutable typed tree of eleven node kinds, with exact constants folded as it is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from flint import fmpq

from approx.errors import ExpressionError

MAXIMUM_NUMBER_BITS = 20_000
MAXIMUM_EXPONENT = 100_000

FUNCTIONS = (
    "abs", "relu", "sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
    "erf", "sigmoid",
)  # fmt: skip
CONSTANTS = ("pi", "e")


@dataclass(frozen=True, slots=True)
class Number:
    """An exact rational constant."""

    value: fmpq


@dataclass(frozen=True, slots=True)
class Constant:
    """A named irrational constant: 'pi' or 'e'."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """The coordinate with this index, counted from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of at least two terms, none of which is a Sum, at most one a Number."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """The product of at least two factors, none of which is a Product or Quotient; a Number can only be the first."""

    factors: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Quotient:
    """numerator / denominator, where the denominator is not a Number."""

    numerator: Node
    denominator: Node


@dataclass(frozen=True, slots=True)
class Power:
    """base ** exponent with an exact rational exponent other than 0, 1 and 1/2 (which is the function sqrt).

    For an exponent that is not an integer the base must be >= 0 (> 0 when the exponent is negative).
    """

    base: Node
    exponent: fmpq


@dataclass(frozen=True, slots=True)
class GeneralPower:
    """exp(exponent * log(base)) with base > 0; base = 0 gives 0 if the exponent is a constant > 0."""

    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class Function:
    """One of FUNCTIONS applied to an argument."""

    name: str
    argument: Node


@dataclass(frozen=True, slots=True)
class Maximum:
    """max(first, second)."""

    first: Node
    second: Node


@dataclass(frozen=True, slots=True)
class Minimum:
    """min(first, second)."""

    first: Node
    second: Node


Node: TypeAlias = (
    Number | Constant | Variable | Sum | Product | Quotient | Power | GeneralPower | Function | Maximum | Minimum
)

ZERO, ONE, MINUS_ONE = Number(fmpq(0)), Number(fmpq(1)), Number(fmpq(-1))


def number(value: fmpq) -> Number:
    """Return the constant node; raises ExpressionError when it needs more than 20,000 bits."""
    if value.height_bits() > MAXIMUM_NUMBER_BITS:
        raise ExpressionError(f"a number of more than {MAXIMUM_NUMBER_BITS} bits")
    return Number(value)


def add(terms: Iterable[Node]) -> Node:
    """Return the sum, flattened, with its rational terms added exactly (at the place of the first of them)."""
    flat: list[Node] = []
    place, constant = -1, fmpq(0)
    for term in terms:
        for part in term.terms if isinstance(term, Sum) else (term,):
            if not isinstance(part, Number):
                flat.append(part)
                continue
            if place < 0:
                place = len(flat)
            constant = number(constant + part.value).value
    if constant != 0 or not flat:
        flat.insert(max(place, 0), Number(constant))
    return flat[0] if len(flat) == 1 else Sum(tuple(flat))


def multiply(factors: Iterable[Node]) -> Node:
    """Return the product, flattened, with one exact rational coefficient in front; quotients are pulled together."""
    coefficient = fmpq(1)
    upper: list[Node] = []
    lower: list[Node] = []
    pending = list(factors)[::-1]
    while pending:
        factor = pending.pop()
        if isinstance(factor, Number):
            coefficient = number(coefficient * factor.value).value
        elif isinstance(factor, Product):
            pending.extend(factor.factors[::-1])
        elif isinstance(factor, Quotient):
            lower.append(factor.denominator)
            pending.append(factor.numerator)
        else:
            upper.append(factor)
    numerator = _with_coefficient(coefficient, upper)
    if not lower or numerator == ZERO:
        return numerator
    return Quotient(numerator, multiply(lower) if len(lower) > 1 else lower[0])


def _with_coefficient(coefficient: fmpq, factors: list[Node]) -> Node:
    if coefficient == 0 and all(_everywhere(factor) for factor in factors):
        return ZERO
    if not factors:
        return Number(coefficient)
    if coefficient == 1:
        return factors[0] if len(factors) == 1 else Product(tuple(factors))
    return Product((Number(coefficient), *factors))


def _everywhere(node: Node) -> bool:
    """Whether 0 * node may be folded to 0 without hiding a place where the node is undefined."""
    return isinstance(node, (Variable, Constant, Number))


def negative(node: Node) -> Node:
    """Return -node."""
    return multiply((MINUS_ONE, node))


def subtract(first: Node, second: Node) -> Node:
    """Return first - second."""
    return add((first, negative(second)))


def divide(numerator: Node, denominator: Node) -> Node:
    """Return numerator / denominator; raises ExpressionError when the denominator is the number 0."""
    if isinstance(denominator, Number):
        if denominator.value == 0:
            raise ExpressionError("division by zero")
        return multiply((Number(1 / denominator.value), numerator))
    if isinstance(denominator, Product) and isinstance(denominator.factors[0], Number):
        coefficient = denominator.factors[0].value
        if coefficient != 0:
            rest = denominator.factors[1:]
            inner = rest[0] if len(rest) == 1 else Product(rest)
            return divide(multiply((Number(1 / coefficient), numerator)), inner)
    if isinstance(numerator, Quotient):
        return Quotient(numerator.numerator, multiply((numerator.denominator, denominator)))
    return Quotient(numerator, denominator)


def power(base: Node, exponent: Node) -> Node:
    """Return base ** exponent in canonical form: exact when both are rational and the exponent is an integer.

    Raises ExpressionError on results of more than 20,000 bits, exponents beyond 100,000 in absolute value and 0 **
    negative.
    """
    if not isinstance(exponent, Number):
        if isinstance(base, Constant) and base.name == "e":
            return Function("exp", exponent)
        if isinstance(base, Number) and base.value <= 0:
            raise ExpressionError("a power of a number that is not positive, with an exponent that is not a number")
        return GeneralPower(base, exponent)
    value = exponent.value
    if value.q != 1 and value.height_bits() > 64:
        raise ExpressionError("an exponent with more than 64 bits")
    if abs(value) > MAXIMUM_EXPONENT:
        raise ExpressionError(f"an exponent beyond {MAXIMUM_EXPONENT} in absolute value")
    if value == 1:
        return base
    if value == 0:
        return ONE
    if value == fmpq(1, 2):
        return function("sqrt", base)
    if isinstance(base, Number):
        return _number_power(base.value, value)
    return Power(base, value)


def _number_power(base: fmpq, exponent: fmpq) -> Node:
    if base == 0:
        if exponent < 0:
            raise ExpressionError("zero to a negative power")
        return ZERO
    if exponent.q != 1:
        if base < 0:
            raise ExpressionError("a negative number to a power that is not an integer")
        return Power(Number(base), exponent)
    if base not in (1, -1) and (base.height_bits() - 1) * abs(int(exponent.p)) > MAXIMUM_NUMBER_BITS:
        raise ExpressionError(f"a number of more than {MAXIMUM_NUMBER_BITS} bits")
    return number(base ** int(exponent.p))


def function(name: str, argument: Node) -> Node:
    """Return the function node; abs, relu and sqrt of exact numbers are folded where the result is rational."""
    if isinstance(argument, Number):
        value = argument.value
        if name == "abs":
            return Number(abs(value))
        if name == "relu":
            return argument if value > 0 else ZERO
        if name == "sqrt" and value >= 0:
            top, bottom = value.p.isqrt(), value.q.isqrt()
            if top * top == value.p and bottom * bottom == value.q:
                return Number(fmpq(top, bottom))
    return Function(name, argument)


def maximum(first: Node, second: Node) -> Node:
    """Return max(first, second), folded when both are numbers."""
    if isinstance(first, Number) and isinstance(second, Number):
        return first if first.value >= second.value else second
    return Maximum(first, second)


def minimum(first: Node, second: Node) -> Node:
    """Return min(first, second), folded when both are numbers."""
    if isinstance(first, Number) and isinstance(second, Number):
        return first if first.value <= second.value else second
    return Minimum(first, second)


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct sub-expressions of a node, in order."""
    match node:
        case Sum(terms):
            return terms
        case Product(factors):
            return factors
        case Quotient(first, second) | GeneralPower(first, second) | Maximum(first, second) | Minimum(first, second):
            return (first, second)
        case Power(base, _):
            return (base,)
        case Function(_, argument):
            return (argument,)
    return ()


def rebuild(node: Node, parts: tuple[Node, ...]) -> Node:
    """Return the same operation applied to other sub-expressions, through the folding constructors."""
    match node:
        case Sum():
            return add(parts)
        case Product():
            return multiply(parts)
        case Quotient():
            return divide(*parts)
        case Power(_, exponent):
            return power(parts[0], Number(exponent))
        case GeneralPower():
            return power(*parts)
        case Function(name, _):
            return function(name, parts[0])
        case Maximum():
            return maximum(*parts)
        case Minimum():
            return minimum(*parts)
    return node


def substitute(node: Node, replacements: dict[int, Node]) -> Node:
    """Return the expression with the variables of these indices replaced; shared parts are visited once."""
    done: dict[int, Node] = {}

    def visit(part: Node) -> Node:
        key = id(part)
        if key not in done:
            if isinstance(part, Variable):
                done[key] = replacements.get(part.index, part)
            else:
                below = children(part)
                done[key] = rebuild(part, tuple(visit(child) for child in below)) if below else part
        return done[key]

    return visit(node)


def variables(node: Node) -> frozenset[int]:
    """Return the indices of the variables that occur."""
    found: set[int] = set()
    seen: set[int] = set()
    pending = [node]
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Variable):
            found.add(part.index)
        pending.extend(children(part))
    return frozenset(found)
