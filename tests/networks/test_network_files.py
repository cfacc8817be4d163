"""Do networks survive a file exactly, and are damaged, foreign, hostile and other-version files refused without harm?"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import fmpq

from approx.errors import FileFormatError
from approx.networks import Builder, Network, block, layer, load_network, save_network
from approx.networks import container as container_module
from approx.networks.files import network_from_arrays, network_to_arrays
from approx.networks.samples import random_network


def small() -> Network:
    b = Builder(1)
    x = b.input()
    return b.build([fmpq(1, 3) * b.relu(x) - 4 * b.relu(x - 0.1) + x])


@pytest.mark.parametrize("seed", range(30))
def test_there_and_back(tmp_path: Path, seed: int) -> None:
    network = random_network(
        np.random.default_rng(seed), inputs=2, outputs=2, hidden_layers=seed % 5, exponents=(seed % 3) * 150.0,
        rationals=seed % 2 == 0, activations=("relu", "abs", "sin", "floor"),
    )  # fmt: skip
    save_network(network, tmp_path / "n.approx")
    again = load_network(tmp_path / "n.approx")
    assert again == network and again.size == network.size and hash(again) == hash(network)


def test_equal_networks_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        small().save(tmp_path / name)
        time.sleep(0.01)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_equality_is_of_weights_not_of_storage() -> None:
    plain = Network(1, [layer("identity", [0.5], [block(0, [0, 1], [0], [0.25])])])
    pooled = Network(
        1, [layer("identity", [0.5], [block(0, [0, 1], [0], [0.25], [1])], [2])], (fmpq(0), fmpq(1, 4), fmpq(1, 2))
    )
    swapped = Network(
        1, [layer("identity", [0.5], [block(0, [0, 1], [0], [0.25], [2])], [1])], (fmpq(0), fmpq(1, 2), fmpq(1, 4))
    )
    assert plain == pooled == swapped and hash(plain) == hash(pooled)
    third = fmpq(1, 3)
    near = Network(1, [layer("identity", [1 / 3], [])])
    exact = Network(1, [layer("identity", [1 / 3], [], [1])], (fmpq(0), third))
    assert near != exact and near(0.0) == exact(0.0)
    assert exact == Network(1, [layer("identity", [1 / 3], [], [2])], (fmpq(0), fmpq(1, 7), third))


def test_the_file_holds_no_code_and_no_pickle(tmp_path: Path) -> None:
    small().save(tmp_path / "n")
    with zipfile.ZipFile(tmp_path / "n") as archive:
        assert sorted(archive.namelist())[0] == "manifest.json"
        assert all(m.endswith((".json", ".npy")) for m in archive.namelist())


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "n"
    small().save(target)
    before = target.read_bytes()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(container_module.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        (2 * small()).save(target)
    monkeypatch.undo()
    assert target.read_bytes() == before and os.listdir(tmp_path) == ["n"]
    with pytest.raises(OSError):
        small().save(tmp_path / "no" / "folder")


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """The file with its manifest and members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    out = path.with_suffix(".changed")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name, data)
    return out


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    small().save(tmp_path / "n")
    data = (tmp_path / "n").read_bytes()
    for cut in range(0, len(data), 7):
        (tmp_path / "cut").write_bytes(data[:cut])
        with pytest.raises(FileFormatError):
            load_network(tmp_path / "cut")


def test_no_flipped_byte_goes_unnoticed(tmp_path: Path) -> None:
    network = small()
    network.save(tmp_path / "n")
    data = (tmp_path / "n").read_bytes()
    refused = 0
    for position in range(0, len(data), 3):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        (tmp_path / "flip").write_bytes(bytes(changed))
        try:
            again = load_network(tmp_path / "flip")
        except FileFormatError:
            refused += 1
        else:
            assert again == network  # a byte without meaning, such as an attribute of the zip entry
    assert refused > len(data) / 3 * 0.5


@pytest.mark.parametrize("data", [b"", b"approx", b"PK\x03\x04" + b"\0" * 60, b"\x80\x04K\x01.", os.urandom(500)])
def test_foreign_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FileFormatError, match="x: "):
        load_network(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        load_network(tmp_path / "absent")


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, bytes]], Any]] = {
    "version 2": lambda m, a: m.update(version=2),
    "version text": lambda m, a: m.update(version="1"),
    "other format": lambda m, a: m.update(format="other"),
    "no network": lambda m, a: m.pop("network"),
    "network is a list": lambda m, a: m.update(network=[]),
    "no layers": lambda m, a: m["network"].update(layers=[]),
    "layers is a number": lambda m, a: m["network"].update(layers=3),
    "no inputs": lambda m, a: m["network"].update(inputs=0),
    "huge inputs": lambda m, a: m["network"].update(inputs=10**18),
    "inputs text": lambda m, a: m["network"].update(inputs="1"),
    "huge units": lambda m, a: m["network"]["layers"][0].update(units=10**18),
    "negative units": lambda m, a: m["network"]["layers"][0].update(units=-1),
    "no units": lambda m, a: m["network"]["layers"][0].update(units=0),
    "unknown activation": lambda m, a: m["network"]["layers"][0].update(activation="__import__"),
    "source after": lambda m, a: m["network"]["layers"][0].update(sources=[5]),
    "source negative": lambda m, a: m["network"]["layers"][0].update(sources=[-1]),
    "many sources": lambda m, a: m["network"]["layers"][0].update(sources=[0] * 10**5),
    "last is no output": lambda m, a: m["network"]["layers"][-1].update(activation="relu"),
    "pool by zero": lambda m, a: m["network"]["pool"].__setitem__(1, "1/0"),
    "pool text": lambda m, a: m["network"]["pool"].__setitem__(1, "one third"),
    "pool number": lambda m, a: m["network"]["pool"].__setitem__(1, 3),
    "pool empty": lambda m, a: m["network"].update(pool=[]),
    "pool without zero": lambda m, a: m["network"]["pool"].__setitem__(0, "1/1"),
    "pool other value": lambda m, a: m["network"]["pool"].__setitem__(1, "2/3"),
    "no ids": lambda m, a: a.pop("net.ids.npy"),
    "a foreign member": lambda m, a: a.update({"run.py": b"print(1)"}),
    "no values": lambda m, a: a.pop("net.values.npy"),
    "values cut": lambda m, a: a.update({"net.values.npy": a["net.values.npy"][:-8]}),
    "values longer": lambda m, a: a.update({"net.values.npy": npy(np.ones(99))}),
    "values nan": lambda m, a: a.update({"net.values.npy": npy(np.full(9, np.nan))}),
    "values two-dimensional": lambda m, a: a.update({"net.values.npy": npy(np.ones((3, 3)))}),
    "values objects": lambda m, a: a.update({"net.values.npy": npy(np.array([{}] * 9, dtype=object), True)}),
    "values text": lambda m, a: a.update({"net.values.npy": npy(np.array(["1"] * 9))}),
    "not an array": lambda m, a: a.update({"net.values.npy": b"hello"}),
    "ids outside": lambda m, a: a.update({"net.ids.npy": npy(np.full(9, 77, np.int32))}),
    "indices negative": lambda m, a: a.update({"net.indices.npy": npy(np.full(5, -1, np.int32))}),
    "indices wide": lambda m, a: a.update({"net.indices.npy": npy(np.full(5, 2**40))}),
    "indptr falling": lambda m, a: a.update({"net.indptr.npy": npy(np.array([0, 2, 1, 0, 2, 0, 1]))}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_hostile_contents(tmp_path: Path, name: str) -> None:
    small().save(tmp_path / "n")
    changed = rewritten(tmp_path / "n", lambda m, a: CHANGES[name](m, a) and None)
    start = time.process_time()
    with pytest.raises(FileFormatError) as caught:
        load_network(changed)
    assert time.process_time() - start < 1 and "\n" not in str(caught.value)


def test_an_unchanged_rewrite_still_loads(tmp_path: Path) -> None:
    # Guards the tests above: their tool alone breaks nothing.
    small().save(tmp_path / "n")
    assert load_network(rewritten(tmp_path / "n", lambda m, a: None)) == small()


def test_bombs_are_refused_within_a_second(tmp_path: Path) -> None:
    small().save(tmp_path / "n")
    start = time.process_time()
    header = npy(np.zeros(0))
    bombs = {
        "deep": lambda m, a: m.update(x=json.loads("[" * 900 + "]" * 900)),
        "zeros": lambda m, a: a.update({"extra.npy": header + bytes(400 * 2**20)}),
    }
    huge_shape = header.replace(b"(0,)", b"(9999999999999,)").replace(b" " * 12 + b"\n", b"\n")
    with pytest.raises(FileFormatError):
        load_network(rewritten(tmp_path / "n", lambda m, a: a.update({"net.values.npy": huge_shape})))
    made = rewritten(tmp_path / "n", bombs["zeros"])
    start = time.process_time()
    with pytest.raises(FileFormatError, match="more than accepted"):
        load_network(made)
    assert time.process_time() - start < 1
    text = (tmp_path / "deep.json").as_posix()
    with zipfile.ZipFile(tmp_path / "deep", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", '{"format": "approx", "version": 1, "x": ' + "[" * 10**6 + "]" * 10**6 + "}")
    with pytest.raises(FileFormatError):
        load_network(tmp_path / "deep")
    assert text and time.process_time() - start < 5


def test_arrays_and_manifest_are_what_they_were(tmp_path: Path) -> None:
    entry, arrays = network_to_arrays(small())
    assert network_from_arrays(json.loads(json.dumps(entry)), arrays) == small()
    # Planted fault: one bit of one weight.
    arrays["net.values"] = arrays["net.values"].copy()
    arrays["net.values"][-1] = np.nextafter(arrays["net.values"][-1], 9)
    with pytest.raises(FileFormatError, match="nearest"):
        network_from_arrays(entry, arrays)
