"""How are the integers of a cell, differences at its first node and r-th differences, packed into one code, and read again?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from constructions.relu._difference_plan import DifferencePlan

#: Levels, and with them all their differences, are below 2 to this power less the order.
LARGEST_BITS = 62
#: Cells that are packed at a time.
_CHUNK = 1 << 20


def cell_codes(plan: DifferencePlan, gap: int = 0) -> list[int]:
    """One integer per cell: D^1 A .. D^(r-1) A at its first node, then the digits, leading bits first, `gap` 0s before each."""
    bits = code_length(plan.head_bits, plan.steps, gap)
    return [int.from_bytes(row.tobytes(), "big") >> -bits % 8 for table in _tables(plan, bits, gap) for row in table]


def code_length(heads: Sequence[int], steps: int, gap: int = 0) -> int:
    """The bits of a code with first differences of these bits."""
    order = len(heads) + 1
    return sum(heads) + (order - 1) * gap + (order + 1 + gap) * (steps - order + 1)


def _tables(plan: DifferencePlan, bits: int, gap: int) -> Iterator[np.ndarray]:
    """The bits of some cells, packed."""
    count = max(1, _CHUNK // bits)
    for start in range(0, plan.cells, count):
        rows = plan.rows[start : start + count]
        parts = []
        for i, head in enumerate(plan.head_bits, 1):
            first = np.diff(rows[:, : plan.order], i, axis=1)[:, :1]
            parts.append(_as_bits(first + 2 ** (head - 1), head + gap))
        parts.append(_as_bits(np.diff(rows, plan.order, axis=1) + plan.shift, plan.bits + gap))
        yield np.packbits(np.concatenate(parts, axis=1), axis=1)


def _as_bits(numbers: np.ndarray, count: int) -> np.ndarray:
    places = np.arange(count - 1, -1, -1)
    return (numbers[:, :, np.newaxis] >> places & 1).astype(np.uint8).reshape(len(numbers), -1)


def levels_from(codes: list[int], heads: Sequence[int], steps: int, gap: int = 0) -> np.ndarray:
    """The levels of codes with first differences of these bits, as `cell_codes` makes them; raises ValueError for others."""
    order = len(heads) + 1
    length = code_length(heads, steps, gap)
    if steps < order or not all(2 <= bits <= 62 for bits in heads) or any(code >> length for code in codes):
        raise ValueError("no code")
    levels = np.zeros(len(codes) * steps + 1, dtype=np.int64)
    count = max(1, _CHUNK // length)
    for start in range(0, len(codes), count):
        rows = _rows_from(codes[start : start + count], heads, length, gap)
        if rows[:, -1].any():
            raise ValueError("A does not return to 0")
        odd = slice((start + 1) % 2, None, 2)
        rows[odd] = rows[odd, ::-1].copy()
        levels[start * steps : (start + len(rows)) * steps] = rows[:, :-1].ravel()
    return levels


def _rows_from(codes: list[int], heads: Sequence[int], length: int, gap: int) -> np.ndarray:
    order, size = len(heads) + 1, -(-length // 8)
    packed = np.frombuffer(b"".join((c << -length % 8).to_bytes(size, "big") for c in codes), dtype=np.uint8)
    table = np.unpackbits(packed.reshape(len(codes), size), axis=1)[:, :length].astype(np.int64)
    starts, at = [], 0
    for bits in heads:
        at += gap + bits
        starts.append(table[:, at - bits : at] @ (1 << np.arange(bits - 1, -1, -1)) - 2 ** (bits - 1))
    digits = table[:, at:].reshape(len(codes), -1, gap + order + 1)[:, :, gap:]
    column = digits @ (1 << np.arange(order, -1, -1)) - (2**order - 1)
    rough = column.astype(np.float64)
    for first in [*starts[::-1], np.zeros(len(codes), dtype=np.int64)]:
        column = np.cumsum(np.concatenate((first[:, None], column), axis=1), axis=1)
        rough = np.cumsum(np.concatenate((first[:, None].astype(np.float64), rough), axis=1), axis=1)
        if not np.abs(rough).max() < 2.0 ** (LARGEST_BITS - order):  # sums of integers would be wrong modulo 2^64
            raise ValueError("no code: levels too large")
    return column
