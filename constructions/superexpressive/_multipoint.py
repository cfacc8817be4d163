"""How far is a blend of damped Taylor polynomials at grid nodes from the function? One order better than the polynomials.

On a grid of width h_i along axis i, with the hat functions phi_p (products of |x_i - p_i|/h_i), and m >= 1, let

    I_m f = sum_p phi_p sum_{|a| < m} (1 - |a|/m) D^a f(p)/a! (x - p)^a.

m = 1 is multilinear interpolation. THEOREM. I_m reproduces polynomials of total degree m, and on the whole box

    |f - I_m f| <= 1/(m! m (m+1)) sum_{|b| = m+1} (m+1)!/b! sup|D^b f| prod_i e_{b_i} h_i^{b_i},

e_k = max over t in [0,1] of t^k (1-t) + (1-t)^k t, e_0 = 1 (1/2, 1/4, 1/8, 1/12, ... for k = 1, 2, 3, 4). Proof. With
delta = p - x, Taylor's formula at x with integral remainder for f and its derivatives at p: the terms of order 2..m cancel
since sum_j C(k,j) (-1)^j (1 - j/m) = 0 for 2 <= k <= m, those of order 1 since sum_p phi_p delta = 0, and the remainders add
up to +-int_0^1 s^{m-1} (1-s) D^{m+1} f(x + s delta)[delta^{m+1}] ds / m!, the integral of s^{m-1}(1-s) being 1/(m(m+1)).
Under the product weights phi_p the mean of |delta_i|^k is at most e_k h_i^k.

Two refinements. For m = 1 only b = 2 e_i counts (interpolate axis by axis): sum_i h_i^2 sup|D_i^2 f|/8. For m > 1 a term with
b_i = 1 on r axes may be replaced by the one with b_i = 2 there, 1/(m (m+1)) becoming 1/((m+r)(m+r+1)): the mean of delta_i
being zero, D^b f may be lessened by its value at delta_i = 0. The smaller of the two is taken.

Without derivatives, m = 1: |f - I_1 f| <= mean of omega(|delta|_inf) <= omega(mean of |delta|_inf) <= omega(|h|_2 / 2) for a
concave modulus omega, since the mean of delta_i^2 is at most h_i^2/4. Source: derived.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cache

from flint import arb, fmpq

from approx.numbers import float_up, to_float, working_precision
from approx.targets import Target

_STEPS = 2048


def multi_indices(dimension: int, total: int) -> Iterator[tuple[int, ...]]:
    """All multi-indices of the given total degree."""
    for cut in itertools.combinations(range(total + dimension - 1), dimension - 1):
        edges = (-1, *cut, total + dimension - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


def indices_below(dimension: int, order: int) -> list[tuple[int, ...]]:
    """All multi-indices of total degree < order, by degree."""
    return [alpha for degree in range(order) for alpha in multi_indices(dimension, degree)]


@cache
def mean_power(k: int) -> fmpq:
    """An upper bound of e_k, exact up to 2^-11."""
    if k == 0:
        return fmpq(1)
    if k <= 3:
        return fmpq(1, 2**k)
    # On [a, b] within [0, 1/2]: t^k (1-t) <= b^k (1-a), (1-t)^k t <= (1-a)^k b.
    best = fmpq(0)
    for j in range(_STEPS // 2):
        a, b = fmpq(j, _STEPS), fmpq(j + 1, _STEPS)
        best = max(best, b**k * (1 - a) + (1 - a) ** k * b)
    return best


def smooth_error(target: Target, steps: Sequence[fmpq], order: int) -> float:
    """The bound of the theorem (rounded up) for m = order, inf where a derivative has no finite bound."""
    m, d = order, target.dimension
    with working_precision(96):
        total = arb(0)
        for beta in multi_indices(d, m + 1):
            if m == 1 and 1 in beta:
                continue
            term = _term(target, steps, beta, m, 0)
            if m > 1 and 1 in beta:
                raised = tuple(2 if k == 1 else k for k in beta)
                term = min(term, _term(target, steps, raised, m, beta.count(1)))
            if math.isinf(term):
                return math.inf
            total += arb(term)
        return float_up(total)


def _term(target: Target, steps: Sequence[fmpq], beta: tuple[int, ...], m: int, raised: int) -> float:
    """One summand, for a derivative that was raised from 1 to 2 on `raised` axes."""
    bound = target.derivative_bound(beta)
    if not math.isfinite(bound):
        return math.inf
    original = math.prod(math.factorial(k) for k in beta) // 2**raised
    share = fmpq(math.factorial(m + 1), original * math.factorial(m) * (m + raised) * (m + raised + 1))
    for k, step in zip(beta, steps, strict=True):
        share *= mean_power(k) * step**k
    return float_up(arb(share) * arb(bound))


def interpolation_error(target: Target, steps: Sequence[fmpq], order: int) -> tuple[float, str]:
    """(bound, how it is proved) of |f - I_m f|: the theorem, or for m = 1 the modulus of continuity when that is smaller."""
    smooth = smooth_error(target, steps, order)
    if order == 1:
        with working_precision(96):
            reach = float_up(arb(sum((h * h for h in steps), fmpq(0))).sqrt() / 2)
        modulus = target.modulus(reach)
        if modulus < smooth:
            return modulus, f"modulus of continuity at the mean distance {reach:.4g} from the nodes"
    return smooth, f"derivatives of order {order + 1} (blend of Taylor polynomials)"


def chebyshev_coefficients(monomials: dict[tuple[int, ...], arb]) -> dict[tuple[int, ...], arb]:
    """The same polynomial in the basis of products of Chebyshev polynomials, from its coefficients of monomials."""
    result: dict[tuple[int, ...], arb] = {}
    for alpha, value in monomials.items():
        for parts in itertools.product(*(_power_in_chebyshev(k) for k in alpha)):
            beta = tuple(j for j, _ in parts)
            result[beta] = result.get(beta, arb(0)) + value * arb(math.prod((q for _, q in parts), start=fmpq(1)))
    return result


@cache
def _power_in_chebyshev(k: int) -> tuple[tuple[int, fmpq], ...]:
    """xi^k = sum_j q_j T_j(xi) as pairs (j, q_j)."""
    if k == 0:
        return ((0, fmpq(1)),)
    pairs = []
    for i in range(k // 2 + 1):
        j = k - 2 * i
        q = fmpq(math.comb(k, i), 2 ** (k - 1))
        pairs.append((j, q / 2 if j == 0 else q))
    return tuple(pairs)


def damping(alpha: Sequence[int], order: int) -> fmpq:
    """1 - |alpha|/m."""
    return 1 - fmpq(sum(alpha), order)


def typical_step(target: Target, order: int) -> list[float]:
    """(sup |D_i^{m+1} f|)^(1/(m+1)) per axis, the inverse scales of a good anisotropic grid; 0 where f does not depend."""
    scales = []
    for axis in range(target.dimension):
        beta = tuple((order + 1) * int(i == axis) for i in range(target.dimension))
        scales.append(to_float(target.derivative_bound(beta)) ** (1 / (order + 1)))
    return scales
