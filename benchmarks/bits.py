"""How many bits does every construction need on the table of the 2026 paper, certified? Writes docs/superexpressive-bits.md.

Every row of benchmarks/cheng2026.json (that paper's Table 3): floor-exp2 rebuilt and compared to the digit; log-free and
sin-arcsin (orders 1 to 3) built for the same eps and certified on the whole cube. All our bits count ALL weights of the
network; those of the paper count its one long integer alone. APPROX_FUNCTIONS=f2,f5 restricts the rows (nothing is written).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zigzags import zigzag_tables

from approx import Target
from approx.approximant import Approximant
from approx.errors import ApproxError
from approx.studies import bits_versus_error, entropy_bits
from constructions.superexpressive import floor_exp2, log_free, sin_arcsin, sin_floor

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "superexpressive-bits.md"
FIGURE = HERE.parent / "docs" / "figures" / "bits-versus-error.png"
METHODS: dict[str, Callable[[Target, float], Approximant]] = {
    "log-free": lambda f, eps: log_free(f, eps),
    "log-free, box": lambda f, eps: log_free(f, eps, ridges=False),
    "sin-arcsin": lambda f, eps: sin_arcsin(f, eps),
    "sin-arcsin, order 2": lambda f, eps: sin_arcsin(f, eps, order=2),
    "sin-arcsin, order 3": lambda f, eps: sin_arcsin(f, eps, order=3),
}
INTRODUCTION = """\
# Bits of superexpressive networks

Written by `python benchmarks/run.py bits` on {date}; do not edit. How the networks work, and why the logarithm goes:
[log-free](log-free.md).

## The table of the 2026 paper

`bits (2026)` is the length of that paper's one long integer, rebuilt by `floor-exp2` (M, K, B and the bits compared).
All other bits count every weight of the network (closed forms such as pi by the rationals in them). Every network of
ours is certified on the whole cube, so `certified sup / eps` is at most 1; the paper's errors are maxima over some
3,000 points. A number in brackets missed eps. `ratio` is bits (2026) over the best of ours; `entropy` is the lower
bound for the whole Hölder class of the function, which a single smooth function may undercut.
"""
HEADING = (
    "f",
    "eps",
    "K",
    "bits (2026)",
    "rebuilt",
    *METHODS,
    "best",
    "units",
    "certified sup / eps",
    "ratio",
    "entropy",
)


def published() -> dict[str, Any]:
    """The table of the paper."""
    found: dict[str, Any] = json.loads((HERE / "cheng2026.json").read_text(encoding="utf-8"))["functions"]
    return found


def table() -> list[tuple[str, ...]]:
    """One row per function and accuracy; the page of the documentation is written when all of them were run."""
    chosen = os.environ.get("APPROX_FUNCTIONS")
    rows = [HEADING]
    for name, given in published().items():
        if chosen and name not in chosen.split(","):
            continue
        f = Target(given["expression"], [(0, 1)] * given["dimension"])
        for printed in given["rows"]:
            rows.append(_row(name, f, given, printed))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    if not chosen:
        draw()
        PAGE.write_text(page(rows, zigzag_tables()), encoding="utf-8")
    return rows


def draw() -> None:
    """Draw the study of f1 and f2 to the documentation's figures."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(12, 4.8), layout="constrained")
    for ax, name, most in zip(figure.subplots(1, 2), ("f1", "f2"), (9, 5), strict=True):
        given = published()[name]
        f = Target(given["expression"], [(0, 1)] * given["dimension"])
        printed = {"2026 paper, its table (sampled errors)": [(2.0 ** -r[0], r[4]) for r in given["rows"]]}
        accuracies = [2.0**-k for k in range(1, most)]
        methods = {**METHODS, "sin-floor": sin_floor, "floor-exp2": floor_exp2}
        bits_versus_error(f, methods, accuracies, published=printed, most_seconds=10).plot(ax=ax)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=110)


def _row(name: str, f: Target, given: dict[str, Any], printed: list[int]) -> tuple[str, ...]:
    level, bits = printed[0], printed[4]
    eps = 2.0**-level
    hoelder = given["alpha"], given["lambda"]
    p = floor_exp2(f, eps, hoelder=hoelder, amplitude=given["R"]).parameters
    rebuilt = [p["M"], p["K"], p["B"], p["table_bits"]] == printed[1:]
    cells: list[str] = []
    best: tuple[int, str, int, float] | None = None
    for method, build in METHODS.items():
        try:
            found = build(f, eps)
            certificate = found.certify(rtol=0.05)
        except ApproxError:
            cells.append("-")
            continue
        size = found.network.size
        proved = min(certificate.upper, found.bound)
        cells.append(f"{size.bits:,}" if proved <= eps else f"({size.bits:,})")
        if proved <= eps and (best is None or size.bits < best[0]):
            best = size.bits, method, size.units, certificate.upper
    assert best is not None, "no construction is certified"
    below = entropy_bits(*f.hoelder(), list(f.domain), eps)
    outcome = (best[1], str(best[2]), f"{best[3] / eps:.3f}", f"{bits / best[0]:,.0f}", f"{below:,}")
    verdict = "to the digit" if rebuilt else "DIFFERS"
    return (name, f"2^-{level}", f"{printed[2]:,}", f"{bits:,}", verdict, *cells, *outcome)


def page(rows: list[tuple[str, ...]], zigzags: list[tuple[str, list[tuple[str, ...]]]]) -> str:
    """The page with the tables as they were produced."""
    parts = [INTRODUCTION.format(date=time.strftime("%Y-%m-%d")), *_markdown(rows), ""]
    for title, table_rows in zigzags:
        parts += [f"## {title}", "", *_markdown(table_rows), ""]
    parts += ["![Bits against the certified error](figures/bits-versus-error.png)", ""]
    return "\n".join(parts)


def _markdown(rows: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]
