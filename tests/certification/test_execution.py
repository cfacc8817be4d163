"""Does the certificate of an executed network cover what onnxruntime, and any other order of summation, returns?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Network, Target, certify
from approx.certification import execution as execution_module
from approx.certification.executed import execute
from approx.certification.execution import FORMATS, Execution, execution_slack
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Builder, dense_block, layer
from approx.networks.samples import random_network
from approx.numbers import to_fmpq, working_precision

KINDS = ["float32", "float64"]


def perceptron(rng: np.random.Generator, sizes: tuple[int, ...], scale: float = 1.4) -> Network:
    layers = []
    for k, units in enumerate(sizes[1:]):
        matrix = rng.normal(size=(units, sizes[k])) * scale / np.sqrt(sizes[k])
        name = ["relu", "abs", "relu"][k % 3] if k < len(sizes) - 2 else "identity"
        layers.append(layer(name, rng.normal(size=units), [dense_block(k, matrix)]))
    return Network(sizes[0], layers)


def run_onnx(network: Network, path: Path, kind: str, points: np.ndarray) -> np.ndarray:
    """What onnxruntime returns for the exported file, (n, outputs)."""
    runtime = pytest.importorskip("onnxruntime")
    network.to_onnx(path, dtype=kind)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": points.astype(kind)})[0].astype(np.float64).reshape(len(points), -1)


def errors(network: Network, points: np.ndarray, computed: np.ndarray) -> list[fmpq]:
    exact = evaluate_exact(network, points.tolist())
    rows = [[v] if network.outputs == 1 else v for v in exact]
    pairs = [zip(row, ys.tolist(), strict=True) for row, ys in zip(rows, computed, strict=True)]
    return [max(abs(v - to_fmpq(y)) for v, y in each) for each in pairs]


def point_slack(network: Network, kind: str, points: np.ndarray) -> list[fmpq]:
    return [to_fmpq(float(v)) for v in Execution(network, kind).slack(points, 0 * points)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(1, 8, 1), (1, 20, 20, 20, 1), (2, 16, 16, 2), (3, 64, 1), (5, 9, 9, 3)])
def test_onnxruntime_stays_within_the_slack(tmp_path: Path, kind: str, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(sum(sizes))
    network = perceptron(rng, sizes)
    points = rng.uniform(-2, 2, size=(150, sizes[0])).astype(kind).astype(np.float64)
    seen = errors(network, points, run_onnx(network, tmp_path / "n.onnx", kind, points))
    assert all(error <= slack for error, slack in zip(seen, point_slack(network, kind, points), strict=True))
    bound, _ = execution_slack(Execution(network, kind), np.full(sizes[0], -2.0), np.full(sizes[0], 2.0), 0.0)
    assert max(seen) <= to_fmpq(bound)
    # Sharp up to the pessimism of "any order": at most the number of roundings in a row times what is seen.
    assert max(seen) > 0 and to_fmpq(bound) < 4 * sum(sizes) * max(seen)


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_summation_stays_within_the_slack(kind: str) -> None:
    rng = np.random.default_rng(3)
    for seed in range(6):
        network = random_network(rng, 2, activations=("relu", "abs"), rationals=seed % 2 == 0, exponents=4.0)
        points = rng.uniform(-1, 1, size=(10, 2)).astype(kind).astype(np.float64)
        slack = point_slack(network, kind, points)
        for x, limit, exact in zip(points, slack, evaluate_exact(network, points.tolist()), strict=True):
            for _ in range(3):
                computed = execute(network, x.tolist(), FORMATS[kind], rng)
                assert abs(to_fmpq(computed) - exact) <= limit


def test_cancelling_weights_and_pooled_weights(tmp_path: Path) -> None:
    # 10^6 (x + 1/3) - 10^6 x: float32 loses six digits, and 1/3 is in no format.
    b = Builder(1)
    x = b.input()
    network = b.build([10**6 * b.relu(x + fmpq(1, 3)) - 10**6 * b.relu(x)])
    points = np.random.default_rng(4).uniform(0, 1, size=(200, 1)).astype(np.float32).astype(np.float64)
    seen = errors(network, points, run_onnx(network, tmp_path / "n.onnx", "float32", points))
    slack = point_slack(network, "float32", points)
    assert all(e <= s for e, s in zip(seen, slack, strict=True))
    assert fmpq(1, 100) < max(seen) <= max(slack) < 20 * max(seen)
    exact = certify(network, "1000000/3+0*x", (0, 1))
    found = certify(network, "1000000/3+0*x", (0, 1), semantics="float32")
    assert exact.upper < 1e-6 and to_fmpq(found.upper) >= max(seen) and found.status == "budget"


def test_underflow_and_overflow() -> None:
    def product(first: float, second: float) -> Network:
        hidden = layer("relu", [0.0], [dense_block(0, [[first]])])
        return Network(1, [hidden, layer("identity", [0.0], [dense_block(1, [[second]])])])

    tiny = product(2.0**-130, 2.0**100)
    execution = Execution(tiny, "float32")
    # A flush to zero loses the whole output, 2^-30.
    assert execution.slack(np.array([[1.0]]), np.zeros((1, 1)))[0] >= 2.0**-30
    big = product(2.0**100, 2.0**100)
    found = certify(big, "x", (0, 1), semantics="float32")
    assert found.upper == np.inf and found.slack == np.inf and found.status == "budget"
    assert certify(big, "x", (0, 1), semantics="float64").upper < np.inf
    assert execute(big, [1.0], FORMATS["float32"]) == np.inf
    with pytest.raises(UnsupportedError, match="overflows"):
        certify(Network(1, [layer("identity", [1e300], [])]), "x", (0, 1), semantics="float32")


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_of_execution(tmp_path: Path, kind: str) -> None:
    b = Builder(1)
    x = b.input()
    network = b.build([b.relu(x) * 0.1 + b.relu(x - 0.3) * 0.7 + b.relu(x - 0.7) * 0.9])
    target = Target("x**2", (0, 1))
    exact, found = certify(network, target, rtol=1e-3), certify(network, target, rtol=1e-3, semantics=kind)
    assert found.semantics == kind and found.slack > 0 and found.status == "tight" and kind in found.summary()
    assert found.lower <= exact.upper and found.upper >= exact.lower
    points = np.linspace(0, 1, 4001)[:, None].astype(kind).astype(np.float64)
    y = run_onnx(network, tmp_path / "n.onnx", kind, points)[:, 0]
    assert np.abs(target(points[:, 0]) - y).max() <= found.upper
    with working_precision(100):
        at = [float(c.p) / float(c.q) for c in found.witness]
        there = run_onnx(network, tmp_path / "n.onnx", kind, np.array([at]))[0, 0]
        assert abs(target.ball([arb(found.witness[0])]) - arb(there)) >= arb(found.lower)
    assert found.check() and found.check("full")
    from approx import Certificate

    assert Certificate.from_dict(found.to_dict(), network, target) == found


def test_wrong_certificates_of_execution_are_refuted() -> None:
    b = Builder(1)
    network = b.build([b.relu(b.input()) * 0.7])
    found = certify(network, Target("x/2", (0, 1)), semantics="float32")
    assert found.check("full")
    assert not replace(found, slack=found.slack / 1e6, upper=found.upper - 0.999 * found.slack).check()
    assert not replace(found, upper=found.upper * 0.9, lower=0.0).check("full")
    assert not replace(found, lower=found.upper * 0.9999999).check()
    assert not replace(found, semantics="float16").check()


@pytest.mark.parametrize("fault", ["gamma", "weights"])
def test_a_slack_that_forgets_something_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    rng = np.random.default_rng(5)
    network = perceptron(rng, (2, 12, 12, 1))
    points = rng.uniform(-1, 1, size=(100, 2)).astype(np.float32).astype(np.float64)
    seen = errors(network, points, run_onnx(network, tmp_path / "n.onnx", "float32", points))
    correct = execution_module.Execution._layer

    def faulty(self: Execution, k: int) -> object:
        right = correct(self, k)
        blocks = [(s, size, 0 * wrong) for s, size, wrong in right.blocks] if fault == "weights" else right.blocks
        gamma = 0 * right.gamma if fault == "gamma" else right.gamma / (1e3 if fault == "weights" else 1)
        return replace(right, gamma=gamma, blocks=blocks, bias_error=0 * right.bias_error)

    monkeypatch.setattr(execution_module.Execution, "_layer", faulty)
    wrong = point_slack(network, "float32", points)
    assert sum(e > s for e, s in zip(seen, wrong, strict=True)) > 0


def test_the_slack_is_small_where_float64_hardly_rounds() -> None:
    # Sawtooth of 12 levels: powers of two, so each level adds one rounding of a sum.
    layers = [layer("relu", [0.0, -0.5], [dense_block(0, [[1.0], [1.0]])])]
    layers += [layer("relu", [0.0, -0.5], [dense_block(k, [[2.0, -4.0], [2.0, -4.0]])]) for k in range(1, 12)]
    saw = Network(1, [*layers, layer("identity", [0.0], [dense_block(12, [[2.0, -4.0]])])])
    bound, boxes = execution_slack(Execution(saw, "float64"), np.zeros(1), np.ones(1), 0.0)
    # The largest slope is 2^12; a bound by absolute weights alone would grow like 6^12.
    assert bound < 2.0**-53 * 64 * 2**12 and boxes < 20_000


def test_relative_error_of_an_execution() -> None:
    b = Builder(1)
    network = b.build([b.relu(b.input()) * 1.1 + 1])
    exact = certify(network, Target("1+x", (0, 1)), norm="rel")
    found = certify(network, Target("1+x", (0, 1)), norm="rel", semantics="float32")
    assert exact.upper < found.upper <= exact.upper + found.slack * 1.0001 and 0 < found.slack < 1e-6
    assert found.check("full") and found.norm == "rel"


def test_a_file_that_torch_wrote(tmp_path: Path) -> None:
    # A third party's float32 MLP: its own file, run by onnxruntime, stays within the slack of the imported network.
    torch, runtime = pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    import warnings

    import approx

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 24), torch.nn.ReLU(), torch.nn.Linear(24, 24), torch.nn.ReLU(), torch.nn.Linear(24, 1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 2),), str(tmp_path / "t.onnx"), dynamo=False,
                          input_names=["input"], dynamic_axes={"input": {0: "n"}})  # fmt: skip
    network = approx.from_onnx(tmp_path / "t.onnx")
    points = np.random.default_rng(0).uniform(-1, 1, size=(200, 2)).astype(np.float32)
    session = runtime.InferenceSession(str(tmp_path / "t.onnx"), providers=["CPUExecutionProvider"])
    computed = session.run(None, {"input": points})[0].astype(np.float64)
    exact_points = points.astype(np.float64)
    seen = errors(network, exact_points, computed)
    assert all(e <= s for e, s in zip(seen, point_slack(network, "float32", exact_points), strict=True))
    target = Target("x*y", domain=[(-1, 1)] * 2)
    found = certify(network, target, rtol=0.05, semantics="float32")
    assert found.status == "tight" and np.abs(target(exact_points) - computed[:, 0]).max() <= found.upper


def test_what_is_not_admitted() -> None:
    b = Builder(1)
    with pytest.raises(UnsupportedError, match="tanh"):
        certify(b.build([b.unit(b.input(), "tanh")]), "x", semantics="float32")
    b = Builder(1)
    with pytest.raises(InputError, match="semantics"):
        certify(b.build([b.relu(b.input())]), "x", semantics="bfloat16")
