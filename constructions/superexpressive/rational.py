"""What if all weights are to be rational? Closed forms are rounded to dyadic numbers, with a proved effect on the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, UnsupportedError
from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import ClosedForm, arccos, float_up, to_ball, to_fmpq, working_precision
from approx.targets import Target
from constructions.superexpressive import _structure
from constructions.superexpressive._hat_network import HatParameters, network_of
from constructions.superexpressive._hat_reader import HatPlaces, order_of
from constructions.superexpressive._hat_table import HatTable
from constructions.superexpressive._perturbation import Errors, output_error

_BITS = 128
METHOD = "sin-arcsin, rational"


def rational_weights(found: Approximant, bits: int | None = None) -> Approximant:
    """The sin-arcsin approximant with every closed-form weight rounded to a multiple of 2^-bits, and the bound for it.

    bits: by default so many that rounding costs at most 1/1000 of the bound. The effect is proved on the whole domain, ramps
    and folds included, by following the roundings through all layers (arcsin(sin(.)) is 1-Lipschitz, so none of them is
    magnified beyond its weights). Rational weights are longer: every one has about as many bits as the longest.

    Raises UnsupportedError for approximants of other methods, InputError when `bits` are too few for any bound.
    """
    read = _structure.structure_of(found.network, found.target)
    if read is None or not isinstance(read[1], HatTable):
        raise UnsupportedError("rational weights: of sin-arcsin approximants")
    table = read[1]
    chosen = bits if bits is not None else _enough(found.network, found.target, found.bound * 2.0**-10)
    effect = rounding_effect(found.network, found.target, chosen)
    if not math.isfinite(effect):
        raise InputError("bits", bits, f"at least about {_enough(found.network, found.target, found.bound)}")
    network = rounded(found.network, chosen)
    rational = RationalTable(table, chosen, effect)
    _structure.remember(network, found.target, METHOD, rational)
    return replace(
        found,
        network=network,
        bound=_structure.bound_of(rational.items()),
        method=METHOD,
        budget=rational.items(),
        statement=found.statement + f"; weights rounded to multiples of 2^-{chosen}",
        parameters={**found.parameters, "rounding": f"2^-{chosen}"},
        certificate=None,
    )


def rounded(network: Network, bits: int) -> Network:
    """The same network with every closed form replaced by the nearest multiple of 2^-bits; rationals stay."""
    b = Builder(network.inputs)
    forms: list[Form] = [b.input(i) for i in range(network.inputs)]
    known: dict[Any, fmpq] = {}
    rows = network.exact_rows()
    for number, (activation, bias, terms) in enumerate(rows):
        form = linear_combination(((_nearest(w, bits, known), forms[u]) for u, w in terms), _nearest(bias, bits, known))
        forms.append(b.unit(form, activation) if number < len(rows) - 1 else form)
    return b.build([forms[-1]])


def _nearest(value: Any, bits: int, known: dict[Any, fmpq]) -> fmpq:
    if not isinstance(value, ClosedForm):
        return to_fmpq(value)
    if value not in known:
        size = max(max(q.p.bit_length() - q.q.bit_length(), 0) for q in value.terms.values())
        with working_precision(bits + size + 64):
            known[value] = (
                fmpq(int((value.ball() * arb(2) ** bits + arb(fmpq(1, 2))).mid().floor().fmpz()), 1) / fmpq(2) ** bits
            )
    return known[value]


def rounding_effect(network: Network, target: Target, bits: int) -> float:
    """A proved bound of |rounded network - network| on the domain, inf when rounding is too coarse for one."""
    with working_precision(_BITS):
        step = arb(2) ** -bits  # twice what rounding commits
        free = arb("inf")
        errors = Errors(
            arb(0),
            arb(0),
            arb(0),
            lambda w: step if isinstance(w, ClosedForm) else arb(0),
            reach=free,
            limit=arb(fmpq(1, 8)),
        )
        bound = output_error(network, target, errors)
        return float_up(bound) if bound.is_finite() else math.inf


def _enough(network: Network, target: Target, share: float) -> int:
    low, high = 8, 64
    while not rounding_effect(network, target, high) <= share:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rounding_effect(network, target, middle) <= share else (middle, high)
    return high


class RationalTable(_structure.Structure):
    """A recognised network with rounded weights: the hat table, and what rounding may change."""

    def __init__(self, table: HatTable, bits: int, effect: float) -> None:
        self.target, self.table, self.bits, self.effect = table.target, table, bits, effect

    def items(self) -> tuple[BudgetItem, ...]:
        """Those of the hat table, and rounding."""
        proof = f"weights within 2^-{self.bits}, followed through all layers, for all x"
        return (*self.table.items(), BudgetItem("rounded weights", self.effect, proof))

    def value(self, point: Sequence[fmpq]) -> arb:
        """A ball around the value at an exact point."""
        return self.table.value(point) + arb(0, 1) * arb(self.effect)

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values at points (n, d)."""
        return self.table.values(points)

    def candidates(self, count: int) -> np.ndarray:
        """Points where the error is likely to be large."""
        return self.table.candidates(count)


@_structure.reader(METHOD)
def read_rounded(network: Network, target: Target) -> RationalTable | None:
    """The structure when the network is exactly `rounded(network_of(p), bits)` for the p and bits that its weights show."""
    if network.activations != {"sin", "arcsin", "identity"} or not network.tags["rational"]:
        return None
    order = order_of(network)
    if order is None:
        return None
    bits = max(int(p.q).bit_length() - 1 for p in network.pool)
    try:
        found = _guess(network, target, order)
        exact = network_of(found)
        if rounded(exact, bits) != network:
            return None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError, OverflowError):
        return None
    return RationalTable(HatTable(target, found), bits, rounding_effect(exact, target, bits))


def _guess(network: Network, target: Target, order: int) -> HatParameters:
    """The parameters nearest to what the rounded weights show."""
    places = HatPlaces(network, target, order)
    with working_precision(max(_length(p) for p in network.pool) + 64):
        cells = tuple(_whole(to_ball(w) / arb.pi()) for w in places.cells)
        ramp = -_whole((to_ball(places.ramp) / arb.pi()).log() / arb(2).log())
        # theta stride J/(2 side) with stride 1 on the first axis
        scale = fmpq(cells[0]) / (2 * places.sides[0])
        bits = {alpha: _angle_bits(to_ball(w) / arb(scale)) for alpha, w in places.angles.items()}
        integers = {key: _whole(to_ball(w) / (4 * arb.pi())) for key, w in places.integers.items()}
    return places.parameters(cells, ramp, bits, integers)


def _whole(ball: arb) -> int:
    return int((ball + arb(fmpq(1, 2))).mid().floor().fmpz())


def _angle_bits(theta: arb) -> int:
    """b with arccos(1/2^(b+1)) nearest to theta."""
    bits = -_whole(theta.cos().log() / arb(2).log()) - 1
    if not 1 <= bits <= 4096 or abs(to_ball(arccos(fmpq(1, 2 ** (bits + 1)))) - theta) > fmpq(1, 2 ** (2 * bits + 4)):
        raise ValueError("no angle arccos(1/(2B))")
    return bits


def _length(value: fmpq) -> int:
    return max(value.p.bit_length(), value.q.bit_length())
