"""How far is a point from a box of nodes? Ends of even and of odd coordinates, the largest of each, in few units a layer.

Statement. In the triangulation J1 (_reflected) the hat functions of the nodes of a box, low_k .. high_k per axis, sum up to
    max(1 - max_S e - max_{not S} e, 0),   e = max(low_k - u_k, 0) and max(u_k - high_k, 0), the two ends of every axis,
S = the ends of odd coordinates. Proof. In a cell at most one end per axis has 0 < e < 1. Where one has e >= 1 no vertex of the
cell belongs to the box, and both sides are 0. Else the vertices that do are those of a face, given by the ends with e > 0 in
the cell, and the formula of _reflected for a box applies to it.
max(f_1, .., f_m, 0) of affine functions f_i of what is carried anyway takes m layers of one unit,
    s_1 = max(f_1 - f_2, 0),   s_i = max(f_i + s_(i-1) - f_(i+1), 0),   f_(m+1) = 0,
and for m = 5, 6 four layers of two: s_1, s_2 for two parts, then max of the difference next to one of them, then the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from approx.networks import Form

#: An end, sign * (u_axis - place), by (sign, axis, place).
End = tuple[int, int, int]
#: Yields what the units of a layer read, is sent the units; returns the largest of the ends, cut at 0.
_Largest = Generator[list[Form], list[Form], Form]

#: How many layers a distance takes, at most.
MOST_LAYERS = 4


def grouped(box: list[tuple[int, int]], parities: tuple[int, ...]) -> list[list[End]]:
    """The ends of even and of odd coordinates of a box of (low, high); parities are those of the local node 0."""
    groups: list[list[End]] = [[], []]
    for axis, ((low, high), q) in enumerate(zip(box, parities, strict=True)):
        groups[(low + q) % 2].append((-1, axis, low))
        groups[(high + q) % 2].append((1, axis, high))
    return groups


def layers_of(groups: list[list[End]]) -> int:
    """The layers that the distance takes."""
    return min(max(map(len, groups)), MOST_LAYERS)


class BoxDistance:
    """The distance max_S e + max_{not S} e after so many layers from here; value(end) is an end over the last layer's units."""

    def __init__(self, groups: list[list[End]], value: Callable[[End], Form], layers: int) -> None:
        self.left = layers
        self._waiting = [(layers_of([ends]), _largest(ends, value)) for ends in groups if ends]
        self._running: list[tuple[_Largest, list[Form]]] = []
        self.form = Form()

    def forms(self) -> list[Form]:
        """What the units of the next layer read."""
        self._running += [(run, next(run)) for length, run in self._waiting if length == self.left]
        return [form for _, forms in self._running for form in forms]

    def take(self, units: list[Form]) -> None:
        """The next layer is written, and these are its units."""
        self.left = max(self.left - 1, 0)
        running, self._running = self._running, []
        for run, forms in running:
            found, units = units[: len(forms)], units[len(forms) :]
            try:
                self._running.append((run, run.send(found)))
            except StopIteration as end:
                self.form = self.form + end.value


def _largest(ends: list[End], value: Callable[[End], Form]) -> _Largest:
    if len(ends) <= MOST_LAYERS:
        top = value(ends[0])
        for end in ends[1:]:
            [unit] = yield [top - value(end)]
            top = value(end) + unit
        [unit] = yield [top]
        return unit
    [a, b, c], [*d, e, f] = ends[:3], ends[3:]
    s, *t = yield [value(a) - value(b), *(value(end) - value(e) for end in d)]
    s, rest = yield [value(b) + s - value(c), sum(t, value(e)) - value(f)]
    more, rest = yield [value(c) + s - value(f) - rest, rest]
    [unit] = yield [value(f) + rest + more]
    return unit
