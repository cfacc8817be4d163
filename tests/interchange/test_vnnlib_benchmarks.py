"""Are the answers of generated benchmarks true, and do the files say exactly what was proved?"""

from __future__ import annotations

import csv
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from flint import fmpq

from approx import Network
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.interchange import from_onnx
from approx.interchange.vnnlib_benchmarks import BenchmarkCase, query, write_benchmark
from approx.networks import Builder, dense_block, layer


def tooth() -> Network:
    """Two teeth of height 1 on [0, 1]: maximum 1 at 1/4 and 3/4, minimum 0."""
    b = Builder(1)
    first = 2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)
    return b.build([2 * b.relu(first) - 4 * b.relu(first - 0.5)])


def perceptron() -> Network:
    rng = np.random.default_rng(2)
    hidden = layer("relu", rng.normal(size=6), [dense_block(0, rng.normal(size=(6, 2)))])
    return Network(2, [hidden, layer("identity", [0.1], [dense_block(1, rng.normal(size=(1, 6)))])])


@pytest.fixture
def cases() -> list[BenchmarkCase]:
    return [BenchmarkCase("tooth", tooth(), (0, 1)), BenchmarkCase("mlp-2", perceptron(), [(-1, 1), (-0.1, 0.3)])]


def rational(text: str) -> fmpq:
    exact = Fraction(text)
    return fmpq(exact.numerator, exact.denominator)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_answer_is_true_for_the_file(tmp_path: Path, cases: list[BenchmarkCase], dtype: str) -> None:
    instances = write_benchmark(tmp_path, cases, margins=(0.1, 1e-4), dtype=dtype)
    assert len(instances) == 16 and {i.answer for i in instances} == {"sat", "unsat"}
    rng = np.random.default_rng(0)
    for each in instances:
        network, text = from_onnx(tmp_path / each.onnx), (tmp_path / each.vnnlib).read_text()
        box = [tuple(map(rational, pair)) for pair in re.findall(r">= X_\d+ (\S+?)\)\)\n\(assert \(<= X_\d+ (\S+?)\)", text)]
        [(relation, number)] = re.findall(r"\((>=|<=) Y_0 (\S+?)\)", text)
        threshold, sign = rational(number), 1 if relation == ">=" else -1
        assert threshold == fmpq(*each.threshold.as_integer_ratio()) and len(box) == network.inputs
        if each.witness is not None:
            assert all(a <= x <= b for x, (a, b) in zip(each.witness, box, strict=True))
            assert sign * evaluate_exact(network, [each.witness])[0] >= sign * threshold
        else:
            sides = np.array([[float(a.p) / float(a.q), float(b.p) / float(b.q)] for a, b in box])
            points = rng.uniform(sides[:, 0], sides[:, 1], size=(500, len(box)))
            assert (sign * network(points) < sign * each.threshold).all()
        if "tooth" in each.onnx:  # the exact range is known
            largest = fmpq(1) if sign > 0 else fmpq(0)
            assert (sign * threshold > largest) == (each.answer == "unsat")


def test_answers_for_the_executed_file(tmp_path: Path, cases: list[BenchmarkCase]) -> None:
    runtime = pytest.importorskip("onnxruntime")
    instances = write_benchmark(tmp_path, cases, margins=(0.1, 1e-9))
    assert {i.executed for i in instances} == {"sat", "unsat", "unknown"}
    assert all(i.executed in (i.answer, "unknown") for i in instances)
    for each in instances:
        session = runtime.InferenceSession(str(tmp_path / each.onnx), providers=["CPUExecutionProvider"])
        if each.executed == "sat":
            x = np.array([[float(c.p) / float(c.q) for c in each.witness]], dtype=np.float32)
        else:
            inputs = session.get_inputs()[0].shape[1]
            x = np.random.default_rng(1).uniform([-1, -0.1][:inputs], 0.3, (400, inputs)).astype(np.float32)
            x = np.abs(x) if "tooth" in each.onnx else x
        y = session.run(None, {"x": x})[0][:, 0].astype(float)
        reached = y >= each.threshold if each.kind == "max" else y <= each.threshold
        if each.executed != "unknown":
            assert reached.all() if each.executed == "sat" else not reached.any()


def test_the_tables(tmp_path: Path, cases: list[BenchmarkCase]) -> None:
    instances = write_benchmark(tmp_path, cases, margins=(0.01,), timeout=60)
    with (tmp_path / "instances.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [[i.onnx, i.vnnlib, "60"] for i in instances]
    assert all((tmp_path / name).is_file() for row in rows for name in row[:2])
    with (tmp_path / "answers.csv").open() as file:
        answers = list(csv.DictReader(file))
    assert [a["answer"] for a in answers] == [i.answer for i in instances]
    for row, each in zip(answers, instances, strict=True):
        assert rational(row["threshold"]) == fmpq(*each.threshold.as_integer_ratio())
        assert [rational(t) for t in row["witness"].split()] == list(each.witness or ())


@pytest.mark.parametrize("kind", ["max", "min"])
def test_version_2_is_read_by_the_vnnlib_package(kind: str) -> None:
    vnnlib = pytest.importorskip("vnnlib")
    from vnnlib import compat

    box, threshold = [(-0.5, float(np.float32(0.1))), (0.0, 3.0)], float(np.float32(1 / 3))
    parsed = vnnlib.parse_query_string(query(box, kind, threshold, "float32", "2.0"))
    [case] = compat.transform(parsed)
    np.testing.assert_array_equal(np.array(case.input_box, dtype=float).reshape(2, 2), np.array(box))
    [polytope] = case.output_constraints
    sign = -1.0 if kind == "max" else 1.0  # A y <= b
    assert np.array(polytope.coeff_matrix).tolist() == [[sign]] and list(polytope.rhs) == [sign * threshold]


def test_a_wrong_range_would_be_caught(tmp_path: Path, cases: list[BenchmarkCase], monkeypatch: pytest.MonkeyPatch) -> None:
    # Planted fault: the enclosure of the maximum lies too low, so that "unsat" thresholds are reached.
    from dataclasses import replace

    from approx.interchange import vnnlib_benchmarks

    correct = vnnlib_benchmarks.bound
    monkeypatch.setattr(
        vnnlib_benchmarks, "bound", lambda *a, **k: replace(correct(*a, **k), maximum=(0.4, 0.5), minimum=(0.4, 0.5))
    )
    with pytest.raises(AssertionError):
        test_every_answer_is_true_for_the_file(tmp_path, cases, "float32")


def test_bad_input(tmp_path: Path) -> None:
    case = BenchmarkCase("a", tooth(), (0, 1))
    for change in ({"margins": ()}, {"margins": (-1.0,)}, {"dtype": "float16"}, {"version": "3"}, {"timeout": 0}):
        with pytest.raises(InputError):
            write_benchmark(tmp_path, [case], **change)  # type: ignore[arg-type]
    for cases in ([BenchmarkCase("../a", tooth(), (0, 1))], [case, case], [BenchmarkCase("b", tooth(), [(0, 1)] * 2)]):
        with pytest.raises(InputError):
            write_benchmark(tmp_path, cases)
    b = Builder(1)
    unbounded = BenchmarkCase("c", b.build([b.unit(2 * b.input(), "arcsin")]), (0, 1))
    from approx import Budget

    with pytest.raises(UnsupportedError, match="range"):
        write_benchmark(tmp_path, [unbounded], budget=Budget(regions=50))
