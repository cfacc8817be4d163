"""How does a network of d + 2 units, with activations sin and floor only, reach any accuracy in d variables?

With t = (x - lower)/(upper - lower) in [0, 1]^d, M_j cells on axis j and kappa_j = M_j - 2^-24 (so that t_j = 1 lies in the
last cell), N = M_1 ... M_d cells, B = 2^b and theta = arccos(1/(2B)):

    n_j = floor(kappa_j t_j),   s = cos(theta (1 + sum_j stride_j n_j)),   net = c + a sin(4 pi A s).

2 A cos(k theta) mod 1 is the decoded value k, so net takes on cell k the value c + a sin(2 pi y_k) up to pi a/B.
THEOREM. With the values of f at the cell centres, sup |f - net| <= omega_f(r) + pi a/B on the whole box, omega_f the modulus
of continuity in the maximum norm, r = max_j (upper_j - lower_j)/(2 kappa_j). The architecture depends on d alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant, BudgetItem
from approx.networks import Builder, Network, linear_combination
from approx.numbers import ClosedForm, arccos, float_up, pi, to_float, working_precision
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._grid import best_split, cells, counts_for, hoelder_step, strides
from constructions.superexpressive._options import accuracy, positive_counts, positive_integer
from constructions.superexpressive._phases import centre_and_amplitude, phases
from constructions.superexpressive._targets import FixedPoint, width_for
from constructions.superexpressive.weights import (
    MOST_BITS,
    Weight,
    certify_weight,
    readout_error,
    refuse_too_long,
    select_weight,
)

DESCRIPTION: dict[str, Any] = {
    "name": "sin-floor",
    "activations": ("sin", "floor"),
    "needs": "a modulus of continuity (Lipschitz or Hölder)",
    "guarantee": "sup |f - net| <= omega_f(cell radius) + pi a/B, by structure: every decoded value checked by integers",
    "rate": "d + 2 units for every eps; bits = N log2 B, N = (C/eps)^(d/alpha)",
    "references": ("P21",),
}
#: kappa = M - 2^-24: the point t = 1 belongs to the last cell.
_INSET = fmpq(1, 2**24)


def sin_floor(
    target: Target,
    eps: Any,
    *,
    cells_per_axis: Any = None,
    bits: int | None = None,
    amplitude: Any = None,
    most_bits: int = MOST_BITS,
) -> Approximant:
    """An Approximant with d + 2 units {sin, floor} and sup |target - network| <= eps.

    cells_per_axis, bits: override the choice of M (a number, or one per axis) and of b = log2 B; amplitude: a given bound a of
    |f - c| at the nodes. Cost: N evaluations of the target, and O(M(N b) log N) for the weight.

    Raises InputError (eps, options, an amplitude that does not bound the target), RegularityError without a modulus of
    continuity, UnreachableError, naming the bits, when the weight would exceed `most_bits`. Source: P21 proves that such
    weights exist; the weights and the bound are derived (module docstring).

    >>> a = sin_floor(Target("sin(3*x)"), 0.05)
    >>> a.network.size.units, a.bound <= 0.05
    (3, True)
    """
    goal, free = accuracy(eps), cells_per_axis is None or bits is None
    found = _build(target, *_choose(target, goal, cells_per_axis, bits, amplitude), amplitude, most_bits)
    if found.bound > goal and free and amplitude is None:
        # The nodes vary more than the samples that were looked at.
        guess = float(1.01 * to_float(found.parameters["amplitude"]))
        found = _build(target, *_choose(target, goal, cells_per_axis, bits, guess), None, most_bits)
    return found


def _build(target: Target, counts: tuple[int, ...], b: int, amplitude: Any, most_bits: int) -> Approximant:
    refuse_too_long(math.prod(counts) * b, most_bits)
    width = width_for(math.prod(counts), b)
    values = _node_values(target, counts, width)
    centre, scale = centre_and_amplitude(values, amplitude)
    goals = phases(values, centre, scale, width)
    weight = select_weight(goals, b, most_bits=most_bits)
    network = network_of(target, counts, weight, centre, scale)
    table = SinFloor(target, counts, weight, centre, scale, goals)
    _structure.remember(network, target, DESCRIPTION["name"], table)
    return Approximant(
        network=network,
        target=target,
        bound=_structure.bound_of(table.items()),
        method=DESCRIPTION["name"],
        statement=f"sup |f - net| <= omega_f(r) + pi a/B with r = {table.radius:.4g}, a = {to_float(scale):.4g}, B = 2^{b}",
        budget=table.items(),
        parameters={
            "cells": list(counts), "bits_per_value": b, "amplitude": scale, "centre": centre, "weight_bits": weight.length,
            "least_weight_bits": weight.least_length,
        },
        references=DESCRIPTION["references"],
    )  # fmt: skip


def _choose(target: Target, eps: float, given: Any, bits: int | None, amplitude: Any) -> tuple[tuple[int, ...], int]:
    sides = [to_float(high - low) for low, high in target.domain]
    scale = _amplitude_guess(target) if amplitude is None else to_float(amplitude)

    def counts(rest: float) -> tuple[int, ...]:
        step = 2 * hoelder_step(target, rest)
        return counts_for(sides, step * (1 - 2.0**-20))

    def cost(rest: float, b: int) -> float:
        found = counts(rest)
        return math.inf if min(found) == 0 else float(math.prod(found)) * b

    if given is None or bits is None:
        chosen, rest = best_split(eps, scale, cost)
        b = positive_integer("bits", bits) if bits is not None else chosen
        per_axis = positive_counts("cells_per_axis", given, target.dimension) if given is not None else counts(rest)
    else:
        b, per_axis = positive_integer("bits", bits), positive_counts("cells_per_axis", given, target.dimension)
    return per_axis, b


def _amplitude_guess(target: Target) -> float:
    """Half the width of a rigorous enclosure of the range, at most 1.05 times what the nodes will need, else more."""
    with working_precision(64):
        ball = target.ball(target.domain.balls())
    samples = target(_structure.inside(target, _samples(target.dimension)) if target.dimension > 1 else
                     _structure.inside(target, _samples(1))[:, 0])  # fmt: skip
    spread = float(np.ptp(np.asarray(samples)[np.isfinite(samples)], axis=0)) if np.size(samples) else 0.0
    wide = to_float(ball.rad()) if ball.is_finite() else spread
    return 1.05 * max(min(wide, spread), 1e-300)


def _samples(dimension: int) -> np.ndarray:
    side = {1: 513, 2: 65, 3: 17}.get(dimension, 5)
    axes = np.meshgrid(*[np.linspace(0, 1, side)] * dimension, indexing="ij")
    return np.stack([a.ravel() for a in axes], axis=1)


def _centres(target: Target, counts: Sequence[int]) -> list[list[fmpq]]:
    """The exact cell centres per axis, in the target's coordinates (the last cells are cut at the boundary)."""
    axes = []
    for (low, high), m in zip(target.domain, counts, strict=True):
        kappa = m - _INSET
        axes.append([low + (high - low) * (n / kappa + min((n + 1) / kappa, fmpq(1))) / 2 for n in map(fmpq, range(m))])
    return axes


def _node_values(target: Target, counts: Sequence[int], width: int) -> list[arb]:
    with working_precision(width + 32):
        axes = [[arb(c) for c in axis] for axis in _centres(target, counts)]
        return [target.ball([axis[n] for axis, n in zip(axes, cell, strict=True)]) for cell in cells(counts)]


def network_of(target: Target, counts: Sequence[int], weight: Weight, centre: fmpq, scale: fmpq) -> Network:
    """The network of the module docstring, with exact weights."""
    b = Builder(len(counts))
    terms = []
    for j, ((low, high), m, stride) in enumerate(zip(target.domain, counts, strides(counts), strict=True)):
        cell = b.unit((b.input(j) - low) * ((m - _INSET) / (high - low)), "floor")
        terms.append((fmpq(stride), cell))
    theta = arccos(fmpq(1, 2 ** (weight.bits + 1)))
    address = linear_combination(terms, fmpq(1))
    inner = b.unit(theta * address + pi() / 2, "sin")
    return b.build([scale * b.unit(4 * weight.integer * pi() * inner, "sin") + centre])


class SinFloor(_structure.Structure):
    """A recognised sin-floor network: parameters, decoded values and targets."""

    def __init__(
        self,
        target: Target,
        counts: tuple[int, ...],
        weight: Weight,
        centre: fmpq,
        scale: fmpq,
        goals: FixedPoint | None = None,
    ) -> None:
        self.target, self.counts, self.weight = target, counts, weight
        self.centre, self.scale = centre, scale
        self.radius = max(
            float_up((high - low) / (2 * (m - _INSET))) for (low, high), m in zip(target.domain, counts, strict=True)
        )
        if goals is None:
            width = width_for(weight.count, weight.bits)
            goals = phases(_node_values(target, counts, width), centre, scale, width)
        self.check = certify_weight(weight, goals)

    def items(self) -> tuple[BudgetItem, ...]:
        """Modulus of continuity over a cell, and the decoded values."""
        return (
            BudgetItem(
                "cells", self.target.modulus(self.radius), f"modulus of continuity over the radius {self.radius:.4g}"
            ),
            BudgetItem(
                "decoded values",
                readout_error(self.scale, self.check),
                f"2 pi a times the largest of {self.weight.count:,} distances, all checked by integers",
            ),
        )

    @cached_property
    def decoded(self) -> tuple[np.ndarray, int, float]:
        """The decoded values as integers in units of 2^-width, the width, and their error in units."""
        values, width, units = self.weight.decode()
        return np.array(values, dtype=np.uint64 if width == 64 else object), width, units

    def value(self, point: Sequence[fmpq]) -> arb:
        """The value at an exact point, from the decoded table."""
        index = 0
        for t, m, stride in zip(_structure.to_unit(self.target, point), self.counts, strides(self.counts), strict=True):
            place = t * (m - _INSET)
            index += stride * int(place.p // place.q)
        table, width, units = self.decoded
        phase = arb(int(table[index]), units) / arb(2) ** width
        return arb(self.centre) + arb(self.scale) * (2 * phase).sin_pi()

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values at points (n, d)."""
        sides = np.asarray(self.target.domain.floats(), dtype=np.float64)
        t = (points - sides[:, 0]) / (sides[:, 1] - sides[:, 0])
        kappa = np.array(self.counts) - float(_INSET.p) / float(_INSET.q)
        n = np.clip(np.floor(t * kappa), 0, np.array(self.counts) - 1).astype(np.int64)
        index = n @ np.array(strides(self.counts), dtype=np.int64)
        table, width, _ = self.decoded
        phase = table[index].astype(np.float64) * 2.0**-width
        return to_float(self.centre) + to_float(self.scale) * np.sin(2 * np.pi * phase)

    def candidates(self, count: int) -> np.ndarray:
        """Points just inside the corners of cells spread over the domain."""
        total = math.prod(self.counts)
        corners = 2 ** len(self.counts)
        chosen = np.unique(np.linspace(0, total - 1, max(1, min(total, count // corners))).astype(np.int64))
        n = np.stack(np.unravel_index(chosen, self.counts[::-1])[::-1], axis=1).astype(np.float64)
        kappa = np.array(self.counts) - float(_INSET.p) / float(_INSET.q)
        points = []
        for corner in range(corners):
            ends = np.array([1e-7 if corner >> j & 1 else 1 - 1e-7 for j in range(len(self.counts))])
            points.append(np.minimum((n + ends) / kappa, 1.0))
        return _structure.inside(self.target, np.concatenate(points))


@_structure.reader(DESCRIPTION["name"])
def read(network: Network, target: Target) -> SinFloor | None:
    """The structure when the network is exactly `network_of` its own parameters, else None."""
    d = network.inputs
    if [(layer.activation, layer.units) for layer in network.layers] != [
        ("floor", d), ("sin", 1), ("sin", 1), ("identity", 1)
    ]:  # fmt: skip
        return None
    rows = network.exact_rows()
    try:
        counts = tuple(
            int(w * (high - low) + _INSET)
            for (_, _, ((_, w),)), (low, high) in zip(rows[:d], target.domain, strict=True)
        )
        theta = rows[d][2][0][1]
        bits = _bits_of(theta)
        integer = rows[d + 1][2][0][1] / pi() / 4
        weight = Weight("chebyshev", math.prod(counts), bits, int(integer), 0, {})
        structure_parts = counts, weight, rows[d + 2][1], rows[d + 2][2][0][1]
        if network != network_of(target, *structure_parts):
            return None
    except (ValueError, TypeError, IndexError, AttributeError):
        return None
    return SinFloor(target, *structure_parts)


def _bits_of(theta: Any) -> int:
    """b for theta = arccos(1/2^(b+1)); ValueError for any other number."""
    if isinstance(theta, ClosedForm):
        for monomial in theta.terms:
            for (name, argument), _ in monomial:
                if name == "acos" and argument and argument[0] == 1:
                    return argument[1].bit_length() - 2
    raise ValueError("no angle arccos(1/(2B))")
