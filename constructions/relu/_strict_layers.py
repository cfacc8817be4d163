"""How is a network written in which every layer reads the layer before it, and nothing else? Named channels, exact weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Network, block, layer
from approx.networks.assembly import finite_float
from approx.numbers import exact_scalar

#: bias and weights of one unit, the latter by the names of channels of the layer before
Unit = tuple[Any, Mapping[str, Any]]
INPUT = "input"


def input_name(axis: int) -> str:
    """The channel of an input."""
    return f"{INPUT}{axis}" if axis else INPUT


class StrictLayers:
    """Writes the standard fully-connected form layer by layer: no skips, since a unit can only name channels of the last layer.

    A number that must survive is carried by a unit max(t, 0) of its own, so it has to be non-negative. The inputs are the
    channels "input", "input1", "input2" of layer 0.
    """

    def __init__(self, inputs: int = 1) -> None:
        self._inputs = inputs
        self._layers: list[Any] = []
        self._place = {input_name(k): k for k in range(inputs)}
        self._pool: dict[Any, int] = {fmpq(0): 0}

    def relu(self, **units: Unit) -> None:
        """Add a layer with these channels."""
        self._add("relu", units)

    def output(self, bias: Any, weights: Mapping[str, Any]) -> Network:
        """The Network of one output."""
        self._add("identity", {"output": (bias, weights)})
        return Network(self._inputs, self._layers, list(self._pool))

    def _add(self, activation: str, units: Mapping[str, Unit]) -> None:
        columns, weights, counts, biases = [], [], [0], []
        for bias, terms in units.values():
            row = sorted((self._place[name], exact_scalar(w)) for name, w in terms.items())
            row = [(column, w) for column, w in row if w != 0]
            columns += [column for column, _ in row]
            weights += [w for _, w in row]
            counts.append(len(row))
            biases.append(exact_scalar(bias))
        floats, ids = self._values(weights)
        read = block(len(self._layers), np.cumsum(counts), columns, floats, ids)
        floats, ids = self._values(biases)
        self._layers.append(layer(activation, floats, [read], ids))
        self._place = {name: i for i, name in enumerate(units)}

    def _values(self, exact: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        ids = [self._pool.setdefault(v, len(self._pool)) for v in exact]
        return np.array([finite_float(v) for v in exact], dtype=np.float64), np.array(ids, dtype=np.int32)
