"""How do fitted coefficients become phases, and phases weights? Amplitudes common to all cells, phases coded in integers.

R sin(z + psi) with 0 <= R <= 2 C is C sin(z + psi + alpha) + C sin(z + psi - alpha), cos(alpha) = R/(2 C): with amplitudes that
are the same in all cells, two phases give any amplitude and any phase. A constant a is C sin(psi). Over one cell only, R
itself is a weight and one sine does.
All phases of one sine, over all states, are held by one integer A: 2 A cos(k theta) mod 1 is the phase of state N^d - k, up to
1/(2B) (constructions.superexpressive: Chebyshev digits).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import arb, fmpq

from approx.numbers import to_fmpq, working_precision
from constructions.periodic._fourier_fit import Fit
from constructions.periodic._fourier_plan import Cells, Coded, Seams
from constructions.superexpressive._methods import decode_weight
from constructions.superexpressive._targets import FixedPoint, width_for
from constructions.superexpressive._weight import Weight
from constructions.superexpressive.weights import select_weight

_BITS = 256
#: No amplitude is smaller: sines that do nothing keep their place.
_LEAST = fmpq(1, 2**80)


@dataclass(frozen=True)
class Group:
    """What a group computes: frequencies, and per state (by its number) the amplitudes and the phases y of all sines.

    Phases are integers in units of 2^-width, each wrong by at most `slack` units.
    """

    seams: Seams
    frequencies: tuple[tuple[fmpq, ...], ...]
    amplitudes: dict[int, tuple[fmpq, ...]]
    phases: dict[int, tuple[int, ...]]
    width: int
    slack: float

    def balls(self, number: int, point: list[fmpq]) -> arb:
        """A ball that contains g - centre at an exact point, for one state."""
        total, turn = arb(0), arb(2) ** self.width
        for w, c, y in zip(self.frequencies, self.amplitudes[number], self.phases[number], strict=True):
            angle = sum((a * x for a, x in zip(w, point, strict=True)), fmpq(0))
            total += arb(c) * (arb(angle) + 2 * arb.pi() * (arb(y, self.slack) / turn)).sin()
        return total


def short_above(value: float) -> fmpq:
    """A dyadic of at most 9 significant bits, at least the value and at least 2^-80."""
    if not value > 0:
        return _LEAST
    mantissa, exponent = math.frexp(value * (1 + 2.0**-40))
    return max(_LEAST, to_fmpq(math.ceil(mantissa * 256)) * fmpq(2) ** (exponent - 8))


def coded_group(cells: Cells, fit: Fit, centre: fmpq, bits: int) -> Coded:
    """The group of a fit, with the integers that hold its phases."""
    frequencies, amplitudes, columns = _phases(cells, fit, float(centre.p) / float(centre.q))
    integers = []
    width = width_for(cells.count, bits)
    for column in columns:
        goals = [0] * cells.count
        for number, ball in zip(fit.numbers, column, strict=True):
            with working_precision(_BITS):
                goals[cells.count - number - 1] = fixed_phase(ball, width)
        weight = select_weight(FixedPoint(goals, width, 1.0), bits)
        # The digit after the last value turns none of them; no weight is ever zero.
        integers.append(weight.integer or 1 << bits * cells.count)
    return Coded(tuple(frequencies), tuple(amplitudes), tuple(integers))


def decoded_group(cells: Cells, seams: Seams, coded: Coded, bits: int) -> Group:
    """What the integers of a group say: the phases of all states that occur."""
    columns, width, slack = [], 64, 0.0
    for integer in coded.integers:
        values, width, units = decode_weight(Weight("chebyshev", cells.count, bits, integer))
        columns.append(values)
        slack = max(slack, units)
    numbers = [number for number, _ in cells.states()]
    phases = {number: tuple(int(c[cells.count - number - 1]) for c in columns) for number in numbers}
    amplitudes = dict.fromkeys(numbers, coded.amplitudes)
    return Group(seams, coded.frequencies, amplitudes, phases, width, slack + 1)


def _phases(cells: Cells, fit: Fit, centre: float) -> tuple[list, list, list[list[arb]]]:
    """Frequencies and amplitudes of the sines, and for each of them a ball around its phase/(2 pi) in every state."""
    half = len(fit.frequencies)
    constant = fit.coefficients[:, 0] - centre
    size = short_above(float(np.abs(constant).max()))
    frequencies = [(fmpq(0),) * cells.target.dimension]
    amplitudes = [size]
    with working_precision(_BITS):
        turn = 2 * arb.pi()
        columns = [[(arb(float(v)) / arb(size)).asin() / turn for v in constant]]
        for j, w in enumerate(fit.frequencies):
            cosine, sine = fit.coefficients[:, 1 + j], fit.coefficients[:, 1 + half + j]
            radius = np.hypot(cosine, sine)
            size = short_above(float(radius.max()) / 2)
            pair: list[list[arb]] = [[], []]
            for a, b, r, middle in zip(cosine, sine, radius, fit.middles, strict=True):
                shift = sum((v * to_fmpq(float(m)) for v, m in zip(w, middle, strict=True)), fmpq(0))
                psi = arb.atan2(arb(float(a)), arb(float(b))) - arb(shift)
                spread = (arb(min(float(r), 2 * float(size))) / (2 * arb(size))).acos()
                pair[0].append((psi + spread) / turn)
                pair[1].append((psi - spread) / turn)
            frequencies += [w, w]
            amplitudes += [size, size]
            columns += pair
    return frequencies, amplitudes, columns


def fixed_phase(ball: arb, width: int) -> int:
    """The ball's midpoint modulo 1 in units of 2^-width."""
    mantissa, exponent = (ball * arb(2) ** width).mid().floor().man_exp()
    return (int(mantissa) << int(exponent)) % (1 << width)
