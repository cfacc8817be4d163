"""Is the certificate of a step network true? Its cells are found from its first units, its values literally, one by one.

Shares nothing with the fast path but the target: the cell around a point is the intersection of the intervals on which the
floor units of the inputs keep their values; the network is evaluated there layer by layer in rationals; and |f - value| is
bounded on the cell by halving boxes, with the range of f or its slopes on each.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise, product
from typing import TYPE_CHECKING, Any

from flint import arb, fmpq

from approx.errors import UnsupportedError
from approx.evaluation import evaluate_exact
from approx.evaluation.exact import RATIONAL

if TYPE_CHECKING:
    from approx.certification.certificate import Certificate
    from approx.networks import Network
    from approx.targets import Target

_SAMPLE, _MOST_CELLS, _MOST_BOXES = 64, 20_000, 4000
Cell = tuple[tuple[fmpq, fmpq], ...]


def check_cells(
    c: Certificate, net: Network, target: Target, level: str, proved: list[str], observed: list[str], refuted: list[str]
) -> bool:
    """Prove `upper` again on 64 cells ("regions") or on all of them ("full"); False when this is no step network of axes.

    Raises UnsupportedError when "full" would mean more than 20,000 cells. Cost: a literal evaluation per cell.
    """
    jumps = _jumps(net)
    if jumps is None:
        return False
    upper = arb("inf") if c.upper == float("inf") else arb(fmpq(*c.upper.as_integer_ratio()))
    undecided = count = 0
    for cell in _cells(c, jumps, level):
        count += 1
        try:
            value = evaluate_exact(net, [[(a + b) / 2 for a, b in cell]])[0]
        except UnsupportedError:  # a power that is no rational: not the steps meant here
            return False
        verdict = _below(target, cell, value, upper)
        if verdict is False:
            where = " x ".join(f"[{float(arb(a).mid()):.6g}, {float(arb(b).mid()):.6g}]" for a, b in cell)
            refuted.append(f"|f - net| <= {c.upper:.17g} is wrong on the cell {where}")
            return True
        undecided += verdict is None
    which = "all" if level == "full" else "a sample of"
    if undecided:
        observed.append(f"|f - net| <= {c.upper:.6g} was left undecided on {undecided} of {count} cells")
    proved.append(f"|f - net| <= {c.upper:.6g} on {count - undecided} cells ({which} the cells)")
    return True


def _jumps(net: Network) -> list[list[tuple[fmpq, fmpq]]] | None:
    """For every input the (scale, offset) of the floor units that read it; None if anything else reads an input."""
    if "floor" not in net.activations or not net.activations <= RATIONAL or not net.tags["rational"]:
        return None
    found: list[list[tuple[fmpq, fmpq]]] = [[] for _ in range(net.inputs)]
    for activation, bias, terms in net.exact_rows():
        axes = [u for u, _ in terms if u < net.inputs]
        if not axes:
            continue
        if activation != "floor" or len(terms) != 1 or not terms[0][1] > 0:
            return None
        found[axes[0]].append((terms[0][1], bias))
    return found


def _cells(c: Certificate, jumps: list[list[tuple[fmpq, fmpq]]], level: str) -> Iterator[Cell]:
    if level == "full":
        axes = []
        for (low, high), units in zip(c.domain, jumps, strict=True):
            edges = {low, high}
            for scale, offset in units:
                first, last = int((scale * low + offset).floor()) + 1, int((scale * high + offset).floor())
                if last - first > _MOST_CELLS:
                    raise UnsupportedError(f"level 'full' is for at most {_MOST_CELLS:,} cells; use 'regions'")
                edges.update((k - offset) / scale for k in range(first, last + 1))
            # The end of the domain may be a jump: a cell of that one point.
            axes.append([*pairwise(sorted(edges)), (high, high)])
        cells = list(islice(product(*axes), _MOST_CELLS + 1))
        if len(cells) > _MOST_CELLS:
            raise UnsupportedError(f"level 'full' is for at most {_MOST_CELLS:,} cells; use 'regions'")
        yield from cells
        return
    points = [list(c.witness)]
    for k in range(1, _SAMPLE):
        shares = [fmpq((m * k) % 1_000_003, 1_000_003) for m in (618033, 754877, 569840)]
        points.append(
            [a + (b - a) * s for (a, b), s in zip(c.domain, (shares * len(c.domain))[: len(c.domain)], strict=True)]
        )
    for point in points:
        yield tuple(_around(x, *side, units) for x, side, units in zip(point, c.domain, jumps, strict=True))


def _around(x: fmpq, low: fmpq, high: fmpq, units: list[tuple[fmpq, fmpq]]) -> tuple[fmpq, fmpq]:
    for scale, offset in units:
        place = (scale * x + offset).floor()
        low, high = max(low, (place - offset) / scale), min(high, (place + 1 - offset) / scale)
    return low, high


def _below(target: Target, cell: Cell, value: fmpq, upper: arb) -> bool | None:
    """Whether |f - value| <= upper on the cell: proved, refuted, or undecided after 4000 boxes."""
    boxes: list[Cell] = [cell]
    for _ in range(_MOST_BOXES):
        if not boxes:
            return True
        box = boxes.pop()
        balls: list[Any] = [arb(a).union(arb(b)) for a, b in box]
        middle = abs(target.ball([arb((a + b) / 2) for a, b in box]) - arb(value))
        if abs(target.ball(balls) - arb(value)) <= upper:
            continue
        slopes, _ = target.slopes_and_norm(balls)
        if sum((abs(s) * arb((b - a) / 2) for s, (a, b) in zip(slopes, box, strict=True)), middle) <= upper:
            continue
        if middle > upper:
            return False
        axis = max(range(len(box)), key=lambda i: box[i][1] - box[i][0])
        a, b = box[axis]
        for part in ((a, (a + b) / 2), ((a + b) / 2, b)):
            boxes.append((*box[:axis], part, *box[axis + 1 :]))
    return None
