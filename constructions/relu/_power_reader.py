"""Which networks are local Taylor polynomials of max(t, 0)^p, and what is their error?

The grid stands in the first layer; all layers in front of the polynomials are compared with those that _cell_grid makes for it,
weight for weight. What the layers behind compute is found exactly (_power_tail); it has to be
    sum over families F of B_F(w) sum over alpha of c_(F, alpha) s_F^alpha,      B_F = prod over k of w_k or 1 - w_k,
with one row over the cells of F for every c (in one variable, a constant and one row over their staircases). By the theorem of
_cell_grid the network is then, at every point of the box, the blend of the polynomials of the cells whose cores hold it;
_power_enclosure bounds the distance to f. The lower bound is an exact value of the network itself.
Source: P19 (piecewise-polynomial activations); the reading is derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.structure import STRUCTURE_ONLY, Enclosure, register
from approx.errors import ApproxError
from approx.evaluation import evaluate_exact
from approx.evaluation.cache import cached
from approx.networks import Layer, Network
from approx.numbers import float_down, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._cell_grid import REACH, Axis, Front, families, front
from constructions.relu._cell_polynomials import Index
from constructions.relu._economical_taylor import grid
from constructions.relu._power_enclosure import BlendSearch
from constructions.relu._power_tail import Tail

_NO_ROW = -1
#: As many exact values of the network are worth their time.
_WITNESSES = 2


@dataclass(frozen=True)
class CellBlend:
    """What a network was found to be: {family: {alpha: coefficients of its cells}} in local coordinates, on these axes."""

    axes: list[Axis]
    power: int
    coefficients: dict[Index, dict[Index, Any]]


def read_blend(network: Network, target: Target) -> CellBlend | None:
    """The CellBlend that the network is on the target's box, None for any other network."""
    d, powers = target.dimension, {"relu2": 2, "relu3": 3}
    kinds = network.activations - {"identity"}
    if d not in (1, 2, 3) or network.inputs != d or network.outputs != 1 or len(kinds) != 1 or not kinds <= set(powers):
        return None
    known: dict[Any, CellBlend | None] = cached(network, "power-taylor", dict)
    box = target.domain.lower, target.domain.upper
    if box not in known:
        try:
            known[box] = _read(network, target, powers[next(iter(kinds))])
        except (ApproxError, ArithmeticError, ValueError):  # not of this form
            known[box] = None
    return known[box]


def _read(network: Network, target: Target, power: int) -> CellBlend:
    d = target.dimension
    # 2 N - 1 hinges per axis.
    cells = (network.layers[0].units // d + 1) // 2
    if cells < 2:
        raise ValueError("no cells")
    axes = grid(target, cells)
    stand = front(axes, power)
    count = len(stand.layers)
    if len(network.layers) <= count or not all(map(_same, network.layers[:count], stand.layers)):
        raise ValueError("another front")
    return CellBlend(axes, power, _coefficients(Tail(network, stand), axes, stand))


def _same(first: Layer, second: Layer) -> bool:
    """Whether two layers of float64 weights are equal, entry by entry."""
    values = [first.bias, second.bias, *(b.values for b in (*first.blocks, *second.blocks))]
    if first.activation != second.activation or any(v.ids is not None for v in values):
        return False
    return len(first.blocks) == len(second.blocks) and np.array_equal(first.bias.floats, second.bias.floats) and all(
        a.source == b.source and np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)
        and np.array_equal(a.values.floats, b.values.floats)
        for a, b in zip(first.blocks, second.blocks, strict=True)
    )  # fmt: skip


def _coefficients(tail: Tail, axes: list[Axis], stand: Front) -> dict[Index, dict[Index, Any]]:
    """The coefficients, if the output is the blend of polynomials in them; raises ValueError otherwise."""
    terms = tail.value.to_dict()
    if any(e[w] > 1 for e in terms for w in tail.weight):
        raise ValueError("not affine in every weight")
    # Affine in every w_k: the output is the blend of what it is where all w_k are 0 or 1.
    return {family: _of_family(tail, terms, family, axes, stand) for family in families(axes)}


def _of_family(tail: Tail, terms: dict[Index, fmpq], family: Index, axes: list[Axis], stand: Front) -> dict[Index, Any]:
    """The coefficients of the cells of a family, {alpha: exact numbers}: w_k = 1 for odd k-th entries, 0 for even ones."""
    sums: dict[Index, fmpq] = {}
    for exponent, c in terms.items():
        rest = list(exponent)
        for w, p in zip(tail.weight, family, strict=True):
            c, rest[w] = (c if p or not exponent[w] else -c), 0
        sums[tuple(rest)] = sums.get(tuple(rest), fmpq(0)) + c
    parts: dict[Index, dict[int, fmpq]] = {}
    for plain, c in sums.items():
        if c == 0:
            continue
        alpha = tuple(plain[tail.coordinate[k][p]] for k, p in enumerate(family))
        rows = [i for i, place in enumerate(tail.row) if plain[place]]
        if len(rows) > 1 or sum(plain) != sum(alpha) + len(rows):
            raise ValueError("not a polynomial in the family's own coordinates with rows as coefficients")
        parts.setdefault(alpha, {})[rows[0] if rows else _NO_ROW] = c / REACH ** sum(alpha)
    count = math.prod(len(axis.members(p)) for axis, p in zip(axes, family, strict=True))
    values = _line if len(axes) == 1 else _cells
    return {alpha: values(tail, part, stand.offset[family], count) for alpha, part in parts.items()}


def _split(tail: Tail, part: dict[int, fmpq], offset: int, units: int) -> tuple[fmpq, fmpq, np.ndarray, np.ndarray]:
    """(constant, factor, columns from the family's first unit on, weights): constant + factor * row is the coefficient."""
    constant = part.get(_NO_ROW, fmpq(0))
    rows = [i for i in part if i != _NO_ROW]
    if not rows:
        return constant, fmpq(0), np.zeros(0, dtype=np.int64), np.zeros(0)
    if len(rows) > 1:
        raise ValueError("several rows for one monomial")
    row, factor = tail.rows[rows[0]], part[rows[0]] / tail.rows[rows[0]].room
    columns = row.columns.astype(np.int64) - offset
    if columns.min() < 0 or columns.max() >= units:
        raise ValueError("a row over another family")
    return constant - factor * row.middle, factor, columns, row.weights


def _cells(tail: Tail, part: dict[int, fmpq], offset: int, count: int) -> np.ndarray:
    """In several variables a cell's coefficient is the weight of its indicator, times a power of two."""
    constant, factor, columns, weights = _split(tail, part, offset, count)
    size, values = to_float(factor), np.zeros(count)
    exact = fmpq(*size.as_integer_ratio()) == factor and abs(math.frexp(size)[0]) == 0.5
    values[columns] = weights * size
    if constant != 0 or not exact or not (values[columns] / size == weights).all():
        raise ValueError("coefficients that are no float64 numbers")
    return values


def _line(tail: Tail, part: dict[int, fmpq], offset: int, count: int) -> list[fmpq]:
    """In one variable the staircase j is 1 on the cores of the cells up to j and 0 on those after it."""
    value, factor, columns, weights = _split(tail, part, offset, count - 1)
    steps = dict(zip(columns.tolist(), weights.tolist(), strict=True))
    values = [value]
    for j in range(count - 2, -1, -1):
        value = value + factor * to_fmpq(steps.get(j, 0.0))
        values.append(value)
    return values[::-1]


@register
def blend_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) for a network of cell polynomials by max(t, 0)^p, otherwise None.

    None as well where f has no bounded derivatives of the orders that are needed, or the time is over before there is a bound.
    """
    blend = read_blend(network, target)
    if blend is None:
        return None
    try:
        search = BlendSearch(blend.axes, blend.coefficients, blend.power, target, work)
    except ApproxError:
        return None
    lower, witness = 0.0, tuple(target.domain.lower)
    for x in search.places[: -_WITNESSES - 1 : -1]:
        value = evaluate_exact(network, [x])[0]
        with working_precision(160):
            gap = float_down(abs(target.ball([arb(c) for c in x]) - arb(value)))
        if gap > lower:
            lower, witness = gap, tuple(x)
    return lower, search.upper, witness, f"{STRUCTURE_ONLY} (cell polynomials, blended, read exactly)"
