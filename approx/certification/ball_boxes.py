"""What sup |f - net| is where float64 does not reach: branch and bound with ball jets of f - net, at any precision.

The network is written behind the target as one list of instructions, whose value is h = f - net. On a box with exact rational
centre c and half-widths r, ball arithmetic gives the Taylor coefficients of h at c and, over the whole box, those of the next
order: in one variable h is a parabola up to a cubic remainder, in several an affine function up to second order terms. A kink
of a ReLU inside the box leaves the natural range of h. The box with the largest bound is halved; the precision is doubled where
the radius of h(c) shows that rounding is to blame, so that weights of any size and arguments of any magnitude are followed.

Guarantee: lower <= sup <= upper at any time, no floating-point number is involved. Cost: a few microseconds per weight and box.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.taylor_forms import bounded_arguments
from approx.errors import UnsupportedError
from approx.numbers import arb_interval, float_down, float_up, to_fmpq, working_precision
from approx.targets.jet_arithmetic import ball_jet
from approx.targets.program import Instruction, Program
from approx.targets.series import SeriesProgram

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_START, _MOST = 128, 8192
#: Activations as functions of the target language.
_DIRECT = {"relu": "relu", "abs": "abs", "sin": "sin", "arcsin": "arcsin", "exp": "exp", "tanh": "tanh",
           "sigmoid": "sigmoid", "arctan": "arctan", "sqrt": "sqrt"}  # fmt: skip
ADMITTED = _DIRECT.keys() | {"identity", "exp2", "softplus", "gelu"}
Sides = tuple[tuple[fmpq, fmpq], ...]


class _Writer:
    """Appends instructions to those of a program."""

    def __init__(self, program: Program) -> None:
        self.steps = list(program.instructions)

    def add(self, operation: str, *arguments: int, data: Any = None) -> int:
        self.steps.append(Instruction(operation, arguments, data))
        return len(self.steps) - 1

    def number(self, value: fmpq) -> int:
        return self.add("number", data=value)

    def activation(self, name: str, t: int) -> int:
        if name in _DIRECT:
            return self.add(_DIRECT[name], t)
        if name == "exp2":
            return self.add("exp", self.add("mul", t, self.add("log", self.number(fmpq(2)))))
        if name == "softplus":
            return self.add("log", self.add("add", self.number(fmpq(1)), self.add("exp", t)))
        root = self.add("sqrt", self.number(fmpq(1, 2)))
        share = self.add("add", self.number(fmpq(1)), self.add("erf", self.add("mul", t, root)))
        return self.add("mul", self.add("mul", t, share), self.number(fmpq(1, 2)))


def difference_program(network: Network, target: Target) -> Program:
    """The program of target - network. Raises UnsupportedError on activations or weights that it cannot hold."""
    unknown = sorted(network.activations - ADMITTED)
    if unknown or not network.tags["rational"]:
        what = f"the activations {', '.join(unknown)}" if unknown else "weights that are no rationals"
        raise UnsupportedError(f"method 'balls': no jets of {what}")
    writer = _Writer(target.program)
    value = len(writer.steps) - 1
    places = [writer.add("variable", data=i) for i in range(network.inputs)]
    for name, bias, terms in network.exact_rows():
        total = writer.number(bias)
        for unit, weight in terms:
            total = writer.add("add", total, writer.add("mul", writer.number(weight), places[unit]))
        places.append(total if name == "identity" else writer.activation(name, total))
    writer.add("sub", value, places[-1])
    return Program(tuple(writer.steps)).part(len(writer.steps) - 1)


def certify_balls(
    network: Network,
    target: Target,
    rtol: float,
    atol: float,
    work: Work,
    start: tuple[float, Sequence[fmpq]] | None = None,
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by branch and bound with ball jets; start: a lower bound with its point."""
    search = _Search(network, target, rtol, atol, work)
    if start is not None:
        search.lower, search.witness = start[0], tuple(start[1])
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run()
    return search.lower, search.upper, search.witness, f"balls ({search.bits} bits)"


class _Search:
    """Boxes in a heap by their bounds, the best lower bound with its point, and the precision."""

    def __init__(self, network: Network, target: Target, rtol: float, atol: float, work: Work) -> None:
        self.program = difference_program(network, target)
        self.rtol, self.atol, self.work, self.bits = rtol, atol, work, _START
        self.series = SeriesProgram(self.program)
        reach = [max(abs(to_fmpq(a)), abs(to_fmpq(b))) for a, b in target.domain]
        known = bounded_arguments(network, reach)
        sure = all(k.all() for k, l in zip(known, network.layers, strict=True) if l.activation == "arcsin")
        # Arguments of arcsin may be cut off at +-1 only where they are known to lie there.
        self.clamp = sure and target._is_defined
        self.lower = 0.0
        sides: Sides = tuple((to_fmpq(a), to_fmpq(b)) for a, b in target.domain)
        self.witness = tuple(a for a, _ in sides)
        self.number = itertools.count()
        self.heap: list[tuple[float, int, Sides]] = [(-math.inf, next(self.number), sides)]

    @property
    def goal(self) -> float:
        return max(self.lower * (1 + self.rtol), self.atol)

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        return max(-self.heap[0][0], self.lower)

    def run(self) -> None:
        """Halve the box with the largest bound until it meets the goal or the work is exhausted."""
        while -self.heap[0][0] > self.goal and not self.work.exhausted:
            bound, _, sides = self.heap[0]
            halves = _halves(sides)
            children = [(-min(self.bound(s), -bound), next(self.number), s) for s in halves]
            heapq.heappop(self.heap)  # only now, so that an interrupt never finds the box gone and its halves missing
            for child in children:
                heapq.heappush(self.heap, child)

    def bound(self, sides: Sides) -> float:
        """A bound of |h| on the box; raises the lower bound and the precision on the way."""
        self.work.count("balls", 1)
        while True:
            with working_precision(self.bits):
                centre, radii = [(a + b) / 2 for a, b in sides], [(b - a) / 2 for a, b in sides]
                form = self.one(sides, centre, radii) if len(sides) == 1 else self.several(sides, centre, radii)
                value, upper = form
                size = float_up(abs(value).upper()) if value.is_finite() else math.inf
                wrong = float_up(value.rad()) if value.is_finite() else math.inf
            scale = max(self.lower, self.atol) or 1e-3 * size
            # An exact zero has no relative precision, and what is not finite may be so at every precision.
            if self.bits >= _MOST or not wrong > 0.05 * self.rtol * scale or (self.lower == 0 and self.bits >= 1024):
                return upper
            self.bits *= 2

    def one(self, sides: Sides, centre: list[fmpq], radii: list[fmpq]) -> tuple[arb, float]:
        """(h(c), bound) in one variable: a parabola and a cubic remainder."""
        c, r = arb(centre[0]), arb(radii[0])
        ball = arb_interval(*sides[0])
        over = self.series.run(ball, 3, self.clamp)
        at = self.series.run(c, 2, self.clamp)
        rest = abs(over[3]) * r**3
        upper = _finite_upper(abs(over[0]))
        if at[0].is_finite():
            self.improve(abs(at[0]), (centre[0],))
        if all(v.is_finite() for v in at) and rest.is_finite():
            left, right = at[0] - at[1] * r + at[2] * r * r, at[0] + at[1] * r + at[2] * r * r
            self.improve(abs(left) - rest, (sides[0][0],))
            self.improve(abs(right) - rest, (sides[0][1],))
            top = _top(at[0], at[1], at[2], r, left.max(right)).max(_top(-at[0], -at[1], -at[2], r, (-left).max(-right)))
            upper = min(upper, _finite_upper(top + rest))
        return at[0], upper

    def several(self, sides: Sides, centre: list[fmpq], radii: list[fmpq]) -> tuple[arb, float]:
        """(h(c), bound) in several variables: an affine function and terms of the second order."""
        d = len(sides)
        over = ball_jet(self.program, [arb_interval(a, b) for a, b in sides], 2, self.clamp)
        at = ball_jet(self.program, [arb(c) for c in centre], 1, self.clamp)
        value, linear, rest = at[(0,) * d], arb(0), arb(0)
        upper = _finite_upper(abs(over[(0,) * d]))
        for a, coefficient in over.items():
            if sum(a) == 2:
                size = abs(coefficient)
                for i in range(d):
                    size = size * arb(radii[i]) ** a[i]
                rest += size
        corner = []
        for i in range(d):
            slope = at[tuple(int(i == j) for j in range(d))] * arb(radii[i])
            linear += abs(slope)
            corner.append(sides[i][1] if bool(slope.mid() > 0) == bool(value.mid() > 0) else sides[i][0])
        if value.is_finite():
            self.improve(abs(value), tuple(centre))
        if value.is_finite() and linear.is_finite() and rest.is_finite():
            reachable = abs(value) + linear
            upper = min(upper, _finite_upper(reachable + rest))
            if float(reachable.mid()) > self.lower * (1 + 1e-6):
                point = [arb(x) for x in corner]
                self.improve(abs(ball_jet(self.program, point, 0, self.clamp)[(0,) * d]), tuple(corner))
        return value, upper

    def improve(self, size: arb, point: tuple[fmpq, ...]) -> None:
        """Raise the lower bound to `size`, which |h| is shown to reach at the point."""
        low = float_down(size.lower()) if size.is_finite() else 0.0
        if low > self.lower:
            self.lower, self.witness = low, point


def _top(c0: arb, c1: arb, c2: arb, r: arb, ends: arb) -> arb:
    """A bound of the maximum of c0 + c1 t + c2 t^2 on [-r, r], `ends` being the larger end value."""
    if c2 >= 0 or abs(c1) > 2 * abs(c2) * r:  # convex, or monotone
        return ends
    if c2 < 0:
        return ends.max(c0 - c1 * c1 / (4 * c2))
    return ends + abs(c2) * r * r  # the sign of the curvature is not sure: chord and bulge


def _finite_upper(ball: arb) -> float:
    return float_up(ball.upper()) if ball.is_finite() else math.inf


def _halves(sides: Sides) -> tuple[Sides, Sides]:
    axis = max(range(len(sides)), key=lambda i: sides[i][1] - sides[i][0])
    a, b = sides[axis]
    middle = (a + b) / 2
    left, right = (*sides[:axis], (a, middle), *sides[axis + 1 :]), (*sides[:axis], (middle, b), *sides[axis + 1 :])
    return left, right
