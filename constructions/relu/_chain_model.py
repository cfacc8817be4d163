"""What function does a chain of squares compute? Its parameters, its values and the weight of every square's error.

A chain has K gadgets. Gadget j reads one unit L_j with values in [0, 1], applies s_j free folds
a -> a/c (a <= c), 1 - (1 - e)(a - c)/(1 - c) (a > c), and squares the last fold a_s. Then

    L_1 = t,   L_{j+1} = (a_s^2 + sum_l o_l a_l + sum_{i<j} beta_i L_i + sum_h gamma_h E_h - low_j) / range_j,
    y   = const + sum_i A_i L_i + sum_l o_l a_l + omega a_s^2 + sum_h B_h E_h      (a_l, a_s of the last gadget)

with hinges E_h = relu(t - kappa_h). With `tied`, the first hinge is the unit relu(t - c) that the first fold of the
first gadget has already. A fold with c = 1/2, e = 0 changes nothing but the parameters (t^2 = t - g/2 + g^2/4 with the
tent g), so smooth chains (all s_j = 0) embed into chains with free folds, which cost no weight more than the sawtooth
levels that they replace. Parameters are one vector: the nonlinear ones, then the linear ones of the output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Slots:
    """Where the nonlinear parameters of one gadget stand: fold points, fold ends, fold, unit and hinge coefficients."""

    c: tuple[int, ...]
    e: tuple[int, ...]
    o: tuple[int, ...] = ()
    b: tuple[int, ...] = ()
    h: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shape:
    """The discrete part of a chain: free folds per gadget, number of hinges, whether the first hinge is tied, and pads:
    unit j + 1 is normalised to [pads[j-1], 1 - pads[j-1]] (about), room for the errors of the squares before it."""

    free: tuple[int, ...]
    hinges: int = 0
    tied: bool = False
    pads: tuple[float, ...] = ()
    kappa: tuple[int, ...] = field(init=False)
    slots: tuple[Slots, ...] = field(init=False)
    nonlinear: int = field(init=False)

    def __post_init__(self) -> None:
        n = self.hinges - self.tied
        object.__setattr__(self, "kappa", tuple(range(n)))
        slots: list[Slots] = []
        for j, s in enumerate(self.free):
            sizes = [s, s] + ([s + 1, j, self.hinges - (self.tied and j == 0)] if j < self.squares - 1 else [])
            parts = []
            for size in sizes:
                parts.append(tuple(range(n, n + size)))
                n += size
            slots.append(Slots(*parts))
        object.__setattr__(self, "slots", tuple(slots))
        object.__setattr__(self, "nonlinear", n)

    @cached_property
    def limits(self) -> tuple[Array, Array, Array]:
        """Places of the parameters that are kept in bounds, with their lower and upper bounds."""
        bounds = [(k, 0.02, 0.98) for k in self.kappa]
        for slots in self.slots:
            bounds += [(k, 0.05, 0.95) for k in slots.c] + [(k, 0.0, 0.95) for k in slots.e]
        table = np.array(bounds, dtype=float).reshape(-1, 3)
        return table[:, 0].astype(int), table[:, 1], table[:, 2]

    @property
    def squares(self) -> int:
        """The number K of gadgets."""
        return len(self.free)

    @property
    def linear(self) -> int:
        """The number of linear output parameters."""
        return 2 + self.squares + self.free[-1] + self.hinges

    @property
    def extra(self) -> int:
        """Weights besides the 5 m_j - 2 of the squares: biases, skips and hinges (K(K+1)/2 without hinges)."""
        k = self.squares
        return k * (k + 1) // 2 + (self.hinges - self.tied) * (k + 2) + self.tied * (k - 1)


@dataclass
class State:
    """Values of a chain on a grid: units, folds, slopes of the folds, normalisations and the features of the output."""

    units: list[Array]
    folds: list[list[Array]]
    slopes: list[list[Array]]
    lows: list[Array]
    ranges: list[Array]
    features: list[Array]


def forward(shape: Shape, theta: Array, t: Array, like: State | None = None) -> State:
    """The State of the chain with nonlinear parameters theta (..., P) on the grid t (N,); its arrays are (..., N).

    `like` (the State on another grid) gives the normalisation: the same function on other points.

    Every L_{j+1} is normalised to [pad, 1 - pad] / (1 + 2 pad) on the grid. Cost: O(N) operations per fold and parameter set.
    """
    def at(k: int) -> Array:
        return theta[..., k][..., None]

    units = [t * np.ones((*theta.shape[:-1], 1), dtype=theta.dtype)]
    hinges = [np.where(t > at(k), t - at(k), 0) for k in shape.kappa]
    folds: list[list[Array]] = []
    slopes: list[list[Array]] = []
    lows: list[Array] = []
    ranges: list[Array] = []
    for j, slots in enumerate(shape.slots):
        a = units[j]
        chain, slope = [a], []
        for ck, ek in zip(slots.c, slots.e, strict=True):
            c, e = at(ck), at(ek)
            left = a <= c
            up, down = 1 / c, (1 - e) / (1 - c)
            if shape.tied and j == 0 and len(chain) == 1:
                hinges.insert(0, np.where(left, 0, a - c))
            a = np.where(left, a * up, 1 - down * (a - c))
            slope.append(np.where(left, up, -down))
            chain.append(a)
        folds.append(chain)
        slopes.append(slope)
        if j == shape.squares - 1:
            break
        form = a * a
        for k, value in zip(slots.o, chain, strict=True):
            form = form + at(k) * value
        for k, value in zip(slots.b, units[:j], strict=True):
            form = form + at(k) * value
        for k, value in zip(slots.h, hinges[len(hinges) - len(slots.h) :], strict=True):
            form = form + at(k) * value
        low, high = form.min(axis=-1, keepdims=True), form.max(axis=-1, keepdims=True)
        pad = shape.pads[j] if shape.pads else 0.0
        width = (high - low) * (1 + 2 * pad)
        lows.append(like.lows[j] if like else low - pad * (high - low))
        ranges.append(like.ranges[j] if like else width)
        units.append((form - lows[-1]) / ranges[-1])
    last = folds[-1]
    features = [np.ones_like(units[0]), *units, *last[1:], last[-1] * last[-1], *hinges]
    return State(units, folds, slopes, lows, ranges, features)


def features(shape: Shape, theta: Array, t: Array) -> Array:
    """The matrices (..., N, number of linear parameters) of the features of the output."""
    return np.stack(forward(shape, np.asarray(theta, dtype=np.float64), t).features, axis=-1)


def sensitivities(shape: Shape, theta: Array, linear: list[Array], state: State) -> list[Array]:
    """The derivatives dy/d(a_s^2) of the output by every gadget's square (..., N): reverse accumulation by hand."""
    k = shape.squares

    def at(i: int) -> Array:
        return theta[..., i][..., None]

    gradient = [linear[1 + i] + 0 * state.units[0] for i in range(k)]
    result: list[Array] = [state.units[0]] * k
    for j in range(k - 1, -1, -1):
        slots, s = shape.slots[j], shape.free[j]
        up: Array
        if j == k - 1:
            up = np.ones_like(state.units[0])
            outer = linear[1 + k + s] + 0 * state.units[0]
            coefficients = [0 * up, *(linear[1 + k + i] * up for i in range(s))]
        else:
            up = gradient[j + 1] / state.ranges[j]
            outer = up
            coefficients = [at(i) * up for i in slots.o]
        result[j] = outer
        adjoint = 2 * outer * state.folds[j][s] + coefficients[s]
        for i in range(s - 1, -1, -1):
            adjoint = adjoint * state.slopes[j][i] + coefficients[i]
        gradient[j] = gradient[j] + adjoint
        for i, position in enumerate(slots.b):
            gradient[i] = gradient[i] + up * at(position)
    return result


def evaluate(shape: Shape, parameters: Array, t: Array, like: State | None = None) -> tuple[Array, list[Array]]:
    """The output y (..., N) and the sensitivities of a chain with all its parameters (..., P + Q); `like` as in forward."""
    theta = parameters[..., : shape.nonlinear]
    state = forward(shape, theta, t, like)
    linear = [parameters[..., shape.nonlinear + i][..., None] for i in range(shape.linear)]
    y = sum((c * f for c, f in zip(linear, state.features, strict=True)), np.zeros_like(state.units[0]))
    return y, sensitivities(shape, theta, linear, state)


def admissible(shape: Shape, parameters: Array) -> Array:
    """The parameters (..., P) with fold points in [0.05, 0.95], fold ends in [0, 0.95], hinges in [0.02, 0.98]."""
    result = parameters.copy()
    places, low, high = shape.limits
    if len(places):
        result[..., places] = np.minimum(np.maximum(result[..., places], low), high)
    return result


def embed(old: Shape, theta: Array, new: Shape) -> tuple[Array, NDArray[np.bool_]]:
    """Nonlinear parameters of `new` with those of `old` copied to their places, and the mask of the copied ones."""
    result, copied = np.zeros(new.nonlinear), np.zeros(new.nonlinear, dtype=bool)
    pairs = list(zip(old.kappa, new.kappa, strict=False))
    for before, after in zip(old.slots, new.slots, strict=False):
        for name in ("c", "e", "o", "b", "h"):
            pairs += list(zip(getattr(before, name), getattr(after, name), strict=False))
    for i, k in pairs:
        result[k] = theta[i]
        copied[k] = True
    return result, copied


def add_fold(shape: Shape, theta: Array, j: int) -> tuple[Shape, Array]:
    """The same function with one more free fold (c = 1/2, e = 0) at the end of gadget j (output refitted by the caller)."""
    free = tuple(s + (i == j) for i, s in enumerate(shape.free))
    new = Shape(free, shape.hinges, shape.tied, shape.pads)
    result, _ = embed(shape, theta, new)
    slots = new.slots[j]
    result[slots.c[-1]], result[slots.e[-1]] = 0.5, 0.0
    if j < shape.squares - 1:  # a^2 = a - g/2 + g^2/4: multiply the form by 4
        for k in (*slots.o, *slots.b, *slots.h):
            result[k] *= 4
        result[slots.o[-2]] += 4
        result[slots.o[-1]] -= 2
    return new, result


def tie(shape: Shape, theta: Array) -> tuple[Shape, Array]:
    """A chain with one untied hinge and s_1 = 0 as a tied one: the first fold of gadget 1 moves to the hinge.

    Exact only for kappa = 1/2; otherwise a start for the fit.
    """
    free = (1, *shape.free[1:])
    bare = Shape(shape.free, pads=shape.pads)
    plain = np.zeros(bare.nonlinear)
    new = Shape(free, 1, True, shape.pads)
    for before, after in zip(shape.slots, bare.slots, strict=True):
        for name in ("c", "e", "o", "b"):
            for i, k in zip(getattr(before, name), getattr(after, name), strict=True):
                plain[k] = theta[i]
    middle, folded = add_fold(bare, plain, 0)
    result, _ = embed(middle, folded, new)
    for before, after in zip(shape.slots[1:], new.slots[1:], strict=True):
        for i, k in zip(before.h, after.h, strict=True):
            result[k] = theta[i]
    if shape.slots[0].h:  # relu(t - 1/2) = (2t - g)/4, and the form was multiplied by 4
        gamma = theta[shape.slots[0].h[0]]
        result[new.slots[0].o[0]] += 2 * gamma
        result[new.slots[0].o[1]] -= gamma
    return new, result


def padded(shape: Shape, theta: Array, pads: tuple[float, ...]) -> tuple[Shape, Array]:
    """The same chain (no free folds, no pads yet) with every unit L_j replaced by (L_j + p)/(1 + 2p), p its pad."""
    new = Shape(shape.free, shape.hinges, shape.tied, pads)
    result = theta.copy()
    room = (0.0, *pads)
    factor = [1 + 2 * p for p in room]
    for j, slots in enumerate(shape.slots[:-1]):
        result[slots.o[0]] = (theta[slots.o[0]] - 2 * room[j]) / factor[j]
        for i, k in enumerate(slots.b):
            result[k] = theta[k] * factor[i] / factor[j] ** 2
        for k in slots.h:
            result[k] = theta[k] / factor[j] ** 2
    return new, result


def unit_errors(shape: Shape, theta: Array, t: Array, levels: tuple[int, ...]) -> list[float]:
    """Bounds (to first order, on the grid) of the error of every unit L_j that the centred squares before it cause."""
    state = forward(shape, theta, t)
    errors = [0.0]
    for j, slots in enumerate(shape.slots[:-1]):
        s = shape.free[j]
        adjoint = 2 * state.folds[j][s] + theta[slots.o[s]]
        for i in range(s - 1, -1, -1):
            adjoint = adjoint * state.slopes[j][i] + theta[slots.o[i]]
        total = float(np.abs(adjoint).max()) * errors[j] + 0.5 * 4.0 ** -(levels[j] - s + 1)
        total += sum(abs(float(theta[k])) * errors[i] for i, k in enumerate(slots.b))
        errors.append(total / float(state.ranges[j][..., 0]))
    return errors
