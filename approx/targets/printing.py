"""How is a tree written? As canonical text that parses back to the same tree, and as LaTeX."""

from __future__ import annotations

from approx.numbers import decimal_text
from approx.targets.tree import (
    MINUS_ONE,
    Constant,
    Function,
    GeneralPower,
    Maximum,
    Minimum,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Variable,
)

_SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(5)


def variable_name(index: int, dimension: int = 3) -> str:
    """Return x, y, z in up to three dimensions, x1, x2, ... above.

    >>> variable_name(1, 2), variable_name(1, 5)
    ('y', 'x2')
    """
    return "xyz"[index] if dimension <= 3 and index < 3 else f"x{index + 1}"


def to_text(node: Node, dimension: int = 3) -> str:
    """Return the canonical text of a tree; `parse(to_text(node))` is `node` again.

    >>> from approx.targets.parser import parse
    >>> to_text(parse("-(x-1)^2*4/6"))
    '-2/3*(x - 1)**2'
    """
    return _write(node, dimension)[0]


def _rational(node: Number) -> str:
    top, bottom = decimal_text(node.value.p), decimal_text(node.value.q)
    return top if bottom == "1" else f"{top}/{bottom}"


def _inside(node: Node, level: int, dimension: int) -> str:
    text, own = _write(node, dimension)
    return text if own >= level else f"({text})"


def _write(node: Node, dimension: int) -> tuple[str, int]:
    """The text of a node and how tightly its outermost operation binds."""
    match node:
        case Number(value):
            return _rational(node), _UNARY if value < 0 else _ATOM if value.q == 1 else _PRODUCT
        case Constant(name):
            return name, _ATOM
        case Variable(index):
            return variable_name(index, dimension), _ATOM
        case Sum(terms):
            text = _write(terms[0], dimension)[0]
            for term in terms[1:]:
                piece = _write(term, dimension)[0]
                text += f" - {piece[1:]}" if piece.startswith("-") else f" + {piece}"
            return text, _SUM
        case Product(factors):
            return _product(factors, dimension), _PRODUCT
        case Quotient(numerator, denominator):
            below = denominator.factors if isinstance(denominator, Product) else (denominator,)
            under = "".join(f"/{_inside(factor, _POWER, dimension)}" for factor in below)
            return _inside(numerator, _PRODUCT, dimension) + under, _PRODUCT
        case Power(base, exponent):
            shown = _rational(Number(exponent))
            shown = shown if exponent.q == 1 and exponent > 0 else f"({shown})"
            return f"{_inside(base, _ATOM, dimension)}**{shown}", _POWER
        case GeneralPower(base, exponent):
            return f"{_inside(base, _ATOM, dimension)}**{_exponent(exponent, dimension)}", _POWER
        case Function(name, argument):
            return f"{name}({_write(argument, dimension)[0]})", _ATOM
        case Maximum() | Minimum():
            name = "max" if isinstance(node, Maximum) else "min"
            return f"{name}({', '.join(_write(part, dimension)[0] for part in chain_of(node))})", _ATOM
    raise TypeError(f"not an expression node: {type(node).__name__}")


def chain_of(node: Maximum | Minimum) -> list[Node]:
    """Return the arguments of max(max(a, b), c) as [a, b, c], up to a length that the parser accepts."""
    kind = type(node)
    parts: list[Node] = [node.second]
    first = node.first
    while isinstance(first, kind) and len(parts) < 50:
        parts.append(first.second)
        first = first.first
    return [first, *parts[::-1]]


def _exponent(node: Node, dimension: int) -> str:
    """An exponent, in parentheses unless it is a power or atom, or one with a minus sign."""
    if isinstance(node, Product) and len(node.factors) == 2 and node.factors[0] == MINUS_ONE:
        text, own = _write(node.factors[1], dimension)
        if own >= _POWER:
            return f"-{text}"
    return _inside(node, _POWER, dimension)


def _product(factors: tuple[Node, ...], dimension: int) -> str:
    first, rest = factors[0], factors[1:]
    if isinstance(first, Number):
        head = "-" if first.value == -1 else f"{_rational(first)}*"
        return head + "*".join(_inside(factor, _POWER, dimension) for factor in rest)
    return "*".join(_inside(factor, _POWER, dimension) for factor in factors)


def to_latex(node: Node, dimension: int = 3) -> str:
    r"""Return LaTeX code for a tree.

    >>> from approx.targets.parser import parse
    >>> to_latex(parse("sqrt(x)/3"))
    '\\frac{1}{3} \\sqrt{x}'
    """
    return _latex(node, dimension)[0]


def _braced(node: Node, level: int, dimension: int) -> str:
    text, own = _latex(node, dimension)
    return text if own >= level else rf"\left({text}\right)"


def _latex(node: Node, dimension: int) -> tuple[str, int]:
    match node:
        case Number(value):
            return _latex_number(node), _UNARY if value < 0 else _ATOM
        case Constant(name):
            return (r"\pi" if name == "pi" else r"\mathrm{e}"), _ATOM
        case Variable(index):
            name = variable_name(index, dimension)
            return (name if len(name) == 1 else f"x_{{{index + 1}}}"), _ATOM
        case Sum(terms):
            text = _latex(terms[0], dimension)[0]
            for term in terms[1:]:
                piece = _latex(term, dimension)[0]
                text += f" - {piece[1:]}" if piece.startswith("-") else f" + {piece}"
            return text, _SUM
        case Product(factors):
            first = factors[0]
            head = "-" if isinstance(first, Number) and first.value == -1 else ""
            rest = factors[1:] if head else factors
            return head + " ".join(_braced(factor, _UNARY, dimension) for factor in rest).lstrip(), _PRODUCT
        case Quotient(numerator, denominator):
            return rf"\frac{{{_latex(numerator, dimension)[0]}}}{{{_latex(denominator, dimension)[0]}}}", _POWER
        case Power(base, exponent):
            return f"{_braced(base, _ATOM, dimension)}^{{{_rational(Number(exponent))}}}", _POWER
        case GeneralPower(base, exponent):
            return f"{_braced(base, _ATOM, dimension)}^{{{_latex(exponent, dimension)[0]}}}", _POWER
        case Function(name, argument):
            return _latex_function(name, _latex(argument, dimension)[0]), _ATOM
        case Maximum(first, second):
            return rf"\max\left({_latex(first, dimension)[0]}, {_latex(second, dimension)[0]}\right)", _ATOM
        case Minimum(first, second):
            return rf"\min\left({_latex(first, dimension)[0]}, {_latex(second, dimension)[0]}\right)", _ATOM
    raise TypeError(f"not an expression node: {type(node).__name__}")


def _latex_number(node: Number) -> str:
    top, bottom = decimal_text(abs(node.value.p)), decimal_text(node.value.q)
    sign = "-" if node.value < 0 else ""
    return sign + (top if bottom == "1" else rf"\frac{{{top}}}{{{bottom}}}")


def _latex_function(name: str, argument: str) -> str:
    if name == "sqrt":
        return rf"\sqrt{{{argument}}}"
    if name == "abs":
        return rf"\left|{argument}\right|"
    if name == "exp":
        return rf"\mathrm{{e}}^{{{argument}}}"
    command = rf"\operatorname{{{name}}}" if name in ("erf", "relu", "sigmoid") else rf"\{name}"
    return rf"{command}\left({argument}\right)"
