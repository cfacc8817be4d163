"""Which parts does an expression consist of: affine maps, functions of one quantity, products, sums, maxima?

A plan is a tree of such parts. Ridge functions sin(x + 2 y), radial ones exp(-(x^2 + y^2)), quotients 1/(1 + x + y) are
found as functions of one quantity; sin A cos B and the like become sums of ridge functions; any other product is a product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from flint import fmpq

from approx.errors import RegularityError
from approx.targets import tree
from approx.targets.tree import Node


@dataclass(frozen=True)
class Affine:
    """constant + sum of coefficient * x_i with rational coefficients."""

    coefficients: tuple[tuple[int, fmpq], ...]
    constant: fmpq


@dataclass(frozen=True)
class Univariate:
    """h(inner): `function` is a tree in variable 0, `quantity` the tree of the inner part in the original variables."""

    function: Node
    inner: Plan
    quantity: Node


@dataclass(frozen=True)
class Sum:
    """The sum of the parts."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True)
class Product:
    """first * second, with their trees (whose ranges set the product network's scale)."""

    first: Plan
    second: Plan
    trees: tuple[Node, Node]


@dataclass(frozen=True)
class Larger:
    """max(first, second), exact: first + relu(second - first)."""

    first: Plan
    second: Plan


Plan: TypeAlias = Affine | Univariate | Sum | Product | Larger


def plan(node: Node) -> Plan:
    """The plan of an expression; raises RegularityError where a part has no plan (irrational slants)."""
    linear = as_affine(node)
    if linear is not None:
        return linear
    if isinstance(node, tree.Sum):
        return _sum(node.terms)
    rewritten = _product_to_sum(node)
    if rewritten is not None:
        return plan(rewritten)
    found = separator(node)
    if found is not None and found != node:
        return _univariate(node, found)
    match node:
        case tree.Product(factors):
            first, second = factors[:-1], factors[-1]
            head = first[0] if len(first) == 1 else tree.Product(first)
            return Product(plan(head), plan(second), (head, second))
        case tree.Quotient(upper, lower):
            return plan(tree.Product((upper, tree.power(lower, tree.MINUS_ONE))))
        case tree.GeneralPower(base, exponent):
            return plan(tree.function("exp", tree.multiply((exponent, tree.function("log", base)))))
        case tree.Maximum(a, b):
            return Larger(plan(a), plan(b))
        case tree.Minimum(a, b):
            return plan(tree.negative(tree.maximum(tree.negative(a), tree.negative(b))))
    raise RegularityError(
        "composition: a part of the expression is neither a sum, a product nor a function of one quantity"
    )


def as_affine(node: Node) -> Affine | None:
    """The rational affine map that the tree is by its form, or None."""
    match node:
        case tree.Number(value):
            return Affine((), value)
        case tree.Variable(index):
            return Affine(((index, fmpq(1)),), fmpq(0))
        case tree.Sum(terms):
            total: dict[int, fmpq] = {}
            constant = fmpq(0)
            for term in terms:
                part = as_affine(term)
                if part is None:
                    return None
                constant += part.constant
                for index, c in part.coefficients:
                    total[index] = total.get(index, fmpq(0)) + c
            return Affine(tuple((i, c) for i, c in sorted(total.items()) if c != 0), constant)
        case tree.Product((tree.Number(factor), inner)):
            part = as_affine(inner)
            if part is None:
                return None
            return Affine(tuple((i, factor * c) for i, c in part.coefficients), factor * part.constant)
    return None


def separator(node: Node) -> Node | None:
    """The smallest sub-expression s such that the expression depends on the variables through s alone, or None."""
    every = tree.variables(node)
    if len(every) == 1:
        return tree.Variable(min(every))
    best: Node | None = None
    smallest = 10**9
    for part in _parts(node):
        if tree.variables(part) == every and _size(part) < smallest and _depends_only(node, part):
            best, smallest = part, _size(part)
    return best


def _univariate(node: Node, quantity: Node) -> Univariate:
    """node as h(quantity), where an affine quantity with a common irrational factor is freed of it."""
    common = _common_factor(quantity)
    placeholder: Node = tree.Variable(0)
    if common is None:
        return Univariate(_replace(node, quantity, placeholder), plan(quantity), quantity)
    factor, constant, slant = common
    inside = tree.add((tree.multiply((factor, placeholder)), constant))
    return Univariate(_replace(node, quantity, inside), plan(slant), slant)


def _common_factor(quantity: Node) -> tuple[Node, Node, Node] | None:
    """(factor, constant, rational affine form) with quantity = factor * form + constant, for irrational factors."""
    if as_affine(quantity) is not None:
        return None
    terms: tuple[Node, ...] = quantity.terms if isinstance(quantity, tree.Sum) else (quantity,)
    groups: dict[tuple[Node, ...], list[Node]] = {}
    constants: list[Node] = []
    for term in terms:
        if not tree.variables(term):
            constants.append(term)
            continue
        factors: tuple[Node, ...] = term.factors if isinstance(term, tree.Product) else (term,)
        irrational: tuple[Node, ...] = tuple(f for f in factors if not tree.variables(f) and not isinstance(f, tree.Number))
        rest = [f for f in factors if f not in irrational]
        groups.setdefault(irrational, []).append(tree.multiply(rest))
    if len(groups) != 1:
        return None
    [(irrational, rests)] = groups.items()
    form = tree.add(rests)
    if not irrational and not constants:
        return None
    if as_affine(form) is None and not irrational:
        return None
    return (tree.multiply(irrational) if irrational else tree.ONE), tree.add(constants), form


def _sum(terms: tuple[Node, ...]) -> Plan:
    """A sum: affine terms together, functions of the same quantity together."""
    affine: list[Node] = []
    groups: dict[Node, list[Node]] = {}
    others: list[Plan] = []
    for term in terms:
        rewritten = _product_to_sum(term)
        if rewritten is not None:
            part = plan(rewritten)
            others.extend(part.parts if isinstance(part, Sum) else (part,))
        elif as_affine(term) is not None:
            affine.append(term)
        elif (found := separator(term)) is not None and found != term:
            groups.setdefault(found, []).append(term)
        elif not tree.variables(term):
            groups.setdefault(tree.Variable(0), []).append(term)
        else:
            others.append(plan(term))
    parts = [_univariate(tree.add(group), quantity) for quantity, group in groups.items()] + others
    if affine:
        parts.insert(0, plan(tree.add(affine)))
    return parts[0] if len(parts) == 1 else Sum(tuple(parts))


def _product_to_sum(node: Node) -> Node | None:
    """c sin A cos B and the like as c/2 times a sum of sines or cosines of A + B and A - B; None for anything else."""
    if not isinstance(node, tree.Product) or len(tree.variables(node)) < 2:
        return None
    waves = [f for f in node.factors if isinstance(f, tree.Function) and f.name in ("sin", "cos")]
    rest = [f for f in node.factors if f not in waves]
    if len(waves) != 2 or any(tree.variables(f) for f in rest) or separator(node) not in (None, node):
        return None
    if waves[0].name == "cos":
        waves.reverse()
    (first, second), minus = waves, tree.MINUS_ONE
    total = tree.add((first.argument, second.argument))
    gap = tree.add((first.argument, tree.multiply((minus, second.argument))))
    if first.name == second.name == "sin":
        pair = (tree.function("cos", gap), tree.multiply((minus, tree.function("cos", total))))
    elif first.name == second.name:
        pair = (tree.function("cos", gap), tree.function("cos", total))
    else:
        pair = (tree.function("sin", total), tree.function("sin", gap))
    scale = tree.multiply((tree.number(fmpq(1, 2)), *rest))
    return tree.add(tuple(tree.multiply((scale, wave)) for wave in pair))


def _parts(node: Node) -> list[Node]:
    found, pending = [], [node]
    while pending:
        part = pending.pop()
        found.append(part)
        pending.extend(tree.children(part))
    return found


def _size(node: Node) -> int:
    return len(_parts(node))


def _replace(node: Node, old: Node, new: Node) -> Node:
    if node == old:
        return new
    below = tree.children(node)
    return tree.rebuild(node, tuple(_replace(child, old, new) for child in below)) if below else node


def _depends_only(node: Node, part: Node) -> bool:
    if node == part:
        return True
    below = tree.children(node)
    if not below:
        return not isinstance(node, tree.Variable)
    return all(_depends_only(child, part) for child in below)
