"""Which phases y make centre + amplitude sin(2 pi y) equal prescribed numbers? In balls, as integers on the circle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flint import arb, fmpq

from approx.errors import DomainError, InputError
from approx.numbers import absolute, asin, to_fmpq, working_precision
from constructions.superexpressive._targets import FixedPoint

_GUARD = 32
#: The amplitude exceeds the largest deviation by this factor, so that arcsin keeps all its digits.
_ROOM = fmpq(65, 64)


def centre_and_amplitude(
    values: Sequence[arb], amplitude: Any = None, centred: bool = True, least: float = 1.0
) -> tuple[fmpq, fmpq]:
    """Short rationals (c, a), a > 0, with |value - c| <= 64/65 a for all values; c = 0 unless centred.

    `least` is the amplitude for values that are all equal to c.

    Raises DomainError when a value is not finite, InputError when a given amplitude does not bound the values.
    """
    bad = next((v for v in values if not v.is_finite()), None)
    if bad is not None:
        raise DomainError("the target has no finite value at one of the nodes")
    low, high = min(float(v.lower()) for v in values), max(float(v.upper()) for v in values)
    centre = _short((low + high) / 2, max(high - low, 2.0**-40 * abs(low))) if centred else fmpq(0)
    deviation = max(abs(to_fmpq(high) - centre), abs(to_fmpq(low) - centre)) * (1 + fmpq(1, 2**40))
    if amplitude is None:
        return centre, _above(max(deviation * _ROOM, to_fmpq(least) if deviation == 0 else fmpq(0)))
    given = to_fmpq(amplitude)
    if not given > 0 or given < deviation:
        raise InputError(
            "amplitude", amplitude, f"at least {float(deviation.p) / float(deviation.q):.6g}, the target's deviation from "
            f"{float(centre.p) / float(centre.q):.6g} at the nodes (or None)"
        )  # fmt: skip
    return centre, given


def _short(value: float, scale: float) -> fmpq:
    """A dyadic within scale/64 of the value."""
    if scale == 0:
        return fmpq(0)
    step = 6 - math.frexp(scale)[1]
    return fmpq(round(math.ldexp(value, step))) * fmpq(2) ** -step


def _above(value: fmpq) -> fmpq:
    """A dyadic of 8 significant bits that is at least the value."""
    step = 8 - (value.p.bit_length() - value.q.bit_length())
    scaled = value * fmpq(2) ** step
    return fmpq(-(-scaled.p // scaled.q)) * fmpq(2) ** -step


def phases(values: Sequence[arb], centre: fmpq, amplitude: fmpq, width: int) -> FixedPoint:
    """y = arcsin((value - centre)/amplitude)/(2 pi) mod 1 for every value, in units of 2^-width."""
    integers, slack = [], 0.0
    with working_precision(width + _GUARD):
        scale, turn = 1 / arb(amplitude), arb(2) ** width / (2 * arb.pi())
        middle, full = arb(centre), 1 << width
        for value in values:
            ratio = (value - middle) * scale
            angle = ratio.asin() * turn
            if not angle.is_finite():
                angle = asin(ratio, assume_in_range=True) * turn
            if not angle.is_finite():
                raise InputError("amplitude", amplitude, "a bound of |target - centre| at all nodes")
            nearest = angle.mid().floor()
            mantissa, exponent = nearest.man_exp()
            integers.append((int(mantissa) << int(exponent)) % full)
            slack = max(slack, float((absolute(angle - nearest)).upper()))
    return FixedPoint(integers, width, math.ceil(slack) + 1.0)
