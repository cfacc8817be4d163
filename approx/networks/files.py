"""How a network becomes arrays and back, for files and for comparing graphs; every weight stays exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import FileFormatError, UnsupportedError
from approx.networks.container import read_container, write_container
from approx.networks.layers import Values, block, layer
from approx.networks.network import Network

_MAX_DIGITS = 50_000_000


def network_to_arrays(network: Network, prefix: str = "net") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(manifest entry, arrays) that hold the network exactly; arrays are concatenated over all layers and blocks."""
    if not all(isinstance(p, fmpq) for p in network.pool):
        raise UnsupportedError("only networks with rational weights can be saved")
    blocks = [b for l in network.layers for b in l.blocks]
    vectors = [l.bias for l in network.layers] + [b.values for b in blocks]
    arrays = {
        "indptr": _concatenate([b.indptr for b in blocks], np.int64),
        "indices": _concatenate([b.indices for b in blocks], np.int32),
        "values": _concatenate([v.floats for v in vectors], np.float64),
    }
    if network.pool:
        ids = [np.full(len(v), -1, np.int32) if v.ids is None else v.ids for v in vectors]
        arrays["ids"] = _concatenate(ids, np.int32)
    entry = {
        "inputs": network.inputs,
        "layers": [
            {"activation": l.activation, "units": l.units, "sources": [b.source for b in l.blocks]} for l in network.layers
        ],
        "pool": [f"{int(p.p):x}/{int(p.q):x}" for p in network.pool],
    }
    return entry, {f"{prefix}.{name}": array for name, array in arrays.items()}


def network_from_arrays(entry: dict[str, Any], arrays: dict[str, np.ndarray], prefix: str = "net") -> Network:
    """The network that network_to_arrays took apart; raises FileFormatError when the parts do not fit together."""
    try:
        return _rebuild(entry, {name: arrays.get(f"{prefix}.{name}") for name in ("indptr", "indices", "values", "ids")})
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise FileFormatError(f"the network in the file does not fit together ({error})") from error


def _rebuild(entry: dict[str, Any], arrays: dict[str, Any]) -> Network:
    pool = [_rational(text) for text in entry["pool"]]
    specs = entry["layers"]
    ptr, cols, values, ids = arrays["indptr"], arrays["indices"], arrays["values"], arrays["ids"]
    if sum(len(s["sources"]) for s in specs) > len(ptr) or sum(int(s["units"]) for s in specs) > len(values):
        raise FileFormatError("the declared sizes exceed the arrays in the file")

    def vector(start: int, count: int) -> Values:
        if count < 0 or start + count > len(values):
            raise FileFormatError("the declared sizes exceed the arrays in the file")
        part = ids[start : start + count] if ids is not None else None
        if part is None or (len(part) and part.min() < 0 and part.max() < 0) or not len(part):
            return Values(values[start : start + count])
        return Values(values[start : start + count], part)

    v = 0
    biases = []
    for spec in specs:
        biases.append(vector(v, int(spec["units"])))
        v += int(spec["units"])
    layers, p, c = [], 0, 0
    for spec, bias in zip(specs, biases, strict=True):
        blocks = []
        for source in spec["sources"]:
            indptr = ptr[p : p + len(bias) + 1]
            p += len(bias) + 1
            count = int(indptr[-1])
            data = vector(v, count)
            blocks.append(block(source, indptr, cols[c : c + count], data.floats, data.ids))
            c, v = c + count, v + count
        layers.append(layer(spec["activation"], bias.floats, blocks, bias.ids))
    if (p, c, v) != (len(ptr), len(cols), len(values)):
        raise FileFormatError("the arrays in the file are longer than declared")
    network = Network(entry["inputs"], layers, pool)
    _check_pool_floats(network)
    return network


def _check_pool_floats(network: Network) -> None:
    # The float64 beside a pooled weight must be the one that belongs to it, or float evaluation would lie.
    from approx.numbers import to_float

    nearest = np.array([to_float(p) for p in network.pool])
    for l in network.layers:
        for v in [l.bias, *(b.values for b in l.blocks)]:
            if v.ids is not None and not np.array_equal(v.floats, nearest[v.ids]):
                raise FileFormatError("a float64 in the file is not the one nearest to its exact weight")


def _rational(text: str) -> fmpq:
    if not isinstance(text, str) or len(text) > _MAX_DIGITS:
        raise FileFormatError("a weight in the pool is not of the form p/q")
    p, q = text.split("/")
    return fmpq(int(p, 16), int(q, 16))


def _concatenate(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)


def save_network(network: Network, path: str | Path) -> None:
    """Write the network to `path` exactly, atomically. Raises OSError when the place cannot be written."""
    entry, arrays = network_to_arrays(network)
    write_container(path, "network", {"network": entry}, arrays)


def load_network(path: str | Path) -> Network:
    """The network in the file (also when the file holds a whole approximant). Raises FileFormatError."""
    _, manifest, arrays = read_container(path)
    if "network" not in manifest:
        raise FileFormatError(f"{path}: holds no network")
    return network_from_arrays(manifest["network"], arrays)


def same_graph(first: Network, second: Network) -> bool:
    """Whether two networks have the same layers and exactly the same weights."""
    try:
        a, x = network_to_arrays(first)
        b, y = network_to_arrays(second)
    except UnsupportedError:
        return first is second
    if first.dyadic and second.dyadic:
        x.pop("net.ids", None), y.pop("net.ids", None)
        a, b = {**a, "pool": []}, {**b, "pool": []}
    return a == b and x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x)


