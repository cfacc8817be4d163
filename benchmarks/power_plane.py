"""How do networks of max(t, 0)^2 fall with W in two variables: enclosed where they are small, bounded a priori beyond?

`power_plane.py [FOLDER]` prints, for exp(x) sin(3y), the orders 2, 3, 4 and N x N cells, the weights, the error proved a
priori and the error certified from below (an exact value of the network against a ball of f, at the worst of sampled
points), enclosed by `certify` at N = 2; then the exponents of both over N >= 32 (fits are observed). With a FOLDER
(docs/figures) it draws rates-power-plane.png. About two minutes of processor time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib.figure
import numpy as np

from approx import Budget, Target
from approx.approximant import Approximant
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, to_fmpq
from approx.studies import log_slope
from approx.targets.enclosures import grid_enclosures
from constructions.relu import power_taylor

F = Target("exp(x)*sin(3*y)", [(0, 1)] * 2)
CELLS = (2, 4, 8, 16, 32, 64, 128, 256)
ORDERS = (2, 3, 4)
#: With 3 cells per axis a certificate of ten seconds is still wider than the bound proved a priori.
ENCLOSED = 2
#: From here on cells are about nine tenths of the weights (0.72 to 0.80 at 16: exponents there are steeper).
FITTED = 32
HEADING = ("order", "cells per axis", "weights", "hidden layers", "error >=", "certified <=", "error <= (a priori)")


class Row(NamedTuple):
    """One network and what is proved of it; upper is inf where no certificate was asked for."""

    order: int
    cells: int
    weights: int
    layers: int
    lower: float
    upper: float
    bound: float


def study() -> list[Row]:
    """All networks, each printed on standard error as it is done."""
    rows = []
    for order in ORDERS:
        for cells in CELLS:
            a = power_taylor(F, 1, order=order, cells=cells)
            lower, upper = at_least(a, cells), float("inf")
            if cells <= ENCLOSED:
                c = a.certify(rtol=0.05, budget=Budget(seconds=60))
                lower, upper = max(lower, c.lower), c.upper
            size = a.network.size
            rows.append(Row(order, cells, size.weights, size.hidden_layers, lower, upper, a.bound))
            print(" | ".join(_text(rows[-1])), file=sys.stderr, flush=True)
    return rows


def at_least(a: Approximant, cells: int) -> float:
    """A certified lower bound: the worst of sampled points near the corners of cells, enclosed exactly."""
    # Of every cell its own polynomial holds up to 15/32 from the centre; beyond, those of neighbours are blended.
    rng, count = np.random.default_rng(2019), int(np.clip(2e8 / a.network.size.weights, 400, 4000))
    corners = rng.choice([-1.0, 1.0], (count, 2)) * rng.uniform(0.40, 0.5, (count, 2))
    number = rng.integers(0, cells, (count, 2))
    number[::2, 0] = cells - 1  # where exp(x), and its derivatives, are largest
    points = np.clip((number + 0.5 + corners) / cells, 0.0, 1.0)
    values = np.concatenate([np.asarray(a.network(part)) for part in np.array_split(points, count // 100)])
    worst = [to_fmpq(float(c)) for c in points[np.abs(values - np.asarray(F(points))).argmax()]]
    [value] = evaluate_exact(a.network, [worst])
    middle, radius = grid_enclosures(F, [[c] for c in worst])
    return float_down(abs(to_fmpq(value) - to_fmpq(float(middle[0, 0]))) - to_fmpq(float(radius[0, 0])))


def summary(rows: list[Row]) -> list[tuple[str, ...]]:
    """Per order the fitted exponents, and the decades that they stand on."""
    found: list[tuple[str, ...]] = []
    for order in ORDERS:
        fitted = [r for r in rows if r.order == order and r.cells >= FITTED]
        weights = [r.weights for r in fitted]
        decades = f"{np.log10(weights[-1] / weights[0]):.2f} decades"
        below, above = log_slope(weights, [r.lower for r in fitted]), log_slope(weights, [r.bound for r in fitted])
        share = min(r.lower / r.bound for r in fitted)
        more = f"theory {-order / 2:g}", f"error >= {share:.2f} of the bound"
        found.append((f"order {order}", decades, f"a priori {above}", f"from below {below}", *more))
    return found


def picture(rows: list[Row], folder: Path) -> None:
    """Bounds proved a priori, errors certified from below, and enclosures."""
    figure = matplotlib.figure.Figure(figsize=(7.0, 5.0), layout="constrained")
    ax = figure.subplots()
    for k, order in enumerate(ORDERS):
        some = [r for r in rows if r.order == order]
        weights = np.array([r.weights for r in some], float)
        ax.loglog(weights, [r.bound for r in some], f"C{k}o-", ms=4, label=f"order {order}: proved a priori")
        ax.loglog(weights, [r.lower for r in some], f"C{k}^:", ms=4, label=f"order {order}: certified from below")
        tight = [r for r in some if np.isfinite(r.upper)]
        ax.loglog([r.weights for r in tight], [r.upper for r in tight], f"C{k}s", ms=7, mfc="none")
        last = some[-1]
        ax.loglog(weights, last.bound * (weights / last.weights) ** (-order / 2), f"C{k}--", lw=0.8)
    ax.plot([], [], "ks", ms=7, mfc="none", label="certified from above, to 5 %")
    ax.plot([], [], "k--", lw=0.8, label="theory, W^(-order/2)")
    ax.set(xlabel="weights W", ylabel="sup |f - network|", title=f"power-taylor: {F.text} on [0, 1]^2")
    ax.set_ylim(0.3 * min(r.lower for r in rows), 5 * max(r.bound for r in rows))
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    figure.savefig(folder / "rates-power-plane.png", dpi=100)


def _text(r: Row) -> tuple[str, ...]:
    upper = f"{r.upper:.4g}" if np.isfinite(r.upper) else "not asked for"
    return str(r.order), str(r.cells), f"{r.weights:,}", str(r.layers), f"{r.lower:.4g}", upper, f"{r.bound:.4g}"


def main(folder: str = "") -> list[tuple[str, ...]]:
    """Rows and exponents; the picture if there is a folder."""
    rows = study()
    if folder:
        picture(rows, Path(folder))
    return [HEADING, *map(_text, rows), *summary(rows)]


def table() -> list[tuple[str, ...]]:
    """One row per network, then the exponents."""
    return main()


if __name__ == "__main__":
    for row in main(*sys.argv[1:2]):
        print(" | ".join(row))
