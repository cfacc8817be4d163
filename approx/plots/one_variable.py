"""How are a target, a network and their error drawn in one variable? Curves, breakpoints, and the certified band."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from approx.errors import UnsupportedError
from approx.networks import PIECEWISE_LINEAR
from approx.numbers import to_float
from approx.plots import style
from approx.plots.labels import plural, rounded_up, typeset
from approx.plots.sampling import MOST_BREAKPOINTS, ErrorSample, breakpoints, envelope, sample_error

if TYPE_CHECKING:
    from approx.approximant import Approximant
    from approx.networks import Network
    from approx.targets import Target

_CURVE_POINTS = 2001
#: Up to so many breakpoints are drawn as single marks, more as a strip of their density.
_MOST_MARKS = 400
_DENSITY_BINS = 150
#: A line far above the error would flatten it: up to this factor it is drawn, beyond it only named in the legend.
_VISIBLE = 2.5


def plot_target(target: Target, ax: Any = None, **line: Any) -> Any:
    """Draw a target of one variable at 2001 points of its domain and return the axes; keywords go to `Axes.plot`.

    Raises UnsupportedError for targets of several variables (plot_approximant draws those).
    """
    lower, upper = _sides(target)
    x = np.linspace(lower, upper, _CURVE_POINTS)
    with np.errstate(all="ignore"):
        y = np.asarray(target(x))
    ax = style.axes_or_new(ax)
    ax.plot(x, y, **{"color": style.TARGET, "linewidth": 5, "label": "target", "solid_capstyle": "round"} | line)
    style.tidy(ax)
    ax.set_xlabel("x")
    return ax


def plot_network(network: Network, domain: tuple[float, float], ax: Any = None, **line: Any) -> Any:
    """Draw a network of one variable on `domain` and return the axes; its breakpoints are among the points drawn.

    Raises UnsupportedError for networks of several variables. Keywords go to `Axes.plot`.
    """
    if network.inputs != 1:
        raise UnsupportedError(f"plot_network draws networks of one variable, this one has {network.inputs}")
    lower, upper = (float(end) for end in domain)
    x = np.linspace(lower, upper, _CURVE_POINTS)
    kinks = breakpoints(network, lower, upper)
    if kinks is not None and len(kinks) <= _MOST_MARKS:
        x = np.union1d(x, kinks)
    ax = style.axes_or_new(ax)
    ax.plot(x, np.asarray(network(x)), **{"color": style.NETWORK, "linewidth": 1.1, "label": "network"} | line)
    style.tidy(ax)
    ax.set_xlabel("x")
    return ax


def plot_breakpoints(network: Network, domain: tuple[float, float], ax: Any = None, height: float = 0.045) -> Any:
    """Mark the breakpoints of a network of one variable along the bottom of the axes and return the axes.

    Up to 400 are single marks; more are a strip whose darkness is their density. Nothing is drawn for networks that
    are not piecewise linear or have more than 250,000 breakpoints. `height` is the share of the axes' height.
    """
    lower, upper = (float(end) for end in domain)
    ax = style.axes_or_new(ax)
    kinks = breakpoints(network, lower, upper)
    if kinks is None and network.activations <= PIECEWISE_LINEAR:
        ax.plot(
            [], [], color=style.QUIET, linewidth=0.7, label=f"more than {MOST_BREAKPOINTS:,} breakpoints, not shown"
        )
    if kinks is None or not len(kinks):
        return ax
    across = ax.get_xaxis_transform()
    if len(kinks) <= _MOST_MARKS:
        ax.vlines(
            kinks, 0, height, transform=across, color=style.QUIET, linewidth=0.7, label=plural(len(kinks), "breakpoint")
        )
    else:
        counts, edges = np.histogram(kinks, bins=_DENSITY_BINS, range=(lower, upper))
        strip = np.sqrt(counts)[np.newaxis, :]
        ax.pcolormesh(
            edges, [0, height], strip, transform=across, cmap="Greys", vmin=0, vmax=1.5 * strip.max(), rasterized=True
        )
        ax.fill_between([], [], color=style.QUIET, label=plural(len(kinks), "breakpoint") + " (darker: denser)")
        ax.set_xlim(lower, upper)
    return ax


def plot_error(
    approximant: Approximant,
    ax: Any = None,
    *,
    eps: float | None = None,
    around: tuple[float, float] | None = None,
    marks: bool = True,
) -> Any:
    """Draw the sampled error f - net of an approximant in one variable with its certified band and return the axes.

    The curve is OBSERVED (labelled "sampled"), dense enough to show every arc, or the envelope of the samples per pixel
    column where there are too many. The band between the certified lower and upper bound holds the true supremum;
    the witness, where the lower bound is attained, is a point. `eps` adds the accuracy asked for, a finite a-priori
    bound its own line; lines more than 2.5 times the error away are left out. `around` restricts the picture to a
    part of the domain. marks=False leaves the breakpoints out.
    """
    lower, upper = around or _sides(approximant.target)
    network = approximant.network
    kinks = breakpoints(network, lower, upper)
    certificate = approximant.certificate
    size = certificate.lower if certificate is not None else approximant.bound
    sample = sample_error(network, approximant.target, lower, upper, kinks, size if math.isfinite(size) else 0.0)
    ax = style.axes_or_new(ax)
    _draw_sample(ax, sample, _pieces(network, kinks))
    reach = _draw_bounds(ax, approximant, eps)
    if certificate is not None:
        _draw_witness(ax, approximant, lower, upper)
    if marks and kinks is not None:
        plot_breakpoints(network, (lower, upper), ax)
    seen = np.abs(sample.error[np.isfinite(sample.error)])
    half = 1.22 * max(reach, float(seen.max(initial=0.0)))
    if half > 0:
        ax.set_ylim(-half, half)
    ax.set_xlim(lower, upper)
    style.tidy(ax)
    style.scientific(ax.yaxis)
    ax.set_xlabel("x")
    ax.set_ylabel("error  target − network")
    return ax


def _sides(target: Target) -> tuple[float, float]:
    if target.dimension != 1:
        raise UnsupportedError(f"this picture is for one variable, the target has {target.dimension}")
    [[lower, upper]] = target.domain.floats_inside().tolist()
    return lower, upper


def _pieces(network: Network, kinks: np.ndarray | None) -> float:
    """How many pieces there are: unlisted ones are too many, and a smooth network is one."""
    if kinks is not None:
        return len(kinks) + 1
    return math.inf if network.activations <= PIECEWISE_LINEAR else 1


def _draw_sample(ax: Any, sample: ErrorSample, pieces: float) -> None:
    how = "sampled exactly" if sample.exact else "sampled"
    if pieces <= style.COLUMNS // 2:
        ax.plot(sample.x, sample.error, color=style.ERROR, linewidth=1.1, label=f"error ({how})", zorder=3)
        return
    edges, low, high = envelope(sample.x, sample.error, style.COLUMNS)
    ax.stairs(high, edges, baseline=low, fill=True, color=style.ERROR, linewidth=0, zorder=3,
              label=f"error ({how}; extremes per pixel)")  # fmt: skip


def _draw_bounds(ax: Any, approximant: Approximant, eps: float | None) -> float:
    """Draw the certified band, eps and the a-priori bound; return how far they reach."""
    certificate = approximant.certificate
    reach = 0.0
    if certificate is not None and math.isfinite(certificate.upper):
        reach = certificate.upper
        label = "certified: the supremum lies in the band"
        for sign in (1, -1):
            band = sorted((sign * certificate.lower, sign * certificate.upper))
            # Strong edges, pale inside: a thin band is a line, a wide one (nothing sharper was shown) hides nothing.
            edges = {"facecolor": (style.CERTIFIED, 0.3), "edgecolor": style.CERTIFIED, "linewidth": 1.5}
            ax.axhspan(*band, **edges, label=label, zorder=2)
            label = ""
    for value, name, colour, dash in (
        (eps, "asked for", style.WANTED, "--"),
        (approximant.bound, "proved a priori", style.PROVED, ":"),
    ):
        if value is None or not math.isfinite(value):
            continue
        label = f"{name}: {typeset(rounded_up(value, 4))}"
        if 0 < value <= _VISIBLE * reach or reach == 0:
            reach = max(reach, value)
            ax.axhline(value, color=colour, linestyle=dash, linewidth=1.3, label=label)
            ax.axhline(-value, color=colour, linestyle=dash, linewidth=1.3)
        else:
            ax.plot([], [], color=colour, linestyle=dash, linewidth=1.3, label=label + " (outside)")
    return reach


def _draw_witness(ax: Any, approximant: Approximant, lower: float, upper: float) -> None:
    certificate = approximant.certificate
    if certificate is None or not certificate.lower > 0:
        return
    x = to_float(certificate.witness[0])
    if not lower <= x <= upper:
        return
    with np.errstate(all="ignore"):
        sign = np.sign(float(approximant.target(x)) - float(np.asarray(approximant.network(x))))
    y = (sign or 1.0) * certificate.lower
    ax.plot([x], [y], "o", color=style.WITNESS, markersize=6.5, markeredgecolor="white", markeredgewidth=0.9, zorder=5,
            label="witness of the lower bound", clip_on=False)  # fmt: skip
