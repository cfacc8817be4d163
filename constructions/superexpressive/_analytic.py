"""Which activations are analytic and no polynomials, and what are their Taylor coefficients? Rigorous, in balls and series."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, arb_series, ctx, fmpq

from approx.errors import InputError
from approx.numbers import to_ball, to_float, to_fmpq, working_precision

_MOST_ZERO_BITS = 4096


class Analytic(NamedTuple):
    """An activation: its function on balls and on series, and a rational point where no derivative vanishes (found, checked).

    `tail`, for activations that approach a limit exponentially: (direction, limit, factor) with
    sigma(direction * t) - limit ~ const exp(-factor t) for t -> inf.
    """

    function: Callable[[Any], Any]
    start: fmpq
    tail: tuple[int, int, int] | None = None


def _sigmoid(t: Any) -> Any:
    return 1 / (1 + (-t).exp())


def _tanh(t: Any) -> Any:
    return 2 / (1 + (-2 * t).exp()) - 1


def _gelu(t: Any) -> Any:
    root = arb(2).sqrt()
    return t / 2 * (1 + (t / root).erf())


def _softplus(t: Any) -> Any:
    return (1 + t.exp()).log()


#: Activations of the approx package by name. The starts were chosen for moderate ratios of successive derivatives.
ANALYTIC: dict[str, Analytic] = {
    "sin": Analytic(lambda t: t.sin(), fmpq(1)),
    "arctan": Analytic(lambda t: t.atan(), fmpq(2, 7)),
    "sqrt": Analytic(lambda t: t.sqrt(), fmpq(1)),
    "sigmoid": Analytic(_sigmoid, fmpq(1, 3), (-1, 0, 1)),
    "gelu": Analytic(_gelu, fmpq(2, 7)),
    "tanh": Analytic(_tanh, fmpq(1, 3), (-1, -1, 2)),
    "softplus": Analytic(_softplus, fmpq(1, 3), (-1, 0, 1)),
    "exp": Analytic(lambda t: t.exp(), fmpq(0), (-1, 0, 1)),
}


def analytic(sigma: Any, start: Any = None) -> Analytic:
    """The Analytic of a name or of a function on balls and series, at the point `start`; InputError on anything else."""
    if isinstance(sigma, str):
        if sigma not in ANALYTIC:
            raise InputError("sigma", sigma, "an analytic activation that is no polynomial: " + ", ".join(ANALYTIC))
        found = ANALYTIC[sigma]
    elif callable(sigma):
        found = Analytic(sigma, fmpq(1, 3))
    else:
        raise InputError("sigma", sigma, "a name (" + ", ".join(ANALYTIC) + ") or a function on flint balls and series")
    return found if start is None else found._replace(start=to_fmpq(start))


def ratio_bits(sigma: Analytic, count: int) -> tuple[int, int]:
    """log2, rounded up, of the largest |sigma^(i+1)/sigma^(i)| and of the largest |sigma^(i)/sigma^(j)|, i, j < count.

    Raises InputError when sigma is not analytic at the start, or when one of the derivatives is not shown to differ from 0 (a
    polynomial, or a badly chosen point).
    """
    before = ctx.cap
    try:
        ctx.cap = count + 1
        bits = 64 + 4 * count
        while True:
            with working_precision(bits):
                series = sigma.function(arb_series([to_ball(sigma.start), 1], prec=count + 1))
                coefficients = [arb(series[i]) for i in range(count)]
                bad = next((i for i, c in enumerate(coefficients) if not c.is_finite()), None)
                if bad is not None:
                    raise InputError("start", sigma.start, "a point where the activation is analytic")
                zero = next((i for i, c in enumerate(coefficients) if c.contains(0)), None)
                if zero is None:
                    sizes = [float(abs(c).log() / arb(2).log()) + math.lgamma(i + 1) / math.log(2)
                             for i, c in enumerate(coefficients)]  # fmt: skip
                    steps = [b - a for a, b in itertools.pairwise(sizes)] or [0.0]
                    return math.ceil(max(steps)) + 1, math.ceil(max(sizes) - min(sizes)) + 1
            if bits >= _MOST_ZERO_BITS + 4 * count:
                raise InputError(
                    "start", f"{to_float(sigma.start):.6g}, where derivative {zero} vanishes",
                    "a point where no derivative of the activation vanishes; polynomials have none",
                )  # fmt: skip
            bits *= 2
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise InputError("sigma", sigma.function, "a function on flint balls and series") from error
    finally:
        ctx.cap = before
