"""What is the exact rational value of a network at a rational point?

Whole layers are carried as integers over one common denominator Q * 2^E (Q odd): a network with float64 weights needs only
products and shifts of integers, whatever the point. Common factors are cancelled every few layers, since true values are
often much shorter than the denominators that the weights suggest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import itemgetter, mul, or_
from typing import TYPE_CHECKING, Any, NamedTuple

import gmpy2
import numpy as np
from flint import fmpq

from approx.errors import InputError, UnsupportedError
from approx.evaluation.cache import cached
from approx.numbers import to_fmpq

if TYPE_CHECKING:
    from collections.abc import Callable

    from approx.networks import Network, Values

#: The activations that map rationals to rationals.
RATIONAL = frozenset({"identity", "relu", "relu2", "relu3", "abs", "floor", "exp2"})
#: 2^t is exact for integer t; beyond this size the number would not fit anywhere.
_LARGEST_POWER = 100_000_000
#: Layers between two cancellations, and the length in bits from which gmpy2 multiplies faster than Python.
_EVERY, _LONG = 4, 1500


def evaluate_exact(network: Network, points: Iterable[Any]) -> list[Any]:
    """Return the exact values at the points: one fmpq per point, or a list of k fmpq for a network with k outputs.

    Points: numbers (or sequences of one number) when the network has one input, sequences of d numbers otherwise;
    floats are the dyadic rationals that they are. No rounding anywhere.

    Cost: O(weights) integer operations per point, about 1e-7 s each while the values are short; their length may grow
    linearly with the depth. Raises UnsupportedError when an activation or a weight is not rational (sin, tanh, closed
    forms ...), InputError on points that do not fit.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> evaluate_exact(b.build([b.relu(3 * b.input() - 1)]), [fmpq(1, 2), 0])
    [1/2, 0]
    """
    network = network.native
    stages = cached(network, "exact", lambda: _compile(network))
    single = network.outputs == 1
    results: list[Any] = []
    for point in points:
        values = _run(stages, exact_point(point, network.inputs))
        results.append(values[0] if single else values)
    return results


def exact_point(point: Any, inputs: int) -> list[fmpq]:
    """Return the coordinates of one point as fmpq; raises InputError when their number is not `inputs`."""
    coordinates = list(point) if isinstance(point, (list, tuple, np.ndarray)) and np.ndim(point) else [point]
    if len(coordinates) != inputs:
        raise InputError("point", point, "a number" if inputs == 1 else f"a sequence of {inputs} numbers")
    return [to_fmpq(c) for c in coordinates]


class _Vector(NamedTuple):
    """Exact numbers: integers over the common denominator odd * 2^power."""

    integers: list[Any]
    odd: Any
    power: int


class _Stage(NamedTuple):
    """One layer: activation, bias, the blocks as (source, rows, odd, power), and the layers nobody reads afterwards."""

    activation: str
    bias: _Vector
    blocks: list[tuple[int, list[tuple[Callable[[Any], Any] | int, list[int]] | None], int, int]]
    finished: list[int]


def _compile(network: Network) -> list[_Stage]:
    refused = sorted(network.activations - RATIONAL)
    if refused:
        raise UnsupportedError(f"exact evaluation: the activations {', '.join(refused)} are not rational; use balls")
    if not all(isinstance(p, fmpq) for p in network.pool):
        raise UnsupportedError("exact evaluation: some weights are not rational; use balls")
    last = {b.source: k for k, layer in enumerate(network.layers) for b in layer.blocks}
    finished: list[list[int]] = [[] for _ in network.layers]
    for source, at in last.items():
        finished[at].append(source)
    stages = []
    for k, layer in enumerate(network.layers):
        blocks = []
        for b in layer.blocks:
            weights = _integers(b.values, network.pool)
            columns, edges = b.indices.tolist(), b.indptr.tolist()
            rows = [_row(columns[i:j], weights.integers[i:j]) for i, j in itertools.pairwise(edges)]
            blocks.append((b.source, rows, weights.odd, weights.power))
        stages.append(_Stage(layer.activation, _integers(layer.bias, network.pool), blocks, finished[k]))
    return stages


def _row(columns: list[int], weights: list[int]) -> tuple[Callable[[Any], Any] | int, list[int]] | None:
    if not columns:
        return None
    return (itemgetter(*columns) if len(columns) > 1 else columns[0]), weights


def _integers(values: Values, pool: Sequence[Any]) -> _Vector:
    """The values over their least common denominator."""
    if values.ids is None:
        return _common([fmpq(*v.as_integer_ratio()) for v in values.floats.tolist()])
    return _common([pool[i] for i in values.ids.tolist()])


def _common(values: list[fmpq]) -> _Vector:
    denominator = math.lcm(*(int(v.q) for v in values))
    power = (denominator & -denominator).bit_length() - 1
    return _Vector([int(v.p) * (denominator // int(v.q)) for v in values], denominator >> power, power)


def _run(stages: list[_Stage], point: list[fmpq]) -> list[fmpq]:
    layers: dict[int, _Vector] = {0: _common(point)}
    for k, stage in enumerate(stages, 1):
        values = _activate(stage.activation, _affine(stage, layers))
        layers[k] = _cancel(values) if k % _EVERY == 0 else values
        for source in stage.finished:
            del layers[source]
    integers, odd, power = layers[len(stages)]
    denominator = odd << power
    return [fmpq(int(m), int(denominator)) for m in integers]


def _affine(stage: _Stage, layers: dict[int, _Vector]) -> _Vector:
    """bias + sum of blocks, over the least common denominator of its parts."""
    integers, odd, power = stage.bias
    for source, _, block_odd, block_power in stage.blocks:
        power = max(power, layers[source].power + block_power)
        odd = math.lcm(int(odd), int(layers[source].odd * block_odd))
    factor = (odd // stage.bias.odd) << (power - stage.bias.power)
    totals = [m * factor for m in integers]
    for source, rows, block_odd, block_power in stage.blocks:
        h = layers[source]
        scale, shift = odd // (h.odd * block_odd), power - h.power - block_power
        for i, row in enumerate(rows):
            if row is None:
                continue
            pick, weights = row
            term = weights[0] * h.integers[pick] if isinstance(pick, int) else sum(map(mul, weights, pick(h.integers)))
            totals[i] += (term * scale << shift) if scale != 1 else term << shift
    return _Vector(totals, odd, power)


def _cancel(values: _Vector) -> _Vector:
    """The same numbers with common factors removed, in gmpy2 integers once they are long."""
    integers, odd, power = values
    together = reduce(or_, integers, 0)
    if together == 0:
        return _Vector([0] * len(integers), 1, 0)
    shift = min(power, (together & -together).bit_length() - 1)
    common = odd
    for m in integers:
        if common == 1:
            break
        common = math.gcd(int(common), int(m))
    if shift or common != 1:
        integers = [(m >> shift) // common for m in integers] if common != 1 else [m >> shift for m in integers]
    if together.bit_length() > _LONG:
        integers = [gmpy2.mpz(m) for m in integers]
    return _Vector(integers, odd // common, power - shift)


def _activate(name: str, values: _Vector) -> _Vector:
    integers, odd, power = values
    if name == "relu":
        return _Vector([m if m > 0 else 0 for m in integers], odd, power)
    if name in ("relu2", "relu3"):
        p = int(name[-1])
        return _cancel(_Vector([m**p if m > 0 else 0 for m in integers], odd**p, power * p))
    if name == "abs":
        return _Vector([abs(m) for m in integers], odd, power)
    if name == "floor":
        # Long denominators are powers of two: a shift is linear where a division is not.
        return _Vector([(m >> power) // odd for m in integers], 1, 0)
    if name == "exp2":
        denominator = odd << power
        return _common([_exp2(fmpq(int(m), int(denominator))) for m in integers])
    return values


def _exp2(t: fmpq) -> fmpq:
    if t.q != 1 or abs(t) > _LARGEST_POWER:
        raise UnsupportedError(f"exact evaluation: 2^t at t = {str(t)[:40]} is no rational of moderate size; use balls")
    return fmpq(2) ** int(t.p)
