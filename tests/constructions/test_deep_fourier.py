"""Do deep Fourier networks compute what their structure says, at seams as well, and as cheaply as they promise?"""

import dataclasses
import functools
import itertools
import math
import random

import numpy as np
import pytest
from flint import arb, fmpq

import approx
import constructions
from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from approx.evaluation import evaluate_balls
from approx.networks import Builder
from approx.numbers import float_down, working_precision
from constructions.periodic import deep_fourier
from constructions.periodic._fourier_code import short_above
from constructions.periodic._fourier_network import fourier_network
from constructions.periodic._fourier_plan import RAMP, REACH, ZONE, Cells, FourierPlan
from constructions.periodic._fourier_reader import _plan, read
from constructions.periodic._fourier_search import weight_count
from constructions.periodic._sign_network import sign_network
from constructions.periodic._sign_plan import bits_of
from constructions.periodic._sign_reader import read_plan, read_signs
from constructions.superexpressive._structure import structure_of

ONE = Target("sin(7*x)*exp(-x)/(1+x**2)", (-1, 2))
TWO = Target("exp(-(x**2+y**2))", [(-1, 1), (0, 2)])
#: Long codes are read by sines of arguments of thousands of bits.
BITS = 8000


@functools.cache
def made(name, eps, digits):
    return deep_fourier({"one": ONE, "two": TWO}[name], eps, digits=digits)


def at_seams(target, cells, chooser):
    """A point whose coordinates lie at, or within, or next to the zones of seams."""
    offsets = [
        0,
        fmpq(1, 2**RAMP),
        fmpq(1, 2 ** (RAMP + 3)),
        fmpq(1, 2 ** (RAMP - 1)),
        fmpq(1, 2**90),
        fmpq(1, 2 ** (ZONE - 1)),
    ]
    point = []
    for low, high in target.domain:
        x = fmpq(chooser.randrange(2**30), 2**30)
        if chooser.random() < 0.7:
            x = (chooser.randrange(cells) + chooser.choice((-1, 1)) * chooser.choice(offsets)) / (cells * REACH)
        point.append(low + (high - low) * min(max(x, fmpq(0)), fmpq(1)))
    return point


@pytest.mark.parametrize(
    ("name", "eps", "digits"), [("one", 1e-6, 1), ("one", 1e-8, 3), ("two", 1e-3, 1), ("two", 1e-4, 2)]
)
def test_the_literal_network_is_what_the_structure_says_at_seams_too(name, eps, digits):
    a = made(name, eps, digits)
    structure = structure_of(a.network, a.target)[1]
    chooser = random.Random(digits)
    corners = [[low for low, _ in a.target.domain], [high for _, high in a.target.domain]]
    for point in corners + [at_seams(a.target, 2**digits, chooser) for _ in range(30)]:
        with working_precision(BITS):
            literal = evaluate_balls(a.network, [arb(c) for c in point])[0]
            assert literal.overlaps(structure.value(point)), point
            assert float_down(abs(a.target.ball([arb(c) for c in point]) - literal)) <= a.bound


@pytest.mark.parametrize(("name", "eps", "digits"), [("one", 1e-8, 3), ("two", 1e-4, 2)])
def test_certificates_are_sharp_and_float_values_are_those_of_the_structure(name, eps, digits):
    a = made(name, eps, digits)
    c = a.certify()
    assert c.status == "tight" and c.upper <= a.bound <= eps and c.lower > 0.99 * c.upper
    points = np.random.default_rng(3).random((50, a.target.dimension)) * 0.9
    wanted = a.target(points if a.target.dimension > 1 else points[:, 0])
    assert np.abs(a(points if a.target.dimension > 1 else points[:, 0]) - wanted).max() <= eps


def test_plans_are_read_back_from_the_weights():
    for name, eps, digits in (("one", 1e-8, 3), ("two", 1e-3, 1)):
        a = made(name, eps, digits)
        plan = _plan(a.network.exact_rows(), a.network, a.target)
        assert plan.digits == digits and fourier_network(plan, a.target) == a.network
        assert read(a.network, Target(a.target.text, [(0, 3)] * a.target.dimension)) is None


def test_planted_faults_are_caught():
    """One digit of one integer, and one amplitude: the certificate refuses both; a steeper clip is not recognised."""
    a = made("one", 1e-8, 3)
    plan = _plan(a.network.exact_rows(), a.network, a.target)
    good = plan.groups[()]
    turned = tuple(n + (1 << 5 * plan.bits - 3) * (k == 2) for k, n in enumerate(good.integers))
    louder = tuple(c * (1 + fmpq(1, 64)) if k == 1 else c for k, c in enumerate(good.amplitudes))
    for wrong in (
        good.__class__(good.frequencies, good.amplitudes, turned),
        good.__class__(good.frequencies, louder, good.integers),
    ):
        groups = {**plan.groups, (): wrong}
        network = fourier_network(FourierPlan(plan.digits, plan.bits, plan.centre, plan.clip, groups), ONE)
        assert approx.certify(network, ONE).lower > 1e-8
    cutting = FourierPlan(plan.digits, plan.bits, plan.centre, plan.clip / 64, plan.groups)
    assert read(fourier_network(cutting, ONE), ONE) is None


def test_a_seam_group_that_is_wrong_is_caught():
    """At seams alone nothing shows but the bound of the seams' own places."""
    a = made("one", 1e-8, 3)
    plan = _plan(a.network.exact_rows(), a.network, a.target)
    seam = plan.groups[(0,)]
    wrong = seam.__class__(
        seam.frequencies, seam.amplitudes, tuple(n + (1 << 3 * plan.bits - 3) for n in seam.integers)
    )
    network = fourier_network(
        FourierPlan(plan.digits, plan.bits, plan.centre, plan.clip, {**plan.groups, (0,): wrong}), ONE
    )
    assert approx.certify(network, ONE).upper > 1e-3


def test_weights_are_those_declared():
    for text, domain, eps in (("exp(x)", (0, 1), 1e-9), ("x*y+y**3", [(0, 1)] * 2, 1e-3)):
        a = deep_fourier(Target(text, domain), eps, digits=0)
        assert a.network.size.hidden_layers == 1
        assert a.network.size.weights <= weight_count(a.target.dimension, 0, a.parameters["order"])
    for name, eps, digits in (("one", 1e-8, 3), ("two", 1e-4, 2)):
        a = made(name, eps, digits)
        most = weight_count(a.target.dimension, digits, a.parameters["order"])
        assert 0.85 * most <= a.network.size.weights <= most


def test_fewer_weights_than_relu_at_the_same_accuracy():
    """At 1e-10 square chains need 265 (exp) and 426 weights (cos(40x^2))."""
    assert deep_fourier(Target("exp(x)"), 1e-10).network.size.weights <= 16
    assert deep_fourier(Target("cos(40*x**2)"), 1e-10).network.size.weights <= 91


def test_every_digit_costs_a_constant_and_divides_the_error_by_a_power():
    """At fixed order the error falls like N^-(2 order + 1): exponentially in the weights."""
    found = {}
    for digits in (2, 3, 4, 5):
        a = deep_fourier(ONE, 10, digits=digits, order=2)
        found[digits] = a.certify().upper, a.network.size.weights
    sizes = [w for _, w in found.values()]
    assert set(np.diff(sizes)) == {sizes[1] - sizes[0]} and sizes[1] - sizes[0] <= 12
    slope = np.polyfit(list(found), np.log2([e for e, _ in found.values()]), 1)[0]
    assert -5.3 < slope < -4.5


def test_degenerate_and_bad_input():
    assert deep_fourier(Target("2/3"), 1e-9).network.size.units == 0
    assert deep_fourier(Target("2/3"), 1e-9, digits=2).bound <= 1e-9
    with pytest.raises(RegularityError, match=r"second derivatives.*deep-two-scale"):
        deep_fourier(Target("abs(x-1/3)"), 1e-3)
    with pytest.raises(RegularityError, match="1 or 2 variables"):
        deep_fourier(Target("x*y*z"), 1e-3)
    with pytest.raises(UnreachableError, match="float64"):
        deep_fourier(Target("exp(x)"), 1e-17)
    with pytest.raises(UnreachableError, match="order"):
        deep_fourier(Target("exp(x)"), 1e-9, digits=1, order=1)
    for name, value in (("digits", -1), ("digits", 2.0), ("digits", True), ("order", 0), ("order", 1000)):
        with pytest.raises(InputError, match=name):
            deep_fourier(Target("exp(x)"), 1e-3, **{name: value})


def test_cells_cover_the_domain_and_amplitudes_are_rounded_up():
    cells = Cells(ONE, 2)
    sides = [cells.box((), (k,))[0] for k in range(4)]
    assert sides[0][0] == -1 and sides[-1][1] == 2 and all(a[1] == b[0] for a, b in itertools.pairwise(sides))
    for value in (1e-30, 0.3, 1.0, 255.999, 12345.6):
        assert value <= float(short_above(value).p) / float(short_above(value).q) <= value * 1.01 or value < 1e-20


def test_sums_of_sines_of_any_origin_are_certified():
    b = Builder(1)
    net = b.build([2 * b.unit(3 * b.input() + 0.5, "sin") - b.unit(-40 * b.input(), "sin") - 1])
    f = Target("2*sin(3*x+1/2)+sin(40*x)-1+x**2/1000")
    c = approx.certify(net, f)
    assert c.status == "tight" and math.isclose(c.upper, 1e-3, rel_tol=0.01) and "deep" not in c.method


def test_build_considers_sines_where_they_are_allowed():
    a = constructions.build("exp(x)", 1e-6, activations=("relu", "sin"))
    assert a.method == "deep-fourier" and a.network.size.weights <= 13 and a.certificate.upper <= 1e-6
    assert constructions.build("abs(x-1/3)", 1e-6, activations={"relu", "sin"}).network.size.weights == 5
    for wrong in ("relu", (), ("relu", "sinus")):
        with pytest.raises(InputError, match="activations"):
            constructions.build("exp(x)", 1e-6, activations=wrong)


@functools.cache
def signs():
    return deep_fourier(ONE, 3e-1, digits=2, order=1, form="bits")


def test_the_papers_form_holds_everything_in_one_weight_and_is_what_its_structure_says():
    a = signs()
    structure = structure_of(a.network, ONE)[1]
    assert read_signs(a.network, ONE) is not None and read(a.network, ONE) is None
    chooser = random.Random(4)
    for point in [[fmpq(-1)], [fmpq(2)]] + [at_seams(ONE, 4, chooser) for _ in range(12)]:
        with working_precision(BITS):
            literal = evaluate_balls(a.network, [arb(point[0])])[0]
            assert literal.overlaps(structure.value(point))
            assert float_down(abs(ONE.ball([arb(point[0])]) - literal)) <= a.bound
    c = a.certify()
    assert c.status == "tight" and c.upper <= a.bound <= 3e-1
    # One weight holds the bits of all cells: four binary digits for each of them.
    biases = [bias for _, bias, terms in a.network.exact_rows() if not terms]
    assert len(biases) == 1 and int(biases[0].q).bit_length() >= 4 * (4 * 4 * a.parameters["bits_per_value"] - 1)


def test_a_flipped_bit_of_the_one_weight_is_caught():
    a = signs()
    plan = read_plan(a.network.exact_rows(), 1, ONE)
    assert sign_network(plan, ONE) == a.network and bits_of(plan.word) == plan.bits
    k = plan.depth  # the leading bit of the first cosine in the last cell
    flipped = dataclasses.replace(plan, bits=plan.bits[:k] + str(1 - int(plan.bits[k])) + plan.bits[k + 1 :])
    assert approx.certify(sign_network(flipped, ONE), ONE).lower > 2 * a.bound
    with pytest.raises(ValueError, match="bits"):
        bits_of(plan.word / 3)


def test_weights_of_the_papers_form_grow_like_the_square_of_the_digits():
    """At fixed order the bits per value and the digits of a cell both grow like log(1/error): W like its square."""
    f = Target("exp(x)")
    found = [deep_fourier(f, 10, digits=m, order=1, form="bits") for m in (1, 2, 3, 4, 5)]
    roots = [math.sqrt(a.network.size.weights) for a in found]
    logs = [-math.log(a.certify().upper) for a in found]
    line = np.polyfit(roots, logs, 1)
    assert np.abs(np.polyval(line, roots) - logs).max() < 0.05 * (logs[-1] - logs[0])
    with pytest.raises(InputError, match="digits"):
        deep_fourier(f, 1e-2, digits=0, form="bits")
    with pytest.raises(InputError, match="form"):
        deep_fourier(f, 1e-2, form="base64")
