"""How does a network become a torch module, and back?"""

from __future__ import annotations

from typing import Any


def to_torch(network: Any) -> Any:
    """Return the network as a torch module."""
    raise NotImplementedError


def from_torch(module: Any) -> Any:
    """Return the network that a torch module computes."""
    raise NotImplementedError
