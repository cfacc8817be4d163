"""How far is f from the sines of a group, on all places where the group counts? Taylor models, cell by cell.

On a box inside the place of a state, with x = c + h u, u in [-1, 1]^d, a = w.c + 2 pi y, b_i = w_i h_i, a sine sin(a + b.u) is
    sum_{|k| <= n} sin^(|k|)(a) b^k u^k / k!  +-  |b|_1^(n+1)/(n+1)!
and the sum of all sines is compared with the Taylor polynomials of f (approx.certification.taylor). Angles are taken from the
middle of the place, where they are reduced modulo 2 pi in balls, so that no float64 angle is large. Roundings are bounded: an
angle errs by at most 2^-51 (|a| + |b|_1 + 8), a term and the
sum by 2^-53 (sines + 2 n + 12) of the sum of absolute values, at most exp(|b|_1) per sine.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb

from approx.certification.box_cover import BoxCover, box_cover
from approx.certification.budget import Budget, Work
from approx.certification.taylor import Search
from approx.certification.taylor_forms import Model, Monomials
from approx.networks import Network
from approx.numbers import to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.periodic._fourier_code import Group
from constructions.periodic._fourier_plan import Cells

_ORDERS = {1: 6, 2: 5}
_MOST_PIECES, _RTOL = 4096, 0.004
_MOST_BOXES = {1: 400_000, 2: 100_000}
_SAMPLES = {1: 64, 2: 12}


class GroupModels:
    """The Taylor models of a group's function; what `approx.certification.taylor.Search` asks of a network."""

    def __init__(self, cells: Cells, group: Group, centre: Any, network: Network) -> None:
        self.cells, self.group, self.network = cells, group, network
        self.monomials = Monomials(cells.target.dimension, _ORDERS.get(cells.target.dimension, 3))
        self.centre, self.offset = centre, to_float(centre)
        omegas = [[to_float(v) for v in w] for w in group.frequencies]
        self.omegas = np.array(omegas).reshape(-1, cells.target.dimension)

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(numbers -> row, middles of the places (rows, d), angles there and amplitudes (rows, sines)) of all states."""
        rows = np.full(self.cells.count, -1)
        middles: list[list[float]] = []
        angles: list[list[float]] = []
        with working_precision(192):
            turn = 2 * arb.pi()
            for number, state in self.cells.states():
                rows[number] = len(middles)
                middle = [to_float((a + b) / 2) for a, b in self.cells.box(self.group.seams, state)]
                exact = [to_fmpq(v) for v in middle]
                middles.append(middle)
                angles.append(self._angles(number, exact, turn))
        shape = len(middles), len(self.group.frequencies)
        sizes = [[to_float(c) for c in self.group.amplitudes[number]] for number, _ in self.cells.states()]
        return rows, np.array(middles), np.array(angles).reshape(shape), np.array(sizes).reshape(shape)

    def _angles(self, number: int, exact: list[Any], turn: arb) -> list[float]:
        phases = self.group.phases[number]
        found = []
        for w, y in zip(self.group.frequencies, phases, strict=True):
            turns = arb(sum((v * x for v, x in zip(w, exact, strict=True)), to_fmpq(0))) / turn
            turns += arb(y) / arb(2) ** self.group.width
            found.append(float((turn * (turns - turns.mid().floor())).mid()))
        return found

    def rows_of(self, points: np.ndarray) -> np.ndarray:
        """The rows of the states at points (n, d)."""
        n, total = self.cells.per_axis, np.zeros(len(points), dtype=np.int64)
        for axis, (low, high) in enumerate(self.cells.target.domain.floats()):
            place = (points[:, axis] - low) / (high - low) * (n * (1 - 2.0**-20))
            seam = axis in self.group.seams
            state = np.clip(np.round(place) if seam else np.floor(place), 0, n - 1)
            total += n**axis * state.astype(np.int64)
        return self.tables[0][total]

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values of the group's function at points (n, d)."""
        rows, (_, middles, angles, sizes) = self.rows_of(points), self.tables
        inner = (points - middles[rows]) @ self.omegas.T + angles[rows]
        return self.offset + (np.sin(inner) * sizes[rows]).sum(axis=1)

    def models(self, centre: np.ndarray, half: np.ndarray) -> Model:
        """The Model of the function on boxes that each lie in the place of one state."""
        rows, (_, middles, angles, sizes) = self.rows_of(centre), self.tables
        order, count, sizes = self.monomials.order, sizes.shape[1], sizes[rows]
        a = (centre - middles[rows]) @ self.omegas.T + angles[rows]
        b = half[:, None, :] * self.omegas[None, :, :]
        reach = np.abs(b).sum(axis=2)
        sine, cosine = np.sin(a), np.cos(a)
        derivatives = [sine, cosine, -sine, -cosine]
        result = np.zeros((len(self.monomials.indices), 1, len(rows)))
        for k, index in enumerate(self.monomials.indices):
            degree = sum(index)
            term = derivatives[degree % 4] / math.prod(map(math.factorial, index))
            for axis, power in enumerate(index):
                term = term * b[:, :, axis] ** power
            result[k, 0] = (term * sizes).sum(axis=1)
        result[0, 0] += self.offset
        rest = reach ** (order + 1) / math.factorial(order + 1)
        # The absolute values of the terms of one sine sum to at most exp(reach).
        most = np.exp(np.minimum(reach, 700.0))
        rounding = 2.0**-51 * (np.abs(a) + reach + 8) + 2.0**-53 * (count + 2 * order + 12)
        slack = 2 * math.pi * self.group.slack * 2.0**-self.group.width
        error = ((rest * (1 + 2.0**-40) + rounding * most + slack) * np.abs(sizes)).sum(axis=1)
        error = error * (1 + 2.0**-40) + 2.0**-51 * abs(self.offset)
        return Model(result, error[None, :], order).closed()


class GroupSearch(Search):
    """Branch and bound whose exact values come from the group's function instead of the network."""

    def improve(self, boxes: Any) -> None:
        """Raise the lower bound at the most promising point."""
        program: Any = self.program
        sides = [(to_fmpq(a), to_fmpq(b)) for a, b in self.target.domain]
        best = int(np.argmax(np.where(np.isfinite(boxes.estimate), boxes.estimate, 0.0)))
        if not boxes.estimate[best] > self.lower * (1 + 1e-6):
            return
        row = int(program.rows_of(boxes.centre[best : best + 1])[0])
        # A little inwards: at the ends of its cell a point may belong to the next one.
        inwards = boxes.point[best] + 2.0**-24 * (program.tables[1][row] - boxes.point[best])
        x = [min(max(to_fmpq(float(v)), lo), hi) for v, (lo, hi) in zip(inwards, sides, strict=True)]
        number = int(np.flatnonzero(program.tables[0] == row)[0])
        with working_precision(192):
            value = program.group.balls(number, x) + arb(program.centre)
            gap = abs(self.target.ball([arb(c) for c in x]) - value)
            low = float(gap.lower()) * (1 - 2.0**-50) if gap.is_finite() else 0.0
        if low > self.lower:
            self.lower, self.witness = low, tuple(x)


def group_error(
    cells: Cells, group: Group, centre: Any, network: Network, atol: float = 0.0
) -> tuple[float, tuple[Any, ...]]:
    """(proved bound of |f - g_S| over all places of the group's states, a point where it is nearly attained).

    The bound is sharp to _RTOL as far as float64 rounding lets it, or below atol.
    """
    program = GroupModels(cells, group, centre, network)
    boxes = [cells.box(group.seams, state) for _, state in cells.states()]
    with np.errstate(all="ignore"):
        middles = program.tables[1]
        rounding = float(program.models(middles, np.zeros_like(middles)).error.max())
        guess = max(_sampled(cells.target, program, boxes), atol)
        # Bounds cannot be sharper than rounding lets them; a guess decides how far the search goes, not what it proves.
        rtol = max(_RTOL, 4 * rounding / guess) if guess > 0 else _RTOL
        cover = places_cover(cells.target, boxes, 0.1 * rtol * guess)
        least = max(atol, 8 * rounding)
        search = GroupSearch(
            program, cells.target, cover, rtol, least, Work(Budget(regions=_MOST_BOXES[cells.target.dimension]))
        )
        search.run()
    return (search.upper if math.isfinite(search.upper) else math.inf), search.witness


def _sampled(target: Target, program: GroupModels, boxes: list[list[tuple[Any, Any]]]) -> float:
    sides = np.array([[[to_float(a), to_float(b)] for a, b in box] for box in boxes])
    share = np.cos(np.pi * (np.arange(_SAMPLES[target.dimension]) + 0.5) / _SAMPLES[target.dimension]) / 2 + 0.5
    grid = np.stack([g.ravel() for g in np.meshgrid(*[share] * target.dimension, indexing="ij")], axis=1)
    widths = sides[:, None, :, 1] - sides[:, None, :, 0]
    points = (sides[:, None, :, 0] + grid[None] * widths).reshape(-1, target.dimension)
    wanted = np.asarray(target(points if target.dimension > 1 else points[:, 0])).reshape(-1)
    return float(np.nan_to_num(np.abs(wanted - program.values(points)), nan=0.0, posinf=0.0).max())


def places_cover(target: Target, boxes: list[list[tuple[Any, Any]]], tolerance: float) -> BoxCover:
    """One BoxCover of several boxes: each is covered on its own, so no cell straddles two of them."""
    share = max(8, _MOST_PIECES // len(boxes))
    parts = [box_cover(target.on(box), tolerance, order=8, most_cells=share) for box in boxes]
    return BoxCover(
        parts[0].indices,
        np.concatenate([p.centres for p in parts]),
        np.concatenate([p.halves for p in parts]),
        np.concatenate([p.coefficients for p in parts]),
        np.concatenate([p.remainders for p in parts]),
        np.concatenate([p.lower for p in parts]),
        np.concatenate([p.upper for p in parts]),
    )
