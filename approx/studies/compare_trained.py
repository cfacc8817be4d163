"""What does training reach with as many weights as a construction? Certified errors of both, side by side."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from approx.approximant import Approximant
from approx.certification import Budget, certify
from approx.errors import InputError, MissingExtraError
from approx.plots.labels import rounded_down, rounded_up
from approx.studies.observed import error_beyond
from approx.studies.training import Trained, Training, equal_width, trained

Progress = Callable[[str, float | None], None]
ACTIVATIONS = ("relu", "tanh")


@dataclass(frozen=True)
class TrainedRow:
    """One construction and one kind of trained network of at most as many weights.

    upper, lower: the CERTIFIED sup error of the construction. observed: the OBSERVED sup errors of all seeds on a sample;
    trained_lower, trained_upper: the CERTIFIED sup error of the best of them.
    """

    target: str
    method: str
    weights: int
    lower: float
    upper: float
    activation: str
    width: int
    trained_weights: int
    observed: tuple[float, ...]
    trained_lower: float
    trained_upper: float
    trained_status: str
    seconds: float
    constructed: Approximant = field(repr=False, compare=False)
    best: Trained = field(repr=False, compare=False)

    @property
    def ratio(self) -> float:
        """Certified error of the construction over the observed error of the best trained network: below 1 ours is better.

        The observed error is at most the true one, so a ratio below 1 is a proof, and one above 1 is not.
        """
        return self.upper / self.best.best if self.best.best > 0 else math.inf


@dataclass(frozen=True)
class TrainedStudy:
    """The rows of a comparison; `missing` says which networks were too small to have a trained counterpart."""

    rows: tuple[TrainedRow, ...]
    missing: tuple[tuple[str, str], ...]
    plan: Training

    def table(self) -> list[tuple[str, ...]]:
        """The rows as text, a heading first."""
        heading = ("target", "method", "weights", "certified", "trained", "weights", "observed best", "median", "certified")
        lines: list[tuple[str, ...]] = [(*heading, "ours/best")]
        for r in self.rows:
            middle = sorted(r.observed)[len(r.observed) // 2]
            shape = f"{r.activation} {r.width}-{r.width}"
            lines.append(
                (r.target, r.method, f"{r.weights:,}", rounded_up(r.upper), shape, f"{r.trained_weights:,}",
                 f"{r.best.best:.3g}", f"{middle:.3g}", f"{rounded_down(r.trained_lower)} .. {rounded_up(r.trained_upper)}",
                 f"{r.ratio:.2g}")
            )  # fmt: skip
        return lines

    def contradictions(self) -> tuple[str, ...]:
        """Sentences on rows that cannot be true: an observed error above its certified upper bound; empty for a sound study."""
        found = []
        for r in self.rows:
            label = f"{r.target}, {r.activation}"
            if not r.best.best <= r.trained_upper * (1 + 1e-9) + 1e-13:
                found.append(f"{label}: {r.best.best:g} was observed, above the certified {r.trained_upper:g}")
            seen = error_beyond(r.constructed, r.upper)
            if seen is not None:
                found.append(f"{label}: an error of {seen:g} of {r.method} is attained, above the certified {r.upper:g}")
            if r.trained_weights > r.weights:
                found.append(f"{label}: {r.trained_weights:,} trained weights are more than {r.weights:,}")
        return tuple(found)

    def to_json(self) -> str:
        """The rows and the plan of training as one strictly valid JSON object."""

        def plain(v: object) -> object:
            return None if isinstance(v, float) and not math.isfinite(v) else v

        rows = [
            {k: plain(v) for k, v in vars(r).items() if k not in ("constructed", "best")} | {"ratio": plain(r.ratio)}
            for r in self.rows
        ]
        return json.dumps({"plan": vars(self.plan), "rows": rows, "missing": list(self.missing)}, allow_nan=False)

    def __str__(self) -> str:
        lines = self.table()
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*text, *(f"{name}: {why}" for name, why in self.missing)])


def compare_trained(
    constructed: Sequence[Approximant],
    *,
    activations: Sequence[str] = ACTIVATIONS,
    plan: Training | None = None,
    rtol: float = 0.05,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> TrainedStudy:
    """A TrainedStudy: for every Approximant the best of several networks trained with at most as many weights.

    Trained networks are d-n-n-1 with the largest n that fits (`equal_width`), ReLU and tanh (`activations`), by Adam and L-BFGS
    on mean squares, several seeds (`Training`). The best of the seeds by the sup error OBSERVED on 20,001 points or
    so is CERTIFIED like the construction, within the budget (20 s unless given). Training minimises mean squares, and its
    outcome depends on the machine and the version of torch: everything about it is observed but the certificates.
    Cost: seconds to a minute per seed. Raises MissingExtraError without torch, InputError (constructed, activations).
    """
    found = [constructed] if isinstance(constructed, Approximant) else list(constructed)
    if not found or not all(isinstance(a, Approximant) for a in found):
        raise InputError("constructed", constructed, "Approximants, at least one")
    unknown = [a for a in activations if a not in ACTIVATIONS]
    if unknown or not activations:
        raise InputError("activations", list(activations), "one or more of " + ", ".join(ACTIVATIONS))
    _require_torch()
    plan, budget = plan or Training(), budget or Budget(seconds=20.0)
    rows: list[TrainedRow] = []
    missing: list[tuple[str, str]] = []
    for number, a in enumerate(found):
        width = equal_width(a.target.dimension, a.network.size.weights)
        if not width:
            missing.append((a.target.text, f"{a.network.size.weights} weights are too few for two hidden layers"))
            continue
        own = a.certificate or a.certify(rtol=rtol, budget=budget)
        for activation in activations:
            if progress:
                progress(f"{a.target.text}: {activation}", number / len(found))
            started = time.perf_counter()
            best = trained(a.target, width, activation, plan)
            theirs = certify(best.network, a.target, rtol=rtol, budget=budget)
            rows.append(
                TrainedRow(
                    a.target.text, a.method, a.network.size.weights, own.lower, own.upper, activation, width,
                    width**2 + (a.target.dimension + 3) * width + 1, best.observed, theirs.lower, theirs.upper, theirs.status,
                    time.perf_counter() - started, a, best,
                )
            )  # fmt: skip
    return TrainedStudy(tuple(rows), tuple(missing), plan)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("torch", "torch", "compare_trained (it trains networks)") from error
