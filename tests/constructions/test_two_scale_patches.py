"""Are two-scale networks of two and three variables the interpolants that they are said to be, at every point?"""

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.certification.budget import Work
from approx.errors import InputError, RegularityError, UnreachableError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from approx.numbers import to_fmpq
from constructions.relu import deep_two_scale
from constructions.relu._node_values import node_values
from constructions.relu._patch_codes import (
    addresses,
    class_digits,
    classes,
    folds,
    lead_digits,
    places,
    put_levels,
    snake,
)
from constructions.relu._patch_enclosure import PatchSearch, patch_values
from constructions.relu._patch_network import patch_network, patch_weights
from constructions.relu._patch_plan import fit_patches
from constructions.relu._patch_reader import read_patches
from constructions.relu._patch_search import coded_digits, patch_grid
from constructions.relu._reflected import reflected_values
from constructions.relu._step_slopes import step_slopes

PLANE = Target("abs(x-1/3)+abs(y-x/2)/2", [(0, 1), (-1, 2)])
SPACE = Target("abs(x-y)+abs(z-x)/3-y*z", [(0, 1), (0, 2), (0, 1)])
CASES = [(PLANE, 5, 3), (PLANE, 6, 5), (PLANE, 11, 3), (PLANE, 3, 7), (SPACE, 4, 3), (SPACE, 3, 3)]


def dust(variable, levels):
    """The distance to the Cantor set: the largest of hats whose argument is folded again and again. Lipschitz 1."""
    z, text = variable, "0"
    for k in range(1, levels + 1):
        z = f"abs({z}-1/{2 if k == 1 else 3 ** (k - 1)})"
        text = f"max({text},1/{2 * 3**k}-{z})"
    return text


ROUGH = Target(f"max({dust('x', 6)},{dust('y', 6)})", [(0, 1), (0, 1)])


def interpolant(plan, place):
    """P at a place in [0, 1]^d by definition: sort the distances from the vertex of even coordinates."""
    t = [p * plan.pieces for p in place]
    even = [2 * round(Fraction(c) / 2) for c in t]
    u = [abs(c - e) for c, e in zip(t, even, strict=True)]
    vertex, ordered = list(even), sorted(range(len(t)), key=lambda k: -u[k])
    levels = [u[k] for k in ordered] + [0]
    value = (1 - levels[0]) * int(plan.levels[tuple(min(v, plan.pieces) for v in vertex)])
    for i, k in enumerate(ordered):
        vertex[k] += 1 if t[k] >= even[k] else -1
        if levels[i] > levels[i + 1]:
            value += (levels[i] - levels[i + 1]) * int(plan.levels[tuple(vertex)])
    return Fraction(plan.base) + Fraction(plan.quantum) * value


def points_of(plan, rng, count):
    """Places anywhere, at nodes, and between patches, as fractions."""
    d, scale = plan.dimension, 10**6
    anywhere = [[Fraction(int(n), scale) for n in rng.integers(0, scale + 1, d)] for _ in range(count)]
    nodes = [[Fraction(int(n), plan.pieces) for n in rng.integers(0, plan.pieces + 1, d)] for _ in range(count)]
    edges = []
    for _ in range(count):
        p, part = rng.integers(1, plan.cells, d), rng.integers(0, 12, d)
        edges.append([(int(n) * plan.steps - Fraction(int(a), 11)) / plan.pieces for n, a in zip(p, part, strict=True)])
    return anywhere + nodes + edges


# -- the function -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "cells", "steps"), CASES)
@pytest.mark.parametrize("codes", [1, 2])
def test_the_network_is_the_interpolant_at_every_point(f, cells, steps, codes):
    plan = dataclasses.replace(fit_patches(f, cells, steps)[0], codes=codes)
    found = points_of(plan, np.random.default_rng(cells * steps), 12)
    inside = [
        [low + (high - low) * fmpq(p.numerator, p.denominator) for p, (low, high) in zip(place, f.domain, strict=True)]
        for place in found
    ]
    for value, place in zip(evaluate_exact(patch_network(plan, f), inside), found, strict=True):
        assert Fraction(int(value.p), int(value.q)) == interpolant(plan, place)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_reflected_interpolation_reproduces_nodes_linear_functions_and_symmetry(d):
    rng = np.random.default_rng(d)
    places_found = rng.random((200, d)) * 5
    nodes = np.stack(np.meshgrid(*[np.arange(6.0)] * d, indexing="ij"), axis=-1)
    linear = nodes @ np.arange(1, d + 1) + 1
    assert np.abs(reflected_values(linear, places_found) - places_found @ np.arange(1, d + 1) - 1).max() < 1e-13
    values = rng.integers(0, 9, (6,) * d)
    assert np.array_equal(reflected_values(values, nodes.reshape(-1, d)), values.ravel())
    mirrored = places_found.copy()
    mirrored[:, 0] = 4 - np.minimum(places_found[:, 0], 4)  # the reflection in the plane of an integer coordinate
    kept = np.where(places_found[:, 0] <= 4)[0]
    turned = values[4::-1]
    assert (
        np.abs(reflected_values(turned, mirrored[kept]) - reflected_values(values[:5], places_found[kept])).max()
        < 1e-13
    )


def test_paths_addresses_and_places():
    for steps, d in [(3, 1), (3, 2), (5, 3)]:
        path = snake(steps, d)
        assert len({tuple(p) for p in path.tolist()}) == steps**d and not path[0].any()
        assert (np.abs(np.diff(path, axis=0)).sum(axis=1) == 1).all()
    for cells in range(3, 20):
        for q in classes(2):
            found = np.sort(addresses(cells, q))
            assert len(set(found.tolist())) == len(found) and found[0] == 0 and found[-1] < 4 ** folds(cells)
            assert set(places(found)) >= {int(a) for a, b in itertools.pairwise(found) if b == a + 1}


@pytest.mark.parametrize(("f", "cells", "steps"), CASES)
def test_digits_and_levels_belong_together(f, cells, steps):
    plan, error = fit_patches(f, cells, steps)
    lead, levels = lead_digits(plan), np.full_like(plan.levels, -1)
    for q in classes(f.dimension):
        put_levels(levels, cells, steps, q, lead, class_digits(plan, q, lead)[1])
    assert np.array_equal(levels, plan.levels)
    assert error <= plan.quantum / 2 * (1 + 1e-9)


def test_nodal_values_and_slopes_are_enclosed_in_the_plane():
    f = Target("max(x*y, abs(x-1/3))-y**2/3", [(0, 1), (-1, 1)])
    index = np.stack(np.unravel_index(np.arange(0, 1600, 7), (40, 40)), axis=-1)
    values, error = node_values(f, index, 40)
    exact = [f.exact([fmpq(a, 40), fmpq(2 * b, 40) - 1]) for a, b in index.tolist()]
    assert max(abs(float(e.p) / float(e.q) - v) for e, v in zip(exact, values, strict=True)) <= error < 1e-13
    least, greatest = step_slopes(f, index, 40)
    assert least.shape == (2, len(index))
    corner = (index + np.array([0.3, 0.1])) / 40 * [1, 2] - [0, 1]
    for k, step in enumerate(([0.01, 0], [0, 0.01])):
        slope = (np.asarray(f(corner + step)) - np.asarray(f(corner))) / 0.01
        assert (slope <= greatest[k] + 1e-9).all() and (slope >= least[k] - 1e-9).all()


@pytest.mark.parametrize("total", [7, 7 / 4])
def test_slopes_enclose_exact_ones_however_their_numbers_are_rounded(total):
    """1/10, 1/3, ... are no float64 numbers: slopes have to be enclosed without any tolerance."""
    f = Target("y/10 - (0.3*x + (2/3)*y)*0.7 + abs(0.1*x - 5)*0.01", [(0, 1), (0, 1)])
    least, greatest = step_slopes(f, np.stack(np.meshgrid(range(2), range(2)), axis=-1).reshape(-1, 2), total)
    for k, exact in enumerate((fmpq(-21, 100) - fmpq(1, 1000), fmpq(1, 10) - fmpq(7, 15))):
        assert all(to_fmpq(v) <= exact for v in least[k].tolist()) and all(
            exact <= to_fmpq(v) for v in greatest[k].tolist()
        )
        assert (greatest[k] - least[k] < 1e-12).all()


# -- certificates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "cells", "steps"), CASES)
def test_certificates_enclose_what_a_fine_grid_shows(f, cells, steps):
    a = deep_two_scale(f, 1, cells=cells, steps=steps)
    c = a.certify()
    assert c.status == "tight" and c.method.startswith("structure only") and c.check("witness")
    assert 0 < c.lower <= c.upper <= a.bound
    ends = f.domain.floats()
    sample = ends[:, 0] + np.random.default_rng(1).random((20_000, f.dimension)) * (ends[:, 1] - ends[:, 0])
    seen = np.abs(a(sample) - f(sample)).max()
    assert 0.7 * c.upper < seen <= c.upper


def test_the_search_is_right_where_the_error_is_known():
    """f itself is an interpolant of a finer grid: all extremes of the error are at its nodes."""
    f = Target("abs(x-1/2)+abs(y-1/4)/3", [(0, 1), (0, 1)])
    plan, _ = fit_patches(f, 3, 3)  # 8 steps: both kinks lie on grid lines, f is linear on all cells
    nodes = np.stack(np.meshgrid(np.arange(9), np.arange(9), indexing="ij"), axis=-1).reshape(-1, 2)
    worst = np.abs(f(nodes / 8) - patch_values(plan, f, nodes / 8)).max()
    assert worst <= PatchSearch(plan, f, Work(approx.Budget())).upper <= 1.0041 * worst


def test_targets_that_are_not_rational_are_certified_by_their_modulus():
    f = Target("sqrt(abs(x-y))", [(0, 1), (0, 1)])
    a = deep_two_scale(f, 1, cells=4, steps=3)
    c = a.certify(budget=approx.Budget(regions=20_000))  # balls: 10 us each
    assert 0 < c.lower <= c.upper <= a.bound and c.check("witness") and c.status == "budget"


def test_codes_beyond_33_digits_are_exact_and_refused_in_float64():
    a = deep_two_scale(ROUGH, 1, cells=8, steps=7)
    assert a.parameters["digits"] == coded_digits(read_patches(a.network, ROUGH)) > 48 and a.parameters["codes"] == 1
    assert a.certify().upper <= a.bound
    with pytest.raises(UnsupportedError, match="last digits of a code"):
        a.network(np.array([[0.3, 0.4]]))
    x = np.random.default_rng(0).random((300, 2))
    assert np.abs(a(x) - ROUGH(x)).max() <= a.bound  # by its structure


@pytest.mark.parametrize(("f", "cells", "steps"), [(ROUGH, 20, 7), (SPACE, 5, 3)])
def test_float64_execution_finds_every_digit(f, cells, steps):
    a = deep_two_scale(f, 1, cells=cells, steps=steps, arithmetic="float64")
    plan = read_patches(a.network, f)
    ends = f.domain.floats()
    x = ends[:, 0] + np.random.default_rng(0).random((3000, f.dimension)) * (ends[:, 1] - ends[:, 0])
    assert plan.codes > 1 and np.abs(a.network(x) - patch_values(plan, f, x)).max() < 1e-11


# -- size and rate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "cells", "steps"), [*CASES, (ROUGH, 20, 5), (ROUGH, 9, 9)])
def test_weights_are_within_the_declared_count(f, cells, steps):
    for codes in (1, 3):
        plan = dataclasses.replace(fit_patches(f, cells, steps)[0], codes=codes)
        size = patch_network(plan, f).size
        most = patch_weights(f.dimension, cells, steps, codes, lead_digits(plan))
        assert 0.8 * most <= size.weights <= most
        assert size.hidden_layers <= 3 * coded_digits(plan) + folds(cells) + 10


def test_the_error_falls_like_the_inverse_of_the_weights():
    weights, errors = [], []
    for cells, steps in ((12, 3), (24, 5), (40, 9)):
        a = deep_two_scale(ROUGH, 1, cells=cells, steps=steps)
        c = a.certify()
        assert c.status == "tight" and c.upper <= a.bound <= 1.5 * c.upper
        weights.append(a.network.size.weights)
        errors.append(c.upper)
    slope = np.polyfit(np.log(weights), np.log(errors), 1)[0]
    assert -1.35 < slope < -0.9


def test_a_smaller_rate_is_shallower():
    deep, shallow = (deep_two_scale(ROUGH, 6e-3, rate=rate) for rate in (2, 1.3))
    assert deep.bound <= 6e-3 and shallow.bound <= 6e-3
    assert 2 * shallow.network.size.hidden_layers < deep.network.size.hidden_layers


def test_grids_balance_codes_and_digits():
    for d, balance in ((2, 35.0), (3, 75.0)):
        cells, steps = patch_grid(400, 2.0, d, balance)
        assert cells * steps >= 400 and steps % 2 == 1
        assert 0.25 <= cells**d / (balance * steps**d) <= 4


# -- planted faults -----------------------------------------------------------------------------------------------------


def changed(net, unit, change):
    """The network with another bias at the unit of this number."""
    b = Builder(net.inputs)
    forms = [b.input(k) for k in range(net.inputs)]
    rows = net.exact_rows()
    for number, (activation, bias, terms) in enumerate(rows):
        form = sum((w * forms[u] for u, w in terms), change(bias) if number == unit else bias)
        forms.append(b.unit(form, activation) if number < len(rows) - 1 else form)
    return b.build(forms[-1:])


def test_changed_weights_are_caught():
    """Every bias that is moved takes the network out of its form; most of them show on a few points."""
    a = deep_two_scale(PLANE, 1, cells=4, steps=3)
    net, honest, plan = a.network, a.certify().upper, read_patches(a.network, PLANE)
    rows = net.exact_rows()
    assert changed(net, 5, lambda bias: bias).exact_rows() == rows
    x = [[fmpq(k, 7), fmpq(3 * l, 7) - 1] for k in range(8) for l in range(8)]
    exact = [PLANE.exact(p) for p in x]
    seen, units = 0, [k for k, (_, bias, terms) in enumerate(rows) if bias != 0 and terms][::37]
    for unit in units:
        wrong = changed(net, unit, lambda bias: bias + 1)
        other = read_patches(wrong, PLANE)  # a bias of the output, or of a code, makes another network of this form
        assert other is None or not np.array_equal(other.levels, plan.levels) or other.base != plan.base
        seen += max(abs(float(e - v)) for e, v in zip(exact, evaluate_exact(wrong, x), strict=True)) > honest
    assert len(units) > 5 and seen >= len(units) // 2


def test_changed_levels_are_another_network_and_certified_as_such():
    plan, _ = fit_patches(PLANE, 4, 3)
    honest = approx.certify(patch_network(plan, PLANE), PLANE)
    wrong = []
    for node in np.ndindex(plan.levels.shape):
        levels = plan.levels.copy()
        levels[node] += 2 * (levels[node] == 0) - 1
        if max(np.abs(np.diff(levels, axis=k)).max() for k in (0, 1)) <= 1:
            changed_plan = dataclasses.replace(plan, levels=levels)
            place = np.array([node]) / 11 * [1, 3] - [0, 1]
            [error] = np.abs(PLANE(place) - patch_values(changed_plan, PLANE, place))
            wrong.append((error, changed_plan))
    assert len(wrong) >= 4
    wrong.sort(key=lambda pair: -pair[0])
    found = [approx.certify(patch_network(w, PLANE), PLANE) for _, w in wrong[:3]]
    assert all(c.status == "tight" and c.check("witness") for c in found)
    assert max(c.lower for c in found) > 1.2 * honest.upper


# -- degenerate and bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
def test_constants_need_no_digits(d):
    f = Target("3/7", [(0, 1)] * d)
    a = deep_two_scale(f, 1e-3)
    assert a.network.size.weights == 1 and a.certify().upper < 1e-15 and a.bound < 1e-14


def test_functions_of_one_of_the_variables_and_tiny_ones():
    for text in ("y", "x/1000000000", "1000000*abs(x-1/3)+1000000000"):
        f = Target(text, [(0, 1), (0, 1)])
        a = deep_two_scale(f, 1, cells=3, steps=3)
        c = a.certify()
        assert c.lower <= c.upper <= a.bound and (c.status == "tight" or c.upper < 1e-13)


def test_saving_keeps_long_codes(tmp_path):
    a = deep_two_scale(ROUGH, 1, cells=4, steps=7)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    assert b.network == a.network and b.certify().upper == a.certify().upper


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rate": 2.5}, "VC dimension, P18"),
        ({"rate": 1}, "simplicial"),
        ({"cells": 2, "steps": 3}, "cells"),
        ({"cells": 4, "steps": 4}, "odd integer"),
        ({"cells": 4, "steps": 1}, "odd integer"),
        ({"cells": 4}, "steps"),
        ({"cells": 4, "steps": 5, "arithmetic": "double"}, "arithmetic"),
        ({"cells": 8, "steps": 7, "arithmetic": "float64", "digits": 40}, "arithmetic='exact' holds any number"),
        ({"cells": 4, "steps": 5, "digits": 0}, "digits"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        deep_two_scale(ROUGH, 1e-2, **options)


def test_targets_that_do_not_apply_are_refused():
    with pytest.raises(RegularityError, match="1 to 3 variables"):
        deep_two_scale(Target("x1+x2+x3+x4"), 1e-2)
    with pytest.raises(UnreachableError, match="fine nodes"):
        deep_two_scale(ROUGH, 1e-6)
    assert math.isfinite(deep_two_scale(ROUGH, 1e-1).bound)
