"""How is a builder that takes an accuracy asked for a network of W weights? By bracketing eps, and keeping all it built.

Statement. For every W the result is the largest network found with at most W weights; the search ends when it has at least
0.8 W, when two accuracies that differ by 2% lie on both sides of W (the sizes of the method jump there), when the three
finest networks have the same size (it does not depend on eps), or after 12 builds.
Nothing is assumed of the method but that smaller eps need more weights on the whole: where sizes go up and down, a network
of at most W weights is still returned, only perhaps not the largest. Steps follow the power law through the last networks;
an accuracy that the method refuses counts as one with too many weights.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from approx.approximant import Approximant
from approx.errors import ApproxError, InputError, RegularityError
from approx.studies.methods import Method
from approx.targets import Target

ENOUGH = 0.8
_CLOSE = 1.02
_MOST_BUILDS = 12
_COARSEST = 256.0  # times the amplitude of f


@dataclass(frozen=True)
class Built:
    """A network with the accuracy that was asked for and the seconds it took to build."""

    eps: float
    approximant: Approximant
    seconds: float

    @property
    def weights(self) -> int:
        """Its weights."""
        return self.approximant.network.size.weights


class Sizer:
    """The networks of one method for one target, by weights; remembers everything it built."""

    def __init__(self, method: Method, target: Target) -> None:
        self.method, self.target = method, target
        self.built: list[Built] = []
        self.refused: dict[float, str] = {}
        self.seconds = 0.0
        self._start = amplitude(target) / 4

    def network(self, weights: int) -> Built | None:
        """The largest network found with at most so many weights, or None; cost: up to 12 builds, fewer for later calls."""
        for _ in range(_MOST_BUILDS):
            coarse, fine = self._bracket(weights)
            if coarse is not None and (coarse.weights >= ENOUGH * weights or coarse.approximant.bound == 0):
                break
            eps = self._next(weights, coarse, fine)
            if eps is None:
                break
            self._build(eps)
        return self._bracket(weights)[0]

    def reason(self) -> str:
        """Why there is no network: the refusal at the coarsest accuracy, or the fewest weights."""
        if self.built:
            return f"needs at least {min(b.weights for b in self.built):,} weights"
        return self.refused[max(self.refused)] if self.refused else "nothing was built"

    def _bracket(self, weights: int) -> tuple[Built | None, float | Built | None]:
        """(largest network of at most so many weights, the coarsest finer one with more or the eps of a refusal)."""
        small = [b for b in self.built if b.weights <= weights]
        coarse = max(small, key=lambda b: (b.weights, -b.eps)) if small else None
        limit = coarse.eps if coarse else math.inf
        large: list[float | Built] = [b for b in self.built if b.weights > weights and b.eps < limit]
        large += [eps for eps in self.refused if eps < limit]
        return coarse, max(large, key=_eps) if large else None

    def _next(self, weights: int, coarse: Built | None, fine: float | Built | None) -> float | None:
        if coarse is None:
            if fine is None:
                return self._start
            eps = 4 * _eps(fine)
            return eps if eps <= _COARSEST * self._start and not self._hopeless() else None
        aim = math.sqrt(ENOUGH) * weights
        if fine is None:
            # A network of fixed size whose bits grow would only become slower: its size does not depend on eps.
            finest = sorted(self.built, key=lambda b: b.eps)[:3]
            # (Two neighbouring accuracies may well have networks of one size.)
            if len(finest) == 3 and finest[0].weights == finest[1].weights == finest[2].weights:
                return None
            factor = (coarse.weights / aim) ** self._power()
            eps = coarse.eps * min(max(factor, 1e-6), 0.7)
            return eps if eps > 1e-300 else None
        ratio = math.log(coarse.eps / _eps(fine))
        if ratio < math.log(_CLOSE):
            return None
        share = 0.5
        if isinstance(fine, Built):
            share = math.log(aim / coarse.weights) / math.log(fine.weights / coarse.weights)
        return coarse.eps * math.exp(-ratio * min(max(share, 0.1), 0.9))

    def _power(self) -> float:
        """-d log eps / d log W over the two finest networks; 1 while that is not known."""
        finest = sorted(self.built, key=lambda b: b.eps)[:2]
        if len(finest) < 2 or finest[0].weights <= finest[1].weights:
            return 1.0
        return math.log(finest[1].eps / finest[0].eps) / math.log(finest[0].weights / finest[1].weights)

    def _hopeless(self) -> bool:
        # A refusal because of the target (not of the accuracy) will not go away.
        return not self.built and any(text.startswith(_UNFIT) for text in self.refused.values())

    def _build(self, eps: float) -> None:
        started = time.perf_counter()
        try:
            found = self.method(self.target, eps)
            self.built.append(Built(eps, found, time.perf_counter() - started))
        except (RegularityError, InputError) as error:
            self.refused[eps] = _UNFIT + str(error)
        except ApproxError as error:
            self.refused[eps] = str(error)
        self.seconds += time.perf_counter() - started


_UNFIT = "does not apply: "


def _eps(item: float | Built) -> float:
    return item.eps if isinstance(item, Built) else item


def amplitude(target: Target) -> float:
    """Return half the range of the target on 4,096 points of the domain (observed), 1 where that is 0 or not finite."""
    rng = np.random.default_rng(2016)
    sides = target.domain.floats_inside()
    points = rng.uniform(sides[:, 0], sides[:, 1], size=(4096, len(sides)))
    with np.errstate(all="ignore"):
        values = np.asarray(target(points if len(sides) > 1 else points[:, 0]))
    spread = float(np.ptp(values[np.isfinite(values)])) / 2 if np.isfinite(values).any() else 0.0
    return spread if spread > 0 else 1.0
