"""How networks combine: composition, sums, multiples, stacking, padding, affine maps, all exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from approx.errors import InputError
from approx.networks.builder import Builder, Form, linear_combination
from approx.networks.network import Network
from approx.numbers import exact_scalar, to_fmpq


def _inputs(builder: Builder) -> list[Form]:
    return [builder.input(i) for i in range(builder.inputs)]


def compose(outer: Network, inner: Network) -> Network:
    """outer(inner(x)); the affine maps where they meet merge into one, with exact weights.

    Raises InputError unless inner has as many outputs as outer has inputs. Also written `outer @ inner`.
    """
    if inner.outputs != outer.inputs:
        raise InputError("inner", f"{inner.outputs} outputs", f"{outer.inputs} outputs, one per input of outer")
    b = Builder(inner.inputs)
    return b.build(b.embed(outer, b.embed(inner, _inputs(b))))


def stack(networks: Sequence[Network]) -> Network:
    """x -> (f_1(x), f_2(x), ...): the networks side by side on the same input."""
    if not networks or len({n.inputs for n in networks}) != 1:
        raise InputError(
            "networks", [n.inputs for n in networks], "at least one network, all with the same number of inputs"
        )
    b = Builder(networks[0].inputs)
    return b.build([form for n in networks for form in b.embed(n, _inputs(b))])


def add(first: Network, second: Network) -> Network:
    """first(x) + second(x), hidden units side by side, the output weights exact. Also written `first + second`."""
    if (first.inputs, first.outputs) != (second.inputs, second.outputs):
        raise InputError(
            "second", (second.inputs, second.outputs), f"a network of shape {(first.inputs, first.outputs)}"
        )
    b = Builder(first.inputs)
    pairs = zip(b.embed(first, _inputs(b)), b.embed(second, _inputs(b)), strict=True)
    return b.build([f + g for f, g in pairs])


def scale(factor: Any, network: Network) -> Network:
    """factor * network(x) for an exact scalar. Also written `factor * network`."""
    c = exact_scalar(factor)
    b = Builder(network.inputs)
    return b.build([c * form for form in b.embed(network, _inputs(b))])


def affine(matrix: Any, offset: Any = None) -> Network:
    """The network without hidden units x -> matrix @ x + offset, exact entries."""
    rows = [[to_fmpq(v) for v in row] for row in matrix]
    if not rows or len({len(r) for r in rows}) != 1 or not rows[0]:
        raise InputError("matrix", matrix, "a non-empty rectangular matrix")
    shift = [to_fmpq(v) for v in offset] if offset is not None else [to_fmpq(0)] * len(rows)
    if len(shift) != len(rows):
        raise InputError("offset", len(shift), f"{len(rows)} numbers, one per row")
    b = Builder(len(rows[0]))
    xs = _inputs(b)
    return b.build([linear_combination(zip(row, xs, strict=True), c) for row, c in zip(rows, shift, strict=True)])


def identity(inputs: int, hidden_layers: int = 0) -> Network:
    """x -> x with the given number of ReLU hidden layers, each x = relu(x) - relu(-x)."""
    if hidden_layers < 0:
        raise InputError("hidden_layers", hidden_layers, "0 or more")
    b = Builder(inputs)
    forms = _inputs(b)
    for _ in range(hidden_layers):
        forms = [b.relu(f) - b.relu(-f) for f in forms]
    return b.build(forms)


def pad(network: Network, hidden_layers: int) -> Network:
    """The same function with `hidden_layers` more hidden layers: identity layers after the output."""
    return compose(identity(network.outputs, hidden_layers), network)


def restrict(network: Network, lower: Sequence[Any], upper: Sequence[Any]) -> Network:
    """The network on the unit box: u -> network(lower + (upper - lower) u), exact weights."""
    lo, hi = [to_fmpq(v) for v in lower], [to_fmpq(v) for v in upper]
    if not len(lo) == len(hi) == network.inputs:
        raise InputError("lower, upper", (len(lo), len(hi)), f"{network.inputs} numbers each, one per input")
    matrix = [[hi[i] - lo[i] if i == j else 0 for j in range(len(lo))] for i in range(len(lo))]
    return compose(network, affine(matrix, lo))


# The names of the network-calculus literature.
comp, stk, par, elongate = compose, stack, stack, pad
