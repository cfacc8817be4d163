"""How do many small integers become one long weight? Fields of equal width, the first field lowest."""

from __future__ import annotations

import gmpy2
import numpy as np
from flint import fmpq

from approx.errors import InputError


def packed(values: np.ndarray, width: int) -> int:
    """Return sum_k values[k] 2^(width k), the values in Fortran order (the first axis fastest); O(bits).

    Raises InputError when a value is negative or needs more than `width` bits.

    >>> packed(np.array([1, 2, 3]), 2)
    57
    """
    flat = np.asarray(values, dtype=np.int64).ravel(order="F")
    if len(flat) and (flat.min() < 0 or int(flat.max()).bit_length() > width):
        raise InputError("values", (int(flat.min()), int(flat.max())), f"integers from 0 to 2^{width} - 1")
    bits = np.empty((len(flat), width), dtype=np.uint8)
    for place in range(width):
        bits[:, place] = (flat >> place) & 1
    return int(gmpy2.mpz(int.from_bytes(np.packbits(bits.ravel(), bitorder="little").tobytes(), "little")))


def guarded(values: np.ndarray, width: int) -> int:
    """Return the packed values below one leading bit, so that the weight is never 0 and its length is exact."""
    return packed(values, width) + (1 << (width * int(np.size(values))))


def bit_width(largest: int) -> int:
    """Return the bits of a field for the integers 0 .. largest, at least 1."""
    return max(1, int(largest).bit_length())


def simplest_between(low: fmpq, high: fmpq) -> fmpq:
    """Return the rational of smallest denominator in [low, high], 0 < low <= high, by continued fractions.

    >>> simplest_between(fmpq(314, 100), fmpq(315, 100))
    22/7
    """
    if not 0 < low <= high:
        raise InputError("low, high", (str(low), str(high)), "0 < low <= high")
    whole = low.floor()
    if whole == low:
        return fmpq(whole)
    if whole + 1 <= high:
        return fmpq(whole + 1)
    return whole + 1 / simplest_between(1 / (high - whole), 1 / (low - whole))
