"""Which sines approximate f on a cell, and which frequencies and amplitudes serve all cells at once? Fourier extension.

On a cell of half-width a, with t = x - its middle, f is fitted by 1, cos(w.t), sin(w.t), w = (theta/a) j, j integer
vectors of norm at most n: a Fourier series of a period longer than the cell, by least squares on Chebyshev points. For
analytic f the error falls geometrically in n. theta is searched; small theta approach polynomials, with larger coefficients.
Everything here is a guess in float64: what is proved of the result is proved elsewhere, of the finished numbers.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from flint import fmpq

from approx.numbers import to_float, to_fmpq
from constructions.periodic._fourier_plan import Cells, Seams

THETAS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.6, 2.0, 2.4)
#: The least squares drop what is smaller than this, relatively: it would cost large coefficients.
_TRUNCATED = 1e-13
#: What float64 certificates cannot see below, relative to the sum of the coefficients.
ROUNDING = 2.0**-46


@dataclass(frozen=True)
class Fit:
    """Coefficients (states, 1 + 2 F): constant, cosines, sines about the middles of the cells; and what samples show."""

    seams: Seams
    frequencies: list[tuple[fmpq, ...]]
    numbers: list[int]
    middles: np.ndarray
    coefficients: np.ndarray
    error: float

    @property
    def size(self) -> float:
        """The largest sum of coefficients over the cells."""
        return float(np.abs(self.coefficients).sum(axis=1).max(initial=0.0))


def index_vectors(dimension: int, order: int) -> list[tuple[int, ...]]:
    """Integer vectors j with 0 < |j|_1 <= order, one of each pair +-j."""
    every = itertools.product(range(-order, order + 1), repeat=dimension)
    return [j for j in every if 0 < sum(map(abs, j)) <= order and next(v for v in j if v) > 0]


def fit_group(cells: Cells, seams: Seams, order: int, theta: float) -> Fit:
    """The fit for one set of seam axes; constants where all axes are at seams."""
    d = cells.target.dimension
    free = [i for i in range(d) if i not in seams]
    vectors = index_vectors(len(free), order) if free else []
    base = [_base(cells, i, theta) for i in free]
    frequencies = []
    for j in vectors:
        full = [fmpq(0)] * d
        for axis, unit, k in zip(free, base, j, strict=True):
            full[axis] = unit * k
        frequencies.append(tuple(full))
    numbers, states = zip(*cells.states(), strict=True)
    middles = np.array([[to_float((a + b) / 2) for a, b in cells.box(seams, s)] for s in states])
    halves = np.array([[to_float((b - a) / 2) for a, b in cells.box(seams, s)] for s in states])
    omegas = np.array([[to_float(v) for v in w] for w in frequencies]).reshape(len(frequencies), d)
    coefficients = np.zeros((len(states), 1 + 2 * len(frequencies)))
    worst = 0.0
    nodes, tests = _points(d, free, 2 * order + 6), _points(d, free, 4 * order + 11, ends=True)
    for half in np.unique(halves, axis=0):  # the last cells are a little shorter
        rows = np.flatnonzero((halves == half).all(axis=1))
        wanted = _values(cells, middles[rows], nodes * half)
        if not np.isfinite(wanted).all():
            worst = math.inf
            break
        coefficients[rows] = np.linalg.lstsq(_basis(nodes * half, omegas), wanted.T, rcond=_TRUNCATED)[0].T
        shown = coefficients[rows] @ _basis(tests * half, omegas).T - _values(cells, middles[rows], tests * half)
        worst = max(worst, float(np.nan_to_num(np.abs(shown), nan=math.inf).max()))
    found = Fit(seams, frequencies, list(numbers), middles, coefficients, worst)
    return replace(found, error=worst + ROUNDING * found.size)


def _base(cells: Cells, axis: int, theta: float) -> fmpq:
    """theta over the half-width of a cell, to 20 bits: a short weight."""
    low, high = list(cells.target.domain)[axis]
    wanted = to_fmpq(theta) * 2 * cells.per_axis / (high - low)
    shift = 20 - (int(wanted.p).bit_length() - int(wanted.q).bit_length())
    scaled = wanted * fmpq(2) ** shift
    return fmpq(int(scaled.p // scaled.q)) / fmpq(2) ** shift


def _points(d: int, free: list[int], count: int, ends: bool = False) -> np.ndarray:
    """Chebyshev points of [-1, 1] on the free axes (with the ends if asked), 0 on the others: (points, d)."""
    k = np.arange(count)
    line = np.cos(np.pi * k / (count - 1)) if ends else np.cos(np.pi * (k + 0.5) / count)
    axes = [line if i in free else np.zeros(1) for i in range(d)]
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)


def _basis(t: np.ndarray, omegas: np.ndarray) -> np.ndarray:
    angles = t @ omegas.T
    return np.concatenate([np.ones((len(t), 1)), np.cos(angles), np.sin(angles)], axis=1)


def _values(cells: Cells, middles: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    sides = np.asarray(cells.target.domain.floats_inside())
    points = np.clip(middles[:, None, :] + offsets[None, :, :], sides[:, 0], sides[:, 1])
    flat = points.reshape(-1, points.shape[2])
    with np.errstate(all="ignore"):
        values = np.asarray(cells.target(flat if flat.shape[1] > 1 else flat[:, 0])).reshape(points.shape[:2])
    return values
