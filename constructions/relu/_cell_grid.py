"""Which cells, staircases and indicators does an economical local Taylor network stand on? Exact by construction.

Per axis: M cells of pitch h, cell m has the core [lo + m h - t, lo + (m+1) h + t], t = h/32; even and odd cells are two
families, so that the cores of one family are apart and the 2^d products of families cover the box. Per family and axis:
S_j falls from 1 to 0 between the cores of its cells j and j+1; T_j = S_j - S_{j-1} is 1 on the core j and 0 on all other
cores; the local coordinate is scale (x - centre) on every core and stays in [-1,1]: beyond the last core of a family it
falls once more, before the first its unit relu(1 + s) cuts it off; the weight w(x_k) of the odd family
is 0 where only the even family is valid and 1 where only the odd one is. A cell's indicator relu(T_i - (1-T_j) - ...) is
exactly 1 on its core and 0 on all other cores.

All this holds for units max(t, 0)^p, too: 0 and 1 are their own powers, and a step relu(1 - slope^p (x - a)^p) falls from 1
to 0 on the same interval. Numbers other than 0 and 1 are then held by p units each (`Front.power`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import fmpq

from approx.errors import UnreachableError
from approx.networks import Layer, block, layer
from approx.numbers import float_down, float_up, to_fmpq


@dataclass(frozen=True)
class Axis:
    """The cells of one axis: lower end, pitch (short float64 numbers), number of cells."""

    start: float
    pitch: float
    cells: int

    @property
    def radius(self) -> float:
        """Half the width of a core, 17/32 of the pitch (exact)."""
        return self.pitch * 0.53125

    @property
    def scale(self) -> float:
        """The factor of the local coordinate, 8 bits; |scale * (x - centre)| <= 1 - 2^-9 on every core."""
        most = 1 / to_fmpq(self.radius) / (1 + fmpq(1, 256))
        grain = fmpq(2) ** (math.frexp(float_down(most))[1] - 8)
        return float_down(fmpq((most / grain).floor()) * grain)

    def members(self, family: int) -> np.ndarray:
        """The numbers of the cells of the even (0) or odd (1) family."""
        return np.arange(family, self.cells, 2)

    def centres(self, family: int) -> np.ndarray:
        """The centres of a family's cells, exact float64 numbers."""
        return self.start + (self.members(family) + 0.5) * self.pitch


def make_axis(lower: fmpq, upper: fmpq, cells: int) -> Axis:
    """The Axis that covers [lower, upper]: pitch rounded up to 12 bits more than `cells` has, start rounded down.

    All cells' centres lie in the domain (the excess is below 2^-11 pitches), and all hinges are exact float64 numbers.
    Raises UnreachableError when the cells are too fine for float64 at that distance from the origin.
    """
    width = (upper - lower) / cells
    exponent = math.frexp(float_up(width))[1] - 12 - cells.bit_length()
    unit, grain = fmpq(2) ** exponent, fmpq(2) ** (exponent - 6)
    start = fmpq((lower / grain).floor()) * grain
    pitch = fmpq(((upper - start) / cells / unit).ceil()) * unit
    if max(abs(start), abs(start + (cells + 1) * pitch)) >= grain * 2**52:
        raise UnreachableError(f"local-taylor: {cells} cells are too fine for float64 so far from the origin")
    return Axis(float_down(start), float_down(pitch), cells)


@dataclass(frozen=True)
class Front:
    """The hidden layers below the polynomials, and where to read in them.

    local[k][p]: number of the unit with 1 + local coordinate of family p on axis k, None if that family is empty;
    weight[k]: number of the unit with w (None with one cell); both in layer `reading`. `indicators` is the layer that
    carries the cells, and offset[family] the number of a family's first unit there. `drift` bounds the distance of the
    local coordinates from their exact values: 0 unless the domain lies far from the origin. With a power p > 1 p units from
    the numbers local[k][p] and weight[k] on hold max(t + REACH + j, 0)^p for the coordinate t, max(w + j, 0)^p for w.
    """

    layers: tuple[Layer, ...]
    local: list[list[int | None]]
    weight: list[int | None]
    reading: int
    indicators: int
    drift: float
    offset: dict[tuple[int, ...], int]
    power: int = 1


#: What |local coordinate| stays below on the whole domain, cores or not, for powers 2 and 3: between two cores it is
#: 1 + a u - (2 + a)(1 - (1 - u^p)^p) with u from 0 to 1 and a < 1.77, which lies in [-1.2, 1.3].
REACH = fmpq(3, 2)


def families(axes: list[Axis]) -> list[tuple[int, ...]]:
    """All combinations of non-empty families, one per axis."""
    found: list[tuple[int, ...]] = [()]
    for axis in axes:
        found = [(*f, p) for f in found for p in (0, 1) if len(axis.members(p))]
    return found


def front(axes: list[Axis], power: int = 1) -> Front:
    """The Front of a grid: hinges, staircases, local coordinates and (d >= 2) cell indicators; O(cells) numpy work.

    Units are max(t, 0)^power. Raises UnreachableError for powers above 1 where float64 coordinates would not be exact.
    """
    falls = [_falls(axis, power) for axis in axes]
    first = _hinges(falls, power)
    second, where = _staircases(falls, power)
    third, local, weight, place = _coordinates(axes, where, len(axes) > 1, power)
    layers = [first, second, third]
    offset: dict[tuple[int, ...], int] = {}
    drift = max(_drift(axis, p) for axis in axes for p in (0, 1) if len(axis.members(p)))
    if len(axes) == 1:
        for p in (0, 1):
            offset[(p,)] = where[0][p][0]
        return Front(tuple(layers), local, weight, 3, 2, drift, offset, power)
    layers.append(_indicators(axes, place, offset, power))
    return Front(tuple(layers), local, weight, 3, 4, drift, offset, power)


def _name(power: int) -> str:
    return "relu" if power == 1 else f"relu{power}"


def _drift(axis: Axis, family: int) -> float:
    # Rounding of the bias and of the jumps of one local coordinate, exactly.
    centre = _last_reference(axis, family)
    scale = to_fmpq(axis.scale)
    bias = abs(to_fmpq(1.0 - axis.scale * centre) - (1 - scale * to_fmpq(centre)))
    jump = abs(to_fmpq(axis.scale * (2 * axis.pitch)) - scale * 2 * to_fmpq(axis.pitch))
    drift = float_up(bias + jump * (len(axis.members(family)) + 1))
    if drift > 2.0**-12:
        raise UnreachableError("local-taylor: the cells are too fine for float64 so far from the origin")
    return drift


def _overruns(axis: Axis, family: int) -> bool:
    # Whether the domain goes on for one cell after the family's last core: its coordinate then falls once more.
    return int(axis.members(family)[-1]) < axis.cells - 1


def _last_reference(axis: Axis, family: int) -> float:
    # The centre that the coordinate refers to after all falls, exact.
    last = int(axis.members(family)[-1]) + (2 if _overruns(axis, family) else 0)
    return axis.start + (last + 0.5) * axis.pitch


def _falls(axis: Axis, power: int) -> list[tuple[np.ndarray, float]]:
    """(starts, slope) of the falling ramps: of the even family, of the odd family, of the weight w."""
    h, t = axis.pitch, axis.pitch / 32
    ramps: list[tuple[np.ndarray, float]] = []
    for p in (0, 1):
        ends = axis.members(p) + 1
        if not (len(ends) and _overruns(axis, p)):
            ends = ends[:-1]
        if power > 1 and p == 1:
            # Before the first odd core nothing cuts the coordinate off: it falls once more there, too (kept last).
            ends = np.append(ends, 0)
        ramps.append((axis.start + ends * h + t, float_up(1 / to_fmpq(h - 2 * t))))
    ramps.append((axis.start + np.arange(1, axis.cells) * h - t, float_up(1 / to_fmpq(2 * t))))
    return ramps


def _hinges(falls: list[list[tuple[np.ndarray, float]]], power: int) -> Layer:
    starts = [np.concatenate([ramp[0] for ramp in axis]) for axis in falls]
    source = np.concatenate([np.full(len(s), k, dtype=np.int32) for k, s in enumerate(starts)])
    count = len(source)
    return layer(_name(power), -np.concatenate(starts), [block(0, np.arange(count + 1), source, np.ones(count))])


def _staircases(
    falls: list[list[tuple[np.ndarray, float]]], power: int
) -> tuple[Layer, list[list[tuple[int, int]]]]:
    # relu(1 - slope * hinge): exactly 1 before the ramp and exactly 0 after it.
    slopes, where, position = [], [], 0
    for axis in falls:
        spans = []
        for starts, slope in axis:
            spans.append((position, len(starts)))
            slopes.append(np.full(len(starts), -float_up(to_fmpq(slope) ** power)))
            position += len(starts)
        where.append(spans)
    values = np.concatenate(slopes)
    count = len(values)
    steps = [block(1, np.arange(count + 1), np.arange(count), values)]
    return layer(_name(power), np.ones(count), steps), where


class _Rows:
    """Rows of a layer under construction: entries towards the input and towards layer 2."""

    def __init__(self) -> None:
        self.bias: list[float] = []
        self.inputs: list[tuple[int, int, float]] = []
        self.index: list[np.ndarray] = []
        self.value: list[np.ndarray] = []

    def add(self, bias: float, index: np.ndarray, value: np.ndarray, source: int | None = None, slope: float = 0) -> int:
        """Append a unit that reads layer 2 and perhaps one input; returns its number."""
        if source is not None:
            self.inputs.append((len(self.bias), source, slope))
        self.bias.append(bias)
        self.index.append(index)
        self.value.append(value)
        return len(self.bias) - 1

    def layer(self, power: int) -> Layer:
        """The finished layer."""
        count = len(self.bias)
        pointer = np.concatenate(([0], np.cumsum([len(i) for i in self.index])))
        blocks = [block(2, pointer, np.concatenate(self.index), np.concatenate(self.value))]
        rows = np.bincount([r for r, _, _ in self.inputs], minlength=count)
        start = np.concatenate(([0], np.cumsum(rows)))
        blocks.append(block(0, start, [s for _, s, _ in self.inputs], [v for _, _, v in self.inputs]))
        return layer(_name(power), self.bias, blocks)


def _coordinates(
    axes: list[Axis], where: list[list[tuple[int, int]]], indicate: bool, power: int
) -> tuple[Layer, list[list[int | None]], list[int | None], list[list[tuple[int, int]]]]:
    rows = _Rows()
    local: list[list[int | None]] = []
    weight: list[int | None] = []
    for k, axis in enumerate(axes):
        places: list[int | None] = []
        for p in (0, 1):
            begin, count = where[k][p]
            if not len(axis.members(p)):
                places.append(None)
                continue
            jump = axis.scale * (2 * axis.pitch)
            # 1 + scale * (x - last centre) + scale * 2h * sum of S_j: all S_j are 1 before the first fall.
            biases = _biases(axis, p, power)
            index = np.arange(begin, begin + count)
            held = [rows.add(bias, index, np.full(count, jump), k, axis.scale) for bias in biases]
            places.append(held[0])
        local.append(places)
        begin, count = where[k][2]
        sign = np.where(np.arange(count) % 2 == 0, -1.0, 1.0)
        last = float((axis.cells - 1) % 2)  # w after the last boundary; S falls in turn give 0, 1, 0, 1 ... before
        held = [rows.add(last + j, np.arange(begin, begin + count), sign * 1.0) for j in range(power) if count]
        weight.append(held[0] if held else None)
    place: list[list[tuple[int, int]]] = []
    if indicate:
        for k, axis in enumerate(axes):
            place.append([_steps(rows, where[k][p], len(axis.members(p)), k == 0) for p in (0, 1)])
    return rows.layer(power), local, weight, place


def _biases(axis: Axis, family: int, power: int) -> list[float]:
    """The biases of the units that hold a local coordinate."""
    centre = _last_reference(axis, family)
    if power == 1:
        return [1.0 - axis.scale * centre]
    exact = [REACH + j - to_fmpq(axis.scale) * to_fmpq(centre) for j in range(power)]
    found = [float_down(e) for e in exact]
    if _drift(axis, family) or any(to_fmpq(f) != e for f, e in zip(found, exact, strict=True)):
        raise UnreachableError("local-taylor: the cells are too fine for float64 so far from the origin")
    return found


def _steps(rows: _Rows, span: tuple[int, int], members: int, positive: bool) -> tuple[int, int]:
    # Units T_j (first axis) or 1 - T_j (other axes) for all cells of one family on one axis.
    begin, count = span[0], members - 1
    first = len(rows.bias)
    sign = 1.0 if positive else -1.0
    for j in range(members):
        index, value, bias = [], [], 0.0
        if j < count:
            index.append(begin + j)
            value.append(sign)
        else:
            bias = sign
        if j > 0:
            index.append(begin + j - 1)
            value.append(-sign)
            order = np.argsort(index)
            index, value = [index[i] for i in order], [value[i] for i in order]
        rows.add(bias + (0.0 if positive else 1.0), np.array(index, dtype=np.int64), np.array(value))
    return first, members


def _indicators(
    axes: list[Axis], place: list[list[tuple[int, int]]], offset: dict[tuple[int, ...], int], power: int
) -> Layer:
    columns, position = [], 0
    for family in families(axes):
        sizes = [place[k][p][1] for k, p in enumerate(family)]
        grid = np.indices(sizes).reshape(len(axes), -1)
        starts = np.array([place[k][p][0] for k, p in enumerate(family)])[:, None]
        columns.append((grid + starts).T)
        offset[family] = position
        position += grid.shape[1]
    index = np.concatenate(columns)
    count, d = index.shape
    values = np.tile(np.array([1.0] + [-1.0] * (d - 1)), count)
    return layer(_name(power), np.zeros(count), [block(3, np.arange(count + 1) * d, index.ravel(), values)])
