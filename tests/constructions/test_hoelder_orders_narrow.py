"""Are narrow networks of orders above 2 of one width for all orders, without skips, and near their polynomials at every x?"""

import dataclasses
from functools import cache
from math import comb

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Target
from approx.certification.budget import Work
from approx.evaluation import evaluate_exact
from approx.numbers import to_fmpq
from constructions.relu import _difference_narrow, _packed_value, hoelder_two_scale
from constructions.relu._difference_codes import cell_codes, code_length, levels_from
from constructions.relu._difference_forms import read_differences
from constructions.relu._difference_narrow import GAP, WIDTH, difference_narrow, difference_narrow_weights
from constructions.relu._difference_reader import difference_enclosure
from constructions.relu._packed_differences import PackedDifferences

F = Target("sin(7*x)*exp(-x)/(1+x**2)", (-1, 2))
GRIDS = [(3, 2, 9), (3, 7, 8), (3, 5, 3), (4, 5, 6), (5, 3, 5), (6, 2, 9), (7, 3, 8), (8, 3, 12)]


@cache
def built(order, cells, steps, form="narrow"):
    return hoelder_two_scale(F, 1, order=order, cells=cells, steps=steps, form=form)


def plan_of(order, cells, steps):
    return read_differences(built(order, cells, steps).network, F)


def places(plan):
    """Random shares of the domain, fine nodes, and places on ramps at both sides of fine and of coarse nodes."""
    n, total, rho = plan.cells, plan.cells * plan.steps, PackedDifferences(plan).fine_ramp
    shares = [fmpq(int(k), 10**6) for k in np.random.default_rng(n).integers(0, 10**6 + 1, 24)]
    shares += [fmpq(k, total) for k in range(total + 1)]
    shares += [(i + plan.ramp * s) / n for i in range(1, n) for s in (fmpq(1, 3), fmpq(-1, 3), fmpq(9, 10), fmpq(-9, 10))]
    ramps = [rho * fmpq(k, 6) * s for k in (1, 3, 5, 7, 9, 11, 13) for s in (1, -1)]
    return shares + [(i + s) / total for i in range(1, total) for s in ramps]


def values(network, shares):
    return evaluate_exact(network, [3 * s - 1 for s in shares])


def exact_polynomial(plan, share):
    """f_1 + lambda P, by Lagrange's formula on the window, cut as the network's."""
    order, steps = plan.order, plan.steps
    cell = min(int(share * plan.cells), plan.cells - 1)
    local = (share * plan.cells - cell) * steps
    t, row = (steps - local, plan.levels[cell * steps : (cell + 1) * steps + 1][::-1]) if cell % 2 else (
        local, plan.levels[cell * steps : (cell + 1) * steps + 1])  # fmt: skip
    k = min(int(t), steps - 1)
    start = min(max(k - (order - 1) // 2, 0), steps - order + 1)
    total, nodes = fmpq(0), range(start, start + order)
    for i in nodes:
        factor = fmpq(int(row[i]))
        for j in nodes:
            factor = factor * (t - j) / (i - j) if j != i else factor
        total += factor
    left, right = plan.coarse_values[cell : cell + 2]
    bound = plan.slope * min(t, steps - t)
    return left + (right - left) * local / steps + to_fmpq(plan.quantum) * max(-bound, min(bound, total))


@pytest.mark.parametrize(("order", "cells", "steps"), GRIDS)
def test_it_is_within_its_bound_of_the_polynomial_and_of_the_form_with_skips_in_layers_of_one_width(order, cells, steps):
    a, b, plan = built(order, cells, steps), built(order, cells, steps, "skips"), plan_of(order, cells, steps)
    shares = places(plan)
    found = values(a.network, shares)
    gaps = [abs(v - exact_polynomial(plan, s)) for v, s in zip(found, shares, strict=True)]
    allowed = to_fmpq(plan.gap_at_ramps())
    assert 0 < max(gaps) <= allowed
    few = range(0, len(shares), 5)
    skips = values(b.network, [shares[i] for i in few])
    assert all(abs(found[i] - v) <= 2 * allowed for i, v in zip(few, skips, strict=True))
    assert a.bound == b.bound and a.certify().upper == b.certify().upper
    size = a.network.size
    assert all([block.source for block in layer.blocks] == [k] for k, layer in enumerate(a.network.layers))
    assert size.width == WIDTH == 10
    assert 0.8 * difference_narrow_weights(plan) <= size.weights <= difference_narrow_weights(plan)


@pytest.mark.parametrize(("order", "cells", "steps"), GRIDS)
def test_packed_differences_step_and_are_read_exactly(order, cells, steps):
    """The oracle continues the levels of a cell by r-th differences 0 and takes their differences."""
    plan = plan_of(order, cells, steps)
    packed = PackedDifferences(plan)
    signs = [(-1) ** (i + 1) * comb(order, i) for i in range(1, order + 1)]
    for row in plan.rows.tolist():
        heads = [int(np.diff(row, i)[0]) for i in range(1, order)]
        digits = np.diff(row, order).tolist()
        for _ in range(packed.kappa):
            row = [sum(s * v for s, v in zip(signs, row, strict=False)), *row]
        for _ in range(order):
            row = [*row, sum(s * v for s, v in zip(signs, row[::-1], strict=False))]
        wanted = [np.diff(np.array(row, dtype=object), j).tolist() for j in range(order)]
        total = sum((packed.head(i) * d for i, d in enumerate(heads, 1)), fmpq(0))
        for k in range(steps):
            if k > 0:
                moved = packed.kappa < k <= packed.kappa + len(digits)
                digit = digits[k - packed.kappa - 1] if moved else 0
                total = packed.step * total + digit * packed.weight(order - 1)
            assert abs(total) <= packed.reach
            z = total + fmpq(1, 8) + sum(packed.weight(j) * 2 ** (b - 1) for j, b in enumerate(packed.bits))
            for j in reversed(range(order)):
                digit = int((z / packed.weight(j)).floor())
                z -= digit * packed.weight(j)
                assert 0 <= z <= packed.weight(j) / 4  # else folding would not find the digit
                found = digit - 2 ** (packed.bits[j] - 1)
                assert found == wanted[j][k] and abs(found) <= packed.sizes[j] < 2 ** (packed.bits[j] - 1)


def test_codes_with_gaps_and_differences_are_inverse():
    plan = plan_of(5, 3, 5)
    codes, heads = cell_codes(plan, GAP), plan.head_bits
    assert (levels_from(codes, heads, 5, GAP) == plan.levels).all()
    assert max(codes).bit_length() <= code_length(heads, 5, GAP) - GAP
    assert codes != cell_codes(plan) and (levels_from(cell_codes(plan), heads, 5) == plan.levels).all()
    with pytest.raises(ValueError, match="code"):
        levels_from([1 << code_length(heads, 5, GAP), *codes[1:]], heads, 5, GAP)


@pytest.mark.parametrize("grid", [(3, 5, 7), (8, 2, 9)])
def test_plans_are_read_back_from_files(tmp_path, grid):
    a = built(*grid)
    a.save(tmp_path / "a.approx")
    b = approx.load(tmp_path / "a.approx")
    plan = read_differences(b.network, b.target)
    assert plan is not None and plan.order == grid[0] and difference_narrow(plan, F) == a.network
    assert b.certify().upper == a.certify().upper and b.certify().check("witness")
    assert read_differences(b.network, Target(F.text, (-1, 3))) is None


def test_planted_faults_are_caught(monkeypatch):
    a, plan = built(3, 3, 8), plan_of(3, 3, 8)
    good, shares = a.certify().upper, places(plan)
    levels = plan.levels.copy()
    levels[12] += 2
    bent = dataclasses.replace(plan, levels=levels)
    assert (np.diff(bent.rows, 3, axis=1) + bent.shift < 2**bent.bits).all()
    assert approx.certify(difference_narrow(bent, F), F).lower > 1.5 * good

    fold, shift = _packed_value.folded, 3 * PackedDifferences(plan).fine_ramp / 32
    faults = [  # (what is changed, how many quanta are missed at least somewhere)
        # Gates let through what was there before.
        (_difference_narrow, "opened", lambda unit, closed, reach: unit - reach, 1),
        # The base is so small that garbage reaches the last digit.
        (PackedDifferences, "place", property(lambda self: max(self.bits)), 1 / 8),
        # Partial sums are cut to less than they may be.
        (PackedDifferences, "partial_sizes", property(lambda self: [fmpq(1)] * 3), 1),
        # The choice is made at the nodes themselves, where one of both polynomials is garbage.
        (_packed_value, "folded", lambda regs, t, n: fold(regs, t + shift * (t.constant + shift == fmpq(1, 32)), n), 1 / 8),
    ]
    for owner, name, fault, least in faults:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fault)
            spoilt = difference_narrow(plan, F)
        gaps = [abs(v - exact_polynomial(plan, s)) for v, s in zip(values(spoilt, shares), shares, strict=True)]
        assert float(max(gaps)) > least * plan.quantum > 20 * plan.gap_at_ramps(), name
        assert difference_enclosure(spoilt, F, Work(approx.Budget())) is None  # no theorem holds, and none is used


def test_error_falls_like_the_sixth_power_of_the_weights_at_the_same_width():
    """Packed bits and products cost O(log W) weights: too steep at small W; docs/studies.md has 1.5 decades."""
    target = Target("sin(4000*x)*exp(-x)")
    found = [hoelder_two_scale(target, 1, order=3, cells=200 * m, steps=m, form="narrow") for m in (12, 24)]
    sizes = [a.network.size for a in found]
    gain = np.log(found[0].certify().upper / found[1].certify().upper) / np.log(sizes[1].weights / sizes[0].weights)
    assert 5.9 < gain < 6.3 and {s.width for s in sizes} == {WIDTH}
    assert 1.8 < sizes[1].hidden_layers / sizes[0].hidden_layers < 2


@pytest.mark.parametrize(("text", "most"), [("3*x-1", 0), ("1/7", 0), ("x**2", WIDTH), ("x**3-x", WIDTH)])
@pytest.mark.parametrize("order", [3, 4, 8])
def test_degenerate_functions(text, most, order):
    a = hoelder_two_scale(Target(text, (-1, 2)), 1e-3, order=order, form="narrow")
    assert a.network.size.width <= most and a.certify().upper <= a.bound <= 1e-3
