"""Which machine code finds the roots of a layer and grows the nodes by them? What roots.py does, with the same bits."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from approx.certification.machine_arithmetic import CHUNK, FF, B, F, I, N, U, X, crosses, dd_add, dd_mul, two_sum


@njit
def _crossings(z, counts):  # type: ignore[no-untyped-def]
    """How many units change their sign on each interval, and in total."""
    total = 0
    for i in range(z.shape[0]):
        row = z[i]
        for j in range(len(counts)):
            crossing = 1 if crosses(row[j], row[j + 1]) else 0
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
            if crosses(row[j], row[j + 1]):
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


def _grow64(z, code, keep, kept, resolution, live):  # type: ignore[no-untyped-def]
    """What follows the sums z of a layer in float64: roots become nodes, the activation is applied."""
    nodes, units = live.shape[1], z.shape[0]
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
    result = np.empty((len(keep) + (units if kept else 0), nodes + len(left)))
    for i in range(result.shape[0]):
        old, new = live[keep[i]] if i < len(keep) else z[i - len(keep)], result[i]
        _moved(old, new, left)
        for k in range(len(left)):
            j = left[k]
            new[j + 1 + k] = (old[j + 1] - old[j]) * fraction[chosen[k]] + old[j]
    if kept and code > 0:
        for k in range(len(left)):
            result[len(keep) + unit[chosen[k]], left[k] + 1 + k] = 0.0
        for i in range(len(keep), result.shape[0]):
            new = result[i]
            for j in range(len(new)):
                new[j] = new[j] if new[j] > 0 else (-new[j] if code == 2 else 0.0)
    return result


_grown64 = njit(_grow64)


def _advance64(  # type: ignore[no-untyped-def]
    first, row, hi, lo, power, bias, tail, code, begin, end, keep, kept, resolution, live
):  # fmt: skip
    """roots.advance in float64."""
    nodes, units = live.shape[1], end - begin
    z = np.empty((units, nodes))
    for u in range(begin, end):
        for start in range(0, nodes, CHUNK):
            stop = min(start + CHUNK, nodes)
            part = z[u - begin][start:stop]
            part[:] = bias[u]
            for t in range(first[u], first[u + 1]):
                w, v = hi[t], live[row[t]][start:stop]
                for i in range(len(part)):
                    part[i] = part[i] + w * v[i]
    return _grown64(z, code, keep, kept, resolution, live)


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
                    ph[i], pl[i] = dd_add(ph[i], pl[i], w * vh[i], w * vl[i])
            else:
                for i in range(nodes):
                    mh, ml = dd_mul(vh[i], vl[i], w, x)
                    ph[i], pl[i] = dd_add(ph[i], pl[i], mh, ml)
    counts = np.zeros(nodes - 1, np.int64)
    total = _crossings(zh, counts) if code > 0 else 0
    unit = _listed(zh, counts, total)
    fraction, fine = np.empty(total), np.empty(total)
    at = 0
    for j in range(nodes - 1):
        for k in range(at, at + counts[j]):
            lh, ll = zh[unit[k], j], zl[unit[k], j]
            sh, sl = dd_add(lh, ll, -zh[unit[k], j + 1], -zl[unit[k], j + 1])
            ratio = lh / sh
            mh, ml = dd_mul(sh, sl, ratio, 0.0)
            rest, _ = dd_add(lh, ll, -mh, -ml)
            fraction[k], fine[k] = two_sum(ratio, rest / sh)
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
            sh, sl = dd_add(old_h[j + 1], old_l[j + 1], -old_h[j], -old_l[j])
            mh, ml = dd_mul(sh, sl, fraction[c], fine[c])
            new_h[j + 1 + k], new_l[j + 1 + k] = dd_add(old_h[j], old_l[j], mh, ml)
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


_TERMS = (I, I, F, F, U, F, F, N, N, N, I, B, X)
FUNCTIONS = {
    "advance float64": (_advance64, FF(*_TERMS, FF)),
    "grow float64": (_grow64, FF(FF, N, I, B, X, FF)),
    "advance double-double": (_advance_dd, types.UniTuple(FF, 2)(*_TERMS, FF, FF)),
}
