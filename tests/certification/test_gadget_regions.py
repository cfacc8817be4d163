"""Products in readings, their models on boxes, what is left of a network on a smaller box: exact, and caught if broken."""

import math

import numpy as np
import pytest
from flint import fmpq

from approx import Budget, Target, certify
from approx.certification import gadget_models
from approx.certification.axis_kinks import axis_kinks
from approx.certification.budget import Work
from approx.certification.gadget_models import GadgetModels
from approx.certification.gadget_products import with_products
from approx.certification.gadget_rows import shape
from approx.certification.gadgets import read
from approx.certification.narrowing import narrowed
from approx.certification.pieces import Program
from approx.certification.region_search import certify_regions
from approx.certification.witness import Witness
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from approx.numbers import to_fmpq
from constructions.relu.local_taylor import local_taylor
from constructions.relu.product import product, product_form, product_of, product_on_box


def sawtooth(z, m):
    k = int(z.p) * 2**m // int(z.q)
    return (2 * k + 1) * z / 2**m - fmpq(k * (k + 1), 4**m)


def form_value(form, values):
    return form.get(-1, fmpq(0)) + sum((w * values[k] for k, w in form.items() if k >= 0), fmpq(0))


def value(steps, point):
    """The output of Steps in exact arithmetic."""
    values = dict(enumerate(point))
    for n, step in enumerate(steps.steps):
        z = form_value(step.form, values)
        if step.levels is None:
            result = max(z, fmpq(0))
        elif step.other is None:
            result = sawtooth(abs(z), step.levels)
        else:
            other = form_value(step.other, values)
            result = sawtooth(abs(z + other), step.levels) - sawtooth(abs(z - other), step.levels)
        values[steps.inputs + n] = result
    return form_value(steps.output, values)


def blend(m=2):
    """P + w (Q - P) with w a staircase of x that is 0, then rises, then 1: what a local construction does at each seam."""
    b = Builder(3)
    x, y, z = (b.input(i) for i in range(3))
    w = b.relu(b.relu(1 - 4 * b.relu(x - fmpq(1, 4))) * -1 + 1)
    first, second = product_form(b, y, z, m), product_on_box(b, y - fmpq(1, 3), z, m, (-2, 2), (-1, 1))
    return b.build([first + product_on_box(b, w, second - first, m, (0, 1), (-4, 4))])


SPHERE = Target("exp(-(x**2+y**2+z**2))", [(0, 1)] * 3)


@pytest.fixture(scope="module")
def local():
    return local_taylor(SPHERE, 0.5, order=2, cells=2).network


def steps_of(net, low=-1, high=1):
    return with_products(read(net, [(fmpq(low), fmpq(high))] * net.inputs))


def test_the_error_of_a_product_is_what_the_statement_says():
    rng = np.random.default_rng(0)
    for m in (0, 1, 3, 5):
        for k in range(300):
            p, q = (fmpq(int(t), 512) for t in rng.integers(-256, 257, 2))
            p = (fmpq(1, 2), fmpq(-1, 2), fmpq(0), p)[min(k, 3)] if k < 30 else p
            error = abs(sawtooth(abs(p + q), m) - sawtooth(abs(p - q), m) - 4 * p * q)
            steep = min(2 * min(abs(p), abs(q)), abs(1 - 2 * max(abs(p), abs(q)))) / 2**m
            assert error <= min(fmpq(1, 4 ** (m + 1)), steep)


NETS = [(product(3), 1), (product_of(3, 2)[0], 2), (product_of(4, 2)[0], 3), (blend(), 3)]


@pytest.mark.parametrize("net, products", NETS)
def test_products_are_found_and_the_steps_are_the_network(net, products):
    steps = steps_of(net)
    assert sum(s.other is not None for s in steps.steps) == products
    rng = np.random.default_rng(1)
    points = [[fmpq(int(t), 999) for t in row] for row in rng.integers(-999, 1000, (30, net.inputs))]
    for point, exact in zip(points, evaluate_exact(net, points), strict=True):
        assert value(steps, point) == exact


def excess(models, net, rng, half, low=-1.0, high=1.0, count=200):
    """The largest excess of |net - P| over e at random points of random boxes, and the mean e."""
    d = net.inputs
    centre = rng.uniform(low + half, high - half, (count, d))
    p, e, _ = models(centre, np.full((count, d), half))
    u = rng.uniform(-1, 1, (count, d))
    u[::2] = np.sign(u[::2])
    powers = np.array(models.monomials.indices)
    polynomial = sum(p[k] * np.prod(u**a, axis=1) for k, a in enumerate(powers))
    return float((np.abs(np.asarray(net(centre + half * u)).ravel() - polynomial) - e).max()), float(e.mean())


@pytest.mark.parametrize("net", [n for n, _ in NETS])
@pytest.mark.parametrize("half", [0.7, 0.1, 0.003])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_models_contain_the_network_on_boxes(net, half, order):
    found, mean = excess(GadgetModels([steps_of(net)], order), net, np.random.default_rng(2), half)
    assert found <= 1e-12 and math.isfinite(mean)


def test_models_contain_a_local_network_and_are_sharp(local):
    models = GadgetModels([steps_of(local, 0, 1)], 2)
    for half, most in ((0.3, 20.0), (0.02, 0.15)):
        found, mean = excess(models, local, np.random.default_rng(3), half, 0.0, 1.0, 60)
        assert found <= 1e-12 and mean < most


def test_models_hold_where_promises_are_broken():
    """Read for [-1, 1], asked on [-1.3, 1.3]: squares leave [0, 1] there."""
    for net in (product(3), product_of(3, 2)[0]):
        found, _ = excess(GadgetModels([steps_of(net)], 2), net, np.random.default_rng(1), 0.1, -1.3, 1.3)
        assert found <= 1e-12


@pytest.mark.parametrize("broken", ["_product_error", "beyond"])
def test_planted_fault_models_without_that_error_are_wrong(monkeypatch, broken):
    net, models = product(1), GadgetModels([steps_of(product(1))], 2)
    monkeypatch.setattr(gadget_models, broken, lambda a, *rest: 0 * a)
    if broken == "beyond":
        monkeypatch.setattr(gadget_models, "square_chord", lambda a, b, m, s: np.stack([a, a, 9 + 0 * a]))
        models.drift[:] = 0
    found, _ = excess(models, net, np.random.default_rng(1), 0.2, -1.4, 1.4)
    assert found > 1e-3


def parts(d, low, high, count, rng):
    for _ in range(count):
        ends = np.sort(rng.integers(low * 64, high * 64 + 1, (d, 2)), axis=1)
        yield [(fmpq(int(a), 64), fmpq(int(b) + (a == b), 64)) for a, b in ends.tolist()]


def around(box):
    ends = np.array([[float(a.p) / float(a.q), float(b.p) / float(b.q)] for a, b in box])
    return ends.mean(axis=1)[None], (ends[:, 1] - ends[:, 0])[None] / 2


def check_narrowed(net, box, models, steps, rng, tolerance=1e-9):
    small, lost = narrowed(steps, box, models.known(*around(box))[0], tolerance)
    assert lost <= tolerance
    points = [[a + (b - a) * fmpq(int(t), 97) for (a, b), t in zip(box, rng.integers(0, 98, net.inputs), strict=True)]
              for _ in range(8)]  # fmt: skip
    for point, exact in zip(points, evaluate_exact(net, points), strict=True):
        assert abs(value(small, point) - exact) <= to_fmpq(lost)
    return small


@pytest.mark.parametrize("net", [blend(), product_of(3, 2)[0]])
def test_what_is_left_on_a_box_is_the_network_there(net):
    steps, rng = steps_of(net), np.random.default_rng(4)
    models = GadgetModels([steps], 2)
    for box in parts(3, -1, 1, 12, rng):
        assert len(check_narrowed(net, box, models, steps, rng).steps) <= len(steps.steps)


def test_where_a_blend_has_decided_only_one_product_is_left():
    net, rng = blend(), np.random.default_rng(5)
    steps = steps_of(net)
    models = GadgetModels([steps], 2)
    full = [(fmpq(-1), fmpq(1))] * 2
    for x, left in (((-1, 1), 1), ((2, 4), 1), ((1, 2), 3)):
        box = [(fmpq(x[0], 4), fmpq(x[1], 4)), *full]
        small = check_narrowed(net, box, models, steps, rng)
        assert sum(s.other is not None for s in small.steps) == left and not small.promises


def test_in_a_cell_of_a_local_network_three_products_are_left(local):
    steps, rng = steps_of(local, 0, 1), np.random.default_rng(6)
    # Inside of a cell, away from the seam at 1/2.
    box = [(fmpq(1, 16), fmpq(3, 8))] * 3
    small = check_narrowed(local, box, GadgetModels([steps], 2), steps, rng)
    assert len(steps.steps) > 50 and len(small.steps) <= 3


def test_planted_fault_ranges_that_are_too_small_are_caught():
    net, rng = blend(), np.random.default_rng(7)
    steps = steps_of(net)
    models = GadgetModels([steps], 2)
    box = [(fmpq(1, 8), fmpq(1, 2)), (fmpq(-1), fmpq(1)), (fmpq(-1), fmpq(1))]
    honest = models.known(*around(box))[0]
    models.known = lambda *a: [type(honest)(honest.low, np.full_like(honest.high, -1.0), honest.lipschitz, 0.0)]
    with pytest.raises(AssertionError):
        check_narrowed(net, box, models, steps, rng)


def test_networks_of_one_shape_are_enclosed_together_as_alone():
    nets = []
    for c in (fmpq(1, 3), fmpq(1, 2), fmpq(2, 3)):
        b = Builder(2)
        nets.append(b.build([product_form(b, b.input(0) - c, b.input(1) * c, 3, (2, 1)) + b.relu(b.input(0) + c)]))
    steps = [steps_of(n) for n in nets]
    for s in steps:
        s.promises = []
    assert len({shape(s) for s in steps}) == 1
    rng = np.random.default_rng(8)
    centre, half, which = rng.uniform(-0.5, 0.5, (30, 2)), np.full((30, 2), 0.2), rng.integers(0, 3, 30)
    p, e, _ = GadgetModels(steps, 2)(centre, half, which)
    for k in range(3):
        here = which == k
        q, f, _ = GadgetModels([steps[k]], 2)(centre[here], half[here])
        assert np.allclose(p[:, here], q, atol=1e-13) and np.allclose(e[here], f, rtol=1e-6)


@pytest.mark.parametrize("d, m, rtol", [(3, 2, 0.1), (3, 3, 0.1), (4, 1, 0.2)])
def test_products_of_several_numbers_are_certified_below_their_bound(d, m, rtol):
    net, bound = product_of(d, m)
    text = "*".join(f"x{i + 1}" for i in range(d))
    c = certify(net, Target(text, [(-1, 1)] * d), rtol=rtol)
    assert c.status == "tight" and c.method.startswith("regions")
    assert c.upper <= float(bound.p) / float(bound.q) * (1 + rtol) and c.check("regions")
    # The error at corners of the grid of teeth is known exactly: the enclosure has to contain it.
    points = [[fmpq(int(t), 2 ** (m + 2)) for t in row] for row in
              np.random.default_rng(d).integers(-(2 ** (m + 2)), 2 ** (m + 2) + 1, (200, d))]  # fmt: skip
    gaps = [abs(v - math.prod(p)) for v, p in zip(evaluate_exact(net, points), points, strict=True)]
    assert max(gaps) <= to_fmpq(c.upper)


@pytest.mark.parametrize("text, order", [("exp(-(x**2+y**2))", 2), ("sin(2*x)*y", 3)])
def test_regions_and_polygons_agree_on_local_networks_of_two_variables(text, order):
    target = Target(text, [(0, 1)] * 2)
    net = local_taylor(target, 0.08, order=order).network
    program, kinks = Program(net, hinges=False), axis_kinks(net, target.domain.floats().tolist())
    witness = Witness(program, target)
    witness.sample(kinks)
    reading = read(net, [(fmpq(0), fmpq(1))] * 2)
    lower, upper, _, _ = certify_regions(reading, target, witness, kinks, 0.05, 0.0, Work(Budget(seconds=30)))
    c = certify(net, target, rtol=0.01)
    assert upper <= 1.05 * lower and lower <= c.upper and c.lower <= upper


def test_the_budget_ends_with_a_valid_enclosure_that_never_grows(local):
    found = [certify(local, SPHERE, rtol=0.1, budget=Budget(regions=n)) for n in (1, 60, 300, 1000)]
    uppers = [c.upper for c in found]
    assert all(math.isfinite(u) for u in uppers) and uppers == sorted(uppers, reverse=True)
    assert min(uppers) >= max(c.lower for c in found)


def test_an_interrupt_returns_what_is_proved(local, monkeypatch):
    calls = []
    honest = GadgetModels.__call__

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return honest(self, *arguments)

    monkeypatch.setattr(GadgetModels, "__call__", stopping)
    c = certify(local, SPHERE, rtol=0.01)
    assert c.status == "budget" and c.lower <= c.upper < math.inf
