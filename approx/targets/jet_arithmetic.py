"""How do the jet recurrences compute? Two arithmetics: float64 arrays over many points, and balls at one box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb

from approx.numbers import to_float
from approx.targets.balls import NAN, ball_step, divide_ball
from approx.targets.floats import apply_float
from approx.targets.jets import Arithmetic, Form, Jet, Terms, run_jets
from approx.targets.monomials import monomials, product_places
from approx.targets.program import Instruction, Program


class FloatJets(Arithmetic):
    """Jets over n points at once: a form of degree k is an array (number of monomials, n). Rounded, not rigorous."""

    def __init__(self, columns: Sequence[np.ndarray]) -> None:
        self.columns = columns
        self.dimension = len(columns)
        self.size = columns[0].shape[0]

    def combine(self, degree: int, terms: Terms) -> Form:
        total = None
        for weight, i, first, j, second in terms:
            if first is None or second is None:
                continue
            if total is None:
                total = np.zeros((len(monomials(self.dimension, degree)), self.size))
            if self.dimension == 1 or i == 0 or j == 0:
                total += weight * (first * second)
                continue
            table = product_places(self.dimension, i, j)
            for row, target in zip(first, table, strict=True):
                total[list(target)] += (weight * row) * second
        return total

    def linear(self, first: Form, second: Form, sign: int) -> Form:
        if second is None:
            return first
        if first is None:
            return second if sign > 0 else -second
        return first + second if sign > 0 else first - second

    def scaled(self, form: Form, factor: Any) -> Form:
        return None if form is None else form * factor

    def divided(self, form: Form, scalar: Any) -> Form:
        return None if form is None else form / scalar

    def scalar(self, form: Form) -> Any:
        return np.zeros(self.size) if form is None else form[0]

    def lift(self, scalar: Any) -> Form:
        return np.broadcast_to(np.asarray(scalar, dtype=np.float64), (1, self.size))

    def value(self, step: Instruction, arguments: list[Any]) -> Any:
        return apply_float(step, arguments)

    def variable(self, index: int, order: int) -> Jet:
        direction = np.zeros((self.dimension, self.size))
        direction[index] = 1.0
        return ([self.columns[index][None, :], direction] + [None] * order)[: order + 1]

    def select(self, step: Instruction, jets: list[Jet], value: Any) -> Jet:
        first = self.scalar(jets[0][0])
        second = self.scalar(jets[1][0]) if len(jets) == 2 else np.zeros(self.size)
        if step.operation == "abs":
            sign = np.where(first >= 0, 1.0, -1.0)
            return [self.lift(value)] + [self.scaled(form, sign) for form in jets[0][1:]]
        weight = (first <= second if step.operation == "min" else first >= second).astype(np.float64)
        weight = np.where(np.isnan(first + second), np.nan, weight)
        chosen = [self.scaled(form, weight) for form in jets[0][1:]]
        if len(jets) == 2:
            other = [self.scaled(form, 1.0 - weight) for form in jets[1][1:]]
            chosen = [self.linear(a, b, 1) for a, b in zip(chosen, other, strict=True)]
        return [self.lift(value), *chosen]

    def constant(self, step: Instruction) -> Any:
        if step.operation == "constant":
            return math.pi if step.data == "pi" else math.e
        return to_float(step.data)

    def two_over_sqrt_pi(self) -> Any:
        return 2.0 / math.sqrt(math.pi)


class BallJets(Arithmetic):
    """Jets at one box of balls: a form of degree k is a list of balls that enclose D^a f(xi)/a! on the box."""

    def __init__(self, point: Sequence[arb], clamp: bool = False) -> None:
        self.point = list(point)
        self.dimension = len(self.point)
        self.clamp = clamp

    def combine(self, degree: int, terms: Terms) -> Form:
        total: list[Any] | None = None
        for weight, i, first, j, second in terms:
            if first is None or second is None:
                continue
            if total is None:
                total = [arb(0)] * len(monomials(self.dimension, degree))
            factor = None if isinstance(weight, int) and weight == 1 else weight
            table = product_places(self.dimension, i, j)
            for left, targets in zip(first, table, strict=True):
                scaled = left if factor is None else left * factor
                for right, target in zip(second, targets, strict=True):
                    total[target] = total[target] + scaled * right
        return total

    def linear(self, first: Form, second: Form, sign: int) -> Form:
        if second is None:
            return first
        if first is None:
            return second if sign > 0 else [-part for part in second]
        if sign > 0:
            return [a + b for a, b in zip(first, second, strict=True)]
        return [a - b for a, b in zip(first, second, strict=True)]

    def scaled(self, form: Form, factor: Any) -> Form:
        return None if form is None else [part * factor for part in form]

    def divided(self, form: Form, scalar: Any) -> Form:
        if form is None:
            return None
        if isinstance(scalar, arb):
            return [divide_ball(part, scalar) for part in form]
        return [part / scalar for part in form]

    def scalar(self, form: Form) -> Any:
        return arb(0) if form is None else form[0]

    def lift(self, scalar: Any) -> Form:
        return [scalar]

    def value(self, step: Instruction, arguments: list[Any]) -> Any:
        return ball_step(
            Instruction(step.operation, tuple(range(len(arguments))), step.data), arguments, self.point, self.clamp
        )

    def variable(self, index: int, order: int) -> Jet:
        direction = [arb(1) if index == i else arb(0) for i in range(self.dimension)]
        return ([[self.point[index]], direction] + [None] * order)[: order + 1]

    def select(self, step: Instruction, jets: list[Jet], value: Any) -> Jet:
        first = self.scalar(jets[0][0])
        second = self.scalar(jets[1][0]) if len(jets) == 2 else arb(0)
        gap = first - second
        order = len(jets[0]) - 1
        other: Jet = jets[1] if len(jets) == 2 else [None] * (order + 1)
        if step.operation == "abs":
            other = [self.scaled(form, -1) for form in jets[0]]
        if step.operation == "min":
            gap = -gap
        if gap >= 0:
            return [self.lift(value), *jets[0][1:]]
        if gap <= 0:
            return [self.lift(value), *other[1:]]
        return [self.lift(value)] + [[NAN] * len(monomials(self.dimension, k)) for k in range(1, order + 1)]

    def constant(self, step: Instruction) -> Any:
        if step.operation == "constant":
            return arb.pi() if step.data == "pi" else arb.const_e()
        return arb(step.data)

    def two_over_sqrt_pi(self) -> Any:
        return 2 / arb.pi().sqrt()


def float_jet(program: Program, points: np.ndarray, order: int) -> dict[tuple[int, ...], np.ndarray]:
    """Return the Taylor coefficients D^a f(x)/a! for |a| <= order at the rows x of `points` (n, d), in float64.

    A guess with rounding errors, not rigorous; NaN or infinite where f is undefined.
    """
    columns = [np.ascontiguousarray(points[:, i], dtype=np.float64) for i in range(points.shape[1])]
    with np.errstate(all="ignore"):
        jet = run_jets(program, FloatJets(columns), order)
    result = {}
    for degree, form in enumerate(jet):
        for place, exponent in enumerate(monomials(len(columns), degree)):
            result[exponent] = np.zeros(len(points)) if form is None else np.array(form[place])
    return result


def ball_jet(program: Program, point: Sequence[arb], order: int, clamp: bool = False) -> dict[tuple[int, ...], arb]:
    """Return balls for the Taylor coefficients D^a f(xi)/a!, |a| <= order, valid for every xi in the box of balls."""
    jet = run_jets(program, BallJets(point, clamp), order)
    result = {}
    for degree, form in enumerate(jet):
        for place, exponent in enumerate(monomials(len(point), degree)):
            result[exponent] = arb(0) if form is None else form[place]
    return result
