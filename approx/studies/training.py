"""How is a network of a given number of weights trained? Adam, then L-BFGS, by torch; several seeds, the best one is kept."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from approx.errors import MissingExtraError
from approx.interchange import from_torch
from approx.networks import Network, affine, compose
from approx.targets import Target


@dataclass(frozen=True)
class Training:
    """How a network is trained: two equal hidden layers, mean squares at `points` places, in float64 on one thread.

    steps of Adam (learning rate 0.005, falling to 0 by a cosine), then `polish` iterations of L-BFGS; the whole of it for
    the seeds 0, ..., seeds - 1.
    """

    seeds: int = 5
    steps: int = 1000
    polish: int = 2000
    points: int = 1000


@dataclass(frozen=True)
class Trained:
    """The best network of several seeds, by the sup error OBSERVED on a fine sample; `observed` lists those of all seeds."""

    network: Network
    observed: tuple[float, ...]

    @property
    def best(self) -> float:
        """The least observed error: a sample, neither proved nor certified."""
        return min(self.observed)


def equal_width(inputs: int, weights: int) -> int:
    """The largest width n of inputs-n-n-1 networks with at most so many weights: n^2 + (inputs + 3) n + 1 <= weights; or 0.

    >>> [equal_width(1, w) for w in (5, 6, 13, 100)]
    [0, 1, 2, 8]
    """
    room = (inputs + 3) ** 2 + 4 * (weights - 1)
    return max(0, (math.isqrt(max(room, 0)) - (inputs + 3)) // 2) if weights > 1 else 0


def sample(target: Target, points: int) -> np.ndarray:
    """At least about so many points (n, d) of the domain: equally spaced in one variable, a grid with its boundary above."""
    per_axis = max(2, math.ceil(points ** (1 / target.dimension)))
    axes = [np.linspace(low, high, per_axis) for low, high in target.domain.floats_inside()]
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=-1)


def trained(target: Target, width: int, activation: str, plan: Training, dense: int = 20_001) -> Trained:
    """The best of plan.seeds networks d-width-width-1 with "relu" or "tanh" units; the sample has about `dense` points.

    Everything is seeded: the same call gives the same network with the same torch on the same machine. The state of torch's
    random numbers, its number of threads and its default type are left as they were. Raises MissingExtraError without torch.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch", "training networks to compare with") from error
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            networks = [_one(torch, target, width, activation, plan, seed) for seed in range(plan.seeds)]
    finally:
        torch.set_num_threads(threads)
    places = sample(target, dense)
    values = np.asarray(target(places if target.dimension > 1 else places[:, 0]))
    errors = [float(np.abs(net(places) - values).max()) for net in networks]
    errors = [e if e == e else math.inf for e in errors]
    return Trained(networks[int(np.argmin(errors))], tuple(errors))


def _one(torch: Any, target: Target, width: int, activation: str, plan: Training, seed: int) -> Network:
    torch.manual_seed(seed)
    unit = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]
    layers: list[Any] = []
    for a, b in itertools.pairwise((target.dimension, width, width)):
        layers += [torch.nn.Linear(a, b, dtype=torch.float64), unit()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1, dtype=torch.float64))
    ends = target.domain.floats()
    places = sample(target, plan.points)
    x = torch.from_numpy(2 * (places - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) - 1)
    y = torch.from_numpy(np.asarray(target(places if target.dimension > 1 else places[:, 0]), dtype=np.float64))[:, None]
    _adam(torch, net, x, y, plan.steps)
    _lbfgs(torch, net, x, y, plan.polish)
    # On [-1, 1]^d it was trained; the map to it is exact only where the ends are, which certification does not mind.
    scale = [[2 / (high - low) if i == k else 0 for i in range(len(ends))] for k, (low, high) in enumerate(target.domain)]
    shift = [-(high + low) / (high - low) for low, high in target.domain]
    return compose(from_torch(net), affine(scale, shift))


def _adam(torch: Any, net: Any, x: Any, y: Any, steps: int) -> None:
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for _ in range(steps):
        optimiser.zero_grad()
        ((net(x) - y) ** 2).mean().backward()
        optimiser.step()
        schedule.step()


def _lbfgs(torch: Any, net: Any, x: Any, y: Any, iterations: int) -> None:
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=iterations, tolerance_grad=1e-14, tolerance_change=1e-16,
                                  history_size=50, line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Any:
        optimiser.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        return loss

    if iterations:
        optimiser.step(closure)
