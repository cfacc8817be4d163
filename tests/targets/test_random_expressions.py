"""Do the sound evaluations agree on random expressions? Points in balls, series against recurrences, slopes, covers, bounds."""

from __future__ import annotations

import math

import numpy as np
from flint import arb, fmpq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approx.errors import ApproxError, ExpressionError
from approx.numbers import working_precision
from approx.targets import Target, taylor_cover, tree
from approx.targets.jet_arithmetic import ball_jet

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
small = st.fractions(min_value=-3, max_value=3, max_denominator=7).map(lambda v: tree.Number(fmpq(v.numerator, v.denominator)))
exponents = st.sampled_from([-2, -1, 2, 3, 4, fmpq(1, 2), fmpq(1, 3), fmpq(-1, 2), fmpq(5, 2), fmpq(7, 3)])


def _attempt(make):
    def safely(parts):
        try:
            return make(*parts)
        except ExpressionError:
            return parts[0]

    return safely


def _grow(inner):
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(_attempt(lambda a, b: tree.add((a, b)))),
        two.map(_attempt(lambda a, b: tree.multiply((a, b)))),
        two.map(_attempt(tree.divide)),
        two.map(_attempt(tree.subtract)),
        two.map(_attempt(tree.maximum)),
        two.map(_attempt(tree.minimum)),
        two.map(_attempt(tree.power)),
        st.tuples(inner, exponents).map(_attempt(lambda a, q: tree.power(a, tree.Number(fmpq(q))))),
        st.tuples(st.sampled_from(tree.FUNCTIONS), inner).map(_attempt(tree.function)),
    )


def expressions(*names: int):
    leaves = st.one_of(small, *[st.just(tree.Variable(index)) for index in names for _ in range(2)])
    return st.recursive(leaves, _grow, max_leaves=8)


parts = st.integers(1, 63).map(lambda k: fmpq(k, 64))
radii = st.sampled_from([fmpq(1, 1000), fmpq(1, 40), fmpq(1, 8)])


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(expressions(0), parts, radii, st.integers(-8, 8))
def test_one_variable(node, centre, radius, step):
    target = Target(node)
    inner = centre + radius * fmpq(step, 9)
    with working_precision(100):
        box = arb(centre, radius)
        wide, exact = target.series(box, 4), target.series(inner, 4)
        other = ball_jet(target.program, [box], 4, target._is_defined)
        slope = target.slope_ball(box)
        for k, (a, b) in enumerate(zip(wide, exact, strict=True)):
            if a.is_finite() and target.domain.contains(inner):
                assert not b.is_finite() or a.overlaps(b), (target, k)
                assert not other[(k,)].is_finite() or a.overlaps(other[(k,)]), (target, k)
        if wide[0].is_finite() and exact[0].is_finite():
            assert target.ball(box).overlaps(exact[0]), target
            value = target(float(inner.p) / float(inner.q))
            if math.isfinite(value) and abs(value) < 1e6 and exact[0].rad() < 1e-6 and wide[1].is_finite():
                tolerance = 1e-6 * (1 + abs(value)) + 1e-12 * float(wide[1].abs_upper())
                assert abs(value - float(exact[0])) <= tolerance, target
        if slope.is_finite() and exact[1].is_finite() and target.domain.contains(inner):
            assert slope.overlaps(exact[1]), target


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(expressions(0, 1), parts, parts, radii)
def test_two_variables(node, first, second, radius):
    target = Target(node, [(0, 1)] * 2)
    with working_precision(100):
        box = [arb(first, radius), arb(second, radius)]
        packed, slow = target.jet(box, 3), ball_jet(target.program, box, 3, target._is_defined)
        exact = target.jet([first, second + radius / 3], 3)
        for alpha, ball in packed.items():
            if ball.is_finite():
                assert not slow[alpha].is_finite() or ball.overlaps(slow[alpha]), (target, alpha)
                inside = target.domain.contains((first, second + radius / 3))
                assert not inside or not exact[alpha].is_finite() or ball.overlaps(exact[alpha]), (target, alpha)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(expressions(0), st.sampled_from([1e-4, 1e-10]))
def test_covers_and_bounds(node, tolerance):
    target = Target(node)
    try:
        target.check_defined()
    except ApproxError:
        return
    cover = taylor_cover(target, fmpq(0), fmpq(1), tolerance, max_cells=300)
    x = np.concatenate([np.linspace(0, 1, 23), cover.edges[::7]])
    cell = cover.cell_of(x)
    value, error = cover.value(x, cell)
    hi, lo, error_dd = cover.value_dd(x, np.zeros_like(x), cell)
    lipschitz, curvature = target.lipschitz(), target.derivative_bound(2)
    with working_precision(150):
        for i, point in enumerate(x.tolist()):
            truth = target.ball(point)
            if not truth.is_finite():
                continue
            assert math.isnan(error[i]) or (abs(truth - arb(value[i])).lower() <= error[i]), (target, point)
            assert math.isnan(error_dd[i]) or (abs(truth - arb(hi[i]) - arb(lo[i])).lower() <= error_dd[i]), (target, point)
            assert not math.isnan(error[i]) and not math.isnan(error_dd[i])
            jet = target.series(point, 2)
            if jet[2].is_finite():
                assert abs(jet[1]).lower() <= lipschitz and (2 * abs(jet[2])).lower() <= curvature, (target, point)
