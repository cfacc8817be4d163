"""Which networks are recognised as sums of sawtooth squares: an affine function plus c_j f_m(|linear form|), in any dimension?

Statement. Let net = A + sum_j c_j f_{m_j}(z_j) with A affine, z_j = |affine form| or an affine form, z_j in [0, 1] on the
domain, f_m the sawtooth interpolant of the square: f_m(z) = z^2 + e, 0 <= e <= q_m = 4^-(m+1) (structure.py). If the
target is exactly A + sum_j c_j z_j^2 + r with a constant r, then f - net = r - sum_j c_j e_j, so

    sup |f - net| <= max(|r - sum_{c_j > 0} c_j q_j|, |r - sum_{c_j < 0} c_j q_j|).

e_j = q_j where 2^(m+1) z_j is an odd integer and e_j = 0 where it is an even one; a point where all e_j are extreme
attains the bound. Products are the case xy = ((x+y)/2)^2 - ((x-y)/2)^2, so products of any depth are certified at once.

Recognition is exact and trusts no label: every unit is written in the basis 1, x_1..x_d and the ReLUs met so far. A ReLU is
dropped where the sign of its argument is known: affine forms by their range, functions of one |affine form| by their values
at the ends, and the sawtooth g(z) = 2 z - 4 relu(z - 1/2), which maps [0, 1] onto itself. Source: derived; P16
Propositions 2 and 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flint import arb, fmpq, fmpq_mat

from approx.numbers import float_up

if TYPE_CHECKING:
    from approx.networks import Network
    from approx.targets import Target

#: Keys of a form: -1 is the constant, 0..d-1 are the inputs, d + n is the n-th ReLU that was kept.
Form = dict[int, fmpq]
Exponents = tuple[int, ...]
_HALF = fmpq(1, 2)
_MOST_SQUARES = 12
_MOST_TRIALS = 4096


@dataclass
class SquareSum:
    """A + sum c_j f_{m_j}(z_j): squares are (c_j, m_j, affine form l_j) with z_j = |l_j|."""

    affine: Form
    squares: list[tuple[fmpq, int, Form]]


@dataclass
class _Tooth:
    """A form z in [0, 1], the ReLU relu(z - 1/2) that makes g(z) from it, and the form it was itself made from."""

    form: Form
    kept: int
    parent: int | None


@dataclass
class _Reader:
    """Follows a network over a box; `kept` are the arguments of the ReLUs of the basis, `numbers` their places."""

    domain: Sequence[tuple[fmpq, fmpq]]
    kept: list[Form] = field(default_factory=list)
    numbers: dict[frozenset[tuple[int, fmpq]], int] = field(default_factory=dict)
    teeth: list[_Tooth] = field(default_factory=list)
    #: forms that are known to lie in [0, 1] because they are g(z), with the number of their tooth
    made: list[tuple[Form, int]] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        return len(self.domain)

    def relu(self, form: Form) -> Form | None:
        """max(form, 0) in the basis."""
        known = self.range(form)
        if known is not None and known[0] >= 0:
            return form
        if known is not None and known[1] <= 0:
            return {}
        shifted = add(form, {-1: _HALF})
        parent = next((t for f, t in self.made if f == shifted), None)
        span = (fmpq(0), fmpq(1)) if parent is not None else self.range(shifted)
        if known is None and parent is None:
            return None
        result = self._keep(form)
        if span is not None and span[0] >= 0 and span[1] <= 1:
            kept = next(iter(k for k in result if k >= self.dimension and (k not in form)), None)
            if kept is not None and result == {kept: fmpq(1)}:
                self.teeth.append(_Tooth(shifted, kept, parent))
                self.made.append((add(scaled(shifted, 2), {kept: fmpq(-4)}), len(self.teeth) - 1))
        return result

    def _keep(self, form: Form) -> Form:
        """relu(form) by a ReLU of the basis, an old one if it can be: relu(-t) = relu(t) - t."""
        number = self.numbers.get(frozenset(form.items()))
        if number is not None:
            return {self.dimension + number: fmpq(1)}
        number = self.numbers.get(frozenset(scaled(form, -1).items()))
        if number is not None:
            return add({self.dimension + number: fmpq(1)}, form)
        self.numbers[frozenset(form.items())] = len(self.kept)
        self.kept.append(form)
        return {self.dimension + len(self.kept) - 1: fmpq(1)}

    def range(self, form: Form) -> tuple[fmpq, fmpq] | None:
        """The exact range of a form over the box, None when it is not one of the known kinds."""
        atoms = [k for k in form if k >= self.dimension]
        if not atoms:
            return self.affine_range(form)
        for made, _ in self.made:
            factor = ratio(form, made)
            if factor is not None:
                return min(factor, fmpq(0)), max(factor, fmpq(0))
        inner = self.kept[atoms[0] - self.dimension]
        if len(atoms) > 1 or any(k >= self.dimension for k in inner):
            return None
        # a relu(l) + b l + c: largest and smallest at the ends of l and at l = 0.
        rest = {k: v for k, v in form.items() if k != atoms[0]}
        slope = next((rest.get(k, fmpq(0)) / v for k, v in inner.items() if k >= 0), None)
        if slope is None or any(k >= 0 for k in add(rest, scaled(inner, -slope))):
            return None
        constant = add(rest, scaled(inner, -slope)).get(-1, fmpq(0))
        low, high = self.affine_range(inner)
        values = [
            form[atoms[0]] * max(t, fmpq(0)) + slope * t + constant for t in (low, max(low, min(high, fmpq(0))), high)
        ]
        return min(values), max(values)

    def affine_range(self, form: Form) -> tuple[fmpq, fmpq]:
        low = high = form.get(-1, fmpq(0))
        for k, weight in form.items():
            if k >= 0:
                a, b = (weight * end for end in self.domain[k])
                low, high = low + min(a, b), high + max(a, b)
        return low, high


def add(first: Form, second: Form) -> Form:
    """The sum of two forms."""
    total = dict(first)
    for key, value in second.items():
        new = total.get(key, fmpq(0)) + value
        if new == 0:
            total.pop(key, None)
        else:
            total[key] = new
    return total


def combination(constant: fmpq, terms: Iterable[tuple[fmpq, Form]]) -> Form:
    """The form constant + sum of weight * form, in one pass: a sum of 1e5 hinges by `add` would copy it as often."""
    total: Form = {-1: constant}
    for weight, form in terms:
        for key, value in form.items():
            total[key] = total.get(key, fmpq(0)) + weight * value
    return {key: value for key, value in total.items() if value != 0}


def scaled(form: Form, factor: fmpq | int) -> Form:
    """The multiple of a form."""
    return {k: v * factor for k, v in form.items()} if factor != 0 else {}


def ratio(form: Form, other: Form) -> fmpq | None:
    """c with form = c * other, if there is one."""
    if form.keys() != other.keys() or not form:
        return None
    key = next(iter(form))
    factor = form[key] / other[key]
    return factor if all(v == factor * other[k] for k, v in form.items()) else None


def recognise_squares(network: Network, domain: Sequence[tuple[fmpq, fmpq]]) -> SquareSum | None:
    """The network as a SquareSum on the box, or None. O(weights * depth) rational operations."""
    if not network.activations <= {"relu", "abs", "identity"} or not network.tags["rational"] or network.outputs != 1:
        return None
    reader = _Reader(domain)
    values: list[Form] = [{i: fmpq(1)} for i in range(len(domain))]
    for activation, bias, terms in network.exact_rows():
        form = combination(bias, ((weight, values[unit]) for unit, weight in terms))
        if activation != "identity":
            positive = reader.relu(form)
            if positive is None:
                return None
            form = positive if activation == "relu" else add(scaled(positive, 2), scaled(form, -1))
        values.append(form)
    return _decomposed(values[-1], reader)


def _decomposed(output: Form, reader: _Reader) -> SquareSum | None:
    """Take away c f_m(z) for one chain of teeth after the other, the longest first, until no ReLU is left."""
    squares: list[tuple[fmpq, int, Form]] = []
    for number in range(len(reader.teeth) - 1, -1, -1):
        tooth = reader.teeth[number]
        if tooth.kept not in output:
            continue
        chain = [tooth]
        while chain[0].parent is not None:
            chain.insert(0, reader.teeth[chain[0].parent])
        m = len(chain)
        # relu(g_{m-1} - 1/2) enters f_m as -4^-m g_m = ... + 4^(1-m) relu(g_{m-1} - 1/2).
        c = output[tooth.kept] * fmpq(4) ** (m - 1)
        interpolant, z = chain[0].form, chain[0].form
        for s, part in enumerate(chain, 1):
            g = add(scaled(part.form, 2), {part.kept: fmpq(-4)})
            interpolant = add(interpolant, scaled(g, -fmpq(1, 4**s)))
        output = add(output, scaled(interpolant, -c))
        inner = _absolute(z, reader)
        if inner is None or len(squares) == _MOST_SQUARES:
            return None
        squares.append((c, m, inner))
    if not squares or any(k >= reader.dimension for k in output):
        return None
    return SquareSum(output, squares)


def _absolute(z: Form, reader: _Reader) -> Form | None:
    """The affine form l with z = |l| on the box (z itself when it is affine), or None."""
    atoms = [k for k in z if k >= reader.dimension]
    if not atoms:
        return z
    inner = reader.kept[atoms[0] - reader.dimension]
    scale = z[atoms[0]] / 2
    if len(atoms) > 1 or any(k >= reader.dimension for k in inner):
        return None
    return scaled(inner, scale) if add(scaled({atoms[0]: fmpq(2)}, scale), scaled(inner, -scale)) == z else None


def square_sum_bound(network: Network, target: Target) -> tuple[float, list[tuple[fmpq, ...]], int] | None:
    """(upper bound, points where it may be attained, the largest m) when the statement applies, otherwise None."""
    program = getattr(target, "program", None)
    if program is None or not program.is_rational:
        return None
    domain = [(fmpq(a), fmpq(b)) for a, b in target.domain]
    wanted = polynomial(program, len(domain))  # first: it takes no time where the network may be large
    found = recognise_squares(network, domain) if wanted is not None else None
    if found is None or wanted is None:
        return None
    rest = dict(wanted)
    _accumulate(rest, _as_polynomial(found.affine, len(domain)), fmpq(-1))
    for c, _, inner in found.squares:
        square = _product(*[_as_polynomial(inner, len(domain))] * 2)
        _accumulate(rest, square, -c)
    if any(any(k) for k in rest):
        return None
    r = rest.get((0,) * len(domain), fmpq(0))
    above = sum((c * fmpq(1, 4 ** (m + 1)) for c, m, _ in found.squares if c > 0), fmpq(0))
    below = sum((c * fmpq(1, 4 ** (m + 1)) for c, m, _ in found.squares if c < 0), fmpq(0))
    sides = sorted([(abs(r - above), 1), (abs(r - below), -1)], reverse=True)
    points = [p for _, sign in sides for p in _extreme_points(found, sign, domain)]
    return float_up(arb(sides[0][0])), points, max(m for _, m, _ in found.squares)


def _extreme_points(found: SquareSum, sign: int, domain: list[tuple[fmpq, fmpq]]) -> list[tuple[fmpq, ...]]:
    """A point of the box where e_j = q_j for as many c_j of this sign, and e_j = 0 for as many others, as a search finds."""
    d = len(domain)
    # As many of the l_j as are independent are given values; coordinates that are left stay in the middle.
    rows: list[list[fmpq]] = []
    chosen: list[int | None] = []
    units = [[fmpq(int(i == k)) for i in range(d)] for k in range(d)]
    for number, row in [
        *((j, [inner.get(i, fmpq(0)) for i in range(d)]) for j, (_, _, inner) in enumerate(found.squares)),
        *((None, unit) for unit in units),
    ]:
        if fmpq_mat([*rows, row]).rank() == len(rows) + 1:
            rows.append(row)
            chosen.append(number)
    matrix = fmpq_mat(rows)
    free = [range(-4, 5) if j is not None else range(1) for j in chosen]
    best, most = [], fmpq(0)
    for trial in itertools.islice(itertools.product(*free), _MOST_TRIALS):
        right = [_value_for(found, j, n, row, domain) for n, j, row in zip(trial, chosen, rows, strict=True)]
        solution = matrix.solve(fmpq_mat([[v] for v in right]))
        point = tuple(solution[i, 0] for i in range(d))
        if not all(a <= x <= b for x, (a, b) in zip(point, domain, strict=True)):
            continue
        weights = [abs(c) * fmpq(1, 4**m) for c, m, _ in found.squares]
        good = [_extreme(s, sign, point) for s in found.squares]
        score = sum((w for w, g in zip(weights, good, strict=True) if g), fmpq(0))
        if score > most:
            best, most = [point], score
        if all(good):
            break
    return best


def _value_for(found: SquareSum, j: int | None, n: int, row: list[fmpq], domain: list[tuple[fmpq, fmpq]]) -> fmpq:
    """What row . x must be: l_j = n 2^-(m+1) without its constant, or the middle of a coordinate."""
    if j is None:
        a, b = domain[row.index(fmpq(1))]
        return (a + b) / 2
    return fmpq(n, 2 ** (found.squares[j][1] + 1)) - found.squares[j][2].get(-1, fmpq(0))


def _extreme(square: tuple[fmpq, int, Form], sign: int, point: tuple[fmpq, ...]) -> bool:
    c, m, inner = square
    place = inner.get(-1, fmpq(0)) + sum((v * point[k] for k, v in inner.items() if k >= 0), fmpq(0))
    number = place * 2 ** (m + 1)
    return number.q == 1 and (int(number.p) % 2 == 1) == ((c > 0) == (sign > 0))


# -- polynomials of low degree in several variables, as dictionaries of exponents ------------------------------------------

_MOST_TERMS = 200


def polynomial(program, d: int) -> dict[Exponents, fmpq] | None:  # type: ignore[no-untyped-def]
    """The exact polynomial that a program of + - * and integer powers is, or None."""
    values: list[dict[Exponents, fmpq]] = []
    for step in program.instructions:
        given = [values[i] for i in step.arguments]
        match step.operation:
            case "number":
                value = {(0,) * d: step.data} if step.data != 0 else {}
            case "variable":
                value = {tuple(int(i == step.data) for i in range(d)): fmpq(1)}
            case "add" | "sub":
                value = dict(given[0])
                _accumulate(value, given[1], fmpq(1 if step.operation == "add" else -1))
            case "mul":
                value = _product(given[0], given[1])
            case "neg":
                value = {k: -v for k, v in given[0].items()}
            case "powi" if 0 <= step.data <= 8:
                value = {(0,) * d: fmpq(1)}
                for _ in range(step.data):
                    value = _product(value, given[0])
            case _:
                return None
        if len(value) > _MOST_TERMS:
            return None
        values.append(value)
    return values[-1]


def _as_polynomial(form: Form, d: int) -> dict[Exponents, fmpq]:
    return {tuple(int(i == k) for i in range(d)): v for k, v in form.items()}


def _product(first: dict[Exponents, fmpq], second: dict[Exponents, fmpq]) -> dict[Exponents, fmpq]:
    total: dict[Exponents, fmpq] = {}
    for a, v in first.items():
        _accumulate(total, {tuple(i + j for i, j in zip(a, b, strict=True)): w for b, w in second.items()}, v)
    return total


def _accumulate(total: dict[Exponents, fmpq], other: dict[Exponents, fmpq], factor: fmpq) -> None:
    for key, value in other.items():
        new = total.get(key, fmpq(0)) + factor * value
        if new == 0:
            total.pop(key, None)
        else:
            total[key] = new
