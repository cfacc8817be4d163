"""How a construction writes a network down: linear forms over units, with exact rational coefficients."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import InputError
from approx.networks.layers import Block, Layer, Values, check_activation
from approx.networks.network import Network
from approx.numbers import exact_scalar, nearest_float, reciprocal
from approx.numbers.conversions import LARGEST

_ZERO, _ONE = fmpq(0), fmpq(1)


class Form:
    """An exact affine form c + sum w_i * unit_i over the units of a builder; supports + - and scalar * and /.

    Coefficients are rationals, or closed forms such as arccos(1/512) (see approx.numbers.ClosedForm).
    """

    __slots__ = ("constant", "terms")

    def __init__(self, terms: dict[int, Any] | None = None, constant: Any = _ZERO) -> None:
        self.terms = terms or {}
        self.constant = exact_scalar(constant)

    def __add__(self, other: Any) -> Form:
        if not isinstance(other, Form):
            return Form(self.terms, self.constant + exact_scalar(other))
        terms = dict(self.terms)
        for unit, weight in other.terms.items():
            total = terms[unit] + weight if unit in terms else weight
            if total:
                terms[unit] = total
            else:
                del terms[unit]
        return Form(terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: Any) -> Form:
        c = exact_scalar(factor)
        if not c:
            return Form()
        return Form({unit: c * weight for unit, weight in self.terms.items()}, c * self.constant)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Form:
        return self * reciprocal(divisor)

    def __neg__(self) -> Form:
        return Form({unit: -weight for unit, weight in self.terms.items()}, -self.constant)

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
        return Form({index: _ONE})

    def unit(self, form: Form, activation: str = "relu") -> Form:
        """The form of a new unit activation(form)."""
        self._rows.append((activation, form))
        self._depth.append(1 + max(map(self._depth.__getitem__, form.terms), default=0))
        return Form({self.inputs + len(self._rows) - 1: _ONE})

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
        depth, activation = self._depth[self.inputs :], [name for name, _ in self._rows]
        order = sorted(self._alive(outs), key=lambda r: (depth[r], activation[r]))
        layer_of, number_in = np.zeros(len(self._depth), np.int64), np.arange(len(self._depth))
        specs: list[tuple[str, list[Form]]] = []
        for (_, name), rows in itertools.groupby(order, key=lambda r: (depth[r], activation[r])):
            check_activation(name)
            members = list(rows)
            specs.append((name, [self._rows[r][1] for r in members]))
            units = np.array(members) + self.inputs
            layer_of[units], number_in[units] = len(specs), np.arange(len(units))
        layers, pool = _layers([*specs, ("identity", outs)], layer_of, number_in)
        return Network(self.inputs, layers, pool)

    def _alive(self, outs: list[Form]) -> list[int]:
        """The numbers of the rows that the outputs depend on, in order; a row reads only inputs and earlier rows."""
        seen = bytearray(len(self._depth))
        for form in outs:
            for u in form.terms:
                seen[u] = 1
        for r in range(len(self._rows) - 1, -1, -1):
            if seen[self.inputs + r]:
                for u in self._rows[r][1].terms:
                    seen[u] = 1
        return [r for r in range(len(self._rows)) if seen[self.inputs + r]]


def linear_combination(terms: Iterable[tuple[Any, Form]], constant: Any = 0) -> Form:
    """The form constant + sum of weight * form, accumulated exactly in one pass (cheaper than repeated +)."""
    total: dict[int, Any] = {}
    offset = exact_scalar(constant)
    for weight, form in terms:
        c = exact_scalar(weight)
        offset += c * form.constant
        for unit, w in form.terms.items():
            total[unit] = total[unit] + c * w if unit in total else c * w
    return Form({u: w for u, w in total.items() if w}, offset)


class _Numbers:
    """Exact numbers in order, with the nearest finite float64 numbers; any stretch of them is a vector of a network."""

    def __init__(self, exact: list[Any]) -> None:
        floats: list[float] = []
        inexact, count = [0], 0
        for value in exact:
            if isinstance(value, fmpq):
                p, q = int(value.p), int(value.q)
                try:
                    nearest = p / q
                except OverflowError:
                    nearest = finite_float(value)
                count += nearest.as_integer_ratio() != (p, q)
            else:
                nearest = finite_float(value)
                count += 1
            floats.append(nearest)
            inexact.append(count)
        self.exact, self.floats, self.inexact = exact, np.array(floats, dtype=np.float64), inexact

    def values(self, begin: int, end: int, pool: _Pool) -> Values:
        """The numbers begin <= i < end; they go to the pool when one of them is no float64 number."""
        if self.inexact[begin] == self.inexact[end]:
            return Values(self.floats[begin:end])
        ids = np.array([pool.index(v) for v in self.exact[begin:end]], dtype=np.int32)
        return Values(self.floats[begin:end], ids)


class _Pool:
    """Distinct exact numbers that are no float64 numbers; number 0 is zero."""

    def __init__(self) -> None:
        self.numbers: list[Any] = [_ZERO]
        self._index: dict[Any, int] = {(0, 1): 0}

    def index(self, value: Any) -> int:
        """The number under which the pool holds the value."""
        key = (int(value.p), int(value.q)) if isinstance(value, fmpq) else value  # an fmpq takes 2 us to hash itself
        found = self._index.setdefault(key, len(self.numbers))
        if found == len(self.numbers):
            self.numbers.append(value)
        return found


def _layers(
    specs: list[tuple[str, list[Form]]], layer_of: np.ndarray, number_in: np.ndarray
) -> tuple[list[Layer], Sequence[Any]]:
    """The layers with these activations and forms, and their pool; unit u is number_in[u] of layer layer_of[u].

    All entries are converted and sorted at once: the layers are cut out of the same few arrays, so that a small layer
    costs little.
    """
    forms = [form for _, members in specs for form in members]
    exact = [weight for form in forms for weight in form.terms.values()]
    unit = np.array([u for form in forms for u in form.terms], dtype=np.int64)
    row = np.repeat(np.arange(len(forms)), [len(form.terms) for form in forms])
    edges = np.concatenate(([0], np.cumsum([len(members) for _, members in specs])))
    number = np.repeat(np.arange(len(specs)), np.diff(edges))[row]
    order = np.lexsort((number_in[unit], row, layer_of[unit], number))
    order = order[np.array([bool(w) for w in exact], dtype=bool)[order]]
    number, row, source, column = number[order], row[order], layer_of[unit[order]], number_in[unit[order]].astype(np.int32)
    weights, biases = _Numbers([exact[i] for i in order.tolist()]), _Numbers([form.constant for form in forms])

    start = np.flatnonzero((np.diff(number, prepend=-1) != 0) | (np.diff(source, prepend=-1) != 0))
    end = np.append(start, len(order))[1:]
    block_of = np.repeat(np.arange(len(start)), end - start)
    # Row i of block b begins where the entries reach (b, first row of its layer + i).
    pointers = np.diff(edges)[number[start]] + 1
    cut = np.concatenate(([0], np.cumsum(pointers)))
    own = np.repeat(np.arange(len(start)), pointers)
    wanted = np.arange(len(own)) - cut[own] + edges[number[start]][own]
    span = len(forms) + 1
    indptr = np.searchsorted(block_of * span + row, own * span + wanted) - start[own]

    pool = _Pool()
    blocks: list[list[Block]] = [[] for _ in specs]
    bias = [biases.values(begin, end, pool) for begin, end in itertools.pairwise(edges.tolist())]
    for b, (k, i, j) in enumerate(zip(number[start].tolist(), start.tolist(), end.tolist(), strict=True)):
        pointer = indptr[cut[b] : cut[b + 1]]
        blocks[k].append(Block(int(source[i]), pointer, column[i:j], weights.values(i, j, pool)))
    layers = [Layer(name, values, tuple(own)) for (name, _), values, own in zip(specs, bias, blocks, strict=True)]
    return layers, pool.numbers if len(pool.numbers) > 1 else ()


def finite_float(value: Any) -> float:
    """The finite float64 nearest to an exact weight: the largest one for weights beyond the range."""
    return min(max(nearest_float(value), -LARGEST), LARGEST)
