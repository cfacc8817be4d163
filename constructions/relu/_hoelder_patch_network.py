"""How does a ReLU network interpolate (N M)^d values whose second differences are coded, with O(N^d + M^d) weights?

Everything up to the digits is that of _patch_network: 2^d classes of patches that do not touch, folded coordinates, addresses,
codes, spikes phi_n of the local nodes n, 0 off the supports. A patch contributes sum_n Q(n) phi_n; with the numbers q_n of
_hoelder_patch_codes in place of the levels this is sum_n q_n psi_n, where the response psi_n >= 0 of a number is
    n = 0:       the sum of all spikes;
    n = n_k e_k: the sum of (m_k - n_k + 1) phi_m over m_k >= n_k, at most M - n_k;
    others:      the sum of phi_m over m_k >= n_k, m_l >= n_l, at most 1; m runs through everything on an axis where n is 0, and
                 stays at n_j on a third axis j after l.
They follow from each other by sums: T(n) = T(n + e_1) + T(n + e_2) - T(n + e_1 + e_2) + phi_n for k, l = 1, 2, and for the
others one more unit of two weights each. With the digits of q_n plus an offset as indicators I, I' and psi_n <= R,
    q_n psi_n = sum of 3^j (max(psi_n - R (1 - I), 0) + max(psi_n - R (1 - I'), 0)) - offset psi_n.

Statement. The network is the P of the plan at EVERY x of the box. Proof. As for _patch_network: on the support of a patch
address, code and digits are the patch's own, and I psi = max(psi - R (1 - I), 0) for I in {0, 1}. Off the supports all psi_n
are 0, and whatever the digits are, 1 - I >= 0 and the gates are 0. Affine functions are their own interpolants.
Source: P19, deep discontinuous phase, with bit extraction as in P18; this form is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._hoelder_patch_codes import (
    Leads,
    Node,
    axes_of,
    class_digits,
    digit_counts,
    leads_of,
    local_nodes,
)
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._patch_codes import addresses, classes, folds, places
from constructions.relu._patch_network import Spikes, class_parts

Terms = list[tuple[Any, Form]]


def bent_network(plan: BentPatches, target: Target) -> Network:
    """The Network of a plan on the target's box; the units stand in an order that _hoelder_patch_reader knows."""
    b, d = Builder(plan.dimension), plan.dimension
    terms: Terms = []
    for axis, (slope, (low, high)) in enumerate(zip(plan.slopes, target.domain, strict=True)):
        terms.append((to_fmpq(slope), (b.input(axis) - low) * (plan.pieces / (high - low))))
    if not plan.constant:
        leads, quantum = leads_of(plan), to_fmpq(plan.quantum)
        for parities in classes(d):
            found, digits = class_digits(plan, parities, leads)
            spikes, indicators = class_parts(b, plan, target.domain, parities, found, digits)
            terms += [(quantum * w, form) for w, form in _decoded(b, spikes, indicators, plan.steps, d, leads)]
    return b.build([linear_combination(terms, plan.base)])


def bent_weights(dimension: int, cells: int, steps: int, leads: Leads) -> int:
    """An upper bound of the weights: 3 N^d to 6 N^d for the codes, 2^d 44 M^d (d = 3: 46 M^d) for second differences, and less.

    A digit has 18 weights, twelve to be read and two gates; a response and what it adds have 8.
    """
    d, seconds = dimension, steps**dimension - 1 - dimension
    bends = sum(len(places(np.sort(addresses(cells, q)))) for q in classes(d))
    least = 29 if d == 2 else 40 + 3 * steps**2
    one = (44 if d == 2 else 46) * seconds + 18 * (leads[0] + d * leads[1]) + d * (8 * folds(cells) + 5 * steps) + least
    return 3 * bends + 2**d * one


def bent_layers(dimension: int, cells: int, steps: int, leads: Leads) -> int:
    """The number of hidden layers: three a digit, and some for addresses."""
    digits = leads[0] + dimension * leads[1] + 2 * (steps**dimension - 1 - dimension)
    return 3 * digits + folds(cells) + 4


def _decoded(
    b: Builder, spikes: Spikes, indicators: Iterator[tuple[Form, Form]], steps: int, dimension: int, leads: Leads
) -> Terms:
    """What a class adds to the output, in units of lambda."""
    responses = _responses(b, spikes, steps, dimension)
    terms: Terms = []
    nodes = map(tuple, local_nodes(steps, dimension).tolist())
    for node, count, offset in zip(nodes, *(a.tolist() for a in digit_counts(steps, dimension, leads)), strict=True):
        psi, most = responses[node]
        if offset:
            terms.append((-offset, psi))
        for place in range(count - 1, -1, -1):
            terms += [(3**place, b.relu(psi - most * (1 - one))) for one in next(indicators)]
    return terms


def _responses(b: Builder, spikes: Spikes, steps: int, dimension: int) -> dict[Node, tuple[Form, int]]:
    """(the unit psi_n, a bound of it) for all nodes n of a patch."""
    found = {(0,) * dimension: (spikes.sum, 1)}
    # Sums of the spikes of all m >= n with m = n on a third axis; without that; and of ramps along an axis.
    boxes: dict[Node, Form] = {}
    columns: dict[Node, Form] = {}
    ramps: dict[Node, Form] = {}
    for node in reversed([tuple(row) for row in local_nodes(steps, dimension).tolist()]):
        axes = axes_of(node)
        if not axes:
            continue
        boxes[node] = b.relu(
            _after(boxes, node, 0) + _after(boxes, node, 1) - _after(boxes, node, 0, 1) + spikes.spike(node)
        )
        if axes == (0, 1):
            found[node] = boxes[node], 1
            continue
        columns[node] = _sum(b, boxes[node], _after(columns, node, 2))
        if len(set(axes)) == 2:
            found[node] = columns[node], 1
        else:
            ramps[node] = _sum(b, columns[node], _after(ramps, node, axes[0]))
            found[node] = ramps[node], steps - node[axes[0]]
    return found


def _after(known: dict[Node, Form], node: Node, *axes: int) -> Form:
    """What is known one step further along these axes, 0 beyond the patch (and along a third axis that there is not)."""
    return known.get(tuple(n + (k in axes) for k, n in enumerate(node)), Form()) if max(axes) < len(node) else Form()


def _sum(b: Builder, unit: Form, more: Form) -> Form:
    return b.relu(unit + more) if more.terms else unit
