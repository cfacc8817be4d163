"""Which points did the user give, and which shape does the answer have?"""

from __future__ import annotations

from typing import Any

import numpy as np

from approx.errors import InputError
from approx.numbers import to_float


def as_points(x: Any, inputs: int) -> tuple[np.ndarray, bool]:
    """Return the points as a float64 array (n, inputs) and whether x was one scalar.

    Accepted: for one input a scalar, (n,) or (n, 1); for d inputs (n, d). Empty arrays are accepted, NaN and inf too.
    Integers and rationals are converted to the nearest float64.
    Raises InputError on other shapes and on complex numbers or text.

    >>> as_points([1, 2, 3], 1)[0].shape, as_points(0.5, 1)[1]
    ((3, 1), True)
    """
    accepted = f"an array of shape (n, {inputs}), one row per point"
    if inputs == 1:
        accepted = "a number, an array (n,) or (n, 1)"
    array = _real_array(x, accepted)
    if array.ndim == 0 and inputs == 1:
        return array.reshape(1, 1), True
    if array.ndim == 1 and (inputs == 1 or array.size == 0):
        return array.reshape(-1, inputs), False
    if array.ndim == 2 and array.shape[1] == inputs:
        return array, False
    raise InputError("x", f"an array of shape {array.shape}", accepted)


def _real_array(x: Any, accepted: str) -> np.ndarray:
    refusal = InputError("x", x, accepted + " of real numbers")
    try:
        raw = np.asarray(x)
    except (TypeError, ValueError) as error:  # rows of different lengths
        raise refusal from error
    if raw.dtype.kind == "O":
        try:
            exact = [v if isinstance(v, float) else to_float(v) for v in raw.reshape(-1)]
        except (InputError, TypeError, ValueError) as error:
            raise refusal from error
        return np.array(exact, dtype=np.float64).reshape(raw.shape)
    if raw.dtype.kind not in "biuf":
        raise refusal
    return np.ascontiguousarray(raw, dtype=np.float64).reshape(raw.shape)


def shape_values(values: np.ndarray, scalar: bool) -> Any:
    """Return the (n, k) values as (n,) when k = 1, without the point axis when x was a scalar."""
    result = values[:, 0] if values.shape[1] == 1 else values
    return result[0] if scalar else result
