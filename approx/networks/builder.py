"""How a construction writes a network down: linear forms over units, with exact rational coefficients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import InputError
from approx.networks.layers import Block, Layer, block, layer
from approx.networks.network import Network
from approx.numbers import exact_scalar, nearest_float, reciprocal
from approx.numbers.conversions import LARGEST


class Form:
    """An exact affine form c + sum w_i * unit_i over the units of a builder; supports + - and scalar * and /.

    Coefficients are rationals, or closed forms such as arccos(1/512) (see approx.numbers.ClosedForm).
    """

    __slots__ = ("constant", "terms")

    def __init__(self, terms: dict[int, Any] | None = None, constant: Any = 0) -> None:
        self.terms = terms or {}
        self.constant = exact_scalar(constant)

    def __add__(self, other: Any) -> Form:
        if not isinstance(other, Form):
            return Form(dict(self.terms), self.constant + exact_scalar(other))
        terms = dict(self.terms)
        for unit, weight in other.terms.items():
            total = terms.get(unit, fmpq(0)) + weight
            if total == 0:
                terms.pop(unit, None)
            else:
                terms[unit] = total
        return Form(terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: Any) -> Form:
        c = exact_scalar(factor)
        if c == 0:
            return Form()
        return Form({unit: c * weight for unit, weight in self.terms.items()}, c * self.constant)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Form:
        return self * reciprocal(divisor)

    def __neg__(self) -> Form:
        return self * -1

    def __sub__(self, other: Any) -> Form:
        return self + (-other if isinstance(other, Form) else -exact_scalar(other))

    def __rsub__(self, other: Any) -> Form:
        return -self + other

    def __repr__(self) -> str:
        parts = [f"{w}*u{u}" for u, w in self.terms.items()]
        return "Form(" + " + ".join([*parts, str(self.constant)]) + ")"


class Builder:
    """Collects units and builds a Network; a unit's layer is one more than the deepest layer that it reads.

    Coefficients are exact (int, float, Fraction, fmpq ...). Weights that are float64 numbers are stored as such,
    others go to the pool of exact rationals. Cost: one Python object per unit and weight (about 1e5 weights per
    second); wide regular networks are built from arrays with `approx.networks.block` and `layer` instead.

    >>> b = Builder(1)
    >>> x = b.input()
    >>> tent = b.build([2 * b.relu(x) - 4 * b.relu(x - 0.5)])
    >>> tent.size.weights
    5
    """

    def __init__(self, inputs: int = 1) -> None:
        self.inputs = inputs
        self._rows: list[tuple[str, Form]] = []
        self._depth = [0] * inputs

    def input(self, index: int = 0) -> Form:
        """The form of input number `index`."""
        if not 0 <= index < self.inputs:
            raise InputError("index", index, f"an input number below {self.inputs}")
        return Form({index: fmpq(1)})

    def unit(self, form: Form, activation: str = "relu") -> Form:
        """The form of a new unit activation(form)."""
        self._rows.append((activation, form))
        self._depth.append(1 + max((self._depth[u] for u in form.terms), default=0))
        return Form({self.inputs + len(self._rows) - 1: fmpq(1)})

    def relu(self, form: Form) -> Form:
        """The form of a new unit max(form, 0)."""
        return self.unit(form, "relu")

    def power_of(self, form: Form) -> tuple[int, Form] | None:
        """(p, t) when the form is exactly one unit max(t, 0)^p, p = 1, 2, 3; None otherwise."""
        if form.constant != 0 or len(form.terms) != 1:
            return None
        [(unit, weight)] = form.terms.items()
        powers = {"relu": 1, "relu2": 2, "relu3": 3}
        if weight != 1 or unit < self.inputs or self._rows[unit - self.inputs][0] not in powers:
            return None
        activation, argument = self._rows[unit - self.inputs]
        return powers[activation], argument

    def embed(self, network: Network, arguments: Sequence[Form]) -> list[Form]:
        """The output forms of a copy of `network` fed with `arguments`; adjacent affine maps merge exactly."""
        if len(arguments) != network.inputs:
            raise InputError("arguments", len(arguments), f"{network.inputs} forms, one per input")
        forms: list[Form] = list(arguments)
        hidden = network.size.units
        for number, (activation, bias, terms) in enumerate(network.exact_rows()):
            form = linear_combination([(w, forms[u]) for u, w in terms], bias)
            forms.append(form if number >= hidden else self.unit(form, activation))
        return forms[network.inputs + hidden :]

    def build(self, outputs: Iterable[Form]) -> Network:
        """The Network with these output forms; units that no output reads are left out."""
        outs = list(outputs)
        alive = self._alive(outs)
        depths = sorted({self._depth[self.inputs + r] for r in alive})
        number = {depth: k for k, depth in enumerate(depths, 1)}
        place: dict[int, tuple[int, int]] = {i: (0, i) for i in range(self.inputs)}
        groups: dict[tuple[int, str], list[int]] = {}
        for r in alive:
            groups.setdefault((number[self._depth[self.inputs + r]], self._rows[r][0]), []).append(r)
        order = sorted(groups)
        for k, key in enumerate(order, 1):
            for i, r in enumerate(groups[key]):
                place[self.inputs + r] = (k, i)
        pool = _Pool()
        specs = [(key[1], [self._rows[r][1] for r in groups[key]]) for key in order] + [("identity", outs)]
        layers = [_layer(activation, forms, place, pool) for activation, forms in specs]
        return Network(self.inputs, layers, pool.numbers if len(pool.numbers) > 1 else ())

    def _alive(self, outs: list[Form]) -> list[int]:
        seen: set[int] = set()
        stack = [u for form in outs for u in form.terms]
        while stack:
            u = stack.pop()
            if u in seen:
                continue
            seen.add(u)
            if u >= self.inputs:
                stack.extend(self._rows[u - self.inputs][1].terms)
        return sorted(u - self.inputs for u in seen if u >= self.inputs)


def linear_combination(terms: Iterable[tuple[Any, Form]], constant: Any = 0) -> Form:
    """The form constant + sum of weight * form, accumulated exactly in one pass (cheaper than repeated +)."""
    total: dict[int, Any] = {}
    offset = exact_scalar(constant)
    for weight, form in terms:
        c = exact_scalar(weight)
        offset += c * form.constant
        for unit, w in form.terms.items():
            total[unit] = total.get(unit, fmpq(0)) + c * w
    return Form({u: w for u, w in total.items() if w != 0}, offset)


class _Pool:
    """Distinct exact numbers that are no float64 numbers; number 0 is zero."""

    def __init__(self) -> None:
        self.numbers: list[Any] = [fmpq(0)]
        self._index: dict[Any, int] = {fmpq(0): 0}

    def index(self, value: Any) -> int:
        if value not in self._index:
            self._index[value] = len(self.numbers)
            self.numbers.append(value)
        return self._index[value]


def _values(exact: list[Any], pool: _Pool) -> tuple[np.ndarray, np.ndarray | None]:
    """The nearest finite float64 numbers, and pool numbers when one of them is not exact."""
    floats = [finite_float(v) for v in exact]
    if all(isinstance(v, fmpq) and f.as_integer_ratio() == (v.p, v.q) for f, v in zip(floats, exact, strict=True)):
        return np.array(floats, dtype=np.float64), None
    return np.array(floats), np.array([pool.index(v) for v in exact], dtype=np.int32)


def finite_float(value: Any) -> float:
    """The finite float64 nearest to an exact weight: the largest one for weights beyond the range."""
    return min(max(nearest_float(value), -LARGEST), LARGEST)


def _layer(activation: str, forms: list[Form], place: dict[int, tuple[int, int]], pool: _Pool) -> Layer:
    bias, bias_ids = _values([f.constant for f in forms], pool)
    entries: dict[int, list[tuple[int, int, Any]]] = {}
    for i, form in enumerate(forms):
        for unit, weight in form.terms.items():
            k, j = place[unit]
            entries.setdefault(k, []).append((i, j, weight))
    blocks: list[Block] = []
    for k, triples in entries.items():
        triples.sort(key=lambda t: (t[0], t[1]))
        floats, ids = _values([t[2] for t in triples], pool)
        counts = np.bincount([t[0] for t in triples], minlength=len(forms))
        blocks.append(block(k, np.concatenate(([0], np.cumsum(counts))), [t[1] for t in triples], floats, ids))
    return layer(activation, bias, blocks, bias_ids)
