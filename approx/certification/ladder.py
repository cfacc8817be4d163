"""How is the one-variable search run? In waves of blocks, the same ones whether one process works or many.

The domain is one block at first. Every wave takes the open blocks of largest bound (at most 16), each with an allowance of
pieces that doubles from wave to wave; what a block does not finish comes back as open blocks with proved bounds. So only
parts of the domain whose bound matters are cut into pieces, memory stays bounded, and whenever the work stops (budget,
Ctrl-C) the bounds of the open blocks and of what is settled give a valid enclosure. Waves do not depend on who computes
them: any executor gives the results of the serial run. Since a block's bound is never replaced by a larger one and
budgets only decide after which wave to stop, the upper bound never increases with the budget.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq

from approx.certification.arithmetic import Float64
from approx.certification.block_search import Block, Search, search_block
from approx.certification.budget import Work
from approx.certification.exact_supremum import exact_supremum
from approx.certification.forward import forward
from approx.certification.one_variable import coarse
from approx.certification.pieces import Program
from approx.certification.square_bound import SquareBound
from approx.numbers import to_fmpq
from approx.targets.cover import Cover, taylor_cover
from approx.targets.declared_cover import declared_cover

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: Blocks of a wave, and the allowance of the first wave's and of the largest blocks; constants, so that runs agree.
_WAVE, _FIRST, _LARGEST = 16, 1 << 14, 1 << 19
#: Blocks near the goal are halved for a better bound at most so often in a wave; all while a half gains 3 % and is wider.
_HALVINGS, _RIPE, _NARROW = 4000, 0.97, 2.0**-44
#: Intervals that are bounded side by side; between two such batches the clock is read.
_BATCH = 128
#: So many pieces are listed rather than avoided.
_AFFORDABLE = 1 << 20
#: The cover's remainder, as a share of the error that the search must resolve.
_COVER_SHARE = 0.01
#: Work in weights times points that a first look may cost.
_LOOK = 4e8
_ORDER = ("float64", "float64 adjoint", "double-double", "double-double adjoint", "exact")


@dataclass(frozen=True)
class Job:
    """What all blocks of one certification have in common; pickled once for all workers."""

    network: Network
    target: Target
    cover: Cover
    rtol: float
    atol: float

    @cached_property
    def program(self) -> Program:
        """The prepared network; every process makes its own."""
        return Program.of(self.network)

    @cached_property
    def squares(self) -> SquareBound:
        """What is known of the network without its pieces."""
        return SquareBound(self.network, self.target)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("program", "squares")}

    def coarse(self, intervals: Sequence[tuple[float, float]]) -> list[float]:
        """Proved bounds of |f - net| on intervals without looking for pieces."""
        return [
            known if math.isfinite(known) else coarse(self.program, self.cover, *ends)
            for ends, known in zip(intervals, self.squares.bounds(intervals), strict=True)
        ]

    def run(self, block: Block, start: _Start, allowance: int, seconds: float) -> _Result:
        """The work on one block."""
        search = Search(
            self.program, self.target, self.cover, self.rtol, self.atol, allowance, seconds, start.lower, start.witness
        )
        open_blocks = search_block(search, block.left, block.right, block.upper)
        settled = min(search.settled, block.upper)
        return _Result(_Start(search.lower, search.witness), settled, open_blocks, search.counts, search.rounding)


@dataclass(frozen=True)
class _Start:
    lower: float
    witness: fmpq | None


@dataclass(frozen=True)
class _Result:
    start: _Start
    settled: float
    blocks: list[Block]
    counts: dict[str, int]
    rounding: bool


@dataclass
class _State:
    """The enclosure so far: bounds of what is settled, and the open blocks."""

    start: _Start
    blocks: list[Block]
    settled: float = 0.0
    rounding: bool = False

    @property
    def upper(self) -> float:
        return max([self.settled, *(b.upper for b in self.blocks)])

    def take(self, result: _Result) -> None:
        if result.start.lower > self.start.lower or self.start.witness is None:
            self.start = result.start
        self.settled = max(self.settled, result.settled)
        self.blocks += result.blocks
        self.rounding |= result.rounding


def certify_pieces(
    network: Network, target: Target, rtol: float, atol: float, work: Work, executor: Executor | None
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by exact pieces; see approx.certification.block_search."""
    state = _State(_Start(0.0, None), [Block(-math.inf, math.inf, math.inf, 0.0)])
    with contextlib.suppress(KeyboardInterrupt):
        job, state.start = _prepared(network, target, rtol, atol)
        ends = float(job.cover.edges[0]), float(job.cover.edges[-1])
        state.blocks = [Block(*ends, coarse(job.program, job.cover, *ends), 0.0)]
        if job.squares.program is not None:
            state.blocks = _between_kinks(job, state.blocks[0], work)
        _waves(job, state, work, executor)
    lower, upper, goal = state.start.lower, state.upper, max(state.start.lower * (1 + rtol), atol)
    if not upper <= goal and state.settled < math.inf and not work.exhausted:
        found = exact_supremum(network, target)
        if found is not None:
            return found.lower, found.upper, (found.witness,), str(found)
    reached = [name for name in _ORDER if name in work.regions]
    name = f"pieces ({', '.join(reached or ['float64'])})"
    if state.rounding and state.settled > goal:
        name += ", limited by rounding"
    witness = state.start.witness if state.start.witness is not None else target.domain.lower[0]
    return lower, upper if upper == upper else math.inf, (witness,), name


def _between_kinks(job: Job, block: Block, work: Work) -> list[Block]:
    """The block cut where a unit bends that is affine in x between: no halving would meet these points."""
    kinks = job.squares.kinks
    nodes = np.unique([block.left, block.right, *(k for k in kinks if block.left < k < block.right)]).tolist()
    return _with_bounds(job, [Block(a, b, block.upper, 0.0) for a, b in pairwise(nodes)], work)


def _with_bounds(job: Job, blocks: list[Block], work: Work) -> list[Block]:
    """The blocks with the smaller ones of their bounds and `coarse` ones; as they are when the budget ends."""
    found: list[Block] = []
    size = 1 if job.squares.program is None else _BATCH
    for start in range(0, len(blocks), size):
        part = blocks[start : start + size]
        if not work.exhausted:
            bounds = job.coarse([(b.left, b.right) for b in part])
            part = [replace(b, upper=min(b.upper, u)) for b, u in zip(part, bounds, strict=True)]
        found += part
    return found


def _prepared(network: Network, target: Target, rtol: float, atol: float) -> tuple[Job, _Start]:
    """The job, its cover as fine as a first look says, and a first lower bound from that look."""
    program = Program.of(network)
    guess, points = _observed(program, target)
    # An absolute tolerance must not coarsen the cover: eps itself may be asked for as atol.
    tolerance = max(_COVER_SHARE * max(rtol * guess, 1e-3 * atol), 1e-300)
    if target.assumptions:
        cover = declared_cover(target, tolerance)
    else:
        cover = taylor_cover(target, target.domain.lower[0], target.domain.upper[0], tolerance)
    job = Job(network, target, cover, rtol, atol)
    job.__dict__["program"] = program
    search = Search(program, target, cover, rtol, atol, 1, math.inf)
    for point in points:
        search.try_point(point)
    return job, _Start(search.lower, search.witness)


def _waves(job: Job, state: _State, work: Work, executor: Executor | None) -> None:
    """Work on open blocks until none is above the goal or the budget ends."""
    allowance = min(_FIRST, work.budget.pieces)
    while not work.exhausted:
        goal = max(state.start.lower * (1 + job.rtol), job.atol)
        open_blocks = [b for b in state.blocks if not b.upper <= goal]
        if not open_blocks or state.settled == math.inf:
            return
        closed = [b for b in state.blocks if b.upper <= goal]
        ranked = _ripened(job, open_blocks, allowance, goal, work) if work.total else open_blocks
        chosen = ranked[:_WAVE]
        state.blocks = ranked + closed
        for result in _run(job, chosen, state.start, allowance, work, executor):
            for kind, count in result.counts.items():
                work.count(kind, count)
            # In this order an interrupt between the two leaves a block too many, never one too few.
            state.take(result)
            del state.blocks[0]
        allowance = min(2 * allowance, _LARGEST, work.budget.pieces)


def _run(
    job: Job, blocks: list[Block], start: _Start, allowance: int, work: Work, executor: Executor | None
) -> Iterator[_Result]:
    """The results, in order; one after the other or by the executor."""
    if executor is None or len(blocks) == 1:
        for block in blocks:
            yield job.run(block, start, allowance, max(work.budget.seconds - work.seconds, 0.0))
        return
    seconds = max(work.budget.seconds - work.seconds, 0.0)
    packed = pickle.dumps(job)
    futures = [executor.submit(_remote, packed, block, start, allowance, seconds) for block in blocks]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _remote(packed: bytes, block: Block, start: _Start, allowance: int, seconds: float) -> _Result:
    return _unpacked(packed).run(block, start, allowance, seconds)


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> Job:
    """The job, kept by a worker for the blocks to come."""
    job: Job = pickle.loads(packed)
    return job


def _ripened(job: Job, blocks: list[Block], allowance: int, goal: float, work: Work) -> list[Block]:
    """The same intervals as blocks worth cutting into pieces, by falling bound; those worth it come first.

    A block that may have more pieces than a job takes is cut in equal parts. Where squares are known, blocks of largest
    bound are halved as long as that lowers the bound of a half, which is cheap next to their pieces.
    """
    # Once, all blocks get the bounds that the reading as squares gives them; later only where pieces are too many.
    again = any(b.ripe for b in blocks)
    if job.squares.program is None or (again and sum(b.cost for b in blocks) <= _AFFORDABLE):
        kept: list[Block] = []
        for block in blocks:
            parts = _parts(block, allowance)
            kept += parts if len(parts) == 1 else _with_bounds(job, parts, work)
        return sorted(kept, key=lambda b: (-b.upper, b.left))
    heap = [(-b.upper, b.left, b) for b in blocks]
    heapq.heapify(heap)
    ripe: list[Block] = []
    halvings = 0
    while heap and -heap[0][0] > goal:
        parents: list[Block] = []
        halves: list[Block] = []
        while heap and len(halves) < _BATCH and -heap[0][0] > goal:
            block = heapq.heappop(heap)[2]
            middle = 0.5 * (block.left + block.right)
            narrow = (
                block.right - block.left <= _NARROW * max(1.0, abs(block.left)) or not block.left < middle < block.right
            )
            enough = halvings >= _HALVINGS and block.upper <= 2 * goal
            if block.ripe or narrow or enough or work.exhausted:
                ripe.append(block)
                continue
            halvings += 1
            parents.append(block)
            halves += [Block(a, b, block.upper, block.cost / 2) for a, b in ((block.left, middle), (middle, block.right))]
        pairs = iter(_with_bounds(job, halves, work))
        for parent, one, other in zip(parents, pairs, pairs, strict=True):
            done = not min(one.upper, other.upper) <= _RIPE * parent.upper
            for half in (one, other):
                heapq.heappush(heap, (-half.upper, half.left, replace(half, ripe=done)))
    ripe.sort(key=lambda b: (-b.upper, b.left))  # a batch takes out ripe blocks before larger ones that it halves
    return [*ripe, *(entry[2] for entry in sorted(heap))]


def _parts(block: Block, allowance: int) -> list[Block]:
    """The block in equal parts that a job can take."""
    parts = 1 if math.isnan(block.cost) else math.ceil(min(_WAVE, max(1.0, block.cost / allowance)))
    nodes = np.unique(block.left + (block.right - block.left) * np.arange(parts + 1) / parts)
    nodes[0], nodes[-1] = block.left, block.right
    if parts == 1 or len(nodes) < 3:
        return [block]
    return [Block(a, b, block.upper, block.cost / parts) for a, b in pairwise(nodes.tolist())]


def _observed(program: Program, target: Target, points: int = 501) -> tuple[float, list[fmpq]]:
    """(the largest |f - net| at some points in float64, the points to try first): guesses, with a floor at rounding."""
    points = int(min(points, max(200, _LOOK / max(program.network.size.weights, 1) / 4)))
    [(lo, hi)] = target.domain.floats()
    # Chebyshev points and a few irrational shifts of an equidistant grid, so that no dyadic grid is met by accident.
    t = np.concatenate(
        [0.5 - 0.5 * np.cos(np.linspace(0, np.pi, points)), (np.arange(points) * 0.6180339887498949) % 1.0]
    )
    x = np.sort(np.clip(lo + (hi - lo) * t, lo, hi))
    with np.errstate(all="ignore"):
        values = np.asarray(target(x))
        (net,), _ = forward(program, (x,), True, Float64)
        gap = np.abs(values - net)
    ends = (gap[0], gap[-1])
    gap = np.where(np.isfinite(gap), gap, 0.0)
    values = values[np.isfinite(values)]
    guess = max(float(gap.max(initial=0.0)), 1e-16 * float(np.abs(values).max(initial=0.0)), 1e-30)
    first = [to_fmpq(float(x[int(np.argmax(gap))]))]
    # The ends are no float64 numbers perhaps, and f may be infinite there.
    first += [end for end, g in zip((target.domain.lower[0], target.domain.upper[0]), ends, strict=True) if not g < 0.5 * guess]
    return guess, first
