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


def test_the_two_imitations_by_sigma3_stay_within_their_bounds():
    """sin(pi y) within 3 |y|/X, arcsin v within pi sqrt(tau/2) + 44 (tau + e), also where v leaves [-1, 1] by e."""
    with working_precision(2000):
        x = arb(2) ** 40
        for k in range(-40, 41):
            y = arb(fmpq(k, 3))
            sine = arb.pi() * x * x * (smooth.sigma3_ball(x + y) + 3 * smooth.sigma3_ball(-x - y) - 7)
            assert abs(sine - y.sin_pi()) <= 3 * abs(y) / x
        worst = 0.0
        for exponent in (6, 20, 60):
            tau = arb(2) ** -exponent
            for v in [arb(k) / 16 for k in range(-16, 17)] + [
                s * (1 + e) for s in (-1, 1) for e in (tau / 3, -tau / 3, 5 * tau)
            ]:
                found = arb.pi() * (
                    (smooth.sigma3_ball(v + tau) - smooth.sigma3_ball(v - tau)) / (2 * tau) - arb(fmpq(3, 2))
                )
                over = max(0.0, float(abs(v)) - 1)
                inside = arb(1) if v > 1 else arb(-1) if v < -1 else v
                gap, bound = abs(found - inside.asin()), arb.pi() * (tau / 2).sqrt() + 44 * (tau + over)
                assert gap <= bound
                worst = max(worst, float(gap / bound))
        assert worst > 0.2  # the bound is not idle
