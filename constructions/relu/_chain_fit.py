"""Which parameters make a chain of squares close to a function? Variable projection and Levenberg-Marquardt.

Everything here is a guess (a heuristic): the network that follows from it is exact and its certificate decides.
Deterministic: fixed seeds, work bounded by counts, no clocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constructions.relu._chain_model import Array, Shape, add_fold, admissible, evaluate, features, forward

STEP = 1e-30  # complex step: derivatives without cancellation


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
    """The residual of the best linear output parameters, and what Kaufman's Jacobian needs."""

    def __init__(self, shape: Shape, theta: Array, t: Array, y: Array, root: Array) -> None:
        matrix = features(shape, theta, t) * root[:, None]
        self.ok = bool(np.isfinite(matrix).all())
        self.cost = np.inf
        if not self.ok:
            return
        scale = np.sqrt((matrix * matrix).sum(0)) + 1e-300
        u, s, vt = np.linalg.svd(matrix / scale, full_matrices=False)
        keep = s > 1e-13 * s[0]
        self.u = u[:, keep]
        target = y * root
        first = self.u.T @ target
        second = self.u.T @ (target - self.u @ first)  # one step of iterative refinement
        self.residual = target - self.u @ first - self.u @ second
        self.linear = (vt[keep].T @ ((first + second) / s[keep])) / scale
        self.cost = float(self.residual @ self.residual)


def projected_fit(shape: Shape, theta: Array, t: Array, y: Array, weights: Array, iterations: int) -> Fit | None:
    """The Fit after at most `iterations` steps of Levenberg-Marquardt on the nonlinear parameters (None on failure)."""
    root = np.sqrt(weights)
    state = _Projected(shape, theta, t, y, root)
    if not state.ok:
        return None
    n, damping, slow = shape.nonlinear, 1e-2, 0
    for _ in range(iterations if n else 0):
        points = np.tile(theta.astype(complex), (n, 1))
        points[np.arange(n), np.arange(n)] += STEP * 1j
        parts = forward(shape, points, t).features
        jacobian = np.imag(sum(c * f for c, f in zip(state.linear, parts, strict=True))).T / STEP * root[:, None]
        for _ in range(2):
            jacobian = jacobian - state.u @ (state.u.T @ jacobian)
        scale = np.sqrt((jacobian * jacobian).sum(0)) + 1e-300
        if not np.isfinite(scale).all():
            break
        u, s, vt = np.linalg.svd(jacobian / scale, full_matrices=False)
        right, accepted = u.T @ state.residual, None
        for _ in range(8):
            step = vt.T @ (s / (s * s + damping * damping) * right) / scale
            step /= max(1.0, float(np.abs(step).max()))
            trial = admissible(shape, theta + step)
            candidate = _Projected(shape, trial, t, y, root)
            if candidate.cost < state.cost:
                accepted = candidate
                break
            damping = min(4 * damping + 1e-14, 1e3)
        if accepted is None:
            break
        slow = slow + 1 if state.cost - accepted.cost < 3e-4 * state.cost else 0
        theta, state, damping = trial, accepted, max(damping / 5, 1e-15)
        if slow >= 8:
            break
    return Fit(shape, np.concatenate([theta, state.linear]), float(np.sqrt(state.cost)))


def folded(fit: Fit, j: int, t: Array, y: Array, iterations: int) -> Fit | None:
    """The fit with one more free fold in gadget j, improved by `iterations` steps."""
    shape, theta = add_fold(fit.shape, fit.theta, j)
    return projected_fit(shape, theta, t, y, np.full(len(t), 1 / len(t)), iterations)


def shrink(
    fit: Fit, t: Array, y: Array, eps: float, iterations: int, share: float = 0.12, levels: Array | None = None
) -> Fit:
    """The fit moved to where the squares need fewer levels: minimises (rms / (share eps))^2 / 2 + sum_j log C_j.

    C_j is the p-norm (p = 10) of the sensitivity to square j. With `levels` m_j given, K log sum_j C_j 4^(s_j - m_j)
    takes the place of sum_j log C_j: the least error for these levels. Gauss-Newton for the residual, gradient for the rest,
    both by complex steps, Levenberg damping.
    """
    shape, parameters = fit.shape, fit.parameters.copy()
    n, damping, slow = len(parameters), 1e-3, 0
    root = np.full(len(t), 1 / (share * eps * np.sqrt(len(t))))
    powers = None if levels is None else 4.0 ** (np.array(shape.free) - levels)
    cost, residual = _penalty(shape, parameters, t, y, root, powers)
    for _ in range(iterations):
        points = np.tile(parameters.astype(complex), (n, 1))
        points[np.arange(n), np.arange(n)] += STEP * 1j
        values, parts = evaluate(shape, points, t)
        jacobian = values.imag.T / STEP * root[:, None]
        gradient = np.asarray(_demand(parts, powers)).imag / STEP
        scale = np.sqrt((jacobian * jacobian).sum(0)) + 1e-300
        if not (np.isfinite(scale).all() and np.isfinite(gradient).all()):
            break
        u, s, vt = np.linalg.svd(jacobian / scale, full_matrices=False)
        right = s * (u.T @ residual) - vt @ (gradient / scale)
        trial_cost = np.inf
        for _ in range(10):
            step = vt.T @ (right / (s * s + damping * damping)) / scale
            largest = float(np.abs(step[: shape.nonlinear]).max()) if shape.nonlinear else 0.0
            trial = admissible(shape, parameters + step * (0.3 / max(0.3, largest)))
            trial_cost, trial_residual = _penalty(shape, trial, t, y, root, powers)
            for _ in range(4):  # back towards the curved valley of small residuals, with the same Jacobian
                if not np.isfinite(trial_cost):
                    break
                step = vt.T @ (s / (s * s + damping * damping) * (u.T @ trial_residual)) / scale
                corrected = admissible(shape, trial + step)
                corrected_cost, corrected_residual = _penalty(shape, corrected, t, y, root, powers)
                if not corrected_cost < trial_cost:
                    break
                trial, trial_cost, trial_residual = corrected, corrected_cost, corrected_residual
            if trial_cost < cost:
                break
            damping *= 3
        if not trial_cost < cost:
            break
        slow = slow + 1 if cost - trial_cost < 1e-3 else 0
        parameters, cost, residual, damping = trial, trial_cost, trial_residual, max(damping / 3, 1e-14)
        if slow >= 8:
            break
    rms = float(np.sqrt(residual @ residual)) * share * eps
    return Fit(shape, parameters, rms)


def _penalty(
    shape: Shape, parameters: Array, t: Array, y: Array, root: Array, powers: Array | None
) -> tuple[float, Array]:
    values, parts = evaluate(shape, parameters, t)
    residual = (y - values) * root
    total = 0.5 * float(residual @ residual) + float(_demand(parts, powers))
    return (total if np.isfinite(total) else np.inf), residual


def _demand(parts: list[Array], powers: Array | None) -> Array:
    logs = [_log_norm(d) for d in parts]
    if powers is None:
        return np.asarray(sum(logs))
    scaled = [v + np.log(p) for v, p in zip(logs, powers, strict=True)]
    top = np.max([v.real for v in scaled], axis=0)
    return np.asarray(len(parts) * (top + np.log(sum(np.exp(v - top) for v in scaled))))


def _log_norm(d: Array) -> Array:
    size = np.where(d.real < 0, -d, d)
    peak = size.real.max(-1, keepdims=True)
    square = (size / peak) ** 2
    fourth = square * square
    return np.asarray(np.log(peak[..., 0]) + np.log((fourth * fourth * square).mean(-1)) / 10)


def real_levels(fit: Fit, t: Array, y: Array, eps: float) -> tuple[float, Array]:
    """The weights, and the levels as real numbers, at which fit error and square errors together are eps on the grid.

    Square j, centred, contributes |dy/dq_j| 4^-(m_j - s_j + 1) / 2. Infinite where the fit alone exceeds eps.
    """
    values, parts = evaluate(fit.shape, fit.parameters, t)
    residual = np.abs(values - y)
    tops = np.array([np.abs(d).max() for d in parts])
    free = np.array(fit.shape.free)
    if not (residual.max() < eps and np.isfinite(tops).all() and (tops > 0).all()):
        return np.inf, free
    envelope = sum(np.abs(d) / c for d, c in zip(parts, tops, strict=True))
    common = float(((eps - residual) / envelope).min())
    levels = np.maximum(free - 1 + np.log(tops / (2 * common)) / np.log(4), free + 1)
    return float((5 * levels - 2).sum()) + fit.shape.extra, levels


def promise(fit: Fit, t: Array, eps: float, price: float = 8.0) -> float:
    """A guess of the weights that the fit may lead to: those of its squares, plus `price` per missing factor 4 of fit."""
    parts = evaluate(fit.shape, fit.parameters, t)[1]
    tops = np.array([np.abs(d).max() for d in parts])
    if not (np.isfinite(tops).all() and (tops > 0).all()):
        return np.inf
    levels = np.array(fit.shape.free) - 1 + np.log(fit.shape.squares * tops / (1.5 * eps)) / np.log(4)
    levels = np.maximum(levels, 1)
    missing = max(0.0, float(np.log(fit.rms / (0.15 * eps)) / np.log(4))) if fit.rms > 0 else 0.0
    return float((5 * levels - 2).sum()) + fit.shape.extra + price * missing
