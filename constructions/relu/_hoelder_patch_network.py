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
            responses = _Responses(b, spikes, plan.steps, d)
            terms += [(quantum * w, form) for w, form in _decoded(b, responses, indicators, plan.steps, d, leads)]
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
    b: Builder, responses: _Responses, indicators: Iterator[tuple[Form, Form]], steps: int, dimension: int, leads: Leads
) -> Terms:
    """What a class adds to the output, in units of lambda."""
    terms: Terms = []
    nodes = map(tuple, local_nodes(steps, dimension).tolist())
    for node, count, offset in zip(nodes, *(a.tolist() for a in digit_counts(steps, dimension, leads)), strict=True):
        psi, most = responses.of(node)
        if offset:
            terms.append((-offset, psi))
        for place in range(count - 1, -1, -1):
            terms += [(3**place, b.relu(psi - most * (1 - one))) for one in next(indicators)]
    return terms


class _Responses:
    """The responses psi_n of a class, units that are made when they are asked for."""

    def __init__(self, b: Builder, spikes: Spikes, steps: int, dimension: int) -> None:
        self._b, self._spikes, self._steps, self._dimension = b, spikes, steps, dimension
        self._known: dict[tuple[str, Node], Form] = {}

    def of(self, node: Node) -> tuple[Form, int]:
        """(the unit psi_n, a bound of it)."""
        axes = axes_of(node)
        if not axes:
            return self._spikes.sum, 1
        if axes == (0, 1):
            return self._box(node), 1
        if len(set(axes)) == 2:
            return self._column(node), 1
        return self._ramp(node, axes[0]), self._steps - node[axes[0]]

    def _unit(self, kind: str, node: Node, parts: list[tuple[int, Form]]) -> Form:
        if (kind, node) not in self._known:
            self._known[kind, node] = self._b.relu(linear_combination(parts))
        return self._known[kind, node]

    def _next(self, node: Node, *axes: int) -> Node | None:
        """The node one step further along these axes, None beyond the patch."""
        found = tuple(n + (k in axes) for k, n in enumerate(node))
        return found if max(found) < self._steps else None

    def _box(self, node: Node) -> Form:
        """The sum of the spikes of all m >= n that agree with n on a third axis."""
        if ("box", node) in self._known:
            return self._known["box", node]
        after = [(sign, self._next(node, *axes)) for axes, sign in (((0,), 1), ((1,), 1), ((0, 1), -1))]
        parts = [(sign, self._box(n)) for sign, n in after if n is not None]
        return self._unit("box", node, [*parts, (1, self._spikes.spike(node))])

    def _column(self, node: Node) -> Form:
        """The sum of the spikes of all m >= n."""
        if self._dimension == 2:
            return self._box(node)
        further = self._next(node, 2)
        parts = [(1, self._box(node))] + ([(1, self._column(further))] if further else [])
        return self._unit("column", node, parts)

    def _ramp(self, node: Node, axis: int) -> Form:
        """The sum of (m_k - n_k + 1) phi_m over m_k >= n_k, for n = n_k e_k."""
        further = self._next(node, axis)
        parts = [(1, self._column(node))] + ([(1, self._ramp(further, axis))] if further else [])
        return self._unit("ramp", node, parts)
