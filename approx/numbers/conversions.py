"""How does a number change type? The one place where int, float, Fraction, gmpy2, flint, mpmath, numpy meet.

The canonical exact scalar is `flint.fmpq`. A float is taken as the dyadic rational that it is; nothing is ever
rounded silently.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

import gmpy2
import mpmath
import numpy as np
from flint import arb, fmpq, fmpz

from approx.errors import InputError
from approx.numbers.precision import working_precision

ACCEPTED = "an int, finite float, Fraction, gmpy2 mpz/mpq, flint fmpz/fmpq/exact arb, mpmath mpf or numpy scalar"
LARGEST = float(np.finfo(np.float64).max)
Exact: TypeAlias = Any


def to_fmpq(value: Exact) -> fmpq:
    """Return the exact rational value of a number of any supported type.

    Accepted: int, bool, float (exactly the dyadic rational it is), Fraction, gmpy2 mpz/mpq/mpfr, flint fmpz/fmpq, an
    exact arb, mpmath mpf, numpy integer and floating scalars. Cost: under 1 us for machine numbers.

    Raises InputError on NaN, infinities, inexact balls, text and every other type.

    >>> to_fmpq(0.1) == fmpq(1, 10), to_fmpq(0.5) == fmpq(1, 2)
    (False, True)
    """
    if isinstance(value, fmpq):
        return value
    if isinstance(value, (int, fmpz)):
        return fmpq(value)
    if isinstance(value, float):  # includes numpy.float64
        if not math.isfinite(value):
            raise InputError("number", value, "a finite number")
        return fmpq(*float(value).as_integer_ratio())
    if isinstance(value, Fraction):
        return fmpq(value.numerator, value.denominator)
    return _uncommon(value)


def _uncommon(value: Exact) -> fmpq:
    if isinstance(value, np.integer):
        return fmpq(int(value))
    if isinstance(value, np.bool_):
        return fmpq(int(value))
    if isinstance(value, np.floating):
        if not np.isfinite(value):
            raise InputError("number", value, "a finite number")
        return fmpq(*(int(part) for part in value.as_integer_ratio()))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return to_fmpq(value[()])
    if isinstance(value, arb):
        if not (value.is_finite() and value.is_exact()):
            raise InputError("number", value, "an exact ball (radius 0), or a rational number")
        mantissa, exponent = value.man_exp()
        return _dyadic(int(mantissa), int(exponent))
    if isinstance(value, mpmath.mpf):
        if not mpmath.isfinite(value):
            raise InputError("number", value, "a finite number")
        sign, mantissa, exponent, _ = value._mpf_
        return _dyadic(-int(mantissa) if sign else int(mantissa), int(exponent))
    kind = type(value).__name__
    if kind in ("mpz", "xmpz") and isinstance(value, (type(gmpy2.mpz(0)), type(gmpy2.xmpz(0)))):
        return fmpq(int(value))
    if isinstance(value, type(gmpy2.mpq(0))):
        return fmpq(int(value.numerator), int(value.denominator))
    if isinstance(value, type(gmpy2.mpfr(0))):
        if not gmpy2.is_finite(value):
            raise InputError("number", value, "a finite number")
        top, bottom = value.as_integer_ratio()
        return fmpq(int(top), int(bottom))
    raise InputError("number", value, ACCEPTED)


def _dyadic(mantissa: int, exponent: int) -> fmpq:
    if abs(exponent) > 100_000_000:
        raise InputError("number", f"2^{exponent}", "an exponent below 10^8 in absolute value")
    return fmpq(mantissa << exponent) if exponent >= 0 else fmpq(mantissa, 1 << -exponent)


def to_fraction(value: Exact) -> Fraction:
    """Return the exact value as `fractions.Fraction` (accepts what `to_fmpq` accepts).

    >>> to_fraction(fmpq(-2, 6))
    Fraction(-1, 3)
    """
    exact = to_fmpq(value)
    return Fraction(int(exact.p), int(exact.q))


def to_mpq(value: Exact) -> Any:
    """Return the exact value as `gmpy2.mpq` (accepts what `to_fmpq` accepts).

    >>> to_mpq(fmpq(-2, 6))
    mpq(-1,3)
    """
    exact = to_fmpq(value)
    return gmpy2.mpq(int(exact.p), int(exact.q))


def to_arb(value: Exact) -> arb:
    """Return a ball that contains the value, of radius 0 when the working precision represents it.

    A ball is returned unchanged; every other type goes through its exact rational value, so a float is exact here.

    >>> to_arb(Fraction(1, 3)).contains(to_fmpq(Fraction(1, 3)))
    True
    """
    if isinstance(value, arb):
        return value
    return arb(to_fmpq(value))


def to_mpf(value: Exact, bits: int) -> Any:
    """Return the nearest mpmath mpf of `bits` bits (accepts what `to_fmpq` accepts, and balls, by their midpoint).

    >>> to_mpf(fmpq(1, 2), 53)
    mpf('0.5')
    """
    exact = to_fmpq(value.mid() if isinstance(value, arb) else value)
    return mpmath.mp.make_mpf(mpmath.libmp.from_rational(int(exact.p), int(exact.q), bits, "n"))


def to_float(value: Exact) -> float:
    """Return the nearest float64 (ties to even), +-inf beyond the range; of a ball, that of its midpoint.

    Not rigorous for inexact balls: use `float_down` and `float_up` there.

    >>> to_float(fmpq(1, 10)), to_float(fmpq(10) ** 400)
    (0.1, inf)
    """
    if isinstance(value, float):
        return float(value)
    if isinstance(value, arb):
        if not value.is_finite():
            return float(value)
        value = value.mid()
    exact = to_fmpq(value)
    try:
        return int(exact.p) / int(exact.q)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def float_down(value: Exact) -> float:
    """Return the largest float64 that is proved to be <= every number of the ball (or <= the exact number).

    For an exact number it is the best possible; for a ball, the best for its lower end at the working precision.
    Below the range it is
    -inf, above it the largest finite float; a ball that contains NaN gives -inf (fails closed). Cost about 0.5 us.

    >>> float_down(fmpq(1, 10)) < float_up(fmpq(1, 10)), float_down(0.5)
    (True, 0.5)
    """
    if isinstance(value, float) and not math.isnan(value):
        return float(value)
    if isinstance(value, arb):
        return _arb_down(value)
    exact = to_fmpq(value)
    nearest = to_float(exact)
    if nearest == math.inf:
        return LARGEST
    if nearest == -math.inf or to_fmpq(nearest) <= exact:
        return nearest
    return math.nextafter(nearest, -math.inf)


def float_up(value: Exact) -> float:
    """Return the smallest float64 that is proved to be >= every number of the ball (or >= the exact number).

    The mirror image of `float_down`; NaN gives +inf.

    >>> float_up(fmpq(-1, 10)) == -float_down(fmpq(1, 10)), float_up(fmpq(1, 10**400))
    (True, 5e-324)
    """
    return -float_down(-value)


def _arb_down(value: arb) -> float:
    if value.is_nan():
        return -math.inf
    bound = value.lower()
    guess = float(bound)
    if guess == -math.inf:
        return guess
    if guess == math.inf:
        if not bound.is_finite():
            return math.inf if value.is_exact() else -math.inf
        return LARGEST
    if math.isnan(guess):
        return -math.inf
    while not arb(guess) <= bound:
        guess = math.nextafter(guess, -math.inf)
        if guess == -math.inf:
            return guess
    return guess


def arb_interval(lower: Exact, upper: Exact) -> arb:
    """Return a ball that contains every number between `lower` and `upper` (exact numbers or balls, in either order).

    The radius exceeds half the width by a relative 2^-29 at most plus the rounding of the midpoint: a ball [0, h] may
    reach slightly below 0.

    >>> ball = arb_interval(0, Fraction(1, 3))
    >>> ball.contains(fmpq(0)) and ball.contains(fmpq(1, 3)) and not ball.contains(fmpq(34, 100))
    True
    """
    return to_arb(lower).union(to_arb(upper))


def exact_ball(centre: float, radius: float, bits: int = 128) -> arb:
    """Return a ball with this exact float64 centre and a radius >= `radius`, equal to it for powers of two.

    `arb(centre, radius)` widens the radius by a relative 2^-29 even when it is a power of two; this function does not.
    """
    if not (math.isfinite(centre) and math.isfinite(radius)):
        return arb("nan")
    with working_precision(bits):
        middle = _pair(centre)
        return arb(middle, _pair(radius)) if radius else arb(middle)


def _pair(value: float) -> tuple[int, int]:
    fraction, exponent = math.frexp(value)
    mantissa = int(fraction * 2.0**53)
    if mantissa == 0:
        return 0, 0
    shift = (mantissa & -mantissa).bit_length() - 1
    return mantissa >> shift, exponent - 53 + shift
