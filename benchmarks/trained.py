"""What does training reach with as many weights? Constructed networks beside the best of five trained ones, both certified.

The study is `approx.studies.compare_trained`; here are its five targets. Constructions come from `constructions.build`, the
smallest that is certified or a named one; with each, ReLU and tanh networks of two hidden layers of at most as many
weights are trained by Adam and L-BFGS (seeds 0 to 4).
About five minutes of processor time. Needs torch (pip install 'approx[torch]'); without it the table says so.
"""

from __future__ import annotations

import sys

import constructions
from approx.errors import MissingExtraError
from approx.studies import TrainedStudy, compare_trained

CASES = [
    ("sin(2*pi*x)", 1e-4, "auto"),
    ("exp(x)", 1e-6, "auto"),
    ("erf(4*x-2)", 1e-4, "auto"),
    ("sqrt(x)", 1e-3, "piecewise-linear"),
    ("exp(-(x**2+y**2))", 1e-2, "composition"),
]


def study() -> TrainedStudy:
    """The comparison on the five targets; what is at work goes to standard error."""

    def say(stage: str, fraction: float | None) -> None:
        print(stage, file=sys.stderr, flush=True)

    found = []
    for text, eps, method in CASES:
        say(f"building {text}", None)
        found.append(constructions.build(text, eps, method))
    return compare_trained(found, progress=say)


def table() -> list[tuple[str, ...]]:
    """One row per target and activation."""
    try:
        found = study()
    except MissingExtraError as error:
        return [(str(error),)]
    contradictions = [(sentence,) for sentence in found.contradictions()]
    return [*found.table(), *contradictions, *found.missing]
