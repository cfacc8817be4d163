"""What does a user declare about a callable? Lipschitz and Hölder constants, derivative bounds, accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from approx.errors import InputError


@dataclass(frozen=True)
class Regularity:
    """Declared facts about a Python callable; every result that uses one is *conditional* on it.

    lipschitz: |f(x) - f(y)| <= lipschitz * |x - y|_inf on the domain.
    hoelder: (alpha, C) with |f(x) - f(y)| <= C * |x - y|_inf^alpha, 0 < alpha <= 1.
    derivative_bounds: {alpha: bound} with sup |D^alpha f| <= bound, alpha an int (one variable) or a tuple of ints.
    smooth: how many continuous derivatives f has (math.inf for analytic), or None.
    evaluation_error: sup |float result - f(x)| at float64 points, as the user vouches for it.

    >>> Regularity(lipschitz=2.0).sentences()
    ('declared: |f(x) - f(y)| <= 2.0 |x - y|_inf on the domain',)
    """

    lipschitz: float | None = None
    hoelder: tuple[float, float] | None = None
    derivative_bounds: Mapping[Any, float] = field(default_factory=dict)
    smooth: float | None = None
    evaluation_error: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("lipschitz", self.lipschitz), ("evaluation_error", self.evaluation_error)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"Regularity.{name}", value, "a finite number >= 0")
        if self.hoelder is not None:
            good = len(self.hoelder) == 2 and 0 < self.hoelder[0] <= 1 and 0 <= self.hoelder[1] < math.inf
            if not good:
                raise InputError("Regularity.hoelder", self.hoelder, "(alpha, C) with 0 < alpha <= 1 and C >= 0")
        bounds = {_multi(alpha): float(bound) for alpha, bound in dict(self.derivative_bounds).items()}
        for alpha, bound in bounds.items():
            if not (math.isfinite(bound) and bound >= 0):
                raise InputError(f"Regularity.derivative_bounds[{alpha}]", bound, "a finite number >= 0")
        object.__setattr__(self, "derivative_bounds", bounds)

    def sentences(self) -> tuple[str, ...]:
        """Return the declared facts, one sentence each, as they appear among the assumptions of a certificate."""
        found = []
        if self.lipschitz is not None:
            found.append(f"declared: |f(x) - f(y)| <= {self.lipschitz!r} |x - y|_inf on the domain")
        if self.hoelder is not None:
            power, constant = self.hoelder
            found.append(f"declared: |f(x) - f(y)| <= {constant!r} |x - y|_inf^{power!r} on the domain")
        for alpha, bound in self.derivative_bounds.items():
            found.append(f"declared: sup |D^{alpha} f| <= {bound!r} on the domain")
        if self.smooth is not None:
            found.append(f"declared: f has {self.smooth!r} continuous derivatives on the domain")
        if self.evaluation_error is not None:
            found.append(f"declared: the callable's float64 results are within {self.evaluation_error!r} of f")
        return tuple(found)


def _multi(alpha: Any) -> tuple[int, ...]:
    parts = (alpha,) if isinstance(alpha, int) else tuple(alpha)
    if not parts or any(not isinstance(part, int) or part < 0 for part in parts):
        raise InputError("Regularity.derivative_bounds", alpha, "an int >= 0 or a tuple of ints >= 0")
    return parts
