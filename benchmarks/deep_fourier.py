"""How many weights do deep Fourier networks need? Certified errors against weights, beside ReLU networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import approx
import constructions
from approx import Target
from approx.errors import ApproxError

TARGETS = {
    "sin(2*pi*x)": (0, 1),
    "exp(x)": (0, 1),
    "sin(7*x)*exp(-x)/(1+x**2)": (0, 1),
    "erf(4*x-2)": (0, 1),
    "1/(1+25*x**2)": (0, 1),
    "cos(40*x**2)": (0, 1),
    "1/(1+2500*x**2)": (-1, 1),
    "exp(-(x**2+y**2))": [(-1, 1)] * 2,
    "sin(pi*x)*cos(pi*y)/2": [(-1, 1)] * 2,
}
SMOOTH, PEAK = "sin(7*x)*exp(-x)/(1+x**2)", "1/(1+2500*x**2)"
FOURIER = constructions.periodic.deep_fourier
LADDER = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
#: In two variables, where the straight line is fitted.
FINE = tuple(10.0**-k for k in range(1, 11))
Point = tuple[int, float]


def table() -> list[tuple[str, ...]]:
    """Weights at four accuracies, with the digits that were chosen, and at 1e-10 the certified error and the time."""
    rows = [("target", "1e-4", "1e-6", "1e-8", "1e-10", "digits at 1e-10", "certified", "build s", "certify s")]
    for text, domain in TARGETS.items():
        f, cells = Target(text, domain), []
        for eps in (1e-4, 1e-6, 1e-8):
            cells.append(str(constructions.periodic.deep_fourier(f, eps).network.size.weights))
        start = time.process_time()
        a = constructions.periodic.deep_fourier(f, 1e-10)
        built = time.process_time()
        c = a.certify()
        spent = time.process_time() - built
        more = (str(a.parameters["digits"]), f"{c.upper:.4g}", f"{built - start:.1f}", f"{spent:.2f}")
        rows.append((text, *cells, str(a.network.size.weights), *more))
    return rows


def curve(f: Target, ladder: tuple[float, ...], builder: Callable[..., Any], **options: Any) -> list[Point]:
    """(weights, certified error) at every accuracy that is reached."""
    points = []
    for eps in ladder:
        try:
            a = builder(f, eps, **options)
            c = a.certify(budget=approx.Budget(seconds=5))
        except ApproxError:
            continue
        points.append((a.network.size.weights, min(c.upper, a.bound)))
    # Of several networks with as many weights, the best.
    return sorted({w: min(e for v, e in points if v == w) for w, _ in points}.items())


def picture(path: str | Path) -> None:
    """Four panels: log error against W in one variable (smooth, and with a peak), against sqrt(W) in two and for bits."""
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(2, 2, figsize=(12, 9), constrained_layout=True)
    smooth, peak, plane, paper = grid.ravel()
    _one_variable(smooth, peak)
    f = _two_variables(plane)
    _bits(paper)
    titles = {
        smooth: SMOOTH,
        peak: PEAK + " on [-1, 1]",
        plane: f.text + " on [-1, 1]^2",
        paper: SMOOTH + ", bits of one weight",
    }
    for ax, title in titles.items():
        ax.set_yscale("log")
        ax.set_title(title, fontsize=10)
        if ax in (plane, paper):
            ax.set_xscale("function", functions=(lambda w: abs(w) ** 0.5, lambda s: s**2))
            ticks = (30, 60, 100, 200, 300, 400) if ax is plane else (500, 1000, 2000, 4000, 8000, 16000)
            ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
            ax.set_xlim(left=0.7 * ticks[0])
        else:
            ax.set_xscale("log")
        ax.set_xlabel("weights, square root scale" if ax in (plane, paper) else "weights")
        ax.set_ylabel("certified uniform error")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    peak.set_xticks([50, 100, 200, 400, 800], ["50", "100", "200", "400", "800"])
    peak.minorticks_off()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _one_variable(smooth: Any, peak: Any) -> None:
    f = Target(SMOOTH)
    _draw(smooth, curve(f, LADDER, FOURIER, digits=0), "sines, one layer", "C0o-")
    for digits, style in ((1, "C1s-"), (3, "C3d-")):
        _draw(smooth, curve(f, LADDER, FOURIER, digits=digits), f"deep Fourier, {2**digits} cells", style)
    _draw(smooth, curve(f, LADDER[:4], constructions.relu.polynomial), "ReLU: polynomial", "k^:")
    _draw(smooth, curve(f, LADDER[:5], constructions.relu.piecewise_polynomial), "ReLU: piecewise polynomial", "kv:")
    f = Target(PEAK, (-1, 1))
    for digits, style in ((3, "C1s-"), (5, "C2^-"), (7, "C3d-")):
        _draw(peak, curve(f, LADDER, FOURIER, digits=digits), f"deep Fourier, {2**digits} cells", style)
    _draw(peak, curve(f, LADDER[:4], constructions.relu.piecewise_polynomial), "ReLU: piecewise polynomial", "kv:")


def _two_variables(ax: Any) -> Target:
    """The Gaussian, one cell and more; prints the straightness of every curve."""
    f = Target("exp(-(x**2+y**2))", [(-1, 1)] * 2)
    for digits, style in ((0, "C0o-"), (1, "C1s-"), (2, "C3d-")):
        points = curve(f, FINE if digits == 0 else LADDER[:5], FOURIER, digits=digits)
        label = f"deep Fourier, {2**digits} x {2**digits} cells" if digits else "sines, one layer"
        _straight(f"d = 2, {label}", points)
        _draw(ax, points, label, style)
    return f


def _bits(ax: Any) -> None:
    """The paper's form at fixed orders: cells from 2 to 64; prints the straightness of every curve."""
    for order, style in ((1, "C0o-"), (2, "C1s-"), (3, "C3d-")):
        points = []
        for digits in range(1, 7):
            a = FOURIER(Target(SMOOTH), 10, digits=digits, order=order, form="bits")
            points.append((a.network.size.weights, a.certify().upper))
        _straight(f"bits, order {order}", points)
        _draw(ax, points, f"order {order}, 2 to 64 cells", style)


def _straight(label: str, points: list[Point]) -> None:
    """Print how straight log(1/error) is against sqrt(W): the line by least squares and the correlation (observed)."""
    roots, logs = np.sqrt([w for w, _ in points]), -np.log([e for _, e in points])
    slope, start = np.polyfit(roots, logs, 1)
    correlation = np.corrcoef(roots, logs)[0, 1]
    print(
        f"{label}: {points}, log(1/error) = {slope:.3f} sqrt(W) {start:+.2f}, correlation {correlation:.4f}", flush=True
    )


def _draw(ax: Any, points: list[Point], label: str, style: str) -> None:
    if points:
        weights, errors = zip(*points, strict=True)
        ax.plot(weights, errors, style, label=label, markersize=4)


if __name__ == "__main__":
    picture(Path(__file__).resolve().parents[1] / "docs" / "figures" / "deep-fourier.png")
