"""How many bits does every network of fixed size need that serves a whole Hölder class? A lower bound by packing."""

from __future__ import annotations

import math
from typing import Any

from flint import arb

from approx.errors import InputError
from approx.numbers import to_arb, to_fmpq, working_precision
from approx.targets import make_domain

_BITS = 128


def entropy_bits(alpha: Any, constant: Any, domain: Any, eps: Any) -> int:
    """Return a number of bits below which no family of networks is within eps of all f with |f(x)-f(y)| <= C |x-y|_inf^alpha.

    Statement. Cut the box into cubes of side h > h0 = (2 eps / C)^(1/alpha), m_i = ceil(w_i / h0) - 1 along an axis of width
    w_i. On every cube put +-(C / 2^(1-alpha)) dist(x, boundary)^alpha: as a^alpha + b^alpha <= 2^(1-alpha) (a + b)^alpha, all
    2^(m_1 ... m_d) choices of signs lie in the class. Two of them differ by C h^alpha > 2 eps somewhere, so no network is
    within eps of both: at least m_1 ... m_d bits of weights. Proved (in balls, rounded down); 0 where eps >= C w^alpha / 2.

    It holds for the worst function of the class: a single one, such as a sine, may need far fewer.
    Raises InputError unless 0 < alpha <= 1, constant > 0 and eps > 0. Source: Kolmogorov and Tikhomirov's argument.

    >>> entropy_bits(1, 1, (0, 1), 1e-3), entropy_bits(1, 1, [(0, 1)] * 2, 0.01)
    (499, 2401)
    """
    with working_precision(_BITS):
        power, size, error = to_arb(alpha), to_arb(constant), to_arb(eps)
        for name, value, given in (("constant", size, constant), ("eps", error, eps), ("alpha", power, alpha)):
            if not value > 0:
                raise InputError(name, given, "a positive number")
        if not power <= 1:
            raise InputError("alpha", alpha, "a number in (0, 1]")
        ratio = 2 * error / size
        side = ratio if power == 1 else (ratio.log() / power).exp()
        counts = []
        for low, high in make_domain(domain):
            lower = (arb(high - low) / side).lower()
            counts.append(max(0, int(to_fmpq(lower.ceil()).p) - 1))
    return math.prod(counts)
