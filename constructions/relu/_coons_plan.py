"""Which surface on a fine grid of the plane is coded by r-th differences, r = 3, 4, and how far is it from a smooth f?

Statement. Let the box have K = N M - 1 steps of lengths h_1, h_2, M >= r odd, and B_ab = h_1^a h_2^b max |D_1^a D_2^b f|. Let
a be the affine function that is f at a corner of the box and the 2 corners next to it, lambda > 0, and Q the integer part of
(f - a - base)/lambda + 1/2 at the nodes. On a fine cell, with places u, v in [0, 1], let P = a + base + lambda G, G the Coons
patch
    G = (bilinear through Q) + (1 - v) b_0(u) + v b_1(u) + (1 - u) c_0(v) + u c_1(v),
b_0, b_1, c_0, c_1 the bubbles of Q on the four edges of the cell (_coons_curves). Then
    |f - P| <= Lambda delta + m (B_r0 + B_0r) + T,   delta = max |f - a - base - lambda Q| at the nodes <= lambda/2 and
    rounding,
Lambda = 1 + 2 swing(r), m = missed(r), T = min(B_21/16, B_12/16, B_22/64) (r = 4: B_22/64). With lambda = max B_ab/(13 -
2^(r-1)), a + b = r, all differences D_1^a D_2^b Q of order r are integers in [-13, 13]: three ternary digits each; with the
differences of lower order at one node they give all levels of a patch (_coons_codes). Proof. Let I_1, I_2 be linear
interpolation at the ends of the cell along one axis. f = I_1 I_2 f + I_2 (1 - I_1) f + I_1 (1 - I_2) f + (1 - I_1)(1 - I_2) f.
The first three terms differ from P's by the interpolant of the errors at corners, at most delta, and by means of (1 - I) f -
lambda (bubble of Q) on opposite edges: _coons_curves, for f and for errors of values. With phi = (1 - I_2) f the last one is
at most max |D_1^2 phi|/8 = max |(1 - I_2) D_1^2 f|/8, and |(1 - I) g| is at most max |g'|/2 and max |g''|/8. A difference of
order r of f is at most B_ab, one of roundings at most 2^r/2. So the error is O(h^r) at three ternary digits a node. P is
continuous, and f for all polynomials of degree < r up to rounding. Source: P19 (Taylor data of neighbouring nodes determine
each other up to O(1) choices); Coons patches of coded differences in their place, and the bounds: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import fmpq

from approx.approximant import BudgetItem
from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._coons_curves import missed, swing
from constructions.relu._hoelder_patch_plan import BentPatches
from constructions.relu._newton_windows import bubbles
from constructions.relu._smooth_boxes import SmoothBoxes, smooth_boxes
from constructions.relu._two_scale_plan import short

_UNIT = 2.0**-53
#: Fine nodes; levels and errors are held in 8 bytes each.
MOST_NODES = 250_000_000
#: Orders that are built: (1 - I_1)(1 - I_2) f is O(h^4) and no less.
ORDERS = (3, 4)
#: Differences of order r are digits in [-LARGEST, LARGEST], three ternary ones.
LARGEST, DIGITS = 13, 3
#: What ramps at fine nodes may add, and what all products may add, in quanta.
RAMPS, PRODUCTS = fmpq(1, 2**10), fmpq(1, 2**8)


@dataclass(frozen=True)
class CoonsPlan(BentPatches):
    """A patch plan of a function of two variables with bounded derivatives of this order; levels >= 0.

    finest: the quantum is as small as float64 values allow, so that finer steps gain nothing (networks do not tell).
    """

    order: int
    finest: bool = False

    @cached_property
    def difference_sizes(self) -> list[int]:
        """max |D^i Q| along an axis, i = 0 .. r - 1."""
        sizes = [int(self.levels.max())]
        for i in range(1, self.order):
            sizes.append(max(_largest(np.diff(self.levels, i, axis=k)) for k in (0, 1)))
        return sizes

    @cached_property
    def bubble_sizes(self) -> list[fmpq]:
        """Bounds of the coefficients of bubbles, as polynomials of z or 1 - z; at least 1."""
        cases = [bubbles(self.order, kappa, odd) for kappa in range(-1, self.order) for odd in (False, True)]
        sizes = self.difference_sizes
        return [
            max(fmpq(1), *(sum((abs(c[i][l]) * sizes[i] for i in range(2, self.order)), fmpq(0)) for c in cases))
            for l in range(self.order - 2)
        ]

    @property
    def ramp(self) -> fmpq:
        """The width, in fine steps, of ramps at fine nodes: what is selected there counts with factors below it."""
        reach = 4 * self.difference_sizes[0] + 8 * sum(self.bubble_sizes, fmpq(0))
        return RAMPS / 2 ** int(-(-reach.p // reach.q)).bit_length()

    def gap(self) -> float:
        """What ramps and products may add."""
        return 0.0 if self.constant else float_up((RAMPS + PRODUCTS) * to_fmpq(self.quantum))


def _largest(values: np.ndarray) -> int:
    return max(int(values.max()), -int(values.min()))


def kinds(order: int) -> list[tuple[int, int]]:
    """The (a, b) with a + b = r."""
    return [(a, order - a) for a in range(order + 1)]


def derivative_size(target: Target, alpha: tuple[int, int], pieces: int) -> float:
    """B_ab = h_1^a h_2^b max |D_1^a D_2^b f|, proved; inf where there is no bound."""
    with working_precision(80):
        scale = fmpq(1)
        for (low, high), power in zip(target.domain, alpha, strict=True):
            scale *= ((high - low) / pieces) ** power
        return target.derivative_bound(alpha) * float_up(scale) * (1 + 2.0**-40)


def twist(target: Target, order: int, pieces: int) -> float:
    """A proved bound of |(1 - I_1)(1 - I_2) f| on a fine cell."""
    found = derivative_size(target, (2, 2), pieces) / 64
    if order == 3:
        found = min(found, *(derivative_size(target, alpha, pieces) / 16 for alpha in ((2, 1), (1, 2))))
    return found * (1 + 2.0**-50)


def between_nodes(target: Target, order: int, pieces: int) -> float:
    """m (B_r0 + B_0r) + T, proved; raises RegularityError where a derivative of order r has no bound."""
    sizes = [derivative_size(target, alpha, pieces) for alpha in kinds(order)]
    if not all(map(math.isfinite, sizes)):
        lower = [r for r in (2, 3) if r < order and _is_bounded(target, r)]
        orders = f"hoelder-two-scale with order {' or '.join(map(str, lower))}, " if lower else ""
        raise RegularityError(
            f"hoelder-two-scale: {target.text} has no bounded derivatives of order {order}; methods for such targets: {orders}"
            "deep-two-scale, narrow, simplicial"
        )
    worst = max(missed(order, False), missed(order, True))
    return (worst * (sizes[0] + sizes[-1]) + twist(target, order, pieces)) * (1 + 2.0**-40)


def _is_bounded(target: Target, order: int) -> bool:
    return all(math.isfinite(target.derivative_bound(alpha)) for alpha in kinds(order))


def values_for(target: Target, order: int, pieces: int) -> SmoothBoxes:
    """Values and derivatives of f, for errors of O(h^r)."""
    return smooth_boxes(target, math.ceil(pieces ** (order / 2)))


#: Nodes, or cells, that are worked on at a time.
CHUNK = 1 << 18


def node_table(found: SmoothBoxes, pieces: int) -> tuple[np.ndarray, float]:
    """(f at all nodes, (K + 1, K + 1), proved bound of their errors)."""
    table, error = np.empty((pieces + 1, pieces + 1)), 0.0
    rows = max(1, CHUNK // (pieces + 1))
    for start in range(0, pieces + 1, rows):
        part = np.arange(start, min(start + rows, pieces + 1))
        nodes = np.column_stack((np.repeat(part, pieces + 1), np.tile(np.arange(pieces + 1), len(part))))
        values, rounding = found.values(nodes, pieces, (pieces + 1) ** 2)
        table[part] = values.reshape(len(part), -1)
        error = max(error, rounding)
    return table, error


def subtract_plan(values: np.ndarray, plan: BentPatches) -> None:
    """Take P at the nodes from the values, (K + 1, K + 1), in place; plan.slop() bounds the rounding."""
    places = np.arange(plan.pieces + 1)
    second = places * plan.slopes[1]
    for i in places:
        values[i] -= (plan.base + i * plan.slopes[0]) + second + plan.quantum * plan.levels[i]


def fit_coons(target: Target, order: int, cells: int, steps: int) -> tuple[CoonsPlan, tuple[BudgetItem, ...]]:
    """(the plan for f on this grid, the summands of its bound, each proved)."""
    pieces = cells * steps - 1
    between = between_nodes(target, order, pieces)
    rest, rounding = node_table(values_for(target, order, pieces), pieces)
    size = float(np.abs(rest).max())
    slopes = tuple(float((rest[at] - rest[0, 0]) / pieces) for at in ((-1, 0), (0, -1)))
    levels = np.zeros(rest.shape, dtype=np.int64)
    flat = CoonsPlan(cells, steps, 1, 0.0, 0.0, levels, slopes, order)
    subtract_plan(rest, flat)
    base = float(rest.min())
    rest -= base
    steepest = max(float(np.abs(np.diff(np.diff(rest, a, axis=0), b, axis=1)).max()) for a, b in kinds(order))
    wanted, grain = steepest / (LARGEST - 2 ** (order - 1)), 64 * _UNIT * size + rounding
    quantum = short(max(wanted, grain))
    for _ in range(8):
        if quantum > 0:
            levels = np.floor(rest / quantum + 0.5).astype(np.int64)
        if max(_largest(np.diff(np.diff(levels, a, axis=0), b, axis=1)) for a, b in kinds(order)) <= LARGEST:
            break
        quantum = short(quantum * (1 + 2.0**-12))
    else:
        raise UnreachableError("hoelder-two-scale: float64 values of f are too coarse for steps as small as these")
    plan = CoonsPlan(cells, steps, 1, base, quantum if levels.any() else 0.0, levels, slopes, order, wanted < grain)
    worst = 0.0
    for row, level in zip(rest, levels, strict=True):
        worst = max(worst, float(np.abs(row - plan.quantum * level).max()))
    # `rest` is f - a - base up to rounding of numbers below those that slop() looks at.
    nodes = (worst + 2 * plan.slop() + rounding + 16 * _UNIT * size) * (1 + 2.0**-40)
    return plan, (
        BudgetItem(
            "fine nodes", (1 + 2 * swing(order)) * nodes, f"{order}-th differences are digits, checked; Lambda_r"
        ),
        BudgetItem(
            "between fine nodes", between, "m_r h^r (max |D_1^r f| + max |D_2^r f|) + T: edges and the Coons patch"
        ),
        BudgetItem("ramps, products", plan.gap(), "(2^-10 + 2^-8) lambda"),
    )
