"""How do nodes and live values grow by one layer of a network of one variable? Its roots become nodes.

The live values are arrays (rows, nodes), the nodes themselves in row 0, the rows by UnitPlan.moving. Where the input of a ReLU
changes its sign between two nodes, the root of its chord becomes a node and all live values are interpolated there. Nothing
is proved here. root_kernel.py compiles the same operations (extra `fast`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from approx.certification.arithmetic import Arithmetic, Float64, Vector, take
from approx.certification.machine_code import machine_code
from approx.numbers.doubledouble import dd_add

if TYPE_CHECKING:
    from approx.certification.pieces import Program


def advance(program: Program, layer: int, live: Vector, arithmetic: Arithmetic) -> Vector:
    """The live values after one hidden layer (counted from 1), with the nodes that its ReLUs add."""
    plan = program.plan
    moving, number = plan.moving, plan.followed.index(layer)
    begin, end = plan.begins[layer - 1], plan.begins[layer]
    keep, kept = moving.keep[number], moving.kept[number]
    plain = not (program.dense[layer - 1] or program.hinge_sums[layer - 1])
    run = machine_code("advance", arithmetic, plan.terms(begin, end) * live[0].shape[1]) if plain else None
    if run is not None:
        s = plan.sums
        terms = (s.first, moving.row, s.hi, s.lo, s.power, s.bias, s.bias_tail)
        grown = run(*terms, int(s.code[begin]), begin, end, keep, kept, arithmetic.resolution, *live)
        return (grown,) if arithmetic is Float64 else grown
    z = _sums(program, layer, live, arithmetic) if plain else _products(program, layer, live)
    if not plain and arithmetic is Float64:
        run = machine_code("grow", arithmetic, z[0].size)
        if run is not None:
            sums, code = np.ascontiguousarray(z[0]), int(plan.sums.code[begin])
            return (run(sums, code, keep, kept, arithmetic.resolution, *live),)
    live = tuple(np.concatenate([v[keep], c]) if kept else v[keep] for v, c in zip(live, z, strict=True))
    activation = program.activations[layer - 1]
    if activation == "identity":
        return live
    unit, left = np.nonzero(_sign_changes(z[0]))
    if len(left):
        at = tuple(c[unit, left] for c in z), tuple(c[unit, left + 1] for c in z)
        live, unit, place = _insert(live, unit, left, arithmetic.root(*at), arithmetic)
        if kept:
            for c in live:
                c[len(keep) + unit, place] = 0.0
    if kept:
        z = tuple(c[len(keep) :] for c in live)
        positive = z[0] > 0
        for c in z:
            c[:] = np.where(positive, c, -c if activation == "abs" else 0.0)
    return live


def _sign_changes(z: np.ndarray) -> np.ndarray:
    left, right = z[:, :-1], z[:, 1:]
    return ((left > 0) & (right < 0)) | ((left < 0) & (right > 0))


def _insert(
    live: Vector, unit: np.ndarray, left: np.ndarray, fraction: Vector, arithmetic: Arithmetic
) -> tuple[Vector, np.ndarray, np.ndarray]:
    """(the live values with the new nodes, and of every new node its unit and its place)."""
    x = live[0][0]
    width = x[left + 1] - x[left]
    # A root within rounding of an existing node adds nothing that the nodes can resolve.
    smallest = 4 * arithmetic.resolution * np.maximum(np.abs(x[left]), np.abs(x[left + 1]))
    keep = (fraction[0] * width > smallest) & ((1 - fraction[0]) * width > smallest)
    unit, left, fraction, width = unit[keep], left[keep], take(fraction, keep), width[keep]
    order = np.lexsort((fraction[0], left))
    unit, left, fraction, width = unit[order], left[order], take(fraction, order), width[order]
    distinct = np.ones(len(left), dtype=bool)
    distinct[1:] = (np.diff(left) > 0) | (np.diff(fraction[0]) * width[1:] > smallest.max(initial=0.0))
    unit, left, fraction = unit[distinct], left[distinct], take(fraction, distinct)
    place = np.arange(len(left)) + left + 1
    old = np.ones(len(x) + len(left), dtype=np.intp)
    old[place] = 0
    source = np.cumsum(old) - 1
    new = arithmetic.interpolate(live, left, fraction)
    result = tuple(c.take(source, axis=-1) for c in live)
    for c, n in zip(result, new, strict=True):
        c[:, place] = n
    return result, unit, place


def _sums(program: Program, layer: int, live: Vector, arithmetic: Arithmetic) -> Vector:
    """The sums of a layer unit by unit."""
    plan, s = program.plan, program.plan.sums
    begin, end, count = plan.begins[layer - 1], plan.begins[layer], live[0].shape[1]
    result = tuple(np.empty((end - begin, count)) for _ in live)
    ignored = np.zeros(count)
    for u in range(begin, end):
        value = arithmetic.constant(s.bias[u], s.bias_tail[u], count)
        for t in range(int(s.first[u]), int(s.first[u + 1])):
            read = tuple(c[plan.moving.row[t]] for c in live)
            if arithmetic is Float64:
                value = (value[0] + s.hi[t] * read[0],)
            else:
                value = arithmetic.add_product(value, s.hi[t], s.lo[t], read, ignored)
        for rows, c in zip(result, value, strict=True):
            rows[u - begin] = c
    return result


def _products(program: Program, layer: int, live: Vector) -> Vector:
    """The sums of a layer of long rows, or of one that reads hinges, by matrix products."""
    plan, parts = program.plan, len(live)
    starts = plan.moving.starts[plan.followed.index(layer)]
    total = tuple(np.repeat(c[:, np.newaxis], live[0].shape[1], axis=1) for c in program.bias(layer - 1, parts))
    for product in program.products[layer - 1]:
        start = starts[product.source]
        width = plan.begins[product.source] - plan.begins[product.source - 1] if product.source else 1
        total = product.add_to(total, tuple(v[start : start + width] for v in live))[0]
    for i, hinges in program.hinge_sums[layer - 1].items():
        part = hinges.values(tuple(v[0] for v in live))
        row = tuple(c[i] for c in total)
        for c, n in zip(total, dd_add(*row, *part) if parts == 2 else (row[0] + part[0],), strict=True):
            c[i] = n
    return total
