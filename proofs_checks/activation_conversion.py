"""How does a network with any continuous piecewise-linear activation become a ReLU network, and back? (P16 Prop. 1)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous activation: value at the first breakpoint, slopes left of, between and right of the breakpoints."""

    breakpoints: tuple[fmpq, ...]
    slopes: tuple[fmpq, ...]
    value: fmpq = fmpq(0)  # noqa: RUF009

    def __call__(self, t: fmpq) -> fmpq:
        """The exact value at t."""
        total, first = self.value, self.breakpoints[0]
        if t <= first:
            return total + self.slopes[0] * (t - first)
        ends = [*self.breakpoints[1:], None]
        start = first
        for slope, end in zip(self.slopes[1:], ends, strict=True):
            if end is None or t <= end:
                return total + slope * (t - start)
            total += slope * (end - start)
            start = end
        return total

    def relu_form(self, b: Builder, t: Form) -> Form:
        """rho(t) = value - s_0 relu(a_1 - t) + s_1 relu(t - a_1) + sum (s_m - s_{m-1}) relu(t - a_m): M + 1 units."""
        a, s = self.breakpoints, self.slopes
        parts = [(-s[0], b.relu(a[0] - t)), (s[1], b.relu(t - a[0]))]
        parts += [(s[m + 1] - s[m], b.relu(t - a[m])) for m in range(1, len(a))]
        return linear_combination(parts, self.value)


@dataclass(frozen=True)
class PlainNetwork:
    """A fully connected network: layers of (matrix, bias), one activation on all but the last; exact evaluation."""

    layers: tuple[tuple[tuple[tuple[fmpq, ...], ...], tuple[fmpq, ...]], ...]
    activation: PiecewiseLinear

    def __call__(self, point: Sequence[fmpq]) -> list[fmpq]:
        """The exact outputs."""
        values = list(point)
        for number, (matrix, bias) in enumerate(self.layers):
            values = [sum((w * v for w, v in zip(row, values, strict=True)), c) for row, c in zip(matrix, bias, strict=True)]
            if number < len(self.layers) - 1:
                values = [self.activation(v) for v in values]
        return values

    @property
    def weights(self) -> int:
        """Non-zero connections and biases."""
        return sum(sum(w != 0 for row in m for w in row) + sum(c != 0 for c in bias) for m, bias in self.layers)

    @property
    def units(self) -> int:
        """Hidden units."""
        return sum(len(bias) for _, bias in self.layers[:-1])

    def to_relu(self) -> Network:
        """The same function as a ReLU network of the same depth, (M+1) units per unit."""
        b = Builder(len(self.layers[0][0][0]))
        forms = [b.input(i) for i in range(b.inputs)]
        for number, (matrix, bias) in enumerate(self.layers):
            forms = [linear_combination(zip(row, forms, strict=True), c) for row, c in zip(matrix, bias, strict=True)]
            if number < len(self.layers) - 1:
                forms = [self.activation.relu_form(b, f) for f in forms]
        return b.build(forms)


def relu_from(rho: PiecewiseLinear, t: fmpq, reach: fmpq, which: int = 0) -> fmpq:
    """relu(t) for |t| <= reach from four values of rho around a breakpoint a where the slope changes.

    [rho(a + rt/2u) - rho(a - r/2 + rt/2u) - rho(a) + rho(a - r/2)] / ((rho'(a+) - rho'(a-)) r/2u), u = reach, where rho
    has no other breakpoint within r of a.
    """
    a = rho.breakpoints[which]
    others = [abs(p - a) for i, p in enumerate(rho.breakpoints) if i != which]
    r = min(others, default=fmpq(1))
    step = r * t / (2 * reach)
    jump = rho.slopes[which + 1] - rho.slopes[which]
    top = rho(a + step) - rho(a - r / 2 + step) - rho(a) + rho(a - r / 2)
    return top / (jump * r / (2 * reach))
