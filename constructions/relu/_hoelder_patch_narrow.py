"""How does a network of width 3 d + 6 without skips compute the interpolant of coded second differences? Node by node.

The function is that of _hoelder_patch_network, d = 2, 3. Registers: the coordinates x_k - low_k (until the last class has
folded them), the total, and for each of the 2^d classes of patches, one after the other,
    address   (d L + 1 layers)   one fold of one coordinate a layer; bits follow two layers later into Y <- 2 Y + bit;
    codes     (1 a place)        Y shrinks to its next place, and the code (with an offset) takes its share;
    places    (d L layers)       the same folds, whose results w_k stay: they need not be carried past the places of the codes;
    nodes     (2 layers a digit) the code, all w_k and the response psi_n of the node.
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
    leads_of,
    levels_of,
    local_nodes,
)
from constructions.relu._hoelder_patch_network import bent_network
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._hoelder_patch_reader import FORMS
from constructions.relu._patch_codes import (
    Parities,
    addresses,
    classes,
    code_polygon,
    codes_at,
    digits_of,
    folds,
    places,
    put_class,
)
from constructions.relu._patch_narrow import code_offset
from constructions.relu._patch_network import bit_ramp, unfolded
from constructions.relu._patch_reader import grid_of
from constructions.relu._plan_forms import Rows
from constructions.relu._registers import Registers
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
    return per_place * _bends(dimension, cells) + one * digits + node * steps**dimension + rest


def _digits(dimension: int, steps: int, leads: Leads) -> int:
    """The digits of a patch."""
    return leads[0] + dimension * leads[1] + 2 * (steps**dimension - 1 - dimension)


def _bends(dimension: int, cells: int) -> int:
    return sum(len(places(np.sort(addresses(cells, q)))) for q in classes(dimension))


def _other_layers(dimension: int, cells: int, steps: int) -> int:
    """All layers but those of digits."""
    d, node = dimension, path_of(steps, dimension)[0]
    first = sum(layers_of(grouped(box_of(node, steps), q)) - 1 for q in classes(d))
    return _bends(d, cells) + first + 2**d * (2 * d * folds(cells) + 1 + d * (steps - 2) + 1)


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
        self._regs, self._plan, self._domain = Registers(plan.dimension), plan, target.domain
        self._leads, self._quantum = narrow_leads(plan), to_fmpq(plan.quantum)
        self._order = _digit_order(plan.steps, plan.dimension, self._leads)
        self._gates: list[Form] = []  # of the digit before
        self._weight = fmpq(0)  # of these gates
        self._box = BoxDistance([], self._end, 0)  # of the next node
        affine = Form()
        for axis, (slope, (low, high)) in enumerate(zip(plan.slopes, target.domain, strict=True)):
            self._regs.set(f"x{axis}", self._regs.input(axis) - low)
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
        self._address(parities)
        self._code(found, digits[:, self._order])
        self._places(parities)
        self._nodes(parities, digits.shape[1])

    def finished(self) -> Network:
        """The network of all classes."""
        return self._regs.output(self._regs.get("total") + to_fmpq(self._plan.base))

    def _unfolded(self, axis: int, parity: int) -> Form:
        slope, offset = unfolded(self._domain, axis, self._plan.cells, self._plan.steps, parity)
        return slope * (self._regs.get(f"x{axis}") + self._domain[axis][0]) + offset

    def _address(self, parities: Parities) -> None:
        """Register Y."""
        missing, length = list[Form](), folds(self._plan.cells)
        for axis, parity in enumerate(parities):
            v = self._unfolded(axis, parity)
            for level in range(length):
                last = level + 1 == length
                above, *others = self._regs.layer(v - _HALF, *missing, *([] if last else [v]))
                self._count(others[: len(missing)])
                missing = [1 - above / bit_ramp(self._plan.cells, level)]
                if not last:
                    v = 2 * others[-1] - 4 * above
        self._count(self._regs.layer(*missing))

    def _places(self, parities: Parities) -> None:
        """Registers w_k; in the last class the coordinates are needed no longer."""
        for axis, parity in enumerate(parities):
            v = self._unfolded(axis, parity)
            if all(parities):
                self._regs.drop(f"x{axis}")
            for _ in range(folds(self._plan.cells)):
                rising, above = self._regs.layer(v, v - _HALF)
                v = 2 * rising - 4 * above
            self._regs.set(f"w{axis}", v)

    def _count(self, missing: list[Form]) -> None:
        """Add the bit of the layer before to Y."""
        for unit in missing:
            before = 2 * self._regs.get("Y") if self._regs.has("Y") else Form()
            self._regs.set("Y", before + 1 - unit)

    def _code(self, found: np.ndarray, digits: np.ndarray) -> None:
        """From Y to the code."""
        regs = self._regs
        start, bends, changes = code_polygon(found, digits)
        regs.set("code", Form(constant=start), code_offset(digits.shape[1], int(found[-1])))
        regs.layer()
        for i, change in enumerate(changes):
            regs.add("code", change * regs.get("Y"))
            if i + 1 < len(changes):
                regs.set("Y", regs.get("Y") - (bends[i + 1] - bends[i]))
                regs.layer()
        regs.drop("Y")
        regs.set("code", regs.get("code"))

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
        u = 2 * self._plan.steps * self._regs.get(f"w{axis}") - fmpq(self._plan.steps + 1, 2)
        return sign * (u - place)


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
    codes, first = [], d * folds(cells) + 1  # the layer, counted from 0, in which the first code starts
    nodes = []  # the layers in which the digits of a class start
    for parities in classes(d):
        found = np.sort(addresses(cells, parities))
        bends = places(found)
        value = whole(rows[starts[first + 1] - 1][1]) - code_offset(digits, int(found[-1]))
        changes = {}
        for i, place in enumerate(bends):
            layer = first + 1 + i
            unit = starts[layer] + units[layer - 1] - (2 if i + 1 == len(bends) else 1)
            changes[place] = whole(dict(rows[unit][2]).get(d + starts[layer] - 2, fmpq(0)))
        codes.append(codes_at(found, value, changes))
        start = layers_of(grouped(box_of(path_of(steps, d)[0], steps), parities)) - 1
        nodes.append(first + len(bends) + d * folds(cells) + start)
        first = nodes[-1] + 2 * digits + d * (steps - 2) + 1 + d * folds(cells) + 1
    # The step along the first axis is the number of node M - 2 of the path; the total takes its offset when psi stands.
    at = nodes[0] + 5 * (steps - 3) + 7
    offset = -dict(rows[starts[at] + d][2])[d + starts[at - 1] + 2 * d + 2] / quantum
    step = digits_for(2 * whole(offset))
    leads = digits - _digits(d, steps, (0, step)), step
    order = np.argsort(_digit_order(steps, d, leads))
    levels = np.zeros((cells * steps,) * d, dtype=np.int64)
    for parities, numbers in zip(classes(d), codes, strict=True):
        found = levels_of(digits_of(numbers, digits)[:, order], steps, d, leads)
        put_class(levels, cells, steps, parities, local_nodes(steps, d), found)
    return BentPatches(
        cells, steps, 1, exact_number(base), exact_number(quantum), levels, tuple(exact_number(s) for s in slopes)
    )


FORMS.add(_read, bent_narrow)
