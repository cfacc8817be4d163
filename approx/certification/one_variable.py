"""What sup |f - net| is for one variable: exact pieces, second-order bounds on each, and a ladder of arithmetics.

Algorithm. A cover represents f on every cell as a polynomial plus a proved remainder. The network is cut into its
pieces; on each piece the chord of the computed network values is compared with f (chord.py), and the proved distance
between network and chord (forward.py) is added. Pieces whose bound exceeds (1+rtol) times the lower bound are bisected
where the curvature of f is to blame, and taken to the next arithmetic where rounding is. The lower bound is always the
value at one point in exact rational arithmetic (network) and balls (f).

Guarantee: lower <= sup <= upper whatever the budget; intervals that were not reached enter with a coarse bound.
Cost: O(weights * pieces); about 1e6 pieces a second for a narrow network in float64, a tenth of that in double-double.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, fmpq

from approx.certification.arithmetic import Arithmetic, DoubleDouble, Float64, Vector, join, take
from approx.certification.budget import Work
from approx.certification.chord import chord_bound
from approx.certification.forward import forward
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
_ROUNDS = 60
_WITNESS_BITS = 192
#: Networks with more weights are evaluated at a witness in double-double with a proved error, not in rationals.
_EXACT_WEIGHTS = 5000
#: More open pieces than this are not halved at once: memory.
_MOST_OPEN = 2_000_000


@dataclass
class Pieces:
    """Intervals with all that is known of |f - net| on them; arrays of equal length."""

    left: Vector
    right: Vector
    upper: np.ndarray
    slack: np.ndarray
    fraction: np.ndarray
    estimate: np.ndarray

    def __len__(self) -> int:
        return len(self.upper)

    def take(self, index: np.ndarray) -> Pieces:
        """The pieces at `index`."""
        return Pieces(
            take(self.left, index),
            take(self.right, index),
            *(a[index] for a in (self.upper, self.slack, self.fraction, self.estimate)),
        )


def bound_pieces(program: Program, cover: Cover, points: Vector, shared: bool, arithmetic: Arithmetic) -> Pieces:
    """The Pieces between points (see forward); every interval must lie within one cell of the cover."""
    values, error = forward(program, points, shared, arithmetic)
    count = len(points[0])
    ends = (slice(None, -1), slice(1, None)) if shared else (slice(None, count // 2), slice(count // 2, None))
    left, right = take(points, ends[0]), take(points, ends[1])
    cell = cells_of(cover, left)
    with np.errstate(all="ignore"):
        gap_left, err_left = _deviation(cover, left, take(values, ends[0]), cell, arithmetic)
        gap_right, err_right = _deviation(cover, right, take(values, ends[1]), cell, arithmetic)
        width = _difference(right, left)
        second = _second_derivative(cover, left[0], right[0], cell)
        upper, fraction, estimate = chord_bound(gap_left, gap_right, width, second)
        slack = (error + np.maximum(err_left, err_right)) * (1 + 2.0**-40)
        total = (upper + slack) * (1 + 2.0**-50)
    return Pieces(left, right, np.where(np.isnan(total), np.inf, total), slack, fraction, estimate)


def _second_derivative(
    cover: Cover, left: np.ndarray, right: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The range of f'' on the pieces; of the constant that stands for f where f'' is unbounded.

    On such a cell the remainder, which is part of the error of every value of f, covers all of f minus the constant.
    """
    low, high = cover.second_derivative_range(left, right, cell)
    constant = (cover.degrees[cell] == 0) & ~(np.isfinite(low) & np.isfinite(high))
    return np.where(constant, 0.0, low), np.where(constant, 0.0, high)


def cells_of(cover: Cover, left: Vector) -> np.ndarray:
    """The cell to the right of each point, exactly (a point a tail below an edge belongs to the cell before)."""
    cell = np.searchsorted(cover.edges, left[0], side="right") - 1
    cell = np.clip(cell, 0, len(cover.edges) - 2)
    if len(left) > 1:
        cell = np.where((left[0] == cover.edges[cell]) & (left[1] < 0), np.maximum(cell - 1, 0), cell)
    return cell


def _deviation(
    cover: Cover, x: Vector, value: Vector, cell: np.ndarray, arithmetic: Arithmetic
) -> tuple[np.ndarray, np.ndarray]:
    """f - net at the points, with the bound of its error that comes from f and from the subtraction."""
    if arithmetic is Float64:
        f, error = cover.value(x[0], cell)
        gap = f - value[0]
        return gap, error + 2.0**-52 * np.abs(gap)
    hi, lo, error = cover.value_dd(x[0], x[1], cell)
    gap, tail = dd_add(hi, lo, -value[0], -value[1])
    return gap, error + np.abs(tail) + 2.0**-100 * (np.abs(hi) + np.abs(value[0]))


def _difference(right: Vector, left: Vector) -> np.ndarray:
    if len(right) == 1:
        return (right[0] - left[0]) * (1 + 2.0**-52)
    return dd_add(right[0], right[1], -left[0], -left[1])[0] * (1 + 2.0**-52)


@dataclass
class Search:
    """The state of one certification: the best lower bound so far, and the largest bound of what is settled."""

    program: Program
    target: Target
    cover: Cover
    rtol: float
    atol: float
    work: Work
    lower: float = 0.0
    witness: fmpq | None = None
    settled: float = 0.0
    reached: list[str] = field(default_factory=list)

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

    # -- lower bound ----------------------------------------------------------------------------------------------

    def try_point(self, x: fmpq) -> None:
        """Raise the lower bound to |f - net| at the exact point x, if that is larger."""
        x = min(max(x, self.domain[0]), self.domain[1])
        if self.network.size.weights > _EXACT_WEIGHTS:
            x, value = self.rounded_value(x)
        else:
            with working_precision(_WITNESS_BITS):
                value = arb(evaluate_exact(self.network, [x])[0])
        with working_precision(_WITNESS_BITS):
            ball = abs(self.target.ball([arb(x)]) - value)
            low = float_down(ball.lower()) if ball.is_finite() else 0.0
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
            with working_precision(_WITNESS_BITS):
                return x, arb(evaluate_exact(self.network, [x])[0])
        ends, zero = np.array([near, near]), np.zeros(2)
        value, error = forward(self.program, (ends, zero), True, DoubleDouble)
        with working_precision(_WITNESS_BITS):
            middle = arb(to_fmpq(float(value[0][0]))) + arb(to_fmpq(float(value[1][0])))
            radius = arb(to_fmpq(float(error[0]))) if np.isfinite(error[0]) else arb("inf")
            return to_fmpq(near), middle + radius.union(-radius)

    def improve(self, pieces: Pieces) -> None:
        """Try the most promising point of these pieces."""
        if not len(pieces):
            return
        promise = np.where(np.isfinite(pieces.slack), pieces.estimate - pieces.slack, 0.0)
        best = int(np.argmax(promise))
        if self.witness is not None and promise[best] <= self.lower * (1 + 1e-6):
            return
        left = sum((to_fmpq(float(c[best])) for c in pieces.left), fmpq(0))
        right = sum((to_fmpq(float(c[best])) for c in pieces.right), fmpq(0))
        fraction = float(pieces.fraction[best])
        step = (right - left) * to_fmpq(round(fraction * 2**20)) / 2**20
        self.try_point(left + step)

    def interrupted(self) -> float:
        """A valid upper bound when the work was stopped anywhere: one coarse interval per cell."""
        return _coarse(self, [(float(self.cover.edges[0]), float(self.cover.edges[-1]))])

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

    def decompose(self, nodes: Vector, arithmetic: Arithmetic) -> tuple[list[Pieces], list[tuple[Vector, Vector]]]:
        """(active pieces, intervals not finished) of the region spanned by `nodes`.

        A region is given up for the next arithmetic as soon as rounding holds back a tenth of a block.
        """
        active: list[Pieces] = []
        last = take(nodes, slice(-1, None))
        for block in node_blocks(self.program, nodes, arithmetic):
            pieces = bound_pieces(self.program, self.cover, block, True, arithmetic)
            self.work.count(arithmetic.name, len(pieces))
            open_pieces = self.settle(pieces)
            held = self.limited(open_pieces)
            if arithmetic is Float64 and held.sum() > max(16, 0.1 * len(pieces)):
                return active, [(take(block, slice(0, 1)), last)]
            active.append(open_pieces)
            if self.work.exhausted:
                end = take(block, slice(-1, None))
                return active, [(end, last)] if float(_difference(last, end)[0]) > 0 else []
        return active, []

    def refine(self, pieces: Pieces, arithmetic: Arithmetic) -> Pieces:
        """Bisect until every piece meets the goal or is held back by rounding; the latter are returned."""
        stuck: list[Pieces] = []
        for _ in range(_ROUNDS):
            pieces = self.settle(pieces)
            # Where nothing finite is known (a pole), or nothing is left to halve, halving does not help.
            held = self.limited(pieces) | ~np.isfinite(pieces.upper) | ~self.divisible(pieces)
            stuck.append(pieces.take(np.flatnonzero(held)))
            pieces = pieces.take(np.flatnonzero(~held))
            if not len(pieces) or self.work.exhausted or len(pieces) > _MOST_OPEN:
                break
            pieces = self.halve(pieces, arithmetic)
        return concatenate([*stuck, pieces])

    @staticmethod
    def divisible(pieces: Pieces) -> np.ndarray:
        """Which pieces are wider than a few units in the last place of float64."""
        size = np.maximum(np.abs(pieces.left[0]), np.abs(pieces.right[0]))
        return _difference(pieces.right, pieces.left) > np.maximum(2.0**-50 * size, 2.0**-1000)

    def halve(self, pieces: Pieces, arithmetic: Arithmetic) -> Pieces:
        """Both halves of every piece, bounded anew."""
        half: Vector
        if len(pieces.left) == 1:
            half = (0.5 * (pieces.left[0] + pieces.right[0]),)
        else:
            total = dd_add(pieces.left[0], pieces.left[1], pieces.right[0], pieces.right[1])
            half = (0.5 * total[0], 0.5 * total[1])
        points = join([pieces.left, half, half, pieces.right])
        self.work.count(arithmetic.name, 2 * len(pieces))
        return bound_pieces(self.program, self.cover, points, False, arithmetic)

    def recompute(self, pieces: Pieces) -> Pieces:
        """The same pieces, found in float64, bounded in double-double."""
        nodes = np.concatenate([pieces.left[0], pieces.right[0]])
        self.work.count(DoubleDouble.name, len(pieces))
        return bound_pieces(self.program, self.cover, (nodes, np.zeros_like(nodes)), False, DoubleDouble)


def concatenate(parts: list[Pieces]) -> Pieces:
    """All pieces of the parts, which are in the same arithmetic."""
    return Pieces(
        join([p.left for p in parts]),
        join([p.right for p in parts]),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("upper", "slack", "fraction", "estimate")),
    )


def enclose(search: Search) -> tuple[float, bool]:
    """(upper bound, whether rounding alone kept the goal from being met); the lower bound is search.lower."""
    edges = search.cover.edges
    search.try_point(search.domain[0])
    search.try_point(search.domain[1])
    search.reached.append(Float64.name)
    parts, rest = search.decompose((edges,), Float64)
    stuck = search.refine(concatenate(parts), Float64) if parts else None
    if (stuck is None or not len(stuck)) and not rest:
        return search.settled, False
    regions = [(float(a[0][0]), float(b[0][0])) for a, b in rest]
    if search.work.exhausted:
        regions += _intervals(stuck)
        return max(search.settled, _coarse(search, regions)), False
    search.reached.append(DoubleDouble.name)
    if stuck is not None and len(stuck):
        # Most pieces need only better values at the same nodes; what is left needs better nodes.
        regions += _intervals(search.refine(search.recompute(stuck), DoubleDouble))
    return _extended(search, _merge(regions)) if regions else (search.settled, False)


def _intervals(pieces: Pieces | None) -> list[tuple[float, float]]:
    """Float64 intervals that contain the pieces."""
    if pieces is None:
        return []
    left, right = pieces.left[0], pieces.right[0]
    if len(pieces.left) > 1:
        left = np.where(pieces.left[1] < 0, np.nextafter(left, -np.inf), left)
        right = np.where(pieces.right[1] > 0, np.nextafter(right, np.inf), right)
    return list(zip(left.tolist(), right.tolist(), strict=True))


def _extended(search: Search, regions: list[tuple[float, float]]) -> tuple[float, bool]:
    """The same in double-double on the regions that float64 could not settle."""
    edges = search.cover.edges
    for number, (a, b) in enumerate(regions):
        inner = edges[(edges > a) & (edges < b)]
        nodes = np.concatenate(([a], inner, [b]))
        parts, rest = search.decompose((nodes, np.zeros_like(nodes)), DoubleDouble)
        stuck = search.refine(concatenate(parts), DoubleDouble)
        search.settled = max(search.settled, float(stuck.upper.max(initial=0.0)))
        if rest or search.work.exhausted:
            left = [(float(np.nextafter(p[0][0], -np.inf)), float(q[0][0])) for p, q in rest] + regions[number + 1 :]
            return max(search.settled, _coarse(search, left)), False
    return search.settled, search.settled > search.goal


def _merge(regions: list[tuple[float, float]], most: int = 32) -> list[tuple[float, float]]:
    """At most `most` intervals that cover the regions: neighbours are joined, closest first."""
    regions = sorted(regions)
    joined = [regions[0]]
    for a, b in regions[1:]:
        if a <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    if len(joined) <= most:
        return joined
    gaps = np.array([joined[i + 1][0] - joined[i][1] for i in range(len(joined) - 1)])
    cut = set(np.argsort(gaps)[::-1][: most - 1].tolist())
    merged, start = [], joined[0][0]
    for i in range(len(joined)):
        if i in cut or i == len(joined) - 1:
            merged.append((start, joined[i][1]))
            start = joined[i + 1][0] if i + 1 < len(joined) else start
    return merged


def _coarse(search: Search, regions: list[tuple[float, float]]) -> float:
    """A valid bound of sup |f - net| on regions that the budget did not reach: one interval per cell of the cover."""
    worst = 0.0
    edges = search.cover.edges
    for a, b in regions:
        if not b > a:
            continue
        nodes = np.concatenate(([a], edges[(edges > a) & (edges < b)], [b]))
        pieces = bound_pieces(search.program, search.cover, (nodes,), True, Float64)
        worst = max(worst, float(pieces.upper.max(initial=0.0)))
    return worst
