"""How are the values of K cells stored in about one and a half bits each, so that three lookups find any of them?

Cells are grouped into boxes (blocks), blocks into larger boxes (groups). With q the whole numbers to be stored,

    q(cell) = F(group) + G(block) + T(pattern(block), place of the cell in its block),

F the minimum of the group, G the minimum of the block above it, and T the offsets of the block, of which each pattern that
occurs is stored once. F, the records G * patterns + pattern number, and T are tables of equal fields, each one long integer.

Count, when neighbouring cells differ by at most 1 (Lipschitz or Hölder f and a quantum as large as the variation from
cell to cell) and blocks have m cells: at most 3^(m-1) patterns, so with m = floor(log_3(K) / 2) and groups of m blocks

    bits / K <= ((m - 1) log2 3 + 1) / m + (log2(2 m^2) + 1) / m + (log2 K + 1) / m^2 + 3^m (log2 m + 1) m / K
             =  log2 3 + O(log log K / log K):

no logarithm of K. The search below takes the shapes with the smallest exact count. Source: derived.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from constructions.superexpressive._bit_tables import bit_width

Shape = tuple[int, ...]
_SIDES: dict[int, tuple[int, ...]] = {1: tuple(range(1, 25)), 2: (1, 2, 3, 4, 5, 6, 8), 3: (1, 2, 3, 4)}
_MOST_IN_BLOCK = 24
_GROUPS = (1, 2, 4, 8, 16, 32, 64)


class BlockCode(NamedTuple):
    """The three tables and their field widths; `bits` is their total length, one leading bit each included."""

    block: Shape
    group: Shape
    minima: np.ndarray
    minima_width: int
    records: np.ndarray
    record_width: int
    patterns: np.ndarray
    offset_width: int

    @property
    def bits(self) -> int:
        """The exact total length of the three tables."""
        sizes = (
            (self.minima, self.minima_width),
            (self.records, self.record_width),
            (self.patterns, self.offset_width),
        )
        return sum(table.size * width + 1 for table, width in sizes)


def shortest_code(digits: np.ndarray) -> BlockCode:
    """Return the BlockCode of fewest bits among the shapes tried, for an array of integers >= 0 of any dimension."""
    best: tuple[int, Shape, Shape] | None = None
    for block in _shapes(digits.ndim):
        least, offsets = _blocks(digits, block)
        width = bit_width(offsets.max())
        table = len(np.unique(_keys(offsets, width)))
        fixed = table * prod(block) * width
        if best is not None and fixed >= best[0]:
            continue
        for factor in _GROUPS:
            minima, above = _blocks(least, (factor,) * digits.ndim)
            record = bit_width(table * (int(above.max()) + 1) - 1)
            bits = fixed + minima.size * bit_width(minima.max()) + least.size * record
            if best is None or bits < best[0]:
                best = bits, block, tuple(factor * b for b in block)
            if minima.size == 1:
                break
    assert best is not None  # the shapes are never empty
    return encode(digits, best[1], best[2])


def encode(digits: np.ndarray, block: Shape, group: Shape) -> BlockCode:
    """Return the BlockCode with these shapes (cells per block and per group; groups consist of whole blocks)."""
    least, offsets = _blocks(digits, block)
    factors = tuple(g // b for g, b in zip(group, block, strict=True))
    minima, _ = _blocks(least, factors)
    spread = minima
    for axis, factor in enumerate(factors):
        spread = np.repeat(spread, factor, axis=axis)
    references = least - spread[tuple(slice(n) for n in least.shape)]
    width = bit_width(offsets.max())
    rows = offsets.reshape(-1, offsets.shape[-1])
    _, first, numbers = np.unique(_keys(rows, width), return_index=True, return_inverse=True)
    patterns = rows[first].T  # one column per pattern: in Fortran order the cells of a pattern stand together
    records = references * len(first) + numbers.reshape(least.shape)
    return BlockCode(
        block=block,
        group=group,
        minima=minima,
        minima_width=bit_width(minima.max()),
        records=records,
        record_width=bit_width(records.max()),
        patterns=patterns,
        offset_width=width,
    )


def _shapes(dimension: int) -> Iterator[Shape]:
    for block in product(_SIDES.get(dimension, (1, 2)), repeat=dimension):
        if prod(block) <= _MOST_IN_BLOCK:
            yield block


def _blocks(digits: np.ndarray, block: Shape) -> tuple[np.ndarray, np.ndarray]:
    """(minimum of every block, offsets above it with the cells of a block along the last axis, first axis fastest)."""
    d = digits.ndim
    padding = [(0, -n % b) for n, b in zip(digits.shape, block, strict=True)]
    padded = np.pad(digits, padding, mode="edge")
    shape = [part for n, b in zip(padded.shape, block, strict=True) for part in (n // b, b)]
    order = [2 * i for i in range(d)] + [2 * i + 1 for i in reversed(range(d))]
    parts = padded.reshape(shape).transpose(order)
    parts = parts.reshape(*parts.shape[:d], prod(block))
    least = parts.min(axis=-1)
    return least, parts - least[..., np.newaxis]


def _keys(offsets: np.ndarray, width: int) -> np.ndarray:
    """One comparable key for every row of offsets."""
    rows = offsets.reshape(-1, offsets.shape[-1])
    if rows.shape[1] * width <= 62:
        keys = np.zeros(len(rows), dtype=np.int64)
        for column in range(rows.shape[1]):
            keys = (keys << width) | rows[:, column]
        return keys
    kind = np.dtype((np.void, 4 * rows.shape[1]))
    return np.ascontiguousarray(rows.astype(np.int32)).view(kind).reshape(-1)
