"""Do numbers keep their exact value when they change type, and do directed roundings go the right way?"""

from __future__ import annotations

import math
from fractions import Fraction

import gmpy2
import mpmath
import numpy as np
import pytest
from flint import arb, fmpq, fmpz
from hypothesis import given
from hypothesis import strategies as st

from approx.errors import InputError
from approx.numbers import (
    arb_interval,
    exact_ball,
    float_down,
    float_up,
    to_arb,
    to_float,
    to_fmpq,
    to_fraction,
    to_mpf,
    to_mpq,
    working_precision,
)

HALF = [
    0.5, Fraction(1, 2), gmpy2.mpq(1, 2), gmpy2.mpfr(0.5), fmpq(1, 2), arb(0.5), mpmath.mpf(0.5), np.float64(0.5),
    np.float32(0.5), np.float16(0.5), np.array(0.5),
]  # fmt: skip
THREE = [3, True + 2, fmpz(3), gmpy2.mpz(3), np.int64(3), np.uint8(3), np.int32(3), 3.0, arb(3), mpmath.mpf(3)]
LARGEST = float(np.finfo(np.float64).max)
SMALLEST = 5e-324
rationals = st.fractions(max_denominator=10**30)


@pytest.mark.parametrize("value", HALF, ids=lambda value: type(value).__name__)
def test_every_type_gives_the_same_exact_value(value):
    assert to_fmpq(value) == fmpq(1, 2)
    assert to_fraction(value) == Fraction(1, 2)
    assert to_mpq(value) == gmpy2.mpq(1, 2)
    assert to_float(value) == 0.5
    assert to_mpf(value, 80) == mpmath.mpf(0.5)
    assert to_arb(value).contains(fmpq(1, 2))


@pytest.mark.parametrize("value", THREE, ids=lambda value: type(value).__name__)
def test_integers(value):
    assert to_fmpq(value) == 3 and isinstance(to_fmpq(value), fmpq)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, np.float32("nan"), mpmath.inf, mpmath.nan, arb("nan"), arb(1, 0.1), arb("inf"),
     "1/3", None, 1j, [1], gmpy2.mpfr("nan"), gmpy2.mpfr("inf"), np.array([1.0, 2.0])],
    ids=repr,
)  # fmt: skip
def test_what_has_no_exact_rational_value_is_refused(value):
    with pytest.raises(InputError):
        to_fmpq(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_dyadic_rational_that_it_is(value):
    assert to_fraction(value) == Fraction(value)
    assert float_down(value) == float_up(value) == value
    assert to_float(to_fmpq(value)) == value


def test_a_decimal_literal_is_not_the_float():
    assert to_fmpq(0.1) != fmpq(1, 10)
    with working_precision(200):
        assert not to_arb(0.1).contains(fmpq(1, 10))


@given(rationals)
def test_directed_rounding_of_rationals(value):
    exact = to_fmpq(value)
    low, high = float_down(exact), float_up(exact)
    assert Fraction(low) <= value <= Fraction(high)
    assert high == low or high == math.nextafter(low, math.inf)
    assert to_float(exact) == value.numerator / value.denominator


@given(rationals, st.integers(2, 300))
def test_directed_rounding_of_balls(value, bits):
    with working_precision(bits):
        ball = to_arb(value)
        low, high = float_down(ball), float_up(ball)
        assert arb(low) <= ball.lower() and arb(high) >= ball.upper()
        assert low <= float_down(to_fmpq(value)) and high >= float_up(to_fmpq(value))


def test_rounding_at_the_ends_of_the_range():
    huge, tiny = fmpq(10) ** 400, 1 / fmpq(10) ** 400
    assert (float_down(huge), float_up(huge)) == (LARGEST, math.inf)
    assert (float_down(-huge), float_up(-huge)) == (-math.inf, -LARGEST)
    assert (float_down(tiny), float_up(tiny)) == (0.0, SMALLEST)
    assert (float_down(-tiny), float_up(-tiny)) == (-SMALLEST, 0.0)
    for exact in (huge, -huge, tiny, -tiny):
        with working_precision(64):
            ball = arb(exact)
            assert float_down(ball) <= float_down(exact) and float_up(ball) >= float_up(exact)
    assert float_up(arb(tiny)) == SMALLEST and float_down(arb(huge)) == LARGEST
    assert to_float(huge) == math.inf and to_float(-huge) == -math.inf and to_float(tiny) == 0.0
    subnormal = fmpq(3, 2) * to_fmpq(SMALLEST)
    assert (float_down(subnormal), float_up(subnormal)) == (SMALLEST, 2 * SMALLEST)
    assert (float_down(arb(subnormal)), float_up(arb(subnormal))) == (SMALLEST, 2 * SMALLEST)


def test_nan_fails_closed_in_both_directions():
    assert float_down(arb("nan")) == -math.inf and float_up(arb("nan")) == math.inf
    unbounded = arb(0, float("inf"))
    assert float_down(unbounded) == -math.inf and float_up(unbounded) == math.inf
    with pytest.raises(InputError):
        float_down(math.nan)


@given(rationals, rationals, st.integers(2, 200))
def test_an_interval_ball_contains_both_ends_and_what_lies_between(first, second, bits):
    with working_precision(bits):
        ball = arb_interval(first, second)
        for value in (first, second, (first + second) / 2):
            assert ball.contains(to_fmpq(value))
    with working_precision(200):
        tight = arb_interval(first, second)
        assert tight.rad() <= abs(arb(to_fmpq(first - second))) * (0.5 + 1e-8) + arb(to_fmpq(abs(first))) * 2.0**-190


def test_exact_ball_keeps_a_power_of_two_radius():
    assert exact_ball(0.5, 0.5).lower() == 0
    assert not arb(0.5, 0.5).lower() >= 0, "flint itself widens the radius; if not, exact_ball is no longer needed"
    assert exact_ball(1 / 3, 0.0).is_exact()
    assert not exact_ball(math.nan, 1.0).is_finite()


def test_mpf_of_a_rational_is_rounded_to_the_given_bits():
    assert abs(to_mpf(fmpq(1, 3), 200) - mpmath.mpf(1) / 3) < mpmath.mpf(2) ** -50
    halfway = fmpq(2**60 + 2**30 + 1, 3 * 2**60)
    assert float(to_mpf(halfway, 53)) == to_float(halfway), "one rounding, not two"
    with mpmath.workprec(300):
        assert abs(to_mpf(fmpq(1, 3), 300) * 3 - 1) < mpmath.mpf(2) ** -298
