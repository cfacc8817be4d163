"""Where are the compiled forms of a network kept? On the network itself, and never in a pickle of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from approx.networks import Network

_T = TypeVar("_T")


class _Cache(dict[Hashable, Any]):
    """A dictionary that travels empty: compiled forms may hold balls, which do not pickle."""

    def __reduce__(self) -> tuple[type[_Cache], tuple[()]]:
        return _Cache, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Cache:
        return _Cache()


def cached(network: Network, key: Hashable, make: Callable[[], _T]) -> _T:
    """Return make(), computed once per network and key.

    Networks are immutable, so nothing is ever invalidated; the entry dies with the network. Two threads may both
    compute an entry (the results are equal).
    """
    cache = network.__dict__.setdefault("_evaluation_cache", _Cache())
    if key not in cache:
        cache[key] = make()
    return cache[key]
