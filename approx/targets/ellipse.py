"""In which Bernstein ellipse is a 1-D target analytic, and how large is it there? Complex balls tell.

The ellipse of parameter rho around [a, b] is the image of |w| <= rho under z = c + h (w + 1/w)/2; with w = exp(s + i
t) it is c + h cosh(s + i t), 0 <= s <= log(rho). Boxes in (s, t) whose images are evaluated finitely prove
analyticity, and by the maximum principle the largest |f| is on s = log(rho).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from flint import acb, arb

from approx.numbers import float_down, float_up, working_precision
from approx.targets.definedness import SignProver
from approx.targets.program import Instruction, Program

if TYPE_CHECKING:
    from approx.targets.target import Target

_BITS = 64
_MOST_BOXES = 1500
_LARGEST_LOG = 3.0
_LARGEST_VALUE = 1e60
_STEPS = 10
_NAN = acb("nan")


def analytic_ellipse(target: Target) -> tuple[float, float] | None:
    """Return (rho, M): f is analytic in the ellipse of parameter rho and |f| <= M there; None if none was found.

    rho is the largest that a bisection with 1500 boxes proves, at most exp(3) = 20.08, with M at most 1e60.
    """
    prover = SignProver(target.program, target.domain)
    with working_precision(_BITS):
        low, high = arb(target.domain.lower[0]), arb(target.domain.upper[0])
        evaluator = _Complex(target.program, prover, (low + high) / 2, (high - low) / 2)
        good, bad = 0.0, _LARGEST_LOG
        if _analytic(evaluator, bad):
            good = bad
        elif not _analytic(evaluator, 2.0**-12):
            return None
        else:
            good = 2.0**-12
            for _ in range(_STEPS):
                middle = (good * bad) ** 0.5
                good, bad = (middle, bad) if _analytic(evaluator, middle) else (good, middle)
        bound = _largest(evaluator, good)
        return (float_down(arb(good).exp()), bound) if bound < float("inf") else None


class _Complex:
    """Evaluates a program on the image of a box in (s, t); NaN unless it is analytic on the image."""

    def __init__(self, program: Program, prover: SignProver, centre: arb, half: arb) -> None:
        self.program, self.prover, self.centre, self.half = program, prover, centre, half

    def at(self, s: arb, t: arb) -> acb:
        point = acb(s, t).cosh() * self.half + self.centre
        values: list[acb] = []
        for step in self.program.instructions:
            values.append(self.step(step, [values[i] for i in step.arguments], point))
        return values[-1]

    def step(self, step: Instruction, given: list[acb], point: acb) -> acb:
        match step.operation:
            case "number":
                return acb(arb(step.data))
            case "constant":
                return acb(arb.pi() if step.data == "pi" else arb.const_e())
            case "variable":
                return point
            case "abs" | "relu" | "max" | "min":
                return self.branch(step, given)
        if len(given) == 2:
            return _binary(step.operation, given[0], given[1])
        if step.operation == "powi":
            return _integer_power(given[0], step.data)
        if step.operation == "powq":
            return (given[0].log(analytic=True) * arb(step.data)).exp()
        return _UNARY[step.operation](given[0])

    def branch(self, step: Instruction, given: list[acb]) -> acb:
        """The analytic continuation of a kink function whose argument has one sign on the interval."""
        if step.operation in ("abs", "relu"):
            [place] = step.arguments
            if self.prover.holds(place, 1, False):
                return given[0]
            if self.prover.holds(place, -1, False):
                return -given[0] if step.operation == "abs" else acb(0)
        return _NAN


def _binary(operation: str, first: acb, second: acb) -> acb:
    match operation:
        case "add":
            return first + second
        case "sub":
            return first - second
        case "mul":
            return first * second
        case "div":
            return first / second if not second.contains(acb(0)) else _NAN
        case "pow":
            return (first.log(analytic=True) * second).exp()
    return _NAN


def _integer_power(base: acb, exponent: int) -> acb:
    if exponent < 0:
        inverse = _integer_power(base, -exponent)
        return _NAN if base.contains(acb(0)) else 1 / inverse
    result, square = acb(1), base
    while exponent:
        if exponent & 1:
            result = result * square
        exponent >>= 1
        if exponent:
            square = square * square
    return result


def _arcsin(value: acb) -> acb:
    """arcsin off its cuts, the real axis beyond -1 and 1."""
    on_cut = value.imag.contains(0) and not -1 < value.real < 1
    return _NAN if on_cut else value.asin()


def _arctan(value: acb) -> acb:
    """arctan off its cuts, the imaginary axis beyond -i and i."""
    on_cut = value.real.contains(0) and not -1 < value.imag < 1
    return _NAN if on_cut else value.atan()


def _sigmoid(value: acb) -> acb:
    bottom = (-value).exp() + 1
    return _NAN if bottom.contains(acb(0)) else 1 / bottom


_UNARY: dict[str, Callable[[acb], acb]] = {
    "neg": acb.__neg__, "exp": acb.exp, "sin": acb.sin, "cos": acb.cos, "tan": acb.tan, "sinh": acb.sinh,
    "cosh": acb.cosh, "tanh": acb.tanh, "erf": acb.erf, "arcsin": _arcsin, "arctan": _arctan, "sigmoid": _sigmoid,
    "arccos": lambda value: acb(arb.pi() / 2) - _arcsin(value), "sqrt": lambda value: value.sqrt(analytic=True),
    "log": lambda value: value.log(analytic=True),
}  # fmt: skip


def _interval(low: float, high: float) -> arb:
    return arb(low).union(arb(high))


def _angle(low: float, high: float) -> arb:
    """The angles between fractions of a half turn."""
    return arb.pi() * _interval(low, high)


def _analytic(evaluator: _Complex, size: float) -> bool:
    """Whether f was evaluated finitely, hence analytic, on boxes that cover the upper half of the filled ellipse."""
    boxes = [(0.0, size, k / 8, (k + 1) / 8) for k in range(8)]
    budget = _MOST_BOXES
    while boxes:
        low, high, first, last = boxes.pop()
        value = evaluator.at(_interval(low, high), _angle(first, last))
        if value.is_finite() and value.abs_upper() < _LARGEST_VALUE:
            continue
        budget -= 1
        if budget < 0 or last - first < 2.0**-24:
            return False
        half, middle = (low + high) / 2, (first + last) / 2
        boxes += [(a, b, c, d) for a, b in ((low, half), (half, high)) for c, d in ((first, middle), (middle, last))]
    return True


def _largest(evaluator: _Complex, size: float) -> float:
    """A bound of |f| on the boundary, refined where it is largest."""

    def bound(first: float, last: float) -> float:
        value = evaluator.at(arb(size), _angle(first, last))
        return float_up(value.abs_upper()) if value.is_finite() else float("inf")

    order = count()
    heap = [(-bound(k / 32, (k + 1) / 32), next(order), k / 32, (k + 1) / 32) for k in range(32)]
    heapq.heapify(heap)
    for _ in range(300):
        _, _, first, last = heapq.heappop(heap)
        middle = (first + last) / 2
        for a, b in ((first, middle), (middle, last)):
            heapq.heappush(heap, (-bound(a, b), next(order), a, b))
    return -heap[0][0]
