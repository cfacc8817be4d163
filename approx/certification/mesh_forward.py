"""How far is a ReLU network from the values computed at the corners of a polygon? A proved bound for each polygon.

Statement. Let u be any unit, v_k the value computed for it at corner x_k of a polygon. The pass returns E >= 0 with

    |u(x) - sum_k l_k v_k| <= E   whenever x = sum_k l_k x_k, l_k >= 0, sum_k l_k = 1.

Proof by induction over the units, for one fixed choice of the l_k:
- inputs: the corners are exact numbers, E = 0;
- z = bias + sum w_i u_i: E = sum |w_i| E_i + (the largest rounding committed at the points of the mesh);
- max(z, 0): 1-Lipschitz, so it is within E of max(sum l_k z_k, 0), which lies below sum l_k max(z_k, 0) by at most
  min(max_k z_k, max_k -z_k) where both are positive, and not at all where they are not; where max_k z_k + E <= 0 the
  unit is exactly 0;
- |z| = 2 max(z, 0) - z: the same with twice that term.
All operations on E are float64 with non-negative terms; the inflation at the end covers their rounding for fewer than
2^30 operations per unit. NaN and overflow end as E = inf.
"""

from __future__ import annotations

import numpy as np

from approx.certification.arithmetic import TINY, UNIT, Arithmetic, Float64, Vector
from approx.certification.mesh import Mesh
from approx.certification.pieces import Program

#: Layers of more units than this are followed by matrix products with an a-priori rounding bound, in float64.
_NARROW = 48

#: E of every unit: a float where all polygons share it, else an array of one number per polygon; no other shape.
Errors = list["np.ndarray | float"]


def mesh_forward(program: Program, mesh: Mesh, arithmetic: Arithmetic = Float64) -> tuple[Vector, np.ndarray]:
    """(values of output 0 at the points, E per polygon). Cost O(weights * points + units that cross * corners)."""
    with np.errstate(all="ignore"):
        return _follow(program, mesh, arithmetic)


def _follow(program: Program, mesh: Mesh, arithmetic: Arithmetic) -> tuple[Vector, np.ndarray]:
    count = len(mesh.x)
    parts = 2 if arithmetic is not Float64 else 1
    points = np.stack([mesh.x, mesh.y])
    values: dict[int, Vector] = {0: (points, np.zeros_like(points))[:parts]}
    errors: dict[int, Errors] = {0: [0.0, 0.0]}
    last = len(program.activations)
    for k in range(1, last + 1):
        wide = program.network.layers[k - 1].units > _NARROW or program.dense[k - 1]
        if arithmetic is Float64 and wide:
            z, e = _by_matrices(program, k, values, errors, count)
        else:
            z, e = _by_units(program, k, values, errors, count, arithmetic)
        if program.activations[k - 1] != "identity":
            z = _activate(z, e, mesh, program.activations[k - 1])
        for source in [s for s in values if program.last_use[s] <= k and s != k]:
            del values[source], errors[source]
        values[k], errors[k] = z, e
    value = tuple(c[0] for c in values[last])
    bound = np.broadcast_to(errors[last][0], (mesh.polygons,)) * (1 + 2.0**-20) + TINY
    finite = np.isfinite(mesh.most(np.abs(value[0]))) & np.isfinite(bound)
    return value, np.where(finite, bound, np.inf)


def _by_units(program, k, values, errors, count, arithmetic):  # type: ignore[no-untyped-def]
    """One layer, unit by unit, with error-free residues (float64) or in double-double."""
    zs, es = [], []
    for row in program.rows[k - 1]:
        total = arithmetic.constant(*row.bias, count)
        rounding = np.full(count, TINY + arithmetic.weight_error(row.bias[1]))
        spread: np.ndarray | float = 0.0
        for source, column, hi, lo in row.terms:
            value = tuple(c[column] for c in values[source])
            total = arithmetic.add_product(total, hi, lo, value, rounding)
            missing = arithmetic.weight_error(lo)
            if missing:
                rounding += missing * np.abs(value[0]) * (1 + 2 * UNIT)
            spread = spread + (abs(hi) * (1 + 2 * UNIT)) * errors[source][column]
        zs.append(total)
        es.append(spread + float(rounding.max()))
    return tuple(np.stack(c) for c in zip(*zs, strict=True)), es


def _by_matrices(program, k, values, errors, count):  # type: ignore[no-untyped-def]
    """One layer by matrix products; |rounding| <= gamma_n (|bias| + |W||v|), n terms plus two, in any summation order."""
    layer = program.network.layers[k - 1]
    z = np.repeat(layer.bias.floats[:, np.newaxis], count, axis=1)
    size = np.abs(layer.bias.floats)
    length = np.full(layer.units, 4.0)
    spread: np.ndarray | None = None
    for source, matrix in program.matrices[k - 1]:
        absolute = abs(matrix)
        z += matrix @ values[source][0]
        size = size + absolute @ np.abs(values[source][0]).max(axis=1)
        length += np.diff(matrix.indptr)
        part = _weighted(absolute, errors[source])
        if part is not None:
            spread = part if spread is None else spread + part
    # One more unit of rounding per weight covers pooled weights, whose float64 is only the nearest.
    rounding = (1.01 * UNIT) * (length + 2) * size + TINY
    if spread is None:
        return (z,), rounding.tolist()
    total = spread * (1 + 2.0**-30) + rounding[:, np.newaxis]
    shared = total.shape[1] == 1  # no unit before has an error of its own on any polygon
    return (z,), total[:, 0].tolist() if shared else list(total)


def _weighted(absolute, errors):  # type: ignore[no-untyped-def]
    """|W| E, or None where E is zero throughout."""
    constant = np.array([e if isinstance(e, float) else 0.0 for e in errors])
    varying = [i for i, e in enumerate(errors) if not isinstance(e, float)]
    total = (absolute @ constant)[:, np.newaxis] if constant.any() or np.isnan(constant).any() else None
    if varying:
        part = absolute.tocsc()[:, varying] @ np.stack([errors[i] for i in varying])
        total = part if total is None else total + part
    return total


def _activate(z: Vector, errors: Errors, mesh: Mesh, activation: str) -> Vector:
    """The activation of a layer; `errors` are updated in place."""
    # Ignoring NaN: points with an overflow must not hide what the unit does elsewhere.
    top, bottom = np.fmax.reduce(z[0], axis=1), np.fmin.reduce(z[0], axis=1)
    both = np.flatnonzero((bottom < 0) & (top > 0))
    mixed = mesh.mixed(z[0][both]) if len(both) else np.zeros((0, mesh.polygons), dtype=bool)
    for i, crossed in zip(both.tolist(), mixed, strict=True):
        if crossed.any():
            # Only polygons with points of both signs lose anything.
            which = np.flatnonzero(crossed)
            part, kept = mesh.select(which)
            values = z[0][i, kept]
            gap = np.zeros(mesh.polygons)
            gap[which] = np.minimum(part.most(values), -part.least(values)) * (1 + 2.0**-40)
            errors[i] = errors[i] + (2 * gap if activation == "abs" else gap)
    if activation == "abs":
        return tuple(np.where(z[0] > 0, c, -c) for c in z)
    for i in np.flatnonzero(~(bottom >= 0)).tolist():
        if np.any(errors[i]):
            highest = mesh.most(z[0][i]) if top[i] > 0 else top[i]
            # The share 2^-20 covers what the additions that made the error may have lost on the way here.
            dead = np.asarray(highest * (1 - 2.0**-20) + errors[i] <= 0)
            errors[i] = np.where(dead, 0.0, errors[i]) if dead.ndim else (0.0 if dead else errors[i])
    # A NaN stays a NaN (a comparison would hide it), so that the caller sees it.
    return tuple(np.where((z[0] > 0) | np.isnan(z[0]), c, 0.0) for c in z)
