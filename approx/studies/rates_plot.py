"""What does a study of rates look like? Proved errors against weights, fits, theory, and lower bounds."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from approx.networks.container import write_atomically
from approx.plots import picture_type, style
from approx.plots.labels import formula, interval
from approx.studies.lower_bounds import any_selection, continuous_selection

if TYPE_CHECKING:
    from approx.studies.rates_table import RatesStudy

COLOURS = (style.ERROR, style.CERTIFIED, style.WITNESS, style.PROVED, style.WANTED, style.TARGET, style.NETWORK)
MARKERS = "osD^vPX"


def plot_rates(study: RatesStudy, path: str | Path | None = None, ax: Any = None) -> Any:
    """Draw the study, doubly logarithmic, and return the axes; with a path also write the file, atomically.

    Points are proved errors, bars reach down to the certified lower bound; a full line is the fit, a dashed one the slope
    of theory through the last point; grey lines are errors that no weights go below for the whole class of functions.
    Raises InputError for a file type that matplotlib does not know, OSError when the path cannot be written.
    """
    kind = picture_type(path) if path is not None else None
    if ax is None:
        ax = _new_axes(path)
    for number, name in enumerate(study.methods):
        _draw_method(study, name, ax, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
    _draw_limits(study, ax)
    ax.set(xscale="log", yscale="log", xlabel="weights W", ylabel="sup |f - network|, proved")
    ax.set_title(f"{formula(study.target)}  on {interval(study.target)}", fontsize=11)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)
    style.tidy(ax)
    if path is not None:
        buffer = io.BytesIO()
        ax.figure.savefig(buffer, format=kind, dpi=130)
        write_atomically(path, buffer.getvalue())
    return ax


def _new_axes(path: str | Path | None) -> Any:
    if path is None:
        return style.axes_or_new(None)
    import matplotlib.figure

    return matplotlib.figure.Figure(figsize=(8.0, 5.2), layout="constrained").subplots()


def _draw_method(study: RatesStudy, name: str, ax: Any, colour: str, marker: str) -> None:
    rows = [r for r in study.method(name) if 0 < r.error < math.inf]
    if not rows:
        return
    exponent, weights = study.exponents[name], np.array([r.weights for r in rows], dtype=float)
    error = np.array([r.error for r in rows])
    label = name
    if exponent.points > 1:
        label += f": $W^{{{exponent.value:.2f}}}$"
    if not math.isnan(exponent.theory):
        label += f" (theory $W^{{{exponent.theory:.3g}}}$)"
        ax.plot(weights, error[-1] * (weights / weights[-1]) ** exponent.theory, "--", lw=1, color=colour)
    ax.vlines(weights, [max(r.lower, 1e-300) for r in rows], error, color=colour, lw=1)
    ax.plot(weights, error, marker, ms=5, color=colour, label=label)
    if exponent.points > 1:
        ends = np.array([weights[0], weights[-1]])
        ax.plot(ends, [exponent.fit.at(w) for w in ends], "-", lw=1.2, color=colour)


def _draw_limits(study: RatesStudy, ax: Any) -> None:
    if study.smoothness is None or not study.rows:
        return
    ends = min(r.weights for r in study.rows), max(r.weights for r in study.rows)
    weights = [max(1, round(w)) for w in np.geomspace(max(1, ends[0]), max(2, ends[1]), 25)]
    for limit, line, words in (
        (continuous_selection, "-.", "class, continuous selection (lower bound)"),
        (any_selection, ":", "class, any selection and depth (lower bound)"),
    ):
        below = [limit(study.smoothness, w) for w in weights]
        ax.plot(weights, below, line, color=style.QUIET, lw=1.2, label=words)
