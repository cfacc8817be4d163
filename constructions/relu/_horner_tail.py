"""How are the cell polynomials evaluated and joined? One Horner scheme per family, then blends along the axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from flint import fmpq

from approx.networks import Builder, Form, Network
from approx.numbers import float_up, to_fmpq
from constructions.relu._cell_polynomials import CellPolynomials, Index
from constructions.relu._straight_line import half_width
from constructions.relu.product import product_on_box

_SLACK = 1 + 1e-11


@dataclass
class TailProduct:
    """One product of the scheme: its scale (error = scale 4^-(m+1)), its copies in the network, its levels."""

    scale: fmpq
    copies: int
    levels: int = 0

    @property
    def error(self) -> float:
        """The proved error bound of this product, one copy."""
        return float_up(self.scale) * 4.0 ** -(self.levels + 1)


class Tail:
    """The plan of all products for given coefficient bounds, and the network that carries it out.

    Every family evaluates its polynomial by nested Horner's rule in the local coordinates, |s| <= 1; products that
    occupy the same place in different families have the same levels. Then P = P_0 + w (P_1 - P_0) along the axes.
    The total error is at most the sum over the scheme's products, because blends are convex combinations.
    """

    def __init__(self, polynomials: CellPolynomials, budget: float) -> None:
        self.order = polynomials.order
        self.families = list(polynomials.coefficients)
        self.dimension = len(self.families[0])
        some = polynomials.coefficients[self.families[0]]
        self.bound = {a: polynomials.largest(a) * _SLACK for a in some}
        self.products: dict[Index, TailProduct] = {}
        self.room = 2 * budget  # for the errors of the products inside: all of them together stay below the budget
        self.total = self._plan(0, (), self.order - 1)
        self.shift = self.total + self.room
        self._plan_blends()

    # -- the plan: bounds by recursion, the same recursion that builds ------------------------------------------------

    def _plan(self, axis: int, prefix: Index, degree: int) -> float:
        if axis == self.dimension:
            return self.bound[prefix]
        total = self._plan(axis + 1, (*prefix, degree), 0)
        for j in range(degree - 1, -1, -1):
            key = (*prefix, j, -1)
            self.products[key] = TailProduct(half_width(to_fmpq(self._roomy(total))), len(self.families))
            total = (total + self._plan(axis + 1, (*prefix, j), degree - j)) * _SLACK
        return total

    def _roomy(self, bound: float) -> float:
        return bound + self.room

    def _plan_blends(self) -> None:
        groups = set(self.families)
        for axis in range(self.dimension - 1, -1, -1):
            rests = {f[:axis] for f in groups}
            pairs = sum(1 for r in rests if len({f[axis] for f in groups if f[:axis] == r}) == 2)
            if pairs:
                scale = half_width(to_fmpq(2 * (self.shift + self.room))) / 2
                self.products[(axis, -2)] = TailProduct(scale, pairs)
            groups = rests

    @property
    def error(self) -> float:
        """The proved error of all products together."""
        return sum(p.error for p in self.products.values()) * _SLACK

    def choose_levels(self, budget: float) -> bool:
        """Levels with total error <= budget and few weights (greedy); whether that is possible."""
        plan = list(self.products.values())
        for p in plan:
            p.levels = 0
        copies = sum(p.copies for p in plan)
        for p in plan:
            share = budget * p.copies / max(copies, 1)
            ratio = float_up(p.scale) / share if share > 0 else math.inf
            if not math.isfinite(ratio):
                return False
            p.levels = max(0, math.floor(math.log(max(ratio, 1e-30), 4) - 1))
        while self.error > budget:
            max(plan, key=lambda p: p.error / p.copies).levels += 1
            if max(p.levels for p in plan) > 200:
                return False
        for p in sorted(plan, key=lambda p: -p.copies):
            while p.levels > 0 and self.error + p.error * 3 <= budget:
                p.levels -= 1
        return True

    def estimate(self) -> int:
        """About how many weights the products need."""
        return sum(p.copies * (10 * p.levels + 15) for p in self.products.values())

    # -- the network over virtual inputs ------------------------------------------------------------------------------

    def network(
        self, inputs: int, local: Callable[[int, int], Form], weight: Callable[[int], Form],
        coefficient: Callable[[Index, Index], Form],
    ) -> Network:  # fmt: skip
        """The network whose inputs are local coordinates, blending weights and coefficient functions.

        Every coefficient form is read once, by one unit, with weight 1.
        """
        b = Builder(inputs)
        values: dict[Index, Form] = {}
        for family in self.families:
            form, _ = self._horner(b, family, 0, (), self.order - 1, local, coefficient)
            values[family] = self._unit(b, form, self.shift)
        return b.build([self._blend(b, values, weight)])

    def _unit(self, b: Builder, form: Form, bound: float) -> Form:
        # A unit that holds form + shift >= 0, shift a short number above the bound.
        grain = fmpq(2) ** (math.frexp(bound)[1] - 8)
        shift = fmpq((to_fmpq(bound) / grain).ceil() + 1) * grain
        return b.relu(form + shift) - shift

    def _horner(
        self, b: Builder, family: Index, axis: int, prefix: Index, degree: int,
        local: Callable[[int, int], Form], coefficient: Callable[[Index, Index], Form],
    ) -> tuple[Form, float]:  # fmt: skip
        if axis == self.dimension:
            return coefficient(family, prefix), self.bound[prefix]
        total, bound = self._horner(b, family, axis + 1, (*prefix, degree), 0, local, coefficient)
        s = local(axis, family[axis])
        for j in range(degree - 1, -1, -1):
            plan = self.products[(*prefix, j, -1)]
            held = self._unit(b, total, self._roomy(bound))
            half = half_width(to_fmpq(self._roomy(bound)))
            product = product_on_box(b, s, held, plan.levels, (-1, 1), (-half, half))
            low, size = self._horner(b, family, axis + 1, (*prefix, j), degree - j, local, coefficient)
            total, bound = low + product, (bound + size) * _SLACK
        return total, bound

    def _blend(self, b: Builder, values: dict[Index, Form], weight: Callable[[int], Form]) -> Form:
        for axis in range(self.dimension - 1, -1, -1):
            joined: dict[Index, Form] = {}
            for rest in {f[:axis]: None for f in values}:
                pair = [values[(*rest, p)] for p in (0, 1) if (*rest, p) in values]
                if len(pair) == 1:
                    joined[rest] = pair[0]
                    continue
                plan = self.products[(axis, -2)]
                half = plan.scale * 2
                product = product_on_box(b, weight(axis), pair[1] - pair[0], plan.levels, (0, 1), (-half, half))
                value = pair[0] + product
                joined[rest] = self._unit(b, value, self.shift + self.room) if axis else value
            values = joined
        return values[()]
