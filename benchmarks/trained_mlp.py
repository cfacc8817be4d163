"""What is the certified error of networks that somebody else trained? Two MLPs by torch, exported as ONNX, certified to 5 %.

2-64-64-1 and 3-32-32-1 ReLU networks in float32, Adam on random points of the box; exported by torch's own exporter, imported,
and certified against their targets: in exact arithmetic, and as executed in float32. Needs torch (pip install
'approx[torch]'); without it the table says so.
"""

from __future__ import annotations

import itertools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import approx
from approx import Budget, Network, Target

CASES = [
    ("sin(3*x)*exp(-y**2)", 2, (64, 64), 3000),
    ("sin(2*x+y*z)", 3, (32, 32), 3000),
]
SECONDS = 120.0


def table() -> list[tuple[str, ...]]:
    """One row per network and semantics: observed error, certified enclosure, gap, seconds, method."""
    try:
        import torch
    except ImportError:
        return [("torch is not installed: pip install 'approx[torch]'",)]
    torch.set_num_threads(1)
    rows = [("f", "network", "semantics", "observed", "certified", "gap", "status", "seconds", "regions", "method")]
    for text, inputs, widths, steps in CASES:
        target = Target(text, domain=[(-1, 1)] * inputs)
        network = trained(torch, target, widths, steps)
        points = np.random.default_rng(1).uniform(-1, 1, size=(200_000, inputs))
        observed = np.abs(target(points) - network(points)).max()
        name = "-".join(map(str, (inputs, *widths, 1)))
        for semantics in ("exact", "float32"):
            c = approx.certify(network, target, rtol=0.05, semantics=semantics, budget=Budget(seconds=SECONDS))
            regions = sum(v for v in c.work.values() if isinstance(v, int))
            rows.append((text, name, semantics, f"{observed:.5f}", f"[{c.lower:.5f}, {c.upper:.5f}]", f"{100 * c.gap:.1f} %",
                         c.status, f"{c.work['seconds']:.1f}", f"{regions:,}", c.method))  # fmt: skip
    return rows


def trained(torch: Any, target: Target, widths: tuple[int, ...], steps: int) -> Network:
    """A ReLU network trained on the target over [-1, 1]^d, by way of an ONNX file of torch."""
    torch.manual_seed(0)
    sizes = (target.dimension, *widths)
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))
    # A larger box cut off, so that sides and corners have their share of the points.
    x = (torch.rand(8000, target.dimension, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2).clamp(-1, 1)
    y = torch.from_numpy(np.asarray(target(x.double().numpy()))).float()[:, None]
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        optimiser.step()
        schedule.step()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "trained.onnx"
        torch.onnx.export(module, (x[:1],), str(file), dynamo=False)
        return approx.from_onnx(file)
