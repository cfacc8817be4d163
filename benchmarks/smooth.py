"""How fast and how sharp are certificates of networks with smooth activations, and are they ever wrong?

Random networks d-8-8-1 with a smooth activation and a second one, against expressions: certified to 5 %, and compared with
balls of f - net at 200 points of each pair (OBSERVED: a violation would refute a certificate, none proves it).
"""

from __future__ import annotations

import numpy as np
from flint import arb

from approx import Budget, Network, Target, certify
from approx.evaluation import evaluate_balls
from approx.networks import dense_block, layer
from approx.numbers import working_precision

SMOOTH = ("sin", "tanh", "sigmoid", "softplus", "gelu", "arctan", "exp", "exp2")
TEXTS = {
    1: ("exp(x)", "abs(x-1/3)", "sin(5*x)", "1/(2+x)", "sqrt(x+1)"),
    2: ("x*y", "exp(x-y)", "sin(3*x)*y"),
    3: ("x*y*z", "exp(x+y-z)"),
}
PAIRS = 13


def table() -> list[tuple[str, ...]]:
    """One row per activation and dimension."""
    rows = [("activation", "d", "pairs", "tight", "violations", "largest gap", "boxes", "seconds")]
    for name in SMOOTH:
        for d, texts in TEXTS.items():
            rng = np.random.default_rng(1000 * d + SMOOTH.index(name))
            tight = violations = boxes = 0
            seconds = gap = 0.0
            for number in range(PAIRS):
                other = ("relu", "tanh", "abs", name)[number % 4]
                network = random_network(rng, d, (name, other))
                target = Target(texts[number % len(texts)], domain=[(-1, 1)] * d)
                c = certify(network, target, rtol=0.05, budget=Budget(seconds=30))
                tight, gap = tight + (c.status == "tight"), max(gap, c.gap)
                boxes, seconds = boxes + c.work.get("boxes", 0), seconds + c.work["seconds"]
                violations += seen_above(network, target, c.upper, rng.uniform(-1, 1, size=(200, d)))
            rows.append((name, str(d), str(PAIRS), str(tight), str(violations), f"{100 * gap:.1f} %", f"{boxes:,}",
                         f"{seconds:.1f}"))  # fmt: skip
    return rows


def random_network(rng: np.random.Generator, inputs: int, names: tuple[str, ...]) -> Network:
    """A random network of 8 units per hidden layer."""
    layers, width = [], inputs
    for k, name in enumerate((*names, "identity")):
        units = 8 if name != "identity" or k < len(names) else 1
        matrix = rng.normal(size=(units, width)) * 1.2 / np.sqrt(width)
        layers.append(layer(name, 0.5 * rng.normal(size=units), [dense_block(k, matrix)]))
        width = units
    return Network(inputs, layers)


def seen_above(network: Network, target: Target, upper: float, points: np.ndarray) -> int:
    """At how many points |f - net| is proved to exceed `upper`."""
    found = 0
    with working_precision(120):
        for row in points.tolist():
            at = [arb(v) for v in row]
            found += bool(abs(target.ball(at) - evaluate_balls(network, at)[0]) > arb(upper))
    return found
