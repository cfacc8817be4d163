"""Do networks and torch modules turn into each other exactly? (Skipped where torch is not installed.)"""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
from flint import fmpq

from approx.errors import InputError, MissingExtraError, UnsupportedError
from approx.evaluation import evaluate, evaluate_exact
from approx.evaluation.slack import running_bound
from approx.interchange import from_torch, to_torch
from approx.networks import Builder
from approx.networks.samples import random_network


def test_without_torch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    b = Builder(1)
    for call in (lambda: to_torch(b.build([b.input()])), lambda: from_torch(object())):
        with pytest.raises(MissingExtraError, match=r"pip install 'approx\[torch\]'"):
            call()


@pytest.mark.parametrize("seed", range(10))
def test_there_and_back(seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    network = random_network(rng, inputs=2, outputs=2, hidden_layers=seed % 5, activations=("relu", "abs", "identity"))
    module = to_torch(network)
    points = rng.normal(size=(30, 2))
    found = module(torch.from_numpy(points)).numpy()
    assert found.dtype == np.float64
    assert (np.abs(found - evaluate(network, points)) <= 2 * running_bound(network, points, 0.0, any_order=True)).all()
    assert from_torch(module) == network
    assert from_torch(copy.deepcopy(module)) == network


def test_the_module_is_frozen_and_lets_gradients_through() -> None:
    torch = pytest.importorskip("torch")
    b = Builder(1)
    module = to_torch(b.build([2 * b.relu(b.input()) - 4 * b.relu(b.input() - 0.5)]))
    assert not any(p.requires_grad for p in module.parameters())
    x = torch.tensor([[0.25], [0.75]], dtype=torch.float64, requires_grad=True)
    module(x).sum().backward()
    assert x.grad.flatten().tolist() == [2.0, -2.0]
    with torch.no_grad():
        next(iter(module.parameters())).add_(1.0)  # planted fault: a changed parameter changes the network read back
    assert from_torch(module)(0.25) != 0.5


def test_sequential_modules() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(8, 8), nn.LeakyReLU(0.125), nn.Dropout())
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 8), nn.ReLU(), inner, nn.Identity(), nn.Hardtanh(-0.5, 2.0),
                           nn.Linear(8, 2, bias=False), nn.ReLU6(), nn.Linear(2, 2)).eval()  # fmt: skip
    network = from_torch(module)
    points = np.random.default_rng(0).normal(size=(50, 3))
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(network(points), expected, rtol=1e-12, atol=1e-12)
    weight = module[1].weight.detach().double().numpy()
    first = evaluate_exact(from_torch(nn.Sequential(module[1])), [[1, 0, 0]])[0]
    bias = module[1].bias.detach().double().numpy()
    assert first == [
        fmpq(*float(w).as_integer_ratio()) + fmpq(*float(c).as_integer_ratio())
        for w, c in zip(weight[:, 0], bias, strict=True)
    ]


def test_refusals() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    with pytest.raises(UnsupportedError, match="Bilinear, LSTM"):
        from_torch(nn.Sequential(nn.Linear(1, 1), nn.Bilinear(1, 1, 1), nn.LSTM(1, 1)))
    for wrong in (3, nn.ReLU(), nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 2))):
        with pytest.raises(InputError):
            from_torch(wrong)
    broken = nn.Linear(1, 1)
    with torch.no_grad():
        broken.weight.fill_(float("nan"))
    with pytest.raises(InputError):
        from_torch(broken)


def test_softplus_and_gelu_become_units() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    module = nn.Sequential(nn.Linear(1, 3), nn.Softplus(beta=2.0), nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 1)).double()
    network = from_torch(module)
    assert {"softplus", "gelu"} <= network.activations
    x = torch.linspace(-2, 2, 101, dtype=torch.float64)[:, None]
    assert np.abs(network(x[:, 0].numpy()) - module(x)[:, 0].detach().numpy()).max() < 1e-13
    assert np.abs(network(x[:, 0].numpy()) - to_torch(network)(x)[:, 0].numpy()).max() < 1e-13
    with pytest.raises(UnsupportedError, match="tanh"):
        from_torch(nn.Sequential(nn.Linear(1, 1), nn.GELU(approximate="tanh")))
