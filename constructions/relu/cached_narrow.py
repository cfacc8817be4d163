"""How narrow may a network that stores equal cells once be? Five units in every layer, no skip connection, depth ~ W."""

from __future__ import annotations

from typing import Any

from flint import fmpq

from approx.approximant import Approximant
from approx.networks import Builder, Form, Network, linear_combination
from approx.targets import Target
from constructions.relu._cached_network import folds, line_jumps
from constructions.relu._repeated_cells import Pattern, repeated
from constructions.relu._zigzag import CellPlan
from constructions.relu.cached_patches import approximant, lipschitz_plan

DESCRIPTION = {
    "name": "cached-narrow",
    "activations": ("relu",),
    "needs": "one variable, Lipschitz",
    "guarantee": "sup |f - net| <= eps, proved from the Lipschitz constant; width at most 5, layers without skips",
    "rate": "W = O(1/(eps ln(1/eps))) for Lipschitz f at width 5; continuous weight selection cannot beat c/eps",
    "references": ("P17", "P16"),
}


def cached_narrow(target: Target, eps: Any, *, steps_per_cell: int | None = None) -> Approximant:
    """The Approximant of width at most 5 and depth ~ W that equals the zig-zag of `cached_patches`.

    Every layer reads the layer before it alone. Five channels: tau (the input), the output so far, the sum of the current
    parity's patterns, the tents of the current pattern, and one hinge. Guarantee (proved): as cached_patches.
    Cost: about 8 weights for each of the 3 T hinges of the tents and 7 for each breakpoint of a pattern.
    Raises what cached_patches raises. Source: P17 (the rate and the width); this schedule is derived.

    >>> a = cached_narrow(Target("abs(sin(9*x))"), 0.2)
    >>> a.network.size.width, a.bound <= 0.2
    (5, True)
    """
    plan = lipschitz_plan(str(DESCRIPTION["name"]), target, eps, steps_per_cell, False, narrow_weights)
    if not isinstance(plan, CellPlan):
        return plan
    return approximant(DESCRIPTION, target, narrow_network(plan), plan, {})


def narrow_weights(plan: CellPlan) -> int:
    """About the weights of narrow_network(plan): 8 per tent hinge, 7 per breakpoint; a guess that orders choices."""
    patterns = [p for parity in (0, 1) for p in repeated(plan, parity)]
    return 5 * plan.cells + sum(8 * len(p.knots) + 7 * len(p.hinges()) for p in patterns)


def narrow_depth(plan: CellPlan) -> int:
    """The most hidden layers that any zig-zag with the cells and steps of this plan needs: an architecture without f.

    Each of the T cells has a tent of 3 hinges, knots outside of all tents one more; each of the at most
    min(T, 2^(m-1) + 2^(m/2)) patterns of a parity m - 1 hinges and 3 layers; a parity's clip 2 folds + 3 layers.
    """
    kinds = min(plan.cells, 2 * (2 ** (plan.steps - 1) + 2 ** (plan.steps // 2)))
    return 4 * plan.cells + kinds * (plan.steps + 2) + 2 * (2 * len(folds(plan)) + 4) + 2


def narrow_network(plan: CellPlan) -> Network:
    """The Network of width <= 5, strict layers, that equals the plan's z on the domain, exactly.

    All channels carry integers, shifted so that they are never negative; the last layer takes the shifts back.
    """
    return _Channels(plan).network()


class _Channels:
    """The five channels as forms over the last finished layer; `step` makes the next layer of them."""

    def __init__(self, plan: CellPlan) -> None:
        self.plan, self.b = plan, Builder(1)
        self.line = dict(enumerate(line_jumps(plan)))
        self.unit = fmpq(1) if plan.scale == 1 else plan.scale
        reach = plan.cells * plan.steps
        #: Shifts that keep partial sums of the output, of the patterns and of the tents above 0.
        self.high = self.unit * sum(abs(j) for j in self.line.values()) * reach + 2 * plan.steep * plan.steps
        self.wide = 4 * plan.steep * plan.steps
        self.far = reach
        self.tau = self.b.relu(self.b.input() * plan.axis.slope + plan.axis.offset)
        self.out: Form | None = None
        self.total: Form | None = None

    def network(self) -> Network:
        """Tents and tables of the even, then of the odd cells, then the knots of f_1 that no tent had."""
        plan = self.plan
        self._add_line(0, self.tau)
        for parity in (0, 1):
            patterns = repeated(plan, parity)
            for pattern in patterns:
                self._table(pattern, self._tents(pattern))
            if patterns:
                self._clip(parity)
        for knot in [k for k, jump in self.line.items() if jump]:
            [hinge] = self.step(self.tau - knot * plan.steps)
            self._add_line(knot, hinge)
        base = plan.quantum * plan.scale * plan.steps * int(plan.heights[0])
        out = Form() if self.out is None else self.out - self.high
        return self.b.build([plan.quantum * out + base])

    def step(self, *forms: Form) -> list[Form]:
        """The next layer: relu of the forms, beside tau and the sums, which are carried on."""
        units = [self.b.relu(form) for form in forms]
        self.tau = self.b.relu(self.tau)
        if self.out is not None:
            self.out = self.b.relu(self.out)
        if self.total is not None:
            self.total = self.b.relu(self.total)
        return units

    def _add_line(self, knot: int, hinge: Form) -> None:
        jump = self.line.pop(knot, 0)
        if jump:
            self.out = (Form({}, self.high) if self.out is None else self.out) + self.unit * jump * hinge

    def _add_total(self, change: Form) -> None:
        self.total = (Form({}, self.wide) if self.total is None else self.total) + change

    def _tents(self, pattern: Pattern) -> Form:
        """rho of a pattern, hinge by hinge from left to right: partial sums have slopes -1, 0, 1, so far keeps them up."""
        rho: Form | None = None
        for knot, weight in zip(pattern.knots.tolist(), pattern.weights.tolist(), strict=True):
            forms = [self.tau - knot * self.plan.steps, *([] if rho is None else [rho])]
            hinge, *before = self.step(*forms)
            rho = (before[0] if before else Form({}, self.far + pattern.constant)) + weight * hinge
            self._add_line(knot, hinge)
        assert rho is not None  # a pattern has a cell, its tent a hinge
        return rho - self.far

    def _table(self, pattern: Pattern, rho: Form) -> None:
        [rho] = self.step(rho)
        for place, jump in pattern.hinges():
            if place == 0:
                self._add_total(jump * rho)
                continue
            hinge, rho = self.step(rho - place, rho)
            self._add_total(jump * hinge)

    def _clip(self, parity: int) -> None:
        """Move the sum, clipped to +-cap on the cells of this parity and to 0 on the others, into the output."""
        plan = self.plan
        half = fmpq(plan.steps, 2)
        wave = self.tau + half
        for fold in folds(plan):
            keep, top = self.step(wave, wave - fold)
            wave = keep - 2 * top
        [cap] = self.step(plan.steep * (wave - half if parity == 0 else half - wave))
        assert self.total is not None  # called for a parity with patterns
        total, self.total = self.total - self.wide, None
        upper, lower, cap = self.step(total + cap, total - cap, cap)
        start = Form({}, self.high) if self.out is None else self.out
        self.out = linear_combination([(1, start), (1, upper), (-1, lower), (-1, cap)])
