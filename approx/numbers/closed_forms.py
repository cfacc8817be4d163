"""Which exact real numbers beyond the rationals may be weights? Rational combinations of powers of pi, log 2 and arccosines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flint import arb, ctx, fmpq

from approx.errors import InputError
from approx.numbers.conversions import to_float, to_fmpq
from approx.numbers.text import rational_from_text, rational_to_text

#: A generator: ("pi", None), ("log2", None) or ("acos", q) with q = p/q in (-1, 1); a monomial: sorted (generator, power).
Monomial = tuple[tuple[tuple[str, tuple[int, int] | None], int], ...]
_ONE: Monomial = ()
_FACTOR = re.compile(r"(pi|log2|acos\(([^()*^]+)\))\^(-?[1-9][0-9]{0,3})\Z")
_PRECISIONS = (128, 1024, 16384, 262144)
_MOST_TERMS = 1000


class ClosedForm:
    """An exact irrational number sum q_i * product of powers of pi, log 2 and arccos(r), evaluated to any precision.

    Supports + - * with rationals and each other, / by rationals and by single products; a result that is formally rational
    is returned as fmpq. Two equal numbers written differently (none are known among the generators) compare unequal.
    `bits` is the length of its description: all rationals in it, and one bit per factor.

    >>> theta = arccos(fmpq(1, 512))
    >>> theta, (2 * theta - theta * 2) == 0, to_ball(pi() * theta) > 4.9
    (acos(1/512), True, True)
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, fmpq]) -> None:
        self.terms = dict(terms)

    # -- arithmetic -------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        added = _terms(other)
        if added is None:
            return NotImplemented
        terms = dict(self.terms)
        for monomial, q in added.items():
            terms[monomial] = terms.get(monomial, fmpq(0)) + q
        return _simplest(terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return ClosedForm({m: -q for m, q in self.terms.items()})

    def __sub__(self, other: Any) -> Any:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Any:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Any:
        factor = _terms(other)
        if factor is None:
            return NotImplemented
        terms: dict[Monomial, fmpq] = {}
        for m, p in self.terms.items():
            for n, q in factor.items():
                product = _product(m, n)
                terms[product] = terms.get(product, fmpq(0)) + p * q
        return _simplest(terms)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self * reciprocal(other)

    def __rtruediv__(self, other: Any) -> Any:
        return reciprocal(self) * other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClosedForm) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __repr__(self) -> str:
        return " + ".join(_shown(m, q) for m, q in sorted(self.terms.items(), key=lambda t: t[0].__repr__()))

    # -- values -----------------------------------------------------------------------------------------------------

    @property
    def bits(self) -> int:
        """1 + bitlength(p) + bitlength(q) for every rational p/q in the description, and one bit per factor."""
        total = 0
        for monomial, q in self.terms.items():
            total += _length(q)
            for (_, argument), power in monomial:
                total += abs(power) + (_length(fmpq(*argument)) if argument else 0)
        return total

    def ball(self) -> arb:
        """A ball that contains the number, at the working precision (relative, unless terms cancel)."""
        total = arb(0)
        for monomial, q in self.terms.items():
            value = arb(q)
            for generator, power in monomial:
                base = _generator_ball(*generator)
                value = value * base**power if power > 0 else value / base**-power
            total += value
        return total

    def to_text(self) -> str:
        """A text without code that `ClosedForm.from_text` reads back exactly."""
        parts = []
        for monomial, q in self.terms.items():
            factors = [rational_to_text(q)]
            for (name, argument), power in monomial:
                inside = f"({rational_to_text(fmpq(*argument))})" if argument else ""
                factors.append(f"{name}{inside}^{power}")
            parts.append("*".join(factors))
        return "+".join(sorted(parts))

    @classmethod
    def from_text(cls, text: str) -> ClosedForm:
        """The number that `to_text` wrote; raises InputError on anything else."""
        parts = text.split("+")
        terms: dict[Monomial, fmpq] = {}
        if len(parts) > _MOST_TERMS:
            raise InputError("closed form", text[:40], f"at most {_MOST_TERMS} terms")
        for part in parts:
            first, *factors = part.split("*")
            monomial = _ONE
            for factor in factors:
                monomial = _product(monomial, _read_factor(factor))
            terms[monomial] = terms.get(monomial, fmpq(0)) + rational_from_text(first)
        found = _simplest(terms)
        if not isinstance(found, ClosedForm):
            raise InputError("closed form", text[:40], "an irrational number as written by to_text")
        return found


def pi() -> ClosedForm:
    """The number pi."""
    return ClosedForm({((("pi", None), 1),): fmpq(1)})


def log2() -> ClosedForm:
    """The natural logarithm of 2."""
    return ClosedForm({((("log2", None), 1),): fmpq(1)})


def arccos(cosine: Any) -> Any:
    """arccos(q) of a rational q in [-1, 1]; a rational multiple of pi where it is one (q = 0, +-1/2, +-1, by Niven).

    >>> arccos(fmpq(1, 2)) == pi() / 3
    True
    """
    q = to_fmpq(cosine)
    if not -1 <= q <= 1:
        raise InputError("cosine", cosine, "a number from -1 to 1")
    thirds = {fmpq(1): 0, fmpq(1, 2): 2, fmpq(0): 3, fmpq(-1, 2): 4, fmpq(-1): 6}
    if q in thirds:
        return pi() * fmpq(thirds[q], 6)
    return ClosedForm({((("acos", (int(q.p), int(q.q))), 1),): fmpq(1)})


def reciprocal(value: Any) -> Any:
    """1/value for a rational or a single product of generators; raises InputError for sums."""
    if not isinstance(value, ClosedForm):
        return 1 / to_fmpq(value)
    if len(value.terms) != 1:
        raise InputError("divisor", value, "a rational or a single product of pi, log2 and arccosines")
    ((monomial, q),) = value.terms.items()
    return ClosedForm({tuple((g, -k) for g, k in monomial): 1 / q})


def exact_scalar(value: Any) -> Any:
    """The number as fmpq, or the ClosedForm that it is: what a weight of a network may be."""
    return value if isinstance(value, (fmpq, ClosedForm)) else to_fmpq(value)


def to_ball(value: Any) -> arb:
    """A ball that contains a rational or a closed form, at the working precision."""
    return value.ball() if isinstance(value, ClosedForm) else arb(to_fmpq(value))


def nearest_float(value: Any) -> float:
    """The float64 nearest to a rational or a closed form, +-inf beyond the range."""
    if not isinstance(value, ClosedForm):
        return to_float(to_fmpq(value))
    before = ctx.prec
    try:
        for bits in _PRECISIONS:
            ctx.prec = bits
            ball = value.ball()
            low, high = to_float(to_fmpq(ball.lower())), to_float(to_fmpq(ball.upper()))
            if low == high and (low != 0 or not ball.contains(0)):
                return low
    finally:
        ctx.prec = before
    raise InputError("closed form", value, "a number whose sign shows within 262144 bits")


def _terms(value: Any) -> Mapping[Monomial, fmpq] | None:
    """The terms of a number; None for anything else, which may know how to combine itself with one."""
    if isinstance(value, ClosedForm):
        return value.terms
    try:
        return {_ONE: to_fmpq(value)}
    except InputError:
        return None


def _simplest(terms: Mapping[Monomial, fmpq]) -> Any:
    kept = {m: q for m, q in terms.items() if q != 0}
    if not kept:
        return fmpq(0)
    return kept[_ONE] if set(kept) == {_ONE} else ClosedForm(kept)


def _product(first: Monomial, second: Monomial) -> Monomial:
    powers = dict(first)
    for generator, power in second:
        powers[generator] = powers.get(generator, 0) + power
    return tuple(sorted((g, k) for g, k in powers.items() if k))


def _generator_ball(name: str, argument: tuple[int, int] | None) -> arb:
    if name == "pi":
        return arb.pi()
    return arb(fmpq(*argument)).acos() if argument else arb(2).log()


def _read_factor(text: str) -> Monomial:
    found = _FACTOR.match(text)
    if not found:
        raise InputError("closed form", text[:40], "pi^k, log2^k or acos(p/q)^k")
    name, inside, power = found.groups()
    if inside is None:
        return (((name, None), int(power)),)
    number = arccos(rational_from_text(inside))
    return _single(number, int(power))


def _single(number: Any, power: int) -> Monomial:
    if not isinstance(number, ClosedForm):
        raise InputError("closed form", number, "an arccosine other than 0")
    ((monomial, q),) = number.terms.items()
    if q != 1 or len(monomial) != 1:
        raise InputError("closed form", number, "arccosines that are no rational multiples of pi")
    ((generator, _),) = monomial
    return ((generator, power),)


def _length(q: fmpq) -> int:
    return 1 + abs(int(q.p)).bit_length() + int(q.q).bit_length()


def _shown(monomial: Monomial, q: fmpq) -> str:
    names = []
    for (name, argument), power in monomial:
        base = f"{name}({fmpq(*argument)})" if argument else name
        names.append(base if power == 1 else f"{base}^{power}")
    if _length(q) > 200:
        names.insert(0, f"<{_length(q)} bits>")
    elif q != 1 or not names:
        names.insert(0, f"({q})" if q.q != 1 or q < 0 else str(q))
    return "*".join(names)
