"""What is a callable on an interval, given what was declared of it? Chords with the remainder of a declared |f''| or modulus.

Statement. On a cell of width w the chord through the values at its ends is within M w^2/8 of f when |f''| <= M was declared;
otherwise the value at the centre is within the declared modulus of continuity at w/2. The error of the callable's float64
values is added. Everything that rests on this cover is conditional on the declaration.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from approx.numbers import float_down, float_up
from approx.targets.cover import Cover

if TYPE_CHECKING:
    from approx.targets.target import Target

_UP = 1 + 2.0**-30


def declared_cover(target: Target, tolerance: float, most: int = 100_000) -> Cover:
    """A Cover of the domain of a callable of one variable, remainders <= tolerance where `most` equal cells suffice."""
    low, high = float_down(target.domain.lower[0]), float_up(target.domain.upper[0])
    second = target.derivative_bound(2)
    if math.isfinite(second):
        cells = (high - low) * math.sqrt(second / (8 * tolerance)) if second else 1.0
    else:
        slope = target.lipschitz()
        cells = (high - low) * slope / (2 * tolerance) if math.isfinite(slope) else float(most)
    edges = np.unique(np.linspace(low, high, min(most, max(1, math.ceil(cells))) + 1))
    left, right = edges[:-1], edges[1:]
    centres = 0.5 * (left + right)
    halves = np.nextafter(np.maximum(right - centres, centres - left), np.inf)
    scales = 2.0 ** np.ceil(np.log2(halves))
    inside = np.clip(edges, float_up(target.domain.lower[0]), float_down(target.domain.upper[0]))
    error = target.regularity.evaluation_error if target.regularity else None
    if math.isfinite(second):
        values = np.asarray(target(inside))
        noise = np.full(len(values), error) if error is not None else 2.0**-48 * np.abs(values)
        constant = 0.5 * (values[:-1] + values[1:])
        linear = (values[1:] - values[:-1]) / (right - left) * scales
        remainder = second * (right - left) ** 2 / 8 + np.maximum(noise[:-1], noise[1:])
        rounding = 2.0**-48 * (np.abs(values[:-1]) + np.abs(values[1:]))
        coefficients = np.stack([constant, linear], axis=1)
        curvature, degree = np.full(len(centres), second), 1
    else:
        constant = np.asarray(target(np.clip(centres, inside[0], inside[-1])))
        noise = np.full(len(constant), error) if error is not None else 2.0**-48 * np.abs(constant)
        widest = float(halves.max())
        remainder = np.full(len(constant), float(target.modulus(widest * _UP))) + noise
        rounding = 2.0**-48 * np.abs(constant)
        coefficients = constant[:, np.newaxis]
        curvature, degree = np.full(len(centres), np.inf), 0
    total = (remainder + rounding) * _UP
    return Cover(
        edges=edges,
        centres=centres,
        halfwidths=halves,
        scales=scales,
        hi=coefficients,
        lo=np.zeros_like(coefficients),
        degrees=np.full(len(centres), degree),
        remainder=np.where(np.isfinite(total), total, np.inf),
        second_remainder=curvature,
        tolerance=tolerance,
    )
