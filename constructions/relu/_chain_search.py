"""Which chains are worth a closer look? Seeded starts, thinned out while the demand on the fit grows, then hops.

A heuristic: nothing is proved here. Deterministic, work bounded by the counts below.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from constructions.relu._chain_fit import Fit, projected_fits, promise, real_levels, shrink_all
from constructions.relu._chain_model import Array, Shape, add_fold, admissible, embed, evaluate, forward

STARTS = 40  # times the number of squares
ROUNDS = (
    (24, 8.0, ((300.0, 15), (30.0, 15))),
    (10, 15.0, ((5.0, 25),)),
    (10, 30.0, ((1.0, 80),)),
)  # per round: chains kept for it, price of a missing factor 4 of fit, and (demand on the fit over eps, iterations)
HOPS_PER_START = 2  # batches of hops per start, for chains of four squares; their cost grows like the square's
PATIENCE = 30  # batches without half a weight won after which the hops end
BATCH = 8  # chains led on side by side
WIDE = 24  # chains fitted side by side
BROOD = 24  # chains of a batch of hops; the best BATCH of them are led on
FAMILIES, MEMBERS = 6, 4  # families (numbers of squares and hinges) that hops start from, and fits of each
HOPED, SPARED = 1.2, 15  # hops may win a share (at most 1.16 seen), fewer levels in bends and squares some weights
FOLDED, HINGED = 0.4, 0.12  # shares of hops with one free fold more, and with a hinge more or less


def starts(shape: Shape, t: Array, y: Array, number: int, seed: int, previous: list[Fit]) -> list[Fit]:
    """`number` rough fits from seeded random starts.

    Of six starts two are moderate, three extend a fit with one square less, and one has parameters of very different
    sizes and is hardly fitted: such chains may have small later squares.
    """
    rng = np.random.default_rng([seed, shape.squares, shape.hinges])
    moderate: list[Array] = []
    wide: list[Array] = []
    for k in range(number if shape.nonlinear else 1):
        theta = _random(shape, rng, wide=k % 6 == 5 or (previous != [] and k % 2 == 0))
        if previous and k % 2 == 0:
            old = previous[int(rng.integers(len(previous)))]
            values, copied = embed(old.shape, old.theta, shape)
            theta = np.where(copied, values, theta)
        (wide if k % 6 == 5 else moderate).append(admissible(shape, theta))
    return _fitted(shape, moderate, t, y, 10) + _fitted(shape, wide, t, y, 4)


def _fitted(shape: Shape, thetas: list[Array], t: Array, y: Array, iterations: int) -> list[Fit]:
    found: list[Fit] = []
    for k in range(0, len(thetas), WIDE):
        fits = projected_fits(shape, np.stack(thetas[k : k + WIDE]), t, y, iterations)
        found += [f for f in fits if f is not None]
    return found


def _random(shape: Shape, rng: np.random.Generator, wide: bool) -> Array:
    theta = rng.normal(size=shape.nonlinear) * 10 ** (wide * rng.uniform(-1, 1, size=shape.nonlinear))
    n = len(shape.kappa)
    for i, k in enumerate(shape.kappa):
        theta[k] = (i + 1) / (n + 1) + 0.1 * rng.uniform(-1, 1)
    for slots in shape.slots:
        theta[list(slots.h)] *= 0.3
    return theta


def explore(
    t: Array, y: Array, eps: float, fine: tuple[Array, Array], largest: int = 6, number: int = STARTS, seed: int = 5,
    fewer_than: float = np.inf,
) -> list[Fit]:
    """The most promising fits of the values y on the grid t for accuracy eps, best first; judged on a finer grid.

    Chains without hinges grow until a fit leaves most of eps to the squares; then hinges are tried with fewer squares.
    Empty, when not even the hops could lead to `fewer_than` weights.
    Cost: about `number` * K rough fits of 25 steps for every K and number of hinges tried, the ROUNDS, and the hops.
    """
    search = _Search(t, y, eps, number, seed)
    promises = [np.inf]
    for k in range(1, largest + 1):
        promises.append(search.grow(k, 0))
        if search.close_enough():
            break
    best = max(1, int(np.argmin(promises)))
    for h in (1, 2):
        for k in range(max(1, best - 1), best + 1):
            search.grow(k, h)
    fits = search.narrowed()
    if min((worth(fit, t, fine, eps) for fit in fits), default=np.inf) > HOPED * fewer_than + SPARED:
        return []
    if 2 <= best <= 3:
        fits += roam(Shape((0,) * best), t, y, eps, (number + 1) // 2, seed)
    return wander(fits, t, y, eps, fine, round(HOPS_PER_START * number * min(2.0, (4 / best) ** 2)), seed)


def roam(shape: Shape, t: Array, y: Array, eps: float, number: int, seed: int) -> list[Fit]:
    """Fits from wide starts that are led to few levels from the beginning: slow, but finds small later squares."""
    rng = np.random.default_rng([seed, shape.squares])
    thetas: list[Array] = []
    for _ in range(number):
        theta = np.zeros(shape.nonlinear)
        theta[shape.slots[0].o[0]] = 10 ** rng.uniform(-0.6, 0.6)
        for slots in shape.slots[1:-1]:  # differences of the units before, which are nearly equal
            direction = rng.normal(size=1 + len(slots.b))
            theta[[*slots.o, *slots.b]] = (direction - direction.mean()) * 10 ** rng.uniform(0.3, 1.2)
        thetas.append(theta)
    fits = _fitted(shape, thetas, t, y, 4)
    for demand, iterations in ((30.0, 30), (5.0, 20), (1.0, 60)):
        fits = _shrunk([f for f in fits if f.rms < 1e3 * demand * eps], t, y, demand * eps, iterations)
    return fits


def wander(
    fits: list[Fit], t: Array, y: Array, eps: float, fine: tuple[Array, Array], hops: int, seed: int
) -> list[Fit]:
    """The best fits after this many batches of hops (fewer when nothing more is won), best first.

    A batch takes fits of one family, changes their parameters and often their shape (a free fold or a hinge more, or a
    hinge less), fits again and leads the most promising to few levels. The valleys of good fits are narrow and many: from
    their floors short hops find lower floors, which fresh starts do not. Families are tried in turn, since one that
    starts behind may end before the others. Worth is seen on the `fine` grid: with kinks a chain may follow all values on
    t and none between them.
    """
    rng = np.random.default_rng([seed, 77])
    pool = _Pool(lambda fit: worth(fit, t, fine, eps))
    for fit in fits:
        pool.offer(fit)
    lowest, since = np.inf, 0
    for number in range(hops if pool.families else 0):
        since, lowest = (number, pool.best) if pool.best < lowest - 0.5 else (since, lowest)
        if number - since >= PATIENCE:
            break
        members = pool.choose(rng)
        leader = members[int(rng.integers(len(members)))]
        alike = [f for f in members if f.shape == leader.shape]
        change = _change(leader.shape, rng)
        shape = change(leader)[0]
        moved = [_moved(change(alike[int(rng.integers(len(alike)))]), rng) for _ in range(BROOD)]
        children = _fitted(shape, [admissible(shape, m) for m in moved], t, y, 15)
        limit = pool.best_of(shape) + 15
        able = [f for f in _promising(children, t, eps, BATCH) if promise(f, t, eps, 8.0) < limit]
        if rng.random() < 0.5:  # every other batch with a detour: further down, away from the target, then back to it
            able = _promising(_shrunk(able, t, y, 30 * eps, 20), t, eps, 4)
            able = _promising(_shrunk(able, t, y, 5 * eps, 15), t, eps, 2)
        else:
            able = _promising(_shrunk(able, t, y, eps, 10), t, eps, 3)
        for fit in _shrunk(able, t, y, eps, 40):
            pool.offer(fit)
    return pool.fits


def _promising(fits: list[Fit], t: Array, eps: float, number: int) -> list[Fit]:
    """The `number` fits with the best promises."""
    return sorted(fits, key=lambda f: promise(f, t, eps, 8.0))[:number]


def worth(fit: Fit, t: Array, fine: tuple[Array, Array], eps: float) -> float:
    """A guess of the weights of the network that the fit leads to, from its errors on the fine grid (inf: hopeless).

    t is the grid of the fit: its units are normalised there, on other points they are only evaluated.
    """
    points, values = fine
    like = forward(fit.shape, fit.theta, t)
    errors = evaluate(fit.shape, fit.parameters, points, like)[0] - values
    seen = Fit(fit.shape, fit.parameters, float(np.sqrt(np.mean(errors * errors))))
    if not np.isfinite(seen.rms):
        return np.inf
    return min(real_levels(seen, points, values, eps, like)[0], promise(seen, points, eps, 40.0, like))


class _Pool:
    """The best MEMBERS fits of the best FAMILIES, all of them different, with the weights that they are worth."""

    def __init__(self, worth: Callable[[Fit], float]) -> None:
        self._worth = worth
        self.families: dict[tuple[int, int], list[tuple[float, Fit]]] = {}

    @property
    def fits(self) -> list[Fit]:
        """All fits, best first."""
        return [f for _, f in sorted((p for family in self.families.values() for p in family), key=lambda p: p[0])]

    @property
    def best(self) -> float:
        return min(family[0][0] for family in self.families.values())

    def best_of(self, shape: Shape) -> float:
        """The best worth in the family of the shape; of a family that is new, the best of all and a little more."""
        family = self.families.get((shape.squares, shape.hinges))
        return family[0][0] if family else self.best + 25

    def choose(self, rng: np.random.Generator) -> list[Fit]:
        """The members of the best family (two times of five) or of any."""
        ranked = sorted(self.families.values(), key=lambda family: family[0][0])
        return [f for _, f in ranked[0 if rng.random() < 0.4 else int(rng.integers(len(ranked)))]]

    def offer(self, fit: Fit) -> None:
        """Takes the fit in when it is among the best of its family; of two with about the same worth the better one."""
        worth, key = self._worth(fit), (fit.shape.squares, fit.shape.hinges)
        family = self.families.get(key, [])
        if not np.isfinite(worth) or any(w <= worth < w + 0.3 for w, _ in family):
            return
        kept = [p for p in family if abs(p[0] - worth) >= 0.3]
        self.families[key] = sorted([*kept, (worth, fit)], key=lambda p: p[0])[:MEMBERS]
        if len(self.families) > FAMILIES:
            del self.families[max(self.families, key=lambda k: self.families[k][0][0])]


def _shrunk(fits: list[Fit], t: Array, y: Array, eps: float, iterations: int) -> list[Fit]:
    """All the fits moved to where they need fewer levels, in batches of one shape."""
    result: list[Fit] = []
    for shape in dict.fromkeys(f.shape for f in fits):
        same = [f for f in fits if f.shape == shape]
        for k in range(0, len(same), BATCH):
            result += shrink_all(same[k : k + BATCH], t, y, eps, iterations)
    return result


def _change(shape: Shape, rng: np.random.Generator) -> Callable[[Fit], tuple[Shape, Array]]:
    """A change of shape: a free fold more (it costs no weight), a hinge more or less, or none."""
    kind = rng.random()
    if kind < FOLDED and max(shape.free) < 2:
        j = int(rng.integers(shape.squares))
        return lambda f: add_fold(f.shape, f.theta, j)
    if FOLDED <= kind < FOLDED + HINGED:
        more = shape.hinges == 0 or (shape.hinges <= 2 and rng.random() < 0.5)
        new = Shape(shape.free, shape.hinges + (1 if more else -1))
        fill = _random(new, rng, wide=False) * 0.1

        def changed(f: Fit) -> tuple[Shape, Array]:
            values, copied = embed(f.shape, f.theta, new)
            return new, np.where(copied, values, fill)

        return changed
    return lambda f: (f.shape, f.theta)


def _moved(start: tuple[Shape, Array], rng: np.random.Generator) -> Array:
    theta = start[1]
    if rng.random() < 0.3:
        return np.where(rng.random(len(theta)) < 0.8, theta, theta * 3)
    return theta * (1 + 10 ** rng.uniform(-2, -0.2) * rng.normal(size=len(theta)))


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
        best = self._improve(shape, found, max(12, len(found) // 3), 20)
        best = self._improve(shape, self._improve(shape, best, 12, 80), 4, 300)
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
                far = [f for f in fits if not f.rms < 1e3 * demand * eps]
                fits = far + _shrunk([f for f in fits if f.rms < 1e3 * demand * eps], t, y, demand * eps, iterations)
        return fits

    def _improve(self, shape: Shape, fits: list[Fit], kept: int, iterations: int) -> list[Fit]:
        chosen = _different([(float(np.log(f.rms + 1e-300)), f) for f in fits], kept)
        return sorted(_fitted(shape, [f.theta for f in chosen], self.t, self.y, iterations), key=lambda f: f.rms)

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
