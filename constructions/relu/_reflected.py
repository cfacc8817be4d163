"""What is the value of the reflected triangulation's interpolant at a point? Barycentric coordinates of Todd's J1.

Statement. In J1 every unit cube is cut into d! simplices by sorting the distances u_k of the point from the cube's vertex of
even coordinates (k = 1..d); reflections in integer hyperplanes map J1 to itself. The spike of a node n (1 at n, 0 at all other
nodes, linear on every simplex) is, with tau_k = max(1 - |x_k - n_k|, 0) and S = the axes where n_k is odd,
    phi(x) = max( min_{k in S} tau_k + min_{k not in S} tau_k - 1, 0 ),     an empty minimum being 1.
Proof. In a cube that contains n, x is the mean over s in [0, 1] of the vertices e_T(s), T(s) = {k: u_k >= s}; n is the vertex
e_S, met iff max_{not S} u_k < s <= min_S u_k; u_k = tau_k on S and 1 - tau_k off it.
In the same way, the sum of the spikes of a box of nodes whose corners have odd coordinates exactly in S is
    max( min_S p_k + min_{not S} p_k - 1, 0 ),   p_k = the trapezoid that is 1 on the box and falls to 0 in one step.
The Kuhn (Freudenthal) triangulation of P18 is not mapped to itself by one reflection; J1 is, which is what networks need that
fold their local coordinates. Source: Todd's J1; the formulas are derived here.
"""

from __future__ import annotations

import numpy as np


def reflected_values(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The interpolant of `values` (K + 1 per axis) at places (n, d) in [0, K]; exact where no product is rounded.

    >>> reflected_values(np.array([[0, 1], [2, 4]]), np.array([[0.5, 0.25], [0.5, 0.5], [1, 0]])).tolist()
    [1.5, 2.0, 2.0]
    """
    most = np.array(values.shape) - 2
    cell = np.minimum(places.astype(np.int64), most)
    odd = cell & 1
    fraction = places - cell
    u = np.where(odd == 1, 1 - fraction, fraction)
    corner, direction = cell + odd, 1 - 2 * odd
    order = np.argsort(-u, axis=1, kind="stable")
    rows = np.arange(len(places))
    sorted_u = np.take_along_axis(u, order, axis=1)
    total = values[tuple(corner.T)] * (1 - sorted_u[:, 0])
    for i in range(places.shape[1]):
        corner[rows, order[:, i]] += direction[rows, order[:, i]]
        after = sorted_u[:, i + 1] if i + 1 < places.shape[1] else 0.0
        total = total + values[tuple(corner.T)] * (sorted_u[:, i] - after)
    return np.asarray(total)
