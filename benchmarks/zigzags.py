"""Do the bits per cell of log-free stay below 2.5 as eps falls, where those of floor-exp2 grow like log2(1/eps)?

Two families, ten halvings and more, both certified without conditions: random zigzags whose slope +-1 changes in every cell
(a new one for every eps: the worst case at that scale), and one fixed function with kinks at every scale, a mean of twenty
triangle waves.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from cached_patches import triangle_waves

from approx import Target
from approx.targets import PolygonTarget
from constructions.superexpressive import floor_exp2, log_free

WAVES = 20
RANDOM, FIXED = range(10, 21), range(8, 19)
HEADING = (
    "eps",
    "cells",
    "bits",
    "bits/cell",
    "patterns",
    "certified sup / eps",
    "2026 cells",
    "2026 bits/cell",
    "seconds",
)


def random_zigzag(level: int) -> PolygonTarget:
    """2^level parts of slope +1 or -1 on [0, 1], by a fixed seed."""
    steps = np.random.default_rng(2026 + level).choice([-1.0, 1.0], 2**level)
    return PolygonTarget(np.concatenate([[0.0], np.cumsum(steps)]) / 2**level)


def zigzag_tables() -> list[tuple[str, list[tuple[str, ...]]]]:
    """(title, rows) of both tables; the rows are shown on standard error as they come."""
    fixed = triangle_waves(WAVES, shift=100)
    return [
        (
            "Random zigzags, another one for every accuracy",
            # A millionth above 2^-k, so that the cells are just as wide as the parts of the zigzag.
            [HEADING, *(_row(random_zigzag(k), k, 2.0**-k * (1 + 1e-6)) for k in RANDOM)],
        ),
        (
            f"One function with kinks at every scale, the mean of {WAVES} triangle waves",
            [HEADING, *(_row(fixed, k, 2.0**-k) for k in FIXED)],
        ),
    ]


def table() -> list[tuple[str, ...]]:
    """Both tables below each other."""
    return [row for title, rows in zigzag_tables() for row in [(title,), *rows]]


def _row(f: Target, level: int, eps: float) -> tuple[str, ...]:
    started = time.perf_counter()
    found = log_free(f, eps, share=0.5)
    upper = min(found.certify(rtol=0.2).upper, found.bound)
    size = float(np.abs(f(np.linspace(0, 1, 2**22 + 1))).max())
    plain = floor_exp2(f, eps, hoelder=(1, 1), amplitude=size + eps).parameters
    bits, cells = found.network.size.bits, found.parameters["cells"]
    row = (
        f"2^-{level}",
        f"{cells:,}",
        f"{bits:,}",
        f"{bits / cells:.3f}",
        str(found.parameters["patterns"][0]),
        f"{upper / eps:.4f}",
        f"{plain['K']:,}",
        f"{plain['table_bits'] / plain['K']:.3f}",
        f"{time.perf_counter() - started:.0f}",
    )
    print(" | ".join(row), file=sys.stderr, flush=True)
    return row
