"""How few weights give a smooth function that one polynomial does not? A chain of squares on free knots."""

from __future__ import annotations

from typing import Any

from approx.approximant import Approximant
from approx.targets import Target
from constructions.relu._spline_solutions import STARTS, Plan, chain_on_knots

DESCRIPTION = {
    "name": "spline-chain",
    "activations": ("relu",),
    "needs": "one variable, piecewise smooth; best where a near singularity asks for graded cells",
    "guarantee": "found by a heuristic search, certified sup |f - net| <= eps; the a-priori bound may be larger",
    "rate": "W = (K + 3) N + 5 K log4(1/eps) with N cells, K squares; error about N^-3, N^-4.2, N^-4.7 for K = 1, 2, 3",
    "references": ("P16", "approx"),
}
# One square is `piecewise-polynomial`, four never came out ahead.
PLANS: tuple[Plan, ...] = (((False, False), 4), ((False, False, False), 4))


def spline_chain(target: Target, eps: Any, *, starts: int = STARTS, fewer_than: int | None = None) -> Approximant:
    """The Approximant by a chain of squares on free knots: w_1 a zig-zag, w_(j+1) = w_j^2 + W_(j+1) + ..., W_j linear
    between the knots; the output linear in the squares, plus a function that is linear between the knots.

    Statement: with one zig-zag over N graded cells, every square bends all cells at once; K squares give every cell a
    polynomial of degree 2^K whose first K + 2 free coefficients are those of the knot (its place, W_1, ..., W_K, A).
    Guarantee: the network returned has a certificate with upper <= eps (attached); a priori only `bound` is proved (inf
    where nothing is). The search is a heuristic, deterministic on one machine (fixed seeds, counted work;
    another BLAS rounds differently).
    `fewer_than` ends the search where it promises no network with fewer weights than these.
    Cost: (N - 1)(K + 3) + sum (5 m_j - 2) + O(K^2) weights and the folds; seconds; minutes where values are rounding noise.
    Raises InputError unless eps > 0, starts >= 1 and fewer_than >= 1, RegularityError in several variables,
    UnreachableError when no chain that is certified to meet eps (with fewer weights than `fewer_than`) was found.
    Source: derived; docs/spline-chains.md.
    """
    statement = "Chain of squares on free knots: w_(j+1) = w_j^2 + W_(j+1) + ..., all W_j linear between the knots."
    return chain_on_knots(target, eps, str(DESCRIPTION["name"]), statement, PLANS, starts, fewer_than)
