"""Certificates in several variables against closed forms, and against dense exact sampling."""

import math

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Budget, Target, certify
from approx.certification.affine_forms import affine_forms
from approx.certification.pieces import Program
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, dense_block, identity, layer
from approx.numbers import working_precision
from constructions.relu.product import product


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_product_network_meets_its_closed_form(m):
    c = certify(product(m), Target("x*y", [(-1, 1), (-1, 1)]), rtol=0.05)
    truth = 4.0 ** -(m + 1)
    assert c.status == "tight"
    assert c.lower <= truth * (1 + 1e-12) and c.upper >= truth * (1 - 1e-12)
    assert c.upper <= truth * 1.06


def random_network(rng, inputs):
    widths = [inputs, *rng.integers(2, 7, 2).tolist()]
    layers = [
        layer("relu", rng.normal(size=n), [dense_block(k, rng.normal(size=(n, widths[k])))])
        for k, n in enumerate(widths[1:])
    ]
    last = layer("identity", rng.normal(size=1), [dense_block(2, rng.normal(size=(1, widths[-1])))])
    return Network(inputs, [*layers, last])


@pytest.mark.parametrize("inputs", [2, 3])
def test_random_networks_never_escape_their_enclosure(inputs):
    rng = np.random.default_rng(inputs)
    f = Target("exp(-(x**2+y**2))" if inputs == 2 else "1/(1+x+y+z)")
    for _ in range(6):
        net = random_network(rng, inputs)
        c = certify(net, f, rtol=0.1, budget=Budget(regions=200_000))
        points = [[fmpq(int(t), 2**20) for t in row] for row in rng.integers(0, 2**20, (60, inputs))]
        with working_precision(128):
            gaps = [
                float(abs(f.ball([arb(v) for v in p]) - arb(value)).upper())
                for p, value in zip(points, evaluate_exact(net, points), strict=True)
            ]
        assert max(gaps) <= c.upper
        assert c.lower <= c.upper and c.check("regions")


def test_affine_forms_contain_the_network_on_their_boxes():
    rng = np.random.default_rng(5)
    net = random_network(rng, 2)
    centre, half = rng.uniform(-1, 1, (50, 2)), rng.uniform(0, 0.5, (50, 2))
    p, a, e, _ = affine_forms(Program(net), centre, half)
    u = rng.uniform(-1, 1, (50, 20, 2))
    values = net((centre[:, None] + half[:, None] * u).reshape(-1, 2)).reshape(50, 20)
    linear = p[:, None] + np.einsum("bi,bni->bn", a, u)
    assert (np.abs(values - linear) <= e[:, None] + 1e-12).all()
    assert (np.abs(values - linear) > 0.2 * e[:, None]).any()


def test_budget_gives_a_valid_enclosure():
    target = Target("x*y", [(-1, 1), (-1, 1)])
    c = certify(product(6), target, budget=Budget(regions=2000), method="boxes")
    assert c.status == "budget" and c.lower <= 4.0**-7 <= c.upper < math.inf


def test_a_pole_gives_infinity():
    b = Builder(2)
    net = b.build([b.input(0)])
    c = certify(net, Target("1/(x+y)", [(-1, 1), (-1, 1)]), budget=Budget(regions=5000))
    assert c.upper == math.inf


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupt_returns_what_is_proved(monkeypatch, after):
    from approx.certification import boxes

    calls = {"left": after}
    honest = boxes.BoxSearch.halve

    def interrupted(self, parents):
        calls["left"] -= 1
        if calls["left"] < 0:
            raise KeyboardInterrupt
        return honest(self, parents)

    monkeypatch.setattr(boxes.BoxSearch, "halve", interrupted)
    c = certify(product(5), Target("x*y", [(-1, 1), (-1, 1)]), method="boxes")
    assert c.status == "budget" and c.lower <= 4.0**-6 <= c.upper < math.inf


def test_an_interrupt_in_one_variable_returns_what_is_proved(monkeypatch):
    from approx.certification import block_search

    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(block_search.Search, "refine", interrupted)
    c = certify(identity(1, 1), Target("x - sin(7*x)"), rtol=1e-9)
    assert c.status == "budget" and c.lower <= 1 <= c.upper < math.inf


def test_more_budget_never_widens_the_enclosure_and_calls_repeat():
    net, f = random_network(np.random.default_rng(7), 3), Target("sin(x+2*y)*z")
    found = [certify(net, f, rtol=1e-3, budget=Budget(seconds=600, regions=n)) for n in (1, 300, 3000, 3000)]
    uppers = [c.upper for c in found]
    assert uppers == sorted(uppers, reverse=True) and uppers[2] < uppers[0] and uppers[2] == uppers[3]
    assert all(c.lower <= c.upper for c in found) and found[2].witness == found[3].witness


def test_a_poor_first_lower_bound_does_not_mark_every_box_as_stuck(monkeypatch):
    """The goal of the first step lies below what the cover resolves; it rises as soon as boxes are cut."""
    from approx.certification import boxes
    from approx.certification.witness import Witness

    honest, cover, calls = boxes.BoxSearch.improve, boxes.box_cover, []

    def late(self, found):
        calls.append(len(found.upper))
        return honest(self, found) if len(calls) > 1 else None

    monkeypatch.setattr(Witness, "sample", lambda self, *_: self.try_point([2.0**-30] * 2))
    monkeypatch.setattr(boxes.BoxSearch, "improve", late)
    monkeypatch.setattr(boxes, "box_cover", lambda target, _, order, **_more: cover(target, 1e-4, order))
    b = Builder(2)
    net = b.build([b.relu(b.input(0) + b.input(1)) / 16])
    target = Target("(x+y)/16+sin(x)*sin(y)", domain=[(0, 1)] * 2)
    c = certify(net, target, rtol=0.1, method="boxes", budget=Budget(regions=20_000))
    assert c.status == "tight" and 0.7 <= c.lower <= c.upper <= 0.8 and len(calls) > 1
