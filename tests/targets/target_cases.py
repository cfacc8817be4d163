"""The targets that every property is tested on: text, domain, the same in mpmath. A new function is one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
from mpmath import mp

ONE_VARIABLE: list[tuple[str, tuple[Any, Any], Callable[[Any], Any]]] = [
    ("sin(2*pi*x)", (0, 1), lambda x: mp.sin(2 * mp.pi * x)),
    ("exp(x)", (0, 1), mp.exp),
    ("1/(1+25*x**2)", (-1, 1), lambda x: 1 / (1 + 25 * x**2)),
    ("abs(x-1/3)", (0, 1), lambda x: abs(x - mp.mpf(1) / 3)),
    ("sqrt(x)", (0, 1), mp.sqrt),
    ("sin(7*x)*exp(-x)/(1+x**2)", (0, 1), lambda x: mp.sin(7 * x) * mp.exp(-x) / (1 + x**2)),
    ("x*log(x+1/100)", (0, 1), lambda x: x * mp.log(x + mp.mpf(1) / 100)),
    ("erf(4*x-2)", (0, 1), lambda x: mp.erf(4 * x - 2)),
    ("max(0, x-1/pi)", (0, 1), lambda x: max(mp.mpf(0), x - 1 / mp.pi)),
    ("cos(40*x**2)", (0, 1), lambda x: mp.cos(40 * x**2)),
    ("x**3/7 - 2*x + 0.1", (-2, 3), lambda x: x**3 / 7 - 2 * x + mp.mpf(1) / 10),
    ("tan(x)", (-1, "7/5"), mp.tan),
    ("sinh(x) - cosh(2*x)", (-1, 1), lambda x: mp.sinh(x) - mp.cosh(2 * x)),
    ("tanh(5*x-1)", (-1, 1), lambda x: mp.tanh(5 * x - 1)),
    ("sigmoid(8*x-4)", (0, 1), lambda x: 1 / (1 + mp.exp(4 - 8 * x))),
    ("arcsin(x/2)", (-1, 1), lambda x: mp.asin(x / 2)),
    ("arccos(x)", ("-9/10", "9/10"), mp.acos),
    ("arctan(3*x)", (-2, 2), lambda x: mp.atan(3 * x)),
    ("x**(1/3)", ("1/8", 2), lambda x: x ** (mp.mpf(1) / 3)),
    ("x**-2", ("1/2", 2), lambda x: x**-2),
    ("x**pi + 2**x", ("1/10", 1), lambda x: x**mp.pi + mp.mpf(2) ** x),
    ("x**x", ("1/10", 1), lambda x: x**x),
    ("min(x, 1-x)*relu(x-1/4)", (0, 1), lambda x: min(x, 1 - x) * max(mp.mpf(0), x - mp.mpf(1) / 4)),
    ("e**(-x)*log(1+x)/log(2)", (0, 2), lambda x: mp.exp(-x) * mp.log(1 + x) / mp.log(2)),
]

SEVERAL_VARIABLES: list[tuple[str, int, Callable[..., Any]]] = [
    ("exp(-(x**2+y**2))", 2, lambda x, y: mp.exp(-(x**2 + y**2))),
    ("sin(pi*x)*cos(pi*y)/2", 2, lambda x, y: mp.sin(mp.pi * x) * mp.cos(mp.pi * y) / 2),
    ("1/(1+x+y+z)", 3, lambda x, y, z: 1 / (1 + x + y + z)),
    ("sqrt(1+x*y) - arctan(x-y)", 2, lambda x, y: mp.sqrt(1 + x * y) - mp.atan(x - y)),
    ("erf(x*y) + tanh(x)*log(2+y)", 2, lambda x, y: mp.erf(x * y) + mp.tanh(x) * mp.log(2 + y)),
    ("(1+x)**y/(2+x4)*sinh(z)", 4, lambda x, y, z, w: (1 + x) ** y / (2 + w) * mp.sinh(z)),
    ("arcsin(x*y/2) + arccos(x/3) + tan(y/2)", 2, lambda x, y: mp.asin(x * y / 2) + mp.acos(x / 3) + mp.tan(y / 2)),
    ("(x+2*y)**3 * (1+x)**(2/3)", 2, lambda x, y: (x + 2 * y) ** 3 * (1 + x) ** (mp.mpf(2) / 3)),
]

KINKS = {"abs(x-1/3)", "max(0, x-1/pi)", "min(x, 1-x)*relu(x-1/4)"}


def mpf(value: Any) -> Any:
    """An exact rational as an mpmath number of the present precision."""
    return mpmath.mpf(int(value.p)) / int(value.q)


def to_mp(ball: Any) -> Any:
    """The midpoint of a ball as an mpmath number, exactly."""
    mantissa, exponent = ball.mid().man_exp()
    return mpmath.ldexp(mpmath.mpf(int(mantissa)), int(exponent))
