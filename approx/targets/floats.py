"""What is the value of an expression on a float64 array? Vectorised, with numpy's rounding: not rigorous."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from approx.numbers import to_float
from approx.targets.program import Instruction, Program

Array = np.ndarray
_CONSTANTS = {"pi": math.pi, "e": math.e}


def _erf(values: Array) -> Array:
    if np.size(values) <= 64:  # importing scipy.special takes longer than a whole certificate
        return np.array([math.erf(value) for value in np.ravel(values)]).reshape(np.shape(values))
    from scipy.special import erf

    return erf(values)


def _sigmoid(values: Array) -> Array:
    from scipy.special import expit

    return expit(values)


_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "arcsin": np.arcsin, "arccos": np.arccos,
    "arctan": np.arctan, "erf": _erf, "sigmoid": _sigmoid, "relu": lambda values: np.maximum(values, 0.0),
}  # fmt: skip
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "max": np.maximum,
    "min": np.minimum,
}  # fmt: skip


def float_value(program: Program, columns: list[Array]) -> Array:
    """Return the values at the points whose coordinates are given as one float64 array for each variable.

    The rounding error is that of numpy's functions; where the expression is undefined the value is NaN or infinite
    (no warning).
    """
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for step in program.instructions:
            values.append(_step(step, values, columns))
    shape = columns[0].shape if columns else ()
    return np.broadcast_to(np.asarray(values[-1], dtype=np.float64), shape).copy()


def _step(step: Instruction, values: list[Any], columns: list[Array]) -> Any:
    if step.operation == "number":
        return to_float(step.data)
    if step.operation == "constant":
        return _CONSTANTS[step.data]
    if step.operation == "variable":
        return columns[step.data]
    return apply_float(step, [values[i] for i in step.arguments])


def apply_float(step: Instruction, arguments: list[Any]) -> Any:
    """Return one operation on float64 arrays (or floats), elementwise."""
    first = arguments[0]
    if len(arguments) == 2:
        return _BINARY[step.operation](first, arguments[1])
    if step.operation == "powi":
        return np.square(first) if step.data == 2 else np.power(first, float(step.data))
    if step.operation == "powq":
        return np.power(first, to_float(step.data))
    return _UNARY[step.operation](first)
