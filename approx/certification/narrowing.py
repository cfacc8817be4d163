"""What is left of a network of ReLUs, squares and products on a smaller box? What is known there is folded away, exactly.

- A ReLU is 0 where its argument is known to be <= 0 and its argument where that is >= 0: exactly, from the ends of the box, for
  arguments that are affine in x; from proved ranges for others.
- F_m(|1/2 + q|) - F_m(|1/2 - q|) = 2 q for |q| <= 1/2, by the symmetry of F_m(z) - z^2 about 1/2: a product with a factor of
  full size. So blends with a weight that is constant 0 or 1 vanish, and with them what they do not choose.
- Promises that are kept on the whole box are dropped.

Ranges are enclosures in float64 and may miss a sign by a rounding. What a replacement may change, t, counts as t times the
Lipschitz constant of the output in that step; the sum is returned as `lost`: |steps - result| <= lost on the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import fmpq

from approx.certification.gadget_products import Step, Steps
from approx.certification.square_sums import Form, add, scaled

Box = Sequence[tuple[fmpq, fmpq]]
_HALF = fmpq(1, 2)
_UP = 1 + 2.0**-30


@dataclass(frozen=True)
class Known:
    """What is proved on a box: per step the ranges of its two arguments (steps, 2), Lipschitz constants, cost of promises."""

    low: np.ndarray
    high: np.ndarray
    lipschitz: np.ndarray
    promises: float


def narrowed(steps: Steps, box: Box, known: Known, tolerance: float) -> tuple[Steps, float]:
    """(what is left of the steps on the box, lost); lost <= tolerance. Cost O(entries) rational operations."""
    folder = _Folder(steps.inputs, box, known, tolerance / (len(steps.steps) + 2), [{i: fmpq(1)} for i in range(steps.inputs)])
    for number, step in enumerate(steps.steps):
        folder.values.append(folder.folded(number, step))
    promises = []
    if known.promises <= folder.share:
        folder.lost += known.promises
    else:
        promises = [(folder.substituted(form), side, size) for form, side, size in steps.promises]
    result = Steps(steps.inputs, folder.steps, folder.substituted(steps.output), promises)
    return _needed(result), folder.lost * _UP


@dataclass
class _Folder:
    inputs: int
    box: Box
    known: Known
    share: float
    values: list[Form]
    lost: float = 0.0

    def __post_init__(self) -> None:
        self.steps: list[Step] = []

    def folded(self, number: int, step: Step) -> Form:
        """The form that stands for a step on the box."""
        low, high = self.known.low[number], self.known.high[number]
        weight = self.known.lipschitz[number]
        if step.levels is None:
            if self.pay(max(float(high[0]), 0.0) * weight):
                return {}
            form = self.substituted(step.form)
            sign = self.sign(form)
            if sign or self.pay(max(-float(low[0]), 0.0) * weight):
                return form if sign >= 0 else {}
            return self.kept(Step(form))
        form = self.substituted(step.form)
        if step.other is None:
            return self.kept(Step(form, step.levels, step.two_sided))
        other = self.substituted(step.other)
        for one, two, k in ((form, other, 1), (other, form, 0)):
            if not one:
                return {}
            if one.keys() == {-1} and abs(one[-1]) == _HALF:
                beyond = max(float(high[k]) - 0.5, -float(low[k]) - 0.5, 0.0)
                if self.pay(6 * beyond * weight):
                    return scaled(two, 4 * one[-1])
        return self.kept(Step(form, step.levels, True, other))

    def pay(self, cost: float) -> bool:
        """Whether a replacement of that cost is allowed; if so, it is added to what is lost."""
        if not cost <= self.share:  # NaN is refused
            return False
        self.lost += cost * _UP
        return True

    def kept(self, step: Step) -> Form:
        """The form of a new step of the result."""
        self.steps.append(step)
        return {self.inputs + len(self.steps) - 1: fmpq(1)}

    def substituted(self, form: Form) -> Form:
        """The form with `values` in place of its keys."""
        result: Form = {-1: form[-1]} if -1 in form else {}
        for key, weight in form.items():
            if key < 0:
                continue
            value = self.values[key]
            if len(value) > 1:
                result = add(result, scaled(value, weight))
            elif value:
                ((k, v),) = value.items()
                total = result.get(k, 0) + weight * v
                if total == 0:
                    result.pop(k, None)
                else:
                    result[k] = total
        return result

    def sign(self, form: Form) -> int:
        """1 or -1 where an affine form is >= 0 or <= 0 on the whole box; 0 where neither is known."""
        low = high = form.get(-1, fmpq(0))
        for k, w in form.items():
            if k >= self.inputs:
                return 0
            if k >= 0:
                a, b = w * self.box[k][0], w * self.box[k][1]
                low, high = (low + a, high + b) if a <= b else (low + b, high + a)
        return 1 if low >= 0 else -1 if high <= 0 else 0


def _needed(steps: Steps) -> Steps:
    """The same without steps that nothing reads."""
    d = steps.inputs
    needed: set[int] = set()
    pending = [k - d for form in [steps.output, *(f for f, _, _ in steps.promises)] for k in form if k >= d]
    while pending:
        n = pending.pop()
        if n not in needed:
            needed.add(n)
            step = steps.steps[n]
            pending.extend(k - d for k in [*step.form, *(step.other or {})] if k >= d)
    place = {d + old: d + new for new, old in enumerate(sorted(needed))}

    def moved(form: Form) -> Form:
        return {place.get(k, k): v for k, v in form.items()}

    kept = [
        Step(moved(s.form), s.levels, s.two_sided, None if s.other is None else moved(s.other))
        for s in (steps.steps[n] for n in sorted(needed))
    ]
    return Steps(d, kept, moved(steps.output), [(moved(f), side, size) for f, side, size in steps.promises])
