"""How does a ReLU network compute Coons patches of (N M)^d coded values with O(N^d + M^d) weights? Bubbles are selected.

Addresses, codes and digits are those of _patch_network: in each of 2^d classes of patches that do not touch, the code of x's
patch is read digit by digit. Here the levels Q(n) of the patch are rebuilt from the digits, each from levels before
(_coons_codes), and with them the coefficients of the bubbles on all S-faces of the patch (_coons_bubbles), and halves of those
that lie between two patches, quarters between four.
    Selection. With local places u_k, ramps of width rho <= 1/4: the closures of a node n on axis k, 0 for |u_k - n_k| <= 1 -
    rho and 1 for |u_k - n_k| >= 1, and of a step, 0 on [k + rho, k + 1 - rho] and 1 outside [k, k + 1]; Y the sum of the
    closures of an S-face, of its steps on the axes of S and of its nodes on the others. A number q, |q| <= R, is let through by
        max(q + R - 2 R Y, 0) - R max(1 - Y, 0),    q where Y = 0, and 0 where Y >= 1.
    The sums of what passes, over all classes, are numbers c_i, one for each index i of a function of the cell of x; here 0
    stands for its end at an even node of an axis, 1 for the odd one. They are cut to their sizes.
    Surface. With z_k the triangle wave, 0 at even nodes of axis k and 1 at odd ones, G = sum of c_i prod phi_(i_k)(z_k), by
    Horner's rule along axis 1 for numbers that are made in the same way along the axes that follow:
        c_0 + z_1 (c_1 - c_0 + (1 - z_1) (c_2 + z_1 (c_3 + ..))).

Statement. At every x of the box the network differs from P of the plan by at most (2^-10 + 2^-8) lambda. Proof. On the support
of a patch, (-1, M)^d in local places, codes, digits and so all q are the patch's own (_patch_network); off it all Y >= 1, and
|q| <= R, whatever the digits are (_coons_codes): the class selects 0. Y < 1 at most for one S-face of each index, but for those
between patches, of which all halves (quarters) are selected. So a selected number is right unless Y > 0 for its S-face; then it
is off by its size at most (twice, for bubbles), and its factor in G, which is linear in all of them, is at most rho: phi_0 and
phi_1 are, next to the other end of a step, and z (1 - z) next to both. rho is so short that these add up to less than 2^-10.
The products are within 2^-8 in all, since what they are multiplied with is at most 1. Source: P19, deep discontinuous phase,
with bit extraction as in P18; this form is derived here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations, product
from math import comb, prod
from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from approx.targets import Target
from constructions.relu._coons_bubbles import (
    Index,
    View,
    indices,
    local_view,
    part,
    share,
    spread,
    stencils,
    views_of,
    width,
)
from constructions.relu._coons_codes import class_digits, digit_counts, leads_of, level_bound, stencil
from constructions.relu._coons_plan import PRODUCTS, CoonsPlan, digit_count
from constructions.relu._difference_network import offset_for
from constructions.relu._hoelder_patch_codes import local_nodes
from constructions.relu._patch_codes import Parities, addresses, classes, folds, places
from constructions.relu._patch_network import indicators_of, located
from constructions.relu.product import product_form
from constructions.relu.square import levels_for

Terms = list[tuple[Any, Form]]
#: What is selected, by index.
Selected = defaultdict[Index, Terms]


def coons_network(plan: CoonsPlan, target: Target) -> Network:
    """The Network of a plan on the target's box; the units stand in an order that _coons_reader knows."""
    b = Builder(plan.dimension)
    spots = [(b.input(axis) - low) * (plan.pieces / (high - low)) for axis, (low, high) in enumerate(target.domain)]
    terms: Terms = [(to_fmpq(slope), spot) for slope, spot in zip(plan.slopes, spots, strict=True)]
    if not plan.constant:
        selected: Selected = defaultdict(list)
        for parities in classes(plan.dimension):
            _Selection(b, plan, target, parities).add_to(selected)
        numbers = {index: linear_combination(selected[index]) for index in selected}
        terms.append((to_fmpq(plan.quantum), surface(b, plan, numbers, [_wave(b, s, plan.pieces) for s in spots])))
    return b.build([linear_combination(terms, plan.base)])


class _Selection:
    """What one class of patches selects."""

    def __init__(self, b: Builder, plan: CoonsPlan, target: Target, parities: Parities) -> None:
        self._b, self._plan, self._parities = b, plan, parities
        self._leads = leads_of(plan)
        bound = level_bound(plan.steps, plan.dimension, self._leads)
        self._reach = fmpq(bound * coefficient_sum(plan.order, plan.dimension))
        address, local = located(b, plan, target.domain, parities)
        self._nodes, self._steps = zip(*(self._closures(u) for u in local), strict=True)
        digits = class_digits(plan, parities, self._leads)
        self._levels = self._rebuilt(indicators_of(b, plan, address, *digits), bound)

    def _closures(self, u: Form) -> tuple[list[Form], dict[int, Form]]:
        """The closures of the nodes 0 .. M - 1 and of the steps -1 .. M - 1 of an axis, a unit each."""
        b, m, steep = self._b, self._plan.steps, 1 / self._plan.ramp
        after = {i: b.relu(1 - b.relu((u - i) * steep)) for i in range(-1, m)}  # 1 up to i, 0 from i + rho on
        before = {i: b.relu(1 - b.relu((i - u) * steep)) for i in range(m + 1)}
        nodes = [b.relu(after[n - 1] + before[n + 1]) for n in range(m)]
        return nodes, {k: b.relu(after[k] + before[k + 1]) for k in range(-1, m)}

    def _rebuilt(self, indicators: Iterator[tuple[Form, Form]], bound: int) -> dict[Index, Form]:
        """Q at all nodes of the patch, a unit less a constant each."""
        order, d = self._plan.order, self._plan.dimension
        levels: dict[Index, Form] = {}
        counts = digit_counts(self._plan.steps, d, self._leads)
        nodes = map(tuple, local_nodes(self._plan.steps, d).tolist())
        for node, count, offset in zip(nodes, *(c.tolist() for c in counts), strict=True):
            parts: Terms = []
            for place in range(count - 1, -1, -1):
                parts += [(3**place, one) for one in next(indicators)]
            for back, weight in _before(stencil(order, node)).items():
                parts.append((-weight, levels[_moved(node, back, -1)]))
            levels[node] = self._b.relu(linear_combination(parts, bound - offset)) - bound
        return levels

    def add_to(self, selected: Selected) -> None:
        """Let the numbers of all S-faces of the patch through where they belong."""
        order, d, m = self._plan.order, self._plan.dimension, self._plan.steps
        for axes in _sets_of_axes(order, d):
            size = width(order, len(axes))
            for place in product(*(range(-1 if k in axes else 0, m) for k in range(d))):
                starts, views = list(place), []
                for k in axes:
                    odd = (place[k] + self._parities[k]) % 2 == 1
                    starts[k], view = local_view(place[k], odd, m, size)
                    views.append(view)
                closures = [(self._steps[k] if k in axes else self._nodes[k])[n] for k, n in enumerate(place)]
                closed, mean = linear_combination([(1, c) for c in closures]), share(tuple(views), order)
                ends = [(n + self._parities[k]) % 2 for k, n in enumerate(place)]
                for i, weights in stencils(order, tuple(views)).items():
                    seen = [(w * mean, self._levels[_moved(starts, spread(j, axes, d), 1)]) for j, w in weights.items()]
                    index = tuple(i[axes.index(k)] if k in axes else end for k, end in enumerate(ends))
                    selected[index].append(self._gate(linear_combination(seen), closed))
        opened = [self._opened(axis) for axis in range(d)]
        for index in indices(order, d):
            total = linear_combination([(1, opened[k][min(i, 2)]) for k, i in enumerate(index)], 1 - d)
            # R times the sum of max(1 - Y, 0) over all S-faces of an index.
            selected[index].append((-self._reach, self._b.relu(total)))

    def _gate(self, number: Form, closed: Form) -> tuple[Any, Form]:
        return 1, self._b.relu(number + self._reach - 2 * self._reach * closed)

    def _opened(self, axis: int) -> list[Form]:
        """The sums of 1 - closure over the even nodes, the odd nodes, the steps of an axis."""
        nodes = self._nodes[axis]
        lists = [[c for n, c in enumerate(nodes) if (n + self._parities[axis]) % 2 == odd] for odd in (0, 1)]
        lists.append(list(self._steps[axis].values()))
        return [self._b.relu(linear_combination([(-1, c) for c in chosen], len(chosen))) for chosen in lists]


def _sets_of_axes(order: int, dimension: int) -> list[Index]:
    """The S whose faces have bubbles, and the empty set."""
    return [axes for count in range(dimension + 1) if 2 * count < order for axes in combinations(range(dimension), count)]


def _before(orders: Index) -> dict[Index, int]:
    """The weights of the other nodes, by their distance, in the difference of these orders at its highest node."""
    found = {
        back: prod((-1) ** j * comb(a, j) for a, j in zip(orders, back, strict=True))
        for back in product(*(range(a + 1) for a in orders))
    }
    return {back: weight for back, weight in found.items() if any(back)}


def _moved(node: Iterable[int], by: Index, sign: int) -> Index:
    return tuple(n + sign * j for n, j in zip(node, by, strict=True))


@cache
def coefficient_sum(order: int, dimension: int) -> int:
    """A bound of the sum of |weights| of levels in what is selected; at least 1."""
    most = fmpq(1)
    for axes in _sets_of_axes(order, dimension):
        for views in views_of(order, len(axes)):
            for weights in stencils(order, views).values():
                most = max(most, sum((abs(w) for w in weights.values()), fmpq(0)))
    return int(-(-most.p // most.q))


def _wave(b: Builder, spot: Form, pieces: int) -> Form:
    """The unit z, 0 at even and 1 at odd integers, for spots in [0, K]: folded until a piece is a step."""
    count = pieces.bit_length()
    s = spot / 2**count
    rising = b.relu(s)
    for _ in range(count):
        rising = s = b.relu(2 * rising - 4 * b.relu(s - fmpq(1, 2)))
    return s


def surface(b: Builder, plan: CoonsPlan, numbers: dict[Index, Form], z: list[Form]) -> Form:
    """The form of G, one unit and a constant."""
    order, d = plan.order, plan.dimension
    count = product_count(order, d)

    def carried(form: Form, most: fmpq) -> Form:
        offset = offset_for(most)
        return b.relu(form + offset) - offset  # a long form is read four times below

    def times(form: Form, factor: Form, most: fmpq) -> Form:
        level = max(2, levels_for(PRODUCTS / count, most))
        return product_form(b, carried(form, most), factor, level, (most, 1))

    def curve(at: Index) -> Form:
        if len(at) == d:
            return _cut(b, numbers[at], plan.size(at), least=-1 if part(at) else 0)
        wave, inside, most = z[len(at)], Form(), fmpq(0)
        for i in reversed(_bends(order, at)):
            most += total_size(plan, (*at, i))
            inside = times(curve((*at, i)) + inside, wave if i > 2 else 1 - wave, most)
        even, odd = curve((*at, 0)), curve((*at, 1))
        most += total_size(plan, (*at, 0)) + total_size(plan, (*at, 1))
        return carried(even + times(odd - even + inside, wave, most), total_size(plan, at))

    return curve(())


def _bends(order: int, at: Index) -> range:
    """The i >= 2 that an index may go on with."""
    return range(2, order - sum(part(at)))


def total_size(plan: CoonsPlan, at: Index = ()) -> fmpq:
    """A bound of the sum of all functions whose indices begin so, over what these entries stand for; products included.

    That is a mean of the values at both ends and z (1 - z) times what bends.
    """
    if len(at) == plan.dimension:
        return plan.size(at)
    bent = sum((total_size(plan, (*at, i)) for i in _bends(plan.order, at)), fmpq(0))
    return max(total_size(plan, (*at, end)) for end in (0, 1)) + bent + PRODUCTS


def product_count(order: int, dimension: int) -> int:
    """The products of the network; d = 2: 4 r - 5, and one for each of the (r - 4)(r - 3)/2 coefficients on a face."""
    if dimension == 0:
        return 0
    bends = [product_count(order - i, dimension - 1) + 1 for i in range(2, order)]
    return 1 + 2 * product_count(order, dimension - 1) + sum(bends)


def _cut(b: Builder, form: Form, bound: fmpq, least: int) -> Form:
    """The number cut to [least * bound, bound], by two units."""
    return bound - b.relu((1 - least) * bound - b.relu(form - least * bound))


def node_weights(order: int, dimension: int) -> int:
    """How many weights an inner node of a patch has: its digits, its level, and all S-faces that begin there.

    A digit has 12 weights to be read and two to be used; what passes a gate is read with d closures and two constants.
    """
    chosen = _sets_of_axes(order, dimension)
    views = [((width(order, len(axes)) // 2 - 1, False),) * len(axes) for axes in chosen]
    return 14 * digit_count(order) + order + 1 + sum(_passed(order, dimension, v) for v in views)


def _passed(order: int, dimension: int, views: tuple[View, ...]) -> int:
    return sum(len(weights) + dimension + 2 for weights in stencils(order, views).values())


def coons_weights(plan: CoonsPlan) -> int:
    """An upper bound of the weights: 3 N^d to 6 N^d for the codes, 2^d node_weights(r, d) M^d, and O(M + log W)."""
    d, m, order, length = plan.dimension, plan.steps, plan.order, folds(plan.cells)
    counts = digit_counts(m, d, leads_of(plan))[0]
    built = sum(prod(a + 1 for a in stencil(order, node)) for node in local_nodes(m, d).tolist())
    fixed = d * (7 * length + 2) + d * length + 2 + d * (14 * m + 14) + (d + 2) * len(indices(order, d))
    total = 2**d * (14 * int(counts.sum()) + built + fixed)
    for parities in classes(d):
        total += 3 * len(places(np.sort(addresses(plan.cells, parities))))
        for axes in _sets_of_axes(order, d):
            size = width(order, len(axes))
            seen = [
                Counter(local_view(n, (n + parities[k]) % 2 == 1, m, size)[1] for n in range(-1, m)) for k in axes
            ]
            for views in product(*seen):
                several = prod(number[view] for number, view in zip(seen, views, strict=True))
                total += several * m ** (d - len(axes)) * _passed(order, d, views)
    return total + _scratch(plan).size.weights + d * (4 * plan.pieces.bit_length() + 4)


def coons_layers(plan: CoonsPlan) -> int:
    """The number of hidden layers: three a digit, some for addresses, those of the surface."""
    digits = int(digit_counts(plan.steps, plan.dimension, leads_of(plan))[0].sum())
    return folds(plan.cells) + 3 * digits + 5 + _scratch(plan).size.hidden_layers


def _scratch(plan: CoonsPlan) -> Network:
    """The surface alone, with what is selected and the waves as inputs."""
    chosen = indices(plan.order, plan.dimension)
    b = Builder(len(chosen) + plan.dimension)
    waves = [b.input(len(chosen) + axis) for axis in range(plan.dimension)]
    return b.build([surface(b, plan, {index: b.input(k) for k, index in enumerate(chosen)}, waves)])
