"""Which kept units of a program of squares are piecewise affine in x, and what are they exactly?

A grid of cells is read by such units; they are most of the units of a local Taylor network, and they bend at points that no
halving of the domain meets. On an interval between their kinks each of them is affine, so a Taylor model (square_bound.py)
of it takes two rational values instead of a chain of activations, and loses nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from flint import fmpq

from approx.certification.square_program import SquareProgram, Step

#: No further units are followed once there are so many kinks.
_MOST = 1 << 10


class AffineUnits:
    """The units that depend on x without any square, by their exact values at the points where one of them bends.

    nodes: these points and the ends of the domain, in order; units: all that are followed. Values are kept of those that a
    unit outside reads. Cost O(units * kinks) rational operations.
    """

    def __init__(self, program: SquareProgram, lower: fmpq, upper: fmpq) -> None:
        self.nodes = [lower, upper]
        self.units: set[int] = {0}
        self._values: dict[int, list[fmpq]] = {0: list(self.nodes)}
        chosen = _affine(program)
        last = _last_uses(program, chosen)
        for step in (s for s in program.steps if s.unit in chosen):
            if len(self.nodes) > _MOST:
                break
            self._follow(step)
            self.units.add(step.unit)
            for source in [s for s in (step.unit, *step.linear) if last.get(s, 0) <= step.unit]:
                self._values.pop(source, None)

    def model(self, unit: int, left: fmpq, right: fmpq) -> tuple[fmpq, fmpq, fmpq]:
        """(value at the centre of the chord over [left, right], half its rise, how far the unit is from it)."""
        row, first = self._values[unit], bisect_right(self.nodes, left)
        a, b = self._at(row, left), self._at(row, right)
        away = fmpq(0)
        for i in range(first, bisect_left(self.nodes, right)):
            chord = a + (b - a) * (self.nodes[i] - left) / (right - left)
            away = max(away, abs(row[i] - chord))
        return (a + b) / 2, (b - a) / 2, away

    def _at(self, row: list[fmpq], x: fmpq) -> fmpq:
        i = min(max(bisect_right(self.nodes, x), 1), len(self.nodes) - 1)
        x0, x1 = self.nodes[i - 1], self.nodes[i]
        return row[i - 1] + (row[i] - row[i - 1]) * (x - x0) / (x1 - x0)

    def _follow(self, step: Step) -> None:
        z = [step.constant] * len(self.nodes)
        for source, weight in step.linear.items():
            z = [t + weight * v for t, v in zip(z, self._values[source], strict=True)]
        self._values[step.unit] = z
        if step.activation != "identity":
            self._bend(z)
            z = self._values[step.unit]
            self._values[step.unit] = [abs(v) if step.activation == "abs" else max(v, fmpq(0)) for v in z]

    def _bend(self, z: list[fmpq]) -> None:
        """Make the roots of z nodes; all values follow."""
        places = [i for i in range(len(z) - 1) if z[i] * z[i + 1] < 0]
        if not places:
            return
        roots = [(i, z[i] / (z[i] - z[i + 1])) for i in places]
        self.nodes = _with(self.nodes, roots)
        self._values = {unit: _with(row, roots) for unit, row in self._values.items()}


def _with(row: list[fmpq], roots: list[tuple[int, fmpq]]) -> list[fmpq]:
    """The values with those at the roots: (interval, fraction of it)."""
    grown, begin = [], 0
    for i, t in roots:
        grown += [*row[begin : i + 1], row[i] + t * (row[i + 1] - row[i])]
        begin = i + 1
    return grown + row[begin:]


def _affine(program: SquareProgram) -> set[int]:
    found = {0}
    for s in program.steps:
        if not (s.squares or s.roots or s.errors) and found >= s.linear.keys():
            found.add(s.unit)
    return found


def _last_uses(program: SquareProgram, chosen: set[int]) -> dict[int, float]:
    """The last unit that reads a unit; infinite where a unit outside does, or it is the output."""
    last: dict[int, float] = {program.steps[-1].unit: float("inf")}
    for step in program.steps:
        for source in step.reads:
            last[source] = max(last.get(source, 0), step.unit if step.unit in chosen else float("inf"))
    return last
