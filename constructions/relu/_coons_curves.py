"""What does a curve through coded values along a line of a fine grid miss of f? Windows, bubbles, proved constants.

A line of N M nodes in patches of M. On the step [k, k + 1], x = k + u, the bubble of a window of r nodes s, .., s + r - 1 is
    (1 - I) p = p - chord of p = u (1 - u) Q(u),    p the polynomial of degree r - 1 through the values of the window,
I linear interpolation at the ends of the step, kappa = k - s. The window lies in one patch: for a step inside a patch
0 <= kappa <= r - 2. A step from one patch to the next has the mean of two bubbles, of the last r nodes of the one patch
(kappa = r - 1) and of the first r nodes of the other (kappa = -1).

Statement. Let |f^(r)| <= K (steps of length 1), w = (x - s) .. (x - s - r + 1). On a step
    |(1 - I)(f - p)| <= max |(1 - I) w| K/r!,
for the mean of two bubbles with the mean of both |(1 - I) w| at u. Equality for one bubble and f^(r) constant. Proof. kappa
inside: f - p is 0 at the ends, and equal to w f^(r)(xi)/r!. kappa = r - 1: first let f^(r) >= 0. By Rolle (f - p)'' has r - 2
zeros eta_i between the nodes, so at x beyond them it is prod (x - eta_i) times a divided difference of order r - 2, which is a
mean of f^(r): it is >= 0, and (1 - I)(f - p) = -u (1 - u)/2 (f - p)''(xi) <= 0. A functional that has one sign on all f with
f^(r) >= 0 is, for |f^(r)| <= K, largest for K x^r/r!, whose f - p is K w/r!. kappa = -1: reflected. Source: derived;
interpolation remainders.
"""

from __future__ import annotations

from functools import cache
from math import factorial

import numpy as np
from flint import fmpq, fmpq_poly

from approx.numbers import to_float
from constructions.relu._newton_windows import bubbles, newton, node_product, pieces, window

_PIECES = 32


def windows(cells: int, steps: int, order: int) -> np.ndarray:
    """(2, N M - 1): the first nodes of the two windows of every step, equal for steps inside a patch.

    Windows of patches 2, 3, 6, 7, .. are mirrored, as those patches are passed backwards.
    """
    found = np.empty((2, cells * steps - 1), dtype=np.int64)
    for i in range(cells * steps - 1):
        patch, k = divmod(i, steps)
        if k == steps - 1:
            found[:, i] = patch * steps + steps - order, (patch + 1) * steps
        elif patch // 2 % 2:
            found[:, i] = patch * steps + steps - order - window(steps - 2 - k, steps - 1, order)
        else:
            found[:, i] = patch * steps + window(k, steps - 1, order)
    return found


@cache
def node_bubble(order: int, kappa: int, more: int = 0) -> tuple[fmpq, ...]:
    """The coefficients of (1 - I)(f - p)/(u (1 - u)), of degree order - 2 + more, for f = (u - 1/2)^(r + more).

    p is what division by w leaves of f; for more = 0, f - p = w.
    """
    w = newton(order + 1, kappa)[order] * factorial(order)
    power = fmpq_poly([fmpq(-1, 2), 1]) ** (order + more)
    missing = power - divmod(power, w)[1]
    rest = missing - fmpq_poly([missing(fmpq(0)), missing(fmpq(1)) - missing(fmpq(0))])
    quotient = divmod(rest, fmpq_poly([0, 1, -1]))[0]
    return tuple(quotient[i] for i in range(order - 1 + more))


@cache
def missed(order: int, crossing: bool) -> float:
    """An upper bound of |(1 - I)(f - p)| for |f^(r)| <= 1 on steps between patches, or inside of them."""
    if not crossing:
        return max(node_product(order, kappa) for kappa in range(order - 1)) / factorial(order) * (1 + 2.0**-50)
    # Both have one sign on the step; (1 - I) w at kappa = -1 has that of (-1)^r at kappa = r - 1.
    after, before = (fmpq_poly(list(node_bubble(order, k))) for k in (order - 1, -1))
    mean = fmpq_poly([0, 1, -1]) * (after + (-1) ** order * before) / 2
    return largest(mean) / factorial(order) * (1 + 2.0**-50)


@cache
def swing(order: int) -> float:
    """An upper bound of |(1 - I) p| for values of size 1 at the nodes of a window, on all steps."""
    most = 0.0
    for kappa in range(-1, order):
        parts = [p for p in _by_nodes(order, kappa) if p != 0]
        table = np.array([[max(abs(to_float(v)) for v in piece) for piece in _cut(p)] for p in parts])
        most = max(most, float(table.sum(axis=0).max()))
    return most * (1 + 2.0**-40)


def _by_nodes(order: int, kappa: int) -> list[fmpq_poly]:
    """The bubbles of the values 1 at one node of the window, 0 at the others."""
    rows = [fmpq_poly([0, 1, -1]) * fmpq_poly(list(row)) for row in bubbles(order, kappa, False)]
    found = [fmpq_poly([0]) for _ in range(order)]
    for i in range(2, order):  # D^i has the weight (-1)^(i-j) C(i, j) at node j
        for j in range(i + 1):
            found[j] += rows[i] * ((-1) ** (i - j) * factorial(i) // (factorial(j) * factorial(i - j)))
    return found


def _cut(p: fmpq_poly) -> list[list[fmpq]]:
    return pieces(p, _PIECES, max(p.degree(), 1))


def largest(p: fmpq_poly) -> float:
    """An upper bound of |p| on [0, 1]."""
    return max(abs(to_float(v)) for piece in _cut(p) for v in piece) * (1 + 2.0**-40)
