"""Where is a 1-D expression not smooth? Balls around the zeros of the arguments of abs, max, sqrt, ..."""

from __future__ import annotations

from collections.abc import Iterator

from flint import arb, fmpq

from approx.numbers import to_fmpq, working_precision
from approx.targets.balls import ball_value
from approx.targets.definedness import SignProver
from approx.targets.domain import Domain
from approx.targets.exact import exact_value
from approx.targets.program import Instruction, Program
from approx.targets.slopes import slope_balls

_BITS = 192
_NARROW = fmpq(1, 1 << 120)
_MOST_INTERVALS = 20_000


def find_split_points(program: Program, domain: Domain) -> list[arb]:
    """Return disjoint balls, in rising order, that contain every point of the domain where f may fail to be smooth.

    Kinks of abs, relu, max, min with arguments of one sign on the domain are left out. Simple zeros are enclosed to a
    relative 2^-120, exactly where they are dyadic; zeros that cannot be separated give one wider ball.
    """
    prover = SignProver(program, domain)
    [(low, high)] = list(domain)
    found: list[arb] = []
    with working_precision(_BITS):
        for part in _arguments(program, prover):
            found.extend(zeros(part, low, high))
        return _merged(found)


def _arguments(program: Program, prover: SignProver) -> Iterator[Program]:
    """The programs whose zeros are the places where f may not be smooth."""
    for place, step in enumerate(program.instructions):
        match step.operation:
            case "abs" | "relu":
                [inner] = step.arguments
                if not (prover.holds(inner, 1, False) or prover.holds(inner, -1, False)):
                    yield program.part(inner)
            case "max" | "min":
                first, second = step.arguments
                if first != second:
                    yield program.with_operation("sub", first, second)
            case "sqrt" | "powq":
                if not prover.holds(step.arguments[0], 1, True):
                    yield program.part(step.arguments[0])
            case "pow":
                if not prover.holds(step.arguments[0], 1, True):
                    yield program.part(step.arguments[0])
            case "arcsin" | "arccos":
                for operation in ("add", "sub"):
                    steps = (
                        *program.instructions[: place + 1],
                        Instruction("number", (), fmpq(1)),
                        Instruction(operation, (step.arguments[0], place + 1)),
                    )
                    yield Program(steps).part(len(steps) - 1)


def zeros(part: Program, low: fmpq, high: fmpq) -> list[arb]:
    """Return balls that together contain every zero of the program in [low, high], at the working precision."""
    if not part.variables():
        value = ball_value(part, (), True)
        return [arb(low).union(arb(high))] if value.contains(0) and not value.is_zero() else []
    found: list[arb] = []
    pending = [(low, high)]
    budget = _MOST_INTERVALS
    total = high - low
    while pending:
        left, right = pending.pop()
        ball = arb(left).union(arb(right))
        value, [slope] = slope_balls(part, [ball], True)
        if value.is_zero() or (not value.contains(0) and not value.is_nan()):
            continue
        budget -= 1
        if slope.is_zero():  # constant there: no zero, or nothing but zeros, and then no kink inside
            continue
        if slope > 0 or slope < 0:
            root = _refined(part, left, right)
            if root is not None:
                found.append(root)
            continue
        if right - left < total * _NARROW or budget < 0:
            found.append(ball)
            continue
        middle = (left + right) / 2
        pending.append((middle, right))
        pending.append((left, middle))
    return found


def _refined(part: Program, left: fmpq, right: fmpq) -> arb | None:
    """The enclosure of the one zero of a strictly monotone function by interval Newton; None when there is none."""
    current = arb(left).union(arb(right))
    for _ in range(200):
        middle = current.mid()
        exact = exact_value(part, [to_fmpq(middle)])
        if exact == 0:
            return middle if left <= to_fmpq(middle) <= right else None
        slope = slope_balls(part, [current], True)[1][0]
        value = arb(exact) if exact is not None else ball_value(part, [middle], True)
        step = middle - value / slope
        if not step.is_finite() or not step.overlaps(current):
            return None if step.is_finite() else current
        smaller = step.intersection(current)
        if smaller.rad() > current.rad() * fmpq(7, 8):
            return _snapped(part, smaller)
        current = smaller
    return _snapped(part, current)


def _snapped(part: Program, ball: arb) -> arb:
    """The exact zero where it is a dyadic number of few bits, else the ball."""
    with working_precision(60):
        candidate = (+ball).mid()
    if ball.contains(candidate) and exact_value(part, [to_fmpq(candidate)]) == 0:
        return candidate
    return ball


def _merged(found: list[arb]) -> list[arb]:
    """The balls in rising order, overlapping ones joined."""
    result: list[arb] = []
    for ball in sorted(found, key=lambda one: to_fmpq(one.mid())):
        if result and result[-1].overlaps(ball):
            same = result[-1].is_exact() or ball.is_exact()
            result[-1] = _sharper(result[-1], ball) if same else result[-1].union(ball)
        else:
            result.append(ball)
    return result


def _sharper(first: arb, second: arb) -> arb:
    """The union of two overlapping balls, one of them a point; the point itself when both are it."""
    if first.is_exact() and second.is_exact():
        return first
    return first.union(second)
