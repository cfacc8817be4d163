"""Do the statements of "Optimal approximation of continuous functions by very deep ReLU networks" (2018) hold here?

Taken from a digest of the paper (recalled, not quoted); d is the number of inputs, omega_f the modulus of continuity.
Statements on deep networks are checked in every number of variables that TARGETS names and the construction takes: to check
more of them, add a row.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from flint import fmpq

import constructions
from approx import Approximant, Target
from approx.evaluation import evaluate_exact
from approx.networks import Builder
from approx.studies import SmoothnessClass, any_selection, continuity, continuous_selection, log_slope
from constructions.relu import deep_two_scale, simplicial
from constructions.relu._kuhn import paper_spike
from proofs_checks.statements import Result, statement

PAPER = "P18"


def cantor(levels: int, variable: str = "x") -> str:
    """The distance to the Cantor set of so many levels: slope 1, equally rough at all of its scales."""
    y, terms = variable, []
    for k in range(1, levels + 1):
        y = f"(3/2*(1-abs(2*{y}-1)))"
        terms.append(f"3**-{k}*max({y}-1,0)")
    return "+".join(terms)


#: Per number of variables a rough Lipschitz target and the (cells, steps) of its networks: rate 2, rate 3/2, constant width.
#: The first network of every row is certified.
TARGETS = {
    1: Target(cantor(8) + "+ abs(abs(x-1/3)-1/5)/2"),
    2: Target(f"({cantor(7)} + {cantor(7, 'y')} + abs(abs(x-1/3)-1/5) + abs(abs(y-2/5)-1/7))/4"),
}
GRIDS = {
    1: {"2": ((96, 24), (192, 48), (384, 96)), "3/2": ((400, 5), (1600, 10), (6400, 20)),
        "narrow": ((32, 10), (96, 32), (288, 96))},
    2: {"2": ((12, 5), (24, 9), (48, 19)), "3/2": ((48, 3), (133, 5), (261, 7)), "narrow": ((4, 5), (8, 9), (16, 17))},
}  # fmt: skip


def _dimensions(name: str) -> list[int]:
    return [d for d in constructions.catalogue()[name].dimensions if d in TARGETS]


@cache
def network_for(name: str, d: int, cells: int, steps: int) -> Approximant:
    """The network of a method for the rough target of d variables: several statements speak of the same ones."""
    return constructions.catalogue()[name].builder(TARGETS[d], 1, cells=cells, steps=steps)


@statement(PAPER, "Theorem 1a: spikes of the standard triangulation add up to 1 and reproduce linear functions")
def spikes() -> Result:
    """Exact arithmetic at random rational points, d = 1 to 4; spikes are 1 at their node and 0 at all others."""
    rng, ok = np.random.default_rng(18), True
    for d in (1, 2, 3, 4):
        nodes = list(itertools.product((-1, 0, 1, 2), repeat=d)) if d < 4 else list(itertools.product((0, 1), repeat=4))
        b = Builder(d)
        u = [b.input(k) for k in range(d)]
        phi = [paper_spike(b, [x - n for x, n in zip(u, node, strict=True)]) for node in nodes]
        net = b.build(phi)
        for point in rng.integers(1, 30, (4, d)):
            place = [fmpq(int(p), 31) for p in point]
            values = evaluate_exact(net, [place])[0]
            ok &= sum(values) == 1 and min(values) >= 0
            for k in range(d):
                ok &= sum((fmpq(n[k]) * v for n, v in zip(nodes, values, strict=True)), fmpq(0)) == place[k]
        corners = evaluate_exact(net, [[fmpq(c) for c in node] for node in nodes[:8]])
        ok &= all(row[j] == (1 if i == j else 0) for i, row in enumerate(corners) for j in range(len(nodes)))
    return Result(ok, "observed", "exact at 16 rational points and at nodes, d = 1 to 4.")


@statement(PAPER, "Theorem 1a: rate 1/d with constant depth and weights linear in f")
def linear_selection() -> Result:
    """Networks of f, g and f + 2 g share all weights but the last layer's, which add; W error stays below c omega_f."""
    ok, numbers = True, {}
    pairs = {1: ("abs(x-1/3)", "sqrt(x+1/4)"), 2: ("abs(x-y/3) + 1/7", "max(x, y)*x + 1/5")}
    for d, (f, g) in pairs.items():
        box = [(0, 1)] * d
        nets = [simplicial(Target(t, box), 1, cells=4, form="paper").network for t in (f, g, f"({f}) + 2*({g})")]
        depths = {n.size.hidden_layers for n in nets}
        last = [_dense_last(n) for n in nets]
        ok &= len(depths) == 1 and bool(np.abs(last[0] + 2 * last[1] - last[2]).max() <= 1e-14)
        target, products = Target(f, box), []
        for cells in (4, 8, 16):
            a = simplicial(target, 1, cells=cells)
            ok &= a.network.size.hidden_layers <= 1 + 3 * (d - 1)
            products.append(a.certify(rtol=0.1).upper * a.network.size.weights ** (1 / d) / target.lipschitz())
        ok &= max(products) <= 8
        numbers[f"largest error W^(1/{d}) / L"] = max(products)
    return Result(ok, "certified", "upper bounds certified for three grids; linearity at finitely many weights.", numbers)


def _dense_last(network) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The weight of every spike in the output: no value at a node is 0 here, so that all have one."""
    values = np.zeros(network.layers[-2].units)
    block = network.layers[-1].blocks[-1]
    values[block.indices] = block.values.floats
    return values


@statement(PAPER, "Theorem 1b: p > 1/d is impossible for weights that depend continuously on f")
def continuous_bound() -> Result:
    """The bound is c W^(-1/d); interpolation respects it on its worst function; its selection is continuous, codes jump."""
    numbers: dict[str, float | str] = {}
    ok = True
    for d in (1, 2, 3):
        widths = (fmpq(1),) * d
        bounds = [continuous_selection(SmoothnessClass(1, 1, widths), 10**k) for k in (3, 4, 5, 6)]
        slope = log_slope([10**k for k in (3, 4, 5, 6)], bounds).value
        ok &= abs(slope + 1 / d) < 0.03
        numbers[f"slope of the bound, d = {d}"] = slope
    for cells in (8, 32):
        saw = "x"
        for k in range(int(math.log2(cells)) + 1):
            saw = f"abs({saw} - 1/{2 ** (k + 1)})"
        a = simplicial(Target(saw), 1, cells=cells, proved=False)
        weights = 3 * cells + 2
        ok &= a.certify(rtol=0.1).lower >= continuous_selection(SmoothnessClass(1, 1, (fmpq(1),)), weights)
    smooth = continuity("abs(x-1/3)", "sqrt(x+1/4)", "simplicial:cells=8,form=paper", steps=4, halvings=10)
    coded = continuity("abs(sin(9*x))/9", "abs(x-1/3)/2", "deep-two-scale:cells=8,steps=4", steps=4, halvings=10)
    ok &= smooth.verdict == "continuous" and coded.verdict in ("discontinuous", "architecture changes")
    numbers["selection"] = f"interpolation {smooth.verdict}, two scales {coded.verdict}"
    return Result(ok, "observed", "the bound is proved (Borsuk); the networks and paths are finitely many.", numbers)


@statement(PAPER, "Theorem 1c: p > 2/d is impossible at any depth")
def any_bound() -> Result:
    """What deep networks guarantee for the whole class is not below the VC bound for their numbers of weights."""
    numbers, ok = {}, True
    for d in (1, 2, 3):
        of_class = SmoothnessClass(1, 1, (fmpq(1),) * d)
        slope = log_slope([10.0**k for k in (3, 4, 5)], [any_selection(of_class, 10**k) for k in (3, 4, 5)]).value
        ok &= abs(slope + 2 / d) < 0.03
        numbers[f"slope of the bound, d = {d}"] = slope
    for name in ("deep-two-scale", "narrow"):
        for d in _dimensions(name):
            for cells, steps in GRIDS[d]["2" if name == "deep-two-scale" else name][:2]:
                a = network_for(name, d, cells, steps)
                ratio = _guarantee(cells, steps) / any_selection(SmoothnessClass(1, 1, (fmpq(1),) * d), a.network.size.weights)
                ok &= ratio >= 1
                numbers[f"{name}, d = {d}, W = {a.network.size.weights:,}: guarantee / bound"] = ratio
    return Result(ok, "proved", "VC dimension at most 16 W (W + 1); guarantees hold for the whole class.", numbers)


def _guarantee(cells: int, steps: int) -> float:
    """What a two-scale network guarantees for every f with |f(x) - f(y)| <= |x - y|_inf."""
    return 2 / (cells * steps) * (1 + 2.0**-11)


@statement(PAPER, "Theorem 1d: a rate p in (1/d, 2/d] needs L >= c W^(pd-1) / ln W hidden layers")
def depth_bound() -> Result:
    """Guarantees of networks of depth L stay above the VC bound for W and L, and L ln W / W^(p-1) does not fall to 0."""
    numbers, ok = {}, True
    for d in _dimensions("deep-two-scale"):
        of_class = SmoothnessClass(1, 1, (fmpq(1),) * d)
        for rate, power in (("3/2", 0.5), ("2", 1.0)):
            shares = []
            for cells, steps in GRIDS[d][rate]:
                size = network_for("deep-two-scale", d, cells, steps).network.size
                ok &= _guarantee(cells, steps) >= any_selection(of_class, size.weights, size.hidden_layers)
                shares.append(size.hidden_layers * math.log(size.weights) / size.weights**power)
            ok &= min(shares) >= 0.1
            numbers[f"least L ln W / W^(p d - 1), p = {rate}, d = {d}"] = min(shares)
    return Result(ok, "proved", "the bound by VC dimension; the share for three sizes is observed.", numbers)


@statement(PAPER, "Theorem 2: rates p in (1/d, 2/d] with O(W^(pd-1)) hidden layers")
def deep_rates() -> Result:
    """Guarantees (proved for every Lipschitz f) of three sizes are regressed; the error of the first is certified."""
    numbers, ok = {}, True
    for d in _dimensions("deep-two-scale"):
        for rate, wanted in (("3/2", 1.5), ("2", 2.0)):
            found = [network_for("deep-two-scale", d, cells, steps) for cells, steps in GRIDS[d][rate]]
            certificate = found[0].certify(rtol=0.1)
            ok &= certificate.upper <= found[0].bound <= 20 * certificate.lower
            weights = [float(a.network.size.weights) for a in found]
            error = log_slope(weights, [a.bound for a in found]).value
            depth = log_slope(weights, [float(a.network.size.hidden_layers) for a in found]).value
            ok &= abs(error + wanted / d) < 0.15 and depth <= wanted - 1 + 0.05
            numbers[f"p = {rate}, d = {d}"] = f"guarantee W^{error:.2f}, depth W^{depth:.2f}"
    return Result(ok, "proved", "guarantees hold for all Lipschitz functions; exponents fitted to three networks.", numbers)


@statement(PAPER, "Theorem 2, p = 2/d: constant width 2 d + 10, fully connected without skips, error omega_f(O(W^(-2/d)))")
def constant_width() -> Result:
    """Widths and sources are read off the networks; guarantees are regressed, the error of the first network certified."""
    numbers, ok = {}, True
    for d in _dimensions("narrow"):
        found = [network_for("narrow", d, cells, steps) for cells, steps in GRIDS[d]["narrow"]]
        certificate = found[0].certify(rtol=0.1)
        ok &= certificate.upper <= found[0].bound
        for a in found:
            ok &= a.network.size.width <= 2 * d + 10
            ok &= all(b.source == k for k, layer in enumerate(a.network.layers) for b in layer.blocks)
        slope = log_slope([float(a.network.size.weights) for a in found], [a.bound for a in found]).value
        ok &= abs(slope + 2 / d) < 0.15
        numbers[f"d = {d}"] = f"width {found[0].network.size.width}, guarantee W^{slope:.2f}"
    return Result(ok, "proved", "widths and sources read off three networks; guarantees for all Lipschitz functions.", numbers)


@statement(PAPER, "Bit extraction: one weight holds the ternary increments of a whole cell, read exactly")
def bit_extraction() -> Result:
    """50 digits per weight: at every fine node the correction is an integer multiple of the quantum, steps -1, 0 or 1."""
    cells, steps = 3, 50
    a = deep_two_scale(TARGETS[1], 1, cells=cells, steps=steps)
    quantum = fmpq(*float(a.parameters["quantum"]).as_integer_ratio())
    coarse = evaluate_exact(a.network, [fmpq(i, cells) for i in range(cells + 1)])
    ok, moved = True, 0
    for i in range(cells):
        values = evaluate_exact(a.network, [fmpq(i, cells) + fmpq(j, cells * steps) for j in range(steps + 1)])
        line = [coarse[i] + (coarse[i + 1] - coarse[i]) * j / steps for j in range(steps + 1)]
        levels = [(v - f) / quantum for v, f in zip(values, line, strict=True)]
        ok &= all(level.q == 1 for level in levels)
        ok &= all(abs(q - p) <= 1 for p, q in itertools.pairwise(levels))
        moved += sum(p != q for p, q in itertools.pairwise(levels))
    ok &= moved > steps and a.parameters["digits"] == steps
    return Result(ok, "proved", "exact rational values at all 153 fine nodes of one network.", {"digits that are not 1": moved})
