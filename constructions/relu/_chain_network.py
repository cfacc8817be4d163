"""How does a fitted chain become a network? Exact forms over ReLU units, every weight rounded to float64 beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from flint import fmpq

from approx.networks import Builder, Form, linear_combination
from approx.numbers import to_float, to_fmpq
from constructions.relu._chain_fit import Fit
from constructions.relu._chain_model import Array, forward
from constructions.relu._chain_symmetry import Bend, Fold, Stage
from constructions.relu.square import square_error, square_form


def rounded(form: Form) -> Form:
    """The form with every coefficient and the constant rounded to float64: the weights that the network has."""
    terms = {u: to_fmpq(to_float(c)) for u, c in form.terms.items()}
    return Form({u: w for u, w in terms.items() if w != 0}, to_float(form.constant))


class Writer(Protocol):
    """What a chain is written to: a network, or the tape of its exact squares (`_chain_bound`)."""

    def relu(self, form: Form) -> Form:
        """The form of a unit max(form, 0)."""

    def square(self, form: Form, levels: int) -> Form:
        """The form of the square of a form with values in [0, 1]."""

    def quotient(self, form: Form, scale: Form, read: Form, levels: int) -> Form:
        """The form of u^2 / s, 0 <= u <= s, for a unit u and a unit s (or the constant 1); `read` has the value of s."""


class NetworkWriter:
    """Writes a chain into a Builder, rounding weights; `defects` bound what the rounding of every unit's form changes.

    The bound assumes that all units are at most 2 and the input at most `size` in absolute value.
    """

    def __init__(self, builder: Builder, size: float) -> None:
        self.builder, self.size = builder, to_fmpq(size)
        self.defects: list[fmpq] = []

    def relu(self, form: Form) -> Form:
        """The form of a new unit with float64 weights."""
        return self.builder.relu(self.output(form))

    def square(self, form: Form, levels: int) -> Form:
        """The centred sawtooth square of a unit."""
        return square_form(self.builder, form, levels, centred=True)

    def quotient(self, form: Form, scale: Form, read: Form, levels: int) -> Form:
        """The centred sawtooth quotient of a unit by a unit; the constant of the centring as a share of `read`."""
        return square_form(self.builder, form, levels, scale=scale) - square_error(levels, True) * read

    def output(self, form: Form) -> Form:
        """The rounded form; its defect is recorded."""
        result = rounded(form)
        difference = form - result
        changes = [abs(w) * (self.size if u < self.builder.inputs else 2) for u, w in difference.terms.items()]
        self.defects.append(sum(changes, abs(difference.constant)))
        return result


def chain_form(writer: Writer, t: Form, fit: Fit, levels: Sequence[int], grid: Array) -> Form:
    """The output form of the chain on the form t with values in [0, 1]; levels[j] counts free folds and sawtooth levels.

    Weights: sum (5 m_j - 2) + K(K+1)/2 for smooth chains (m_j >= 2), one more constant when t has one.
    """
    shape, theta = fit.shape, fit.theta
    state = forward(shape, theta, grid)
    linear = fit.parameters[shape.nonlinear :]
    units = [t]
    hinges = [writer.relu(t - float(theta[k])) for k in shape.kappa]
    for j, slots in enumerate(shape.slots):
        a = units[j]
        folds = [a]
        for ck, ek in zip(slots.c, slots.e, strict=True):
            c, e = float(theta[ck]), float(theta[ek])
            up, down = 1 / c, (1 - e) / (1 - c)
            b = writer.relu(a - c)
            if shape.tied and j == 0 and len(folds) == 1:
                hinges.insert(0, b)
            a = writer.relu(up * a - (up + down) * b)
            folds.append(a)
        square = writer.square(a, levels[j] - shape.free[j])
        if j == shape.squares - 1:
            break
        terms: list[tuple[float, Form]] = [(1.0, square)]
        terms += [(float(theta[k]), f) for k, f in zip(slots.o, folds, strict=True)]
        terms += [(float(theta[k]), f) for k, f in zip(slots.b, units[:j], strict=True)]
        terms += [(float(theta[k]), f) for k, f in zip(slots.h, hinges[len(hinges) - len(slots.h) :], strict=True)]
        scale = 1 / float(state.ranges[j][0])
        units.append(writer.relu(linear_combination(terms, -float(state.lows[j][0])) * scale))
    forms = [Form(constant=1), *units, *folds[1:], square, *hinges]
    return linear_combination([(float(c), f) for c, f in zip(linear, forms, strict=True)])


def staged_form(
    writer: Writer, z: Form, stages: Sequence[Stage], bends: Sequence[int], core: Callable[[Form], Form],
    bare: bool = False,
) -> Form:
    """The output form of the function with these stages on z in [0, 1]; `core` builds what is left, `bends` are levels.

    With `bare` the last tent is handed to the core as a form, not as a unit (cheaper when the core is affine).
    """
    if not stages:
        return core(z)
    stage, later = stages[0], stages[1:]
    if isinstance(stage, Bend):
        square = writer.square(z, bends[0])
        bent = writer.relu((1 - stage.beta) * z + stage.beta * square)
        return staged_form(writer, bent, later, bends[1:], core, bare)
    hinge, tent = _fold(writer, z, stage)
    if later or not bare:
        tent = writer.relu(tent)
    inner = staged_form(writer, tent, later, bends, core, bare)
    if not stage.odd:
        return inner
    value = writer.relu(inner)
    gated = writer.relu(value - stage.gate * hinge)
    output = stage.sign * (2 * gated - value) + stage.value
    if stage.lift:
        side = 1 / stage.c if stage.c >= 0.5 else -1 / (1 - stage.c)
        output = output + stage.sign * stage.lift * side * (z - stage.c)
    return output


def _fold(writer: Writer, z: Form, stage: Fold) -> tuple[Form, Form]:
    """The hinge, non-zero on the shorter side only, and the form of the tent (or of one minus the tent)."""
    if stage.c >= 0.5:
        hinge = writer.relu(z - stage.c)
        tent = (1 / stage.c) * z - (2 / stage.c) * hinge
    else:
        hinge = writer.relu(stage.c - z)
        tent = (1 / (1 - stage.c)) * (1 - z) - (2 / (1 - stage.c)) * hinge
    return hinge, (1 - tent if stage.reverse else tent)
