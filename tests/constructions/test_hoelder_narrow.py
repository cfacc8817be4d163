"""Is the narrow form of order 2 of width 6, without skips, the same function as the form with skips, and of error O(W^-4)?"""

import dataclasses

import numpy as np
import pytest
from flint import fmpq
from planted_levels import with_a_larger_error

import approx
from approx import Target
from approx.errors import InputError
from approx.evaluation import evaluate_exact
from constructions.relu import _hoelder_narrow, hoelder_two_scale
from constructions.relu._hoelder_narrow import WIDTH, hoelder_narrow, hoelder_narrow_layers, hoelder_narrow_weights
from constructions.relu._hoelder_network import hoelder_network
from constructions.relu._hoelder_plan import fit_plan
from constructions.relu._hoelder_reader import read_hoelder

F = Target("sin(7*x)*exp(-x)/(1+x**2)", (-1, 2))


def built(cells, steps, form="narrow"):
    return hoelder_two_scale(F, 1, cells=cells, steps=steps, form=form)


def places(cells, steps):
    """Random places, and the ramps before coarse nodes."""
    plan, _ = fit_plan(F, cells, steps)
    rng = np.random.default_rng(cells)
    found = [fmpq(int(n), 10**6) * 3 - 1 for n in rng.integers(0, 10**6 + 1, 30)]
    shares = fmpq(1, 3), fmpq(9, 10), fmpq(2**30 - 1, 2**30)
    return found + [3 * (k - plan.ramp * s) / cells - 1 for k in range(1, cells + 1) for s in shares]


@pytest.mark.parametrize(("cells", "steps"), [(3, 5), (5, 4), (9, 20), (33, 12)])
def test_it_is_the_function_of_the_form_with_skips_in_layers_of_width_6(cells, steps):
    a, b = built(cells, steps), built(cells, steps, "skips")
    points = places(cells, steps)
    assert evaluate_exact(a.network, points) == evaluate_exact(b.network, points)
    assert a.bound == b.bound and a.certify().upper == b.certify().upper
    assert all([block.source for block in layer.blocks] == [k] for k, layer in enumerate(a.network.layers))
    size = a.network.size
    assert size.width == WIDTH == 6 and size.hidden_layers == hoelder_narrow_layers(cells, steps)
    most = hoelder_narrow_weights(cells, steps)
    assert most - 11 * 4 - 24 * 6 - 57 <= size.weights <= most


def test_small_networks_are_certified_alike_by_their_pieces():
    a = hoelder_two_scale(Target("-(x**3) - x"), 1, cells=2, steps=3, form="narrow")
    assert a.network.size.width == WIDTH
    structural, followed = a.certify(), a.certify(method="pieces")
    assert structural.method.startswith("structure only") and structural.check("witness")
    assert structural.lower <= followed.upper and followed.lower <= structural.upper <= 1.5 * followed.upper


def test_plans_are_read_back_from_files(tmp_path):
    a = built(7, 9)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    plan = read_hoelder(b.network, b.target)
    assert plan is not None and hoelder_narrow(plan, F) == a.network
    assert b.certify().upper == a.certify().upper
    assert np.abs(b(np.linspace(-1, 2, 101)) - F(np.linspace(-1, 2, 101))).max() <= a.bound
    assert read_hoelder(b.network, Target(F.text, (-1, 3))) is None


def test_planted_faults_are_caught(monkeypatch):
    a = hoelder_two_scale(F, 1e-3, form="narrow")
    plan = read_hoelder(a.network, F)
    bent = with_a_larger_error(plan, F)
    assert approx.certify(hoelder_narrow(bent, F), F).lower > 1e-3
    # A schedule with a slip: f takes 4 T_j for 3 T_j. No theorem holds for such a network, and none is used.
    good = built(3, 5)
    monkeypatch.setattr(_hoelder_narrow, "SHIFT", 4)
    slipped = hoelder_narrow(read_hoelder(good.network, F), F)
    monkeypatch.undo()
    points = places(3, 5)
    assert slipped.size.weights == good.network.size.weights
    assert evaluate_exact(slipped, points) != evaluate_exact(good.network, points)
    assert read_hoelder(slipped, F) is None


def test_error_falls_like_the_fourth_power_of_the_weights():
    found = [hoelder_two_scale(F, eps, form="narrow") for eps in (1e-3, 1e-4, 1e-5, 1e-6)]
    weights = np.log([a.network.size.weights for a in found])
    slope = np.polyfit(weights, np.log([a.certify().upper for a in found]), 1)[0]
    assert abs(slope + 4) < 0.15  # over less than a decade; docs/studies.md has more
    depth = np.polyfit(weights, np.log([a.network.size.hidden_layers for a in found]), 1)[0]
    assert 0.9 < depth < 1.1 and {a.network.size.width for a in found} == {6}


@pytest.mark.parametrize(("text", "width"), [("3*x-1", 0), ("1/7", 0), ("x**2", 6)])
def test_degenerate_functions(text, width):
    a = hoelder_two_scale(Target(text, (-1, 2)), 1e-3, form="narrow")
    assert a.network.size.width <= width and a.certify().upper <= a.bound <= 1e-3


def test_a_plan_without_a_correction_is_a_polygon_of_width_2():
    plan, _ = fit_plan(F, 3, 2)
    flat = dataclasses.replace(plan, quantum=0.0, levels=np.zeros_like(plan.levels))
    a, b = hoelder_narrow(flat, F), hoelder_network(flat, F)
    assert a.size.width == 2 and a.size.hidden_layers == 3
    assert evaluate_exact(a, places(3, 2)) == evaluate_exact(b, places(3, 2))


def test_bad_input_is_refused_with_the_form_that_works():
    with pytest.raises(InputError, match="'skips' or 'narrow'"):
        hoelder_two_scale(F, 1e-2, form="thin")
    with pytest.raises(InputError, match="'narrow' is for rate 6"):
        hoelder_two_scale(F, 1e-2, order=3, rate=5, form="narrow")
    with pytest.raises(InputError, match=r"depth O\(W\)"):
        hoelder_two_scale(F, 1e-2, rate=3, form="narrow")
