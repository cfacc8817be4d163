"""Do chains on free knots keep their promises: derivatives, counts, ranges, certified errors, refusals?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from approx.certification import certify, network_digest
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Form, Network
from approx.targets import Target
from constructions.catalogue import catalogue
from constructions.relu import piecewise_polynomial, quotient_chain, spline_chain
from constructions.relu._chain_network import NetworkWriter
from constructions.relu._chain_samples import SampleWriter
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
from constructions.relu._spline_network import ratio_ranges, spline_form
from constructions.relu._spline_search import climb, density, promise, starts
from constructions.relu.square import square_form

CURVE = Curve(np.exp)


def _kinds(word: str) -> tuple[bool, ...]:
    """Squares and quotients by their first letters."""
    return tuple(letter == "q" for letter in word)


def _random_fit(cells: int, word: str, seed: int = 0) -> SplineFit:
    shape = SplineShape(cells, _kinds(word))
    theta = np.random.default_rng(seed).normal(size=shape.size)
    theta[: cells - 1] = np.linspace(0, 1, cells + 1)[1:-1] ** 1.3
    theta[shape.tops[0]] = np.arange(cells + 1) % 2 + 0.03 * theta[shape.tops[0]]
    for bottom, beta in zip(shape.bottoms, shape.beta, strict=True):
        if bottom is not None:
            theta[bottom] *= 0.3
            theta[list(beta)] = 0.1 * np.abs(theta[list(beta)])  # all s_j stay positive
    return SplineFit(shape, theta, np.inf)


@pytest.fixture(scope="module")
def good() -> SplineFit:
    pool = sorted(starts((False, False), 4, CURVE, 4, 0), key=lambda fit: fit.rms)
    return pool[0]


def _network(fit: SplineFit, levels: list[int]) -> Network:
    builder = Builder(1)
    writer = NetworkWriter(builder, 1.0)
    return builder.build([writer.output(spline_form(writer, builder.input(), fit, levels))])


def _values(fit: SplineFit, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the ideal chain at s in [0, cells]."""
    hats = np.maximum(0.0, 1 - np.abs(s[:, None] - np.arange(fit.shape.cells + 1.0)))
    state = forward(fit.shape, fit.theta, hats)
    return hats @ knots(fit.shape, fit.theta), state.features @ fit.theta[fit.shape.nonlinear :]


def _tops(fit: SplineFit) -> list[float]:
    """The largest sensitivities to the units."""
    fine = hat_values(fit.shape.cells, 100)
    parts = sensitivities(fit.shape, fit.theta, forward(fit.shape, fit.theta, fine))
    return [float(np.abs(d).max()) for d in parts]


WORDS = [(1, "s"), (3, "q"), (1, "qq"), (4, "sq"), (3, "qs"), (4, "ssss"), (2, "qqq")]


@pytest.mark.parametrize(("cells", "word"), WORDS)
def test_derivatives_agree_with_differences(cells: int, word: str) -> None:
    fit = _random_fit(cells, word)
    shape, theta = fit.shape, fit.theta
    theta[shape.tops[0]] += 0.1 * np.arange(cells + 1)  # one largest and one least ratio: their difference is smooth
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


@pytest.mark.parametrize("word", ["sq", "qq", "qs"])
def test_sensitivities_are_the_errors_of_the_sawteeth(word: str) -> None:
    # The first q is moved by h times the error s (range of z)^2 of a sawtooth; what follows is computed again by hand.
    fit = _random_fit(3, word)
    shape, theta, h = fit.shape, fit.theta, 1e-6
    state = forward(shape, theta, shape.hats)
    c = theta[shape.base.stop :]

    def output(off: float) -> np.ndarray:
        first = state.values[0] + off * state.bottoms[0] * np.ptp(state.ratios[0]) ** 2
        top = shape.hats @ theta[shape.tops[1]] + theta[shape.alpha[1][0]] * first
        bottom = np.ones(len(top))
        if shape.bottoms[1] is not None:
            bottom = shape.hats @ np.exp(theta[shape.bottoms[1]]) + theta[shape.beta[1][0]] * first
        return shape.hats @ theta[shape.base] + c[0] * first + c[1] * top**2 / bottom

    first, last = sensitivities(shape, theta, state)
    assert np.allclose((output(h) - output(-h)) / (2 * h), first, atol=1e-6 * np.abs(first).max())
    assert np.allclose(last, c[1] * state.bottoms[1] * np.ptp(state.ratios[1]) ** 2)


@pytest.mark.parametrize(("cells", "word"), WORDS)
def test_the_network_is_the_chain_and_has_the_declared_weights(cells: int, word: str) -> None:
    fit = _random_fit(cells, word, seed=3)
    levels = [20 + j for j in range(len(word))]
    network = _network(fit, levels)
    declared = sum(5 * m - 2 for m in levels) + fit.shape.extra
    assert network.size.weights <= declared
    assert network.size.weights >= declared - len(word) - 2  # constants that are zero
    x, y = _values(fit, np.linspace(0, cells, 301))
    assert np.abs(network(x) - y).max() <= 1e-10 * (1 + sum(_tops(fit)))


@pytest.mark.parametrize("word", ["ss", "qs", "qq"])
def test_room_for_the_errors_of_earlier_units(word: str) -> None:
    # With few levels the second ratio leaves the range that it has with exact squares; the network leaves room for that.
    fit = _random_fit(4, word, seed=1)
    levels = [2, 12]
    (_, _, _), (low, high, _) = ratio_ranges(fit, levels)
    exact = forward(fit.shape, fit.theta, hat_values(4, 200)).ratios[1]
    assert low < exact.min()
    assert high > exact.max()
    x, y = _values(fit, np.linspace(0, 4, 2001))
    network = _network(fit, levels)
    sizes = [top * 4.0 ** -(m + 1) / 2 for top, m in zip(_tops(fit), levels, strict=True)]
    assert np.abs(network(x) - y).max() <= 1.6 * sum(sizes)
    sampled = SampleWriter(x)
    assert np.allclose(sampled.at(spline_form(sampled, sampled.input(), fit, levels)), network(x), atol=1e-12 * sum(_tops(fit)))


@pytest.mark.parametrize("levels", [0, 1, 2, 7])
def test_the_sawtooth_of_a_quotient_is_homogeneous(levels: int) -> None:
    builder = Builder(2)
    t, s = builder.input(0), builder.input(1)
    network = builder.build([square_form(builder, t, levels, centred=True, scale=s)])
    plain = Builder(1)
    square = plain.build([square_form(plain, plain.input(), levels, centred=True)])
    rng = np.random.default_rng(levels)
    scale, u = 10 ** rng.uniform(-3, 3, 200), rng.uniform(0, 1, 200)
    assert np.allclose(network(np.column_stack([u * scale, scale])), scale * square(u), rtol=1e-13)
    assert np.abs(network(np.column_stack([u * scale, scale])) / scale - u * u).max() <= 4.0 ** -(levels + 1) / 2 * (1 + 1e-9)
    assert network.size.weights <= square.size.weights + (levels == 0)


def test_finer_with_as_many_cells_is_the_same_chain(good: SplineFit) -> None:
    again = finer(good, good.shape.cells, CURVE)
    assert again.rms == pytest.approx(good.rms, rel=1e-3)
    assert np.allclose(again.theta[: good.shape.nonlinear], good.theta[: good.shape.nonlinear], rtol=1e-9, atol=1e-9)


def test_more_cells_and_steps_fit_better() -> None:
    curve = Curve(lambda x: np.sqrt(x + 0.05))
    first = min(starts((False, False), 4, curve, 4, 0), key=lambda fit: fit.rms)
    rough = finer(first, 8, curve)
    [more] = fitted([rough], curve, 40)
    assert more.rms < 0.5 * min(first.rms, rough.rms)
    assert judged(balanced(more, curve, 4, 10), curve)[0] < judged(more, curve)[0]


def test_shrinking_trades_fit_for_sensitivity(good: SplineFit) -> None:
    def demand(fit: SplineFit) -> float:
        return sum(math.log(float(np.sqrt(np.mean(d * d)))) for d in judged(fit, CURVE)[2])

    [moved] = shrunk([good], CURVE, 10 * good.rms, 30)
    assert demand(moved) < demand(good)
    assert moved.rms < 30 * good.rms
    levels = np.array([4.0, 4.0])
    closer = led(good, CURVE, expected(good, CURVE, levels), levels, 2, 10)
    assert expected(closer, CURVE, levels) <= expected(good, CURVE, levels)


def test_the_density_follows_the_third_derivative() -> None:
    points, thick = density(Curve(lambda x: (x + 0.1) ** -1.0))
    exact = np.cbrt((points + 0.1) ** -4.0)
    assert np.corrcoef(thick, exact)[0, 1] > 0.999


def test_climbs_add_cells_until_chains_are_close_enough() -> None:
    steps = list(climb((False, False), 4, CURVE, 1e-4, 2, seed=0))
    fits = [fit for _, found in steps for fit in found]
    assert fits
    assert all(judged(fit, CURVE)[0] <= 0.95e-4 for fit in fits)
    assert all(weights < 200 for weights, _ in steps)
    assert promise(fits[0], CURVE, 1e-4)[0] < 200
    assert promise(fits[0], CURVE, 1e-6)[0] > promise(fits[0], CURVE, 1e-4)[0]


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


@pytest.mark.parametrize(("text", "domain"), [("x*log(x+1/100)", (0, 1)), ("1/(1+25*x**2)", (-1, 1))])
def test_quotients_do_with_fewer_weights_than_squares(text: str, domain: tuple[int, int]) -> None:
    target = Target(text, domain)
    found = quotient_chain(target, 1e-4, starts=6)
    assert found.certificate is not None
    assert found.certificate.upper <= 1e-4
    assert found.certificate.check("witness")
    assert found.certificate.lower <= found.bound  # the a-priori bound is one
    assert found.bound < 1e-2
    assert found.network.size.weights < 0.9 * spline_chain(target, 1e-4, starts=6).network.size.weights


def test_a_wrong_scale_is_caught_by_the_certificate() -> None:
    # The planted fault: every level reads a tenth less of s than it should.
    [fit] = shrunk([min(starts((True,), 2, CURVE, 4, 0), key=lambda fit: fit.rms)], CURVE, 1e-5, 60)  # few levels suffice

    class Faulty(NetworkWriter):
        def quotient(self, form: Form, scale: Form, read: Form, levels: int) -> Form:
            return super().quotient(form, 0.9 * scale, read, levels)

    def upper(kind: type[NetworkWriter]) -> float:
        builder = Builder(1)
        writer = kind(builder, 1.0)
        network = builder.build([writer.output(spline_form(writer, builder.input(), fit, [9]))])
        return certify(network, Target("exp(x)")).upper

    assert upper(NetworkWriter) < 1e-4
    assert upper(Faulty) > 1e-3


def test_a_changed_weight_is_caught() -> None:
    found = spline_chain(Target("exp(x)"), 1e-3, starts=2)
    again = spline_chain(Target("exp(x)"), 1e-3, starts=2)
    assert network_digest(again.network) == network_digest(found.network)
    fit = _random_fit(2, "s")
    broken = SplineFit(fit.shape, fit.theta + 1e-3 * (np.arange(fit.shape.size) == fit.shape.base.start), np.inf)
    x, y = _values(fit, np.linspace(0, 2, 50))
    assert np.abs(_network(broken, [20])(x) - y).max() > 1e-4


def test_degenerate_targets() -> None:
    for chain in (spline_chain, quotient_chain):
        for text in ("abs(x-1/3)", "2*x+1"):
            found = chain(Target(text), 1e-6)
            assert found.network.size.weights <= 5
            assert found.certificate is not None
            assert found.certificate.upper <= 1e-6
            with pytest.raises(UnreachableError, match="no chain"):
                chain(Target(text), 1e-6, starts=2, fewer_than=1)
        with pytest.raises(UnreachableError, match="no chain"):  # a spike that no sample of the first look shows
            chain(Target("exp(-10**8*(x-5003/10000)**2)"), 1e-3, starts=1)
        with pytest.raises(UnreachableError, match="no chain"):
            chain(Target("exp(x)"), 1e-3, starts=2, fewer_than=5)


def test_square_chains_come_first_where_curvatures_turn_twice() -> None:
    rows = catalogue()

    def first(text: str, eps: float) -> str:
        return min(("quotient-chain", "square-chain"), key=lambda name: rows[name].estimate(Target(text), eps))

    turning = "sin(7*x)*exp(-x)/(1+x**2)"
    assert first(turning, 1e-8) == "square-chain"
    assert first(turning, 1e-6) == "quotient-chain"
    assert first("sin(2*pi*x)", 1e-8) == "quotient-chain"  # reflections leave a convex function
    assert first("sqrt(x-1/2)", 1e-8) == "quotient-chain"  # refused when it is built, with a reason


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


def test_values_at_the_ends_of_float64_are_refused_or_met_not_a_crash() -> None:
    for text, domain, eps in (("10**300*cos(x)", (-1, 1), 1e-10), ("cos(x)", (0, 1), 1e-320)):
        with pytest.raises(UnreachableError):
            quotient_chain(Target(text, domain), eps, starts=1)
    assert quotient_chain(Target("sin(2*pi*x)"), 3).network.size.weights <= 2  # a constant does
