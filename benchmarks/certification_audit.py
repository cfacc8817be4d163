"""Does any certificate of 300 random pairs of network and target lie below what is seen at exact points? It must be none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from flint import arb, fmpq

import approx
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import to_fmpq, working_precision

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "certification"))

from random_networks import any_network

TEXTS = {
    2: (
        "sin(3*x)*y", "abs(x-y/3)+x*y", "exp(-x**2-3*y**2)", "max(x*y,1/7)", "sqrt(x+2+y)", "1/(3+x+y)",
        "min(abs(x+y-1/3),x**2)", "relu(x-1/3)*relu(1/2-y)", "x**2-y**2", "tanh(4*x-3*y)",
    ),
    3: ("sin(x+y)*z", "exp(-(x**2+y**2+z**2))", "1/(4+x+y+z)", "x*y-z**2", "sqrt(4+x+y*z)"),
}  # fmt: skip
POINTS = 400


def table() -> list[tuple[str, ...]]:
    """Rows: variables, pairs, certificates below a value at an exact point, tight ones, median of the gaps, full checks."""
    rows: list[tuple[str, ...]] = [("variables", "pairs", "violations", "tight", "median gap", "checks passed")]
    for d, pairs in ((2, 200), (3, 100)):
        violations = tight = checks = 0
        gaps = []
        for seed in range(pairs):
            rng = np.random.default_rng([d, seed])
            network = any_network(rng, d, 8 if d == 2 else 6, 3 if d == 2 else 2)
            target = approx.Target(TEXTS[d][seed % len(TEXTS[d])], [(-1, 1)] * d)
            budget = approx.Budget(seconds=600, regions=400_000 if d == 2 else 20_000)
            c = approx.certify(network, target, rtol=0.01 if d == 2 else 0.1, budget=budget)
            # Half of the points around the witness, where a violation would be.
            points = rng.uniform(-1, 1, (POINTS, d))
            near = np.array([float(w.p) / float(w.q) for w in c.witness])
            points[::2] = np.clip(near + 0.05 * points[::2] ** 3, -1, 1)
            violations += int(largest_seen(network, target, points) > to_fmpq(c.upper)) + int(c.lower > c.upper)
            tight += c.status == "tight"
            checks += bool(c.check("full" if d == 2 else "witness"))
            gaps.append(c.upper / c.lower - 1)
        rows.append((str(d), str(pairs), str(violations), str(tight), f"{np.median(gaps):.2%}", str(checks)))
    return rows


def largest_seen(network: Network, target: approx.Target, points: np.ndarray) -> fmpq:
    """The largest lower end of |f - net| at the points, in exact arithmetic and balls."""
    exact = [[to_fmpq(float(v)) for v in p] for p in points]
    most = fmpq(0)
    with working_precision(128):
        for p, value in zip(exact, evaluate_exact(network, exact), strict=True):
            ball = abs(target.ball([arb(v) for v in p]) - arb(value))
            most = max(most, to_fmpq(ball.lower()))
    return most
