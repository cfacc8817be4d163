"""Do the statements of "Quantified advantage of discontinuous weight selection" (2017) hold for the networks built here?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from approx import Target
from approx.networks import pad
from constructions.relu import cached_narrow, simplicial
from constructions.relu._zigzag import fine_values, sign_plan
from constructions.relu.cached_narrow import narrow_depth, narrow_network
from proofs_checks.statements import Result, statement

PAPER = "P17"
TARGETS = ("abs(sin(9*x))/9", "sin(30*x**2)/60", "abs(abs(x-3/10)-17/100)", "x/2")


@statement(PAPER, "Upper bound: one architecture of width 5 serves all Lipschitz functions of a given number of weights")
def one_architecture() -> Result:
    """The depth bound depends on cells and steps alone; every target's network is padded to it and stays the same."""
    ok, depths = True, []
    places = np.linspace(0, 1, 501)
    for text in TARGETS:
        f = Target(text)
        plan = sign_plan(fine_values(f, 60, 1.0), 4)
        net, most = narrow_network(plan), narrow_depth(plan)
        padded = pad(net, most - net.size.hidden_layers)
        ok &= padded.size.hidden_layers == most and padded.size.width <= 5
        ok &= all(block.source == k for k, layer in enumerate(padded.layers) for block in layer.blocks)
        ok &= bool(np.abs(padded(places) - net(places)).max() <= 1e-12)
        ok &= bool(np.abs(net(places) - f(places)).max() <= plan.error)
        depths.append(net.size.hidden_layers)
    return Result(ok, "observed", "15 cells of 4 steps: widths at most 5, no skips, one depth bound for all targets.",
                  {"depths": depths, "depth of the architecture": most})  # fmt: skip


@statement(PAPER, "Upper bound: discontinuous selection reaches error c / (W ln W) at width 5")
def discontinuous_rate(full: bool = False) -> Result:
    """W error falls and W error ln W does not grow, for proved errors of width-5 networks of one rough target."""
    wave, terms = "x", []
    for k in range(1, 11):
        wave = f"abs({wave} - 93/{100 * 2**k})"
        terms.append(f"{wave}/10")
    f = Target(" + ".join(terms))
    found = [cached_narrow(f, 2.0**-k) for k in ((6, 8, 10, 12) if full else (6, 8, 10))]
    sizes = [a.network.size for a in found]
    products = [s.weights * a.bound for s, a in zip(sizes, found, strict=True)]
    logs = [p * math.log(s.weights) for p, s in zip(products, sizes, strict=True)]
    ok = products == sorted(products, reverse=True) and max(logs) <= 1.3 * logs[0]
    ok &= all(s.width <= 5 for s in sizes)
    return Result(ok, "observed", "bounds proved from the Lipschitz constant; the rate over finitely many sizes.",
                  {"W": [s.weights for s in sizes], "W error": products, "W error ln W": logs})  # fmt: skip


@statement(PAPER, "Lower bound: continuous selection cannot beat c / W: interpolation attains it")
def continuous_rate() -> Result:
    """A zig-zag between the nodes of interpolation is missed by its height: W error stays at L/2 times 3 for all W."""
    products = []
    for cells in (8, 32, 128):
        saw = "x"
        for k in range(int(math.log2(cells)) + 1):
            saw = f"abs({saw} - {1}/{2 ** (k + 1)})"
        f = Target(saw)
        net = simplicial(f, 1, cells=cells, proved=False)
        c = net.certify(rtol=0.05)
        products.append((3 * cells + 2) * c.lower)
    ok = min(products) >= 1.4 and max(products) <= 2.2
    return Result(ok, "observed", "certified: for three W a function of Lipschitz constant 1 is missed by about 3/(2W).",
                  {"W error": products})  # fmt: skip


@statement(PAPER, "Weight selection: continuous for interpolation, with jumps for the cached networks")
def jumps_of_the_selection() -> Result:
    """Along f_s = s |sin 9x| / 9 the zig-zag jumps by 2 lambda however small the step of s; nodal values do not."""
    whole = fine_values(Target("abs(sin(9*x))/9"), 48, 1.0)
    steps, jumps, nodal = [1e-2, 1e-3, 1e-4], [], []
    for step in steps:
        path = [replace(whole, middle=s * whole.middle) for s in np.arange(0.5, 0.6, step)]
        plans = [sign_plan(fine, 4) for fine in path]
        share = np.arange(4) / 4
        lines = [p.heights[:-1, None] + np.diff(p.heights)[:, None] * share + p.remainders[:, :4] / 4 for p in plans]
        jumps.append(float(np.abs(np.diff(lines, axis=0)).max()))
        nodal.append(48 * float(np.abs(np.diff([fine.middle for fine in path], axis=0)).max()))
    ok = min(jumps) >= 2 and max(jumps) <= 2.001 and nodal[0] > 5 * nodal[1] > 25 * nodal[2]
    return Result(ok, "observed", "largest change of a weight-determining value between neighbours, in units of lambda = L h.",
                  {"steps": steps, "zig-zag": jumps, "interpolation": nodal})  # fmt: skip
