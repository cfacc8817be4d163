"""Which surface on a fine grid is coded by r-th differences, r >= 3, and how far is it from a smooth f?

Statement. Let the box of d = 2, 3 variables have K = N M - 1 steps of lengths h_k per axis, M >= r odd, and B_a = h_1^a_1 ..
h_d^a_d max |D^a f|. Let a be the affine function that is f at a corner of the box and the d corners next to it, lambda > 0, and
Q the integer part of (f - a - base)/lambda + 1/2 at the nodes. On a fine cell let P = a + base + lambda G, G the Coons patch
    G = sum over sets S of axes with 2 |S| < r of (prod_{k not in S} I_k) (bubbles of Q on the S-faces of the cell)
(_coons_bubbles): the multilinear function through Q (S empty), the bubbles of curves along the edges, those of surfaces on the
faces (r >= 5). Then
    |f - P| <= Lambda delta + sum_S T_S,   delta = max |f - a - base - lambda Q| at the nodes <= lambda/2 and rounding,
Lambda = growth(r, d), T_S = missed(r) B_(r e_k) on edges, left_out(r, |S|) for |S| >= 2 (_coons_curves), all O(h^r): without
bubbles, 2 |S| >= r, as prod_{k in S} (1 - I_k) f is O(h^(2 |S|)). Bubbles of three axes are not built: d = 3, r <= 6. With
lambda = max B_a/(L - 2^(r-1)), |a| = r, all differences D^a Q of order r are integers in [-L, L], L = (3^n - 1)/2: n ternary
digits each, n the least with L > 2^(r-1); with the differences of lower order at one node they give all levels of a patch
(_coons_codes). Proof. f is the same sum over
all S of (prod_{k not in S} I_k) (prod_{k in S} (1 - I_k)) f. I_k g is a mean of values of g, so for each S what is lost is at
most what bubbles on S-faces miss of f, T_S, and what errors of values make of them, at most swing(r, |S|) delta. A difference
of order r of f is at most B_a, one of roundings at most 2^r/2. So the error is O(h^r) at n digits a node. P is continuous, as a
bubble depends on its S-face only and is 0 on the boundary of that; it is f for all polynomials of degree < r up to rounding.
Source: P19 (Taylor data of neighbouring nodes determine each other up to O(1) choices); Coons patches of coded differences in
their place, and the bounds: derived here.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import fmpq

from approx.approximant import BudgetItem
from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._coons_bubbles import Index, in_differences, indices, part, parts, spread, views_of
from constructions.relu._coons_curves import growth, left_out, missed
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._patch_plan import grid_numerators
from constructions.relu._smooth_boxes import SmoothBoxes, smooth_boxes
from constructions.relu._two_scale_plan import short

_UNIT = 2.0**-53
#: Fine nodes; levels and errors are held in 8 bytes each.
MOST_NODES = 250_000_000
#: Bounds of levels that are read: all sums of digits are right in 8 bytes.
MOST_LEVEL = 2**62
#: The highest orders that are built, by the number of variables: three axes have no bubbles here, and leave out O(h^6).
HIGHEST = {2: 8, 3: 6}
#: With errors of O(h^2), values of f on finer steps than these would be wanted more exactly than float64 sums are.
_FINEST = 2**19
#: What ramps at fine nodes may add, and what all products may add, in quanta.
RAMPS, PRODUCTS = fmpq(1, 2**10), fmpq(1, 2**8)


def digit_count(order: int) -> int:
    """n: the ternary digits of an r-th difference."""
    n = 1
    while (3**n - 1) // 2 <= 2 ** (order - 1):
        n += 1
    return n


def largest_difference(order: int) -> int:
    """L."""
    return (3 ** digit_count(order) - 1) // 2


@dataclass(frozen=True)
class CoonsPlan(BentPatches):
    """A patch plan of a function with bounded derivatives of this order; levels >= 0.

    finest: the quantum is as small as float64 values allow, so that finer steps gain nothing (networks do not tell).
    """

    order: int
    finest: bool = False

    def checked(self) -> CoonsPlan:
        """The plan itself; ValueError where the theorem does not hold: networks cut levels below 0 off, bounds add quanta."""
        if self.levels.min() < 0 or not self.quantum > 0:
            raise ValueError("levels below 0, or a quantum that is not positive")
        return self

    @cached_property
    def _sizes(self) -> dict[Index, fmpq]:
        """By part of an index: bounds of what is selected, levels and coefficients of bubbles; at least 1."""
        d = self.dimension
        found: dict[Index, fmpq] = {(): fmpq(int(self.levels.max()))}
        for count in range(1, d + 1):
            changes = {a: max(_largest_on(self.levels, a, axes) for axes in itertools.combinations(range(d), count))
                       for a in parts(self.order, count)}  # fmt: skip
            for i in changes:
                found[i] = fmpq(1)
            for views in views_of(self.order, count) if changes else ():
                for i, weights in in_differences(self.order, views).items():
                    found[i] = max(found[i], sum((abs(w) * changes[a] for a, w in weights.items()), fmpq(0)))
        return found

    def size(self, index: Index) -> fmpq:
        """A bound of the number that is selected for a function of the cell of x."""
        return self._sizes[part(index)]

    @cached_property
    def ramp(self) -> fmpq:
        """The width, in fine steps, of ramps at fine nodes: what is selected there counts with factors below it."""
        chosen = indices(self.order, self.dimension)
        reach = sum(((2 if part(i) else 1) * self.size(i) for i in chosen), fmpq(0))
        return RAMPS / 2 ** int(-(-reach.p // reach.q)).bit_length()

    def gap(self) -> float:
        """What ramps and products may add."""
        return 0.0 if self.constant else float_up((RAMPS + PRODUCTS) * to_fmpq(self.quantum))


def _largest_on(values: np.ndarray, orders: Index, axes: Index) -> int:
    """max |D^a values|, a on these axes."""
    found = difference(values, spread(orders, axes, values.ndim))
    return max(int(found.max()), -int(found.min())) if found.size else 0


def difference(values: np.ndarray, orders: Index) -> np.ndarray:
    """D_1^a_1 .. D_d^a_d of an array over nodes."""
    for axis, n in enumerate(orders):
        values = np.diff(values, n, axis=axis)
    return values


def kinds(order: int, dimension: int) -> list[Index]:
    """The a with |a| = r."""
    return [a for a in itertools.product(range(order + 1), repeat=dimension) if sum(a) == order]


def derivative_size(target: Target, alpha: Index, pieces: int) -> float:
    """B_a, proved; inf where there is no bound."""
    with working_precision(80):
        scale = fmpq(1)
        for (low, high), power in zip(target.domain, alpha, strict=True):
            scale *= ((high - low) / pieces) ** power
        return target.derivative_bound(alpha) * float_up(scale) * (1 + 2.0**-40)


def between_nodes(target: Target, order: int, pieces: int) -> float:
    """The sum of T_S, proved; raises RegularityError where a derivative of order r has no bound."""
    d = target.dimension
    if not _is_bounded(target, order):
        lower = [r for r in range(2, order) if _is_bounded(target, r)]
        orders = f"hoelder-two-scale with order {' or '.join(map(str, lower))}, " if lower else ""
        raise RegularityError(
            f"hoelder-two-scale: {target.text} has no bounded derivatives of order {order}; methods for such targets: {orders}"
            "deep-two-scale, narrow, simplicial"
        )
    worst = max(missed(order, False), missed(order, True))
    total = worst * sum(derivative_size(target, spread((order,), (k,), d), pieces) for k in range(d))
    for axes in (axes for count in range(2, d + 1) for axes in itertools.combinations(range(d), count)):

        def size(orders: Index, axes: Index = axes) -> float:
            return derivative_size(target, spread(orders, axes, d), pieces)

        total += left_out(order, len(axes), size)
    return total * (1 + 2.0**-40)


def _is_bounded(target: Target, order: int) -> bool:
    return all(math.isfinite(target.derivative_bound(alpha)) for alpha in kinds(order, target.dimension))


def values_for(target: Target, order: int, pieces: int) -> SmoothBoxes:
    """Values and derivatives of f, for errors of O(h^r), or as float64 allows."""
    more = 4 if order > 4 else 0  # derivatives beyond the order are wanted, too
    return smooth_boxes(target, min(math.ceil(pieces ** (order / 2)), _FINEST), more)


#: Nodes, or cells, that are worked on at a time.
CHUNK = 1 << 18


def node_table(found: SmoothBoxes, pieces: int, dimension: int) -> tuple[np.ndarray, float]:
    """(f at all nodes, (K + 1,) * d, proved bound of their errors)."""
    table, error = np.empty((pieces + 1,) * dimension), 0.0
    others = grid_numerators(pieces, dimension - 1)
    rows = max(1, CHUNK // len(others))
    for start in range(0, pieces + 1, rows):
        part = np.arange(start, min(start + rows, pieces + 1))
        nodes = np.column_stack((np.repeat(part, len(others)), np.tile(others, (len(part), 1))))
        values, rounding = found.values(nodes, pieces, table.size)
        table[part] = values.reshape(len(part), *table.shape[1:])
        error = max(error, rounding)
    return table, error


def subtract_plan(values: np.ndarray, plan: BentPatches) -> None:
    """Take P at the nodes from the values, (K + 1,) * d, in place; plan.slop() bounds the rounding."""
    places = np.arange(plan.pieces + 1)
    others = sum(np.ix_(*(places * slope for slope in plan.slopes[1:])), start=np.zeros(()))
    for i in places:
        values[i] -= (plan.base + i * plan.slopes[0]) + others + plan.quantum * plan.levels[i]


def fit_coons(target: Target, order: int, cells: int, steps: int) -> tuple[CoonsPlan, tuple[BudgetItem, ...]]:
    """(the plan for f on this grid, the summands of its bound, each proved)."""
    pieces, d = cells * steps - 1, target.dimension
    between = between_nodes(target, order, pieces)
    rest, rounding = node_table(values_for(target, order, pieces), pieces, d)
    size, first = float(np.abs(rest).max()), (0,) * d
    corners = [tuple(-1 if k == axis else 0 for k in range(d)) for axis in range(d)]
    slopes = tuple(float((rest[at] - rest[first]) / pieces) for at in corners)
    levels = np.zeros(rest.shape, dtype=np.int64)
    subtract_plan(rest, CoonsPlan(cells, steps, 1, 0.0, 0.0, levels, slopes, order))
    base = float(rest.min())
    rest -= base
    steepest = max(float(np.abs(difference(rest, a)).max()) for a in kinds(order, d))
    most = largest_difference(order)
    wanted, grain = steepest / (most - 2 ** (order - 1)), 64 * _UNIT * size + rounding
    quantum = short(max(wanted, grain))
    for _ in range(8):
        if quantum > 0:
            levels = np.floor(rest / quantum + 0.5).astype(np.int64)
        if max(_largest_on(levels, a, tuple(range(d))) for a in kinds(order, d)) <= most:
            break
        quantum = short(quantum * (1 + 2.0**-12))
    else:
        raise UnreachableError("hoelder-two-scale: float64 values of f are too coarse for steps as small as these")
    plan = CoonsPlan(cells, steps, 1, base, quantum if levels.any() else 0.0, levels, slopes, order, wanted < grain)
    worst = 0.0
    for row, level in zip(rest, levels, strict=True):
        worst = max(worst, float(np.abs(row - plan.quantum * level).max()))
    # `rest` is f - a - base up to rounding of numbers below those that slop() looks at.
    nodes = (worst + 2 * plan.slop() + rounding + 16 * _UNIT * size) * (1 + 2.0**-36)  # certificates round up, too
    return plan, (
        BudgetItem("fine nodes", growth(order, d) * nodes, f"{order}-th differences are digits, checked; Lambda_r"),
        BudgetItem("between fine nodes", between, "sum of T_S: m_r h^r max |D_k^r f| on edges; what faces leave out"),
        BudgetItem("ramps, products", plan.gap(), "(2^-10 + 2^-8) lambda"),
    )
