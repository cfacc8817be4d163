"""How many weights per second do the ways of building a network write?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from workloads import median_seconds, narrow, patches

from approx.evaluation.fused import kernel
from approx.evaluation.plan import make_plan
from approx.networks import Builder, Network, load_network, save_network


def table() -> list[tuple[str, ...]]:
    """Rows: what is done, weights, seconds (median), weights per second."""
    rows: list[tuple[str, ...]] = [("step", "weights", "seconds", "weights/s")]

    def add(name: str, weights: int, seconds: float) -> None:
        rows.append((name, f"{weights:,}", f"{seconds:.3g}", f"{weights / seconds:.3g}"))

    wide, deep = patches(1_000_000), narrow(depth=10_000)
    add("arrays to layers, wide", wide.size.weights, median_seconds(lambda: Network(2, _rebuilt(wide)), 3))
    add("arrays to layers, 10^4 layers", deep.size.weights, median_seconds(lambda: Network(1, _rebuilt(deep)), 3))
    add("builder, tent chain", 5 * 20_000, median_seconds(lambda: _chain(20_000), 3))
    for name, network in (("wide", wide), ("10^4 layers", deep)):
        weights = network.size.weights
        add(f"exact size, {name}", weights, median_seconds(lambda: Network(network.inputs, network.layers).size, 3))  # noqa: B023
        add(f"flat form, {name}", weights, median_seconds(lambda: Network(network.inputs, network.layers).flat, 3))  # noqa: B023
        if (steps := kernel()) is not None:
            flat = network.flat
            add(f"plan, {name}", weights, median_seconds(lambda: make_plan(flat, steps), 3))  # noqa: B023
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.approx"
        add("save, wide", wide.size.weights, median_seconds(lambda: save_network(wide, path), 3))
        add("load, wide", wide.size.weights, median_seconds(lambda: load_network(path), 3))
    return rows


def _rebuilt(network: Network) -> list:
    from approx.networks import block, layer

    return [
        layer(l.activation, l.bias.floats, [block(b.source, b.indptr, b.indices, b.values.floats) for b in l.blocks])
        for l in network.layers
    ]


def _chain(depth: int) -> Network:
    b = Builder(1)
    form = b.input()
    for _ in range(depth):
        form = 2 * b.relu(form) - 4 * b.relu(form - 0.5)
    return b.build([form])
