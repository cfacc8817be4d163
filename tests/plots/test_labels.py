"""Are printed bounds still bounds, and formulas ones that matplotlib can set?"""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approx import Target
from approx.plots.labels import formula, interval, plain, rounded_down, rounded_up, typeset

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, st.integers(1, 17))
def test_rounding_goes_outward_and_not_far(value: float, digits: int) -> None:
    shown = Decimal(repr(value))
    up, down = Decimal(rounded_up(value, digits)), Decimal(rounded_down(value, digits))
    assert down <= shown <= up
    if value:
        assert up - down <= Decimal(10) ** (shown.adjusted() + 1 - digits) * (1 if digits > 1 else 10)


def test_plain_rounding_would_have_lied() -> None:
    value = 1.00004e-6
    assert float(f"{value:.4g}") < value <= float(rounded_up(value))


def test_what_is_not_finite_is_said() -> None:
    assert rounded_up(math.inf) == "inf" and typeset("inf") == r"$\infty$"
    assert rounded_up(0.0) == "0" and rounded_up(1e-4) == "0.0001" and rounded_up(1e-6) == "1e-6"


@pytest.mark.parametrize("text", ["sin(2*pi*x)", "max(0, x-1/pi)", "exp(-(x**2+y**2))", "abs(x-1/3)**(1/3)/(1+erf(x))"])
def test_formulas_can_be_set(text: str) -> None:
    from matplotlib.mathtext import MathTextParser

    variables = 2 if "y" in text else 1
    shown = formula(Target(text, domain=[(2, 3)] * variables))
    assert shown.startswith("$") and MathTextParser("path").parse(shown) is not None


def test_long_formulas_are_shortened() -> None:
    assert len(plain("x+" * 200 + "1")) == 60
    assert not formula(Target("+".join(f"sin({k}*x)" for k in range(1, 40)))).startswith("$")


def test_intervals() -> None:
    assert interval(Target("x*y", domain=[(-1, 1)] * 2)) == "[-1, 1]²"
    assert interval(Target("x", domain=("1/3", "pi"))) == "[1/3, 3.14159]"
