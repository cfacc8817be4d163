"""In which order are the units computed, and in which reused slots do they live, so that few are alive at once?

Written in the subset of Python that numba compiles; `fused.py` compiles it. Both schedules keep the documented order of
summation inside every unit, so they give the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from approx.networks import Flat

#: Activations that a plan can hold; the position is the code.
CODES = ("identity", "relu", "abs", "floor")
#: A long sum is put aside and continued when at least this many of its summands are ready and the next is not.
PATIENCE = 8
#: A sum of at least this many summands is continued before the walk comes to it.
LONG = 64
#: Added to the activation code of an operation that continues a sum instead of starting from the bias.
CONTINUES = 16


class Plan(NamedTuple):
    """A straight-line program over `slots` slots; operation o computes

        slot[target[o]] = act( start + sum_{first[o] <= k < first[o+1]} weight[k] * slot[source[k]] ),

    summed from left to right, where start is bias[o], or slot[target[o]] itself for a continued sum. Inputs begin in
    the slots 0 .. inputs-1; the outputs end in the slots `outputs`.
    """

    first: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    code: np.ndarray
    target: np.ndarray
    outputs: np.ndarray
    slots: int
    schedule: str


def make_plan(flat: Flat, steps: Any) -> Plan:
    """Return the plan with the fewest slots among the schedules: layer order and depth first.

    `steps` holds the functions below (this module, or their compiled versions). O(weights) time each.
    """
    ptr, idx, d, rows, k = flat.indptr, flat.indices, flat.inputs, len(flat.bias), flat.outputs
    live = steps.live_rows(ptr, idx, d, k)
    schedules = {
        "layer order": steps.layer_order(ptr, live),
        "depth first": steps.depth_first(ptr, idx, d, live, k, PATIENCE, LONG),
    }
    best = None
    for name, records in schedules.items():
        slot, slots = steps.assign_slots(records, idx, d, rows, k)
        if best is None or slots < best[0]:
            best = slots, name, records, slot
    assert best is not None
    slots, name, records, slot = best
    code = np.array([CODES.index(n) for n in flat.names], dtype=np.int64)[flat.activation]
    arrays = steps.emit(records, slot, ptr, idx, flat.values, flat.bias, code, d)
    first, source, weight, bias, act, target = arrays
    return Plan(first, source, weight, bias, act, target, slot[len(slot) - k :].copy(), int(slots), name)


def live_rows(indptr: Any, indices: Any, inputs: int, outputs: int) -> Any:
    """Return which rows the outputs depend on (uint8), in one pass from the last row to the first."""
    rows = len(indptr) - 1
    live = np.zeros(rows, np.uint8)
    live[rows - outputs :] = 1
    for row in range(rows - 1, -1, -1):
        if live[row]:
            for k in range(indptr[row], indptr[row + 1]):
                if indices[k] >= inputs:
                    live[indices[k] - inputs] = 1
    return live


def layer_order(indptr: Any, live: Any) -> Any:
    """Return the records (row, first entry, last entry + 1) of the live rows in their given order."""
    records = np.empty((int(live.sum()), 3), np.int64)
    count = 0
    for row in range(len(live)):
        if live[row]:
            records[count, 0], records[count, 1], records[count, 2] = row, indptr[row], indptr[row + 1]
            count += 1
    return records


def depth_first(indptr: Any, indices: Any, inputs: int, live: Any, outputs: int, patience: int, long: int) -> Any:
    """Return records in the order of a depth-first walk from the outputs; a long sum appears as several records.

    The walk descends to a summand only when it is needed. If at least `patience` summands of the waiting sum are ready
    by then, they are added first, so that their slots become free: a sum of 10^5 cells keeps one cell alive, not all.
    Sums of `long` summands and more go on in the same way before the walk comes to them, as soon as the summand that is
    next is done: several sums over the same cells run side by side, and no cell waits for the last of them.
    """
    rows = len(indptr) - 1
    records = np.empty((rows + len(indices) // patience + 1, 3), np.int64)
    count = 0
    done, stack = np.zeros(rows, np.uint8), np.empty(rows + 1, np.int64)
    begun, at = indptr[:-1].copy(), indptr[:-1].copy()
    # The long sums that wait for a row are waits[row], following[waits[row]], ...; those to be looked at now, pending, ...
    waits, following, pending = np.full(rows, -1, np.int64), np.full(rows, -1, np.int64), -1
    for row in range(rows):
        if live[row] and indptr[row + 1] - indptr[row] >= long:
            following[row], pending = pending, row
    for root in range(rows - outputs, rows):
        stack[0] = root
        depth = 1
        while depth > 0:
            early = pending >= 0
            row = stack[depth - 1]
            if early:
                row, pending = pending, following[pending]
            k, end = at[row], indptr[row + 1]
            while k < end and (indices[k] < inputs or done[indices[k] - inputs]):
                k += 1
            at[row] = k
            # The last summands are left to the walk, which finishes the unit.
            if (k - begun[row] >= patience and k < end) or (k == end and not early):
                records[count, 0], records[count, 1], records[count, 2] = row, begun[row], k
                count += 1
                begun[row] = k
            if early and k < end:
                summand = indices[k] - inputs
                following[row], waits[summand] = waits[summand], row
            elif k < end:
                stack[depth] = indices[k] - inputs
                depth += 1
            elif not early:
                done[row], pending = 1, waits[row]
                depth -= 1
    return records[:count].copy()


def assign_slots(records: Any, indices: Any, inputs: int, rows: int, outputs: int) -> Any:
    """Return (slot of every unit, number of slots); a slot is free again after the last record that reads it."""
    units = inputs + rows
    last = np.full(units, -1, np.int64)
    for r in range(len(records)):
        for k in range(records[r, 1], records[r, 2]):
            last[indices[k]] = r
    for unit in range(units - outputs, units):
        last[unit] = len(records)
    slot, free = np.full(units, -1, np.int64), np.empty(units, np.int64)
    slots, available = inputs, 0
    for unit in range(inputs):
        slot[unit] = unit
        if last[unit] < 0:
            free[available] = unit
            available += 1
    for r in range(len(records)):
        for k in range(records[r, 1], records[r, 2]):
            unit = indices[k]
            if last[unit] == r:
                last[unit] = -1
                free[available] = slot[unit]
                available += 1
        unit = inputs + records[r, 0]
        if slot[unit] < 0:
            if available > 0:
                available -= 1
                slot[unit] = free[available]
            else:
                slot[unit] = slots
                slots += 1
    return slot, slots


def emit(records: Any, slot: Any, indptr: Any, indices: Any, values: Any, bias: Any, code: Any, inputs: int) -> Any:
    """Return the arrays (first, source, weight, bias, code, target) of a Plan from records and slots."""
    n, entries = len(records), 0
    for r in range(n):
        entries += records[r, 2] - records[r, 1]
    first, source, weight = np.zeros(n + 1, np.int64), np.empty(entries, np.int32), np.empty(entries, np.float64)
    start, act, target = np.empty(n, np.float64), np.empty(n, np.int64), np.empty(n, np.int64)
    at = 0
    for r in range(n):
        row, begin, end = records[r, 0], records[r, 1], records[r, 2]
        for k in range(begin, end):
            source[at], weight[at] = slot[indices[k]], values[k]
            at += 1
        first[r + 1] = at
        # + 0.0 turns a stored -0.0 into 0.0, so that no sum is ever -0.0 (the same rule as in layered.py).
        start[r] = bias[row] + 0.0
        act[r] = code[row] if end == indptr[row + 1] else 0
        if begin > indptr[row]:
            act[r] += CONTINUES
        target[r] = slot[inputs + row]
    return first, source, weight, start, act, target
