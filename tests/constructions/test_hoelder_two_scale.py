"""Do two-scale networks with coded second differences compute their polygon everywhere, at error O(W^-4)?"""

import dataclasses
import functools

import numpy as np
import pytest
from flint import fmpq
from planted_levels import with_a_larger_error

import approx
from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from approx.evaluation import evaluate_exact
from approx.numbers import to_fmpq
from constructions.promises import promise
from constructions.relu import hoelder_two_scale
from constructions.relu._hoelder_network import hoelder_network, hoelder_weights, pack, unpack
from constructions.relu._hoelder_plan import SHIFT, cell_digits, levels_of
from constructions.relu._hoelder_reader import largest_parabola, read_hoelder

F = Target("sin(7*x)*exp(-x)/(1+x**2)")
CUBIC = Target("x**3 - x**2/3", (-1, 2))


@functools.cache
def built(eps, rate=4):
    return hoelder_two_scale(F, eps, rate=rate)


@pytest.mark.parametrize("target", [F, CUBIC], ids=str)
def test_the_network_is_the_polygon_of_its_plan_exactly_and_near_it_on_ramps(target):
    a = hoelder_two_scale(target, 1e-1, cells=5, steps=4)
    plan = read_hoelder(a.network, target)
    (low, high) = next(iter(target.domain))
    nodes = [to_fmpq(float(v)) for v in plan.coarse]
    for k in range(41):
        place = fmpq(k, 2)  # in fine steps: nodes and middles
        cell = min(int(place.p // place.q) // 4, 4)
        t = place - 4 * cell
        line = nodes[cell] + (nodes[cell + 1] - nodes[cell]) * t / 4
        step = min(int(place.p // place.q), 19)
        u = place - step
        level = (1 - u) * int(plan.levels[step]) + u * int(plan.levels[step + 1])
        x = low + (high - low) * place / 20
        assert evaluate_exact(a.network, [x])[0] == line + to_fmpq(plan.quantum) * level
    for cell in range(1, 5):
        for share in (fmpq(1, 3), fmpq(1, 2), fmpq(9, 10)):
            x = low + (high - low) * (cell - plan.ramp * share) / 5
            gap = abs(evaluate_exact(a.network, [x])[0] - nodes[cell])
            assert gap <= to_fmpq(plan.gap_at_ramps()) + abs(nodes[cell] - nodes[cell - 1]) * plan.ramp


def test_plans_are_read_back_and_kept_through_files(tmp_path):
    a = built(1e-4)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    plan = read_hoelder(b.network, b.target)
    assert plan is not None and hoelder_network(plan, F) == a.network
    assert b.certify().upper == a.certify().upper
    assert read_hoelder(b.network, Target(F.text, (0, 2))) is None


def test_planted_faults_are_caught():
    a = built(1e-5)
    plan = read_hoelder(a.network, F)
    bent = with_a_larger_error(plan, F)
    assert np.abs(bent.levels - plan.levels).sum() == 1
    assert approx.certify(hoelder_network(bent, F), F).lower > 1e-5
    loud = dataclasses.replace(plan, quantum=2 * plan.quantum)
    assert approx.certify(hoelder_network(loud, F), F).lower > 1e-4


def test_certificates_are_tight_and_float_values_are_the_polygons():
    a = built(1e-6)
    c = a.certify()
    assert c.status == "tight" and c.upper <= a.bound <= 1e-6 and c.check("witness")
    x = np.linspace(0, 1, 301)
    assert np.abs(a(x) - F(x)).max() <= 1e-6


def test_error_falls_like_the_fourth_power_of_the_weights():
    found = [built(eps) for eps in (1e-4, 1e-5, 1e-6, 1e-7)]
    weights = [a.network.size.weights for a in found]
    slope = np.polyfit(np.log(weights), np.log([a.certify().upper for a in found]), 1)[0]
    assert abs(slope + 4) < 0.15  # over less than a decade; docs/studies.md has 1.5
    depth = np.polyfit(np.log(weights), np.log([a.network.size.hidden_layers for a in found]), 1)[0]
    assert 0.8 < depth < 1.1
    for a in found:
        assert 0.85 * hoelder_weights(a.parameters["cells"], a.parameters["steps"]) <= a.network.size.weights
        assert a.network.size.weights <= hoelder_weights(a.parameters["cells"], a.parameters["steps"])


def test_rates_between_two_and_four_have_less_depth():
    found = [built(eps, 3) for eps in (1e-5, 1e-7)]
    sizes = [a.network.size for a in found]
    gain = np.log(found[0].bound / found[1].bound) / np.log(sizes[1].weights / sizes[0].weights)
    assert 2.7 < gain < 3.3 and sizes[1].hidden_layers < built(1e-7).network.size.hidden_layers
    assert promise("hoelder-two-scale", F, {"rate": 3})[:2] == (3, 0.5)


def test_codes_and_differences_are_inverse():
    digits = np.random.default_rng(5).integers(0, 2 * SHIFT + 1, 50)
    assert (unpack(pack(digits), 50) == digits).all()
    with pytest.raises(ValueError, match="code"):
        unpack(8**5, 5)
    plan = read_hoelder(built(1e-5).network, F)
    assert (levels_of(cell_digits(plan)) == plan.levels).all()


def test_the_largest_value_of_a_step_is_that_of_its_quadratic():
    u = np.linspace(0, 1, 2001)
    for left, right, c in np.random.default_rng(7).normal(size=(50, 3)):
        size, place = largest_parabola(np.array([left]), np.array([right]), np.array([c]))
        sampled = np.abs((1 - u) * left + u * right + c * u * (1 - u)).max()
        assert sampled <= size[0] * (1 + 1e-12) and size[0] <= sampled + 1e-5 and 0 <= place[0] <= 1


def test_bad_input_is_refused_with_the_reason():
    with pytest.raises(RegularityError, match=r"second derivative.*deep-two-scale"):
        hoelder_two_scale(Target("abs(x-1/3)"), 1e-2)
    with pytest.raises(RegularityError, match="1 to 3 variables"):
        hoelder_two_scale(Target("x1*x2*x3*x4"), 1e-2)
    with pytest.raises(InputError, match="VC dimension"):
        hoelder_two_scale(F, 1e-2, rate=5)
    with pytest.raises(InputError, match="continuously"):
        hoelder_two_scale(F, 1e-2, rate=2)
    with pytest.raises(InputError, match="deep-two-scale"):
        hoelder_two_scale(F, 1e-2, order=1)
    with pytest.raises(InputError, match="steps"):
        hoelder_two_scale(F, 1e-2, cells=4, steps=1)
    with pytest.raises(UnreachableError):
        hoelder_two_scale(F, 1e-18)
    straight = hoelder_two_scale(Target("3*x-1"), 1e-3)
    assert straight.network.size.hidden_layers <= 1 and straight.network.size.weights <= 10 and straight.bound < 1e-12
