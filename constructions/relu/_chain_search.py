"""Which chains are worth a closer look? Many seeded starts, thinned out in rounds while the demand on the fit grows.

A heuristic: nothing is proved here. Deterministic, work bounded by the counts below.
"""

from __future__ import annotations

import numpy as np

from constructions.relu._chain_fit import Fit, projected_fit, promise, shrink
from constructions.relu._chain_model import Array, Shape, admissible, embed

STARTS = 100  # times the number of squares
ROUNDS = (
    (60, 8.0, ((300.0, 15), (30.0, 15))),
    (24, 15.0, ((5.0, 25),)),
    (24, 30.0, ((1.0, 80),)),
    (6, 80.0, ((1.0, 300),)),
)  # per round: chains kept for it, price of a missing factor 4 of fit, and (demand on the fit over eps, iterations)


def starts(shape: Shape, t: Array, y: Array, number: int, seed: int, previous: list[Fit]) -> list[Fit]:
    """`number` rough fits from seeded random starts.

    Of six starts two are moderate, three extend a fit with one square less, and one has parameters of very different
    sizes and is hardly fitted: such chains may have small later squares.
    """
    rng = np.random.default_rng([seed, shape.squares, shape.hinges])
    weights = np.full(len(t), 1 / len(t))
    found: list[Fit] = []
    for k in range(number if shape.nonlinear else 1):
        theta = _random(shape, rng, wide=k % 6 == 5 or (previous != [] and k % 2 == 0))
        if previous and k % 2 == 0:
            old = previous[int(rng.integers(len(previous)))]
            values, copied = embed(old.shape, old.theta, shape)
            theta = np.where(copied, values, theta)
        iterations = 10 if k % 6 < 5 else 4
        fit = projected_fit(shape, admissible(shape, theta), t, y, weights, iterations)
        if fit is not None:
            found.append(fit)
    return found


def _random(shape: Shape, rng: np.random.Generator, wide: bool) -> Array:
    theta = rng.normal(size=shape.nonlinear) * 10 ** (wide * rng.uniform(-1, 1, size=shape.nonlinear))
    n = len(shape.kappa)
    for i, k in enumerate(shape.kappa):
        theta[k] = (i + 1) / (n + 1) + 0.1 * rng.uniform(-1, 1)
    for slots in shape.slots:
        theta[list(slots.h)] *= 0.3
    return theta


def explore(t: Array, y: Array, eps: float, largest: int = 6, number: int = STARTS, seed: int = 5) -> list[Fit]:
    """The most promising fits of the values y on the grid t for accuracy eps, best first.

    Chains without hinges grow until a fit leaves most of eps to the squares; then hinges are tried with fewer squares.
    Cost: about `number` * K rough fits of 25 steps for every K and number of hinges tried, then the ROUNDS.
    """
    search = _Search(t, y, eps, number, seed)
    promises = [np.inf]
    for k in range(1, largest + 1):
        promises.append(search.grow(k, 0))
        if search.close_enough():
            break
    best = int(np.argmin(promises))
    for h in (1, 2):
        for k in range(max(1, best - 2), best + 1):
            search.grow(k, h)
    fits = search.narrowed()
    if 2 <= best <= 3:
        fits += roam(Shape((0,) * best), t, y, eps, (number + 1) // 2, seed)
    return sorted(fits, key=lambda f: promise(f, t, eps, 80.0))


def roam(shape: Shape, t: Array, y: Array, eps: float, number: int, seed: int) -> list[Fit]:
    """Fits from wide starts that are led to few levels from the beginning: slow, but finds small later squares."""
    rng = np.random.default_rng([seed, shape.squares])
    weights = np.full(len(t), 1 / len(t))
    found: list[Fit] = []
    for _ in range(number):
        theta = np.zeros(shape.nonlinear)
        theta[shape.slots[0].o[0]] = 10 ** rng.uniform(-0.6, 0.6)
        for slots in shape.slots[1:-1]:  # differences of the units before, which are nearly equal
            direction = rng.normal(size=1 + len(slots.b))
            theta[[*slots.o, *slots.b]] = (direction - direction.mean()) * 10 ** rng.uniform(0.3, 1.2)
        fit = projected_fit(shape, theta, t, y, weights, 4)
        for demand, iterations in ((30.0, 30), (5.0, 20), (1.0, 80)):
            if fit is not None and (demand == 30 or fit.rms < 100 * demand * eps):
                fit = shrink(fit, t, y, demand * eps, iterations)
        if fit is not None and fit.rms < eps:
            found.append(fit)
    return found


class _Search:
    """The pools of rough and of polished fits, and how they grow by one number of squares and hinges."""

    def __init__(self, t: Array, y: Array, eps: float, number: int, seed: int) -> None:
        self.t, self.y, self.eps, self.number, self.seed = t, y, eps, number, seed
        self.pool: list[Fit] = []
        self.close: list[Fit] = []
        self.previous: dict[tuple[int, int], list[Fit]] = {}

    def grow(self, squares: int, hinges: int) -> float:
        """Adds fits with so many squares and hinges; returns their best promise."""
        shape = Shape((0,) * squares, hinges)
        earlier = self.previous.get((squares - 1, hinges), []) + self.previous.get((squares - 1, 0), [])
        found = starts(shape, self.t, self.y, self.number * squares, self.seed, earlier)
        best = self._improve(found, max(12, len(found) // 3), 20)
        best = self._improve(self._improve(best, 12, 80), 4, 300)
        self.previous[squares, hinges] = best[:4]
        self.pool += found
        self.close += best[:4]
        return min((promise(f, self.t, self.eps, 50.0) for f in best), default=np.inf)

    def narrowed(self) -> list[Fit]:
        """The survivors of the ROUNDS."""
        t, y, eps = self.t, self.y, self.eps
        fits, close = self.pool, self.close
        for kept, price, schedule in ROUNDS:
            if schedule[0][0] == 1.0:
                fits, close = fits + close, []
            fits = _different([(promise(f, t, eps, price), f) for f in fits], kept)
            for demand, iterations in schedule:
                fits = [shrink(f, t, y, demand * eps, iterations) if f.rms < 1e3 * demand * eps else f for f in fits]
        return fits

    def _improve(self, fits: list[Fit], kept: int, iterations: int) -> list[Fit]:
        chosen = _different([(float(np.log(f.rms + 1e-300)), f) for f in fits], kept)
        weights = np.full(len(self.t), 1 / len(self.t))
        better = [projected_fit(f.shape, f.theta, self.t, self.y, weights, iterations) for f in chosen]
        return sorted([f for f in better if f is not None], key=lambda f: f.rms)

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
