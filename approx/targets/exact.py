"""What is the exact rational value of an expression at a rational point? None where it is not rational."""

from __future__ import annotations

from collections.abc import Sequence

from flint import fmpq

from approx.targets.program import Instruction, Program

MAXIMUM_BITS = 5_000_000


def exact_value(program: Program, point: Sequence[fmpq], bits: int = MAXIMUM_BITS) -> fmpq | None:
    """Return the exact value at an exact point, or None when it is irrational, undefined, or beyond `bits` bits.

    Besides + - * / and integer powers, the values that are rational for trivial reasons are found too: abs, relu,
    max, min, sqrt of perfect squares, and exp, log, sin, ... where the argument is 0 (or 1 for log).
    """
    values: list[fmpq | None] = []
    for step in program.instructions:
        values.append(_step(step, values, point, bits))
    return values[-1]


def _step(step: Instruction, values: list[fmpq | None], point: Sequence[fmpq], bits: int) -> fmpq | None:
    if step.operation == "number":
        return step.data
    if step.operation == "variable":
        return point[step.data]
    found = [values[i] for i in step.arguments]
    known = [value for value in found if value is not None]
    if step.operation == "constant" or len(known) < len(found):
        return None
    if sum(value.height_bits() for value in known) > bits:
        return None
    if len(known) == 1:
        return _unary(step, known[0], bits)
    return _binary(step.operation, known[0], known[1], bits)


def _binary(operation: str, first: fmpq, second: fmpq, bits: int) -> fmpq | None:
    match operation:
        case "add":
            return first + second
        case "sub":
            return first - second
        case "mul":
            return first * second
        case "div":
            return first / second if second != 0 else None
        case "max":
            return first if first >= second else second
        case "min":
            return first if first <= second else second
        case "pow":
            if second.q == 1 and first > 0 and abs(second) * first.height_bits() < bits:
                return first ** int(second.p)
            return fmpq(0) if first == 0 and second > 0 else _rational_power(first, second)
    return None


def _rational_power(base: fmpq, exponent: fmpq) -> fmpq | None:
    """base ** exponent when the needed root of the base is rational (square roots only), else None."""
    if base < 0 or (base == 0 and exponent < 0):
        return None
    if base in (0, 1):
        return base
    if exponent.q != 2:
        return None
    root = _square_root(base)
    return None if root is None else root ** int(exponent.p)


def _square_root(value: fmpq) -> fmpq | None:
    if value < 0:
        return None
    top, bottom = value.p.isqrt(), value.q.isqrt()
    return fmpq(top, bottom) if top * top == value.p and bottom * bottom == value.q else None


def _unary(step: Instruction, value: fmpq, bits: int) -> fmpq | None:
    match step.operation:
        case "neg":
            return -value
        case "powi":
            if value == 0:
                return fmpq(0) if step.data > 0 else None
            return value**step.data if value.height_bits() * abs(step.data) < bits else None
        case "powq":
            return _rational_power(value, step.data)
        case "abs":
            return abs(value)
        case "relu":
            return value if value > 0 else fmpq(0)
        case "sqrt":
            return _square_root(value)
        case "log":
            return fmpq(0) if value == 1 else None
    if value != 0:
        return None
    if step.operation in ("exp", "cos", "cosh"):
        return fmpq(1)
    if step.operation in ("sin", "tan", "sinh", "tanh", "arcsin", "arctan", "erf"):
        return fmpq(0)
    return fmpq(1, 2) if step.operation == "sigmoid" else None
