"""Which polynomials enclose a network on boxes? Taylor models: every unit is a polynomial in u in [-1,1]^d plus [-e, e].

On a box with centre c and half-widths h every unit is written as P(u) + [-e, e], P of total degree <= n, x = c + h*u.
- Affine maps act on the coefficients, exactly up to rounding.
- A smooth activation is replaced by its Taylor polynomial at the constant term of its argument z (activation_tables); with
  q the rest of P, powers of q are multiplied out, and what exceeds degree n goes into e by its l1 norm. The own error of z
  enters by the largest slope of the activation over the range of z.
- ReLU and abs are exact where z keeps its sign and else replaced by the chord of the range and its offset; floor by its range.
- arcsin(t) beyond a proved |t| <= 1 gives e = inf. Where |t| <= 1 is known from the graph (arcsin of a combination of sines
  whose weights sum to 1 at most), the range is cut off there; near +-1 the range of arcsin stands for it.

Roundings of float64 are bounded and added to e: a coefficient that is a sum of products over at most r roundings is wrong by
at most 1.01 r 2^-53 times the same sum of absolute values. NaN and overflow end as e = inf.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from approx.certification.activation_tables import Local, local_series
from approx.certification.special_activations import SPECIAL
from approx.errors import UnsupportedError
from approx.networks import Network

_UNIT = 2.0**-53
_TINY = 2.0**-1000
_TABLES = frozenset({"sin", "tanh", "sigmoid", "softplus", "gelu", "arctan"})
#: Activations that Taylor models admit: all that there are.
ADMITTED = frozenset({"identity", "relu", "abs", "floor"}) | _TABLES | SPECIAL.keys()
Watch = Callable[[int, np.ndarray, np.ndarray], None]


@dataclass
class Model:
    """Coefficients (monomials, units, boxes) and errors (units, boxes); monomial 0 is the constant."""

    coefficients: np.ndarray
    error: np.ndarray
    degree: int

    def closed(self) -> Model:
        """The same, with error inf in place of anything that is not finite."""
        finite = np.isfinite(self.coefficients).all(axis=0) & np.isfinite(self.error)
        return Model(np.where(finite, self.coefficients, 0.0), np.where(finite, self.error, np.inf), self.degree)

    def radius(self) -> np.ndarray:
        """A bound of |P - P(0)| on the box."""
        return np.abs(self.coefficients[1:]).sum(axis=0) * (1 + 2.0**-40)


class Monomials:
    """The monomials in d variables up to total degree n, and how they multiply."""

    def __init__(self, dimension: int, order: int) -> None:
        every = (a for a in itertools.product(range(order + 1), repeat=dimension) if sum(a) <= order)
        self.indices = sorted(every, key=lambda a: (sum(a), a))
        self.order, self.dimension = order, dimension
        self.degrees = np.array([sum(a) for a in self.indices])
        self.starts = np.searchsorted(self.degrees, np.arange(order + 2))

    @cached_property
    def products(self) -> list[tuple[int, int, int]]:
        """(i, j, k) with monomial i times monomial j = monomial k, for all products of degree at most n."""
        place = {a: k for k, a in enumerate(self.indices)}
        pairs = itertools.product(enumerate(self.indices), repeat=2)
        sums = ((i, j, tuple(x + y for x, y in zip(a, b, strict=True))) for (i, a), (j, b) in pairs)
        return [(i, j, place[c]) for i, j, c in sums if c in place]

    def norms(self, coefficients: np.ndarray) -> list[np.ndarray]:
        """The l1 norms of the homogeneous parts of degree 0..n."""
        absolute = np.abs(coefficients)
        return [absolute[a:b].sum(axis=0) for a, b in itertools.pairwise(self.starts)]

    def multiply(self, first: np.ndarray, second: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        """(truncated product, bound of the truncated part); degrees of first at most low, of second 1..high."""
        result = np.zeros_like(first)
        for i, j, k in self.products:
            if self.degrees[i] <= low and 1 <= self.degrees[j] <= high:
                result[k] += first[i] * second[j]
        a, b = self.norms(first), self.norms(second)
        lost = np.zeros(first.shape[1:])
        for i in range(low + 1):
            for j in range(max(1, self.order + 1 - i), high + 1):
                lost += a[i] * b[j]
        return result, lost


class TaylorProgram:
    """A network prepared for Taylor models of a given order on boxes with |x_i| <= reach[i] (exact numbers, if known).

    Raises UnsupportedError on unknown activations.
    """

    def __init__(self, network: Network, order: int, reach: Sequence[Any] | None = None) -> None:
        unknown = sorted(network.activations - ADMITTED)
        if unknown:
            raise UnsupportedError(f"method 'taylor': no Taylor model of the activations {', '.join(unknown)}")
        _refuse_extreme_pools(network)
        self.network = network
        self.monomials = Monomials(network.inputs, order)
        widths = [network.inputs] + [l.units for l in network.layers]
        self.matrices: list[list[tuple[int, Any]]] = []
        self.last_use = [0] * len(widths)
        for k, l in enumerate(network.layers, 1):
            row = []
            for b in l.blocks:
                shape = (l.units, widths[b.source])
                matrix: Any = scipy.sparse.csr_array((b.values.floats, b.indices, b.indptr), shape=shape)
                row.append((b.source, matrix.toarray() if matrix.nnz > 0.25 * shape[0] * shape[1] else matrix))
                self.last_use[b.source] = k
            self.matrices.append(row)
        self.bounded = bounded_arguments(network, reach)

    def models(self, centre: np.ndarray, half: np.ndarray, watch: Watch | None = None) -> Model:
        """The Model of the outputs on the boxes (rows of centre and half).

        watch(k, lower, upper), if given, is told a range (units, boxes) of the sums of every layer k, before activation.
        """
        live = {0: self.start(centre, half)}
        for k, layer in enumerate(self.network.layers, 1):
            model = self.affine(k, live, len(centre))
            if watch is not None:
                reach = (model.radius() + model.error) * (1 + 2.0**-40)
                watch(k, model.coefficients[0] - reach, model.coefficients[0] + reach)
            if layer.activation != "identity":
                model = self.activate(layer.activation, model, k)
            live[k] = model
            for source in [s for s in live if s != k and self.last_use[s] <= k]:
                del live[source]
        return live[len(self.network.layers)].closed()

    def start(self, centre: np.ndarray, half: np.ndarray) -> Model:
        """The Model of the inputs."""
        n, d = centre.shape
        start = np.zeros((len(self.monomials.indices), d, n))
        start[0] = centre.T
        for i in range(d):
            start[self.monomials.indices.index(tuple(int(i == j) for j in range(d))), i] = half[:, i]
        return Model(start, np.zeros((d, n)), 1)

    def affine(self, k: int, live: dict[int, Model], n: int) -> Model:
        """The Model of the sums of layer k on n boxes, from those of the layers that it reads."""
        layer = self.network.layers[k - 1]
        m = len(self.monomials.indices)
        total = np.zeros((m, layer.units, n))
        total[0] = layer.bias.floats[:, None]
        size, error = np.abs(total[0]), np.zeros((layer.units, n))
        length = np.full((layer.units, 1), 4.0)
        degree = 0
        for source, matrix in self.matrices[k - 1]:
            model = live[source]
            absolute = abs(matrix)
            for i in range(int(self.monomials.starts[model.degree + 1])):
                total[i] += matrix @ model.coefficients[i]
            size += absolute @ np.abs(model.coefficients).sum(axis=0)
            error += absolute @ model.error
            length += np.asarray((absolute != 0).sum(axis=1)).reshape(-1, 1)
            degree = max(degree, model.degree)
        # One more unit per weight covers pooled weights, whose float64 is only the nearest.
        error = error * (1 + 2.0**-30) + (1.01 * _UNIT) * (2 * length + 4) * size * (1 + 2.0**-30) + _TINY
        return Model(total, error, degree)

    def activate(self, name: str, model: Model, k: int) -> Model:
        """The Model after the activation of layer k."""
        with np.errstate(all="ignore"):
            # What is not finite is a number of which nothing is known; a bounded activation still has its range.
            lost = ~np.isfinite(model.coefficients).all(axis=0)
            if lost.any():
                model.coefficients = np.where(lost, 0.0, model.coefficients)
                model.error = np.where(lost, np.inf, model.error)
            if name in ("relu", "abs"):
                return _relu(model) if name == "relu" else _absolute(model)
            reach = (model.radius() + model.error) * (1 + 2.0**-40)
            if name == "floor":
                return _floor(model, reach)
            if name in _TABLES:
                local = local_series(name, model.coefficients[0], reach, self.monomials.order, model.error)
            else:
                known = self.bounded[k - 1][:, None]
                local = SPECIAL[name](model.coefficients[0], reach, self.monomials.order, model.error, known)
            return self._composed(model, local)

    def _composed(self, model: Model, local: Local) -> Model:
        """sum s_k q^k by Horner's rule; rounding: each of the n steps adds at most 2 (m + 2) roundings per coefficient."""
        order, m = self.monomials.order, len(self.monomials.indices)
        s = local.coefficients
        result = np.zeros_like(model.coefficients)
        result[0] = s[order]
        error = np.zeros_like(model.error)
        radius = model.radius()
        majorant = np.abs(s[order])
        for step, k in enumerate(range(order - 1, -1, -1)):
            result, lost = self.monomials.multiply(result, model.coefficients, min(step * model.degree, order), model.degree)
            result[0] += s[k]
            error = (error * radius + lost) * (1 + 2.0**-40)
            majorant = majorant * radius + np.abs(s[k])
        rounding = (2.02 * _UNIT) * order * (m + 2) * majorant
        total = error + rounding + local.error + np.where(local.slope > 0, local.slope * model.error, 0.0)
        return Model(result, total * (1 + 2.0**-40) + _TINY, order)


def _relu(model: Model) -> Model:
    c = model.coefficients
    reach = (model.radius() + model.error) * (1 + 2.0**-40)
    lo, hi = c[0] - reach, c[0] + reach
    crossing = (lo < 0) & (hi > 0)
    slope = np.where(crossing, hi / np.where(crossing, hi - lo, 1.0), np.where(lo >= 0, 1.0, 0.0))
    slope = np.where(np.isnan(reach) | np.isnan(c[0]), np.nan, slope)
    # On [lo, hi] max(z, 0) lies between slope*z and slope*(z - lo).
    offset = np.where(crossing, -0.5 * slope * lo, 0.0)
    result = slope * c
    result[0] += offset
    rounding = np.where(crossing, 8 * _UNIT * (np.abs(c).sum(axis=0) + np.abs(lo) + model.error), 0.0)
    return Model(result, slope * model.error + offset + rounding, model.degree)


def _absolute(model: Model) -> Model:
    """|z| = 2 max(z, 0) - z."""
    c, reach = model.coefficients, model.radius() + model.error
    positive = _relu(model)
    result = 2 * positive.coefficients - c
    extra = 4 * _UNIT * (np.abs(c).sum(axis=0) + np.abs(positive.coefficients).sum(axis=0))
    crossing = np.abs(c[0]) < reach * (1 + 2.0**-30)
    return Model(result, np.where(crossing, 2 * positive.error + model.error, model.error) + extra, model.degree)


def _floor(model: Model, reach: np.ndarray) -> Model:
    low = np.floor(np.nextafter(model.coefficients[0] - reach, -np.inf))
    high = np.floor(np.nextafter(model.coefficients[0] + reach, np.inf))
    result = np.zeros_like(model.coefficients)
    result[0] = 0.5 * (low + high)
    error = np.where(high == low, 0.0, (0.5 * (high - low)) * (1 + 4 * _UNIT))
    exact = np.abs(high) + np.abs(low) < 2.0**52
    return Model(result, np.where(exact, error, error + 4 * _UNIT * (np.abs(high) + np.abs(low))), 0)


def _refuse_extreme_pools(network: Network) -> None:
    """Models rely on float64 weights that are relatively close to the exact ones."""
    for l in network.layers:
        for v in [l.bias, *(b.values for b in l.blocks)]:
            if v.ids is None:
                continue
            size = np.abs(v.floats[v.ids != 0])
            if len(size) and not (size.min() > 2.0**-1000 and size.max() < np.finfo(np.float64).max):
                raise UnsupportedError("method 'taylor': exact weights beyond the range of float64; method='balls' holds them")


def bounded_arguments(network: Network, reach: Sequence[Any] | None) -> list[np.ndarray]:
    """Per layer and unit whether its argument is known to lie in [-1, 1]: |bias| + sum |w_j| sup|source_j| <= 1, exactly."""
    units = {"sin", "tanh", "sigmoid"}
    rows = network.exact_rows() if "arcsin" in network.activations and network.tags["rational"] else []
    bound: list[Any] = [math.inf] * network.inputs if reach is None else list(reach)
    known = []
    for activation, bias, terms in rows:
        finite = all(bound[u] is not math.inf for u, _ in terms)
        total = abs(bias) + sum((abs(w) * bound[u] for u, w in terms), start=0 * abs(bias)) if finite else math.inf
        known.append(finite and bool(total <= 1))
        bound.append(1 if activation in units else total if activation in ("identity", "relu", "abs") else math.inf)
    split = np.cumsum([l.units for l in network.layers])[:-1]
    if not rows:
        return [np.zeros(l.units, dtype=bool) for l in network.layers]
    return [np.asarray(part, dtype=bool) for part in np.split(np.array(known), split)]
