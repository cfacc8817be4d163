"""How does a network of constant width without skips compute Coons patches of coded values in the plane? Lines, twice.

The surface is that of _coons_network, r = 3, 4: numbers are selected by gates, cut to their sizes, and multiplied. Registers:
the coordinates; what has been selected; for each of the 4 classes of patches, one after the other, the code and the local
places (_strict_classes), the r differences S_i of a window (_line_codes), the closure of the line, the number being read.
    digits    (2 layers each)  as in _hoelder_patch_narrow; a digit is 2 - (1 - I) - (1 - I');
    gates     (2 layers each)  while the digits that follow are read, to the next line as well: for each node and step of a
        window, the two parts of its closure, max(low + rho - u, 0)/rho and max(u - high + rho, 0)/rho, low and high n - 1 and
        n + 1 for a node, k and k + 1 for a step; then max(q + R - 2 R Y, 0) and max(1 - Y, 0), Y the sum with the closure of
        the line, which is let through as in _coons_network.
Levels of nodes and coefficients of bubbles on edges along the line are linear in S_0, .., S_(r-1). First lines run along axis
2, and corners and the bubbles of these edges are selected; with z_k the triangle waves,
    G_1 = A + z_1 [(B - A) + z_2 (A - B - C + D)] + z_2 [(C - A) + (1 - z_2) E_2(z_2)]
is computed. Then all is repeated, from another code, with lines along axis 1: G = G_1 + z_1 (1 - z_1) E_1(z_1). There are
4 r - 4 products, one after the other.

Statement. At every x of the box the network differs from P of the plan by at most (2^-10 + 2^-8) lambda. Its width is at most
4 r + 8: 20 for r = 3, 24 for r = 4. Proof. The numbers selected are those of _coons_network wherever closures are 0 or at
least 1, and cut to the same sizes; what its proof says about ramps applies. On the support of a patch codes, digits and so all
S_i are its own; off it all Y >= 1, and |q| <= R, whatever the digits are (bounds_of): nothing is let through. Registers that
may be negative have offsets. Width: 2 coordinates, 4 + 2 (r - 2) selected numbers, the code, 2 places, r differences, the
closure of the line, the number being read, 2 units of a digit, and r - 1 of gates: both sides of a node or a step are 2, and
r - 2 coefficients with 1 - Y are r - 1. So the width does not depend on N and M. Source: P19 (fixed width); derived here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from math import comb

import numpy as np
from flint import fmpq

from approx.networks import Form, Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._coons_network import coons_network
from constructions.relu._coons_plan import MOST_LEVEL, MOST_NODES, PRODUCTS, CoonsPlan
from constructions.relu._coons_reader import FORMS
from constructions.relu._difference_network import offset_for
from constructions.relu._hoelder_patch_codes import local_nodes
from constructions.relu._line_codes import (
    Leads,
    Move,
    all_counts,
    bounds_of,
    class_digits,
    counts_of,
    leads_of,
    levels_of,
    moves,
)
from constructions.relu._newton_windows import bubbles, window
from constructions.relu._patch_codes import Parities, classes, digits_of, folds, put_class
from constructions.relu._patch_reader import grid_of
from constructions.relu._plan_forms import Rows
from constructions.relu._registers import Registers
from constructions.relu._strict_classes import StrictClasses, bends_of_codes, class_layers, read_codes
from constructions.relu._two_scale_reader import exact_number
from constructions.relu.square import levels_for

#: Orders whose surfaces have bubbles on edges alone.
NARROW_ORDERS = (3, 4)
_HALF = fmpq(1, 2)
#: Yields what the units of a layer read, is sent the units.
_Task = Generator[list[Form], list[Form], None]


def coons_narrow_width(order: int) -> int:
    """The width, whatever N and M are."""
    return 4 * order + 8


def coons_narrow(plan: CoonsPlan, target: Target) -> Network:
    """The Network of a plan in two variables on the target's box; without hidden layers for affine functions."""
    if plan.constant:
        return coons_network(plan, target)
    writer = _Writer(plan, target)
    writer.select(1)
    writer.corners_and_curves()
    writer.select(0)
    writer.other_curves()
    return writer.finished()


class _Writer:
    """Writes the network of a plan."""

    def __init__(self, plan: CoonsPlan, target: Target) -> None:
        self._regs, self._plan, self._target = Registers(2), plan, target
        self._classes = StrictClasses(self._regs, plan, target.domain)
        self._leads = leads_of(plan)
        self._bounds = bounds_of(plan.steps, self._leads)
        self._reach = _reach(plan.order, self._bounds)
        self._tasks: deque[_Task] = deque()
        self._forms: list[Form] = []  # what the units of the first task read

    # -- selection

    def select(self, axis: int) -> None:
        """From the coordinates to the numbers on lines along this axis, and for axis 1 those of corners."""
        regs, plan = self._regs, self._plan
        corners = [f"c{s}{t}" for s in (0, 1) for t in (0, 1)] if axis == 1 else []
        for name in (*corners, *(f"e{s}{l}" for s in (0, 1) for l in range(plan.order - 2))):
            regs.set(name, Form(), 8 * self._reach)
        for parities in classes(2):
            found, digits = class_digits(plan, axis, parities, self._leads)
            self._classes.write(parities, found, digits)
            self._lines(axis, parities, digits.shape[1])

    def _lines(self, axis: int, parities: Parities, left: int) -> None:
        """Pass all windows; `left` digits are to be read."""
        regs, plan, r = self._regs, self._plan, self._plan.order
        for i, bound in enumerate(self._bounds):
            regs.set(f"S{i}", Form(), offset_for(fmpq(bound)))
        regs.set("line", Form())
        for move in moves(plan.steps, r):
            counts, offsets = counts_of(move, self._leads)
            for i, (count, offset) in enumerate(zip(counts, offsets, strict=True)):
                left -= count
                number = self._number(count, left)
                if self._tasks:  # the gates need the differences as they are
                    regs.set("next", number)
                    self._finish_tasks()
                    number = regs.get("next")
                    regs.drop("next")
                self._update(move.kind, i, number - offset)
            if move.kind in ("first", "change"):
                before, after = self._layer(*self._sides(1 - axis, move.line - 1, move.line + 1))
                regs.set("line", before + after)
            self._tasks.extend(self._tasks_at(axis, parities, move))
            self._next_task()
        self._finish_tasks()
        regs.drop("code", "w0", "w1", "line", *(f"S{i}" for i in range(r)))

    def _update(self, kind: str, i: int, number: Form) -> None:
        """Change the differences by number i of a move."""
        regs, r = self._regs, self._plan.order
        if kind == "forward":
            for j in range(r - 1):
                regs.add(f"S{j}", regs.get(f"S{j + 1}"))
            regs.add(f"S{r - 1}", number)
        elif kind == "backward":
            regs.add(f"S{r - 1}", -number)
            for j in range(r - 2, -1, -1):
                regs.add(f"S{j}", -regs.get(f"S{j + 1}"))
        else:
            regs.add(f"S{i}", number)

    def _number(self, count: int, left: int) -> Form:
        """The number of the next digits, of which `left` follow after it."""
        regs, total = self._regs, Form()
        for power in range(count - 1, -1, -1):
            c = fmpq(3) ** (left + power)
            one, two = self._layer(regs.get("code") - c + 1, regs.get("code") - 2 * c + 1)
            one, two = self._layer(1 - one, 1 - two)
            regs.add("code", c * (one + two) - 2 * c)
            total = (regs.get("next") if regs.has("next") else Form()) + 3**power * (2 - one - two)
            if power:
                regs.set("next", total)
        if regs.has("next"):
            regs.drop("next")
        return total

    def _tasks_at(self, axis: int, parities: Parities, move: Move) -> list[_Task]:
        """The gates of the nodes and steps of a window."""
        found = [self._step(axis, parities, move, k) for k in steps_at(move.window, self._plan.steps, self._plan.order)]
        if axis == 1:
            found += [self._node(parities, move, n) for n in nodes_at(move.window, self._plan.steps, self._plan.order)]
        return found

    def _node(self, parities: Parities, move: Move, node: int) -> _Task:
        """Let the level of a node through."""
        regs, reach = self._regs, self._reach
        sides = yield self._sides(1, node - 1, node + 1)
        closed = sides[0] + sides[1] + regs.get("line")
        place = node - move.window
        level = sum((comb(place, i) * regs.get(f"S{i}") for i in range(place + 1)), Form())
        let, open_ = yield [level + reach - 2 * reach * closed, 1 - closed]
        regs.add(f"c{(move.line + parities[0]) % 2}{(node + parities[1]) % 2}", let - reach * open_)

    def _step(self, axis: int, parities: Parities, move: Move, k: int) -> _Task:
        """Let the coefficients of the bubble of an edge through."""
        regs, reach, r = self._regs, self._reach, self._plan.order
        sides = yield self._sides(axis, k, k + 1)
        closed = sides[0] + sides[1] + regs.get("line")
        numbers = []
        rows = bubbles(r, k - move.window, (k + parities[axis]) % 2 == 1)
        share = fmpq(1) if 0 <= k < self._plan.steps - 1 else _HALF
        for l in range(r - 2):
            number = sum((share * rows[i][l] * regs.get(f"S{i}") for i in range(2, r) if rows[i][l]), Form())
            numbers.append(number + reach - 2 * reach * closed)
        *let, open_ = yield [*numbers, 1 - closed]
        for l, form in enumerate(let):
            regs.add(f"e{(move.line + parities[1 - axis]) % 2}{l}", form - reach * open_)

    def _sides(self, axis: int, low: int, high: int) -> list[Form]:
        """Two parts of a closure, 0 on [low + rho, high - rho], whose sum is at least 1 outside [low, high]."""
        u, rho = self._classes.place(axis), self._plan.ramp
        return [(low + rho - u) / rho, (u - high + rho) / rho]

    def _layer(self, *others: Form) -> list[Form]:
        """A layer, with the units of the first task."""
        units = self._regs.layer(*others, *self._forms)
        if self._tasks:
            try:
                self._forms = self._tasks[0].send(units[len(others) :])
            except StopIteration:
                self._tasks.popleft()
                self._forms = []
                self._next_task()
        return units[: len(others)]

    def _next_task(self) -> None:
        if self._tasks and not self._forms:
            self._forms = next(self._tasks[0])

    def _finish_tasks(self) -> None:
        while self._tasks:
            self._layer()

    # -- the surface

    def corners_and_curves(self) -> None:
        """Register G, from the corners and the curves along axis 2."""
        regs, plan = self._regs, self._plan
        size, bends = sizes_of(plan)
        corners = [f"c{s}{t}" for s in (0, 1) for t in (0, 1)]
        self._cut({name: (fmpq(0), size) for name in corners})
        a, c, b, d = corners
        self._waves()
        total = regs.get(a) - regs.get(b) - regs.get(c) + regs.get(d)
        bent = self._times(total, lambda: regs.get("z1"), 2 * size)
        first = self._times(regs.get(b) - regs.get(a) + bent, lambda: regs.get("z0"), 3 * size + 1)
        regs.set("G", regs.get(a) + first, surface_offset(plan))
        regs.drop(b, d)
        bubble = self._curve(1, bends)
        most = size + sum(bends, fmpq(len(bends)))
        regs.add("G", self._times(regs.get(c) - regs.get(a) + bubble, lambda: regs.get("z1"), most))
        regs.drop(a, c, "z0", "z1")

    def other_curves(self) -> None:
        """Add to G what the curves along axis 1 add."""
        regs, (_, bends) = self._regs, sizes_of(self._plan)
        self._cut({})
        self._waves()
        bubble = self._curve(0, bends)
        regs.add("G", self._times(bubble, lambda: regs.get("z0"), sum(bends, fmpq(len(bends)))))
        regs.drop("z0", "z1")
        regs.layer()

    def finished(self) -> Network:
        """The network."""
        plan, total = self._plan, to_fmpq(self._plan.quantum) * self._regs.get("G") + to_fmpq(self._plan.base)
        for axis, (slope, (low, high)) in enumerate(zip(plan.slopes, self._target.domain, strict=True)):
            total += self._regs.get(f"x{axis}") * (to_fmpq(slope) * plan.pieces / (high - low))
        return self._regs.output(total)

    def _cut(self, ranges: dict[str, tuple[fmpq, fmpq]]) -> None:
        """Cut the numbers that were selected to their sizes."""
        regs, (_, bends) = self._regs, sizes_of(self._plan)
        ranges = ranges | {f"e{s}{l}": (-bend, bend) for s in (0, 1) for l, bend in enumerate(bends)}
        for name, (low, _) in ranges.items():
            regs.set(name, regs.get(name) - low)
        regs.layer()
        for name, (low, high) in ranges.items():
            regs.set(name, high - low - regs.get(name))
        regs.layer()
        for name, (low, high) in ranges.items():
            regs.set(name, high - regs.get(name), -low)

    def _waves(self) -> None:
        """Registers z_k, 0 at even and 1 at odd nodes of axis k."""
        regs, count = self._regs, self._plan.pieces.bit_length()
        for axis, (low, high) in enumerate(self._target.domain):
            s = regs.get(f"x{axis}") * (self._plan.pieces / (high - low)) / 2**count
            for _ in range(count):
                rising, above = regs.layer(s, s - _HALF)
                s = 2 * rising - 4 * above
            regs.set(f"z{axis}", s)

    def _wave(self, axis: int, sign: int, constant: int) -> Form:
        return constant + sign * self._regs.get(f"z{axis}")

    def _curve(self, axis: int, bends: list[fmpq]) -> Form:
        """(1 - z) E(z) of the edges along an axis, by Horner's rule; their registers are dropped."""
        regs, inside, most = self._regs, Form(), fmpq(0)
        for l in range(len(bends) - 1, -1, -1):
            if inside.terms:
                regs.set("inside", inside, most)
            mean = self._times(regs.get(f"e1{l}") - regs.get(f"e0{l}"), lambda: regs.get(f"z{1 - axis}"), 2 * bends[l])
            inside = regs.get(f"e0{l}") + mean
            if regs.has("inside"):
                inside += regs.get("inside")
                regs.drop("inside")
            regs.drop(f"e0{l}", f"e1{l}")
            most += bends[l] + fmpq(1, 4)
            sign, one = (1, 0) if l else (-1, 1)
            inside = self._times(inside, partial(self._wave, axis, sign, one), most)
        return inside

    def _times(self, form: Form, factor: Callable[[], Form], most: fmpq) -> Form:
        """The product of a form, at most `most`, and a factor in [0, 1] that stands in registers: as product_form."""
        regs = self._regs
        regs.set("x", form, most)

        def halves() -> list[Form]:
            return [(regs.get("x") / most + sign * factor()) / 2 for sign in (1, -1)]

        plus, minus = regs.layer(*halves())
        first, second = halves()
        regs.drop("x")
        plus, minus = regs.layer(2 * plus - first, 2 * minus - second)
        regs.set("V", plus - minus, 1)
        for level in range(1, _product_levels(self._plan.order, most) + 1):
            p, q, v, w = regs.layer(plus, plus - _HALF, minus, minus - _HALF)
            plus, minus = 2 * p - 4 * q, 2 * v - 4 * w
            regs.add("V", (minus - plus) / 4**level)
        found = most * regs.get("V")
        regs.drop("V")
        return found


def _reach(order: int, bounds: list[int]) -> fmpq:
    """R: a power of two above all that is selected, for |S_i| <= bounds."""
    numbers = [fmpq(sum(comb(n, i) * bounds[i] for i in range(n + 1))) for n in range(order)]
    for kappa in range(-1, order):
        for odd in (False, True):
            rows = bubbles(order, kappa, odd)
            numbers += [sum((abs(rows[i][l]) * bounds[i] for i in range(2, order)), fmpq(0)) for l in range(order - 2)]
    return offset_for(max(numbers) + 1)


def steps_at(start: int, steps: int, order: int) -> list[int]:
    """The steps of a line whose window is this one."""
    return [k for k in range(-1, steps) if window(k, steps - 1, order) == start]


def nodes_at(start: int, steps: int, order: int) -> list[int]:
    """The nodes of a line whose levels are let through at this window: its first one, at the last window all."""
    return list(range(start, start + (order if start == steps - order else 1)))


def sizes_of(plan: CoonsPlan) -> tuple[fmpq, list[fmpq]]:
    """Bounds of levels, and of the coefficients of bubbles as polynomials of z; the latter at least 1."""
    changes = [max(int(np.abs(np.diff(plan.levels, i, axis=k)).max()) for k in (0, 1)) for i in range(plan.order)]
    bends = [fmpq(1)] * (plan.order - 2)
    for kappa in range(-1, plan.order):
        for odd in (False, True):
            rows = bubbles(plan.order, kappa, odd)
            for l, bend in enumerate(bends):
                bends[l] = max(bend, sum((abs(rows[i][l]) * changes[i] for i in range(2, plan.order)), fmpq(0)))
    return fmpq(changes[0]), bends


def surface_offset(plan: CoonsPlan) -> fmpq:
    """A power of two above |G|."""
    size, bends = sizes_of(plan)
    return offset_for(8 * size + 4 * sum(bends) + 8)


def _product_levels(order: int, most: fmpq) -> int:
    """Sawtooth levels of a product with a factor of this size."""
    return max(2, levels_for(PRODUCTS / (4 * order - 4), most))


# -- size ---------------------------------------------------------------------------------------------------------------


def coons_narrow_layers(plan: CoonsPlan) -> int:
    """The number of hidden layers."""
    leads = leads_of(plan)
    walks = sum(_walk_layers(plan.steps, leads, corners)[0] for corners in (True, False))
    return 2 * class_layers(2, plan.cells) + 4 * walks + _surface_layers(plan)


def coons_narrow_weights(plan: CoonsPlan) -> int:
    """An upper bound of the weights: (4 r + 9) N^2 to twice as many, about 1350 M^2 (r = 4: 1590 M^2), and O(M log W).

    Along the two axes together, and per class: a digit has 18 + 18 weights and two layers of 3 r + 7 and 3 r + 4 registers; the
    gates of a node have 15, those of a step 11 + (r - 2)(r + 3) each time, moving the differences 2 r - 1.
    """
    r, m, leads = plan.order, plan.steps, leads_of(plan)
    digits = int(all_counts(m, leads)[0].sum())
    gates = 15 + 2 * (11 + (r - 2) * (r + 3)) + 4 * r - 2
    places, length = (4 * r + 9) * bends_of_codes(2, plan.cells), folds(plan.cells)
    fixed = (2 * r + 18) * _surface_layers(plan) + 4 * length * (16 * r + 60) + 100 * r
    return places + 4 * (12 * r + 58) * digits + 4 * gates * m * (m + 2) + 4 * (6 * r + 40) * m + fixed


def _surface_layers(plan: CoonsPlan) -> int:
    """The layers in which the surface is computed: two to cut, the waves, m + 2 for a product of m levels."""
    size, bends = sizes_of(plan)
    most, factors = fmpq(0), [2 * size, 3 * size + 1, size + sum(bends) + len(bends), sum(bends) + len(bends)]
    for bend in bends[::-1]:
        most += bend + fmpq(1, 4)
        factors += 2 * [2 * bend, most]
    products = sum(_product_levels(plan.order, fmpq(factor)) + 2 for factor in factors)
    return 2 * (2 + 2 * plan.pieces.bit_length()) + products + 1


def _walk_layers(steps: int, leads: Leads, corners: bool) -> tuple[int, int]:
    """(the layers of a walk through a patch, those before the first digit of its second line)."""
    order, total, waiting, second = len(leads.first), 0, 0, 0
    for move in moves(steps, order):
        if move.kind == "change" and not second:
            second = total
        total += max(2 * sum(counts_of(move, leads)[0]), waiting) + (move.kind in ("first", "change"))
        waiting = 2 * (len(steps_at(move.window, steps, order)) + corners * len(nodes_at(move.window, steps, order)))
    return total + waiting, second


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> CoonsPlan | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    if target.dimension != 2:
        return None
    units = [layer.units for layer in network.layers]
    starts = [0, *np.cumsum(units).tolist()]
    # The first layer: the coordinates, 2 r numbers that are selected, and one or two units of a fold.
    order = units[0] // 2 - 1 - (units[0] % 2 == 0)
    _, fold, weights = rows[2 + 2 * order]
    cells, steps = grid_of(dict(weights)[0], fold + _HALF, target)
    if (cells * steps) ** 2 > MOST_NODES or order not in NARROW_ORDERS or steps < order:
        return None
    layer = read_codes(rows, network, cells, (0, 0), 0, 0)[1]
    first = _digit_counts(rows, starts, layer, order)
    second = _walk_layers(steps, Leads(first, (1,) * order), True)[1]
    leads = Leads(first, _digit_counts(rows, starts, layer + second, order))
    if _reach(order, bounds_of(steps, leads)) > MOST_LEVEL:
        return None
    digits, walk = int(all_counts(steps, leads)[0].sum()), _walk_layers(steps, leads, True)[0]
    levels, layer = np.zeros((cells * steps,) * 2, dtype=np.int64), 0
    for parities in classes(2):
        codes, layer = read_codes(rows, network, cells, parities, layer, digits)
        found = levels_of(digits_of(codes, digits), steps, leads).reshape(len(codes), -1)
        put_class(levels, cells, steps, parities, local_nodes(steps, 2), found)
        layer += walk
    _, base, output = rows[-1]
    inputs, last = dict(output), 2 + starts[-2]
    slopes = [
        inputs.get(last - 3 + k, fmpq(0)) * (high - low) / (cells * steps - 1)
        for k, (low, high) in enumerate(target.domain)
    ]
    numbers = exact_number(inputs[last - 1]), levels, tuple(exact_number(s) for s in slopes)
    base += inputs[last - 1] * surface_offset(CoonsPlan(cells, steps, 1, 0.0, *numbers, order))
    return CoonsPlan(cells, steps, 1, exact_number(base), *numbers, order).checked()


def _digit_counts(rows: Rows, starts: list[int], layer: int, order: int) -> tuple[int, ...]:
    """The digits of r numbers, of which the first is read from this layer on: what is read has weights of -3^j, j > 0."""
    place, found = 3 * order + 6, []  # the place of this number among the units of a layer, if it is there
    for _ in range(order):
        count, more = 0, True
        while more:
            complement = 2 + starts[layer + 1] + place + (count > 0)
            layer, count = layer + 2, count + 1
            more = dict(rows[starts[layer] + place][2]).get(complement, fmpq(0)) < 0
        found.append(count)
    return tuple(found)


FORMS.add(_read, coons_narrow)
