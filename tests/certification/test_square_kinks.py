"""Units of a program of squares that are piecewise affine: their kinks, values and chords, against the units themselves."""

import numpy as np
import pytest
from flint import fmpq

import approx
from approx.certification.square_bound import SquareBound
from approx.certification.square_kinks import AffineUnits
from approx.certification.square_program import SquareProgram
from approx.evaluation import evaluate_exact
from constructions.relu import local_taylor

TARGET = approx.Target("sin(3*x)", domain=(0, 1))


@pytest.fixture(scope="module")
def network():
    return local_taylor(TARGET, 1e-6).network


def literal(program, units, x):
    """The values at x, step by step."""
    values = {0: x}
    for s in (s for s in program.steps if s.unit in units):
        z = s.constant + sum((w * values[v] for v, w in s.linear.items()), fmpq(0))
        values[s.unit] = z if s.activation == "identity" else abs(z) if s.activation == "abs" else max(z, fmpq(0))
    return values


def intervals(units, seed=0):
    """Intervals between neighbouring nodes, across one and across many."""
    rng = np.random.default_rng(seed)
    ends = [tuple(sorted(fmpq(int(p), 997) for p in rng.choice(998, 2, replace=False))) for _ in range(12)]
    return ends + [(a, (a + b) / 2) for a, b in zip(units.nodes[:6], units.nodes[1:7], strict=True)]


def wrong(program, units):
    """How often a unit leaves the band around its chord, or does not reach the width of the band."""
    count = 0
    for left, right in intervals(units):
        inner = [left, right, (2 * left + right) / 3, *(n for n in units.nodes if left < n < right)]
        values = [literal(program, units.units, x) for x in inner]
        for unit in units._values:
            middle, rise, away = units.model(unit, left, right)
            chord = [middle + rise * (2 * (x - left) / (right - left) - 1) for x in inner]
            gaps = [abs(v[unit] - c) for v, c in zip(values, chord, strict=True)]
            count += gaps[0] != 0 or gaps[1] != 0 or max(gaps) != away
    return count


def test_chords_of_affine_units_are_exact_and_their_bands_are_reached(network):
    program = SquareProgram.of(network)
    units = AffineUnits(program, fmpq(0), fmpq(1))
    assert len(units.units) > 20 and len(units.nodes) > 10 and units.nodes == sorted(set(units.nodes))
    assert wrong(program, units) == 0


def test_planted_fault_a_forgotten_kink_is_caught(network):
    program = SquareProgram.of(network)
    units = AffineUnits(program, fmpq(0), fmpq(1))
    for row in (units.nodes, *units._values.values()):
        del row[len(row) // 2]
    assert wrong(program, units) > 0


def test_bounds_cover_the_error_and_see_the_cells(network):
    """Between kinks the bound is near the truth on narrow intervals; across kinks it holds."""
    bound = SquareBound(network, TARGET)
    assert bound.program is not None
    rng = np.random.default_rng(1)
    starts = [0.5 * (a + b) for a, b in zip(bound.kinks, bound.kinks[1:], strict=False) if b - a > 1e-3][:6]
    for width in (0.3, 1e-2, 1e-4):
        for a in [*starts, *(np.array(bound.kinks[1:5]) - width / 3)]:
            a, b = max(a, 0.0), min(a + width, 1.0)
            x = [fmpq(*float(p).as_integer_ratio()) for p in rng.uniform(a, b, 5)]
            net = np.array([float(int(v.p) / int(v.q)) for v in evaluate_exact(network, x)])
            seen = np.abs(TARGET(np.array([int(p.p) / int(p.q) for p in x])) - net).max()
            assert seen <= bound.bound(a, b) + 1e-15
    assert all(bound.bound(a, a + 1e-4) < 3e-6 for a in starts)
