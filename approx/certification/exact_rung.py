"""What sup |f - net| is on a short interval in rationals and balls: the last step of the ladder, for a few hard places.

The network is followed exactly: a list of rational nodes and, for every unit, its values there; where the input of a ReLU
changes its sign between two nodes its exact zero becomes a node. Between neighbours the network is affine. f is expanded
about the middle m of a piece of half-width w with balls: f - net = h(m) + h'(m) t + c t^2, |t| <= w, c in the ball of f''/2
over the piece, so |f - net| <= max |h(m) + h'(m) t + c_m t^2| + rad(c) w^2 with c_m its midpoint, a closed form. Kinks
of f are cut out with the balls that enclose them (2^-120 relative); where f'' has no bound, the range of f itself is used.

Cost: about 1e4 units times nodes a second, 1e3 bounds a second.
"""

from __future__ import annotations

import heapq
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from flint import arb, fmpq

from approx.numbers import arb_interval, float_up, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_MOST_WEIGHTS = 20_000
_MOST_NODES, _MOST_COPIES = 2_000, 2_000_000
_LEAST_BITS, _MOST_BITS = 192, 2048
#: Operations of f for one block of the domain.
_WORK = 20_000
#: Halvings when the goal is 0, which bounds with a rounding never meet.
_HOPELESS = 32
#: Pieces narrower than this are not halved.
_FINEST = fmpq(1, 1 << 140)


class Goal(Protocol):
    """Who asks: what bound is small enough, and where lower bounds go."""

    @property
    def goal(self) -> float:
        """Bounds up to this need no more work."""

    def try_point(self, x: fmpq) -> None:
        """Raise the lower bound to the value at x."""


class ExactRung:
    """Bounds of |f - net| on intervals with rational ends."""

    def __init__(self, network: Network, target: Target) -> None:
        self.network, self.target = network, target
        self.available = (
            bool(network.tags["rational"]) and network.size.weights <= _MOST_WEIGHTS and not target.assumptions
        )
        #: Halvings for one block of the domain: about a second.
        self.steps = _WORK // max(10, len(target.program.instructions)) if self.available else 0

    def enclose(self, left: fmpq, right: fmpq, asker: Goal, steps: int) -> tuple[float, int]:
        """(bound of |f - net| on [left, right], halvings used): best first, until the asker's goal is met."""
        goal = asker.goal
        steps = steps if goal > 0 else min(steps, _HOPELESS)
        bits = _LEAST_BITS if goal <= 0 else int(min(_MOST_BITS, max(_LEAST_BITS, 160 - math.log2(goal))))
        with working_precision(bits):
            heap = self._start(left, right)
            used = 0
            while heap and -heap[0][0] > asker.goal and used < steps:
                upper, _, piece = heap[0]
                (a, va), (b, vb) = piece
                if b - a <= _FINEST * max(abs(a), abs(b), fmpq(1)):
                    break
                heapq.heappop(heap)
                used += 1
                asker.try_point(a + (b - a) * self._where(piece))
                middle, value = (a + b) / 2, (va + vb) / 2
                for half in (((a, va), (middle, value)), ((middle, value), (b, vb))):
                    heapq.heappush(heap, (max(upper, -self._bound(half)), (used, half[0][0]), half))
            return (-heap[0][0] if heap else 0.0), used

    def _start(self, left: fmpq, right: fmpq) -> list[Any]:
        cuts = {left, right}
        for ball in self.target.split_points():
            for end in (to_fmpq(ball.lower()), to_fmpq(ball.upper())):
                if left < end < right:
                    cuts.add(end)
        nodes = self.followed(sorted(cuts))
        if nodes is None:
            return [(-math.inf, (0, left), ((left, fmpq(0)), (right, fmpq(0))))]
        if len(nodes) == 1:
            nodes = nodes * 2
        heap = [(-self._bound(piece), (0, piece[0][0]), piece) for piece in pairwise(nodes)]
        heapq.heapify(heap)
        return heap

    def followed(self, nodes: list[fmpq]) -> list[tuple[fmpq, fmpq]] | None:
        """(node, value of the network) with the network affine between neighbours; None when there are too many."""
        values: list[list[fmpq]] = [nodes]
        copied = 0
        for activation, bias, terms in self.network.exact_rows():
            z = [sum((w * values[u][i] for u, w in terms), bias) for i in range(len(values[0]))]
            if activation != "identity":
                before = len(z)
                values = _with_roots([*values, z])
                copied += len(values) * len(values[0]) if len(values[0]) > before else 0
                if len(values[0]) > _MOST_NODES or copied > _MOST_COPIES:
                    return None
                z = [abs(v) if activation == "abs" else max(v, fmpq(0)) for v in values.pop()]
            values.append(z)
        return list(zip(values[0], values[-1], strict=True))

    def _bound(self, piece: tuple[tuple[fmpq, fmpq], tuple[fmpq, fmpq]]) -> float:
        (a, va), (b, vb) = piece
        middle, value, half = (a + b) / 2, (va + vb) / 2, (b - a) / 2
        box = arb_interval(a, b)
        curve = self.target.series(box, 2)[2] if a < b else arb(0)
        if not curve.is_finite():
            return self._natural(box, piece)
        h, slope = self._at(middle, value, piece)
        if not (h.is_finite() and slope.is_finite()):
            return self._natural(box, piece)
        c = arb(curve.mid())
        worst = max(_top(abs(h + sign * slope * half + c * half * half)) for sign in (1, -1))
        if not c.contains(0):
            vertex = -slope / (2 * c)
            if not abs(vertex) > half:
                worst = max(worst, _top(abs(h - slope * slope / (4 * c))))
        return float_up(arb(to_fmpq(worst)) + abs(curve - c) * half * half) if math.isfinite(worst) else math.inf

    def _natural(self, box: arb, piece: tuple[tuple[fmpq, fmpq], tuple[fmpq, fmpq]]) -> float:
        (_, va), (_, vb) = piece
        return _top(abs(self.target.ball([box]) - arb_interval(min(va, vb), max(va, vb))))

    def _at(self, middle: fmpq, value: fmpq, piece: Any) -> tuple[arb, arb]:
        (a, va), (b, vb) = piece
        f = self.target.series(arb(middle), 1)
        return f[0] - arb(value), f[1] - (arb((vb - va) / (b - a)) if a < b else 0)

    def _where(self, piece: Any) -> fmpq:
        """The fraction of the piece at which |h| looks largest (a guess)."""
        (a, va), (b, vb) = piece
        best, place = -1.0, fmpq(1, 2)
        for k in range(9):
            t = fmpq(k, 8)
            gap = abs(self.target.ball([arb(a + (b - a) * t)]) - arb(va + (vb - va) * t))
            if gap.is_finite() and float(gap.mid()) > best:
                best, place = float(gap.mid()), t
        return place


def _top(ball: arb) -> float:
    return float_up(ball.upper()) if ball.is_finite() else math.inf


def _with_roots(values: list[list[fmpq]]) -> list[list[fmpq]]:
    """All lists with the zeros of the last one, linear between neighbours, as new entries."""
    z = values[-1]
    cuts = [i for i in range(len(z) - 1) if (z[i] < 0 < z[i + 1]) or (z[i + 1] < 0 < z[i])]
    if not cuts:
        return values
    fractions = {i: z[i] / (z[i] - z[i + 1]) for i in cuts}
    result = []
    for row in values:
        grown = []
        for i, v in enumerate(row):
            grown.append(v)
            if i in fractions:
                grown.append(v + (row[i + 1] - v) * fractions[i])
        result.append(grown)
    return result
