"""Constructed and trained networks side by side: sizes, words, faults; training itself only where torch is installed."""

import dataclasses
import importlib.util
import json
import sys

import numpy as np
import pytest

from approx import Approximant, Budget, Target
from approx.errors import InputError, MissingExtraError
from approx.networks import affine
from approx.studies import Training, compare_trained, equal_width
from approx.studies.training import sample, trained
from constructions.relu import piecewise_linear

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
QUICK = Training(seeds=2, steps=60, polish=40, points=100)


def test_the_width_is_the_largest_that_fits():
    for d in (1, 2, 3):
        for weights in range(1, 300):
            n = equal_width(d, weights)
            count = [k**2 + (d + 3) * k + 1 for k in (n, n + 1)]
            assert (n == 0 or count[0] <= weights) and count[1] > weights


def test_samples_hold_the_corners_and_stay_inside():
    f = Target("x*y", [(0, 1), (-1, 2)])
    points = sample(f, 100)
    assert len(points) == 100 and points.min(axis=0).tolist() == [0, -1] and points.max(axis=0).tolist() == [1, 2]


def test_without_torch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    a = piecewise_linear(Target("x**2"), 1e-2)
    with pytest.raises(MissingExtraError, match="torch"):
        compare_trained([a])
    with pytest.raises(MissingExtraError, match="torch"):
        trained(a.target, 2, "relu", QUICK)


def test_bad_input_is_refused_before_torch_is_asked_for():
    a = piecewise_linear(Target("x**2"), 1e-2)
    with pytest.raises(InputError, match="constructed"):
        compare_trained([])
    with pytest.raises(InputError, match="constructed"):
        compare_trained(["x**2"])
    with pytest.raises(InputError, match="activations"):
        compare_trained([a], activations=["sin"])


@needs_torch
def test_a_small_comparison_is_sound_repeatable_and_sees_faults():
    found = [piecewise_linear(Target("x**2", (-1, 2)), 1e-2), piecewise_linear(Target("exp(x)"), 1e-2)]
    study = compare_trained(found, plan=QUICK, budget=Budget(seconds=5))
    assert len(study.rows) == 4 and not study.missing and not study.contradictions()
    for row in study.rows:
        assert row.trained_weights <= row.weights and row.best.network.size.weights <= row.trained_weights
        assert len(row.observed) == 2 and row.best.best == min(row.observed) <= row.trained_upper
        assert row.trained_lower <= row.trained_upper and row.lower <= row.upper <= 1e-2
    again = trained(found[0].target, study.rows[0].width, "relu", QUICK)
    assert again.observed == study.rows[0].observed
    assert json.loads(study.to_json())["rows"][0]["method"] == "piecewise-linear"
    assert "ours/best" in str(study)
    # Planted faults: a wrong certificate of the trained network, and of the constructed one.
    row = study.rows[0]
    for wrong in ({"trained_upper": row.best.best / 2}, {"upper": row.upper / 100}, {"weights": row.trained_weights - 1}):
        bad = dataclasses.replace(study, rows=(dataclasses.replace(row, **wrong),))
        assert len(bad.contradictions()) == 1


@needs_torch
def test_training_leaves_the_state_of_torch_alone_and_small_networks_are_missing():
    import torch

    torch.manual_seed(11)
    first = torch.rand(1)
    torch.manual_seed(11)
    chord = Approximant(affine([[1]], [0]), Target("x**2"), 0.25, "chord", "x misses x**2 by 1/4")
    study = compare_trained([chord, piecewise_linear(Target("x**2"), 1e-2)], activations=["tanh"], plan=QUICK)
    assert torch.equal(torch.rand(1), first)
    assert study.missing == (("x**2", "1 weights are too few for two hidden layers"),)
    x = np.linspace(0, 1, 5)
    assert np.isfinite(study.rows[0].best.network(x)).all()
