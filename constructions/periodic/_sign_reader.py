"""Which networks read their coefficients bit by bit from one weight, and what is their error? Read, rebuilt, compared."""

from __future__ import annotations

from typing import Any

from flint import fmpq

from approx.networks import Network
from approx.numbers import pi, to_fmpq
from approx.targets import Target
from constructions.periodic._fourier_fit import index_vectors
from constructions.periodic._fourier_plan import RAMP, ZONE, Cells, Seams
from constructions.periodic._fourier_reader import FourierStructure
from constructions.periodic._sign_network import sign_network
from constructions.periodic._sign_plan import SignGroup, SignPlan, bits_of, sign_groups
from constructions.superexpressive import _structure

Rows = list[tuple[str, Any, list[tuple[int, Any]]]]


def sign_structure(plan: SignPlan, target: Target, network: Network) -> FourierStructure:
    """The structure of a network that was built from a plan."""
    cells = Cells(target, plan.digits)
    return FourierStructure(cells, sign_groups(plan, cells), plan.centre, plan.clip, network)


@_structure.reader("deep-fourier, one weight")
def read_signs(network: Network, target: Target) -> FourierStructure | None:
    """The structure when the network is exactly `sign_network` of its own plan, else None."""
    if network.activations != {"sin", "relu", "identity"} or len(network.layers) < 8:
        return None
    try:
        plan = read_plan(network.exact_rows(), network.inputs, target)
        if sign_network(plan, target) != network:
            return None
    except (ValueError, TypeError, IndexError, AttributeError, KeyError, StopIteration, ZeroDivisionError):
        return None
    return sign_structure(plan, target, network)


def read_plan(rows: Rows, d: int, target: Target) -> SignPlan:
    """The plan whose numbers stand at their places; raises ValueError and its like on other networks."""
    digits = next(
        m
        for m in range(1, 64)
        for a, _, t in rows
        if a == "relu" and len(t) == 1 and t[0][1] == -(fmpq(2) ** (m + RAMP - 2))
    )
    cells = Cells(target, digits)
    basis = [row for row in rows if row[0] == "sin" and all(u < d for u, _ in row[2])][d * (2 * digits + 1) :]
    order = next(n for n in range(1, 200) if 2 * sum(len(v) for v in _vectors(cells, n).values()) == len(basis))
    word = to_fmpq(next(bias for _, bias, terms in rows if not terms))
    bits = bits_of(word)
    sizes = {s: 1 + 2 * len(v) for s, v in _vectors(cells, order).items()}
    depth = len(bits) // (cells.count * sum(sizes.values()))
    near = {d + k for k, (_, bias, _) in enumerate(rows) if bias == 1 - fmpq(4) ** (ZONE - 1)}
    clip = next(to_fmpq(weight) for u, weight in rows[-1][2] if u in near)
    ranges = _ranges(rows, d, sizes, depth)
    groups: dict[Seams, SignGroup] = {}
    for seams, size in sizes.items():
        own, basis = basis[1:size:2], basis[size - 1 :]
        frequencies = [tuple(to_fmpq(dict(terms).get(i, 0)) for i in range(d)) for _, _, terms in own]
        groups[seams] = SignGroup(tuple(frequencies), tuple(ranges[:size]))
        ranges = ranges[size:]
    if clip < 6 * max(sum(g.ranges, fmpq(0)) for g in groups.values()):
        raise ValueError("such a clip would cut")
    bare = SignPlan(digits, depth, fmpq(0), clip, groups, bits)
    centre = to_fmpq(rows[-1][1]) - to_fmpq(sign_network(bare, target).exact_rows()[-1][1])
    return SignPlan(digits, depth, centre, clip, groups, bits)


def _vectors(cells: Cells, order: int) -> dict[Seams, list[tuple[int, ...]]]:
    d = cells.target.dimension
    return {s: index_vectors(d - len(s), order) if len(s) < d else [] for s in cells.kinds()}


def _ranges(rows: Rows, d: int, sizes: dict[Seams, int], depth: int) -> list[fmpq]:
    """R_g of all groups in order: how the first bit of every coefficient enters the sums."""
    turn = 2 * pi()
    readers: dict[int, list[tuple[int, Any]]] = {}
    for k, (_, _, terms) in enumerate(rows):
        for u, weight in terms:
            readers.setdefault(u, []).append((d + k, weight))
    found = []
    signs = [d + k for k, (a, _, terms) in enumerate(rows) if a == "sin" and len(terms) == 1 and terms[0][1] == turn]
    signs = [u for u in signs if rows[u - d][2][0][0] >= d]
    for place, unit in enumerate(signs[::depth]):
        missing = readers[readers[unit][0][0]][0][0]
        constant = place in _firsts(sizes)
        # A constant's bit enters by itself, any other through its gate, which reads it before anything else does.
        source = missing if constant else readers[missing][0][0]
        found.append(abs(to_fmpq(readers[source][0][1])))
    return found


def _firsts(sizes: dict[Seams, int]) -> set[int]:
    starts, total = set(), 0
    for size in sizes.values():
        starts.add(total)
        total += size
    return starts
