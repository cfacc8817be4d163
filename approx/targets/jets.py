"""Which Taylor coefficients has an expression of several variables? One set of recurrences, floats and balls.

A jet is the list of the homogeneous forms of degree 0, 1, ..., n of u(x + t). With the Euler operator E = sum t_i
d/dt_i, which multiplies the form of degree k by k, every classical one-variable recurrence holds with forms in place
of coefficients: for g = exp(u), E g = g E u, so k g_k = sum_{j=1..k} j u_j g_{k-j}, and so on. (Derived; the
one-variable recurrences are in Griewank and Walther, Evaluating Derivatives, chapter 13.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from approx.targets.program import Instruction, Program

Form = Any
Jet = list[Form]
Terms = Iterable[tuple[Any, int, Form, int, Form]]


class Arithmetic(ABC):
    """What the recurrences need from a number type; a form that is None is exactly zero."""

    dimension: int

    @abstractmethod
    def combine(self, degree: int, terms: Terms) -> Form:
        """Return the form sum of weight * u_i * v_j over terms (weight, i, u_i, j, v_j), i + j = degree."""

    @abstractmethod
    def linear(self, first: Form, second: Form, sign: int) -> Form:
        """Return first + sign * second for two forms of one degree."""

    @abstractmethod
    def scaled(self, form: Form, factor: Any) -> Form:
        """Return factor * form, where factor is a rational or a scalar of the arithmetic."""

    @abstractmethod
    def divided(self, form: Form, scalar: Any) -> Form:
        """Return form / scalar."""

    @abstractmethod
    def scalar(self, form: Form) -> Any:
        """Return the scalar of a form of degree 0."""

    @abstractmethod
    def lift(self, scalar: Any) -> Form:
        """Return the form of degree 0 of a scalar."""

    @abstractmethod
    def value(self, step: Instruction, arguments: list[Any]) -> Any:
        """Return the scalar value of one operation."""

    @abstractmethod
    def variable(self, index: int, order: int) -> Jet:
        """Return the jet of a coordinate."""

    @abstractmethod
    def select(self, step: Instruction, jets: list[Jet], value: Any) -> Jet:
        """Return the jet of abs, relu, max or min, with the given value."""

    @abstractmethod
    def constant(self, step: Instruction) -> Any:
        """Return the scalar of a number or a named constant."""

    @abstractmethod
    def two_over_sqrt_pi(self) -> Any:
        """Return 2 / sqrt(pi)."""


def run_jets(program: Program, arithmetic: Arithmetic, order: int) -> Jet:
    """Return the jet of the expression. Cost: O(number of pairs of coefficients) per operation."""
    jets: list[Jet] = []
    for step in program.instructions:
        jets.append(_step(step, [jets[i] for i in step.arguments], arithmetic, order))
    return jets[-1]


def _step(step: Instruction, given: list[Jet], a: Arithmetic, order: int) -> Jet:
    match step.operation:
        case "number" | "constant":
            return [a.lift(a.constant(step))] + [None] * order
        case "variable":
            return a.variable(step.data, order)
        case "add" | "sub":
            sign = 1 if step.operation == "add" else -1
            return [a.linear(first, second, sign) for first, second in zip(*given, strict=True)]
        case "neg":
            return [a.scaled(form, -1) for form in given[0]]
        case "mul":
            return _multiply(given[0], given[1], a, order)
    value = a.value(step, [a.scalar(jet[0]) for jet in given])
    match step.operation:
        case "div":
            return _divide(given[0], given[1], a, order, value)
        case "abs" | "relu" | "max" | "min":
            return a.select(step, given, value)
        case "powi":
            return _integer_power(given[0], step.data, a, order, value)
        case "powq":
            return _real_power(given[0], a, order, value, a.constant(Instruction("number", (), step.data)))
        case "sqrt":
            return _real_power(given[0], a, order, value, 0.5)
        case "pow":
            base, exponent = given
            logarithm = _log(base, a, order, a.value(Instruction("log", ()), [a.scalar(base[0])]))
            return _exp(_multiply(exponent, logarithm, a, order), a, order, value)
    return _transcendental(step.operation, given[0], a, order, value)


def _multiply(u: Jet, v: Jet, a: Arithmetic, order: int) -> Jet:
    return [a.combine(k, ((1, i, u[i], k - i, v[k - i]) for i in range(k + 1))) for k in range(order + 1)]


def _divide(u: Jet, v: Jet, a: Arithmetic, order: int, value: Any) -> Jet:
    bottom = a.scalar(v[0])
    result = [a.lift(value)]
    for k in range(1, order + 1):
        known = a.combine(k, ((1, j, v[j], k - j, result[k - j]) for j in range(1, k + 1)))
        result.append(a.divided(a.linear(u[k], known, -1), bottom))
    return result


def _integrate(u: Jet, h: Jet, a: Arithmetic, order: int, value: Any) -> Jet:
    """The jet of g with E g = h E u and the given value."""
    result = [a.lift(value)]
    result.extend(_integral_form(u, h, k, a) for k in range(1, order + 1))
    return result


def _integral_form(u: Jet, h: Jet, k: int, a: Arithmetic) -> Form:
    return a.divided(a.combine(k, ((j, j, u[j], k - j, h[k - j]) for j in range(1, k + 1))), k)


def _exp(u: Jet, a: Arithmetic, order: int, value: Any) -> Jet:
    result = [a.lift(value)]
    for k in range(1, order + 1):
        result.append(_integral_form(u, result, k, a))
    return result


def _log(u: Jet, a: Arithmetic, order: int, value: Any) -> Jet:
    result = [a.lift(value)]
    bottom = a.scalar(u[0])
    for k in range(1, order + 1):
        known = a.combine(k, ((j, j, result[j], k - j, u[k - j]) for j in range(1, k)))
        result.append(a.divided(a.linear(u[k], a.divided(known, k), -1), bottom))
    return result


def _real_power(u: Jet, a: Arithmetic, order: int, value: Any, exponent: Any) -> Jet:
    """g = u^c: u E g = c g E u, so k u_0 g_k = sum_{j=1..k} (c j - (k - j)) u_j g_{k-j}."""
    result = [a.lift(value)]
    bottom = a.scalar(u[0])
    for k in range(1, order + 1):
        known = a.combine(k, ((exponent * j - (k - j), j, u[j], k - j, result[k - j]) for j in range(1, k + 1)))
        result.append(a.divided(a.divided(known, k), bottom))
    return result


def _integer_power(u: Jet, exponent: int, a: Arithmetic, order: int, value: Any) -> Jet:
    result: Jet | None = None
    square, left = u, abs(exponent)
    while left:
        if left & 1:
            result = square if result is None else _multiply(result, square, a, order)
        left >>= 1
        if left:
            square = _multiply(square, square, a, order)
    assert result is not None
    if exponent < 0:
        one = [a.lift(a.constant(_ONE))] + [None] * order
        return _divide(one, result, a, order, value)
    return [a.lift(value), *result[1:]]


def _pair(u: Jet, a: Arithmetic, order: int, first: Any, second: Any, sign: int) -> tuple[Jet, Jet]:
    """(sin u, cos u) for sign = -1, (sinh u, cosh u) for sign = 1, from their values."""
    odd, even = [a.lift(first)], [a.lift(second)]
    for k in range(1, order + 1):
        grown = _integral_form(u, even, k, a), _integral_form(u, odd, k, a)
        odd.append(grown[0])
        even.append(a.scaled(grown[1], sign))
    return odd, even


def _riccati(u: Jet, a: Arithmetic, order: int, value: Any, sign: int) -> Jet:
    """g with E g = (1 + sign g^2) E u: tan for sign = 1, tanh for sign = -1."""
    result = [a.lift(value)]
    slope: Jet = []
    one = a.lift(a.constant(_ONE))
    for k in range(1, order + 1):
        square = a.combine(k - 1, ((sign, i, result[i], k - 1 - i, result[k - 1 - i]) for i in range(k)))
        slope.append(a.linear(one, square, 1) if k == 1 else square)
        result.append(_integral_form(u, slope, k, a))
    return result


def _inverse(u: Jet, a: Arithmetic, order: int, value: Any, name: str) -> Jet:
    """arcsin, arccos, arctan and erf: the integral of a known function of u."""
    square = _multiply(u, u, a, order)
    one = [a.lift(a.constant(_ONE))] + [None] * order
    if name == "erf":
        exponent = [a.scaled(form, -1) for form in square]
        start = a.value(Instruction("exp", ()), [a.scalar(exponent[0])])
        weight = [a.scaled(form, a.two_over_sqrt_pi()) for form in _exp(exponent, a, order, start)]
    elif name == "arctan":
        bottom = [a.linear(first, second, 1) for first, second in zip(one, square, strict=True)]
        start = a.value(Instruction("div", ()), [a.scalar(one[0]), a.scalar(bottom[0])])
        weight = _divide(one, bottom, a, order, start)
    else:
        inside = [a.linear(first, second, -1) for first, second in zip(one, square, strict=True)]
        root = a.value(Instruction("sqrt", ()), [a.scalar(inside[0])])
        start = a.value(Instruction("div", ()), [a.scalar(one[0]), root])
        weight = _real_power(inside, a, order, start, -0.5)
        if name == "arccos":
            weight = [a.scaled(form, -1) for form in weight]
    return _integrate(u, weight, a, order, value)


def _transcendental(name: str, u: Jet, a: Arithmetic, order: int, value: Any) -> Jet:
    match name:
        case "exp":
            return _exp(u, a, order, value)
        case "log":
            return _log(u, a, order, value)
        case "sin" | "cos" | "sinh" | "cosh":
            odd_name, even_name, sign = ("sin", "cos", -1) if name in ("sin", "cos") else ("sinh", "cosh", 1)
            first, second = (a.value(Instruction(part, ()), [a.scalar(u[0])]) for part in (odd_name, even_name))
            odd, even = _pair(u, a, order, first, second, sign)
            return odd if name == odd_name else even
        case "tan" | "tanh":
            return _riccati(u, a, order, value, 1 if name == "tan" else -1)
        case "sigmoid":
            half = [a.scaled(form, 0.5) for form in u]
            start = a.value(Instruction("tanh", ()), [a.scalar(half[0])])
            inner = _riccati(half, a, order, start, -1)
            return [a.lift(value)] + [a.scaled(form, 0.5) for form in inner[1:]]
    return _inverse(u, a, order, value, name)


_ONE = Instruction("number", (), 1)
