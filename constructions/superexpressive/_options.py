"""Which options may a user give to the builders of this family? Checked in one place, with messages that name them."""

from __future__ import annotations

import math
from typing import Any

from approx.errors import ApproxError, InputError
from approx.numbers import to_float, to_fmpq


def accuracy(eps: Any) -> float:
    """eps as a float64; raises InputError unless it is positive and finite."""
    try:
        goal = to_float(to_fmpq(eps))
    except (ApproxError, TypeError, ValueError, OverflowError) as error:
        raise InputError("eps", eps, "a positive finite number") from error
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    return goal


def positive_integer(name: str, value: Any, most: int = 2**40) -> int:
    """The value as an int from 1 to `most`; raises InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InputError(name, value, f"an integer from 1 to {most:,}")
    return value


def positive_counts(name: str, value: Any, dimension: int) -> tuple[int, ...]:
    """One positive integer per axis, from one number or a sequence; raises InputError otherwise."""
    parts = list(value) if isinstance(value, list | tuple) else [value] * dimension
    if len(parts) != dimension:
        raise InputError(name, value, f"a positive integer, or {dimension} of them")
    return tuple(positive_integer(name, p) for p in parts)
