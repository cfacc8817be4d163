"""Do ball jets certify where float64 cannot: huge weights, huge arguments, cancellation?"""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Budget, Network, Target, certify
from approx.certification import ball_boxes
from approx.certification.ball_boxes import ADMITTED, difference_program
from approx.errors import UnsupportedError
from approx.evaluation import evaluate_balls
from approx.networks import Builder, dense_block, layer
from approx.numbers import working_precision
from approx.targets.balls import ball_value


def sine(frequency: fmpq, phase: fmpq) -> Network:
    b = Builder(1)
    return b.build([b.unit(frequency * b.input() + phase, "sin")])


@pytest.mark.parametrize("method", ["balls", "auto"])
def test_a_sine_whose_argument_has_two_hundred_bits(method: str) -> None:
    """Also where `constructions` is imported, whose reading as a sum of sines is valid, but wide."""
    import constructions  # noqa: F401

    w, phase = 2**60, 2**200
    target = Target(f"sin({w}*x+{phase})+1/1024", domain=(0, fmpq(4, w)))
    found = certify(sine(fmpq(w), fmpq(phase)), target, rtol=1e-3, method=method, budget=Budget(seconds=30))
    assert found.status == "tight" and found.lower <= 2.0**-10 <= found.upper and "balls" in found.method
    assert found.check()


def test_cancellation_beyond_float64() -> None:
    # 10^9 (tanh(x + 10^-7) - tanh(x)) is 100 sech^2 up to a second order term, which drowns in the rounding of float64.
    b = Builder(1)
    x = b.input()
    network = b.build([10**9 * b.unit(x + fmpq(1, 10**7), "tanh") - 10**9 * b.unit(x, "tanh")])
    found = certify(network, Target("100*(1-tanh(x)**2)", domain=(-1, 1)), rtol=0.2, budget=Budget(seconds=40))
    # The term is 100 * 10^-7 |tanh''|/2 with max |tanh''| = 4/(3 sqrt 3).
    assert found.status == "tight" and "limited by rounding" in found.method
    assert found.lower <= 2e-5 / (3 * 3**0.5) * 1.0001 and found.upper >= 2e-5 / (3 * 3**0.5) * 0.9999


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("name", sorted(ADMITTED - {"identity", "arcsin", "sqrt"}))
def test_balls_and_models_agree(name: str, dimension: int) -> None:
    rng = np.random.default_rng(7 + dimension)
    hidden = layer(name, rng.normal(size=3), [dense_block(0, rng.normal(size=(3, dimension)))])
    network = Network(dimension, [hidden, layer("identity", [0.25], [dense_block(1, rng.normal(size=(1, 3)))])])
    target = Target("x**2" if dimension == 1 else "x*y", domain=[(-1, 1)] * dimension)
    balls = certify(network, target, rtol=0.05, method="balls", budget=Budget(seconds=30))
    models = certify(network, target, rtol=0.05, method="taylor")
    assert balls.status == models.status == "tight"
    assert balls.lower <= models.upper and models.lower <= balls.upper and balls.check() and balls.check("regions")


def test_the_program_is_target_minus_network() -> None:
    b = Builder(2)
    units = [b.unit(b.input(0) * fmpq(1, 3) + b.input(1), name) for name in sorted(ADMITTED - {"identity", "arcsin", "sqrt"})]
    network = b.build([sum(units[1:], units[0]) - fmpq(1, 7)])
    target = Target("x*exp(y)", domain=[(-1, 1)] * 2)
    program = difference_program(network, target)
    with working_precision(120):
        for x, y in ((0.5, -0.25), (-1.0, 1.0), (0.0, 0.0)):
            at = [arb(x), arb(y)]
            value = target.ball(at) - evaluate_balls(network, at)[0]
            assert abs(ball_value(program, at, True) - value) < arb(2) ** -90


def test_a_search_without_its_remainder_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    network, target = sine(fmpq(20), fmpq(1)), Target("0*x", domain=(0, 1))
    assert certify(network, target, method="balls").check()
    correct = ball_boxes.SeriesProgram.run

    def faulty(self: ball_boxes.SeriesProgram, point: arb, order: int, *rest: object) -> list[arb]:
        found = correct(self, point, order, *rest)  # type: ignore[arg-type]
        return [*found[:3], arb(0)] if order == 3 else found

    monkeypatch.setattr(ball_boxes.SeriesProgram, "run", faulty)
    assert not certify(network, target, method="balls").check()


def test_networks_without_models_go_to_balls() -> None:
    b = Builder(1)
    root = b.build([b.unit(b.input() + 1, "sqrt")])
    found = certify(root, Target("1+x/2", (0, 1)), rtol=1e-3)
    assert found.lower <= 1.5 - 2**0.5 <= found.upper and found.status == "tight" and found.method.startswith("balls")
    b = Builder(1)
    huge = b.build([b.unit(fmpq(1, 3 * 2**1010) * b.input() + fmpq(1, 2), "tanh")])
    with pytest.raises(UnsupportedError, match="balls"):
        certify(huge, "0*x", method="taylor")
    found = certify(huge, Target("tanh(1/2)", (0, 1)), atol=1e-200)
    assert found.upper <= 1e-200 and found.method.startswith("balls")


def test_what_balls_cannot_hold() -> None:
    b = Builder(1)
    with pytest.raises(UnsupportedError, match="floor"):
        certify(b.build([b.unit(b.input(), "floor")]), "x", method="balls")
    b = Builder(1)
    beyond = b.build([b.unit(2 * b.input(), "arcsin")])
    assert certify(beyond, "x", method="balls", budget=Budget(regions=300)).upper == np.inf
    assert certify(sine(fmpq(1), fmpq(0)), "1/x", method="balls", budget=Budget(regions=300)).upper == np.inf
