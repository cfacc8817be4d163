"""Does storing equal cells once beat plain interpolation at the same number of weights, the more the larger it is?

Lipschitz targets that are rough at every scale down to 2^-12: a mean of twelve triangle waves (a Lipschitz relative of
Takagi's function) and x^2 sin(1/x). Errors of cached-patches and of equidistant interpolation with as many weights are
certified; the theory says error = O(1/(W ln W)) against O(1/W), so that the ratio grows like ln W.
"""

from __future__ import annotations

import math
import sys
import time

from approx import Budget, Target
from constructions.relu import cached_narrow, cached_patches, simplicial

WAVES = 12
HEADING = (
    "target", "W", "cells x steps", "certified error", "plain at W", "plain / cached", "(plain / cached) / ln W",
    "W error / L", "W error ln W / L", "narrow W", "hidden layers", "seconds",
)  # fmt: skip
#: eps = L 2^-level; the waves' 4,096 kinks make certificates beyond their last level take many minutes.
LEVELS = {"waves": range(5, 13), "x^2 sin(1/x)": range(5, 15)}


def triangle_waves(count: int = WAVES) -> Target:
    """The mean of `count` triangle waves with slopes +-1 and periods near 2^0, 2^-1, ..., off the dyadic grid."""
    wave, terms = "x", []
    for k in range(1, count + 1):
        wave = f"abs({wave} - 93/{100 * 2**k})"
        terms.append(f"{wave}/{count}")
    return Target(" + ".join(terms))


def table() -> list[tuple[str, ...]]:
    """The rows of both targets, from coarse to fine, also on standard error as they come."""
    rows = [HEADING]
    for name, f in (("waves", triangle_waves()), ("x^2 sin(1/x)", Target("x**2*sin(1/x)", ("1/500", 1)))):
        rows += [_row(name, f, level) for level in LEVELS[name]]
    return rows


def _row(name: str, f: Target, level: int) -> tuple[str, ...]:
    started, lipschitz = time.perf_counter(), f.lipschitz()
    found = cached_patches(f, lipschitz * 2.0**-level)
    weights = found.network.size.weights
    budget = Budget(seconds=60)
    error = min(found.certify(rtol=0.1, budget=budget).upper, found.bound)
    plain = simplicial(f, 1, cells=max(1, (weights - 2) // 3)).certify(rtol=0.1, budget=budget)
    narrow = cached_narrow(f, lipschitz * 2.0**-level).network.size
    ratio = plain.lower / error  # both ends on the side of plain interpolation
    row = (
        name,
        f"{weights:,}",
        f"{found.parameters['cells']} x {found.parameters['steps_per_cell']}",
        f"{error:.4g}",
        f"{plain.lower:.4g} .. {plain.upper:.4g}",
        f"{ratio:.3f}",
        f"{ratio / math.log(weights):.4f}",
        f"{weights * error / lipschitz:.3f}",
        f"{weights * error * math.log(weights) / lipschitz:.2f}",
        f"{narrow.weights:,}",
        f"{narrow.hidden_layers:,}",
        f"{time.perf_counter() - started:.0f}",
    )
    print(" | ".join(row), file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    table()
