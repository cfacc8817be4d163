"""Which parameters make a chain of squares close to a function? Variable projection and Levenberg-Marquardt.

Everything here is a guess (a heuristic): the network that follows from it is exact and its certificate decides.
Deterministic: fixed seeds, work bounded by counts, no clocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constructions.relu._chain_model import Array, Shape, State, add_fold, admissible, evaluate, features
from constructions.relu._chain_tangents import sensitivity_tangents, tangents, value_tangents


@dataclass
class Fit:
    """One fitted chain: its shape, all parameters, and its root mean square error on the grid."""

    shape: Shape
    parameters: Array
    rms: float

    @property
    def theta(self) -> Array:
        """The nonlinear parameters."""
        return self.parameters[: self.shape.nonlinear]


def chebyshev_grid(n: int) -> Array:
    """The n Chebyshev extreme points of [0, 1], end points included."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.arange(n) / (n - 1)))


class _Projected:
    """Of B chains of one shape: the residuals of the best linear output parameters, and what Kaufman's Jacobian needs."""

    def __init__(self, shape: Shape, thetas: Array, t: Array, y: Array) -> None:
        root = 1 / np.sqrt(len(t))
        matrix = features(shape, thetas, t) * root
        finite = np.isfinite(matrix).all(axis=(1, 2))
        matrix[~finite] = 0
        scale = np.sqrt((matrix * matrix).sum(1)) + 1e-300
        u, s, vt = np.linalg.svd(matrix / scale[:, None], full_matrices=False)
        keep = s > 1e-13 * s[:, :1]
        self.u = u * keep[:, None]
        target = np.broadcast_to(y * root, (len(thetas), len(t)))
        first = _times(self.u, target, transposed=True)
        second = _times(self.u, target - _times(self.u, first), transposed=True)  # one step of iterative refinement
        self.residual = target - _times(self.u, first) - _times(self.u, second)
        inverse = np.divide(1, s, out=np.zeros_like(s), where=keep)
        self.linear = _times(vt, (first + second) * inverse, transposed=True) / scale
        self.cost = np.where(finite, (self.residual**2).sum(1), np.inf)

    def put(self, places: Array, other: _Projected, chosen: Array) -> None:
        """Replaces the chains at `places` by those of `other` that are chosen."""
        for name in ("u", "residual", "linear", "cost"):
            getattr(self, name)[places] = getattr(other, name)[chosen]


def _times(matrices: Array, vectors: Array, transposed: bool = False) -> Array:
    """The products of B matrices (or their transposes) with B vectors."""
    return np.asarray(np.matmul(matrices.swapaxes(1, 2) if transposed else matrices, vectors[..., None])[..., 0])


class _Steps:
    """Levenberg-Marquardt for B problems side by side: factored Jacobians, dampings, and who is still at work."""

    def __init__(self, count: int, n: int, damping: float, iterations: int, patience: int) -> None:
        self.active = np.full(count, iterations > 0 and n > 0)
        self.stale = np.ones(count, dtype=bool)  # the Jacobian does not belong to the present parameters
        self.damping = np.full(count, damping)
        self.made, self.refused, self.slow = (np.zeros(count, dtype=int) for _ in range(3))
        self.iterations, self.patience = iterations, patience
        self.vt, self.s, self.right = np.zeros((count, n, n)), np.zeros((count, n)), np.zeros((count, n))
        self.scale = np.ones((count, n))

    def fresh(self) -> Array:
        """The problems that need a new Jacobian and may still have one."""
        self.active &= ~(self.stale & (self.made >= self.iterations))
        return np.flatnonzero(self.active & self.stale)

    def factor(self, places: Array, jacobian: Array, residual: Array, gradient: Array | None = None) -> Array:
        """Stores the factored Jacobians (B, N, n) and right-hand sides; returns U (B, N, n)."""
        scale = np.sqrt((jacobian * jacobian).sum(1)) + 1e-300
        finite = np.isfinite(scale).all(1) & (gradient is None or np.isfinite(gradient).all(1))
        scaled = np.where(finite[:, None, None], jacobian / scale[:, None], 0)
        u, s, vt = np.linalg.svd(scaled, full_matrices=False)
        right = s * _times(u, residual, transposed=True)
        if gradient is not None:
            right = right - _times(vt, np.where(finite[:, None], gradient / scale, 0))
        self.vt[places], self.s[places], self.right[places], self.scale[places] = vt, s, right, scale
        self.active[places] &= finite
        self.stale[places] = False
        self.made[places] += 1
        return np.asarray(u)

    def steps(self, places: Array, right: Array) -> Array:
        """The damped steps for these right-hand sides (which hold the factor s)."""
        s, damping = self.s[places], self.damping[places, None]
        return _times(self.vt[places], right / (s * s + damping * damping), transposed=True) / self.scale[places]

    def judge(self, places: Array, better: Array, progress: Array, up: float, down: float, tries: int) -> None:
        """Damping after the trials: `better` ones were accepted, `progress` says which of them came forward."""
        won, lost = places[better], places[~better]
        self.damping[won] = np.maximum(self.damping[won] / down, 1e-15)
        self.damping[lost] = np.minimum(up * self.damping[lost] + 1e-14, 1e3)
        self.refused[won] = 0
        self.refused[lost] += 1
        self.stale[won] = True
        self.slow[won] = np.where(progress[better], 0, self.slow[won] + 1)
        self.active[won] &= self.slow[won] < self.patience
        self.active[lost] &= self.refused[lost] < tries


def projected_fits(shape: Shape, thetas: Array, t: Array, y: Array, iterations: int) -> list[Fit | None]:
    """The Fits after at most `iterations` steps of Levenberg-Marquardt on the nonlinear parameters (None on failure)."""
    thetas = np.array(thetas, dtype=float)
    state = _Projected(shape, thetas, t, y)
    n = shape.nonlinear
    work = _Steps(len(thetas), n, 1e-2, iterations, 8)
    work.active &= np.isfinite(state.cost)
    while True:
        fresh = work.fresh()
        if len(fresh):
            moved = value_tangents(shape, state.linear[fresh], tangents(shape, thetas[fresh], t))
            jacobian = moved.swapaxes(1, 2) / np.sqrt(len(t))
            u = state.u[fresh]
            for _ in range(2):
                jacobian = jacobian - u @ (u.swapaxes(1, 2) @ jacobian)
            work.factor(fresh, jacobian, state.residual[fresh])
        places = np.flatnonzero(work.active)
        if not len(places):
            break
        step = work.steps(places, work.right[places])
        step /= np.maximum(1.0, np.abs(step).max(axis=1))[:, None]
        trial = admissible(shape, thetas[places] + step)
        candidate = _Projected(shape, trial, t, y)
        gain = state.cost[places] - candidate.cost
        better = gain > 0
        work.judge(places, better, gain >= 3e-4 * state.cost[places], 4, 5, 8)
        thetas[places[better]] = trial[better]
        state.put(places[better], candidate, better)
    rows = zip(thetas, state.linear, state.cost, strict=True)
    return [Fit(shape, np.concatenate([p, q]), float(np.sqrt(c))) if np.isfinite(c) else None for p, q, c in rows]


def projected_fit(shape: Shape, theta: Array, t: Array, y: Array, iterations: int) -> Fit | None:
    """`projected_fits` of one chain."""
    return projected_fits(shape, theta[None], t, y, iterations)[0]


def folded(fit: Fit, j: int, t: Array, y: Array, iterations: int) -> Fit | None:
    """The fit with one more free fold in gadget j, improved by `iterations` steps."""
    shape, theta = add_fold(fit.shape, fit.theta, j)
    return projected_fit(shape, theta, t, y, iterations)


def shrink_all(
    fits: list[Fit], t: Array, y: Array, eps: float, iterations: int, share: float = 0.12, levels: Array | None = None
) -> list[Fit]:
    """The fits (of one shape) moved to where the squares need fewer levels.

    Minimises (rms / (share eps))^2 / 2 + sum_j log C_j, C_j the p-norm (p = 10) of the sensitivity to square j. With
    `levels` m_j given, K log sum_j C_j 4^(s_j - m_j) takes the place of sum_j log C_j: the least error for these levels.
    Gauss-Newton for the residual, gradient for the rest, Levenberg damping.
    """
    shape, parameters = fits[0].shape, np.stack([f.parameters for f in fits])
    n = parameters.shape[1]
    root = 1 / (share * eps * np.sqrt(len(t)))
    powers = None if levels is None else 4.0 ** (np.array(shape.free) - levels)
    cost, residual = _penalty(shape, parameters, t, y, root, powers)
    work = _Steps(len(fits), n, 1e-3, iterations, 8)
    u = np.zeros((len(fits), len(t), n))
    while True:
        fresh = work.fresh()
        if len(fresh):
            jacobian, gradient = _derivatives(shape, parameters[fresh], t, powers)
            u[fresh] = work.factor(fresh, jacobian * root, residual[fresh], gradient)
        places = np.flatnonzero(work.active)
        if not len(places):
            break
        step = work.steps(places, work.right[places])
        largest = np.abs(step[:, : shape.nonlinear]).max(axis=1, initial=0.0)
        trial = admissible(shape, parameters[places] + step * (0.3 / np.maximum(0.3, largest))[:, None])
        trial_cost, trial_residual = _penalty(shape, trial, t, y, root, powers)
        for _ in range(4):  # back towards the curved valley of small residuals, with the same Jacobian
            back = work.steps(places, work.s[places] * _times(u[places], trial_residual, transposed=True))
            corrected = admissible(shape, trial + back)
            corrected_cost, corrected_residual = _penalty(shape, corrected, t, y, root, powers)
            closer = corrected_cost < trial_cost
            if not closer.any():
                break
            trial[closer], trial_cost[closer] = corrected[closer], corrected_cost[closer]
            trial_residual[closer] = corrected_residual[closer]
        gain = cost[places] - trial_cost
        better = gain > 0
        work.judge(places, better, gain >= 1e-3, 3, 3, 10)
        parameters[places[better]], cost[places[better]] = trial[better], trial_cost[better]
        residual[places[better]] = trial_residual[better]
    sizes = np.sqrt((residual**2).sum(1)) * share * eps
    return [Fit(shape, p, float(r)) for p, r in zip(parameters, sizes, strict=True)]


def shrink(fit: Fit, t: Array, y: Array, eps: float, iterations: int, levels: Array | None = None) -> Fit:
    """`shrink_all` of one fit."""
    return shrink_all([fit], t, y, eps, iterations, levels=levels)[0]


def _penalty(
    shape: Shape, parameters: Array, t: Array, y: Array, root: float, powers: Array | None
) -> tuple[Array, Array]:
    values, parts = evaluate(shape, parameters, t)
    residual = (y - values) * root
    total = 0.5 * (residual * residual).sum(-1) + _demand(parts, powers)
    finite = np.isfinite(total)
    return np.where(finite, total, np.inf), np.where(finite[:, None], residual, 0)


def _derivatives(shape: Shape, parameters: Array, t: Array, powers: Array | None) -> tuple[Array, Array]:
    """Of B chains (B, P): the derivatives (B, N, P) of their values and (B, P) of their demands, by all parameters."""
    n = shape.nonlinear
    found = tangents(shape, parameters[:, :n], t)
    own = value_tangents(shape, parameters[:, n:], found)
    jacobian = np.concatenate([own, np.stack(found.state.features, axis=1)], axis=1)
    values, moving = sensitivity_tangents(shape, parameters, found)
    size = np.stack(values)
    peak = np.abs(size).max(axis=-1, keepdims=True)
    ratio = size / peak
    eighth = np.square(np.square(np.square(ratio)))
    weights = eighth * ratio / (peak * (eighth * ratio * ratio).sum(axis=-1, keepdims=True))
    shares = _shares(_log_norms(size), powers)
    gradient = sum(_times(d, w * c[:, None]) for d, w, c in zip(moving, weights, shares, strict=True))
    return jacobian.swapaxes(1, 2), np.asarray(gradient)


def _demand(parts: list[Array], powers: Array | None) -> Array:
    logs = _log_norms(np.stack(parts))
    if powers is None:
        return np.asarray(logs.sum(0))
    scaled = logs + np.log(powers).reshape(-1, *[1] * (logs.ndim - 1))
    top = scaled.max(0)
    return np.asarray(len(parts) * (top + np.log(np.exp(scaled - top).sum(0))))


def _shares(logs: Array, powers: Array | None) -> Array:
    """The derivatives (K, B) of the demands by their logarithms (K, B)."""
    if powers is None:
        return np.ones(logs.shape)
    scaled = logs + np.log(powers)[:, None]
    scaled = np.exp(scaled - scaled.max(axis=0))
    return np.asarray(len(logs) * scaled / scaled.sum(axis=0))


def _log_norms(d: Array) -> Array:
    size = np.abs(d)
    peak = size.max(-1, keepdims=True)
    square = (size / peak) ** 2
    fourth = square * square
    return np.asarray(np.log(peak[..., 0]) + np.log((fourth * fourth * square).mean(-1)) / 10)


def expected_error(fit: Fit, t: Array, y: Array, levels: Array) -> float:
    """The error on the grid when every square errs as much as its levels allow (a guess of what the network has)."""
    values, parts = evaluate(fit.shape, fit.parameters, t)
    sizes = 0.5 * 4.0 ** (np.array(fit.shape.free) - 1 - levels)
    worst = float((np.abs(values - y) + sum(np.abs(d) * c for d, c in zip(parts, sizes, strict=True))).max())
    return worst if np.isfinite(worst) else np.inf


def real_levels(fit: Fit, t: Array, y: Array, eps: float, like: State | None = None) -> tuple[float, Array]:
    """The weights, and the levels as real numbers, at which fit error and square errors together are eps on the grid.

    Square j, centred, contributes |dy/dq_j| 4^-(m_j - s_j + 1) / 2. Infinite where the fit alone exceeds eps.
    """
    values, parts = evaluate(fit.shape, fit.parameters, t, like)
    residual = np.abs(values - y)
    tops = np.array([np.abs(d).max() for d in parts])
    free = np.array(fit.shape.free)
    if not (residual.max() < eps and np.isfinite(tops).all() and (tops > 0).all()):
        return np.inf, free
    envelope = sum(np.abs(d) / c for d, c in zip(parts, tops, strict=True))
    common = float(((eps - residual) / envelope).min())
    levels = np.maximum(free - 1 + np.log(tops / (2 * common)) / np.log(4), free + 1)
    return float((5 * levels - 2).sum()) + fit.shape.extra, levels


def promise(fit: Fit, t: Array, eps: float, price: float = 8.0, like: State | None = None) -> float:
    """A guess of the weights that the fit may lead to: those of its squares, plus `price` per missing factor 4 of fit."""
    parts = evaluate(fit.shape, fit.parameters, t, like)[1]
    tops = np.array([np.abs(d).max() for d in parts])
    if not (np.isfinite(tops).all() and (tops > 0).all()):
        return np.inf
    levels = np.array(fit.shape.free) - 1 + np.log(fit.shape.squares * tops / (1.5 * eps)) / np.log(4)
    levels = np.maximum(levels, 1)
    missing = max(0.0, float(np.log(fit.rms / (0.15 * eps)) / np.log(4))) if fit.rms > 0 else 0.0
    return float((5 * levels - 2).sum()) + fit.shape.extra + price * missing
