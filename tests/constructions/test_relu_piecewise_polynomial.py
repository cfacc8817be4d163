"""Are piecewise quadratics from shared squares proved, sharp, and of order three in the number of weights?"""

import numpy as np
import pytest

from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from constructions.relu._bent import Bent, bent_error
from constructions.relu._hinges import fine_cover, hinge_function
from constructions.relu.piecewise_linear import piecewise_linear
from constructions.relu.piecewise_polynomial import piecewise_polynomial

CASES = [("exp(x)", (0, 1)), ("sin(2*pi*x)", (0, 1)), ("sqrt(x)", (0, 1)), ("abs(sin(5*x))", (0, 2)), ("erf(4*x-2)", (0, 2))]


@pytest.mark.parametrize("text,domain", CASES)
@pytest.mark.parametrize("eps", [1e-1, 1e-2, 1e-4])
def test_bound_holds_and_is_sharp(text, domain, eps):
    f = Target(text, domain=domain)
    found = piecewise_polynomial(f, eps)
    x = np.linspace(*f.domain.floats_inside()[0], 40001)
    observed = np.abs(found(x) - f(x)).max()
    assert observed <= found.bound * (1 + 1e-9) <= eps * (1 + 1e-9)
    assert found.bound == pytest.approx(sum(item.value for item in found.budget))
    if eps == 1e-4:
        assert observed >= 0.85 * found.bound
        assert found.network.size.weights < piecewise_linear(f, eps).network.size.weights


def test_weights_against_the_study():
    # square chains need 54 for exp at 1e-4; the study's A - s(B) needs 96 and 383 for sqrt at 1e-4 and 1e-6
    assert piecewise_polynomial(Target("exp(x)"), 1e-4).network.size.weights <= 41
    assert piecewise_polynomial(Target("sqrt(x)"), 1e-4).network.size.weights <= 96
    assert piecewise_polynomial(Target("erf(4*x-2)"), 1e-4).network.size.weights <= 130


def test_count_is_the_declared_formula():
    found = piecewise_polynomial(Target("exp(x)"), 1e-6)
    knots, (levels,) = found.parameters["knots"], found.parameters["levels"]
    formula = 4 * (knots - 2) + 4 + 5 * levels - 2
    assert abs(found.network.size.weights - formula) <= 3


def test_order_three():
    f = Target("exp(x)")
    eps = [1e-6, 1e-8, 1e-10]
    knots = [piecewise_polynomial(f, e).parameters["knots"] for e in eps]
    slope = -np.polyfit(np.log(eps), np.log(knots), 1)[0]
    assert abs(slope - 1 / 3) < 0.03


def test_certificate_confirms():
    found = piecewise_polynomial(Target("exp(x)"), 1e-3)
    certificate = found.certify()
    assert certificate.lower <= found.bound and certificate.upper <= 1e-3


def test_refusals():
    with pytest.raises(InputError):
        piecewise_polynomial(Target("x**2"), 0)
    with pytest.raises(RegularityError):
        piecewise_polynomial(Target("x*y"), 1e-2)
    with pytest.raises(UnreachableError):
        piecewise_polynomial(Target("cos(40*x**2)"), 1e-6, maximum_knots=100)


def test_planted_fault_raises_the_proved_error():
    f = Target("x**2")
    cover = fine_cover(f, 5e-7)
    knots = np.array([0.0, 0.5, 1.0])
    zigzag = np.array([0.0, 0.5, 0.0])
    values = knots**2 - zigzag**2
    assert bent_error(cover, Bent(hinge_function(knots, values), zigzag, np.array([1, 1])), 8)[0] <= 1e-12
    wrong = Bent(hinge_function(knots, values), zigzag * 1.01, np.array([1, 1]))
    assert bent_error(cover, wrong, 8)[0] >= 0.25 * (1.01**2 - 1) * 0.99
