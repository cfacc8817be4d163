"""How does a ReLU network compute a polygon from coded second differences? Each digit gates a tent that vanishes at both ends.

With y the number of the coarse cell and t in [0, M] its local coordinate (as in _two_scale_network), the correction is
    A(t) = - sum_j d_j T_j(t),   T_j(t) = t (M - j)/M - max(t - j, 0) >= 0,
T_j the tent with its peak at j: its slope falls by 1 there, so A has second differences d_j and is 0 at t = 0 and t = M. The
d_j are read bit by bit from the cell's code: with I the bit, max(T_j - M (1 - I), 0) is I T_j exactly, as T_j <= M/4.

Statement. With ramps of width r (in cells) the network equals the polygon of the plan for every x farther than r cells from
the left of a coarse node; there it differs from it by at most 7/2 lambda M^2 r. Proof. Off the ramps y is an integer, the code
and so all bits are exact. On a ramp bits are still in [0, 1], so every gate lies in [0, T_j] and |A| <= 4 sum_j T_j(t), where
sum_j T_j is the polygon through t (M - t)/2, at most M^2 r/2 next to a coarse node; the polygon's own A has |d_j| <= 3. No
clip is needed. Source: P19, with bit extraction as in P18; this form is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gmpy2
import numpy as np
from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._hoelder_plan import BITS, SHIFT, HoelderPlan, cell_digits
from constructions.relu._two_scale_network import _cell_and_start, _coarse, _code


def hoelder_network(plan: HoelderPlan, target: Target) -> Network:
    """The Network of a plan on the target's interval; the units stand in an order that _hoelder_reader knows."""
    b = Builder(1)
    lower, upper = target.domain.lower[0], target.domain.upper[0]
    position = (b.input() - lower) * (fmpq(plan.cells) / (upper - lower))
    terms: list[tuple[Any, Form]] = []
    if plan.corrected:
        cell, t = _cell_and_start(b, position, plan)
        hinges = [cell, *(b.relu(cell - i) for i in range(1, plan.cells))]
        table = cell_digits(plan)
        code = _code(b, hinges, [pack(row) for row in table])
        terms += _correction(b, code, t, plan)
    return b.build([linear_combination([(1, _coarse(b, position, plan.coarse)), *terms])])


def _correction(b: Builder, code: Form, t: Form, plan: HoelderPlan) -> list[tuple[Any, Form]]:
    """The terms lambda A(t)."""
    m, quantum, terms = plan.steps, to_fmpq(plan.quantum), []
    missing = missing_bits(b, code, BITS * (m - 1))
    for j in range(1, m):
        tent = t * fmpq(m - j, m) - b.relu(t - j)
        terms.append((SHIFT * quantum, tent))
        for place in range(BITS - 1, -1, -1):
            gate = b.relu(tent - m * next(missing))
            terms.append((-(2**place) * quantum, gate))
    return terms


def missing_bits(b: Builder, code: Form, count: int) -> Iterator[Form]:
    """The units 1 - I for all bits I of `code`, the leading one first; three hidden layers a bit, about 7 weights.

    z is an integer: max(z - c + 1, 0) is 0 where z < c = 2^k and at least 1 elsewhere, so max(1 - that, 0) is 1 - I exactly.
    For every real z it lies in [0, 1].
    """
    z = code
    for rest in range(count - 1, -1, -1):
        c = fmpq(2) ** rest
        missing = b.relu(1 - (z if rest == 0 else b.relu(z - (c - 1))))
        yield missing
        if rest:
            z = b.relu(z - c + c * missing)


def pack(digits: np.ndarray) -> int:
    """One integer of BITS bits per digit, the leading one first."""
    return int(gmpy2.mpz("".join(map(str, digits.tolist())) or "0", 2**BITS))


def unpack(code: int, count: int) -> np.ndarray:
    """The digits of `pack`; raises ValueError for integers beyond them."""
    if not 0 <= code < 1 << BITS * count:
        raise ValueError("no code")
    text = gmpy2.mpz(code).digits(2**BITS).rjust(count, "0")
    return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - ord("0")


def hoelder_weights(cells: int, steps: int) -> int:
    """An upper bound of the weights: 6 N for values and codes, 36 M for digits, O(log^2 N) for the number of the cell."""
    levels = (cells - 1).bit_length()
    return 6 * cells + 36 * steps + levels * (levels - 1) // 2 + 10 * levels + 20
