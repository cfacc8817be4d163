"""How do second differences code the levels of a patch of fine nodes, and how are they written as ternary digits?

Statement. Integers Q on {0 .. M-1}^d, d = 2, 3, and the following numbers, one per node n, determine each other:
    Q(0) at n = 0;   the step Q(e_k) - Q(0) at n = e_k;   D_k D_k Q, its highest node n, at n = n_k e_k, n_k >= 2;
    D_k D_l Q, its highest node n, at all others, k < l being the first two axes on which n is not 0.
Proof. In lexicographic order of n every number is Q(n) plus Q at nodes that come before.
Digits of a patch, node by node in that order, the leading digit first: `leads[0]` digits of Q(0) >= 0, `leads[1]` of a step
plus (3^leads[1] - 1)/2, two of a second difference plus 4. Source: derived here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from constructions.relu._hoelder_patch_plan import LARGEST, BentPatches
from constructions.relu._patch_codes import Parities, class_levels, classes

Node = tuple[int, ...]
#: (digits of the level at a patch's corner, of the steps there)
Leads = tuple[int, int]


def local_nodes(steps: int, dimension: int) -> np.ndarray:
    """The nodes (M^d, d) of a patch in lexicographic order."""
    return np.indices((steps,) * dimension).reshape(dimension, -1).T


def axes_of(node: Node) -> Node:
    """() at n = 0, (k,) at e_k, else (k, l): the axes of the difference at a node."""
    support = tuple(k for k, n in enumerate(node) if n)
    if len(support) != 1:
        return support[:2]
    return support if node[support[0]] == 1 else support * 2


def digit_counts(steps: int, dimension: int, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(digits, offsets) of the numbers of all nodes."""
    kinds = [len(axes_of(node)) for node in map(tuple, local_nodes(steps, dimension).tolist())]
    choices = [(leads[0], 0), (leads[1], (3 ** leads[1] - 1) // 2), (2, LARGEST)]
    return np.array([choices[kind][0] for kind in kinds]), np.array([choices[kind][1] for kind in kinds])


def leads_of(plan: BentPatches) -> Leads:
    """How many digits corners and steps need: leads[0] >= 2, leads[1], as the reader expects."""
    d = plan.dimension
    path = np.vstack((np.zeros((1, d), dtype=np.int64), np.eye(d, dtype=np.int64)))
    level = step = 0
    for parities in classes(d):
        found = class_levels(plan, parities, path)[1]
        level = max(level, int(found[:, 0].max()))
        step = max(step, int(np.abs(found[:, 1:] - found[:, :1]).max()))
    second = digits_for(2 * step)
    return max(2, second, digits_for(level)), second


def digits_for(most: int) -> int:
    digits = 1
    while 3**digits <= most:
        digits += 1
    return digits


def class_digits(plan: BentPatches, parities: Parities, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, digits (patches, count)) of a class."""
    found, levels = class_levels(plan, parities, local_nodes(plan.steps, plan.dimension))
    counts, offsets = digit_counts(plan.steps, plan.dimension, leads)
    return found, digits_from(_numbers(levels, plan.steps, plan.dimension) + offsets, counts)


def digits_from(numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The ternary digits, the leading ones first, of numbers >= 0 (patches, n) that have so many each."""
    digits = np.empty((len(numbers), int(counts.sum())), dtype=np.uint8)
    starts = np.cumsum(counts) - counts
    for place in range(int(counts.max())):
        has = np.flatnonzero(counts > place)
        digits[:, starts[has] + place] = numbers[:, has] // 3 ** (counts[has] - 1 - place) % 3
    return digits


def numbers_from(digits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers (patches, n) of digits as `digits_from` writes them."""
    starts = np.cumsum(counts) - counts
    numbers = np.zeros((len(digits), len(counts)), dtype=np.int64)
    for place in range(int(counts.max())):
        has = np.flatnonzero(counts > place)
        numbers[:, has] = 3 * numbers[:, has] + digits[:, starts[has] + place]
    return numbers


def in_range(steps: int, dimension: int, leads: Leads) -> bool:
    """Whether 8 bytes hold all levels that such digits may make, so that sums do not wrap around."""
    reach = dimension * steps
    return 3 ** leads[0] + reach * 3 ** leads[1] + 9 * reach**2 < 2**62


def levels_of(digits: np.ndarray, steps: int, dimension: int, leads: Leads) -> np.ndarray:
    """The levels (patches, M^d) in lexicographic order of nodes, for digits as `class_digits` makes them."""
    counts, offsets = digit_counts(steps, dimension, leads)
    numbers = numbers_from(digits, counts) - offsets
    # One column more, of zeros, for nodes that a difference does not have.
    levels = np.zeros((len(digits), len(counts) + 1), dtype=np.int64)
    for node, (a, b, both) in enumerate(_stencils(steps, dimension).T.tolist()):
        levels[:, node] = numbers[:, node] + levels[:, a] + levels[:, b] - levels[:, both]
    return levels[:, :-1]


def _numbers(levels: np.ndarray, steps: int, dimension: int) -> np.ndarray:
    padded = np.column_stack((levels, np.zeros(len(levels), dtype=np.int64)))
    a, b, both = _stencils(steps, dimension)
    return levels - padded[:, a] - padded[:, b] + padded[:, both]


@lru_cache(maxsize=4)
def _stencils(steps: int, dimension: int) -> np.ndarray:
    """Per node n the nodes n - e_k, n - e_l, n - e_k - e_l of its difference, (3, M^d); M^d for none."""
    none, strides = steps**dimension, [steps ** (dimension - 1 - k) for k in range(dimension)]
    found = np.full((3, none), none)
    for number, node in enumerate(map(tuple, local_nodes(steps, dimension).tolist())):
        back = [strides[k] for k in axes_of(node)]
        found[: len(back), number] = [number - s for s in back]
        if len(back) == 2:
            found[2, number] = number - sum(back)
    return found
