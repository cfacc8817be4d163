"""Do piecewise-polynomial activations square and multiply exactly, and are their splines proved, small and of full order?"""

import dataclasses
import math
import sys

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.errors import InputError, RegularityError
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from constructions.relu import relu_power
from constructions.relu.exact_products import product_form, square_form, square_stencil

#: (piece, lower, upper): max(t,0)^2 and ^3, the middle of a cubic B-spline, a quintic piece of a spline.
PIECES = [
    ([0, 0, 1], 0, 10), ([0, 0, 0, 1], 0, 4), ([fmpq(2, 3), 0, -1, fmpq(1, 2)], 0, 1),
    ([1, -2, fmpq(1, 3), 5, 0, fmpq(-1, 7)], -2, fmpq(-1, 3)),
]  # fmt: skip


def _value(piece, lower, upper, t):
    assert lower <= t <= upper  # the stencil may not leave the piece
    return sum((c * t**k for k, c in enumerate(piece)), fmpq(0))


@pytest.mark.parametrize("piece,lower,upper", PIECES)
@pytest.mark.parametrize("reach", [1, fmpq(7, 3), 100])
def test_any_piece_of_degree_two_or_more_squares_exactly(piece, lower, upper, reach):
    s = square_stencil(piece, lower, upper, reach)
    assert len(s.shifts) == len(piece) - 2
    for k in range(-6, 7):
        t = reach * fmpq(k, 6)
        units = sum(w * _value(piece, lower, upper, s.scale * t + c) for w, c in zip(s.weights, s.shifts, strict=True))
        assert units + s.linear * t + s.constant == t * t


@pytest.mark.parametrize("activation", ["relu2", "relu3"])
def test_networks_multiply_exactly(activation):
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    once = product_form(b, x, y, activation, 6)
    net = b.build([once, product_form(b, once, x, activation, 40)])
    points = [[fmpq(i, 3), fmpq(j, 2)] for i in range(-6, 7) for j in range(-4, 5)]
    assert evaluate_exact(net, points) == [[p * q, p * p * q] for p, q in points]
    assert net.size.units == 8


def test_a_planted_wrong_shift_is_seen():
    s = square_stencil([0, 0, 0, 1], 0, 4, 1)
    bad = dataclasses.replace(s, shifts=(s.shifts[0], s.shifts[1] + fmpq(1, 1000)))
    b = Builder(1)
    good, wrong = b.build([s.form(b, b.input(), "relu3")]), b.build([bad.form(b, b.input(), "relu3")])
    assert evaluate_exact(good, [fmpq(1, 3)]) == [fmpq(1, 9)]
    assert evaluate_exact(wrong, [fmpq(1, 3)]) != [fmpq(1, 9)]


@pytest.mark.parametrize("power", [2, 3])
def test_order_and_size(power):
    f = Target("1/(1+25*x**2)", (-1, 1))
    eps = [1e-3, 1e-5, 1e-7] if power == 3 else [1e-2, 1e-3, 1e-4]
    found = [relu_power(f, e, power=power) for e in eps]
    for a, e in zip(found, eps, strict=True):
        x = np.linspace(-1, 1, 5001)
        assert np.abs(a(x) - f(x)).max() <= a.bound + 1e-13 <= e + 1e-13
        assert a.network.size.weights <= 3 * (a.parameters["pieces"] - 1) + 10
        assert a.network.size.hidden_layers == 1
    pieces = np.log([a.parameters["pieces"] for a in found])
    slope = np.polyfit(np.log([1 / a.bound for a in found]), pieces, 1)[0]
    assert abs(slope - 1 / (power + 1)) < 0.06


def test_polynomials_of_the_degree_need_no_knots():
    a = relu_power(Target("x**2 - x/3", (-1, 2)), 1e-9, power=2)
    assert a.parameters["pieces"] == 1 and a.bound < 1e-13
    assert relu_power(Target("x + 1"), 1e-9).network.size.units <= 2
    assert relu_power(Target("0*x + 5"), 1e-9).bound < 1e-13


def test_the_bound_sees_a_planted_fault():
    module = sys.modules["constructions.relu.relu_power"]
    f = Target("sin(2*pi*x)")
    spline = module._Spline(f, 3, 20)
    spline.jumps = spline.jumps.copy()
    spline.jumps[7] *= 1.01
    x = np.linspace(0, 1, 2001)
    observed = float(np.abs(spline.network()(x) - f(x)).max())
    assert observed > 2 * spline.bound and spline._proved(f) >= observed * (1 - 1e-9)


def test_refusals():
    with pytest.raises(RegularityError, match="order 4"):
        relu_power(Target("abs(x-1/3)"), 1e-2)
    with pytest.raises(RegularityError, match="order 3"):
        relu_power(Target("sqrt(x)"), 1e-2, power=2)
    with pytest.raises(RegularityError, match="one variable"):
        relu_power(Target("x*y"), 1e-2)
    with pytest.raises(InputError, match="power"):
        relu_power(Target("x"), 1e-2, power=4)
    with pytest.raises(InputError, match="degree 2"):
        square_stencil([1, 2], 0, 1, 1)
    with pytest.raises(InputError, match="reach"):
        square_stencil([0, 0, 1], 0, 1, 0)
    with pytest.raises(InputError, match="upper"):
        square_stencil([0, 0, 1], 1, 1, 1)
    with pytest.raises(InputError, match="activation"):
        square_form(Builder(1), Builder(1).input(), "relu", 1)
    assert math.isfinite(relu_power(Target("exp(x)"), 5.0).bound)
