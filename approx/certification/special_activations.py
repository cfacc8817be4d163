"""What are exp, 2^t and arcsin near many points at once? Taylor coefficients with proved errors, where cells do not serve.

The exponentials are base^(j/16) from balls times a short Taylor polynomial; their derivatives are multiples of themselves.
arcsin has singular ends, so each point is a computation in balls: about 20 us each. Shapes and the meaning of the result
are those of activation_tables.local_series; the last argument says where the argument is known to lie in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from flint import arb

from approx.certification.activation_tables import WIDEST, Local, or_range
from approx.numbers import asin, float_up, to_fmpq, working_precision
from approx.targets import Target

_UNIT = 2.0**-53
_ARCSIN = Target("arcsin(x)", domain=(-1, 1))


def _powers(base: arb, exponents: np.ndarray) -> np.ndarray:
    """base^(j/16) for an array of integers j; inf beyond the range of float64, relative error 2^-53 inside it."""
    distinct, place = np.unique(exponents, return_inverse=True)
    values = [math.inf if j > 2**15 else 0.0 if j < -(2**15) else float((base ** (arb(int(j)) / 16)).mid()) for j in distinct]
    return np.array(values)[place].reshape(exponents.shape)


def _exponential(base: str) -> Callable[[np.ndarray, np.ndarray, int, np.ndarray, np.ndarray], Local]:
    with working_precision(128):
        root = arb(2) if base == "2" else arb.const_e()
        log = float(root.log().mid())

    def value(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(base^t, error bound): the Taylor polynomial of degree 8 of base^step, |step log| <= 1/32, is within 1e-18."""
        cell = np.rint(np.clip(t, -2000.0, 2000.0) * 16)
        step = (np.clip(t, -2000.0, 2000.0) - cell / 16) * log
        total = np.ones_like(t)
        for k in range(8, 0, -1):
            total = 1 + step / k * total
        with working_precision(128):
            result = _powers(root, cell.astype(np.int64)) * total
        result = np.where(t > 2000, np.inf, np.where(t < -2000, 0.0, result))
        return result, 16 * _UNIT * result + 2.0**-1020

    def series(centre: np.ndarray, radius: np.ndarray, order: int, own: np.ndarray, known: np.ndarray) -> Local:
        usable = np.isfinite(centre) & (radius <= WIDEST)
        c, r = np.where(usable, centre, 0.0), np.where(usable, radius, 0.0)
        at, wrong = value(c)
        top, above = value(np.nextafter(c + r, np.inf))
        top = (top + above) * (1 + 4 * _UNIT)
        s = [at * (log**k / math.factorial(k)) for k in range(order + 1)]
        power = (log * r) * (1 + 4 * _UNIT)
        # Each coefficient is wrong by what base^c is, and by the rounding of its factor.
        error = (wrong + 16 * _UNIT * at) * np.exp(np.minimum(power, 8.0)) * (1 + 2.0**-30)
        error = error + top * power ** (order + 1) / math.factorial(order + 1) * (1 + 2.0**-30)
        low, below = value(np.where(np.isnan(centre - radius), -np.inf, np.nextafter(centre - radius, -np.inf)))
        high, over = value(np.where(np.isnan(centre + radius), np.inf, np.nextafter(centre + radius, np.inf)))
        return or_range(Local(s, error, top * log * (1 + 4 * _UNIT)), usable, own, low - below, high + over)

    return series


def _arcsine(centre: np.ndarray, radius: np.ndarray, order: int, own: np.ndarray, known: np.ndarray) -> Local:
    c, r, e, inside = (np.broadcast_to(a, centre.shape).ravel() for a in (centre, radius, own, known))
    s = np.zeros((order + 1, len(c)))
    error, slope = np.full(len(c), np.inf), np.zeros(len(c))
    with working_precision(96):
        for i in range(len(c)):
            if np.isfinite(c[i]) and np.isfinite(r[i]):
                at, reach, own_error = float(c[i]), float(r[i]), float(e[i])
                s[:, i], error[i], slope[i] = _arcsine_at(at, reach, own_error, order, bool(inside[i]))
            elif inside[i]:
                error[i] = 1.5707963267948968
    shape = centre.shape
    return Local([row.reshape(shape) for row in s], error.reshape(shape), slope.reshape(shape))


def _arcsine_at(c: float, r: float, own: float, order: int, inside: bool) -> tuple[list[float], float, float]:
    """(coefficients, error, slope) at one point: Taylor polynomial, or the range where that is better."""
    at, reach = arb(to_fmpq(c)), arb(to_fmpq(r))
    span = at + arb(0, 1) * reach
    nothing = [0.0] * order
    hull = asin(span, assume_in_range=inside)
    if not hull.is_finite():
        return [0.0, *nothing], math.inf, 0.0
    middle = float(hull.mid())
    half = float_up(abs(hull - arb(to_fmpq(middle))).upper())
    if not -1 < span < 1:
        return [middle, *nothing], half, 0.0
    series, beyond = _ARCSIN.series(at, order), _ARCSIN.series(span, order + 1)
    s = [float(b.mid()) for b in series]
    error = abs(beyond[order + 1]) * reach ** (order + 1)
    for k in range(order + 1):
        error += abs(series[k] - arb(to_fmpq(s[k]))) * reach**k
    slope = abs(beyond[1])
    if not error.is_finite() or not float_up((error + slope * arb(to_fmpq(own))).upper()) <= half:
        return [middle, *nothing], half, 0.0
    return s, float_up(error.upper()), float_up(slope.upper())


#: Activation name -> function like local_series.
def power_series(p: int, centre: np.ndarray, radius: np.ndarray, order: int) -> Local:
    """t^p around `centre`: the binomial coefficients up to `order`, the rest of them as the error.

    Roundings: p products of relative error 2^-53 in every coefficient, times radius^k; together below 8 p 2^-53 (|c| + r)^p.
    """
    c, size = np.abs(centre), (np.abs(centre) + radius) * (1 + 2.0**-40)
    terms = [math.comb(p, k) * centre ** (p - k) if k <= p else np.zeros_like(centre) for k in range(order + 1)]
    rest = sum((math.comb(p, k) * c ** (p - k) * radius**k for k in range(order + 1, p + 1)), start=np.zeros_like(centre))
    error = rest * (1 + 2.0**-40) + 8 * p * _UNIT * size**p + 2.0**-1000
    return Local(terms, error, p * size ** (p - 1) * (1 + 2.0**-40))


SPECIAL: dict[str, Callable[[np.ndarray, np.ndarray, int, np.ndarray, np.ndarray], Local]] = {
    "exp": _exponential("e"),
    "exp2": _exponential("2"),
    "arcsin": _arcsine,
}
