"""Which balls contain all slopes of an expression over a box, kinks included? Value and generalised gradient together.

Clarke's gradient: where f is differentiable it is the gradient; at a kink it is the hull of the limits around. So
|f(x) - f(y)| <= max |slope| |x - y| on the box whenever the balls are finite.
"""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, fmpq

from approx.targets.balls import (
    NAN,
    ball_step,
    divide_ball,
    log_ball,
    power_ball,
    rational_power_ball,
    sqrt_ball,
)
from approx.targets.program import Instruction, Program

Gradient = list[arb] | None
_SIGNS = arb(0, 1)


def slope_balls(program: Program, point: Sequence[arb], clamp: bool = False) -> tuple[arb, list[arb]]:
    """Return (value, slopes): balls of f and of every component of its generalised gradient over the box.

    Not finite where f is not Lipschitz (sqrt at 0) or may be undefined.
    """
    value, slopes, _ = slopes_and_norm(program, point, clamp)
    return value, slopes


def slopes_and_norm(program: Program, point: Sequence[arb], clamp: bool = False) -> tuple[arb, list[arb], arb]:
    """Return (value, slopes, norm) where norm bounds the sum of |slopes| of every generalised gradient over the box.

    The norm is carried along on its own, because at a kink it is the larger of the two sides and not the sum of the
    hulls.
    """
    values: list[arb] = []
    norms: list[arb] = []
    gradients: list[Gradient] = []
    zero = arb(0)
    for step in program.instructions:
        values.append(ball_step(step, values, point, clamp))
        if step.operation == "variable":
            gradients.append([arb(1) if step.data == i else zero for i in range(len(point))])
        else:
            gradients.append(_gradient(step, values, gradients, clamp))
        norms.append(_norm(step, gradients, norms, values))
    return values[-1], gradients[-1] or [zero] * len(point), norms[-1]


def _norm(step: Instruction, gradients: list[Gradient], norms: list[arb], values: list[arb]) -> arb:
    """The l1 norm of the gradient just found: the sum of its parts, or less where a maximum of two was taken."""
    gradient = gradients[-1]
    if gradient is None:
        return arb(0)
    total = sum((part.abs_upper() for part in gradient), arb(0))
    below = [norms[i] for i in step.arguments]
    match step.operation:
        case "max" | "min":
            other = below[0].max(below[1])
        case "add" | "sub":
            other = below[0] + below[1]
        case "neg" | "abs" | "relu":
            other = below[0]
        case "mul":
            first, second = (values[i].abs_upper() for i in step.arguments)
            other = first * below[1] + second * below[0]
        case _:
            return total
    return other if other < total else total


def _gradient(step: Instruction, values: list[arb], gradients: list[Gradient], clamp: bool) -> Gradient:
    """The gradient of one operation; None means exactly zero."""
    below = [gradients[i] for i in step.arguments]
    if all(gradient is None for gradient in below):
        return None
    given = [values[i] for i in step.arguments]
    if len(below) == 1:
        weight = derivative_ball(step, given[0], values[-1], clamp)
        return [weight * part for part in below[0] or []]
    if step.operation in ("max", "min"):
        return _choice(step.operation, given, below)
    left, right = _partials(step, given, values[-1], clamp)
    return _combined(left, below[0], right, below[1])


def _combined(left: arb, first: Gradient, right: arb, second: Gradient) -> Gradient:
    if first is None:
        return [right * part for part in second or []]
    if second is None:
        return [left * part for part in first]
    return [left * a + right * b for a, b in zip(first, second, strict=True)]


def _partials(step: Instruction, given: list[arb], value: arb, clamp: bool) -> tuple[arb, arb]:
    first, second = given
    match step.operation:
        case "add":
            return arb(1), arb(1)
        case "sub":
            return arb(1), arb(-1)
        case "mul":
            return second, first
        case "div":
            return divide_ball(arb(1), second), -divide_ball(value, second)
        case "pow":
            if first > 0:
                return value * second / first, value * log_ball(first)
            if step.data and second >= 1:
                base = Instruction("pow", (0, 1), True)
                return second * ball_step(base, [first, second - 1], (), clamp) if second > 1 else NAN, arb(0)
    return NAN, NAN


def _choice(operation: str, given: list[arb], below: list[Gradient]) -> Gradient:
    size = len(next(gradient for gradient in below if gradient is not None))
    first, second = (gradient or [arb(0)] * size for gradient in below)
    gap = given[0] - given[1] if operation == "max" else given[1] - given[0]
    if gap > 0:
        return first
    if gap < 0:
        return second
    if gap.is_nan():
        return [NAN] * size
    return [a.union(b) for a, b in zip(first, second, strict=True)]


def derivative_ball(step: Instruction, x: arb, value: arb, clamp: bool) -> arb:
    """The ball of the derivative (or of all generalised slopes) of a one-argument operation."""
    match step.operation:
        case "neg":
            return arb(-1)
        case "abs":
            return arb(1) if x > 0 else arb(-1) if x < 0 else NAN if x.is_nan() else _SIGNS
        case "relu":
            return arb(1) if x > 0 else arb(0) if x < 0 else NAN if x.is_nan() else arb(0).union(arb(1))
        case "sqrt":
            return 1 / (2 * value) if x > 0 else NAN
        case "exp":
            return value
        case "log":
            return divide_ball(arb(1), x)
        case "sin":
            return x.cos()
        case "cos":
            return -x.sin()
        case "tan":
            return 1 + power_ball(value, 2)
        case "sinh":
            return x.cosh()
        case "cosh":
            return x.sinh()
        case "powi":
            return step.data * power_ball(x, step.data - 1)
        case "powq":
            if step.data > 1 or x > 0:
                return arb(step.data) * rational_power_ball(x, step.data - 1, clamp)
            return NAN
    return _flat_derivative(step.operation, x, value)


def _flat_derivative(operation: str, x: arb, value: arb) -> arb:
    """The derivatives of the functions that flatten out, and of arcsin, arccos."""
    match operation:
        case "tanh":
            return _cut(1 - power_ball(value, 2), fmpq(1))
        case "sigmoid":
            return _cut(fmpq(1, 4) - power_ball(value - fmpq(1, 2), 2), fmpq(1, 4))
        case "arctan":
            return 1 / (1 + power_ball(x, 2))
        case "erf":
            return 2 / arb.pi().sqrt() * (-power_ball(x, 2)).exp()
        case "arcsin" | "arccos":
            inside = 1 - power_ball(x, 2)
            slope = 1 / sqrt_ball(inside) if inside > 0 else NAN
            return slope if operation == "arcsin" else -slope
    return NAN


def _cut(ball: arb, upper: fmpq) -> arb:
    """The ball intersected with [0, upper], where its values are known to lie."""
    if not ball.is_finite():
        return NAN
    return ball.intersection(arb(0).union(arb(upper)))
