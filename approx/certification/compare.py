"""How far apart are two networks, how large is one, and what is its range? Certified without a formula for a target."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

from flint import fmpq

from approx.certification.budget import Budget, Work
from approx.certification.certificate import Certificate
from approx.certification.certify import certify
from approx.certification.vector import combined, select_output
from approx.errors import InputError
from approx.networks import Builder, Form, Network, linear_combination
from approx.networks.canonical import canonical_difference
from approx.numbers import float_down, float_up, to_fmpq
from approx.targets import Target

_ORDERS = {1: 6, 2: 4, 3: 3}


def compare(
    first: Network,
    second: Network,
    domain: Any,
    *,
    rtol: float = 0.01,
    atol: float = 0.0,
    budget: Budget | None = None,
    method: str = "auto",
) -> Certificate:
    """A Certificate lower <= sup |first - second| <= upper over the domain (largest over the outputs).

    domain: an interval (lo, hi) in one variable, else a list of intervals. Its `network` is the exact difference, its target
    0. Units that the two share exactly are counted once. Two networks of one architecture in several variables, or with
    smooth activations, are followed side by side (difference_models): the work does not grow when they are nearly equal.

    method: as in certify; "auto", or "difference" to insist on that. Raises InputError when shapes differ, as certify does
    otherwise. Cost: as certify for a network of both sizes.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> tent = b.build([b.relu(b.input() - 0.5)])
    >>> c = compare(tent, 1.25 * tent, (0, 1))
    >>> c.lower <= 0.125 <= c.upper <= 0.126
    True
    """
    for name, network in (("first", first), ("second", second)):
        if not isinstance(network, Network):
            raise InputError(name, network, "a Network")
    if (first.inputs, first.outputs) != (second.inputs, second.outputs):
        raise InputError(
            "second", f"{second.inputs} inputs, {second.outputs} outputs",
            f"a network with {first.inputs} inputs and {first.outputs} outputs, like the first",
        )  # fmt: skip
    zero = _zero(domain, first.inputs)
    converted = first.native is not first or _hidden(first) != _hidden(second)
    if converted and all(n.tags["piecewise_linear"] and n.tags["rational"] for n in (first, second)):
        return _canonical(first, second, zero, rtol, atol, budget, method)
    apart = difference(first, second)
    if first.outputs > 1:
        parts = [
            compare(select_output(first, k), select_output(second, k), domain,
                    rtol=rtol, atol=atol, budget=budget, method=method)
            for k in range(first.outputs)
        ]  # fmt: skip
        return combined(parts, apart)
    from approx.certification.difference_models import same_architecture

    smooth = not apart.tags["piecewise_linear"]
    side_by_side = same_architecture(first, second) and (method == "difference" or smooth or first.inputs > 1)
    if method == "difference" and not side_by_side:
        raise InputError("method", method, "'auto' for networks of different architectures")
    if method in ("auto", "difference") and not apart.size.units:
        return _of_affine(apart, zero, rtol, atol)
    if side_by_side and method in ("auto", "difference"):
        return _side_by_side(first, second, apart, zero, rtol, atol, budget or Budget())
    return certify(apart, zero, rtol=rtol, atol=atol, budget=budget, method=method)


def difference(first: Network, second: Network) -> Network:
    """The network first - second, exact; a unit that both compute from the same sources with the same weights is one unit."""
    b = Builder(first.inputs)
    known: dict[Any, Form] = {}

    def unit(form: Form, activation: str) -> Form:
        key = activation, tuple(sorted((u, (int(w.p), int(w.q))) for u, w in form.terms.items())), str(form.constant)
        if key not in known:
            known[key] = b.unit(form, activation)
        return known[key]

    outputs: list[list[Form]] = []
    for network in (first, second):
        forms = [b.input(i) for i in range(first.inputs)]
        hidden = network.size.units
        for number, (activation, bias, terms) in enumerate(network.exact_rows()):
            form = linear_combination([(w, forms[u]) for u, w in terms], bias)
            forms.append(unit(form, activation) if number < hidden else form)
        outputs.append(forms[len(forms) - network.outputs :])
    return b.build([f - g for f, g in zip(*outputs, strict=True)])


def _hidden(network: Network) -> set[str]:
    return {layer.activation for layer in network.layers[:-1]}


def _canonical(
    first: Network, second: Network, zero: Target, rtol: float, atol: float, budget: Budget | None, method: str
) -> Certificate:
    """For networks of different activations: what their canonical ReLU forms have in common differs by exactly 0."""
    apart = canonical_difference(first, second, list(zip(zero.domain.lower, zero.domain.upper, strict=True)))
    parts = [
        _of_affine(part, zero, rtol, atol)
        if method == "auto" and not part.size.units
        else certify(part, zero, rtol=rtol, atol=atol, budget=budget, method=method)
        for part in (select_output(apart, k) for k in range(apart.outputs))
    ]
    return parts[0] if len(parts) == 1 else combined(parts, apart)


def _of_affine(network: Network, zero: Target, rtol: float, atol: float) -> Certificate:
    """The exact sup |network| of a network without hidden units: attained at a corner."""
    [(_, constant, terms)] = network.exact_rows()
    sides = tuple((to_fmpq(a), to_fmpq(b)) for a, b in zero.domain)
    best, at = fmpq(-1), tuple(a for a, _ in sides)
    for sign in (1, -1):
        slopes = {u: sign * w for u, w in terms}
        corner = tuple(b if slopes.get(i, 0) > 0 else a for i, (a, b) in enumerate(sides))
        value = sign * constant + sum((w * corner[u] for u, w in slopes.items()), fmpq(0))
        if value > best:
            best, at = value, corner
    return Certificate.of(network, zero, (float_down(best), float_up(best) + 0.0, at, "affine (exact)"), rtol, atol, {})


def _side_by_side(
    first: Network, second: Network, apart: Network, zero: Target, rtol: float, atol: float, budget: Budget
) -> Certificate:
    from approx.certification.box_cover import box_cover
    from approx.certification.difference_models import DifferenceProgram
    from approx.certification.taylor import Search

    # Models of piecewise linear networks are affine.
    order = 1 if apart.tags["piecewise_linear"] else _ORDERS.get(first.inputs, 2)
    work = Work(budget)
    search = Search(DifferenceProgram(first, second, apart, order), zero, box_cover(zero, 0.0, order=2), rtol, atol, work)
    with contextlib.suppress(KeyboardInterrupt):  # what is proved so far is returned
        search.run()
    found = search.lower, search.upper, search.witness, f"difference (float64 models of order {order})"
    return Certificate.of(apart, zero, found, rtol, atol, work.report)


def sup(network: Network, domain: Any, **options: Any) -> Certificate:
    """A Certificate lower <= sup |network| <= upper over the domain: the uniform norm (largest over the outputs).

    Options: rtol, atol, budget, method, semantics, executor of certify. Raises as certify does.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> 1 <= sup(b.build([b.relu(b.input()) - 3 * b.relu(b.input() - 1)]), (0, 2)).upper <= 1.01
    True
    """
    zero = _zero(domain, network.inputs)
    return certify(network, zero if network.outputs == 1 else [zero] * network.outputs, **options)


@dataclass(frozen=True)
class Range:
    """lower <= network(x) <= upper on the box, and how close that is: the minimum lies in `minimum`, the maximum in `maximum`.

    at_minimum and at_maximum are exact points at which the inner ends of the two intervals are reached.
    """

    minimum: tuple[float, float]
    maximum: tuple[float, float]
    at_minimum: tuple[fmpq, ...]
    at_maximum: tuple[fmpq, ...]
    network: Network
    domain: tuple[tuple[fmpq, fmpq], ...]

    @property
    def lower(self) -> float:
        """A lower bound of the network on the box."""
        return self.minimum[0]

    @property
    def upper(self) -> float:
        """An upper bound of the network on the box."""
        return self.maximum[1]


def bound(
    network: Network, box: Any, *, rtol: float = 0.01, budget: Budget | None = None, method: str = "auto"
) -> Range:
    """The Range of a network of one output on a box: both ends are proved, and enclosed to rtol * sup |network|.

    With S >= sup |net|, sup |net + S| = S + max net and sup |S - net| = S - min net, so two certificates against the constants
    -S and S suffice. The budget counts for each of the three certificates. Where no finite S is found both ends are
    infinite. Raises InputError unless the network has one output, and as certify does.

    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> r = bound(b.build([b.relu(b.input()) - 3 * b.relu(b.input() - 1)]), (0, 2))
    >>> -1.01 <= r.lower <= -1 and 1 <= r.upper <= 1.01
    True
    """
    if not isinstance(network, Network) or network.outputs != 1:
        given = f"{network.outputs} outputs" if isinstance(network, Network) else network
        raise InputError("network", given, "a network of one output (approx.certification.select_output picks one)")
    options: dict[str, Any] = {"budget": budget, "method": method}
    zero = _zero(box, network.inputs)
    size = certify(network, zero, rtol=0.5, **options).upper
    sides = tuple((to_fmpq(a), to_fmpq(b)) for a, b in zero.domain)
    if not math.isfinite(size):
        at = tuple(a for a, _ in sides)
        return Range((-math.inf, math.inf), (-math.inf, math.inf), at, at, network, sides)
    # A power of two adds to float64 numbers of its size with little rounding.
    shift = fmpq(2) ** math.frexp(size)[1] if size else fmpq(1)
    ends: list[tuple[float, float, tuple[fmpq, ...]]] = []
    for sign in (1, -1):
        found = certify(network, Target(f"{-sign}*({shift})", domain=zero.domain), rtol=rtol / 4, **options)
        inner = float_down(to_fmpq(found.lower) - shift)
        outer = float_up(to_fmpq(found.upper) - shift) if math.isfinite(found.upper) else math.inf
        ends.append((inner, min(outer, size), found.witness))
    (below, high, top), (above, low, bottom) = ends
    # 0.0 - x, so that no end is -0.0.
    return Range((0.0 - low, 0.0 - above), (below, high), bottom, top, network, sides)


def _zero(domain: Any, inputs: int) -> Target:
    zero = Target("0", domain=domain)
    if zero.dimension != inputs:
        raise InputError("domain", f"{zero.dimension} intervals", f"{inputs} intervals, one per input of the network")
    return zero
