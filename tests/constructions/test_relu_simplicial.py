"""Is simplicial interpolation exactly the Kuhn interpolant, with the declared weights and bound?"""

import time

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from constructions.relu._kuhn import grid_axis, kuhn_network
from constructions.relu.simplicial import simplicial


def kuhn_interpolant(values, points):
    """Reference: sort the local coordinates, walk along the simplex (no network involved)."""
    cells = np.array(values.shape) - 1
    base = np.minimum(np.floor(points).astype(int), cells - 1)
    local = points - base
    order = np.argsort(-local, axis=1, kind="stable")
    node, total = base.copy(), values[tuple(base.T)].astype(float)
    rows = np.arange(len(points))
    for k in range(points.shape[1]):
        axis = order[:, k]
        before = values[tuple(node.T)]
        node[rows, axis] += 1
        total += local[rows, axis] * (values[tuple(node.T)] - before)
    return total


@pytest.mark.parametrize("shape", [(3, 4), (1, 5), (2, 3, 4), (1, 1, 1), (2, 1, 2, 3)])
def test_network_is_the_kuhn_interpolant(shape):
    rng = np.random.default_rng(5)
    values = rng.normal(size=[n + 1 for n in shape])
    net = kuhn_network([grid_axis(fmpq(0), fmpq(n), n) for n in shape], values)
    points = rng.uniform(0, 1, (4000, len(shape))) * shape
    points[:500] = np.round(points[:500])
    points[500:900, 0] = np.round(points[500:900, 0])
    assert np.abs(net(points) - kuhn_interpolant(values, points)).max() <= 1e-13


CASES = [
    ("sin(2*pi*x)", [(0, 1)], 1e-3), ("exp(-(x**2+y**2))", [(0, 1)] * 2, 1e-2), ("sqrt(x)*y", [("1/3", 2), (-1, 1)], 1e-2),
    ("abs(x-y/3)", [(0, 1)] * 2, 3e-2), ("1/(1+x+y+z)", [(0, 1)] * 3, 2e-2), ("x1*x2+x3*x4", [(0, 1)] * 4, 5e-2),
]  # fmt: skip


@pytest.mark.parametrize("text,domain,eps", CASES)
def test_error_below_the_proved_bound(text, domain, eps):
    f = Target(text, domain=domain)
    found = simplicial(f, eps)
    low, high = f.domain.floats_inside().T
    points = np.random.default_rng(6).uniform(low, high, (20000, len(domain)))
    points[0], points[1] = low, high
    values = points[:, 0] if len(domain) == 1 else points
    assert np.abs(found(values) - f(values)).max() <= found.bound <= eps


def test_paper_form_is_the_same_function():
    for d, cells in ((1, 6), (2, 4), (3, 2)):
        f = Target("+".join(f"x{i + 1}**2*x{(i + 1) % d + 1}" for i in range(d)), domain=[(0, 1)] * d)
        economical, paper = (simplicial(f, 1e-1, cells=cells, form=form) for form in ("economical", "paper"))
        points = np.random.default_rng(7).uniform(0, 1, (3000, d))
        points = points[:, 0] if d == 1 else points
        assert np.abs(economical(points) - paper(points)).max() <= 1e-13
        assert economical.network.size.weights < paper.network.size.weights


def test_weights_are_linear_in_f():
    f, g = Target("exp(x*y)"), Target("2+sin(x+2*y)")
    h = Target("2*exp(x*y)-6-3*sin(x+2*y)")
    outputs = [simplicial(t, 1, cells=6).network.layers[-1].blocks[0].values.floats for t in (f, g, h)]
    assert np.allclose(2 * outputs[0] - 3 * outputs[1], outputs[2], atol=1e-14)


def test_rates_in_weights():
    for text, rate in (("exp(-(x**2+y**2))", 1.0), ("abs(x-y/3)", 2.0)):
        f = Target(text, domain=[(0, 1)] * 2)
        eps = [2e-2, 5e-3] if rate == 2 else [1e-3, 2.5e-4, 6e-5]
        weights = [simplicial(f, e).network.size.weights for e in eps]
        slope = -np.polyfit(np.log(eps), np.log(weights), 1)[0]
        assert abs(slope - rate) < 0.1


def test_weights_per_node_and_build_speed():
    for d, cells, per_node in ((2, 500, 4.1), (3, 48, 8.8)):
        values = np.random.default_rng(8).normal(size=(cells + 1,) * d)
        axes = [grid_axis(fmpq(0), fmpq(1), cells)] * d
        start = time.process_time()
        net = kuhn_network(axes, values)
        seconds = time.process_time() - start
        assert net.size.weights <= per_node * values.size
        assert net.size.weights >= 9e5 and net.size.weights / seconds > 1e6


def test_refusals():
    with pytest.raises(InputError):
        simplicial(Target("x*y"), -1)
    with pytest.raises(InputError):
        simplicial(Target("x*y"), 0.1, cells=[3])
    with pytest.raises(RegularityError):
        simplicial(Target("x1+x2+x3+x4+x5", domain=[(0, 1)] * 5), 0.1)
    with pytest.raises(UnreachableError):
        simplicial(Target("abs(x-y)"), 1e-5)


def test_planted_fault():
    f = Target("exp(-(x**2+y**2))")
    found = simplicial(f, 1e-2)
    cells = found.parameters["cells"]
    axes = [grid_axis(fmpq(0), fmpq(1), n) for n in cells]
    grid = np.meshgrid(*[np.linspace(0, 1, n + 1) for n in cells], indexing="ij")
    values = np.exp(-(grid[0] ** 2 + grid[1] ** 2))
    values[2, 3] += 0.05
    points = np.random.default_rng(9).uniform(0, 1, (20000, 2))
    assert np.abs(kuhn_network(axes, values)(points) - f(points)).max() > found.bound
