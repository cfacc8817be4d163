"""How does a piecewise-linear network become one of another piecewise-linear activation? Exactly (P16 Proposition 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import fmpq

from approx.errors import InputError, UnsupportedError
from approx.networks.builder import Builder, Form, linear_combination
from approx.networks.canonical import CanonicalBuilder, Interval
from approx.networks.layers import PIECEWISE_LINEAR
from approx.networks.network import Network
from approx.networks.piecewise import PiecewiseLinear, is_written
from approx.numbers import to_fmpq


class SizeBound(NamedTuple):
    """What a converted network has at most."""

    weights: int
    units: int


def convert(network: Network, activation: Any, domain: Any = None) -> Network:
    """The same function (on the domain) by a Network whose hidden units all have the activation given, exact weights.

    network: every activation piecewise linear and continuous (relu, abs, identity, or a PiecewiseLinear).
    activation: a PiecewiseLinear, or a name such as "relu", "abs", "leaky-relu", "leaky-relu(1/5)", "hard-tanh".
    domain: an interval (lo, hi) in one variable, else a list of intervals; needed where equality holds on bounded sets only.

    To ReLU: rho(t) = rho(a_1) + sum of at most M + 1 hinges c max(+-(t - a_m), 0): equal everywhere. To rho:

        max(t, 0) = [rho(a + rt/2u) - rho(a - r/2 + rt/2u) - rho(a) + rho(a - r/2)] / ((rho'(a+) - rho'(a-)) r/2u),  |t| <= u,

    with a breakpoint a that has no other within r, and u a power of two above the exact range of t on the domain. With one
    breakpoint and slopes of different size max(t, 0) = (s_1 rho(a + t) + s_0 rho(a - t) - (s_0 + s_1) rho(a)) / (s_1^2 - s_0^2)
    holds for all t (leaky ReLU): no domain is needed. Depth and the absence of skips are kept.

    Guarantee: equality, proved by the identities; `approx.compare(network, converted, domain)` certifies it again, with 0.
    Size: at most k units per unit and k^2 (C + U + O) weights (C connections, U units, O outputs, `conversion_bound`),
    k = M + 1 to ReLU from M breakpoints, 2 from ReLU, their product otherwise. Cost: O(weights) exact operations.
    Raises InputError (activation, a missing or wrong domain), UnsupportedError (an activation that is not piecewise linear).
    Source: P16 Proposition 1; ranges and the case of all t derived.

    >>> b = Builder(1)
    >>> tent = b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - fmpq(1, 2))])
    >>> clipped = convert(tent, "hard-tanh", (0, 1))
    >>> clipped.size.units, float(clipped(0.75))
    (4, 0.5)
    """
    _require_piecewise_linear(network)
    rho = PiecewiseLinear.of(activation)
    if network.activations <= {"identity", rho.name} and not _identity_units(network):
        return network
    ranges = _ranges(network, _box(domain, network.inputs)) if domain is not None else None
    writer = _Writer(network.inputs, rho)
    forms = [writer.builder.input(i) for i in range(network.inputs)]
    hidden = network.size.units
    for number, (name, bias, terms) in enumerate(network.exact_rows()):
        form = linear_combination([(w, forms[u]) for u, w in terms], bias)
        known = ranges[number] if ranges is not None else None
        forms.append(writer.written(name, form, known) if number < hidden else form)
    return writer.builder.build(forms[network.inputs + hidden :])


def conversion_bound(network: Network, activation: Any) -> SizeBound:
    """The proved SizeBound of `convert(network, activation)`: k units per unit, k^2 weights per weight.

    Biases are counted as weights, zero or not, as in the paper. k = (M + 1) * 2, without the second factor to ReLU and
    without the first from it (M breakpoints of the activation with most; identity units count as M = 1).
    """
    _require_piecewise_linear(network)
    rho = PiecewiseLinear.of(activation)
    old = network.activations - {"identity"}
    per_unit = max([1 if n == "relu" else 1 + len(PiecewiseLinear.of(n).breakpoints) for n in old], default=1)
    if _identity_units(network):
        per_unit = max(per_unit, 2)
    k = per_unit * (1 if rho.name == "relu" else 2)
    connections = sum(block.count for layer in network.layers for block in layer.blocks)
    return SizeBound(k**2 * (connections + network.size.units + network.outputs), k * network.size.units)


def native(network: Network) -> Network:
    """The same function with ReLU units in place of activations that are written out; the network itself if it has none."""
    if not any(is_written(name) for name in network.activations):
        return network
    b = Builder(network.inputs)
    forms = [b.input(i) for i in range(network.inputs)]
    hidden = network.size.units
    for number, (name, bias, terms) in enumerate(network.exact_rows()):
        form = linear_combination([(w, forms[u]) for u, w in terms], bias)
        if number < hidden:
            form = _hinge_sum(b, PiecewiseLinear.of(name), form) if is_written(name) else b.unit(form, name)
        forms.append(form)
    return b.build(forms[network.inputs + hidden :])


def _hinge_sum(b: Builder, rho: PiecewiseLinear, t: Form) -> Form:
    return linear_combination([(c, b.relu(sign * (t - a))) for c, sign, a in rho.hinges()], rho.value)


class _Writer:
    """Writes units of any piecewise-linear activation by units of one, each distinct unit once."""

    def __init__(self, inputs: int, rho: PiecewiseLinear) -> None:
        self.builder, self.rho = Builder(inputs), rho
        self._known: dict[Any, Form] = {}

    def written(self, name: str, t: Form, known: Interval | None) -> Form:
        """The form of name(t), t in the interval `known`."""
        if name == "identity":
            pieces, value = [(fmpq(1), 1, fmpq(0)), (fmpq(-1), -1, fmpq(0))], fmpq(0)
        else:
            old = PiecewiseLinear.of(name)
            if old == self.rho:
                return self._unit(t)
            pieces, value = old.hinges(), old.value
        parts = []
        for c, sign, a in pieces:
            bounds = [sign * (end - a) for end in known] if known is not None else None
            parts.append((c, self._relu(sign * (t - a), max(abs(v) for v in bounds) if bounds else None)))
        return linear_combination(parts, value)

    def _unit(self, t: Form) -> Form:
        key = tuple(sorted((u, (int(w.p), int(w.q))) for u, w in t.terms.items())), str(t.constant)
        if key not in self._known:
            self._known[key] = self.builder.unit(t, self.rho.name)
        return self._known[key]

    def _relu(self, t: Form, reach: fmpq | None) -> Form:
        rho, (s0, s1) = self.rho, self.rho.slopes[:2]
        if not t.terms:
            return Form({}, max(t.constant, fmpq(0)))
        if rho.name == "relu":
            return self._unit(t)
        if len(rho.breakpoints) == 1 and s0**2 != s1**2:
            a, scale = rho.breakpoints[0], s1**2 - s0**2
            parts = [(s, self._unit(arg)) for s, arg in ((s1, t + a), (s0, a - t)) if s != 0]
            return linear_combination([(s / scale, unit) for s, unit in parts], -(s0 + s1) * rho.value / scale)
        if reach is None:
            raise InputError("domain", None, f"a box: on all of R^d {rho.name} does not give ReLU exactly")
        if reach == 0:
            return Form()
        a, r, jump = _sharpest(rho, u := _power_of_two(reach))
        share = r / (2 * u)
        top, low = self._unit(share * t + a), self._unit(share * t + a - r / 2)
        scale = jump * share
        return linear_combination([(1 / scale, top), (-1 / scale, low)], (rho(a - r / 2) - rho(a)) / scale)


def _sharpest(rho: PiecewiseLinear, reach: fmpq) -> tuple[fmpq, fmpq, fmpq]:
    """(breakpoint, room around it, jump of the slope): where jump times room is largest, so that weights stay small."""
    found = []
    for m, a in enumerate(rho.breakpoints):
        others = [abs(p - a) for p in rho.breakpoints if p != a]
        room, jump = min(others, default=2 * reach), rho.slopes[m + 1] - rho.slopes[m]
        found.append((abs(jump) * room, -m, (a, room, jump)))
    return max(found)[2]


def _power_of_two(value: fmpq) -> fmpq:
    """The least power of two that is at least the positive value (2^-e for values below 1)."""
    power = fmpq(2) ** (int(value.p).bit_length() - int(value.q).bit_length() - 1)
    while power < value:
        power *= 2
    return power


def _identity_units(network: Network) -> bool:
    return any(layer.activation == "identity" for layer in network.layers[:-1])


def _require_piecewise_linear(network: Network) -> None:
    if not isinstance(network, Network):
        raise InputError("network", network, "a Network")
    refused = sorted(n for n in network.activations if n not in PIECEWISE_LINEAR and not is_written(n))
    if refused:
        raise UnsupportedError(f"conversion needs piecewise-linear continuous activations; got {', '.join(refused)}")
    if not network.tags["rational"]:
        raise UnsupportedError("conversion needs rational weights; the network has closed-form ones")


def _box(domain: Any, inputs: int) -> list[Interval]:
    sides = [domain] if inputs == 1 and len(domain) == 2 and not isinstance(domain[0], Sequence) else list(domain)
    box = [(to_fmpq(a), to_fmpq(b)) for a, b in sides]
    if len(box) != inputs or any(a > b for a, b in box):
        raise InputError("domain", domain, f"{inputs} intervals (lo, hi), one per input")
    return box



def _ranges(network: Network, box: list[Interval]) -> list[Interval]:
    sums: list[Interval] = []
    CanonicalBuilder(box).outputs(network, sums)
    return sums
