"""How does a fixed network of ONE sigmoidal activation, sigma_3, reach any accuracy?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flint import arb, fmpq

from approx.approximant import Approximant, BudgetItem
from approx.networks import Network
from approx.numbers import absolute, float_up, to_ball, working_precision
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._hat_network import HatParameters
from constructions.superexpressive._hat_reader import read_parameters
from constructions.superexpressive._hat_table import HatTable
from constructions.superexpressive._options import accuracy
from constructions.superexpressive._perturbation import Errors, exact_weight, output_error
from constructions.superexpressive._sigma3_network import imitate, imitated
from constructions.superexpressive.sin_arcsin import sin_arcsin

DESCRIPTION: dict[str, Any] = {
    "name": "sigma3",
    "activations": ("sigma3",),
    "needs": "a modulus of continuity; for order m > 1 bounded derivatives of order m + 1",
    "guarantee": "that of sin-arcsin plus a proved bound of what the imitation of its units by sigma_3 changes",
    "rate": "52, 120, 272 units (order 1) for every eps; the long weights are those of sin-arcsin",
    "references": ("P21",),
}
_BITS = 128


def sigma3(target: Target, eps: Any, *, order: int = 1, **options: Any) -> Approximant:
    """An Approximant whose units are all sigma_3 (C^1, bounded, strictly increasing), with sup |target - network| <= eps.

    The network of `sin_arcsin` (same options) with two sigma_3 units for each of its units; X = 2^shift and tau = 2^-width are
    chosen so that the imitation changes the network by less than eps/1000 on the whole box, which is proved by following the
    errors through all layers. Skips from the input carry x.

    Raises what `sin_arcsin` raises. Source: P21 introduces sigma_3 and proves existence; weights and bounds are derived.

    >>> a = sigma3(Target("sin(pi*x)/2"), 1e-3)
    >>> a.network.size.units, a.network.activations - {"identity"}, a.bound <= 1e-3
    (52, frozenset({'sigma3'}), True)
    """
    goal = accuracy(eps)
    base = sin_arcsin(target, goal * (1 - 2.0**-9), order=order, **options)
    found = _structure.structure_of(base.network, target)
    assert found is not None and isinstance(found[1], HatTable)
    shift, width = _choose(base.network, target, goal * 2.0**-10)
    network = imitate(base.network, shift, width)
    table = Sigma3Table(found[1], base.network, shift, width)
    _structure.remember(network, target, DESCRIPTION["name"], table)
    return replace(
        base,
        network=network,
        bound=_structure.bound_of(table.items()),
        method=DESCRIPTION["name"],
        statement=base.statement + "; plus the imitation of sin and arcsin by sigma_3",
        budget=table.items(),
        parameters={**base.parameters, "X": f"2^{shift}", "tau": f"2^-{width}"},
    )


def imitation_error(network: Network, target: Target, shift: int, width: int) -> float:
    """A proved bound of |imitation - network| on the box, inf where the gadgets are used outside of their range."""
    with working_precision(_BITS):
        largest = _largest_argument(network, target)
        rho = largest / arb(2) ** shift
        tau = arb(2) ** -width
        if not rho <= arb(fmpq(1, 8)):
            return math.inf
        errors = Errors(
            sine=3 * rho,
            arcsine=arb.pi() * (tau / 2).sqrt() + 44 * (tau + 3 * rho),
            slope=arb(44),
            weight=exact_weight,
            reach=arb.pi() * largest,
            limit=arb(fmpq(1, 8)) - tau,
        )
        bound = output_error(network, target, errors)
        return float_up(bound) if bound.is_finite() else math.inf


def _largest_argument(network: Network, target: Target) -> arb:
    """A bound of |z|/pi over all sin units."""
    ranges = [absolute(arb(low)).max(absolute(arb(high))) for low, high in target.domain]
    largest = arb(1)
    for activation, bias, terms in network.exact_rows():
        size = absolute(to_ball(bias))
        for unit, w in terms:
            size = size + absolute(to_ball(w)) * ranges[unit]
        if activation == "sin":
            largest = largest.max(size / arb.pi())
        ranges.append(arb(1) if activation == "sin" else arb.pi() / 2)
    # Perturbed arguments are a little larger.
    return arb((2 * largest).upper())


def _choose(network: Network, target: Target, share: float) -> tuple[int, int]:
    """(shift, width) with an imitation error of at most `share`."""
    with working_precision(_BITS):
        size = math.ceil(float(_largest_argument(network, target).log() / arb(2).log()))
    # Both gadgets enter later layers by square roots at worst: equal exponents. The least one that does, by bisection.
    low, high = 4, 64
    while imitation_error(network, target, size + high, high) > share:
        low, high = high, 2 * high
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if imitation_error(network, target, size + middle, middle) <= share else (middle, high)
        )
    return size + high, high


class Sigma3Table(_structure.Structure):
    """A recognised sigma_3 network: the hat table that it imitates, and how well."""

    def __init__(self, table: HatTable, base: Network, shift: int, width: int) -> None:
        self.target, self.table = table.target, table
        self.error = imitation_error(base, table.target, shift, width)
        self.parameters: HatParameters = table.parameters

    def items(self) -> tuple[BudgetItem, ...]:
        """Those of the hat table, and the imitation."""
        return (
            *self.table.items(),
            BudgetItem("imitation", self.error, "errors followed through all layers, for all x"),
        )

    def value(self, point: Sequence[fmpq]) -> arb:
        """A ball around the value at an exact point."""
        return self.table.value(point) + arb(0, 1) * arb(self.error)

    def values(self, points: Any) -> Any:
        """Float64 values at points (n, d)."""
        return self.table.values(points)

    def candidates(self, count: int) -> Any:
        """Points where the error is likely to be large."""
        return self.table.candidates(count)


@_structure.reader(DESCRIPTION["name"])
def read(network: Network, target: Target) -> Sigma3Table | None:
    """The structure when the network imitates a hat lookup network exactly as `imitate` does, else None."""
    if network.activations != {"sigma3", "identity"}:
        return None
    try:
        base, shift, width = imitated(network)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError):
        return None
    parameters = read_parameters(base, target)
    return None if parameters is None else Sigma3Table(HatTable(target, parameters), base, shift, width)
