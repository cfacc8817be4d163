"""How do the values and the sensitivities of chains change with their parameters? Derivatives by hand, in real arithmetic.

Forward through the gadgets for the values, backward for the sensitivities dy/d(a_s^2). Every array (B, rows, N) has one
row for each parameter of each of B chains. The least and the greatest value of a form, which normalise the next unit, move
with the grid point that has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constructions.relu._chain_model import Array, Shape, State, forward


@dataclass
class Tangents:
    """Derivatives (rows: nonlinear parameters) of units, folds, fold slopes, the widths of the units, and hinges."""

    state: State
    units: list[Array]
    folds: list[list[Array]]
    slopes: list[list[Array]]
    widths: list[Array]
    hinges: list[Array]


def tangents(shape: Shape, theta: Array, t: Array) -> Tangents:
    """The State of B chains with nonlinear parameters theta (B, n) on t (N,), with all derivatives; O(B n N) per gadget."""
    state = forward(shape, theta, t)
    zero = np.zeros((*theta.shape, len(t)))
    values = state.features[len(state.features) - shape.hinges :]
    hinges = [_row(zero, k, -np.where(t > theta[:, k, None], 1.0, 0.0)) for k in shape.kappa]
    found = Tangents(state, [zero], [], [], [], hinges)
    for j, slots in enumerate(shape.slots):
        _folds(shape, theta, j, found)
        if j == shape.squares - 1:
            break
        chain, change = state.folds[j], found.folds[j]
        skipped = shape.hinges - len(slots.h)
        form = (2 * chain[-1])[:, None] * change[-1]
        for k, value, moved in (
            *zip(slots.o, chain, change, strict=True),
            *zip(slots.b, state.units[:j], found.units[:j], strict=True),
            *zip(slots.h, values[skipped:], found.hinges[skipped:], strict=True),
        ):
            form += theta[:, k, None, None] * moved
            form[:, k] += value
        unit, pad = state.units[j + 1], shape.pads[j] if shape.pads else 0.0
        low = np.take_along_axis(form, unit.argmin(axis=1)[:, None, None], axis=2)
        high = np.take_along_axis(form, unit.argmax(axis=1)[:, None, None], axis=2)
        width = (high - low) * (1 + 2 * pad)
        found.widths.append(width)
        form -= low - pad * (high - low)
        form -= width * unit[:, None]
        found.units.append(form / state.ranges[j][:, None])
    return found


def _folds(shape: Shape, theta: Array, j: int, found: Tangents) -> None:
    chain, change, slopes = found.state.folds[j], [found.units[j]], []
    for i, (kc, ke) in enumerate(zip(shape.slots[j].c, shape.slots[j].e, strict=True)):
        a, c, e = chain[i], theta[:, kc, None], theta[:, ke, None]
        left, down = a <= c, (1 - e) / (1 - c)
        if shape.tied and j == 0 and i == 0:
            found.hinges.insert(0, _row(np.zeros_like(change[0]), kc, np.where(left, 0.0, -1.0)))
        moved = change[i] * found.state.slopes[j][i][:, None]
        moved[:, kc] += np.where(left, -a / (c * c), down * (1 - (a - c) / (1 - c)))
        moved[:, ke] += np.where(left, 0.0, (a - c) / (1 - c))
        slope = np.zeros_like(moved)
        slope[:, kc] = np.where(left, -1 / (c * c), -down / (1 - c))
        slope[:, ke] = np.where(left, 0.0, 1 / (1 - c))
        change.append(moved)
        slopes.append(slope)
    found.folds.append(change)
    found.slopes.append(slopes)


def _row(zero: Array, k: int, value: Array) -> Array:
    result = zero.copy()
    result[:, k] = value
    return result


def value_tangents(shape: Shape, linear: Array, found: Tangents) -> Array:
    """The derivatives (B, n, N) of the output, its linear parameters (B, q) kept, by the nonlinear parameters."""
    changes, squared = found.folds[-1], 1 + shape.squares + shape.free[-1]
    moved = (2 * linear[:, squared, None] * found.state.folds[-1][-1])[:, None] * changes[-1]
    places = [k for k in range(1, shape.linear) if k != squared]
    for k, part in zip(places, [*found.units, *changes[1:], *found.hinges], strict=True):
        if k != 1:  # the first unit is t itself
            moved += linear[:, k, None, None] * part
    return np.asarray(moved)


def sensitivity_tangents(shape: Shape, parameters: Array, found: Tangents) -> tuple[list[Array], list[Array]]:
    """The sensitivities (B, N) to every gadget's square, and their derivatives (B, P, N) by all parameters."""
    n, k, state = shape.nonlinear, shape.squares, found.state
    theta, linear = parameters[:, :n], parameters[:, n:]
    size = state.units[0].shape
    gradient = [np.broadcast_to(linear[:, 1 + i, None], size) for i in range(k)]
    moving = [np.zeros((*parameters.shape, size[1])) for _ in range(k)]
    for i in range(k):
        moving[i][:, n + 1 + i] = 1.0
    values, slopes = [np.zeros(0)] * k, [np.zeros(0)] * k
    for j in range(k - 1, -1, -1):
        slots, s, last = shape.slots[j], shape.free[j], state.folds[j][-1]
        if j == k - 1:
            up, rise = np.ones(size), np.zeros_like(moving[j])
            outer, turn = np.broadcast_to(linear[:, 1 + k + s, None], size), np.zeros_like(moving[j])
            turn[:, n + 1 + k + s] = 1.0
            factors = [(np.zeros(size[0]), -1), *((linear[:, k + i], n + k + i) for i in range(1, s + 1))]
        else:
            width = state.ranges[j]
            up, rise = gradient[j + 1] / width, moving[j + 1] / width[:, None]
            rise[:, :n] -= (found.widths[j] / width[:, None]) * up[:, None]
            outer, turn = up, rise
            factors = [(theta[:, i], i) for i in slots.o]
        values[j], slopes[j] = outer, turn
        adjoint, drift = 2 * outer * last, (2 * last)[:, None] * turn
        drift[:, :n] += (2 * outer)[:, None] * found.folds[j][s]
        for i in range(s, -1, -1):
            if i < s:
                drift *= state.slopes[j][i][:, None]
                drift[:, :n] += adjoint[:, None] * found.slopes[j][i]
                adjoint = adjoint * state.slopes[j][i]
            factor, place = factors[i]
            if place >= 0:
                adjoint = adjoint + factor[:, None] * up
                drift += factor[:, None, None] * rise
                drift[:, place] += up
        gradient[j] = gradient[j] + adjoint
        moving[j] += drift
        for i, place in enumerate(slots.b):
            gradient[i] = gradient[i] + theta[:, place, None] * up
            moving[i] += theta[:, place, None, None] * rise
            moving[i][:, place] += up
    return values, slopes
