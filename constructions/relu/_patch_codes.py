"""How are the levels of a patch of fine nodes written as ternary digits, and under which address does a network find them?

Classes: the patches whose numbers p have the parities q, q in {0,1}^d, do not touch: between their supports there are gaps of
M - 1 fine steps per axis. In a class, patch p = 2 j + q has the address sum_k 2^(L (d-1-k)) gray(j_k), gray(j) = j xor (j>>1):
the bits that repeated folding of the coordinate yields; and odd j_k are passed backwards along axis k, as folding has it.
Digits of a patch: `lead` digits of the level at the path's first node, the leading one first, then 1 + step for the
M^d - 1 steps of the level along the snake path through the local nodes.
Source: P18 (residue classes, paths); addresses by folding: derived here.
"""

from __future__ import annotations

import itertools

import numpy as np

from constructions.relu._digits import decode, encode
from constructions.relu._patch_plan import PatchPlan

Parities = tuple[int, ...]


def classes(dimension: int) -> list[Parities]:
    """The 2^d classes."""
    return list(itertools.product((0, 1), repeat=dimension))


def folds(cells: int) -> int:
    """L: how often a coordinate is folded so that each patch of a class has a fold of its own."""
    return ((cells + 1) // 2 - 1).bit_length()


def snake(steps: int, dimension: int) -> np.ndarray:
    """The path (M^d, d) through {0..M-1}^d from the origin, with steps of length 1."""
    return np.array(neighbours([range(steps)] * dimension))


def neighbours(ranges: list[range]) -> list[tuple[int, ...]]:
    """The points of a box of integers, each next to the one before."""
    if not ranges:
        return [()]
    rest = neighbours(ranges[1:])
    return [(n, *p) for i, n in enumerate(ranges[0]) for p in (rest if i % 2 == 0 else rest[::-1])]


def addresses(cells: int, parities: Parities) -> np.ndarray:
    """The addresses of a class's patches in the order of their numbers."""
    length, total = folds(cells), np.zeros(1, dtype=np.int64)
    for q in parities:
        j = np.arange((cells + 1 - q) // 2)
        total = (total[:, np.newaxis] * 2**length + (j ^ (j >> 1))).ravel()
    return total


def places(found: np.ndarray) -> list[int]:
    """Where the polygon of a code may bend so that it is any integers at these rising addresses, with integer slopes."""
    bends: list[int] = []
    for a, b in itertools.pairwise(found.tolist()):
        bends += [a] if b == a + 1 else [a, b - 1]
    return [*bends, int(found[-1])]


def _nodes(cells: int, steps: int, parities: Parities, path: np.ndarray) -> tuple[np.ndarray, ...]:
    """Per axis the indices of the nodes, arrays that broadcast to (patches of axis 1, ..., of axis d, nodes of the path)."""
    d, found = len(parities), []
    for k, q in enumerate(parities):
        j = np.arange((cells + 1 - q) // 2)[:, np.newaxis]
        local = np.where(j % 2 == 0, path[:, k], steps - 1 - path[:, k])
        shape = [1] * d + [len(path)]
        shape[k] = len(j)
        found.append(((2 * j + q) * steps + local).reshape(shape))
    return tuple(found)


def lead_digits(plan: PatchPlan) -> int:
    """How many ternary digits the first level of a patch needs, at least one."""
    start = snake(plan.steps, plan.dimension)[:1]
    firsts = [plan.levels[_nodes(plan.cells, plan.steps, q, start)].max() for q in classes(plan.dimension)]
    most, digits = int(max(firsts)), 1
    while 3**digits <= most:
        digits += 1
    return digits


def class_levels(plan: PatchPlan, parities: Parities, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, levels (patches, nodes of the path)) of a class."""
    levels = plan.levels[_nodes(plan.cells, plan.steps, parities, path)].reshape(-1, len(path))
    found = addresses(plan.cells, parities)
    order = np.argsort(found)
    return found[order], levels[order]


def put_class(
    levels: np.ndarray, cells: int, steps: int, parities: Parities, path: np.ndarray, found: np.ndarray
) -> None:
    """Write the levels of a class, in the order of rising addresses, into the array of all levels."""
    nodes = _nodes(cells, steps, parities, path)
    values = np.empty_like(found)
    values[np.argsort(addresses(cells, parities))] = found
    levels[nodes] = values.reshape(np.broadcast_shapes(*(n.shape for n in nodes)))


def class_digits(plan: PatchPlan, parities: Parities, lead: int) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, digits (patches, lead + M^d - 1)) of a class."""
    found, levels = class_levels(plan, parities, snake(plan.steps, plan.dimension))
    powers = 3 ** np.arange(lead - 1, -1, -1)
    return found, np.concatenate((levels[:, :1] // powers % 3, np.diff(levels) + 1), axis=1)


def put_levels(levels: np.ndarray, cells: int, steps: int, parities: Parities, lead: int, digits: np.ndarray) -> None:
    """Write the levels of a class, given its digits in the order of rising addresses, into the array of all levels."""
    firsts = digits[:, :lead].astype(np.int64) @ 3 ** np.arange(lead - 1, -1, -1)
    values = np.cumsum(np.column_stack((firsts, digits[:, lead:].astype(np.int64) - 1)), axis=1)
    put_class(levels, cells, steps, parities, snake(steps, len(parities)), values)


def chunks(total: int, codes: int) -> list[slice]:
    """Which digits each of the codes of a patch holds."""
    size = -(-total // codes)
    return [slice(j, min(j + size, total)) for j in range(0, total, size)]


def code_polygon(found: np.ndarray, digits: np.ndarray) -> tuple[int, list[int], list[int]]:
    """(code at address 0, places, changes of slope there) of the polygon through the codes of these digits; all integers.

    The last place is the last address: no code depends on the change there, which is 1 so that every code has a place.
    """
    codes = [encode(row) for row in digits]
    bends, changes, slope = places(found), [], 0
    known = dict(zip(found.tolist(), codes, strict=True))
    value = codes[0]
    for place, after in itertools.pairwise(bends):
        value = known.get(place, value)
        new = known[after] - value if after in known else 0
        changes.append(new - slope)
        slope = new
    return codes[0], bends, [*changes, 1]


def codes_at(found: np.ndarray, value: int, bends: dict[int, int]) -> list[int]:
    """The polygon with this value at 0 and these changes of slope, at rising addresses."""
    codes, slope, at = [], 0, 0
    waiting = sorted(bends.items())[::-1]
    for address in found.tolist():
        while waiting and waiting[-1][0] < address:
            place, change = waiting.pop()
            value += slope * (place - at)
            slope, at = slope + change, place
        value += slope * (address - at)
        at = address
        codes.append(value)
    return codes


def digits_of(codes: list[int], count: int) -> np.ndarray:
    """The digits of codes, (patches, count)."""
    return np.array([decode(code, count) for code in codes]).reshape(len(codes), count)
