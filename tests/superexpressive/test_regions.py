"""Does the region-by-region proof, which knows nothing of tables, agree with the structural one, and does it see faults?"""

import dataclasses

import pytest
from flint import fmpq

from approx import Target
from approx.errors import UnsupportedError
from approx.networks import Network
from approx.numbers import ClosedForm
from constructions.superexpressive import region_bound, sigma3, sin_arcsin


@pytest.mark.parametrize(
    ("text", "eps"), [("sin(pi*x)/2", 1e-2), ("exp(x)", 1e-3), ("abs(x-1/3)", 5e-2), ("sqrt(x)", 1e-1), ("3*x-1", 1e-2)]
)
def test_both_proofs_agree(text, eps):
    f = Target(text)
    a = sin_arcsin(f, eps)
    bound, regions = region_bound(a.network, f)
    assert a.certify().lower <= bound <= a.bound and regions >= 2 * a.parameters["cells"][0]


def test_a_changed_digit_shows():
    """Planted fault: another table in the same network is proved to be what it is, far from the target."""
    f = Target("sin(pi*x)/2")
    a = sin_arcsin(f, 1e-2)
    pool = list(a.network.pool)
    longest = max(range(len(pool)), key=lambda i: pool[i].bits if isinstance(pool[i], ClosedForm) else 0)
    pool[longest] = pool[longest] * fmpq(3)
    bound, _ = region_bound(Network(1, a.network.layers, pool), f)
    assert bound > 5 * a.bound


def test_certificates_are_proved_again_region_by_region():
    f = Target("sin(pi*x)/2")
    a = sin_arcsin(f, 1e-2).certified()
    for level in ("regions", "full"):
        report = a.certificate.check(level)
        assert report and "regions between folds" in str(report)
    lower = dataclasses.replace(a.certificate, upper=a.certificate.lower * 1.0001)
    assert "regions between folds" not in str(lower.check("regions"))
    with pytest.raises(UnsupportedError, match="full"):
        sin_arcsin(f, 1e-2, order=2).certified().certificate.check("full")


def test_networks_of_other_kinds_are_refused():
    f = Target("sin(pi*x)/2")
    for network in (sin_arcsin(f, 1e-2, order=2).network, sigma3(f, 1e-1).network):
        with pytest.raises(UnsupportedError, match="region by region"):
            region_bound(network, f)
    g = Target("x*y")
    with pytest.raises(UnsupportedError, match="one variable"):
        region_bound(sin_arcsin(g, 1e-1).network, g)
