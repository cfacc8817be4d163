"""How is a rectangle cut into convex polygons so that no point of it can get lost? A mesh with shared vertices.

Vertices are float64 points, polygons are cycles of vertex numbers, and neighbours share their vertices. Cutting along
the zeros of a function that is given by its values at the vertices puts one new vertex on every edge whose ends have
opposite signs, for both polygons at that edge; nothing else is rounded.

Statement (`covers`). If the boundaries of the polygons, as oriented cycles, cancel on every edge except on edges that lie on
one side of the rectangle, and what is left winds around the centre, then the hulls of the polygons cover the rectangle.
Proof: were x inside and not covered, the sum of the polygons were a chain in the plane without x, so its boundary would
not wind around x; but that boundary lies in the boundary of the rectangle, where the winding number is the same for
all inner points. Rounded vertices, even turned-over polygons, therefore cost sharpness, never truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROWS_PER_WORD = 32


@dataclass(frozen=True)
class Rectangle:
    """[left, right] x [bottom, top] with float64 sides."""

    left: float
    right: float
    bottom: float
    top: float


@dataclass
class Mesh:
    """Points `x`, `y`; polygon p is the cycle corners[start[p] : start[p + 1]] of point numbers."""

    x: np.ndarray
    y: np.ndarray
    corners: np.ndarray
    start: np.ndarray

    @property
    def polygons(self) -> int:
        """The number of polygons."""
        return len(self.start) - 1

    def following(self) -> np.ndarray:
        """For every corner the place of the next corner of its polygon."""
        after = np.arange(1, len(self.corners) + 1)
        after[self.start[1:] - 1] = self.start[:-1]
        return after

    def most(self, values: np.ndarray) -> np.ndarray:
        """The largest value at the vertices of each polygon (along the last axis)."""
        return np.maximum.reduceat(values[..., self.corners], self.start[:-1], axis=-1)

    def least(self, values: np.ndarray) -> np.ndarray:
        """The smallest value at the vertices of each polygon (along the last axis)."""
        return np.minimum.reduceat(values[..., self.corners], self.start[:-1], axis=-1)

    def mixed(self, values: np.ndarray) -> np.ndarray:
        """Which polygons have points with values of both signs; values (rows, points) give (rows, polygons)."""
        result = np.empty((len(values), self.polygons), dtype=bool)
        for first in range(0, len(values), _ROWS_PER_WORD):
            # Two bits per row, so that one pass over the corners serves many rows.
            rows = values[first : first + _ROWS_PER_WORD]
            kind: type = np.uint8 if len(rows) <= 4 else np.uint64
            word: np.ndarray = np.zeros(values.shape[1], dtype=kind)
            for k, row in enumerate(rows):
                word |= ((row > 0) + 2 * (row < 0).astype(np.uint8)).astype(kind) << kind(2 * k)
            seen = np.bitwise_or.reduceat(word[self.corners], self.start[:-1])
            for k in range(len(rows)):
                result[first + k] = (seen >> kind(2 * k)) & kind(3) == 3
        return result

    def select(self, polygons: np.ndarray) -> tuple[Mesh, np.ndarray]:
        """(the mesh of these polygons, the numbers of the points it keeps)."""
        start, corners = _rows(self.start, self.corners, polygons)
        used = np.zeros(len(self.x), dtype=bool)
        used[corners] = True
        number = np.cumsum(used) - 1
        kept = np.flatnonzero(used)
        return Mesh(self.x[kept], self.y[kept], number[corners], start), kept


@dataclass(frozen=True)
class Cut:
    """What a cut did: new points on the edges (first, second) at `fraction`, and the parent of every polygon."""

    first: np.ndarray
    second: np.ndarray
    fraction: np.ndarray
    parent: np.ndarray


def rectangle_mesh(r: Rectangle) -> Mesh:
    """The Mesh of one polygon."""
    return Mesh(
        np.array([r.left, r.right, r.right, r.left]),
        np.array([r.bottom, r.bottom, r.top, r.top]),
        np.arange(4),
        np.array([0, 4]),
    )


def cut(mesh: Mesh, values: np.ndarray) -> tuple[Mesh, Cut | None]:
    """(the mesh cut along the zeros of `values`, given at the points; what was done, or None if nothing was).

    A polygon with points of both signs is split in two at its two zeros. Where rounding makes more than two zeros of it,
    it gets the new points of its neighbours but stays whole.
    """
    sign = np.sign(values).astype(np.int8)
    [mixed] = mesh.mixed(values[np.newaxis])
    if not mixed.any():
        return mesh, None
    which = np.flatnonzero(mixed)
    start, corners = _rows(mesh.start, mesh.corners, which)
    part = Mesh(mesh.x, mesh.y, corners, start)
    other = corners[part.following()]
    here = sign[corners]
    crossing = here * sign[other] < 0
    low, high = np.minimum(corners, other)[crossing], np.maximum(corners, other)[crossing]
    count = len(mesh.x)
    keys, place = np.unique(low * count + high, return_inverse=True)
    first, second = keys // count, keys % count
    fraction = values[first] / (values[first] - values[second])
    x, y = (_between(c[first], c[second], fraction) for c in (mesh.x, mesh.y))
    # The cycles with the new points after the corners of their edges.
    slot = np.arange(len(corners)) + np.cumsum(crossing) - crossing
    length = len(corners) + len(low)
    cycle, mark = np.empty(length, dtype=corners.dtype), np.zeros(length, dtype=np.int8)
    cycle[slot], mark[slot] = corners, here
    cycle[slot[crossing] + 1] = count + place.reshape(-1)
    bounds = np.concatenate([slot[start[:-1]], [length]])
    kept_start, kept = _rows(mesh.start, mesh.corners, np.flatnonzero(~mixed))
    parts, parent = _children(cycle, mark, bounds)
    starts = [kept_start, *(s for s, _ in parts)]
    offset = np.cumsum([0] + [int(s[-1]) for s in starts])
    grown = Mesh(
        np.concatenate([mesh.x, x]),
        np.concatenate([mesh.y, y]),
        np.concatenate([kept, *(c for _, c in parts)]),
        np.concatenate([[0], *(s[1:] + o for s, o in zip(starts, offset, strict=False))]),
    )
    return grown, Cut(first, second, fraction, np.concatenate([np.flatnonzero(~mixed), which[parent]]))


def _children(cycle: np.ndarray, mark: np.ndarray, bounds: np.ndarray) -> tuple[list[tuple], np.ndarray]:
    """([(start, corners)] of the positive parts, the negative parts and the polygons that stay whole; their parents)."""
    begin = bounds[:-1]
    before = np.arange(-1, len(cycle) - 1)
    before[begin] = bounds[1:] - 1
    after = np.arange(1, len(cycle) + 1)
    after[bounds[1:] - 1] = begin
    # A zero between two points of one sign belongs to their side.
    flanked = (mark == 0) & (mark[before] == mark[after])
    mark = np.where(flanked, mark[before], mark)
    zeros = np.add.reduceat((mark == 0).astype(np.int64), begin)
    ends = np.add.reduceat(((mark > 0) & (mark[after] <= 0)).astype(np.int64), begin)
    ends_below = np.add.reduceat(((mark < 0) & (mark[after] >= 0)).astype(np.int64), begin)
    clean = (zeros == 2) & (ends == 1) & (ends_below == 1)
    owner = np.repeat(np.arange(len(begin)), np.diff(bounds))
    parts, parents = [], []
    for chosen, keep in (
        (clean, clean[owner] & (mark >= 0)),
        (clean, clean[owner] & (mark <= 0)),
        (~clean, ~clean[owner]),
    ):
        lengths = np.add.reduceat(keep.astype(np.int64), begin)[chosen]
        parts.append((np.concatenate([[0], np.cumsum(lengths)]), cycle[keep]))
        parents.append(np.flatnonzero(chosen))
    return parts, np.concatenate(parents)


def _between(a: np.ndarray, b: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """a + fraction (b - a), never beyond a or b."""
    return np.clip(a + fraction * (b - a), np.minimum(a, b), np.maximum(a, b))


def _rows(start: np.ndarray, corners: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(start, corners) of the polygons `which`."""
    lengths = start[which + 1] - start[which]
    new = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(new[-1]) + np.repeat(start[which] - new[:-1], lengths)
    return new, corners[place]


def covers(mesh: Mesh, r: Rectangle) -> bool:
    """Whether the statement above proves that the hulls of the polygons cover the rectangle. O(corners log corners)."""
    if not (np.isfinite(mesh.x).all() and np.isfinite(mesh.y).all()):
        return False
    a, b = mesh.corners, mesh.corners[mesh.following()]
    count = len(mesh.x)
    # One key per edge; its last bit is the direction in which the polygon runs along it.
    keys = np.sort((np.minimum(a, b) * count + np.maximum(a, b)) * 2 + (a > b))
    keys = keys[(keys >> 1) // count != (keys >> 1) % count]
    edge = keys >> 1
    if not len(edge):
        return False
    group = np.flatnonzero(np.concatenate([[True], edge[1:] != edge[:-1]]))
    multiple = np.add.reduceat(1 - 2 * (keys & 1), group)
    left = multiple != 0
    edge, multiple = edge[group[left]], multiple[left]
    a, b = edge // count, edge % count
    on_right = (mesh.x[a] == r.right) & (mesh.x[b] == r.right)
    on_side = on_right | ((mesh.x[a] == r.left) & (mesh.x[b] == r.left))
    for level in (r.bottom, r.top):
        on_side |= (mesh.y[a] == level) & (mesh.y[b] == level)
    if not on_side.all() or not r.left < r.right or not r.bottom < r.top:
        return False
    inside = (mesh.x >= r.left) & (mesh.x <= r.right) & (mesh.y >= r.bottom) & (mesh.y <= r.top)
    middle = 0.5 * (r.bottom + r.top)
    turns = multiple * ((mesh.y[b] > middle).astype(np.int64) - (mesh.y[a] > middle))
    return bool(inside.all()) and bool(r.bottom < middle < r.top) and int(turns[on_right].sum()) != 0
