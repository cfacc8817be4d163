"""How does a chain of quotients become a network? Hinges at the knots, two units per quotient, each a sawtooth in w / s."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from approx.errors import UnreachableError
from approx.networks import Form, linear_combination
from constructions.relu._chain_network import Writer
from constructions.relu._spline_fit import SplineFit
from constructions.relu._spline_model import Array, SplineShape, forward, hat_values, knots

RANGED = 200  # points per cell on which the ranges of ratios are seen


def ratio_ranges(fit: SplineFit, levels: Sequence[int]) -> list[tuple[float, float, float]]:
    """Of every unit: the least and greatest ratio z_j = w_j / s_j in the network, with room for the errors of the units
    before it, and the greatest s_j.

    The room is to first order, and seen on RANGED points per cell: what a ratio may do between them is at most a quarter
    of what it loses from its extreme point to the next. Beyond the range a sawtooth goes on with a wrong slope, which the
    certificate sees.
    """
    shape = fit.shape
    state = forward(shape, fit.theta, hat_values(shape.cells, RANGED))
    errors: list[Array] = []
    found = []
    for j, (ratio, bottom) in enumerate(zip(state.ratios, state.bottoms, strict=True)):
        above, below = _read_errors(shape, fit.theta, j, errors)
        room = 1.1 * (above + np.abs(ratio) * below) / bottom
        room = room + 1e-12 * max(1.0, float(np.ptp(ratio))) if j else room
        low, high = -_greatest(room - ratio), _greatest(ratio + room)
        sawtooth = bottom * (high - low) ** 2 * 4.0 ** -(levels[j] + 1) / 2
        errors.append(2 * np.abs(ratio) * above + ratio**2 * below + sawtooth)
        found.append((low, high, float(bottom.max())))
    return found


def _read_errors(shape: SplineShape, theta: Array, j: int, errors: list[Array]) -> tuple[Array | float, Array | float]:
    """Bounds of the errors of w_j and of s_j from those of the units before."""
    above = sum((abs(theta[p]) * errors[i] for i, p in enumerate(shape.alpha[j])), 0.0)
    return above, sum((abs(theta[p]) * errors[i] for i, p in enumerate(shape.beta[j])), 0.0)


def _greatest(values: Array) -> float:
    place = int(values.argmax())
    near = values[max(0, place - 1) : place + 2]
    return float(values[place] + (values[place] - near.min()) / 4)


def spline_form(writer: Writer, t: Form, fit: SplineFit, levels: Sequence[int]) -> Form:
    """The output form of the chain on the form t with values in [0, 1], its sawteeth with these numbers of levels.

    With (low, high) the range of z_j, the unit u = (w - low s) / (high - low) has 0 <= u <= s and
    q = (high - low)^2 u^2 / s + 2 low (high - low) u + low^2 s. A q_j is read once, by the unit u of the next one; other
    forms read it off that unit. Weights: sum (5 m_j - 2) + `shape.extra`, when t is the variable and no constant is zero.
    """
    shape, theta = fit.shape, fit.theta
    places = knots(shape, theta)
    hinges = [writer.relu(t - float(place)) for place in places[1:-1]]
    one = Form(constant=1)

    def bent(values: Array) -> Form:
        slopes = np.diff(values) / np.diff(places)
        terms = [(float(values[0]), one), (float(slopes[0]), t)]
        return linear_combination(
            terms + [(float(jump), hinge) for jump, hinge in zip(np.diff(slopes), hinges, strict=True)]
        )

    quotient = Form()  # the q_j last written, with its sawtooth
    reads: list[Form] = []  # those before it, off later units
    for j, (low, high, size) in enumerate(ratio_ranges(fit, levels)):
        place, beta = shape.bottoms[j], [float(theta[p]) for p in shape.beta[j]]
        alpha = [float(theta[p]) for p in shape.alpha[j]]
        above = [(a, reads[i]) for i, a in enumerate(alpha[:-1])]
        below = [(b, reads[i]) for i, b in enumerate(beta[:-1])]
        top, bottom = bent(theta[shape.tops[j]]), one if place is None else bent(np.exp(theta[place]))
        rest = linear_combination([(1.0, top), (-low, bottom), *above, *((-low * b, form) for b, form in below)])
        share = (alpha[-1] if alpha else 0.0) - low * (beta[-1] if beta else 0.0)  # of q_(j-1) in w - low s
        unit = writer.relu(linear_combination([(1.0, rest), (share, quotient)]) * (1 / ((high - low) * size)))
        if j:
            if share == 0:
                raise UnreachableError("a unit of the chain does not read the one before it")
            reads.append(linear_combination([((high - low) * size / share, unit), (-1 / share, rest)]))
            below += [(b, reads[-1]) for b in beta[-1:]]
        bottom = linear_combination([(1.0, bottom), *below])
        scale = one if place is None else writer.relu(bottom * (1 / size))
        sawtooth = writer.quotient(unit, scale, bottom * (1 / size), levels[j])
        width = (high - low) * size
        quotient = linear_combination([((high - low) * width, sawtooth), (2 * low * width, unit), (low * low, bottom)])
    c = [float(v) for v in theta[shape.base.stop :]]
    return linear_combination([(1.0, bent(theta[shape.base])), *zip(c[:-1], reads, strict=True), (c[-1], quotient)])
