"""How far is a sin/arcsin network of one variable from the target, region by region, from its weights alone?

Shares nothing with proofs by structure: no table is decoded and no theorem about tables is used. The domain is cut where
arcsin(sin z) changes its branch, at exact rational points; on a region every z is an exact affine function of x, addresses are
exact constants (or, on ramps, unknown sines in [-1, 1]), and long sines are evaluated in balls. Output units
sin(v +- psi + pi/2) with sin psi affine are expanded by the addition theorem; the terms cos v cos psi must cancel exactly. So
the network is c + sum_g C_g l_g(x), C_g balls, l_g exact affine functions, and f minus it is bounded by its ends and f''.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from flint import arb, fmpq

from approx.certification.certificate import Certificate
from approx.errors import UnsupportedError
from approx.networks import Network
from approx.numbers import ClosedForm, absolute, asin, float_up, pi, sin, to_ball, working_precision
from approx.targets import Target

_ROUGH, _GUARD = 128, 96
#: Factors known at least this well count as constants.
_SURE = 2.0**-40
#: Errors below this are not looked at more closely.
_NOTHING = 2.0**-80
#: At level "regions" networks of more bits than this (about 200 cells) are not followed.
_QUICK = 5_000
_MOST_REGIONS, _HALVINGS = 2_000_000, 12
#: What is known of a unit on a region: ("affine", slope, constant), ("ball", value), ("sine", affine), ("wave", affine).
_Known = tuple[Any, ...]


def region_bound(network: Network, target: Target) -> tuple[float, int]:
    """(bound, regions): sup |target - network| <= bound on the domain, proved on that many regions; inf if not finite.

    One variable; sines and arcsines that fold, address and multiply as those of constructions.superexpressive.sin_arcsin of
    order 1. Cost: about a millisecond and two evaluations of the longest sines per
    region, some eight regions per cell. Raises UnsupportedError for networks of another kind.
    """
    if network.inputs != 1 or network.activations != {"sin", "arcsin", "identity"}:
        raise UnsupportedError("region by region: networks of one variable with the activations sin and arcsin")
    rows = network.exact_rows()
    longest = max((_length(p) for p in network.pool), default=64)
    bound, count = arb(0), 0
    with working_precision(longest + _GUARD):
        for low, high, left, right, noise in _regions(rows, target.domain.lower[0], target.domain.upper[0]):
            count += 1
            with working_precision(_ROUGH):
                bound = bound.max(_region_error(target, low, high, +left, +right, bound) + noise)
            if count > _MOST_REGIONS:
                raise UnsupportedError(f"region by region: more than {_MOST_REGIONS:,} regions")
    return (float_up(bound) if bound.is_finite() else math.inf), count


def check_folds(c: Certificate, net: Network, target: Target, level: str, proved: list[str]) -> bool:
    """Whether upper was proved again region by region; at level "regions" only where that takes seconds."""
    if net.inputs != 1 or not net.activations <= {"sin", "arcsin", "identity"}:
        return False
    if level == "regions" and net.size.bits > _QUICK:
        return False
    try:
        bound, regions = region_bound(net, target)
    except UnsupportedError:
        return False
    if not bound <= c.upper:
        return False
    proved.append(f"|f - net| <= {c.upper:.6g} on the whole domain ({regions} regions between folds)")
    return True


def _length(value: Any) -> int:
    if isinstance(value, fmpq):
        return max(value.p.bit_length(), value.q.bit_length())
    return max(max(q.p.bit_length(), q.q.bit_length()) for q in value.terms.values())


def _regions(rows: list[Any], lower: fmpq, upper: fmpq) -> Iterator[tuple[fmpq, fmpq, arb, arb, arb]]:
    """(left, right, value at left, value at right, noise), in order: in between the network is affine up to the noise."""
    start: _Known = ("affine", fmpq(1), fmpq(0))
    stack: list[tuple[fmpq, fmpq, int, list[_Known]]] = [(lower, upper, 0, [start])]
    while stack:
        left, right, first, known = stack.pop()
        for number in range(first, len(rows) - 1):
            activation, bias, terms = rows[number]
            found = _sine(bias, terms, known) if activation == "sin" else _arcsine(bias, terms, known, left, right)
            while isinstance(found, fmpq):
                # The branch changes at this point: go on with the left part, keep the right one for later.
                stack.append((found, right, number, list(known)))
                right = found
                found = _arcsine(bias, terms, known, left, right)
            known.append(found)
        yield left, right, *_output(rows[-1], known, left, right)


def _affine(bias: Any, terms: Any, known: list[_Known]) -> tuple[Any, Any] | None:
    """(slope, constant) of a form over affine units, exact; None when another unit is read."""
    slope, constant = fmpq(0), bias
    for unit, w in terms:
        if known[unit][0] != "affine":
            return None
        slope, constant = slope + w * known[unit][1], constant + w * known[unit][2]
    return slope, constant


def _sine(bias: Any, terms: Any, known: list[_Known]) -> _Known:
    form = _affine(bias, terms, known)
    if form is not None:
        return ("sine", *form)
    kinds = [known[u][0] for u, _ in terms]
    if kinds == ["sine"] or kinds == ["ball"]:
        (unit, weight) = terms[0]
        return ("ball", sin(to_ball(weight) * _value(known[unit]) + to_ball(bias)))
    # sin(v + e psi + pi/2) with sin psi affine: kept for the output.
    waves = [(u, w) for u, w in terms if known[u][0] == "wave"]
    others = [(u, w) for u, w in terms if known[u][0] == "ball"]
    if len(waves) == len(others) == 1 and others[0][1] == 1 and abs(waves[0][1]) == 1 and bias == pi() / 2:
        return ("output", others[0][0], waves[0][0], waves[0][1])
    raise UnsupportedError("region by region: a sine of a form that is not understood (orders above 1 are not)")


def _value(unit: _Known) -> arb:
    """The ball of a unit that is constant on the region: a sine of a constant, or [-1, 1] on ramps."""
    if unit[0] == "ball":
        return unit[1]
    _, slope, constant = unit
    return sin(to_ball(constant)) if isinstance(slope, fmpq) and slope == 0 else arb(0, 1)


def _arcsine(bias: Any, terms: Any, known: list[_Known], left: fmpq, right: fmpq) -> _Known | fmpq:
    form = _affine(bias, terms, known)
    if form is not None:
        return ("wave", *form)
    if len(terms) != 1 or bias != 0:
        raise UnsupportedError("region by region: an arcsine of a form that is not understood")
    (unit, weight) = terms[0]
    if known[unit][0] == "sine" and weight == 1:
        return _fold(known[unit][1], known[unit][2], left, right)
    return ("ball", asin(to_ball(weight) * _value(known[unit]), assume_in_range=True))


def _fold(slope: Any, constant: Any, left: fmpq, right: fmpq) -> _Known | fmpq:
    """arcsin(sin z), z = slope x + constant, on one branch; or the first point where the branch changes."""
    ends = [slope * x + constant for x in (left, right)]
    with working_precision(_ROUGH):
        middle = to_ball(slope * ((left + right) / 2) + constant) / arb.pi()
        branch = int((middle + arb(fmpq(1, 2))).mid().floor().fmpz())
    for edge in (pi() * (branch - fmpq(1, 2)), pi() * (branch + fmpq(1, 2))):
        signs = [_sign(end - edge) for end in ends]
        if signs[0] * signs[1] < 0:
            root = (edge - constant) / slope
            if not isinstance(root, fmpq):
                raise UnsupportedError("region by region: a branch changes at a point that is not rational")
            return root
    sign = -1 if branch % 2 else 1
    return ("affine", sign * slope, sign * (constant - branch * pi()))


def _sign(value: Any) -> int:
    """The sign of an exact number; formal zeros are exact zeros."""
    if isinstance(value, fmpq):
        return int(value > 0) - int(value < 0)
    assert isinstance(value, ClosedForm)
    for bits in (_ROUGH, 8 * _ROUGH, 64 * _ROUGH):
        with working_precision(bits):
            ball = value.ball()
            if not ball.contains(0):
                return 1 if ball > 0 else -1
    raise UnsupportedError("region by region: the sign of a number could not be decided")


def _output(row: Any, known: list[_Known], left: fmpq, right: fmpq) -> tuple[arb, arb, arb]:
    """(value at left, value at right, noise): between them the network is affine, up to the noise.

    Terms cos v cos psi must cancel exactly; where v is not known (on ramps) |sin psi| bounds what it contributes.
    """
    _, bias, terms = row
    cosines: dict[tuple[int, int], Any] = {}
    ends, noise = [to_ball(bias), to_ball(bias)], arb(0)
    for unit, w in terms:
        if known[unit][0] != "output":
            raise UnsupportedError("region by region: an output that is not understood")
        _, angle, wave, sign = known[unit]
        cosines[angle, wave] = cosines.get((angle, wave), fmpq(0)) + w
        # cos(v + e psi) = cos v cos psi - e sin v sin psi
        factor = -(to_ball(w) * to_ball(sign)) * sin(_value(known[angle]))
        waves = [to_ball(known[wave][1] * x + known[wave][2]) for x in (left, right)]
        if factor.rad() < _SURE:
            ends = [end + factor * psi for end, psi in zip(ends, waves, strict=True)]
        else:
            noise += absolute(factor) * absolute(waves[0]).max(absolute(waves[1]))
    if any(total != 0 for total in cosines.values()):
        raise UnsupportedError("region by region: the products do not cancel")
    return ends[0], ends[1], arb(noise.upper())


def _region_error(target: Target, low: fmpq, high: fmpq, left: arb, right: arb, settled: arb, depth: int = 0) -> arb:
    """A ball whose upper end bounds |f - chord| on [low, high], chord the affine function through both ends.

    By the ends and f'', or by the natural enclosure; halved until it is near what the ends show, or below `settled`.
    """
    ball = arb(low).union(arb(high))
    ends = absolute(target.ball([arb(low)]) - left).max(absolute(target.ball([arb(high)]) - right))
    curve = ends + absolute(target.series(ball, 2)[2]) * arb(high - low) ** 2 / 4
    whole = arb(absolute(target.ball([ball]) - left.union(right)).upper())
    best = arb(curve.upper()).min(whole) if curve.is_finite() else whole
    if depth >= _HALVINGS or best <= settled or best <= arb(fmpq(51, 50)) * ends + _NOTHING:
        return best
    middle, between = (low + high) / 2, (left + right) / 2
    return _region_error(target, low, middle, left, between, settled, depth + 1).max(
        _region_error(target, middle, high, between, right, settled, depth + 1)
    )
