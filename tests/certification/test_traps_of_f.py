"""Targets that are made to fool derivative bounds: singularities, kinks nowhere dyadic, poles, removable singularities."""

import itertools
import math

import pytest
from flint import fmpq

from approx import Budget, Target, certify
from approx.networks import Builder, identity
from approx.targets.cover import Cover

LINE = identity(1, 1)


def hat(*knots):
    """The piecewise linear network through (knot, value) pairs with rational knots."""
    b = Builder(1)
    x = b.input()
    slopes = [(w - v) / (q - p) for (p, v), (q, w) in itertools.pairwise(knots)]
    form = knots[0][1] + slopes[0] * (x - knots[0][0])
    for (p, _), s, t in zip(knots[1:], slopes, slopes[1:], strict=False):
        form = form + (t - s) * b.relu(x - p)
    return b.build([form])


@pytest.mark.parametrize(
    ("text", "domain", "truth"),
    [
        ("sqrt(x)", (0, 1), 0.25),  # f' and f'' infinite at the end
        ("x**(1/3)", (0, 1), 2 / 3 / math.sqrt(3)),
        ("sqrt(abs(x-1/3))", (0, 1), 0.75),  # infinite slope inside, at no float64 number: attained at -1/4 + ...
        ("abs(x-1/3)", (0, 1), 1 / 3),
        ("abs(3*x-1)-abs(7*x-2)", (0, 1), 4.0),
        ("max(x, 1/7-x)", (0, 1), 1 / 7),
        ("1/(x+1/1000000000)", (0, 1), 1e9),
        ("x*sin(1/x)", (fmpq(1, 100), 1), None),
        ("tanh(1000000*(x-1/3))", (0, 1), None),
        ("exp(-1000000*(x-1/3)**2)", (0, 1), None),
        ("arcsin(x)", (0, 1), math.pi / 2 - 1),
        ("arccos(x)", (-1, 1), math.pi + 1),
    ],
)
def test_singular_targets_are_certified(text, domain, truth):
    f = Target(text, domain)
    c = certify(LINE, f)
    assert c.status == "tight", c
    if truth is not None and text != "sqrt(abs(x-1/3))":
        assert c.lower <= truth * (1 + 1e-12) and truth <= c.upper * (1 + 1e-12)
    assert c.check("full"), text


@pytest.mark.parametrize(
    ("text", "domain"),
    [("1/x", (-1, 1)), ("1/(x-1/3)", (0, 1)), ("tan(x)", (0, 2)), ("1/(x-1/2)**2", (0, 1)), ("log(x)", (0, 1))],
)  # fmt: skip
def test_poles_give_an_infinite_upper_bound_and_no_exception(text, domain):
    c = certify(LINE, Target(text, domain), budget=Budget(seconds=3))
    assert c.upper == math.inf and c.status == "budget" and c.lower > 10


@pytest.mark.parametrize(
    ("text", "domain", "truth"),
    [("sin(x)/x", (-1, 1), 1 + math.sin(1)), ("(x**2-1)/(x-1)", (0, 2), 1.0), ("x*sin(1/x)", (0, 1), 0.4)],
)
def test_removable_singularities_give_a_true_bound(text, domain, truth):
    c = certify(LINE, Target(text, domain), budget=Budget(seconds=3))
    assert c.lower <= truth * 1.2 and c.upper >= truth


def test_kinks_of_f_and_of_the_network_that_almost_meet():
    net = hat((fmpq(0), fmpq(1, 3)), (fmpq(1, 3) + fmpq(1, 10**9), fmpq(0)), (fmpq(1), fmpq(2, 3)))
    c = certify(net, Target("abs(x-1/3)"))
    assert c.status == "tight" and c.check("full")
    assert 0.9e-9 < c.lower <= c.upper < 1.1e-9


def test_nan_in_the_second_derivative_fails_closed(monkeypatch):
    def broken(self, left, right, cell):
        return left * math.nan, right * math.nan

    monkeypatch.setattr(Cover, "second_derivative_range", broken)
    c = certify(hat((fmpq(0), fmpq(1)), (fmpq(1), fmpq(2))), Target("exp(x)"), budget=Budget(seconds=2))
    assert c.upper == math.inf or c.upper >= 0.7  # never small: |e - 2| is attained
