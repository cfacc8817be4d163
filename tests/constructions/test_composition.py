"""Plans of expressions and the networks that follow them: each part's error propagates as proved."""

import math

import numpy as np
import pytest

from approx import Target, certify
from approx.errors import RegularityError
from approx.targets.parser import parse
from constructions.relu._plan import Affine, Larger, Product, Sum, Univariate, as_affine, plan
from constructions.relu.composition import composition


@pytest.mark.parametrize(
    ("text", "kind"),
    [("x+2*y-1/3", Affine), ("exp(-(x**2+y**2))", Univariate), ("1/(1+x+y+z)", Univariate), ("x*y", Product),
     ("sin(pi*x)*cos(pi*y)/2", Sum), ("max(x,y)", Larger), ("x**2+exp(y)+x", Sum), ("sin(x)*exp(y)", Product)],
)  # fmt: skip
def test_plans_have_the_expected_shape(text, kind):
    assert isinstance(plan(parse(text)), kind)


def value(part, x):
    match part:
        case Affine(coefficients, constant):
            return float(constant.p) / float(constant.q) + sum(float(c.p) / float(c.q) * x[i] for i, c in coefficients)
        case Sum(parts):
            return sum(value(p, x) for p in parts)
        case Larger(a, b):
            return max(value(a, x), value(b, x))
        case Product(a, b, _):
            return value(a, x) * value(b, x)
        case Univariate(function, inner, _):
            return Target(function, (-100, 100))(value(inner, x))


@pytest.mark.parametrize(
    "text",
    ["exp(-(x**2+y**2))", "sin(pi*x)*cos(pi*y)/2", "1/(1+x+y+z)", "cos(x)*cos(2*y)", "sin(x)*sin(y)*3", "x*y*exp(x)",
     "max(x,y)*cos(x+2*y+1)", "min(x,y)-x**3", "sqrt(1+x**2+y**2)", "exp(x*y)/(2+x)", "(1+x)**(1+y)", "sin(pi*(x-2*y)+1)"],
)  # fmt: skip
def test_plans_compute_the_same_function(text):
    f = Target(text)
    part = plan(parse(text))
    for x in np.random.default_rng(7).random((20, f.dimension)):
        assert value(part, x) == pytest.approx(
            float(f(x[np.newaxis] if f.dimension > 1 else x)[0]), rel=1e-12, abs=1e-12
        )


def test_affine_parts_are_exact():
    a = composition(Target("x+2*y-1/3"), 1e-3)
    assert a.bound == 0 and a.network.size.units == 0
    assert as_affine(parse("pi*x")) is None


@pytest.mark.parametrize("text", ["exp(-(x**2+y**2))", "x*y+sin(x)", "1/(1+x+y+z)"])
def test_the_proved_bound_holds_and_the_search_only_saves(text):
    f = Target(text)
    proved = composition(f, 2e-2, search=False)
    assert proved.bound <= 2e-2
    assert certify(proved.network, f, rtol=0.2).lower <= proved.bound
    searched = composition(f, 2e-2)
    assert searched.network.size.weights <= proved.network.size.weights
    assert certify(searched.network, f, rtol=0.02).upper <= 2e-2


def test_a_callable_has_no_parts():
    from approx import Regularity

    f = Target(lambda p: p[..., 0], domain=[(0, 1), (0, 1)], regularity=Regularity(lipschitz=1.0))
    with pytest.raises(RegularityError):
        composition(f, 1e-2)
    assert math.isfinite(composition(Target("x*y"), 1e-2).bound)


def test_a_product_takes_no_level_for_rounding():
    """eps = 4^-13 is the error of a product of 12 levels exactly: 126 weights, not 136."""
    found = composition(Target("x*y", domain=[(-1, 1), (-1, 1)]), 4.0**-13)
    assert found.network.size.weights == 126 and found.bound == 4.0**-13
    assert found.certify().upper <= 4.0**-13
