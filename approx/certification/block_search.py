"""What sup |f - net| is on one block of the domain: exact pieces, second-order bounds, and a ladder of arithmetics.

Algorithm. The network is cut into its pieces in float64. Pieces whose bound exceeds the goal, (1 + rtol) times the lower
bound, are bisected where the curvature of f is to blame. Where rounding is (its share exceeds a tenth of the allowed gap),
the next step of the ladder is taken: the adjoint bound at the same nodes, then double-double at the same nodes, then
double-double at nodes of its own, and last, for the few intervals that are left, rationals and balls (exact_rung.py).
The lower bound is always the value at one point in exact rational arithmetic (network) and balls (f).

Guarantee: whatever is not settled when the allowance of pieces ends is returned as open blocks with valid bounds.
Cost: O(weights * pieces); about 1e6 pieces a second for a narrow network in float64, a tenth of that in double-double.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, fmpq

from approx.certification.adjoint import forward_adjoint
from approx.certification.arithmetic import Arithmetic, DoubleDouble, Float64, Vector, join, take
from approx.certification.exact_rung import ExactRung
from approx.certification.forward import forward
from approx.certification.one_variable import Pieces, bound_pieces, concatenate, difference
from approx.certification.pieces import Program, node_blocks
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, to_float, to_fmpq, working_precision
from approx.numbers.doubledouble import dd_add
from approx.targets.cover import Cover

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: Share of the allowed relative gap that rounding may take before the next arithmetic is called.
_SLACK_SHARE = 0.1
#: Double-double from the start where this share of a block is held back by rounding.
_HOPELESS = 0.75
#: After so many pieces in a row that the adjoint bound did not close, it is left out.
_IDLE = 2000
_ROUNDS = 60
#: Precisions at which |f - net| is tried at a point: more where the first does not resolve it.
_WITNESS_BITS = (192, 1024)
#: Networks with more weights are evaluated at a witness in double-double with a proved error, not in rationals.
_EXACT_WEIGHTS = 5000
#: More open blocks than this are joined.
_MOST_BLOCKS = 64


@dataclass(frozen=True)
class Block:
    """An interval that is not settled: its proved bound, how many pieces it may have, whether to cut it into pieces now."""

    left: float
    right: float
    upper: float
    cost: float
    ripe: bool = False


@dataclass
class Search:
    """The work on one block: the best lower bound so far, and the largest bound of what is settled."""

    program: Program
    target: Target
    cover: Cover
    rtol: float
    atol: float
    allowance: int
    seconds: float
    lower: float = 0.0
    witness: fmpq | None = None
    settled: float = 0.0
    rounding: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.domain = (self.target.domain.lower[0], self.target.domain.upper[0])

    @property
    def network(self) -> Network:
        """The network that is certified."""
        return self.program.network

    @property
    def goal(self) -> float:
        """Bounds up to this need no more work."""
        return max(self.lower * (1 + self.rtol), self.atol)

    @property
    def exhausted(self) -> bool:
        """Whether the allowance of this block is used up."""
        return sum(self.counts.values()) >= self.allowance or time.perf_counter() - self.started >= self.seconds

    def count(self, kind: str, number: int) -> None:
        """Add `number` pieces of the given kind."""
        self.counts[kind] = self.counts.get(kind, 0) + int(number)

    # -- lower bound ----------------------------------------------------------------------------------------------

    def try_point(self, x: fmpq) -> None:
        """Raise the lower bound to |f - net| at the exact point x, if that is larger."""
        x = min(max(x, self.domain[0]), self.domain[1])
        for bits in _WITNESS_BITS:
            with working_precision(bits):
                if self.network.size.weights > _EXACT_WEIGHTS:
                    x, value = self.rounded_value(x)
                else:
                    value = arb(evaluate_exact(self.network, [x])[0])
                ball = abs(self.target.ball([arb(x)]) - value)
                low = float_down(ball.lower()) if ball.is_finite() else 0.0
                sharp = ball.rad() <= 2.0**-30 * ball.mid()
            if sharp or not ball.is_finite():
                break
        if low > self.lower or self.witness is None:
            self.lower, self.witness = max(low, self.lower), x

    def rounded_value(self, x: fmpq) -> tuple[fmpq, arb]:
        """(a float64 point of the domain near x, the ball of the network's value there) by the proved forward pass."""
        near = to_float(x)
        for point in (near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)):
            if self.domain[0] <= to_fmpq(float(point)) <= self.domain[1]:
                near = float(point)
                break
        else:
            return x, arb(evaluate_exact(self.network, [x])[0])
        ends = (np.array([near, near]), np.zeros(2))
        value, error = forward(self.program, ends, True, DoubleDouble)
        if not error[0] <= 2.0**-40 * max(self.lower, 2.0**-40 * abs(value[0][0])):
            value, error = forward_adjoint(self.program, ends, True, DoubleDouble)
        middle = arb(to_fmpq(float(value[0][0]))) + arb(to_fmpq(float(value[1][0])))
        radius = arb(to_fmpq(float(error[0]))) if np.isfinite(error[0]) else arb("inf")
        return to_fmpq(near), middle + radius.union(-radius)

    def improve(self, pieces: Pieces) -> None:
        """Try the most promising point of these pieces."""
        if not len(pieces):
            return
        promise = np.where(np.isfinite(pieces.slack), pieces.estimate - pieces.slack, 0.0)
        best = int(np.argmax(promise))
        if self.witness is not None and promise[best] <= self.lower * (1 + min(1e-6, 0.1 * self.rtol)):
            return
        left, right = exact_end(pieces.left, best), exact_end(pieces.right, best)
        grain = 2**20 if self.rtol >= 1e-6 else 2**40
        step = (right - left) * to_fmpq(round(float(pieces.fraction[best]) * grain)) / grain
        self.try_point(left + step)

    # -- upper bound ----------------------------------------------------------------------------------------------

    def settle(self, pieces: Pieces) -> Pieces:
        """Close the pieces that meet the goal and return the others."""
        self.improve(pieces)
        active = ~(pieces.upper <= self.goal)
        self.settled = max(self.settled, float(pieces.upper[~active].max(initial=0.0)))
        return pieces.take(np.flatnonzero(active))

    def limited(self, pieces: Pieces) -> np.ndarray:
        """Which pieces are held back by rounding rather than by the curvature of f."""
        return ~(pieces.slack <= _SLACK_SHARE * max(self.rtol * self.lower, self.atol))

    def bounded(self, points: Vector, shared: bool, arithmetic: Arithmetic) -> Pieces:
        """The open pieces between the points, those that rounding holds back by the adjoint bound."""
        self.count(arithmetic.name, len(points[0]) - 1 if shared else len(points[0]) // 2)
        pieces = self.settle(bound_pieces(self.program, self.cover, points, shared, arithmetic))
        held = self.limited(pieces) & np.isfinite(pieces.upper)
        if not held.any() or self.idle.get(arithmetic.name, 0) > _IDLE or self.skips_adjoint(arithmetic):
            return pieces
        self.count(arithmetic.name + " adjoint", int(held.sum()))
        chosen = pieces.take(np.flatnonzero(held))
        nodes = join([chosen.left, chosen.right])
        sharper = self.settle(bound_pieces(self.program, self.cover, nodes, False, arithmetic, adjoint=True))
        # Where it closes next to nothing, rounding is spread so evenly that signs do not matter.
        lost = len(sharper) > 0.9 * len(chosen)
        self.idle[arithmetic.name] = self.idle.get(arithmetic.name, 0) + len(chosen) if lost else 0
        return concatenate([sharper, pieces.take(np.flatnonzero(~held))])

    def skips_adjoint(self, arithmetic: Arithmetic) -> bool:
        """Whether the next arithmetic costs less than the adjoint bound: short rows in double-double do."""
        return arithmetic is Float64 and not any(self.program.dense)

    def decompose(self, nodes: Vector, arithmetic: Arithmetic) -> tuple[Pieces, tuple[Vector, Vector] | None]:
        """(open pieces, what is left of the region spanned by `nodes` when the allowance ended or rounding won)."""
        parts: list[Pieces] = []
        last = take(nodes, slice(-1, None))
        rest = None
        for block in node_blocks(self.program, nodes, arithmetic):
            pieces = self.bounded(block, True, arithmetic)
            parts.append(pieces)
            end = take(block, slice(-1, None))
            if float(difference(last, end)[0]) <= 0:
                break
            hopeless = arithmetic is Float64 and self.limited(pieces).sum() > max(16, _HOPELESS * len(block[0]))
            if self.exhausted or hopeless:
                rest = (end, last)
                break
        return concatenate(parts), rest

    def refine(self, pieces: Pieces, arithmetic: Arithmetic) -> tuple[Pieces, Pieces]:
        """Bisect until every piece meets the goal: (held back by rounding, not finished)."""
        stuck: list[Pieces] = []
        for _ in range(_ROUNDS):
            pieces = self.settle(pieces)
            # Where nothing finite is known (a pole), or nothing is left to halve, halving does not help.
            held = self.limited(pieces) | ~np.isfinite(pieces.upper) | ~divisible(pieces)
            stuck.append(pieces.take(np.flatnonzero(held)))
            pieces = pieces.take(np.flatnonzero(~held))
            if not len(pieces) or self.exhausted or len(pieces) > 4 * self.allowance:
                break
            pieces = self.bounded(halves(pieces), False, arithmetic)
        else:
            stuck, pieces = [*stuck, pieces], pieces.take(np.array([], dtype=int))
        return concatenate(stuck), pieces

    def recomputed(self, pieces: Pieces) -> tuple[Pieces, Pieces]:
        """The same pieces, found in float64, bounded in double-double: (those still open, those not reached in time)."""
        parts: list[Pieces] = []
        done = 0
        while done < len(pieces) and not (parts and self.exhausted):
            part = pieces.take(np.arange(done, min(done + self.program.block, len(pieces))))
            nodes = np.concatenate([part.left[0], part.right[0]])
            parts.append(self.bounded((nodes, np.zeros_like(nodes)), False, DoubleDouble))
            done += len(part)
        return concatenate(parts), pieces.take(np.arange(done, len(pieces)))

    def exactly(self, pieces: Pieces) -> None:
        """Settle pieces in rationals and balls, as far as that goes."""
        rung = ExactRung(self.network, self.target)
        order = np.argsort(-pieces.upper, kind="stable")
        steps = 0
        for i in order.tolist():
            upper = float(pieces.upper[i])
            if upper > self.goal and rung.available and not self.exhausted:
                left = max(exact_end(pieces.left, i), self.domain[0])
                right = min(exact_end(pieces.right, i), self.domain[1])
                bound, used = rung.enclose(left, right, self, rung.steps - steps) if left <= right else (0.0, 0)
                steps += used
                upper = min(upper, bound)
            self.rounding |= upper > self.goal
            self.settled = max(self.settled, upper)
        if steps:
            self.count("exact", steps)


def exact_end(ends: Vector, index: int) -> fmpq:
    """The exact end of a piece."""
    return sum((to_fmpq(float(c[index])) for c in ends), fmpq(0))


def divisible(pieces: Pieces) -> np.ndarray:
    """Which pieces are wider than a few units in the last place of float64."""
    size = np.maximum(np.abs(pieces.left[0]), np.abs(pieces.right[0]))
    return difference(pieces.right, pieces.left) > np.maximum(2.0**-50 * size, 2.0**-1000)


def halves(pieces: Pieces) -> Vector:
    """The ends of both halves of every piece: all left ends, then all right ends."""
    half: Vector
    if len(pieces.left) == 1:
        half = (0.5 * pieces.left[0] + 0.5 * pieces.right[0],)
    else:
        total = dd_add(pieces.left[0], pieces.left[1], pieces.right[0], pieces.right[1])
        half = (0.5 * total[0], 0.5 * total[1])
    return join([pieces.left, half, half, pieces.right])


def search_block(search: Search, left: float, right: float, upper: float) -> list[Block]:
    """The open blocks that remain of [left, right], on which `upper` is a bound; results are in `search`."""
    inner = search.cover.edges[(search.cover.edges > left) & (search.cover.edges < right)]
    nodes = np.concatenate(([left], inner, [right]))
    pieces, rest = search.decompose((nodes,), Float64)
    stuck, unfinished = search.refine(pieces, Float64)
    blocks = _blocks(unfinished)
    regions: list[tuple[float, float]] = []
    if rest is not None:
        if search.exhausted:
            a, b = float(rest[0][0][0]), float(rest[1][0][0])
            blocks.append(Block(a, b, upper, _expected(search, left, a, b)))
        else:
            regions.append((float(rest[0][0][0]), float(rest[1][0][0])))
    if len(stuck) and not search.exhausted:
        better, missed = search.recomputed(stuck)
        stuck, unfinished = search.refine(better, DoubleDouble)
        blocks += _blocks(unfinished) + _blocks(missed)
    if search.exhausted:
        blocks += _blocks(stuck) + [Block(a, b, upper, np.inf) for a, b in regions]
    else:
        regions += _intervals(stuck)
        blocks += _extended(search, merged(regions), upper)
    return _joined(blocks, upper, search.settled)


def _extended(search: Search, regions: list[tuple[float, float]], upper: float) -> list[Block]:
    """The same in double-double on the regions that float64 could not settle."""
    edges = search.cover.edges
    open_blocks: list[Block] = []
    for a, b in regions:
        if search.exhausted:
            open_blocks.append(Block(a, b, upper, np.inf))
            continue
        nodes = np.concatenate(([a], edges[(edges > a) & (edges < b)], [b]))
        pieces, rest = search.decompose((nodes, np.zeros_like(nodes)), DoubleDouble)
        stuck, unfinished = search.refine(pieces, DoubleDouble)
        open_blocks += _blocks(unfinished)
        if rest is not None:
            start = float(np.nextafter(rest[0][0][0], -np.inf)) if rest[0][1][0] < 0 else float(rest[0][0][0])
            open_blocks.append(Block(start, b, upper, _expected(search, a, start, b)))
        if len(stuck):
            search.exactly(stuck)
    return open_blocks


def _expected(search: Search, left: float, reached: float, right: float) -> float:
    """How many pieces the rest of a block may have, if it is as dense as what was seen."""
    seen = sum(search.counts.values())
    return seen * (right - reached) / (reached - left) if reached > left else np.inf


def _intervals(pieces: Pieces) -> list[tuple[float, float]]:
    """Float64 intervals that contain the pieces."""
    left, right = pieces.left[0], pieces.right[0]
    if len(pieces.left) > 1:
        left = np.where(pieces.left[1] < 0, np.nextafter(left, -np.inf), left)
        right = np.where(pieces.right[1] > 0, np.nextafter(right, np.inf), right)
    return list(zip(left.tolist(), right.tolist(), strict=True))


def _blocks(pieces: Pieces) -> list[Block]:
    return [Block(a, b, float(u), 2.0) for (a, b), u in zip(_intervals(pieces), pieces.upper, strict=True)]


def _joined(blocks: list[Block], upper: float, settled: float) -> list[Block]:
    """At most _MOST_BLOCKS blocks that cover the given ones, with bounds not above `upper`."""
    ordered = sorted(blocks, key=lambda b: b.left)
    result = []
    for a, b in merged([(o.left, o.right) for o in ordered], _MOST_BLOCKS):
        inside = [o for o in ordered if a <= o.left and o.right <= b]
        # A gap that was closed up is bounded by what is settled.
        worst = max(settled, *(o.upper for o in inside))
        result.append(Block(a, b, min(upper, worst), sum(o.cost for o in inside)))
    return result


def merged(regions: list[tuple[float, float]], most: int = 32) -> list[tuple[float, float]]:
    """At most `most` intervals that cover the regions: neighbours are joined, closest first."""
    joined: list[tuple[float, float]] = []
    for a, b in sorted(regions):
        if joined and a <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    if len(joined) <= most:
        return joined
    gaps = np.array([joined[i + 1][0] - joined[i][1] for i in range(len(joined) - 1)])
    cut = sorted(np.argsort(-gaps, kind="stable")[: most - 1].tolist())
    starts = [0, *(i + 1 for i in cut)]
    stops = [*cut, len(joined) - 1]
    return [(joined[i][0], joined[j][1]) for i, j in zip(starts, stops, strict=True)]
