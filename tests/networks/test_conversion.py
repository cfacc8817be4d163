"""Conversions between piecewise-linear activations: equal (certified, with 0), of the proved size, and faults are seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from flint import arb, fmpq
from hypothesis import given
from hypothesis import strategies as st

import approx
from approx import Approximant, Target
from approx.cli import main
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_balls, evaluate_exact, rounding_slack
from approx.networks import Builder, Network, PiecewiseLinear, conversion_bound, convert
from approx.networks import conversion as module
from approx.networks.samples import random_network

ACTIVATIONS = (
    "relu", "abs", "leaky-relu", "leaky-relu(-2)", "hard-tanh", "piecewise(0; 2,-2; 1)",
    "piecewise(-1/2,1/3,2; 2,-1,1/2,3; 1/5)",
)  # fmt: skip
HALF = fmpq(1, 2)


def tent() -> Network:
    b = Builder(1)
    return b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - HALF)])


def box(inputs: int) -> list[tuple[fmpq, fmpq]]:
    return [(fmpq(-1), fmpq(3, 2))] * inputs


@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize("kinds", [("relu",), ("abs",), ("relu", "abs", "identity"), ("piecewise(-1,1; 0,1,0; -1)",)], ids=str)
def test_converted_networks_are_equal_and_of_the_proved_size(inputs, kinds):
    rng = np.random.default_rng(7)
    net = random_network(rng, inputs, 1 + inputs % 2, 3, 5, activations=kinds, rationals=True)
    points = [[fmpq(int(n), 8) for n in rng.integers(-8, 13, inputs)] for _ in range(5)]
    for name in ACTIVATIONS:
        other = convert(net, name, box(inputs))
        for certificate in (approx.compare(net, other, box(inputs)), approx.compare(other, net, box(inputs))):
            assert certificate.lower == certificate.upper == 0 and certificate.status == "tight"
        assert evaluate_exact(net, points) == evaluate_exact(other, points)
        bound = conversion_bound(net, name)
        assert other.size.weights <= bound.weights and other.size.units <= bound.units
        assert other.size.hidden_layers <= net.size.hidden_layers
        assert other.activations <= {"identity", PiecewiseLinear.of(name).name}


def test_the_paper_factors_and_no_domain_where_none_is_needed():
    net = tent()
    connections_and_biases = 4 + 2 + 1
    assert conversion_bound(net, "hard-tanh") == (4 * connections_and_biases, 4)
    back = convert(convert(net, "leaky-relu"), "relu")
    assert conversion_bound(convert(net, "leaky-relu"), "relu").units == 2 * convert(net, "leaky-relu").size.units
    far = [fmpq(-(10**9)), fmpq(10**9)]
    assert evaluate_exact(back, far) == evaluate_exact(net, far)
    assert convert(net, "relu") is net
    assert [b.source for layer in convert(net, "abs", (0, 1)).layers for b in layer.blocks] == [0, 1]


def test_certificates_files_and_values_of_written_activations(tmp_path: Path):
    net = convert(tent(), "leaky-relu")
    f = Target("x**2")
    certificate = approx.certify(net, f)
    assert 1 <= certificate.upper <= 1.01 and certificate.check("full").ok
    found = Approximant(net, f, 1.0, "tent", "at 1").certified()
    found.save(tmp_path / "tent.approx")
    loaded = approx.load(tmp_path / "tent.approx")
    assert loaded.network == net and loaded.certificate.check("full").ok
    x = np.linspace(-1, 2, 31)
    exact = [float(v.p) / float(v.q) for v in evaluate_exact(tent(), x)]
    assert np.abs(net(x) - exact).max() <= rounding_slack(net, x).max() <= 1e-13
    [ball] = evaluate_balls(net, arb(0.25))
    assert ball.overlaps(arb(0.5)) and ball.rad() < 1e-12
    assert net.tags["piecewise_linear"] and net.tags["lipschitz"] >= 2
    report = net.to_onnx(tmp_path / "tent.onnx")
    assert report.agrees and approx.compare(approx.from_onnx(tmp_path / "tent.onnx"), net, (0, 1)).upper <= 1e-13


@given(st.lists(st.fractions(-3, 3, max_denominator=9), min_size=1, max_size=4, unique=True), st.randoms())
def test_values_hinges_and_names_of_an_activation_agree(breakpoints, random):
    slopes = [random.randint(-3, 3)]
    while len(slopes) <= len(breakpoints):
        slopes.append(slopes[-1] + random.choice([-2, -1, 1, 2]))
    rho = PiecewiseLinear(sorted(breakpoints), slopes, fmpq(1, 3))
    assert PiecewiseLinear.of(rho.name) == rho
    places = [*rho.breakpoints, *(p + fmpq(1, 7) for p in rho.breakpoints), fmpq(-9), fmpq(9)]
    for t in places:
        assert rho(t) == rho.value + sum(c * max(sign * (t - a), fmpq(0)) for c, sign, a in rho.hinges())
        low, high = rho.image(fmpq(-9), fmpq(9))
        assert low <= rho(t) <= high


def test_planted_faults_are_caught(monkeypatch):
    net = tent()
    # A reach that is too small leaves the region where the formula holds.
    monkeypatch.setattr(module, "_power_of_two", lambda value: value / 2)
    assert approx.compare(net, convert(net, "hard-tanh", (0, 1)), (0, 1)).lower > 0.1
    monkeypatch.undo()
    # A wrong weight of the result is a difference, not rounding.
    good = convert(net, "hard-tanh", (0, 1))
    first = good.layers[0]
    bias = first.bias.floats.copy()
    bias[0] += 2.0**-40
    bad = Network(1, [replace(first, bias=replace(first.bias, floats=bias)), *good.layers[1:]], good.pool)
    assert approx.compare(net, bad, (0, 1)).lower > 0
    # Equality ends where the domain ends.
    assert approx.compare(net, good, (0, 4)).lower > 0


def test_bad_input_is_refused_in_words():
    b = Builder(1)
    with pytest.raises(UnsupportedError, match="sin"):
        convert(b.build([b.unit(b.input(), "sin")]), "relu")
    written = ("piecewise(1,0; 0,1,0; 0)", "piecewise(0; 1,1; 0)", "piecewise(0; 1)")
    for name in ("sin", "leaky-relu(1)", "leaky-relu(1/0)", 7, *written):
        with pytest.raises(InputError):
            convert(tent(), name)
    with pytest.raises(InputError, match="domain"):
        convert(tent(), "abs")
    with pytest.raises(InputError, match="domain"):
        convert(tent(), "abs", [(0, 1), (0, 1)])
    with pytest.raises(InputError, match="activation"):
        b.build([b.unit(b.input(), "piecewise(0; 0,1; 0)")])  # that is relu, and there is one name for it


def test_constant_and_degenerate_networks():
    b = Builder(2)
    constant = b.build([b.relu(0 * b.input() + 3)])
    unit = [(0, 1), (0, 1)]
    assert approx.compare(constant, convert(constant, "abs", unit), unit).upper == 0
    plain = b.build([b.input(0) - b.input(1)])
    assert convert(plain, "hard-tanh", unit) is plain
    dead = b.build([b.relu(b.relu(b.input() - 1) * 2)])
    assert approx.compare(dead, convert(dead, "hard-tanh", unit), unit).upper == 0


def test_the_command_converts_and_proves(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Approximant(tent(), Target("1-abs(2*x-1)"), 0.0, "tent", "A tent.").certified().save("tent.approx")
    run = CliRunner().invoke(main, ["convert", "tent.approx", "hard-tanh", "clipped.approx"])
    assert run.exit_code == 0 and "equal on the domain" in run.output
    found = approx.load("clipped.approx")
    assert found.network.size.units == 4 and found.bound == 0 and found.certify().upper <= 1e-12
    assert CliRunner().invoke(main, ["convert", "tent.approx", "sin", "x.approx"]).exit_code == 3
    tent().save("plain.approx")
    assert CliRunner().invoke(main, ["convert", "plain.approx", "abs", "x.approx"]).exit_code == 3
    assert not Path("x.approx").exists()
    bounded = ["convert", "plain.approx", "abs", "x.approx", "--domain", "0", "1", "--json"]
    assert CliRunner().invoke(main, bounded).exit_code == 0
