"""Is log-free of fixed size, proved, certified, and without the logarithm in its bits?"""

import dataclasses
import math

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target
from approx.errors import InputError, RegularityError, UnreachableError
from approx.evaluation import evaluate_exact, evaluate_precisely
from approx.networks import Network
from approx.numbers import working_precision
from approx.targets import PolygonTarget
from constructions.superexpressive import floor_exp2, log_free
from constructions.superexpressive._bit_tables import guarded, packed, simplest_between
from constructions.superexpressive._block_code import encode, shortest_code

CASES = [
    (Target("abs(sin(7*x))*x", (-1, 1)), [0.2, 0.05, 0.01]),
    (Target("sqrt(abs(x - y))"), [0.4, 0.2]),
    (Target("abs(y - x*z)/4", [(0, 1)] * 3), [0.2, 0.1]),
    (Target("1/3"), [0.1]),
]


@pytest.mark.parametrize(("f", "accuracies"), CASES, ids=[f.text for f, _ in CASES])
def test_fixed_size_and_guarantee(f, accuracies):
    d = f.dimension
    for eps in accuracies:
        for share in (None, 0.5):
            a = log_free(f, eps, share=share, ridges=False)
            assert (a.network.size.units, a.network.size.hidden_layers) == (3 * d + 10, 9)
            c = a.certify(rtol=0.3)
            assert c.upper <= a.bound * (1 + 1e-12) <= eps
            assert a.network.size.bits > a.parameters["table_bits"]


def zigzag(levels: int) -> Target:
    """A mean of triangle waves of periods 2^-k and slopes +-1: Lipschitz constant 1, kinks at every scale."""
    wave, terms = "x", []
    for k in range(1, levels + 1):
        wave = f"abs({wave} - 1/{2**k})"
        terms.append(f"{wave}/{levels}")
    return Target(" + ".join(terms))


def test_bits_per_cell_do_not_grow_on_a_function_with_kinks_at_every_scale():
    f = zigzag(20)
    levels = list(range(8, 13))
    found = [log_free(f, 2.0**-k, share=0.5) for k in levels]
    per_cell = [a.network.size.bits / a.parameters["cells"] for a in found]
    assert max(per_cell) < 2.5 and per_cell[-1] < per_cell[0]
    plain = [floor_exp2(f, 2.0**-k).parameters for k in (8, 12)]
    assert plain[1]["table_bits"] / plain[1]["K"] > 3.9 + plain[0]["table_bits"] / plain[0]["K"]
    order = np.polyfit(np.array(levels) * math.log(2), [math.log(a.network.size.bits) for a in found], 1)[0]
    assert 0.75 < order < 1.1


def test_bits_per_cell_on_random_zigzags_whose_slopes_change_in_every_cell():
    rng = np.random.default_rng(5)
    per_cell = []
    for k in (10, 12, 14):
        f = PolygonTarget(np.concatenate([[0.0], np.cumsum(rng.choice([-1.0, 1.0], 2**k))]) / 2**k)
        eps = 2.0**-k * (1 + 1e-6)  # cells just as wide as the parts of the zigzag
        a = log_free(f, eps, share=0.5)
        per_cell.append(a.network.size.bits / a.parameters["cells"])
        assert a.certify(rtol=0.5).upper <= eps and not f.assumptions
    assert per_cell[0] > per_cell[1] > per_cell[2] and per_cell[0] < 2.5


@pytest.mark.parametrize("shape", [(1000,), (23, 17), (5, 9, 7)])
def test_block_codes_give_back_every_cell(shape):
    rng = np.random.default_rng(11)
    digits = sum(
        np.cumsum(rng.integers(-1, 2, n)).reshape([-1 if i == a else 1 for i in range(len(shape))])
        for a, n in enumerate(shape)
    )
    digits = digits - digits.min()
    best = shortest_code(digits)
    sides = [(1,) * len(shape), (2,) * len(shape), (3,) + (1,) * (len(shape) - 1)]
    for code in [best, *(encode(digits, b, tuple(4 * s for s in b)) for b in sides)]:
        assert best.bits <= code.bits
        for _ in range(100):
            cell = tuple(int(rng.integers(n)) for n in shape)
            block = tuple(c // b for c, b in zip(cell, code.block, strict=True))
            group = tuple(c // g for c, g in zip(cell, code.group, strict=True))
            place = int(
                np.ravel_multi_index([c % b for c, b in zip(cell, code.block, strict=True)], code.block, order="F")
            )
            level, number = divmod(int(code.records[block]), code.patterns.shape[1])
            assert code.minima[group] + level + code.patterns[place, number] == digits[cell]


def test_tables_are_packed_to_the_bit():
    assert packed(np.array([[1, 2], [3, 0]]), 3) == 1 + 3 * 8 + 2 * 64
    assert guarded(np.zeros(5, dtype=int), 2) == 2**10
    with pytest.raises(InputError):
        packed(np.array([4]), 2)
    assert simplest_between(fmpq(3, 10), fmpq(2, 5)) == fmpq(1, 3)
    with pytest.raises(InputError):
        simplest_between(fmpq(0), fmpq(1))


def test_a_planted_fault_in_any_table_changes_the_certificate():
    f = Target("abs(sin(9*x))")
    a = log_free(f, 0.02)
    honest = a.certify()
    pool = a.network.pool
    tables = sorted(range(len(pool)), key=lambda i: int(abs(pool[i].p)).bit_length())[-2:]
    for number in tables:
        changed = list(pool)
        changed[number] = fmpq(int(pool[number].p) ^ (1 << 5))
        wrong = dataclasses.replace(a, network=Network(1, a.network.layers, changed))
        assert wrong.certify().lower > honest.upper
        points = [fmpq(k, 997) for k in range(998)]
        assert evaluate_exact(wrong.network, points) != evaluate_exact(a.network, points)


def test_literal_balls_are_found_at_jumps_too():
    # The records are divided by the number of patterns: their quotient is often whole, which no long ball would decide.
    f = Target("abs(sin(9*x))")
    a = log_free(f, 0.002)
    points = [fmpq(k, 61) for k in range(62)]
    balls = evaluate_precisely(a.network, points, bits=100)
    exact = evaluate_exact(a.network, points)
    with working_precision(300):
        assert all(b.contains(v) and b.rad() <= arb(2) ** -100 for b, v in zip(balls, exact, strict=True))


def test_bad_input_is_refused_with_what_would_be_accepted():
    f = Target("abs(x)")
    for share in (0, 1, -2, math.nan):
        with pytest.raises(InputError, match="share"):
            log_free(f, 0.1, share=share)
    with pytest.raises(InputError, match="1, 2 or 3"):
        log_free(Target("x1+x2+x3+x4"), 0.1)
    with pytest.raises(UnreachableError, match="cells"):
        log_free(f, 1e-12)
    with pytest.raises(RegularityError):
        log_free(Target("1/x"), 0.1)
