"""What is a smooth activation near many points at once? Taylor coefficients with proved errors, from tables of balls.

Statement. For arrays c, radius `local_series` returns s_0..s_n and `error` with

    |act(c + t) - sum_k s_k t^k| <= error   for all |t| <= radius,

and `slope` >= sup |act'| on [c - radius, c + radius]. Method: the line is cut into cells of width 1/16; ball arithmetic
gives, once per process, the Taylor polynomial of degree 10 at the centre of every cell and the range of the derivatives
over it. Coefficients at c are those of the cell's polynomial shifted by c - centre (an exact difference), wrong by at most
the derivative of order 11 over the cell times binomial(11, k) 32^-(11-k), plus the roundings of Horner's rule. The rest is
Taylor's theorem with the largest derivative over all cells that [c - radius, c + radius] meets. Beyond 40 the asymptotes
of the function take over; sin reduces its argument by a 2 pi of 119 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from flint import arb, fmpq

from approx.numbers import float_up, working_precision
from approx.targets import Target

_PER_UNIT, _DEGREE, _REACH, _FAR = 16, 10, 48, 40
#: Radii beyond which a Taylor polynomial is useless and the range alone is taken.
WIDEST = 4.0
_UNIT = 2.0**-53
#: Act(t) as an expression of approx.targets.
_FORMULAS = {
    "sin": "sin(x)",
    "tanh": "tanh(x)",
    "sigmoid": "sigmoid(x)",
    "softplus": "log(1+exp(x))",
    "gelu": "x*(1+erf(x/sqrt(2)))/2",
    "arctan": "arctan(x)",
}
#: Name -> asymptotes (slope, offset) on the left and on the right, and the distance to them beyond 40.
_ASYMPTOTES = {
    "tanh": ((0.0, -1.0), (0.0, 1.0), 1e-34),  # 1 - tanh(t) < 2 e^-2t
    "sigmoid": ((0.0, 0.0), (0.0, 1.0), 5e-18),  # < e^-t
    "softplus": ((0.0, 0.0), (1.0, 0.0), 5e-18),  # log(1 + e^-t) < e^-t
    "gelu": ((0.0, 0.0), (1.0, 0.0), 1e-300),  # t Phi(-t) < e^(-t^2/2)
}


class Local(NamedTuple):
    """Coefficients s_0..s_n (arrays), the error of the polynomial, and a bound of the slope."""

    coefficients: list[np.ndarray]
    error: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True)
class _Table:
    """Per cell: Taylor coefficients, the errors of the shifted ones, and ranges of the derivatives."""

    first: int
    coefficients: np.ndarray
    errors: np.ndarray
    largest: np.ndarray

    def cell(self, t: np.ndarray) -> np.ndarray:
        """The number of the cell that holds t, for t within the table."""
        return np.clip(np.rint(t * _PER_UNIT).astype(np.int64) - self.first, 0, len(self.coefficients) - 1)


    def shifted(self, cell: np.ndarray, c: np.ndarray, order: int) -> np.ndarray:
        """act^(order)(c) / order! by Horner's rule; c minus the centre of its cell is exact."""
        step, total = c - (cell + self.first) / _PER_UNIT, np.zeros_like(c)
        for l in range(_DEGREE, order - 1, -1):
            total = total * step + math.comb(l, order) * self.coefficients[cell, l]
        return total


@lru_cache(maxsize=16)
def _table(name: str) -> _Table:
    reach = 4 if name == "sin" else _REACH
    target = Target(_FORMULAS[name], domain=(-2 * _REACH, 2 * _REACH))
    centres = range(-reach * _PER_UNIT - 1, reach * _PER_UNIT + 2)
    n = _DEGREE
    coefficients = np.zeros((len(centres), n + 1))
    spread, largest = np.zeros_like(coefficients), np.zeros((len(centres), n + 2))
    with working_precision(160):
        half = arb(0, 1) / (2 * _PER_UNIT)
        for row, j in enumerate(centres):
            at = fmpq(j, _PER_UNIT)
            balls = target.series(arb(at), n)
            coefficients[row] = [float(b.mid()) for b in balls]
            spread[row] = [float_up(b.rad()) for b in balls]
            largest[row] = [float_up(abs(b).upper()) for b in target.series(arb(at) + half, n + 1)]
    if name == "softplus":  # its derivative is the sigmoid, whose balls are sharper
        largest[:, 1:] = np.minimum(largest[:, 1:], _table("sigmoid").largest[:, :-1] / np.arange(1, n + 2))
        largest[:, 1:] *= 1 + 4 * _UNIT
    radius = 1 / (2 * _PER_UNIT)
    errors = np.zeros((len(centres), n + 1))
    for k in range(n + 1):
        # The coefficient of degree l is rounded, multiplied by the binomial, and takes part in l - k steps of Horner's rule.
        rounding = sum(
            math.comb(l, k) * radius ** (l - k) * ((2 * (l - k) + 4) * _UNIT * np.abs(coefficients[:, l]) + spread[:, l])
            for l in range(k, n + 1)
        )
        errors[:, k] = math.comb(n + 1, k) * largest[:, n + 1] * radius ** (n + 1 - k) + rounding
    return _Table(centres[0], coefficients, errors * (1 + 2.0**-40) + 2.0**-1000, largest)


@lru_cache(maxsize=64)
def _range_maxima(name: str, order: int) -> tuple[np.ndarray, ...]:
    """Maxima of |act^(order)|/order! over 1, 2, 4, ... consecutive cells."""
    rows = [_table(name).largest[:, order]]
    while 2 ** len(rows) <= len(rows[0]):
        step = 2 ** (len(rows) - 1)
        shifted = np.concatenate([rows[-1][step:], rows[-1][-1:].repeat(step)])
        rows.append(np.maximum(rows[-1], shifted))
    return tuple(rows)


def _largest_derivative(name: str, order: int, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """sup |act^(order)|/order! over [lower, upper] inside the table."""
    if name == "sin":
        return np.full(lower.shape, (1 + 2.0**-40) / math.factorial(order))
    table = _table(name)
    first, last = table.cell(lower), table.cell(upper)
    level = np.frexp((last - first + 1).astype(np.float64))[1] - 1
    maxima = np.stack(_range_maxima(name, order))
    return np.maximum(maxima[level, first], maxima[level, last - (1 << level) + 1])


def local_series(name: str, centre: np.ndarray, radius: np.ndarray, order: int, own: np.ndarray | float = 0.0) -> Local:
    """The Local of a smooth activation of the tables: sin, tanh, sigmoid, softplus, gelu, arctan.

    Arrays of one shape; order at most 9. Where radius > WIDEST, or error + slope*own is larger than half the width of the
    range, s_0 is the middle of the range, error that half and slope 0; never NaN, infinite where nothing is known.
    """
    c, r, moved, usable = _inside(name, centre, radius)
    lower, upper = np.nextafter(c - r, -np.inf), np.nextafter(c + r, np.inf)
    table = _table(name)
    cell = table.cell(c)
    s, error, power = [], moved, np.ones_like(r)
    for k in range(order + 1):
        s.append(table.shifted(cell, c, k))
        error = error + table.errors[cell, k] * power
        power = power * r
    error = error + _largest_derivative(name, order + 1, lower, upper) * power
    result = Local(s, error * (1 + 2.0**-40), _largest_derivative(name, 1, lower, upper))
    if name in _ASYMPTOTES:
        result, usable = _with_asymptotes(name, centre, radius, result, usable)
    return or_range(result, usable, own, *activation_range(name, centre - radius, centre + radius))


#: Ranges of the slope over the whole line.
_SLOPES = {
    "sin": (-1.0, 1.0),
    "tanh": (0.0, 1.0),
    "sigmoid": (0.0, 0.25),
    "softplus": (0.0, 1.0),
    "gelu": (-0.13, 1.13),  # Phi + t phi; extreme at t = +-sqrt(2): 1.1289
    "arctan": (0.0, 1.0),
}


def slope_range(name: str, centre: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(middle, half) with act' in [middle - half, middle + half] on [centre - radius, centre + radius]."""
    lower, upper = _SLOPES[name]
    middle, half = np.full(centre.shape, 0.5 * (lower + upper)), np.full(centre.shape, 0.5 * (upper - lower))
    c, r, moved, usable = _inside(name, centre, radius)
    table = _table(name)
    cell = table.cell(c)
    slope = table.shifted(cell, c, 1)
    bend = 2 * _largest_derivative(name, 2, np.nextafter(c - r, -np.inf), np.nextafter(c + r, np.inf)) * r
    bend = (bend + table.errors[cell, 1] + moved) * (1 + 2.0**-40)
    better = usable & (bend < half)
    return np.where(better, slope, middle), np.where(better, bend, half)


def _inside(
    name: str, centre: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(centre, radius, error of the centre, usable): as the table needs them; 0 where it does not serve."""
    usable = np.isfinite(centre) & (radius <= WIDEST)
    if name == "sin":
        usable &= np.abs(centre) < 2.0**20
        c, moved = _reduced(np.where(usable, centre, 0.0))
        return c, np.where(usable, radius, 0.0), moved, usable
    usable &= (np.abs(centre) + radius) * (1 + 4 * _UNIT) <= _REACH
    return np.where(usable, centre, 0.0), np.where(usable, radius, 0.0), np.zeros_like(centre), usable


def _reduced(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c minus the nearest multiple k of 2 pi, and a bound of the error; |k| < 2^18, so k times 33 bits is exact.

    The first difference is exact: both numbers are multiples of the last bit of c, and the result is below 4.
    """
    k = np.rint(c * (0.5 / math.pi))
    rest = ((c - k * _TWO_PI[0]) - k * _TWO_PI[1]) - k * _TWO_PI[2]
    return rest, np.where(k == 0, 0.0, 2.0**-49)


def _two_pi() -> tuple[float, float, float]:
    parts = []
    with working_precision(300):
        rest = 2 * arb.pi()
        for bits in (33, 33, 53):
            exponent = math.frexp(float(rest.mid()))[1] - bits
            scaled = math.floor(float((rest * arb(2) ** -exponent).mid()))
            parts.append(math.ldexp(scaled, exponent))
            rest = rest - arb(parts[-1])
    return parts[0], parts[1], parts[2]


_TWO_PI = _two_pi()


def _with_asymptotes(
    name: str, centre: np.ndarray, radius: np.ndarray, local: Local, usable: np.ndarray
) -> tuple[Local, np.ndarray]:
    left, right, distance = _ASYMPTOTES[name]
    s, error, slope = list(local.coefficients), local.error, local.slope
    for sign, (rise, offset) in ((-1, left), (1, right)):
        far = np.isfinite(centre) & (sign * centre - radius >= _FAR * (1 + 4 * _UNIT))
        s[0], s[1] = np.where(far, rise * centre + offset, s[0]), np.where(far, rise, s[1])
        s[2:] = [np.where(far, 0.0, v) for v in s[2:]]
        error = np.where(far, distance, error)
        slope = np.where(far, rise + distance, slope)
        usable = usable | far
    return Local(s, error, slope), usable


def or_range(
    local: Local, usable: np.ndarray, own: np.ndarray | float, lower: np.ndarray, upper: np.ndarray
) -> Local:
    """The polynomial where it is better than the range, else the middle of the range."""
    middle = 0.5 * (lower + upper)
    half = np.where(np.isfinite(middle), np.maximum(upper - middle, middle - lower) * (1 + 4 * _UNIT), np.inf)
    take = ~usable | ~(local.error + local.slope * own <= half)
    s = [np.where(take, np.where(np.isfinite(half), middle, 0.0) if k == 0 else 0.0, v)
         for k, v in enumerate(local.coefficients)]  # fmt: skip
    # The range holds for every argument, so that what is uncertain about the argument costs nothing more.
    return Local(s, np.where(take, half, local.error), np.where(take, 0.0, local.slope))


def activation_range(name: str, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lower, upper) of the activation over the intervals; ends that are NaN count as infinite."""
    lo, hi = np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper)
    lo, hi = np.nextafter(lo, -np.inf), np.nextafter(hi, np.inf)
    if name == "sin":
        return np.full(lo.shape, -1.0), np.full(hi.shape, 1.0)
    if name == "gelu":
        # relu(t) - 0.17 < gelu(t) <= relu(t), since t Phi(-t) < 0.17 for t >= 0.
        return np.maximum(lo, 0.0) * (1 - 4 * _UNIT) - 0.17, np.maximum(hi, 0.0)
    low, below = _value(name, lo)
    high, above = _value(name, hi)
    return low - below, high + above


def _value(name: str, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(value, error bound) of a rising activation, for all arguments including infinite ones."""
    inside = np.abs(t) <= _REACH
    c = np.where(inside, t, 0.0)
    table = _table(name)
    cell = table.cell(c)
    total, error = table.shifted(cell, c, 0), table.errors[cell, 0]
    if name == "arctan":
        far, distance = np.where(t > 0, 1.5707963267948966, -1.5707963267948966), 0.03
    else:
        left, right, distance = _ASYMPTOTES[name]
        far = np.where(t > 0, right[0] * np.maximum(t, 0.0) + right[1], left[1])
    return np.where(inside, total, far), np.where(inside, error * (1 + 2.0**-40), distance + 4 * _UNIT)
