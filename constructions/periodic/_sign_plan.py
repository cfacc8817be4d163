"""How do all coefficients of all cells stand in one weight as bits, as in the 2019 paper?

On every place of a state the function is centre + sum_g a_g s_g, s_0 = 1, then cos(w.x), sin(w.x) for every frequency w, and
    a_g = R_g (-1 + sum_{b=1..B} 2^(1-b) beta_b),   beta_b in {0, 1}.
The bits of all groups stand one after the other, those of a group by the number N^d - 1 - state, in
    w = sum_k c(beta_k) 16^-k,   c(0) = 1/4, c(1) = 3/4.
16^k w mod 1 = c(beta_k) + theta with 0 <= theta <= (3/4)/15 = 1/20, as the terms before are whole numbers, so
|sin(2 pi 16^k w)| >= cos(pi/10) > 0.951, negative for beta_k = 1. Source: P19, deep Fourier expansion.
"""

from __future__ import annotations

from dataclasses import dataclass

import gmpy2
import numpy as np
from flint import fmpq

from approx.numbers import to_fmpq
from constructions.periodic._fourier_code import Group, short_above
from constructions.periodic._fourier_fit import Fit
from constructions.periodic._fourier_plan import Cells, Seams

#: 16^k w in base 16: four binary digits per bit.
BASE_BITS = 4


@dataclass(frozen=True)
class SignGroup:
    """Frequencies (one per cosine and sine), the ranges R_g (1 + 2 F of them)."""

    frequencies: tuple[tuple[fmpq, ...], ...]
    ranges: tuple[fmpq, ...]


@dataclass(frozen=True)
class SignPlan:
    """m = digits, B = depth, the groups, and the bits of all of them in order."""

    digits: int
    depth: int
    centre: fmpq
    clip: fmpq
    groups: dict[Seams, SignGroup]
    bits: str

    def start(self, cells: Cells, seams: Seams) -> tuple[int, int]:
        """(place of the first bit of a group, bits per state)."""
        place = 0
        for s, group in self.groups.items():
            length = len(group.ranges) * self.depth
            if s == seams:
                return place, length
            place += length * cells.count
        raise KeyError(seams)

    @property
    def word(self) -> fmpq:
        """The one weight w."""
        digits = self.bits.replace("1", "3").replace("0", "1")
        return fmpq(int(gmpy2.mpz(digits, 16)), 4 * 16 ** (len(digits) - 1))


def bits_of(word: fmpq) -> str:
    """The bits of a weight; raises ValueError when it is no such weight."""
    exponent = int(word.q).bit_length() - 1
    if word.q != 1 << exponent or exponent % BASE_BITS != 2:
        raise ValueError("no word of bits")
    digits = gmpy2.mpz(int(word.p)).digits(16)
    if set(digits) - {"1", "3"} or len(digits) != (exponent - 2) // BASE_BITS + 1:
        raise ValueError("no word of bits")
    return digits.replace("1", "0").replace("3", "1")


def sign_plan(cells: Cells, fits: dict[Seams, Fit], centre: fmpq, depth: int) -> SignPlan:
    """The plan of fitted coefficients, rounded to `depth` bits."""
    groups, parts = {}, []
    for seams, fit in fits.items():
        table = _global(fit, float(centre.p) / float(centre.q))
        ranges = [short_above(float(v) * (1 + 2.0 ** (2 - depth))) for v in np.abs(table).max(axis=0)]
        groups[seams] = SignGroup(tuple(fit.frequencies), tuple(ranges))
        rows = dict(zip(fit.numbers, table, strict=True))
        for number in range(cells.count - 1, -1, -1):
            for value, size in zip(rows[number], ranges, strict=True):
                share = (to_fmpq(float(value)) / size + 1) * fmpq(2) ** (depth - 1) + fmpq(1, 2)
                code = min(max(int(share.p // share.q), 0), 2**depth - 1)
                parts.append(format(code, f"0{depth}b"))
    largest = 6 * max(sum(g.ranges, fmpq(0)) for g in groups.values())
    clip = fmpq(2) ** (1 + int(largest.p).bit_length() - int(largest.q).bit_length())
    return SignPlan(cells.digits, depth, centre, clip, groups, "".join(parts))


def _global(fit: Fit, centre: float) -> np.ndarray:
    """Coefficients (states, 1 + 2 F) of 1, cos(w.x), sin(w.x), cosine and sine of a frequency side by side."""
    half = len(fit.frequencies)
    omegas = np.array([[float(v.p) / float(v.q) for v in w] for w in fit.frequencies]).reshape(
        half, fit.middles.shape[1]
    )
    angles = fit.middles @ omegas.T
    a, b = fit.coefficients[:, 1 : 1 + half], fit.coefficients[:, 1 + half :]
    table = np.empty_like(fit.coefficients)
    table[:, 0] = fit.coefficients[:, 0] - centre
    table[:, 1::2] = a * np.cos(angles) - b * np.sin(angles)
    table[:, 2::2] = a * np.sin(angles) + b * np.cos(angles)
    return table


def sign_groups(plan: SignPlan, cells: Cells) -> dict[Seams, Group]:
    """What the bits say: the function of every group in every state."""
    found = {}
    zero = (fmpq(0),) * cells.target.dimension
    for seams, group in plan.groups.items():
        start, length = plan.start(cells, seams)
        frequencies = [zero, *(w for w in group.frequencies for _ in range(2))]
        # Phases in quarters of a turn: 1 and cosines at one quarter, sines at none.
        phases = (1, *(1, 0) * len(group.frequencies))
        sizes = {}
        for number in range(cells.count):
            first = start + (cells.count - 1 - number) * length
            codes = [int(plan.bits[k : k + plan.depth], 2) for k in range(first, first + length, plan.depth)]
            sizes[number] = tuple(
                r * (fmpq(code, 2 ** (plan.depth - 1)) - 1) for r, code in zip(group.ranges, codes, strict=True)
            )
        same = dict.fromkeys(sizes, phases)
        found[seams] = Group(seams, tuple(frequencies), sizes, same, 2, 0.0)
    return found
