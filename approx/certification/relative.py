"""What sup |f - net| / |f| is: the absolute error on boxes on which |f| hardly varies.

On a box with 0 < m <= |f| <= M, the relative error is at most (sup |f - net|) / m, and at most a factor M / m is lost. Boxes
are halved best first: until M <= 2 m before anything is certified, then as long as the bound of a box exceeds
(1 + rtol) times the best relative error seen at a point. On every box the absolute error comes from `certify`, with whatever
algorithm fits the network, and only as sharp as the box needs.

A zero of f that is proved to exist is refused (DomainError); where a zero is only not excluded, upper = inf.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flint import arb, fmpq

from approx.certification.budget import Budget, Work
from approx.certification.certificate import Certificate
from approx.errors import DomainError
from approx.evaluation import evaluate_balls
from approx.networks import Network
from approx.numbers import arb_interval, float_down, float_up, to_fmpq, working_precision
from approx.targets import Target

_BITS = 160
#: Halvings of one box after which a zero of f that is not excluded counts as one.
_DEPTH = 60
Sides = tuple[tuple[fmpq, fmpq], ...]
#: (target on a box, rtol, atol, budget) -> certificate of the absolute error there.
Absolute = Callable[[Target, float, float, Budget], Certificate]


@dataclass(order=True)
class _Box:
    """A box with the range [m, M] of |f| on it and a bound of the relative error; sorted by falling bound."""

    key: tuple[float, int]
    sides: Sides = field(compare=False)
    depth: int = field(compare=False)
    smallest: fmpq = field(compare=False)
    largest: fmpq = field(compare=False)
    absolute: float = field(compare=False)  # a bound of |f - net| on the box, maybe from a larger one
    fresh: bool = field(compare=False)  # whether that bound was found on this very box


@dataclass(frozen=True)
class RelativeEnclosure:
    """lower <= sup |f - net| / |f| <= upper, the witness, the least |f| that is proved, and the algorithm used."""

    lower: float
    upper: float
    witness: tuple[fmpq, ...]
    smallest: float
    method: str


def relative_enclosure(
    network: Network, target: Target, rtol: float, atol: float, work: Work, absolute: Absolute
) -> RelativeEnclosure:
    """The RelativeEnclosure on the target's domain. Raises DomainError where f is proved to have a zero.

    Cost: a few dozen certificates in one variable, some hundreds in two.
    """
    search = _Search(network, target, rtol, atol, work, absolute)
    search.refuse_zeros()
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run()
    return search.result()


class _Search:
    """The state: boxes in a heap by their bounds, the best relative error at a point, and what is settled."""

    def __init__(
        self, network: Network, target: Target, rtol: float, atol: float, work: Work, absolute: Absolute
    ) -> None:
        self.network, self.target = network, target
        self.rtol, self.atol, self.work, self.absolute = rtol, atol, work, absolute
        self.lower, self.settled, self.method = 0.0, 0.0, "relative"
        sides = tuple((to_fmpq(a), to_fmpq(b)) for a, b in target.domain)
        self.witness = tuple(a for a, _ in sides)
        self.number = itertools.count()
        self.heap: list[_Box] = []
        self.push(sides, 0, math.inf)

    @property
    def goal(self) -> float:
        return max(self.lower * (1 + self.rtol), self.atol)

    def push(self, sides: Sides, depth: int, absolute: float) -> None:
        smallest, largest = self.range(sides)
        box = _Box((0.0, next(self.number)), sides, depth, smallest, largest, absolute, False)
        heapq.heappush(self.heap, self.keyed(box))

    @staticmethod
    def keyed(box: _Box) -> _Box:
        bound = math.inf
        if box.smallest > 0 and math.isfinite(box.absolute):
            bound = float_up(to_fmpq(box.absolute) / box.smallest)
        box.key = (-bound, box.key[1])
        return box

    def range(self, sides: Sides) -> tuple[fmpq, fmpq]:
        """A range of |f| on the box: natural inclusion, cut with the mean value form; (0, -1) where nothing is known."""
        with working_precision(_BITS):
            box = [arb_interval(a, b) for a, b in sides]
            value = abs(self.target.ball(box))
            if not value.is_finite():
                return fmpq(0), fmpq(-1)
            low, high = _ends(value)
            jet = self.target.jet(box, 1)
            centre = abs(self.target.ball([arb((a + b) / 2) for a, b in sides]))
            spread = arb(0)
            for i, (a, b) in enumerate(sides):
                spread += abs(jet[tuple(int(i == j) for j in range(len(sides)))]) * arb((b - a) / 2)
            if spread.is_finite():
                low, high = max(low, _ends(centre - spread)[0]), min(high, _ends(centre + spread)[1])
        return max(low, fmpq(0)), high

    def refuse_zeros(self) -> None:
        """Raise DomainError when values of both signs, or a zero, are proved."""
        seen: dict[int, tuple[fmpq, ...]] = {}
        with working_precision(_BITS):
            for point in _grid(self.target):
                ball = self.target.ball([arb(c) for c in point])
                sign = 1 if ball > 0 else -1 if ball < 0 else 0 if ball == 0 else None
                if sign is None:
                    continue
                seen.setdefault(sign, point)
                if 0 in seen or len(seen) == 2:
                    where = " and ".join("(" + ", ".join(map(str, p)) + ")" for p in seen.values())
                    what = "is 0" if 0 in seen else "takes both signs"
                    raise DomainError(
                        f"norm 'rel': the target {self.target.text} {what} at {where}, so |f - net| / |f| is not bounded "
                        "(unless the network vanishes exactly there); accepted: a target without zeros on the domain"
                    )

    def run(self) -> None:
        """Work on the box with the largest bound until it meets the goal."""
        while self.heap and self.settled < math.inf and not self.work.exhausted:
            if -self.heap[0].key[0] <= self.goal:
                return
            box = heapq.heappop(self.heap)
            try:
                self.advance(box)
            except KeyboardInterrupt:
                heapq.heappush(self.heap, box)
                raise

    def advance(self, box: _Box) -> None:
        wide = not box.largest >= box.smallest > 0 or box.largest > 2 * box.smallest
        if (wide or box.fresh) and box.depth < _DEPTH:
            for half in _halves(box.sides):
                self.push(half, box.depth + 1, box.absolute)
        elif wide or box.fresh:
            self.settled = max(self.settled, -box.key[0])
        else:
            self.certify(box)

    def certify(self, box: _Box) -> None:
        """Bound the absolute error on the box, as sharply as its relative bound needs."""
        part = self.target.on(list(box.sides))
        enough = float_down(to_fmpq(self.goal) * box.smallest * fmpq(99, 100))
        left = Budget(
            seconds=max(self.work.budget.seconds - self.work.seconds, 1e-3),
            regions=max(self.work.budget.regions - self.work.total, 1),
        )
        found = self.absolute(part, self.rtol / 4, enough, left)
        for kind, number in found.work.items():
            if isinstance(number, int):
                self.work.count(kind, number)
        self.method = f"relative error by {found.method}"
        self.improve(found.witness)
        box.absolute, box.fresh = min(box.absolute, found.upper), True
        heapq.heappush(self.heap, self.keyed(box))

    def improve(self, point: tuple[fmpq, ...]) -> None:
        with working_precision(192):
            at = [arb(c) for c in point]
            value = self.target.ball(at)
            ratio = abs(value - evaluate_balls(self.network, at)[0]) / abs(value)
            low = float_down(ratio.lower()) if ratio.is_finite() else 0.0
        if low > self.lower:
            self.lower, self.witness = low, point

    def result(self) -> RelativeEnclosure:
        upper = max([self.settled, *(-box.key[0] for box in self.heap)])
        smallest = min((float_down(box.smallest) for box in self.heap), default=0.0)
        if self.settled:
            smallest = 0.0
        return RelativeEnclosure(self.lower, upper, self.witness, max(smallest, 0.0), self.method)


def relative_certificate(
    found: RelativeEnclosure, network: Network, target: Target, rtol: float, atol: float, work: Work
) -> Certificate:
    """The Certificate with norm "rel" of an enclosure."""
    enclosure = (found.lower, found.upper, found.witness, found.method)
    return Certificate.of(network, target, enclosure, rtol, atol, work.report, norm="rel")


def _ends(ball: arb) -> tuple[fmpq, fmpq]:
    return to_fmpq(float_down(ball.lower())), to_fmpq(min(float_up(ball.upper()), 1e308))


def _halves(sides: Sides) -> Iterator[Sides]:
    axis = max(range(len(sides)), key=lambda i: sides[i][1] - sides[i][0])
    a, b = sides[axis]
    middle = (a + b) / 2
    for part in ((a, middle), (middle, b)):
        yield (*sides[:axis], part, *sides[axis + 1 :])


def _grid(target: Target) -> Iterator[tuple[fmpq, ...]]:
    """Exact points spread over the domain, corners included."""
    per_side = {1: 65, 2: 17, 3: 7}.get(target.dimension, 3)
    sides: list[Any] = [(to_fmpq(a), to_fmpq(b)) for a, b in target.domain]
    axes = [[a + (b - a) * fmpq(k, per_side - 1) for k in range(per_side)] for a, b in sides]
    yield from itertools.islice(itertools.product(*axes), 5000)
