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
Units are followed one by one (unit_pass.py), layers of long rows by matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.certification.arithmetic import TINY, UNIT, Arithmetic, Float64, Vector, join
from approx.certification.pieces import Program
from approx.certification.unit_pass import Track, activated


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
    intervals = len(points[0]) - 1 if shared else len(points[0]) // 2
    with np.errstate(all="ignore"):
        if shared or trace is not None or intervals <= program.block:
            return _forward(program, points, shared, arithmetic, trace)
        lefts, rights, errors = [], [], []
        for begin in range(0, intervals, program.block):
            stop = min(begin + program.block, intervals)
            part = tuple(np.concatenate([p[begin:stop], p[intervals + begin : intervals + stop]]) for p in points)
            value, error = _forward(program, part, shared, arithmetic, trace)
            lefts.append(tuple(v[: stop - begin] for v in value))
            rights.append(tuple(v[stop - begin :] for v in value))
            errors.append(error)
        return join([*lefts, *rights]), np.concatenate(errors)


def _forward(
    program: Program, points: Vector, shared: bool, arithmetic: Arithmetic, trace: list[LayerTrace] | None
) -> tuple[Vector, np.ndarray]:
    plan = program.plan
    runs = plan.runs[trace is not None]
    staged = [plan.begins[last] - plan.begins[first - 1] for first, last, whole in runs if not whole]
    track = Track.along(plan, points, shared, arithmetic, max(staged, default=1))
    for first, last, whole in runs:
        if whole:
            track.follow(plan.begins[first - 1], plan.begins[last])
        elif program.dense[first - 1]:
            _by_matrices(program, first, track, points, trace)
        else:
            _by_steps(program, first, track, points, trace)
    last = len(program.activations)
    row = plan.rows(last).start
    error = track.errors[row] if track.inexact[row] else np.zeros(track.errors.shape[1])
    bound = error * (1 + 2.0**-20) + TINY
    value = tuple(v[row].copy() for v in track.values)
    if np.isfinite(value[0].sum() + bound.sum()):
        return value, bound
    left, right = track.ends
    finite = np.isfinite(value[0][left]) & np.isfinite(value[0][right]) & np.isfinite(bound)
    return value, np.where(finite, bound, np.inf)


def _by_steps(program: Program, k: int, track: Track, points: Vector, trace: list[LayerTrace] | None) -> None:
    """A layer whose units read hinges, or whose steps the adjoint pass wants to know."""
    plan, rows = program.plan, program.plan.rows(k)
    begin, end = plan.begins[k - 1], plan.begins[k]
    track.follow(begin, end, activate=False)
    _add_hinges(program, k, track, points)
    for u in range(begin, end):
        track.combine(u, u - begin)
    if trace is not None:
        local = np.where(track.committed[: end - begin, None], track.local[: end - begin], 0.0)
        error = np.where(track.inexact[rows, None], track.errors[rows], 0.0)
        z = tuple(v[rows] for v in track.values)
        trace.append(LayerTrace(*_traced(z, error, local, track.ends, program.activations[k - 1])))
    if program.activations[k - 1] != "identity":
        track.follow(begin, end, sums=False)


def _add_hinges(program: Program, k: int, track: Track, points: Vector) -> None:
    """Add to the sums of a layer what its units read of a wide first layer; such units commit roundings."""
    start = program.plan.rows(k).start
    for i, hinges in program.hinge_sums[k - 1].items():
        hinges.add_to(tuple(v[start + i] for v in track.values), track.local[i], points, track.step)


def _by_matrices(program: Program, k: int, track: Track, points: Vector, trace: list[LayerTrace] | None) -> None:
    """One layer with its activation, all units at once."""
    rows = program.plan.rows(k)
    total, spread, local = _dense(program, k, track)
    count = len(local)
    for v, c in zip(track.values, total, strict=True):
        v[rows] = c
    track.local[:count] = local
    _add_hinges(program, k, track, points)
    total, local = tuple(v[rows] for v in track.values), track.local[:count]
    error = spread + local
    activation = program.activations[k - 1]
    if trace is not None:
        trace.append(LayerTrace(*_traced(total, error, local.copy(), track.ends, activation)))
    if activation != "identity":
        total, error = activated(total, error, track.ends, activation)  # type: ignore[assignment]
        for v, c in zip(track.values, total, strict=True):
            v[rows] = c
    track.errors[rows], track.inexact[rows], track.known[rows] = error, 1, 0


def _dense(program: Program, k: int, track: Track) -> tuple[Vector, np.ndarray, np.ndarray]:
    """(values, inherited E, E of this layer) by matrix products (products.py); arrays (units, nodes or intervals).

    In float64 |rounding| <= gamma_n (|bias| + |W||v|), n terms plus two, in any summation order.
    """
    layer, plan = program.network.layers[k - 1], program.plan
    single = track.arithmetic is Float64
    size = track.values[0].shape[1]
    total: Vector = tuple(np.repeat(c[:, np.newaxis], size, axis=1) for c in program.bias(k - 1, len(track.values)))
    magnitude = np.abs(total[0])
    rounding = TINY + (0.0 if single else 2.0**-100) * magnitude
    spread = np.zeros((layer.units, track.errors.shape[1]))
    length = np.full(layer.units, 4.0)
    for product in program.products[k - 1]:
        rows = plan.rows(product.source)
        v = tuple(c[rows] for c in track.values)
        total, error = product.add_to(total, v)
        rounding = rounding + error
        if single:
            magnitude += product.magnitude @ np.abs(v[0])
        if track.inexact[rows].any():
            spread += product.magnitude @ np.where(track.inexact[rows, None], track.errors[rows], 0.0)
        length += product.longest
    if single:
        # One more unit of rounding per weight covers pooled weights, whose float64 is only the nearest.
        rounding = TINY + (1.01 * UNIT) * (length[:, np.newaxis] + 2) * magnitude
    left, right = track.ends
    local = np.maximum(rounding[:, left], rounding[:, right])
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
    gap = np.broadcast_to(activated(z, np.zeros_like(local), ends, activation)[1], local.shape)
    return local, gap, np.where(on, 1.0, least), np.where(off, least, 1.0)
