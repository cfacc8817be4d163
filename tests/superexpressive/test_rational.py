"""What do rounded weights and imitated units change? Never more than was proved, on ramps and folds too; faults show."""

import pytest
from flint import arb, fmpq

import approx
from approx import Target
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_precisely
from approx.networks import Builder
from approx.numbers import working_precision
from constructions.superexpressive import rational_weights, sigma3, sin_arcsin, sin_floor
from constructions.superexpressive._perturbation import Errors, output_error
from constructions.superexpressive.rational import rounded, rounding_effect

CASES = [
    (Target("sin(pi*x)/2"), 1e-2, {}),
    (Target("exp(x)", (-1, 2)), 1e-2, {"order": 2}),
    (Target("x*y", [(0, 1), (0, 1)]), 1e-1, {}),
]


def delicate_points(a):
    """Nodes, places inside the ramps around them, and points between: where folds and staircases are at their worst."""
    p = a.parameters
    eta, cells = fmpq(1, 2 ** int(p["eta"][3:])), p["cells"][0]
    (low, high), *rest = a.target.domain
    places = [fmpq(k) + s * eta for k in range(0, cells + 1) for s in (0, fmpq(1, 3), fmpq(-1, 2), 1, 2, -3)]
    inside = [t / cells for t in [*places, fmpq(1, 3), fmpq(7, 5)] if 0 <= t <= cells]
    return [[low + (high - low) * t, *((a + b) / 3 for a, b in rest)] for t in inside]


@pytest.mark.parametrize(("target", "eps", "options"), CASES)
def test_rounding_changes_no_more_than_was_proved(target, eps, options, tmp_path):
    exact = sin_arcsin(target, eps, **options)
    a = rational_weights(exact)
    effect = a.budget[-1].value
    assert a.network.tags["rational"] and a.bound <= 1.002 * exact.bound and effect > 0
    points = delicate_points(exact)
    pairs = zip(evaluate_precisely(a.network, points, 90), evaluate_precisely(exact.network, points, 90), strict=True)
    assert all(abs(x - y) <= effect for x, y in pairs)
    a.save(tmp_path / "a.approx")
    again = approx.load(tmp_path / "a.approx")
    assert again.certify().upper == a.certify().upper <= a.bound


def test_coarser_rounding_has_a_larger_bound_and_is_seen():
    f = Target("sin(pi*x)/2")
    exact = sin_arcsin(f, 1e-2)
    effects = [rounding_effect(exact.network, f, bits) for bits in (300, 200, 150)]
    assert effects == sorted(effects)
    with pytest.raises(InputError, match="bits"):
        rational_weights(exact, bits=10)
    # Planted fault: rounded too far, the network is another one, and is not certified as this one.
    coarse = rounded(exact.network, 40)
    points = [[fmpq(k, 37)] for k in range(1, 37)]
    values = zip(evaluate_precisely(coarse, points), evaluate_precisely(exact.network, points), strict=True)
    assert max(float(abs(x - y).lower()) for x, y in values) > 1e-2
    certificate = approx.certify(coarse, f)
    assert certificate.upper == float("inf") and certificate.lower == 0
    with pytest.raises(UnsupportedError, match="sin-arcsin"):
        rational_weights(sin_floor(f, 1e-1))


def test_sigma3_changes_no_more_than_was_proved():
    f = Target("sin(pi*x)/2")
    a = sigma3(f, 2e-2)
    base = sin_arcsin(f, 2e-2 * (1 - 2.0**-9))
    points = delicate_points(base)[:40]
    pairs = zip(evaluate_precisely(a.network, points, 90), evaluate_precisely(base.network, points, 90), strict=True)
    gaps = [abs(x - y) for x, y in pairs]
    with working_precision(100):
        assert all(gap <= arb(a.budget[-1].value) for gap in gaps) and max(float(g.mid()) for g in gaps) > 0


def test_followed_errors_cover_what_happens_at_a_fold():
    """arcsin(sin(x)) near x = pi/2 with a sine that is off by 10^-6: the root of twice that, not less."""
    b = Builder(1)
    folded = b.build([b.unit(b.unit(b.input(), "sin"), "arcsin")])
    sine, free = arb(fmpq(1, 10**6)), arb("inf")
    with working_precision(100):
        errors = Errors(sine, arb(0), arb(0), lambda w: arb(0), reach=free, limit=arb(1))
        bound = output_error(folded, Target("x", (0, 2)), errors)
        assert (2 * sine).sqrt() <= bound <= 3 * sine.sqrt()
        wide = Errors(sine, arb(0), arb(0), lambda w: arb(fmpq(1, 10**3)), reach=free, limit=arb(1))
        assert output_error(folded, Target("x", (0, 2)), wide) >= arb(fmpq(2, 10**3))
        narrow = Errors(sine, arb(0), arb(0), lambda w: arb(0), reach=arb(1), limit=arb(1))
        assert not output_error(folded, Target("x", (0, 2)), narrow).is_finite()
