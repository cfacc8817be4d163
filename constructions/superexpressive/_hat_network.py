"""Which units make a lookup table of Taylor polynomials, blended by hat functions, out of sin and arcsin? All gadgets exact.

With t = (x - lower)/(upper - lower), J cells on an axis, h = 1/J, z_g = J t/2 - g/2 and T(z) = arcsin(sin(pi z))/pi:
- hats: phi_0 = 1/2 + arcsin(cos(pi J t))/pi, phi_1 = 1 - phi_0, the partition of unity over even (g = 0) and odd nodes;
- staircase: a = T(z + eta), b = T(z - eta), s = (a - b)/(2 eta) = +-1, tau = (a + b)/2, and round(z) = z + 1 - |tau + s|, where
  |y| = pi/2 - arcsin(cos y) for |y| <= pi: exact except where |z - 1/2 - integer| < eta, and there phi_g < 2 eta;
- address: cos(theta (1 + sum_i stride_i n_{g_i}(x_i))), one per class g in {0,1}^d and table;
- product with a factor sin(psi): sin u sin psi = [sin(u - psi + pi/2) - sin(u + psi + pi/2)]/2; psi = arcsin(phi/2) for hats;
- Chebyshev factors: sin u cos(k omega) = [sin(u + k omega) + sin(u - k omega)]/2 with omega = pi/2 - arcsin(a + b), where
  a + b = 2 tau = +-(x - node)/h, the sign (-1)^n being absorbed in the decoded coefficients.
Both product formulas depend on sin u alone, so u may be replaced by arcsin(sin u): every long weight is used exactly once.
The polynomial P of every class is added up, and arcsin(P/S) is multiplied by the hats. 26, 60, 136 units at order 1 in 1, 2, 3
variables (2^d fewer pairs of sin and arcsin would do, at the price of every long weight occurring 2^d times). Skips from the
input carry x.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import arccos, pi
from constructions.superexpressive._grid import strides
from constructions.superexpressive._multipoint import indices_below

#: A class of nodes: their parities, axis by axis. A table key is (class, multi-index of the coefficient).
Parity = tuple[int, ...]
Key = tuple[Parity, tuple[int, ...]]


@dataclass(frozen=True)
class HatParameters:
    """Everything that determines the network: sides of the box, cells per axis, order, eta = 2^-ramp, and the tables.

    `bits` and `amplitudes` go by multi-index, `integers` by (parity, multi-index); `centre` is added to the output.
    """

    lower: tuple[fmpq, ...]
    upper: tuple[fmpq, ...]
    cells: tuple[int, ...]
    order: int
    ramp: int
    bits: Mapping[tuple[int, ...], int]
    amplitudes: Mapping[tuple[int, ...], fmpq]
    integers: Mapping[Key, int]
    centre: fmpq

    @property
    def dimension(self) -> int:
        """The number of variables."""
        return len(self.cells)

    @property
    def indices(self) -> list[tuple[int, ...]]:
        """The multi-indices of the coefficients."""
        return indices_below(self.dimension, self.order)

    @property
    def total(self) -> fmpq:
        """The sum of the amplitudes, a bound of every local polynomial (without the centre)."""
        return sum(self.amplitudes.values(), fmpq(0))


def parities(dimension: int) -> list[Parity]:
    """The classes g in {0,1}^d."""
    return list(itertools.product((0, 1), repeat=dimension))


def class_counts(cells: Sequence[int], parity: Parity) -> tuple[int, ...]:
    """The number of nodes of a class on every axis."""
    return tuple(j // 2 + 1 if g == 0 else (j + 1) // 2 for j, g in zip(cells, parity, strict=True))


def units(dimension: int, order: int) -> int:
    """The number of hidden units, which depends on nothing else."""
    d, classes = dimension, 2**dimension
    per_class = 1 + sum(2 + (1 + sine_count(alpha) if any(alpha) else 0) for alpha in indices_below(d, order))
    return (14 + (2 if order == 1 else 4)) * d + classes * per_class + 4**d


def sine_count(alpha: Sequence[int]) -> int:
    """How many sines the product of a decoded value with its Chebyshev factors takes."""
    return 2 ** sum(k > 0 for k in alpha)


@dataclass(frozen=True)
class AxisForms:
    """The forms of one axis for g = 0, 1: n_g, phi_g, arcsin(phi_g/2) and, for higher orders, omega_g."""

    index: tuple[Form, Form]
    hats: tuple[Form, Form]
    waves: tuple[Form, Form]
    omega: tuple[Any, Any]


def network_of(p: HatParameters) -> Network:
    """The network, with exact weights."""
    b = Builder(p.dimension)
    axes = [axis_forms(b, p, i) for i in range(p.dimension)]
    terms: list[tuple[Any, Form]] = []
    for parity in parities(p.dimension):
        index = linear_combination(
            zip(
                strides(class_counts(p.cells, parity)),
                (axis.index[g] for axis, g in zip(axes, parity, strict=True)),
                strict=True,
            ),
            fmpq(1),
        )
        decoded = {alpha: _decoded(b, p, parity, alpha, index) for alpha in p.indices}
        omegas = [axis.omega[g] for axis, g in zip(axes, parity, strict=True)]
        angle = b.unit(_polynomial(b, p, decoded, omegas), "arcsin")
        waves = [axis.waves[g] for axis, g in zip(axes, parity, strict=True)]
        # phi_i = 2 sin psi_i
        terms += [(ceiling(p) * 2**p.dimension * c, b.unit(form, "sin")) for c, form in _times_sines(angle, waves)]
    return b.build([linear_combination(terms, p.centre)])


def ceiling(p: HatParameters) -> fmpq:
    """S, a little more than the sum of the amplitudes, so that arcsin(P/S) stays away from the ends."""
    return p.total * fmpq(17, 16)


def axis_forms(b: Builder, p: HatParameters, i: int) -> AxisForms:
    """The units of axis i: 14 of them, and two (four at higher orders) for the waves."""
    low, high, cells = p.lower[i], p.upper[i], p.cells[i]
    y = (b.input(i) - low) * (cells / (high - low))
    eta = fmpq(1, 2**p.ramp)
    cosine = b.unit(b.unit(pi() * y + pi() / 2, "sin"), "arcsin") / pi()
    hats = (cosine + fmpq(1, 2), fmpq(1, 2) - cosine)
    index, omega = [], []
    for g in (0, 1):
        z = y / 2 - fmpq(g, 2)
        right, left = (b.unit(b.unit(pi() * (z + e), "sin"), "arcsin") / pi() for e in (eta, -eta))
        steep = (right + left) / 2 + (right - left) / (2 * eta)
        index.append(z + (1 - pi() / 2) + b.unit(b.unit(steep + pi() / 2, "sin"), "arcsin"))
        omega.append(pi() / 2 - b.unit(right + left, "arcsin") if p.order > 1 else None)
    waves = [b.unit(hat / 2, "arcsin") for hat in hats]
    return AxisForms((index[0], index[1]), hats, (waves[0], waves[1]), (omega[0], omega[1]))


def _decoded(b: Builder, p: HatParameters, parity: Parity, alpha: tuple[int, ...], index: Form) -> Form:
    """The unit sin(2 pi v), v = 2 A cos(theta index): the decoded value."""
    theta = arccos(fmpq(1, 2 ** (p.bits[alpha] + 1)))
    return b.unit((4 * p.integers[parity, alpha] * pi()) * b.unit(theta * index + pi() / 2, "sin"), "sin")


def _polynomial(b: Builder, p: HatParameters, decoded: Mapping[tuple[int, ...], Form], omegas: Sequence[Any]) -> Form:
    """P/S: the sum of amplitude * decoded value * prod T_{alpha_i}, as a form over sines."""
    parts: list[tuple[Any, Form]] = []
    for alpha, value in decoded.items():
        scale = p.amplitudes[alpha] / ceiling(p)
        if not any(alpha):
            parts.append((scale, value))
            continue
        products = [(scale, b.unit(value, "arcsin"))]
        for k, omega in zip(alpha, omegas, strict=True):
            if k:
                products = [(c / 2, form + e * k * omega) for c, form in products for e in (1, -1)]
        parts += [(c, b.unit(form, "sin")) for c, form in products]
    return linear_combination(parts)


def _times_sines(angle: Form, waves: Sequence[Form]) -> list[tuple[fmpq, Form]]:
    """sin(angle) * prod sin(psi_i) as pairs (c, form): the sum of c sin(form)."""
    products = [(fmpq(1), angle)]
    for psi in waves:
        products = [(e * c / 2, form - e * psi + pi() / 2) for c, form in products for e in (1, -1)]
    return products
