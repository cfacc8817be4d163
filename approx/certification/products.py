"""How is a weight matrix times many nodes computed in float64 and in double-double, with a proved error?

Double-double by BLAS. Let a row of W be below 2^e, a column of V below 2^c, n the row length, b = (53 - log2 n)/2. W is cut
into slices W1 + W2 + W3: multiples of 2^(e-b) and 2^(e-2b) and the rest, V alike. The products W1 V1, W1 V2, W2 V1 are sums
of n integer multiples of one power of two that stay below 2^53 of them, hence exact in whatever order BLAS sums; only
W1 V3 + W2 (V2 + V3) + W3 V, smaller by 2^-2b, is rounded. The error is at most
(n + 8) 2^-53 2^c 2^-2b (|W|_1 + n 2^(e+1)) + 2^-99 2^c |W|_1 per entry, about 2^-90 relative to |W|_1 |V|_inf.
Cost: six float64 products. The idea is that of Ozaki, Ogita, Oishi and Rump (2012); the constants are derived here.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from approx.certification.arithmetic import TINY, Vector
from approx.numbers.doubledouble import dd_add_float

_UP = 1 + 2.0**-30
#: Rows and columns below 2^_LEAST are cut as if they were that large, so that no exact product underflows.
_LEAST = -400


class Product:
    """One weight block: a float64 matrix and its tail (weights = matrix + tail up to 2^-106), dense or sparse."""

    def __init__(self, source: int, matrix: Any, tail: Any) -> None:
        self.source, self.matrix, self.tail = source, matrix, tail

    def add_to(self, total: Vector, value: Vector) -> tuple[Vector, np.ndarray | float]:
        """(total + matrix @ value, bound of the error per entry); in float64 no bound is given, see `magnitude`."""
        if len(total) == 1:
            return (total[0] + self.matrix @ value[0],), 0.0
        parts, error = self._slices(value)
        error += 2.0**-102 * np.abs(total[0])
        result = total
        for part in parts:
            result = dd_add_float(result[0], result[1], part)
        return result, error

    @cached_property
    def magnitude(self) -> Any:
        """|matrix|, entries rounded up to cover the tails."""
        return abs(self.matrix) * (1 + 2.0**-52)

    @cached_property
    def longest(self) -> np.ndarray:
        """The number of terms of each row."""
        if isinstance(self.matrix, np.ndarray):
            return np.count_nonzero(self.matrix, axis=1).astype(np.float64)
        return np.diff(self.matrix.indptr).astype(np.float64)

    @cached_property
    def _cut(self) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(bits, W1, W2, W3, row sums of |W|, row bounds 2^e)."""
        dense = self.matrix if isinstance(self.matrix, np.ndarray) else self.matrix.toarray()
        tail = self.tail if isinstance(self.tail, np.ndarray) else self.tail.toarray()
        terms = max(2, dense.shape[1])
        bits = (53 - int(np.ceil(np.log2(terms)))) // 2
        largest = np.abs(dense).max(axis=1, initial=0.0)
        exponent = np.maximum(np.frexp(largest)[1], _LEAST)
        first = np.ldexp(np.rint(np.ldexp(dense, (bits - exponent)[:, None])), (exponent - bits)[:, None])
        rest = dense - first
        second = np.ldexp(np.rint(np.ldexp(rest, (2 * bits - exponent)[:, None])), (exponent - 2 * bits)[:, None])
        sums = np.abs(dense).sum(axis=1) * _UP
        return bits, first, second, (rest - second) + tail, sums, np.ldexp(1.0, exponent)

    def _slices(self, value: Vector) -> tuple[list[np.ndarray], np.ndarray]:
        """(summands of matrix @ value, bound of what they and their sum in double-double miss)."""
        bits, w1, w2, w3, sums, row = self._cut
        v, low = value
        column = np.ldexp(1.0, np.maximum(np.frexp(np.abs(v).max(axis=0, initial=0.0))[1], _LEAST))
        v1 = _rounded(v, column * 2.0**-bits)
        rest = v - v1
        v2 = _rounded(rest, column * 2.0 ** (-2 * bits))
        v3 = (rest - v2) + low
        parts = [w1 @ v1, w1 @ v2, w2 @ v1, w1 @ v3 + w2 @ (v2 + v3) + w3 @ v]
        n = w1.shape[1]
        scale = (n + 8) * 2.0**-53 * (sums + 2 * n * row) * 2.0 ** (-2 * bits) + 2.0**-99 * sums
        return parts, np.outer(scale * _UP, column) + TINY


def _rounded(value: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The multiples of `unit` (powers of two, per column) nearest to the values."""
    shift = 1.5 * 2.0**52 * unit
    return (value + shift) - shift
