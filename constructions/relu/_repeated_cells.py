"""Which cells of a zig-zag are equal, so that they share one copy? Patterns up to reversal, and the tents that select them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constructions.relu._zigzag import CellPlan


@dataclass(frozen=True)
class Pattern:
    """One remainder gamma at 0, 1, ..., steps, and rho = constant + sum of weight * relu(tau - steps * knot).

    rho rises 0 -> steps on the cells whose remainder is gamma, falls on those whose remainder is gamma reversed, and
    is within [0, steps] everywhere: gamma(rho) is the remainder on all these cells.
    """

    values: np.ndarray
    constant: int
    knots: np.ndarray
    weights: np.ndarray

    def hinges(self) -> list[tuple[int, int]]:
        """(i, c): gamma(rho) = sum of c relu(rho - i), c != 0, i rising from 0."""
        slopes = np.diff(self.values, prepend=0)[1:]
        jumps = np.diff(slopes, prepend=0)
        return [(int(i), int(jumps[i])) for i in np.flatnonzero(jumps)]


def repeated(plan: CellPlan, parity: int, reversals: bool = True) -> list[Pattern]:
    """The distinct non-zero remainders of the even (parity 0) or odd (1) cells, with the tents that select their cells.

    A cell's tent has its other half on a neighbour, of the other parity: what gamma(rho) is there has to be clipped away.
    Cost O(cells * steps) and a sort.
    """
    cells = np.arange(parity, plan.cells, 2)
    rows = plan.remainders[cells]
    kept = rows.any(axis=1)
    cells, rows = cells[kept], rows[kept]
    if len(cells) == 0:
        return []
    turned = np.zeros(len(cells), dtype=bool)
    if reversals:
        gap = rows - rows[:, ::-1]
        first = (gap != 0).argmax(axis=1)
        turned = gap[np.arange(len(cells)), first] > 0
        rows = np.where(turned[:, np.newaxis], rows[:, ::-1], rows)
    order, starts = _equal_rows(rows)
    found = []
    for group in np.split(order, starts[1:]):
        found.append(_pattern(rows[group[0]], cells[group], turned[group], plan.steps, plan.cells))
    return found


def _equal_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Rows as byte strings: a sort brings equal ones together.
    flat = np.ascontiguousarray(rows[:, 1:-1], dtype=np.int32)
    keys = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
    _, inverse = np.unique(keys, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return order, np.searchsorted(inverse[order], np.arange(inverse.max() + 1))


def _pattern(values: np.ndarray, cells: np.ndarray, turned: np.ndarray, steps: int, last: int) -> Pattern:
    peaks = cells + np.where(turned, 0, 1)
    weights = np.zeros(last + 3, dtype=np.int64)
    np.add.at(weights, peaks - 1 + 1, 1)  # index k + 1 stands for knot k, as the first tent may rise left of the domain
    np.add.at(weights, peaks + 1, -2)
    np.add.at(weights, peaks + 1 + 1, 1)
    constant = 0
    if weights[0]:  # relu(tau + steps) = tau + steps on the domain
        weights[1] += weights[0]
        constant = int(weights[0]) * steps
    knots = np.flatnonzero(weights[1 : last + 1])
    return Pattern(values, constant, knots, weights[1 : last + 1][knots])
