"""Which chains are worth a closer look? Many seeded starts, thinned out in rounds while the demand on the fit grows.

A heuristic: nothing is proved here. Deterministic, work bounded by the counts below.
"""

from __future__ import annotations

import numpy as np

from constructions.relu._chain_fit import Fit, projected_fit, promise, shrink
from constructions.relu._chain_model import Array, Shape, admissible, embed

STARTS = 60  # times the number of squares
ROUNDS = (
    (48, 12.0, ((1000.0, 40), (100.0, 30))),
    (24, 25.0, ((30.0, 30), (10.0, 30), (3.0, 30))),
    (20, 40.0, ((1.0, 100),)),
    (6, 80.0, ((1.0, 300),)),
)  # per round: chains kept for it, price of a missing factor 4 of fit, and (demand on the fit over eps, iterations)


def starts(shape: Shape, t: Array, y: Array, number: int, seed: int, previous: list[Fit]) -> list[Fit]:
    """`number` rough fits from seeded random starts, half of them extending fits with one square less."""
    rng = np.random.default_rng([seed, shape.squares, shape.hinges])
    weights = np.full(len(t), 1 / len(t))
    found: list[Fit] = []
    for k in range(number if shape.nonlinear else 1):
        theta = _random(shape, rng)
        if previous and k % 2:
            old = previous[int(rng.integers(len(previous)))]
            values, copied = embed(old.shape, old.theta, shape)
            theta = np.where(copied, values, theta)
        fit = projected_fit(shape, admissible(shape, theta), t, y, weights, 25)
        if fit is not None:
            found.append(fit)
    return found


def _random(shape: Shape, rng: np.random.Generator) -> Array:
    theta = rng.normal(size=shape.nonlinear) * 10 ** rng.uniform(-1, 1, size=shape.nonlinear)
    n = len(shape.kappa)
    for i, k in enumerate(shape.kappa):
        theta[k] = (i + 1) / (n + 1) + 0.1 * rng.uniform(-1, 1)
    for slots in shape.slots:
        theta[list(slots.h)] *= 0.3
    return theta


def explore(t: Array, y: Array, eps: float, largest: int = 6, number: int = STARTS, seed: int = 5) -> list[Fit]:
    """The most promising fits of the values y on the grid t for accuracy eps, best first.

    Chains without hinges grow until one square more no longer promises fewer weights; then hinges are tried.
    Cost: about `number` * K rough fits of 25 steps for every K and number of hinges tried, then the ROUNDS.
    """
    search = _Search(t, y, eps, number, seed)
    promises = [np.inf]
    for k in range(1, largest + 1):
        promises.append(search.grow(k, 0))
        if promises[-1] > min(promises) + 25 and search.close_enough():
            break
    best = int(np.argmin(promises))
    for h in (1, 2):
        for k in range(1, best + 1):
            search.grow(k, h)
    fits, close = search.pool, search.close
    for kept, price, schedule in ROUNDS:
        if schedule[0][0] == 1.0:
            fits, close = fits + close, []
        fits = _different([(promise(f, t, eps, price), f) for f in fits], kept)
        for demand, iterations in schedule:
            fits = [shrink(f, t, y, demand * eps, iterations) if f.rms < 1e3 * demand * eps else f for f in fits]
    return sorted(fits, key=lambda f: promise(f, t, eps, 80.0))


class _Search:
    """The pools of rough and of polished fits, and how they grow by one number of squares and hinges."""

    def __init__(self, t: Array, y: Array, eps: float, number: int, seed: int) -> None:
        self.t, self.y, self.eps, self.number, self.seed = t, y, eps, number, seed
        self.pool: list[Fit] = []
        self.close: list[Fit] = []
        self.previous: dict[int, list[Fit]] = {}

    def grow(self, squares: int, hinges: int) -> float:
        """Adds fits with so many squares and hinges; returns their best promise."""
        shape = Shape((0,) * squares, hinges)
        found = starts(shape, self.t, self.y, self.number * squares, self.seed, self.previous.get(hinges, []))
        weights = np.full(len(self.t), 1 / len(self.t))
        rough = _different([(float(np.log(f.rms + 1e-300)), f) for f in found], 10)
        polished = [projected_fit(shape, f.theta, self.t, self.y, weights, 100) for f in rough]
        best = sorted([f for f in polished if f is not None], key=lambda f: f.rms)
        self.previous[hinges] = best[:4]
        self.pool += found
        self.close += best[:4]
        return min((promise(f, self.t, self.eps, 50.0) for f in best), default=np.inf)

    def close_enough(self) -> bool:
        """Whether some polished fit leaves most of eps to the squares."""
        return any(f.rms <= 0.2 * self.eps for f in self.close)


def _different(pool: list[tuple[float, Fit]], kept: int) -> list[Fit]:
    """The best `kept` of the pool without repetitions, no shape with more than its share of two thirds."""
    chosen: list[tuple[float, Fit]] = []
    pool = sorted((p for p in pool if np.isfinite(p[0])), key=lambda p: p[0])
    shapes = len({f.shape for _, f in pool})
    for share in (max(2, kept // max(1, shapes)), 2 * kept // 3):
        for value, fit in pool:
            if len(chosen) < kept and not any(
                abs(value - v) < 0.02 and fit.shape == f.shape for v, f in chosen
            ) and sum(f.shape == fit.shape for _, f in chosen) < share:
                chosen.append((value, fit))
    return [f for _, f in chosen]
