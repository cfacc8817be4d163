"""How large can |f - net| be on each of many polygons? The network as an affine function, f as quadratics.

On a polygon |net - g| <= sigma for one affine g: sum_k l_k v_k of mesh_forward is g plus what g misses at the corners. f is
a quadratic in the bounding box of the polygon, up to a slack of third order (plane_cover). So |f - net| is at most the
largest |quadratic| on the polygon (quadratic.py) plus the slacks. Where f has several branches, each that is possible on
the polygon counts (branches.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from approx.certification.mesh import Mesh
from approx.certification.plane_cover import Piece, PlaneCell, PlaneCover, Polynomial
from approx.certification.quadratic import ROUNDING, largest

_UNIT = 2.0**-53
_SMALLEST = 2.0**-900


@dataclass
class Frames:
    """Per polygon: |net - (g0 + g1 u + g2 w)| <= sigma with u = (x - cx)/hx, w = (y - cy)/hy; rows of `data` in this order:
    cx, cy, hx, hy, g0, g1, g2, sigma."""

    data: np.ndarray

    def take(self, index: np.ndarray) -> Frames:
        """The frames at `index`."""
        return Frames(self.data[:, index])


@dataclass
class Bounds:
    """Per polygon: `upper` of |f - net|, `rounding` (the part due to the network), `attained` (a guess, at `x`, `y`), and
    whether the `remainder` of the cell or the `kinks` of f are to blame."""

    upper: np.ndarray
    rounding: np.ndarray
    attained: np.ndarray
    x: np.ndarray
    y: np.ndarray
    remainder: np.ndarray
    kinks: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Bounds:
        """Room for the bounds of so many polygons."""
        upper, rounding, attained, x, y = np.empty((5, count))
        remainder, kinks = np.zeros((2, count), dtype=bool)
        return cls(upper, rounding, attained, x, y, remainder, kinks)

    def take(self, index: np.ndarray) -> Bounds:
        """The bounds at `index`."""
        return Bounds(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def put(self, index: np.ndarray, other: Bounds) -> None:
        """Overwrite the bounds at `index`."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[index] = getattr(other, name)


def buckets(mesh: Mesh) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(polygon numbers, (k, n) point numbers) of polygons of about equally many corners, the last corner repeated."""
    length = np.diff(mesh.start)
    for low, high in ((0, 3), (3, 4), (4, 6), (6, 12), (12, 2**62)):
        chosen = np.flatnonzero((length > low) & (length <= high))
        if len(chosen):
            k = int(length[chosen].max())
            offset = np.minimum(np.arange(k)[:, None], length[chosen] - 1)
            yield chosen, mesh.corners[mesh.start[:-1][chosen] + offset]


def frames_of(mesh: Mesh, values: np.ndarray, error: np.ndarray) -> Frames:
    """The Frames of the polygons from the values of the network at the points and the E of mesh_forward."""
    data = np.empty((8, mesh.polygons))
    with np.errstate(all="ignore"):
        for which, place in buckets(mesh):
            x, y, v = mesh.x[place], mesh.y[place], values[place]
            centre, half = boxes_of(x, y)
            u, w = (x - centre[0]) / half[0], (y - centre[1]) / half[1]
            g = _affine_through(u, w, v)
            size = np.abs(g).sum(axis=0) + np.abs(v).max(axis=0)
            missed = np.abs(v - (g[0] + g[1] * u + g[2] * w)).max(axis=0)
            sigma = (error[which] + missed + 16 * _UNIT * size) * (1 + 2.0**-40)
            data[:, which] = np.concatenate([centre, half, g, sigma[None]])
    return Frames(data)


def boxes_of(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((2, n) centres, (2, n) half-widths) of bounding boxes, rounded outwards."""
    centres, halves = [], []
    for c in (x, y):
        low, high = c.min(axis=0), c.max(axis=0)
        middle = 0.5 * (low + high)
        centres.append(middle)
        halves.append(np.maximum(np.maximum(high - middle, middle - low) * (1 + 2.0**-51), _SMALLEST))
    return np.stack(centres), np.stack(halves)


def _affine_through(u: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(3, n): g0, g1, g2 of an affine function through three corners that lie well apart."""
    columns = np.arange(u.shape[1])
    j = np.argmax((u - u[0]) ** 2 + (w - w[0]) ** 2, axis=0)
    du, dw, dv = (c[j, columns] - c[0] for c in (u, w, v))
    area = (u - u[0]) * dw - (w - w[0]) * du
    l = np.argmax(np.abs(area), axis=0)
    eu, ew, ev = (c[l, columns] - c[0] for c in (u, w, v))
    det = du * ew - dw * eu
    flat = ~(np.abs(det) > 2.0**-40 * (du * du + dw * dw))
    safe = np.where(flat, 1.0, det)
    length = np.where(du * du + dw * dw > 0, du * du + dw * dw, 1.0)
    # Of a sliver only the slope along it is kept; what is missed at the corners is measured.
    g1 = np.where(flat, dv * du / length, (dv * ew - ev * dw) / safe)
    g2 = np.where(flat, dv * dw / length, (ev * du - dv * eu) / safe)
    return np.stack([v[0] - g1 * u[0] - g2 * w[0], g1, g2])


def bound_polygons(cell: PlaneCell, mesh: Mesh, frames: Frames, level: np.ndarray | float = 0.0) -> Bounds:
    """The Bounds of polygons that lie in the cell. level: how many rounded cuts made each polygon out of one of a mesh
    that covers (see `refine`); what may be lost between the parts is within 2^-49 level |x|, and is charged here."""
    n = mesh.polygons
    result = Bounds.empty(n)
    levels = np.broadcast_to(np.asarray(level, dtype=np.float64), (n,))
    with np.errstate(all="ignore"):
        for which, place in buckets(mesh):
            x, y = mesh.x[place], mesh.y[place]
            part = _bound(cell, x, y, frames.data[:, which], levels[which])
            result.put(which, Bounds(*part))
    return result


def bound_by_cells(
    cover: PlaneCover, mesh: Mesh, frames: Frames, cell: np.ndarray, level: np.ndarray | float
) -> Bounds:
    """The Bounds of polygons that lie in the cells of these numbers."""
    numbers = np.unique(cell).tolist()
    if len(numbers) == 1:
        return bound_polygons(cover.cells[numbers[0]], mesh, frames, level)
    result = Bounds.empty(mesh.polygons)
    levels = np.broadcast_to(np.asarray(level, dtype=np.float64), (mesh.polygons,))
    order = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[order], numbers, side="right")
    for number, which in zip(numbers, np.split(order, ends[:-1]), strict=True):
        part, _ = mesh.select(which)
        result.put(which, bound_polygons(cover.cells[number], part, frames.take(which), levels[which]))
    return result


def _bound(cell: PlaneCell, x: np.ndarray, y: np.ndarray, frame: np.ndarray, level: np.ndarray):  # type: ignore[no-untyped-def]
    centre, half = boxes_of(x, y)
    u, w = (x - centre[0]) / half[0], (y - centre[1]) / half[1]
    cx, cy, hx, hy, g0, g1, g2, sigma = frame
    ratio = half / np.stack([hx, hy])
    g = np.stack([g0 + g1 * ((centre[0] - cx) / hx) + g2 * ((centre[1] - cy) / hy), g1 * ratio[0], g2 * ratio[1]])
    sizes = np.abs(np.stack([g0, g1, g2])).sum(axis=0)
    rounding = sigma + 32 * _UNIT * sizes
    shift = 2.0**-49 * level * np.maximum(np.abs(x).max(axis=0), np.abs(y).max(axis=0))
    lost = shift * (np.abs(g1) / hx + np.abs(g2) / hy)
    found, missing = [], []
    for piece in cell.pieces:
        q, slack = cell.expand(piece.function, centre, half)
        steepness = (piece.function.slopes / cell.half).sum()
        slack = slack + rounding + lost + np.where(level > 0, shift * steepness, 0.0) + 4 * _UNIT * np.abs(q[0])
        q[:3] -= g
        found.append((*_size(q, u, w, slack), *_signs(cell, piece, centre, half, u, w, shift)))
        missing.append(piece.function.remainder)
    upper, attained, at_u, at_w, several = _combined(cell.pieces, found)
    upper = np.where(np.isnan(upper), np.inf, upper)
    blame = np.full(len(upper), max(missing)) > 0.25 * np.maximum(upper - attained, 0.0)
    at = (centre[0] + half[0] * at_u, centre[1] + half[1] * at_w)
    return upper, rounding + lost, attained, *at, blame, several


def _size(q: np.ndarray, u: np.ndarray, w: np.ndarray, slack: np.ndarray):  # type: ignore[no-untyped-def]
    """(upper of |q| + slack, what is about attained, u and w of that point)."""
    up, up_u, up_w = largest(q, u, w)
    down, down_u, down_w = largest(-q, u, w)
    more = ~(up < down)
    size = np.maximum(up, down)
    upper = (size + slack + ROUNDING * np.abs(q).sum(axis=0)) * (1 + 2.0**-50)
    return upper, size, np.where(more, up_u, down_u), np.where(more, up_w, down_w)


def _signs(cell, piece, centre, half, u, w, shift):  # type: ignore[no-untyped-def]
    """(lists over the kinks: how far each gap reaches to the side of the branch; whether the branch is possible)."""
    reach = []
    possible = np.ones(centre.shape[1], dtype=bool)
    for sign, gap in zip(piece.signs, piece.gaps, strict=True):
        far = _reach(cell, gap, sign, centre, half, u, w, shift)
        possible &= ~(far < 0)
        reach.append(far)
    return reach, possible


def _reach(cell: PlaneCell, gap: Polynomial, sign: int, centre, half, u, w, shift):  # type: ignore[no-untyped-def]
    """An upper bound of sign * gap on the polygons (and on what may be lost beside them)."""
    q, slack = cell.expand(gap, centre, half)
    top, _, _ = largest(sign * q, u, w)
    steepness = (gap.slopes / cell.half).sum()
    return top + slack + shift * steepness + ROUNDING * np.abs(q).sum(axis=0) + 4 * _UNIT * np.abs(q[0])


def _combined(pieces: list[Piece], found: list[tuple]):  # type: ignore[no-untyped-def]
    """The largest bound of the possible branches, each replaced by a neighbour where its gap hardly has its sign."""
    if len(pieces) == 1:
        upper, attained, at_u, at_w, _, possible = found[0]
        return upper, attained, at_u, at_w, np.zeros(len(upper), dtype=bool)
    number = {piece.signs: k for k, piece in enumerate(pieces)}
    n = len(found[0][0])
    upper, attained, at_u, at_w = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    several = np.zeros(n, dtype=np.int64)
    for piece, (own, size, own_u, own_w, reach, possible) in zip(pieces, found, strict=True):
        best = own
        for i, sign in enumerate(piece.signs):
            neighbour = (*piece.signs[:i], -sign, *piece.signs[i + 1 :])
            by_other = found[number[neighbour]][0] + piece.jumps[i] * np.maximum(reach[i], 0.0) * (1 + 2.0**-40)
            best = np.where(by_other < best, by_other, best)
        better = possible & ~(best <= upper)
        several += possible
        upper = np.where(better, best, upper)
        # Where this branch is only just possible its own maximum is not one of f.
        real = better & (best == own)
        attained = np.where(real, size, attained)
        at_u, at_w = np.where(real, own_u, at_u), np.where(real, own_w, at_w)
    return np.where(several > 0, upper, np.inf), attained, at_u, at_w, several > 1
