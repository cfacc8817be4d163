"""What is the value of a network at an exact point to a wanted number of bits, whatever its weights? Literally, in balls."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flint import arb, fmpq

from approx.errors import UnsupportedError
from approx.evaluation.balls import BALLS
from approx.evaluation.cache import cached
from approx.evaluation.exact import RATIONAL, evaluate_exact, exact_point
from approx.numbers import asin, to_ball, working_precision
from approx.numbers.precision import MAXIMUM_BITS

if TYPE_CHECKING:
    from approx.networks import Network

#: Rationals are carried exactly up to this many bits; longer ones become balls.
_EXACT_BITS = 4096
_FIRST_GUARD, _DOUBLINGS = 192, 8


def evaluate_precisely(network: Network, points: Iterable[Any], bits: int = 64) -> list[Any]:
    """Return, for each exact point, a ball of radius <= 2^-bits that contains the value (a list of balls for k outputs).

    Literal: layer by layer, every unit once. The working precision starts at the length of the longest weight and is
    doubled until the answer is narrow enough; rational values are carried exactly as long as they are short, so that floor
    is decided at the jumps, too. arcsin of a number that is a sine (times at most 1) is known to be defined.

    Points: as in `evaluate_exact`. Cost: O(weights) ball operations of the working precision per point and attempt.
    Raises UnsupportedError when eight doublings do not suffice (floor at an irrational jump, a NaN), InputError on points.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> [value] = evaluate_precisely(b.build([b.unit(10**30 * b.input(), "sin")]), [1], bits=40)
    >>> value.rad() < 2.0**-40 and value.overlaps(arb("-0.0901169019121380") + arb(0, 1e-12))
    True
    """
    network = network.native
    if "floor" in network.activations and network.activations <= RATIONAL and network.tags["rational"]:
        # Rational to the end: at a jump no ball would ever be narrow enough. (2^t may be irrational: then balls it is.)
        points = list(points)
        with suppress(UnsupportedError):
            return [_rational_balls(value, bits) for value in evaluate_exact(network, points)]
    rows = cached(network, "precise", lambda: _rows(network))
    start = _FIRST_GUARD + bits + max([_length(p) for p in network.pool], default=64)
    results = []
    for point in points:
        # What one point needs, the next one will need, too.
        values, start = _at(network, rows, exact_point(point, network.inputs), bits, start)
        results.append(values[0] if network.outputs == 1 else values)
    return results


def _rational_balls(value: Any, bits: int) -> Any:
    if isinstance(value, list):
        return [_rational_balls(v, bits) for v in value]
    with working_precision(_FIRST_GUARD + bits + max(0, abs(int(value.floor())).bit_length())):
        return to_ball(value)


def _at(network: Network, rows: list[Any], point: list[fmpq], bits: int, start: int) -> tuple[list[arb], int]:
    precision = start
    for _ in range(_DOUBLINGS):
        with working_precision(min(precision, MAXIMUM_BITS)):
            weights: dict[int, dict[Any, arb]] = cached(network, "precise weights", dict)
            if precision not in weights:
                weights.clear()  # one precision at a time: the balls are as long as the weights
                weights[precision] = {}
            known = weights[precision]
            values = [to_ball(v) if isinstance(v, fmpq) else v for v in _run(network, rows, point, known)]
            if all(v.is_finite() and v.rad() <= arb(2) ** -bits for v in values):
                return values, precision
        if precision >= MAXIMUM_BITS:
            break
        precision = 2 * precision
    raise UnsupportedError(
        f"precise evaluation: no ball of radius 2^-{bits} at {[str(c)[:20] for c in point]} with {precision} bits"
    )


def _run(network: Network, rows: list[Any], point: list[fmpq], known: dict[Any, arb]) -> list[Any]:
    values: list[Any] = list(point)
    for activation, bias, terms, inside in rows:
        total = bias
        for unit, weight in terms:
            total = _plus(total, _times(weight, values[unit], known), known)
        values.append(_activate(activation, total, inside, known))
    return values[len(values) - network.outputs :]


def _rows(network: Network) -> list[Any]:
    rows = network.exact_rows()
    sines = [False] * network.inputs + [activation == "sin" for activation, _, _ in rows]
    return [(a, bias, terms, a == "arcsin" and _is_sine(bias, terms, sines)) for a, bias, terms in rows]


def _is_sine(bias: Any, terms: list[tuple[int, Any]], sines: list[bool]) -> bool:
    """Whether bias + sum of weight * unit lies in [-1, 1] because the units are sines."""
    parts = [bias, *(w for _, w in terms)]
    return all(isinstance(p, fmpq) for p in parts) and all(sines[u] for u, _ in terms) and sum(map(abs, parts)) <= 1


def _short(value: Any) -> bool:
    return isinstance(value, fmpq) and value.p.bit_length() + value.q.bit_length() <= _EXACT_BITS


def _ball(value: Any, known: dict[Any, arb]) -> arb:
    if isinstance(value, arb):
        return value
    if _short(value):  # not worth keeping, and there may be many of them
        return arb(value)
    if value not in known:
        known[value] = to_ball(value)
    return known[value]


def _times(weight: Any, value: Any, known: dict[Any, arb]) -> Any:
    if _short(weight) and _short(value):
        return weight * value
    if isinstance(value, fmpq) and value == 0:
        return value
    return _ball(weight, known) * _ball(value, known)


def _plus(first: Any, second: Any, known: dict[Any, arb]) -> Any:
    if _short(first) and _short(second):
        return first + second
    return _ball(first, known) + _ball(second, known)


def _activate(name: str, total: Any, inside: bool, known: dict[Any, arb]) -> Any:
    if isinstance(total, fmpq):
        if name == "identity":
            return total
        if name == "floor":
            return fmpq(total.p // total.q)
        if name in ("relu", "abs"):
            return max(total, fmpq(0)) if name == "relu" else abs(total)
        total = _ball(total, known)
    return asin(total, assume_in_range=True) if inside else BALLS[name](_ball(total, known))


def _length(value: Any) -> int:
    if isinstance(value, fmpq):
        return max(value.p.bit_length(), value.q.bit_length())
    return max(max(q.p.bit_length(), q.q.bit_length()) for q in value.terms.values())
