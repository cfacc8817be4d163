"""How are the levels of a patch of M^d fine nodes coded line by line, so that the state is the polynomial of one step?

A pass has a set S of axes, the last of which is that of its lines. Other axes of S are passed step by step, from -1 to M - 1,
the steps between patches included; axes not in S node by node. On the step [k, k + 1] of a line, at places u in [0, 1], stands
    h(u) = sum_b h_b C(u, b),   low <= b <= r - 1 - a,
|S| = 1 (a = 0): the polynomial through the window of r values of Q on the line (_coons_plan; low = 2 where only its bubble is
wanted); |S| = 2: the part of the polynomial of the window on the face that goes with C(v, a), v the place on the first axis.
Patches are passed forwards and backwards, the waves z are 0 at even and 1 at odd nodes of the box (_coons_network). So u = z on
even steps and u = 1 - z on odd ones, parities of the patch added, and for u = 1 - z
    h(u) = sum_b g_b C(z, b),   g_b = (-1)^b nabla^b h(k + 1) = (-1)^b sum_i C(1 - b, i) h_(b+i).
Along the first axis of a face this is done here; along lines both h and g are wanted (_packed_lines).

Walk: lines from neighbour to neighbour, every other one backwards. Free steps are
    k -> k + 1: h_b <- h_b + h_(b+1), g_b <- sum_i (-1)^i g_(b+i);   k -> k - 1: the same with g and h changed over.
Numbers coded: all h_b at the first step, and their changes at the first step of each further line; where the window moves,
|S| = 1: the r-th difference D of Q that comes in and adds +-D C(x - m, r - 1) to h, m the first node that both windows have;
|S| = 2: what is added to every h_b, since differences of order r along several lines come in.
Digits, the leading one first: as many ternary ones as all patches need, with the middle of their range added. Source: derived.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np

from constructions.relu._coons_bubbles import Index, width
from constructions.relu._coons_plan import MOST_LEVEL, CoonsPlan
from constructions.relu._hoelder_patch_codes import digits_for, digits_from, local_nodes, numbers_from
from constructions.relu._newton_windows import window
from constructions.relu._patch_codes import Parities, class_levels, classes, neighbours

#: Numbers are below this, and have so many ternary digits at most.
_LARGEST, MOST_DIGITS = 2**60, 39
#: Nodes that are worked on at a time.
_NODES = 1 << 18


class Pass(NamedTuple):
    """The axes S, that of the lines last; a, on the others of S; the least b that is kept."""

    axes: Index
    orders: Index
    low: int


class Leads(NamedTuple):
    """Digits of all h_b of the first step, of their changes, of the numbers of a window that moves."""

    first: tuple[int, ...]
    changes: tuple[int, ...]
    moved: tuple[int, ...]


class Move(NamedTuple):
    """To step k of a line; `kind` is "first", "change" (of the line), "forward" or "backward"; `new` windows are new ones."""

    line: Index
    k: int
    kind: str
    new: bool


def passes(order: int, dimension: int) -> list[Pass]:
    """All passes: corners and edges along the last axis, other edges, faces with a = r - 3, .., 2."""
    last = dimension - 1
    found = [Pass((last,), (), 0), *(Pass((k,), (), 2) for k in range(last))]
    for axes in ((k, l) for l in range(dimension) for k in range(l)):
        found += [Pass(axes, (a,), 2) for a in range(order - 3, 1, -1)]
    return found


class Walk:
    """One pass through every patch of M^d nodes in d variables."""

    def __init__(self, one: Pass, order: int, steps: int, dimension: int) -> None:
        self.one, self.order, self.steps, self.dimension = one, order, steps, dimension
        self.others = tuple(k for k in range(dimension) if k != one.axes[-1])
        self.top = order - 1 - sum(one.orders)
        self._size = width(order, len(one.axes))

    @property
    def count(self) -> int:
        """How many h_b there are."""
        return self.top + 1 - self.one.low

    @property
    def moved(self) -> int:
        """How many numbers come in where the window moves."""
        return 1 if len(self.one.axes) == 1 else self.count

    def moves(self) -> Iterator[Move]:
        """Step by step."""
        ranges = [range(-1 if k in self.one.axes else 0, self.steps) for k in self.others]
        for number, line in enumerate(neighbours(ranges)):
            backward = number % 2 == 1
            before = None
            for k in range(self.steps - 1, -2, -1) if backward else range(-1, self.steps):
                if before is None:
                    yield Move(line, k, "change" if number else "first", False)
                else:
                    new = self._window(k) != self._window(before)
                    yield Move(line, k, "backward" if backward else "forward", new)
                before = k

    def _window(self, k: int) -> int:
        return window(k, self.steps - 1, self._size)

    def counts(self, move: Move, leads: Leads) -> tuple[int, ...]:
        """The digits of the numbers of a move."""
        named = {"first": leads.first, "change": leads.changes}
        return named.get(move.kind, leads.moved if move.new else ())

    def vectors(self, move: Move) -> list[list[int]]:
        """What each number of a move adds to all h_b."""
        if len(self.one.axes) > 1 or move.kind in ("first", "change"):
            return [[int(i == j) for i in range(self.count)] for j in range(self.count)]
        sign, shared = (1, self._window(move.k)) if move.kind == "forward" else (-1, self._window(move.k) + 1)
        return [[sign * binomial(move.k - shared, self.top - b) for b in range(self.one.low, self.top + 1)]]

    # -- between levels and numbers

    def parts(self, levels: np.ndarray, parities: Parities) -> np.ndarray:
        """All h_b, (patches, other axes .., M + 1, b), of levels (patches, M, ..)."""
        line = self.one.axes[-1]
        if len(self.one.axes) == 1:
            return self._along(np.moveaxis(levels, line + 1, -1), 0)
        axis, [a] = self.one.axes[0], self.one.orders
        total: np.ndarray | None = None
        for j in range(a, self.order - 2):
            differences = np.diff(levels, j, axis=axis + 1)
            rows = []
            for k in range(-1, self.steps):
                kappa = k - self._window(k)
                odd = (k + parities[axis]) % 2
                weight = (-1) ** a * binomial(kappa + 1 - a, j - a) if odd else binomial(kappa, j - a)
                rows.append(weight * differences.take(self._window(k), axis=axis + 1))
            found = self._along(np.moveaxis(np.stack(rows, axis=axis + 1), line + 1, -1), j)
            total = found if total is None else total + found
        assert total is not None
        return total

    def _along(self, values: np.ndarray, before: int) -> np.ndarray:
        """The h_b of the polynomials of degree r - 1 - before along the last axis."""
        low = self.one.low
        found = np.zeros((*values.shape[:-1], self.steps + 1, self.count), dtype=values.dtype)
        for i in range(low, self.order - before):
            differences = np.diff(values, i)
            for number, k in enumerate(range(-1, self.steps)):
                s = self._window(k)
                for b in range(low, min(i, self.top) + 1):
                    found[..., number, b - low] += binomial(k - s, i - b) * differences[..., s]
        return found

    def numbers(self, parts: np.ndarray) -> np.ndarray:
        """The numbers (patches, n) of all h_b."""
        kept, columns = np.zeros((len(parts), self.count), dtype=parts.dtype), []
        for move in self.moves():
            now = parts[self._at(move)]
            change = now - _stepped(kept, move.kind)
            kept = now
            if move.new and len(self.one.axes) == 1:  # one number for all: it adds +-1 times itself to h_(r-1)
                change = change[:, -1:] * (1 if move.kind == "forward" else -1)
            if move.new or move.kind in ("first", "change"):
                columns.append(change)
        return np.concatenate(columns, axis=1)

    def parts_of(self, numbers: np.ndarray) -> np.ndarray:
        """All h_b of numbers (patches, n)."""
        shape = [self.steps + (k in self.one.axes) for k in self.others]
        parts = np.empty((len(numbers), *shape, self.steps + 1, self.count), dtype=numbers.dtype)
        kept, at = np.zeros((len(numbers), self.count), dtype=numbers.dtype), 0
        for move in self.moves():
            kept = _stepped(kept, move.kind)
            if move.new or move.kind in ("first", "change"):
                vectors = np.array(self.vectors(move))
                kept = kept + numbers[:, at : at + len(vectors)] @ vectors
                at += len(vectors)
            parts[self._at(move)] = kept
        return parts

    def _at(self, move: Move) -> tuple[Any, ...]:
        """Where the step of a move stands in an array of all h_b."""
        line = (n + (k in self.one.axes) for n, k in zip(move.line, self.others, strict=True))
        return (slice(None), *line, move.k + 1)

    # -- digits

    def all_counts(self, leads: Leads) -> np.ndarray:
        """The digits of all numbers of a patch."""
        return np.array([count for move in self.moves() for count in self.counts(move, leads)])

    def class_parts(self, plan: CoonsPlan, parities: Parities) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rising addresses, all h_b) of a class, some patches at a time."""
        found, levels = class_levels(plan, parities, local_nodes(self.steps, self.dimension))
        few = max(1, _NODES // levels.shape[1])
        for start in range(0, len(found), few):
            some = levels[start : start + few].reshape(-1, *(self.steps,) * self.dimension)
            yield found[start : start + few], self.parts(some, parities)

    def sizes(self, plan: CoonsPlan) -> tuple[Leads, list[int]]:
        """(how many digits are needed in all patches, the largest |h_b|, |g_b|); ValueError where 8 bytes do not hold them."""
        self._check_range(plan)
        most: dict[str, np.ndarray] = {"moved": np.zeros(self.moved, dtype=np.int64)}
        kinds = [
            "moved" if move.new else move.kind for move in self.moves() if move.new or move.kind in ("first", "change")
        ]
        mirror, largest = self._mirror(), np.zeros(self.count, dtype=np.int64)
        for parities in classes(self.dimension):
            for _, parts in self.class_parts(plan, parities):
                numbers, at = np.abs(self.numbers(parts)).max(axis=0), 0
                for kind in kinds:
                    size = self.moved if kind == "moved" else self.count
                    most[kind] = np.maximum(most.get(kind, 0), numbers[at : at + size])
                    at += size
                both = parts.reshape(-1, self.count)
                largest = np.maximum(largest, np.maximum(np.abs(both), np.abs(both @ mirror)).max(axis=0))
        found = {kind: tuple(digits_for(2 * int(size)) for size in sizes) for kind, sizes in most.items()}
        return Leads(found["first"], found["change"], found["moved"]), largest.tolist()

    def _check_range(self, plan: CoonsPlan) -> None:
        """ValueError unless all numbers are below 2^60: sums in 8 bytes are right then, as they are right modulo 2^64."""
        most = int(plan.levels.max()) * 2 ** (6 * self.order)  # with differences, binomials, changes
        if most < _LARGEST:
            return
        rough, mirror = dataclasses.replace(plan, levels=plan.levels.astype(float)), self._mirror()
        for parities in classes(self.dimension):
            for _, parts in self.class_parts(rough, parities):
                both = parts.reshape(-1, self.count)
                if (
                    not max(np.abs(both).max(), np.abs(both @ mirror).max(), np.abs(self.numbers(parts)).max())
                    < _LARGEST
                ):
                    raise ValueError("levels are beyond 8 bytes")

    def _mirror(self) -> np.ndarray:
        """The matrix from all h_b to all g_b."""
        return np.array([mirrored(row, self.one.low) for row in np.eye(self.count, dtype=np.int64).tolist()])

    def class_digits(self, plan: CoonsPlan, parities: Parities, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
        """(rising addresses, digits (patches, count)) of a class."""
        counts, found, digits = self.all_counts(leads), [], []
        for some, parts in self.class_parts(plan, parities):
            found.append(some)
            digits.append(digits_from(self.numbers(parts) + middle(counts), counts))
        return np.concatenate(found), np.concatenate(digits)

    def parts_from(self, digits: np.ndarray, leads: Leads) -> np.ndarray:
        """All h_b of digits; ValueError where 8 bytes do not hold them."""
        counts = self.all_counts(leads)
        if counts.max() > MOST_DIGITS:
            raise ValueError("numbers are beyond 8 bytes")
        numbers = numbers_from(digits, counts) - middle(counts)
        if not np.abs(self.parts_of(numbers.astype(float))).max() < MOST_LEVEL:
            raise ValueError("levels are beyond 8 bytes")
        return self.parts_of(numbers)


def middle(counts: Any) -> Any:
    """What is added to numbers of so many digits: the largest |number|."""
    return (3**counts - 1) // 2


def binomial(n: int, k: int) -> int:
    """n (n - 1) .. (n - k + 1)/k!, for negative n, too."""
    return comb(n, k) if n >= 0 else (-1) ** k * comb(k - n - 1, k)


def mirrored(vector: list[int], low: int) -> list[int]:
    """The g_b of these h_b."""
    count = len(vector)
    return [
        (-1) ** (low + b) * sum(binomial(1 - low - b, i) * vector[b + i] for i in range(count - b))
        for b in range(count)
    ]


def _stepped(parts: np.ndarray, kind: str) -> np.ndarray:
    """The h_b (patches, b) after a free step."""
    found = parts.copy()
    if kind == "forward":
        found[:, :-1] += parts[:, 1:]
    elif kind == "backward":
        for b in range(found.shape[1] - 2, -1, -1):
            found[:, b] -= found[:, b + 1]
    return found
