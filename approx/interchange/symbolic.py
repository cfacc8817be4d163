"""How does a graph of tensor operations become a network? Arrays of exact affine forms over units, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import UnsupportedError
from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq

#: Refuse tensors with more entries than this while reading a file (a hostile one may declare any size).
MAX_ENTRIES = 4_000_000


class Tracer:
    """Writes a network while tensors (numpy object arrays of Form) pass through the operations of a framework.

    Float weights are taken as the dyadic rationals that they are; max, min, clip and leaky ReLU become ReLU units by
    identities that hold exactly. Cost: one Python object per unit and per weight, about 1e5 weights per second.
    """

    def __init__(self, inputs: int) -> None:
        self.builder = Builder(inputs)
        self.inputs = np.empty(inputs, dtype=object)
        self.inputs[:] = [self.builder.input(i) for i in range(inputs)]

    def network(self, outputs: np.ndarray) -> Network:
        """Return the network with these outputs, flattened in row-major order."""
        return self.builder.build([as_form(f) for f in outputs.reshape(-1)])

    def activate(self, name: str, tensor: np.ndarray) -> np.ndarray:
        """Apply an activation of the project to every entry; relu, abs and floor of constants stay constants."""
        return entrywise(lambda form: self._unit(name, as_form(form)), tensor)

    def _unit(self, name: str, form: Form) -> Form:
        if not form.terms and name in ("relu", "abs", "floor"):
            c = form.constant
            return Form(constant=abs(c) if name == "abs" else fmpq(c.floor()) if name == "floor" else c if c > 0 else 0)
        return self.builder.unit(form, name)

    def leaky_relu(self, tensor: np.ndarray, slope: Any) -> np.ndarray:
        """max(t, 0) + slope * min(t, 0) = slope * t + (1 - slope) * relu(t)."""
        c = to_fmpq(slope)
        return tensor * c + self.activate("relu", tensor) * (1 - c)

    def maximum(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """max(a, b) = b + relu(a - b)."""
        return second + self.activate("relu", first - second)

    def minimum(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """min(a, b) = a - relu(a - b)."""
        return first - self.activate("relu", first - second)

    def rectified_product(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """max(t, 0)^p max(t, 0)^q = max(t, 0)^(p + q) entry by entry, p + q at most 3. Raises UnsupportedError otherwise."""
        pairs = np.broadcast_arrays(first, second)
        result = np.empty(pairs[0].shape, dtype=object)
        result.reshape(-1)[:] = [self._rectified(a, b) for a, b in zip(*(p.reshape(-1) for p in pairs), strict=True)]
        return result

    def _rectified(self, first: Any, second: Any) -> Any:
        left, right = as_form(first), as_form(second)
        if not left.terms or not right.terms:
            return left * right.constant if not right.terms else right * left.constant
        found = [self.builder.power_of(form) for form in (left, right)]
        if found[0] is not None and found[1] is not None:
            (p, t), (q, u) = found[0], found[1]
            if p + q <= 3 and t.terms == u.terms and t.constant == u.constant:
                return self.builder.unit(t, f"relu{p + q}")
        raise UnsupportedError(
            "a product of two tensors that both depend on the input, other than max(t, 0)^2 and max(t, 0)^3 of one t"
        )


def as_form(entry: Any) -> Form:
    """Return the entry as a Form (constants become forms without terms)."""
    return entry if isinstance(entry, Form) else Form(constant=entry)


def entrywise(function: Any, tensor: np.ndarray) -> np.ndarray:
    """Return the object array of function(entry)."""
    result = np.empty(tensor.shape, dtype=object)
    result.reshape(-1)[:] = [function(entry) for entry in tensor.reshape(-1)]
    return result


def exact_array(values: Any) -> np.ndarray:
    """Return an object array of fmpq equal to the float, integer or object array. Raises InputError on NaN and inf."""
    array = np.asarray(values)
    if array.dtype == object:
        return array
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    known: dict[Any, fmpq] = {}
    result = np.empty(array.shape, dtype=object)
    flat = []
    for v in array.reshape(-1).tolist():
        if v not in known:
            known[v] = to_fmpq(v)
        flat.append(known[v])
    result.reshape(-1)[:] = flat
    return result


def is_symbolic(tensor: np.ndarray) -> bool:
    """Whether some entry depends on the input."""
    return tensor.dtype == object and any(isinstance(entry, Form) for entry in tensor.reshape(-1))


def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return first * second entry by entry; one of the two must be constant. Raises UnsupportedError otherwise."""
    if is_symbolic(first) and is_symbolic(second):
        raise UnsupportedError(
            "a product of two tensors that both depend on the input is no piecewise-linear operation"
        )
    return exact_array(first) * exact_array(second)


def matrix_product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return first @ second for at most two-dimensional constants against tensors of forms, exactly."""
    if is_symbolic(second):
        if is_symbolic(first):
            raise UnsupportedError("a matrix product of two tensors that both depend on the input")
        if first.ndim > 2 or second.ndim > 2:
            raise UnsupportedError("a matrix product of more than two dimensions")
        return matrix_product(second.T, first.T).T
    if second.ndim not in (1, 2) or first.ndim < 1 or first.shape[-1] != second.shape[0]:
        raise UnsupportedError(f"a matrix product of shapes {first.shape} and {second.shape}")
    matrix = second if second.ndim == 2 else second[:, None]
    columns = []
    for j in range(matrix.shape[1]):
        rows = np.flatnonzero(matrix[:, j] != 0)
        columns.append(list(zip(rows.tolist(), exact_array(matrix[rows, j]), strict=True)))
    table = first.reshape(-1, matrix.shape[0])
    check_entries(table.shape[0] * len(columns))
    result = np.empty((table.shape[0], len(columns)), dtype=object)
    for i, row in enumerate(table):
        forms = [as_form(entry) for entry in row]
        for j, column in enumerate(columns):
            result[i, j] = linear_combination([(w, forms[k]) for k, w in column])
    return result.reshape(first.shape[:-1] + second.shape[1:])


def check_entries(count: int) -> None:
    """Raise UnsupportedError when a tensor of so many entries is too large to follow."""
    if count > MAX_ENTRIES:
        raise UnsupportedError(f"a tensor of {count} entries; at most {MAX_ENTRIES} are followed")
