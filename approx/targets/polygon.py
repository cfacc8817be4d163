"""What is the target when only its values at equidistant points are given? The polygon through them, exactly."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.errors import InputError
from approx.numbers import absolute, float_up, to_arb, to_fmpq
from approx.targets.callables import CallableTarget
from approx.targets.domain import DomainLike
from approx.targets.regularity import Regularity


class PolygonTarget(CallableTarget):
    """The piecewise linear function through (lower + k h, values[k]), k = 0 .. n, on an interval cut into n equal parts.

    The values are float64 numbers meant exactly, so the function, its balls and its Lipschitz constant are exact: results are
    not conditional, unlike those for a callable. One variable. Raises InputError unless there are at least two finite values.

    >>> f = PolygonTarget([0, 1, -1], domain=(0, 2))
    >>> f.exact(fmpq(3, 2)), round(f.lipschitz(), 12), f(0.5), f.assumptions
    (0, 2.0, 0.5, ())
    """

    def __init__(self, values: Any, domain: DomainLike = (0, 1)) -> None:
        data = np.array(values, dtype=np.float64)
        if data.ndim != 1 or len(data) < 2 or not np.isfinite(data).all():
            raise InputError("values", np.shape(values), "a sequence of at least two finite numbers")
        self.values = data
        self.parts = len(data) - 1
        super().__init__(self._interpolated, domain)
        if self.dimension != 1:
            raise InputError("domain", domain, "one interval")
        [(self._low, high)] = self.domain
        self._inverse_step = self.parts / (high - self._low)
        differences = np.abs(np.diff(data))
        steepest = int(differences.argmax())
        # The largest rounded difference is that of a true one up to a relative 2^-52.
        exact = abs(to_fmpq(float(data[steepest + 1])) - to_fmpq(float(data[steepest])))
        slope = float_up(exact * self._inverse_step * (1 + fmpq(1, 2**50)))
        size = float(np.abs(data).max(initial=0.0))
        self.declared = Regularity(lipschitz=slope, evaluation_error=2.0**-40 * (size + slope))
        self.regularity = None
        self.assumptions = ()

    def _interpolated(self, points: np.ndarray) -> np.ndarray:
        [[low, high]] = self.domain.floats()
        return np.interp(points, np.linspace(low, high, self.parts + 1), self.values)

    @property
    def text(self) -> str:
        """A name for the polygon."""
        return f"<polygon of {self.parts:,} parts>"

    def exact(self, point: Any) -> fmpq:
        """Return the exact value at an exact point of the interval."""
        place = (to_fmpq(self._coordinates(point)[0]) - self._low) * self._inverse_step
        cell = min(max(int(place.floor()), 0), self.parts - 1)
        left, right = to_fmpq(float(self.values[cell])), to_fmpq(float(self.values[cell + 1]))
        return left + (right - left) * (place - cell)

    def ball(self, point: Any) -> arb:
        """Return a ball that contains the values over the ball `point` within the interval."""
        x = to_arb(self._coordinates(point)[0])
        if not x.is_finite():
            return arb("nan")
        place = (x - arb(self._low)) * arb(self._inverse_step)
        first, last = self._cells(place)
        if first == last:
            return self._line(first, place)
        hull = self._line(first, place.lower()).union(self._line(last, place.upper()))
        inner = self.values[first + 1 : last + 1]
        return hull.union(arb(float(inner.min()))).union(arb(float(inner.max())))

    def _cells(self, place: arb) -> tuple[int, int]:
        most = self.parts - 1
        first, last = math.floor(float(place.lower())) - 1, math.floor(float(place.upper())) + 1
        # float() may have rounded across a node: the cells beside are kept unless they are certainly not touched.
        while first < most and place >= first + 1:
            first += 1
        while last > 0 and place < last:
            last -= 1
        return min(max(first, 0), most), min(max(last, 0), most)

    def _line(self, cell: int, place: arb) -> arb:
        left = arb(float(self.values[cell]))
        return left + (arb(float(self.values[cell + 1])) - left) * (place - cell)

    def slopes_and_norm(self, point: Any) -> tuple[list[arb], arb]:
        """Return the hull of the slopes of the parts that the ball touches, and its absolute value."""
        x = to_arb(self._coordinates(point)[0])
        if not x.is_finite():
            return [arb("nan")], arb("nan")
        first, last = self._cells((x - arb(self._low)) * arb(self._inverse_step))
        around = [arb(v) for v in self.values[first : last + 2].tolist()]
        hull = around[1] - around[0]
        for left, right in pairwise(around):
            hull = hull.union(right - left)
        slope = hull * arb(self._inverse_step)
        return [slope], absolute(slope)

    def __reduce__(self) -> tuple[Any, ...]:
        return PolygonTarget, (self.values, self.domain)
