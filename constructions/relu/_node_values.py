"""What are the values of a target at very many points of a grid, with a proved bound of their rounding?

Targets of + - *, integer powers, abs, relu, max and min are followed in float64 with a running error bound: every operation
errs by at most 2^-53 of its result, and inherits the errors of its arguments; about 1 ns per operation and point. All
other targets are evaluated in balls, about 10 us per point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from approx.targets.polygon import PolygonTarget
from approx.targets.program import Instruction

_UNIT = 2.0**-53
_SAFE = 1 + 2.0**-20
_TINY = 2.0**-1000
#: Points that are worth the time of balls.
MOST_BALLS = 2_000_000
_CHUNK = 1 << 14
_Bounded = tuple[Any, float]


def node_values(
    target: Target, numerators: np.ndarray, denominator: int, planned: int = 0
) -> tuple[np.ndarray, float]:
    """(float64 values of f at lower + (upper - lower) n / denominator, proved bound of their errors).

    numerators: (n,) in one variable, (n, d) in d variables; entries from 0 to denominator. planned: points in all calls.
    Raises RegularityError where f has no finite value, UnreachableError beyond MOST_BALLS points that need balls.
    """
    columns = numerators.reshape(len(numerators), target.dimension).T
    dyadic = denominator & (denominator - 1) == 0
    points, moved = [], []
    for (low, high), column, inside in zip(target.domain, columns, target.domain.floats_inside(), strict=True):
        first, width = to_float(low), to_float(high - low)
        points.append(np.clip(first + width * (column / denominator), *inside))
        moved.append(0.0 if dyadic and (low, high) == (0, 1) else 8 * _UNIT * (abs(first) + abs(width)))
    if isinstance(target, PolygonTarget):
        declared = target.declared
        if declared.evaluation_error is not None and declared.lipschitz is not None:
            return _finite(target(points[0])), (declared.evaluation_error + declared.lipschitz * moved[0]) * _SAFE
    found = None if target.assumptions else _followed(target, points, moved)
    if found is not None:
        return _finite(found[0]), found[1]
    count = max(len(numerators), planned)
    if count > MOST_BALLS:
        raise UnreachableError(
            f"{count:,} nodal values in balls are more than {MOST_BALLS:,}; targets of + - *, powers, "
            "abs, max and min are evaluated without balls"
        )
    return _by_balls(target, columns.T, denominator)


def _finite(values: Any) -> np.ndarray:
    if not np.isfinite(values).all():
        raise RegularityError("f has no finite value at a node")
    return np.asarray(values, dtype=np.float64)


def _by_balls(target: Target, numerators: np.ndarray, denominator: int) -> tuple[np.ndarray, float]:
    steps = [(low, (high - low) / denominator) for low, high in target.domain]
    values, worst = np.empty(len(numerators)), 0.0
    with working_precision(80):
        for i, row in enumerate(numerators.tolist()):
            ball = target.ball([to_arb(low + step * n) for (low, step), n in zip(steps, row, strict=True)])
            if not ball.is_finite():
                raise RegularityError("f has no finite value at a node")
            values[i] = to_float(ball.mid())
            worst = max(worst, float_up(abs(ball - to_arb(float(values[i])))))
    return values, worst


def _followed(target: Target, points: list[np.ndarray], moved: list[float]) -> tuple[np.ndarray, float] | None:
    if not target.is_rational:
        return None
    values, worst = np.empty(len(points[0])), 0.0
    for start in range(0, len(values), _CHUNK):  # so that all intermediate results stay in the cache
        part = slice(start, start + _CHUNK)
        results: list[_Bounded] = []
        for step in target.program.instructions:
            found = _step(step, results, [p[part] for p in points], moved)
            if found is None:
                return None
            results.append(found)
        values[part] = results[-1][0]
        worst = max(worst, results[-1][1])
    return values, worst


def _step(
    step: Instruction, results: list[_Bounded], points: list[np.ndarray], moved: list[float]
) -> _Bounded | None:
    arguments = [results[i] for i in step.arguments]
    match step.operation:
        case "number":
            value = to_float(step.data)
            return value, 0.0 if to_fmpq(value) == step.data else 2 * _UNIT * abs(value) + _TINY
        case "variable":
            return points[step.data], moved[step.data]
        case "neg":
            return -arguments[0][0], arguments[0][1]
        case "abs":
            return np.abs(arguments[0][0]), arguments[0][1]
        case "relu":
            return np.maximum(arguments[0][0], 0.0), arguments[0][1]
        case "max" | "min":
            choose = np.maximum if step.operation == "max" else np.minimum
            return choose(arguments[0][0], arguments[1][0]), max(arguments[0][1], arguments[1][1])
        case "add" | "sub":
            value = arguments[0][0] + arguments[1][0] if step.operation == "add" else arguments[0][0] - arguments[1][0]
            return value, _rounded(value, arguments[0][1] + arguments[1][1])
        case "mul":
            return _product(*arguments)
        case "powi" if 1 <= step.data <= 16:
            result = arguments[0]
            for _ in range(step.data - 1):
                result = _product(result, arguments[0])
            return result
    return None


def _product(first: _Bounded, second: _Bounded) -> _Bounded:
    (a, error_a), (b, error_b) = first, second
    inherited = _size(a) * error_b + _size(b) * error_a + error_a * error_b
    value = a * b
    return value, _rounded(value, inherited)


def _rounded(value: Any, inherited: float) -> float:
    return (inherited + _UNIT * _size(value) + _TINY) * _SAFE


def _size(value: Any) -> float:
    return float(np.max(np.abs(value), initial=0.0))
