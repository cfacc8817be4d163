"""Which cells does a floor network cut the box into, and what does it compute on them? Shared by all such networks."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import BudgetItem
from approx.networks import Builder, Form
from approx.numbers import float_up, to_float, working_precision
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._grid import best_split, cells, counts_for, hoelder_step, strides
from constructions.superexpressive._methods import decode_weight
from constructions.superexpressive._options import positive_counts, positive_integer
from constructions.superexpressive._weight import Weight

#: kappa = M - 2^-24: the point t = 1 belongs to the last cell.
INSET = fmpq(1, 2**24)


def choose_cells(
    target: Target,
    eps: float,
    given: Any,
    bits: int | None,
    loss: float,
    length: Callable[[Sequence[int], int], float] = lambda counts, bits: float(math.prod(counts)) * bits,
) -> tuple[tuple[int, ...], int]:
    """(cells per axis, bits per value) with the shortest weight: modulus(cell radius) + pi loss 2^-bits <= eps."""
    sides = [to_float(high - low) for low, high in target.domain]

    def counts(rest: float) -> tuple[int, ...]:
        step = 2 * hoelder_step(target, rest)
        return counts_for(sides, step * (1 - 2.0**-20))

    def cost(rest: float, b: int) -> float:
        found = counts(rest)
        return math.inf if min(found) == 0 else length(found, b)

    if given is None or bits is None:
        chosen, rest = best_split(eps, loss, cost)
        b = positive_integer("bits", bits) if bits is not None else chosen
        per_axis = positive_counts("cells_per_axis", given, target.dimension) if given is not None else counts(rest)
    else:
        b, per_axis = positive_integer("bits", bits), positive_counts("cells_per_axis", given, target.dimension)
    return per_axis, b


def half_spread(target: Target) -> float:
    """An estimate of half the range of the target, from samples, 5 % more than they show."""
    points = _structure.inside(target, _samples(target.dimension))
    with np.errstate(all="ignore"):
        samples = np.asarray(target(points if target.dimension > 1 else points[:, 0])).reshape(-1)
    samples = samples[np.isfinite(samples)]
    return 0.525 * max(float(np.ptp(samples)) if len(samples) else 0.0, 1e-300)


def _samples(dimension: int) -> np.ndarray:
    side = {1: 513, 2: 65, 3: 17}.get(dimension, 5)
    axes = np.meshgrid(*[np.linspace(0, 1, side)] * dimension, indexing="ij")
    return np.stack([a.ravel() for a in axes], axis=1)


def _centres(target: Target, counts: Sequence[int]) -> list[list[fmpq]]:
    """The exact cell centres per axis, in the target's coordinates (the last cells are cut at the boundary)."""
    axes = []
    for (low, high), m in zip(target.domain, counts, strict=True):
        kappa = m - INSET
        axes.append([low + (high - low) * (n / kappa + min((n + 1) / kappa, fmpq(1))) / 2 for n in map(fmpq, range(m))])
    return axes


def centre_values(target: Target, counts: Sequence[int], width: int) -> list[arb]:
    """The target at all cell centres, as balls."""
    with working_precision(width + 32):
        axes = [[arb(c) for c in axis] for axis in _centres(target, counts)]
        return [target.ball([axis[n] for axis, n in zip(axes, cell, strict=True)]) for cell in cells(counts)]


def cell_numbers(b: Builder, target: Target, counts: Sequence[int]) -> list[Form]:
    """The units floor(kappa_j t_j), one per axis."""
    return [
        b.unit((b.input(j) - low) * ((m - INSET) / (high - low)), "floor")
        for j, ((low, high), m) in enumerate(zip(target.domain, counts, strict=True))
    ]


class CellTable(_structure.Structure):
    """A network that is constant on cells: sup |f - net| <= omega_f(cell radius) + what the decoded values miss."""

    def __init__(self, target: Target, counts: tuple[int, ...], weight: Weight) -> None:
        self.target, self.counts, self.weight = target, counts, weight
        self.radius = max(
            float_up((high - low) / (2 * (m - INSET))) for (low, high), m in zip(target.domain, counts, strict=True)
        )

    @abstractmethod
    def table_error(self) -> float:
        """An upper bound of |value at the centre of a cell - value of the network there|."""

    @abstractmethod
    def readout(self, phase: arb) -> arb:
        """The output for a decoded value."""

    @abstractmethod
    def readout_float(self, phase: np.ndarray) -> np.ndarray:
        """The output for decoded values, in float64."""

    def items(self) -> tuple[BudgetItem, ...]:
        """Modulus of continuity over a cell, and the decoded values."""
        modulus = self.target.modulus(self.radius)
        return (
            BudgetItem("cells", modulus, f"modulus of continuity over the radius {self.radius:.4g}"),
            BudgetItem(
                "decoded values", self.table_error(), f"the largest of {self.weight.count:,} distances, all checked"
            ),
        )

    @cached_property
    def decoded(self) -> tuple[np.ndarray, int, float]:
        """The decoded values as integers in units of 2^-width, the width, and their error in units."""
        values, width, units = decode_weight(self.weight)
        return np.array(values, dtype=np.uint64 if width == 64 else object), width, units

    def value(self, point: Sequence[fmpq]) -> arb:
        """The value at an exact point, from the decoded table."""
        index = 0
        for t, m, stride in zip(_structure.to_unit(self.target, point), self.counts, strides(self.counts), strict=True):
            place = t * (m - INSET)
            index += stride * int(place.p // place.q)
        table, width, units = self.decoded
        return self.readout(arb(int(table[index]), units) / arb(2) ** width)

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values at points (n, d)."""
        sides = np.asarray(self.target.domain.floats(), dtype=np.float64)
        t = (points - sides[:, 0]) / (sides[:, 1] - sides[:, 0])
        n = np.clip(np.floor(t * self._kappa), 0, np.array(self.counts) - 1).astype(np.int64)
        table, width, _ = self.decoded
        return self.readout_float(
            table[n @ np.array(strides(self.counts), dtype=np.int64)].astype(np.float64) * 2.0**-width
        )

    @property
    def _kappa(self) -> np.ndarray:
        return np.array(self.counts) - to_float(INSET)

    def candidates(self, count: int) -> np.ndarray:
        """Points just inside the corners of cells spread over the domain."""
        total = math.prod(self.counts)
        corners = 2 ** len(self.counts)
        chosen = np.unique(np.linspace(0, total - 1, max(1, min(total, count // corners))).astype(np.int64))
        n = np.stack(np.unravel_index(chosen, self.counts[::-1])[::-1], axis=1).astype(np.float64)
        points = []
        for corner in range(corners):
            ends = np.array([1e-7 if corner >> j & 1 else 1 - 1e-7 for j in range(len(self.counts))])
            points.append(np.minimum((n + ends) / self._kappa, 1.0))
        return _structure.inside(self.target, np.concatenate(points))
