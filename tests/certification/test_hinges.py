"""Sums of hinges by prefix sums: their values, their error bounds, and what happens when a kink is forgotten."""

import numpy as np
import pytest
from flint import fmpq

import approx.certification.machine_code as machine_code
from approx import Budget, Target, certify
from approx.certification.arithmetic import Float64
from approx.certification.forward import forward
from approx.certification.hinges import HingeSum, Line
from approx.certification.pieces import Program
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network
from approx.numbers import to_fmpq


def random_line(seed, n=200):
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=n) * 2.0 ** rng.integers(-8, 8, n)
    slope[:3] = 0.0
    zero = np.zeros(n)
    return (slope, zero), (-slope * rng.uniform(-1, 2, n) + (slope == 0), zero), (rng.normal(size=n), zero)


def exact_sum(slope, offset, weight, x):
    terms = zip(slope[0], offset[0], weight[0], strict=True)
    return sum((to_fmpq(w) * max(to_fmpq(a) * x + to_fmpq(b), fmpq(0)) for a, b, w in terms), fmpq(0))


@pytest.mark.parametrize("seed", range(5))
def test_values_lie_within_their_proved_error(seed):
    slope, offset, weight = random_line(seed)
    hinges = HingeSum(Line.of(slope, offset), weight)
    points = np.concatenate([np.random.default_rng(seed).uniform(-1, 2, 40), hinges.kinks[5:25]])
    whole = slice(0, len(points))
    (hi, lo), error, _ = hinges.along((points,), whole, whole)
    assert all(np.array_equal(a, b) for a, b in zip(hinges.values((points,)), (hi, lo), strict=True))
    for x, h, l, e in zip(points, hi, lo, error, strict=True):
        truth = exact_sum(slope, offset, weight, to_fmpq(float(x)))
        assert abs(truth - to_fmpq(float(h)) - to_fmpq(float(l))) <= to_fmpq(float(e))
    assert error.max() < 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_gaps_bound_the_distance_to_the_chord(seed):
    slope, offset, weight = random_line(seed)
    hinges = HingeSum(Line.of(slope, offset), weight)
    left = np.linspace(0, 0.9, 10)
    right = left + 0.1
    gaps = hinges.along((np.concatenate([left, right]),), slice(0, 10), slice(10, 20))[2]
    t = np.linspace(0, 1, 33)
    worst = []
    for a, b, g in zip(left, right, gaps, strict=True):
        v = hinges.values((a + (b - a) * t,))[0]
        worst.append(np.abs(v - (v[0] + (v[-1] - v[0]) * t)).max() / g)
    assert max(worst) <= 1 and max(worst) > 0.02


@pytest.mark.parametrize("tails", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_machine_code_gives_the_bits_of_numpy(seed, tails, monkeypatch):
    pytest.importorskip("numba")
    from approx.certification.machine_code import compiled

    slope, offset, weight = random_line(seed)
    hinges = HingeSum(Line.of(slope, offset), weight)
    rng, kinks = np.random.default_rng(seed), hinges.kinks[:190]
    x = np.concatenate([rng.uniform(-3, 3, 100), np.sort(rng.uniform(-1, 2, 100)), kinks, kinks[::-1], np.nextafter(kinks, 9)])
    points = (x, 1e-20 * rng.normal(size=len(x))) if tails else (x,)
    half, results = len(x) // 2, []
    for code in (None, compiled):
        monkeypatch.setattr(machine_code.State, "find", code)
        monkeypatch.setattr(machine_code.State, "unavailable", "" if code else "switched off")
        total, local = tuple(np.cos(37 * k * x) + 1e-17 * (k > 1) for k in range(1, len(points) + 1)), np.full(half, 1e-19)
        hinges.add_to(total, local, points, half)
        results.append((*total, local))
        assert machine_code.State.find is code  # it was not given up on the way
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_wide_and_plain_programs_give_overlapping_enclosures():
    rng = np.random.default_rng(3)
    b = Builder(1)
    x = b.input()
    form = x
    for k in np.sort(rng.uniform(0, 1, 150)).tolist():
        form = form + float(rng.normal()) * b.relu(x - k)
    net = b.build([b.relu(form) - 0.25 * form])
    wide, plain = Program(net), Program(net, hinges=False)
    assert wide.wide_first and not plain.wide_first
    points = (np.sort(rng.uniform(0, 1, 60)),)
    (v1,), e1 = forward(wide, points, True, Float64)
    (v2,), _ = forward(plain, points, True, Float64)
    exact = evaluate_exact(net, points[0])
    assert all(abs(float(t) - a) <= 1e-12 for t, a in zip([int(e.p) / int(e.q) for e in exact], v1, strict=True))
    assert np.abs(v1 - v2).max() < 1e-12
    middle = 0.5 * (points[0][:-1] + points[0][1:])
    truth = net(middle)
    assert (np.abs(truth - 0.5 * (v1[:-1] + v1[1:])) <= e1 + 1e-12).all()


def test_a_hundred_thousand_pieces_are_certified():
    knots = np.arange(100_001) / 2**17
    values = np.exp(knots)
    slopes = np.diff(values) / np.diff(knots)
    from approx.networks import block, layer

    n = len(knots) - 2
    ptr = np.arange(n + 1)
    hidden = layer("relu", -knots[1:-1], [block(0, ptr, np.zeros(n, int), np.ones(n))])
    out = layer(
        "identity", [values[0]], [block(0, [0, 1], [0], [slopes[0]]), block(1, [0, n], np.arange(n), np.diff(slopes))]
    )
    c = certify(Network(1, [hidden, out]), Target("exp(x)", domain=(0, knots[-1])))
    truth = np.exp(knots[-1]) * 2.0**-34 / 8
    assert c.status == "tight" and 0.98 * truth <= c.upper <= 1.03 * truth


def test_a_forgotten_kink_is_caught(monkeypatch):
    b = Builder(1)
    x = b.input()
    net = b.build([sum((b.relu(x - k / 100) for k in range(1, 100)), 0 * x)])
    f = Target("+".join(f"max(x-{k}/100,0)" for k in range(1, 100)))
    assert certify(net, f, atol=1e-12).upper <= 1e-12
    honest = Line.of

    def careless(slope, offset):
        line = honest(slope, offset)
        return Line(line.slope, line.offset, np.where(np.arange(99) == 50, np.inf, line.kinks), line.order, line.flat)

    monkeypatch.setattr(Line, "of", staticmethod(careless))
    fresh = Network(net.inputs, net.layers)  # what was prepared is kept on the network
    assert certify(fresh, f, atol=1e-12, budget=Budget(regions=2000)).upper > 1e-12
