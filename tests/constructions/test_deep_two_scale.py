"""Do two-scale networks compute the polygons that their plans say, digit by digit, at the rate W^-2 and with proved errors?"""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, linear_combination
from approx.numbers import to_arb, to_fmpq, working_precision
from constructions.relu import deep_two_scale
from constructions.relu._digits import FLOAT64_DIGITS, decode, encode, float64_digits, read_digits
from constructions.relu._node_values import node_values
from constructions.relu._step_slopes import step_slopes
from constructions.relu._two_scale_network import plan_network, two_scale_weights
from constructions.relu._two_scale_plan import cell_steps, fit_plan, levels_of, polygon_values
from constructions.relu._two_scale_reader import read_plan


def cantor_distance(levels):
    """The distance to the (levels-th) Cantor set: Lipschitz 1, equally rough at all its scales."""
    y, terms = "x", []
    for k in range(1, levels + 1):
        y = f"(3/2*(1-abs(2*{y}-1)))"
        terms.append(f"3**-{k}*max({y}-1,0)")
    return "+".join(terms)


ROUGH = Target(cantor_distance(6) + "+ abs(abs(x-1/3)-1/5)/2")


def exact_polygon(plan, place):
    """P at a rational place in [0, 1], from the plan's numbers."""
    at = place * plan.cells * plan.steps
    k = min(math.floor(at), plan.cells * plan.steps - 1)

    def node(j):
        i, r = divmod(j, plan.steps)
        left = Fraction(plan.coarse[i])
        rise = Fraction(plan.coarse[i + 1]) - left if r else Fraction(0)
        return left + rise * Fraction(r, plan.steps) + Fraction(plan.quantum) * int(plan.levels[j])

    return node(k) + (node(k + 1) - node(k)) * (at - k)


# -- digits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 33, 34, 80])
def test_digits_are_read_exactly_however_many(count):
    rng = np.random.default_rng(count)
    digits = rng.integers(0, 3, (6, count))
    digits[0], digits[1] = 0, 2
    b = Builder(1)
    outputs = [first + second for first, second in read_digits(b, b.relu(b.input()), count)]
    net = b.build(outputs)
    found = evaluate_exact(net, [encode(row) for row in digits])
    found = [[value] for value in found] if count == 1 else found
    assert [[int(v) for v in row] for row in found] == digits.tolist()
    assert all((decode(encode(row), count) == row).all() for row in digits)
    if count <= FLOAT64_DIGITS:
        assert (net(np.array([float(encode(row)) for row in digits])).reshape(6, count) == digits).all()


def test_between_codes_the_indicators_stay_in_the_unit_interval():
    b = Builder(1)
    net = b.build([form for pair in read_digits(b, b.relu(b.input()), 4) for form in pair])
    values = evaluate_exact(net, [fmpq(k, 7) for k in range(0, 700, 3)])
    assert all(0 <= v <= 1 for row in values for v in row)


def test_codes_are_refused_when_they_are_none():
    with pytest.raises(InputError, match="digits"):
        encode(np.array([0, 3]))
    with pytest.raises(InputError, match="code"):
        decode(9, 2)
    assert encode(np.array([], dtype=int)) == 0 and len(decode(0, 0)) == 0
    assert float64_digits(2) == 31 and float64_digits(1024) == 20


# -- the network is its polygon ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cells", "steps", "digits"), [(2, 1, 1), (2, 3, 2), (5, 4, 4), (9, 7, 3), (4, 60, 60)])
def test_the_network_is_the_polygon_exactly_off_the_ramps(cells, steps, digits):
    f = Target(ROUGH.text, (-1, 2))
    plan, _ = fit_plan(f, cells, steps, digits)
    net = plan_network(plan, f)
    rng = np.random.default_rng(3)
    places = [Fraction(int(n), 10**5) for n in rng.integers(0, 10**5 + 1, 60)] + [Fraction(k, cells) for k in range(cells + 1)]
    ramp = Fraction(int(plan.ramp.p), int(plan.ramp.q))
    places += [(k - ramp) / cells for k in range(1, cells + 1)]  # where the ramps begin
    for place in places:
        cell = place * cells
        if 0 < math.ceil(cell) - cell < ramp:
            continue
        [value] = evaluate_exact(net, [fmpq(place.numerator, place.denominator) * 3 - 1])
        assert Fraction(int(value.p), int(value.q)) == exact_polygon(plan, place)


def test_on_the_ramps_it_stays_within_the_gap():
    plan, _ = fit_plan(ROUGH, 5, 9, 9)
    net, ramp = plan_network(plan, ROUGH), Fraction(int(plan.ramp.p), int(plan.ramp.q))
    differences = []
    for node in range(1, 6):
        for part in range(1, 16):
            place = (node - ramp * Fraction(part, 16)) / 5
            [value] = evaluate_exact(net, [fmpq(place.numerator, place.denominator)])
            differences.append(abs(float(Fraction(int(value.p), int(value.q)) - exact_polygon(plan, place))))
    assert 0 < max(differences) <= plan.gap_at_ramps() <= plan.quantum / 4096


def test_digits_and_levels_belong_together():
    plan, _ = fit_plan(ROUGH, 7, 8, 8)
    assert plan.corrected and np.array_equal(levels_of(cell_steps(plan)), plan.levels)
    wrong = cell_steps(plan)
    wrong[3, 2] = (wrong[3, 2] + 1) % 3
    assert levels_of(wrong) is None


@pytest.mark.parametrize("text", ["abs(x-1/3)", "x**2*(1-x)", "max(x, 1/2) - 3*x", "min(x*x, relu(x-1/4))+1/7", "exp(x)"])
def test_nodal_values_and_slopes_are_enclosed(text):
    f = Target(text, (0, 2))
    index = np.arange(0, 1000, 7)
    values, error = node_values(f, index, 1000)
    with working_precision(120):
        for k, value in zip(index.tolist(), values.tolist(), strict=True):
            assert abs(f.ball([to_arb(fmpq(k, 500))]) - to_arb(value)) <= error * (1 + 1e-9)
    assert error < 1e-13
    least, greatest = step_slopes(f, index, 1000)
    inner = np.asarray(f((index + 0.7) / 500)) - np.asarray(f((index + 0.2) / 500))
    assert (inner * 1000 <= greatest + 1e-9).all() and (inner * 1000 >= least - 1e-9).all()


def test_rounding_alone_is_enclosed():
    """Dyadic points and numbers: nothing but the rounding of the operations is left to be bounded."""
    f = Target("x*x*x*(x + 3)*(x - 1/4)**5")
    index = np.arange(1, 1024, 5)
    values, error = node_values(f, index, 1024)
    gaps = [abs(f.exact([fmpq(k, 1024)]) - to_fmpq(v)) for k, v in zip(index.tolist(), values.tolist(), strict=True)]
    assert 0 < max(gaps) <= to_fmpq(error) and error < 1e-12


# -- certificates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cells", "steps", "digits"), [(3, 2, 1), (3, 4, 2)])
def test_structure_and_pieces_agree_on_small_networks(cells, steps, digits):
    a = deep_two_scale(ROUGH, 1, cells=cells, steps=steps, digits=digits)
    structural = a.certify()
    followed = a.certify(method="pieces", rtol=0.01)
    assert structural.method.startswith("structure only") and structural.status == "tight"
    assert structural.lower <= followed.upper and followed.lower <= structural.upper
    assert structural.upper <= 1.02 * followed.upper and structural.upper <= a.bound
    assert structural.check("witness")


def test_codes_of_200_digits_are_certified_and_float64_is_refused():
    a = deep_two_scale(ROUGH, 1, cells=20, steps=200)
    assert (a.parameters["digits"], a.parameters["codes"]) == (200, 1)
    c = a.certify()
    assert c.status == "tight" and c.upper <= a.bound
    with pytest.raises(UnsupportedError, match="last digits of a code"):
        a.network(np.array([0.3]))
    x = np.linspace(0, 1, 500)
    assert np.abs(a(x) - ROUGH(x)).max() <= c.upper  # by its structure
    [value] = evaluate_exact(a.network, [fmpq(3, 7)])
    assert abs(float(value.p) / float(value.q) - float(a(3 / 7))) < 1e-12


def test_float64_execution_finds_every_digit():
    a = deep_two_scale(ROUGH, 1, cells=64, steps=60, arithmetic="float64")
    plan = read_plan(a.network, ROUGH)
    x = np.random.default_rng(0).random(3000)
    assert plan is not None and plan.codes == 3
    assert np.abs(a.network(x) - polygon_values(plan, x * 64 * 60)).max() < 1e-12


def test_weights_are_within_the_declared_count():
    for cells, steps, digits in [(8, 4, 4), (40, 11, 11), (64, 60, 20), (300, 75, 75)]:
        a = deep_two_scale(ROUGH, 1, cells=cells, steps=steps, digits=digits)
        most = two_scale_weights(cells, steps, -(-steps // digits))
        assert 0.6 * most <= a.network.size.weights <= most
        assert a.network.size.hidden_layers <= 3 * steps + 2 * math.ceil(math.log2(cells)) + 6


def test_the_error_falls_like_the_inverse_square_of_the_weights():
    weights, errors = [], []
    f = Target(cantor_distance(9))
    for cells in (31, 62, 124, 248):
        a = deep_two_scale(f, 1, cells=cells, steps=cells // 4 + 1)
        c = a.certify()
        assert c.status == "tight" and c.upper <= a.bound
        weights.append(a.network.size.weights)
        errors.append(c.upper)
    slope = np.polyfit(np.log(weights), np.log(errors), 1)[0]
    assert -2.25 < slope < -1.8


def test_a_smaller_rate_is_shallower():
    deep, shallow = (deep_two_scale(ROUGH, 5e-4, rate=rate) for rate in (2, 1.3))
    assert deep.bound <= 5e-4 and shallow.bound <= 5e-4
    assert shallow.network.size.hidden_layers < deep.network.size.hidden_layers
    assert deep.network.size.weights < shallow.network.size.weights


# -- planted faults ---------------------------------------------------------------------------------------------------------


def _replaced(net, layer, row, value):
    """The network with another bias at one unit."""
    b = Builder(1)
    forms = [b.input()]
    starts = np.cumsum([0] + [l.units for l in net.layers])
    for number, (activation, bias, terms) in enumerate(net.exact_rows()):
        form = linear_combination([(w, forms[u]) for u, w in terms], value(bias) if number == starts[layer] + row else bias)
        forms.append(form if number >= starts[-2] else b.unit(form, activation))
    return b.build(forms[-net.outputs :])


def _first_code_layer(net, plan):
    return 2 * (plan.cells - 1).bit_length() + 2


def test_a_flipped_digit_is_caught():
    a = deep_two_scale(ROUGH, 1, cells=6, steps=8)
    plan = read_plan(a.network, ROUGH)
    layer = _first_code_layer(a.network, plan)
    assert _replaced(a.network, layer, 0, lambda bias: bias) == a.network
    wrong = _replaced(a.network, layer, 0, lambda bias: bias + 3**5)  # all codes move: digits change in every cell
    assert read_plan(wrong, ROUGH) is None
    points = [fmpq(k, 480) for k in range(481)]
    error = max(abs(float(ROUGH.exact([x]) - v)) for x, v in zip(points, evaluate_exact(wrong, points), strict=True))
    assert error > a.certify().upper * 1.5


def test_a_changed_pair_of_digits_is_another_polygon_and_certified_as_such():
    plan, _ = fit_plan(ROUGH, 6, 8, 8)
    changes = []
    for k in range(9, 24):
        for change in (-1, 1):
            levels = plan.levels.copy()
            levels[k] += change
            if k % 8 and np.abs(np.diff(levels)).max() <= 1:
                changes.append(levels)
    assert len(changes) > 3
    honest = approx.certify(plan_network(plan, ROUGH), ROUGH).upper
    found = [approx.certify(plan_network(dataclasses.replace(plan, levels=levels), ROUGH), ROUGH) for levels in changes]
    assert max(c.upper for c in found) > 1.2 * honest
    assert all(c.status == "tight" and c.method.startswith("structure only") and c.check("witness") for c in found)


def test_a_widened_gate_is_caught():
    a = deep_two_scale(ROUGH, 1, cells=6, steps=8)
    wrong = _replaced(a.network, 0, 0, lambda bias: bias + fmpq(1, 4))
    assert isinstance(wrong, Network) and read_plan(a.network, ROUGH) is not None
    assert read_plan(wrong, ROUGH) is None


# -- degenerate and bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["3/7", "2*x - 1", "abs(x-1/2)"])
def test_functions_without_a_remainder_need_no_digits(text):
    a = deep_two_scale(Target(text), 1, cells=2, steps=5)
    c = a.certify()
    assert a.network.size.weights <= 5 and c.upper < 1e-12 and a(0.25) == pytest.approx(float(Target(text)(0.25)))


def test_saving_keeps_long_codes(tmp_path):
    a = deep_two_scale(ROUGH, 1, cells=4, steps=50)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    assert b.network == a.network and b.certify().upper == a.certify().upper


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rate": 2.5}, "VC dimension, P18"),
        ({"rate": 1}, "simplicial"),
        ({"cells": 1, "steps": 3}, "cells"),
        ({"cells": 4}, "steps"),
        ({"cells": 4, "steps": 4, "arithmetic": "double"}, "arithmetic"),
        ({"cells": 64, "steps": 64, "arithmetic": "float64", "digits": 34}, "arithmetic='exact'"),
        ({"cells": 4, "steps": 4, "digits": 0}, "digits"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        deep_two_scale(ROUGH, 1e-2, **options)


def test_targets_that_do_not_apply_are_refused():
    with pytest.raises(RegularityError, match="1 to 3 variables"):
        deep_two_scale(Target("x1+x2+x3+x4"), 1e-2)
    with pytest.raises(UnreachableError, match="fine nodes"):
        deep_two_scale(ROUGH, 1e-12)


def test_an_approximant_in_exact_arithmetic_is_evaluated_by_its_structure():
    """The codes fit into float64, but sums of hinges lose their digits there."""
    a = deep_two_scale(ROUGH, 1, cells=400, steps=30)
    places = [fmpq(k, 2**20) for k in range(1, 2**20, 54_321)]
    exact = [float(v.p) / float(v.q) for v in evaluate_exact(a.network, places)]
    found = np.asarray(a(np.array([float(x.p) / float(x.q) for x in places])))
    assert np.abs(found - exact).max() < 1e-12
