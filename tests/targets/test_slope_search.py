"""Lipschitz constants of expressions with many kinks: above all difference quotients, sharp, and faults are seen."""

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.targets import slope_search
from approx.targets.kink_point import piecewise_linear, slopes_around
from approx.targets.slope_search import admits


def random_expression(rng, depth, variables):
    if depth == 0:
        return f"({rng.choice(variables)} - {rng.integers(1, 13)}/{rng.integers(7, 13)})"
    kind = rng.integers(0, 6)
    first = random_expression(rng, depth - 1, variables)
    second = random_expression(rng, int(rng.integers(0, depth)), variables)
    return (
        f"(abs({first}) - 1/{rng.integers(2, 9)})", f"max({first}, {second})", f"min({first}, {second})",
        f"({first} + {second}/{rng.integers(2, 5)})", f"({first} - {second})", f"relu({first})",
    )[kind]  # fmt: skip


def quotients(f, points=40_001):
    x = np.linspace(*f.domain.floats()[0], points)
    return float(np.abs(np.diff(f(x)) / np.diff(x)).max())


def waves(count, base=93):
    wave, terms = "x", []
    for k in range(1, count + 1):
        wave = f"abs({wave} - {base}/{100 * 2**k})"
        terms.append(f"{wave}/{count}")
    return Target(" + ".join(terms))


def cantor(levels):
    y, terms, u = "x", [], "x"
    for k in range(1, levels + 1):
        u, y = f"(1-abs(2*{u}-1))", f"(3/2*(1-abs(2*{y}-1)))"
        terms += [f"3**-{k}*max({y}-1,0)", f"{3 ** k}/{5 * 10 ** k}*{u}"]
    return Target("+".join(terms))


@pytest.mark.parametrize("seed", range(40))
def test_one_variable_bounds_cover_all_quotients_and_are_sharp(seed):
    rng = np.random.default_rng(seed)
    f = Target(random_expression(rng, 4, ["x"]) + " + 0*abs(x)", (-1, "5/3"))
    seen, bound = quotients(f), f.lipschitz()
    # Quotients of float64 values over steps of 7e-5.
    assert seen <= bound * (1 + 1e-9) + 1e-9
    assert bound <= 1.06 * seen + 1e-6


@pytest.mark.parametrize("seed", range(15))
def test_two_variables_and_products(seed):
    rng = np.random.default_rng(100 + seed)
    f = Target(random_expression(rng, 3, ["x", "y"]) + " + abs(x)*y**2/3", [(-1, 1), (0, 2)])
    # The slopes are largest at corners and along diagonals.
    bound, points = f.lipschitz(), rng.beta(0.3, 0.3, (20_000, 2)) * [2, 2] + [-1, 0]
    step = rng.choice([-1e-4, 1e-4], points.shape)
    moved = np.clip(points + step, [-1, 0], [1, 2])
    size = np.abs(moved - points).max(axis=1)
    seen = float((np.abs(f(moved) - f(points)) / size).max())
    assert seen <= bound * (1 + 1e-9) and bound <= 1.15 * seen + 1e-6


@pytest.mark.parametrize("target", [waves(10), waves(12, 100), cantor(5), cantor(8)], ids=["waves", "dyadic", "5", "8"])
def test_nested_kinks_of_all_scales(target):
    bound = target.lipschitz()
    seen = quotients(target, 3**9 * 4 + 1)
    assert seen <= bound * (1 + 1e-9) and bound <= 1.06 * seen


def test_both_sides_of_a_point_are_exact():
    f = Target("abs(x-1/3) + 2*max(x-1/3, 1/3-x) - abs(2*x-2/3)/2")
    assert admits(f.program) and piecewise_linear(f.program)
    kink = next(i for i, step in enumerate(f.program.instructions) if step.operation == "abs")
    assert slopes_around(f.program, fmpq(0), fmpq(1), kink) == (-2, 2)
    assert slopes_around(Target("abs(x-1/3)+abs(x-1/2)").program, fmpq(0), fmpq(1), kink) is None
    assert not piecewise_linear(Target("abs(x)*x").program) and not admits(Target("abs(sin(x))").program)
    assert not admits(Target("x**2").program)


def test_planted_faults_are_caught(monkeypatch):
    text = "abs(x - 1/3) - abs(abs(x - 1/3) - 1/4) + 2*abs(x-1/7)"
    honest = Target(text).lipschitz()
    seen = quotients(Target(text))
    assert seen <= honest * (1 + 1e-9)
    monkeypatch.setattr(slope_search, "_hull", lambda a, b: a)
    monkeypatch.setattr(slope_search._Search, "bounded", _without_points(slope_search._Search.bounded))
    assert Target(text).lipschitz() < seen
    monkeypatch.undo()
    monkeypatch.setattr(slope_search, "slopes_around", lambda *given: (fmpq(0), fmpq(0)))
    monkeypatch.setattr(slope_search._Search, "bounded", _without_points(slope_search._Search.bounded))
    monkeypatch.setattr(slope_search, "_PATIENCE", 0)
    assert Target(text).lipschitz() < seen


def _without_points(bounded):
    """The search as it is, but blind to the slopes at middles, which would hide a bound that is too low."""

    def blind(self, *given):
        boxes = bounded(self, *given)
        self.seen = 0.0
        return boxes

    return blind


def test_maxima_over_different_variables_are_as_steep_as_the_steeper_one():
    """The distance to a set in the maximum norm: the parts of the gradient are never large together."""
    x, y = (f"max(max(0, 1/6 - abs({v} - 1/2)), 1/18 - abs(abs({v} - 1/2) - 1/3))" for v in "xy")
    f = Target(f"max({x}, {y})")
    assert 1 <= f.lipschitz() <= 1.05 and Target(f"max({x}, {y}) + x/2").lipschitz() <= 1.5 * 1.05
