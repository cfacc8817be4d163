"""What are values and derivatives of a smooth function of d >= 2 variables at millions of points? Proved bounds.

The box is cut into B^d panels of centres c and half-widths w; f(c + w s) = sum_{|a| < T} c_a s^a + R, c_a = w^a D^a f(c)/a! and
|R| <= sum_{|a| = T} max |w^a D^a f/a!|, s in [-1, 1]^d, from Taylor coefficients in balls. Horner's scheme in float64 errs by
at most 4 (T + d) 2^-53 sum |c_a|: a coefficient passes fewer than 2 (T + d) operations, s is rounded once for each power. The
same c_a give w_k w_l D_k D_l f, times a_k a_l or a_k (a_k - 1), higher derivatives, and bounds of third derivatives; and all
D^a f/a! at points that lie on no grid, moved by the rounding of their places.
Functions without such panels (declared by the user, not analytic) have values and global bounds of second derivatives only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from flint import arb, fmpq

from approx.errors import UnreachableError
from approx.numbers import arb_interval, float_up, to_arb, to_float, working_precision
from approx.targets import Target
from constructions.relu._cell_quadratics import pairs
from constructions.relu._node_values import node_values

Array = np.ndarray
Index = tuple[int, ...]
_UNIT = 2.0**-53
#: By the number of variables: the order T of remainders, and how many panels an axis may have (twice as many for a larger T).
_ORDER = {2: 12, 3: 10}
_MOST = {2: 64, 3: 16}
#: Remainders are this share of the change of f over a fine step squared, if as many panels are allowed.
_WANTED = 2.0**-10
_CHUNK, _BITS = 1 << 14, 100
#: Of some points: the panels that they lie in, and their places s there, by axis.
_Located = tuple[Array, list[Array]]


class SmoothBoxes:
    """Values and derivatives; on grids places are numerators / total of the box, per axis."""

    def __init__(self, target: Target, steps: int, more: int = 0) -> None:
        """`steps` is the number of steps per axis of a grid, O(h^2) of which is what values are wanted for; T + more is T."""
        self._target = target
        analytic = not target.assumptions and target.dimension in _ORDER
        self._order = _ORDER.get(target.dimension, 0) + more
        count, self._enough = _count(target, self._order, _WANTED / steps**2) if analytic else (0, False)
        self._panels = _panels(target, self._order, count) if analytic else None

    def values(self, numerators: Array, total: int, planned: int = 0) -> tuple[Array, float]:
        """(float64 values of f at places (n, d), proved bound of their errors); `planned`: how many there will be in all."""
        if self._panels is None or not self._enough:
            try:
                return node_values(self._target, numerators, total, planned)
            except UnreachableError:  # too many for balls
                if self._panels is None:
                    raise
        return self._panels.values(numerators, total)

    def bends(self, numerators: Array, total: int, steps: int) -> tuple[Array, Array]:
        """(h_k h_l D_k D_l f at places (n, d), (pairs, n); bounds (pairs,) of error and change on boxes of sides h around).

        h is 1/steps of the box. Pairs k <= l in lexicographic order.
        """
        if self._panels is None:
            kinds = pairs(self._target.dimension)
            return np.zeros((len(kinds), len(numerators))), np.array([self._bound(p, steps) for p in kinds])
        return self._panels.bends(numerators, total, steps)

    def _bound(self, axes: Index, steps: int) -> float:
        order = tuple(sum(k == axis for k in axes) for axis in range(self._target.dimension))
        scale = fmpq(1)
        for k in axes:
            low, high = self._target.domain[k]
            scale *= (high - low) / steps
        with working_precision(80):
            return self._target.derivative_bound(order) * float_up(scale)

    @property
    def expanded(self) -> bool:
        """Whether there are Taylor coefficients."""
        return self._panels is not None

    def largest(self, axes: Index, steps: int) -> float:
        """A proved bound of |h_k h_l .. D_k D_l .. f| on the box; h is 1/steps of it."""
        if self._panels is None or len(axes) >= self._order:
            return self._bound(axes, steps)
        return self._panels.largest(axes, steps)

    def derivatives(self, axes: Index, numerators: Array, total: int, steps: int) -> tuple[Array, float]:
        """(h_k h_l .. D_k D_l .. f for these axes at places (n, d), proved bound of their errors); h is 1/steps of the box."""
        if self._panels is None:
            return np.zeros(len(numerators)), self._bound(axes, steps)
        return self._panels.derivatives(axes, numerators, total, steps)


    def taylor(self, points: Array, order: int) -> tuple[dict[Index, Array], dict[Index, float]] | None:
        """({a: D^a f/a! at points, |a| <= order}, {a: proved bound of its errors}); None without Taylor coefficients.

        The points (n, d) are float64 numbers next to points of the box, at most an ulp away.
        """
        if self._panels is None or not self._enough or order >= self._order:
            return None
        return self._panels.taylor(points, list(self._target.domain), order)


@lru_cache(maxsize=4)
def smooth_boxes(target: Target, steps: int, more: int = 0) -> SmoothBoxes:
    """The SmoothBoxes of a target; the last few are kept."""
    return SmoothBoxes(target, steps, more)


class _Panels:
    def __init__(self, count: int, coefficients: dict[Index, Array], lacking: Array, rest: dict[Index, Array]) -> None:
        """Panels per axis; c_a by a, |a| < T; what they lack in sum; bounds of |c_a|, |a| = T; arrays over all panels."""
        self._count, self._coefficients, self._rest = count, coefficients, rest
        self._dimension, self._order = len(next(iter(rest))), sum(next(iter(rest)))
        size = sum(np.abs(c) for c in coefficients.values())
        rounding = 4 * (self._order + self._dimension) * _UNIT
        self._rounding, self._lacking = rounding, lacking
        self.error = float((size * rounding + lacking + sum(rest.values())).max()) * (1 + 2.0**-40) + 2.0**-1000
        kinds: list[Index] = list(pairs(self._dimension))
        self._derived = {p: self._derivative(p) for p in kinds}
        axes = range(self._dimension)
        self._change = np.array([[self._sup((*p, m), lacking) for m in axes] for p in self._derived]).sum(axis=1)
        self._lost = np.array([self._derivative_error(q, p) for p, q in self._derived.items()])

    def _derivative(self, axes: Index) -> dict[Index, Array]:
        """The coefficients of w_k w_l ... D_k D_l ... f."""
        found = {}
        for a, c in self._coefficients.items():
            factor, b = _lowered(a, axes)
            if factor:
                found[b] = factor * c
        return found

    def _remainder(self, axes: Index) -> Array:
        return sum(_lowered(a, axes)[0] * r for a, r in self._rest.items())  # type: ignore[return-value]

    def _sup(self, axes: Index, lacking: Array) -> float:
        """A bound of |w_k w_l .. D_k D_l .. f| on all panels, for fewer than T axes."""
        terms = sum(np.abs(c) for c in self._derivative(axes).values())
        # Coefficients grow by factors of at most T each time.
        terms = terms * (1 + 2.0**-40) + self._order ** len(axes) * lacking
        return float((terms + self._remainder(axes)).max()) * (1 + 2.0**-40)

    def _derivative_error(self, polynomial: dict[Index, Array], axes: Index) -> float:
        size = sum(np.abs(c) for c in polynomial.values())
        # What the coefficients lack grows by their factors, at most T each.
        lost = self._order ** len(axes) * self._lacking + self._remainder(axes)
        return float((size * self._rounding + lost).max()) * (1 + 2.0**-40)

    def values(self, numerators: Array, total: int) -> tuple[Array, float]:
        return self._on_grid([self._coefficients], numerators, total)[0], self.error

    def bends(self, numerators: Array, total: int, steps: int) -> tuple[Array, Array]:
        step = 2.0 * self._count / steps  # h in units of w, on all axes
        found = self._on_grid(list(self._derived.values()), numerators, total) * step**2
        return found, (self._lost * step**2 + self._change * step**3 / 2) * (1 + 2.0**-40)

    def largest(self, axes: Index, steps: int) -> float:
        return self._sup(axes, self._lacking) * (2.0 * self._count / steps) ** len(axes) * (1 + 2.0**-40)

    def derivatives(self, axes: Index, numerators: Array, total: int, steps: int) -> tuple[Array, float]:
        scale = (2.0 * self._count / steps) ** len(axes)
        error = self._derivative_error(self._derivative(axes), axes) * scale * (1 + 2.0**-40)
        return self._on_grid([self._derivative(axes)], numerators, total)[0] * scale, error

    def taylor(
        self, points: Array, sides: list[tuple[fmpq, fmpq]], order: int
    ) -> tuple[dict[Index, Array], dict[Index, float]]:
        """See SmoothBoxes.taylor. With w the half-widths, D^a f/a! = w^-a sum over b >= a of binomial(b, a) c_b s^(b-a).

        s = 2 B (x - low)/(high - low) - (2 i + 1) errs by at most `moved`, and may leave [-1, 1] by as much: then x lies in the
        next panel, so remainders are those of all panels, index by index.
        """
        origin = np.array([to_float(low) for low, _ in sides])
        width = np.array([to_float(high - low) for low, high in sides])
        far = np.array([to_float(max(abs(low), abs(high))) for low, high in sides])
        moved = 2 * self._count * _UNIT * (4 * float((far / width).max()) + 8) * (1 + 2.0**-20)

        def located(part: slice) -> _Located:
            panel, places = np.zeros(len(points[part]), dtype=np.int64), []
            for column, low, side in zip(points[part].T, origin, width, strict=True):
                t = (column - low) / side
                at = np.clip(np.floor(t * self._count), 0, self._count - 1)
                panel = panel * self._count + at.astype(np.int64)
                places.append(2 * self._count * t - (2 * at + 1))
            return panel, places

        indices = [a for a in self._coefficients if sum(a) <= order]
        polynomials = {a: _shifted(self._coefficients, a) for a in indices}
        values = self._evaluated(list(polynomials.values()), len(points), located)
        found, errors = {}, {}
        for a, row in zip(indices, values, strict=True):
            p = polynomials[a]
            size = float(np.sum([np.abs(c) for c in p.values()], axis=0).max())
            turning = float(np.sum([sum(b) * np.abs(c) for b, c in p.items()], axis=0).max())
            rest = sum(float(r.max()) for r in _shifted(self._rest, a).values())
            lacking = self._order ** sum(a) * float(self._lacking.max())
            scale = math.prod((2 * self._count / side) ** k for k, side in zip(a, width.tolist(), strict=True))
            found[a] = row * scale
            # The scale, and the product with it, err by a few units of rounding: so does `size`.
            lost = size * (self._rounding + 16 * _UNIT) + turning * moved + lacking + rest
            errors[a] = lost * scale * (1 + 2.0**-20) + 2.0**-1000
        return found, errors

    def _evaluated(self, polynomials: list[dict[Index, Array]], count: int, located: Callable[[slice], _Located]) -> Array:
        found = np.empty((len(polynomials), count))
        for start in range(0, count, _CHUNK):  # so that intermediate results stay in the cache
            part = slice(start, start + _CHUNK)
            panel, places = located(part)
            for row, polynomial in enumerate(polynomials):
                found[row, part] = _horner(polynomial, (), places, panel)
        return found

    def _on_grid(self, polynomials: list[dict[Index, Array]], numerators: Array, total: int) -> Array:
        def located(part: slice) -> _Located:
            panel, places = np.zeros(len(numerators[part]), dtype=np.int64), []
            for column in numerators[part].T.astype(np.int64):
                at = np.minimum(column * self._count // total, self._count - 1)
                panel = panel * self._count + at
                places.append((2 * (column * self._count - at * total) - total) / float(total))
            return panel, places

        return self._evaluated(polynomials, len(numerators), located)


def _shifted(coefficients: dict[Index, Array], a: Index) -> dict[Index, Array]:
    """{b - a: binomial(b, a) c_b, b >= a}."""
    pairs = {b: list(zip(b, a, strict=True)) for b in coefficients}
    return {
        tuple(j - k for j, k in rows): coefficients[b] * float(math.prod(math.comb(j, k) for j, k in rows))
        for b, rows in pairs.items()
        if all(j >= k for j, k in rows)
    }


def _lowered(a: Index, axes: Index) -> tuple[int, Index]:
    """(the factor, the index) that s^a has after derivatives along these axes."""
    b, factor = list(a), 1
    for k in axes:
        factor *= b[k]
        b[k] -= 1
    return factor, tuple(b)


def _horner(polynomial: dict[Index, Array], first: Index, places: list[Array], panel: Array) -> Array:
    """The sum over all indices that begin with `first`, divided by the powers of those variables."""
    if len(first) == len(places):
        return polynomial[first].take(panel)
    degree = max(a[len(first)] for a in polynomial if a[: len(first)] == first)
    result = _horner(polynomial, (*first, degree), places, panel)
    for i in range(degree - 1, -1, -1):
        result = result * places[len(first)] + _horner(polynomial, (*first, i), places, panel)
    return result


@lru_cache(maxsize=8)
def _count(target: Target, order: int, wanted: float) -> tuple[int, bool]:
    """(panels per axis, whether remainders are as small as wanted then) from a few panels: a guess, nothing rests on it."""
    count, most = 2, _MOST[target.dimension] * (1 if order == _ORDER[target.dimension] else 2)
    while not _remainder_is_small(target, order, count, wanted):
        if count == most:
            return count, False
        count *= 2
    return count, True


@lru_cache(maxsize=4)
def _panels(target: Target, order: int, count: int) -> _Panels | None:
    """The panels; None where f has no such coefficients."""
    d = target.dimension
    indices = [a for a in itertools.product(range(order + 1), repeat=d) if sum(a) <= order]
    coefficients = {a: np.empty(count**d) for a in indices if sum(a) < order}
    rest = {a: np.empty(count**d) for a in indices if sum(a) == order}
    lacking = np.empty(count**d)
    for number, place in enumerate(itertools.product(range(count), repeat=d)):
        point, box = _jets(target, order, place, count)
        if not all(c.is_finite() for c in (*point.values(), *box.values())):
            return None
        with working_precision(_BITS):
            lost = arb(0)
            for a, c in coefficients.items():
                c[number] = to_float(point[a].mid())
                lost += abs(point[a] - to_arb(float(c[number])))
            lacking[number] = float_up(lost)
        for a, r in rest.items():
            r[number] = float_up(abs(box[a]))
    return _Panels(count, coefficients, lacking, rest)


def _remainder_is_small(target: Target, order: int, count: int, wanted: float) -> bool:
    chosen = sorted({0, count // 3, count // 2, count - 1})
    for place in itertools.product(chosen, repeat=target.dimension):
        box = _jets(target, order, place, count)[1]
        if not all(c.is_finite() for c in box.values()):
            return False
        degrees = {a: sum(a) for a in box}
        rest = sum(float_up(abs(c)) for a, c in box.items() if degrees[a] == order)
        # Over the whole box f changes by count times as much, or more.
        if rest > wanted * count * max(float_up(abs(c)) for a, c in box.items() if degrees[a] > 0):
            return False
    return True


def _jets(target: Target, order: int, place: Index, count: int) -> tuple[dict[Index, arb], dict[Index, arb]]:
    """The c_a at a panel's centre, |a| < T, and the c_a over the panel, |a| <= T."""
    with working_precision(_BITS):
        middle, box, halves = [], [], []
        for (low, high), i in zip(target.domain, place, strict=True):
            half = (high - low) / (2 * count)
            left = low + 2 * i * half
            middle.append(arb(left + half))
            box.append(arb_interval(left, left + 2 * half))
            halves.append(arb(half))
        scale = {a: math.prod((w**i for w, i in zip(halves, a, strict=True)), start=arb(1)) for a in
                 itertools.product(range(order + 1), repeat=len(halves)) if sum(a) <= order}  # fmt: skip
        point = {a: c * scale[a] for a, c in target.jet(middle, order - 1).items()}
        return point, {a: c * scale[a] for a, c in target.jet(box, order).items()}
