"""Are closed forms exact numbers: field rules, enclosures, texts, and nothing else accepted?"""

import random

import pytest
from flint import arb, fmpq

from approx.errors import ApproxError
from approx.numbers import ClosedForm, arccos, log2, nearest_float, pi, reciprocal, to_ball, working_precision

THETA = arccos(fmpq(1, 512))


def random_form(rng):
    total = fmpq(0)
    for _ in range(rng.randint(1, 4)):
        factor = fmpq(rng.randint(-9, 9), rng.randint(1, 9))
        for base in rng.sample([pi(), log2(), THETA, arccos(fmpq(-1, 3)), reciprocal(pi())], rng.randint(0, 2)):
            factor = base * factor
        total = total + factor
    return total


def test_arithmetic_agrees_with_balls():
    rng = random.Random(5)
    with working_precision(200):
        for _ in range(60):
            a, b = random_form(rng), random_form(rng)
            for exact, ball in (
                (a + b, to_ball(a) + to_ball(b)),
                (a - b, to_ball(a) - to_ball(b)),
                (a * b, to_ball(a) * to_ball(b)),
            ):
                assert to_ball(exact).overlaps(ball) and (to_ball(exact) - ball).abs_upper() < 2.0**-150


def test_formally_rational_results_become_rational_and_special_cosines_multiples_of_pi():
    assert pi() * reciprocal(pi()) == fmpq(1) and (THETA - THETA) == 0 and isinstance(THETA - THETA, fmpq)
    assert arccos(fmpq(-1, 2)) == 2 * pi() / 3 and arccos(0) == pi() / 2 and arccos(1) == 0
    assert fmpq(1, 2) * pi() + 1 == 1 + pi() / 2 and 3 - pi() == -(pi() - 3)
    assert nearest_float(pi()) == 3.141592653589793 and nearest_float(fmpq(10) ** 400 * pi()) == float("inf")


def test_texts_come_back_exactly_and_nothing_else_is_read():
    rng = random.Random(6)
    for _ in range(40):
        a = random_form(rng)
        if isinstance(a, ClosedForm):
            assert ClosedForm.from_text(a.to_text()) == a and a.bits > 0
    for text in ("0x1", "pi^1", "0x1*pi^99999", "0x1*exp(0x1)^1", "0x1*acos(0x2)^1", "0x1*acos(0x1/0x2)^1", "",
                 "0x1*__import__^1", "0x1*pi^1+" * 2000 + "0x1"):  # fmt: skip
        with pytest.raises((ApproxError, ValueError)):
            ClosedForm.from_text(text)


def test_refusals():
    for bad in (lambda: arccos(2), lambda: reciprocal(pi() + 1), lambda: pi() / 0, lambda: pi() + "x"):
        with pytest.raises((ApproxError, TypeError, ZeroDivisionError)):
            bad()


def test_a_wrong_enclosure_would_be_seen():
    """Planted fault: another angle has another ball."""
    with working_precision(100):
        assert not to_ball(THETA).overlaps(arb(fmpq(1, 513)).acos())
