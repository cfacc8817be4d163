"""How fast is float64 evaluation, in 1e9 multiplications per second per non-zero weight, beside other programs?"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from workloads import local_taylor_network, median_seconds, narrow, patches

from approx.errors import MissingExtraError, UnsupportedError
from approx.evaluation import evaluate
from approx.networks import Network


def table() -> list[tuple[str, ...]]:
    """Rows: network, points, then the rates of each program and the ratios that matter."""
    header = ("network", "weights", "points", "dgemm", "fused", "numpy", "onnxruntime", "torch csr",
              "fused/dgemm", "fused/numpy", "fused/ort", "fused/csr", "n=1 us")  # fmt: skip
    cases = [
        ("width 14, depth 1000, 3 per row", narrow(), 8192),
        ("width 14, depth 1000, dense", narrow(entries=14), 4096),
        ("local Taylor, paper form", local_taylor_network("paper", 0.3, 3), 2048),
        ("local Taylor, economical", local_taylor_network("economical", 1e-5, 2), 2048),
        ("local Taylor, economical 1e6", local_taylor_network("economical", 1.5e-6, 2), 512),
        ("patches 1e5", patches(100_000), 2048),
        ("patches 1e6", patches(1_000_000), 512),
    ]
    return [header, *(_row(name, network, points) for name, network, points in cases)]


def _row(name: str, network: Network, points: int) -> tuple[str, ...]:
    x = np.random.default_rng(0).uniform(0, 1, (points, network.inputs))
    work = network.size.weights * points
    rates: dict[str, float] = {"dgemm": _dgemm()}
    rates["fused"] = work / median_seconds(lambda: evaluate(network, x, "fused"), 7)
    rates["numpy"] = work / median_seconds(lambda: evaluate(network, x, "numpy"), 3)
    rates["ort"] = _onnxruntime(network, x, work)
    rates["csr"] = _torch_csr(network, x, work)
    again = _dgemm()
    rates["dgemm"] = float(np.sqrt(rates["dgemm"] * again))
    single = median_seconds(lambda: evaluate(network, x[:1], "fused"), 21) * 1e6

    def ratio(other: str) -> str:
        return f"{rates['fused'] / rates[other]:.2f}" if rates[other] else "-"

    shown = [f"{rates[k] / 1e9:.3g}" if rates[k] else "-" for k in ("dgemm", "fused", "numpy", "ort", "csr")]
    ratios = [ratio(k) for k in ("dgemm", "numpy", "ort", "csr")]
    return (name, f"{network.size.weights:,}", str(points), *shown, *ratios, f"{single:.0f}")


def _dgemm() -> float:
    a = np.random.default_rng(0).random((1024, 1024))
    return 1024**3 / median_seconds(lambda: a @ a)


def _onnxruntime(network: Network, x: np.ndarray, work: int) -> float:
    try:
        import onnxruntime
    except ImportError:
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        try:
            network.to_onnx(path)
        except (UnsupportedError, MissingExtraError):  # dense matrices of a wide network do not fit into a file
            return 0.0
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        part = x[: min(len(x), max(64, 4 * 10**10 // _dense_size(network)))]
        seconds = median_seconds(lambda: session.run(["y"], {"x": part}), 5)
        return work * len(part) / len(x) / seconds


def _dense_size(network: Network) -> int:
    widths = [network.inputs] + [layer.units for layer in network.layers]
    return sum(layer.units * widths[b.source] for layer in network.layers for b in layer.blocks)


def _torch_csr(network: Network, x: np.ndarray, work: int) -> float:
    """The best of three batch sizes, with 32-bit indices and every tensor freed after its last use."""
    try:
        import torch
    except ImportError:
        return 0.0
    warnings.filterwarnings("ignore", category=UserWarning, module="evaluation")
    torch.set_num_threads(1)
    widths = [network.inputs] + [layer.units for layer in network.layers]
    last = {b.source: k for k, layer in enumerate(network.layers) for b in layer.blocks}
    layers: list[tuple[str, Any, list[tuple[int, Any]], list[int]]] = []
    for k, layer in enumerate(network.layers):
        blocks = []
        for b in layer.blocks:
            parts = b.indptr.astype(np.int32), b.indices.astype(np.int32), b.values.floats
            matrix = torch.sparse_csr_tensor(*map(torch.from_numpy, parts), size=(layer.units, widths[b.source]))
            blocks.append((b.source, matrix))
        bias = torch.from_numpy(layer.bias.floats)[:, None]
        layers.append((layer.activation, bias, blocks, [s for s, at in last.items() if at == k]))

    def run(points: Any) -> Any:
        values = {0: points}
        for k, (activation, total, blocks, finished) in enumerate(layers, 1):
            for source, matrix in blocks:
                total = total + matrix @ values[source]
            values[k] = torch.relu_(total) if activation == "relu" else total
            for source in finished:
                del values[source]
        return values[len(layers)]

    with torch.no_grad():
        own = np.asarray(evaluate(network, x))
        difference = np.abs(run(torch.from_numpy(np.ascontiguousarray(x.T))).numpy()[0] - own).max()
        if not difference <= 1e-6 * (1 + np.abs(own).max()):
            raise SystemExit(f"torch csr computes something else (difference {difference})")
        rates = []
        for size in (64, 256, len(x)):
            part = torch.from_numpy(np.ascontiguousarray(x[:size].T))
            rates.append(work * size / len(x) / median_seconds(lambda: run(part), 3))  # noqa: B023
        return max(rates)
