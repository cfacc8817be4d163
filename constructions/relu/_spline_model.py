"""What function does a chain of squares on free knots compute? Its parameters, values and derivatives by them.

With knots k_0 < ... < k_N and functions B_j, A that are linear between them, a spline chain of K squares is

    u_1 = B_1,   u_{j+1} = (u_j^2 + sum_{2<=i<=j} b_ji u_i + B_{j+1} - low_j) / range_j  in [0, 1],
    y   = A + sum_{i>=2} a_i u_i + omega u_K^2.

N = 1 is a chain of squares of one affine unit, K = 1 the piecewise quadratic of `piecewise-polynomial`. Everything is
seen in the variable s in [0, N] in which the knots are 0, ..., N: there the units are fixed polynomials of the nodal
values, and the knots enter only through x = X(s), X linear between the knots. So the residual y(s) - f(X(s)) is smooth
in all parameters, knots as well, which it is not on points fixed in x.

Parameters are one vector: inner knots, for every square its B_j and b_ji, then the linear ones A, a_i, omega.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
POINTS = 10  # Chebyshev points inside every cell on which chains are fitted


@dataclass(frozen=True)
class SplineShape:
    """The discrete part: N cells, K squares; where the parameters stand."""

    cells: int
    squares: int
    nodal: tuple[slice, ...] = field(init=False)
    beta: tuple[range, ...] = field(init=False)
    nonlinear: int = field(init=False)

    def __post_init__(self) -> None:
        n = self.cells - 1
        nodal, beta = [], []
        for j in range(self.squares):
            beta.append(range(n, n + max(0, j - 1)))
            n += max(0, j - 1)
            nodal.append(slice(n, n + self.cells + 1))
            n += self.cells + 1
        object.__setattr__(self, "nodal", tuple(nodal))
        object.__setattr__(self, "beta", tuple(beta))
        object.__setattr__(self, "nonlinear", n)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.nonlinear + self.cells + 1 + self.squares

    @property
    def base(self) -> slice:
        """The places of the nodal values of A; a_2, ..., a_K and omega follow."""
        return slice(self.nonlinear, self.nonlinear + self.cells + 1)

    @property
    def extra(self) -> int:
        """Weights besides the 5 m_j - 2 of the squares: hinges, affine parts, skips."""
        n, k = self.cells - 1, self.squares
        return n * (k + 3) + 2 * (k + 1) + k * (k - 1) // 2

    @cached_property
    def hats(self) -> Array:
        """Values (points, N + 1) of the hat functions on the points of the fit."""
        return hat_values(self.cells, POINTS)


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
    """Values at points: units, normalisations, features of the output; and derivatives (points, parameters) of units."""

    units: list[Array]
    lows: list[float]
    ranges: list[float]
    features: Array
    tangents: list[Array]
    widths: list[Array]


def forward(
    shape: SplineShape, theta: Array, hats: Array, like: SplineState | None = None, tangents: bool = False
) -> SplineState:
    """The State at the points of these hat values; `like` gives the normalisation, else it is that of the points."""
    units: list[Array] = []
    state = SplineState(units, [], [], hats, [], [])
    for j in range(shape.squares):
        change = np.zeros((len(hats), shape.size)) if tangents else None
        form = hats @ theta[shape.nodal[j]]
        if change is not None:
            change[:, shape.nodal[j]] = hats
        if j:
            form = form + units[-1] ** 2
            if change is not None:
                change += 2 * units[-1][:, None] * state.tangents[-1]
            for place, i in zip(shape.beta[j], range(1, j), strict=True):
                form = form + theta[place] * units[i]
                if change is not None:
                    change += theta[place] * state.tangents[i]
                    change[:, place] += units[i]
        low = like.lows[j] if like else float(form.min())
        width = like.ranges[j] if like else float(np.ptp(form)) + 1e-300
        unit = (form - low) / width
        if change is not None:
            first = change[form.argmin()].copy()
            rise = change[form.argmax()] - first
            state.tangents.append((change - first - unit[:, None] * rise) / width)
            state.widths.append(rise)
        units.append(unit)
        state.lows.append(low)
        state.ranges.append(width)
    state.features = np.column_stack([hats, *units[1:], units[-1] ** 2])
    return state


def sensitivities(shape: SplineShape, theta: Array, state: SplineState) -> list[Array]:
    """The derivatives dy/d(u_j^2) of the output by every square: reverse accumulation by hand."""
    k, last = shape.squares, shape.size - 1
    one = np.ones(len(state.units[0]))
    slopes = [0 * one, *(theta[last - k + j] * one for j in range(1, k))]
    result = [one] * k
    for j in range(k - 1, -1, -1):
        result[j] = theta[last] * one if j == k - 1 else slopes[j + 1] / state.ranges[j + 1]
        slopes[j] = slopes[j] + 2 * state.units[j] * result[j]
        for place, i in zip(shape.beta[j], range(1, j), strict=True):
            slopes[i] = slopes[i] + theta[place] * slopes[j] / state.ranges[j]
    return result


def value_tangents(shape: SplineShape, theta: Array, state: SplineState) -> Array:
    """The derivatives (points, parameters) of the output by all parameters, at fixed s."""
    k, last = shape.squares, shape.size - 1
    found = np.zeros((len(state.units[0]), shape.size))
    found[:, shape.nonlinear :] = state.features
    for j in range(1, k):
        found += theta[last - k + j] * state.tangents[j]
    found += (2 * theta[last] * state.units[-1])[:, None] * state.tangents[-1]
    return found


def sensitivity_tangents(shape: SplineShape, theta: Array, state: SplineState) -> tuple[list[Array], list[Array]]:
    """The sensitivities of all squares and their derivatives (points, parameters) by all parameters."""
    k, last, points = shape.squares, shape.size - 1, len(state.units[0])
    slopes = [np.zeros(points), *(np.full(points, theta[last - k + j]) for j in range(1, k))]
    moving = [np.zeros((points, shape.size)) for _ in range(k)]
    for j in range(1, k):
        moving[j][:, last - k + j] = 1.0
    values, turns = [np.zeros(0)] * k, [np.zeros((0, 0))] * k
    for j in range(k - 1, -1, -1):
        if j == k - 1:
            values[j] = np.full(points, theta[last])
            turns[j] = np.zeros((points, shape.size))
            turns[j][:, last] = 1.0
        else:
            width = state.ranges[j + 1]
            values[j] = slopes[j + 1] / width
            turns[j] = (moving[j + 1] - values[j][:, None] * state.widths[j + 1]) / width
        unit = state.units[j]
        slopes[j] = slopes[j] + 2 * unit * values[j]
        moving[j] = moving[j] + (2 * unit)[:, None] * turns[j] + (2 * values[j])[:, None] * state.tangents[j]
        for place, i in zip(shape.beta[j], range(1, j), strict=True):
            own = slopes[j] / state.ranges[j]
            rise = (moving[j] - own[:, None] * state.widths[j]) / state.ranges[j]
            slopes[i] = slopes[i] + theta[place] * own
            moving[i] = moving[i] + theta[place] * rise
            moving[i][:, place] += own
    return values, turns
