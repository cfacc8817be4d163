"""How large can a quadratic be on a convex polygon? Closed forms, for many polygons at once.

Statement. q(u, w) = q0 + q1 u + q2 w + q3 u^2 + q4 u w + q5 w^2 on the hull of points in [-1, 1]^2:
- if its Hessian has an eigenvalue >= 0, q is largest on the boundary: at a vertex, or inside an edge at the vertex of a
  parabola;
- otherwise q is concave and q(x) <= q(p) + grad q(p).(x - p) for any p, so q <= q(p) + max_k grad q(p).(x_k - p); p is the
  critical point or the best point of the boundary, and the bound is sharp when p is where q is largest.
An eigenvalue whose sign is lost to rounding moves the maximum by at most 8 times its size. All float64 roundings together
are below ROUNDING * sum |q_i|.
"""

from __future__ import annotations

import numpy as np

ROUNDING = 256 * 2.0**-53


def largest(q: np.ndarray, u: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(upper bound of q on each polygon up to ROUNDING * sum |q_i|, u and w of a point where it is nearly attained).

    q: (6, n) coefficients; u, w: (k, n) vertices in order. NaN stays NaN.
    """
    at = _value(q, u, w)
    du, dw = np.roll(u, -1, axis=0) - u, np.roll(w, -1, axis=0) - w
    bend = (q[3] * du + q[4] * dw) * du + q[5] * dw * dw
    rise = np.roll(at, -1, axis=0) - at - bend
    inner = (rise > 0) & (rise < -2 * bend)
    along = np.where(inner, rise / np.where(inner, -2 * bend, 1.0), 0.0)
    best = at + np.where(inner, 0.5 * rise * along, 0.0)
    place = np.argmax(best, axis=0)[None]
    step = np.take_along_axis(along, place, 0)[0]
    at_u = np.take_along_axis(u, place, 0)[0] + step * np.take_along_axis(du, place, 0)[0]
    at_w = np.take_along_axis(w, place, 0)[0] + step * np.take_along_axis(dw, place, 0)[0]
    upper = np.take_along_axis(best, place, 0)[0]
    determinant = 4 * q[3] * q[5] - q[4] * q[4]
    concave = np.flatnonzero((determinant > 0) & (q[3] + q[5] < 0))
    if len(concave):
        bowl, bu, bw = q[:, concave], u[:, concave], w[:, concave]
        scale = determinant[concave]
        pu = np.clip((bowl[4] * bowl[2] - 2 * bowl[5] * bowl[1]) / scale, -1, 1)
        pw = np.clip((bowl[4] * bowl[1] - 2 * bowl[3] * bowl[2]) / scale, -1, 1)
        by_centre = _tangent(bowl, bu, bw, pu, pw)
        by_boundary = _tangent(bowl, bu, bw, at_u[concave], at_w[concave])
        upper[concave] = np.minimum(by_centre, by_boundary)
        move = by_centre < by_boundary
        at_u[concave] = np.where(move, pu, at_u[concave])
        at_w[concave] = np.where(move, pw, at_w[concave])
    return upper, at_u, at_w


def _value(q: np.ndarray, u: np.ndarray, w: np.ndarray) -> np.ndarray:
    return q[0] + (q[1] + q[3] * u + q[4] * w) * u + (q[2] + q[5] * w) * w


def _tangent(q: np.ndarray, u: np.ndarray, w: np.ndarray, pu: np.ndarray, pw: np.ndarray) -> np.ndarray:
    """The bound of a concave q by its tangent plane at p."""
    slope_u, slope_w = q[1] + 2 * q[3] * pu + q[4] * pw, q[2] + 2 * q[5] * pw + q[4] * pu
    return _value(q, pu, pw) + (slope_u * (u - pu) + slope_w * (w - pw)).max(axis=0)
