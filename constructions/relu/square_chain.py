"""Which network with the fewest weights approximates a smooth function of one variable? A chain of squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.certification import Certificate, certify
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Form, Network
from approx.numbers import float_up, to_float, to_fmpq
from approx.targets import Target
from constructions.relu._chain_bound import Tape, proved_bound
from constructions.relu._chain_fit import chebyshev_grid
from constructions.relu._chain_levels import MARGIN, Core, Problem, Solution, best_solution, chain_core
from constructions.relu._chain_network import NetworkWriter
from constructions.relu._chain_search import STARTS
from constructions.relu._chain_symmetry import Bend, is_affine, reduce

DESCRIPTION = {
    "name": "square-chain",
    "activations": ("relu",),
    "needs": "one variable, smooth (best: analytic; symmetries of any kind help); eps not below about 1e-12",
    "guarantee": "found by a heuristic search, certified sup |f - net| <= eps; the a-priori bound may be larger",
    "rate": "W = 5 K log4(1/eps) + O(K^2) with K = O(log log(1/eps)) squares for the best polynomials of degree 2^K",
    "references": ("P16", "approx"),
}
GRID = 121
FINER = 961
SAMPLES = 50_001


def square_chain(target: Target, eps: Any, *, starts: int = STARTS, fewer_than: int | None = None) -> Approximant:
    """The Approximant by a chain of squares: v_j = L_j^2, every L_j a linear form of x and all earlier L_i.

    Reflections (even, odd, periodic) and a quadratic change of variable are found numerically and folded away first;
    then the chain is fitted to what is left, its squares get as few sawtooth levels as the observed error allows, and
    the network is built with these exact float64 weights.
    Guarantee: the network returned has a certificate with upper <= eps (attached); a
    priori only `bound` is proved, which may be somewhat above eps (inf where nothing is proved). The search is a
    heuristic, deterministic (fixed seeds, counted work).
    `fewer_than` ends the search where it promises no network with fewer weights than these.
    Cost: sum (5 m_j - 2) + K(K+1)/2 weights and the folds (4 weights each, 8 when odd); 10 s to 2 minutes.
    Raises InputError unless eps > 0, starts >= 1 and fewer_than >= 1, RegularityError in several variables,
    UnreachableError when no chain that is certified to meet eps (with fewer weights than `fewer_than`) was found.
    Source: derived; docs/square-chains.md.
    """
    wanted = to_float(to_fmpq(eps))
    if not 0 < wanted < math.inf:
        raise InputError("eps", eps, "a positive number")
    check_counts(starts, fewer_than)
    if target.dimension != 1:
        raise RegularityError("square-chain: needs a target of one variable")
    problem = make_problem(target, wanted, str(DESCRIPTION["name"]))
    simple = folds_only(target, problem, str(DESCRIPTION["name"]), fewer_than)
    if simple is not None:
        return simple

    def certificate(solution: Solution) -> Certificate | None:
        proved = fitting_certificate(solution.network, solution.error, target, wanted)
        return proved if proved.upper <= wanted else None

    with np.errstate(all="ignore"):  # starts that run away overflow, and are dropped for it
        found = best_solution(problem, starts, certificate, math.inf if fewer_than is None else fewer_than)
    if found is None:
        raise UnreachableError(f"square-chain: no chain found with certified error <= {wanted:g}")
    return _approximant(target, problem, *found)


def check_counts(starts: Any, fewer_than: Any) -> None:
    """Raises InputError unless starts is an integer >= 1, and fewer_than too or None."""
    if isinstance(starts, bool) or not isinstance(starts, int) or starts < 1:
        raise InputError("starts", starts, "an integer >= 1")
    if fewer_than is not None and (isinstance(fewer_than, bool) or not isinstance(fewer_than, int) or fewer_than < 1):
        raise InputError("fewer_than", fewer_than, "an integer >= 1, or None")


def fitting_certificate(network: Network, error: float, target: Target, eps: float) -> Certificate:
    """The certificate of the network, with a gap that fits between the observed error and eps."""
    return certify(network, target, rtol=min(max(0.9 * (eps / error - 1), 0.5 * MARGIN), 0.01))


def make_problem(target: Target, eps: float, name: str) -> Problem:
    """The Problem of a target of one variable: its stages, and what is left of it on a Chebyshev grid.

    Raises RegularityError, in the name of the method, where the target is not finite on the samples.
    """
    low, high = float(target.domain.lower[0]), float(target.domain.upper[0])
    width = high - low

    def f(z: np.ndarray) -> np.ndarray:
        return np.asarray(target(low + width * np.clip(z, 0, 1)))

    u = np.linspace(0, 1, SAMPLES)
    points = np.unique(np.clip(low + width * np.concatenate([u, chebyshev_grid(SAMPLES // 4)]), low, high))
    truth = np.asarray(target(points))
    if not np.isfinite(truth).all():
        raise RegularityError(f"{name}: the target is not finite on its domain")
    with np.errstate(all="ignore"):
        straight = is_affine(f, 0.5 * eps)
        stages, rest = ((), f) if straight else reduce(f, eps, low, width)
    grid = chebyshev_grid(GRID)
    values = np.asarray(rest(grid))
    finer = chebyshev_grid(FINER)
    fine = finer, np.asarray(rest(finer))
    if not np.isfinite(values).all():
        raise RegularityError(f"{name}: the target is not finite on its domain")
    return Problem(
        low, width, tuple(stages), grid, values, fine, eps, points, truth, lambda x: np.asarray(target(x)), rest
    )


def left_affine(problem: Problem) -> bool:
    """Whether what the stages leave is affine to half of eps."""
    return is_affine(lambda z: np.interp(z, problem.grid, problem.values), 0.5 * problem.eps)


def folds_only(target: Target, problem: Problem, method: str, fewer_than: int | None) -> Approximant | None:
    """The network of the stages alone, when what is left looks affine to half of eps and the certificate agrees.

    None otherwise, and where it does not have fewer weights than `fewer_than`.
    """
    if not left_affine(problem):
        return None
    first, last = float(problem.values[0]), float(problem.values[-1])
    bends = tuple(12 for s in problem.stages if isinstance(s, Bend))
    network = problem.network(lambda writer, t: (last - first) * t + first, bends, bare=True)
    if fewer_than is not None and network.size.weights >= fewer_than:
        return None
    certificate = certify(network, target, rtol=0.01, atol=1e-3 * problem.eps)
    if not certificate.upper <= problem.eps:
        return None
    return Approximant(
        network=network, target=target, bound=math.inf, method=method,
        statement="Reflections and one affine function.", parameters={"stages": stage_names(problem)}, references=("approx",),
        certificate=certificate,
    )


def stage_names(problem: Problem) -> list[str]:
    """The stages in words."""
    return [f"bend {s.beta}" if isinstance(s, Bend) else f"{'odd' if s.odd else 'even'} about {s.c}" for s in problem.stages]


def proved_budget(target: Target, problem: Problem, core: Core, bends: tuple[int, ...]) -> tuple[BudgetItem, ...]:
    """What is proved a priori of the network with this core: the distance to its exact squares, and theirs to it."""
    tape = Tape()
    writer = NetworkWriter(Builder(1), max(1.0, abs(problem.low), abs(problem.low + problem.width)))
    writer.output(problem.write(writer, writer.builder.input(), core, bends))
    tape.close(problem.write(tape, Form({0: fmpq(1)}), core, bends), writer.defects)
    fit, squares = proved_bound(target, tape, problem.eps)
    return (
        BudgetItem("distance of f to the chain with exact squares", fit, "Taylor coefficients in balls on every cell"),
        BudgetItem("sawtooth squares and rounded weights", squares, "P16 Proposition 2, mean value theorem in balls"),
    )


def proved_sum(budget: tuple[BudgetItem, ...]) -> float:
    """The bound that the items of a chain's budget make together, inf where nothing is proved."""
    if not all(math.isfinite(item.value) for item in budget):
        return math.inf
    return float_up(sum((to_fmpq(item.value) for item in budget), fmpq(0)))


def _approximant(target: Target, problem: Problem, solution: Solution, certificate: Certificate) -> Approximant:
    shape = solution.fit.shape
    budget = proved_budget(target, problem, chain_core(problem, solution.fit, solution.levels), solution.bends)
    return Approximant(
        network=solution.network,
        target=target,
        bound=proved_sum(budget),
        budget=budget,
        method=str(DESCRIPTION["name"]),
        statement="Chain of squares v_j = L_j^2, L_(j+1) a linear form of x, v_j, L_j, ...; square j by m_j levels.",
        parameters={
            "stages": stage_names(problem),
            "squares": shape.squares,
            "levels": list(solution.levels),
            "bends": list(solution.bends),
            "free_folds": list(shape.free),
            "hinges": shape.hinges,
            "observed_error": solution.error,
        },
        references=("P16", "approx"),
        certificate=certificate,
    )
