"""How a construction writes a network down: linear forms over units, with exact rational coefficients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flint import fmpq

from approx.errors import InputError
from approx.networks.assembly import assemble
from approx.networks.network import Network
from approx.numbers import exact_scalar, reciprocal

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
                terms.pop(unit, None)
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
    others go to the pool of exact rationals. Cost: one Python object per unit and weight (about 2e5 weights per
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
        rows = network.exact_rows()
        hidden = len(rows) - network.outputs
        for number, (activation, bias, terms) in enumerate(rows):
            form = linear_combination([(w, forms[u]) for u, w in terms], bias)
            forms.append(form if number >= hidden else self.unit(form, activation))
        return forms[network.inputs + hidden :]

    def build(self, outputs: Iterable[Form]) -> Network:
        """The Network with these output forms; units that no output reads are left out."""
        return Network(self.inputs, *assemble(self.inputs, self._rows, self._depth[self.inputs :], list(outputs)))


def linear_combination(terms: Iterable[tuple[Any, Form]], constant: Any = 0) -> Form:
    """The form constant + sum of weight * form, accumulated exactly in one pass (cheaper than repeated +)."""
    total: dict[int, Any] = {}
    offset = exact_scalar(constant)
    for weight, form in terms:
        c = exact_scalar(weight)
        if form.constant:
            offset += c * form.constant
        for unit, w in form.terms.items():
            total[unit] = total[unit] + c * w if unit in total else c * w
    return Form(total if all(total.values()) else {u: w for u, w in total.items() if w}, offset)
