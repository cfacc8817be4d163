"""What does training reach with as many weights? Constructed networks beside the best of five trained ones, both certified.

The study is `approx.studies.compare_trained`; here are its five targets. Constructions come from `constructions.build`; with
each, ReLU and tanh networks of two hidden layers of at most as many weights are trained by Adam and L-BFGS (seeds 0 to 4).
About five minutes of processor time. Needs torch (pip install 'approx[torch]'); without it the table says so.
"""

from __future__ import annotations

import constructions
from approx.errors import MissingExtraError
from approx.studies import TrainedStudy, compare_trained

CASES = [
    ("sin(2*pi*x)", 1e-4),
    ("exp(x)", 1e-6),
    ("erf(4*x-2)", 1e-4),
    ("sqrt(x)", 1e-3),
    ("exp(-(x**2+y**2))", 1e-2),
]


def study() -> TrainedStudy:
    """The comparison on the five targets."""
    return compare_trained([constructions.build(text, eps) for text, eps in CASES])


def table() -> list[tuple[str, ...]]:
    """One row per target and activation."""
    try:
        found = study()
    except MissingExtraError as error:
        return [(str(error),)]
    contradictions = [(sentence,) for sentence in found.contradictions()]
    return [*found.table(), *contradictions, *found.missing]
