"""How does a straight-line program of products become a ReLU network with the least weights for a proved error?

A program computes v_1, v_2, ... from s in [-1, 1]; every v_j is the product (or square) of two linear combinations of
1, s and earlier v's, and so is a polynomial in s. Horner, Clenshaw, tables of powers and Paterson-Stockmeyer are all
of this form. Errors are propagated by the exact sensitivities of the program, not by worst-case growth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from flint import fmpq

from approx.networks import Builder, Form, linear_combination
from approx.numbers import float_up, to_fmpq, working_precision
from constructions.relu._float_intervals import Intervals, chebyshev_points
from constructions.relu.product import product_on_box
from constructions.relu.square import absolute_unit, square_form

#: Positive float sums of at most some thousand terms are exact to this relative amount, added to every bound.
_SLACK = 1 + 1e-11
_BITS = 192


@dataclass(frozen=True)
class Linear:
    """constant + sum of terms[k] * v_k with v_0 = s; exact coefficients."""

    terms: dict[int, fmpq] = field(default_factory=dict)
    constant: fmpq = field(default_factory=fmpq)

    def plus(self, other: Linear, factor: Any = 1) -> Linear:
        """self + factor * other."""
        c = to_fmpq(factor)
        terms = dict(self.terms)
        for k, w in other.terms.items():
            terms[k] = terms.get(k, fmpq(0)) + c * w
        return Linear({k: w for k, w in terms.items() if w != 0}, self.constant + c * other.constant)

    def times(self, factor: Any) -> Linear:
        """factor * self."""
        return Linear().plus(self, factor)


@dataclass
class Program:
    """Steps v_1, v_2, ... (first factor, second factor or None for a square) and the output, a linear combination."""

    steps: list[tuple[Linear, Linear | None]] = field(default_factory=list)
    output: Linear = field(default_factory=Linear)

    def multiply(self, first: Linear, second: Linear) -> Linear:
        """The product of two linear combinations: a new step, unless one of them is constant."""
        if not first.terms:
            return second.times(first.constant)
        if not second.terms:
            return first.times(second.constant)
        if first == second:
            return self.square(first)
        self.steps.append((first, second))
        return Linear({len(self.steps): fmpq(1)})

    def square(self, factor: Linear) -> Linear:
        """The square of a linear combination, a new step at half the weights of a product."""
        if not factor.terms:
            return Linear({}, factor.constant**2)
        self.steps.append((factor, None))
        return Linear({len(self.steps): fmpq(1)})


class Errors(NamedTuple):
    """Proved bounds: of the output's error, half-widths of the factors' boxes, deviation of every v_j."""

    output: float
    halves: list[tuple[fmpq, fmpq]]
    deviations: list[float]
    local: dict[int, float]


class Analysis:
    """Proved ranges and sensitivities of a program on s in [-1, 1].

    For a polynomial q of degree D and the N > D Chebyshev points x_i of [-1,1],
    sup |q| <= max |q(x_i)| / cos(D pi / 2N) (Ehlich and Zeller); the values are enclosed by float intervals.
    With e_j the deviation of the network's v_j, eta_j the error of its product and the quadratic part included in it,
    every deviation is a sum of G_jk(s) eta_k(s) with polynomials G_jk: this linear relation is exact.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        top = max([1, *self._degrees()])
        count = (8 if top <= 24 else 4) * top + 1
        self._factor = 1 / math.cos(math.pi * top / (2 * count)) * _SLACK
        with working_precision(_BITS):
            self._run(chebyshev_points(count), count)

    def _degrees(self) -> list[int]:
        degree = [1]
        for first, second in self.program.steps:
            a = max(degree[k] for k in first.terms)
            degree.append(a + (a if second is None else max(degree[k] for k in second.terms)))
        return degree

    def _run(self, points: Intervals, count: int) -> None:
        values = [points]
        sens: list[dict[int, Intervals]] = [{}]  # sens[j][k]: the derivative of v_j by eta_k at the points
        self.ranges: list[tuple[tuple[float, float], tuple[float, float]]] = []
        self.centres: list[tuple[fmpq, fmpq]] = []
        self.gain: list[tuple[dict[int, float], dict[int, float]]] = []
        self.values: list[tuple[float, float]] = [(-1.0, 1.0)]
        self.value_gain: list[dict[int, float]] = [{}]
        for j, (first, second) in enumerate(self.program.steps, 1):
            a, da = _evaluate(first, values, sens, count)
            b, db = (a, da) if second is None else _evaluate(second, values, sens, count)
            self.ranges.append((self._range(a), self._range(b)))
            self.centres.append((_centre(self.ranges[-1][0]), _centre(self.ranges[-1][1])))
            self.gain.append((self._sups(da), self._sups(db)))
            values.append(a * b)
            self.values.append(self._range(values[-1]))
            sens.append(_product_rule(a, da, b, db))
            sens[-1][j] = Intervals.constant(fmpq(1), count)
            self.value_gain.append(self._sups(sens[-1]))
        self._state = values, sens, count
        out, self.output_gain = self._read(self.program.output)
        self.output_range = self._range(out)

    def _read(self, output: Linear) -> tuple[Intervals, dict[int, float]]:
        values, sens, count = self._state
        out, derivative = _evaluate(output, values, sens, count)
        return out, self._sups(derivative)

    def _range(self, values: Intervals) -> tuple[float, float]:
        lows, highs = float(values.lo.min()), float(values.hi.max())
        middle, half = (lows + highs) / 2, (highs - lows) / 2
        half = half * self._factor + 1e-15 * max(abs(lows), abs(highs))
        return middle - half, middle + half

    def _sups(self, rows: dict[int, Intervals]) -> dict[int, float]:
        return {k: row.magnitude() * self._factor for k, row in rows.items()}

    # -- errors ---------------------------------------------------------------------------------------------------

    def errors(self, levels: Sequence[int]) -> Errors:
        """The proved Errors of the network with these numbers of levels."""
        local: dict[int, float] = {}
        halves, deviations = [], [0.0]
        for j, (_, second) in enumerate(self.program.steps, 1):
            left = _total(self.gain[j - 1][0], local)
            right = left if second is None else _total(self.gain[j - 1][1], local)
            a, b = self._half(j, 0, left), self._half(j, 1, right)
            error = float_up(a * b) * 4.0 ** -(levels[j - 1] + 1) * (0.5 if second is None else 1.0)
            local[j] = (error + left * right) * _SLACK
            halves.append((a, b))
            deviations.append(_total(self.value_gain[j], local))
        return Errors(_total(self.output_gain, local), halves, deviations, local)

    def _half(self, j: int, side: int, deviation: float) -> fmpq:
        low, high = self.ranges[j - 1][side]
        centre = self.centres[j - 1][side]
        return half_width(max(to_fmpq(high) - centre, centre - to_fmpq(low)) + to_fmpq(deviation))

    def levels(self, budget: float) -> list[int] | None:
        """Numbers of levels per step with a proved output error <= budget and few weights; None if out of reach.

        Greedy on the convex problem min sum of (5 or 10) m_j subject to the sum of errors, then trimmed (a heuristic
        for the last few weights; the bound of what it returns is proved).
        """
        steps = self.program.steps
        cost = [5 if second is None else 10 for _, second in steps]
        if not budget > 0:
            return None
        share = [self._share(j) for j in range(1, len(steps) + 1)]
        total = sum(cost) or 1
        guess = [math.log(max(1e-300, s) * total / (c * budget), 4) for s, c in zip(share, cost, strict=True)]
        m = [max(0, math.floor(g) - 1) for g in guess]
        for _ in range(60 + 2 * len(m)):
            if self.errors(m).output <= budget:
                break
            ratio = [s * 4.0 ** -(k + 1) / c for s, k, c in zip(share, m, cost, strict=True)]
            m[int(np.argmax(ratio))] += 1
        else:
            return None
        for j in sorted(range(len(m)), key=lambda i: -cost[i]):
            while m[j] > 0 and self.errors([*m[:j], m[j] - 1, *m[j + 1 :]]).output <= budget:
                m[j] -= 1
        return m

    def output_errors(self, levels: Sequence[int], outputs: Sequence[Linear]) -> list[float]:
        """Proved error bounds of several outputs."""
        local = self.errors(levels).local
        return [_total(self._read(output)[1], local) for output in outputs]

    def levels_for_outputs(self, outputs: Sequence[Linear], budget: float) -> list[int] | None:
        """Levels with every output's proved error <= budget: the sum of all sensitivities decides, then halvings."""
        gains = [self._read(output)[1] for output in outputs]
        self.output_gain = {k: max(g.get(k, 0.0) for g in gains) for k in {k for g in gains for k in g}}
        for extra in range(8):
            levels = self.levels(budget * 2.0**extra)
            if levels is not None and max(self.output_errors(levels, outputs)) > budget:
                break
        return self.levels(budget * 2.0 ** max(0, extra - 1))

    def _share(self, j: int) -> float:
        area = float(self._half(j, 0, 0.0) * self._half(j, 1, 0.0))
        return area * self.output_gain.get(j, 0.0) * (0.5 if self.program.steps[j - 1][1] is None else 1.0)

    # -- the network ----------------------------------------------------------------------------------------------

    def form(self, builder: Builder, s: Form, levels: Sequence[int]) -> Form:
        """The output form of the program's network for a form s with values in [-1, 1]."""
        return self.forms(builder, s, levels, [self.program.output])[0]

    def forms(self, builder: Builder, s: Form, levels: Sequence[int], outputs: Sequence[Linear]) -> list[Form]:
        """The forms of several outputs that share the program's steps."""
        proved = self.errors(levels)
        forms, readers = [s], self._readers(len(outputs) > 1)
        for j, (first, second) in enumerate(self.program.steps, 1):
            a, m = self._combine(first, forms), levels[j - 1]
            (h, k), (c, d) = proved.halves[j - 1], self.centres[j - 1]
            if second is None:
                value = _square_around(builder, a, m, c, h)
            else:
                b = self._combine(second, forms)
                value = product_on_box(builder, a, b, m, (c - h, c + h), (d - k, d + k))
            forms.append(self._settle(builder, value, j, proved.deviations[j]) if readers[j] else value)
        return [self._combine(output, forms) for output in outputs]

    def _combine(self, form: Linear, forms: list[Form]) -> Form:
        return linear_combination([(w, forms[k]) for k, w in form.terms.items()], form.constant)

    def _readers(self, several: bool) -> list[bool]:
        read = [several] * (len(self.program.steps) + 1)
        for first, second in self.program.steps:
            for k in [*first.terms, *(second.terms if second else ())]:
                read[k] = True
        return read

    def _settle(self, builder: Builder, value: Form, j: int, deviation: float) -> Form:
        # One unit holds the value above a proved lower bound, so that its readers pay one weight instead of many.
        if len(value.terms) <= 2:
            return value
        low, high = self.values[j]
        least = to_fmpq(low) - to_fmpq(deviation)
        grain = fmpq(2) ** (math.frexp(high - low)[1] - 8)
        floor = fmpq((least / grain).floor()) * grain
        return builder.relu(value - floor) + floor if floor < 0 else builder.relu(value)


def _evaluate(
    form: Linear, values: list[Intervals], sens: list[dict[int, Intervals]], count: int
) -> tuple[Intervals, dict[int, Intervals]]:
    total = Intervals.constant(form.constant, count)
    derivative: dict[int, Intervals] = {}
    for k, w in form.terms.items():
        total = total + values[k].scaled(w)
        for i, row in sens[k].items():
            derivative[i] = row.scaled(w) if i not in derivative else derivative[i] + row.scaled(w)
    return total, derivative


def _product_rule(
    a: Intervals, da: dict[int, Intervals], b: Intervals, db: dict[int, Intervals]
) -> dict[int, Intervals]:
    merged = {k: b * row for k, row in da.items()}
    for k, row in db.items():
        merged[k] = merged[k] + a * row if k in merged else a * row
    return merged


def _total(gains: dict[int, float], local: dict[int, float]) -> float:
    return sum(g * local[k] for k, g in gains.items()) * _SLACK


def _centre(interval: tuple[float, float]) -> fmpq:
    low, high = interval
    if abs(high + low) <= 0.01 * (high - low):
        return fmpq(0)  # a bias less is worth a hundredth of the error
    grain = fmpq(2) ** (math.frexp(high - low)[1] - 9)
    return fmpq(((to_fmpq(low) + to_fmpq(high)) / (2 * grain)).floor()) * grain


def half_width(least: fmpq) -> fmpq:
    """The smallest 2^e / k >= least with 64 <= k < 128: the weights of the squares are then short dyadic numbers."""
    e = math.frexp(float_up(least))[1] + 6
    k = (fmpq(2) ** e / least).floor()
    while k >= 128:
        e, k = e - 1, (fmpq(2) ** (e - 1) / least).floor()
    return fmpq(2) ** e / fmpq(k)


def _square_around(builder: Builder, form: Form, levels: int, centre: fmpq, half: fmpq) -> Form:
    # form^2 = h^2 (|form - c| / h)^2 + 2 c form - c^2, the square centred: error at most h^2 4^-(m+1) / 2.
    t = absolute_unit(builder, form - centre, 1 / half)
    return square_form(builder, t, levels, centred=True) * half**2 + form * (2 * centre) - centre**2
