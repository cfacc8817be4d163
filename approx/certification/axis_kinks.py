"""Where does a network of several variables bend along planes x_i = const? Good places to cut boxes; a guess, not a proof."""

from __future__ import annotations

import numpy as np

from approx.certification.arithmetic import Float64
from approx.certification.pieces import Program, node_blocks
from approx.networks import Block, Layer, Network, block, layer

_MOST = 100_000


def axis_kinks(network: Network, sides: list[list[float]]) -> list[np.ndarray]:
    """Per coordinate the sorted places inside the side where a unit that depends on that coordinate alone bends.

    Cost: a decomposition in one variable per coordinate. Long lists are thinned evenly.
    """
    needs = _dependence(network)
    found = []
    for i, (low, high) in enumerate(sides):
        part = _restricted(network, needs, i)
        if part is None:
            found.append(np.zeros(0))
            continue
        nodes = [b[0] for b in node_blocks(Program(part, hinges=False), (np.array([low, high]),), Float64)]
        kinks = np.unique(np.concatenate(nodes))
        kinks = kinks[(kinks > low) & (kinks < high)]
        found.append(kinks[:: 1 + len(kinks) // _MOST])
    return found


def _dependence(network: Network) -> list[np.ndarray]:
    """Per layer (inputs first) a boolean array (units, inputs): which inputs each unit can depend on."""
    needs = [np.eye(network.inputs, dtype=bool)]
    for l in network.layers:
        own = np.zeros((l.units, network.inputs), dtype=bool)
        for b in l.blocks:
            rows = np.repeat(np.arange(l.units), np.diff(b.indptr))
            for i in range(network.inputs):
                own[rows[needs[b.source][b.indices, i]], i] = True
        needs.append(own)
    return needs


def _restricted(network: Network, needs: list[np.ndarray], axis: int) -> Network | None:
    """The units that depend on this coordinate at most, as a network of one variable; None if there are none."""
    keep: list[np.ndarray] = [np.logical_not(np.delete(n, axis, axis=1).any(axis=1)) for n in needs]
    last = 0
    for k, mask in enumerate(keep[1:-1], 1):
        if needs[k][mask, axis].any():
            last = k
    if last == 0:
        return None
    layers = []
    for k in range(1, last + 1):
        if not keep[k].any():
            # An idle unit, so that the numbers of the layers stay.
            layers.append(layer("identity", [0.0], []))
            continue
        l = network.layers[k - 1]
        blocks = [_rows(b, keep[k], keep[b.source]) for b in l.blocks]
        layers.append(Layer(l.activation, layer("identity", l.bias.floats[keep[k]], []).bias, tuple(blocks)))
    return Network(1, [*layers, layer("identity", [0.0], [])])


def _rows(b: Block, rows: np.ndarray, columns: np.ndarray) -> Block:
    """The block of the kept rows; their columns are kept as well."""
    number = np.cumsum(columns) - 1
    entries = np.repeat(rows, np.diff(b.indptr))
    indptr = np.concatenate([[0], np.cumsum(np.diff(b.indptr)[rows])])
    return block(b.source, indptr, number[b.indices[entries]], b.values.floats[entries])
