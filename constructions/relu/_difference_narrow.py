"""How does a network of width 10 without skips compute the piecewise polynomial of coded r-th differences? Step by step.

The width is free of N, M and r: the r running differences of a cell are one number T (_packed_differences), and polynomials of
two steps are kept, packed as well. What is still needed stands in registers:
    bits of the cell's number (1 layer each)   X, y, the folded coordinate (two units), and the bit of the layer before;
    cells (1 layer each)   max(X - i, 0), max(y - s_i, 0), t, and the sums f = f_1 and the code;
    first differences (1 layer a bit, and 1)   f, t, T, and the code, being folded (two units);
    steps (r + 2 layers each)   those, L_0, L_1; at node k, L_(k mod 2) takes over T: a hinge, 1 - H, a gate in the next layer;
    the rest (_packed_value)   f, t, the wave z; V_0 and V_1 from L_0 and L_1, one after the other; the choice between them.
Two zeros before each number of a code make what follows it less than 1/4 of its last bit, as folding needs.

Statement. With V cut as G is there, the network differs from f by at most what _difference_network does at every x,
    sup |P - f| + e + (2^-9 + 2^-8) lambda.
Proof. Off the ramps of codes digits are exact, and T with them. Let k be even: on [k + rho, k + 2], L_0 is T_k, so on its step,
at v = K + z, V_0 is P but for products, within 2^-8. For k odd the same is true of L_1 and V_1 at v = K + 1 - z. V is the one
that belongs to k on [k + 2 rho, k + 1 + rho], and lies between both on [k + rho, k + 2 rho]. So on [k, k + rho], a ramp of one
of them, V is the other, the polynomial of step k - 1 reflected at its end; there and on the next rho all of these and P are
within 2 rho max |V_0'| of A_k: 2^-10 in all, by rho. Before node 1, L_1 is the polynomial 0 = A_0. On the ramp next to a coarse
node nothing is known but the clip, 2^-10.
Registers have offsets that they never fall short of. Codes lie between codes on their ramps, a number that is read in
[0, 2^(b + 1)] at every x, so |T| <= X; gates of reach R = 4 X let through max(T - L + R - 2 R (1 - H), 0) - R H: 0 for H = 0,
T - L for H = 1, at least (T - L - R)/2 between, when both are numbers of steps, so L >= -3 X. On the ramps of codes every H is
0 or 1. Source: P19 (fixed width adapting to every r); packing and schedule are derived here.
"""

from __future__ import annotations

from itertools import pairwise

from flint import fmpq

from approx.networks import Form, Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._difference_codes import cell_codes, code_length, levels_from
from constructions.relu._difference_forms import FORMS, multiples
from constructions.relu._difference_network import gate, offset_for, opened
from constructions.relu._difference_plan import DifferencePlan
from constructions.relu._gray_cells import codes_of_bends, gray_bends, gray_order, steepness
from constructions.relu._narrow_network import bends_of
from constructions.relu._newton_windows import window
from constructions.relu._packed_differences import PackedDifferences
from constructions.relu._packed_value import chosen_value
from constructions.relu._plan_forms import Rows
from constructions.relu._registers import Registers
from constructions.relu._two_scale_reader import exact_number, polygon_of, unit_starts, whole

#: The width of the form, whatever the order, N and M are.
WIDTH = 10
#: Zeros before each number of a code: what is below a number is less than 1/4 of its last bit.
GAP = 2
#: A register that takes over T when the next layer is written, and what the unit of its gate reads.
Latch = tuple[str, Form]


def difference_narrow(plan: DifferencePlan, target: Target) -> Network:
    """The Network of a plan on the target's interval, of width 10; a plan without a correction has width 2 at most."""
    regs = Registers()
    low, high = target.domain.lower[0], target.domain.upper[0]
    position = (regs.input() - low) * (fmpq(plan.cells) / (high - low))
    if not plan.corrected:
        return _polygon(regs, position, plan)
    _numbers(regs, position, plan)
    _cells(regs, plan)
    packed = PackedDifferences(plan)
    _steps(regs, packed, _heads(regs, packed))
    return _finished(regs, chosen_value(regs, packed), packed)


def difference_narrow_weights(plan: DifferencePlan) -> int:
    """An upper bound of the weights: 9 N, 10 r + 37 for each of M steps, those of 3 r - 1 numbers and of 2 (r - 1) products."""
    packed = PackedDifferences(plan)
    numbers = sum(8 * bits + 12 for bits in plan.head_bits) + 2 * sum(10 * bits + 16 for bits in packed.bits)
    products = 2 * sum(20 * levels + 46 for levels in packed.product_levels)
    folds = 14 * (plan.cells - 1).bit_length() + 20 * plan.steps.bit_length()
    return 9 * plan.cells + (10 * plan.order + 37) * plan.steps + numbers + products + folds + 60


def _polygon(regs: Registers, position: Form, plan: DifferencePlan) -> Network:
    """f_1 alone, one layer a bend."""
    values = plan.coarse_values
    bends = bends_of(values)
    if not any(bends[1:]):
        return regs.output(values[0] + bends[0] * position)
    regs.set("X", position)
    regs.set("f", Form(constant=values[0]), _reach(values, plan.cells))
    regs.layer()
    _summed(regs, bends)
    return regs.output(regs.get("f"))


def _summed(regs: Registers, bends: list[fmpq]) -> None:
    for i, bend in enumerate(bends):
        regs.add("f", bend * regs.get("X"))
        if i < len(bends) - 1:
            regs.set("X", regs.get("X") - 1)
            regs.layer()


def _reach(values: list[fmpq], cells: int) -> fmpq:
    """A power of two that exceeds every partial sum of the bends."""
    return offset_for(max(map(abs, values)) + max(abs(b - a) for a, b in pairwise(values)) * cells + 1)


def _numbers(regs: Registers, position: Form, plan: DifferencePlan) -> None:
    """Registers X, y (Gray's number of the cell) and t."""
    levels = (plan.cells - 1).bit_length()
    regs.set("X", position)
    local = position / 2**levels
    closing: list[Form] = []
    for level in range(levels):
        *missing, rising, falling = regs.layer(*closing, local, local - fmpq(1, 2))
        _count(regs, missing, level, levels)
        local = 2 * rising - 4 * falling
        closing = [1 - steepness(level, levels, plan.ramp) * falling]
    *missing, local = regs.layer(*closing, local)
    _count(regs, missing, levels, levels)
    regs.set("t", plan.steps * local)
    regs.layer()


def _count(regs: Registers, missing: list[Form], level: int, levels: int) -> None:
    """Add the bit of the level before to y."""
    for unit in missing:
        bit = 2 ** (levels - level) * (1 - unit)
        if level > 1:
            regs.add("y", bit)
        else:
            regs.set("y", bit)


def _cells(regs: Registers, plan: DifferencePlan) -> None:
    """From X, y, t to f, t and the code."""
    values, codes = plan.coarse_values, cell_codes(plan, GAP)
    bends, changes = bends_of(values), gray_bends(codes)
    gaps = [q - p for p, q in pairwise(gray_order(plan.cells)[1])]
    levels = (plan.cells - 1).bit_length()
    largest = max(codes)
    regs.set("f", Form(constant=values[0]), _reach(values, plan.cells))
    regs.set("code", Form(constant=codes[0]), fmpq(2) ** (largest.bit_length() + levels + 2))
    for i in range(plan.cells):
        regs.add("f", bends[i] * regs.get("X"))
        regs.add("code", changes[i] * regs.get("y"))
        if i < plan.cells - 1:
            regs.set("X", regs.get("X") - 1)
            regs.set("y", regs.get("y") - gaps[i])
            regs.layer()
    regs.drop("X", "y")
    regs.set("code", regs.get("code"))


def _digit(
    regs: Registers, packed: PackedDifferences, y: Form, bits: int, weight: fmpq, node: int = 0, latch: Latch | None = None
) -> Form:
    """y less its whole part, a number of these bits, which T takes with a weight, in bits + 1 layers; closed is 1 - H_node."""
    regs.add("T", weight * y)
    local, hinges = y / 2**bits, list[Form]()
    for i in range(bits + 1):
        if node and i == bits - 1:
            hinges = [regs.get("t") - node]
        elif node and i == bits:
            hinges = [1 - hinges[0] / packed.fine_ramp]
        rising, falling, *hinges = _latched(regs, packed, None if i else latch, local, local - fmpq(1, 2), *hinges)
        local = 2 * rising - 4 * falling
    if node:
        regs.set("closed", hinges[0])
    regs.add("T", -weight / 2 * local)
    return local / 2


def _latched(regs: Registers, packed: PackedDifferences, latch: Latch | None, *others: Form) -> list[Form]:
    """A layer in which a latch that waits takes over its number."""
    if latch is None:
        return regs.layer(*others)
    name, form = latch
    unit, *found = regs.layer(form, *others)
    regs.add(name, opened(unit, regs.get("closed"), 4 * packed.reach))
    regs.drop("closed")
    return found


def _heads(regs: Registers, packed: PackedDifferences) -> Form:
    """Register T: the differences of step 0; what is left of the code, less than 1/4."""
    heads = packed.plan.head_bits
    y = regs.get("code") / fmpq(2) ** (code_length(heads, packed.plan.steps, GAP) - GAP - heads[0])
    regs.drop("code")
    regs.set("T", Form(), packed.reach)
    for i, bits in enumerate(heads, 1):
        regs.add("T", Form(constant=-packed.head(i) * 2 ** (bits - 1)))
        y = _digit(regs, packed, y * 2 ** (bits + GAP) if i > 1 else y, bits, packed.head(i))
    return y


def _steps(regs: Registers, packed: PackedDifferences, y: Form) -> None:
    """From f, t, T and what is left of the code to f, t, L0 and L1: packed differences of the last even and odd steps."""
    plan, reach = packed.plan, packed.reach
    regs.set("L0", regs.get("T"), 3 * reach)
    regs.set("L1", Form(), 3 * reach)
    top = packed.weight(plan.order - 1)
    latch: Latch | None = None
    for k in range(1, plan.steps):
        regs.set("T", packed.step * regs.get("T"), reach)
        if window(k, plan.steps, plan.order) > window(k - 1, plan.steps, plan.order):
            regs.add("T", Form(constant=-plan.shift * top))
            y = _digit(regs, packed, y * 2 ** (plan.bits + GAP), plan.bits, top, k, latch)
        else:
            regs.set("code", y)
            [hinge] = _latched(regs, packed, latch, regs.get("t") - k)
            [closed] = regs.layer(1 - hinge / packed.fine_ramp)
            regs.set("closed", closed)
            y = regs.get("code")
            regs.drop("code")
        name = f"L{k % 2}"
        latch = name, gate(regs.get("T") - regs.get(name), regs.get("closed"), 4 * reach)
    regs.drop("T")
    _latched(regs, packed, latch)


def _finished(regs: Registers, value: Form, packed: PackedDifferences) -> Network:
    """The output f + lambda clip(V, -c, c)."""
    plan = packed.plan
    regs.set("V", value, offset_for(packed.partial_reach(0)))
    [middle] = regs.layer(regs.get("t") - fmpq(plan.steps, 2))
    regs.set("middle", middle)
    bound = plan.slope * (regs.get("t") - 2 * middle)
    above, below = regs.get("V") + bound, regs.get("V") - bound
    regs.drop("V")
    above, below = regs.layer(above, below)
    bound = plan.slope * (regs.get("t") - 2 * regs.get("middle"))
    return regs.output(regs.get("f") + to_fmpq(plan.quantum) * (above - below - bound))


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> DifferencePlan | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    [(low, high)] = target.domain
    starts = unit_starts(network)
    cells = whole(rows[0][2][0][1] * (high - low))
    levels = (cells - 1).bit_length()
    if cells < 2:
        return None
    ramp = -(2**levels) / rows[starts[2]][2][0][1]
    quantum = dict(rows[-1][2])[starts[-2] - 2]
    steps = whole(-2 * rows[starts[-3] - 2][1])
    slope = whole(dict(rows[-1][2])[starts[-2] - 3] / (2 * quantum))
    # The cells' layers: X, y, t, f and the code; the last sums are taken by the first digit, where X, y and the code are gone.
    first = levels + 3
    bends, changes = [], []
    for i in range(cells):
        at = starts[first + i] + (1 if i == cells - 1 else 3)
        bends.append(dict(rows[at - 1][2]).get(starts[first + i - 1], fmpq(0)))
        changes.append(dict(rows[at][2]).get(starts[first + i - 1] + 1, fmpq(0)))  # the last one is not looked at
    biases = rows[starts[first] + 2][1], whole(rows[starts[first] + 3][1])
    codes = codes_of_bends(biases[1] - (1 << biases[1].bit_length() - 1), changes)
    # The first differences: layers of t, f, T and the two units that fold, four times as steep at the start of a number.
    heads, at = [0], first + cells
    while network.layers[at - 1].units == 5:
        if dict(rows[starts[at] + 2][2])[starts[at - 1] + 3] == 4:
            heads.append(0)
        else:
            heads[-1] += 1
        at += 1
    grain, coarse = multiples(polygon_of(biases[0] + rows[-1][1], bends))
    found = levels_from(codes, heads, steps, GAP)
    return DifferencePlan(len(heads) + 1, cells, steps, ramp, slope, exact_number(quantum), grain, coarse, found)


FORMS.add(_read, difference_narrow)
