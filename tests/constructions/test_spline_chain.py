"""Do spline chains keep their promises: derivatives, counts, ranges, certified errors, refusals?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from approx.certification import network_digest
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.targets import Target
from constructions.relu import piecewise_polynomial, spline_chain
from constructions.relu._chain_network import NetworkWriter
from constructions.relu._spline_fit import (
    Curve,
    SplineFit,
    balanced,
    expected,
    finer,
    fitted,
    judged,
    led,
    shrunk,
)
from constructions.relu._spline_model import (
    SplineShape,
    forward,
    hat_values,
    knots,
    sensitivities,
    sensitivity_tangents,
    value_tangents,
)
from constructions.relu._spline_network import spline_form, unit_ranges
from constructions.relu._spline_search import climb, density, promise, starts

CURVE = Curve(np.exp)


def _random_fit(cells: int, squares: int, seed: int = 0) -> SplineFit:
    shape = SplineShape(cells, squares)
    theta = np.random.default_rng(seed).normal(size=shape.size)
    theta[: cells - 1] = np.linspace(0, 1, cells + 1)[1:-1] ** 1.3
    theta[shape.nodal[0]] = np.arange(cells + 1) % 2 + 0.03 * theta[shape.nodal[0]]
    return SplineFit(shape, theta, np.inf)


@pytest.fixture(scope="module")
def good() -> SplineFit:
    pool = sorted(starts(2, CURVE, 4, 0), key=lambda fit: fit.rms)
    return pool[0]


def _network(fit: SplineFit, levels: list[int]) -> Network:
    builder = Builder(1)
    writer = NetworkWriter(builder, 1.0)
    return builder.build([writer.output(spline_form(writer, builder.input(), fit, levels))])


def _values(fit: SplineFit, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the ideal chain at s in [0, cells]."""
    hats = np.maximum(0.0, 1 - np.abs(s[:, None] - np.arange(fit.shape.cells + 1.0)))
    state = forward(fit.shape, fit.theta, hats, forward(fit.shape, fit.theta, fit.shape.hats))
    return hats @ knots(fit.shape, fit.theta), state.features @ fit.theta[fit.shape.nonlinear :]


def _tops(fit: SplineFit) -> list[float]:
    """The largest sensitivities to the squares."""
    parts = sensitivities(fit.shape, fit.theta, forward(fit.shape, fit.theta, fit.shape.hats))
    return [float(np.abs(d).max()) for d in parts]


@pytest.mark.parametrize(("cells", "squares"), [(1, 2), (3, 1), (4, 4)])
def test_derivatives_agree_with_differences(cells: int, squares: int) -> None:
    fit = _random_fit(cells, squares)
    shape, theta = fit.shape, fit.theta
    theta[shape.nodal[0]] += 0.1 * np.arange(cells + 1)  # one largest and one least value: the normalisation is smooth
    state = forward(shape, theta, shape.hats, tangents=True)
    values = value_tangents(shape, theta, state)
    parts, turns = sensitivity_tangents(shape, theta, state)
    for part, plain in zip(parts, sensitivities(shape, theta, state), strict=True):
        assert np.allclose(part, plain, rtol=1e-12)

    def output(parameters: np.ndarray) -> list[np.ndarray]:
        here = forward(shape, parameters, shape.hats)
        return [here.features @ parameters[shape.nonlinear :], *sensitivities(shape, parameters, here)]

    for k in range(shape.cells - 1, shape.size):  # inner knots act on x alone, not at fixed s
        step = np.zeros(shape.size)
        step[k] = 1e-6
        for exact, up, down in zip([values, *turns], output(theta + step), output(theta - step), strict=True):
            assert np.abs(exact[:, k] - (up - down) / 2e-6).max() <= 1e-5 * (1 + np.abs(exact).max())


def test_sensitivities_are_the_derivatives_by_the_squares() -> None:
    fit = _random_fit(3, 2)
    shape, theta, h = fit.shape, fit.theta, 1e-6
    state = forward(shape, theta, shape.hats)
    linear = theta[shape.base.stop :]

    def output(off: float) -> np.ndarray:  # the first square moved, everything normalised as before
        second = (state.units[0] ** 2 + off + shape.hats @ theta[shape.nodal[1]] - state.lows[1]) / state.ranges[1]
        return shape.hats @ theta[shape.base] + linear[0] * second + linear[1] * second**2

    first, last = sensitivities(shape, theta, state)
    assert np.allclose((output(h) - output(-h)) / (2 * h), first, atol=1e-6 * np.abs(first).max())
    assert np.array_equal(last, np.full(len(last), linear[1]))


@pytest.mark.parametrize(("cells", "squares"), [(1, 1), (2, 2), (5, 3), (4, 4)])
def test_the_network_is_the_chain_and_has_the_declared_weights(cells: int, squares: int) -> None:
    fit = _random_fit(cells, squares, seed=3)
    levels = [20 + j for j in range(squares)]
    network = _network(fit, levels)
    assert network.size.weights <= sum(5 * m - 2 for m in levels) + fit.shape.extra
    assert network.size.weights >= sum(5 * m - 2 for m in levels) + fit.shape.extra - squares - 2  # constants that are zero
    x, y = _values(fit, np.linspace(0, cells, 301))
    assert np.abs(network(x) - y).max() <= 1e-10 * (1 + sum(_tops(fit)))


def test_room_for_the_errors_of_earlier_squares() -> None:
    # With few levels the second unit leaves the range that it has with exact squares; the network leaves room for that.
    fit = _random_fit(4, 2, seed=1)
    levels = [2, 12]
    (_, first), (low, high) = unit_ranges(fit, levels)
    assert first == 1.0
    assert low < -0.5 * 4.0**-3 / forward(fit.shape, fit.theta, fit.shape.hats).ranges[1]
    assert high > 1
    x, y = _values(fit, np.linspace(0, 4, 2001))
    sizes = [top * 4.0 ** -(m + 1) / 2 for top, m in zip(_tops(fit), levels, strict=True)]
    assert np.abs(_network(fit, levels)(x) - y).max() <= 1.5 * sum(sizes)


def test_finer_with_as_many_cells_is_the_same_chain(good: SplineFit) -> None:
    again = finer(good, good.shape.cells, CURVE)
    assert again.rms == pytest.approx(good.rms, rel=1e-3)
    assert np.allclose(again.theta[: good.shape.nonlinear], good.theta[: good.shape.nonlinear], rtol=1e-9, atol=1e-9)


def test_more_cells_and_steps_fit_better() -> None:
    curve = Curve(lambda x: np.sqrt(x + 0.05))
    first = min(starts(2, curve, 4, 0), key=lambda fit: fit.rms)
    rough = finer(first, 8, curve)
    more = fitted(rough, curve, 40)
    assert more.rms < 0.5 * min(first.rms, rough.rms)
    assert judged(balanced(more, curve, 4, 10), curve)[0] < judged(more, curve)[0]


def test_shrinking_trades_fit_for_sensitivity(good: SplineFit) -> None:
    def demand(fit: SplineFit) -> float:
        return sum(math.log(float(np.sqrt(np.mean(d * d)))) for d in judged(fit, CURVE)[2])

    moved = shrunk(good, CURVE, 10 * good.rms, 30)
    assert demand(moved) < demand(good)
    assert moved.rms < 30 * good.rms
    levels = np.array([4.0, 4.0])
    closer = led(good, CURVE, expected(good, CURVE, levels), levels, 2, 10)
    assert expected(closer, CURVE, levels) <= expected(good, CURVE, levels)


def test_the_density_follows_the_third_derivative() -> None:
    points, thick = density(Curve(lambda x: (x + 0.1) ** -1.0))
    exact = np.cbrt((points + 0.1) ** -4.0)
    assert np.corrcoef(thick, exact)[0, 1] > 0.999


def test_the_search_ends_where_it_promises_too_many_weights() -> None:
    assert list(climb(2, CURVE, 1e-5, 2, 20.0, seed=0)) == []
    fits = list(climb(2, CURVE, 1e-4, 2, math.inf, seed=0))
    assert fits
    assert all(judged(fit, CURVE)[0] <= 0.95e-4 for fit in fits)
    assert promise(fits[0], CURVE, 1e-4)[0] < 200


def test_certified_at_several_accuracies_and_fewer_weights_than_one_square() -> None:
    # One search per accuracy with few starts; the rate of K squares shows as slowly growing weights.
    counts = []
    for eps in (1e-3, 1e-6):
        found = spline_chain(Target("exp(x)"), eps, starts=3)
        assert found.certificate is not None
        assert found.certificate.upper <= eps
        assert found.certificate.check("witness")
        assert found.parameters["observed_error"] <= found.certificate.upper
        counts.append(found.network.size.weights)
    assert counts[0] < counts[1] < 0.9 * piecewise_polynomial(Target("exp(x)"), 1e-6).network.size.weights


def test_a_changed_weight_is_caught() -> None:
    found = spline_chain(Target("exp(x)"), 1e-3, starts=2)
    again = spline_chain(Target("exp(x)"), 1e-3, starts=2)
    assert network_digest(again.network) == network_digest(found.network)
    fit = _random_fit(2, 1)
    broken = SplineFit(fit.shape, fit.theta + 1e-3 * (np.arange(fit.shape.size) == fit.shape.base.start), np.inf)
    x, y = _values(fit, np.linspace(0, 2, 50))
    assert np.abs(_network(broken, [20])(x) - y).max() > 1e-4


def test_degenerate_targets() -> None:
    for text in ("abs(x-1/3)", "2*x+1"):
        found = spline_chain(Target(text), 1e-6)
        assert found.network.size.weights <= 5
        assert found.certified().certificate.upper <= 1e-6  # type: ignore[union-attr]
    with pytest.raises(UnreachableError, match="no chain"):
        spline_chain(Target("exp(x)"), 1e-3, starts=2, fewer_than=5)


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="positive"):
        spline_chain(Target("exp(x)"), 0)
    with pytest.raises(InputError, match="starts"):
        spline_chain(Target("exp(x)"), 1e-3, starts=0)
    with pytest.raises(InputError, match="fewer_than"):
        spline_chain(Target("exp(x)"), 1e-3, fewer_than=0)
    with pytest.raises(RegularityError):
        spline_chain(Target("x*y"), 1e-3)


def test_hats_are_a_partition_of_unity() -> None:
    assert np.allclose(hat_values(5, 7).sum(axis=1), 1)
