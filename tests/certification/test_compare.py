"""Are distances of networks, norms and ranges enclosed, and is a change of one weight seen?"""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq

import approx
from approx import Budget, Network, Target
from approx.certification.compare import difference
from approx.errors import DomainError, InputError
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Layer, Values, affine, compose, dense_block, identity, layer, stack
from approx.numbers import to_fmpq


def perceptron(rng: np.random.Generator, sizes: tuple[int, ...], name: str = "relu") -> Network:
    layers = []
    for k, units in enumerate(sizes[1:]):
        matrix = rng.normal(size=(units, sizes[k])) * 1.4 / np.sqrt(sizes[k])
        activation = name if k < len(sizes) - 2 else "identity"
        layers.append(layer(activation, 0.5 * rng.normal(size=units), [dense_block(k, matrix)]))
    return Network(sizes[0], layers)


def with_weights(network: Network, change) -> Network:  # type: ignore[no-untyped-def]
    """The network with change(weights) in place of every array of weights."""
    layers = []
    for l in network.layers:
        blocks = [type(b)(b.source, b.indptr, b.indices, Values(change(b.values.floats))) for b in l.blocks]
        layers.append(Layer(l.activation, Values(change(l.bias.floats)), tuple(blocks)))
    return Network(network.inputs, layers)


def rounded(network: Network) -> Network:
    return with_weights(network, lambda w: w.astype(np.float32).astype(np.float64))


def with_one_weight(network: Network, k: int, place: int, by: float) -> Network:
    layers = list(network.layers)
    b = layers[k].blocks[0]
    moved = b.values.floats.copy()
    moved[place] += by
    layers[k] = Layer(layers[k].activation, layers[k].bias, (type(b)(b.source, b.indptr, b.indices, Values(moved)),))
    return Network(network.inputs, layers)


CASES = [(1, "relu"), (1, "tanh"), (2, "relu"), (2, "gelu"), (2, "abs"), (2, "sin"), (3, "sigmoid")]


@pytest.mark.parametrize(("dimension", "name"), CASES)
def test_networks_with_rounded_weights(dimension: int, name: str) -> None:
    rng = np.random.default_rng(dimension)
    network = perceptron(rng, (dimension, 8, 8, 1), name)
    box = [(-1, 1)] * dimension
    found = approx.compare(network, rounded(network), box, rtol=0.1, budget=Budget(seconds=30, regions=200_000))
    assert found.status == "tight" and 1e-9 < found.lower <= found.upper <= 1.1 * found.lower < 1e-5
    assert found.check() and found.check("regions")
    points = rng.uniform(-1, 1, size=(100, dimension))
    if name in ("relu", "abs"):
        pairs = zip(evaluate_exact(network, points), evaluate_exact(rounded(network), points), strict=True)
        assert max(abs(a - b) for a, b in pairs) <= to_fmpq(found.upper)


@pytest.mark.parametrize(("k", "name"), [(0, "relu"), (1, "relu"), (2, "relu"), (0, "tanh"), (2, "sin")])
def test_one_altered_weight_is_seen(k: int, name: str) -> None:
    # Mutation: the smallest change that float64 holds, and a large one.
    network = perceptron(np.random.default_rng(3), (2, 6, 6, 1), name)
    box = [(-1, 1)] * 2
    assert approx.compare(network, network, box).upper == 0.0
    for by in (2.0**-40, 0.25):
        found = approx.compare(
            network, with_one_weight(network, k, 0, by), box, rtol=0.2, budget=Budget(regions=100_000)
        )
        assert network == perceptron(np.random.default_rng(3), (2, 6, 6, 1), name)  # untouched by the comparison
        assert 0 < found.lower <= found.upper <= 1.2 * found.lower and found.lower < 10 * by


def test_metamorphic_relations() -> None:
    rng = np.random.default_rng(4)
    a, b = perceptron(rng, (2, 7, 1)), perceptron(rng, (2, 5, 5, 1))
    box, options = [(-1, 1)] * 2, {"rtol": 0.02, "budget": Budget(regions=300_000)}
    base = approx.compare(a, b, box, **options)

    def consistent(other: approx.Certificate, factor: float = 1.0) -> bool:
        return other.lower <= base.upper * factor and base.lower * factor <= other.upper

    assert base.status == "tight"
    assert consistent(approx.compare(b, a, box, **options))
    assert consistent(approx.compare(8 * a, 8 * b, box, **options), 8.0)
    shift = perceptron(rng, (2, 4, 1))
    assert consistent(approx.compare(a + shift, b + shift, box, **options))
    padded = compose(identity(1, 2), a)
    assert consistent(approx.compare(padded, b, box, **options))
    # An affine change of the domain, and the domain cut in two.
    double = affine([[2, 0], [0, 2]], [-1, -1])
    assert consistent(approx.compare(compose(a, double), compose(b, double), [(0, 1)] * 2, **options))
    halves = [approx.compare(a, b, [side, (-1, 1)], **options) for side in ((-1, 0), (0, 1))]
    assert max(h.lower for h in halves) <= base.upper and base.lower <= max(h.upper for h in halves)


def test_shared_units_are_one_unit() -> None:
    network = perceptron(np.random.default_rng(5), (2, 9, 9, 1))
    assert difference(network, network).size.weights == 0
    last = with_one_weight(network, 2, 3, 1.0)
    apart = difference(last, network)
    assert apart.size.units <= 10
    [value] = evaluate_exact(apart, [[fmpq(1, 3), fmpq(1, 7)]])
    assert (
        value
        == evaluate_exact(last, [[fmpq(1, 3), fmpq(1, 7)]])[0] - evaluate_exact(network, [[fmpq(1, 3), fmpq(1, 7)]])[0]
    )


def test_difference_models_need_not_be_dyadic() -> None:
    # 1/3 and its nearest float64 differ by less than any rounding of float64: the exact weights count.
    def net(slope: fmpq | float) -> Network:
        b = Builder(2)
        return b.build([b.relu(b.relu(b.input(0) * slope + b.input(1)) - fmpq(1, 5))])

    found = approx.compare(net(fmpq(1, 3)), net(1 / 3), [(0, 1)] * 2, rtol=1e-3)
    exact = abs(fmpq(1, 3) - to_fmpq(1 / 3))
    assert to_fmpq(found.lower) <= exact <= to_fmpq(found.upper) and found.upper <= 1.001 * found.lower


def test_range_and_norm() -> None:
    b = Builder(1)
    zigzag = b.build([b.relu(b.input()) - 3 * b.relu(b.input() - 1) + 4 * b.relu(b.input() - fmpq(9, 4)) - fmpq(1, 7)])
    found = approx.bound(zigzag, (0, 3), rtol=1e-6)
    low, high = fmpq(1) - fmpq(5, 2) - fmpq(1, 7) + fmpq(0), fmpq(1) - fmpq(1, 7)
    least = min(evaluate_exact(zigzag, [0, fmpq(9, 4), 3]))
    assert least == fmpq(-3, 2) - fmpq(1, 7) == low
    for value, (below, above) in ((low, found.minimum), (high, found.maximum)):
        assert to_fmpq(below) <= value <= to_fmpq(above) and above - below < 1e-5
    assert [v for v in evaluate_exact(zigzag, [found.at_maximum])] == [high]
    norm = approx.sup(zigzag, (0, 3), rtol=1e-6)
    assert to_fmpq(norm.lower) <= -low <= to_fmpq(norm.upper)


@pytest.mark.parametrize("name", ["relu", "tanh", "sin", "softplus"])
def test_random_ranges_hold_and_are_sharp(name: str) -> None:
    rng = np.random.default_rng(6)
    network = perceptron(rng, (2, 8, 8, 1), name)
    found = approx.bound(network, [(-1, 1)] * 2, rtol=0.01)
    values = network(rng.uniform(-1, 1, size=(20_000, 2)))
    assert found.lower <= values.min() and values.max() <= found.upper
    width = found.upper - found.lower
    assert found.minimum[1] - found.minimum[0] + found.maximum[1] - found.maximum[0] < 0.05 * max(
        width, abs(found.lower), abs(found.upper)
    )


def test_range_of_what_is_not_bounded() -> None:
    b = Builder(1)
    found = approx.bound(b.build([b.unit(2 * b.input(), "arcsin")]), (0, 1), budget=Budget(regions=100))
    assert (found.lower, found.upper) == (-np.inf, np.inf)


def test_vector_outputs() -> None:
    b = Builder(1)
    x = b.input()
    network = b.build([x, 2 * b.relu(x) - fmpq(1, 8), 3 * x])
    found = approx.certify(network, ["x**2", "2*x", "3*x"], (0, 1), rtol=1e-6)
    assert found.lower <= 0.25 <= found.upper and found.status == "tight" and found.output == 0
    assert len(found.parts) == 3 and found.parts[1].lower <= 0.125 <= found.parts[1].upper
    assert found.check("full") and "x**2" in found.target_text
    again = type(found).from_dict(found.to_dict(), network, [p.target for p in found.parts])
    assert again == found
    from dataclasses import replace

    assert not replace(found, upper=0.125).check() and not replace(found, lower=0.5, upper=0.6).check()
    assert not replace(found, network=stack([network, network])).check()
    norm = approx.sup(network, (0, 1))
    assert norm.lower <= 3 <= norm.upper
    apart = approx.compare(network, rounded(network), (0, 1))
    assert apart.upper == 0


def test_relative_error_in_closed_form() -> None:
    # f = 1 + x, net = 1 + x + x/8: the relative error x / (8 (1 + x)) is largest at 1, where it is 1/16.
    b = Builder(1)
    network = b.build([b.relu(b.input()) * fmpq(9, 8) + 1])
    for sign in (1, -1):
        target = Target(f"{sign}*(1+x)", (0, 1))
        found = approx.certify(sign * network, target, norm="rel", rtol=1e-3)
        assert found.lower <= 1 / 16 <= found.upper <= 1.001 / 16 and found.status == "tight" and found.norm == "rel"
        assert found.check() and found.check("regions") and found.check("full")
        from dataclasses import replace

        assert not replace(found, upper=0.0624, lower=0.06).check("full")
        assert not replace(found, lower=0.0626, upper=0.07).check()
    exponential = approx.certify(network, Target("exp(x)", (0, 1)), norm="rel", rtol=1e-3)
    t = np.linspace(0, 1, 2001)
    seen = np.max(np.abs(np.exp(t) - network(t)) / np.exp(t))
    assert exponential.lower <= seen + 1e-12 and seen <= exponential.upper <= 1.002 * seen


def test_relative_error_in_two_variables_and_with_smooth_units() -> None:
    rng = np.random.default_rng(8)
    network = perceptron(rng, (2, 5, 1), "tanh")
    target = Target("3+x*y", [(-1, 1)] * 2)
    found = approx.certify(network, target, norm="rel", rtol=0.05)
    x = rng.uniform(-1, 1, size=(20_000, 2))
    seen = np.max(np.abs(target(x) - network(x)) / np.abs(target(x)))
    assert found.status == "tight" and seen <= found.upper <= 1.1 * seen and found.check("regions")


def test_relative_error_refuses_zeros() -> None:
    b = Builder(1)
    network = b.build([b.relu(b.input())])
    for text in ("x-1/3", "x**2"):
        with pytest.raises(DomainError, match="rel"):
            approx.certify(network, text, norm="rel")
    # A zero that is met by no sampled point is not excluded either: nothing finite is claimed.
    found = approx.certify(network, "(x-1/3)**2", norm="rel", budget=Budget(seconds=2))
    assert found.upper == np.inf and found.status == "budget"


def test_bad_input() -> None:
    b = Builder(1)
    one = b.build([b.relu(b.input())])
    two = perceptron(np.random.default_rng(0), (2, 3, 1))
    for call in (
        lambda: approx.compare(one, two, (0, 1)),
        lambda: approx.compare(one, 3, (0, 1)),  # type: ignore[arg-type]
        lambda: approx.compare(one, one, [(0, 1), (0, 1)]),
        lambda: approx.compare(one, perceptron(np.random.default_rng(0), (1, 3, 2)), (0, 1)),
        lambda: approx.compare(two, perceptron(np.random.default_rng(0), (2, 4, 1)), [(0, 1)] * 2, method="difference"),
        lambda: approx.sup(two, (0, 1)),
        lambda: approx.bound(stack([one, one]), (0, 1)),
        lambda: approx.certify(stack([one, one]), ["x"], (0, 1)),
        lambda: approx.certify(stack([one, one]), "x", (0, 1)),
        lambda: approx.certify(stack([one, one]), [Target("x", (0, 1)), Target("x", (0, 2))]),
        lambda: approx.certify(one, "x", norm="l2"),
        lambda: approx.certify(one, "x", semantics="float16"),
        lambda: approx.certify(3, ["x"], (0, 1)),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError):
            call()
