"""How long are the weights of the fixed networks, what is certified, and how long does it take?

Every error is certified on the whole domain; bits are those of the long weights (the tables), and of all weights together in
brackets. Seconds are processor seconds of one core, selection and certification apart.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from approx import Target
from approx.numbers import to_float
from approx.plots.labels import rounded_up
from constructions import superexpressive as s

F1 = ("sin(pi*x)*cos(pi*y)/2", [(0, 1)] * 2)
CUBE = ("sin(pi*x)*cos(pi*y)*z**2/2", [(0, 1)] * 3)
SINE = ("sin(pi*x)/2", (0, 1))
#: (builder, target, eps, options)
NETWORKS: list[tuple[str, Any, float, dict[str, Any]]] = [
    ("sin_arcsin", SINE, 3e-4, {}),
    ("sin_arcsin", SINE, 2.7e-6, {}),
    ("sin_arcsin", SINE, 3.6e-8, {}),
    ("sin_arcsin", SINE, 2.8e-9, {}),
    ("sin_arcsin", SINE, 1e-11, {}),
    ("sin_arcsin", SINE, 1e-11, {"order": 2}),
    ("sin_arcsin", SINE, 1e-11, {"order": 4}),
    ("sin_arcsin", F1, 2.0**-7, {}),
    ("sin_arcsin", F1, 2.0**-7, {"order": 2}),
    ("sin_arcsin", F1, 1.2e-5, {}),
    ("sin_arcsin", F1, 1.2e-5, {"order": 3}),
    ("sin_arcsin", CUBE, 2e-3, {}),
    ("sin_arcsin", CUBE, 2e-3, {"order": 2}),
    ("sigma3", SINE, 1e-5, {}),
    ("sin_floor", SINE, 1e-3, {}),
    ("sin_floor", F1, 2.0**-7, {}),
    *(
        ("analytic_floor", ("sin(2*pi*x)", (0, 1)), 4e-2, {"sigma": name, "cells_per_axis": 100})
        for name in ("sin", "arctan", "sqrt", "sigmoid", "gelu", "tanh", "softplus", "exp")
    ),
]
#: (method, number of values, bits per value, options)
WEIGHTS: list[tuple[str, int, int, dict[str, Any]]] = [
    ("chebyshev", 10**4, 8, {}),
    ("chebyshev", 10**5, 8, {}),
    ("chebyshev", 10**6, 8, {}),
    ("chebyshev", 10**6, 16, {}),
    ("digits", 10**5, 16, {}),
    *(("lacunary", 1000, 8, {"sigma": name}) for name in ("exp", "sigmoid", "tanh", "softplus")),
    *(
        ("taylor", 100, 8, {"sigma": name})
        for name in ("sin", "arctan", "sqrt", "sigmoid", "gelu", "tanh", "softplus", "exp")
    ),
    ("taylor", 144, 8, {"sigma": "sin", "counts": [12, 12]}),
    ("crt", 1000, 8, {}),
    ("lll", 40, 8, {}),
]


def table() -> list[tuple[str, ...]]:
    """Rows of selected weights, then rows of certified networks."""
    rows = [
        (
            "weights",
            "values",
            "bits each",
            "length / (N b)",
            "largest error 2B",
            "proved <= 1/(2B)",
            "select s",
            "verify s",
        )
    ]
    rows += [_weight_row(*row) for row in WEIGHTS]
    rows += [
        ("", "", "", "", "", "", "", ""),
        ("network", "target", "order", "units", "bits (all)", "certified sup", "build s", "certify s"),
    ]
    rows += [_network_row(*row) for row in NETWORKS]
    return rows


def _weight_row(method: str, count: int, bits: int, options: dict[str, Any]) -> tuple[str, ...]:
    values = np.random.default_rng(count + bits).random(count)
    started = time.process_time()
    weight = s.select_weight(values, bits, method, **options)
    selected = time.process_time()
    check = s.certify_weight(weight, values)
    verified = time.process_time()
    name = method + (f" ({options['sigma']})" if options else "")
    return (
        name, f"{count:,}", str(bits), f"{weight.length / (count * bits):.4f}", f"{to_float(check.error) * 2**(bits + 1):.7f}",
        str(check.within), f"{selected - started:.2f}", f"{verified - selected:.2f}",
    )  # fmt: skip


def _network_row(builder: str, target: Any, eps: float, options: dict[str, Any]) -> tuple[str, ...]:
    f = Target(target[0], domain=target[1])
    started = time.process_time()
    found = getattr(s, builder)(f, eps, **options)
    built = time.process_time()
    certificate = found.certify()
    certified = time.process_time()
    name = found.method + (f" ({options['sigma']}, N = 100)" if "sigma" in options else "")
    return (
        name, f.text, str(options.get("order", 1)), str(found.network.size.units),
        f"{found.parameters['weight_bits']:,} ({found.network.size.bits:,})", rounded_up(certificate.upper, 4),
        f"{built - started:.2f}", f"{certified - built:.2f}",
    )  # fmt: skip
