"""How far is what an exported network returns from the network? A proved bound on a box, for float32 and float64.

Model of execution. The file is the one that `to_onnx(dtype)` writes: every weight rounded to the nearest number of the type
(unit roundoff v = 2^-24 or 2^-53), every unit the sum of its bias and products, then relu or abs. A sum may be taken in ANY
order, with or without fused multiply-add or wider accumulators; every operation is rounded to nearest; results, inputs and
weights below the smallest normal number t may lose all their bits (gradual underflow, or flush to zero). Not covered: matrix
products by algorithms that subtract (Strassen, Winograd), reduced precision modes (TF32, bfloat16), and activations other
than relu and abs, whose library versions carry no proved error.

Statement. Hats denote computed values. A unit of n non-zero weights w_j, computed ones w^_j = w_j + d_j, satisfies

    z^ = b + sum w_j h^_j + local,
    |local| <= |d_b| + sum |d_j h^_j| + g (|b^| + sum |w^_j h^_j|) + (2n + 2) t,    g = k v / (1 - k v),

where k is the largest number of roundings between a term and the sum: terms - 1, and one more unless all weights are
powers of two. Differences then travel exactly: z^ - z = sum w_j (h^_j - h_j) + local and h^ - h = s (z^ - z) with s in
[0, 1] (relu) or [-1, 1] (abs), s one number where z and z^ keep their sign on the box. So the difference of the output is
sum over units of (adjoint of the unit) * local, and one backward pass encloses the adjoints.
An overflow that cannot be excluded gives inf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from approx.certification.taylor_forms import TaylorProgram
from approx.errors import InputError, UnsupportedError
from approx.networks import PIECEWISE_LINEAR, Network, Values

_UNIT = 2.0**-53
#: Covers the roundings of the bound itself: sums of fewer than 2^20 non-negative float64 numbers.
_INFLATE = 1 + 2.0**-30
#: Uncertain slopes per box that the backward pass follows one by one.
_SYMBOLS = 12


@dataclass(frozen=True)
class Format:
    """A floating-point type: unit roundoff, smallest normal number, largest number."""

    name: str
    roundoff: float
    smallest: float
    largest: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self.name)


FORMATS = {
    "float32": Format("float32", 2.0**-24, 2.0**-126, float(np.finfo(np.float32).max)),
    "float64": Format("float64", 2.0**-53, 2.0**-1022, float(np.finfo(np.float64).max)),
}


class Execution:
    """A network prepared for bounds of its execution in one format.

    Raises InputError on an unknown format, UnsupportedError on activations without a proved error and on weights that
    overflow the format.
    """

    def __init__(self, network: Network, name: str) -> None:
        if name not in FORMATS:
            raise InputError("semantics", name, "'exact', 'float32' or 'float64'")
        unproved = sorted(network.activations - PIECEWISE_LINEAR)
        if unproved:
            raise UnsupportedError(
                f"semantics {name!r}: library versions of {', '.join(unproved)} carry no proved error; "
                "admitted: relu, abs, identity"
            )
        self.network, self.format = network, FORMATS[name]
        self.program = TaylorProgram(network, 1)
        self.layers = [self._layer(k) for k in range(1, len(network.layers) + 1)]

    def _layer(self, k: int) -> _Rounded:
        layer = self.network.layers[k - 1]
        bias, bias_error = self._rounded(layer.bias)
        terms = (bias != 0).astype(np.float64)
        inexact = np.zeros(layer.units)
        blocks = []
        for b, (source, matrix) in zip(layer.blocks, self.program.matrices[k - 1], strict=True):
            weights, errors = self._rounded(b.values)
            rows = np.repeat(np.arange(layer.units), np.diff(b.indptr))
            shape = (layer.units, matrix.shape[1])
            parts: list[Any] = [
                scipy.sparse.csr_array((values, b.indices, b.indptr), shape=shape) for values in (np.abs(weights), errors)
            ]
            if isinstance(matrix, np.ndarray):
                parts = [part.toarray() for part in parts]
            terms += np.bincount(rows, minlength=layer.units)
            # What happens to be zero is added without a rounding, and powers of two multiply without one.
            np.maximum.at(inexact, rows, (np.abs(np.frexp(weights)[0]) != 0.5).astype(np.float64))
            blocks.append((source, *parts))
        count = np.maximum(terms - 1, 0) + inexact
        if not (count * self.format.roundoff < 0.01).all():
            raise UnsupportedError(f"semantics {self.format.name!r}: a unit with {int(terms.max())} summands")
        gamma = count * self.format.roundoff / (1 - count * self.format.roundoff) * (1 + 8 * _UNIT)
        lost = (2 * terms + 4) * self.format.smallest
        return _Rounded(np.abs(bias)[:, None], bias_error[:, None], blocks, gamma[:, None], lost[:, None])

    def _rounded(self, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """(the weights of the file, a bound of |file's weight - exact weight|)."""
        with np.errstate(over="ignore"):
            there = values.floats.astype(self.format.dtype).astype(np.float64)
        if not np.isfinite(there).all():
            raise UnsupportedError(f"semantics {self.format.name!r}: the weight {np.abs(values.floats).max():g} overflows")
        error = np.abs(there - values.floats)
        if values.ids is not None:  # the float64 is the nearest to the exact weight
            error = error + _UNIT * np.abs(values.floats) + 2.0**-1074
        flushed = np.where(np.abs(there) < self.format.smallest, np.abs(there), 0.0)
        return there, (error + flushed) * _INFLATE

    def slack(self, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
        """A bound of |computed output - exact output| on each box (rows), over all inputs of the format in the box.

        The largest over the outputs. Cost: about four passes of the network per box, all boxes at once.
        """
        ranges: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        with np.errstate(all="ignore"):
            self.program.models(centre, half, lambda k, lower, upper: ranges.__setitem__(k, (lower, upper)))
            local, slopes, forward = self._forward(centre, half, ranges)
            adjoint = self._backward(local, slopes, len(centre))
        # Where an overflow is possible, forward is infinite and the adjoint bound, which assumes none, does not hold.
        return np.where(np.isfinite(forward) & ~np.isnan(adjoint), np.minimum(forward, adjoint), np.inf)

    def _forward(
        self, centre: np.ndarray, half: np.ndarray, ranges: dict[int, tuple[np.ndarray, np.ndarray]]
    ) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """(local errors, slopes of the activations, bound of the output's error) from the input to the output."""
        smallest = self.format.smallest
        sizes = [(np.abs(centre) + half).T * _INFLATE]
        errors = [np.full(sizes[0].shape, smallest)]
        local, slopes = [np.full(sizes[0].shape, smallest)], []
        for k, r in enumerate(self.layers, 1):
            inherited, wrong = np.zeros((2, len(r.bias), len(centre)))
            total = np.repeat(r.bias, len(centre), axis=1)
            for source, size, error in r.blocks:
                computed = sizes[source] + errors[source]
                total = total + size @ computed
                wrong = wrong + error @ computed
                inherited = inherited + (size + error) @ errors[source]
            own = (r.bias_error + wrong + r.gamma * total + r.lost) * _INFLATE
            reach = (inherited + own) * _INFLATE
            # Partial sums stay below the sum of absolute values, up to their own roundings.
            reach = np.where(1.1 * total + r.lost < self.format.largest, reach, np.inf)
            lower, upper = ranges[k]
            name = self.network.layers[k - 1].activation
            value = np.maximum(np.abs(lower), np.abs(upper))
            low_slope, high_slope = np.ones((2, *reach.shape))
            if name != "identity":
                positive, negative = lower - reach > 0, upper + reach <= 0
                low_slope = np.where(positive, 1.0, np.where(negative, 0.0 if name == "relu" else -1.0, -1.0))
                high_slope = np.where(negative, 0.0 if name == "relu" else -1.0, 1.0)
                if name == "relu":
                    low_slope = np.maximum(low_slope, 0.0)
                    value = np.where(np.isnan(upper), np.nan, np.maximum(upper, 0.0))
                    reach = np.where(negative, 0.0, reach)
            local.append(own)
            slopes.append((low_slope, high_slope))
            sizes.append(value * _INFLATE)
            errors.append(reach)
        return local, slopes, errors[-1].max(axis=0)

    def _backward(
        self, local: list[np.ndarray], slopes: list[tuple[np.ndarray, np.ndarray]], count: int
    ) -> np.ndarray:
        """The largest over the outputs of the sum over units of |adjoint| * local."""
        uncertain = [low != high for low, high in slopes]
        symbols = min(_SYMBOLS, int(sum(u.sum(axis=0) for u in uncertain).max(initial=0)))
        worst = np.zeros(count)
        for output in range(self.network.outputs):
            adjoints = [_Adjoint.zero(len(each), symbols, count) for each in local]
            adjoints[-1].forms[0, output] = 1.0
            total, used = local[-1][output].copy(), np.zeros(count, dtype=np.int64)
            for k in range(len(self.layers), 0, -1):
                if k < len(self.layers):
                    used = adjoints[k].through(*slopes[k - 1], uncertain[k - 1], used)
                    total += (adjoints[k].size() * local[k]).sum(axis=0)
                for source, matrix in self.program.matrices[k - 1]:
                    adjoints[source].add(adjoints[k], matrix)
            total += (adjoints[0].size() * local[0]).sum(axis=0)
            worst = np.maximum(worst, total * _INFLATE)
        return worst


@dataclass
class _Adjoint:
    """Derivatives of the output by the units of a layer: forms[0] + sum_i eta_i forms[i] +- rest, eta_i in [-1, 1].

    Each uncertain slope has its own eta_i, the same wherever it enters, so that later layers cannot count it twice with
    different signs; when the symbols run out, uncertain slopes go to the rest.
    """

    forms: np.ndarray
    rest: np.ndarray

    @classmethod
    def zero(cls, units: int, symbols: int, count: int) -> _Adjoint:
        return cls(np.zeros((symbols + 1, units, count)), np.zeros((units, count)))

    def size(self) -> np.ndarray:
        """A bound of the absolute value."""
        return (np.abs(self.forms).sum(axis=0) + self.rest) * _INFLATE

    def through(self, low: np.ndarray, high: np.ndarray, uncertain: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Multiply by slopes in [low, high], which are -1, 0 or 1; returns the number of symbols used per box."""
        place = used + np.cumsum(uncertain, axis=0)
        spread = 0.5 * (high - low) * self.size()
        middle = 0.5 * (low + high)
        self.forms *= middle
        self.rest *= np.abs(middle)
        room = uncertain & (place < len(self.forms))
        units, boxes = np.nonzero(room)
        self.forms[place[units, boxes], units, boxes] += spread[units, boxes]
        self.rest += np.where(uncertain & ~room, spread, 0.0)
        return used + uncertain.sum(axis=0)

    def add(self, later: _Adjoint, matrix: Any) -> None:
        """Add what a later layer passes back through its weights, with a bound of the roundings."""
        absolute = abs(matrix).T
        for i in range(len(self.forms)):
            self.forms[i] += matrix.T @ later.forms[i]
        self.rest += absolute @ later.rest
        self.rest += (matrix.shape[0] + 8) * (2 * _UNIT) * (absolute @ later.size() + self.size())


@dataclass(frozen=True)
class _Rounded:
    """One layer as the file holds it: |bias|, its error, (source, |weights|, errors) per block, gamma and underflow."""

    bias: np.ndarray
    bias_error: np.ndarray
    blocks: list[tuple[int, Any, Any]]
    gamma: np.ndarray
    lost: np.ndarray


def execution_slack(
    execution: Execution, lower: np.ndarray, upper: np.ndarray, enough: float, most_boxes: int = 20_000
) -> tuple[float, int]:
    """(bound of |computed - exact| over the box [lower, upper], boxes used).

    Boxes with the largest bounds are halved until all are below `enough`, or within a quarter of what is found at single
    points, or most_boxes have been used. A domain end that is no float64 must be rounded outwards by the caller.
    """
    widest = max(l.units for l in execution.network.layers)
    chunk = int(np.clip(1_000_000 // (widest * (execution.network.inputs + 1)), 16, 1024))
    centre, half = 0.5 * (lower + upper)[None, :], 0.5 * (upper - lower)[None, :] * (1 + 4 * _UNIT) + 2.0**-1060
    # Both ends must stay inside after the rounding of the centre.
    half = np.maximum(half, np.maximum(upper - centre, centre - lower) * (1 + 4 * _UNIT))
    domain, bound = half.copy(), execution.slack(centre, half)
    used, settled, floor = 1, 0.0, 0.0
    while len(bound):
        floor = max(floor, float(execution.slack(centre[:chunk], 0 * half[:chunk]).max()))
        goal = max(enough, 1.25 * floor)
        open_ = (bound > goal) & (half.max(axis=1) > 2.0**-40 * domain.max())
        settled = max(settled, float(bound[~open_].max(initial=0.0)))
        centre, half, bound = centre[open_], half[open_], bound[open_]
        if not len(bound) or used >= most_boxes:
            break
        order = np.argsort(-bound, kind="stable")
        first, rest = order[:chunk], order[chunk:]
        c, h = _halves(centre[first], half[first], domain)
        centre, half = np.concatenate([c, centre[rest]]), np.concatenate([h, half[rest]])
        bound = np.concatenate([execution.slack(c, h), bound[rest]])
        used += len(c)
    return max(settled, float(bound.max(initial=0.0))), used


def _halves(centre: np.ndarray, half: np.ndarray, domain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both halves of every box along its longest side, relative to the domain; never too narrow."""
    rows = np.arange(len(centre))
    axis = np.argmax(half / np.where(domain > 0, domain, 1.0), axis=1)
    smaller = half.copy()
    smaller[rows, axis] *= 0.5
    step = np.zeros_like(half)
    step[rows, axis] = smaller[rows, axis]
    lower, upper = centre - step, centre + step
    smaller[rows, axis] += 2.0**-52 * np.abs(centre[rows, axis])
    return np.concatenate([lower, upper]), np.concatenate([smaller, smaller])
