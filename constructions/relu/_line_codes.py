"""How are the levels of a patch of M^2 fine nodes coded along its lines, so that r numbers are all that has to be kept?

Walk the windows of r nodes of a line, s = 0 .. e, e = M - r, then those of the next line from e down to 0, and so on. At the
window s of the line m the numbers S_i = D^i Q, i < r, D forward differences along the line at its node s, are kept; they give
the levels of the whole window. The numbers coded are
    r of the first window: S_0 >= 0, .., S_(r-1);   of a step to the next window on the line: the r-th difference that it adds,
        forwards S_i <- S_i + S_(i+1), S_(r-1) <- S_(r-1) + d;  backwards S_(r-1) <- S_(r-1) - d, S_i <- S_i - S_(i+1);
    r of a step to the next line: the changes of all S_i.
Digits, the leading one first: as many as needed for numbers of the first two kinds of three (`Leads`), three for r-th
differences, which are in [-13, 13]; all but S_0 with the middle of their range added. Source: derived here.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np

from constructions.relu._coons_plan import CoonsPlan
from constructions.relu._hoelder_patch_codes import digits_for, digits_from, local_nodes, numbers_from
from constructions.relu._patch_codes import Parities, class_levels, classes

#: Ternary digits of an r-th difference.
DIGITS = 3


class Leads(NamedTuple):
    """Digits of the r numbers of a patch's first window, and of the r changes to the next line."""

    first: tuple[int, ...]
    changes: tuple[int, ...]


class Move(NamedTuple):
    """To the window s of a line; `kind` is "first", "change" (of the line), "forward" or "backward"."""

    line: int
    window: int
    kind: str


def moves(steps: int, order: int) -> list[Move]:
    """The walk through a patch."""
    last, found = steps - order, []
    for line in range(steps):
        windows = range(last + 1) if line % 2 == 0 else range(last, -1, -1)
        for number, s in enumerate(windows):
            if number:
                found.append(Move(line, s, "backward" if line % 2 else "forward"))
            else:
                found.append(Move(line, s, "change" if line else "first"))
    return found


def counts_of(move: Move, leads: Leads) -> tuple[list[int], list[int]]:
    """(digits, offsets) of the numbers of a move."""
    counts = {"first": leads.first, "change": leads.changes}.get(move.kind, (DIGITS,))
    offsets = [(3**c - 1) // 2 for c in counts]
    if move.kind == "first":
        offsets[0] = 0
    return list(counts), offsets


def all_counts(steps: int, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(digits, offsets) of all numbers of a patch."""
    pairs = [counts_of(move, leads) for move in moves(steps, len(leads.first))]
    return np.array([c for counts, _ in pairs for c in counts]), np.array([o for _, offsets in pairs for o in offsets])


def patch_levels(plan: CoonsPlan, axis: int, parities: Parities) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, levels (patches, lines, nodes of a line)) of a class, lines along this axis."""
    found, levels = class_levels(plan, parities, local_nodes(plan.steps, 2))
    levels = levels.reshape(-1, plan.steps, plan.steps)
    return found, levels if axis == 1 else levels.transpose(0, 2, 1)


def numbers_of(levels: np.ndarray, order: int) -> np.ndarray:
    """The numbers (patches, n) of levels (patches, lines, nodes)."""
    last = levels.shape[2] - order
    kept = np.stack([np.diff(levels, i, axis=2)[:, :, : last + 1] for i in range(order)], axis=-1)
    top, columns = np.diff(levels, order, axis=2), []
    for line, s, kind in moves(levels.shape[2], order):
        if kind == "first":
            columns.append(kept[:, 0, s])
        elif kind == "change":
            columns.append(kept[:, line, s] - kept[:, line - 1, s])
        else:
            columns.append(top[:, line, s - 1 if kind == "forward" else s, np.newaxis])
    return np.concatenate(columns, axis=1)


def levels_from(numbers: np.ndarray, steps: int, order: int) -> np.ndarray:
    """The levels (patches, lines, nodes) of numbers."""
    kept = np.zeros((len(numbers), order), dtype=np.int64)
    levels = np.empty((len(numbers), steps, steps), dtype=np.int64)
    at = 0
    for line, s, kind in moves(steps, order):
        if kind in ("first", "change"):
            kept += numbers[:, at : at + order]
            at += order
        else:
            if kind == "forward":
                kept[:, :-1] += kept[:, 1:]
                kept[:, -1] += numbers[:, at]
            else:
                kept[:, -1] -= numbers[:, at]
                for i in range(order - 2, -1, -1):
                    kept[:, i] -= kept[:, i + 1]
            at += 1
        for n in range(order if s == steps - order else 1):
            levels[:, line, s + n] = sum(comb(n, i) * kept[:, i] for i in range(n + 1))
    return levels


def leads_of(plan: CoonsPlan) -> Leads:
    """How many digits are needed in all patches, along both axes; 2 r + 1 at least for the change of S_0: gates wait."""
    r, m = plan.order, plan.steps
    first, changes = [0] * r, [0] * r
    kinds = [move.kind for move in moves(m, r)]
    for axis in (0, 1):
        for parities in classes(2):
            numbers, at = np.abs(numbers_of(patch_levels(plan, axis, parities)[1], r)).max(axis=0), 0
            for kind in kinds:
                if kind in ("forward", "backward"):
                    at += 1
                    continue
                sizes = first if kind == "first" else changes
                for i in range(r):
                    sizes[i] = max(sizes[i], int(numbers[at + i]))
                at += r
    found = [digits_for(2 * size) for size in changes]
    return Leads((digits_for(first[0]), *(digits_for(2 * size) for size in first[1:])), (max(2 * r + 1, found[0]), *found[1:]))


def class_digits(plan: CoonsPlan, axis: int, parities: Parities, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, digits (patches, count)) of a class."""
    found, levels = patch_levels(plan, axis, parities)
    counts, offsets = all_counts(plan.steps, leads)
    return found, digits_from(numbers_of(levels, plan.order) + offsets, counts)


def levels_of(digits: np.ndarray, steps: int, leads: Leads) -> np.ndarray:
    """The levels (patches, lines, nodes) of digits."""
    counts, offsets = all_counts(steps, leads)
    return levels_from(numbers_from(digits, counts) - offsets, steps, len(leads.first))


def bounds_of(steps: int, leads: Leads) -> list[int]:
    """Bounds of all |S_i|, whatever numbers in [0, 2] stand in place of the digits."""
    bounds = [0] * len(leads.first)
    for move in moves(steps, len(bounds)):
        counts, offsets = counts_of(move, leads)
        sizes = [max(3**c - 1 - o, o) for c, o in zip(counts, offsets, strict=True)]
        if move.kind in ("first", "change"):
            bounds = [b + size for b, size in zip(bounds, sizes, strict=True)]
        else:
            bounds[-1] += sizes[0]
            for i in range(len(bounds) - 2, -1, -1):
                bounds[i] += bounds[i + 1]
    return bounds
