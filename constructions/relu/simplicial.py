"""How does interpolation on a triangulated grid become a ReLU network? Weights linear in f, any dimension up to 4."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network, linear_combination
from approx.numbers import float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._cell_polynomials import FINE, MANY
from constructions.relu._hinges import hinge_function
from constructions.relu._kuhn import GridAxis, grid_axis, kuhn_network, paper_spike
from constructions.relu._smooth_boxes import smooth_boxes

DESCRIPTION = {
    "name": "simplicial",
    "activations": ("relu",),
    "needs": "1 to 4 variables, a modulus of continuity or bounded second derivatives",
    "guarantee": "sup |f - net| <= eps, proved: modulus of continuity, or (1/8) sum h_k h_l sup |f_kl|",
    "rate": "W = O(N^d): error omega_f(O(W^(-1/d))), O(W^(-2/d)) for f in C^2; constant depth",
    "references": ("P18",),
}
MAXIMUM_NODES = 6_000_000
PROVED_NODES = 400_000


def simplicial(
    target: Target, eps: Any, *, cells: Sequence[int] | int | None = None, form: str = "economical",
    proved: bool = True,
) -> Approximant:  # fmt: skip
    """The Approximant by Kuhn (Freudenthal) piecewise-linear interpolation on a grid; the weights are linear in f.

    Guarantee (proved): on the simplex of a point x the network is a mean of nodal values, so |f - net| <= omega_f(h)
    (maximum norm, h the largest step); for bounded second derivatives |f - net| <= (1/8) sum_kl h_k h_l sup |f_kl|,
    because the mean of (v - x)_k (v - x)_l over the vertices is at most h_k h_l / 4. The smaller bound counts.
    `cells` fixes the cells per axis (then the bound is what it is), otherwise the fewest nodes with bound <= eps.
    Cost: 3, 4, 8, 8 weights per node for d = 1, 2, 3, 4 and lower-order terms; form="paper" writes every spike as the
    minimum of d(d+1) linear forms (P18). proved=False skips the rounding proof of nodal values (bound is then inf),
    which otherwise takes about 10 us per node and is done up to 400,000 nodes.
    Raises InputError (eps, cells, form), RegularityError beyond 4 variables or without any modulus, UnreachableError
    when the grid would be too large. Source: P18 Proposition 1; second-order bound and sharing derived.
    """
    goal = to_float(to_fmpq(eps))
    if not goal > 0:
        raise InputError("eps", eps, "a positive number")
    if form not in ("economical", "paper"):
        raise InputError("form", form, "'economical' or 'paper'")
    if not 1 <= target.dimension <= 4:
        raise RegularityError(f"simplicial: needs 1 to 4 variables, the target has {target.dimension}")
    bounds = _Bounds(target)
    if cells is not None:
        given = [cells] * target.dimension if isinstance(cells, int) else list(cells)
        if len(given) != target.dimension or any(not isinstance(n, int) or n < 1 for n in given):
            raise InputError("cells", cells, f"{target.dimension} positive integers")
        counts = given
    else:
        counts = _fewest(target, bounds, goal * (1 - 2.0**-20))
    return _build(target, bounds, counts, form, proved, goal if cells is None else None)


class _Bounds:
    """Proved interpolation errors for given steps."""

    def __init__(self, target: Target) -> None:
        self.target, d = target, target.dimension
        self.second = np.full((d, d), math.inf)
        for k in range(d):
            for l in range(k, d):
                alpha = [0] * d
                alpha[k] += 1
                alpha[l] += 1
                bound = target.derivative_bound(tuple(alpha))
                self.second[k, l] = self.second[l, k] = bound
                if not math.isfinite(bound):
                    return

    def error(self, steps: Sequence[fmpq]) -> tuple[float, str]:
        """(proved bound of the interpolation error, how)."""
        best = float_up(to_fmpq(self.target.modulus(float_up(max(steps))))), "modulus of continuity"
        if np.isfinite(self.second).all():
            h = np.array([float_up(s) for s in steps])
            second = float(h @ self.second @ h) / 8 * (1 + 1e-12)
            if not second >= best[0]:
                best = second, "(1/8) sum h_k h_l sup |f_kl|, derivative bounds in balls"
        return best


def _fewest(target: Target, bounds: _Bounds, goal: float) -> list[int]:
    widths = [high - low for low, high in target.domain]
    smooth = bool(np.isfinite(bounds.second).all())
    size = np.array([to_float(w) for w in widths])
    share = np.sqrt(np.diag(bounds.second)) * size if smooth else size
    share = np.maximum(share, 1e-3 * share.max()) if share.max() > 0 else np.ones(len(size))

    def counts(factor: float) -> list[int]:
        return [max(1, math.ceil(factor * s)) for s in share]

    def fits(factor: float) -> bool:
        return bounds.error([w / n for w, n in zip(widths, counts(factor), strict=True)])[0] <= goal

    low, high = 0.0, 1.0 / float(share.max())
    while not fits(high):
        low, high = high, 2 * high
        if math.prod(n + 1 for n in counts(high)) > MAXIMUM_NODES * 4:
            raise UnreachableError(f"simplicial: eps = {goal:g} needs more than {MAXIMUM_NODES:,} nodes")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return _trim(counts(high), widths, bounds, goal)


def _trim(counts: list[int], widths: list[fmpq], bounds: _Bounds, goal: float) -> list[int]:
    for k in sorted(range(len(counts)), key=lambda k: counts[k]):
        while counts[k] > 1:
            fewer = [n - (i == k) for i, n in enumerate(counts)]
            if bounds.error([w / n for w, n in zip(widths, fewer, strict=True)])[0] > goal:
                break
            counts = fewer
    return counts


def _build(
    target: Target, bounds: _Bounds, counts: list[int], form: str, proved: bool, goal: float | None
) -> Approximant:
    nodes = math.prod(n + 1 for n in counts)
    if nodes > MAXIMUM_NODES:
        raise UnreachableError(f"simplicial: {nodes:,} nodes are more than {MAXIMUM_NODES:,}")
    axes = [grid_axis(low, high, n) for (low, high), n in zip(target.domain, counts, strict=True)]
    if goal is not None and proved and nodes > PROVED_NODES:
        raise UnreachableError(f"simplicial: eps = {goal:g} needs {nodes:,} nodes, more than the {PROVED_NODES:,} proved")
    values, rounding = nodal_values(target, axes, proved and nodes <= PROVED_NODES)
    error, how = bounds.error([a.step() for a in axes])
    error += _clamped(target, axes)
    if form == "paper":
        network = paper_network(axes, values)
    elif target.dimension == 1:
        network, drift = _line(axes[0], values)
        rounding += drift
    else:
        network = kuhn_network(axes, values)
    bound = (error + rounding) * (1 + 1e-12)
    if goal is not None and goal < bound < math.inf:
        raise UnreachableError(f"simplicial: rounding keeps the bound at {bound:g}, above eps = {goal:g}")
    return Approximant(
        network=network,
        target=target,
        bound=bound,
        method=str(DESCRIPTION["name"]),
        statement="Kuhn interpolation on a grid: |f - net| <= omega_f(h), and (1/8) sum h_k h_l sup |f_kl| for f in C^2.",
        budget=(
            BudgetItem("interpolation", error, how),
            BudgetItem("nodal values", rounding, "balls at the nodes" if math.isfinite(rounding) else "not proved"),
        ),
        parameters={"cells": list(counts), "form": form},
        references=("P18",),
    )


def nodal_values(target: Target, axes: Sequence[GridAxis], proved: bool) -> tuple[np.ndarray, float]:
    """(float64 values at the nodes moved into the domain, proved bound of their error or inf)."""
    exact = [
        [min(max(a.node(i), low), high) for i in range(a.cells + 1)]
        for a, (low, high) in zip(axes, target.domain, strict=True)
    ]
    shape = [len(e) for e in exact]
    if not proved:
        inside = target.domain.floats_inside()
        grids = [np.clip([to_float(v) for v in e], *ends) for e, ends in zip(exact, inside, strict=True)]
        points = np.stack([g.ravel() for g in np.meshgrid(*grids, indexing="ij")], axis=-1)
        found = np.asarray(target(points if len(axes) > 1 else points[:, 0])).reshape(shape)
        return _finite(found), math.inf
    if math.prod(shape) >= MANY:
        swift = _values_of_panels(target, exact)
        if swift is not None:
            return swift
    values, worst = np.empty(math.prod(shape)), 0.0
    with working_precision(80):
        balls = [[to_arb(v) for v in e] for e in exact]
        for i, point in enumerate(itertools.product(*balls)):
            ball = target.ball(list(point))
            if not ball.is_finite():
                raise RegularityError("simplicial: f has no finite value at a node")
            values[i] = to_float(ball.mid())
            worst = max(worst, float_up(abs(ball - to_arb(float(values[i])))))
    return values.reshape(shape), worst


def _values_of_panels(target: Target, exact: list[list[fmpq]]) -> tuple[np.ndarray, float] | None:
    """`nodal_values` from Taylor polynomials on panels; None where they are not known to 12 digits so."""
    grids = np.meshgrid(*[[to_float(v) for v in e] for e in exact], indexing="ij")
    found = smooth_boxes(target, FINE).taylor(np.stack([g.ravel() for g in grids], axis=-1), 0)
    if found is None:
        return None
    value = (0,) * len(exact)
    values, error = found[0][value], found[1][value]
    return (values.reshape(grids[0].shape), error) if error <= 1e-12 * float(np.abs(values).max()) else None


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise RegularityError("simplicial: f has no finite value at a node")
    return values


def _clamped(target: Target, axes: Sequence[GridAxis]) -> float:
    # Outer nodes may lie outside the domain by 1e-12 of its width; their values are those of the nearest points inside.
    gap = fmpq(0)
    for a, (low, high) in zip(axes, target.domain, strict=True):
        gap = max(gap, low - a.node(0), a.node(a.cells) - high)
    return 0.0 if gap <= 0 else float_up(to_fmpq(target.modulus(float_up(gap))))


def _line(axis: GridAxis, values: np.ndarray) -> tuple[Network, float]:
    knots = np.array([to_float(axis.node(i)) for i in range(axis.cells + 1)])
    function = hinge_function(knots, values)
    # knots rounded to float64: the interpolant moves by at most slope * rounding
    shift = float(np.abs(function.slopes).max()) * 2.0**-52 * float(np.abs(knots).max())
    return function.network(), function.drift + 2 * shift


def paper_network(axes: Sequence[GridAxis], values: np.ndarray) -> Network:
    """The Network with one spike per node written as in P18, for at most 20,000 nodes."""
    if values.size > 20_000:
        raise UnreachableError(f"simplicial: the paper's form is built up to 20,000 nodes, not for {values.size:,}")
    b = Builder(len(axes))
    t = [b.input(k) * a.slope + a.offset for k, a in enumerate(axes)]
    spikes = []
    for node in np.ndindex(*values.shape):
        if values[node] != 0:
            spikes.append((float(values[node]), paper_spike(b, [u - i for u, i in zip(t, node, strict=True)])))
    return b.build([linear_combination(spikes)])
