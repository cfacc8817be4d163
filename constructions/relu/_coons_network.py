"""How does a ReLU network compute Coons patches of (N M)^2 coded values with O(N^2 + M^2) weights? Curves are selected.

Addresses, codes and digits are those of _patch_network: in each of 4 classes of patches that do not touch, the code of x's
patch is read digit by digit. Here the levels Q(n) of the patch are rebuilt from the digits, each from levels before
(_coons_codes), and with them the coefficients of bubbles on all edges of the patch, and halves of those on edges to the next
patches.
    Selection. With local places u_k, ramps of width rho <= 1/4: the closures of a node n on axis k, 0 for |u_k - n_k| <= 1 -
    rho and 1 for |u_k - n_k| >= 1, and of a step, 0 on [k + rho, k + 1 - rho] and 1 outside [k, k + 1]; Y the sum of the
    closures of a node on both axes, for an edge of its step and of its node on the other axis. A number q, |q| <= R, is let
    through by
        max(q + R - 2 R Y, 0) - R max(1 - Y, 0),    q where Y = 0, and 0 where Y >= 1.
    Summed over all nodes (edges) of one parity, in all classes: the level of the corner of that parity of the fine cell of x,
    A (even, even), B (odd, even), C, D; the coefficients of the bubble on the cell's edge along axis k on the even, the odd
    line. They are cut to their sizes.
    Surface. With z_k the triangle wave, 0 at even nodes of axis k and 1 at odd ones, and
    bubbles z (1 - z) E(z), E_k the mean of the two E along axis k with weights 1 - z, z of the other axis,
        G = A + z_1 [(B - A) + z_2 (A - B - C + D) + (1 - z_1) E_1(z_1)] + z_2 [(C - A) + (1 - z_2) E_2(z_2)],
    4 r - 5 products in the whole network.

Statement. At every x of the box the network differs from P of the plan by at most (2^-10 + 2^-8) lambda. Proof. On the support
of a patch, (-1, M)^2 in local places, codes, digits and so all q are the patch's own (_patch_network); off it all Y >= 1, and
|q| <= R, whatever the digits are (_coons_codes): the class selects 0. Y < 1 at most for one node and one edge of each kind,
but for edges between patches, of which both halves are selected. So a selected number is right unless Y > 0 for its corner or
edge; then it is off by its size at most (twice, for E), and its factor in G, which is linear in all of them, is at most rho:
(1 - z_1)(1 - z_2) for A, z_1 (1 - z_1)(1 - z_2) z_1^l for E on an even line, and so on. rho is so short that these add up to
less than 2^-10. The products are within 2^-8 in all, since what they are multiplied with is at most 1. Source: P19, deep
discontinuous phase, with bit extraction as in P18; this form is derived here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np
from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._coons_codes import class_digits, digit_counts, leads_of, level_bound, stencil
from constructions.relu._coons_plan import PRODUCTS, CoonsPlan
from constructions.relu._hoelder_patch_codes import local_nodes
from constructions.relu._newton_windows import bubbles, window
from constructions.relu._patch_codes import Parities, addresses, classes, folds, places
from constructions.relu._patch_network import indicators_of, located
from constructions.relu.product import product_form
from constructions.relu.square import levels_for

Terms = list[tuple[Any, Form]]
#: ("node", s_1, s_2): the level of the corner of these parities; (axis, s, l): the coefficient of z^l on an edge along the axis
#: on a line of parity s.
Kind = tuple[Any, int, int]


def coons_network(plan: CoonsPlan, target: Target) -> Network:
    """The Network of a plan on the target's box; the units stand in an order that _coons_reader knows."""
    b = Builder(2)
    spots = [(b.input(axis) - low) * (plan.pieces / (high - low)) for axis, (low, high) in enumerate(target.domain)]
    terms: Terms = [(to_fmpq(slope), spot) for slope, spot in zip(plan.slopes, spots, strict=True)]
    if not plan.constant:
        selected: defaultdict[Kind, Terms] = defaultdict(list)
        for parities in classes(2):
            _Selection(b, plan, target, parities).add_to(selected)
        terms.append((to_fmpq(plan.quantum), _surface(b, plan, selected, [_wave(b, s, plan.pieces) for s in spots])))
    return b.build([linear_combination(terms, plan.base)])


class _Selection:
    """What one class of patches selects."""

    def __init__(self, b: Builder, plan: CoonsPlan, target: Target, parities: Parities) -> None:
        self._b, self._plan, self._parities = b, plan, parities
        self._leads = leads_of(plan)
        self._bound = level_bound(plan.steps, self._leads)
        self._reach = fmpq(self._bound * coefficient_sum(plan.order))
        address, local = located(b, plan, target.domain, parities)
        self._nodes, self._steps = zip(*(self._closures(u) for u in local), strict=True)
        self._levels = self._rebuilt(indicators_of(b, plan, address, *class_digits(plan, parities, self._leads)))

    def _closures(self, u: Form) -> tuple[list[Form], dict[int, Form]]:
        """The closures of the nodes 0 .. M - 1 and of the steps -1 .. M - 1 of an axis, a unit each."""
        b, m, steep = self._b, self._plan.steps, 1 / self._plan.ramp
        after = {i: b.relu(1 - b.relu((u - i) * steep)) for i in range(-1, m)}  # 1 up to i, 0 from i + rho on
        before = {i: b.relu(1 - b.relu((i - u) * steep)) for i in range(m + 1)}
        nodes = [b.relu(after[n - 1] + before[n + 1]) for n in range(m)]
        return nodes, {k: b.relu(after[k] + before[k + 1]) for k in range(-1, m)}

    def _rebuilt(self, indicators: Iterator[tuple[Form, Form]]) -> dict[tuple[int, int], Form]:
        """Q at all nodes of the patch, a unit less a constant each."""
        order = self._plan.order
        levels: dict[tuple[int, int], Form] = {}
        counts = digit_counts(self._plan.steps, self._leads)
        nodes = local_nodes(self._plan.steps, 2).tolist()
        for (m, n), count, offset in zip(nodes, *(c.tolist() for c in counts), strict=True):
            parts: Terms = []
            for place in range(count - 1, -1, -1):
                parts += [(3**place, one) for one in next(indicators)]
            a, c = stencil(order, m, n)
            for i in range(a + 1):
                for j in range(c + 1):
                    if i or j:
                        parts.append((-((-1) ** (i + j)) * comb(a, i) * comb(c, j), levels[m - i, n - j]))
            levels[m, n] = self._b.relu(linear_combination(parts, self._bound - offset)) - self._bound
        return levels

    def add_to(self, selected: defaultdict[Kind, Terms]) -> None:
        """Let the numbers of all nodes and edges of the patch through where they belong."""
        for (m, n), level in self._levels.items():
            selected["node", *self._parity(m, n)].append(self._gate(level, self._nodes[0][m], self._nodes[1][n]))
        opened = [[self._opened(list(enumerate(c)), k, s) for s in (0, 1)] for k, c in enumerate(self._nodes)]
        for s in (0, 1):
            for t in (0, 1):
                selected["node", s, t].append(self._subtracted(opened[0][s], opened[1][t]))
        for axis in (0, 1):
            self._add_edges(selected, axis, opened[1 - axis])

    def _parity(self, m: int, n: int) -> tuple[int, int]:
        return (m + self._parities[0]) % 2, (n + self._parities[1]) % 2

    def _add_edges(self, selected: defaultdict[Kind, Terms], axis: int, lines: list[Form]) -> None:
        plan, b = self._plan, self._b
        for k in range(-1, plan.steps):
            start = window(k, plan.steps - 1, plan.order)
            rows = bubbles(plan.order, k - start, (k + self._parities[axis]) % 2 == 1)
            inside = 0 <= k < plan.steps - 1
            for n in range(plan.steps):
                line = [self._levels[(start + i, n) if axis == 0 else (n, start + i)] for i in range(plan.order)]
                for l in range(plan.order - 2):
                    parts = [
                        (rows[i][l] * (-1) ** (i - j) * comb(i, j), line[j])
                        for i in range(2, plan.order)
                        for j in range(i + 1)
                    ]
                    number = linear_combination(parts) * (fmpq(1) if inside else fmpq(1, 2))
                    kind = (axis, (n + self._parities[1 - axis]) % 2, l)
                    selected[kind].append(self._gate(number, self._steps[axis][k], self._nodes[1 - axis][n]))
        steps = b.relu(linear_combination([(-1, c) for c in self._steps[axis].values()], plan.steps + 1))
        for s in (0, 1):
            for l in range(plan.order - 2):
                selected[axis, s, l].append(self._subtracted(steps, lines[s]))

    def _gate(self, number: Form, first: Form, second: Form) -> tuple[Any, Form]:
        return 1, self._b.relu(number + self._reach - 2 * self._reach * (first + second))

    def _opened(self, closures: list[tuple[int, Form]], axis: int, parity: int) -> Form:
        """The sum of 1 - closure over the nodes of a parity."""
        chosen = [c for m, c in closures if (m + self._parities[axis]) % 2 == parity]
        return self._b.relu(linear_combination([(-1, c) for c in chosen], len(chosen)))

    def _subtracted(self, first: Form, second: Form) -> tuple[Any, Form]:
        """-R times the sum of max(1 - Y, 0) over all nodes or edges of a kind."""
        return -self._reach, self._b.relu(first + second - 1)


def coefficient_sum(order: int) -> int:
    """A bound of the sum of |weights| of levels in a coefficient of a bubble; at least 1."""
    cases = [bubbles(order, kappa, odd) for kappa in range(-1, order) for odd in (False, True)]
    sums = [sum(abs(c[i][l]) * 2**i for i in range(2, order)) for c in cases for l in range(order - 2)]
    most = fmpq(max(sums))
    return max(1, int(-(-most.p // most.q)))


def _wave(b: Builder, spot: Form, pieces: int) -> Form:
    """The unit z, 0 at even and 1 at odd integers, for spots in [0, K]: folded until a piece is a step."""
    count = pieces.bit_length()
    s = spot / 2**count
    rising = b.relu(s)
    for _ in range(count):
        rising = s = b.relu(2 * rising - 4 * b.relu(s - fmpq(1, 2)))
    return s


def _surface(b: Builder, plan: CoonsPlan, selected: dict[Kind, Terms], z: list[Form]) -> Form:
    """The form of G, one unit and a constant."""
    size, bends, sizes = fmpq(plan.difference_sizes[0]), plan.bubble_sizes, factor_sizes(plan)

    def times(form: Form, factor: Form, most: fmpq) -> Form:
        offset = above(most)
        form = b.relu(form + offset) - offset  # a long form is read four times below
        return product_form(b, form, factor, product_level(plan, most), (most, 1))

    corners = {
        (s, t): size - b.relu(size - b.relu(linear_combination(selected["node", s, t]))) for s in (0, 1) for t in (0, 1)
    }
    curves = []
    for axis in (0, 1):
        inside = Form()
        for l, (mean, most) in zip(range(plan.order - 3, -1, -1), sizes.curves, strict=True):
            even, odd = (_cut(b, linear_combination(selected[axis, s, l]), bends[l]) for s in (0, 1))
            inside = inside + even + times(odd - even, z[1 - axis], mean)
            inside = times(inside, z[axis] if l else 1 - z[axis], most)
        curves.append(inside)
    (a, c), (e, d) = ((corners[s, 0], corners[s, 1]) for s in (0, 1))
    first = times(e - a + times(a - e - c + d, z[1], sizes.bent) + curves[0], z[0], sizes.first)
    second = times(c - a + curves[1], z[1], sizes.second)
    offset = surface_offset(plan)
    return b.relu(a + first + second + offset) - offset


class FactorSizes(NamedTuple):
    """Bounds of what is multiplied with z or 1 - z: for l = r - 3 .. 0 the change of E's coefficient to the other line, the
    bracket of Horner's rule; then the last three factors of G."""

    curves: list[tuple[fmpq, fmpq]]
    bent: fmpq
    first: fmpq
    second: fmpq


def factor_sizes(plan: CoonsPlan) -> FactorSizes:
    """The FactorSizes of a plan: levels are cut to [0, S], coefficients to their sizes, products add less than 1 in all."""
    curves, most = [], fmpq(0)
    for bend in plan.bubble_sizes[::-1]:
        most = most + bend + fmpq(1, 4)
        curves.append((2 * bend, most))
    size = fmpq(plan.difference_sizes[0])
    return FactorSizes(curves, 2 * size, 3 * size + most + 1, size + most + 1)


def product_level(plan: CoonsPlan, most: fmpq) -> int:
    """Sawtooth levels of a product with a factor of this size."""
    return max(2, levels_for(PRODUCTS / (4 * plan.order - 5), most))


def above(value: fmpq) -> int:
    """A power of two above the value."""
    return 2 ** int(-(-value.p // value.q)).bit_length()


def surface_offset(plan: CoonsPlan) -> int:
    """A power of two above |G|."""
    return above(plan.difference_sizes[0] + 2 * sum(plan.bubble_sizes, fmpq(1)))


def _cut(b: Builder, form: Form, bound: fmpq) -> Form:
    """The number cut to [-bound, bound], by two units."""
    return bound - b.relu(2 * bound - b.relu(form + bound))


def coons_weights(plan: CoonsPlan) -> int:
    """An upper bound of the weights: 3 N^2 to 6 N^2 for the codes, 4 (46 + r + 2 (r - 2) (r + 4)) M^2, and O(M + log W).

    A node has three digits of 12 weights to be read and two to be used, r levels that it is built from, 5 to be let through; an
    edge r + 4 for each coefficient.
    """
    leads, m, r, length = leads_of(plan), plan.steps, plan.order, folds(plan.cells)
    counts = digit_counts(m, leads)[0]
    built = 0
    for node in local_nodes(m, 2).tolist():
        a, c = stencil(r, *node)
        built += (a + 1) * (c + 1)
    edges = 2 * (r - 2) * (r + 4) * m * (m + 1)
    fixed = 16 * length + 16 * (r - 2) + 28 * m + 60
    one = 14 * int(counts.sum()) + built + 5 * m * m + edges + fixed
    bends = sum(len(places(np.sort(addresses(plan.cells, q)))) for q in classes(2))
    sizes = factor_sizes(plan)
    factors = [*(2 * [most for pair in sizes.curves for most in pair]), sizes.bent, sizes.first, sizes.second]
    products = sum(12 * product_level(plan, most) + 24 for most in factors)
    return 3 * bends + 4 * one + products + 8 * plan.pieces.bit_length() + 16 * r


def coons_layers(plan: CoonsPlan) -> int:
    """The number of hidden layers: three a digit, some for addresses, 2 m + 1 for a product of m levels."""
    digits = int(digit_counts(plan.steps, leads_of(plan))[0].sum())
    sizes = factor_sizes(plan)

    def layers(most: fmpq) -> int:
        return 2 * product_level(plan, most) + 1

    curve = layers(sizes.curves[0][0]) + sum(layers(most) for _, most in sizes.curves)
    surface = max(max(curve, layers(sizes.bent)) + layers(sizes.first), curve + layers(sizes.second))
    return folds(plan.cells) + 3 * digits + 8 + surface
