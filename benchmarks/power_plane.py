"""How do certified errors of networks of max(t, 0)^2 in two variables fall with W, and how far are they below proved bounds?

`power_plane.py [FOLDER]` prints, for exp(x) sin(3y), the orders 2, 3, 4 and N x N cells, the weights, the certified enclosure
of the error and the bound proved a priori; then the exponents of certified upper bounds, over N >= 16 and N >= 32 (fits are
observed). With a FOLDER (docs/figures) it draws rates-power-plane.png. About three minutes of processor time.
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

F = Target("exp(x)*sin(3*y)", [(0, 1)] * 2)
CELLS = (2, 4, 8, 16, 32, 64, 128, 256)
ORDERS = (2, 3, 4)
RTOL = 0.01
#: Cells are 0.72 to 0.80 of the weights at 16, about nine tenths at 32: exponents of smaller networks are steeper.
FITTED = (16, 32)
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


def study() -> list[Row]:
    """All networks, each printed on standard error as it is done."""
    rows = []
    for order in ORDERS:
        for cells in CELLS:
            started = time.process_time()
            a = power_taylor(F, 1, order=order, cells=cells)
            built = time.process_time()
            c = a.certify(rtol=RTOL, budget=Budget(seconds=300))
            ended = time.process_time()
            size = a.network.size
            facts = size.weights, size.hidden_layers, c.lower, c.upper, a.bound
            rows.append(Row(order, cells, *facts, built - started, ended - built))
            print(" | ".join(_text(rows[-1])), file=sys.stderr, flush=True)
    return rows


def summary(rows: list[Row]) -> list[tuple[str, ...]]:
    """Per order and range the fitted exponents, and the decades that they stand on; loose certificates are left out."""
    found: list[tuple[str, ...]] = []
    for order in ORDERS:
        for least in FITTED:
            some = [r for r in rows if r.order == order and r.cells >= least and r.upper <= (1 + RTOL) * r.lower]
            weights = [r.weights for r in some]
            decades = f"{np.log10(weights[-1] / weights[0]):.2f} decades, {len(some)} networks"
            certified, bound = log_slope(weights, [r.upper for r in some]), log_slope(weights, [r.bound for r in some])
            more = f"a priori {bound}", f"theory {-order / 2:g}"
            found.append((f"order {order}", f"N >= {least}", decades, f"certified {certified}", *more))
        shares = [r.upper / r.bound for r in rows if r.order == order]
        found.append((f"order {order}", f"certified over a priori: {min(shares):.2f} to {max(shares):.2f}"))
    return found


def picture(rows: list[Row], folder: Path) -> None:
    """Certified errors, bounds proved a priori, and lines of theory through the last points."""
    figure = matplotlib.figure.Figure(figsize=(7.0, 5.0), layout="constrained")
    ax = figure.subplots()
    for k, order in enumerate(ORDERS):
        some = [r for r in rows if r.order == order]
        weights = np.array([r.weights for r in some], float)
        ax.loglog(weights, [r.upper for r in some], f"C{k}o-", ms=5, label=f"order {order}: certified")
        ax.loglog(weights, [r.bound for r in some], f"C{k}_", ms=9, label=f"order {order}: proved a priori")
        last = some[-1]
        ax.loglog(weights, last.upper * (weights / last.weights) ** (-order / 2), f"C{k}--", lw=0.8)
    ax.plot([], [], "k--", lw=0.8, label="theory, W^(-order/2)")
    ax.set(xlabel="weights W", ylabel="sup |f - network|", title=f"power-taylor: {F.text} on [0, 1]^2")
    ax.set_ylim(0.3 * min(r.lower for r in rows), 5 * max(r.bound for r in rows))
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    figure.savefig(folder / "rates-power-plane.png", dpi=100)


def _text(r: Row) -> tuple[str, ...]:
    sizes = str(r.order), str(r.cells), f"{r.weights:,}", str(r.layers)
    return *sizes, f"{r.lower:.5g} .. {r.upper:.5g}", f"{r.bound:.4g}", f"{r.build:.1f}", f"{r.certify:.1f}"


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
