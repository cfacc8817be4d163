"""How discontinuous does a method select its weights? The jump of the weights along a path of functions, located by bisection.

f_s = (1-s) f_0 + s f_1 moves continuously; a method selects continuously if its weights do. Along the path the largest
step of the weights (maximum over all weights) is followed while the interval of s around it is halved: for a Lipschitz
selection the jump is proportional to the width of that interval (exponent 1), at a discontinuity it stays (exponent 0).
Everything here is observed on finitely many networks, nothing is proved by it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from approx.approximant import Approximant
from approx.errors import ApproxError, InputError, RegularityError
from approx.networks.container import write_atomically
from approx.plots import picture_type, style
from approx.studies.methods import Builder, chosen_methods
from approx.studies.regression import Slope, log_slope
from approx.studies.weight_distance import weight_distance
from approx.targets import Target

_MOST_STEPS = 10_000
#: Exponents above this are called continuous, below 1 minus this discontinuous.
_CLEAR = 0.7


@dataclass(frozen=True)
class Jump:
    """Between s and s + width the weights change by at most `size` each, network values by `change` (sampled, or NaN)."""

    s: Fraction
    width: Fraction
    size: float
    change: float


@dataclass(frozen=True)
class ContinuityStudy:
    """`path`: the steps along the whole path; `zoom`: the largest of them, halved again and again. `exponent`: of its size.

    A jump of infinite size means that the architecture (layers, units) changed.
    """

    method: str
    first: Target
    second: Target
    path: tuple[Jump, ...]
    zoom: tuple[Jump, ...]

    @property
    def exponent(self) -> Slope:
        """The Slope of the largest jump against its width; NaN where an architecture changes or nothing moves."""
        seen = [j for j in self.zoom if 0 < j.size < math.inf]
        return log_slope([float(j.width) for j in seen], [j.size for j in seen])

    @property
    def verdict(self) -> str:
        """'continuous', 'discontinuous', 'architecture changes' or 'undecided', as far as observed."""
        if not any(j.size for j in self.path):
            return "continuous"
        if math.isinf(self.zoom[-1].size):
            return "architecture changes"
        if self.zoom[-1].size == 0 or self.exponent.value > _CLEAR:
            return "continuous"
        return "discontinuous" if self.exponent.value < 1 - _CLEAR else "undecided"

    def plot(self, path: str | Path | None = None, ax: Any = None) -> Any:
        """Draw the steps of the weights along the path and return the axes; with a path also write the file.

        Raises InputError for a file type that matplotlib does not know, OSError when the path cannot be written.
        """
        kind = picture_type(path) if path is not None else None
        ax = style.axes_or_new(ax)
        finite = [j for j in self.path if math.isfinite(j.size)]
        edges = [float(j.s) for j in finite]
        ax.vlines(edges, 0, [j.size for j in finite], color=style.ERROR, lw=1.2, label="largest step of a weight")
        changed = [float(j.s) for j in self.path if math.isinf(j.size)]
        if changed:
            ax.plot(changed, [0] * len(changed), "x", color=style.WANTED, label="another architecture")
        ax.set(
            xlabel="s in (1-s) f0 + s f1",
            ylabel="step of the weights",
            title=f"{self.method}: {self.verdict} (observed)",
        )
        ax.legend(frameon=False, fontsize=8)
        style.tidy(ax)
        if path is not None:
            buffer = io.BytesIO()
            ax.figure.savefig(buffer, format=kind, dpi=130)
            write_atomically(path, buffer.getvalue())
        return ax

    def __str__(self) -> str:
        largest = max(self.path, key=lambda j: j.size)
        last = self.zoom[-1]
        return (
            f"{self.method}: {self.verdict} (observed); largest step {largest.size:.3g} of {len(self.path)}, "
            f"after {len(self.zoom) - 1} halvings {last.size:.3g} at s = {float(last.s):.6g} (width {float(last.width):.2g})"
        )


def continuity(
    first: Target | str,
    second: Target | str,
    method: str | Builder,
    *,
    eps: float = 0.1,
    steps: int = 64,
    halvings: int = 20,
) -> ContinuityStudy:
    """Return a ContinuityStudy of the method's weights along (1-s) f_0 + s f_1, 0 <= s <= 1 (two formulas on one domain).

    `method` is a name with the options that fix its architecture, such as "simplicial:cells=64", or a builder. Weights are
    compared as in `weight_distance`. Cost: steps + 1 + halvings builds.
    Raises InputError (method, steps, halvings, second) and what the builder raises.
    """
    for name, value, least in (("steps", steps, 1), ("halvings", halvings, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST_STEPS:
            raise InputError(name, value, f"an integer from {least} to {_MOST_STEPS}")
    start = first if isinstance(first, Target) else Target(first)
    end = second if isinstance(second, Target) else Target(second, domain=start.domain)
    if list(end.domain) != list(start.domain):
        raise InputError("second", str(end.domain), f"a target on the domain of the first, {start.domain}")
    if start.assumptions or end.assumptions:
        raise RegularityError("continuity: needs formulas, a blend of callables is no formula")
    chosen = chosen_methods([method] if isinstance(method, str) else {getattr(method, "__name__", "builder"): method})
    [(label, builder)] = chosen.items()

    def at(s: Fraction) -> Approximant:
        return builder(Target(f"({1 - s})*({start.text}) + ({s})*({end.text})", domain=start.domain), eps)

    grid = [Fraction(k, steps) for k in range(steps + 1)]
    found = [at(s) for s in grid]
    path = tuple(_jump(s, t, a, b) for s, t, a, b in zip(grid, grid[1:], found, found[1:], strict=False))
    number = max(range(steps), key=lambda k: path[k].size)
    zoom = _zoom(at, path[number], found[number], found[number + 1], halvings)
    return ContinuityStudy(label, start, end, path, zoom)


def _zoom(
    at: Callable[[Fraction], Approximant], jump: Jump, left: Approximant, right: Approximant, halvings: int
) -> tuple[Jump, ...]:
    zoom = [jump]
    for _ in range(halvings):
        low, high = zoom[-1].s, zoom[-1].s + zoom[-1].width
        middle = (low + high) / 2
        between = at(middle)
        one, two = _jump(low, middle, left, between), _jump(middle, high, between, right)
        if one.size >= two.size:
            right = between
            zoom.append(one)
        else:
            left = between
            zoom.append(two)
        if zoom[-1].size == 0:
            break
    return tuple(zoom)


def _jump(low: Fraction, high: Fraction, left: Approximant, right: Approximant) -> Jump:
    rng = np.random.default_rng(2018)
    sides = left.target.domain.floats_inside()
    points = rng.uniform(sides[:, 0], sides[:, 1], size=(500, len(sides)))
    points = points if len(sides) > 1 else points[:, 0]
    try:
        change = float(np.abs(np.asarray(left(points)) - np.asarray(right(points))).max())
    except ApproxError:  # weights beyond float64, and no structure that knows the values
        change = math.nan
    return Jump(low, high - low, weight_distance(left.network, right.network), change)
