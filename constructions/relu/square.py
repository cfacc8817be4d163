"""How is the square computed with the fewest weights? Five per sawtooth level, the paper's interpolant exactly."""

from __future__ import annotations

from typing import Any

from flint import fmpq

from approx.errors import InputError
from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq

MAXIMUM_LEVELS = 100_000


def checked_levels(levels: int) -> int:
    """The number of sawtooth levels as an int; raises InputError unless 0 <= levels <= 100000."""
    if isinstance(levels, bool) or int(levels) != levels or not 0 <= levels <= MAXIMUM_LEVELS:
        raise InputError("levels", levels, f"an integer from 0 to {MAXIMUM_LEVELS}")
    return int(levels)


def square_error(levels: int, centred: bool = False) -> fmpq:
    """The exact sup over [0,1] of |f_m(t) - t^2|: 4^-(m+1), half of it when centred.

    >>> square_error(2)
    1/64
    """
    return fmpq(1, (2 if centred else 1) * 4 ** (checked_levels(levels) + 1))


def levels_for(error: Any, scale: Any = 1) -> int:
    """The least m >= 0 with scale * 4^-(m+1) <= error, decided in exact arithmetic.

    Raises InputError unless error > 0 and scale >= 0.

    >>> levels_for(4.0**-13)
    12
    """
    wanted, factor = to_fmpq(error), to_fmpq(scale)
    if wanted <= 0:
        raise InputError("error", error, "a positive number")
    if factor < 0:
        raise InputError("scale", scale, "a number >= 0")
    ratio = factor / wanted
    whole = -(-int(ratio.p) // int(ratio.q))  # 4^(m+1) >= ratio if and only if 4^(m+1) >= ceil(ratio)
    return max(0, ((whole - 1).bit_length() + 1) // 2 - 1)


def square_form(builder: Builder, t: Form, levels: int, centred: bool = False, scale: Form | None = None) -> Form:
    """The form of f_m(t), the piecewise-linear interpolant of t^2 at the points k/2^m, m = levels.

    f_m(t) = t - sum_{s=1..m} g_s(t) / 4^s with the sawtooth g_s = g o ... o g, g(t) = 2t - 4 relu(t - 1/2).
    Guarantee (proved, P16 Proposition 2): for t in [0,1], 0 <= f_m(t) - t^2 <= 4^-(m+1), the upper bound attained at
    the midpoints of the cells; f_m(0) = 0 and f_m(1) = 1. Centred: 4^-(m+1)/2 is subtracted, so that
    |f_m(t) - t^2| <= 4^-(m+1)/2 (one constant more in the form, free where the reader has a bias anyway).
    The caller guarantees 0 <= t <= 1. Nothing is promised outside.
    With a `scale` s > 0 that is one unit: the form of s f_m(t / s), 0 <= t <= s, at the same cost. Every bias becomes a
    weight of s, because the network of f_m is positively homogeneous in (t, 1). It is t^2 / s up to s 4^-(m+1); 0 at t = s = 0.

    Cost, when t is one unit (or one input) times a weight: 5m - 2 weights (m >= 2; 1 and 4 for m = 0, 1) and 2m - 2
    units, the m + 1 weights of the returned form counted once. Per level: b = relu(a - 1/2) two weights, the next
    a = relu(2a - 4b) two, and one in the returned form, because a carries g_s by itself; the last two levels need no
    new a. Source: P16 Proposition 2; the count is derived here.
    """
    m = checked_levels(levels)
    half = (Form(constant=1) if scale is None else scale) / 2
    terms, g, power = [(fmpq(1), t)], t, fmpq(1)
    for s in range(1, m + 1):
        power /= 4
        g = 2 * g - 4 * builder.relu(g - half)
        if s <= m - 2:
            g = builder.relu(g)  # the tooth as a unit of its own: later levels and the output read one weight
        terms.append((-power, g))
    if centred:
        terms.append((-2 * square_error(m, True), half))
    return linear_combination(terms)


def square_weights(levels: int, symmetric: bool = False) -> int:
    """The exact number of weights of `square(levels)`: 5m - 2 on [0,R], 5m + 1 on [-R,R].

    >>> square_weights(12), square_weights(12, symmetric=True)
    (58, 61)
    """
    m = checked_levels(levels)
    return (5 * m - 2 if m >= 2 else (1, 4)[m]) + (3 if symmetric else 0)


def absolute_unit(builder: Builder, form: Form, scale: Any = 1) -> Form:
    """The form of ONE non-negative unit with the value scale * |form|, scale > 0: r = relu(L), |L| = relu(2r - L).

    Cost: 2 units and, for a form with k terms and no constant, 2k + 1 weights.
    """
    r = builder.relu(form)
    return builder.relu(to_fmpq(scale) * (2 * r - form))


def square(levels: int, interval: Any = (0, 1), centred: bool = False) -> Network:
    """The network R -> R with |net(x) - x^2| <= R^2 4^-(m+1) on the interval [0,R] or [-R,R]; one-signed error.

    Guarantee (proved): 0 <= net(x) - x^2 <= R^2 4^-(m+1), attained; with centred=True the error is halved and
    two-sided at the cost of one bias. Cost: `square_weights(levels)` weights, that is 58 (and 22 units) at m = 12.
    Raises InputError when the interval is neither [0,R] nor [-R,R] with R > 0, or levels is no integer >= 0.
    Source: P16 Proposition 2; count derived.

    >>> square(12).size.weights, square(12).size.units
    (58, 22)
    """
    lower, upper = (to_fmpq(v) for v in interval)
    if upper <= 0 or lower not in (0, -upper):
        raise InputError("interval", interval, "[0, R] or [-R, R] with R > 0")
    b = Builder(1)
    x = b.input()
    t = x * (1 / upper) if lower == 0 else absolute_unit(b, x, 1 / upper)
    return b.build([square_form(b, t, levels, centred) * upper**2])
