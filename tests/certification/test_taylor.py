"""Do Taylor models enclose networks with smooth and periodic activations, and is the enclosure sharp?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Budget, Network, Target, certify
from approx.certification import activation_tables, taylor_forms
from approx.certification.activation_tables import local_series
from approx.certification.special_activations import SPECIAL
from approx.certification.taylor_forms import TaylorProgram
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_balls, evaluate_exact
from approx.evaluation.balls import BALLS
from approx.networks import Builder, dense_block, layer
from approx.numbers import working_precision
from constructions.relu import relu_power

SMOOTH = ["sin", "tanh", "sigmoid", "softplus", "gelu", "arctan", "exp", "exp2"]


def perceptron(rng: np.random.Generator, sizes: tuple[int, ...], names: list[str], scale: float = 1.5) -> Network:
    layers = []
    for k, (name, units) in enumerate(zip([*names, "identity"], sizes[1:], strict=True)):
        matrix = rng.normal(size=(units, sizes[k])) * scale / math.sqrt(sizes[k])
        layers.append(layer(name, 0.5 * rng.normal(size=units), [dense_block(k, matrix)]))
    return Network(sizes[0], layers)


def largest_sampled(network: Network, target: Target, points: np.ndarray) -> arb:
    """A lower bound of sup |f - net|: the largest lower end of balls at the points."""
    best = arb(0)
    with working_precision(120):
        for row in points.reshape(len(points), -1):
            at = [arb(float(v)) for v in row]
            low = abs(target.ball(at) - evaluate_balls(network, at)[0]).lower()
            best = low if low > best else best
    return best


def series_violations(name: str, order: int, rng: np.random.Generator) -> int:
    """Points at which the local polynomial misses the activation (in balls) by more than it claims."""
    found = 0
    for scale in (0.1, 3.0, 12.0, 300.0):
        c, r = rng.normal(size=40) * scale, 10.0 ** rng.uniform(-4, 0.7, size=40)
        if name == "arcsin":
            c = np.clip(c, -0.999, 0.999)
            r = r * (1 - np.abs(c)) / 6
        known = np.zeros(40, dtype=bool)
        local = SPECIAL[name](c, r, order, 0 * c, known) if name in SPECIAL else local_series(name, c, r, order)
        with working_precision(300):
            for i in np.flatnonzero(np.isfinite(local.error)):
                for t in (-r[i], rng.uniform(-r[i], r[i]), r[i]):
                    value = BALLS[name](arb(float(c[i])) + arb(float(t)))
                    powers = [arb(float(s[i])) * arb(float(t)) ** k for k, s in enumerate(local.coefficients)]
                    found += not abs(value - sum(powers, arb(0))) <= arb(float(local.error[i])) * (1 + arb(2) ** -40)
    return found


@pytest.mark.parametrize("name", [*SMOOTH, "arcsin"])
def test_local_series_hold_at_every_scale(name: str) -> None:
    assert series_violations(name, 4, np.random.default_rng(3)) == 0


def test_a_table_without_its_remainder_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        activation_tables, "_largest_derivative", lambda name, order, lower, upper: np.zeros_like(lower)
    )
    assert series_violations("tanh", 4, np.random.default_rng(3)) > 20


@pytest.mark.parametrize("name", SMOOTH)
def test_local_series_are_sharp(name: str) -> None:
    c = np.linspace(-3, 3, 301)
    wide, narrow = (
        (SPECIAL[name](c, np.full(301, r), 4, 0 * c, np.zeros(301, dtype=bool)) if name in SPECIAL
         else local_series(name, c, np.full(301, r), 4)).error.max()
        for r in (0.2, 0.1)
    )  # fmt: skip
    # The remainder is of order 5, whose constant may change a little with the radius.
    assert 2**4.3 < wide / narrow < 2**6.2 and narrow < 1e-3


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("name", SMOOTH)
def test_random_networks_against_ball_sampling(name: str, dimension: int) -> None:
    texts = {1: ["exp(x)", "abs(x-1/3)", "sin(5*x)"], 2: ["x*y", "exp(x-y)"], 3: ["x*y*z"]}[dimension]
    rng = np.random.default_rng(100 * dimension + SMOOTH.index(name))
    for text in texts:
        other = ["relu", "tanh", "abs", name][rng.integers(4)]
        network = perceptron(rng, (dimension, 5, 4, 1), [name, other], 1.2)
        target = Target(text, domain=[(-1, 1)] * dimension)
        found = certify(network, target, rtol=0.05, budget=Budget(seconds=60, regions=40_000))
        assert found.method.startswith("taylor")
        assert found.status == "tight" and found.upper <= 1.05 * found.lower
        sampled = largest_sampled(network, target, rng.uniform(-1, 1, size=(60, dimension)))
        assert sampled <= arb(found.upper) and found.check()


def test_closed_forms() -> None:
    b = Builder(1)
    wave = b.build([3 * b.unit(b.input() * 7, "sin") + fmpq(1, 2)])
    found = certify(wave, Target("0*x", domain=(0, 1)), rtol=1e-6)
    assert found.lower <= 3.5 <= found.upper and found.status == "tight"
    b = Builder(1)
    exact = b.build([b.unit(b.input(), "tanh")])
    found = certify(exact, Target("tanh(x)", domain=(-2, 2)), atol=1e-12)
    assert found.lower == 0.0 and found.upper < 1e-12
    b = Builder(1)
    stairs = b.build([b.unit(3 * b.input(), "floor") / 3])
    found = certify(stairs, Target("x", domain=(0, 1)), rtol=1e-3)
    assert 0.999 / 3 < found.lower <= 1 / 3 <= found.upper <= 0.3337


@pytest.mark.parametrize(("frequency", "seconds"), [(50, 20), (10**7, 20)])
def test_periodic_arguments_are_reduced(frequency: int, seconds: float) -> None:
    # Far from the origin: sin(w x + 10^6) on an interval that holds about one period.
    b = Builder(1)
    network = b.build([b.unit(frequency * b.input() + 10**6, "sin")])
    width = fmpq(1, frequency)
    target = Target(f"sin({frequency}*x+1000000)+1/1024", domain=(0, width))
    found = certify(network, target, rtol=1e-3, budget=Budget(seconds=seconds))
    assert found.lower <= 2.0**-10 <= found.upper <= 2.0**-10 * 1.001


def test_arcsin_of_sin_near_its_ends() -> None:
    # A triangle wave: |sin| <= 1 is known from the graph, so the peaks of the sine are no poles.
    b = Builder(1)
    wave = b.build([b.unit(b.unit(b.input(), "sin"), "arcsin")])
    found = certify(wave, Target("0*x", domain=(0, 3)), rtol=0.01)
    assert found.lower <= math.pi / 2 <= found.upper * (1 + 1e-15) and found.status == "tight"
    b = Builder(1)
    end = b.build([b.unit(b.input(), "arcsin")])
    found = certify(end, Target("x", domain=(-1, 1)), rtol=0.01)
    assert found.lower <= math.pi / 2 - 1 + 1e-15 and found.upper >= math.pi / 2 - 1 and found.status == "tight"


def test_what_is_undefined_or_overflows_fails_closed() -> None:
    b = Builder(1)
    beyond = b.build([b.unit(2 * b.input(), "arcsin")])
    assert certify(beyond, Target("x", domain=(0, 1)), budget=Budget(regions=200)).upper == math.inf
    b = Builder(1)
    tower = b.build([b.unit(b.unit(1000 * b.input(), "exp"), "exp")])
    found = certify(tower, Target("x", domain=(0, 1)), budget=Budget(regions=200))
    assert found.upper == math.inf and found.status == "budget"
    b = Builder(1)
    huge = b.build([b.unit(2.0**500 * b.input(), "tanh")])
    found = certify(huge, Target("0*x", domain=(0, 1)))
    assert found.lower <= 1 <= found.upper <= 1.01
    pole = Target("1/x", domain=(0, 1))
    b = Builder(1)
    assert certify(b.build([b.unit(b.input(), "sin")]), pole, budget=Budget(regions=100)).upper == math.inf


def test_models_enclose_every_unit_of_a_mixed_network() -> None:
    rng = np.random.default_rng(5)
    network = perceptron(rng, (2, 6, 6, 6, 3), ["relu", "sin", "abs"])
    program = TaylorProgram(network, 4)
    centre, half = rng.uniform(-1, 1, size=(30, 2)), np.full((30, 2), 0.05)
    model = program.models(centre, half)
    for _ in range(20):
        u = rng.uniform(-1, 1, size=(30, 2))
        powers = np.stack([np.prod(u ** np.array(a), axis=1) for a in program.monomials.indices])
        polynomial = np.einsum("mun,mn->un", model.coefficients, powers)
        gap = np.abs(network(centre + half * u).T - polynomial)
        assert (gap <= model.error + 1e-13).all()
    assert np.median(model.error) < 0.01


def test_wrong_methods_and_activations() -> None:
    b = Builder(1)
    network = b.build([b.unit(b.input(), "sin")])
    with pytest.raises(UnsupportedError, match="piecewise linear"):
        certify(network, "x", method="pieces")
    with pytest.raises(UnsupportedError, match="piecewise linear"):
        certify(network, "x", method="boxes")
    with pytest.raises(InputError, match="method"):
        certify(network, "x", method="tailor")


def test_an_unknown_activation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taylor_forms, "ADMITTED", frozenset({"identity"}))
    b = Builder(1)
    with pytest.raises(UnsupportedError, match="sin"):
        certify(b.build([b.unit(b.input(), "sin")]), "x", method="taylor")


def test_taylor_agrees_with_exact_pieces() -> None:
    rng = np.random.default_rng(9)
    for _ in range(5):
        network = perceptron(rng, (1, 6, 5, 1), ["relu", "abs"])
        target = Target("cos(2*x)", domain=(-1, 1))
        exact = certify(network, target, rtol=1e-4)
        models = certify(network, target, rtol=1e-3, method="taylor")
        assert models.lower <= exact.upper and exact.lower <= models.upper <= 1.002 * exact.upper


def test_a_poor_first_witness_does_not_end_the_search():
    """A spline of sin that is exact at the first points: the cover's remainders are above that goal, not above the error."""
    f = Target("sin(2*pi*x)")
    network = relu_power(f, 1e-2, power=2).network
    places = np.linspace(0, 1, 5001)
    observed = float(np.abs(network(places) - f(places)).max())
    c = certify(network, f, rtol=0.05)
    assert c.lower >= 0.9 * observed and c.upper <= 1.1 * observed


def test_powers_of_relu_are_followed_exactly_and_tightly():
    for power in (2, 3):
        b = Builder(1)
        x = b.input()
        inner = b.unit(x - fmpq(1, 3), f"relu{power}")
        network = b.build([3 * b.unit(2 * inner - x + fmpq(1, 7), f"relu{power}") - inner])
        text = f"3*max(2*max(x-1/3,0)**{power}-x+1/7,0)**{power} - max(x-1/3,0)**{power} + x/100"
        f = Target(text, (-1, 2))
        c = certify(network, f, rtol=0.05)
        assert c.lower >= 0.0199 and c.upper <= 0.022
        points = [fmpq(k, 10) for k in range(-10, 21)]
        exact = evaluate_exact(network, points)
        assert exact == [f.exact([p]) - p / 100 for p in points]
        balls = [evaluate_balls(network, [arb(p)])[0] for p in points]
        assert all(ball.overlaps(arb(value)) for ball, value in zip(balls, exact, strict=True))
        floats = network(np.array([float(p.p) / float(p.q) for p in points]))
        assert np.allclose(floats, [float(v.p) / float(v.q) for v in exact], rtol=1e-12, atol=1e-12)
