"""What are the exact values of a step network (floor and 2^t) on all its cells? All cells at once, by integers.

A network whose inputs are read by floor units alone is constant on the cells of a grid. Its table weights may be millions of
bits long, and a literal evaluation of every cell would read all of them every time. Here the layers are followed for
all cells together, and three kinds of unit values stand for exact numbers:

    integers v          (int64 arrays)
    powers 2^-e         (e an integer array)
    shifts floor(A 2^-(e+k))   (A the weight, e the array of a power: the long number itself is never formed)

Linear forms of shifts of one weight telescope, floor(A/2^e) - 2^w floor(A/2^(e+w)) = the w bits of A at position e, and are
read from the bytes of A. Everything that does not fit into this scheme is refused, never approximated, with one exception:
A 2^-e itself (at the output of a network with skips) is cut after 40 bits behind the point, and the cut is declared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from flint import fmpq

from approx.evaluation.bit_fields import read_bits

if TYPE_CHECKING:
    from approx.networks import Network

_LARGEST = 2**62
_TAIL = 40


class Grid(NamedTuple):
    """Cells k <= scale (x - lower) < k + 1 of every axis, k = 0 .. count - 1; an axis that nobody reads is one cell."""

    lower: tuple[fmpq, ...]
    upper: tuple[fmpq, ...]
    scale: tuple[fmpq, ...]
    counts: tuple[int, ...]

    def edges(self, axis: int) -> list[fmpq]:
        """The count + 1 ends of the cells of one axis, the last one cut at the end of the domain."""
        low, high, scale = self.lower[axis], self.upper[axis], self.scale[axis]
        return [low + k / scale for k in range(self.counts[axis])] + [high]


class StepValues(NamedTuple):
    """On cell k the network lies in [unit n_k, unit n_k + slack], n an int64 array with one axis per input."""

    grid: Grid
    multiples: np.ndarray
    unit: fmpq
    slack: fmpq


#: Units in order: (activation, exact bias, [(number of the source, exact weight), ...]), the inputs numbered first.
Rows = Sequence[tuple[str, Any, list[tuple[int, Any]]]]


def step_values(network: Network, lower: Sequence[fmpq], upper: Sequence[fmpq]) -> StepValues | None:
    """The exact StepValues of the network on the box, or None when it is no step network of the supported form.

    Form: rational weights, activations among floor, 2^t and identity; an input is read only by floor units of one input
    with floor(c (x_i - lower_i)), and on each axis all c divide the largest one. Cost: O(cells * units) vectorised.
    """
    return step_values_of(network.exact_rows(), lower, upper) if may_be_steps(network) else None


def may_be_steps(network: Network) -> bool:
    """Whether activations and weights are those of a step network with one output."""
    return (
        network.activations <= {"identity", "floor", "exp2"}
        and network.outputs == 1
        and all(isinstance(p, fmpq) for p in network.pool)
    )


def step_values_of(rows: Rows, lower: Sequence[fmpq], upper: Sequence[fmpq]) -> StepValues | None:
    """As `step_values`, for the rows of a network (`Network.exact_rows`), the last of which is the output."""
    try:
        grid = _grid(rows, list(lower), list(upper))
        return _follow(rows, grid, len(lower))
    except _Refused:
        return None


class _Refused(Exception):
    """Raised inside this module when a network does not fit the scheme."""


class _Power(NamedTuple):
    """The numbers 2^-exponents."""

    exponents: np.ndarray


class _Shift(NamedTuple):
    """The numbers floor(odd / 2^(power.exponents + extra)), odd an odd integer."""

    odd: int
    power: _Power
    extra: int


def _grid(rows: Rows, lower: list[fmpq], upper: list[fmpq]) -> Grid:
    d = len(lower)
    finest: list[fmpq] = [fmpq(0)] * d
    for activation, bias, terms in rows:
        axes = [u for u, _ in terms if u < d]
        if not axes:
            continue
        if activation != "floor" or len(terms) != 1 or terms[0][1] <= 0 or bias != -terms[0][1] * lower[axes[0]]:
            raise _Refused
        finest[axes[0]] = max(finest[axes[0]], terms[0][1])
    # An axis that nobody reads: any scale below 1 / width gives the one cell 0.
    scale = [c if c else 1 / (2 * (high - low)) for c, low, high in zip(finest, lower, upper, strict=True)]
    counts = [int((c * (high - low)).floor()) + 1 for c, low, high in zip(scale, lower, upper, strict=True)]
    return Grid(tuple(lower), tuple(upper), tuple(scale), tuple(counts))


def _follow(rows: Rows, grid: Grid, inputs: int) -> StepValues:
    values: list[Any] = [None] * inputs
    for activation, bias, terms in rows:
        if terms and terms[0][0] < inputs:
            values.append(_address(grid, terms[0][0], terms[0][1]))
            continue
        pairs = [(weight, values[unit]) for unit, weight in terms]
        if activation == "floor":
            values.append(_floor(bias, pairs))
        elif activation == "exp2":
            array, unit, cut = _reduced(bias, pairs)
            if unit.q != 1 or cut:
                raise _Refused
            values.append(_Power(-_times(array, unit)))
        else:
            array, unit, cut = _reduced(bias, pairs)
    return StepValues(grid, np.broadcast_to(array, grid.counts), unit, cut)


def _address(grid: Grid, axis: int, weight: fmpq) -> np.ndarray:
    ratio = grid.scale[axis] / weight
    if ratio.q != 1:
        raise _Refused
    cells = np.arange(grid.counts[axis], dtype=np.int64) // int(ratio.p)
    return cells.reshape([-1 if i == axis else 1 for i in range(len(grid.counts))])


def _floor(bias: fmpq, pairs: list[tuple[fmpq, Any]]) -> Any:
    if len(pairs) == 1 and bias == 0:
        weight, value = pairs[0]
        halvings = int(weight.q).bit_length() - 1
        if isinstance(value, _Power) and weight > 0 and weight.q == 1 << halvings:
            odd, zeros = _odd(int(weight.p))
            return _Shift(odd, value, halvings - zeros)
        if isinstance(value, _Shift) and weight.p == 1 and weight.q == 1 << halvings:
            # floor(floor(y) / 2^w) = floor(y / 2^w) for integers w >= 0.
            return value._replace(extra=value.extra + halvings)
    array, unit, cut = _reduced(bias, pairs)
    if cut or unit.q >= _LARGEST:
        raise _Refused
    return _times(array, unit) // int(unit.q)


def _times(array: np.ndarray, unit: fmpq) -> np.ndarray:
    if int(unit.p) * int(max(-array.min(), array.max(), 1)) >= _LARGEST:
        raise _Refused
    return array * int(unit.p)


def _odd(integer: int) -> tuple[int, int]:
    zeros = (integer & -integer).bit_length() - 1
    return integer >> zeros, zeros


def _reduced(bias: fmpq, pairs: list[tuple[fmpq, Any]]) -> tuple[np.ndarray, fmpq, fmpq]:
    """(integers, unit, cut): bias + sum of weight * value lies in [unit * integers, unit * integers + cut]."""
    small: list[tuple[fmpq, np.ndarray]] = []
    chains: dict[tuple[int, int], tuple[_Power, dict[int, fmpq]]] = {}
    reals: list[tuple[fmpq, _Power]] = []
    for weight, value in pairs:
        if isinstance(value, np.ndarray):
            small.append((weight, value))
        elif isinstance(value, _Shift):
            _, chain = chains.setdefault((value.odd, id(value.power)), (value.power, {}))
            chain[value.extra] = chain.get(value.extra, fmpq(0)) + weight
        else:
            reals.append((weight, value))
    cut = fmpq(0)
    for weight, power in reals:
        if weight <= 0:
            raise _Refused
        odd, zeros = _odd(int(weight.p))
        # The same table may be looked up beside this one, in other units.
        odd = next((o for o, base in chains if base == id(power) and odd % o == 0), odd)
        zeros = 0 if int(weight.p) % (odd << zeros) else zeros
        rest = weight / (odd << zeros)
        _, chain = chains.setdefault((odd, id(power)), (power, {}))
        # odd 2^-(e - zeros) = its floor + the bits behind the point, of which _TAIL are kept.
        chain[-zeros] = chain.get(-zeros, fmpq(0)) + rest
        small.append((rest / 2**_TAIL, read_bits(odd, power.exponents - zeros - _TAIL, _TAIL)))
        cut += rest / 2**_TAIL
    for (odd, _), (power, chain) in chains.items():
        small += _telescoped(odd, power, chain)
    return *_combined(bias, small), cut


def _telescoped(odd: int, power: _Power, chain: dict[int, fmpq]) -> list[tuple[fmpq, np.ndarray]]:
    """The sum of c_k floor(odd / 2^(e+k)) as multiples of bit fields of `odd`."""
    result: list[tuple[fmpq, np.ndarray]] = []
    carried = fmpq(0)
    extras = sorted(chain)
    for position, extra in enumerate(extras):
        carried += chain[extra]
        if carried == 0:
            continue
        last = position == len(extras) - 1
        width = 56 if last else extras[position + 1] - extra
        if width > 56 or (last and odd.bit_length() - int(power.exponents.min()) - extra > 56):
            raise _Refused
        result.append((carried, read_bits(odd, power.exponents + extra, width)))
        carried *= fmpq(2) ** width
    return result


def _combined(bias: fmpq, small: list[tuple[fmpq, np.ndarray]]) -> tuple[np.ndarray, fmpq]:
    """bias + sum of weight * array as integers times the greatest common divisor of the numbers involved."""
    numbers = [bias, *(weight for weight, _ in small)]
    denominator = math.lcm(*(int(n.q) for n in numbers))
    unit = fmpq(math.gcd(*(int(n.p) * (denominator // int(n.q)) for n in numbers)) or denominator, denominator)
    factors = [int((n / unit).p) for n in numbers]
    size = abs(factors[0])
    for factor, (_, array) in zip(factors[1:], small, strict=True):
        size += abs(factor) * int(max(-array.min(), array.max()))
    if max(map(abs, [size, *factors])) >= _LARGEST:
        raise _Refused
    total = np.full((1,) * max((a.ndim for _, a in small), default=1), factors[0], np.int64)
    for factor, (_, array) in zip(factors[1:], small, strict=True):
        total = total + array * factor
    return total, unit
