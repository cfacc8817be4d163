"""Which parts of a ReLU network are sawtooth squares or quotients, and what program remains when they are read as such?

Statement. For units u and c with 0 <= u <= c, or c = 1, let G_0 = u, B_s = max(G_s - c/2, 0), G_{s+1} = 2 G_s - 4 B_s
(structure.py; the sawtooth is homogeneous in u and c). The sum f_m = u - sum_{s=1..m} 4^-s G_s satisfies
0 <= f_m - u^2/c <= c 4^-(m+1), and 0 <= G_s <= c. A unit whose input is exactly some G_s or G_s - c/2 belongs to the chain of
(u, c); all others are kept, and their input is, exactly,

    constant + sum_i a_i v_i + sum k f_m(u, c) + sum e_s G_s(u, c) = constant + sum_i a_i' v_i + sum k u^2/c + sum_c c error_c,

v_i the units that are kept. k is read off the first level, what the others have more than that is e_s; error_c lies in an
interval that is known as long as all 0 <= u <= c, c > 0, which the user of the program has to verify (Step.roots names all
chains that a kept unit reads, and a tooth reads no chain but its own). Where c < u <= c + d, B_0 = u - c/2 = c/2 + d, which is
d/2 more than (2 G_0 - G_1)/4 with G_1 = 0, and all other teeth are 0, as a tooth's row is then what the reading says with
G_s = 0 for s >= 1 plus d/2 for every B_0 in it: admitted is a total weight of B_0 that is at most 0, and 0 in copies of
B_0 itself (`_direct`). There f_m = u, |f_m - u^2/c| <= d (1 + d/c).
Recognition is exact arithmetic on the weights; a network without such chains gives a program without squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flint import fmpq

if TYPE_CHECKING:
    from approx.networks import Network

_HALF = fmpq(1, 2)
#: So often a network is read; those that then still have chains read for another purpose are no sums of squares.
_READINGS = 8
#: A level that is read with more than this share beside its part of a square is a unit in its own right.
_MISREAD = fmpq(1, 1 << 12)
#: The scale c of squares, which is no unit.
ONE = -1
#: A chain of teeth, (u, c): its root u and its scale c.
Chain = tuple[int, int]
#: G_s(u, c) by (u, c, s); s = 0 is the unit u itself, with c = ONE.
_Key = tuple[int, int, int]


@dataclass(frozen=True)
class Step:
    """One kept unit: activation of constant + linear . v + sum squares[u, c] u^2/c + sum c [low, high] over errors[c].

    That holds if 0 <= u <= c for its chains; where u reaches up to c + d, d <= c/16, the interval grows by roots[u, c] d on
    both sides.
    """

    unit: int
    activation: str
    constant: fmpq
    linear: dict[int, fmpq]
    squares: dict[Chain, fmpq]
    errors: dict[int, tuple[fmpq, fmpq]]
    roots: dict[Chain, fmpq]

    @property
    def reads(self) -> set[int]:
        """The units that it reads, those of its chains and their scales among them."""
        chains = {unit for chain in (*self.squares, *self.roots) for unit in chain}
        return ({*self.linear, *self.errors} | chains) - {ONE}


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
            found[step.unit] = 1 + max((found[u] for u in step.reads), default=0)
        return max(found.values())

    @classmethod
    def of(cls, network: Network) -> SquareProgram:
        """The program of a network with rational weights and one output; O(weights) rational operations."""
        rows = network.exact_rows()
        kept: set[int] = set()
        for _ in range(_READINGS):
            program, misread = _read(rows, kept)
            if not misread - kept:
                return program
            kept |= misread
        return _read(rows, set(range(1, len(rows) + 1)))[0]


def _read(rows: list[Any], kept: set[int]) -> tuple[SquareProgram, set[int]]:
    """(the program when the units `kept` belong to no chain, units of chains that are read for another purpose)."""
    program, misread = SquareProgram(), set()
    meaning: dict[int, dict[_Key, fmpq]] = {0: {(0, ONE, 0): fmpq(1)}}
    for unit, (activation, bias, terms) in enumerate(rows, 1):
        form: dict[_Key, fmpq] = {}
        for source, weight in terms:
            for key, value in meaning[source].items():
                form[key] = form.get(key, fmpq(0)) + weight * value
        form = {k: v for k, v in form.items() if v != 0}
        tooth = _tooth(form, bias) if activation == "relu" and unit not in kept else None
        if tooth is not None and _direct(tooth, terms, meaning):
            program.levels += len(tooth) == 2
            meaning[unit] = tooth
        else:
            meaning[unit] = {(unit, ONE, 0): fmpq(1)}
            step, wrong = _step(unit, activation, bias, form)
            for source, weight in terms:
                for (root, scale, level), value in meaning[source].items():
                    if level > 0:  # also where the levels cancel: the reading itself presumes the range of the root
                        over = 2 * abs(weight * value) if level == 1 else fmpq(0)
                        step.roots[root, scale] = step.roots.get((root, scale), fmpq(0)) + over
            program.steps.append(step)
            program.signed |= {unit} if activation == "identity" else set()
            misread |= {u for u, _ in terms if any(key in wrong for key in meaning[u] if key[2] > 0)}
    return program, misread


def _tooth(form: dict[_Key, fmpq], bias: fmpq) -> dict[_Key, fmpq] | None:
    """What max(form + bias, 0) is in the chains, when it belongs to one."""
    if len(form) == 1:
        [(key, weight)] = form.items()
        if weight == 1 and bias == -_HALF and key[1] == ONE:
            return _folded(key, ONE)
        return dict(form) if weight == 1 and bias == 0 and key[2] > 0 else None
    if len(form) != 2 or bias != 0:
        return None
    (key, weight), (other, share) = sorted(form.items(), key=lambda item: item[1], reverse=True)
    scale = other[0]
    if weight == 1 and share == -_HALF and other[2] == 0 and (key[1] == scale if key[2] else key[0] != scale):
        return _folded(key, scale)
    return None


def _direct(tooth: dict[_Key, fmpq], terms: list[tuple[int, fmpq]], meaning: dict[int, dict[_Key, fmpq]]) -> bool:
    """Whether the row reads no chain but the tooth's, and its B_0 leave the tooth right where the root exceeds its scale."""
    [chain] = {(root, scale) for root, scale, level in tooth if level > 0}
    folds = fmpq(0)
    for source, weight in terms:
        form = meaning[source]
        if any(level > 0 and (root, scale) != chain for root, scale, level in form):
            return False
        if (*chain, 1) in form and any(level == 0 for _, _, level in form):
            folds += weight
    first = any(level == 0 for _, _, level in tooth)
    return folds == 0 if first else folds <= 0


def _folded(key: _Key, scale: int) -> dict[_Key, fmpq]:
    """B_s = (2 G_s - G_{s+1}) / 4."""
    root, _, level = key
    return {key: _HALF, (root, scale, level + 1): fmpq(-1, 4)}


def _step(unit: int, activation: str, bias: fmpq, form: dict[_Key, fmpq]) -> tuple[Step, set[_Key]]:
    """The step, and the levels that it reads for something else than a square."""
    linear = {root: value for (root, _, level), value in form.items() if level == 0}
    squares: dict[Chain, fmpq] = {}
    errors: dict[int, tuple[fmpq, fmpq]] = {}
    wrong: set[_Key] = set()
    roots = dict.fromkeys(sorted({(u, c) for (u, c, level) in form if level > 0}), fmpq(0))
    size = max((abs(v) for v in form.values()), default=fmpq(0))
    for chain in roots:
        root, scale = chain
        levels = {level: v for (u, c, level), v in form.items() if (u, c) == chain and level > 0}
        factor = -4 * levels.get(1, fmpq(0))
        low, high = errors.get(scale, (fmpq(0), fmpq(0)))
        top = max(levels)
        for level in range(1, top + 1):
            rest = levels.get(level, fmpq(0)) + factor / 4**level
            low, high = low + min(rest, fmpq(0)), high + max(rest, fmpq(0))
            if abs(rest) > _MISREAD * size:
                wrong.add((root, scale, level))
        if factor != 0:
            # -factor * sum_s 4^-s G_s = factor * (f_m - u)
            squares[chain] = factor
            roots[chain] += abs(factor) * fmpq(17, 16)
            linear[root] = linear.get(root, fmpq(0)) - factor
            extra = factor / 4 ** (top + 1)
            if abs(extra) > _MISREAD * size:
                wrong |= {(root, scale, level) for level in range(1, top + 1)}
            low, high = low + min(extra, fmpq(0)), high + max(extra, fmpq(0))
        if low != high:
            errors[scale] = low, high
    linear = {k: v for k, v in linear.items() if v != 0}
    return Step(unit, activation, bias, linear, squares, errors, roots), wrong
