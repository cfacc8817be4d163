"""What is a weight that holds a table? One exact number, and the numbers s_k that read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flint import fmpq


@dataclass(frozen=True)
class Weight:
    """An exact weight A = integer * 2^exponent that holds `count` values of `bits` bits: value k is frac(A s_k), k = 1..count.

    `parameters` say what s_k is: with method "chebyshev" 2 cos(k theta), theta = arccos(1/(2B)), B = 2^bits.
    """

    method: str
    count: int
    bits: int
    integer: int = field(repr=False)
    exponent: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> fmpq:
        """The weight itself."""
        return fmpq(self.integer) * fmpq(2) ** self.exponent

    @property
    def length(self) -> int:
        """The bits of the integer."""
        return abs(self.integer).bit_length()

    @property
    def least_length(self) -> int:
        """What no method can beat for arbitrary values: N values on N arcs of length 1/B need B^N weights, N log2 B bits."""
        return self.count * self.bits
