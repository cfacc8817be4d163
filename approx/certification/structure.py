"""Which networks are recognised by their structure, so that their error is known without following them?

Sawtooth squares, at any depth; sums of them, products above all, by square_sums; packages that build networks of their own
kind add recognisers by `register`.

Statement. On [0, 1] let G_0 = x, B_s = max(G_s - 1/2, 0), G_{s+1} = 2 G_s - 4 B_s (the tooth), f_m = x - sum_{s<=m} 4^-s G_s.
Then e_m = f_m - x^2 satisfies e_0 = x - x^2 and e_m(x) = e_{m-1}(G_1(x))/4, because x - x^2 - G_1/4 = e_0(G_1)/4 on both
halves. Hence 0 <= e_m <= 4^-(m+1), both attained: 0 at 0, the maximum at 2^-(m+1). A network that computes f_m + c
therefore has sup |x^2 - net| = max(|c|, |4^-(m+1) + c|) exactly.

Recognition is exact: every unit's input is written in the basis 1, G_0, B_0, B_1, ... and must be some G_s or G_s - 1/2
(G_s >= 0 on [0, 1], so a ReLU does not change it); the output must be f_m + c. Anything else is not recognised.
Source: P16 Proposition 2; the recursion for the error is derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, fmpq

from approx.certification.budget import Work
from approx.certification.square_sums import square_sum_bound
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, float_up

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: (lower, upper, witness, method)
Enclosure = tuple[float, float, tuple[fmpq, ...], str]
Recogniser = Callable[["Network", "Target", Work], Enclosure | None]
#: Float64 values at points (n, d), for networks whose weights float64 cannot hold.
Evaluator = Callable[["Network", "Target", np.ndarray], np.ndarray | None]
#: How the method of an enclosure begins whose network has too many pieces to be followed: nothing else is tried then.
STRUCTURE_ONLY = "structure only"
_RECOGNISERS: list[Recogniser] = []
_EVALUATORS: list[Evaluator] = []


def register(recogniser: Recogniser) -> Recogniser:
    """Add a recogniser: it proves an enclosure for the networks that it recognises completely, and returns None otherwise."""
    if recogniser not in _RECOGNISERS:
        _RECOGNISERS.append(recogniser)
    return recogniser


def register_evaluator(evaluator: Evaluator) -> Evaluator:
    """Add a way to evaluate networks of a kind that float64 cannot evaluate unit by unit; None where it does not apply."""
    if evaluator not in _EVALUATORS:
        _EVALUATORS.append(evaluator)
    return evaluator


def structural_values(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
    """Float64 values at points (n, d) by the first evaluator that knows this pair, otherwise None."""
    return next((v for e in _EVALUATORS if (v := e(network, target, points)) is not None), None)


def structural_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) of the first recogniser that knows this pair, otherwise None."""
    # Sums of squares last: they are looked for unit by unit, which is the slowest where there are none.
    for recogniser in (square_enclosure, *_RECOGNISERS, sum_enclosure):
        found = recogniser(network, target, work)
        if found is not None:
            return found
    return None


def sum_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """A sum of squares against a polynomial of degree two; lower is the exact error at the best point of the search."""
    found = square_sum_bound(network, target)
    if found is None:
        return None
    upper, points, levels = found
    work.count("structural", 1)
    lower, witness = fmpq(0), tuple(fmpq(a) for a in target.domain.lower)
    for point in points:
        value = target.exact(point)
        error = abs(value - evaluate_exact(network, [point])[0]) if value is not None else lower
        if error > lower:
            lower, witness = error, point
    return float_down(arb(lower)), upper, witness, f"structure (sum of sawtooth squares, m = {levels})"


#: A form in the basis: key -1 is the constant, 0 is G_0 = x, s + 1 is B_s.
_Form = dict[int, fmpq]


def square_enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) when the theorem above applies to this pair, otherwise None."""
    if target.dimension != 1 or target.text != "x**2" or not network.activations <= {"relu", "identity"}:
        return None
    if (target.domain.lower[0], target.domain.upper[0]) != (0, 1) or not network.tags["rational"]:
        return None
    recognised = recognise_square(network)
    if recognised is None:
        return None
    levels, shift = recognised
    work.count("structural", 1)
    peak = fmpq(1, 4 ** (levels + 1)) + shift
    error, witness = max((abs(shift), fmpq(0)), (abs(peak), fmpq(1, 2 ** (levels + 1))))
    return float_down(arb(error)), float_up(arb(error)), (witness,), f"structure (sawtooth square, m = {levels})"


def recognise_square(network: Network) -> tuple[int, fmpq] | None:
    """(m, c) when the network is exactly f_m + c on [0, 1], otherwise None; O(weights * depth)."""
    teeth = [{0: fmpq(1)}]
    values: list[_Form] = [{0: fmpq(1)}]
    rows = network.exact_rows()
    for activation, bias, terms in rows:
        form = _combine(bias, [(w, values[u]) for u, w in terms])
        if activation != "identity":
            found = _unit(form, teeth)
            if found is None:
                return None
            form = found
        values.append(form)
    output = values[-1]
    shift = output.pop(-1, fmpq(0))
    partial: _Form = {0: fmpq(1)}
    for m in range(len(teeth) + 1):
        if m:
            _extend(teeth, m)
            partial = _combine(0, [(fmpq(1), partial), (fmpq(-1, 4**m), teeth[m])])
        if output == partial:
            return m, shift
    return None


def _unit(form: _Form, teeth: list[_Form]) -> _Form | None:
    """max(form, 0) in the basis, when form is a tooth or a tooth minus one half."""
    constant = form.get(-1, fmpq(0))
    rest = {k: v for k, v in form.items() if k != -1}
    for s in range(len(teeth) + 1):
        _extend(teeth, s)
        if rest == teeth[s]:
            if constant == 0:
                return rest
            return {s + 1: fmpq(1)} if constant == fmpq(-1, 2) else None
    return None


def _extend(teeth: list[_Form], s: int) -> None:
    while len(teeth) <= s:
        k = len(teeth) - 1
        teeth.append(_combine(0, [(fmpq(2), teeth[k]), (fmpq(-4), {k + 1: fmpq(1)})]))


def _combine(constant: fmpq | int, terms: list[tuple[fmpq, _Form]]) -> _Form:
    total: _Form = {-1: fmpq(constant)}
    for weight, form in terms:
        for key, value in form.items():
            total[key] = total.get(key, fmpq(0)) + weight * value
    return {k: v for k, v in total.items() if v != 0}
