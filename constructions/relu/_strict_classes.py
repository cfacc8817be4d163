"""Where in its patch is x, and what is written there? Addresses, codes and local places of a class, in strict layers.

Registers x_k hold the coordinates x_k - low_k; for a class of patches that do not touch (_patch_codes), one after the other,
    address   (d L + 1 layers)   one fold of one coordinate a layer; bits follow two layers later into Y <- 2 Y + bit;
    code      (1 a place)        Y shrinks to its next place, and the code (with an offset) takes its share;
    places    (d L layers)       the same folds, whose results w_k stay: they need not be carried past the places of the codes.
On the supports of the patches of the class Y, the code and u_k = 2 M w_k - (M + 1)/2 are those of _patch_network.
"""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.networks import Form, Network
from approx.targets.domain import Domain
from constructions.relu._patch_codes import Parities, addresses, classes, code_polygon, codes_at, folds, places
from constructions.relu._patch_narrow import code_offset
from constructions.relu._patch_network import bit_ramp, unfolded
from constructions.relu._patch_plan import PatchPlan
from constructions.relu._plan_forms import Rows
from constructions.relu._registers import Registers
from constructions.relu._strict_products import folded
from constructions.relu._two_scale_reader import whole

_HALF = fmpq(1, 2)


class StrictClasses:
    """Writes registers Y, code, w0, w1, .. of a class."""

    def __init__(self, regs: Registers, plan: PatchPlan, domain: Domain) -> None:
        self._regs, self._plan, self._domain = regs, plan, domain
        for axis, low in enumerate(domain.lower):
            regs.set(f"x{axis}", regs.input(axis) - low)

    def write(self, parities: Parities, found: np.ndarray, digits: np.ndarray, last: bool = False) -> None:
        """From the coordinates to w_k and the code, digits (patches, count) at rising addresses; the coordinates go if last."""
        self._address(parities)
        self._code(found, digits)
        self._places(parities, last)

    def place(self, axis: int) -> Form:
        """u_k, the local place in fine steps."""
        return 2 * self._plan.steps * self._regs.get(f"w{axis}") - fmpq(self._plan.steps + 1, 2)

    def _unfolded(self, axis: int, parity: int) -> Form:
        slope, offset = unfolded(self._domain, axis, self._plan.cells, self._plan.steps, parity)
        return slope * (self._regs.get(f"x{axis}") + self._domain[axis][0]) + offset

    def _address(self, parities: Parities) -> None:
        missing, length = list[Form](), folds(self._plan.cells)
        for axis, parity in enumerate(parities):
            v = self._unfolded(axis, parity)
            for level in range(length):
                last = level + 1 == length
                above, *others = self._regs.layer(v - _HALF, *missing, *([] if last else [v]))
                self._count(others[: len(missing)])
                missing = [1 - above / bit_ramp(self._plan.cells, level)]
                if not last:
                    v = 2 * others[-1] - 4 * above
        self._count(self._regs.layer(*missing))

    def _count(self, missing: list[Form]) -> None:
        """Add the bit of the layer before to Y."""
        for unit in missing:
            before = 2 * self._regs.get("Y") if self._regs.has("Y") else Form()
            self._regs.set("Y", before + 1 - unit)

    def _code(self, found: np.ndarray, digits: np.ndarray) -> None:
        regs = self._regs
        start, bends, changes = code_polygon(found, digits)
        regs.set("code", Form(constant=start), code_offset(digits.shape[1], int(found[-1])))
        regs.layer()
        for i, change in enumerate(changes):
            regs.add("code", change * regs.get("Y"))
            if i + 1 < len(changes):
                regs.set("Y", regs.get("Y") - (bends[i + 1] - bends[i]))
                regs.layer()
        regs.drop("Y")
        regs.set("code", regs.get("code"))

    def _places(self, parities: Parities, last: bool) -> None:
        for axis, parity in enumerate(parities):
            v = self._unfolded(axis, parity)
            if last:
                self._regs.drop(f"x{axis}")
            self._regs.set(f"w{axis}", folded(self._regs, v, folds(self._plan.cells)))


def bends_of_codes(dimension: int, cells: int) -> int:
    """The places of all classes."""
    return sum(len(places(np.sort(addresses(cells, q)))) for q in classes(dimension))


def class_layers(dimension: int, cells: int) -> int:
    """The layers of all classes."""
    return bends_of_codes(dimension, cells) + 2**dimension * (2 * dimension * folds(cells) + 1)


def read_codes(
    rows: Rows, network: Network, cells: int, parities: Parities, first: int, digits: int
) -> tuple[list[int], int]:
    """(the codes of a class at rising addresses, the layer after its own); its own begin with layer `first`, counted from 0."""
    d, units = network.inputs, [layer.units for layer in network.layers]
    starts = [0, *np.cumsum(units).tolist()]
    found = np.sort(addresses(cells, parities))
    bends = places(found)
    layer = first + d * folds(cells) + 1  # in which Y and the code are the last two units
    value = whole(rows[starts[layer + 1] - 1][1]) - code_offset(digits, int(found[-1]))
    changes = {}
    for i, place in enumerate(bends):
        layer += 1
        unit = starts[layer] + units[layer - 1] - (2 if i + 1 == len(bends) else 1)
        changes[place] = whole(dict(rows[unit][2]).get(d + starts[layer] - 2, fmpq(0)))
    return codes_at(found, value, changes), layer + d * folds(cells)
