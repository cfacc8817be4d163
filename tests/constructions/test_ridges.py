"""Are sums of functions of linear forms found, stored line by line, and certified through all their parts?"""

import dataclasses

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target
from approx.errors import RegularityError
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import to_float, working_precision
from approx.targets.regularity import Regularity
from constructions.superexpressive import log_free, structural_balls
from constructions.superexpressive._ridges import ridges_of

SUMS = {
    "sqrt(abs(x - 1/2)) + sqrt(abs(y - x))/2": 2,
    "sin(pi*x)*cos(pi*y)/2": 2,
    "exp(x + 2*y) - 3*x - 6*y + 1/7": 1,
    "abs(x - y) + abs(2*y - 2*x - 1) + y": 2,
    "cos(x + y - z) + sqrt(z) + 1": 2,
}


@pytest.mark.parametrize(("text", "count"), SUMS.items())
def test_the_ridges_sum_to_the_target_and_are_certified(text, count):
    f = Target(text)
    ridges = ridges_of(f)
    assert ridges is not None and len(ridges) == count
    points = np.random.default_rng(1).random((50, f.dimension))
    total = sum(r.function(points @ [to_float(c) for c in r.coefficients]) for r in ridges)
    assert np.allclose(total, f(points), atol=1e-12)
    eps = 0.3
    a = log_free(f, eps, ridges=True)
    assert a.network.size.units == 14 * count and a.network.size.hidden_layers == 10
    c = a.certify()
    assert c.upper < 1.6 * c.lower
    assert c.method.startswith("structure") and 0 < c.lower <= c.upper <= a.bound * (1 + 1e-12) <= eps
    assert c.check("regions")


def test_values_agree_literally_and_from_the_cells():
    f = Target("sqrt(abs(x - 1/2)) + sqrt(abs(y - x))/2", [(0, 1), (-1, 2)])
    a = log_free(f, 0.2, ridges=True)
    rows = np.random.default_rng(4).integers(0, 1009, (200, 2))
    points = [[fmpq(int(i), 1009), fmpq(3 * int(j), 1009) - 1] for i, j in rows]
    exact = evaluate_exact(a.network, points)
    with working_precision(128):
        assert all(
            ball.overlaps(arb(value)) and ball.rad() < 1e-30
            for ball, value in zip(structural_balls(a, points), exact, strict=True)
        )
    floats = a(np.array([[to_float(c) for c in p] for p in points]))
    assert np.allclose(floats, [to_float(v) for v in exact], atol=1e-12)


def test_lines_need_far_fewer_bits_than_the_box_and_are_chosen_by_themselves():
    f = Target("sqrt(abs(x - 1/2)) + sqrt(abs(y - x))/2")
    line, box = log_free(f, 0.25), log_free(f, 0.25, ridges=False)
    assert line.parameters["ridges"] == 2 and box.parameters["ridges"] == 0
    assert 4 * line.network.size.bits < box.network.size.bits
    assert box.certify(rtol=0.1).upper <= 0.25
    fine = log_free(f, 0.03)  # more cells than allowed in the box
    assert fine.parameters["ridges"] == 2 and fine.certify(rtol=0.1).upper <= 0.03


def test_what_is_no_sum_of_ridges_is_stored_in_the_box():
    for f in (
        Target("x*y + x"),
        Target("abs(y - x*z)"),
        Target(lambda p: p[:, 0] + p[:, 1], [(0, 1)] * 2, regularity=Regularity(lipschitz=2)),
    ):
        assert ridges_of(f) is None
        with pytest.raises(RegularityError, match="linear form"):
            log_free(f, 0.5, ridges=True)
    assert log_free(Target("x*y + x"), 0.5).parameters["ridges"] == 0


def test_a_changed_weight_of_one_line_is_seen():
    f = Target("abs(x - y) + sqrt(abs(x + y - 1))")
    a = log_free(f, 0.2, ridges=True)
    honest = a.certify()
    pool = a.network.pool
    longest = max(range(len(pool)), key=lambda i: abs(pool[i]))
    changed = list(pool)
    changed[longest] = fmpq(int(pool[longest].p) ^ (1 << 9))
    assert dataclasses.replace(a, network=Network(2, a.network.layers, changed)).certify().upper > honest.upper
    assert log_free(f, 0.2, ridges=True).certify().upper == honest.upper
