"""In which coarse cell is x, where in it, and what is written there? Folding gives Gray's numbers of cells at one unit a bit.

With X in [0, N], the folded coordinates s_0 = X/2^L, s_(l+1) = 2 s_l - 4 max(s_l - 1/2, 0), L = bits of N - 1, are zigzags;
s_l is above 1/2 where Gray's number i xor i/2 of the cell i has bit L - 1 - l: 1 - max(1 - q max(s_l - 1/2, 0), 0), q large, is
that bit off a ramp next to a node. Neighbouring cells differ in one bit: there are no carries, no rest has to be kept. M s_L
is the local coordinate t in [0, M], rising in even cells, falling in odd ones. A table of N entries is a piecewise-linear
function of the number y, the cells in the order of their Gray numbers. Source: folding gives Gray's code, known; this use of it
is derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from flint import fmpq

from approx.networks import Builder, Form, linear_combination


def gray_order(cells: int) -> tuple[list[int], list[int]]:
    """(the cells in the order of their Gray numbers, these numbers)."""
    order = sorted(range(cells), key=gray)
    return order, [gray(i) for i in order]


def gray(number: int) -> int:
    """Gray's number: neighbours differ in one bit."""
    return number ^ number >> 1


def gray_bends(codes: Sequence[int]) -> list[fmpq]:
    """The changes of slope at the Gray numbers of the polygon that is codes[i] at gray(i), and 1 at the last one.

    That one has no effect at all; it is always there, so that tables of equal entries are read like others.
    """
    order, places = gray_order(len(codes))
    steps = zip(pairwise(order), pairwise(places), strict=True)
    slopes = [fmpq(codes[j] - codes[i], q - p) for (i, j), (p, q) in steps]
    return [slopes[0], *(b - a for a, b in pairwise(slopes)), fmpq(1)]


def codes_of_bends(first: int, bends: Sequence[fmpq]) -> list[int]:
    """The codes of `gray_bends`; raises ValueError for bends of none. The last bend is not looked at."""
    order, places = gray_order(len(bends))
    codes, value, slope = [first] * len(bends), fmpq(first), fmpq(0)
    for bend, j, (p, q) in zip(bends[:-1], order[1:], pairwise(places), strict=True):
        slope += bend
        value += slope * (q - p)
        if value.q != 1:
            raise ValueError("no code")
        codes[j] = int(value.p)
    return codes


def steepness(level: int, levels: int, ramp: fmpq) -> fmpq:
    """The q of s_level for ramps of this width in cells."""
    return 2 ** (levels - level) / ramp


def cell_and_start(b: Builder, position: Form, cells: int, steps: int, ramp: fmpq) -> tuple[Form, Form]:
    """(unit y, unit t = M s) for X = position."""
    levels = (cells - 1).bit_length()
    number, local = Form(), position / 2**levels
    for level in range(levels):
        rising = b.relu(local) if level else local
        falling = b.relu(local - fmpq(1, 2))
        missing = b.relu(1 - steepness(level, levels, ramp) * falling)
        number += 2 ** (levels - 1 - level) * (1 - missing)
        local = 2 * rising - 4 * falling
    return b.relu(number), b.relu(steps * local)


def code_unit(b: Builder, number: Form, codes: Sequence[int]) -> Form:
    """The unit that is codes[i] where y = gray(i)."""
    places = gray_order(len(codes))[1]
    hinges = [number, *(b.relu(number - place) for place in places[1:])]
    terms: list[tuple[Any, Form]] = [(w, hinge) for w, hinge in zip(gray_bends(codes), hinges, strict=True) if w]
    return b.relu(linear_combination(terms, codes[0]))
