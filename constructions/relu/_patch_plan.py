"""Which function on a fine grid of d variables does a two-scale network compute, and how far is it from f?

Statement. Let the box have N M nodes per axis, K = N M - 1 steps of lengths h_k, h = max h_k, M odd. Let Q be integers at the
nodes and P = the reflected interpolant (_reflected) of base + lambda Q. If |f(x) - f(y)| <= C |x - y|^a (maximum norm), then
    |f - P| <= max_nodes |f - base - lambda Q| + C (d h/(d + 1))^a.
Proof. On a simplex with vertices v and weights mu_v of x, |x - v| <= sum_w mu_w |w - v| <= (1 - mu_v) h, so the mean distance
sum mu_v |x - v| is at most h sum mu_v (1 - mu_v) <= h d/(d+1); s^a is concave, and P(x) = sum mu_v P(v).
With lambda >= every step of f along an axis, Q = floor((f - base)/lambda + 1/2) has steps in {-1, 0, 1} and the first term is
at most lambda/2. So the error is at most omega_f(h)/2 + omega_f(d h/(d+1)) for omega_f(s) = C s^a, and rounding.
Patches: N^d cubes of M^d nodes. A network stores per patch Q at one corner and M^d - 1 steps along a path (_patch_codes).
Source: P18 Theorem 2; without the coarse interpolant, and the bound: derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.approximant import BudgetItem
from approx.errors import UnreachableError
from approx.numbers import float_up, working_precision
from approx.targets import Target
from constructions.relu._node_values import node_values
from constructions.relu._two_scale_plan import short

_UNIT = 2.0**-53


@dataclass(frozen=True)
class PatchPlan:
    """The data of a two-scale network in d >= 2 variables: everything that its weights are made of.

    cells N >= 3 patches per axis of steps M nodes (odd); codes: weights per patch; base + quantum * levels: the nodal values,
    levels >= 0 integers of shape (N M,) * d with steps in {-1, 0, 1}.
    """

    cells: int
    steps: int
    codes: int
    base: float
    quantum: float
    levels: np.ndarray

    @property
    def dimension(self) -> int:
        """The number of variables."""
        return self.levels.ndim

    @property
    def pieces(self) -> int:
        """K = N M - 1, the fine steps per axis."""
        return self.cells * self.steps - 1

    @property
    def constant(self) -> bool:
        """Whether nothing is coded."""
        return not self.levels.any()

    def slop(self) -> float:
        """The bound of rounding errors of base + quantum * (a mean of levels) in float64."""
        return 8 * _UNIT * (abs(self.base) + self.quantum * float(self.levels.max()))


def grid_numerators(pieces: int, dimension: int) -> np.ndarray:
    """All nodes (n, d), entries 0 .. pieces, in the order of the entries of an array; short integers, as there are many."""
    axes = np.meshgrid(*[np.arange(pieces + 1, dtype=np.int32)] * dimension, indexing="ij")
    return np.stack([a.ravel() for a in axes], axis=-1)


def fit_patches(target: Target, cells: int, steps: int) -> tuple[PatchPlan, float]:
    """(the plan for f on this grid with one code per patch, proved bound of |f - P| at the nodes)."""
    pieces, d = cells * steps - 1, target.dimension
    values, rounding = node_values(target, grid_numerators(pieces, d), pieces)
    values = values.reshape((pieces + 1,) * d)
    base = float(values.min())
    steepest = max(float(np.abs(np.diff(values, axis=k)).max()) for k in range(d))
    grain = 64 * _UNIT * float(np.abs(values).max()) + rounding
    quantum = short(max(steepest, grain)) if steepest > 0 else 0.0
    levels = np.zeros(values.shape, dtype=np.int64)
    for _ in range(8):
        if quantum > 0:
            levels = np.floor((values - base) / quantum + 0.5).astype(np.int64)
        if max(int(np.abs(np.diff(levels, axis=k)).max()) for k in range(d)) <= 1:
            break
        quantum = short(quantum * (1 + 2.0**-12))
    else:
        raise UnreachableError("deep-two-scale: float64 values of f are too coarse for steps as small as these")
    plan = PatchPlan(cells, steps, 1, base, quantum if levels.any() else 0.0, levels)
    worst = float(np.abs(values - (base + plan.quantum * levels)).max())
    return plan, (worst + plan.slop() + rounding) * (1 + 2.0**-40)


def between_nodes(target: Target, pieces: int) -> float:
    """C (d h/(d+1))^a, rounded up: what an interpolant on this grid misses of f between the nodes, at most."""
    exponent, constant = target.hoelder()
    d = target.dimension
    with working_precision(80):
        reach = float_up(max(high - low for low, high in target.domain) / pieces * d / (d + 1))
    return constant * reach**exponent * (1 + 2.0**-40)


def patch_budget(target: Target, plan: PatchPlan, error: float) -> tuple[BudgetItem, ...]:
    """The summands of the bound, each proved."""
    return (
        BudgetItem("fine nodes", error, "quantised with steps {-1, 0, 1}, checked at all nodes; rounding included"),
        BudgetItem("between fine nodes", between_nodes(target, plan.pieces), "modulus of continuity: C (d h/(d+1))^a"),
    )
