"""Does storing equal cells once beat plain interpolation at the same number of weights, the more the larger it is?

`cached_patches.py [FOLDER]` prints one line per network, then what the rows of a target say together; with a FOLDER
(docs/figures) it draws cached-patches.png. Lipschitz targets that are rough at every scale down to 2^-16: the mean of
sixteen triangle waves (a Lipschitz relative of Takagi's function), and x^2 sin(1/x). The theory says error = O(1/(W ln W))
against O(1/W), so that the ratio grows like ln W.

Errors of cached-patches are bounded from above a priori (proved when they are built), both errors from below by exact
evaluation of the network against a ball of f at the worst of 2^19 + 1 points: the stated ratio, least error of plain
interpolation over greatest error of cached-patches, is proved, and both its ends are on the side of plain interpolation.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.figure
import numpy as np
from flint import fmpq

from approx import Target
from approx.approximant import Approximant
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, to_fmpq
from approx.studies.regression import log_slope
from approx.targets.enclosures import grid_enclosures
from constructions.relu import cached_narrow, cached_patches, simplicial

WAVES = 16
#: eps = L 2^-level.
LEVELS = range(6, 18)
SAMPLES = 2**19
HEADING = (
    "target", "W", "cells x steps", "error, certified from below .. proved", "plain at W >=", "plain / cached",
    "(plain / cached) / ln W", "W error / L", "W error ln W / L", "narrow W", "hidden layers", "seconds",
)  # fmt: skip


class Row(NamedTuple):
    """One network of each kind with (at most) the same number of weights; errors over the Lipschitz constant."""

    weights: int
    grid: str
    least: float
    error: float
    plain: float
    narrow: int
    layers: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Error of plain interpolation over that of cached-patches, at least."""
        return self.plain / self.error


def triangle_waves(count: int = WAVES, shift: int = 93) -> Target:
    """The mean of `count` triangle waves with slopes +-1 and periods near 2^0, 2^-1, ...: Lipschitz constant 1.

    Every wave is folded at `shift` hundredths of the half of the last: off the dyadic grid unless shift = 100.
    """
    wave, terms = "x", []
    for k in range(1, count + 1):
        wave = f"abs({wave} - {shift}/{100 * 2**k})"
        terms.append(f"{wave}/{count}")
    return Target(" + ".join(terms))


def targets() -> dict[str, Target]:
    """Both targets of the study."""
    return {"waves": triangle_waves(), "x^2 sin(1/x)": Target("x**2*sin(1/x)", ("1/500", 1))}


def study(f: Target) -> Iterator[Row]:
    """The rows of one target, from coarse to fine."""
    [(low, high)], lipschitz = f.domain, f.lipschitz()
    points = [low + (high - low) * fmpq(j, SAMPLES) for j in range(SAMPLES + 1)]
    places = np.clip([float(int(x.p) / int(x.q)) for x in points], *f.domain.floats_inside()[0])
    values = np.asarray(f(places))
    for level in LEVELS:
        started = time.perf_counter()
        cached = cached_patches(f, lipschitz * 2.0**-level)
        weights = cached.network.size.weights
        plain = simplicial(f, 1, cells=max(1, (weights - 2) // 3))
        assert plain.network.size.weights <= weights
        narrow = cached_narrow(f, lipschitz * 2.0**-level).network.size
        least = [_at_least(a, places, values) / lipschitz for a in (cached, plain)]
        grid = f"{cached.parameters['cells']} x {cached.parameters['steps_per_cell']}"
        seconds = time.perf_counter() - started
        yield Row(
            weights, grid, least[0], cached.bound / lipschitz, least[1], narrow.weights, narrow.hidden_layers, seconds
        )


def _at_least(a: Approximant, places: np.ndarray, values: np.ndarray) -> float:
    """|f - net| at the worst of the places, by an exact value and a ball: certified from below."""
    # A float64 network value only chooses the place; np.interp would do as well.
    worst = to_fmpq(float(places[np.abs(np.asarray(a(places)) - values).argmax()]))
    [value] = evaluate_exact(a.network, [worst])
    [middle], [radius] = grid_enclosures(a.target, [[worst]])
    return float_down(abs(to_fmpq(value) - to_fmpq(float(middle))) - to_fmpq(float(radius)))


def summary(name: str, rows: list[Row]) -> list[str]:
    """What the rows say together: the fall of the errors, the growth of the ratio (fits are observed)."""
    weights, errors = np.array([r.weights for r in rows], float), np.array([r.error for r in rows])
    logs, ratios = np.log(weights), np.array([r.ratio for r in rows])
    products = weights * errors * logs
    slope, start = np.polyfit(logs, ratios, 1)
    crossing = next((r.weights for r in rows if r.ratio > 1), None)
    return [
        f"{name}: {len(rows)} networks over {np.log10(weights[-1] / weights[0]):.2f} decades, "
        f"error ~ W^{log_slope(weights, errors)}",
        f"   W error ln W / L from {products[0]:.2f} to {products[-1]:.2f}, greatest {products.max():.2f}; "
        f"W error / L from {weights[0] * errors[0]:.3f} to {weights[-1] * errors[-1]:.3f}",
        f"   plain / cached from {ratios[0]:.3f} to {ratios[-1]:.3f}, above 1 first at W = {crossing}; "
        f"= {slope:.3f} ln W {start:+.2f}, correlation {np.corrcoef(logs, ratios)[0, 1]:.4f}",
        f"   least confirmed share of the proved errors: {min(r.least / r.error for r in rows):.3f}",
    ]


def picture(found: dict[str, list[Row]], folder: Path) -> None:
    """Errors against W, and the ratio against ln W."""
    figure = matplotlib.figure.Figure(figsize=(10.0, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, rows) in enumerate(found.items()):
        weights, colour = np.array([r.weights for r in rows], float), f"C{number}"
        left.loglog(weights, [r.error for r in rows], f"{colour}o-", ms=4, label=f"{name}: cached-patches, proved")
        left.loglog(weights, [r.plain for r in rows], f"{colour}^:", ms=4, label=f"{name}: interpolation, at least")
        right.semilogx(weights, [r.ratio for r in rows], f"{colour}o-", ms=4, label=name)
    right.axhline(1, color="0.5", lw=1)
    left.set(xlabel="weights W", ylabel="sup |f - network| / L", title="errors")
    right.set(xlabel="weights W, logarithmic", title="error of interpolation / of cached-patches, at least")
    for ax in (left, right):
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, frameon=False)
    figure.savefig(folder / "cached-patches.png", dpi=110)


def main(folder: str = "") -> list[tuple[str, ...]]:
    """Both studies; their rows on standard error as they come."""
    found: dict[str, list[Row]] = {}
    table_rows = [HEADING]
    for name, f in targets().items():
        found[name] = []
        for row in study(f):
            found[name].append(row)
            table_rows.append(_text(name, row))
            print(" | ".join(table_rows[-1]), file=sys.stderr, flush=True)
        print("\n".join(summary(name, found[name])), flush=True)
    if folder:
        picture(found, Path(folder))
    return table_rows


def table() -> list[tuple[str, ...]]:
    """The rows of both targets, from coarse to fine."""
    return main()


def _text(name: str, r: Row) -> tuple[str, ...]:
    log = math.log(r.weights)
    return (
        name, f"{r.weights:,}", r.grid, f"{r.least:.4g} .. {r.error:.4g}", f"{r.plain:.4g}", f"{r.ratio:.3f}",
        f"{r.ratio / log:.4f}", f"{r.weights * r.error:.3f}", f"{r.weights * r.error * log:.2f}", f"{r.narrow:,}",
        f"{r.layers:,}", f"{r.seconds:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:2])
