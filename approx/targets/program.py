"""How is a tree made ready for fast evaluation? As a flat list of instructions in which equal parts occur once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import fmpq

from approx.targets.tree import (
    MINUS_ONE,
    Constant,
    Function,
    GeneralPower,
    Maximum,
    Minimum,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Variable,
    children,
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One operation on earlier results: `arguments` are their positions, `data` is the exponent, constant or index.

    Operations: number (data: fmpq), constant (data: 'pi' or 'e'), variable (data: index), add, sub, mul, div, neg,
    powi (data: int), powq (data: fmpq, not an integer), pow (two arguments; data: whether the exponent is constant),
    max, min and the names in `tree.FUNCTIONS`.
    """

    operation: str
    arguments: tuple[int, ...]
    data: Any = None


@dataclass(frozen=True)
class Program:
    """The instructions of an expression; the last one is its value, and instruction i only uses results before i."""

    instructions: tuple[Instruction, ...]

    @property
    def is_rational(self) -> bool:
        """Whether every value at a rational point is rational: + - * /, integer powers, abs, relu, max, min."""
        allowed = {"number", "variable", "add", "sub", "mul", "div", "neg", "powi", "max", "min", "abs", "relu"}
        return all(step.operation in allowed for step in self.instructions)

    def part(self, position: int) -> Program:
        """Return the program of the sub-expression at `position`, without instructions it does not need."""
        needed: set[int] = set()
        pending = [position]
        while pending:
            index = pending.pop()
            if index not in needed:
                needed.add(index)
                pending.extend(self.instructions[index].arguments)
        order = sorted(needed)
        new = {old: place for place, old in enumerate(order)}
        steps = (self.instructions[old] for old in order)
        return Program(
            tuple(Instruction(step.operation, tuple(new[i] for i in step.arguments), step.data) for step in steps)
        )

    def with_operation(self, operation: str, first: int, second: int) -> Program:
        """Return the program of `operation(first, second)` on two of the results, e.g. the difference inside a max."""
        top = max(first, second)
        steps = (*self.instructions[: top + 1], Instruction(operation, (first, second)))
        return Program(steps).part(len(steps) - 1)

    def variables(self) -> frozenset[int]:
        """Return the indices of the variables that occur."""
        return frozenset(step.data for step in self.instructions if step.operation == "variable")


def compile_tree(root: Node) -> Program:
    """Return the program of a tree, without recursion; equal sub-expressions are computed once. Linear cost."""
    builder = _Builder()
    pending: list[tuple[Node, bool]] = [(root, False)]
    while pending:
        node, ready = pending.pop()
        if id(node) in builder.places:
            continue
        if ready:
            builder.places[id(node)] = builder.emit_node(node)
        else:
            pending.append((node, True))
            pending.extend((child, False) for child in children(node)[::-1])
    last = builder.places[id(root)]
    program = Program(tuple(builder.steps))
    return program.part(last)


class _Builder:
    def __init__(self) -> None:
        self.steps: list[Instruction] = []
        self.known: dict[tuple[Any, ...], int] = {}
        self.places: dict[int, int] = {}

    def emit(self, operation: str, *arguments: int, data: Any = None) -> int:
        key = (operation, arguments, (int(data.p), int(data.q)) if isinstance(data, fmpq) else data)
        if key not in self.known:
            self.known[key] = len(self.steps)
            self.steps.append(Instruction(operation, arguments, data))
        return self.known[key]

    def emit_node(self, node: Node) -> int:
        at = [self.places[id(child)] for child in children(node)]
        match node:
            case Number(value):
                return self.emit("number", data=value)
            case Constant(name):
                return self.emit("constant", data=name)
            case Variable(index):
                return self.emit("variable", data=index)
            case Sum(terms):
                return self.emit_sum(terms, at)
            case Product(factors):
                return self.emit_product(factors, at)
            case Quotient():
                return self.emit("div", *at)
            case Power(_, exponent):
                if exponent.q == 1:
                    return self.emit("powi", *at, data=int(exponent.p))
                return self.emit("powq", *at, data=exponent)
            case GeneralPower():
                constant = not any(self.steps[i].operation == "variable" for i in self.reach(at[1]))
                return self.emit("pow", *at, data=constant)
            case Function(name, _):
                return self.emit(name, *at)
            case Maximum() | Minimum() if at[0] == at[1]:
                return at[0]  # max(u, u) has no kink
            case Maximum():
                return self.emit("max", *at)
            case Minimum():
                return self.emit("min", *at)
        raise TypeError(f"not an expression node: {type(node).__name__}")

    def reach(self, position: int) -> set[int]:
        found: set[int] = set()
        pending = [position]
        while pending:
            index = pending.pop()
            if index not in found:
                found.add(index)
                pending.extend(self.steps[index].arguments)
        return found

    def emit_sum(self, terms: tuple[Node, ...], at: list[int]) -> int:
        total = -1
        for term, place in zip(terms, at, strict=True):
            if isinstance(term, Product) and term.factors[0] == MINUS_ONE:
                positive = self.positive_part(term)
                total = self.emit("neg", positive) if total < 0 else self.emit("sub", total, positive)
            elif isinstance(term, Number) and term.value < 0 and total >= 0:
                total = self.emit("sub", total, self.emit("number", data=-term.value))
            else:
                total = place if total < 0 else self.emit("add", total, place)
        return total

    def positive_part(self, term: Product) -> int:
        place = -1
        for factor in term.factors[1:]:
            at = self.places[id(factor)]
            place = at if place < 0 else self.emit("mul", place, at)
        return place

    def emit_product(self, factors: tuple[Node, ...], at: list[int]) -> int:
        if factors[0] == MINUS_ONE:
            return self.emit("neg", self.positive_part(Product(factors)))
        place = at[0]
        for other in at[1:]:
            place = self.emit("mul", place, other)
        return place
