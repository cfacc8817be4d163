"""Local Taylor networks of max(t, 0)^2 and max(t, 0)^3: equal to their polynomials, proved, of every order, in d <= 3."""

import math
import sys

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from approx.evaluation import evaluate_exact
from approx.interchange import from_onnx
from constructions.relu import power_taylor
from constructions.relu._cell_grid import make_axis
from constructions.relu._economical_taylor import monomials

WAVE = Target("sin(2*pi*x)")
PLANE = Target("exp(x)*sin(3*y)", [(0, 1), (-1, 1)])
SPACE = Target("sin(x + y*z)", [(0, 1)] * 3)


def observed(a, count=4000):
    d = a.target.dimension
    ends = a.target.domain.floats()
    x = np.random.default_rng(3).uniform(ends[:, 0], ends[:, 1], (count, d))
    return float(np.abs(np.asarray(a.target(x if d > 1 else x[:, 0])) - a.network(x)).max())


@pytest.mark.parametrize("power", [2, 3])
@pytest.mark.parametrize(
    ("target", "order", "eps"),
    [(WAVE, 2, 1e-1), (WAVE, 5, 1e-5), (WAVE, 12, 1e-7),
     (PLANE, 2, 1e-1), (PLANE, 4, 1e-2), (PLANE, 7, 1e-4), (SPACE, 3, 1e-1)],
    ids=lambda v: getattr(v, "text", str(v)),
)
def test_the_bound_holds_and_is_not_far_off(target, order, eps, power):
    a = power_taylor(target, eps, order=order, power=power)
    seen = observed(a)
    assert seen <= a.bound <= eps and seen >= 0.04 * a.bound
    assert a.network.activations == {"identity", f"relu{power}"}


@pytest.mark.parametrize("power", [2, 3])
def test_inside_a_cell_the_network_is_the_polynomial_of_that_cell_exactly(power):
    order, cells = 3, 5
    a = power_taylor(PLANE, 1.0, order=order, cells=cells, power=power)
    axes = [make_axis(low, high, cells) for low, high in PLANE.domain]
    middle = [fmpq(*((axis.start + 2.5 * axis.pitch).as_integer_ratio())) for axis in axes]
    step = fmpq(1, 64)
    lines = [evaluate_exact(a.network, [[middle[0] + i * step, middle[1] + j * step] for i in range(4)]) for j in (0, 1)]
    for row in lines:  # third differences of a polynomial of degree 2 vanish: no product has an error
        assert row[3] - 3 * row[2] + 3 * row[1] - row[0] == 0
    assert lines[0] != lines[1]


@pytest.mark.parametrize(
    ("target", "order", "power"), [(WAVE, 3, 2), (WAVE, 4, 3), (PLANE, 3, 2), (PLANE, 2, 3), (SPACE, 2, 2)]
)
def test_weights_per_cell_are_as_declared_and_the_depth_does_not_grow(target, order, power):
    d = target.dimension
    few, many = (8, 40) if d == 1 else (4, 9) if d == 2 else (3, 5)
    options = {"order": order, "power": power, "proved": False}
    sizes = [power_taylor(target, 1.0, cells=n, **options).network.size for n in (few, many)]
    cells = many**d - few**d
    lines = 0 if d == 1 else 60 * d * (many - few)
    per_cell = (8 + 2 * power if d == 1 else d) + power * monomials(d, order)
    assert sizes[1].weights - sizes[0].weights <= per_cell * cells + lines + 8
    assert sizes[0].hidden_layers == sizes[1].hidden_layers <= (2 * order + 2 if d == 1 else 5 + 2 * d * (order + 1))


@pytest.mark.parametrize(("order", "eps"), [(2, [1e-2, 1e-4, 1e-6]), (3, [1e-3, 1e-5, 1e-7]), (4, [1e-3, 1e-6, 1e-9])])
def test_weights_grow_like_eps_to_the_minus_one_over_r_without_a_logarithm(order, eps):
    found = [power_taylor(WAVE, e, order=order) for e in eps]
    slope = np.polyfit(np.log([1 / a.bound for a in found]), np.log([a.network.size.weights for a in found]), 1)[0]
    # The products are a constant that flattens the start of the line.
    assert 1 / order - 0.1 <= slope <= 1 / order + 0.02


@pytest.mark.parametrize(("target", "order", "eps"), [(PLANE, 2, [1e-1, 1e-2, 2e-3]), (PLANE, 4, [1e-3, 1e-4, 1e-5])])
def test_the_slope_in_two_variables_is_d_over_r(target, order, eps):
    found = [power_taylor(target, e, order=order, proved=False) for e in eps]
    # The estimates from float64 jets, which the proof confirms in the other tests.
    errors = [sum(item.value for item in a.budget) for a in found]
    slope = np.polyfit(np.log([1 / e for e in errors]), np.log([a.network.size.weights for a in found]), 1)[0]
    assert 2 / order - 0.25 <= slope <= 2 / order + 0.03


def test_certificates_in_one_variable_are_sharp():
    for power in (2, 3):
        a = power_taylor(WAVE, 1e-3, order=4, power=power)
        c = a.certify(rtol=0.1, budget=approx.Budget(seconds=30))
        assert c.status == "tight" and c.upper <= a.bound and c.lower >= 0.3 * a.bound and c.check("witness").ok


def test_polynomials_below_the_order_are_exact_up_to_their_coefficients():
    a = power_taylor(Target("x*y - x**2/3 + 1", [(0, 1)] * 2), 1e-9, order=3)
    assert a.bound < 1e-13 and observed(a) < 1e-9
    assert power_taylor(Target("0*x + 5"), 1e-9, order=2).bound == 0


def test_planted_faults_are_caught(monkeypatch):
    tail = sys.modules["constructions.relu._exact_tail"]
    honest = tail.square_stencil
    monkeypatch.setattr(tail, "square_stencil", lambda piece, low, high, reach: honest(piece, low, high, fmpq(reach, 64)))
    a = power_taylor(WAVE, 1e-2, order=4)
    assert observed(a) > a.bound  # squares that leave their piece
    monkeypatch.undo()
    grid = sys.modules["constructions.relu._cell_grid"]
    monkeypatch.setattr(grid, "float_up", lambda value: float(int(value.p) / int(value.q)) * 0.9)
    assert observed(power_taylor(WAVE, 1e-2, order=4)) > 1e-2  # staircases that do not end before the next core


def test_onnx_and_torch_forms_read_back(tmp_path):
    a = power_taylor(WAVE, 1e-2, order=3)
    assert a.network.to_onnx(tmp_path / "a.onnx").agrees
    assert from_onnx(tmp_path / "a.onnx").activations == {"identity", "relu2"}


def test_refusals():
    with pytest.raises(InputError, match="power"):
        power_taylor(WAVE, 1e-2, power=4)
    with pytest.raises(InputError, match="order"):
        power_taylor(WAVE, 1e-2, order=17)
    with pytest.raises(InputError, match="cells"):
        power_taylor(WAVE, 1e-2, cells=3)
    with pytest.raises(InputError, match="eps"):
        power_taylor(WAVE, 0)
    with pytest.raises(RegularityError, match="kinks"):
        power_taylor(Target("abs(x-1/3)"), 1e-2, order=4)
    with pytest.raises(RegularityError, match="variables"):
        power_taylor(Target("x1+x2+x3+x4"), 1e-2)
    with pytest.raises(UnreachableError):
        power_taylor(Target("x**2", (10**9, 10**9 + 1)), 1e-12, order=3, cells=300)
    assert math.isinf(power_taylor(WAVE, 1e-2, order=3, proved=False).bound)
