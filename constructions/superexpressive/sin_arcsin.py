"""How does a continuous network of a fixed number of units, with activations sin and arcsin, reach any accuracy?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Network
from approx.numbers import to_float
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._hat_network import HatParameters, class_counts, network_of, parities
from constructions.superexpressive._hat_reader import read_parameters
from constructions.superexpressive._hat_table import HatTable, goals_for, node_coefficients
from constructions.superexpressive._multipoint import (
    damping,
    indices_below,
    interpolation_error,
    typical_step,
)
from constructions.superexpressive._options import accuracy, positive_counts, positive_integer
from constructions.superexpressive._phases import centre_and_amplitude
from constructions.superexpressive._targets import width_for
from constructions.superexpressive.weights import MOST_BITS, refuse_too_long, select_weight

DESCRIPTION: dict[str, Any] = {
    "name": "sin-arcsin",
    "activations": ("sin", "arcsin"),
    "needs": "a modulus of continuity; for order m > 1 bounded derivatives of order m + 1",
    "guarantee": "sup |f - net| <= interpolation + pi sum a/B + 4 d eta S, every decoded value checked by integers",
    "rate": "26, 60, 136 units (order 1) for every eps; bits = O(eps^(-d/(m+1)) log 1/eps) at order m",
    "references": ("P21",),
}
#: 4 d eta S <= 2^-_RAMP_ROOM eps
_RAMP_ROOM = 12
_MOST_ORDER = 8


def sin_arcsin(
    target: Target,
    eps: Any,
    *,
    order: int = 1,
    cells_per_axis: Any = None,
    bits: int | None = None,
    amplitude: Any = None,
    most_bits: int = MOST_BITS,
) -> Approximant:
    """An Approximant whose units {sin, arcsin} depend on d and the order alone, with sup |target - network| <= eps.

    order m: the table holds Taylor coefficients of degree < m (1: values only) and the error falls like h^(m+1); fewer bits
    for smooth targets, more units. cells_per_axis, bits: override the grid and, at order 1, b = log2 B; amplitude: a given
    bound of |f - c| at the nodes (order 1). Cost: evaluations at (J+1)^d nodes, and quasi-linear selection of the weights.

    THEOREM (see _hat_network, _hat_table, _multipoint). Every gadget is exact, so the network is the blend of the decoded
    polynomials on the whole box; its error is that of interpolation, plus pi a/B per table, plus 4 d eta S for ramps.

    Raises InputError (eps, options, an amplitude that does not bound the target), RegularityError, UnreachableError, naming the
    bits, when the weights would exceed `most_bits`. Source: P21 proves that such weights exist; all of this is derived.

    >>> a = sin_arcsin(Target("sin(pi*x)/2"), 1e-3)
    >>> a.network.size.units, a.bound <= 1e-3
    (26, True)
    """
    goal = accuracy(eps)
    m = positive_integer("order", order, _MOST_ORDER)
    if m > 1 and (bits is not None or amplitude is not None):
        raise InputError("bits, amplitude", (bits, amplitude), "None for orders above 1 (every table has its own)")
    wanted = goal
    for _ in range(4):
        plan = _plan(target, wanted, m, cells_per_axis, bits, amplitude)
        refuse_too_long(plan.total_bits, most_bits)
        found = _build(target, goal, plan, amplitude, bits)
        if found.bound <= goal or (cells_per_axis is not None and bits is not None):
            return found
        wanted *= 0.98 * max(0.5, min(1.0, goal / found.bound))
    raise UnreachableError(f"sin-arcsin: the bound stays at {found.bound:.4g}, above eps = {goal:g}", found)


@dataclass(frozen=True)
class _Plan:
    """Cells per axis, the order, an error of interpolation, estimated amplitudes and bits."""

    cells: tuple[int, ...]
    order: int
    interpolation: float
    bits: Mapping[tuple[int, ...], int]

    @property
    def total_bits(self) -> int:
        """The bits of all weights together."""
        return math.prod(j + 1 for j in self.cells) * sum(self.bits.values())


def _plan(target: Target, eps: float, order: int, given: Any, bits: int | None, amplitude: Any) -> _Plan:
    """The plan with the fewest bits: a share of eps for interpolation, the rest for decoded values."""
    sizes = _coefficient_sizes(target, order)
    if amplitude is not None:
        sizes = {alpha: to_float(amplitude) for alpha in sizes}
    if given is not None:
        per_axis = positive_counts("cells_per_axis", given, target.dimension)
        error, _ = interpolation_error(target, _steps(target, per_axis), order)
        return _Plan(per_axis, order, error, _bits_for(target, per_axis, sizes, max(eps - error, eps / 64), bits))
    best: _Plan | None = None
    for share in (0.99, 0.97, 0.94, 0.9, 0.85, 0.8, 0.72, 0.64, 0.56, 0.48, 0.4, 0.3):
        per_axis, error = _cells_for(target, share * eps, order)
        plan = _Plan(per_axis, order, error, _bits_for(target, per_axis, sizes, (eps - error) * (1 - 2.0**-10), bits))
        if best is None or plan.total_bits < best.total_bits:
            best = plan
    assert best is not None
    return best


def _steps(target: Target, per_axis: tuple[int, ...]) -> list[fmpq]:
    return [(high - low) / j for (low, high), j in zip(target.domain, per_axis, strict=True)]


def _cells_for(target: Target, error: float, order: int) -> tuple[tuple[int, ...], float]:
    """The fewest cells, in good proportions, with an interpolation error of at most `error`."""
    sides = [to_float(high - low) for low, high in target.domain]
    scales = typical_step(target, order)
    smooth = all(math.isfinite(s) for s in scales)
    if not smooth and order > 1:
        raise RegularityError(
            f"order {order} needs bounded derivatives of order {order + 1}; {target.text} shows none on {target.domain}: "
            "use order=1"
        )
    top = max(scales) if smooth else 0.0
    weights = [s / top if top > 0 else 0.0 for s in scales] if smooth else [1.0] * len(sides)

    def at(density: float) -> tuple[tuple[int, ...], float]:
        per_axis = tuple(max(1, math.ceil(density * side * w)) for side, w in zip(sides, weights, strict=True))
        return per_axis, interpolation_error(target, _steps(target, per_axis), order)[0]

    low, high = 0.0, 1.0 / max(sides)
    while at(high)[1] > error:
        low, high = high, 2 * high
        if high * max(sides) > 2.0**40:
            raise UnreachableError(f"no grid reaches an interpolation error of {error:g}")
    while (high - low) * max(sides) > max(0.5, 1e-6 * high * max(sides)):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle)[1] <= error else (middle, high)
    return at(high)


def _coefficient_sizes(target: Target, order: int) -> dict[tuple[int, ...], float]:
    """Estimates of sup |D^a f|/a! (1 - |a|/m), without the steps; for values, half of their spread."""
    side = {1: 257, 2: 33, 3: 9}.get(target.dimension, 5)
    axes = np.meshgrid(*[np.linspace(0, 1, side)] * target.dimension, indexing="ij")
    points = _structure.inside(target, np.stack([a.ravel() for a in axes], axis=1))
    with np.errstate(all="ignore"):
        values = np.asarray(target(points if target.dimension > 1 else points[:, 0])).reshape(-1)
        jets = target.jet_float(points, order - 1) if order > 1 else {}
    zero = (0,) * target.dimension
    found = {zero: 0.54 * float(np.ptp(values[np.isfinite(values)]))}
    for alpha in indices_below(target.dimension, order)[1:]:
        found[alpha] = float(np.nanmax(np.abs(jets[alpha]))) * to_float(damping(alpha, order))
    return found


def _bits_for(
    target: Target, per_axis: tuple[int, ...], sizes: Mapping[tuple[int, ...], float], rest: float, bits: int | None
) -> dict[tuple[int, ...], int]:
    if bits is not None:
        return dict.fromkeys(sizes, positive_integer("bits", bits, 4096))
    steps = [to_float(h) for h in _steps(target, per_axis)]
    scaled = {alpha: size * math.prod(h**k for h, k in zip(steps, alpha, strict=True)) for alpha, size in sizes.items()}
    return share_bits(scaled, rest)


def share_bits(amplitudes: Mapping[tuple[int, ...], float], rest: float) -> dict[tuple[int, ...], int]:
    """The fewest bits per table, at least 1, with sum of pi a 2^-b <= rest: equal shares, then what can be spared."""
    rest = max(rest, 1e-300) / math.pi
    bits = {
        alpha: max(1, math.ceil(math.log2(max(a, 1e-300) * len(amplitudes) / rest))) for alpha, a in amplitudes.items()
    }
    spent = sum(a * 2.0 ** -bits[alpha] for alpha, a in amplitudes.items())
    for alpha in sorted(amplitudes, key=lambda k: amplitudes[k] * 2.0 ** -bits[k]):
        while bits[alpha] > 1 and spent + amplitudes[alpha] * 2.0 ** -bits[alpha] <= rest * (1 - 1e-9):
            spent += amplitudes[alpha] * 2.0 ** -bits[alpha]
            bits[alpha] -= 1
    return bits


def _build(target: Target, eps: float, plan: _Plan, amplitude: Any, bits: int | None) -> Approximant:
    order, per_axis = plan.order, plan.cells
    width = width_for(math.prod(j + 1 for j in per_axis), max(plan.bits.values()) + 4)
    coefficients = node_coefficients(target, per_axis, order, width)
    centre, amplitudes = _amplitudes(target, coefficients, order, eps, amplitude)
    per_table = dict(plan.bits)
    if bits is None and eps > plan.interpolation:
        rest = (eps - plan.interpolation) * (1 - 2.0**-11)
        per_table = share_bits({alpha: to_float(a) for alpha, a in amplitudes.items()}, rest)
    total = sum(amplitudes.values(), fmpq(0))
    ramp = max(8, _RAMP_ROOM + 1 + math.ceil(math.log2(4 * target.dimension * to_float(total) / eps)))
    draft = HatParameters(
        lower=tuple(target.domain.lower), upper=tuple(target.domain.upper), cells=per_axis, order=order, ramp=ramp,
        bits=per_table, amplitudes=amplitudes, integers={}, centre=centre,
    )  # fmt: skip
    goals = goals_for(draft, coefficients)
    integers = {}
    for (parity, alpha), goal in goals.items():
        weight = select_weight(goal, per_table[alpha])
        # B^N decodes to zeros everywhere: it stands in for A = 0, which would remove the unit.
        integers[parity, alpha] = weight.integer or 2**weight.least_length
    found = HatParameters(**{**draft.__dict__, "integers": integers})
    return _approximant(target, found, goals)


def _amplitudes(
    target: Target, coefficients: Mapping[Any, list[arb]], order: int, eps: float, amplitude: Any
) -> tuple[fmpq, dict[tuple[int, ...], fmpq]]:
    centre, amplitudes = fmpq(0), {}
    for alpha in indices_below(target.dimension, order):
        values = [v for (_, a), vs in coefficients.items() if a == alpha for v in vs]
        if any(alpha):
            _, amplitudes[alpha] = centre_and_amplitude(values, centred=False, least=eps * 2.0**-20)
        else:
            centre, amplitudes[alpha] = centre_and_amplitude(values, amplitude, least=eps * 2.0**-20)
    return centre, amplitudes


def _approximant(target: Target, p: HatParameters, goals: Any) -> Approximant:
    network = network_of(p)
    table = HatTable(target, p, goals)
    _structure.remember(network, target, DESCRIPTION["name"], table)
    least = sum(math.prod(class_counts(p.cells, g)) for g in parities(p.dimension)) * sum(p.bits.values())
    items = table.items()
    return Approximant(
        network=network,
        target=target,
        bound=_structure.bound_of(items),
        method=DESCRIPTION["name"],
        statement=f"sup |f - net| <= |f - I_{p.order} f| + sum of pi a/B + 4 d eta S on {'x'.join(map(str, p.cells))} cells",
        budget=items,
        parameters={
            "cells": list(p.cells),
            "order": p.order,
            "bits_per_value": {str(k): v for k, v in p.bits.items()},
            "eta": f"2^-{p.ramp}",
            "amplitudes": {str(k): v for k, v in p.amplitudes.items()},
            "centre": p.centre,
            "weight_bits": sum(abs(a).bit_length() for a in p.integers.values()),
            "least_weight_bits": least,
        },
        references=DESCRIPTION["references"],
    )


@_structure.reader(DESCRIPTION["name"])
def read(network: Network, target: Target) -> HatTable | None:
    """The structure when the network is exactly `network_of` the parameters that its weights show, else None."""
    found = read_parameters(network, target)
    return None if found is None else HatTable(target, found)
