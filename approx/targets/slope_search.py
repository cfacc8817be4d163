"""How steep is an expression with many kinks? Interval slopes of whole arrays of boxes, halved, or branched at one kink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from approx.numbers import float_down, float_up, to_fmpq
from approx.targets.domain import Domain
from approx.targets.kink_point import piecewise_linear, slopes_around
from approx.targets.program import Instruction, Program

#: Operations that are followed; a program also needs a kink to be worth it.
_KINKS = frozenset({"abs", "relu", "max", "min"})
_FOLLOWED = _KINKS | {"number", "variable", "add", "sub", "mul", "neg", "powi"}
#: Boxes in all, boxes at one time, and boxes that are looked at in rational arithmetic.
_MOST, _CHUNK, _MOST_EXACT = 400_000, 1 << 13, 30_000
#: Halvings that decide no kink before a box is branched, and the levels of both in all.
_PATIENCE, _FINEST = 3, 60


@dataclass
class _Boxes:
    """Boxes (n, d) with the sign that is assumed of every kink's argument (n, kinks; 0: none), their bounds and depth."""

    low: np.ndarray
    high: np.ndarray
    sign: np.ndarray
    depth: np.ndarray
    bound: np.ndarray
    open_kink: np.ndarray  # the first kink of unknown sign, -1 if there is none
    unknown: np.ndarray  # how many there are
    stale: np.ndarray  # halvings in a row that left them as many

    def take(self, index: np.ndarray) -> _Boxes:
        return _Boxes(*(v[index] for v in vars(self).values()))


def admits(program: Program) -> bool:
    """Whether the program is one of + - *, small powers, and kinks (abs, relu, max, min) of which there is one."""
    operations = {step.operation for step in program.instructions}
    powers = [step.data for step in program.instructions if step.operation == "powi"]
    return operations <= _FOLLOWED and bool(operations & _KINKS) and all(1 <= p <= 16 for p in powers)


def steepest(program: Program, domain: Domain, axes: Sequence[int], rtol: float) -> float:
    """Return a proved upper bound of the sum of |slopes| along the axes over the domain, Clarke's gradient at kinks included.

    All boxes whose bound exceeds (1 + rtol) times the largest slope seen are halved. Where halving decides no kink any more,
    rational arithmetic takes over if f is piecewise linear in one variable and bends at one point of the box; for other f
    both signs of the argument of the first undecided kink are taken in turn, so that kinks which hang together keep
    together. Every gradient of f in the box is one of a branch, so the bound is sound whatever the outcome. Float64
    intervals, rounded outwards. Cost: 10 ns per box and operation; 400,000 boxes at most, then the bound is what it is.
    """
    search = _Search(program, axes)
    sides = [(float_down(low), float_up(high)) for low, high in domain]
    low, high = (np.array([[side[k] for side in sides]]) for k in (0, 1))
    start = np.zeros(1, dtype=int)
    boxes = search.bounded(low, high, np.zeros((1, len(search.kinks)), dtype=np.int8), start, start + len(search.kinks), start)
    stack, settled, count = [boxes], 0.0, 1
    while stack:
        boxes = stack.pop()
        goal = max((1 + rtol) * search.seen, 1e-300)
        halving = boxes.depth < _FINEST
        active = (boxes.bound > goal) & (halving | (boxes.open_kink >= 0))
        settled = max(settled, float(boxes.bound[~active].max(initial=0.0)))
        if not active.any():
            continue
        boxes = boxes.take(np.flatnonzero(active))
        boxes, exact = search.bent_once(boxes)
        settled = max(settled, exact)
        if not len(boxes.bound):
            continue
        if count > _MOST:
            return max(settled, float(boxes.bound.max()), *(float(b.bound.max()) for b in stack))
        if len(boxes.bound) > _CHUNK:
            order = np.argsort(boxes.bound)
            stack.append(boxes.take(order[:-_CHUNK]))
            boxes = boxes.take(order[-_CHUNK:])
        children = search.refined(boxes)
        count += len(children.bound)
        stack.append(children)
    return max(settled, search.seen)


class _Search:
    def __init__(self, program: Program, axes: Sequence[int]) -> None:
        self.program, self.steps = program, program.instructions
        self.linear, self.exact = piecewise_linear(program), 0
        self.axes = list(axes)
        self.kinks = [i for i, step in enumerate(self.steps) if step.operation in _KINKS]
        self.place = {i: k for k, i in enumerate(self.kinks)}
        self.seen = 0.0

    def bent_once(self, boxes: _Boxes) -> tuple[_Boxes, float]:
        """(the boxes that are left, the steepest slope of the others): where f is found to bend at one point only, exactly."""
        steepest, kept = 0.0, np.ones(len(boxes.bound), dtype=bool)
        for i in np.flatnonzero((boxes.stale >= _PATIENCE) & (boxes.open_kink >= 0)) if self.linear else ():
            if self.exact >= _MOST_EXACT:
                break
            self.exact += 1
            ends = to_fmpq(float(boxes.low[i, 0])), to_fmpq(float(boxes.high[i, 0]))
            found = slopes_around(self.program, *ends, self.kinks[int(boxes.open_kink[i])])
            if found is not None:
                kept[i] = False
                steepest = max(steepest, *(float_up(abs(s)) for s in found))
        self.seen = max(self.seen, steepest * (1 - 1e-9))
        return (boxes if kept.all() else boxes.take(np.flatnonzero(kept))), steepest

    def refined(self, boxes: _Boxes) -> _Boxes:
        """Both halves of every box, or both branches of small boxes whose turn it is."""
        turn = (boxes.open_kink >= 0) & (boxes.stale >= _PATIENCE)
        # What exact arithmetic could not settle has more than one bend: halving will part them.
        branch = turn & (not self.linear)
        names = ("low", "high", "sign", "depth", "unknown", "stale")
        low, high, sign, depth, unknown, stale = (np.concatenate([getattr(boxes, v)] * 2) for v in names)
        n = len(branch)
        cut = np.flatnonzero(~branch)
        axis = np.argmax(boxes.high[cut] - boxes.low[cut], axis=1)
        middle = boxes.low[cut, axis] + (boxes.high[cut, axis] - boxes.low[cut, axis]) / 2
        high[cut, axis], low[n + cut, axis] = middle, middle
        at = np.flatnonzero(branch)
        sign[at, boxes.open_kink[at]], sign[n + at, boxes.open_kink[at]] = 1, -1
        stale[np.concatenate([turn, turn])] = -1
        return self.bounded(low, high, sign, depth + 1, unknown, stale)

    def bounded(
        self, low: np.ndarray, high: np.ndarray, sign: np.ndarray, depth: np.ndarray, before: np.ndarray, stale: np.ndarray
    ) -> _Boxes:
        """The boxes with their bounds; `seen` grows by the slopes at their middles."""
        with np.errstate(all="ignore"):
            bound, open_kink, unknown = self._slopes(low, high, sign)
            middle = low + (high - low) / 2
            at, _, undecided = self._slopes(middle, middle, np.zeros_like(sign))
        at = at[(undecided == 0) & np.isfinite(at)]
        # An upper bound at a point, as sharp as rounding: it only decides when to stop.
        self.seen = max(self.seen, float(at.max(initial=0.0)) * (1 - 1e-9))
        bound = np.where(np.isnan(bound), np.inf, bound)
        return _Boxes(low, high, sign, depth, bound, open_kink, unknown, np.where(unknown < before, 0, stale + 1))

    def _slopes(self, low: np.ndarray, high: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(bounds of the sum of |slopes| along the axes, first kink of unknown sign or -1, how many there are)."""
        n = len(low)
        count = np.zeros(n, dtype=int)
        zero = np.zeros(n), np.zeros(n)
        open_kink = np.full(n, -1)
        values: list[_Interval] = []
        slopes: list[list[_Interval] | None] = []
        for i, step in enumerate(self.steps):
            below = [values[a] for a in step.arguments]
            parts = [slopes[a] for a in step.arguments]
            if step.operation == "number":
                values.append((np.full(n, float_down(step.data)), np.full(n, float_up(step.data))))
                slopes.append(None)
            elif step.operation == "variable":
                values.append((low[:, step.data], high[:, step.data]))
                one = np.ones(n), np.ones(n)
                slopes.append([one if axis == step.data else zero for axis in self.axes])
            elif step.operation in _KINKS:
                value, chosen, unknown = _kinked(step, below, parts, sign[:, self.place[i]], zero, len(self.axes))
                values.append(value)
                slopes.append(chosen)
                open_kink = np.where(unknown & (open_kink < 0), self.place[i], open_kink)
                count += unknown
            else:
                values.append(_smooth_value(step, below))
                slopes.append(_smooth_slopes(step, below, parts))
        found = slopes[-1]
        total = np.zeros(n)
        for lo, hi in found or []:
            total = np.nextafter(total + np.maximum(np.abs(lo), np.abs(hi)), np.inf)
        return total, open_kink, count


_Interval = tuple[np.ndarray, np.ndarray]
_Slopes = list[_Interval] | None


def _add(a: _Interval, b: _Interval) -> _Interval:
    # Where a sum is exact it stays as it is: a kink at the end of a box must not look as if it lay inside.
    low, high = a[0] + b[0], a[1] + b[1]
    inexact = (_lost(a[0], b[0], low) != 0), (_lost(a[1], b[1], high) != 0)
    return np.where(inexact[0], np.nextafter(low, -np.inf), low), np.where(inexact[1], np.nextafter(high, np.inf), high)


def _lost(a: np.ndarray, b: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The rounding error of a sum (Knuth); NaN, which is not 0, where something is not finite."""
    part = total - a
    return (a - (total - part)) + (b - part)


def _negative(a: _Interval) -> _Interval:
    return -a[1], -a[0]


def _multiply(a: _Interval, b: _Interval) -> _Interval:
    products = [x * y for x in a for y in b]
    low, high = np.minimum.reduce(products), np.maximum.reduce(products)
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def _power(a: _Interval, p: int) -> _Interval:
    result = a
    for _ in range(p - 1):
        result = _multiply(result, a)
    # Even powers are not negative: sharper, and sound.
    return (np.maximum(result[0], 0.0), result[1]) if p % 2 == 0 else result


def _smooth_value(step: Instruction, below: list[_Interval]) -> _Interval:
    match step.operation:
        case "add":
            return _add(*below)
        case "sub":
            return _add(below[0], _negative(below[1]))
        case "mul":
            return _multiply(*below)
        case "neg":
            return _negative(below[0])
        case _:
            return _power(below[0], step.data)


def _smooth_slopes(step: Instruction, below: list[_Interval], parts: list[_Slopes]) -> _Slopes:
    if all(part is None for part in parts):
        return None
    match step.operation:
        case "neg":
            return [_negative(s) for s in parts[0] or []]
        case "powi":
            if step.data == 1:
                return parts[0]
            outer = _power(below[0], step.data - 1)
            scale = np.full_like(outer[0], float(step.data)), np.full_like(outer[0], float(step.data))
            return [_multiply(_multiply(outer, scale), s) for s in parts[0] or []]
        case "mul":
            left = [_multiply(below[1], s) for s in parts[0]] if parts[0] is not None else None
            right = [_multiply(below[0], s) for s in parts[1]] if parts[1] is not None else None
        case _:
            left, right = parts[0], parts[1]
            if step.operation == "sub" and right is not None:
                right = [_negative(s) for s in right]
    if left is None or right is None:
        return left if right is None else right
    return [_add(a, b) for a, b in zip(left, right, strict=True)]


def _kinked(
    step: Instruction, below: list[_Interval], parts: list[_Slopes], assumed: np.ndarray, zero: _Interval, axes: int
) -> tuple[_Interval, _Slopes, np.ndarray]:
    """(value, slopes, where the sign of the argument is unknown) of abs, relu, max, min, with signs that are assumed."""
    single = step.operation in ("abs", "relu")
    t = below[0] if single else _add(below[0], _negative(below[1]))
    # With an assumed sign the box stands for its part where the argument has it; that part may be empty.
    up = (t[0] >= 0) | (assumed > 0)
    down = ~up & ((t[1] <= 0) | (assumed < 0))
    unknown = ~up & ~down
    plus = parts[0] if parts[0] is not None else [zero] * axes
    if single:
        v = np.where(assumed > 0, np.maximum(t[0], 0.0), t[0]), np.where(assumed < 0, np.minimum(t[1], 0.0), t[1])
        other = _negative(v) if step.operation == "abs" else zero
        minus = [_negative(s) for s in plus] if step.operation == "abs" else [zero] * axes
        high, low = v, other
    else:
        minus = parts[1] if parts[1] is not None else [zero] * axes
        high, low = below
        if step.operation == "min":
            high, low, plus, minus = low, high, minus, plus
    largest = np.maximum(high[0], low[0]), np.maximum(high[1], low[1])
    if step.operation == "min":
        largest = np.minimum(high[0], low[0]), np.minimum(high[1], low[1])
    value = _pick(up, down, high, low, largest)
    slopes = [_pick(up, down, p, m, _hull(p, m)) for p, m in zip(plus, minus, strict=True)]
    return value, (None if all(part is None for part in parts) else slopes), unknown


def _hull(a: _Interval, b: _Interval) -> _Interval:
    return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])


def _pick(up: np.ndarray, down: np.ndarray, first: _Interval, second: _Interval, both: _Interval) -> _Interval:
    low = np.where(up, first[0], np.where(down, second[0], both[0]))
    return low, np.where(up, first[1], np.where(down, second[1], both[1]))
