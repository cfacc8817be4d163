"""Do callables with declared regularity and sympy expressions make honest targets?"""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest
from flint import arb, fmpq

from approx.errors import DomainError, ExpressionError, InputError, MissingExtraError, RegularityError, UnsupportedError
from approx.numbers import working_precision
from approx.targets import CallableTarget, Regularity, Target, taylor_cover


def sine() -> Target:
    declared = Regularity(lipschitz=1.0, derivative_bounds={2: 1.0, 3: 1.0}, evaluation_error=1e-15)
    return Target(np.sin, domain=(0, 2), regularity=declared)


def test_callables_are_targets_with_assumptions():
    target = sine()
    assert isinstance(target, CallableTarget) and isinstance(target, Target)
    assert target.dimension == 1 and target.domain.upper == (2,) and "sin" in target.text
    assert any("|f(x) - f(y)| <= 1.0" in s for s in target.assumptions) and len(target.assumptions) == 4
    assert not target.is_rational and target.exact(0) is None and target.ellipse() is None and target.split_points() == []
    assert "sin" in repr(target) and "sin" in target.latex()


def test_callable_enclosures_follow_from_the_declaration():
    target = sine()
    with working_precision(80):
        for centre, radius in ((1.0, 0.0), (0.3, 0.1), (1.99, 0.01)):
            ball = target.ball(arb(centre, radius))
            assert ball.contains(arb(centre).sin()) and ball.contains((arb(centre) - radius).sin())
            assert ball.rad() <= radius * 1.01 + 1e-14
        series = target.series(arb(1, 0.01), 4)
        assert series[2].contains(-arb(1).sin() / 2) and series[2].rad() < 0.51 and not series[4].is_finite()
    assert target.derivative_bound(2) == 1.0 and target.derivative_bound(4) == math.inf and target.derivative_bound(1) == 1.0
    assert target.lipschitz() == 1.0 and target.hoelder() == (1.0, 1.0) and 0.1 <= target.modulus(0.1) < 0.1001


def test_values_of_vectorised_and_scalar_callables():
    def one_point(p):
        return math.exp(p[0] * p[1])

    for function in (lambda p: np.exp(p[:, 0] * p[:, 1]), one_point):
        target = Target(function, [(0, 1)] * 2, regularity=Regularity(lipschitz=2 * math.e))
        rows = np.random.default_rng(14).random((7, 2))
        assert target(rows) == pytest.approx(np.exp(rows[:, 0] * rows[:, 1])) and target(rows).shape == (7,)
        assert target(rows[0]) == pytest.approx(math.exp(rows[0, 0] * rows[0, 1]))
        jets = target.jet_float(np.array([[0.5, 0.25]]), 2)
        assert jets[(1, 0)][0] == pytest.approx(0.25 * math.exp(0.125), rel=1e-6)
        assert jets[(1, 1)][0] == pytest.approx(1.125 * math.exp(0.125), rel=1e-5)
    scalar = Target(math.exp, (0, 1), regularity=Regularity(lipschitz=3))
    assert scalar(0.5) == math.exp(0.5) and scalar([0.0, 1.0]).tolist() == [1.0, math.e]


def test_without_a_declaration_nothing_is_proved():
    target = Target(np.cos, (0, 1))
    with working_precision(64):
        assert not target.ball(arb(0.5, 0.1)).is_finite() and target.ball(0.5).is_finite()
        assert not target.slope_ball(0.5).is_finite()
    assert target.lipschitz() == math.inf
    with pytest.raises(RegularityError, match="declared"):
        target.hoelder()


def test_nan_from_a_callable_fails_closed():
    target = Target(lambda x: x * math.nan, (0, 1), regularity=Regularity(lipschitz=1))
    assert not target.ball(0.5).is_finite()


def test_callable_regularity_scales_to_the_unit_box():
    unit = sine().on_unit_box()
    assert unit.lipschitz() == pytest.approx(2.0) and unit.derivative_bound(3) == pytest.approx(8.0)
    assert unit(0.5) == pytest.approx(math.sin(1.0))
    hoelder = Target(np.sqrt, (0, 4), regularity=Regularity(hoelder=(0.5, 1.0))).on_unit_box().hoelder()
    assert hoelder[0] == 0.5 and 2.0 <= hoelder[1] <= 2.0001


def test_callable_covers_are_sound():
    target = sine()
    cover = taylor_cover(target, fmpq(0), fmpq(2), 1e-3, max_cells=3000)
    x = np.linspace(0.01, 1.99, 101)
    value, error = cover.value(x, cover.cell_of(x))
    assert np.all(np.abs(value - np.sin(x)) <= error)


def test_files_pickles_and_parts_of_callables():
    target = sine()
    copy = pickle.loads(pickle.dumps(target))
    assert copy.assumptions == target.assumptions and copy(1.0) == target(1.0)
    with pytest.raises(UnsupportedError, match="not stored"):
        Target.from_dict(target.to_dict())
    assert target.on((0, 1)).domain.upper == (1,)
    with pytest.raises(DomainError):
        target.on((0, 3))


@pytest.mark.parametrize(
    "arguments", [{"lipschitz": -1.0}, {"lipschitz": math.nan}, {"hoelder": (2.0, 1.0)}, {"hoelder": (0.5, math.inf)},
                  {"derivative_bounds": {-1: 1.0}}, {"derivative_bounds": {1: math.nan}}, {"evaluation_error": -1.0}]
)  # fmt: skip
def test_bad_declarations_are_refused(arguments):
    with pytest.raises(InputError):
        Regularity(**arguments)


def test_declarations_belong_to_callables_of_that_dimension():
    with pytest.raises(InputError, match="regularity"):
        Target("x", regularity=Regularity(lipschitz=1))
    with pytest.raises(InputError):
        Target(np.sin, (0, 1), regularity=Regularity(derivative_bounds={(1, 0): 1.0}))
    with pytest.raises(InputError):
        Target(np.sin, (0, 1), regularity="smooth")


def test_sympy_expressions_become_the_same_trees():
    sympy = pytest.importorskip("sympy")
    x, y, x3 = sympy.symbols("x y x3")
    pairs = [
        (sympy.sin(x) * sympy.exp(-x) / (1 + x**2), "sin(x)*exp(-x)/(1+x**2)"),
        (sympy.Max(x, sympy.Rational(1, 3)), "max(x,1/3)"),
        (sympy.sqrt(x * y), "sqrt(x*y)"), (x**sympy.pi, "x**pi"), (sympy.Abs(x - sympy.Rational(1, 3)), "abs(x-1/3)"),
        (sympy.E**x + x3, "exp(x)+x3"), (1 / x, "1/x"), (sympy.Float(0.5) * x, "x/2"), (sympy.Min(x, y, 2), "min(x,y,2)"),
        (sympy.erf(x) - sympy.atan(y) + sympy.log(x + 1), "erf(x)-arctan(y)+log(x+1)"), (sympy.Integer(2), "2"),
    ]  # fmt: skip
    for expression, text in pairs:
        ours, written = Target(expression, [("1/10", 1)] * 3), Target(text, [("1/10", 1)] * 3)
        with working_precision(120):
            point = [fmpq(3, 10), fmpq(1, 2), fmpq(7, 9)]
            assert ours.ball(point).overlaps(written.ball(point)) and ours.ball(point).rad() < 1e-30, text


def test_a_sympy_float_is_the_binary_number_it_is():
    sympy = pytest.importorskip("sympy")
    assert Target(sympy.Float(0.1) * sympy.Symbol("x")).exact(1) == fmpq(*(0.1).as_integer_ratio())


def test_what_sympy_has_and_the_grammar_has_not():
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    deep = x
    for _ in range(300):
        deep = sympy.sin(deep, evaluate=False)
    pieces = sympy.Piecewise((x, x > 0), (0, True))
    for expression in (sympy.gamma(x), sympy.Symbol("t"), sympy.I * x, pieces, deep, sympy.oo + x):
        with pytest.raises(ExpressionError):
            Target(expression)
    with pytest.raises(ExpressionError):
        Target(sympy.Eq(x, 1))


def test_without_sympy_the_message_names_the_extra(monkeypatch):
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(MissingExtraError, match="sympy"):
        Target(x + 1)
