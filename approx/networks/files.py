"""How a network becomes arrays and back, for files and for comparing graphs; every weight stays exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from flint import fmpq

from approx.errors import FileFormatError, UnsupportedError
from approx.networks.assembly import finite_float
from approx.networks.container import read_container, write_container
from approx.networks.layers import Values, block, layer
from approx.networks.network import Network
from approx.numbers import ClosedForm

_MAX_DIGITS = 50_000_000
_MAX_INPUTS = 10_000_000
#: The version of the syntax in which closed forms are written.
_CLOSED_FORMS = 1


def network_to_arrays(network: Network, prefix: str = "net") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(manifest entry, arrays) that hold the network exactly; arrays are concatenated over all layers and blocks."""
    if not all(isinstance(p, fmpq | ClosedForm) for p in network.pool):
        raise UnsupportedError("only networks with rational weights and closed forms can be saved")
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
            {"activation": l.activation, "units": l.units, "sources": [b.source for b in l.blocks]}
            for l in network.layers
        ],
        "pool": [_exact_text(p) for p in network.pool],
    }
    if not all(isinstance(p, fmpq) for p in network.pool):
        entry["closed_forms"] = _CLOSED_FORMS
    return entry, {f"{prefix}.{name}": array for name, array in arrays.items()}


def network_from_arrays(entry: dict[str, Any], arrays: dict[str, np.ndarray], prefix: str = "net") -> Network:
    """The network that network_to_arrays took apart; raises FileFormatError when the parts do not fit together."""
    try:
        return _rebuild(
            entry, {name: arrays.get(f"{prefix}.{name}") for name in ("indptr", "indices", "values", "ids")}
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise FileFormatError(f"the network in the file does not fit together ({error})") from error


def _rebuild(entry: dict[str, Any], arrays: dict[str, Any]) -> Network:
    closed = entry.get("closed_forms")
    if closed not in (None, _CLOSED_FORMS):
        raise FileFormatError(f"closed forms of version {closed!r}; this release reads version {_CLOSED_FORMS}")
    pool = [_exact(text, closed is not None) for text in entry["pool"]]
    specs = entry["layers"]
    ptr, cols, values, ids = arrays["indptr"], arrays["indices"], arrays["values"], arrays["ids"]
    if pool and ids is None:
        raise FileFormatError("the file has a pool of exact weights but not the numbers that point into it")
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
    inputs = entry["inputs"]
    if not isinstance(inputs, int) or not 1 <= inputs <= _MAX_INPUTS:
        raise FileFormatError(f"the file declares {str(inputs)[:40]} inputs; accepted: 1 to {_MAX_INPUTS}")
    network = Network(inputs, layers, pool)
    _check_pool_floats(network)
    return network


def _check_pool_floats(network: Network) -> None:
    # The float64 beside a pooled weight must be the one that belongs to it, or float evaluation would lie.
    nearest = np.array([finite_float(p) for p in network.pool])
    for l in network.layers:
        for v in [l.bias, *(b.values for b in l.blocks)]:
            if v.ids is not None and not np.array_equal(v.floats, nearest[v.ids]):
                raise FileFormatError("a float64 in the file is not the one nearest to its exact weight")


def _exact_text(value: Any) -> str:
    if isinstance(value, ClosedForm):
        return f"={value.to_text()}"
    return f"{int(value.p):x}/{int(value.q):x}"


def _exact(text: str, closed: bool) -> Any:
    if closed and isinstance(text, str) and text.startswith("="):
        if len(text) > _MAX_DIGITS:
            raise FileFormatError("a weight in the pool is longer than accepted")
        return ClosedForm.from_text(text[1:])
    return _rational(text)


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
    """Whether two networks have the same layers and exactly the same weights, however the weights are stored."""
    if first is second:
        return True
    a, b = _shape(first), _shape(second)
    if a != b:
        return False
    # A weight is its float64 and, where that is not exact, the number of the exact value in a common pool.
    common: dict[Any, int] = {}
    tables = [np.array([_residue(p, common) for p in n.pool], dtype=np.int64) for n in (first, second)]
    for l, m in zip(first.layers, second.layers, strict=True):
        if not _same_values(l.bias, m.bias, tables):
            return False
        for x, y in zip(l.blocks, m.blocks, strict=True):
            if not (np.array_equal(x.indptr, y.indptr) and np.array_equal(x.indices, y.indices)):
                return False
            if not _same_values(x.values, y.values, tables):
                return False
    return True


def _shape(network: Network) -> tuple[Any, ...]:
    return network.inputs, [(l.activation, l.units, [(b.source, b.count) for b in l.blocks]) for l in network.layers]


def _residue(value: Any, common: dict[Any, int]) -> int:
    if isinstance(value, fmpq) and fmpq(*finite_float(value).as_integer_ratio()) == value:
        return 0
    return common.setdefault(value, len(common) + 1)


def _same_values(a: Values, b: Values, tables: list[np.ndarray]) -> bool:
    if not np.array_equal(a.floats, b.floats):
        return False
    residues = [0 if v.ids is None else table[v.ids] for v, table in zip((a, b), tables, strict=True)]
    return bool(np.all(residues[0] == residues[1]))
