"""Which machine code follows units along nodes with a proved rounding bound? What unit_pass.py does, with the same bits."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

from approx.certification.machine_arithmetic import (
    CHUNK,
    DD_UNIT,
    FF,
    TINY,
    UNIT,
    B,
    F,
    I,
    N,
    U,
    bits_of,
    crosses,
    dd_add,
    dd_mul,
    larger,
    two_sum,
)


@njit
def _inherit(u, first, row, hi, slot, inexact, errors):  # type: ignore[no-untyped-def]
    """E that the unit's sum inherits."""
    to = slot[u + 1]
    inexact[to] = 0
    e = errors[to]
    for t in range(first[u], first[u + 1]):
        source = row[t]
        if inexact[source]:
            factor, other = abs(hi[t]) * (1 + 2 * UNIT), errors[source]
            if inexact[to]:
                for i in range(len(e)):
                    e[i] = e[i] + factor * other[i]
            else:
                for i in range(len(e)):
                    e[i] = factor * other[i]
            inexact[to] = 1


@njit
def _commit(e, rounding, local, step, inexact, to, combine):  # type: ignore[no-untyped-def]
    """local = the larger rounding of both ends; with `combine` it is added to E."""
    left, right = rounding[: len(local)], rounding[step : step + len(local)]
    for i in range(len(local)):
        local[i] = larger(left[i], right[i])
    if combine:
        if inexact[to]:
            for i in range(len(local)):
                e[i] = e[i] + local[i]
        else:
            for i in range(len(local)):
                e[i] = local[i]
        inexact[to] = 1


@njit
def _bend(z, e, step, absolute, inexact, to):  # type: ignore[no-untyped-def]
    """What the activation adds to E: chord gaps, and 0 where a ReLU is proved to be off."""
    count = len(e)
    left, right = z[:count], z[step : step + count]
    crossings = 0
    for i in range(count):
        crossings += 1 if crosses(left[i], right[i]) else 0
    if crossings:
        if not inexact[to]:
            e[:] = 0.0
            inexact[to] = 1
        factor = 2.0 if absolute else 1.0
        for i in range(count):
            l, r = left[i], right[i]
            a, b = abs(l), abs(r)
            smaller = a if a < b else b
            gap = smaller if crosses(l, r) else 0.0
            e[i] = e[i] + factor * (gap * (1 + 2.0**-40))
    if inexact[to] and not absolute:
        for i in range(count):
            # Adding 0.0 makes the stored number another one for LLVM, which would not take several at once otherwise.
            x = e[i] + 0.0
            e[i] = 0.0 if larger(left[i], right[i]) * (1 - 2.0**-20) + e[i] <= 0 else x


def _float64(  # type: ignore[no-untyped-def]
    first, row, hi, lo, power, grain_of, bias, tail, bias_grain, code, hinged, slot, begin, end, sums, activate, step,
    values, errors, inexact, known, grain, size, local, committed,
):  # fmt: skip
    """Track.follow in float64."""
    points = values.shape[1]
    rounding = np.empty(points)
    for u in range(begin, end):
        to = slot[u + 1]
        z, e = values[to], errors[to]
        if sums:
            index = 0 if activate else u - begin
            _inherit(u, first, row, hi, slot, inexact, errors)
            exact = tail[u] == 0 and not hinged[u]
            g, s = bias_grain[u], abs(bias[u])
            for t in range(first[u], first[u + 1]):
                if lo[t] != 0 or not known[row[t]]:
                    exact = False
                    break
                g = min(g, grain_of[t] + grain[row[t]])
                s += abs(hi[t]) * size[row[t]]
            exact = exact and g > -900 and s * 1.001 < math.ldexp(1.0, min(53 + g, 1000))
            known[to], committed[index] = exact, not exact
            if exact:
                grain[to], size[to] = g, s
            for start in range(0, points, CHUNK):
                stop = min(start + CHUNK, points)
                part, lost = z[start:stop], rounding[start:stop]
                part[:] = bias[u]
                if not exact:
                    lost[:] = TINY + abs(tail[u])
                for t in range(first[u], first[u + 1]):
                    w, v = hi[t], values[row[t]][start:stop]
                    if exact:
                        for i in range(len(part)):
                            part[i] = part[i] + w * v[i]
                    elif power[t]:
                        for i in range(len(part)):
                            total, residue = two_sum(part[i], w * v[i])
                            part[i] = total
                            lost[i] += abs(residue)
                    else:
                        for i in range(len(part)):
                            product = w * v[i]
                            total = part[i] + product
                            part[i] = total
                            lost[i] += UNIT * (abs(product) + abs(total))
                    if lo[t] != 0:
                        for i in range(len(part)):
                            lost[i] += abs(lo[t]) * abs(v[i]) * (1 + 2 * UNIT)
            if not exact:
                _commit(e, rounding, local[index], step, inexact, to, activate)
        if activate:
            if code[u] > 0:
                _bend(z, e, step, code[u] == 2, inexact, to)
                if code[u] == 1:
                    for i in range(points):
                        x = z[i] + 0.0
                        z[i] = 0.0 if x <= 0 else x
                else:
                    for i in range(points):
                        z[i] = z[i] if z[i] > 0 else -z[i]
            if known[to]:
                largest = 0  # of the bits of |z|, which are in the order of the numbers, NaN above all
                for i in range(points):
                    largest = max(largest, bits_of(abs(z[i])))
                size[to] = bits_of(largest)


def _double_double(  # type: ignore[no-untyped-def]
    first, row, hi, lo, power, grain_of, bias, tail, bias_grain, code, hinged, slot, begin, end, sums, activate, step,
    heads, tails, errors, inexact, known, grain, size, local, committed,
):  # fmt: skip
    """Track.follow in double-double."""
    points = heads.shape[1]
    rounding = np.empty(points)
    for u in range(begin, end):
        to = slot[u + 1]
        zh, zl, e = heads[to], tails[to], errors[to]
        if sums:
            index = 0 if activate else u - begin
            _inherit(u, first, row, hi, slot, inexact, errors)
            committed[index] = 1
            for start in range(0, points, CHUNK):
                stop = min(start + CHUNK, points)
                ph, pl, lost = zh[start:stop], zl[start:stop], rounding[start:stop]
                ph[:], pl[:] = bias[u], tail[u]
                lost[:] = TINY + UNIT * abs(tail[u])
                for t in range(first[u], first[u + 1]):
                    w, x, vh, vl = hi[t], lo[t], heads[row[t]][start:stop], tails[row[t]][start:stop]
                    if power[t]:
                        for i in range(len(ph)):
                            ph[i], pl[i] = dd_add(ph[i], pl[i], w * vh[i], w * vl[i])
                            lost[i] += DD_UNIT * abs(ph[i])
                    else:
                        for i in range(len(ph)):
                            mh, ml = dd_mul(vh[i], vl[i], w, x)
                            lost[i] += DD_UNIT * abs(mh)
                            ph[i], pl[i] = dd_add(ph[i], pl[i], mh, ml)
                            lost[i] += DD_UNIT * abs(ph[i])
                    if x != 0:
                        for i in range(len(ph)):
                            lost[i] += (UNIT * abs(x)) * abs(vh[i]) * (1 + 2 * UNIT)
            _commit(e, rounding, local[index], step, inexact, to, activate)
        if activate and code[u] > 0:
            _bend(zh, e, step, code[u] == 2, inexact, to)
            for i in range(points):
                positive = zh[i] > 0
                if code[u] == 1:
                    stays = positive or zh[i] != zh[i]
                    zh[i], zl[i] = (zh[i], zl[i]) if stays else (0.0, 0.0)
                elif not positive:
                    zh[i], zl[i] = -zh[i], -zl[i]


_SUMS = (I, I, F, F, U, I, F, F, I, I, U, I, N, N, B, B, N)
_STATE = (FF, U, U, I, F, FF, U)
FUNCTIONS = {
    "follow float64": (_float64, types.void(*_SUMS, FF, *_STATE)),
    "follow double-double": (_double_double, types.void(*_SUMS, FF, FF, *_STATE)),
}
