"""How does a ReLU network compute the piecewise polynomial of coded r-th differences? States, latches, one product per degree.

With y the number of the coarse cell and t in [0, M] its local coordinate (as in _two_scale_network), the code of the cell is
read bit by bit, and running sums S_i = D^i A_s, 0 < i < r, pass from node to node: integers that depend on the cell alone. A
latch H_k (0 for t <= k, 1 for t >= k + rho, linear between) adds what changes at node k:
    A at the even end of the step changes at odd k, A at its odd end at even k, the coefficients q_l of Q at every k,
each by some delta, |delta| <= B, gated as max(delta + B - 2 B (1 - H), 0) - B H. With z the triangle wave, 0 at even and 1 at
odd nodes, a and b those values, the correction is  G = a + z (b - a) + z (1 - z) sum_l q_l z^l,  r - 1 products and a square
once per network, and the output is f_1 + lambda clip(G, -c, c), c = L min(t, M - t).

Statement. With |f - f_1| <= lambda L min(t, M - t) + e, e = max |f - f_1| at coarse nodes, the network differs from f by at
most sup |P - f| + e + 3 2^-10 lambda at every x (P: the piecewise polynomial of the plan). Proof. Off all ramps codes, states
and latches are exact, so G is P's but for the products, below 2^-10 by their number of levels; the clip moves towards f, to e.
On the ramp of node k one gate is off, by at most 2 B, as gates lie in [-B, B]; it is multiplied by 1 - z <= rho at odd k,
z <= rho at even k, or z (1 - z) <= rho: rho is so short that this is below 2^-10. On the ramp before a coarse node nothing is
known but the clip: c <= L M ramp, as for f. So no point is left out. Source: P19 with bit extraction as in P18; this
form, states instead of Taylor coefficients and latches that jump where a factor vanishes, is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._difference_plan import DifferencePlan, cell_codes
from constructions.relu._hoelder_network import _bits
from constructions.relu._newton_windows import bubbles, rises, window
from constructions.relu._two_scale_network import _cell_and_start, _coarse, _code
from constructions.relu.product import product_form
from constructions.relu.square import square_form

Gates = list[tuple[fmpq, Form]]


def difference_network(plan: DifferencePlan, target: Target) -> Network:
    """The Network of a plan on the target's interval; the units stand in an order that _difference_reader knows."""
    b = Builder(1)
    lower, upper = target.domain.lower[0], target.domain.upper[0]
    position = (b.input() - lower) * (fmpq(plan.cells) / (upper - lower))
    terms: Gates = []
    if plan.corrected:
        cell, t = _cell_and_start(b, position, plan)
        hinges = [cell, *(b.relu(cell - i) for i in range(1, plan.cells))]
        code = _code(b, hinges, cell_codes(plan))
        terms = _clipped(b, _correction(b, code, t, plan), t, plan)
    return b.build([linear_combination([(1, _coarse(b, position, plan.coarse)), *terms])])


def difference_weights(order: int, cells: int, steps: int, head_bits: int, levels: int) -> int:
    """An upper bound of the weights: 6 N, those of bits and latches of M steps, of the first bits, of products of m levels."""
    bits = (cells - 1).bit_length()
    step = 9 * (order + 1) + 2 * order + 8 + (order - 2) * (2 * order + 8)
    fixed = 9 * (order - 1) * head_bits + (order - 1) * (10 * levels + 25) + 5 * levels
    return 6 * cells + step * steps + fixed + bits * (bits - 1) // 2 + 10 * bits + 60


def _clipped(b: Builder, summed: Form, t: Form, plan: DifferencePlan) -> Gates:
    """The terms lambda clip(G, -c, c)."""
    bound = plan.slope * (t - 2 * b.relu(t - fmpq(plan.steps, 2)))
    above, below = b.relu(summed + bound), b.relu(summed - bound)
    quantum = to_fmpq(plan.quantum)
    return [(quantum, above), (-quantum, below), (-quantum, bound)]


def _correction(b: Builder, code: Form, t: Form, plan: DifferencePlan) -> Form:
    """The form of G, one unit and a constant."""
    even, ends, parts, wave = _latched(b, code, t, plan)
    z = b.relu(wave)
    levels, reach = plan.product_levels, plan.reach
    between = _carried(b, ends, reach)
    total = even + product_form(b, between, z, levels, (3 * plan.sizes[1] + 1, 1))
    inside, bound = _carried(b, parts[-1], reach), 3 * plan.bubble_sizes[-1] + 1
    for part, size in zip(parts[-2::-1], plan.bubble_sizes[-2::-1], strict=True):
        inside = _carried(b, part + product_form(b, inside, z, levels, (bound, 1)), 2 * reach + plan.order)
        bound += 3 * size
    bubble = b.relu(z - square_form(b, z, levels))
    total = total + product_form(b, inside, bubble, levels, (bound, fmpq(1, 4)))
    return _carried(b, total, plan.sizes[0] + 4 * reach + plan.order)


def _carried(b: Builder, form: Form, bound: fmpq) -> Form:
    """The same number as one unit with an offset, for |form| <= bound."""
    offset = _power(bound)
    return b.relu(form + offset) - offset


def _power(bound: fmpq | int) -> fmpq:
    """A power of two that is at least the bound."""
    value = fmpq(bound)
    return fmpq(2 ** int(-(-value.p // value.q)).bit_length())


def _latched(b: Builder, code: Form, t: Form, plan: DifferencePlan) -> tuple[Form, Form, list[Form], Form]:
    """(a, b - a, the coefficients of Q, the wave z), each a sum over all nodes."""
    order, steps = plan.order, plan.steps
    missing = _bits(b, code, plan.code_bits)
    state = [Form(), *(_number(missing, plan.head_bits) - 2 ** (plan.head_bits - 1) for _ in range(1, order))]
    state = [_carried(b, s, fmpq(size)) if i else s for i, (s, size) in enumerate(zip(state, plan.sizes, strict=True))]
    even: Gates = []
    ends: Gates = [(fmpq(1), state[1])]
    old = _coefficients(state, plan, 0)
    parts: list[Gates] = [[(fmpq(1), q)] for q in old]
    wave: Gates = [(fmpq(1), t)]
    for k in range(1, steps):
        start = window(k, steps, order)
        if start > window(k - 1, steps, order):
            digit = _number(missing, plan.bits) - plan.shift
            state = _next(b, state, digit, plan)
        hinge = b.relu(t - k)
        sign = fmpq(-1) ** k
        wave.append((2 * sign, hinge))
        closed = b.relu(1 - hinge / plan.fine_ramp)
        change = linear_combination(list(zip(rises(order, k - start), state, strict=True)))
        gate = _gate(b, change, closed, 2 * plan.sizes[1])
        if k % 2:
            even.append((fmpq(1), gate))
        ends.append((sign, gate))
        new = _coefficients(state, plan, k)
        for part, now, before, size in zip(parts, new, old, plan.bubble_sizes, strict=True):
            if now.terms != before.terms or now.constant != before.constant:
                part.append((fmpq(1), _gate(b, now - before, closed, 2 * size)))
        old = new
    sums = [linear_combination(p) for p in parts]
    return linear_combination(even), linear_combination(ends), sums, linear_combination(wave)


def _number(missing: Iterator[Form], count: int) -> Form:
    """The next `count` bits as an integer, the leading bit first."""
    return linear_combination([(-(2**place), next(missing)) for place in range(count - 1, -1, -1)], 2**count - 1)


def _next(b: Builder, state: list[Form], digit: Form, plan: DifferencePlan) -> list[Form]:
    """The running sums at the next node."""
    found = [state[0]]
    for i in range(1, plan.order):
        higher = state[i + 1] if i + 1 < plan.order else digit
        found.append(_carried(b, state[i] + higher, fmpq(plan.sizes[i])))
    return found


def _coefficients(state: list[Form], plan: DifferencePlan, k: int) -> list[Form]:
    """The forms q_l of step k."""
    rows = bubbles(plan.order, k - window(k, plan.steps, plan.order), bool(k % 2))
    return [
        linear_combination([(rows[i][part], state[i]) for i in range(2, plan.order)]) for part in range(plan.order - 2)
    ]


def _gate(b: Builder, change: Form, closed: Form, size: fmpq | int) -> Form:
    """change where closed = 0, and 0 where closed = 1, for |change| <= size; in [-size, size] between, if size >= 1."""
    reach = max(fmpq(size), fmpq(1))
    return b.relu(change + reach - 2 * reach * closed) - reach + reach * closed
