"""How does a network become an ONNX file?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParityReport:
    """What was observed when the exported file ran."""


def to_onnx(network: Any, path: Any, dtype: str = "float64") -> ParityReport:
    """Write the network as an ONNX model."""
    raise NotImplementedError
