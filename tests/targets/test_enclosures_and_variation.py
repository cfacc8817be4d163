"""Do enclosures on grids contain the values, and do bounds of variation hold and stay sharp?"""

import math

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target
from approx.numbers import to_fmpq, working_precision
from approx.targets.enclosures import grid_enclosures
from approx.targets.variation import variation_on, variation_within


def test_values_lie_within_the_radius_and_the_radius_is_that_of_rounding():
    f = Target("exp(x)*sin(7*y) + x/3")
    axes = [[fmpq(k, 7) for k in range(8)], [fmpq(k, 11) for k in range(12)]]
    middle, radius = grid_enclosures(f, axes)
    assert middle.shape == radius.shape == (8, 12) and radius.max() < 1e-14
    assert np.allclose(middle, f(np.stack(np.meshgrid(np.arange(8) / 7, np.arange(12) / 11, indexing="ij"), axis=-1)))
    with working_precision(200):
        for (i, j), value in np.ndenumerate(middle):
            gap = abs(f.ball([arb(axes[0][i]), arb(axes[1][j])]) - arb(to_fmpq(float(value))))
            assert gap <= arb(to_fmpq(float(radius[i, j])))


def test_undefined_points_and_stopped_work_have_infinite_radius():
    _, radius = grid_enclosures(Target("1/(x - 1/2)"), [[fmpq(1, 4), fmpq(1, 2)]])
    assert radius[0] < 1e-14 and math.isinf(radius[1])
    assert np.isinf(grid_enclosures(Target("x"), [[fmpq(1, 2)]], stop=lambda: True)[1]).all()


@pytest.mark.parametrize("text", ["sin(9*x)", "sqrt(x)", "abs(x - y)*y", "sin(10*x) + y/10"])
def test_variation_is_bounded_and_the_bound_is_near(text):
    f = Target(text)
    radii = [fmpq(1, 20)] * f.dimension
    bound = variation_within(f, radii)
    rng = np.random.default_rng(3)
    centre = 0.05 + 0.9 * rng.random((20_000, f.dimension))
    centre[:50] = 0.05
    other = centre + (rng.choice([-1, 1], centre.shape)) * 0.05
    first, second = (f(p if f.dimension > 1 else p[:, 0]) for p in (centre, other))
    seen = np.abs(first - second).max()
    assert 0.4 * bound <= seen <= bound
    with working_precision(80):
        for point in centre[:200]:
            ends = tuple((to_fmpq(float(c)) - r, to_fmpq(float(c)) + r) for c, r in zip(point, radii, strict=True))
            local = variation_on(f, ends)
            near = point + (2 * rng.random((100, f.dimension)) - 1) * 0.05
            values = f(near if f.dimension > 1 else near[:, 0]) - f(point if f.dimension > 1 else float(point[0]))
            assert np.abs(values).max() <= local <= 2 * bound


def test_radii_of_their_own_for_every_axis_are_used():
    f = Target("sin(10*x) + y/10")
    assert variation_within(f, [fmpq(1, 1000), fmpq(1, 2)]) <= 0.0101 + 0.0501
    assert variation_within(Target("1/x"), [fmpq(1, 10)]) == math.inf
