"""Which numbers does a tensor of an ONNX file hold? Sizes are checked before anything is allocated or opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from approx.errors import FileFormatError, UnsupportedError

#: ONNX element type -> numpy type; the fields that hold values when there are no raw bytes.
_TYPES: dict[int, tuple[np.dtype[Any], str]] = {
    1: (np.dtype("<f4"), "float_data"),
    11: (np.dtype("<f8"), "double_data"),
    10: (np.dtype("<f2"), "int32_data"),
    7: (np.dtype("<i8"), "int64_data"),
    6: (np.dtype("<i4"), "int32_data"),
    9: (np.dtype("?"), "int32_data"),
}


def read_tensor(tensor: Any, folder: Path) -> np.ndarray:
    """Return the tensor as a float64 or int64 array, every number exactly.

    External data is read only from inside `folder`, the folder of the file. Raises FileFormatError when the declared
    shape does not match the bytes there are, UnsupportedError on other element types.
    """
    if tensor.data_type not in _TYPES:
        raise UnsupportedError(
            f"the tensor {tensor.name!r} has element type {tensor.data_type}; only numbers are admitted"
        )
    dtype, field = _TYPES[tensor.data_type]
    count = 1
    for side in tensor.dims:
        if side < 0:
            raise FileFormatError(f"the tensor {tensor.name!r} declares a negative size")
        count *= int(side)
    if tensor.data_location == 1:
        flat = np.frombuffer(_external(tensor, folder, count * dtype.itemsize), dtype)
    elif tensor.HasField("raw_data"):
        _match(tensor, count * dtype.itemsize, len(tensor.raw_data))
        flat = np.frombuffer(tensor.raw_data, dtype)
    else:
        stored = getattr(tensor, field)
        _match(tensor, count, len(stored))
        flat = (
            np.array(stored, dtype=np.uint16).view(dtype) if tensor.data_type == 10 else np.array(stored, dtype=dtype)
        )
    result = flat.astype(np.float64 if dtype.kind == "f" else np.int64).reshape(tuple(tensor.dims))
    if result.dtype == np.float64 and not np.isfinite(result).all():
        raise FileFormatError(f"the tensor {tensor.name!r} holds a number that is not finite")
    return result


def _match(tensor: Any, declared: int, present: int) -> None:
    if declared != present:
        raise FileFormatError(f"the tensor {tensor.name!r} of shape {list(tensor.dims)} holds {present} units of data")


def _external(tensor: Any, folder: Path, size: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    root = folder.resolve()
    place = (root / location).resolve()
    if not location or Path(location).is_absolute() or not place.is_relative_to(root) or not place.is_file():
        raise FileFormatError(f"the tensor {tensor.name!r} wants {location!r}, which is no file in the model's folder")
    offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    if offset < 0 or length != size or offset + size > place.stat().st_size:
        raise FileFormatError(f"the tensor {tensor.name!r} declares {size} bytes that {location!r} does not hold")
    with place.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)
