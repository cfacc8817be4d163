"""How the one-variable search is set up: the cover of f at the accuracy that the network needs, serial or in parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq

from approx.certification.arithmetic import Float64
from approx.certification.budget import Budget, Work
from approx.certification.forward import forward
from approx.certification.one_variable import Search, enclose
from approx.certification.pieces import Program
from approx.targets.cover import taylor_cover
from approx.targets.declared_cover import declared_cover

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: Parts of the domain for an executor: a constant, so that results do not depend on the number of workers.
_PARTS = 16
#: The cover's remainder, as a share of the error that the search must resolve.
_COVER_SHARE = 1e-3


def certify_pieces(
    network: Network, target: Target, rtol: float, atol: float, work: Work, executor: Executor | None
) -> tuple[float, float, Sequence[fmpq], str]:
    """(lower, upper, witness, method) by exact pieces; see approx.certification.one_variable."""
    if executor is None:
        return _serial(network, target, rtol, atol, work)
    lo, hi = target.domain.lower[0], target.domain.upper[0]
    cuts = [lo + (hi - lo) * fmpq(k, _PARTS) for k in range(_PARTS + 1)]
    jobs = [
        executor.submit(_part, network, target.on((cuts[k], cuts[k + 1])), rtol, atol, work.budget)
        for k in range(_PARTS)
    ]
    lower, upper, witness, names = 0.0, 0.0, (lo,), set()
    for job in jobs:
        low, up, point, name, regions = job.result()
        for kind, count in regions.items():
            work.count(kind, count)
        names.add(name)
        upper = max(upper, up)
        if low > lower:
            lower, witness = low, point
    return lower, upper, witness, f"{max(names, key=len)}, {_PARTS} parts"


def _part(network: Network, target: Target, rtol: float, atol: float, budget: Budget) -> tuple[Any, ...]:
    work = Work(budget)
    return (*_serial(network, target, rtol, atol, work), work.regions)


def _serial(
    network: Network, target: Target, rtol: float, atol: float, work: Work
) -> tuple[float, float, Sequence[fmpq], str]:
    program = Program(network)
    guess = _observed(program, target)
    # An absolute tolerance must not coarsen the cover: eps itself may be asked for as atol.
    tolerance = max(_COVER_SHARE * max(rtol * guess, 1e-3 * atol), 1e-300)
    if target.assumptions:
        cover = declared_cover(target, tolerance)
    else:
        cover = taylor_cover(target, target.domain.lower[0], target.domain.upper[0], tolerance)
    search = Search(program, target, cover, rtol, atol, work)
    try:
        upper, rounding = enclose(search)
    except KeyboardInterrupt:
        upper, rounding = search.interrupted(), False
    name = "pieces (" + ", ".join(search.reached) + ")"
    if rounding:
        name += ", limited by rounding"
    witness = search.witness if search.witness is not None else target.domain.lower[0]
    return search.lower, upper if not math.isnan(upper) else math.inf, (witness,), name


def _observed(program: Program, target: Target, points: int = 2001) -> float:
    """The largest |f - net| at some points in float64, with a floor at the rounding of f: a guess for the cover."""
    [(lo, hi)] = target.domain.floats()
    # Chebyshev points and a few irrational shifts of an equidistant grid, so that no dyadic grid is met by accident.
    t = np.concatenate(
        [0.5 - 0.5 * np.cos(np.linspace(0, np.pi, points)), (np.arange(points) * 0.6180339887498949) % 1.0]
    )
    x = np.sort(np.clip(lo + (hi - lo) * t, lo, hi))
    with np.errstate(all="ignore"):
        values = np.asarray(target(x))
        (net,), _ = forward(program, (x,), True, Float64)
        gap = np.abs(values - net)
    gap, values = gap[np.isfinite(gap)], values[np.isfinite(values)]
    return max(float(gap.max(initial=0.0)), 1e-16 * float(np.abs(values).max(initial=0.0)), 1e-30)
