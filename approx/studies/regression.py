"""With which power does an error fall? A straight line through logarithms, with the confidence interval of its slope."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from approx.errors import InputError

CONFIDENCE = 0.95


class Slope(NamedTuple):
    """log y = value * log x + offset, regressed over `points` points; [low, high] is the 95% interval of Student's t.

    NaN below two points (or when all x are equal), an infinite interval for two. The interval says how far the points are
    from a line, under the usual assumption of independent normal residuals: it is observed, nothing is proved by it.
    """

    value: float
    low: float
    high: float
    offset: float
    points: int

    def at(self, x: float) -> float:
        """The line at x."""
        return math.exp(self.offset + self.value * math.log(x))

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not known"
        if not math.isfinite(self.high - self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def log_slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """Return the Slope of log y against log x by least squares. Raises InputError unless all are positive and finite.

    >>> log_slope([1, 10, 100], [3, 0.3, 0.03]).value
    -1.0
    """
    if len(x) != len(y) or not all(0 < v < math.inf for v in [*x, *y]):
        raise InputError("x, y", (list(x), list(y)), "as many positive finite numbers on both sides")
    n = len(x)
    if n < 2 or len(set(x)) < 2:
        return Slope(math.nan, math.nan, math.nan, math.nan, n)
    u, v = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    spread = float(((u - u.mean()) ** 2).sum())
    value = float(((u - u.mean()) * (v - v.mean())).sum() / spread)
    offset = float(v.mean() - value * u.mean())
    if n == 2:
        return Slope(round(value, 12), -math.inf, math.inf, offset, n)
    from scipy.special import stdtrit

    residual = float(((v - offset - value * u) ** 2).sum())
    half = float(stdtrit(n - 2, (1 + CONFIDENCE) / 2)) * math.sqrt(residual / (n - 2) / spread)
    return Slope(round(value, 12), value - half, value + half, offset, n)
