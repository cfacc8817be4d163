"""How does a network of one sigmoidal activation, sigma_3, imitate a network of sin and arcsin, two units for one?

sigma_3(x) = -1/x for x < -1, (x arcsin x + sqrt(1 - x^2))/pi + 3x/2 + 2 for |x| <= 1, 7 - 3/x + sin(pi x)/(pi x^2) for x > 1:
C^1, strictly increasing, limits 0 and 7. For x > 1 exactly sigma_3(x) + 3 sigma_3(-x) = 7 + sin(pi x)/(pi x^2). So, X even,

    sin(pi y) ~ pi X^2 [sigma_3(X + y) + 3 sigma_3(-X - y) - 7],
    arcsin v  ~ pi [(sigma_3(v + tau) - sigma_3(v - tau))/(2 tau) - 3/2].

The former is off by |X^2/(X+y)^2 - 1| <= 3 rho for |y| <= rho X, rho <= 1/8. The latter is off by at most
pi sqrt(tau)/sqrt(2) + 44 (tau + e) when v is within e of [-1, 1], e + tau <= 1/4: sigma_3' is arcsin/pi + 3/2 inside, Hölder
1/2 there, and changes by at most 14 per unit just outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import pi, to_ball, working_precision


def imitate(network: Network, shift: int, width: int) -> Network:
    """The sigma_3 network with two units for every unit of a network of sin and arcsin; X = 2^shift, tau = 2^-width."""
    x, tau = fmpq(2) ** shift, fmpq(1, 2**width)
    b = Builder(network.inputs)
    forms: list[Form] = [b.input(i) for i in range(network.inputs)]
    for activation, bias, terms in network.exact_rows():
        argument = linear_combination(((w, forms[u]) for u, w in terms), bias)
        if activation == "sin":
            y = argument / pi()
            pair = b.unit(y + x, "sigma3") + 3 * b.unit(-y - x, "sigma3")
            forms.append((pi() * x**2) * (pair - 7))
        elif activation == "arcsin":
            pair = b.unit(argument + tau, "sigma3") - b.unit(argument - tau, "sigma3")
            forms.append(pi() * (pair / (2 * tau) - fmpq(3, 2)))
        else:
            return b.build([argument])
    raise ValueError("a network ends with an affine layer")


def imitated(network: Network) -> tuple[Network, int, int]:
    """(network of sin and arcsin, shift, width) that `imitate` would turn into this one; ValueError when there is none."""
    rows = network.exact_rows()
    inputs = network.inputs
    b = Builder(inputs)
    forms: list[Form] = [b.input(i) for i in range(inputs)]
    kinds: list[str] = []
    shift = width = 0
    for number in range(0, len(rows) - 1, 2):
        first, second = rows[number], rows[number + 1]
        if first[0] != "sigma3" or second[0] != "sigma3":
            raise ValueError("no sigma3 network")
        if _opposite(first, second):
            shift = shift or _power(first[1])
            argument = _argument(first, forms, kinds, inputs, shift, width) - fmpq(2) ** shift
            forms.append(b.unit(pi() * argument, "sin"))
            kinds.append("sin")
        else:
            gap = first[1] - second[1]
            width = width or int(gap.q).bit_length()
            argument = _argument(first, forms, kinds, inputs, shift, width) - fmpq(1, 2**width)
            forms.append(b.unit(argument, "arcsin"))
            kinds.append("arcsin")
    found = b.build([_argument(rows[-1], forms, kinds, inputs, shift, width)])
    if imitate(found, shift, width) != network:
        raise ValueError("not an imitation")
    return found, shift, width


def _opposite(first: Any, second: Any) -> bool:
    return first[1] == -second[1] and [(u, -w) for u, w in first[2]] == second[2]


def _power(bias: Any) -> int:
    """k for a number near 2^k."""
    with working_precision(64):
        return round(float(abs(to_ball(bias)).log() / to_ball(2).log()))


def _argument(row: Any, forms: Sequence[Form], kinds: Sequence[str], inputs: int, shift: int, width: int) -> Form:
    """The form of a row over the imitated units: pairs of sigma_3 units are taken together."""
    _, bias, terms = row
    parts: list[tuple[Any, Form]] = []
    constant = bias
    for unit, w in terms:
        if unit < inputs:
            parts.append((w, forms[unit]))
            continue
        pair, second = divmod(unit - inputs, 2)
        if second:
            continue
        if kinds[pair] == "sin":
            weight = w / (pi() * fmpq(2) ** (2 * shift))
            constant = constant + 7 * w
        else:
            weight = w * fmpq(2, 2**width) / pi()
            constant = constant + weight * pi() * fmpq(3, 2)
        parts.append((weight, forms[inputs + pair]))
    return linear_combination(parts, constant)
