"""What sup |f - net| is for two variables: exact polygons of the network, second-order bounds of f on each.

Algorithm. The domain is tiled by cells on which f is a polynomial plus a proved remainder. Each cell is cut into the
polygons on which the network is affine (plane_pieces), the distance from affine is proved (mesh_forward), and |f - net| is
bounded on each polygon by closed forms (polygon_bounds). Polygons whose bound exceeds (1+rtol) times the lower bound are
halved: only f is looked at again, the network is affine there. Kinks of f are cut along, poor cells are halved too.

Guarantee: lower <= sup <= upper whatever the budget; rectangles that were not reached enter with the bound of an affine
enclosure of the network on the whole of them. The lower bound is the value at one point in exact arithmetic.
Cost: about 2 to 5 us per polygon for narrow networks; memory for one block and for the polygons that are open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from flint import fmpq

from approx.certification.arithmetic import DoubleDouble
from approx.certification.budget import Work
from approx.certification.gadget_forms import forms_of, reading_of
from approx.certification.mesh import Rectangle, covers
from approx.certification.mesh_forward import mesh_forward
from approx.certification.pieces import Program
from approx.certification.plane_boxes import bound_rectangles, halves_of, rectangle_array
from approx.certification.plane_cover import PlaneCover
from approx.certification.plane_pieces import Block, grow, start_block
from approx.certification.polygon_bounds import Bounds, Frames, bound_polygons, frames_of
from approx.certification.polygon_refinement import Open, halved
from approx.certification.witness import Witness

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: Share of the allowed relative gap that rounding may take before double-double is called.
_SLACK_SHARE = 0.1
#: Open polygons beyond this are refined before further blocks are looked at: memory.
_MOST_OPEN = 100_000
_CHUNK = 20_000
#: The branch and bound before: at most so many rectangles, and rectangles times units.
_MOST_RECTANGLES = 2000
_MOST_UNITS = 300_000


def certify_polygons(
    network: Network, target: Target, rtol: float, atol: float, work: Work, explore: bool = False
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by polygons; with `explore` a few rectangles are tried before."""
    program = Program(network, hinges=False)
    witness = Witness(program, target)
    upper, name = float("inf"), "polygons (float64)"
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        witness.sample()
        tolerance = 0.1 * max(rtol * witness.lower, 1e-3 * atol)
        search = PolygonSearch(program, PlaneCover(target, tolerance), witness, rtol, atol, work)
        try:
            search.run(explore)
        finally:
            upper, name = search.upper, search.name
    return witness.lower, upper, witness.point, name


class PolygonSearch:
    """The state: blocks not yet cut into polygons, open polygons, and the largest bound of what is settled."""

    def __init__(
        self, program: Program, cover: PlaneCover, witness: Witness, rtol: float, atol: float, work: Work
    ) -> None:
        self.program, self.cover, self.witness = program, cover, witness
        self.rtol, self.atol, self.work = rtol, atol, work
        self.forms, self.forms_name = forms_of(program, reading_of(program.network, list(cover.target.domain)))
        self.settled = 0.0
        self.reached = ["float64"]
        self.open: list[Open] = []
        # (bound, cell, block), the block to be taken next last. Until they have been bounded, nothing is known.
        self.blocks: list[tuple[float, int, Block]] = []
        self.begun = False
        self.polygons = False

    @property
    def name(self) -> str:
        """The method, for the certificate."""
        return (
            "polygons (" + ", ".join(self.reached) + ")" if self.polygons else f"rectangles (float64 {self.forms_name})"
        )

    @property
    def goal(self) -> float:
        """Bounds up to this need no more work."""
        return max(self.witness.lower * (1 + self.rtol), self.atol)

    @property
    def upper(self) -> float:
        """The bound that is proved at this moment."""
        if not self.begun:
            return float("inf")
        return max([self.settled, *(b[0] for b in self.blocks), *(float(o.upper.max(initial=0.0)) for o in self.open)])

    def run(self, explore: bool) -> None:
        """Cut, bound and refine until the goal is met or the work is exhausted."""
        numbers = np.array(self.cover.roots)
        roots = rectangle_array([self.cover.cells[k].rectangle for k in self.cover.roots])
        bounds, side = self.rectangles(roots, numbers)
        # The largest bound last, so that it is looked at first.
        order = np.argsort(bounds.upper, kind="stable").tolist()
        self.blocks = [
            (float(bounds.upper[i]), int(numbers[i]), start_block(Rectangle(*roots[:, i].tolist()))) for i in order
        ]
        self.begun = True
        if explore:
            self.explore(roots, numbers, bounds, side)
        if all(b[0] <= self.goal for b in self.blocks):
            self.settled, self.blocks = max(b[0] for b in self.blocks), []
            return
        self.polygons = True
        while self.blocks and not self.work.exhausted:
            self.step()
            if sum(len(o.upper) for o in self.open) > _MOST_OPEN:
                self.refine()
        self.refine()

    def rectangles(self, rectangles: np.ndarray, cell: np.ndarray) -> tuple[Bounds, np.ndarray]:
        """The Bounds of whole rectangles (4, n), and the sides to halve."""
        self.work.count("rectangles", len(cell))
        bounds, side = bound_rectangles(self.forms, self.cover, rectangles, cell)
        self.improve(bounds)
        return bounds, side

    def explore(self, rectangles: np.ndarray, cell: np.ndarray, bounds: Bounds, side: np.ndarray) -> None:
        """A short branch and bound, which sharpens the bounds of the blocks; it may meet the goal."""
        left = min(_MOST_RECTANGLES, _MOST_UNITS // (self.program.network.size.units + 1))
        settled = {number: 0.0 for number in cell.tolist()}
        while not self.work.exhausted:
            active = ~(bounds.upper <= self.goal)
            for number, bound in zip(cell[~active].tolist(), bounds.upper[~active].tolist(), strict=True):
                settled[number] = max(settled[number], bound)
            which = np.flatnonzero(active)
            left -= 2 * len(which)
            if not len(which) or left < 0:
                break
            cell = np.tile(cell[which], 2)
            rectangles = halves_of(rectangles[:, which], side[which])
            above = np.tile(bounds.upper[which], 2)
            bounds, side = self.rectangles(rectangles, cell)
            bounds.upper = np.minimum(bounds.upper, above)
        for number, bound in zip(cell.tolist(), bounds.upper.tolist(), strict=True):
            settled[number] = max(settled[number], bound)
        self.blocks = sorted(((settled[k], k, b) for _, k, b in self.blocks), key=lambda entry: entry[0])

    def step(self) -> None:
        """Take the next block: settle it by its coarse bound, halve it, or cut and bound its polygons."""
        bound, number, block = self.blocks[-1]
        if bound <= self.goal:
            self.settled = max(self.settled, bound)
            self.blocks.pop()
            return
        parts = grow(self.program, block)
        if len(parts) == 1:
            self.settle(parts[0], number, bound)
            self.blocks.pop()
        else:
            whole = rectangle_array([p.rectangle for p in parts])
            bounds = np.minimum(self.rectangles(whole, np.array([number, number]))[0].upper, bound)
            order = np.argsort(bounds, kind="stable").tolist()
            self.blocks[-1:] = [(float(bounds[i]), number, parts[i]) for i in order]

    def settle(self, block: Block, number: int, cap: float) -> None:
        """Bound the polygons of a finished block; those above the goal become open."""
        mesh = block.mesh
        self.work.count("polygons", mesh.polygons)
        if not covers(mesh, block.rectangle):
            # Rounding has torn the mesh: nothing is claimed beyond the coarse bound.
            self.settled = max(self.settled, cap)
            return
        cell = self.cover.cells[number]
        values, error = mesh_forward(self.program, mesh)
        frames = frames_of(mesh, values[0], error)
        bounds = bound_polygons(cell, mesh, frames)
        self.improve(bounds)
        held = np.flatnonzero((bounds.upper > self.goal) & self.limited(bounds))
        if len(held):
            self.sharpen(block, number, frames, bounds, held)
        upper = np.minimum(bounds.upper, cap)
        active = np.flatnonzero(~(upper <= self.goal))
        # In this order an interrupt finds every polygon counted at least once.
        self.settled = max(self.settled, float(np.delete(upper, active).max(initial=0.0)))
        if len(active):
            bounds.upper = upper
            self.open.append(Open.of(mesh, frames, bounds, number, active))

    def limited(self, bounds: Bounds) -> np.ndarray:
        """Which polygons are held back by rounding in the network rather than by f."""
        return ~(bounds.rounding <= _SLACK_SHARE * max(self.rtol * self.witness.lower, self.atol))

    def sharpen(self, block: Block, number: int, frames: Frames, bounds: Bounds, held: np.ndarray) -> None:
        """Bound the polygons `held` again, with the network in double-double; frames and bounds change in place."""
        part, _ = block.mesh.select(held)
        self.work.count("double-double", len(held))
        values, error = mesh_forward(self.program, part, DoubleDouble)
        # The tail of a value is charged to the error, so that frames stay in float64.
        better = frames_of(part, values[0], error + part.most(np.abs(values[1])))
        again = bound_polygons(self.cover.cells[number], part, better)
        if "double-double" not in self.reached:
            self.reached.append("double-double")
        frames.data[:, held] = better.data
        again.upper = np.minimum(again.upper, bounds.upper[held])
        bounds.put(held, again)
        self.improve(again)

    def improve(self, bounds: Bounds) -> None:
        """Raise the lower bound at the most promising point."""
        with np.errstate(invalid="ignore"):
            promise = np.where(np.isfinite(bounds.attained - bounds.rounding), bounds.attained, 0.0)
        for k in np.argsort(-promise, kind="stable")[:2].tolist():
            if promise[k] > self.witness.lower * (1 + 1e-6):
                self.witness.try_point((float(bounds.x[k]), float(bounds.y[k])))

    def refine(self) -> None:
        """Halve open polygons until none is above the goal, or nothing more can be done."""
        while self.open and not self.work.exhausted:
            group = self.open[-1]
            done = group.upper <= self.goal
            stuck = ~done & (self.limited(group.bounds) | ~group.divisible(self.cover))
            self.settled = max(self.settled, float(group.upper[done | stuck].max(initial=0.0)))
            active = np.flatnonzero(~(done | stuck))
            if not len(active) or self.settled == float("inf"):
                self.open.pop()
                continue
            active = active[np.argsort(-group.upper[active], kind="stable")]
            first = group.take(np.sort(active[:_CHUNK]))
            rest = [group.take(np.sort(active[_CHUNK:]))] if len(active) > _CHUNK else []
            children = halved(first, self.cover)
            self.work.count("polygons", len(children.upper))
            self.open[-1:] = [*rest, children]
            self.improve(children.bounds)
