"""How large can |f - net| be on an interval when sawtooth squares are read as squares plus their proved error?

The program of square_program.py is followed with Taylor models: on the interval c + w t, |t| <= 1, every kept unit is a
polynomial in t with ball coefficients, plus a sum of balls times e_i in [-1, 1], one e_i for the error of every square, plus
a remainder |r| <= radius. So an error that enters twice, as in xy = ((x+y)/2)^2 - ((x-y)/2)^2, is not counted twice.
Products are truncated, what is cut goes into the radius; the error interval of a square enters with its midpoint in the
constant. A ReLU whose model takes both signs is relaxed to its chord, so callers cut intervals at such places by halving.
Where a root of a chain leaves [0, 1 + 1/16], or f has no expansion, the bound is infinite.

The bound costs milliseconds however many pieces the network has, and is as sharp as the errors of different squares are
independent; this is what lets the search leave out blocks of deep networks, and what is known when its budget ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flint import arb, arb_poly, fmpq

from approx.certification.square_kinks import AffineUnits
from approx.certification.square_program import SquareProgram, Step
from approx.numbers import arb_interval, float_up, to_float, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_ORDER = 8
_HIGHEST = arb(17) / 16
_BITS = 128
#: Networks with fewer levels of squares are searched by their pieces alone; with more kept units models cost too much.
_LEAST_LEVELS, _MOST_STEPS, _MOST_WEIGHTS = 8, 200, 20_000


@dataclass(frozen=True)
class _Model:
    """poly(t) + sum symbols[i] e_i + r, |t|, |e_i| <= 1, |r| <= rest."""

    poly: arb_poly
    symbols: dict[int, arb]
    rest: arb

    @property
    def noise(self) -> arb:
        """A bound of all but the polynomial."""
        return sum((abs(v) for v in self.symbols.values()), self.rest)


def _constant(value: Any, rest: Any = 0) -> _Model:
    return _Model(arb_poly([arb(value)]), {}, arb(rest))


class SquareBound:
    """Bounds of |f - net| on intervals, for networks with sawtooth squares."""

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
        ):
            return None
        program = SquareProgram.of(net)
        # A path of kept units longer than all levels is another sawtooth (of a quotient, say): no model is sharp there.
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

    def bound(self, left: float, right: float) -> float:
        """A proved bound of sup |f - net| on [left, right] within the domain; inf where the reading does not apply."""
        if self.program is None:
            return math.inf
        domain = self.target.domain
        a = max(to_fmpq(left), domain.lower[0])
        b = min(to_fmpq(right), domain.upper[0])
        if a > b:
            return 0.0
        with working_precision(_BITS):
            centre, half = (a + b) / 2, (b - a) / 2
            net = self._followed(self.program, a, b)
            f = self._expansion(centre, half)
            if net is None or f is None:
                return math.inf
            low, high = _range(_Model(f.poly - net.poly, net.symbols, f.rest + net.rest))
            worst = abs(low).max(abs(high))
            return float_up(worst.upper()) if worst.is_finite() else math.inf

    def _expansion(self, centre: fmpq, half: fmpq) -> _Model | None:
        rest = self.target.series(arb_interval(centre - half, centre + half), _ORDER + 1)[-1]
        here = self.target.series(arb(centre), _ORDER)
        if not (rest.is_finite() and all(c.is_finite() for c in here)):
            return None
        w = arb(half)
        return _Model(arb_poly([c * w**k for k, c in enumerate(here)]), {}, abs(rest) * w ** (_ORDER + 1))

    def _followed(self, program: SquareProgram, left: fmpq, right: fmpq) -> _Model | None:
        affine = self.affine
        models = _Models(affine, left, right)
        squares: dict[int, _Model] = {}
        for step in program.steps:
            if step.unit in affine.units:
                continue
            for root in step.squares:
                if root not in squares:
                    squares[root] = _square(models[root])
            over = _overshoot(step, models, program.signed)
            if over is None:
                return None
            model = _combined(step, models, squares)
            models[step.unit] = _activated(_Model(model.poly, model.symbols, model.rest + over), step.activation)
        return models[program.steps[-1].unit]


class _Models(dict[int, _Model]):
    """The models of the units on an interval; those of piecewise affine units are made when they are read."""

    def __init__(self, affine: AffineUnits, left: fmpq, right: fmpq) -> None:
        super().__init__()
        self.affine, self.ends = affine, (left, right)

    def __missing__(self, unit: int) -> _Model:
        middle, rise, away = self.affine.model(unit, *self.ends)
        self[unit] = _Model(arb_poly([arb(middle), arb(rise)]), {}, arb(away))
        return self[unit]


def _overshoot(step: Step, models: _Models, signed: set[int]) -> arb | None:
    """How much the step's error grows since roots exceed 1; None where they may exceed it by more than 1/16."""
    total = arb(0)
    for root, factor in step.roots.items():
        low, high = _range(models[root])
        if (root in signed and not low >= 0) or not high <= _HIGHEST:
            return None
        total += arb(factor) * (high - 1).max(arb(0))
    return total


def _combined(step: Step, models: _Models, squares: dict[int, _Model]) -> _Model:
    poly = arb_poly([arb(step.constant + (step.low + step.high) / 2)])
    symbols: dict[int, arb] = {step.unit: arb((step.high - step.low) / 2)} if step.high > step.low else {}
    rest = arb(0)
    for values, factors in ((models, step.linear), (squares, step.squares)):
        for source, weight in factors.items():
            model, w = values[source], arb(weight)
            poly, rest = poly + model.poly * w, rest + model.rest * abs(w)
            for i, v in model.symbols.items():
                symbols[i] = symbols.get(i, arb(0)) + v * w
    return _Model(poly, symbols, rest)


def _activated(model: _Model, activation: str) -> _Model:
    if activation == "identity":
        return model
    low, high = _range(model)
    if low >= 0:
        return model
    if high <= 0:
        if activation == "abs":
            return _Model(-model.poly, {i: -v for i, v in model.symbols.items()}, model.rest)
        return _constant(0)
    if activation == "abs":
        top = high.max(-low)
        return _constant(top / 2, (top / 2).abs_upper())
    # On [low, high] max(z, 0) lies between slope*z and slope*(z - low), for any slope in [0, 1] with that at both ends.
    slope = arb((high / (high - low)).mid())
    gap = (-slope * low).max((1 - slope) * high)
    symbols = {i: v * slope for i, v in model.symbols.items()}
    return _Model(model.poly * slope + gap / 2, symbols, model.rest * slope + abs(gap) / 2)


def _square(model: _Model) -> _Model:
    """v^2 = p^2 + 2 p (v - p) + (v - p)^2, with 2 p a ball for the symbols."""
    p = model.poly
    coefficients = (p * p).coeffs()
    cut = sum((abs(c) for c in coefficients[_ORDER + 1 :]), arb(0))
    low, high = _range(_Model(p, {}, arb(0)))
    twice = low.union(high) * 2
    noise = model.noise
    symbols = {i: v * twice for i, v in model.symbols.items()}
    return _Model(arb_poly(coefficients[: _ORDER + 1]), symbols, cut + model.rest * abs(twice) + noise * noise)


def _range(model: _Model) -> tuple[arb, arb]:
    """Bounds of a model from below and above, as balls."""
    c = model.poly.coeffs() or [arb(0)]
    lower = upper = c[0]
    if len(c) > 2:
        # Linear and quadratic terms together: both ends, and the vertex where it may lie inside.
        first, second = c[1], c[2]
        if second.contains(0):
            down, up = -abs(first) - abs(second), abs(first) + abs(second)
        else:
            down, up = (second - first).min(second + first), (second - first).max(second + first)
            if not abs(first) > 2 * abs(second):
                vertex = -first * first / (4 * second)
                down, up = down.min(vertex), up.max(vertex)
        lower, upper = lower + down, upper + up
    elif len(c) == 2:
        lower, upper = lower - abs(c[1]), upper + abs(c[1])
    tail = sum((abs(v) for v in c[3:]), model.noise)
    return lower - tail, upper + tail
