"""Is an upper bound in three and more variables true? Boxes and signs of ReLUs, followed in ball arithmetic.

Nothing here is shared with the engines that find bounds. A part of the domain is a box c + h u, u in [-1, 1]^d, with the signs
that some ReLUs are assumed to have there. Every unit is p + a.u + [-e, e] with balls for p, a, e: exactly through affine maps;
a ReLU of known or assumed sign is 0 or its argument, any other lies within its chord and the chord's offset. With g, H the
gradient at c and the Hessian over the box, h = f - net lies between

    f(c) - p + sum (g_i h_i - a_i) u_i + sum_i [min(0, Q_ii), max(0, Q_ii)] -+ sum_{i<j} |Q_ij| -+ e,  Q = half of h h^T H.

The assumptions s (p' + a'.u) + e' >= 0 enter with multipliers l >= 0 of the dual linear programme: max L(u) is at most
max_u (L + sum l_k s_k(u)) for any l, so they may be guessed in floats. Where the bound is not met, the ReLU that costs most is
given either sign, or the box is halved if f bends more than the ReLUs lose. A centre where |f - net| > upper refutes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flint import arb, fmpq

from approx.certification.check_function import CheckFunction
from approx.numbers import to_float, to_fmpq

if TYPE_CHECKING:
    from approx.certification.certificate import Certificate
    from approx.networks import Network
    from approx.targets import Target

_SAMPLE = 64
#: Parts that one check may look at: on the whole domain, and around one point.
_MOST_PARTS, _MOST_AROUND = 200_000, 400
#: More ReLUs of unknown sign than this: the box is halved first.
_MOST_UNKNOWN = 2
#: Samples are boxes of this share of the domain, or smaller until few ReLUs bend there.
_SHARE = fmpq(1, 1024)
_ZERO = arb(0)

Box = list[tuple[fmpq, fmpq]]
Form = tuple[arb, list[arb], arb]  # p, a, e


@dataclass
class _Part:
    box: Box
    signs: dict[int, int]


def check_space(
    c: Certificate, net: Network, target: Target, level: str, proved: list[str], refuted: list[str]
) -> None:
    """Prove `upper` again on the whole domain ("full") or on boxes around 64 points, with a sentence for either outcome."""
    if c.upper == float("inf"):
        proved.append("an infinite upper bound claims nothing")
        return
    checker = _Checker(net, target, to_fmpq(c.upper))
    domain = [(a, b) for a, b in c.domain]
    points = [tuple(c.witness), *(_spread(domain, k) for k in range(1, _SAMPLE))]
    work = [(checker.around(domain, p), _MOST_AROUND) for p in points]
    # The samples come first: what is false is mostly false there.
    for box, most in work + ([(domain, _MOST_PARTS)] if level == "full" else []):
        verdict = checker.prove(box, most)
        if verdict:
            refuted.append(verdict)
            return
    where = "the whole domain" if level == "full" else f"boxes around {len(points)} points"
    proved.append(f"|f - net| <= {c.upper:.6g} on {where} ({checker.parts} parts)")


def _spread(domain: Box, k: int) -> tuple[fmpq, ...]:
    """The k-th of points spread over the domain, on no dyadic grid."""
    odd = (618033, 754877, 569840, 819172, 856674)
    return tuple(a + (b - a) * fmpq(odd[i % 5] * (k + 7 * (i // 5)) % 1_000_003, 1_000_003) for i, (a, b) in enumerate(domain))


class _Checker:
    """A network and a target in balls, and how many parts were looked at."""

    def __init__(self, net: Network, target: Target, upper: fmpq) -> None:
        self.rows = [
            (activation, arb(bias), [(unit, arb(weight)) for unit, weight in terms])
            for activation, bias, terms in net.exact_rows()
        ]
        self.inputs, self.upper, self.parts = net.inputs, arb(upper), 0
        self.f = CheckFunction(target)
        # How much a unit is listened to, roughly: a guide to which sign to decide first.
        self.weight = [0.0] * (net.inputs + len(self.rows))
        self.weight[-1] = 1.0
        for number in range(len(self.rows) - 1, -1, -1):
            for unit, weight in self.rows[number][2]:
                self.weight[unit] += abs(float(weight.mid())) * min(self.weight[net.inputs + number], 1e100)

    def around(self, domain: Box, point: Sequence[fmpq]) -> Box:
        """A box around the point where few ReLUs bend."""
        share = _SHARE
        for _ in range(6):
            box = []
            for x, (a, b) in zip(point, domain, strict=True):
                start = max(a, min(x - (b - a) * share / 2, b - (b - a) * share))
                box.append((start, min(b, start + (b - a) * share)))
            if len(self.follow(_Part(box, {}))[1]) <= _MOST_UNKNOWN:
                break
            share /= 256
        return box

    def prove(self, box: Box, most: int) -> str:
        """Why |f - net| <= upper is not proved on the box; empty if it is."""
        # The largest bounds first: where the claim is false, they lead there.
        heap: list[tuple[float, int, _Part]] = [(0.0, 0, _Part(box, {}))]
        before, count = self.parts, 1
        while heap:
            part = heapq.heappop(heap)[2]
            self.parts += 1
            children, size = self.examine(part)
            if isinstance(children, str):
                return children
            if self.parts - before > most:
                centre = [round(to_float((a + b) / 2), 9) for a, b in part.box]
                claim = f"|f - net| <= {float(self.upper.mid()):.17g}"
                return f"{claim} could not be proved with {most} parts; left off around {centre}"
            for child in children:
                heapq.heappush(heap, (-size, count, child))
                count += 1
        return ""

    def examine(self, part: _Part) -> tuple[list[_Part] | str, float]:
        """(nothing where the bound is proved; otherwise smaller parts, or a sentence that refutes it; the bound)."""
        form, unknown, assumed = self.follow(part)
        # An assumption that no point of the box meets.
        if any((z[0] + sum((abs(v) for v in z[1]), z[2])) < 0 for z in assumed):
            return [], 0.0
        up, down, bend = self.bounds(part, form, assumed)
        if up <= self.upper and down <= self.upper:
            return [], 0.0
        size = float(up.max(down).mid()) if (up + down).is_finite() else math.inf
        centre = [(a + b) / 2 for a, b in part.box]
        if abs(self.gap(centre)) > self.upper:
            return f"|f - net| exceeds {float(self.upper.mid()):.17g} at {[str(x) for x in centre]}", size
        if not unknown or len(unknown) > _MOST_UNKNOWN or not bend < form[2]:
            return self.halved(part), size
        unit = max(unknown, key=lambda u: unknown[u] * self.weight[u])
        return [_Part(part.box, {**part.signs, unit: sign}) for sign in (1, -1)], size

    def bounds(self, part: _Part, form: Form, assumed: list[Form]) -> tuple[arb, arb, arb]:
        """(upper bounds of f - net and of net - f on the part, how much of them is due to the bending of f)."""
        d = self.inputs
        half = [arb((b - a) / 2) for a, b in part.box]
        centre = [(a + b) / 2 for a, b in part.box]
        ball = [arb(m) + arb(0, 1) * h for m, h in zip(centre, half, strict=True)]
        value, gradient = self.f.gradient([arb(m) for m in centre])
        bends = self.f.hessian(ball)
        p, a, e = form
        if not all(v.is_finite() for v in [value, *gradient, *(v for row in bends for v in row)]):
            value, gradient, bends = self.f.value(ball), [_ZERO] * d, [[_ZERO] * (i + 1) for i in range(d)]
        rises, falls, mixed = _ZERO, _ZERO, _ZERO
        for i in range(d):
            q = bends[i][i] * half[i] * half[i] / 2
            rises, falls = rises + q.upper().max(_ZERO), falls + (-q).upper().max(_ZERO)
            for j in range(i):
                mixed += abs(bends[i][j] * half[i] * half[j]).upper()
        constant, linear = value - p, [g * h - v for g, h, v in zip(gradient, half, a, strict=True)]
        up = _dual(constant, linear, assumed) + rises + mixed + e
        down = _dual(-constant, [-v for v in linear], assumed) + falls + mixed + e
        return up, down, rises + falls + mixed

    def halved(self, part: _Part) -> list[_Part]:
        """Both halves of the box across its longest side; the signs stay."""
        axis = max(range(self.inputs), key=lambda i: part.box[i][1] - part.box[i][0])
        lo, hi = part.box[axis]
        middle = (lo + hi) / 2
        return [_Part([*part.box[:axis], side, *part.box[axis + 1 :]], part.signs) for side in ((lo, middle), (middle, hi))]

    def follow(self, part: _Part) -> tuple[Form, dict[int, float], list[Form]]:
        """(the output, the gaps of the ReLUs of unknown sign, the assumptions z >= 0 as forms)."""
        d = self.inputs
        values: list[Form | None] = []
        for i, (lo, hi) in enumerate(part.box):
            values.append((arb((lo + hi) / 2), [arb((hi - lo) / 2) if j == i else _ZERO for j in range(d)], _ZERO))
        unknown: dict[int, float] = {}
        assumed: list[Form] = []
        for number, (activation, bias, terms) in enumerate(self.rows, d):
            p, a, e = bias, [_ZERO] * d, _ZERO
            for unit, weight in terms:
                source = values[unit]
                if source is not None:
                    p += weight * source[0]
                    a = [x + weight * y for x, y in zip(a, source[1], strict=True)]
                    e += abs(weight) * source[2]
            if activation == "identity":
                values.append((p, a, e))
                continue
            radius = sum((abs(v) for v in a), e)
            if number in part.signs:
                sign = part.signs[number]
                assumed.append((p, a, e) if sign > 0 else (-p, [-v for v in a], e))
            else:
                sign = 1 if p - radius >= 0 else -1 if p + radius <= 0 else 0
            if sign:
                dead: Form | None = (-p, [-v for v in a], e) if activation == "abs" else None
                values.append((p, a, e) if sign > 0 else dead)
                continue
            values.append(_chord(activation, p, a, e, radius))
            unknown[number] = float(values[-1][2].mid())  # type: ignore[index]
        last = values[-1] or (_ZERO, [_ZERO] * d, _ZERO)
        return last, unknown, assumed

    def gap(self, point: list[fmpq]) -> arb:
        """A ball for f - net at a point."""
        form, _, _ = self.follow(_Part([(x, x) for x in point], {}))
        return self.f.value([arb(x) for x in point]) - form[0] + arb(0, 1) * form[2]


def _chord(activation: str, p: arb, a: list[arb], e: arb, radius: arb) -> Form:
    """max(z, 0) or |z| for z of unknown sign in p +- radius: between slope z and slope (z - lo)."""
    lo, hi = (p - radius).lower(), (p + radius).upper()
    if not (lo < 0 and hi > 0):
        # A ball around 0 of unknown sign, or nothing known: z itself within |z|.
        size = abs(p).upper() + radius
        return _ZERO, [_ZERO] * len(a), size
    slope = (hi / (hi - lo)).mid()
    # With a rounded slope in (0, 1) the function still lies between slope z and the larger of its values at the ends.
    rest = ((1 - slope) * hi).upper().max((-slope * lo).upper())
    offset = rest / 2
    if activation == "abs":  # |z| = 2 max(z, 0) - z
        slope, offset = 2 * slope - 1, rest
    return slope * p + offset, [slope * v for v in a], abs(slope) * e + offset.upper()


def _dual(constant: arb, linear: list[arb], assumed: list[Form]) -> arb:
    """An upper bound of constant + linear.u over u in [-1, 1]^d with all assumptions."""
    best = sum((abs(v) for v in linear), constant)
    if not assumed:
        return best
    rows = [[float(z[0].mid()) + float(z[2].mid()), *(float(v.mid()) for v in z[1])] for z in assumed]
    current = [float(constant.mid()), *(float(v.mid()) for v in linear)]
    multipliers = _multipliers(current, rows)
    total, slopes = constant, list(linear)
    for weight, (p, a, e) in zip(multipliers, assumed, strict=True):
        if weight > 0:
            exact = arb(to_fmpq(weight))
            total += exact * (p + e)
            slopes = [x + exact * y for x, y in zip(slopes, a, strict=True)]
    return best.min(sum((abs(v) for v in slopes), total))


def _multipliers(current: list[float], rows: list[list[float]]) -> list[float]:
    """Multipliers >= 0 that make constant + sum |slopes| small, found one after the other; any would be valid."""
    found = [0.0] * len(rows)
    for _ in range(3):
        for k, row in enumerate(rows):
            base = [c - found[k] * r for c, r in zip(current, row, strict=True)]
            trials = [0.0, *(-b / r for b, r in zip(base[1:], row[1:], strict=True) if r and 0 < -b / r < 1e6)]
            best = float("inf")
            for t in trials:
                size = base[0] + t * row[0] + sum(abs(b + t * r) for b, r in zip(base[1:], row[1:], strict=True))
                if size < best:
                    best, found[k] = size, t
            current = [b + found[k] * r for b, r in zip(base, row, strict=True)]
    return found
