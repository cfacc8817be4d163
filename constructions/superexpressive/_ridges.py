"""Is a target a sum of functions of one linear form each? Then its cells are counted along lines, not in the box.

sqrt|x - 1/2| + sqrt|y - x|/2 is such a sum, and so is sin A cos B = (sin(A + B) + sin(A - B))/2: the plan of the
expression, which the ReLU composition uses too, finds them.
"""

from __future__ import annotations

from typing import NamedTuple

from flint import fmpq

from approx.errors import ApproxError
from approx.targets import CallableTarget, Target, tree
from approx.targets.tree import Node
from constructions.relu._plan import Affine, Plan, Sum, Univariate, plan


class Ridge(NamedTuple):
    """x -> function(sum_i coefficients[i] x_i), the function on the range of the form over the box."""

    coefficients: tuple[fmpq, ...]
    function: Target


def ridges_of(target: Target) -> tuple[Ridge, ...] | None:
    """The ridges whose sum the target is, directions different, each of first coefficient 1; None if it is no such sum."""
    if isinstance(target, CallableTarget):
        return None
    try:
        whole = plan(target.tree)
    except ApproxError:
        return None
    groups: dict[tuple[fmpq, ...], list[Node]] = {}
    for part in whole.parts if isinstance(whole, Sum) else (whole,):
        found = _ridge(part, target.dimension)
        if found is None:
            return None
        groups.setdefault(found[0], []).append(found[1])
    constant = groups.pop((fmpq(0),) * target.dimension, [])
    if not groups:
        return None
    first = next(iter(groups))
    groups[first] += constant
    return tuple(Ridge(slant, Target(tree.add(terms), _range(slant, target))) for slant, terms in groups.items())


def _ridge(part: Plan, dimension: int) -> tuple[tuple[fmpq, ...], Node] | None:
    """(direction, function of the form as a tree in variable 0); direction 0 for a constant."""
    placeholder: Node = tree.Variable(0)
    if isinstance(part, Univariate) and isinstance(part.inner, Affine):
        inner, function = part.inner, part.function
    elif isinstance(part, Affine):
        inner, function = part, placeholder
    else:
        return None
    slants = dict(inner.coefficients)
    if not slants:
        return (fmpq(0),) * dimension, tree.substitute(function, {0: tree.number(inner.constant)})
    scale = slants[min(slants)]
    direction = tuple(slants.get(i, fmpq(0)) / scale for i in range(dimension))
    inside = tree.add((tree.multiply((tree.number(scale), placeholder)), tree.number(inner.constant)))
    return direction, tree.substitute(function, {0: inside})


def _range(slant: tuple[fmpq, ...], target: Target) -> tuple[fmpq, fmpq]:
    ends = [sorted((c * low, c * high)) for c, (low, high) in zip(slant, target.domain, strict=True)]
    return sum((e[0] for e in ends), fmpq(0)), sum((e[1] for e in ends), fmpq(0))
