"""Are the values of step networks on all cells the exact ones?"""

from itertools import product

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.errors import InputError
from approx.evaluation import evaluate_exact
from approx.evaluation.bit_fields import read_bits
from approx.evaluation.step_cells import step_values
from approx.networks import Builder
from constructions.superexpressive import floor_exp2, log_free

TARGETS = [
    Target("x*sin(3*x)", (-1, 2)),
    Target("sqrt(abs(x - y))", [(0, 1), (-1, 1)]),
    Target("abs(x - y*z)/4", [(0, 1)] * 3),
]
FORMS = ["log-free", "two", "skip"]


def test_bit_fields_are_those_of_the_integer():
    rng = np.random.default_rng(1)
    integer = int.from_bytes(rng.bytes(90), "little")
    positions = rng.integers(-80, 800, 300)
    for width in (1, 7, 33, 56):
        wanted = [((integer >> int(p)) if p >= 0 else integer << -int(p)) % 2**width for p in positions]
        assert read_bits(integer, positions, width).tolist() == wanted
    assert read_bits(0, np.array([0, 5]), 3).tolist() == [0, 0]
    for bad in (0, 57):
        with pytest.raises(InputError, match="width"):
            read_bits(1, positions, bad)
    with pytest.raises(InputError, match="integer"):
        read_bits(-1, positions, 1)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.text)
@pytest.mark.parametrize("form", FORMS)
def test_cells_agree_with_the_literal_value_at_random_exact_points(target, form):
    a = log_free(target, 0.3, share=0.5, ridges=False) if form == "log-free" else floor_exp2(target, 0.5, form=form)
    found = step_values(a.network, target.domain.lower, target.domain.upper)
    assert found is not None and found.multiples.shape == found.grid.counts
    rng = np.random.default_rng(7)
    shares = rng.integers(0, 9974, (200, target.dimension))
    points = [
        [a + (b - a) * fmpq(int(k), 9973) for k, (a, b) in zip(row, target.domain, strict=True)] for row in shares
    ]
    corners = list(product(*zip(target.domain.lower, target.domain.upper, strict=True)))
    for point in [*points, *map(list, corners)]:
        cell = tuple(
            int((scale * (x - low)).floor())
            for x, low, scale in zip(point, found.grid.lower, found.grid.scale, strict=True)
        )
        rest = evaluate_exact(a.network, [point])[0] - found.unit * int(found.multiples[cell])
        assert 0 <= rest <= found.slack
        assert (found.slack > 0) == (form == FORMS[2])


def test_other_networks_are_not_taken_for_step_networks():
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    box = [fmpq(0)] * 2, [fmpq(1)] * 2
    n, m = b.unit(5 * x, "floor"), b.unit(3 * y, "floor")
    power = b.unit(-2 * n, "exp2")
    assert step_values(b.build([n + m]), *box).multiples.shape == (6, 4)
    assert step_values(b.build([n + b.unit(2 * x, "floor")]), *box) is None  # 2 does not divide 5
    assert step_values(b.build([b.unit(x + y, "floor")]), *box) is None  # an oblique edge
    assert step_values(b.build([n + x]), *box) is None  # not constant on cells
    assert step_values(b.build([b.unit(5 * x - 1, "floor")]), *box) is None  # cells that start elsewhere
    assert step_values(b.build([b.unit(fmpq(2**90) * power, "floor")]), *box) is None  # an integer of 90 bits
    assert step_values(b.build([b.unit(n / 2, "exp2")]), *box) is None  # an irrational number
    assert step_values(b.build([b.unit(n, "sin")]), *box) is None
