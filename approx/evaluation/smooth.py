"""Which balls and float64 arrays hold the square root and sigma_3, the sigmoidal activation of the 2021 paper?"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from approx.numbers import asin


def sqrt_ball(t: arb) -> arb:
    """sqrt(t); NaN unless t >= 0 is certain."""
    return t.sqrt() if t >= 0 else arb("nan")


def sigma3_ball(t: arb) -> arb:
    """sigma_3(t); where the ball meets two of its pieces, the hull of the values at both ends (sigma_3 increases)."""
    if t < -1 or t > 1 or -1 <= t <= 1:
        return _sigma3_piece(t)
    if not t.is_finite():
        return arb("nan")
    return _sigma3_piece(t.lower()).union(_sigma3_piece(t.upper()))


def _sigma3_piece(t: arb) -> arb:
    if t < -1:
        return -1 / t
    if t > 1:
        # sin(pi t) has period 2: whole periods are taken off before flint, which gives up on huge arguments.
        turns = (t / 2).mid().floor()
        return 7 - 3 / t + (t - 2 * turns).sin_pi() / (arb.pi() * t * t)
    square = 1 - t * t
    root = square.sqrt() if square >= 0 else arb(0).union(square.upper().sqrt())
    return (t * asin(t, assume_in_range=True) + root) / arb.pi() + 3 * t / 2 + 2


def sigma3(t: Any) -> Any:
    """sigma_3 in float64: C^1, bounded by 0 and 7, strictly increasing.

    >>> [round(float(sigma3(np.array(x))), 12) for x in (-2.0, -1.0, 1.0, 1e9)]
    [0.5, 1.0, 4.0, 6.999999997]
    """
    t = np.asarray(t, dtype=np.float64)
    with np.errstate(all="ignore"):
        inner = np.clip(t, -1, 1)
        middle = (inner * np.arcsin(inner) + np.sqrt(1 - inner * inner)) / np.pi + 1.5 * inner + 2
        right = 7 - 3 / t + np.sin(np.pi * np.fmod(t, 2.0)) / (np.pi * t * t)
        return np.where(np.isnan(t), t, np.where(t < -1, -1 / t, np.where(t > 1, right, middle)))
