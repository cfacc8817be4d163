"""How does a network become a torch module, and which network is a given torch module?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from approx.errors import InputError, MissingExtraError, UnsupportedError
from approx.evaluation.fitness import refuse_unfit
from approx.interchange.symbolic import Tracer, exact_array, matrix_product
from approx.networks import Layer, Network, dense_block, layer

#: Refuse modules whose dense matrices exceed this many bytes.
MAX_BYTES = 8 * 2**30


def to_torch(network: Network) -> Any:
    """Return a torch.nn.Module with frozen float64 parameters that computes the network; input (N, d), output (N, k).

    One dense matrix per block (skips included), `requires_grad` off, so it can be used inside a larger model as a fixed
    function; gradients flow through it to its input. Weights that are no float64 are rounded to the nearest one. Agrees
    with `evaluate` up to the rounding of another order of summation (observed, tested). `from_torch` reads it back.

    Raises MissingExtraError without torch, UnsupportedError when weights do not fit into float64, or when the dense
    matrices exceed 8 GiB.
    """
    torch = _torch("to_torch")
    network = network.native
    refuse_unfit(network)
    if "sigma3" in network.activations:
        raise UnsupportedError("to_torch: there is no torch function for the activation sigma3")
    widths = [network.inputs] + [each.units for each in network.layers]
    size = 8 * sum(each.units * widths[b.source] for each in network.layers for b in each.blocks)
    if size > MAX_BYTES:
        raise UnsupportedError(f"to_torch: the dense matrices would take {size:,} bytes (at most {MAX_BYTES:,})")
    module = _module_class()(
        network.inputs, [(each.activation, [b.source for b in each.blocks]) for each in network.layers]
    )
    for k, each in enumerate(network.layers, 1):
        _freeze(torch, module, f"bias_{k}", each.bias.floats)
        for b in each.blocks:
            matrix = np.zeros((each.units, widths[b.source]))
            rows = np.repeat(np.arange(each.units), np.diff(b.indptr))
            np.add.at(matrix, (rows, b.indices), b.values.floats)
            _freeze(torch, module, f"weight_{k}_{b.source}", matrix)
    return module


def _freeze(torch: Any, module: Any, name: str, array: np.ndarray) -> None:
    values = torch.from_numpy(np.array(array, dtype=np.float64))
    module.register_parameter(name, torch.nn.Parameter(values, requires_grad=False))


def _torch(purpose: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch", purpose) from error
    return torch


@lru_cache(maxsize=1)
def _module_class() -> Any:
    torch = _torch("to_torch")
    functions = {
        "identity": lambda t: t,
        "relu": torch.relu,
        "abs": torch.abs,
        "relu2": lambda t: torch.relu(t) ** 2,
        "relu3": lambda t: torch.relu(t) ** 3,
        "sin": torch.sin,
        "arcsin": torch.asin,
        "floor": torch.floor,
        "exp2": torch.exp2,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softplus": lambda t: torch.nn.functional.softplus(t, threshold=40.0),
        "gelu": torch.nn.functional.gelu,
        "exp": torch.exp,
        "arctan": torch.atan,
        "sqrt": torch.sqrt,
    }

    class NetworkModule(torch.nn.Module):  # type: ignore[name-defined, misc]
        """A network of approx as a torch module; approx_layers lists (activation, sources) of every layer."""

        def __init__(self, inputs: int, layers: list[tuple[str, list[int]]]) -> None:
            super().__init__()
            self.approx_inputs, self.approx_layers = inputs, layers

        def forward(self, x: Any) -> Any:
            values = [x]
            for k, (activation, sources) in enumerate(self.approx_layers, 1):
                bias = getattr(self, f"bias_{k}")
                total = bias.expand(*x.shape[:-1], len(bias))
                for s in sources:
                    total = total + values[s] @ getattr(self, f"weight_{k}_{s}").T
                values.append(functions[activation](total))
            return values[-1]

    return NetworkModule


def from_torch(module: Any) -> Network:
    """Return the exact network of a torch module, every parameter the dyadic number that it is.

    Admitted: modules made by `to_torch`, and (nested) Sequential of Linear, ReLU, LeakyReLU, Hardtanh, ReLU6, Tanh,
    Sigmoid, Softplus (as log(1 + e^(beta t)) / beta on the whole line), GELU, Identity, Dropout (as in evaluation) and
    Flatten; leaky ReLU and hard tanh become ReLU units exactly.

    Raises MissingExtraError without torch, UnsupportedError naming every module that is not admitted, InputError when
    the argument is no module, has no Linear to tell its inputs, or holds parameters that are not finite.
    """
    torch = _torch("from_torch")
    if not isinstance(module, torch.nn.Module):
        raise InputError("module", type(module).__name__, "a torch.nn.Module")
    if hasattr(module, "approx_layers"):
        return _read_back(module)
    parts = list(_leaves(torch, module))
    handlers = _handlers(torch)
    unknown = sorted({type(p).__name__ for p in parts if type(p) not in handlers})
    if unknown:
        raise UnsupportedError(f"from_torch: modules that no network here can hold: {', '.join(unknown)}")
    linear = next((p for p in parts if isinstance(p, torch.nn.Linear)), None)
    if linear is None:
        raise InputError(
            "module", type(module).__name__, "a module with a Linear layer, which tells the number of inputs"
        )
    tracer = Tracer(linear.in_features)
    forms = tracer.inputs
    for part in parts:
        forms = handlers[type(part)](tracer, part, forms)
    return tracer.network(forms)


def _leaves(torch: Any, module: Any) -> Any:
    if type(module) is torch.nn.Sequential:
        for child in module:
            yield from _leaves(torch, child)
    else:
        yield module


def _array(parameter: Any) -> np.ndarray:
    return parameter.detach().cpu().double().numpy()


def _handlers(torch: Any) -> dict[Any, Any]:
    nn = torch.nn

    def keep(tracer: Tracer, part: Any, forms: np.ndarray) -> np.ndarray:
        return forms

    def linear(tracer: Tracer, part: Any, forms: np.ndarray) -> np.ndarray:
        if part.in_features != len(forms):
            raise InputError(
                "module", f"Linear of {part.in_features} inputs after {len(forms)} units", "layers that fit"
            )
        total = matrix_product(forms, _array(part.weight).T)
        return total if part.bias is None else total + exact_array(_array(part.bias))

    def hardtanh(tracer: Tracer, part: Any, forms: np.ndarray) -> np.ndarray:
        low, high = exact_array(np.array(float(part.min_val))), exact_array(np.array(float(part.max_val)))
        return tracer.minimum(high, tracer.maximum(forms, low))

    def softplus(tracer: Tracer, part: Any, forms: np.ndarray) -> np.ndarray:
        # log(1 + e^(beta t)) / beta. Torch itself returns t where beta t > threshold, less than e^-threshold / beta away.
        beta = exact_array(np.array(float(part.beta)))[()]
        return tracer.activate("softplus", forms * beta) * (1 / beta)

    def gelu(tracer: Tracer, part: Any, forms: np.ndarray) -> np.ndarray:
        if part.approximate != "none":
            raise UnsupportedError("from_torch: a GELU that is approximated by tanh")
        return tracer.activate("gelu", forms)

    def activation(name: str) -> Any:
        return lambda tracer, part, forms: tracer.activate(name, forms)

    return {
        nn.Linear: linear,
        nn.ReLU: activation("relu"),
        nn.Tanh: activation("tanh"),
        nn.Sigmoid: activation("sigmoid"),
        nn.Softplus: softplus,
        nn.GELU: gelu,
        nn.LeakyReLU: lambda tracer, part, forms: tracer.leaky_relu(forms, float(part.negative_slope)),
        nn.Hardtanh: hardtanh,
        nn.ReLU6: hardtanh,
        nn.Identity: keep,
        nn.Dropout: keep,
        nn.Flatten: keep,
    }


def _read_back(module: Any) -> Network:
    layers: list[Layer] = []
    for k, (activation, sources) in enumerate(module.approx_layers, 1):
        blocks = [dense_block(s, _array(getattr(module, f"weight_{k}_{s}"))) for s in sources]
        layers.append(layer(activation, _array(getattr(module, f"bias_{k}")), blocks))
    return Network(module.approx_inputs, layers)
