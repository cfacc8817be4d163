"""Are narrow networks of order 3 and 4 in the plane of constant width, without skips, and near their surfaces at every x?"""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from test_hoelder_plane_orders import places_of, surface

import approx
from approx import Target
from approx.errors import InputError
from approx.evaluation import evaluate_exact
from approx.networks import Network, layer
from constructions.promises import promise
from constructions.relu import _coons_narrow, hoelder_two_scale
from constructions.relu._coons_narrow import coons_narrow, coons_narrow_layers, coons_narrow_weights, coons_narrow_width
from constructions.relu._coons_network import coons_network
from constructions.relu._coons_plan import fit_coons
from constructions.relu._coons_reader import read_coons
from constructions.relu._line_codes import (
    all_counts,
    bounds_of,
    class_digits,
    leads_of,
    levels_from,
    levels_of,
    moves,
    numbers_of,
    patch_levels,
)
from constructions.relu._patch_codes import classes

PLANE = Target("sin(3*x+y)*exp(-y)", [(0, 1), (-1, 2)])
CUBIC = Target("x**3*y - 2*x*y + 5*x", [("1/3", 2), (0, 1)])
HUMP = Target("cos(4*x)*cos(3*y) + 1000", [(0, 1), (0, 1)])
CASES = [
    (PLANE, 3, 3, 3), (PLANE, 6, 5, 3), (CUBIC, 5, 5, 3), (HUMP, 8, 3, 3), (PLANE, 5, 5, 4), (HUMP, 3, 7, 4)
]  # fmt: skip
WAVE = Target("sin(35*x+20*y)", [(0, 1), (0, 1)])
every_case = pytest.mark.parametrize(("f", "cells", "steps", "order"), CASES)


def built(f, cells, steps, order, form="narrow"):
    return hoelder_two_scale(f, 1e6, cells=cells, steps=steps, order=order, form=form)


def inside(f, places):
    return [
        [low + (high - low) * fmpq(p.numerator, p.denominator) for p, (low, high) in zip(place, f.domain, strict=True)]
        for place in places
    ]


# -- codes --------------------------------------------------------------------------------------------------------------


@every_case
def test_levels_follow_from_the_numbers_of_a_walk(f, cells, steps, order):
    plan, _ = fit_coons(f, order, cells, steps)
    leads = leads_of(plan)
    for axis in (0, 1):
        for q in classes(2):
            levels = patch_levels(plan, axis, q)[1]
            assert np.array_equal(levels_from(numbers_of(levels, order), steps, order), levels)
            assert np.array_equal(levels_of(class_digits(plan, axis, q, leads)[1], steps, leads), levels)
    across = patch_levels(plan, 0, (0, 1))[1]
    assert np.array_equal(across.transpose(0, 2, 1), patch_levels(plan, 1, (0, 1))[1])
    assert len(moves(steps, order)) == steps * (steps - order + 1)


def test_any_digits_keep_differences_within_their_bounds():
    """The walk itself, with numbers in [0, 2] for digits."""
    steps, leads = 5, leads_of(fit_coons(PLANE, 3, 3, 5)[0])
    counts, offsets = all_counts(steps, leads)
    bounds, rng = bounds_of(steps, leads), np.random.default_rng(1)
    largest = np.zeros(3)
    for _ in range(200):
        most = 3.0**counts - 1
        levels = levels_from(np.rint(rng.choice([0, 1], len(counts)) * most - offsets).astype(np.int64)[None], steps, 3)
        for i in range(3):
            largest[i] = max(largest[i], np.abs(np.diff(levels, i, axis=2)[:, :, : steps - 2]).max())
    assert (largest <= bounds).all() and (largest > 0.01 * np.array(bounds)).all()


# -- the function -------------------------------------------------------------------------------------------------------


@every_case
def test_it_is_the_surface_at_every_point_up_to_what_is_stated(f, cells, steps, order):
    plan, _ = fit_coons(f, order, cells, steps)
    found = places_of(plan, np.random.default_rng(cells * steps), 12)
    ramp, ramps = Fraction(int(plan.ramp.p), int(plan.ramp.q)), 0
    for value, place in zip(evaluate_exact(coons_narrow(plan, f), inside(f, found)), found, strict=True):
        assert abs(Fraction(int(value.p), int(value.q)) - surface(plan, place)) <= Fraction(plan.gap())
        ramps += any(0 < abs(p * plan.pieces - round(p * plan.pieces)) < ramp for p in place)
    assert Fraction(plan.gap()) == Fraction(5, 2**10) * Fraction(plan.quantum) and ramps >= 5


@every_case
def test_layers_are_strict_the_width_is_constant_and_certificates_are_those_of_the_form_with_skips(f, cells, steps, order):
    a = built(f, cells, steps, order)
    assert all([block.source for block in l.blocks] == [k] for k, l in enumerate(a.network.layers))
    assert a.network.size.width == coons_narrow_width(order) == {3: 20, 4: 24}[order]
    b = built(f, cells, steps, order, "skips")
    c, other = a.certify(), b.certify()
    assert a.bound == b.bound and c.upper == other.upper <= a.bound and c.status == other.status
    assert 0 < c.lower <= c.upper and c.method.startswith("structure only") and c.check("witness")


@pytest.mark.parametrize(("f", "cells", "steps", "order"), [*CASES, (PLANE, 16, 7, 3), (PLANE, 4, 13, 4), (HUMP, 32, 5, 4)])
def test_weights_and_layers_are_the_declared_ones(f, cells, steps, order):
    plan, _ = fit_coons(f, order, cells, steps)
    size, most = coons_narrow(plan, f).size, coons_narrow_weights(plan)
    assert 0.92 * most <= size.weights <= most
    assert size.hidden_layers == coons_narrow_layers(plan)


def test_the_error_falls_like_the_cube_of_the_weights_at_one_width():
    found = [built(WAVE, n, m, 3) for n, m in ((48, 3), (80, 5))]
    certificates = [a.certify() for a in found]
    assert all(c.upper <= a.bound for a, c in zip(found, certificates, strict=True))
    weights = [a.network.size.weights for a in found]
    error = np.polyfit(np.log(weights), np.log([c.upper for c in certificates]), 1)[0]
    assert -3.6 < error < -2.8  # over less than a decade, with O(M log W) weights; docs/studies.md has more
    assert {a.network.size.width for a in found} == {20}
    assert promise("hoelder-two-scale", WAVE, {"form": "narrow", "order": 3})[:2] == (3, 1)


def test_the_bound_holds_on_a_ladder_of_accuracies():
    for order, eps in ((3, 1e-1), (3, 1e-2), (4, 1e-2)):
        a = hoelder_two_scale(PLANE, eps, order=order, form="narrow")
        assert a.certify().upper <= a.bound <= eps and a.network.size.width <= coons_narrow_width(order)


# -- reading, planted faults --------------------------------------------------------------------------------------------


def test_plans_are_read_back_from_files(tmp_path):
    for f, cells, steps, order in (CASES[0], CASES[1], CASES[4]):
        a = built(f, cells, steps, order)
        a.save(tmp_path / "a.approx")
        b = approx.load(tmp_path / "a.approx")
        plan = read_coons(b.network, b.target)
        assert plan is not None and plan.order == order and coons_narrow(plan, f) == a.network
        assert b.certify().upper == a.certify().upper and read_coons(b.network, f.on([(0, 3), (0, 1)])) is None


def test_a_wrong_level_is_another_network_and_certified_as_such():
    plan, _ = fit_coons(PLANE, 3, 5, 5)
    honest = approx.certify(coons_narrow(plan, PLANE), PLANE)
    levels = plan.levels.copy()
    levels[12, 12] += 2
    c = approx.certify(coons_narrow(dataclasses.replace(plan, levels=levels), PLANE), PLANE)
    assert c.check("witness") and c.lower > 1.2 * honest.upper


def test_a_changed_bias_is_caught():
    """A bias that is moved takes the network out of its form, or makes another plan; many of them show on a few points."""
    a = built(PLANE, 3, 3, 3)
    plan, honest = read_coons(a.network, PLANE), a.certify().upper
    points = [[fmpq(k, 4), fmpq(3 * l, 4) - 1] for k in range(5) for l in range(5)]
    exact = [PLANE(np.array([[float(c) for c in p]]))[0] for p in points]
    numbers, caught = range(0, len(a.network.layers) - 1, 89), 0
    for number in numbers:
        l = a.network.layers[number]
        pool, ids, floats = [*a.network.pool, fmpq(5, 3)], l.bias.ids.copy(), l.bias.floats.copy()
        ids[-1], floats[-1] = len(pool) - 1, 5 / 3
        wrong = layer("relu", floats, list(l.blocks), ids)
        net = Network(2, [*a.network.layers[:number], wrong, *a.network.layers[number + 1 :]], pool)
        other = read_coons(net, PLANE)
        assert other is None or not np.array_equal(other.levels, plan.levels) or other.base != plan.base
        values = evaluate_exact(net, points)
        caught += max(abs(float(e) - float(v)) for e, v in zip(exact, values, strict=True)) > honest
    assert len(numbers) > 10 and caught >= len(numbers) // 3


@pytest.mark.parametrize("write", [coons_network, coons_narrow])
def test_networks_with_levels_below_0_are_not_read_as_their_surface(write):
    """Networks cut selected levels off at 0: they were recognised, and certified at half their error against f - 8 lambda."""
    f = Target("(x-0.4)**2 + (y-.6)**2 + x*y/9 + x**3/5 + sin(20*x+15*y)/50", [(0, 1), (0, 1)])
    plan = fit_coons(f, 3, 3, 5)[0]
    below = dataclasses.replace(plan, levels=plan.levels - 8)
    network = write(below, f)
    assert read_coons(write(plan, f), f) is not None and read_coons(network, f) is None
    for wrong in (below, dataclasses.replace(plan, quantum=-plan.quantum)):
        with pytest.raises(ValueError, match="below 0"):
            wrong.checked()
    assert plan.checked() is plan


@pytest.mark.parametrize("fault", ["reach", "windows", "products"])
def test_schedules_with_a_slip_are_no_networks_of_this_form(fault, monkeypatch):
    good = built(PLANE, 4, 5, 3)
    plan = read_coons(good.network, PLANE)
    if fault == "reach":  # gates that do not close
        monkeypatch.setattr(_coons_narrow, "_reach", lambda order, bounds: fmpq(1))
    elif fault == "windows":  # of steps between patches, some bubbles are forgotten
        steps_at = _coons_narrow.steps_at
        monkeypatch.setattr(_coons_narrow, "steps_at", lambda s, m, r: [k for k in steps_at(s, m, r) if k >= 0])
    else:
        monkeypatch.setattr(_coons_narrow, "_product_levels", lambda order, most: 2)
    slipped = coons_narrow(plan, PLANE)
    monkeypatch.undo()
    found = places_of(plan, np.random.default_rng(1), 12)
    values = evaluate_exact(slipped, inside(PLANE, found))
    gaps = [
        abs(Fraction(int(v.p), int(v.q)) - surface(plan, place)) for v, place in zip(values, found, strict=True)
    ]
    assert max(gaps) > Fraction(plan.gap()) and read_coons(slipped, PLANE) is None


# -- degenerate and bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["3/7", "2*x-y/3+5", "y"])
def test_affine_functions_need_no_digits(text):
    a = hoelder_two_scale(Target(text, [(0, 1), (-1, 3)]), 1e-3, order=3, form="narrow")
    assert a.network.size.weights <= 3 and a.network.size.hidden_layers == 0


def test_functions_of_one_of_the_variables_tiny_ones_and_far_ones():
    for text in ("y**3", "x**3/1000000000", "1000000*x*y*y+1000000000", "-1000*x-1000*y-x**3-y**3"):
        f = Target(text, [(0, 1), (0, 1)])
        a = built(f, 3, 3, 3)
        c = a.certify()
        assert 0 < c.lower <= c.upper <= a.bound and a.network.size.width <= 20


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"order": 3, "rate": 2}, r"'narrow' is for rate 3: constant width makes depth O\(W\)"),
        ({"order": 3, "cells": 4, "steps": 4}, "odd integer"),
        ({"order": 4, "cells": 4, "steps": 3}, "at least 4"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        hoelder_two_scale(PLANE, 1e-2, form="narrow", **options)
