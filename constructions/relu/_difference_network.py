"""How does a ReLU network compute the piecewise polynomial of coded r-th differences? States, latches, one product per degree.

With y Gray's number of the coarse cell and t in [0, M] its local coordinate (_gray_cells), the code of the cell is read bit by
bit, and running sums S_i = D^i A_s, 0 < i < r, pass from node to node: integers that depend on the cell alone. A latch H_k
(0 for t <= k, 1 for t >= k + rho, linear between) adds what changes at node k:
    A at the even end of the step changes at odd k, A at its odd end at even k, the coefficients q_l of Q at every k,
each by some delta, |delta| <= R, gated as max(delta + R - 2 R (1 - H), 0) - R H. With z the triangle wave, 0 at even and 1 at
odd nodes, a and b those values, the correction is, by Horner's rule, with r - 1 products once per network,
    G = a + z ((b - a) + (1 - z) (q_0 + z (q_1 + ...))),
every factor in brackets cut to its bounds, and the output is f_1 + lambda clip(G, -c, c), c = L min(t, M - t).

Statement. With |f - f_1| <= lambda L min(t, M - t) + e, e = max |f - f_1| at coarse nodes, the network differs from f by at
most sup |P - f| + e + (2^-9 + 2^-8) lambda at every x (P: the piecewise polynomial of the plan). Proof. Off all ramps
codes, states and latches are exact, so G is P's but for the products, within 2^-8 in all by their numbers of levels; the
clip moves towards f, to e. On the ramp of node k one gate is off: for |delta| <= R it lies between 0 and delta but for
(R - |delta|)/2 at most, so a number of size B stays below 2 B; the error is multiplied by 1 - z <= rho at odd k, z <= rho at
even k, or z (1 - z) <= rho: rho is so short that this is below 2^-10. On the ramp next to a coarse node nothing is known but
the clip: c <= L M ramp, as for f, 2^-10. So no point is left out. Source: P19 with bit extraction as in P18; this form, states
instead of Taylor coefficients and latches that jump where a factor vanishes, is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._difference_codes import cell_codes
from constructions.relu._difference_plan import DifferencePlan
from constructions.relu._gray_cells import cell_and_start, code_unit
from constructions.relu._hoelder_network import missing_bits
from constructions.relu._newton_windows import bubbles, rises, window
from constructions.relu.product import product_form

Gates = list[tuple[fmpq, Form]]


def difference_network(plan: DifferencePlan, target: Target) -> Network:
    """The Network of a plan on the target's interval; the units stand in an order that _difference_forms knows."""
    b = Builder(1)
    lower, upper = target.domain.lower[0], target.domain.upper[0]
    position = (b.input() - lower) * (fmpq(plan.cells) / (upper - lower))
    terms: Gates = []
    if plan.corrected:
        number, t = cell_and_start(b, position, plan.cells, plan.steps, plan.ramp)
        code = code_unit(b, number, cell_codes(plan))
        terms = _clipped(b, _correction(b, code, t, plan), t, plan)
    values = plan.coarse_values
    slopes = [v - u for u, v in pairwise(values)]
    bends = [(v - u, b.relu(position - i)) for i, (u, v) in enumerate(pairwise(slopes), 1) if v != u]
    return b.build([linear_combination([(slopes[0], position), *bends, *terms], values[0])])


def difference_weights(plan: DifferencePlan) -> int:
    """An upper bound of the weights: 6 N, those of bits and latches of M steps, of the first bits, of products of m levels."""
    order, products = plan.order, plan.product_levels
    step = 8 * (order + 1) + 2 * order + 8 + (order - 2) * (2 * order + 4)
    fixed = 8 * sum(plan.head_bits) + sum(10 * m + 22 for m in products) + 8 * (plan.cells - 1).bit_length()
    return 6 * plan.cells + step * plan.steps + fixed + 40


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
    chord, *sizes = plan.factor_sizes
    outer, *levels = plan.product_levels
    inside = Form()
    for k in range(plan.order - 3, -1, -1):
        inside = _cut(b, parts[k] + inside, sizes[k])
        inside = product_form(b, inside, z if k else 1 - z, levels[k], (sizes[k], 1))
    return _carried(b, even + product_form(b, _cut(b, ends + inside, chord), z, outer, (chord, 1)), total_size(plan))


def total_size(plan: DifferencePlan) -> fmpq:
    """A bound of |G|."""
    return plan.sizes[0] + 2 * plan.sizes[1] + plan.factor_sizes[0] + 1


def _cut(b: Builder, form: Form, bound: fmpq) -> Form:
    """The number cut to [-bound, bound], by two units."""
    return bound - b.relu(2 * bound - b.relu(form + bound))


def _carried(b: Builder, form: Form, bound: fmpq | int) -> Form:
    """The same number as one unit with an offset, for |form| <= bound."""
    offset = offset_for(bound)
    return b.relu(form + offset) - offset


def offset_for(bound: fmpq | int) -> fmpq:
    """A power of two that is at least the bound."""
    value = fmpq(bound)
    return fmpq(2 ** int(-(-value.p // value.q)).bit_length())


def _latched(b: Builder, code: Form, t: Form, plan: DifferencePlan) -> tuple[Form, Form, list[Form], Form]:
    """(a, b - a, the coefficients of Q, the wave z), each a sum over all nodes."""
    order, steps = plan.order, plan.steps
    missing = missing_bits(b, code, plan.code_bits)
    state = [Form()]
    for bits, bound in zip(plan.head_bits, plan.state_bounds[1:], strict=True):
        state.append(_carried(b, _number(missing, bits) - 2 ** (bits - 1), bound))
    even: Gates = []
    ends: Gates = [(fmpq(1), state[1])]
    old = coefficients(state, plan, 0)
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
        change = _gate(b, rise(state, plan, k), closed, fmpq(2 * plan.sizes[1]))
        if k % 2:
            even.append((fmpq(1), change))
        ends.append((sign, change))
        new = coefficients(state, plan, k)
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
        found.append(_carried(b, state[i] + higher, plan.state_bounds[i]))
    return found


def rise(state: list[Form], plan: DifferencePlan, k: int) -> Form:
    """A_(k+1) - A_(k-1) from the running sums of step k."""
    kappa = k - window(k, plan.steps, plan.order)
    return linear_combination(list(zip(rises(plan.order, kappa), state, strict=True)))


def coefficients(state: list[Form], plan: DifferencePlan, k: int) -> list[Form]:
    """The forms q_l of step k."""
    rows = bubbles(plan.order, k - window(k, plan.steps, plan.order), bool(k % 2))
    return [
        linear_combination([(rows[i][part], state[i]) for i in range(2, plan.order)]) for part in range(plan.order - 2)
    ]


def _gate(b: Builder, change: Form, closed: Form, reach: fmpq) -> Form:
    """change where closed = 0, and 0 where closed = 1, for |change| <= reach."""
    return opened(b.relu(gate(change, closed, reach)), closed, reach)


def gate(change: Form, closed: Form, reach: fmpq) -> Form:
    """What the unit of a gate reads."""
    return change + reach - 2 * reach * closed


def opened(unit: Form, closed: Form, reach: fmpq) -> Form:
    """What a gate lets through."""
    return unit - reach + reach * closed
