"""What does training reach with as many weights? An MLP of at most the constructed network's weights, beside its certificate.

Two hidden tanh layers in float64, Adam then L-BFGS on 1,000 points; of four seeds the best by the error OBSERVED on 20,001
points, which is then certified like ours. About two minutes per row. Needs torch (pip install 'approx[torch]'); without it
the table says so.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import constructions
from approx import Network, Target, certify, from_torch
from approx.networks import affine, compose

CASES = [
    ("sin(2*pi*x)", 1e-2),
    ("sin(2*pi*x)", 1e-4),
    ("sin(2*pi*x)", 1e-6),
    ("exp(x)", 1e-2),
    ("exp(x)", 1e-4),
    ("exp(x)", 1e-6),
    ("erf(4*x-2)", 1e-4),
    ("sin(7*x)*exp(-x)/(1+x**2)", 1e-4),
    ("cos(40*x**2)", 1e-4),
]


def table() -> list[tuple[str, ...]]:
    """One row per function: constructed weights and certified error, trained weights and observed error."""
    try:
        import torch
    except ImportError:
        return [("torch is not installed: pip install 'approx[torch]'",)]
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    rows = [("f", "constructed weights", "certified error <=", "trained weights", "observed error", "certified error <=")]
    for text, eps in CASES:
        f = Target(text)
        found = constructions.build(f, eps)
        assert found.certificate is not None
        weights = found.network.size.weights
        width = int((-4 + math.sqrt(16 + 4 * (weights - 1))) / 2)
        error, network = min((_train(torch, f, width, seed) for seed in range(4)), key=lambda pair: pair[0])
        count = width * width + 4 * width + 1
        assert network.size.weights <= count
        proved = certify(network, f, rtol=0.05).upper
        ours = f"{found.certificate.upper:.2e}"
        rows.append((text, str(weights), ours, str(count), f"{error:.2e}", f"{proved:.2e}"))
    return rows


def _train(torch: Any, f: Target, width: int, seed: int) -> tuple[float, Network]:
    """The observed sup error of one trained 1-width-width-1 network, and the network."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(1, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, 1),
    )
    x = torch.linspace(0, 1, 1000)[:, None]
    y = torch.from_numpy(np.asarray(f(x[:, 0].numpy())))[:, None]
    adam = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(2000):
        adam.zero_grad()
        ((net(2 * x - 1) - y) ** 2).mean().backward()
        adam.step()
    newton = torch.optim.LBFGS(net.parameters(), max_iter=3000, tolerance_grad=1e-14, tolerance_change=1e-16,
                               history_size=50, line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Any:
        newton.zero_grad()
        loss = ((net(2 * x - 1) - y) ** 2).mean()
        loss.backward()
        return loss

    newton.step(closure)
    dense = torch.linspace(0, 1, 20001)[:, None]
    with torch.no_grad():
        gap = np.abs(net(2 * dense - 1)[:, 0].numpy() - np.asarray(f(dense[:, 0].numpy())))
    return float(gap.max()), compose(from_torch(net), affine([[2]], [-1]))
