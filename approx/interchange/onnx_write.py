"""How does a network become an ONNX file, and how close does the file stay to it when it runs?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from approx.errors import InputError, MissingExtraError, UnsupportedError
from approx.evaluation import evaluate, rounding_slack
from approx.evaluation.fitness import refuse_unfit
from approx.evaluation.slack import ADMITTED, UNIT, running_bound
from approx.networks import Layer, Network
from approx.networks.container import write_atomically

OPSET, IR_VERSION = 17, 8
#: ONNX stores matrices densely; refuse exports beyond what the format can hold in one file.
MAX_BYTES = 1_900_000_000
_ACTIVATIONS = {"relu": "Relu", "abs": "Abs", "sin": "Sin", "arcsin": "Asin", "floor": "Floor", "tanh": "Tanh",
                "sigmoid": "Sigmoid", "softplus": "Softplus", "exp": "Exp", "arctan": "Atan", "gelu": "Gelu",
                "sqrt": "Sqrt"}  # fmt: skip
_POWERS = {"relu2": 2, "relu3": 3}


@dataclass(frozen=True)
class ParityReport:
    """What was OBSERVED when the exported file ran beside the network (not a proof).

    difference: the largest |ONNX output - evaluate(network)| over `points` sample points; slack: the largest proved
    rounding error of evaluate itself there (inf where none is proved); agrees: whether every difference is at most 4
    times what rounding in `dtype` explains; inexact_weights: weights that `dtype` could not hold exactly; runtime: who ran
    the file. The exact function of the file's own weights is `from_onnx(path)`, which can be certified like any network.
    """

    path: str
    dtype: str
    runtime: str
    points: int
    difference: float
    slack: float
    agrees: bool
    inexact_weights: int
    weights: int
    bytes: int

    def __str__(self) -> str:
        verdict = "agrees up to rounding" if self.agrees else "DOES NOT AGREE up to rounding"
        rounded = (
            f"{self.inexact_weights:,} of {self.weights:,} weights rounded" if self.inexact_weights else "weights exact"
        )
        return (
            f"{self.path}: {self.dtype}, {self.bytes:,} bytes, {rounded}; {self.runtime} {verdict}: "
            f"observed difference {self.difference:.3g} at {self.points} points"
        )


def to_onnx(network: Network, path: str | Path, dtype: str = "float64", points: Any = None) -> ParityReport:
    """Write the network as an ONNX model (opset 17, input "x" of shape (N, d), output "y" of shape (N, k)); report parity.

    dtype: "float64" or "float32"; weights are rounded to the nearest number of that type. Layers become Gemm and an
    activation, skips become Concat. points: where the parity is observed, shape (n, d); by default 257 points of the cube
    [-1, 1]^d, the same ones every time. The file is run by onnxruntime where it is installed and has the operators, else
    by the reference evaluator of onnx. The file is written atomically, after it ran.

    Raises InputError on another dtype, MissingExtraError without onnx, UnsupportedError when a weight overflows dtype,
    an activation has no operator, or the dense matrices exceed 1.9 GB, OSError when the place cannot be written. Cost:
    O(sum of dense block sizes).
    """
    if dtype not in ("float64", "float32"):
        raise InputError("dtype", dtype, "'float64' or 'float32'")
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "writing ONNX files") from error
    kind = np.dtype(dtype)
    network = network.native
    refuse_unfit(network)
    missing = sorted(network.activations - _ACTIVATIONS.keys() - _POWERS.keys() - {"identity", "exp2"})
    if missing:
        raise UnsupportedError(f"to_onnx: no operator for the activations {', '.join(missing)} in opset {OPSET}")
    _check_sizes(network, kind)
    sample = _sample(network) if points is None else np.asarray(points, dtype=np.float64).reshape(-1, network.inputs)
    model = _model(onnx, network, kind)
    data = model.SerializeToString()
    runtime, found = _run(data, network, sample.astype(kind))
    write_atomically(path, data)
    return _report(network, path, kind, runtime, sample, found, len(data))


def _sample(network: Network) -> np.ndarray:
    return np.random.default_rng(2016).uniform(-1.0, 1.0, size=(257, network.inputs))


def _check_sizes(network: Network, kind: np.dtype[Any]) -> None:
    widths = [network.inputs] + [layer.units for layer in network.layers]
    total = sum(layer.units * sum(widths[b.source] for b in layer.blocks) for layer in network.layers) * kind.itemsize
    if total > MAX_BYTES:
        raise UnsupportedError(f"to_onnx: the dense matrices would take {total:,} bytes (at most {MAX_BYTES:,})")
    flat = network.flat
    largest = max(np.abs(flat.values).max(initial=0.0), np.abs(flat.bias).max(initial=0.0))
    if largest > np.finfo(kind).max:
        raise UnsupportedError(f"to_onnx: the weight {largest:g} overflows {kind.name}; use dtype='float64'")


def _model(onnx: Any, network: Network, kind: np.dtype[Any]) -> Any:
    element = onnx.TensorProto.DOUBLE if kind == np.float64 else onnx.TensorProto.FLOAT
    nodes: list[Any] = []
    weights: list[Any] = []
    names = ["x"]
    for k, layer in enumerate(network.layers, 1):
        names.append("y" if k == len(network.layers) else f"h{k}")
        _add_layer(onnx, network, k, layer, names, kind, nodes, weights)
    graph = onnx.helper.make_graph(
        nodes,
        "approx",
        [onnx.helper.make_tensor_value_info("x", element, ["N", network.inputs])],
        [onnx.helper.make_tensor_value_info("y", element, ["N", network.outputs])],
        weights,
    )
    # Gelu is an operator since opset 20.
    opset, version = (20, 9) if "gelu" in network.activations else (OPSET, IR_VERSION)
    imports = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, producer_name="approx", opset_imports=imports, ir_version=version)


def _add_layer(
    onnx: Any,
    network: Network,
    k: int,
    layer: Layer,
    names: list[str],
    kind: np.dtype[Any],
    nodes: list[Any],
    weights: list[Any],
) -> None:
    widths = [network.inputs] + [each.units for each in network.layers]
    sources = [b.source for b in layer.blocks] or [0]
    matrix = np.zeros((layer.units, sum(widths[s] for s in sources)))
    start = 0
    for b in layer.blocks:
        rows = np.repeat(np.arange(layer.units), np.diff(b.indptr))
        np.add.at(matrix, (rows, start + b.indices), b.values.floats)
        start += widths[b.source]
    read = names[sources[0]]
    if len(sources) > 1:
        read = f"c{k}"
        nodes.append(onnx.helper.make_node("Concat", [names[s] for s in sources], [read], axis=1))
    weights.append(onnx.numpy_helper.from_array(matrix.astype(kind), f"W{k}"))
    weights.append(onnx.numpy_helper.from_array(layer.bias.floats.astype(kind), f"b{k}"))
    plain = layer.activation == "identity"
    total = names[k] if plain else f"s{k}"
    nodes.append(onnx.helper.make_node("Gemm", [read, f"W{k}", f"b{k}"], [total], transB=1))
    if layer.activation == "exp2":
        if not any(w.name == "two" for w in weights):
            weights.append(onnx.numpy_helper.from_array(np.array(2, dtype=kind), "two"))
        nodes.append(onnx.helper.make_node("Pow", ["two", total], [names[k]]))
    elif layer.activation in _POWERS:
        # max(t, 0)^p as p - 1 products: there is no operator of that name.
        power = _POWERS[layer.activation]
        parts = [f"r{k}", *(f"r{k}_{j}" for j in range(2, power)), names[k]]
        nodes.append(onnx.helper.make_node("Relu", [total], [parts[0]]))
        nodes += [onnx.helper.make_node("Mul", [a, parts[0]], [b]) for a, b in itertools.pairwise(parts)]
    elif not plain:
        nodes.append(onnx.helper.make_node(_ACTIVATIONS[layer.activation], [total], [names[k]]))


def _run(data: bytes, network: Network, sample: np.ndarray) -> tuple[str, np.ndarray]:
    """The outputs of the model, and who computed them."""
    try:
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented, RuntimeException
    except ImportError:
        return _run_reference(data, sample)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return f"onnxruntime {onnxruntime.__version__}", session.run(["y"], {"x": sample})[0]
    except (Fail, InvalidGraph, NotImplemented, RuntimeException):  # e.g. no float64 arcsine
        return _run_reference(data, sample)


def _run_reference(data: bytes, sample: np.ndarray) -> tuple[str, np.ndarray]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator: Any = ReferenceEvaluator(onnx.load_model_from_string(data))
    with np.errstate(all="ignore"):
        return f"onnx reference evaluator {onnx.__version__}", evaluator.run(["y"], {"x": sample})[0]


def _report(
    network: Network,
    path: str | Path,
    kind: np.dtype[Any],
    runtime: str,
    sample: np.ndarray,
    found: np.ndarray,
    size: int,
) -> ParityReport:
    # The file sees the sample points rounded to its own type, so the network is asked there too.
    at = sample.astype(kind).astype(np.float64)
    own = np.asarray(evaluate(network, at)).reshape(len(at), -1)
    found = found.astype(np.float64)
    difference = np.where(np.isnan(found) & np.isnan(own), 0.0, np.abs(found - own))
    if network.activations <= ADMITTED:
        slack = np.asarray(rounding_slack(network, at)).reshape(len(at), -1)
        explained = running_bound(network, at, UNIT, any_order=True)  # in dtype all weights are rounded
    else:
        slack = np.full_like(own, np.inf)
        explained = 1e-12 * (1 + np.abs(own))  # a guess: library functions carry no proved error
    explained = explained * (np.finfo(kind).eps / np.finfo(np.float64).eps) + float(np.finfo(kind).tiny)
    flat = network.flat
    stored = np.concatenate((flat.values, flat.bias))
    pooled = sum(
        int(np.count_nonzero(v.nonzero()))
        for layer in network.layers
        for v in [layer.bias, *(b.values for b in layer.blocks)]
        if v.ids is not None
    )
    inexact = max(pooled, int(np.count_nonzero(stored.astype(kind).astype(np.float64) != stored)))
    return ParityReport(
        path=str(path),
        dtype=kind.name,
        runtime=runtime,
        points=len(at),
        difference=float(difference.max(initial=0.0)),
        slack=float(slack.max(initial=0.0)),
        agrees=bool((difference <= 4 * explained).all()),
        inexact_weights=inexact,
        weights=network.size.weights,
        bytes=size,
    )
