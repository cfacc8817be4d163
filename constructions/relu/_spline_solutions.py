"""Which network with few weights comes of a chain on free knots? The search, its levels lowered, the certificate."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from approx.approximant import Approximant
from approx.certification import Certificate
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Network
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.relu._chain_levels import Core, Problem, Settling, first_bends
from constructions.relu._chain_symmetry import Bend
from constructions.relu._spline_fit import Curve, SplineFit, expected, judged, led
from constructions.relu._spline_model import SplineShape
from constructions.relu._spline_network import spline_form
from constructions.relu._spline_search import climb
from constructions.relu.square_chain import (
    check_counts,
    fitting_certificate,
    folds_only,
    make_problem,
    proved_budget,
    proved_sum,
    stage_names,
)

STARTS = 30
POLISHED = 2  # networks whose levels are lowered further
HOPED = 1.05  # times the weights of the best network so far, that a climb may promise
CANDIDATES = 4  # networks handed to the certificate

Plan = tuple[tuple[bool, ...], int]  # which units are quotients, and the cells of the starts


def chain_on_knots(
    target: Target, eps: Any, name: str, statement: str, plans: tuple[Plan, ...], starts: int, fewer_than: int | None
) -> Approximant:
    """The certified Approximant with the fewest weights that the searches of these plans find; see `quotient_chain`.

    Raises InputError unless eps > 0, starts >= 1 and fewer_than >= 1, RegularityError in several variables,
    UnreachableError when no chain that is certified to meet eps (with fewer weights than `fewer_than`) was found.
    """
    wanted = to_float(to_fmpq(eps))
    if not 0 < wanted < math.inf:
        raise InputError("eps", eps, "a positive number")
    check_counts(starts, fewer_than)
    if target.dimension != 1:
        raise RegularityError(f"{name}: needs a target of one variable")
    problem = make_problem(target, wanted, name)
    simple = folds_only(target, problem, name, fewer_than)
    if simple is not None:
        return simple
    with np.errstate(all="ignore"):  # starts that run away overflow, and are dropped for it
        found = _solutions(problem, plans, starts, math.inf if fewer_than is None else fewer_than)
    for solution in found[:CANDIDATES]:
        certificate = fitting_certificate(solution.network, solution.error, target, wanted)
        if certificate.upper <= wanted:
            return _approximant(target, problem, solution, certificate, name, statement)
        if certificate.status == "budget":
            break  # too many pieces; the others have about as many
    raise UnreachableError(f"{name}: no chain found with certified error <= {wanted:g}")


@dataclass(frozen=True)
class _Solution:
    """A network that meets the accuracy on the samples, with its chain and levels (of the units, then of the bends)."""

    network: Network
    fit: SplineFit
    levels: list[int]
    error: float

    @property
    def key(self) -> tuple[int, float]:
        """Fewer weights are better, then a smaller error."""
        return self.network.size.weights, self.error


def _core(fit: SplineFit, levels: list[int]) -> Core:
    return lambda writer, t: spline_form(writer, t, fit, levels)


def _solutions(problem: Problem, plans: tuple[Plan, ...], starts: int, most: float) -> list[_Solution]:
    """Networks of the chains that the searches find, fewest weights first, the best ones with fewer levels if possible."""
    curve = Curve(problem.rest)
    bends = sum(isinstance(s, Bend) for s in problem.stages)
    eps = problem.eps * (1 - 0.2 * min(bends, 3))
    stages = problem.weights_of_stages if problem.stages else 0
    found: list[_Solution] = []
    limit = most - stages
    # The climb that promises the fewest weights goes on, by one size; all end where they promise too many.
    waiting: list[tuple[float, int, Iterator[tuple[float, list[SplineFit]]]]] = []
    for number, (quotients, cells) in enumerate(plans):
        least = float(SplineShape(1, quotients).extra + 3 * len(quotients))
        heapq.heappush(waiting, (least, number, climb(quotients, cells, curve, eps, starts, seed=5)))
    while waiting and waiting[0][0] < HOPED * limit:
        _, number, climbing = heapq.heappop(waiting)
        promised, fits = next(climbing, (math.inf, []))
        for fit in fits:
            solution = _settled(problem, fit, _rough(fit, curve, eps))
            if solution is not None:
                found.append(solution)
                limit = min(limit, solution.network.size.weights - stages)
        heapq.heappush(waiting, (promised, number, climbing))
    found.sort(key=lambda s: s.key)
    polished = [_polished(problem, curve, s, eps) for s in found[:POLISHED]]
    return sorted((s for s in [*polished, *found] if s.network.size.weights < most), key=lambda s: s.key)


def _rough(fit: SplineFit, curve: Curve, eps: float) -> list[int]:
    """Levels with which the units may err by what the fit leaves of eps, in equal parts."""
    worst, _, parts = judged(fit, curve)
    room = max(eps - worst, 0.05 * eps) / len(parts)
    return [max(1, math.ceil(math.log(float(np.abs(d).max()) / (2 * room), 4) - 1.3)) for d in parts]


def _settled(problem: Problem, fit: SplineFit, levels: list[int]) -> _Solution | None:
    """The network with the fewest levels that lowering them one at a time finds; None if out of reach."""
    units, bends = fit.shape.units, first_bends(problem)
    state = Settling(problem, lambda own: _core(fit, own), units)
    current = state.lowered(levels + bends, [1] * units + [2] * len(bends))
    return None if current is None else _Solution(state.network(current), fit, current, state.error(current))


def _polished(problem: Problem, curve: Curve, solution: _Solution, eps: float) -> _Solution:
    """The solution after lowering levels one at a time, the chain led each time to where these levels suffice."""
    while True:
        units = solution.fit.shape.units
        for j in sorted(range(units), key=lambda j: -solution.levels[j]):
            levels = [m - (i == j) for i, m in enumerate(solution.levels[:units])]
            if levels[j] < 1:
                continue
            fit = led(solution.fit, curve, eps, np.array(levels), 6, 15)
            if expected(fit, curve, np.array(levels)) > 1.05 * eps:
                continue
            better = _settled(problem, fit, levels)
            if better is not None and better.key[0] < solution.key[0]:
                solution = better
                break
        else:
            return solution


def _approximant(
    target: Target, problem: Problem, solution: _Solution, certificate: Certificate, name: str, statement: str
) -> Approximant:
    shape, levels = solution.fit.shape, solution.levels
    budget = proved_budget(target, problem, _core(solution.fit, levels[: shape.units]), tuple(levels[shape.units :]))
    return Approximant(
        network=solution.network,
        target=target,
        bound=proved_sum(budget),
        budget=budget,
        method=name,
        statement=statement,
        parameters={
            "stages": stage_names(problem),
            "cells": shape.cells,
            "quotients": list(shape.quotients),
            "levels": levels[: shape.units],
            "bends": levels[shape.units :],
            "observed_error": solution.error,
        },
        references=("P16", "approx"),
        certificate=certificate,
    )
