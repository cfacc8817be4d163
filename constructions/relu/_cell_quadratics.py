"""How large is a function on a box of d = 2, 3 variables that is quadratic on each of its d! simplices? Faces, one by one.

Statement. On the simplex 1 >= u_1 >= ... >= u_d >= 0 (axes in any order) of the box [0, 1]^d, let
    E(u) = (linear between the values e_v at its vertices) + 1/2 sum_{k,l} B_kl (min(u_k, u_l) - u_k u_l):
that is P - f for P linear and f of second derivatives B. The faces of all simplices are the chains w_0 < ... < w_m of corners.
With f_i = w_i - w_(i-1), A_ij = f_i' B f_j and the coordinates 1 >= t_1 >= ... >= t_m >= 0 of a face, E is of the same form, A
for B. |E| is largest at a corner, or inside an edge, where it is a parabola, or inside a face, m >= 2, where its gradient is 0,
    A t = (e_i - e_(i-1) + A_ii/2 + sum_{j < i} A_ij)_i,
and A or -A is positive semidefinite. There A is replaced by A + s I, |s| = 2^-20 sum |B_kl|, of the sign of its trace: now the
system is well conditioned, and E has moved by at most m |s|/8, at that point as at the boundary of the face: 5/4 |s| for all
faces of d <= 3. Stationary points that are no extremes only give values that E has. Source: derived.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from flint import fmpq

from constructions.relu._hoelder_reader import largest_parabola

Array = np.ndarray
Corner = tuple[int, ...]
_SHIFT, _NEAR = 2.0**-20, 2.0**-20
#: Steps per axis of the grid on which a place of a large value is looked for.
_GRID = {2: 128, 3: 32}


def pairs(dimension: int) -> list[tuple[int, int]]:
    """The pairs k <= l of axes, in the order in which second derivatives are given."""
    return list(itertools.combinations_with_replacement(range(dimension), 2))


def total_bend(bends: Sequence[Array] | Array) -> Array:
    """sum_{k,l} |B_kl| of B_kl, k <= l."""
    d = 2 if len(bends) == 3 else 3
    return np.asarray(sum((1 if k == l else 2) * np.abs(b) for (k, l), b in zip(pairs(d), bends, strict=True)))


def unfolded(errors: Array, bends: Array, odd: Array) -> tuple[Array, Array]:
    """(e, B) in coordinates that run against the axes where `odd` (n, d) is 1: so all simplices are the statement's."""
    d = odd.shape[1]
    turn = odd @ (1 << np.arange(d - 1, -1, -1))
    errors = np.take_along_axis(errors, np.arange(1 << d) ^ turn[:, np.newaxis], axis=1)
    return errors, np.stack(
        [b * (1.0 - 2.0 * (odd[:, k] ^ odd[:, l])) for (k, l), b in zip(pairs(d), bends, strict=True)]
    )


def largest_on_cells(errors: Array, bends: Array) -> tuple[Array, Array]:
    """(max |E| up to a slack, the slack) of n boxes: e at corners in lexicographic order (n, 2^d), B_kl, k <= l, (pairs, n)."""
    d = errors.shape[1].bit_length() - 1
    number = {corner: i for i, corner in enumerate(itertools.product((0, 1), repeat=d))}
    matrix = dict(zip(pairs(d), bends, strict=True))
    size = total_bend(bends)
    found = np.abs(errors).max(axis=1)
    for chain in _chains(d):
        e = [errors[:, number[w]] for w in chain]
        steps = [[k for k in range(d) if b[k] > a[k]] for a, b in itertools.pairwise(chain)]
        a = [[sum(matrix[min(k, l), max(k, l)] for k in f for l in g) for g in steps] for f in steps]
        if len(steps) == 1:
            found = np.maximum(found, largest_parabola(e[0], e[1], a[0][0] / 2)[0])
        else:
            found = np.maximum(found, _inside(e, a, size))
    return found, 1.25 * _SHIFT * size + 2.0**-43 * (np.abs(errors).max(axis=1) + size)


@lru_cache(maxsize=2)
def _chains(dimension: int) -> list[list[Corner]]:
    """All chains of at least two corners of [0, 1]^d."""
    found = [[c] for c in itertools.product((0, 1), repeat=dimension)]
    for chain in found:  # grows
        after = itertools.product(*[(c, 1) if c == 0 else (1,) for c in chain[-1]])
        found += [[*chain, c] for c in after if c != chain[-1]]
    return [chain for chain in found if len(chain) > 1]


def _inside(e: list[Array], a: list[list[Array]], size: Array) -> Array:
    """|E| where its gradient vanishes, if that is (nearly) in the face, else 0."""
    m = len(a)
    shift = np.where(sum(a[i][i] for i in range(m)) >= 0, _SHIFT, -_SHIFT) * size
    a = [[a[i][j] + shift if i == j else a[i][j] for j in range(m)] for i in range(m)]
    slopes = [q - p for p, q in itertools.pairwise(e)]
    right = [slopes[i] + a[i][i] / 2 + sum(a[i][:i]) for i in range(m)]
    with np.errstate(all="ignore"):
        whole = _determinant(a)
        t = [
            _determinant([[*row[:i], r, *row[i + 1 :]] for row, r in zip(a, right, strict=True)]) / whole
            for i in range(m)
        ]
        value = e[0] + sum(s * x for s, x in zip(slopes, t, strict=True))
        for i in range(m):
            value = value + a[i][i] * t[i] * (1 - t[i]) / 2 + sum(a[i][j] * t[j] for j in range(i + 1, m)) * (1 - t[i])
        near = np.all([p + _NEAR >= q for p, q in itertools.pairwise([1.0 + 0 * t[0], *t, 0 * t[0]])], axis=0)
    return np.where(near, np.abs(value), 0.0)


def _determinant(rows: list[list[Array]]) -> Array:
    if len(rows) == 1:
        return rows[0][0]
    minors = [_determinant([[*row[:j], *row[j + 1 :]] for row in rows[1:]]) for j in range(len(rows))]
    return np.asarray(sum((-1) ** j * c * minor for j, (c, minor) in enumerate(zip(rows[0], minors, strict=True))))


def values_on_cell(errors: Array, bends: Array, u: Array) -> Array:
    """E at places u (n, d) of one box."""
    d = u.shape[1]
    order = np.argsort(-u, axis=1, kind="stable")
    falling = np.take_along_axis(u, order, axis=1)
    weights = -np.diff(np.column_stack((np.ones(len(u)), falling, np.zeros(len(u)))), axis=1)
    corners = np.cumsum(np.column_stack((np.zeros(len(u), dtype=np.int64), 1 << (d - 1 - order))), axis=1)
    value = (errors[corners] * weights).sum(axis=1)
    for (k, l), b in zip(pairs(d), bends, strict=True):
        value += b * (0.5 if k == l else 1.0) * (np.minimum(u[:, k], u[:, l]) - u[:, k] * u[:, l])
    return np.asarray(value)


def place_on_cell(errors: Array, bends: Array) -> list[fmpq]:
    """A point of one box, on a grid, where |E| is nearly as large as it gets."""
    d = errors.shape[0].bit_length() - 1
    n = _GRID[d]
    grid = np.indices((n + 1,) * d).reshape(d, -1).T
    best = grid[int(np.abs(values_on_cell(errors, bends, grid / n)).argmax())]
    return [fmpq(int(k), n) for k in best]
