"""At which exact point is |f - net| shown to be large? The lower bound of a certificate in several variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, fmpq

from approx.certification.pieces import Program
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.targets import Target

_BITS = 192
_SAMPLES = 20_000
_BATCH = 2_000_000


class Witness:
    """The best lower bound so far and the exact point where it is attained; any guess is allowed, the value is proved."""

    def __init__(self, program: Program, target: Target) -> None:
        self.program, self.target = program, target
        self.lower = 0.0
        self.point: tuple[fmpq, ...] = tuple(target.domain.lower)

    def try_point(self, point: Sequence[float | fmpq]) -> None:
        """Raise the lower bound to |f - net| at the point (moved into the domain), if that is larger."""
        lo, hi = self.target.domain.lower, self.target.domain.upper
        x = tuple(min(max(to_fmpq(v), a), b) for v, a, b in zip(point, lo, hi, strict=True))
        with working_precision(_BITS):
            ball = abs(self.target.ball([arb(c) for c in x]) - arb(evaluate_exact(self.program.network, [x])[0]))
            low = float_down(ball.lower()) if ball.is_finite() else 0.0
        if low > self.lower:
            self.lower, self.point = low, x

    def try_best(self, points: np.ndarray, factor: float = 1.0) -> None:
        """Try the best of the points (points, inputs) by float64, if it is better than `factor` times what is known."""
        gap = self._observed(points) if len(points) else np.zeros(0)
        if len(gap) and gap.max() > self.lower * factor:
            self.try_point(points[int(np.argmax(gap))].tolist())

    def _observed(self, x: np.ndarray) -> np.ndarray:
        """|f - net| in float64, a guess; -1 where it is not finite."""
        with np.errstate(all="ignore"):
            gap = np.abs(np.asarray(self.target(x)) - np.asarray(self.program.network(x)))
        return np.where(np.isfinite(gap), gap, -1.0)

    def sample(self, places: list[np.ndarray] | None = None, points: int = _SAMPLES, best: int = 3) -> None:
        """Try the best of some points spread over the domain, found in float64; `places` per axis are combined as well."""
        sides = np.array(self.target.domain.floats())
        units = self.program.network.size.units + 1
        count = max(256, min(points, _BATCH // units))
        # A Kronecker sequence: no dyadic grid meets it, and it is the same every time. The corners are tried as well.
        root = 2.0
        for _ in range(30):
            root = (1 + root) ** (1 / (len(sides) + 1))
        steps = (np.arange(1, count + 1)[:, None] * root ** -np.arange(1.0, len(sides) + 1)) % 1.0
        corners = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * len(sides), indexing="ij"), axis=-1).reshape(-1, len(sides))
        x = sides[:, 0] + (sides[:, 1] - sides[:, 0]) * np.concatenate([steps, corners])
        if places:
            lines = [np.unique(np.concatenate([p, ends])) for p, ends in zip(places, sides, strict=True)]
            most = max(2, int(count ** (1 / len(sides))))
            lines = [line[:: 1 + len(line) // most] for line in lines]
            x = np.concatenate([x, np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(sides))])
        gap = self._observed(x)
        for k in np.argsort(-gap, kind="stable")[:best].tolist():
            self.try_point(x[k].tolist())
