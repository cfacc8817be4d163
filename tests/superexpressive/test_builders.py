"""Do the fixed networks compute what their tables say, keep their units, certify, grow as declared, and refuse the rest?"""

import dataclasses
import random

import numpy as np
import pytest
from flint import fmpq

import approx
import constructions
from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError, UnsupportedError
from approx.evaluation import evaluate_precisely
from approx.networks import Network
from constructions import superexpressive
from constructions.superexpressive import structural_balls
from constructions.superexpressive._hat_network import units

#: (builder, target, eps, options, units)
CASES = [
    ("sin_floor", Target("sin(3*x)", (-1, 2)), 1e-2, {}, 3),
    ("sin_floor", Target("sin(pi*x)*cos(pi*y)/2"), 1e-1, {}, 4),
    ("sin_floor", Target("x*y*z"), 2e-1, {}, 5),
    ("sin_arcsin", Target("sin(pi*x)/2"), 1e-4, {}, 26),
    ("sin_arcsin", Target("exp(x)", (-1, 1)), 1e-6, {"order": 4}, 58),
    ("sin_arcsin", Target("sqrt(abs(x-1/3))"), 5e-2, {}, 26),
    ("sin_arcsin", Target("sin(pi*x)*cos(pi*y)/2"), 2e-2, {}, 60),
    ("sin_arcsin", Target("exp(x-y)", [(0, 1), (0, 2)]), 1e-2, {"order": 2}, 104),
    ("sin_arcsin", Target("sin(pi*x)*cos(pi*y)*z**2/2"), 1e-1, {}, 136),
    *(
        ("analytic_floor", Target("sin(2*pi*x)"), 4e-2, {"sigma": s, "cells_per_axis": 100}, 3)
        for s in ("sin", "arctan", "sqrt", "sigmoid", "gelu", "tanh", "softplus", "exp")
    ),
    ("sigma3", Target("sin(pi*x)/2"), 1e-2, {}, 52),
    ("sigma3", Target("exp(x)", (-1, 1)), 1e-3, {"order": 2}, 76),
    ("analytic_floor", Target("sin(pi*x)*cos(pi*y)/2"), 1e-1, {"sigma": "gelu"}, 4),
    ("analytic_floor", Target("sin(pi*x)*cos(pi*y)/2"), 1e-1, {"sigma": "tanh"}, 4),
]
IDS = [f"{name}-{target.text}-{i}" for i, (name, target, *_) in enumerate(CASES)]
cases = pytest.mark.parametrize(("name", "target", "eps", "options", "expected"), CASES, ids=IDS)


def build(name, target, eps, options):
    return getattr(superexpressive, name)(target, eps, **options)


def random_points(target, count, seed=1):
    rng = random.Random(seed)
    sides = list(zip(target.domain.lower, target.domain.upper, strict=True))
    return [[low + (high - low) * fmpq(rng.randint(0, 10**9), 10**9) for low, high in sides] for _ in range(count)]


@cases
def test_literal_and_structural_values_agree_and_stay_within_the_bound(name, target, eps, options, expected):
    a = build(name, target, eps, options)
    assert a.network.size.units == expected and a.bound <= eps
    points = random_points(target, 200)
    literal, decoded = evaluate_precisely(a.network, points, bits=90), structural_balls(a, points)
    for point, x, y in zip(points, literal, decoded, strict=True):
        assert x.overlaps(y) and y.rad() < 1e-3 * eps, point
        assert abs(x - target.ball(point)) <= a.bound
    fast = a(np.array([[float(c.p) / float(c.q) for c in p] for p in points]))
    assert max(abs(float(x.mid()) - v) for x, v in zip(literal, fast, strict=True)) < 1e-3 * eps + 1e-9


@cases
def test_certificates_are_sharp_and_are_proved_again_by_literal_evaluation(name, target, eps, options, expected):
    a = build(name, target, eps, options).certified()
    c = a.certificate
    assert c.method.startswith("structure") and 0.05 * c.upper < c.lower <= c.upper <= eps
    assert c.check("regions")


def certified_upper(network, target):
    """What certification says of a network that may have lost its structure: inf when it says nothing."""
    try:
        return approx.certify(network, target).upper
    except UnsupportedError:
        return float("inf")


@cases
def test_a_changed_weight_is_no_longer_certified(name, target, eps, options, expected):
    """Planted faults: one digit of the longest weight, or the output's constant, and the bound is no longer certified."""
    a = build(name, target, eps, options)
    pool = list(a.network.pool)
    longest = max(range(len(pool)), key=lambda i: network_bits(pool[i]))
    wrong = [*pool[:longest], pool[longest] * fmpq(2**70 + 1, 2**70), *pool[longest + 1 :]]
    assert certified_upper(Network(a.network.inputs, a.network.layers, wrong), target) > 2 * a.bound
    output = a.network.layers[-1]
    shifted = dataclasses.replace(
        output, bias=dataclasses.replace(output.bias, floats=output.bias.floats + 1.0, ids=None)
    )
    moved = Network(a.network.inputs, [*a.network.layers[:-1], shifted], pool)
    assert certified_upper(moved, target) > 0.5


def network_bits(value):
    return value.p.bit_length() + value.q.bit_length() if isinstance(value, fmpq) else value.bits


def test_a_digit_that_keeps_the_structure_shows_in_the_certificate():
    f = Target("sin(pi*x)/2")
    a = superexpressive.sin_floor(f, 1e-1)
    from constructions.superexpressive.sin_floor import network_of, read

    table = read(a.network, f)
    wrong = dataclasses.replace(table.weight, integer=table.weight.integer ^ (1 << (table.weight.bits - 1)))
    certificate = approx.certify(network_of(f, table.counts, wrong, table.centre, table.scale), f)
    assert certificate.upper > 3 * a.bound and certificate.lower > a.bound


def test_the_architecture_is_the_same_for_all_functions_and_accuracies():
    shapes = set()
    for text in ("sin(pi*x)/2", "exp(x)", "abs(x-1/3)", "3"):
        for eps in (1e-1, 1e-2, 1e-3):
            net = superexpressive.sin_arcsin(Target(text), eps).network
            shapes.add(tuple((layer.activation, layer.units) for layer in net.layers))
    assert len(shapes) == 1
    assert [units(d, 1) for d in (1, 2, 3)] == [26, 60, 136]


@pytest.mark.parametrize(("order", "theory"), [(1, 1 / 2), (2, 1 / 3), (3, 1 / 4)])
def test_bits_grow_as_declared(order, theory):
    """Bits per log2(1/eps) go like eps^(-1/(m+1)) in one variable."""
    f, accuracies = Target("sin(pi*x)/2"), [1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
    sizes = [superexpressive.sin_arcsin(f, e, order=order).parameters["weight_bits"] for e in accuracies]
    per_digit = [s / -np.log2(e) for s, e in zip(sizes, accuracies, strict=True)]
    slope = np.polyfit(np.log(1 / np.array(accuracies)), np.log(per_digit), 1)[0]
    assert abs(slope - theory) < 0.06


def test_weights_are_at_the_information_bound_and_files_keep_the_certificate(tmp_path):
    f = Target("sin(pi*x)*cos(pi*y)/2")
    a = constructions.build(f, 2.0**-7, method="sin-arcsin")
    assert a.parameters["weight_bits"] <= 3300 and a.network.size.bits < 2 * 3300
    assert a.parameters["weight_bits"] <= a.parameters["least_weight_bits"] + len(a.network.layers)
    a.save(tmp_path / "a.approx")
    again = approx.load(tmp_path / "a.approx")
    assert again.network == a.network and again.certificate.check("witness")
    assert again.certify().upper == a.certificate.upper


def test_degenerate_targets():
    for text in ("0", "1/3", "x", "x+100"):
        for builder in (superexpressive.sin_floor, superexpressive.sin_arcsin):
            a = builder(Target(text), 1e-2)
            assert a.certify().upper <= 1e-2


def test_callables_are_certified_conditionally():
    f = Target(lambda x: np.abs(x - 0.3), (0, 1), regularity=approx.Regularity(lipschitz=1.0, evaluation_error=1e-12))
    a = superexpressive.sin_arcsin(f, 1e-2).certified()
    assert a.certificate.status == "conditional" and a.certificate.upper <= 1e-2


def test_bad_input_is_named():
    f = Target("sin(pi*x)/2")
    for builder in (superexpressive.sin_floor, superexpressive.sin_arcsin):
        with pytest.raises(InputError, match="amplitude"):
            builder(f, 1e-2, amplitude=0.1)
        with pytest.raises(InputError, match="eps"):
            builder(f, 0)
        with pytest.raises(InputError, match="cells_per_axis"):
            builder(f, 1e-2, cells_per_axis=[3, 3])
        with pytest.raises(UnreachableError, match="bits"):
            builder(f, 1e-3, most_bits=100)
    for options in ({"sigma": "relu"}, {"sigma": "sqrt", "start": -1}, {"method": "crt"}, {"start": 0}):
        with pytest.raises(InputError):
            superexpressive.analytic_floor(f, 1e-1, **options)
    with pytest.raises(UnreachableError, match="bits"):
        superexpressive.analytic_floor(f, 1e-5)
    with pytest.raises(RegularityError, match="order=1"):
        superexpressive.sin_arcsin(Target("abs(x-1/3)"), 1e-2, order=2)
    with pytest.raises(InputError, match="order"):
        superexpressive.sin_arcsin(f, 1e-2, order=0)
    a = superexpressive.sin_arcsin(f, 1e-4)
    with pytest.raises(UnsupportedError, match="evaluate_precisely"):
        a.network(0.5)
    assert abs(float(a(0.5)) - 0.5) <= 1e-4
