"""Where are the values of a network on boxes, when whole squares are taken as one convex function? Affine forms of gadgets.

Every node is written as p + a.u + [-e, e], u in [-1, 1]^d, as in affine_forms. For a square, F = F_m(|t|), t in [lo, hi]:
with any slope s the convex F - s t is largest at an end and smallest at the knot k/2^m where the slopes of F pass s, so
F = s t + [least, most]; s is that of the chord. This costs O((hi - lo)^2) and nothing where F has no knot inside, however
many ReLUs the square is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from flint import fmpq

from approx.certification.affine_forms import affine_forms
from approx.certification.gadgets import Form, Reading, read
from approx.certification.pieces import Program
from approx.numbers import to_float

if TYPE_CHECKING:
    from approx.certification.neuron_signs import Assumptions
    from approx.networks import Network

_UNIT = 2.0**-53
#: Squares of more levels than this are taken as t^2 + [0, 4^-(m+1)].
_FINEST = 24
#: Nodes times boxes that are worked on at once: cache.
_CHUNK = 100_000
#: Larger networks are not read: exact arithmetic would take seconds.
_MOST_WEIGHTS = 60_000


Forms = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def reading_of(network: Network, domain: list[tuple[Any, Any]]) -> Reading | None:
    """The network on the domain read as gadgets, where that may pay: it has teeth, or more than two variables."""
    # Teeth read z - 1/2: without such biases there is nothing to look for.
    teeth = sum(int(np.count_nonzero(l.bias.floats == -0.5)) for l in network.layers)
    wanted = teeth > 1 or len(domain) > 2
    if not wanted or network.size.weights > _MOST_WEIGHTS or not network.tags["piecewise_linear"]:
        return None
    reading = read(network, [(fmpq(a), fmpq(b)) for a, b in domain])
    return reading if reading is not None and (reading.squares or len(domain) > 2) else None


def forms_of(program: Program, reading: Reading | None) -> tuple[Forms, str]:
    """(the affine forms on boxes of the domain, their name): of gadgets where the network has any, otherwise of its units."""
    if reading is not None:
        return GadgetForms(reading), "affine forms of gadgets" if reading.squares else "affine forms, there and back"
    return (lambda centre, half: affine_forms(program, centre, half)), "affine forms"


class _Level:
    """Nodes that read earlier ones only: a sparse matrix, constants, and which of them are squares."""

    def __init__(self, forms: list[Form], columns: int, inputs: int) -> None:
        rows, cols, values = [], [], []
        self.constant = np.zeros(len(forms))
        for i, form in enumerate(forms):
            for key, value in form.items():
                if key < 0:
                    self.constant[i] = to_float(value)
                else:
                    rows.append(i)
                    cols.append(key)
                    values.append(to_float(value))
        self.matrix = scipy.sparse.csr_array((values, (rows, cols)), shape=(len(forms), columns))
        self.absolute = abs(self.matrix)
        self.transposed, self.absolute_transposed = self.matrix.T.tocsr(), self.absolute.T.tocsr()
        self.length = np.diff(self.matrix.indptr) + 4.0

    def apply(self, p: np.ndarray, a: np.ndarray, e: np.ndarray, sizes: np.ndarray):  # type: ignore[no-untyped-def]
        """The affine forms (p, a, e) of the rows, with all roundings in e (see affine_forms).

        sizes: |p| + sum |a| of what is read.
        """
        units, (_, d, n) = len(self.constant), a.shape
        known = self.matrix.shape[1]
        q = self.matrix @ p[:known] + self.constant[:, None]
        b = (self.matrix @ a[:known].reshape(known, d * n)).reshape(units, d, n)
        size = self.absolute @ sizes[:known] + np.abs(self.constant)[:, None]
        spread = (self.absolute @ e[:known]) * (1 + 2.0**-30)
        # One unit of rounding per weight more, because a weight may be the float64 next to a rational.
        return q, b, spread + (1.01 * _UNIT) * (self.length[:, None] + 3) * size + 2.0**-1000


class GadgetForms:
    """The affine forms of a Reading on boxes."""

    def __init__(self, reading: Reading) -> None:
        self.inputs = d = reading.inputs
        depth = [0] * (d + len(reading.nodes))
        for n, node in enumerate(reading.nodes):
            depth[d + n] = 1 + max((depth[k] for k in node.form if k >= 0), default=0)
        # Stable: nodes of one depth keep their order, so a node comes after all that it reads.
        order = sorted(range(len(reading.nodes)), key=lambda n: depth[d + n])
        place = {d + n: d + i for i, n in enumerate(order)}

        def moved(form: Form) -> Form:
            return {place.get(k, k): v for k, v in form.items()}

        self.count = d + len(order)
        self.levels: list[tuple[int, _Level, np.ndarray, np.ndarray, np.ndarray]] = []
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and depth[d + order[end]] == depth[d + order[start]]:
                end += 1
            nodes = [reading.nodes[n] for n in order[start:end]]
            self.levels.append(
                (
                    d + start,
                    _Level([moved(n.form) for n in nodes], d + start, d),
                    np.flatnonzero([n.levels is None for n in nodes]),
                    np.array([-1 if n.levels is None else n.levels for n in nodes]),
                    np.array([n.two_sided for n in nodes]),
                )
            )
            start = end
        forms = [reading.output, *(f for f, _, _ in reading.promises)]
        self.last = _Level([moved(f) for f in forms], self.count, d)
        # An entry of the backward pass is summed once per node that reads it.
        readers = max(
            (float(np.diff(level.transposed.indptr).max(initial=0)) for _, level, *_ in self.levels), default=0.0
        )
        self.longest = 1.0 + readers * (len(self.levels) + 1)
        self.two_sided = np.array([side for _, side, _ in reading.promises], dtype=bool)
        self.drift = np.array([to_float(size) for _, _, size in reading.promises]) * (1 + 2.0**-50)

    def __call__(self, centre: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(p, a, e, weight) per box, see affine_forms."""
        chunk = max(64, _CHUNK // (self.count + 1))
        slices = [slice(k, k + chunk) for k in range(0, max(len(centre), 1), chunk)]
        parts = [self._forms(centre[k], half[k], None)[:4] for k in slices]
        p, a, e, blame = (np.concatenate(c) for c in zip(*parts, strict=True))
        return p, a, e, blame

    def signed(self, centre: np.ndarray, half: np.ndarray, assumed: Assumptions) -> tuple[np.ndarray, ...]:
        """(p, a, e, weight, worst, most, all): the same where nodes have the assumed signs, and what their chords lose.

        worst: the node of largest loss, most: that loss, all: the sum over the nodes. `assumed` learns what the signs say.
        """
        chunk = max(64, _CHUNK // (self.count + 1))
        parts = []
        for k in range(0, max(len(centre), 1), chunk):
            rows = slice(k, k + chunk)
            *form, lost = self._forms(centre[rows], half[rows], assumed.rows(rows))
            lost = np.nan_to_num(lost[self.inputs :], posinf=1e300)
            if len(lost) == 0:  # an affine network
                lost = np.zeros((1, lost.shape[1]))
            parts.append((*form, lost.argmax(axis=0) + self.inputs, lost.max(axis=0), lost.sum(axis=0)))
        return tuple(np.concatenate(c) for c in zip(*parts, strict=True))

    def _forms(self, centre: np.ndarray, half: np.ndarray, assumed: Assumptions | None) -> tuple[np.ndarray, ...]:
        """A forward pass with a chord for every node, then one backward pass over the same chords; the smaller e wins."""
        n, d = centre.shape
        p, a, e = np.zeros((self.count, n)), np.zeros((self.count, d, n)), np.zeros((self.count, n))
        p[:d] = centre.T
        for i in range(d):
            a[i, i] = half[:, i]
        slope, middle, gap = np.ones((self.count, n)), np.zeros((self.count, n)), np.zeros((self.count, n))
        sizes = np.abs(p) + np.abs(a).sum(axis=1)
        # Which axis is to blame for the range of a node: its slopes, and the gaps of the nodes before it. A guide only.
        blamed, shares = np.zeros_like(a), np.zeros_like(a)
        for first, level, relus, levels, two_sided in self.levels:
            q, b, f = level.apply(p, a, e, sizes)
            total = np.abs(b).sum(axis=1)
            radius = (total + f) * (1 + 2.0**-40)
            lo, hi = q - radius, q + radius
            to = slice(first, first + len(levels))
            if len(relus) == len(levels):
                chord = relu_chord(lo, hi)
            else:
                chord = np.empty((3, *lo.shape))
                squares = np.flatnonzero(levels >= 0)
                chord[:, relus] = relu_chord(lo[relus], hi[relus])
                chord[:, squares] = square_chord(
                    lo[squares], hi[squares], levels[squares][:, None], two_sided[squares][:, None]
                )
            if assumed is not None:
                assumed.fix(first, chord, q, b, f)
            slope[to], middle[to], gap[to] = chord
            behind = (level.absolute @ blamed[:first].reshape(first, d * n)).reshape(-1, d, n)
            reach = np.abs(b) + behind
            shares[to] = reach / np.maximum(reach.sum(axis=1), 2.0**-900)[:, None]
            blamed[to] = np.abs(chord[0])[:, None] * behind + chord[2][:, None] * shares[to]
            p[to], a[to] = chord[0] * q + chord[1], chord[0][:, None] * b
            size = np.abs(chord[0])
            e[to] = (size * f + chord[2]) * (1 + 2.0**-50) + 8 * _UNIT * (size * (np.abs(q) + total) + np.abs(chord[1]))
            sizes[to] = np.abs(p[to]) + np.abs(a[to]).sum(axis=1)
        q, b, f = self.last.apply(p, a, e, sizes)
        extra = np.zeros(n)
        if len(self.drift):
            radius = (np.abs(b[1:]).sum(axis=1) + f[1:]) * (1 + 2.0**-40)
            extra = self.drift @ beyond(q[1:] - radius, q[1:] + radius, self.two_sided[:, None])
        back_p, back_a, back_e, weight = self._backward(centre, half, slope, middle, gap, sizes + e)
        blame = np.einsum("un,udn->dn", np.nan_to_num(weight, posinf=0.0), np.nan_to_num(shares))
        better = back_e < f[0]
        error = (np.where(better, back_e, f[0]) + extra) * (1 + 2.0**-40)
        return np.where(better, back_p, q[0]), np.where(better, back_a, b[0]).T, error, blame.T, weight

    def _backward(self, centre, half, slope, middle, gap, sizes):  # type: ignore[no-untyped-def]
        """(p, a, e, |c_n| gap_n) of the output from the output backwards: sum_n c_n node_n, nodes replaced by their chords.

        The c_n are whatever float64 makes of them; what they miss of the exact ones, times |node| <= sizes, is in e.
        """
        n, d = centre.shape
        row = self.last.matrix[[0]]
        c = np.zeros((self.count, n))
        c[row.indices] = row.data[:, None]
        p, e = np.full(n, self.last.constant[0]), np.zeros(n)
        lost, weight = np.zeros_like(c), np.zeros_like(c)
        lost[row.indices] = _UNIT * np.abs(row.data)[:, None]
        size = np.abs(p)
        for first, level, *_ in reversed(self.levels):
            to = slice(first, first + len(level.constant))
            own = c[to]
            through = own * slope[to]
            shift = own * middle[to] + through * level.constant[:, None]
            p = p + shift.sum(axis=0)
            size = size + (np.abs(own * middle[to]) + np.abs(through * level.constant[:, None])).sum(axis=0)
            weight[to] = np.abs(own) * gap[to]
            e = e + weight[to].sum(axis=0)
            c[:first] += level.transposed @ through
            # Each entry: a product with a rounded weight, and as many sums as the column is long.
            lost[:first] += level.absolute_transposed @ np.abs(through)
        lost *= _UNIT * (self.longest + 6)
        lost += _UNIT * np.abs(c)
        p = p + (c[:d] * centre.T).sum(axis=0)
        a = c[:d] * half.T
        size = size + (np.abs(c[:d]) * sizes[:d]).sum(axis=0)
        # The coefficients grow while they are summed: `lost` counts every part of every sum.
        e = e + (lost * sizes).sum(axis=0) + _UNIT * (self.count + 16) * size
        return p, a, e * (1 + 2.0**-30) + 2.0**-1000, weight


def beyond(lo: np.ndarray, hi: np.ndarray, two_sided: np.ndarray) -> np.ndarray:
    """How far |t| (two-sided) or t can be outside of [0, 1] for t in [lo, hi]; NaN stays NaN."""
    return np.maximum(np.maximum(hi - 1, np.where(two_sided, -lo - 1, -lo)), 0.0)


def relu_chord(lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """(3, ...): slope, middle, gap with max(z, 0) in slope z + middle + [-gap, gap] for z in [lo, hi]."""
    crossing = ~((lo >= 0) | (hi <= 0))  # NaN counts as crossing, and stays NaN
    slope = np.where(crossing, hi / np.where(crossing, hi - lo, 1.0), np.where(lo >= 0, 1.0, 0.0))
    offset = np.where(crossing, -0.5 * slope * lo, 0.0)
    return np.stack([slope, offset, offset + np.where(crossing, 8 * _UNIT * (np.abs(lo) + np.abs(hi)), 0.0)])


def square_chord(lo: np.ndarray, hi: np.ndarray, levels: np.ndarray, two_sided: np.ndarray) -> np.ndarray:
    """(3, ...): slope, middle, gap with F_m(|t|) (or what stands for it beyond 1) in slope t + middle + [-gap, gap]."""
    scale = np.ldexp(1.0, np.minimum(levels, _FINEST))
    at_lo, at_hi = _interpolant(lo, scale), _interpolant(hi, scale)
    width = hi - lo
    slope = np.where(width > 0, (at_hi - at_lo) / np.where(width > 0, width, 1.0), 2 * lo)
    most = np.maximum(at_lo - slope * lo, at_hi - slope * hi)
    knot = np.ceil((slope * scale - 1) / 2)
    least = np.full_like(most, np.inf)
    for k in (knot - 1, knot, knot + 1):
        t = np.clip(k / scale, lo, hi)
        least = np.minimum(least, _interpolant(t, scale) - slope * t)
    # F_m for m > _FINEST lies between the square and the interpolant at _FINEST.
    least = np.where(levels > _FINEST, np.minimum(least, -0.25 * slope * slope), least)
    reach = np.maximum(np.abs(lo), np.abs(hi))
    far = np.maximum(np.maximum(reach - 1, 0.0), np.where(two_sided, 0.0, np.maximum(-lo, 0.0)))
    rounding = 64 * _UNIT * (reach * reach + np.abs(slope) * reach) + 2.0**-1000
    return np.stack([slope, 0.5 * (most + least), 0.5 * (most - least) + rounding + (8 + 2 * far) * far])


def _interpolant(t: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The interpolant of t^2 at the multiples of 1/scale."""
    size = np.abs(t)
    k = np.floor(size * scale)
    return ((2 * k + 1) / scale) * size - (k / scale) * ((k + 1) / scale)
