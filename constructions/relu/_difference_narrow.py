"""How does a network of width 2 r + 5 without skips compute the piecewise polynomial of coded r-th differences? Step by step.

The function is that of _difference_network, at every x, ramps included; what is still needed stands in registers:
    bits of the cell's number (1 layer each)   X, y, the folded coordinate (two units), and the bit of the layer before;
    cells (1 layer each)   max(X - i, 0), max(y - s_i, 0), t, and the sums f = f_1 and the code;
    bits of the first differences (2 layers each)   f, t, the code, the S_i, the test of the bit;
    steps   those, a = A at the even end, b - a, the r - 2 coefficients of Q; for the bits of the digit D (2 layers each) one
            unit for their tests, one for D, one for 1 - H; then r - 1 gates, one layer each, in the place of the tests;
    the wave z, t folded log2 M times; the products, m + 4 layers each.
Proof that it is the same function. Registers are carried with offsets that they never fall short of: bits lie in [0, 1] at
every x, so the S_i are bounded (state_bounds), hence the gates, and the sums of those. The remainder z - c + c (1 - I) of the
code is never negative (_hoelder_narrow). Tests, gates, products and G read the same numbers as there. With S_i' = S_i + S_(i+1)
and S_(r-1)' = S_(r-1) + D the old coefficients are linear in the new S and D: the old S are not kept. Width: f, t, the code,
r - 1 states, a, b - a, r - 2 coefficients, D, 1 - H, and the test or gate, in all 2 r + 5, whatever N and M are.
Source: P19 (fixed width adapting to every r); this schedule is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from flint import fmpq

from approx.networks import Form, Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._difference_codes import cell_codes, levels_from
from constructions.relu._difference_forms import FORMS, multiples
from constructions.relu._difference_network import coefficients, gate, offset_for, opened, rise, total_size
from constructions.relu._difference_plan import DifferencePlan
from constructions.relu._gray_cells import codes_of_bends, gray_bends, gray_order, steepness
from constructions.relu._narrow_network import bends_of
from constructions.relu._newton_windows import bubbles, rises, window
from constructions.relu._plan_forms import Rows
from constructions.relu._registers import Registers
from constructions.relu._two_scale_reader import exact_number, polygon_of, unit_starts, whole


def width(order: int) -> int:
    """The width of the narrow form."""
    return 2 * order + 5


def difference_narrow(plan: DifferencePlan, target: Target) -> Network:
    """The Network of a plan on the target's interval, of width at most 2 r + 5; a plan without a correction has width 2."""
    regs = Registers()
    low, high = target.domain.lower[0], target.domain.upper[0]
    position = (regs.input() - low) * (fmpq(plan.cells) / (high - low))
    if not plan.corrected:
        return _polygon(regs, position, plan)
    _numbers(regs, position, plan)
    _cells(regs, plan)
    places = iter(range(plan.code_bits - 1, -1, -1))
    _heads(regs, places, plan)
    _steps(regs, places, plan)
    return _finished(regs, _product(regs, plan), plan)


def difference_narrow_weights(plan: DifferencePlan) -> int:
    """An upper bound of the weights: 9 N, those of M steps, of the first bits and of the products."""
    r = plan.order
    step = (3 * r + 1) * (2 * r + 3) + 24 * r
    products = sum((levels + 4) * (r + 18) for levels in plan.product_levels)
    folds = 14 * (plan.cells - 1).bit_length() + (2 * r + 6) * (plan.steps - 1).bit_length()
    return 9 * plan.cells + step * plan.steps + 2 * sum(plan.head_bits) * (r + 6) + products + folds + 40 * r


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
    values, codes = plan.coarse_values, cell_codes(plan)
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


def _bit(regs: Registers, places: Iterator[int], plan: DifferencePlan, *hinges: Form) -> list[Form]:
    """[1 - the next bit of the code], and 1 - h/rho for hinges h; two layers."""
    place = next(places)
    c = fmpq(2) ** place
    test, *found = regs.layer(regs.get("code") - (c - 1), *hinges)
    missing, *found = regs.layer(1 - test, *(1 - hinge / plan.fine_ramp for hinge in found))
    if place:
        regs.set("code", regs.get("code") - c + c * missing)
    else:
        regs.drop("code")
    return [missing, *found]


def _heads(regs: Registers, places: Iterator[int], plan: DifferencePlan) -> None:
    """Registers S1, S2, ...: the first differences."""
    for i, bits in enumerate(plan.head_bits, 1):
        for place in range(bits - 1, -1, -1):
            bit = 2**place * (1 - _bit(regs, places, plan)[0])
            if place == bits - 1:
                regs.set(f"S{i}", bit - 2 ** (bits - 1), offset_for(plan.state_bounds[i]))
            else:
                regs.add(f"S{i}", bit)


def _state(regs: Registers, plan: DifferencePlan) -> list[Form]:
    return [Form(), *(regs.get(f"S{i}") for i in range(1, plan.order))]


def _before(regs: Registers, plan: DifferencePlan) -> list[Form]:
    """The first differences of the step before, from those of now and the digit."""
    found = [regs.get(f"S{plan.order - 1}") - regs.get("D") + plan.shift]
    for i in range(plan.order - 2, 0, -1):
        found.append(regs.get(f"S{i}") - found[-1])
    return [Form(), *found[::-1]]


def _steps(regs: Registers, places: Iterator[int], plan: DifferencePlan) -> None:
    """From f, t, the code and the S_i to f, t, even, ends and Q0, Q1, ..."""
    steps, order = plan.steps, plan.order
    offset = offset_for((steps + 1) * _largest_change(plan))
    state = _state(regs, plan)
    regs.set("even", Form(), offset)
    regs.set("ends", state[1], offset)
    for part, q in enumerate(coefficients(state, plan, 0)):
        regs.set(f"Q{part}", q, offset)
    for k in range(1, steps):
        moves = window(k, steps, order) > window(k - 1, steps, order)
        if moves:
            _digit(regs, places, plan, k)
        else:
            [hinge] = regs.layer(regs.get("t") - k)
            [closed] = regs.layer(1 - hinge / plan.fine_ramp)
            regs.set("closed", closed)
        _latch(regs, plan, k, moves)
        regs.drop("closed", *(["D"] if moves else []))
    regs.drop(*(f"S{i}" for i in range(1, order)))


def _digit(regs: Registers, places: Iterator[int], plan: DifferencePlan, k: int) -> None:
    """Read D and 1 - H_k; the first differences become those of step k."""
    missing, closed = _bit(regs, places, plan, regs.get("t") - k)
    regs.set("closed", closed)
    regs.set("D", 2**plan.order * (1 - missing))
    for place in range(plan.order - 1, -1, -1):
        regs.add("D", 2**place * (1 - _bit(regs, places, plan)[0]))
    state = [*_state(regs, plan), regs.get("D") - plan.shift]
    for i in range(1, plan.order):
        regs.add(f"S{i}", state[i + 1])


def _latch(regs: Registers, plan: DifferencePlan, k: int, moves: bool) -> None:
    """Add what changes at node k to even, ends and the Q; one layer for each gate."""
    sign = (-1) ** k
    change = _gated(regs, rise(_state(regs, plan), plan, k), fmpq(2 * plan.sizes[1]))
    if sign < 0:
        regs.add("even", change)
    regs.add("ends", sign * change)
    for part, size in enumerate(plan.bubble_sizes):
        state = _state(regs, plan)
        before = _before(regs, plan) if moves else state
        now = coefficients(state, plan, k)[part] - coefficients(before, plan, k - 1)[part]
        if now.terms or now.constant:
            regs.add(f"Q{part}", _gated(regs, now, 2 * size))


def _gated(regs: Registers, change: Form, reach: fmpq) -> Form:
    [unit] = regs.layer(gate(change, regs.get("closed"), reach))
    return opened(unit, regs.get("closed"), reach)


def _largest_change(plan: DifferencePlan) -> fmpq:
    """A bound of what a gate lets through, and of what stands in even, ends and the Q at first, at every x."""
    order, states = plan.order, plan.state_bounds
    rows = [rises(order, kappa) for kappa in range(order - 1)]
    for kappa in range(order - 1):
        for odd in (False, True):
            rows += list(zip(*bubbles(order, kappa, odd), strict=True))
    most = max(sum((abs(w) * b for w, b in zip(row, states, strict=True)), fmpq(0)) for row in rows)
    return 2 * most + 2 * plan.sizes[1] + 2 * max(plan.bubble_sizes) + states[1]


def _product(regs: Registers, plan: DifferencePlan) -> Form:
    """G, from even, ends and the Q; drops them all."""
    chord, *sizes = plan.factor_sizes
    outer, *levels = plan.product_levels
    folds = (plan.steps - 1).bit_length()
    local = regs.get("t") / 2**folds
    for _ in range(folds):
        rising, falling = regs.layer(local, local - fmpq(1, 2))
        local = 2 * rising - 4 * falling
    regs.set("z", local)
    inside = Form()
    for k in range(plan.order - 3, -1, -1):
        part = regs.get(f"Q{k}") + inside
        regs.drop(f"Q{k}")
        inside = _times(regs, part, sizes[k], levels[k], mirrored=k == 0)
    ends = regs.get("ends") + inside
    regs.drop("ends")
    product = _times(regs, ends, chord, outer)
    total = regs.get("even") + product
    regs.drop("even", "z")
    return total


def _times(regs: Registers, form: Form, bound: fmpq, levels: int, mirrored: bool = False) -> Form:
    """The form cut to [-bound, bound], times z or 1 - z: as product_form, m + 4 layers."""
    [above] = regs.layer(form + bound)
    [below] = regs.layer(2 * bound - above)
    regs.set("x", bound - below, bound)
    first, second = _halves(regs, bound, mirrored)
    plus, minus = regs.layer(first, second)
    first, second = _halves(regs, bound, mirrored)
    regs.drop("x")
    plus, minus = regs.layer(2 * plus - first, 2 * minus - second)
    regs.set("sum", plus - minus, 1)
    half = fmpq(1, 2)
    for level in range(1, levels + 1):
        a, b, c, d = regs.layer(plus, plus - half, minus, minus - half)
        plus, minus = 2 * a - 4 * b, 2 * c - 4 * d
        regs.add("sum", (minus - plus) / 4**level)
    found = regs.get("sum") * bound
    regs.drop("sum")
    return found


def _halves(regs: Registers, bound: fmpq, mirrored: bool) -> tuple[Form, Form]:
    z = regs.get("z")
    u, v = regs.get("x") / (2 * bound), (1 - z if mirrored else z) / 2
    return u + v, u - v


def _finished(regs: Registers, summed: Form, plan: DifferencePlan) -> Network:
    """The output f + lambda clip(G, -c, c)."""
    regs.set("G", summed, offset_for(total_size(plan)))
    [middle] = regs.layer(regs.get("t") - fmpq(plan.steps, 2))
    regs.set("middle", middle)
    bound = plan.slope * (regs.get("t") - 2 * middle)
    above, below = regs.get("G") + bound, regs.get("G") - bound
    regs.drop("G")
    above, below = regs.layer(above, below)
    bound = plan.slope * (regs.get("t") - 2 * regs.get("middle"))
    return regs.output(regs.get("f") + to_fmpq(plan.quantum) * (above - below - bound))


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> DifferencePlan | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    [(low, high)] = target.domain
    starts, units = unit_starts(network), [layer.units for layer in network.layers]
    cells = whole(rows[0][2][0][1] * (high - low))
    levels = (cells - 1).bit_length()
    order, spare = divmod(max(units) - width(0), 2)
    if cells < 2 or spare or order not in range(3, 9):
        return None
    ramp = -(2**levels) / rows[starts[2]][2][0][1]
    quantum = dict(rows[-1][2])[starts[-2] - 2]
    steps = whole(-2 * rows[starts[-3] - 2][1])
    slope = whole(dict(rows[-1][2])[starts[-2] - 3] / (2 * quantum))
    # The cells' layers: X, y, t, f and the code; the last sums are taken by the first test, where X and y are gone.
    first = levels + 3
    bends, changes = [], []
    for i in range(cells):
        at = starts[first + i] + (1 if i == cells - 1 else 3)
        bends.append(dict(rows[at - 1][2]).get(starts[first + i - 1], fmpq(0)))
        changes.append(dict(rows[at][2]).get(starts[first + i - 1] + 1, fmpq(0)))
    biases = rows[starts[first] + 2][1], whole(rows[starts[first] + 3][1])
    offset = 1 << biases[1].bit_length() - 1
    codes = codes_of_bends(biases[1] - offset, changes)
    tests = first + cells - 1
    length = whole(1 - offset - rows[starts[tests] + 2][1]).bit_length()
    # Where bits are taken up by S_i, layers hold t, f, the code, S_1 .. S_i and the bit.
    held = [units[k] - 4 for k in range(tests, tests + 2 * length, 2)]
    heads = [held.index(i + 1) - held.index(i) for i in range(1, order - 1)]
    heads.append(length - (order + 1) * (steps - order + 1) - sum(heads))
    grain, coarse = multiples(polygon_of(biases[0] + rows[-1][1], bends))
    found = levels_from(codes, heads, steps)
    return DifferencePlan(order, cells, steps, ramp, slope, exact_number(quantum), grain, coarse, found)


FORMS.add(_read, difference_narrow)
