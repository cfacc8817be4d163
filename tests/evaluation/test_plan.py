"""Does a plan compute the network with few slots, and would a slot that is given back too early be seen?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from approx.evaluation import evaluate, plan
from approx.networks import Builder, Network, block, dense_block, identity, layer
from approx.networks.samples import random_network


def interpret(p: plan.Plan, point: np.ndarray) -> np.ndarray:
    """Plain Python meaning of a plan; slots that were never written hold NaN."""
    functions: list[Any] = [lambda t: t, lambda t: max(t, 0.0), abs, np.floor]
    slots = np.full(p.slots, np.nan)
    slots[: len(point)] = point
    for o, target in enumerate(p.target):
        act = int(p.code[o])
        total = slots[target] if act >= plan.CONTINUES else p.bias[o]
        for k in range(p.first[o], p.first[o + 1]):
            total = total + p.weight[k] * slots[p.source[k]]
        slots[target] = functions[act % plan.CONTINUES](total)
    return slots[p.outputs]


def cells(count: int, depth: int = 6, sums: int = 1) -> Network:
    """`count` independent chains of two units; each of `sums` units adds them all, and the output adds those units."""
    rng = np.random.default_rng(0)
    layers = [
        layer(
            "relu",
            rng.normal(size=2 * count),
            [block(0, np.arange(2 * count + 1), [0] * (2 * count), rng.normal(size=2 * count))],
        )
    ]
    for k in range(1, depth):
        columns = (np.repeat(np.arange(count) * 2, 4) + np.tile([0, 1, 0, 1], count)).tolist()
        blocks = [block(k, np.arange(2 * count + 1) * 2, columns, rng.normal(size=4 * count))]
        layers.append(layer("relu", rng.normal(size=2 * count), blocks))
    layers.append(layer("abs", np.zeros(sums), [dense_block(depth, rng.normal(size=(sums, 2 * count)))]))
    return Network(1, [*layers, layer("identity", [0.0], [dense_block(depth + 1, np.ones((1, sums)))])])


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_computes_the_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(
        rng, inputs=2, outputs=2, hidden_layers=seed % 6, width=12, activations=("relu", "abs", "identity", "floor")
    )
    p = plan.make_plan(network.flat, plan)
    for point in rng.normal(size=(3, 2)):
        assert interpret(p, point).tolist() == evaluate(network, point[None], "numpy")[0].tolist()


def test_a_long_sum_keeps_one_cell_alive() -> None:
    p = plan.make_plan(cells(500).flat, plan)
    assert p.schedule == "depth first" and p.slots < 15
    assert walked(cells(500), patience=10**9) > 500  # without patience all 500 wait
    assert (p.code >= plan.CONTINUES).any()


def walked(network: Network, patience: int = plan.PATIENCE, long: int = plan.LONG) -> int:
    """The number of slots after a depth-first walk."""
    flat = network.flat
    live = plan.live_rows(flat.indptr, flat.indices, flat.inputs, flat.outputs)
    records = plan.depth_first(flat.indptr, flat.indices, flat.inputs, live, flat.outputs, patience, long)
    return plan.assign_slots(records, flat.indices, flat.inputs, len(flat.bias), flat.outputs)[1]


def test_long_sums_over_the_same_cells_run_side_by_side() -> None:
    network = cells(500, sums=5)
    p = plan.make_plan(network.flat, plan)
    assert p.schedule == "depth first" and p.slots < 20
    assert walked(network, long=10**9) > 500  # one sum after the other keeps all 500
    for point in np.random.default_rng(0).normal(size=(3, 1)):
        assert interpret(p, point).tolist() == evaluate(network, point[None], "numpy").tolist()


def test_a_long_sum_that_nobody_reads_is_not_computed() -> None:
    network = cells(100, sums=2)
    last = layer("identity", [0.0], [dense_block(7, [[1.0, 0.0]])])
    p = plan.make_plan(Network(1, [*network.layers[:-1], last]).flat, plan)
    assert len(p.source) == len(network.flat.values) - 200 - 1


def test_a_deep_chain_needs_slots_for_two_layers() -> None:
    assert plan.make_plan(identity(2, 300).flat, plan).slots <= 8


def test_dead_units_are_not_computed() -> None:
    hidden = layer("relu", [1.0, 2.0, 3.0], [dense_block(0, [[1.0], [1.0], [1.0]])])
    network = Network(1, [hidden, layer("identity", [0.0], [block(1, [0, 1], [1], [1.0])])])
    assert len(plan.make_plan(network.flat, plan).target) == 2


def test_a_slot_given_back_too_early_is_seen() -> None:
    # Planted fault: the last reader of every unit is forgotten once, so a slot is overwritten while it is needed.
    network = random_network(np.random.default_rng(1), inputs=2, hidden_layers=4, width=10)
    p = plan.make_plan(network.flat, plan)
    wrong = 0
    for slot in range(p.slots):
        target = p.target.copy()
        target[len(target) // 2] = slot
        broken = p._replace(target=target)
        point = np.array([0.3, -0.7])
        found = interpret(broken, point)
        wrong += bool(found[0] != network(point[None])[0])
    assert wrong > p.slots // 2


def test_an_output_may_be_read_by_nobody_and_read_nothing() -> None:
    b = Builder(1)
    net = b.build([b.input(), b.input() * 0 + 3])
    p = plan.make_plan(net.flat, plan)
    assert interpret(p, np.array([2.0])).tolist() == [2.0, 3.0]
