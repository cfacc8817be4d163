"""How do power series in one variable give Taylor coefficients in several? By packing the variables into one.

With x_i = a_i + t^(A + b_i), b = (0, 1, n+1, (n+1)^2, ...) and A > n max b, the monomials of total degree <= n go to
distinct powers of t, t^(|k| A + k.b), in order of their degree. So one run of flint's univariate series, in C, gives
all coefficients of order <= n, and balls stay balls: the packing is an injective ring homomorphism on truncated
series (Kronecker's substitution, graded by the total degree).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flint import arb, arb_series

from approx.targets.monomials import monomials
from approx.targets.series import SeriesProgram

LONGEST = 700
_ZERO = arb(0)


@lru_cache(maxsize=256)
def packing(dimension: int, order: int) -> tuple[tuple[int, ...], int, tuple[tuple[tuple[int, ...], int], ...]]:
    """Return (the power of each variable, the length of the series, the power of every monomial up to the order).

    >>> packing(2, 1)
    ((2, 3), 4, (((0, 0), 0), ((1, 0), 2), ((0, 1), 3)))
    """
    shifts = [0] + [(order + 1) ** i for i in range(dimension - 1)]
    base = order * shifts[-1] + 1
    powers = tuple(base + shift for shift in shifts)
    table = []
    for degree in range(order + 1):
        for exponent in monomials(dimension, degree):
            table.append((exponent, sum(k * power for k, power in zip(exponent, powers, strict=True))))
    return powers, order * powers[-1] + 1, tuple(table)


def is_short(dimension: int, order: int) -> bool:
    """Return whether the packed series is short enough to be the faster way."""
    largest = (order + 1) ** max(0, dimension - 2)
    return order * (order * largest + 1 + largest) < LONGEST


def packed_jet(
    series: SeriesProgram, point: Sequence[arb], order: int, clamp: bool = False
) -> dict[tuple[int, ...], arb]:
    """Return balls for D^a f(xi)/a!, |a| <= order, valid for every xi in the box. About 5 us at order 2 in two
    variables."""
    powers, length, table = packing(len(point), order)
    variables = [
        arb_series([value] + [_ZERO] * (power - 1) + [1], length) for value, power in zip(point, powers, strict=True)
    ]
    coefficients = series.evaluate(variables, length, clamp)
    return {exponent: coefficients[power] for exponent, power in table}
