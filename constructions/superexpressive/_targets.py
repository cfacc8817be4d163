"""How do prescribed values in [0, 1), given as floats, rationals or balls, become integers in units of 2^-width?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.errors import ApproxError, InputError
from approx.numbers import to_fmpq

_ACCEPTED = "numbers in [0, 1): floats, rationals or balls (their midpoints in [0, 1))"


@dataclass(frozen=True)
class FixedPoint:
    """Values in units of 2^-width, each within `slack` units of the value (or of every point of the ball) that was given."""

    integers: list[int]
    width: int
    slack: float

    def __len__(self) -> int:
        return len(self.integers)


def width_for(count: int, bits: int) -> int:
    """A multiple of 64 that leaves room to tell errors of 2^-bits/2 from each other among `count` values."""
    return 64 * math.ceil((bits + count.bit_length() + 14) / 64)


def fixed_point(values: Any, width: int) -> FixedPoint:
    """The values as integers of `width` bits. Raises InputError on values outside [0, 1), NaN or anything else."""
    if isinstance(values, FixedPoint):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and width == 64:
        return _from_floats(values)
    integers, slack = [], 0.0
    for value in values:
        integer, units = _one(value, width)
        if not 0 <= integer < 1 << width:
            raise InputError("values", value, _ACCEPTED)
        integers.append(integer)
        slack = max(slack, units)
    return FixedPoint(integers, width, slack)


def _from_floats(values: np.ndarray) -> FixedPoint:
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    if not ((flat >= 0) & (flat < 1)).all():
        raise InputError("values", float(flat[~((flat >= 0) & (flat < 1))][0]), _ACCEPTED)
    scaled = flat * 2.0**64
    whole = np.floor(scaled)
    return FixedPoint(whole.astype(np.uint64).tolist(), 64, float((scaled != whole).any()))


def _one(value: Any, width: int) -> tuple[int, float]:
    if isinstance(value, arb) and value.is_finite():
        mantissa, exponent = value.mid().man_exp()
        shift = int(exponent) + width
        integer = int(mantissa) << shift if shift >= 0 else int(mantissa) >> -shift
        return integer, math.ceil(float((value.rad() * arb(2) ** width).upper())) + 1.0
    try:
        exact = to_fmpq(value)
    except ApproxError as error:
        raise InputError("values", value, _ACCEPTED) from error
    top = int(exact.p) << width
    integer = top // int(exact.q)
    return integer, float(integer * int(exact.q) != top)


def circle_gaps(first: Sequence[int], second: Sequence[int], width: int) -> np.ndarray:
    """|first - second| on the circle of 2^width units, elementwise (uint64 for width 64, Python integers above)."""
    kind = np.uint64 if width == 64 else object
    a, b = np.array(first, dtype=kind), np.array(second, dtype=kind)
    if width == 64:
        with np.errstate(over="ignore"):
            return np.minimum(a - b, b - a)
    turn = 1 << width
    return np.minimum((a - b) % turn, (b - a) % turn)


def as_fraction(integer: int, width: int) -> fmpq:
    """integer / 2^width."""
    return fmpq(integer, 1 << width)
