"""What does an expression with abs, relu, max or min look like on a box where their arguments change sign? As several branches.

Statement. Let k_1..k_r be the kink instructions whose gap (the argument; first - second for max and min) may have both
signs on a box. For signs s in {+1, -1}^r the branch f_s is the expression in which instruction k_i is the operand that it
selects when its gap has the sign s_i. At every x of the box f(x) = f_s(x) for s the signs of the gaps at x, which are the
same in that branch. So sup |f - g| <= max over s of sup |f_s - g|, over those s whose gaps can have the signs s.
Branches s, t that differ in k_i only are within jump_i |gap_i| of each other, jump_i a bound of |d f / d k_i| (for abs,
whose operands differ by twice the gap, doubled): this makes branches harmless where their gap has hardly the right sign.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flint import arb, fmpq

from approx.numbers import float_up
from approx.targets.balls import ball_value, ball_values
from approx.targets.packed_jets import packed_jet
from approx.targets.program import Instruction, Program
from approx.targets.series import SeriesProgram
from approx.targets.slopes import slope_balls

if TYPE_CHECKING:
    from approx.targets import Target

KINKS = ("abs", "relu", "max", "min")
#: With more sign changes than this on one box it is better halved.
_MOST_KINKS = 3


class Smooth:
    """A program with the two questions that a Taylor cover asks of a target. Nothing is known of where it is defined."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._series = SeriesProgram(program)

    def jet(self, point: Sequence[arb], order: int) -> dict[tuple[int, ...], arb]:
        """Balls for the Taylor coefficients up to the order over the box."""
        return packed_jet(self._series, list(point), order, False)

    def ball(self, point: Sequence[arb]) -> arb:
        """A ball for the values over the box."""
        return ball_value(self.program, point, False)


@dataclass(frozen=True)
class Branch:
    """f_s, the gaps of its kinks in this branch, and what crossing each kink may change per unit of its gap."""

    signs: tuple[int, ...]
    function: Smooth
    gaps: tuple[Smooth, ...]
    jumps: tuple[float, ...]


def active_kinks(target: Target, box: Sequence[arb]) -> list[int]:
    """The kink instructions whose gap may change its sign on the box."""
    program = getattr(target, "program", None)
    if program is None or not any(i.operation in KINKS for i in program.instructions):
        return []
    values = ball_values(program, box, target._is_defined)
    found = []
    for place, step in enumerate(program.instructions):
        if step.operation in KINKS:
            gap = values[step.arguments[0]]
            if len(step.arguments) == 2:
                gap = gap - values[step.arguments[1]]
            if not (gap >= 0 or gap <= 0):
                found.append(place)
    return found


def gap_programs(target: Target) -> list[Program]:
    """The gaps of all kink instructions, for float64 guesses of where the kinks are."""
    program = target.program
    kinks = [i for i in program.instructions if i.operation in KINKS]
    return [
        program.part(k.arguments[0]) if len(k.arguments) == 1 else program.with_operation("sub", *k.arguments)
        for k in kinks
    ]


def branches(target: Target, box: Sequence[arb]) -> list[Branch]:
    """All branches on the box; none when nothing changes its sign there, or too much does."""
    active = active_kinks(target, box)
    if not 1 <= len(active) <= _MOST_KINKS:
        return []
    found = []
    for signs in itertools.product((1, -1), repeat=len(active)):
        forced = dict(zip(active, signs, strict=True))
        program, place = _forced(target.program, forced)
        gaps = tuple(Smooth(_gap(target.program, k, program, place)) for k in active)
        jumps = tuple(_jump(target.program, k, forced, box) for k in active)
        found.append(Branch(signs, Smooth(program.part(place[-1])), gaps, jumps))
    return found


def _forced(program: Program, forced: dict[int, int], free: tuple[int, int] = (-1, 0)) -> tuple[Program, list[int]]:
    """(the program with these kinks decided, where each old instruction is now).

    free = (k, i): the result of instruction k becomes the variable number i.
    """
    steps: list[Instruction] = []
    place: list[int] = []
    for number, step in enumerate(program.instructions):
        arguments = tuple(place[i] for i in step.arguments)
        if number == free[0]:
            steps.append(Instruction("variable", (), free[1]))
        elif number in forced:
            chosen = _selected(step.operation, arguments, forced[number])
            if isinstance(chosen, int):
                place.append(chosen)
                continue
            steps.append(chosen)
        else:
            steps.append(Instruction(step.operation, arguments, step.data))
        place.append(len(steps) - 1)
    return Program(tuple(steps)), place


def _selected(operation: str, arguments: tuple[int, ...], sign: int) -> int | Instruction:
    """The operand that the kink selects when its gap has the sign."""
    if operation == "abs":
        return arguments[0] if sign > 0 else Instruction("neg", arguments)
    if operation == "relu":
        return arguments[0] if sign > 0 else Instruction("number", (), fmpq(0))
    return arguments[0] if (sign > 0) == (operation == "max") else arguments[1]


def _gap(original: Program, kink: int, program: Program, place: list[int]) -> Program:
    arguments = [place[i] for i in original.instructions[kink].arguments]
    if len(arguments) == 1:
        return program.part(arguments[0])
    return program.with_operation("sub", arguments[0], arguments[1])


def _jump(original: Program, kink: int, forced: dict[int, int], box: Sequence[arb]) -> float:
    """A bound of |df/dk| over the box and over both values of the kink k, doubled for abs."""
    step = original.instructions[kink]
    inner = {k: s for k, s in forced.items() if k != kink}
    ways = [_forced(original, {**inner, kink: sign}) for sign in (1, -1)]
    first, second = (ball_value(program.part(place[kink]), box, False) for program, place in ways)
    both = first.union(second)
    program, place = _forced(original, inner, free=(kink, len(box)))
    _, slopes = slope_balls(Program(program.instructions[: place[-1] + 1]), [*box, both], False)
    bound = float_up(slopes[-1].abs_upper()) if slopes[-1].is_finite() else float("inf")
    return 2 * bound if step.operation == "abs" else bound
