"""Are narrow networks of orders 3 and more of one width, without skips, and near their Coons patches at every x?"""

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from coons_oracle import comparison, gaps_at, places_of
from flint import fmpq
from planted_biases import with_a_moved_bias

import approx
from approx import Target
from approx.errors import InputError
from approx.evaluation import evaluate_exact
from approx.networks import Network, block, layer
from constructions.promises import promise
from constructions.relu import _coons_narrow, _coons_narrow_reader, hoelder_two_scale
from constructions.relu._coons_narrow import coons_narrow, coons_narrow_width
from constructions.relu._coons_narrow_size import coons_narrow_layers, coons_narrow_weights, narrow_costs
from constructions.relu._coons_network import coons_network
from constructions.relu._coons_plan import CoonsPlan, fit_coons
from constructions.relu._coons_reader import read_coons
from constructions.relu._line_walks import Leads, Walk, binomial, mirrored, passes
from constructions.relu._packed_lines import NarrowNumbers, PackedLines
from constructions.relu._patch_codes import classes

PLANE = Target("sin(3*x+y)*exp(-y)", [(0, 1), (-1, 2)])
CUBIC = Target("x**3*y - 2*x*y + 5*x", [("1/3", 2), (0, 1)])
HUMP = Target("cos(4*x)*cos(3*y) + 1000", [(0, 1), (0, 1)])
CUBE = Target("x**4*y*z/3 + z**5*y - x*y**3*z**2/5 + x**5 - y**4*x", [(0, 1), (-1, 2), (0, 1)])
CASES = [(PLANE, 3, 3, 3), (CUBIC, 5, 5, 3), (HUMP, 8, 3, 3), (HUMP, 3, 7, 4), (PLANE, 4, 5, 5), (CUBE, 3, 3, 3)]
WAVE = Target("sin(35*x+20*y)", [(0, 1), (0, 1)])
every_case = pytest.mark.parametrize(("f", "cells", "steps", "order"), CASES)
every_walk = pytest.mark.parametrize(("f", "cells", "steps", "order"), [*CASES[1:], (PLANE, 3, 7, 6), (CUBE, 3, 5, 5)])


def built(f, cells, steps, order, form="narrow"):
    return hoelder_two_scale(f, 1e6, cells=cells, steps=steps, order=order, form=form)


def walks(plan):
    return [Walk(one, plan.order, plan.steps, plan.dimension) for one in passes(plan.order, plan.dimension)]


# -- codes --------------------------------------------------------------------------------------------------------------


@every_walk
def test_polynomials_follow_from_the_numbers_of_a_walk(f, cells, steps, order):
    plan, _ = fit_coons(f, order, cells, steps)
    for walk in walks(plan):
        leads, largest = walk.sizes(plan)
        for q in classes(plan.dimension):
            parts = np.concatenate([p for _, p in walk.class_parts(plan, q)])
            numbers = walk.numbers(parts)
            assert np.array_equal(walk.parts_of(numbers), parts)
            assert np.array_equal(walk.parts_from(walk.class_digits(plan, q, leads)[1], leads), parts)
            assert (np.abs(parts).max(axis=tuple(range(parts.ndim - 1))) <= largest).all()
        if len(walk.one.axes) == 1 and walk.moved < numbers.shape[1]:  # one number a window: an r-th difference
            moved = [move.new for move in walk.moves() for _ in walk.counts(move, leads)]
            assert np.abs(numbers[:, moved]).max(initial=0) <= 3**5 // 2


def test_lines_go_to_and_fro_through_all_steps_of_a_patch():
    walk = Walk(passes(5, 3)[-1], 5, 5, 3)
    assert walk.one.axes == (1, 2) and walk.others == (0, 1)
    moves = list(walk.moves())
    places = [(*move.line, move.k) for move in moves]
    assert len(set(places)) == len(places) == 5 * 6 * 6
    assert all(sum(abs(x - y) for x, y in zip(p, q, strict=True)) == 1 for p, q in pairwise(places))


def test_places_from_the_other_end_of_a_step():
    """sum h_b C(1 - z, b) is sum g_b C(z, b), also where b >= 2 alone are kept: functions that are 0 at 0 and 1."""
    h = [3, -1, 4, 1, -5]
    for low in (0, 2):
        for z in range(-4, 7):
            here, there = (
                sum(v * binomial(at, b) for b, v in enumerate(parts, low))
                for parts, at in ((h, 1 - z), (mirrored(h, low), z))
            )
            assert here == there


@every_walk
def test_two_numbers_step_and_are_read_exactly(f, cells, steps, order):
    """The oracle: digits to the base B of T and U, with what free steps leave below them."""
    plan, _ = fit_coons(f, order, cells, steps)
    for lines in NarrowNumbers(plan).passes:
        walk, q = lines.walk, (1, 0, 1)[: plan.dimension]
        parts = next(iter(walk.class_parts(plan, q)))[1][:1]
        numbers, at, both = walk.numbers(parts)[0].tolist(), 0, [fmpq(0), fmpq(0)]
        for move in walk.moves():
            both = [factor * t for factor, t in zip(lines.steps(move.kind), both, strict=True)]
            if move.new or move.kind in ("first", "change"):
                for vector in walk.vectors(move):
                    both[0] += numbers[at] * lines.packed(vector)
                    both[1] += numbers[at] * lines.packed(mirrored(vector, lines.low))
                    at += 1
            h = parts[walk._at(move)][0].tolist()
            for t, wanted in zip(both, (h, mirrored(h, lines.low)), strict=True):
                assert abs(t) <= lines.reach
                z = lines.whole * t + lines.centre
                for b in range(walk.top, lines.low - 1, -1):
                    digit = int((z / lines.weight(b)).floor())
                    z -= digit * lines.weight(b)
                    assert 0 <= z <= lines.weight(b) / 4  # else folding would not find the digit
                    assert digit - 2 ** (lines.bits(b) - 1) == lines.whole * wanted[b - lines.low]
        assert at == len(numbers)


def test_numbers_beyond_8_bytes_are_refused():
    walk = Walk(passes(3, 2)[0], 3, 3, 2)
    for leads in (Leads((40, 2, 2), (2, 2, 2), (1,)), Leads((39, 39, 39), (39, 39, 39), (1,))):
        digits = np.full((1, int(walk.all_counts(leads).sum())), 2)
        with pytest.raises(ValueError, match="8 bytes"):
            walk.parts_from(digits, leads)


# -- the function -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "cells", "steps", "order"), [*CASES, (PLANE, 3, 7, 6)])
def test_it_is_the_surface_at_every_point_up_to_what_is_stated(f, cells, steps, order):
    count = 9 if order < 5 and f.dimension == 2 else 3
    gap, ramps, rounding = comparison(
        f, cells, steps, order, count, coons_narrow, lambda plan: NarrowNumbers(plan).ramp
    )
    assert gap <= 1 and ramps >= count // 3 and rounding < 1e-9


@every_case
def test_layers_are_strict_the_width_is_constant_and_certificates_are_those_of_the_form_with_skips(
    f, cells, steps, order
):
    a = built(f, cells, steps, order)
    assert all([block.source for block in l.blocks] == [k] for k, l in enumerate(a.network.layers))
    assert a.network.size.width == coons_narrow_width(f.dimension) == {2: 20, 3: 28}[f.dimension]
    b = built(f, cells, steps, order, "skips")
    c, other = a.certify(), b.certify()
    assert a.bound == b.bound and c.upper == other.upper <= a.bound and c.status == other.status
    assert 0 < c.lower <= c.upper and c.method.startswith("structure only") and c.check("witness")


@pytest.mark.parametrize(
    ("f", "cells", "steps", "order"), [*CASES, (PLANE, 16, 7, 3), (HUMP, 32, 5, 4), (PLANE, 3, 7, 6)]
)
def test_weights_and_layers_are_the_declared_ones(f, cells, steps, order):
    plan, _ = fit_coons(f, order, cells, steps)
    size, most = coons_narrow(plan, f).size, coons_narrow_weights(plan, f)
    assert 0.95 * most <= size.weights <= most
    assert size.hidden_layers == coons_narrow_layers(plan, f)


def test_a_node_and_a_patch_cost_what_the_search_for_grids_presumes():
    small, large = (fit_coons(WAVE, 3, 8, m)[0] for m in (5, 9))
    node, patch = narrow_costs(3, 2)
    change = (coons_narrow(large, WAVE).size.weights - coons_narrow(small, WAVE).size.weights) / (9**2 - 5**2)
    assert 0.9 * node < change < 1.8 * node  # and O(M log W)
    wide, wider = (fit_coons(WAVE, 3, n, 3)[0] for n in (16, 32))
    change = (coons_narrow(wider, WAVE).size.weights - coons_narrow(wide, WAVE).size.weights) / (32**2 - 16**2)
    assert 0.9 * patch < change < 1.25 * patch  # and O(log W)


def test_the_error_falls_like_the_cube_of_the_weights_at_one_width():
    found = [built(WAVE, n, m, 3) for n, m in ((32, 3), (56, 5))]
    certificates = [a.certify() for a in found]
    assert all(c.upper <= a.bound for a, c in zip(found, certificates, strict=True))
    weights = [a.network.size.weights for a in found]
    error = np.polyfit(np.log(weights), np.log([c.upper for c in certificates]), 1)[0]
    assert -3.6 < error < -2.8  # over less than a decade, with O(M log W) weights; docs/studies.md has more
    assert {a.network.size.width for a in found} == {20}
    assert promise("hoelder-two-scale", WAVE, {"form": "narrow", "order": 3})[:2] == (3, 1)


def test_the_bound_holds_on_a_ladder_of_accuracies():
    for f, order, eps in ((PLANE, 3, 1e-1), (PLANE, 3, 1e-2), (PLANE, 5, 1e-2), (CUBE, 3, 3)):
        a = hoelder_two_scale(f, eps, order=order, form="narrow")
        assert a.certify().upper <= a.bound <= eps and a.network.size.width <= coons_narrow_width(f.dimension)


# -- reading, planted faults --------------------------------------------------------------------------------------------


def test_plans_are_read_back_from_files(tmp_path):
    for f, cells, steps, order in (CASES[1], CASES[5]):
        a = built(f, cells, steps, order)
        a.save(tmp_path / "a.approx")
        b = approx.load(tmp_path / "a.approx")
        plan = read_coons(b.network, b.target)
        assert plan is not None and plan.order == order and coons_narrow(plan, f) == a.network
        assert b.certify().upper == a.certify().upper
        assert read_coons(b.network, f.on([(0, 3), *f.domain][: f.dimension])) is None


def wild(levels, cells, steps, order, quantum=1.0):
    return CoonsPlan(cells, steps, 1, 0.0, quantum, levels, (0.0,) * levels.ndim, order)


@pytest.mark.parametrize(("cells", "steps", "order"), [(3, 3, 3), (4, 5, 4)])
def test_levels_of_no_smooth_function_are_a_surface_as_well(cells, steps, order):
    """The theorem is about plans, and hand-made networks have any."""
    rng, size = np.random.default_rng(order), (cells * steps,) * 2
    for levels in (rng.integers(0, 10**6, size), 10**6 * rng.integers(0, 2, size)):
        plan = wild(levels, cells, steps, order)
        ramp = NarrowNumbers(plan).ramp
        found = places_of(plan, rng, 4, Fraction(int(ramp.p), int(ramp.q)))
        assert max(gaps_at(coons_narrow(plan, HUMP), plan, HUMP, found)) <= Fraction(plan.gap())


@pytest.mark.parametrize(("order", "size"), [(3, 2**60), (4, 2**60), (5, 2**59), (5, 2**58)])
def test_levels_whose_differences_8_bytes_do_not_hold_are_refused(order, size, monkeypatch):
    """Wrapped sums made a wrong network, which the reader wrote again: of order 4, certified at 1.0955, off by 1.3665."""
    levels = np.zeros((15, 15), dtype=np.int64) + (np.arange(15) % 2)[:, None] * np.int64(size)
    plan, f = wild(levels, 3, 5, order, 1 / size), Target("0*x+0*y", [(0, 1), (0, 1)])
    with pytest.raises(ValueError, match="8 bytes"):
        coons_narrow(plan, f)
    monkeypatch.setattr(Walk, "_check_range", lambda walk, plan: None)
    network = coons_narrow(plan, f)
    monkeypatch.undo()
    assert read_coons(network, f) is None


def test_networks_that_look_like_much_finer_grids_are_turned_down_at_once(monkeypatch):
    a = built(PLANE, 3, 3, 3)
    rows = a.network.exact_rows()
    monkeypatch.setattr(_coons_narrow_reader, "grid_of", lambda slope, fold, target: (3, 1001))
    monkeypatch.setattr(Walk, "moves", lambda walk: pytest.fail("walked"))
    assert _coons_narrow_reader._read(rows, a.network, PLANE) is None


def test_weights_beyond_floats_are_not_read():
    """They were an OverflowError of certify."""
    a = built(PLANE, 3, 3, 3)
    last, pool = a.network.layers[-1], [*a.network.pool, fmpq(2) ** 1020]
    (part,) = last.blocks
    ids, floats = part.values.ids.copy(), part.values.floats.copy()
    ids[-1], floats[-1] = len(pool) - 1, 2.0**1020
    blocks = [block(part.source, part.indptr, part.indices, floats, ids)]
    net = Network(2, [*a.network.layers[:-1], layer("identity", last.bias.floats, blocks, last.bias.ids)], pool)
    assert read_coons(net, PLANE) is None


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
        net = with_a_moved_bias(a.network, number)
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


FAULTS = {
    # Gates that do not close.
    "reach": (PackedLines, "reach", property(lambda lines: fmpq(1))),
    # The base is so small that what is below the digits reaches them.
    "base": (PackedLines, "place", property(lambda lines: max(map(lines.bits, range(lines.low, lines.walk.top + 1))))),
    # Of steps between patches, some bubbles are forgotten.
    "windows": (_coons_narrow, "gates_of", lambda *of: [g for g in _coons_narrow_gates(*of) if g.low >= 0]),
    # Odd steps are passed in the wrong direction.
    "mirrored": (_coons_narrow, "gates_of", lambda *of: [g._replace(mirrored=False) for g in _coons_narrow_gates(*of)]),
    "products": (_coons_narrow, "product_levels", lambda numbers, most: 2),
}
_coons_narrow_gates = _coons_narrow.gates_of


@pytest.mark.parametrize("fault", FAULTS)
def test_schedules_with_a_slip_are_no_networks_of_this_form(fault, monkeypatch):
    plan, _ = fit_coons(PLANE, 4, 3, 5)
    found = places_of(plan, np.random.default_rng(1), 6, Fraction(1, 2**20))
    assert max(gaps_at(coons_narrow(plan, PLANE), plan, PLANE, found)) <= Fraction(plan.gap())
    monkeypatch.setattr(*FAULTS[fault])
    slipped = coons_narrow(plan, PLANE)
    monkeypatch.undo()
    assert max(gaps_at(slipped, plan, PLANE, found)) > Fraction(plan.gap()) and read_coons(slipped, PLANE) is None


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
