"""What does a study of rates show? Its rows, fitted exponents beside theory and lower bounds, its own consistency."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from approx.approximant import Approximant
from approx.numbers import to_float
from approx.plots.labels import rounded_down, rounded_up
from approx.studies.lower_bounds import LOWER_BOUNDS, LowerBounds
from approx.studies.methods import Promise
from approx.studies.observed import error_beyond
from approx.studies.regression import Slope, log_slope
from approx.studies.smoothness import SmoothnessClass
from approx.targets import Target


@dataclass(frozen=True)
class RatesRow:
    """One network, asked for at most `wanted` weights: its exact size, `bound` (a priori), `lower`, `upper` (certified)."""

    method: str
    wanted: int
    eps: float
    weights: int
    units: int
    hidden_layers: int
    width: int
    bits: int
    bound: float
    lower: float
    upper: float
    status: str
    below: LowerBounds
    seconds: float
    approximant: Approximant | None = field(default=None, repr=False, compare=False)

    @property
    def error(self) -> float:
        """What is proved of sup |f - net|: the smaller of the certified upper and the a-priori bound (NaN counts as inf)."""
        return min((v for v in (self.upper, self.bound) if not math.isnan(v)), default=math.inf)

    @property
    def ratios(self) -> dict[str, float]:
        """The proved error over every lower bound."""
        return self.below.ratios(self.error)


@dataclass(frozen=True)
class Exponent:
    """The proved error of one method against W: `fit` and its `depth` (hidden layers against W), beside what is known.

    `theory` is -p where theory promises W^-p, `continuous` and `any` the exponents that the lower bounds for the class
    allow: -r/d for weights selected continuously, -2r/d for any; NaN where not known. `left_out` rows were exact or not
    enclosed tightly.
    """

    fit: Slope
    depth: Slope
    theory: float
    theory_depth: float
    continuous: float
    any: float
    left_out: int
    why: str = ""

    @property
    def value(self) -> float:
        """The fitted exponent."""
        return self.fit.value

    @property
    def low(self) -> float:
        """Lower end of its 95% interval."""
        return self.fit.low

    @property
    def high(self) -> float:
        """Upper end of its 95% interval."""
        return self.fit.high

    @property
    def points(self) -> int:
        """Rows in the fit."""
        return self.fit.points

    def __float__(self) -> float:
        return self.fit.value


@dataclass(frozen=True)
class RatesStudy:
    """The rows of a study; `missing` says why there is none. `print` shows a table, `plot` draws, `to_json` exports."""

    target: Target
    rows: tuple[RatesRow, ...]
    missing: tuple[tuple[str, int, str], ...]
    promises: Mapping[str, Promise]
    smoothness: SmoothnessClass | None
    rtol: float
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods with or without rows, in order."""
        return tuple(dict.fromkeys([*(r.method for r in self.rows), *(m[0] for m in self.missing)]))

    def method(self, name: str) -> tuple[RatesRow, ...]:
        """The rows of one method, small networks first."""
        return tuple(sorted((r for r in self.rows if r.method == name), key=lambda r: r.weights))

    def fitted(self, name: str) -> tuple[RatesRow, ...]:
        """The rows of one method that enter its fit: positive weights, a positive error, enclosed within rtol."""
        limit = 1 + 1.01 * self.rtol
        return tuple(r for r in self.method(name) if r.weights > 0 and r.lower > 0 and r.error <= limit * r.lower)

    @cached_property
    def exponents(self) -> dict[str, Exponent]:
        """The Exponent of every method."""
        return {name: self._exponent(name) for name in self.methods}

    def _exponent(self, name: str) -> Exponent:
        rows, promise = self.fitted(name), self.promises.get(name)
        rate = self.smoothness.order / self.smoothness.dimension if self.smoothness else math.nan
        deep = [r for r in rows if r.hidden_layers > 0]
        return Exponent(
            fit=log_slope([r.weights for r in rows], [r.error for r in rows]),
            depth=log_slope([r.weights for r in deep], [r.hidden_layers for r in deep]),
            theory=-promise.rate if promise else math.nan,
            theory_depth=promise.depth if promise else math.nan,
            continuous=-rate,
            any=-2 * rate,
            left_out=len(self.method(name)) - len(rows),
            why=promise.why if promise else "",
        )

    def contradictions(self) -> tuple[str, ...]:
        """Return sentences on rows that cannot be true; empty for a sound study.

        Checked: lower <= upper; lower <= the bound proved a priori; error >= what no network of so many pieces goes
        below; the counts are those of the network; and |f - net| at 2,000 points is not above error (see `error_beyond`).
        """
        found = []
        for r in self.rows:
            label = f"{r.method}, {r.weights:,} weights"
            if not r.lower <= r.upper:
                found.append(f"{label}: certified lower {r.lower:g} is above upper {r.upper:g}")
            if not r.lower <= r.bound:
                found.append(f"{label}: certified lower {r.lower:g} is above the proved bound {r.bound:g}")
            if r.below.pieces > r.error:
                found.append(f"{label}: error {r.error:g} is below what so many pieces can reach, {r.below.pieces:g}")
            if r.approximant is not None:
                if r.approximant.network.size.weights != r.weights:
                    found.append(f"{label}: the network has {r.approximant.network.size.weights:,} weights")
                seen = error_beyond(r.approximant, r.error)
                if seen is not None:
                    found.append(f"{label}: an error of {seen:g} is attained, above the proved {r.error:g}")
        return tuple(found)

    def table(self) -> list[tuple[str, ...]]:
        """The rows as text, a heading first; the last columns are the proved error / lower bound, as in LOWER_BOUNDS."""
        heading = ("method", "weights", "layers", "certified sup", "proved", "status", "seconds")
        lines = [(*heading, *(f"/{name}" for name in LOWER_BOUNDS))]
        for r in self.rows:
            certified = f"{rounded_down(r.lower)} .. {rounded_up(r.upper)}"
            facts = (r.method, f"{r.weights:,}", f"{r.hidden_layers:,}", certified, rounded_up(r.bound), r.status)
            lines.append((*facts, f"{r.seconds:.1f}", *(_ratio(v) for v in r.ratios.values())))
        return lines

    def summary(self) -> list[str]:
        """One line per method (fitted exponent, theory, bounds), then what is missing and why."""
        lines = []
        for name, e in self.exponents.items():
            text = f"{name}: error ~ W^{e.fit}" if e.points > 1 else f"{name}: no exponent from {e.points} rows"
            if not math.isnan(e.theory):
                text += f"; theory W^{e.theory:.3g} ({e.why})"
            if e.left_out:
                text += f"; {e.left_out} rows left out (exact, or not enclosed within {self.rtol:g})"
            lines.append(text)
        if self.smoothness is not None:
            r = self.smoothness.order / self.smoothness.dimension
            lines.append(
                f"lower bounds for the class {self.smoothness}: W^-{r:.3g} selected continuously, W^-{2 * r:.3g} otherwise"
            )
        reasons: dict[tuple[str, str], list[str]] = {}
        for name, w, reason in self.missing:
            reasons.setdefault((name, reason), []).append(f"{w:,}")
        lines += [f"missing: {name} at {', '.join(w)} weights: {reason}" for (name, reason), w in reasons.items()]
        return [*lines, *(f"note: {n}" for n in self.notes)]

    def to_dict(self) -> dict[str, Any]:
        """The study as plain data; a number that is not finite or not known is None."""
        rows = []
        for r in self.rows:
            names = ("method", "wanted", "eps", "weights", "units", "hidden_layers", "width", "bits", "bound", "lower",
                     "upper", "status", "seconds")  # fmt: skip
            below = {name: getattr(r.below, name) for name in LOWER_BOUNDS}
            rows.append(
                {**{n: getattr(r, n) for n in names}, "error": r.error, "lower_bounds": below, "ratios": r.ratios}
            )
        exponents = {
            name: {
                "exponent": e.value, "low": e.low, "high": e.high, "points": e.points, "left_out": e.left_out,
                "theory": e.theory, "continuous": e.continuous, "any": e.any, "depth": e.depth.value,
                "theory_depth": e.theory_depth, "why": e.why,
            }
            for name, e in self.exponents.items()
        }  # fmt: skip
        facts = {
            "target": self.target.text,
            "domain": [[to_float(low), to_float(high)] for low, high in self.target.domain],
            "assumptions": list(self.target.assumptions),
            "class": None
            if self.smoothness is None
            else {"order": self.smoothness.order, "constant": self.smoothness.constant},
            "rows": rows,
            "exponents": exponents,
            "missing": [{"method": n, "wanted": w, "reason": reason} for n, w, reason in self.missing],
            "notes": list(self.notes),
            "interrupted": self.interrupted,
            "contradictions": list(self.contradictions()),
        }
        return _finite(facts)

    def to_json(self, **more: Any) -> str:
        """One strictly valid JSON object, with the keys of `more` added."""
        return json.dumps(self.to_dict() | more, allow_nan=False)

    def plot(self, path: str | Path | None = None, ax: Any = None) -> Any:
        """Draw certified errors, fits, theory and lower bounds against W and return the axes; see approx.studies.rates_plot."""
        from approx.studies.rates_plot import plot_rates

        return plot_rates(self, path, ax)

    def __str__(self) -> str:
        rows = self.table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *self.summary()])


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
