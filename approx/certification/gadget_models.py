"""Which polynomials enclose a network of ReLUs, squares and products on boxes? Forward models, backward sensitivities.

On a box with centre c and half-widths h every row (argument) and every step is P(u) + r, u in [-1, 1]^d, P of total degree
<= n, |r| <= e; x = c + h u.
- Rows: P, e by linear combination. Their ranges are the intersection of three: that of the polynomial, that of the ranges
  of what is read, and where ReLUs of both signs are read (max(l, 0) is convex) the values at the corners of the box.
- A ReLU is replaced by its chord. A square F_m(|t|) is replaced by its chord, or by t^2 + [0, 4^-(m+1)], whichever loses
  less; a product F_m(|p+q|) - F_m(|p-q|) by two chords or by 4pq + r with the r of gadget_products.
- Backwards: with y - P_y = s (z - P_z) + local, s in a known interval for every replacement, the output is
  P + sum a_k local_k, where a_k, the sensitivity of the output, is found in intervals from the output down. So what a
  step loses costs nothing where the network does not listen to it. The smaller of both error bounds counts.

Roundings of float64 are bounded and added to e or local; NaN ends as e = NaN, which callers turn to inf.
Cost O(weights * monomials) per box. Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from approx.certification.gadget_forms import beyond, relu_chord, square_chord
from approx.certification.gadget_products import Step, Steps
from approx.certification.gadget_rows import Level, Rows, kind
from approx.certification.narrowing import Known
from approx.certification.square_sums import Form, add, scaled
from approx.certification.taylor_forms import Monomials
from approx.numbers import to_float

_UNIT = 2.0**-53
_TINY = 2.0**-1000
_UP = 1 + 2.0**-30
#: Doubles that are worked on at once: cache.
_CHUNK = 1_000_000


@dataclass
class _Batch:
    """All steps on some boxes: coefficients (steps, monomials, boxes), errors, ranges; ReLUs of both signs among them."""

    coefficients: np.ndarray
    error: np.ndarray
    middle: np.ndarray
    radius: np.ndarray
    sizes: np.ndarray
    which: np.ndarray
    bent: list[tuple[int, np.ndarray, np.ndarray]]  # step, its argument's corner values (corners, boxes), crossing

    def set_range(self, to: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> None:
        """The ranges of steps, as middle and radius."""
        self.middle[to] = 0.5 * (lo + hi)
        self.radius[to] = 0.5 * (hi - lo) * _UP + 4 * _UNIT * (np.abs(lo) + np.abs(hi))


@dataclass
class _Trace:
    """What one level did: ranges and local errors of rows, local errors of steps with their slopes (middle, radius)."""

    low: np.ndarray
    high: np.ndarray
    row_error: np.ndarray
    reach: np.ndarray  # how far rows move along each axis (rows, inputs, boxes): where to cut, a guide only
    slopes: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]  # steps, rows, middle, radius
    local: np.ndarray


class GadgetModels:
    """Polynomial models, of total degree `order`, of one network or several of one shape (gadget_rows) on boxes."""

    def __init__(self, networks: list[Steps], order: int) -> None:
        steps = networks[0]
        self.inputs = d = steps.inputs
        self.monomials = Monomials(d, order)
        place = {a: k for k, a in enumerate(self.monomials.indices)}
        self.linear = np.array([place[tuple(int(i == j) for j in range(d))] for i in range(d)])
        powers = np.array(self.monomials.indices, dtype=float)
        self.axes = (powers / np.maximum(powers.sum(axis=1, keepdims=True), 1.0)).T
        self.nonlinear = np.flatnonzero(self.monomials.degrees > 1)
        self.corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * d, indexing="ij"), axis=-1).reshape(-1, d)
        depth = [0] * (d + len(steps.steps))
        for n, step in enumerate(steps.steps):
            depth[d + n] = 1 + max((depth[k] for k in [*step.form, *(step.other or {})] if k >= 0), default=0)
        ordered = sorted(range(len(steps.steps)), key=lambda n: (depth[d + n], kind(steps.steps[n])))
        self.place = {d + n: d + i for i, n in enumerate(ordered)}
        self.count = d + len(ordered)
        moved = [[self._placed(net.steps[n]) for net in networks] for n in ordered]
        self.levels: list[Level] = []
        start = 0
        while start < len(ordered):
            end = start
            while end < len(ordered) and depth[d + ordered[end]] == depth[d + ordered[start]]:
                end += 1
            self.levels.append(Level(d + start, moved[start:end]))
            start = end
        self._promise(networks)

    def _moved(self, form: Form) -> Form:
        return {self.place.get(k, k): v for k, v in form.items()}

    def _placed(self, step: Step) -> Step:
        other = None if step.other is None else self._moved(step.other)
        return Step(self._moved(step.form), step.levels, step.two_sided, other)

    def _promise(self, networks: list[Steps]) -> None:
        """Promises about arguments of squares and products are kept there, others are rows of the last level."""
        self.drift = np.zeros((self.count, 2))
        steps, rest = networks[0], []
        known = self._arguments(steps) if steps.promises else {}
        for form, two_sided, size in steps.promises:
            here = known.get((frozenset(form.items()), two_sided))
            if here is None:
                rest.append((form, two_sided, size))
            else:
                self.drift[here] += to_float(size) * (1 + 2.0**-50)
        forms = [[self._moved(net.output) for net in networks], *([self._moved(f)] for f, _, _ in rest)]
        self.last = Rows(forms, self.count)
        self.sides = np.array([side for _, side, _ in rest], dtype=bool)[:, None]
        self.last_drift = np.array([to_float(size) for _, _, size in rest]) * (1 + 2.0**-50)

    def _arguments(self, steps: Steps) -> dict[tuple[frozenset, bool], tuple[int, int]]:
        """(column, side) of what squares and products take the square of."""
        known: dict[tuple[frozenset, bool], tuple[int, int]] = {}
        for n, s in enumerate(steps.steps):
            column = self.place[self.inputs + n]
            if kind(s) == 1:
                known[frozenset(s.form.items()), s.two_sided] = (column, 0)
            elif s.other is not None:
                for side, sign in enumerate((1, -1)):
                    known[frozenset(add(s.form, scaled(s.other, sign)).items()), True] = (column, side)
        return known

    # -- the passes ---------------------------------------------------------------------------------------------------

    def __call__(
        self, centre: np.ndarray, half: np.ndarray, which: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(coefficients (monomials, boxes), e (boxes), blame (boxes, d)): net = sum c_a u^a + [-e, e] on every box."""
        size = max(8, _CHUNK // ((self.count + 1) * (len(self.monomials.indices) + 4)))
        if which is None:
            which = np.zeros(len(centre), dtype=np.int64)
        cuts = [slice(k, k + size) for k in range(0, max(len(centre), 1), size)]
        parts = [self._models(centre[c], half[c], which[c]) for c in cuts]
        return tuple(np.concatenate(c, axis=-1 if i < 2 else 0) for i, c in enumerate(zip(*parts, strict=True)))  # type: ignore[return-value]

    def _models(self, centre: np.ndarray, half: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            batch, traces, extra = self.forward(centre, half, which)
            z, own, forward, lo, hi = self._read(self.last, batch, self.count)
            if len(self.last_drift):
                extra = extra + self.last_drift @ beyond(lo[1:], hi[1:], self.sides)
            backward, blame = self._backward(batch, traces, own[0])
            error = np.minimum(forward[0], backward)
            return z[0], (error + extra) * _UP + _TINY, blame

    def forward(self, centre: np.ndarray, half: np.ndarray, which: np.ndarray) -> tuple[_Batch, list[_Trace], np.ndarray]:
        """(models of all steps, what every level did, what broken promises cost)."""
        n, d = centre.shape
        m = len(self.monomials.indices)
        flat = [np.zeros((self.count, n)) for _ in range(4)]
        batch = _Batch(np.zeros((self.count, m, n)), flat[0], flat[1], flat[2], flat[3], which, [])
        batch.coefficients[:d, 0] = centre.T
        for i in range(d):
            batch.coefficients[i, self.linear[i]] = half[:, i]
        batch.middle[:d], batch.radius[:d] = centre.T, half.T
        batch.sizes[:d] = np.abs(centre.T) + half.T
        traces, extra = [], np.zeros(n)
        for level in self.levels:
            z, own, e, lo, hi = self._read(level.rows, batch, level.first)
            trace = _Trace(lo, hi, own, np.einsum("dm,rmn->rdn", self.axes, np.abs(z)), [], np.zeros((level.count, n)))
            if level.relu.size:
                self._relus(level, batch, trace, z, e, lo, hi)
            if level.square.size:
                extra = extra + self._squares(level, batch, trace, z, e, lo, hi)
            if level.product.size:
                extra = extra + self._products(level, batch, trace, z, e, lo, hi)
            to = slice(level.first, level.first + level.count)
            batch.sizes[to] = np.abs(batch.coefficients[to]).sum(axis=1) * _UP
            traces.append(trace)
        return batch, traces, extra

    def known(self, centre: np.ndarray, half: np.ndarray) -> list[Known]:
        """What is proved of the steps on every box, for narrowing."""
        with np.errstate(all="ignore"):
            batch, traces, extra = self.forward(centre, half, np.zeros(len(centre), dtype=np.int64))
            _, _, _, lo, hi = self._read(self.last, batch, self.count)
            if len(self.last_drift):
                extra = extra + self.last_drift @ beyond(lo[1:], hi[1:], self.sides)
        n = len(centre)
        low, high = np.full((self.count, 2, n), -np.inf), np.full((self.count, 2, n), np.inf)
        for level, trace in zip(self.levels, traces, strict=True):
            for places in (level.relu, level.square, level.product):
                if places.size:
                    for k, rows in enumerate(places[1:]):
                        low[places[0], k], high[places[0], k] = trace.low[rows], trace.high[rows]
        order = [self.place[self.inputs + k] for k in range(self.count - self.inputs)]
        low, high, lipschitz = low[order], high[order], self.lipschitz[order]
        return [Known(low[..., k], high[..., k], lipschitz, float(extra[k])) for k in range(n)]

    @cached_property
    def lipschitz(self) -> np.ndarray:
        """Per column a bound of |change of output and promises| per change there; squares are 2-Lipschitz in t."""
        factor = np.concatenate([[1.0], 1.0 * self.last_drift])
        weight = np.asarray(self.last.absolute_transposed @ factor) * _UP
        for level in reversed(self.levels):
            rows = np.zeros(len(level.rows.constant))
            for places, power in ((level.relu, 1.0), (level.square, 2.0), (level.product, 4.0)):
                if places.size:
                    own = power * weight[places[0]] + self.drift[places[0]].sum(axis=1)
                    for row in places[1:]:
                        np.add.at(rows, row, own * _UP)
            weight[: level.first] += (level.rows.absolute_transposed @ rows) * _UP
        return weight

    def _read(self, rows: Rows, batch: _Batch, known: int):  # type: ignore[no-untyped-def]
        """(coefficients, rounding of this row, e, lowest, highest value) of rows."""
        which = batch.which
        constant = rows.constant[:, which] if len(rows.constant) else np.zeros((0, len(which)))
        z = rows.apply(batch.coefficients[:known], which)
        z[:, 0] += constant
        own = (1.01 * _UNIT) * rows.length * (rows.apply_absolute(batch.sizes[:known], which) + np.abs(constant))
        own = own * _UP + _TINY
        e = rows.apply_absolute(batch.error[:known], which) * _UP + own
        reach = (np.abs(z[:, 1:]).sum(axis=1) + e) * _UP
        middle = rows.apply(batch.middle[:known], which) + constant
        radius = rows.apply_absolute(batch.radius[:known], which)
        size = rows.apply_absolute(np.abs(batch.middle[:known]), which) + np.abs(constant)
        radius = radius * _UP + (1.01 * _UNIT) * rows.length * size + _TINY
        lo, hi = np.maximum(z[:, 0] - reach, middle - radius), np.minimum(z[:, 0] + reach, middle + radius)
        if batch.bent and rows.single:
            self._corner_ranges(rows, batch, known, lo, hi)
        return z, own, e, lo, hi

    def _corner_ranges(self, rows: Rows, batch: _Batch, known: int, lo: np.ndarray, hi: np.ndarray) -> None:
        """Narrow the ranges of rows that read ReLUs of both signs: sums of convex functions are largest at corners."""
        bent = [b[0] for b in batch.bent if b[0] < known]
        here = np.flatnonzero(np.asarray(rows.absolute[:, bent].sum(axis=1)).ravel() > 0)
        if not len(here):
            return
        part = rows.matrix[here]
        columns = np.unique(part.indices)
        part = part[:, columns]
        where = {int(c): i for i, c in enumerate(columns)}
        c = batch.coefficients[columns]
        n = c.shape[2]
        at = c[:, None, 0] + np.einsum("vd,kdn->kvn", self.corners, c[:, self.linear])
        size = np.abs(c).sum(axis=1)[:, None]
        spread = np.abs(c[:, self.nonlinear]).sum(axis=1)[:, None] + batch.error[columns][:, None]
        spread = spread * _UP + 16 * _UNIT * size
        above, below = at + spread, at - spread
        for step, corners, crossing in batch.bent:
            i = where.get(step)
            if i is not None:
                above[i] = np.where(crossing, np.maximum(corners, 0.0), above[i])
                below[i] = np.where(crossing, 0.0, below[i])
        plus, minus = part.maximum(0.0), part.minimum(0.0)
        flat = (len(columns), len(self.corners) * n)
        shape = (len(here), len(self.corners), n)
        up, down = above.reshape(flat), below.reshape(flat)
        most = (plus @ up + minus @ down).reshape(shape) + rows.constant[here][:, :, None]
        least = (plus @ down + minus @ up).reshape(shape) + rows.constant[here][:, :, None]
        rounding = abs(part) @ (np.abs(above).max(axis=1) + np.abs(below).max(axis=1))
        rounding = (2 * _UNIT) * rows.length[here] * (rounding + np.abs(rows.constant[here])) + _TINY
        hi[here] = np.minimum(hi[here], most.max(axis=1) + rounding)
        lo[here] = np.maximum(lo[here], least.min(axis=1) - rounding)

    def _relus(self, level, batch, trace, z, e, lo, hi) -> None:  # type: ignore[no-untyped-def]
        to, row = level.relu
        z, e, lo, hi = z[row], e[row], lo[row], hi[row]
        slope, middle, gap = relu_chord(lo, hi)
        batch.coefficients[to] = slope[:, None] * z
        batch.coefficients[to, 0] += middle
        local = gap + 8 * _UNIT * (slope * np.abs(z).sum(axis=1) + np.abs(middle))
        batch.error[to] = (slope * e + local) * _UP
        batch.set_range(to, np.maximum(lo, 0.0), np.maximum(hi, 0.0))
        trace.local[to - level.first] = local
        trace.slopes.append((to, row, slope, np.zeros_like(slope)))
        crossing = (lo < 0) & (hi > 0)
        for i in np.flatnonzero(crossing.any(axis=1)):
            corners = z[i, 0] + self.corners @ z[i][self.linear]
            spread = np.abs(z[i][self.nonlinear]).sum(axis=0) + e[i]
            spread = spread * _UP + 16 * _UNIT * np.abs(z[i]).sum(axis=0)
            batch.bent.append((int(to[i]), corners + spread, crossing[i]))

    def _squares(self, level, batch, trace, z, e, lo, hi) -> np.ndarray:  # type: ignore[no-untyped-def]
        to, row = level.square
        z, e, lo, hi = z[row], e[row], lo[row], hi[row]
        slope, middle, gap = square_chord(lo, hi, level.square_levels, level.square_sides)
        q = np.ldexp(1.0, -2 * (np.minimum(level.square_levels, 400) + 1))
        outside = beyond(lo, hi, level.square_sides)
        far = (8 + 2 * outside) * outside
        full, lost = self._times(z, z)
        curved = 0.5 * q + lost + far
        use = curved < gap
        size = np.abs(z).sum(axis=1)
        batch.coefficients[to] = np.where(use[:, None], full, slope[:, None] * z)
        batch.coefficients[to, 0] += np.where(use, 0.5 * q, middle)
        # z^2 - P^2 = (z + P)(z - P), z in [lo, hi] and P within e of it.
        by, spread = np.where(use, lo + hi, slope), np.where(use, (hi - lo) + e, 0.0)
        local = np.where(use, curved, gap) + 256 * _UNIT * (size * size + (np.abs(slope) + 1) * size)
        batch.error[to] = ((np.abs(by) + spread) * e + local) * _UP
        least, most = np.where((lo < 0) & (hi > 0), 0.0, np.minimum(lo * lo, hi * hi)), np.maximum(lo * lo, hi * hi)
        batch.set_range(to, least - far, most + q + far)
        trace.local[to - level.first] = local
        trace.slopes.append((to, row, by, spread))
        return np.asarray((self.drift[to, 0][:, None] * outside).sum(axis=0))

    def _products(self, level, batch, trace, z, e, lo, hi) -> np.ndarray:  # type: ignore[no-untyped-def]
        to, first, second = level.product
        p, q, ep, eq = z[first], z[second], e[first], e[second]
        pl, ph, ql, qh = lo[first], hi[first], lo[second], hi[second]
        m = level.product_levels
        ends = [_joined(p, q, ep + eq, pl, ph, ql, qh, sign) for sign in (1, -1)]
        sides = np.ones_like(m, dtype=bool)
        (s, sm, sg), (t, tm, tg) = (square_chord(a, b, m, sides) for a, b in ends)
        outside = [beyond(a, b, sides) for a, b in ends]
        far = sum((8 + 2 * o) * o for o in outside)
        full, lost = self._times(p, q)
        curved = 4 * lost + far + _product_error(pl, ph, ql, qh, m)
        use = curved < sg + tg
        sizes = np.abs(p).sum(axis=1) + np.abs(q).sum(axis=1)
        batch.coefficients[to] = np.where(use[:, None], 4 * full, (s - t)[:, None] * p + (s + t)[:, None] * q)
        batch.coefficients[to, 0] += np.where(use, 0.0, sm - tm)
        # pq - P_p P_q = q (p - P_p) + P_p (q - P_q), P_p within ep of p.
        by_p, by_q = np.where(use, 2 * (ql + qh), s - t), np.where(use, 2 * (pl + ph), s + t)
        spread_p, spread_q = np.where(use, 2 * (qh - ql), 0.0), np.where(use, 2 * (ph - pl) + 4 * ep, 0.0)
        local = np.where(use, curved, sg + tg)
        local = local + 256 * _UNIT * (sizes * sizes + (np.abs(s) + np.abs(t) + 1) * sizes + np.abs(sm) + np.abs(tm))
        error = (np.abs(by_p) + spread_p) * ep + (np.abs(by_q) + spread_q) * eq
        batch.error[to] = (error + local) * _UP
        values = [4 * a * b for a in (pl, ph) for b in (ql, qh)]
        width = np.ldexp(1.0, -2 * (np.minimum(m, 400) + 1)) + far
        batch.set_range(to, np.minimum.reduce(values) - width, np.maximum.reduce(values) + width)
        trace.local[to - level.first] = local
        trace.slopes += [(to, first, by_p, spread_p), (to, second, by_q, spread_q)]
        return np.asarray(sum(self.drift[to, k][:, None] * o for k, o in enumerate(outside)).sum(axis=0))

    def _times(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(product up to the order, bound of the rest); arrays (units, monomials, boxes)."""
        result = np.zeros_like(first)
        for i, j, k in self.monomials.products:
            result[:, k] += first[:, i] * second[:, j]
        a, b = (self.monomials.norms(np.moveaxis(c, 1, 0)) for c in (first, second))
        lost = np.zeros((first.shape[0], first.shape[2]))
        for i in range(1, self.monomials.order + 1):
            for j in range(self.monomials.order + 1 - i, self.monomials.order + 1):
                lost += a[i] * b[j]
        return result, lost * _UP

    def _backward(self, batch: _Batch, traces: list[_Trace], own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(bound of |net - P| on every box, how much of it is due to every axis)."""
        n, d = batch.error.shape[1], self.inputs
        middle, radius = np.zeros((self.count, n)), np.zeros((self.count, n))
        start = np.zeros((self.last.count, n))
        start[0] = 1.0
        middle += self.last.back(start, batch.which)
        radius += _UNIT * np.abs(middle)
        error, blame = own.copy(), np.zeros((n, d))
        for level, trace in zip(reversed(self.levels), reversed(traces), strict=True):
            at, spread = np.zeros_like(trace.row_error), np.zeros_like(trace.row_error)
            to = slice(level.first, level.first + level.count)
            weight = (np.abs(middle[to]) + radius[to]) * trace.local
            error = error + weight.sum(axis=0)
            reach = np.zeros((level.count, d, n))
            for steps, rows, s, r in trace.slopes:
                reach[steps - level.first] += trace.reach[rows]
                c, w = middle[steps], radius[steps]
                through, wide = c * s, (np.abs(c) + w) * r + w * np.abs(s) + (8 + level.count) * _UNIT * np.abs(c * s)
                np.add.at(at, rows, through)
                np.add.at(spread, rows, wide * _UP)
            share = np.nan_to_num(weight) / np.maximum(reach.sum(axis=1), 2.0**-900)
            blame += np.einsum("un,udn->nd", share, reach)
            rounding = level.rows.readers * _UNIT * np.abs(at)
            error = error + ((np.abs(at) + spread + rounding) * trace.row_error).sum(axis=0)
            middle[: level.first] += level.rows.back(at, batch.which)
            # Sums of as many products as a column has entries, added to what is there: all terms count with their sizes.
            size = level.rows.back_absolute(np.abs(at) * (1 + level.rows.readers * _UNIT), batch.which)
            radius[: level.first] += level.rows.back_absolute(spread + rounding, batch.which) * _UP
            radius[: level.first] += (level.rows.readers * _UNIT) * (size + np.abs(middle[: level.first]))
        return error * _UP, blame


def _joined(p, q, e, pl, ph, ql, qh, sign):  # type: ignore[no-untyped-def]
    """(lowest, highest) of p + q or p - q: of the polynomial and of the ranges, intersected."""
    total = p + q if sign > 0 else p - q
    reach = (np.abs(total[:, 1:]).sum(axis=1) + e) * _UP
    slack = 8 * _UNIT * (np.abs(p).sum(axis=1) + np.abs(q).sum(axis=1)) + _TINY
    low, high = (pl + ql, ph + qh) if sign > 0 else (pl - qh, ph - ql)
    return np.maximum(total[:, 0] - reach, low) - slack, np.minimum(total[:, 0] + reach, high) + slack


def _product_error(pl, ph, ql, qh, m):  # type: ignore[no-untyped-def]
    """The bound of |F_m(|p+q|) - F_m(|p-q|) - 4pq| for |p| + |q| <= 1 of gadget_products."""
    high = [np.maximum(np.abs(a), np.abs(b)) for a, b in ((pl, ph), (ql, qh))]
    low = [np.where((a < 0) & (b > 0), 0.0, np.minimum(np.abs(a), np.abs(b))) for a, b in ((pl, ph), (ql, qh))]
    from_full = np.maximum(1 - 2 * np.maximum(*low), 2 * np.maximum(*high) - 1)
    steep = np.ldexp(1.0, -np.minimum(m, 800)) * np.minimum(2 * np.minimum(*high), np.maximum(from_full, 0.0))
    return np.minimum(np.ldexp(1.0, -2 * (np.minimum(m, 400) + 1)), steep * _UP + 4 * _UNIT)

