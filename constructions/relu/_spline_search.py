"""Which spline chains are worth a network? Seeded starts with few cells, then more and more cells, the best led on.

The valleys of good fits are found with one to four cells, where a start costs milliseconds; from there cells are added, two
at a time at first (`finer`), which keeps the shape of the chain. A heuristic: nothing is proved here. Deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from constructions.relu._spline_fit import Curve, SplineFit, balanced, finer, fitted, judged, shrunk
from constructions.relu._spline_model import Array, SplineShape

KEPT = 16  # starts that are led on
SHARE = 0.65  # of eps, for the fit; the rest is for the squares
MOST = 100  # cells
CLOSEST = 2  # starts led on for their small error, whatever they promise
LED = 2  # fits of one size that are finished
ROUNDS = 3  # sizes of which some fit was finished


def density(curve: Curve) -> tuple[Array, Array]:
    """Points and a density of cells ~ |f'''|^(1/3) between them, from third divided differences (a guess)."""
    x = 0.5 - 0.5 * np.cos(np.pi * np.arange(122) / 121)
    with np.errstate(all="ignore"):
        table = curve.value(x)
        for k in range(1, 4):
            table = np.diff(table) / (x[k:] - x[:-k])
    size = np.cbrt(np.abs(np.where(np.isfinite(table), table, 0.0)))
    return (x[1:-2] + x[2:-1]) / 2, size + 0.02 * float(size.mean()) + 1e-300


def starts(quotients: tuple[bool, ...], cells: int, curve: Curve, number: int, seed: int) -> list[SplineFit]:
    """Fits from seeded random chains: a zig-zag first, everything after it random; the cells more or less graded."""
    points, thick = density(curve)
    shape = SplineShape(cells, quotients)
    edges = np.concatenate([[0.0], (points[1:] + points[:-1]) / 2, [1.0]])
    found = []
    for k in range(number):
        rng = np.random.default_rng([seed, *quotients, cells, k])
        theta = np.zeros(shape.size)
        mass = np.concatenate([[0.0], np.cumsum((thick / thick.max()) ** (1.0, 1.25, 1.5)[k % 3] * np.diff(edges))])
        theta[: cells - 1] = np.interp(mass[-1] * np.arange(1, cells) / cells, mass, edges)
        for j, (top, bottom) in enumerate(zip(shape.tops, shape.bottoms, strict=True)):
            heights = 0.5 * rng.normal(size=cells + 1)
            theta[top] = 0.5 * rng.normal(size=cells + 1) if j else np.arange(cells + 1) % 2
            theta[list(shape.alpha[j])] = rng.normal(size=j)
            theta[list(shape.beta[j])] = 0.3 * rng.normal(size=len(shape.beta[j]))
            if bottom is not None:
                theta[top] *= np.exp(heights)
                theta[bottom] = heights
        found.append(SplineFit(shape, theta, np.inf))
    return [fit for fit in fitted(found, curve, 60) if math.isfinite(fit.rms)]


def order(shape: SplineShape) -> float:
    """The error falls about like cells^-order (a guess that only ranks). A knot has `per_knot` - 1 parameters."""
    return 4.0 + 0.6 * (shape.per_knot - 5)


def promise(fit: SplineFit, curve: Curve, eps: float) -> tuple[float, float]:
    """A guess of (weights, cells) of the network that this chain leads to when cells are added."""
    shape, k = fit.shape, fit.shape.units
    worst, _, parts = judged(fit, curve)
    tops = np.array([float(np.abs(d).max()) for d in parts])
    if not (math.isfinite(worst) and np.isfinite(tops).all() and (tops > 0).all()):
        return math.inf, math.inf
    growth = max(1.0, (0.7 * worst / (SHARE * eps)) ** (1 / order(shape)))
    cells = growth * shape.cells
    levels = np.maximum(np.log(k * tops / (2 * (1 - SHARE) * eps * growth)) / np.log(4) - 1, 2)
    return float((5 * levels - 2).sum()) + shape.extra + (cells - shape.cells) * shape.per_knot, cells


def climb(
    quotients: tuple[bool, ...], first: int, curve: Curve, eps: float, number: int, seed: int
) -> Iterator[tuple[float, list[SplineFit]]]:
    """For more and more cells: the weights that the chains promise, and those of them that leave something of eps to the units.

    Starts have `first` cells. Ends after ROUNDS sizes with such a chain, with one at 0.6 eps, or where more than MOST
    cells are promised. Cost: `number` starts of 60 steps, then 60 steps per chain and size.
    """
    pool = _best(starts(quotients, first, curve, number, seed), curve, eps, KEPT)
    pool = _best(pool + _shrunk(pool, curve, 60), curve, eps, KEPT)
    reached, cells = 0, first
    while pool:
        weights, wanted = min(promise(fit, curve, eps) for fit in pool)
        if wanted > MOST:
            return
        yield weights, []  # whether to go on is asked before the chains are finished
        leaders = [fit for fit in pool if judged(fit, curve)[0] <= 2 * eps]  # Lawson's weights may bring it down to eps
        sizes = range(min(2, first), first + 1) if cells == first else (cells - 1, cells)
        close = [fit for leader in leaders[:LED] for size in sizes if (fit := _finished(leader, size, curve, eps))]
        reached += bool(close)
        if close:
            yield weights, close
        if reached == ROUNDS or any(judged(fit, curve)[0] <= 0.6 * eps for fit in close):
            return
        cells += max(2, cells // 8 // 2 * 2)
        pool = fitted([finer(fit, cells, curve) for fit in pool], curve, 60)
        if cells <= 8:
            pool += _shrunk(pool[:4], curve, 20)
        pool = _best(pool, curve, eps, max(3, KEPT - 2 - cells))


def _shrunk(fits: list[SplineFit], curve: Curve, iterations: int) -> list[SplineFit]:
    return shrunk(fits, curve, np.array([0.3 * fit.rms for fit in fits]), iterations)


def _finished(fit: SplineFit, cells: int, curve: Curve, eps: float) -> SplineFit | None:
    """The chain with so many cells, its largest error made small; None unless that leaves some of eps."""
    if cells != fit.shape.cells:
        [fit] = fitted([finer(fit, cells, curve)], curve, 60)
    [fit] = fitted([fit], curve, 60, 1e-4)
    if judged(fit, curve)[0] > 0.2 * eps:
        fit = balanced(fit, curve, 10, 12)
    return fit if judged(fit, curve)[0] <= 0.95 * eps and math.isfinite(promise(fit, curve, eps)[0]) else None


def _best(fits: list[SplineFit], curve: Curve, eps: float, kept: int) -> list[SplineFit]:
    """The fits with the best promises, of several with about the same one, and the CLOSEST that are closest now."""
    ranked = sorted(((promise(fit, curve, eps)[0], k) for k, fit in enumerate(fits)))
    ranked = [(value, k) for value, k in ranked if math.isfinite(value)]
    chosen: list[tuple[float, int]] = []
    for value, k in ranked:
        if all(abs(value - other) > 0.3 for other, _ in chosen) and len(chosen) < kept:
            chosen.append((value, k))
    closest = sorted(ranked, key=lambda pair: fits[pair[1]].rms)[:CLOSEST]
    return [fits[k] for _, k in sorted({*chosen, *closest})]
