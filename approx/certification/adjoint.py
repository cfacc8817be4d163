"""How far can the network be from its chords, when roundings are weighed by signed sensitivities instead of by |W|?

Statement. On an interval let z^_j be the chord of the computed inputs of unit j and u^_j that of its computed outputs. Then
z^_j = b_j + sum_i w_ji u^_i + r_j with |r_j| <= local_j, and u^_j = s(z^_j) + g_j with |g_j| <= gap_j (see forward.py). For
the true network, u^_j - u_j = q_j (z^_j - z_j) + g_j, where q_j lies between `low_j` and `high_j`: it is 1 (or 0, or -1)
where z^_j is further from 0 than the proved E_j, and anything between the slopes of the activation elsewhere. Hence, at
every x, the error of the output is sum_j (a_j q_j r_j + a_j g_j), a_j the derivative of the output by u_j along the
slopes q; a backward pass in intervals (midpoint c, radius r) encloses a_j for all admissible q at once:

    sums:  c_i = sum_j w_ji c_j,   r_i = sum_j |w_ji| r_j + gamma_n sum_j |w_ji| |c_j|;   slope:  c, r times [low, high].

So cancellation between paths is seen where |W| products add them up: in wide and in ill-conditioned networks the bound is
smaller by factors of 3 to 5000. Cost: about three backward products per layer, and all layers are kept, so callers
pass blocks. Source: the adjoint bound of running error analysis (Higham 2002, section 3.3); slopes derived here.
"""

from __future__ import annotations

import numpy as np

from approx.certification.arithmetic import TINY, UNIT, Arithmetic, Vector
from approx.certification.forward import LayerTrace, forward
from approx.certification.pieces import Program
from approx.certification.products import Product

#: Numbers kept per block: units times intervals.
_MOST_KEPT = 1 << 22


def forward_adjoint(
    program: Program, points: Vector, shared: bool, arithmetic: Arithmetic
) -> tuple[Vector, np.ndarray]:
    """(values of output 0, E per interval) as `forward` gives them, E the smaller of both bounds."""
    count = len(points[0])
    intervals = count - 1 if shared else count // 2
    units = sum(l.units for l in program.network.layers)
    step = max(1, _MOST_KEPT // max(units, 1))
    values, errors = [], []
    for begin in range(0, intervals, step):
        stop = min(begin + step, intervals)
        if shared:
            part = tuple(p[begin : stop + 1] for p in points)
        else:
            part = tuple(np.concatenate([p[begin:stop], p[intervals + begin : intervals + stop]]) for p in points)
        trace: list[LayerTrace] = []
        value, error = forward(program, part, shared, arithmetic, trace)
        with np.errstate(all="ignore"):
            bound = _backward(program, trace)
        errors.append(np.where(bound <= error, bound, error))
        half = stop - begin
        values.append((tuple(v[:half] for v in value), tuple(v[half:] for v in value)))
    heads = [np.concatenate([v[0][i] for v in values]) for i in range(len(points))]
    tails = [v[1] for v in values]
    if shared:
        joined = tuple(np.concatenate([h, tails[-1][i]]) for i, h in enumerate(heads))
    else:
        joined = tuple(np.concatenate([h, *(t[i] for t in tails)]) for i, h in enumerate(heads))
    return joined, np.concatenate(errors)


def _backward(program: Program, trace: list[LayerTrace]) -> np.ndarray:
    first = 2 if program.wide_first else 1
    last = len(program.activations)
    intervals = trace[-1].local.shape[1]
    centre: dict[int, np.ndarray] = {k: np.zeros_like(trace[k - first].local) for k in range(first, last + 1)}
    radius = {k: np.zeros_like(v) for k, v in centre.items()}
    centre[last][0] = 1.0
    total = np.zeros(intervals)
    for k in range(last, first - 1, -1):
        layer, c, r = trace[k - first], centre.pop(k), radius.pop(k)
        size = np.abs(c) + r
        total += (size * layer.gap).sum(axis=0)
        c, r = _times_slope(c, r, layer)
        total += ((np.abs(c) + r) * layer.local).sum(axis=0)
        for product in program.products[k - 1]:
            if product.source >= first:
                _pull(product, c, r, centre[product.source], radius[product.source])
    total = total * (1 + 2.0**-20) + TINY
    return np.where(np.isnan(total), np.inf, total)


def _times_slope(c: np.ndarray, r: np.ndarray, layer: LayerTrace) -> tuple[np.ndarray, np.ndarray]:
    """[c - r, c + r] times [low, high]; exact for the fixed slopes 0, 1 and -1."""
    middle, half = 0.5 * (layer.low + layer.high), 0.5 * (layer.high - layer.low)
    return c * middle, r * np.maximum(np.abs(layer.low), np.abs(layer.high)) + np.abs(c) * half


def _pull(product: Product, c: np.ndarray, r: np.ndarray, centre: np.ndarray, radius: np.ndarray) -> None:
    """Add what one weight block hands back to its source."""
    centre += product.matrix.T @ c
    # n terms plus the sum with what was there; |centre| below is bounded by the same magnitudes.
    gamma = (product.matrix.shape[0] + 4) * UNIT * 1.01
    radius += product.magnitude.T @ (r * (1 + 2.0**-40) + (gamma + UNIT) * np.abs(c)) + 2 * UNIT * np.abs(centre)
