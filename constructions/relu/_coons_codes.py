"""How do r-th differences code the levels of a patch of M^d fine nodes, and how are they written as ternary digits?

Statement. Integers Q on {0 .. M-1}^d and the numbers q(n) = D_1^a D_2^b .. Q, n = (n_1, n_2, ..) its highest node, a =
min(n_1, r), b = min(n_2, r - a), and so on, determine each other. a + b + .. = r but for the C(r + d - 1, d) nodes with n_1 +
n_2 + .. < r, where it is this sum. Proof. In lexicographic order of n every q(n) is Q(n) and Q at nodes that come before; sums
along the last axis first and along axis 1 in the end give Q back, with weights >= 0: so |Q| is at most what these sums make of
bounds of |q|.
Digits of a patch, node by node in that order, the leading digit first: leads[0] digits of Q(0) >= 0, leads[j] digits of a
difference of order j < r plus (3^leads[j] - 1)/2, n of an r-th difference plus (3^n - 1)/2 (_coons_plan). Source: derived here.
"""

from __future__ import annotations

import numpy as np

from constructions.relu._coons_plan import CoonsPlan, digit_count
from constructions.relu._hoelder_patch_codes import Node, digits_for, digits_from, local_nodes, numbers_from
from constructions.relu._patch_codes import Parities, class_levels, classes

#: Digits of differences of order 0 .. r - 1.
Leads = tuple[int, ...]


def stencil(order: int, node: Node) -> Node:
    """The orders of the difference at a node, axis by axis."""
    found: list[int] = []
    for n in node:
        found.append(min(n, order - sum(found)))
    return tuple(found)


def digit_counts(steps: int, dimension: int, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(digits, offsets) of the numbers of all nodes."""
    order = len(leads)
    orders = np.array([sum(stencil(order, node)) for node in local_nodes(steps, dimension).tolist()])
    counts = np.array((*leads, digit_count(order)))[orders]
    return counts, np.where(orders == 0, 0, (3**counts - 1) // 2)


def leads_of(plan: CoonsPlan) -> Leads:
    """How many digits the numbers of order 0 .. r - 1 need in all patches; leads[0] >= 2, as the reader expects."""
    r, nodes = plan.order, local_nodes(plan.order, plan.dimension)
    sizes = [0] * r
    for parities in classes(plan.dimension):
        found = numbers_of(class_levels(plan, parities, nodes)[1], r, r, plan.dimension)
        for number, node in enumerate(nodes.tolist()):
            if sum(node) < r:
                sizes[sum(node)] = max(sizes[sum(node)], int(np.abs(found[:, number]).max()))
    return max(2, digits_for(sizes[0])), *(digits_for(2 * size) for size in sizes[1:])


def numbers_of(levels: np.ndarray, steps: int, order: int, dimension: int) -> np.ndarray:
    """The q(n) of levels (patches, M^d)."""
    found = levels.reshape(-1, *(steps,) * dimension).copy()
    _take_differences(found, order)
    return found.reshape(levels.shape)


def _take_differences(found: np.ndarray, order: int) -> None:
    """In place, for levels (patches, M, ..): along the first axis of nodes, then the rest of the order along the others."""
    if found.ndim == 1:
        return
    for i in range(min(order, found.shape[1])):
        found[:, i + 1 :] = np.diff(found[:, i:], axis=1)
    for n in range(found.shape[1]):
        _take_differences(found[:, n], order - min(n, order))


def summed(numbers: np.ndarray, steps: int, order: int, dimension: int) -> np.ndarray:
    """The levels (patches, M^d) of the q(n)."""
    found = numbers.reshape(-1, *(steps,) * dimension).copy()
    _take_sums(found, order)
    return found.reshape(numbers.shape)


def _take_sums(found: np.ndarray, order: int) -> None:
    if found.ndim == 1:
        return
    for n in range(found.shape[1]):
        _take_sums(found[:, n], order - min(n, order))
    for i in reversed(range(min(order, found.shape[1]))):
        found[:, i:] = np.cumsum(found[:, i:], axis=1)


def class_digits(plan: CoonsPlan, parities: Parities, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, digits (patches, count)) of a class."""
    found, levels = class_levels(plan, parities, local_nodes(plan.steps, plan.dimension))
    counts, offsets = digit_counts(plan.steps, plan.dimension, leads)
    numbers = numbers_of(levels, plan.steps, plan.order, plan.dimension)
    return found, digits_from(numbers + offsets, counts)


def levels_of(digits: np.ndarray, steps: int, dimension: int, leads: Leads) -> np.ndarray:
    """The levels (patches, M^d) in lexicographic order of nodes, for digits as `class_digits` makes them."""
    counts, offsets = digit_counts(steps, dimension, leads)
    return summed(numbers_from(digits, counts) - offsets, steps, len(leads), dimension)


def level_bound(steps: int, dimension: int, leads: Leads) -> int:
    """A power of two above |Q|, whatever numbers in [0, 2] stand in place of the digits."""
    counts, offsets = digit_counts(steps, dimension, leads)
    sizes = np.maximum(3.0**counts - 1 - offsets, offsets)
    most = float(summed(sizes[np.newaxis], steps, len(leads), dimension).max())
    return int(2 ** np.ceil(np.log2(most * (1 + 2.0**-30))))
