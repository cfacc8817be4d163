"""Boxes that are cut along kinks of ReLUs: bounds hold on every part, and a supremum along an oblique kink is found at once."""

import math

import numpy as np
import pytest
from flint import arb, fmpq
from random_networks import network

from approx import Budget, Target, certify
from approx.certification import neuron_splits
from approx.certification.gadget_forms import GadgetForms, reading_of
from approx.certification.neuron_signs import Assumptions
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from approx.numbers import working_precision

PLANE = Target("2+(x+2*y-z)/4", domain=[(-1, 1)] * 3)


def plane():
    """max(z, 0) for z = x + 2 y - z; 2 + z/4 - max(z, 0) is largest, 2, where z = 0."""
    b = Builder(3)
    return b.build([b.relu(b.input(0) + 2 * b.input(1) - b.input(2))])


def test_a_supremum_along_an_oblique_kink_takes_three_parts():
    c = certify(plane(), PLANE, rtol=1e-6)
    assert c.status == "tight" and c.work["boxes"] == 3 and c.check("full")
    assert c.lower <= 2 <= c.upper


def escapes(net, seed):
    """At points that meet the signs: how often net leaves its form, how often G exceeds its bound; parts with such points."""
    rng = np.random.default_rng(seed)
    forms = GadgetForms(reading_of(net, [(-1, 1)] * 3))
    centre, half = rng.uniform(-0.5, 0.5, (200, 3)), rng.uniform(0.05, 0.5, (200, 3))
    signs = rng.integers(1, 9, (200, 4)) * rng.choice([-1, 0, 1], (200, 4))
    signs = np.where(signs > 0, signs + 3, np.where(signs < 0, signs - 3, 0))
    # One sign per node.
    for k in range(1, 4):
        signs[:, k] *= (np.abs(signs[:, :k]) != np.abs(signs[:, k : k + 1])).all(axis=1)
    assumed = Assumptions(signs, 3)
    p, a, e, *_ = forms.signed(centre, half, assumed)
    linear, square = rng.normal(size=(200, 3)), rng.normal(size=(200, 3))
    bound, _, size = assumed.least(np.zeros(200), linear, square)
    u = rng.uniform(-1, 1, (200, 400, 3))
    x = centre[:, None] + half[:, None] * u
    hidden = np.einsum("bnd,ud->bnu", x, net.layers[0].blocks[0].values.floats.reshape(8, 3)) + net.layers[0].bias.floats
    met = np.ones(u.shape[:2], dtype=bool)
    for slot in range(4):
        node = np.abs(signs[:, slot]) - 4
        z = np.take_along_axis(hidden, np.maximum(node, 0)[:, None, None], axis=2)[:, :, 0]
        met &= (np.sign(signs[:, slot])[:, None] * z >= 0) | (signs[:, slot] == 0)[:, None]
    gap = np.abs(net(x.reshape(-1, 3)).reshape(200, 400) - p[:, None] - np.einsum("bd,bnd->bn", a, u))
    value = np.einsum("bd,bnd->bn", linear, u) + np.einsum("bd,bnd->bn", square, u * u)
    wrong = met & ((gap > e[:, None] + 1e-12) | assumed.empty[:, None])
    high = met & (value > (bound + 1e-12 * (1 + size))[:, None])
    return wrong.sum(), high.sum(), met.any(axis=1).sum()


def test_forms_and_bounds_hold_where_the_signs_are_met():
    net = network(np.random.default_rng(3), 3, [8, 6])
    wrong, high, parts = escapes(net, 1)
    assert wrong == high == 0 and parts > 100


def test_a_wrong_side_is_caught(monkeypatch):
    """The planted fault: assumptions enter with the opposite sign."""
    honest = Assumptions.fix

    def faulty(self, *arguments):
        honest(self, *arguments)
        if arguments[0] == 3:  # the first layer
            self.constant *= -1
            self.slopes *= -1

    monkeypatch.setattr(Assumptions, "fix", faulty)
    assert escapes(network(np.random.default_rng(3), 3, [8, 6]), 1)[1] > 0


@pytest.mark.parametrize("seed", [2])
def test_enclosures_hold_whatever_is_cut_along_kinks(monkeypatch, seed):
    """Against exact values at points, with kinks preferred wherever there are any."""
    monkeypatch.setattr(neuron_splits, "_SHARE", 0.2)
    rng = np.random.default_rng(seed)
    net, f = network(rng, 3, [6, 5]), Target("sin(2*x+y*z)", domain=[(-1, 1)] * 3)
    uppers = []
    for regions in (1, 40, 4000):
        c = certify(net, f, rtol=0.01, budget=Budget(seconds=600, regions=regions))
        uppers.append(c.upper)
        points = [tuple(fmpq(int(t), 2**10) for t in row) for row in rng.integers(-(2**10), 2**10, (60, 3))]
        with working_precision(128):
            exact = zip(points, evaluate_exact(net, points), strict=True)
            gaps = [float(abs(f.ball([arb(v) for v in p]) - arb(y)).lower()) for p, y in exact]
        assert max(gaps) <= c.upper and c.lower <= c.upper < math.inf
    assert uppers == sorted(uppers, reverse=True)
    assert c.check("regions")


def test_an_interrupt_between_cuts_leaves_a_valid_enclosure(monkeypatch):
    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(neuron_splits.SplitSearch, "halve", interrupted)
    c = certify(plane(), PLANE, rtol=1e-6)
    assert c.status == "budget" and c.lower <= 2 <= c.upper < 4


def test_arguments_that_are_no_numbers_never_lower_a_bound():
    signs = np.array([[1, 0]])
    assumed = Assumptions(signs, 1)
    assumed.fix(0, np.zeros((3, 1, 1)), np.full((1, 1), np.nan), np.full((1, 1, 1), np.nan), np.zeros((1, 1)))
    with np.errstate(all="ignore"):
        bound, _, _ = assumed.least(np.array([1.0]), np.array([[2.0]]), np.array([[0.0]]))
    assert not assumed.empty[0] and not bound[0] < 3
