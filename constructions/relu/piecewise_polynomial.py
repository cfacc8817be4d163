"""How few weights give a piecewise quadratic? One or two shared squares of zig-zags on free knots.

f is approximated by A + s(B+) - s(B-), A and B+- piecewise linear on shared knots, s one approximate square. B+- is 0 at
every other knot: on both pieces beside its peak beta the square is a parabola of height beta^2, so one square bends every
piece. B+ acts where f is convex, B- where it is concave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from approx.targets.cover import Cover
from constructions.relu._bent import Bent, bent_error, deviations
from constructions.relu._hinges import FINE, HingeFunction, fine_cover, hinge_function, inner_kinks, refine, values_at
from constructions.relu.square import square_form

DESCRIPTION = {
    "name": "piecewise-polynomial",
    "activations": ("relu",),
    "needs": "one variable, piecewise smooth with few kinks and inflections",
    "guarantee": "sup |f - net| <= eps, proved by Taylor models on every piece + the error of the squares",
    "rate": "W = 4 N + O(log(1/eps)), N = integral |f'''|^(1/3) / (5 eps^(1/3))",
    "references": ("P16",),
}
MAXIMUM_KNOTS = 200_000


def piecewise_polynomial(target: Target, eps: Any, *, maximum_knots: int = MAXIMUM_KNOTS) -> Approximant:
    """The Approximant by a continuous piecewise quadratic function with free knots and one or two shared squares.

    Guarantee (proved): sup |f - net| <= bound <= eps: the ideal piecewise quadratic is enclosed on every piece by local
    Taylor models, the squares add R^2 4^-(m+1)/2 each, R the peak of the zig-zag.
    Cost: 4 weights per knot for functions of one convexity, 5 otherwise, plus 5 m per square with few levels m, since
    R^2 is only about h^2 |f''| / 2. Local Taylor networks with one variable reach higher orders; this is the cheapest
    form of order three. Raises InputError unless eps > 0, RegularityError in several variables, UnreachableError.
    Source: derived; the square is P16 Proposition 2.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if target.dimension != 1:
        raise RegularityError("piecewise-polynomial: needs a target of one variable")
    cover = fine_cover(target, goal)
    shape = _Shape(target, cover)
    best: Approximant | None = None
    plan = [(0.8, False)]  # (share of eps for the fit, whether the last pair is halved)
    for number in range(16):
        if number >= len(plan):
            break
        found = _search(target, cover, shape, goal * plan[number][0], maximum_knots, plan[number][1])
        if found is None:
            continue
        candidate = _network(target, found[0], found[1], goal)
        if candidate is not None and (best is None or candidate.network.size.weights < best.network.size.weights):
            best = candidate
        if number == 0:
            others = _other_shares(found[0], goal)
            if len(found[0].zigzag) > 400:  # single knots do not matter then
                plan += [(s, False) for s in others[:2]]
            else:
                plan += [(0.8, True), *((s, half) for s in others for half in (False, True))]
    if best is None:
        raise UnreachableError(f"piecewise-polynomial: eps = {goal:g} was not reached with {maximum_knots:,} knots")
    return best


def _other_shares(bent: Bent, goal: float) -> list[float]:
    # What remains for the fit when the squares have other numbers of levels than a first network suggests.
    peaks = [float(bent.zigzag[np.append(bent.sign, bent.sign[-1]) == s].max(initial=0.0)) for s in (1, -1)]
    squares = [p**2 / 2 / goal for p in peaks if p > 0]
    found = []
    for ratio in np.geomspace(0.02, 0.5, 6):
        levels = [max(0, math.ceil(math.log(max(q / (ratio / len(squares)), 1e-9), 4) - 1)) for q in squares]
        used = sum(q * 4.0 ** -(m + 1) for q, m in zip(squares, levels, strict=True))
        if used < 0.6:
            found.append(round(1 - 1.04 * used, 3))
    return list(dict.fromkeys(found))


def piecewise_polynomial_weights(target: Target, eps: float, points: int = 2001) -> int:
    """About how many weights the builder needs, from below: 4 per knot, knots by sampling |f'''|^(1/3); a guess."""
    low, high = target.domain.floats_inside()[0]
    x = low + (high - low) * (np.arange(points) + 0.5) / points
    with np.errstate(all="ignore"):
        third = 6 * np.asarray(target.jet_float(x, 3)[(3,)])
    size = np.cbrt(np.abs(third[np.isfinite(third)]))
    total = float(size.mean()) * (high - low) if len(size) else 0.0
    return int(0.85 * 4 * total / (5 * np.cbrt(eps))) + 8


@dataclass(frozen=True)
class _Stretch:
    """A part of the domain on which f'' has one sign (a guess)."""

    start: float
    stop: float
    sign: int


class _Shape:
    """Inflections and kinks of f, and a density of knots ~ |f'''|^(1/3); all of it a guess."""

    def __init__(self, target: Target, cover: Cover) -> None:
        kinks = inner_kinks(target, cover)
        points, _ = refine(cover, np.insert(cover.edges[[0, -1]], 1, kinks), 1)
        points, _ = refine(cover, points, max(16, FINE // len(cover)))
        middle = (points[:-1] + points[1:]) / 2
        low, high = cover.model_curvature(middle, middle, cover.cell_of(middle))
        with np.errstate(invalid="ignore"):
            bend = (low + high) / 2
        bend = np.where(np.isfinite(bend), bend, 0.0)
        self.stretches = _stretches(points, middle, bend, kinks)
        third = np.abs(np.gradient(bend, middle)) if len(middle) > 2 else np.abs(bend)
        size = np.cbrt(np.where(np.isfinite(third), third, 0.0))
        mean = float((size * np.diff(points)).sum() / (points[-1] - points[0]))
        self.points, self.density = points, size + 0.02 * mean + 1e-300

    def knots(self, pairs: float, half: bool) -> tuple[np.ndarray, np.ndarray]:
        """(even knots of all stretches, sign of every pair between them) with about the given number of pairs.

        With half=True the last pair has only its first piece: the zig-zag may end at a peak.
        """
        cumulative = np.concatenate(([0.0], np.cumsum(self.density * np.diff(self.points))))
        ends, signs = [], []
        for part in self.stretches:
            a, b = np.interp([part.start, part.stop], self.points, cumulative)
            n = max(1, round(pairs * (b - a) / cumulative[-1]))
            steps = np.arange(n) / (n - 0.5 if half and part is self.stretches[-1] else n)
            ends.append(np.interp(a + (b - a) * steps, cumulative, self.points))
            ends[-1][0] = part.start
            signs.append(np.full(n, part.sign))
        return np.concatenate([*ends, [self.points[-1]]]), np.concatenate(signs)

    def reweigh(self, even: np.ndarray, errors: np.ndarray) -> None:
        """Move density towards the pairs with large errors, which go like its inverse cube."""
        mean = float(errors.mean())
        if not mean > 0:
            return
        ratio = np.cbrt(np.maximum(errors, 1e-3 * mean) / mean)
        pair = np.clip(np.searchsorted(even, (self.points[:-1] + self.points[1:]) / 2) - 1, 0, len(ratio) - 1)
        self.density = self.density * np.clip(ratio[pair], 0.6, 1.6)


def _stretches(points: np.ndarray, middle: np.ndarray, bend: np.ndarray, kinks: np.ndarray) -> list[_Stretch]:
    scale = float(np.abs(bend).max())
    sign = np.where(np.abs(bend) > 1e-9 * scale, np.sign(bend), 0).astype(int)
    found: list[_Stretch] = []
    start = float(points[0])
    current = 0
    position = iter([*kinks.tolist(), math.inf])
    kink = next(position)
    for i, s in enumerate(sign):
        left = float(points[i])
        if left >= kink:
            found.append(_Stretch(start, kink, current or 1))
            start, current, kink = kink, 0, next(position)
        if s != 0 and current == 0:
            current = s
        elif s not in (0, current):
            before, after = bend[i - 1], bend[i]
            split = float(middle[i - 1] + (middle[i] - middle[i - 1]) * before / (before - after)) if i else left
            if start < split < float(points[-1]):
                found.append(_Stretch(start, split, current))
                start = split
            current = s
    found.append(_Stretch(start, float(points[-1]), current or 1))
    return found


def _fit(f: Target, cover: Cover, even: np.ndarray, signs: np.ndarray, half: bool) -> Bent:
    """The piecewise quadratic on pairs: middles where both pieces bend equally, node values that balance the errors."""
    knots, zigzag = _pairs(f, even, signs)
    sign = np.repeat(signs, 2)
    if half:  # the last pair gives way to one piece that ends at its peak
        knots, zigzag, sign = np.append(knots[:-2], even[-1]), zigzag[:-1], sign[:-1]
        a, b = knots[-2:]
        fa, fm, fb = values_at(f, np.array([a, (a + b) / 2, b]))
        zigzag[-1] = 2 * math.sqrt(max(0.0, sign[-1] * ((fa + fb) / 2 - fm)))
    values = values_at(f, knots)
    values -= np.append(sign, sign[-1]) * zigzag**2
    bent = Bent(hinge_function(knots, values), zigzag, sign)
    for _ in range(3):
        top, bottom = deviations(cover, bent)
        centre = -(top + bottom) / 2
        shift = np.concatenate(([centre[0]], (centre[1:] + centre[:-1]) / 2, [centre[-1]]))
        values = values + shift
        bent = Bent(hinge_function(knots, values), zigzag, sign)
    return bent


def _pairs(f: Target, even: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(knots, zig-zag): the middle of every pair is where both of its pieces need the same parabola."""
    low, high = even[:-1].copy(), even[1:].copy()
    ends = values_at(f, even)
    left, right = ends[:-1], ends[1:]
    a, b = low.copy(), high.copy()
    for _ in range(30):
        middle = (a + b) / 2
        value = np.asarray(f(middle))
        first = (left + value) / 2 - np.asarray(f((low + middle) / 2))
        second = (value + right) / 2 - np.asarray(f((middle + high) / 2))
        grow = signs * first < signs * second
        a, b = np.where(grow, middle, a), np.where(grow, b, middle)
    knots = np.empty(2 * len(signs) + 1)
    knots[0::2], knots[1::2] = even, middle
    zigzag = np.zeros(len(knots))
    zigzag[1::2] = 2 * np.sqrt(np.maximum(0.0, signs * (first + second) / 2))
    return knots, zigzag


def _search(
    target: Target, cover: Cover, shape: _Shape, goal: float, maximum: int, half: bool
) -> tuple[Bent, float] | None:
    size = float((shape.density * np.diff(shape.points)).sum())
    pairs = float(max(len(shape.stretches), 1, math.floor(0.85 * size / (10 * goal ** (1 / 3)))))
    fallback: tuple[Bent, float] | None = None
    lower = 0.0
    for _ in range(40):
        found = _attempt(target, cover, shape, pairs, half)
        if found[1] <= goal:
            fallback = found
            break
        lower = pairs
        growth = (found[1] / goal) ** (1 / 3) if math.isfinite(found[1]) else 2.0
        pairs = max(pairs + 1, math.ceil(pairs * min(3.0, growth * 1.01)))
        if 2 * pairs > maximum:
            return None
    lower = max(lower, math.floor(pairs * 0.8)) if pairs > 8 else lower
    while fallback is not None and pairs - lower > max(1, pairs // 200):
        middle = (pairs + lower) // 2
        found = _attempt(target, cover, shape, middle, half)
        if found[1] <= goal:
            pairs, fallback = middle, found
        else:
            lower = middle
    return fallback


def _attempt(
    target: Target, cover: Cover, shape: _Shape, pairs: float, half: bool
) -> tuple[Bent, float]:
    original, best = shape.density.copy(), None
    for _ in range(10 if pairs <= 2000 else 5):
        even, signs = shape.knots(pairs, half)
        if np.any(np.diff(even) <= 0):
            break
        bent = _fit(target, cover, even, signs, half)
        error, pieces = bent_error(cover, bent, 12 if pairs <= 2000 else 3)
        if best is None or error < best[1]:
            best = bent, error
        if not math.isfinite(error):
            break
        worst = np.maximum.reduceat(pieces, np.arange(0, len(pieces), 2))
        if error <= 1.005 * float(np.median(worst)):
            break
        shape.reweigh(even, worst)
    shape.density = original
    if best is None:
        raise UnreachableError("piecewise-polynomial: the knots cannot be told apart in float64")
    return best


# -- the network ------------------------------------------------------------------------------------------------------


def _network(target: Target, bent: Bent, fit: float, goal: float) -> Approximant | None:
    zigzags = [(s, z) for s in (1, -1) if (z := _zigzag(bent, s)).values.max() > 0]
    rest, levels = goal - fit, []
    extra, products = 0.0, 0.0
    radii = []
    for _, z in zigzags:
        top = float(z.values.max())
        radius = float_up(to_fmpq(top * (1 + 2.0**-30) + z.drift))
        radii.append(radius)
        extra += 2 * radius * z.drift * 1.01 + z.drift**2
    for radius in radii:
        room = (rest - extra) / len(zigzags)
        if room <= 0:
            return None
        levels.append(max(0, math.ceil(math.log(radius**2 / (2 * room), 4) - 1)))
        products += radius**2 * 4.0 ** -(levels[-1] + 1) / 2 * (1 + 1e-12)
    bound = (fit + extra + products) * (1 + 1e-12)
    if bound > goal:
        return None
    network = _assemble(bent, zigzags, radii, levels)
    return Approximant(
        network=network,
        target=target,
        bound=bound,
        method=str(DESCRIPTION["name"]),
        statement="A + s(B+) - s(B-) on shared free knots: quadratic pieces by squares of zig-zags, s of P16 Proposition 2.",
        budget=(
            BudgetItem("piecewise quadratic", fit, "Taylor models on every piece"),
            BudgetItem("squares", products, "P16 Proposition 2, centred: R^2 4^-(m+1) / 2 each"),
            BudgetItem("rounded zig-zags", extra, "2 R times the drift of the hinge sums"),
        ),
        parameters={"knots": len(bent.base.knots), "levels": levels},
        references=("P16",),
    )


def _zigzag(bent: Bent, sign: int) -> HingeFunction:
    active = np.zeros(len(bent.zigzag), dtype=bool)
    active[1::2] = bent.sign[0::2] == sign  # the zig-zag is 0 at all even knots
    return hinge_function(bent.base.knots, np.where(active, bent.zigzag, 0.0))


def _assemble(bent: Bent, zigzags: list[tuple[int, HingeFunction]], radii: list[float], levels: list[int]) -> Network:
    b = Builder(1)
    x = b.input()
    base = bent.base
    units: dict[tuple[int, bool], Form] = {}

    def read(function: HingeFunction) -> Form:
        parts = [(float(function.slopes[function.pivot]), x)]
        for j, step in enumerate(function.steps.tolist(), 1):
            if step != 0:
                parts.append((step, hinge(j, j > function.pivot)))
        return linear_combination(parts, function.bias)

    def hinge(j: int, right: bool) -> Form:
        knot = float(base.knots[j])
        # One direction for all readers: relu(k - x) = relu(x - k) - (x - k).
        own = j > base.pivot
        if (j, own) not in units:
            units[j, own] = b.relu(x - knot if own else knot - x)
        unit = units[j, own]
        return unit if own == right else unit + (knot - x if right is False else x - knot)

    total = read(base)
    for (sign, z), radius, m in zip(zigzags, radii, levels, strict=True):
        held = b.relu(read(z) * (1 / to_fmpq(radius)))
        total = total + square_form(b, held, m, centred=True) * (sign * to_fmpq(radius) ** 2)
    return b.build([total])
