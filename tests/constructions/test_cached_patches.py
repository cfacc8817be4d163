"""Do networks that store equal cells once equal their zig-zag exactly, at the declared size, rate, depth and width?"""

import dataclasses
import math
import sys
from itertools import pairwise

import numpy as np
import pytest
from flint import fmpq

from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from approx.evaluation import evaluate_exact
from approx.numbers import to_fmpq
from constructions.relu import _repeated_cells, cached_narrow, cached_patches, piecewise_linear
from constructions.relu._cached_network import cached_network, cached_weights
from constructions.relu._repeated_cells import repeated
from constructions.relu._zigzag import fine_values, sign_plan, three_slope_plan
from constructions.relu.cached_narrow import narrow_depth, narrow_network

TARGETS = [
    Target("abs(sin(7*x))"), Target("x**2*sin(1/x)", ("1/100", 1)), Target("abs(abs(x-3/10)-17/100)", (-1, 2)), Target("x"),
]  # fmt: skip
GRIDS = [(1, 1), (5, 2), (64, 4), (101, 5), (96, 8)]
PLANS = [(f, n, m) for f in TARGETS for n, m in GRIDS]


def _differences(net, plan, steps):
    """net - z at the nodes and at the middles of the steps, exactly: all zero iff net = z where both are linear between."""
    slope, offset = to_fmpq(plan.axis.slope), to_fmpq(plan.axis.offset)
    nodes = plan.node_values()[: steps + 1]
    expected = [*nodes, *((a + b) / 2 for a, b in pairwise(nodes))]
    places = [*(fmpq(j) for j in range(steps + 1)), *(fmpq(2 * j + 1, 2) for j in range(steps))]
    found = evaluate_exact(net, [(t - offset) / slope for t in places])
    return [a - b for a, b in zip(found, expected, strict=True)]


@pytest.mark.parametrize("f,steps,m", PLANS, ids=[f"{f.text}-{n}-{m}" for f, n, m in PLANS])
def test_every_form_is_the_zigzag_exactly_and_has_the_declared_size(f, steps, m):
    fine = fine_values(f, steps, f.lipschitz())
    for make, forms in ((sign_plan, ("economical", "four-layers")), (three_slope_plan, ("paper",))):
        plan = make(fine, m)
        i = np.arange(m + 1)
        assert (np.abs(plan.remainders) <= plan.steep * np.minimum(i, m - i)).all()
        for form in forms:
            net = cached_network(plan, form)
            assert not any(_differences(net, plan, steps))
            assert net.size.weights == cached_weights(plan, form)
            assert net.size.hidden_layers <= (
                4 if form != "economical" else 4 + 2 * math.ceil(math.log2(plan.cells + 1))
            )
        net = narrow_network(plan)
        assert not any(_differences(net, plan, steps))
        assert net.size.width <= 5 and net.size.hidden_layers <= narrow_depth(plan)
        assert net.size.weights <= 9 * net.size.hidden_layers + 9
        assert all(block.source == k for k, layer in enumerate(net.layers) for block in layer.blocks)


def test_at_most_so_many_patterns():
    f = Target("sin(40*x**2)*x")
    fine = fine_values(f, 4096, f.lipschitz())
    for m in (2, 3, 5):
        for parity in (0, 1):
            assert len(repeated(sign_plan(fine, m), parity, reversals=False)) <= 2**m - 2
            assert len(repeated(three_slope_plan(fine, m), parity, reversals=False)) <= 3**m
        both = [len(repeated(sign_plan(fine, m), 0, r)) for r in (True, False)]
        assert both[0] <= both[1] <= 2 * both[0]


def test_weights_times_error_falls_like_one_over_the_logarithm():
    """The rate on waves of five decades of scales: W error ln W stays put, W error falls, plain interpolation's does not."""
    wave, terms = "x", []
    for k in range(1, 13):
        wave = f"abs({wave} - 93/{100 * 2**k})"
        terms.append(f"{wave}/12")
    f = Target(" + ".join(terms))
    found = [cached_patches(f, 2.0**-k) for k in (7, 9, 10)]
    plain = [a.network.size.weights * a.bound for a in found]
    logs = [p * math.log(a.network.size.weights) for p, a in zip(plain, found, strict=True)]
    assert plain[0] > 1.3 * plain[1] and plain[1] > 1.05 * plain[2]
    assert max(logs) <= 1.45 * min(logs)
    x = np.linspace(0, 1, 50001)
    for a in found:
        assert np.abs(a(x) - f(x)).max() <= a.bound


def test_equal_cells_are_worth_their_sharing(monkeypatch):
    """Without sharing the same zig-zag costs more, and it is the sharing that the count sees."""
    f = Target("abs(sin(200*x))")
    shared = cached_patches(f, 0.5, steps_per_cell=8)
    monkeypatch.setattr(_repeated_cells, "_equal_rows", lambda rows: (np.arange(len(rows)), np.arange(len(rows))))
    alone = cached_patches(f, 0.5, steps_per_cell=8)
    assert shared.network.size.weights < 0.9 * alone.network.size.weights


@pytest.mark.parametrize("fault", ["clip", "mirror", "tent"])
def test_planted_faults_are_caught(monkeypatch, fault):
    """A clip that is too tight, a reversal forgotten, a tent of the wrong height: the certificate is above the bound."""
    f = Target("abs(sin(7*x))")
    good = cached_patches(f, 0.1, steps_per_cell=5)
    assert good.certify(rtol=0.05).upper <= good.bound * (1 + 1e-9)
    if fault == "clip":
        module = sys.modules["constructions.relu.cached_patches"]  # the package has a function of the same name
        monkeypatch.setattr(
            module, "cached_network", lambda p, form: cached_network(dataclasses.replace(p, steep=2), form)
        )
    elif fault == "mirror":
        honest = _repeated_cells._pattern
        monkeypatch.setattr(
            _repeated_cells, "_pattern",
            lambda values, cells, turned, *rest: honest(values, cells, np.zeros_like(turned), *rest),
        )  # fmt: skip
    else:
        honest = _repeated_cells._pattern

        def tall(*arguments):
            pattern = honest(*arguments)
            return dataclasses.replace(pattern, weights=pattern.weights * 2)

        monkeypatch.setattr(_repeated_cells, "_pattern", tall)
    bad = cached_patches(f, 0.1, steps_per_cell=5)
    assert bad.certify(rtol=0.05).lower > bad.bound * 1.05


def test_degenerate_targets():
    for builder in (cached_patches, cached_narrow):
        constant = builder(Target("1/3 + 0*x"), 1e-3)
        assert constant.network.size.weights == 1 and 0 < constant.bound < 1e-15
        assert builder(Target("0*x"), 1e-3).network.size.weights == 0
        one = builder(Target("abs(x-1/3)"), 5.0)
        assert one.parameters["cells"] == 1 and one.bound <= 5 and one.certify().upper <= one.bound
        straight = builder(Target("x"), 0.05)
        assert straight.network.size.weights <= 150 and straight.certify(rtol=0.1).upper <= 0.05
        single = builder(Target("abs(x-1/3)"), 0.05, steps_per_cell=1000)
        assert single.parameters["cells"] == 1 and single.certify(rtol=0.1).upper <= 0.05


def test_large_and_shifted_values_stay_exact():
    f = Target("1000000 + abs(sin(9*x))", (1000, 1001))
    a = cached_patches(f, 0.1)
    assert a.bound <= 0.1 and a.certify(rtol=0.1).upper <= 0.1


def test_refusals():
    for builder in (cached_patches, cached_narrow):
        with pytest.raises(RegularityError, match=r"Lipschitz.*piecewise-linear"):
            builder(Target("sqrt(x)"), 1e-2)
        with pytest.raises(RegularityError, match="one variable"):
            builder(Target("x*y"), 1e-2)
        with pytest.raises(InputError, match="steps_per_cell"):
            builder(Target("x"), 1e-2, steps_per_cell=0)
        with pytest.raises(InputError, match="eps"):
            builder(Target("x"), -0.5)
        with pytest.raises(UnreachableError):
            builder(Target("abs(sin(9*x))"), 1e-9)
    with pytest.raises(InputError, match="form"):
        cached_patches(Target("x"), 1e-2, form="best")


def test_smooth_targets_have_better_methods():
    f = Target("exp(x)")
    assert piecewise_linear(f, 1e-3).network.size.weights < cached_patches(f, 1e-3).network.size.weights
