"""Which numbers of cells and of sines reach an accuracy with the fewest weights? Orders by galloping, digit by digit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from flint import arb, fmpq

from approx.errors import UnreachableError
from approx.networks import Builder, Network, linear_combination
from approx.numbers import to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.periodic._fourier_code import coded_group
from constructions.periodic._fourier_fit import ROUNDING, THETAS, Fit, fit_group, index_vectors
from constructions.periodic._fourier_network import fourier_network
from constructions.periodic._fourier_plan import Cells, Coded, FourierPlan, Seams
from constructions.periodic._sign_network import sign_network
from constructions.periodic._sign_plan import SignPlan, sign_plan

_MOST_DIGITS, _MOST_ORDER = {1: 8, 2: 4}, {1: 64, 2: 12}
_MOST_SIGN_DIGITS = {1: 6, 2: 2}
#: The fit may take this share of eps, as far as samples show.
_SHARE = 0.98
#: Sines of a plain sum are left out whose amplitudes together are below this share of eps.
_SILENT = 0.01
_PHASE_BITS = 192


class Found(NamedTuple):
    """A network that may reach eps, its plan (None for a plain sum of sines), and the numbers behind it."""

    network: Network
    plan: FourierPlan | SignPlan | None
    digits: int
    order: int
    theta: float
    sines: int


class _Choice(NamedTuple):
    weights: int
    digits: int
    order: int
    theta: float


def find_plans(target: Target, goal: float, digits: int | None, order: int | None, signs: bool) -> Iterator[Found]:
    """Networks whose samples reach `goal`, those with the fewest weights first; each with a little more order if need be.

    signs: whether coefficients are bits of one weight.

    Raises UnreachableError where float64 fits cannot reach it.
    """
    d = target.dimension
    size = _size(target)
    if goal < ROUNDING * size:
        raise UnreachableError(
            f"deep-fourier: eps = {goal:g} is below the accuracy of float64 fits, about {ROUNDING * size:.2g} here"
        )
    choices: list[_Choice] = []
    ladder = range(_MOST_SIGN_DIGITS[d] + 1) if signs else range(_MOST_DIGITS[d] + 1)
    for m in ladder[signs:] if digits is None else [digits]:
        least = None if signs else min((c.weights for c in choices), default=None)
        choice = _least_order(Cells(target, m), goal, order, least)
        if choice is not None:
            bits = math.log2(size / goal + 2) if signs else 0
            choices.append(choice._replace(weights=sign_count(d, m, choice.order, bits)) if signs else choice)
    for choice in sorted(choices):
        for extra in range(3 if order is None else 1):
            more = choice.order + extra
            theta = choice.theta if not extra else _best_theta(Cells(target, choice.digits), more, goal)[1]
            yield (_signs if signs else _network)(target, goal, choice.digits, more, theta)


def _size(target: Target) -> float:
    points = np.linspace(0, 1, 33)
    grid = np.stack([g.ravel() for g in np.meshgrid(*[points] * target.dimension, indexing="ij")], axis=1)
    sides = np.asarray(target.domain.floats_inside())
    x = np.clip(sides[:, 0] + grid * (sides[:, 1] - sides[:, 0]), sides[:, 0], sides[:, 1])
    with np.errstate(all="ignore"):
        values = np.abs(np.asarray(target(x if target.dimension > 1 else x[:, 0])))
    return float(np.nanmax(values, initial=0.0))


def _least_order(cells: Cells, goal: float, order: int | None, least: int | None) -> _Choice | None:
    """The smallest order that reaches the goal on samples with fewer than `least` weights."""
    d = cells.target.dimension

    def tried(n: int) -> tuple[bool, float]:
        # An order that is given is wanted for what it can do.
        error, theta = _best_theta(cells, n, goal if order is None else 0.0)
        return error <= _SHARE * goal, theta

    def affordable(n: int) -> bool:
        return n <= _MOST_ORDER[d] and (least is None or weight_count(d, cells.digits, n) < least)

    if order is not None:
        good, theta = tried(order)
        return _Choice(weight_count(d, cells.digits, order), cells.digits, order, theta) if good else None
    failed, n = 0, 1
    while affordable(n):
        good, theta = tried(n)
        if good:
            break
        failed, n = n, max(n + 1, n * 3 // 2)
    else:
        return None
    while n - failed > 1:
        middle = (n + failed) // 2
        good, at = tried(middle)
        if good:
            n, theta = middle, at
        else:
            failed = middle
    return _Choice(weight_count(d, cells.digits, n), cells.digits, n, theta)


def _best_theta(cells: Cells, order: int, goal: float) -> tuple[float, float]:
    """(error on samples, theta) with the smallest coefficients among those that reach the goal, else of the best."""
    fits = [(fit_group(cells, (), order, theta), theta) for theta in THETAS]
    good = [(fit.size, fit.error, theta) for fit, theta in fits if fit.error <= _SHARE * goal]
    return min(good)[1:] if good else min((fit.error, theta) for fit, theta in fits)


def weight_count(dimension: int, digits: int, order: int) -> int:
    """The weights of the network on [0, 1]^d, up to biases of digits: exact for digits = 0, an upper bound otherwise."""

    def terms(free: int) -> tuple[int, int]:
        vectors = index_vectors(free, order) if free else []
        return len(vectors), sum(sum(v != 0 for v in j) for j in vectors)

    if digits == 0:
        count, entries = terms(dimension)
        return entries + 2 * count + 1
    total = dimension * (11 * digits + 4)
    for seams in Cells(Target("+".join(f"x{i + 1}" for i in range(dimension))), digits).kinds():
        count, entries = terms(dimension - len(seams))
        units = 1 + 2 * count
        # Each sine: frequencies, the code, one or two readings; each group: address and bias.
        total += 2 * entries + units * (2 + bool(seams)) + dimension * digits + 1
    return total + (2**dimension - 1) * 12 + 1


def _network(target: Target, goal: float, digits: int, order: int, theta: float) -> Found:
    cells = Cells(target, digits)
    if digits == 0:
        return _plain(cells, fit_group(cells, (), order, theta), goal, order, theta)
    fits = {s: fit_group(cells, s, order, theta) for s in cells.kinds()}
    constants = fits[()].coefficients[:, 0]
    centre = to_fmpq(float(constants.max() + constants.min()) / 2)
    sizes = [float(np.abs(f.coefficients[:, 0] - to_float(centre)).max()) + _amplitudes(f) for f in fits.values()]
    # Half a code step of phase turns a sine by pi/B.
    small = min(goal, max(fits[()].error, 2.0**-60 * goal))
    bits = max(8, math.ceil(math.log2(2.0**10 * math.pi * max(*sizes, 2.0**-70) / small)))
    groups: dict[Seams, Coded] = {s: coded_group(cells, f, centre, bits) for s, f in fits.items()}
    largest = max(g.size for g in groups.values())
    clip = fmpq(2) ** (2 + int(largest.p).bit_length() - int(largest.q).bit_length() + 1)
    plan = FourierPlan(digits, bits, centre, clip, groups)
    return Found(fourier_network(plan, target), plan, digits, order, theta, len(groups[()].integers))


def sign_count(dimension: int, digits: int, order: int, bits: float) -> int:
    """About as many weights as a network has that reads every bit of every coefficient by itself."""
    free = [dimension - len(s) for s in Cells(Target("+".join(f"x{i + 1}" for i in range(dimension))), digits).kinds()]
    coefficients = sum(1 + 2 * len(index_vectors(k, order)) if k else 1 for k in free)
    return round(coefficients * bits * (5 * dimension * digits + 9))


def _signs(target: Target, goal: float, digits: int, order: int, theta: float) -> Found:
    cells = Cells(target, digits)
    fits = {s: fit_group(cells, s, order, theta) for s in cells.kinds()}
    constants = fits[()].coefficients[:, 0]
    centre = to_fmpq(float(constants.max() + constants.min()) / 2)
    sizes = [
        2 * float(np.abs(f.coefficients[:, 0] - to_float(centre)).max()) + 4 * _amplitudes(f) for f in fits.values()
    ]
    small = min(goal, max(fits[()].error, 2.0**-60 * goal))
    depth = max(4, math.ceil(math.log2(2.0**6 * max(*sizes, 2.0**-70) / small)))
    plan = sign_plan(cells, fits, centre, depth)
    return Found(sign_network(plan, target), plan, digits, order, theta, 1 + 2 * len(fits[()].frequencies))


def _amplitudes(fit: Fit) -> float:
    half = len(fit.frequencies)
    return float(np.hypot(fit.coefficients[:, 1 : 1 + half], fit.coefficients[:, 1 + half :]).max(axis=0).sum())


def _plain(cells: Cells, fit: Fit, goal: float, order: int, theta: float) -> Found:
    """centre + sum R sin(w.x + phi), float64 amplitudes and phases."""
    b = Builder(cells.target.dimension)
    half = len(fit.frequencies)
    row = fit.coefficients[0]
    radii = np.hypot(row[1 : 1 + half], row[1 + half :])
    ranks = np.argsort(radii, kind="stable")
    silent = set(ranks[np.cumsum(radii[ranks]) <= _SILENT * goal].tolist())
    terms = []
    for j, w in enumerate(fit.frequencies):
        if j in silent:
            continue
        cosine, sine = float(row[1 + j]), float(row[1 + half + j])
        with working_precision(_PHASE_BITS):
            shift = sum((v * to_fmpq(float(m)) for v, m in zip(w, fit.middles[0], strict=True)), fmpq(0))
            angle = arb.atan2(arb(cosine), arb(sine)) - arb(shift)
            angle -= 2 * arb.pi() * (angle / (2 * arb.pi()) + arb(0.5)).mid().floor()
        inner = linear_combination([(v, b.input(i)) for i, v in enumerate(w)], to_fmpq(float(angle.mid())))
        terms.append((math.hypot(cosine, sine), b.unit(inner, "sin")))
    network = b.build([linear_combination(terms, float(row[0]))])
    return Found(network, None, 0, order, theta, half - len(silent))
