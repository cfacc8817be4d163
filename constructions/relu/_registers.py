"""How are numbers kept over many strict layers? Registers: forms of the last layer's units, carried with an offset each.

A unit max(t, 0) carries t + offset, so an offset that no value falls short of leaves the number alone. Between two layers a
register is a form that may be added to; the next layer makes it one unit again. Other units of a layer live for one layer only.
"""

from __future__ import annotations

from typing import Any

from flint import fmpq

from approx.networks import Form, Network
from constructions.relu._strict_layers import StrictLayers, input_name


class Registers:
    """Writes a network in which every layer reads the one before it, and nothing else."""

    def __init__(self, inputs: int = 1) -> None:
        self._net, self._inputs = StrictLayers(inputs), inputs
        self._count = inputs - 1
        self._forms: dict[str, Form] = {}
        self._offsets: dict[str, Any] = {}

    def input(self, axis: int = 0) -> Form:
        """An input, before the first layer."""
        return Form({axis: fmpq(1)})

    def set(self, name: str, form: Form, offset: Any = 0) -> None:
        """From the next layer on, hold this number, which is at least -offset."""
        self._forms[name], self._offsets[name] = form, offset

    def add(self, name: str, form: Form) -> None:
        """Add to a register."""
        self._forms[name] = self._forms[name] + form

    def get(self, name: str) -> Form:
        """What the register is, as a form of the last layer's units."""
        return self._forms[name]

    def has(self, name: str) -> bool:
        """Whether there is such a register."""
        return name in self._forms

    def drop(self, *names: str) -> None:
        """Hold these no longer."""
        for name in names:
            del self._forms[name]

    def layer(self, *others: Form) -> list[Form]:
        """Write a layer of all registers and of the units max(form, 0) for the other forms, which are returned."""
        kept = {name: form + self._offsets[name] for name, form in self._forms.items()}
        units = []
        for form in [*kept.values(), *others]:
            self._count += 1
            units.append((self._count, (form.constant, {self._name(u): w for u, w in form.terms.items()})))
        self._net.relu(**{self._name(number): unit for number, unit in units})
        found = [Form({number: fmpq(1)}) for number, _ in units]
        for name, form in zip(kept, found, strict=False):
            self._forms[name] = form - self._offsets[name]
        return found[len(kept) :]

    def output(self, form: Form) -> Network:
        """The Network with this output."""
        return self._net.output(form.constant, {self._name(u): w for u, w in form.terms.items()})

    def _name(self, unit: int) -> str:
        return input_name(unit) if unit < self._inputs else f"u{unit}"
