"""How does a ReLU network read the ternary digits of one weight? Bit extraction on integers, exact digit by digit.

Statement. Let z = sum_{j=1..n} d_j 3^(n-j) with d_j in {0,1,2}, and c = 3^(n-1). Then
    I_1 = 1 - max(1 - max(z - c + 1, 0), 0)   is 1 if z >= c and 0 otherwise,
    I_2 = 1 - max(1 - max(z - 2c + 1, 0), 0)  is 1 if z >= 2c and 0 otherwise,
because z is an integer, so no value lies on the ramps of width 1; hence d_1 = I_1 + I_2, and z - c d_1 has n - 1 digits.
All weights and all values on the way are integers below 3^n, and the indicators saturate without cancellation, so float64 finds
the same digits whenever it finds the same z. For every real z, I_1 and I_2 lie in [0, 1]: whatever stands between two codes
gives no digits, but no larger ones either.
Float64 holds integers up to 2^53 exactly, 33 ternary digits; longer codes need the exact weights that the network has.
Source: P18 (bit extraction); the integer form, free of rounding, is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator

import gmpy2
import numpy as np
from flint import fmpq

from approx.errors import InputError
from approx.networks import Builder, Form

#: 3^33 < 2^53 < 3^34.
FLOAT64_DIGITS = 33


def encode(digits: np.ndarray) -> int:
    """The integer whose ternary digits, the leading one first, are the entries 0, 1, 2 of a one-dimensional array."""
    if digits.ndim == 1 and len(digits) == 0:
        return 0
    if digits.ndim != 1 or digits.dtype.kind not in "iu" or not 0 <= digits.min() <= digits.max() <= 2:
        raise InputError("digits", digits[:8], "a one-dimensional array of digits 0, 1 and 2")
    text = (digits.astype(np.uint8) + ord("0")).tobytes().decode()
    return int(gmpy2.mpz(text, 3))


def decode(code: int, count: int) -> np.ndarray:
    """The `count` ternary digits of an integer in [0, 3^count), the leading one first; raises InputError otherwise."""
    if not 0 <= code < 3**count:
        raise InputError("code", code, f"an integer from 0 to 3^{count} - 1")
    text = gmpy2.mpz(code).digits(3).rjust(count, "0") if count else ""
    return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int8) - ord("0")


def float64_digits(knots: int) -> int:
    """How many ternary digits a code may have so that float64 finds it exactly from `knots` integer hinges.

    The code is a sum of integers w_i (y - i), 0 <= i < knots, of which the absolute values sum to at most 2 knots^2 3^n
    (second differences of codes are below 2 * 3^n): below 2^53 no partial sum is rounded, in whatever order.
    """
    digits = 0
    while 2 * knots * knots * 3 ** (digits + 1) < 2**53:
        digits += 1
    return min(digits, FLOAT64_DIGITS)


def read_digits(builder: Builder, code: Form, count: int) -> Iterator[tuple[Form, Form]]:
    """The indicators (I_1, I_2) of every digit of `code`, a unit with non-negative values; three hidden layers a digit.

    Cost: 12 weights a digit, 6 for the last one.
    """
    z = code
    for rest in range(count - 1, -1, -1):
        c = fmpq(3) ** rest
        # With c = 1, z - c + 1 is the unit z itself.
        reached = z if rest == 0 else builder.relu(z - (c - 1))
        first = 1 - builder.relu(1 - reached)
        second = 1 - builder.relu(1 - builder.relu(z - (2 * c - 1)))
        yield first, second
        if rest:
            z = builder.relu(z - c * (first + second))
