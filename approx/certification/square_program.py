"""Which parts of a ReLU network are sawtooth squares, and what polynomial program remains when they are read as squares?

Statement. For a unit u with 0 <= u <= 1 let G_0 = u, B_s = max(G_s - 1/2, 0), G_{s+1} = 2 G_s - 4 B_s (structure.py). The sum
f_m = u - sum_{s=1..m} 4^-s G_s satisfies 0 <= f_m - u^2 <= 4^-(m+1), and 0 <= G_s <= 1. A unit whose input is exactly some
G_s or G_s - 1/2 belongs to the chain of u; all others are kept, and their input is, exactly,

    constant + sum_i a_i v_i + sum_u k_u f_m(u) + sum e_s G_s(u) = constant + sum_i a_i' v_i + sum_u k_u u^2 + error,

v_i the units that are kept. k_u is read off the first level, what the others have more than that is e_s; the error lies in
an interval that is known as long as every u lies in [0, 1], which the user of the program has to verify. Where 1 < u <=
1 + d, all units of the chain are 0 except B_0 = u - 1/2: they are what the reading says with G_s = 0 for s >= 1, where f_m = u,
|f_m - u^2| <= d (1 + d), except that B_0 differs from (2 G_0 - G_1)/4 by at most d/2.
Recognition is exact arithmetic on the weights; a network without such chains gives a program without squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flint import fmpq

if TYPE_CHECKING:
    from approx.networks import Network

_HALF = fmpq(1, 2)
#: A level that is read with more than this share beside its part of a square is a unit in its own right.
_MISREAD = fmpq(1, 1 << 12)
#: G_s(u) by (u, s); s = 0 is the unit u itself.
_Key = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One kept unit: activation of constant + linear . v + squares . v^2 + [low, high].

    That holds if the roots of its chains lie in [0, 1]; where a root u reaches up to 1 + d, d <= 1/16, the interval grows by
    roots[u] d on both sides.
    """

    unit: int
    activation: str
    constant: fmpq
    linear: dict[int, fmpq]
    squares: dict[int, fmpq]
    low: fmpq
    high: fmpq
    roots: dict[int, fmpq]


@dataclass
class SquareProgram:
    """The kept units in order, the last one the output; `levels` counts the levels of all chains.

    signed: the kept units that are no ReLUs, whose values may be negative; the input is 0.
    """

    steps: list[Step] = field(default_factory=list)
    levels: int = 0
    signed: set[int] = field(default_factory=lambda: {0})

    @property
    def depth(self) -> int:
        """The most kept units on a path from the input to the output."""
        found = {0: 0}
        for step in self.steps:
            found[step.unit] = 1 + max((found[u] for u in {*step.linear, *step.squares}), default=0)
        return max(found.values())

    @classmethod
    def of(cls, network: Network) -> SquareProgram:
        """The program of a network with rational weights and one output; O(weights) rational operations."""
        rows = network.exact_rows()
        kept: set[int] = set()
        while True:
            program, misread = _read(rows, kept)
            if not misread - kept:
                return program
            kept |= misread


def _read(rows: list[Any], kept: set[int]) -> tuple[SquareProgram, set[int]]:
    """(the program when the units `kept` belong to no chain, units of chains that are read for another purpose)."""
    program, misread = SquareProgram(), set()
    meaning: dict[int, dict[_Key, fmpq]] = {0: {(0, 0): fmpq(1)}}
    for unit, (activation, bias, terms) in enumerate(rows, 1):
        form: dict[_Key, fmpq] = {}
        for source, weight in terms:
            for key, value in meaning[source].items():
                form[key] = form.get(key, fmpq(0)) + weight * value
        form = {k: v for k, v in form.items() if v != 0}
        tooth = _tooth(form, bias) if activation == "relu" and unit not in kept else None
        if tooth is not None:
            program.levels += bias != 0
            meaning[unit] = tooth
        else:
            meaning[unit] = {(unit, 0): fmpq(1)}
            step, wrong = _step(unit, activation, bias, form)
            for source, weight in terms:
                for (root, level), value in meaning[source].items():
                    if level > 0:  # also where the levels cancel: the reading itself presumes the range of the root
                        over = 2 * abs(weight * value) if level == 1 else fmpq(0)
                        step.roots[root] = step.roots.get(root, fmpq(0)) + over
            program.steps.append(step)
            program.signed |= {unit} if activation == "identity" else set()
            misread |= {u for u, _ in terms if any((r, l) in wrong for r, l in meaning[u] if l > 0)}
    return program, misread


def _tooth(form: dict[_Key, fmpq], bias: fmpq) -> dict[_Key, fmpq] | None:
    """What max(form + bias, 0) is in the chains, when it belongs to one."""
    if len(form) != 1:
        return None
    [((root, level), weight)] = form.items()
    if weight != 1:
        return None
    if bias == -_HALF:  # B_s = (2 G_s - G_{s+1}) / 4
        return {(root, level): _HALF, (root, level + 1): fmpq(-1, 4)}
    return dict(form) if bias == 0 and level > 0 else None


def _step(unit: int, activation: str, bias: fmpq, form: dict[_Key, fmpq]) -> tuple[Step, set[_Key]]:
    """The step, and the levels that it reads for something else than a square."""
    linear = {root: value for (root, level), value in form.items() if level == 0}
    squares: dict[int, fmpq] = {}
    wrong: set[_Key] = set()
    low = high = fmpq(0)
    roots = dict.fromkeys(sorted({r for (r, level) in form if level > 0}), fmpq(0))
    size = max((abs(v) for v in form.values()), default=fmpq(0))
    for root in roots:
        levels = {level: v for (r, level), v in form.items() if r == root and level > 0}
        factor = -4 * levels.get(1, fmpq(0))
        top = max(levels)
        for level in range(1, top + 1):
            rest = levels.get(level, fmpq(0)) + factor / 4**level
            low, high = low + min(rest, fmpq(0)), high + max(rest, fmpq(0))
            if abs(rest) > _MISREAD * size:
                wrong.add((root, level))
        if factor != 0:
            # -factor * sum_s 4^-s G_s = factor * (f_m - u)
            squares[root] = factor
            roots[root] += abs(factor) * fmpq(17, 16)
            linear[root] = linear.get(root, fmpq(0)) - factor
            extra = factor / 4 ** (top + 1)
            if abs(extra) > _MISREAD * size:
                wrong |= {(root, level) for level in range(1, top + 1)}
            low, high = low + min(extra, fmpq(0)), high + max(extra, fmpq(0))
    linear = {k: v for k, v in linear.items() if v != 0}
    return Step(unit, activation, bias, linear, squares, low, high, roots), wrong
