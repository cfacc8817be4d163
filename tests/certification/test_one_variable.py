"""Certificates in one variable against closed forms, dense exact sampling, traps of rounding and of f, and planted faults."""

import math
from dataclasses import replace

import numpy as np
import pytest
from flint import arb, fmpq

import approx.certification.forward as forward_module
import approx.certification.unit_pass as unit_pass
from approx import Budget, Target, certify
from approx.certification import decompose
from approx.certification.pieces import Program
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Builder, dense_block, identity
from approx.numbers import working_precision
from constructions.relu.square import square, square_form

#: A tight certificate must be this close to the closed form, relative: the default rtol.
RTOL = 0.01
#: Errors below the rounding of the float64 data (a kink at 1/3 is no float64) are not resolved relatively.
FLOAT_NOISE = 2.0**-50


def hinge_interpolant(f, knots):
    """The interpolant of f at the knots, exact float64 weights (its values at the knots are rounded)."""
    b = Builder(1)
    x = b.input()
    values = [float(f(k)) for k in knots]
    slopes = [(values[i + 1] - values[i]) / (knots[i + 1] - knots[i]) for i in range(len(knots) - 1)]
    form = values[0] + slopes[0] * (x - knots[0])
    for k, before, after in zip(knots[1:], slopes, slopes[1:], strict=False):
        form = form + (after - before) * b.relu(x - k)
    return b.build([form])


def exact_gap(net, f, points):
    with working_precision(128):
        gaps = [abs(f.ball([arb(p)]) - arb(v)) for p, v in zip(points, evaluate_exact(net, points), strict=True)]
        return max(float(g.upper()) for g in gaps)


@pytest.mark.parametrize("m", range(1, 41))
def test_sawtooth_square_meets_its_closed_form_at_every_depth(m):
    method = "pieces" if m <= 12 else "auto"
    c = certify(square(m), Target("x**2"), method=method)
    truth = 4.0 ** -(m + 1)
    assert c.lower <= truth <= c.upper
    assert c.upper <= truth * (1 + RTOL) and c.lower >= truth * (1 - RTOL)


def test_pieces_and_structure_agree_where_both_apply():
    for m in (2, 5, 9):
        a, b = (certify(square(m), Target("x**2"), method=k) for k in ("pieces", "structure"))
        assert max(a.lower, b.lower) <= min(a.upper, b.upper)
        assert b.work["structural"] == 1


def test_structure_is_not_fooled_by_a_changed_weight():
    b = Builder(1)
    faulty = b.build([square_form(b, b.input(), 9) + 2.0**-60 * b.relu(b.input() - 0.5)])
    with pytest.raises(UnsupportedError):
        certify(faulty, Target("x**2"), method="structure")
    assert certify(faulty, Target("x**2")).upper >= 4.0**-10


def test_centred_square_has_half_the_error():
    c = certify(square(6, centred=True), Target("x**2"))
    assert c.lower <= 4.0**-7 / 2 <= c.upper <= 4.0**-7 / 2 * (1 + RTOL)


@pytest.mark.parametrize(
    ("text", "domain"),
    [("exp(x)", (0, 1)), ("sin(20*x)", (0, 1)), ("sqrt(x)", (0, 1)), ("abs(x-1/3)", (0, 1)), ("1/(1+25*x**2)", (-1, 1)),
     ("x*log(x+1/100)", (0, 1)), ("erf(4*x-2)", (0, 1)), ("cos(40*x**2)", (0, 1)), ("sin(7*x)*exp(-x)/(1+x**2)", (0, 1)),
     ("max(0, x-1/pi)", (0, 1))],
)  # fmt: skip
@pytest.mark.parametrize("pieces", [3, 64, 1000])
def test_interpolants_are_enclosed_tightly_and_no_point_escapes(text, domain, pieces):
    f = Target(text, domain)
    knots = np.linspace(*domain, pieces + 1)
    net = hinge_interpolant(f, knots)
    c = certify(net, f, atol=FLOAT_NOISE)
    assert c.status == "tight" and (c.gap <= RTOL or c.upper <= FLOAT_NOISE)
    rng = np.random.default_rng(pieces)
    points = [fmpq(int(t), 2**40) * (domain[1] - domain[0]) + domain[0] for t in rng.integers(0, 2**40, 200)]
    assert exact_gap(net, f, points) <= c.upper
    assert exact_gap(net, f, [c.witness[0]]) >= c.lower


def deep_chain(levels, coefficients):
    """Squares of affine forms of squares; the target is the polynomial that it imitates."""
    b = Builder(1)
    x = b.input()
    form, text = x, "x"
    for m, (c0, c1, c2) in zip(levels, coefficients, strict=True):
        t = b.relu(c0 + c1 * form + c2 * x)
        exact = [fmpq(*c.as_integer_ratio()) for c in (c0, c1, c2)]
        text = f"(({exact[0]}) + ({exact[1]})*{text} + ({exact[2]})*x)**2"
        form = square_form(b, t, m)
    return b.build([form]), Target(text)


CHAIN = [(0.0, 1.0, 0.0), (0.2, 0.9, -0.3), (0.1, 0.8, -0.15), (0.55, 0.9, -0.51)]


@pytest.mark.parametrize("levels", [(3, 3, 2, 2), (7, 6, 5, 4), (12, 11, 10, 9)])
def test_deep_chains_are_certified_through_float64(levels):
    net, f = deep_chain(levels, CHAIN)
    c = certify(net, f)
    assert c.status == "tight"
    points = [fmpq(k * 982451653 % 2**32, 2**32) for k in range(300)]
    assert exact_gap(net, f, points) <= c.upper
    assert c.check("regions")


def test_double_double_takes_over_where_float64_cannot_resolve():
    net, f = deep_chain((11, 10, 9, 8), CHAIN)
    coarse, fine = certify(net, f), certify(net, f, rtol=1e-12, budget=Budget(seconds=60))
    assert "double-double" not in coarse.method and "double-double" in fine.method
    assert fine.status == "tight" and fine.gap <= 1e-12
    assert coarse.lower <= fine.upper and fine.lower <= coarse.upper


def test_an_exact_network_has_upper_bound_near_zero():
    b = Builder(1)
    x = b.input()
    net = b.build([fmpq(1, 3) - x + 2 * b.relu(x - fmpq(1, 3))])
    c = certify(net, Target("abs(x-1/3)"), atol=1e-12)
    assert c.lower == 0 and c.upper <= 1e-12 and c.status == "tight"


def test_budget_ends_with_a_valid_enclosure_and_upper_falls_with_more_of_it():
    net, f = deep_chain((12, 11, 10, 9), CHAIN)
    tight = certify(net, f)
    uppers = []
    for regions in (1, 20_000):
        c = certify(net, f, budget=Budget(regions=regions), rtol=1e-6)
        assert c.lower <= tight.upper and c.upper >= tight.lower
        uppers.append(c.upper)
    assert uppers[1] <= uppers[0]


def test_metamorphic_relations_give_overlapping_enclosures():
    net, f = deep_chain((6, 5, 4, 3), CHAIN)
    c = certify(net, f)
    padded = identity(1, 2) @ net
    wider = certify(padded, f)
    assert max(c.lower, wider.lower) <= min(c.upper, wider.upper)
    doubled = certify(4 * net, Target(f"4*({f.text})"))
    assert max(4 * c.lower, doubled.lower) <= min(4 * c.upper, doubled.upper)
    halves = [certify(net, f, domain=d) for d in ((0, fmpq(1, 3)), (fmpq(1, 3), 1))]
    assert max(h.lower for h in halves) <= c.upper and max(h.upper for h in halves) >= c.lower


def test_decompose_finds_the_dyadic_grid():
    assert np.array_equal(decompose(square(10), 0.0, 1.0), np.arange(1025) / 1024)


def test_bad_arguments_are_named():
    net, f = square(3), Target("x**2")
    for options in ({"rtol": 0}, {"rtol": math.nan}, {"atol": -1}, {"method": "magic"}, {"semantics": "float16"}):
        with pytest.raises(InputError) as caught:
            certify(net, f, **options)
        assert next(iter(options)) in str(caught.value)
    with pytest.raises(InputError):
        certify(net, Target("x*y"))
    with pytest.raises(InputError):
        Budget(seconds=0)


# -- planted faults --------------------------------------------------------------------------------------------------------


def test_a_forward_pass_that_forgets_the_kink_would_be_caught(monkeypatch):
    """With the chord gap of crossing ReLUs left out, a kink between nodes escapes; the honest pass sees it."""
    program = Program(identity(1, 1))
    b = Builder(1)
    net = b.build([b.relu(b.input() - 0.5)])
    program = Program(net)
    points = (np.array([0.0, 1.0]),)
    from approx.certification.arithmetic import Float64

    value, honest = forward_module.forward(program, points, True, Float64)
    chord_at_kink = 0.5 * (value[0][0] + value[0][1])
    assert honest[0] >= abs(chord_at_kink - 0.0)

    def careless(z, error, ends, activation):
        return tuple(np.where(z[0] > 0, c, 0.0) for c in z), error

    monkeypatch.setattr(unit_pass, "machine_code", lambda *_: None)
    monkeypatch.setattr(unit_pass, "activated", careless)
    assert forward_module.forward(program, points, True, Float64)[1][0] < chord_at_kink


def test_nan_weights_never_reach_a_certificate():
    with pytest.raises(InputError):
        dense_block(0, [[math.nan]])


MUTATIONS = {
    "lower raised": lambda c: replace(c, lower=c.upper * 1.001, upper=c.upper * 1.01),
    "upper lowered": lambda c: replace(c, upper=c.lower * 0.9, lower=c.lower * 0.9),
    "witness moved out": lambda c: replace(c, witness=(fmpq(2),)),
    "witness moved": lambda c: replace(c, witness=(c.witness[0] + fmpq(1, 1000),)),
    "digest": lambda c: replace(c, digest="0" * 64),
    "target": lambda c: replace(c, target=Target("exp(x)+1/1000")),
    "domain": lambda c: replace(c, domain=((fmpq(0), fmpq(2)),)),
    "empty": lambda c: replace(c, lower=c.upper * 2),
    "status": lambda c: replace(c, upper=c.upper * 3),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_altered_certificates_are_rejected(name):
    f = Target("exp(x)")
    net = hinge_interpolant(f, np.linspace(0, 1, 9))
    c = certify(net, f)
    assert c.check("full")
    assert not MUTATIONS[name](c).check("full"), name


def test_another_network_is_rejected():
    f = Target("exp(x)")
    c = certify(hinge_interpolant(f, np.linspace(0, 1, 9)), f)
    other = hinge_interpolant(f, np.linspace(0, 1, 10))
    assert not replace(c, network=other).check()


def test_a_callable_is_certified_on_condition_of_what_was_declared():
    from approx import Regularity

    net = hinge_interpolant(math.sin, np.linspace(0, 1, 20))
    truth = certify(net, Target("sin(x)"))
    smooth = Target(np.sin, (0, 1), regularity=Regularity(derivative_bounds={2: 1.0}, evaluation_error=1e-15))
    c = certify(net, smooth, rtol=0.05)
    assert c.status == "conditional" and c.assumptions
    assert c.lower <= truth.upper and truth.lower <= c.upper <= truth.upper * 1.06
    rough = Target(np.sin, (0, 1), regularity=Regularity(lipschitz=1.0))
    c = certify(net, rough, rtol=0.05)
    assert c.status == "conditional" and truth.lower <= c.upper < 1e-3


