"""What a network is: an immutable directed acyclic graph of layers with exact weights, and its exact size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from flint import fmpq

from approx.errors import InputError
from approx.networks.layers import PIECEWISE_LINEAR, Layer, Values

if TYPE_CHECKING:
    from pathlib import Path


class Size(NamedTuple):
    """The size of a network, all counts exact.

    weights: non-zero connections plus non-zero biases, output layer included; units: hidden units;
    hidden_layers: hidden units on the longest path (the papers' depth is this plus two); width: units of the widest
    hidden layer; bits: sum over the weights a/b of 1 + bitlength(|a|) + bitlength(b).
    """

    weights: int
    units: int
    hidden_layers: int
    width: int
    bits: int


class Flat(NamedTuple):
    """The whole network as one CSR over global unit numbers: inputs first, then the layers in order, outputs last."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    bias: np.ndarray
    activation: np.ndarray
    names: tuple[str, ...]
    inputs: int
    outputs: int


class Network:
    """A network: the exact real function of its exact weights.

    Layer k (k = 1, 2, ...) computes h_k = act_k(bias_k + sum over its blocks of block @ h_source), h_0 is the input;
    the last layer has the activation "identity" and is the output. Blocks may come from any earlier layer (skips).

    Shapes: `net(x)` takes (n,) or (n, d) and returns (n,) or (n, k); see `approx.evaluation.evaluate`.
    Raises InputError when layers do not fit together.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> net = b.build([b.relu(2 * b.input() - 1)])
    >>> net.size.weights, float(net(0.75))
    (3, 0.5)
    """

    __slots__ = ("__dict__", "inputs", "layers", "pool")

    def __init__(self, inputs: int, layers: Sequence[Layer], pool: Sequence[Any] = ()) -> None:
        self.inputs = int(inputs)
        self.layers = tuple(layers)
        self.pool = tuple(pool)
        self._validate()

    def _validate(self) -> None:
        if self.inputs < 1:
            raise InputError("inputs", self.inputs, "a positive number of inputs")
        if not self.layers or self.layers[-1].activation != "identity":
            raise InputError("layers", len(self.layers), "at least one layer, the last one with activation 'identity'")
        if self.pool and (self.pool[0] != 0 or any(isinstance(p, fmpq) and p == 0 for p in self.pool[1:])):
            raise InputError("pool", self.pool[:8], "a pool whose entry 0 is zero, and no other")
        widths = [self.inputs] + [layer.units for layer in self.layers]
        for k, layer in enumerate(self.layers, 1):
            if layer.units < 1:
                raise InputError("layers", f"layer {k} without units", "layers of at least one unit")
            for b in layer.blocks:
                if not 0 <= b.source < k:
                    raise InputError("blocks", b.source, f"a source before layer {k}")
        # One look at all blocks: a call of numpy for each of them would take longer than building them.
        blocks = [b for layer in self.layers for b in layer.blocks if b.count]
        if blocks:
            columns = np.concatenate([b.indices for b in blocks])
            highest = np.maximum.reduceat(columns, np.cumsum([0] + [b.count for b in blocks[:-1]]))
            for number, b in zip(highest.tolist(), blocks, strict=True):
                if number >= widths[b.source]:
                    raise InputError("indices", number, f"unit numbers below {widths[b.source]}")
            if columns.min() < 0:
                raise InputError("indices", int(columns.min()), "unit numbers from 0")
        pooled = [v.ids for v in self._vectors() if v.ids is not None]
        if pooled:
            ids = np.concatenate(pooled)
            if len(ids) and not 0 <= ids.min() <= ids.max() < len(self.pool):
                raise InputError("ids", int(ids.max()), f"indices into a pool of {len(self.pool)}")

    def _vectors(self) -> list[Values]:
        return [v for layer in self.layers for v in [layer.bias, *(b.values for b in layer.blocks)]]

    # -- counts ---------------------------------------------------------------------------------------------------

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.layers[-1].units

    @cached_property
    def size(self) -> Size:
        """The exact Size."""
        hidden = self.layers[:-1]
        return Size(
            weights=sum(layer.weights for layer in self.layers),
            units=sum(layer.units for layer in hidden),
            hidden_layers=self._depth(),
            width=max((layer.units for layer in hidden), default=0),
            bits=self._bits(),
        )

    def _depth(self) -> int:
        # Two layers of different activations may stand side by side: the depth is the longest path, not the count.
        depth = [0]
        for layer in self.layers:
            depth.append(1 + max((depth[b.source] for b in layer.blocks), default=0))
        return max(depth[:-1])

    def _bits(self) -> int:
        vectors = self._vectors()
        plain = [v.floats for v in vectors if v.ids is None]
        total = _dyadic_bits(np.concatenate(plain)) if plain else 0
        pooled = np.array([_rational_bits(p) for p in self.pool], dtype=np.int64)
        return total + sum(int(pooled[v.ids[v.ids != 0]].sum()) for v in vectors if v.ids is not None)

    # -- tags -----------------------------------------------------------------------------------------------------

    @property
    def activations(self) -> frozenset[str]:
        """The set of activations in use, the output's identity included."""
        return frozenset(layer.activation for layer in self.layers)

    @cached_property
    def native(self) -> Network:
        """The same function with ReLU units in place of activations that are written out; itself if it has none.

        Evaluation, certification and export work on this form: `PiecewiseLinear` activations need no code of their own there.
        """
        from approx.networks.conversion import native

        return native(self)

    @property
    def dyadic(self) -> bool:
        """Whether every weight is a float64 that is meant exactly."""
        return all(v.ids is None for v in self._vectors())

    @cached_property
    def tags(self) -> dict[str, Any]:
        """What is known of the function from the graph alone: piecewise_linear, continuous, rational, dyadic, lipschitz.

        `lipschitz` is a proved (usually generous) bound L with |net(x)-net(y)|_inf <= L |x-y|_inf, or inf.
        """
        if self.native is not self:
            return {**self.native.tags, "rational": all(isinstance(p, fmpq) for p in self.pool), "dyadic": self.dyadic}
        return {
            "piecewise_linear": self.activations <= PIECEWISE_LINEAR,
            "continuous": "floor" not in self.activations,
            "rational": all(isinstance(p, fmpq) for p in self.pool),
            "dyadic": self.dyadic,
            "lipschitz": self._lipschitz(),
        }

    def _overflows(self) -> bool:
        # A pooled weight beyond the range stands beside the largest float64.
        vectors = self._vectors()
        return any((np.abs(v.floats) >= np.finfo(np.float64).max).any() for v in vectors if v.ids is not None)

    def _lipschitz(self) -> float:
        smooth = {"sin", "tanh", "sigmoid", "softplus", "arctan"}
        if not self.activations <= (PIECEWISE_LINEAR | smooth) or self._overflows():
            return float("inf")
        growth = [np.ones(self.inputs)]
        for layer in self.layers:
            total = np.zeros(layer.units)
            for b in layer.blocks:
                rows = np.repeat(np.arange(layer.units), np.diff(b.indptr))
                with np.errstate(all="ignore"):
                    np.add.at(total, rows, np.abs(b.values.floats) * growth[b.source][b.indices])
            # k rounded weights, products and sums: relative error below (k + 4) 2^-52, underflow below 2^-1000.
            entries = sum(b.count for b in layer.blocks)
            growth.append(total * (1 + (entries + 4) * 2.0**-52) + (2.0**-1000 if entries else 0.0))
        largest = float(growth[-1].max())
        return float("inf") if np.isnan(largest) else largest

    # -- views ----------------------------------------------------------------------------------------------------

    @cached_property
    def flat(self) -> Flat:
        """The network as one CSR over global unit numbers (float64 values); the way in for evaluators."""
        offsets = np.concatenate(([0, self.inputs], self.inputs + np.cumsum([layer.units for layer in self.layers])))
        rows: list[np.ndarray] = []
        cols: list[np.ndarray] = []
        vals: list[np.ndarray] = []
        for k, layer in enumerate(self.layers, 1):
            for b in layer.blocks:
                rows.append(np.repeat(np.arange(layer.units) + (offsets[k] - self.inputs), np.diff(b.indptr)))
                cols.append(b.indices.astype(np.int64) + offsets[b.source])
                vals.append(b.values.floats)
        row = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        col = np.concatenate(cols) if cols else np.zeros(0, dtype=np.int64)
        val = np.concatenate(vals) if vals else np.zeros(0)
        order = np.argsort(row, kind="stable")
        count = int(offsets[-1] - self.inputs)
        indptr = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=count)))).astype(np.int64)
        names = tuple(sorted(self.activations))
        code = np.concatenate([np.full(layer.units, names.index(layer.activation), np.int8) for layer in self.layers])
        bias = np.concatenate([layer.bias.floats for layer in self.layers])
        return Flat(indptr, col[order], val[order], bias, code, names, self.inputs, self.outputs)

    def exact_rows(self) -> list[tuple[str, Any, list[tuple[int, Any]]]]:
        """Every unit in order as (activation, exact bias, [(global unit number, exact weight), ...]); O(weights) objects."""
        offsets = [0, self.inputs]
        for layer in self.layers:
            offsets.append(offsets[-1] + layer.units)
        table: list[tuple[str, Any, list[tuple[int, Any]]]] = []
        for layer in self.layers:
            rows: list[list[tuple[int, Any]]] = [[] for _ in range(layer.units)]
            for b in layer.blocks:
                exact = b.values.exact(self.pool)
                entries = list(zip((b.indices + offsets[b.source]).tolist(), exact, strict=True))
                for row, (start, stop) in zip(rows, pairwise(b.indptr.tolist()), strict=True):
                    row.extend(entries[start:stop])
            table.extend(zip([layer.activation] * layer.units, layer.bias.exact(self.pool), rows, strict=True))
        return table

    # -- the verbs, each implemented where its question lives -------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """Float64 values at x; see approx.evaluation.evaluate for shapes and the rounding rule."""
        from approx.evaluation import evaluate

        return evaluate(self, x)

    def __matmul__(self, other: Network) -> Network:
        if not isinstance(other, Network):
            return NotImplemented
        from approx.networks.calculus import compose

        return compose(self, other)

    def __add__(self, other: Network) -> Network:
        if not isinstance(other, Network):
            return NotImplemented
        from approx.networks.calculus import add

        return add(self, other)

    def __sub__(self, other: Network) -> Network:
        if not isinstance(other, Network):
            return NotImplemented
        from approx.networks.calculus import add, scale

        return add(self, scale(-1, other))

    def __rmul__(self, factor: Any) -> Network:
        from approx.networks.calculus import scale

        return scale(factor, self)

    def __neg__(self) -> Network:
        return -1 * self

    def __eq__(self, other: object) -> bool:
        """Equality of graphs and exact weights (not of functions)."""
        if not isinstance(other, Network):
            return NotImplemented
        from approx.networks.files import same_graph

        return same_graph(self, other)

    def __hash__(self) -> int:
        return hash((self.inputs, self.size))

    def save(self, path: str | Path) -> None:
        """Write the exact network to a file; atomic, no code in it. Raises OSError when the place is not writable."""
        from approx.networks.files import save_network

        save_network(self, path)

    def to_onnx(self, path: str | Path, dtype: str = "float64") -> Any:
        """Write an ONNX model and return the parity report; see approx.interchange.to_onnx."""
        from approx.interchange import to_onnx

        return to_onnx(self, path, dtype=dtype)

    def to_torch(self) -> Any:
        """A torch module with frozen float64 parameters; see approx.interchange.to_torch."""
        from approx.interchange import to_torch

        return to_torch(self)

    def describe(self) -> str:
        """A text that a person can read: size, tags and a table of the layers."""
        from approx.networks.describe import describe

        return describe(self)

    def __repr__(self) -> str:
        s = self.size
        acts = ", ".join(sorted(self.activations - {"identity"})) or "affine"
        return (
            f"<Network R^{self.inputs} -> R^{self.outputs}: {s.weights:,} weights, {s.units:,} units, "
            f"{s.hidden_layers} hidden layers, width {s.width}, {acts}>"
        )

    def _repr_html_(self) -> str:
        from approx.networks.describe import describe_html

        return describe_html(self)


def _rational_bits(value: Any) -> int:
    if isinstance(value, fmpq):
        return 1 + abs(int(value.p)).bit_length() + int(value.q).bit_length()
    return int(getattr(value, "bits", 0))


def _dyadic_bits(floats: np.ndarray) -> int:
    nonzero = floats[floats != 0]
    if not len(nonzero):
        return 0
    mantissa, exponent = np.frexp(np.abs(nonzero))
    integer = (mantissa * 2.0**53).astype(np.int64)
    trailing = np.zeros(len(integer), dtype=np.int64)
    low = integer & -integer
    trailing = np.round(np.log2(low.astype(np.float64))).astype(np.int64)
    power = exponent.astype(np.int64) - 53 + trailing  # value = odd * 2**power
    odd = 53 - trailing
    numerator = odd + np.maximum(power, 0)
    denominator = 1 + np.maximum(-power, 0)
    return int((1 + numerator + denominator).sum())
