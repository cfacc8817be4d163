"""Which monomials has a homogeneous form, and where does a product of two of them go? Tables for the jets."""

from __future__ import annotations

from functools import lru_cache
from math import comb

from approx.errors import InputError

MAXIMUM_COEFFICIENTS = 50_000


@lru_cache(maxsize=512)
def monomials(dimension: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Return the exponents of total degree `degree` in `dimension` variables, in falling lexicographic order.

    >>> monomials(2, 2)
    ((2, 0), (1, 1), (0, 2))
    """
    if comb(dimension + degree - 1, degree) > MAXIMUM_COEFFICIENTS:
        raise InputError("order", degree, f"an order with at most {MAXIMUM_COEFFICIENTS} coefficients of each degree")
    if dimension == 1:
        return ((degree,),)
    return tuple(
        (first, *rest) for first in range(degree, -1, -1) for rest in monomials(dimension - 1, degree - first)
    )


@lru_cache(maxsize=512)
def places(dimension: int, degree: int) -> dict[tuple[int, ...], int]:
    """Return the position of every exponent in `monomials(dimension, degree)`."""
    return {exponent: place for place, exponent in enumerate(monomials(dimension, degree))}


@lru_cache(maxsize=2048)
def product_places(dimension: int, first: int, second: int) -> tuple[tuple[int, ...], ...]:
    """Return table[a][b]: the position of (monomial a of degree `first`) * (monomial b of degree `second`).

    >>> product_places(2, 1, 1)
    ((0, 1), (1, 2))
    """
    target = places(dimension, first + second)
    return tuple(
        tuple(target[tuple(i + j for i, j in zip(left, right, strict=True))] for right in monomials(dimension, second))
        for left in monomials(dimension, first)
    )
