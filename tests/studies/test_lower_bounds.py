"""Are the lower bounds below what networks reach, sharp where that is known, and are the bumps in their class?"""

import math

import numpy as np
import pytest
from flint import fmpq

from approx import Target, certify
from approx.errors import InputError, RegularityError
from approx.networks import Builder
from approx.studies import (
    SmoothnessClass,
    any_selection,
    class_of,
    continuous_selection,
    curvature_profile,
    entropy_bits,
    log_slope,
    lower_bounds,
    relu_pieces,
    vc_dimension_bound,
)
from constructions.relu import piecewise_linear, square

ONE = (fmpq(1),)


def test_pieces_are_counted_for_sawtooths_and_skips():
    assert relu_pieces(piecewise_linear(Target("x**2"), 1e-3).network) == 12
    b = Builder(1)
    u = b.relu(b.input() - 0.25)
    net = b.build([b.relu(u - 0.25 + 0.5 * b.input()) + u])
    assert relu_pieces(net) == 4
    with pytest.raises(InputError):
        relu_pieces(b.build([b.unit(b.input(), "sin")]))


def test_the_bound_by_pieces_is_sharp_for_free_knots_and_holds_for_them():
    for text, most in (("x**2", 1.05), ("exp(x)", 1.3), ("sin(2*pi*x)", 1.7)):
        f = Target(text)
        found = piecewise_linear(f, 1e-4)
        below = curvature_profile(f).error_below(relu_pieces(found.network))
        assert below <= found.certify().upper <= most * below
    # x**2 on [0, 1] with P lines: exactly 1 / (8 P^2)
    profile = curvature_profile(Target("x**2"), 64)
    for pieces in (1, 2, 4, 8, 64):
        assert 0.999 / (8 * pieces**2) <= profile.error_below(pieces) <= 1 / (8 * pieces**2) * (1 + 1e-6)
    assert profile.error_below(63) > profile.error_below(64) > 0
    assert curvature_profile(Target("abs(x - 1/3)")).error_below(1) == 0


def test_deep_squares_respect_the_bound_by_pieces():
    f = Target("x**2")
    for eps in (1e-2, 1e-4, 1e-6):
        found = square(round(math.log(1 / eps, 4)))
        ratio = lower_bounds(found, class_of(f), curvature_profile(f)).ratios(certify(found, f).upper)
        assert ratio["pieces"] >= 1


def test_amplitudes_by_hand():
    lipschitz = SmoothnessClass(1, 3, ONE)
    assert lipschitz.amplitude(10) == pytest.approx(3 / 20, rel=1e-12)
    assert SmoothnessClass(0.5, 1, ONE).amplitude(4) == pytest.approx(2**-0.5 / 8**0.5, rel=1e-12)
    # b = (4t(1-t))^2 has sup |b''| = 32 = 4^2 2!, and 4^3 3! = 384 for the third power: P_r is at most 1
    assert SmoothnessClass(2, 1, ONE).amplitude(10) == pytest.approx(0.01 / 32, rel=1e-3)
    assert SmoothnessClass(3, 1, ONE).amplitude(1) == pytest.approx(1 / 384, rel=1e-3)
    box = SmoothnessClass(1, 1, (fmpq(1), fmpq(1, 10)))
    assert box.amplitude(10) == pytest.approx(0.05, rel=1e-12) and box.amplitude(12) == pytest.approx(1 / 24, rel=1e-12)
    assert SmoothnessClass(2, 1, ONE * 2).amplitude(100) == pytest.approx(0.01 / 32, rel=1e-2)


@pytest.mark.parametrize(("order", "dimension"), [(0.5, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
def test_the_bumps_are_in_their_class(order, dimension):
    """Sums of bumps with random signs: difference quotients of the order of the class stay below the constant."""
    cells, rng = 3, np.random.default_rng(1)
    smoothness = SmoothnessClass(order, 1, ONE * dimension)
    size = smoothness.amplitude(cells**dimension)
    signs = rng.choice([-1, 1], (cells,) * dimension)

    def f(x):
        at = np.clip((x * cells).astype(int), 0, cells - 1)
        t = x * cells - at
        if order <= 1:
            bump = (2 * np.minimum(t, 1 - t).min(axis=-1)) ** order
        else:
            bump = ((4 * t * (1 - t)) ** order).prod(axis=-1)
        return size * signs[tuple(at.T)] * bump

    x = rng.random((20_000, dimension))
    if order <= 1:
        y = rng.random((20_000, dimension))
        worst = (np.abs(f(x) - f(y)) / np.abs(x - y).max(axis=1) ** order).max()
    else:
        h = 1e-3
        x = x * (1 - order * h)
        worst = 0.0
        for axes in [(0,) * order, (0, dimension - 1) + (0,) * (order - 2)]:
            total = 0.0
            for corner in np.ndindex(*(2,) * order):
                step = np.zeros(dimension)
                for k, c in zip(axes, corner, strict=True):
                    step[k] += c * h
                total = total + (-1) ** (order - sum(corner)) * f(x + step)
            worst = max(worst, float(np.abs(total).max()) / h**order)
    assert 0.5 * (dimension == 1) <= worst <= 1.0001


def test_exponents_of_the_bounds():
    for order, d in ((1, 1), (0.5, 1), (2, 1), (1, 2), (2, 2)):
        smoothness, w = SmoothnessClass(order, 1, ONE * d), [10**k for k in (2, 3, 4, 5)]
        assert log_slope(w, [continuous_selection(smoothness, n) for n in w]).value == pytest.approx(
            -order / d, abs=0.05
        )
        assert log_slope(w, [any_selection(smoothness, n) for n in w]).value == pytest.approx(-2 * order / d, abs=0.05)
        fixed = [any_selection(smoothness, n, 2) for n in w]
        assert log_slope(w, fixed).value == pytest.approx(-order / d, abs=0.2 * order / d)
        assert all(
            any_selection(smoothness, n) <= b <= continuous_selection(smoothness, n)
            for n, b in zip(w, fixed, strict=True)
        )


def test_bits_and_vc_dimension_agree_with_what_is_known():
    # a network of b bits has 2^b functions: the packing of entropy_bits is the same
    eps = SmoothnessClass(1, 1, ONE).amplitude(500)
    assert entropy_bits(1, 1, (0, 1), eps * 0.999) >= 500
    assert vc_dimension_bound(50, 1) >= 50 and vc_dimension_bound(7) == 16 * 7 * 8
    assert vc_dimension_bound(1000, 10_000) == vc_dimension_bound(1000)
    for bad in (0, -1, True, 1.5):
        with pytest.raises(InputError):
            vc_dimension_bound(bad)
    with pytest.raises(InputError):
        vc_dimension_bound(3, -1)


def test_classes_of_targets_and_bad_input():
    assert class_of(Target("sin(3*x)")).order == 2
    assert class_of(Target("abs(x-0.3)")).order == 1 and class_of(Target("sqrt(x)")).order == 0.5
    assert class_of(Target("sin(3*x)"), order=4).constant == pytest.approx(81, rel=0.06)
    assert class_of(Target("abs(x)", (-1, 3)), order=0.5).constant == pytest.approx(2, rel=1e-6)
    with pytest.raises(RegularityError):
        class_of(Target("sqrt(x)"), order=1)
    with pytest.raises(RegularityError, match="vanish"):
        class_of(Target("x**2"), order=3)
    with pytest.raises(RegularityError):
        class_of(Target("abs(x-0.3)"), order=2)
    for order, constant in ((0, 1), (1.5, 1), (1, 0), (1, math.inf), (13, 1)):
        with pytest.raises(InputError):
            SmoothnessClass(order, constant, ONE)
