"""Which network does an ONNX file hold? Read operator by operator into exact forms; float weights are exact dyadics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from approx.errors import ApproxError, FileFormatError, InputError, MissingExtraError, UnsupportedError
from approx.interchange.onnx_operators import OPERATORS
from approx.interchange.onnx_tensors import read_tensor
from approx.interchange.symbolic import MAX_ENTRIES, Tracer, check_entries, exact_array
from approx.networks import Network

#: Refuse larger files before reading them (the limit of the format itself).
MAX_FILE = 2**31


def from_onnx(path: str | Path) -> Network:
    """Return the network in an ONNX file: the exact real function of its weights, a float32 being the dyadic that it is.

    Admitted: Gemm, MatMul, Add, Sub, Sum, Neg, Mul and Div by constants, Relu, LeakyRelu, PRelu, Abs, Clip, Max, Min,
    Identity, Dropout, Cast between floats, Flatten, Reshape, Transpose, Squeeze, Unsqueeze, Concat, Split, Slice, Gather,
    Constant, and the activations Sin, Asin, Floor, Tanh, Sigmoid, Pow(2, t). The first axis of a multi-dimensional input
    is the batch; the other axes are flattened into the inputs of the network, and so are the outputs. A sum of rounded
    float32 operations is NOT modelled: the network is the function in exact arithmetic.

    Raises MissingExtraError without onnx, FileFormatError on truncated, malformed or oversized files and on data outside
    the file's folder, UnsupportedError naming every operator that is not admitted, OSError when the file cannot be read.
    Cost: about 1e5 weights per second.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "reading ONNX files") from error
    file = Path(path)
    if file.stat().st_size >= MAX_FILE:
        raise FileFormatError(f"{path}: {file.stat().st_size} bytes, more than an ONNX file may have")
    data = file.read_bytes()
    try:
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise FileFormatError(f"{path}: not an ONNX file, or a truncated one") from error
    if not model.HasField("graph") or not model.graph.output or not model.ir_version:
        raise FileFormatError(f"{path}: not an ONNX model with a graph")
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if not opset:  # every valid file states it, behind the graph: a file cut at a field boundary lacks it
        raise FileFormatError(f"{path}: states no version of the ONNX operators; truncated?")
    try:
        return _read_graph(model.graph, opset, file)
    except ApproxError as error:
        if isinstance(error, InputError):  # a NaN weight, shapes that do not fit
            raise FileFormatError(f"{path}: {error}") from error
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, AttributeError) as error:
        raise FileFormatError(f"{path}: the graph does not fit together ({error})") from error


def _read_graph(graph: Any, opset: int, file: Path) -> Network:
    unknown = sorted({_title(node) for node in graph.node if _title(node) not in OPERATORS})
    if unknown:
        raise UnsupportedError(f"{file}: operators that no network here can hold: {', '.join(unknown)}")
    tensors: dict[str, np.ndarray] = {"": np.zeros(0)}
    for initializer in graph.initializer:
        tensors[initializer.name] = read_tensor(initializer, file.parent)
    if graph.sparse_initializer:
        raise UnsupportedError(f"{file}: sparse initializers")
    given = [value for value in graph.input if value.name not in tensors]
    if len(given) != 1:
        raise UnsupportedError(
            f"{file}: {len(given)} inputs ({', '.join(v.name for v in given)}); exactly one is admitted"
        )
    shape = _input_shape(given[0], file)
    tracer = Tracer(int(np.prod(shape, dtype=object)))
    tensors[given[0].name] = tracer.inputs.reshape(shape)
    for node in graph.node:
        _run_node(node, tensors, tracer, opset, file)
    if len(graph.output) != 1:
        raise UnsupportedError(f"{file}: {len(graph.output)} outputs; exactly one is admitted")
    name = graph.output[0].name
    if name not in tensors:
        raise FileFormatError(f"{file}: nothing computes the output {name!r}")
    return tracer.network(exact_array(tensors[name]))


def _title(node: Any) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _input_shape(value: Any, file: Path) -> tuple[int, ...]:
    """The shape for a batch of one: the first axis of two or more is the batch."""
    dims = [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]
    if len(dims) >= 2 and dims[0] in (None, 0, 1):
        dims[0] = 1
    if not dims or any(d is None or d < 1 for d in dims) or (len(dims) >= 2 and dims[0] != 1):
        raise UnsupportedError(f"{file}: the input has shape {dims}; admitted: (batch, d, ...) with known d, or (d,)")
    count = 1
    for d in dims:
        count *= int(d or 0)
    if count > MAX_ENTRIES:
        raise FileFormatError(f"{file}: the input declares {count} entries, more than {MAX_ENTRIES}")
    return tuple(int(d or 0) for d in dims)


def _run_node(node: Any, tensors: dict[str, np.ndarray], tracer: Tracer, opset: int, file: Path) -> None:
    missing = [name for name in node.input if name not in tensors]
    if missing:
        raise FileFormatError(f"{file}: {node.op_type} reads {missing[0]!r}, which nothing computes before it")
    inputs = [tensors[name] if name else None for name in node.input]
    try:
        results = OPERATORS[_title(node)](tracer, inputs, _attributes(node, file), opset)
    except UnsupportedError as error:
        raise UnsupportedError(f"{file}: {node.op_type} ({node.name or node.output[0]}): {error}") from error
    for name, tensor in zip(node.output, results, strict=False):
        # Operations between numpy object arrays without axes return their only entry.
        array = tensor if isinstance(tensor, np.ndarray) else np.array(tensor, dtype=object)
        check_entries(array.size)
        tensors[name] = array


def _attributes(node: Any, file: Path) -> dict[str, Any]:
    from onnx import AttributeProto

    found: dict[str, Any] = {}
    for a in node.attribute:
        if a.type == AttributeProto.TENSOR:
            found[a.name] = read_tensor(a.t, file.parent)
        elif a.type == AttributeProto.FLOAT:
            found[a.name] = float(a.f)
        elif a.type == AttributeProto.INT:
            found[a.name] = int(a.i)
        elif a.type == AttributeProto.INTS:
            found[a.name] = [int(i) for i in a.ints]
        elif a.type == AttributeProto.FLOATS:
            found[a.name] = [float(f) for f in a.floats]
        elif a.type == AttributeProto.STRING:
            found[a.name] = a.s
        else:
            raise UnsupportedError(f"the attribute {a.name} of {node.op_type}")
    return found
