"""How large can |f - net| be on an interval when sawtooth squares and quotients are read as such plus their proved error?

The program of square_program.py is followed with Taylor models: on the interval c + w t, |t| <= 1, every kept unit is a
polynomial in t with ball coefficients, plus a sum of balls times e_i in [-1, 1], one e_i for the errors of a unit's squares
and one for those of its quotients by one scale, plus a remainder |r| <= radius. So an error that enters twice, as in
xy = ((x+y)/2)^2 - ((x-y)/2)^2, is not counted twice. Products are truncated, what is cut goes into the radius; the error
interval of a quotient by c enters with its midpoint as a multiple of c. A ReLU whose model takes both signs is relaxed to
its chord, so callers cut intervals at such places by halving.
Where a root u of a chain leaves [0, c + c/16], c may not be positive, or f has no expansion, the bound is infinite.

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
from approx.certification.square_program import ONE, Chain, SquareProgram, Step
from approx.numbers import arb_interval, float_up, to_float, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: The unit whose input errs, and the scale of the error.
_Symbol = tuple[int, int]
_ORDER = 8
_BITS = 128
#: Networks with fewer levels of squares are searched by their pieces alone; with more kept units models cost too much.
_LEAST_LEVELS, _MOST_STEPS, _MOST_WEIGHTS = 8, 200, 20_000


@dataclass(frozen=True)
class _Model:
    """poly(t) + sum symbols[i] e_i + r, |t|, |e_i| <= 1, |r| <= rest."""

    poly: arb_poly
    symbols: dict[_Symbol, arb]
    rest: arb

    @property
    def noise(self) -> arb:
        """A bound of all but the polynomial."""
        return sum((abs(v) for v in self.symbols.values()), self.rest)


def _constant(value: Any, rest: Any = 0) -> _Model:
    return _Model(arb_poly([arb(value)]), {}, arb(rest))


@dataclass(frozen=True)
class _Ready:
    """A step with its numbers as balls; the midpoints of errors are in the constant and in `linear`."""

    unit: int
    activation: str
    constant: arb
    linear: dict[int, arb]
    squares: dict[Chain, arb]
    halves: dict[int, arb]
    roots: dict[Chain, arb]

    @classmethod
    def of(cls, step: Step) -> _Ready:
        """The step, at the working precision."""
        linear, constant = dict(step.linear), step.constant
        for scale, (low, high) in step.errors.items():
            if scale == ONE:
                constant += (low + high) / 2
            else:
                linear[scale] = linear.get(scale, fmpq(0)) + (low + high) / 2
        return cls(
            step.unit,
            step.activation,
            arb(constant),
            {k: arb(v) for k, v in linear.items() if v != 0},
            {k: arb(v) for k, v in step.squares.items()},
            {k: arb((high - low) / 2) for k, (low, high) in step.errors.items()},
            {k: arb(v) for k, v in step.roots.items()},
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

    @cached_property
    def steps(self) -> list[_Ready]:
        """The steps whose models are followed."""
        assert self.program is not None
        with working_precision(_BITS):
            return [_Ready.of(s) for s in self.program.steps if s.unit not in self.affine.units]

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
        models = _Models(self.affine, left, right)
        squares: dict[Chain, _Model] = {}
        for step in self.steps:
            if not all(_range(models[scale])[0] > 0 for _, scale in step.roots if scale != ONE):
                return None
            for root, scale in step.squares:
                if (root, scale) not in squares:
                    top = models[root]
                    squares[root, scale] = _square(top) if scale == ONE else _quotient(top, models[scale])
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


def _overshoot(step: _Ready, models: _Models, signed: set[int]) -> arb | None:
    """How much the step's error grows since roots exceed their scales; None where they may by more than 1/16 of these."""
    total = arb(0)
    for (root, scale), factor in step.roots.items():
        low, high = _range(models[root])
        over, least = high - 1, arb(1)
        if scale != ONE:
            over, least = _range(_less(models[root], models[scale]))[1], _range(models[scale])[0]
        if (root in signed and not low >= 0) or not 16 * over <= least:
            return None
        total += factor * over.max(arb(0))
    return total


def _combined(step: _Ready, models: _Models, squares: dict[Chain, _Model]) -> _Model:
    poly, rest = arb_poly([step.constant]), arb(0)
    symbols = {
        (step.unit, scale): half if scale == ONE else half * _range(models[scale])[1]
        for scale, half in step.halves.items()
    }
    terms = [(models[unit], w) for unit, w in step.linear.items()]
    for model, w in terms + [(squares[chain], w) for chain, w in step.squares.items()]:
        poly, rest = poly + model.poly * w, rest + model.rest * abs(w)
        for i, v in model.symbols.items():
            symbols[i] = symbols.get(i, arb(0)) + v * w
    return _Model(poly, symbols, rest)


def _less(one: _Model, other: _Model) -> _Model:
    """one - other."""
    symbols = dict(one.symbols)
    for i, v in other.symbols.items():
        symbols[i] = symbols.get(i, arb(0)) - v
    return _Model(one.poly - other.poly, symbols, one.rest + other.rest)


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


def _quotient(top: _Model, bottom: _Model) -> _Model:
    """u^2/c for u = p + x, c = b + y > 0, with z = p/b: p^2/b + 2 z x - z^2 y + (x - z y)^2/c, exactly.

    p^2/b is its series q up to _ORDER: q b - p^2 has terms beyond that alone, over b they are the error of q.
    """
    p, b = top.poly, bottom.poly
    least = _range(_Model(b, {}, arb(0)))[0]
    inverse = _inverse(b)
    q = arb_poly((p * p * inverse).coeffs()[: _ORDER + 1])
    off = sum((abs(c) for c in (q * b - p * p).coeffs()), arb(0)) / least
    z = _ratio(p, b, inverse, least)
    noise = top.noise + abs(z) * bottom.noise
    symbols = {i: 2 * z * v for i, v in top.symbols.items()}
    for i, v in bottom.symbols.items():
        symbols[i] = symbols.get(i, arb(0)) - z * z * v
    rest = 2 * abs(z) * top.rest + z * z * bottom.rest + noise * noise / _range(bottom)[0]
    return _Model(q, symbols, off + rest)


def _inverse(b: arb_poly) -> arb_poly:
    """The series of 1/b up to _ORDER."""
    c = [*b.coeffs(), *[arb(0)] * (_ORDER + 1)]
    found: list[arb] = [1 / c[0]]
    for k in range(1, _ORDER + 1):
        found.append(-sum((c[i] * found[k - i] for i in range(1, k + 1)), arb(0)) / c[0])
    return arb_poly(found)


def _ratio(p: arb_poly, b: arb_poly, inverse: arb_poly, least: arb) -> arb:
    """A ball with all values of p/b."""
    z = arb_poly((p * inverse).coeffs()[: _ORDER + 1])
    off = sum((abs(c) for c in (z * b - p).coeffs()), arb(0)) / least
    low, high = _range(_Model(z, {}, off))
    return low.union(high)


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
