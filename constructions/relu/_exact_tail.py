"""How are cell polynomials evaluated and joined without any error of products? By finite differences of max(t, 0)^p."""

from __future__ import annotations

import math
from typing import Any

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from constructions.relu._cell_grid import REACH, Front
from constructions.relu._cell_polynomials import CellPolynomials, Index
from constructions.relu.exact_products import square_stencil


class ExactTail:
    """Horner's rule per family and blends P_0 + w (P_1 - P_0) along the axes, exact products by units of one power.

    A number is held by p units max(t + B + j step, 0)^p, j = 0..p-1, of which the difference of order p - 1 is
    p! step^(p-1) (t + B + (p - 1) step / 2). Coefficient functions are read p times each, by units that hold them.
    """

    def __init__(self, polynomials: CellPolynomials, stand: Front, inputs: int) -> None:
        self.power, self.order = stand.power, polynomials.order
        self.activation = f"relu{stand.power}"
        self.families = list(polynomials.coefficients)
        self.dimension = len(self.families[0])
        # Between the cores up to 2^d indicators are positive, each at most 1.
        overlap = 1 if self.dimension == 1 else 2**self.dimension
        some = polynomials.coefficients[self.families[0]]
        self.bound = {a: _above(overlap * to_fmpq(polynomials.largest(a))) for a in some}
        self.builder = Builder(inputs)
        p = stand.power
        self.stencil = square_stencil([0] * p + [1], 0, 8 if p == 2 else 16, 4)
        self.signs = [(-1) ** (p - 1 - j) * math.comb(p - 1, j) for j in range(p)]

    def network(self, local: Any, weight: Any, coefficient: Any) -> Network:
        """The network over virtual inputs.

        local(axis, parity), weight(axis): the forms of the p units that hold 1 coordinate or blending weight;
        coefficient(family, alpha): the form of a coefficient function, read with powers of two only.
        """
        values: dict[Index, tuple[Form, fmpq]] = {}
        for family in self.families:
            values[family] = self._horner(family, 0, (), self.order - 1, local, coefficient)
        for axis in range(self.dimension - 1, -1, -1):
            joined: dict[Index, tuple[Form, fmpq]] = {}
            for rest in {f[:axis]: None for f in values}:
                pair = [values[(*rest, p)] for p in (0, 1) if (*rest, p) in values]
                joined[rest] = pair[0] if len(pair) == 1 else self._blend(pair, self._number(weight(axis), fmpq(0)))
            values = joined
        return self.builder.build([values[()][0]])

    def _blend(self, pair: list[tuple[Form, fmpq]], w: Form) -> tuple[Form, fmpq]:
        (first, a), (second, b) = pair
        factor = math.factorial(self.power)
        return first + self._product(w, second - first, fmpq(factor), a + b) / factor, a + b

    def _horner(
        self, family: Index, axis: int, prefix: Index, degree: int, local: Any, coefficient: Any
    ) -> tuple[Form, fmpq]:
        if axis == self.dimension:
            return self._held(coefficient(family, prefix), self.bound[prefix]), self.bound[prefix]
        total, bound = self._horner(family, axis + 1, (*prefix, degree), 0, local, coefficient)
        factor = math.factorial(self.power)
        s = self._number(local(axis, family[axis]), REACH)
        for j in range(degree - 1, -1, -1):
            if j < degree - 1:  # a product's form holds its factors' forms: without new units they would grow with every step
                total = self._held(total, bound)
            product = self._product(s, total, factor * REACH, bound) / factor
            low, size = self._horner(family, axis + 1, (*prefix, j), degree - j, local, coefficient)
            total, bound = low + product, _above(size + REACH * bound)
        return total, bound

    def _number(self, units: list[Form], base: fmpq) -> Form:
        """p! times the number that units max(number + base + j, 0)^p hold: weights are integers."""
        p = self.power
        return linear_combination(zip(self.signs, units, strict=True), -math.factorial(p) * (base + fmpq(p - 1, 2)))

    def _held(self, t: Form, bound: fmpq) -> Form:
        """The form t, |t| <= bound, through units of its own."""
        p, size = self.power, _above(bound)
        units = [self.builder.unit(t / size + 2 * (j + 1), self.activation) for j in range(p)]
        scale = math.factorial(p) * 2 ** (p - 1)
        return size * (linear_combination(zip(self.signs, units, strict=True)) / scale - (p + 1))

    def _product(self, x: Form, y: Form, x_bound: fmpq, y_bound: fmpq) -> Form:
        """x y by squares of numbers that are at most 2, with twice the room: models of arguments do not see them cross 0."""
        x_size, y_size = _above(x_bound), _above(y_bound)
        sums = [self.stencil.form(self.builder, x / x_size + sign * y / y_size, self.activation) for sign in (1, -1)]
        return (x_size * y_size / 4) * (sums[0] - sums[1])


def _above(value: fmpq) -> fmpq:
    """The least power of two that is at least the value (1 for 0)."""
    if value == 0:
        return fmpq(1)
    power = fmpq(2) ** (int(value.p).bit_length() - int(value.q).bit_length() - 1)
    while power < value:
        power *= 2
    return power
