"""Are weights, units, depth, width and bits counted exactly, on exact zeros?"""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq

from approx.errors import InputError
from approx.networks import Builder, Network, Size, block, dense_block, identity, layer
from approx.networks.samples import random_network


def tent_map() -> Network:
    b = Builder(1)
    return b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)])


def counted_slowly(network: Network) -> Size:
    """The definition, unit by unit, from the exact weights."""
    rows = network.exact_rows()
    hidden = len(rows) - network.outputs
    numbers = [w for _, bias, terms in rows for w in [bias, *(v for _, v in terms)] if w != 0]
    depth = [0] * network.inputs
    for _, _, terms in rows:
        depth.append(1 + max((depth[u] for u, _ in terms), default=0))
    bits = sum(1 + abs(int(w.p)).bit_length() + int(w.q).bit_length() for w in numbers)
    layers = [l.units for l in network.layers[:-1]]
    return Size(
        len(numbers),
        hidden,
        max(depth[network.inputs : network.inputs + hidden], default=0),
        max(layers, default=0),
        bits,
    )


def test_by_hand() -> None:
    # 1 + 1 connections, bias -1/2, then 2 and -4: five weights; bits 1+1+1 each, -1/2: 1+1+2, 2: 1+2+1, 4: 1+3+1.
    assert tent_map().size == Size(weights=5, units=2, hidden_layers=1, width=2, bits=3 + 3 + 4 + 4 + 5)
    assert (tent_map() @ tent_map()).size[:4] == (10, 4, 2, 2)
    assert identity(3).size[:4] == (3, 0, 0, 0)
    b = Builder(1)
    assert b.build([b.input() * fmpq(3, 7)]).size.bits == 1 + 2 + 3


@pytest.mark.parametrize("seed", range(60))
def test_against_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(
        rng, inputs=2, outputs=2, hidden_layers=seed % 5, exponents=float(seed % 4) * 100, rationals=seed % 3 == 0
    )
    slow, fast = counted_slowly(network), network.size
    # The layered count of the depth follows layers, which random rows without entries may undercut.
    assert (slow.weights, slow.units, slow.width, slow.bits) == (fast.weights, fast.units, fast.width, fast.bits)
    assert slow.hidden_layers <= fast.hidden_layers


def test_tiny_weights_count_and_exact_zeros_do_not() -> None:
    # Planted trap: a peer counts |w| <= 1e-6 as zero.
    tiny = Network(1, [layer("identity", [5e-324], [dense_block(0, [[1e-7]])])])
    assert tiny.size.weights == 2
    zeros = Network(2, [layer("identity", [0.0], [block(0, [0, 2], [0, 1], [0.0, -0.0])])])
    assert zeros.size == Size(0, 0, 0, 0, 0) and zeros.layers[0].blocks == ()
    vanished = Network(
        1, [layer("identity", [0.0], [block(0, [0, 1], [0], [0.0], [1])], None)], (fmpq(0), fmpq(1, 2**1080))
    )
    assert vanished.size.weights == 1  # its float64 is zero, the weight is not


def test_bits_of_extreme_floats() -> None:
    for value in (5e-324, 1.7976931348623157e308, 0.1, -3.0, 2.0**60, 1 / 3):
        p, q = value.as_integer_ratio()
        network = Network(1, [layer("identity", [value], [])])
        assert network.size.bits == 1 + abs(p).bit_length() + q.bit_length(), value


def test_layers_of_different_activations_side_by_side_are_one_deep() -> None:
    b = Builder(1)
    x = b.input()
    net = b.build([b.unit(x, "abs") + b.relu(x)])
    assert len(net.layers) == 3 and net.size.hidden_layers == 1


def test_tags() -> None:
    tags = tent_map().tags
    assert tags["piecewise_linear"] and tags["continuous"] and tags["rational"] and tags["dyadic"]
    assert 4 <= tags["lipschitz"] < 6 * (1 + 1e-9)
    b = Builder(1)
    third = b.build([b.unit(b.input() * fmpq(1, 3), "floor")])
    assert not third.tags["continuous"] and not third.dyadic and third.tags["lipschitz"] == np.inf


@pytest.mark.parametrize("seed", range(20))
def test_the_lipschitz_bound_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, inputs=2, activations=("relu", "abs"))
    x, y = rng.normal(size=(2, 200, 2))
    assert (np.abs(network(x) - network(y)) <= network.tags["lipschitz"] * np.abs(x - y).max(axis=1) * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Network(0, [layer("identity", [0.0], [])]),
        lambda: Network(1, []),
        lambda: Network(1, [layer("relu", [0.0], [])]),
        lambda: Network(1, [layer("identity", [], [])]),
        lambda: Network(1, [layer("identity", [0.0], [dense_block(0, [[1.0, 2.0]])])]),
        lambda: Network(1, [layer("identity", [0.0], [dense_block(1, [[1.0]])])]),
        lambda: Network(1, [layer("identity", [0.0], [block(0, [0, 1], [0], [1.0], [3])])], (fmpq(0), fmpq(1))),
        lambda: Network(1, [layer("identity", [0.0], [])], (fmpq(1),)),
        lambda: Network(1, [layer("identity", [1.0], [], [1])], (fmpq(0), fmpq(0))),
        lambda: layer("cube", [0.0], []),
        lambda: layer("relu", [0.0, 1.0], [dense_block(0, [[1.0]])]),
        lambda: layer("relu", [0.0], [dense_block(0, [[1.0]]), dense_block(0, [[2.0]])]),
        lambda: layer("relu", [[0.0]], []),
        lambda: dense_block(0, [[np.nan]]),
        lambda: dense_block(0, [[np.inf]]),
        lambda: dense_block(0, [1.0]),
        lambda: block(0, [0, 2], [0], [1.0]),
        lambda: block(0, [1, 1], [0], [1.0]),
        lambda: block(0, [0, 2, 1], [0], [1.0]),
        lambda: block(0, [], [], []),
        lambda: block(0, [0, 1], [0], [1.0, 2.0]),
        lambda: block(0, [0, 1], [-1], [1.0]),
        lambda: block(0, [0, 1], np.array([2**32]), [1.0]),
        lambda: block(0, [0, 1], [0.5], [1.0]),
        lambda: block(0, [0, 3], [0, 1, 0], [1.0, 2.0, 3.0]),
    ],
)
def test_parts_that_do_not_fit_are_refused(make) -> None:
    with pytest.raises(InputError):
        make()


def test_the_same_column_in_two_rows_is_fine() -> None:
    assert block(0, [0, 2, 2, 4], [1, 0, 0, 1], [1.0, 2.0, 3.0, 4.0]).count == 4


def test_a_network_does_not_change_with_the_arrays_it_was_made_of() -> None:
    bias, values, columns = np.array([1.0]), np.array([2.0]), np.array([0], dtype=np.int32)
    network = Network(1, [layer("identity", bias, [block(0, np.array([0, 1]), columns, values)])])
    bias[0], values[0], columns[0] = 7.0, 7.0, 7
    assert network(1.0) == 3.0


def test_how_it_shows_itself() -> None:
    net = tent_map()
    assert repr(net) == "<Network R^1 -> R^1: 5 weights, 2 units, 1 hidden layers, width 2, relu>"
    text = net.describe()
    assert text.splitlines()[0].startswith("Network R^1 -> R^1, 5 weights") and "reads from" in text
    assert "<table>" in net._repr_html_() and "&lt;Network" in net._repr_html_()
    assert len(identity(1, 500).describe().splitlines()) < 40


def test_flat_form_is_the_same_network() -> None:
    network = random_network(np.random.default_rng(4), inputs=2, outputs=3, hidden_layers=4)
    flat = network.flat
    assert len(flat.bias) == network.size.units + 3 and flat.indptr[-1] == len(flat.values) == len(flat.indices)
    for i, (activation, bias, terms) in enumerate(network.exact_rows()):
        part = slice(flat.indptr[i], flat.indptr[i + 1])
        assert flat.names[flat.activation[i]] == activation and fmpq(*flat.bias[i].as_integer_ratio()) == bias
        assert flat.indices[part].tolist() == [u for u, _ in terms]
        assert [fmpq(*v.as_integer_ratio()) for v in flat.values[part].tolist()] == [w for _, w in terms]
        assert all(u < network.inputs + i for u, _ in terms)
