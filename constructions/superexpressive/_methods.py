"""How can a weight be chosen, and what does it decode to? One row per method: its s_k, its cost, when to use it.

- "chebyshev" (sin): s_k = 2 cos(k theta), theta = arccos(1/(2B)); N b bits, quasi-linear, any N.
- "digits" (2^t, exp): s_k = B^-k; N b bits, linear time, any N.
- "lacunary" (sigmoid, tanh, softplus, exp): s_k along an exponential tail; N b (1 + small) bits, N evaluations of N b bits.
- "taylor" (every analytic activation that is no polynomial): N (b + N) bits; on a grid of D axes N (b + D N^(1/D)).
- "crt" (1/x, x/(1+x)): s_k = 1/(h + k); about N (b + 2 log N) bits and more, N up to some thousands.
- "lll" (any numbers): s_k = sigma(start + k); a baseline by lattice reduction, N up to about 100, no guarantee.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flint import fmpq
from gmpy2 import mpz

from approx.errors import InputError, UnreachableError
from approx.numbers import arccos, to_fmpq, working_precision
from constructions.superexpressive import _chebyshev, _lacunary, _lattice, _remainders
from constructions.superexpressive._analytic import analytic
from constructions.superexpressive._targets import FixedPoint, circle_gaps, fixed_point, width_for
from constructions.superexpressive._weight import Weight

_LARGEST_LATTICE, _LATTICE_TRIES = 120, 4
Decoded = tuple[list[int], float]


class Method(NamedTuple):
    """select(targets, bits, options) -> Weight, and decode(weight, width) -> (V, units)."""

    select: Callable[..., Weight]
    decode: Callable[[Weight, int], Decoded]


def decode_weight(weight: Weight, width: int | None = None) -> tuple[list[int], int, float]:
    """(V, width, units): value k lies within `units` of V[k-1], in units of 2^-width, on the circle. Rigorous."""
    chosen = width or width_for(weight.count, weight.bits)
    values, units = METHODS[weight.method].decode(weight, chosen)
    return values, chosen, units


def _targets(values: Any, bits: int) -> FixedPoint:
    return fixed_point(values, width_for(len(values), bits))


# -- chebyshev and digits: exact, at the information bound -----------------------------------------------------------------


def _select_chebyshev(values: Any, bits: int) -> Weight:
    goals = _targets(values, bits)
    integer = int(_chebyshev.select_integer(goals.integers, goals.width, bits))
    return Weight("chebyshev", len(values), bits, integer, 0, {"B": 2**bits, "theta": arccos(fmpq(1, 2 ** (bits + 1)))})


def _decode_chebyshev(weight: Weight, width: int) -> Decoded:
    return _chebyshev.decode(weight.integer, weight.count, width, weight.bits)


def _select_digits(values: Any, bits: int) -> Weight:
    """The digit a_(k-1) = round(B y_k - what the digits below contribute): |frac(A/B^k) - y_k| <= 1/(2B)."""
    goals = _targets(values, bits)
    width, base = goals.width, 1 << bits
    below, digits = 0, []
    for target in goals.integers:
        digit = ((target - (below >> bits) + (1 << width - bits - 1)) >> (width - bits)) % base
        below = (digit << width - bits) + (below >> bits)
        digits.append(digit)
    total = _joined(digits, bits)
    return Weight("digits", len(values), bits, int(total), 0, {"B": base})


def _joined(digits: list[int], bits: int) -> mpz:
    """The integer with these base-2^bits digits, the first one lowest; halves first."""
    numbers, size = [mpz(d) for d in digits], bits
    while len(numbers) > 1:
        pairs = [numbers[i] | (numbers[i + 1] << size) for i in range(0, len(numbers) - 1, 2)]
        numbers, size = pairs + numbers[len(numbers) // 2 * 2 :], 2 * size
    return numbers[0]


def _decode_digits(weight: Weight, width: int) -> Decoded:
    """frac(A/B^k) from the digits a_(k-1), a_(k-2), ...: those that reach into the width."""
    bits, reach = weight.bits, -(-width // weight.bits) + 1
    data = bin(weight.integer)[2:].zfill(weight.count * bits)
    values = []
    for k in range(1, weight.count + 1):
        length = min(k, reach) * bits
        stop = len(data) - (k - min(k, reach)) * bits
        part = int(data[stop - length : stop], 2)
        values.append(part << width - length if length <= width else part >> length - width)
    return values, float(weight.count * bits > width)


# -- analytic activations ---------------------------------------------------------------------------------------------------


def _select_taylor(values: Any, bits: int, sigma: Any = "sin", start: Any = None, counts: Any = None) -> Weight:
    goals, grid = _targets(values, bits), tuple(counts or [len(values)])
    if math.prod(grid) != len(values):
        raise InputError("counts", counts, f"numbers whose product is {len(values)}")
    found = _lacunary.select_taylor(goals.integers, goals.width, bits, grid, analytic(sigma, start))
    return _analytic_weight("taylor", len(values), bits, sigma, found, grid)


def _select_tail(values: Any, bits: int, sigma: Any = "sigmoid") -> Weight:
    goals = _targets(values, bits)
    found = _lacunary.select_tail(goals.integers, goals.width, bits, analytic(sigma))
    return _analytic_weight("lacunary", len(values), bits, sigma, found, (len(values),))


def _analytic_weight(
    method: str, count: int, bits: int, sigma: Any, found: _lacunary.Choice, grid: tuple[int, ...]
) -> Weight:
    parameters = {"sigma": sigma, "start": found.start, "steps": found.steps, "limit": found.limit, "counts": grid}
    return Weight(method, count, bits, found.integer, found.exponent, parameters)


def _decode_analytic(weight: Weight, width: int) -> Decoded:
    p = weight.parameters
    choice = _lacunary.Choice(weight.integer, weight.exponent, p["start"], p["steps"], p["limit"])
    return _lacunary.decode(weight.value, analytic(p["sigma"]), choice, p["counts"], width)


# -- remainders and lattices --------------------------------------------------------------------------------------------------


def _select_remainders(values: Any, bits: int) -> Weight:
    goals = _targets(values, bits)
    integer, h = _remainders.select_remainders(goals.integers, goals.width, bits)
    return Weight("crt", len(values), bits, integer, 0, {"h": h})


def _decode_remainders(weight: Weight, width: int) -> Decoded:
    return _remainders.decode_remainders(weight.integer, weight.parameters["h"], weight.count, width)


def _select_lattice(values: Any, bits: int, sigma: Any = "sin", start: Any = None) -> Weight:
    count = len(values)
    if count > _LARGEST_LATTICE:
        raise InputError(
            "values", f"{count} values", f"at most {_LARGEST_LATTICE} for method 'lll'; 'taylor' serves more"
        )
    origin = fmpq(3, 10) if start is None else to_fmpq(start)
    goals, found = _targets(values, bits), analytic(sigma, origin)
    grid = {"sigma": sigma, "start": origin, "steps": (fmpq(1),), "limit": 0, "counts": (count,)}
    # The reduced basis is longer than the ideal one by about 2^(0.3 + 0.0165 N) per coordinate (measured).
    room = bits + 2 + math.ceil(0.3 + 0.0165 * count)
    for extra in range(_LATTICE_TRIES):
        with working_precision((room + extra + 1) * (count + 2) + 128):
            numbers = _lacunary.sequence(found, found.start, [fmpq(1)], [count])
        integer = _lattice.select_lattice(goals.integers, goals.width, numbers, room + extra)
        weight = Weight("lll", count, bits, integer, 0, grid)
        decoded, width, units = decode_weight(weight)
        if int(circle_gaps(decoded, goals.integers, width).max()) + units + goals.slack <= 1 << (width - bits - 1):
            return weight
    raise UnreachableError(
        f"lll: no weight was found for {count} values of {bits} bits; 'taylor' and 'chebyshev' always do"
    )


METHODS: dict[str, Method] = {
    "chebyshev": Method(_select_chebyshev, _decode_chebyshev),
    "digits": Method(_select_digits, _decode_digits),
    "lacunary": Method(_select_tail, _decode_analytic),
    "taylor": Method(_select_taylor, _decode_analytic),
    "crt": Method(_select_remainders, _decode_remainders),
    "lll": Method(_select_lattice, _decode_analytic),
}
