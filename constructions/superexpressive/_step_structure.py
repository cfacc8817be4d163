"""How are step networks evaluated from their decoded cells, and networks of several ridges certified, one line at a time?

A network of ridges reads linear forms l_k(x) by floor units alone, and behind them no unit mixes two forms before the output:
net(x) = sum_k s_k(l_k(x)) with step functions s_k. For a target f = sum_k g_k(l_k(x)) therefore
sup |f - net| <= sum_k sup |g_k - s_k| over the ranges of the forms, each proved cell by cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from approx.approximant import BudgetItem
from approx.certification.budget import Budget, Work
from approx.certification.steps import enclose_steps
from approx.certification.structure import register_evaluator
from approx.evaluation.cache import cached
from approx.evaluation.step_cells import StepValues, may_be_steps, step_values, step_values_of
from approx.networks import Network
from approx.numbers import to_float
from approx.targets import Target, tree
from constructions.superexpressive._ridges import Ridge, ridges_of
from constructions.superexpressive._structure import Structure, inside, reader

_RTOL = 0.005
#: How far from its ends, as a part of the cell, a cell is tried: rounding must not lead into the next one.
_EDGE = 1e-6


@register_evaluator
def step_floats(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
    """Float64 values of a step network at points (n, d) from its cells; near a jump the neighbouring cell may be taken."""
    if not may_be_steps(network):
        return None
    box = target.domain.lower, target.domain.upper
    steps = cached(network, ("steps", str(box)), lambda: step_values(network, *box))
    return None if steps is None else _floats(steps, points)


def _floats(steps: StepValues, points: np.ndarray) -> np.ndarray:
    places = []
    for axis, (low, scale, count) in enumerate(zip(steps.grid.lower, steps.grid.scale, steps.grid.counts, strict=True)):
        cell = np.floor(to_float(scale) * (points[:, axis] - to_float(low)))
        places.append(np.clip(np.nan_to_num(cell), 0, count - 1).astype(np.int64))
    values = steps.multiples[tuple(places)] * to_float(steps.unit)
    return np.where(np.isnan(points).any(axis=1), np.nan, values)


class _Line(NamedTuple):
    """One ridge of the target with the step function of the network along it."""

    ridge: Ridge
    steps: StepValues

    def places(self, points: np.ndarray) -> np.ndarray:
        """The linear form at float64 points (n, d), as (n, 1)."""
        return (points @ np.array([to_float(c) for c in self.ridge.coefficients]))[:, np.newaxis]

    def worst(self, sign: float, most: int) -> np.ndarray:
        """Places on the line, inside cells, where sign * (g - s) is largest in float64: at most `most`."""
        edges = np.array([to_float(e) for e in self.steps.grid.edges(0)])
        shares = np.array([_EDGE, 0.5, 1 - _EDGE])
        places = edges[:-1, np.newaxis] + np.diff(edges)[:, np.newaxis] * shares
        gaps = self.ridge.function(places.ravel()) - np.repeat(self.steps.multiples, 3) * to_float(self.steps.unit)
        order = np.argsort(-np.nan_to_num(sign * gaps, nan=-np.inf), kind="stable")
        return places.ravel()[order[:most]]


@dataclass
class RidgeSteps(Structure):
    """A step network of ridges, decoded: the Structure that certification and evaluation ask."""

    target: Target
    lines: tuple[_Line, ...]
    constant: fmpq

    def items(self) -> tuple[BudgetItem, ...]:
        """One summand per ridge: the largest error along its line, all cells of which are decoded."""
        result = []
        for line in self.lines:
            found = enclose_steps(line.steps, line.ridge.function, _RTOL, 0.0, Work(Budget()))
            cells = line.steps.multiples.size
            result.append(BudgetItem(f"ridge {line.ridge.function.text}", found[1], f"{cells} cells decoded exactly"))
        return tuple(result)

    def value(self, point: Sequence[fmpq]) -> arb:
        """The exact value as a ball."""
        total = self.constant
        for line in self.lines:
            place = sum((c * x for c, x in zip(line.ridge.coefficients, point, strict=True)), fmpq(0))
            [low], [scale] = line.steps.grid.lower, line.steps.grid.scale
            total += line.steps.unit * int(line.steps.multiples[int((scale * (place - low)).floor())])
        return arb(total)

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values at points (n, d)."""
        total = np.full(len(points), to_float(self.constant))
        for line in self.lines:
            total += _floats(line.steps, line.places(points))
        return total

    def candidates(self, count: int) -> np.ndarray:
        """Points where two lines are worst with the same sign, as far as they lie in the domain; and random ones."""
        points = inside(self.target, np.random.default_rng(2026).random((count, self.target.dimension)))
        return np.concatenate([*(self._crossings(sign, count) for sign in (1.0, -1.0)), points])

    def _crossings(self, sign: float, count: int) -> np.ndarray:
        box = np.asarray(self.target.domain.floats_inside())
        if len(self.lines) != 2:
            return np.empty((0, len(box)))
        most = math.isqrt(count)
        places = np.meshgrid(*(line.worst(sign, most) for line in self.lines))
        matrix = np.array([[to_float(c) for c in line.ridge.coefficients] for line in self.lines])
        wanted = np.stack([p.ravel() for p in places], axis=1)
        # The point nearest to the middle of the box on which both forms have these values.
        middle = box.mean(axis=1)
        points = middle + (wanted - matrix @ middle) @ np.linalg.pinv(matrix).T
        return points[((points >= box[:, 0]) & (points <= box[:, 1])).all(axis=1)]


@reader("step function of ridges, cells decoded exactly")
def read_ridges(network: Network, target: Target) -> Structure | None:
    """The decoded lines when the network is one of ridges of this target, otherwise None."""
    if target.dimension == 1 or not may_be_steps(network):
        return None
    ridges = ridges_of(target)
    if ridges is None:
        return None
    parts = _separated(network, ridges)
    if parts is None:
        return None
    constant, rows = parts
    steps = [
        step_values_of(r, line.function.domain.lower, line.function.domain.upper)
        for line, r in zip(ridges, rows, strict=True)
    ]
    if any(s is None or s.slack for s in steps):
        return None
    lines = [_Line(ridge, s) for ridge, s in zip(ridges, steps, strict=True) if s is not None]
    # The constant of the output belongs to no line: every line takes the share that centres its error, the first the rest.
    shares = [_centre(line) for line in lines[1:]]
    shares.insert(0, constant - sum(shares, fmpq(0)))
    shifted = [_Line(_lowered(line.ridge, c), line.steps) for line, c in zip(lines, shares, strict=True)]
    return RidgeSteps(target, tuple(shifted), constant)


def _centre(line: _Line) -> fmpq:
    """About the middle of g - s, as a short rational; any number is sound."""
    edges = np.array([to_float(e) for e in line.steps.grid.edges(0)])
    gaps = line.ridge.function((edges[:-1] + edges[1:]) / 2) - line.steps.multiples * to_float(line.steps.unit)
    gaps = gaps[np.isfinite(gaps)]
    middle = (gaps.max() + gaps.min()) / 2 if len(gaps) else 0.0
    return fmpq(round(float(middle) * 2.0**40), 2**40)


def _lowered(ridge: Ridge, constant: fmpq) -> Ridge:
    function = ridge.function
    lowered = tree.add((function.tree, tree.number(-constant)))
    return ridge._replace(function=Target(lowered, list(function.domain)))


def _separated(network: Network, ridges: tuple[Ridge, ...]) -> tuple[fmpq, list[list[Any]]] | None:
    """(constant, rows of one network of one input per ridge): their sum is this network; None when units mix ridges."""
    d = network.inputs
    parts: list[list[Any]] = [[] for _ in ridges]
    place: dict[int, tuple[int, int]] = {}
    *hidden, (_, constant, last) = network.exact_rows()
    for number, (activation, bias, terms) in enumerate(hidden, d):
        if any(u < d for u, _ in terms):
            found = _along(terms, ridges, d)
            if found is None:
                return None
            k, scale = found
            row = (activation, bias, [(0, scale)])
        else:
            owners = {place[u][0] for u, _ in terms}
            if len(owners) != 1:
                return None
            k = owners.pop()
            row = (activation, bias, [(place[u][1], w) for u, w in terms])
        parts[k].append(row)
        place[number] = k, len(parts[k])
    if any(u < d for u, _ in last):
        return None
    for k, rows in enumerate(parts):
        own = [(place[u][1], w) for u, w in last if place[u][0] == k]
        rows.append(("identity", fmpq(0), own))
    return constant, parts


def _along(terms: list[tuple[int, Any]], ridges: tuple[Ridge, ...], d: int) -> tuple[int, fmpq] | None:
    """(number, scale) of the ridge whose form, times the scale, these weights of the inputs are."""
    weights = dict(terms)
    if any(u >= d for u in weights):
        return None
    for k, ridge in enumerate(ridges):
        scale = next(weights.get(i, fmpq(0)) / c for i, c in enumerate(ridge.coefficients) if c)
        if all(weights.get(i, fmpq(0)) == scale * c for i, c in enumerate(ridge.coefficients)):
            return k, scale
    return None
