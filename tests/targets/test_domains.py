"""Are domains read exactly, and unusable ones refused with a clear line?"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, fmpq

from approx.errors import DomainError, ExpressionError
from approx.numbers import working_precision
from approx.targets import Domain, Target, make_domain


@pytest.mark.parametrize(
    ("given_domain", "lower", "upper"),
    [((0, 1), [0], [1]), ([0, 1], [0], [1]), (("1/3", "0.5"), [fmpq(1, 3)], [fmpq(1, 2)]), ([(0, 1)] * 3, [0] * 3, [1] * 3),
     ((Fraction(1, 7), 2.5), [fmpq(1, 7)], [fmpq(5, 2)]), (np.array([[0, 1], [-1, 1]]), [0, -1], [1, 1]),
     (np.array([0.0, 2.0]), [0], [2]), (((0, 1), (2, 3)), [0, 2], [1, 3]), (("sqrt(4)", "2**3"), [2], [8])],
)  # fmt: skip
def test_exact_ends(given_domain, lower, upper):
    domain = make_domain(given_domain)
    assert list(domain.lower) == lower and list(domain.upper) == upper and not domain.notes


@pytest.mark.parametrize(
    "given_domain",
    [(1, 0), (0, 0), (0, math.nan), (math.nan, 1), (0, math.inf), (-math.inf, 0), (), (1,), (0, 1, 2), "01", 5,
     [(0, 1), (1, 0)], [(0, 1), 3], [(0, 1, 2)], ("a", 1), ("x", 1), ("1/0", 1), ("log(0)", 1), (None, 1), (arb(0, 1), 2),
     (0, "1e99999"), [(0, 1)] * 65],
    ids=repr,
)  # fmt: skip
def test_unusable_domains_are_refused(given_domain):
    with pytest.raises(DomainError, match="domain"):
        Target("x", domain=given_domain)


def test_irrational_ends_are_rounded_inward_and_say_so():
    domain = make_domain(("-pi/4", "sqrt(2)"))
    with working_precision(200):
        assert arb(domain.lower[0]) > -arb.pi() / 4 and arb(domain.upper[0]) < arb(2).sqrt()
        assert arb(domain.lower[0]) + arb.pi() / 4 < arb(2) ** -60
    assert len(domain.notes) == 2 and "irrational" in domain.notes[0]


def test_dimension_comes_from_the_domain_or_the_variables():
    assert Target("x+z").dimension == 3
    assert Target("3").dimension == 1
    assert Target("x", [(0, 1)] * 2).dimension == 2
    with pytest.raises(ExpressionError, match="dimension 1"):
        Target("x*y", (0, 1))
    with pytest.raises(DomainError, match="2 intervals for 3"):
        make_domain([(0, 1)] * 2, 3)


def test_the_box_as_an_object():
    domain = make_domain([("1/3", 1), (0, 2)])
    assert isinstance(domain, Domain) and domain.dimension == len(domain) == 2
    assert list(domain) == [(fmpq(1, 3), fmpq(1)), (fmpq(0), fmpq(2))] and domain[1] == (0, 2)
    assert domain.floats().tolist() == [[1 / 3, 1.0], [0.0, 2.0]]
    assert domain.floats_inside()[0, 0] > 1 / 3 - 1e-17 and fmpq(*domain.floats_inside()[0, 0].as_integer_ratio()) >= fmpq(1, 3)
    assert domain.contains((fmpq(1, 3), 2)) and not domain.contains((fmpq(1, 4), 1)) and not domain.contains((1,))
    assert domain.contains((arb(0.5, 0.1), arb(1))) and not domain.contains((arb(0.5, 0.6), arb(1)))
    assert domain.widths() == (fmpq(2, 3), fmpq(2)) and str(domain) == "[1/3, 1] x [0, 2]"
    assert hash(domain) == hash(make_domain([("1/3", 1), (0, 2)]))
