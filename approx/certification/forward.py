"""How far a ReLU network can be from the chord of its computed values on an interval: a proved bound per interval.

Statement. Let u be any unit of the network, [xl, xr] an interval and v_l, v_r the values computed for u at its ends.
The pass returns E >= 0 with |u(x) - chord(x)| <= E for all x in [xl, xr], chord the affine function through
(xl, v_l), (xr, v_r). Proof by induction over the units:
- input: the nodes are exact numbers, E = 0;
- z = bias + sum w_i u_i: computed values differ from the same combination of the computed u_i by at most the committed
  roundings r_l, r_r; hence E = sum |w_i| E_i + max(r_l, r_r);
- max(z, 0): 1-Lipschitz, so max(z,0) is within E of max(chord, 0); where chord changes its sign, max(chord, 0) is
  below its own chord by at most |z_l z_r| / (|z_l| + |z_r|), which is added; where chord + E <= 0 the unit is exactly 0.
- |z| = max(z, 0) + max(-z, 0): the same with twice that term.
Every operation on E is float64 with non-negative terms; the final inflation by 1 + 2^-20 and 2^-1000 covers its rounding
for fewer than 2^30 operations per unit. NaN or overflow end as E = inf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.certification.arithmetic import DD_UNIT, NOWHERE, TINY, UNIT, Arithmetic, Float64, Grid, Vector, exact_sum
from approx.certification.pieces import Program, Row
from approx.numbers.doubledouble import dd_add, two_sum


@dataclass(frozen=True)
class LayerTrace:
    """What the adjoint pass (adjoint.py) needs of one layer; arrays (units, intervals).

    local: the part of E of the unit's input that arose in this layer; gap: what its ReLU's chord adds;
    low, high: between which slopes of the activation its argument lies on the interval, true and computed alike.
    """

    local: np.ndarray
    gap: np.ndarray
    low: np.ndarray
    high: np.ndarray


def forward(
    program: Program, points: Vector, shared: bool, arithmetic: Arithmetic, trace: list[LayerTrace] | None = None
) -> tuple[Vector, np.ndarray]:
    """(values of output 0 at the points, E per interval).

    shared: the intervals are those between neighbouring points; otherwise the first half of the points are left ends and
    the second half the right ends. A `trace` is filled with what every layer did. Cost O(weights * points).
    """
    with np.errstate(all="ignore"):
        return _forward(program, points, shared, arithmetic, trace)


def _forward(
    program: Program, points: Vector, shared: bool, arithmetic: Arithmetic, trace: list[LayerTrace] | None
) -> tuple[Vector, np.ndarray]:
    count = len(points[0])
    ends = (slice(None, -1), slice(1, None)) if shared else (slice(None, count // 2), slice(count // 2, None))
    intervals = count - 1 if shared else count // 2
    values: dict[int, list[Vector]] = {0: [points]}
    errors: dict[int, list[np.ndarray | float]] = {0: [0.0]}
    grids: dict[int, list[Grid]] = {0: [Grid.of_points(points[0])] if arithmetic is Float64 else []}
    last = len(program.activations)
    for k in range(2 if program.wide_first else 1, last + 1):
        activation = program.activations[k - 1]
        if program.dense[k - 1]:
            zs, es = _by_matrices(program, k, values, errors, ends, arithmetic, trace)
        else:
            zs, spread, local, known = _sparse(program, k, values, errors, grids, ends, count, arithmetic)
            zs, local = _with_hinges(program, k, zs, local, points, ends)
            es = [s + l for s, l in zip(spread, local, strict=True)]
            if trace is not None:
                local = [np.broadcast_to(l, (intervals,)) for l in local]
                layers = [_traced(z, e, l, ends, activation) for z, e, l in zip(zs, es, local, strict=True)]
                trace.append(LayerTrace(*(np.stack(part) for part in zip(*layers, strict=True))))
            if activation != "identity":
                pairs = [_activate(z, e, ends, activation) for z, e in zip(zs, es, strict=True)]
                zs, es = [p[0] for p in pairs], [p[1] for p in pairs]
            if any(known):
                largest = [float(z[0].max() if activation == "relu" else np.abs(z[0]).max()) for z in zs]
                grids[k] = [Grid(g.grain, m) if g else NOWHERE for g, m in zip(known, largest, strict=True)]
        for source in [s for s in values if s and program.last_use[s] <= k]:
            del values[source], errors[source]
            grids.pop(source, None)
        values[k], errors[k] = zs, es
    bound = np.broadcast_to(errors[last][0], (intervals,)) * (1 + 2.0**-20) + TINY
    value = values[last][0]
    finite = np.isfinite(value[0][ends[0]]) & np.isfinite(value[0][ends[1]]) & np.isfinite(bound)
    return value, np.where(finite, bound, np.inf)


def _sparse(program, k, values, errors, grids, ends, count, arithmetic):  # type: ignore[no-untyped-def]
    """(values, inherited E, E of this layer, grids) unit by unit, with error-free residues (float64) or double-double."""
    zs, spreads, local, known = [], [], [], []
    for i, row in enumerate(program.rows[k - 1]):
        spread: np.ndarray | float = 0.0
        for source, column, hi, _ in row.terms:
            if not (isinstance(errors[source][column], float) and errors[source][column] == 0.0):
                spread = spread + (abs(hi) * (1 + 2 * UNIT)) * errors[source][column]
        spreads.append(spread)
        # A unit that reads nothing looks exact in any arithmetic; grids belong to float64.
        grid = _exact(row, grids) if arithmetic is Float64 and i not in program.hinge_sums[k - 1] else None
        known.append(grid)
        if grid is not None:
            zs.append((_plain(row, values, count),))
            local.append(0.0)
            continue
        total = arithmetic.constant(*row.bias, count)
        rounding = np.full(count, arithmetic.weight_error(row.bias[1]))
        for source, column, hi, lo in row.terms:
            value = values[source][column]
            total = arithmetic.add_product(total, hi, lo, value, rounding)
            missing = arithmetic.weight_error(lo)
            if missing:
                rounding += missing * np.abs(value[0]) * (1 + 2 * UNIT)
        zs.append(total)
        local.append(np.maximum(rounding[ends[0]], rounding[ends[1]]))
    return zs, spreads, local, known


def _exact(row: Row, grids: dict[int, list[Grid]]) -> Grid | None:
    """The grid of the unit's input, when float64 computes it without rounding."""
    if row.bias[1] or any(lo or s not in grids or not grids[s] for s, _, _, lo in row.terms):
        return None
    return exact_sum(row.bias[0], [(hi, grids[s][c]) for s, c, hi, _ in row.terms])


def _plain(row: Row, values: dict[int, list[Vector]], count: int) -> np.ndarray:
    total = np.full(count, row.bias[0])
    for source, column, hi, _ in row.terms:
        total += hi * values[source][column][0]
    return total


def _with_hinges(program, k, zs, local, points, ends):  # type: ignore[no-untyped-def]
    """The same layer with what its units read of a wide first layer."""
    for i, hinges in program.hinge_sums[k - 1].items():
        part, error = hinges.values(points)
        if len(points) == 1:
            total, residue = two_sum(zs[i][0], part[0])
            zs[i], error = (total,), error + np.abs(part[1]) + np.abs(residue)
        else:
            zs[i] = dd_add(*zs[i], *part)
            error = error + DD_UNIT * np.abs(zs[i][0])
        gap = hinges.gaps(points[0][ends[0]], points[0][ends[1]])
        local[i] = local[i] + np.maximum(error[ends[0]], error[ends[1]]) + gap
    return zs, local


def _by_matrices(program, k, values, errors, ends, arithmetic, trace):  # type: ignore[no-untyped-def]
    """(values, E) of one layer after its activation, all units at once."""
    total, spread, local = _dense(program, k, values, errors, ends, arithmetic)
    if program.hinge_sums[k - 1]:
        rows = [tuple(c[i] for c in total) for i in range(len(local))]
        rows, parts = _with_hinges(program, k, rows, list(local), values[0][0], ends)
        total = tuple(np.stack([r[i] for r in rows]) for i in range(len(total)))
        local = np.stack(parts)
    error = spread + local
    activation = program.activations[k - 1]
    if trace is not None:
        trace.append(LayerTrace(*_traced(total, error, local, ends, activation)))
    if activation != "identity":
        total, error = _activate(total, error, ends, activation)
    return [tuple(c[i] for c in total) for i in range(len(error))], list(error)


def _dense(program, k, values, errors, ends, arithmetic):  # type: ignore[no-untyped-def]
    """(values, inherited E, E of this layer) by matrix products (products.py); arrays (units, nodes or intervals).

    In float64 |rounding| <= gamma_n (|bias| + |W||v|), n terms plus two, in any summation order.
    """
    layer = program.network.layers[k - 1]
    size = len(values[0][0][0])
    total = tuple(np.repeat(c[:, np.newaxis], size, axis=1) for c in program.bias(k - 1, len(values[0][0])))
    intervals = total[0][:, ends[0]].shape[1]
    magnitude = np.abs(total[0])
    rounding = (2.0**-100 if arithmetic is not Float64 else 0.0) * magnitude
    spread = np.zeros((layer.units, intervals))
    length = np.full(layer.units, 4.0)
    for product in program.products[k - 1]:
        unit_values = values[product.source]
        v = tuple(np.stack([c[i] for c in unit_values]) for i in range(len(total)))
        total, error = product.add_to(total, v)
        rounding = rounding + error
        if arithmetic is Float64:
            magnitude += product.magnitude @ np.abs(v[0])
        if any(np.any(e) for e in errors[product.source]):
            e = np.stack([np.broadcast_to(e, (intervals,)) for e in errors[product.source]])
            spread += product.magnitude @ e
        length += product.longest
    if arithmetic is Float64:
        # One more unit of rounding per weight covers pooled weights, whose float64 is only the nearest.
        rounding = (1.01 * UNIT) * (length[:, np.newaxis] + 2) * magnitude
    local = np.maximum(rounding[:, ends[0]], rounding[:, ends[1]])
    return total, spread * (1 + 2.0**-30), local


def _traced(
    z: Vector, error: np.ndarray, local: np.ndarray, ends: tuple[slice, slice], activation: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The fields of a LayerTrace; comparisons with NaN are false, which leaves the widest slopes."""
    if activation == "identity":
        return local, np.zeros_like(local), np.ones_like(local), np.ones_like(local)
    left, right = z[0][..., ends[0]], z[0][..., ends[1]]
    # The share 2^-20 covers what the additions that made `error` may have lost on the way here.
    margin = error * (1 + 2.0**-20)
    on = np.minimum(left, right) * (1 - 2.0**-20) >= margin
    off = np.maximum(left, right) * (1 - 2.0**-20) <= -margin
    least = -1.0 if activation == "abs" else 0.0
    gap = np.broadcast_to(_activate(z, np.zeros_like(local), ends, activation)[1], local.shape)
    return local, gap, np.where(on, 1.0, least), np.where(off, least, 1.0)


def _activate(
    z: Vector, error: np.ndarray | float, ends: tuple[slice, slice], activation: str
) -> tuple[Vector, np.ndarray | float]:
    left, right = z[0][..., ends[0]], z[0][..., ends[1]]
    # A zero at a node is no crossing; a NaN is none either, but it stays a NaN in the value.
    above, below = z[0] > 0, z[0] < 0
    crossing = (above[..., ends[0]] & below[..., ends[1]]) | (below[..., ends[0]] & above[..., ends[1]])
    if crossing.any():
        a, b = np.abs(left), np.abs(right)
        gap = np.where(crossing, np.minimum(a, b), 0.0) * (1 + 2.0**-40)
        error = error + (2 * gap if activation == "abs" else gap)
    if activation == "abs":
        positive = z[0] > 0
        return tuple(np.where(positive, c, -c) for c in z), error
    # NaN stays NaN, so that the caller sees it.
    value = (np.maximum(z[0], 0.0),) if len(z) == 1 else tuple(np.where((z[0] > 0) | np.isnan(z[0]), c, 0.0) for c in z)
    if isinstance(error, float) and error == 0.0:
        return value, error
    # The share 2^-20 covers what the additions that made `error` may have lost on the way here.
    dead = np.maximum(left, right) * (1 - 2.0**-20) + error <= 0
    return value, np.where(dead, 0.0, error)
