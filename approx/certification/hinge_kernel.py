"""Which machine code evaluates sums of hinges with their error bounds? What HingeSum does in numpy, with the same bits."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from approx.certification.machine_arithmetic import DD_UNIT, F, N, X, dd_add, dd_mul, dd_mul_float, larger, two_sum


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


@njit
def _counts(x, kinks, lower, position, upper):  # type: ignore[no-untyped-def]
    """How many kinks lie surely below, not above, and perhaps not above the points."""
    begin = middle = end = 0
    last = -np.inf
    for i in range(len(x)):
        v = x[i]
        if not v >= last:
            begin = middle = end = 0
        last = v
        near = 2.0**-50 * abs(v) + 2.0**-1000
        begin = _behind(kinks, v - near, begin, True)
        middle = _behind(kinks, v, max(middle, begin), False)
        end = _behind(kinks, v + near, max(end, middle), False)
        lower[i], position[i], upper[i] = begin, middle, end


@njit
def _gathered(values, position):  # type: ignore[no-untyped-def]
    """values[position]: loops over what lies in order become vector instructions."""
    result = np.empty(len(position))
    for i in range(len(position)):
        result[i] = values[position[i]]
    return result


def _hinges(  # type: ignore[no-untyped-def]
    x, tail, kinks, ah, al, bh, bl, jumps, a_error, b_error, step, total, total_tail, local
):  # fmt: skip
    """HingeSum.add_to; in float64 the tails are empty."""
    count = len(x)
    lower, position, upper = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    _counts(x, kinks, lower, position, upper)
    error = np.empty(count)
    for i in range(count):
        begin, end, near = lower[i], upper[i], 2.0**-50 * abs(x[i]) + 2.0**-1000
        doubtful = jumps[end] - jumps[begin] + 2.0**-40 * jumps[end] if end > begin else 0.0
        error[i] = 2 * near * doubtful * (1 + 2.0**-30) + a_error * abs(x[i]) + b_error
    sh, sl, oh, ol = _gathered(ah, position), _gathered(al, position), _gathered(bh, position), _gathered(bl, position)
    if len(tail):
        for i in range(count):
            ph, pl = dd_mul(sh[i], sl[i], x[i], tail[i])
            hi, lo = dd_add(ph, pl, oh[i], ol[i])
            total[i], total_tail[i] = dd_add(total[i], total_tail[i], hi, lo)
            error[i] = error[i] + 4 * DD_UNIT * (abs(ph) + abs(hi)) + DD_UNIT * abs(total[i])
    else:
        for i in range(count):
            ph, pl = dd_mul_float(sh[i], sl[i], x[i])
            hi, lo = dd_add(ph, pl, oh[i], ol[i])
            total[i], residue = two_sum(total[i], hi)
            error[i] = error[i] + 4 * DD_UNIT * (abs(ph) + abs(hi)) + (abs(lo) + abs(residue))
    for i in range(len(local)):
        first, last = upper[i], lower[i + step]
        inner = jumps[last] - jumps[first] + 2.0**-40 * jumps[last] if last > first else 0.0
        gap = inner * 0.25 * (x[i + step] - x[i]) * (1 + 2.0**-30)
        local[i] += larger(error[i], error[i + step]) + gap


_PLACE = (N, F, F, F)
FUNCTIONS = {
    f"hinges {name}": (_hinges, types.void(*[F] * 8, X, X, *_PLACE)) for name in ("float64", "double-double")
}
