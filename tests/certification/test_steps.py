"""Are certificates of step networks true everywhere, sharp, and impossible to fool by a changed weight?"""

import dataclasses

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.certification.certificate import network_digest
from approx.errors import UnsupportedError
from approx.networks import Builder, Network
from approx.numbers import to_float
from approx.targets.regularity import Regularity
from constructions.superexpressive import floor_exp2, log_free


def staircase(steps: int) -> Network:
    b = Builder(1)
    return b.build([b.unit(steps * b.input(), "floor") / steps])


def test_the_error_of_a_staircase_is_known():
    # |x - floor(8x)/8| is below 1/8 and comes as near as you like.
    c = approx.certify(staircase(8), Target("x"), rtol=1e-3)
    assert c.method.startswith("structure") and c.status == "tight"
    assert 0.125 * (1 - 1e-3) <= c.lower < 0.125 <= c.upper <= 0.125 * (1 + 2e-3)
    assert c.witness[0] < 1 and c.check("regions")


@pytest.mark.parametrize("text", ["sqrt(abs(x - 1/3))", "max(sin(5*x), x/2)", "abs(x - y)*exp(x)", "cos(3*x*y)"])
@pytest.mark.parametrize("build", [log_free, floor_exp2])
def test_certificates_enclose_the_observed_error(text, build):
    f = Target(text)
    a = build(f, 0.2)
    c = a.certify(rtol=0.05)
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 2**20 + 1, (400, f.dimension))
    exact = approx.evaluation.evaluate_exact(a.network, [[fmpq(int(k), 2**20) for k in row] for row in rows])
    points = rows / 2**20
    seen = np.abs(f(points if f.dimension > 1 else points[:, 0]) - [to_float(v) for v in exact]).max()
    assert 0.5 * c.upper <= seen <= c.upper and c.lower <= c.upper <= min(a.bound * (1 + 1e-9), 0.2)
    assert c.check("regions")


def test_a_changed_table_is_seen():
    f = Target("sin(7*x)")
    a = log_free(f, 0.02)
    honest = a.certify().upper
    longest = max(range(len(a.network.pool)), key=lambda i: abs(a.network.pool[i]))
    for place in (3, 40, 101):
        pool = list(a.network.pool)
        pool[longest] = fmpq(int(pool[longest].p) ^ (1 << place))
        wrong = dataclasses.replace(a, network=Network(1, a.network.layers, pool))
        assert wrong.certify().lower > honest


def test_declared_continuity_is_conditional_and_undefined_targets_fail_closed():
    f = Target(lambda x: np.abs(np.sin(9 * x)), domain=(0, 1), regularity=Regularity(lipschitz=9.0))
    c = log_free(f, 0.1).certify()
    assert c.status == "conditional" and c.upper <= 0.1
    assert approx.certify(staircase(4), Target("1/x", (0, 1))).upper == float("inf")


def test_interrupted_work_proves_nothing_finite():
    c = approx.certify(staircase(5000), Target("sin(x)"), budget=approx.Budget(seconds=1e-9))
    assert c.upper == float("inf") and c.status == "budget"


@pytest.mark.parametrize("level", ["regions", "full"])
@pytest.mark.parametrize("text", ["sin(5*x)", "abs(x - y)*exp(x)", "x + y"])
def test_checks_prove_cells_again_and_refute_a_smaller_bound(text, level):
    f = Target(text)
    c = floor_exp2(f, 0.3 if f.dimension == 1 else 0.9).certify(rtol=0.01)
    report = c.check(level)
    assert report and any("cells" in s for s in report.proved)
    wrong = dataclasses.replace(c, upper=0.97 * c.lower, lower=0.0, status="budget").check(level)
    assert not wrong and "wrong on the cell" in wrong.refuted[0]


def test_irrational_steps_are_checked_at_points_only():
    b = Builder(1)
    net = b.build([b.unit(b.unit(4 * b.input(), "floor") / 3, "exp2")])
    c = approx.certify(staircase(4), Target("x"))
    report = dataclasses.replace(
        c, network=net, digest=network_digest(net), lower=0.0, upper=2.0, status="budget"
    ).check("regions")
    assert report and not any("cells" in s for s in report.proved)


def test_full_checks_of_very_many_cells_are_refused():
    c = approx.certify(staircase(30_000), Target("x"), rtol=1.5)
    assert c.check("regions")
    with pytest.raises(UnsupportedError, match="20,000"):
        c.check("full")
