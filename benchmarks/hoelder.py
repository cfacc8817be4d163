"""How fast do errors of two-scale networks fall on a smooth function? Certified errors against weights, and the exponents."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import approx
import constructions
from approx import Target

F = Target("sin(7*x)*exp(-x)/(1+x**2)")
#: (label, builder, options, accuracies, exponent of the theory)
SERIES: list[tuple[str, Callable[..., Any], dict[str, Any], tuple[float, ...], float]] = [
    (
        "hoelder-two-scale, p = 4",
        constructions.relu.hoelder_two_scale,
        {},
        (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10),
        -4,
    ),
    ("hoelder-two-scale, p = 3", constructions.relu.hoelder_two_scale, {"rate": 3}, (1e-4, 1e-5, 1e-6, 1e-7, 1e-8), -3),
    ("deep-two-scale, p = 2", constructions.relu.deep_two_scale, {}, (1e-1, 3e-2, 1e-2, 3e-3), -2),
    ("piecewise-linear", constructions.relu.piecewise_linear, {}, (1e-4, 1e-5, 1e-6, 1e-7), -2),
]


def rows(
    builder: Callable[..., Any], options: dict[str, Any], ladder: tuple[float, ...]
) -> list[tuple[int, int, float, float]]:
    """(weights, hidden layers, certified lower, certified upper) at every accuracy."""
    found = []
    for eps in ladder:
        a = builder(F, eps, **options)
        c = a.certify(budget=approx.Budget(seconds=30))
        found.append((a.network.size.weights, a.network.size.hidden_layers, c.lower, c.upper))
    return found


def table() -> list[tuple[str, ...]]:
    """One row per network, and the fitted exponent of every series with the decades of weights that it spans."""
    lines = [("method", "weights", "hidden layers", "lower", "upper")]
    for label, builder, options, ladder, theory in SERIES:
        found = rows(builder, options, ladder)
        lines += [(label, f"{w:,}", f"{d:,}", f"{low:.4g}", f"{up:.4g}") for w, d, low, up in found]
        weights, errors = np.log10([r[0] for r in found]), np.log10([r[3] for r in found])
        slope = np.polyfit(weights, errors, 1)[0]
        lines.append((label, f"exponent {slope:.3f}", f"theory {theory}", f"{np.ptp(weights):.2f} decades", ""))
    return lines


def picture(path: str | Path) -> None:
    """Certified error against weights, with the lines of the theory."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.2, 5), constrained_layout=True)
    for k, (label, builder, options, ladder, theory) in enumerate(SERIES):
        start = time.process_time()
        found = rows(builder, options, ladder)
        weights, errors = np.array([r[0] for r in found], dtype=float), np.array([r[3] for r in found])
        slope = np.polyfit(np.log(weights), np.log(errors), 1)[0]
        decades = np.ptp(np.log10(weights))
        print(label, [(r[0], r[1], r[2], r[3]) for r in found], f"{slope:.3f} over {decades:.2f} decades,", end=" ")
        print(f"{time.process_time() - start:.1f} s", flush=True)
        ax.loglog(weights, errors, "o-", color=f"C{k}", label=f"{label}: exponent {slope:.2f}")
        ax.loglog(weights, errors[-1] * (weights / weights[-1]) ** theory, ":", color=f"C{k}", label=f"theory {theory}")
    ax.set_xlabel("weights")
    ax.set_ylabel("certified uniform error")
    ax.set_title("sin(7x) exp(-x)/(1+x²) on [0, 1]")
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    picture(Path(__file__).resolve().parents[1] / "docs" / "figures" / "hoelder-two-scale.png")
