"""How are numbers folded, cut and multiplied where every layer reads the one before it? Registers wait, few units work.

    folded    a layer of two units each: s <- 2 s - 4 max(s - 1/2, 0), s in [0, 1];
    cut       two layers of one unit: clip(t, low, high);
    times     m + 2 layers, at most five units: x y for |x| <= c, |y| <= 1, up to c 4^-(m+1) (constructions.relu.product).
Whole numbers are read off packed ones by folding: whatever integer n is, and 0 <= q <= 1/2, the distance of y = n + q from the
next integer is q. It is half of y/2^b folded b + 1 times; so y minus it is n, exactly, and 2^c q is the next y. For every real
y it is in [0, 1/2]; it is 0 unless y is in [0, 2^b].
Source: sawtooths of P16 Proposition 2; digits by folding are derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import fmpq

from approx.networks import Form
from constructions.relu._registers import Registers

HALF = fmpq(1, 2)


def folded(regs: Registers, local: Form, folds: int) -> Form:
    """The number in [0, 1] folded at its middle, again and again."""
    for _ in range(folds):
        rising, falling = regs.layer(local, local - HALF)
        local = 2 * rising - 4 * falling
    return local


def below_whole(regs: Registers, y: Form, bits: int) -> Form:
    """What y = n + q is above the whole number n of so many bits: q."""
    return folded(regs, y / 2**bits, bits + 1) / 2


def digit_added(regs: Registers, value: Form, y: Form, bits: int, reach: Any) -> tuple[Form, Form]:
    """(value + n - 2^(bits - 1), q), n + q = y, for a sum that is at least -reach on the way, at every x."""
    regs.set("V", value + y - 2 ** (bits - 1), reach)
    rest = below_whole(regs, y, bits)
    found = regs.get("V") - rest
    regs.drop("V")
    return found, rest


def cut(regs: Registers, form: Form, low: Any, high: Any) -> Form:
    """The number cut to [low, high]."""
    [above] = regs.layer(form - low)
    [below] = regs.layer(high - low - above)
    return high - below


def times(regs: Registers, form: Form, factor: Callable[[], Form], most: Any, levels: int) -> Form:
    """The product of a form, at most `most`, and a factor in [-1, 1] that stands in registers, by sawtooths of these levels."""
    regs.set("x", form, most)

    def halves() -> list[Form]:
        return [(regs.get("x") / most + sign * factor()) / 2 for sign in (1, -1)]

    plus, minus = regs.layer(*halves())
    first, second = halves()
    regs.drop("x")
    plus, minus = regs.layer(2 * plus - first, 2 * minus - second)
    regs.set("V", plus - minus, 1)
    for level in range(1, levels + 1):
        a, b, c, d = regs.layer(plus, plus - HALF, minus, minus - HALF)
        plus, minus = 2 * a - 4 * b, 2 * c - 4 * d
        regs.add("V", (minus - plus) / 4**level)
    found = most * regs.get("V")
    regs.drop("V")
    return found
