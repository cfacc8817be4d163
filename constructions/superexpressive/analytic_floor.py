"""How does a network of d + 2 units with floor and ANY analytic activation that is no polynomial reach any accuracy?

With the cell numbers n_j = floor(kappa_j t_j) of `sin_floor`, a rational start x_0 and steps w_j:

    z = sigma(x_0 + sum_j w_j n_j),   net = c + a (A (z - limit) - floor(A (z - limit))).

THEOREM. A (z - limit) mod 1 is the decoded value of the cell. With values y in [delta, 1 - delta], delta = 2^-(b+1), decoded
within delta, sup |f - net| <= omega_f(cell radius) + a 2^-(b+1) on the whole box. Such an A exists for every analytic sigma
whose derivatives at x_0 do not vanish, and is computed (method "taylor", about N (b + sum_j M_j) bits); activations with an
exponential tail need only N b bits (method "lacunary"). This is a constructive proof that {sigma, floor} is superexpressive.
Source: P21 proves existence; the weights are derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant
from approx.errors import InputError
from approx.networks import Builder, Network, linear_combination
from approx.numbers import float_up, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._analytic import ANALYTIC, analytic
from constructions.superexpressive._cell_table import (
    INSET,
    CellTable,
    cell_numbers,
    centre_values,
    choose_cells,
    half_spread,
)
from constructions.superexpressive._grid import strides
from constructions.superexpressive._options import accuracy
from constructions.superexpressive._phases import centre_and_amplitude
from constructions.superexpressive._targets import width_for
from constructions.superexpressive._weight import Weight
from constructions.superexpressive.weights import MOST_BITS, certify_weight, refuse_too_long, select_weight

DESCRIPTION: dict[str, Any] = {
    "name": "analytic-floor",
    "activations": ("any analytic, not polynomial", "floor"),
    "needs": "a modulus of continuity (Lipschitz or Hölder)",
    "guarantee": "sup |f - net| <= omega_f(cell radius) + a/(2B), by structure: every decoded value checked by balls",
    "rate": "d + 2 units for every eps and sigma; bits = N log2 B (exponential tails) or N (log2 B + d N^(1/d))",
    "references": ("P21",),
}
#: N evaluations of sigma with as many bits as this take minutes.
_LONGEST = 4_000_000


def analytic_floor(
    target: Target,
    eps: Any,
    *,
    sigma: str = "sin",
    method: str = "auto",
    start: Any = None,
    cells_per_axis: Any = None,
    bits: int | None = None,
    most_bits: int = MOST_BITS,
) -> Approximant:
    """An Approximant with d + 2 units {sigma, floor} and sup |target - network| <= eps.

    sigma: sin, arctan, sqrt, sigmoid, gelu, tanh, softplus or exp; method: "lacunary" for activations with an exponential tail
    (default for sigmoid, tanh, softplus, exp), "taylor" for all; start: x_0 of the method "taylor". Cost: N evaluations of
    sigma with as many bits as the weight has; N up to some thousands.

    Raises InputError (sigma that is a polynomial or not analytic at the start; options), RegularityError without a modulus of
    continuity, UnreachableError, naming the bits or the cells, when the accuracy needs too many.

    >>> a = analytic_floor(Target("sin(3*x)"), 0.05, sigma="arctan")
    >>> a.network.size.units, a.bound <= 0.05
    (3, True)
    """
    goal = accuracy(eps)
    found = analytic(sigma, start)
    way = ("lacunary" if found.tail is not None and start is None else "taylor") if method == "auto" else method
    if way not in ("lacunary", "taylor"):
        raise InputError("method", method, "auto, lacunary or taylor")

    def length(counts: Sequence[int], b: int) -> float:
        return float(math.prod(counts)) * (b + (sum(counts) if way == "taylor" else 0))

    # The error of the table is half_spread 2^-b, where choose_cells reckons with pi loss 2^-b.
    loss = 1.03 * half_spread(target) / math.pi
    for finer in (1.0, 0.97, 0.85):
        # The nodes may vary more than the samples that were looked at.
        counts, b = choose_cells(target, finer * goal, cells_per_axis, bits, loss, length)
        refuse_too_long(int(length(counts, b)), min(most_bits, _LONGEST))
        built = _build(target, counts, b, sigma, way, start)
        if built.bound <= goal or not (cells_per_axis is None or bits is None):
            break
    return built


def _build(target: Target, counts: tuple[int, ...], b: int, sigma: str, way: str, start: Any) -> Approximant:
    width = width_for(math.prod(counts), b) + 64
    values = centre_values(target, counts, width)
    base, scale = _frame(values, b)
    options: dict[str, Any] = {"sigma": sigma}
    if way == "taylor":
        options |= {"start": start, "counts": counts}
    weight = select_weight(_wanted(values, base, scale, width), b, way, **options)
    network = network_of(target, counts, weight, base, scale)
    table = AnalyticFloor(target, counts, weight, base, scale, values)
    _structure.remember(network, target, DESCRIPTION["name"], table)
    items = table.items()
    return Approximant(
        network=network,
        target=target,
        bound=_structure.bound_of(items),
        method=DESCRIPTION["name"],
        statement=f"sup |f - net| <= omega_f(r) + a/(2B), r = {table.radius:.4g}, B = 2^{b}, sigma = {sigma} ({way})",
        budget=items,
        parameters={
            "sigma": sigma, "method": way, "cells": list(counts), "bits_per_value": b, "start": weight.parameters["start"],
            "weight_bits": weight.length, "least_weight_bits": weight.least_length,
        },
        references=DESCRIPTION["references"],
    )  # fmt: skip


def _frame(values: Sequence[arb], b: int) -> tuple[fmpq, fmpq]:
    """(c, a) with all values in [c + a delta, c + a (1 - delta)]."""
    centre, half = centre_and_amplitude(values, least=2.0**-40)
    scale = 2 * half / (1 - fmpq(2, 2 ** (b + 1))) if b > 1 else 4 * half
    return centre - scale / 2, scale


def _wanted(values: Sequence[arb], base: fmpq, scale: fmpq, width: int) -> list[arb]:
    with working_precision(width + 32):
        return [(v - arb(base)) / arb(scale) for v in values]


def network_of(target: Target, counts: Sequence[int], weight: Weight, base: fmpq, scale: fmpq) -> Network:
    """The network of the module docstring, with exact rational weights."""
    p = weight.parameters
    b = Builder(len(counts))
    numbers = cell_numbers(b, target, counts)
    steps = p["steps"] if len(p["steps"]) == len(counts) else [p["steps"][0] * s for s in strides(counts)]
    z = b.unit(linear_combination(zip(steps, numbers, strict=True), p["start"]), p["sigma"])
    scaled = weight.value * (z - p["limit"])
    return b.build([scale * (scaled - b.unit(scaled, "floor")) + base])


class AnalyticFloor(CellTable):
    """A recognised analytic-floor network: parameters, decoded values and targets."""

    def __init__(
        self,
        target: Target,
        counts: tuple[int, ...],
        weight: Weight,
        base: fmpq,
        scale: fmpq,
        values: Sequence[arb] | None = None,
    ) -> None:
        super().__init__(target, counts, weight)
        self.base, self.scale = base, scale
        width = width_for(weight.count, weight.bits) + 64
        wanted = _wanted(values or centre_values(target, counts, width), base, scale, width)
        self.check = certify_weight(weight, wanted)
        # Distances are those on the circle: a decoded value may only be 0 or 1 off where the target is near an end.
        with working_precision(width):
            ends = [v for v in wanted if not (v > arb(self.check.error) and v < 1 - arb(self.check.error))]
        self.wraps = bool(ends)

    def table_error(self) -> float:
        """a times the largest distance; a itself when a value might wrap around."""
        with working_precision(128):
            return float_up(arb(self.scale) * (arb(1) if self.wraps else arb(self.check.error)))

    def readout(self, phase: arb) -> arb:
        """c + a v, v reduced to [0, 1)."""
        return arb(self.base) + arb(self.scale) * phase

    def readout_float(self, phase: np.ndarray) -> np.ndarray:
        """c + a v."""
        return to_float(self.base) + to_float(self.scale) * phase


@_structure.reader(DESCRIPTION["name"])
def read(network: Network, target: Target) -> AnalyticFloor | None:
    """The structure when the network is exactly `network_of` its own parameters, else None."""
    d = network.inputs
    shape = [(layer.activation, layer.units) for layer in network.layers]
    if len(shape) != 4 or shape[0] != ("floor", d) or shape[1][1] != 1 or shape[2:] != [("floor", 1), ("identity", 1)]:
        return None
    sigma = shape[1][0]
    if sigma not in ANALYTIC:
        return None
    rows = network.exact_rows()
    try:
        counts = tuple(
            int(w * (high - low) + INSET)
            for (_, _, ((_, w),)), (low, high) in zip(rows[:d], target.domain, strict=True)
        )
        found = _read_weight(rows, d, sigma, counts)
        parts = found, *_read_frame(rows, d, found)
        if network != network_of(target, counts, *parts):
            return None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError):
        return None
    return AnalyticFloor(target, counts, *parts)


def _read_weight(rows: Sequence[Any], d: int, sigma: str, counts: tuple[int, ...]) -> Weight:
    _, start, terms = rows[d]
    value = to_fmpq(rows[d + 1][2][0][1])
    limit = -rows[d + 1][1] / value
    steps = tuple(w for _, w in terms)
    tail = abs(steps[0]) > fmpq(1, 8)
    exponent = int(value.q).bit_length() - 1
    parameters = {
        "sigma": sigma, "start": start, "limit": int(limit.p), "steps": steps[:1] if tail else steps,
        "counts": (math.prod(counts),) if tail else counts,
    }  # fmt: skip
    if limit.q != 1 or int(value.q) != 1 << exponent:
        raise ValueError("no dyadic weight, or no whole limit")
    return Weight("lacunary" if tail else "taylor", math.prod(counts), 1, int(value.p), -exponent, parameters)


def _read_frame(rows: Sequence[Any], d: int, weight: Weight) -> tuple[fmpq, fmpq]:
    """(base, scale): the output is scale (A (z - limit) - floor) + base."""
    _, bias, terms = rows[d + 2]
    scale = -next(w for unit, w in terms if unit == 2 * d + 1)
    return bias + scale * weight.value * weight.parameters["limit"], scale
