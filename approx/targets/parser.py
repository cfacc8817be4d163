"""How does text become a tree? A precedence parser of our own: nothing is evaluated, nesting and sizes are limited.

Grammar, from the loosest binding: `+ -`; `* /`; unary `+ -`; `**` (or `^`, right associative, so -x**2 = -(x**2));
then numbers, constants pi and e, variables, f(arguments), (expression). There is no implicit multiplication.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from flint import fmpq

from approx.errors import ExpressionError
from approx.targets import tree
from approx.targets.tokens import Token, tokenize
from approx.targets.tree import Node, Number

MAXIMUM_NESTING = 60
CANONICAL_NESTING = 120
CANONICAL_GROWTH = 8
MAXIMUM_VARIABLES = 64
_ONE_ARGUMENT: dict[str, Callable[[Node], Node]] = {}
_RENAMED = {
    "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "fabs": "abs", "Abs": "abs", "re_lu": "relu",
    "ReLU": "relu", "logistic": "sigmoid", "expit": "sigmoid", "arctg": "arctan", "tg": "tan",
}  # fmt: skip
_LETTERS = {"x": 0, "y": 1, "z": 2}
_JUMPS = ("sign", "sgn", "floor", "ceil", "round", "heaviside", "step", "mod", "trunc")


def _function(name: str) -> Callable[[Node], Node]:
    return lambda argument: tree.function(name, argument)


for _name in tree.FUNCTIONS:
    _ONE_ARGUMENT[_name] = _function(_name)
for _alias, _name in _RENAMED.items():
    _ONE_ARGUMENT[_alias] = _function(_name)
_ONE_ARGUMENT |= {
    "log2": lambda u: tree.divide(tree.Function("log", u), tree.Function("log", Number(fmpq(2)))),
    "log10": lambda u: tree.divide(tree.Function("log", u), tree.Function("log", Number(fmpq(10)))),
    "log1p": lambda u: tree.Function("log", tree.add((tree.ONE, u))),
    "expm1": lambda u: tree.add((tree.function("exp", u), tree.MINUS_ONE)),
    "sec": lambda u: tree.divide(tree.ONE, tree.Function("cos", u)),
    "csc": lambda u: tree.divide(tree.ONE, tree.Function("sin", u)),
    "cot": lambda u: tree.divide(tree.ONE, tree.Function("tan", u)),
    "square": lambda u: tree.power(u, Number(fmpq(2))),
    "softplus": lambda u: tree.Function("log", tree.add((tree.ONE, tree.Function("exp", u)))),
}
_TWO_ARGUMENTS: dict[str, Callable[[Node, Node], Node]] = {
    "max": tree.maximum, "Max": tree.maximum, "maximum": tree.maximum,
    "min": tree.minimum, "Min": tree.minimum, "minimum": tree.minimum,
}  # fmt: skip


def parse(text: str, canonical: bool = False) -> Node:
    """Return the tree of an expression.

    Raises ExpressionError, with the place, on anything that the grammar does not admit; on nesting deeper than 60,
    text beyond 100,000 characters or 10,000 tokens, numbers beyond 20,000 bits and exponents beyond 100,000.
    Canonical text, which can be longer than what it was made from, has larger limits. Cost about 3 us per token.

    >>> from approx.targets.printing import to_text
    >>> to_text(parse("0.1 + x^2/3"))
    '1/10 + 1/3*x**2'
    """
    if not isinstance(text, str):
        raise ExpressionError(f"expected text, got {type(text).__name__}")
    tokens = tokenize(text, CANONICAL_GROWTH if canonical else 1)
    reader = _Reader(text, tokens, CANONICAL_NESTING if canonical else MAXIMUM_NESTING)
    if reader.token.kind == "end":
        raise ExpressionError("the expression is empty")
    node = reader.sum(0)
    if reader.token.kind != "end":
        reader.refuse(_unexpected(reader.token))
    return node


def _unexpected(token: Token) -> str:
    if token.kind == "end":
        return "the expression ends too early"
    if token.kind in ("name", "number") or token.text == "(":
        return f"expected an operator before {token.text!r} (write * for a product)"
    return f"unexpected {token.text!r}"


class _Reader:
    """One pass over the tokens; every method returns the node it read. Four Python frames for each nesting."""

    def __init__(self, text: str, tokens: list[Token], limit: int) -> None:
        self.text, self.tokens, self.place, self.limit = text, tokens, 0, limit
        self.token = self.tokens[0]

    def advance(self) -> Token:
        token = self.token
        self.place += 1
        self.token = self.tokens[min(self.place, len(self.tokens) - 1)]
        return token

    def refuse(self, reason: str, token: Token | None = None) -> NoReturn:
        raise ExpressionError(reason, self.text, (token or self.token).position)

    def expect(self, text: str) -> None:
        if self.token.text != text:
            self.refuse(f"expected {text!r}" if self.token.kind != "end" else f"expected {text!r} before the end")
        self.advance()

    def build(self, place: Token, make: Callable[[], Node]) -> Node:
        """Run a folding constructor and add the place to its complaint."""
        try:
            return make()
        except ExpressionError as error:
            if error.text:
                raise
            raise ExpressionError(error.reason, self.text, place.position) from None

    def sign(self) -> int:
        """Read any number of + and - and return their product."""
        sign = 1
        while self.token.text in ("+", "-"):
            sign = -sign if self.advance().text == "-" else sign
        return sign

    def sum(self, nesting: int) -> Node:
        if nesting > self.limit:
            self.refuse(f"nesting deeper than {self.limit}")
        start = self.token
        terms = [self.product(nesting)]
        while self.token.text in ("+", "-"):
            operator = self.advance().text
            term = self.product(nesting)
            terms.append(term if operator == "+" else tree.negative(term))
        return terms[0] if len(terms) == 1 else self.build(start, lambda: tree.add(terms))

    def product(self, nesting: int) -> Node:
        start = self.token
        upper: list[Node] = [self.factor(nesting)]
        lower: list[Node] = []
        while self.token.text in ("*", "/"):
            operator = self.advance()
            factor = self.factor(nesting)
            if operator.text == "/" and isinstance(factor, Number) and factor.value == 0:
                self.refuse("division by zero", operator)
            (upper if operator.text == "*" else lower).append(factor)
        if len(upper) == 1 and not lower:
            return upper[0]
        return self.build(start, lambda: _ratio(upper, lower))

    def factor(self, nesting: int) -> Node:
        """Signs, then a number, name, call or parenthesis, then perhaps ** and its exponent."""
        sign = self.sign()
        token = self.advance()
        if token.kind == "number" and token.value is not None:
            base: Node = Number(token.value)
        elif token.kind == "name":
            base = self.call(token, nesting) if self.token.text == "(" else self.named(token)
        elif token.text == "(":
            base = self.sum(nesting + 1)
            self.expect(")")
        else:
            shown = _unexpected(token) if token.kind == "end" else f"expected a number, name or '(', got {token.text!r}"
            self.refuse(shown, token)
        if self.token.text == "**":
            operator = self.advance()
            if nesting >= self.limit:
                self.refuse(f"nesting deeper than {self.limit}")
            exponent = self.factor(nesting + 1)
            base = self.build(operator, lambda: tree.power(base, exponent))
        return base if sign > 0 else tree.negative(base)

    def named(self, token: Token) -> Node:
        name = token.text
        if name in tree.CONSTANTS:
            return tree.Constant(name)
        if name in _LETTERS:
            return tree.Variable(_LETTERS[name])
        if name[0] == "x" and name[1:].isdigit() and len(name) <= 4 and 1 <= int(name[1:]) <= MAXIMUM_VARIABLES:
            return tree.Variable(int(name[1:]) - 1)
        if name in _ONE_ARGUMENT or name in _TWO_ARGUMENTS or name == "pow":
            self.refuse(f"the function {name!r} needs its argument in parentheses", token)
        self.refuse(f"unknown name {name[:30]!r}; variables are x, y, z or x1, x2, ..., constants pi and e", token)

    def call(self, token: Token, nesting: int) -> Node:
        name = token.text
        if name not in _ONE_ARGUMENT and name not in _TWO_ARGUMENTS and name != "pow":
            self.unknown_function(token)
        self.expect("(")
        arguments = [self.sum(nesting + 1)]
        while self.token.text == ",":
            self.advance()
            arguments.append(self.sum(nesting + 1))
        self.expect(")")
        wanted = 1 if name in _ONE_ARGUMENT else 2
        if len(arguments) != wanted and (wanted == 1 or name == "pow"):
            self.refuse(f"{name} takes {('one argument', 'two arguments')[wanted - 1]}, got {len(arguments)}", token)
        if not wanted <= len(arguments) <= MAXIMUM_NESTING:
            self.refuse(f"{name} takes two or more arguments (at most {MAXIMUM_NESTING}), got {len(arguments)}", token)
        if name in _ONE_ARGUMENT:
            return self.build(token, lambda: _ONE_ARGUMENT[name](arguments[0]))
        if name == "pow":
            return self.build(token, lambda: tree.power(arguments[0], arguments[1]))
        result = arguments[0]
        for argument in arguments[1:]:
            result = _TWO_ARGUMENTS[name](result, argument)
        return result

    def unknown_function(self, token: Token) -> NoReturn:
        name = token.text
        if name.lower() in _JUMPS:
            self.refuse(f"{name!r} jumps, and no continuous network approximates a jump uniformly", token)
        if name in _LETTERS or name in tree.CONSTANTS:
            self.refuse(f"expected an operator after {name!r} (write * for a product)")
        self.refuse(f"unknown function {name[:30]!r}; known: {', '.join(tree.FUNCTIONS)}, max, min", token)


def _ratio(upper: list[Node], lower: list[Node]) -> Node:
    """The product of `upper` over the product of `lower`, rational denominators folded into the coefficient."""
    numbers = [tree.Number(1 / factor.value) for factor in lower if isinstance(factor, Number)]
    others = [factor for factor in lower if not isinstance(factor, Number)]
    top = tree.multiply([*upper, *numbers])
    return tree.divide(top, tree.multiply(others)) if others else top
