"""Where do networks stand in the phase diagram? Rate against depth exponent: feasible, continuous, discontinuous, infeasible.

For the class of smoothness r in d variables, an error W^-p with hidden layers W^a is (P18, P19), with q = p d / r:
- q <= 1: reached at any depth, by weights that depend continuously on f;
- 1 < q <= 2: only by discontinuous selection, and only if a >= q - 1; reached with a = q - 1;
- q > 2: reached by no networks (up to logarithms).
These are statements on the worst function of a class: one that is smoother than its class may stand anywhere.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from approx.errors import InputError
from approx.networks.container import write_atomically
from approx.plots import picture_type, style
from approx.studies.rates_plot import COLOURS, MARKERS
from approx.studies.rates_table import RatesStudy
from approx.studies.regression import Slope

CONTINUOUS, DISCONTINUOUS, INFEASIBLE = "continuous", "discontinuous", "infeasible"
#: (colour, label) of the regions.
_LOOKS = {
    CONTINUOUS: ("#D8EEF7", "continuous selection suffices"),
    DISCONTINUOUS: ("#FBE7C2", "only discontinuous selection"),
    INFEASIBLE: ("#EEEEEE", "infeasible"),
}


@dataclass(frozen=True)
class PhasePoint:
    """A method measured on a target: rate p d / r and depth exponent a, with 95% intervals; `region` where that stands."""

    method: str
    target: str
    rate: Slope
    depth: Slope
    region: str


@dataclass(frozen=True)
class PhaseDiagram:
    """The measured points; `plot` draws them on the diagram of P19. `print` shows a table."""

    points: tuple[PhasePoint, ...]

    def plot(self, path: str | Path | None = None, ax: Any = None) -> Any:
        """Draw the regions and the points and return the axes; with a path also write the file, atomically.

        Raises InputError for a file type that matplotlib does not know, OSError when the path cannot be written.
        """
        kind = picture_type(path) if path is not None else None
        if ax is None and path is not None:
            import matplotlib.figure

            ax = matplotlib.figure.Figure(figsize=(7.5, 5.4), layout="constrained").subplots()
        ax = style.axes_or_new(ax)
        _regions(ax)
        for number, p in enumerate(self.points):
            bars = {"xerr": _bar(p.rate), "yerr": _bar(p.depth)}
            marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]  # colours return with another marker
            looks = {"color": COLOURS[number % len(COLOURS)], "marker": marker, "ms": 6}
            ax.errorbar(p.rate.value, p.depth.value, **bars, **looks, lw=1, ls="", label=f"{p.method}, {p.target}")
        ax.set(xlabel="rate  p d / r  (error = W^-p)", ylabel="depth exponent  a  (hidden layers = W^a)")
        ax.legend(frameon=True, framealpha=0.9, fontsize=8, loc="upper left")
        style.tidy(ax)
        if path is not None:
            buffer = io.BytesIO()
            ax.figure.savefig(buffer, format=kind, dpi=130)
            write_atomically(path, buffer.getvalue())
        return ax

    def __str__(self) -> str:
        return "\n".join(
            f"{p.method} on {p.target}: p d / r = {p.rate}, depth exponent {p.depth}: {p.region}" for p in self.points
        )


def phase_diagram(studies: RatesStudy | Sequence[RatesStudy]) -> PhaseDiagram:
    """Return the PhaseDiagram of the methods of one or several studies of rates that have at least two rows in their fits.

    The rate is scaled by the smoothness r and the dimension of every study's own class. Measured exponents are finite-size:
    logarithms of W and constants move them, which is why the region allows for the larger of 0.1 and the 95% interval.
    Raises InputError for a study without a class (nothing to scale by).
    """
    found = []
    for study in [studies] if isinstance(studies, RatesStudy) else studies:
        if study.smoothness is None:
            raise InputError(
                "studies", study.target.text, "studies with a class of smoothness (see the notes of the study)"
            )
        scale = study.smoothness.dimension / study.smoothness.order
        for name, e in study.exponents.items():
            if e.fit.points > 1 and not math.isnan(e.fit.value):
                rate = Slope(-e.fit.value * scale, -e.fit.high * scale, -e.fit.low * scale, math.nan, e.fit.points)
                depth = e.depth if not math.isnan(e.depth.value) else Slope(0.0, 0.0, 0.0, math.nan, e.fit.points)
                found.append(PhasePoint(name, study.target.text, rate, depth, _measured_region(rate, depth)))
    return PhaseDiagram(tuple(found))


def region(rate: float, depth: float) -> str:
    """Return the phase of the rate p d / r at the depth exponent a.

    >>> region(1, 0), region(1.5, 0.5), region(1.5, 0.4), region(2.1, 1)
    ('continuous', 'discontinuous', 'infeasible', 'infeasible')
    """
    if rate <= 1:
        return CONTINUOUS
    return DISCONTINUOUS if rate <= 2 and depth >= rate - 1 else INFEASIBLE


def _measured_region(rate: Slope, depth: Slope) -> str:
    """The least demanding region within what the measurement leaves open."""
    slower = rate.value - max(0.1, _half(rate))
    return region(slower, depth.value + max(0.1, _half(depth)))


def _half(slope: Slope) -> float:
    half = (slope.high - slope.low) / 2
    return half if math.isfinite(half) else 0.0


def _bar(slope: Slope) -> Any:
    return [[_half(slope)], [_half(slope)]]


def _regions(ax: Any) -> None:
    labels = {name: dict(facecolor=colour, edgecolor="none") for name, (colour, _) in _LOOKS.items()}
    ax.fill([0, 1, 1, 0], [0, 0, 1, 1], **labels[CONTINUOUS])
    ax.fill([1, 2, 1], [0, 1, 1], **labels[DISCONTINUOUS])
    ax.fill([1, 2, 2.5, 2.5], [0, 1, 1, 0], **labels[INFEASIBLE])
    ax.plot([1, 2], [0, 1], color=style.QUIET, lw=1.2)
    for name, (x, y) in {CONTINUOUS: (0.5, 0.55), DISCONTINUOUS: (1.33, 0.85), INFEASIBLE: (2.05, 0.4)}.items():
        ax.text(x, y, _LOOKS[name][1], ha="center", va="center", fontsize=9, color="#555555")
    ax.set(xlim=(0, 2.5), ylim=(-0.06, 1.06))
