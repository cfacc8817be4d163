"""How long do certificates in two and more variables take, how tight are they, and what does rigour cost?"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np

import approx
from approx.certification.pieces import Program
from approx.certification.plane_pieces import grow, start_block
from approx.certification.polygons import Rectangle, covers, frames_of, mesh_forward
from approx.networks import Builder, Network, dense_block, layer, linear_combination
from constructions.relu.local_taylor import local_taylor
from constructions.relu.product import product, product_of
from constructions.relu.simplicial import simplicial

HEAD = (
    "network",
    "weights",
    "target",
    "method",
    "seconds",
    "CPU s",
    "upper/lower-1",
    "status",
    "lower",
    "upper",
    "regions/CPU s",
)
UNIT2, SQUARE = [(0, 1)] * 2, [(-1, 1)] * 2


def table() -> list[tuple[str, ...]]:
    """Rows: network, weights, target, method, seconds, relative gap, status, lower, upper, regions a second."""
    rows: list[tuple[str, ...]] = [HEAD]
    for m in (6, 8, 10):
        rows.append(row(f"product m={m}", product(m), "x*y", SQUARE, 0.01, method="polygons"))
    rows.append(row("product m=10", product(10), "x*y", SQUARE, 0.01, method="structure"))
    rows.append(row("product m=40", product(40), "x*y", SQUARE, 0.01, method="structure"))
    text = "sin(3*x)*exp(y)"
    for cells, form in ((16, "economical"), (16, "paper"), (20, "paper")):
        net = simplicial(approx.Target(text, UNIT2), 1.0, cells=cells, form=form).network
        rows.append(row(f"simplicial N={cells} {form}", net, text, UNIT2, 0.01))
    for cells in (8, 16):
        rows.append(row(f"local patches N={cells}, 9 units a node", patches(text, cells), text, UNIT2, 0.01))
    rows.append(
        row("MLP 2-64-64-1, fitted", fitted("sin(3*x)*exp(-y)", SQUARE, (64, 64)), "sin(3*x)*exp(-y)", SQUARE, 0.05)
    )
    text = "sin(3*x)*exp(-y)*cos(z)"
    rows.append(row("MLP 3-32-32-1, fitted", fitted(text, [(-1, 1)] * 3, (32, 32)), text, [(-1, 1)] * 3, 0.05))
    rows += rigour()
    return rows


def higher() -> list[tuple[str, ...]]:
    """The same in three and four variables: local Taylor networks and products; minutes."""
    rows: list[tuple[str, ...]] = []
    text = "exp(-(x**2+y**2+z**2))"
    target = approx.Target(text, [(0, 1)] * 3)
    for eps, seconds in ((0.1, 120), (0.02, 240), (0.0065, 600)):
        net = local_taylor(target, eps, order=2).network
        rows.append(row(f"local Taylor, d=3, eps={eps}", net, text, [(0, 1)] * 3, 0.1, seconds=seconds))
    rows.append(row("product of 3, m=4", product_of(3, 4)[0], "x1*x2*x3", [(-1, 1)] * 3, 0.1, seconds=120))
    for m in (2, 4):
        rows.append(row(f"product of 4, m={m}", product_of(4, m)[0], "x1*x2*x3*x4", [(-1, 1)] * 4, 0.1, seconds=120))
    text = "x1*x2+x3*x4"
    net = simplicial(approx.Target(text, [(0, 1)] * 4), 1.0, cells=2).network
    rows.append(row("simplicial N=2, d=4", net, text, [(0, 1)] * 4, 0.1, seconds=120))
    return rows


def row(
    name: str, network: Network, text: str, domain: list, rtol: float, method: str = "auto", seconds: float = 60.0
) -> tuple[str, ...]:
    """One certificate; the best of up to three runs where they are short. CPU seconds do not depend on other work."""
    target = approx.Target(text, domain=domain)
    best, work, certificate = float("inf"), float("inf"), None
    for _ in range(3):
        fresh = Network(network.inputs, network.layers, network.pool)
        start, used = time.perf_counter(), time.process_time()
        certificate = approx.certify(fresh, target, rtol=rtol, method=method, budget=approx.Budget(seconds=seconds))
        best, work = min(best, time.perf_counter() - start), min(work, time.process_time() - used)
        if best > 15:
            break
    c = certificate
    regions = sum(v for k, v in c.work.items() if k != "seconds")
    gap = c.upper / c.lower - 1 if c.lower else float("inf")
    return (
        name, str(network.size.weights), text, c.method, f"{best:.3f}", f"{work:.3f}", f"{gap:.3%}", c.status, f"{c.lower:.6g}",
        f"{c.upper:.6g}", f"{regions / work:.3g}",
    )  # fmt: skip


def patches(text: str, cells: int) -> Network:
    """Piecewise linear interpolation by a spike max(1 - max(|s|, |t|, |s - t|), 0) of 9 ReLUs at every node.

    9 (cells + 1)**2 units, less those of nodes where the target vanishes.
    """
    b = Builder(2)
    x, y = b.input(0), b.input(1)
    ticks = np.arange(cells + 1) / cells
    nodal = approx.Target(text, UNIT2)(np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2))
    spikes = []
    for k, value in enumerate(nodal.tolist()):
        s, t = cells * x - k // (cells + 1), cells * y - k % (cells + 1)
        sizes = [b.relu(u) + b.relu(-u) for u in (s, t, s - t)]
        larger = sizes[0] + b.relu(sizes[1] - sizes[0])
        spikes.append((value, b.relu(1 - larger - b.relu(sizes[2] - larger))))
    return b.build([linear_combination(spikes)])


def rigour(m: int = 8) -> list[tuple[str, ...]]:
    """What a proved decomposition costs: cutting alone; cutting, cover, distance from affine and frames. Best of five."""
    rows = []
    nets = [
        (f"product m={m}", product(m)),
        ("simplicial N=32", simplicial(approx.Target("x*x+y*y", UNIT2), 1.0, cells=32).network),
    ]
    for name, network in nets:
        program = Program(network, hinges=False)
        square = Rectangle(0.0, 1.0, 0.0, 1.0)
        blocks = finished(program, square)
        count = sum(b.mesh.polygons for b in blocks)
        plain = best_of(lambda p=program, s=square: finished(p, s))

        def proved(p: Program = program, s: Rectangle = square) -> None:
            for b in finished(p, s):
                assert covers(b.mesh, b.rectangle)
                values, error = mesh_forward(p, b.mesh)
                frames_of(b.mesh, values[0], error)

        full = best_of(proved)
        rows.append((f"rigour: {name}", str(network.size.weights), f"{count} regions", "float, then proved", "",
                     f"{plain:.3f}",
                     f"x {full / plain:.2f}", "", f"{count / plain:.3g}/s", f"{count / full:.3g}/s", ""))  # fmt: skip
    return rows


def finished(program: Program, square: Rectangle) -> list:
    """All finished blocks of a square."""
    stack, found = [start_block(square)], []
    while stack:
        parts = grow(program, stack.pop())
        if len(parts) == 1:
            found += parts
        else:
            stack += parts
    return found


def best_of(function: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU time of some calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def fitted(text: str, domain: list, hidden: tuple[int, ...], steps: int = 3000, batch: int = 512) -> Network:
    """A ReLU MLP with float32 weights, fitted to the target by Adam in numpy (always the same)."""
    rng, target = np.random.default_rng(0), approx.Target(text, domain)
    sides = np.array(target.domain.floats())
    sizes = [len(sides), *hidden, 1]
    weights = [rng.normal(size=(a, b)) * np.sqrt(2 / a) for a, b in itertools.pairwise(sizes)]
    biases = [0.1 * rng.normal(size=b) for b in sizes[1:]]
    parameters = weights + biases
    first, second = [0 * p for p in parameters], [0 * p for p in parameters]
    last = len(weights) - 1
    for t in range(1, steps + 1):
        x = sides[:, 0] + (sides[:, 1] - sides[:, 0]) * rng.random((batch, len(sides)))
        values = [x]
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = values[-1] @ w + b
            values.append(z if k == last else np.maximum(z, 0))
        back = 2 * (values[-1] - target(x)[:, None]) / batch
        by_weight, by_bias = [0 * w for w in weights], [0 * b for b in biases]
        for k in range(last, -1, -1):
            by_weight[k], by_bias[k] = values[k].T @ back, back.sum(axis=0)
            back = (back @ weights[k].T) * (values[k] > 0)
        rate = 1.5e-3 * (1 + np.cos(np.pi * t / steps))
        for p, g, m, v in zip(parameters, by_weight + by_bias, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    layers = [
        layer("identity" if k == last else "relu", biases[k].astype(np.float32).astype(float),
              [dense_block(k, weights[k].T.astype(np.float32).astype(float))])
        for k in range(last + 1)
    ]  # fmt: skip
    return Network(len(sides), layers)
