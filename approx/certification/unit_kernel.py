"""Which machine code follows units along nodes and finds their roots? Imported by unit_pass.py only, where numba is installed.

Every function does what unit_pass.py and pieces.py do in numpy, operation by operation and in the same order, so that the
results are the same bits; what is proved about them is said there. LLVM contracts products and sums to fused
multiply-adds only when asked, and nothing here asks.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_UNIT, _DD_UNIT = 2.0**-53, 2.0**-101
#: Points whose sums stay in the level-1 cache while the terms of a unit are added.
_CHUNK = 1024
_ROUND, _MASK = 1 << 26, ~((1 << 27) - 1)


@intrinsic
def _reinterpreted(context, bits):  # type: ignore[no-untyped-def]
    """int64 as the float64 of the same bits, or the other way round."""
    target, code = (types.float64, ir.DoubleType()) if bits == types.int64 else (types.int64, ir.IntType(64))
    return target(bits), lambda context, builder, signature, arguments: builder.bitcast(arguments[0], code)


_bits: Any = _reinterpreted  # numba passes the typing context itself


@njit
def _larger(a, b):  # type: ignore[no-untyped-def]
    """np.maximum: NaN if either is."""
    return a if (a >= b or a != a) else b


@njit
def _two_sum(a, b):  # type: ignore[no-untyped-def]
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit
def _fast_two_sum(a, b):  # type: ignore[no-untyped-def]
    s = a + b
    return s, b - (s - a)


@njit
def _dd_add(a, b, c, d):  # type: ignore[no-untyped-def]
    sh, sl = _two_sum(a, c)
    th, tl = _two_sum(b, d)
    vh, vl = _fast_two_sum(sh, sl + th)
    return _fast_two_sum(vh, tl + vl)


@njit
def _dd_mul(a, b, c, d):  # type: ignore[no-untyped-def]
    ah, ch = _bits((_bits(a) + _ROUND) & _MASK), _bits((_bits(c) + _ROUND) & _MASK)
    al, cl = a - ah, c - ch
    p = a * c
    e = ((ah * ch - p) + ah * cl + al * ch) + al * cl
    return _fast_two_sum(p, e + (a * d + b * c))


@njit
def _inherit(u, first, row, hi, slot, inexact, errors):  # type: ignore[no-untyped-def]
    """E that the unit's sum inherits."""
    to = slot[u + 1]
    inexact[to] = 0
    e = errors[to]
    for t in range(first[u], first[u + 1]):
        source = row[t]
        if inexact[source]:
            factor, other = abs(hi[t]) * (1 + 2 * _UNIT), errors[source]
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
        local[i] = _larger(left[i], right[i])
    if combine:
        if inexact[to]:
            for i in range(len(local)):
                e[i] = e[i] + local[i]
        else:
            for i in range(len(local)):
                e[i] = local[i]
        inexact[to] = 1


@njit
def _crosses(l, r):  # type: ignore[no-untyped-def]
    return ((l > 0) & (r < 0)) | ((l < 0) & (r > 0))


@njit
def _bend(z, e, step, absolute, inexact, to):  # type: ignore[no-untyped-def]
    """What the activation adds to E: chord gaps, and 0 where a ReLU is proved to be off."""
    count = len(e)
    left, right = z[:count], z[step : step + count]
    crossings = 0
    for i in range(count):
        crossings += 1 if _crosses(left[i], right[i]) else 0
    if crossings:
        if not inexact[to]:
            e[:] = 0.0
            inexact[to] = 1
        factor = 2.0 if absolute else 1.0
        for i in range(count):
            l, r = left[i], right[i]
            a, b = abs(l), abs(r)
            smaller = a if a < b else b
            gap = smaller if _crosses(l, r) else 0.0
            e[i] = e[i] + factor * (gap * (1 + 2.0**-40))
    if inexact[to] and not absolute:
        for i in range(count):
            # Adding 0.0 makes the stored number another one for LLVM, which would not take several at once otherwise.
            x = e[i] + 0.0
            e[i] = 0.0 if _larger(left[i], right[i]) * (1 - 2.0**-20) + e[i] <= 0 else x


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
            for start in range(0, points, _CHUNK):
                stop = min(start + _CHUNK, points)
                part, lost = z[start:stop], rounding[start:stop]
                part[:] = bias[u]
                if not exact:
                    lost[:] = abs(tail[u])
                for t in range(first[u], first[u + 1]):
                    w, v = hi[t], values[row[t]][start:stop]
                    if exact:
                        for i in range(len(part)):
                            part[i] = part[i] + w * v[i]
                    elif power[t]:
                        for i in range(len(part)):
                            total, residue = _two_sum(part[i], w * v[i])
                            part[i] = total
                            lost[i] += abs(residue)
                    else:
                        for i in range(len(part)):
                            product = w * v[i]
                            total = part[i] + product
                            part[i] = total
                            lost[i] += _UNIT * (abs(product) + abs(total))
                    if lo[t] != 0:
                        for i in range(len(part)):
                            lost[i] += abs(lo[t]) * abs(v[i]) * (1 + 2 * _UNIT)
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
                    largest = max(largest, _bits(abs(z[i])))
                size[to] = _bits(largest)


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
            for start in range(0, points, _CHUNK):
                stop = min(start + _CHUNK, points)
                ph, pl, lost = zh[start:stop], zl[start:stop], rounding[start:stop]
                ph[:], pl[:] = bias[u], tail[u]
                lost[:] = _UNIT * abs(tail[u])
                for t in range(first[u], first[u + 1]):
                    w, x, vh, vl = hi[t], lo[t], heads[row[t]][start:stop], tails[row[t]][start:stop]
                    if power[t]:
                        for i in range(len(ph)):
                            ph[i], pl[i] = _dd_add(ph[i], pl[i], w * vh[i], w * vl[i])
                            lost[i] += _DD_UNIT * abs(ph[i])
                    else:
                        for i in range(len(ph)):
                            mh, ml = _dd_mul(vh[i], vl[i], w, x)
                            lost[i] += _DD_UNIT * abs(mh)
                            ph[i], pl[i] = _dd_add(ph[i], pl[i], mh, ml)
                            lost[i] += _DD_UNIT * abs(ph[i])
                    if x != 0:
                        for i in range(len(ph)):
                            lost[i] += (_UNIT * abs(x)) * abs(vh[i]) * (1 + 2 * _UNIT)
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


@njit
def _crossings(z, counts):  # type: ignore[no-untyped-def]
    """How many units change their sign on each interval, and in total."""
    total = 0
    for i in range(z.shape[0]):
        row = z[i]
        for j in range(len(counts)):
            crossing = 1 if _crosses(row[j], row[j + 1]) else 0
            counts[j] += crossing
            total += crossing
    return total


@njit
def _selected(x, counts, unit, fraction, resolution):  # type: ignore[no-untyped-def]
    """(intervals of the roots that become nodes, their numbers in the lists), by interval and fraction."""
    total = len(unit)
    left = np.empty(total, np.int64)
    kept = np.empty(total, np.int64)
    first = count = 0
    largest = 0.0
    for j in range(len(counts)):
        smallest = 4 * resolution * max(abs(x[j]), abs(x[j + 1]))
        if counts[j]:
            largest = max(largest, smallest)
    for j in range(len(counts)):
        if not counts[j]:
            continue
        width = x[j + 1] - x[j]
        smallest = 4 * resolution * max(abs(x[j]), abs(x[j + 1]))
        begin = count
        for k in range(first, first + counts[j]):
            if fraction[k] * width > smallest and (1 - fraction[k]) * width > smallest:
                place = count
                while place > begin and fraction[kept[place - 1]] > fraction[k]:
                    kept[place] = kept[place - 1]
                    place -= 1
                kept[place] = k
                count += 1
        first += counts[j]
        # Roots closer to their predecessor than rounding are the same node.
        last, write = 0.0, begin
        for k in range(begin, count):
            this = fraction[kept[k]]
            if k == begin or (this - last) * width > largest:
                kept[write] = kept[k]
                left[write] = j
                write += 1
            last = this
        count = write
    return left[:count], kept[:count]


@njit
def _listed(z, counts, total):  # type: ignore[no-untyped-def]
    """The unit of every sign change, by interval and unit."""
    place = np.empty(len(counts), np.int64)
    at = 0
    for j in range(len(counts)):
        place[j] = at
        at += counts[j]
    unit = np.empty(total, np.int64)
    for i in range(z.shape[0]):
        row = z[i]
        for j in range(len(counts)):
            if _crosses(row[j], row[j + 1]):
                unit[place[j]] = i
                place[j] += 1
    return unit


@njit
def _moved(old, new, left):  # type: ignore[no-untyped-def]
    """Copy a row to the places that the new nodes leave."""
    begin = 0
    for k in range(len(left)):
        for j in range(begin, left[k] + 1):
            new[j + k] = old[j]
        begin = left[k] + 1
    for j in range(begin, len(old)):
        new[j + len(left)] = old[j]


def _advance64(  # type: ignore[no-untyped-def]
    first, row, hi, lo, power, bias, tail, code, begin, end, keep, kept, resolution, live
):  # fmt: skip
    """roots.advance in float64."""
    nodes, units = live.shape[1], end - begin
    z = np.empty((units, nodes))
    for u in range(begin, end):
        for start in range(0, nodes, _CHUNK):
            stop = min(start + _CHUNK, nodes)
            part = z[u - begin][start:stop]
            part[:] = bias[u]
            for t in range(first[u], first[u + 1]):
                w, v = hi[t], live[row[t]][start:stop]
                for i in range(len(part)):
                    part[i] = part[i] + w * v[i]
    counts = np.zeros(nodes - 1, np.int64)
    total = _crossings(z, counts) if code > 0 else 0
    unit = _listed(z, counts, total)
    fraction = np.empty(total)
    at = 0
    for j in range(nodes - 1):
        for k in range(at, at + counts[j]):
            l, r = z[unit[k], j], z[unit[k], j + 1]
            fraction[k] = l / (l - r)
        at += counts[j]
    left, chosen = _selected(live[0], counts, unit, fraction, resolution)
    grown = np.empty((len(keep) + (units if kept else 0), nodes + len(left)))
    for i in range(grown.shape[0]):
        old, new = live[keep[i]] if i < len(keep) else z[i - len(keep)], grown[i]
        _moved(old, new, left)
        for k in range(len(left)):
            j = left[k]
            new[j + 1 + k] = (old[j + 1] - old[j]) * fraction[chosen[k]] + old[j]
    if kept and code > 0:
        for k in range(len(left)):
            grown[len(keep) + unit[chosen[k]], left[k] + 1 + k] = 0.0
        for i in range(len(keep), grown.shape[0]):
            new = grown[i]
            for j in range(len(new)):
                new[j] = new[j] if new[j] > 0 else (-new[j] if code == 2 else 0.0)
    return grown


def _advance_dd(  # type: ignore[no-untyped-def]
    first, row, hi, lo, power, bias, tail, code, begin, end, keep, kept, resolution, heads, tails
):  # fmt: skip
    """roots.advance in double-double."""
    nodes, units = heads.shape[1], end - begin
    zh, zl = np.empty((units, nodes)), np.empty((units, nodes))
    for u in range(begin, end):
        ph, pl = zh[u - begin], zl[u - begin]
        ph[:], pl[:] = bias[u], tail[u]
        for t in range(first[u], first[u + 1]):
            w, x, vh, vl = hi[t], lo[t], heads[row[t]], tails[row[t]]
            if power[t]:
                for i in range(nodes):
                    ph[i], pl[i] = _dd_add(ph[i], pl[i], w * vh[i], w * vl[i])
            else:
                for i in range(nodes):
                    mh, ml = _dd_mul(vh[i], vl[i], w, x)
                    ph[i], pl[i] = _dd_add(ph[i], pl[i], mh, ml)
    counts = np.zeros(nodes - 1, np.int64)
    total = _crossings(zh, counts) if code > 0 else 0
    unit = _listed(zh, counts, total)
    fraction, fine = np.empty(total), np.empty(total)
    at = 0
    for j in range(nodes - 1):
        for k in range(at, at + counts[j]):
            lh, ll = zh[unit[k], j], zl[unit[k], j]
            sh, sl = _dd_add(lh, ll, -zh[unit[k], j + 1], -zl[unit[k], j + 1])
            ratio = lh / sh
            mh, ml = _dd_mul(sh, sl, ratio, 0.0)
            rest, _ = _dd_add(lh, ll, -mh, -ml)
            fraction[k], fine[k] = _two_sum(ratio, rest / sh)
        at += counts[j]
    left, chosen = _selected(heads[0], counts, unit, fraction, resolution)
    rows, size = len(keep) + (units if kept else 0), nodes + len(left)
    grown_h, grown_l = np.empty((rows, size)), np.empty((rows, size))
    for i in range(rows):
        old_h, old_l = (heads[keep[i]], tails[keep[i]]) if i < len(keep) else (zh[i - len(keep)], zl[i - len(keep)])
        new_h, new_l = grown_h[i], grown_l[i]
        _moved(old_h, new_h, left)
        _moved(old_l, new_l, left)
        for k in range(len(left)):
            j, c = left[k], chosen[k]
            sh, sl = _dd_add(old_h[j + 1], old_l[j + 1], -old_h[j], -old_l[j])
            mh, ml = _dd_mul(sh, sl, fraction[c], fine[c])
            new_h[j + 1 + k], new_l[j + 1 + k] = _dd_add(old_h[j], old_l[j], mh, ml)
    if kept and code > 0:
        for k in range(len(left)):
            i, j = len(keep) + unit[chosen[k]], left[k] + 1 + k
            grown_h[i, j] = grown_l[i, j] = 0.0
        for i in range(len(keep), rows):
            for j in range(size):
                if not grown_h[i, j] > 0:
                    grown_h[i, j] = -grown_h[i, j] if code == 2 else 0.0
                    grown_l[i, j] = -grown_l[i, j] if code == 2 else 0.0
    return grown_h, grown_l


_F, _I, _U = types.float64[::1], types.int64[::1], types.uint8[::1]
_FF, _N, _B = types.float64[:, ::1], types.int64, types.boolean
_SUMS = (_I, _I, _F, _F, _U, _I, _F, _F, _I, _I, _U, _I, _N, _N, _B, _B, _N)
_STATE = (_FF, _U, _U, _I, _F, _FF, _U)
_TERMS = (_I, _I, _F, _F, _U, _F, _F, _N, _N, _N, _I, _B, types.float64)
_FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "follow float64": (_float64, types.void(*_SUMS, _FF, *_STATE)),
    "follow double-double": (_double_double, types.void(*_SUMS, _FF, _FF, *_STATE)),
    "advance float64": (_advance64, _FF(*_TERMS, _FF)),
    "advance double-double": (_advance_dd, types.UniTuple(_FF, 2)(*_TERMS, _FF, _FF)),
}


@cache
def compiled(verb: str, arithmetic: str) -> Any:
    """The function `verb` ("follow", "advance") in an arithmetic, its machine code kept on disk where that is possible.

    Compiling takes one to three seconds once per installation, loading a tenth of a second.
    """
    function, signature = _FUNCTIONS[f"{verb} {arithmetic}"]
    try:
        return njit(signature, cache=True, nogil=True)(function)
    except (RuntimeError, OSError):  # no writable place for the cache
        return njit(signature, nogil=True)(function)
