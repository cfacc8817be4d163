"""Where do cuts along the kinks of ReLUs pay in three variables? Parts and seconds with and without them, to 1 %."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import approx
from approx import Budget, Network, Target
from approx.certification import neuron_splits
from approx.networks import dense_block, layer

CUBE = [(-1, 1)] * 3


def table() -> list[tuple[str, ...]]:
    """One row per network: parts and processor seconds without and with cuts along kinks, and the gaps."""
    rows = [("network", "f", "parts without", "s", "gap", "parts with", "s", "gap")]
    cases = [
        ("one kink", ridge(lambda t: np.maximum(t, 0), [1, 2, -1], 2, 0.0), "2+(x+2*y-z)/4"),
        ("4 oblique kinks, largest there", ridge(np.exp, [1, 0.7, -0.6], 4, -1.2), "exp(x+0.7*y-0.6*z)"),
        ("8 oblique kinks, largest between", ridge(np.sin, [1, 2, -1], 8, 0.0), "sin(x+2*y-z)"),
        ("random 3-32-32-1", random_mlp([32, 32]), "sin(2*x+y*z)"),
        ("random 3-16-16-16-1", random_mlp([16, 16, 16]), "sin(2*x+y*z)"),
    ]
    share = neuron_splits._SHARE
    for name, network, text in cases:
        cells: list[str] = []
        for used in (float("inf"), share):
            neuron_splits._SHARE = used
            start = time.process_time()
            c = approx.certify(network, Target(text, domain=CUBE), rtol=0.01, budget=Budget(seconds=60))
            cells += [f"{c.work['boxes']:,}", f"{time.process_time() - start:.2f}", f"{100 * c.gap:.2f} %"]
        neuron_splits._SHARE = share
        rows.append((name, text, *cells))
    return rows


def ridge(g: Callable, direction: list[float], pieces: int, shift: float) -> Network:
    """The piecewise linear interpolant of g(direction . x) on [-1, 1]^3 at pieces + 1 points, plus a shift."""
    a = np.array(direction, dtype=float)
    knots = np.linspace(-np.abs(a).sum(), np.abs(a).sum(), pieces + 1)
    values = g(knots)
    slopes = np.diff(np.diff(values) / np.diff(knots), prepend=0.0)
    hidden = layer("relu", -knots[:-1], [dense_block(0, np.tile(a, (pieces, 1)))])
    return Network(3, [hidden, layer("identity", [values[0] + shift], [dense_block(1, slopes[None, :])])])


def random_mlp(widths: list[int]) -> Network:
    """ReLU layers with normal weights of variance 2 / width."""
    rng = np.random.default_rng(1)
    sizes = [3, *widths, 1]
    layers = [
        layer(
            "identity" if k == len(sizes) - 1 else "relu",
            0.3 * rng.normal(size=sizes[k]),
            [dense_block(k - 1, rng.normal(size=(sizes[k], sizes[k - 1])) * np.sqrt(2 / sizes[k - 1]))],
        )
        for k in range(1, len(sizes))
    ]
    return Network(3, layers)
