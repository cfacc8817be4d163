"""Is an error seen that is larger than what was claimed? Float64 samples look for a point, exact arithmetic decides there."""

from __future__ import annotations

import math

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant
from approx.errors import ApproxError
from approx.evaluation.precise import evaluate_precisely
from approx.numbers import float_down, to_fmpq, working_precision

_POINTS = 2000
_BITS = 128


def error_beyond(found: Approximant, claimed: float) -> float | None:
    """Return a proved lower bound of |f - net| above `claimed` at one of 2,000 points, or None where none was found.

    The point with the largest difference in float64 is taken; as float64 may be far from networks with long weights, only
    balls around the exact values at that point decide.
    """
    if not claimed < math.inf:
        return None
    rng = np.random.default_rng(2019)
    sides = found.target.domain.floats_inside()
    points = rng.uniform(sides[:, 0], sides[:, 1], size=(_POINTS, len(sides)))
    given = points if len(sides) > 1 else points[:, 0]
    try:
        gap = np.abs(np.asarray(found.target(given)) - np.asarray(found(given)))
        place = int(np.nanargmax(gap))
        if gap[place] <= claimed:
            return None
        exact: list[fmpq] = [to_fmpq(float(c)) for c in points[place]]
        with working_precision(_BITS):
            value: arb = found.target.ball(exact if len(exact) > 1 else exact[0])
            [net] = evaluate_precisely(found.network, [exact if len(exact) > 1 else exact[0]])
            seen = float_down(abs(value - net).lower())
    except (ApproxError, ValueError):
        return None  # weights beyond float64 without a known structure: nothing is observed
    return seen if seen > claimed else None
