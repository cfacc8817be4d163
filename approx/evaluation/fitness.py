"""Do the weights of a network fit into float64? Otherwise its float64 values would mean nothing, and are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flint import fmpq

from approx.errors import UnsupportedError
from approx.evaluation.cache import cached
from approx.numbers import nearest_float, to_ball, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network

#: A weight whose float64 is off by more than this, at a unit that is not piecewise linear, does not fit.
_MOST_ERROR = 2.0**-10
#: An integer that float64 misses by this much, in a piecewise linear network, is a code whose last digits are lost.
_LOST = 1
_ROUGH = 64


def unfit_reason(network: Network) -> str | None:
    """Why float64 cannot evaluate the network, in words, or None where it can; O(pool).

    A periodic or discontinuous unit needs the absolute value of its argument: a weight that float64 misses by 2^-10 or more,
    or that lies beyond its range, makes its values meaningless. Piecewise linear networks must not overflow, and must not
    have integer weights that float64 misses by 1 or more: such integers are codes (more than 33 ternary digits).
    """
    return cached(network, "fitness", lambda: _reason(network))


def refuse_unfit(network: Network) -> None:
    """Raise UnsupportedError, naming the right call, when float64 cannot evaluate the network."""
    reason = unfit_reason(network)
    if reason is not None:
        raise UnsupportedError(
            f"float64 evaluation: {reason}; call approx.evaluation.evaluate_precisely(network, points, bits=64), "
            "or the structural evaluation of the construction"
        )


def beyond_range(network: Network) -> str | None:
    """Why float64 cannot hold the network's weights even roughly, or None: all that methods which bound the rounding of the
    weights need; O(pool)."""
    for value in network.pool:
        if abs(nearest_float(value)) == float("inf"):
            return f"a weight of about {_bits(value):,} bits lies beyond the range of float64"
    return None


def _reason(network: Network) -> str | None:
    beyond = beyond_range(network)
    if beyond is not None:
        return beyond
    linear = network.tags["piecewise_linear"]
    for value in network.pool:
        if isinstance(value, fmpq) and abs(value.p) < value.q << 42:
            continue
        nearest = nearest_float(value)
        if linear and isinstance(value, fmpq) and value.q == 1 and abs(value - to_fmpq(nearest)) >= _LOST:
            return f"an integer weight near {nearest:.3g} is no float64 number: the last digits of a code would be lost"
        if not linear and _miss(value, nearest) >= _MOST_ERROR:
            return f"a weight near {nearest:.3g} is no float64 number: rounding it changes the argument of its unit"
    return None


def _miss(value: Any, nearest: float) -> float:
    with working_precision(2 * _ROUGH):
        ball = to_ball(value)
    with working_precision(4 * _ROUGH):
        return float((ball - to_ball(to_fmpq(nearest))).abs_upper())


def _bits(value: Any) -> int:
    return abs(int(value.p)).bit_length() + int(value.q).bit_length() if isinstance(value, fmpq) else value.bits
