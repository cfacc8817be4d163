"""Which reflections, and which quadratic change of variable, reduce a function to a shorter and simpler piece of it?

The stages are found numerically (a guess: the certificate of the network decides) and built exactly. All act on [0, 1]:

- Fold(c): F(c + h) = F(c - h). The tent with its peak 1 at c maps [0, 1] onto [0, 1] (4 weights); F of the longer
  side of c is what is left to approximate.
- Fold(c, odd=True): F(c + h) - F(c) = -(F(c - h) - F(c)). With S >= 0 the function of the longer side minus its value
  at c, V = relu(S) and G = relu(V - M p), p = relu(z - c) the hinge of the fold, 2 G - V is S before c and -S after it:
  exact because 0 <= S <= M |z - c|, no product needed (4 weights more than an even fold).
- Bend(beta): z -> (1 - beta) z + beta z^2 by one sawtooth square, when the extrema of F lie like those of a periodic
  function of a quadratic (cos(40 x^2)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from constructions.relu._chain_model import Array

Function = Callable[[Array], Array]
LONGEST = 0.8  # a fold must leave at most this part of the interval
POINTS = 2001


@dataclass(frozen=True)
class Fold:
    """A reflection about c in (0, 1); `lift` and `sign` shape what is left of an odd function."""

    c: float
    odd: bool = False
    sign: float = 1.0
    lift: float = 0.0
    gate: float = 0.0
    value: float = 0.0
    reverse: bool = False

    @property
    def width(self) -> float:
        """The length of the longer side of c."""
        return max(self.c, 1 - self.c)

    def source(self, z: Array) -> Array:
        """The point of the longer side whose image is z; the centre has image 1 (0 when reversed)."""
        z = 1 - z if self.reverse else z
        return self.c * z if self.c >= 0.5 else 1 - (1 - self.c) * z

    def rest(self, f: Function) -> Function:
        """What is left to approximate on [0, 1]."""
        if not self.odd:
            return lambda z: f(self.source(z))
        return lambda z: self.sign * (f(self.source(z)) - self.value) + self.lift * (z if self.reverse else 1 - z)


@dataclass(frozen=True)
class Bend:
    """The increasing quadratic z -> (1 - beta) z + beta z^2 of [0, 1] onto itself, 0 < |beta| <= 1."""

    beta: float

    def source(self, z: Array) -> Array:
        """The inverse image of z."""
        b = 1 - self.beta
        return np.asarray(2 * z / (b + np.sqrt(b * b + 4 * self.beta * z) + 1e-300))

    def rest(self, f: Function) -> Function:
        """What is left to approximate on [0, 1]."""
        return lambda z: f(self.source(z))


Stage = Fold | Bend


def reduce(f: Function, eps: float, low: float = 0.0, width: float = 1.0) -> tuple[list[Stage], Function]:
    """The stages that apply to f on [0, 1] = (domain - low) / width, outermost first, and the function that is left.

    A first fold about the origin of the domain is reversed (|x| needs no constant).
    """
    bend = _bend(f)
    if bend is not None:
        folds, rest = _folds(bend.rest(f), eps)
        if len(folds) >= 2:
            return [bend, *folds], rest
    return _folds(f, eps, -low / width)


def is_affine(f: Function, tolerance: float) -> bool:
    """Whether f differs from its chord on [0, 1] by at most the tolerance (sampled)."""
    z = np.linspace(0, 1, POINTS)
    values = f(z)
    return bool(np.abs(values - (values[0] + z * (values[-1] - values[0]))).max() <= tolerance)


def _folds(f: Function, eps: float, origin: float = 0.0) -> tuple[list[Stage], Function]:
    stages: list[Stage] = []
    while len(stages) < 24 and not is_affine(f, 0.002 * eps):
        fold = _best_fold(f, eps)
        if fold is None:
            break
        if not stages and fold.c == origin and fold.c >= 0.5:
            fold = replace(fold, reverse=True)
        stages.append(fold)
        f = fold.rest(f)
    return stages, f


def _best_fold(f: Function, eps: float) -> Fold | None:
    grid = np.linspace(0, 1, POINTS)
    values = f(grid)
    if not np.isfinite(values).all():
        return None
    scale = float(np.abs(values).max())
    tolerance = max(1e-13 * scale, 0.002 * eps)
    if float(np.ptp(values)) <= 4 * tolerance:
        return None
    best: Fold | None = None
    for odd, longest in ((False, LONGEST), (True, 0.6)):
        found = [c for c in _centres(f, grid, values, odd) if _mismatch(f, c, odd) <= tolerance]
        found = [c for c in found if max(c, 1 - c) <= longest]
        if found:
            c = min(found, key=lambda c: (max(c, 1 - c) + (0.0 if c >= 0.5 else 0.08), c))
            fold = _shaped(f, c, eps) if odd else Fold(c)
            if best is None or (fold.width + 0.05 < best.width and fold.lift == 0):
                best = fold
    return best


def _centres(f: Function, grid: Array, values: Array, odd: bool) -> list[float]:
    """1/2 and the refined zeros of the first (even) or second (odd) difference in the middle of the interval."""
    difference = np.diff(values, n=2 if odd else 1)
    change = np.flatnonzero(difference[1:] * difference[:-1] < 0)
    guesses = [float(grid[i + 1] + (0.5 if odd else 0.0) * (grid[1] - grid[0])) for i in change]
    guesses = [c for c in guesses if 1 - LONGEST <= c <= LONGEST and abs(c - 0.5) > 1e-3]
    guesses.sort(key=lambda c: abs(c - 0.5))
    return [0.5, *(_refined(f, c, odd) for c in guesses[:8])]


def _asymmetry(f: Function, c: float, h: Array, odd: bool) -> Array:
    if odd:
        return np.asarray(f(c + h) + f(c - h) - 2 * f(np.array([c])))
    return np.asarray(f(c + h) - f(c - h))


def _mismatch(f: Function, c: float, odd: bool) -> float:
    h = np.linspace(0, min(c, 1 - c), 257)
    return float(np.abs(_asymmetry(f, c, h, odd)).max())


def _refined(f: Function, c: float, odd: bool) -> float:
    """The centre nearest to c by the secant method on the summed asymmetry of a few distances."""
    h = min(c, 1 - c) * 0.05 * np.array([0.5, 0.7, 1.0])

    def g(x: float) -> float:
        return float(_asymmetry(f, x, h, odd).sum())

    x0, x1 = c, c + 1e-5
    g0, g1 = g(x0), g(x1)
    for _ in range(12):
        if g1 == g0:
            break
        x0, x1, g0 = x1, min(max(x1 - g1 * (x1 - x0) / (g1 - g0), 0.01), 0.99), g1
        g1 = g(x1)
    return x1


def _shaped(f: Function, c: float, eps: float) -> Fold:
    """The odd fold about c with the sign and the lift that make the rest non-negative, and the slope of its gate."""
    value = float(f(np.array([c]))[0])
    plain = Fold(c, odd=True, value=value if abs(value) > 1e-3 * eps else 0.0)
    z = np.linspace(0, 1, POINTS)[:-1]
    quotient = plain.rest(f)(z) / (1 - z)
    sign = 1.0 if quotient.max() >= -quotient.min() else -1.0
    quotient = sign * quotient
    low, high = float(quotient.min()), float(quotient.max())
    lift = 0.0 if low >= -1e-9 * high else float(2.0 ** np.ceil(np.log2(-1.05 * low)))
    gate = float(2.0 ** np.ceil(np.log2(1.1 * (high + lift) / plain.width)))
    return Fold(c, True, sign, lift, gate, plain.value)


def _bend(f: Function) -> Bend | None:
    """The quadratic under which at least five extrema of f become equidistant, with beta a small fraction, or None."""
    grid = np.linspace(0, 1, POINTS)
    slope = np.diff(f(grid))
    change = np.flatnonzero(slope[1:] * slope[:-1] < 0)
    if len(change) < 5:
        return None
    # zero of the slope between the two midpoints, by linear interpolation
    at = grid[change] + (0.5 + slope[change] / (slope[change] - slope[change + 1])) * (grid[1] - grid[0])
    a, b, _ = np.polyfit(at, np.arange(len(at)), 2)
    if not a + b > 0:
        return None
    beta = Fraction(float(a / (a + b))).limit_denominator(64)
    if beta == 0 or abs(beta) > 1 or abs(float(beta) - a / (a + b)) > 1e-2:
        return None
    return Bend(float(beta))
