"""Which continuous piecewise-linear activations are there beside ReLU and |t|, how are they named, what are their values?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flint import fmpq

from approx.errors import InputError
from approx.numbers import rational_from_text, to_fmpq

_SHAPES = (
    "a PiecewiseLinear, or 'relu', 'abs', 'hard-tanh', 'leaky-relu' (slope 1/100), 'leaky-relu(1/5)', "
    "'piecewise(breakpoints; slopes; value at the first breakpoint)' such as 'piecewise(-1,1; 0,1,0; -1)'"
)
_WRITTEN = re.compile(r"piecewise\(([^;()]+);([^;()]+);([^;()]+)\)")
_LEAKY = re.compile(r"leaky-relu\(([^()]+)\)")


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous activation rho of M >= 1 breakpoints a_1 < ... < a_M, slopes s_0, ..., s_M and the value rho(a_1).

    Numbers are exact (int, Fraction, "1/100", float64 numbers as the rationals they are). `rho(t)` is the exact value,
    `rho.name` the name that layers carry ("relu" and "abs" where it is one of these). Raises InputError unless the
    breakpoints increase and neighbouring slopes differ.

    >>> hat = PiecewiseLinear([0, 1, 2], [0, 1, -1, 0])
    >>> [int(hat(t)) for t in (-1, 1, 2, 5)]
    [0, 1, 0, 0]
    >>> PiecewiseLinear([-1, 1], [0, 1, 0], -1).name
    'piecewise(-1,1; 0,1,0; -1)'
    """

    breakpoints: tuple[fmpq, ...]
    slopes: tuple[fmpq, ...]
    value: fmpq = fmpq(0)  # noqa: RUF009  (immutable)

    def __init__(self, breakpoints: Iterable[Any], slopes: Iterable[Any], value: Any = 0) -> None:
        object.__setattr__(self, "breakpoints", tuple(_exact(a) for a in breakpoints))
        object.__setattr__(self, "slopes", tuple(_exact(s) for s in slopes))
        object.__setattr__(self, "value", _exact(value))
        a, s = self.breakpoints, self.slopes
        if not a or any(p >= q for p, q in itertools.pairwise(a)):
            raise InputError("breakpoints", [str(p) for p in a], "at least one breakpoint, in increasing order")
        if len(s) != len(a) + 1 or any(p == q for p, q in itertools.pairwise(s)):
            raise InputError("slopes", [str(p) for p in s], f"{len(a) + 1} slopes, neighbours different")

    @property
    def name(self) -> str:
        """The name that layers carry; PiecewiseLinear.of(name) gives the activation back."""
        if self.breakpoints == (0,) and self.value == 0 and self.slopes in ((0, 1), (-1, 1)):
            return "relu" if self.slopes[0] == 0 else "abs"
        lists = (",".join(str(v) for v in part) for part in (self.breakpoints, self.slopes, (self.value,)))
        return f"piecewise({'; '.join(lists)})"

    @staticmethod
    def of(activation: Any) -> PiecewiseLinear:
        """The PiecewiseLinear that a name stands for; raises InputError for other names.

        >>> PiecewiseLinear.of("leaky-relu(1/5)").slopes == (fmpq(1, 5), 1)
        True
        """
        if isinstance(activation, PiecewiseLinear):
            return activation
        if not isinstance(activation, str):
            raise InputError("activation", activation, _SHAPES)
        return _named(activation)

    def __call__(self, t: Any) -> fmpq:
        """The exact value at t."""
        t, first = _exact(t), self.breakpoints[0]
        if t <= first:
            return self.value + self.slopes[0] * (t - first)
        total, start = self.value, first
        for slope, end in zip(self.slopes[1:], [*self.breakpoints[1:], t], strict=True):
            if t <= end:
                return total + slope * (t - start)
            total += slope * (end - start)
            start = end
        return total + self.slopes[-1] * (t - start)

    def hinges(self) -> list[tuple[fmpq, int, fmpq]]:
        """rho(t) = value + sum of c * max(sign * (t - a), 0) over the triples (c, sign, a) returned: at most M + 1."""
        a, s = self.breakpoints, self.slopes
        parts = [(s[1], 1, a[0]), (-s[0], -1, a[0]), *((s[m + 1] - s[m], 1, a[m]) for m in range(1, len(a)))]
        return [part for part in parts if part[0] != 0]

    def image(self, lower: fmpq, upper: fmpq) -> tuple[fmpq, fmpq]:
        """The exact least and largest value on [lower, upper]."""
        values = [self(t) for t in (lower, upper, *(a for a in self.breakpoints if lower < a < upper))]
        return min(values), max(values)


def _exact(value: Any) -> fmpq:
    return rational_from_text(value) if isinstance(value, str) else to_fmpq(value)


@lru_cache(maxsize=256)
def _named(name: str) -> PiecewiseLinear:
    if name == "relu":
        return PiecewiseLinear([0], [0, 1])
    if name == "abs":
        return PiecewiseLinear([0], [-1, 1])
    if name == "hard-tanh":
        return PiecewiseLinear([-1, 1], [0, 1, 0], -1)
    if name == "leaky-relu":
        return PiecewiseLinear([0], [fmpq(1, 100), 1])
    try:
        if leaky := _LEAKY.fullmatch(name):
            return PiecewiseLinear([0], [rational_from_text(leaky[1].strip()), 1])
        if written := _WRITTEN.fullmatch(name):
            a, s, v = ([rational_from_text(word.strip()) for word in part.split(",")] for part in written.groups())
            if len(v) == 1:
                return PiecewiseLinear(a, s, v[0])
    except (ValueError, ZeroDivisionError) as error:
        if isinstance(error, InputError):
            raise
    raise InputError("activation", name, _SHAPES)


def is_written(name: str) -> bool:
    """Whether a layer's activation is a piecewise-linear one that is written out (neither relu nor abs), canonically."""
    if not name.startswith("piecewise("):
        return False
    try:
        return _named(name).name == name
    except InputError:
        return False
