"""What are f, f' and f'' on a ball, for the checker? Its own interpreter of expressions, used by nothing else.

Forward differentiation of second order in ball arithmetic: every sub-expression is a triple (v, v', v''). Deliberately plain:
no recurrences, no precomputation, nothing shared with the Taylor series of the fast path. Where a kink, pole or branch
point is in the ball, derivatives are not finite; values stay enclosures as long as f is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flint import arb, fmpq

if TYPE_CHECKING:
    from approx.targets import Target

_Triple = tuple[arb, arb, arb]
_NAN = arb("nan")


class CheckFunction:
    """The function of a target; callables and their declared derivatives are taken at their word (conditional)."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declared = bool(target.assumptions)

    def value(self, point: Sequence[arb]) -> arb:
        """A ball that contains f(x) for all x of the box of balls."""
        if self.declared:
            return self.target.ball(list(point))
        return self._run(point, len(point) == 1)[0]

    def second(self, ball: arb) -> arb:
        """A ball that contains f'' on the ball (one variable); not finite where f'' is not bounded."""
        if self.declared:
            return 2 * self.target.series(ball, 2)[2]
        return self._run([ball], True)[2]

    def quadratic(self, box: Sequence[arb]) -> list[arb]:
        """Balls for f, f_x, f_y, f_xx/2, f_xy, f_yy/2 over a box of two balls; not finite where f'' is not bounded."""
        if self.declared:
            jet = self.target.jet(list(box), 2)
            return [jet[k] for k in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))]
        # The mixed derivative from those along x, y and x + y.
        value, by_x, xx = self._run(box, True, (1, 0))
        _, by_y, yy = self._run(box, True, (0, 1))
        _, _, both = self._run(box, True, (1, 1))
        return [value, by_x, by_y, xx / 2, (both - xx - yy) / 2, yy / 2]

    def gradient(self, point: Sequence[arb]) -> tuple[arb, list[arb]]:
        """Balls for f and its first derivatives over a box of balls."""
        d = len(point)
        if self.declared:
            jet = self.target.jet(list(point), 1)
            return jet[(0,) * d], [jet[_unit(d, i)] for i in range(d)]
        runs = [self._run(point, True, _unit(d, i)) for i in range(d)]
        return runs[0][0], [r[1] for r in runs]

    def hessian(self, box: Sequence[arb]) -> list[list[arb]]:
        """Balls for the second derivatives over a box of balls, row i up to column i; not finite where f'' is not bounded."""
        d = len(box)
        if self.declared:
            jet = self.target.jet(list(box), 2)
            pairs = [[tuple(int(k == i) + int(k == j) for k in range(d)) for j in range(i + 1)] for i in range(d)]
            return [[(2 if i == j else 1) * jet[k] for j, k in enumerate(row)] for i, row in enumerate(pairs)]
        pure = [self._run(box, True, _unit(d, i))[2] for i in range(d)]
        rows = []
        for i in range(d):
            both = [self._run(box, True, tuple(int(k in (i, j)) for k in range(d)))[2] for j in range(i)]
            rows.append([*((b - pure[i] - pure[j]) / 2 for j, b in enumerate(both)), pure[i]])
        return rows

    def _run(self, point: Sequence[arb], single: bool, direction: tuple[int, ...] = (1,)) -> _Triple:
        return self._triples(point, single, direction, len(self.target.program.instructions))[-1]

    def _triples(self, point: Sequence[arb], single: bool, direction: tuple[int, ...], count: int) -> list[_Triple]:
        """The triples of the first instructions."""
        values: list[_Triple] = []
        for place, step in enumerate(self.target.program.instructions[:count]):
            arguments = [values[i] for i in step.arguments]
            match step.operation:
                case "number":
                    values.append((arb(step.data), arb(0), arb(0)))
                case "constant":
                    values.append((arb.pi() if step.data == "pi" else arb(1).exp(), arb(0), arb(0)))
                case "variable":
                    values.append((point[step.data], arb(direction[step.data] if single else 0), arb(0)))
                case "div" if len(point) == 1 and arguments[1][0].contains(0):
                    values.append(self._limit(place, step.arguments, arguments, point[0]))
                case _:
                    values.append(_apply(step.operation, arguments, step.data))
        return values

    def _limit(self, place: int, sources: tuple[int, ...], arguments: list[_Triple], ball: arb) -> _Triple:
        """A quotient 0/0: N(x)/(x - p) is a value of N', N(x)/(x - p)^2 one of N''/2, if N, and N', vanish at p.

        p has to be 0 or a quotient of numbers of the expression, exact in binary.
        """
        for p in self._places:
            if not ball.contains(p):
                continue
            at = self._triples([p], True, (1,), place)
            for order in (1, 2):
                if not all(at[i][order - 1].is_zero() for i in sources):
                    break
                top, bottom = (triple[order] for triple in arguments)
                if not bottom.contains(0):
                    return top / bottom, _NAN, _NAN
        return _div(*arguments)

    @cached_property
    def _places(self) -> list[arb]:
        numbers = [s.data for s in self.target.program.instructions if s.operation == "number" and s.data != 0]
        quotients = {fmpq(a) / b for a in [*numbers, 1] for b in [*numbers, 1]}
        places = [arb(sign * q) for q in sorted({fmpq(0), *quotients}) for sign in (1, -1)]
        return [p for p in places if p.is_exact()]


def _unit(d: int, i: int) -> tuple[int, ...]:
    return tuple(int(k == i) for k in range(d))


def _apply(operation: str, arguments: list[_Triple], data: Any) -> _Triple:
    if len(arguments) == 2:
        return _BINARY[operation](*arguments)
    [(v, d, s)] = arguments
    if operation == "neg":
        return -v, -d, -s
    if operation in ("abs", "relu"):
        return _bent(operation, (v, d, s))
    if operation == "powi":
        n = int(data)
        derivatives = v**n, n * v ** (n - 1) if n else arb(0), n * (n - 1) * v ** (n - 2) if n not in (0, 1) else arb(0)
    elif operation == "powq":
        derivatives = _root(v, data)
    else:
        derivatives = _FUNCTIONS[operation](v)
    g, first, second = derivatives
    # g(u)' = g'(u) u', g(u)'' = g''(u) u'^2 + g'(u) u''
    return g, _times(first, d), _times(second, d * d) + _times(first, s)


def _times(factor: arb, value: arb) -> arb:
    # A derivative that is exactly 0 does not multiply an infinite one: constants inside a function stay constants.
    return arb(0) if value.is_zero() or factor.is_zero() else factor * value


def _root(v: arb, exponent: Any) -> _Triple:
    p = arb(exponent)
    if v > 0:
        return v**p, p * v ** (p - 1), p * (p - 1) * v ** (p - 2)
    # f is defined on the domain, so only the part >= 0 of the argument occurs.
    top = v.upper()
    value = arb(0).union(top**p) if p > 0 and top > 0 else arb(0) if p > 0 and top == 0 else _NAN
    return value, _NAN, _NAN


def _sqrt(v: arb) -> _Triple:
    return _root(v, arb(1) / 2)


def _add(a: _Triple, b: _Triple) -> _Triple:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _sub(a: _Triple, b: _Triple) -> _Triple:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _mul(a: _Triple, b: _Triple) -> _Triple:
    first = _times(a[1], b[0]) + _times(b[1], a[0])
    return a[0] * b[0], first, _times(a[2], b[0]) + 2 * _times(a[1], b[1]) + _times(b[2], a[0])


def _div(a: _Triple, b: _Triple) -> _Triple:
    value = a[0] / b[0]
    first = (a[1] - _times(value, b[1])) / b[0]
    return value, first, (a[2] - 2 * _times(first, b[1]) - _times(value, b[2])) / b[0]


def _pow(a: _Triple, b: _Triple) -> _Triple:
    if b[1].is_zero() and b[2].is_zero():
        g, first, second = _root(a[0], b[0])
        return g, _times(first, a[1]), _times(second, a[1] * a[1]) + _times(first, a[2])
    logarithm = _apply("log", [a], None)
    return _apply("exp", [_mul(b, logarithm)], None)


def _extreme(a: _Triple, b: _Triple, sign: int) -> _Triple:
    gap = (a[0] - b[0]) * sign
    if gap >= 0:
        return a
    if gap <= 0:
        return b
    value = a[0].max(b[0]) if sign > 0 else a[0].min(b[0])
    return value, _NAN, _NAN


def _bent(operation: str, u: _Triple) -> _Triple:
    v, d, s = u
    if v >= 0:
        return u
    if v <= 0:
        return (-v, -d, -s) if operation == "abs" else (arb(0), arb(0), arb(0))
    return (abs(v) if operation == "abs" else v.max(arb(0))), _NAN, _NAN


def _arcsin(v: arb) -> _Triple:
    w = 1 - v * v
    if w > 0:
        return v.asin(), 1 / w.sqrt(), v / (w * w.sqrt())
    low, high = v.lower(), v.upper()
    bottom = -arb.pi() / 2 if low <= -1 else low.asin()
    top = arb.pi() / 2 if high >= 1 else high.asin()
    return bottom.union(top), _NAN, _NAN


def _arccos(v: arb) -> _Triple:
    g, first, second = _arcsin(v)
    return arb.pi() / 2 - g, -first, -second


def _tanh(v: arb) -> _Triple:
    t = v.tanh()
    w = 1 / v.cosh() ** 2
    return t, w, -2 * t * w


def _sigmoid(v: arb) -> _Triple:
    g = 1 / (1 + (-v).exp())
    w = g * (1 - g)
    return g, w, w * (1 - 2 * g)


def _tan(v: arb) -> _Triple:
    t = v.tan()
    return t, 1 + t * t, 2 * t * (1 + t * t)


def _erf(v: arb) -> _Triple:
    first = 2 / arb.pi().sqrt() * (-v * v).exp()
    return v.erf(), first, -2 * v * first


def _arctan(v: arb) -> _Triple:
    w = 1 + v * v
    return v.atan(), 1 / w, -2 * v / (w * w)


_BINARY: dict[str, Callable[[_Triple, _Triple], _Triple]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "max": lambda a, b: _extreme(a, b, 1),
    "min": lambda a, b: _extreme(a, b, -1),
}
_FUNCTIONS: dict[str, Callable[[arb], _Triple]] = {
    "sqrt": _sqrt,
    "exp": lambda v: (v.exp(), v.exp(), v.exp()),
    "log": lambda v: (v.log(), 1 / v, -1 / (v * v)),
    "sin": lambda v: (v.sin(), v.cos(), -v.sin()),
    "cos": lambda v: (v.cos(), -v.sin(), -v.cos()),
    "tan": _tan,
    "sinh": lambda v: (v.sinh(), v.cosh(), v.sinh()),
    "cosh": lambda v: (v.cosh(), v.sinh(), v.cosh()),
    "tanh": _tanh,
    "arcsin": _arcsin,
    "arccos": _arccos,
    "arctan": _arctan,
    "erf": _erf,
    "sigmoid": _sigmoid,
}
