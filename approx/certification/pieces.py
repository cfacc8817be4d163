"""Where the pieces of a ReLU network of one variable are: nodes between which the network is affine, up to rounding.

The nodes are a guess as good as the arithmetic: nothing is proved here. `approx.certification.forward` bounds how far
the network may be from the chords between whatever nodes it is given.

Method: follow all units along a sorted array of nodes, layer by layer; where the input of a ReLU changes its sign
between two nodes, its root becomes a node. Cost O(weights * nodes). When a block of nodes outgrows the cache it is
cut in two, and the halves go on from the same state, so memory stays small for any number of pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from approx.certification.arithmetic import Arithmetic, Float64, Vector, join, take
from approx.errors import UnsupportedError
from approx.networks import PIECEWISE_LINEAR, Network
from approx.numbers import to_float, to_fmpq

#: Nodes per block; about half a level-2 cache for the few live units of a narrow network.
BLOCK = 8192


@dataclass(frozen=True)
class Row:
    """One unit: its bias and terms as (column in the source layer, hi, lo) with weight = hi + lo up to 2^-106."""

    bias: tuple[float, float]
    terms: tuple[tuple[int, int, float, float], ...]


class Program:
    """A piecewise-linear network prepared for following it along nodes. Raises UnsupportedError on other activations."""

    def __init__(self, network: Network) -> None:
        if not network.tags["piecewise_linear"]:
            names = ", ".join(sorted(network.activations - PIECEWISE_LINEAR))
            raise UnsupportedError(
                f"exact decomposition into pieces needs a piecewise linear network; this one has {names}"
            )
        self.network = network
        self.inputs = network.inputs
        self.activations = [l.activation for l in network.layers]
        self.last_use = [0] * (len(network.layers) + 1)
        for k, l in enumerate(network.layers, 1):
            for b in l.blocks:
                self.last_use[b.source] = max(self.last_use[b.source], k)

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
            ]
            for l in self.network.layers
        ]

    @cached_property
    def rows(self) -> list[list[Row]]:
        """Per layer the units with double-double weights."""
        pool = [_split(p) for p in self.network.pool]
        table = []
        for l in self.network.layers:
            bias = _pairs(l.bias, pool)
            terms: list[list[tuple[int, int, float, float]]] = [[] for _ in range(l.units)]
            for b in l.blocks:
                pairs, cols = _pairs(b.values, pool), b.indices.tolist()
                for i in range(l.units):
                    terms[i].extend(
                        (b.source, cols[j], *pairs[j]) for j in range(int(b.indptr[i]), int(b.indptr[i + 1]))
                    )
            table.append([Row(c, tuple(t)) for c, t in zip(bias, terms, strict=True)])
        return table

    @cached_property
    def dense(self) -> list[bool]:
        """Per layer whether its rows are long, so that matrix products pay and error-free sums do not."""
        return [l.weights > 24 * l.units for l in self.network.layers]


def _pairs(values: object, pool: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if values.ids is None:  # type: ignore[attr-defined]
        return [(v, 0.0) for v in values.floats.tolist()]  # type: ignore[attr-defined]
    return [pool[i] for i in values.ids.tolist()]  # type: ignore[attr-defined]


def _split(value: object) -> tuple[float, float]:
    exact = to_fmpq(value)
    hi = to_float(exact)
    return hi, to_float(exact - to_fmpq(hi))


def node_blocks(program: Program, nodes: Vector, arithmetic: Arithmetic, block: int = BLOCK) -> Iterator[Vector]:
    """Sorted node arrays covering [nodes[0], nodes[-1]], consecutive blocks sharing their end node.

    Between neighbouring nodes the network is affine up to the rounding of the nodes. Yields as it goes, so that
    callers can stop early.
    """
    start: dict[int, Vector] = {0: tuple(n[np.newaxis, :] for n in nodes)}
    stack = [(1, start)]
    while stack:
        layer, live = stack.pop()
        while layer < len(program.activations):
            live = _advance(program, layer, live, arithmetic)
            layer += 1
            count = live[0][0].shape[-1]
            if count > block and layer < len(program.activations):
                middle = count // 2
                stack.append((layer, {k: take(v, slice(middle, None)) for k, v in live.items()}))
                live = {k: take(v, slice(None, middle + 1)) for k, v in live.items()}
        yield tuple(n[0] for n in live[0])


def _advance(program: Program, layer: int, live: dict[int, Vector], arithmetic: Arithmetic) -> dict[int, Vector]:
    """The live values after one hidden layer, with the nodes that its ReLUs add."""
    z = _affine(program, layer, live, arithmetic)
    activation = program.activations[layer - 1]
    if activation != "identity":
        unit, left = np.nonzero(_sign_changes(z[0]))
        if len(left):
            at = (z[0][unit, left], z[0][unit, left + 1]), (z[-1][unit, left], z[-1][unit, left + 1])
            components = slice(0, len(z))
            fraction = arithmetic.root(tuple(c[0] for c in at[components]), tuple(c[1] for c in at[components]))
            live, z = _insert(live, z, unit, left, fraction, arithmetic)
        positive = z[0] > 0
        z = tuple(np.where(positive, c, -c if activation == "abs" else 0.0) for c in z)
    live = {k: v for k, v in live.items() if program.last_use[k] > layer or k == 0}
    if program.last_use[layer] > layer:
        live[layer] = z
    return live


def _sign_changes(z: np.ndarray) -> np.ndarray:
    left, right = z[:, :-1], z[:, 1:]
    return ((left > 0) & (right < 0)) | ((left < 0) & (right > 0))


def _insert(
    live: dict[int, Vector], z: Vector, unit: np.ndarray, left: np.ndarray, fraction: Vector, arithmetic: Arithmetic
) -> tuple[dict[int, Vector], Vector]:
    x = tuple(c[0] for c in live[0])
    width = x[0][left + 1] - x[0][left]
    # A root within rounding of an existing node adds nothing that the nodes can resolve.
    smallest = 4 * arithmetic.resolution * np.maximum(np.abs(x[0][left]), np.abs(x[0][left + 1]))
    keep = (fraction[0] * width > smallest) & ((1 - fraction[0]) * width > smallest)
    unit, left, fraction = unit[keep], left[keep], take(fraction, keep)
    order = np.lexsort((fraction[0], left))
    unit, left, fraction = unit[order], left[order], take(fraction, order)
    distinct = np.ones(len(left), dtype=bool)
    distinct[1:] = (np.diff(left) > 0) | (
        np.diff(fraction[0]) * (x[0][left + 1] - x[0][left])[1:] > smallest.max(initial=0)
    )
    unit, left, fraction = unit[distinct], left[distinct], take(fraction, distinct)
    count = len(x[0])
    place = np.arange(len(left)) + left + 1
    old = np.ones(count + len(left), dtype=bool)
    old[place] = False

    def grow(value: Vector) -> Vector:
        new = arithmetic.interpolate(value, left, fraction)
        result = []
        for c, n in zip(value, new, strict=True):
            out = np.empty((*c.shape[:-1], len(old)))
            out[..., old], out[..., place] = c, n
            result.append(out)
        return tuple(result)

    grown = grow(z)
    for c in grown:
        c[unit, place] = 0.0
    return {k: grow(v) for k, v in live.items()}, grown


def _affine(program: Program, layer: int, live: dict[int, Vector], arithmetic: Arithmetic) -> Vector:
    if arithmetic is Float64:
        total = np.repeat(program.network.layers[layer - 1].bias.floats[:, np.newaxis], live[0][0].shape[-1], axis=1)
        for source, matrix in program.matrices[layer - 1]:
            total += matrix @ live[source][0]
        return (total,)
    count = live[0][0].shape[-1]
    ignored = np.zeros(count)
    units = []
    for row in program.rows[layer - 1]:
        value = arithmetic.constant(*row.bias, count)
        for source, column, hi, lo in row.terms:
            value = arithmetic.add_product(value, hi, lo, tuple(c[column] for c in live[source]), ignored)
        units.append(tuple(c[np.newaxis] for c in value))
    return tuple(np.concatenate([u[i] for u in units]) for i in range(len(units[0])))


def decompose(network: Network, lower: float, upper: float) -> np.ndarray:
    """The float64 breakpoints of a piecewise linear network of one variable on [lower, upper], ends included.

    Observed, not proved: breakpoints are rounded, and kinks closer than a few units in the last place are one node.
    """
    program = Program(network)
    parts = list(node_blocks(program, (np.array([lower, upper], dtype=np.float64),), Float64))
    return join([parts[0], *(take(p, slice(1, None)) for p in parts[1:])])[0] if len(parts) > 1 else parts[0][0]
