"""Are composition, sums, multiples, stacking, padding and affine maps exact, in value and in size?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flint import fmpq

from approx.certification import certify
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import (
    Builder,
    Form,
    Network,
    add,
    affine,
    comp,
    compose,
    elongate,
    identity,
    linear_combination,
    pad,
    par,
    restrict,
    scale,
    stack,
    stk,
)
from approx.networks.samples import random_network

POINTS = [fmpq(-7, 3), fmpq(-1, 2), fmpq(0), fmpq(1, 7), fmpq(1, 3), fmpq(5, 2)]


def pair(seed: int, inputs: int = 1, outputs: int = 1) -> tuple[Network, Network]:
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "activations": ("relu", "abs", "identity")}
    return (
        random_network(rng, hidden_layers=int(rng.integers(0, 4)), rationals=seed % 2 == 0, **options),
        random_network(rng, hidden_layers=int(rng.integers(0, 4)), rationals=seed % 3 == 0, **options),
    )


def values(network: Network) -> list[Any]:
    return evaluate_exact(network, POINTS if network.inputs == 1 else [[p, p * p - 1] for p in POINTS])


@pytest.mark.parametrize("seed", range(25))
def test_values_are_exact(seed: int) -> None:
    f, g = pair(seed)
    at = values(f)
    assert values(g @ f) == evaluate_exact(g, at) == values(compose(g, f))
    assert values(f + g) == [a + b for a, b in zip(at, values(g), strict=True)] == values(add(f, g))
    assert values(f - g) == [a - b for a, b in zip(at, values(g), strict=True)]
    assert values(fmpq(-2, 3) * f) == [fmpq(-2, 3) * a for a in at] == values(scale(fmpq(-2, 3), f))
    assert values(-f) == [-a for a in at]
    assert values(stack([f, g, f])) == [[a, b, a] for a, b in zip(at, values(g), strict=True)]
    assert values(pad(f, 3)) == at
    assert evaluate_exact(restrict(f, [fmpq(1, 3)], [2]), [fmpq(1, 5)]) == evaluate_exact(
        f, [fmpq(1, 3) + fmpq(5, 3) / 5]
    )


@pytest.mark.parametrize("seed", range(8))
def test_several_inputs_and_outputs(seed: int) -> None:
    f, g = pair(seed, 2, 2)
    assert values(g @ f) == evaluate_exact(g, values(f))
    assert values(f + g) == [
        [a + b for a, b in zip(u, v, strict=True)] for u, v in zip(values(f), values(g), strict=True)
    ]


def test_adjacent_affine_maps_merge() -> None:
    inner, outer = affine([[2, fmpq(1, 3)], [0, 1]], [1, -1]), affine([[1, 1]], [fmpq(1, 2)])
    merged = outer @ inner
    assert merged.size[:4] == (3, 0, 0, 0)
    assert merged == affine([[2, fmpq(4, 3)]], [fmpq(1, 2)])
    b = Builder(1)
    tent = b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)])
    assert (affine([[3]]) @ tent).size == scale(3, tent).size and (tent @ identity(1)) == tent
    assert (0 * tent).size.units == 0  # what nobody reads is gone


def test_padding_counts() -> None:
    b = Builder(1)
    net = b.build([b.relu(b.input())])
    assert pad(net, 0) == net and pad(net, 5).size.hidden_layers == 6
    assert identity(2, 3).size[:4] == (4 + 2 * 8 + 4, 12, 3, 4)


def test_aliases_of_the_literature() -> None:
    assert (comp, stk, par, elongate) == (compose, stack, stack, pad)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f, g: compose(f, g),
        lambda f, g: f + g,
        lambda f, g: stack([]),
        lambda f, g: stack([f, g]),
        lambda f, g: affine([]),
        lambda f, g: affine([[1], [1, 2]]),
        lambda f, g: affine([[1]], [1, 2]),
        lambda f, g: restrict(f, [0], [1, 2]),
        lambda f, g: restrict(f, [0, 0], [1, 2]),
        lambda f, g: pad(f, -1),
        lambda f, g: Builder(1).input(1),
        lambda f, g: Builder(1).embed(g, []),
        lambda f, g: scale(float("nan"), f),
        lambda f, g: scale("2", f),
    ],
)
def test_misfits_are_refused(wrong: Callable[[Network, Network], Any]) -> None:
    with pytest.raises(InputError):
        wrong(identity(1), identity(2))


def test_operators_with_other_types_are_type_errors() -> None:
    net = identity(1)
    for wrong in (lambda: net + 3, lambda: net - "a", lambda: net @ 2):  # type: ignore[operator]
        with pytest.raises(TypeError):
            wrong()
    assert (net == 3) is False
    product = np.float64(2.0) * net
    assert isinstance(product, Network) and product(3.0) == 6.0


def test_forms() -> None:
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    form = 1 - (2 * x - fmpq(1, 3) * y) * 3 + x
    assert form.terms == {0: fmpq(-5), 1: fmpq(1)} and form.constant == 1
    assert (x - x).terms == {} and linear_combination([(1, x), (-1, x)], 2).terms == {}
    assert (x * 0).terms == {} and Form(constant=0.1).constant == fmpq(*(0.1).as_integer_ratio())
    assert evaluate_exact(b.build([form]), [[1, 2]]) == [fmpq(-2)]


def test_the_builder_places_units_and_drops_what_nobody_reads() -> None:
    b = Builder(1)
    x = b.input()
    first = b.relu(x)
    second = b.relu(first - 1)
    b.relu(second - 7)  # read by nobody
    net = b.build([second + first + 3 * x])  # skips from the input and from the first layer
    assert [l.units for l in net.layers] == [1, 1, 1] and [blk.source for blk in net.layers[-1].blocks] == [0, 1, 2]
    assert net(3.0) == 2.0 + 3.0 + 9.0
    assert b.build([x]).size.units == 0
    constant = b.build([Form(constant=fmpq(1, 3))])
    assert evaluate_exact(constant, [5]) == [fmpq(1, 3)] and constant.size.weights == 1


def test_weights_beyond_float64() -> None:
    b = Builder(1)
    net = b.build([b.input() * fmpq(1, 10**400) + 1])
    assert evaluate_exact(net, [10**400]) == [fmpq(2)] and net.size.weights == 2
    huge = b.build([b.input() * fmpq(10) ** 400])
    assert evaluate_exact(huge, [fmpq(1, 10**400)]) == [fmpq(1)] and huge.tags["lipschitz"] == float("inf")
    with pytest.raises(UnsupportedError, match="evaluate_precisely"):
        huge(0.5)
    with pytest.raises(UnsupportedError, match="range of float64"):
        certify(huge, "x")


def test_a_wrong_composition_is_caught() -> None:
    # Planted fault: composing in the wrong order, or forgetting the inner bias, changes exact values.
    f, g = pair(3)
    assert values(f @ g) != values(g @ f)
    stripped = Network(
        f.inputs, [type(l)(l.activation, type(l.bias)(l.bias.floats * 0), l.blocks) for l in f.layers], f.pool
    )
    assert values(g @ stripped) != values(g @ f)
