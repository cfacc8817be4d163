"""How large is the form of constant width of Coons patches? Layer by layer, before it is written."""

from __future__ import annotations

from approx.targets import Target
from constructions.relu._coons_narrow import coons_narrow_surface, gates_of, selected
from constructions.relu._coons_plan import CoonsPlan, digit_count
from constructions.relu._line_walks import Leads, Walk, passes
from constructions.relu._packed_lines import NarrowNumbers
from constructions.relu._patch_codes import folds
from constructions.relu._strict_classes import bends_of_codes, class_layers


def coons_narrow_layers(plan: CoonsPlan, target: Target) -> int:
    """The number of hidden layers."""
    d, found = plan.dimension, NarrowNumbers(plan).passes
    walks = sum(walk_layers(lines.walk, lines.leads)[0] for lines in found)
    return (
        len(found) * class_layers(d, plan.cells) + 2**d * walks + coons_narrow_surface(plan, target).size.hidden_layers
    )


def coons_narrow_weights(plan: CoonsPlan, target: Target) -> int:
    """An upper bound of the weights.

    With R registers, the code, T and U among them, a digit has two layers, 12 weights of its own and 9 that use it; a gate has
    15, a step without digits two layers and 2, the closure of a line a layer and 8 (d - 1).
    """
    d, length = plan.dimension, folds(plan.cells)
    total, kept = coons_narrow_surface(plan, target).size.weights, 0
    for lines in NarrowNumbers(plan).passes:
        walk, leads = lines.walk, lines.leads
        registers = d + len(selected(walk)) + kept
        total += (registers + 4) * bends_of_codes(d, plan.cells)
        total += 2**d * (2 * d * length * (registers + d + 7) + 3 * registers)
        registers += d + 4
        walked = 2 * registers
        for move in walk.moves():
            digits = sum(walk.counts(move, leads))
            walked += digits * (2 * registers + 21) + 15 * len(gates_of(walk, move, (0,) * d))
            walked += 0 if digits else 2 * registers + 2
            walked += registers + 8 * (d - 1) if move.kind in ("first", "change") else 0
        total += 2**d * walked
        kept = 1 + (walk.one.orders > (2,))  # G, and F while passes of a face follow
    return total


def walk_layers(walk: Walk, leads: Leads) -> tuple[int, int]:
    """(the layers of a walk through a patch, those before the first digit of its second line)."""
    total = second = 0
    for move in walk.moves():
        if move.kind == "change" and not second:
            second = total
        total += 2 * max(1, sum(walk.counts(move, leads))) + (move.kind in ("first", "change"))
    return total + 2, second


def narrow_costs(order: int, dimension: int) -> tuple[int, int]:
    """(weights of an inner node in all classes, weights of a patch), for large N and M."""
    node, patch, kept = 0, 0, 0
    for one in passes(order, dimension):
        walk = Walk(one, order, order, dimension)
        registers, gates = dimension + len(selected(walk)) + kept, 2 - (one.low > 0)
        patch += registers + 4
        digits = walk.moved * (digit_count(order) + (walk.moved > 1))
        node += 2**dimension * (digits * (2 * (registers + dimension + 4) + 21) + 15 * gates)
        kept = 1 + (one.orders > (2,))  # G, and F
    return node, patch
