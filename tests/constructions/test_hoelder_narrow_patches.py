"""Is the narrow form of order 2 in two and three variables of width 12, 15, without skips, and the same function?"""

import dataclasses

import numpy as np
import pytest
from flint import fmpq
from planted_biases import with_a_moved_bias
from test_two_scale_patches import interpolant, points_of

import approx
from approx import Target
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from constructions.promises import promise
from constructions.relu import _hoelder_patch_narrow, hoelder_two_scale
from constructions.relu._box_distance import grouped
from constructions.relu._hoelder_patch_codes import digit_counts, leads_of
from constructions.relu._hoelder_patch_narrow import (
    bent_narrow,
    bent_narrow_layers,
    bent_narrow_weights,
    bent_narrow_width,
    box_of,
    narrow_leads,
    path_of,
)
from constructions.relu._hoelder_patch_plan import LARGEST, fit_bent, second_differences
from constructions.relu._hoelder_patch_reader import read_bent
from constructions.relu._patch_codes import classes, folds
from constructions.relu._patch_network import bit_ramp
from constructions.relu._reflected import reflected_values

PLANE = Target("sin(3*x+y)*exp(-y)", [(0, 1), (-1, 2)])
CUBIC = Target("x**3*y - 2*x*y + 5*x", [("1/3", 2), (0, 1)])
SADDLE = Target("cos(4*x)*cos(3*y) + 1000", [(0, 1), (0, 1)])
SPACE = Target("x*y*z + sin(2*z+x)*x", [(0, 1), (0, 2), (-1, 1)])
CASES = [
    (PLANE, 3, 3), (PLANE, 4, 3), (PLANE, 5, 5), (PLANE, 11, 3), (CUBIC, 3, 7), (CUBIC, 6, 3), (SADDLE, 8, 5), (SPACE, 3, 3),
    (SPACE, 5, 3), (SPACE, 3, 5),
]  # fmt: skip
WAVE = Target("sin(60*x+20*y)*cos(40*y-10*x)", [(0, 1), (0, 1)])


def built(f, cells, steps, form="narrow"):
    return hoelder_two_scale(f, 1e3, cells=cells, steps=steps, form=form)


def spots(plan):
    """Places in [0, 1]^d: anywhere, nodes, between patches, and on the ramps of the bits of addresses."""
    rng = np.random.default_rng(plan.cells * plan.steps)
    found = points_of(plan, rng, 10)
    found = [[fmpq(p.numerator, p.denominator) for p in place] for place in found]
    length, m = folds(plan.cells), plan.steps
    for _ in range(20):
        place = []
        for q in rng.integers(0, 2, plan.dimension).tolist():
            # v, which is folded, just above 1/2 after some folds; y is its place in fine steps.
            level = int(rng.integers(0, length))
            v = (fmpq(1, 2) + bit_ramp(plan.cells, level) * int(rng.integers(0, 5)) / 4) / 2**level
            y = v * 2 * m * 2**length - fmpq(m + 1, 2) + q * m
            place.append(min(max(y / plan.pieces, fmpq(0)), fmpq(1)))
        found.append(place)
    return found


def inside(f, places):
    return [[low + (high - low) * s for s, (low, high) in zip(p, f.domain, strict=True)] for p in places]


# -- the function -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "cells", "steps"), CASES)
def test_it_is_the_function_of_the_form_with_skips_in_strict_layers_of_one_width(f, cells, steps):
    a, b = built(f, cells, steps), built(f, cells, steps, "skips")
    points = inside(f, spots(fit_bent(f, cells, steps)[0]))
    assert len(points) == 50 and evaluate_exact(a.network, points) == evaluate_exact(b.network, points)
    assert all([block.source for block in l.blocks] == [k] for k, l in enumerate(a.network.layers))
    d = f.dimension
    assert a.network.size.width == bent_narrow_width(d) == {2: 12, 3: 15}[d] <= 2 * d + 10
    c = a.certify()
    assert a.bound == b.bound and c.upper == b.certify().upper <= a.bound
    assert c.status == "tight" and c.method.startswith("structure only") and c.check("witness")


@pytest.mark.parametrize(("f", "cells", "steps"), [*CASES[1:4], CASES[-2]])
def test_it_is_the_interpolant_of_the_plan(f, cells, steps):
    plan, _ = fit_bent(f, cells, steps)
    found = points_of(plan, np.random.default_rng(1), 6)
    points = inside(f, [[fmpq(p.numerator, p.denominator) for p in place] for place in found])
    for value, place in zip(evaluate_exact(bent_narrow(plan, f), points), found, strict=True):
        exact = interpolant(plan, place) + sum(
            type(p)(s) * p * plan.pieces for s, p in zip(plan.slopes, place, strict=True)
        )
        assert value == fmpq(exact.numerator, exact.denominator)


@pytest.mark.parametrize("d", [2, 3])
def test_the_hat_functions_of_a_box_sum_up_to_the_formula(d):
    """Against the interpolant of the box's indicator, around the patch as well, for boxes of all parities."""
    steps, margin, rng = 5, 4, np.random.default_rng(2)
    places = rng.random((1500, d)) * (steps + 3) - 2
    nodes = np.indices((steps + 2 * margin,) * d) - margin
    for parities in classes(d):
        for node in path_of(steps, d)[:: 7 if d == 3 else 1]:
            box = box_of(node, steps)
            inside = [(low <= n) & (n <= high) for n, (low, high) in zip(nodes, box, strict=True)]
            # The array begins at the local node -margin, of the parity of the class: a layer more where that is odd.
            values = np.pad(np.all(inside, axis=0).astype(float), tuple((q, 0) for q in parities))
            exact = reflected_values(values, places + margin + np.array(parities))
            distance = sum(
                np.max([0 * places[:, 0], *(sign * (places[:, axis] - at) for sign, axis, at in ends)], axis=0)
                for ends in grouped(box, parities)
            )
            assert np.allclose(np.maximum(1 - distance, 0), exact, atol=1e-12)


def test_a_point_is_evaluated_by_structure():
    a = built(PLANE, 4, 7)
    with pytest.raises(UnsupportedError, match="last digits"):
        a.network(np.array([[0.1, 0.2]]))
    assert abs(a([[0.1, 0.2]])[0] - PLANE([[0.1, 0.2]])[0]) <= a.bound


# -- size and rate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "cells", "steps"), [*CASES, (PLANE, 16, 3), (PLANE, 9, 9), (SADDLE, 40, 3), (SPACE, 8, 3)])
def test_weights_and_layers_are_the_declared_ones(f, cells, steps):
    plan, _ = fit_bent(f, cells, steps)
    size, leads = bent_narrow(plan, f).size, narrow_leads(plan)
    assert leads == (leads_of(plan)[0], max(2, leads_of(plan)[1]))
    d = f.dimension
    most = bent_narrow_weights(d, cells, steps, leads)
    assert 0.98 * most <= size.weights <= most
    assert size.hidden_layers == bent_narrow_layers(d, cells, steps, leads)
    assert len(set(path_of(steps, d))) == len(digit_counts(steps, d, leads)[0]) == steps**d


def test_the_error_falls_like_the_square_of_the_weights_at_one_width():
    found = [hoelder_two_scale(WAVE, 1, cells=n, steps=m, form="narrow") for n, m in ((32, 5), (64, 7), (96, 9))]
    certificates = [a.certify() for a in found]
    assert all(c.upper <= a.bound and c.status == "tight" for a, c in zip(found, certificates, strict=True))
    weights = [a.network.size.weights for a in found]
    error = np.polyfit(np.log(weights), np.log([c.upper for c in certificates]), 1)[0]
    depth = np.polyfit(np.log(weights), np.log([a.network.size.hidden_layers for a in found]), 1)[0]
    assert abs(error + 2) < 0.15 and 0.9 < depth < 1.25  # over less than a decade; docs/studies.md has 1.5
    assert {a.network.size.width for a in found} == {12}
    assert promise("hoelder-two-scale", WAVE, {"form": "narrow"})[:2] == (2, 1)
    assert promise("hoelder-two-scale", SPACE, {"form": "narrow"})[:2] == pytest.approx((4 / 3, 1))


def test_the_bound_holds_on_a_ladder_of_accuracies():
    for f, eps in ((PLANE, 1e-1), (PLANE, 1e-2), (PLANE, 1e-3), (SPACE, 3e-1), (SPACE, 3e-2)):
        a = hoelder_two_scale(f, eps, form="narrow")
        assert a.certify().upper <= a.bound <= eps <= 6 * a.bound
        assert a.network.size.width == bent_narrow_width(f.dimension) and a.parameters["form"] == "narrow"


# -- reading, planted faults --------------------------------------------------------------------------------------------


def test_plans_are_read_back_from_files(tmp_path):
    for f, cells, steps in (*CASES[:3], CASES[-3]):
        a = built(f, cells, steps)
        a.save(tmp_path / "a.approx")
        b = approx.load(tmp_path / "a.approx")
        plan = read_bent(b.network, b.target)
        assert plan is not None and bent_narrow(plan, f) == a.network and b.certify().upper == a.certify().upper
        assert read_bent(b.network, f.on([(0, 3)] * f.dimension)) is None


def test_a_wrong_level_is_another_network_and_certified_as_such():
    plan, _ = fit_bent(PLANE, 5, 5)
    honest = approx.certify(bent_narrow(plan, PLANE), PLANE)
    nodes = np.indices(plan.levels.shape).reshape(2, -1).T
    errors = plan.at_nodes(nodes) - PLANE(nodes / plan.pieces * [1, 3] - [0, 1])
    for number in np.argsort(-np.abs(errors))[:40]:
        levels = plan.levels.copy()
        levels[tuple(nodes[number])] += int(np.sign(errors[number]))
        if levels.min() >= 0 and max(np.abs(p).max() for p in second_differences(levels)) <= LARGEST:
            break
    else:
        raise AssertionError("no such node")
    c = approx.certify(bent_narrow(dataclasses.replace(plan, levels=levels), PLANE), PLANE)
    assert c.check("witness") and c.lower > 1.2 * honest.upper and c.upper < 1.02 * c.lower


def test_a_changed_bias_is_caught():
    """A bias that is moved takes the network out of its form, or makes another plan; most of them show on a few points."""
    a = built(PLANE, 4, 3)
    plan, honest = read_bent(a.network, PLANE), a.certify().upper
    points = inside(PLANE, [[fmpq(k, 7), fmpq(l, 7)] for k in range(8) for l in range(8)])
    exact = [PLANE(np.array([[float(c) for c in p]]))[0] for p in points]
    numbers, caught = range(0, len(a.network.layers) - 1, 13), 0
    for number in numbers:
        net = with_a_moved_bias(a.network, number)
        other = read_bent(net, PLANE)
        assert other is None or not np.array_equal(other.levels, plan.levels)
        values = evaluate_exact(net, points)
        caught += max(abs(float(e) - float(v)) for e, v in zip(exact, values, strict=True)) > honest
    assert len(numbers) > 10 and caught >= len(numbers) // 2


@pytest.mark.parametrize("fault", ["reach", "ends"])
def test_schedules_with_a_slip_are_no_networks_of_this_form(fault, monkeypatch):
    good = built(PLANE, 4, 5)
    plan = read_bent(good.network, PLANE)
    if fault == "reach":  # gates of ramps along the axes cut at 1
        monkeypatch.setattr(_hoelder_patch_narrow._Writer, "_most", lambda self, node: 1)
    else:  # triangles cut along the other diagonals
        monkeypatch.setattr(_hoelder_patch_narrow, "grouped", lambda box, q: grouped(box, (1 - q[0], q[1])))
    slipped = bent_narrow(plan, PLANE)
    monkeypatch.undo()
    points = inside(PLANE, spots(plan))
    assert evaluate_exact(slipped, points) != evaluate_exact(good.network, points)
    assert read_bent(slipped, PLANE) is None


# -- degenerate and bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["3/7", "2*x-y/3+5", "y"])
def test_affine_functions_need_no_digits(text):
    f = Target(text, [(0, 1), (-1, 3)])
    a = hoelder_two_scale(f, 1e-3, form="narrow")
    assert a.network.size.weights <= 3 and a.network.size.hidden_layers == 0
    assert a.certify(budget=approx.Budget(seconds=1)).upper <= 1e-12


def test_functions_of_one_of_the_variables_tiny_ones_and_far_ones():
    for text in ("y**2", "x**2/1000000000", "1000000*x*y+1000000000", "-1000*x-1000*y-x**2-y**2"):
        a = built(Target(text, [(0, 1), (0, 1)]), 3, 3)
        c = a.certify()
        assert 0 < c.lower <= c.upper <= a.bound and c.upper <= 1.02 * c.lower and a.network.size.width == 12


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rate": 1.5}, r"'narrow' is for rate 2: constant width makes depth O\(W\)"),
        ({"cells": 2, "steps": 3}, "cells"),
        ({"cells": 4, "steps": 4}, "odd integer"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        hoelder_two_scale(PLANE, 1e-2, form="narrow", **options)
