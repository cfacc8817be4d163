"""How well can P linear pieces do on this very function? A proved lower bound from the curvature, cell by cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import arb, fmpq

from approx.errors import InputError
from approx.numbers import float_down, to_arb, working_precision
from approx.targets import Target

CELLS = 512


@dataclass(frozen=True)
class CurvatureProfile:
    """Equal cells of a domain of one variable: their widths h_i, and proved lower bounds c_i of |f''| on them (of one sign)."""

    widths: np.ndarray
    curvatures: np.ndarray

    def error_below(self, pieces: int) -> float:
        """Return an error below every sup |f - g|, g continuous or not, linear on `pieces` intervals; rounded down.

        Statement. A line misses f by at least c h^2 / 16 on an interval of length h with |f''| >= c. If n_i pieces meet cell i,
        one covers h_i / n_i of it, so an error E needs n_i >= h_i sqrt(c_i / (16 E)); and sum (n_i - 1) <= P - 1, because
        every boundary of cells splits one piece at most. The largest E that violates this, on these cells or on unions of
        2, 4, 8, ... of them, is returned: it tends to (integral |f''|^(1/2))^2 / (16 P^2), which free knots attain.
        Source: P16 (pieces); the sum over cells derived.
        """
        if pieces < 1:
            raise InputError("pieces", pieces, "a positive number of pieces")
        best, widths, curvatures = 0.0, self.widths, self.curvatures
        while pieces <= 2**52:
            best = max(best, _least_error(widths * np.sqrt(curvatures) / 4, pieces))
            if len(widths) % 2:
                break
            widths = 2 * np.minimum(widths[::2], widths[1::2])
            curvatures = np.minimum(curvatures[::2], curvatures[1::2])
        return best


def _least_error(reach: np.ndarray, pieces: int) -> float:
    # Counts are taken a little too small, so that rounding cannot make an error impossible.
    def impossible(error: float) -> bool:
        needed = np.ceil(reach / math.sqrt(error) * (1 - 1e-9))
        return float(np.maximum(needed - 1, 0).sum()) > float(pieces - 1) * (1 + 1e-9)

    low = float((reach**2).max(initial=0.0))
    if low == 0:
        return 0.0
    while not impossible(low):
        low /= 4
        if low < 1e-300:
            return 0.0
    high = 4 * low
    while high > low * (1 + 1e-6):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if impossible(middle) else (low, middle)
    return low


def curvature_profile(target: Target, cells: int = CELLS) -> CurvatureProfile | None:
    """Return the profile of a target of one variable on equal cells (those with kinks count 0); None in several variables.

    Cost: about 0.1 ms per cell.

    >>> float(curvature_profile(Target("x**2"), 4).curvatures.min())
    2.0
    """
    if target.dimension != 1:
        return None
    (low, high), widths, curvatures = target.domain[0], [], []
    step = (fmpq(high) - fmpq(low)) / cells
    with working_precision(64):
        half = to_arb(step) / 2
        for k in range(cells):
            middle = to_arb(fmpq(low) + step * fmpq(2 * k + 1, 2))
            cell = middle + arb(0, half.upper())
            curve = 2 * target.series(cell, 2)[2]
            least = curve.abs_lower() if curve.is_finite() else arb(0)
            widths.append(float_down(to_arb(step)))
            curvatures.append(max(0.0, float_down(least)))
    return CurvatureProfile(np.array(widths), np.array(curvatures))
