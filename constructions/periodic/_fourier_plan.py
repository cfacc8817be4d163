"""What does a deep Fourier network hold? Cells, and for every kind of place the sines whose phases change from cell to cell.

Geometry. On every axis Y = kappa (x - lower)/(upper - lower), kappa = 1 - 2^-20, lies in [0, kappa], and N = 2^m cells
n/N <= Y <= (n + 1)/N cover it: Y = 1, where all binary digits would flip at once, is never reached. The
seam Y = n/N, n = 0 .. N - 1, is the left end of cell n.
A group belongs to a set S of axes (`seams`, as a tuple); its function is
    g_S(x) = centre + sum_u C_u sin(w_u . x + 2 pi y_u(state)),
where the state is, on an axis outside S, the number of the cell, on an axis of S the number of the nearest seam. Frequencies
have no component on the axes of S, where x hardly moves. States are numbered by sum_i N^i state_i.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flint import fmpq

from approx.targets import Target

#: kappa: the position of the upper end of the domain.
REACH = 1 - fmpq(1, 2**20)
#: The selection between groups acts within 2^-ZONE cells of a seam; the digits may be wrong within 2^-RAMP cells of it.
ZONE, RAMP = 60, 121
Seams = tuple[int, ...]


@dataclass(frozen=True)
class Coded:
    """A group as the network holds it: frequencies (d rationals per sine), amplitudes, and the integers A_u of the phases."""

    frequencies: tuple[tuple[fmpq, ...], ...]
    amplitudes: tuple[fmpq, ...]
    integers: tuple[int, ...]

    @property
    def size(self) -> fmpq:
        """A bound of |g_S - centre| for whatever phases."""
        return sum(self.amplitudes, fmpq(0))


@dataclass(frozen=True)
class FourierPlan:
    """Everything that a deep Fourier network is made of: m = digits, b = bits per phase, and the groups.

    `clip` is a power of two that bounds |g_S - g_T| for all groups.
    """

    digits: int
    bits: int
    centre: fmpq
    clip: fmpq
    groups: dict[Seams, Coded]


@dataclass(frozen=True)
class Cells:
    """The cells of a target's box, 2^digits per axis, and its seams."""

    target: Target
    digits: int

    @property
    def per_axis(self) -> int:
        """N."""
        return 1 << self.digits

    @property
    def count(self) -> int:
        """N^d, the number of states of a group."""
        return self.per_axis**self.target.dimension

    def kinds(self) -> list[Seams]:
        """All sets S of axes, the empty one first; that one only where there are no seams."""
        d = self.target.dimension
        return [s for r in range(d + 1 if self.digits else 1) for s in itertools.combinations(range(d), r)]

    def states(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(number, state on every axis) of all states."""
        n = self.per_axis
        for state in itertools.product(range(n), repeat=self.target.dimension):
            yield sum(n**i * s for i, s in enumerate(state)), state

    def box(self, seams: Seams, state: Sequence[int]) -> list[tuple[fmpq, fmpq]]:
        """The place that a state stands for: the side of the cell, or where the selection acts around the seam."""
        sides = []
        for axis, ((low, high), s) in enumerate(zip(self.target.domain, state, strict=True)):
            step = (high - low) / (self.per_axis * REACH)
            ends = (s - fmpq(1, 2**ZONE), s + fmpq(1, 2**ZONE)) if axis in seams else (fmpq(s), fmpq(s + 1))
            sides.append((max(low, low + step * ends[0]), min(low + step * ends[1], high)))
        return sides

    def place(self, axis: int, x: fmpq) -> fmpq:
        """N Y: the position of a coordinate in cells."""
        low, high = list(self.target.domain)[axis]
        return (x - low) / (high - low) * (self.per_axis * REACH)
