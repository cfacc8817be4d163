"""How many weights do deep Fourier networks need? Certified errors against weights, beside ReLU networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
LADDER = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
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
    """Three panels: log error against W in one variable (smooth, and with a peak), against sqrt(W) in two."""
    import matplotlib.pyplot as plt

    fourier, relu = constructions.periodic.deep_fourier, constructions.relu
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), constrained_layout=True)
    f = Target("sin(7*x)*exp(-x)/(1+x**2)")
    _draw(axes[0], curve(f, LADDER, fourier, digits=0), "sines, one layer", "C0o-")
    for digits, style in ((1, "C1s-"), (3, "C3d-")):
        _draw(axes[0], curve(f, LADDER, fourier, digits=digits), f"deep Fourier, {2**digits} cells", style)
    _draw(axes[0], curve(f, LADDER[:4], relu.polynomial), "ReLU: polynomial", "0.45", marker="^")
    _draw(axes[0], curve(f, LADDER[:5], relu.piecewise_polynomial), "ReLU: piecewise polynomial", "0.7", marker="v")
    f = Target("1/(1+2500*x**2)", (-1, 1))
    _draw(axes[1], curve(f, LADDER, fourier, digits=0), "sines, one layer (order up to 64)", "C0o-")
    for digits, style in ((3, "C1s-"), (5, "C2^-"), (7, "C3d-")):
        _draw(axes[1], curve(f, LADDER, fourier, digits=digits), f"deep Fourier, {2**digits} cells", style)
    _draw(axes[1], curve(f, LADDER[:4], relu.piecewise_polynomial), "ReLU: piecewise polynomial", "0.7", marker="v")
    f = Target("exp(-(x**2+y**2))", [(-1, 1)] * 2)
    _draw(axes[2], curve(f, LADDER, fourier, digits=0), "sines, one layer", "C0o-")
    for digits, style in ((1, "C1s-"), (2, "C3d-")):
        _draw(
            axes[2],
            curve(f, LADDER[:5], fourier, digits=digits),
            f"deep Fourier, {2**digits} x {2**digits} cells",
            style,
        )
    axes[0].set_xscale("log")
    axes[1].set_xscale("log")
    axes[1].set_xticks([50, 100, 200, 400, 800], ["50", "100", "200", "400", "800"])
    axes[1].minorticks_off()
    axes[2].set_xscale("function", functions=(lambda w: abs(w) ** 0.5, lambda s: s**2))
    for ax, text in zip(
        axes, ("sin(7x) exp(-x)/(1+x²)", "1/(1+2500 x²) on [-1, 1]", "exp(-(x²+y²)) on [-1, 1]²"), strict=True
    ):
        ax.set_yscale("log")
        ax.set_title(text)
        ax.set_xlabel("weights" + (", sqrt scale" if ax is axes[2] else ""))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    axes[0].set_ylabel("certified uniform error")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw(ax: Any, points: list[Point], label: str, style: str, **more: Any) -> None:
    if not points:
        return
    weights, errors = zip(*points, strict=True)
    if more:
        ax.plot(weights, errors, color=style, label=label, **more)
    else:
        ax.plot(weights, errors, style, label=label, markersize=4)


if __name__ == "__main__":
    picture(Path(__file__).resolve().parents[1] / "docs" / "figures" / "deep-fourier.png")
