"""Which bits stand at many positions of one long integer? Read from its bytes, all positions at once."""

from __future__ import annotations

import numpy as np

from approx.errors import InputError

_WIDEST = 56


def read_bits(integer: int, positions: np.ndarray, width: int) -> np.ndarray:
    """Return floor(integer / 2^p) mod 2^width for every position p, as int64 in the shape of `positions`.

    integer >= 0 of any length; positions are integers, below zero and beyond the end there are zero bits; 1 <= width <= 56.
    Cost: one pass over the bytes of the integer, then about 20 ns per position. Raises InputError on another width or a
    negative integer.

    >>> read_bits(0b1011_0110, np.array([0, 1, 4, 7, 100, -1]), 3).tolist()
    [6, 3, 3, 1, 0, 4]
    """
    if not 1 <= width <= _WIDEST:
        raise InputError("width", width, f"1 to {_WIDEST}")
    if integer < 0:
        raise InputError("integer", "a negative integer", "an integer >= 0")
    places = np.asarray(positions, dtype=np.int64)
    length = integer.bit_length()
    # Eight zero bytes in front and behind: every window of 8 bytes then lies inside.
    data = np.frombuffer(bytes(8) + int(integer).to_bytes(length // 8 + 1, "little") + bytes(9), dtype=np.uint8)
    clipped = np.clip(places, -_WIDEST - 1, length + 1) + 64
    first, shift = clipped >> 3, (clipped & 7).astype(np.uint64)
    window = np.zeros(places.shape, dtype=np.uint64)
    for byte in range(8):
        window |= data[first + byte].astype(np.uint64) << np.uint64(8 * byte)
    return ((window >> shift) & np.uint64(2**width - 1)).astype(np.int64)
