"""How do exact affine forms over units become the layers of a network? Converted, sorted and cut in one go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq

from approx.networks.layers import Block, Layer, Values, check_activation
from approx.numbers import nearest_float
from approx.numbers.conversions import LARGEST

if TYPE_CHECKING:
    from approx.networks.builder import Form


def assemble(
    inputs: int, rows: Sequence[tuple[str, Form]], depth: Sequence[int], outputs: Sequence[Form]
) -> tuple[list[Layer], Sequence[Any]]:
    """The layers and the pool of the network with these rows (activation, form) and output forms.

    Unit number `inputs + r` is row r; it reads inputs and earlier rows only, and `depth[r]` is one more than the deepest
    of them. Rows that no output depends on are left out; every depth gets one layer per activation. Layers are cut out of
    the same few arrays, so that a layer of few units costs little: about 1 us per weight and 10 us per layer.
    """
    alive = _alive(inputs, rows, outputs)
    names, code = np.unique([rows[r][0] for r in alive.tolist()] or ["identity"], return_inverse=True)
    level = np.array(depth, dtype=np.int64)[alive]
    order = np.lexsort((code[: len(alive)], level))
    alive, level, code = alive[order], level[order], code[order]
    first = np.flatnonzero((np.diff(level, prepend=0) != 0) | (np.diff(code, prepend=-1) != 0))
    edges = np.concatenate((first, [len(alive), len(alive) + len(outputs)]))
    layer_of, number_in = np.zeros(inputs + len(rows), np.int64), np.arange(inputs + len(rows))
    layer_of[inputs + alive] = np.repeat(np.arange(len(first)), np.diff(edges[:-1])) + 1
    number_in[inputs + alive] = np.arange(len(alive)) - np.repeat(first, np.diff(edges[:-1]))
    activations = [*names[code[first]].tolist(), "identity"]
    for name in set(activations):
        check_activation(name)
    return _layers(activations, edges, [*(rows[r][1] for r in alive.tolist()), *outputs], layer_of, number_in)


def _alive(inputs: int, rows: Sequence[tuple[str, Form]], outputs: Sequence[Form]) -> np.ndarray:
    """The numbers of the rows that the outputs depend on, in order."""
    seen = bytearray(inputs + len(rows))
    for form in outputs:
        for u in form.terms:
            seen[u] = 1
    for r in range(len(rows) - 1, -1, -1):
        if seen[inputs + r]:
            for u in rows[r][1].terms:
                seen[u] = 1
    return np.flatnonzero(np.frombuffer(seen, dtype=np.uint8)[inputs:])


def _layers(
    activations: list[str], edges: np.ndarray, forms: list[Form], layer_of: np.ndarray, number_in: np.ndarray
) -> tuple[list[Layer], Sequence[Any]]:
    """Layer k (from 0) has the forms edges[k] <= i < edges[k + 1]; unit u is number_in[u] of layer layer_of[u]."""
    exact = [weight for form in forms for weight in form.terms.values()]
    unit = np.array([u for form in forms for u in form.terms], dtype=np.int64)
    row = np.repeat(np.arange(len(forms)), [len(form.terms) for form in forms])
    layer = np.repeat(np.arange(len(activations)), np.diff(edges))[row]
    order = np.lexsort((number_in[unit], row, layer_of[unit], layer))
    order = order[np.array([bool(w) for w in exact], dtype=bool)[order]]  # exact zeros are no connections
    unit, row, layer = unit[order], row[order], layer[order]
    source, column = layer_of[unit], number_in[unit].astype(np.int32)

    start = np.flatnonzero((np.diff(layer, prepend=-1) != 0) | (np.diff(source, prepend=-1) != 0))
    end = np.append(start, len(order))[1:]
    # All CSR pointers at once: row i of block b begins where the entries reach (b, first row of its layer + i).
    block = np.repeat(np.arange(len(start)), end - start)
    height = np.diff(edges)[layer[start]] + 1
    cut = np.concatenate(([0], np.cumsum(height)))
    own = np.repeat(np.arange(len(start)), height)
    wanted = np.arange(len(own)) - cut[own] + edges[layer[start]][own]
    span = len(forms) + 1
    indptr = np.searchsorted(block * span + row, own * span + wanted) - start[own]

    pool = _Pool()
    biases, weights = _Numbers([form.constant for form in forms]), _Numbers([exact[i] for i in order.tolist()])
    blocks: list[list[Block]] = [[] for _ in activations]
    for b, (k, s, i, j) in enumerate(zip(*(a.tolist() for a in (layer[start], source[start], start, end)), strict=True)):
        blocks[k].append(Block(s, indptr[cut[b] : cut[b + 1]], column[i:j], weights.values(i, j, pool)))
    vectors = [biases.values(i, j, pool) for i, j in itertools.pairwise(edges.tolist())]
    layers = [Layer(*parts) for parts in zip(activations, vectors, map(tuple, blocks), strict=True)]
    return layers, pool.numbers if len(pool.numbers) > 1 else ()


class _Numbers:
    """Exact numbers in order, with the nearest finite float64 numbers; any stretch of them is a vector of a network."""

    def __init__(self, exact: list[Any]) -> None:
        floats: list[float] = []
        inexact = np.zeros(len(exact) + 1, dtype=np.int64)
        for i, value in enumerate(exact, 1):
            if isinstance(value, fmpq):
                p, q = int(value.p), int(value.q)
                try:
                    nearest = p / q
                except OverflowError:
                    nearest = finite_float(value)
                if nearest.as_integer_ratio() != (p, q):
                    inexact[i] = 1
            else:
                nearest = finite_float(value)
                inexact[i] = 1
            floats.append(nearest)
        self.exact, self.floats = exact, np.array(floats, dtype=np.float64)
        self.inexact: list[int] = np.cumsum(inexact).tolist()

    def values(self, begin: int, end: int, pool: _Pool) -> Values:
        """The numbers begin <= i < end; they go to the pool when one of them is no float64 number."""
        if self.inexact[begin] == self.inexact[end]:
            return Values(self.floats[begin:end])
        ids = np.array([pool.index(v) for v in self.exact[begin:end]], dtype=np.int32)
        return Values(self.floats[begin:end], ids)


class _Pool:
    """Distinct exact numbers that are no float64 numbers; number 0 is zero."""

    def __init__(self) -> None:
        self.numbers: list[Any] = [fmpq(0)]
        self._index: dict[Any, int] = {(0, 1): 0}

    def index(self, value: Any) -> int:
        """The number under which the pool holds the value."""
        key = (int(value.p), int(value.q)) if isinstance(value, fmpq) else value  # an fmpq takes 2 us to hash itself
        found = self._index.setdefault(key, len(self.numbers))
        if found == len(self.numbers):
            self.numbers.append(value)
        return found


def finite_float(value: Any) -> float:
    """The finite float64 nearest to an exact weight: the largest one for weights beyond the range."""
    return min(max(nearest_float(value), -LARGEST), LARGEST)
