"""How continuous is an expression? Hölder pairs by rules on the tree, and a modulus of continuity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flint import arb, fmpq

from approx.errors import RegularityError
from approx.numbers import absolute, float_down, float_up, to_fmpq, working_precision
from approx.targets.balls import divide_ball
from approx.targets.program import Instruction
from approx.targets.slopes import derivative_ball

if TYPE_CHECKING:
    from approx.targets.target import Target

_BITS = 96
Hoelder = tuple[fmpq, arb]


def hoelder_of(target: Target) -> tuple[float, float]:
    """Return (alpha, C) with |f(x) - f(y)| <= C |x - y|_inf^alpha on the domain, alpha = 1 wherever f is Lipschitz.

    Parts that are Lipschitz count with their own sharp constant; a root of a part divides its exponent (|a^q - b^q|
    <= |a - b|^q for 0 < q <= 1, and |arcsin a - arcsin b| <= pi/sqrt(2) |a - b|^(1/2)); sums, products and smooth
    functions combine in the usual way. Sound, not always the best exponent. Raises RegularityError when nothing
    finite was found.
    """
    with working_precision(_BITS):
        alpha, constant = _Finder(target).find(len(target.program.instructions) - 1)
        if not constant.is_finite():
            raise RegularityError(f"target {target.text} on {target.domain}: no Hölder bound could be shown")
        rounded = float_down(alpha)
        return rounded, float_up(_weakened(alpha, constant, to_fmpq(rounded), _diameter(target)))


def modulus_of(target: Target, h: float) -> float:
    """Return a bound of sup |f(x) - f(y)| over |x - y|_inf <= h; see `Target.modulus`."""
    alpha, constant = target.hoelder()
    with working_precision(_BITS):
        step = arb(h)
        bound = float_up(arb(constant) * (step if alpha == 1.0 else (step.log() * arb(alpha)).exp())) if h > 0 else 0.0
        value = target.ball(target.domain.balls())
        return min(bound, float_up(2 * value.rad())) if value.is_finite() else bound


def _diameter(target: Target) -> arb:
    return arb(max(high - low for low, high in target.domain))


def _weakened(alpha: fmpq, constant: arb, wanted: fmpq, diameter: arb) -> arb:
    """The constant for a smaller exponent: t^alpha <= diameter^(alpha - wanted) t^wanted for 0 <= t <= diameter."""
    if alpha == wanted or constant.is_zero():
        return constant
    return constant * (diameter.log() * arb(alpha - wanted)).exp()


class _Finder:
    """Finds the pair (alpha, C) of every part of one target, each once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.steps = target.program.instructions
        self.diameter = _diameter(target)
        self.known: dict[int, Hoelder] = {}
        self.ranges: dict[int, arb] = {}

    def find(self, position: int) -> Hoelder:
        if position not in self.known:
            self.known[position] = self._find(position)
        return self.known[position]

    def _find(self, position: int) -> Hoelder:
        part = self.target.part(position)
        if not part.program.variables():
            return fmpq(1), arb(0)
        bound = part.lipschitz()
        if math.isfinite(bound):
            return fmpq(1), arb(bound)
        step = self.steps[position]
        below = [self.find(i) for i in step.arguments]
        if len(below) == 2:
            return self._binary(step, below)
        return self._unary(step, below[0]) if below else (fmpq(1), arb("nan"))

    def range(self, position: int) -> arb:
        if position not in self.ranges:
            part = self.target.part(position)
            self.ranges[position] = part.ball(part.domain.balls())
        return self.ranges[position]

    def _binary(self, step: Instruction, below: list[Hoelder]) -> Hoelder:
        alpha = min(below[0][0], below[1][0])
        first, second = (_weakened(own, constant, alpha, self.diameter) for own, constant in below)
        left, right = (absolute(self.range(i)) for i in step.arguments)
        match step.operation:
            case "add" | "sub":
                return alpha, first + second
            case "mul":
                return alpha, left * second + right * first
            case "div":
                return alpha, divide_ball(first, right) + divide_ball(left * second, right * right)
            case "max" | "min":
                return alpha, first.max(second)
            case "pow":
                exponent = self.range(step.arguments[1])
                if step.data and 0 < exponent < 1:
                    return self._root(below[0], to_fmpq(float_down(exponent)), self.range(step.arguments[0]))
        return alpha, arb("nan")

    def _unary(self, step: Instruction, below: Hoelder) -> Hoelder:
        alpha, constant = below
        match step.operation:
            case "neg" | "abs" | "relu":
                return below
            case "sqrt":
                return self._root(below, fmpq(1, 2), arb(0))
            case "arcsin" | "arccos":
                exponent, root = self._root(below, fmpq(1, 2), arb(0))
                return exponent, root * arb.pi() / arb(2).sqrt()
            case "powq":
                if 0 < step.data < 1:
                    return self._root(below, step.data, arb(0))
        argument = self.range(step.arguments[0])
        value = self.range(self.steps.index(step))
        return alpha, absolute(derivative_ball(step, argument, value, True)) * constant

    def _root(self, below: Hoelder, exponent: fmpq, spread: arb) -> Hoelder:
        """|a^q - b^q| <= |a - b|^q; for a q that was rounded down, the range's width enters by a factor near 1."""
        alpha, constant = below
        if constant.is_zero():
            return fmpq(1), arb(0)
        power = (constant.abs_upper().log() * arb(exponent)).exp() if constant.is_finite() else arb("nan")
        if spread.is_finite() and spread.rad() > 0:
            power = power * (2 * spread.rad() + 1)
        return alpha * exponent, power
