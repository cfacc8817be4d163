"""What sup |f - net| is in three and more variables for networks of ReLUs: boxes, cut across axes or along the kinks of ReLUs.

A part of the domain is a box and the signs that a few ReLUs have on it. There such a ReLU is 0 or its argument z and its chord
loses nothing (neuron_signs); a part that is cut along a kink becomes two on the same box, z >= 0 and z <= 0.

Rule: a part is cut along the kink of the ReLU that loses most if that is seven tenths of all that is lost on the part (by ReLUs
and by the bending of f), and across an axis otherwise: halving a box lessens what all the others lose as well. Sizes decide,
never the clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.certification.boxes import Boxes, BoxSearch, bending, concatenate, halved
from approx.certification.gadget_forms import GadgetForms
from approx.certification.neuron_signs import Assumptions

_UNIT = 2.0**-53
#: ReLUs whose signs one part may hold.
_MOST_SIGNS = 4
#: A part is cut along a kink if one ReLU loses this share of what is lost on the part.
_SHARE = 0.7


@dataclass
class Parts(Boxes):
    """Boxes with assumed signs (parts, slots): n + 1 where node n has an argument >= 0, -n - 1 where <= 0, 0 for no node.

    worst: the node that loses most on each; kink: whether to cut along its kink.
    """

    signs: np.ndarray
    worst: np.ndarray
    kink: np.ndarray


class SplitSearch(BoxSearch):
    """A branch and bound whose parts have signs."""

    forms: GadgetForms

    def halve(self, boxes: Parts) -> Parts:  # type: ignore[override]
        """Both parts of every part, with their bounds."""
        along, across = boxes.take(np.flatnonzero(boxes.kink)), boxes.take(np.flatnonzero(~boxes.kink))
        rows, free = np.arange(len(along.cell)), np.abs(along.signs).argmin(axis=1)
        one, other = along.signs.copy(), along.signs.copy()
        one[rows, free], other[rows, free] = along.worst + 1, -along.worst - 1
        centre, half = halved(across, self.kinks)
        parents = concatenate([along, along, across, across])
        centre = np.concatenate([along.centre, along.centre, centre])
        half = np.concatenate([along.half, along.half, half])
        parts = self.bound(centre, half, parents.cell, np.concatenate([one, other, across.signs, across.signs]))
        parts.upper = np.minimum(parts.upper, parents.upper)
        return parts

    def bound(self, centre: np.ndarray, half: np.ndarray, cell: np.ndarray, signs: np.ndarray | None = None) -> Parts:
        """The Parts with their bounds; without signs if none are given."""
        self.work.count("boxes", len(cell))
        if signs is None:
            signs = np.zeros((len(cell), _MOST_SIGNS), dtype=np.int64)
        d = centre.shape[1]
        with np.errstate(all="ignore"):
            q, rounding = self.cover.expand(cell, centre, half)
            assumed = Assumptions(signs, d)
            p, a, e, weight, worst, most, lost = self.forms.signed(centre, half, assumed)
            constant, linear, square, slack, other = self.difference(cell, q, rounding, p, a, e)
            up, at_up, size_up = assumed.least(constant, linear, square)
            down, at_down, size_down = assumed.least(-constant, -linear, -square)
            size = np.abs(constant) + np.abs(linear).sum(axis=1) + np.abs(square).sum(axis=1) + np.maximum(size_up, size_down)
            upper = np.maximum(up, down) + slack + 16 * (d + _MOST_SIGNS) * _UNIT * (size + slack)
            # A part that is empty needs no bound.
            upper = np.where(assumed.empty, 0.0, np.where(np.isnan(upper), np.inf, upper))
            side = np.where((up >= down)[:, None], at_up, at_down)
            bends = bending(square, other)
            axis = np.argmax(np.nan_to_num(bends + weight, nan=np.inf), axis=1)
            kept = np.where(assumed.needed, signs, 0)
            kink = (most >= _SHARE * (lost + bends.sum(axis=1))) & (most > 0) & (kept == 0).any(axis=1)
        return Parts(centre, half, cell, upper, axis, centre + half * side, np.maximum(up, down), kept, worst, kink)
