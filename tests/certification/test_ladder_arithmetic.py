"""The rungs of the ladder against exact rationals: dense double-double, the adjoint bound, the reading as squares."""

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target, certify
from approx.certification import Budget, Certificate, square_bound, square_program
from approx.certification.adjoint import forward_adjoint
from approx.certification.arithmetic import DoubleDouble, Float64
from approx.certification.exact_rung import ExactRung
from approx.certification.forward import forward
from approx.certification.pieces import Program, decompose
from approx.certification.products import Product
from approx.certification.square_bound import SquareBound
from approx.certification.square_program import ONE, SquareProgram
from approx.errors import UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, dense_block, layer
from approx.numbers import to_fmpq, working_precision
from constructions.relu.square import square, square_form


def mlp(width, depth, seed, weight=1.0):
    rng = np.random.default_rng(seed)
    widths = [1] + [width] * depth
    layers = [
        layer("relu", rng.normal(size=n) / 2, [dense_block(k, weight * rng.normal(size=(n, widths[k])) / np.sqrt(widths[k]))])
        for k, n in enumerate(widths[1:])
    ]
    return Network(1, [*layers, layer("identity", [0.0], [dense_block(depth, rng.normal(size=(1, width)))])])


@pytest.mark.parametrize("spread", [0, 30, 300])
@pytest.mark.parametrize("terms", [3, 64, 200])
def test_double_double_products_hold_their_bound_against_rationals(terms, spread):
    rng = np.random.default_rng(terms + spread)
    w = rng.normal(size=(4, terms)) * 2.0 ** rng.integers(-spread, spread + 1, (4, terms))
    tail = w * 2.0**-60
    v = rng.normal(size=(terms, 5)) * 2.0 ** rng.integers(-spread, spread + 1, (terms, 5))
    low = v * 2.0**-55 * rng.uniform(-1, 1, v.shape)
    bias = rng.normal(size=(4, 5))
    (hi, lo), error = Product(0, w, tail).add_to((bias, np.zeros_like(bias)), (v, low))
    for i in range(4):
        for j in range(5):
            exact = to_fmpq(float(bias[i, j])) + sum(
                (to_fmpq(float(w[i, k])) + to_fmpq(float(tail[i, k]))) * (to_fmpq(float(v[k, j])) + to_fmpq(float(low[k, j])))
                for k in range(terms)
            )
            got = to_fmpq(float(hi[i, j])) + to_fmpq(float(lo[i, j]))
            assert abs(got - exact) <= to_fmpq(float(error[i, j]))
            size = np.abs(w).max(axis=1)[i] * np.abs(v).max(axis=0)[j]
            assert error[i, j] <= terms**2 * 2.0**-86 * size + 2.0**-100 * abs(bias[i, j]) + 2.0**-900  # and is sharp


@pytest.mark.parametrize("arithmetic", [Float64, DoubleDouble])
@pytest.mark.parametrize("net", [mlp(12, 2, 0), mlp(40, 3, 1), mlp(40, 4, 2, 3.0), square(6)], ids=str)
def test_forward_and_adjoint_bounds_cover_exact_values_between_the_nodes(net, arithmetic):
    program = Program(net)
    x = decompose(net, 0.0, 1.0)[:40]
    points = (x,) if arithmetic is Float64 else (x, np.zeros_like(x))
    value, error = forward(program, points, True, arithmetic)
    other, sharper = forward_adjoint(program, points, True, arithmetic)
    assert all(np.array_equal(a, b) for a, b in zip(value, other, strict=True))
    assert np.all(sharper <= error)
    total = [sum(to_fmpq(float(c[i])) for c in value) for i in range(len(x))]
    for i in range(len(x) - 1):
        a, b = to_fmpq(float(x[i])), to_fmpq(float(x[i + 1]))
        for t in (fmpq(0), fmpq(1, 3), fmpq(1)):
            [exact] = evaluate_exact(net, [a + (b - a) * t])
            assert abs(exact - (total[i] * (1 - t) + total[i + 1] * t)) <= to_fmpq(float(sharper[i]))


def test_the_adjoint_bound_is_sharper_on_ill_conditioned_networks():
    net = mlp(48, 4, 7)
    x = (decompose(net, 0.0, 1.0),)
    program = Program(net)
    gain = forward(program, x, True, Float64)[1] / forward_adjoint(program, x, True, Float64)[1]
    assert np.median(gain) > 3


def test_an_adjoint_that_forgets_undecided_slopes_would_be_caught(monkeypatch):
    """Where a kink lies between the nodes, its slope is unknown: with any one slope the bound is too small."""
    import approx.certification.adjoint as adjoint

    b = Builder(1)
    u = b.relu(b.input() - fmpq(1, 3))
    net = b.build([1000 * b.relu(b.relu(b.input() - fmpq(1, 4)) - fmpq(1, 9)) + u])
    program, points = Program(net), (np.array([0.0, 1.0]),)
    value, honest = forward_adjoint(program, points, True, Float64)
    chord = [to_fmpq(float(v)) for v in value[0]]
    gaps = [
        abs(v - (chord[0] * (1 - t) + chord[1] * t))
        for t, v in ((fmpq(k, 36), evaluate_exact(net, [fmpq(k, 36)])[0]) for k in range(37))
    ]
    assert max(gaps) <= to_fmpq(float(honest[0]))
    monkeypatch.setattr(adjoint, "_times_slope", lambda c, r, layer: (c * layer.low, 0 * r))
    careless = adjoint._backward(program, _trace(program, points))
    assert to_fmpq(float(careless[0])) < max(gaps)


def _trace(program, points):
    trace = []
    forward(program, points, True, Float64, trace)
    return trace


class Recorder:
    """Who asks the exact rung."""

    goal = 1e-25

    def __init__(self):
        self.tried = []

    def try_point(self, x):
        self.tried.append(x)


def test_the_exact_rung_sees_below_double_double():
    """Kink of f and of the network 1e-30 apart: sup = 2e-30 on an interval of 2^-60."""
    b = Builder(1)
    x = b.input()
    off = fmpq(1, 10**30)
    net = b.build([fmpq(1, 3) - x + 2 * b.relu(x - fmpq(1, 3) - off)])
    rung, asker = ExactRung(net, Target("abs(x-1/3)")), Recorder()
    asker.goal = 2.01e-30
    near = fmpq(2**60 // 3, 2**60)
    bound, steps = rung.enclose(near - fmpq(1, 2**60), near + fmpq(1, 2**60), asker, 500)
    assert 2e-30 <= bound <= asker.goal and 0 < steps < 500


# -- sawtooth squares read as squares --------------------------------------------------------------------------------------


def product_net(levels):
    """xy-like: ((x + v)/2)^2 - ((x - v)/2)^2 with v = f_m(x): errors enter twice."""
    b = Builder(1)
    x = b.input()
    v = b.relu(square_form(b, x, levels))
    plus, minus = b.relu((x + v) / 2), b.relu((x - v) / 2)
    return b.build([square_form(b, plus, levels) - square_form(b, minus, levels)]), Target("x**3")


@pytest.mark.parametrize("levels", [8, 12])
def test_the_reading_bounds_every_exact_value_and_is_sharp(levels):
    net, f = product_net(levels)
    reading = SquareBound(net, f)
    assert len(reading.program.steps) == 4
    rng = np.random.default_rng(levels)
    for _ in range(40):
        a = float(rng.uniform(0.01, 0.98))
        bound = reading.bound(a, a + 2.0**-8)
        points = [to_fmpq(a) + fmpq(int(t), 2**40) for t in rng.integers(0, 2**32, 30)]
        worst = max(abs(v - p**3) for p, v in zip(points, evaluate_exact(net, points), strict=True))
        assert worst <= to_fmpq(bound) <= fmpq(8, 4 ** (levels + 1))


def test_the_reading_of_a_network_without_squares_is_empty():
    assert SquareBound(mlp(4, 2, 0), Target("x")).program is None
    program = SquareProgram.of(square(8))
    assert [s.unit for s in program.steps] == [square(8).size.units + 1] and program.levels == 8
    assert program.steps[0].squares == {(0, ONE): 1} and not program.steps[0].linear


def test_a_tooth_that_is_read_for_itself_is_a_unit_of_the_program():
    """relu(G_2 - 0.3): no square; the teeth must be kept, and the bound stays true."""
    b = Builder(1)
    x = b.input()
    g = x
    for _ in range(2):
        g = b.relu(2 * g - 4 * b.relu(g - fmpq(1, 2)))
    net = b.build([b.relu(g - fmpq(3, 10)) + square_form(b, x, 9)])
    f = Target("x**2")
    reading = SquareBound(net, f)
    bound = reading.bound(0.0, 1.0)
    points = [fmpq(k, 997) for k in range(998)]
    worst = max(abs(v - p * p) for p, v in zip(points, evaluate_exact(net, points), strict=True))
    assert worst <= to_fmpq(bound)
    fine = max(reading.bound(k / 64, (k + 1) / 64) for k in range(64))
    assert to_fmpq(fine) <= fmpq(8, 10)  # sup is 0.7


def test_roots_above_one_are_allowed_for():
    """A chain whose root reaches 1 + 1/100: f_m(u) is u there, no square, and the bound must cover that."""
    b = Builder(1)
    u = b.relu(fmpq(101, 100) * b.input())
    net = b.build([square_form(b, u, 9)])
    f = Target("(101/100*x)**2")
    reading = SquareBound(net, f)
    with working_precision(128):
        points = [1 - fmpq(k, 10**5) for k in range(300)]
        worst = max(abs(f.exact(p) - v) for p, v in zip(points, evaluate_exact(net, points), strict=True))
    bound = reading.bound(0.99, 1.0)
    assert arb(worst) <= arb(to_fmpq(bound)) and bound < 0.1
    far = b.build([square_form(b, b.relu(2 * b.input()), 9)])
    assert SquareBound(far, Target("4*x**2")).bound(0.75, 1.0) == float("inf")


def quotient_net(levels, top, bottom, short=1, faulty=1):
    """u^2/c + (u^2/c)^2 / v with u = top, c = bottom, v = 1 + u^2/c, all units; the target is the same without errors."""
    b = Builder(1)
    u, c = b.relu(top(b.input())), b.relu(bottom(b.input()))
    q = b.relu(square_form(b, u, levels, scale=faulty * c))
    v = b.relu((1 + q) * short)
    return b.build([q + square_form(b, q, levels, scale=v) - fmpq(1, 10**9) * v])


@pytest.mark.parametrize("levels", [8, 12])
def test_quotients_are_read_bounded_and_sharp(levels):
    net = quotient_net(levels, lambda x: x + fmpq(1, 5), lambda x: x + fmpq(1, 4))
    f = Target("(x+1/5)**2/(x+1/4) + (x+1/5)**4/(x+1/4)**2/(1+(x+1/5)**2/(x+1/4))")
    reading = SquareBound(net, f)
    assert reading.program.levels == 2 * levels
    assert sum(len(s.squares) for s in reading.program.steps) == 2
    rng = np.random.default_rng(levels)
    for _ in range(40):
        a = float(rng.uniform(0.01, 0.98))
        bound = reading.bound(a, a + 2.0**-8)
        points = [to_fmpq(a) + fmpq(int(t), 2**40) for t in rng.integers(0, 2**32, 30)]
        with working_precision(128):
            worst = max(abs(f.exact(p) - v) for p, v in zip(points, evaluate_exact(net, points), strict=True))
            assert worst <= arb(to_fmpq(bound)) and bound <= 12 / 4.0 ** (levels + 1) + 2e-8
    wide = max(reading.bound(k / 32, (k + 1) / 32) for k in range(32))
    assert max(reading.bound(k / 64, (k + 1) / 64) for k in range(64)) <= wide < 1


def test_floats_and_balls_bound_alike_and_intervals_do_not_depend_on_their_company(monkeypatch):
    net = quotient_net(9, lambda x: x / 2 + fmpq(1, 5), lambda x: x + fmpq(1, 4))
    f = Target("(x/2+1/5)**2/(x+1/4) + (x/2+1/5)**4/(x+1/4)**2/(1+(x/2+1/5)**2/(x+1/4))")
    intervals = [(k / 64, (k + 1) / 64) for k in range(64)]
    together = SquareBound(net, f).bounds(intervals)
    assert together == [SquareBound(net, f).bound(*ends) for ends in intervals]
    monkeypatch.setattr(square_bound, "_ROUNDING", -1.0)  # never sure: balls decide
    for one, both in zip(together, SquareBound(net, f).bounds(intervals), strict=True):
        assert both <= one <= both * (1 + 1e-2)


def test_a_root_above_its_scale_is_allowed_for_and_a_scale_of_both_signs_refused():
    net = quotient_net(9, lambda x: fmpq(101, 100) * x + fmpq(1, 10), lambda x: x + fmpq(1, 10))
    f = Target("(101/100*x+1/10)**2/(x+1/10)")
    one = Builder(1)
    u, c = one.relu(fmpq(101, 100) * one.input() + fmpq(1, 10)), one.relu(one.input() + fmpq(1, 10))
    alone = one.build([square_form(one, u, 9, scale=c)])
    with working_precision(128):
        points = [1 - fmpq(k, 10**3) for k in range(300)]
        worst = max(abs(f.exact(p) - v) for p, v in zip(points, evaluate_exact(alone, points), strict=True))
    bound = max(SquareBound(alone, f).bound(0.7 + 0.01 * k, 0.7 + 0.01 * (k + 1)) for k in range(30))
    assert arb(worst) <= arb(to_fmpq(bound)) and bound < 0.2
    assert SquareBound(net, f).bound(0.5, 0.51) < float("inf")
    far = quotient_net(9, lambda x: 2 * x + fmpq(1, 4), lambda x: x + fmpq(1, 4))
    assert SquareBound(far, f).bound(0.75, 1.0) == float("inf")
    vanishing = quotient_net(9, lambda x: x / 4, lambda x: x / 2)
    assert SquareBound(vanishing, f).bound(0.0, 0.25) == float("inf")
    assert SquareBound(vanishing, Target("x/8+x**2/64/(1+x/8)")).bound(0.25, 0.5) < 1e-4


def test_a_quotient_by_a_share_of_the_unit_is_read_as_what_it_is():
    """The planted fault: levels read 9/10 of the scale. No chain is found, or its bound covers the true error."""
    net = quotient_net(9, lambda x: x / 2 + fmpq(1, 5), lambda x: x + fmpq(1, 4), faulty=fmpq(9, 10))
    f = Target("(x/2+1/5)**2/(x+1/4) + (x/2+1/5)**4/(x+1/4)**2/(1+(x/2+1/5)**2/(x+1/4))")
    points = [fmpq(k, 99) for k in range(100)]
    with working_precision(128):
        worst = max(abs(f.exact(p) - v) for p, v in zip(points, evaluate_exact(net, points), strict=True))
        reading = SquareBound(net, f)
        assert worst > arb(fmpq(1, 100))
        assert max(reading.bound(k / 64, (k + 1) / 64) for k in range(64)) >= float(worst)


def sawtooth_with(b, u, levels, extra, at):
    """The sum f_m of a chain, with a form added to the row of its tooth `at`."""
    g = f = u
    for s in range(levels):
        g = b.relu(2 * g - 4 * b.relu(g - fmpq(1, 2)) + (extra if s == at else 0))
        f = f - g * fmpq(1, 4 ** (s + 1))
    return f


def hidden_chain():
    """A tooth's row reads z, 0 by its reading as a chain of v; but v has a spike of height 3, where z is 4."""
    b = Builder(1)
    x, k, p = b.input(), fmpq(2) ** 40, fmpq(123457, 1000003)
    v = b.relu(b.relu(k * (x - p)) - 2 * b.relu(k * (x - p) - 3) + b.relu(k * (x - p) - 6))
    first = b.relu(v - fmpq(1, 2))
    z = b.relu(2 * v - 4 * first) - 2 * v + 4 * first
    return b.build([sawtooth_with(b, b.relu(x), 9, z, 0)]), p + 3 / k


def copied_fold():
    """A tooth's row reads 50 (G_1 - 2 u + 4 B_0): 0 for u <= 1, and 100 (u - 1) where the root is above 1."""
    b = Builder(1)
    u = b.input()
    first = b.relu(u - fmpq(1, 2))
    z = 50 * (b.relu(2 * u - 4 * first) - 2 * u + 4 * first)
    return b.build([sawtooth_with(b, u, 9, z, 1)]), fmpq(21, 20)


@pytest.mark.parametrize("made", [hidden_chain, copied_fold])
def test_a_tooth_reads_its_own_chain_alone(made):
    """Both were certified to 1e-6 and 0.08 before rows of teeth had to read their own chain alone."""
    net, worst = made()
    f = Target("x**2", domain=(0, "21/20"))
    [value] = evaluate_exact(net, [worst])
    error = abs(value - worst * worst)
    assert error > fmpq(1, 3)
    found = certify(net, f, budget=Budget(seconds=20))
    assert found.upper >= float(error) * (1 - 1e-12)
    reading = SquareBound(net, f)
    assert reading.program is None or reading.bound(float(worst) - 1e-6, float(worst)) >= float(error)


def test_reading_folds_that_form_no_squares_takes_few_passes(monkeypatch):
    passes = []
    monkeypatch.setattr(square_program, "_read", lambda *args, read=square_program._read: passes.append(1) or read(*args))
    b = Builder(1)
    x = b.input()
    g, c = x, b.relu(x / 2 + fmpq(1, 2))
    for _ in range(200):
        g = b.relu(2 * g - 4 * b.relu(g - c / 2))
    program = SquareProgram.of(b.build([g]))
    assert all(not s.squares and not s.roots for s in program.steps)
    assert len(passes) < 12  # one level was found out per pass, 200 of them


def test_contradictory_bounds_fail_closed():
    found = Certificate.of(square(3), Target("x**2"), (0.5, 0.1, (fmpq(1, 2),), "m"), 0.01, 0.0, {})
    assert found.upper == float("inf") and found.status == "budget" and "contradicted" in found.method


def test_a_unit_that_reads_nothing_has_values_in_double_double():
    b = Builder(1)
    net = b.build([b.relu(b.input() + b.relu(0 * b.input() + 1) - b.relu(0 * b.input() + fmpq(1, 3)))])
    x = np.linspace(0, 1, 5)
    (hi, lo), error = forward(Program(net), (x, np.zeros_like(x)), True, DoubleDouble)
    for t, h, l in zip(x.tolist(), hi.tolist(), lo.tolist(), strict=True):
        [exact] = evaluate_exact(net, [t])
        assert abs(exact - to_fmpq(h) - to_fmpq(l)) <= to_fmpq(float(error.max()))


# -- underflow fails closed ----------------------------------------------------------------------------------------------


def scaled(d, *weights):
    """The product of the weights times the first variable, one unit after the other."""
    b = Builder(d)
    u = b.input()
    for w in weights[:-1]:
        u = b.relu(w * u)
    return b.build([weights[-1] * u])


HUGE = fmpq(10) ** 200
FAINT = [(1e-200, 1e-200, 1e300, 1e100), (fmpq(10) ** 300, fmpq(1, 10**324)), (HUGE, HUGE, 1 / HUGE**2)]


@pytest.mark.parametrize("weights", FAINT, ids=["values", "weights", "weights beyond"])
@pytest.mark.parametrize("d", [1, 2])
def test_what_float64_loses_below_its_range_is_in_the_bound(d, weights):
    """x times 1 or 10^-24 where float64 finds 0: the certificate for f = 0 was 1e-290, "tight"."""
    net, f = scaled(d, *weights), Target("0*x" if d == 1 else "0*x+0*y", domain=[(0, 1)] * d)
    [value] = evaluate_exact(net, [fmpq(1) if d == 1 else (fmpq(1),) * 2])
    found = certify(net, f, atol=1e-60, budget=Budget(seconds=3))
    assert value > 0 and (found.upper == np.inf or to_fmpq(found.upper) >= value * (1 - fmpq(1, 2**50)))
    if d == 1:
        assert found.status == "tight" and found.lower >= float(value) * 0.98


def test_methods_in_float64_refuse_weights_that_float64_cannot_hold():
    net = scaled(1, fmpq(10) ** 300, fmpq(1, 10**324))
    with pytest.raises(UnsupportedError, match="below 2\\^-900"):
        certify(net, Target("0*x"), method="pieces")
    with pytest.raises(UnsupportedError, match="below 2\\^-900"):
        certify(net, Target("0*x"), method="boxes")


@pytest.mark.parametrize("exponent", [330, 400, 600])
def test_squares_behind_faint_weights_are_bounded_in_balls(exponent):
    """10^-k (10^(k/2) (10^(k/2) x^2)): the factor is no float; balls must decide."""
    b = Builder(1)
    x = b.input()
    half = fmpq(10) ** (exponent // 2)
    u = b.relu(half * b.relu(half * b.relu(square_form(b, x, 9))))
    net = b.build([u / half**2])
    bound = SquareBound(net, Target("0*x")).bound(0.5, 1.0)
    [value] = evaluate_exact(net, [fmpq(1)])
    assert to_fmpq(bound) >= value > fmpq(9, 10)
