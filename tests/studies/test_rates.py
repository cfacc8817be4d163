"""Do studies of rates measure the exponents that are known, by name, and do they notice rows that cannot be true?"""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

import approx
import constructions
from approx import Approximant, Budget, Target
from approx.cli import main
from approx.errors import InputError, UnreachableError
from approx.networks import Builder, affine, linear_combination
from approx.studies import Method, log_slope, rates
from approx.studies.sizing import ENOUGH, Sizer
from constructions.relu import simplicial

CURVED = Target("exp(x)*sin(6*x)")


def hat(target, eps):
    """Networks whose size jumps: 2^k times three weights, or refused below 1e-3."""
    if eps < 1e-3:
        raise UnreachableError("too fine")
    return simplicial(target, eps, cells=2 ** max(0, math.ceil(math.log2(1 / eps))))


def constant(target, eps):
    return Approximant(affine([[0]], [0]), target, 10.0, "constant", "")


def test_slopes_with_intervals():
    x = [10, 20, 40, 80, 160]
    exact = log_slope(x, [3 * v**-1.5 for v in x])
    assert (
        exact.value == pytest.approx(-1.5)
        and exact.high - exact.low < 1e-9
        and exact.at(10) == pytest.approx(3 * 10**-1.5)
    )
    noisy = log_slope(x, [3 * v**-1.5 * f for v, f in zip(x, (1, 1.1, 0.9, 1.05, 1), strict=True)])
    assert noisy.low < -1.5 < noisy.high and 0.01 < noisy.high - noisy.low < 0.5
    # Student's t for one degree of freedom is 12.706: the residuals of (0, 1, 0) are (-1/3, 2/3, -1/3), spread 2
    three = log_slope([1, math.e, math.e**2], [1, math.e, 1])
    assert (three.high - three.low) / 2 == pytest.approx(12.7062 * math.sqrt((6 / 9) / 1 / 2), rel=1e-4)
    assert math.isnan(log_slope([5], [1]).value) and math.isinf(log_slope([1, 2], [1, 2]).high)
    with pytest.raises(InputError):
        log_slope([1, 2], [0, 1])


@pytest.mark.parametrize(
    ("text", "domain", "weights", "expected", "margin"),
    [
        ("exp(x)*sin(6*x)", (0, 1), [100, 300, 1000, 3000], -2, 0.05),
        ("sin(3*x)*exp(y)", [(0, 1)] * 2, [800, 2000, 5000], -1, 0.3),
        ("sqrt(x)", (0, 1), [100, 300, 1000, 3000], -0.5, 0.05),
    ],
)
def test_simplicial_has_the_exponent_of_theory(text, domain, weights, expected, margin):
    study = rates(Target(text, domain), ["simplicial"], weights)
    exponent = study.exponents["simplicial"]
    assert exponent.theory == expected and abs(exponent.value - expected) < margin
    assert exponent.low - 0.3 <= expected <= exponent.high + 0.3 and exponent.left_out == 0
    assert exponent.continuous == expected and exponent.any == 2 * expected
    assert all(ENOUGH * r.wanted <= r.weights <= r.wanted for r in study.rows[1:])
    assert study.contradictions() == () and not study.interrupted


def test_a_lipschitz_target_has_exponent_one_over_d():
    # a kink that no grid of these sizes meets; the error oscillates with its place in the cell, the bound does not
    study = rates(Target("abs(x-1/sqrt(2))"), ["simplicial"], [100, 200, 400, 800, 1600, 3200])
    exponent = study.exponents["simplicial"]
    assert exponent.theory == -1 and exponent.low <= -1 <= exponent.high
    bound = log_slope([r.weights for r in study.rows], [r.bound for r in study.rows])
    assert bound.value == pytest.approx(-1, abs=0.05)


def test_options_ratios_and_the_table(tmp_path):
    study = rates(CURVED, ["piecewise-linear", "local-taylor:order=3"], [300, 1000], budget=Budget(seconds=5))
    assert study.exponents["local-taylor:order=3"].theory == -3
    assert all(r.approximant.parameters["order"] == 3 for r in study.method("local-taylor:order=3"))
    for r in study.method("piecewise-linear"):
        assert 1 <= r.ratios["pieces"] < 2 and r.ratios["any"] > r.ratios["depth"] > r.ratios["continuous"] > 1
    assert len(study.table()) == 1 + len(study.rows) and "theory W^-3" in str(study)
    ax = study.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 5000 and ax.get_xscale() == ax.get_yscale() == "log"
    words = " ".join(t.get_text() for t in ax.get_legend().get_texts())
    assert "piecewise-linear" in words and "lower bound" in words
    with pytest.raises(InputError):
        study.plot(tmp_path / "rates.nonsense")


def test_planted_faults_are_noticed():
    study = rates(CURVED, ["piecewise-linear"], [100, 300, 1000])
    assert study.contradictions() == ()
    first, *others = study.rows
    for fault, words in (
        ({"lower": first.upper * 2}, "above upper"),
        ({"upper": first.upper / 10, "lower": first.upper / 10, "bound": first.upper / 10}, "pieces can reach"),
        ({"upper": first.upper / 1.2, "lower": first.upper / 1.2, "bound": first.upper / 1.2}, "is attained"),
        ({"bound": first.lower / 2}, "above the proved bound"),
        ({"weights": first.weights + 1}, "the network has"),
    ):
        wrong = replace(study, rows=(replace(first, **fault), *others))
        assert any(words in sentence for sentence in wrong.contradictions()), fault
    # errors that fall too slowly change the exponent, which no longer agrees with theory
    slower = [
        replace(r, lower=r.lower * r.weights**0.5, upper=r.upper * r.weights**0.5, bound=math.inf) for r in study.rows
    ]
    exponent = replace(study, rows=tuple(slower)).exponents["piecewise-linear"]
    assert abs(exponent.value - exponent.theory) > 0.4


def test_methods_of_fixed_size_are_not_pressed_further():
    calls = []

    def fixed(target, eps):
        calls.append(eps)
        return constant(target, eps)

    assert len(rates(CURVED, {"fixed": fixed}, [40, 100, 1000]).rows) == 1 and len(calls) == 3


def test_sizes_that_jump_and_methods_that_do_not_apply():
    study = rates(CURVED, {"jumps": hat, "constant": constant}, [40, 100, 110, 10_000])
    assert [r.weights for r in study.method("jumps")] == [
        r.approximant.network.size.weights for r in study.method("jumps")
    ]
    assert all(r.weights <= r.wanted for r in study.rows)
    reasons = {(n, w): reason for n, w, reason in study.missing}
    assert "no network between" in reasons["jumps", 110] and len(study.method("constant")) == 1
    assert study.exponents["constant"].points in (0, 1) and math.isnan(study.exponents["constant"].value)
    plane = rates(Target("x*y", [(0, 1)] * 2), ["piecewise-linear", "simplicial"], [100, 300])
    assert [m[0] for m in plane.missing] == ["piecewise-linear"] * 2 and "variables" in plane.missing[0][2]
    kinked = rates(Target("abs(x-0.3)"), ["local-taylor:order=3", "piecewise-linear"], [100, 300])
    assert "does not apply" in kinked.missing[0][2] and "weights are exact" in kinked.missing[-1][2]
    assert kinked.exponents["piecewise-linear"].left_out == 1


def test_the_search_for_a_size_is_short_and_remembers():
    calls = []

    def counted(target, eps):
        calls.append(eps)
        return simplicial(target, eps)

    sizer = Sizer(Method("counted", counted), CURVED)
    for w in (100, 1000, 10_000):
        found = sizer.network(w)
        assert ENOUGH * w <= found.weights <= w
    assert len(calls) <= 12
    before = len(calls)
    assert sizer.network(1000).weights <= 1000 and len(calls) == before


def test_ctrl_c_keeps_the_rows_so_far():
    def slow(target, eps):
        if eps < 1e-2:
            raise KeyboardInterrupt
        return simplicial(target, eps)

    study = rates(CURVED, {"slow": slow}, [20, 100, 1000])
    assert study.interrupted and 1 <= len(study.rows) <= 2 and "interrupted" in study.notes[-1]


def test_bad_input_names_the_argument():
    for bad in ([], [0], [math.nan], ["x"], [1e12]):
        with pytest.raises(InputError, match="weights"):
            rates(CURVED, ["simplicial"], bad)
    with pytest.raises(InputError, match="method"):
        rates(CURVED, ["simplical"], [100])
    with pytest.raises(InputError, match="methods"):
        rates(CURVED, "simplicial", [100])
    for bad in ("simplicial:cells", "simplicial:nonsense=3"):
        with pytest.raises(InputError, match="OPTION=VALUE"):
            rates(CURVED, [bad], [100])
    with pytest.raises(InputError, match="order"):
        rates(CURVED, ["simplicial"], [100], order=1.5)


def test_without_constructions_the_error_says_what_to_import():
    code = (
        "import approx\ntry: approx.studies.rates('x', ['simplicial'], [9])\n"
        "except approx.errors.InputError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "import constructions" in done.stdout


def test_every_construction_can_be_asked_for_by_name():
    known = approx.studies.methods.chosen_methods([row.name for row in constructions.catalogue()])
    assert [m.builder for m in known.values()] == [row.builder for row in constructions.catalogue()]


def run(*arguments):
    return CliRunner().invoke(main, ["rates", *arguments])


def test_command_line_json_and_picture(tmp_path):
    where = str(tmp_path / "rates.svg")
    arguments = ["exp(x)", "--method", "simplicial", "--weights", "50", "500", "--points", "3"]
    result = run(*arguments, "--json", "--plot", where)
    assert result.exit_code == 0 and (tmp_path / "rates.svg").exists()
    facts = json.loads(result.stdout)
    assert {
        "target",
        "domain",
        "class",
        "rows",
        "exponents",
        "missing",
        "notes",
        "interrupted",
        "contradictions",
    } <= set(facts)
    assert {"method", "weights", "bound", "lower", "upper", "error", "lower_bounds", "ratios", "bits"} <= set(
        facts["rows"][0]
    )
    exponent = facts["exponents"]["simplicial"]
    assert exponent["points"] == 3 and abs(exponent["exponent"] + 2) < 0.2 and exponent["theory"] == -2
    plain = run(*arguments, "--phases", str(tmp_path / "phases.png"))
    assert (tmp_path / "phases.png").stat().st_size > 5000
    assert plain.exit_code == 0 and "simplicial: error ~ W^-" in plain.stdout and "/continuous" in plain.stdout


def test_command_line_refuses_in_one_line_and_says_what_is_missing(tmp_path):
    for arguments in (
        ["exp(x)", "--method", "nonsense"],
        ["exp(x)"],
        ["exp(x", "--method", "simplicial"],
        ["exp(x)", "--method", "simplicial", "--points", "1"],
        ["exp(x)", "--method", "simplicial", "--weights", "100", "10"],
        ["exp(x)", "--method", "simplicial", "--weights", "-5", "10"],
        ["exp(x)", "--method", "simplicial", "--plot", str(tmp_path / "no" / "where.png")],
        ["abs(x)", "--method", "simplicial", "--order", "2"],
    ):
        result = run(*arguments)
        assert result.exit_code == 3 and result.stdout == "" and result.stderr.startswith("approx: "), arguments
    missing = run("abs(x-0.3)", "--method", "local-taylor:order=3", "--weights", "50", "100", "--points", "2")
    assert missing.exit_code == 2 and "does not apply" in missing.stdout


def test_a_method_whose_neighbouring_accuracies_have_one_size_is_not_given_up():
    """Two accuracies with networks of one size say nothing on finer ones; three in a row end the search."""

    def stepped(target, eps):
        b = Builder(1)
        units = 12 if 0.02 < eps < 0.06 else max(1, math.ceil(1 / eps))
        hinges = [b.relu(b.input() - k) for k in range(1, units + 1)]
        return Approximant(b.build([linear_combination([(1, h) for h in hinges])]), target, eps, "stepped", "")

    sizer = Sizer(Method("stepped", stepped), Target("x**2/4"))
    assert [sizer.network(w).weights for w in (20, 100)] == [18, 36]
    assert 250 < sizer.network(500).weights <= 500
    constant = Sizer(Method("constant", lambda f, eps: stepped(f, 0.03)), Target("x**2/4"))
    assert constant.network(500).weights < 50 and len(constant.built) == 3
