"""Are split points found, and is a Taylor cover sound at every point, sharp, and quick?"""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest
from flint import arb, fmpq
from target_cases import KINKS, ONE_VARIABLE

from approx.errors import InputError
from approx.numbers import to_fmpq, working_precision
from approx.targets import Target, taylor_cover

MORE = [("sqrt(x)", (0, 1)), ("sqrt(x*(1-x))", ("1/3", 1)), ("abs(x)", (-1, 1)), ("x**0.1", (0, 1)), ("relu(x)", (0, 1)),
        ("1e-200*exp(x)", (0, 1)), ("1e200*sin(x)", (0, 1)), ("x**2", (0, 1)), ("5/7", (0, 1)), ("abs(sin(9*x))", (0, 3)),
        ("abs(x-1/3)*sqrt(x)", (0, 1)), ("1/(x+1e-9)", (0, 1)), ("arcsin(x)", (-1, 1)), ("x*abs(x-1/2)**3", ("1/7", "6/7")),
        ("sin(x)", ("1/3", "1000/3")), ("max(x,1-x)", (0, 1))]  # fmt: skip
CASES = [(text, domain) for text, domain, _ in ONE_VARIABLE] + MORE


@pytest.mark.parametrize(
    ("text", "domain", "places"),
    [("abs(x-1/3)", (0, 1), [1 / 3]), ("abs(x)", (-1, 1), [0]), ("abs(x)", (0, 1), []), ("sqrt(x)", (0, 1), [0]),
     ("max(0, x-1/pi)", (0, 1), [1 / math.pi]), ("abs(sin(x))", (1, 7), [math.pi, 2 * math.pi]), ("exp(x)", (0, 1), []),
     ("min(x, 1-x)", (0, 1), [0.5]), ("sqrt(1-x**2)", (-1, 1), [-1, 1]), ("arcsin(x)", (-1, 1), [-1, 1]),
     ("abs(x**2+1)", (-1, 1), []), ("max(x, 1/2)*0", (0, 1), [0.5]),
     ("relu(x-1/4)*relu(3/4-x)", (0, 1), [0.25, 0.75]), ("abs(abs(x)-1/2)", (-1, 1), [-0.5, 0, 0.5]), ("sqrt(x+1)", (0, 1), []),
     ("max(x, x)", (0, 1), []), ("x**pi", (0, 1), [0]), ("abs(x**2-2)", (0, 2), [math.sqrt(2)]), ("x**(1/3)", ("1/8", 1), [])],
    ids=str,
)  # fmt: skip
def test_split_points(text, domain, places):
    found = Target(text, domain).split_points()
    assert [float(ball) for ball in found] == pytest.approx(places, abs=1e-15)
    with working_precision(300):
        assert all(ball.rad() < 1e-30 for ball in found)
    if text == "min(x, 1-x)":
        assert found[0].is_exact() and found[0] == 0.5


def test_double_zeros_and_flat_pieces_are_enclosed_too():
    found = Target("abs((x-1/3)**2)").split_points() + Target("abs(x**2-2*x/3+1/9)").split_points()
    assert all(abs(float(ball) - 1 / 3) < 1e-6 for ball in found)
    start = time.perf_counter()
    flat = Target("abs(relu(x-1/2))").split_points()
    assert time.perf_counter() - start < 2 and any(ball.contains(fmpq(1, 2)) for ball in flat)


def test_split_points_need_one_variable():
    with pytest.raises(InputError):
        Target("abs(x-y)").split_points()


def sample(cover, count: int, seed: int) -> np.ndarray:
    """Points everywhere: uniform, at the edges, and just inside them."""
    rng = np.random.default_rng(seed)
    low, high = cover.edges[0], cover.edges[-1]
    near = cover.edges[rng.integers(0, len(cover.edges), count)]
    return np.unique(np.clip(np.concatenate([rng.uniform(low, high, count), near, np.nextafter(near, high)]), low, high))


@pytest.mark.parametrize(("text", "domain"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("tolerance", [1e-6, 1e-13, 1e-22])
def test_covers_are_sound(text, domain, tolerance):
    target = Target(text, domain)
    cover = taylor_cover(target, target.domain.lower[0], target.domain.upper[0], tolerance)
    assert fmpq(*cover.edges[0].as_integer_ratio()) <= target.domain.lower[0]
    assert fmpq(*cover.edges[-1].as_integer_ratio()) >= target.domain.upper[0]
    assert np.all(np.diff(cover.edges) > 0) and np.all(cover.remainder >= 0)
    x = sample(cover, 25, seed=12)
    kinks = {float(ball) for ball in target.split_points()}
    x = x[[target.domain.contains(float(value)) and value not in kinks for value in x]]
    cell = cover.cell_of(x)
    assert np.all((cover.edges[cell] <= x) & (x <= cover.edges[cell + 1]))
    assert np.all(np.abs(x - cover.centres[cell]) <= cover.halfwidths[cell])
    value, error = cover.value(x, cell)
    hi, lo, error_dd = cover.value_dd(x, np.zeros_like(x), cell)
    low, high = cover.value_range(x, x, cell)
    d_low, d_high = cover.second_derivative_range(x, x, cell)
    with working_precision(220):
        for i, point in enumerate(x):
            truth = target.ball(to_fmpq(float(point)))
            assert abs(truth - arb(value[i])).lower() <= error[i], (text, point)
            assert abs(truth - arb(hi[i]) - arb(lo[i])).lower() <= error_dd[i], (text, point)
            assert low[i] <= truth.upper() and truth.lower() <= high[i]
            second = 2 * target.series(to_fmpq(float(point)), 2)[2]
            if second.is_finite():
                assert d_low[i] <= second.upper() and second.lower() <= d_high[i], (text, point)
            else:
                assert not math.isfinite(d_high[i] - d_low[i]) or text in KINKS or "abs" in text or "max" in text


@pytest.mark.parametrize(
    "text",
    ["exp(x)", "sin(20*x)", "sin(7*x)*exp(-x)/(1+x**2)", "cos(40*x**2)", "erf(4*x-2)", "x*log(x+1/100)", "tanh(9*x)", "x**0.1"],
)
@pytest.mark.parametrize("tolerance", [1e-9, 1e-15, 1e-25])
def test_covers_reach_the_tolerance_with_few_cells(text, tolerance):
    target = Target(text)
    cover = taylor_cover(target, fmpq(0), fmpq(1), tolerance)
    assert cover.worst <= tolerance and len(cover) < (3000 if text == "x**0.1" else 300)
    x = np.linspace(0, 1, 1001)
    cell = cover.cell_of(x)
    scale = np.max(np.abs(target(x)))
    assert np.max(cover.value(x, cell)[1]) <= tolerance + 1.5e-15 * scale
    assert np.max(cover.value_dd(x, 0 * x, cell)[2]) <= 1.3 * tolerance + 2.0**-95 * scale
    low, high = cover.second_derivative_range(x, x, cell)
    if text != "x**0.1":
        curvature = np.max(np.abs(target.jet_float(x, 2)[(2,)])) * 2
        assert np.max(high - low) <= (1e-2 if tolerance > 1e-10 else 1e-4) * curvature


def test_ranges_over_intervals_contain_what_happens_inside():
    target = Target("sin(7*x)*exp(-x)/(1+x**2)")
    cover = taylor_cover(target, fmpq(0), fmpq(1), 1e-12)
    rng = random.Random(13)
    for _ in range(60):
        cell = rng.randrange(len(cover))
        a, b = sorted(rng.uniform(cover.edges[cell], cover.edges[cell + 1]) for _ in range(2))
        arrays = np.array([a]), np.array([b]), np.array([cell])
        low, high = cover.second_derivative_range(*arrays)
        value_low, value_high = cover.value_range(*arrays)
        for k in range(11):
            x = a + (b - a) * k / 10
            assert low[0] <= 2 * target.jet_float([x], 2)[(2,)][0] + 1e-9
            assert high[0] >= 2 * target.jet_float([x], 2)[(2,)][0] - 1e-9
            assert value_low[0] - 1e-15 <= target(x) <= value_high[0] + 1e-15


def test_double_double_points():
    target = Target("exp(x)")
    cover = taylor_cover(target, fmpq(0), fmpq(1), 1e-28)
    hi, lo = np.array([0.1, 0.7]), np.array([3e-18, -2e-17])
    value_hi, value_lo, error = cover.value_dd(hi, lo, cover.cell_of(hi))
    with working_precision(250):
        for i in range(2):
            truth = (arb(hi[i]) + arb(lo[i])).exp()
            assert abs(truth - arb(value_hi[i]) - arb(value_lo[i])).lower() <= error[i] < 2e-28


def test_polynomials_are_exact():
    cover = taylor_cover(Target("x**2/4 - x"), fmpq(0), fmpq(1), 1e-30)
    assert len(cover) == 1 and cover.worst == 0.0 and cover.degree == 2
    low, high = cover.second_derivative_range(np.array([0.1]), np.array([0.9]), np.array([0]))
    assert low[0] <= 0.5 <= high[0] and high[0] - low[0] < 1e-13


def test_poles_give_infinite_remainders_not_errors():
    for text in ("1/x", "1/(x-1/3)", "log(x)", "sqrt(x-1/2)"):
        cover = taylor_cover(Target(text), fmpq(0), fmpq(1), 1e-6, max_cells=400)
        assert cover.worst == math.inf
        x = np.array([0.9])
        assert np.isfinite(cover.value(x, cover.cell_of(x))[1])[0], "fine away from the pole"


@pytest.mark.parametrize("text", ["exp(x)", "sin(20*x)", "abs(x-1/3)", "x**2"])
def test_covers_are_quick(text):
    target = Target(text)
    taylor_cover(target, fmpq(0), fmpq(1), 1e-12)
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        taylor_cover(target, fmpq(0), fmpq(1), 1e-12)
        best = min(best, time.perf_counter() - start)
    assert best < 0.1, "a few milliseconds on a quiet machine"


def test_planted_faults_are_seen():
    target = Target("exp(x)")
    cover = taylor_cover(target, fmpq(0), fmpq(1), 1e-10, degree=6)
    x = np.linspace(0.01, 0.99, 50)
    cell = cover.cell_of(x)
    value, _ = cover.value(x, cell)
    wrong_cell = np.minimum(cell + 1, len(cover) - 1)
    other, error = cover.value(x, wrong_cell)
    moved = wrong_cell != cell
    assert np.any(np.abs(other - np.exp(x))[moved] > error[moved]), "outside its cell a polynomial is not within the bound"
    assert np.all(np.abs(value - np.exp(x)) <= cover.remainder[cell] + 1e-15)
    assert np.max(np.abs(value - np.exp(x))) > 1e-3 * cover.worst, "the remainder is not absurdly large"
