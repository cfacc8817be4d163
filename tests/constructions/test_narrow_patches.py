"""Are narrow networks of two and three variables strict, of constant width, and equal to the two-scale networks?"""

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.errors import InputError, UnreachableError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Network, block, layer
from constructions.relu import deep_two_scale, narrow
from constructions.relu._patch_codes import lead_digits
from constructions.relu._patch_narrow import narrow_layers, narrow_width
from constructions.relu._patch_reader import read_patches

PLANE = Target("abs(x-1/3)+abs(y-x/2)/2", [(0, 1), (-1, 2)])
SPACE = Target("abs(x-y)+abs(z-x)/3-y*z", [(0, 1), (0, 2), (0, 1)])
CASES = [(PLANE, 3, 3), (PLANE, 5, 5), (PLANE, 11, 3), (SPACE, 3, 3), (SPACE, 5, 3)]


@pytest.mark.parametrize(("f", "cells", "steps"), CASES)
def test_every_layer_reads_the_one_before_it_and_the_width_is_constant(f, cells, steps):
    net, d = narrow(f, 1, cells=cells, steps=steps).network, f.dimension
    assert all([b.source for b in l.blocks] == [k] for k, l in enumerate(net.layers))
    assert net.size.width == narrow_width(d) == {2: 12, 3: 15}[d] <= 2 * d + 10
    lead = lead_digits(read_patches(net, f))
    assert net.size.hidden_layers == narrow_layers(d, cells, steps, lead)
    per_patch, per_digit = {2: (12, 60), 3: (16, 80)}[d]
    fixed = 2**d * (200 + lead * per_digit)
    assert net.size.weights <= per_patch * 1.5 * cells**d + 2**d * per_digit * steps**d + fixed


@pytest.mark.parametrize(("f", "cells", "steps"), CASES)
def test_it_is_the_same_function_as_the_two_scale_network(f, cells, steps):
    a, b = (build(f, 1, cells=cells, steps=steps) for build in (narrow, deep_two_scale))
    rng = np.random.default_rng(cells)
    pieces = cells * steps - 1
    shares = [[fmpq(int(n), 10**6) for n in rng.integers(0, 10**6 + 1, f.dimension)] for _ in range(12)]
    shares += [[fmpq(int(n), pieces) for n in rng.integers(0, pieces + 1, f.dimension)] for _ in range(6)]
    edges = rng.integers(1, cells, (6, f.dimension)).tolist()
    shares += [[(n * steps - fmpq(1, 3)) / pieces for n in edge] for edge in edges]  # between patches
    points = [[low + (high - low) * s for s, (low, high) in zip(p, f.domain, strict=True)] for p in shares]
    assert evaluate_exact(a.network, points) == evaluate_exact(b.network, points)
    c = a.certify()
    assert a.bound == b.bound and c.upper == b.certify().upper <= a.bound
    assert c.status == "tight" and c.check("witness")


def _largest(parts):
    text = "0"
    for part in parts:
        text = f"max({text},{part})"
    return text


def test_the_width_does_not_grow_and_the_error_falls_like_the_inverse_of_the_weights():
    parts = []
    for z in "xy":
        for k in range(6):  # the distance to the Cantor set, along each axis
            z = f"abs({z}-1/{3**k if k else 2})"
            parts.append(f"1/{2 * 3 ** (k + 1)}-{z}")
    f = Target(_largest(parts))
    weights, errors = [], []
    for cells, steps in ((8, 3), (16, 5), (30, 7)):
        a = narrow(f, 1, cells=cells, steps=steps)
        c = a.certify()
        assert c.status == "tight" and c.upper <= a.bound and a.network.size.width == 12
        weights.append(a.network.size.weights)
        errors.append(c.upper)
    assert -1.4 < np.polyfit(np.log(weights), np.log(errors), 1)[0] < -0.9


def test_an_accuracy_is_met_and_a_point_is_evaluated_by_structure():
    a = narrow(PLANE, 0.2)
    assert a.certify().upper <= a.bound <= 0.2
    b = narrow(PLANE, 1, cells=4, steps=7)
    with pytest.raises(UnsupportedError, match="last digits"):
        b.network(np.array([[0.1, 0.2]]))
    assert abs(b([[0.1, 0.2]])[0] - PLANE([[0.1, 0.2]])[0]) <= b.bound


def test_a_changed_weight_is_caught():
    a = narrow(PLANE, 1, cells=4, steps=3)
    plan, honest = read_patches(a.network, PLANE), a.certify().upper
    points = [[fmpq(k, 7), fmpq(3 * l, 7) - 1] for k in range(8) for l in range(8)]
    exact, caught = [PLANE.exact(p) for p in points], 0
    numbers = range(1, len(a.network.layers) - 1, 19)
    for number in numbers:
        l = a.network.layers[number]
        b = l.blocks[0]
        value = 2 * b.values.exact(a.network.pool)[-1]
        pool, ids, floats = [*a.network.pool, value], b.values.ids.copy(), b.values.floats.copy()
        ids[-1], floats[-1] = len(pool) - 1, 2 * floats[-1]
        wrong = layer("relu", l.bias.floats, [block(b.source, b.indptr, b.indices, floats, ids)], l.bias.ids)
        net = Network(2, [*a.network.layers[:number], wrong, *a.network.layers[number + 1 :]], pool)
        other = read_patches(net, PLANE)
        assert other is None or not np.array_equal(other.levels, plan.levels)
        error = max(abs(float(e - v)) for e, v in zip(exact, evaluate_exact(net, points), strict=True))
        caught += error > honest
    assert caught >= len(numbers) // 2 >= 4


def test_constants_and_bad_input():
    a = narrow(Target("3/7", [(0, 1)] * 3), 1e-2)
    assert a.network.size.weights == 1 and a.certify().upper < 1e-15
    with pytest.raises(InputError, match="odd integer"):
        narrow(PLANE, 1, cells=4, steps=4)
    with pytest.raises(InputError, match="cells"):
        narrow(PLANE, 1, cells=2, steps=3)
    with pytest.raises(UnreachableError, match="fine nodes"):
        narrow(PLANE, 1e-7)
    assert isinstance(approx.certify(narrow(PLANE, 1, cells=3, steps=3).network, PLANE).upper, float)
