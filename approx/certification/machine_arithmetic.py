"""Which few operations on float64 and double-double numbers are the compiled passes made of? Needs numba.

They are those of approx.numbers.doubledouble and numpy, operation by operation, so that the bits agree. LLVM contracts
products and sums to fused multiply-adds only when asked, and nothing here asks. (numba's cache of machine code watches only
the file of a compiled function: who edits this file must touch the kernels.)
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

UNIT, DD_UNIT, TINY = 2.0**-53, 2.0**-101, 2.0**-1000
#: Points whose sums stay in the level-1 cache while the terms of a unit are added.
CHUNK = 1024
_ROUND, _MASK = 1 << 26, ~((1 << 27) - 1)


@intrinsic
def _reinterpreted(context, bits):  # type: ignore[no-untyped-def]
    """int64 as the float64 of the same bits, or the other way round."""
    target, code = (types.float64, ir.DoubleType()) if bits == types.int64 else (types.int64, ir.IntType(64))
    return target(bits), lambda context, builder, signature, arguments: builder.bitcast(arguments[0], code)


bits_of: Any = _reinterpreted  # numba passes the typing context itself


@njit
def larger(a, b):  # type: ignore[no-untyped-def]
    """np.maximum: NaN if either is."""
    return a if (a >= b or a != a) else b


@njit
def two_sum(a, b):  # type: ignore[no-untyped-def]
    """(fl(a + b), what it rounds off), Knuth's 2Sum."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit
def fast_two_sum(a, b):  # type: ignore[no-untyped-def]
    """The same where |a| >= |b|, Dekker's."""
    s = a + b
    return s, b - (s - a)


@njit
def dd_add(a, b, c, d):  # type: ignore[no-untyped-def]
    """The sum of two double-doubles."""
    sh, sl = two_sum(a, c)
    th, tl = two_sum(b, d)
    vh, vl = fast_two_sum(sh, sl + th)
    return fast_two_sum(vh, tl + vl)


@njit
def dd_mul(a, b, c, d):  # type: ignore[no-untyped-def]
    """The product of two double-doubles."""
    ah, ch = bits_of((bits_of(a) + _ROUND) & _MASK), bits_of((bits_of(c) + _ROUND) & _MASK)
    al, cl = a - ah, c - ch
    p = a * c
    e = ((ah * ch - p) + ah * cl + al * ch) + al * cl
    return fast_two_sum(p, e + (a * d + b * c))


@njit
def dd_mul_float(a, b, c):  # type: ignore[no-untyped-def]
    """The product of a double-double and a float64."""
    ah, ch = bits_of((bits_of(a) + _ROUND) & _MASK), bits_of((bits_of(c) + _ROUND) & _MASK)
    al, cl = a - ah, c - ch
    p = a * c
    e = ((ah * ch - p) + ah * cl + al * ch) + al * cl
    th, tl = fast_two_sum(p, b * c)
    return fast_two_sum(th, tl + e)


@njit
def crosses(l, r):  # type: ignore[no-untyped-def]
    """Whether the two numbers have opposite signs, neither of them 0."""
    return ((l > 0) & (r < 0)) | ((l < 0) & (r > 0))


F, I, U = types.float64[::1], types.int64[::1], types.uint8[::1]
FF, N, B, X = types.float64[:, ::1], types.int64, types.boolean, types.float64
