"""How are the arguments of many networks of one shape computed at once? Rows of combinations, with weights per network.

Networks of one shape (`shape`) read the same columns everywhere and differ in their numbers only: the cells of a local
construction, once what is dead there has been folded away. Box b belongs to network which[b]. A single network is a sparse
matrix; several are a list of entries, gathered per box.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from approx.certification.gadget_products import Step, Steps
from approx.certification.square_sums import Form
from approx.numbers import to_float


def shape(steps: Steps) -> Hashable:
    """What networks must have in common to be enclosed together; promises make a network its own shape."""
    if steps.promises:
        return id(steps)

    def keys(form: Form | None) -> Any:
        return None if form is None else tuple(sorted(form))

    rows = tuple((keys(s.form), s.levels, s.two_sided, keys(s.other)) for s in steps.steps)
    return steps.inputs, rows, keys(steps.output)


class Rows:
    """Linear combinations of the columns before `columns`, one per form; forms[i][k] is row i of network k."""

    def __init__(self, forms: Sequence[Sequence[Form]], columns: int) -> None:
        self.count, self.columns = len(forms), columns
        networks = len(forms[0]) if forms else 1
        rows, cols, values = [], [], []
        self.constant = np.zeros((len(forms), networks))
        for i, form in enumerate(forms):
            for key in form[0]:
                numbers = [to_float(f[key]) for f in form]
                if key < 0:
                    self.constant[i] = numbers
                else:
                    rows.append(i)
                    cols.append(key)
                    values.append(numbers)
        self.rows, self.cols = np.array(rows, dtype=np.int64), np.array(cols, dtype=np.int64)
        self.values = np.array(values).reshape(len(rows), networks)
        self.length = np.bincount(self.rows, minlength=len(forms))[:, None] + 7.0
        self.readers = float(np.bincount(self.cols, minlength=1).max(initial=0)) + 8.0
        self.single = networks == 1
        if self.single:
            part = (self.values[:, 0], (self.rows, self.cols))
            self.matrix = scipy.sparse.csr_array(part, shape=(len(forms), columns))
            self.absolute = abs(self.matrix)
            self.transposed, self.absolute_transposed = self.matrix.T.tocsr(), self.absolute.T.tocsr()

    def apply(self, x: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The combinations of x (columns, ..., boxes), without the constants."""
        if self.single:
            return np.asarray(self.matrix @ x.reshape(self.columns, -1)).reshape(self.count, *x.shape[1:])
        return self._summed(self.rows, self.values[:, which], x[self.cols], self.count)

    def apply_absolute(self, x: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The combinations with |weights| of x (columns, boxes)."""
        if self.single:
            return np.asarray(self.absolute @ x)
        return self._summed(self.rows, np.abs(self.values[:, which]), x[self.cols], self.count)

    def back(self, y: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The transposed combinations of y (rows, boxes): (columns, boxes)."""
        if self.single:
            return np.asarray(self.transposed @ y)
        return self._summed(self.cols, self.values[:, which], y[self.rows], self.columns)

    def back_absolute(self, y: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The transposed combinations with |weights|."""
        if self.single:
            return np.asarray(self.absolute_transposed @ y)
        return self._summed(self.cols, np.abs(self.values[:, which]), y[self.rows], self.columns)

    @staticmethod
    def _summed(place: np.ndarray, weights: np.ndarray, x: np.ndarray, count: int) -> np.ndarray:
        result = np.zeros((count, *x.shape[1:]))
        terms = x * (weights if x.ndim == 2 else weights[:, None])
        order = np.argsort(place, kind="stable")
        starts = np.flatnonzero(np.diff(place[order], prepend=-1))
        if len(starts):
            result[place[order][starts]] = np.add.reduceat(terms[order], starts, axis=0)
        return result


class Level:
    """Steps that read earlier ones only; arrays of places: relu (step, row), square (step, row), product (step, p, q)."""

    def __init__(self, first: int, steps: Sequence[Sequence[Step]]) -> None:
        self.first, self.count = first, len(steps)
        forms: list[list[Form]] = []
        places: tuple[list, list, list] = ([], [], [])
        for i, networks in enumerate(steps):
            step = networks[0]
            here = [first + i, len(forms)]
            forms.append([s.form for s in networks])
            if step.other is not None:
                here.append(len(forms))
                forms.append([s.other for s in networks])  # type: ignore[misc]
            places[kind(step)].append(here)
        self.rows = Rows(forms, first)
        self.relu, self.square, self.product = (
            np.array(p, dtype=np.int64).reshape(-1, w).T for p, w in zip(places, (2, 2, 3), strict=True)
        )
        squares = [s[0] for s in steps if kind(s[0]) == 1]
        self.square_levels = np.array([s.levels for s in squares], dtype=np.int64)[:, None]
        self.square_sides = np.array([s.two_sided for s in squares], dtype=bool)[:, None]
        self.product_levels = np.array([s[0].levels for s in steps if kind(s[0]) == 2], dtype=np.int64)[:, None]


def kind(step: Step) -> int:
    """0 for a ReLU, 1 for a square, 2 for a product."""
    return 0 if step.levels is None else 1 if step.other is None else 2
