"""How does knowledge of a network's structure become a certificate? Bound, exact values and a witness, without following it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import BudgetItem
from approx.certification.budget import Work
from approx.certification.structure import Enclosure, register, register_evaluator
from approx.errors import InputError, UnsupportedError
from approx.evaluation.cache import cached
from approx.evaluation.exact import exact_point
from approx.networks import Network
from approx.numbers import float_down, float_up, to_fmpq, working_precision
from approx.targets import Target

_BITS = 192
#: Candidates tried in float64 for the witness, and the best of them tried rigorously.
_CANDIDATES, _RIGOROUS = 20_000, 4


class Structure(ABC):
    """A network that was recognised completely, together with its target and its decoded table."""

    target: Target

    @abstractmethod
    def items(self) -> tuple[BudgetItem, ...]:
        """The summands of the bound of sup |f - net|, each proved."""

    @abstractmethod
    def value(self, point: Sequence[fmpq]) -> arb:
        """A ball that contains net(point), from the decoded table, at the working precision."""

    @abstractmethod
    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values at points (n, d), from the decoded table: fast, without a bound of rounding."""

    @abstractmethod
    def candidates(self, count: int) -> np.ndarray:
        """About `count` points (n, d) of the domain where the error is likely to be large."""

    def sharper(self, network: Network) -> float:
        """A second, independent bound where one is cheap and may be sharper, else inf."""
        return math.inf


Reader = Callable[[Network, Target], Structure | None]
_READERS: dict[str, Reader] = {}


def reader(method: str) -> Callable[[Reader], Reader]:
    """Register the decorated function, which recognises the networks of `method`, for certification and evaluation."""

    def add(function: Reader) -> Reader:
        _READERS[method] = function
        return function

    return add


def structure_of(network: Network, target: Target) -> tuple[str, Structure] | None:
    """(method, structure) of a network that one of the readers recognises completely, else None; once per pair."""
    known = _known(network)
    if id(target) not in known:
        # The target is kept, so that its id stays its own.
        known[id(target)] = target, _read(network, target)
    return known[id(target)][1]


def _known(network: Network) -> dict[int, tuple[Target, tuple[str, Structure] | None]]:
    return cached(network, "superexpressive", dict)


def _read(network: Network, target: Target) -> tuple[str, Structure] | None:
    if network.inputs != target.dimension or network.outputs != 1 or network.tags["piecewise_linear"]:
        return None
    for method, read in _READERS.items():
        try:
            found = read(network, target)
        except InputError:  # a network of this kind, but of a target that its amplitude cannot reach
            return None
        if found is not None:
            return method, found
    return None


def remember(network: Network, target: Target, method: str, structure: Structure) -> None:
    """Keep what a builder knows of its own network, so that certification need not find it again."""
    _known(network)[id(target)] = target, (method, structure)


def bound_of(items: Sequence[BudgetItem]) -> float:
    """The sum of the items, rounded up; inf when one of them is not finite."""
    with working_precision(_BITS):
        return float_up(sum((arb(i.value) for i in items), arb(0)))


@register
def enclosure(network: Network, target: Target, work: Work) -> Enclosure | None:
    """(lower, upper, witness, method) for a recognised network: the bound above, an exact evaluation below."""
    found = structure_of(network, target)
    if found is None:
        return None
    method, structure = found
    upper = bound_of(structure.items())
    lower, witness = _witness(structure)
    work.count("structural", 1)
    sharper = structure.sharper(network)
    name = f"structure ({method})" if upper <= sharper else f"structure and regions ({method})"
    return lower, min(upper, sharper), witness, name


def _witness(structure: Structure) -> tuple[float, tuple[fmpq, ...]]:
    target = structure.target
    points = structure.candidates(_CANDIDATES)
    with np.errstate(all="ignore"):
        wanted = np.asarray(target(points if target.dimension > 1 else points[:, 0])).reshape(-1)
        gaps = np.nan_to_num(np.abs(wanted - structure.values(points)), nan=0.0, posinf=0.0)
    best, where = 0.0, tuple(to_fmpq(float(c)) for c in points[0])
    for index in np.argsort(-gaps, kind="stable")[:_RIGOROUS].tolist():
        point = [to_fmpq(float(c)) for c in points[index]]
        with working_precision(_BITS):
            gap = float_down(abs(target.ball([arb(c) for c in point]) - structure.value(point)))
        if gap > best:
            best, where = gap, tuple(point)
    return best, where


def inside(target: Target, unit: np.ndarray) -> np.ndarray:
    """Points of the unit box (n, d) carried to the target's domain, kept inside in float64."""
    sides = np.asarray(target.domain.floats_inside(), dtype=np.float64)
    return np.clip(sides[:, 0] + unit * (sides[:, 1] - sides[:, 0]), sides[:, 0], sides[:, 1])


def to_unit(target: Target, point: Sequence[fmpq]) -> list[fmpq]:
    """The exact point in the coordinates t = (x - lower)/(upper - lower) of the unit box."""
    return [
        (x - low) / (high - low) for x, low, high in zip(point, target.domain.lower, target.domain.upper, strict=True)
    ]


@register_evaluator
def float_values(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
    """Float64 values at points (n, d) from the decoded table (no proved bound of rounding), None for other networks."""
    found = structure_of(network, target)
    return None if found is None else found[1].values(points)


def structural_balls(found: Any, points: Sequence[Any]) -> list[arb]:
    """Balls around the values of a superexpressive Approximant at exact points, from its decoded table.

    Raises UnsupportedError for any other network, InputError on points.
    """
    read = structure_of(found.network, found.target)
    if read is None:
        raise UnsupportedError("structural evaluation: the network is not one of constructions.superexpressive")
    with working_precision(_BITS):
        return [read[1].value(exact_point(p, found.target.dimension)) for p in points]
