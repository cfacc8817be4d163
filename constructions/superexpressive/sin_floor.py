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
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant
from approx.networks import Builder, Network, linear_combination
from approx.numbers import arccos, pi, to_float
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._cell_table import (
    INSET,
    CellTable,
    cell_numbers,
    centre_values,
    choose_cells,
    half_spread,
)
from constructions.superexpressive._grid import strides
from constructions.superexpressive._hat_reader import angle_bits
from constructions.superexpressive._options import accuracy
from constructions.superexpressive._phases import centre_and_amplitude, phases
from constructions.superexpressive._targets import FixedPoint, width_for
from constructions.superexpressive._weight import Weight
from constructions.superexpressive.weights import (
    MOST_BITS,
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
    first = half_spread(target) if amplitude is None else to_float(amplitude)
    found = _build(target, *choose_cells(target, goal, cells_per_axis, bits, first), amplitude, most_bits)
    if found.bound > goal and free and amplitude is None:
        # The nodes vary more than the samples that were looked at.
        guess = 1.01 * to_float(found.parameters["amplitude"])
        found = _build(target, *choose_cells(target, goal, cells_per_axis, bits, guess), None, most_bits)
    return found


def _build(target: Target, counts: tuple[int, ...], b: int, amplitude: Any, most_bits: int) -> Approximant:
    refuse_too_long(math.prod(counts) * b, most_bits)
    width = width_for(math.prod(counts), b)
    values = centre_values(target, counts, width)
    centre, scale = centre_and_amplitude(values, amplitude, least=2.0**-40)
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


def network_of(target: Target, counts: Sequence[int], weight: Weight, centre: fmpq, scale: fmpq) -> Network:
    """The network of the module docstring, with exact weights."""
    b = Builder(len(counts))
    theta = arccos(fmpq(1, 2 ** (weight.bits + 1)))
    address = linear_combination(zip(strides(counts), cell_numbers(b, target, counts), strict=True), fmpq(1))
    inner = b.unit(theta * address + pi() / 2, "sin")
    return b.build([scale * b.unit(4 * weight.integer * pi() * inner, "sin") + centre])


class SinFloor(CellTable):
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
        super().__init__(target, counts, weight)
        self.centre, self.scale = centre, scale
        if goals is None:
            width = width_for(weight.count, weight.bits)
            goals = phases(centre_values(target, counts, width), centre, scale, width)
        self.check = certify_weight(weight, goals)

    def table_error(self) -> float:
        """2 pi a times the largest distance on the circle."""
        return readout_error(self.scale, self.check)

    def readout(self, phase: arb) -> arb:
        """c + a sin(2 pi v)."""
        return arb(self.centre) + arb(self.scale) * (2 * phase).sin_pi()

    def readout_float(self, phase: np.ndarray) -> np.ndarray:
        """c + a sin(2 pi v)."""
        return to_float(self.centre) + to_float(self.scale) * np.sin(2 * np.pi * phase)


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
            int(w * (high - low) + INSET)
            for (_, _, ((_, w),)), (low, high) in zip(rows[:d], target.domain, strict=True)
        )
        theta = rows[d][2][0][1]
        bits = angle_bits(theta)
        integer = rows[d + 1][2][0][1] / pi() / 4
        weight = Weight("chebyshev", math.prod(counts), bits, int(integer), 0, {})
        structure_parts = counts, weight, rows[d + 2][1], rows[d + 2][2][0][1]
        if network != network_of(target, *structure_parts):
            return None
    except (ValueError, TypeError, IndexError, AttributeError):
        return None
    return SinFloor(target, *structure_parts)
