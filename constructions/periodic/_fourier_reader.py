"""Which networks are deep Fourier networks, and what is their error? Read, rebuilt, compared; then cell by cell.

A plain sum of sines (one hidden layer) is one whatever its weights; it has one cell. With digits, the numbers of a plan
stand at known places among the weights; a network is recognised only if the plan so read gives back the very same network.
Then the theorem of _fourier_network says which function it is: in every place of every state a known sum of sines, whose
phases are decoded by integers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.approximant import BudgetItem
from approx.networks import Network
from approx.numbers import float_up, pi, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.periodic._fourier_code import Group, decoded_group, fixed_phase
from constructions.periodic._fourier_error import GroupModels, group_error
from constructions.periodic._fourier_network import fourier_network
from constructions.periodic._fourier_plan import RAMP, ZONE, Cells, Coded, FourierPlan, Seams
from constructions.superexpressive import _structure
from constructions.superexpressive._hat_reader import angle_bits

NAME = "deep-fourier"
#: Bits of the phases of plain sums.
_WIDTH = 256
Rows = list[tuple[str, Any, list[tuple[int, Any]]]]


class FourierStructure(_structure.Structure):
    """A recognised deep Fourier network with its decoded phases."""

    def __init__(self, cells: Cells, groups: dict[Seams, Group], centre: fmpq, clip: fmpq, network: Network) -> None:
        self.target, self.cells, self.groups = cells.target, cells, groups
        self.centre, self.clip, self.network = centre, clip, network

    @classmethod
    def of_plan(cls, plan: FourierPlan, target: Target, network: Network) -> FourierStructure:
        """The structure of a network that was built from a plan."""
        cells = Cells(target, plan.digits)
        groups = {s: decoded_group(cells, s, c, plan.bits) for s, c in plan.groups.items()}
        return cls(cells, groups, plan.centre, plan.clip, network)

    @cached_property
    def inner(self) -> GroupModels:
        """The function inside the cells."""
        return GroupModels(self.cells, self.groups[()], self.centre, self.network)

    @cached_property
    def errors(self) -> dict[Seams, tuple[float, tuple[Any, ...]]]:
        """A proved bound of |f - g_S| for every group, and where it is nearly attained."""
        found: dict[Seams, tuple[float, tuple[Any, ...]]] = {}
        for seams, group in self.groups.items():
            # Whatever is below the error inside the cells need not be known better.
            enough = 0.5 * found[()][0] if seams else 0.0
            found[seams] = group_error(self.cells, group, self.centre, self.network, enough)
        return found

    def items(self) -> tuple[BudgetItem, ...]:
        """Cells, seams beyond them, and what the clip leaves."""
        inside = self.errors[()][0]
        beyond = max(0.0, *(e - inside for e, _ in self.errors.values()))
        parts = (BudgetItem("cells", inside, "sines with decoded phases against f: Taylor models on every cell"),)
        if self.cells.digits == 0:
            return parts
        clip = float_up(self.target.dimension * self.clip * fmpq(1, 2**119))
        return (
            *parts,
            BudgetItem("seams", beyond, "what the error within 2^-60 cells of seams is larger: Taylor models there"),
            BudgetItem("clip", clip, "d clip 2^-119: what passes while digits change"),
        )

    def value(self, point: Sequence[fmpq]) -> arb:
        """A ball around the network's value: one state inside the cells, the hull of those in question at a seam."""
        choices, unsure = [], False
        for axis, x in enumerate(point):
            place = self.cells.place(axis, x)
            cell = min(int(place.p // place.q), self.cells.per_axis - 1)
            seam = int((place + fmpq(1, 2)).p // (place + fmpq(1, 2)).q)
            gap = abs(place - seam)
            close = seam < self.cells.per_axis and gap < fmpq(1, 2**ZONE)
            unsure = unsure or close
            allowed = [] if close and gap <= fmpq(1, 2**RAMP) else [(False, cell)]
            choices.append([*allowed, (True, seam)] if close else allowed)
        total: arb | None = None
        for states in itertools.product(*choices):
            seams = tuple(i for i, (is_seam, _) in enumerate(states) if is_seam)
            number = sum(self.cells.per_axis**i * s for i, (_, s) in enumerate(states))
            ball = self.groups[seams].balls(number, list(point))
            total = ball if total is None else total.union(ball)
        assert total is not None
        if unsure:
            total += arb(0, 1) * arb(len(point) * self.clip) / arb(2) ** 119
        return total + arb(self.centre)

    def values(self, points: np.ndarray) -> np.ndarray:
        """Float64 values, as if every point were inside its cell."""
        return self.inner.values(points)

    def candidates(self, count: int) -> np.ndarray:
        """A grid over the domain, the ends of the cells included, and the worst point that the bound's search met."""
        d = self.target.dimension
        per_cell = max(4, int(count ** (1 / d)) // self.cells.per_axis)
        line = (np.arange(self.cells.per_axis)[:, None] + np.linspace(1e-9, 1 - 1e-9, per_cell)).ravel()
        line = np.minimum(line / (self.cells.per_axis * (1 - 2.0**-20)), 1.0)
        grid = np.stack([g.ravel() for g in np.meshgrid(*[line] * d, indexing="ij")], axis=1)
        met = [[to_float(c) for c in self.errors[()][1]]]
        return np.concatenate([_structure.inside(self.target, grid), met])


@_structure.reader(NAME)
def read(network: Network, target: Target) -> FourierStructure | None:
    """The structure when the network is exactly `fourier_network` of its own plan, else None."""
    if network.activations != {"sin", "relu", "identity"} or len(network.layers) < 7:
        return None
    try:
        plan = _plan(network.exact_rows(), network, target)
        if plan is None or fourier_network(plan, target) != network:
            return None
    except (ValueError, TypeError, IndexError, AttributeError, KeyError, ZeroDivisionError):
        return None
    return FourierStructure.of_plan(plan, target, network)


@_structure.reader("sum of sines")
def read_plain(network: Network, target: Target) -> FourierStructure | None:
    """The structure of a constant plus a sum of sines with rational weights, else None."""
    kinds = [layer.activation for layer in network.layers]
    if kinds not in (["sin", "identity"], ["identity"]) or not network.tags["rational"]:
        return None
    d, rows = network.inputs, network.exact_rows()
    output = dict(rows[-1][2])
    if d > 2 or min(output, default=d) < d:
        return None
    frequencies, amplitudes, phases = [], [], []
    with working_precision(_WIDTH + 64):
        for u, weight in output.items():
            _, bias, terms = rows[u - d]
            weights = dict(terms)
            frequencies.append(tuple(to_fmpq(weights.get(i, 0)) for i in range(d)))
            amplitudes.append(weight)
            phases.append(fixed_phase(arb(bias) / (2 * arb.pi()), _WIDTH))
    group = Group((), tuple(frequencies), {0: tuple(amplitudes)}, {0: tuple(phases)}, _WIDTH, 2.0)
    return FourierStructure(Cells(target, 0), {(): group}, rows[-1][1], fmpq(0), network)


def _plan(rows: Rows, network: Network, target: Target) -> FourierPlan | None:
    d = network.inputs
    first = sum(all(u < d for u, _ in terms) for activation, _, terms in rows if activation == "sin")
    digits = (first // d - 1) // 2
    cells = Cells(target, digits)
    units = [(d + k, row) for k, row in enumerate(rows)]
    # The cosines read digits, which are ReLU units; the sines read coordinates and a cosine.
    cosines = [
        u for u, (a, _, terms) in units if a == "sin" and all(v >= d and rows[v - d][0] == "relu" for v, _ in terms)
    ]
    readers: dict[int, Any] = {}
    for _, _, terms in rows:
        for u, weight in terms:
            readers.setdefault(u, weight)
    bits = angle_bits(rows[cosines[0] - d][1])
    near = {u for u, (_, bias, _) in units if bias == 1 - fmpq(4) ** (ZONE - 1)}
    clip = next(to_fmpq(weight) for u, weight in rows[-1][2] if u in near)
    groups: dict[Seams, Coded] = {}
    for seams, cosine in zip(cells.kinds(), cosines, strict=True):
        frequencies, amplitudes, integers = [], [], []
        for u, (activation, _, terms) in units:
            weights = dict(terms)
            if activation == "sin" and cosine in weights:
                frequencies.append(tuple(to_fmpq(weights.get(i, 0)) for i in range(d)))
                integers.append(int(to_fmpq(weights[cosine] / pi() / 4).p))
                amplitudes.append(abs(to_fmpq(readers[u])))
        groups[seams] = Coded(tuple(frequencies), tuple(amplitudes), tuple(integers))
    bare = FourierPlan(digits, bits, fmpq(0), clip, groups)
    centre = to_fmpq(rows[-1][1]) - to_fmpq(fourier_network(bare, target).exact_rows()[-1][1])
    if clip < 2 * max(g.size for g in groups.values()):
        return None  # such a clip would cut
    return FourierPlan(digits, bits, centre, clip, groups)
