"""How does a polynomial through r neighbouring values look on one step? Newton's form, chord plus bubble, proved constants.

On the step [k, k + 1] of a cell of M steps, the polynomial of degree r - 1 through the values at s, .., s + r - 1 is
    p(k + u) = sum_{i<r} D^i A_s C(kappa + u, i),   s = window(k), kappa = k - s in [0, r - 2],
D forward differences, C(x, i) = x (x-1) .. (x-i+1)/i!. It passes A_k and A_{k+1}, so p = chord + u (1 - u) Q(u) with
Q(u) = sum_{i>=2} D^i A_s R_i(u), R_i = (C(kappa+u, i) - (1-u) C(kappa, i) - u C(kappa+1, i))/(u (1-u)), of degree i - 2.
"""

from __future__ import annotations

from functools import cache
from math import factorial

import numpy as np
from flint import fmpq, fmpq_poly

from approx.numbers import to_float


def window(k: int, steps: int, order: int) -> int:
    """The first node of the window of step k: as central as the cell allows, with node k - 1 in it if k > 0."""
    return min(max(k - (order - 1) // 2, 0), steps - order + 1)


@cache
def newton(order: int, kappa: int) -> tuple[fmpq_poly, ...]:
    """C(kappa + u, i) as polynomials of u, i = 0 .. order - 1."""
    found, u = [fmpq_poly([1])], fmpq_poly([0, 1])
    for i in range(1, order):
        found.append(found[-1] * (u + (kappa - i + 1)) / i)
    return tuple(found)


@cache
def bubbles(order: int, kappa: int, odd: bool) -> tuple[tuple[fmpq, ...], ...]:
    """Coefficients of R_i, i = 0 .. order - 1, as polynomials of z of order - 2 coefficients; z = 1 - u on odd steps."""
    rows = []
    z = fmpq_poly([1, -1]) if odd else fmpq_poly([0, 1])
    for p in newton(order, kappa):
        rest = p - fmpq_poly([p(fmpq(0)), p(fmpq(1)) - p(fmpq(0))])
        quotient = divmod(rest, fmpq_poly([0, 1, -1]))[0](z)
        rows.append(tuple(quotient[l] for l in range(order - 2)))
    return tuple(rows)


def rises(order: int, kappa: int) -> tuple[fmpq, ...]:
    """The weights of D^i A_s in A_{k+1} - A_{k-1}."""
    return tuple(p(fmpq(1)) - p(fmpq(-1)) for p in newton(order, kappa))


@cache
def lebesgue(order: int) -> float:
    """An upper bound of sum |l_i| on all steps of all windows: how much errors of values grow between nodes.

    On one step every l_i keeps its sign, so the sum is a polynomial there; Bernstein coefficients on pieces bound it.
    """
    most = 0.0
    for kappa in range(order - 1):
        parts = _lagrange(order, kappa)
        total = sum((p if p(fmpq(1, 2)) > 0 else -p for p in parts), fmpq_poly([0]))
        most = max(most, largest(total))
    return most


@cache
def remainder(order: int) -> float:
    """An upper bound of |(x - s) .. (x - s - r + 1)|/r! on all steps: what r-th derivatives of size 1 leave."""
    return max(node_product(order, kappa) for kappa in range(order - 1)) / factorial(order) * (1 + 2.0**-50)


def _lagrange(order: int, kappa: int) -> list[fmpq_poly]:
    found = []
    for i in range(order):
        p = fmpq_poly([1])
        for j in range(order):
            if j != i:
                p *= fmpq_poly([kappa - j, 1]) / (i - j)
        found.append(p)
    return found


def largest(p: fmpq_poly) -> float:
    """An upper bound of |p| on [0, 1]."""
    return max(abs(to_float(v)) for piece in pieces(p, 32, max(p.degree(), 1)) for v in piece) * (1 + 2.0**-40)


def pieces(p: fmpq_poly, count: int, degree: int) -> list[list[fmpq]]:
    """The Bernstein coefficients of p, of the given degree, on `count` equal pieces of [0, 1]: they bound it there."""
    found = []
    for j in range(count):
        q = p(fmpq_poly([fmpq(j, count), fmpq(1, count)]))
        found.append([
            sum((_choose(m, i) * q[i] / _choose(degree, i) for i in range(m + 1)), fmpq(0)) for m in range(degree + 1)
        ])  # fmt: skip
    return found


def _choose(n: int, k: int) -> fmpq:
    return fmpq(factorial(n), factorial(k) * factorial(n - k))


@cache
def step_pieces(order: int, kappa: int, count: int, bends: int) -> np.ndarray:
    """Float64 (r + bends, count (r + bends)): from what a step knows to Bernstein coefficients of its error on pieces.

    Known are f - p at the r nodes of the window, and the coefficients of (x - m)^j, j = r .. r + bends - 1, of f, m the middle
    of the window: interpolation leaves of these what division by prod_i (x - i) takes away.
    """
    u, middle = fmpq_poly([kappa, 1]), fmpq(order - 1, 2)
    nodes = fmpq_poly([1])
    for i in range(order):
        nodes *= fmpq_poly([-i, 1])
    rows = _lagrange(order, kappa)
    for power in range(order, order + bends):
        x = fmpq_poly([-middle, 1]) ** power
        rows.append((x - divmod(x, nodes)[1])(u))
    return np.array([[to_float(v) for piece in pieces(p, count, order + bends - 1) for v in piece] for p in rows])


@cache
def node_product(order: int, kappa: int) -> float:
    """An upper bound of |(x - s) .. (x - s - r + 1)| on the step."""
    product = fmpq_poly([1])
    for i in range(order):
        product *= fmpq_poly([kappa - i, 1])
    return largest(product)
