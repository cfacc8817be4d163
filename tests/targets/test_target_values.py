"""Do floats, rationals, balls and mpmath agree on every function, and do Arb's own ball invariants hold?"""

from __future__ import annotations

import json
import math
import pickle
import random

import mpmath
import numpy as np
import pytest
from flint import arb, fmpq
from target_cases import ONE_VARIABLE, SEVERAL_VARIABLES, mpf, to_mp

from approx.errors import ExpressionError, InputError
from approx.numbers import to_fmpq, working_precision
from approx.targets import Target

IDS = [row[0] for row in ONE_VARIABLE]


def points(target: Target, count: int, seed: int = 1) -> list[fmpq]:
    rng = random.Random(seed)
    low, high = target.domain.lower[0], target.domain.upper[0]
    return [low + (high - low) * fmpq(rng.randrange(0, 2**30 + 1), 2**30) for _ in range(count)]


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=IDS)
def test_balls_contain_mpmath_and_are_sharp(text, domain, reference):
    target = Target(text, domain)
    with mpmath.workprec(400), working_precision(200):
        for point in points(target, 12):
            ball, truth = target.ball(point), reference(mpf(point))
            assert abs(to_mp(ball) - truth) <= to_mp(ball.rad()) + mpmath.mpf(2) ** -380, (text, point)
            assert to_mp(ball.rad()) < mpmath.mpf(2) ** -180 * (1 + abs(truth)), "a useless wide ball"


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=IDS)
def test_floats_agree_with_balls(text, domain, reference):
    target = Target(text, domain)
    exact = points(target, 50, seed=2)
    array = np.array([float(mpf(point)) for point in exact])
    values = target(array)
    assert values.shape == array.shape and values.dtype == np.float64
    scale = np.max(np.abs(values))
    slope = target.lipschitz() if math.isfinite(target.lipschitz()) else 1e9
    for point, value in zip(array, values, strict=True):
        with working_precision(100):
            assert abs(target.ball(to_fmpq(point)) - arb(value)) <= 60 * 2.0**-53 * (scale + slope)
    assert target(float(array[0])) == values[0] and isinstance(target(0.5), float)
    assert target(array[:, None]).shape == (50,) and target(list(array)).shape == (50,)


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=IDS)
def test_the_ball_invariants(text, domain, reference):
    """Overlap between precisions; inclusion of parts and of exact points; accuracy not lost by precision."""
    target = Target(text, domain)
    rng = random.Random(3)
    for point in points(target, 8, seed=4):
        radius = fmpq(rng.randrange(1, 1000), 10**rng.randrange(4, 9))
        with working_precision(60):
            coarse, wide = target.ball(point), target.ball(arb(point, radius))
        with working_precision(240):
            fine, wide_fine = target.ball(point), target.ball(arb(point, radius))
            part = target.ball(arb(point + radius / 3, radius / 2))
        assert coarse.overlaps(fine) and fine.rad() <= coarse.rad()
        if wide.is_finite() and target.domain.contains(arb(point, radius)):
            assert wide.overlaps(fine) and wide.overlaps(wide_fine)
            slack = wide_fine.rad() * 2.0**-20 + 2.0**-200
            assert (wide_fine + arb(0, slack)).contains(part), "inclusion must be monotone"
            inner = [point + radius * fmpq(k, 7) for k in range(-6, 7)]
            with working_precision(240):
                assert all(wide.overlaps(target.ball(other)) for other in inner)


@pytest.mark.parametrize(
    ("left", "right"),
    [("exp(x)*exp(-x)", "1"), ("sin(x)**2+cos(x)**2", "1"), ("log(exp(x))", "x"), ("sqrt(x)**2", "x"),
     ("tan(x)", "sin(x)/cos(x)"), ("sinh(2*x)", "2*sinh(x)*cosh(x)"), ("arctan(tan(x))", "x"), ("abs(x)", "max(x,-x)"),
     ("relu(x-1/2)", "(x-1/2+abs(x-1/2))/2"), ("min(x,1/2)", "-max(-x,-1/2)"), ("x**(3/2)", "x*sqrt(x)"),
     ("tanh(x)", "2*sigmoid(2*x)-1"), ("x**7", "x**3*x**4"), ("arcsin(x/2)+arccos(x/2)", "pi/2"), ("2**x", "exp(x*log(2))")],
)  # fmt: skip
def test_functional_equations_overlap(left, right):
    first, second = Target(left, ("1/10", "6/5")), Target(right, ("1/10", "6/5"))
    with working_precision(150):
        for point in points(first, 10, seed=5):
            assert first.ball(point).overlaps(second.ball(point))
            assert first.ball(point).rad() < 1e-40
            assert first.ball(arb(point, 1e-3)).overlaps(second.ball(arb(point, 1e-3)))
            for a, b in zip(first.series(point, 5), second.series(point, 5), strict=True):
                assert a.overlaps(b) and (a.rad() < 1e-35 or not a.is_finite())


def test_exact_values():
    rational = Target("(x**2 - 1/3)/(1+abs(x)) + max(x, 1/2)*min(x, 2)")
    assert rational.is_rational
    assert rational.exact(fmpq(1, 4)) == (fmpq(1, 16) - fmpq(1, 3)) / fmpq(5, 4) + fmpq(1, 8)
    assert not Target("sqrt(x)").is_rational and Target("sqrt(x)").exact(fmpq(1, 4)) == fmpq(1, 2)
    assert Target("sqrt(x)").exact(fmpq(1, 2)) is None and Target("1/x").exact(0) is None
    assert Target("exp(x)").exact(0) == 1 and Target("exp(x)").exact(1) is None
    assert Target("x**(3/2)").exact(fmpq(9, 4)) == fmpq(27, 8)
    assert Target("0.1*x").exact(1) == fmpq(1, 10), "decimals are exact, not float64"


@pytest.mark.parametrize(("text", "dimension", "reference"), SEVERAL_VARIABLES, ids=[r[0] for r in SEVERAL_VARIABLES])
def test_several_variables(text, dimension, reference):
    target = Target(text)
    assert target.dimension == dimension
    rng = np.random.default_rng(6)
    rows = rng.random((20, dimension))
    values = target(rows)
    assert values.shape == (20,) and target(rows[0]) == values[0]
    with mpmath.workprec(300), working_precision(160):
        for row, value in zip(rows, values, strict=True):
            ball, truth = target.ball(list(row)), reference(*map(mpmath.mpf, row))
            assert abs(to_mp(ball) - truth) <= to_mp(ball.rad()) + mpmath.mpf(2) ** -280
            assert ball.rad() < 1e-40 and abs(value - float(truth)) < 1e-13
            wide = target.ball([arb(float(v), 0.01) for v in row])
            assert wide.contains(ball)
    with pytest.raises(InputError):
        target(rows[:, :-1])
    with pytest.raises(InputError):
        target.ball([0.5] * (dimension + 1))


@pytest.mark.parametrize(
    "text", ["1/x", "log(x)", "1/x**2", "x**-3", "tan(x)", "sqrt(x-1/2)", "arcsin(2*x)", "x**(-1/2)", "log(x)*0", "(x-1)**0.3",
             "0/(x-1/2)", "abs(1/x)", "max(0,1/x)", "exp(1/x)", "(x-1/2)**(x)"],
)  # fmt: skip
def test_poles_and_undefined_places_fail_closed(text):
    domain = (0, 4) if text == "tan(x)" else (0, 1)
    target = Target(text, domain)
    whole = arb(2, 2) if text == "tan(x)" else arb(0.5, 0.5)
    assert not target.ball(whole).is_finite()
    assert not all(c.is_finite() for c in target.series(whole, 2))
    assert not target.slope_ball(whole).is_finite()
    assert not target.ball(arb("nan")).is_finite()


@pytest.mark.parametrize("text", [row[0] for row in ONE_VARIABLE])
def test_nan_in_gives_no_finite_answer(text):
    target = Target(text, next(row[1] for row in ONE_VARIABLE if row[0] == text))
    assert not target.ball(arb("nan")).is_finite() or text.startswith("arc")
    assert math.isnan(target(float("nan")))


def test_planted_fault_a_wrong_ball_rule_is_seen(monkeypatch):
    from approx.targets import balls

    monkeypatch.setitem(balls.UNARY, "exp", lambda ball: ball.mid().exp())
    target = Target("exp(x)")
    with working_precision(80):
        assert not target.ball(arb(0.5, 0.1)).contains(arb(0.6).exp()), "the inclusion tests above would fail"


def test_pull_back_to_the_unit_box_is_exact():
    target = Target("x**2*y - abs(x-y)", [("1/3", 2), (-1, "1/7")])
    unit = target.on_unit_box()
    assert str(unit.domain) == "[0, 1] x [0, 1]"
    for s, t in ((0, 0), (1, 1), (fmpq(1, 3), fmpq(5, 7))):
        x = fmpq(1, 3) + fmpq(5, 3) * s
        y = -1 + fmpq(8, 7) * t
        assert unit.exact([s, t]) == target.exact([x, y])


def test_files_reprs_and_copies():
    target = Target("sin(2*pi*x)*y**2 + 0.1", [(0, "1/3"), (-1, 1)])
    data = json.loads(json.dumps(target.to_dict()))
    again = Target.from_dict(data)
    assert again.tree == target.tree and again.domain == target.domain and again.text == target.text
    assert repr(target) == "Target('sin(2*pi*x)*y**2 + 1/10', domain=[0, 1/3] x [-1, 1])"
    assert r"\sin" in target.latex() and "sin" in target._repr_html_()
    target.lipschitz()
    copy = pickle.loads(pickle.dumps(target))
    assert copy.tree == target.tree and copy.domain == target.domain
    assert target.on([(0, 1), (0, 1)]).domain.upper == (1, 1)
    assert target.assumptions == ()


@pytest.mark.parametrize(
    "data", [None, {}, {"kind": "x"}, {"kind": "expression"}, {"kind": "expression", "expression": "x"}, [],
             {"kind": "expression", "expression": "x", "domain": [["0"]]},
             {"kind": "expression", "expression": "x", "domain": 3},
             {"kind": "expression", "expression": 3, "domain": [["0", "1"]]},
             {"kind": "expression", "expression": "x", "domain": [["0", "1/0"]]}],
)  # fmt: skip
def test_bad_descriptions_are_refused(data):
    with pytest.raises((InputError, ExpressionError)):
        Target.from_dict(data)


@pytest.mark.parametrize("expression", [3, None, 1.5, b"x", {"a": 1}])
def test_other_types_are_refused(expression):
    with pytest.raises(InputError, match="expression"):
        Target(expression)
