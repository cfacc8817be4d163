"""How are Taylor models of many intervals computed side by side, in floats or in balls, without a number that is not proved?

A model of a function on the intervals c_i + w_i t, |t| <= 1, i = 1 .. n: a polynomial in t, plus a sum of factors times
e_s in [-1, 1], one e_s for every error that may enter more than once, plus a remainder |r| <= rest. So an error that enters
twice, as in xy = ((x+y)/2)^2 - ((x-y)/2)^2, is not counted twice. Products are cut at t^ORDER, what is cut goes into the rest.

One algebra, two arithmetics. In floats numpy works on all intervals at once, and every operation adds a bound of its own
rounding to the rest, from the size (sum of all |coefficients|) of what it reads: a sum of k products errs by at most
gamma_(k+1) times the sum of their sizes. Of what is only a guess, such as the series of a reciprocal, what it misses is
computed again from its definition. How much of the rest is rounding is kept beside it. Balls (arrays of them) carry their
rounding themselves. Floats are the machine's extended ones of 64 bits where it has them, as small errors of deep networks
are differences of large numbers; otherwise float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, fmpq
from numpy.typing import NDArray

from approx.numbers import float_up, to_float, to_fmpq

#: Floats, or objects: balls.
Array = NDArray[Any]
#: The unit whose input errs, and the scale of the error.
Symbol = tuple[int, int]
ORDER = 8
#: More than the underflow of all operations on one number together.
_TINY = 2.0**-960


class Floats:
    """Arrays of floats; `unit` times the size of what an operation reads bounds its rounding, with room for that of sums."""

    dtype: Any = np.longdouble if np.finfo(np.longdouble).nmant == 63 else np.float64
    unit = 2 * np.finfo(dtype).eps

    def number(self, value: fmpq | arb) -> Any:
        """The number nearest to a rational or the midpoint of a ball but for an ulp, or 2^-1074."""
        if isinstance(value, arb):
            first = float(value)
            return self.dtype(first) + self.dtype(float(value - first)) if np.isfinite(first) else self.dtype(np.nan)
        first = to_float(value)
        return self.dtype(first) + self.dtype(to_float(value - to_fmpq(first))) if np.isfinite(first) else self.dtype(np.nan)

    def weight(self, value: fmpq) -> Any:
        """The number for what is multiplied, perhaps with large numbers; NaN where it lost digits to underflow."""
        found = self.number(value)
        return found if value == 0 or abs(found) >= _TINY else self.dtype(np.nan)

    @property
    def holds(self) -> bool:
        """Whether the processor computes to so many digits; some systems set it to fewer than the format has."""
        return bool(self.dtype(1) + self.dtype(self.unit) / 2 > 1)

    def row(self, values: Iterable[fmpq | arb]) -> Array:
        """The numbers of rationals or balls."""
        return np.array([self.number(v) for v in values], dtype=self.dtype)

    def radii(self, values: Iterable[arb]) -> Array:
        """Above the radii of balls."""
        return np.array([float(v.rad()) for v in values], dtype=self.dtype) * (1 + 2.0**-20) + _TINY

    def zeros(self, *shape: int) -> Array:
        """An array of zeros."""
        return np.zeros(shape, dtype=self.dtype)

    def larger(self, a: Any, b: Any) -> Array:
        """The larger one, elementwise."""
        return np.asarray(np.maximum(a, b))

    def middle(self, a: Array) -> Array:
        """The numbers themselves."""
        return a

    def above(self, bound: Any) -> float:
        """A float64 that is not below the number; inf for what is not finite."""
        return float(bound) * (1 + 2.0**-50) + _TINY if np.isfinite(bound) else math.inf

    def rounding(self, terms: int, size: Array) -> Any:
        """A bound of the rounding of a sum of so many products, each rounded, whose sizes sum up to this."""
        return (terms + 4) * self.unit * size + _TINY


class Balls(Floats):
    """Object arrays of balls at the working precision."""

    unit = 0.0
    dtype = object

    holds = True

    def number(self, value: fmpq | arb) -> Any:
        """A ball."""
        return arb(value)

    def weight(self, value: fmpq) -> Any:
        """A ball."""
        return arb(value)

    def row(self, values: Iterable[fmpq | arb]) -> Array:
        """An array of balls."""
        found = list(values)
        row = np.empty(len(found), dtype=object)
        row[:] = [arb(v) for v in found]
        return row

    def radii(self, values: Iterable[arb]) -> Array:
        """Zeros: balls carry their radii themselves."""
        return self.zeros(len(list(values)))

    def zeros(self, *shape: int) -> Array:
        """An array of zeros."""
        return np.full(shape, arb(0), dtype=object)

    def larger(self, a: Any, b: Any) -> Array:
        """A ball that contains the larger one, elementwise."""
        return np.asarray(_MAXIMUM(a, b))

    def middle(self, a: Array) -> Array:
        """The midpoints."""
        return np.asarray(_MIDDLE(a))

    def above(self, bound: Any) -> float:
        """A float64 that is not below the ball; inf for what is not finite."""
        return float_up(bound) if bound.is_finite() else math.inf

    def rounding(self, terms: int, size: Array) -> Any:
        """Nothing."""
        return arb(0)


FLOATS, BALLS = Floats(), Balls()
_MAXIMUM = np.frompyfunc(lambda a, b: arb(a).max(arb(b)), 2, 1)
_MIDDLE = np.frompyfunc(lambda a: a.mid(), 1, 1)


@dataclass(frozen=True)
class Model:
    """poly(t) + sum symbols[s] e_s + r, |t|, |e_s| <= 1, |r| <= rest[0]; poly (k, n), lowest power first, symbols (n,).

    rest (2, n): the second row is what of the first is rounding.
    """

    numbers: Floats
    poly: Array
    symbols: dict[Symbol, Array]
    rest: Array

    @property
    def noise(self) -> Array:
        """A bound of all but the polynomial, up to the rounding of this sum."""
        return np.asarray(sum((np.abs(v) for v in self.symbols.values()), self.rest[0]))

    @property
    def size(self) -> Array:
        """The sum of all |coefficients|, rounded."""
        return np.asarray(np.abs(self.poly).sum(axis=0) + self.noise)

    @property
    def parts(self) -> int:
        """How many numbers there are of each interval."""
        return len(self.poly) + len(self.symbols) + 1

    def bounds(self) -> tuple[Array, Array]:
        """(lower, upper) bounds of all values."""
        c, larger = self.poly, self.numbers.larger
        down = up = c[0] * 0
        if len(c) > 1:
            # Linear and quadratic terms together: at 0, at both ends, and at the vertex where it may lie inside. A ball about 0
            # in place of the second needs none: less than its size lies beyond the ends.
            first, second = np.abs(c[1]), c[2] if len(c) > 2 else c[0] * 0
            bent = (np.abs(second) > 0) & ~(first > 2 * np.abs(second))
            vertex = np.where(bent, -first * (first / np.where(bent, 4 * second, 1)), 0 * first)
            down = -larger(larger(first - second, -vertex), 0 * first)
            up = larger(larger(first + second, vertex), 0 * first)
        tail = self.noise + np.abs(c[3:]).sum(axis=0) + self.numbers.rounding(self.parts + 8, self.size)
        return c[0] + down - tail, c[0] + up + tail

    def widened(self, extra: Array) -> Model:
        """The model with more rest."""
        return Model(self.numbers, self.poly, self.symbols, self.rest + _above(extra))


def polynomial(numbers: Floats, coefficients: Array, rest: Array) -> Model:
    """The model of a polynomial, its coefficients up to an ulp, and a rest (n,)."""
    rounding = numbers.rounding(len(coefficients), np.abs(coefficients).sum(axis=0))
    return Model(numbers, coefficients, {}, _above(rest) + rounding)


def _above(extra: Array) -> Array:
    """Rows to be added to a rest: this, none of it rounding."""
    return np.stack([extra, 0 * extra])


def combination(
    numbers: Floats, count: int, constant: Any, terms: list[tuple[Model, Any]], own: dict[Symbol, Array]
) -> Model:
    """constant + sum weight * model + sum of own symbols on `count` intervals; constant and weights: `numbers.number`."""
    poly = numbers.zeros(max((len(m.poly) for m, _ in terms), default=1), count)
    poly[0] += constant
    symbols, rest = dict(own), numbers.zeros(2, count)
    size = sum((np.abs(v) for v in own.values()), abs(constant) + numbers.zeros(count))
    for model, weight in terms:
        poly[: len(model.poly)] += model.poly * weight
        rest = rest + model.rest * abs(weight)
        size = size + model.size * abs(weight)
        for key, factor in model.symbols.items():
            symbols[key] = symbols[key] + factor * weight if key in symbols else factor * weight
    return Model(numbers, poly, symbols, rest + numbers.rounding(2 * len(terms) + 4, size))


def difference(one: Model, other: Model) -> Model:
    """one - other."""
    number = one.numbers.number
    terms = [(one, number(fmpq(1))), (other, number(fmpq(-1)))]
    return combination(one.numbers, one.poly.shape[1], number(fmpq(0)), terms, {})


def activated(model: Model, activation: str) -> Model:
    """The model of a unit with this activation; where it takes both signs, the chord and how far the activation is from it."""
    if activation == "identity":
        return model
    numbers = model.numbers
    low, high = model.bounds()
    above, below = low >= 0, high <= 0
    bent = ~(above | below)
    zero, one = numbers.zeros(len(low)), numbers.zeros(len(low)) + 1
    if activation == "abs":
        top = numbers.larger(high, -low)
        slope, gap = np.where(above, one, np.where(below, -one, zero)), np.where(bent, top, zero)
    else:
        # On [low, high] max(z, 0) lies between slope*z and slope*(z - low), for any slope in [0, 1] with that at both ends.
        chord = numbers.middle(high / np.where(bent, high - low, 1))
        chord = -numbers.larger(-numbers.larger(chord, zero), -one)
        slope = np.where(above, one, np.where(below, zero, chord))
        gap = np.where(bent, numbers.larger(-slope * low, (1 - slope) * high), zero)
    gap = gap / 2
    poly = model.poly * slope
    poly[0] += gap
    symbols = {key: factor * slope for key, factor in model.symbols.items()}
    rest = model.rest * np.abs(slope) + _above(np.abs(gap)) + np.where(bent, zero + numbers.rounding(8, model.size), zero)
    return Model(numbers, poly, symbols, rest)


def square(model: Model) -> Model:
    """v^2 = p^2 + 2 p (v - p) + (v - p)^2; where 2 p is a factor of symbols, its middle is one, the rest is rest."""
    numbers, p, size = model.numbers, model.poly, model.size
    poly, cut = product(p, p)
    low, high = _polynomial_part(model).bounds()
    middle, away = low + high, high - low
    symbols = {key: factor * middle for key, factor in model.symbols.items()}
    noise = model.noise
    more = cut + noise * noise + (noise - model.rest[0]) * away
    rest = model.rest * 2 * numbers.larger(np.abs(low), np.abs(high)) + _above(more)
    return Model(numbers, poly, symbols, rest + numbers.rounding(4 * model.parts + 8, size * size))


def quotient(top: Model, bottom: Model) -> Model:
    """u^2/c for u = p + x, c = b + y > 0, with z = p/b: p^2/b + 2 z x - z^2 y + (x - z y)^2/c, exactly.

    p^2/b is its series q up to t^ORDER: q misses at most |q b - p^2| over the least b. NaN where c > 0 is not sure.
    """
    numbers, p, b = top.numbers, top.poly, bottom.poly
    least = _positive(_polynomial_part(bottom))
    inverse = _inverse(b)
    q = product(product(p, p)[0], inverse)[0]
    missed, lost = (part / least for part in _missed(numbers, q, b, p, p))
    z = product(p, inverse)[0]
    gap, slack = _missed(numbers, z, b, p, None)
    low, high = Model(numbers, z, {}, _above((gap + slack) / least)).bounds()
    middle, away, most = (low + high) / 2, (high - low) / 2, numbers.larger(np.abs(low), np.abs(high))
    noise = top.noise + most * bottom.noise
    more = missed + noise * (noise / _positive(bottom))
    symbols = {key: 2 * middle * factor for key, factor in top.symbols.items()}
    for factor in top.symbols.values():
        more = more + 2 * away * np.abs(factor)
    for key, factor in bottom.symbols.items():
        # z^2 is within away (2 |middle| + away) of middle^2.
        symbols[key] = symbols.get(key, 0) - middle * middle * factor
        more = more + away * (2 * np.abs(middle) + away) * np.abs(factor)
    rest = 2 * most * top.rest + most * most * bottom.rest + _above(more)
    size = np.abs(q).sum(axis=0) + rest[0] + 2 * most * top.noise + most * most * bottom.noise
    return Model(numbers, q, symbols, rest + lost + numbers.rounding(top.parts + bottom.parts + 16, size + lost))


def product(p: Array, q: Array) -> tuple[Array, Array]:
    """(the coefficients of p q up to t^ORDER, the sum of the sizes of those beyond), rounded."""
    full = _zeros(p, len(p) + len(q) - 1)
    for i, row in enumerate(p):
        full[i : i + len(q)] += row * q
    return full[: ORDER + 1], np.abs(full[ORDER + 1 :]).sum(axis=0)


def _zeros(like: Array, rows: int) -> Array:
    return (BALLS if like.dtype == object else FLOATS).zeros(rows, like.shape[1])


def _polynomial_part(model: Model) -> Model:
    return Model(model.numbers, model.poly, {}, 0 * model.rest)


def _positive(model: Model) -> Array:
    """The lower bound of the model, NaN where it is not positive."""
    low = model.bounds()[0]
    return np.asarray(np.where(low > 0, low, np.nan * low))


def _inverse(b: Array) -> Array:
    """The series of 1/b up to t^ORDER, rounded."""
    found = _zeros(b, ORDER + 1)
    found[0] = 1 / b[0]
    for k in range(1, ORDER + 1):
        for i in range(1, min(k, len(b) - 1) + 1):
            found[k] -= b[i] * found[k - i]
        found[k] = found[k] * found[0]
    return found


def _missed(numbers: Floats, q: Array, b: Array, p: Array, other: Array | None) -> tuple[Array, Array]:
    """(computed |q b - p other| on all intervals, its rounding); their sum is a bound. Without other: |q b - p|."""
    kept, beyond = product(q, b)
    subtracted, cut = (p, 0 * beyond) if other is None else product(p, other)
    length = max(len(kept), len(subtracted))
    gap = _zeros(p, length)
    gap[: len(kept)] += kept
    gap[: len(subtracted)] -= subtracted
    total = np.abs(gap).sum(axis=0) + beyond + cut
    size = np.abs(q).sum(axis=0) * np.abs(b).sum(axis=0) + np.abs(p).sum(axis=0) * (
        1 if other is None else np.abs(other).sum(axis=0)
    )
    return total, 0 * total + numbers.rounding(4 * ORDER + 8, size)
