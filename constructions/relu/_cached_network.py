"""How is a zig-zag whose cells repeat written as a ReLU network with one copy of every pattern? Tents, tables, one clip.

On the cells of one parity, f_1 + sum over patterns of gamma(rho_gamma(x)) is z; on the others the tents' second halves show
mirror images. Since |gamma| <= steep * min(i, steps - i), clipping at +-cap with cap = steep * min(i, steps - i) on the
cells of this parity and 0 on the others changes nothing there and leaves nothing here: no product is needed.
"""

from __future__ import annotations

from itertools import pairwise

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import to_fmpq
from constructions.relu._repeated_cells import Pattern, repeated
from constructions.relu._zigzag import CellPlan

FORMS = ("economical", "four-layers", "paper")


def cached_network(plan: CellPlan, form: str) -> Network:
    """The Network that equals the plan's z on the domain, exactly.

    Weights, up to lower terms: 6 per cell (hinge 2, f_1 1, tents 3) and 3 per breakpoint of a pattern; the wave of the clip
    by folding, 4 log2(cells), "economical"; four hidden layers: 3 more per cell and 1 more per breakpoint otherwise.
    """
    return _Parts(plan, form).network()


def cached_weights(plan: CellPlan, form: str) -> int:
    """The number of weights of cached_network(plan, form), counted from the plan without building it."""
    shallow = form != "economical"
    total, inner, first = 0, 0, 0
    jumps = line_jumps(plan)
    used = {t for t, jump in enumerate(jumps) if jump}
    total += sum(jump != 0 for jump in jumps) + int(plan.heights[0] != 0)
    parities = 0
    for parity in (0, 1):
        patterns = repeated(plan, parity, reversals=form != "paper")
        parities += bool(patterns)
        for pattern in patterns:
            used.update(pattern.knots.tolist())
            total += len(pattern.knots) + (pattern.constant != 0)
            places = pattern.hinges()
            inner += len(places) - (places[0][0] == 0)
            first += places[0][0] == 0
    if parities:
        used.add(0)  # the wave starts from it
    knots = sum(1 + _shifted(plan, fmpq(t)) for t in used)
    wave = _wave_weights(plan, parities, shallow) if parities else 0
    return total + knots + inner * (4 if shallow else 3) + first * (2 if shallow else 1) + wave


def _wave_weights(plan: CellPlan, parities: int, shallow: bool) -> int:
    """Weights of the wave, and of the clips of `parities` parities."""
    if shallow:  # hinges at the middles, their sum, and for a parity: cap 2, two clips of 1 (the cap), output 3
        middles = sum(2 + _shifted(plan, t + fmpq(1, 2)) for t in range(plan.cells))
        return middles + 2 + parities * (2 + 2 + 3)
    count = len(folds(plan))
    levels = 2 + (5 if count > 1 else 0) + 4 * max(0, count - 2)
    cap = 2 + (count > 1)  # with one fold the two constants cancel for the even cells
    odd = 1 if count == 1 and parities == 2 else 0
    return levels + parities * (1 + cap + 6 + 3) + odd


def _shifted(plan: CellPlan, knot: fmpq) -> bool:
    """Whether the unit relu(tau - steps * knot) has a bias."""
    return bool(to_fmpq(plan.axis.offset) != knot * plan.steps)


def line_jumps(plan: CellPlan) -> list[int]:
    """The changes of slope of f_1 at the knots 0 .. cells - 1, in units of quantum * scale."""
    rises = [0, *(b - a for a, b in pairwise(plan.heights.tolist()))]
    return [b - a for a, b in pairwise(rises)]


def folds(plan: CellPlan) -> list[int]:
    """Where the sawtooth folds tau + steps/2, from the widest to `steps`."""
    found = [plan.steps]
    while 4 * found[-1] < plan.steps * (2 * plan.cells + 1):
        found.append(2 * found[-1])
    return found[::-1]


class _Parts:
    """The network under construction."""

    def __init__(self, plan: CellPlan, form: str) -> None:
        self.plan, self.form, self.b = plan, form, Builder(1)
        self.shallow = form != "economical"
        self.tau = self.b.input() * plan.axis.slope + plan.axis.offset
        self.hinges = [self.b.relu(self.tau - t * plan.steps) for t in range(plan.cells)]

    def network(self) -> Network:
        """f_1 plus the clipped sums of both parities."""
        plan = self.plan
        unit = plan.quantum * plan.scale
        terms = [(jump * unit, hinge) for jump, hinge in zip(line_jumps(plan), self.hinges, strict=True) if jump]
        parts = [repeated(plan, parity, reversals=self.form != "paper") for parity in (0, 1)]
        wave = self._wave() if any(parts) else Form()
        for parity, patterns in enumerate(parts):
            if patterns:
                terms += [(plan.quantum * sign, unit) for sign, unit in self._clipped(patterns, wave, parity)]
        base = unit * plan.steps * int(plan.heights[0])
        return self.b.build([linear_combination(terms, base)])

    def _wave(self) -> Form:
        """The distance of tau + steps/2 to the next multiple of 2 steps: at least steps/2 exactly on even cells."""
        plan, b = self.plan, self.b
        half = fmpq(plan.steps, 2)
        if self.shallow:
            middles = [b.relu(self.tau - (t * plan.steps + half)) for t in range(plan.cells)]
            turns = [(2 if t % 2 else -2, middle) for t, middle in enumerate(middles)]
            return b.relu(linear_combination([(1, self.hinges[0]), *turns], half))
        form, top = self.hinges[0] + half, None
        for fold in folds(plan):
            if top is not None:
                form = b.relu(form)
            top = b.relu(form - fold)
            form = form - 2 * top
        return form

    def _clipped(self, patterns: list[Pattern], wave: Form, parity: int) -> list[tuple[int, Form]]:
        """clip(G, -cap, cap) = relu(G + cap) - relu(G - cap) - cap as (sign, unit)."""
        plan, b = self.plan, self.b
        half = fmpq(plan.steps, 2)
        total = linear_combination([part for p in patterns for part in self._table(p)])
        if not self.shallow:  # one unit for the sum: else both units of the clip would read every table entry
            size = plan.steep * plan.steps  # at most two mirror images meet on a cell, each within steep * steps/2
            total = b.relu(total + size) - size
        cap = b.relu(plan.steep * (wave - half if parity == 0 else half - wave))
        return [(1, b.relu(total + cap)), (-1, b.relu(total - cap)), (-1, cap)]

    def _table(self, pattern: Pattern) -> list[tuple[int, Form]]:
        terms = [(int(w), self.hinges[t]) for w, t in zip(pattern.weights, pattern.knots, strict=True)]
        rho = self.b.relu(linear_combination(terms, pattern.constant))
        return [(c, rho if i == 0 else self.b.relu(rho - i)) for i, c in pattern.hinges()]
