"""Does an exported ONNX file compute the network, and does the parity report tell when it does not?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import fmpq

from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate, evaluate_exact
from approx.evaluation.slack import running_bound
from approx.interchange import from_onnx, onnx_write, to_onnx
from approx.networks import Builder, Network, Values, layer
from approx.networks.samples import random_network

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def tent() -> Network:
    b = Builder(1)
    return b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)])


@pytest.mark.parametrize("seed", range(20))
def test_onnxruntime_agrees_and_the_file_reads_back_exactly(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(
        rng,
        inputs=int(rng.integers(1, 4)),
        outputs=int(rng.integers(1, 3)),
        hidden_layers=int(rng.integers(0, 6)),
        width=int(rng.integers(1, 12)),
        activations=("relu", "abs", "identity") if seed % 2 else ("relu",),
    )
    report = to_onnx(network, tmp_path / "n.onnx")
    assert report.agrees and report.inexact_weights == 0 and report.runtime.startswith("onnxruntime")
    points = rng.normal(size=(40, network.inputs))
    session = onnxruntime.InferenceSession(str(tmp_path / "n.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": points})[0].reshape(40, -1)
    own = np.asarray(evaluate(network, points)).reshape(40, -1)
    assert (np.abs(found - own) <= 2 * running_bound(network, points, 0.0, any_order=True)).all()
    again = from_onnx(tmp_path / "n.onnx")
    assert evaluate_exact(again, points[:5].tolist()) == evaluate_exact(network, points[:5].tolist())


def test_a_sparse_network_reads_back_as_the_same_graph(tmp_path: Path) -> None:
    to_onnx(tent() @ tent(), tmp_path / "n.onnx")
    assert from_onnx(tmp_path / "n.onnx") == tent() @ tent()


def test_float32_counts_what_it_rounded(tmp_path: Path) -> None:
    b = Builder(1)
    network = b.build([0.1 * b.relu(b.input() - 0.5) + fmpq(1, 3) * b.relu(b.input()) + 2])
    report = to_onnx(network, tmp_path / "n.onnx", dtype="float32")
    assert report.agrees and report.inexact_weights == 2 and 0 < report.difference < 1e-6
    assert "2 of 6 weights rounded" in str(report) and "observed" in str(report)
    # The function of the file is a network too: its distance to the original is exactly the weights' rounding.
    there = from_onnx(tmp_path / "n.onnx")
    gap = evaluate_exact(there, [1])[0] - evaluate_exact(network, [1])[0]
    assert gap == fmpq(*np.float32(0.1).as_integer_ratio()) / 2 - fmpq(*(0.1).as_integer_ratio()) / 2 + (
        fmpq(*np.float32(1 / 3).as_integer_ratio()) - fmpq(1, 3)
    )


def test_pooled_weights_are_reported_as_rounded(tmp_path: Path) -> None:
    b = Builder(1)
    assert to_onnx(b.build([b.input() * fmpq(1, 3)]), tmp_path / "n.onnx").inexact_weights == 1


@pytest.mark.parametrize("name", ["sin", "tanh", "sigmoid", "exp2", "floor", "arcsin", "exp", "softplus", "arctan"])
def test_other_activations(tmp_path: Path, name: str) -> None:
    b = Builder(2)
    hidden = [b.unit(b.input(0) * 0.25 - b.input(1) * 0.5, name), b.unit(b.input(1) * 0.75, name)]
    network = b.build([hidden[0] - 3 * hidden[1]])
    report = to_onnx(network, tmp_path / "n.onnx")
    assert report.agrees and report.difference < 1e-14
    assert from_onnx(tmp_path / "n.onnx").activations == network.activations


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["relu2", "relu3"])
def test_rectified_powers_are_products_and_read_back_as_units(tmp_path: Path, name: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    network = random_network(rng, inputs=2, hidden_layers=2, width=5, activations=(name,), skips=0)
    network = Network(2, [replace(part, bias=Values(part.bias.floats.astype(dtype).astype(float)), blocks=tuple(
        replace(b, values=Values(b.values.floats.astype(dtype).astype(float))) for b in part.blocks
    )) for part in network.layers])  # fmt: skip
    report = to_onnx(network, tmp_path / "n.onnx", dtype=dtype)
    assert report.agrees and report.runtime.startswith("onnxruntime") and "agrees up to rounding" in str(report)
    assert {n.op_type for n in onnx.load(tmp_path / "n.onnx").graph.node} == {"Gemm", "Relu", "Mul"}
    again = from_onnx(tmp_path / "n.onnx")
    points = rng.normal(size=(5, 2)).tolist()
    assert name in again.activations <= {"identity", name, "relu", "relu2"}
    assert evaluate_exact(again, points) == evaluate_exact(network, points)
    # Units that nothing reads are left out.
    assert again.size.units <= network.size.units and again.size.weights <= network.size.weights


def test_a_network_of_cubes_reads_back_as_the_same_graph(tmp_path: Path) -> None:
    b = Builder(2)
    inner = [b.unit(b.input(0) - 0.25, "relu3"), b.unit(b.input(1) + b.input(0), "relu3")]
    network = b.build([b.unit(inner[0] - 2 * inner[1] + 1, "relu3") - 3])
    assert to_onnx(network, tmp_path / "n.onnx").agrees
    assert from_onnx(tmp_path / "n.onnx") == network


def test_products_of_other_things_are_refused(tmp_path: Path) -> None:
    # Planted fault: the square of the sums instead of the units.
    b = Builder(1)
    to_onnx(b.build([b.unit(b.input() - 0.25, "relu2")]), tmp_path / "n.onnx")
    model = onnx.load(tmp_path / "n.onnx")
    product = next(n for n in model.graph.node if n.op_type == "Mul")
    product.input[0] = next(n for n in model.graph.node if n.op_type == "Relu").input[0]
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(UnsupportedError, match="product"):
        from_onnx(tmp_path / "bad.onnx")


def test_gelu_in_float32(tmp_path: Path) -> None:
    # onnxruntime has no float64 Gelu, and the reference evaluator computes it to 1e-8 only, which the report says.
    b = Builder(1)
    network = b.build([b.unit(b.input() * 2 - 0.5, "gelu")])
    report = to_onnx(network, tmp_path / "n.onnx", dtype="float32")
    assert report.difference < 1e-6 and from_onnx(tmp_path / "n.onnx") == network


def test_a_file_that_computes_something_else_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Planted fault: the writer loses the bias of one unit.
    correct = onnx_write._add_layer

    def faulty(onnx: Any, network: Network, k: int, part: Any, *rest: Any) -> None:
        bias = part.bias.floats.copy()
        bias[-1] = 0.0
        correct(onnx, network, k, layer(part.activation, bias, part.blocks), *rest)

    monkeypatch.setattr(onnx_write, "_add_layer", faulty)
    report = to_onnx(tent(), tmp_path / "n.onnx")
    assert not report.agrees and report.difference > 0.1 and "DOES NOT AGREE" in str(report)


def test_constant_networks_and_dead_ends(tmp_path: Path) -> None:
    constant = Network(2, [layer("relu", [1.0, -1.0], []), layer("identity", [0.5], [])])
    report = to_onnx(constant, tmp_path / "n.onnx")
    assert report.agrees and report.difference == 0.0
    assert from_onnx(tmp_path / "n.onnx")([[1.0, 2.0]]).tolist() == [0.5]


def test_refusals_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="dtype"):
        to_onnx(tent(), tmp_path / "n.onnx", dtype="float16")
    big = Network(1, [layer("identity", [1e300], [])])
    with pytest.raises(UnsupportedError, match="overflows"):
        to_onnx(big, tmp_path / "n.onnx", dtype="float32")
    monkeypatch.setattr(onnx_write, "MAX_BYTES", 10)
    with pytest.raises(UnsupportedError, match="dense"):
        to_onnx(tent(), tmp_path / "n.onnx")
    monkeypatch.undo()
    with pytest.raises(OSError):
        to_onnx(tent(), tmp_path / "missing" / "n.onnx")
    assert list(tmp_path.iterdir()) == []
