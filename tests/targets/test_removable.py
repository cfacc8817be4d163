"""Quotients 0/0 with a limit: Taylor balls contain the known series, certificates are finite, poles stay infinite."""

import math

import numpy as np
import pytest
from flint import arb, fmpq

import approx.targets.removable as removable
from approx import Budget, Target, certify
from approx.certification.check_function import CheckFunction
from approx.networks import Builder
from approx.numbers import arb_interval, working_precision

#: expression, the singular point, Taylor coefficients there
KNOWN = {
    "sin(x)/x": (0, [1, 0, fmpq(-1, 6), 0, fmpq(1, 120)]),
    "(exp(x)-1)/x": (0, [1, fmpq(1, 2), fmpq(1, 6), fmpq(1, 24)]),
    "(1-cos(x))/x**2": (0, [fmpq(1, 2), 0, fmpq(-1, 24), 0, fmpq(1, 720)]),
    "log(x)/(x-1)": (1, [1, fmpq(-1, 2), fmpq(1, 3), fmpq(-1, 4)]),
    "sin(2*x-1)/(2*x-1)": (fmpq(1, 2), [1, 0, fmpq(-4, 6), 0, fmpq(16, 120)]),
    "(x**2-1)/(x-1)": (1, [2, 1, 0, 0]),
    "x/sin(x)": (0, [1, 0, fmpq(1, 6), 0, fmpq(7, 360)]),
    "exp(sin(x)/x-1)": (0, [1, 0, fmpq(-1, 6), 0, fmpq(1, 120) + fmpq(1, 72)]),
}


@pytest.mark.parametrize("text", KNOWN)
def test_the_series_at_the_point_is_the_known_one_and_balls_around_it_contain_it(text):
    point, coefficients = KNOWN[text]
    f = Target(text, domain=(point, 2))
    order = len(coefficients) - 1
    with working_precision(128):
        for scale in (1, 0.25):
            exact = [c * fmpq(scale) ** k for k, c in enumerate(map(fmpq, coefficients))] if scale == 1 else None
            here = f.series(arb(point), order, scale)
            around = f.series(arb_interval(point - fmpq(1, 8), fmpq(point) + fmpq(1, 4)), order, scale)
            for k in range(order + 1):
                assert here[k].is_finite() and around[k].is_finite() and around[k].overlaps(here[k])
                assert exact is None or (here[k].overlaps(arb(exact[k])) and here[k].rad() < 1e-30)


@pytest.mark.parametrize("text", KNOWN)
def test_balls_contain_the_coefficients_at_points_beside(text):
    point, _ = KNOWN[text]
    f = Target(text, domain=(point, 2))
    with working_precision(128):
        around = f.series(arb_interval(fmpq(point) - fmpq(1, 16), fmpq(point) + fmpq(1, 16)), 4)
        for t in (fmpq(1, 16), fmpq(1, 1000), fmpq(-1, 17)):
            beside = f.series(arb(fmpq(point) + t), 4)
            assert all(a.overlaps(b) for a, b in zip(around, beside, strict=True))
        value = CheckFunction(f).value([arb_interval(fmpq(point), fmpq(point) + fmpq(1, 16))])
        assert value.is_finite() and value.overlaps(around[0])


@pytest.mark.parametrize("text", ["sin(x)/x**2", "1/x", "cos(x)/x", "sin(pi*x)/x**3", "(x-1/3)/(x**2-1/9)/x"])
def test_poles_stay_poles(text):
    f = Target(text, domain=(0, 1))
    assert not f.series(arb_interval(fmpq(0), fmpq(1, 8)), 2)[0].is_finite()
    assert not CheckFunction(f).value([arb_interval(fmpq(0), fmpq(1, 8))]).is_finite()


def line():
    b = Builder(1)
    x = b.input()
    return b.build([b.relu(x) / 3 + 1 - x / 7])


@pytest.mark.parametrize("text", [t for t in KNOWN if "log" not in t])
def test_certificates_are_finite_and_hold(text):
    domain = (-1, fmpq(5, 4))
    net, f = line(), Target(text, domain=domain)
    c = certify(net, f, rtol=1e-3, budget=Budget(seconds=20))
    assert c.status == "tight" and c.check("full")
    x = np.linspace(-1, 1.25, 5000)[1:-1]
    with np.errstate(all="ignore"):
        gap = np.abs(f(x) - net(x))
    assert np.nanmax(gap) <= c.upper * (1 + 1e-12) and np.nanmax(gap) >= c.lower * 0.99


def test_planted_fault_a_zero_that_is_none_is_caught(monkeypatch):
    """cos(x)/x taken for 0/0 would get a finite bound."""
    monkeypatch.setattr(removable, "_leading_zeros", lambda coefficients: 1)
    wrong = certify(line(), Target("cos(x)/x", domain=(fmpq(-1, 4), 1)), budget=Budget(seconds=5, regions=20_000))
    assert math.isinf(wrong.upper) or not wrong.check("full")
