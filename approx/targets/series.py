"""Which balls contain the Taylor coefficients of a 1-D expression over a ball? One pass of flint's power series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from flint import arb, arb_series, ctx, fmpq

from approx.numbers import absolute, maximum, minimum, relu
from approx.targets.balls import (
    NAN,
    divide_ball,
    general_power_ball,
    log_ball,
    power_ball,
    rational_power_ball,
    sigmoid_ball,
    sqrt_ball,
)
from approx.targets.program import Instruction, Program
from approx.targets.removable import Removable, find_removable

Step = tuple[Callable[..., arb_series], int, int, Any]


def _broken(value: arb) -> arb_series:
    """The series with this value and nothing known about the derivatives."""
    return arb_series([value] + [NAN] * (ctx.cap - 1), ctx.cap)


def _constant(value: arb) -> arb_series:
    return arb_series([value], ctx.cap)


def _with_value(series: arb_series, value: arb) -> arb_series:
    """The series with a sharper constant term."""
    series[0] = value
    return series


class SeriesProgram:
    """A 1-D program prepared for power series: balls of f^(k)(xi)/k! for all xi in a ball.

    Constants are kept as series for each (precision, order). At kinks, poles and branch points inside the ball the
    coefficients from 1 on are NaN, and the value too where the function may be undefined.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps: list[Step] = []
        self.fixed: list[tuple[int, Instruction]] = []
        for place, step in enumerate(program.instructions):
            arguments = (*step.arguments, -1, -1)[:2]
            self.steps.append((_RULES.get(step.operation, _nothing), *arguments, step.data))
            if step.operation in ("number", "constant"):
                self.fixed.append((place, step))
        self.prepared: dict[tuple[int, int], list[Any]] = {}

    def _template(self, length: int) -> list[Any]:
        """The list of results with the constants filled in, at the present precision."""
        key = (ctx.prec, length)
        if key not in self.prepared:
            if len(self.prepared) > 256:
                self.prepared.clear()
            template: list[Any] = [None] * len(self.steps)
            for place, step in self.fixed:
                if step.operation == "number":
                    value = arb(step.data)
                else:
                    value = arb.pi() if step.data == "pi" else arb.const_e()
                template[place] = arb_series([value], length)
            self.prepared[key] = template
        return self.prepared[key]

    def run(self, point: arb, order: int, clamp: bool = False, scale: float = 1) -> list[arb]:
        """Return balls c_0..c_order with scale^k f^(k)(xi)/k! in c_k for every xi in the ball `point`.

        At removable singularities f is its limit.
        """
        length = order + 1
        filled: dict[int, arb_series] = {}
        for gap in self.removable:
            if point.contains(gap.zero):
                # Both series are longer by the order of the zero, and shifted by it.
                pair = [q.run(point, order + gap.order, clamp, scale)[gap.order :] for q in self.quotients[gap.place]]
                if all(c.is_finite() for part in pair for c in part) and not pair[1][0].contains(0):
                    filled[gap.place] = _quotient(pair[0], pair[1], length)
        return self.evaluate((arb_series([point, scale], length),), length, clamp, filled)

    @cached_property
    def removable(self) -> list[Removable]:
        """Where a quotient is 0/0, and its limit is known."""
        return find_removable(self.program, lambda part, point, order: prepared(part).run(point, order))

    @cached_property
    def quotients(self) -> dict[int, tuple[SeriesProgram, SeriesProgram]]:
        """Numerator and denominator of the quotients with removable singularities."""
        steps, program = self.program.instructions, self.program
        places = {gap.place for gap in self.removable}
        return {k: tuple(prepared(program.part(i)) for i in steps[k].arguments) for k in places}  # type: ignore[misc]

    def evaluate(
        self,
        variables: Sequence[arb_series],
        length: int,
        clamp: bool,
        filled: Mapping[int, arb_series] | None = None,
    ) -> list[arb]:
        """Return the coefficients of the program's value when the variables are these series of the given length.

        filled: results of single instructions that are known already.
        """
        before = ctx.cap
        ctx.cap = length
        try:
            values = self._template(length).copy()
            for place, known in (filled or {}).items():
                values[place] = known
            for place, (rule, first, second, data) in enumerate(self.steps):
                if values[place] is None:
                    if first < 0:
                        values[place] = variables[data]
                    elif second < 0:
                        values[place] = rule(values[first], data, clamp)
                    else:
                        values[place] = rule(values[first], values[second], data, clamp)
            coefficients = values[-1].coeffs()
        finally:
            ctx.cap = before
        if len(coefficients) < length:
            coefficients.extend([arb(0)] * (length - len(coefficients)))
        return coefficients


def _quotient(top: list[arb], bottom: list[arb], length: int) -> arb_series:
    before = ctx.cap
    ctx.cap = length
    try:
        return arb_series(top, length) / arb_series(bottom, length)
    finally:
        ctx.cap = before


@lru_cache(maxsize=512)
def prepared(program: Program) -> SeriesProgram:
    """The SeriesProgram of a part of an expression: nested quotients share the parts that they are made of."""
    return SeriesProgram(program)


def _nothing(*_: Any) -> arb_series:
    return _broken(NAN)


def _add(first: arb_series, second: arb_series, data: Any, clamp: bool) -> arb_series:
    return first + second


def _sub(first: arb_series, second: arb_series, data: Any, clamp: bool) -> arb_series:
    return first - second


def _mul(first: arb_series, second: arb_series, data: Any, clamp: bool) -> arb_series:
    product = first * second
    if product.length() == 0 and not (first[0].is_finite() and second[0].is_finite()):
        return _broken(NAN)
    return product


def _div(first: arb_series, second: arb_series, data: Any, clamp: bool) -> arb_series:
    bottom = second[0]
    if bottom.contains(0) or not bottom.is_finite():
        return _broken(NAN)
    quotient = first / second
    return _with_value(quotient, divide_ball(first[0], bottom))


def _neg(series: arb_series, data: Any, clamp: bool) -> arb_series:
    return -series


def _powi(series: arb_series, data: int, clamp: bool) -> arb_series:
    value = series[0]
    if data == 2:
        square = series * series
        return _with_value(square, power_ball(value, 2)) if value.contains(0) else square
    if data < 0 and (value.contains(0) or not value.is_finite()):
        return _broken(NAN)
    result = series**data if data > 0 else (1 / series) ** -data
    return _with_value(result, power_ball(value, data)) if value.contains(0) else result


def _terms_needed(series: arb_series) -> int:
    """How many powers of u - u_0 reach below the length of the series."""
    for power in range(1, ctx.cap):
        if not series[power].is_zero():
            return (ctx.cap - 1) // power
    return 0


def _composed(outer: list[arb], series: arb_series, length: int) -> arb_series:
    """sum of outer[j] (u - u_0)^j by Horner's rule: as sharp as the outer balls when u is linear."""
    moved = arb_series([arb(0), *series.coeffs()[1:]], length)
    result = arb_series([outer[-1]], length)
    for coefficient in outer[-2::-1]:
        result = result * moved + arb_series([coefficient], length)
    return result


def _powq(series: arb_series, data: fmpq, clamp: bool) -> arb_series:
    """u ** q by composition with the binomial series, whose balls u_0^(q-j) are as sharp as can be.

    Where u_0 may be 0, only the derivatives below q exist, and the others are NaN.
    """
    start = series[0]
    value = rational_power_ball(start, data, clamp)
    needed = _terms_needed(series)
    if needed == 0 or not value.is_finite():
        return _constant(value) if needed == 0 and value.is_finite() else _broken(value)
    length = ctx.cap
    if not start > 0:
        needed = min(length - 1, int(data.p // data.q)) if data > 0 else 0
        length = needed + 1
    outer, binomial = [value], arb(1)
    for j in range(1, needed + 1):
        binomial = binomial * (arb(data) - (j - 1)) / j
        outer.append(binomial * rational_power_ball(start, data - j, clamp))
    result = _composed(outer, series, length)
    if length == ctx.cap:
        return result
    known = result.coeffs()
    return arb_series(known + [arb(0)] * (length - len(known)) + [NAN] * (ctx.cap - length), ctx.cap)


def _pow(base: arb_series, exponent: arb_series, data: bool, clamp: bool) -> arb_series:
    if not base[0] > 0:
        return _broken(general_power_ball(base[0], exponent[0], data, clamp))
    return (base.log() * exponent).exp()


def _sqrt(series: arb_series, data: Any, clamp: bool) -> arb_series:
    value = series[0]
    return series.sqrt() if value > 0 else _broken(sqrt_ball(value, clamp))


def _log(series: arb_series, data: Any, clamp: bool) -> arb_series:
    value = series[0]
    return _with_value(series.log(), log_ball(value)) if value > 0 else _broken(NAN)


def _abs(series: arb_series, data: Any, clamp: bool) -> arb_series:
    value = series[0]
    if value >= 0:
        return series
    return -series if value <= 0 else _broken(absolute(value))


def _relu(series: arb_series, data: Any, clamp: bool) -> arb_series:
    value = series[0]
    if value >= 0:
        return series
    return _constant(arb(0)) if value <= 0 else _broken(relu(value))


def _max(first: arb_series, second: arb_series, data: Any, clamp: bool) -> arb_series:
    a, b = first[0], second[0]
    if a >= b:
        return first
    if b >= a:
        return second
    gap = (first - second)[0]
    if gap >= 0:
        return first
    return second if gap <= 0 else _broken(maximum(a, b))


def _min(first: arb_series, second: arb_series, data: Any, clamp: bool) -> arb_series:
    a, b = first[0], second[0]
    if a <= b:
        return first
    if b <= a:
        return second
    gap = (first - second)[0]
    if gap <= 0:
        return first
    return second if gap >= 0 else _broken(minimum(a, b))


def _arcsin(series: arb_series, data: Any, clamp: bool) -> arb_series:
    from approx.numbers import asin

    value = series[0]
    if -1 < value < 1:
        return _with_value(series.asin(), asin(value))
    return _broken(asin(value, assume_in_range=clamp))


def _arccos(series: arb_series, data: Any, clamp: bool) -> arb_series:
    return _constant(arb.pi() / 2) - _arcsin(series, data, clamp)


def _sinh(series: arb_series, data: Any, clamp: bool) -> arb_series:
    up, down = series.exp(), (-series).exp()
    return _with_value((up - down) * _constant(arb(0.5)), series[0].sinh())


def _cosh(series: arb_series, data: Any, clamp: bool) -> arb_series:
    up, down = series.exp(), (-series).exp()
    return _with_value((up + down) * _constant(arb(0.5)), series[0].cosh())


def _tanh(series: arb_series, data: Any, clamp: bool) -> arb_series:
    """tanh by composition; its own coefficients by (k+1) a_{k+1} = [k = 0] - sum a_i a_{k-i}, with a_1 = 1/cosh^2."""
    start = series[0]
    outer = [start.tanh()]
    needed = _terms_needed(series)
    if needed:
        outer.append(_squared_sech(start, outer[0]))
    for k in range(1, needed):
        total = arb(0)
        for i in range((k + 1) // 2):
            total = total + outer[i] * outer[k - i]
        total = total * 2
        if k % 2 == 0:
            total = total + power_ball(outer[k // 2], 2)
        outer.append(-total / (k + 1))
    return _composed(outer, series, ctx.cap)


def _squared_sech(point: arb, tanh: arb) -> arb:
    """1/cosh^2 = 1 - tanh^2, the better of both where both are finite."""
    first = 1 - power_ball(tanh, 2)
    bottom = point.cosh()
    return first.intersection(1 / power_ball(bottom, 2)) if bottom > 0 and first.is_finite() else first


def _sigmoid(series: arb_series, data: Any, clamp: bool) -> arb_series:
    half = _tanh(series * _constant(arb(0.5)), data, clamp)
    return _with_value((half + _constant(arb(1))) * _constant(arb(0.5)), sigmoid_ball(series[0]))


def _tan(series: arb_series, data: Any, clamp: bool) -> arb_series:
    value = series[0].tan()
    return series.tan() if value.is_finite() else _broken(NAN)


_RULES: dict[str, Callable[..., arb_series]] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "powi": _powi, "powq": _powq, "pow": _pow,
    "sqrt": _sqrt, "log": _log, "abs": _abs, "relu": _relu, "max": _max, "min": _min, "arcsin": _arcsin,
    "arccos": _arccos, "sinh": _sinh, "cosh": _cosh, "tanh": _tanh, "sigmoid": _sigmoid, "tan": _tan,
    "exp": lambda series, data, clamp: series.exp(), "sin": lambda series, data, clamp: series.sin(),
    "cos": lambda series, data, clamp: series.cos(), "arctan": lambda series, data, clamp: series.atan(),
    "erf": lambda series, data, clamp: series.erf(),
}  # fmt: skip
