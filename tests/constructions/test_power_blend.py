"""Networks of max(t, 0)^p read as blended cell polynomials: exactly what they are, tightly enclosed, faults caught."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Budget, Target, certify
from approx.certification.budget import Work
from approx.evaluation import evaluate_exact
from approx.networks import Network, Values
from approx.numbers import float_up, to_fmpq
from constructions.relu import power_taylor
from constructions.relu._power_enclosure import BlendSearch
from constructions.relu._power_reader import read_blend

UNIT = Target("exp(x)*sin(3*y)", [(0, 1)] * 2)
SHIFTED = Target("exp(x)*sin(3*y)", [("1/3", 2), (-1, "1/7")])
LINE = Target("sin(5*x)*exp(-x)", ("-1/3", 2))
SPACE = Target("sin(x + y*z)", [(0, 1)] * 3)
WORD = "structure only (cell polynomials"


def sampled(a, count=20_000):
    ends = a.target.domain.floats()
    x = np.random.default_rng(5).uniform(ends[:, 0], ends[:, 1], (count, a.target.dimension))
    f = a.target(x if a.target.dimension > 1 else x[:, 0])
    return float(np.abs(np.asarray(f) - a.network(x)).max())


@pytest.mark.parametrize(
    ("target", "order", "cells", "power"),
    [
        (UNIT, 2, 2, 2),
        (UNIT, 4, 9, 2),
        (UNIT, 3, 4, 3),
        (SHIFTED, 3, 7, 2),
        (SPACE, 3, 4, 2),
        (LINE, 2, 9, 2),
        (LINE, 4, 60, 2),
        (LINE, 12, 3, 2),
        (LINE, 5, 8, 3),
    ],
)
def test_the_certificate_is_tight_and_below_the_bound(target, order, cells, power):
    a = power_taylor(target, 1e3, order=order, cells=cells, power=power)
    c = a.certify(rtol=0.02)
    assert c.status == "tight" and c.method.startswith(WORD)
    assert 0.5 * c.lower <= sampled(a) <= c.upper <= a.bound


def blend_at(blend, point):
    """What the theorem of _cell_grid says of a point, in rational arithmetic."""
    total = fmpq(0)
    for family, table in blend.coefficients.items():
        share, local, place = fmpq(1), [], []
        for axis, parity, x in zip(blend.axes, family, point, strict=True):
            start, h = to_fmpq(axis.start), to_fmpq(axis.pitch)
            near = [
                m for m in axis.members(parity).tolist() if abs(x - start - h * (2 * m + 1) / 2) <= h * fmpq(17, 32)
            ]
            if not near:
                share = fmpq(0)
                break
            m = near[0]
            for ramp, falls in ((m, False), (m + 1, True)):  # the strips at the cell's two ends
                if 1 <= ramp <= axis.cells - 1:
                    slope = to_fmpq(float_up(to_fmpq(float_up(16 / h)) ** blend.power))
                    p, from_start = blend.power, max(x - (start + ramp * h - h / 32), fmpq(0))
                    fall = max(1 - slope * from_start**p, fmpq(0)) ** p
                    share *= fall if falls else 1 - fall
            local.append(to_fmpq(axis.scale) * (x - start - h * (2 * m + 1) / 2))
            place.append(m // 2)
        if share:
            number = np.ravel_multi_index(place, [len(a.members(p)) for a, p in zip(blend.axes, family, strict=True)])
            for alpha, values in table.items():
                total += share * to_fmpq(values[number]) * math.prod(s**k for s, k in zip(local, alpha, strict=True))
    return total


@pytest.mark.parametrize(("target", "power"), [(LINE, 2), (SHIFTED, 2), (UNIT, 3), (SPACE, 2)])
def test_what_is_read_is_the_network_in_cells_on_strips_and_at_their_crossings(target, power):
    order, cells = (3, 4) if target is not SPACE else (2, 3)
    a = power_taylor(target, 1e3, order=order, cells=cells, power=power)
    blend = read_blend(a.network, target)
    shares = [
        fmpq(0),
        fmpq(1, 64),
        fmpq(1, 2),
        1 - fmpq(1, 50),
        1 + fmpq(1, 70),
        2 - fmpq(1, 32),
        fmpq(cells) - fmpq(1, 3),
    ]
    points = [
        [to_fmpq(axis.start) + to_fmpq(axis.pitch) * s for axis, s in zip(blend.axes, place, strict=True)]
        for place in list(itertools.product(shares, repeat=target.dimension))[:: 3 if target.dimension > 1 else 1]
    ]
    points = [p for p in points if all(low <= x <= high for x, (low, high) in zip(p, target.domain, strict=True))]
    assert len(points) > 5
    assert [blend_at(blend, p) for p in points] == evaluate_exact(a.network, points)


@pytest.mark.parametrize(("power", "strips"), [(2, (0, 1)), (2, (1, 1)), (3, (1, 0)), (2, (0, 0))])
def test_boxes_are_bounded_by_the_error_at_their_points(power, strips):
    a = power_taylor(SHIFTED, 1e3, order=3, cells=4, power=power)
    blend, rng = read_blend(a.network, SHIFTED), np.random.default_rng(7)
    search = BlendSearch(blend.axes, blend.coefficients, power, SHIFTED, Work(Budget()))
    cells = rng.integers(0, 3, (12, 2))
    middle = np.where(strips, 0.5, 0.0) + rng.uniform(-1, 1, (12, 2)) * np.where(strips, 1 / 32, 15 / 32)
    points = [
        [
            to_fmpq(x.start) + to_fmpq(x.pitch) * (int(m) + fmpq(1, 2) + to_fmpq(float(u)))
            for x, m, u in zip(*row, strict=True)
        ]
        for row in zip(itertools.repeat(blend.axes), cells, middle, strict=False)
    ]
    inside = [all(low <= x <= high for x, (low, high) in zip(p, SHIFTED.domain, strict=True)) for p in points]
    exact = [
        abs(SHIFTED.ball([arb(c) for c in p]) - arb(v))
        for p, v in zip(points, evaluate_exact(a.network, points), strict=True)
    ]
    close, near = (search._bounds(strips, cells, middle, np.full((12, 2), size)) for size in (0.0, 2.0**-8))
    for error, bound, wide in zip(exact, close, near, strict=True):
        # What is left out is the remainder.
        assert abs(float(error) - bound) <= search._remainder * (1 + 1e-9) + 1e-12 and wide > bound
    assert sum(inside) >= 8


def changed(network, number, pick):
    """The network with one weight, of the layer `number`, a little larger; `pick` chooses among its weights."""
    layer = network.layers[number]
    b = layer.blocks[pick % len(layer.blocks)]
    values = np.array(b.values.floats)
    values[pick % len(values)] *= 1 + 2.0**-30
    blocks = [replace(other, values=Values(values)) if other is b else other for other in layer.blocks]
    layers = list(network.layers)
    layers[number] = replace(layer, blocks=tuple(blocks))
    return Network(network.inputs, layers, network.pool)


@pytest.mark.parametrize(("target", "order", "power"), [(LINE, 4, 2), (UNIT, 3, 2), (UNIT, 2, 3)])
def test_a_changed_weight_anywhere_is_not_taken_for_the_network(target, order, power):
    a = power_taylor(target, 100, order=order, cells=3, power=power)
    assert read_blend(a.network, target) is not None
    for number in range(len(a.network.layers)):
        for pick in (0, 3, 11):
            assert read_blend(changed(a.network, number, pick), target) is None


def multiplied(network, factor):
    """The network with every row over the indicators (layer 4) times a factor."""
    layers = list(network.layers)
    for number, layer in enumerate(layers):
        blocks = [replace(b, values=Values(factor * b.values.floats)) if b.source == 4 else b for b in layer.blocks]
        layers[number] = replace(layer, blocks=tuple(blocks))
    return Network(network.inputs, layers, network.pool)


def test_other_coefficients_are_read_as_they_are_and_refute_the_bound():
    a = power_taylor(UNIT, 1, order=3, cells=4)
    blend, other = read_blend(a.network, UNIT), multiplied(a.network, -1.0)
    found = read_blend(other, UNIT)
    assert all(np.array_equal(-t[k], found.coefficients[f][k]) for f, t in blend.coefficients.items() for k in t)
    c = certify(other, UNIT, rtol=0.02)
    assert c.method.startswith(WORD) and c.status == "tight" and c.lower > 2 * a.bound


def test_units_that_would_be_cut_off_are_not_taken_for_polynomials():
    a = power_taylor(UNIT, 1, order=3, cells=4)
    assert read_blend(multiplied(a.network, 64.0), UNIT) is None


def test_equal_coefficients_of_two_monomials_stand_for_both():
    symmetric = Target("exp(x+y)", [(0, 1)] * 2)
    a = power_taylor(symmetric, 1, order=3, cells=3)
    blend = read_blend(a.network, symmetric)
    assert all(len(table) == 6 for table in blend.coefficients.values())
    assert np.array_equal(blend.coefficients[0, 0][0, 1], blend.coefficients[0, 0][1, 0])
    c = a.certify(rtol=0.02)
    assert c.status == "tight" and c.method.startswith(WORD)


def test_a_polynomial_of_low_degree_is_found_to_be_exact():
    plane = Target("x*y + 2*x - 1/3", [(0, 1)] * 2)
    c = power_taylor(plane, 1, order=3, cells=3).certify(atol=1e-12)
    assert c.status == "tight" and c.upper <= 1e-14


def test_no_other_target_and_no_stopped_clock_makes_a_certificate_too_small():
    a = power_taylor(UNIT, 1, order=2, cells=4)
    kink = Target("abs(x-1/3)+y", [(0, 1)] * 2)
    c = certify(a.network, kink, budget=Budget(seconds=1))
    seen = float(np.abs(np.asarray(kink(np.array([[1 / 3, 1.0]]))) - a.network(np.array([[1 / 3, 1.0]]))).max())
    assert c.upper >= seen and not c.method.startswith(WORD)
    few = a.certify(budget=Budget(regions=40))
    assert few.upper >= a.certify().lower and few.lower <= a.certify().upper
