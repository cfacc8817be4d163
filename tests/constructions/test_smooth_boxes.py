"""Values and derivatives of smooth functions at many points, from Taylor polynomials on panels, against balls."""

import sys

import numpy as np
import pytest

from approx import Target
from approx.numbers import float_up, to_arb, to_fmpq, working_precision
from constructions.relu import _cell_polynomials, _smooth_boxes
from constructions.relu import simplicial as simplicial_function
from constructions.relu._cell_grid import make_axis
from constructions.relu._cell_polynomials import proved_polynomials, tail_bound
from constructions.relu._kuhn import grid_axis
from constructions.relu._smooth_boxes import SmoothBoxes
from constructions.relu.local_taylor import local_taylor

SIMPLICIAL = sys.modules["constructions.relu.simplicial"]
CASES = [
    Target("exp(-(x**2+y**2))", [(0, 1), (0, 1)]),
    Target("sin(20*x+7*y)*cos(9*y-3*x)", [(0, 1), (0, 1)]),
    Target("exp(x)*sin(3*y)/(x+2)", [(-1, "1/3"), (1000, 1001)]),
    Target("sin(x+2*y)*exp(z)", [(0, 1), (-1, 0), ("pi", 4)]),
]


def points_of(f, number, seed):
    """Random points, and all corners, ends of panels and their neighbours."""
    sides = np.array(f.domain.floats_inside())
    rng = np.random.default_rng(seed)
    found = rng.uniform(size=(number, f.dimension))
    ends = np.array([[k / 8] * f.dimension for k in range(9)])
    found = np.concatenate([found, ends, np.nextafter(ends, 0), np.nextafter(ends, 1)])
    return np.clip(sides[:, 0] + (sides[:, 1] - sides[:, 0]) * found, sides[:, 0], sides[:, 1])


def worst_of(f, boxes, points, order):
    """{a: (largest error of D^a f/a!, its bound)}."""
    values, errors = boxes.taylor(points, order)
    worst = dict.fromkeys(values, 0.0)
    with working_precision(128):
        for i, p in enumerate(points.tolist()):
            jet = f.jet([to_fmpq(v) for v in p], order)
            for a in values:
                worst[a] = max(worst[a], float_up(abs(jet[a] - to_arb(float(values[a][i])))))
    return {a: (worst[a], errors[a]) for a in values}


@pytest.mark.parametrize("steps", [100, 200_000])
@pytest.mark.parametrize("f", CASES, ids=str)
def test_taylor_coefficients_are_enclosed(f, steps):
    boxes = SmoothBoxes(f, steps)
    for worst, bound in worst_of(f, boxes, points_of(f, 60, 1), 2).values():
        assert 0 < worst <= bound
    bound = boxes.taylor(points_of(f, 10, 2), 0)[1][(0,) * f.dimension]
    assert bound < (1e-6 if steps == 100 else 2e-11)


def test_planted_faults_are_caught(monkeypatch):
    """Rounded places far from 0 forgotten; remainders forgotten."""
    f = Target("x - 1048576 - 1/3 + y", [("1048576 + 1/3", "1048577 + 1/3"), (0, 1)])  # exact coefficients, no remainder
    assert all(size <= bound for size, bound in worst_of(f, SmoothBoxes(f, 200_000), points_of(f, 60, 1), 1).values())
    monkeypatch.setattr(_smooth_boxes, "_UNIT", 2.0**-70)
    worst = worst_of(f, SmoothBoxes(f, 200_000), points_of(f, 60, 1), 1)
    assert any(size > bound for size, bound in worst.values())
    monkeypatch.undo()
    boxes = SmoothBoxes(CASES[1], 100)
    boxes._panels._rest = {a: 0 * r for a, r in boxes._panels._rest.items()}
    worst = worst_of(CASES[1], boxes, points_of(CASES[1], 60, 1), 1)
    assert any(size > bound for size, bound in worst.values())


def test_functions_without_panels_have_none():
    assert SmoothBoxes(Target("abs(x-y)", [(0, 1), (0, 1)]), 100).taylor(np.zeros((1, 2)), 0) is None
    assert SmoothBoxes(Target("exp(x)"), 100).taylor(np.zeros((1, 1)), 0) is None


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("f", [CASES[0], CASES[3]], ids=str)
def test_cell_polynomials_agree_with_those_in_balls(f, order, monkeypatch):
    axes = [make_axis(low, high, 9) for low, high in f.domain]
    tail = tail_bound(f, axes, order)
    exact = proved_polynomials(f, axes, order, tail)
    monkeypatch.setattr(_cell_polynomials, "MANY", 0)
    swift = proved_polynomials(f, axes, order, tail)
    assert swift.rounding > 10 * exact.rounding  # another way indeed
    assert exact.truncation <= swift.truncation <= exact.truncation * (1 + 1e-6)
    for family, table in exact.coefficients.items():
        off = sum(np.abs(c - swift.coefficients[family][a]) for a, c in table.items())
        assert off.max() <= swift.rounding + exact.rounding


def test_networks_of_panels_are_certified_below_their_bound(monkeypatch):
    f = CASES[0]
    before = local_taylor(f, 1e-3)
    monkeypatch.setattr(_cell_polynomials, "MANY", 0)
    after = local_taylor(f, 1e-3)
    assert after.network.size.weights == before.network.size.weights and after.bound == pytest.approx(before.bound, rel=1e-6)
    assert after.certify(rtol=0.3).lower <= after.bound


def test_nodal_values_of_panels(monkeypatch):
    f = CASES[0]
    axes = [grid_axis(low, high, 12) for low, high in f.domain]
    exact, rounding = SIMPLICIAL.nodal_values(f, axes, True)
    monkeypatch.setattr(SIMPLICIAL, "MANY", 0)
    swift, error = SIMPLICIAL.nodal_values(f, axes, True)
    assert rounding < error < 1e-12 and np.abs(swift - exact).max() <= error + rounding
    assert simplicial_function(f, 1, cells=12).bound >= error
