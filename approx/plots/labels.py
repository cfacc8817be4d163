"""How are numbers and formulas written in a picture or a report, so that what is printed is still true?"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from approx.targets import Target

_LONGEST_FORMULA = 60
_LONGEST_LATEX = 180
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def rounded_up(value: float, digits: int = 4) -> str:
    """Return a decimal of at most `digits` significant digits that is >= value: the way to print an upper bound.

    The float is taken as the decimal that Python shows for it, so that 1e-4 stays 1e-4.

    >>> rounded_up(9.99991e-7), rounded_up(float("inf")), rounded_up(0.25)
    ('1e-6', 'inf', '0.25')
    """
    return _rounded(value, digits, ROUND_CEILING)


def rounded_down(value: float, digits: int = 4) -> str:
    """Return a decimal of at most `digits` significant digits that is <= value: the way to print a lower bound.

    >>> rounded_down(9.99991e-7), rounded_down(-0.12345)
    ('9.999e-7', '-0.1235')
    """
    return _rounded(value, digits, ROUND_FLOOR)


def _rounded(value: float, digits: int, rounding: str) -> str:
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    short = Context(prec=digits, rounding=rounding).create_decimal(Decimal(repr(float(value)))).normalize()
    exponent = short.adjusted()
    if -5 < exponent < 7:
        return f"{short:f}"
    sign, figures, _ = short.as_tuple()
    mantissa = str(figures[0]) + ("." + "".join(map(str, figures[1:])) if len(figures) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{exponent}"


def typeset(number: str) -> str:
    """Return matplotlib mathtext of a decimal that `rounded_up` or `rounded_down` wrote.

    >>> typeset("9.999e-7"), typeset("1e-6"), typeset("0.25")
    ('$9.999\\\\times10^{-7}$', '$10^{-6}$', '$0.25$')
    """
    if number == "inf":
        return r"$\infty$"
    mantissa, _, exponent = number.partition("e")
    if not exponent:
        return f"${number}$"
    power = f"10^{{{exponent}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa}\times{power}$"


def formula(target: Target) -> str:
    """Return the target's formula for a title: mathtext when matplotlib can set it and it is short, text otherwise."""
    from matplotlib.mathtext import MathTextParser

    latex = target.latex() if not target.assumptions else ""
    if latex and len(latex) <= _LONGEST_LATEX:
        try:
            MathTextParser("path").parse(f"${latex}$")
            return f"${latex}$"
        except (ValueError, RuntimeError):
            pass  # a construct that mathtext does not know: the plain text says the same
    return plain(target.text)


def plain(text: str) -> str:
    """Return text that matplotlib shows as it is ($ would start a formula), cut at 60 characters."""
    short = text if len(text) <= _LONGEST_FORMULA else text[: _LONGEST_FORMULA - 3] + "..."
    return short.replace("$", r"\$")


def interval(target: Target) -> str:
    """Return the domain as text, e.g. '[0, 1]' or '[0, 1]²', with long fractions as decimals."""
    sides = []
    for low, high in target.domain:
        sides.append(f"[{_end(low)}, {_end(high)}]")
    if len(set(sides)) == 1 and len(sides) > 1:
        return sides[0] + str(len(sides)).translate(_SUPERSCRIPT)
    return " × ".join(sides)


def plural(count: int, noun: str) -> str:
    """Return the count with its noun, e.g. '1 hidden layer', '2,000 weights'."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _end(value: object) -> str:
    text = str(value)
    if len(text) <= 9:
        return text
    top, _, bottom = text.partition("/")
    return f"{int(top) / int(bottom or 1):.6g}"
