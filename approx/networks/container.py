"""How anything of ours is kept in one file: a JSON manifest and numpy arrays in a zip, atomic to write, safe to read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from approx.errors import FileFormatError

FORMAT = "approx"
VERSION = 1
#: Refuse files that declare more than this many bytes once unpacked (a network of 1e8 weights fits).
MAX_BYTES = 4 * 2**30
MAX_MANIFEST = 64 * 2**20
#: Beyond this many bytes a file must not unpack to more than 100 times its size (random weights hardly compress).
MAX_DENSE_BYTES = 2**28
MAX_MEMBERS = 200_000
_STAMP = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that equal contents give equal files


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write bytes under a temporary name in the same folder and rename; on failure nothing new is left behind."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix="." + target.name, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_container(path: str | Path, kind: str, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write `manifest` and `arrays` as one file of the given kind, atomically.

    Raises OSError when the place cannot be written; then no file appears.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, "kind": kind, **manifest}, sort_keys=True, allow_nan=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("manifest.json", _STAMP), text, zipfile.ZIP_DEFLATED)
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _STAMP), member.getvalue(), zipfile.ZIP_DEFLATED)
    write_atomically(path, buffer.getvalue())


def read_container(path: str | Path) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """(kind, manifest, arrays) of a file that write_container made; never runs code, checks sizes before it allocates.

    Raises FileFormatError on truncated, altered, oversized or foreign files and on other versions.
    """
    with open(path, "rb") as stream:  # outside: a file that cannot be opened is an OSError
        return _read_stream(stream, str(path))


def _read_stream(stream: IO[bytes], path: str) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(stream) as archive:
            return _read(archive, path)
    except (
        OSError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        struct.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise FileFormatError(f"{path}: not an approx file, or a damaged one ({error})") from error
    except (ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path}: damaged contents ({error})") from error


def _read(archive: zipfile.ZipFile, path: str) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    members = archive.infolist()
    total = sum(m.file_size for m in members)
    # An unknown member could be one whose name was damaged: then a part of the network would be missing silently.
    if any(m.filename != "manifest.json" and not m.filename.endswith(".npy") for m in members):
        raise FileFormatError(f"{path}: holds a member that is neither the manifest nor an array")
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise FileFormatError(f"{path}: a compression that is not used here")
    packed = sum(m.compress_size for m in members)
    if len(members) > MAX_MEMBERS or total > MAX_BYTES or (total > MAX_DENSE_BYTES and total > 100 * packed):
        raise FileFormatError(f"{path}: declares {len(members)} members and {total} bytes, more than accepted")
    info = archive.getinfo("manifest.json")
    if info.file_size > MAX_MANIFEST:
        raise FileFormatError(f"{path}: the manifest declares {info.file_size} bytes, more than {MAX_MANIFEST}")
    manifest = json.loads(_bounded(archive, info))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(f"{path}: not an approx file")
    if manifest.get("version") != VERSION:
        raise FileFormatError(
            f"{path}: format version {manifest.get('version')!r}; this release reads version {VERSION}"
        )
    arrays = {}
    for member in members:
        if member.filename.endswith(".npy"):
            arrays[member.filename[:-4]] = _array(_bounded(archive, member), path)
    return str(manifest.get("kind")), manifest, arrays


def _bounded(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # A zip header may lie about the size, so never read past what it declared.
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise FileFormatError(f"{info.filename}: declared {info.file_size} bytes, holds {len(data)}")
    return data


def _array(data: bytes, path: str) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise FileFormatError(f"{path}: array header of version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=1000)
    if dtype.hasobject or dtype.kind not in "iuf":
        raise FileFormatError(f"{path}: array of type {dtype}, only numbers are accepted")
    count = 1
    for side in shape:
        count *= int(side)
    if count < 0 or count * dtype.itemsize != len(data) - stream.tell():
        raise FileFormatError(f"{path}: array of shape {shape} does not match its {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype, offset=stream.tell()).reshape(shape).copy()
