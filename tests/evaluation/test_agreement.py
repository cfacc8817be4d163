"""Do exact, ball and float64 evaluation agree within the proved rounding slack? And would a wrong one be caught?"""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq

from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate, evaluate_balls, evaluate_exact, rounding_slack
from approx.evaluation.exact import _compile
from approx.evaluation.slack import UNIT, running_bound
from approx.networks import Builder, Network, dense_block, identity, layer
from approx.networks.samples import random_network
from approx.numbers import to_fmpq, working_precision

BITS = 128


def draw(seed: int) -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng(seed)
    network = random_network(
        rng,
        inputs=int(rng.integers(1, 4)),
        outputs=int(rng.integers(1, 3)),
        hidden_layers=int(rng.integers(0, 6)),
        width=int(rng.integers(1, 7)),
        activations=[("relu",), ("relu", "abs"), ("relu", "identity", "abs", "floor")][seed % 3],
        exponents=float(rng.choice([0, 2, 30, 120])),
        rationals=bool(rng.random() < 0.3),
    )
    scale = 2.0 ** rng.uniform(-30, 30) if seed % 5 == 0 else 1.0
    return network, rng.normal(size=(2, network.inputs)) * scale


def errors_and_slack(network: Network, points: np.ndarray) -> list[tuple[fmpq, float]]:
    """(exact |float64 - exact|, proved slack) of every output at every point."""
    floats = np.asarray(evaluate(network, points)).reshape(len(points), -1)
    slack = np.asarray(rounding_slack(network, points)).reshape(len(points), -1)
    exact = evaluate_exact(network, points.tolist())
    pairs = []
    for i, row in enumerate(exact):
        for j, value in enumerate(row if isinstance(row, list) else [row]):
            if np.isfinite(slack[i, j]):
                pairs.append((abs(to_fmpq(float(floats[i, j])) - value), float(slack[i, j])))
    return pairs


def contains(ball: arb, value: fmpq) -> bool:
    """Containment decided exactly (`ball.contains` rounds a rational to the working precision first)."""
    return abs(value - to_fmpq(ball.mid())) <= to_fmpq(ball.rad())


def test_one_thousand_random_networks() -> None:
    finite = 0
    for seed in range(1000):
        network, points = draw(seed)
        for error, slack in errors_and_slack(network, points):
            finite += 1
            assert error <= to_fmpq(slack), (seed, float(slack))
        with working_precision(BITS):
            balls = evaluate_balls(network, [arb(v) for v in points[0].tolist()])
        exact = evaluate_exact(network, points[:1].tolist())[0]
        for ball, value in zip(balls, exact if isinstance(exact, list) else [exact], strict=True):
            assert contains(ball, value), seed
    assert finite > 2500  # nearly no network overflows, so the bound says something


def test_the_slack_is_not_vacuous() -> None:
    # Shallow networks of moderate weights: the bound stays within a modest factor of a few units in the last place.
    for seed in range(50):
        rng = np.random.default_rng(seed)
        network = random_network(rng, hidden_layers=1, width=8)
        points = rng.normal(size=100)
        slack, scale = rounding_slack(network, points), 1 + np.abs(network(points))
        assert slack.max() < 200 * UNIT * scale.max()


def test_the_slack_has_the_right_order_in_depth() -> None:
    # x -> x/2 + x/2 repeated: exact arithmetic throughout, error 0; the bound grows linearly with the depth only.
    slacks = [rounding_slack(identity(1, depth), np.array([1.0]))[0] for depth in (10, 20, 40)]
    assert slacks[0] < slacks[1] < slacks[2] < 4.5 * slacks[0]


def test_a_slack_that_is_too_small_is_caught() -> None:
    # Planted fault: one percent of the proved bound does not hold everywhere.
    violated = 0
    for seed in range(300):
        network, points = draw(seed)
        violated += sum(error > to_fmpq(slack) / 100 for error, slack in errors_and_slack(network, points) if slack > 0)
    assert violated > 10


def test_forgetting_that_weights_were_rounded_is_caught() -> None:
    # Planted fault: 1/3 x as if the float64 0.333... were meant exactly. At x = 3 the sum itself rounds to the exact 1.
    b = Builder(1)
    network = b.build([b.input() * fmpq(1, 3) + fmpq(2, 3)])
    points = np.random.default_rng(0).uniform(0, 1, 400)
    errors = [
        abs(to_fmpq(float(v)) - e)
        for v, e in zip(network(points), evaluate_exact(network, points.tolist()), strict=True)
    ]
    honest = rounding_slack(network, points)
    careless = running_bound(network, points[:, None], 0.0)[:, 0]
    assert all(e <= to_fmpq(float(s)) for e, s in zip(errors, honest, strict=True))
    assert (careless < honest).all()
    zero = Network(1, [layer("identity", [1 / 3], [], [1])], (fmpq(0), fmpq(1, 3)))
    assert running_bound(zero, np.zeros((1, 1)), 0.0)[0, 0] == 0.0  # the careless bound claims exactness ...
    assert rounding_slack(zero, 0.0) >= float(abs(to_fmpq(1 / 3) - fmpq(1, 3)))  # ... which is false


def test_overflow_and_nan_fail_closed() -> None:
    net = Network(
        1, [layer("relu", [0.0], [dense_block(0, [[1e300]])]), layer("identity", [0.0], [dense_block(1, [[1e300]])])]
    )
    assert rounding_slack(net, [1.0, np.nan, 0.0]).tolist()[:2] == [np.inf, np.inf]
    assert rounding_slack(net, 0.0) == 0.0
    b = Builder(1)
    with pytest.raises(UnsupportedError, match="sin"):
        rounding_slack(b.build([b.unit(b.input(), "sin")]), 0.5)


def test_floor_across_an_integer_counts_the_jump() -> None:
    b = Builder(1)
    net = b.build([b.unit(b.input() * fmpq(1, 3) * 3 + fmpq(1, 7) - fmpq(1, 7), "floor")])
    b2 = Builder(1)
    tenth = b2.build([b2.unit(10 * (b2.input() * fmpq(1, 10) + b2.relu(b2.input() * fmpq(1, 5))) - 3, "floor")])
    assert rounding_slack(net, 0.5) == 0.0
    assert rounding_slack(tenth, 1.0) >= 1.0  # the exact sum is an integer: the rounded one may fall below it


# -- exact ------------------------------------------------------------------------------------------------------------


def test_exact_values_by_hand() -> None:
    b = Builder(1)
    tent = b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - fmpq(1, 2))])
    assert evaluate_exact(tent, [fmpq(1, 3), 0.75, 1]) == [fmpq(2, 3), fmpq(1, 2), fmpq(0)]
    assert evaluate_exact(tent, []) == []
    assert evaluate_exact(tent, np.array([[0.25], [0.5]])) == [fmpq(1, 2), fmpq(1)]
    c = Builder(2)
    two = c.build([c.unit(c.input(0) - c.input(1), "abs"), c.unit(c.input(1) * fmpq(1, 3), "floor")])
    assert evaluate_exact(two, [[fmpq(1, 3), -5]]) == [[fmpq(16, 3), fmpq(-2)]]


def test_the_sawtooth_is_exact_at_any_depth() -> None:
    # Closed form at 1/3: every tent map sends 1/3 to 2/3 and 2/3 to 2/3; float64 loses this after 53 layers.
    layers = [layer("relu", [0.0, -0.5], [dense_block(0, [[1.0], [1.0]])])]
    for k in range(1, 200):
        layers.append(layer("relu", [0.0, -0.5], [dense_block(k, [[2.0, -4.0], [2.0, -4.0]])]))
    layers.append(layer("identity", [0.0], [dense_block(200, [[2.0, -4.0]])]))
    saw = Network(1, layers)
    assert evaluate_exact(saw, [fmpq(1, 3), fmpq(2, 3), fmpq(1, 5), 2.0**-200, 3 * 2.0**-201]) == [
        fmpq(2, 3), fmpq(2, 3), fmpq(4, 5), fmpq(1), fmpq(1, 2)]  # fmt: skip
    assert abs(saw(1 / 3) - 2 / 3) > 0.1


def test_exact_layers_are_dropped_after_their_last_reader_and_no_sooner() -> None:
    network = random_network(np.random.default_rng(4), hidden_layers=9)
    readers: dict[int, int] = {}
    for k, one in enumerate(network.layers):
        readers |= {b.source: k for b in one.blocks}
    dropped = {source: k for k, stage in enumerate(_compile(network)) for source in stage.finished}
    assert dropped == readers and len(readers) > 3


def test_exact_refuses_what_is_not_rational() -> None:
    b = Builder(1)
    with pytest.raises(UnsupportedError, match="tanh"):
        evaluate_exact(b.build([b.unit(b.input(), "tanh")]), [0])
    power = b.build([b.unit(b.input(), "exp2")])
    assert evaluate_exact(power, [-3, 10]) == [fmpq(1, 8), fmpq(1024)]
    for point in (fmpq(1, 2), 10**9):
        with pytest.raises(UnsupportedError, match="2\\^t"):
            evaluate_exact(power, [point])
    for wrong in ([1, 2], "1/2", float("nan"), None):
        with pytest.raises(InputError):
            evaluate_exact(power, [wrong])


# -- balls ------------------------------------------------------------------------------------------------------------


def test_balls_contain_the_image_of_their_points() -> None:
    rng = np.random.default_rng(3)
    for seed in range(100):
        network, points = draw(seed)
        radius = 2.0 ** rng.uniform(-20, 0)
        with working_precision(64):
            balls = evaluate_balls(network, [arb(v, radius) for v in points[0].tolist()])
        inside = [points[0] + radius * rng.uniform(-1, 1, network.inputs) for _ in range(3)]
        for value in evaluate_exact(network, [p.tolist() for p in inside]):
            for ball, v in zip(balls, value if isinstance(value, list) else [value], strict=True):
                assert contains(ball, v)


def test_the_builtin_max_would_be_caught() -> None:
    # Planted trap: max(arb(0), ball) is exactly 0 for a ball around 0, so it misses the values above.
    b = Builder(1)
    net = b.build([b.relu(b.input())])
    with working_precision(64):
        [sound] = evaluate_balls(net, arb(0, 1))
        unsound = max(arb(0), arb(0, 1))
    assert sound.contains(fmpq(1)) and not unsound.contains(fmpq(1))


@pytest.mark.parametrize("name", ["sin", "arcsin", "exp2", "tanh", "sigmoid", "floor", "exp", "softplus", "gelu", "arctan"])
def test_balls_of_other_activations_contain_the_float_values(name: str) -> None:
    b = Builder(1)
    net = b.build([b.unit(b.input() * 0.75, name)])
    for t in np.linspace(-1.2, 1.2, 13).tolist():
        with working_precision(100):
            [ball] = evaluate_balls(net, arb(t, 1e-6))
        assert ball.contains(arb(net(t))) and ball.rad() < 1.1


def test_balls_fail_closed_and_follow_the_precision() -> None:
    b = Builder(1)
    net = b.build([b.unit(b.input(), "arcsin") * fmpq(1, 3)])
    with working_precision(64):
        assert evaluate_balls(net, arb(2))[0].is_nan()
        coarse = evaluate_balls(net, arb(0.5))[0]
    with working_precision(300):
        fine = evaluate_balls(net, [fmpq(1, 2)])[0]
    assert fine.rad() * 2**200 < coarse.rad() and coarse.contains(fine)
    with pytest.raises(InputError, match="point"):
        evaluate_balls(net, [arb(0), arb(1)])


def test_a_network_with_cached_balls_still_pickles() -> None:
    import pickle

    b = Builder(1)
    net = b.build([b.relu(b.input() * fmpq(1, 3))])
    with working_precision(64):
        evaluate_balls(net, arb(1))
    net(0.5), evaluate_exact(net, [1])
    assert pickle.loads(pickle.dumps(net)) == net


def test_the_slack_holds_for_long_rows() -> None:
    rng = np.random.default_rng(8)
    hidden = layer("relu", rng.normal(size=400), [dense_block(0, rng.normal(size=(400, 1)))])
    net = Network(1, [hidden, layer("identity", [0.1], [dense_block(1, rng.normal(size=(1, 400)))])])
    pairs = errors_and_slack(net, rng.normal(size=(20, 1)))
    assert all(error <= to_fmpq(slack) for error, slack in pairs)
    assert max(error for error, _ in pairs) > to_fmpq(max(slack for _, slack in pairs)) / 1000


def test_the_slack_is_zero_where_float64_is_exact() -> None:
    # Powers of two and dyadic points: a sawtooth rounds nowhere, and the bound knows it.
    layers = [layer("relu", [0.0, -0.5], [dense_block(0, [[1.0], [1.0]])])]
    layers += [layer("relu", [0.0, -0.5], [dense_block(k, [[2.0, -4.0], [2.0, -4.0]])]) for k in range(1, 20)]
    saw = Network(1, [*layers, layer("identity", [0.0], [dense_block(20, [[2.0, -4.0]])])])
    points = np.arange(257) / 256
    assert rounding_slack(saw, points).max() < 1e-290 and evaluate_exact(saw, points.tolist()) == [
        to_fmpq(v) for v in saw(points)
    ]
    assert running_bound(saw, points[:, None], 0.0, any_order=True).max() > 1e-12
