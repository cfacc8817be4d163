"""How does a network of constant width evaluate packed differences? Digit by digit, by Horner's rule, one product at a time.

Registers f, t, L0 and L1 (_difference_narrow) become f, t and V. The wave z, t folded log2 M times, is 0 at even and 1 at odd
nodes. A packed number is read from its leading digit on; when V_(j+1) is known, its product with v - j is taken (m + 4 layers),
then S_j is read and added (b_j + 1 layers): V stands in one register, cut to its size before a product, what is left of the
packed number in another. The choice: with y the wave at t + 1/2 - 3 rho/2, below 1/2 on odd steps and above on even ones,
p = max(1 - max((y - 1/2)/rho + 1/2, 0), 0) is 1 or 0 there, and V = V_0 + clip(V_1 - V_0, -R p, R p), R >= |V_1 - V_0| at every
x, is V_0 for p = 0, V_1 for p = 1, between them in between. At most 10 units in a layer: f, t, z, the other packed number or
V_0, what is left of this one, a sum, the four units of two sawtooths. Source: derived here, from P16 Proposition 2 and P18.
"""

from __future__ import annotations

from flint import fmpq

from approx.networks import Form
from constructions.relu._difference_network import offset_for
from constructions.relu._packed_differences import PackedDifferences
from constructions.relu._registers import Registers
from constructions.relu._strict_products import HALF, cut, digit_added, folded, times


def chosen_value(regs: Registers, packed: PackedDifferences) -> Form:
    """V, from L0 and L1, which are dropped; f and t are kept."""
    steps, rho = packed.plan.steps, packed.fine_ramp
    folds = steps.bit_length()
    regs.set("z", folded(regs, regs.get("t") / 2**folds, folds))
    for name in ("L0", "L1"):
        _evaluate(regs, packed, name)
    regs.drop("z")
    y = folded(regs, (regs.get("t") + (1 - 3 * rho) / 2) / 2**folds, folds)
    [even] = regs.layer((y - HALF) / rho + HALF)
    [odd] = regs.layer(1 - even)
    regs.set("p", odd)
    reach = 2 * packed.partial_reach(0)
    change = regs.get("L1") - regs.get("L0")
    regs.drop("L1")
    above, below = regs.layer(change + reach * regs.get("p"), change - reach * regs.get("p"))
    value = regs.get("L0") + above - below - reach * regs.get("p")
    regs.drop("L0", "p")
    return value


def _evaluate(regs: Registers, packed: PackedDifferences, name: str) -> None:
    """The packed number in a register becomes the V_0 that it stands for, at v = K + z for L0, v = K + 1 - z for L1."""
    order = packed.plan.order
    biases = sum((packed.weight(j) * 2 ** (bits - 1) for j, bits in enumerate(packed.bits)), fmpq(1, 8))
    y = (regs.get(name) + biases) / packed.weight(order - 1)
    regs.drop(name)
    value = Form()
    for j in range(order - 1, -1, -1):
        if j < order - 1:
            regs.set("rest", y)
            value = _product(regs, packed, value, j, mirrored=name == "L1") / (j + 1)
            y = regs.get("rest")
            regs.drop("rest")
        value, rest = digit_added(regs, value, y, packed.bits[j], offset_for(packed.partial_reach(j)))
        y = rest * packed.weight(1)
    regs.set(name, value, offset_for(packed.partial_reach(0)))


def _product(regs: Registers, packed: PackedDifferences, value: Form, j: int, mirrored: bool) -> Form:
    """V_(j+1), cut to its size, times v - j: levels + 4 layers."""
    bound, size = packed.partial_sizes[j + 1], packed.factor(j)

    def factor() -> Form:
        z = regs.get("z")
        return (packed.kappa - j + (1 - z if mirrored else z)) / size

    return size * times(regs, cut(regs, value, -bound, bound), factor, bound, packed.product_levels[j])
