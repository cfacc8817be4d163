"""Are two-scale networks of orders 3 to 6 in three variables the Coons patches that they are said to be? As in the plane."""

import dataclasses

import numpy as np
import pytest
from coons_oracle import comparison, sample

import approx
from approx import Target
from constructions.promises import promise
from constructions.relu import hoelder_two_scale
from constructions.relu._coons_network import coons_layers, coons_network, coons_weights
from constructions.relu._coons_plan import difference, fit_coons, kinds, largest_difference
from constructions.relu._coons_reader import read_coons

#: Polynomials: bounds of derivatives and Taylor coefficients of others take minutes in three variables.
SPACE = Target("x**3*y**2*z - z**5 + x*y**4/2 + z**3*y**2", [(0, 1), (0, 2), ("-1/3", 1)])
CUBIC = Target("x*y*z + x**2*y - z**3 + 1", [(0, 1)] * 3)
QUARTIC = Target("x**2*y*z - z**4 + y**3", [(0, 1), (0, 1), (1, 2)])
CASES = [(SPACE, 3, 3, 3), (QUARTIC, 4, 3, 3), (SPACE, 3, 5, 4), (SPACE, 3, 5, 5)]
every_case = pytest.mark.parametrize(("f", "cells", "steps", "order"), CASES)


@every_case
def test_the_network_is_the_surface_at_every_point_up_to_what_is_stated(f, cells, steps, order):
    count = 6 if order < 5 else 3
    gap, ramps, rounding = comparison(f, cells, steps, order, count)
    assert gap <= 1 and ramps >= count // 3 and rounding < 1e-9


@pytest.mark.parametrize(("f", "cells", "steps", "order"), [*CASES, (SPACE, 8, 3, 3), (SPACE, 6, 5, 4)])
def test_certificates_enclose_what_samples_show_and_are_below_the_bound(f, cells, steps, order):
    a = hoelder_two_scale(f, 1e3, order=order, cells=cells, steps=steps)
    c = a.certify()
    assert c.method.startswith("structure only") and c.check("witness")
    assert 0 < c.lower <= c.upper <= a.bound
    assert c.upper < (1.1 if cells * steps >= 24 else 2) * c.lower
    seen = np.abs(a(sample(f, 20_000)) - f(sample(f, 20_000))).max()
    assert 0.4 * c.upper < seen <= c.upper


@every_case
def test_weights_and_layers_are_the_declared_ones(f, cells, steps, order):
    plan, _ = fit_coons(f, order, cells, steps)
    size = coons_network(plan, f).size
    assert 0.98 * coons_weights(plan) <= size.weights <= coons_weights(plan)
    assert size.hidden_layers == coons_layers(plan)


@pytest.mark.parametrize(("f", "order"), [(Target("x*y - z**2 + 3", [(0, 1)] * 3), 3), (CUBIC, 4), (QUARTIC, 5)], ids=str)
def test_polynomials_below_the_order_are_reproduced(f, order):
    a = hoelder_two_scale(f, 1e-9, order=order, cells=3, steps=5)
    c = a.certify()
    assert c.lower <= c.upper <= a.bound < 1e-11 * np.abs(f(sample(f, 1000))).max()


def test_plans_are_read_back_from_files(tmp_path):
    a = hoelder_two_scale(SPACE, 1e3, order=4, cells=3, steps=5)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    plan = read_coons(b.network, b.target)
    assert plan is not None and coons_network(plan, SPACE) == a.network and b.certify().upper == a.certify().upper


def test_the_bound_holds_on_a_ladder_of_accuracies():
    found = []
    for eps in (1e-1, 1e-2, 1e-3):
        a = hoelder_two_scale(SPACE, eps, order=3)
        found.append(a.certify().upper)
        assert found[-1] <= a.bound <= eps
    assert found[0] > found[1] > found[2]
    assert promise("hoelder-two-scale", SPACE, {"order": 3})[:2] == (2, 1)


def test_a_wrong_level_is_certified_as_such():
    """Fault: one level is off by so much that its differences are digits still; the certificate must show it."""
    plan, _ = fit_coons(QUARTIC, 3, 4, 3)
    honest, rng = approx.certify(coons_network(plan, QUARTIC), QUARTIC), np.random.default_rng(5)
    for node in rng.integers(0, plan.pieces + 1, (400, 3)).tolist():
        levels = plan.levels.copy()
        levels[tuple(node)] += 3
        if max(np.abs(difference(levels, a)).max() for a in kinds(3, 3)) <= largest_difference(3):
            break
    else:
        raise AssertionError("no such node")
    c = approx.certify(coons_network(dataclasses.replace(plan, levels=levels), QUARTIC), QUARTIC)
    assert c.check("witness") and c.lower > 1.1 * honest.upper
