"""How are numbers multiplied by ReLU units? Two squares per product, exact zeros kept, trees for several factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import fmpq

from approx.errors import InputError
from approx.networks import Builder, Form, Network
from approx.numbers import to_fmpq
from constructions.relu.square import absolute_unit, checked_levels, square_error, square_form, square_weights


class Ranged(NamedTuple):
    """A form that stands for an exact quantity: |form - quantity| <= error, and both are at most bound in size."""

    form: Form
    bound: fmpq
    error: fmpq


def _positive(name: str, value: Any) -> fmpq:
    number = to_fmpq(value)
    if number <= 0:
        raise InputError(name, value, "a positive number")
    return number


def product_form(
    builder: Builder, x: Form, y: Form, levels: int, bounds: tuple[Any, Any] = (1, 1), nonnegative: bool = False
) -> Form:
    """The form of x*y for |x| <= A, |y| <= B, (A, B) = bounds: A B [f_m(|x/A + y/B| / 2) - f_m(|x/A - y/B| / 2)].

    Guarantee (proved): |form - xy| <= A B 4^-(m+1); EXACTLY 0 when x = 0 or y = 0; |form| <= A B; and 0 <= form when
    x, y >= 0. Proof: uv = ((u+v)/2)^2 - ((u-v)/2)^2 for u = x/A, v = y/B in [-1,1]; both squares carry an error in
    [0, q], q = 4^-(m+1), so the difference lies in [-q, q]; for u = 0 or v = 0 both arguments are equal; f_m maps
    [0,1] onto [0,1] and is increasing. The caller guarantees the bounds.
    Cost for one-term forms: 10m + 6 weights, 4m units (m >= 2), three weights and one unit fewer with
    nonnegative=True, where the caller guarantees x, y >= 0. Source: derived from P16 Propositions 2, 3.
    """
    a, b = _positive("bounds", bounds[0]), _positive("bounds", bounds[1])
    u, v = x * (1 / (2 * a)), y * (1 / (2 * b))
    plus = builder.relu(u + v) if nonnegative else absolute_unit(builder, u + v)
    minus = absolute_unit(builder, u - v)
    return (square_form(builder, plus, levels) - square_form(builder, minus, levels)) * (a * b)


def product_on_box(
    builder: Builder, x: Form, y: Form, levels: int, x_range: tuple[Any, Any], y_range: tuple[Any, Any]
) -> Form:
    """The form of x*y for x, y in given intervals, by the centred product (x - c)(y - d) + d x + c y - c d.

    Guarantee (proved): |form - xy| <= r s 4^-(m+1) with r, s the half-widths; exact when one of them is 0. Zeros of x
    and y are NOT preserved unless both intervals are symmetric. Cost: as product_form plus the forms x, y once.
    """
    (xl, xu), (yl, yu) = ((to_fmpq(v) for v in r) for r in (x_range, y_range))
    if xl > xu or yl > yu:
        raise InputError("x_range", (x_range, y_range), "intervals with lower <= upper")
    c, r, d, s = (xl + xu) / 2, (xu - xl) / 2, (yl + yu) / 2, (yu - yl) / 2
    linear = x * d + y * c - c * d
    if r == 0 or s == 0:
        return linear
    return product_form(builder, x - c, y - d, levels, (r, s)) + linear


def paper_product_form(builder: Builder, x: Form, y: Form, levels: int, bound: Any = 1) -> Form:
    """The form of x*y on [-M,M]^2 by the paper's three squares: 2M^2 [q(|x+y|/2M) - q(|x|/2M) - q(|y|/2M)], q = f_m.

    Guarantee (proved): the error lies in [-4 M^2 4^-(m+1), 2 M^2 4^-(m+1)]; exactly 0 when x = 0 or y = 0.
    Cost for one-term forms: 15m + 5 weights (m >= 2), half as much again as product_form for up to four times its
    error. Source: P16 Proposition 3 (which allows 6 M^2 4^-(m+1)); the sharper interval is derived here.
    """
    big = _positive("bound", bound)
    scale = 1 / (2 * big)
    squares = [square_form(builder, absolute_unit(builder, form, scale), levels) for form in (x + y, x, y)]
    return (squares[0] - squares[1] - squares[2]) * (2 * big**2)


def product_error(levels: int, bounds: tuple[Any, Any] = (1, 1), variant: str = "economical") -> fmpq:
    """The proved bound of |product - xy|: A B 4^-(m+1), for variant="paper" 4 M^2 4^-(m+1).

    >>> product_error(12) == fmpq(1, 4**13)
    True
    """
    scale = to_fmpq(bounds[0]) * to_fmpq(bounds[1])
    return scale * square_error(levels) * (4 if variant == "paper" else 1)


def product_weights(levels: int, variant: str = "economical") -> int:
    """The exact number of weights of `product(levels)`: 10m + 6, for variant="paper" 15m + 5 (m >= 2).

    >>> product_weights(12), product_weights(12, "paper")
    (126, 185)
    """
    squares = square_weights(levels)
    return 2 * (squares + 5) if variant == "economical" else 3 * squares + 5 + 2 * 3


def product(levels: int, bound: Any = 1, variant: str = "economical") -> Network:
    """The network R^2 -> R with |net(x, y) - xy| <= A^2 4^-(m+1) on [-A,A]^2, exactly 0 when x = 0 or y = 0.

    Cost: `product_weights(levels, variant)`, that is 126 weights and 48 units at m = 12. variant="paper" is the
    three-square form of P16 Proposition 3. Raises InputError on bound <= 0, levels that are no integer >= 0, or an
    unknown variant.

    >>> product(12).size.weights, product(12).size.units
    (126, 48)
    """
    if variant not in ("economical", "paper"):
        raise InputError("variant", variant, "'economical' or 'paper'")
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    if variant == "paper":
        return b.build([paper_product_form(b, x, y, levels, bound)])
    return b.build([product_form(b, x, y, levels, (bound, bound))])


def product_ranged(builder: Builder, x: Ranged, y: Ranged, levels: int) -> Ranged:
    """The product of two approximate quantities with its propagated bounds (proved).

    |x'y' - xy| <= |x'| |y'-y| + |x'-x| |y| <= A e_y + B e_x, plus the product's own error; |form|, |xy| <= A B.
    A factor with bound 0 gives the zero form.
    """
    checked_levels(levels)
    if x.bound == 0 or y.bound == 0:
        return Ranged(Form(), fmpq(0), fmpq(0))
    form = product_form(builder, x.form, y.form, levels, (x.bound, y.bound))
    carried = x.bound * y.error + x.error * y.bound
    return Ranged(form, x.bound * y.bound, carried + product_error(levels, (x.bound, y.bound)))


def product_tree(builder: Builder, factors: Sequence[Ranged], levels: int) -> Ranged:
    """The product of several quantities by a balanced tree of two-factor products, with the propagated proved bound.

    Guarantee: |form - exact product| <= error, |form| <= product of the bounds, exactly 0 when one factor's form is
    0. For k exact factors with |x_i| <= 1 the error is at most (k - 1) 4^-(m+1). Cost: k - 1 products, depth
    O(m log k). Raises InputError without factors. Source: derived.
    """
    if not factors:
        raise InputError("factors", 0, "at least one factor")
    row = list(factors)
    while len(row) > 1:
        pairs = [product_ranged(builder, a, b, levels) for a, b in zip(row[::2], row[1::2], strict=False)]
        row = pairs + row[2 * len(pairs) :]
    return row[0]


def product_of(number: int, levels: int, bound: Any = 1) -> tuple[Network, fmpq]:
    """The network R^k -> R for x_1 x_2 ... x_k on [-A,A]^k, and its proved error bound.

    >>> net, error = product_of(3, 12)
    >>> error == fmpq(2, 4**13)
    True
    """
    if number < 1:
        raise InputError("number", number, "at least one factor")
    b = Builder(number)
    factors = [Ranged(b.input(i), _positive("bound", bound), fmpq(0)) for i in range(number)]
    result = product_tree(b, factors, levels)
    return b.build([result.form]), result.error
