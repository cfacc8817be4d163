"""Where the pieces of a ReLU network of one variable are: nodes between which the network is affine, up to rounding.

The nodes are a guess as good as the arithmetic: nothing is proved here. `approx.certification.forward` bounds how far
the network may be from the chords between whatever nodes it is given.

Method: follow all units along a sorted array of nodes, layer by layer; where the input of a ReLU changes its sign
between two nodes, its root becomes a node. Cost O(weights * nodes). When a block of nodes outgrows the cache it is
cut in two, and the halves go on from the same state, so memory stays small for any number of pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from approx.certification.arithmetic import Arithmetic, Float64, Vector, join, take
from approx.certification.hinges import HingeSum, Line
from approx.certification.products import Product
from approx.certification.roots import advance
from approx.certification.unit_plan import UnitPlan
from approx.errors import UnsupportedError
from approx.evaluation.cache import cached
from approx.evaluation.fitness import beyond_range
from approx.networks import PIECEWISE_LINEAR, Block, Layer, Network, Values
from approx.numbers import to_float, to_fmpq

#: A first layer of at least this many ReLUs, read by few units, is handled as sums of hinges.
WIDE = 64
#: Nodes per block; about half a level-2 cache for the few live units of a narrow network.
BLOCK = 8192
#: Values of one layer per block.
_VALUES = 1 << 17


@dataclass(frozen=True)
class Row:
    """One unit: its bias and terms as (column in the source layer, hi, lo) with weight = hi + lo up to 2^-106."""

    bias: tuple[float, float]
    terms: tuple[tuple[int, int, float, float], ...]


class Rows:
    """The rows of a program's layers, made when they are asked for: layers that go by products never need theirs."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made: dict[int, list[Row]] = {}

    def __getitem__(self, layer: int) -> list[Row]:
        if layer not in self.made:
            program = self.program
            hidden = program.wide_first and layer == 0
            skip = 1 if program.wide_first else -1
            self.made[layer] = [] if hidden else program._pair_rows(program.network.layers[layer], skip)
        return self.made[layer]


class Program:
    """A piecewise-linear network prepared for following it along nodes. Raises UnsupportedError on other activations.

    hinges: whether a wide first layer of a network of one variable may be taken as sums of hinges (hinges.py).
    """

    def __init__(self, network: Network, hinges: bool = True) -> None:
        if not network.tags["piecewise_linear"]:
            names = ", ".join(sorted(network.activations - PIECEWISE_LINEAR))
            raise UnsupportedError(
                f"exact decomposition into pieces needs a piecewise linear network; this one has {names}"
            )
        if not network.tags["rational"] or beyond_range(network):
            raise UnsupportedError(
                "following a network along pieces needs rational weights within the range of float64"
            )
        self.network = network
        self.inputs = network.inputs
        self.activations = [l.activation for l in network.layers]
        self.last_use = self._last_uses(network.layers)
        #: The same without the last layer, which bends nowhere: what the search for nodes must keep.
        self.last_bend = self._last_uses(network.layers[:-1])
        self.wide_first = hinges and self._wide_first()
        widest = max(l.units for l in network.layers[self.wide_first :])
        #: Nodes per block: few enough that the values of a layer stay in the cache.
        self.block = max(512, min(BLOCK, _VALUES // widest))

    @classmethod
    def of(cls, network: Network) -> Program:
        """The program of a network, prepared once."""
        return cached(network, "pieces", lambda: cls(network))

    def _last_uses(self, layers: Sequence[Layer]) -> list[int]:
        last = [0] * (len(self.network.layers) + 1)
        for k, l in enumerate(layers, 1):
            for b in l.blocks:
                last[b.source] = max(last[b.source], k)
        return last

    def _wide_first(self) -> bool:
        first, later = self.network.layers[0], self.network.layers[1:]
        if self.inputs != 1 or first.activation != "relu" or first.units < WIDE:
            return False
        readers = sum(int(np.count_nonzero(np.diff(b.indptr))) for l in later for b in l.blocks if b.source == 1)
        return 0 < 4 * readers <= first.units

    @cached_property
    def line(self) -> Line:
        """The hinges of a wide first layer."""
        first = self.network.layers[0]
        slope = (np.zeros(first.units), np.zeros(first.units))
        for b in first.blocks:
            filled = np.diff(b.indptr) > 0
            for part, values in zip(slope, self.parts(b.values), strict=True):
                part[filled] = values
        return Line.of(slope, self.parts(first.bias))

    def parts(self, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """The values as double-double arrays."""
        if values.ids is None:
            return values.floats, np.zeros(len(values))
        pool = np.array([_split(p) for p in self.network.pool]).reshape(-1, 2)
        return pool[values.ids, 0], pool[values.ids, 1]

    @cached_property
    def hinge_sums(self) -> list[dict[int, HingeSum]]:
        """Per layer the units that read a wide first layer, with what they read of it."""
        table: list[dict[int, HingeSum]] = []
        for l in self.network.layers:
            sums = {}
            for b in (b for b in l.blocks if b.source == 1 and self.wide_first):
                pairs = self.parts(b.values)
                for i in np.flatnonzero(np.diff(b.indptr)).tolist():
                    entries = slice(int(b.indptr[i]), int(b.indptr[i + 1]))
                    weight = (np.zeros(self.network.layers[0].units), np.zeros(self.network.layers[0].units))
                    for part in (0, 1):
                        weight[part][b.indices[entries]] = pairs[part][entries]
                    sums[i] = HingeSum(self.line, weight)
            table.append(sums)
        return table

    @cached_property
    def matrices(self) -> list[list[tuple[int, scipy.sparse.csr_array]]]:
        """Per layer the (source, float64 sparse matrix) pairs."""
        widths = [self.inputs] + [l.units for l in self.network.layers]
        return [
            [
                (
                    b.source,
                    scipy.sparse.csr_array((b.values.floats, b.indices, b.indptr), shape=(l.units, widths[b.source])),
                )
                for b in l.blocks
                if not (self.wide_first and b.source == 1)
            ]
            for l in self.network.layers
        ]

    @cached_property
    def products(self) -> list[list[Product]]:
        """Per layer what multiplies a matrix of values in float64 and in double-double; dense where that is faster."""
        return [
            [self._product(l, b) for b in l.blocks if not (self.wide_first and b.source == 1)]
            for l in self.network.layers
        ]

    def _product(self, l: Layer, b: Block) -> Product:
        shape = (l.units, self.network.layers[b.source - 1].units if b.source else self.inputs)
        parts = [scipy.sparse.csr_array((v, b.indices, b.indptr), shape=shape) for v in self.parts(b.values)]
        if 8 * b.count >= shape[0] * shape[1]:
            return Product(b.source, *(p.toarray() for p in parts))
        return Product(b.source, *parts)

    @cached_property
    def plan(self) -> UnitPlan:
        """The sums of the units in flat arrays, for following them along nodes."""
        return UnitPlan(self)

    @cached_property
    def rows(self) -> Rows:
        """Per layer the units with double-double weights; what they read of a wide first layer is in hinge_sums."""
        return Rows(self)

    def bias(self, layer: int, parts: int) -> Vector:
        """The bias of a layer as float64 (one part) or double-double (two)."""
        return self.parts(self.network.layers[layer].bias)[:parts]

    def _pair_rows(self, l: Layer, skip: int = -1) -> list[Row]:
        terms: list[list[tuple[int, int, float, float]]] = [[] for _ in range(l.units)]
        for b in (b for b in l.blocks if b.source != skip):
            pairs, cols = self._pairs(b.values), b.indices.tolist()
            for i in range(l.units):
                first, last = int(b.indptr[i]), int(b.indptr[i + 1])
                terms[i].extend((b.source, cols[j], *pairs[j]) for j in range(first, last))
        return [Row(c, tuple(t)) for c, t in zip(self._pairs(l.bias), terms, strict=True)]

    def _pairs(self, values: Values) -> list[tuple[float, float]]:
        return list(zip(*(part.tolist() for part in self.parts(values)), strict=True))

    @cached_property
    def dense(self) -> list[bool]:
        """Per layer whether its rows are long and many, so that matrix products pay and error-free sums do not."""
        layers = self.network.layers
        counts = [sum(b.count for b in l.blocks if not (self.wide_first and b.source == 1)) for l in layers]
        return [c > (24 if l.units >= 8 else 64) * l.units for c, l in zip(counts, layers, strict=True)]


def _split(value: object) -> tuple[float, float]:
    exact = to_fmpq(value)
    hi = to_float(exact)
    return hi, to_float(exact - to_fmpq(hi))


def node_blocks(program: Program, nodes: Vector, arithmetic: Arithmetic, block: int | None = None) -> Iterator[Vector]:
    """Sorted node arrays covering [nodes[0], nodes[-1]], consecutive blocks sharing their end node.

    Between neighbouring nodes the network is affine up to the rounding of the nodes. Yields as it goes, so that
    callers can stop early.
    """
    block = block or program.block
    first = 1
    if program.wide_first:
        kinks = program.line.inside(float(nodes[0][0]), float(nodes[0][-1]))
        kinks = kinks[~np.isin(kinks, nodes[0])]
        order = np.argsort(np.concatenate([nodes[0], kinks]), kind="stable")
        tails = [np.concatenate([c, np.zeros_like(kinks)])[order] for c in nodes[1:]]
        nodes, first = (np.concatenate([nodes[0], kinks])[order], *tails), 2
    stack: list[tuple[int, Vector]] = [(first, tuple(n[np.newaxis, :] for n in nodes))]
    while stack:
        layer, live = stack.pop()
        while layer < len(program.activations):
            with np.errstate(all="ignore"):  # overflow is found, and fails closed, where bounds are computed
                live = advance(program, layer, live, arithmetic)
            layer += 1
            count = live[0].shape[1]
            if count > block and layer < len(program.activations):
                middle = count // 2
                stack.append((layer, tuple(np.ascontiguousarray(v[:, middle:]) for v in live)))
                live = tuple(np.ascontiguousarray(v[:, : middle + 1]) for v in live)
        count = live[0].shape[1]
        for begin in range(0, max(count - 1, 1), block):
            yield tuple(v[0, begin : begin + block + 1] for v in live)


def decompose(network: Network, lower: float, upper: float) -> np.ndarray:
    """The float64 breakpoints of a piecewise linear network of one variable on [lower, upper], ends included.

    Observed, not proved: breakpoints are rounded, and kinks closer than a few units in the last place are one node.
    """
    program = Program.of(network)
    parts = list(node_blocks(program, (np.array([lower, upper], dtype=np.float64),), Float64))
    return join([parts[0], *(take(p, slice(1, None)) for p in parts[1:])])[0] if len(parts) > 1 else parts[0][0]
