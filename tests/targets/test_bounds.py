"""Are derivative bounds sound and within their tolerance, and are Lipschitz, Hölder and modulus bounds valid?"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from flint import arb
from target_cases import KINKS, ONE_VARIABLE, SEVERAL_VARIABLES

from approx.errors import InputError, RegularityError
from approx.numbers import working_precision
from approx.targets import Target

CLOSED_FORMS = [
    ("exp(x)", (0, 1), 3, math.e), ("sin(20*x)", (0, 1), 4, 160000.0), ("sin(2*pi*x)", (0, 1), 2, 4 * math.pi**2),
    ("x**5", (-1, 2), 2, 160.0), ("x**5", (-1, 2), 5, 120.0), ("1/x", (1, 3), 4, 24.0), ("log(x)", ("1/2", 1), 3, 16.0),
    ("1/(1+25*x**2)", (-1, 1), 2, 50.0), ("abs(x-1/3)", (0, 1), 1, 1.0), ("max(0, x-1/pi)", (0, 1), 1, 1.0),
    ("tanh(10*x)", (-1, 1), 1, 10.0), ("arctan(x)", (-5, 5), 1, 1.0), ("erf(x)", (-2, 2), 1, 2 / math.sqrt(math.pi)),
    ("sqrt(x)", (1, 4), 2, 0.25), ("cosh(x)", (-1, 1), 2, math.cosh(1)), ("x**(5/2)", (0, 1), 2, 3.75),
    ("sin(x)*cos(x)", (0, 3), 1, 1.0), ("exp(-x**2)", (-3, 3), 2, 2.0), ("abs(x-1/2)*(x-1/2)", (0, 1), 1, 1.0),
    ("x", (0, 1), 0, 1.0), ("sin(7*x)-2", (0, 1), 0, 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "domain", "order", "truth"), CLOSED_FORMS, ids=str)
@pytest.mark.parametrize("rtol", [0.05, 0.001])
def test_bounds_against_closed_forms(text, domain, order, truth, rtol):
    bound = Target(text, domain).derivative_bound(order, rtol=rtol)
    assert truth * (1 - 1e-12) <= bound <= truth * (1 + rtol) * (1 + 1e-7)


def test_exactly_zero_derivatives():
    assert Target("x**2 - 3*x").derivative_bound(3) == 0.0
    assert Target("x*y").derivative_bound((2, 1)) == 0.0
    assert Target("7/3").lipschitz() == 0.0


@pytest.mark.parametrize(
    ("text", "domain", "order"),
    [("sqrt(x)", (0, 1), 1), ("sqrt(x)", (0, 1), 2), ("abs(x-1/3)", (0, 1), 2), ("1/x", (0, 1), 1), ("1/x", (0, 1), 0),
     ("x**(3/2)", (0, 1), 2), ("arcsin(x)", (-1, 1), 1), ("log(x)", (0, 1), 1), ("tan(x)", (0, 2), 1), ("x**pi", (0, 1), 4)],
    ids=str,
)  # fmt: skip
def test_unbounded_derivatives_give_infinity(text, domain, order):
    assert Target(text, domain).derivative_bound(order) == math.inf


@pytest.mark.parametrize(("text", "dimension", "reference"), SEVERAL_VARIABLES, ids=[r[0] for r in SEVERAL_VARIABLES])
def test_bounds_in_several_variables_dominate_samples(text, dimension, reference):
    target = Target(text)
    rows = np.random.default_rng(10).random((400, dimension))
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * dimension)).reshape(dimension, -1).T
    jets = target.jet_float(np.concatenate([rows, corners]), 2)
    for alpha in [a for a in jets if 1 <= sum(a) <= 2][: 5 if dimension <= 2 else 3]:
        bound = target.derivative_bound(alpha)
        sampled = np.max(np.abs(jets[alpha])) * math.prod(math.factorial(k) for k in alpha)
        assert sampled * (1 - 1e-9) <= bound <= 1.35 * sampled + 1e-12, (alpha, sampled, bound)


def test_bounds_on_a_part_of_the_domain():
    target = Target("exp(x)", (0, 2))
    assert target.derivative_bound(2, box=(0, 1)) <= math.e * 1.05 < target.derivative_bound(2)
    assert Target("x**2*y").derivative_bound((1, 0), box=[(0, "1/2"), (0, "1/4")]) <= 0.25 * 1.05


@pytest.mark.parametrize("alpha", [-1, (1, 1), (), 1.5, "1", (True, 0, 0)])
def test_bad_orders_are_refused(alpha):
    with pytest.raises((InputError, TypeError)):
        Target("x").derivative_bound(alpha)


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=[r[0] for r in ONE_VARIABLE])
def test_lipschitz_hoelder_and_modulus_hold_between_points(text, domain, reference):
    target = Target(text, domain)
    alpha, constant = target.hoelder()
    lipschitz = target.lipschitz()
    assert (alpha == 1.0) == math.isfinite(lipschitz)
    rng = random.Random(11)
    low, high = (float(end) for end in target.domain.floats_inside()[0])
    with working_precision(80):
        for _ in range(40):
            x = rng.uniform(low, high)
            y = min(high, max(low, x + rng.uniform(-1, 1) * 10.0 ** rng.randrange(-6, 1)))
            gap = abs(target.ball(x) - target.ball(y))
            step = abs(arb(x) - arb(y))
            if x == y:
                continue
            assert gap.lower() <= (arb(constant) * (step.log() * alpha).exp()).upper()
            assert gap.lower() <= arb(target.modulus(abs(x - y) * (1 + 1e-15)))
            if math.isfinite(lipschitz):
                assert gap.lower() <= (lipschitz * step).upper()


@pytest.mark.parametrize(
    ("text", "domain", "alpha", "constant"),
    [("sqrt(x)", (0, 1), 0.5, 1.0), ("sqrt(sqrt(x))", (0, 1), 0.25, 1.0), ("x**0.3", (0, 2), 0.3, 1.0),
     ("exp(x)", (0, 1), 1.0, math.e), ("arcsin(x)", (-1, 1), 0.5, math.pi / math.sqrt(2)),
     ("sqrt(abs(x-1/3))", (0, 1), 0.5, 1.0), ("abs(x)", (-1, 1), 1.0, 1.0),
     ("2*sqrt(x)+3", (0, 1), 0.5, 2.0), ("sqrt(4*x)", (0, 1), 0.5, 2.0), ("max(sqrt(x), x)", (0, 1), 0.5, 1.0)],
    ids=str,
)  # fmt: skip
def test_sharp_hoelder_pairs(text, domain, alpha, constant):
    found = Target(text, domain).hoelder()
    assert found[0] == pytest.approx(alpha, abs=1e-15) and found[0] <= alpha + 1e-17
    assert constant * (1 - 1e-9) <= found[1] <= constant * 1.06


def test_lipschitz_in_the_maximum_norm():
    assert 1.0 <= Target("max(x, y)").lipschitz() <= 1.0001
    assert 2.0 <= Target("x+y").lipschitz() <= 2.0001
    assert 3.0 <= Target("x+y-z").lipschitz() <= 3.0001
    assert Target("sqrt(x*y)").lipschitz() == math.inf


def test_no_continuity_is_an_error_not_a_number():
    with pytest.raises(RegularityError):
        Target("1/x").hoelder()


def test_modulus():
    target = Target("sqrt(x)")
    assert target.modulus(0.0) == 0.0
    assert math.sqrt(1e-4) <= target.modulus(1e-4) <= math.sqrt(1e-4) * 1.0001
    assert target.modulus(100.0) <= 1.0001, "never more than the range"
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError):
            target.modulus(bad)


@pytest.mark.parametrize(("text", "domain", "reference"), ONE_VARIABLE, ids=[r[0] for r in ONE_VARIABLE])
def test_ellipses_bound_the_function_there(text, domain, reference):
    target = Target(text, domain)
    found = target.ellipse()
    if text in KINKS or text == "sqrt(x)":
        assert found is None
        return
    assert found is not None
    rho, bound = found
    assert rho > 1.05 and bound < 1e61
    import mpmath

    low, high = (mpmath.mpf(int(e.p)) / int(e.q) for e in (target.domain.lower[0], target.domain.upper[0]))
    for k in range(16):
        w = rho * mpmath.expjpi(mpmath.mpf(k) / 16 + 0.01)
        z = (low + high) / 2 + (high - low) / 4 * (w + 1 / w)
        assert abs(reference(z)) <= bound * (1 + 1e-12)


@pytest.mark.parametrize(
    ("text", "domain", "largest"),
    [("1/(1+25*x**2)", (-1, 1), 0.2 + math.sqrt(1.04)), ("1/x", (1, 3), 2 + math.sqrt(3)), ("log(x+1/10)", (0, 1), None),
     ("sqrt(x)", (1, 3), 2 + math.sqrt(3)), ("arctan(5*x)", (-1, 1), 0.2 + math.sqrt(1.04)), ("tan(x)", (-1, 1), None)],
)  # fmt: skip
def test_ellipses_stop_before_the_singularity_and_come_near_it(text, domain, largest):
    rho, _ = Target(text, domain).ellipse()
    if largest is not None:
        assert 0.9 * largest < rho < largest
    else:
        assert rho > 1.5
    assert Target("exp(x)").ellipse()[0] > 20


def test_planted_fault_a_bound_from_samples_alone_is_too_small():
    target = Target("1/(1+25*x**2)", (-1, 1))
    grid = np.linspace(-1, 1, 6)
    sampled = np.max(np.abs(target.jet_float(grid, 2)[(2,)])) * 2
    assert sampled < 0.9 * 50 <= target.derivative_bound(2)
