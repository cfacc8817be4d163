"""Where are the values of a ReLU network on boxes? Affine forms: p + a.u + [-e, e] for every unit, all roundings in e.

Exact through affine maps; a ReLU whose input changes its sign is replaced by the chord from (lo, 0) to (hi, hi) and half of
its offset, to both sides.
"""

from __future__ import annotations

import numpy as np

from approx.certification.pieces import Program

_UNIT = 2.0**-53


def affine_forms(
    program: Program, centre: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(p, a, e, weight) per box with net(centre + half*u) in p + a.u + [-e, e] for u in [-1, 1]^d.

    weight (boxes, d): how much of e is due to each axis, a guide for splitting. Rounding is inside e: every sum of n
    products in float64 errs by at most (n + 2) 2^-53 times the sum of absolute values, whatever the order.
    """
    n, d = centre.shape
    # Coordinates: (d + 1, n) for constant and slopes of each input.
    slopes = np.zeros((d, d, n))
    for i in range(d):
        slopes[i, i] = half[:, i]
    forms = {0: (centre.T.copy(), slopes)}
    errors = {0: np.zeros((d, n))}
    blame = np.zeros((d, n))
    last = len(program.activations)
    for k in range(1, last + 1):
        layer = program.network.layers[k - 1]
        p = np.repeat(layer.bias.floats[:, None], n, axis=1)
        a = np.zeros((layer.units, d, n))
        e = np.zeros((layer.units, n))
        size = np.abs(p)
        length = np.full(layer.units, 4.0)
        for source, matrix in program.matrices[k - 1]:
            sp, sa = forms[source]
            absolute = abs(matrix)
            p += matrix @ sp
            a += (matrix @ sa.reshape(len(sp), d * n)).reshape(layer.units, d, n)
            size += absolute @ (np.abs(sp) + np.abs(sa).sum(axis=1))
            e += absolute @ errors[source]
            length += np.diff(matrix.indptr)
        # The third unit per weight covers pooled weights, whose float64 is only the nearest.
        e = e * (1 + 2.0**-30) + (1.01 * _UNIT) * (length[:, None] + 3) * size + 2.0**-1000
        if program.activations[k - 1] != "identity":
            p, a, e = _activate(p, a, e, program.activations[k - 1], blame)
        forms[k], errors[k] = (p, a), e
        for source in [s for s in forms if program.last_use[s] <= k and s != k]:
            del forms[source], errors[source]
    (p, a), e = forms[last], errors[last]
    return p[0], a[0].T, e[0], blame.T


def _activate(p, a, e, activation, blame):  # type: ignore[no-untyped-def]
    radius = (np.abs(a).sum(axis=1) + e) * (1 + 2.0**-40)
    lo, hi = p - radius, p + radius
    if activation == "abs":
        # |z| = 2 max(z, 0) - z
        rp, ra, re = relu_form(p, a, e, lo, hi, blame)
        extra = 4 * _UNIT * (np.abs(p) + np.abs(a).sum(axis=1) + np.abs(rp) + np.abs(ra).sum(axis=1))
        crossing = (lo < 0) & (hi > 0)
        return 2 * rp - p, 2 * ra - a, np.where(crossing, 2 * re + e, e) + extra
    return relu_form(p, a, e, lo, hi, blame)


def relu_form(p, a, e, lo, hi, blame):  # type: ignore[no-untyped-def]
    """(p, a, e) of max(z, 0) for z = p + a.u + [-e, e] in [lo, hi]; what its chord loses is added to `blame` by axis."""
    crossing = (lo < 0) & (hi > 0)
    slope = np.where(crossing, hi / np.where(crossing, hi - lo, 1.0), np.where(lo >= 0, 1.0, 0.0))
    # On [lo, hi] max(z, 0) lies between slope*z and slope*(z - lo); NaN inputs give NaN, which the caller turns to inf.
    offset = np.where(crossing, -0.5 * slope * lo, 0.0)
    new_p = np.where(np.isnan(p), np.nan, slope * p + offset)
    new_a = slope[:, None, :] * a
    rounding = np.where(crossing, 8 * _UNIT * (np.abs(p) + np.abs(lo) + np.abs(a).sum(axis=1) + e), 0.0)
    new_e = slope * e + offset + rounding
    share = np.abs(a) / np.where(np.abs(a).sum(axis=1) > 0, np.abs(a).sum(axis=1), 1.0)[:, None, :]
    blame += np.einsum("un,udn->dn", np.where(np.isfinite(offset), offset, 0.0), share)
    return new_p, new_a, new_e
