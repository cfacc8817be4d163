"""Are polygons through given values exact in values, balls and slopes?"""

import numpy as np
import pytest
from flint import arb, fmpq

from approx import Target
from approx.errors import InputError
from approx.numbers import to_fmpq, working_precision
from approx.targets import PolygonTarget


def test_values_balls_and_slopes():
    rng = np.random.default_rng(2)
    values = rng.normal(size=41)
    f = PolygonTarget(values, domain=(-1, 3))
    assert [f.exact(fmpq(-1) + fmpq(k, 10)) for k in range(41)] == [to_fmpq(float(v)) for v in values]
    assert np.allclose(f(np.linspace(-1, 3, 41)), values) and f.assumptions == ()
    steepest = np.abs(np.diff(values)).max() * 10
    assert steepest <= f.lipschitz() <= steepest * (1 + 1e-12)
    with working_precision(80):
        for centre, radius in rng.random((200, 2)) * [4, 0.3] - [1, 0]:
            low, high = max(-1.0, centre - radius), min(3.0, centre + radius)
            box = arb(low).union(arb(high))
            ball, [slope] = f.ball(box), f.slopes_and_norm(box)[0]
            seen = [f.exact(fmpq(*float(t).as_integer_ratio())) for t in np.linspace(low, high, 40)]
            assert all(ball.contains(arb(v)) for v in seen)
            inside = values[(np.linspace(-1, 3, 41) >= low) & (np.linspace(-1, 3, 41) <= high)]
            wide = max([float(v.p) / float(v.q) for v in seen] + inside.tolist()) - min(
                [float(v.p) / float(v.q) for v in seen] + inside.tolist()
            )
            assert float(ball.rad()) <= wide / 2 + 0.03
            first, last = int(np.floor((low + 1) * 10 + 1e-9)), int(np.ceil((high + 1) * 10 - 1e-9))
            for part in np.diff(values)[first:last] * 10:
                assert slope.contains(arb(float(part))) or abs(float(slope.mid()) - part) <= float(slope.rad()) + 1e-12


def test_bad_values_are_refused():
    for bad in ([1.0], [[1.0, 2.0]], [0.0, float("nan")], [0.0, float("inf")]):
        with pytest.raises(InputError, match="values"):
            PolygonTarget(bad)
    with pytest.raises(InputError, match="domain"):
        PolygonTarget([0, 1], domain=[(0, 1), (0, 1)])
    assert isinstance(PolygonTarget([0, 1]), Target)
