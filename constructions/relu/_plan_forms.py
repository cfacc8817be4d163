"""Is a network exactly one of those that some plan is written as? The plan is read off the weights, written again, compared.

The numbers of a plan stand at known places among the weights; a network is recognised only if the plan so read gives back
the very same network, weight for weight. So a reader may guess: what it returns is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from flint import fmpq

from approx.certification.structure import register_evaluator
from approx.evaluation.cache import cached
from approx.networks import Network
from approx.targets import Target

P = TypeVar("P")
Rows = list[tuple[str, fmpq, list[tuple[int, fmpq]]]]
#: A reader may raise ValueError (InputError among them), IndexError, KeyError or ArithmeticError on networks of another form.
Reader = Callable[[Rows, Network, Target], P | None]
Writer = Callable[[P, Target], Network]

_FEWEST_LAYERS = 6


class PlanForms(Generic[P]):
    """The forms in which plans of one kind are written as ReLU networks with one output."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._forms: list[tuple[Reader[P], Writer[P]]] = []

    def add(self, read: Reader[P], write: Writer[P]) -> None:
        """Let networks be recognised that `write(plan, target)` makes, when `read(rows, network, target)` finds their plan."""
        self._forms.append((read, write))

    def plan(self, network: Network, target: Target) -> P | None:
        """The plan of a network that is exactly written in one of the forms on the target's box, else None; O(weights)."""
        if network.inputs != target.dimension or network.outputs != 1 or len(network.layers) < _FEWEST_LAYERS:
            return None
        if network.activations != {"relu", "identity"} or not network.tags["rational"]:
            return None
        known, key = self._known(network), _box(target)
        if key not in known:
            known[key] = self._read(network, target)
        return known[key]

    def remember(self, network: Network, target: Target, plan: P) -> None:
        """Keep what a builder knows of its own network, so that certification need not read it again."""
        self._known(network)[_box(target)] = plan

    def _known(self, network: Network) -> dict[Any, P | None]:
        return cached(network, self._name, dict)

    def _read(self, network: Network, target: Target) -> P | None:
        rows = network.exact_rows()
        for read, write in self._forms:
            try:
                plan = read(rows, network, target)
            except (ArithmeticError, IndexError, KeyError, ValueError):  # not of this form
                continue
            if plan is not None and write(plan, target).exact_rows() == rows:
                return plan
        return None


def _box(target: Target) -> Any:
    return target.domain.lower, target.domain.upper


def evaluate_by(read: Callable[[Network, Target], P | None], values: Callable[[P, np.ndarray], np.ndarray]) -> None:
    """Let networks of one variable be evaluated in float64 by their plans, without a bound of rounding.

    `values(plan, share)` are the values at these shares of the domain, 0 at its lower end and 1 at its upper one.
    """

    @register_evaluator
    def evaluator(network: Network, target: Target, points: np.ndarray) -> np.ndarray | None:
        plan = read(network, target)
        if plan is None:
            return None
        [(low, high)] = target.domain.floats()
        return values(plan, (points[:, 0] - low) / (high - low))
