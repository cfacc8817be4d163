"""How many weights does every method need, certified, for ten functions of one variable at five accuracies?

Each entry is the exact count of a network whose certificate has upper <= eps; "-" where a method does not apply or does not
reach eps, "~n" where it would need more than 200,000 weights and was not built. APPROX_FUNCTIONS (numbers from 0),
APPROX_EPS and APPROX_METHODS (comma separated) restrict the table. The last columns give the winner, its certified upper
bound and seconds.
"""

from __future__ import annotations

import os
import sys
import time

import constructions
from approx import Target
from approx.errors import ApproxError
from constructions.relu._estimates import piecewise_linear_weights

FUNCTIONS: list[tuple[str, tuple[int, int]]] = [
    ("sin(2*pi*x)", (0, 1)),
    ("exp(x)", (0, 1)),
    ("1/(1+25*x**2)", (-1, 1)),
    ("abs(x-1/3)", (0, 1)),
    ("sqrt(x)", (0, 1)),
    ("sin(7*x)*exp(-x)/(1+x**2)", (0, 1)),
    ("x*log(x+1/100)", (0, 1)),
    ("erf(4*x-2)", (0, 1)),
    ("max(0, x-1/pi)", (0, 1)),
    ("cos(40*x**2)", (0, 1)),
]
ACCURACIES = [1e-2, 1e-4, 1e-6, 1e-8, 1e-10]
LARGEST = 200_000


def table() -> list[tuple[str, ...]]:
    """One row per function and eps, one column per method, then the winner."""
    chosen = os.environ.get("APPROX_FUNCTIONS")
    functions = [FUNCTIONS[int(k)] for k in chosen.split(",")] if chosen else FUNCTIONS
    levels = os.environ.get("APPROX_EPS")
    accuracies = [float(e) for e in levels.split(",")] if levels else ACCURACIES
    named = os.environ.get("APPROX_METHODS")
    rows = [r for r in constructions.catalogue() if 1 in r.dimensions and (not named or r.name in named.split(","))]
    result = [("f", "eps", *(r.name for r in rows), "winner", "certified", "seconds")]
    for text, domain in functions:
        for eps in accuracies:
            result.append(_row(Target(text, domain), text, eps, rows))
            # The whole table takes most of an hour: rows are shown as they come, so that nothing is lost.
            print(" | ".join(result[-1]), file=sys.stderr, flush=True)
    return result


def _row(f: Target, text: str, eps: float, rows: list[constructions.Construction]) -> tuple[str, ...]:
    cells, best = [], None
    for r in rows:
        if r.name in ("piecewise-linear", "simplicial"):
            guess = piecewise_linear_weights(f, eps)
            if guess > LARGEST:
                cells.append(f"~{guess}")
                continue
        started = time.perf_counter()
        try:
            found = constructions.build(f, eps, method=r.name)
        except ApproxError:
            cells.append("-")
            continue
        seconds = time.perf_counter() - started
        weights = found.network.size.weights
        cells.append(str(weights))
        if best is None or weights < best[0]:
            best = weights, r.name, found.certificate.upper, seconds
    if best is None:
        return (text, f"{eps:g}", *cells, "-", "-", "-")
    return (text, f"{eps:g}", *cells, f"{best[1]} {best[0]}", f"{best[2]:.6g}", f"{best[3]:.1f}")
