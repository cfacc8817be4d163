"""In which arithmetic a network of one variable is followed along a partition: float64, or double-double.

Both classes answer the same questions on arrays of nodes; values are tuples of float64 arrays whose sum is meant.
The rigorous pass (`affine`) returns with every value a bound of the rounding that it committed; the first pass, which
only looks for breakpoints, ignores these bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from approx.numbers.doubledouble import dd_add, dd_mul, two_sum

Vector = tuple[np.ndarray, ...]
#: Unit roundoff of float64, and a bound of the relative error of one double-double operation (proved: 2^-102 or less).
UNIT = 2.0**-53
DD_UNIT = 2.0**-101
#: Added wherever a product may underflow; 2^-1000 covers any number of denormal errors that fits into memory.
TINY = 2.0**-1000


class Float64:
    """Plain float64 with error-free residues, so that exact dyadic work (sawtooth networks) is seen to be exact."""

    name = "float64"
    resolution = 2.0**-52

    @staticmethod
    def constant(hi: float, lo: float, size: int) -> Vector:
        """The constant hi (the tail lo is a rounding that the caller accounts for)."""
        return (np.full(size, hi),)

    @staticmethod
    def weight_error(lo: float) -> float:
        """What is neglected of a weight hi + lo."""
        return abs(lo)

    @staticmethod
    def add_product(total: Vector, hi: float, lo: float, value: Vector, error: np.ndarray) -> Vector:
        """total + hi*value; the roundings committed are added to `error` in place.

        Where only the sum rounds, its residue is computed; otherwise both roundings are bounded by their results.
        """
        (t,), (v,) = total, value
        product = hi * v
        if lo == 0 and _power_of_two(hi):
            result, residue = two_sum(t, product)
            error += np.abs(residue)
        else:
            result = t + product
            error += UNIT * (np.abs(product) + np.abs(result))
        return (result,)

    @staticmethod
    def interpolate(value: Vector, left: np.ndarray, fraction: Vector) -> Vector:
        """Values at left + fraction between neighbouring nodes."""
        (v,), (f,) = value, fraction
        before = v.take(left, axis=-1)
        step = v.take(left + 1, axis=-1)
        step -= before
        step *= f
        step += before
        return (step,)

    @staticmethod
    def root(left: Vector, right: Vector) -> Vector:
        """The fraction at which the chord from `left` to `right` vanishes."""
        return (left[0] / (left[0] - right[0]),)


@dataclass(frozen=True)
class Grid:
    """All values of a unit are multiples of 2^grain and at most `size` in absolute value (inf: nothing is known)."""

    grain: int
    size: float

    @classmethod
    def of_points(cls, x: np.ndarray) -> Grid:
        """The coarsest grid of a few candidates on which the points lie."""
        size = float(np.abs(x).max(initial=0.0))
        if not np.array_equal(np.rint(x * 2.0**48), x * 2.0**48):
            return NOWHERE
        for grain in (-8, -16, -24, -32, -48):
            if size <= 2.0 ** (53 + grain) and np.array_equal(np.rint(x * 2.0**-grain), x * 2.0**-grain):
                return cls(grain, size)
        return NOWHERE


NOWHERE = Grid(0, np.inf)


class DoubleDouble:
    """Unevaluated sums of two float64 numbers: about 31 decimal digits at about 15 times the cost."""

    name = "double-double"
    resolution = 2.0**-100

    @staticmethod
    def constant(hi: float, lo: float, size: int) -> Vector:
        """The constant hi + lo."""
        return (np.full(size, hi), np.full(size, lo))

    @staticmethod
    def weight_error(lo: float) -> float:
        """What is neglected of a weight hi + lo beyond its tail."""
        return UNIT * abs(lo)

    @staticmethod
    def add_product(total: Vector, hi: float, lo: float, value: Vector, error: np.ndarray) -> Vector:
        """total + (hi+lo)*value; a bound of the roundings is added to `error` in place."""
        if lo == 0 and _power_of_two(hi):
            product: Vector = (hi * value[0], hi * value[1])
        else:
            product = dd_mul(value[0], value[1], np.float64(hi), np.float64(lo))
            error += DD_UNIT * np.abs(product[0])
        result = dd_add(total[0], total[1], product[0], product[1])
        error += DD_UNIT * np.abs(result[0])
        return result

    @staticmethod
    def interpolate(value: Vector, left: np.ndarray, fraction: Vector) -> Vector:
        """Values at left + fraction between neighbouring nodes."""
        a = (value[0][..., left], value[1][..., left])
        b = (value[0][..., left + 1], value[1][..., left + 1])
        step = dd_add(b[0], b[1], -a[0], -a[1])
        return dd_add(*a, *dd_mul(*step, *fraction))

    @staticmethod
    def root(left: Vector, right: Vector) -> Vector:
        """The fraction at which the chord from `left` to `right` vanishes."""
        step = dd_add(left[0], left[1], -right[0], -right[1])
        first = left[0] / step[0]
        zero = np.zeros_like(first)
        rest = dd_add(left[0], left[1], *(-p for p in dd_mul(*step, first, zero)))
        return two_sum(first, rest[0] / step[0])


Arithmetic = type[Float64] | type[DoubleDouble]


def _power_of_two(value: float) -> bool:
    return abs(math.frexp(value)[0]) == 0.5


def take(value: Vector, index: Any) -> Vector:
    """The entries at `index` of every component."""
    return tuple(v[..., index] for v in value)


def join(parts: Sequence[Vector]) -> Vector:
    """Concatenation along the node axis."""
    return tuple(np.concatenate([p[i] for p in parts], axis=-1) for i in range(len(parts[0])))
