"""Which balls contain the exact values of a network on a ball of points?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb, ctx

from approx import numbers
from approx.errors import InputError, UnsupportedError
from approx.evaluation import smooth
from approx.evaluation.cache import cached
from approx.numbers import to_arb, to_ball

if TYPE_CHECKING:
    from approx.networks import Network


def evaluate_balls(network: Network, point: Any) -> list[arb]:
    """Return one ball per output that contains net(x) for every x in the balls `point`.

    point: a sequence of d balls (or exact numbers), or one of them when the network has one input. The precision is the
    caller's (`with working_precision(bits):`). Sound for every activation; a ball that is not proved to lie where the
    activation is defined (arcsin beyond [-1, 1]) gives NaN, never a wrong answer. Widths grow with the depth when the
    input is a wide ball: split it, or use certification.

    Cost: O(weights) ball operations. Raises InputError when the number of coordinates is wrong.

    >>> from approx.networks import Builder
    >>> from approx.numbers import working_precision
    >>> b = Builder(1)
    >>> with working_precision(64):
    ...     [value] = evaluate_balls(b.build([b.relu(b.input() - 1)]), arb(2, 0.5))
    >>> value.contains(arb(1.5)), value.contains(arb(0.5)), value.contains(arb(0.4))
    (True, True, False)
    """
    coordinates = list(point) if isinstance(point, (list, tuple)) or np.ndim(point) else [point]
    if len(coordinates) != network.inputs:
        raise InputError("point", point, f"a sequence of {network.inputs} balls")
    network = network.native
    rows = cached(network, ("balls", ctx.prec), lambda: _compile(network))
    values = [to_arb(c) for c in coordinates]
    for activation, bias, columns, weights in rows:
        total = bias
        for j, w in zip(columns, weights, strict=True):
            total = total + w * values[j]
        values.append(activation(total))
    return values[len(values) - network.outputs :]


_Row = tuple[Callable[[arb], arb], arb, list[int], list[arb]]


def _compile(network: Network) -> list[_Row]:
    known: dict[Any, arb] = {}

    def ball(value: Any) -> arb:
        if value not in known:
            known[value] = to_ball(value)
        return known[value]

    refused = sorted(network.activations - BALLS.keys())
    if refused:
        raise UnsupportedError(f"ball evaluation: unknown activations {', '.join(refused)}")
    return [
        (BALLS[activation], ball(bias), [u for u, _ in terms], [ball(w) for _, w in terms])
        for activation, bias, terms in network.exact_rows()
    ]


def _identity(t: arb) -> arb:
    return t


def _floor(t: arb) -> arb:
    return t.floor()


def _exp2(t: arb) -> arb:
    return arb(2) ** t


def _tanh(t: arb) -> arb:
    return t.tanh()


def _sigmoid(t: arb) -> arb:
    return 1 / (1 + (-t).exp())


def _softplus(t: arb) -> arb:
    """log(1 + e^t), rising: the hull of the values at both ends."""
    return _softplus_at(t.lower()).union(_softplus_at(t.upper())) if t.is_finite() else arb("nan")


def _softplus_at(t: arb) -> arb:
    # e^t would overflow the precision, though not the range, for large t.
    return t + (-t).exp().log1p() if t > 0 else t.exp().log1p()


def _gelu(t: arb) -> arb:
    """t Phi(t); Phi by erfc, which stays relatively exact for large negative t."""
    return t * (-t / arb(2).sqrt()).erfc() / 2


#: Activation name -> sound ball version.
BALLS: dict[str, Callable[[arb], arb]] = {
    "identity": _identity,
    "relu": numbers.relu,
    "abs": numbers.absolute,
    "relu2": lambda t: numbers.relu(t) ** 2,
    "relu3": lambda t: numbers.relu(t) ** 3,
    "sin": numbers.sin,
    "arcsin": numbers.asin,
    "floor": _floor,
    "exp2": _exp2,
    "exp": arb.exp,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "gelu": _gelu,
    "arctan": arb.atan,
    "sqrt": smooth.sqrt_ball,
    "sigma3": smooth.sigma3_ball,
}
