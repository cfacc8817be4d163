"""Which function on a fine grid of d = 2, 3 variables is coded by second differences, and how far is it from a smooth f?

Statement. Let the box have K = N M - 1 steps of lengths h_k per axis, M odd, b_kl = h_k h_l max |D_k D_l f|. Let a be the
affine function that is f at a corner of the box and the d corners next to it, lambda > 0, Q the integer part of
(f - a - base)/lambda + 1/2 at the nodes, and P = a + base + lambda times the reflected interpolant of Q (_reflected). Then
    |f - P| <= max_nodes |f - P| + sum_{k,l} b_kl / 8,      max_nodes |f - P| <= lambda/2 and rounding,
and with lambda = max b_kl / 3 all second differences D_k D_l Q (k = l or not) are integers in [-4, 4]: two ternary digits each.
Proof. On a simplex with vertices v, weights mu_v of x, and by Taylor's formula for f at x, the interpolant of f is off by
1/2 sum_v mu_v (v - x)' H_v (v - x); v_k takes two values only, so sum_v mu_v |v_k - x_k||v_l - x_l| <= h_k h_l/4. A second
difference of f is at most b_kl, so one of Q is less than b_kl/lambda + 2 <= 5 in absolute value: it has four roundings of at
most 1/2, or two and twice one. For f = (x + y)^2 the first bound is attained, on a diagonal.
So the error is O(h^2) at two digits a node; the levels of a patch of M^d nodes follow from the one at its corner, d steps
there, and second differences (_hoelder_patch_codes). Source: P19 (Taylor data of neighbouring nodes determine each other up to
O(1) choices); second differences in place of Taylor data, and the bounds: derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.approximant import BudgetItem
from approx.errors import RegularityError, UnreachableError
from approx.numbers import float_up, working_precision
from approx.targets import Target
from constructions.relu._cell_quadratics import pairs, total_bend
from constructions.relu._patch_plan import PatchPlan, grid_numerators
from constructions.relu._smooth_boxes import smooth_boxes
from constructions.relu._two_scale_plan import short

_UNIT = 2.0**-53
#: Second differences are digits in [-LARGEST, LARGEST]: 9 values, two ternary digits.
LARGEST = 4


@dataclass(frozen=True)
class BentPatches(PatchPlan):
    """A patch plan of a smooth function: levels >= 0 with second differences in [-4, 4], one code per patch.

    P = base + sum_k slopes[k] y_k + quantum * (the interpolant of levels), y_k in [0, K] the place on axis k in fine steps.
    """

    slopes: tuple[float, ...]

    def slop(self) -> float:
        """The bound of rounding errors of P in float64."""
        affine = abs(self.base) + sum(abs(s) for s in self.slopes) * self.pieces
        return 16 * _UNIT * (affine + self.quantum * float(self.levels.max()))

    def at_nodes(self, nodes: np.ndarray) -> np.ndarray:
        """P at nodes (n, d), in float64."""
        return self.affine(nodes) + self.quantum * self.levels[tuple(nodes.T)]

    def affine(self, places: np.ndarray) -> np.ndarray:
        """base + the affine part at places (n, d) in fine steps."""
        return self.base + places @ np.array(self.slopes)


def bends_of(target: Target, pieces: int) -> list[float]:
    """b_kl = h_k h_l max |D_k D_l f| for the pairs k <= l, proved; RegularityError where one is not bounded."""
    found = []
    for k, l in pairs(target.dimension):
        order = [0] * target.dimension
        order[k] += 1
        order[l] += 1
        with working_precision(80):
            (a, b), (c, e) = target.domain[k], target.domain[l]
            area = float_up((b - a) * (e - c) / (pieces * pieces))
        found.append(target.derivative_bound(tuple(order)) * area * (1 + 2.0**-40))
    if not all(np.isfinite(found)):
        raise RegularityError(
            f"hoelder-two-scale: {target.text} has no bounded second derivatives; methods for such targets: deep-two-scale, "
            "narrow, simplicial"
        )
    return found


def between_nodes(target: Target, pieces: int) -> float:
    """sum_{k,l} b_kl / 8: what the interpolant of f on this grid misses between the nodes, at most."""
    return float(total_bend(np.array(bends_of(target, pieces)))) / 8 * (1 + 2.0**-50)


def second_differences(values: np.ndarray) -> list[np.ndarray]:
    """D_k D_l of an array over all nodes, for the pairs k <= l."""
    return [np.diff(np.diff(values, axis=k), axis=l) for k, l in pairs(values.ndim)]


def fit_bent(target: Target, cells: int, steps: int) -> tuple[BentPatches, tuple[BudgetItem, ...]]:
    """(the plan for f on this grid, the summands of its bound, each proved)."""
    pieces, d = cells * steps - 1, target.dimension
    between = between_nodes(target, pieces)
    nodes = grid_numerators(pieces, d)
    values, rounding = smooth_boxes(target, pieces).values(nodes, pieces)
    corners = [values[0], *(values[pieces * (pieces + 1) ** (d - 1 - k)] for k in range(d))]
    slopes = tuple(float((c - corners[0]) / pieces) for c in corners[1:])
    plan = BentPatches(cells, steps, 1, 0.0, 0.0, np.zeros((pieces + 1,) * d, dtype=np.int64), slopes)
    rest = (values - plan.affine(nodes)).reshape(plan.levels.shape)
    base = float(rest.min())
    grain = 64 * _UNIT * float(np.abs(values).max()) + rounding
    steepest = max(float(np.abs(part).max()) for part in second_differences(rest))
    quantum = short(max(steepest / (LARGEST - 1), grain))
    for _ in range(8):
        levels = np.floor((rest - base) / quantum + 0.5).astype(np.int64) if quantum > 0 else plan.levels
        if max(int(np.abs(part).max()) for part in second_differences(levels)) <= LARGEST:
            break
        quantum = short(quantum * (1 + 2.0**-12))
    else:
        raise UnreachableError("hoelder-two-scale: float64 values of f are too coarse for steps as small as these")
    plan = BentPatches(cells, steps, 1, base, quantum if levels.any() else 0.0, levels, slopes)
    worst = float(np.abs(values - plan.at_nodes(nodes)).max())
    return plan, (
        BudgetItem(
            "fine nodes",
            (worst + plan.slop() + rounding) * (1 + 2.0**-40),
            "second differences in [-4, 4], checked at all nodes; rounding included",
        ),
        BudgetItem("between fine nodes", between, "sum_{k,l} h_k h_l max |D_k D_l f| / 8"),
    )
