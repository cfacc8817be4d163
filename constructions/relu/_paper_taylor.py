"""What does Theorem 1 of the 2016 paper cost with its own constants? Its network where it is small, its count always.

The construction as recalled from the paper: N = ceil((r!/(2^d d^r) eps/2)^(-1/r)) cells per axis, Taylor polynomials of
degree r - 1 at the nodes m/N, one chain of at most d + r - 1 products for every term phi_m (x - m/N)^n, products by three
squares with inputs bounded by M = d + r and error delta = eps/(2^(d+1) d^r (d + r)). Where the paper leaves the network
open, the cheaper choice is taken here (trapezoids shared by all terms, one unit to carry each product).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from flint import fmpq

from approx.errors import RegularityError, UnreachableError
from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._cell_polynomials import FOR_KINKS, multi_indices
from constructions.relu.product import paper_product_form
from constructions.relu.square import levels_for, square_error, square_weights

#: Beyond this many weights the paper's network is counted, not built.
BUILD_LIMIT = 400_000


@dataclass(frozen=True)
class PaperConstants:
    """The constants of the theorem for sup-norms of derivatives up to order r at most `norm` on [0,1]^d."""

    dimension: int
    order: int
    eps: float
    norm: float
    cells: int
    bound: int
    levels: int

    @property
    def truncation(self) -> float:
        """2^d d^r / r! N^-r times the norm: the proved error of the local Taylor sum."""
        d, r = self.dimension, self.order
        return float_up(fmpq(2**d * d**r, math.factorial(r) * self.cells**r) * to_fmpq(self.norm))

    @property
    def products(self) -> float:
        """A proved bound of what all approximate products add: 2^d active patches, their terms, their chains."""
        d, r = self.dimension, self.order
        each = 4 * self.bound**2 * square_error(self.levels)
        total = fmpq(0)
        for alpha in multi_indices(d, r - 1):
            size = fmpq(1, math.prod(math.factorial(a) for a in alpha))
            total += size * (d + sum(alpha) - 1) * each
        return float_up(2**d * total * to_fmpq(self.norm))


def paper_constants(dimension: int, order: int, eps: Any, norm: Any = 1) -> PaperConstants:
    """The PaperConstants for accuracy eps; exact integer decisions."""
    d, r = dimension, order
    relative = to_fmpq(eps) / to_fmpq(norm)
    target = 2 * fmpq(2**d * d**r, math.factorial(r)) / relative  # N^r >= this
    cells = max(1, math.ceil(float(target) ** (1 / r)) - 2)
    while fmpq(cells**r) < target:
        cells += 1
    delta = min(relative, fmpq(1)) / (2 ** (d + 1) * d**r * (d + r))
    levels = levels_for(delta / (6 * (d + r) ** 2))
    return PaperConstants(d, r, to_float(to_fmpq(eps)), to_float(to_fmpq(norm)), cells, d + r, levels)


def paper_count(dimension: int, order: int, eps: Any, norm: Any = 1) -> int:
    """The exact number of weights of the paper's network when no Taylor coefficient vanishes; O(d! r^d) integer work.

    >>> paper_count(1, 2, 0.1)
    632
    """
    constants = paper_constants(dimension, order, eps, norm)
    return count_terms(constants, multi_indices(dimension, order - 1))


def count_terms(constants: PaperConstants, alphas: list[tuple[int, ...]]) -> int:
    """The weights of the network with all nodes for every given multi-index, none of the coefficients zero."""
    d, n, m = constants.dimension, constants.cells, constants.levels
    total = d * (7 * (n + 1) - 6)  # trapezoids: 7 weights each, 4 at the two ends of an axis
    for alpha in alphas:
        used = [k for k, a in enumerate(alpha) if a]
        for zeros in itertools.product((True, False), repeat=len(used)):
            nodes = math.prod(1 if z else n for z in zeros) * (n + 1) ** (d - len(used))
            total += nodes * _chain_weights(alpha, dict(zip(used, zeros, strict=True)), d, m)
    return total


def _chain_weights(alpha: tuple[int, ...], zero: dict[int, bool], d: int, levels: int) -> int:
    # Factors as (variable or None, constants in the form): x_k - m_k/N has a bias unless m_k = 0, phi_k is one unit.
    factors: list[tuple[int | None, int]] = [(k, 0 if zero[k] else 1) for k, a in enumerate(alpha) for _ in range(a)]
    factors += [(None, 0)] * d
    if len(factors) == 1:
        return 1
    variable, constant = factors[0]
    total = 0
    for i, (other, c) in enumerate(factors[1:], 1):
        same = i == 1 and other is not None and other == variable
        joint = max(constant, c)
        forms = ((1 if same else 2) + joint, 1 + c, 1 + constant)
        total += sum(2 * size + 1 + square_weights(levels) for size in forms)
        if i < len(factors) - 1:
            total += 1  # the bias of the unit that carries the product
        variable, constant = None, 1
    return total


def paper_network(target: Target, order: int, eps: Any) -> tuple[Network, PaperConstants, float, bool]:
    """(network, constants, proved error of the rounded coefficients, whether no coefficient vanishes) for [0,1]^d.

    Raises UnreachableError when it has more than BUILD_LIMIT weights.
    """
    d = target.dimension
    unit = target.on_unit_box()
    constants = paper_constants(d, order, eps, sobolev_norm(unit, order))
    alphas = multi_indices(d, order - 1)
    size = count_terms(constants, alphas)
    if size > BUILD_LIMIT:
        raise UnreachableError(f"the paper's form needs {size:,} weights: counted, not built (limit {BUILD_LIMIT:,})")
    b = Builder(d)
    x = [(b.input(k) - low) * (1 / (high - low)) for k, (low, high) in enumerate(target.domain)]
    n = constants.cells
    traps = [[_trapezoid(b, x[k], j, n) for j in range(n + 1)] for k in range(d)]
    parts: list[tuple[Any, Form]] = []
    rounding, full = 0.0, True
    for node in itertools.product(range(n + 1), repeat=d):
        with working_precision(96):
            balls = unit.jet([fmpq(j, n) for j in node], order - 1)
            values = {a: to_float(balls[a].mid()) for a in alphas}
            rounding = max(rounding, sum(float_up(abs(balls[a] - to_arb(values[a]))) for a in alphas))
        for alpha in alphas:
            factors = [x[k] - fmpq(node[k], n) for k, a in enumerate(alpha) for _ in range(a)]
            factors += [traps[k][node[k]] for k in range(d)]
            full = full and values[alpha] != 0
            if values[alpha] != 0:
                parts.append((values[alpha], _chain(b, factors, constants)))
    return b.build([linear_combination(parts)]), constants, 2**d * rounding * (1 + 1e-12), full


def sobolev_norm(unit: Target, order: int) -> float:
    """A proved bound of max over |a| <= order of sup |D^a f|; raises RegularityError when there is none."""
    norm = max(unit.derivative_bound(a, rtol=0.1) for a in multi_indices(unit.dimension, order))
    if not math.isfinite(norm):
        raise RegularityError(f"local-taylor: the derivatives up to order {order} are not shown to be bounded; {FOR_KINKS}")
    return max(norm, 1e-300)


def _trapezoid(b: Builder, x: Form, j: int, n: int) -> Form:
    # psi(3 N x - 3 j) as one unit; at the ends of [0,1] one side is never reached.
    t = x * (3 * n) - 3 * j
    inside = Form({}, 1)
    if j < n:
        inside = inside - b.relu(t - 1)
    if j > 0:
        inside = inside - b.relu(-t - 1)
    return b.relu(inside)


def _chain(b: Builder, factors: list[Form], constants: PaperConstants) -> Form:
    value = factors[0]
    for i, factor in enumerate(factors[1:], 1):
        value = paper_product_form(b, factor, value, constants.levels, constants.bound)
        if i < len(factors) - 1:
            value = b.relu(value + 2) - 2  # products of numbers in [-1,1], errors below 1: one unit carries them
    return value
