"""How do the economical and the paper's local Taylor networks compare in two and three variables?

Weights at the same guaranteed eps: the economical network is built (and its proved bound checked), the paper's form is
counted by the formula that the tests compare with built networks. The last rows give the fitted slope of log(weights)
against log(1/eps) at fixed order r beside the theory d/r.
"""

from __future__ import annotations

import time

import numpy as np

from approx import Target
from constructions.relu.local_taylor import local_taylor, paper_weights

FUNCTIONS = ["exp(-(x**2+y**2))", "sin(pi*x)*cos(pi*y)/2", "1/(1+x+y+z)"]


def table() -> list[tuple[str, ...]]:
    """Rows of weights and ratios, then slopes."""
    rows = [("f", "eps", "economical", "proved bound", "paper (formula)", "ratio", "seconds")]
    for text in FUNCTIONS:
        f = Target(text)
        for eps in (1e-2, 1e-3):
            started = time.perf_counter()
            found = local_taylor(f, eps)
            seconds = time.perf_counter() - started
            weights, paper = found.network.size.weights, paper_weights(f, eps)
            rows.append(
                (
                    text,
                    f"{eps:g}",
                    str(weights),
                    f"{found.bound:.3g}",
                    str(paper),
                    f"{paper / weights:.1f}",
                    f"{seconds:.1f}",
                )
            )
    for text, order, accuracies in (
        ("exp(-(x**2+y**2))", 2, np.geomspace(1e-4, 3e-6, 4)),  # below 1e-4 the cells outweigh the products
        ("sin(pi*x)*cos(pi*y)/2", 2, np.geomspace(1e-4, 3e-6, 4)),
        ("1/(1+x+y+z)", 2, np.geomspace(2e-2, 5e-4, 6)),
    ):
        f = Target(text)
        weights_at = [local_taylor(f, float(e), order=order).network.size.weights for e in accuracies]
        slope = np.polyfit(np.log(1 / accuracies), np.log(weights_at), 1)[0]
        rows.append((text, f"order {order}", f"slope {slope:.3f}", f"theory {f.dimension / order:.3f}", "", "", ""))
    return rows
