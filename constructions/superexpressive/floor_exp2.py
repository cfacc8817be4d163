"""Which network does the 2026 paper build from floor and 2^t? The baseline in bits, reproduced to the digit.

With delta = eps/2, M = ceil((lambda/delta)^(1/alpha)) on the unit cube, K = (M+1)^d cells of lower corners c_r,
r(x) = sum_j (M+1)^(j-1) floor(M x_j), B the smallest power of two >= 2R/delta + 1 and the digits q_r with
0 <= f(c_r) - (-R + delta q_r) <= delta, one integer A = sum_r q_r B^r holds the function. The forms:

    "two"   widths (d, 1, 2):            v = B^-r,  out = -R + delta (floor(A v) - B floor(A v / B))
    "skip"  widths (d, 1, 1), one skip:  out = -R + delta (A v - B floor(A v / B))   (the fraction of A v is kept)

The paper writes both with the one activation 2^t - 1 (t < 0), floor t (t >= 0); here floor and 2^t are layers of their own,
the function is the same. Its third form (d, 1) needs an activation made for it and is not built.

The paper counts the binary length of A alone (`parameters["table_bits"]`); `network.size.bits` counts every weight, and in
form "two" A stands twice, as A and as A/B.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from approx.approximant import Approximant, BudgetItem
from approx.errors import InputError, RegularityError, UnreachableError
from approx.networks import Builder, Network
from approx.networks.builder import linear_combination
from approx.numbers import float_up, to_arb, to_float, to_fmpq, working_precision
from approx.targets import Target
from approx.targets.enclosures import grid_enclosures
from approx.targets.variation import variation_within
from constructions.superexpressive._bit_tables import bit_width, packed
from constructions.superexpressive._cells import MOST_CELLS
from constructions.superexpressive._options import accuracy

DESCRIPTION: dict[str, Any] = {
    "name": "floor-exp2",
    "activations": ("floor", "exp2"),
    "needs": "1 to 3 variables, Hölder continuous",
    "guarantee": "sup |f - net| <= omega_f(1/M) + delta, d + 3 units (or d + 2 and a skip) at every eps",
    "rate": "bits = Theta(eps^(-d/alpha) log(1/eps))",
    "references": ("C26",),
}
FORMS = ("two", "skip")


class Plan(NamedTuple):
    """The integers of the construction: M, K, the field width log2 B, and the rationals delta and R."""

    divisions: int
    cells: int
    width: int
    delta: fmpq
    amplitude: fmpq


def floor_exp2(
    target: Target, eps: Any, *, form: str = "two", hoelder: tuple[Any, Any] | None = None, amplitude: Any = None
) -> Approximant:
    """Return the 2026 network for the target: d + 3 units (form "two") or d + 2 and a skip ("skip"), rational weights.

    Statement: sup |f - net| <= omega_f(1/M) + delta. Guarantee proved: omega_f from the target (whatever constants are given),
    the digits by balls of f at the corners. Where a corner value may be a multiple of delta, the digit below is taken.

    hoelder: (alpha, lambda) on the unit cube, which only choose M (None: from the target); numbers or constant expressions such
    as "pi". amplitude: R with |f| <= R (None: an integer multiple of delta from the range of f). `parameters`: M, K, B, delta,
    R, and table_bits, the binary length of A.

    Cost: a ball of f per cell (some 10 us), up to 2e7 cells. Raises InputError (eps, form, hoelder, or values that are not
    bounded by the amplitude), RegularityError, UnreachableError (too many cells; it says how many bits they would take).
    Source: Cheng, Wang, Wang (2026), section 6; formulas as in papers.md.

    >>> a = floor_exp2(Target("abs(x - 1/3)"), 0.25, hoelder=(1, 1), amplitude=1)
    >>> a.network.size.units, a.parameters["M"], a.parameters["K"], a.parameters["B"]
    (4, 8, 9, 32)
    """
    goal = to_fmpq(accuracy(eps))
    if form not in FORMS:
        raise InputError("form", form, "'two' or 'skip'")
    if not 1 <= target.dimension <= 3:
        raise InputError("target", f"{target.dimension} variables", "1, 2 or 3 variables")
    plan = _plan(target, goal, hoelder, amplitude)
    digits, above = _digits(target, plan)
    table = packed(digits, plan.width)
    network = _network(target, plan, table, form)
    sides = [(high - low) / plan.divisions for low, high in target.domain]
    spread = variation_within(target, sides)
    # f lies 0 .. above over its digit; with the fraction kept, the network lies 0 .. delta over it, too.
    quantum = above if form == "two" else max(above, float_up(plan.delta))
    return Approximant(
        network=network,
        target=target,
        bound=float_up(to_fmpq(spread) + to_fmpq(quantum)) if spread < float("inf") else spread,
        method=DESCRIPTION["name"],
        statement=(
            f"sup |f - net| <= omega_f(1/M) + delta with M = {plan.divisions}, from one integer of K log2 B bits "
            "read in base B (floor and 2^t)."
        ),
        budget=(
            BudgetItem(
                "variation in a cell", spread, "modulus of continuity or slopes of the target, corner to corner"
            ),
            BudgetItem("quantum", quantum, "balls of f at the lower corners of all cells"),
        ),
        parameters={
            "M": plan.divisions,
            "K": plan.cells,
            "B": 2**plan.width,
            "delta": to_float(plan.delta),
            "R": to_float(plan.amplitude),
            "form": form,
            "table_bits": table.bit_length(),
        },
        references=DESCRIPTION["references"],
    )


def _plan(target: Target, goal: fmpq, hoelder: tuple[Any, Any] | None, amplitude: Any) -> Plan:
    delta = goal / 2
    with working_precision(128):
        alpha, constant = _constants(target) if hoelder is None else _given(hoelder)
        ratio = constant / arb(delta)
        needed = (ratio.log() / alpha).exp() if constant > 0 else arb(1)
        if 1 / alpha == 2 and constant > 0:
            needed = ratio * ratio
        # A ball around a whole number stands for that number. Where M is ours to choose, it leaves room for rounding.
        lower = needed.lower() * (1 if hoelder else 1 + arb(2) ** -30)
        if not lower.is_finite():
            raise RegularityError(f"target {target.text}: no finite Hölder constant")
        divisions = max(1, int(to_fmpq(lower.ceil()).p))
        cells = (divisions + 1) ** target.dimension
        size = _amplitude(target, delta, amplitude)
    width = bit_width(int((2 * size / delta).ceil()))
    if cells > MOST_CELLS:
        raise UnreachableError(
            f"eps: {cells:,} cells of {width} bits would be needed, {cells * width:,} bits; accepted: at most "
            f"{MOST_CELLS:,} cells"
        )
    return Plan(divisions, cells, width, delta, size)


def _constants(target: Target) -> tuple[arb, arb]:
    alpha, constant = target.hoelder()
    side = max(high - low for low, high in target.domain)
    return arb(to_fmpq(alpha)), arb(constant) * (arb(side).log() * arb(to_fmpq(alpha))).exp()


def _given(hoelder: tuple[Any, Any]) -> tuple[arb, arb]:
    try:
        alpha, constant = (Target(v).ball([arb(0)]) if isinstance(v, str) else to_arb(v) for v in hoelder)
    except (TypeError, ValueError) as error:
        raise InputError("hoelder", hoelder, "a pair (alpha, lambda)") from error
    if not (0 < alpha <= 1 and constant >= 0):
        raise InputError("hoelder", hoelder, "a pair (alpha, lambda) with 0 < alpha <= 1 and lambda >= 0")
    return alpha, constant


def _amplitude(target: Target, delta: fmpq, given: Any) -> fmpq:
    if given is not None:
        size = to_fmpq(given)
        if not size > 0:
            raise InputError("amplitude", given, "a positive number")
        return size
    bound = target.derivative_bound((0,) * target.dimension)
    everywhere = target.ball(target.domain.balls())
    if everywhere.is_finite():  # for callables the only bound there is
        bound = min(bound, float_up(everywhere.abs_upper()))
    if not bound < float("inf"):
        raise RegularityError(f"target {target.text}: not shown to be bounded; give amplitude=")
    return delta * max(1, int((to_fmpq(bound) / delta).ceil()))


def _digits(target: Target, plan: Plan) -> tuple[np.ndarray, float]:
    """The digits q_r, the largest ones that are proved not to lie above f; and a bound of f + R - delta q_r."""
    corners = [
        [low + (high - low) * fmpq(k, plan.divisions) for k in range(plan.divisions + 1)] for low, high in target.domain
    ]
    middle, radius = grid_enclosures(target, corners)
    if not np.isfinite(radius).all():
        raise RegularityError(f"target {target.text}: not shown to be finite on the whole domain")
    step, size = to_float(plan.delta), to_float(plan.amplitude)
    rounding = radius + 2.0**-50 * (np.abs(middle) + size)
    digits = np.floor((middle - rounding + size) / step)
    # Where f may just be -R, the digit 0 serves: f is at most the rounding below it.
    touching = (digits < 0) & (middle + rounding + size >= 0)
    digits = np.where(touching, 0, digits)
    if digits.min() < 0 or digits.max() >= 2**plan.width:
        raise InputError("amplitude", size, f"a bound of |f|, which reaches {float(np.abs(middle).max()):.6g}")
    above = np.maximum(np.abs(middle + size - digits * step) + rounding, 0).max() * (1 + 2.0**-50)
    return digits.astype(np.int64), float(above)


def _network(target: Target, plan: Plan, table: int, form: str) -> Network:
    b = Builder(target.dimension)
    places = [
        b.unit(plan.divisions / (high - low) * (b.input(i) - low), "floor")
        for i, (low, high) in enumerate(target.domain)
    ]
    strides = [(plan.divisions + 1) ** i for i in range(target.dimension)]
    power = b.unit(-plan.width * linear_combination(zip(strides, places, strict=True)), "exp2")
    base = 1 << plan.width
    above = b.unit(fmpq(table) / base * power, "floor")
    first = b.unit(fmpq(table) * power, "floor") if form == "two" else fmpq(table) * power
    return b.build([plan.delta * (first - base * above) - plan.amplitude])
