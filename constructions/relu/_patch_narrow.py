"""How does a network of width 3 d + 6 without skips compute a coded interpolant? Classes of patches along the depth.

The function is that of _patch_network, base + lambda total, at every x. Channels of the strict layers: the coordinates
x_k - low_k (until the last class has folded them), `total`, and for each of the 2^d classes, one after the other,
    folding   (d L + 1 layers)  one fold of one coordinate a layer; bits follow two layers later into Y <- 2 Y + bit; w_k stays;
    codes     (1 + places)      Y shrinks to its next place, and the code (plus an offset) takes its share;
    box       (5 layers)        Psi = max(1 - max_S e - max_{not S} e, 0), e_k = max(|u_k - (M-1)/2| - (M-1)/2, 0);
    digits    (3 layers each)   as in _patch_network; the spike of a node m, max(1 - max_S e - max_{not S} e, 0) with
                                e_k = |u_k - m_k|, is computed while the digit before is read.
Both formulas are those of _reflected: where some distance exceeds 1 they give 0, elsewhere tau = 1 - distance.
Width: 3 d + 6 channels in the first layer of a digit (d coordinates, d local ones, d halves of distances, total, code, two
tests, t, spike), fewer elsewhere: 12 for d = 2 and 15 for d = 3, where P18 has 2 d + 10 = 14 and 16. Carried numbers are never
negative: total after step j is sum_{i <= j} Q_i phi_i + Q_j (t_j - phi_j) >= 0, codes have an offset.
Source: P18 Theorem 2; the schedule is derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Network
from approx.targets import Target
from constructions.relu._patch_codes import (
    Parities,
    addresses,
    class_digits,
    classes,
    code_polygon,
    codes_at,
    folds,
    lead_digits,
    places,
    snake,
)
from constructions.relu._patch_network import bit_ramp, patch_network, unfolded
from constructions.relu._patch_plan import PatchPlan
from constructions.relu._patch_reader import FORMS, assembled, grid_of
from constructions.relu._plan_forms import Rows
from constructions.relu._strict_layers import StrictLayers, Unit, input_name
from constructions.relu._two_scale_reader import whole


def narrow_width(dimension: int) -> int:
    """The width in d >= 2 variables."""
    return 3 * dimension + 6


def narrow_patches(plan: PatchPlan, target: Target) -> Network:
    """The Network of a plan with one code per patch, on the target's box; without hidden layers for constants."""
    if plan.constant:
        return patch_network(plan, target)
    d, lead = plan.dimension, lead_digits(plan)
    writer = _Writer(plan, target, lead)
    for parities in classes(d):
        writer.add_class(parities)
    weights = {name: w * plan.quantum for name, w in writer.total[1].items()}
    return writer.net.output(plan.base, weights)


def narrow_layers(dimension: int, cells: int, steps: int, lead: int) -> int:
    """The number of hidden layers."""
    bends = sum(len(places(np.sort(addresses(cells, q)))) for q in classes(dimension))
    return bends + 2**dimension * _rest(dimension, cells, lead + steps**dimension - 1)


def _rest(dimension: int, cells: int, digits: int) -> int:
    """The layers of one class but for the places of its codes."""
    return dimension * folds(cells) + 1 + 1 + 5 + 3 * digits


def _carry(*names: str) -> dict[str, Unit]:
    return {name: (0, {name: 1}) for name in names}


class _Writer:
    """Writes one class after the other; `total` is the form of what has been summed up, over the last layer."""

    def __init__(self, plan: PatchPlan, target: Target, lead: int) -> None:
        self.net = StrictLayers(plan.dimension)
        self.total: Unit = (0, {})
        self._plan, self._domain, self._lead = plan, target.domain, lead
        self._x: dict[str, Unit] = {f"x{k}": (-low, {input_name(k): 1}) for k, (low, _) in enumerate(target.domain)}
        self._first = True  # until the inputs have been read

    def add_class(self, parities: Parities) -> None:
        """The layers of a class."""
        self._fold(parities)
        if all(parities):
            self._x = {}  # the last class: no coordinate is needed any more
        self._code(parities)
        self._box(parities)
        self._digits(parities)

    def _keep(self) -> dict[str, Unit]:
        """The channels that most layers carry: coordinates, local coordinates, total."""
        return {**self._x, **_carry(*(f"w{k}" for k in range(self._plan.dimension))), "total": (0, {"total": 1})}

    def _fold(self, parities: Parities) -> None:
        plan, d, length = self._plan, self._plan.dimension, folds(self._plan.cells)
        above, address = None, None  # of the layer before: what the next bit is made of; Y with its newest bit
        local: dict[str, Unit] = {}
        for axis in range(d):
            v = self._unfolded(axis, parities[axis])
            for level in range(length):
                units: dict[str, Unit] = {"rising": v, "above": (v[0] - fmpq(1, 2), v[1])}
                if above is not None:
                    units["bit"] = (1, {"above": -1 / above})
                if address is not None:
                    units["Y"] = address
                self.net.relu(**units, **self._x, **local, total=self.total)
                if self._first:
                    self._x = _carry(*(f"x{k}" for k in range(d)))
                    self._first = False
                self.total, local = (0, {"total": 1}), {name: (0, {name: 1}) for name in local}
                address = (1, {"Y": 2, "bit": -1} if "Y" in units else {"bit": -1}) if "bit" in units else None
                above = bit_ramp(plan.cells, level)
                v = (0, {"rising": 2, "above": -4})
            local[f"w{axis}"] = v
        last = {"bit": (1, {"above": -1 / above})} if above else {}
        self.net.relu(**last, **({"Y": address} if address else {}), **self._x, **local, total=self.total)
        self._address: Unit = (1, {"Y": 2, "bit": -1} if address else {"bit": -1})

    def _unfolded(self, axis: int, parity: int) -> Unit:
        slope, offset = unfolded(self._domain, axis, self._plan.cells, self._plan.steps, parity)
        if self._first:
            return offset, {input_name(axis): slope}
        return offset + slope * self._domain[axis][0], {f"x{axis}": slope}

    def _code(self, parities: Parities) -> None:
        found, digits = class_digits(self._plan, parities, self._lead)
        start, bends, changes = code_polygon(found, digits)
        offset = code_offset(digits.shape[1], int(found[-1]))
        self.net.relu(code=(start + offset, {}), Y=self._address, **self._keep())
        for i, change in enumerate(changes):
            last = i + 1 == len(changes)
            units: dict[str, Unit] = {"code": (-offset if last else 0, {"code": 1, "Y": change})}
            if not last:
                units["Y"] = (bends[i] - bends[i + 1], {"Y": 1})
            self.net.relu(**units, **self._keep())

    def _shifted(self, axis: int, place: Any) -> Unit:
        """u_k - place over w_k."""
        return -fmpq(self._plan.steps + 1, 2) - place, {f"w{axis}": 2 * self._plan.steps}

    def _distance(self, axis: int, place: Any) -> Unit:
        """|u_k - place| from a_k = max(u_k - place, 0)."""
        bias, weights = self._shifted(axis, place)
        return -bias, {f"a{axis}": 2, **{name: -w for name, w in weights.items()}}

    def _box(self, parities: Parities) -> None:
        half, d = (self._plan.steps - 1) // 2, self._plan.dimension
        keep = {**self._keep(), "code": (0, {"code": 1})}
        self.net.relu(**{f"a{k}": self._shifted(k, half) for k in range(d)}, **keep)
        beyond = {}
        for k in range(d):
            bias, weights = self._distance(k, half)
            beyond[f"e{k}"] = (bias - half, weights)
        self.net.relu(**beyond, **keep)
        first, second = _larger([_carry(f"e{k}")[f"e{k}"] for k in range(d)], parities)
        self.net.relu(**first, **keep)
        self.net.relu(**second, **keep)
        self.net.relu(t=_remaining(second), **keep)

    def _digits(self, parities: Parities) -> None:
        path = snake(self._plan.steps, self._plan.dimension)
        code: Unit = (0, {"code": 1})
        second: dict[str, Unit] | None = None  # the parts of the distance of the spike that is to come
        count = self._lead + len(path) - 1
        for number in range(count):
            c = fmpq(3) ** (count - 1 - number)
            node = path[number - self._lead + 1] if self._lead - 1 <= number < count - 1 else None
            halves = {} if node is None else {f"a{k}": self._shifted(k, int(m)) for k, m in enumerate(node)}
            spike = {} if second is None else {"spike": _remaining(second)}
            keep = {**self._keep(), "total": self.total}
            tests = {"one": (code[0] - c + 1, code[1]), "two": (code[0] - 2 * c + 1, code[1])}
            self.net.relu(**tests, code=code, t=(0, {"t": 1}), **spike, **halves, **keep)
            t: Unit = (0, {"t": 1, "spike": -1} if spike else {"t": 1})
            first: dict[str, Unit] = {}
            second = None
            if node is not None:
                near = [self._distance(k, int(m)) for k, m in enumerate(node)]
                first, second = _larger(near, tuple((int(m) + q) % 2 for m, q in zip(node, parities, strict=True)))
            complements = {"one": (1, {"one": -1}), "two": (1, {"two": -1})}
            self.net.relu(**complements, code=(0, {"code": 1}), t=t, **first, **self._keep())
            self.net.relu(
                code=(-2 * c, {"code": 1, "one": c, "two": c}), t=(0, {"t": 1}), first=(-1, {"t": 1, "one": 1}),
                second=(-1, {"t": 1, "two": 1}), **(second or {}), **self._keep(),
            )  # fmt: skip
            code = (0, {"code": 1})
            weight = 3 ** (self._lead - 1 - number) if number < self._lead else 1
            share = 2 * weight if number < self._lead else 1
            self.total = (0, {"total": 1, "t": share, "first": -weight, "second": -weight})


def code_offset(digits: int, reach: int) -> int:
    """A power of two above all partial sums of a code's polygon: |slopes| <= 3^digits on [0, reach + 1]."""
    return 1 << (3**digits * (reach + 2)).bit_length()


def _larger(parts: list[Unit], sides: Any) -> tuple[dict[str, Unit], dict[str, Unit]]:
    """(units of one layer, units of the next): the sum of the latter is max of side 0 + max of side 1 of non-negative parts."""
    first: dict[str, Unit] = {}
    second: dict[str, Unit] = {}
    for side in (0, 1):
        chosen = [p for p, s in zip(parts, sides, strict=True) if s == side]
        names = [f"{'pqr'[i]}{side}" for i in range(len(chosen))]
        for i, (name, part) in enumerate(zip(names, chosen, strict=True)):
            first[name] = _minus(part, chosen[0]) if i == 1 else part
        if chosen:
            both = dict.fromkeys(names[:2], 1)
            second[f"m{side}"] = (0, both)
            if len(chosen) == 3:
                second[f"n{side}"] = (0, {names[2]: 1, names[0]: -1, names[1]: -1})
    return first, second


def _minus(a: Unit, b: Unit) -> Unit:
    weights = dict(a[1])
    for name, w in b[1].items():
        weights[name] = weights.get(name, 0) - w
    return a[0] - b[0], weights


def _remaining(parts: dict[str, Unit]) -> Unit:
    """1 - the sum of these channels."""
    return 1, dict.fromkeys(parts, -1)


# -- reading ------------------------------------------------------------------------------------------------------------


def _read(rows: Rows, network: Network, target: Target) -> PatchPlan:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    d = target.dimension
    cells, steps = grid_of(dict(rows[0][2])[0], rows[0][1], target)
    starts = [d, *(d + np.cumsum([layer.units for layer in network.layers])).tolist()]
    found = [np.sort(addresses(cells, q)) for q in classes(d)]
    bends = [places(f) for f in found]
    digits = (len(network.layers) - 1 - sum(map(len, bends))) // 2**d - _rest(d, cells, 0)
    if digits <= 0 or digits % 3:
        raise ValueError("no whole number of digits")
    digits //= 3
    _, base, output = rows[-1]
    codes, layer = [], d * folds(cells) + 1  # the layer in which the first code starts, counted from 0
    for rising, bent in zip(found, bends, strict=True):
        start = whole(rows[starts[layer] - d][1]) - code_offset(digits, int(rising[-1]))
        changes = {}
        for i, place in enumerate(bent):
            weights = dict(rows[starts[layer + 1 + i] - d][2])
            changes[place] = whole(weights.get(starts[layer + i] + 1, fmpq(0)))
        codes.append([codes_at(rising, start, changes)])
        layer += len(bent) + _rest(d, cells, digits)
    quantum = min(abs(w) for _, w in output)
    return assembled(cells, steps, digits - steps**d + 1, base, quantum, codes, d)


FORMS.add(_read, narrow_patches)
