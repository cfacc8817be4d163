"""What are the values of a smooth function at millions of points of a grid? Taylor polynomials on panels, errors proved.

On a panel with centre c and half-width w, f(c + w s) = sum_{i<n} a_i s^i + R, a_i = w^i f^(i)(c)/i!, |R| <= w^n max |f^(n)|/n!.
Horner's scheme in float64 for |s| <= 1, s with one rounding, errs by at most 2^-53 (|a_0| + sum_i 3 i |a_i|) to first order:
a_i passes i products and i sums, and s^i brings i roundings of s; the a_0 passes the last sum only.
"""

from __future__ import annotations

import numpy as np
from flint import arb, fmpq

from approx.numbers import arb_interval, float_up, to_arb, to_float, working_precision
from approx.targets import Target
from constructions.relu._node_values import node_values

_TERMS = 8
_UNIT = 2.0**-53
#: Fewer points are not worth the panels; more panels are not worth the time.
_FEW_POINTS, _MOST_PANELS = 4_000, 16_384


def smooth_values(target: Target, total: int) -> tuple[np.ndarray, float]:
    """(float64 values of f at lower + (upper - lower) k/total, k = 0 .. total, proved bound of their errors).

    Raises as node_values, which takes over where Taylor polynomials are no help.
    """
    if total > _FEW_POINTS and not target.assumptions:
        panels = 64
        while panels <= min(_MOST_PANELS, total // 4):
            if _remainder_is_small(target, panels):
                return _by_panels(target, total, panels)
            panels *= 2
    return node_values(target, np.arange(total + 1), total)


def _remainder_is_small(target: Target, panels: int) -> bool:
    """Whether remainders and roundings are below 2^-52 of the values on a few panels: a guess, nothing rests on it."""
    for k in range(0, panels, max(1, panels // 16)):
        coefficients, remainder = _panel(target, fmpq(k, panels), fmpq(k + 1, panels))
        if not remainder <= 2.0**-52 * max(abs(coefficients).max(), 2.0**-200):
            return False
    return True


def _panel(target: Target, left: fmpq, right: fmpq) -> tuple[np.ndarray, float]:
    """(the a_i of the panel between two places of [0, 1], proved bound of what they lack)."""
    [(low, high)] = target.domain
    centre, half = low + (high - low) * (left + right) / 2, (high - low) * (right - left) / 2
    with working_precision(80):
        jet = target.jet([arb(centre)], _TERMS - 1)
        ends = arb_interval(centre - half, centre + half)
        rest = target.jet([ends], _TERMS)[(_TERMS,)] * arb(half) ** _TERMS
        scaled = [jet[(i,)] * arb(half) ** i for i in range(_TERMS)]
        if not (rest.is_finite() and all(a.is_finite() for a in scaled)):
            return np.zeros(_TERMS), np.inf
        found = np.array([to_float(a.mid()) for a in scaled])
        lacking = float_up(abs(rest)) + sum(
            float_up(abs(a - to_arb(v))) for a, v in zip(scaled, found.tolist(), strict=True)
        )
    return found, lacking * (1 + 2.0**-40)


def _by_panels(target: Target, total: int, panels: int) -> tuple[np.ndarray, float]:
    values, worst = np.empty(total + 1), 0.0
    length = -(-total // panels)
    weights = np.array([1.0, *(3.0 * i for i in range(1, _TERMS))])
    for start in range(0, total, length):
        stop = min(start + length, total)
        a, lacking = _panel(target, fmpq(start, total), fmpq(stop, total))
        s = (2.0 * np.arange(start, stop + 1) - (start + stop)) / (stop - start)
        result = np.full(len(s), a[-1])
        for coefficient in a[-2::-1]:
            result = result * s + coefficient
        values[start : stop + 1] = result
        worst = max(worst, (lacking + _UNIT * float(weights @ np.abs(a))) * (1 + 2.0**-40))
    if not worst < np.inf:
        return node_values(target, np.arange(total + 1), total)
    return values, worst
