"""How far is a polynomial from a function of one variable on an interval, rigorously and almost sharply?"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Any

from flint import arb, arb_poly, fmpq, fmpq_poly

from approx.numbers import arb_interval, float_up, to_arb, working_precision
from approx.targets import Target


class TooFar(Exception):
    """The distance is larger than what the caller would accept."""


def polynomial_distance(
    target: Target, coefficients: Sequence[fmpq], centre: fmpq, half: fmpq, goal: float, bits: int = 160
) -> float:
    """A proved upper bound of sup |f(x) - sum a_k s^k| over s = (x - centre)/half in [-1, 1]; inf when nothing is proved.

    On a cell |x - c| <= r, f - p has Taylor coefficients d_0..d_{K-1} at c and d_K over the cell, all in balls, and
    |f - p| <= sum |d_k| r^k. Cells are bisected until the largest bound is sharp to a few per cent. Gives up early,
    with a value above `goal`, as soon as the difference at a cell's centre exceeds goal.
    Cost: about 50 us per cell and some tens of cells. Raises nothing; derived.
    """
    order = len(coefficients)
    with working_precision(bits):
        poly = arb_poly(fmpq_poly([fmpq(c) for c in coefficients]))
        heap: list[tuple[float, float, fmpq, fmpq]] = []
        low = 0.0
        try:
            pieces = [(fmpq(2 * i, 16) - 1, fmpq(2 * (i + 1), 16) - 1) for i in range(16)]
            for a, b in pieces:
                low = max(low, _push(heap, target, poly, a, b, centre, half, order, goal))
            for step in range(800):
                worst = -heap[0][0]
                if step >= 150 and worst > 20 * goal:  # not going to be proved
                    return math.inf
                if worst <= low * 1.02 + 1e-300 or not worst > 0:
                    break
                if worst <= goal * 0.5 and worst <= low * 1.3:
                    break
                _, _, a, b = heapq.heappop(heap)
                if worst == math.inf and (b - a) * 2**12 < 1:  # a singularity: bisection will not help
                    return math.inf
                middle = (a + b) / 2
                low = max(low, _push(heap, target, poly, a, middle, centre, half, order, goal))
                low = max(low, _push(heap, target, poly, middle, b, centre, half, order, goal))
        except TooFar:
            return math.inf
    return -heap[0][0]


def _push(
    heap: list[Any], target: Target, poly: Any, a: fmpq, b: fmpq, centre: fmpq, half: fmpq, order: int, goal: float
) -> float:
    # Pushes (-bound, ...) and returns a lower bound of the distance, from the cell's midpoint.
    c, r = (a + b) / 2, (b - a) / 2
    x = centre + half * c
    at = target.series(to_arb(x), order)
    over = target.series(arb_interval(centre + half * a, centre + half * b), order)
    shifted = poly(arb_poly([to_arb(c), 1]))
    scale, total, power = to_arb(half), arb(0), arb(1)
    radius = to_arb(r)
    gap = abs(at[0] - shifted[0])
    low = float(gap.lower()) if gap.is_finite() else 0.0
    if low > goal:
        raise TooFar
    for k in range(order + 1):
        ball = (over[k] if k == order else at[k]) * scale**k
        total += abs(ball - (shifted[k] if k < order else arb(0))) * power
        power *= radius
    plain = abs(over[0] - poly(arb_interval(a, b)))
    bound = float_up(total) if total.is_finite() else math.inf
    if plain.is_finite():
        bound = min(bound, float_up(plain))
    heapq.heappush(heap, (-bound, float(c.p) / float(c.q), a, b))
    return max(low, 0.0)
