"""Upper bounds in three and four variables are proved again by code of the checker's own, and false ones are refuted."""

import dataclasses
import math

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target, certify
from approx.certification import check_space
from approx.certification.check_function import CheckFunction
from approx.networks import Builder, Network, dense_block, layer
from approx.numbers import working_precision
from constructions.relu.product import product_of


def bent():
    b = Builder(3)
    x, y, z = (b.input(i) for i in range(3))
    return b.build([b.relu(x - y) + b.relu(y + z - 1) * 2 - b.relu(x + z - fmpq(3, 4))])


def random_network(seed, inputs):
    rng = np.random.default_rng(seed)
    widths = [inputs, 5, 4]
    layers = [
        layer("relu" if k else "abs", rng.normal(size=n), [dense_block(k, rng.normal(size=(n, widths[k])))])
        for k, n in enumerate(widths[1:])
    ]
    last = layer("identity", rng.normal(size=1), [dense_block(2, rng.normal(size=(1, 4)))])
    return Network(inputs, [*layers, last])


CASES = [
    (bent(), Target("x*y*z", [(0, 1)] * 3)),
    (bent(), Target("abs(x-y)/2+exp(z)", [(0, 1)] * 3)),
    (product_of(3, 1)[0], Target("x1*x2*x3", [(-1, 1)] * 3)),
    (random_network(1, 3), Target("sin(x+2*y)*z", [(-1, 1)] * 3)),
    (random_network(2, 4), Target("x1*x2-x3*x4", [(0, 1)] * 4)),
]


@pytest.mark.parametrize("net, target", CASES)
def test_the_whole_upper_bound_is_proved_again_and_a_smaller_one_refuted(net, target):
    c = certify(net, target, rtol=0.2)
    assert c.status == "tight"
    for level in ("regions", "full"):
        report = c.check(level)
        assert report and any("<=" in s for s in report.proved)
        wrong = dataclasses.replace(c, lower=0.5 * c.lower, upper=0.99 * c.lower, status="budget")
        assert not wrong.check(level)


def test_a_bound_that_fails_only_between_the_samples_is_refuted_on_the_whole_domain():
    b = Builder(3)
    x, y, z = (b.input(i) for i in range(3))
    net = b.build([b.relu(1 - 20 * b.relu(x - fmpq(1, 3)) - 20 * b.relu(fmpq(1, 3) - x) - 20 * b.relu(y - fmpq(1, 8)) - z)])
    target = Target("x-x+y-y+z-z", [(0, 1)] * 3)
    c = certify(net, target, rtol=0.2)
    assert c.upper >= 1 and c.check("full")
    wrong = dataclasses.replace(c, lower=0.0, upper=0.5, status="budget", witness=(fmpq(1), fmpq(0), fmpq(0)))
    assert wrong.check("regions")
    refused = wrong.check("full")
    assert not refused and "exceeds" in refused.refuted[0]


def test_another_network_is_refused():
    net, target = CASES[0]
    c = certify(net, target, rtol=0.2)
    assert not dataclasses.replace(c, network=2 * net).check("regions")


@pytest.mark.parametrize("fault", ["chord", "dual", "curvature"])
def test_planted_fault_a_checker_that_forgets_something_accepts_what_is_false(monkeypatch, fault):
    """What each term is good for: without it a false bound passes, so the refutations above are no accident."""
    b, curved = Builder(3), fault == "curvature"
    net = b.build([b.input(0) - fmpq(1, 4) if curved else b.relu(b.input(0) - fmpq(1, 2))])
    target = Target("x**2+y-y+z-z" if curved else "x-x+y-y+z-z", [(0, 1)] * 3)
    if curved:
        monkeypatch.setattr(CheckFunction, "hessian", lambda self, box: [[arb(0)] * (i + 1) for i in range(3)])
    elif fault == "chord":
        monkeypatch.setattr(check_space, "_chord", lambda name, p, a, e, r: (0 * p, [0 * v for v in a], 0 * e))
    else:
        monkeypatch.setattr(check_space, "_dual", lambda constant, linear, assumed: arb(0))
    monkeypatch.setattr(check_space._Checker, "gap", lambda self, point: arb(0))
    box = [(fmpq(0), fmpq(1))] * 3
    # The truth is 1/2, or 1/4 where f is curved.
    assert check_space._Checker(net, target, fmpq(1, 5)).prove(box, 200) == ""
    monkeypatch.undo()
    assert check_space._Checker(net, target, fmpq(1, 5)).prove(box, 200) != ""


def test_second_derivatives_of_the_checker_are_those_of_the_target():
    target = Target("exp(x*y)*sin(z)+x**3/(2+y)", [(0, 1)] * 3)
    with working_precision(128):
        point = [arb(fmpq(k, 7)) for k in (2, 3, 5)]
        jet, f = target.jet(point, 2), CheckFunction(target)
        value, gradient = f.gradient(point)
        rows = f.hessian(point)
        assert abs(value - jet[(0, 0, 0)]) < 1e-20 and value.rad() < 1e-20
        for i in range(3):
            assert abs(gradient[i] - jet[tuple(int(k == i) for k in range(3))]) < 1e-20
            for j in range(i + 1):
                index = tuple(int(k == i) + int(k == j) for k in range(3))
                assert abs(rows[i][j] - (2 if i == j else 1) * jet[index]) < 1e-20


def test_an_infinite_bound_claims_nothing():
    net, target = CASES[0]
    c = dataclasses.replace(certify(net, target, rtol=0.2), upper=math.inf, status="budget")
    assert c.check("full")
