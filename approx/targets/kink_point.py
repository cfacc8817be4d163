"""Which slopes has a piecewise-linear expression on both sides of the one point where it bends? In rational arithmetic."""

from __future__ import annotations

from flint import fmpq

from approx.targets.program import Instruction, Program

#: v + s (x - x0), exact.
_Affine = tuple[fmpq, fmpq]
_LINEAR = frozenset({"number", "variable", "add", "sub", "neg", "mul", "abs", "relu", "max", "min"})


def piecewise_linear(program: Program) -> bool:
    """Whether the program of one variable is built of + - and multiples by constants, abs, relu, max and min."""
    constant: list[bool] = []
    for step in program.instructions:
        below = [constant[a] for a in step.arguments]
        if step.operation not in _LINEAR or (step.operation == "mul" and not any(below)):
            return False
        constant.append(step.operation == "number" or (bool(below) and all(below)))
    return program.variables() <= {0}


def slopes_around(program: Program, low: fmpq, high: fmpq, kink: int) -> tuple[fmpq, fmpq] | None:
    """(slope on [low, x0], slope on [x0, high]), x0 the zero of the argument of instruction `kink`, if that is all there is.

    Proved: on each side every argument of abs, relu, max, min is followed as the affine function that it is there, and keeps
    its sign from end to end. None where x0 is not unique, or something else bends inside. O(instructions).
    """
    whole = _followed(program, low, high, kink)
    if whole is None:
        return None
    value, slope = whole
    if slope == 0:
        return None
    middle = low - value / slope
    if not low <= middle <= high:
        middle = low if middle < low else high
    left, right = _followed(program, low, middle, None), _followed(program, middle, high, None)
    return None if left is None or right is None else (left[1], right[1])


def _followed(program: Program, low: fmpq, high: fmpq, until: int | None) -> _Affine | None:
    """The affine function that the program is on [low, high] (value at low, slope), or that of the argument of `until`."""
    width, values = high - low, list[_Affine]()
    for i, step in enumerate(program.instructions):
        below = [values[a] for a in step.arguments]
        argument = _argument(step, below)
        if i == until:
            return argument
        if argument is None:
            values.append(_affine(step, below, low))
            continue
        ends = argument[0], argument[0] + argument[1] * width
        if min(ends) < 0 < max(ends):
            return None
        values.append(_branch(step, below, max(ends) > 0))
    return values[-1]


def _argument(step: Instruction, below: list[_Affine]) -> _Affine | None:
    if step.operation in ("abs", "relu"):
        return below[0]
    if step.operation in ("max", "min"):
        return below[0][0] - below[1][0], below[0][1] - below[1][1]
    return None


def _branch(step: Instruction, below: list[_Affine], positive: bool) -> _Affine:
    match step.operation:
        case "abs":
            return below[0] if positive else (-below[0][0], -below[0][1])
        case "relu":
            return below[0] if positive else (fmpq(0), fmpq(0))
        case "max":
            return below[0] if positive else below[1]
        case _:
            return below[1] if positive else below[0]


def _affine(step: Instruction, below: list[_Affine], low: fmpq) -> _Affine:
    match step.operation:
        case "number":
            return step.data, fmpq(0)
        case "variable":
            return low, fmpq(1)
        case "add":
            return below[0][0] + below[1][0], below[0][1] + below[1][1]
        case "sub":
            return below[0][0] - below[1][0], below[0][1] - below[1][1]
        case "neg":
            return -below[0][0], -below[0][1]
        case _:  # mul, one of them constant
            (a, s), (b, t) = below
            return a * b, a * t + b * s
