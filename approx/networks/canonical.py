"""When are two piecewise-linear networks the same on a box? When their canonical ReLU forms are: each hinge once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flint import fmpq

from approx.networks.builder import Builder, Form, linear_combination
from approx.networks.network import Network
from approx.networks.piecewise import PiecewiseLinear

Interval = tuple[fmpq, fmpq]


class CanonicalBuilder:
    """Writes piecewise-linear networks by ReLU units in one normal form, over a box, in exact arithmetic.

    A hinge max(t, 0) becomes t or 0 where the exact range of t on the box says so, and otherwise c max(t/c, 0), c the size
    of t's first weight; equal units are one unit, and max(-t, 0) is max(t, 0) - t where max(t, 0) is there. Networks that
    differ by such rewriting only (a network and what `convert` makes of it) get equal output forms: their difference is 0.
    """

    def __init__(self, box: Sequence[Interval]) -> None:
        self.builder = Builder(len(box))
        self._range: dict[int, Interval] = dict(enumerate(box))
        self._known: dict[Any, Form] = {}

    def outputs(self, network: Network, sums: list[Interval] | None = None) -> list[Form]:
        """The output forms of the network, all of whose activations are piecewise linear.

        `sums` collects, per unit in order, an interval that its sum does not leave on the box.
        """
        forms = [self.builder.input(i) for i in range(network.inputs)]
        hidden = network.size.units
        for number, (name, bias, terms) in enumerate(network.exact_rows()):
            form = linear_combination([(w, forms[u]) for u, w in terms], bias)
            if sums is not None:
                sums.append(self.range_of(form))
            forms.append(form if number >= hidden or name == "identity" else self._unit(name, form))
        return forms[network.inputs + hidden :]

    def range_of(self, t: Form) -> Interval:
        """An interval that holds t on the box, from the ranges of the units that it reads."""
        low = high = t.constant
        for unit, weight in t.terms.items():
            ends = [weight * end for end in self._range[unit]]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def _unit(self, name: str, t: Form) -> Form:
        rho = PiecewiseLinear.of(name)
        return linear_combination([(c, self._hinge(sign * (t - a))) for c, sign, a in rho.hinges()], rho.value)

    def _hinge(self, t: Form) -> Form:
        low, high = self.range_of(t)
        if low >= 0:
            return t
        if high <= 0:
            return Form()
        scale = abs(t.terms[min(t.terms)])
        one = t / scale
        opposite = self._known.get(_key(-one))
        if opposite is not None:
            return t + scale * opposite
        key = _key(one)
        if key not in self._known:
            made = self._known[key] = self.builder.relu(one)
            [number] = made.terms
            self._range[number] = fmpq(0), high / scale
        return scale * self._known[key]


def canonical_difference(first: Network, second: Network, box: Sequence[Interval]) -> Network:
    """A network that equals first - second on the box (not beyond it), 0 without units where canonical forms agree.

    >>> b = Builder(1)
    >>> x = b.input()
    >>> size, hinges = b.build([b.unit(x, "abs")]), b.build([b.relu(x) + b.relu(-x)])
    >>> canonical_difference(size, hinges, [(fmpq(-1), fmpq(1))]).size.weights
    0
    """
    writer = CanonicalBuilder(box)
    pairs = zip(writer.outputs(first), writer.outputs(second), strict=True)
    return writer.builder.build([f - g for f, g in pairs])


def _key(t: Form) -> Any:
    terms = tuple(sorted((unit, (int(w.p), int(w.q))) for unit, w in t.terms.items()))
    return terms, (int(t.constant.p), int(t.constant.q))
