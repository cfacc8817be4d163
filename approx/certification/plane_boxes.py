"""Is a network of two variables so easy that a few rectangles settle it? A short branch and bound before polygons are cut."""

from __future__ import annotations

import numpy as np

from approx.certification.gadget_forms import Forms
from approx.certification.mesh import Mesh, Rectangle
from approx.certification.plane_cover import PlaneCover
from approx.certification.polygon_bounds import Bounds, Frames, bound_by_cells


def bound_rectangles(
    forms: Forms, cover: PlaneCover, rectangles: np.ndarray, cell: np.ndarray
) -> tuple[Bounds, np.ndarray]:
    """(Bounds of the rectangles (4, n) left, right, bottom, top in the given cells; which side to halve first).

    The network is replaced by its affine enclosure on each rectangle (affine_forms).
    """
    left, right, bottom, top = rectangles
    centre = np.stack([0.5 * (left + right), 0.5 * (bottom + top)], axis=1)
    reach = np.stack([right - centre[:, 0], centre[:, 0] - left, top - centre[:, 1], centre[:, 1] - bottom])
    half = np.stack([np.maximum(reach[0], reach[1]), np.maximum(reach[2], reach[3])], axis=1) * (1 + 2.0**-51)
    with np.errstate(all="ignore"):
        p, a, e, blame = forms(centre, half)
    frames = Frames(np.concatenate([centre.T, half.T, p[None], a.T, e[None]]))
    count = len(left)
    x = np.stack([left, right, right, left], axis=1).ravel()
    y = np.stack([bottom, bottom, top, top], axis=1).ravel()
    mesh = Mesh(x, y, np.arange(4 * count), 4 * np.arange(count + 1))
    width = half / half.max(axis=1, keepdims=True)
    side = np.argmax(np.nan_to_num(blame, nan=0.0) + 1e-3 * blame.sum(axis=1, keepdims=True) * width, axis=1)
    side = np.where(blame.sum(axis=1) > 0, side, np.argmax(half, axis=1))
    return bound_by_cells(cover, mesh, frames, cell, 0.0), side


def rectangle_array(rectangles: list[Rectangle]) -> np.ndarray:
    """The array (4, n) of rectangles."""
    return np.array([[r.left, r.right, r.bottom, r.top] for r in rectangles]).T


def halves_of(rectangles: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Both halves (4, 2n) of rectangles, across the x side (0) or the y side (1)."""
    left, right, bottom, top = rectangles
    x, y = 0.5 * (left + right), 0.5 * (bottom + top)
    wide = side == 0
    first = np.stack([left, np.where(wide, x, right), bottom, np.where(wide, top, y)])
    second = np.stack([np.where(wide, x, left), right, np.where(wide, bottom, y), top])
    return np.concatenate([first, second], axis=1)
