"""What are values and derivatives of a smooth function at millions of points, to twice the digits of float64? Proved bounds.

On each of P equal panels, with centre c and half-width w, f(c + w s) = sum_{i<T} a_i s^i + R, a_i = w^i f^(i)(c)/i!,
|R| <= w^T max |f^(T)|/T!. The a_i are double-double numbers. Horner's scheme is followed in float64 down to some a_j, where its
errors, at most 2^-53 sum_{i>=j} 3 (i - j + 1) |a_i|, are far below the last digit that is wanted, and in double-double below.
The same a_i give derivatives: w^j f^(j)/j! = sum_{i>=j} C(i, j) a_i s^(i-j), and at most C(T, j) |R| more.
Functions without such panels (declared by the user, not analytic) have float64 values and bounds of derivatives only.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from flint import arb

from approx.numbers import arb_interval, float_up, to_arb, to_float, working_precision
from approx.numbers.doubledouble import dd_add, dd_mul, two_prod
from approx.targets import Target
from constructions.relu._node_values import node_values

Array = np.ndarray
_TERMS = 16
_FEWEST_PANELS, _MOST_PANELS, _CHUNK = 16, 32_768, 1 << 14
#: Remainders and the float64 part of Horner's scheme stay below this share of the values.
_WANTED = 2.0**-68
_BITS = 140


class Values(NamedTuple):
    """f at points: high + low, within error."""

    high: Array
    low: Array
    error: float


#: The numbers of coefficients that Bends may have.
BENDS = range(2, 7)


class SmoothValues:
    """Values of a target of one variable on grids: places are shares k/total of its interval."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._panels = None if target.assumptions else _panels(target)

    def at(self, numerators: Array, total: int) -> Values:
        """f at lower + (upper - lower) k/total, for these k."""
        if self._panels is None:
            values, error = node_values(self._target, numerators, total)
            return Values(values, np.zeros(len(values)), error)
        return self._panels.values(numerators, total)

    def bends(self, order: int, numerators: Array, total: int, steps: int, count: int = BENDS[0]) -> Array:
        """The coefficients c_0 .. c_(count-1) of h^r f^(r)/r! at these places, h = length/steps, r = order: (count, places)."""
        if self._panels is None:
            return np.zeros((count, len(numerators)))
        return self._panels.bends(order, numerators, total, steps, count)

    def lost(self, order: int, steps: int, reach: float, count: int = BENDS[0]) -> float:
        """A bound of |h^r f^(r)(x)/r! - sum_j C(r + j, r) c_j ((x - place)/h)^j|, |x - place| <= reach h, at all places."""
        if self._panels is None:
            [(low, high)] = self._target.domain
            with working_precision(80):
                scale = arb((high - low) / steps) ** order
                return float_up(arb(self._target.derivative_bound((order,))) * scale / arb(order).fac())
        return self._panels.lost(order, steps, reach, count)


@lru_cache(maxsize=4)
def smooth_doubles(target: Target) -> SmoothValues:
    """The SmoothValues of a target; those of the last few targets are kept."""
    return SmoothValues(target)


def smooth_values(target: Target, total: int) -> tuple[Array, float]:
    """(float64 values of f at lower + (upper - lower) k/total, k = 0 .. total, proved bound of their errors)."""
    found = smooth_doubles(target).at(np.arange(total + 1), total)
    return found.high, (found.error + float(np.abs(found.low).max())) * (1 + 2.0**-50)


class _Panels:
    def __init__(self, high: Array, low: Array, rest: Array, lacking: Array) -> None:
        """Coefficients (T, P), remainders and errors of the coefficients (P,)."""
        self._high, self._low, self._unknown = high, low, rest + lacking
        sizes = np.abs(high)
        self._size = float(sizes.max())
        tails = [self._tail_error(j) for j in range(_TERMS)]
        wanted = _WANTED * self._size
        self._split = next((j for j, tail in enumerate(tails) if tail <= wanted), _TERMS - 1)
        # Double-double products and sums err by less than 2^-102 of numbers that are at most sum |a_i|; so does s.
        exact = (self._split + _TERMS) * 2.0**-101 * float(sizes.sum(axis=0).max())
        self.error = (float(self._unknown.max()) + tails[self._split] + exact) * (1 + 2.0**-40) + 2.0**-1000

    def _tail_error(self, start: int) -> float:
        weights = 3.0 * np.arange(1, _TERMS - start + 1)
        return 2.0**-53 * float((weights @ np.abs(self._high[start:])).max())

    def _place(self, numerators: Array, total: int) -> tuple[Array, Array, Array]:
        """(panel, s, what s lacks)."""
        count = self._high.shape[1]
        panel = np.minimum(numerators * count // total, count - 1)
        whole = 2 * (numerators * count - panel * total) - total  # an integer below 2^53: s = whole/total
        s = whole / float(total)
        product, lost = two_prod(s, np.full(len(s), float(total)))
        return panel, s, ((whole - product) - lost) / total

    def values(self, numerators: Array, total: int) -> Values:
        high, low = np.empty(len(numerators)), np.empty(len(numerators))
        for start in range(0, len(numerators), _CHUNK):  # so that intermediate results stay in the cache
            part = slice(start, start + _CHUNK)
            panel, s, rest = self._place(numerators[part], total)
            result = self._high[-1].take(panel)
            for a in self._high[-2 : self._split - 1 - _TERMS : -1] if self._split < _TERMS - 1 else ():
                result = result * s + a.take(panel)
            pair = result, np.zeros(len(s))
            for i in range(self._split - 1, -1, -1):
                pair = dd_add(*dd_mul(*pair, s, rest), self._high[i].take(panel), self._low[i].take(panel))
            high[part], low[part] = pair
        return Values(high, low, self.error)

    def bends(self, order: int, numerators: Array, total: int, steps: int, count: int) -> Array:
        step = 2.0 * self._high.shape[1] / steps  # h in units of w
        found = np.empty((count, len(numerators)))
        for start in range(0, len(numerators), _CHUNK):
            part = slice(start, start + _CHUNK)
            panel, s, _ = self._place(numerators[part], total)
            for row, j in enumerate(range(order, order + count)):
                result = comb(_TERMS - 1, j) * self._high[-1].take(panel)
                for i in range(_TERMS - 2, j - 1, -1):
                    result = result * s + comb(i, j) * self._high[i].take(panel)
                found[row, part] = result * step**j
        return found

    def lost(self, order: int, steps: int, reach: float, count: int) -> float:
        step, last, unknown = 2.0 * self._high.shape[1] / steps, order + count, float(self._unknown.max())
        lost = self._largest(last) * comb(last, order) * reach**count * step**last  # Taylor's theorem for f^(r)
        for j in range(order, last):
            share = comb(j, order) * reach ** (j - order) * step**j
            lost += (2.0**-44 * self._largest(j) + comb(_TERMS, j) * unknown) * share
        return lost * (1 + 2.0**-40)

    def _largest(self, j: int) -> float:
        """A bound of w^j |f^(j)|/j!."""
        weights = np.array([float(comb(i, j)) for i in range(j, _TERMS)])
        return float((weights @ np.abs(self._high[j:]) + comb(_TERMS, j) * self._unknown).max()) * (1 + 2.0**-40)


def _panels(target: Target) -> _Panels | None:
    count = _FEWEST_PANELS
    while not _remainder_is_small(target, count):
        count *= 2
        if count > _MOST_PANELS:
            return None
    high, low = np.empty((_TERMS, count)), np.empty((_TERMS, count))
    rest, lacking = np.empty(count), np.empty(count)
    for k in range(count):
        high[:, k], low[:, k], rest[k], lacking[k] = _panel(target, k, count)
    found = _Panels(high, low, rest, lacking)
    return found if found.error < np.inf else None


def _remainder_is_small(target: Target, count: int) -> bool:
    """Whether remainders are as small as wanted on a few panels: a guess, nothing rests on it."""
    for k in range(0, count, max(1, count // 16)):
        high, _, rest, _ = _panel(target, k, count)
        if not rest <= _WANTED * max(float(np.abs(high).max()), 2.0**-200):
            return False
    return True


def _panel(target: Target, k: int, count: int) -> tuple[Array, Array, float, float]:
    """(a_i high and low, bound of |R|, of what the a_i lack in sum) of panel k of `count`."""
    [(low, high)] = target.domain
    width = (high - low) / count
    left = low + width * k
    half = width / 2
    with working_precision(_BITS):
        jet = target.jet([arb(left + half)], _TERMS - 1)
        rest = target.jet([arb_interval(left, left + width)], _TERMS)[(_TERMS,)] * arb(half) ** _TERMS
        scaled = [jet[(i,)] * arb(half) ** i for i in range(_TERMS)]
        if not (rest.is_finite() and all(a.is_finite() for a in scaled)):
            return np.zeros(_TERMS), np.zeros(_TERMS), np.inf, np.inf
        first = [to_float(a.mid()) for a in scaled]
        second = [to_float((a - to_arb(v)).mid()) for a, v in zip(scaled, first, strict=True)]
        lacking = sum(float_up(abs(a - to_arb(v) - to_arb(w))) for a, v, w in zip(scaled, first, second, strict=True))
    return np.array(first), np.array(second), float_up(abs(rest)), lacking * (1 + 2.0**-40)
