"""How fast do errors of two-scale networks fall on a smooth function? Certified errors against weights, and the exponents."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import approx
import constructions
from approx import Target

#: (label, builder, options, accuracies or grids (N, M), exponent of the theory)
Series = tuple[str, Callable[..., Any], dict[str, Any], tuple[Any, ...], float]
F, WAVE = Target("sin(7*x)*exp(-x)/(1+x**2)"), Target("sin(10000*x)*exp(-x)")
SERIES: list[Series] = [
    (
        "hoelder-two-scale, p = 4",
        constructions.relu.hoelder_two_scale,
        {},
        (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 5e-11),
        -4,
    ),
    (
        "hoelder-two-scale, width 6",
        constructions.relu.hoelder_two_scale,
        {"form": "narrow"},
        (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10),
        -4,
    ),
    ("hoelder-two-scale, p = 3", constructions.relu.hoelder_two_scale, {"rate": 3}, (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9), -3),
    ("deep-two-scale, p = 2", constructions.relu.deep_two_scale, {}, (1e-1, 3e-2, 1e-2, 3e-3), -2),
    ("piecewise-linear", constructions.relu.piecewise_linear, {}, (1e-4, 1e-5, 1e-6, 1e-7), -2),
]
_HIGHER = constructions.relu.hoelder_two_scale
#: Orders above 2, on grids of M = c N^(p/r - 1) steps. The weights of first differences and of products are O(log W) only; the
#: frequency is so high that they weigh little at errors that a range of 1.5 decades can start from. Narrow networks have more
#: of them (O(log M) bits of packed differences), so there N is a larger multiple of M.
HIGHER: list[Series] = [
    ("order 3, p = 4", _HIGHER, {"order": 3, "rate": 4}, tuple(((4 * j) ** 3, 5 * j) for j in (3, 4, 5, 6, 8, 10)), -4),
    ("order 3, p = 6", _HIGHER, {"order": 3}, tuple((10 * m, m) for m in (48, 96, 192, 384, 768, 1600)), -6),
    (
        "order 3, width 10",
        _HIGHER,
        {"order": 3, "form": "narrow"},
        tuple((300 * m, m) for m in (12, 24, 48, 96, 192, 400)),
        -6,
    ),
    ("order 4, p = 5", _HIGHER, {"order": 4, "rate": 5}, tuple((j**4, 2 * j) for j in (8, 10, 12, 14, 16, 20)), -5),
    ("order 4, p = 8", _HIGHER, {"order": 4}, tuple((12 * m, m) for m in (48, 96, 192, 384, 768, 1600)), -8),
    (
        "order 4, width 10",
        _HIGHER,
        {"order": 4, "form": "narrow"},
        tuple((2000 * m, m) for m in (4, 8, 16, 32, 64, 132)),
        -8,
    ),
]
#: Two variables, order 2, M^2 = c N^(2 (p - 1)); patches in twice a power of 2 need the fewest weights. Frequencies as above.
PLANE = Target("sin(60*x+20*y)*cos(40*y-10*x)", [(0, 1), (0, 1)])
_PLANE_GRIDS = ((32, 5), (64, 9), (96, 13), (128, 17), (192, 25), (256, 29))
IN_THE_PLANE: list[Series] = [
    ("d = 2, order 2, p = 2", _HIGHER, {}, _PLANE_GRIDS, -2),
    ("d = 2, order 2, width 12", _HIGHER, {"form": "narrow"}, _PLANE_GRIDS, -2),
    ("d = 2, order 2, p = 3/2", _HIGHER, {"rate": 1.5}, tuple((8 * m * m, m) for m in (3, 5, 7, 9)), -1.5),
]
#: Order 3 in two variables; what weighs as much at all W, first and second differences and products, is 6,000 to 9,000 weights.
WAVES = Target("sin(30*x+10*y)*cos(20*y-5*x)", [(0, 1), (0, 1)])
ORDERS_IN_THE_PLANE: list[Series] = [
    (
        "d = 2, order 3, p = 3",
        _HIGHER,
        {"order": 3},
        ((120, 3), (208, 5), (288, 7), (384, 9), (544, 13), (736, 17)),
        -3,
    ),
    ("d = 2, order 3, p = 9/4", _HIGHER, {"order": 3, "rate": 2.25}, tuple((12 * m * m, m) for m in (3, 5, 7, 9)), -2.25),
]
#: Order 5, N/M from 12.8 to 15.1, on the target of order 2: its frequency is so high that first errors are large, as 1.5
#: decades of weights are 7.5 decades of errors here.
FACES_IN_THE_PLANE: list[Series] = [
    (
        "d = 2, order 5, p = 5",
        _HIGHER,
        {"order": 5},
        ((64, 5), (96, 7), (128, 9), (192, 13), (256, 17), (352, 25)),
        -5,
    ),
]
#: Without skips, of width 20 for both; O(M log W) weights for steps from line to line count more here, so M starts at 5.
_NARROW_GRIDS = ((48, 5), (80, 7), (128, 9), (192, 13), (256, 17), (352, 23))
NARROW_IN_THE_PLANE: list[Series] = [
    ("d = 2, order 3, width 20", _HIGHER, {"order": 3, "form": "narrow"}, _NARROW_GRIDS, -3),
    ("d = 2, order 4, width 20", _HIGHER, {"order": 4, "form": "narrow"}, _NARROW_GRIDS, -4),
]
#: Three variables, order 2, N = 3 M + 1 patches per axis, 27,000 to 52,313,624 fine nodes (60,000,000 are the most there are).
#: The shortest wave is 15 fine steps of an axis long at first, so that first differences and levels have few digits there.
SPACE = Target("sin(10*x+6*y-2*z)*cos(10*z+4*y)", [(0, 1)] * 3)
_SPACE_GRIDS = tuple((3 * m + 1, m) for m in (3, 5, 7, 9, 11))
IN_SPACE: list[Series] = [
    ("d = 3, order 2, p = 4/3", _HIGHER, {}, _SPACE_GRIDS, -4 / 3),
    ("d = 3, order 2, width 15", _HIGHER, {"form": "narrow"}, _SPACE_GRIDS, -4 / 3),
]
#: All nodes of the finest grid are looked at, and some of its cells are halved.
REGIONS = {1: 20_000_000, 2: 20_000_000, 3: 1_000_000_000}


def rows(
    target: Target, builder: Callable[..., Any], options: dict[str, Any], ladder: tuple[Any, ...]
) -> list[tuple[int, int, float, float]]:
    """(weights, hidden layers, certified lower, certified upper) at every accuracy, or on every grid (N, M)."""
    found = []
    for given in ladder:
        grid = {"cells": given[0], "steps": given[1]} if isinstance(given, tuple) else {}
        a = builder(target, 1 if grid else given, **grid, **options)
        c = a.certify(budget=approx.Budget(seconds=1200, regions=REGIONS[target.dimension]))
        found.append((a.network.size.weights, a.network.size.hidden_layers, c.lower, c.upper))
    return found


def draw(ax: Any, target: Target, series: list[Series]) -> None:
    """Certified error against weights, with the lines of the theory; prints what it draws."""
    for k, (label, builder, options, ladder, theory) in enumerate(series):
        start = time.process_time()
        found = rows(target, builder, options, ladder)
        weights, errors = np.array([r[0] for r in found], dtype=float), np.array([r[3] for r in found])
        steps = np.diff(np.log(errors)) / np.diff(np.log(weights))
        slope = np.polyfit(np.log(weights), np.log(errors), 1)[0]
        decades = np.ptp(np.log10(weights))
        print(label, found, f"{slope:.3f} over {decades:.2f} decades, between neighbours", steps.round(2), end=" ")
        print(f"upper/lower <= {max(r[3] / r[2] for r in found):.4f}, {time.process_time() - start:.1f} s", flush=True)
        ax.loglog(weights, errors, "o-", color=f"C{k}", label=f"{label}: {slope:.2f} ({theory:.3g})")
        ax.loglog(weights, errors[-1] * (weights / weights[-1]) ** theory, ":", color=f"C{k}")
    ax.set_xlabel("weights")
    ax.set_ylabel("certified uniform error")
    ax.set_title(f"{target.text} on [0, 1]" + (f"^{target.dimension}" if target.dimension > 1 else ""))
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=8, title="exponent (theory, dotted)", title_fontsize=8)


def picture(path: str | Path) -> None:
    """Both families of series side by side."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 5), constrained_layout=True)
    draw(axes[0], F, SERIES)
    draw(axes[1], WAVE, HIGHER)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plane_picture(path: str | Path, target: Target, series: list[Series]) -> None:
    """Series in two or three variables; whole decades of weights, as labels between them would overlap."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 5), constrained_layout=True)
    draw(ax, target, series)
    low, high = np.log10(ax.get_xlim())
    ax.set_xlim(10.0 ** np.floor(low), 10.0 ** np.ceil(high))
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":  # `line`, `plane`, `orders`, `faces`, `narrow`, `space`, or all of them without an argument
    figures = Path(__file__).resolve().parents[1] / "docs" / "figures"
    chosen = sys.argv[1:] or ["line", "plane", "orders", "faces", "narrow", "space"]
    if "line" in chosen:
        picture(figures / "hoelder-two-scale.png")
    if "plane" in chosen:
        plane_picture(figures / "hoelder-two-scale-plane.png", PLANE, IN_THE_PLANE)
    if "orders" in chosen:
        plane_picture(figures / "hoelder-two-scale-plane-orders.png", WAVES, ORDERS_IN_THE_PLANE)
    if "faces" in chosen:
        plane_picture(figures / "hoelder-two-scale-plane-faces.png", PLANE, FACES_IN_THE_PLANE)
    if "narrow" in chosen:
        plane_picture(figures / "hoelder-two-scale-plane-narrow.png", WAVES, NARROW_IN_THE_PLANE)
    if "space" in chosen:
        plane_picture(figures / "hoelder-two-scale-space.png", SPACE, IN_SPACE)
