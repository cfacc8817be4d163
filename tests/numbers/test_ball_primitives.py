"""Are the ball primitives sound where Python's builtins and flint are not? Each known trap is planted."""

from __future__ import annotations

import math
import pickle

import pytest
from flint import arb, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from approx.errors import InputError
from approx.numbers import (
    absolute,
    asin,
    ball_from_pair,
    ball_to_pair,
    clip,
    maximum,
    minimum,
    relu,
    sin,
    to_fmpq,
    working_precision,
)

centres = st.floats(-4, 4)
radii = st.one_of(st.just(0.0), st.floats(0, 3))
parts = st.floats(-1, 1)
NAN = arb("nan")


def ball(centre: float, radius: float) -> arb:
    return arb(centre, radius)


def holds(x: arb, point: fmpq) -> bool:
    """Whether a finite ball contains a rational, in exact arithmetic (`contains` rounds the rational first)."""
    return abs(point - to_fmpq(x.mid())) <= to_fmpq(x.rad())


def inside(centre: float, radius: float, part: float) -> fmpq:
    """An exact point of the ball."""
    return to_fmpq(centre) + to_fmpq(radius) * to_fmpq(part)


def test_trap_builtin_max_of_balls_is_unsound_and_ours_is_not():
    assert max(arb(0), arb(0, 1)) == 0, "the builtin returns the exact ball 0: the trap is still there"
    ours = maximum(arb(0), arb(0, 1))
    assert ours.contains(1) and ours.contains(0)
    assert relu(arb(0, 1)).contains(1)
    assert minimum(arb(0), arb(0, 1)).contains(-1)


def test_trap_branching_on_a_ball():
    straddling = arb(0, 1)
    branch = straddling if straddling > 0 else arb(0)
    assert not branch.contains(1), "`x if x > 0 else 0` loses the positive half"
    assert relu(straddling).contains(fmpq(9, 10))


def test_trap_asin_past_one():
    beyond = arb(1, 1e-10)
    assert beyond.asin().is_nan()
    assert asin(beyond).is_nan(), "not proved to lie in [-1, 1]"
    value = asin(beyond, assume_in_range=True)
    assert value.is_finite() and value.contains(arb(1).asin().mid()) and value.rad() < 1e-4
    assert asin(arb(2), assume_in_range=True).is_nan() and asin(arb(-3, 1), assume_in_range=True).is_nan()


def test_asin_at_the_very_ends():
    with working_precision(100):
        assert asin(arb(1)).overlaps(arb.pi() / 2) and asin(arb(-1)).overlaps(-arb.pi() / 2)
        wide = asin(arb(0, 1), assume_in_range=True)
        assert wide.contains(fmpq(157, 100)) and wide.contains(fmpq(-157, 100)) and wide.rad() < 1.571


def test_trap_sine_of_huge_arguments():
    with working_precision(53):
        exact = arb(2) ** 400 + 1
    with working_precision(1000):
        reference = (arb(2) ** 400).sin()
    with working_precision(53):
        value = sin(arb(2) ** 400)
        assert value.rad() < 1e-14 and value.overlaps(reference)
        assert sin(exact).is_finite()
        narrow = sin(arb(1e300, 1e-3))
        assert narrow.rad() < 2e-3
        assert sin(arb(1e300, 10)).contains(1) and sin(arb(1e300, 10)).contains(-1)
        assert not sin(NAN).is_finite()


def test_trap_floats_are_taken_as_exact():
    tenth = arb(0.1)
    assert tenth.is_exact() and not tenth.contains(fmpq(1, 10))


def test_trap_equality_of_balls_is_not_identity():
    with working_precision(53):
        third = arb(fmpq(1, 3))
    assert not third == third  # noqa: SIM201
    assert ball_to_pair(third) == ball_to_pair(ball_from_pair(ball_to_pair(third)))


def test_trap_balls_do_not_pickle_but_pairs_do():
    with pytest.raises(TypeError):
        pickle.dumps(arb(1.5))
    with working_precision(80):
        third = arb(fmpq(1, 3))
    again = ball_from_pair(pickle.loads(pickle.dumps(ball_to_pair(third))))
    assert ball_to_pair(again) == ball_to_pair(third)


def test_trap_precision_is_global_and_restored_after_errors():
    before = ctx.prec
    with pytest.raises(RuntimeError), working_precision(200):
        assert ctx.prec == 200
        raise RuntimeError
    assert ctx.prec == before
    with working_precision(300), working_precision(20):
        assert ctx.prec == 20
    assert ctx.prec == before
    for bits in (0, 1, 10**9):
        with pytest.raises(ValueError), working_precision(bits):
            pass


@given(centres, radii, parts, st.integers(10, 120))
def test_inclusion_of_points(centre, radius, part, bits):
    point = inside(centre, radius, part)
    with working_precision(bits):
        x = ball(centre, radius)
        images = relu(x), absolute(x), clip(x, -1, 1), sin(x), asin(x, assume_in_range=True)
    assert holds(images[0], point if point > 0 else fmpq(0))
    assert holds(images[1], abs(point))
    assert holds(images[2], min(max(point, fmpq(-1)), fmpq(1)))
    with working_precision(400):
        assert images[3].overlaps(arb(point).sin())
        if abs(point) <= 1:
            assert images[4].overlaps(arb(point).asin())


@given(centres, radii, parts, centres, radii, parts)
def test_inclusion_of_pairs(c1, r1, p1, c2, r2, p2):
    first, second = inside(c1, r1, p1), inside(c2, r2, p2)
    assert holds(maximum(ball(c1, r1), ball(c2, r2)), max(first, second))
    assert holds(minimum(ball(c1, r1), ball(c2, r2)), min(first, second))


@given(centres, st.floats(0, 1), parts, st.floats(0, 1))
def test_monotone_inclusion(centre, radius, part, share):
    smaller = arb(to_fmpq(centre) + to_fmpq(radius) * to_fmpq(part) / 2, to_fmpq(radius) * to_fmpq(share) / 4)
    larger = ball(centre, radius)
    slack = arb(0, 1e-8)
    for function in (relu, absolute, lambda x: clip(x, -1, 1), sin, lambda x: asin(x, True)):
        whole = function(larger)
        part_image = function(smaller)
        if whole.is_finite() and part_image.is_finite():
            assert (whole + slack).contains(part_image)


def test_results_are_sharp_too():
    assert relu(arb(-2, 1)).is_zero() and relu(arb(2, 1)).rad() <= 1.0001
    assert relu(arb(0, 1)).rad() < 0.5001 and absolute(arb(0, 1)).rad() < 1.0001
    assert maximum(arb(0), arb(5)) == 5 and clip(arb(7, 1), 0, 1) == 1


@pytest.mark.parametrize(
    "function", [relu, absolute, sin, asin, lambda x: maximum(x, arb(0)), lambda x: minimum(arb(0), x)]
)
def test_nan_and_infinity_fail_closed(function):
    assert not function(NAN).is_finite()
    unbounded = function(arb(0, float("inf")))
    assert unbounded.is_nan() or unbounded.contains(1) or not unbounded.is_finite()


@given(st.floats(-1e300, 1e300), st.one_of(st.just(0.0), st.floats(1e-300, 1e300)), st.integers(5, 200))
def test_pairs_give_back_the_identical_ball(centre, radius, bits):
    with working_precision(bits):
        x = arb(centre, radius) * arb(1.25, 0.125)
    for read_bits in (20, 400):
        with working_precision(read_bits):
            again = ball_from_pair(ball_to_pair(x))
            assert ball_to_pair(again) == ball_to_pair(x) and again.contains(x)


@pytest.mark.parametrize("special", ["nan", "inf", "-inf"])
def test_special_balls_as_pairs(special):
    again = ball_from_pair(ball_to_pair(arb(special)))
    assert not again.is_finite()
    assert not ball_from_pair(ball_to_pair(arb(0, math.inf))).is_finite()


@pytest.mark.parametrize("pair", [None, "ab", ("1",), ("0x1*2^0", "-0x1*2^0"), ("1.5", "0"), ("0x1*2^z", "0x0*2^0"),
                                  ("0x1*2^" + "9" * 30, "0x0*2^0"), (1, 2)])  # fmt: skip
def test_malformed_pairs_are_refused(pair):
    with pytest.raises(InputError):
        ball_from_pair(pair)
