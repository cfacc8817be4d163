"""How does a ReLU network compute an interpolant of (N M)^d nodes with O(N^d + M^d) weights? Patches in classes, coded paths.

For each of the 2^d classes of patches that do not touch (_patch_codes):
    folding    every coordinate is folded L times: u_k, the local place in fine steps, and bits g, 0 or 1 on all supports;
    address    Y, a sum of bits, and the codes, piecewise linear in Y: integers z, the right ones on the patches' supports;
    spikes     phi_m(u) at the local nodes, and Psi = the sum of all of them (_reflected), both 0 off the supports;
    digits     t_1 = Psi, t_{i+1} = max(t_i - phi_i, 0), the sum of the spikes from i on along the path; the digits of z are
               read (_digits) as indicators I, I': a lead digit I + I' gives 3^j (I + I') Psi, a step B = I + I' - 1 gives B t.
Products of t in [0, 1] and an indicator: I t = t - max(t - I, 0) for I in {0, 1}.

Statement. The network is the reflected interpolant of base + lambda Q at EVERY x of the box, without an exceptional set. Proof.
On the support of a patch the bits are 0 or 1 (the folds lie (M-1)/2 fine steps away from every support, the ramps of the bits
are shorter), so the address, the integer z, and the digits are the patch's; summation by parts, sum_i Q_i phi_i = Q_1 Psi +
sum_i B_i t_i, gives the patch's share. Off the supports Psi = 0, so t_i = 0 for all i, and whatever the digits are, indicators
are >= 0 and max(0 - I, 0) = 0: the class contributes exactly 0. The spikes of all nodes sum to 1.
Source: P18 Theorem 2; this form is derived here: no coarse interpolant, no clipping, 2^d classes instead of 3^d.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.targets import Target
from approx.targets.domain import Domain
from constructions.relu._digits import read_digits
from constructions.relu._patch_codes import (
    Parities,
    addresses,
    chunks,
    class_digits,
    classes,
    code_polygon,
    folds,
    lead_digits,
    places,
    snake,
)
from constructions.relu._patch_plan import PatchPlan

Terms = list[tuple[Any, Form]]


def patch_network(plan: PatchPlan, target: Target) -> Network:
    """The Network of a plan on the target's box; the units stand in an order that _patch_reader knows."""
    b = Builder(plan.dimension)
    terms: Terms = []
    if not plan.constant:
        lead = lead_digits(plan)
        for parities in classes(plan.dimension):
            terms += [(plan.quantum * w, form) for w, form in _class_terms(b, plan, target.domain, parities, lead)]
    return b.build([linear_combination(terms, plan.base)])


def patch_weights(dimension: int, cells: int, steps: int, codes: int, lead: int) -> int:
    """An upper bound of the weights: (2 + codes) N^d for the codes, about 2^d 26 M^d (d = 2), 2^d 28 M^d (d = 3) for digits."""
    d, L, nodes = dimension, folds(cells), steps**dimension
    bends = sum(len(places(np.sort(addresses(cells, q)))) for q in classes(d))
    spike, pairs = (5, 0) if d == 2 else (7, 6 * steps**2)
    one = d * (7 * L + 5 * steps + 18) + d * L + 8 + pairs + (nodes + lead) * 18 + nodes * (spike + 3) + 2 * lead
    return (2 + codes) * bends + 2**d * (one + codes) + 1


def unfolded(domain: Domain, axis: int, cells: int, steps: int, parity: int) -> tuple[fmpq, fmpq]:
    """(a, c): v = a x + c, the place in [0, 1] that is folded L times, of the class with this parity."""
    low, high = domain[axis]
    scale, width = 2 * steps * 2 ** folds(cells), fmpq(cells * steps - 1) / (high - low)
    return width / scale, (fmpq(steps + 1, 2) - parity * steps - width * low) / scale


def bit_ramp(cells: int, level: int) -> fmpq:
    """The width of the ramp of the bit of fold `level`: at most (M-1)/2 fine steps for M >= 3, a power of 2."""
    return fmpq(1, 8 * 2 ** (folds(cells) - level))


def _class_terms(b: Builder, plan: PatchPlan, domain: Domain, parities: Parities, lead: int) -> Terms:
    """What a class adds to the output, in units of lambda."""
    spikes, indicators = class_parts(b, plan, domain, parities, *class_digits(plan, parities, lead))
    return _decoded(b, spikes, indicators, snake(plan.steps, plan.dimension), lead)


def class_parts(
    b: Builder, plan: PatchPlan, domain: Domain, parities: Parities, found: np.ndarray, digits: np.ndarray
) -> tuple[Spikes, Iterator[tuple[Form, Form]]]:
    """(the spikes of a class, the indicators of the digits of x's patch), for digits (patches, count) at rising addresses."""
    address, local = located(b, plan, domain, parities)
    spikes = Spikes(b, local, plan.steps, parities)
    return spikes, indicators_of(b, plan, address, found, digits)


def located(b: Builder, plan: PatchPlan, domain: Domain, parities: Parities) -> tuple[Form, list[Form]]:
    """(the unit of the address of x's patch in a class, the local places u_k in fine steps)."""
    bits, local = _folded(b, plan, domain, parities)
    weights = [2**i for i in range(len(bits) - 1, -1, -1)]
    address = b.relu(linear_combination([(-w, bit) for w, bit in zip(weights, bits, strict=True)], sum(weights)))
    return address, local


def indicators_of(
    b: Builder, plan: PatchPlan, address: Form, found: np.ndarray, digits: np.ndarray
) -> Iterator[tuple[Form, Form]]:
    """The indicators of all digits of the patch with this address."""
    parts = chunks(digits.shape[1], plan.codes)
    codes = _codes(b, address, found, digits, parts)
    read = (read_digits(b, code, part.stop - part.start) for code, part in zip(codes, parts, strict=True))
    return itertools.chain.from_iterable(read)


def _folded(b: Builder, plan: PatchPlan, domain: Domain, parities: Parities) -> tuple[list[Form], list[Form]]:
    """(complements of all bits, the leading one first; the local places u_k in fine steps)."""
    bits, local = [], []
    for axis, q in enumerate(parities):
        slope, offset = unfolded(domain, axis, plan.cells, plan.steps, q)
        v = b.input(axis) * slope + offset
        for level in range(folds(plan.cells)):
            rising, above = b.relu(v), b.relu(v - fmpq(1, 2))
            bits.append(b.relu(1 - above / bit_ramp(plan.cells, level)))
            v = 2 * rising - 4 * above
        local.append(2 * plan.steps * b.relu(v) - fmpq(plan.steps + 1, 2))
    return bits, local


def _codes(b: Builder, address: Form, found: np.ndarray, digits: np.ndarray, parts: list[slice]) -> list[Form]:
    hinges: dict[int, Form] = {}  # one at 0, too: all codes then stand in one layer
    codes = []
    for part in parts:
        start, bends, changes = code_polygon(found, digits[:, part])
        for place in bends:
            if place not in hinges:
                hinges[place] = b.relu(address - place)
        codes.append(linear_combination([(c, hinges[p]) for p, c in zip(bends, changes, strict=True) if c], start))
    return [b.relu(code) for code in codes]


class Spikes:
    """The spikes of the local nodes and their sum, as forms over shared units."""

    def __init__(self, b: Builder, local: list[Form], steps: int, parities: Parities) -> None:
        self._b, self._parities = b, parities
        self._tents, ramps = [], []
        for u in local:
            h = [b.relu(u - i) for i in range(-1, steps + 1)]
            self._tents.append([b.relu(h[i] - 2 * h[i + 1] + h[i + 2]) for i in range(steps)])
            ramps.append(b.relu(h[0] - h[1] - h[-2] + h[-1]))
        self._least: dict[Any, Form] = {}
        self.sum = b.relu(self._both([("box", k) for k in range(len(local))], ramps, (0,) * len(local)))

    def spike(self, node: Any) -> Form:
        """phi of a local node: a form that is never negative."""
        keys = [(k, int(m)) for k, m in enumerate(node)]
        form = self._both(keys, [self._tents[k][m] for k, m in keys], node)
        odd = [(m + q) % 2 for m, q in zip(node, self._parities, strict=True)]
        return form if len(set(odd)) == 1 else self._b.relu(form)

    def _both(self, keys: list[Any], parts: list[Form], node: Any) -> Form:
        """min over the odd axes + min over the even axes - 1, or the one of them that there is."""
        groups = []
        for side in (0, 1):
            chosen = [k for k, (m, q) in enumerate(zip(node, self._parities, strict=True)) if (m + q) % 2 == side]
            if chosen:
                groups.append(self._minimum([keys[k] for k in chosen], [parts[k] for k in chosen]))
        return groups[0] if len(groups) == 1 else groups[0] + groups[1] - 1

    def _minimum(self, keys: list[Any], parts: list[Form]) -> Form:
        form = parts[0]
        for i in range(1, len(parts)):
            key = tuple(keys[: i + 1])
            if key not in self._least:
                self._least[key] = form - self._b.relu(form - parts[i])
            form = self._least[key]
        return form


def _decoded(
    b: Builder, spikes: Spikes, indicators: Iterator[tuple[Form, Form]], path: np.ndarray, lead: int
) -> Terms:
    terms: Terms = []
    t = spikes.sum
    for number, (first, second) in enumerate(indicators):
        if number < lead:
            weight = 3 ** (lead - 1 - number)
            terms.append((2 * weight, t))
        else:
            weight = 1
            t = b.relu(t - spikes.spike(path[number - lead]))
            terms.append((1, t))
        terms += [(-weight, b.relu(t - first)), (-weight, b.relu(t - second))]
    return terms
