"""Where is the error sampled for a picture? So densely that every arc between two breakpoints is seen; OBSERVED, no bound."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb

from approx.certification.arithmetic import Float64
from approx.certification.pieces import BLOCK, Program, node_blocks
from approx.errors import UnsupportedError
from approx.evaluation import evaluate_exact, rounding_slack
from approx.evaluation.cache import cached
from approx.networks import PIECEWISE_LINEAR
from approx.numbers import to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: Beyond this many breakpoints none are listed: a deep sawtooth may have 2^40 of them.
MOST_BREAKPOINTS = 250_000
_LEAST_POINTS = 4_000
_PER_PIECE = 8
_UNLISTED_POINTS = 16_000
#: Multiply-adds that one picture may spend in float64, and in rational arithmetic.
_FLOAT_WORK = 4e9
_EXACT_WORK = 2e6
#: Share of the error's size that float64 rounding may have before the samples are computed exactly.
_NOISE = 0.02
_BITS = 192


@dataclass(frozen=True)
class ErrorSample:
    """Sampled errors f - net at the sorted points x; `exact` says whether they were computed in rational arithmetic."""

    x: np.ndarray
    error: np.ndarray
    exact: bool


def breakpoints(network: Network, lower: float, upper: float) -> np.ndarray | None:
    """Return the breakpoints of a piecewise-linear network of one variable inside (lower, upper), rounded to float64.

    None when the network is not piecewise linear, or has more than 250,000 of them. Cost O(weights * breakpoints).
    """
    network = network.native
    if not network.activations <= PIECEWISE_LINEAR:
        return None
    return cached(network, f"breakpoints {lower!r} {upper!r}", lambda: _breakpoints(network, lower, upper))


def _breakpoints(network: Network, lower: float, upper: float) -> np.ndarray | None:
    if len(network.layers) == 2:
        nodes = _hidden_roots(network)
        return nodes[(nodes > lower) & (nodes < upper)]
    program = Program(network)
    ends = (np.array([lower, upper], dtype=np.float64),)
    # Every block holds at least a fraction of BLOCK nodes, so that a bounded number of blocks is enough to decide.
    found, count = [], 0
    for block in islice(node_blocks(program, ends, Float64, BLOCK), 8 * MOST_BREAKPOINTS // BLOCK):
        found.append(block[0])
        count += len(block[0])
        if count > MOST_BREAKPOINTS:
            return None
    nodes = np.unique(np.concatenate(found))
    if nodes[-1] < upper:
        return None
    return nodes[(nodes > lower) & (nodes < upper)]


def _hidden_roots(network: Network) -> np.ndarray:
    """Where the units of a single hidden layer change sign: O(units), where following them costs O(units^2)."""
    hidden = network.layers[0]
    slope = np.zeros(hidden.units)
    for part in hidden.blocks:
        np.add.at(slope, np.repeat(np.arange(hidden.units), np.diff(part.indptr)), part.values.floats)
    moving = slope != 0
    return np.unique(-hidden.bias.floats[moving] / slope[moving])


def sample_error(
    network: Network, target: Target, lower: float, upper: float, kinks: np.ndarray | None, size: float
) -> ErrorSample:
    """Return sampled errors f - net on [lower, upper]; `size` is the error's expected size, to judge rounding noise.

    With breakpoints: 8 points or more on each piece, the network interpolated between its breakpoints (it is affine
    there). Without: 16,000 points that no grid meets. When float64 rounding would exceed 2 % of `size`, fewer points in
    exact arithmetic.
    """
    if kinks is None:
        x = _scattered(lower, upper, _UNLISTED_POINTS)
    else:
        nodes = np.concatenate(([lower], kinks, [upper]))
        x = _subdivide(nodes, max(_PER_PIECE, -(-_LEAST_POINTS // (len(nodes) - 1))))
    if _noisy(network, target, x, size):
        most = max(400, int(_EXACT_WORK / max(network.size.weights, 1)))
        x = x if len(x) <= most else x[np.linspace(0, len(x) - 1, most).round().astype(int)]
        return ErrorSample(x, exact_error(network, target, x), True)
    with np.errstate(all="ignore"):
        if kinks is not None and len(x) * network.size.weights > _FLOAT_WORK / 8:
            values = np.interp(x, nodes, np.asarray(network(nodes)))
        else:
            values = np.asarray(network(x))
        return ErrorSample(x, np.asarray(target(x)) - values, False)


def exact_error(network: Network, target: Target, x: np.ndarray) -> np.ndarray:
    """Return f - net at float64 points, the network in rational and f in ball arithmetic, rounded once at the end."""
    errors = np.empty(len(x))
    with working_precision(_BITS):
        for k, point in enumerate(x.tolist()):
            [value] = evaluate_exact(network, [point])
            errors[k] = float((target.ball([arb(to_fmpq(point))]) - arb(value)).mid())
    return errors


def _scattered(lower: float, upper: float, count: int) -> np.ndarray:
    """Multiples of the golden ratio modulo 1, sorted: an equidistant grid would beat against dyadic breakpoints."""
    fraction = np.sort(np.arange(1, count - 1) * 0.6180339887498949 % 1.0)
    return np.concatenate(([lower], lower + (upper - lower) * fraction, [upper]))


def _subdivide(nodes: np.ndarray, parts: int) -> np.ndarray:
    fraction = np.arange(parts) / parts
    inner = nodes[:-1, np.newaxis] + np.diff(nodes)[:, np.newaxis] * fraction
    return np.append(inner.ravel(), nodes[-1])


def _noisy(network: Network, target: Target, x: np.ndarray, size: float) -> bool:
    if not size > 0 or target.assumptions or not network.tags["rational"]:
        return False
    probe = x[:: max(1, len(x) // 64)]
    with np.errstate(all="ignore"):
        values = np.abs(np.asarray(target(probe)))
        try:
            slack = np.asarray(rounding_slack(network, probe))
        except UnsupportedError:
            return False
    return bool(np.nanmax(slack + 2.0**-51 * values) > _NOISE * size)


def envelope(x: np.ndarray, y: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (column edges, least y, largest y) per column; NaN where a column holds no sample."""
    edges = np.linspace(x[0], x[-1], columns + 1)
    column = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, columns - 1)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    np.minimum.at(low, column, y)
    np.maximum.at(high, column, y)
    empty = high < low
    low[empty], high[empty] = np.nan, np.nan
    return edges, low, high


def grid_values(
    network: Network, target: Target, fixed: Any, most: int = 480
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (x, y, f, f - net) at the centres of an n by n grid over the first two variables, in float64.

    `fixed` are the values of the further variables. n <= most, smaller for networks of very many weights.
    """
    side = int(np.clip(np.sqrt(_FLOAT_WORK / max(network.size.weights, 1)), 96, most))
    (x0, x1), (y0, y1) = target.domain.floats()[:2]
    t = (np.arange(side) + 0.5) / side
    x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
    gx, gy = np.meshgrid(x, y)
    points = np.empty((side * side, target.dimension))
    points[:, 0], points[:, 1] = gx.ravel(), gy.ravel()
    points[:, 2:] = np.asarray(fixed, dtype=np.float64)[2:]
    with np.errstate(all="ignore"):
        f = np.asarray(target(points)).reshape(side, side)
        return x, y, f, f - np.asarray(network(points)).reshape(side, side)
