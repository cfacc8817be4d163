"""What is proved about a chain before its network is certified? An upper bound of sup |f - net|, in balls.

Write P for the function that the network would compute with exact squares, exact quotients and unrounded weights. Then

    |f - net| <= |f - P| + |P - net|.

First term: on cells [c - r, c + r] without a kink of P, f(c + h) - P(c + h) = sum_{k<n} d_k h^k + d_n h^n with d_k the
Taylor coefficients at c and d_n an enclosure of the n-th over the whole cell (Lagrange's remainder), so it is at most
sum |d_k| r^k. Cells are bisected, kinks are cut out by cells so small that natural enclosures suffice.

Second term: net is P with every square q_j perturbed by at most eps_j = 4^-(m_j+1)/2 (P16 Proposition 2, centred; every
quotient u^2 / s by s eps_j) and
every unit's form by the rounding of its weights. P is a piecewise smooth Lipschitz function of these perturbations, so
by the mean value theorem the difference is at most sum_j sup |dP/dq_j| eps_j, with the derivatives (reverse
accumulation, relu' in [0, 1] where its sign is open) enclosed at all perturbed values of the cell. An argument beyond
1 by o costs o (1 + o) more, one beyond s by o costs o (1 + o / s).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from flint import arb, fmpq

from approx.networks import Form
from approx.numbers import absolute, float_up, to_arb, working_precision
from approx.numbers import relu as ball_relu
from approx.targets import Target

_BITS = 128
ORDER = 8
MAXIMUM_CELLS = 3000
Series = list[arb]


@dataclass
class Tape:
    """A Writer that records units, exact squares and quotients: node 0 is the variable, then (kind, form, error) in order.

    `scales` has the form of s of every quotient u^2 / s, by its node; the node before it is u - s, whose range must be sharp.
    """

    nodes: list[tuple[str, Form, fmpq]] = field(default_factory=list)
    scales: dict[int, Form] = field(default_factory=dict)

    def relu(self, form: Form) -> Form:
        """The form of a new unit."""
        return self._add("relu", form, fmpq(0))

    def square(self, form: Form, levels: int) -> Form:
        """The form of a new exact square that stands for one with this many levels."""
        return self._add("square", form, fmpq(1, 2 * 4 ** (levels + 1)))

    def quotient(self, form: Form, scale: Form, read: Form, levels: int) -> Form:
        """The form of a new exact quotient that stands for one with this many levels."""
        self._add("excess", form - scale, fmpq(0))
        found = self._add("quotient", form, fmpq(1, 2 * 4 ** (levels + 1)))
        self.scales[len(self.nodes)] = scale
        return found

    def close(self, output: Form, defects: list[fmpq]) -> None:
        """Adds the output and the errors by the rounding of the weights, one per unit and the output's last."""
        self.nodes.append(("output", output, fmpq(0)))
        waiting = iter(defects)
        self.nodes = [(k, f, next(waiting) if k in ("relu", "output") else e) for k, f, e in self.nodes]

    def _add(self, kind: str, form: Form, error: fmpq) -> Form:
        self.nodes.append((kind, form, error))
        return Form({len(self.nodes): fmpq(1)})


class _Kink(Exception):
    """A unit changes its sign in the cell; the offset of the estimated place from the centre."""

    def __init__(self, offset: float) -> None:
        self.offset = offset


class _Compiled:
    """The tape with its coefficients as balls."""

    def __init__(self, tape: Tape) -> None:
        self.nodes = [
            (kind, [(u, to_arb(w)) for u, w in form.terms.items()], to_arb(form.constant), to_arb(error))
            for kind, form, error in tape.nodes
        ]
        self.scales = {
            n: ([(u, to_arb(w)) for u, w in form.terms.items()], to_arb(form.constant)) for n, form in tape.scales.items()
        }

    def series(self, ball: arb, centre: arb, radius: arb) -> tuple[list[Series], list[Series], list[arb]]:
        """Of all nodes: Taylor coefficients at the centre and over the ball, and ranges; raises _Kink."""
        heads: list[Series] = [[centre, arb(1), *([arb(0)] * (ORDER - 2))]]
        tails: list[Series] = [[ball, arb(1), *([arb(0)] * (ORDER - 1))]]
        ranges = [ball]
        for kind, terms, constant, _ in self.nodes:
            head = _combination(heads, terms, constant, ORDER - 1)
            tail = _combination(tails, terms, constant, ORDER)
            if kind == "square":
                head, tail = _squared(head), _squared(tail)
            elif kind == "quotient":
                below = self.scales[len(heads)]
                head = _divided(_squared(head), _combination(heads, *below, ORDER - 1))
                tail = _divided(_squared(tail), _combination(tails, *below, ORDER))
            extent = _range(head, tail[ORDER], radius)
            if kind == "relu":
                if extent <= 0:
                    head, tail, extent = [arb(0)] * ORDER, [arb(0)] * (ORDER + 1), arb(0)
                elif not extent >= 0:
                    raise _Kink(_zero(head))
            tail[0] = extent  # sharper than the natural enclosure
            heads.append(head)
            tails.append(tail)
            ranges.append(extent)
        return heads, tails, ranges

    def natural(self, ball: arb) -> list[arb]:
        """Natural enclosures of all nodes over the ball."""
        values = [ball]
        for kind, terms, constant, _ in self.nodes:
            form = constant
            for u, w in terms:
                form = form + w * values[u]
            if kind == "quotient":
                below, constant = self.scales[len(values)]
                form = form * form / sum((w * values[u] for u, w in below), constant)
            values.append(form * form if kind == "square" else ball_relu(form) if kind == "relu" else form)
        return values

    def perturbation(self, values: list[arb]) -> arb:
        """An upper bound of |P - net| where all nodes of P are in these balls."""
        errors, slopes, sources = [arb(0)], [arb(1)], [arb(0)]
        falls = {}  # dq/ds of the quotients
        for kind, terms, constant, error in self.nodes:
            spread, form = arb(0), constant
            for u, w in terms:
                spread = spread + absolute(w) * errors[u]
                form = form + w * values[u]
            if kind == "square":
                wide = form + arb(0, 1) * spread
                over = ball_relu(wide - 1)
                error = error + over * (1 + over)
                slopes.append(2 * wide)
                errors.append((2 * absolute(form) + spread) * spread + error)
            elif kind == "quotient":
                below, bottom = self.scales[len(errors)]
                moved = sum((absolute(w) * errors[u] for u, w in below), arb(0))
                bottom = sum((w * values[u] for u, w in below), bottom) + arb(0, 1) * moved
                wide = form + arb(0, 1) * spread
                ratio, over = wide / bottom, ball_relu(values[len(errors) - 1] + arb(0, 1) * errors[-1])
                # The sawtooth runs on s with its error, the centring reads s without.
                error = bottom * error + 2 * error * moved + over * (1 + over / bottom)
                slopes.append(2 * ratio)
                falls[len(errors)] = -ratio * ratio
                errors.append(2 * absolute(ratio) * spread + ratio * ratio * moved + error)
            else:
                wide = form + arb(0, 1) * (spread + error)
                slopes.append(_step(wide) if kind == "relu" else arb(1))
                errors.append(spread + error)
            sources.append(error)
        adjoint = [arb(0)] * len(values)
        adjoint[-1] = arb(1)
        total = arb(0)
        for number in range(len(self.nodes), 0, -1):
            kind, terms, _, _ = self.nodes[number - 1]
            inner = adjoint[number] * slopes[number]
            total = total + absolute(adjoint[number] if kind in ("square", "quotient") else inner) * sources[number]
            for u, w in terms:
                adjoint[u] = adjoint[u] + inner * w
            for u, w in self.scales[number][0] if kind == "quotient" else ():
                adjoint[u] = adjoint[u] + adjoint[number] * falls[number] * w
        return total


def proved_bound(target: Target, tape: Tape, eps: float) -> tuple[float, float]:
    """Upper bounds (sup |f - P|, sup |P - net|) over the domain, both inf when the cells run out.

    eps only sets the fineness of the cells: spreads below eps / 10 are not resolved. Cost: about 0.3 ms per cell.
    """
    with working_precision(_BITS):
        compiled = _Compiled(tape)
        low, high = to_arb(target.domain.lower[0]), to_arb(target.domain.upper[0])
        step = (high - low) / 64
        edges = [low, *((low + i * step).mid() for i in range(1, 64)), high]
        stack = list(itertools.pairwise(edges))
        fit, squares, cells = 0.0, 0.0, 0
        sizes = [float_up(absolute(target.ball(edge)).upper()) for edge in edges]
        scale = max((s for s in sizes if 0 < s < math.inf), default=1.0)
        smallest = 1e-3 * eps * float_up((high - low).upper()) / scale
        while stack:
            a, b = stack.pop()
            cells += 1
            if cells > MAXIMUM_CELLS:
                return math.inf, math.inf
            ball = a.union(b)
            centre = ball.mid()
            radius = absolute(ball - centre).upper()
            if float_up(radius) < smallest:
                values = compiled.natural(ball)
                difference = absolute(target.ball(ball) - values[-1])
                if not _upper(difference.rad()) <= 0.1 * eps and float_up(radius) > 1e-9 * smallest:
                    stack += [(a, centre), (centre, b)]
                    continue
                fit = max(fit, _upper(difference))
                squares = max(squares, _upper(compiled.perturbation(values)))
                continue
            try:
                heads, tails, ranges = compiled.series(ball, centre, radius)
            except _Kink as kink:
                stack += _split(a, b, kink.offset, 0.4 * smallest)
                continue
            above, at = target.series(ball, ORDER), target.series(centre, ORDER - 1)
            parts = [absolute(p - q) for p, q in zip(at, heads[-1], strict=True)] + [absolute(above[ORDER] - tails[-1][ORDER])]
            powers = [part * radius**k for k, part in enumerate(parts)]
            spread = sum(powers[1:], arb(0))
            if not spread.is_finite() or (_upper(spread) > 0.1 * eps and float_up(radius) > 4 * smallest):
                middle = ((a + b) / 2).mid()
                stack += [(a, middle), (middle, b)]
                continue
            fit = max(fit, _upper(powers[0] + spread))
            squares = max(squares, _upper(compiled.perturbation(ranges)))
        return fit, squares


def _upper(ball: arb) -> float:
    return float_up(ball.upper()) if ball.is_finite() else math.inf


def _split(a: arb, b: arb, offset: float, margin: float) -> list[tuple[arb, arb]]:
    """The cell cut at both sides of the estimated kink, or halved when the estimate is outside."""
    middle = ((a + b) / 2).mid()
    left, right = middle + arb(offset) - margin, middle + arb(offset) + margin
    left, right = left.mid(), right.mid()
    if not math.isfinite(offset) or not (a < left and right < b):
        return [(a, middle), (middle, b)]
    return [(a, left), (left, right), (right, b)]


def _zero(form: Series) -> float:
    slope = float(form[1].mid())
    return -float(form[0].mid()) / slope if slope else math.nan


def _range(centre: Series, last: arb, radius: arb) -> arb:
    """An enclosure of the node over the cell, sharp to first order in the radius."""
    swing = absolute(last) * radius ** len(centre)
    for k in range(1, len(centre)):
        swing = swing + absolute(centre[k]) * radius**k
    return centre[0] + arb(0, 1) * swing


def _step(ball: arb) -> arb:
    return arb(1) if ball > 0 else (arb(0) if ball < 0 else arb(0.5, 0.5))


def _combination(values: list[Series], terms: list[tuple[int, arb]], constant: arb, order: int) -> Series:
    result = [constant] + [arb(0)] * order
    for u, w in terms:
        for k, v in enumerate(values[u]):
            result[k] = result[k] + w * v
    return result


def _squared(form: Series) -> Series:
    n = len(form)
    result = []
    for k in range(n):
        total = arb(0)
        for i in range((k + 1) // 2):
            total = total + form[i] * form[k - i]
        total = 2 * total
        result.append(total + form[k // 2] * form[k // 2] if k % 2 == 0 else total)
    return result


def _divided(form: Series, below: Series) -> Series:
    result: Series = []
    for k, value in enumerate(form):
        for i in range(k):
            value = value - result[i] * below[k - i]
        result.append(value / below[0])
    return result
