"""How much does a sin/arcsin network change when its units or its weights are slightly off? A bound on the whole box.

Let every sin unit be computed within delta (in absolute value, for arguments that occur), every arcsin unit within
alpha + beta e for an argument that is off by e and may leave [-1, 1] by that much (it is clipped), and every weight w within
rho(w). Going through the units in order, e(unit) bounds |perturbed - exact|:
- the argument z = b + sum w_i u_i is off by at most rho(b) + sum (|w_i| + rho(w_i)) e_i + rho(w_i) |u_i|, |u_i| <= its range;
- sin is 1-Lipschitz: e = argument + delta;
- arcsin: e = alpha + beta argument + L argument with L = 1/sqrt(1 - r^2) where all |z|, perturbed too, stay below r < 1, else
  alpha + beta argument + pi/sqrt(2) sqrt(argument);
- arcsin of a single sine (weight +-1): arcsin o sin is 1-Lipschitz, so the sine's own argument enters linearly and only delta
  under the root.
No assumption on the point: ramps and folds are included. Source: derived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, fmpq

from approx.networks import Network
from approx.numbers import absolute, to_ball
from approx.targets import Target


class Errors(NamedTuple):
    """What is off: sin units by `sine`, arcsin units by `arcsine` + `slope` times the error of the argument, weights by
    `weight(w)`. These hold for perturbed arguments of sin up to `reach` and errors of arguments of arcsin up to `limit`."""

    sine: arb
    arcsine: arb
    slope: arb
    weight: Callable[[Any], arb]
    reach: arb
    limit: arb


def exact_weight(_: Any) -> arb:
    """The rule of weights that are not perturbed."""
    return arb(0)


def output_error(network: Network, target: Target, errors: Errors) -> arb:
    """A bound of |perturbed network - network| over the target's domain, at the working precision; not finite if none."""
    ranges = [absolute(arb(low)).max(absolute(arb(high))) for low, high in target.domain]
    off = [arb(0)] * network.inputs
    arguments = [arb(0)] * network.inputs
    rows = network.exact_rows()
    for activation, bias, terms in rows:
        argument, size = errors.weight(bias), absolute(to_ball(bias))
        for unit, w in terms:
            weight, slack = absolute(to_ball(w)), errors.weight(w)
            argument = argument + (weight + slack) * off[unit] + slack * ranges[unit]
            size = size + weight * ranges[unit]
        argument = arb(argument.upper())
        if activation == "sin":
            found, reach = argument + errors.sine if size + argument <= errors.reach else arb("inf"), arb(1)
        elif activation == "arcsin":
            found = _arcsine(errors, argument, size, _folded(rows, network.inputs, bias, terms), off, arguments)
            reach = arb.pi() / 2
        else:
            found, reach = argument, size
        off.append(arb(found.upper()))
        ranges.append(arb(reach.upper()))
        arguments.append(argument)
    return off[-1]


def _folded(rows: list[Any], inputs: int, bias: Any, terms: list[tuple[int, Any]]) -> int | None:
    """The sin unit whose value alone, up to the sign, is the argument; None in other cases."""
    if isinstance(bias, fmpq) and bias == 0 and len(terms) == 1:
        unit, weight = terms[0]
        if unit >= inputs and rows[unit - inputs][0] == "sin" and isinstance(weight, fmpq) and abs(weight) == 1:
            return unit
    return None


def _arcsine(errors: Errors, argument: arb, size: arb, folded: int | None, off: list[arb], arguments: list[arb]) -> arb:
    if not argument <= errors.limit:
        return arb("inf")
    base = errors.arcsine + errors.slope * argument
    if folded is not None:
        return base + arguments[folded] + _root(errors.sine)
    far = size + argument
    if far < 1:
        return base + argument / (1 - far * far).sqrt()
    return base + _root(argument)


def _root(e: arb) -> arb:
    """pi/sqrt(2) sqrt(e): |arcsin a - arcsin b| <= pi/sqrt(2) |a - b|^(1/2)."""
    return arb.pi() * (e / 2).sqrt()
