"""How does a network of width 7 without skips compute the polygon of a two-scale plan? Cells, then digits, along the depth.

The function is that of _two_scale_network, ramps included; here the channels of a strict layer carry what is still needed:
    bits   (2 layers each) X, rest, y and the test; the local coordinate folds along by one tent per bit;
    cells  (1 layer each)  max(X - i, 0) and max(y - i, 0) shrink by 1 per layer, and the sums f_1 and code take their share;
    digits (3 layers each) code, t, G, f_1 and M s, with the two tests, their complements, and the two gated t.
Sums that may be negative are carried with an offset that no partial sum reaches, so that max(t, 0) leaves them alone.
Source: P18 Theorem 2 has width 2d + 10 = 12; this schedule is derived here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._digits import decode, encode
from constructions.relu._plan_forms import Rows
from constructions.relu._strict_layers import INPUT, StrictLayers, Unit
from constructions.relu._two_scale_plan import TwoScalePlan, cell_steps, levels_of
from constructions.relu._two_scale_reader import FORMS, exact_number, exact_numbers, polygon_of, unit_starts, whole

WIDTH = 7


def narrow_network(plan: TwoScalePlan, target: Target) -> Network:
    """The Network of a plan with one code per cell, on the target's interval; about 11 N + 37 M weights, N + 3 M layers."""
    net = StrictLayers()
    low, high = target.domain.lower[0], target.domain.upper[0]
    levels = (plan.cells - 1).bit_length()
    slope = fmpq(plan.cells) / (high - low)
    position = (-slope * low, {INPUT: slope})
    cell_bits(net, position, levels, plan.ramp)
    values = [to_fmpq(v) for v in plan.coarse.tolist()]
    codes = [encode(row) for row in cell_steps(plan)]
    offset, code_offset = sum_offset(values, plan.cells), sum_offset(codes, 2**levels)
    cell_sums(net, values, codes, offset, code_offset, plan.steps)
    _digits(net, plan.steps)
    quantum = to_fmpq(plan.quantum)
    weights = {"f": 1, "above": quantum, "below": -quantum, "start": quantum}
    return net.output(-offset - quantum * plan.steps, weights)


def cell_bits(net: StrictLayers, position: Any, levels: int, ramp: fmpq) -> None:
    """Channels X, y (the number of the cell) and local (its coordinate)."""
    bias, weights = position
    number: Unit = (0, {})
    rest, local = position, (bias / 2**levels, {INPUT: weights[INPUT] / 2**levels})
    place = position
    for m in range(levels - 1, -1, -1):
        test = (rest[0] - 2**m + ramp, rest[1])
        net.relu(
            X=place, rest=rest, y=number, test=test, rising=local, falling=(local[0] - fmpq(1, 2), local[1])
        )  # fmt: skip
        net.relu(
            X=(0, {"X": 1}), rest=(0, {"rest": 1}), y=(0, {"y": 1}), zero=(1, {"test": -1 / ramp}),
            local=(0, {"rising": 2, "falling": -4}),
        )  # fmt: skip
        place, rest = (0, {"X": 1}), (-(2**m), {"rest": 1, "zero": 2**m})
        number, local = (2**m, {"y": 1, "zero": -(2**m)}), (0, {"local": 1})
    net.relu(X=place, y=number, f=(0, {}), code=(0, {}), local=local)


def bends_of(values: list[Any]) -> list[Any]:
    """The changes of slope at 0, 1, 2, ... of the polygon through the values."""
    slopes = [b - a for a, b in pairwise(values)]
    return [slopes[0], *(b - a for a, b in pairwise(slopes))]


def sum_offset(values: list[Any], reach: int) -> int:
    """A power of two that exceeds every partial sum of the polygon's bends on [0, reach]."""
    most = max(abs(v) for v in values) + max(abs(b - a) for a, b in pairwise(values)) * reach
    return 1 << max(int(most.p // most.q if isinstance(most, fmpq) else most), 1).bit_length()


def cell_sums(net: StrictLayers, values: list[fmpq], codes: list[int], offset: int, code_offset: int, steps: int) -> None:
    """From X, y, local to f (with its offset), code and start = M s."""
    bends, changes = bends_of(values), [*bends_of(codes), 1]  # the last one as in _two_scale_network
    f_bias, code_bias = values[0] + offset, codes[0] + code_offset
    for i, (bend, change) in enumerate(zip(bends, changes, strict=True)):
        f, code = (f_bias, {"f": 1, "X": bend}), (code_bias, {"code": 1, "y": change})
        if i < len(bends) - 1:
            net.relu(X=(-1, {"X": 1}), y=(-1, {"y": 1}), f=f, code=code, local=(0, {"local": 1}))
        else:
            net.relu(code=(code[0] - code_offset, code[1]), f=f, start=(0, {"local": steps}))
        f_bias, code_bias = fmpq(0), 0


def _digits(net: StrictLayers, steps: int) -> None:
    """From code, f and start to f, start, above and below."""
    code, t = (0, {"code": 1}), (0, {"start": 1})
    total: Unit = (steps, {})
    start, f = (0, {"start": 1}), (0, {"f": 1})
    for rest in range(steps - 1, -1, -1):
        c = fmpq(3) ** rest
        tests = {"one": (code[0] - c + 1, code[1]), "two": (code[0] - 2 * c + 1, code[1])}
        net.relu(**tests, code=code, t=t, total=total, start=start, f=f)
        net.relu(
            one=(1, {"one": -1}), two=(1, {"two": -1}), code=(0, {"code": 1}), t=(0, {"t": 1}), total=(0, {"total": 1}),
            start=start, f=f,
        )  # fmt: skip
        net.relu(
            code=(-2 * c, {"code": 1, "one": c, "two": c}), first=(-1, {"t": 1, "one": 1}), second=(-1, {"t": 1, "two": 1}),
            t=(-1, {"t": 1}), total=(0, {"total": 1, "t": 1}), start=start, f=f,
        )  # fmt: skip
        code, t = (0, {"code": 1}), (0, {"t": 1})
        total = (0, {"total": 1, "t": 1, "first": -1, "second": -1})
    net.relu(total=total, start=start, f=f)
    net.relu(
        above=(0, {"total": 1, "start": -1}), below=(-2 * steps, {"total": 1, "start": 1}), start=start, f=f
    )  # fmt: skip


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> TwoScalePlan | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    starts = unit_starts(network)
    cells, levels, ramp = read_cells(rows, target)
    steps = whole(-rows[starts[-3]][1] / 2)
    if len(network.layers) != 2 * levels + cells + 3 * steps + 4:
        return None
    output = dict(rows[-1][2])
    quantum = output[starts[-3]]
    offset = -rows[-1][1] - quantum * steps
    bends, changes, biases = read_sums(rows, starts, 2 * levels + 2, cells)
    code_bias = biases[1]
    top = 1 << code_bias.bit_length() - 1
    codes = polygon_of(code_bias - top, changes)[:-1]
    coarse = exact_numbers(polygon_of(biases[0] - offset, bends))
    found = levels_of(np.array([decode(code, steps) for code in codes]))
    if found is None:
        return None
    return TwoScalePlan(cells, steps, steps, ramp, exact_number(quantum), coarse, found)


def read_cells(rows: Rows, target: Target) -> tuple[int, int, fmpq]:
    """(cells, bits of their numbers, ramp) from the first layer of `cell_bits`; raises ValueError."""
    [(low, high)] = target.domain
    slope = rows[0][2][0][1]
    cells = whole(slope * (high - low))
    if cells < 2:
        raise ValueError("no cells")
    levels = (cells - 1).bit_length()
    return cells, levels, rows[3][1] + 2 ** (levels - 1) + slope * low


def read_sums(rows: Rows, starts: list[int], layer: int, cells: int) -> tuple[list[fmpq], list[int], tuple[fmpq, int]]:
    """(bends of f_1, changes of the code, their first biases) of the layers from `layer` on."""
    bends, changes = [], []
    for i in range(cells):
        last = i == cells - 1
        before, at = starts[layer + i - 1], starts[layer + i]
        f, code = rows[at if last else at + 1], rows[at - 1 if last else at + 2]
        bends.append(dict(f[2]).get(before, fmpq(0)))
        changes.append(whole(dict(code[2]).get(before + 1, fmpq(0))))
        if i == 0:
            biases = f[1], whole(code[1])
    return bends, changes, biases


FORMS.add(_read, narrow_network)
