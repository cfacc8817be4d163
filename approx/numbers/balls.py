"""Which ball contains relu, abs, max, min, clip, sin, asin of a ball? Sound where Python and flint are not.

Traps that these functions avoid: the builtin `max`, `min`, `abs`-by-comparison and `if x > 0` are unsound on balls (a
comparison of balls is true only when it holds for all their points); `arb.asin` is NaN as soon as the ball passes 1;
balls do not pickle.
"""

from __future__ import annotations

from flint import arb, ctx, fmpq

from approx.errors import InputError
from approx.numbers.conversions import to_arb
from approx.numbers.text import integer_from_text, integer_to_text

#: Beyond 2^this, flint's sine of an inexact argument is [-1, 1].
_LARGEST_ARGUMENT = 60_000
_SPECIAL = ("nan", "inf", "-inf")


def relu(ball: arb) -> arb:
    """Return a ball that contains max(0, x) for every x of `ball`; exact 0 where the ball is negative, NaN for NaN.

    >>> relu(arb(-2, 1)), relu(arb(0, 1)).contains(arb(1)), relu(arb(0, 1)).contains(arb(0))
    (0, True, True)
    """
    if ball > 0:
        return ball
    if ball <= 0:
        return arb(0)
    return arb("nan") if ball.is_nan() else _from_zero(ball)


def _from_zero(ball: arb) -> arb:
    return arb(0).union(ball.upper())


def absolute(ball: arb) -> arb:
    """Return a ball that contains |x| for every x of `ball`.

    >>> absolute(arb(-2, 1)).contains(arb(3)), absolute(arb(0, 1)).contains(arb(0))
    (True, True)
    """
    if ball >= 0:
        return ball
    if ball <= 0:
        return -ball
    return arb("nan") if ball.is_nan() else abs(ball)


def maximum(first: arb, second: arb) -> arb:
    """Return a ball that contains max(x, y) for every x of `first` and y of `second`; NaN when either is NaN.

    The builtin `max` returns one of the two balls and is unsound.

    >>> maximum(arb(0), arb(0, 1)).contains(arb(1))
    True
    """
    if first >= second:
        return first
    if second >= first:
        return second
    return arb("nan") if first.is_nan() or second.is_nan() else first.max(second)


def minimum(first: arb, second: arb) -> arb:
    """Return a ball that contains min(x, y) for every x of `first` and y of `second`; NaN when either is NaN.

    >>> minimum(arb(0), arb(0, 1)).contains(arb(-1))
    True
    """
    if first <= second:
        return first
    if second <= first:
        return second
    return arb("nan") if first.is_nan() or second.is_nan() else first.min(second)


def clip(ball: arb, lower: arb | fmpq | float, upper: arb | fmpq | float) -> arb:
    """Return a ball that contains min(max(x, lower), upper) for every x of `ball` and all ends of the given balls.

    >>> clip(arb(5, 1), 0, 1)
    1.00000000000000
    """
    return minimum(maximum(ball, to_arb(lower)), to_arb(upper))


def sin(ball: arb) -> arb:
    """Return a ball that contains sin(x) for every x of `ball`, always inside [-1, 1] up to one rounding.

    The argument is reduced with as many bits as its magnitude needs, so that an exact argument of 10^300 loses
    nothing; an argument whose radius exceeds its period gives [-1, 1]. NaN and infinite midpoints give NaN.
    """
    if not ball.is_finite():
        return arb("nan") if ball.is_nan() else ball.sin()
    mantissa, exponent = ball.mid().man_exp()
    extra = int(exponent) + int(mantissa).bit_length()
    if extra <= 0:
        return ball.sin()
    if ball.rad() >= 4:
        return arb(0, 1)
    before = ctx.prec
    ctx.prec = before + extra
    try:
        # flint gives [-1, 1] for arguments beyond 2^65536 that are not exact: whole turns are taken off first.
        turns = (ball / (2 * arb.pi())).mid().floor().mid() if extra > _LARGEST_ARGUMENT else arb(0)
        wide = (ball - 2 * arb.pi() * turns).sin()
    finally:
        ctx.prec = before
    return +wide


def asin(ball: arb, assume_in_range: bool = False) -> arb:
    """Return a ball that contains arcsin(x) for every x of `ball` that lies in [-1, 1].

    With `assume_in_range` the caller vouches that the true value lies in [-1, 1], and the ball is first intersected
    with that interval (a ball that misses it altogether still gives NaN). Without it, a ball that is not proved to
    lie in [-1, 1] gives NaN.

    >>> asin(arb(1, 1e-10)).is_nan(), asin(arb(1, 1e-10), assume_in_range=True).contains(arb.pi() / 2)
    (True, True)
    """
    if -1 <= ball <= 1:
        return _asin_inside(ball)
    if ball.is_nan() or not assume_in_range or ball > 1 or ball < -1:
        return arb("nan")
    return _asin_inside(ball)


def _asin_inside(ball: arb) -> arb:
    """The monotone arcsine of a ball intersected with [-1, 1]: the hull of the images of the two ends."""
    lower, upper = ball.lower(), ball.upper()
    left = -arb.pi() / 2 if lower <= -1 else lower.asin()
    right = arb.pi() / 2 if upper >= 1 else upper.asin()
    return left.union(right)


def ball_to_pair(ball: arb) -> tuple[str, str]:
    """Return midpoint and radius as exact strings 'mantissa*2^exponent' (hexadecimal), or 'nan', 'inf', '-inf'.

    Balls do not pickle; this pair is portable and `ball_from_pair` gives back the identical ball.

    >>> ball_to_pair(arb(1.5))
    ('0x3*2^-1', '0x0*2^0')
    """
    return _part(ball.mid()), _part(ball.rad())


def _part(number: arb) -> str:
    if number.is_nan():
        return "nan"
    if not number.is_finite():
        return "inf" if number > 0 else "-inf"
    mantissa, exponent = number.man_exp()
    return f"{integer_to_text(mantissa)}*2^{int(exponent)}"


def ball_from_pair(pair: tuple[str, str]) -> arb:
    """Return the ball written by `ball_to_pair`, identical in midpoint and radius, at any working precision.

    Raises InputError when the strings are not of that form or the radius is negative.

    >>> ball_from_pair(('0x3*2^-1', '0x0*2^0'))
    1.50000000000000
    """
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        raise InputError("ball", pair, "a pair of strings 'mantissa*2^exponent'")
    middle, radius = (_parse_part(part) for part in pair)
    if middle is None or radius is None:
        text = pair[0]
        if middle is None and pair[1] == _part(arb(0)):
            return arb(text)
        return arb("nan") if "nan" in pair or middle is None else arb((middle[0], middle[1])) + arb(0, float("inf"))
    if radius[0] < 0:
        raise InputError("ball radius", pair[1], "a number >= 0")
    return arb(middle, _radius_source(*radius)) if radius[0] else arb(middle)


def _radius_source(mantissa: int, exponent: int) -> tuple[int, int]:
    """A number just below mantissa*2^exponent that flint rounds up to it (radii have 30 bits, rounded up)."""
    if mantissa & (mantissa - 1) == 0 or mantissa.bit_length() > 30:
        return mantissa, exponent
    shift = 30 - mantissa.bit_length()
    return ((mantissa << shift) << 1) - 1, exponent - shift - 1


def _parse_part(text: str) -> tuple[int, int] | None:
    if text in _SPECIAL:
        return None
    mantissa, mark, exponent = text.partition("*2^")
    try:
        if not mark or len(exponent) > 20:
            raise ValueError(text)
        return integer_from_text(mantissa), int(exponent)
    except ValueError as error:
        raise InputError("ball", text, "'mantissa*2^exponent' as written by ball_to_pair") from error
