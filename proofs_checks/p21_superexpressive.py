"""Do the statements of "Elementary superexpressive activations" (2021) hold for the networks built here?

The statements are taken from a digest of the paper (recalled, not quoted): numbers and constants are checked here as this
project understands them. The paper proves existence; here the weights are computed and the errors certified.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant
from approx.evaluation.smooth import sigma3_ball
from approx.networks import Builder, Network
from approx.numbers import arccos, pi, working_precision
from approx.targets import Target
from constructions.superexpressive import analytic_floor, certify_weight, select_weight, sigma3, sin_arcsin, sin_floor
from constructions.superexpressive._methods import decode_weight
from proofs_checks.statements import Result, statement

PAPER = "P21"
FUNCTIONS = (
    "sin(pi*x)/2", "exp(-x)", "abs(x-1/3)", "sqrt(abs(x-1/2))", "x**3-x", "1/(1+x**2)", "max(x,1-2*x)", "cos(3*x)*x", "7",
    "log(1+x)",
)  # fmt: skip
ACCURACIES = (1e-1, 3e-2, 1e-2, 5e-3, 2e-3)


def _shape(network: Network) -> tuple[Any, ...]:
    return tuple((layer.activation, layer.units, tuple(b.source for b in layer.blocks)) for layer in network.layers)


def _certified_within(found: Approximant, eps: float) -> bool:
    certificate = found.certify()
    return certificate.lower <= certificate.upper <= eps


@statement(PAPER, "Theorem (A2): {sin, arcsin} is superexpressive: one architecture, all functions, all accuracies")
def sin_and_arcsin(full: bool = False) -> Result:
    """Ten functions at five accuracies with one and the same architecture, every error certified; only weights differ."""
    shapes, ok, bits = set(), True, []
    # All ten functions at the coarse accuracies, five of them (all, in full) at the finer ones too.
    runs = [(t, e) for k, t in enumerate(FUNCTIONS) for j, e in enumerate(ACCURACIES) if full or k % 2 == 0 or j < 2]
    for text, eps in runs:
        found = sin_arcsin(Target(text), eps)
        shapes.add(_shape(found.network))
        ok &= _certified_within(found, eps)
        bits.append(found.network.size.bits)
    plane = [sin_arcsin(Target(text), 1e-1) for text in ("sin(pi*x)*cos(pi*y)/2", "abs(x-y)", "exp(-x-y)")]
    ok &= all(_certified_within(found, 1e-1) for found in plane) and len({_shape(f.network) for f in plane}) == 1
    return Result(ok and len(shapes) == 1, "certified", "the errors on the whole interval (square) are certified by structure.",
                  {"architectures": len(shapes), "units (d = 1, 2)": (26, plane[0].network.size.units),
                   "fewest and most bits": (min(bits), max(bits))})  # fmt: skip


@statement(PAPER, "Theorem (A1): {analytic, floor} is superexpressive, with d + 2 neurons")
def analytic_and_floor() -> Result:
    """Eight analytic activations in one variable, three in two, all with d + 2 units and certified errors."""
    ok, lengths = True, {}
    f, g = Target("sin(2*pi*x)"), Target("sin(pi*x)*cos(pi*y)/2")
    for name in ("sin", "arctan", "sqrt", "sigmoid", "gelu", "tanh", "softplus", "exp"):
        found = analytic_floor(f, 1e-1, sigma=name)
        ok &= found.network.size.units == 3 and _certified_within(found, 1e-1)
        lengths[name] = found.parameters["weight_bits"]
    for name in ("sin", "gelu", "tanh"):
        found = analytic_floor(g, 2e-1, sigma=name)
        ok &= found.network.size.units == 4 and _certified_within(found, 2e-1)
    periodic = sin_floor(g, 1e-1)
    ok &= periodic.network.size.units == 4 and _certified_within(periodic, 1e-1)
    return Result(ok, "certified", "also the closed-form weights of {sin, floor}, without skip connections.",
                  {"bits at 0.1": lengths})  # fmt: skip


@statement(PAPER, "sigma_3 is C^1, strictly increasing, with limits 0 and 7")
def sigma3_is_a_sigmoid() -> Result:
    """Values and slopes from both sides of +-1 in balls; lower bounds of the derivative that cover every x; far values."""
    with working_precision(1000):
        tiny = arb(2) ** -150
        ok = True
        for place, value, slope in ((-1, 1, 1), (1, 4, 2)):
            x = arb(place)
            for side in (-1, 1):
                ok &= abs(sigma3_ball(x + side * tiny) - value) < arb(2) ** -140
                # The difference quotient of a C^1 function: near +-1 the slope has a root singularity, hence 2^-70.
                quotient = (sigma3_ball(x + side * tiny) - sigma3_ball(x)) / (side * tiny)
                ok &= abs(quotient - slope) < arb(2) ** -40
        # x < -1: 1/x^2. |x| <= 1: arcsin(x)/pi + 3/2 >= 1. x > 1: (3 + cos(pi x) - 2 sin(pi x)/(pi x))/x^2 >= (2 - 2/pi)/x^2.
        least = min((arb(k) / 64).asin() / arb.pi() + arb(fmpq(3, 2)) for k in range(-64, 65))
        ok &= least >= 1 - arb(2) ** -100 and 2 - 2 / arb.pi() > 1
        for k in range(1, 200):
            left, right = arb(1) + arb(k - 1) / 20, arb(1) + arb(k) / 20
            ok &= sigma3_ball(left) < sigma3_ball(right) and sigma3_ball(-right) < sigma3_ball(-left)
        far = arb(10) ** 40
        ok &= abs(sigma3_ball(-far)) < arb(10) ** -39 and abs(sigma3_ball(far) - 7) < arb(10) ** -38
    return Result(bool(ok), "certified", "the bounds of the derivative hold for every x; values enclosed in balls.",
                  {"least slope on [-1, 1]": float(least)})  # fmt: skip


@statement(PAPER, "Theorem (A3): one sigmoidal activation sigma_3 is superexpressive")
def one_sigmoid(full: bool = False) -> Result:
    """One architecture of 52 sigma_3 units, several functions and accuracies, certified; the identity behind it in balls."""
    ok, shapes = True, set()
    for text, eps in itertools.product(FUNCTIONS[: 10 if full else 4], (1e-1, 1e-2)):
        found = sigma3(Target(text), eps)
        shapes.add(_shape(found.network))
        ok &= found.network.activations == {"sigma3", "identity"} and _certified_within(found, eps)
    with working_precision(300):
        for k in range(1, 50):
            x = arb(fmpq(3 * k + 1, 3))
            gap = sigma3_ball(x) + 3 * sigma3_ball(-x) - 7 - x.sin_pi() / (arb.pi() * x * x)
            ok &= gap.contains(0) and gap.rad() < arb(2) ** -250
    return Result(ok and len(shapes) == 1, "certified", "sigma_3(x) + 3 sigma_3(-x) = 7 + sin(pi x)/(pi x^2) for x > 1.",
                  {"architectures": len(shapes), "units": 52})  # fmt: skip


def sine_labels(count: int, labels: list[int]) -> Network:
    """Two sine units and a constant architecture: positive exactly at those of the points 1..count whose label is 1."""
    weight = select_weight([fmpq(1, 4) if label else fmpq(3, 4) for label in labels], bits=2)
    b = Builder(1)
    inner = b.unit(arccos(fmpq(1, 8)) * b.input() + pi() / 2, "sin")
    return b.build([b.unit(4 * weight.integer * pi() * inner, "sin")])


@statement(PAPER, "Section 3: the VC dimension of a fixed superexpressive architecture is infinite")
def sine_networks_shatter(full: bool = False) -> Result:
    """All labels of 8 points, and random labels of thousands: the lemma serves every labelling, exact integers check these."""
    ok = True
    for labels in itertools.product((0, 1), repeat=8):
        weight = select_weight([fmpq(1, 4) if label else fmpq(3, 4) for label in labels], bits=2)
        values, width, units = decode_weight(weight)
        # sin(2 pi v) > 0 on (0, 1/2), < 0 on (1/2, 1); decoded values stay 1/8 away from the ends.
        ok &= all(
            (units < v < 2 ** (width - 1) - units) == bool(label) for v, label in zip(values, labels, strict=True)
        )
    rng, count = random.Random(21), 100_000 if full else 10_000
    for _ in range(3):
        wanted = [fmpq(1, 4) if rng.random() < 0.5 else fmpq(3, 4) for _ in range(count)]
        check = certify_weight(select_weight(wanted, bits=2), wanted)
        ok &= check.within and check.error <= fmpq(1, 8)
    return Result(ok, "proved", "two sine units label any N points as wished: greedy digits, errors at most 1/8 of a period.",
                  {"points": count, "units": 2})  # fmt: skip


def pfaffian_vc_bound(weights: int, units: int) -> float:
    """An upper bound of the VC dimension of sigmoid (or tanh) networks: (Wk)^2 + 11 Wk log2(18 W k^2).

    Karpinski and Macintyre by way of Anthony and Bartlett (recalled); W weights and biases, k units, output unit included.
    """
    product = weights * units
    return product**2 + 11 * product * math.log2(18 * product * units)


@statement(PAPER, "Negative result: Pfaffian activations are not superexpressive (finite VC dimension at fixed size)")
def tanh_networks_do_not() -> Result:
    """The same two-unit architecture: with tanh it shatters at most a bounded number of points, with sin any number."""
    count, rng = 0, random.Random(5)
    network = sine_labels(4, [1, 0, 1, 1])
    weights, units = 6, network.size.units + 1
    bound = pfaffian_vc_bound(weights, units)
    count = 2 * math.ceil(bound)
    wanted = [fmpq(1, 4) if rng.random() < 0.5 else fmpq(3, 4) for _ in range(count)]
    ok = certify_weight(select_weight(wanted, bits=2), wanted).within and count > bound
    # What the bound means, observed: the sign of a fixed tanh network changes a bounded number of times, whatever its weights.
    generator, most = np.random.default_rng(3), 0
    x = np.linspace(-1, 1, 20001)
    for _ in range(300):
        a = generator.normal(size=6) * 10.0 ** generator.uniform(-1, 6, size=6)
        y = a[4] * np.tanh(a[2] * np.tanh(a[0] * x + a[1]) + a[3]) + a[5]
        most = max(most, int(np.count_nonzero(np.diff(np.sign(y)) != 0)))
    ok &= most <= 2
    return Result(ok, "observed", "tanh: bound recalled from the literature, sign changes observed; sin: exact digits.",
                  {"tanh: at most": bound, "sin: labelled": count, "sign changes of tanh networks": most})  # fmt: skip


@statement(PAPER, "bits: a table of N values of log2 B bits needs N log2 B bits, and that is enough")
def information_bound() -> Result:
    """Arcs of length 1/B around N values: all tables need at least B^N weights; the weights found have that length."""
    ok, lengths = True, {}
    for count, bits in ((1000, 1), (1000, 8), (500, 30)):
        values = np.random.default_rng(count + bits).random(count)
        weight = select_weight(values, bits)
        ok &= weight.length <= count * bits and certify_weight(weight, values).within
        lengths[f"N = {count}, b = {bits}"] = weight.length
    tables = list(itertools.product((fmpq(1, 8), fmpq(3, 8), fmpq(5, 8), fmpq(7, 8)), repeat=3))
    distinct = {select_weight(list(t), 2).integer for t in tables}
    ok &= len(distinct) == len(tables) == 4**3 and max(distinct) < 4**3
    return Result(ok, "proved", "for N = 3, B = 4 the 64 tables use exactly the 64 weights below B^N.", lengths)
