"""How far apart are the weights of two networks? The largest difference of a weight, where one architecture holds both."""

from __future__ import annotations

import math

import numpy as np

from approx.networks import Network
from approx.networks.network import Flat


def weight_distance(one: Network, other: Network) -> float:
    """Return max |w - w'| over all weights and biases of two networks of one architecture, inf where there is none.

    Missing connections are 0. Builders leave out units whose outgoing weights vanish: where a layer of one network has fewer
    units, and these are units of the other in the same order with the same incoming weights, the others are put back
    with outgoing weights 0. Weights are taken as float64 numbers.

    >>> from approx.networks import Builder, affine
    >>> weight_distance(affine([[1]], [0]), affine([[3]], [0.5]))
    2.0
    >>> b, c = Builder(1), Builder(1)
    >>> full = b.build([b.relu(b.input()) + 0.25 * b.relu(b.input() - 1)])
    >>> weight_distance(full, c.build([c.relu(c.input())]))
    0.25
    """
    from scipy.sparse import coo_array

    if one.inputs != other.inputs or len(one.layers) != len(other.layers):
        return math.inf
    small, large = sorted((one, other), key=lambda n: sum(layer.units for layer in n.layers))
    place = _embedding(small, large)
    if place is None:
        return math.inf
    a, b = small.flat, large.flat
    put_in = place[small.inputs :] - small.inputs
    rows = np.repeat(np.arange(len(a.bias)), np.diff(a.indptr))
    shape = len(b.bias), len(b.bias) + large.inputs
    first = coo_array((a.values, (put_in[rows], place[a.indices])), shape).tocsr()
    second = coo_array((b.values, (np.repeat(np.arange(len(b.bias)), np.diff(b.indptr)), b.indices)), shape).tocsr()
    # Rows of units that were left out are those of their counterparts: only the others are compared.
    gap = abs(first - second).tocsr()[put_in]
    return max(float(np.max(gap.data, initial=0.0)), float(np.abs(a.bias - b.bias[put_in]).max(initial=0.0)))


def _embedding(small: Network, large: Network) -> np.ndarray | None:
    """For every unit of the smaller network (inputs first) its number in the larger one, or None."""
    a, b = small.flat, large.flat
    place = list(range(small.inputs))
    first, second = small.inputs, large.inputs  # numbers of the first units of the layer
    for one, other in zip(small.layers, large.layers, strict=True):
        if one.activation != other.activation or one.units > other.units:
            return None
        if one.units == other.units:
            place.extend(range(second, second + other.units))
        else:
            at = second
            for unit in range(first, first + one.units):
                row, bias = _row(a, unit - small.inputs)
                wanted = sorted((place[k], w) for k, w in row), bias
                while at < second + other.units and _sorted(_row(b, at - large.inputs)) != wanted:
                    at += 1
                if at == second + other.units:
                    return None
                place.append(at)
                at += 1
        first, second = first + one.units, second + other.units
    return np.array(place)


def _row(flat: Flat, unit: int) -> tuple[list[tuple[int, float]], float]:
    span = slice(int(flat.indptr[unit]), int(flat.indptr[unit + 1]))
    entries = zip(flat.indices[span].tolist(), flat.values[span].tolist(), strict=True)
    return [(k, w) for k, w in entries if w != 0], float(flat.bias[unit])


def _sorted(row: tuple[list[tuple[int, float]], float]) -> tuple[list[tuple[int, float]], float]:
    return sorted(row[0]), row[1]
