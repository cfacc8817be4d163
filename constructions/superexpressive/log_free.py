"""How is the logarithm in the number of bits avoided? By a fixed network that looks up blocks, and in a block a pattern.

Known fixed-size networks store each of the K = Theta(eps^(-d/alpha)) cell values in full, log2(1/eps) bits each; whether
the logarithm can go was open in 2026. Here neighbouring cells differ by at most one quantum, so a block of m cells has one
of few patterns; a block stores its level and the number of its pattern, and three lookups give the value of any cell
(`_block_code`): bits / K <= log2 3 + o(1), at 3d + 10 units in 9 hidden layers whatever eps is.

The network, with strides s, e, t of groups, blocks and cells in a block, all weights rational:

    floor  n_i = floor(a_i x_i), then B_i = floor(n_i / b_i) and C_i = floor(n_i / g_i)    cell, block and group
    2^t    2^(-w_F s.C), 2^(-w_R e.B)
    floor  the table F from the group on, the records R from the block on; then both without their first field
    floor  G = floor(record / patterns), P = record - patterns G, the number of the pattern
    2^t    2^(-w_T (m P + t.(n - b B)));  floor, floor: the offset T
    out    quantum (first + F + G + T)

Source: derived.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.networks.builder import Form, linear_combination
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from approx.targets.variation import variation_within
from constructions.superexpressive._bit_tables import guarded, simplest_between
from constructions.superexpressive._block_code import BlockCode, shortest_code
from constructions.superexpressive._cells import Cells, cells_within, nearest_multiples
from constructions.superexpressive._options import accuracy
from constructions.superexpressive._ridges import Ridge, ridges_of

DESCRIPTION: dict[str, Any] = {
    "name": "log-free",
    "activations": ("floor", "exp2"),
    "needs": "1 to 3 variables, Hölder continuous",
    "guarantee": "sup |f - net| <= omega_f(half a cell) + half a quantum <= eps, 3d + 10 units at every eps",
    "rate": "bits = O(eps^(-d/alpha)), without logarithm",
    "references": ("P21", "C26"),
}

#: Shares of eps that go to the cell size; the rest is half the quantum. Tried by guess, up to this many cells in all.
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
_MOST_TRIED = 400_000
#: Part of eps that is kept for the rounding of balls.
_MARGIN = 1e-9
#: About the length of the weights beside the tables, in cells of two bits.
_BITS_PER_LINE = 100


class Part(NamedTuple):
    """A function of cells, stored: the network's weights but for its place in a larger network, and the proved errors."""

    cells: Cells
    code: BlockCode
    quantum: fmpq
    first: int
    share: float
    variation: float
    rounding: float


def log_free(target: Target, eps: Any, *, share: float | None = None, ridges: bool | None = None) -> Approximant:
    """Return an Approximant by a step network of {floor, 2^t} with 3d + 10 units and Theta(eps^(-d/alpha)) bits.

    Statement: for |f(x) - f(y)| <= C |x - y|_inf^alpha on the box, sup |f - net| <= omega_f(r) + quantum / 2 <= eps, r half
    the side of a cell. Guarantee proved: the modulus from the target, the cell values by balls. The bits, over all weights,
    are `network.size.bits`; per cell they stay below log2 3 + o(1) where share = 1/2 (`_block_code`).

    share: the part of eps for omega_f (None: the one of fewest bits among a few). A larger share gives fewer, coarser cells
    whose neighbours may differ by several quanta: still a bounded number of bits per cell.
    ridges: whether a target that is a sum of functions of one linear form each, sum_k g_k(l_k(x)), is stored line by line, with
    13 units for each of them and Theta(eps^(-1/alpha)) bits (None: where that needs fewer bits).

    Cost: a ball of f per cell (some 10 us), up to 2e7 cells. Raises InputError (eps, share), RegularityError without a modulus
    of continuity or where ridges=True does not apply, UnreachableError when too many cells are needed. Source: derived; the
    question is from the 2026 paper.

    >>> a = log_free(Target("abs(x - 1/3)"), 0.01)
    >>> a.network.size.units, a.bound <= 0.01
    (13, True)
    """
    goal = accuracy(eps)
    if not 1 <= target.dimension <= 3:
        raise InputError("target", f"{target.dimension} variables", "1, 2 or 3 variables")
    if share is not None and not 0 < share < 1:
        raise InputError("share", share, "a number between 0 and 1, or None")
    lines = ridges_of(target) if target.dimension > 1 and ridges is not False else None
    if ridges and lines is None:
        raise RegularityError(f"target {target.text}: not recognised as a sum of functions of one linear form each")
    if lines is not None:
        goals = shared_accuracies(lines, goal)
        along = sum(_BITS_PER_LINE + cells_within(r.function, g / 2).total for r, g in zip(lines, goals, strict=True))
        if ridges or along < _cells_in_the_box(target, goal):
            parts = [stored(r.function, g, share) for r, g in zip(lines, goals, strict=True)]
            return _approximant(target, parts, [r.coefficients for r in lines], [r.function for r in lines])
    return _approximant(target, [stored(target, goal, share)], None, [target])


def _cells_in_the_box(target: Target, goal: float) -> float:
    try:
        return cells_within(target, goal / 2).total
    except UnreachableError:
        return float("inf")


def _approximant(
    target: Target, parts: list[Part], slants: list[tuple[fmpq, ...]] | None, functions: list[Target]
) -> Approximant:
    network = block_network(target, parts, slants, functions)
    bound = float_up(sum((to_fmpq(p.variation) + to_fmpq(p.rounding) for p in parts), fmpq(0)))
    total = sum(p.cells.total for p in parts)
    budget = []
    for part, function in zip(parts, functions, strict=True):
        where = "" if slants is None else f" of the ridge {function.text}"
        proof = "modulus of continuity or slopes of the target"
        budget.append(BudgetItem(f"variation in a cell{where}", part.variation, proof))
        budget.append(BudgetItem(f"quantum{where}", part.rounding, "balls of f at the middles of all cells"))
    return Approximant(
        network=network,
        target=target,
        bound=bound,
        method=DESCRIPTION["name"],
        statement=(
            "A network of {floor, 2^t} of fixed size stores the cell values of a Hölder function in O(1) bits each: "
            "sup |f - net| <= omega_f(r) + quantum / 2 with O(eps^(-d/alpha)) bits."
        ),
        budget=tuple(budget),
        parameters={
            "cells": total,
            "ridges": 0 if slants is None else len(slants),
            "grid": [list(p.cells.counts) for p in parts],
            "quantum": [to_float(p.quantum) for p in parts],
            "share": [p.share for p in parts],
            "block": [list(p.code.block) for p in parts],
            "group": [list(p.code.group) for p in parts],
            "patterns": [p.code.patterns.shape[1] for p in parts],
            "table_bits": sum(p.code.bits for p in parts),
            "bits_per_cell": network.size.bits / total,
        },
        references=DESCRIPTION["references"],
    )


def stored(target: Target, goal: float, share: float | None) -> Part:
    """Return the stored cell values of the target with variation + rounding <= goal, both proved."""
    chosen = _best_share(target, goal) if share is None else share
    cells = cells_within(target, chosen * goal * (1 - _MARGIN))
    spent = variation_within(target, cells.radii)
    quantum = _quantum(goal, spent)
    found = nearest_multiples(target, cells.middles(target), quantum)
    return Part(cells, shortest_code(found.digits), quantum, found.first, chosen, spent, found.error)


def shared_accuracies(lines: tuple[Ridge, ...], goal: float) -> list[float]:
    """Return parts of the accuracy for the ridges that make their cells the fewest, by the Hölder bounds (a guess)."""
    wanted = []
    for line in lines:
        alpha, constant = line.function.hoelder()
        [(low, high)] = line.function.domain
        # cells = length (C/e)^(1/alpha): at the optimum e^(1 + 1/alpha) is proportional to length C^(1/alpha) / alpha.
        cost = to_float(high - low) * max(constant, 1e-9 * goal) ** (1 / alpha) / alpha
        wanted.append(cost ** (alpha / (1 + alpha)))
    return [goal * (1 - _MARGIN) * w / sum(wanted) for w in wanted]


def _quantum(goal: float, spent: float) -> fmpq:
    """Twice what the cells leave of eps, rounded down to a short rational."""
    most = 2 * (to_fmpq(goal) * (1 - to_fmpq(_MARGIN)) - to_fmpq(spent))
    return simplest_between(most * fmpq(31, 32), most)


def _best_share(target: Target, goal: float) -> float:
    """The share of fewest bits by float64 values of f at the middles: a guess, the result is proved whatever it is."""
    sizes = {share: cells_within(target, share * goal * (1 - _MARGIN)) for share in _SHARES}
    best, least, tried = 0.7 if target.dimension > 1 else 0.5, np.inf, 0
    for share in sorted(_SHARES, key=lambda s: sizes[s].total):
        cells = sizes[share]
        tried += cells.total
        if tried > _MOST_TRIED:
            break
        points = np.meshgrid(*(np.array([to_float(x) for x in axis]) for axis in cells.middles(target)), indexing="ij")
        values = np.asarray(target(np.stack(points, axis=-1) if target.dimension > 1 else points[0]))
        whole = np.floor(values / to_float(_quantum(goal, variation_within(target, cells.radii))) + 0.5)
        if not np.isfinite(whole).all() or np.abs(whole).max() > 2.0**50:
            continue
        bits = shortest_code(whole.astype(np.int64) - int(whole.min())).bits
        if bits < least:
            best, least = share, bits
    return best


def block_network(
    target: Target, parts: list[Part], slants: list[tuple[fmpq, ...]] | None, functions: list[Target]
) -> Network:
    """Return the network of the module's first lines for these parts, one of them on the box or one for each slant."""
    b = Builder(target.dimension)
    x = [b.input(i) for i in range(target.dimension)]
    total = Form()
    for k, (part, function) in enumerate(zip(parts, functions, strict=True)):
        read = x if slants is None else [linear_combination(zip(slants[k], x, strict=True))]
        total = total + block_value(b, [r - low for r, low in zip(read, function.domain.lower, strict=True)], part)
    return b.build([total])


def block_value(b: Builder, x: list[Form], part: Part) -> Form:
    """Return the output form of the lookup units added to the builder, for coordinates x counted from the lower corner."""
    code = part.code
    ranges = list(zip(x, part.cells.scale, strict=True))
    n = [b.unit(a * xi, "floor") for xi, a in ranges]
    # From the cell on, not from the input: the scale, a long fraction, is written once.
    blocks = [b.unit(ni / m, "floor") for ni, m in zip(n, code.block, strict=True)]
    groups = [b.unit(ni / g, "floor") for ni, g in zip(n, code.group, strict=True)]
    group_at = _address(groups, code.minima.shape)
    block_at = _address(blocks, code.records.shape)
    minima = _lookup(b, guarded(code.minima, code.minima_width), code.minima_width, group_at)
    record = _lookup(b, guarded(code.records, code.record_width), code.record_width, block_at)
    count = code.patterns.shape[1]
    # One pattern alone: the record is the level, but the unit is kept, and so is the size of the network.
    reference = b.unit(record / count, "floor")
    number = record - count * reference
    place = _address([ni - m * bi for ni, bi, m in zip(n, blocks, code.block, strict=True)], code.block)
    entry = prod(code.block) * number + place
    offset = _lookup(b, guarded(code.patterns, code.offset_width), code.offset_width, entry)
    return part.quantum * (minima + reference + offset + part.first)


def _address(coordinates: list[Form], shape: tuple[int, ...]) -> Form:
    """The number of a cell in an array of this shape, the first axis fastest."""
    strides = [prod(shape[:axis]) for axis in range(len(shape))]
    return linear_combination(zip(strides, coordinates, strict=True))


def _lookup(b: Builder, table: int, width: int, index: Form) -> Form:
    """Field number `index` of the table: its floor(table 2^(-width index)) without the fields above."""
    power = b.unit(-width * index, "exp2")
    rest = b.unit(fmpq(table) * power, "floor")
    above = b.unit(rest / (1 << width), "floor")
    return rest - (1 << width) * above
