"""How far can the float64 value of a network be from its exact value? A proved bound, by running error analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from approx.errors import UnsupportedError
from approx.evaluation.layered import ACTIVATE, Stage, chunk_length, layered_program, partial_sums
from approx.evaluation.shapes import as_points, shape_values

if TYPE_CHECKING:
    from approx.networks import Network

UNIT = 2.0**-53
#: Exceeds every absolute error of an underflow (2^-1075 each) with room for the handful of them in one summand.
_TINY = 2.0**-1060
ADMITTED = frozenset({"identity", "relu", "abs", "floor"})


def rounding_slack(network: Network, x: Any) -> Any:
    """Return a PROVED bound of |evaluate(network, x) - net(x)| for every point, in the shape that evaluate returns.

    net(x) is the exact value of the exact weights at the float64 point x. Statement, with u = 2^-53, hats for computed
    numbers, r = u if weights had to be rounded (else 0): a unit with bias b, weights w_j, sources h_j of error e_j has

        |computed sum - exact sum| <= r |b| + sum_j ( (1 + r) |w_j| e_j + (u_j + r)(1 + 2u) |p_j| + |d_j| + tiny ),

    where p_j are the computed products, u_j = 0 if w_j is a power of two and else u, and d_j is the exact rounding error
    of the j-th sum, which float64 itself computes (from |fl(t) - t| <= u |fl(t)| + 2^-1075, and Knuth's two-sum).
    relu, abs and identity do not enlarge errors; relu of a sum proved negative has error 0; floor
    moves by the integers that the uncertainty straddles. The bound itself is computed in float64 and inflated by
    (1 + (8 k + 32) u) per unit of k summands, which exceeds its own rounding. Overflow and NaN give inf.

    Cost: about six evaluations by numpy. Raises UnsupportedError for activations whose float64 library version carries
    no proved error (sin, arcsin, exp2, tanh, sigmoid), InputError as evaluate does.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> bool(0 < rounding_slack(b.build([b.relu(b.input() * 0.1)]), 0.3) < 1e-16)
    True
    """
    network = network.native
    refused = sorted(network.activations - ADMITTED)
    if refused:
        raise UnsupportedError(f"rounding_slack: no proved error for the activations {', '.join(refused)}; use balls")
    points, scalar = as_points(x, network.inputs)
    rounded = 0.0 if network.dyadic else (UNIT if network.tags["rational"] else 2 * UNIT)
    return shape_values(running_bound(network, points, rounded), scalar)


def running_bound(network: Network, points: np.ndarray, rounded: float, any_order: bool = False) -> np.ndarray:
    """Return the bound of rounding_slack as (n, outputs), when weights are wrong by at most `rounded` relatively.

    With `any_order` it bounds the error of every order of summation, contracted or not (to first order in u, at nearly
    the same values): then a sum of k summands counts k u (|b| + sum |p_j|).
    """
    program = layered_program(network)
    slack = np.empty((len(points), network.outputs))
    chunk = max(1, chunk_length(program) // 2)
    with np.errstate(all="ignore"):
        for start in range(0, len(points), chunk):
            part = points[start : start + chunk]
            values, errors = np.zeros((2, program.slots, len(part)))
            values[: network.inputs] = part.T
            for stage in program.stages[:-1]:
                sums, bound = _sums(stage, values, errors, rounded, any_order)
                bound = _through(stage.activation, sums, bound)
                ACTIVATE[stage.activation](sums)
                values[stage.destination], errors[stage.destination] = sums, bound
            last = program.stages[-1]
            slack[start : start + chunk].T[last.destination] = _sums(last, values, errors, rounded, any_order)[1]
    slack[~np.isfinite(slack)] = np.inf
    return slack


def _sums(
    stage: Stage, values: np.ndarray, errors: np.ndarray, rounded: float, any_order: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The computed sums, exactly as `evaluate` forms them, and the bound of their errors."""
    shape = (len(stage.bias), values.shape[1])
    total = np.repeat(stage.bias, shape[1], axis=1)
    inherited, local, products, underflows = np.zeros((4, *shape))
    count = np.zeros((shape[0], 1))
    # A product with a source that is exactly zero cannot underflow.
    live = (values != 0) | (errors != 0)
    for rows, slots, weights in stage.steps:
        term = values[slots] * weights
        sums = total[:rows] + term
        local[:rows] += _sum_errors(total[:rows], term, sums)
        total[:rows] = sums
        inherited[:rows] += errors[slots] * np.abs(weights)
        underflows[:rows] += live[slots]
        np.abs(term, out=term)
        local[:rows] += UNIT * _inexact(weights) * term
        products[:rows] += term
        count[:rows] += 1
    for tail in stage.tails:
        row = tail.row
        inherited[row] += (errors[tail.slots] * np.abs(tail.weights)).sum(axis=0)
        underflows[row] += live[tail.slots].sum(axis=0)
        count[row] += len(tail.slots)
        inexact, at = _inexact(tail.weights), 0
        for sums, terms in partial_sums(tail, values, total[row]):
            before = np.concatenate((total[row][None], sums[:-1]))
            local[row] += _sum_errors(before, terms, sums).sum(axis=0)
            np.abs(terms, out=terms)
            local[row] += UNIT * (inexact[at : at + len(terms)] * terms).sum(axis=0)
            products[row] += terms.sum(axis=0)
            total[row], at = sums[-1], at + len(terms)
    if any_order:
        local = count * UNIT * (np.abs(stage.bias) + products)
    bound = rounded * np.abs(stage.bias) + (1 + rounded) * inherited + local + rounded * products
    bound *= 1 + (8 * count + 32) * UNIT
    if rounded:
        bound += (count * _largest(values, errors) + 1) * _TINY
    bound += underflows * _TINY
    return total, bound


def _sum_errors(first: np.ndarray, second: np.ndarray, computed: np.ndarray) -> np.ndarray:
    """|first + second - computed|, exactly: Knuth's error-free transformation (NaN after an overflow)."""
    part = computed - first
    return np.abs((first - (computed - part)) + (second - part))


def _inexact(weights: np.ndarray) -> np.ndarray:
    """1.0 where a product with the weight may round, 0.0 where it cannot (powers of two; underflow is counted apart)."""
    return (np.abs(np.frexp(weights)[0]) != 0.5).astype(np.float64)


def _largest(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    # A rounded subnormal weight is wrong by up to 2^-1075 absolutely, times its source.
    return np.abs(values).max(axis=0) + errors.max(axis=0)


def _through(activation: str, sums: np.ndarray, bound: np.ndarray) -> np.ndarray:
    if activation == "relu":
        # The exact value is at most sum + bound, so a non-positive sum leaves max(0, sum + bound).
        return np.where(sums <= 0, np.maximum((sums + bound) * (1 + 4 * UNIT), 0.0), bound)
    if activation == "floor":
        down, up = np.floor(np.nextafter(sums - bound, -np.inf)), np.floor(np.nextafter(sums + bound, np.inf))
        here = np.floor(sums)
        straddled = np.maximum(up - here, here - down) * (1 + 4 * UNIT)
        return np.where(bound == 0, 0.0, straddled)
    return bound
