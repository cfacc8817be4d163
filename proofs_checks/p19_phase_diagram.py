"""Do the statements of "The phase diagram of approximation rates for deep neural networks" (2019) hold here?

Taken from a digest of the paper (recalled, not quoted). Smoothness r, d inputs, error W^-p, depth W^a. Smoothness r > 1 in the
deep phase is checked for r = 2 and r = 3 in one variable and in two.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from flint import fmpq, fmpq_poly

import approx
import constructions
from approx import Target
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from approx.numbers import to_arb, working_precision
from approx.studies import SmoothnessClass, any_selection, continuity, entropy_bits, log_slope, region
from constructions.periodic import deep_fourier
from constructions.relu import hoelder_two_scale, local_taylor, power_taylor
from constructions.relu.exact_products import square_stencil
from proofs_checks.p18_very_deep import GRIDS, TARGETS, network_for
from proofs_checks.statements import Result, statement

PAPER = "P19"
SMOOTH = Target("sin(7*x)*exp(-x)/(1+x**2)")
WAVE, PLANE = Target("sin(2*pi*x)"), Target("exp(x)*sin(3*y)")
SHORT = approx.Budget(seconds=10)


def _slope(weights: list[Any], errors: list[float]) -> float:
    return log_slope([float(w) for w in weights], errors).value


@statement(PAPER, "Continuous phase: the rate r/d with depth O(log W)")
def continuous_phase(full: bool = False) -> Result:
    """Local Taylor networks of order r: slopes of proved errors, the first network certified; hidden layers / ln W bounded."""
    ok, numbers = True, {}
    cases = [(WAVE, 2, (1e-2, 1e-4, 1e-6)), (WAVE, 3, (1e-4, 1e-6, 1e-8))]
    for target, r, eps in [*cases, *([(PLANE, 2, (1e-1, 1e-2, 1e-3))] if full else [])]:
        found, d = [local_taylor(target, e, order=r) for e in eps], target.dimension
        sizes = [a.network.size for a in found]
        slope = _slope([s.weights for s in sizes], [a.bound for a in found])
        depth = max(s.hidden_layers / math.log(s.weights) for s in sizes)
        ok &= slope < -r / d + 0.1 and depth <= 20
        if d == 1:
            ok &= found[0].certify(rtol=0.2, budget=SHORT).upper <= found[0].bound * 1.2
        numbers[f"r = {r}, d = {d}"] = f"error W^{slope:.2f}, depth / ln W <= {depth:.1f}"
    return Result(ok, "proved", "products cost ln W once, which makes small networks fall faster than W^(-r/d).", numbers)


@statement(PAPER, "Phases: p <= r/d continuous, r/d < p <= 2 r/d deep and discontinuous, p > 2 r/d infeasible")
def phases() -> Result:
    """The bounds by VC dimension with L = W^a fall like W^(-(1+a) r/d): the boundary a = p d/r - 1, up to logarithms."""
    ok, numbers = True, {}
    for r, d, a in ((1, 1, 0.5), (1, 2, 1.0), (2, 1, 0.5), (2, 2, 1.0)):
        of_class = SmoothnessClass(r, 1, (fmpq(1),) * d)
        weights = [10**4, 10**6, 10**8, 10**10]
        bounds = [any_selection(of_class, w, round(w**a)) for w in weights]
        # Without the logarithm of W L, which the VC dimension has.
        without = [b * math.log(w) ** (r / d) for b, w in zip(bounds, weights, strict=True)]
        p = -_slope(weights, without)
        ok &= abs(p * d / r - (1 + a)) < 0.12
        numbers[f"r = {r}, d = {d}, a = {a}"] = f"p d/r = {p * d / r:.3f}"
    ok &= [region(q, a) for q, a in ((1, 0), (1.5, 0.5), (1.5, 0.4), (2, 1), (2.1, 1))] == [
        "continuous", "discontinuous", "infeasible", "discontinuous", "infeasible"]  # fmt: skip
    return Result(ok, "proved", "formulas with proved constants, evaluated; the exponent is fitted over six decades.", numbers)


@statement(PAPER, "Deep phase: every rate p > r/d needs discontinuous weight assignment")
def discontinuous_weights() -> Result:
    """Along one path of functions interpolation moves continuously, the codes of two scales jump at any step of the path."""
    jumps = {}
    for name in ("simplicial:cells=8,form=paper", "deep-two-scale:cells=8,steps=4"):
        study = continuity("abs(sin(9*x))/9", "abs(x-1/3)/2 + 1/9", name, steps=4, halvings=10)
        jumps[name.partition(":")[0]] = study.verdict
    ok = jumps["simplicial"] == "continuous" and jumps["deep-two-scale"] == "discontinuous"
    return Result(ok, "observed", "the largest step of a weight, halved ten times.", jumps)


@statement(PAPER, "Information: weights of deep networks carry W^(p d/r - 1) bits each, and no fewer bits suffice")
def bits_of_weights() -> Result:
    """Bits over weights grow with the power p - 1; all bits together stay above the entropy of the class."""
    ok, numbers = True, {}
    for d in (d for d in constructions.catalogue()["deep-two-scale"].dimensions if d in TARGETS):
        for rate, power in (("3/2", 0.5), ("2", 1.0)):
            weights, codes = [], []
            for cells, steps in GRIDS[d][rate]:
                a = network_for("deep-two-scale", d, cells, steps)
                size = a.network.size
                ok &= size.bits >= entropy_bits(1, 1, [(0, 1)] * d, 2 / (cells * steps) * 1.01)
                weights.append(size.weights)
                codes.append(max(p.bit_length() for p in (int(abs(v.p)) for v in a.network.pool)) if a.network.pool else 53)
            slope = _slope(weights, [float(c) for c in codes])
            ok &= max(codes) >= 1.5 * GRIDS[d][rate][-1][1] or max(codes) <= 53
            numbers[f"p = {rate}, d = {d}"] = f"longest weight {codes[-1]} bits, growing like W^{slope:.2f} (theory {power})"
    return Result(ok, "proved", "bits of the exact weights against the entropy bound of the Lipschitz class.", numbers)


@statement(PAPER, "Piecewise-polynomial activations: any of them squares and multiplies exactly")
def exact_squares() -> Result:
    """Equality of polynomials, coefficient by coefficient: no sampling; and the arguments stay on the piece."""
    ok = True
    pieces: tuple[list[Any], ...] = ([0, 0, 1], [0, 0, 0, 1], [fmpq(2, 3), 0, -1, fmpq(1, 2)], [1, -2, 0, 5, 0, fmpq(-1, 7)])
    for piece in pieces:
        for low, high, reach in ((0, 1, 1), (-2, fmpq(-1, 3), 7)):
            s = square_stencil(piece, low, high, reach)
            activation, total = fmpq_poly([fmpq(c) for c in piece]), fmpq_poly([s.constant, s.linear])
            for weight, shift in zip(s.weights, s.shifts, strict=True):
                total += weight * activation(fmpq_poly([shift, s.scale]))
                ends = [shift - s.scale * reach, shift + s.scale * reach]
                ok &= low <= min(ends) and max(ends) <= high
            ok &= total == fmpq_poly([0, 0, 1])
    return Result(ok, "proved", "identity of polynomials for eight stencils of degrees 2 to 5.")


@statement(PAPER, "Piecewise-polynomial activations: the rate r/d at constant depth, without a logarithm")
def polynomial_activations() -> Result:
    """Networks of max(t, 0)^2 or max(t, 0)^3 alone: W error^(d/r) does not grow for proved errors, the first certified."""
    ok, numbers = True, {}
    cases = [(WAVE, 2, 2, (1e-2, 1e-4, 1e-6)), (WAVE, 2, 4, (1e-3, 1e-6, 1e-9)), (WAVE, 3, 3, (1e-3, 1e-5, 1e-7))]
    for target, power, r, eps in [*cases, (PLANE, 2, 4, (1e-3, 1e-4, 1e-5))]:
        found, d = [power_taylor(target, e, order=r, power=power) for e in eps], target.dimension
        ok &= len({a.network.size.hidden_layers for a in found}) == 1
        if d == 1:
            certificate = found[0].certify(rtol=0.2, budget=SHORT)
            ok &= certificate.upper <= found[0].bound * 1.2 and certificate.lower >= 0.2 * found[0].bound
        products = [a.network.size.weights * a.bound ** (d / r) for a in found]
        ok &= all(q <= 1.02 * p for p, q in itertools.pairwise(products))
        layers = found[0].network.size.hidden_layers
        shares = f"{products[0]:.3g} .. {products[-1]:.3g}"
        numbers[f"max(t,0)^{power}, r = {r}, d = {d}"] = f"W error^(d/r) {shares}, {layers} layers"
    return Result(ok, "proved", "five to six decades of error in one variable, two in two.", numbers)


@statement(PAPER, "Lookup: bits b_k in one weight w = sum c(b_k) q^-k are signs of sin(2 pi q^k w), |sin| >= 0.95")
def lookup_weight() -> Result:
    """Exact fractions for 64 bits, q = 16, c = 1/4 and 3/4: all bits back, the sines bounded in balls."""
    rng, q, count = np.random.default_rng(5), 16, 64
    bits = rng.integers(0, 2, count).tolist()
    w = sum((fmpq(1 + 2 * b, 4) / fmpq(q) ** k for k, b in enumerate(bits)), fmpq(0))
    ok, least = True, 1.0
    with working_precision(400):
        for k, b in enumerate(bits):
            place = w * fmpq(q) ** k
            place -= place.floor()
            sine = (2 * to_arb(place)).sin_pi()
            ok &= bool(sine < 0) == bool(b) and bool(abs(sine) > fmpq(95, 100))
            least = min(least, float(abs(sine).lower()))
    return Result(ok, "proved", "64 bits of one weight, exact arithmetic and balls.", {"least |sin|": least})


@statement(PAPER, "Dichotomy: z_(i+1) = z_i + (q^(2^i) - 1) max(z_i - Z_i (1 - beta_i), 0) reaches q^k w by O(log n) weights")
def dichotomy() -> Result:
    """A ReLU network of one unit per binary digit of k, evaluated exactly for all 64 numbers k."""
    q, levels, w = 4, 6, fmpq(1, 3)
    b = Builder(levels)
    z, most = b.input(0) * 0 + w, w
    for i in range(levels):
        z = z + (q ** (2**i) - 1) * b.relu(z - most + most * b.input(i))
        most *= q ** (2**i)
    net = b.build([z])
    numbers = [[fmpq(k >> i & 1) for i in range(levels)] for k in range(2**levels)]
    ok = evaluate_exact(net, numbers) == [w * fmpq(q) ** k for k in range(2**levels)]
    ok &= net.size.units == levels and net.size.weights <= levels * (levels + 5)
    return Result(ok, "proved", "exact for all 64 numbers of six binary digits.", {"weights": net.size.weights})



@statement(PAPER, "Deep discontinuous phase: rates r/d < p <= 2 r/d for smoothness r > 1, with O(W^(p d/r - 1)) hidden layers")
def deep_phase_smooth() -> Result:
    """r = 2, d = 1, p = 4 and 3: certified errors and depths of networks of growing size are regressed."""
    numbers, ok = {}, True
    for rate, ladder in ((4, (1e-4, 1e-6, 1e-8)), (3, (1e-5, 1e-6, 1e-8))):
        found = [hoelder_two_scale(SMOOTH, eps, rate=rate) for eps in ladder]
        certificates = [a.certify(rtol=0.1) for a in found]
        ok &= all(c.upper <= a.bound and c.upper <= 1.2 * c.lower for a, c in zip(found, certificates, strict=True))
        weights = [a.network.size.weights for a in found]
        error = _slope(weights, [c.upper for c in certificates])
        depth = _slope(weights, [float(a.network.size.hidden_layers) for a in found])
        ok &= abs(error + rate) < 0.3 and depth <= rate / 2 - 1 + 0.05
        numbers[f"p = {rate}"] = f"certified error W^{error:.2f}, depth W^{depth:.2f}, W = {weights[0]:,} .. {weights[-1]:,}"
    return Result(ok, "certified", "three networks for each rate; exponents are fitted to them.", numbers)


@statement(PAPER, "Deep discontinuous phase for r = 2 in two variables: rates 1 < p <= 2, with O(W^(p - 1)) hidden layers")
def deep_phase_in_the_plane() -> Result:
    """p = 2 and 3/2: certified errors and depths of growing networks. First differences cost O(log W): steep at small W."""
    target, numbers, ok = Target("sin(24*x+8*y)*cos(16*y-4*x)", [(0, 1), (0, 1)]), {}, True
    for rate, grids in ((2, ((32, 5), (64, 9), (96, 13))), (1.5, ((72, 3), (200, 5)))):
        found = [hoelder_two_scale(target, 1, cells=cells, steps=steps) for cells, steps in grids]
        certificates = [a.certify(rtol=0.1) for a in found]
        ok &= all(c.upper <= a.bound and c.upper <= 1.1 * c.lower for a, c in zip(found, certificates, strict=True))
        weights = [a.network.size.weights for a in found]
        error = _slope(weights, [c.upper for c in certificates])
        depth = _slope(weights, [float(a.network.size.hidden_layers) for a in found])
        ok &= -rate - 0.2 < error < -rate + 0.1 and depth <= rate - 1 + 0.05
        numbers[f"p = {rate}"] = f"certified error W^{error:.2f}, depth W^{depth:.2f}, W = {weights[0]:,} .. {weights[-1]:,}"
    return Result(ok, "certified", "three networks, and two; docs/studies.md has 1.5 decades.", numbers)


@statement(PAPER, "Deep discontinuous phase for r = 3 in two variables: rates 3/2 < p <= 3, O(W^(2 p/3 - 1)) hidden layers")
def deep_phase_order_three_in_the_plane() -> Result:
    """p = 3: certified errors and depths of three networks. Products cost O(log W); N/M is 32 to 53, as steps are odd."""
    target, numbers, ok = Target("sin(35*x+20*y)", [(0, 1), (0, 1)]), {}, True
    found = [hoelder_two_scale(target, 1, order=3, cells=cells, steps=steps) for cells, steps in ((120, 3), (160, 3), (208, 5))]
    certificates = [a.certify(rtol=0.1) for a in found]
    ok &= all(c.upper <= a.bound and c.upper <= 1.1 * c.lower for a, c in zip(found, certificates, strict=True))
    weights = [a.network.size.weights for a in found]
    error = _slope(weights, [c.upper for c in certificates])
    depth = _slope(weights, [float(a.network.size.hidden_layers) for a in found])
    ok &= -3.3 < error < -2.9 and depth <= 1.05
    numbers["p = 3"] = f"certified error W^{error:.2f}, depth W^{depth:.2f}, W = {weights[0]:,} .. {weights[-1]:,}"
    return Result(ok, "certified", "three networks; docs/studies.md has 1.5 decades.", numbers)


@statement(PAPER, "Deep discontinuous phase for r = 3: rates 3 < p <= 6 in one variable, with O(W^(p/3 - 1)) hidden layers")
def deep_phase_order_three() -> Result:
    """p = 6 and 4: certified errors and depths of two networks each. Products cost O(log W) weights: too steep at small W."""
    target, numbers, ok = Target("sin(200*x)*exp(-x)"), {}, True
    for rate, ladder, most in ((6, (1e-5, 1e-7), 6.6), (4, (1e-5, 1e-7), 4.3)):
        found = [hoelder_two_scale(target, eps, order=3, rate=rate) for eps in ladder]
        certificates = [a.certify(rtol=0.1) for a in found]
        ok &= all(c.upper <= a.bound and c.upper <= 1.1 * c.lower for a, c in zip(found, certificates, strict=True))
        weights = [a.network.size.weights for a in found]
        error = _slope(weights, [c.upper for c in certificates])
        depth = _slope(weights, [float(a.network.size.hidden_layers) for a in found])
        ok &= -most < error < -rate + 0.3 and depth <= rate / 3 - 1 + 0.05
        numbers[f"p = {rate}"] = f"certified error W^{error:.2f}, depth W^{depth:.2f}, W = {weights[0]:,} .. {weights[-1]:,}"
    return Result(ok, "certified", "two networks for each rate.", numbers)


@statement(PAPER, "Theorem 4.1: fully connected networks of fixed width reach error W^(-2 r); here d = 1, r = 2, 3, 4")
def fixed_width() -> Result:
    """Two strict networks for each r; the width, 6 for r = 2 and 10 above, is free of W and r, as the theorem's.

    For r > 2 packed numbers and products cost O(log W) weights: too steep at small W.
    """
    slow, fast, numbers, ok = Target("sin(500*x)*exp(-x)"), Target("sin(4000*x)*exp(-x)"), {}, True
    cases = ((2, 6, slow, 10, (16, 32)), (3, 10, fast, 200, (12, 24)), (4, 10, fast, 200, (12, 24)))
    for order, width, target, share, ladder in cases:  # N = share M
        found = [hoelder_two_scale(target, 1, order=order, cells=share * m, steps=m, form="narrow") for m in ladder]
        certificates = [a.certify(rtol=0.1) for a in found]
        sizes = [a.network.size for a in found]
        strict = [[b.source for b in layer.blocks] == [k] for a in found for k, layer in enumerate(a.network.layers)]
        ok &= all(strict) and {s.width for s in sizes} == {width}
        ok &= all(c.upper <= a.bound and c.upper <= 1.1 * c.lower for a, c in zip(found, certificates, strict=True))
        error = _slope([s.weights for s in sizes], [c.upper for c in certificates])
        ok &= -2.2 * order < error < -2 * order + 0.3
        weights = f"W = {sizes[0].weights:,}, {sizes[1].weights:,}"
        numbers[f"r = {order}"] = f"certified error W^{error:.2f}, width {width}, {weights}"
    return Result(ok, "certified", "two networks for each r.", numbers)


@statement(PAPER, "Theorem 4.1 in several variables: the width depends on d alone; here d = 2, 3, orders r >= 3")
def fixed_width_in_several_variables(full: bool = False) -> Result:
    """Strict networks of different r, N and M: width 20 for d = 2, 28 for d = 3. Rates: docs/studies.md.

    In full, at the highest orders: exact values against the form with skips, which are the same up to ramps and products.
    """
    plane, space = [(3, 8, 5), (4, 5, 5), (5, 4, 5)], [(3, 3, 3)]
    if full:
        plane, space = [*plane, (6, 3, 7), (7, 3, 7), (8, 3, 9)], [*space, (4, 3, 5), (5, 3, 5)]
    numbers, ok = {}, True
    for target, width, cases in ((PLANE, 20, plane), (Target("x**5*y*z - z**4*y + x*y**5*z", [(0, 1)] * 3), 28, space)):
        for r, cells, steps in cases:
            a = hoelder_two_scale(target, 1e6, order=r, cells=cells, steps=steps, form="narrow")
            ok &= all([b.source for b in layer.blocks] == [k] for k, layer in enumerate(a.network.layers))
            c = a.certify(rtol=0.1)
            ok &= a.network.size.width == width and c.upper <= a.bound
            numbers[f"d = {target.dimension}, r = {r}"] = f"W = {a.network.size.weights:,}, certified {c.upper:.2g}"
            if full:
                other = hoelder_two_scale(target, 1e6, order=r, cells=cells, steps=steps)
                points = [[fmpq(7 * i + 3 * k + 1, 31 + 13 * k) for k in range(target.dimension)] for i in range(4)]
                pairs = zip(evaluate_exact(a.network, points), evaluate_exact(other.network, points), strict=True)
                ok &= all(
                    abs(x - y) <= fmpq(5, 512) * fmpq(*a.parameters["quantum"].as_integer_ratio()) for x, y in pairs
                )
    return Result(ok, "certified", "widths 20 and 28.", numbers)


@statement(PAPER, "Deep Fourier expansion: error exp(-c W^(1/2)) with {ReLU, sin}, all coefficients in one weight")
def deep_fourier_rate() -> Result:
    """The paper's form at order 1 with 2 to 16 cells: certified errors; log(1/error) / W^(1/2) does not fall."""
    found = [deep_fourier(SMOOTH, 10, digits=digits, order=1, form="bits") for digits in (1, 2, 3, 4)]
    uppers = [a.certify().upper for a in found]
    weights = [a.network.size.weights for a in found]
    shares = np.diff(-np.log(uppers)) / np.diff(np.sqrt(weights))
    ok = all(u <= a.bound for a, u in zip(found, uppers, strict=True)) and shares.min() >= 0.8 * shares.max() > 0
    ok &= all(a.network.activations == {"relu", "sin", "identity"} for a in found)
    text = f"certified {uppers[0]:.2g} .. {uppers[-1]:.2g}, W = {weights[0]:,} .. {weights[-1]:,}"
    numbers = {"c": f"{shares.min():.3f} .. {shares.max():.3f}", "errors and sizes": text}
    return Result(ok, "certified", "c: slopes between neighbours of four networks.", numbers)
