"""Does `check` reject what is wrong? Faults planted in certificates and in the code that makes them; files that travel."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from flint import arb, fmpq

import approx.certification.block_search as block_search
import approx.certification.chord as chord
import approx.certification.ladder as ladder
import approx.certification.one_variable as one_variable
from approx import Certificate, Target, certify
from approx.certification import network_digest
from approx.certification.check_function import CheckFunction
from approx.errors import FileFormatError, InputError
from approx.networks import Builder
from approx.numbers import working_precision
from approx.targets.cover import Cover
from constructions.relu.square import square

EXPRESSIONS = [
    "abs(x-1/3)", "exp(-x**2)", "sin(20*x)*cos(x)", "sqrt(x+1/10)", "x**(3/2)", "log(x+1)", "tan(x)", "sinh(x)-cosh(2*x)",
    "tanh(3*x)", "arcsin(x/2)", "arccos(x/3)", "arctan(5*x)", "erf(2*x)", "sigmoid(x)", "max(x,1-x)", "min(x**3,x/2)",
    "relu(x-1/2)", "(x+1)**x", "2**x", "pi*x+e", "x**-2+1", "1/(1+25*x**2)", "(x+2)**(1/3)", "x**7",
]  # fmt: skip


def interpolant(text, pieces=9, shift=0.0):
    f = Target(text)
    b = Builder(1)
    x = b.input()
    knots = np.linspace(0, 1, pieces + 1)
    values = f(knots)
    slopes = np.diff(values) / np.diff(knots)
    form = float(values[0]) + float(slopes[0]) * x
    for k, s, t in zip(knots[1:], slopes, slopes[1:], strict=False):
        form = form + float(t - s) * b.relu(x - float(k + shift))
    return b.build([form]), f


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_the_checkers_own_derivatives_agree_with_taylor_series(text):
    """Two implementations that share only the parsed expression: their enclosures overlap, and points are sharp."""
    rng = random.Random(text)
    f = Target(text, domain=(0.1, 1))
    g = CheckFunction(f)
    with working_precision(128):
        for _ in range(20):
            centre, radius = rng.uniform(0.12, 0.98), 10 ** rng.uniform(-6, -2)
            ball, point = arb(centre, radius), arb(centre)
            assert f.ball([ball]).overlaps(g.value([ball]))
            assert f.ball([point]).overlaps(g.value([point])) and g.value([point]).rad() < 1e-30
            exact, whole = f.series(point, 2)[2] * 2, f.series(ball, 2)[2] * 2
            assert not exact.is_finite() or (exact.overlaps(g.second(point)) and g.second(point).rad() < 1e-25)
            assert not whole.is_finite() or whole.overlaps(g.second(ball))


@pytest.mark.parametrize("text", ["exp(x)", "sin(7*x)", "sqrt(x+1/100)", "abs(x-1/3)+x**2"])
def test_true_certificates_pass_every_level(text):
    net, f = interpolant(text)
    c = certify(net, f)
    for level in ("witness", "regions", "full"):
        report = c.check(level)
        assert report and not report.refuted and len(report.proved) >= (2 if level == "witness" else 3)


# -- the certificate is altered ------------------------------------------------------------------------------------------


def test_rounding_in_the_wrong_direction_is_rejected():
    """sup = 4^-(m+1) exactly: one unit in the last place less at the top, or more at the bottom, is false."""
    c = certify(square(4), Target("x**2"), method="exact")
    assert c.lower == c.upper == 4.0**-5 and c.check("full")
    assert not replace(c, upper=math.nextafter(c.upper, 0), lower=0.0, status="budget").check("full")
    up = math.nextafter(c.lower, 1)
    assert not replace(c, lower=up, upper=up).check("witness")


def test_a_breakpoint_shifted_by_one_ulp_is_rejected():
    """The network is another one; and with a forged digest its error is, where slopes are steep."""
    b = Builder(1)
    x = b.input()
    steep = fmpq(2) ** 60

    def net(k):
        return b.build([steep * (b.relu(x - 0.25) - b.relu(x - k))])

    right = net(0.25 + 2.0**-54)
    wrong = net(math.nextafter(0.25 + 2.0**-54, 1))
    c = certify(right, Target("0*x"))
    assert c.check("full")
    assert not replace(c, network=wrong).check("witness")
    forged = replace(c, network=wrong, digest=network_digest(wrong))
    assert not forged.check("full")


# -- the code is altered -------------------------------------------------------------------------------------------------


@pytest.fixture
def unsampled(monkeypatch):
    """Without the first look at samples, whose exact value would contradict a wrong upper bound at once."""
    honest = ladder._observed
    monkeypatch.setattr(ladder, "_observed", lambda p, target: (honest(p, target)[0], [target.domain.lower[0]]))


def test_a_dropped_piece_is_rejected(monkeypatch, unsampled):
    honest = one_variable.bound_pieces

    def careless(*arguments, **options):
        pieces = honest(*arguments, **options)
        return pieces.take(np.flatnonzero(pieces.right[0] <= 0.85))  # the last pieces are lost

    net, f = interpolant("exp(x)")
    assert certify(net, f).check("full")
    truth = certify(net, f, rtol=1e-3)
    monkeypatch.setattr(block_search, "bound_pieces", careless)
    wrong = certify(net, f, rtol=1e-3)
    assert wrong.upper < truth.lower and wrong.check("witness")  # nothing but the missing piece is wrong
    assert not wrong.check("full")


def test_a_second_derivative_of_nan_that_counts_as_small_is_rejected(monkeypatch, unsampled):
    def nan(self, left, right, cell):
        return left * math.nan, right * math.nan

    def forgiving(left, right, width, second):
        ends = np.maximum(np.abs(left), np.abs(right))
        return ends, np.zeros_like(left), ends  # NaN compared as "fine", as in the prototype

    net, f = interpolant("exp(x)")
    truth = certify(net, f)
    monkeypatch.setattr(Cover, "second_derivative_range", nan)
    closed = certify(net, f)
    assert closed.upper == math.inf or closed.check("full")  # the real code fails closed, or finds another way
    monkeypatch.setattr(one_variable, "chord_bound", forgiving)
    wrong = certify(net, f, atol=1e-6)
    assert wrong.upper < truth.lower and not wrong.check("full")


def test_a_chord_bound_without_half_of_the_curvature_is_rejected(monkeypatch, unsampled):
    honest = chord.chord_bound

    def halved(left, right, width, second):
        upper, fraction, _ = honest(left, right, width, (second[0] / 2, second[1] / 2))
        return upper, fraction, 0 * upper

    net, f = interpolant("exp(x)")
    truth = certify(net, f)
    monkeypatch.setattr(one_variable, "chord_bound", halved)
    wrong = certify(net, f, atol=truth.upper)
    assert wrong.upper < truth.lower and not wrong.check("full")


# -- files ---------------------------------------------------------------------------------------------------------------


def test_certificates_save_load_and_check_elsewhere(tmp_path):
    net, f = interpolant("sin(7*x)")
    c = certify(net, f)
    c.save(tmp_path / "c.approx")
    again = Certificate.load(tmp_path / "c.approx")
    assert (again.lower, again.upper, again.witness, again.digest) == (c.lower, c.upper, c.witness, c.digest)
    assert again.check("full")
    assert not replace(again, upper=again.lower * 0.99, lower=0.0).check("full")


def test_damaged_files_and_bare_certificates_are_refused(tmp_path):
    net, f = interpolant("exp(x)")
    c = certify(net, f)
    path = tmp_path / "c.approx"
    c.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError):
        Certificate.load(path)
    with pytest.raises(InputError):
        replace(c, network=None).save(tmp_path / "d.approx")
    with pytest.raises(InputError):
        c.check("thorough")
