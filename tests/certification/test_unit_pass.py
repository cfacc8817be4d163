"""Units followed in flat arrays: numpy and machine code give the same bits, and their bounds hold against rationals."""

from dataclasses import replace

import numpy as np
import pytest
from flint import fmpq

import approx.certification.machine_code as machine_code
from approx import Budget, Target, certify
from approx.certification.adjoint import forward_adjoint
from approx.certification.arithmetic import DoubleDouble, Float64
from approx.certification.forward import forward
from approx.certification.pieces import Program, decompose, node_blocks
from approx.certification.unit_plan import grains
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, dense_block, layer
from approx.numbers import to_fmpq
from constructions.relu.square import square


@pytest.fixture(params=["numpy", "machine code"])
def engine(request, monkeypatch):
    use(request.param, monkeypatch)
    return request.param


def use(name, monkeypatch):
    if name == "numpy":
        monkeypatch.setattr(machine_code.State, "find", None)
        monkeypatch.setattr(machine_code.State, "unavailable", "switched off")
    else:
        pytest.importorskip("numba")
        from approx.certification.machine_code import compiled

        monkeypatch.setattr(machine_code.State, "find", compiled)
        monkeypatch.setattr(machine_code.State, "unavailable", "")


def narrow(seed, activation="relu", scale=1.0, pool=False):
    """A random network with skips, three hidden layers of 2 to 6 units, weights of very different sizes."""
    rng = np.random.default_rng(seed)
    widths = [1, *rng.integers(2, 7, 3).tolist()]

    def weights(rows, columns):
        w = rng.normal(size=(rows, columns)) * 2.0 ** rng.integers(-6, 7, (rows, columns))
        w[rng.random(w.shape) < 0.3] = 2.0 ** rng.integers(-3, 4)
        w[rng.random(w.shape) < 0.2] = 0.0
        return scale * w

    layers = []
    for k, n in enumerate(widths[1:]):
        blocks = [dense_block(s, weights(n, widths[s])) for s in range(max(0, k - 1), k + 1)]
        kind = activation if k != 1 else "identity" if seed % 3 == 0 else activation
        layers.append(layer(kind, rng.normal(size=n) * rng.integers(0, 2, n), blocks))
    last = layer("identity", [rng.normal()], [dense_block(s, weights(1, widths[s])) for s in range(4)])
    net = Network(1, [*layers, last])
    return thirds(seed) if pool else net


def thirds(seed):
    """Weights that float64 does not hold."""
    rng = np.random.default_rng(seed)
    b = Builder(1)
    units = [b.relu(fmpq(int(p), 3) * b.input() - fmpq(int(q), 7)) for p, q in rng.integers(-9, 10, (4, 2))]
    more = [
        b.relu(sum(fmpq(int(w), 9) * u for w, u in zip(rng.integers(-9, 10, 4), units, strict=True))) for _ in range(3)
    ]
    return b.build([sum(fmpq(1, 2 + k) * u for k, u in enumerate(more)) - units[0] / 3])


def long_rows(seed, activation="relu"):
    """A dense network whose layers are multiplied as matrices, with a skip of what bends first."""
    rng = np.random.default_rng(seed)
    first = layer(activation, rng.normal(size=32), [dense_block(0, rng.normal(size=(32, 1)))])
    second = layer(activation, rng.normal(size=32), [dense_block(1, rng.normal(size=(32, 32)))])
    third = layer(activation, rng.normal(size=9), [dense_block(s, rng.normal(size=(9, 32))) for s in (1, 2)])
    net = Network(1, [first, second, third, layer("identity", [1.0], [dense_block(3, rng.normal(size=(1, 9)))])])
    assert Program(net).dense[1:3] == [True, True]
    return net


CASES = {
    "long rows": (long_rows, 1),
    "long rows, absolute values": (long_rows, 2, "abs"),
    **{f"narrow {seed}": (narrow, seed) for seed in range(6)},
    "absolute values": (narrow, 7, "abs"),
    "thirds": (narrow, 8, "relu", 1.0, True),
    "sawtooth": (square, 9),
    "overflow": (narrow, 10, "relu", 2.0**300),
    "underflow": (narrow, 11, "relu", 2.0**-300),
}


def both(net, arithmetic, monkeypatch):
    """All that is computed, by numpy and by machine code."""
    results = []
    for name in ("numpy", "machine code"):
        use(name, monkeypatch)
        program = Program(net)
        ends = np.array([-1.0, 0.3, 1.0])
        points = (ends,) if arithmetic is Float64 else (ends, np.zeros(3))
        blocks = list(node_blocks(program, points, arithmetic, 40))
        found = [*blocks]
        for b in blocks:
            value, error = forward(program, b, True, arithmetic)
            found += [value, (error,)]
            cut = np.linspace(0.2, 0.8, len(b[0]) - 1)
            inner = b[0][:-1] * (1 - cut) + b[0][1:] * cut
            halves = tuple(np.concatenate([c[:-1], m]) for c, m in zip(b, (inner, 0 * inner), strict=False))
            value, error = forward(program, halves, False, arithmetic)
            found += [value, (error,)]
            value, error = forward_adjoint(program, b, True, arithmetic)
            found += [value, (error,)]
        results.append(found)
        assert (machine_code.State.find is None) == (name == "numpy")  # it was not given up on the way
    return results


@pytest.mark.parametrize("arithmetic", [Float64, DoubleDouble])
@pytest.mark.parametrize("case", CASES)
def test_machine_code_gives_the_bits_of_numpy(case, arithmetic, monkeypatch):
    make, *arguments = CASES[case]
    first, second = both(make(*arguments), arithmetic, monkeypatch)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert all(np.array_equal(p, q, equal_nan=True) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("arithmetic", [Float64, DoubleDouble])
@pytest.mark.parametrize("case", [c for c in CASES if c not in ("overflow", "underflow")])
def test_bounds_hold_against_rationals(case, arithmetic, engine):
    make, *arguments = CASES[case]
    assert violations(make(*arguments), arithmetic) == 0


def violations(net, arithmetic, program=None, x=None):
    """How often the exact network leaves its chord by more than E, at the nodes, near them and between."""
    program = program or Program(net)
    if x is None:
        x = decompose(net, -1.0, 1.0)[:30]
        x = x + np.where(np.arange(len(x)) % 2, 2.0**-40, 0.0)  # so that kinks lie beside the nodes
    points = (x,) if arithmetic is Float64 else (x, np.zeros_like(x))
    value, error = forward(program, points, True, arithmetic)
    total = [sum(to_fmpq(float(c[i])) for c in value) for i in range(len(x))]
    count = 0
    for i in range(len(x) - 1):
        a, b = to_fmpq(float(x[i])), to_fmpq(float(x[i + 1]))
        for t in (fmpq(0), fmpq(1, 2**30), fmpq(1, 3), fmpq(1)):
            [exact] = evaluate_exact(net, [a + (b - a) * t])
            count += abs(exact - (total[i] * (1 - t) + total[i + 1] * t)) > to_fmpq(float(error[i]))
    return count


def test_planted_fault_sums_taken_as_exact_are_caught(engine):
    """Weights of many bits on a dyadic grid: a plan that takes them for integers claims that nothing rounds."""
    net, x = narrow(3), np.arange(-32, 33) / 32
    wrong = Program(net)
    wrong.plan.sums = replace(
        wrong.plan.sums, grain=np.zeros_like(wrong.plan.sums.grain), bias_grain=np.zeros(11, np.int64)
    )
    assert violations(net, Float64, x=x) == 0 < violations(net, Float64, wrong, x)


def test_planted_fault_forgotten_tails_are_caught(engine):
    """Thirds without what float64 rounds off of them."""
    net = thirds(8)
    wrong = Program(net)
    wrong.plan.sums = replace(wrong.plan.sums, lo=np.zeros_like(wrong.plan.sums.lo))
    assert violations(net, DoubleDouble) == 0 < violations(net, DoubleDouble, wrong)


def test_overflow_and_nan_fail_closed(engine):
    net = narrow(10, "relu", 2.0**300)
    x = np.linspace(-1.0, 1.0, 9)
    for arithmetic in (Float64, DoubleDouble):
        points = (x,) if arithmetic is Float64 else (x, 0 * x)
        value, error = forward(Program(net), points, True, arithmetic)
        assert (
            np.isinf(error[~(np.isfinite(value[0][1:]) & np.isfinite(value[0][:-1]))]).all() and np.isinf(error).any()
        )


@pytest.mark.parametrize("text", ["x**2", "exp(x)/3"])
def test_certificates_do_not_depend_on_the_engine(text, monkeypatch):
    made = []
    for name in ("numpy", "machine code"):
        use(name, monkeypatch)
        net = square(9)
        made.append(certify(net, Target(text), method="pieces", rtol=1e-9, budget=Budget(regions=20_000)))
    first, second = made
    for name in ("lower", "upper", "witness", "method", "status"):
        assert getattr(first, name) == getattr(second, name)
    assert {**first.work, "seconds": 0} == {**second.work, "seconds": 0}


def test_machine_code_is_loaded_only_for_work_that_pays(monkeypatch):
    loaded = []
    monkeypatch.setattr(machine_code.State, "find", None)
    monkeypatch.setattr(machine_code.State, "unavailable", "")
    monkeypatch.setattr(machine_code.State, "numpy_work", 0.0)
    monkeypatch.setattr(machine_code, "load", lambda: loaded.append(True))
    assert machine_code.machine_code("follow", Float64, machine_code.LOADING_WORTH / 4) is None and not loaded
    assert machine_code.machine_code("follow", Float64, machine_code.LOADING_WORTH) is None and loaded


def test_a_numba_that_does_not_work_leaves_numpy(monkeypatch):
    def broken(verb, arithmetic):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(machine_code.State, "find", broken)
    monkeypatch.setattr(machine_code.State, "unavailable", "")
    assert violations(narrow(1), Float64) == 0
    assert "no such instruction" in machine_code.State.unavailable and machine_code.State.find is None


def test_grains_are_the_exponents_of_the_last_bits():
    values = np.array([1.0, 0.75, -6.0, 1 / 3, 2.0**-1074, 0.0, 2.0**1000])
    for value, grain in zip(values.tolist(), grains(values).tolist(), strict=True):
        scaled = to_fmpq(value) / fmpq(2) ** grain if value else fmpq(0)
        assert value == 0 or (scaled.q == 1 and int(scaled.p) % 2 == 1)
    assert grains(np.array([0.0]))[0] >= 1000  # a multiple of everything


def test_rows_of_live_units_never_overlap():
    b = Builder(1)
    x = b.input()
    chain = [b.relu(x)]
    for k in range(12):
        chain.append(b.relu(chain[-1] - chain[max(0, k - 3)] / (k + 2)))
    net = b.build([sum(chain[::3]) + x])
    program = Program(net)
    plan = program.plan
    assert plan.slots < 1 + sum(l.units for l in net.layers)
    for k in plan.followed:
        live = [s for s in range(k) if s == 0 or program.last_use[s] >= k]
        rows = [plan.rows(s) for s in (*live, k)]
        taken = [r for s in rows for r in range(s.start, s.stop)]
        assert len(taken) == len(set(taken))


def test_a_wide_sum_keeps_exactness_through_the_output():
    """A sawtooth square read by one output of many terms: nothing rounds, E is the final 2^-1000 alone."""
    net = square(14)
    program = Program(net)
    x = decompose(net, 0.0, 1.0)[:200]
    assert forward(program, (x,), True, Float64)[1].max() <= 2.0**-999
