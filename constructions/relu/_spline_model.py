"""What function does a chain of quotients on free knots compute? Its parameters, values and derivatives by them.

With knots k_0 < ... < k_N and functions W_j, S_j, A that are linear between them, a chain of K quotients is

    w_j = W_j + sum_{i<j} a_ji q_i,   s_j = S_j + sum_{i<j} b_ji q_i > 0,   q_j = w_j^2 / s_j,
    y   = A + sum_j c_j q_j.

Where s_j is the constant 1 the quotient is a square; `SplineShape.quotients` says which are not. N = 1 has no knots, one
square alone is the piecewise quadratic of `piecewise-polynomial`. Everything is seen in the variable s in [0, N] in which
the knots are 0, ..., N: there the units are fixed rational functions of the nodal values, and the knots enter only
through x = X(s), X linear between the knots. So the residual y(s) - f(X(s)) is smooth in all parameters, knots as
well, which it is not on points fixed in x. The scale of every unit is free (w_j and s_j times a number): fits find better
valleys so than with a_j(j-1) = 1.

Parameters are one vector: inner knots, for every j its W_j, the logarithms of the nodal values of S_j, a_ji and b_ji,
then the linear ones A, c_1, ..., c_K.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
POINTS = 10  # Chebyshev points inside every cell on which chains are fitted, more where there are few cells
LEAST_POINTS = 80


@dataclass(frozen=True)
class SplineShape:
    """The discrete part: N cells, which of the K units are quotients (the others are squares); where parameters stand."""

    cells: int
    quotients: tuple[bool, ...]
    tops: tuple[slice, ...] = field(init=False)
    bottoms: tuple[slice | None, ...] = field(init=False)
    alpha: tuple[range, ...] = field(init=False)
    beta: tuple[range, ...] = field(init=False)
    nonlinear: int = field(init=False)

    def __post_init__(self) -> None:
        n = self.cells - 1
        tops, bottoms, alpha, beta = [], [], [], []
        for j, quotient in enumerate(self.quotients):
            tops.append(slice(n, n + self.cells + 1))
            n += self.cells + 1
            bottoms.append(slice(n, n + self.cells + 1) if quotient else None)
            n += self.cells + 1 if quotient else 0
            alpha.append(range(n, n + j))
            n += j
            beta.append(range(n, n + (j if quotient else 0)))
            n += j if quotient else 0
        object.__setattr__(self, "tops", tuple(tops))
        object.__setattr__(self, "bottoms", tuple(bottoms))
        object.__setattr__(self, "alpha", tuple(alpha))
        object.__setattr__(self, "beta", tuple(beta))
        object.__setattr__(self, "nonlinear", n)

    @property
    def units(self) -> int:
        """K, the number of squares and quotients."""
        return len(self.quotients)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.nonlinear + self.cells + 1 + self.units

    @property
    def base(self) -> slice:
        """The places of the nodal values of A; c_1, ..., c_K follow."""
        return slice(self.nonlinear, self.nonlinear + self.cells + 1)

    @property
    def per_knot(self) -> int:
        """Weights of one inner knot: its hinge's two, and one in every function that is linear between the knots."""
        return 3 + self.units + sum(self.quotients)

    @property
    def extra(self) -> int:
        """Weights besides the 5 m_j - 2 (m_j >= 2) of the squares and quotients: hinges, affine parts, skips."""
        k = self.units
        skips = sum(max(0, j - 2) for j in range(k)) + max(0, k - 2) + sum(j for j in range(k) if self.quotients[j])
        return (self.cells - 1) * self.per_knot + 2 * (self.per_knot - 2) + skips

    @cached_property
    def hats(self) -> Array:
        """Values (points, N + 1) of the hat functions on the points of the fit."""
        return hat_values(self.cells, max(POINTS, LEAST_POINTS // self.cells))


def hat_values(cells: int, points: int) -> Array:
    """Values of the hat functions of the knots 0, ..., N at the knots and at `points` Chebyshev points of every cell."""
    inner = 0.5 - 0.5 * np.cos(np.pi * (np.arange(points) + 0.5) / points)
    s = np.concatenate([*(i + np.concatenate([[0.0], inner]) for i in range(cells)), [float(cells)]])
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(s[:, None] - np.arange(cells + 1.0))))


def knots(shape: SplineShape, theta: Array, ends: tuple[float, float] = (0.0, 1.0)) -> Array:
    """All knots k_0, ..., k_N."""
    return np.concatenate([[ends[0]], theta[: shape.cells - 1], [ends[1]]])


@dataclass
class SplineState:
    """Values at points, one array per unit: s_j, the ratios z_j = w_j / s_j, q_j; derivatives (points, parameters)."""

    bottoms: list[Array]
    ratios: list[Array]
    values: list[Array]
    features: Array
    moving_bottoms: list[Array]
    moving_ratios: list[Array]
    moving_values: list[Array]


def forward(shape: SplineShape, theta: Array, hats: Array, tangents: bool = False) -> SplineState:
    """The State at the points of these hat values, with derivatives if asked; the caller guards against s_j <= 0."""
    state = SplineState([], [], [], hats, [], [], [])
    q, dq = state.values, state.moving_values
    zero = np.zeros((len(hats), shape.size))
    for j, place in enumerate(shape.bottoms):
        top, bottom = hats @ theta[shape.tops[j]], np.ones(len(hats))
        if place is not None:
            nodal = hats * np.exp(theta[place])
            bottom = nodal.sum(axis=1)
        reads = [(theta[p], i, p) for i, p in enumerate(shape.alpha[j])]
        below = [(theta[p], i, p) for i, p in enumerate(shape.beta[j])]
        for a, i, _ in reads:
            top = top + a * q[i]
        for b, i, _ in below:
            bottom = bottom + b * q[i]
        ratio = top / bottom
        if tangents:
            moved, under = zero.copy(), zero.copy() if place is not None else zero
            moved[:, shape.tops[j]] = hats
            if place is not None:
                under[:, place] = nodal
            for total, terms in ((moved, reads), (under, below)):
                for a, i, p in terms:
                    total += a * dq[i]
                    total[:, p] += q[i]
            turn = (moved - ratio[:, None] * under) / bottom[:, None]
            state.moving_bottoms.append(under)
            state.moving_ratios.append(turn)
            dq.append(ratio[:, None] * (moved + bottom[:, None] * turn))
        state.bottoms.append(bottom)
        state.ratios.append(ratio)
        q.append(ratio * top)
    state.features = np.column_stack([hats, *q])
    return state


def value_tangents(shape: SplineShape, theta: Array, state: SplineState) -> Array:
    """The derivatives (points, parameters) of the output by all parameters, at fixed s."""
    found = np.zeros((len(state.features), shape.size))
    found[:, shape.nonlinear :] = state.features
    for c, moved in zip(theta[shape.base.stop :], state.moving_values, strict=True):
        found += c * moved
    return found


def _reads(shape: SplineShape, theta: Array, i: int, j: int) -> tuple[float, float, int, int | None]:
    """How w_i and s_i read q_j: the coefficients a_ij and b_ij, and the places of those that are parameters."""
    top, bottom = shape.alpha[i][j], shape.beta[i][j] if shape.quotients[i] else None
    return float(theta[top]), 0.0 if bottom is None else float(theta[bottom]), top, bottom


def sensitivities(shape: SplineShape, theta: Array, state: SplineState) -> list[Array]:
    """How far an error of the j-th sawtooth of relative size 1 moves the output: D_j s_j (range of z_j)^2.

    D_j = dy/dq_j = c_j + sum_{i>j} D_i (2 z_i dw_i/dq_j - z_i^2 ds_i/dq_j), by reverse accumulation.
    """
    slopes: list[Array] = [np.zeros(0)] * shape.units
    for j in range(shape.units - 1, -1, -1):
        slopes[j] = np.full(len(state.features), theta[shape.base.stop + j])
        for i in range(j + 1, shape.units):
            a, b, _, _ = _reads(shape, theta, i, j)
            slopes[j] = slopes[j] + slopes[i] * (2 * a * state.ratios[i] - b * state.ratios[i] ** 2)
    return [d * s * np.ptp(z) ** 2 for d, s, z in zip(slopes, state.bottoms, state.ratios, strict=True)]


def sensitivity_tangents(shape: SplineShape, theta: Array, state: SplineState) -> tuple[list[Array], list[Array]]:
    """The sensitivities of all units and their derivatives (points, parameters) by all parameters."""
    k, points = shape.units, len(state.features)
    slopes: list[Array] = [np.zeros(0)] * k
    moving: list[Array] = [np.zeros((0, 0))] * k
    values, turns = list(slopes), list(moving)
    for j in range(k - 1, -1, -1):
        slopes[j] = np.full(points, theta[shape.base.stop + j])
        moving[j] = np.zeros((points, shape.size))
        moving[j][:, shape.base.stop + j] = 1.0
        for i in range(j + 1, k):
            a, b, top, bottom = _reads(shape, theta, i, j)
            z = state.ratios[i]
            gain = 2 * a * z - b * z**2
            slopes[j] = slopes[j] + slopes[i] * gain
            moving[j] += gain[:, None] * moving[i] + (slopes[i] * (2 * a - 2 * b * z))[:, None] * state.moving_ratios[i]
            moving[j][:, top] += slopes[i] * 2 * z
            if bottom is not None:
                moving[j][:, bottom] -= slopes[i] * z**2
        z, s, dz = state.ratios[j], state.bottoms[j], state.moving_ratios[j]
        width = np.ptp(z)
        widening = dz[z.argmax()] - dz[z.argmin()]
        values[j] = slopes[j] * s * width**2
        turns[j] = width**2 * (s[:, None] * moving[j] + slopes[j][:, None] * state.moving_bottoms[j])
        turns[j] += np.outer(2 * width * slopes[j] * s, widening)
    return values, turns
