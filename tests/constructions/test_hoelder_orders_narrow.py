"""Are narrow networks of orders above 2 of width 2 r + 5, without skips, and the same functions as those with skips?"""

import dataclasses

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.certification.budget import Work
from approx.evaluation import evaluate_exact
from constructions.relu import _difference_narrow, hoelder_two_scale
from constructions.relu._difference_forms import read_differences
from constructions.relu._difference_narrow import difference_narrow, difference_narrow_weights, width
from constructions.relu._difference_reader import difference_enclosure

F = Target("sin(7*x)*exp(-x)/(1+x**2)", (-1, 2))


def built(order, cells, steps, form="narrow"):
    return hoelder_two_scale(F, 1, order=order, cells=cells, steps=steps, form=form)


def places(plan):
    """Random places, and places on the ramps next to coarse and fine nodes, at both sides."""
    n, total = plan.cells, plan.cells * plan.steps
    shares = [fmpq(int(k), 10**6) for k in np.random.default_rng(n).integers(0, 10**6 + 1, 12)]
    shares += [(i + plan.ramp * s) / n for i in range(1, n) for s in (fmpq(1, 3), fmpq(-1, 3), fmpq(9, 10), fmpq(-9, 10))]
    shares += [(i + plan.fine_ramp * s) / total for i in range(1, total, 3) for s in (fmpq(1, 3), fmpq(-1, 3))]
    return [3 * s - 1 for s in shares]


@pytest.mark.parametrize(("order", "cells", "steps"), [(3, 2, 9), (3, 7, 8), (4, 5, 6), (5, 3, 5)])
def test_it_is_the_function_of_the_form_with_skips_in_layers_of_constant_width(order, cells, steps):
    a, b = built(order, cells, steps), built(order, cells, steps, "skips")
    plan = read_differences(a.network, F)
    points = places(plan)
    assert evaluate_exact(a.network, points) == evaluate_exact(b.network, points)
    assert a.bound == b.bound and a.certify().upper == b.certify().upper
    assert all([block.source for block in layer.blocks] == [k] for k, layer in enumerate(a.network.layers))
    most = difference_narrow_weights(plan)
    assert a.network.size.width == width(order) == 2 * order + 5 and 0.5 * most <= a.network.size.weights <= most


def test_plans_are_read_back_from_files(tmp_path):
    a = built(3, 5, 7)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    plan = read_differences(b.network, b.target)
    assert plan is not None and plan.order == 3 and difference_narrow(plan, F) == a.network
    assert b.certify().upper == a.certify().upper and b.certify().check("witness")
    assert read_differences(b.network, Target(F.text, (-1, 3))) is None


def test_planted_faults_are_caught(monkeypatch):
    a = built(3, 3, 8)
    plan, good = read_differences(a.network, F), a.certify().upper
    levels = plan.levels.copy()
    levels[12] += 2
    bent = dataclasses.replace(plan, levels=levels)
    assert (np.diff(bent.rows, 3, axis=1) + bent.shift < 2**bent.bits).all()
    assert approx.certify(difference_narrow(bent, F), F).lower > 1.5 * good
    # A schedule with a slip: gates that let through what was there before. No theorem holds for it, and none is used.
    monkeypatch.setattr(_difference_narrow, "opened", lambda unit, closed, reach: unit - reach)
    slipped = difference_narrow(plan, F)
    monkeypatch.undo()
    x = [fmpq(1, 7)]
    assert evaluate_exact(slipped, x) != evaluate_exact(a.network, x)
    assert difference_enclosure(slipped, F, Work(approx.Budget())) is None


def test_error_falls_like_the_sixth_power_of_the_weights_at_the_same_width():
    target = Target("sin(500*x)*exp(-x)")
    found = [hoelder_two_scale(target, 1, order=3, cells=10 * m, steps=m, form="narrow") for m in (16, 32)]
    sizes = [a.network.size for a in found]
    gain = np.log(found[0].certify().upper / found[1].certify().upper) / np.log(sizes[1].weights / sizes[0].weights)
    assert 5.9 < gain < 6.5 and {s.width for s in sizes} == {11}  # more weights: docs/studies.md
    assert 1.8 < sizes[1].hidden_layers / sizes[0].hidden_layers < 2


@pytest.mark.parametrize(("text", "most"), [("3*x-1", 0), ("1/7", 0), ("x**2", 11)])
def test_degenerate_functions(text, most):
    a = hoelder_two_scale(Target(text, (-1, 2)), 1e-3, order=3, form="narrow")
    assert a.network.size.width <= most and a.certify().upper <= a.bound <= 1e-3
