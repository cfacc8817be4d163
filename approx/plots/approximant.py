"""What does the whole picture of an approximant show? Target and network above, the error with its certified band below."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from approx.errors import InputError
from approx.evaluation.fitness import unfit_reason
from approx.networks.container import write_atomically
from approx.numbers import to_float
from approx.plots import style
from approx.plots.labels import formula, interval, plural, rounded_up, typeset
from approx.plots.one_variable import plot_breakpoints, plot_error, plot_network, plot_target
from approx.plots.sampling import breakpoints
from approx.plots.several_variables import plot_maps, slice_text

if TYPE_CHECKING:
    from approx.approximant import Approximant

#: Pieces that a close-up of the error shows around the witness.
_CLOSE_UP = 16


def plot_approximant(
    approximant: Approximant,
    path: str | Path | None = None,
    *,
    eps: float | None = None,
    figure: Any = None,
    dpi: int = 150,
) -> Any:
    """Draw the approximant and return the matplotlib figure; with a path also write it there (atomically).

    One variable: target and network above, the error with its certified band below, and a close-up at the witness where
    the pieces are too many to be told apart. Two variables: maps of the target and of the error; more: the slice
    through the witness. The error is sampled (OBSERVED); the band is the certificate. `figure` draws into a figure or
    subfigure of yours. Raises InputError for a file type that matplotlib does not know, OSError when the path cannot be
    written. Never opens a window.
    """
    kind = picture_type(path) if path is not None else None
    approximant = _drawable(approximant)
    if figure is None:
        figure = _new_figure(path, (10.0, 6.6) if approximant.target.dimension == 1 else (11.0, 6.0))
    if approximant.target.dimension == 1:
        _one_variable(approximant, figure, eps)
    else:
        axes = figure.subplots(1, 2)
        plot_maps(approximant, axes)
        figure.legend(loc="outside lower center", frameon=False)
    figure.suptitle(title(approximant), fontsize=12)
    if path is not None:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=dpi)
        write_atomically(path, buffer.getvalue())
    return figure


class _ByStructure:
    """A network that float64 cannot evaluate, with the values that its approximant knows from its structure."""

    def __init__(self, approximant: Approximant) -> None:
        self._approximant = approximant

    def __call__(self, x: Any) -> Any:
        return self._approximant(x)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._approximant.network, name)


def _drawable(approximant: Approximant) -> Approximant:
    if unfit_reason(approximant.network) is None:
        return approximant
    return replace(approximant, network=_ByStructure(approximant))  # type: ignore[arg-type]


def picture_type(path: str | Path) -> str:
    """Return the file type of a picture's name, e.g. 'png'; raises InputError when matplotlib does not write it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    known = FigureCanvasAgg.get_supported_filetypes()
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in known:
        raise InputError("plot", str(path), "a file name ending in " + ", ".join(f".{k}" for k in sorted(known)))
    return kind


def title(approximant: Approximant) -> str:
    """Return the title: the target and its domain, the weights, and what is certified (else proved) of the error."""
    target, size = approximant.target, approximant.network.size
    certificate = approximant.certificate
    if certificate is not None:
        statement = f"certified error ≤ {typeset(rounded_up(certificate.upper, 3))}"
        if certificate.assumptions:
            statement += " (conditional)"
    else:
        statement = f"proved error ≤ {typeset(rounded_up(approximant.bound, 3))}"
    first = f"{formula(target)}  on {interval(target)}"
    counts = f"{plural(size.weights, 'weight')}, {plural(size.hidden_layers, 'hidden layer')}"
    cut = slice_text(approximant)
    return f"{first}{',  ' + cut if cut else ''}\n{approximant.method}: {counts}, {statement}"


def _new_figure(path: str | Path | None, size: tuple[float, float]) -> Any:
    if path is None:
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _one_variable(approximant: Approximant, figure: Any, eps: float | None) -> None:
    target, network = approximant.target, approximant.network
    [[lower, upper]] = target.domain.floats_inside().tolist()
    kinks = breakpoints(network, lower, upper)
    close = _close_up(approximant, kinks, lower, upper)
    rows = figure.subplots(3 if close else 2, 1, height_ratios=[1, 1.25, 0.9] if close else [1, 1.35])
    plot_target(target, rows[0])
    plot_network(network, (lower, upper), rows[0])
    plot_breakpoints(network, (lower, upper), rows[0])
    rows[0].set_xlim(lower, upper)
    rows[0].set_xlabel("")
    rows[0].tick_params(labelbottom=False)
    rows[0].set_ylabel("target and network")
    rows[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0.1)
    plot_error(approximant, rows[1], eps=eps, marks=False)
    if close:
        plot_error(approximant, rows[2], eps=eps, around=close)
        rows[2].set_ylabel("close-up")
        rows[2].set_xlabel(f"x, the {_CLOSE_UP} pieces around the witness")
        rows[1].set_xlabel("")
        rows[1].axvspan(*close, color=style.QUIET, alpha=0.5, linewidth=1)
    handles, labels = rows[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _close_up(approximant: Approximant, kinks: Any, lower: float, upper: float) -> tuple[float, float] | None:
    """The neighbourhood of the witness that holds a few pieces, when the whole has too many to be told apart."""
    if kinks is None or len(kinks) <= style.COLUMNS // 2 or approximant.certificate is None:
        return None
    place = int(kinks.searchsorted(to_float(approximant.certificate.witness[0])))
    first = max(0, min(place - _CLOSE_UP // 2, len(kinks) - 1 - _CLOSE_UP))
    return float(kinks[first]), float(kinks[min(first + _CLOSE_UP, len(kinks) - 1)])
