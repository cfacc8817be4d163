"""How does a network of width 3 d + 6 without skips compute the interpolant of coded second differences? Node by node.

The function is that of _hoelder_patch_network, d = 2, 3. Registers: the coordinates (until the last class has folded them), the
total, and for each of the 2^d classes of patches, one after the other, the code and the local places w_k (_strict_classes);
while nodes are passed, the response psi_n of a node, two layers for each of its digits.
A digit of the code z, c its place value: max(z - c + 1, 0) and max(z - 2 c + 1, 0) in one layer, with the gates of the digit
before; 1 minus each, cut at 0, in the next, 1 - I and 1 - I': z <- z - c I - c I', gates max(psi - R (1 - I), 0).
Responses are not sums over all nodes here, they follow from the local places: psi_n is the sum of the hat functions of a box,
1 minus the distance of _box_distance, cut at 0. It goes from n_k to M - 1 on all axes up to the last one of the difference, and
from n_j to n_j on a third axis after these; but psi_n = psi_(n + e_k) + the sum of this box for n = n_k e_k, so nodes of axes
are coded downwards.
Statement. It is the same function at every x, in layers of at most 3 d + 6 units. Proof. A distance takes the last four layers
before psi_n is needed, and at most two units in each, d - 1 in the second: 2 d + 2 registers (coordinates, w_k, the total, the
code), psi and four units of two digits are next to these. So all layers are those of digits, but for one more at each node of
the axes, at which the box and psi_(n + e_k) are added. Numbers are never negative, but codes and the total, which have offsets;
gates are at least 0 and psi_n <= R_n, so that the total is at least the least value of its affine part minus lambda sum_n R_n
times the offset of q_n for every class. Off the supports psi_n = 0 and gates are 0, whatever the digits are.
So the width does not depend on N and M. Source: P19 (fixed width); the schedule and the boxes are derived here.
"""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.networks import Form, Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._box_distance import MOST_LAYERS, BoxDistance, End, grouped, layers_of
from constructions.relu._difference_network import offset_for
from constructions.relu._hoelder_patch_codes import (
    Leads,
    Node,
    axes_of,
    class_digits,
    digit_counts,
    digits_for,
    in_range,
    leads_of,
    levels_of,
    local_nodes,
)
from constructions.relu._hoelder_patch_network import bent_network
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._hoelder_patch_reader import FORMS
from constructions.relu._patch_codes import Parities, classes, digits_of, folds, put_class
from constructions.relu._patch_reader import grid_of
from constructions.relu._plan_forms import Rows
from constructions.relu._registers import Registers
from constructions.relu._strict_classes import StrictClasses, bends_of_codes, class_layers, read_codes
from constructions.relu._two_scale_reader import exact_number, whole
from constructions.relu._two_scale_search import MAXIMUM_NODES

_HALF = fmpq(1, 2)


def bent_narrow_width(dimension: int) -> int:
    """The width, whatever N and M are: 12 and 15."""
    return 3 * dimension + 6


def bent_narrow(plan: BentPatches, target: Target) -> Network:
    """The Network of a plan on the target's box, of this width; without hidden layers for affine functions."""
    if plan.constant:
        return bent_network(plan, target)
    writer = _Writer(plan, target)
    for parities in classes(plan.dimension):
        writer.add_class(parities)
    return writer.finished()


def narrow_leads(plan: BentPatches) -> Leads:
    """Digits of corners and of steps, at least two: a node's layers overlap with the last two digits before."""
    corner, step = leads_of(plan)
    return corner, max(2, step)


def bent_narrow_layers(dimension: int, cells: int, steps: int, leads: Leads) -> int:
    """The number of hidden layers: two a digit, one for each place of the codes, and few more."""
    return _other_layers(dimension, cells, steps) + 2 ** (dimension + 1) * _digits(dimension, steps, leads)


def bent_narrow_weights(dimension: int, cells: int, steps: int, leads: Leads) -> int:
    """An upper bound of the weights: (d + 5) N^d to twice as many for the codes, 324 M^2 or 776 M^3 for second differences.

    A digit has 34 weights (d = 3: 38 1/4) per class, on the average: 8 and 4 for what is compared, 4 + 1 for the code, 4 + 3
    for the gates, the other registers; a distance has 13 (20 1/2) with the offset that it is for.
    """
    length = folds(cells)
    one, node, rest = {2: (136, 52, 40 * steps + 176 * length - 60), 3: (306, 164, 200 * steps + 600 * length - 250)}[dimension]
    per_place, digits = dimension + 5, _digits(dimension, steps, leads)
    return per_place * bends_of_codes(dimension, cells) + one * digits + node * steps**dimension + rest


def _digits(dimension: int, steps: int, leads: Leads) -> int:
    """The digits of a patch."""
    return leads[0] + dimension * leads[1] + 2 * (steps**dimension - 1 - dimension)


def _other_layers(dimension: int, cells: int, steps: int) -> int:
    """All layers but those of digits."""
    d, node = dimension, path_of(steps, dimension)[0]
    first = sum(layers_of(grouped(box_of(node, steps), q)) - 1 for q in classes(d))
    return class_layers(d, cells) + first + 2**d * (d * (steps - 2) + 1)


def path_of(steps: int, dimension: int) -> list[Node]:
    """The nodes in the order in which they are coded: down all axes, the corner, the others."""
    axes = [tuple(m * (k == axis) for k in range(dimension)) for axis in range(dimension) for m in range(steps - 1, 0, -1)]
    inner = [node for node in map(tuple, local_nodes(steps, dimension).tolist()) if len(set(axes_of(node))) == 2]
    return [*axes, (0,) * dimension, *inner]


def box_of(node: Node, steps: int) -> list[tuple[int, int]]:
    """The nodes whose hat functions belong to a node, (low, high) per axis."""
    axes = axes_of(node)
    last = axes[1] if len(set(axes)) == 2 else len(node)
    return [(n, n if k > last else steps - 1) for k, n in enumerate(node)]


def _digit_order(steps: int, dimension: int, leads: Leads) -> np.ndarray:
    """Which digits of the lexicographic order stand here in the order of the path."""
    counts, _ = digit_counts(steps, dimension, leads)
    starts = np.cumsum(counts) - counts
    numbers = np.ravel_multi_index(np.array(path_of(steps, dimension)).T, (steps,) * dimension).tolist()
    return np.concatenate([np.arange(starts[k], starts[k] + counts[k]) for k in numbers])


class _Writer:
    """Writes one class after the other; the register `total` is what has been summed up."""

    def __init__(self, plan: BentPatches, target: Target) -> None:
        self._regs, self._plan = Registers(plan.dimension), plan
        self._classes = StrictClasses(self._regs, plan, target.domain)
        self._leads, self._quantum = narrow_leads(plan), to_fmpq(plan.quantum)
        self._order = _digit_order(plan.steps, plan.dimension, self._leads)
        self._gates: list[Form] = []  # of the digit before
        self._weight = fmpq(0)  # of these gates
        self._box = BoxDistance([], self._end, 0)  # of the next node
        affine = Form()
        for axis, (slope, (low, high)) in enumerate(zip(plan.slopes, target.domain, strict=True)):
            affine += self._regs.get(f"x{axis}") * (to_fmpq(slope) * plan.pieces / (high - low))
        self._regs.set("total", affine, self._reach())

    def _reach(self) -> fmpq:
        """A power of two above -total."""
        plan = self._plan
        most = sum((abs(to_fmpq(s)) for s in plan.slopes), fmpq(1)) * plan.pieces
        nodes = local_nodes(plan.steps, plan.dimension).tolist()
        offsets = digit_counts(plan.steps, plan.dimension, self._leads)[1].tolist()
        gated = sum(o * self._most(tuple(n)) for o, n in zip(offsets, nodes, strict=True))
        return offset_for(most + 2**plan.dimension * self._quantum * gated)

    def _most(self, node: Node) -> int:
        """R: a bound of the response of a node."""
        return self._plan.steps - max(node) if len(set(axes_of(node))) == 1 else 1

    def add_class(self, parities: Parities) -> None:
        """The layers of a class."""
        found, digits = class_digits(self._plan, parities, self._leads)
        self._classes.write(parities, found, digits[:, self._order], last=all(parities))
        self._nodes(parities, digits.shape[1])

    def finished(self) -> Network:
        """The network of all classes."""
        return self._regs.output(self._regs.get("total") + to_fmpq(self._plan.base))

    def _nodes(self, parities: Parities, left: int) -> None:
        """From w_k and the code to the total; `left` digits are to be read."""
        regs, plan = self._regs, self._plan
        counts, offsets = digit_counts(plan.steps, plan.dimension, self._leads)
        path = path_of(plan.steps, plan.dimension)
        groups = [grouped(box_of(node, plan.steps), parities) for node in path]
        self._box = BoxDistance(groups[0], self._end, layers_of(groups[0]))
        while self._box.left > 1:
            self._layer()
        for number, node in enumerate(path):
            place = int(np.ravel_multi_index(node, (plan.steps,) * plan.dimension))
            most, box = self._most(node), list[Form]()
            if len(set(axes_of(node))) == 1 and max(node) < plan.steps - 1:
                self._layer()
                box = [1 - self._box.form]
            elif regs.has("psi"):
                regs.drop("psi")
            for power in range(int(counts[place]) - 1, -1, -1):
                left -= 1
                c = fmpq(3) ** left
                one, two, *box = self._layer(regs.get("code") - c + 1, regs.get("code") - 2 * c + 1, *box)
                if box:
                    regs.add("psi", box.pop())
                elif not regs.has("psi"):
                    regs.set("psi", 1 - self._box.form)
                if power == 1 and number + 1 < len(path):
                    self._box = BoxDistance(groups[number + 1], self._end, MOST_LAYERS)
                one, two = self._layer(1 - one, 1 - two)
                regs.add("code", c * (one + two) - 2 * c)
                self._gates = [regs.get("psi") - most * closed for closed in (one, two)]
                self._weight = self._quantum * 3**power
                if power == counts[place] - 1:
                    regs.add("total", -self._quantum * int(offsets[place]) * regs.get("psi"))
        regs.drop("psi", "code", *(f"w{axis}" for axis in range(plan.dimension)))
        self._layer()

    def _layer(self, *others: Form) -> list[Form]:
        """A layer with gates of the digit before and what the distance from the next box needs."""
        gates, n = self._gates, len(self._gates)
        units = self._regs.layer(*gates, *others, *self._box.forms())
        for gate in units[:n]:
            self._regs.add("total", self._weight * gate)
        self._gates = []
        self._box.take(units[n + len(others) :])
        return units[n : n + len(others)]

    def _end(self, end: End) -> Form:
        sign, axis, place = end
        return sign * (self._classes.place(axis) - place)


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> BentPatches | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    d = target.dimension
    # The first layer: the coordinates, the total, and a fold without its ramp from 0.
    _, fold, weights = rows[d + 1]
    cells, steps = grid_of(dict(weights)[0], fold + _HALF, target)
    if (cells * steps) ** d > MAXIMUM_NODES:
        return None
    pieces, units = cells * steps - 1, [layer.units for layer in network.layers]
    starts = [0, *np.cumsum(units).tolist()]
    digits, spare = divmod(len(units) - 1 - _other_layers(d, cells, steps), 2 ** (d + 1))
    if spare:
        return None
    inputs = [dict(rows[d][2]).get(k, fmpq(0)) for k in range(d)]
    slopes = [w * (high - low) / pieces for w, (low, high) in zip(inputs, target.domain, strict=True)]
    base = sum((w * low for w, low in zip(inputs, target.domain.lower, strict=True)), rows[-1][1] + rows[d][1])
    quantum = dict(rows[-1][2])[d + starts[-2] - 1]
    if not quantum > 0:
        return None
    codes, nodes, layer = [], [], 0  # nodes: the layers, counted from 0, in which the digits of a class start
    for parities in classes(d):
        found, layer = read_codes(rows, network, cells, parities, layer, digits)
        codes.append(found)
        nodes.append(layer + layers_of(grouped(box_of(path_of(steps, d)[0], steps), parities)) - 1)
        layer = nodes[-1] + 2 * digits + d * (steps - 2) + 1
    # The step along the first axis is the number of node M - 2 of the path; the total takes its offset when psi stands.
    at = nodes[0] + 5 * (steps - 3) + 7
    offset = -dict(rows[starts[at] + d][2])[d + starts[at - 1] + 2 * d + 2] / quantum
    step = digits_for(2 * whole(offset))
    leads = digits - _digits(d, steps, (0, step)), step
    if not in_range(steps, d, leads):
        return None
    order = np.argsort(_digit_order(steps, d, leads))
    levels = np.zeros((cells * steps,) * d, dtype=np.int64)
    for parities, numbers in zip(classes(d), codes, strict=True):
        found_levels = levels_of(digits_of(numbers, digits)[:, order], steps, d, leads)
        put_class(levels, cells, steps, parities, local_nodes(steps, d), found_levels)
    return BentPatches(
        cells, steps, 1, exact_number(base), exact_number(quantum), levels, tuple(exact_number(s) for s in slopes)
    )


FORMS.add(_read, bent_narrow)
