"""How do r-th differences code the levels of a patch of M^2 fine nodes, and how are they written as ternary digits?

Statement. Integers Q on {0 .. M-1}^2 and the numbers q(n) = D_1^a D_2^b Q, n = (n_1, n_2) its highest node, a = min(n_1, r),
b = min(n_2, r - a), determine each other. a + b = r but for the r (r + 1)/2 nodes with n_1 + n_2 < r, where a + b = n_1 + n_2.
Proof. In lexicographic order of n every q(n) is Q(n) and Q at nodes that come before; sums along axis 2 and then along axis 1
give Q back, with weights >= 0: so |Q| is at most what these sums make of bounds of |q|.
Digits of a patch, node by node in that order, the leading digit first: leads[0] digits of Q(0) >= 0, leads[j] digits of a
difference of order j < r plus (3^leads[j] - 1)/2, three of an r-th difference plus 13. Source: derived here.
"""

from __future__ import annotations

import numpy as np

from constructions.relu._coons_plan import DIGITS, CoonsPlan
from constructions.relu._hoelder_patch_codes import digits_for, digits_from, local_nodes, numbers_from
from constructions.relu._patch_codes import Parities, class_levels, classes

#: Digits of differences of order 0 .. r - 1.
Leads = tuple[int, ...]


def stencil(order: int, n_1: int, n_2: int) -> tuple[int, int]:
    """(a, b): the orders of the difference at a node."""
    a = min(n_1, order)
    return a, min(n_2, order - a)


def digit_counts(steps: int, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(digits, offsets) of the numbers of all nodes."""
    orders = [sum(stencil(len(leads), *node)) for node in local_nodes(steps, 2).tolist()]
    counts = np.array([(*leads, DIGITS)[j] for j in orders])
    return counts, np.where(np.array(orders) == 0, 0, (3**counts - 1) // 2)


def leads_of(plan: CoonsPlan) -> Leads:
    """How many digits the numbers of order 0 .. r - 1 need in all patches; leads[0] >= 2, as the reader expects."""
    r = plan.order
    sizes = [0] * r
    for parities in classes(2):
        found = numbers_of(class_levels(plan, parities, local_nodes(r, 2))[1], r, r)
        for number, node in enumerate(local_nodes(r, 2).tolist()):
            if sum(node) < r:
                sizes[sum(node)] = max(sizes[sum(node)], int(np.abs(found[:, number]).max()))
    return max(2, digits_for(sizes[0])), *(digits_for(2 * size) for size in sizes[1:])


def numbers_of(levels: np.ndarray, steps: int, order: int) -> np.ndarray:
    """The q(n) of levels (patches, M^2)."""
    found = levels.reshape(-1, steps, steps).copy()
    for i in range(min(order, steps)):
        found[:, i + 1 :] = np.diff(found[:, i:], axis=1)
    for n in range(steps):
        for i in range(min(order - min(n, order), steps)):
            found[:, n, i + 1 :] = np.diff(found[:, n, i:], axis=1)
    return found.reshape(levels.shape)


def summed(numbers: np.ndarray, steps: int, order: int) -> np.ndarray:
    """The levels (patches, M^2) of the q(n)."""
    found = numbers.reshape(-1, steps, steps).copy()
    for n in range(steps):
        for i in reversed(range(min(order - min(n, order), steps))):
            found[:, n, i:] = np.cumsum(found[:, n, i:], axis=1)
    for i in reversed(range(min(order, steps))):
        found[:, i:] = np.cumsum(found[:, i:], axis=1)
    return found.reshape(numbers.shape)


def class_digits(plan: CoonsPlan, parities: Parities, leads: Leads) -> tuple[np.ndarray, np.ndarray]:
    """(rising addresses, digits (patches, count)) of a class."""
    found, levels = class_levels(plan, parities, local_nodes(plan.steps, 2))
    counts, offsets = digit_counts(plan.steps, leads)
    return found, digits_from(numbers_of(levels, plan.steps, plan.order) + offsets, counts)


def levels_of(digits: np.ndarray, steps: int, leads: Leads) -> np.ndarray:
    """The levels (patches, M^2) in lexicographic order of nodes, for digits as `class_digits` makes them."""
    counts, offsets = digit_counts(steps, leads)
    return summed(numbers_from(digits, counts) - offsets, steps, len(leads))


def level_bound(steps: int, leads: Leads) -> int:
    """A power of two above |Q|, whatever numbers in [0, 2] stand in place of the digits."""
    counts, offsets = digit_counts(steps, leads)
    sizes = np.maximum(3.0**counts - 1 - offsets, offsets)
    most = float(summed(sizes[np.newaxis], steps, len(leads)).max())
    return int(2 ** np.ceil(np.log2(most * (1 + 2.0**-30))))
