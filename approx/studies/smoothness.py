"""How many independent bumps does a smoothness class hold? The one fact behind all lower bounds for classes of functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

from flint import arb, fmpq, fmpq_poly

from approx.errors import InputError, RegularityError
from approx.numbers import float_down, to_arb, to_fmpq, working_precision
from approx.targets import Target

_BITS = 128
_CELLS = 256  # of [0, 1], on which derivatives of the bump are enclosed


@dataclass(frozen=True)
class SmoothnessClass:
    """All f on a box with |f(x)-f(y)| <= constant |x-y|_inf^order (order <= 1), or |D^a f| <= constant for all |a| = order.

    In the second case (whole order >= 2) derivatives of order - 1 are Lipschitz and D^a is meant almost everywhere.
    `widths` are the widths of the box. Raises InputError for any other order or a constant that is not positive.
    """

    order: float
    constant: float
    widths: tuple[fmpq, ...]

    def __post_init__(self) -> None:
        if not (0 < self.order <= 1 or (self.order == int(self.order) and 2 <= self.order <= 12)):
            raise InputError("order", self.order, "a number in (0, 1] or an integer from 2 to 12")
        if not 0 < self.constant < math.inf:
            raise InputError("constant", self.constant, "a positive finite number")

    @property
    def dimension(self) -> int:
        """The number of variables."""
        return len(self.widths)

    def amplitude(self, bumps: int) -> float:
        """Return A such that all 2^bumps sums of +-A B_i (disjoint supports, sup 1) are in the class; rounded down (proved).

        Proof. Cubes of side h <= min_i w_i / n_i with n_1 ... n_d >= bumps fit into the box. Order alpha <= 1, as in
        `entropy_bits`: A B = C 2^(alpha-1) dist(x, boundary)^alpha, so A = C 2^(alpha-1) (h/2)^alpha. Order r >= 2:
        B = prod_k b(x_k/h), b(t) = (4t(1-t))^r, whose derivatives below r vanish at 0 and 1, so that sums are as smooth as
        B; D^a B is at most h^-r prod_k sup |b^(a_k)|, hence A = C h^r / max over |a| = r of prod_k sup |b^(a_k)|.
        """
        if bumps < 1:
            raise InputError("bumps", bumps, "a positive number of bumps")
        with working_precision(_BITS):
            side = to_arb(_side(self.widths, bumps))
            if self.order <= 1:
                power = to_arb(to_fmpq(self.order))
                raised = side if self.order == 1 else ((side / 2).log() * power).exp() * to_arb(2) ** power
                return max(0.0, float_down(to_arb(to_fmpq(self.constant)) * raised / 2))
            r = int(self.order)
            return max(0.0, float_down(to_arb(to_fmpq(self.constant)) * side**r / _largest(r, self.dimension)))

    def __str__(self) -> str:
        if self.order <= 1:
            return f"|f(x)-f(y)| <= {self.constant:.4g} |x-y|^{self.order:g}"
        return f"|D^a f| <= {self.constant:.4g} for |a| = {self.order:g}"


def class_of(target: Target, order: float | None = None) -> SmoothnessClass:
    """Return the SmoothnessClass of the target: of the given order; by default 2 if its derivatives are bounded, else Hölder.

    Raises RegularityError when the target has no such bound, or is constant (then there is nothing to bound from below).

    >>> class_of(Target("x**2")).order, class_of(Target("abs(x - 1/3)")).order
    (2, 1.0)
    """
    widths = tuple(fmpq(high) - fmpq(low) for low, high in target.domain)
    wanted = 2 if order is None else SmoothnessClass(order, 1, widths).order
    constant = math.nan
    if wanted >= 2 and wanted == int(wanted):
        constant = _derivatives(target, int(wanted))
        if order is None and not 0 < constant < math.inf:
            wanted = 1
    if wanted <= 1:
        alpha, constant = target.hoelder()
        if order is not None and order > alpha:
            raise RegularityError(f"order: {target.text} is only known to be Hölder of order {alpha:g}, not {order:g}")
        if order is not None and order < alpha:
            # |x-y|^alpha <= diameter^(alpha-order) |x-y|^order
            constant *= max(1.0, float(max(map(float, map(_decimal, widths)))) ** (alpha - order)) * (1 + 1e-12)
            alpha = order
        wanted = alpha
    if constant == 0:
        raise RegularityError(
            f"order: derivatives of order {wanted:g} of {target.text} vanish, its class bounds nothing from below"
        )
    if not constant < math.inf:
        raise RegularityError(f"order: no bound of the derivatives of order {wanted:g} of {target.text} is found")
    return SmoothnessClass(wanted, constant, widths)


def _decimal(value: fmpq) -> float:
    return float(int(value.p) / int(value.q))


def _derivatives(target: Target, order: int) -> float:
    worst = 0.0
    for chosen in combinations_with_replacement(range(target.dimension), order):
        bound = target.derivative_bound(tuple(chosen.count(k) for k in range(target.dimension)))
        if not bound < math.inf:
            return math.inf
        worst = max(worst, bound)
    return worst


def _side(widths: tuple[fmpq, ...], bumps: int) -> fmpq:
    """The largest side of cubes such that at least `bumps` of them stand side by side in the box."""

    def count(side: fmpq) -> int:
        return math.prod(int((w / side).floor()) for w in widths)

    volume = math.prod((_decimal(w) for w in widths), start=1.0)
    guess = (volume / bumps) ** (1 / len(widths))
    # The best side divides one of the widths: next to the guess along every axis, and further where boxes are thin.
    candidates = [w / n for w in widths for n in range(max(1, int(_decimal(w) / guess)), int(_decimal(w) / guess) + 3)]
    fitting = [s for s in candidates if count(s) >= bumps]
    while not fitting:
        guess /= 2
        fitting = [s for s in (w / max(1, math.ceil(_decimal(w) / guess)) for w in widths) if count(s) >= bumps]
    return max(fitting)


@cache
def _largest(order: int, dimension: int) -> arb:
    """An upper bound of max over |a| = order of prod_k sup |b^(a_k)|, b = (4t(1-t))^order."""
    bump = fmpq_poly([0, 4, -4]) ** order
    sups = []
    for _ in range(order + 1):
        sups.append(_sup(bump))
        bump = bump.derivative()
    worst = arb(0)
    for chosen in combinations_with_replacement(range(dimension), order):
        product = arb(1)
        for k in range(dimension):
            product *= sups[chosen.count(k)]
        worst = worst if product.upper() <= worst.upper() else product
    return arb(worst.upper())


def _sup(polynomial: fmpq_poly) -> arb:
    from flint import arb_poly

    ball, slope = arb_poly(polynomial), arb_poly(polynomial.derivative())
    half, worst = arb(1) / (2 * _CELLS), arb(0)
    for k in range(_CELLS):
        middle = arb(2 * k + 1) / (2 * _CELLS)
        cell = middle + arb(0, half)
        value = (ball(middle) + slope(cell) * arb(0, half)).abs_upper()
        worst = worst if value <= worst else value
    return worst
