"""Which single exact number makes a fixed network give N prescribed values, and how well does it?"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from flint import arb, fmpq

from approx.errors import InputError, UnreachableError
from approx.numbers import float_up
from constructions.superexpressive import _chebyshev
from constructions.superexpressive._methods import METHODS, decode_weight
from constructions.superexpressive._targets import as_fraction, circle_gaps, fixed_point
from constructions.superexpressive._weight import Weight

#: Refuse weights longer than this many bits (about 30 MB) unless the caller allows more.
MOST_BITS = 250_000_000


@dataclass(frozen=True)
class WeightCheck:
    """What was proved of a weight: every decoded value is within `error` of the value (or of all points of its ball).

    `within` says whether error <= 1/(2B) was shown, the best that any weight of N log2 B bits can promise; `worst` is the
    k of the largest error, `seconds` the time it took.
    """

    count: int
    error: fmpq
    within: bool
    worst: int
    seconds: float


def select_weight(
    values: Any, bits: int, method: str = "chebyshev", *, most_bits: int = MOST_BITS, **options: Any
) -> Weight:
    """A Weight whose decoded value k lies within about 2^-bits/2 of values[k-1] on the circle, for every k.

    values: N numbers in [0, 1) (float64 arrays, rationals, balls); 1 <= bits. Guarantee: `certify_weight` proves the error
    of the weight that was found; "chebyshev" and "digits" reach 1/(2B) by a lemma, at N*bits bits, the information bound.
    Cost: "chebyshev" O(M(N bits) log N), about 5 s for a million values of 16 bits.

    method: chebyshev, digits, lacunary (option sigma), taylor (sigma, start, counts), crt, lll (sigma, start); `_methods` says
    which s_k each one reads, what it costs and when to use it. sigma: a name (sin, arctan, sqrt, sigmoid, gelu, tanh, softplus,
    exp), or a function on flint balls and series.

    Raises InputError on values outside [0, 1), bits or an unknown method; UnreachableError, naming the bits, when the weight
    would be longer than `most_bits`. Source: derived (P21 shows that such weights exist).

    >>> w = select_weight([0.25, 0.5, 0.9], bits=8)
    >>> w.length <= 24, certify_weight(w, [0.25, 0.5, 0.9]).within
    (True, True)
    """
    if method not in METHODS:
        raise InputError("method", method, "one of " + ", ".join(METHODS))
    if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= 4096:
        raise InputError("bits", bits, "an integer from 1 to 4096")
    count = len(values)
    if count < 1:
        raise InputError("values", values, "at least one value")
    refuse_too_long(count * bits, most_bits)
    return METHODS[method].select(values, bits, **options)


def refuse_too_long(needed: int, most_bits: int) -> None:
    """Raise UnreachableError when a weight of `needed` bits exceeds the memory budget."""
    if needed > most_bits:
        raise UnreachableError(
            f"the weight would take {needed:,} bits ({needed / 8e6:,.3g} MB), more than the budget of {most_bits:,} bits; "
            "a larger eps, or a larger most_bits=, makes it possible"
        )


def certify_weight(weight: Weight, values: Any) -> WeightCheck:
    """A WeightCheck: the largest circle distance of a decoded value from its target, an upper bound by integers.

    Every value is decoded (quasi-linear time for "chebyshev"); values whose distance is too near to 1/(2B) to be told are
    decoded once more exactly. Raises InputError when the number of values differs.
    """
    started = time.perf_counter()
    if len(values) != weight.count:
        raise InputError("values", len(values), f"{weight.count} values, as many as the weight holds")
    found, width, units = decode_weight(weight)
    targets = fixed_point(values, width)
    gaps = circle_gaps(found, targets.integers, width)
    slack = math.ceil(units + targets.slack)
    worst = int(gaps.argmax())
    largest = int(gaps[worst]) + slack
    half = (1 << width) >> (weight.bits + 1)
    within = largest <= half
    if not within and int(gaps[worst]) <= half + slack and weight.method == "chebyshev" and targets.slack == 0:
        unsure = [int(k) for k in (gaps > max(0, half - slack)).nonzero()[0]]
        within = len(unsure) <= 64 and all(_exactly_within(weight, k, targets.integers[k], width) for k in unsure)
    error = as_fraction(min(largest, half) if within else largest, width)
    return WeightCheck(weight.count, error, within, worst + 1, round(time.perf_counter() - started, 4))


def _exactly_within(weight: Weight, index: int, target: int, width: int) -> bool:
    p, q = _chebyshev.decode_one(weight.integer, index + 1, weight.bits)
    gap = (p * (1 << width) - target * q) % (q << width)
    gap = min(gap, (q << width) - gap)
    return bool(gap << (weight.bits + 1) <= q << width)


def readout_error(amplitude: Any, check: WeightCheck) -> float:
    """An upper bound of |a sin(2 pi v) - a sin(2 pi y)| for circle distances up to check.error: 2 pi a error, rounded up."""
    return float_up(2 * arb.pi() * arb(amplitude) * arb(check.error))
