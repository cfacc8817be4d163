"""Approximants with certificates for pictures: interpolants of any number of pieces, without any construction."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import fmpq

from approx import Approximant, Certificate, Network, Target
from approx.networks import block, layer


def interpolant(expression: str = "sin(2*pi*x)", pieces: int = 20, domain: Any = (0, 1)) -> Network:
    """The interpolant of a formula at equidistant points: one hidden layer."""
    target = Target(expression, domain=domain)
    [[low, high]] = target.domain.floats()
    knots = np.linspace(low, high, pieces + 1)
    values = target(knots)
    slopes = np.diff(values) / np.diff(knots)
    hidden = layer("relu", -knots[:-1], [block(0, np.arange(pieces + 1), np.zeros(pieces, int), np.ones(pieces))])
    output = block(1, np.array([0, pieces]), np.arange(pieces), np.diff(slopes, prepend=0.0))
    return Network(1, [hidden, layer("identity", np.array([values[0]]), [output])])


def approximant(network: Network, target: Target, witness: Any, lower: float, upper: float) -> Approximant:
    """An Approximant with the certificate that is stated here (pictures show what they are given)."""
    points = tuple(fmpq(*float(w).as_integer_ratio()) for w in np.atleast_1d(witness))
    certificate = Certificate(
        lower=lower,
        upper=upper,
        witness=points,
        status="tight",
        method="stated",
        rtol=0.01,
        domain=tuple(zip(target.domain.lower, target.domain.upper, strict=True)),
        target_text=target.text,
        digest="",
    )
    return Approximant(network, target, float("inf"), "interpolant", "a statement", certificate=certificate)


def sine(pieces: int = 20) -> Approximant:
    """sin(2 pi x) with its interpolant; the supremum is within 2 % of (pi/pieces)^2 / 2."""
    network, target = interpolant(pieces=pieces), Target("sin(2*pi*x)")
    x = np.linspace(0, 1, 64 * pieces + 1)
    gaps = np.abs(target(x) - network(x))
    return approximant(network, target, x[gaps.argmax()], float(gaps.max()), 1.01 * float(gaps.max()))
