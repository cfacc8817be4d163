"""What a layer of a network is: one activation, a bias, and sparse weight blocks from any earlier layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import InputError
from approx.networks.piecewise import is_written

#: Activations that a layer may carry. Piecewise-linear ones are marked, since certification treats them exactly.
ACTIVATIONS: dict[str, str] = {
    "identity": "t",
    "relu": "max(t, 0)",
    "abs": "|t|",
    "relu2": "max(t, 0)^2",
    "relu3": "max(t, 0)^3",
    "sin": "sin(t)",
    "arcsin": "arcsin(t)",
    "floor": "floor(t)",
    "exp2": "2^t",
    "exp": "exp(t)",
    "tanh": "tanh(t)",
    "sigmoid": "1/(1+exp(-t))",
    "softplus": "log(1+exp(t))",
    "gelu": "t*(1+erf(t/sqrt(2)))/2",
    "arctan": "arctan(t)",
    "sqrt": "sqrt(t)",
    "sigma3": "-1/t for t < -1; (t arcsin t + sqrt(1-t^2))/pi + 3t/2 + 2 for |t| <= 1; 7 - 3/t + sin(pi t)/(pi t^2) for t > 1",
}
PIECEWISE_LINEAR = frozenset({"identity", "relu", "abs"})


@dataclass(frozen=True)
class Values:
    """A vector of exact scalars: float64 numbers that are meant exactly, or indices into a pool of distinct rationals.

    `floats` holds the numbers themselves when `ids` is None, and otherwise the float64 nearest to `pool[ids]`.
    Index 0 of every pool is the number zero.
    """

    floats: np.ndarray
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.floats)

    def nonzero(self) -> np.ndarray:
        """Which entries are exactly non-zero (a boolean array)."""
        return self.floats != 0 if self.ids is None else self.ids != 0

    def exact(self, pool: Sequence[Any]) -> list[Any]:
        """The entries as exact numbers (fmpq, or the pool's own closed forms)."""
        if self.ids is None:
            return [exact_float(v) for v in self.floats.tolist()]
        return [pool[i] for i in self.ids.tolist()]

    def take(self, index: Any) -> Values:
        """The entries at `index` (anything numpy accepts), as Values."""
        return Values(self.floats[index], None if self.ids is None else self.ids[index])


def exact_float(value: float) -> fmpq:
    """The dyadic rational that a finite float64 is."""
    numerator, denominator = value.as_integer_ratio()
    return fmpq(numerator, denominator)


@dataclass(frozen=True)
class Block:
    """A sparse matrix in CSR form from the units of layer `source` (0 is the input) to the units of the layer that owns it."""

    source: int
    indptr: np.ndarray
    indices: np.ndarray
    values: Values

    @property
    def count(self) -> int:
        """The number of stored entries, all of them exactly non-zero."""
        return len(self.indices)


@dataclass(frozen=True)
class Layer:
    """`activation(bias + sum of blocks)`; the blocks are sorted by source and hold no exact zero."""

    activation: str
    bias: Values
    blocks: tuple[Block, ...] = field(default=())

    @property
    def units(self) -> int:
        """The number of units of this layer."""
        return len(self.bias)

    @property
    def weights(self) -> int:
        """Non-zero connections plus non-zero biases, counted exactly."""
        return sum(b.count for b in self.blocks) + int(np.count_nonzero(self.bias.nonzero()))


def block(source: int, indptr: Any, indices: Any, values: Any, ids: Any = None) -> Block:
    """A Block from array-likes (copied), with exact zeros removed; O(entries), no Python loop over them.

    Raises InputError when the arrays do not fit together, name a column twice in a row or hold a non-finite number.
    """
    ptr = np.array(indptr, dtype=np.int64)
    cols = _columns(indices)
    data = Values(_finite(values), None if ids is None else np.array(ids, dtype=np.int32))
    if ptr.ndim != 1 or len(ptr) == 0 or ptr[0] != 0 or ptr[-1] != len(cols) or (ptr[1:] < ptr[:-1]).any():
        raise InputError("indptr", ptr[:8].tolist(), "a non-decreasing CSR pointer from 0 to the number of entries")
    if len(data) != len(cols) or (data.ids is not None and len(data.ids) != len(cols)):
        raise InputError("values", len(data), f"as many entries as indices ({len(cols)})")
    _refuse_duplicates(ptr, cols)
    keep = data.nonzero()
    if not keep.all():
        kept = np.concatenate(([0], np.cumsum(keep)))
        ptr, cols, data = kept[ptr].astype(np.int64), cols[keep], data.take(keep)
    return Block(int(source), ptr, cols, data)


def _columns(indices: Any) -> np.ndarray:
    wide = np.asarray(indices)
    if wide.size and (wide.dtype.kind not in "iu" or wide.min() < 0 or wide.max() > 2**31 - 1):
        raise InputError("indices", wide.reshape(-1)[:8].tolist(), "integers from 0 to 2^31 - 1")
    return np.array(wide, dtype=np.int32)


def _refuse_duplicates(ptr: np.ndarray, cols: np.ndarray) -> None:
    # A connection that is stored twice would be counted twice. Rows with rising columns are seen at once.
    if len(cols) < 2:
        return
    rising = cols[1:] > cols[:-1]
    starts = ptr[(ptr > 0) & (ptr < len(cols))]
    rising[starts - 1] = True
    if rising.all():
        return
    rows = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    order = np.lexsort((cols, rows))
    twice = (np.diff(rows[order]) == 0) & (np.diff(cols[order]) == 0)
    if twice.any():
        raise InputError("indices", int(cols[order][1:][twice][0]), "every column at most once in a row")


def dense_block(source: int, matrix: Any) -> Block:
    """A Block from a dense float64 matrix (units, source units), zeros dropped."""
    array = np.asarray(matrix, dtype=np.float64)
    if array.ndim != 2:
        raise InputError("matrix", array.shape, "a two-dimensional array")
    rows, cols = np.nonzero(array)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=array.shape[0]))))
    return block(source, indptr, cols, array[rows, cols] if len(rows) else array[:0, 0] if array.size else [])


def layer(activation: str, bias: Any, blocks: Sequence[Block], bias_ids: Any = None) -> Layer:
    """A Layer from a bias vector and blocks; raises InputError on shapes that do not fit or an unknown activation.

    Beside ACTIVATIONS, layers carry any continuous piecewise-linear activation by the name that PiecewiseLinear gives it.
    """
    check_activation(activation)
    data = Values(_finite(bias), None if bias_ids is None else np.array(bias_ids, dtype=np.int32))
    for b in blocks:
        if len(b.indptr) != len(data) + 1:
            raise InputError("blocks", len(b.indptr) - 1, f"blocks with {len(data)} rows, one per unit")
    kept = tuple(sorted((b for b in blocks if b.count), key=lambda b: b.source))
    if len({b.source for b in kept}) != len(kept):
        raise InputError("blocks", [b.source for b in kept], "at most one block per source layer")
    return Layer(activation, data, kept)


def check_activation(activation: Any) -> None:
    """Raise InputError unless a layer may carry the activation."""
    if activation not in ACTIVATIONS and not is_written(activation):
        raise InputError("activation", activation, "a PiecewiseLinear's name, or one of " + ", ".join(ACTIVATIONS))


def _finite(values: Any) -> np.ndarray:
    array = np.array(values, dtype=np.float64)  # a copy: a network never changes
    if array.ndim != 1:
        raise InputError("weights", array.shape, "a one-dimensional array")
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise InputError("weights", float(bad), "finite numbers only (no NaN, no infinity)")
    return array
