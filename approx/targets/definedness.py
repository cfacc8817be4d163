"""Is an expression defined on the whole domain? Signs of parts by structure, monotonicity, subdivision."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, fmpq

from approx.errors import DomainError
from approx.numbers import to_float, working_precision
from approx.targets.balls import ball_value
from approx.targets.domain import Domain
from approx.targets.exact import exact_value
from approx.targets.polynomials import has_sign, polynomial_of
from approx.targets.program import Instruction, Program
from approx.targets.slopes import slope_balls

Box = list[tuple[fmpq, fmpq]]
MAXIMUM_WORK = 150_000
MAXIMUM_DEPTH = 40
MAXIMUM_EXACT_BITS = 50_000
SMALLEST = fmpq(1, 1 << 60)
_BITS = 128
_ALWAYS_POSITIVE = ("exp", "cosh", "sigmoid")
_NEVER_NEGATIVE = ("abs", "relu", "sqrt", "powq", "pow")


class Refuted(Exception):
    """Internal: a condition fails, or could not be proved, at a place."""

    def __init__(self, place: Sequence[fmpq], certain: bool) -> None:
        self.place, self.certain = tuple(place), certain


class Work:
    """How many instructions may still be evaluated on boxes, for all proofs about one program together."""

    def __init__(self) -> None:
        self.left = MAXIMUM_WORK

    def spend(self, amount: int) -> bool:
        """Take the amount; return whether it was there."""
        self.left -= amount
        return self.left >= 0


class SignProver:
    """Proves that parts of a program are > 0 or >= 0 on a domain; every method returns or raises Refuted."""

    def __init__(self, program: Program, domain: Domain) -> None:
        self.program, self.domain = program, domain
        self.proved: dict[tuple[int, int, bool], bool] = {}
        self.work = Work()
        self.depth = 0

    def prove(self, position: int, sign: int, strict: bool) -> None:
        """Prove sign * u > 0 (strict) or >= 0 for the instruction at `position`; raise Refuted otherwise."""
        if self.holds_by_structure(position, sign, strict):
            return
        steps = self.program.instructions[: position + 1]
        if sign < 0:
            steps = (*steps, Instruction("neg", (position,)))
        part = Program(steps).part(len(steps) - 1)
        prove_sign(part, list(self.domain), strict, self.work)
        self.proved[position, sign, strict] = True

    def holds(self, position: int, sign: int, strict: bool) -> bool:
        """Return whether `prove` succeeds."""
        key = (position, sign, strict)
        if key not in self.proved:
            try:
                self.prove(position, sign, strict)
                self.proved[key] = True
            except Refuted:
                self.proved[key] = False
        return self.proved[key]

    def holds_by_structure(self, position: int, sign: int, strict: bool) -> bool:
        """Return whether the sign follows from the operation and the signs of its arguments (to a depth of 40)."""
        if self.depth > MAXIMUM_DEPTH:
            return False
        self.depth += 1
        try:
            return self.structural_sign(self.program.instructions[position], sign, strict)
        finally:
            self.depth -= 1

    def structural_sign(self, step: Instruction, sign: int, strict: bool) -> bool:
        """Return whether the sign of an operation follows from the signs of its arguments."""
        below = step.arguments
        match step.operation:
            case "number":
                return sign * step.data > 0 or (not strict and step.data == 0)
            case "constant":
                return sign > 0
            case "variable":
                low, high = self.domain[step.data]
                end = low if sign > 0 else -high
                return end > 0 or (not strict and end == 0)
            case "neg":
                return self.holds(below[0], -sign, strict)
            case "add":
                first, second = below
                return self.holds(first, sign, False) and self.holds(second, sign, strict)
            case "mul" | "div":
                inner = strict or step.operation == "div"
                return any(
                    self.holds(below[1], side, inner) and self.holds(below[0], sign * side, strict) for side in (1, -1)
                )
            case "powi":
                if step.data % 2 == 0:
                    return sign > 0 and (not strict or self.nonzero(below[0]))
                return step.data > 0 and self.holds(below[0], sign, strict)
            case "max" | "min":
                either = (step.operation == "max") == (sign > 0)
                return (any if either else all)(self.holds(i, sign, strict) for i in below)
        return self.function_sign(step, sign, strict)

    def function_sign(self, step: Instruction, sign: int, strict: bool) -> bool:
        """Return whether the sign of a function value follows from that of its argument."""
        if step.operation in _ALWAYS_POSITIVE:
            return sign > 0
        if step.operation in _NEVER_NEGATIVE and sign > 0:
            return not strict or self.holds(step.arguments[0], 1, True)
        if step.operation in ("sinh", "tanh", "arctan", "erf", "arcsin"):
            return self.holds(step.arguments[0], sign, strict)
        return False

    def nonzero(self, position: int) -> bool:
        """Return whether the part has one strict sign on the domain."""
        return self.holds(position, 1, True) or self.holds(position, -1, True)


def prove_sign(program: Program, box: Box, strict: bool, work: Work) -> None:
    """Prove that a program is > 0 (or >= 0) on a box by subdivision and monotonicity; raise Refuted with the place.

    The arguments of sqrt, log, ... inside are taken to be defined already (they are proved first).
    """
    found = polynomial_of(program)
    if found is not None:
        with working_precision(_BITS):
            index, polynomial = found
            if has_sign(polynomial, *box[index], strict):
                return
    pending = [box]
    width = [high - low for low, high in box]
    with working_precision(_BITS):
        while pending:
            current = pending.pop()
            reduced = _settle(program, current, strict)
            if reduced is None:
                continue
            sizes = [
                (high - low) / total if total != 0 else fmpq(0)
                for (low, high), total in zip(reduced, width, strict=True)
            ]
            largest = max(range(len(sizes)), key=lambda i: sizes[i])
            if not work.spend(2 * len(program.instructions)) or sizes[largest] < SMALLEST:
                raise Refuted([(low + high) / 2 for low, high in reduced], False)
            low, high = reduced[largest]
            middle = (low + high) / 2
            pending.append([*reduced[:largest], (middle, high), *reduced[largest + 1 :]])
            pending.append([*reduced[:largest], (low, middle), *reduced[largest + 1 :]])


def _settle(program: Program, box: Box, strict: bool) -> Box | None:
    """None when the sign is proved on the box; otherwise the face on which the minimum lies, still to be examined."""
    balls = [arb(low).union(arb(high)) for low, high in box]
    value, slopes = slope_balls(program, balls, True)
    if value > 0 or (not strict and value >= 0):
        return None
    reduced = []
    for (low, high), slope in zip(box, slopes, strict=True):
        if slope >= 0:
            reduced.append((low, low))
        else:
            reduced.append((high, high) if slope <= 0 else (low, high))
    middle = [(low + high) / 2 for low, high in reduced]
    sign = sign_at(program, middle)
    if sign is not None and (sign < 0 or (strict and sign == 0)):
        raise Refuted(middle, True)
    if all(low == high for low, high in reduced):
        if sign is None:
            raise Refuted(middle, False)
        return None
    return reduced


def sign_at(program: Program, point: Sequence[fmpq]) -> int | None:
    """Return the sign of the value at an exact point, by balls or exactly; None if undecided."""
    value = ball_value(program, [arb(coordinate) for coordinate in point], True)
    if value > 0 or value < 0:
        return 1 if value > 0 else -1
    exact = exact_value(program, point, MAXIMUM_EXACT_BITS)
    return None if exact is None else (exact > 0) - (exact < 0)


_MEANING = {
    "div": "division by zero", "powi": "a negative power of zero", "log": "the logarithm of a number <= 0",
    "sqrt": "the square root of a negative number", "powq": "a fractional power of a negative number",
    "pow": "a power with a base that is not positive", "arcsin": "arcsin of a number outside [-1, 1]",
    "arccos": "arccos of a number outside [-1, 1]", "tan": "a pole of tan",
}  # fmt: skip


def check_program(program: Program, domain: Domain, shown: str) -> None:
    """Return None when every operation is proved to be defined on the domain; raise DomainError naming the place.

    Cost: microseconds when nothing can go wrong by structure, otherwise a subdivision of at most half a second.
    """
    prover = SignProver(program, domain)
    for position, step in enumerate(program.instructions):
        if step.operation not in _MEANING:
            continue
        try:
            _check_step(prover, position, step)
        except Refuted as failure:
            place = ", ".join(f"{to_float(value):.6g}" for value in failure.place)
            place = place if len(failure.place) == 1 else f"({place})"
            verdict = "occurs at or very near" if failure.certain else "could not be excluded near"
            raise DomainError(
                f"target {shown} on {domain}: {_MEANING[step.operation]} {verdict} {place}; "
                "accepted: an expression that is defined on the whole domain"
            ) from None


def _check_step(prover: SignProver, position: int, step: Instruction) -> None:
    first = step.arguments[0]
    match step.operation:
        case "div":
            _prove_nonzero(prover, step.arguments[1])
        case "powi":
            if step.data < 0:
                _prove_nonzero(prover, first)
        case "log":
            prover.prove(first, 1, True)
        case "sqrt":
            prover.prove(first, 1, False)
        case "powq":
            prover.prove(first, 1, bool(step.data < 0))
        case "pow":
            prover.prove(first, 1, not (step.data and prover.holds(step.arguments[1], 1, True)))
        case "arcsin" | "arccos":
            for sign in (1, -1):
                prove_sign(_one_plus(prover.program, first, sign), list(prover.domain), False, prover.work)
        case "tan":
            steps = (*prover.program.instructions[: first + 1], Instruction("cos", (first,)))
            cosine = Program(steps).part(len(steps) - 1)
            _prove_one_sign(cosine, list(prover.domain), prover.work)


def _one_plus(program: Program, position: int, sign: int) -> Program:
    steps = (
        *program.instructions[: position + 1],
        Instruction("number", (), fmpq(1)),
        Instruction("add" if sign > 0 else "sub", (position + 1, position)),
    )
    return Program(steps).part(len(steps) - 1)


def _prove_nonzero(prover: SignProver, position: int) -> None:
    if any(prover.holds_by_structure(position, sign, True) for sign in (1, -1)):
        return
    _prove_one_sign(prover.program.part(position), list(prover.domain), prover.work)


def _prove_one_sign(part: Program, box: Box, work: Work) -> None:
    """Prove that a program is positive on the box, or that it is negative there; raise Refuted at a zero."""
    middle = [(low + high) / 2 for low, high in box]
    with working_precision(_BITS):
        sign = sign_at(part, middle)
    if sign is None or sign == 0:
        raise Refuted(middle, sign == 0)
    if sign < 0:
        part = Program((*part.instructions, Instruction("neg", (len(part.instructions) - 1,))))
    try:
        prove_sign(part, box, True, work)
    except Refuted as failure:
        raise Refuted(_zero_between(part, middle, failure.place), failure.certain) from None


def _zero_between(part: Program, positive: Sequence[fmpq], other: Sequence[fmpq]) -> list[fmpq]:
    """A point near a zero on the segment from a point where the program is positive to one where it is not."""
    inside, outside = list(positive), list(other)
    with working_precision(_BITS):
        for _ in range(min(50, 20_000 // len(part.instructions))):
            middle = [(a + b) / 2 for a, b in zip(inside, outside, strict=True)]
            sign = sign_at(part, middle)
            if sign == 0:
                return middle
            if sign is not None and sign > 0:
                inside = middle
            else:
                outside = middle
    return outside
