"""Is a given network one of the hat lookup networks, with which parameters? Read from its weights, rebuilt, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flint import fmpq

from approx.networks import Network
from approx.numbers import ClosedForm, pi
from approx.targets import Target
from constructions.superexpressive._hat_network import HatParameters, Key, network_of, parities, sine_count, units
from constructions.superexpressive._multipoint import indices_below

_MOST_ORDER = 12


def read_parameters(network: Network, target: Target) -> HatParameters | None:
    """The parameters with network == network_of(parameters), or None: nothing is believed that is not rebuilt."""
    if network.activations != {"sin", "arcsin", "identity"} or network.inputs != target.dimension:
        return None
    order = order_of(network)
    if order is None:
        return None
    try:
        found = _read(HatPlaces(network, target, order))
        return found if network == network_of(found) else None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError):
        return None


def order_of(network: Network) -> int | None:
    """The order that goes with the number of units, or None."""
    return next((m for m in range(1, _MOST_ORDER) if units(network.inputs, m) == network.size.units), None)


class HatPlaces:
    """Where in the weights of a hat lookup network its parameters stand.

    `cells`: pi J per axis; `ramp`: pi eta; `angles`: theta J/(2 side) per table; `integers`: 4 pi A per key; amplitudes and
    centre are rational and read as they are.
    """

    def __init__(self, network: Network, target: Target, order: int) -> None:
        d = network.inputs
        rows = network.exact_rows()
        self.target, self.order = target, order
        self.sides = [high - low for low, high in target.domain]
        self.tables = indices_below(d, order)
        keys = [(parity, alpha) for parity in parities(d) for alpha in self.tables]
        # Layers 1 to 4: sines and arcsines of hats and triangles, the halved hats and 2 tau, the two cosines of every axis.
        first = 10 * d + (2 if order == 1 else 4) * d + 4 * d
        self.cells = [rows[5 * i][2][0][1] * self.sides[i] for i in range(d)]
        self.ramp = (rows[1][1] - rows[2][1]) / 2
        self.angles = {alpha: rows[first + i][2][0][1] for i, (_, alpha) in enumerate(keys[: len(self.tables)])}
        # Layer 6: sin u for every key. What follows ends with arcsin(P/S) and the output sines.
        self.integers: dict[Key, Any] = {
            key: next(w for unit, w in rows[first + len(keys) + i][2] if unit == d + first + i)
            for i, key in enumerate(keys)
        }
        self.output = rows[-1]
        # In the polynomial of the first class the value itself comes first (its layer is earlier), then the products.
        self.sums = [row for row in rows if row[0] == "arcsin"][-(2**d)][2]

    def parameters(
        self, cells: tuple[int, ...], ramp: int, bits: Mapping[tuple[int, ...], int], integers: Mapping[Key, int]
    ) -> HatParameters:
        """The parameters, with amplitudes and centre read from the polynomial and the output."""
        scale, amplitudes, at = abs(self.output[2][0][1]), {}, 0
        for alpha in self.tables:
            count = sine_count(alpha)
            amplitudes[alpha] = self.sums[at][1] * scale * count
            at += count
        return HatParameters(
            lower=tuple(self.target.domain.lower),
            upper=tuple(self.target.domain.upper),
            cells=cells,
            order=self.order,
            ramp=ramp,
            bits=bits,
            amplitudes=amplitudes,
            integers=integers,
            centre=self.output[1],
        )


def _read(places: HatPlaces) -> HatParameters:
    eta = places.ramp / pi()
    return places.parameters(
        cells=tuple(int(w / pi()) for w in places.cells),
        ramp=int(eta.q).bit_length() - 1,
        bits={alpha: angle_bits(w) for alpha, w in places.angles.items()},
        integers={key: _integer(w) for key, w in places.integers.items()},
    )


def _integer(weight: Any) -> int:
    """A from the weight 4 pi A."""
    value = weight / pi() / 4
    if not isinstance(value, fmpq) or value.q != 1:
        raise ValueError("no integer")
    return int(value.p)


def angle_bits(theta: Any) -> int:
    """b for a rational multiple of theta = arccos(1/2^(b+1)); ValueError for any other number."""
    if isinstance(theta, ClosedForm):
        for monomial in theta.terms:
            for (name, argument), _ in monomial:
                if name == "acos" and argument and argument[0] == 1:
                    return argument[1].bit_length() - 2
    raise ValueError("no angle arccos(1/(2B))")
