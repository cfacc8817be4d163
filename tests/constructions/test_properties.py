"""Every construction times every property that all of them share: a new construction is one row of CASES."""

import dataclasses
import functools
import math

import numpy as np
import pytest

import approx
import constructions
from approx import Target
from approx.errors import ApproxError, InputError, RegularityError
from approx.evaluation.fitness import unfit_reason

#: (method, target, a coarse accuracy, a finer one, options)
CASES = [
    ("powers", Target("x**2"), 1e-3, 1e-5, {}),
    ("powers", Target("3*x**5", (-1, 1)), 1e-2, 1e-4, {}),
    ("polynomial", Target("exp(x)"), 1e-3, 1e-6, {}),
    ("polynomial", Target("sin(3*x)", (-1, 2)), 1e-2, 1e-5, {}),
    ("piecewise-linear", Target("sin(2*pi*x)"), 1e-2, 1e-4, {}),
    ("piecewise-linear", Target("sqrt(x)", (0, 2)), 1e-2, 1e-3, {}),
    ("piecewise-polynomial", Target("sqrt(x)"), 1e-3, 1e-4, {}),
    ("square-chain", Target("x**2"), 1e-2, 1e-3, {"starts": 2}),
    ("spline-chain", Target("exp(x)"), 1e-2, 1e-3, {"starts": 2}),
    ("quotient-chain", Target("1/(x+1/5)"), 1e-2, 1e-3, {"starts": 2}),
    ("cached-patches", Target("abs(sin(9*x)) - x/3"), 1e-1, 5e-3, {}),
    ("cached-patches", Target("abs(abs(x)-1/3)", (-1, 2)), 1e-1, 1e-2, {"form": "paper"}),
    ("cached-patches", Target("abs(cos(x))", (-1, 2)), 1e-1, 1e-2, {"form": "four-layers", "steps_per_cell": 4}),
    ("cached-narrow", Target("abs(sin(9*x)) - x/3"), 1e-1, 2e-2, {}),
    ("relu-power", Target("sin(3*x)", (-1, 2)), 1e-2, 1e-5, {}),
    ("relu-power", Target("exp(x)", ("1/3", 2)), 1e-2, 1e-4, {"power": 2}),
    ("power-taylor", Target("sin(2*pi*x)"), 1e-1, 1e-3, {"order": 3}),
    ("power-taylor", Target("sin(5*x)", ("1/3", 2)), 2e-1, 5e-2, {"order": 3, "power": 3}),
    ("local-taylor", Target("sin(2*pi*x)"), 1e-2, 1e-5, {}),
    ("local-taylor", Target("exp(-(x**2+y**2))"), 2e-2, 5e-3, {}),
    ("simplicial", Target("sin(3*x)"), 1e-2, 1e-3, {}),
    ("simplicial", Target("exp(-(x**2+y**2))"), 5e-2, 2e-2, {}),
    ("deep-two-scale", Target("abs(x-1/3) - abs(2*x-1)/3"), 1e-1, 5e-3, {}),
    ("deep-two-scale", Target("sqrt(x) + sin(9*x)/9", (0, 3)), 2e-1, 5e-2, {"arithmetic": "float64", "digits": 3}),
    ("deep-two-scale", Target("abs(x-y/3) - abs(2*y-1)/3"), 4e-1, 1e-1, {}),
    ("deep-two-scale", Target("abs(x-y/3) - abs(2*z-1)/3"), 6e-1, 4e-1, {"arithmetic": "float64"}),
    ("hoelder-two-scale", Target("sin(3*x)", (-1, 2)), 1e-2, 1e-4, {}),
    ("hoelder-two-scale", Target("sin(3*x)", (-1, 2)), 1e-1, 1e-3, {"order": 3}),
    ("hoelder-two-scale", Target("sin(3*x)", (-1, 2)), 1e-2, 1e-4, {"form": "narrow"}),
    ("hoelder-two-scale", Target("sin(3*x)", (-1, 2)), 1e-1, 1e-3, {"order": 3, "form": "narrow"}),
    ("hoelder-two-scale", Target("sin(3*x)*exp(y)", [(0, 1), (0, 1)]), 3e-1, 3e-2, {}),
    ("hoelder-two-scale", Target("sin(3*x)*exp(y)", [(0, 1), (0, 1)]), 3e-1, 3e-2, {"order": 3}),
    ("hoelder-two-scale", Target("sin(3*x)*exp(y)", [(0, 1), (0, 1)]), 3e-1, 3e-2, {"order": 5}),
    ("hoelder-two-scale", Target("sin(3*x)*exp(y)", [(0, 1), (0, 1)]), 3e-1, 3e-2, {"form": "narrow"}),
    ("hoelder-two-scale", Target("sin(3*x)*exp(y)", [(0, 1), (0, 1)]), 3e-1, 3e-2, {"order": 3, "form": "narrow"}),
    ("narrow", Target("abs(x-1/3) - abs(2*x-1)/3"), 1e-1, 5e-3, {}),
    ("narrow", Target("abs(x-y/3) - abs(2*y-1)/3"), 4e-1, 1e-1, {}),
    ("composition", Target("sin(pi*x)*cos(pi*y)/2"), 5e-2, 2e-2, {"search": False}),
    ("composition", Target("max(x, y)*x"), 1e-1, 2e-2, {"search": False}),
    ("deep-fourier", Target("sin(3*x)", (-1, 2)), 1e-2, 1e-5, {"digits": 2}),
    ("deep-fourier", Target("exp(x)"), 1e-3, 1e-8, {}),
    ("deep-fourier", Target("exp(x-y)", [(0, 1), (0, 2)]), 1e-2, 1e-5, {"digits": 1}),
    ("sin-floor", Target("sin(3*x)", (-1, 2)), 1e-1, 1e-2, {}),
    ("sin-floor", Target("sqrt(x)"), 1e-1, 2e-2, {}),
    ("sin-arcsin", Target("sin(3*x)", (-1, 2)), 1e-2, 1e-4, {}),
    ("sigma3", Target("sin(3*x)", (-1, 2)), 1e-1, 1e-2, {}),
    ("analytic-floor", Target("sin(3*x)", (-1, 2)), 2e-1, 1e-1, {"sigma": "arctan"}),
    ("analytic-floor", Target("exp(x)"), 2e-1, 2e-2, {"sigma": "tanh"}),
    ("sin-arcsin", Target("exp(x)"), 1e-3, 1e-6, {"order": 3}),
    ("sin-arcsin", Target("abs(x-1/3)"), 1e-1, 1e-2, {}),
    ("sin-arcsin", Target("sin(pi*x)*cos(pi*y)/2"), 5e-2, 1e-2, {}),
    ("sin-arcsin", Target("exp(x-y)", [(0, 1), (0, 2)]), 1e-1, 2e-2, {"order": 2}),
    ("sin-floor", Target("sin(pi*x)*cos(pi*y)/2"), 2e-1, 5e-2, {}),
    ("floor-exp2", Target("abs(sin(7*x)) - 1/3", (-1, 1)), 1e-1, 2e-2, {}),
    ("floor-exp2", Target("sqrt(abs(x - y))"), 5e-1, 3e-1, {"form": "skip"}),
    ("log-free", Target("abs(sin(7*x)) - 1/3", (-1, 1)), 1e-1, 5e-3, {}),
    ("log-free", Target("sqrt(abs(x - y))"), 3e-1, 1e-1, {}),
]
IDS = [f"{name}-{target.text}" for name, target, *_ in CASES]
rows = pytest.mark.parametrize(("name", "target", "coarse", "fine", "options"), CASES, ids=IDS)


@functools.cache
def _built(name, text, eps, options):
    target = next(t for n, t, *_ in CASES if n == name and t.text == text)
    return constructions.catalogue()[name].builder(target, eps, **dict(options))


def build(name, target, eps, options, fresh=False):
    if not fresh and eps > 0 and eps < math.inf:
        return _built(name, target.text, eps, tuple(options.items()))
    return constructions.catalogue()[name].builder(target, eps, **options)


@rows
def test_certified_error_is_below_the_proved_bound_and_eps(name, target, coarse, fine, options):
    for eps in (coarse, fine):
        a = build(name, target, eps, options)
        if not name.endswith("-chain"):  # searches, whose networks are proved by their certificates
            assert a.bound <= eps
        c = a.certify(rtol=0.05, budget=approx.Budget(regions=400_000 if target.dimension == 1 else 30_000))
        assert c.lower <= a.bound
        assert math.isfinite(c.upper) and c.lower <= c.upper
        if target.dimension == 1:
            assert c.upper <= eps * 1.05 and c.check("witness")


@rows
def test_budget_items_are_named_and_bounded(name, target, coarse, fine, options):
    a = build(name, target, coarse, options)
    assert a.budget and all(item.name and item.proof and 0 <= item.value < math.inf for item in a.budget)
    assert a.statement and a.method == name
    assert "@" in a.cite()


@rows
def test_the_same_call_gives_the_same_network(name, target, coarse, fine, options):
    first, second = (build(name, target, coarse, options, fresh) for fresh in (False, True))
    assert first.network == second.network


@rows
def test_finer_accuracy_needs_at_least_as_many_weights(name, target, coarse, fine, options):
    sizes = [build(name, target, eps, options).network.size for eps in (coarse, fine)]
    assert sizes[0].weights <= sizes[1].weights


@rows
def test_weights_are_counted_exactly(name, target, coarse, fine, options):
    net = build(name, target, coarse, options).network
    count = sum((bias != 0) + len(terms) for _, bias, terms in net.exact_rows())
    assert net.size.weights == count
    assert all(weight != 0 for _, _, terms in net.exact_rows() for _, weight in terms)


@rows
def test_approximants_survive_saving(name, target, coarse, fine, options, tmp_path):
    a = build(name, target, coarse, options)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    assert b.network == a.network and b.target.text == a.target.text and b.bound == a.bound
    if unfit_reason(a.network):  # its weights are too long for float64 values
        return
    points = np.random.default_rng(1).random((20, target.dimension)) if target.dimension > 1 else np.linspace(0, 1, 20)
    assert np.array_equal(a(points), b(points))


@rows
def test_impossible_accuracies_are_refused(name, target, coarse, fine, options):
    for eps in (0, -1, math.nan, math.inf):
        with pytest.raises(ApproxError):
            build(name, target, eps, options)


@pytest.mark.parametrize("entry", list(constructions.catalogue()), ids=lambda e: e.name)
def test_every_row_of_the_catalogue_is_declared_and_tested(entry):
    assert all(getattr(entry, f.name) not in ("", ()) for f in dataclasses.fields(entry) if f.name != "estimate")
    assert entry.name in {name for name, *_ in CASES}
    wrong = Target("x1+x2+x3+x4+x5") if 5 not in entry.dimensions else Target("x")
    assert entry.reason_against(wrong)


def test_build_takes_the_smallest_and_says_what_it_cannot_do():
    a = constructions.build("abs(x-1/3)", 1e-6)
    assert a.network.size.weights == 5 and a.bound == 0
    b = constructions.build("x**2", 4.0**-13, method="powers")
    assert b.network.size.weights <= 58 and b.certificate.upper <= 4.0**-13
    with pytest.raises(InputError, match="method"):
        constructions.build("x", 1e-2, method="magic")
    with pytest.raises(RegularityError, match="piecewise-linear"):
        constructions.build("exp(-(x**2+y**2))", 1e-2, method="piecewise-linear")
    with pytest.raises(InputError, match="eps"):
        constructions.build("x", "three")


def test_a_wrong_network_is_not_accepted(monkeypatch):
    """A builder that returns a network of another function is refused by the certificate, whatever it claims."""
    honest = constructions.catalogue()["piecewise-linear"].builder

    def dishonest(target, eps):
        found = honest(target, eps)
        return dataclasses.replace(found, network=1.01 * found.network)

    from constructions import relu

    row = next(r for r in relu.ROWS if r[0] is honest)
    monkeypatch.setattr(relu, "ROWS", ((dishonest, *row[1:]),))
    with pytest.raises(approx.errors.UnreachableError):
        constructions.build("exp(x)", 1e-3, method="piecewise-linear")


def test_build_considers_every_relu_construction_and_guesses_from_below():
    """Those of several variables on a function of x + y; a guess above the weights would leave a smaller network unbuilt."""
    rows = {row.name: row for row in constructions.catalogue() if set(row.activations) <= {"relu", "relu2", "relu3"}}
    assert len(rows) >= 17 and all(row.automatic for row in rows.values())
    wave, plane = Target("sin(9*x)+x"), Target("sin(3*x+3*y)", [(0, 1), (0, 2)])
    for name, target, eps in (
        ("deep-two-scale", wave, 1e-2), ("deep-two-scale", wave, 1e-4), ("deep-two-scale", plane, 0.2),
        ("narrow", wave, 1e-3), ("narrow", plane, 0.3), ("cached-narrow", wave, 1e-2),
        ("hoelder-two-scale", wave, 1e-3), ("hoelder-two-scale", wave, 1e-7), ("hoelder-two-scale", plane, 1e-2),
    ):  # fmt: skip
        weights = rows[name].builder(target, eps).network.size.weights
        assert 0.1 * weights < rows[name].estimate(target, eps) <= weights, (name, eps)


def test_regularity_that_is_not_there_is_refused_with_the_methods_that_do_without():
    cases = [("local-taylor", {"order": 4}), ("local-taylor", {"order": 4, "form": "paper"}), ("power-taylor", {"order": 4})]
    cases += [("relu-power", {}), ("hoelder-two-scale", {"order": 4}), ("deep-fourier", {})]
    for method, options in cases:
        with pytest.raises(RegularityError, match=r"derivative.*simplicial"):
            constructions.build("abs(x-1/3)", 1e-3, method=method, **options)
