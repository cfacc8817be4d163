"""How are open polygons made smaller, when f is what keeps their bounds apart from the lower bound?

A polygon is cut in two: along the zeros of the gap of a kink of f, where several branches are possible; along the middle of
its cell of the cover, which is halved, where the remainder of the cell is to blame; else across its longer side.
These polygons do not share vertices any more: what rounding may lose between two parts is within 2^-50 of the largest
coordinate per cut, and is charged to them by `level` (polygon_bounds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.certification.branches import gap_programs
from approx.certification.mesh import Mesh, cut
from approx.certification.plane_cover import PlaneCover
from approx.certification.polygon_bounds import Bounds, Frames, bound_by_cells
from approx.targets.floats import float_value

_DEEPEST = 56
_MOST_CELLS = 30_000
_MOST_INFINITE = 1500


@dataclass
class Open:
    """Polygons with their frames, bounds, cells and levels; polygon k of the mesh belongs to entry k of all."""

    mesh: Mesh
    frames: Frames
    bounds: Bounds
    cell: np.ndarray
    level: np.ndarray

    @property
    def upper(self) -> np.ndarray:
        """The bounds of |f - net|."""
        return self.bounds.upper

    @classmethod
    def of(cls, mesh: Mesh, frames: Frames, bounds: Bounds, cell: int, which: np.ndarray) -> Open:
        """The polygons `which` of a block in one cell, without the points that they shared."""
        part, _ = mesh.select(which)
        count = part.polygons
        return cls(_apart(part), frames.take(which), bounds.take(which), np.full(count, cell), np.zeros(count))

    def take(self, which: np.ndarray) -> Open:
        """The polygons at `which`."""
        mesh, _ = self.mesh.select(which)
        return Open(mesh, self.frames.take(which), self.bounds.take(which), self.cell[which], self.level[which])

    def divisible(self, cover: PlaneCover) -> np.ndarray:
        """Which polygons may be made smaller at all."""
        infinite = ~np.isfinite(self.upper)
        if len(cover.cells) > _MOST_CELLS or (infinite.any() and cover.infinite > _MOST_INFINITE):
            return (self.level < _DEEPEST) & ~infinite & ~self.bounds.remainder
        return self.level < _DEEPEST


def _apart(mesh: Mesh) -> Mesh:
    """The same polygons, each with points of its own."""
    return Mesh(mesh.x[mesh.corners], mesh.y[mesh.corners], np.arange(len(mesh.corners)), mesh.start)


def halved(group: Open, cover: PlaneCover) -> Open:
    """Both parts of every polygon, bounded anew (never above the bound of the whole)."""
    mesh = group.mesh
    owner = np.repeat(np.arange(mesh.polygons), np.diff(mesh.start))
    x, y = mesh.x[mesh.corners], mesh.y[mesh.corners]
    low_x, high_x, low_y, high_y = mesh.least(mesh.x), mesh.most(mesh.x), mesh.least(mesh.y), mesh.most(mesh.y)
    across = high_x - low_x >= high_y - low_y
    middle = np.where(across, 0.5 * (low_x + high_x), 0.5 * (low_y + high_y))
    cell = group.cell.copy()
    blame = group.bounds.remainder & ~group.bounds.kinks
    for number in np.unique(cell[blame]).tolist():
        here = blame & (cell == number)
        parts = cover.halve(number)
        if parts is None:
            continue
        wide, line = cover.cells[number].wide, cover.cells[number].middle
        low, high = (low_x, high_x) if wide else (low_y, high_y)
        cell[here & (high <= line)], cell[here & (low >= line)] = parts
        between = here & (low < line) & (high > line)
        across, middle = np.where(between, wide, across), np.where(between, line, middle)
    straight = np.where(across[owner], x, y) - middle[owner]
    values = _along_kinks(group, cover, owner, x, y, straight)
    # Without shared points the numbers of corners and points agree.
    grown, done = cut(_apart(mesh), values)
    whole = np.bincount(np.arange(mesh.polygons) if done is None else done.parent) == 1
    if whole.any() and values is not straight:
        # The zeros of a curved gap may not divide the polygon in two.
        values = np.where(whole[owner], straight, values)
        grown, done = cut(_apart(mesh), values)
    if done is None:
        parent = np.arange(mesh.polygons)
    else:
        parent = done.parent
        new = owner[done.first]
        exact = values[done.first] == straight[done.first]
        count = len(x)
        for axis, places in ((True, grown.x), (False, grown.y)):
            places[count:] = np.where(exact & (across[new] == axis), middle[new], places[count:])
    level = group.level[parent] + 1
    frames = group.frames.take(parent)
    cells = _descended(cover, cell[parent], grown)
    bounds = bound_by_cells(cover, grown, frames, cells, level)
    bounds.upper = np.minimum(bounds.upper, group.upper[parent])
    return Open(grown, frames, bounds, cells, level)


def _along_kinks(group: Open, cover: PlaneCover, owner: np.ndarray, x, y, straight):  # type: ignore[no-untyped-def]
    """The values whose zeros are the cuts: those of the gap of a kink where this divides well, else `straight`."""
    if not group.bounds.kinks.any():
        return straight
    values, start = straight, group.mesh.start[:-1]
    best = np.zeros(group.mesh.polygons)
    for program in gap_programs(cover.target):
        gap = float_value(program, [x, y])
        above, below = np.maximum.reduceat(gap, start), -np.minimum.reduceat(gap, start)
        size = np.maximum(above, below)
        depth = np.where(np.isfinite(size), np.minimum(above, below), 0.0)
        # A gap that is hardly there any more has been cut along before.
        use = group.bounds.kinks & (depth > 2.0**-30 * size) & (depth > best)
        best = np.where(use, depth, best)
        noise = 2.0**-46 * size[owner]
        values = np.where(use[owner], np.where(np.abs(gap) <= noise, 0.0, gap), values)
    return values


def _descended(cover: PlaneCover, cell: np.ndarray, mesh: Mesh) -> np.ndarray:
    """The child of a halved cell where a polygon lies in one of its halves."""
    cell = cell.copy()
    low_x, high_x, low_y, high_y = mesh.least(mesh.x), mesh.most(mesh.x), mesh.least(mesh.y), mesh.most(mesh.y)
    for number in np.unique(cell).tolist():
        found = cover.cells[number]
        if found.children is None:
            continue
        low, high = (low_x, high_x) if found.wide else (low_y, high_y)
        here = cell == number
        cell[here & (high <= found.middle)] = found.children[0]
        cell[here & (low >= found.middle)] = found.children[1]
    return cell
