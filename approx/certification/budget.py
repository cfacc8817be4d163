"""How much work a certification may take, and how it is counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from approx.errors import InputError

_LEAST_MEMORY = 1 << 24


@dataclass(frozen=True)
class Budget:
    """Limits of one certification: wall-clock seconds, regions (pieces or boxes) examined, bytes for those held at once.

    When a limit is reached the certificate is still valid: its status is "budget" and its enclosure is wider.
    Limits on regions are reproducible, limits on seconds are not. Work stops between portions, so that a limit on regions
    is overrun by what was under way; `memory` bounds the pieces of one variable per process, at least 16 MiB.
    """

    seconds: float = 60.0
    regions: int = 20_000_000
    memory: int = 1 << 30

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise InputError("seconds", self.seconds, "a positive number of seconds")
        if not self.regions > 0:
            raise InputError("regions", self.regions, "a positive number of regions")
        if not self.memory >= _LEAST_MEMORY:
            raise InputError("memory", self.memory, f"at least {_LEAST_MEMORY} bytes (16 MiB)")

    @property
    def pieces(self) -> int:
        """How many pieces of one variable may be held at once: about a kilobyte each, while they are refined."""
        return self.memory // 1024


@dataclass
class Work:
    """What a certification did: regions examined by arithmetic, and the clock. Mutable, one per certification."""

    budget: Budget
    regions: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def count(self, kind: str, number: int) -> None:
        """Add `number` regions of the given kind."""
        self.regions[kind] = self.regions.get(kind, 0) + int(number)

    @property
    def total(self) -> int:
        """All regions so far."""
        return sum(self.regions.values())

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def report(self) -> dict[str, int | float]:
        """What a certificate says of it."""
        return {**self.regions, "seconds": round(self.seconds, 4)}

    @property
    def exhausted(self) -> bool:
        """Whether a limit has been reached."""
        return self.total >= self.budget.regions or self.seconds >= self.budget.seconds
