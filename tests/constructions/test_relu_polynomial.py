"""Do polynomial networks meet their proved bounds, whatever scheme evaluates them?"""

import itertools

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder
from approx.numbers import to_fmpq
from constructions.relu._distance import polynomial_distance
from constructions.relu._polynomial_programs import chebyshev_coefficients, monomial_coefficients, programs
from constructions.relu._straight_line import Analysis
from constructions.relu.polynomial import METHODS, exact_polynomial, polynomial

CASES = [("exp(x)", (0, 1)), ("sin(2*pi*x)", (0, 1)), ("1/(1+x**2)", (-1, 1)), ("x**3-x/2", (-1, 2)), ("erf(4*x-2)", (0, 1))]


@pytest.mark.parametrize("text,domain", CASES)
@pytest.mark.parametrize("eps", [1e-1, 1e-3, 1e-6])
def test_error_below_the_proved_bound(text, domain, eps):
    f = Target(text, domain=domain)
    found = polynomial(f, eps)
    x = np.linspace(*domain, 20001)
    assert np.abs(found(x) - f(x)).max() <= found.bound * (1 + 1e-9) + 1e-13
    assert found.bound <= eps
    assert found.bound == pytest.approx(sum(item.value for item in found.budget))


@pytest.mark.parametrize("method", METHODS)
def test_every_scheme(method):
    f = Target("exp(x)", domain=(-1, 1))
    found = polynomial(f, 1e-4, method=method)
    x = np.linspace(-1, 1, 8001)
    assert np.abs(found(x) - f(x)).max() <= found.bound <= 1e-4
    assert method in found.parameters["scheme"]


def test_certificate_agrees():
    found = polynomial(Target("exp(x)"), 1e-4)
    certificate = found.certify()
    assert certificate.lower <= found.bound
    assert certificate.upper <= found.bound * 1.02


def test_exact_polynomial_is_recognised():
    f = Target("3*x**4 - x/7 + 1/3", domain=(-1, 2))
    coefficients = exact_polynomial(f)
    centre, half = fmpq(1, 2), fmpq(3, 2)
    for x in (fmpq(-1), fmpq(1, 9), fmpq(2)):
        s = (x - centre) / half
        assert sum(c * s**k for k, c in enumerate(coefficients)) == f.exact([x])
    assert exact_polynomial(Target("exp(x)")) is None
    assert polynomial(Target("2*x+1"), 1e-9).bound == 0


def test_coefficients_convert_back():
    series = [fmpq(k + 1, 7) for k in range(9)]
    assert chebyshev_coefficients(monomial_coefficients(series)) == series


def test_programs_compute_the_same_polynomial():
    rng = np.random.default_rng(4)
    for parity in (slice(None), slice(0, None, 2), slice(1, None, 2)):
        series = np.zeros(12)
        series[parity] = rng.normal(size=series[parity].shape)
        x = np.linspace(-1, 1, 2001)
        for name, program in programs([to_fmpq(float(c)) for c in series], METHODS):
            analysis = Analysis(program)
            levels = analysis.levels(1e-3)
            assert levels is not None, name
            b = Builder(1)
            net = b.build([analysis.form(b, b.input(), levels)])
            error = np.abs(net(x) - np.polynomial.chebyshev.chebval(x, series)).max()
            assert error <= analysis.errors(levels).output <= 1e-3, name


def test_distance_is_proved_and_sharp():
    f = Target("exp(x)", domain=(-1, 1))
    taylor = [fmpq(1), fmpq(1), fmpq(1, 2)]
    true = np.e - 2.5
    found = polynomial_distance(f, taylor, fmpq(0), fmpq(1), 1.0)
    assert true <= found <= 1.05 * true
    assert polynomial_distance(f, taylor, fmpq(0), fmpq(1), 1e-3) > 1e-3  # gives up, never below the truth


def test_weights_grow_slowly():
    f = Target("exp(x)")
    weights = [polynomial(f, 10.0**-k).network.size.weights for k in (2, 4, 6, 8)]
    assert all(b <= 2.8 * a for a, b in itertools.pairwise(weights[1:]))
    assert weights[-1] < 400


def test_refusals():
    with pytest.raises(RegularityError):
        polynomial(Target("x*y"), 1e-2)
    with pytest.raises(UnreachableError):
        polynomial(Target("sqrt(x)"), 1e-5)
    for bad in ({"eps": 0}, {"eps": 1e-2, "method": "magic"}, {"eps": 1e-2, "degree": 0}):
        with pytest.raises(InputError):
            polynomial(Target("exp(x)"), bad.pop("eps"), **bad)


def test_planted_fault_one_level_less():
    f = Target("x**3", domain=(-1, 1))
    found = polynomial(f, 1e-4)
    series = [fmpq(0), fmpq(3, 4), fmpq(0), fmpq(1, 4)]
    name, program = next(p for p in programs(series, METHODS) if p[0] == found.parameters["scheme"])
    analysis = Analysis(program)
    levels = [max(0, m - 3) for m in found.parameters["levels"]]
    b = Builder(1)
    net = b.build([analysis.form(b, b.input(), levels)])
    x = np.linspace(-1, 1, 4001)
    assert np.abs(net(x) - x**3).max() > found.bound, name
