"""Certificates in two variables by polygons: closed forms, kinks, adversarial networks, and the independent check."""

import dataclasses
import math

import numpy as np
import pytest
from flint import arb, fmpq
from random_networks import any_network, network

from approx import Budget, Target, certify
from approx.certification import check_plane, polygons
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, dense_block, layer
from approx.numbers import to_fmpq, working_precision
from constructions.relu.product import product
from constructions.relu.simplicial import simplicial

SQUARE = [(-1, 1), (-1, 1)]
UNIT = [(0, 1), (0, 1)]
XY = Target("x*y", SQUARE)
TEXTS = (
    "sin(3*x)*y",
    "abs(x-y/3)+x*y",
    "exp(-x**2-3*y**2)",
    "max(x*y,1/7)",
    "sqrt(x+2+y)",
    "1/(3+x+y)",
    "min(abs(x+y-1/3),x**2)",
    "relu(x-1/3)*relu(1/2-y)",
    "x**2-y**2",
    "-exp(x+y)",
)


def zero(inputs=2):
    b = Builder(inputs)
    return b.build([0 * b.input(0)])


def polygon_certificate(net, target, **options):
    return certify(net, target, method="polygons", **options)


def gaps(net, target, points):
    with working_precision(128):
        return [
            float(abs(target.ball([arb(v) for v in p]) - arb(value)).lower())
            for p, value in zip(points, evaluate_exact(net, points), strict=True)
        ]


@pytest.mark.parametrize("m", range(1, 7))
def test_product_network_meets_its_closed_form(m):
    c = polygon_certificate(product(m), XY, rtol=1e-6)
    truth = 4.0 ** -(m + 1)
    assert c.status == "tight" and c.lower <= truth <= c.upper <= truth * (1 + 1e-6)


def test_large_networks_are_checked_where_no_unit_bends(monkeypatch):
    """A rectangle for each sample, in one polygon, next to the witness, which is often where units bend; 64 in all."""
    monkeypatch.setattr(check_plane, "_MOST_TERMS", 10)
    for net, target in ((product(4), XY), (simplicial(Target("abs(x)*y", SQUARE), 0.3).network, Target("abs(x)*y", SQUARE))):
        c = polygon_certificate(net, target)
        report = c.check("regions")
        assert report.ok and "on 64 rectangles (64 exact polygons)" in str(report)
        wrong = dataclasses.replace(c, upper=c.lower / 2, lower=0.0, status="budget")
        assert not wrong.check("regions").ok


def test_no_unit_bends_within_the_distance_that_is_found():
    rows = product(3).exact_rows()
    for point in ((fmpq(1, 3), fmpq(-2, 7)), (fmpq(99, 100), fmpq(1, 1000)), (fmpq(1, 5), fmpq(3, 5))):
        reach = check_plane._unbent(rows, point)
        assert reach > 0
        for share, most in ((fmpq(99, 100), 1), (fmpq(101, 100), 2)):
            (x, y), r = point, reach * share
            square = [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
            assert min(most, sum(1 for _ in check_plane.affine_polygons(rows, square))) == most
    assert check_plane._unbent(rows, (fmpq(0), fmpq(0))) == 0


def test_interpolation_of_a_square_has_error_of_the_grid_width():
    # On a triangle with legs h the error of x^2 + y^2 is largest in the middle of the long side: h^2 / 2.
    net = simplicial(Target("x**2+y**2", UNIT), 1.0, cells=8).network
    c = polygon_certificate(net, Target("x**2+y**2", UNIT), rtol=1e-6)
    assert c.lower <= 1 / 128 <= c.upper <= (1 + 1e-6) / 128


def test_local_patches_are_certified_with_few_polygons():
    f = Target("sin(3*x)*exp(y)", UNIT)
    c = polygon_certificate(simplicial(f, 1.0, cells=8, form="paper").network, f)
    assert c.status == "tight" and c.work["polygons"] < 400 and c.check("regions")


@pytest.mark.parametrize("seed", range(30))
def test_random_pairs_are_tight_and_true(seed):
    rng = np.random.default_rng(seed)
    net = any_network(rng, 2)
    target = Target(TEXTS[seed % len(TEXTS)], SQUARE)
    c = certify(net, target, method="polygons" if seed % 2 else "auto")
    assert c.status == "tight" and c.lower <= c.upper
    points = [[fmpq(int(t), 2**19) for t in row] for row in rng.integers(-(2**19), 2**19, (40, 2))]
    assert max(gaps(net, target, points)) <= c.upper
    report = c.check("full")
    assert report, report


def test_auto_takes_rectangles_for_easy_networks_and_polygons_for_hard_ones():
    easy = network(np.random.default_rng(1), 2, [32, 32])
    assert "rectangles" in certify(easy, Target("x*y", SQUARE), rtol=0.05).method
    f = Target("sin(3*x)*exp(y)", UNIT)
    assert "polygons" in certify(simplicial(f, 1.0, cells=8).network, f).method


# -- kinks and poles of f ------------------------------------------------------------------------------------------------

SINGULAR = [
    ("abs(x-y/3)", UNIT, 1.0),
    ("max(x,y)-(x+y)/2", UNIT, 0.5),
    ("abs(x**2+y**2-1/2)", SQUARE, 1.5),
    ("1/10-abs(x**2+y**2-1/2)", UNIT, 1.4),
    ("sqrt(x+y)", UNIT, math.sqrt(2)),
    ("sqrt(x**2+y**2)", SQUARE, math.sqrt(2)),
    ("abs(abs(x-1/3)-abs(y-1/7))", UNIT, 6 / 7),
    ("1/(x+y+1/1000)", UNIT, 1000.0),
]


@pytest.mark.parametrize("text, domain, truth", SINGULAR)
def test_kinks_off_the_grid_are_resolved(text, domain, truth):
    c = polygon_certificate(zero(), Target(text, domain), budget=Budget(regions=400_000))
    assert c.status == "tight" and c.lower <= truth * (1 + 1e-12) and truth * (1 - 1e-12) <= c.upper


def test_a_kink_is_followed_to_high_accuracy():
    # The network is max(x, y/3) but for a shift of the kink by 2^-20: an error of about 2^-20 along a line.
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    net = b.build([b.relu(x - y * fmpq(1, 3) - fmpq(1, 2**20)) + y * fmpq(1, 3)])
    c = polygon_certificate(net, Target("max(x,y/3)", UNIT), rtol=1e-3)
    assert c.status == "tight" and c.lower <= 2.0**-20 <= c.upper <= 1.001 * 2.0**-20
    assert c.work["polygons"] < 2000


@pytest.mark.parametrize("text", ["1/(x+y)", "1/(x**2+y**2)", "log(x+1)"])
def test_a_pole_gives_infinity(text):
    c = polygon_certificate(zero(), Target(text, SQUARE), budget=Budget(regions=10_000))
    assert c.upper == math.inf and c.status == "budget"


def test_a_spike_between_samples_is_seen():
    b = Builder(2)
    x = b.input(0)
    at, width = fmpq(1, 3), fmpq(1, 10**12)
    hat = [b.relu((x - at + shift) * (1 / width)) for shift in (width, 0, -width)]
    net = b.build([hat[0] - 2 * hat[1] + hat[2]])
    rng = np.random.default_rng(0)
    assert np.abs(net(rng.uniform(0, 1, (10_000, 2)))).max() < 0.01
    for method in ("polygons", "auto"):
        c = certify(net, Target("0*x*y", UNIT), method=method)
        assert c.upper >= 1.0 and c.upper < 1.1


# -- adversarial networks -------------------------------------------------------------------------------------------------


def two_layers(weights, bias, out, skip=(0.0, 0.0)):
    hidden = layer("relu", bias, [dense_block(0, weights)])
    return Network(2, [hidden, layer("identity", [0.0], [dense_block(0, [skip]), dense_block(1, [out])])])


def contains(c, value, rtol=1e-9):
    return to_fmpq(c.lower) <= value <= to_fmpq(c.upper) and c.upper <= float(value) * (1 + rtol) + 1e-300


def test_cancelling_huge_weights():
    big = 2.0**60
    # big * max(x, 0) - big * max(x - 2^-60 y, 0): between 0 and y.
    net = two_layers([[1.0, 0.0], [1.0, -(2.0**-60)]], [0.0, 0.0], [big, -big])
    c = polygon_certificate(net, Target("0*x*y", UNIT), rtol=0.5)
    assert c.lower <= 1 <= c.upper < math.inf and c.check("witness")


@pytest.mark.parametrize("power", [500, -500])
def test_extreme_scales(power):
    scale = 2.0**power
    net = two_layers([[scale, scale]], [0.0], [scale if power < 0 else 1.0])
    c = polygon_certificate(net, Target("0*x*y", UNIT))
    truth = 2.0 ** (power + 1) if power > 0 else 2.0 ** (2 * power + 1)
    assert c.lower <= truth <= c.upper


def test_overflow_fails_closed():
    net = two_layers([[2.0**1000, 0.0], [0.0, 2.0**1000]], [0.0, 0.0], [2.0**1000, -(2.0**1000)])
    c = polygon_certificate(net, Target("0*x*y", UNIT))
    assert c.upper == math.inf


def test_duplicates_dead_units_and_units_that_are_zero():
    weights = [[1.0, -1 / 3]] * 3 + [[-1.0, -1.0], [0.0, 0.0]]
    net = two_layers(weights, [0.0, 0.0, 0.0, -0.5, 0.0], [1.0, 1.0, -2.0, 7.0, 3.0], skip=(0.0, 0.0))
    c = polygon_certificate(net, Target("0*x*y", UNIT), atol=1e-12)
    assert c.lower == 0 and c.upper <= 1e-12


def test_kinks_one_ulp_apart():
    ulp = 2.0**-53
    net = two_layers([[1.0, 0.0], [1.0, 0.0]], [-0.5, -(0.5 + ulp)], [1.0, -1.0])
    c = polygon_certificate(net, Target("0*x*y", UNIT), rtol=0.5)
    assert contains(c, to_fmpq(ulp), rtol=20)


def test_a_constant_network_and_the_exact_function():
    c = polygon_certificate(zero(), Target("1/3+0*x*y", UNIT))
    assert contains(c, fmpq(1, 3))
    b = Builder(2)
    exact = b.build([b.input(0) - b.input(1)])
    c = polygon_certificate(exact, Target("x-y", UNIT), atol=1e-13)
    assert c.lower == 0 and c.upper <= 1e-13


def test_a_domain_with_corners_that_are_no_floats():
    c = polygon_certificate(zero(), Target("x+y", [("1/3", "2/3"), ("1/7", "3/7")]))
    assert contains(c, fmpq(2, 3) + fmpq(3, 7))


# -- metamorphic relations ------------------------------------------------------------------------------------------------


def overlap(first, second, scale=1.0):
    return first.lower * scale <= second.upper and second.lower <= first.upper * scale


@pytest.fixture(scope="module")
def pair():
    return network(np.random.default_rng(9), 2, [6, 5]), Target("exp(-x**2)*y", SQUARE)


def test_splitting_the_domain_and_scaling_by_powers_of_two(pair):
    net, f = pair
    c = polygon_certificate(net, f, rtol=1e-4)
    parts = [polygon_certificate(net, f.on([(-1, "1/3"), (-1, 1)]), rtol=1e-4)]
    parts.append(polygon_certificate(net, f.on([("1/3", 1), (-1, 1)]), rtol=1e-4))
    assert max(p.lower for p in parts) <= c.upper and c.lower <= max(p.upper for p in parts)
    scaled = polygon_certificate(2.0**40 * net, Target("2**40*exp(-x**2)*y", SQUARE), rtol=1e-4)
    assert overlap(c, scaled, 2.0**40)


def test_permuting_units_and_padding_with_identity_layers(pair):
    net, f = pair
    c = polygon_certificate(net, f, rtol=1e-4)
    first, second, last = net.layers
    order = np.random.default_rng(0).permutation(6)
    dense = [np.zeros((l.units, w)) for l, w in zip(net.layers, (2, 6, 5), strict=True)]
    for matrix, l in zip(dense, net.layers, strict=True):
        b = l.blocks[0]
        matrix[np.repeat(np.arange(l.units), np.diff(b.indptr)), b.indices] = b.values.floats
    permuted = Network(
        2,
        [
            layer("relu", first.bias.floats[order], [dense_block(0, dense[0][order])]),
            layer("relu", second.bias.floats, [dense_block(1, dense[1][:, order])]),
            layer("identity", last.bias.floats, [dense_block(2, dense[2])]),
        ],
    )
    padded = Network(
        2,
        [
            layer("relu", first.bias.floats, [dense_block(0, dense[0])]),
            layer("relu", np.zeros(6), [dense_block(1, np.eye(6))]),
            layer("relu", second.bias.floats, [dense_block(2, dense[1])]),
            layer("identity", last.bias.floats, [dense_block(3, dense[2])]),
        ],
    )
    for other in (permuted, padded):
        assert overlap(c, polygon_certificate(other, f, rtol=1e-4))


def test_an_affine_change_of_the_domain(pair):
    net, f = pair
    b = Builder(2)
    inner = b.build([2 * b.input(0) - 1, 1 - 2 * b.input(1)])
    moved = polygon_certificate(net @ inner, Target("exp(-(2*x-1)**2)*(1-2*y)", UNIT), rtol=1e-4)
    assert overlap(polygon_certificate(net, f, rtol=1e-4), moved)


# -- budgets, interrupts, options, mutations -----------------------------------------------------------------------------


def test_more_budget_never_widens_the_enclosure():
    found = [
        polygon_certificate(product(7), XY, rtol=1e-9, budget=Budget(seconds=600, regions=n))
        for n in (1, 2000, 20_000, 60_000)
    ]
    assert all(c.lower <= 4.0**-8 <= c.upper < math.inf for c in found)
    uppers = [c.upper for c in found]
    assert uppers == sorted(uppers, reverse=True) and uppers[-1] < uppers[0]
    assert found[0].status == "budget" and found[-1].upper < 1.001 * 4.0**-8


def test_the_same_call_gives_the_same_certificate():
    f = Target("sin(3*x)*exp(y)", UNIT)
    net = network(np.random.default_rng(4), 2, [8, 8])
    first, second = (polygon_certificate(net, f) for _ in range(2))
    assert (first.lower, first.upper, first.witness) == (second.lower, second.upper, second.witness)


@pytest.mark.parametrize("place", ["step", "settle", "refine", "rectangles"])
@pytest.mark.parametrize("after", [0, 1])
def test_an_interrupt_returns_what_is_proved(monkeypatch, place, after):
    calls = {"left": after}
    honest = getattr(polygons.PolygonSearch, place)

    def interrupted(self, *arguments):
        calls["left"] -= 1
        if calls["left"] < 0:
            raise KeyboardInterrupt
        return honest(self, *arguments)

    monkeypatch.setattr(polygons.PolygonSearch, place, interrupted)
    net = simplicial(Target("sin(3*x)*exp(y)", UNIT), 1.0, cells=4).network
    c = polygon_certificate(net, Target("sin(3*x)*exp(y)", UNIT), rtol=1e-4)
    assert c.lower <= 0.1803 <= c.upper  # between 0.180296 and 0.180306 by the uninterrupted certificate


def test_refused_options():
    with pytest.raises(InputError):
        certify(zero(1), Target("x", (0, 1)), method="polygons")
    smooth = Network(2, [layer("tanh", [0.0], [dense_block(0, [[1.0, 1.0]])]), layer("identity", [0.0], [])])
    with pytest.raises(UnsupportedError):
        certify(smooth, Target("x*y", UNIT), method="polygons")


@pytest.mark.parametrize("text", ["tanh(4*x-3*y)", "min(abs(x+y-1/3),x**2)", "sin(x)", "x**3+y**3"])
def test_the_check_copes_with_flat_hessians_and_touched_kinks(text):
    b = Builder(2)
    net = b.build([b.relu(b.input(0)) + b.relu(-b.input(0)) - 1 + 0 * b.input(1)])
    c = polygon_certificate(net, Target(text, SQUARE))
    assert c.status == "tight" and c.check("full")


@pytest.mark.parametrize("level", ["regions", "full"])
def test_mutated_certificates_are_rejected(level):
    c = polygon_certificate(product(3), XY)
    assert c.check(level)
    bad = [
        dataclasses.replace(c, upper=c.upper * 0.999, lower=c.upper * 0.99),
        dataclasses.replace(c, lower=c.lower * 1.001, upper=c.upper * 1.1),
        dataclasses.replace(c, digest="0" * 64),
        dataclasses.replace(c, witness=(c.witness[0] + fmpq(1, 100), c.witness[1])),
        dataclasses.replace(c, target=Target("x*y+1/1000000000", SQUARE)),
        dataclasses.replace(c, network=product(2)),
    ]
    assert not any(b.check(level) for b in bad)


def test_planted_fault_a_bound_without_the_distance_from_affine_is_caught(monkeypatch):
    """If the pass forgot to charge for kinks inside polygons, coarse meshes would give false certificates."""
    b = Builder(2)
    x = b.input(0)
    net = b.build([b.relu(x) + b.relu(-x) + 0 * b.input(1)])
    honest = polygons.mesh_forward
    monkeypatch.setattr(polygons, "grow", lambda program, block: [block])
    # |x| against 1 is worst at 0; between the corners alone it looks like 1.
    target = Target("1+0*x*y", SQUARE)
    c = polygon_certificate(net, target, rtol=1e-12)
    assert c.upper >= 1 and c.check("full")
    monkeypatch.setattr(polygons, "mesh_forward", lambda p, m, *a: (honest(p, m, *a)[0], np.zeros(m.polygons)))
    false = polygon_certificate(net, target, rtol=1e-12)
    # The lower bound contradicts it, so it fails closed; claimed nevertheless, it is refuted.
    assert false.upper == np.inf and "contradicted" in false.method
    assert not dataclasses.replace(false, upper=1e-9).check("full")
