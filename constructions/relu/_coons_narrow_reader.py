"""Which networks are Coons patches in the form of constant width? Their numbers stand at known places of the layers."""

from __future__ import annotations

import numpy as np
from flint import fmpq

from approx.networks import Network
from approx.targets import Target
from constructions.relu._coons_narrow import coons_narrow, surface_offset
from constructions.relu._coons_narrow_size import walk_layers
from constructions.relu._coons_plan import HIGHEST, MOST_NODES, CoonsPlan
from constructions.relu._coons_reader import FORMS, slopes_at
from constructions.relu._hoelder_patch_codes import local_nodes
from constructions.relu._line_walks import Leads, Walk, passes
from constructions.relu._packed_lines import NarrowNumbers
from constructions.relu._patch_codes import classes, digits_of, put_class
from constructions.relu._patch_reader import grid_of
from constructions.relu._plan_forms import Rows
from constructions.relu._strict_classes import read_codes
from constructions.relu._strict_products import HALF
from constructions.relu._two_scale_reader import exact_number


def _read(rows: Rows, network: Network, target: Target) -> CoonsPlan | None:
    """The plan of a network of this form: its numbers stand at fixed places of its layers."""
    d = target.dimension
    units = [layer.units for layer in network.layers]
    starts = [0, *np.cumsum(units).tolist()]
    # The first layer: the coordinates, what the first pass selects, and one or two units of a fold.
    chosen = 3 * 2 ** (d - 1)
    _, fold, weights = rows[d + chosen]
    cells, steps = grid_of(dict(weights)[0], fold + HALF, target)
    if (cells * steps) ** d > MOST_NODES:
        return None
    if 2 ** (d + 1) * steps ** (d - 1) * (steps + 1) > len(network.layers):  # fewer than the first pass has
        return None
    layer, code = read_codes(rows, network, cells, (0,) * d, 0, 0)[1], d + chosen
    first = _digit_counts(rows, starts, layer, code, d, line=False)
    order = len(first)
    if not 3 <= order <= HIGHEST[d] or steps < order:
        return None
    walk = Walk(passes(order, d)[0], order, steps, d)
    moved: tuple[int, ...] = (1,)
    before = layer + 2 * sum(first) + 1
    for move in walk.moves():
        if move.kind != "first":
            if move.new:
                moved = _digit_counts(rows, starts, before, code, d, line=True)[:1]
            if move.new or move.kind == "change":
                break
            before += 2
    second = walk_layers(walk, Leads(first, first, moved))[1]
    leads = Leads(first, _digit_counts(rows, starts, layer + second, code, d, line=True), moved)
    digits, passed = int(walk.all_counts(leads).sum()), walk_layers(walk, leads)[0]
    levels, layer = np.zeros((cells * steps,) * d, dtype=np.int64), 0
    for parities in classes(d):
        codes, layer = read_codes(rows, network, cells, parities, layer, digits)
        parts = walk.parts_from(digits_of(codes, digits), leads)
        put_class(levels, cells, steps, parities, local_nodes(steps, d), parts[..., 1:, 0].reshape(len(codes), -1))
        layer += passed
    _, base, output = rows[-1]
    inputs, last = dict(output), d + starts[-2]
    slopes = slopes_at(inputs, last - d - 1, target, cells * steps - 1)
    numbers = exact_number(inputs[last - 1]), levels, tuple(exact_number(s) for s in slopes)
    plan = CoonsPlan(cells, steps, 1, 0.0, *numbers, order)
    base += inputs[last - 1] * surface_offset(plan, NarrowNumbers(plan))
    return CoonsPlan(cells, steps, 1, exact_number(base), *numbers, order).checked()


def _digit_counts(rows: Rows, starts: list[int], layer: int, code: int, dimension: int, line: bool) -> tuple[int, ...]:
    """The digits of the numbers that are read from this layer on, one after the other.

    While digits are read their first unit, after T, U and the closure of the line, reads the code; T takes them with weights
    that fall by the factor 3 within a number.
    """
    found: list[int] = []
    before, place = fmpq(0), code + 1 + dimension  # of T
    unit = place + 2 + line
    while dimension + starts[layer - 1] + code in dict(rows[starts[layer] + unit][2]):
        weight = dict(rows[starts[layer + 2] + place][2])[dimension + starts[layer + 1] + unit]
        if found and 3 * weight == before:
            found[-1] += 1
        else:
            found.append(1)
        before, layer = weight, layer + 2
    return tuple(found)


FORMS.add(_read, coons_narrow)
