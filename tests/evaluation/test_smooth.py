"""Are the smooth activations enclosed by their balls, and is sigma_3 what it should be: C^1, increasing, bounded?"""

import numpy as np
import pytest
from flint import arb, fmpq

from approx.evaluation import evaluate, evaluate_balls, smooth
from approx.networks import ACTIVATIONS, Builder
from approx.numbers import working_precision

NAMES = ("exp", "sqrt", "arctan", "softplus", "gelu", "sigma3")


@pytest.mark.parametrize("name", NAMES)
def test_balls_contain_the_float_values_and_those_of_wide_arguments(name):
    assert name in ACTIVATIONS
    b = Builder(1)
    net = b.build([b.unit(b.input(), name)])
    points = np.linspace(0.0 if name == "sqrt" else -5.0, 5.0, 101)
    values = evaluate(net, points)
    with working_precision(80):
        for x, v in zip(points.tolist(), np.asarray(values).tolist(), strict=True):
            (ball,) = evaluate_balls(net, [arb(x)])
            assert ball.rad() < 1e-15 and abs(ball - v) < 1e-14 * (1 + abs(v))
        for x in (-2.0, -1.0, 0.5, 1.0, 1.7):
            if name == "sqrt" and x < 0.3:
                continue
            (wide,) = evaluate_balls(net, [arb(x, 0.25)])
            for t in (x - 0.24, x, x + 0.24):
                (narrow,) = evaluate_balls(net, [arb(t)])
                assert wide.overlaps(narrow) and wide.contains(narrow.mid())
    if name == "sqrt":
        assert evaluate_balls(net, [arb(-1)])[0].is_nan()


def test_sigma3_far_out_keeps_its_sine():
    with working_precision(4000):
        x = arb(2) ** 900 + arb(fmpq(1, 3))
        sine = arb.pi() * x * x * (smooth.sigma3_ball(x) + 3 * smooth.sigma3_ball(-x) - 7)
        assert abs(sine - arb(fmpq(1, 3)).sin_pi()) < 1e-200
