"""How does a network leave for another framework, and come in from one? ONNX files and torch modules."""

from __future__ import annotations

from approx.interchange.onnx_read import from_onnx
from approx.interchange.onnx_write import ParityReport, to_onnx
from approx.interchange.torch_modules import from_torch, to_torch

__all__ = ["ParityReport", "from_onnx", "from_torch", "to_onnx", "to_torch"]
