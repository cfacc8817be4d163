"""What does a hat lookup network compute, what is its error, where is it largest? From its decoded table alone.

THEOREM. With N_g nodes in class g and decoded coefficients, the network equals sum_p phi_p P_p on the whole box, except that a
node within eta of a jump of its staircase (where phi_p < 2 eta) may contribute anything below S = sum of the amplitudes. Hence
sup |f - net| <= |f - I_m f| + sum_a 2 pi a_a (largest decoding error) + 4 d eta S.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from flint import arb, fmpq

from approx.approximant import BudgetItem
from approx.certification.folds import region_bound
from approx.networks import Network
from approx.numbers import float_up, to_float, working_precision
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._grid import cells, strides
from constructions.superexpressive._hat_network import HatParameters, Key, class_counts, parities
from constructions.superexpressive._methods import decode_weight
from constructions.superexpressive._multipoint import chebyshev_coefficients, damping, interpolation_error
from constructions.superexpressive._phases import phases
from constructions.superexpressive._targets import FixedPoint, width_for
from constructions.superexpressive.weights import Weight, WeightCheck, certify_weight, readout_error

_GUARD = 32
#: Region by region takes about 10 ms per cell.
_FEW_CELLS = 128


def node_coefficients(target: Target, counts_of: Sequence[int], order: int, bits: int) -> dict[Key, list[arb]]:
    """For every (class, multi-index) the coefficient at all nodes of the class, in the order of their addresses.

    counts_of: the cells per axis. Coefficients are those of the damped Taylor polynomial in products of Chebyshev
    polynomials of (x - node)/h, times the sign (-1)^(n.a) that the network's coordinate carries.
    """
    steps = [(high - low) / j for (low, high), j in zip(target.domain, counts_of, strict=True)]
    table: dict[Key, list[arb]] = {}
    with working_precision(bits + _GUARD):
        lower = target.domain.lower
        axes = [[arb(low + k * h) for k in range(j + 1)] for low, h, j in zip(lower, steps, counts_of, strict=True)]
        for parity in parities(target.dimension):
            for n in cells(class_counts(counts_of, parity)):
                place = [axis[2 * k + g] for axis, k, g in zip(axes, n, parity, strict=True)]
                for alpha, value in _at_node(target, place, steps, order).items():
                    odd = sum(k * a for k, a in zip(n, alpha, strict=True)) % 2
                    table.setdefault((parity, alpha), []).append(-value if odd else value)
    return table


def _at_node(target: Target, place: Sequence[arb], steps: Sequence[fmpq], order: int) -> dict[tuple[int, ...], arb]:
    if order == 1:
        return {(0,) * len(place): target.ball(place)}
    jets = target.jet(place, order - 1)
    monomials = {}
    for alpha, value in jets.items():
        scale = damping(alpha, order)
        for k, step in zip(alpha, steps, strict=True):
            scale *= step**k
        monomials[alpha] = value * arb(scale)
    return chebyshev_coefficients(monomials)


class HatTable(_structure.Structure):
    """A hat lookup network with its target and its decoded values."""

    def __init__(self, target: Target, p: HatParameters, goals: Mapping[Key, FixedPoint] | None = None) -> None:
        self.target, self.parameters = target, p
        self.steps = [(high - low) / j for low, high, j in zip(p.lower, p.upper, p.cells, strict=True)]
        self.weights = {key: weight_of(p, key) for key in p.integers}
        if goals is None:
            goals = goals_for(p, node_coefficients(target, p.cells, p.order, widest(p)))
        self.checks: dict[Key, WeightCheck] = {k: certify_weight(w, goals[k]) for k, w in self.weights.items()}

    def items(self) -> tuple[BudgetItem, ...]:
        """Interpolation, decoded values, ramps."""
        p = self.parameters
        error, proof = interpolation_error(self.target, self.steps, p.order)
        decoded = [
            max(readout_error(p.amplitudes[alpha], c) for (_, a), c in self.checks.items() if a == alpha)
            for alpha in p.indices
        ]
        with working_precision(96):
            ramps = float_up(arb(4 * p.dimension * p.total) / arb(2) ** p.ramp)
        return (
            BudgetItem("interpolation", error, proof),
            BudgetItem(
                "decoded values",
                float_up(sum(map(arb, decoded), arb(0))),
                f"2 pi a times the largest distance, all {sum(w.count for w in self.weights.values()):,} checked by integers",
            ),
            BudgetItem("ramps", ramps, "hats below 2 eta where a staircase is not exact: 4 d eta S"),
        )

    def sharper(self, network: Network) -> float:
        """The bound region by region, in one variable at order 1 with few cells."""
        few = self.parameters.dimension == 1 and self.parameters.cells[0] <= _FEW_CELLS
        if few and self.parameters.order == 1 and not self.target.assumptions:
            return region_bound(network, self.target)[0]
        return math.inf

    @cached_property
    def decoded(self) -> dict[Key, tuple[np.ndarray, int, float]]:
        """Per table the decoded values as integers in units of 2^-width, the width, and their error in units."""
        found = {}
        for key, weight in self.weights.items():
            values, width, units = decode_weight(weight)
            found[key] = np.array(values, dtype=np.uint64 if width == 64 else object), width, units
        return found

    def value(self, point: Sequence[fmpq]) -> arb:
        """A ball around the value at an exact point; on a ramp it holds everything that the theorem admits there."""
        p = self.parameters
        places = []
        for t, j in zip(_structure.to_unit(self.target, point), p.cells, strict=True):
            y = t * j
            left = min(int(y.p // y.q), j - 1)
            places.append((y, left))
        total, doubt = arb(p.centre), arb(0)
        for corner in itertools.product((0, 1), repeat=p.dimension):
            nodes = [left + c for (_, left), c in zip(places, corner, strict=True)]
            gaps = [y - k for (y, _), k in zip(places, nodes, strict=True)]
            hats = [1 - abs(gap) for gap in gaps]
            hat = math.prod(hats, start=fmpq(1))
            if hat == 0:
                continue
            if any(h < fmpq(2, 2**p.ramp) for h in hats):
                doubt += arb(hat) * arb(p.total)
            else:
                total += arb(hat) * self._polynomial(nodes, gaps)
        return total + doubt * arb(0, 1)

    def _polynomial(self, nodes: Sequence[int], gaps: Sequence[fmpq]) -> arb:
        p, parity = self.parameters, tuple(k % 2 for k in nodes)
        n = [k // 2 for k in nodes]
        index = sum(k * s for k, s in zip(n, strides(class_counts(p.cells, parity)), strict=True))
        total = arb(0)
        for alpha in p.indices:
            values, width, units = self.decoded[parity, alpha]
            phase = arb(int(values[index]), units) / arb(2) ** width
            part = arb(p.amplitudes[alpha]) * (2 * phase).sin_pi()
            for k, gap, m in zip(alpha, gaps, n, strict=True):
                part *= arb(-gap if m % 2 else gap).chebyshev_t(k) if k else 1
            total += part
        return total

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values at points (n, d)."""
        p = self.parameters
        sides = np.asarray(self.target.domain.floats(), dtype=np.float64)
        y = (points - sides[:, 0]) / (sides[:, 1] - sides[:, 0]) * np.array(p.cells)
        left = np.clip(np.floor(y), 0, np.array(p.cells) - 1)
        total = np.full(len(points), to_float(p.centre))
        for corner in itertools.product((0, 1), repeat=p.dimension):
            nodes = (left + np.array(corner)).astype(np.int64)
            gaps = y - nodes
            hat = np.prod(1 - np.abs(gaps), axis=1)
            for parity in parities(p.dimension):
                mine = ((nodes % 2) == np.array(parity)).all(axis=1)
                if mine.any():
                    total[mine] += hat[mine] * self._polynomials(parity, nodes[mine] // 2, gaps[mine])
        return total

    def _polynomials(self, parity: tuple[int, ...], n: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        p = self.parameters
        index = n @ np.array(strides(class_counts(p.cells, parity)), dtype=np.int64)
        signed = np.clip(np.where(n % 2 == 1, -gaps, gaps), -1, 1)
        total = np.zeros(len(n))
        for alpha in p.indices:
            table, width, _ = self.decoded[parity, alpha]
            part = to_float(p.amplitudes[alpha]) * np.sin(2 * np.pi * (table[index].astype(np.float64) * 2.0**-width))
            for i, k in enumerate(alpha):
                part = part * np.cos(k * np.arccos(signed[:, i])) if k else part
            total += part
        return total

    def candidates(self, count: int) -> np.ndarray:
        """Points at several places of cells spread over the domain."""
        p = self.parameters
        fractions = np.array([[0.5] * 3, [0.25] * 3, [0.75] * 3, [0.3, 0.7, 0.5], [0.8, 0.2, 0.4], [0.4, 0.6, 0.1]])
        total = math.prod(p.cells)
        chosen = np.unique(np.linspace(0, total - 1, max(1, min(total, count // len(fractions)))).astype(np.int64))
        n = np.stack(np.unravel_index(chosen, p.cells[::-1])[::-1], axis=1).astype(np.float64)
        unit = [(n + fraction[: p.dimension]) / np.array(p.cells) for fraction in fractions]
        return _structure.inside(self.target, np.concatenate(unit))


def weight_of(p: HatParameters, key: Key) -> Weight:
    """The weight of one table, as `certify_weight` wants it."""
    parity, alpha = key
    return Weight("chebyshev", math.prod(class_counts(p.cells, parity)), p.bits[alpha], p.integers[key])


def widest(p: HatParameters) -> int:
    """The working width that serves all tables."""
    return max(
        width_for(math.prod(class_counts(p.cells, g)), b) for g in parities(p.dimension) for b in p.bits.values()
    )


def goals_for(p: HatParameters, coefficients: Mapping[Key, list[arb]]) -> dict[Key, FixedPoint]:
    """The phases that the tables should hold."""
    goals = {}
    for key, values in coefficients.items():
        centre = p.centre if not any(key[1]) else fmpq(0)
        goals[key] = phases(values, centre, p.amplitudes[key[1]], width_for(len(values), p.bits[key[1]]))
    return goals
