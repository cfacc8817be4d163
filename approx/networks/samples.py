"""Which networks put a program that takes networks to the test? Random ones: skips, empty rows, any scale, exact rationals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flint import fmpq

from approx.networks.layers import Block, Layer, block, layer
from approx.networks.network import Network
from approx.numbers import to_float


def random_network(
    rng: np.random.Generator,
    inputs: int = 1,
    outputs: int = 1,
    hidden_layers: int = 3,
    width: int = 6,
    *,
    activations: Sequence[str] = ("relu",),
    density: float = 0.6,
    skips: float = 0.3,
    exponents: float = 0.0,
    rationals: bool = False,
) -> Network:
    """Return a network drawn from `rng`, the same one for the same state of the generator.

    Layers have 1 to `width` units; each reads the layer before it, and every earlier one with probability `skips`, through
    blocks of the given density (rows without entries occur). Weights are normal, times 2^e with e uniform in
    [-exponents, exponents]; with `rationals` they are fractions p/q instead, kept in a pool. Cost O(weights).

    >>> random_network(np.random.default_rng(0), hidden_layers=2, width=3).outputs
    1
    """
    widths, layers = [inputs], []
    pool: dict[fmpq, int] = {fmpq(0): 0}
    for k in range(1, hidden_layers + 2):
        last = k == hidden_layers + 1
        units = outputs if last else int(rng.integers(1, width + 1))
        sources = [s for s in range(k) if s == k - 1 or rng.random() < skips]
        blocks = [
            _random_block(rng, s, units, widths[s], density, exponents, pool if rationals else None) for s in sources
        ]
        bias, ids = _random_values(rng, units, exponents, pool if rationals else None)
        kept = rng.random(units) < 0.8
        ids = None if ids is None else np.where(kept, ids, 0)
        layers.append(_layer(rng, last, activations, np.where(kept, bias, 0.0), ids, blocks))
        widths.append(units)
    return Network(inputs, layers, tuple(pool) if rationals else ())


def _layer(
    rng: np.random.Generator,
    last: bool,
    activations: Sequence[str],
    bias: np.ndarray,
    ids: np.ndarray | None,
    blocks: list[Block],
) -> Layer:
    name = "identity" if last else activations[int(rng.integers(len(activations)))]
    return layer(name, bias, blocks, ids)


def _random_block(
    rng: np.random.Generator,
    source: int,
    units: int,
    width: int,
    density: float,
    exponents: float,
    pool: dict[fmpq, int] | None,
) -> Block:
    present = rng.random((units, width)) < density
    indptr = np.concatenate(([0], np.cumsum(present.sum(axis=1))))
    values, ids = _random_values(rng, int(indptr[-1]), exponents, pool)
    return block(source, indptr, np.nonzero(present)[1], values, ids)


def _random_values(
    rng: np.random.Generator, count: int, exponents: float, pool: dict[fmpq, int] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if pool is None:
        return rng.normal(size=count) * 2.0 ** rng.uniform(-exponents, exponents, size=count), None
    exact = [
        fmpq(int(p), int(q)) for p, q in zip(rng.integers(-30, 31, count), rng.integers(1, 31, count), strict=True)
    ]
    ids = np.array([pool.setdefault(v, len(pool)) for v in exact], dtype=np.int32)
    return np.array([to_float(v) for v in exact], dtype=np.float64), ids
