"""In which interval is a target at every point of a product grid? Balls, returned as two float64 arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, fmpq

from approx.numbers import float_up, working_precision

if TYPE_CHECKING:
    from approx.targets.target import Target

_BITS = 80
#: How often the caller is asked whether to stop.
_EVERY = 4096


def grid_enclosures(
    target: Target, axes: Sequence[Sequence[fmpq]], stop: Callable[[], bool] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(middle, radius), arrays of one axis per variable, with |f(x) - middle| <= radius at every point of the grid.

    axes: the exact coordinates along every variable. A point where f is not shown to be defined has an infinite radius, as
    have all points that remain when `stop()` becomes true. Cost: one ball evaluation, some 10 us, per point.
    """
    shape = tuple(len(axis) for axis in axes)
    middle, radius = np.zeros(shape), np.full(shape, np.inf)
    flat_middle, flat_radius = middle.reshape(-1), radius.reshape(-1)
    with working_precision(_BITS):
        balls = [[arb(x) for x in axis] for axis in axes]
        for number, point in enumerate(product(*balls)):
            if stop is not None and number % _EVERY == 0 and stop():
                break
            value = target.ball(list(point))
            if value.is_finite():
                centre = float(value.mid())
                flat_middle[number] = centre
                flat_radius[number] = float_up((value - arb(centre)).abs_upper())
    return middle, radius
