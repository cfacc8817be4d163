"""Which sums make the units of a network, as flat arrays, and in which rows of one array do their values stand?

Two arrangements of rows. Along fixed points (forward.py) a layer gets rows that no live unit occupies, so memory follows
what is live. While nodes are found (roots.py) every layer copies what is live anyway, so the rows are those of the live
sources in order, the new layer last. A unit's sum starts with the bias and takes the terms in the order of the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from approx.certification.pieces import Program

#: Codes of the activations; the compiled pass knows them as well.
CODES = ("identity", "relu", "abs")
#: The grain of 0, a multiple of everything.
_ANY = 1000


@dataclass(frozen=True)
class Sums:
    """All sums of a network: unit u reads terms first[u]..first[u + 1], weights hi + lo of units `source` (0: the input).

    power: whether a weight is a power of two without tail; grains: exponents of the last non-zero bits; hinged: whether the
    unit reads a wide first layer besides, by its hinges.
    """

    first: np.ndarray
    source: np.ndarray
    hi: np.ndarray
    lo: np.ndarray
    power: np.ndarray
    grain: np.ndarray
    bias: np.ndarray
    bias_tail: np.ndarray
    bias_grain: np.ndarray
    code: np.ndarray
    hinged: np.ndarray


class UnitPlan:
    """The sums of a program (pieces.Program) and the rows of their values."""

    def __init__(self, program: Program) -> None:
        self.program = program
        layers = program.network.layers
        #: Number of the first unit of each layer (units are counted from 0, without the input), and their total.
        self.begins = np.concatenate(([0], np.cumsum([l.units for l in layers]))).tolist()
        self.hidden = self.begins[1] if program.wide_first else 0
        self.sums = self._sums()
        #: Layers, counted from 1, whose values are followed.
        self.followed = range(2 if program.wide_first else 1, len(layers) + 1)
        self.slot, self.slots = self._slots()
        self.row = self.slot[self.sums.source]
        #: Whether any sum may be free of rounding: hinges round.
        self.exactness = not self.sums.hinged[self.hidden :].all()

    def rows(self, layer: int) -> slice:
        """The rows of a layer's values along fixed points; layer 0 is the input."""
        if layer == 0:
            return slice(0, 1)
        start = int(self.slot[self.begins[layer - 1] + 1])
        return slice(start, start + self.begins[layer] - self.begins[layer - 1])

    def terms(self, begin: int, end: int) -> int:
        """How many terms the units begin..end have, and as many as the units themselves."""
        return int(self.sums.first[end] - self.sums.first[begin]) + end - begin

    @cached_property
    def runs(self) -> tuple[list[tuple[int, int, bool]], list[tuple[int, int, bool]]]:
        """(first layer, last layer, whether their units are simply followed): single layers where more is to be done.

        For passes without and with a trace; a trace wants to know the steps of every layer.
        """
        program = self.program
        plain: list[tuple[int, int, bool]] = []
        for k in self.followed:
            simple = not (program.dense[k - 1] or program.hinge_sums[k - 1])
            if simple and plain and plain[-1][2]:
                plain[-1] = (plain[-1][0], k, True)
            else:
                plain.append((k, k, simple))
        return plain, [(k, k, False) for k in self.followed]

    def _sums(self) -> Sums:
        flat, hidden = self.program.network.flat, self.hidden
        hi, lo = self._weights()
        # What reads the hinges of a wide first layer is no sum of units.
        seen = (flat.indices == 0) | (flat.indices > hidden)
        first = np.concatenate(([0], np.cumsum(seen)))[flat.indptr].astype(np.int64)
        counts = np.diff(flat.indptr) - np.diff(first)
        biases = [self.program.bias(k, 2) for k in range(len(self.begins) - 1)]
        bias, tail = (np.concatenate([b[i] for b in biases]) for i in (0, 1))
        hi, lo = hi[seen], lo[seen]
        code = np.array([CODES.index(n) for n in flat.names], dtype=np.int64)[flat.activation]
        return Sums(
            first=first,
            source=flat.indices[seen],
            hi=hi,
            lo=lo,
            power=((np.abs(np.frexp(hi)[0]) == 0.5) & (lo == 0)).astype(np.uint8),
            grain=grains(hi),
            bias=bias,
            bias_tail=tail,
            bias_grain=grains(bias),
            code=code,
            hinged=(counts > 0).astype(np.uint8),
        )

    def _weights(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights in the order of network.flat, as double-double."""
        flat, layers = self.program.network.flat, self.program.network.layers
        if not self.program.network.pool:
            return flat.values, np.zeros_like(flat.values)
        blocks = [(k, b) for k, l in enumerate(layers) for b in l.blocks]
        parts = [self.program.parts(b.values) for _, b in blocks]
        rows = [np.repeat(np.arange(layers[k].units) + self.begins[k], np.diff(b.indptr)) for k, b in blocks]
        order = np.argsort(np.concatenate(rows), kind="stable")
        return np.concatenate([p[0] for p in parts])[order], np.concatenate([p[1] for p in parts])[order]

    def _slots(self) -> tuple[np.ndarray, int]:
        """(the row of every unit along fixed points, rows needed): the first gap among the live layers that is wide enough."""
        last_use = self.program.last_use
        slot = np.zeros(self.begins[-1] + 1, dtype=np.int64)
        live = [(0, 1, 0)]  # (start, stop, layer), in order of start
        most = 1
        for k in self.followed:
            width = self.begins[k] - self.begins[k - 1]
            gaps = [(a[1], b[0]) for a, b in pairwise(live)]
            start = next((a for a, b in gaps if b - a >= width), live[-1][1])
            slot[self.begins[k - 1] + 1 : self.begins[k] + 1] = start + np.arange(width)
            most = max(most, start + width)
            live = sorted([(start, start + width, k), *(l for l in live if l[2] == 0 or last_use[l[2]] > k)])
        return slot, most

    @cached_property
    def moving(self) -> Moving:
        """The rows while nodes are found."""
        program, begins = self.program, self.begins
        live, keep, kept = [0], [], []
        starts: list[dict[int, int]] = []
        row = np.zeros(len(self.sums.source), dtype=np.int64)
        place = np.zeros(begins[-1] + 1, dtype=np.int64)
        for k in self.followed:
            starts.append({})
            count = 0
            for s in live:
                starts[-1][s] = count
                width = begins[s] - begins[s - 1] if s else 1
                if s:
                    place[begins[s - 1] + 1 : begins[s] + 1] = count + np.arange(width)
                count += width
            terms = slice(int(self.sums.first[begins[k - 1]]), int(self.sums.first[begins[k]]))
            row[terms] = place[self.sums.source[terms]]
            stay = [s for s in live if s == 0 or program.last_bend[s] > k]
            ranges = [np.arange(starts[-1][s], starts[-1][s] + (begins[s] - begins[s - 1] if s else 1)) for s in stay]
            keep.append(np.concatenate(ranges))
            kept.append(program.last_bend[k] > k)
            live = [*stay, k] if kept[-1] else stay
        return Moving(row, starts, keep, kept)


@dataclass(frozen=True)
class Moving:
    """Rows that move from layer to layer: of every term's source; per followed layer of the sources before it.

    keep: which rows stay after the layer; kept: whether the layer itself is read by a later one that bends.
    """

    row: np.ndarray
    starts: list[dict[int, int]]
    keep: list[np.ndarray]
    kept: list[bool]


def grains(values: np.ndarray) -> np.ndarray:
    """The exponent of the last non-zero bit of each number; `_ANY` for 0."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    last = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(values == 0, _ANY, exponent - 53 + last).astype(np.int64)
