"""Which parameters bring a chain of quotients on free knots close to a function? Variable projection, Levenberg-Marquardt.

Everything here is a guess (a heuristic): the network that follows is exact and its certificate decides. Deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.linalg.lapack import dpotrf, dpotrs

from constructions.relu._spline_model import (
    Array,
    SplineShape,
    SplineState,
    forward,
    hat_values,
    knots,
    output,
    places,
    sensitivities,
    sensitivity_tangents,
    value_tangents,
)

FINER = 40  # points per cell on which fits are judged
SMALLEST = 1e-9  # cells shorter than this are refused: their knots would not be told apart
LEAST = 1e-13  # the least damping: the normal equations are solved with it
FIRST = 1e-3  # the damping of the first step
LARGEST = 1e10  # values beyond which too few of float64's digits are left
STEEPEST = 1e6  # ratio of the largest to the least s_j beyond which chains are refused


class Curve:
    """The function on [0, 1] that is approximated, with its derivative by central differences (it only steers)."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.value = function

    def slope(self, x: Array) -> Array:
        """About f'(x)."""
        h = 1e-6 * np.minimum(1.0, 1e-3 + np.minimum(x, 1 - x))
        ends = np.stack([np.maximum(x - h, 0.0), np.minimum(x + h, 1.0)])
        low, high = self.value(ends.ravel()).reshape(ends.shape)
        return np.asarray((high - low) / (ends[1] - ends[0]))

    def on(self, shape: SplineShape, theta: Array) -> Array:
        """The values at the points of the fit of every chain."""
        x = places(shape, theta, shape.hats)
        return np.asarray(self.value(x.ravel())).reshape(x.shape)


@dataclass(frozen=True)
class SplineFit:
    """One chain: its shape, all parameters, its root mean square error on the points of the fit."""

    shape: SplineShape
    theta: Array
    rms: float


def admissible(shape: SplineShape, theta: Array) -> Array:
    """Whether all parameters are finite and the knots ascend, for every chain."""
    with np.errstate(invalid="ignore"):
        ascending = (np.diff(knots(shape, theta)) > SMALLEST).all(axis=-1)
    return np.asarray(np.isfinite(theta).all(axis=-1) & ascending)


def _sound(state: SplineState) -> Array:
    """Whether all s_j are positive, none of them steeper than STEEPEST, and all values are at most LARGEST."""
    good = np.abs(state.features).max(axis=(-1, -2)) < LARGEST  # false for NaN
    for s, z in zip(state.bottoms, state.ratios, strict=True):
        good &= s.min(axis=-1) > s.max(axis=-1) / STEEPEST
        good &= np.abs(z).max(axis=-1) < LARGEST
    return np.asarray(good)


def _projected(shape: SplineShape, theta: Array, curve: Curve, weights: Array) -> tuple[Array, Array]:
    """The parameters with the best linear ones for these nonlinear ones, and the weighted sums of squares left."""
    result, cost = theta.copy(), np.full(len(theta), np.inf)
    with np.errstate(all="ignore"):
        good = admissible(shape, theta)
        state, y = forward(shape, theta, shape.hats), curve.on(shape, theta)
        good &= _sound(state) & np.isfinite(y).all(axis=-1)
        if not good.any():
            return result, cost
        w = weights[good]
        matrix, y = state.features[good] * w[..., None], y[good] * w
        scale = np.abs(matrix).max(axis=1) + 1e-300
        try:
            u, s, vt = np.linalg.svd(matrix / scale[:, None], full_matrices=False)
        except np.linalg.LinAlgError:
            return result, cost
        inverse = np.where(s > 1e-13 * s[:, :1], 1 / s, 0.0)

        def best(values: Array) -> Array:
            inner = inverse * np.einsum("bpk,bp->bk", u, values)
            return np.einsum("bkl,bk->bl", vt, inner) / scale

        linear = best(y)
        linear = linear + best(y - np.einsum("bpl,bl->bp", matrix, linear))
        rest = y - np.einsum("bpl,bl->bp", matrix, linear)
    result[good, shape.nonlinear :] = linear
    cost[good] = (rest * rest).sum(axis=-1)
    return result, np.where(np.isfinite(cost), cost, np.inf)


def _errors(shape: SplineShape, theta: Array, curve: Curve, state: SplineState) -> Array:
    return output(shape, theta, state) - curve.on(shape, theta)


def _jacobian(shape: SplineShape, theta: Array, curve: Curve, state: SplineState) -> Array:
    found = value_tangents(shape, theta, state)
    moved = curve.slope(places(shape, theta, shape.hats))
    found[..., : shape.cells - 1] -= moved[..., None] * shape.hats[:, 1:-1]
    return found


class _Damped:
    """Levenberg-Marquardt steps from one Jacobian, for any damping >= LEAST: normal equations, refined once.

    Columns are scaled to norm 1, and damping is relative to the largest eigenvalue, so that Cholesky's method has at least
    three digits and one refinement gives twice as many, at less cost than an SVD.
    """

    def __init__(self, jacobian: Array) -> None:
        self.scale = np.sqrt((jacobian * jacobian).sum(0)) + 1e-300
        self.rows = jacobian / self.scale
        self.gram = self.rows.T @ self.rows
        self.top = _largest(self.gram)

    def step(self, errors: Array, damping: float) -> Array:
        """The step against these errors; NaN where the normal equations cannot be solved."""
        added = damping * self.top
        factor, failed = dpotrf(self.gram + added * np.eye(len(self.gram)), lower=1)
        if failed:
            return np.full(len(self.gram), np.nan)
        step, _ = dpotrs(factor, self.rows.T @ errors, lower=1)
        right = self.rows.T @ (errors - self.rows @ step) - added * step
        return np.asarray(-(step + dpotrs(factor, right, lower=1)[0]) / self.scale)


def _largest(gram: Array) -> float:
    """About the largest eigenvalue, from below, by the power method."""
    vector = np.ones(len(gram))
    for _ in range(12):
        vector = gram @ vector
        vector /= np.sqrt(vector @ vector) + 1e-300
    return float(vector @ gram @ vector)


def fitted(
    fits: Sequence[SplineFit], curve: Curve, iterations: int, gain: float = 1e-3, weights: Array | None = None
) -> list[SplineFit]:
    """The fits after at most so many steps on the nonlinear parameters, the linear ones always the best.

    A fit ends after ten steps that each win less than the share `gain`. All have the same shape and are led side by side,
    each with its own damping. Cost of a step: about 0.2 ms at 30 parameters, 2.5 ms at 200.
    """
    if not fits:
        return []
    shape, n = fits[0].shape, fits[0].shape.nonlinear
    w = np.ones((len(fits), len(shape.hats))) if weights is None else weights
    theta, cost = _projected(shape, np.stack([fit.theta for fit in fits]), curve, w)
    damping, slow = np.full(len(fits), FIRST), np.zeros(len(fits), dtype=int)
    active = np.flatnonzero(np.isfinite(cost))
    for _ in range(iterations):
        if not len(active):
            break
        here, v = theta[active], w[active]
        state = forward(shape, here, shape.hats, tangents=True)
        errors = _errors(shape, here, curve, state) * v
        jacobian = _jacobian(shape, here, curve, state) * v[..., None]
        base, _ = np.linalg.qr(jacobian[..., n:] / (np.abs(jacobian[..., n:]).max(axis=1, keepdims=True) + 1e-300))
        across = np.swapaxes(base, 1, 2)
        own = jacobian[..., :n] - base @ (across @ jacobian[..., :n])
        errors = errors - (base @ (across @ errors[..., None]))[..., 0]
        works = {k: (_Damped(j), e) for k, j, e in zip(active, own, errors, strict=True) if np.isfinite(j).all()}
        waiting, moved = list(works), []
        for _ in range(25):
            if not waiting:
                break
            trial = theta[waiting]
            for row, k in enumerate(waiting):
                work, against = works[k]
                trial[row, :n] += work.step(against, damping[k])
            trial, reached = _projected(shape, trial, curve, w[waiting])
            better = reached < cost[waiting]
            for row, k in enumerate(waiting):
                if better[row]:
                    slow[k] = slow[k] + 1 if reached[row] > cost[k] * (1 - gain) else 0
                    theta[k], cost[k], damping[k] = trial[row], reached[row], max(damping[k] / 5, LEAST)
                    moved.append(k)
                else:
                    damping[k] *= 5
            waiting = [k for k, won in zip(waiting, better, strict=True) if not won]
        active = np.array([k for k in sorted(moved) if slow[k] < 10], dtype=int)
    return _as_fits(shape, theta, curve)


def _as_fits(shape: SplineShape, theta: Array, curve: Curve) -> list[SplineFit]:
    with np.errstate(all="ignore"):
        errors = _errors(shape, theta, curve, forward(shape, theta, shape.hats))
        sizes = np.sqrt(np.mean(errors * errors, axis=-1))
    return [SplineFit(shape, t, size if size == size else np.inf) for t, size in zip(theta, sizes.tolist(), strict=True)]


def shrunk(
    fits: Sequence[SplineFit], curve: Curve, eps: Array | float, iterations: int, levels: Array | None = None,
    weights: Array | None = None,
) -> list[SplineFit]:  # fmt: skip
    """The fits moved to where the units need fewer levels: (rms / eps)^2 / 2 + sum_j log rms E_j made smaller.

    E_j is the sensitivity of the output to unit j; eps is one number, or one per fit. With `levels` m_j given, the sum of
    mean squares of the errors E_j 4^-(m_j + 1) / 2 over eps takes the place of the logarithms: the least error for these
    levels. Gauss-Newton for both parts, the logarithms majorised by squares.
    """
    if not fits:
        return []
    shape, points = fits[0].shape, len(fits[0].shape.hats)
    theta = np.stack([fit.theta for fit in fits])
    goal = np.broadcast_to(np.asarray(eps, dtype=float), (len(fits),))
    root = (np.ones((len(fits), points)) if weights is None else weights) / (goal[:, None] * np.sqrt(points))
    given = None if levels is None else 4.0 ** -(levels + 1) / (2 * goal[:, None] * np.sqrt(points))

    def cost(parameters: Array, which: list[int]) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            state = forward(shape, parameters, shape.hats)
            errors = root[which] * _errors(shape, parameters, curve, state)
            parts = np.stack([(d * d).sum(axis=-1) for d in sensitivities(shape, parameters, state)], axis=-1)
            demand = np.log(parts) if given is None else given[which] ** 2 * parts
            total = 0.5 * ((errors**2).sum(axis=-1) + demand.sum(axis=-1))
            good = admissible(shape, parameters) & _sound(state) & np.isfinite(total)
        return np.where(good, total, np.inf), errors

    now, _ = cost(theta, list(range(len(fits))))
    damping, slow = np.full(len(fits), 1e-6), np.zeros(len(fits), dtype=int)
    active = np.flatnonzero(np.isfinite(now)).tolist()
    for _ in range(iterations):
        if not active:
            break
        here = theta[active]
        state = forward(shape, here, shape.hats, tangents=True)
        rows = [root[active][..., None] * _jacobian(shape, here, curve, state)]
        right = [root[active] * _errors(shape, here, curve, state)]
        for j, (value, turn) in enumerate(zip(*sensitivity_tangents(shape, here, state), strict=True)):
            factor = 1 / np.sqrt((value * value).sum(axis=-1)) if given is None else given[active, j]
            rows.append(factor[:, None, None] * turn)
            right.append(factor[:, None] * value)
        matrices, errors = np.concatenate(rows, axis=1), np.concatenate(right, axis=1)
        works = {k: (_Damped(m), e) for k, m, e in zip(active, matrices, errors, strict=True) if np.isfinite(m).all()}
        waiting, moved = list(works), []
        for _ in range(20):
            if not waiting:
                break
            trial = theta[waiting] + np.stack([works[k][0].step(works[k][1], damping[k]) for k in waiting])
            reached, rest = cost(trial, waiting)
            going = [row for row in range(len(waiting)) if np.isfinite(reached[row])]
            for _ in range(3):  # back towards the valley of small errors
                if not going:
                    break
                against = np.zeros((len(going), errors.shape[1]))
                against[:, :points] = rest[going]
                which = [waiting[row] for row in going]
                steps = [works[k][0].step(e, damping[k]) for k, e in zip(which, against, strict=True)]
                back = trial[going] + np.stack(steps)
                closer, left = cost(back, which)
                won = [i for i, row in enumerate(going) if closer[i] < reached[row]]
                for i in won:
                    trial[going[i]], reached[going[i]], rest[going[i]] = back[i], closer[i], left[i]
                going = [going[i] for i in won]
            better = reached < now[waiting]
            for row, k in enumerate(waiting):
                if better[row]:
                    slow[k] = slow[k] + 1 if reached[row] > now[k] - 1e-3 * (1 if given is None else now[k]) else 0
                    theta[k], now[k], damping[k] = trial[row], reached[row], damping[k] / 4
                    moved.append(k)
                else:
                    damping[k] = max(damping[k], LEAST) * 4
            waiting = [k for k, won in zip(waiting, better, strict=True) if not won]
        active = [k for k in sorted(moved) if slow[k] < 8]
    return _as_fits(shape, theta, curve)


def expected(fit: SplineFit, curve: Curve, levels: Array) -> float:
    """The largest error on finer points when every unit errs as much as its levels allow (a guess of the network's)."""
    _, errors, parts = judged(fit, curve)
    worst = float((errors + sum(np.abs(d) * c for d, c in zip(parts, 4.0 ** -(levels + 1) / 2, strict=True))).max())
    return worst if worst == worst else np.inf


def led(fit: SplineFit, curve: Curve, eps: float, levels: Array, rounds: int, iterations: int) -> SplineFit:
    """The fit moved to a smaller expected error for these levels; the best of the rounds."""
    return _reweighted(
        fit,
        curve,
        rounds,
        lambda now, weights: shrunk([now], curve, eps, iterations, levels[None], weights)[0],
        lambda now: expected(now, curve, levels),
    )


def balanced(fit: SplineFit, curve: Curve, rounds: int, iterations: int) -> SplineFit:
    """The fit with a smaller largest error; the best of the rounds."""
    return _reweighted(
        fit,
        curve,
        rounds,
        lambda now, weights: fitted([now], curve, iterations, 1e-4, weights)[0],
        lambda now: judged(now, curve)[0],
    )


def _reweighted(
    fit: SplineFit, curve: Curve, rounds: int, moved: Callable[[SplineFit, Array], SplineFit],
    size: Callable[[SplineFit], float],
) -> SplineFit:  # fmt: skip
    """The best of the fits that follow from Lawson's weights, which grow where the error is large."""
    best, worst = fit, size(fit)
    weights = np.ones((1, len(fit.shape.hats)))
    for _ in range(rounds):
        state = forward(fit.shape, fit.theta, fit.shape.hats)
        errors = np.abs(_errors(fit.shape, fit.theta, curve, state))
        weights = weights * np.sqrt(errors / (errors.max() + 1e-300) + 0.03)
        weights = weights / np.sqrt(np.mean(weights**2))
        fit = moved(fit, weights)
        reached = size(fit)
        if reached < worst:
            best, worst = fit, reached
    return best


def judged(fit: SplineFit, curve: Curve) -> tuple[float, Array, list[Array]]:
    """On finer points: the largest error, all errors, the sensitivities of the units."""
    shape = fit.shape
    fine = hat_values(shape.cells, FINER)
    with np.errstate(all="ignore"):
        state = forward(shape, fit.theta, fine)
        errors = np.abs(output(shape, fit.theta, state) - curve.value(places(shape, fit.theta, fine)))
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
    [theta], [cost] = _projected(new, theta[None], curve, np.ones((1, len(new.hats))))
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
