"""How does a spline chain become a network? Hinges at the knots, one unit per square, every square a sawtooth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from approx.networks import Form, linear_combination
from constructions.relu._chain_network import Writer
from constructions.relu._spline_fit import SplineFit
from constructions.relu._spline_model import Array, forward, hat_values, knots

RANGED = 200  # points per cell on which the ranges of units are seen


def unit_ranges(fit: SplineFit, levels: Sequence[int]) -> list[tuple[float, float]]:
    """Of every unit u_j, where the network has it: its least and greatest value, with room for the squares before it.

    The room is to first order, and seen on RANGED points per cell: what a unit may do between them is at most a quarter
    of what it loses from its extreme point to the next. Beyond the range a square goes on with a wrong slope, which the
    certificate sees.
    """
    shape, theta = fit.shape, fit.theta
    like = forward(shape, theta, shape.hats)
    state = forward(shape, theta, hat_values(shape.cells, RANGED), like)
    errors: list[float] = [0.0]
    found = [(0.0, 1.0)]
    for j in range(1, shape.squares):
        size = float(found[j - 1][1] - found[j - 1][0])
        error = 2 * errors[j - 1] + 0.5 * size**2 * 4.0 ** -(levels[j - 1] + 1)
        error += sum(abs(float(theta[p])) * errors[i] for p, i in zip(shape.beta[j], range(1, j), strict=True))
        errors.append(error / like.ranges[j])
        unit, room = state.units[j], 1.1 * errors[j] + 1e-12
        found.append((-_greatest(-unit) - room, _greatest(unit) + room))
    return found


def _greatest(values: Array) -> float:
    place = int(values.argmax())
    near = values[max(0, place - 1) : place + 2]
    return float(values[place] + (values[place] - near.min()) / 4)


def spline_form(writer: Writer, t: Form, fit: SplineFit, levels: Sequence[int]) -> Form:
    """The output form of the chain on the form t with values in [0, 1], its squares with these numbers of levels.

    Weights: sum (5 m_j - 2) + (N - 1)(K + 3) + 2 (K + 1) + K (K - 1)/2 for N cells and K squares, when t is the
    variable and no constant is zero.
    """
    shape, theta = fit.shape, fit.theta
    places = knots(shape, theta)
    hinges = [writer.relu(t - float(place)) for place in places[1:-1]]
    state = forward(shape, theta, shape.hats)
    one = Form(constant=1)

    def bent(values: Array) -> list[tuple[float, Form]]:
        slopes = np.diff(values) / np.diff(places)
        terms = [(float(values[0]), one), (float(slopes[0]), t)]
        return terms + [(float(jump), hinge) for jump, hinge in zip(np.diff(slopes), hinges, strict=True)]

    units: list[Form] = []
    square = Form()
    for j, (low, high) in enumerate(unit_ranges(fit, levels)):
        terms = bent(theta[shape.nodal[j]])
        if j:
            terms += [(1.0, square), *((float(theta[p]), units[i]) for p, i in zip(shape.beta[j], range(1, j), strict=True))]
        form = (linear_combination(terms) - state.lows[j]) * (1 / state.ranges[j])
        inside = writer.relu((form - low) * (1 / (high - low)))
        units.append((high - low) * inside + low)
        square = (high - low) ** 2 * writer.square(inside, levels[j]) + 2 * low * (high - low) * inside + low * low
    linear = theta[shape.base.stop :]
    terms = bent(theta[shape.base])
    terms += [(float(a), unit) for a, unit in zip(linear[:-1], units[1:], strict=True)]
    return linear_combination([*terms, (float(linear[-1]), square)])
