"""Which ball contains the values of an expression over a box of balls? Natural inclusion, sound at every operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flint import arb, fmpq

from approx.numbers import absolute, asin, maximum, minimum, relu
from approx.targets.program import Instruction, Program

NAN = arb("nan")


def nonnegative_root(ball: arb, root: Callable[[arb], arb], clamp: bool) -> arb:
    """Return a ball for an increasing `root` with root(0) = 0, over the part of `ball` that is >= 0.

    When the ball reaches below 0 the answer is NaN, unless `clamp` says that the argument is known to be >= 0.
    """
    if ball > 0:
        return root(ball)
    if ball.is_nan() or ball < 0:
        return NAN
    if not clamp and not ball >= 0:
        return NAN
    upper = ball.upper()
    return arb(0).union(root(upper)) if upper > 0 else arb(0)


def sqrt_ball(ball: arb, clamp: bool = False) -> arb:
    """Return a ball for sqrt; see `nonnegative_root`."""
    return nonnegative_root(ball, arb.sqrt, clamp)


def power_ball(ball: arb, exponent: int) -> arb:
    """Return a ball for an integer power: never negative for even exponents, NaN for a pole inside.

    `arb ** int` is NaN on balls that contain 0.
    """
    if exponent < 0:
        return NAN if ball.contains(0) else 1 / power_ball(ball, -exponent)
    if exponent % 2 == 0 and ball.contains(0):
        return arb(0).union(_times(absolute(ball).upper(), exponent))
    if ball.contains(0):
        return _times(ball.lower(), exponent).union(_times(ball.upper(), exponent))
    return _times(ball, exponent)


def _times(ball: arb, exponent: int) -> arb:
    if exponent == 2:
        return ball * ball
    result, square = arb(1), ball
    while exponent:
        if exponent & 1:
            result = result * square
        exponent >>= 1
        if exponent:
            square = square * square
    return result


def rational_power_ball(ball: arb, exponent: fmpq, clamp: bool = False) -> arb:
    """Return a ball for x ** exponent, exponent not an integer: base >= 0, and > 0 for a negative exponent."""
    if exponent < 0:
        return 1 / rational_power_ball(ball, -exponent, False) if ball > 0 else NAN
    return nonnegative_root(ball, lambda positive: (positive.log() * arb(exponent)).exp(), clamp)


def general_power_ball(base: arb, exponent: arb, constant: bool, clamp: bool = False) -> arb:
    """Return a ball for base ** exponent, base > 0 (or >= 0 when the exponent is a constant > 0)."""
    if base > 0:
        return (base.log() * exponent).exp()
    if not (constant and exponent > 0):
        return NAN
    return nonnegative_root(base, lambda positive: (positive.log() * exponent).exp(), clamp)


def divide_ball(first: arb, second: arb) -> arb:
    """Return a ball for the quotient, NaN when the denominator may vanish."""
    return NAN if second.contains(0) else first / second


def log_ball(ball: arb) -> arb:
    """Return a ball for log, NaN unless the ball is positive; the hull of the values at both ends (log increases)."""
    if not ball > 0:
        return NAN
    return ball.log()


def sigmoid_ball(ball: arb) -> arb:
    """Return a ball for 1 / (1 + exp(-x)) = (1 + tanh(x/2)) / 2."""
    return ((ball / 2).tanh() + 1) / 2


UNARY: dict[str, Callable[[arb], arb]] = {
    "neg": arb.__neg__, "abs": absolute, "relu": relu, "exp": arb.exp, "log": log_ball, "sin": arb.sin,
    "cos": arb.cos, "tan": arb.tan, "sinh": arb.sinh, "cosh": arb.cosh, "tanh": arb.tanh, "arctan": arb.atan,
    "erf": arb.erf, "sigmoid": sigmoid_ball,
}  # fmt: skip
BINARY: dict[str, Callable[[arb, arb], arb]] = {
    "add": arb.__add__, "sub": arb.__sub__, "mul": arb.__mul__, "div": divide_ball, "max": maximum, "min": minimum,
}  # fmt: skip


def ball_values(program: Program, point: Sequence[arb], clamp: bool = False) -> list[arb]:
    """Return, for every instruction, a ball that contains its values over the box, at the working precision.

    `clamp` states that the expression is known to be defined on the box intersected with its domain: arguments of
    sqrt, powers and arcsin are then cut to where these are defined. Otherwise every possible pole or undefined place
    gives NaN.
    """
    values: list[arb] = []
    for step in program.instructions:
        values.append(ball_step(step, values, point, clamp))
    return values


def ball_value(program: Program, point: Sequence[arb], clamp: bool = False) -> arb:
    """Return a ball that contains the values of the expression over the box; see `ball_values`."""
    return ball_values(program, point, clamp)[-1]


def ball_step(step: Instruction, values: Sequence[arb], point: Sequence[arb], clamp: bool) -> arb:
    """Return the ball of one instruction from the balls before it."""
    operation = step.operation
    if len(step.arguments) == 2:
        first, second = values[step.arguments[0]], values[step.arguments[1]]
        if operation == "pow":
            return general_power_ball(first, second, step.data, clamp)
        return BINARY[operation](first, second)
    match operation:
        case "number":
            return arb(step.data)
        case "constant":
            return arb.pi() if step.data == "pi" else arb.const_e()
        case "variable":
            return point[step.data]
    argument = values[step.arguments[0]]
    match operation:
        case "powi":
            return power_ball(argument, step.data)
        case "powq":
            return rational_power_ball(argument, step.data, clamp)
        case "sqrt":
            return sqrt_ball(argument, clamp)
        case "arcsin":
            return asin(argument, assume_in_range=clamp)
        case "arccos":
            return arb.pi() / 2 - asin(argument, assume_in_range=clamp)
    return UNARY[operation](argument)
