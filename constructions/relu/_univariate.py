"""Which network of one variable is the smallest for a part of a composition? The best of the quick one-variable builders."""

from __future__ import annotations

import math
from collections import OrderedDict

from approx.approximant import Approximant
from approx.errors import RegularityError, UnreachableError
from approx.targets import Target
from constructions.relu.piecewise_linear import piecewise_linear
from constructions.relu.polynomial import polynomial

#: Parts recur while a composition varies the shares of the others; a small memory saves most of the time.
_MEMORY: OrderedDict[tuple[str, str, float], Approximant] = OrderedDict()
_REMEMBERED = 256
#: Shares are rounded down to these many steps per factor of two, so that nearby shares meet in the memory.
_STEPS = 8


def smallest_univariate(h: Target, eps: float) -> Approximant:
    """The Approximant with the fewest weights and proved bound <= eps that the quick builders find for h.

    Raises RegularityError when none applies. Cost: that of the builders once per distinct (h, domain, rounded eps).
    """
    eps = 2.0 ** (math.floor(math.log2(eps) * _STEPS) / _STEPS)
    key = (h.text, repr(h.domain), eps)
    if key in _MEMORY:
        _MEMORY.move_to_end(key)
        return _MEMORY[key]
    found: Approximant | None = None
    for builder in (piecewise_linear, polynomial):
        try:
            candidate = builder(h, eps)
        except (RegularityError, UnreachableError):
            continue
        fits = candidate.bound <= eps
        if fits and (found is None or candidate.network.size.weights < found.network.size.weights):
            found = candidate
        if builder is piecewise_linear and found is not None and found.bound == 0:
            break
    if found is None:
        raise RegularityError(f"composition: no network of one variable for {h.text} at {eps:g}")
    _MEMORY[key] = found
    while len(_MEMORY) > _REMEMBERED:
        _MEMORY.popitem(last=False)
    return found
