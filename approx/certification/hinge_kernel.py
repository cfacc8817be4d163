"""Which machine code evaluates sums of hinges with their error bounds? What HingeSum does in numpy, with the same bits."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from approx.certification.machine_arithmetic import DD_UNIT, F, I, X, dd_add, dd_mul, dd_mul_float


@njit
def _behind(kinks, x, start, left):  # type: ignore[no-untyped-def]
    """How many kinks lie below x (left) or not above it, at least `start`: a few steps, then halving."""
    low, high = start, len(kinks)
    for _ in range(4):
        if not (low < high and (kinks[low] < x if left else kinks[low] <= x)):
            return low
        low += 1
    while low < high:
        middle = (low + high) // 2
        if kinks[middle] < x if left else kinks[middle] <= x:
            low = middle + 1
        else:
            high = middle
    return low


def _hinges(x, tail, kinks, ah, al, bh, bl, jumps, a_error, b_error):  # type: ignore[no-untyped-def]
    """HingeSum.along but for its gaps; in float64 `tail` is empty."""
    count, last = len(x), -np.inf
    hi, lo, error = np.empty(count), np.empty(count), np.empty(count)
    lower, upper = np.empty(count, np.int64), np.empty(count, np.int64)
    begin = middle = end = 0
    for i in range(count):
        v = x[i]
        if not v >= last:
            begin = middle = end = 0
        last = v
        near = 2.0**-50 * abs(v) + 2.0**-1000
        begin = _behind(kinks, v - near, begin, True)
        middle = _behind(kinks, v, max(middle, begin), False)
        end = _behind(kinks, v + near, max(end, middle), False)
        if len(tail):
            ph, pl = dd_mul(ah[middle], al[middle], v, tail[i])
        else:
            ph, pl = dd_mul_float(ah[middle], al[middle], v)
        hi[i], lo[i] = dd_add(ph, pl, bh[middle], bl[middle])
        doubtful = jumps[end] - jumps[begin] + 2.0**-40 * jumps[end] if end > begin else 0.0
        lost = 2 * near * doubtful * (1 + 2.0**-30) + a_error * abs(v) + b_error
        error[i] = lost + 4 * DD_UNIT * (abs(ph) + abs(hi[i]))
        lower[i], upper[i] = begin, end
    return hi, lo, error, lower, upper


_FOUND = types.Tuple((F, F, F, I, I))
FUNCTIONS = {f"hinges {name}": (_hinges, _FOUND(*[F] * 8, X, X)) for name in ("float64", "double-double")}
