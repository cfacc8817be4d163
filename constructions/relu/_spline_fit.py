"""Which parameters bring a chain of quotients on free knots close to a function? Variable projection, Levenberg-Marquardt.

Everything here is a guess (a heuristic): the network that follows is exact and its certificate decides. Deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from constructions.relu._spline_model import (
    Array,
    SplineShape,
    SplineState,
    forward,
    hat_values,
    knots,
    sensitivities,
    sensitivity_tangents,
    value_tangents,
)

FINER = 40  # points per cell on which fits are judged
SMALLEST = 1e-9  # cells shorter than this are refused: their knots would not be told apart
LEAST = 1e-18  # damping below which nothing changes
LARGEST = 1e10  # values beyond which too few of float64's digits are left
STEEPEST = 1e6  # ratio of the largest to the least s_j beyond which chains are refused


class Curve:
    """The function on [0, 1] that is approximated, with its derivative by central differences (it only steers)."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.value = function

    def slope(self, x: Array) -> Array:
        """About f'(x)."""
        h = 1e-6 * np.minimum(1.0, 1e-3 + np.minimum(x, 1 - x))
        low, high = np.maximum(x - h, 0.0), np.minimum(x + h, 1.0)
        return np.asarray((self.value(high) - self.value(low)) / (high - low))


@dataclass(frozen=True)
class SplineFit:
    """One chain: its shape, all parameters, its root mean square error on the points of the fit."""

    shape: SplineShape
    theta: Array
    rms: float


def admissible(shape: SplineShape, theta: Array) -> bool:
    """Whether all parameters are finite and the knots ascend."""
    return bool(np.isfinite(theta).all() and (np.diff(knots(shape, theta)) > SMALLEST).all())


def _sound(state: SplineState) -> bool:
    """Whether all s_j are positive, none of them steeper than STEEPEST, and all values are at most LARGEST."""
    values = [state.features, *state.ratios]
    return all(float(s.min()) > float(s.max()) / STEEPEST for s in state.bottoms) and all(
        bool(np.abs(v).max() < LARGEST) for v in values  # false for NaN
    )


def _projected(shape: SplineShape, theta: Array, curve: Curve, weights: Array) -> tuple[Array, float]:
    """The parameters with the best linear ones for these nonlinear ones, and the weighted sum of squares left."""
    with np.errstate(all="ignore"):
        state = forward(shape, theta, shape.hats)
        matrix, y = state.features, curve.value(shape.hats @ knots(shape, theta))
        if not (_sound(state) and np.isfinite(y).all()):
            return theta, np.inf
        matrix, y = matrix * weights[:, None], y * weights
        scale = np.abs(matrix).max(axis=0) + 1e-300
        try:
            u, s, vt = np.linalg.svd(matrix / scale, full_matrices=False)
        except np.linalg.LinAlgError:
            return theta, np.inf
        inverse = np.where(s > 1e-13 * s[0], 1 / s, 0.0)
        linear = vt.T @ (inverse * (u.T @ y)) / scale
        linear = linear + vt.T @ (inverse * (u.T @ (y - matrix @ linear))) / scale
    result = theta.copy()
    result[shape.nonlinear :] = linear
    rest = y - matrix @ linear
    return result, float(rest @ rest)


def _errors(shape: SplineShape, theta: Array, curve: Curve) -> tuple[Array, SplineState]:
    state = forward(shape, theta, shape.hats)
    return state.features @ theta[shape.nonlinear :] - curve.value(shape.hats @ knots(shape, theta)), state


def _jacobian(shape: SplineShape, theta: Array, curve: Curve, state: SplineState) -> Array:
    found = value_tangents(shape, theta, state)
    moved = curve.slope(shape.hats @ knots(shape, theta))
    found[:, : shape.cells - 1] -= moved[:, None] * shape.hats[:, 1:-1]
    return found


class _Damped:
    """Levenberg-Marquardt steps from one factored Jacobian, for any damping."""

    def __init__(self, jacobian: Array) -> None:
        self.scale = np.sqrt((jacobian * jacobian).sum(0)) + 1e-300
        q, r = np.linalg.qr(jacobian / self.scale)
        u, self.s, self.vt = np.linalg.svd(r)
        self.u = q @ u

    def step(self, errors: Array, damping: float) -> Array:
        """The step against these errors."""
        right = self.s * (self.u.T @ errors)
        return np.asarray(-(self.vt.T @ (right / (self.s**2 + damping * self.s[0] ** 2))) / self.scale)


def fitted(fit: SplineFit, curve: Curve, iterations: int, gain: float = 1e-3, weights: Array | None = None) -> SplineFit:
    """The fit after at most so many steps on the nonlinear parameters, the linear ones always the best.

    Ends after ten steps that each win less than the share `gain`. Cost: about 5 ms per step at 150 parameters.
    """
    shape, n = fit.shape, fit.shape.nonlinear
    w = np.ones(len(shape.hats)) if weights is None else weights
    theta, cost = _projected(shape, fit.theta, curve, w)
    damping, slow, made = 1e-3, 0, 0
    while made < iterations and np.isfinite(cost) and slow < 10:
        made += 1
        state = forward(shape, theta, shape.hats, tangents=True)
        errors = (state.features @ theta[shape.nonlinear :] - curve.value(shape.hats @ knots(shape, theta))) * w
        jacobian = _jacobian(shape, theta, curve, state) * w[:, None]
        base, _ = np.linalg.qr(jacobian[:, n:] / (np.abs(jacobian[:, n:]).max(0) + 1e-300))
        own = jacobian[:, :n] - base @ (base.T @ jacobian[:, :n])
        if not np.isfinite(own).all():
            break
        work, errors = _Damped(own), errors - base @ (base.T @ errors)
        for _ in range(25):
            trial = theta.copy()
            trial[:n] += work.step(errors, damping)
            trial, reached = _projected(shape, trial, curve, w) if admissible(shape, trial) else (trial, np.inf)
            if reached < cost:
                break
            damping *= 5
        else:
            break
        slow = slow + 1 if reached > cost * (1 - gain) else 0
        theta, cost, damping = trial, reached, max(damping / 5, LEAST)
    return SplineFit(shape, theta, _rms(shape, theta, curve))


def _rms(shape: SplineShape, theta: Array, curve: Curve) -> float:
    with np.errstate(all="ignore"):
        errors, _ = _errors(shape, theta, curve)
        size = float(np.sqrt(np.mean(errors * errors)))
    return size if size == size else np.inf


def shrunk(
    fit: SplineFit, curve: Curve, eps: float, iterations: int, levels: Array | None = None, weights: Array | None = None
) -> SplineFit:
    """The fit moved to where the units need fewer levels: (rms / eps)^2 / 2 + sum_j log rms E_j made smaller.

    E_j is the sensitivity of the output to unit j. With `levels` m_j given, the sum of mean squares of the errors
    E_j 4^-(m_j + 1) / 2 over eps takes the place of the logarithms: the least error for these levels.
    Gauss-Newton for both parts, the logarithms majorised by squares.
    """
    shape, theta = fit.shape, fit.theta
    root = (np.ones(len(shape.hats)) if weights is None else weights) / (eps * np.sqrt(len(shape.hats)))
    given = None if levels is None else 4.0 ** -(levels + 1) / (2 * eps * np.sqrt(len(root)))

    def cost(parameters: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):
            errors, state = _errors(shape, parameters, curve)
            if not _sound(state):
                return np.inf, root
            parts = np.array([(d * d).sum() for d in sensitivities(shape, parameters, state)])
            demand = np.log(parts).sum() if given is None else (given**2 * parts).sum()
            total = 0.5 * float(((root * errors) ** 2).sum() + demand)
        return (total if total == total else np.inf), root * errors

    now, _ = cost(theta)
    if not np.isfinite(now):
        return fit
    damping, slow = 1e-6, 0
    for _ in range(iterations):
        state = forward(shape, theta, shape.hats, tangents=True)
        errors = state.features @ theta[shape.nonlinear :] - curve.value(shape.hats @ knots(shape, theta))
        rows, right = [root[:, None] * _jacobian(shape, theta, curve, state)], [root * errors]
        for j, (value, turn) in enumerate(zip(*sensitivity_tangents(shape, theta, state), strict=True)):
            factor = 1 / np.sqrt((value * value).sum()) if given is None else given[j]
            rows.append(factor * turn)
            right.append(factor * value)
        matrix = np.vstack(rows)
        if not np.isfinite(matrix).all():
            break
        work, all_errors, zeros = _Damped(matrix), np.concatenate(right), np.zeros(len(matrix) - len(root))
        for _ in range(20):
            trial = theta + work.step(all_errors, damping)
            reached, rest = cost(trial) if admissible(shape, trial) else (np.inf, root)
            for _ in range(3 if np.isfinite(reached) else 0):  # back towards the valley of small errors
                back = trial + work.step(np.concatenate([rest, zeros]), damping)
                closer, left = cost(back) if admissible(shape, back) else (np.inf, rest)
                if not closer < reached:
                    break
                trial, reached, rest = back, closer, left
            if reached < now:
                break
            damping = max(damping, LEAST) * 4
        else:
            break
        slow = slow + 1 if reached > now - 1e-3 * (1 if given is None else now) else 0
        theta, now, damping = trial, reached, damping / 4
        if slow >= 8:
            break
    return SplineFit(shape, theta, _rms(shape, theta, curve))


def expected(fit: SplineFit, curve: Curve, levels: Array) -> float:
    """The largest error on finer points when every unit errs as much as its levels allow (a guess of the network's)."""
    _, errors, parts = judged(fit, curve)
    worst = float((errors + sum(np.abs(d) * c for d, c in zip(parts, 4.0 ** -(levels + 1) / 2, strict=True))).max())
    return worst if worst == worst else np.inf


def led(fit: SplineFit, curve: Curve, eps: float, levels: Array, rounds: int, iterations: int) -> SplineFit:
    """The fit moved to a smaller expected error for these levels, with Lawson's weights; the best of the rounds."""
    best, worst = fit, expected(fit, curve, levels)
    weights = np.ones(len(fit.shape.hats))
    for _ in range(rounds):
        errors = np.abs(_errors(fit.shape, fit.theta, curve)[0])
        weights = weights * np.sqrt(errors / (errors.max() + 1e-300) + 0.03)
        weights = weights / np.sqrt(np.mean(weights**2))
        fit = shrunk(fit, curve, eps, iterations, levels, weights)
        size = expected(fit, curve, levels)
        if size < worst:
            best, worst = fit, size
    return best


def balanced(fit: SplineFit, curve: Curve, rounds: int, iterations: int) -> SplineFit:
    """The fit with a smaller largest error: Lawson's weights, larger where the error is; the best of the rounds."""
    best, worst = fit, judged(fit, curve)[0]
    weights = np.ones(len(fit.shape.hats))
    for _ in range(rounds):
        errors = np.abs(_errors(fit.shape, fit.theta, curve)[0])
        weights = weights * np.sqrt(errors / (errors.max() + 1e-300) + 0.03)
        weights = weights / np.sqrt(np.mean(weights**2))
        fit = fitted(fit, curve, iterations, 1e-4, weights)
        size = judged(fit, curve)[0]
        if size < worst:
            best, worst = fit, size
    return best


def judged(fit: SplineFit, curve: Curve) -> tuple[float, Array, list[Array]]:
    """On finer points: the largest error, all errors, the sensitivities of the units."""
    shape = fit.shape
    fine = hat_values(shape.cells, FINER)
    with np.errstate(all="ignore"):
        state = forward(shape, fit.theta, fine)
        errors = np.abs(state.features @ fit.theta[shape.nonlinear :] - curve.value(fine @ knots(shape, fit.theta)))
        worst = float(errors.max()) if _sound(state) and admissible(shape, fit.theta) else np.inf
    return (worst if worst == worst else np.inf), errors, sensitivities(shape, fit.theta, state)


def finer(fit: SplineFit, cells: int, curve: Curve) -> SplineFit:
    """About the same chain with another number of cells: nodal values read off their even and their odd sequences.

    Good chains have a zig-zag in the ratio of their first unit, so that nodal values at even and at odd knots are two smooth
    sequences; either is interpolated at the places of the new knots. The same for the lengths of the cells.
    """
    old, new = fit.shape, SplineShape(cells, fit.shape.quotients)
    theta = np.zeros(new.size)
    middles = (np.arange(cells) + 0.5) * old.cells / cells - 0.5
    lengths = np.exp(_alternating(np.log(np.diff(knots(old, fit.theta))), middles))
    theta[: cells - 1] = (np.cumsum(lengths) / lengths.sum())[:-1]
    places = np.arange(cells + 1) * old.cells / cells
    for before, after in zip((*old.tops, *old.bottoms), (*new.tops, *new.bottoms), strict=True):
        if before is not None and after is not None:
            theta[after] = _alternating(fit.theta[before], places)
    for kept, same in zip((*old.alpha, *old.beta), (*new.alpha, *new.beta), strict=True):
        theta[list(same)] = fit.theta[list(kept)]
    theta, cost = _projected(new, theta, curve, np.ones(len(new.hats)))
    return SplineFit(new, theta, float(np.sqrt(cost / len(new.hats))))


def _alternating(values: Array, places: Array) -> Array:
    """The i-th result is read at the i-th place off the values of the parity of i."""
    result = np.empty(len(places))
    for parity in (0, 1):
        known = np.arange(parity, len(values), 2)
        if len(known) > 2:
            result[parity::2] = PchipInterpolator(known, values[known], extrapolate=True)(places[parity::2])
        elif len(known) == 2:
            slope = (values[known[1]] - values[known[0]]) / 2
            result[parity::2] = values[known[0]] + slope * (places[parity::2] - known[0])
        else:
            result[parity::2] = values[known[0] if len(known) else 0]
    return result
