"""Are Taylor coefficients right, in floats and balls, in one to four variables, and valid on whole boxes?"""

from __future__ import annotations

import math
import random

import mpmath
import numpy as np
import pytest
from flint import arb, fmpq
from target_cases import KINKS, ONE_VARIABLE, SEVERAL_VARIABLES, mpf, to_mp

from approx.errors import InputError
from approx.numbers import to_fmpq, working_precision
from approx.targets import Target
from approx.targets.jet_arithmetic import ball_jet
from approx.targets.packed_jets import packing

ORDER = 6


def place(target: Target, part: fmpq) -> fmpq:
    return target.domain.lower[0] + (target.domain.upper[0] - target.domain.lower[0]) * part


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=[r[0] for r in ONE_VARIABLE])
def test_series_against_mpmath(text, domain, reference):
    target = Target(text, domain)
    point = place(target, fmpq(37, 101))
    with working_precision(200), mpmath.workprec(400):
        balls = target.series(point, ORDER)
        truth = mpmath.taylor(reference, mpf(point), ORDER)
        other = ball_jet(target.program, [arb(point)], ORDER)
    floats = target.jet_float(np.array([float(mpf(point))]), ORDER)
    with mpmath.workprec(400):
        for k in range(ORDER + 1):
            scale = 1 + abs(truth[k])
            assert abs(to_mp(balls[k]) - truth[k]) <= to_mp(balls[k].rad()) + scale * mpmath.mpf(10) ** -25
            assert to_mp(balls[k].rad()) < scale * mpmath.mpf(2) ** -150
            assert other[(k,)].overlaps(balls[k]), "two independent recurrences"
            assert abs(floats[(k,)][0] - float(truth[k])) < 1e-9 * float(scale)


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=[r[0] for r in ONE_VARIABLE])
def test_series_on_a_ball_contain_those_of_its_points(text, domain, reference):
    target = Target(text, domain)
    rng = random.Random(7)
    width = target.domain.upper[0] - target.domain.lower[0]
    for part in (fmpq(1, 5), fmpq(33, 100), fmpq(4, 5)):
        centre, radius = place(target, part), width * fmpq(rng.randrange(1, 50), 1000)
        with working_precision(120):
            wide = target.series(arb(centre, radius), 4)
            for k in range(-3, 4):
                inner = target.series(centre + radius * fmpq(k, 3) * fmpq(99, 100), 4)
                for a, b in zip(wide, inner, strict=True):
                    assert not a.is_finite() or not b.is_finite() or a.overlaps(b)
            assert wide[0].is_finite(), "the natural enclosure stays finite at kinks"
            if text not in KINKS:
                assert all(c.is_finite() for c in target.series(arb(centre, width / 10**6), 4))


@pytest.mark.parametrize(("text", "dimension", "reference"), SEVERAL_VARIABLES, ids=[r[0] for r in SEVERAL_VARIABLES])
def test_jets_against_mpmath(text, dimension, reference):
    target = Target(text)
    point = [fmpq(k + 2, 11) for k in range(dimension)]
    order = 3 if dimension <= 2 else 2
    with working_precision(160):
        balls = target.jet(point, order)
        wide = target.jet([arb(x, 0.01) for x in point], order)
        slow = ball_jet(target.program, [arb(x, 0.01) for x in point], order)
    floats = target.jet_float(np.array([[float(mpf(x)) for x in point]]), order)
    assert all(slow[alpha].overlaps(ball) and ball.rad() < 6 * slow[alpha].rad() + 1e-25 for alpha, ball in wide.items())
    assert len(balls) == math.comb(dimension + order, order)
    with mpmath.workdps(60):
        for alpha, ball in balls.items():
            factorial = math.prod(math.factorial(k) for k in alpha)
            truth = mpmath.diff(reference, tuple(mpf(x) for x in point), alpha) / factorial
            assert abs(to_mp(ball) - truth) < mpmath.mpf(10) ** -14 * (1 + abs(truth)), alpha
            assert abs(floats[alpha][0] - float(truth)) < 1e-10 * (1 + abs(float(truth)))
            assert ball.rad() < 1e-35 and wide[alpha].is_finite() and wide[alpha].contains(ball)


def test_jets_of_high_order_in_several_variables():
    target = Target("exp(x+2*y)*1/(1-z/4)")
    jet = target.jet_float(np.array([[0.0, 0.0, 0.0]]), 9)
    for (i, j, k), value in jet.items():
        assert value[0] == pytest.approx(2.0**j / math.factorial(i) / math.factorial(j) / 4.0**k, rel=1e-12)
    with working_precision(100):
        balls = target.jet([0, 0, 0], 5)
        for (i, j, k), ball in balls.items():
            assert ball.overlaps(arb(fmpq(2) ** j) / math.factorial(i) / math.factorial(j) / 4**k)


def test_vectorised_jets_are_those_of_each_point():
    target = Target("sin(x*y) + max(x, y)*abs(x-1/2)")
    rows = np.random.default_rng(8).random((30, 2))
    together = target.jet_float(rows, 3)
    for index, row in enumerate(rows):
        alone = target.jet_float(row[None, :], 3)
        assert all(together[a][index] == alone[a][0] for a in alone)


def test_kinks_have_values_but_no_coefficients():
    target = Target("abs(x-1/3) + relu(x-1/2) + max(x, 2/3)", (0, 1))
    with working_precision(80):
        for kink in (fmpq(1, 3), fmpq(1, 2), fmpq(2, 3)):
            series = target.series(arb(kink, 0.01), 3)
            assert series[0].is_finite() and not any(c.is_finite() for c in series[1:])
            jet = target.jet(arb(kink, 0.01), 2)
            assert jet[(0,)].is_finite() and not jet[(2,)].is_finite()
        smooth = target.series(arb(0.9, 0.05), 3)
        assert smooth[1].contains(3) and smooth[2].is_zero()


def test_packed_variables_do_not_mix():
    for dimension in (2, 3, 4):
        for order in (1, 2, 3, 4):
            _, length, table = packing(dimension, order)
            powers = [power for _, power in table]
            assert len(set(powers)) == len(table) == math.comb(dimension + order, order) and max(powers) == length - 1
            degrees = [sum(exponent) for exponent, _ in sorted(table, key=lambda row: row[1])]
            assert degrees == sorted(degrees), "graded by the total degree"


def test_fractional_powers_at_zero_have_the_derivatives_that_exist():
    with working_precision(80):
        series = Target("x**(5/2)").series(arb(0.05, 0.05), 4)
        assert series[2].contains(0) and series[2].abs_upper() < 0.6 and not series[3].is_finite()
        cube = Target("(x**2)**(3/2)", (-1, 1)).series(0, 4)
        assert not cube[3].is_finite(), "the third derivative of |x|^3 jumps"
        assert not Target("x**(-1/2)").series(arb(0.05, 0.05), 1)[0].is_finite()


def test_slopes_contain_all_difference_quotients():
    rng = random.Random(9)
    for text in ("abs(x-1/3)", "max(x**2, 1-x)", "relu(sin(7*x))*exp(x)", "abs(abs(x-1/2)-1/4)", "min(x, 1/2)/(1+x)",
                 "sqrt(1+abs(x-1/2))", "x**(3/2)*max(x, 1/4)"):  # fmt: skip
        target = Target(text)
        for _ in range(20):
            centre, radius = rng.random(), rng.random() * 0.2
            with working_precision(100):
                slope = target.slope_ball(arb(centre, radius))
                a = to_fmpq(centre) + to_fmpq(radius) * to_fmpq(rng.uniform(-1, 1))
                b = to_fmpq(centre) + to_fmpq(radius) * to_fmpq(rng.uniform(-1, 1))
                if a == b:
                    continue
                quotient = (target.ball(a) - target.ball(b)) / arb(a - b)
                assert slope.is_finite() and slope.overlaps(quotient), (text, centre, radius)


def test_slope_at_a_kink_is_the_hull():
    with working_precision(64):
        slope = Target("abs(x)", (-1, 1)).slope_ball(arb(0))
        assert slope.contains(1) and slope.contains(-1) and slope.rad() < 1.001
        slopes = Target("max(x, y)").slope_ball([arb(0.5), arb(0.5)])
        assert all(s.contains(0) and s.contains(1) and s.rad() < 0.501 for s in slopes)
        assert not Target("sqrt(x)").slope_ball(arb(0)).is_finite()


def test_scaled_series():
    target = Target("exp(x)")
    with working_precision(100):
        plain, scaled = target.series(0.5, 5), target.series(0.5, 5, 0.25)
        assert all(b.overlaps(a * 0.25**k) for k, (a, b) in enumerate(zip(plain, scaled, strict=True)))


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError):
        Target("x*y").series(0.5, 2)
    with pytest.raises(InputError):
        Target("x*y").jet_float(np.zeros((3, 3)), 2)
    with pytest.raises(InputError):
        Target("x*y").jet([0.5], 2)
