"""Which number A makes frac(A s_k) prescribed values for a sequence s_k that is analytic in k, or falls off exponentially?

Greedy for lacunary numbers. Let |d_{i+1}/d_i| <= rho. From the last (smallest) d_i to the first, add to A the number r/d_i with
r the centred residue of e_i - A d_i modulo 1 (|r| <= 1/2). What is added later changes A d_i by at most the sum of
|d_i/d_j|/2 over j < i, so in the end |A d_i - e_i| <= rho/(2 (1 - rho)) on the circle, for all i.

"lacunary": s_k = sigma(-(x_0 + w k)) - limit decays like exp(-w k): d_k = s_k with rho about 1/(B + 1): N b bits (+1 %).

"taylor": any analytic sigma whose derivatives at x_0 do not vanish. s_k = sigma(x_0 + sum_j w_j k_j), k_j = 0..K_j - 1, has
differences d_i = Delta^i s ~ sigma^(|i|)(x_0) prod w_j^(i_j), which are lacunary when w_1 is tiny and each w_{j+1} tiny against
w_j^(K_j - 1); and s_k = sum_i prod_j binom(k_j, i_j) d_i with integers, whose sum is at most 2^S, S = sum_j (K_j - 1). So with
e_i = Delta^i y and rho = 2^-(b + 2 + S) all values come within 2^-(b+1): about N (b + S) bits. No structure of sigma is used:
this is a constructive proof that {sigma, floor} is superexpressive. Source: derived.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb, fmpq

from approx.errors import UnreachableError
from approx.numbers import to_ball, working_precision
from constructions.superexpressive._analytic import Analytic, ratio_bits
from constructions.superexpressive._grid import cells, strides

_GUARD = 40


class Choice(NamedTuple):
    """The weight integer * 2^exponent, and s_k = sigma(start + sum_j steps_j k_j) - limit."""

    integer: int
    exponent: int
    start: fmpq
    steps: tuple[fmpq, ...]
    limit: int = 0


def greedy(targets: Sequence[int], width: int, numbers: Sequence[int], scale: int, finest: int) -> int:
    """A 2^finest for the greedy of the module docstring: d_i = numbers[i]/2^scale, e_i = targets[i]/2^width; finest >= 0."""
    total = 0
    shift = scale + finest
    modulus, half = 1 << shift, 1 << (shift - 1)
    for target, number in zip(reversed(targets), reversed(numbers), strict=True):
        wanted = target << (shift - width)
        rest = (wanted - total * number + half) % modulus - half
        # rest / 2^shift / (number / 2^scale), in units of 2^-finest, to the nearest
        total += (2 * rest + number) // (2 * number)
    return total


def differences(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    """Delta^i of the values along every axis (first axis fastest): the same length, exact for integers, sound for balls."""
    table = list(values)
    for stride, count in zip(strides(counts), counts, strict=True):
        for level in range(1, count):
            for place in range(len(table) - 1, -1, -1):
                if place // stride % count >= level:
                    table[place] = table[place] - table[place - stride]
    return table


def sequence(sigma: Analytic, start: fmpq, steps: Sequence[fmpq], counts: Sequence[int]) -> list[arb]:
    """sigma(start + sum_j steps_j k_j) for all k, at the working precision."""
    found = []
    for k in cells(counts):
        argument = start + sum((w * n for w, n in zip(steps, k, strict=True)), fmpq(0))
        found.append(sigma.function(to_ball(argument)))
    return found


def select_taylor(targets: Sequence[int], width: int, bits: int, counts: Sequence[int], sigma: Analytic) -> Choice:
    """The weight for values on a grid of counts[0] x counts[1] x ...; cost N values of sigma at about N (b + S) bits."""
    spread = sum(counts) - len(counts)
    gap = bits + 3 + spread
    wanted = [d % (1 << width) for d in differences(targets, counts)]
    ratio, range_bits = ratio_bits(sigma, spread + 1)
    for extra in range(0, 80, 16):
        steps, span = [], 0
        for count in counts:
            # A step on this axis is smaller than the finest difference along the axes before it.
            exponent = span + gap + max(0, ratio) + extra + (range_bits if span else 0)
            steps.append(fmpq(1, 2**exponent))
            span += (count - 1) * exponent
        scale = max(span + range_bits + gap + 2 * spread + _GUARD, width)
        numbers = _lacunary_numbers(sigma, steps, counts, scale, gap)
        if numbers is not None:
            return Choice(greedy(wanted, width, numbers, scale, gap), -gap, sigma.start, tuple(steps))
    raise UnreachableError("taylor: the differences of the activation did not become lacunary; another start may do")


def _lacunary_numbers(
    sigma: Analytic, steps: Sequence[fmpq], counts: Sequence[int], scale: int, gap: int
) -> list[int] | None:
    """The differences as integers in units of 2^-scale, or None when they do not fall by 2^-gap each time."""
    with working_precision(scale + _GUARD):
        balls = differences(sequence(sigma, sigma.start, steps, counts), counts)
        numbers = [int((d * arb(2) ** scale).mid().floor().fmpz()) if d.is_finite() else 0 for d in balls]
    sizes = [abs(n).bit_length() for n in numbers]
    falls = all(a - b >= gap - 1 for a, b in itertools.pairwise(sizes))
    return numbers if falls and min(sizes) > 16 else None


def select_tail(targets: Sequence[int], width: int, bits: int, sigma: Analytic) -> Choice:
    """The weight for values 1..N along an exponential tail; sigma must have one."""
    if sigma.tail is None:
        raise UnreachableError("lacunary: the activation has no exponential tail; use method='taylor'")
    direction, limit, factor = sigma.tail
    count = len(targets)
    # 2^-20 above log(B + 1)/factor, so that the ratio stays below 1/(B + 1) after the first few percent of the tail.
    step = fmpq(math.ceil(math.log(2.0**bits + 1) / factor * 2**20) + 1, 2**20)
    start = fmpq(direction * (bits + 8))
    scale = width + math.ceil(count * factor * float(step.p) / float(step.q) / math.log(2)) + 3 * bits + 2 * _GUARD + 24
    with working_precision(scale + _GUARD):
        balls = [s - limit for s in sequence(sigma, start, [direction * step], [count])]
        numbers = [int((d * arb(2) ** scale).mid().floor().fmpz()) for d in balls]
    integer = greedy(targets, width, numbers, scale, bits + 16)
    return Choice(integer, -(bits + 16), start, (direction * step,), limit)


def decode(weight: fmpq, sigma: Analytic, choice: Choice, counts: Sequence[int], width: int) -> tuple[list[int], float]:
    """(V, units): frac(weight * s_k) within units of 2^-width of V, for every k; rigorous (balls)."""
    size = max(int(weight.p).bit_length() - int(weight.q).bit_length(), 0)
    values, units = [], 0.0
    with working_precision(size + width + _GUARD):
        factor = arb(weight) * arb(2) ** width
        for s in sequence(sigma, choice.start, choice.steps, counts):
            scaled = factor * (s - choice.limit)
            nearest = scaled.mid().floor()
            values.append(int(nearest.fmpz()) % (1 << width))
            units = max(units, float((scaled - nearest).abs_upper()))
    return values, units
