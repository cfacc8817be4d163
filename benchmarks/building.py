"""How many weights per second do the ways of building a network write?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from workloads import median_seconds, narrow, patches

from approx import Approximant, Target
from approx.evaluation.fused import kernel
from approx.evaluation.plan import make_plan
from approx.networks import Builder, Network, load_network, save_network
from constructions import relu


def table() -> list[tuple[str, ...]]:
    """Rows: what is done, weights, seconds (median), weights per second.

    "construct" is a whole construction with its proofs, by name and by what writes most of its weights; "unit by unit" writes
    the network that it gave once more with a Builder, from exact rows to finished layers.
    """
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
    for name, make in _constructions().items():
        network = make().network
        add(f"construct: {name}", network.size.weights, median_seconds(make, 3))
        add(f"unit by unit: {name}", network.size.weights, median_seconds(lambda: _unit_by_unit(network), 3))  # noqa: B023
    return rows


def _constructions() -> dict[str, Callable[[], Approximant]]:
    """The constructions that give the largest networks, those written by arrays first."""
    sine, plane = Target("sin(2*pi*x)", domain=(0, 1)), Target("exp(-(x**2+y**2))", domain=[(0, 1), (0, 1)])
    return {
        "local-taylor, arrays": lambda: relu.local_taylor(plane, 1.5e-6, order=2),
        "simplicial, arrays": lambda: relu.simplicial(plane, 1, cells=500),
        "piecewise-linear, arrays": lambda: relu.piecewise_linear(sine, 4.1e-11, two_sided=False),
        "simplicial, paper form, Builder": lambda: relu.simplicial(plane, 1, cells=120, form="paper"),
        "local-taylor, paper form, Builder": lambda: relu.local_taylor(plane, 0.15, order=3, form="paper"),
        "cached-patches, Builder": lambda: relu.cached_patches(sine, 3e-5),
        "hoelder-two-scale, Builder": lambda: relu.hoelder_two_scale(sine, 1e-12),
        "cached-narrow, Builder": lambda: relu.cached_narrow(sine, 1e-3),
    }


def _unit_by_unit(network: Network) -> Network:
    b = Builder(network.inputs)
    return b.build(b.embed(network, [b.input(i) for i in range(network.inputs)]))


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
