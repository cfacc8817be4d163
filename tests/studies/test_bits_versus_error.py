"""Are studies of bits exact, honest about what is missing, and above the entropy bound?"""

import math

import numpy as np
import pytest

from approx import Target
from approx.errors import InputError, RegularityError
from approx.studies import bits_versus_error, entropy_bits
from constructions.superexpressive import floor_exp2, log_free, sin_arcsin

F = Target("abs(x - 1/3) + x/2")


def test_entropy_is_that_of_the_packing():
    assert entropy_bits(1, 2, (0, 3), 0.5) == 5  # h > 1/2: five cubes, not six
    assert entropy_bits(0.5, 1, (0, 1), 0.05) == 99
    assert entropy_bits(1, 1, [(0, 1), (0, 2)], 0.01) == 49 * 99
    assert entropy_bits(1, 1, (0, 1), 3) == 0
    for bad in ((0, 1, 0.1), (2, 1, 0.1), (1, -1, 0.1), (1, 1, 0), (1, 1, math.nan)):
        with pytest.raises(InputError):
            entropy_bits(bad[0], bad[1], (0, 1), bad[2])


def test_the_packed_functions_are_in_the_class_and_far_apart():
    rng = np.random.default_rng(1)
    for alpha in (1.0, 0.5):
        eps, constant = 0.02, 1.3
        count = entropy_bits(alpha, constant, (0, 1), eps)
        x = np.linspace(0, 1, 4001)
        cell = np.minimum((x * count).astype(int), count - 1)
        bump = constant / 2 ** (1 - alpha) * np.minimum(x - cell / count, (cell + 1) / count - x).clip(0) ** alpha
        signs = rng.choice([-1, 1], (2, count))
        first, second = (bump * s[cell] for s in signs)
        pairs = rng.integers(0, len(x), (20_000, 2))
        ratio = np.abs(first[pairs[:, 0]] - first[pairs[:, 1]]) / np.maximum(np.abs(x[pairs] @ [1, -1]), 1e-12) ** alpha
        assert ratio[pairs[:, 0] != pairs[:, 1]].max() <= constant * (1 + 1e-9)
        assert constant * (1 / count) ** alpha > 2 * eps and np.abs(first - second).max() > 1.9 * eps


def test_rows_orders_and_what_is_missing(tmp_path):
    def refused(target, eps):
        raise RegularityError("no")

    methods = {"log-free": log_free, "floor-exp2": floor_exp2, "sin-arcsin": sin_arcsin, "refused": refused}
    published = {"somebody": [(0.1, 500), (0.01, 9000)]}
    study = bits_versus_error(F, methods, [0.01, 0.1, 0.03], published=published)
    assert [r.eps for r in study.method("log-free")] == [0.1, 0.03, 0.01]
    assert [m[0] for m in study.missing] == ["refused"] * 3
    assert all(r.lower <= r.upper <= r.eps and r.upper <= r.bound * 1.01 for r in study.rows)
    assert all(r.bits == log_free(F, r.eps).network.size.bits for r in study.method("log-free"))
    below = dict(study.entropy)
    assert all(r.bits > below[r.eps] for r in study.rows)
    orders = study.orders()
    assert 0.3 < orders["log-free"] < orders["floor-exp2"] < 1.6
    assert len(study.table()) == 10 and "certified sup" in study.table()[0]
    ax = study.plot(tmp_path / "bits.png")
    assert (tmp_path / "bits.png").stat().st_size > 5000 and ax.get_xscale() == "log"
    assert {"somebody", "log-free (certified)"} <= {t.get_text() for t in ax.get_legend().get_texts()}
    with pytest.raises(InputError, match="accuracies"):
        bits_versus_error(F, methods, [])
    with pytest.raises(InputError):
        study.plot(tmp_path / "bits.nonsense")
