"""What do assumed signs of ReLUs say of a network on boxes? Chords without a loss, and affine functions that are >= 0.

A ReLU of argument z and sign s is z or 0 where s z >= 0. On a box z = q + b.u + [-f, f] with u in [-1, 1]^d, so that where the
sign is right L(u) = s q + f + s b.u >= 0. For every multiplier m >= 0

    sup {G(u) : u in the box, s z >= 0} <= max over the box of G + m L,

so multipliers may be guessed; they are looked for among those where a slope of G + m L vanishes. Where L < 0 on the whole box,
no point of it has that sign.
"""

from __future__ import annotations

import copy

import numpy as np

from approx.certification.boxes import separable

_UNIT = 2.0**-53
_SWEEPS = 2
_LARGEST = 1e9


class Assumptions:
    """Signs of nodes on boxes: they fix chords on the way through the network, and become affine functions that are >= 0."""

    def __init__(self, signs: np.ndarray, inputs: int) -> None:
        self.signs = signs
        self.constant, self.slopes = np.zeros(signs.shape), np.zeros((*signs.shape, inputs))
        self.size = np.zeros(signs.shape)
        self.empty, self.needed = np.zeros(len(signs), dtype=bool), np.zeros(signs.shape, dtype=bool)

    def rows(self, part: slice) -> Assumptions:
        """Those of some of the boxes; what is written there is written here."""
        view = copy.copy(self)
        for name, array in vars(self).items():
            setattr(view, name, array[part])
        return view

    def fix(self, first: int, chord: np.ndarray, q: np.ndarray, b: np.ndarray, f: np.ndarray) -> None:
        """Put the chords of signed nodes in place; arguments are q + b.u + [-f, f] for the nodes from `first` on."""
        node = np.abs(self.signs) - 1 - first
        row, slot = np.nonzero((node >= 0) & (node < len(q)))
        if not len(row):
            return
        k, s = node[row, slot], np.sign(self.signs[row, slot]).astype(float)
        chord[:, k, row] = np.stack([s > 0, np.zeros(len(k)), np.zeros(len(k))])
        value, slopes, error = q[k, row], b[k, :, row], f[k, row]
        size = np.abs(value) + error
        constant = s * value + (error + 8 * _UNIT * size)
        reach = np.abs(slopes).sum(axis=1) * (1 + 2.0**-40)
        np.logical_or.at(self.empty, row, constant + reach < 0)
        # Where s z >= 0 on the whole box the sign says nothing more.
        self.needed[row, slot] = ~(s * value - error - reach > 0)
        self.constant[row, slot], self.slopes[row, slot] = constant, s[:, None] * slopes
        self.size[row, slot] = size + np.abs(slopes).sum(axis=1)

    def least(self, constant: np.ndarray, linear: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, ...]:
        """(bound, argmax, size): max of c + l.u + s.u^2 over the box and the assumptions, for the best multipliers found.

        size: what the multipliers add to the sizes of numbers that are rounded.
        """
        found = np.zeros(self.signs.shape)
        for _ in range(_SWEEPS if self.signs.shape[1] > 1 else 1):
            for k in np.flatnonzero(self.needed.any(axis=0)).tolist():
                found[:, k] = 0.0
                c, l = self._added(found, constant, linear)
                found[:, k] = self._multiplier(k, c, l, square)
        c, l = self._added(found, constant, linear)
        return *separable(c, l, square), (found * self.size).sum(axis=1)

    def _added(self, found: np.ndarray, constant: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(constant, linear) of the function with the assumptions added."""
        return constant + (found * self.constant).sum(axis=1), linear + np.einsum("nk,nkd->nd", found, self.slopes)

    def _multiplier(self, k: int, constant: np.ndarray, linear: np.ndarray, square: np.ndarray) -> np.ndarray:
        """The best multiplier of the k-th assumption among 0 and those where a slope vanishes."""
        slopes = self.slopes[:, k]
        trials = -linear / np.where(slopes == 0, np.nan, slopes)
        trials = np.where((trials > 0) & (trials < _LARGEST) & self.needed[:, k, None], trials, 0.0)
        best, least = np.zeros(len(linear)), separable(constant, linear, square)[0]
        for t in trials.T:
            value = separable(constant + t * self.constant[:, k], linear + t[:, None] * slopes, square)[0]
            best, least = np.where(value < least, t, best), np.fmin(value, least)
        return best
