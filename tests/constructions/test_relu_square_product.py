"""Are the square, the product and the product trees as cheap and as accurate as declared, exactly?"""

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.errors import InputError, RegularityError
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from constructions.relu.powers import power, powers, table_of_powers
from constructions.relu.product import (
    Ranged,
    product,
    product_error,
    product_of,
    product_on_box,
    product_tree,
    product_weights,
)
from constructions.relu.square import levels_for, square, square_error, square_form, square_weights

GRID = np.linspace(0, 1, 4097)


def test_declared_sizes_of_the_issue():
    assert square(12).size[:2] == (58, 22)
    assert product(12).size[:2] == (126, 48)
    assert square_error(12) == fmpq(1, 4**13) == product_error(12)


@pytest.mark.parametrize("levels", range(0, 24))
def test_counts_equal_the_formulas(levels):
    assert square(levels).size.weights == square_weights(levels)
    assert square(levels, (-3, 3)).size.weights == square_weights(levels, symmetric=True)
    for variant in ("economical", "paper"):
        assert product(levels, variant=variant).size.weights == product_weights(levels, variant)


@pytest.mark.parametrize("levels", [0, 1, 2, 3, 7, 15])
def test_square_error_is_exact_at_nodes_and_midpoints(levels):
    net = square(levels)
    cells = 2 ** min(levels, 5)
    step = fmpq(1, 2**levels)
    for k in range(cells):
        node, middle = k * step, (k + fmpq(1, 2)) * step
        assert evaluate_exact(net, [node])[0] == node**2
        assert evaluate_exact(net, [middle])[0] - middle**2 == square_error(levels)


def test_centred_square_halves_the_error():
    for levels in (1, 4, 9):
        error = square(levels, centred=True)(GRID) - GRID**2
        assert np.abs(error).max() <= float(square_error(levels, True)) * (1 + 1e-9)


@pytest.mark.parametrize("interval", [(0, 5), (-1, 1), (-0.75, 0.75)])
def test_square_on_other_intervals(interval):
    x = np.linspace(*interval, 5001)
    error = square(6, interval)(x) - x**2
    top = interval[1] ** 2 * 4.0**-7
    assert error.min() >= -1e-14 and 0.99 * top <= error.max() <= top * (1 + 1e-9)


def test_levels_for_is_the_least():
    for error in (0.3, 0.25, 0.1, 1 / 16, 1e-3, 4.0**-13, 1e-9):
        m = levels_for(error)
        assert square_error(m) <= fmpq(*error.as_integer_ratio())
        assert m == 0 or square_error(m - 1) > fmpq(*error.as_integer_ratio())


@pytest.mark.parametrize("variant", ["economical", "paper"])
@pytest.mark.parametrize("bound", [1, 2.5])
def test_product_bound_and_exact_zeros(variant, bound):
    net = product(5, bound, variant)
    rng = np.random.default_rng(1)
    points = rng.uniform(-bound, bound, (20000, 2))
    error = np.abs(net(points) - points.prod(axis=1)).max()
    assert error <= float(product_error(5, (bound, bound), variant)) * (1 + 1e-9)
    for value in (fmpq(1, 3), fmpq(-5, 7), fmpq(1)):
        assert evaluate_exact(net, [[value, fmpq(0)]])[0] == 0
        assert evaluate_exact(net, [[fmpq(0), value]])[0] == 0


def test_product_on_a_box():
    b = Builder(2)
    net = b.build([product_on_box(b, b.input(0), b.input(1), 6, (2, 3), (-1, 4))])
    rng = np.random.default_rng(2)
    points = rng.uniform((2, -1), (3, 4), (20000, 2))
    assert np.abs(net(points) - points.prod(axis=1)).max() <= 0.5 * 2.5 * 4.0**-7 * (1 + 1e-9)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_product_of_several_factors(number):
    net, error = product_of(number, 6)
    assert error == fmpq(number - 1, 4**7)
    points = np.random.default_rng(3).uniform(-1, 1, (5000, number))
    points[:100] = np.sign(points[:100])
    values = net(points[:, 0] if number == 1 else points)
    assert np.abs(values - points.prod(axis=1)).max() <= float(error) + 1e-12


def test_tree_keeps_zero_factors():
    b = Builder(2)
    factors = [Ranged(b.input(i), fmpq(1), fmpq(0)) for i in range(2)] + [Ranged(b.input(0) * 0, fmpq(0), fmpq(0))]
    assert b.build([product_tree(b, factors, 4).form]).size.weights == 0


@pytest.mark.parametrize("exponent", [1, 2, 3, 6, 11])
@pytest.mark.parametrize("interval", [(0, 1), (-1, 1), (-2, 1)])
def test_powers_within_their_bound(exponent, interval):
    net, bound = power(exponent, 1e-4, interval)
    x = np.linspace(*interval, 5001)
    assert np.abs(net(x) - x**exponent).max() <= bound * (1 + 1e-9) + 1e-12 * 2**exponent
    assert bound <= 1e-4


def test_table_of_powers():
    net, bound = table_of_powers(6, 1e-3)
    x = np.linspace(-1, 1, 4001)
    assert bound <= 1e-3
    assert np.abs(net(x) - np.stack([x**k for k in range(1, 7)], axis=1)).max() <= bound


def test_powers_builder_reaches_the_issue_level():
    found = powers(Target("x**2", domain=(0, 1)), 4.0**-13)
    assert found.network.size.weights <= 58 and found.bound <= 4.0**-13
    with pytest.raises(RegularityError):
        powers(Target("x**2 + 1", domain=(0, 1)), 1e-3)


def test_bad_arguments():
    for call in (lambda: square(-1), lambda: square(1.5), lambda: square(3, (1, 2)), lambda: product(3, 0),
                 lambda: product(3, 1, "cheap"), lambda: levels_for(0), lambda: product_of(0, 3)):  # fmt: skip
        with pytest.raises(InputError):
            call()


def test_planted_fault_is_seen():
    # A square with one level too few must break the declared bound: the test above would notice.
    b = Builder(1)
    wrong = b.build([square_form(b, b.input(), 4)])
    assert np.abs(wrong(GRID) - GRID**2).max() > float(square_error(5))
