"""Do samples show the error as it is: every arc, its size, and no rounding noise?"""

from __future__ import annotations

import numpy as np
import pytest
from plot_examples import interpolant, sine

from approx import Target
from approx.networks import Builder
from approx.plots import sampling
from approx.plots.sampling import breakpoints, envelope, exact_error, grid_values, sample_error


def sawtooth(levels: int) -> object:
    """x - sum 4^-s g_s(x): the interpolant of x^2 at k/2^levels."""
    b = Builder(1)
    g, total = b.input(), b.input()
    for s in range(1, levels + 1):
        g = b.relu(2 * g) - b.relu(4 * g - 2)
        total = total - 0.25**s * g
    return b.build([total])


def test_breakpoints_of_one_hidden_layer_and_of_a_deep_network() -> None:
    assert np.allclose(breakpoints(interpolant("x**2", 8), 0.0, 1.0), np.arange(1, 8) / 8, atol=1e-15)
    assert np.array_equal(breakpoints(sawtooth(4), 0.0, 1.0), np.arange(1, 16) / 16)
    assert np.array_equal(breakpoints(sawtooth(4), 0.3, 0.5), np.arange(5, 8) / 16)


def test_astronomically_many_breakpoints_are_given_up_quickly() -> None:
    assert breakpoints(sawtooth(30), 0.0, 1.0) is None


def test_no_breakpoints_where_the_network_is_not_piecewise_linear() -> None:
    b = Builder(1)
    assert breakpoints(b.build([b.unit(b.input(), "sin")]), 0.0, 1.0) is None


@pytest.mark.parametrize("pieces", [3, 50, 700])
def test_samples_reach_the_supremum_on_every_piece(pieces: int) -> None:
    network, target = interpolant("x**2", pieces), Target("x**2")
    kinks = breakpoints(network, 0.0, 1.0)
    sample = sample_error(network, target, 0.0, 1.0, kinks, 1.0)
    arc = np.searchsorted(kinks, sample.x, side="right")
    lowest = np.full(pieces, np.inf)
    np.minimum.at(lowest, arc, sample.error)
    assert not sample.exact
    assert np.allclose(lowest, -1 / (4 * pieces**2), rtol=0.02)


def test_unlisted_pieces_are_sampled_without_aliasing() -> None:
    network, target = sawtooth(20), Target("x**2")  # 2^20 pieces: at dyadic points the error is exactly 0
    sample = sample_error(network, target, 0.0, 1.0, None, 0.25**21)
    _, low, high = envelope(sample.x, sample.error, 100)
    assert (low < -0.97 * 0.25**21).all() and (high > -0.2 * 0.25**21).all()


def test_interpolating_between_breakpoints_agrees_with_evaluating(monkeypatch: pytest.MonkeyPatch) -> None:
    network, target = interpolant(pieces=60), Target("sin(2*pi*x)")
    kinks = breakpoints(network, 0.0, 1.0)
    direct = sample_error(network, target, 0.0, 1.0, kinks, 1.0)
    monkeypatch.setattr(sampling, "_FLOAT_WORK", 1.0)
    quick = sample_error(network, target, 0.0, 1.0, kinks, 1.0)
    assert np.allclose(direct.error, quick.error, atol=1e-13)


def test_rounding_noise_is_replaced_by_exact_samples() -> None:
    network, target = sawtooth(24), Target("x**2")
    sample = sample_error(network, target, 0.0, 1.0, None, 0.25**25)
    assert sample.exact
    assert (sample.error <= 0).all() and sample.error.min() >= -(0.25**25)
    noisy = np.asarray(target(sample.x)) - network(sample.x)
    assert np.abs(noisy - sample.error).max() > 0.01 * 0.25**25  # float64 would have shown its own rounding


def test_exact_error_against_a_closed_form() -> None:
    b = Builder(1)
    assert exact_error(b.build([b.input()]), Target("x**2"), np.array([0.5, 0.25])).tolist() == [-0.25, -0.1875]


def test_envelope_keeps_the_extremes() -> None:
    x = np.linspace(0, 1, 10_001)
    y = np.sin(500 * x)
    edges, low, high = envelope(x, y, 50)
    assert len(edges) == 51 and high.max() == y.max() and low.min() == y.min()
    assert (low < -0.9).all() and (high > 0.9).all()
    assert np.isnan(envelope(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 4)[1][1:3]).all()


def test_grid_values_in_two_and_three_variables() -> None:
    b = Builder(3)
    network = b.build([b.input(0)])
    x, y, f, error = grid_values(network, Target("x+z", domain=[(0, 1), (2, 3), (0, 1)]), [0, 0, 0.5], most=100)
    assert f.shape == error.shape == (100, 100) and 2 < y.min() < y.max() < 3 and 0 < x.min() < x.max() < 1
    assert np.allclose(error, 0.5)


def test_a_wrong_network_is_seen() -> None:
    a = sine(20)
    assert a.certificate is not None
    wrong = interpolant("sin(2*pi*x) + x**2/50", 20)
    sample = sample_error(wrong, a.target, 0.0, 1.0, breakpoints(wrong, 0.0, 1.0), 1.0)
    assert np.abs(sample.error).max() > 1.2 * a.certificate.upper
