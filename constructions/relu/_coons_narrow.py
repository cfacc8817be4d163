"""How does a network of constant width without skips compute Coons patches of coded values? Pass by pass, line by line.

The surface is that of _coons_network; the width depends on the number of variables alone, not on the order, nor on N and M.
For each pass (_line_walks), registers: the coordinates; what has been selected; G, and F for faces; and, for each of the 2^d
classes of patches, one after the other, the code and the local places (_strict_classes), T and U (_packed_lines), the closure
of the line.
    digits    (2 layers each)  as in _hoelder_patch_narrow; a digit is 2 - (1 - I) - (1 - I'), and adds to T and U at once;
    gates     (2 layers)       while the next digit is read: for a step, on every pass, and for a node, on the first one, the
        two parts of its closure, max(low + rho - u, 0)/rho and max(u - high + rho, 0)/rho, low and high n - 1 and n + 1 for a
        node, k and k + 1 for a step; then max(q + R - 2 R Y, 0) and max(1 - Y, 0), Y the sum with the closure of the line: q
        is let through as in _coons_network. q = T on nodes, c T on even and c U on odd steps, half of it between patches.
A line has one layer more, for its closure: that of the nodes, or steps, of the other axes. After the pass
    corners   (first pass)     the whole number h_0 of what was selected, by their parities;
    bubbles   (each pass)      by Horner's rule, digit by digit: -z (1 - z)/2 V_2, V_b = h_b + (z - b)/(b + 1) V_(b+1),
since C(z, b) = z (z - 1)/2 (z - 2)/3 .. (z - b + 1)/b; on faces, F_a = V_2 + (z' - a)/(a + 1) F_(a+1) by the passes a = r - 3,
.., 2 and z (1 - z) z' (1 - z')/4 F_2; means over axes not in S in proportion to the waves. One product follows the other.

Statement. At every x of the box the network differs from P of the plan by at most (2^-10 + 2^-8) lambda. Its width is 2 d + 10
+ 3 2^(d-1): 20 for d = 2, 28 for d = 3. Proof. The numbers selected are those of _coons_network wherever closures are 0 or at
least 1, in another basis, and cut to their sizes; what its proof says about ramps applies, with factors -z (1 - z)/2. On the
support of a patch codes and digits are its own; off it all Y >= 1, and |q| <= R, whatever the digits are: nothing is let
through. Registers that may be negative have offsets. Width: the most units stand in the layers of digits of the first pass: d
coordinates, 2^d corners and 2^(d-1) edges, the code, d places, T, U, the closure of the line, two units of the digit, two of
each of two gates. Source: P19 (fixed width adapting to every r); derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any, NamedTuple

from flint import fmpq

from approx.networks import Form, Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._coons_bubbles import Index
from constructions.relu._coons_network import coons_network
from constructions.relu._coons_plan import CoonsPlan
from constructions.relu._difference_network import gate as let_through
from constructions.relu._difference_network import offset_for
from constructions.relu._line_walks import Move, Walk, mirrored
from constructions.relu._packed_lines import NarrowNumbers, PackedLines
from constructions.relu._patch_codes import Parities, classes
from constructions.relu._registers import Registers
from constructions.relu._strict_classes import StrictClasses
from constructions.relu._strict_products import HALF, below_whole, cut, digit_added, folded, times
from constructions.relu.square import levels_for


def coons_narrow_width(dimension: int) -> int:
    """The width, whatever N, M and r are."""
    return 2 * dimension + 10 + 3 * 2 ** (dimension - 1)


def coons_narrow(plan: CoonsPlan, target: Target) -> Network:
    """The Network of a plan on the target's box; without hidden layers for affine functions."""
    if plan.constant:
        return coons_network(plan, target)
    writer = _Writer(plan, target)
    for lines in writer.numbers.passes:
        writer.select(lines)
        _surface(writer, lines)
    return writer.finished()


class _Gate(NamedTuple):
    """What may be let through: the name that takes it, whether it is U, its share, the axis and the ends of its closure."""

    name: str
    mirrored: bool
    share: int
    axis: int
    low: int
    high: int


class _Writer:
    """Writes the network of a plan."""

    def __init__(self, plan: CoonsPlan, target: Target) -> None:
        self.numbers = NarrowNumbers(plan)
        self._regs, self._plan, self._target = Registers(plan.dimension), plan, target
        self._classes = StrictClasses(self._regs, plan, target.domain)
        self._gates: list[_Gate] = []
        self._reach = fmpq(0)

    # -- selection

    def select(self, lines: PackedLines) -> None:
        """From the coordinates to the packed numbers of edges or faces, and of corners on the first pass."""
        walk = lines.walk
        self._reach = lines.whole * lines.reach
        for name in selected(walk):
            self.put(name)
        for parities in classes(self._plan.dimension):
            found, digits = walk.class_digits(self._plan, parities, lines.leads)
            self._classes.write(parities, found, digits)
            self._pass(lines, parities, digits.shape[1])

    def put(self, name: str) -> None:
        """A register for what will be selected."""
        self._regs.set(name, Form(), 2 ** (self._plan.dimension + 1) * self._reach)

    def _pass(self, lines: PackedLines, parities: Parities, left: int) -> None:
        """Through all patches of a class at once; `left` digits are to be read."""
        regs, walk = self._regs, lines.walk
        regs.set("T", Form(), lines.reach)
        regs.set("U", Form(), lines.reach)
        for move in walk.moves():
            counts = walk.counts(move, lines.leads)
            if not counts:
                self._layers(None)
                self._step(lines, move)
            for number, (count, vector) in enumerate(zip(counts, walk.vectors(move), strict=False)):
                both = lines.packed(vector), lines.packed(mirrored(vector, lines.low))
                for power in range(count - 1, -1, -1):
                    left -= 1
                    digit = self._layers(left)
                    if number == 0 and power == count - 1:  # the gates have seen T and U as they were
                        self._step(lines, move)
                    for name, weight in zip("TU", both, strict=True):
                        regs.add(name, 3**power * weight * (digit - 1))
            if move.kind in ("first", "change"):
                self._close_line(walk, move)
            self._gates = gates_of(walk, move, parities)
        self._layers(None)
        regs.drop("code", *(f"w{axis}" for axis in range(self._plan.dimension)), "T", "U", "line")

    def _step(self, lines: PackedLines, move: Move) -> None:
        for name, factor in zip("TU", lines.steps(move.kind), strict=True):
            self._regs.set(name, factor * self._regs.get(name), lines.reach)

    def _close_line(self, walk: Walk, move: Move) -> None:
        sides: list[Form] = []
        for axis, n in zip(walk.others, move.line, strict=True):
            sides += self._sides(axis, n if axis in walk.one.axes else n - 1, n + 1)
        self._regs.set("line", sum(self._regs.layer(*sides), Form()))

    def _layers(self, left: int | None) -> Form:
        """Two layers: the leading digit of the code, of which `left` follow, unless None; and the gates that wait."""
        regs, reach, gates, digit = self._regs, self._reach, self._gates, list[Form]()
        place = 0 if left is None else fmpq(3) ** left
        if place:
            digit = [regs.get("code") - place + 1, regs.get("code") - 2 * place + 1]
        sides = [side for gate in gates for side in self._sides(gate.axis, gate.low, gate.high)]
        units = regs.layer(*digit, *sides)
        digit, sides = [1 - unit for unit in units[: len(digit)]], units[len(digit) :]
        passing: list[Form] = []
        for gate, before, after in zip(gates, sides[::2], sides[1::2], strict=True):
            closed = before + after + regs.get("line")
            number = gate.share * regs.get("U" if gate.mirrored else "T")
            passing += [let_through(number, closed, reach), 1 - closed]
        units = regs.layer(*digit, *passing)
        digit, passing = units[: len(digit)], units[len(digit) :]
        for gate, let, opened in zip(gates, passing[::2], passing[1::2], strict=True):
            regs.add(gate.name, let - reach * opened)
        self._gates = []
        if not place:
            return Form()
        regs.add("code", place * (digit[0] + digit[1]) - 2 * place)
        return 2 - digit[0] - digit[1]

    def _sides(self, axis: int, low: int, high: int) -> list[Form]:
        """Two parts of a closure, 0 on [low + rho, high - rho], whose sum is at least 1 outside [low, high]."""
        u, rho = self._classes.place(axis), self.numbers.ramp
        return [(low + rho - u) / rho, (u - high + rho) / rho]

    # -- the surface: what is selected, packed, becomes G

    def waves(self) -> None:
        """Registers z_k, 0 at even and 1 at odd nodes of axis k."""
        regs, count = self._regs, self._plan.pieces.bit_length()
        for axis, (low, high) in enumerate(self._target.domain):
            s = regs.get(f"x{axis}") * (self._plan.pieces / (high - low)) / 2**count
            regs.set(f"z{axis}", folded(regs, s, count))

    def corners(self, lines: PackedLines) -> None:
        """Register G, the mean of the levels at the corners."""
        regs, walk, level = self._regs, lines.walk, self.numbers.level
        for name in (name for name in selected(walk) if name.startswith("c")):
            y = self._opened(lines, name)
            for b in range(walk.top, 0, -1):
                y = below_whole(regs, y, lines.bits(b)) * lines.weight(lines.low + 1)
            found, _ = digit_added(regs, Form(), y, lines.bits(0), self._range(lines, lines.low))
            regs.set(name, cut(regs, found, 0, level))
        mean = self._mean("c", tuple(range(self._plan.dimension)), level)
        regs.set("G", mean, surface_offset(self._plan, self.numbers))

    def bubbles(self, lines: PackedLines) -> None:
        """Add to G, or F, what the bubbles of a pass add; the waves are dropped."""
        regs, (axes, orders, _) = self._regs, lines.walk.one
        others = tuple(k for k in range(self._plan.dimension) if k not in axes)
        for name in (name for name in selected(lines.walk) if name.startswith("e")):
            self._horner(lines, name)
        found, most = self._mean("e", others, lines.partial_size(2)), lines.partial_size(2) + 1
        if orders:
            [a], first = orders, axes[0]
            if regs.has("F"):
                regs.set("e", found, most)
                rest = regs.get("F")
                regs.drop("F")
                rest = self._times(rest, self._wave(first, fmpq(a, a + 1), fmpq(-1, a + 1)), self._bent(lines, a + 1))
                found = regs.get("e") - rest
                regs.drop("e")
            most = self._bent(lines, a)
        if orders in ((), (2,)):
            for axis in axes:
                found = self._times(found, self._wave(axis), most)
                found = self._times(found, self._wave(axis, fmpq(1), fmpq(-1)), most)
            regs.add("G", (-HALF) ** len(axes) / lines.whole * found)
        else:
            regs.set("F", found, most)
        regs.drop(*(f"z{axis}" for axis in range(self._plan.dimension)))
        regs.layer()

    def _bent(self, lines: PackedLines, a: int) -> fmpq:
        """A bound of |F_a| on the face of these lines."""
        same = [p for p in self.numbers.passes if p.walk.one.axes == lines.walk.one.axes and p.walk.one.orders >= (a,)]
        return sum((p.partial_size(2) + 1 for p in same), fmpq(0))

    def _opened(self, lines: PackedLines, name: str) -> Form:
        """A packed number, its leading digit first, whose register is dropped."""
        y = (self._regs.get(name) + lines.centre) / lines.weight(lines.walk.top)
        self._regs.drop(name)
        return y

    def _range(self, lines: PackedLines, b: int) -> fmpq:
        """A bound of V_b at every x, before it is cut: what is read is below B but for the leading digit."""
        leading = 2 ** (self._plan.dimension + 2) * self._reach / lines.weight(lines.walk.top)
        return offset_for(leading + lines.weight(lines.low + 1) + lines.partial_size(b) + 1)

    def _horner(self, lines: PackedLines, name: str) -> None:
        """The packed number in a register becomes c E at the wave of the line, cut to its size."""
        regs, axis = self._regs, lines.walk.one.axes[-1]
        y, value = self._opened(lines, name), Form()
        for b in range(lines.walk.top, 1, -1):
            if b < lines.walk.top:
                regs.set("rest", y)
                most = lines.partial_size(b + 1)
                value = cut(regs, value, -most, most)
                value = -self._times(value, self._wave(axis, fmpq(b, b + 1), fmpq(-1, b + 1)), most)
                y = regs.get("rest")
                regs.drop("rest")
            value, rest = digit_added(regs, value, y, lines.bits(b), self._range(lines, b))
            y = rest * lines.weight(lines.low + 1)
        most = lines.partial_size(2)
        regs.set(name, cut(regs, value, -most, most), most)

    def _mean(self, kind: str, axes: Index, most: fmpq) -> Form:
        """The mean of registers, named by parities along these axes, in proportion to the waves; they are dropped."""
        regs = self._regs
        for number, axis in enumerate(axes):
            for rest in product((0, 1), repeat=len(axes) - number - 1):
                even, odd = (named(kind, (bit, *rest)) for bit in (0, 1))
                change = self._times(regs.get(odd) - regs.get(even), self._wave(axis), 2 * most + 1)
                form = regs.get(even) + change
                regs.drop(even, odd)
                regs.set(named(kind, rest), form, most + 1)
        form = regs.get(kind)
        regs.drop(kind)
        return form

    def _times(self, form: Form, factor: Callable[[], Form], most: fmpq) -> Form:
        return times(self._regs, form, factor, most, product_levels(self.numbers, most))

    def _wave(self, axis: int, constant: Any = 0, slope: Any = 1) -> Callable[[], Form]:
        """constant + slope z, read when it is used: registers stand in another place in every layer."""
        return lambda: constant + slope * self._regs.get(f"z{axis}")

    def finished(self) -> Network:
        """The network."""
        plan, total = self._plan, to_fmpq(self._plan.quantum) * self._regs.get("G") + to_fmpq(self._plan.base)
        for axis, (slope, (low, high)) in enumerate(zip(plan.slopes, self._target.domain, strict=True)):
            total += self._regs.get(f"x{axis}") * (to_fmpq(slope) * plan.pieces / (high - low))
        return self._regs.output(total)


def named(kind: str, parities: Index) -> str:
    """The register of corners ("c") or bubbles ("e") of these parities."""
    return kind + "".join(map(str, parities))


def selected(walk: Walk) -> list[str]:
    """The registers of what a pass selects."""
    d, several = walk.dimension, walk.dimension - len(walk.one.axes)
    corners = [named("c", bits) for bits in product((0, 1), repeat=d)] if walk.one.low == 0 else []
    return corners + [named("e", bits) for bits in product((0, 1), repeat=several)]


def gates_of(walk: Walk, move: Move, parities: Parities) -> list[_Gate]:
    """What is let through at a step of a line: its polynomial, and on the first pass the level at its first node."""
    axes, line = walk.one.axes, walk.one.axes[-1]
    places = dict(zip(walk.others, move.line, strict=True)) | {line: move.k}
    odd = [(places[k] + parities[k]) % 2 for k in range(walk.dimension)]
    share = prod((1 if places[k] in (-1, walk.steps - 1) else 2 for k in axes), start=1)
    name = named("e", tuple(odd[k] for k in range(walk.dimension) if k not in axes))
    found = [_Gate(name, bool(odd[line]), share, line, move.k, move.k + 1)]
    if walk.one.low == 0 and move.k >= 0:
        found.append(_Gate(named("c", tuple(odd)), False, 1, line, move.k - 1, move.k + 1))
    return found


def product_levels(numbers: NarrowNumbers, most: fmpq) -> int:
    """Sawtooth levels of a product with a factor of this size."""
    return max(2, levels_for(numbers.error, most))


def surface_offset(plan: CoonsPlan, numbers: NarrowNumbers) -> fmpq:
    """A power of two above |G|."""
    bent = sum((lines.partial_size(2) + 1 for lines in numbers.passes), fmpq(0))
    return offset_for(2 * numbers.level + bent + 8)


def coons_narrow_surface(plan: CoonsPlan, target: Target) -> Network:
    """A network as large as the layers in which the surface is computed, with numbers 0 in the place of what is selected."""
    writer = _Writer(plan, target)
    for lines in writer.numbers.passes:
        for name in selected(lines.walk):
            writer.put(name)
        _surface(writer, lines)
    return writer.finished()


def _surface(writer: _Writer, lines: PackedLines) -> None:
    writer.waves()
    if lines.low == 0:
        writer.corners(lines)
    writer.bubbles(lines)
