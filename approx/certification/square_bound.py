"""How large can |f - net| be on intervals when sawtooth squares and quotients are read as such plus their proved error?

The program of square_program.py is followed with Taylor models (square_models.py) of many intervals side by side: every
kept unit is a polynomial, plus one symbol for the errors of its squares and one for those of its quotients by one scale,
plus a rest. The error interval of a quotient by c enters with its midpoint as a multiple of c. A ReLU whose model takes both
signs is relaxed to its chord, so callers cut intervals at such places by halving.
Where a root u of a chain leaves [0, c + c/16], c may not be positive, or f has no expansion, the bound is infinite.
In floats first; where their rounding is a share of the bound, or there is none, in balls.

A bound costs a fraction of a millisecond however many pieces the network has, and is as sharp as the errors of different
squares are independent; this is what lets the search leave out blocks of deep networks, and what is known when its budget
ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb, fmpq

from approx.certification.square_kinks import AffineUnits
from approx.certification.square_models import (
    BALLS,
    FLOATS,
    ORDER,
    Array,
    Floats,
    Model,
    activated,
    combination,
    difference,
    polynomial,
    quotient,
    square,
)
from approx.certification.square_program import ONE, Chain, SquareProgram, Step
from approx.numbers import arb_interval, to_float, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_BITS = 128
#: Floats decide where their rounding is at most this share of the bound.
_ROUNDING = 0.01
#: Networks with fewer levels of squares are searched by their pieces alone; with more kept units models cost too much.
_LEAST_LEVELS, _MOST_STEPS, _MOST_WEIGHTS = 8, 200, 20_000


@dataclass(frozen=True)
class _Ready:
    """A step with the numbers of an arithmetic; the midpoints of errors are in the constant and in `linear`."""

    unit: int
    activation: str
    constant: Any
    linear: dict[int, Any]
    squares: dict[Chain, Any]
    halves: dict[int, Any]
    roots: dict[Chain, Any]

    @classmethod
    def of(cls, step: Step, numbers: Floats) -> _Ready:
        """The step, in this arithmetic."""
        linear, constant = dict(step.linear), step.constant
        for scale, (low, high) in step.errors.items():
            if scale == ONE:
                constant += (low + high) / 2
            else:
                linear[scale] = linear.get(scale, fmpq(0)) + (low + high) / 2
        weight = numbers.weight
        return cls(
            step.unit,
            step.activation,
            numbers.number(constant),
            {k: weight(v) for k, v in linear.items() if v != 0},
            {k: weight(v) for k, v in step.squares.items()},
            {k: weight((high - low) / 2) for k, (low, high) in step.errors.items()},
            {k: weight(v) for k, v in step.roots.items()},
        )


class SquareBound:
    """Bounds of |f - net| on intervals, for networks with sawtooth squares or quotients."""

    def __init__(self, network: Network, target: Target) -> None:
        self.network, self.target = network, target

    @cached_property
    def program(self) -> SquareProgram | None:
        """The program of squares; None where reading it so does not pay."""
        net = self.network
        if (
            len(net.layers) <= _LEAST_LEVELS
            or net.inputs != 1
            or not net.tags["rational"]
            or net.size.weights > _MOST_WEIGHTS
            or self.target.assumptions
            or not net.activations <= {"relu", "abs", "identity"}
        ):
            return None
        program = SquareProgram.of(net)
        # A path of kept units longer than all levels is a sawtooth of another kind: no model is sharp there.
        fits = program.levels >= max(_LEAST_LEVELS, program.depth) and len(program.steps) <= _MOST_STEPS
        return program if fits else None

    @cached_property
    def affine(self) -> AffineUnits:
        """The units of the program that are piecewise affine in x."""
        assert self.program is not None
        return AffineUnits(self.program, self.target.domain.lower[0], self.target.domain.upper[0])

    @property
    def kinks(self) -> list[float]:
        """Where these units bend, rounded, with the ends of the domain; none without a program."""
        return [] if self.program is None else [to_float(k) for k in self.affine.nodes]

    @cached_property
    def _floats(self) -> list[_Ready]:
        return self._steps(FLOATS)

    @cached_property
    def _balls(self) -> list[_Ready]:
        with working_precision(_BITS):
            return self._steps(BALLS)

    def _steps(self, numbers: Floats) -> list[_Ready]:
        """The steps whose models are followed."""
        assert self.program is not None
        return [_Ready.of(s, numbers) for s in self.program.steps if s.unit not in self.affine.units]

    def bound(self, left: float, right: float) -> float:
        """A proved bound of sup |f - net| on [left, right] within the domain; inf where the reading does not apply."""
        return self.bounds([(left, right)])[0]

    def bounds(self, intervals: Sequence[tuple[float, float]]) -> list[float]:
        """`bound` of many intervals, which costs less than one by one."""
        found = [math.inf] * len(intervals)
        if self.program is None:
            return found
        lower, upper = self.target.domain.lower[0], self.target.domain.upper[0]
        ends = [(max(to_fmpq(a), lower), min(to_fmpq(b), upper)) for a, b in intervals]
        places = []
        for i, (a, b) in enumerate(ends):
            if a > b:
                found[i] = 0.0
            else:
                places.append(i)
        with working_precision(_BITS), np.errstate(all="ignore"):
            for numbers, steps in ((FLOATS, self._floats), (BALLS, self._balls)):
                if not places or not numbers.holds:
                    continue
                worst, sure = self._bounded(numbers, steps, [ends[i] for i in places])
                for i, bound in zip(places, worst, strict=True):
                    found[i] = min(found[i], bound)
                places = [i for i, enough in zip(places, sure, strict=True) if not enough]
        return found

    def _bounded(self, numbers: Floats, steps: list[_Ready], ends: list[tuple[fmpq, fmpq]]) -> tuple[list[float], list[bool]]:
        """Bounds in this arithmetic, and whether balls would hardly give better ones."""
        found = self._followed(numbers, steps, ends)
        if found is None:
            return [math.inf] * len(ends), [False] * len(ends)
        net, holds = found
        gap = difference(self._expansion(numbers, ends), net)
        low, high = gap.bounds()
        worst = numbers.larger(np.abs(low), np.abs(high))
        sure = holds & (gap.rest[1] <= _ROUNDING * worst)
        return [numbers.above(w) if ok else math.inf for w, ok in zip(worst, holds, strict=True)], sure.tolist()

    def _expansion(self, numbers: Floats, ends: list[tuple[fmpq, fmpq]]) -> Model:
        """The models of f; NaN where it has no expansion."""
        series, rests = [], []
        for a, b in ends:
            half = arb((b - a) / 2)
            series.append([c * half**k for k, c in enumerate(self.target.series(arb((a + b) / 2), ORDER))])
            rests.append(abs(self.target.series(arb_interval(a, b), ORDER + 1)[-1]) * half ** (ORDER + 1))
        rest = numbers.row([r.abs_upper() for r in rests])
        rows = [numbers.row(row) for row in zip(*series, strict=True)]
        radii = sum((numbers.radii(row) for row in zip(*series, strict=True)), rest * (1 + 2.0**-40))
        return polynomial(numbers, np.stack(rows), radii)

    def _followed(
        self, numbers: Floats, steps: list[_Ready], ends: list[tuple[fmpq, fmpq]]
    ) -> tuple[Model, Array] | None:
        """The models of the network, and where they hold; None where nowhere."""
        assert self.program is not None
        models = _Models(numbers, self.affine, ends)
        squares: dict[Chain, Model] = {}
        holds = np.full(len(ends), True)
        for step in steps:
            for _, scale in step.roots:
                if scale != ONE:
                    holds &= models[scale].bounds()[0] > 0
            for root, scale in step.squares:
                if (root, scale) not in squares:
                    top = models[root]
                    squares[root, scale] = square(top) if scale == ONE else quotient(top, models[scale])
            over, within = _overshoot(step, models, self.program.signed)
            holds &= within
            if not holds.any():
                return None
            models[step.unit] = activated(_combined(step, models, squares).widened(over), step.activation)
        return models[self.program.steps[-1].unit], holds


class _Models(dict[int, Model]):
    """The models of the units on intervals; those of piecewise affine units are made when they are read."""

    def __init__(self, numbers: Floats, affine: AffineUnits, ends: list[tuple[fmpq, fmpq]]) -> None:
        super().__init__()
        self.numbers, self.affine, self.ends = numbers, affine, ends

    def __missing__(self, unit: int) -> Model:
        rows = [self.affine.model(unit, *pair) for pair in self.ends]
        middle, rise, away = (self.numbers.row(row) for row in zip(*rows, strict=True))
        self[unit] = polynomial(self.numbers, np.stack([middle, rise]), away * (1 + 2 * self.numbers.unit))
        return self[unit]


def _overshoot(step: _Ready, models: _Models, signed: set[int]) -> tuple[Array, Array]:
    """How much the step's error grows since roots exceed their scales, and where they do so by at most 1/16 of these."""
    numbers = models.numbers
    total, within = numbers.zeros(len(models.ends)), np.full(len(models.ends), True)
    zero = total
    for (root, scale), factor in step.roots.items():
        low, high = models[root].bounds()
        over, least = high - 1, zero + 1
        if scale != ONE:
            over, least = difference(models[root], models[scale]).bounds()[1], models[scale].bounds()[0]
        if root in signed:
            within &= low >= 0
        within &= 16 * over * (1 + 4 * numbers.unit) <= least
        total = total + factor * numbers.larger(over, zero) * (1 + 8 * numbers.unit)
    return total, within


def _combined(step: _Ready, models: _Models, squares: dict[Chain, Model]) -> Model:
    numbers = models.numbers
    one = numbers.zeros(len(models.ends)) + 1
    own = {
        (step.unit, scale): half * (one if scale == ONE else models[scale].bounds()[1])
        for scale, half in step.halves.items()
    }
    terms = [(models[unit], w) for unit, w in step.linear.items()]
    terms += [(squares[chain], w) for chain, w in step.squares.items()]
    return combination(numbers, len(one), step.constant, terms, own)
