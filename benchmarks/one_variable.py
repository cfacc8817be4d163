"""How fast is the one-variable engine: pieces a second, certificates to 1 %, what rounding costs, deep networks?

Seconds are those of the processor (one core), the best of several runs, with the machine code of numba loaded where numba is
installed and `APPROX_NUMPY=1` is not set. The interval is [0, 1] throughout. What rounding costs: time of the rigorous pass
over that of plain float64, unit by unit in numpy and (second figure) by the fused kernel that evaluates networks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from certification import interpolation, sawtooth_square

import approx
import constructions
from approx.certification import decompose, machine_code
from approx.certification.arithmetic import DoubleDouble, Float64
from approx.certification.forward import forward
from approx.certification.pieces import Program
from approx.evaluation.fused import kernel
from approx.networks import Network, dense_block, layer


def table() -> list[tuple[str, ...]]:
    """Rows: network, task, pieces, seconds, rate or result."""
    rows: list[tuple[str, ...]] = [("network", "task", "pieces", "seconds", "result")]
    if os.environ.get("APPROX_NUMPY"):
        machine_code.State.unavailable = "switched off"
    for verb in ("follow", "advance", "hinges"):
        for arithmetic in (Float64, DoubleDouble):
            machine_code.machine_code(verb, arithmetic)
    machine_code.machine_code("grow", Float64)
    nets = [(f"sawtooth square, m={m}", sawtooth_square(m)) for m in (8, 12, 14, 16, 18)]
    nets += [("MLP 64x3", mlp(64, 3)), ("MLP 256x4", mlp(256, 4)), ("MLP 512x6", mlp(512, 6))]
    nets += [("folding 1-64-64-64-1", folding(64, 3))]
    for name, net in nets:
        seconds, nodes = best(lambda net=net: decompose(net, 0.0, 1.0), 21)  # type: ignore[misc]
        pieces = len(nodes) - 1
        rows.append((name, "decompose", f"{pieces:,}", f"{seconds:.4f}", f"{pieces / seconds:.3g} pieces/s"))
    for name, net in nets[3:]:
        rows.append(_certified(name, net, approx.Target("sin(3*x)" if "sawtooth" not in name else "x**2"), "pieces"))
    nets = nets[1:5]
    nets.append(("polynomial, exp, 1e-8", constructions.relu.polynomial(_exp(), 1e-8).network))
    nets.append(("local Taylor, exp, 1e-6", constructions.relu.local_taylor(_exp(), 1e-6).network))
    nets += [(f"interpolation, {n:,} pieces", interpolation("exp(x)", n)) for n in (2000, 100_000)]
    rows += [_overhead(name, net) for name, net in nets]
    for name, target, eps in (("exp", "exp(x)", 1e-10), ("exp", "exp(x)", 1e-12), ("sine", "sin(2*pi*x)", 1e-12)):
        rows.append(_deep(f"polynomial, {name}, {eps:g}", constructions.relu.polynomial, target, eps))
    for name, text, eps in (("sine", "sin(2*pi*x)", 1e-8), ("sine", "sin(2*pi*x)", 1e-10), ("exp", "exp(x)", 1e-10)):
        rows.append(_deep(f"local Taylor, {name}, {eps:g}", constructions.relu.local_taylor, text, eps))
    return rows


def _deep(name: str, method: Callable[..., Any], text: str, eps: float) -> tuple[str, ...]:
    target = approx.Target(text, domain=(0, 1))
    return _certified(name, method(target, eps).network, target, "auto", approx.Budget(seconds=30), repeat=1)


def _certified(
    name: str, net: Network, target: Any, method: str, budget: approx.Budget | None = None, repeat: int = 3
) -> tuple[str, ...]:
    def run() -> approx.Certificate:
        return approx.certify(Network(net.inputs, net.layers, net.pool), target, rtol=0.01, method=method, budget=budget)

    seconds, c = best(run, repeat)
    pieces = sum(v for k, v in c.work.items() if k in ("float64", "double-double"))
    return name, "certify to 1 %", f"{pieces:,}", f"{seconds:.3f}", f"[{c.lower:.5g}, {c.upper:.5g}] {c.status}"


def _overhead(name: str, net: Network) -> tuple[str, ...]:
    """Time of the rigorous pass over time of the same evaluation in plain float64, unit by unit."""
    program = Program(net)
    points = (decompose(net, 0.0, 1.0)[: program.block],)
    if program.wide_first:
        plain, _ = best(lambda: _plain_hinges(program, points[0]), 25)
    else:
        plain, _ = best(lambda: _plain(program, points[0]), 25)
    rigorous, _ = best(lambda: forward(program, points, True, Float64), 25)
    result = f"{rigorous / plain:.2f} x plain float64"
    if not program.wide_first and kernel() is not None:
        fused, _ = best(lambda: net(points[0]), 25)
        result += f", {rigorous / fused:.1f} x fused kernel"
    return name, "rounding overhead", f"{len(points[0]) - 1:,}", f"{rigorous:.5f}", result


def _exp() -> approx.Target:
    return approx.Target("exp(x)", domain=(0, 1))


def _plain(program: Program, x: np.ndarray) -> np.ndarray:
    values: list[list[np.ndarray]] = [[x]]
    for k, activation in enumerate(program.activations):
        units = []
        for row in program.rows[k]:
            total = np.full(len(x), row.bias[0])
            for source, column, weight, _ in row.terms:
                total = total + weight * values[source][column]
            units.append(np.maximum(total, 0.0) if activation == "relu" else total)
        values.append(units)
    return values[-1][0]


def _plain_hinges(program: Program, x: np.ndarray) -> np.ndarray:
    hinges = program.hinge_sums[1][0]
    position = np.searchsorted(hinges.kinks, x, side="right")
    return np.asarray(hinges.slopes[0][position] * x + hinges.offsets[0][position])


def best(task: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """(processor seconds of the fastest run, result)."""
    fastest, result = float("inf"), None
    for _ in range(repeat):
        start = time.process_time()
        result = task()
        fastest = min(fastest, time.process_time() - start)
    return fastest, result


def mlp(width: int, depth: int, seed: int = 0) -> Network:
    """A random dense ReLU network: He weights, small biases."""
    rng = np.random.default_rng(seed)
    widths = [1] + [width] * depth
    layers = []
    for k, n in enumerate(widths[1:]):
        weights = rng.normal(size=(n, widths[k])) * np.sqrt(2 / widths[k])
        layers.append(layer("relu", rng.normal(size=n) * (0.1 if k else 0.5), [dense_block(k, weights)]))
    last = layer("identity", [0.0], [dense_block(depth, rng.normal(size=(1, width)) / np.sqrt(width))])
    return Network(1, [*layers, last])


def folding(teeth: int, depth: int) -> Network:
    """A zigzag of `teeth` monotone pieces, composed `depth` times, as dense layers: teeth**depth pieces."""
    k = np.arange(teeth)
    zigzag = np.where(k == 0, teeth, 2.0 * teeth * (-1.0) ** k)
    layers = [layer("relu", -k / teeth, [dense_block(0, np.ones((teeth, 1)))])]
    for d in range(1, depth):
        layers.append(layer("relu", -k / teeth, [dense_block(d, np.outer(np.ones(teeth), zigzag))]))
    return Network(1, [*layers, layer("identity", [0.0], [dense_block(depth, zigzag[None, :])])])
