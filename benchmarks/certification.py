"""How long does certification in one variable take, and how tight is it, on networks of 1e4 to 1e5 pieces?"""

from __future__ import annotations

import time

import numpy as np
from flint import fmpq

import approx
from approx.networks import Network, dense_block, layer
from approx.numbers import to_fmpq


def table() -> list[tuple[str, ...]]:
    """Rows: network, target, seconds (median of three), gap (upper - lower) / upper, status, method, error bound."""
    rows: list[tuple[str, ...]] = [("network", "target", "seconds", "gap", "status", "method", "lower", "upper")]
    rows.append(_row("sawtooth square, m=16", sawtooth_square(16), "x**2"))
    rows.append(_row("sawtooth square, m=16, by its pieces", sawtooth_square(16), "x**2", method="pieces"))
    for text in ("exp(x)", "sin(20*x)", "sqrt(x)", "abs(x-1/3)"):
        rows.append(_row("zigzag, 1e5 pieces", interpolation(text, 100_000, 1e-5), text))
    for text in ("exp(x)", "sin(20*x)", "sqrt(x)"):
        rows.append(_row("interpolation, 1e5 pieces", interpolation(text, 100_000), text))
    for m in (1, 4, 10, 20, 40):
        network = sawtooth_square(m)
        row = _row(f"sawtooth square, m={m}", network, "x**2")
        certificate = approx.certify(network, "x**2", domain=(0, 1))
        true = fmpq(1, 4 ** (m + 1))
        holds = to_fmpq(certificate.lower) <= true <= to_fmpq(certificate.upper)
        rows.append((*row[:-1], row[-1] + (" contains 4^-(m+1)" if holds else " MISSES 4^-(m+1)")))
    return rows


def _row(name: str, network: Network, text: str, method: str = "auto") -> tuple[str, ...]:
    target = approx.Target(text, domain=(0, 1))
    times = []
    for _ in range(3):
        fresh = Network(network.inputs, network.layers, network.pool)
        start = time.perf_counter()
        certificate = approx.certify(fresh, target, rtol=0.01, method=method)
        times.append(time.perf_counter() - start)
    c = certificate
    gap = (c.upper - c.lower) / c.upper if c.upper > 0 else 0.0
    return name, text, f"{np.median(times):.3f}", f"{gap:.2%}", c.status, c.method, f"{c.lower:.4g}", f"{c.upper:.4g}"


def sawtooth_square(m: int) -> Network:
    """x - sum of g_s / 4^s, s <= m, with two ReLU units per level that are summed on the way."""
    layers = [layer("relu", [0.0, -0.5], [dense_block(0, [[1.0], [1.0]])])]
    for k in range(1, m):
        layers.append(layer("relu", [0.0, -0.5], [dense_block(k, [[2.0, -4.0], [2.0, -4.0]])]))
    blocks = [dense_block(0, [[1.0]])]
    blocks += [dense_block(s, [[-2.0 * 4.0**-s, 4.0 * 4.0**-s]]) for s in range(1, m + 1)]
    return Network(1, [*layers, layer("identity", [0.0], blocks)])


def interpolation(text: str, pieces: int, zigzag: float = 0.0) -> Network:
    """A shallow piecewise-linear interpolant at dyadic knots of the target, plus and minus `zigzag` in turn."""
    exponent = int(np.ceil(np.log2(pieces)))
    knots = np.arange(2**exponent + 1) / 2.0**exponent
    keep = np.unique(np.round(np.linspace(0, 2**exponent, pieces + 1)).astype(int))
    knots = knots[keep]
    values = approx.Target(text, domain=(0, 1))(knots) + zigzag * (-1.0) ** np.arange(len(knots))
    slopes = np.diff(values) / np.diff(knots)
    jumps = np.concatenate((slopes[:1], np.diff(slopes)))
    used = jumps != 0
    hidden = layer("relu", -knots[:-1][used], [dense_block(0, np.ones((int(used.sum()), 1)))])
    return Network(1, [hidden, layer("identity", values[:1], [dense_block(1, jumps[used][None, :])])])
