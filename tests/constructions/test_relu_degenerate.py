"""Do the builders survive constants, lines, tiny, huge and far domains, kinks and steep functions, within their bounds?"""

import numpy as np
import pytest

from approx import Target
from approx.errors import ApproxError, RegularityError
from constructions.relu.local_taylor import local_taylor
from constructions.relu.piecewise_linear import piecewise_linear
from constructions.relu.piecewise_polynomial import piecewise_polynomial, piecewise_polynomial_weights
from constructions.relu.polynomial import polynomial
from constructions.relu.powers import powers
from constructions.relu.simplicial import simplicial

BUILDERS = [piecewise_linear, piecewise_polynomial, polynomial, powers, simplicial, local_taylor]
CASES = [
    ("1", [(0, 1)]), ("0*x", [(0, 1)]), ("2*x+1", [(-3, 5)]), ("1e-9*exp(x)", [(0, 1)]), ("sin(x)", [(1000000, 1000001)]),
    ("exp(x)", [(0, "1e-9")]), ("abs(x)", [(-1, 1)]), ("max(x,0)**2", [(-1, 1)]), ("1/x", [("1/100", 1)]),
    ("min(x,1-x)*x", [(0, 1)]), ("1", [(0, 1)] * 2), ("x", [(0, 1)] * 2), ("1e6*exp(x*y)", [(0, 1)] * 2),
    ("sin(x-y)", [(1000, 1001), (-5, "1/7")]), ("exp(x)+y**3", [(0, 1), (0, "1e-6")]), ("x*y*z", [(0, 1)] * 3),
]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text,domain", CASES, ids=lambda v: str(v)[:24])
def test_bounds_hold_or_a_typed_error_is_raised(text, domain):
    f = Target(text, domain=domain)
    low, high = f.domain.floats_inside().T
    points = np.random.default_rng(13).uniform(low, high, (4000, f.dimension))
    points[:50], points[50:100] = low, high
    points = points[:, 0] if f.dimension == 1 else points
    scale = max(float(np.abs(f(points)).max()), 1e-3)
    built = 0
    for builder in BUILDERS:
        for eps in (0.5 * scale, 2e-2 * scale):
            try:
                found = builder(f, eps)
            except ApproxError:
                continue
            built += 1
            observed = np.abs(found(points) - f(points)).max()
            assert observed <= found.bound * (1 + 1e-9) + 1e-13 * max(scale, 1.0), builder.__name__
            assert found.bound <= eps
            assert found.budget and found.method and found.statement and found.cite()
    assert built >= 2


def test_one_variable_builders_refuse_two():
    for builder in (piecewise_linear, piecewise_polynomial, polynomial, powers):
        with pytest.raises(RegularityError):
            builder(Target("x*y"), 1e-2)


def test_estimate_is_a_floor():
    for text in ("exp(x)", "sin(2*pi*x)", "sqrt(x)"):
        f = Target(text)
        assert 8 < piecewise_polynomial_weights(f, 1e-4) <= piecewise_polynomial(f, 1e-4).network.size.weights
