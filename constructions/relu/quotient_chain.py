"""How few weights give a smooth function at high accuracy? A chain of quotients w^2 / s on free knots: rational functions."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant
from approx.targets import Target
from constructions.relu._spline_solutions import STARTS, Plan, chain_on_knots

DESCRIPTION = {
    "name": "quotient-chain",
    "activations": ("relu",),
    "needs": "one variable, piecewise smooth; near singularities cost little",
    "guarantee": "found by a heuristic search, certified sup |f - net| <= eps; the a-priori bound may be larger",
    "rate": "W = (2 K + 3) N + 5 K log4(1/eps) with N cells, K quotients; error about N^-4, N^-4.6 for K = 1, 2",
    "references": ("P16", "approx"),
}
# Which units are quotients (the others are squares), and how many cells the starts have.
PLANS: tuple[Plan, ...] = (
    ((True, True), 4),
    ((True, True), 1),
    ((False, True), 4),
    ((True, False), 4),
    ((False, True, True), 1),
    ((True, True, True), 1),
    ((True,), 1),
    ((True,), 2),
)


def quotient_chain(target: Target, eps: Any, *, starts: int = STARTS, fewer_than: int | None = None) -> Approximant:
    """The Approximant by a chain of quotients on free knots: q_j = w_j^2 / s_j with w_j and s_j > 0 linear in the earlier
    q_i plus functions that are linear between the knots; the output likewise.

    Statement: the sawtooth network of the square is positively homogeneous in its argument and its biases. With s in the
    place of the 1 it computes s f_m(w / s), 0 <= w <= s, that is w^2 / s up to s 4^-(m+1)/2 when centred, for not one weight
    more than the square besides those of s (P16 Proposition 2): one unit for s, read by every level in place of a bias.
    So every cell has a rational function, and K quotients give a knot 2 K + 2 parameters for 2 K + 3 weights.
    Guarantee: the network returned has a certificate with upper <= eps (attached); a priori only `bound` is proved (inf
    where nothing is). The search is a heuristic, deterministic on one machine (fixed seeds, counted work;
    another BLAS rounds differently).
    `fewer_than` ends the search where it promises no network with fewer weights than these.
    Cost: (N - 1)(2 K + 3) + sum (5 m_j - 2) + O(K^2) weights and the folds; per knot one less for every unit that is a square.
    Raises InputError unless eps > 0, starts >= 1 and fewer_than >= 1, RegularityError in several variables,
    UnreachableError when no chain that is certified to meet eps (with fewer weights than `fewer_than`) was found.
    Source: derived; docs/quotient-chains.md.
    """
    statement = "Chain of quotients on free knots: q_j = w_j^2 / s_j, w_j and s_j linear in the q_i, between the knots."
    return chain_on_knots(target, eps, str(DESCRIPTION["name"]), statement, PLANS, starts, fewer_than)
