"""Suprema that are known in closed form, in one variable: sawtooths, triangle waves, hats, and rational answers."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from flint import fmpq

from approx import Target, certify
from approx.certification import decompose
from approx.certification.exact_supremum import exact_supremum
from approx.errors import UnsupportedError
from approx.networks import Builder, identity
from approx.numbers import to_fmpq
from constructions.relu.square import square, square_form

RTOL = 0.01


def triangle_wave(times):
    """g composed `times` times, g(x) = 1 - |2x - 1|: 2^times pieces between 0 and 1."""
    b = Builder(1)
    form = b.input()
    for _ in range(times):
        form = b.relu(2 * form) - b.relu(4 * form - 2)
    return b.build([form])


@pytest.mark.parametrize("times", [1, 2, 5, 10, 14])
def test_triangle_waves(times):
    """sup |wave - 1/3| = 2/3, and wave - x is largest, 1 - 2^-times, at the first peak."""
    net = triangle_wave(times)
    for text, truth in (("1/3+0*x", fmpq(2, 3)), ("x", max(1 - fmpq(1, 2**times), fmpq(1)))):
        c = certify(net, Target(text))
        assert to_fmpq(c.lower) <= truth <= to_fmpq(c.upper) <= truth * (1 + to_fmpq(2 * RTOL)), (times, text)
    assert len(decompose(net, 0.0, 1.0)) == 2**times + 1


@pytest.mark.parametrize("pieces", [1, 3, 10, 100, 1000])
def test_hat_interpolants_of_the_square(pieces):
    """On a piece of width w the interpolant of x^2 errs by w^2/4 exactly (f''/2 (w/2)^2), whatever the knots."""
    b = Builder(1)
    x = b.input()
    knots = [fmpq(k * k + k * pieces, 2 * pieces * pieces) for k in range(pieces + 1)]  # widths grow linearly
    form = knots[1] * x
    for p, q, r in zip(knots, knots[1:], knots[2:], strict=False):
        form = form + (r - p) * b.relu(x - q)
    net = b.build([form])
    truth = max((q - p) ** 2 for p, q in itertools.pairwise(knots)) / 4
    c = certify(net, Target("x**2"))
    assert to_fmpq(c.lower) <= truth <= to_fmpq(c.upper) <= truth * (1 + to_fmpq(2 * RTOL))
    if pieces <= 100:
        assert exact_supremum(net, Target("x**2")).value == truth


@pytest.mark.parametrize("m", [1, 2, 3, 6, 9])
def test_exact_answers_of_sawtooth_squares(m):
    c = certify(square(m), Target("x**2"), method="exact")
    assert c.lower == c.upper == 4.0 ** -(m + 1) and c.status == "tight" and c.check("full")


RATIONAL = {
    "x**3": (fmpq(-1), fmpq(1), None, 2 / (3 * math.sqrt(3))),
    "x**3-x/3": (fmpq(0), fmpq(2), fmpq(16, 3), 16 / 3),
    "1/(1+x)": (fmpq(0), fmpq(1), fmpq(1), 1.0),
    "max(x,1/7-x)": (fmpq(0), fmpq(1), fmpq(1, 7), 1 / 7),
    "abs(x**2-1/4)": (fmpq(-1), fmpq(1), fmpq(7, 4), 1.75),
    "x+(x-1/3)*(2/3-x)": (fmpq(0), fmpq(1), fmpq(2, 9), 2 / 9),
    "abs(x)": (fmpq(0), fmpq(1), fmpq(0), 0.0),
}


@pytest.mark.parametrize("text", RATIONAL)
def test_rational_targets_are_answered_exactly(text):
    lower, upper, value, truth = RATIONAL[text]
    f = Target(text, (lower, upper))
    found = exact_supremum(identity(1, 1), f)
    assert found.value == value
    c = certify(identity(1, 1), f, method="exact")
    assert c.lower <= truth * (1 + 1e-15) and truth <= c.upper * (1 + 1e-15) and c.upper <= c.lower * (1 + 1e-15)
    assert c.check("witness")
    if truth > 0 and value is not None:  # what is irrational, or 0, balls cannot prove to the last digit
        assert c.check("full"), text


def test_a_wrong_exact_answer_is_rejected():
    c = certify(identity(1, 1), Target("x**3-x/3", (0, 2)), method="exact")
    assert not replace(c, upper=c.lower * (1 - 1e-12), lower=0.0).check("full")


@pytest.mark.parametrize("text", ["exp(x)", "1/(x-1/2)", "abs(x**2-1/3)", "sqrt(x)"])
def test_no_exact_answer_is_said_so(text):
    with pytest.raises(UnsupportedError, match="exact"):
        certify(identity(1, 1), Target(text), method="exact")


def test_an_exact_zero_is_found_where_no_ball_could():
    b = Builder(1)
    x = b.input()
    c = certify(b.build([fmpq(1, 3) - x + 2 * b.relu(x - fmpq(1, 3))]), Target("abs(x-1/3)"))
    assert (c.lower, c.upper, c.status) == (0.0, 0.0, "tight")


# -- metamorphic relations -----------------------------------------------------------------------------------------------


def overlap(a, b, factor=1):
    return max(factor * a.lower, b.lower) <= min(factor * a.upper, b.upper) * (1 + 1e-14)


@pytest.fixture(scope="module")
def pair():
    b = Builder(1)
    x = b.input()
    net = b.build([square_form(b, b.relu(fmpq(1, 5) + fmpq(3, 4) * square_form(b, x, 6)), 5) - b.relu(x - fmpq(1, 3)) / 9])
    return net, Target("(1/5+3/4*x**2)**2-max(0,x-1/3)/9")


def test_scaling_by_powers_of_two_scales_the_enclosure(pair):
    net, f = pair
    c = certify(net, f)
    for k in (-40, 3, 40):
        d = certify(fmpq(2) ** k * net, Target(f"({fmpq(2) ** k})*({f.text})"))
        assert overlap(c, d, 2.0**k) and c.status == d.status == "tight"


def test_an_affine_change_of_the_domain_changes_nothing(pair):
    net, f = pair
    b = Builder(1)
    inner = b.build([(b.input() - 7) / 3])  # [7, 10] -> [0, 1]
    moved = Target(re.sub(r"\bx\b", "((x-7)/3)", f.text), (7, 10))
    assert overlap(certify(net, f), certify(net @ inner, moved))


def test_padding_and_permuting_change_nothing(pair):
    net, f = pair
    c = certify(net, f)
    assert overlap(c, certify(identity(1, 3) @ net, f))
    b, x = Builder(1), None
    x = b.input()
    units = [b.relu(x - fmpq(k, 17)) for k in range(12)]
    weights = [fmpq((7 * k) % 13 - 6, 5) for k in range(12)]
    order = np.random.default_rng(3).permutation(12).tolist()
    d = Builder(1)
    y = d.input()
    shuffled = {k: d.relu(y - fmpq(k, 17)) for k in order}
    first = certify(b.build([sum((w * u for w, u in zip(weights, units, strict=True)), x)]), Target("sin(x)"))
    second = certify(d.build([sum((weights[k] * shuffled[k] for k in order), y)]), Target("sin(x)"))
    assert overlap(first, second)


def test_splitting_the_domain_gives_the_maximum(pair):
    net, f = pair
    whole = certify(net, f)
    cuts = [fmpq(0), fmpq(1, 7), fmpq(1, 3), fmpq(5, 8), fmpq(1)]
    parts = [certify(net, f, domain=(a, b)) for a, b in itertools.pairwise(cuts)]
    assert max(p.lower for p in parts) <= whole.upper and max(p.upper for p in parts) >= whole.lower
    assert all(p.status == "tight" for p in parts)
