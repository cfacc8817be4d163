"""How is the Kuhn interpolant on a grid written with few weights per node? Shared per-axis and prefix units, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import fmpq

from approx.networks import Block, Builder, Form, Layer, Network, block, layer
from approx.numbers import float_down, to_fmpq


@dataclass(frozen=True)
class GridAxis:
    """t = slope * x + offset maps an interval into [0, cells]; the nodes are t = 0, 1, ..., cells. Exact floats."""

    slope: float
    offset: float
    cells: int

    def node(self, i: int) -> fmpq:
        """The exact position of node i."""
        return (i - to_fmpq(self.offset)) / to_fmpq(self.slope)

    def step(self) -> fmpq:
        """The exact distance of neighbouring nodes."""
        return 1 / to_fmpq(self.slope)


def grid_axis(lower: fmpq, upper: fmpq, cells: int) -> GridAxis:
    """The GridAxis with t(lower) in [0, tiny] and t(upper) <= cells; exact (0 and cells) whenever floats allow it."""
    slope = cells / (upper - lower)
    if to_fmpq(float_down(slope)) == slope and to_fmpq(float_down(-lower * slope)) == -lower * slope:
        return GridAxis(float_down(slope), float_down(-lower * slope), cells)
    slope = slope * (1 - fmpq(1, 2**40))
    gentle = float_down(slope)
    offset = -lower * to_fmpq(gentle)
    return GridAxis(gentle, float_down(offset + fmpq(cells, 2**42)), cells)


def _chain(parts: Sequence[tuple[np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pointer, indices, values) of rows that read one entry from every part (column array, weight)."""
    columns = np.stack([p[0] for p in parts], axis=-1)
    count, width = columns.shape
    values = np.tile(np.array([p[1] for p in parts]), count)
    return np.arange(count + 1) * width, columns.ravel(), values


class _Stack:
    """Layers under construction; every group of units is known by (layer number, first unit)."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def add(self, groups: Sequence[tuple[float | np.ndarray, dict[int, list[tuple[np.ndarray, float]]]]]) -> list[int]:
        """One ReLU layer of groups (bias, {source: [(columns, weight), ...]}); returns the groups' first units."""
        sizes = [len(next(iter(sources.values()))[0][0]) for _, sources in groups]
        starts = np.concatenate(([0], np.cumsum(sizes)))
        total = int(starts[-1])
        spread = [np.broadcast_to(np.asarray(b, dtype=float), (n,)) for (b, _), n in zip(groups, sizes, strict=True)]
        bias = np.concatenate(spread)
        blocks: list[Block] = []
        for source in sorted({s for _, sources in groups for s in sources}):
            pointer = np.zeros(total + 1, dtype=np.int64)
            index, value = [], []
            for (_, sources), start, n in zip(groups, starts, sizes, strict=False):
                if source in sources:
                    width, columns, values = _chain(sources[source])
                    pointer[start + 1 : start + n + 1] = np.diff(width)
                    index.append(columns)
                    value.append(values)
            blocks.append(block(source, np.cumsum(pointer), np.concatenate(index), np.concatenate(value)))
        self.layers.append(layer("relu", bias, blocks))
        return starts[:-1].tolist()


def kuhn_network(axes: Sequence[GridAxis], values: np.ndarray) -> Network:
    """The Network that equals the Kuhn (Freudenthal) interpolant of `values` (shape cells + 1 per axis) on the grid.

    Cost: d = 2: 4 weights per node, d >= 3: 8 weights per node, plus lower-dimensional grids. d >= 2.
    With u = t - node: the spike is 1 - max(0, u_1, ..) - max(0, -u_1, ..) where positive; for d = 2 that is half of
    relu(tent(u_1) + tent(u_2) + tent(u_1 - u_2) - 1), derived here. Exact in exact arithmetic. O(nodes) numpy work.
    """
    return _planar(axes, values) if len(axes) == 2 else _spatial(axes, values)


def _output(layers: list[Layer], inputs: int, weights: np.ndarray) -> Network:
    last = block(len(layers), [0, len(weights)], np.arange(len(weights)), weights)
    return Network(inputs, [*layers, layer("identity", [0.0], [last])])


def _planar(axes: Sequence[GridAxis], values: np.ndarray) -> Network:
    stack = _Stack()
    (sx, ox, nx), (sy, oy, ny) = ((a.slope, a.offset, a.cells) for a in axes)
    i, j, k = np.arange(nx + 1), np.arange(ny + 1), np.arange(-ny, nx + 1)
    zero = np.zeros
    groups = []
    for sign in (1.0, -1.0):
        groups.append((sign * (ox - i), {0: [(zero(nx + 1, dtype=int), sign * sx)]}))
        groups.append((sign * (oy - j), {0: [(zero(ny + 1, dtype=int) + 1, sign * sy)]}))
        both = [(zero(len(k), dtype=int), sign * sx), (zero(len(k), dtype=int) + 1, -sign * sy)]
        groups.append((sign * ((ox - oy) - k), {0: both}))
    at = stack.add(groups)
    tents = []
    for g, size in enumerate((nx + 1, ny + 1, len(k))):
        unit = np.arange(size)
        tents.append((1.0, {1: [(at[g] + unit, -1.0), (at[g + 3] + unit, -1.0)]}))
    tx, ty, td = stack.add(tents)
    stack.add([(1.0, {2: [(td + np.arange(len(k)), -1.0)]})])
    gi, gj = (g.ravel() for g in np.meshgrid(i, j, indexing="ij"))
    stack.add([(0.0, {2: [(tx + gi, 1.0), (ty + gj, 1.0)], 3: [(gi - gj + ny, -1.0)]})])
    return _output(stack.layers, 2, values.ravel() / 2)


def _spatial(axes: Sequence[GridAxis], values: np.ndarray) -> Network:
    stack, d = _Stack(), len(axes)
    groups = []
    for sign in (1.0, -1.0):
        for axis, a in enumerate(axes):
            node = np.arange(a.cells + 1)
            groups.append((sign * (a.offset - node), {0: [(np.full(len(node), axis), sign * a.slope)]}))
    at = stack.add(groups)
    plus, minus = at[:d], at[d:]
    where = [(1, plus[0], minus[0])]  # (layer, first unit of max(0, u_1..u_k), of max(0, -u_1..-u_k)) over prefixes
    shape = [axes[0].cells + 1]
    for k in range(1, d - 1):
        source, p, m = where[-1]
        prefix, node = _grid(int(np.prod(shape)), axes[k].cells + 1)
        shape.append(axes[k].cells + 1)
        pair = stack.add([(0.0, _merge((1, first + node, 1.0), (source, old + prefix, -1.0)))
                          for first, old in ((plus[k], p), (minus[k], m))])  # fmt: skip
        here = len(stack.layers)
        size = np.arange(len(prefix))
        both = stack.add([(0.0, _merge((source, old + prefix, 1.0), (here, new + size, 1.0)))
                          for new, old in zip(pair, (p, m), strict=True)])  # fmt: skip
        where.append((here + 1, both[0], both[1]))
    source, p, m = where[-1]
    count = int(np.prod(shape))
    every = np.arange(count)
    prefix, node = _grid(count, axes[-1].cells + 1)
    excess = [(0.0, _merge((1, first + node, 1.0), (source, old + prefix, -1.0)))
              for first, old in ((plus[-1], p), (minus[-1], m))]  # fmt: skip
    core = (1.0, {source: [(p + every, -1.0), (m + every, -1.0)]})
    first, second, third = stack.add([*excess, core])
    here, full = len(stack.layers), np.arange(len(prefix))
    stack.add([(0.0, {here: [(third + prefix, 1.0), (first + full, -1.0), (second + full, -1.0)]})])
    return _output(stack.layers, d, values.ravel())


def _grid(prefixes: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(prefixes), nodes), np.tile(np.arange(nodes), prefixes)


def _merge(*entries: tuple[int, np.ndarray, float]) -> dict[int, list[tuple[np.ndarray, float]]]:
    found: dict[int, list[tuple[np.ndarray, float]]] = {}
    for source, columns, weight in entries:
        found.setdefault(source, []).append((columns, weight))
    return found


def paper_spike(b: Builder, u: Sequence[Form]) -> Form:
    """The form of phi(u) = relu(min(min_{k != l} 1 + u_k - u_l, min_k 1 + u_k, min_k 1 - u_k)), a balanced tree of minima.

    Source: P18 Proposition 1. Cost: d(d+1) - 1 minima of forms; meant for small grids and checks.
    """
    points = [Form(), *u]
    row = [1 + p - q for i, p in enumerate(points) for j, q in enumerate(points) if i != j]
    while len(row) > 1:
        pairs = [a - b.relu(a - c) for a, c in zip(row[::2], row[1::2], strict=False)]
        row = pairs + row[2 * len(pairs) :]
    return b.relu(row[0])
