"""Networks that are made to fool floating point: cancellation, kinks an ulp apart, spikes, denormals, 2^+-500 weights."""

import math

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Budget, Target, certify
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, dense_block, identity, layer
from approx.numbers import to_fmpq, working_precision

ZERO = "0*x"
RTOL = 0.01


def enclosed(c, truth, rtol=RTOL):
    """Whether the certificate is true and tight for an exact value."""
    exact = to_fmpq(truth)
    return to_fmpq(c.lower) <= exact <= to_fmpq(c.upper) and to_fmpq(c.upper) <= exact * (1 + to_fmpq(2 * rtol))


@pytest.mark.parametrize("exponent", [20, 60, 200, 500])
def test_cancelling_huge_weights(exponent):
    """K relu(x) - K relu(x - d) + K relu(-x) ... : an output of size 1 as a difference of numbers of size 2^exponent."""
    b = Builder(1)
    x = b.input()
    k = fmpq(2) ** exponent
    ramp = k * b.relu(x) - (k - 1) * b.relu(x)  # = x, by cancellation of two units with the same input
    c = certify(b.build([ramp + k * b.relu(x + 1) - k * b.relu(2 * x + 2) / 2]), Target("x/2"))
    assert c.status == "tight" and enclosed(c, 0.5)


def test_a_sum_that_float64_gets_wrong_by_everything():
    rng = np.random.default_rng(5)
    big = rng.normal(size=16) * 1e18
    weights = np.concatenate([big, -big, [1.0]])[None, :]
    hidden = layer("relu", np.zeros(33), [dense_block(0, np.ones((33, 1)))])
    net = Network(1, [hidden, layer("identity", [0.0], [dense_block(1, weights)])])
    c = certify(net, Target("x/4"))
    assert c.status == "tight" and enclosed(c, 0.75)


@pytest.mark.parametrize("place", [1 / 3, 0.5, 1e-9, 1 - 2.0**-53])
def test_kinks_one_ulp_apart(place):
    b = Builder(1)
    x = b.input()
    following = float(np.nextafter(place, 2))
    steep = fmpq(2) ** 70 * (b.relu(x - to_fmpq(place)) - b.relu(x - to_fmpq(following)))
    c = certify(b.build([steep]), Target(ZERO))
    assert enclosed(c, fmpq(2) ** 70 * (to_fmpq(following) - to_fmpq(place)))


def test_kinks_at_thirds_closer_than_any_float():
    b = Builder(1)
    x = b.input()
    third, step = fmpq(1, 3), fmpq(1, 10**25)
    spike = (b.relu(x - third) - 2 * b.relu(x - third - step) + b.relu(x - third - 2 * step)) / step
    c = certify(b.build([spike]), Target(ZERO))
    assert c.status == "tight" and enclosed(c, 1)


@pytest.mark.parametrize("width", [fmpq(1, 10**6), fmpq(1, 10**12), fmpq(1, 10**30)])
@pytest.mark.parametrize("at", [fmpq(1, 3), fmpq(1, 2), fmpq(99, 100)])
def test_a_spike_that_sampling_misses_is_seen(width, at):
    b = Builder(1)
    x = b.input()
    spike = b.relu((x - at) / width) - 2 * b.relu((x - at) / width - 1) + b.relu((x - at) / width - 2)
    net = b.build([x + spike])
    points = [fmpq(k * 317 + 100, 31_700_000) for k in range(0, 100_000, 97)]
    assert all(v == p for v, p in zip(evaluate_exact(net, points), points, strict=True))  # sampling sees nothing
    c = certify(net, Target("x"))
    assert c.upper >= 1 and c.lower >= 1 - RTOL and c.status == "tight"


@pytest.mark.parametrize("exponent", [-1060, -1030, -500, 500])
def test_denormal_and_huge_scales(exponent):
    b = Builder(1)
    c = certify(b.build([fmpq(2) ** exponent * b.relu(b.input() - 0.25)]), Target(ZERO))
    assert to_fmpq(c.lower) <= fmpq(3, 4) * fmpq(2) ** exponent <= _ceiling(c.upper)


def test_overflow_in_float64_ends_in_a_true_bound():
    b = Builder(1)
    x = b.input()
    u = b.relu(fmpq(2) ** 600 * x)
    v = b.relu(fmpq(2) ** 600 * u)  # 2^1200: no float64 number
    c = certify(b.build([v / fmpq(2) ** 1200]), Target("x/2"), budget=Budget(seconds=10))
    assert c.lower <= 0.5 <= c.upper


def _ceiling(value):
    return fmpq(2) ** 2000 if value == math.inf else to_fmpq(value)


def zero_preactivations(b, x):
    return b.relu(0 * x) + x + b.relu(x - x)


def duplicate_neurons(b, x):
    return sum((b.relu(x - 0.5) for _ in range(40)), 0 * x) / 40 - b.relu(x - 0.5) + x


def dead_layers(b, x):
    dead = b.relu(b.relu(-1 - x) - 3)
    return x + 7 * dead - b.relu(dead - 1)


@pytest.mark.parametrize("build", [zero_preactivations, duplicate_neurons, dead_layers])
def test_degenerate_units_change_nothing(build):
    b = Builder(1)
    c = certify(b.build([build(b, b.input())]), Target("x/2+x/4"))
    assert c.status == "tight" and enclosed(c, 0.25)


@pytest.mark.parametrize("value", [fmpq(0), fmpq(1, 3), fmpq(-7)])
def test_constant_networks(value):
    b = Builder(1)
    c = certify(b.build([0 * b.input() + value]), Target("x"))
    assert enclosed(c, max(abs(value), abs(1 - value)))


@pytest.mark.parametrize("text", ["x", "x/3+1/7"])
def test_error_exactly_zero(text):
    f = Target(text)
    b = Builder(1)
    net = b.build([b.input()]) if text == "x" else b.build([b.input() / 3 + fmpq(1, 7)])
    c = certify(net, f)
    assert c.lower == 0 and c.upper == 0 and c.status == "tight"


def test_errors_near_one_ulp_are_resolved_relatively():
    """A kink that is off by 1e-17 at no float64 number: the error 2e-17 is certified to 1 %."""
    b = Builder(1)
    x = b.input()
    for off in (fmpq(1, 10**17), fmpq(1, 10**30)):
        net = b.build([fmpq(1, 3) - x + 2 * b.relu(x - fmpq(1, 3) - off)])
        c = certify(net, Target("abs(x-1/3)"))
        assert c.status == "tight" and enclosed(c, 2 * off)


def test_a_narrow_domain_far_from_the_origin():
    lower = fmpq(10**6)
    f = Target("sin(x)", (lower, lower + fmpq(1, 10**9)))
    c = certify(identity(1, 1), f)
    with working_precision(128):
        gaps = [abs(f.ball([arb(p)]) - arb(p)) for p in (lower, lower + fmpq(1, 10**9))]
    assert c.status == "tight" and all(not g > arb(c.upper) for g in gaps)


def test_pools_of_rationals_lose_nothing():
    """Weights 1/3 in long sums: exact values against the certificate at a thousand points."""
    b = Builder(1)
    x = b.input()
    form = x
    for k in range(1, 12):
        form = b.relu(form * fmpq(4, 3) - fmpq(k, 37)) + form / 3
    net = b.build([form])
    c = certify(net, Target("x"), rtol=1e-10)
    points = [fmpq(k * 618033 % 1000003, 1000003) for k in range(1000)]
    worst = max(abs(v - p) for v, p in zip(evaluate_exact(net, points), points, strict=True))
    assert c.status == "tight" and worst <= to_fmpq(c.upper)
