"""Between which slopes does a target lie on very many short intervals or small boxes? Interval arithmetic on arrays.

Targets of + - *, integer powers, abs, relu, max and min: values and slopes are carried as float64 intervals through the
expression, widened at every operation by more than its rounding; where the sign that an abs, a max or a min depends on is
not decided, the slope is the hull of both. Other targets get [-L, L] with their Lipschitz constant.
Source: interval slopes (Hansen); widening by a bound of all entries that is carried along: derived.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from approx.targets.program import Instruction

#: Several times the rounding of the few operations that make one step, relative to the bound of the entries.
_WIDE = 2.0**-48
_CHUNK = 1 << 14


class _Range(NamedTuple):
    """Values in [low, high], shape (n,) or (); partial slopes in [left, right], shape (d, n), (d, 1) or ().

    `size` and `rise` bound the absolute values of all values and slopes: numbers, so that no array is searched for its largest
    entry. They may grow faster than the entries; what they widen is 2^-48 of them.
    """

    low: np.ndarray
    high: np.ndarray
    left: np.ndarray
    right: np.ndarray
    size: float
    rise: float


def step_slopes(target: Target, index: np.ndarray, total: float) -> tuple[np.ndarray, np.ndarray]:
    """(least, greatest) slope of f per unit of x on [lower + w k/total, lower + w (k+1)/total], k in `index`; proved.

    f lies between the lines of these slopes through each of its points there. Infinite where f is not Lipschitz.
    In d variables `index` has shape (n, d), and the partial slopes on the boxes have shape (d, n).
    """
    exponent, constant = target.hoelder()
    limit = constant if exponent == 1.0 else np.inf
    corners = index.reshape(len(index), target.dimension).T
    least, greatest = np.full(corners.shape, -limit), np.full(corners.shape, limit)
    if not target.assumptions and getattr(target, "is_rational", False):
        for start in range(0, len(index), _CHUNK):
            part = slice(start, start + _CHUNK)
            found = _followed(target, _box(target, corners[:, part], total))
            if found is None:
                break
            least[:, part] = np.maximum(least[:, part], found.left)
            greatest[:, part] = np.minimum(greatest[:, part], found.right)
    return (least[0], greatest[0]) if target.dimension == 1 else (least, greatest)


def _box(target: Target, corners: np.ndarray, total: float) -> list[_Range]:
    """The coordinates on boxes of one step, slightly widened, each with its own unit slope."""
    found = []
    for k, ((low, high), corner) in enumerate(zip(target.domain, corners, strict=True)):
        first, width = to_float(low), to_float(high - low)
        slack = _WIDE * (abs(first) + abs(width))
        unit = np.zeros((len(corners), 1))
        unit[k] = 1.0
        ends = first + width * (corner / total), first + width * ((corner + 1) / total)
        low_ends, high_ends = ends[0] - slack, ends[1] + slack
        size = float(np.maximum(np.abs(low_ends), np.abs(high_ends)).max(initial=0.0))
        found.append(_Range(low_ends, high_ends, unit, unit, size, 1.0))
    return found


def _followed(target: Target, x: list[_Range]) -> _Range | None:
    results: list[_Range] = []
    for step in target.program.instructions:
        found = _step(step, [results[i] for i in step.arguments], x)
        if found is None:
            return None
        results.append(found)
    last = results[-1]
    shape = x[0].low.shape
    low, high = (np.broadcast_to(part, shape) for part in last[:2])
    left, right = (np.broadcast_to(part, (len(x), *shape)) for part in last[2:4])
    found = last._replace(low=low, high=high, left=left, right=right)
    return found if all(np.isfinite(p).all() for p in found) else None


def _step(step: Instruction, arguments: list[_Range], x: list[_Range]) -> _Range | None:
    match step.operation:
        case "number":
            value, zero = np.array(to_float(step.data)), np.array(0.0)
            slack = 0.0 if to_fmpq(float(value)) == step.data else _WIDE * abs(float(value)) + 2.0**-1000
            return _Range(value - slack, value + slack, zero, zero, abs(float(value)) + slack, 0.0)
        case "variable":
            return x[step.data]
        case "neg":
            return _negative(arguments[0])
        case "abs":
            return _larger(arguments[0], _negative(arguments[0]))
        case "relu":
            zero = np.array(0.0)
            return _larger(arguments[0], _Range(zero, zero, zero, zero, 0.0, 0.0))
        case "max":
            return _larger(*arguments)
        case "min":
            return _negative(_larger(*(_negative(a) for a in arguments)))
        case "add":
            return _sum(*arguments)
        case "sub":
            return _sum(arguments[0], _negative(arguments[1]))
        case "mul":
            return _product(*arguments)
        case "powi" if 1 <= step.data <= 16:
            result = arguments[0]
            for _ in range(step.data - 1):
                result = _product(result, arguments[0])
            return result
    return None


def _negative(a: _Range) -> _Range:
    return _Range(-a.high, -a.low, -a.right, -a.left, a.size, a.rise)


def _sum(a: _Range, b: _Range) -> _Range:
    bounds = a.size + b.size, a.rise + b.rise
    return _widened(_Range(a.low + b.low, a.high + b.high, a.left + b.left, a.right + b.right, *bounds))


def _larger(a: _Range, b: _Range) -> _Range:
    first, second = a.low > b.high, b.low > a.high
    left = np.where(first, a.left, np.where(second, b.left, np.minimum(a.left, b.left)))
    right = np.where(first, a.right, np.where(second, b.right, np.maximum(a.right, b.right)))
    bounds = max(a.size, b.size), max(a.rise, b.rise)
    return _Range(np.maximum(a.low, b.low), np.maximum(a.high, b.high), left, right, *bounds)


def _product(a: _Range, b: _Range) -> _Range:
    for number, other in ((a, b), (b, a)):
        if number.low.ndim == 0 and number.rise == 0:
            return _multiple(number, other)
    values = _times((a.low, a.high), (b.low, b.high))
    first, second = _times((a.left, a.right), (b.low, b.high)), _times((a.low, a.high), (b.left, b.right))
    bounds = a.size * b.size, a.rise * b.size + b.rise * a.size
    return _widened(_Range(*values, first[0] + second[0], first[1] + second[1], *bounds))


def _multiple(number: _Range, a: _Range) -> _Range:
    """A number's product, by its lower end; what it may be larger by goes into the widening."""
    c, more = number.low, float(number.high - number.low)
    low, high, left, right = a[:4] if c >= 0 else (a.high, a.low, a.right, a.left)
    bounds = number.size * a.size, number.size * a.rise
    return _widened(_Range(c * low, c * high, c * left, c * right, *bounds), more * a.size, more * a.rise)


def _times(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    products = a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]
    return np.minimum.reduce(np.broadcast_arrays(*products)), np.maximum.reduce(np.broadcast_arrays(*products))


def _widened(a: _Range, value: float = 0.0, slope: float = 0.0) -> _Range:
    """The Range with room for the rounding of the operation that made it, and for these."""
    # Twice as much in the bounds, for their own rounding and for what is added to the entries here.
    value += _WIDE * a.size + 2.0**-1000
    slope += _WIDE * a.rise + 2.0**-1000
    return _Range(
        a.low - value, a.high + value, a.left - slope, a.right + slope, a.size + 2 * value, a.rise + 2 * slope
    )
