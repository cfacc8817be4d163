"""Which squares of a reading are the two halves of a product? F_m(|p + q|) - F_m(|p - q|) becomes one step.

Statement. Let F_m interpolate z^2 at k/2^m on [0, 1] and theta = F_m(z) - z^2. On every tooth theta is (z - a)(b - z) with
b - a = 2^-m, so 0 <= theta <= 4^-(m+1), |theta'| <= 2^-m, and theta(z) = theta(1 - z). Hence for |p| + |q| <= 1

    F_m(|p + q|) - F_m(|p - q|) = 4 p q + r,
    |r| <= min(4^-(m+1), 2^-m * 2 min(|p|, |q|), 2^-m * |1 - 2 max(|p|, |q|)|),

because ||p + q| - |p - q|| = 2 min(|p|, |q|) and |p + q| + |p - q| = 2 max(|p|, |q|). So a product with a factor 0 or with a
factor of full size is exact: a blend P_0 + w (P_1 - P_0) is P_0 where w = 0 and P_1 where w = 1, however coarse its squares.
Any two squares of equal levels and opposite weights may be paired; a pair that nobody meant costs sharpness, never truth.
Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flint import fmpq

from approx.certification.gadgets import Reading
from approx.certification.square_sums import Form, add, scaled

_HALF = fmpq(1, 2)


@dataclass(frozen=True)
class Step:
    """max(form, 0) (levels None), F_m of |form| or form, or with `other` F_m(|form + other|) - F_m(|form - other|)."""

    form: Form
    levels: int | None = None
    two_sided: bool = True
    other: Form | None = None


@dataclass
class Steps:
    """A network as steps over the inputs: key d + n of a form is step n; `promises` as in Reading."""

    inputs: int
    steps: list[Step] = field(default_factory=list)
    output: Form = field(default_factory=dict)
    promises: list[tuple[Form, bool, fmpq]] = field(default_factory=list)


def with_products(reading: Reading) -> Steps:
    """The Steps of a reading: squares that come in pairs are joined, single ones stay."""
    joiner = _Joiner(reading, Steps(reading.inputs), {i: i for i in range(reading.inputs)})
    for number, node in enumerate(reading.nodes):
        joiner.arguments.append(joiner.rewritten(node.form))
        if node.levels is None:
            joiner.append(reading.inputs + number, Step(joiner.arguments[-1]))
    result = joiner.result
    result.output = joiner.rewritten(reading.output)
    result.promises = [(joiner.rewritten(form), side, size) for form, side, size in reading.promises]
    return result


@dataclass
class _Joiner:
    reading: Reading
    result: Steps
    place: dict[int, int]  # node of the reading -> step
    arguments: list[Form] = field(default_factory=list)
    joined: dict[tuple[int, int], int] = field(default_factory=dict)

    def append(self, key: int, step: Step) -> int:
        """The key of a new step, which stands for node `key` of the reading."""
        self.result.steps.append(step)
        self.place[key] = self.result.inputs + len(self.result.steps) - 1
        return self.place[key]

    def rewritten(self, form: Form) -> Form:
        """The form over steps; squares of equal levels with weights c and -c are joined, the first with the first."""
        d = self.reading.inputs
        sides: dict[tuple[int, fmpq], tuple[list[int], list[int]]] = {}
        for key in sorted(k for k in form if k >= d):
            node = self.reading.nodes[key - d]
            if node.levels is not None and node.two_sided:
                both = sides.setdefault((node.levels, abs(form[key])), ([], []))
                both[form[key] < 0].append(key)
        rest, result = dict(form), {}
        for (_, weight), (plus, minus) in sides.items():
            for first, second in zip(plus, minus, strict=False):
                del rest[first], rest[second]
                if (second, first) in self.joined:
                    result[self.joined[second, first]] = -weight
                else:
                    result[self.product(first, second)] = weight
        for key, weight in rest.items():
            result[key if key < 0 else self.single(key)] = weight
        return result

    def single(self, key: int) -> int:
        """The step of a node of the reading; squares get theirs when they are first needed alone."""
        if key not in self.place:
            node = self.reading.nodes[key - self.reading.inputs]
            argument = self.arguments[key - self.reading.inputs]
            return self.append(key, Step(argument, node.levels, node.two_sided))
        return self.place[key]

    def product(self, first: int, second: int) -> int:
        """The step of the product whose squares are these two."""
        if (first, second) not in self.joined:
            d = self.reading.inputs
            a, b = self.arguments[first - d], self.arguments[second - d]
            half_sum, half_difference = scaled(add(a, b), _HALF), scaled(add(a, scaled(b, fmpq(-1))), _HALF)
            levels = self.reading.nodes[first - d].levels
            self.result.steps.append(Step(half_sum, levels, True, half_difference))
            self.joined[first, second] = d + len(self.result.steps) - 1
        return self.joined[first, second]
