"""How does numpy alone evaluate a network? By layers, all units and a chunk of points at once, in the fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from approx.evaluation import smooth
from approx.evaluation.cache import cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from approx.networks import Flat, Network

#: Doubles that a chunk of points may occupy in the widest layer (measured: long rows matter more than cache).
_CHUNK_DOUBLES = 1 << 19
#: Long sums are formed unit by unit, _GROUP summands at a time, for at most _MOST units of a layer.
_GROUP, _MOST = 64, 256


class Step(NamedTuple):
    """The j-th summand of the first `rows` units of a layer: sources (slots, or one slot for all) and weights."""

    rows: int
    slots: np.ndarray | int
    weights: np.ndarray


class Tail(NamedTuple):
    """The summands of one unit that has many more than the others: sources (slots) and weights, in order."""

    row: int
    slots: np.ndarray
    weights: np.ndarray


class Stage(NamedTuple):
    """One layer: units sorted by falling number of summands, so that every step touches a prefix; then the tails."""

    bias: np.ndarray
    steps: tuple[Step, ...]
    tails: tuple[Tail, ...]
    activation: str
    destination: np.ndarray


class LayeredProgram(NamedTuple):
    """The stages of a network over `slots` reused rows of a work array; inputs start in rows 0 .. inputs-1."""

    stages: tuple[Stage, ...]
    slots: int
    width: int


def layered_program(network: Network) -> LayeredProgram:
    """Return the program of the network, compiled once; O(weights) numpy work plus O(layers * fan-in) objects."""
    return cached(network, "layered", lambda: _compile(network))


def _compile(network: Network) -> LayeredProgram:
    flat = network.flat
    starts = np.cumsum([0] + [layer.units for layer in network.layers])
    slot, total = _layer_slots(flat, starts)
    stages = []
    for k, layer in enumerate(network.layers):
        output = k == len(network.layers) - 1
        destination = np.arange(layer.units) if output else slot[flat.inputs + starts[k] : flat.inputs + starts[k + 1]]
        stages.append(_stage(flat, int(starts[k]), int(starts[k + 1]), slot, layer.activation, destination))
    return LayeredProgram(tuple(stages), total, max(layer.units for layer in network.layers))


def _stage(flat: Flat, begin: int, end: int, slot: np.ndarray, activation: str, destination: np.ndarray) -> Stage:
    counts = np.diff(flat.indptr[begin : end + 1])
    order = np.argsort(-counts, kind="stable")
    first, counts = flat.indptr[begin:end][order], counts[order]
    stop = _fewest_calls(counts)
    steps = []
    for j in range(stop):
        rows = int(np.searchsorted(-counts, -j, side="left"))
        entries = first[:rows] + j
        slots = slot[flat.indices[entries]]
        one = bool((slots == slots[0]).all())
        steps.append(Step(rows, int(slots[0]) if one else slots, flat.values[entries][:, None]))
    tails = []
    for row in np.flatnonzero(counts > stop).tolist():
        entries = np.arange(first[row] + stop, first[row] + counts[row])
        tails.append(Tail(row, slot[flat.indices[entries]], flat.values[entries][:, None]))
    # + 0.0 turns a stored -0.0 into 0.0: then no sum is ever -0.0 and max(t, 0) needs no rule for signed zeros.
    bias = (flat.bias[begin:end][order] + 0.0)[:, None]
    return Stage(bias, tuple(steps), tuple(tails), activation, destination[order])


def _fewest_calls(counts: np.ndarray) -> int:
    """How many steps to take for all units before the longer sums go on unit by unit: the fewest calls of numpy."""
    best, cheapest = int(counts[0]), 3 * int(counts[0])
    for stop in {0, *counts[:_MOST].tolist()}:
        longer = counts[counts > stop]
        calls = 3 * stop + 7 * int(np.ceil((longer - stop) / _GROUP).sum())
        if calls < cheapest:
            best, cheapest = stop, calls
    return best


def _layer_slots(flat: Flat, starts: np.ndarray) -> tuple[np.ndarray, int]:
    """A row of the work array for every unit; rows are given back after the last layer that reads them."""
    units = flat.inputs + int(starts[-1])
    layer_of = np.repeat(np.arange(1, len(starts)), np.diff(starts))
    last = np.zeros(units, dtype=np.int64)
    last[flat.indices] = np.repeat(layer_of, np.diff(flat.indptr))  # rows ascend, so the last writer is the largest
    slot = np.full(units, -1, dtype=np.int64)
    slot[: flat.inputs] = np.arange(flat.inputs)
    total, free = flat.inputs, np.zeros(0, dtype=np.int64)
    order = np.argsort(last, kind="stable")
    edges = np.searchsorted(last[order], np.arange(len(starts) + 1), side="left")
    for k in range(1, len(starts) - 1):
        a, b = flat.inputs + int(starts[k - 1]), flat.inputs + int(starts[k])
        free = np.concatenate((free, slot[order[edges[k] : edges[k + 1]]]))
        if len(free) < b - a:
            grown = b - a - len(free)
            free = np.concatenate((free, np.arange(total, total + grown)))
            total += grown
        slot[a:b], free = free[: b - a], free[b - a :]
        unread = slot[a:b][last[a:b] == 0]
        free = np.concatenate((free, unread))
    return slot, total


def chunk_length(program: LayeredProgram) -> int:
    """Return how many points one pass of the program takes, so that a layer stays in cache."""
    return int(np.clip(_CHUNK_DOUBLES // max(program.width, 1), 64, 8192))


def run_layered(network: Network, points: np.ndarray) -> np.ndarray:
    """Return the (n, outputs) float64 values at the (n, inputs) points, by numpy, under the fixed rounding rule."""
    program = layered_program(network)
    n = len(points)
    values = np.empty((n, network.outputs))
    chunk = chunk_length(program)
    with np.errstate(all="ignore"):
        for start in range(0, n, chunk):
            _run_chunk(program, points[start : start + chunk], values[start : start + chunk])
    return values


def _run_chunk(program: LayeredProgram, points: np.ndarray, values: np.ndarray) -> None:
    n = len(points)
    work = np.empty((program.slots, n))
    work[: points.shape[1]] = points.T
    sums, terms = np.empty((program.width, n)), np.empty((program.width, n))
    for stage in program.stages[:-1]:
        total = _sums(stage, work, sums, terms)
        ACTIVATE[stage.activation](total)
        work[stage.destination] = total
    values.T[program.stages[-1].destination] = _sums(program.stages[-1], work, sums, terms)


def _sums(stage: Stage, work: np.ndarray, sums: np.ndarray, terms: np.ndarray) -> np.ndarray:
    total = sums[: len(stage.bias)]
    total[:] = stage.bias
    for rows, slots, weights in stage.steps:
        term = terms[:rows]
        if isinstance(slots, int):
            np.multiply(work[slots], weights, out=term)
        else:
            np.take(work, slots, axis=0, out=term, mode="clip")
            term *= weights
        total[:rows] += term
    for tail in stage.tails:
        for partial, _ in partial_sums(tail, work, total[tail.row]):
            total[tail.row] = partial[-1]
    return total


def partial_sums(tail: Tail, work: np.ndarray, total: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (sums after each summand, summands) of a tail in groups, continuing from `total`, strictly in order."""
    for at in range(0, len(tail.slots), _GROUP):
        terms = work[tail.slots[at : at + _GROUP]] * tail.weights[at : at + _GROUP]
        first = terms[0].copy()
        terms[0] += total
        sums = np.add.accumulate(terms, axis=0)  # unlike sum(), accumulate never reorders
        terms[0] = first
        yield sums, terms
        total = sums[-1]


def _sigmoid(t: np.ndarray) -> None:
    np.divide(1.0, 1.0 + np.exp(-t), out=t)


def _softplus(t: np.ndarray) -> None:
    np.logaddexp(0.0, t, out=t)


def _gelu(t: np.ndarray) -> None:
    from scipy.special import erfc

    t *= 0.5 * erfc(t * -(0.5**0.5))


def _identity(t: np.ndarray) -> None:
    pass


def _relu(t: np.ndarray) -> None:
    np.maximum(t, 0.0, out=t)  # NaN stays NaN


def _in_place(function: Callable[..., np.ndarray]) -> Callable[[np.ndarray], None]:
    def apply(t: np.ndarray) -> None:
        function(t, out=t)

    return apply


def _copied(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], None]:
    def apply(t: np.ndarray) -> None:
        t[...] = function(t)

    return apply


#: Activation name -> function that applies it in place to an array of sums.
ACTIVATE: dict[str, Callable[[np.ndarray], None]] = {
    "identity": _identity,
    "relu": _relu,
    "abs": _in_place(np.abs),
    "relu2": _copied(lambda t: np.maximum(t, 0.0) ** 2),
    "relu3": _copied(lambda t: np.maximum(t, 0.0) ** 3),
    "sin": _in_place(np.sin),
    "arcsin": _in_place(np.arcsin),
    "floor": _in_place(np.floor),
    "exp2": _in_place(np.exp2),
    "exp": _in_place(np.exp),
    "tanh": _in_place(np.tanh),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "gelu": _gelu,
    "arctan": _in_place(np.arctan),
    "sqrt": _in_place(np.sqrt),
    "sigma3": _copied(smooth.sigma3),
}
