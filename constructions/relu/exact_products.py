"""How does a piecewise-polynomial activation multiply exactly? Finite differences leave a square, squares a product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import fmpq, fmpq_poly

from approx.errors import InputError
from approx.networks import Builder, Form, linear_combination
from approx.numbers import to_fmpq


@dataclass(frozen=True)
class SquareStencil:
    """t^2 = sum over j of weights[j] * act(scale * t + shifts[j]) + linear * t + constant for |t| <= reach, exactly."""

    scale: fmpq
    shifts: tuple[fmpq, ...]
    weights: tuple[fmpq, ...]
    linear: fmpq
    constant: fmpq
    reach: fmpq

    def form(self, b: Builder, t: Form, activation: str) -> Form:
        """The form t^2 by len(shifts) units of an activation that this stencil was made for."""
        units = [b.unit(self.scale * t + shift, activation) for shift in self.shifts]
        return linear_combination([*zip(self.weights, units, strict=True), (self.linear, t)], self.constant)


def square_stencil(piece: Sequence[Any], lower: Any, upper: Any, reach: Any) -> SquareStencil:
    """The SquareStencil of an activation that is sum_k piece[k] t^k on [lower, upper], of degree n >= 2.

    The difference of order n - 2 of a polynomial of degree n is a polynomial of degree 2: n - 1 units whose arguments stay
    on the piece for |t| <= reach, and what is linear is taken back. No limit, no error, rational weights.
    Raises InputError when the piece has degree below 2, the interval is empty or reach is not positive.
    Source: P19 (products from any piecewise-polynomial activation); the stencil is derived.

    >>> s = square_stencil([0, 0, 0, 1], 0, 4, 1)      # max(t, 0)^3
    >>> len(s.shifts), sum(w * (s.scale / 3 + c) ** 3 for w, c in zip(s.weights, s.shifts)) + s.linear / 3 + s.constant
    (2, 1/9)
    """
    low, high, size = to_fmpq(lower), to_fmpq(upper), to_fmpq(reach)
    if not low < high:
        raise InputError("upper", upper, f"a number above lower = {lower}")
    if not size > 0:
        raise InputError("reach", reach, "a positive number")
    polynomial = fmpq_poly([to_fmpq(c) for c in piece])
    degree = polynomial.degree()
    if degree < 2:
        raise InputError("piece", list(piece), "coefficients of a polynomial of degree 2 or more")
    order, width = degree - 2, high - low
    step = width / (2 * order) if order else fmpq(0)
    # A quarter of the width on each side of the centre for t, the rest of it for the differences.
    room = width / 2 if order else width
    scale, centre = room / (2 * size), low + room / 2
    shifts = tuple(centre + j * step for j in range(order + 1))
    signs = [(-1) ** (order - j) * math.comb(order, j) for j in range(order + 1)]
    total = fmpq_poly([0])
    for sign, shift in zip(signs, shifts, strict=True):
        total += sign * polynomial(fmpq_poly([shift, scale]))
    assert total.degree() == 2  # the leading coefficient is n!/2 c_n step^(n-2) scale^2
    lead = total[2]
    weights = tuple(sign / lead for sign in signs)
    return SquareStencil(scale, shifts, weights, -total[1] / lead, -total[0] / lead, size)


def square_form(b: Builder, t: Form, activation: str, reach: Any) -> Form:
    """The form t^2, exact for |t| <= reach ("relu2": everywhere), by two units "relu2" or "relu3".

    Raises InputError for other activations: square_stencil serves any of them, given one of its pieces.
    """
    if activation == "relu2":
        return b.unit(t, "relu2") + b.unit(-t, "relu2")
    if activation != "relu3":
        raise InputError("activation", activation, "'relu2' or 'relu3'")
    size = to_fmpq(reach)
    return square_stencil([0, 0, 0, 1], 0, 4 * size, size).form(b, t, activation)


def product_form(b: Builder, x: Form, y: Form, activation: str, reach: Any) -> Form:
    """The form x y = ((x + y)^2 - (x - y)^2) / 4, exact for |x| + |y| <= reach ("relu2": everywhere): four units."""
    return (square_form(b, x + y, activation, reach) - square_form(b, x - y, activation, reach)) / 4
