"""Which numbers of cells and of bits reach an accuracy with the shortest weight, and how are cells numbered?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from approx.errors import RegularityError, UnreachableError
from approx.targets import Target

_MOST_BITS_PER_VALUE = 200


def hoelder_step(target: Target, error: float) -> float:
    """The largest h (rounded down a little) with modulus C h^alpha <= error; inf for constants."""
    if not error > 0:
        return 0.0
    alpha, constant = target.hoelder()
    if not math.isfinite(constant):
        raise RegularityError(f"target {target.text} on {target.domain}: no modulus of continuity is known")
    return math.inf if constant == 0 else float((error / constant) ** (1 / alpha) * (1 - 1e-12))


def best_split(eps: float, amplitude: float, cost: Callable[[float, int], float]) -> tuple[int, float]:
    """(bits, rest): the bits per value with the least cost(rest, bits), rest = eps - pi amplitude/2^bits what remains.

    cost is inf where the rest does not suffice. Raises UnreachableError when nothing does.
    """
    best: tuple[float, int, float] | None = None
    for bits in range(1, _MOST_BITS_PER_VALUE):
        rest = eps - math.pi * amplitude * 2.0**-bits * (1 + 1e-9)
        if rest <= 0:
            continue
        found = cost(rest, bits)
        if best is None or found < best[0]:
            best = found, bits, rest
        elif bits > best[1] + 12:
            break
    if best is None or math.isinf(best[0]):
        raise UnreachableError(f"no number of cells reaches eps = {eps:g}")
    return best[1], best[2]


def counts_for(sides: Sequence[float], step: float) -> tuple[int, ...]:
    """The least numbers of cells per axis whose width is at most `step`."""
    return tuple(max(1, math.ceil(side / step * (1 - 1e-15))) if step > 0 else 0 for side in sides)


def strides(counts: Sequence[int]) -> tuple[int, ...]:
    """The stride of every axis when the first one varies fastest."""
    return tuple(itertools.accumulate((1, *counts[:-1]), lambda a, b: a * b))


def cells(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All multi-indices in the order of their numbers, the first axis fastest."""
    for reverse in itertools.product(*(range(c) for c in reversed(counts))):
        yield reverse[::-1]
