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

Between two knots only the nodal values at these two enter, so derivatives have few columns: one for the left and one for the
right value of every W_j and S_j, and one for every parameter that is not nodal (`SplineShape.parameters`).

Parameters are one vector (or an array of them, one row per chain: all functions here take leading axes): inner knots, for
every j its W_j, the logarithms of the nodal values of S_j, a_ji and b_ji, then the linear ones A, c_1, ..., c_K.
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

    @cached_property
    def sides(self) -> Array:
        """Values (points, 2) there of the hats of the left and the right knot of every point's cell."""
        cell = self._cell
        rows = np.arange(len(cell))
        return np.column_stack([self.hats[rows, cell], self.hats[rows, cell + 1]])

    @cached_property
    def _cell(self) -> Array:
        points = max(POINTS, LEAST_POINTS // self.cells) + 1
        return np.append(np.repeat(np.arange(self.cells), points), self.cells - 1)

    @cached_property
    def parameters(self) -> Array:
        """The parameters (points, columns) that the columns of local derivatives belong to."""
        nodal = [place for place in (*self.tops, *self.bottoms) if place is not None]
        starts = np.repeat([place.start for place in nodal], 2) + np.tile([0, 1], len(nodal))
        rest = [k for part in (*self.alpha, *self.beta) for k in part] + list(range(self.base.stop, self.size))
        return np.hstack([self._cell[:, None] + starts, np.tile(np.array(rest, dtype=int), (len(self._cell), 1))])

    @cached_property
    def columns(self) -> dict[int, int]:
        """The column of every parameter that is not nodal, and by its start the left column of every nodal one."""
        return {int(place): k for k, place in enumerate(self.parameters[0])}

    @cached_property
    def _flat(self) -> Array:
        return (np.arange(len(self.parameters))[:, None] * self.size + self.parameters).ravel()

    def spread(self, local: Array) -> Array:
        """Local derivatives (..., points, columns) as derivatives (..., points, parameters)."""
        *axes, points, columns = local.shape
        found = np.zeros((*axes, points * self.size))
        found[..., self._flat] = local.reshape(*axes, points * columns)
        return found.reshape(*axes, points, self.size)

    def local(self, theta: Array) -> Array:
        """Zeros for local derivatives."""
        return np.zeros((*theta.shape[:-1], *self.parameters.shape))


def hat_values(cells: int, points: int) -> Array:
    """Values of the hat functions of the knots 0, ..., N at the knots and at `points` Chebyshev points of every cell."""
    inner = 0.5 - 0.5 * np.cos(np.pi * (np.arange(points) + 0.5) / points)
    s = np.concatenate([*(i + np.concatenate([[0.0], inner]) for i in range(cells)), [float(cells)]])
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(s[:, None] - np.arange(cells + 1.0))))


def knots(shape: SplineShape, theta: Array) -> Array:
    """All knots k_0, ..., k_N."""
    end = np.zeros((*theta.shape[:-1], 1))
    return np.concatenate([end, theta[..., : shape.cells - 1], end + 1], axis=-1)


def places(shape: SplineShape, theta: Array, hats: Array) -> Array:
    """X at the points of these hat values."""
    return knots(shape, theta) @ hats.T


@dataclass
class SplineState:
    """Values at points, one array per unit: s_j, the ratios z_j = w_j / s_j, q_j; local derivatives (points, columns)."""

    bottoms: list[Array]
    ratios: list[Array]
    values: list[Array]
    features: Array
    moving_bottoms: list[Array]
    moving_ratios: list[Array]
    moving_values: list[Array]


def forward(shape: SplineShape, theta: Array, hats: Array, tangents: bool = False) -> SplineState:
    """The State at the points of these hat values, with local derivatives if asked (then on the points of the fit); the caller
    guards against s_j <= 0."""
    state = SplineState([], [], [], hats, [], [], [])
    q, dq = state.values, state.moving_values
    columns, zero = (shape.columns, shape.local(theta)) if tangents else ({}, np.zeros((0, 0)))
    for j, place in enumerate(shape.bottoms):
        top, bottom = theta[..., shape.tops[j]] @ hats.T, np.ones((*theta.shape[:-1], len(hats)))
        if place is not None:
            bottom = np.exp(theta[..., place]) @ hats.T
        reads = [(theta[..., p, None], i, p) for i, p in enumerate(shape.alpha[j])]
        below = [(theta[..., p, None], i, p) for i, p in enumerate(shape.beta[j])]
        for a, i, _ in reads:
            top = top + a * q[i]
        for b, i, _ in below:
            bottom = bottom + b * q[i]
        ratio = top / bottom
        if tangents:
            moved, under = zero.copy(), zero.copy() if place is not None else zero
            left = columns[shape.tops[j].start]
            moved[..., left : left + 2] = shape.sides
            if place is not None:
                left = columns[place.start]
                under[..., left : left + 2] = shape.sides * np.exp(theta[..., shape.parameters[:, left : left + 2]])
            for total, terms in ((moved, reads), (under, below)):
                for a, i, p in terms:
                    total += a[..., None] * dq[i]
                    total[..., columns[p]] += q[i]
            turn = (moved - ratio[..., None] * under) / bottom[..., None]
            state.moving_bottoms.append(under)
            state.moving_ratios.append(turn)
            dq.append(ratio[..., None] * (moved + bottom[..., None] * turn))
        state.bottoms.append(bottom)
        state.ratios.append(ratio)
        q.append(ratio * top)
    state.features = np.concatenate(
        [np.broadcast_to(hats, (*theta.shape[:-1], *hats.shape)), np.stack(q, axis=-1)], axis=-1
    )
    return state


def output(shape: SplineShape, theta: Array, state: SplineState) -> Array:
    """y at the points of the state."""
    return np.asarray((state.features @ theta[..., shape.nonlinear :, None])[..., 0])


def value_tangents(shape: SplineShape, theta: Array, state: SplineState) -> Array:
    """The derivatives (..., points, parameters) of the output by all parameters, at fixed s."""
    local = shape.local(theta)
    for j, moved in enumerate(state.moving_values):
        local += theta[..., shape.base.stop + j, None, None] * moved
    found = shape.spread(local)
    found[..., shape.nonlinear :] = state.features
    return found


def _reads(shape: SplineShape, theta: Array, i: int, j: int) -> tuple[Array, Array | float, int, int | None]:
    """How w_i and s_i read q_j: the coefficients a_ij and b_ij, and the places of those that are parameters."""
    top, bottom = shape.alpha[i][j], shape.beta[i][j] if shape.quotients[i] else None
    return theta[..., top, None], 0.0 if bottom is None else theta[..., bottom, None], top, bottom


def sensitivities(shape: SplineShape, theta: Array, state: SplineState) -> list[Array]:
    """How far an error of the j-th sawtooth of relative size 1 moves the output: D_j s_j (range of z_j)^2.

    D_j = dy/dq_j = c_j + sum_{i>j} D_i (2 z_i dw_i/dq_j - z_i^2 ds_i/dq_j), by reverse accumulation.
    """
    slopes: list[Array] = [np.zeros(0)] * shape.units
    for j in range(shape.units - 1, -1, -1):
        slopes[j] = theta[..., shape.base.stop + j, None] + np.zeros(state.features.shape[:-1])
        for i in range(j + 1, shape.units):
            a, b, _, _ = _reads(shape, theta, i, j)
            slopes[j] = slopes[j] + slopes[i] * (2 * a * state.ratios[i] - b * state.ratios[i] ** 2)
    return [
        d * s * np.ptp(z, axis=-1, keepdims=True) ** 2
        for d, s, z in zip(slopes, state.bottoms, state.ratios, strict=True)
    ]


def sensitivity_tangents(shape: SplineShape, theta: Array, state: SplineState) -> tuple[list[Array], list[Array]]:
    """The sensitivities of all units and their derivatives (..., points, parameters) by all parameters."""
    k = shape.units
    slopes: list[Array] = [np.zeros(0)] * k
    moving: list[Array] = [np.zeros((0, 0))] * k
    values, turns = list(slopes), list(moving)
    columns = shape.columns
    for j in range(k - 1, -1, -1):
        slopes[j] = theta[..., shape.base.stop + j, None] + np.zeros(state.features.shape[:-1])
        moving[j] = shape.local(theta)
        moving[j][..., columns[shape.base.stop + j]] = 1.0
        for i in range(j + 1, k):
            a, b, top, bottom = _reads(shape, theta, i, j)
            z = state.ratios[i]
            gain, bend = 2 * a * z - b * z**2, slopes[i] * (2 * a - 2 * b * z)
            slopes[j] = slopes[j] + slopes[i] * gain
            moving[j] += gain[..., None] * moving[i] + bend[..., None] * state.moving_ratios[i]
            moving[j][..., columns[top]] += slopes[i] * 2 * z
            if bottom is not None:
                moving[j][..., columns[bottom]] -= slopes[i] * z**2
        z, s, dz = state.ratios[j], state.bottoms[j], state.moving_ratios[j]
        width = np.ptp(z, axis=-1, keepdims=True)
        values[j] = slopes[j] * s * width**2
        local = s[..., None] * moving[j] + slopes[j][..., None] * state.moving_bottoms[j]
        turns[j] = shape.spread(width[..., None] ** 2 * local)
        factor = 2 * width * slopes[j] * s
        for sign, place in ((1.0, z.argmax(axis=-1)), (-1.0, z.argmin(axis=-1))):
            for chain in np.ndindex(place.shape):
                extreme = place[chain]
                turns[j][chain][:, shape.parameters[extreme]] += sign * np.outer(factor[chain], dz[chain][extreme])
    return values, turns
