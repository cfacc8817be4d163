"""How large can a derivative be? Best-first subdivision with balls, giving proved upper bounds."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from flint import arb, fmpq

from approx.numbers import absolute, float_down, float_up, working_precision
from approx.targets.domain import Domain
from approx.targets.slope_search import admits, steepest

if TYPE_CHECKING:
    from approx.targets.target import Target

Box = list[tuple[fmpq, fmpq]]
BoxBound = Callable[[Box], tuple[float, float]]

_BITS = 96
_MOST_BOXES, _FEW_BOXES = 4000, 48
_NEGLIGIBLE = 1e-18
_THINNEST = fmpq(1, 1 << 34)


def supremum(bound: BoxBound, domain: Domain, rtol: float, most: int = _MOST_BOXES) -> float:
    """Return a proved upper bound of a supremum, from `bound(box) -> (upper, lower)` of it on smaller boxes.

    The boxes with the largest bound are halved until upper <= (1 + rtol) * lower, the budget ends, or a bound is
    still infinite on a box that is 2^-34 of the domain (then math.inf). Sound whatever the outcome.
    """
    order = count()
    start = list(domain)
    widths = domain.widths()
    upper, best = bound(start)
    heap = [(-upper, -next(order), start)]
    for _ in range(most):
        top, _, box = heap[0]
        if -top <= max((1 + rtol) * best, _NEGLIGIBLE):
            break
        shares = [(high - low) / width for (low, high), width in zip(box, widths, strict=True)]
        axis = max(range(len(box)), key=lambda i: shares[i])
        if shares[axis] < _THINNEST:
            break
        heapq.heappop(heap)
        low, high = box[axis]
        middle = (low + high) / 2
        for part in ((low, middle), (middle, high)):
            half = [*box[:axis], part, *box[axis + 1 :]]
            value, lower = bound(half)
            best = max(best, lower)
            heapq.heappush(heap, (-value, -next(order), half))
    return -heap[0][0]


def derivative_bound(target: Target, alpha: tuple[int, ...], domain: Domain, rtol: float) -> float:
    """Return a proved upper bound of sup |D^alpha f| on a box of the domain; see `Target.derivative_bound`."""
    with working_precision(_BITS):
        if sum(alpha) == 1:
            return _steepest(target, [alpha.index(1)], domain, rtol)
        if len(alpha) == 1:
            return supremum(lambda box: _series_bound(target, box[0], alpha[0]), domain, rtol)
        return supremum(lambda box: _jet_bound(target, box, alpha), domain, rtol)


def gradient_bound(target: Target, domain: Domain, rtol: float) -> float:
    """Return a proved bound of the Lipschitz constant in the maximum norm: sup of the gradient's l1 norm."""
    with working_precision(_BITS):
        return _steepest(target, list(range(target.dimension)), domain, rtol)


def _steepest(target: Target, axes: Sequence[int], domain: Domain, rtol: float) -> float:
    seen = 0.0

    def bound(box: Box) -> tuple[float, float]:
        nonlocal seen
        upper, lower = _slope_bound(target, box, axes)
        seen = max(seen, lower)
        return upper, lower

    if admits(target.program):
        # Balls follow the norm of the gradient, arrays its parts: for maxima over different variables a few balls know more.
        few = supremum(bound, domain, rtol, _FEW_BOXES)
        if few <= (1 + rtol) * seen:
            return few
        found = min(few, steepest(target.program, domain, axes, rtol))
        if math.isfinite(found):
            return found
    return supremum(bound, domain, rtol)


def range_bound(target: Target, domain: Domain, rtol: float) -> float:
    """Return a proved upper bound of sup |f|."""
    return derivative_bound(target, (0,) * target.dimension, domain, rtol)


def _ball(low: fmpq, high: fmpq) -> arb:
    return arb(low).union(arb(high))


def _size(ball: arb) -> tuple[float, float]:
    """(upper, lower) bounds of the absolute value; (inf, 0) when the ball is not finite."""
    if not ball.is_finite():
        return math.inf, 0.0
    return float_up(ball.abs_upper()), max(0.0, float_down(ball.abs_lower()))


def _slope_bound(target: Target, box: Box, axes: Sequence[int]) -> tuple[float, float]:
    """Bounds of the sum of |slopes| along some axes; in one variable second derivatives sharpen it."""
    if target.dimension == 1:
        smooth = _series_bound(target, box[0], 1)
        if math.isfinite(smooth[0]):
            return smooth
    slopes, norm = target.slopes_and_norm([_ball(low, high) for low, high in box])
    total = norm if len(axes) == len(box) else sum((absolute(slopes[axis]) for axis in axes), arb(0))
    middle, _ = target.slopes_and_norm([arb((low + high) / 2) for low, high in box])
    lower = sum((arb(max(0.0, _size(middle[axis])[1])) for axis in axes), arb(0))
    if target.dimension > 1 and total.is_finite():
        total = _sharpened(target, box, axes, total)
    return _size(total)[0], max(0.0, float_down(lower))


def _sharpened(target: Target, box: Box, axes: Sequence[int], total: arb) -> arb:
    """The same sum by the mean value theorem from the centre, if second derivatives are finite and it is smaller."""
    if max(high - low for low, high in box) > 1:
        return total
    spread = target.jet([_ball(low, high) for low, high in box], 2)
    if not all(ball.is_finite() for ball in spread.values()):
        return total
    centre = target.jet([arb((low + high) / 2) for low, high in box], 1)
    radii = [arb((high - low) / 2) for low, high in box]
    result = arb(0)
    for axis in axes:
        unit = tuple(int(i == axis) for i in range(len(box)))
        part = centre[unit]
        for other, radius in enumerate(radii):
            index = tuple(int(i == axis) + int(i == other) for i in range(len(box)))
            part = part + spread[index] * (index[axis]) * radius * arb(0, 1)
        result = result + absolute(part)
    return result if result.abs_upper() < total.abs_upper() else total


def _series_bound(target: Target, interval: tuple[fmpq, fmpq], order: int) -> tuple[float, float]:
    """Bounds of sup |f^(order)| on an interval: natural, by the mean value, and at the ends if monotone."""
    low, high = interval
    factorial = math.factorial(order)
    spread = target.series(_ball(low, high), order + 1)
    centre = target.series(arb((low + high) / 2), order)[order]
    natural, lower = _size(spread[order])[0], _size(centre)[1]
    upper = natural
    growth = spread[order + 1]
    if growth.is_finite():
        radius = arb((high - low) / 2)
        mean = absolute(centre) + (order + 1) * absolute(growth) * radius
        upper = min(upper, _size(mean)[0])
        if growth >= 0 or growth <= 0:
            ends = [target.series(arb(end), order)[order] for end in (low, high)]
            sizes = [_size(end) for end in ends]
            upper = min(upper, max(size[0] for size in sizes))
            lower = max(lower, *(size[1] for size in sizes))
    return float_up(arb(upper) * factorial) if math.isfinite(upper) else math.inf, float_down(arb(lower) * factorial)


def _jet_bound(target: Target, box: Box, alpha: tuple[int, ...]) -> tuple[float, float]:
    """Bounds of sup |D^alpha f| on a box: natural, by the mean value theorem, and at a corner where it is monotone."""
    order = sum(alpha)
    factorial = math.prod(math.factorial(k) for k in alpha)
    spread = target.jet([_ball(low, high) for low, high in box], order + 1)
    centre = target.jet([arb((low + high) / 2) for low, high in box], order)[alpha]
    upper, lower = _size(spread[alpha])[0], _size(centre)[1]
    partials = []
    for axis in range(len(alpha)):
        raised = tuple(k + (i == axis) for i, k in enumerate(alpha))
        partials.append(spread[raised] * raised[axis])
    if all(partial.is_finite() for partial in partials):
        mean = absolute(centre)
        for partial, (low, high) in zip(partials, box, strict=True):
            mean = mean + absolute(partial) * arb((high - low) / 2)
        upper = min(upper, _size(mean)[0])
        if all(partial >= 0 or partial <= 0 for partial in partials):
            top = [high if p >= 0 else low for p, (low, high) in zip(partials, box, strict=True)]
            bottom = [low if p >= 0 else high for p, (low, high) in zip(partials, box, strict=True)]
            sizes = [_size(target.jet([arb(x) for x in corner], order)[alpha]) for corner in (top, bottom)]
            upper = min(upper, max(size[0] for size in sizes))
            lower = max(lower, *(size[1] for size in sizes))
    return float_up(arb(upper) * factorial) if math.isfinite(upper) else math.inf, float_down(arb(lower) * factorial)
