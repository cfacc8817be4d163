"""Are free-knot piecewise-linear networks proved, sharp and short, and exact where they can be?"""

import time

import numpy as np
import pytest

from approx import Target
from approx.errors import InputError, RegularityError
from approx.evaluation import evaluate_exact
from approx.numbers import to_fmpq
from constructions.relu._hinges import HingeFunction, fine_cover, hinge_error, hinge_function
from constructions.relu.piecewise_linear import piecewise_linear

CASES = [
    ("exp(x)", (0, 1)), ("sin(2*pi*x)", (0, 1)), ("1/(1+25*x**2)", (-1, 1)), ("sqrt(x)", (0, 1)),
    ("abs(sin(5*x))", (0, 2)), ("erf(4*x-2)", ("1/3", 2)), ("x*log(x+1/100)", (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize("text,domain", CASES)
@pytest.mark.parametrize("eps", [1e-1, 1e-3, 1e-5])
def test_bound_holds_and_is_sharp(text, domain, eps):
    f = Target(text, domain=domain)
    found = piecewise_linear(f, eps)
    x = np.linspace(*f.domain.floats_inside()[0], 40001)
    observed = np.abs(found(x) - f(x)).max()
    assert observed <= found.bound * (1 + 1e-9) <= eps * (1 + 1e-9)
    assert found.network.size.weights <= 3 * found.parameters["knots"]
    if eps <= 1e-3:
        assert observed >= 0.9 * found.bound


@pytest.mark.parametrize(
    "text,domain,weights",
    [("abs(x-1/3)", (0, 1), 5), ("2*x+1", (0, 1), 2), ("max(x,1-x)+abs(x-1/4)/3", (-1, 2), 8), ("min(abs(x),1/2)", (-1, 1), 9)],
)
def test_piecewise_linear_targets_are_exact(text, domain, weights):
    f = Target(text, domain=domain)
    found = piecewise_linear(f, 1e-2)
    assert found.bound == 0 and found.network.size.weights == weights
    for k in range(13):
        point = to_fmpq(domain[0]) + to_fmpq(domain[1] - domain[0]) * k / 12
        assert evaluate_exact(found.network, [point])[0] == f.exact([point])


def test_irrational_kink():
    f = Target("max(0, x - 1/pi)", domain=(0, 1))
    found = piecewise_linear(f, 1e-9)
    x = np.linspace(0, 1, 10001)
    assert np.abs(found(x) - f(x)).max() <= found.bound + 1e-15 <= 1e-9
    assert found.network.size.weights <= 5


def test_certificate_confirms_the_bound():
    found = piecewise_linear(Target("exp(x)"), 1e-3)
    certificate = found.certify()
    assert certificate.lower <= found.bound * (1 + 1e-12) <= 1e-3
    assert certificate.upper <= found.bound * 1.02


def test_two_sided_needs_fewer_knots_and_rate_is_two():
    f = Target("exp(x)")
    one, two = (piecewise_linear(f, 1e-6, two_sided=s).parameters["knots"] for s in (False, True))
    assert 1.35 <= one / two <= 1.47
    weights = [piecewise_linear(f, eps).network.size.weights for eps in (1e-4, 1e-6, 1e-8)]
    slopes = np.diff(np.log(weights)) / np.log(100)
    assert np.all(np.abs(slopes - 0.5) < 0.02)


def test_vectorised_build():
    f = Target("sin(2*pi*x)")
    start = time.process_time()
    found = piecewise_linear(f, 1e-10)
    assert time.process_time() - start < 30
    assert 2e5 < found.network.size.weights < 1.2 * 3.6e5 * 1.03


def test_refusals():
    with pytest.raises(InputError):
        piecewise_linear(Target("x**2"), 0)
    with pytest.raises(RegularityError):
        piecewise_linear(Target("x*y"), 1e-2)


def test_planted_fault_raises_the_proved_error():
    f = Target("exp(x)")
    cover = fine_cover(f, 5e-6)
    knots = np.linspace(0, 1, 17)
    good = hinge_function(knots, np.exp(knots))
    bound = hinge_error(cover, good, 8).bound
    assert np.e / 8 / 256 * 0.9 <= bound <= np.e / 8 / 256 * 1.01
    values = np.exp(knots)
    values[5] += 0.01
    assert hinge_error(cover, hinge_function(knots, values), 8).bound >= 0.0099
    broken = HingeFunction(knots, good.values, good.slopes, good.steps * 1.01, good.pivot, good.bias, good.drift)
    x = np.linspace(0, 1, 1001)
    assert np.abs(broken.network()(x) - np.exp(x)).max() > bound
