"""How do arrays compute with twice the digits of float64? Error-free transforms, double-word arithmetic.

A double-double is a pair of float64 arrays (hi, lo) with hi = RN(hi + lo), of value hi + lo. Sums are the error-free
2Sum (Knuth) and Fast2Sum (Dekker), products are split by Veltkamp-Dekker. The relative errors below, with u = 2^-53,
are the theorems of Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building blocks of
double-word arithmetic", ACM TOMS 44 (2017); only the variants with a proved bound are used. They hold for
round-to-nearest without overflow. Underflow can occur in the residue of a product only, and costs at most `UNDERFLOW`
in absolute value. Overflow gives infinities or NaN, never a finite wrong number.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
Pair: TypeAlias = tuple[Array, Array]

#: |error| <= ADD_ERROR * |exact sum| of `dd_add` (their Theorem 3.1, algorithm 6: 3u^2 + 13u^3 < 2^-104)
ADD_ERROR = 2.0**-104
#: |error| <= ADD_FLOAT_ERROR * |exact sum| of `dd_add_float` (Theorem 2.1, algorithm 4: 2u^2)
ADD_FLOAT_ERROR = 2.0**-105
#: |error| <= MUL_ERROR * |exact product| + UNDERFLOW of `dd_mul` (Theorem 5.1, algorithm 10: 7u^2 < 2^-103)
MUL_ERROR = 2.0**-103
#: |error| <= MUL_FLOAT_ERROR * |exact product| + UNDERFLOW of `dd_mul_float` (Theorem 4.1, algorithm 7: < 2u^2)
MUL_FLOAT_ERROR = 2.0**-105
#: Absolute error that denormal residues of one product can add
UNDERFLOW = 2.0**-1068

_ROUND = np.int64(1 << 26)
_MASK = np.int64(~((1 << 27) - 1))


def two_sum(a: Array, b: Array) -> Pair:
    """Return (s, e) with s = RN(a + b) and s + e = a + b exactly (Knuth's 2Sum), unless s overflows.

    >>> two_sum(1.0, 2.0**-80)
    (1.0, 8.271806125530277e-25)
    """
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a: Array, b: Array) -> Pair:
    """Return (s, e) with s = RN(a + b) and s + e = a + b exactly, where |a| >= |b| or a = 0 is required (Dekker)."""
    s = a + b
    return s, b - (s - a)


def split(a: Array) -> Pair:
    """Return (high, low) with a = high + low exactly and at most 26 significant bits in each.

    By integer rounding of the bits instead of Veltkamp's multiplication, so that nothing overflows for |a| < 2^1023.
    """
    array = np.asarray(a, dtype=np.float64)
    high = ((array.view(np.int64) + _ROUND) & _MASK).view(np.float64)
    return high, array - high


def two_prod(a: Array, b: Array) -> Pair:
    """Return (p, e) with p = RN(a * b) and p + e = a * b exactly (Dekker's product), barring overflow.

    Where |a * b| < 2^-960 the residue can be off by `UNDERFLOW`.

    >>> p, e = two_prod(1.0 + 2.0**-30, 1.0 + 2.0**-30)
    >>> float(p), float(e) == 2.0**-60
    (1.0000000018626451, True)
    """
    return two_prod_split(a, split(a), b, split(b))


def two_prod_split(a: Array, halves_a: Pair, b: Array, halves_b: Pair) -> Pair:
    """Return `two_prod(a, b)` from halves that were split before, as Horner's rule wants it."""
    p = a * b
    (ah, al), (bh, bl) = halves_a, halves_b
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def dd_add(a_hi: Array, a_lo: Array, b_hi: Array, b_lo: Array) -> Pair:
    """Return the double-double sum, within ADD_ERROR * |a + b| (accurate variant, 20 operations)."""
    sh, sl = two_sum(a_hi, b_hi)
    th, tl = two_sum(a_lo, b_lo)
    vh, vl = fast_two_sum(sh, sl + th)
    return fast_two_sum(vh, tl + vl)


def dd_add_float(a_hi: Array, a_lo: Array, b: Array) -> Pair:
    """Return the double-double sum of a double-double and a float64, within ADD_FLOAT_ERROR * |a + b|."""
    sh, sl = two_sum(a_hi, b)
    return fast_two_sum(sh, a_lo + sl)


def dd_mul(a_hi: Array, a_lo: Array, b_hi: Array, b_lo: Array) -> Pair:
    """Return the double-double product, within MUL_ERROR * |a * b| + UNDERFLOW."""
    ch, cl = two_prod(a_hi, b_hi)
    return fast_two_sum(ch, cl + (a_hi * b_lo + a_lo * b_hi))


def dd_mul_float(a_hi: Array, a_lo: Array, b: Array) -> Pair:
    """Return the product of a double-double and a float64, within MUL_FLOAT_ERROR * |a * b| + UNDERFLOW."""
    ch, cl = two_prod(a_hi, b)
    th, tl = fast_two_sum(ch, a_lo * b)
    return fast_two_sum(th, tl + cl)
