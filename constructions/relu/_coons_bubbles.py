"""Which polynomials vanish on the boundary of an edge, or of a face, of a fine cell? Bubbles of windows of values, numbered.

On a fine cell with places u_k in [0, 1], I_k interpolates linearly at the ends of axis k, and
    f = sum over the sets S of axes of (prod_{k in S} (1 - I_k)) (prod_{k not in S} I_k) f:
the corners (S empty), then what edges, faces, .. (the S-faces of the cell) add, each 0 on the boundary of its S-face. An index
(i_1, .., i_d) names a function of the cell, prod phi_(i_k)(u_k): phi_0 = 1 - u, phi_1 = u, phi_i = u^(i-1) (1 - u) for i >= 2.
Order r needs those with i_k >= 2 in sum below r: corners, the polynomials of degree r - 1 on edges, those of total degree r - 1
on faces. Their part with i_k >= 2 is the index without its 0 and 1.

The bubble of a window. Let S have m >= 1 axes, 2 m < r, and let p be the polynomial with D^a p = D^a Q at the window's corner s
for all a >= 2 on S with |a| < r; these see w = r - 2 (m - 1) nodes per axis. In Newton's form, with C(x, i) = x .. (x-i+1)/i!,
    prod_{k in S} (1 - I_k) p = sum_a D^a Q(s) prod_k (1 - I_k) C(kappa_k + u_k, a_k),   kappa = the step's distance to s,
and (1 - I) C = u (1 - u) R_a (_newton_windows): what p has in other terms does not matter. Source: derived; Boolean sums.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import comb, prod

import numpy as np
from flint import fmpq, fmpq_poly

from approx.numbers import to_float
from constructions.relu._newton_windows import bubbles, pieces, window

Index = tuple[int, ...]
#: (kappa, whether the patch is passed backwards, so that places are 1 - u)
View = tuple[int, bool]


def width(order: int, count: int) -> int:
    """How many nodes per axis a window of an S-face sees, S of `count` axes."""
    return order - 2 * (count - 1)


@cache
def parts(order: int, count: int) -> list[Index]:
    """The i >= 2 on `count` axes with sum below the order."""
    return [i for i in product(range(2, order), repeat=count) if sum(i) < order]


@cache
def indices(order: int, dimension: int) -> list[Index]:
    """The functions of a cell."""
    return [i for i in product(range(max(2, order)), repeat=dimension) if sum(part(i)) < order]


def part(index: Index) -> Index:
    """What is not 0 or 1."""
    return tuple(i for i in index if i >= 2)


def spread(orders: Index, axes: Index, dimension: int) -> Index:
    """The orders on these axes, 0 on the others."""
    return tuple(orders[axes.index(k)] if k in axes else 0 for k in range(dimension))


@cache
def in_differences(order: int, views: tuple[View, ...]) -> dict[Index, dict[Index, fmpq]]:
    """By part: the weights of D^a Q at the window's corner in the bubble's coefficient, as far as they are not 0."""
    rows = [bubbles(width(order, len(views)), kappa, odd) for kappa, odd in views]
    found: dict[Index, dict[Index, fmpq]] = {}
    for i in parts(order, len(views)):
        weights = {
            a: prod((row[n][l - 2] for row, n, l in zip(rows, a, i, strict=True)), start=fmpq(1))
            for a in parts(order, len(views))
        }
        found[i] = {a: w for a, w in weights.items() if w != 0}
    return found


@cache
def stencils(order: int, views: tuple[View, ...]) -> dict[Index, dict[Index, fmpq]]:
    """By part: the same in levels, by their distance to the window's corner."""
    found: dict[Index, dict[Index, fmpq]] = {}
    for i, weights in in_differences(order, views).items():
        total: dict[Index, fmpq] = {}
        for a, weight in weights.items():
            for j in product(*(range(n + 1) for n in a)):
                signed = prod((-1) ** (n - m) * comb(n, m) for n, m in zip(a, j, strict=True))
                total[j] = total.get(j, fmpq(0)) + weight * signed
        found[i] = {j: w for j, w in total.items() if w != 0}
    return found


def views_of(order: int, count: int) -> list[tuple[View, ...]]:
    """All ways in which a step of each axis of an S-face sees its window: inside of a patch, or next to it."""
    one = [(kappa, odd) for kappa in range(-1, width(order, count)) for odd in (False, True)]
    return list(product(one, repeat=count))


def share(views: tuple[View, ...], order: int) -> fmpq:
    """The weight of a bubble: an edge or face between two patches (four) has the mean of theirs."""
    last = width(order, len(views)) - 1
    return prod((fmpq(1, 2) if kappa in (-1, last) else fmpq(1) for kappa, _ in views), start=fmpq(1))


def local_view(k: int, odd: bool, steps: int, size: int) -> tuple[int, View]:
    """(first node of the window, how it is seen) of local step k, -1 and M - 1 being those to the next patches."""
    start = window(k, steps - 1, size)
    return start, (k - start, odd)


@cache
def windows(cells: int, steps: int, size: int) -> dict[View, tuple[np.ndarray, np.ndarray]]:
    """By view: (the steps of a line of N M nodes that are seen so, the first nodes of their windows).

    Patches 2, 3, 6, 7, .. are passed backwards, and so are windows there; a step between patches is in two of these lists.
    """
    found: dict[View, list[tuple[int, int]]] = {}
    for patch in range(cells):
        backwards = patch // 2 % 2 == 1
        low, high = patch * steps, patch * steps + steps - 1
        for k in range(-1, steps):
            start, view = local_view(k, backwards, steps, size)
            step = high - 1 - k if backwards else low + k
            if 0 <= step < cells * steps - 1:
                found.setdefault(view, []).append((step, high - start if backwards else low + start))
    return {view: tuple(np.array(pairs).T) for view, pairs in found.items()}  # type: ignore[misc]


@cache
def shape(order: int, views: tuple[View, ...], powers: Index) -> dict[Index, fmpq]:
    """By part: prod (1 - I_k) (f - p) for f = prod (u_k - 1/2)^powers_k, p the polynomial of the window's values of f."""
    factors = [_quotient(power) for power in powers]
    found = {
        i: prod((factor[l - 2] for factor, l in zip(factors, i, strict=True)), start=fmpq(1))
        for i in product(*(range(2, len(factor) + 2) for factor in factors))
    }
    for i, weights in stencils(order, views).items():
        for j, weight in weights.items():
            spots = ((fmpq(2 * (m - kappa) - 1, 2) * (-1) ** odd) for m, (kappa, odd) in zip(j, views, strict=True))
            value = prod((spot**power for spot, power in zip(spots, powers, strict=True)), start=fmpq(1))
            found[i] = found.get(i, fmpq(0)) - weight * value
    return found


def bent(p: fmpq_poly) -> fmpq_poly:
    """(1 - I) p on [0, 1]."""
    low = p(fmpq(0))
    return p - fmpq_poly([low, p(fmpq(1)) - low])


def _quotient(power: int) -> list[fmpq]:
    """(1 - I) (u - 1/2)^power divided by u (1 - u), its coefficients."""
    quotient = divmod(bent(fmpq_poly([fmpq(-1, 2), 1]) ** power), fmpq_poly([0, 1, -1]))[0]
    return [quotient[l] for l in range(power - 1)]


@cache
def _pieces(i: int, count: int, degree: int) -> np.ndarray:
    """The Bernstein coefficients (count, degree + 1) of phi_i on equal pieces of [0, 1]."""
    p = fmpq_poly([1, -1]) if i == 0 else fmpq_poly([0] * i + [1]) if i == 1 else fmpq_poly([0] * (i - 1) + [1, -1])
    return np.array([[to_float(v) for v in piece] for piece in pieces(p, count, degree)])


def tables(chosen: list[Index], count: int, degree: int) -> np.ndarray:
    """Bernstein coefficients of these functions on count^d parts of a cell: (functions, parts.., coefficients..) flattened."""
    found = []
    for index in chosen:
        total = np.ones((1, 1))
        for i in index:
            total = np.einsum("pa,qb->pqab", total, _pieces(i, count, degree)).reshape(
                total.shape[0] * count, total.shape[1] * (degree + 1)
            )
        found.append(total.ravel())
    return np.array(found)
