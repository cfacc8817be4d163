"""Which polynomial stands on every cell? Taylor's, with its top degree economised by Chebyshev polynomials, rigorously."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.numbers import float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._cell_grid import Axis, families
from constructions.relu._smooth_boxes import smooth_boxes

Index = tuple[int, ...]
#: From so many cells on panels are tried, as fine as for a grid of so many steps.
MANY, FINE = 20_000, 200_000
#: Where derivatives have no bounds.
FOR_KINKS = "piecewise-linear, cached-patches (one variable) and simplicial take functions with kinks"


def multi_indices(dimension: int, degree: int) -> list[Index]:
    """All multi-indices with |a| <= degree, by degree."""
    found = [a for a in itertools.product(range(degree + 1), repeat=dimension) if sum(a) <= degree]
    return sorted(found, key=lambda a: (sum(a), a))


@lru_cache(maxsize=64)
def monic_chebyshev(degree: int) -> tuple[fmpq, ...]:
    """The coefficients of 2^(1-k) T_k (k >= 1) in powers, the monic polynomial that is smallest on [-1,1]; 1 for k = 0."""
    before, now = [fmpq(1)], [fmpq(0), fmpq(1)]
    if degree == 0:
        return (fmpq(1),)
    for _ in range(degree - 1):
        following = [fmpq(0), *(2 * c for c in now)]
        for k, c in enumerate(before):
            following[k] -= c
        before, now = now, following
    return tuple(c / now[-1] for c in now)


def economisation(alpha: Index) -> dict[Index, fmpq]:
    """s^alpha - prod_k monic T_{alpha_k}(s_k) as {beta: coefficient}, all |beta| < |alpha|."""
    found: dict[Index, fmpq] = {}
    for beta in itertools.product(*(range(a + 1) for a in alpha)):
        c = fmpq(1)
        for a, b in zip(alpha, beta, strict=True):
            c *= monic_chebyshev(a)[b]
        if c != 0 and beta != alpha:
            found[beta] = -c
    return found


def minimal_sup(alpha: Index) -> float:
    """sup over [-1,1]^d of |prod_k monic T_{alpha_k}|: 2^-(sum of alpha_k - 1 over alpha_k >= 1), exact."""
    return 2.0 ** -sum(a - 1 for a in alpha if a)


@dataclass(frozen=True)
class CellPolynomials:
    """Coefficients in the scaled local coordinates, {family: {alpha: array over the family's cells}}, and error bounds.

    `truncation`: proved sup over all cores of |f - exact polynomial|; `rounding`: of |exact - float polynomial|.
    Both are estimates (rounding 0) when built by `float_polynomials`.
    """

    order: int
    coefficients: dict[Index, dict[Index, np.ndarray]]
    truncation: float
    rounding: float

    def largest(self, alpha: Index) -> float:
        """max over all cells of |coefficient|."""
        return max(float(np.abs(c[alpha]).max()) for c in self.coefficients.values())

    @property
    def count(self) -> int:
        """The number of cells."""
        return sum(len(next(iter(c.values()))) for c in self.coefficients.values())


def centres(axes: list[Axis], family: Index) -> np.ndarray:
    """The centres of a family's cells, (n, d), the last axis fastest."""
    grids = np.meshgrid(*[a.centres(p) for a, p in zip(axes, family, strict=True)], indexing="ij")
    return np.stack([g.ravel() for g in grids], axis=-1)


def tail_bound(target: Target, axes: list[Axis], order: int) -> float:
    """A proved bound of the Taylor remainder of degree order + 1: sum over |a| = order + 1 of D_a / a! / scale^a."""
    total = 0.0
    for alpha in multi_indices(target.dimension, order + 1):
        if sum(alpha) == order + 1:
            size = target.derivative_bound(alpha, rtol=0.3)  # not the leading term: coarse and quick
            for a, axis in zip(alpha, axes, strict=True):
                size = size / math.factorial(a) / axis.scale**a
            total += size
    return total * (1 + 1e-12)


def float_polynomials(target: Target, axes: list[Axis], order: int, tail: float) -> CellPolynomials:
    """The CellPolynomials from float64 jets: fast, a guess (nothing in it is proved)."""
    found: dict[Index, dict[Index, np.ndarray]] = {}
    worst = 0.0
    for family in families(axes):
        jets = target.jet_float(centres(axes, family), order)
        scaled = {a: jets[a] / math.prod(x.scale**k for k, x in zip(a, axes, strict=True)) for a in jets}
        top = [a for a in scaled if sum(a) == order]
        worst = max(worst, float(np.sum([np.abs(scaled[a]) * minimal_sup(a) for a in top], axis=0).max()))
        for alpha in top:
            for beta, c in economisation(alpha).items():
                scaled[beta] = scaled[beta] + to_float(c) * scaled[alpha]
        found[family] = {a: c for a, c in scaled.items() if sum(a) < order}
    return CellPolynomials(order, found, worst + tail, 0.0)


def proved_polynomials(target: Target, axes: list[Axis], order: int, tail: float) -> CellPolynomials:
    """The CellPolynomials with proved bounds: from jets in balls, about 0.05 ms a cell; many cells of a smooth f from panels.

    `tail` must be a proved bound of the remainder of degree order + 1.
    """
    if math.prod(a.cells for a in axes) >= MANY:
        swift = _from_panels(target, axes, order, tail)
        if swift is not None:
            return swift
    found: dict[Index, dict[Index, np.ndarray]] = {}
    worst, rounding = 0.0, 0.0
    with working_precision(96):
        top = [a for a in multi_indices(target.dimension, order) if sum(a) == order]
        low = [a for a in multi_indices(target.dimension, order) if sum(a) < order]
        inverse = {a: 1 / _power(axes, a) for a in top + low}
        moves = {a: [(b, to_arb(c)) for b, c in economisation(a).items()] for a in top}
        for family in families(axes):
            points = centres(axes, family)
            table = {a: np.zeros(len(points)) for a in low}
            for i, point in enumerate(points.tolist()):
                balls = target.jet([to_fmpq(v) for v in point], order)
                size, slack = _cell(balls, top, low, inverse, moves, table, i)
                worst, rounding = _larger(worst, size), _larger(rounding, slack)
            found[family] = table
    return CellPolynomials(order, found, (worst + tail) * (1 + 1e-12), rounding * (1 + 1e-12))


def _from_panels(target: Target, axes: list[Axis], order: int, tail: float) -> CellPolynomials | None:
    """The CellPolynomials from Taylor polynomials on panels, float64 with proved errors; None where these are not small."""
    boxes = smooth_boxes(target, FINE)
    found: dict[Index, dict[Index, np.ndarray]] = {}
    worst, rounding = 0.0, 0.0
    for family in families(axes):
        jets = boxes.taylor(centres(axes, family), order)
        if jets is None:
            return None
        table, errors = jets
        for a in table:
            inverse = 1 / math.prod(x.scale**k for k, x in zip(a, axes, strict=True))
            table[a] = table[a] * inverse
            errors[a] = errors[a] * inverse + _lost(table[a])
        sizes = [(np.abs(table[a]) + errors[a]) * minimal_sup(a) for a in table if sum(a) == order]
        worst = _larger(worst, float(np.sum(sizes, axis=0).max()) * (1 + 2.0**-40))
        for alpha in [a for a in table if sum(a) == order]:
            for beta, c in economisation(alpha).items():
                factor = to_float(c)
                table[beta] = table[beta] + factor * table[alpha]
                errors[beta] += abs(factor) * (errors[alpha] + _lost(table[alpha])) + _lost(table[beta])
        found[family] = {a: c for a, c in table.items() if sum(a) < order}
        rounding = _larger(rounding, sum(errors[a] for a in found[family]) * (1 + 2.0**-20))
    polynomials = CellPolynomials(order, found, (worst + tail) * (1 + 1e-12), rounding)
    return polynomials if rounding <= 2.0**-10 * polynomials.truncation else None


def _lost(values: np.ndarray) -> float:
    """A bound of what a few operations whose results these are lose."""
    return 16 * 2.0**-53 * float(np.abs(values).max())


def _larger(first: float, second: float) -> float:
    return second if second > first or second != second else first


def _power(axes: list[Axis], alpha: Index) -> Any:
    total = arb(1)
    for a, axis in zip(alpha, axes, strict=True):
        total *= to_arb(axis.scale) ** a
    return total


def _cell(
    balls: dict[Index, Any],
    top: list[Index],
    low: list[Index],
    inverse: dict[Index, Any],
    moves: dict[Index, list[tuple[Index, Any]]],
    table: dict[Index, np.ndarray],
    place: int,
) -> tuple[float, float]:
    scaled = {a: balls[a] * inverse[a] for a in low}
    size = 0.0
    for alpha in top:
        c = balls[alpha] * inverse[alpha]
        size += float_up(abs(c)) * minimal_sup(alpha)
        for beta, factor in moves[alpha]:
            scaled[beta] += factor * c
    slack = 0.0
    for alpha in low:
        ball = scaled[alpha]
        if not ball.is_finite():
            return math.inf, math.inf
        value = to_float(ball.mid())
        table[alpha][place] = value
        slack += float_up(abs(ball - to_arb(value)))
    return size, slack
