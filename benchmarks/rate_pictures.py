"""How do certified errors of the constructions fall with their weights? The rate studies of the documentation, with pictures.

`python benchmarks/rate_pictures.py [NAME...]` runs the studies named (all: about six minutes of processor time), prints
their tables and draws docs/figures/rates-NAME.png; run.py prints one line per method. Points are the smaller of the
certified upper bound and the bound proved a priori; only errors that a certified lower bound confirms to 5 % enter the fits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import constructions  # noqa: F401  (registers the methods)
from approx import Budget, Target
from approx.studies import RatesStudy, rates

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"
#: Studies whose targets count as Lipschitz: their derivatives are bounded, but far too large to help at these sizes.
ROUGH = ("oscillation",)
TAYLOR = tuple(f"order={r}" for r in (2, 3, 4))
#: Name -> (target, methods, least and largest number of weights, points, seconds per certificate).
STUDIES = {
    "oscillation": (
        lambda: Target("x**2*sin(1/x)", ("1/500", 1)), ("cached-patches", "cached-narrow", "simplicial"), 100, 10_000, 6, 6,
    ),
    "line": (lambda: Target("exp(x)*sin(6*x)"), ("simplicial", "piecewise-linear"), 100, 10_000, 7, 5),
    "plane": (lambda: Target("exp(x)*sin(3*y)"), ("simplicial",), 300, 10_000, 5, 30),
    "taylor": (lambda: Target("exp(x)*sin(6*x)"), tuple(f"local-taylor:{r}" for r in TAYLOR), 400, 6000, 4, 8),
    "power": (lambda: Target("exp(x)*sin(60*x)"), tuple(f"power-taylor:{r}" for r in TAYLOR), 2500, 120_000, 7, 15),
}  # fmt: skip


def study(name: str) -> RatesStudy:
    """The study of this name."""
    make, methods, low, high, points, seconds = STUDIES[name]
    weights = [float(w) for w in np.geomspace(low, high, points)]
    order = 1 if name in ROUGH else None
    return rates(make(), methods, weights, budget=Budget(seconds=seconds), order=order, most_seconds=600)


def draw(name: str) -> RatesStudy:
    """The same, with its picture written."""
    found = study(name)
    found.plot(FIGURES / f"rates-{name}.png")
    return found


def table() -> list[tuple[str, ...]]:
    """One row per study and method: the fitted exponent, its rows, and theory."""
    rows: list[tuple[str, ...]] = [("study", "method", "rows", "exponent", "theory", "contradictions")]
    for name in STUDIES:
        found = draw(name)
        for method, e in found.exponents.items():
            rows.append((name, method, str(e.points), str(e.fit), f"{e.theory:.3g}", str(len(found.contradictions()))))
    return rows


if __name__ == "__main__":
    for chosen in sys.argv[1:] or STUDIES:
        print(chosen, draw(chosen), sep="\n", flush=True)
