"""How many weights will a construction need, roughly and from below? Guesses that order the work of `build`, no bounds."""

from __future__ import annotations

import math

import numpy as np

from approx.errors import ApproxError
from approx.targets import Target
from constructions.relu.square_chain import make_problem

#: What the cheapest networks of a family cost before accuracy matters.
_FLOORS = {
    "powers": 0, "polynomial": 40, "quotient-chain": 9, "square-chain": 10, "spline-chain": 40, "composition": 40,
    "local-taylor": 250,
}
#: What two-scale networks cost by the number of variables, before accuracy matters.
_PATCHES = {"hoelder-two-scale": (40, 1500, 8000), "deep-two-scale": (50, 900, 5000), "narrow": (100, 1800, 12_000)}
#: From this accuracy on square chains were seen to be smaller where curvatures turn; smaller bends (relatively) are noise.
_TURNED, _NOISE = 1e-7, 1e-9


def floor_of(name: str) -> int:
    """The least number of weights that networks of this family are known to have on non-trivial targets."""
    return _FLOORS[name]


def quotient_chain_weights(target: Target, eps: float) -> int:
    """The floor of quotient chains; below _TURNED a little more than that of square chains, which then come first, where what
    reflections leave of f changes the sign of its curvature twice or more: few quotients do that (docs/quotient-chains.md)."""
    floor = floor_of("quotient-chain")
    if eps > _TURNED or target.dimension != 1:
        return floor
    try:
        problem = make_problem(target, eps, "quotient-chain")
    except ApproxError:
        return floor
    bends = np.diff(np.diff(problem.values) / np.diff(problem.grid))
    bends = bends[np.abs(bends) > _NOISE * np.abs(bends).max(initial=0.0)]
    return floor_of("square-chain") + 1 if (bends[1:] * bends[:-1] < 0).sum() > 1 else floor


def piecewise_linear_weights(target: Target, eps: float, points: int = 2001) -> int:
    """About 3 weights per knot with integral |f''|^(1/2) / (4 eps^(1/2)) knots (two-sided), by sampling f''.

    The true count is a few per cent higher; kinks and infinite derivatives count nothing here.
    """
    [(low, high)] = target.domain.floats()
    x = low + (high - low) * (np.arange(points) + 0.5) / points
    try:
        with np.errstate(all="ignore"):
            second = 2 * np.asarray(target.jet_float(x[:, np.newaxis], 2)[(2,)])
    except ApproxError:
        return 0
    density = np.sqrt(np.abs(second[np.isfinite(second)]))
    total = float(density.mean()) * (high - low) if len(density) else 0.0
    return int(0.9 * 3 * total / (4 * math.sqrt(eps)))


def simplicial_weights(target: Target, eps: float) -> int:
    """About 12 weights per node of a grid on which interpolation of f reaches eps, from the curvature at random points."""
    rng = np.random.default_rng(0)
    sides = target.domain.floats()
    x = sides[:, 0] + (sides[:, 1] - sides[:, 0]) * rng.random((500, target.dimension))
    try:
        with np.errstate(all="ignore"):
            jets = target.jet_float(x, 2)
    except ApproxError:
        return 0
    curve = sum(np.abs(np.asarray(v)) for a, v in jets.items() if sum(a) == 2)
    curve = np.asarray(curve)[np.isfinite(curve)]
    cells = math.sqrt(float(np.median(curve)) / (4 * eps)) if len(curve) else 1.0
    # Where the curvature sits in kinks the samples see none of it: never assume less than the other families need.
    return max(100, int(12 * max(1.0, cells) ** target.dimension))


def cached_weights(target: Target, eps: float) -> int:
    """About 3 n / log2(n) weights for zig-zags of n = L |domain| / eps steps, half of what rough targets take."""
    try:
        steps = target.lipschitz() * float(np.diff(target.domain.floats())[0, 0]) / eps
    except ApproxError:
        return 0
    # Without a Lipschitz constant the construction refuses at once; a constant takes no steps.
    return _rounded(3 * steps / math.log2(steps + 2)) if math.isfinite(steps) else 0


def cached_narrow_weights(target: Target, eps: float) -> int:
    """Three times as many as in patches: what the width of 5 costs at least."""
    return 3 * cached_weights(target, eps)


def two_scale_weights(target: Target, eps: float, name: str = "deep-two-scale", per_step: int = 9) -> int:
    """About 20 K^(d/2) weights, K steps of an axis with omega_f(side/K) = eps/2 (d = 1), eps/1.2: 9 from below."""
    try:
        alpha, constant = target.hoelder()
    except ApproxError:
        return 0
    side = float(np.ptp(target.domain.floats(), axis=1).max())
    with np.errstate(all="ignore"):  # infinite where 1/alpha is large
        steps = side * np.float64(constant * (2 if target.dimension == 1 else 1.2) / eps) ** (1 / alpha)
        found = per_step * steps ** (target.dimension / 2)
    return max(_PATCHES[name][target.dimension - 1], _rounded(float(found)))


def narrow_weights(target: Target, eps: float) -> int:
    """About 30 K^(1/2), 80 K weights, and more in three variables: 15 K^(d/2) from below."""
    return two_scale_weights(target, eps, "narrow", 15)


def hoelder_weights(target: Target, eps: float) -> int:
    """About 25 K^(1/2), 46 K, 66 K^(3/2) weights for order 2, sum h_k h_l |f_kl| / 8 = eps at h = side/K: 15 from below."""
    rng = np.random.default_rng(0)
    ends = target.domain.floats()
    sides = ends[:, 1] - ends[:, 0]
    try:
        with np.errstate(all="ignore"):
            jets = target.jet_float(ends[:, 0] + sides * rng.random((500, target.dimension)), 2)
    except ApproxError:
        return 0
    curve = sum(np.abs(np.asarray(v)) * np.prod(sides**a) for a, v in jets.items() if sum(a) == 2)
    curve = np.asarray(curve)[np.isfinite(curve)]
    steps = math.sqrt(float(curve.max()) / (8 * eps)) if len(curve) else 1.0
    least = _PATCHES["hoelder-two-scale"][target.dimension - 1]
    return max(least, _rounded(15 * max(1.0, steps) ** (target.dimension / 2)))


def _rounded(weights: float) -> int:
    return int(min(weights, 1e15)) if weights >= 0 else 0
