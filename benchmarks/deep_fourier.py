"""How many weights do deep Fourier networks need? Certified errors against weights, beside ReLU networks.

`deep_fourier.py [PANEL...]` prints every curve as it is done, with the straight line through log(1/error) against sqrt(W)
(observed); PANEL is smooth, peak, plane or bits. Without one it computes all of them and draws docs/figures/deep-fourier.png.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
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
SMOOTH, PEAK, GAUSS = "sin(7*x)*exp(-x)/(1+x**2)", "1/(1+2500*x**2)", "exp(-(x**2+y**2))"
FOURIER = constructions.periodic.deep_fourier
LADDER = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
#: In two variables, where the straight line is fitted.
FINE = tuple(10.0**-k for k in range(1, 11))
#: The panels of the picture, in its order.
TITLES = {
    "smooth": SMOOTH,
    "peak": PEAK + " on [-1, 1]",
    "plane": GAUSS + " on [-1, 1]^2",
    "bits": SMOOTH + ", bits of one weight",
}
ROOT_TICKS = {"plane": (20, 60, 100, 200, 300, 400), "bits": (500, 1000, 2000, 4000, 8000, 16000)}
Point = tuple[int, float]
#: Label, style of the line, points; and the same with the points to be computed.
Curve = tuple[str, str, list[Point]]
Planned = tuple[str, str, Callable[[], list[Point]]]


def table() -> list[tuple[str, ...]]:
    """Weights at four accuracies, with the digits that were chosen, and at 1e-10 the certified error and the time."""
    rows: list[tuple[str, ...]] = [
        ("target", "1e-4", "1e-6", "1e-8", "1e-10", "digits at 1e-10", "certified", "build s", "certify s")
    ]
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


def curves(panel: str) -> Iterator[Curve]:
    """The curves of one panel, each printed as soon as it is done."""
    for label, style, make in PANELS[panel]():
        started = time.process_time()
        points = make()
        print(f"{panel}, {label}: {points}, {_straight(points)}, {time.process_time() - started:.0f} s", flush=True)
        if points:
            yield label, style, points


def picture(path: str | Path) -> None:
    """Four panels: log error against W in one variable (smooth, and with a peak), against sqrt(W) in two and for bits."""
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(2, 2, figsize=(12, 9), constrained_layout=True)
    for ax, panel in zip(grid.ravel(), PANELS, strict=True):
        for label, style, points in curves(panel):
            ax.plot(*zip(*points, strict=True), style, label=label, markersize=4)
        ax.set_yscale("log")
        ax.set_title(TITLES[panel], fontsize=10)
        if panel in ROOT_TICKS:
            ticks = ROOT_TICKS[panel]
            ax.set_xscale("function", functions=(lambda w: abs(w) ** 0.5, lambda s: s**2))
            ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
            ax.set_xlim(left=0.7 * ticks[0])
        else:
            ax.set_xscale("log")
        ax.set_xlabel("weights, square root scale" if panel in ROOT_TICKS else "weights")
        ax.set_ylabel("certified uniform error")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
        if panel == "peak":
            ax.set_xticks([50, 100, 200, 400, 800], ["50", "100", "200", "400", "800"])
            ax.minorticks_off()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _smooth() -> Iterator[Planned]:
    f = Target(SMOOTH)
    yield "sines, one layer", "C0o-", lambda: curve(f, LADDER, FOURIER, digits=0)
    for digits, style in ((1, "C1s-"), (3, "C3d-")):
        yield f"deep Fourier, {2**digits} cells", style, partial(curve, f, LADDER, FOURIER, digits=digits)
    yield "ReLU: polynomial", "k^:", lambda: curve(f, LADDER[:4], constructions.relu.polynomial)
    yield "ReLU: piecewise polynomial", "kv:", lambda: curve(f, LADDER[:5], constructions.relu.piecewise_polynomial)


def _peak() -> Iterator[Planned]:
    f = Target(PEAK, (-1, 1))
    for digits, style in ((3, "C1s-"), (5, "C2^-"), (7, "C3d-")):
        yield f"deep Fourier, {2**digits} cells", style, partial(curve, f, LADDER, FOURIER, digits=digits)
    yield "ReLU: piecewise polynomial", "kv:", lambda: curve(f, LADDER[:4], constructions.relu.piecewise_polynomial)


def _plane() -> Iterator[Planned]:
    """The Gaussian, one cell and more."""
    f = Target(GAUSS, TARGETS[GAUSS])
    for digits, style in ((0, "C0o-"), (1, "C1s-"), (2, "C3d-")):
        label = f"deep Fourier, {2**digits} x {2**digits} cells" if digits else "sines, one layer"
        yield label, style, partial(curve, f, LADDER[:5] if digits else FINE, FOURIER, digits=digits)


def _bits() -> Iterator[Planned]:
    """The paper's form at fixed orders: cells from 2 to 64."""
    for order, style in ((1, "C0o-"), (2, "C1s-"), (3, "C3d-")):
        yield f"order {order}, 2 to 64 cells", style, partial(_bits_of_order, order)


def _bits_of_order(order: int) -> list[Point]:
    points = []
    for digits in range(1, 7):
        a = FOURIER(Target(SMOOTH), 10, digits=digits, order=order, form="bits")
        points.append((a.network.size.weights, a.certify().upper))
    return points


def _straight(points: list[Point]) -> str:
    """How straight log(1/error) is against sqrt(W): the line by least squares and the correlation (observed)."""
    if len(points) < 3:
        return "too few for a line"
    roots, logs = np.sqrt([w for w, _ in points]), -np.log([e for _, e in points])
    slope, start = np.polyfit(roots, logs, 1)
    return f"log(1/error) = {slope:.3f} sqrt(W) {start:+.2f}, correlation {np.corrcoef(roots, logs)[0, 1]:.4f}"


PANELS: dict[str, Callable[[], Iterator[Planned]]] = {"smooth": _smooth, "peak": _peak, "plane": _plane, "bits": _bits}

if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(PANELS):
        sys.exit(f"unknown panel {', '.join(sorted(unknown))}: one of {', '.join(PANELS)}")
    for chosen in sys.argv[1:]:
        for _ in curves(chosen):
            pass
    if not sys.argv[1:]:
        picture(Path(__file__).resolve().parents[1] / "docs" / "figures" / "deep-fourier.png")
