"""Networks read as ReLUs and whole squares: the reading is exact, the enclosures hold, planted faults are caught."""

import dataclasses

import numpy as np
import pytest
from flint import fmpq
from random_networks import any_network

from approx import Budget, Target, certify
from approx.certification import gadget_forms
from approx.certification.affine_forms import affine_forms
from approx.certification.axis_kinks import axis_kinks
from approx.certification.gadget_forms import GadgetForms
from approx.certification.gadgets import read
from approx.certification.pieces import Program
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, Values
from constructions.relu.local_taylor import local_taylor
from constructions.relu.product import product, product_form, product_of, product_on_box
from constructions.relu.square import square, square_form


def box(d, low=-1, high=1):
    return [(fmpq(low), fmpq(high))] * d


def sawtooth(z, m):
    """F_m(z) for rational z."""
    k = int(z.p) * 2**m // int(z.q)
    return (2 * k + 1) * z / 2**m - fmpq(k * (k + 1), 4**m)


def value(reading, point):
    """The output of a reading in exact arithmetic."""
    values = dict(enumerate(point))
    for n, node in enumerate(reading.nodes):
        z = node.form.get(-1, fmpq(0)) + sum((w * values[k] for k, w in node.form.items() if k >= 0), fmpq(0))
        if node.levels is None:
            values[reading.inputs + n] = max(z, fmpq(0))
        else:
            values[reading.inputs + n] = sawtooth(abs(z), node.levels)
    return reading.output.get(-1, fmpq(0)) + sum((w * values[k] for k, w in reading.output.items() if k >= 0), fmpq(0))


def triple():
    return product_of(3, 4)[0]


def nested():
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    return b.build([product_on_box(b, product_form(b, x, y, 3), x - y, 4, (-1, 1), (-2, 2)) + b.relu(x - fmpq(1, 3))])


READ = [
    (product(1), 2, 2),
    (product(5), 2, 2),
    (product(4, 1, "paper"), 2, 3),
    (triple(), 3, 4),
    (nested(), 2, 4),
    (square(6, (-1, 1), centred=True), 1, 1),
]


@pytest.mark.parametrize("net, d, squares", READ)
def test_the_reading_is_the_network(net, d, squares):
    reading = read(net, box(d))
    assert reading.squares == squares and len(reading.nodes) < net.size.units
    rng = np.random.default_rng(d)
    points = [[fmpq(int(t), 999) for t in row] for row in rng.integers(-999, 1000, (40, d))]
    for point, exact in zip(points, evaluate_exact(net, points), strict=True):
        assert value(reading, point) == exact


def test_a_local_taylor_network_is_read_exactly():
    f = Target("exp(-(x**2+y**2))", [(0, 1)] * 2)
    net = local_taylor(f, 0.05, order=2).network
    reading = read(net, box(2, 0, 1))
    assert reading.squares > 4
    rng = np.random.default_rng(0)
    points = [[fmpq(int(t), 997) for t in row] for row in rng.integers(0, 998, (20, 2))]
    for point, exact in zip(points, evaluate_exact(net, points), strict=True):
        assert value(reading, point) == exact


def inside(forms, net, rng, d, half, low=-1.0, high=1.0, count=300):
    """The largest excess of |net - affine part| over e at random points of random boxes, and the mean e."""
    centre = rng.uniform(low + half, high - half, (count, d))
    p, a, e, _ = forms(centre, np.full((count, d), half))
    u = rng.uniform(-1, 1, (count, d))
    u[::2] = np.sign(u[::2])
    values = np.asarray(net(centre + half * u)).ravel()
    return float((np.abs(values - p - (a * u).sum(axis=1)) - e).max()), float(e.mean())


@pytest.mark.parametrize("net, d, squares", READ)
@pytest.mark.parametrize("half", [0.7, 0.1, 0.003])
def test_forms_contain_the_network_on_boxes(net, d, squares, half):
    forms = GadgetForms(read(net, box(d)))
    excess, _ = inside(forms, net, np.random.default_rng(1), d, half)
    assert excess <= 1e-13


@pytest.mark.parametrize("half", [0.9, 0.3])
def test_forms_hold_where_promises_are_broken(half):
    """Read for [-1, 1], asked on [-1.3, 1.3]: z leaves [0, 1] there, and the drift has to cover what that does."""
    net = product(4)
    forms = GadgetForms(read(net, box(2)))
    excess, _ = inside(forms, net, np.random.default_rng(1), 2, half, -1.3, 1.3)
    assert excess <= 1e-13


def test_planted_fault_without_drift_and_distance_the_forms_are_wrong_there(monkeypatch):
    net = product(4)
    reading = read(net, box(2))
    monkeypatch.setattr(gadget_forms, "square_chord", lambda *a: _honest_chord(*a) * [[[1]], [[1]], [[0.5]]])
    forms = GadgetForms(dataclasses.replace(reading, promises=[]))
    excess, _ = inside(forms, net, np.random.default_rng(1), 2, 0.05, -1.3, 1.3)
    assert excess > 1e-3


_honest_chord = gadget_forms.square_chord


def test_the_gadgets_are_far_sharper_than_the_units_and_exact_between_knots():
    net = nested()
    gadgets, units = GadgetForms(read(net, box(2))), lambda c, h: affine_forms(Program(net), c, h)
    sharp, plain = (inside(f, net, np.random.default_rng(2), 2, 0.05)[1] for f in (gadgets, units))
    assert sharp < 0.1 * plain
    _, tiny = inside(gadgets, net, np.random.default_rng(2), 2, 1e-9)
    assert tiny < 1e-8


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_are_read_as_what_they_are(seed):
    rng = np.random.default_rng(seed)
    net = any_network(rng, 2, 6, 3)
    reading = read(net, box(2))
    points = [[fmpq(int(t), 64) for t in row] for row in rng.integers(-64, 65, (10, 2))]
    for point, exact in zip(points, evaluate_exact(net, points), strict=True):
        assert value(reading, point) == exact
    excess, _ = inside(GadgetForms(reading), net, rng, 2, 0.2)
    assert excess <= 1e-11


def changed(net, number, factor):
    layers, seen = [], 0
    for l in net.layers:
        blocks = []
        for b in l.blocks:
            floats = b.values.floats.copy()
            if seen <= number < seen + len(floats):
                floats[number - seen] *= factor
            seen += len(floats)
            blocks.append(dataclasses.replace(b, values=Values(floats)))
        layers.append(dataclasses.replace(l, blocks=tuple(blocks)))
    return Network(net.inputs, layers)


@pytest.mark.parametrize("factor", [1.5, -1.0, 0.75])
def test_networks_with_a_changed_weight_are_enclosed_as_well(factor):
    net = product(3)
    for number in range(sum(b.count for l in net.layers for b in l.blocks)):
        other = changed(net, number, factor)
        excess, _ = inside(GadgetForms(read(other, box(2))), other, np.random.default_rng(number), 2, 0.2, count=100)
        assert excess <= 1e-12


def test_squares_of_very_many_levels():
    net = square(60, (-1, 1))
    forms = GadgetForms(read(net, box(1)))
    excess, mean = inside(forms, net, np.random.default_rng(0), 1, 2.0**-12)
    assert excess <= 1e-13 and mean < 2.0**-22


def test_kinks_along_the_axes_are_found():
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    first = b.relu(3 * x - 1)
    net = b.build([b.relu(first - fmpq(1, 2)) + b.relu(x - y) + b.relu(y - fmpq(1, 4))])
    [along_x, along_y] = axis_kinks(net, [[0.0, 1.0], [0.0, 1.0]])
    assert np.allclose(along_x, [1 / 3, 1 / 2]) and np.allclose(along_y, [1 / 4])


def test_local_taylor_in_three_variables_is_enclosed_within_seconds():
    f = Target("exp(-(x**2+y**2+z**2))", [(0, 1)] * 3)
    a = local_taylor(f, 0.1, order=2)
    c = certify(a.network, f, rtol=0.5, budget=Budget(seconds=60, regions=4_000))
    assert c.lower <= c.upper <= 0.1 and c.check("regions")


def test_a_product_of_four_factors_by_boxes():
    net, error = product_of(4, 2)
    names = "x1*x2*x3*x4"
    c = certify(net, Target(names, [(-1, 1)] * 4), rtol=0.5, budget=Budget(seconds=60, regions=40_000))
    assert 0 < c.lower <= float(error) and c.lower <= c.upper < 4 * float(error)


def test_one_square_form_read_by_two_rows_is_one_node():
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    s = square_form(b, b.relu(x), 3)
    net = b.build([b.relu(s - y) + 2 * s])
    assert read(net, box(2, 0, 1)).squares == 1
