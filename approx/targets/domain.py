"""On which box is a target defined? A product of intervals with exact rational ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from flint import arb, fmpq

from approx.errors import ApproxError, DomainError, ExpressionError
from approx.numbers import decimal_text, float_down, float_up, to_arb, to_float, to_fmpq, working_precision

DomainLike: TypeAlias = Any
_FORM = "a pair (a, b) with a < b, or one such pair for each variable"
_ROUNDING_BITS = 64


@dataclass(frozen=True, slots=True)
class Domain:
    """The box with these exact lower and upper corners; `notes` says which irrational ends were rounded inward."""

    lower: tuple[fmpq, ...]
    upper: tuple[fmpq, ...]
    notes: tuple[str, ...] = ()

    @property
    def dimension(self) -> int:
        """The number of variables."""
        return len(self.lower)

    def __iter__(self) -> Iterator[tuple[fmpq, fmpq]]:
        return zip(self.lower, self.upper, strict=True)

    def __len__(self) -> int:
        return len(self.lower)

    def __getitem__(self, index: int) -> tuple[fmpq, fmpq]:
        return self.lower[index], self.upper[index]

    def floats(self) -> np.ndarray:
        """Return the nearest float64 of the ends, shape (d, 2)."""
        return np.array([[to_float(low), to_float(high)] for low, high in self])

    def floats_inside(self) -> np.ndarray:
        """Return float64 ends rounded into the box, shape (d, 2): float points between them lie in the domain."""
        return np.array([[float_up(low), float_down(high)] for low, high in self])

    def contains(self, point: Any) -> bool:
        """Return whether the exact point (a number in one dimension, a sequence otherwise) lies in the closed box.

        For balls the answer is True only when the whole ball lies in the box.
        """
        coordinates = list(point) if isinstance(point, (Sequence, np.ndarray)) else [point]
        if len(coordinates) != self.dimension:
            return False
        for value, (low, high) in zip(coordinates, self, strict=True):
            if isinstance(value, arb):
                if not (arb(low) <= value <= arb(high)):
                    return False
            elif not low <= to_fmpq(value) <= high:
                return False
        return True

    def balls(self) -> list[arb]:
        """Return balls, at the working precision, that contain the intervals of the box."""
        return [arb(low).union(arb(high)) for low, high in self]

    def widths(self) -> tuple[fmpq, ...]:
        """Return the exact side lengths."""
        return tuple(high - low for low, high in self)

    def to_list(self) -> list[list[str]]:
        """Return the ends as text 'p/q', for files."""
        return [[_text(low), _text(high)] for low, high in self]

    def __str__(self) -> str:
        return " x ".join(f"[{_text(low)}, {_text(high)}]" for low, high in self)


def _text(value: fmpq) -> str:
    top, bottom = decimal_text(value.p), decimal_text(value.q)
    return top if bottom == "1" else f"{top}/{bottom}"


def make_domain(given: DomainLike, dimension: int | None = None) -> Domain:
    """Return the domain described by (a, b), a list of pairs, a Domain, or None for [0, 1]^dimension.

    Ends are numbers of any exact type, or text such as "1/3" or "pi/4"; an irrational end is replaced by a dyadic
    rational inside the interval, closer than 2^-64 relative to it, and the replacement is noted in `.notes`.

    Raises DomainError on reversed or empty intervals, NaN, infinities, and on a wrong number of pairs.

    >>> str(make_domain(("1/3", 2)))
    '[1/3, 2]'
    """
    if given is None:
        size = dimension or 1
        return Domain((fmpq(0),) * size, (fmpq(1),) * size)
    if isinstance(given, Domain):
        return _of_dimension(given, dimension)
    pairs = _pairs(given)
    notes: list[str] = []
    lower, upper = [], []
    for low, high in pairs:
        left, right = _end(low, 1, notes), _end(high, -1, notes)
        if not left < right:
            kind = "reversed" if left > right else "empty (a point)"
            raise DomainError(f"domain: the interval [{low}, {high}] is {kind}; accepted: {_FORM}")
        lower.append(left)
        upper.append(right)
    return _of_dimension(Domain(tuple(lower), tuple(upper), tuple(notes)), dimension)


def _of_dimension(domain: Domain, dimension: int | None) -> Domain:
    if dimension is not None and domain.dimension != dimension:
        raise DomainError(f"domain: got {domain.dimension} intervals for {dimension} variables; accepted: {_FORM}")
    return domain


def _pairs(given: DomainLike) -> list[tuple[Any, Any]]:
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) == 0:
        raise DomainError(f"domain: got {given!r}; accepted: {_FORM}")
    if len(given) == 2 and not any(isinstance(end, (list, tuple, np.ndarray)) for end in given):
        return [(given[0], given[1])]
    pairs = []
    for pair in given:
        if isinstance(pair, str) or not isinstance(pair, (list, tuple, np.ndarray)) or len(pair) != 2:
            raise DomainError(f"domain: got {pair!r} where a pair is needed; accepted: {_FORM}")
        pairs.append((pair[0], pair[1]))
    if len(pairs) > 64:
        raise DomainError(f"domain: got {len(pairs)} intervals; accepted: at most 64")
    return pairs


def _end(given: Any, inward: int, notes: list[str]) -> fmpq:
    if isinstance(given, str):
        return _end_from_text(given, inward, notes)
    if isinstance(given, float) and not math.isfinite(given):
        raise DomainError(f"domain: got the end {given}; accepted: finite numbers")
    try:
        return to_fmpq(given)
    except ApproxError as error:
        raise DomainError(f"domain: got the end {given!r}; accepted: a finite number, or text such as '1/3'") from error


def _end_from_text(given: str, inward: int, notes: list[str]) -> fmpq:
    from approx.targets.balls import ball_value
    from approx.targets.exact import exact_value
    from approx.targets.parser import parse
    from approx.targets.program import compile_tree

    try:
        program = compile_tree(parse(given))
    except ExpressionError as error:
        raise DomainError(f"domain: cannot read the end {given!r}: {error.reason}") from error
    if program.variables():
        raise DomainError(f"domain: the end {given!r} contains a variable; accepted: a constant")
    exact = exact_value(program, ())
    if exact is not None:
        return exact
    with working_precision(4 * _ROUNDING_BITS):
        ball = ball_value(program, ())
        if not ball.is_finite():
            raise DomainError(f"domain: the end {given!r} is not a finite number")
    with working_precision(_ROUNDING_BITS):
        end = to_fmpq(ball.upper() if inward > 0 else ball.lower())
    notes.append(f"the domain's end {given} is irrational: {to_float(end)!r} inside it is used (exactly {_text(end)})")
    return end


def ball_of(value: Any) -> arb:
    """Return a ball that contains a coordinate: a number, or a ball as it is."""
    return to_arb(value)
