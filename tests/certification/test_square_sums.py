"""Sums of sawtooth squares by their structure: closed forms at any depth, audited by the region engine where it reaches."""

import dataclasses

import numpy as np
import pytest
from flint import fmpq

from approx import Target, certify
from approx.certification import square_sums
from approx.errors import UnsupportedError
from approx.networks import Builder, Network, Values
from approx.numbers import to_fmpq
from constructions.relu.product import product, product_form, product_on_box
from constructions.relu.square import absolute_unit, square, square_form

SQUARE = [(-1, 1), (-1, 1)]


def structural(net, target):
    return certify(net, target, method="structure")


@pytest.mark.parametrize("m", [1, 2, 5, 10, 40, 150])
@pytest.mark.parametrize("bound", [1, 3])
def test_products_of_any_depth_meet_their_closed_form(m, bound):
    c = structural(product(m, bound), Target("x*y", [(-bound, bound)] * 2))
    truth = fmpq(bound**2, 4 ** (m + 1))
    assert to_fmpq(c.lower) <= truth <= to_fmpq(c.upper) and c.upper <= c.lower * (1 + 1e-15)
    assert c.status == "tight" and c.check("witness")


@pytest.mark.parametrize("m", [2, 3, 12])
def test_the_product_of_the_paper_has_four_times_the_error(m):
    c = structural(product(m, 1, "paper"), Target("x*y", SQUARE))
    assert c.lower <= 4.0**-m <= c.upper and c.status == "tight"


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("interval", [(0, 1), (0, 2), (-1, 1)])
def test_squares_on_scaled_intervals(interval, centred):
    c = structural(square(20, interval, centred=centred), Target("x**2", interval))
    truth = interval[1] ** 2 * 4.0**-21 / (2 if centred else 1)
    assert c.lower <= truth <= c.upper and c.status == "tight"


def mixed(depth):
    """3 x^2 - x y / 2 + x + 2 z - 1/4, with squares of two depths."""
    b = Builder(3)
    x, y, z = (b.input(i) for i in range(3))
    first = square_form(b, absolute_unit(b, x, 1), depth)
    return b.build([3 * first - fmpq(1, 2) * product_form(b, x, y, 4) + x + 2 * z - fmpq(1, 4)])


def test_a_mixed_sum_in_three_variables():
    target = Target("3*x**2 - x*y/2 + x + 2*z - 1/4", [(-1, 1)] * 3)
    c = structural(mixed(4), target)
    truth = 3.5 * 4.0**-5
    assert c.lower <= truth <= c.upper and c.status == "tight"
    # The extreme points of squares of different depths need not meet: then the bound is true and not sharp.
    c = structural(mixed(6), target)
    assert 0 < c.lower < c.upper <= (3 * 4.0**-7 + 0.5 * 4.0**-5) * (1 + 1e-12)


def test_a_constant_that_is_off_is_counted():
    c = structural(product(5), Target("x*y + 1/1024", SQUARE))
    assert c.lower <= 2.0**-10 + 4.0**-6 <= c.upper and c.status == "tight"


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_the_region_engine_agrees(m):
    for net in (product(m), product(m, 1, "paper")):
        c = certify(net, Target("x*y", SQUARE), method="polygons", rtol=1e-6)
        try:
            s = structural(net, Target("x*y", SQUARE))
        except UnsupportedError:
            assert m == 1  # one level of the three-square form is no chain of teeth
            continue
        assert s.lower <= c.upper and c.lower <= s.upper and s.check("full" if m < 5 else "regions")


def test_products_on_shifted_boxes():
    b = Builder(2)
    net = b.build([product_on_box(b, b.input(0), b.input(1), 6, (fmpq(1, 3), fmpq(2, 3)), (-1, 2))])
    target = Target("x*y", [("1/3", "2/3"), (-1, 2)])
    s, c = structural(net, target), certify(net, target, method="polygons", rtol=1e-5)
    assert s.lower <= c.upper and c.lower <= s.upper and s.status == "tight"


def changed(net, number, factor):
    """The network with weight `number` (in storage order) multiplied."""
    layers, seen = [], 0
    for l in net.layers:
        blocks = []
        for b in l.blocks:
            floats = b.values.floats.copy()
            if seen <= number < seen + len(floats):
                floats[number - seen] *= factor
            seen += len(floats)
            blocks.append(dataclasses.replace(b, values=Values(floats)))
        layers.append(dataclasses.replace(l, blocks=tuple(blocks)))
    return Network(net.inputs, layers)


def test_a_changed_weight_is_not_recognised_or_certified_as_what_it_is():
    net, target = product(3), Target("x*y", SQUARE)
    weights = sum(b.count for l in net.layers for b in l.blocks)
    refused = 0
    for number in range(weights):
        other = changed(net, number, 1.25)
        try:
            s = structural(other, target)
        except UnsupportedError:
            refused += 1
            continue
        c = certify(other, target, method="polygons")
        assert s.lower <= c.upper and c.lower <= s.upper
    assert refused > 0.9 * weights


@pytest.mark.parametrize("text", ["x*y + x**3", "x*y + x/1000", "sin(x*y)", "abs(x*y)"])
def test_other_targets_are_refused(text):
    with pytest.raises(UnsupportedError):
        structural(product(3), Target(text, SQUARE))


def test_a_larger_domain_is_refused():
    with pytest.raises(UnsupportedError):
        structural(product(3), Target("x*y", [(-2, 2), (-2, 2)]))


def test_auto_uses_structure_for_products_and_regions_for_others():
    assert "structure" in certify(product(9), Target("x*y", SQUARE)).method
    rng = np.random.default_rng(0)
    other = changed(product(2), int(rng.integers(10)), 1.5)
    c = certify(other, Target("x*y", SQUARE))
    assert "structure" not in c.method and c.status == "tight"


def test_no_network_is_read_for_a_target_that_is_no_polynomial(monkeypatch: pytest.MonkeyPatch) -> None:
    # Reading 1e5 hinges for abs(x-1/3), which can have no such bound, took a minute of every certificate.
    def read(*_: object) -> None:
        raise AssertionError("the network was read")

    monkeypatch.setattr(square_sums, "recognise_squares", read)
    network = product(3, 1)
    assert square_sums.square_sum_bound(network, Target("abs(x-y)", SQUARE)) is None
    with pytest.raises(AssertionError, match="read"):
        square_sums.square_sum_bound(network, Target("x*y", SQUARE))


def test_a_combination_is_the_sum_of_its_forms() -> None:
    rng = np.random.default_rng(0)
    forms = [{int(k): fmpq(int(rng.integers(-3, 4)) or 1, 3) for k in rng.integers(-1, 6, size=4)} for _ in range(20)]
    weights = [fmpq(int(w), 7) for w in rng.integers(-5, 6, size=20)]
    for constant in (fmpq(0), fmpq(2, 5)):
        total = {-1: constant} if constant != 0 else {}
        for weight, form in zip(weights, forms, strict=True):
            total = square_sums.add(total, square_sums.scaled(form, weight))
        assert square_sums.combination(constant, zip(weights, forms, strict=True)) == total
    assert square_sums.combination(fmpq(1), [(fmpq(-1), {-1: fmpq(1)})]) == {}
