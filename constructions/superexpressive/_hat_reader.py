"""Is a given network one of the hat lookup networks, with which parameters? Read from its weights, rebuilt, and compared."""

from __future__ import annotations

from typing import Any

from flint import fmpq

from approx.networks import Network
from approx.numbers import ClosedForm, pi
from approx.targets import Target
from constructions.superexpressive._hat_network import HatParameters, network_of, parities, sine_count, units
from constructions.superexpressive._multipoint import indices_below

_MOST_ORDER = 12


def read_parameters(network: Network, target: Target) -> HatParameters | None:
    """The parameters with network == network_of(parameters), or None: nothing is believed that is not rebuilt."""
    if network.activations != {"sin", "arcsin", "identity"} or network.inputs != target.dimension:
        return None
    order = next((m for m in range(1, _MOST_ORDER) if units(network.inputs, m) == network.size.units), None)
    if order is None:
        return None
    try:
        found = _read(network, target, order)
        return found if network == network_of(found) else None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError):
        return None


def _read(network: Network, target: Target, order: int) -> HatParameters:
    d = network.inputs
    rows = network.exact_rows()
    sides = [high - low for low, high in target.domain]
    cells = tuple(int(rows[5 * i][2][0][1] / pi() * sides[i]) for i in range(d))
    eta = (rows[1][1] - rows[2][1]) / pi() / 2
    tables = indices_below(d, order)
    keys = [(parity, alpha) for parity in parities(d) for alpha in tables]
    # Layers 1 to 4: sines and arcsines of hats and triangles, the halved hats and 2 tau, the two cosines of every axis.
    first = 10 * d + (2 if order == 1 else 4) * d + 4 * d
    bits = {key: angle_bits(rows[first + i][2][0][1]) for i, key in enumerate(keys)}
    # Layer 6: sin u for every key. What follows ends with arcsin(P/S) and the output sines.
    integers = {key: _integer(rows[first + len(keys) + i], d + first + i) for i, key in enumerate(keys)}
    output = rows[-1]
    scale = abs(output[2][0][1])
    sums = [row for row in rows if row[0] == "arcsin"][-(2**d)][2]
    amplitudes, at = {}, 0
    # In the polynomial of the first class the value itself comes first (its layer is earlier), then the products in order.
    for alpha in tables:
        count = sine_count(alpha)
        amplitudes[alpha] = sums[at][1] * scale * count
        at += count
    return HatParameters(
        lower=tuple(target.domain.lower),
        upper=tuple(target.domain.upper),
        cells=cells,
        order=order,
        ramp=int(eta.q).bit_length() - 1,
        bits={alpha: bits[parities(d)[0], alpha] for alpha in tables},
        amplitudes=amplitudes,
        integers=integers,
        centre=output[1],
    )


def _integer(row: Any, address: int) -> int:
    """A from the weight 4 pi A on the address unit."""
    weight = next(w for unit, w in row[2] if unit == address)
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
