"""Do the double-double operations keep their proved error bounds? Compared with exact fractions on hard inputs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from approx.numbers import doubledouble as dd

SIZE = 4000


def numbers(rng: np.random.Generator, spread: int = 60) -> np.ndarray:
    return rng.standard_normal(SIZE) * 2.0 ** rng.integers(-spread, spread, SIZE)


def pairs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Normalised double-doubles, many with tails at the rounding boundary."""
    hi = numbers(rng)
    tail = hi * 2.0**-53 * rng.choice([0.0, 1.0, -1.0, 0.999, 2.0**-30], SIZE)
    return dd.two_sum(hi, tail)


def exact(hi: np.ndarray, lo: np.ndarray) -> list[Fraction]:
    return [Fraction(float(a)) + Fraction(float(b)) for a, b in zip(hi, lo, strict=True)]


def worst(result, truth: list[Fraction]) -> float:
    return max(
        float(abs(value - true) / abs(true)) if true else float(value != 0) * np.inf
        for value, true in zip(exact(*result), truth, strict=True)
        if true or value
    )


def test_error_free_transforms():
    rng = np.random.default_rng(0)
    a, b = numbers(rng), numbers(rng)
    for result, truth in (
        (dd.two_sum(a, b), [Fraction(x) + Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]),
        (dd.two_prod(a, b), [Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]),
        (dd.split(a), [Fraction(x) for x in a.tolist()]),
    ):
        assert exact(*result) == truth
    high, low = dd.split(a)
    for half in (high, low):
        mantissas, _ = np.frexp(half)
        assert np.all(mantissas * 2.0**26 == np.round(mantissas * 2.0**26)), "26 bits in each half"


def test_split_does_not_overflow_where_veltkamps_multiplication_does():
    high, low = dd.split(np.array([1.0e308, -1.7e308]))
    assert np.all(np.isfinite(high)) and np.all(high + low == np.array([1.0e308, -1.7e308]))
    p, e = dd.two_prod(np.array([1.5e308]), np.array([1.0 + 2.0**-40]) / 2)
    assert Fraction(p[0]) + Fraction(e[0]) == Fraction(1.5e308) * Fraction((1.0 + 2.0**-40) / 2)


def test_overflow_never_looks_finite():
    with np.errstate(all="ignore"):
        p, e = dd.two_prod(np.array([1e300]), np.array([1e300]))
        assert not np.isfinite(p + e)[0]
        hi, lo = dd.dd_add(np.array([1.7e308]), np.array([0.0]), np.array([1.7e308]), np.array([0.0]))
        assert not np.isfinite(hi + lo)[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_proved_relative_bounds(seed):
    rng = np.random.default_rng(seed)
    a, b, f = pairs(rng), pairs(rng), numbers(rng)
    # Half of the sums cancel in the leading part, where the sloppy variant has no bound at all.
    cancelling = np.where(rng.random(SIZE) < 0.5, -a[0], b[0])
    b = dd.two_sum(cancelling, b[1])
    A, B, F = exact(*a), exact(*b), [Fraction(x) for x in f.tolist()]
    checks = {
        "add": (dd.dd_add(*a, *b), [x + y for x, y in zip(A, B, strict=True)], dd.ADD_ERROR),
        "mul": (dd.dd_mul(*a, *b), [x * y for x, y in zip(A, B, strict=True)], dd.MUL_ERROR),
        "add_float": (dd.dd_add_float(*a, f), [x + y for x, y in zip(A, F, strict=True)], dd.ADD_FLOAT_ERROR),
        "mul_float": (dd.dd_mul_float(*a, f), [x * y for x, y in zip(A, F, strict=True)], dd.MUL_FLOAT_ERROR),
    }
    for name, (result, truth, bound) in checks.items():
        assert worst(result, truth) <= bound, name
        assert worst(result, truth) > bound / 100, f"{name}: the bound is tested by inputs that come near it"


def test_planted_fault_the_sloppy_sum_breaks_the_bound():
    rng = np.random.default_rng(3)
    a, b = pairs(rng), pairs(rng)
    b = dd.two_sum(-a[0] * (1 + 2.0**-52), b[1])

    def sloppy(ah, al, bh, bl):
        sh, sl = dd.two_sum(ah, bh)
        return dd.fast_two_sum(sh, sl + (al + bl))

    truth = [x + y for x, y in zip(exact(*a), exact(*b), strict=True)]
    assert worst(sloppy(*a, *b), truth) > dd.ADD_ERROR
    assert worst(dd.dd_add(*a, *b), truth) <= dd.ADD_ERROR


def test_underflow_of_the_residue_is_within_the_constant():
    a, b = np.array([1.1e-160]), np.array([1.3e-160])
    p, e = dd.two_prod(a, b)
    truth = Fraction(float(a[0])) * Fraction(float(b[0]))
    assert abs(Fraction(float(p[0])) + Fraction(float(e[0])) - truth) <= Fraction(dd.UNDERFLOW)
