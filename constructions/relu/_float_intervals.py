"""How is a whole array of numbers enclosed at float speed? Lower and upper float arrays, rounded outwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.numbers import float_down, float_up


class Intervals:
    """Arrays lo <= exact values <= hi; + and * enclose the exact results (one ulp outwards after every operation)."""

    __slots__ = ("hi", "lo")

    def __init__(self, lo: np.ndarray, hi: np.ndarray) -> None:
        self.lo, self.hi = lo, hi

    @classmethod
    def constant(cls, value: fmpq, count: int) -> Intervals:
        """The same exact number everywhere."""
        return cls(np.full(count, float_down(value)), np.full(count, float_up(value)))

    @classmethod
    def of_balls(cls, balls: list[Any]) -> Intervals:
        """The enclosures of balls."""
        return cls(np.array([float_down(b) for b in balls]), np.array([float_up(b) for b in balls]))

    def __add__(self, other: Intervals) -> Intervals:
        return Intervals(np.nextafter(self.lo + other.lo, -np.inf), np.nextafter(self.hi + other.hi, np.inf))

    def __mul__(self, other: Intervals) -> Intervals:
        products = (self.lo * other.lo, self.lo * other.hi, self.hi * other.lo, self.hi * other.hi)
        low = np.minimum(np.minimum(products[0], products[1]), np.minimum(products[2], products[3]))
        high = np.maximum(np.maximum(products[0], products[1]), np.maximum(products[2], products[3]))
        return Intervals(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))

    def scaled(self, factor: fmpq) -> Intervals:
        """factor * self."""
        if factor == 1:
            return self
        return self * Intervals.constant(factor, len(self.lo))

    def magnitude(self) -> float:
        """An upper bound of the largest absolute value; inf when something is not a number."""
        top = float(np.maximum(np.abs(self.lo), np.abs(self.hi)).max())
        return top if top == top else float("inf")


def chebyshev_points(count: int) -> Intervals:
    """Enclosures of cos((2i - 1) pi / 2N), i = 1..N; needs a working precision above 64 bits."""
    return Intervals.of_balls([(arb.pi() * (2 * i + 1) / (2 * count)).cos() for i in range(count)])
