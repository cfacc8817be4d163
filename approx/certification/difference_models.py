"""How far apart are two networks of one architecture on a box? Taylor models of the difference itself.

Bounding two nearly equal networks apart from each other loses everything: each bound is wrong by the relaxation of its own
ReLUs, the difference may be 10^-7 of that. Here the difference D = a - b of every unit has a model of its own:
- sums: D = W_b D' + (W_a - W_b) a' + (bias_a - bias_b), with a' the models of the first network (taylor_forms);
- relu, abs: D where both arguments are surely positive, -D (abs) or 0 (relu) where both are negative, and else s D for some
  s in [0, 1] (relu) or [-1, 1] (abs), which is the middle slope times D up to half the range of slopes times sup |D|;
- smooth activations: act'(xi) D by the mean value theorem, with the range of act' between the two arguments.
So every bound is proportional to the difference of the weights. (The idea is that of ReluDiff, Paulsen, Wang and Wang 2020;
forms, smooth activations and roundings are our own.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from approx.certification.activation_tables import slope_range
from approx.certification.taylor_forms import _TABLES, _TINY, _UNIT, Model, TaylorProgram
from approx.networks import PIECEWISE_LINEAR, Block, Network, Values
from approx.numbers import to_float, to_fmpq


def same_architecture(first: Network, second: Network) -> bool:
    """Whether the two networks have the same layers (activations, units) and admit models of their difference."""
    shape = [[(l.activation, l.units) for l in n.layers] for n in (first, second)]
    admitted = PIECEWISE_LINEAR | _TABLES
    return first.inputs == second.inputs and shape[0] == shape[1] and first.activations <= admitted


class DifferenceProgram:
    """Models of first - second, for the branch and bound of taylor.py; `network` is the exact difference network."""

    def __init__(self, first: Network, second: Network, difference: Network, order: int) -> None:
        self.network = difference
        self.first, self.second = TaylorProgram(first, order), TaylorProgram(second, order)
        self.monomials = self.first.monomials
        self.plain, self.helpful, self.calls = TaylorProgram(difference, order), True, 0
        self.biases = [_minus(a.bias, b.bias, first, second) for a, b in zip(first.layers, second.layers, strict=True)]
        widths = [first.inputs] + [l.units for l in first.layers]
        self.changes = [
            _block_changes(a.blocks, b.blocks, first, second, a.units, widths)
            for a, b in zip(first.layers, second.layers, strict=True)
        ]

    def models(self, centre: np.ndarray, half: np.ndarray) -> Model:
        """The Model of the outputs' difference on the boxes: where it is better, that of the difference as one network.

        The latter is better for networks that are far apart; it is left out, but for every eighth call, when it was not.
        """
        model = self._side_by_side(centre, half)
        self.calls += 1
        if self.helpful or self.calls % 8 == 0:
            plain = self.plain.models(centre, half)
            better = plain.error < model.error
            self.helpful = bool(better.mean() > 0.02)
            model.coefficients = np.where(better, plain.coefficients, model.coefficients)
            model.error = np.where(better, plain.error, model.error)
        return model

    def _side_by_side(self, centre: np.ndarray, half: np.ndarray) -> Model:
        count = len(self.first.network.layers)
        own = self.first.start(centre, half)
        live, changes = {0: own}, {0: Model(np.zeros_like(own.coefficients), np.zeros_like(own.error), 0)}
        for k in range(1, count + 1):
            z = self.first.affine(k, live, len(centre))
            change = self._change(k, live, changes, len(centre))
            name = self.first.network.layers[k - 1].activation
            if name != "identity":
                with np.errstate(all="ignore"):
                    change = _through(name, z, change)
                z = self.first.activate(name, z, k)
            live[k], changes[k] = z, change
            for source in [s for s in live if s != k and max(self.first.last_use[s], self.second.last_use[s]) <= k]:
                del live[source], changes[source]
        return changes[count].closed()

    def _change(self, k: int, live: dict[int, Model], changes: dict[int, Model], n: int) -> Model:
        units = self.first.network.layers[k - 1].units
        total = np.zeros((len(self.monomials.indices), units, n))
        total[0] = self.biases[k - 1][:, None]
        size, error, degree = np.abs(total[0]), np.zeros((units, n)), 0
        length = 8.0
        for parts, models in ((self.second.matrices[k - 1], changes), (self.changes[k - 1], live)):
            for source, matrix in parts:
                model, absolute = models[source], abs(matrix)
                for i in range(int(self.monomials.starts[model.degree + 1])):
                    total[i] += matrix @ model.coefficients[i]
                size += absolute @ np.abs(model.coefficients).sum(axis=0)
                error += absolute @ model.error
                length += 2 * matrix.shape[1] + 4
                degree = max(degree, model.degree)
        # The share 2^-52 of the error is for weights that are no float64 themselves.
        error = error * (1 + 2.0**-30) + (1.01 * _UNIT) * length * size * (1 + 2.0**-30)
        return Model(total, error + np.where(size + error > 0, _TINY, 0.0), degree)


def _through(name: str, z: Model, change: Model) -> Model:
    """The difference after an activation, from the first network's argument z and the difference of the arguments."""
    moved = (np.abs(change.coefficients).sum(axis=0) + change.error) * (1 + 2.0**-40)
    reach = (z.radius() + z.error + moved) * (1 + 2.0**-40)
    lower, upper = z.coefficients[0] - reach, z.coefficients[0] + reach
    if name in PIECEWISE_LINEAR:
        low = np.where(lower >= 0, 1.0, 0.0 if name == "relu" else -1.0)
        high = np.where(upper <= 0, 0.0 if name == "relu" else -1.0, 1.0)
        middle, spread = 0.5 * (low + high), 0.5 * (high - low)
    else:
        middle, spread = slope_range(name, z.coefficients[0], reach)
    lost = ~np.isfinite(reach)
    spread = np.where(lost, np.inf, spread)
    result = middle * change.coefficients
    rounding = np.where((middle == 1) | (middle == 0), 0.0, 2 * _UNIT * np.abs(result).sum(axis=0))
    error = np.abs(middle) * change.error + np.where(moved > 0, spread * moved, 0.0) + rounding
    return Model(result, error * (1 + 2.0**-40) + np.where(moved > 0, _TINY, 0.0), change.degree)


def _minus(a: Values, b: Values, first: Network, second: Network) -> np.ndarray:
    """a - b rounded to nearest, exact numbers subtracted before rounding where there are some."""
    if a.ids is None and b.ids is None:
        return a.floats - b.floats
    pairs = zip(a.exact(first.pool), b.exact(second.pool), strict=True)
    return np.array([to_float(to_fmpq(x) - to_fmpq(y)) for x, y in pairs])


def _block_changes(
    one: tuple[Block, ...], other: tuple[Block, ...], first: Network, second: Network, units: int, widths: list[int]
) -> list[tuple[int, Any]]:
    """(source, sparse matrix of the weights' differences) for the sources of which a weight differs."""
    result = []
    left, right = {b.source: b for b in one}, {b.source: b for b in other}
    for source in sorted(left.keys() | right.keys()):
        a, b = left.get(source), right.get(source)
        shape = (units, widths[source])
        aligned = a and b and np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)
        if a and b and aligned:
            data = _minus(a.values, b.values, first, second)
            # A copy: removing zeros from shared index arrays would change the network.
            matrix = scipy.sparse.csr_array((data, a.indices, a.indptr), shape=shape, copy=True)
        else:
            matrix = _dictionary_difference(a, b, first, second, shape)
        matrix.eliminate_zeros()
        if matrix.nnz:
            result.append((source, matrix))
    return result


def _dictionary_difference(
    a: Block | None, b: Block | None, first: Network, second: Network, shape: tuple[int, int]
) -> Any:
    entries: dict[tuple[int, int], Any] = {}
    sides = ((a, first, 1), (b, second, -1))
    for block, network, sign in [(part, n, s) for part, n, s in sides if part is not None]:
        rows = np.repeat(np.arange(shape[0]), np.diff(block.indptr)).tolist()
        for row, column, value in zip(rows, block.indices.tolist(), block.values.exact(network.pool), strict=True):
            entries[row, column] = entries.get((row, column), 0) + sign * to_fmpq(value)
    keys = list(entries)
    data = [to_float(entries[key]) for key in keys]
    rows_, columns = [k[0] for k in keys], [k[1] for k in keys]
    return scipy.sparse.coo_array((data, (rows_, columns)), shape=shape).tocsr()
