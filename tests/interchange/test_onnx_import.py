"""Does an ONNX file become the network that it describes, and does a bad file give one clear line?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import fmpq

from approx.errors import FileFormatError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.interchange import from_onnx
from approx.networks import Network

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
F32, F64 = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE


def model(
    nodes: list[Any], weights: dict[str, Any], inputs: list[Any] | None = None, kind: int = F64, opset: int = 17
) -> Any:
    """A model with input x and output y."""
    dtype = np.float32 if kind == F32 else np.float64
    tensors = []
    for name, value in weights.items():
        array = np.asarray(value)
        array = array.astype(dtype) if array.dtype.kind == "f" else array.astype(np.int64)
        tensors.append(onnx.numpy_helper.from_array(array, name))
    x = onnx.helper.make_tensor_value_info("x", kind, inputs or ["N", 2])
    y = onnx.helper.make_tensor_value_info("y", kind, None)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(*n[:3], **(n[3] if len(n) > 3 else {})) for n in nodes], "g", [x], [y], tensors
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)


def read(tmp_path: Path, proto: Any) -> Network:
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    return from_onnx(tmp_path / "m.onnx")


def agrees(tmp_path: Path, proto: Any, shape: tuple[int, ...] = (2,), kind: int = F64) -> None:
    network = read(tmp_path, proto)
    evaluator = reference.ReferenceEvaluator(proto)
    dtype = np.float32 if kind == F32 else np.float64
    for point in np.random.default_rng(1).normal(size=(20, *shape)).astype(dtype):
        expected = evaluator.run(None, {"x": point[None]})[0].reshape(-1)
        found = np.asarray(network(point.astype(np.float64).reshape(1, -1))).reshape(-1)
        np.testing.assert_allclose(
            found, expected, rtol=1e-5 if kind == F32 else 1e-12, atol=1e-6 if kind == F32 else 1e-13
        )


W, V, C = (
    np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]]),
    np.array([[0.5, 1.5], [-1.0, 2.0], [4.0, 0.0]]),
    np.array([0.5, -1.0, 0.0]),
)
GRAPHS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "gemm": (
        [("Gemm", ["x", "W", "c"], ["a"]), ("Relu", ["a"], ["h"]), ("Gemm", ["h", "V"], ["y"])],
        {"W": W, "V": V, "c": C},
    ),
    "gemm scaled and transposed": (
        [("Gemm", ["x", "V", "c"], ["y"], {"transB": 1, "alpha": 0.5, "beta": -2.0})],
        {"V": V, "c": C},
    ),
    "matmul add": (
        [("MatMul", ["x", "W"], ["a"]), ("Add", ["c", "a"], ["b"]), ("Abs", ["b"], ["y"])],
        {"W": W, "c": C},
    ),
    "affine arithmetic": (
        [
            ("Sub", ["x", "c"], ["a"]),
            ("Mul", ["c", "a"], ["b"]),
            ("Div", ["b", "k"], ["d"]),
            ("Neg", ["d"], ["e"]),
            ("Sum", ["e", "x", "a"], ["y"]),
        ],
        {"c": C[:2], "k": np.array(4.0)},
    ),
    "leaky relu": ([("LeakyRelu", ["x"], ["y"], {"alpha": 0.125})], {}),
    "leaky relu default": ([("LeakyRelu", ["x"], ["y"])], {}),
    "prelu": ([("PRelu", ["x", "s"], ["y"])], {"s": np.array([0.25, -2.0])}),
    "clip": ([("Clip", ["x", "lo", "hi"], ["y"])], {"lo": np.array(-0.5), "hi": np.array(0.25)}),
    "clip above only": ([("Clip", ["x", "", "hi"], ["y"])], {"hi": np.array(0.25)}),
    "max min": (
        [("Max", ["x", "c", "z"], ["a"]), ("Neg", ["x"], ["b"]), ("Min", ["a", "b"], ["y"])],
        {"c": C[:2], "z": np.array([0.1])},
    ),
    "skip by concat": (
        [
            ("Gemm", ["x", "W", "c"], ["a"]),
            ("Relu", ["a"], ["h"]),
            ("Concat", ["h", "x"], ["j"], {"axis": 1}),
            ("MatMul", ["j", "U"], ["y"]),
        ],
        {"W": W, "c": C, "U": np.arange(10.0).reshape(5, 2) - 4},
    ),
    "residual": ([("Relu", ["x"], ["h"]), ("Add", ["h", "x"], ["y"])], {}),
    "slices": (
        [
            ("MatMul", ["x", "W"], ["a"]),
            ("Slice", ["a", "s", "e", "ax"], ["b"]),
            ("Gather", ["a", "i"], ["d"], {"axis": 1}),
            ("Add", ["b", "d"], ["y"]),
        ],
        {"W": W, "s": np.array([1]), "e": np.array([9]), "ax": np.array([1]), "i": np.array([2, 0])},
    ),
    "split": (
        [
            ("MatMul", ["x", "W"], ["a"]),
            ("Split", ["a", "n"], ["p", "q"], {"axis": 1}),
            ("Concat", ["q", "p"], ["y"], {"axis": 1}),
        ],
        {"W": W, "n": np.array([1, 2])},
    ),
    "shapes": (
        [
            ("Unsqueeze", ["x", "one"], ["a"]),
            ("Transpose", ["a"], ["b"], {"perm": [0, 2, 1]}),
            ("Reshape", ["b", "r"], ["c2"]),
            ("Squeeze", ["a", "one"], ["d"]),
            ("Add", ["c2", "d"], ["e"]),
            ("Identity", ["e"], ["f"]),
            ("Flatten", ["f"], ["y"]),
        ],
        {"one": np.array([1]), "r": np.array([0, -1])},
    ),
    "constant and cast": (
        [
            ("Constant", [], ["k"], {"value": onnx.numpy_helper.from_array(np.array([1.5, -2.0], np.float32), "v")}),
            ("Cast", ["k"], ["kd"], {"to": F64}),
            ("Mul", ["x", "kd"], ["y"]),
        ],
        {},
    ),
    "other activations": (
        [
            ("Tanh", ["x"], ["a"]),
            ("Sigmoid", ["a"], ["b"]),
            ("Sin", ["b"], ["c"]),
            ("Floor", ["x"], ["d"]),
            ("Add", ["c", "d"], ["y"]),
        ],
        {},
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_operator_against_the_reference_evaluator(tmp_path: Path, name: str) -> None:
    agrees(tmp_path, model(*GRAPHS[name]))


def test_clip_of_the_old_form_and_image_inputs(tmp_path: Path) -> None:
    agrees(tmp_path, model([("Clip", ["x"], ["y"], {"min": -0.5, "max": 0.5})], {}, kind=F32, opset=6), kind=F32)
    nodes = [("Flatten", ["x"], ["f"]), ("Gemm", ["f", "W"], ["y"], {"transB": 1})]
    agrees(tmp_path, model(nodes, {"W": np.arange(12.0).reshape(2, 6)}, ["N", 1, 2, 3]), shape=(1, 2, 3))
    agrees(tmp_path, model(nodes, {"W": np.arange(12.0).reshape(2, 6)}, [1, 6]), shape=(6,))


def test_float32_weights_are_the_dyadics_that_they_are(tmp_path: Path) -> None:
    network = read(tmp_path, model([("Mul", ["x", "k"], ["y"])], {"k": np.array([0.1])}, ["N", 1], kind=F32))
    assert evaluate_exact(network, [1]) == [fmpq(*np.float32(0.1).as_integer_ratio())]
    assert network.dyadic


def test_exact_identities_of_clip_and_leaky_relu(tmp_path: Path) -> None:
    network = read(
        tmp_path, model([("Clip", ["x", "lo", "hi"], ["y"])], {"lo": np.array(-0.1), "hi": np.array(0.3)}, ["N", 1])
    )
    low, high = (fmpq(*v.as_integer_ratio()) for v in (-0.1, 0.3))
    assert evaluate_exact(network, [-5, fmpq(1, 7), 5]) == [low, fmpq(1, 7), high]


def test_a_trained_mlp_made_elsewhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [3, 20, 20, 2]
    nodes: list[Any] = []
    weights: dict[str, Any] = {}
    name = "x"
    for k in range(3):
        weights[f"W{k}"], weights[f"b{k}"] = rng.normal(size=(sizes[k + 1], sizes[k])), rng.normal(size=sizes[k + 1])
        last = k == 2
        nodes.append(("Gemm", [name, f"W{k}", f"b{k}"], ["y" if last else f"s{k}"], {"transB": 1}))
        if not last:
            nodes.append(("Relu", [f"s{k}"], [f"h{k}"]))
        name = f"h{k}"
    proto = model(nodes, weights, ["batch", 3], kind=F32)
    agrees(tmp_path, proto, shape=(3,), kind=F32)
    assert read(tmp_path, proto).size[:4] == (3 * 20 + 20 + 400 + 20 + 40 + 2, 40, 2, 20)


# -- refusals -----------------------------------------------------------------------------------------------------------


def test_all_unsupported_operators_are_named(tmp_path: Path) -> None:
    nodes = [("Softmax", ["x"], ["a"]), ("Relu", ["a"], ["b"]), ("LSTM", ["b"], ["c"]), ("Erf", ["c"], ["y"])]
    with pytest.raises(UnsupportedError, match="Erf, LSTM, Softmax"):
        read(tmp_path, model(nodes, {}))
    custom = model([("Relu", ["x"], ["y"])], {})
    custom.graph.node[0].domain = "com.example"
    with pytest.raises(UnsupportedError, match=r"com\.example\.Relu"):
        read(tmp_path, custom)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Mul", ["x", "x"], ["y"])],
        [("Div", ["k", "x"], ["y"])],
        [("MatMul", ["x", "x"], ["y"])],
        [("Pow", ["x", "k"], ["y"])],
        [("Cast", ["x"], ["y"], {"to": 7})],
        [("Reshape", ["x", "x"], ["y"])],
    ],
)
def test_uses_of_an_operator_that_are_not_admitted(tmp_path: Path, nodes: list[Any]) -> None:
    with pytest.raises(UnsupportedError, match=str(nodes[0][0])):
        read(tmp_path, model(nodes, {"k": np.array([2.0, 1.0])}))


def test_inputs_that_are_not_one_vector(tmp_path: Path) -> None:
    for shape in (["N", "d"], [5, 2], []):
        with pytest.raises(UnsupportedError, match="shape"):
            read(tmp_path, model([("Relu", ["x"], ["y"])], {}, shape or ["N"]))
    two = model([("Relu", ["x"], ["y"])], {})
    two.graph.input.append(onnx.helper.make_tensor_value_info("z", F64, ["N", 2]))
    with pytest.raises(UnsupportedError, match="2 inputs"):
        read(tmp_path, two)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x08", b"PK\x03\x04" + b"\0" * 40, b"\xff" * 1000])
def test_foreign_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"m\.onnx"):
        from_onnx(tmp_path / "m.onnx")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = model(*GRAPHS["skip by concat"]).SerializeToString()
    for cut in range(0, len(data), 3):
        (tmp_path / "m.onnx").write_bytes(data[:cut])
        with pytest.raises((FileFormatError, UnsupportedError)):
            from_onnx(tmp_path / "m.onnx")


def test_damaged_graphs(tmp_path: Path) -> None:
    base = model(*GRAPHS["gemm"])

    def changed(change: Any) -> Any:
        proto = onnx.ModelProto.FromString(base.SerializeToString())
        change(proto.graph)
        return proto

    def shapes(graph: Any) -> None:
        graph.initializer[0].dims[0] = 7

    def huge(graph: Any) -> None:
        graph.initializer[0].dims[:] = [2**40, 2**40]

    def negative(graph: Any) -> None:
        graph.initializer[0].dims[0] = -2

    def nan(graph: Any) -> None:
        graph.initializer[0].raw_data = np.full(6, np.nan).tobytes()

    def swapped(graph: Any) -> None:
        graph.node[0].input[1], graph.node[2].input[1] = "V", "W"

    def missing(graph: Any) -> None:
        del graph.initializer[1]

    def disordered(graph: Any) -> None:
        graph.node.reverse()

    def nothing(graph: Any) -> None:
        graph.output[0].name = "nowhere"

    for change in (shapes, huge, negative, nan, swapped, missing, disordered, nothing):
        with pytest.raises((FileFormatError, UnsupportedError)) as caught:
            read(tmp_path, changed(change))
        assert "\n" not in str(caught.value), change.__name__


def test_huge_declarations_cost_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="entries"):
        read(tmp_path, model([("Relu", ["x"], ["y"])], {}, ["N", 2**40]))
    doubling = [("Concat", [f"d{k}", f"d{k}"], [f"d{k + 1}"], {"axis": 1}) for k in range(60)]
    with pytest.raises(UnsupportedError, match="entries"):
        read(tmp_path, model([("Identity", ["x"], ["d0"]), *doubling, ("Identity", ["d60"], ["y"])], {}))


def test_external_data_only_from_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(np.ones(6).tobytes())
    (folder / "w.bin").write_bytes(np.arange(8.0).tobytes())

    def external(location: str, offset: int = 0) -> Any:
        proto = model([("MatMul", ["x", "W"], ["y"])], {"W": np.ones((2, 3))})
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        for key, value in (("location", location), ("offset", str(offset))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        return proto

    assert read(folder, external("w.bin", 16))([[1.0, 0.0]]).tolist() == [[2.0, 3.0, 4.0]]
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin", "absent.bin", ""):
        with pytest.raises(FileFormatError, match="folder"):
            read(folder, external(location))
    with pytest.raises(FileFormatError, match="does not hold"):
        read(folder, external("w.bin", 24))
    with pytest.raises(FileNotFoundError):
        from_onnx(folder / "absent.onnx")
