"""How much of a smooth f do bubbles of coded values miss on edges and faces of fine cells? Proved constants.

On the step [k, k + 1] of a line, x = k + u, let p be the polynomial through a window of r values of f, at s, .., s + r - 1, and
kappa = k - s. For a step inside a patch 0 <= kappa <= r - 2. A step from one patch to the next has the mean of two bubbles,
of the last nodes of the one patch (kappa = r - 1) and of the first nodes of the other (kappa = -1).

Statement, edges. Let |f^(r)| <= K (steps of length 1), w = (x - s) .. (x - s - r + 1). On a step
    |(1 - I)(f - p)| <= max |(1 - I) w| K/r!   for every kappa,
for the mean of two bubbles with the mean of both |(1 - I) w| at u. Equality for one bubble and f^(r) constant. Proof. kappa
inside: f - p is 0 at the ends, and equal to w f^(r)(xi)/r!. Others: first let f^(r) >= 0. By Rolle (f - p)'' has r - 2 zeros
eta_i between the nodes, so at x beyond them it is prod (x - eta_i) times a divided difference of order r - 2, which is a mean
of f^(r): it has one sign, and (1 - I)(f - p) = -u (1 - u)/2 (f - p)''(xi). A functional with one sign on all f with f^(r) >= 0
is, for |f^(r)| <= K, largest for K x^r/r!, whose f - p is K w/r!.

Statement, faces. Let p be the polynomial of total degree < r of the window (_coons_bubbles), r >= 5, of the values of f. With
E_k = max |(1 - I) w_k|/k! and P_a = max |(1 - I) C(x, a)| over all steps that see a window of r - 2 nodes,
    |(1 - I_1)(1 - I_2)(f - p)| <= E_(r-2) B_(r-2,2)/8 + sum_{2 <= a <= r-3} P_a E_(r-a) B_(a,r-a),   |D^(a,b) f| <= B_ab,
or the same with the axes changed over. Proof. L_k being interpolation in k nodes of the window, (1 - I_1) f is (1 - I_1)(1 -
L_(r-2)) f plus the sum over a < r - 2 of (1 - I_1) C(., a) D_1^a f(s), 0 for a < 2; apply 1 - I_2, and subtract p = the sum
over a of C(., a) D_1^a L_(r-a) f(s), as far as it matters. The first term: edges, for (1 - I_2) f, |(1 - I) g| <= max |g''|/8.
The others: edges along axis 2, in the first r - a nodes of the window, for D_1^a f(s), a mean of derivatives.
Where there is no bubble (2 |S| >= r), |prod (1 - I_k) f| <= prod c_(a_k) B_a, a in {1, 2}^S, c_1 = 1/2, c_2 = 1/8.
Source: derived; interpolation remainders.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from math import comb, inf, prod

import numpy as np
from flint import fmpq_poly

from approx.numbers import to_float
from constructions.relu._coons_bubbles import Index, bent, parts, stencils, tables, views_of, width
from constructions.relu._newton_windows import largest, newton

#: Parts per axis of a cell, by the number of axes of an S-face.
_PARTS = {1: 32, 2: 8}


@cache
def missed(order: int, crossing: bool) -> float:
    """An upper bound of |(1 - I)(f - p)| for |f^(r)| <= 1 on steps between patches, or inside of them."""
    if not crossing:
        return max(largest(_product_bent(order, kappa)) for kappa in range(order - 1)) * (1 + 2.0**-50)
    # Both have one sign on the step; (1 - I) w at kappa = -1 has that of (-1)^r at kappa = r - 1.
    return largest((_product_bent(order, order - 1) + (-1) ** order * _product_bent(order, -1)) / 2) * (1 + 2.0**-50)


def _product_bent(order: int, kappa: int) -> fmpq_poly:
    """(1 - I) w/r!."""
    return bent(newton(order + 1, kappa)[order])


@cache
def _beyond(order: int, size: int) -> float:
    """E_k for windows of this size."""
    return max(largest(_product_bent(order, kappa)) for kappa in range(-1, size)) * (1 + 2.0**-50)


#: c_1, c_2.
_STEP = {1: 0.5, 2: 0.125}


def left_out(order: int, count: int, size: Callable[[Index], float]) -> float:
    """A bound of |prod_{k in S} (1 - I_k)(f - p)|, S of `count` >= 2 axes; size(a) bounds |D^a f| for a on S, |a| >= r."""
    if 2 * count >= order:
        chosen = [a for a in product((1, 2), repeat=count) if sum(a) >= order]
        return min((prod(_STEP[n] for n in a) * size(a) for a in chosen), default=inf) * (1 + 2.0**-50)
    found = []
    for turned in (1, -1):
        total = _beyond(order - 2, order - 2) / 8 * size((order - 2, 2)[::turned])
        for a in range(2, order - 2):
            peak = max(largest(bent(newton(a + 1, kappa)[a])) for kappa in range(-1, order - 2))
            total += peak * _beyond(order - a, order - 2) * size((a, order - a)[::turned])
        found.append(total)
    return min(found) * (1 + 2.0**-45)


@cache
def swing(order: int, count: int) -> float:
    """An upper bound of |prod_{k in S} (1 - I_k) p| for values of size 1 at the nodes of a window, on all S-faces."""
    functions, most = parts(order, count), 0.0
    if not functions:
        return most
    known = tables(functions, _PARTS[count], order - 1)
    for views in views_of(order, count):
        if any(odd for _, odd in views):
            continue  # reflected
        weights = np.zeros((width(order, count),) * count + (len(functions),))
        for number, row in enumerate(stencils(order, views).values()):
            for j, weight in row.items():
                weights[(*j, number)] = to_float(weight)
        weights = weights.reshape(-1, len(functions))
        pieces_of = np.abs(weights @ known) + 2.0**-45 * (np.abs(weights) @ np.abs(known))
        # On each part of the face the largest Bernstein coefficient bounds what a node contributes.
        on_parts = pieces_of.reshape(len(weights), _PARTS[count] ** count, -1).max(axis=2)
        most = max(most, float(on_parts.sum(axis=0).max()))
    return most * (1 + 2.0**-40)


@cache
def growth(order: int, dimension: int) -> float:
    """Lambda: how much errors of values grow on a cell, at most."""
    counts = [c for c in range(1, dimension + 1) if parts(order, c)]
    return (1 + sum(comb(dimension, c) * swing(order, c) for c in counts)) * (1 + 2.0**-50)
