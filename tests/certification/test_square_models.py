"""Taylor models of many intervals against exact rationals, in floats and in balls."""

import numpy as np
import pytest
from flint import arb, fmpq

from approx.certification.square_models import (
    BALLS,
    FLOATS,
    Model,
    activated,
    combination,
    polynomial,
    product,
    quotient,
    square,
)
from approx.certification.square_program import ONE
from approx.numbers import to_fmpq, working_precision


def model_of(numbers, coefficients, noise):
    """p(t) + noise e on one interval, and p as a function of rationals."""
    rows = np.stack([numbers.row([v]) for v in coefficients])
    plain = polynomial(numbers, rows, numbers.zeros(1))
    return Model(numbers, plain.poly, {(9, ONE): numbers.row([noise])}, plain.rest)


def gap_to(model, t, e, value):
    """(the distance of a value to the model at t, e; the rest it may have)."""
    exact = [to_fmpq(v[0].mid() if isinstance(v[0], arb) else v[0]) for v in model.poly]
    rough = arb(sum((c * t**k for k, c in enumerate(exact)), fmpq(0)))
    factor = model.symbols[9, ONE][0]
    slack = (factor.rad() if isinstance(factor, arb) else arb(0)) + sum(
        (v[0].rad() for v in model.poly if isinstance(v[0], arb)), arb(0)
    )
    middle = to_fmpq(factor.mid() if isinstance(factor, arb) else factor)
    rest = model.rest[0, 0]
    return abs(arb(value) - rough - arb(middle * e)), slack + (rest if isinstance(rest, arb) else arb(to_fmpq(rest)))


@pytest.mark.parametrize("numbers", [FLOATS, BALLS], ids=["floats", "balls"])
@pytest.mark.parametrize(("size", "noise", "small"), [(0.01, 10**-4, 1e-5), (0.5, 10**-4, 1e-3), (0.5, 0, 1e-3)])
def test_models_of_squares_quotients_and_units_contain_them_with_errors_that_they_share(numbers, size, noise, small):
    """u = p + x e, c = b + y e with one e: u^2, u^2/c, |u - 3/5| and max(u - 3/5, 0), within the rests, which are small."""
    rng = np.random.default_rng(7)
    size, x = to_fmpq(size), to_fmpq(noise)
    with working_precision(128):
        p = [fmpq(3, 5), size / 2, size**2, 0, 0, size**2 / 64]
        b = [fmpq(9, 10), -size / 2, size**2 / 3]
        top, bottom = model_of(numbers, p, x), model_of(numbers, b, -x)
        bent = model_of(numbers, [fmpq(0), *p[1:]], x)
        models = [square(top), quotient(top, bottom), activated(bent, "abs"), activated(bent, "relu")]
        for t, e in rng.uniform(-1, 1, (200, 2)):
            t, e = to_fmpq(float(t)), to_fmpq(float(e))
            u = sum((c * t**k for k, c in enumerate(p)), x * e)
            c = b[0] + b[1] * t + b[2] * t * t - x * e
            v = u - p[0]
            for number, (model, value) in enumerate(
                zip(models, [u * u, u * u / c, abs(v), max(v, fmpq(0))], strict=True)
            ):
                if number == 2:  # no symbol is left of what |.| folds
                    model = Model(numbers, model.poly, {(9, ONE): numbers.zeros(1)}, model.rest)
                gap, rest = gap_to(model, t, e, value)
                assert gap.lower() <= rest.upper()
                assert number >= 2 or rest < small


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e12])
def test_rounding_of_floats_is_in_the_rest(scale):
    """Products of polynomials whose coefficients cancel: what floats lose is within what they say, and they do lose some."""
    rng = np.random.default_rng(3)
    lost = 0
    for _ in range(50):
        coefficients = [to_fmpq(float(v)) for v in scale * rng.normal(size=5)]
        found = square(Model(FLOATS, np.stack([FLOATS.row([v]) for v in coefficients]), {}, FLOATS.zeros(2, 1)))
        exact = [
            sum((coefficients[i] * coefficients[k - i] for i in range(5) if 0 <= k - i < 5), fmpq(0)) for k in range(9)
        ]
        off = distance(found, exact)
        lost += off > 0
        assert off <= to_fmpq(found.rest[0, 0]) <= fmpq(1, 10**14) * sum((abs(v) for v in coefficients), fmpq(0)) ** 2
        assert found.rest[1, 0] >= 0.999 * found.rest[0, 0]
    assert lost > 40


def test_rounding_of_sums_and_of_coefficients_is_in_the_rest():
    """1/3 - 2/3 g + 1/7 h for g, h with coefficients that no float is: all of it is known exactly."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        g, h = ([fmpq(int(v), 10**9 + 7) for v in rng.integers(-(10**9), 10**9, 4)] for _ in range(2))
        models = [polynomial(FLOATS, np.stack([FLOATS.row([v]) for v in c]), FLOATS.zeros(1)) for c in (g, h)]
        for model, c in zip(models, (g, h), strict=True):
            assert 0 < distance(model, c) <= to_fmpq(model.rest[0, 0]) < fmpq(1, 10**14)
        weights = [FLOATS.number(fmpq(-2, 3)), FLOATS.number(fmpq(1, 7))]
        bare = [Model(FLOATS, m.poly, {}, FLOATS.zeros(2, 1)) for m in models]
        found = combination(FLOATS, 1, FLOATS.number(fmpq(1, 3)), list(zip(bare, weights, strict=True)), {})
        exact = [-fmpq(2, 3) * to_fmpq(a[0]) + fmpq(1, 7) * to_fmpq(b[0]) for a, b in zip(*(m.poly for m in bare), strict=True)]
        exact[0] += fmpq(1, 3)
        assert 0 < distance(found, exact) <= to_fmpq(found.rest[0, 0]) < fmpq(1, 10**14)


def distance(model, exact):
    return sum((abs(to_fmpq(c[0]) - v) for c, v in zip(model.poly, exact, strict=True)), fmpq(0))


def test_products_keep_what_they_cut():
    rows = np.ones((7, 1))
    kept, cut = product(rows, rows)
    assert kept[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 6, 5] and cut.tolist() == [4 + 3 + 2 + 1]
