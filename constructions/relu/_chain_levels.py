"""How many sawtooth levels does each square of a fitted chain need? Start from the budget, then ask the network itself.

Errors here are observed (float64 samples, closer and closer to the worst); they choose the integers, the certificate
decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from approx.certification import Certificate
from approx.networks import Builder, Form, Network
from approx.numbers import to_fmpq
from constructions.relu._chain_fit import (
    Fit,
    expected_error,
    folded,
    projected_fit,
    promise,
    real_levels,
    shrink,
    shrink_all,
)
from constructions.relu._chain_model import Array, admissible, forward, padded, tie, unit_errors
from constructions.relu._chain_network import NetworkWriter, Writer, chain_form, staged_form
from constructions.relu._chain_samples import SampleWriter
from constructions.relu._chain_search import BATCH, explore
from constructions.relu._chain_symmetry import Bend, Stage

Core = Callable[[Writer, Form], Form]
DENSE = 8001  # points on which the range of a unit is seen
NEAR = 300  # points around which the error is sampled more and more closely
CANDIDATES = 3  # networks handed to the certificate, which takes seconds each at 1e-10
TRIES = 6  # fits whose variants are looked at
BLIND = 0.05  # the same where a bend has more pieces than samples, which then miss some per cent (1 to 2 seen at 1e-10)
MARGIN = 0.003  # the certificate's upper bound must fit between the observed error and eps


@dataclass(frozen=True)
class Problem:
    """The target on its domain, its stages, the function left (`rest`) with its values on two grids, and the accuracy."""

    low: float
    width: float
    stages: tuple[Stage, ...]
    grid: Array
    values: Array
    fine: tuple[Array, Array]
    eps: float
    points: Array
    truth: Array
    function: Callable[[Array], Array]
    rest: Callable[[Array], Array]

    def write(self, writer: Writer, x: Form, core: Core, bends: Sequence[int], bare: bool = False) -> Form:
        """The output form of the stages around this core, on the form x of the variable."""
        z = x if (self.low, self.width) == (0.0, 1.0) else (x - self.low) * (1 / to_fmpq(self.width))
        return staged_form(writer, z, self.stages, bends, lambda t: core(writer, t), bare)

    def network(self, core: Core, bends: Sequence[int], bare: bool = False) -> Network:
        """The network with this core and these levels of the bends."""
        builder = Builder(1)
        writer = NetworkWriter(builder, 1.0)
        return builder.build([writer.output(self.write(writer, builder.input(), core, bends, bare))])

    @property
    def weights_of_stages(self) -> int:
        """The weights of the stages around a core that is the identity."""
        return self.network(lambda _, t: t, first_bends(self)).size.weights

    def sampled(self, points: Array, core: Core, bends: Sequence[int]) -> Array:
        """The values of that network at the points, up to rounding."""
        writer = SampleWriter(points)
        return writer.at(self.write(writer, writer.input(), core, bends))

    def error(self, core: Core, bends: Sequence[int]) -> float:
        """The observed error on the points, and near the worst of them when these are within eps; NaN is infinite."""
        for step in (8, 1):  # most choices of levels fail, on few points already
            sizes = np.abs(self.sampled(self.points[::step], core, bends) - self.truth[::step])
            worst = float(sizes.max())
            if not worst <= self.eps:
                return worst if worst == worst else np.inf
        points, gap = self.points, (self.points[-1] - self.points[0]) / len(self.points)
        for _ in range(3):  # pieces may be far narrower than the gap: closer and closer to the worst points
            near = np.add.outer(points[np.argsort(sizes)[-NEAR:]], np.linspace(-1, 1, 41) * gap).ravel()
            points, gap = np.clip(near, self.points[0], self.points[-1]), gap / 16
            sizes = np.abs(self.sampled(points, core, bends) - self.function(points))
            worst = float(np.maximum(worst, sizes.max()))  # keeps NaN
        return worst if worst == worst else np.inf


@dataclass(frozen=True)
class Solution:
    """A network that meets the accuracy on the samples, with its fit and levels."""

    network: Network
    fit: Fit
    levels: tuple[int, ...]
    bends: tuple[int, ...]
    error: float

    @property
    def key(self) -> tuple[int, float]:
        """Fewer weights are better, then a smaller error."""
        return self.network.size.weights, self.error


def chain_core(problem: Problem, fit: Fit, levels: Sequence[int]) -> Core:
    """The core that writes the fitted chain with these levels."""
    return lambda writer, t: chain_form(writer, t, fit, levels, problem.grid)


def overshoot(fit: Fit, t: Array) -> list[float]:
    """How far every unit but the first leaves, between the points of t, the range that it has on them.

    Without room for it the next square is asked beyond [0, 1], where it is no square: the error no level can mend.
    Seen on DENSE points and at the kinks of the hinges, where a unit may turn.
    """
    shape = fit.shape
    points = np.concatenate([np.linspace(0, 1, DENSE), fit.theta[list(shape.kappa)]])
    units = forward(shape, fit.theta, points, forward(shape, fit.theta, t)).units[1:]
    return [max(0.0, -float(u.min()), float(u.max()) - 1) for u in units]


def variants(fit: Fit, t: Array, y: Array, eps: float) -> list[Fit]:
    """The fit with pads, and its versions with free folds and with its hinge tied to the first square."""
    _, levels = real_levels(fit, t, y, eps)
    if not np.isfinite(levels).all() or levels.max() < 1:
        levels = np.full(fit.shape.squares, max(3.0, float(np.log(1 / eps) / np.log(4))))
    rough = tuple(int(np.ceil(v)) for v in levels)
    errors = unit_errors(fit.shape, fit.theta, t, rough)[1:]
    room = tuple(min(1.3 * (e + b), 0.2) for e, b in zip(errors, overshoot(fit, t), strict=False))
    shape, theta = padded(fit.shape, fit.theta, room)
    plain = projected_fit(shape, theta, t, y, 0)
    if plain is None:
        return []
    found: list[Fit | None] = [plain, shrink(plain, t, y, eps, 40)]
    if shape.squares > 1 or fit.rms > 0.05 * eps:
        more: Fit | None = plain
        for j in range(shape.squares):
            more = more and folded(more, j, t, y, 40)
        found.append(more)
    if shape.hinges == 1 and shape.squares > 1:
        found.append(projected_fit(*tie(shape, theta), t, y, 60))
    result = [plain]
    for other in found[1:]:
        if other is not None:
            result.append(shrink(other, t, y, eps, 150))
    return result


def best_solution(
    problem: Problem, number: int, certificate: Callable[[Solution], Certificate | None], most: float = np.inf
) -> tuple[Solution, Certificate] | None:
    """The Solution with the fewest weights, among the most promising chains and their variants, that gets a certificate.

    None when the search, and where `most` is infinite a second one from other starts, finds no such Solution, and as soon as
    the search promises none with fewer weights than `most`.
    """
    bends = sum(isinstance(s, Bend) for s in problem.stages)
    eps = problem.eps * (1 - 0.2 * min(bends, 3))
    for seed in (5, 8) if most == np.inf else (5,):  # with a network in hand a second search is not worth its time
        core = most - problem.weights_of_stages if problem.stages else most
        fits = explore(problem.grid, problem.values, eps, problem.fine, number=number, seed=seed, fewer_than=core)
        if not fits:
            return None
        # The most promising ones may need free folds to leave anything of eps to the squares; some that do so now are safer.
        safe = [f for f in fits[TRIES:] if np.isfinite(real_levels(f, problem.grid, problem.values, eps)[0])]
        found = _solutions(problem, fits[:TRIES] + safe[: TRIES // 2], eps)[:CANDIDATES]
        found = [s for s in found if s.network.size.weights < most]
        # Where the samples missed some of the error: one level more where it helps most.
        for solution in itertools.chain(found, (_raised(problem, s) for s in found)):
            proved = certificate(solution)
            if proved is not None:
                return solution, proved
    return None


def _solutions(problem: Problem, fits: list[Fit], eps: float) -> list[Solution]:
    """The Solutions of the fits and their variants, the best one polished too, fewest weights first."""
    t, y = problem.grid, problem.values
    pool = [v for fit in fits for v in variants(fit, t, y, eps)]
    found: list[Solution] = []
    for fit in ranked(pool, t, y, eps)[: 2 * TRIES]:
        limit = min((s.network.size.weights for s in found), default=10**6)
        solution = settle(problem, fit, limit)
        if solution is not None:
            found.append(solution)
    found.sort(key=lambda s: s.key)
    return sorted([polish(problem, s) for s in found[:1]] + found, key=lambda s: s.key)


def _raised(problem: Problem, solution: Solution) -> Solution:
    """The Solution with one more level, where it lowers the observed error most."""
    n = len(solution.levels)
    state = Settling(problem, lambda own: chain_core(problem, solution.fit, own), n)
    current = [*solution.levels, *solution.bends]
    best = min((_changed(current, j, 1) for j in range(len(current))), key=state.error)
    return Solution(state.network(best), solution.fit, tuple(best[:n]), tuple(best[n:]), state.error(best))


def polish(problem: Problem, solution: Solution) -> Solution:
    """The Solution after lowering levels one at a time, the chain moved each time to where these levels suffice.

    Every move is tried from the chain itself and from BATCH - 1 chains near it; the most promising ones are built.
    """
    t, y = problem.grid, problem.values
    rng = np.random.default_rng(3)
    while True:
        for j in np.argsort([-m for m in solution.levels]):
            own = _changed(list(solution.levels), int(j), -1)
            if own[j] <= solution.fit.shape.free[j]:
                continue
            levels = np.array(own, dtype=float)
            moved = shrink_all(_around(solution.fit, rng), t, y, problem.eps, 80, levels=levels)
            moved.sort(key=lambda f: expected_error(f, t, y, levels))
            better = next((s for f in moved[:2] if (s := _with_levels(problem, f, own, solution.bends))), None)
            if better is not None:
                solution = better
                break
        else:
            return solution


def _around(fit: Fit, rng: np.random.Generator) -> list[Fit]:
    """The fit and BATCH - 1 fits with slightly other parameters."""
    n = len(fit.parameters)
    factors = [1 + 10 ** rng.uniform(-4, -1.5) * rng.normal(size=n) for _ in range(BATCH - 1)]
    return [fit, *(Fit(fit.shape, admissible(fit.shape, fit.parameters * f), fit.rms) for f in factors)]


def _with_levels(problem: Problem, fit: Fit, levels: list[int], bends: tuple[int, ...]) -> Solution | None:
    state = Settling(problem, lambda own: chain_core(problem, fit, own), len(levels))
    current = [*levels, *bends]
    if state.error(current) > state.goal:
        return None
    return Solution(state.network(current), fit, tuple(levels), bends, state.error(current))


def settle(problem: Problem, fit: Fit, best: int) -> Solution | None:
    """The Solution with the fewest levels that lowering one at a time finds, or None (also when `best` is out of reach).

    Cost: at most about 4 K + 20 choices of levels, each evaluated once on the points.
    """
    share = len(problem.stages) and sum(isinstance(s, Bend) for s in problem.stages)
    weights, real = real_levels(fit, problem.grid, problem.values, problem.eps)
    if not np.isfinite(weights) or weights > best + 12:
        return None
    free = fit.shape.free
    levels = [max(int(np.ceil(m - 0.3)), s + 1) for m, s in zip(real, free, strict=True)]
    bends = first_bends(problem)
    least = [s + 1 for s in free] + [2] * share
    state = Settling(problem, lambda own: chain_core(problem, fit, own), len(levels))
    current = state.lowered(levels + bends, least)
    if current is None:
        return None
    n = len(levels)
    return Solution(state.network(current), fit, tuple(current[:n]), tuple(current[n:]), state.error(current))


class Settling:
    """Networks and observed errors by levels (of the squares, then of the bends), remembered."""

    def __init__(self, problem: Problem, core: Callable[[list[int]], Core], squares: int) -> None:
        self.problem, self.core, self.squares = problem, core, squares
        bends = sum(isinstance(s, Bend) for s in problem.stages)
        blind = bends > 0 and 2 ** bend_levels(problem) > len(problem.points) / 4
        self.goal = problem.eps * (1 - (BLIND if blind else MARGIN))
        self.known: dict[tuple[int, ...], float] = {}

    def network(self, levels: list[int]) -> Network:
        """The network with these levels."""
        return self.problem.network(*self._parts(levels))

    def _parts(self, levels: list[int]) -> tuple[Core, list[int]]:
        return self.core(levels[: self.squares]), levels[self.squares :]

    def error(self, levels: list[int]) -> float:
        """The observed error of that network."""
        key = tuple(levels)
        if key not in self.known:
            self.known[key] = self.problem.error(*self._parts(levels))
        return self.known[key]

    def lowered(self, current: list[int], least: list[int]) -> list[int] | None:
        """The fewest levels for the goal that lowering one at a time finds, none below its least; None if out of reach.

        From the given levels at most six are added first.
        """
        for _ in range(6):
            if self.error(current) <= self.goal:
                break
            raised = [_changed(current, j, 1) for j in range(len(current))]
            current = min(raised, key=self.error)
        if self.error(current) > self.goal:
            return None
        while True:
            lower = [_changed(current, j, -1) for j in range(len(current)) if current[j] > least[j]]
            lower = [c for c in lower if self.error(c) <= self.goal]
            if not lower:
                swaps = [
                    _changed(_changed(_changed(current, i, -1), j, -1), k, 1)
                    for i in range(len(current)) for j in range(i) for k in range(len(current))
                    if k not in (i, j) and current[i] > least[i] and current[j] > least[j]
                ] if len(current) <= 4 else []
                lower = [c for c in swaps if self.error(c) <= self.goal][:1]
            if not lower:
                return current
            current = min(lower, key=self.error)


def _changed(levels: list[int], j: int, by: int) -> list[int]:
    result = levels.copy()
    result[j] += by
    return result


def bend_levels(problem: Problem) -> int:
    """Levels at which the bend alone may cause about a fifth of eps, from the steepest slope of the target."""
    slope = float(np.abs(np.diff(problem.truth) / np.diff(problem.points)).max()) * problem.width
    levels = np.log(slope / (0.8 * problem.eps)) / np.log(4)
    return max(2, int(np.ceil(levels)) if np.isfinite(levels) else 2)


def first_bends(problem: Problem) -> list[int]:
    """These levels for every bend; none where there is no bend."""
    bends = sum(isinstance(s, Bend) for s in problem.stages)
    return [bend_levels(problem)] * bends if bends else []


def ranked(fits: list[Fit], t: Array, y: Array, eps: float) -> list[Fit]:
    """The fits by the weights that their budget asks for."""
    return sorted(fits, key=lambda f: (real_levels(f, t, y, eps)[0], promise(f, t, eps, 80.0)))
