"""How few knots does a piecewise-linear function need? Free knots, two-sided errors, proved by Taylor models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.numbers import arb_interval, to_float, to_fmpq, working_precision
from approx.targets import Target
from approx.targets.cover import Cover
from constructions.relu._hinges import (
    FINE,
    HingeFunction,
    fine_cover,
    hinge_error,
    hinge_function,
    inner_kinks,
    refine,
    values_at,
)

DESCRIPTION = {
    "name": "piecewise-linear",
    "activations": ("relu",),
    "needs": "one variable, continuous; few knots where f'' is small or kinks are isolated",
    "guarantee": "sup |f - net| <= eps, proved by Taylor models on every piece; exact for piecewise-linear f",
    "rate": "W = 3 * integral |f''|^(1/2) / (4 eps^(1/2)), one hidden layer",
    "references": ("P18", "P16"),
}
MAXIMUM_KNOTS = 4_000_000


def piecewise_linear(
    target: Target, eps: Any, *, two_sided: bool = True, maximum_knots: int = MAXIMUM_KNOTS
) -> Approximant:
    """The Approximant by a one-hidden-layer network sum c_i relu(x - k_i) with knots where the curvature needs them.

    Guarantee (proved): sup |f - net| <= bound <= eps in exact arithmetic. The knots equidistribute |f''|^(1/2) and are
    then equalised (a guess); the error of the resulting network is enclosed on every piece by local Taylor models.
    two_sided shifts the interpolant by half its error: 1/sqrt(2) of the knots. Kinks become knots; a piecewise-linear
    target with rational kinks is represented exactly (bound 0).
    Cost: 3 weights per interior knot plus 2; about 1 us per knot to build and prove.
    Raises InputError unless eps > 0, RegularityError in several variables, UnreachableError beyond maximum_knots.
    Source: classical free-knot interpolation; the two-sided form and its proof are derived here.
    """
    wanted = to_float(to_fmpq(eps))
    if not wanted > 0:
        raise InputError("eps", eps, "a positive number")
    if target.dimension != 1:
        raise RegularityError("piecewise-linear: needs a target of one variable")
    exact = _exact_pieces(target)
    if exact is not None:
        return _approximant(target, exact, 0.0, len(exact.layers[0].bias), "exact representation of f")
    cover = fine_cover(target, wanted)
    function, bound = _search(target, cover, wanted, two_sided, maximum_knots)
    return _approximant(target, function.network(), bound, len(function.knots), "Taylor models on every piece")


def _approximant(target: Target, network: Network, bound: float, knots: int, proof: str) -> Approximant:
    return Approximant(
        network=network,
        target=target,
        bound=bound,
        method=str(DESCRIPTION["name"]),
        statement="Free-knot piecewise-linear approximation: on a piece of length h the error is h^2 |f''| / 16.",
        budget=(BudgetItem("piecewise-linear approximation", bound, proof),),
        parameters={"knots": knots},
        references=("approx",),
    )


# -- exact targets ----------------------------------------------------------------------------------------------------


def _exact_pieces(target: Target) -> Network | None:
    """The exact network of a continuous target that is linear between its kinks, or None.

    Proof: f is analytic between neighbouring split points; where the enclosure of f'' inside is exactly 0, f is the
    line through two exact values; the kinks are the exact intersections of neighbouring lines, inside their balls.
    """
    places = target.split_points()
    if len(places) > 1000:
        return None
    with working_precision(128):
        lows = [target.domain.lower[0], *(to_fmpq(p.upper()) for p in places)]
        highs = [*(to_fmpq(p.lower()) for p in places), target.domain.upper[0]]
    gaps = [(a, b) for a, b in zip(lows, highs, strict=True) if a < b]
    lines = [_line_on(target, a, b) for a, b in gaps]
    if not lines or any(line is None for line in lines):
        return None
    found = [line for line in lines if line is not None]
    kinks: list[fmpq] = []
    slopes, offsets = [found[0][0]], [found[0][1]]
    for (_, left), (right, _), (slope, offset) in zip(gaps[:-1], gaps[1:], found[1:], strict=True):
        if slope == slopes[-1]:
            if offset != offsets[-1]:
                return None
            continue
        kink = (offsets[-1] - offset) / (slope - slopes[-1])
        if not left <= kink <= right:
            return None
        kinks.append(kink)
        slopes.append(slope)
        offsets.append(offset)
    flat = min(range(len(slopes)), key=lambda i: (slopes[i] != 0, offsets[i] != 0))
    b = Builder(1)
    x = b.input()
    form = x * slopes[flat] + offsets[flat]
    for j, kink in enumerate(kinks, 1):
        form = form + (slopes[j] - slopes[j - 1]) * b.relu(x - kink if j > flat else kink - x)
    return b.build([form])


def _line_on(target: Target, a: fmpq, b: fmpq) -> tuple[fmpq, fmpq] | None:
    """(slope, offset) of f on [a, b] when f'' is exactly 0 inside and two exact values exist, else None."""
    left, right = a + (b - a) / 2**9, b - (b - a) / 2**9
    with working_precision(96):
        second = target.series(arb_interval(left, right), 2)[2]
    if not (second.is_finite() and second == 0):
        return None
    low, high = target.exact([left]), target.exact([right])
    if low is None or high is None:
        return None
    slope = (high - low) / (right - left)
    return slope, low - slope * left


# -- knots ------------------------------------------------------------------------------------------------------------


class _Density:
    """The cumulative integral of |f''|^(1/2) at fine points; a guess, sampled from the cover's models."""

    def __init__(self, cover: Cover, kinks: np.ndarray) -> None:
        points, _ = refine(cover, np.unique(np.concatenate((cover.edges, kinks))), max(32, FINE // len(cover)))
        cell = cover.cell_of((points[:-1] + points[1:]) / 2)
        size = np.zeros(len(cell))
        for place in (points[:-1], (points[:-1] + points[1:]) / 2, points[1:]):
            low, high = cover.model_curvature(place, place, cell)
            with np.errstate(invalid="ignore"):
                size = np.fmax(size, np.sqrt(np.abs(low + high) / 2))
        size = np.where(np.isfinite(size), size, 0.0)
        mean = float((size * np.diff(points)).sum() / (points[-1] - points[0]))
        # A little everywhere: pieces must end, and a flat stretch needs knots when its neighbours bend.
        self.points, self.density = points, size + 1e-3 * mean + 1e-300
        self.kinks = kinks

    def total(self) -> float:
        """The integral."""
        return float((self.density * np.diff(self.points)).sum())

    def knots(self, count: int) -> np.ndarray:
        """About `count` pieces: each smooth stretch gets its share, kinks are knots."""
        cumulative = np.concatenate(([0.0], np.cumsum(self.density * np.diff(self.points))))
        ends = np.interp(self.kinks, self.points, cumulative)
        parts = np.maximum(1, np.round(count * np.diff(ends) / cumulative[-1])).astype(int)
        pieces = []
        for a, b, n in zip(ends[:-1], ends[1:], parts, strict=True):
            pieces.append(np.interp(np.linspace(a, b, n + 1), cumulative, self.points)[:-1])
        knots = np.concatenate([*pieces, [self.points[-1]]])
        knots[np.searchsorted(knots, self.kinks[1:-1])] = self.kinks[1:-1]
        return np.unique(_shorten(knots, self.kinks))

    def reweigh(self, knots: np.ndarray, errors: np.ndarray) -> None:
        """Move density to the pieces whose error is large: error ~ (density h)^2 on a piece."""
        mean = float(errors.mean())
        if not mean > 0:
            return
        ratio = np.sqrt(np.maximum(errors, 1e-3 * mean) / mean)
        piece = np.clip(np.searchsorted(knots, (self.points[:-1] + self.points[1:]) / 2) - 1, 0, len(ratio) - 1)
        self.density = self.density * np.clip(ratio[piece], 0.5, 2.0)


def _shorten(knots: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    # Knots on dyadic grids 2^10 times finer than the gaps around them: short exact weights, no visible loss.
    if len(knots) < 3:
        return knots
    gap = np.minimum(np.diff(knots)[:-1], np.diff(knots)[1:])
    with np.errstate(divide="ignore"):
        grain = 2.0 ** np.floor(np.log2(gap / 1024))
    inner = np.where(grain > 0, np.round(knots[1:-1] / grain) * grain, knots[1:-1])
    inner = np.where(np.isin(knots[1:-1], fixed), knots[1:-1], inner)
    return np.concatenate(([knots[0]], np.clip(inner, knots[0], knots[-1]), [knots[-1]]))


def _fit(target: Target, cover: Cover, knots: np.ndarray, two_sided: bool, parts: int) -> HingeFunction:
    values, width = cover.value(knots, cover.cell_of(knots))
    crude = width > 0.01 * cover.tolerance  # near kinks the models are ranges: take the float value, a better guess
    if crude.any():
        near = values_at(target, knots[crude])
        values[crude] = np.where(np.abs(near) > 1e-15 * np.abs(values).max(), near, 0.0)
    if not two_sided:
        return hinge_function(knots, values)
    points, piece = refine(cover, knots, max(parts, 4))
    slope = np.diff(values) / np.diff(knots)
    middle = (points[:-1] + points[1:]) / 2
    gap = values[piece] + slope[piece] * (middle - knots[piece]) - cover.value(middle, cover.cell_of(middle))[0]
    top, bottom = np.zeros(len(slope)), np.zeros(len(slope))
    np.maximum.at(top, piece, gap)
    np.minimum.at(bottom, piece, gap)
    peak = np.where(top > -bottom, top, bottom)
    peak[np.abs(peak) < 4 * cover.tolerance] = 0.0  # nothing to balance: keep exact zeros and straight lines exact
    shift = np.concatenate(([peak[0]], (peak[1:] + peak[:-1]) / 2, [peak[-1]])) / 2
    return hinge_function(knots, values - shift)


def _attempt(
    target: Target, cover: Cover, density: _Density, count: int, two_sided: bool
) -> tuple[HingeFunction, float]:
    parts = int(np.clip(40_000 // max(count, 1), 1, 48))
    best: tuple[HingeFunction, float] | None = None
    rounds = 12 if count <= 400 else 8
    original = density.density.copy()
    for _ in range(rounds):
        knots = density.knots(count)
        function = _fit(target, cover, knots, two_sided, parts)
        error = hinge_error(cover, function, parts)
        if best is None or (error.bound, len(knots)) < (best[1], len(best[0].knots)):
            best = function, error.bound
        if not math.isfinite(error.bound) or error.bound <= 1.01 * float(np.median(error.pieces)):
            break
        density.reweigh(knots, error.pieces)
    density.density = original
    if best is None:
        raise UnreachableError("piecewise-linear: no knots were tried")
    return best


def _search(
    target: Target, cover: Cover, eps: float, two_sided: bool, maximum: int
) -> tuple[HingeFunction, float]:
    ends = cover.edges[[0, -1]]
    density = _Density(cover, np.insert(ends, 1, inner_kinks(target, cover)))
    count = max(1, math.ceil(density.total() / math.sqrt((16 if two_sided else 8) * eps)))
    found: tuple[HingeFunction, float] | None = None
    for _ in range(24):
        if count > maximum:
            raise UnreachableError(f"piecewise-linear: eps = {eps:g} needs more than {maximum} knots")
        function, bound = _attempt(target, cover, density, count, two_sided)
        if bound <= eps:
            found = function, bound
            break
        growth = math.sqrt(bound / eps) if math.isfinite(bound) else 2.0
        count = max(count + 1, math.ceil(count * min(4.0, growth * 1.0002)))
    if found is None:
        raise UnreachableError(f"piecewise-linear: eps = {eps:g} not reached; rounding or a kink stands in the way")
    misses = 0
    while count > 1 and misses < (2 if count <= 400 else 1):  # fewer knots while the proof still holds
        count = count - max(1, count // 500)
        function, bound = _attempt(target, cover, density, count, two_sided)
        if bound <= eps:
            found, misses = (function, bound), 0
        else:
            misses += 1
    return found
