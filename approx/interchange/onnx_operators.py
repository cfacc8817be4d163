"""What does each admitted ONNX operator do to arrays of exact forms?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from approx.errors import UnsupportedError
from approx.interchange.symbolic import (
    Tracer,
    check_entries,
    entrywise,
    exact_array,
    is_symbolic,
    matrix_product,
    product,
)

Inputs = list[Any]
Operator = Callable[[Tracer, Inputs, dict[str, Any], int], Sequence[np.ndarray]]
#: Operator name -> function(tracer, inputs, attributes, opset) -> outputs.
OPERATORS: dict[str, Operator] = {}


def _operator(*names: str) -> Callable[[Callable[..., np.ndarray]], Callable[..., np.ndarray]]:
    def register(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def run(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> Sequence[np.ndarray]:
            return [function(tracer, inputs, attributes, opset)]

        for name in names:
            OPERATORS[name] = run
        return function

    return register


def _integers(tensor: Any, what: str) -> list[int]:
    if tensor is None or is_symbolic(tensor) or any(v != int(v) for v in np.asarray(tensor).reshape(-1)):
        raise UnsupportedError(f"{what} that are not constant integers")
    return [int(v) for v in np.asarray(tensor).reshape(-1)]


def _broadcast(*tensors: np.ndarray) -> None:
    check_entries(int(np.prod(np.broadcast_shapes(*(t.shape for t in tensors)), dtype=object)))


# -- affine ---------------------------------------------------------------------------------------------------------


@_operator("Gemm")
def _gemm(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    a, b = inputs[0], inputs[1]
    a = a.T if attributes.get("transA") else a
    b = b.T if attributes.get("transB") else b
    result = matrix_product(a, b)
    if attributes.get("alpha", 1.0) != 1.0:
        result = product(result, np.array(attributes["alpha"]))
    if len(inputs) > 2 and inputs[2] is not None:
        offset = exact_array(inputs[2])
        result = result + (
            product(offset, np.array(attributes["beta"])) if attributes.get("beta", 1.0) != 1.0 else offset
        )
    return result


@_operator("MatMul")
def _matmul(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    return matrix_product(inputs[0], inputs[1])


@_operator("Add", "Sum")
def _sum(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    _broadcast(*inputs)
    return reduce(lambda a, b: a + b, map(exact_array, inputs))


@_operator("Sub")
def _difference(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    _broadcast(*inputs)
    return exact_array(inputs[0]) - exact_array(inputs[1])


@_operator("Neg")
def _negative(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    return -exact_array(inputs[0])


@_operator("Mul")
def _product(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    _broadcast(*inputs)
    if is_symbolic(inputs[0]) and is_symbolic(inputs[1]):
        return tracer.rectified_product(inputs[0], inputs[1])
    return product(inputs[0], inputs[1])


@_operator("Div")
def _quotient(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    _broadcast(*inputs)
    if is_symbolic(inputs[1]):
        raise UnsupportedError("a division by something that depends on the input")
    if inputs[0].dtype == np.int64:
        raise UnsupportedError("a division of integers")
    return product(inputs[0], entrywise(lambda v: 1 / v, exact_array(inputs[1])))


# -- activations ----------------------------------------------------------------------------------------------------


def _activation(name: str) -> Callable[..., np.ndarray]:
    def run(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
        return tracer.activate(name, exact_array(inputs[0]))

    return run


for _title, _name in {
    "Relu": "relu",
    "Abs": "abs",
    "Sin": "sin",
    "Asin": "arcsin",
    "Floor": "floor",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Exp": "exp",
    "Atan": "arctan",
}.items():
    _operator(_title)(_activation(_name))


@_operator("Gelu")
def _gelu(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    if attributes.get("approximate", "none") not in ("none", b"none"):
        raise UnsupportedError("a GELU that is approximated by tanh")
    return tracer.activate("gelu", exact_array(inputs[0]))


@_operator("LeakyRelu")
def _leaky_relu(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    # The default 0.01 is a float32 of the format.
    return tracer.leaky_relu(exact_array(inputs[0]), attributes.get("alpha", float(np.float32(0.01))))


@_operator("PRelu")
def _prelu(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    if is_symbolic(inputs[1]):
        raise UnsupportedError("a slope that depends on the input")
    t, slope = exact_array(inputs[0]), exact_array(inputs[1])
    return product(t, slope) + product(tracer.activate("relu", t), 1 - slope)


@_operator("Pow")
def _power(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    base, exponent = inputs
    if is_symbolic(base) and exponent.size == 1 and not is_symbolic(exponent) and exponent.reshape(-1)[0] in (2, 3):
        square = tracer.rectified_product(base, base)
        return square if exponent.reshape(-1)[0] == 2 else tracer.rectified_product(square, base)
    if is_symbolic(base) or any(v != 2 for v in np.asarray(base).reshape(-1)):
        raise UnsupportedError("a power other than 2^t, max(t, 0)^2 and max(t, 0)^3")
    return tracer.activate("exp2", exact_array(exponent))


@_operator("Clip")
def _clip(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    # Before version 11 of the operator the ends are attributes.
    ends: list[Any] = [None if attributes.get(n) is None else np.array(attributes[n]) for n in ("min", "max")]
    for i in (1, 2):
        if len(inputs) > i and inputs[i] is not None:
            ends[i - 1] = inputs[i]
    t = exact_array(inputs[0])
    if ends[0] is not None:
        t = tracer.maximum(t, exact_array(ends[0]))
    if ends[1] is not None:
        t = tracer.minimum(exact_array(ends[1]), t)
    return t


@_operator("Max")
def _maximum(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    _broadcast(*inputs)
    return reduce(tracer.maximum, map(exact_array, inputs))


@_operator("Min")
def _minimum(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    _broadcast(*inputs)
    return reduce(tracer.minimum, map(exact_array, inputs))


# -- shapes and constants -------------------------------------------------------------------------------------------


@_operator("Identity", "Dropout")
def _identity(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    return inputs[0]


@_operator("Cast")
def _cast(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    if attributes.get("to") not in (1, 11):
        raise UnsupportedError(f"a cast to element type {attributes.get('to')}")
    if attributes["to"] == 1 and not is_symbolic(inputs[0]):
        rounded = np.asarray([float(v) for v in inputs[0].reshape(-1)] if inputs[0].dtype == object else inputs[0])
        return rounded.astype(np.float32).astype(np.float64).reshape(inputs[0].shape)
    return inputs[0]


@_operator("Constant")
def _constant(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    for name, dtype in (("value_float", np.float64), ("value_floats", np.float64), ("value_int", np.int64),
                        ("value_ints", np.int64)):  # fmt: skip
        if name in attributes:
            return np.array(attributes[name], dtype=dtype)
    if "value" not in attributes:
        raise UnsupportedError("a constant that is no tensor")
    return attributes["value"]


@_operator("Flatten")
def _flatten(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    axis = attributes.get("axis", 1)
    t = inputs[0]
    rows = int(np.prod(t.shape[:axis], dtype=np.int64))
    return t.reshape(rows, -1 if rows else 0)


@_operator("Reshape")
def _reshape(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    wanted = attributes["shape"] if "shape" in attributes else _integers(inputs[1], "target shapes")
    if not attributes.get("allowzero"):
        wanted = [inputs[0].shape[i] if side == 0 else side for i, side in enumerate(wanted)]
    return inputs[0].reshape(wanted)


@_operator("Transpose")
def _transpose(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    return np.transpose(inputs[0], attributes.get("perm"))


@_operator("Squeeze")
def _squeeze(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    axes = attributes.get("axes") if len(inputs) < 2 else _integers(inputs[1], "axes")
    return np.squeeze(inputs[0], None if axes is None else tuple(axes))


@_operator("Unsqueeze")
def _unsqueeze(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    axes = attributes["axes"] if len(inputs) < 2 else _integers(inputs[1], "axes")
    return np.expand_dims(inputs[0], tuple(axes))


@_operator("Concat")
def _concatenate(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    check_entries(sum(t.size for t in inputs))
    if all(t.dtype == np.int64 for t in inputs):
        return np.concatenate(inputs, axis=attributes["axis"])
    return np.concatenate([exact_array(t) for t in inputs], axis=attributes["axis"])


def _split(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> Sequence[np.ndarray]:
    t, axis = inputs[0], attributes.get("axis", 0)
    sizes = attributes.get("split") if len(inputs) < 2 or inputs[1] is None else _integers(inputs[1], "sizes")
    if sizes is None:
        raise UnsupportedError("a split without stated sizes")
    if any(s < 0 for s in sizes) or sum(sizes) != t.shape[axis]:
        raise UnsupportedError(f"a split of {t.shape[axis]} into {sizes}")
    return np.split(t, np.cumsum(sizes)[:-1], axis=axis)


OPERATORS["Split"] = _split


@_operator("Slice")
def _slice(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    t = inputs[0]
    if opset < 10:
        starts, ends = attributes["starts"], attributes["ends"]
        axes, steps = attributes.get("axes", list(range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = _integers(inputs[1], "starts"), _integers(inputs[2], "ends")
        axes = _integers(inputs[3], "axes") if len(inputs) > 3 and inputs[3] is not None else list(range(len(starts)))
        steps = _integers(inputs[4], "steps") if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    cut = [slice(None)] * t.ndim
    for a, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # A backward slice to before the first entry is written with a very negative end.
        cut[a] = slice(start, None if step < 0 and end < -t.shape[a] else end, step)
    return t[tuple(cut)]


@_operator("Gather")
def _gather(tracer: Tracer, inputs: Inputs, attributes: dict[str, Any], opset: int) -> np.ndarray:
    index = np.array(_integers(inputs[1], "indices"), dtype=np.int64).reshape(inputs[1].shape)
    axis = attributes.get("axis", 0)
    check_entries(index.size * (inputs[0].size // max(inputs[0].shape[axis], 1)))
    return np.take(inputs[0], index, axis=axis)
