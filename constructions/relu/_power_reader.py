"""Which networks are local Taylor polynomials of max(t, 0)^p in several variables, and what is their error?

The grid stands in the first layer; all layers in front of the polynomials are compared with those that _cell_grid makes for it,
weight for weight. What the layers behind compute is found exactly (_power_tail); it has to be
    sum over families F of B_F(w) sum over alpha of c_(F, alpha) s_F^alpha,      B_F = prod over k of w_k or 1 - w_k,
with one row over the cells of F for every c. By the theorem of _cell_grid the network is then, at every point of the box, the
blend of the polynomials of the cells whose cores hold it; _power_enclosure bounds the distance to f. The lower bound is an
exact value of the network itself. Source: P19 (piecewise-polynomial activations); the reading is derived.
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
from approx.numbers import float_down, to_float, working_precision
from approx.targets import Target
from constructions.relu._cell_grid import REACH, Axis, Front, families, front
from constructions.relu._cell_polynomials import Index
from constructions.relu._economical_taylor import grid
from constructions.relu._power_enclosure import BlendSearch
from constructions.relu._power_tail import Tail

#: As many exact values of the network are worth their time.
_WITNESSES = 2


@dataclass(frozen=True)
class CellBlend:
    """What a network was found to be: {family: {alpha: coefficients of its cells}} in local coordinates, on these axes."""

    axes: list[Axis]
    power: int
    coefficients: dict[Index, dict[Index, np.ndarray]]


def read_blend(network: Network, target: Target) -> CellBlend | None:
    """The CellBlend that the network is on the target's box (2 or 3 variables), None for any other network."""
    d, powers = target.dimension, {"relu2": 2, "relu3": 3}
    kinds = network.activations - {"identity"}
    if d not in (2, 3) or network.inputs != d or network.outputs != 1 or len(kinds) != 1 or not kinds <= set(powers):
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


def _coefficients(tail: Tail, axes: list[Axis], stand: Front) -> dict[Index, dict[Index, np.ndarray]]:
    """The coefficients, if the output is the blend of polynomials in them; raises ValueError otherwise."""
    d, terms = len(axes), tail.value.to_dict()
    sizes = {f: math.prod(len(a.members(p)) for a, p in zip(axes, f, strict=True)) for f in families(axes)}
    found: dict[Index, dict[Index, np.ndarray]] = {f: {} for f in sizes}
    expected: dict[Index, fmpq] = {}
    for number, (columns, weights) in enumerate(tail.rows):
        family = next(f for f in sizes if 0 <= columns[0] - stand.offset[f] < sizes[f])
        columns = columns - stand.offset[family]
        if columns.min() < 0 or columns.max() >= sizes[family]:
            raise ValueError("a row over several families")
        # A term without v_k, c/2^d S^alpha, names alpha and c; all others follow.
        for plain in [e for e in terms if e[tail.row[number]] and not any(e[w] for w in tail.weight)]:
            alpha = tuple(plain[tail.coordinate[k][p]] for k, p in enumerate(family))
            if alpha in found[family] or sum(plain) != 1 + sum(alpha):
                raise ValueError("not one row for one monomial")
            expected |= _blended(plain, terms[plain], family, tail)
            values = np.zeros(sizes[family])
            values[columns] = _scaled(weights, terms[plain] * 2**d / (tail.room[number] * REACH ** sum(alpha)))
            found[family][alpha] = values
    if expected != terms:
        raise ValueError("not the blend of the polynomials")
    return found


def _blended(plain: Index, value: fmpq, family: Index, tail: Tail) -> dict[Index, fmpq]:
    """The terms of value * product over k of 1 + v_k (odd families) or 1 - v_k (even ones), times the term `plain`."""
    found = {}
    for subset in np.ndindex(*(2,) * len(family)):
        exponent = list(plain)
        for k, taken in enumerate(subset):
            exponent[tail.weight[k]] = taken
        found[tuple(exponent)] = value * math.prod(
            1 if p else -1 for p, taken in zip(family, subset, strict=True) if taken
        )
    return found


def _scaled(weights: np.ndarray, factor: fmpq) -> np.ndarray:
    """weights * factor for a power of two; raises ValueError where that is not exact."""
    size = to_float(factor)
    values = weights * size
    if (
        fmpq(*size.as_integer_ratio()) != factor
        or abs(math.frexp(size)[0]) != 0.5
        or not (values / size == weights).all()
    ):
        raise ValueError("coefficients that are no float64 numbers")
    return values


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
    return lower, max(lower, search.upper), witness, f"{STRUCTURE_ONLY} (cell polynomials, blended, read exactly)"
