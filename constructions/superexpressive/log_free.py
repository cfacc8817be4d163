"""How is the logarithm in the number of bits avoided? By a fixed network that looks up blocks, and in a block a pattern.

Known fixed-size networks store each of the K = Theta(eps^(-d/alpha)) cell values in full, log2(1/eps) bits each; whether
the logarithm can go was open in 2026. Here neighbouring cells differ by at most one quantum, so a block of m cells has one
of few patterns; a block stores its level and the number of its pattern, and three lookups give the value of any cell
(`_block_code`): bits / K <= log2 3 + o(1), at 3d + 10 units in 8 hidden layers whatever eps is.

The network, with strides s, e, t of groups, blocks and cells in a block, all weights rational:

    floor  n_i, B_i, C_i = floor(a_i x_i), floor(a_i x_i / b_i), floor(a_i x_i / g_i)      cell, block and group
    2^t    2^(-w_F s.C), 2^(-w_R e.B)
    floor  the table F from the group on, the records R from the block on; then both without their first field
    floor  G = floor(record / patterns), P = record - patterns G, the number of the pattern
    2^t    2^(-w_T (m P + t.(n - b B)));  floor, floor: the offset T
    out    quantum (first + F + G + T)

Source: derived.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError
from approx.networks import Builder, Network
from approx.networks.builder import Form, linear_combination
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from approx.targets.variation import variation_within
from constructions.superexpressive._bit_tables import guarded, simplest_between
from constructions.superexpressive._block_code import BlockCode, shortest_code
from constructions.superexpressive._cells import Cells, accuracy, cells_within, nearest_multiples

DESCRIPTION: dict[str, Any] = {
    "name": "log-free",
    "activations": ("floor", "exp2"),
    "needs": "1 to 3 variables, Hölder continuous",
    "guarantee": "sup |f - net| <= omega_f(half a cell) + half a quantum <= eps, 3d + 10 units at every eps",
    "rate": "bits = O(eps^(-d/alpha)), without logarithm",
    "references": ("P21",),
}

#: Shares of eps that go to the cell size; the rest is half the quantum. Tried by guess, up to this many cells in all.
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
_MOST_TRIED = 400_000
#: Part of eps that is kept for the rounding of balls.
_MARGIN = 1e-9


def log_free(target: Target, eps: Any, *, share: float | None = None) -> Approximant:
    """Return an Approximant by a step network of {floor, 2^t} with 3d + 10 units and Theta(eps^(-d/alpha)) bits.

    Statement: for |f(x) - f(y)| <= C |x - y|_inf^alpha on the box, sup |f - net| <= omega_f(r) + quantum / 2 <= eps, r half
    the side of a cell. Guarantee proved: the modulus from the target, the cell values by balls. The bits, over all weights,
    are `network.size.bits`; per cell they stay below log2 3 + o(1) where share = 1/2 (`_block_code`).

    share: the part of eps for omega_f (None: the one of fewest bits among a few). A larger share gives fewer, coarser cells
    whose neighbours may differ by several quanta: still a bounded number of bits per cell.

    Cost: a ball of f per cell (some 10 us), up to 2e7 cells. Raises InputError (eps, share), RegularityError without a modulus
    of continuity, UnreachableError when too many cells are needed. Source: derived; the question is from the 2026 paper.

    >>> a = log_free(Target("abs(x - 1/3)"), 0.01)
    >>> a.network.size.units, a.bound <= 0.01
    (13, True)
    """
    goal = accuracy(eps)
    if not 1 <= target.dimension <= 3:
        raise InputError("target", f"{target.dimension} variables", "1, 2 or 3 variables")
    if share is not None and not 0 < share < 1:
        raise InputError("share", share, "a number between 0 and 1, or None")
    chosen = _best_share(target, goal) if share is None else share
    cells = cells_within(target, chosen * goal * (1 - _MARGIN))
    spent = variation_within(target, cells.radii)
    quantum = _quantum(goal, spent)
    found = nearest_multiples(target, cells.middles(target), quantum)
    code = shortest_code(found.digits)
    network = block_network(target, cells, code, quantum, found.first)
    bound = float_up(to_fmpq(spent) + to_fmpq(found.error))
    return Approximant(
        network=network,
        target=target,
        bound=bound,
        method=DESCRIPTION["name"],
        statement=(
            "A network of {floor, 2^t} with 3d + 10 units stores one of every Hölder function's cell values in "
            "log2(3) + o(1) bits: sup |f - net| <= omega_f(r) + quantum / 2 with O(eps^(-d/alpha)) bits."
        ),
        budget=(
            BudgetItem("variation in a cell", spent, "modulus of continuity or slopes of the target"),
            BudgetItem("quantum", found.error, "balls of f at the middles of all cells"),
        ),
        parameters={
            "cells": cells.total,
            "grid": list(cells.counts),
            "quantum": to_float(quantum),
            "share": chosen,
            "block": list(code.block),
            "group": list(code.group),
            "patterns": code.patterns.shape[1],
            "table_bits": code.bits,
            "bits_per_cell": network.size.bits / cells.total,
        },
        references=DESCRIPTION["references"],
    )


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


def block_network(target: Target, cells: Cells, code: BlockCode, quantum: fmpq, first: int) -> Network:
    """Return the network of the module's first lines for these tables, 3d + 10 units."""
    b = Builder(target.dimension)
    x = [b.input(i) - low for i, low in enumerate(target.domain.lower)]
    return b.build([block_value(b, x, cells, code, quantum, first)])


def block_value(b: Builder, x: list[Form], cells: Cells, code: BlockCode, quantum: fmpq, first: int) -> Form:
    """Return the output form of the lookup units added to the builder, for coordinates x counted from the lower corner."""
    ranges = list(zip(x, cells.scale, strict=True))
    n = [b.unit(a * xi, "floor") for xi, a in ranges]
    blocks = [b.unit(a / m * xi, "floor") for (xi, a), m in zip(ranges, code.block, strict=True)]
    groups = [b.unit(a / g * xi, "floor") for (xi, a), g in zip(ranges, code.group, strict=True)]
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
    return quantum * (minima + reference + offset + first)


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
