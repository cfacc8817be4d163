"""Are narrow networks of width 7, without skips, and the same functions as the two-scale networks?"""

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.errors import InputError, RegularityError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Network, block, layer
from constructions.relu import deep_two_scale, narrow
from constructions.relu._narrow_network import WIDTH
from constructions.relu._strict_layers import INPUT, StrictLayers
from constructions.relu._two_scale_reader import read_plan

F = Target("abs(x-1/3) + abs(abs(x-1/2)-1/7)/2", (-1, 2))


@pytest.mark.parametrize(("cells", "steps"), [(2, 3), (5, 4), (9, 20), (33, 10), (64, 40)])
def test_every_layer_reads_the_one_before_it_and_is_narrow(cells, steps):
    a = narrow(F, 1, cells=cells, steps=steps)
    assert all([b.source for b in l.blocks] == [k] for k, l in enumerate(a.network.layers))
    assert a.network.size.width == WIDTH == 7 <= 2 * 1 + 10
    assert a.network.size.hidden_layers == 2 * (cells - 1).bit_length() + cells + 3 * steps + 3
    assert a.network.size.weights <= 11 * cells + 37 * steps + 24 * (cells - 1).bit_length() + 20


@pytest.mark.parametrize(("cells", "steps"), [(2, 3), (7, 9), (8, 50)])
def test_it_is_the_same_function_as_the_two_scale_network(cells, steps):
    a, b = (build(F, 1, cells=cells, steps=steps) for build in (narrow, deep_two_scale))
    rng = np.random.default_rng(cells)
    points = [fmpq(int(n), 10**6) * 3 - 1 for n in rng.integers(0, 10**6 + 1, 30)]
    points += [fmpq(3 * k, cells) - 1 - fmpq(1, 2**20) for k in range(1, cells + 1)]  # on the ramps, too
    assert evaluate_exact(a.network, points) == evaluate_exact(b.network, points)
    assert a.bound == b.bound and a.certify().upper == b.certify().upper <= a.bound


def test_small_networks_are_certified_alike_by_their_pieces():
    a = narrow(F, 1, cells=3, steps=3)
    structural, followed = a.certify(), a.certify(method="pieces")
    assert structural.method.startswith("structure only") and structural.check("witness")
    assert structural.lower <= followed.upper and followed.lower <= structural.upper <= 1.02 * followed.upper


def test_the_error_falls_like_the_inverse_square_of_the_weights():
    y, terms = "x", []
    for k in range(1, 9):
        y = f"(3/2*(1-abs(2*{y}-1)))"
        terms.append(f"3**-{k}*max({y}-1,0)")
    f, weights, errors = Target("+".join(terms)), [], []
    for cells in (25, 50, 100, 200):
        a = narrow(f, 1, cells=cells, steps=cells // 3)
        c = a.certify()
        assert c.status == "tight" and c.upper <= a.bound and a.network.size.width == 7
        weights.append(a.network.size.weights)
        errors.append(c.upper)
    assert -2.3 < np.polyfit(np.log(weights), np.log(errors), 1)[0] < -1.8


def test_an_accuracy_is_met():
    a = narrow(F, 2e-3)
    assert a.certify().upper <= a.bound <= 2e-3
    with pytest.raises(UnsupportedError, match="last digits"):
        narrow(F, 1, cells=4, steps=60).network(np.array([0.1]))


def test_a_changed_weight_is_caught():
    """One step of f_1, one code, one test of a digit: each fault leaves the form, or shows in the certificate."""
    a = narrow(F, 1, cells=6, steps=8)
    honest = a.certify().upper
    caught = 0
    for number in (4, 8, 9, 14, 20, 30):
        l = a.network.layers[number]
        b = l.blocks[0]
        exact = b.values.exact(a.network.pool)
        exact[-1] = exact[-1] * 2
        pool = [*a.network.pool, exact[-1]]
        ids, floats = b.values.ids.copy(), b.values.floats.copy()
        ids[-1], floats[-1] = len(pool) - 1, 2 * floats[-1]
        wrong = layer("relu", l.bias.floats, [block(b.source, b.indptr, b.indices, floats, ids)], l.bias.ids)
        layers = [*a.network.layers[:number], wrong, *a.network.layers[number + 1 :]]
        net = Network(1, layers, pool)
        points = [fmpq(k, 100) - 1 for k in range(301)]
        error = max(abs(float(F.exact([x]) - v)) for x, v in zip(points, evaluate_exact(net, points), strict=True))
        assert read_plan(net, F) is None
        caught += error > honest
    assert caught >= 5


@pytest.mark.parametrize("text", ["3/7", "1 - 2*x"])
def test_functions_without_a_remainder(text):
    a = narrow(Target(text), 1, cells=2, steps=2)
    assert a.network.size.weights <= 3 and a.certify().upper < 1e-12


def test_a_strict_layer_cannot_reach_back():
    net = StrictLayers()
    net.relu(a=(0, {INPUT: 1}))
    net.relu(b=(0, {"a": 1}))
    with pytest.raises(KeyError):
        net.relu(c=(0, {"a": 1}))


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="cells"):
        narrow(F, 1, cells=1, steps=2)
    with pytest.raises(InputError, match="eps"):
        narrow(F, -1)
    with pytest.raises(RegularityError, match="1 to 3 variables"):
        narrow(Target("x1*x2*x3*x4"), 1e-2)
    assert isinstance(approx.certify(narrow(F, 1, cells=2, steps=2).network, "x").upper, float)
