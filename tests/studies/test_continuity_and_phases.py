"""Are jumps of weights found exactly where a selection is discontinuous, and do points stand in the right phase?"""

import math
from dataclasses import replace

import pytest

from approx import Approximant, Target
from approx.errors import InputError, RegularityError
from approx.networks import Builder, affine
from approx.studies import continuity, phase_diagram, rates, region, weight_distance
from constructions.relu import simplicial


def stepped(target, eps):
    """A selection with one jump of 3 along the path: where the value at 1/2 passes 0.4."""
    value = float(target(0.5))
    return Approximant(affine([[3.0 if value > 0.4 else 0.0]], [value]), target, 1.0, "stepped", "")


def test_a_planted_jump_is_found_and_located():
    study = continuity("0*x", "x", stepped, steps=10, halvings=20)
    assert (
        study.verdict == "discontinuous" and study.zoom[-1].size == pytest.approx(3) and abs(study.exponent.value) < 0.1
    )
    assert study.zoom[-1].s <= 0.8 <= study.zoom[-1].s + study.zoom[-1].width  # s/2 = 0.4
    assert float(study.zoom[-1].width) == pytest.approx(0.1 / 2**20)


def test_interpolation_selects_continuously_and_free_signs_do_not(tmp_path):
    smooth = continuity("sin(2*pi*x)", "exp(x)-1", "simplicial:cells=8,form=paper", steps=8, halvings=12)
    assert smooth.verdict == "continuous" and smooth.exponent.value == pytest.approx(1, abs=0.05)
    square = [(0, 1)] * 2
    plane = continuity(
        Target("sin(2*x)*y", square), Target("exp(x-y)", square), "simplicial:cells=3", steps=6, halvings=8
    )
    assert plane.verdict == "continuous"
    coded = continuity("sin(2*pi*x)", "exp(x)-1", "sin-floor", steps=4, halvings=8, eps=0.1)
    assert coded.verdict == "discontinuous" and coded.path[0].size > 1e6
    smooth.plot(tmp_path / "path.png")
    assert (tmp_path / "path.png").stat().st_size > 3000 and "continuous" in str(smooth)


def test_weight_distance_puts_back_units_that_were_left_out():
    def net(*knots, shift=0.0):
        b = Builder(1)
        out = b.input()
        for k, w in knots:
            out = out + w * b.relu(b.input() - k)
        return b.build([out + shift])

    whole = net((0.25, 1), (0.5, 0.125), (0.75, 2))
    assert weight_distance(whole, net((0.25, 1), (0.75, 2))) == 0.125
    assert weight_distance(net((0.25, 1), (0.75, 2.5)), whole) == 0.5
    assert (
        weight_distance(whole, whole) == 0
        and weight_distance(whole, net((0.25, 1), (0.5, 0.125), (0.75, 2), shift=9)) == 9
    )
    assert weight_distance(whole, net((0.3, 1))) == math.inf and weight_distance(whole, affine([[1]], [0])) == math.inf
    deep = Builder(1)
    assert weight_distance(whole, deep.build([deep.relu(deep.relu(deep.input()))])) == math.inf


def test_an_architecture_that_changes_is_said_to():
    study = continuity("sin(2*pi*x)", "0.1*exp(x)", "piecewise-linear", eps=1e-2, steps=4, halvings=3)
    assert study.verdict == "architecture changes" and math.isnan(study.exponent.value)


def test_continuity_refuses_bad_input():
    with pytest.raises(InputError, match="steps"):
        continuity("x", "x**2", simplicial, steps=0)
    with pytest.raises(InputError, match="second"):
        continuity("x", Target("x", (0, 2)), simplicial)
    with pytest.raises(InputError, match="method"):
        continuity("x", "x**2", "nonsense")
    with pytest.raises(RegularityError):
        continuity(Target(lambda x: x, (0, 1)), "x", simplicial)


def test_regions_of_the_diagram():
    assert [region(q, a) for q, a in ((0.9, 0), (1, 1), (1.2, 0.19), (1.2, 0.21), (2, 1), (2.01, 1))] == [
        "continuous", "continuous", "infeasible", "discontinuous", "discontinuous", "infeasible",
    ]  # fmt: skip


def test_interpolation_stands_at_the_continuous_end(tmp_path):
    study = rates(Target("exp(x)*sin(6*x)"), ["simplicial", "piecewise-linear"], [100, 400, 1600])
    diagram = phase_diagram(study)
    assert [p.method for p in diagram.points] == ["simplicial", "piecewise-linear"]
    for p in diagram.points:
        assert p.rate.value == pytest.approx(1, abs=0.05) and p.depth.value == 0 and p.region == "continuous"
        assert p.rate.low <= p.rate.value <= p.rate.high
    ax = diagram.plot(tmp_path / "phases.png")
    assert (tmp_path / "phases.png").stat().st_size > 5000
    assert any("simplicial" in t.get_text() for t in ax.get_legend().get_texts())
    # twice the rate at this depth is what no network can do for a class: wrong errors stand in the infeasible region
    wrong = [
        replace(r, lower=r.lower * r.weights**-2.0, upper=r.upper * r.weights**-2.0, bound=math.inf) for r in study.rows
    ]
    assert {p.region for p in phase_diagram([replace(study, rows=tuple(wrong))]).points} == {"infeasible"}
    with pytest.raises(InputError, match="studies"):
        phase_diagram(replace(study, smoothness=None))
