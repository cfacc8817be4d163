"""How few weights do activations max(t, 0)^2 and max(t, 0)^3 need for a smooth function? Splines, no logarithm, one layer."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_poly
from scipy.interpolate import make_interp_spline

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Network, block, layer
from approx.numbers import arb_interval, float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from constructions.relu._cell_polynomials import FOR_KINKS

DESCRIPTION = {
    "name": "relu-power",
    "activations": ("relu3", "relu2"),
    "needs": "one variable, smooth: bounded derivatives of order 4 (power 3) or 3 (power 2)",
    "guarantee": "sup |f - net| <= eps, proved by Taylor models in balls on every piece of a spline",
    "rate": "W = O(eps^(-1/4)) with max(t,0)^3, O(eps^(-1/3)) with max(t,0)^2, one hidden layer, no logarithm",
    "references": ("P19",),
}
MAXIMUM_KNOTS = 20_000
#: Parts of a piece on which the error is bounded by sums of absolute values, and the order of the Taylor models of f.
_PARTS, _ORDER = 6, 6


def relu_power(target: Target, eps: Any, *, power: int = 3) -> Approximant:
    """The Approximant by a spline of degree `power` with simple knots: sum c_i max(x - k_i, 0)^power and a polynomial.

    Guarantee (proved): sup |f - net| <= bound <= eps for the exact weights; on six parts of every piece the spline's own
    polynomial is subtracted from a Taylor model of f in balls. The spline interpolates f at knots that equidistribute
    |f^(power+1)|^(1/(power+1)) (a guess). Cost: 3 weights per knot and at most 10 more; 1 ms per knot.
    Raises InputError (eps, power), RegularityError in several variables or where f is not smooth, UnreachableError beyond
    20,000 knots or where float64 coefficients are too coarse. Source: P19 for the rate; classical splines.

    >>> a = relu_power(Target("sin(2*pi*x)"), 1e-4)
    >>> a.network.size.hidden_layers, a.bound <= 1e-4
    (1, True)
    """
    goal = to_float(to_fmpq(eps))
    if not 0 < goal < math.inf:
        raise InputError("eps", eps, "a positive finite number")
    if power not in (2, 3):
        raise InputError("power", power, "2 or 3")
    _refuse_rough(target, power)
    best: _Spline | None = None
    count, low = 1, 0
    while best is None:  # the error falls like count^-(power+1)
        if count > MAXIMUM_KNOTS:
            raise UnreachableError(
                f"relu-power: eps = {goal:g} needs more than {MAXIMUM_KNOTS:,} knots, or finer weights"
            )
        spline = _Spline(target, power, count)
        if spline.bound <= goal:
            best = spline
        else:
            ratio = (spline.bound / goal) ** (1 / (power + 1)) if math.isfinite(spline.bound) else 2.0
            low, count = count, max(count + 1, math.ceil(count * min(ratio, 4.0)))
    while best.pieces - low > max(1, best.pieces // 50):
        spline = _Spline(target, power, (low + best.pieces) // 2)
        low, best = (low, spline) if spline.bound <= goal else (spline.pieces, best)
    return Approximant(
        network=best.network(),
        target=target,
        bound=best.bound,
        method=str(DESCRIPTION["name"]),
        statement=f"A spline of degree {power} in truncated powers, error O(h^{power + 1}), every unit max(t, 0)^{power}.",
        budget=(BudgetItem("spline", best.bound, "Taylor models in balls on every piece"),),
        parameters={"pieces": best.pieces, "power": power},
        references=tuple(DESCRIPTION["references"]),
    )


def _refuse_rough(target: Target, power: int) -> None:
    if target.dimension != 1:
        raise RegularityError(f"relu-power: needs a target of one variable, this one has {target.dimension}")
    if target.split_points() or not math.isfinite(target.derivative_bound(power + 1, rtol=0.5)):
        raise RegularityError(
            f"relu-power: {target.text} has no bounded derivative of order {power + 1} on {target.domain}; {FOR_KINKS}"
        )


class _Spline:
    """A spline near f: float64 coefficients meant exactly, and the proved distance `bound`."""

    def __init__(self, target: Target, power: int, pieces: int) -> None:
        self.power, self.pieces = power, pieces
        [(self.low, self.high)] = target.domain
        knots = self._knots(target)
        # A spline with these inner knots needs pieces + power values: at Greville's averages.
        full = np.concatenate(([knots[0]] * power, knots, [knots[-1]] * power))
        places = np.array([full[i + 1 : i + 1 + power].mean() for i in range(pieces + power)])
        inside = np.clip(places, *target.domain.floats_inside()[0])
        spline = make_interp_spline(inside, target(inside), k=power, t=full)
        start = [float(spline(knots[0], nu=k)) / math.factorial(k) for k in range(power + 1)]
        self.inner = knots[1:-1]
        middles = (knots[:-1] + knots[1:]) / 2
        top = spline(middles, nu=power) / math.factorial(power)
        self.jumps = np.diff(top)
        self._set_start(knots[0], start)
        self.bound = self._proved(target)

    def _knots(self, target: Target) -> np.ndarray:
        ends = np.array([to_float(self.low), to_float(self.high)])
        low, high = target.domain.floats_inside()[0]
        x = np.linspace(low, high, 1025)
        jets = np.abs(np.asarray(target.jet_float(x, self.power + 1)[(self.power + 1,)]))
        density = np.where(np.isfinite(jets), jets, 0.0) ** (1 / (self.power + 1))
        density = density + 0.05 * density.mean() + 1e-300
        total = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
        knots = np.interp(np.linspace(0, total[-1], self.pieces + 1), total, x)
        grain = 2.0 ** np.floor(np.log2((ends[1] - ends[0]) / (4096 * self.pieces)))
        knots = np.round(knots / grain) * grain  # short weights
        knots[0], knots[-1] = ends
        return knots

    def _set_start(self, left: float, start: list[float]) -> None:
        """The first piece as constant + slope x + sum of c max(x - k, 0)^power with k at and left of the domain."""
        width = to_float(self.high - self.low)
        ends = [2.0 ** math.floor(math.log2(width)) * j for j in range(self.power - 1)]
        base = math.floor(to_float(self.low) * 2**20 / width) * width / 2**20 if left else 0.0
        self.left = [base - e for e in ends]
        shift = [to_fmpq(left) - to_fmpq(k) for k in self.left]
        if self.power == 2:
            self.outer = [start[2]]
        else:  # c_0 + c_1 = s_3 and 3 (c_0 d_0 + c_1 d_1) = s_2 with d = left - k
            second = (start[2] / 3 - start[3] * float(shift[0])) / float(shift[1] - shift[0])
            self.outer = [start[3] - second, second]
        rest = fmpq_poly([to_fmpq(v) for v in start[:2]])
        for c, d in zip(self.outer, shift, strict=True):
            rest -= to_fmpq(c) * fmpq_poly([d**self.power, self.power * d ** (self.power - 1)])
        self.slope = to_float(rest[1])
        self.constant = to_float(rest[0] - to_fmpq(self.slope) * to_fmpq(left))

    def network(self) -> Network:
        """One hidden layer of units max(x - k, 0)^power, and x itself."""
        knots = np.concatenate((self.left, self.inner))
        weights = np.concatenate((self.outer, self.jumps))
        kept = weights != 0
        knots, weights = knots[kept], weights[kept]
        count, affine = len(knots), [block(0, [0, 1], [0], [self.slope])]
        if not count:
            return Network(1, [layer("identity", [self.constant], affine)])
        hidden = layer(
            f"relu{self.power}", -knots, [block(0, np.arange(count + 1), np.zeros(count, dtype=int), np.ones(count))]
        )
        output = block(1, [0, count], np.arange(count), weights)
        return Network(1, [hidden, layer("identity", [self.constant], [*affine, output])])

    def _proved(self, target: Target) -> float:
        """A bound of sup |f - spline| for the exact weights, or inf."""
        if (
            not np.isfinite([*self.outer, *self.jumps, self.slope, self.constant]).all()
            or (np.diff(self.inner) <= 0).any()
        ):
            return math.inf
        polynomial = fmpq_poly([to_fmpq(self.constant), to_fmpq(self.slope)])
        for c, k in zip(self.outer, self.left, strict=True):
            polynomial += to_fmpq(c) * fmpq_poly([-to_fmpq(k), 1]) ** self.power
        ends = [self.low, *(to_fmpq(float(k)) for k in self.inner), self.high]
        if any(to_fmpq(k) > self.low for k in self.left):
            return math.inf
        worst = 0.0
        with working_precision(128):
            for i, (a, b) in enumerate(pairwise(ends)):
                if i:
                    polynomial += to_fmpq(float(self.jumps[i - 1])) * fmpq_poly([-a, 1]) ** self.power
                for j in range(_PARTS):
                    left, right = a + (b - a) * j / _PARTS, a + (b - a) * (j + 1) / _PARTS
                    worst = max(worst, _distance(target, polynomial, left, right))
        return worst


def _distance(target: Target, polynomial: fmpq_poly, left: fmpq, right: fmpq) -> float:
    """A bound of |f - polynomial| on [left, right] by Taylor's theorem at the middle."""
    middle, radius = (left + right) / 2, to_arb((right - left) / 2)
    model = target.series(to_arb(middle), _ORDER - 1)
    rest = target.series(arb_interval(left, right), _ORDER)[_ORDER]
    local = polynomial(fmpq_poly([middle, 1]))
    total = rest * radius**_ORDER
    size = abs(total)
    for k, coefficient in enumerate(model):
        gap: arb = coefficient - (to_arb(local[k]) if k <= local.degree() else 0)
        size = size + abs(gap) * radius**k
    return float_up(size)
