"""What sup |f - net| is exactly, when f and the network are rational: + - * /, integer powers, abs, max, min, relu.

Where f is a rational function p/q with rational coefficients and the network s x + c, the gap is h = (p - (s x + c) q) / q.
Its supremum is attained at an end of the interval or at a zero of h', a polynomial whose rational zeros are found exactly
by factorisation and whose other real zeros are enclosed by balls. So the supremum is a rational number, found exactly, or
an algebraic one, enclosed to 2^-200. The domain is cut where arguments of abs, max, min, relu and of the network's units
change their signs; where such a place is irrational, or q has a zero, there is no exact answer (None).

Cost: a factorisation per piece, about 1e4 pieces a second for quadratics.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from flint import acb, arb, fmpq, fmpq_poly

from approx.certification.exact_rung import ExactRung
from approx.numbers import float_down, float_up, to_fmpq, working_precision

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

_BITS = 320
_MOST_DEGREE, _MOST_PIECES = 64, 4000
_X = fmpq_poly([0, 1])
_Ratio = tuple[fmpq_poly, fmpq_poly]


class _Inexact(Exception):
    """There is no exact answer: an irrational kink, a pole, too large a degree."""


@dataclass(frozen=True)
class ExactSupremum:
    """The supremum: exactly `value`, or between float64 numbers when it is irrational; attained (nearly) at witness."""

    lower: float
    upper: float
    witness: fmpq
    value: fmpq | None

    def __str__(self) -> str:
        if self.value is None:
            return "exact (algebraic)"
        return f"exact (sup = {self.value})" if self.value.height_bits() <= 64 else "exact (rational)"


def exact_supremum(network: Network, target: Target) -> ExactSupremum | None:
    """The ExactSupremum over the target's domain; None where f or the network is not rational, or too large."""
    rung = ExactRung(network, target)
    if target.dimension != 1 or not (rung.available and target.is_rational):
        return None
    lower, upper = target.domain.lower[0], target.domain.upper[0]
    try:
        with working_precision(_BITS):
            cuts = _pieces_of(target, lower, upper)
            nodes = rung.followed([cuts[0][0], *(b for _, b, _ in cuts)])
            return None if nodes is None else _supremum(cuts, nodes)
    except (_Inexact, ZeroDivisionError, OverflowError):
        return None


def _supremum(cuts: list[tuple[fmpq, fmpq, _Ratio]], nodes: list[tuple[fmpq, fmpq]]) -> ExactSupremum:
    best, place = fmpq(0), nodes[0][0]
    rivals: list[tuple[arb, fmpq, fmpq]] = []
    position = 0
    for (a, va), (b, vb) in pairwise(nodes if len(nodes) > 1 else nodes * 2):
        while b > cuts[position][1]:
            position += 1
        p, q = cuts[position][2]
        slope = (vb - va) / (b - a) if b > a else fmpq(0)
        top, bottom = _reduced(p - (slope * _X + (va - slope * a)) * q, q)
        if _real_zeros(bottom, a, b) != ([], []):
            raise _Inexact
        exact, enclosed = _real_zeros(top.derivative() * bottom - top * bottom.derivative(), a, b)
        for x in (a, b, *exact):
            gap = abs(top(x) / bottom(x))
            if gap > best:
                best, place = gap, x
        for ball in enclosed:
            x = to_fmpq(ball.mid())
            x = min(max(x, a), b)
            rivals.append((abs(_at(top, ball) / _at(bottom, ball)), x, abs(top(x) / bottom(x))))
    rivals = [r for r in rivals if not r[0] < arb(best)]
    if not rivals:
        return ExactSupremum(abs(float_down(arb(best))), abs(float_up(arb(best))), place, best)
    high = arb(best)
    for ball, x, gap in rivals:
        high = high.max(ball)
        if gap > best:
            best, place = gap, x
    return ExactSupremum(float_down(arb(best)), float_up(high.upper()), place, None)


def _pieces_of(target: Target, lower: fmpq, upper: fmpq) -> list[tuple[fmpq, fmpq, _Ratio]]:
    """Intervals that cover the domain, on each of which f is one rational function."""
    pending, done = [(lower, upper)], []
    while pending:
        a, b = pending.pop()
        ratio, roots = _follow(target, a, b)
        if roots:
            ends = [a, *roots, b]
            pending += list(pairwise(ends))[::-1]
        else:
            done.append((a, b, ratio))
        if len(done) + len(pending) > _MOST_PIECES:
            raise _Inexact
    return done


def _follow(target: Target, a: fmpq, b: fmpq) -> tuple[_Ratio, list[fmpq]]:
    """(f as a rational function on [a, b], []), or (anything, the places where [a, b] must be cut first)."""
    values: list[_Ratio] = []
    one = fmpq_poly([1])
    for step in target.program.instructions:
        args = [values[i] for i in step.arguments]
        match step.operation:
            case "number":
                value = fmpq_poly([step.data]), one
            case "variable":
                value = _X, one
            case "neg":
                value = -args[0][0], args[0][1]
            case "add" | "sub" | "mul" | "div":
                value = _binary(step.operation, *args)
            case "powi":
                value = _power(args[0], step.data)
            case "abs" | "relu" | "max" | "min":
                other = args[1] if len(args) > 1 else (fmpq_poly([0]), one)
                gap = _binary("sub", args[0], other)
                roots = _sign_changes(gap, a, b)
                if roots:
                    return gap, roots
                value = _chosen(step.operation, args[0], other, gap, (a + b) / 2)
            case _:
                raise _Inexact
        if max(value[0].degree(), value[1].degree()) > _MOST_DEGREE:
            raise _Inexact
        values.append(_reduced(*value))
    return values[-1], []


def _binary(operation: str, first: _Ratio, second: _Ratio) -> _Ratio:
    (p, q), (r, s) = first, second
    if operation == "mul":
        return p * r, q * s
    if operation == "div":
        if r == 0:
            raise _Inexact
        return p * s, q * r
    return (p * s + r * q, q * s) if operation == "add" else (p * s - r * q, q * s)


def _power(base: _Ratio, exponent: int) -> _Ratio:
    size = abs(exponent)
    if size * max(base[0].degree(), base[1].degree(), 1) > _MOST_DEGREE or (exponent < 0 and base[0] == 0):
        raise _Inexact
    p, q = base[0] ** size, base[1] ** size
    return (p, q) if exponent >= 0 else (q, p)


def _chosen(operation: str, first: _Ratio, second: _Ratio, gap: _Ratio, inside: fmpq) -> _Ratio:
    """The result of abs, relu, max, min where first - second keeps its sign."""
    positive = gap[0](inside) / gap[1](inside) >= 0
    if operation == "abs":
        return first if positive else (-first[0], first[1])
    return first if positive != (operation == "min") else second


def _reduced(p: fmpq_poly, q: fmpq_poly) -> _Ratio:
    if q.degree() == 0:
        return p / q[0], fmpq_poly([1])
    common = p.gcd(q)
    return (p // common, q // common) if common.degree() > 0 else (p, q)


def _sign_changes(gap: _Ratio, a: fmpq, b: fmpq) -> list[fmpq]:
    """The zeros of numerator and denominator strictly inside, all of them rational."""
    found: set[fmpq] = set()
    for poly in gap:
        exact, enclosed = _real_zeros(poly, a, b)
        if enclosed:
            raise _Inexact
        found.update(x for x in exact if a < x < b)
    return sorted(found)


def _real_zeros(poly: fmpq_poly, a: fmpq, b: fmpq) -> tuple[list[fmpq], list[arb]]:
    """(rational zeros in [a, b], balls of the other real zeros that may lie there); none for constants."""
    exact: list[fmpq] = []
    enclosed: list[arb] = []
    if poly.degree() < 1:
        return exact, enclosed
    for factor, _ in poly.numer().factor()[1]:
        if factor.degree() == 1:
            x = fmpq(-factor[0], factor[1])
            if a <= x <= b:
                exact.append(x)
            continue
        roots: Any = factor.complex_roots()
        for root, _ in roots:
            z = acb(root)
            if z.imag.contains(0) and not (z.real < arb(a) or z.real > arb(b)):
                enclosed.append(z.real)
    return exact, enclosed


def _at(poly: fmpq_poly, x: arb) -> arb:
    total = arb(0)
    for c in reversed(poly.coeffs()):
        total = total * x + arb(c)
    return total
