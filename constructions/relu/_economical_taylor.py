"""How are all cells of a local Taylor network fed from shared coordinates? Front of cells, tail of products, spliced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from approx.errors import RegularityError, UnreachableError
from approx.networks import Block, Builder, Form, Layer, Network, block, layer
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._cell_grid import Axis, Front, families, front, make_axis
from constructions.relu._cell_polynomials import (
    FOR_KINKS,
    CellPolynomials,
    Index,
    float_polynomials,
    multi_indices,
    proved_polynomials,
    tail_bound,
)
from constructions.relu._horner_tail import Tail

_UNIT = 2.0**-53
MAXIMUM_CELLS = 4_000_000
ORDERS = {1: range(2, 11), 2: range(2, 8), 3: range(2, 6)}
_SHARES = (0.55, 0.7, 0.8, 0.88, 0.94, 0.97)


@dataclass(frozen=True)
class Choice:
    """An order, a number of cells per axis, and about how many weights they need."""

    order: int
    cells: int
    estimate: float


def grid(target: Target, cells: int) -> list[Axis]:
    """The axes of a grid with `cells` cells per axis over the target's domain."""
    return [make_axis(low, high, cells) for low, high in target.domain]


def choose(target: Target, eps: float, orders: Any) -> Choice:
    """The order and the cells with the least estimated weights, from float64 jets (a guess, deterministic)."""
    best: Choice | None = None
    worse = 0
    for order in orders:
        if worse >= 2:  # two orders in a row were no better: higher ones will not be
            break
        before = best
        if not math.isfinite(tail_bound(target, grid(target, 1), order)):
            continue
        for share in _SHARES:
            found = cells_for(target, eps * share, order)
            if found is None:
                continue
            cells, polynomials = found
            tail = Tail(polynomials, eps)
            if not tail.choose_levels((eps - polynomials.truncation) * 0.999):
                continue
            estimate = front_weights(target.dimension, order, polynomials.count, cells) + tail.estimate()
            if best is None or estimate < best.estimate:
                best = Choice(order, cells, estimate)
        worse = worse + 1 if best is before and best is not None else 0
    if best is None:
        raise RegularityError(
            f"local-taylor: no order among {list(orders)} has bounded derivatives and reaches {eps:g}; {FOR_KINKS}"
        )
    return best


def front_weights(dimension: int, order: int, count: int, cells: int) -> float:
    """About the weights of the cells: (2 or d inputs + one coefficient per monomial) each, and O(cells per axis)."""
    monomials = math.comb(order - 1 + dimension, dimension)
    per_cell = (4 + monomials) if dimension == 1 else (dimension + monomials)
    return per_cell * count + dimension * cells * (10 if dimension == 1 else 14)


def cells_for(target: Target, goal: float, order: int) -> tuple[int, CellPolynomials] | None:
    """The least number of cells per axis whose estimated truncation error meets the goal, and their polynomials."""
    limit = int(MAXIMUM_CELLS ** (1 / target.dimension))
    low, high, best = 1, 2, None  # two cells at least: with one there is nothing to join
    while True:
        try:
            found = _guess(target, high, order)
        except UnreachableError:  # another order may need fewer cells
            return None
        if found.truncation <= goal:
            best = found
            break
        ratio = (found.truncation / goal) ** (1 / order)
        low, high = high, max(high + 1, min(2 * high, math.ceil(high * ratio)))
        if high > limit or not math.isfinite(found.truncation):
            return None
    while high - low > 1:
        middle = (low + high) // 2
        found = _guess(target, middle, order)
        if found.truncation <= goal:
            high, best = middle, found
        else:
            low = middle
    return high, best


def _guess(target: Target, cells: int, order: int) -> CellPolynomials:
    axes = grid(target, cells)
    return float_polynomials(target, axes, order, tail_bound(target, axes, order))


@dataclass(frozen=True)
class Built:
    """A network with the proved parts of its error."""

    network: Network
    truncation: float
    rounding: float
    products: float
    cells: int
    order: int
    levels: list[int]


def build(target: Target, eps: float, order: int, cells: int, *, proved: bool = True) -> Built:
    """The network of a given order and at least the given cells whose proved error is at most eps.

    With proved=False the coefficients come from float64 jets and `truncation`, `rounding` are estimates.
    """
    for _ in range(12):
        axes = grid(target, cells)
        if cells ** len(axes) > MAXIMUM_CELLS:
            break
        tail = tail_bound(target, axes, order)
        polynomials = (proved_polynomials if proved else float_polynomials)(target, axes, order, tail)
        stand = front(axes)
        rounding = polynomials.rounding + steps_rounding(polynomials) + _drift(polynomials, stand)
        plan = Tail(polynomials, eps)
        rest = eps - (polynomials.truncation + rounding) * (1 + 1e-12)
        if rest > 0 and plan.choose_levels(rest * (1 - 1e-9)):
            network = assemble(axes, stand, polynomials, plan)
            levels = [p.levels for p in plan.products.values()]
            return Built(network, polynomials.truncation, rounding, plan.error, cells, order, levels)
        cells += 1
    raise UnreachableError(f"local-taylor: eps = {eps:g} was not reached with order {order} and {cells} cells per axis")


def steps_rounding(polynomials: CellPolynomials) -> float:
    """In one variable a coefficient function is the sum of rounded steps: a bound of the sum of the roundings."""
    total = 0.0
    for family, table in polynomials.coefficients.items():
        if len(family) == 1:
            total = max(total, sum(2 * _UNIT * float(np.abs(np.diff(c)).sum()) for c in table.values()))
    return total


def _drift(polynomials: CellPolynomials, stand: Front) -> float:
    if stand.drift == 0:
        return 0.0
    some = next(iter(polynomials.coefficients.values()))
    return stand.drift * 1.01 * sum(sum(a) * polynomials.largest(a) for a in some)


# -- assembling -------------------------------------------------------------------------------------------------------


def assemble(axes: list[Axis], stand: Front, polynomials: CellPolynomials, plan: Tail) -> Network:
    """The Network: the front's layers, then the tail's with its virtual inputs replaced by rows over the front."""
    d = len(axes)
    sources: list[tuple[int, np.ndarray, np.ndarray]] = []
    number: dict[Any, int] = {}
    one = np.ones(1)
    for k in range(d):
        for p in (0, 1):
            place = stand.local[k][p]
            if place is not None:
                number["s", k, p] = len(sources)
                sources.append((stand.reading, np.array([place]), one))
        place = stand.weight[k]
        if place is not None:
            number["w", k] = len(sources)
            sources.append((stand.reading, np.array([place]), one))
    offsets: dict[Any, float] = {}
    for family in families(axes):
        for alpha, values in polynomials.coefficients[family].items():
            index = stand.offset[family] + np.arange(len(values))
            number[family, alpha] = len(sources)
            if d == 1:
                offsets[family, alpha] = float(values[-1])
                sources.append((stand.indicators, index[:-1], values[:-1] - values[1:]))
            else:
                sources.append((stand.indicators, index, values))
    inputs = Builder(len(sources))

    def coefficient(family: Index, alpha: Index) -> Form:
        return inputs.input(number[family, alpha]) + to_fmpq(offsets.get((family, alpha), 0.0))

    tail = plan.network(
        len(sources),
        lambda k, p: inputs.input(number["s", k, p]) - 1,
        lambda k: inputs.input(number["w", k]),
        coefficient,
    )
    return splice(d, list(stand.layers), tail, sources)


def splice(
    inputs: int, layers: list[Layer], tail: Network, sources: list[tuple[int, np.ndarray, np.ndarray]]
) -> Network:
    """The network `tail` with its input v replaced by the row sources[v] = (layer, unit numbers, weights).

    Exact: rows of several entries are read with powers of two only, and single ones have weight 1.
    """
    base = len(layers)
    for part in tail.layers:
        blocks = [Block(b.source + base, b.indptr, b.indices, b.values) for b in part.blocks if b.source > 0]
        for b in part.blocks:
            if b.source == 0:
                blocks.extend(_expanded(b, sources))
        layers.append(layer(part.activation, part.bias.floats, blocks, part.bias.ids))
    return Network(inputs, layers, tail.pool)


def _expanded(b: Block, sources: list[tuple[int, np.ndarray, np.ndarray]]) -> list[Block]:
    rows = len(b.indptr) - 1
    counts: dict[int, np.ndarray] = {}
    index: dict[int, list[np.ndarray]] = {}
    value: dict[int, list[np.ndarray]] = {}
    if b.values.ids is not None:
        raise UnreachableError("local-taylor: a weight of a coordinate is no float64 number")
    for row in range(rows):
        for j in range(int(b.indptr[row]), int(b.indptr[row + 1])):
            source, units, weights = sources[int(b.indices[j])]
            counts.setdefault(source, np.zeros(rows, dtype=np.int64))[row] += len(units)
            index.setdefault(source, []).append(units)
            value.setdefault(source, []).append(weights * float(b.values.floats[j]))
    return [
        block(source, np.concatenate(([0], np.cumsum(count))), np.concatenate(index[source]), np.concatenate(value[source]))
        for source, count in counts.items()
    ]


def monomials(dimension: int, order: int) -> int:
    """The number of monomials of degree below the order."""
    return len(multi_indices(dimension, order - 1))
