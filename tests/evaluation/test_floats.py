"""Do both float64 backends follow the documented rounding rule, and refuse what they cannot take?"""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate, fused, layered
from approx.networks import Builder, Network, block, dense_block, layer
from approx.networks.samples import random_network

KERNEL_ACTIVATIONS = ("relu", "abs", "identity", "floor")


def by_the_rule(network: Network, point: np.ndarray) -> np.ndarray:
    """The documented rule, one Python float operation at a time."""
    flat = network.flat
    values = [float(v) for v in point]
    functions: dict[str, Any] = {
        "relu": lambda t: t if t != t else max(t, 0.0),
        "abs": abs,
        "identity": lambda t: t,
        "floor": np.floor,
    }
    for i, bias in enumerate(flat.bias):
        total = float(bias)
        for k in range(flat.indptr[i], flat.indptr[i + 1]):
            total = total + float(flat.values[k]) * values[flat.indices[k]]
        values.append(float(functions[flat.names[flat.activation[i]]](total)))
    return np.array(values[len(values) - flat.outputs :])


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    both_nan = np.isnan(a) & np.isnan(b)
    return a.shape == b.shape and bool(((a.view(np.int64) == b.view(np.int64)) | both_nan).all())


def random_case(seed: int) -> tuple[Network, np.random.Generator]:
    rng = np.random.default_rng(seed)
    network = random_network(
        rng,
        inputs=int(rng.integers(1, 4)),
        outputs=int(rng.integers(1, 4)),
        hidden_layers=int(rng.integers(0, 7)),
        width=int(rng.integers(1, 30)),
        activations=KERNEL_ACTIVATIONS,
        exponents=float(rng.choice([0, 0, 3, 40])),
        rationals=bool(rng.random() < 0.2),
    )
    return network, rng


@pytest.mark.parametrize("seed", range(40))
def test_numpy_follows_the_rule_to_the_bit(seed: int) -> None:
    network, rng = random_case(seed)
    points = rng.normal(size=(5, network.inputs))
    expected = np.array([by_the_rule(network, p) for p in points])
    assert same_bits(layered.run_layered(network, points), expected)


def test_fused_and_numpy_give_the_same_bits() -> None:
    pytest.importorskip("numba")
    for seed in range(250):
        network, rng = random_case(seed)
        n = int(rng.choice([0, 1, 2, 3, 63, 64, 65, 200]))
        points = rng.normal(size=(n, network.inputs)) * 2.0 ** rng.uniform(-20, 20)
        if n:
            points[rng.integers(n), 0] = rng.choice([np.nan, np.inf, -0.0, 1e308])
        assert same_bits(fused.run_fused(network, points), layered.run_layered(network, points)), seed


@pytest.mark.parametrize("n", [1, 2, 3, 64, 100])
@pytest.mark.parametrize("backend", ["numpy", "fused"])
def test_order_and_contraction_are_visible(backend: str, n: int) -> None:
    # Sums whose last bits tell bias-last, right-to-left and fused multiply-add apart from the rule.
    if backend == "fused":
        pytest.importorskip("numba")
    e = 2.0**-30
    rows = [[1e16, 1.0, -1e16], [1.0, 1e16, -1e16], [1 + e, 0.0, 0.0], [1e-8, 1.0, 0.0]]
    net = Network(3, [layer("identity", [0.0, 0.0, -1.0, 1e8], [dense_block(0, rows)])])
    points = np.tile([[1.0, 1.0, 1.0]], (n, 1))
    points[:, 0] = [1.0, 1 + e][n % 2]
    got = evaluate(net, points, backend)
    assert same_bits(got, np.array([by_the_rule(net, p) for p in points]))
    assert got[0, 0] == 0.0 or n % 2  # exact value 1: 1e16 + 1 is rounded away first
    if n % 2:
        assert got[0, 2] == 2 * e  # a fused multiply-add would keep 2^-60 more


def tent() -> Network:
    b = Builder(1)
    return b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)])


def test_shapes_of_one_input() -> None:
    net = tent()
    assert net(0.25) == 0.5 and np.ndim(net(0.25)) == 0
    assert net([0.25, 0.75]).tolist() == [0.5, 0.5]
    assert net(np.array([[0.25], [0.75]])).shape == (2,)
    assert net([]).shape == (0,) and net(np.zeros((0, 1))).shape == (0,)
    assert net(np.array([0, 1], dtype=np.int8)).tolist() == [0.0, 0.0]
    assert np.isnan(net(np.nan)) and np.isnan(net([0.0, np.nan])[1])


def test_shapes_of_several_inputs_and_outputs() -> None:
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    net = b.build([b.relu(x - y), x + y, b.relu(y)])
    assert net([[1.0, 2.0], [2.0, 1.0]]).tolist() == [[0.0, 3.0, 2.0], [1.0, 3.0, 1.0]]
    assert net(np.zeros((0, 2))).shape == (0, 3) and net([]).shape == (0, 3)
    one = b.build([x + y])
    assert one([[1.0, 2.0]]).tolist() == [3.0]


@pytest.mark.parametrize(
    "x", [[[1.0, 2.0]], [[[1.0]]], "0.5", ["0.5"], [1j], None, [None], [[1.0], [1.0, 2.0]], {"x": 1}]
)
def test_unusable_points_are_refused_in_one_line(x: object) -> None:
    with pytest.raises(InputError, match="x: got") as caught:
        evaluate(tent(), x)
    assert "\n" not in str(caught.value)


def test_a_point_of_the_wrong_dimension_is_refused() -> None:
    net = Builder(2)
    net2 = net.build([net.input(0)])
    for x in (0.5, [1.0, 2.0], [[1.0, 2.0, 3.0]]):
        with pytest.raises(InputError, match=r"\(n, 2\)"):
            net2(x)


def test_unknown_backend_and_unsupported_activation() -> None:
    with pytest.raises(InputError, match="backend"):
        evaluate(tent(), 0.5, backend="gpu")
    b = Builder(1)
    wave = b.build([b.unit(b.input(), "sin")])
    assert wave(0.5) == np.sin(0.5)
    with pytest.raises(UnsupportedError, match="sin"):
        evaluate(wave, 0.5, backend="fused")


@pytest.mark.parametrize("name", ["sin", "arcsin", "exp2", "tanh", "sigmoid", "exp", "softplus", "gelu", "arctan"])
def test_other_activations_agree_with_their_formula(name: str) -> None:
    b = Builder(1)
    net = b.build([b.unit(b.input(), name)])
    t = np.linspace(-0.9, 0.9, 7)
    formula: dict[str, Any] = {
        "sin": np.sin,
        "arcsin": np.arcsin,
        "exp2": np.exp2,
        "tanh": np.tanh,
        "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
        "exp": np.exp,
        "softplus": lambda t: np.log1p(np.exp(t)),
        "gelu": lambda t: t * np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in t]),
        "arctan": np.arctan,
    }
    np.testing.assert_allclose(net(t), formula[name](t), rtol=1e-15)


def test_constant_and_dead_units() -> None:
    # A layer without blocks, a unit that nobody reads, an output that reads nothing.
    hidden = layer("relu", [1.0, -1.0], [])
    dead = layer("abs", [3.0], [block(0, [0, 1], [0], [1.0])])
    net = Network(1, [hidden, dead, layer("identity", [0.5, 7.0], [block(1, [0, 2, 2], [0, 1], [2.0, 5.0])])])
    x = np.linspace(-1, 1, 70)
    expected = np.tile([2.5, 7.0], (70, 1))
    assert np.array_equal(evaluate(net, x, "numpy"), expected)
    assert np.array_equal(evaluate(net, x[:1], "numpy"), expected[:1])
    if fused.kernel() is not None:
        assert np.array_equal(evaluate(net, x, "fused"), expected)


def test_importing_the_library_does_not_load_optional_packages() -> None:
    code = "import sys, approx; print([m for m in ('numba', 'onnx', 'torch', 'onnxruntime') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_without_numba_numpy_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    from approx.errors import MissingExtraError

    monkeypatch.setattr(fused._State, "kernel", None)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setitem(sys.modules, "numba.core.errors", None)
    monkeypatch.setattr(fused._State, "unavailable", "")
    monkeypatch.setattr(fused._State, "numpy_work", 10**12)
    assert tent()(np.full(100_000, 0.25)).max() == 0.5
    with pytest.raises(MissingExtraError, match=r"approx\[fast\]"):
        evaluate(tent(), 0.5, backend="fused")


def test_the_kernel_is_loaded_once_the_work_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    loaded = fused.kernel()
    monkeypatch.setattr(fused._State, "kernel", None)
    monkeypatch.setattr(fused._State, "numpy_work", 0)
    assert not fused.worthwhile(tent(), 1000) and fused._State.kernel is None
    monkeypatch.setattr(fused._State, "numpy_work", fused.LOADING_WORTH)
    assert fused.worthwhile(tent(), 1000) and fused._State.kernel is loaded
    assert not fused.worthwhile(tent(), 1)


@pytest.mark.parametrize("n", [1, 2, 70])
@pytest.mark.parametrize("units", [1, 2, 3, 4, 7])
def test_long_rows_are_summed_in_order(units: int, n: int) -> None:
    # Few rows with hundreds of summands beside short ones: numpy must not sum them pairwise.
    rng = np.random.default_rng(units)
    hidden = layer("relu", rng.normal(size=300), [dense_block(0, rng.normal(size=(300, 1)))])
    matrix = rng.normal(size=(units, 300)) * 2.0 ** rng.uniform(-8, 8, size=(units, 300))
    matrix[1:] *= rng.random((units - 1, 300)) < np.linspace(0.9, 0.01, units - 1)[:, None]
    net = Network(1, [hidden, layer("identity", rng.normal(size=units), [dense_block(1, matrix)])])
    points = rng.normal(size=(n, 1))
    expected = np.array([by_the_rule(net, p) for p in points])
    assert same_bits(layered.run_layered(net, points), expected)
    if fused.kernel() is not None:
        assert same_bits(fused.run_fused(net, points), expected)


def test_points_in_any_kind_of_array() -> None:
    net = random_network(np.random.default_rng(2), inputs=2, width=9)
    x = np.random.default_rng(3).normal(size=(150, 2))
    expected = evaluate(net, x, "numpy")
    frozen = x.copy()
    frozen.flags.writeable = False
    wide = np.zeros((300, 4))
    wide[::2, ::2] = x
    for backend in ("numpy", "fused") if fused.kernel() is not None else ("numpy",):
        for points in (frozen, np.asfortranarray(x), wide[::2, ::2], x.tolist(), x.astype(object), x.astype(">f8")):
            assert np.array_equal(evaluate(net, points, backend), expected)
            if isinstance(points, np.ndarray):
                assert np.array_equal(evaluate(net, points[:1], backend), expected[:1])
    assert np.array_equal(frozen, x)


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    from numba import njit, types

    from approx.evaluation import fused_kernel

    def no_cache(*signature: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*signature, **options)

    monkeypatch.setattr(fused_kernel, "njit", no_cache)
    twice = fused_kernel._compiled(lambda t: t + t, types.int64(types.int64))
    assert twice(21) == 42
