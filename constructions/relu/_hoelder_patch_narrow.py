"""How does a network of width 12 without skips compute the interpolant of coded second differences? Node by node.

The function is that of _hoelder_patch_network, d = 2. Registers: the coordinates x_k - low_k (until the last class has folded
them), the total, and for each of the 4 classes of patches, one after the other,
    address   (2 L + 1 layers)   one fold of one coordinate a layer; bits follow two layers later into Y <- 2 Y + bit;
    codes     (1 a place)        Y shrinks to its next place, and the code (with an offset) takes its share;
    places    (2 L layers)       the same folds, whose results w_k stay: they need not be carried past the places of the codes;
    nodes     (2 layers a digit) the code, w_1, w_2 and the response psi_n of the node.
A digit of the code z, c its place value: max(z - c + 1, 0) and max(z - 2 c + 1, 0) in one layer, with the gates of the digit
before; 1 minus each, cut at 0, in the next, 1 - I and 1 - I': z <- z - c I - c I', gates max(psi - R (1 - I), 0).
Responses are not sums over all nodes here, they follow from u_1, u_2 alone. The hat functions of the box of nodes n_k .. M - 1
per axis sum up to
    max(1 - max_S e - max_{not S} e, 0),   e = max(n_k - u_k, 0) and max(u_k - M + 1, 0) for the two ends of every axis,
S = the ends of odd coordinates. That is psi_n but for n = n_k e_k, where psi_n = psi_(n + e_k) + the one of the box.
Statement. Proof of this formula: in a cell at most one end per axis has 0 < e < 1; where one has e >= 1 there is no node of the
box in the cell, and both sides are 0; else those of the cell's vertices that belong to the box are a face of it, and what
_reflected says about boxes applies to this face. max(f_1, .., f_m, 0) of affine functions f_i takes m layers of one unit,
    s_1 = max(f_1 - f_2, 0),  s_i = max(f_i + s_(i-1) - f_(i+1), 0),  f_(m+1) = 0,
so S and its complement, four ends in all, take the last four layers before psi_n is needed and at most two units in each,
one in the second: 12 units in a layer. So all layers are those of digits, but for one more at each node of the axes, at which
the box and psi_(n + e_k) are added. Numbers are never negative, but codes and the total, which have offsets; gates are at most
psi_n <= R, so that the total is at least the least value of its affine part minus lambda sum_n R_n times the offset of q_n for
every class. Off the supports psi_n = 0 and gates are 0, whatever the digits are (_hoelder_patch_network).
So the width does not depend on N and M. Source: P19 (fixed width); the schedule and the formula are derived here.
"""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.networks import Form, Network
from approx.numbers import to_fmpq
from approx.targets import Target
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

#: The width of the form, whatever N and M are.
WIDTH = 12
#: How many layers the distance from a box takes, at most: one for each of its ends.
_ENDS = 4
_HALF = fmpq(1, 2)


def bent_narrow(plan: BentPatches, target: Target) -> Network:
    """The Network of a plan in two variables on the target's box, of width 12; without hidden layers for affine functions."""
    if plan.constant:
        return bent_network(plan, target)
    writer = _Writer(plan, target)
    for parities in classes(2):
        writer.add_class(parities)
    return writer.finished()


def narrow_leads(plan: BentPatches) -> Leads:
    """Digits of corners and of steps, at least two: a node's layers overlap with the last two digits before."""
    corner, step = leads_of(plan)
    return corner, max(2, step)


def bent_narrow_layers(cells: int, steps: int, leads: Leads) -> int:
    """The number of hidden layers: two a digit, one for each place of the codes, and few more."""
    digits = leads[0] + 2 * leads[1] + 2 * (steps**2 - 3)
    return _other_layers(cells, steps) + 8 * digits


def bent_narrow_weights(cells: int, steps: int, leads: Leads) -> int:
    """An upper bound of the weights: 7 N^2 to 14 N^2 for the codes, 324 M^2 for second differences, and less.

    A digit has 34 weights: 8 and 4 for what is compared, 4 + 1 for the code, 4 + 3 for the gates, the other registers; a
    response has 13.
    """
    bends = sum(len(places(np.sort(addresses(cells, q)))) for q in classes(2))
    digits = leads[0] + 2 * leads[1] + 2 * (steps**2 - 3)
    return 7 * bends + 136 * digits + 52 * steps**2 + 40 * steps + 176 * folds(cells) - 68


def _other_layers(cells: int, steps: int) -> int:
    """All layers but those of digits."""
    bends = sum(len(places(np.sort(addresses(cells, q)))) for q in classes(2))
    first = sum(_longest(_ends(path_of(steps)[0], steps, q)) - 1 for q in classes(2))
    return bends + first + 4 * (4 * folds(cells) + 1 + 2 * (steps - 2) + 1)


def path_of(steps: int) -> list[Node]:
    """The nodes in the order in which they are coded: down both axes, the corner, the others."""
    down = range(steps - 1, 0, -1)
    inner = [(m, n) for m in range(1, steps) for n in range(1, steps)]
    return [*((m, 0) for m in down), *((0, n) for n in down), (0, 0), *inner]


def _digit_order(steps: int, leads: Leads) -> np.ndarray:
    """Which digits of the lexicographic order stand here in the order of the path."""
    counts, _ = digit_counts(steps, 2, leads)
    starts = np.cumsum(counts) - counts
    numbers = [m * steps + n for m, n in path_of(steps)]
    return np.concatenate([np.arange(starts[k], starts[k] + counts[k]) for k in numbers])


#: An end of a box, sign * (u_axis - place), by (sign, axis, place).
_End = tuple[int, int, int]


def _ends(node: Node, steps: int, parities: Parities) -> list[list[_End]]:
    """The ends of even and of odd coordinates of the box of nodes >= node; parities are those of the local node 0."""
    groups: list[list[_End]] = [[], []]
    for axis, (n, q) in enumerate(zip(node, parities, strict=True)):
        groups[(n + q) % 2].append((-1, axis, n))
        groups[(steps - 1 + q) % 2].append((1, axis, steps - 1))
    return groups


def _longest(groups: list[list[_End]]) -> int:
    return max(map(len, groups))


class _Writer:
    """Writes one class after the other; the register `total` is what has been summed up."""

    def __init__(self, plan: BentPatches, target: Target) -> None:
        self._regs, self._plan, self._domain = Registers(2), plan, target.domain
        self._leads, self._quantum = narrow_leads(plan), to_fmpq(plan.quantum)
        self._order = _digit_order(plan.steps, self._leads)
        self._gates: list[Form] = []  # of the digit before
        self._weight = fmpq(0)  # of these gates
        self._groups: list[list[_End]] = []  # ends of the box of the next node that have not been looked at
        self._tops: list[Form] = []
        self._left = 0  # layers until its distance is known
        affine = Form()
        for axis, (slope, (low, high)) in enumerate(zip(plan.slopes, target.domain, strict=True)):
            self._regs.set(f"x{axis}", self._regs.input(axis) - low)
            affine += self._regs.get(f"x{axis}") * (to_fmpq(slope) * plan.pieces / (high - low))
        self._regs.set("total", affine, self._reach())

    def _reach(self) -> fmpq:
        """A power of two above -total."""
        plan = self._plan
        most = sum((abs(to_fmpq(s)) for s in plan.slopes), fmpq(1)) * plan.pieces
        nodes = local_nodes(plan.steps, 2).tolist()
        offsets = digit_counts(plan.steps, 2, self._leads)[1].tolist()
        return offset_for(most + 4 * self._quantum * sum(o * self._most(n) for o, n in zip(offsets, nodes, strict=True)))

    def _most(self, node: Node) -> int:
        """R: a bound of the response of a node."""
        return self._plan.steps - max(node) if len(set(axes_of(tuple(node)))) == 1 else 1

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
        """Registers w_1 and w_2; in the last class the coordinates are needed no longer."""
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
        """From w_1, w_2 and the code to the total; `left` digits are to be read."""
        regs, plan = self._regs, self._plan
        counts, offsets = digit_counts(plan.steps, 2, self._leads)
        path = path_of(plan.steps)
        self._seek(path[0], parities, _longest(_ends(path[0], plan.steps, parities)))
        while self._left > 1:
            self._layer()
        for number, node in enumerate(path):
            place = node[0] * plan.steps + node[1]
            most, box = self._most(node), list[Form]()
            if len(set(axes_of(node))) == 1 and max(node) < plan.steps - 1:
                self._layer()
                box = [1 - self._distance()]
            elif regs.has("psi"):
                regs.drop("psi")
            for power in range(int(counts[place]) - 1, -1, -1):
                left -= 1
                c = fmpq(3) ** left
                one, two, *box = self._layer(regs.get("code") - c + 1, regs.get("code") - 2 * c + 1, *box)
                if box:
                    regs.add("psi", box.pop())
                elif not regs.has("psi"):
                    regs.set("psi", 1 - self._distance())
                if power == 1 and number + 1 < len(path):
                    self._seek(path[number + 1], parities, _ENDS)
                one, two = self._layer(1 - one, 1 - two)
                regs.add("code", c * (one + two) - 2 * c)
                self._gates = [regs.get("psi") - most * closed for closed in (one, two)]
                self._weight = self._quantum * 3**power
                if power == counts[place] - 1:
                    regs.add("total", -self._quantum * int(offsets[place]) * regs.get("psi"))
        regs.drop("psi", "code", "w0", "w1")
        self._layer()

    def _layer(self, *others: Form) -> list[Form]:
        """A layer with gates of the digit before and what the distance of the next box needs."""
        gates, active = self._gates, [k for k, g in enumerate(self._groups) if self._left and len(g) >= self._left]
        forms = [self._end(k) - self._end(k, 1) for k in active]
        units = self._regs.layer(*gates, *others, *forms)
        for gate in units[: len(gates)]:
            self._regs.add("total", self._weight * gate)
        self._gates = []
        self._left = max(self._left - 1, 0)
        for k, unit in zip(active, units[len(gates) + len(others) :], strict=True):
            self._groups[k].pop(0)
            self._tops[k] = unit
        return units[len(gates) : len(gates) + len(others)]

    def _seek(self, node: Node, parities: Parities, layers: int) -> None:
        """Find the distance from the box of a node in as many layers from here."""
        self._groups, self._left = _ends(node, self._plan.steps, parities), layers
        self._tops = [Form(), Form()]

    def _end(self, group: int, number: int = 0) -> Form:
        """The end of this number in a group, 0 after the last one; the first one with the larger ones before."""
        ends = self._groups[group]
        top = self._tops[group] if number == 0 else Form()
        if number == len(ends):
            return top
        sign, axis, place = ends[number]
        u = 2 * self._plan.steps * self._regs.get(f"w{axis}") - fmpq(self._plan.steps + 1, 2)
        return top + sign * (u - place)

    def _distance(self) -> Form:
        """The distance from the box, when no layer is left."""
        return self._tops[0] + self._tops[1]


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> BentPatches | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    if target.dimension != 2:
        return None
    cells, steps = grid_of(dict(rows[3][2])[0], rows[3][1] + _HALF, target)
    if (cells * steps) ** 2 > MAXIMUM_NODES:
        return None
    pieces, units = cells * steps - 1, [layer.units for layer in network.layers]
    starts = [2, *(2 + np.cumsum(units)).tolist()]
    digits, rest = divmod(len(units) - 1 - _other_layers(cells, steps), 8)
    if rest:
        return None
    inputs = [dict(rows[2][2]).get(k, fmpq(0)) for k in (0, 1)]
    slopes = [w * (high - low) / pieces for w, (low, high) in zip(inputs, target.domain, strict=True)]
    base = rows[-1][1] + rows[2][1] + sum((w * low for w, low in zip(inputs, target.domain.lower, strict=True)), fmpq(0))
    quantum = dict(rows[-1][2])[starts[-2] - 1]
    codes, first = [], 2 * folds(cells) + 1  # the layer, counted from 0, in which the first code starts
    nodes = []  # the layers in which the digits of a class start
    for parities in classes(2):
        found = np.sort(addresses(cells, parities))
        bends = places(found)
        value = whole(rows[starts[first + 1] - 3][1]) - code_offset(digits, int(found[-1]))
        changes = {}
        for i, place in enumerate(bends):
            layer = first + 1 + i
            unit = starts[layer] + units[layer - 1] - (2 if i + 1 == len(bends) else 1)
            changes[place] = whole(dict(rows[unit - 2][2]).get(starts[layer] - 2, fmpq(0)))
        codes.append(codes_at(found, value, changes))
        nodes.append(first + len(bends) + 2 * folds(cells) + _longest(_ends(path_of(steps)[0], steps, parities)) - 1)
        first = nodes[-1] + 2 * digits + 2 * (steps - 2) + 1 + 2 * folds(cells) + 1
    # The step along the first axis is the number of node M - 2 of the path; the total takes its offset when psi stands.
    at = nodes[0] + 5 * (steps - 3) + 7
    offset = -dict(rows[starts[at]][2])[starts[at - 1] + 6] / quantum
    step = digits_for(2 * whole(offset))
    leads = digits - 2 * (steps**2 - 3) - 2 * step, step
    order = np.argsort(_digit_order(steps, leads))
    levels = np.zeros((cells * steps,) * 2, dtype=np.int64)
    for parities, numbers in zip(classes(2), codes, strict=True):
        found = levels_of(digits_of(numbers, digits)[:, order], steps, 2, leads)
        put_class(levels, cells, steps, parities, local_nodes(steps, 2), found)
    return BentPatches(
        cells, steps, 1, exact_number(base), exact_number(quantum), levels, tuple(exact_number(s) for s in slopes)
    )


FORMS.add(_read, bent_narrow)
