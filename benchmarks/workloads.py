"""Which networks are measured, and how is a median taken?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from approx.networks import Block, Network, block, dense_block, layer


def median_seconds(function: Callable[[], Any], repeats: int = 5) -> float:
    """The median wall time of `repeats` calls, after one call that does not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def sparse_rows(rng: np.random.Generator, source: int, tiles: int, units: int, width: int, entries: int) -> Block:
    """A block-diagonal matrix of `tiles` blocks (units, width), every row with the same number of entries."""
    scores = rng.random((tiles * units, width))
    columns = np.sort(np.argpartition(scores, entries - 1, axis=1)[:, :entries], axis=1)
    columns = columns + np.repeat(np.arange(tiles) * width, units)[:, None]
    values = rng.normal(size=tiles * units * entries) / np.sqrt(entries / 2)
    return block(source, np.arange(tiles * units + 1) * entries, columns.ravel(), values)


def narrow(width: int = 14, depth: int = 1000, entries: int = 3) -> Network:
    """A very deep and narrow ReLU network, the shape of square chains."""
    rng = np.random.default_rng(1)
    layers = [layer("relu", rng.normal(size=width) / 10, [dense_block(0, rng.normal(size=(width, 1)))])]
    for k in range(1, depth):
        layers.append(layer("relu", rng.normal(size=width) / 10, [sparse_rows(rng, k, 1, width, width, entries)]))
    layers.append(layer("identity", [0.1], [dense_block(depth, rng.normal(size=(1, width)))]))
    return Network(1, layers)


def patches(weights: int, depth: int = 12, units: int = 6, entries: int = 3) -> Network:
    """A wide sparse network of two inputs, the shape of local Taylor approximation: independent deep cells, one sum."""
    rng = np.random.default_rng(2)
    cells = max(1, weights // (units * (2 + (entries + 1) * (depth - 1) + 1)))
    first = block(0, np.arange(cells * units + 1), rng.integers(0, 2, cells * units), rng.normal(size=cells * units))
    layers = [layer("relu", rng.normal(size=cells * units), [first])]
    for k in range(1, depth):
        bias = rng.normal(size=cells * units) / 10
        layers.append(layer("relu", bias, [sparse_rows(rng, k, cells, units, units, entries)]))
    layers.append(layer("identity", [0.1], [dense_block(depth, rng.normal(size=(1, cells * units)))]))
    return Network(2, layers)


def local_taylor_network(form: str, eps: float, order: int) -> Network:
    """A local Taylor network of exp(-(x^2+y^2)) on the unit square, about 1e5 weights for (paper, 0.3, 3)."""
    from approx import Target
    from constructions.relu.local_taylor import local_taylor

    target = Target("exp(-(x**2+y**2))", domain=[(0, 1), (0, 1)])
    options = {} if form == "paper" else {"proved": False}
    return local_taylor(target, eps, order=order, form=form, **options).network
