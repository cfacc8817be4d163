"""Which small network follows the expression of f part by part? Functions of one quantity, products, sums, maxima.

Statement. The expression is cut into affine maps, functions h(s) of one quantity, products, sums and maxima (_plan.py).
Every h becomes the smallest network of one variable, every product a product network; affine maps, sums and maxima are exact.

Guarantee (proved): with e_s the error of a quantity s and L the Lipschitz constant of h on the range of s widened by e_s,
the error of h(s) is at most eps_h + L e_s; that of a product |a| e_b + |b| e_a + e_a e_b plus the product network's; that of
a sum the sum, of a maximum the larger one. The shares of the parts are then enlarged together as long as the observed error
allows: `bound` stays the proved sum, the certificate decides.
Cost: the sum of the parts' networks, O(log 1/eps) weights for analytic parts in any dimension: no curse of dimension for
functions that are compositions. Raises RegularityError where a part cannot be taken apart.
Source: derived (propagation as in P16 section 3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.certification.certify import observed_error
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import arb_interval, float_down, float_up, to_float, to_fmpq, working_precision
from approx.targets import Target, tree
from constructions.relu._plan import Affine, Larger, Plan, Product, Sum, Univariate, plan
from constructions.relu._univariate import smallest_univariate
from constructions.relu.product import product_on_box
from constructions.relu.square import absolute_unit, levels_for, square_error, square_form
from constructions.relu.square_chain import square_chain

DESCRIPTION = {
    "name": "composition",
    "activations": ("relu",),
    "needs": "an expression; two or more variables",
    "guarantee": "proved by propagation of the parts' errors",
    "rate": "W = O(log(1/eps)) to O(log(1/eps)^2) for compositions of analytic parts, in any dimension",
    "references": ("P16",),
}
#: Factors by which all shares are enlarged together before the observed error is consulted.
_SCALES = (1.0, 1.4, 2.0)
#: Square chains take seconds each: at most this many functions get one, from this many starts per square.
_MOST_CHAINS = 3
_CHAIN_STARTS = 10
#: Relative weights of one part's share against the others'.
_TILTS = (0.35, 1.0, 2.5)
_MARGIN = 0.985
_SQUARE = tree.power(tree.Variable(0), tree.Number(fmpq(2)))


@dataclass(frozen=True)
class Realised:
    """A quantity as a form, the interval that contains it and the form's values, and the bound of its error."""

    form: Form
    lower: fmpq
    upper: fmpq
    error: float


@dataclass
class Assembly:
    """One realisation of a plan: the shares of its parts in order, and the items of its error budget."""

    target: Target
    builder: Builder
    shares: Sequence[float]
    fixed: Mapping[int, Approximant] = field(default_factory=dict)
    used: int = 0
    items: list[BudgetItem] = field(default_factory=list)
    functions: dict[int, Target] = field(default_factory=dict)

    def share(self) -> float:
        """The share of the next part."""
        self.used += 1
        return self.shares[self.used - 1]

    def realise(self, part: Plan) -> Realised:
        """The quantity that `part` describes."""
        match part:
            case Affine():
                return self._affine(part)
            case Sum(parts):
                done = [self.realise(p) for p in parts]
                form = linear_combination([(1, d.form) for d in done])
                return Realised(
                    form,
                    sum((d.lower for d in done), fmpq(0)),
                    sum((d.upper for d in done), fmpq(0)),
                    _total(*(d.error for d in done)),
                )
            case Larger(first, second):
                a, b = self.realise(first), self.realise(second)
                form = a.form + self.builder.relu(b.form - a.form)
                return Realised(form, max(a.lower, b.lower), max(a.upper, b.upper), max(a.error, b.error))
            case Univariate():
                return self._univariate(part)
        return self._product(part)

    def _affine(self, part: Affine) -> Realised:
        lower = upper = part.constant
        for i, c in part.coefficients:
            ends = sorted((c * self.target.domain.lower[i], c * self.target.domain.upper[i]))
            lower, upper = lower + ends[0], upper + ends[1]
        form = linear_combination([(c, self.builder.input(i)) for i, c in part.coefficients], part.constant)
        return Realised(form, lower, upper, 0.0)

    def _univariate(self, part: Univariate) -> Realised:
        inner = self.realise(part.inner)
        lower, upper = _rounded_range(inner.lower, inner.upper)
        if lower == upper:
            raise RegularityError("composition: a part is constant on the domain")
        h = Target(part.function, (lower, upper))
        number, share = self.used, self.share()
        self.functions[number] = h
        if part.function == _SQUARE:
            return self._square(inner, share)
        found = self.fixed[number] if number in self.fixed else smallest_univariate(h, share)
        [form] = self.builder.embed(found.network, [self._as_input(inner, found.network)])
        slope = h.lipschitz() if inner.error else 0.0
        carried = slope * inner.error * (1 + 1e-12) if inner.error else 0.0
        self.items.append(BudgetItem(f"h(s) = {h.text}", found.bound, f"{found.method}; |h'| <= {slope:.4g}"))
        error = _total(found.bound, carried)
        if not math.isfinite(error):
            raise RegularityError(f"composition: {h.text} has no finite bound on [{lower}, {upper}]")
        low, high = _range_of(h)
        wide = to_fmpq(float_up(to_fmpq(error)))
        return Realised(form, low - wide, high + wide, error)

    def _as_input(self, inner: Realised, network: Network) -> Form:
        """The quantity as the network's input: as one unit of its own where that saves weights.

        relu(s - lower) = s - lower exactly, because every value of the form is at least `lower`.
        """
        terms = len(inner.form.terms)
        readers = sum(b.count for layer in network.layers for b in layer.blocks if b.source == 0)
        if readers * terms <= readers + terms + 1:
            return inner.form
        return self.builder.relu(inner.form - inner.lower) + inner.lower

    def _square(self, inner: Realised, share: float) -> Realised:
        """The centred square of a quantity: its constant shift is free, since some bias takes it."""
        size = max(abs(inner.lower), abs(inner.upper))
        levels = levels_for(2 * share, size**2)
        t = inner.form / size if inner.lower >= 0 else absolute_unit(self.builder, inner.form, 1 / size)
        form = square_form(self.builder, t, levels, centred=True) * size**2
        own = size**2 * square_error(levels, centred=True)
        self.items.append(BudgetItem("square", float_up(own), f"{levels} levels, P16 Proposition 2"))
        error = _total(float_up(own), 2 * float_up(size) * inner.error * (1 + 1e-12))
        wide = to_fmpq(float_up(to_fmpq(error)))
        low = fmpq(0) if inner.lower <= 0 <= inner.upper else min(inner.lower**2, inner.upper**2)
        return Realised(form, low - wide, size**2 + wide, error)

    def _product(self, part: Product) -> Realised:
        a, b = self.realise(part.first), self.realise(part.second)
        share = self.share()
        size = [max(abs(p.lower), abs(p.upper)) for p in (a, b)]
        levels = levels_for(share, (a.upper - a.lower) * (b.upper - b.lower) / 4)
        form = product_on_box(self.builder, a.form, b.form, levels, (a.lower, a.upper), (b.lower, b.upper))
        own = float_up((a.upper - a.lower) * (b.upper - b.lower) / 4 / 4 ** (levels + 1))
        self.items.append(BudgetItem("product", own, f"{levels} levels, P16 Proposition 3"))
        error = _total(own, (float_up(size[0]) * b.error + float_up(size[1]) * a.error) * (1 + 1e-12))
        corners = [x * y for x in (a.lower, a.upper) for y in (b.lower, b.upper)]
        wide = to_fmpq(float_up(to_fmpq(error)))
        return Realised(form, min(corners) - wide, max(corners) + wide, error)


def _total(*errors: float) -> float:
    """The sum rounded up; a single error as it is, so that an eps which is a square's error is reached."""
    some = [e for e in errors if e != 0]
    return math.fsum(some) * (1 + 1e-12) if len(some) != 1 else some[0]


def _rounded_range(lower: fmpq, upper: fmpq) -> tuple[fmpq, fmpq]:
    """The interval widened a little to short dyadic ends, so that equal parts are recognised as equal."""
    width = to_float(upper - lower)
    if width <= 0:
        return lower, upper
    unit = fmpq(2) ** (math.frexp(width)[1] - 12)
    return (lower / unit).floor() * unit, (upper / unit).ceil() * unit


def _range_of(h: Target, cells: int = 64) -> tuple[fmpq, fmpq]:
    a, b = h.domain.lower[0], h.domain.upper[0]
    with working_precision(96):
        balls = [
            h.ball([arb_interval(a + (b - a) * fmpq(k, cells), a + (b - a) * fmpq(k + 1, cells))]) for k in range(cells)
        ]
    low, high = min(float_down(v.lower()) for v in balls), max(float_up(v.upper()) for v in balls)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RegularityError(f"composition: {h.text} has no finite range on [{a}, {b}]")
    return to_fmpq(low), to_fmpq(high)


def _count(part: Plan) -> int:
    """How many shares a plan uses."""
    match part:
        case Affine():
            return 0
        case Sum(parts):
            return sum(_count(p) for p in parts)
        case Larger(first, second):
            return _count(first) + _count(second)
        case Univariate(_, inner, _):
            return 1 + _count(inner)
    return 1 + _count(part.first) + _count(part.second)


def composition(target: Target, eps: Any, *, search: bool = True) -> Approximant:
    """The smallest network found that follows the expression of the target; see the module for statement and guarantee.

    search=False takes the proved shares as they are: then bound <= eps. With search the shares are varied and enlarged
    until the observed error is just below eps; `bound` is the proved propagation and may exceed eps.
    Raises InputError unless eps > 0, RegularityError when there is no expression or a part cannot be taken apart.
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive number")
    if target.assumptions:
        raise RegularityError("composition: needs an expression, not a callable")
    parts = plan(target.tree)
    count = _count(parts)
    if count == 0:
        return _finish(target, parts, [], {}, None)
    base = _proved_shares(target, parts, count, goal)
    if not search:
        return _finish(target, parts, base, {}, None)
    best = _Choice(target, parts, goal, base)
    for tilt in _tilts(count):
        for scale in _SCALES:
            if not best.offer([s * t * scale for s, t in zip(base, tilt, strict=True)], {}):
                break
    _replace_by_chains(best, base)
    best.polish()
    return _finish(target, parts, best.shares, best.fixed, goal)


class _Choice:
    """The smallest assembly so far whose observed error allows it."""

    def __init__(self, target: Target, parts: Plan, goal: float, shares: list[float]) -> None:
        self.target, self.parts, self.goal = target, parts, goal
        self.shares, self.fixed = shares, dict[int, Approximant]()
        self.weights = _assemble(target, parts, shares, {})[0].size.weights

    def offer(self, shares: list[float], fixed: dict[int, Approximant]) -> bool:
        """Take this assembly if it is smaller; whether its observed error allows it."""
        network = _assemble(self.target, self.parts, shares, fixed)[0]
        if observed_error(network, self.target, 40_000) > self.goal * _MARGIN:
            return False
        if network.size.weights < self.weights:
            self.shares, self.fixed, self.weights = shares, fixed, network.size.weights
        return True

    def polish(self) -> None:
        """Each share in turn enlarged by steps as long as the observed error allows and weights are saved."""
        for i in range(len(self.shares)):
            if i not in self.fixed:
                for factor in (8.0, 4.0, 2.0, 1.5, 1.2):
                    if self.offer([s * factor if j == i else s for j, s in enumerate(self.shares)], self.fixed):
                        break


def _replace_by_chains(best: _Choice, base: list[float]) -> None:
    """Try the slower square chains for the functions of one quantity, at their proved share and at twice that."""
    assembly = Assembly(best.target, Builder(best.target.dimension), base)
    assembly.realise(best.parts)
    functions = {
        k: h for k, h in assembly.functions.items() if h.tree != _SQUARE and smallest_univariate(h, base[k]).bound > 0
    }
    if not functions or len(functions) > _MOST_CHAINS:
        return
    for scale in (1.0, 1.8) if len(functions) == 1 else (1.0,):
        fixed = {}
        for number, h in functions.items():
            try:
                found = square_chain(h, base[number] * scale, starts=_CHAIN_STARTS)
            except (RegularityError, UnreachableError):
                continue
            fixed[number] = replace(found, bound=min(found.bound, found.certify().upper))
        for rest in (1.0, 0.5, 0.25):
            shares = [s * (1.0 if k in fixed else rest) for k, s in enumerate(base)]
            if best.offer(shares, fixed):
                break


def _tilts(count: int) -> list[list[float]]:
    if count == 1:
        return [[1.0]]
    if count <= 3:
        return [list(t) for t in itertools.product(_TILTS, repeat=count) if max(t) >= 1.0]
    single = [[1.0] * count]
    for i in range(count):
        for t in _TILTS:
            if t != 1.0:
                single.append([t if j == i else 1.0 for j in range(count)])
    return single


def _proved_shares(target: Target, parts: Plan, count: int, goal: float) -> list[float]:
    """Equal shares scaled until the propagated bound is at most the goal."""
    share = goal / count
    for _ in range(40):
        bound = _assemble(target, parts, [share] * count, {})[1].error
        if bound <= goal:
            return [share] * count
        share *= min(0.9 * goal / bound, 0.7)
    raise UnreachableError("composition: the propagated bound does not reach eps")


def _assemble(
    target: Target, parts: Plan, shares: Sequence[float], fixed: Mapping[int, Approximant]
) -> tuple[Network, Realised, list[BudgetItem]]:
    assembly = Assembly(target, Builder(target.dimension), shares, fixed)
    done = assembly.realise(parts)
    return assembly.builder.build([done.form]), done, assembly.items


def _finish(
    target: Target, parts: Plan, shares: Sequence[float], fixed: Mapping[int, Approximant], goal: float | None
) -> Approximant:
    network, done, items = _assemble(target, parts, shares, fixed)
    return Approximant(
        network=network,
        target=target,
        bound=done.error,
        method="composition",
        statement="each function of one quantity and each product of the expression has its own network; "
        "errors propagate through Lipschitz constants",
        budget=tuple(items),
        parameters={"shares": [float(s) for s in shares], "parts": len(items), "searched": goal is not None},
        references=("P16",),
    )
