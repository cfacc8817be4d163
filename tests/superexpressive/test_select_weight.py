"""Does one exact number hold N prescribed values to the last promised bit, and is a wrong one caught?"""

import dataclasses
import random

import numpy as np
import pytest
from flint import arb, fmpq

from approx.errors import InputError, UnreachableError
from approx.numbers import to_ball, working_precision
from constructions.superexpressive import certify_weight, select_weight
from constructions.superexpressive._chebyshev import decode, decode_one, select_integer


def greedy(values, bits):
    """The lemma's digits one by one, with exact rationals."""
    base, a = 2**bits, 0
    numerators = [2, 1]
    for k, y in enumerate(values, 1):
        if k > 1:
            numerators.append(numerators[-1] - base**2 * numerators[-2])
        gap = y - fmpq(a * numerators[k] % base**k, base**k)
        a += int((base * gap + fmpq(1, 2)).floor()) % base * base ** (k - 1)
    return a


@pytest.mark.parametrize(("count", "bits"), [(1, 1), (2, 3), (31, 4), (33, 2), (64, 7), (150, 5), (97, 20)])
def test_the_divide_and_conquer_digits_are_the_greedy_ones(count, bits):
    rng = random.Random(count)
    values = [fmpq(rng.getrandbits(30), 2**30) for _ in range(count)]
    weight = select_weight(values, bits)
    assert weight.integer == greedy(values, bits) < 2 ** (count * bits)
    check = certify_weight(weight, values)
    assert check.within and fmpq(1, 2 ** (bits + 12)) < check.error <= fmpq(1, 2 ** (bits + 1))


@pytest.mark.parametrize(("count", "bits"), [(40, 8), (500, 3), (2000, 16)])
def test_decoded_values_are_those_of_exact_integers_and_of_cosines(count, bits):
    rng = random.Random(bits)
    a = select_integer([rng.getrandbits(64) for _ in range(count)], 64, bits)
    found, units = decode(a, count, 64, bits)
    for k in [1, 2, count // 2, count - 1, count]:
        p, q = decode_one(a, k, bits)
        gap = (p * 2**64 - found[k - 1] * q) % (q << 64)
        assert min(gap, (q << 64) - gap) <= units * q
        with working_precision(count * bits + 200):
            phase = to_ball(2 * a) * (k * arb(fmpq(1, 2 ** (bits + 1))).acos()).cos()
            assert abs((phase - arb(fmpq(int(p), int(q)))).sin_pi()) < 1e-30


def test_the_length_is_the_information_bound_and_the_error_exact():
    values = np.random.default_rng(3).random(20_000)
    weight = select_weight(values, bits=16)
    assert weight.length <= weight.least_length == 320_000
    check = certify_weight(weight, values)
    assert check.within and fmpq(99, 100 * 2**17) < check.error <= fmpq(1, 2**17)


def test_balls_count_with_their_radii():
    rng = random.Random(9)
    with working_precision(64):
        balls = [arb(rng.random() / 2 + 0.25, 2.0**-12) for _ in range(50)]
        weight = select_weight(balls, bits=10)
        check = certify_weight(weight, balls)
    assert not check.within and fmpq(1, 2**12) <= check.error <= fmpq(1, 2**11) + fmpq(2, 2**12)


def test_a_planted_fault_is_caught():
    values = [0.125, 0.5, 0.75, 0.3]
    weight = select_weight(values, bits=8)
    wrong = dataclasses.replace(weight, integer=weight.integer ^ (1 << 15))
    check = certify_weight(wrong, values)
    assert not check.within and check.error > fmpq(1, 4) and check.worst == 2


def test_bad_input_is_named():
    for values in ([1.0], [-0.1], [float("nan")], ["a"], np.array([0.5, 1.5])):
        with pytest.raises(InputError, match="values"):
            select_weight(values, bits=4)
    for bits in (0, 2.5, True):
        with pytest.raises(InputError, match="bits"):
            select_weight([0.5], bits=bits)
    with pytest.raises(InputError, match="method"):
        select_weight([0.5], bits=4, method="search")
    with pytest.raises(InputError, match="values"):
        select_weight([], bits=4)
    with pytest.raises(UnreachableError, match="16,000 bits"):
        select_weight([0.5] * 1000, bits=16, most_bits=10_000)
    with pytest.raises(InputError, match="values"):
        certify_weight(select_weight([0.5], bits=4), [0.5, 0.5])


METHODS = [
    ("digits", 500, 8, {}),
    ("lacunary", 200, 8, {"sigma": "exp"}),
    ("lacunary", 150, 6, {"sigma": "sigmoid"}),
    ("lacunary", 150, 6, {"sigma": "tanh"}),
    ("lacunary", 150, 6, {"sigma": "softplus"}),
    *(("taylor", 40, 8, {"sigma": s}) for s in ("sin", "arctan", "sqrt", "sigmoid", "gelu", "tanh", "softplus", "exp")),
    ("taylor", 36, 5, {"sigma": "sin", "counts": [6, 6]}),
    ("taylor", 24, 5, {"sigma": "gelu", "counts": [2, 3, 4]}),
    ("taylor", 12, 7, {"sigma": lambda t: 1 / (1 + t * t), "start": fmpq(1, 5)}),
    ("crt", 100, 8, {}),
    ("lll", 15, 6, {}),
]


@pytest.mark.parametrize(
    ("method", "count", "bits", "options"), METHODS, ids=[f"{m}-{i}" for i, (m, *_) in enumerate(METHODS)]
)
def test_every_method_reaches_the_promised_error_and_faults_show(method, count, bits, options):
    values = np.random.default_rng(count).random(count)
    weight = select_weight(values, bits, method, **options)
    assert certify_weight(weight, values).within
    wrong = dataclasses.replace(weight, integer=weight.integer + (1 << (weight.length // 2)) + 1)
    assert not certify_weight(wrong, values).within


@pytest.mark.parametrize("method", ["chebyshev", "digits", "crt", "lacunary", "taylor", "lll"])
def test_one_two_or_three_values_are_held_too(method):
    for values in ([0.7], [0.1, 0.9], [0.3, 0.0, 0.99]):
        for bits in (1, 3):
            assert certify_weight(select_weight(values, bits, method), values).within


@pytest.mark.parametrize("method", ["digits", "crt", "lacunary", "taylor"])
def test_decoded_values_are_the_fractional_parts_that_are_declared(method):
    values = [0.25, 0.7, 0.1, 0.9]
    weight = select_weight(values, 6, method)
    p = weight.parameters
    with working_precision(600):
        for k, y in enumerate(values, 1):
            if method == "digits":
                s = arb(fmpq(1, 64**k))
            elif method == "crt":
                s = arb(fmpq(1, p["h"] + k))
            else:
                s = p["start"] + (k - 1) * p["steps"][0]
                s = 1 / (1 + (-arb(s)).exp()) if method == "lacunary" else arb(s).sin()
            phase = arb(weight.value) * s
            gap = abs(phase - arb(fmpq(*y.as_integer_ratio())) - (phase - y + arb(0.5)).floor())
            assert gap <= 2.0**-7


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sigma": "relu"}, "analytic"),
        ({"sigma": lambda t: t * t + 1}, "polynomials"),
        ({"sigma": "sqrt", "start": -1}, "analytic"),
        ({"sigma": "sin", "start": 0}, "derivative 0 vanishes"),
        ({"counts": [3, 3]}, "counts"),
        ({"sigma": 7}, "sigma"),
    ],
)
def test_activations_that_cannot_serve_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        select_weight([0.5] * 8, 4, "taylor", **options)


def test_methods_say_what_they_cannot_do():
    with pytest.raises(UnreachableError, match="taylor"):
        select_weight([0.5] * 8, 4, "lacunary", sigma="gelu")
    with pytest.raises(InputError, match="120"):
        select_weight([0.5] * 200, 4, "lll")
