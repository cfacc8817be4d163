"""How does interpolation in two variables fall with W, and which share of the exponent do units per axis take?

`simplicial_plane.py` prints, for exp(x) sin(3y) and N x N cells, the weights beside the formula that three networks
determine, the error as proved a priori and as certified from below (an exact value of the network against a ball of f, at
the worst of some sampled points), and both fitted exponents.
"""

import sys

import numpy as np

from approx import Target
from approx.approximant import Approximant
from approx.evaluation import evaluate_exact
from approx.numbers import float_down, to_fmpq
from approx.studies import log_slope
from approx.targets.enclosures import grid_enclosures
from constructions.relu import simplicial

F = Target("exp(x)*sin(3*y)", [(0, 1)] * 2)
CELLS = (71, 120, 205, 350, 600)
HEADING = (
    "cells per axis",
    "weights",
    "by the formula",
    "error >=",
    "error <= (a priori)",
    "local exponent by the formula",
)


def count_formula() -> np.ndarray:
    """(a, b, c): W = a N^2 + b N + c through N = 10, 20, 40."""
    few = (10, 20, 40)
    return np.polyfit(few, [simplicial(F, 1, cells=n).network.size.weights for n in few], 2)


def at_least(a: Approximant, cells: int) -> float:
    """A certified lower bound of the error: the worst of 20,000 middles of diagonals, enclosed exactly."""
    rng = np.random.default_rng(2018)
    points = (rng.integers(0, cells, (20_000, 2)) + 0.5) / cells
    corners = (np.stack(np.meshgrid(*[np.array([0.5, cells / 2, cells - 0.5])] * 2), -1).reshape(-1, 2)) / cells
    points = np.concatenate([points, corners])
    gaps = np.abs(np.asarray(a.network(points)) - np.asarray(F(points)))
    worst = [to_fmpq(float(c)) for c in points[gaps.argmax()]]
    [value] = evaluate_exact(a.network, [worst])
    middle, radius = grid_enclosures(F, [[c] for c in worst])
    return float_down(abs(to_fmpq(value) - to_fmpq(float(middle[0, 0]))) - to_fmpq(float(radius[0, 0])))


def table() -> list[tuple[str, ...]]:
    """One row per network, then the exponents."""
    a, b, c = count_formula()
    rows, data = [HEADING], []
    for n in CELLS:
        found = simplicial(F, 1, cells=n)
        weights, least = found.network.size.weights, at_least(found, n)
        local = -2 * (a * n * n + b * n + c) / (2 * a * n * n + b * n)
        data.append((weights, least, found.bound))
        rows.append(
            (
                str(n),
                f"{weights:,}",
                f"{a * n * n + b * n + c:,.0f}",
                f"{least:.4g}",
                f"{found.bound:.4g}",
                f"{local:.3f}",
            )
        )
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    weights, least, bound = zip(*data, strict=True)
    rows.append((f"W = {a:.3f} N^2 + {b:.3f} N + {c:.3f}", f"{np.log10(weights[-1] / weights[0]):.2f} decades"))
    rows.append(("exponents", f"from below {log_slope(weights, least)}", f"a priori {log_slope(weights, bound)}"))
    return rows


if __name__ == "__main__":
    for row in table():
        print(" | ".join(row))
