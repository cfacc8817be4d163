"""Which integer A has frac(A s_k) near prescribed values for any numbers s_k? Lattice reduction: a baseline for N <= 100.

The lattice spanned by the rows (s_1 T, ..., s_N T, 1) and T e_k is reduced (LLL), and the targets (y_k T, 0) are rounded to it
by Babai's nearest plane: the last coordinate of the lattice point is A. No guarantee: the caller checks the result and asks
for more room. Source: textbook lattice reduction (flint's LLL).
"""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, fmpq, fmpq_mat, fmpz_mat

from approx.numbers import working_precision


def select_lattice(targets: Sequence[int], width: int, numbers: Sequence[arb], room: int) -> int:
    """A for distances of about 2^-room each; s_k as balls of enough precision (room + N room/N ... bits)."""
    count = len(targets)
    scale = room + room * count + 16
    with working_precision(scale + 64):
        heights = [int((s * arb(2) ** scale).mid().floor().fmpz()) for s in numbers]
    # Coordinates in units of 2^-scale; A itself is weighed so that 2^(room N) of it costs as much as a distance of 2^-room.
    weigh = 1 << max(0, scale - room - room * count)
    rows = [[*heights, weigh]]
    for k in range(count):
        row = [0] * (count + 1)
        row[k] = 1 << scale
        rows.append(row)
    reduced = fmpz_mat(rows).lll()
    goal = [(t << scale) >> width for t in targets] + [0]
    closest = _babai(reduced, goal)
    return int(closest[-1]) // weigh


def _babai(basis: fmpz_mat, goal: Sequence[int]) -> list[int]:
    """The lattice point that rounding off the coordinates of the goal gives."""
    size = len(goal)
    square = fmpq_mat(basis)
    coordinates = fmpq_mat(1, size, [fmpq(g) for g in goal]) * square.inv()
    rounded = fmpz_mat(1, size, [int((coordinates[0, i] + fmpq(1, 2)).floor()) for i in range(size)])
    point = rounded * basis
    return [int(point[0, i]) for i in range(size)]
