"""How do certified errors of networks of max(t, 0)^2 in two and three variables fall with W, and how far below proved bounds?

`power_taylor.py [DIMENSIONS] [FOLDER]` (2, 3, or 23, as without an argument) prints, for exp(x) sin(3y) and
exp(x) sin(3y) cos(2z), the orders 2, 3, 4 and N cells per axis, the weights, the certified enclosure of the error and the bound
proved a priori; then the exponents of certified upper bounds over all N from two values on (fits are observed). With a FOLDER
(docs/figures) it draws rates-power-plane.png, rates-power-space.png. About 3 and 12 minutes of processor time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib.figure
import numpy as np

from approx import Budget, Target
from approx.studies import log_slope
from constructions.relu import power_taylor


class Study(NamedTuple):
    """A target and its grids. Exponents are fitted over N >= each of `fitted`: smaller networks fall faster."""

    target: Target
    cells: tuple[int, ...]
    fitted: tuple[int, int]
    picture: str


# Cells are 0.72 to 0.80 of the weights at N = 16, about nine tenths at 32; in three variables nine tenths at 12.
GRIDS = {2: (2, 4, 8, 16, 32, 64, 128, 256), 3: (4, 8, 12, 16, 24, 32, 40, 52)}
STUDIES = {
    2: Study(Target("exp(x)*sin(3*y)", [(0, 1)] * 2), GRIDS[2], (16, 32), "rates-power-plane.png"),
    3: Study(Target("exp(x)*sin(3*y)*cos(2*z)", [(0, 1)] * 3), GRIDS[3], (12, 16), "rates-power-space.png"),
}
ORDERS = (2, 3, 4)
RTOL = 0.01
HEADING = (
    "order",
    "cells per axis",
    "weights",
    "hidden layers",
    "certified",
    "proved a priori <=",
    "build s",
    "certify s",
)


class Row(NamedTuple):
    """One network and what is proved of it; seconds are those of the processor."""

    order: int
    cells: int
    weights: int
    layers: int
    lower: float
    upper: float
    bound: float
    build: float
    certify: float


def study(of: Study) -> list[Row]:
    """All networks, each printed on standard error as it is done."""
    rows = []
    for order in ORDERS:
        for cells in of.cells:
            started = time.process_time()
            a = power_taylor(of.target, 1, order=order, cells=cells)
            built = time.process_time()
            c = a.certify(rtol=RTOL, budget=Budget(seconds=600))
            ended = time.process_time()
            size = a.network.size
            facts = size.weights, size.hidden_layers, c.lower, c.upper, a.bound
            rows.append(Row(order, cells, *facts, built - started, ended - built))
            print(" | ".join(_text(rows[-1])), file=sys.stderr, flush=True)
    return rows


def summary(of: Study, rows: list[Row]) -> list[tuple[str, ...]]:
    """Per order and range the fitted exponents, and the decades that they stand on; loose certificates are left out."""
    found: list[tuple[str, ...]] = []
    for order in ORDERS:
        for least in of.fitted:
            some = [r for r in rows if r.order == order and r.cells >= least and r.upper <= (1 + RTOL) * r.lower]
            weights = [r.weights for r in some]
            decades = f"{np.log10(weights[-1] / weights[0]):.2f} decades, {len(some)} networks"
            certified, bound = log_slope(weights, [r.upper for r in some]), log_slope(weights, [r.bound for r in some])
            more = f"a priori {bound}", f"theory {-order / of.target.dimension:.3g}"
            found.append((f"order {order}", f"N >= {least}", decades, f"certified {certified}", *more))
        shares = [r.upper / r.bound for r in rows if r.order == order]
        found.append((f"order {order}", f"certified over a priori: {min(shares):.2f} to {max(shares):.2f}"))
    return found


def picture(of: Study, rows: list[Row], folder: Path) -> None:
    """Certified errors, bounds proved a priori, and lines of theory through the last points."""
    figure = matplotlib.figure.Figure(figsize=(7.0, 5.0), layout="constrained")
    ax = figure.subplots()
    for k, order in enumerate(ORDERS):
        some = [r for r in rows if r.order == order]
        weights = np.array([r.weights for r in some], float)
        ax.loglog(weights, [r.upper for r in some], f"C{k}o-", ms=5, label=f"order {order}: certified")
        ax.loglog(weights, [r.bound for r in some], f"C{k}_", ms=9, label=f"order {order}: proved a priori")
        last = some[-1]
        ax.loglog(weights, last.upper * (weights / last.weights) ** (-order / of.target.dimension), f"C{k}--", lw=0.8)
    ax.plot([], [], "k--", lw=0.8, label=f"theory, W^(-order/{of.target.dimension})")
    ax.set(xlabel="weights W", ylabel="sup |f - network|")
    ax.set_title(f"power-taylor: {of.target.text} on [0, 1]^{of.target.dimension}")
    ax.set_ylim(0.3 * min(r.lower for r in rows), 5 * max(r.bound for r in rows))
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    figure.savefig(folder / of.picture, dpi=100)


def _text(r: Row) -> tuple[str, ...]:
    sizes = str(r.order), str(r.cells), f"{r.weights:,}", str(r.layers)
    return *sizes, f"{r.lower:.5g} .. {r.upper:.5g}", f"{r.bound:.4g}", f"{r.build:.1f}", f"{r.certify:.1f}"


def main(dimensions: str = "23", folder: str = "") -> list[tuple[str, ...]]:
    """Rows and exponents for these dimensions; the pictures if there is a folder."""
    found = [HEADING]
    for of in (STUDIES[int(d)] for d in dimensions):
        rows = study(of)
        if folder:
            picture(of, rows, Path(folder))
        found += [*map(_text, rows), *summary(of, rows)]
    return found


def table() -> list[tuple[str, ...]]:
    """One row per network, then the exponents."""
    return main()


if __name__ == "__main__":
    for row in main(*sys.argv[1:3]):
        print(" | ".join(row))
