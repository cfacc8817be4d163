"""Do the statements of "Error bounds for approximations with deep ReLU networks" (2016) hold for the networks built here?

The statements are taken from a digest of the paper (recalled with high confidence, not quoted): numbers and constants
are checked here as this project understands them, and what the software promises is what it derives itself.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from flint import fmpq

from approx.certification import certify, compare
from approx.evaluation import evaluate_exact
from approx.networks import Builder, Network, PiecewiseLinear, conversion_bound, convert
from approx.networks.samples import random_network
from approx.targets import Target
from constructions.relu._paper_taylor import paper_constants, paper_count, paper_network, sobolev_norm
from constructions.relu.local_taylor import local_taylor
from constructions.relu.piecewise_linear import piecewise_linear
from constructions.relu.product import paper_product_form, product, product_error, product_weights
from constructions.relu.simplicial import simplicial
from constructions.relu.square import levels_for, square, square_error, square_weights
from proofs_checks.statements import Result, statement

PAPER = "P16"
ACTIVATIONS = (
    PiecewiseLinear.of("leaky-relu(1/10)"),
    PiecewiseLinear.of("hard-tanh"),
    PiecewiseLinear((fmpq(-1, 2), fmpq(1, 3), fmpq(2)), (fmpq(2), fmpq(-1), fmpq(1, 2), fmpq(3)), fmpq(1, 5)),
)


def _networks(rho: PiecewiseLinear) -> list[Network]:
    return [
        random_network(np.random.default_rng(seed), 2, 1, 2, 4, activations=(rho.name,), skips=0, rationals=True)
        for seed in range(5)
    ]


@statement(PAPER, "Proposition 1: a piecewise-linear activation by ReLU, (M+1)^2 W weights and (M+1) U units")
def conversion_to_relu() -> Result:
    """Exact equality at all breakpoints and beyond proves rho's formula; networks then agree, sizes are counted."""
    ok, ratios = True, []
    for rho in ACTIVATIONS:
        b = Builder(1)
        one = b.build([b.unit(b.input(), rho.name)])
        a = rho.breakpoints
        probes = [a[0] - 2, a[0] - 1, *a, *((p + q) / 2 for p, q in itertools.pairwise(a)), a[-1] + 1, a[-1] + 2]
        ok &= evaluate_exact(convert(one, "relu"), probes) == [rho(p) for p in probes]
        for net in _networks(rho):
            relu, bound = convert(net, "relu"), conversion_bound(net, "relu")
            ok &= relu.activations <= {"relu", "identity"} and compare(net, relu, [(-2, 2)] * 2).upper == 0
            ok &= relu.size.weights <= bound.weights and relu.size.units <= (len(a) + 1) * net.size.units == bound.units
            ratios.append(relu.size.weights / bound.weights)
    return Result(ok, "proved", "rho equals its M+1 ReLU units at all breakpoints, on both end pieces and between.",
                  {"largest weights / ((M+1)^2 W)": max(ratios)})  # fmt: skip


@statement(PAPER, "Proposition 1: ReLU by a piecewise-linear activation on a bounded set, 4 W weights and 2 U units")
def conversion_from_relu() -> Result:
    """Canonical forms of both networks are equal, in exact arithmetic, for all inputs of the box at once."""
    ok, ratios, box = True, [], [(-2, 2)] * 2
    for rho in ACTIVATIONS:
        for net in _networks(PiecewiseLinear.of("relu")):
            other, bound = convert(net, rho, box), conversion_bound(net, rho)
            ok &= other.activations <= {rho.name, "identity"} and compare(net, other, box).upper == 0
            ok &= other.size.weights <= bound.weights and other.size.units <= 2 * net.size.units == bound.units
            ok &= other.size.hidden_layers == net.size.hidden_layers
            ratios.append(other.size.weights / bound.weights)
    return Result(ok, "proved", "exactly equal on the box: difference 0 in rational arithmetic; depth unchanged.",
                  {"largest weights / (4 W)": max(ratios)})  # fmt: skip


def _rows(values: object) -> list[list[fmpq]]:
    return [list(v) if isinstance(v, list | tuple | np.ndarray) else [v] for v in values]  # type: ignore[attr-defined]


@statement(PAPER, "Proposition 2: the square within 2^(-2m-2) by O(m) weights, units and layers")
def square_interpolant(full: bool = False) -> Result:
    """Exact values at all nodes and midpoints for small m, certificates for larger m."""
    ok, gaps = True, []
    for m in range(1, 9 if full else 7):
        net, step = square(m), fmpq(1, 2**m)
        nodes = [k * step for k in range(2**m + 1)]
        middles = [(k + fmpq(1, 2)) * step for k in range(2**m)]
        ok &= evaluate_exact(net, nodes) == [t**2 for t in nodes]
        ok &= all(v - t**2 == square_error(m) for v, t in zip(evaluate_exact(net, middles), middles, strict=True))
        ok &= net.size.weights == square_weights(m)
    target = Target("x**2")
    for m in (4, 8, 12) if not full else (4, 8, 12, 16):
        certificate, exact = certify(square(m), target), 4.0 ** -(m + 1)
        ok &= certificate.lower <= exact * (1 + 1e-12) and exact <= certificate.upper <= 1.02 * exact
        gaps.append(certificate.upper / exact - 1)
    ok &= all(square_weights(m + 1) - square_weights(m) == 5 for m in range(2, 40))
    return Result(ok, "certified", "f_m = t^2 at k/2^m and f_m - t^2 = 4^-(m+1) at all midpoints (exact); "
                  "sup |f_m - t^2| enclosed by certificates; 5 weights per level.",
                  {"largest certified excess": max(gaps), "weights at 4^-13": square(12).size.weights})  # fmt: skip


@statement(PAPER, "Proposition 3: the product on [-M,M]^2 within eps, exactly 0 when a factor is 0")
def product_network() -> Result:
    """e = 2M^2 (e1 - e2 - e3) with e_i in [0, delta]: at most 4 M^2 delta <= eps; sampling must not contradict it."""
    ok, ratios = True, []
    generator = np.random.default_rng(2)
    for bound in (1, 3):
        for eps in (1e-1, 1e-3, 1e-5):
            levels = levels_for(eps / (6 * bound**2))
            net = product(levels, bound, "paper")
            points = generator.uniform(-bound, bound, (20000, 2))
            error = float(np.abs(net(points) - points.prod(axis=1)).max())
            proved = float(product_error(levels, (bound, bound), "paper"))
            ok &= error <= proved * (1 + 1e-9) and proved <= eps
            zeros = [[fmpq(0), fmpq(bound, 3)], [fmpq(-bound), fmpq(0)], [fmpq(0), fmpq(0)]]
            ok &= all(v == 0 for (v,) in _rows(evaluate_exact(net, zeros)))
            ok &= net.size.weights == product_weights(levels, "paper")
            ratios.append(error / proved)
    numbers = {"largest sampled / proved": max(ratios), "weights at 4^-13, two squares": product(12).size.weights}
    detail = "delta = eps/(6 M^2) gives error <= 4 M^2 delta < eps; zeros are exact; sampled errors agree."
    return Result(ok, "proved", detail, numbers)


def _psi(t: fmpq) -> fmpq:
    return min(max(2 - abs(t), fmpq(0)), fmpq(1))


@statement(PAPER, "Theorem 1: the trapezoids psi(3N(x - m/N)) are a partition of unity with 2 active at a point")
def partition_of_unity() -> Result:
    """The sum is linear between the points k/(3N): its value 1 at all of them is the identity. Products give d > 1."""
    ok = True
    for n in (1, 2, 5, 8):
        for k in range(6 * n + 1):
            x = fmpq(k, 6 * n)
            values = [_psi(3 * n * (x - fmpq(m, n))) for m in range(n + 1)]
            ok &= sum(values, fmpq(0)) == 1 and sum(v != 0 for v in values) <= 2
    return Result(ok, "proved", "the sum of N+1 trapezoids is 1 at all its breakpoints in [0,1], so everywhere.")


@statement(PAPER, "Theorem 1: |f - f_1| <= 2^d d^n / n! N^-n for the local Taylor sum")
def taylor_remainder(full: bool = False) -> Result:
    """Sampled error of the exact local Taylor sum against the constant, for functions scaled into the unit ball."""
    ok, ratios = True, []
    cases = [("sin(x)", 1), ("exp(x)/3", 1), ("sin(x+y)/4", 2)] + ([("exp(-x*y)/9", 2)] if full else [])
    for text, d in cases:
        f = Target(text, domain=[(0, 1)] * d)
        for n in (1, 2, 3):
            norm = sobolev_norm(f, n)
            for cells in (1, 3, 8):
                error = _local_taylor_error(f, n, cells)
                bound = 2**d * d**n / math.factorial(n) * cells**-n * norm
                ok &= error <= bound
                ratios.append(error / bound)
    return Result(ok, "observed", "errors at 2,000 points stay below the constant.",
                  {"largest observed / bound": max(ratios)})  # fmt: skip


def _local_taylor_error(f: Target, order: int, cells: int) -> float:
    d = f.dimension
    points = np.random.default_rng(3).uniform(0, 1, (2000, d))
    total = np.zeros(len(points))
    for node in np.ndindex(*(cells + 1,) * d):
        centre = np.array(node) / cells
        jets = f.jet_float(centre[None, :], order - 1)
        weight = np.prod(np.clip(2 - np.abs(3 * cells * (points - centre)), 0, 1), axis=1)
        local = sum(c[0] * np.prod((points - centre) ** np.array(a), axis=1) for a, c in jets.items())
        total += weight * local
    return float(np.abs(total - f(points[:, 0] if d == 1 else points)).max())


@statement(PAPER, "Theorem 1: products that start with a vanishing trapezoid vanish exactly")
def zero_preservation() -> Result:
    """A chain of paper products with a factor 0 outermost is exactly 0, whatever the others are."""
    b = Builder(3)
    x, y, z = (b.input(i) for i in range(3))
    inner = b.relu(paper_product_form(b, y, z, 5, 4) + 2) - 2
    net = b.build([paper_product_form(b, x, inner, 5, 4)])
    points = [[fmpq(0), fmpq(i, 3), fmpq(-j, 7)] for i in range(-3, 4) for j in range(-3, 4)]
    ok = all(v == 0 for (v,) in _rows(evaluate_exact(net, points)))
    return Result(ok, "proved", "q(|0+p|) - q(0) - q(|p|) = 0 because both squares have equal arguments; exact at 49 points.")


@statement(PAPER, "Theorem 1: a network within eps with the stated constants, its size by formula")
def theorem_1_network(full: bool = False) -> Result:
    """Built where small: the proved bound meets eps, a certificate confirms it in one variable, the count is exact."""
    ok, numbers = True, {}
    cases = [("exp(x)/3", 1, 2, 0.2), ("sin(x)", 1, 3, 0.05)] + ([("exp(x+y/2)/80", 2, 3, 0.5)] if full else [])
    for text, d, order, eps in cases:
        f = Target(text, domain=[(0, 1)] * d)
        network, constants, rounding, complete = paper_network(f, order, eps)
        proved = constants.truncation + constants.products + rounding
        ok &= proved <= eps
        count = paper_count(d, order, eps, sobolev_norm(f.on_unit_box(), order))
        ok &= network.size.weights == count if complete else network.size.weights <= count
        if d == 1:
            ok &= certify(network, f, rtol=0.5).upper <= eps
        numbers[f"weights for {text}, n = {order}, eps = {eps}"] = network.size.weights
    return Result(ok, "certified", "N = ceil((n!/(2^d d^n) eps/2)^(-1/n)), delta = eps/(2^(d+1) d^n (d+n)).", numbers)


@statement(PAPER, "Theorem 1: W <= c eps^(-d/n) (ln(1/eps) + 1), depth <= c (ln(1/eps) + 1)")
def theorem_1_growth() -> Result:
    """The exact count divided by the stated order of growth stays bounded for eps from 1e-1 to 1e-12."""
    ok, numbers = True, {}
    for d, n in ((1, 1), (1, 3), (2, 2), (3, 2)):
        ratios = []
        for k in range(1, 13):
            eps = 10.0**-k
            ratios.append(paper_count(d, n, eps) * eps ** (d / n) / (math.log(1 / eps) + 1))
            levels = paper_constants(d, n, eps).levels
            ok &= (d + n) * (2 * levels + 4) <= 40 * (d + n) ** 2 * (math.log(1 / eps) + 1)
        ok &= max(ratios[6:]) <= 1.05 * max(ratios[:6])
        numbers[f"c(d={d}, n={n})"] = max(ratios)
    return Result(ok, "observed", "the ratio does not grow over twelve decades of eps.", numbers)


@statement(PAPER, "Theorem 3: continuous weight selection needs W >= c eps^(-d/n)")
def continuous_selection() -> Result:
    """Kuhn interpolation selects its weights linearly in f: W eps^(d/n) for n = 1 must stay away from 0."""
    numbers, ok = {}, True
    for text, d in (("abs(x-1/3)", 1), ("abs(x-y/3)", 2)):
        f = Target(text, domain=[(0, 1)] * d)
        products = [simplicial(f, eps).network.size.weights * eps**d for eps in (0.1, 0.05, 0.02)]
        ok &= min(products) > 0.1
        numbers[f"least W eps^{d}, d = {d}"] = min(products)
    return Result(ok, "observed", "the continuous selection built here respects the lower bound's order.", numbers)


@statement(PAPER, "Theorem 4a: any depth needs W >= c eps^(-d/(2n)); with depth O(log^p 1/eps) nearly eps^(-d/n)")
def vapnik_chervonenkis_bound() -> Result:
    """Local Taylor networks of depth O(log 1/eps): W eps^(d/2n) grows, as it must, and W eps^(d/n) does not vanish."""
    f = Target("sin(2*pi*x)")
    eps = [1e-2, 1e-3, 1e-4, 1e-5]
    weights = [local_taylor(f, e, order=2).network.size.weights for e in eps]
    weak = [w * e**0.25 for w, e in zip(weights, eps, strict=True)]
    strong = [w * e**0.5 for w, e in zip(weights, eps, strict=True)]
    ok = weak == sorted(weak) and min(strong) > 0.5
    return Result(ok, "observed", "the orders of growth are respected for n = 2, d = 1 over three decades.",
                  {"W": weights, "least W eps^(1/2)": min(strong)})  # fmt: skip


@statement(PAPER, "Theorem 6: a piecewise-linear function with P pieces misses f by |I|^2 min|f''| / (16 P^2)")
def pieces_lower_bound() -> Result:
    """For x^2 on [0,1] the bound is 1/(8 P^2): certified errors stay above it, and free knots attain it."""
    ok, numbers = True, {}
    f = Target("x**2")
    for eps in (1e-2, 1e-3, 1e-4):
        found = piecewise_linear(f, eps)
        pieces = found.network.size.units + 1
        least = 1 / (8 * pieces**2)
        certificate = found.certify()
        ok &= certificate.upper >= least and certificate.lower <= 1.05 * least
        numbers[f"error 8 P^2 at {eps:g}"] = certificate.lower / least
    for m in (2, 5, 9):
        ok &= float(square_error(m)) >= 1 / (8 * 4.0**m)
    return Result(ok, "certified", "one hidden layer of U units has at most U + 1 pieces; the constant is attained.", numbers)
