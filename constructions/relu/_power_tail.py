"""Which polynomial of coordinates, weights and coefficient functions do layers of max(t, 0)^p compute? Exactly, or refused.

The layers behind the cells of a power-taylor network read units max(s + B + j, 0)^p of the local coordinates s, |s| <= B
(`REACH`), units max(w + j, 0)^p of the blending weights w in [0, 1], and rows over the cells' indicators (in one variable, over
the staircases of a family). Where no argument of a unit changes its sign, every unit is the p-th power of a polynomial, and
the output is a polynomial: here it is computed in exact rational arithmetic, in the variables S = s/B, v = 2 w - 1 and one for
every row, all in [-1, 1]. The constant term of an argument less the absolute values of its other coefficients shows that it is
not negative. Source: derived.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from flint import Ordering, fmpq, fmpq_mpoly_ctx

from approx.networks import Block, Layer, Network
from approx.numbers import to_fmpq
from constructions.relu._cell_grid import REACH, Front

#: Powers that may have more terms are not computed.
MOST_TERMS = 600_000


class Row(NamedTuple):
    """sum of weights * indicators = middle + room * (a number in [-1, 1]) everywhere in the domain."""

    columns: np.ndarray
    weights: np.ndarray
    middle: fmpq
    room: fmpq


class Tail:
    """`value`: the output as a polynomial in the variables; `rows`: the distinct rows over the indicators that it reads.

    `coordinate[k][p]`, `weight[k]`, `row[i]` are the places of the variables in the exponents; the variable of a row is
    (row - middle)/room. Raises ValueError where the layers are not of this kind.
    """

    def __init__(self, network: Network, stand: Front) -> None:
        self._stand, self._pool, self._base = stand, network.pool, len(stand.layers)
        layers = network.layers[self._base :]
        self._of_row: list[list[list[int]]] = []
        self.rows: list[Row] = []
        self._gather(layers)
        self._name()
        self.value = self._output(layers)

    def _gather(self, layers: tuple[Layer, ...]) -> None:
        """The distinct rows over the indicators, and which of them every unit of every layer reads."""
        known: dict[tuple[bytes, bytes], int] = {}
        for layer in layers:
            found: list[list[int]] = [[] for _ in range(layer.units)]
            for b in layer.blocks:
                if b.source != self._stand.indicators:
                    continue
                if b.values.ids is not None:
                    raise ValueError("weights of indicators that are no float64 numbers")
                for unit, (start, stop) in enumerate(itertools.pairwise(b.indptr.tolist())):
                    if stop > start:
                        columns, weights = b.indices[start:stop], b.values.floats[start:stop]
                        key = columns.tobytes(), weights.tobytes()
                        if key not in known:
                            known[key] = len(self.rows)
                            self.rows.append(Row(columns, weights, *_range(columns, weights, len(self._stand.weight))))
                        found[unit].append(known[key])
            self._of_row.append(found)

    def _name(self) -> None:
        d = len(self._stand.weight)
        self.coordinate = [[2 * k, 2 * k + 1] for k in range(d)]
        self.weight = [2 * d + k for k in range(d)]
        self.row = [3 * d + i for i in range(len(self.rows))]
        names = [f"u{i}" for i in range(3 * d + len(self.rows))]
        self._context = fmpq_mpoly_ctx.get(names, Ordering.lex)
        self._gens = self._context.gens()

    def _read(self) -> dict[int, Any]:
        """The polynomials of the units of the layer of coordinates, by their numbers."""
        found, power = {}, self._stand.power
        for k in range(len(self._stand.weight)):
            for p, place in enumerate(self._stand.local[k]):
                if place is not None:
                    for j in range(power):
                        found[place + j] = (REACH * self._gens[self.coordinate[k][p]] + REACH + j) ** power
            first = self._stand.weight[k]
            if first is not None:
                for j in range(power):
                    found[first + j] = (self._gens[self.weight[k]] / 2 + fmpq(1, 2) + j) ** power
        return found

    def _output(self, layers: tuple[Layer, ...]) -> Any:
        units: dict[int, dict[int, Any]] = {self._stand.reading: self._read()}
        value: Any = None
        for number, layer in enumerate(layers):
            units[self._base + number + 1] = {}
            for unit, argument in enumerate(self._arguments(number, layer, units)):
                value = argument if layer.activation == "identity" else self._power(argument)
                units[self._base + number + 1][unit] = value
        return value

    def _arguments(self, number: int, layer: Layer, units: dict[int, dict[int, Any]]) -> list[Any]:
        arguments = [self._context.constant(c) for c in layer.bias.exact(self._pool)]
        for unit, read in enumerate(self._of_row[number]):
            for i in read:
                arguments[unit] += self.rows[i].room * self._gens[self.row[i]] + self.rows[i].middle
        for b in layer.blocks:
            if b.source != self._stand.indicators:
                _add(arguments, b, units.get(b.source, {}), self._pool)
        return arguments

    def _power(self, argument: Any) -> Any:
        coefficients = argument.to_dict()
        constant = coefficients.pop((0,) * len(self._gens), fmpq(0))
        if constant < sum((abs(c) for c in coefficients.values()), fmpq(0)):
            raise ValueError("a unit may change its sign")
        if math.comb(len(coefficients) + self._stand.power, self._stand.power) > MOST_TERMS:
            raise ValueError("too many terms")
        return argument**self._stand.power


def _range(columns: np.ndarray, weights: np.ndarray, dimension: int) -> tuple[fmpq, fmpq]:
    """(middle, room) of a row over one family: in one variable, of staircases that fall from 1 to 0 one after the other."""
    if dimension > 1:  # at most 2^d indicators of a family are positive at a time, each at most 1
        return fmpq(0), 2**dimension * to_fmpq(float(np.abs(weights).max()))
    if (np.diff(columns) <= 0).any():
        raise ValueError("staircases out of order")
    ends = np.cumsum(weights[::-1])
    slack = len(ends) * 2.0**-52 * float(np.abs(weights).sum())
    low, high = to_fmpq(min(0.0, float(ends.min())) - slack), to_fmpq(max(0.0, float(ends.max())) + slack)
    return (low + high) / 2, (high - low) / 2


def _add(arguments: list[Any], b: Block, sources: dict[int, Any], pool: Any) -> None:
    weights, columns = b.values.exact(pool), b.indices.tolist()
    for unit, (start, stop) in enumerate(itertools.pairwise(b.indptr.tolist())):
        for j in range(start, stop):
            if columns[j] not in sources:
                raise ValueError("a unit reads what is no number that is held")
            arguments[unit] += weights[j] * sources[columns[j]]
