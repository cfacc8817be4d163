"""Do exact numbers of any size survive as text, and is bad text refused?"""

from __future__ import annotations

import time

import pytest
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from approx.numbers import decimal_text, integer_from_text, integer_to_text, rational_from_text, rational_to_text


@given(st.integers())
def test_integers_round_trip(value):
    assert integer_from_text(integer_to_text(value)) == value
    assert decimal_text(value) == str(value) and integer_from_text(str(value)) == value


@given(st.fractions())
def test_rationals_round_trip(value):
    exact = fmpq(value.numerator, value.denominator)
    assert rational_from_text(rational_to_text(exact)) == exact
    assert rational_from_text(f"{value.numerator}/{value.denominator}") == exact


def test_sizes_beyond_pythons_digit_limit():
    huge = 7**40_000
    with pytest.raises(ValueError):
        str(huge)
    start = time.perf_counter()
    assert integer_from_text(integer_to_text(huge)) == huge
    assert integer_from_text(decimal_text(huge)) == huge
    assert rational_from_text(rational_to_text(fmpq(huge, 3))) == fmpq(huge, 3)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    "text", ["", "-", "0x", "0xg", "1_000", " 1", "1 ", "+1", "1e5", "1.5", "--1", "0x-1", "١", None, 5, "0o7"]
)
def test_bad_integers_are_refused(text):
    with pytest.raises(ValueError):
        integer_from_text(text)


@pytest.mark.parametrize("text", ["1/0", "1/-2", "/2", "1/", "1/2/3", None])
def test_bad_rationals_are_refused(text):
    with pytest.raises(ValueError):
        rational_from_text(text)
