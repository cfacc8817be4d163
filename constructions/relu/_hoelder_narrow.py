"""How does a network of width 6 without skips compute a polygon of coded second differences? Cells, then bits, along the depth.

The channels of a strict layer carry what is still needed:
    bits of the cell's number (2 layers each)  X, rest, y, the test, and the two units of a tent, as in _narrow_network;
    cells (1 layer each)   max(X - i, 0), max(y - i, 0), the running sums f = f_1 + K and the code, the local coordinate;
    bits of the code (2 layers each)   z (the rest of the code), t, max(t - j, 0), f, and first the test of this bit together
                                       with the gate of the bit before, then 1 - I; every gate is added to f a layer later.

Statement. On the interval this is the function of _hoelder_network, at every x, ramps included. Proof. Bits of the cell's
number, the code and t are the same functions of x. With c = 2^k, w = max(1 - max(z - c + 1, 0), 0) = 1 - I, the next z is
max(z - c + c w, 0) there and z - c + c w >= 0 for all z >= 0 (w = 1 below c - 1; (c - 1)(c - z) on [c - 1, c]; z - c above),
so that it need not be a unit. max(t - j, 0) = max(max(t - j + 1, 0) - 1, 0). Gates lie in [0, T_j] and sum_j T_j <= M^2/8, so
what was added to f is at least -1/2 lambda M^2 at any time: with K above that and |f_1|, max(f, 0) leaves f alone.
So the width does not depend on N and M, and W is about 11 N + 57 M. Source: P19 (fixed width); this schedule is derived here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Network
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._hoelder_network import pack, unpack
from constructions.relu._hoelder_plan import BITS, SHIFT, HoelderPlan, cell_digits, levels_of
from constructions.relu._hoelder_reader import FORMS
from constructions.relu._narrow_network import bends_of, cell_bits, cell_sums, read_cells, read_sums, sum_offset
from constructions.relu._plan_forms import Rows
from constructions.relu._strict_layers import INPUT, StrictLayers, Unit
from constructions.relu._two_scale_reader import exact_number, exact_numbers, polygon_of, unit_starts

WIDTH = 6


def hoelder_narrow(plan: HoelderPlan, target: Target) -> Network:
    """The Network of a plan on the target's interval, of width at most 6; plans without a correction have width 2."""
    net = StrictLayers()
    low, high = target.domain.lower[0], target.domain.upper[0]
    slope = fmpq(plan.cells) / (high - low)
    position = (-slope * low, {INPUT: slope})
    values = [to_fmpq(v) for v in plan.coarse.tolist()]
    offset = sum_offset(values, plan.cells) + _power(to_fmpq(plan.quantum) * plan.steps**2 / 2)
    if not plan.corrected:
        return _polygon(net, position, values, offset)
    levels = (plan.cells - 1).bit_length()
    cell_bits(net, position, levels, plan.ramp)
    codes = [pack(row) for row in cell_digits(plan)]
    cell_sums(net, values, codes, offset, sum_offset(codes, 2**levels), plan.steps)
    return _differences(net, plan, offset)


def hoelder_narrow_layers(cells: int, steps: int) -> int:
    """The number of hidden layers."""
    return 2 * (cells - 1).bit_length() + cells + 6 * steps - 4


def hoelder_narrow_weights(cells: int, steps: int) -> int:
    """An upper bound of the weights: 11 N, 57 M, those of the bits of the cell's number."""
    return 11 * cells + 57 * steps + 24 * (cells - 1).bit_length()


def _power(value: fmpq) -> int:
    """A power of two above the number."""
    return 1 << int(value.p // value.q).bit_length()


def _polygon(net: StrictLayers, position: Unit, values: list[fmpq], offset: int) -> Network:
    """f_1 alone, one layer a bend."""
    bends = bends_of(values)
    if not any(bends[1:]):
        bias, weights = position
        return net.output(values[0] + bends[0] * bias, {INPUT: bends[0] * weights[INPUT]})
    net.relu(X=position, f=(values[0] + offset, {}))
    for bend in bends[:-1]:
        net.relu(X=(-1, {"X": 1}), f=(0, {"f": 1, "X": bend}))
    return net.output(-offset, {"f": 1, "X": bends[-1]})


def _differences(net: StrictLayers, plan: HoelderPlan, offset: int) -> Network:
    """From code, f and start to the output: f and the gates of all bits."""
    steps, quantum = plan.steps, to_fmpq(plan.quantum)
    code: Unit = (0, {"code": 1})
    t: Unit = (0, {"start": 1})
    hinge: Unit = t
    gate: Mapping[str, Unit] = {}
    added: dict[str, Any] = {}  # weights by which f takes what the layer before has made
    left = BITS * (steps - 1)
    for j in range(1, steps):
        tent = {"t": fmpq(steps - j, steps), "hinge": fmpq(-1)}
        for place in range(BITS - 1, -1, -1):
            left -= 1
            c, first = fmpq(2) ** left, place == BITS - 1
            net.relu(
                test=(code[0] - c + 1, code[1]), code=code, t=t, hinge=(hinge[0] - first, hinge[1]), f=(0, {"f": 1}), **gate
            )  # fmt: skip
            if first:
                added |= {name: SHIFT * quantum * w for name, w in tent.items()}
            net.relu(
                missing=(1, {"test": -1}), code=(0, {"code": 1}), t=(0, {"t": 1}), hinge=(0, {"hinge": 1}),
                f=(0, {"f": 1, **added}),
            )  # fmt: skip
            code, t, hinge = (-c, {"code": 1, "missing": c}), (0, {"t": 1}), (0, {"hinge": 1})
            gate, added = {"gate": (0, {**tent, "missing": -steps})}, {"gate": -(2**place) * quantum}
    net.relu(**gate, f=(0, {"f": 1}))
    return net.output(-offset, {"f": 1, **added})


def _read(rows: Rows, network: Network, target: Target) -> HoelderPlan | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    starts = unit_starts(network)
    cells, levels, ramp = read_cells(rows, target)
    steps, spare = divmod(len(network.layers) - 1 - hoelder_narrow_layers(cells, 0), 6)
    if spare or steps < 2:
        return None
    quantum = -dict(rows[-1][2])[starts[-3]]
    bends, changes, (f_bias, code_bias) = read_sums(rows, starts, 2 * levels + 2, cells)
    codes = polygon_of(code_bias - (1 << code_bias.bit_length() - 1), changes)[:-1]
    coarse = exact_numbers(polygon_of(f_bias + rows[-1][1], bends))
    digits = np.array([unpack(code, steps - 1) for code in codes])
    if not ramp > 0 or not quantum > 0:
        return None
    return HoelderPlan(cells, steps, steps, ramp, exact_number(quantum), coarse, levels_of(digits))


FORMS.add(_read, hoelder_narrow)
