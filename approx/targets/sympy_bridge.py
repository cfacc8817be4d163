"""How does a sympy expression become a tree? Node by node, without evaluating any text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import fmpq

from approx.errors import ExpressionError, MissingExtraError
from approx.targets import tree
from approx.targets.tree import Node, Number

MAXIMUM_DEPTH = 80
_NAMES = {
    "exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tan": "tan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "erf": "erf", "Abs": "abs",
}  # fmt: skip
_VARIABLES = {"x": 0, "y": 1, "z": 2}


def is_sympy(value: Any) -> bool:
    """Return whether the object comes from sympy, without importing it."""
    return any(base.__module__.partition(".")[0] == "sympy" for base in type(value).__mro__)


def from_sympy(expression: Any) -> Node:
    """Return the tree of a sympy expression in x, y, z or x1, x2, ...

    Floats are taken as the binary numbers they are, everything else exactly. Raises ExpressionError on what the
    grammar has no counterpart for, naming it.

    >>> import sympy
    >>> from approx.targets.printing import to_text
    >>> x = sympy.Symbol("x")
    >>> to_text(from_sympy(sympy.sqrt(x) + sympy.Rational(1, 3)))
    '1/3 + sqrt(x)'
    """
    try:
        import sympy
    except ImportError as error:
        raise MissingExtraError("sympy", "sympy", "a sympy target") from error
    if not isinstance(expression, sympy.Expr):
        raise ExpressionError(f"a sympy {type(expression).__name__} is not a real expression")
    return _Reader(sympy).read(expression, 0)


class _Reader:
    def __init__(self, sympy: Any) -> None:
        self.sympy = sympy

    def read(self, expression: Any, depth: int) -> Node:
        if depth > MAXIMUM_DEPTH:
            raise ExpressionError(f"nesting deeper than {MAXIMUM_DEPTH}")
        sympy = self.sympy
        if expression.is_Rational:
            return tree.number(fmpq(int(expression.p), int(expression.q)))
        if expression.is_Float:
            exact = sympy.Rational(expression)
            return tree.number(fmpq(int(exact.p), int(exact.q)))
        if expression is sympy.pi:
            return tree.Constant("pi")
        if expression is sympy.E:
            return tree.Constant("e")
        if expression.is_Symbol:
            return self.symbol(expression.name)
        parts = [self.read(part, depth + 1) for part in expression.args]
        return self.combine(expression, parts)

    def symbol(self, name: str) -> Node:
        if name in _VARIABLES:
            return tree.Variable(_VARIABLES[name])
        digits = name.removeprefix("x").removeprefix("_")
        if name.startswith("x") and digits.isdigit() and 1 <= int(digits[:4]) <= 64:
            return tree.Variable(int(digits) - 1)
        raise ExpressionError(f"unknown symbol {name!r}; variables are x, y, z or x1, x2, ...")

    def combine(self, expression: Any, parts: list[Node]) -> Node:
        sympy = self.sympy
        if expression.is_Add:
            return tree.add(parts)
        if expression.is_Mul:
            return self.product(expression, parts)
        if expression.is_Pow:
            return tree.power(parts[0], parts[1])
        name = type(expression).__name__
        if name in _NAMES and len(parts) == 1:
            return tree.function(_NAMES[name], parts[0])
        folds: dict[Any, Callable[[Node, Node], Node]] = {sympy.Max: tree.maximum, sympy.Min: tree.minimum}
        for kind, fold in folds.items():
            if isinstance(expression, kind):
                result = parts[0]
                for part in parts[1:]:
                    result = fold(result, part)
                return result
        raise ExpressionError(f"the sympy function {name!r} is not supported; known: {', '.join(tree.FUNCTIONS)}, max, min")

    def product(self, expression: Any, parts: list[Node]) -> Node:
        """A product whose negative integer powers become denominators."""
        upper, lower = [], []
        for part in parts:
            if isinstance(part, tree.Power) and part.exponent < 0 and part.exponent.q == 1:
                lower.append(tree.power(part.base, Number(-part.exponent)))
            else:
                upper.append(part)
        numerator = tree.multiply(upper)
        return tree.divide(numerator, tree.multiply(lower)) if lower else numerator
