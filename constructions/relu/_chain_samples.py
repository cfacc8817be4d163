"""What are the values of a chain's network at many points? Computed without the network: its squares in closed form.

A sawtooth square of m levels is the interpolant of u^2 at the multiples of 2^-m: u^2 + r (1 - r) 4^-m with r the
fractional part of 2^m u. That is a few operations for any m, where the network takes m layers; values differ from those
of the network by rounding alone. Used to choose levels: observed, never proved.
"""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.networks import Form
from approx.numbers import to_float
from constructions.relu._chain_model import Array
from constructions.relu._chain_network import rounded

_SLOPES = {1: 1.5, 2: 1.75}  # of f_m beyond 1; with more levels the first tooth is a unit, zero there, and the slope is 1


class SampleWriter:
    """A Writer whose units are arrays: node 0 holds the points, every unit and square the values there."""

    def __init__(self, points: Array) -> None:
        self.values = [points]

    def input(self) -> Form:
        """The form of the variable."""
        return Form({0: fmpq(1)})

    def relu(self, form: Form) -> Form:
        """The form of a unit, with the weights that the network has."""
        return self._add(np.maximum(self.at(form), 0))

    def square(self, form: Form, levels: int) -> Form:
        """The form of the centred sawtooth square of a non-negative form; beyond 1 as the network goes on."""
        return self._add(_centred(self.at(form), levels))

    def quotient(self, form: Form, scale: Form, read: Form, levels: int) -> Form:
        """The form of the centred sawtooth quotient; `read` is the scale as a form that costs the network less."""
        below = self.at(scale)
        tiny = np.maximum(below, np.finfo(float).tiny)
        return self._add(below * _centred(self.at(form) / tiny, levels))

    def at(self, form: Form) -> Array:
        """The values of a form, its weights rounded as those of the network."""
        weights = rounded(form)
        total = np.full_like(self.values[0], to_float(weights.constant))
        for unit, weight in weights.terms.items():
            total += to_float(weight) * self.values[unit]
        return total

    def _add(self, values: Array) -> Form:
        self.values.append(values)
        return Form({len(self.values) - 1: fmpq(1)})


def _centred(u: Array, levels: int) -> Array:
    inside = np.minimum(u, 1)
    scaled = inside * 2.0**levels
    r = scaled - np.floor(scaled)
    result = inside * inside + (r * (1 - r) - 0.125) * 4.0**-levels
    if u.max() > 1:
        result = result + (u - inside) * _SLOPES.get(levels, 1.0)
    return np.asarray(result)
