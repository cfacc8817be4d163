"""What is to be approximated? A function on a box, with every question that a construction asks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.errors import DomainError, ExpressionError, InputError
from approx.numbers import rational_from_text, to_arb, to_fmpq
from approx.targets import tree
from approx.targets.balls import ball_value
from approx.targets.bounds import derivative_bound, gradient_bound
from approx.targets.continuity import hoelder_of, modulus_of
from approx.targets.definedness import check_program
from approx.targets.domain import Domain, DomainLike, make_domain
from approx.targets.ellipse import analytic_ellipse
from approx.targets.exact import exact_value
from approx.targets.floats import float_value
from approx.targets.jet_arithmetic import ball_jet, float_jet
from approx.targets.kinks import find_split_points
from approx.targets.packed_jets import is_short, packed_jet
from approx.targets.parser import parse
from approx.targets.printing import to_latex, to_text
from approx.targets.program import Program, compile_tree
from approx.targets.regularity import Regularity
from approx.targets.series import SeriesProgram
from approx.targets.slopes import slopes_and_norm
from approx.targets.sympy_bridge import from_sympy, is_sympy
from approx.targets.tree import Node

MAXIMUM_DIMENSION = 64


class Target:
    """A real function on a box: `Target("sin(2*pi*x)", domain=(0, 1))`.

    Attributes: `dimension`, `domain`, `text` (canonical expression), `assumptions` (sentences that results depend on,
    empty for expressions), `is_rational`, `tree`, `program`.

    Raises ExpressionError for text that the grammar refuses, DomainError for unusable domains.

    >>> f = Target("x**2 - 1/3", domain=(0, 2))
    >>> f(np.array([0.0, 1.0])).tolist(), f.exact([fmpq(1, 2)])
    ([-0.3333333333333333, 0.6666666666666667], -1/12)
    """

    def __new__(cls, expression: Any = None, *_: Any, **__: Any) -> Target:
        """Make a CallableTarget for callables, a Target for expressions."""
        if cls is Target and callable(expression) and not is_sympy(expression):
            from approx.targets.callables import CallableTarget

            return object.__new__(CallableTarget)
        return object.__new__(cls)

    def __init__(
        self,
        expression: str | Node | Callable[..., Any] | Any,
        domain: DomainLike = None,
        *,
        regularity: Regularity | None = None,
    ) -> None:
        if regularity is not None:
            raise InputError("regularity", regularity, "None for an expression (its regularity is computed)")
        self.tree: Node = _to_tree(expression)
        used = tree.variables(self.tree)
        needed = max(used) + 1 if used else 1
        self.domain: Domain = make_domain(domain, None if domain is not None else needed)
        self.dimension: int = self.domain.dimension
        if needed > self.dimension:
            names = ", ".join(tree_names(self.dimension))
            raise ExpressionError(
                f"variable number {needed} is used, but the domain has dimension {self.dimension}: only {names}"
            )
        self.assumptions: tuple[str, ...] = ()
        self._bounds: dict[Any, float] = {}
        self.regularity: Regularity | None = None

    # -- what it is -------------------------------------------------------------------------------------------------

    @cached_property
    def program(self) -> Program:
        """The flat list of instructions that every evaluation runs."""
        return compile_tree(self.tree)

    @cached_property
    def _series(self) -> SeriesProgram:
        return SeriesProgram(self.program)

    @property
    def text(self) -> str:
        """The canonical expression, which parses back to the same tree."""
        return to_text(self.tree, self.dimension)

    @property
    def is_rational(self) -> bool:
        """Whether values at rational points are rational: + - * /, integer powers, abs, relu, max, min."""
        return self.program.is_rational

    # -- values -----------------------------------------------------------------------------------------------------

    def __call__(self, points: Any) -> Any:
        """Return float64 values: a scalar or (n,) in one variable, a point (d,) or points (n, d) in several."""
        array = np.asarray(points, dtype=np.float64)
        if self.dimension == 1 and not (array.ndim == 2 and array.shape[1] == 1):
            columns = [array]
        else:
            if array.ndim == 0 or array.shape[-1] != self.dimension:
                raise InputError("points", array.shape, f"an array whose last axis has length {self.dimension}")
            columns = [np.ascontiguousarray(array[..., i]) for i in range(self.dimension)]
        values = float_value(self.program, columns)
        return float(values) if values.ndim == 0 else values

    def exact(self, point: Any) -> fmpq | None:
        """Return the exact rational value at an exact point, or None where it is irrational or undefined."""
        return exact_value(self.program, [to_fmpq(value) for value in self._coordinates(point)])

    def ball(self, point: Any) -> arb:
        """Return a ball that contains f(x) for every x of the domain in the box of balls, at the working precision.

        Natural inclusion: sound, and sharp as the box shrinks. Where f has a pole, or cannot be shown to be defined,
        the ball is not finite; nothing is raised.
        """
        return ball_value(self.program, [to_arb(value) for value in self._coordinates(point)], self._is_defined)

    def series(self, point: Any, order: int, scale: float = 1) -> list[arb]:
        """Return balls c_0..c_order, c_k containing f^(k)(xi)/k! for every xi in the ball `point` (one variable).

        At a kink, pole or branch point inside the ball, c_1... are NaN and c_0 is the natural enclosure. Where a kink
        is at the end of the ball, derivatives are those from inside. With `scale` the coefficients are those of
        f(xi + scale * t) in t. Cost: about 2-6 us at low orders.
        """
        if self.dimension != 1:
            raise InputError("series", f"dimension {self.dimension}", "a target of one variable (use jet)")
        return self._series.run(to_arb(point), order, self._is_defined, scale)

    @cached_property
    def _is_defined(self) -> bool:
        """Whether f was shown to be defined on the whole domain."""
        try:
            self.check_defined()
        except DomainError:
            return False
        return True

    def check_defined(self) -> None:
        """Return None when f is proved to be defined on the whole domain; else raise DomainError with the place.

        Poles, logarithms of numbers <= 0, roots of negative numbers and arcsin beyond [-1, 1] are excluded by the
        signs of the parts, by monotonicity and by subdivision. Cost: microseconds to milliseconds.

        >>> Target("1/(x - 1/2)").check_defined()
        Traceback (most recent call last):
        approx.errors.DomainError: target 1/(x - 1/2) on [0, 1]: division by zero occurs at or very near 0.5;
        accepted: ...
        """
        check_program(self.program, self.domain, self.text)

    # -- derivatives ------------------------------------------------------------------------------------------------

    def jet(self, point: Any, order: int) -> dict[tuple[int, ...], arb]:
        """Return balls for the Taylor coefficients D^a f(xi)/a!, |a| <= order, valid for every xi in the box of balls.

        Not finite at kinks, poles and branch points inside the box. Cost: about 80 us for order 2 in two variables.
        """
        coordinates = [to_arb(value) for value in self._coordinates(point)]
        if self.dimension == 1:
            return {(k,): ball for k, ball in enumerate(self.series(coordinates[0], order))}
        if is_short(self.dimension, order):
            return packed_jet(self._series, coordinates, order, self._is_defined)
        return ball_jet(self.program, coordinates, order, self._is_defined)

    def jet_float(self, points: Any, order: int) -> dict[tuple[int, ...], np.ndarray]:
        """Return float64 Taylor coefficients D^a f(x)/a!, |a| <= order, at the rows of `points` (n, d).

        A guess, not rigorous. In one variable (n,) is accepted too.
        """
        array = np.asarray(points, dtype=np.float64)
        if self.dimension == 1 and array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise InputError("points", array.shape, f"an array of shape (n, {self.dimension})")
        return float_jet(self.program, array, order)

    def slope_ball(self, point: Any) -> Any:
        """Return a ball (one variable) or a list of balls that contain all generalised slopes over the box.

        At a kink this is the hull of the slopes around, e.g. [-1, 1] for abs at 0; not finite where f is not
        Lipschitz.
        """
        slopes, _ = self.slopes_and_norm(point)
        return slopes[0] if self.dimension == 1 else slopes

    def slopes_and_norm(self, point: Any) -> tuple[list[arb], arb]:
        """Return the list of slope balls over the box, and a ball whose upper end bounds the sum of their |values|."""
        coordinates = [to_arb(value) for value in self._coordinates(point)]
        _, slopes, norm = slopes_and_norm(self.program, coordinates, self._is_defined)
        return slopes, norm

    def split_points(self) -> list[arb]:
        """Return balls that contain every place of the domain where f may not be smooth, rising (one variable)."""
        if self.dimension != 1:
            raise InputError("split_points", f"dimension {self.dimension}", "a target of one variable")
        return list(self._split_points)

    @cached_property
    def _split_points(self) -> tuple[arb, ...]:
        return tuple(find_split_points(self.program, self.domain))

    def derivative_bound(self, alpha: int | Sequence[int], box: Any = None, rtol: float = 0.05) -> float:
        """Return a proved upper bound of sup |D^alpha f| over the domain (or a box), math.inf where none is found.

        alpha is an order (one variable) or a multi-index. The bound exceeds the supremum by at most the relative
        `rtol` unless the budget of 4000 boxes ends first. For |alpha| = 1 kinks are admitted (the derivative almost
        everywhere).

        >>> 1.0 <= Target("sin(x)", (0, 3)).derivative_bound(3) <= 1.05
        True
        """
        orders = (alpha,) if isinstance(alpha, int) else tuple(alpha)
        if len(orders) != self.dimension or any(not isinstance(k, int) or k < 0 for k in orders):
            raise InputError("alpha", alpha, f"{self.dimension} integers >= 0")
        region = self.domain if box is None else make_domain(box, self.dimension)
        key = (orders, str(region), rtol)
        if key not in self._bounds:
            inside = self.domain.contains(region.lower) and self.domain.contains(region.upper)
            self._bounds[key] = derivative_bound(self if inside else self.on(region), orders, region, rtol)
        return self._bounds[key]

    def lipschitz(self, rtol: float = 0.05) -> float:
        """Return a proved L with |f(x) - f(y)| <= L |x - y|_inf on the domain, math.inf where none is found.

        L is the supremum of the l1 norm of the gradient, up to the relative `rtol` where the budget allows.

        >>> round(Target("abs(x - 1/3)").lipschitz(), 6)
        1.0
        """
        key = ("lipschitz", rtol)
        if key not in self._bounds:
            self._bounds[key] = gradient_bound(self, self.domain, rtol)
        return self._bounds[key]

    def hoelder(self) -> tuple[float, float]:
        """Return (alpha, C) with |f(x) - f(y)| <= C |x - y|_inf^alpha; alpha is 1 where f is Lipschitz.

        Raises RegularityError when no such pair is found.

        >>> Target("sqrt(x)").hoelder()
        (0.5, 1.0)
        """
        return self._hoelder

    @cached_property
    def _hoelder(self) -> tuple[float, float]:
        return hoelder_of(self)

    def modulus(self, h: float) -> float:
        """Return a proved modulus of continuity: |f(x) - f(y)| <= modulus(h) whenever |x - y|_inf <= h."""
        if not (math.isfinite(h) and h >= 0):
            raise InputError("h", h, "a finite number >= 0")
        return modulus_of(self, float(h))

    def ellipse(self) -> tuple[float, float] | None:
        """Return (rho, M): f is analytic and |f| <= M in the Bernstein ellipse of parameter rho around the domain.

        Proved with complex balls; rho is the largest found, at most 20. None when f is not shown to be analytic (a
        kink, a branch point or pole too near). Then the best polynomial of degree n is within 2 M rho^-n / (rho - 1).
        One variable only.
        """
        if self.dimension != 1:
            raise InputError("ellipse", f"dimension {self.dimension}", "a target of one variable")
        return self._ellipse

    @cached_property
    def _ellipse(self) -> tuple[float, float] | None:
        return analytic_ellipse(self) if self._is_defined else None

    # -- other forms ------------------------------------------------------------------------------------------------

    def on(self, domain: DomainLike) -> Target:
        """Return the same function on another domain of the same dimension."""
        return Target(self.tree, make_domain(domain, self.dimension))

    def __reduce__(self) -> tuple[Any, ...]:
        return Target, (self.tree, self.domain)

    def on_unit_box(self) -> Target:
        """Return g on [0, 1]^d with g(t) = f(lower + (upper - lower) t): an exact substitution in the tree."""
        replacements = {}
        for index, (low, high) in enumerate(self.domain):
            scaled = tree.multiply((tree.number(high - low), tree.Variable(index)))
            replacements[index] = tree.add((tree.number(low), scaled))
        return Target(tree.substitute(self.tree, replacements), [(0, 1)] * self.dimension)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description without code; `Target.from_dict` reads it back."""
        return {"kind": "expression", "expression": self.text, "domain": self.domain.to_list()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Target:
        """Return the target described by `to_dict`; raises a typed error on anything else."""
        from approx.targets.callables import refuse_stored_callable

        refuse_stored_callable(data)
        if not isinstance(data, Mapping) or data.get("kind") != "expression" or "expression" not in data:
            raise InputError("target description", data, "the dictionary that Target.to_dict returned")
        try:
            pairs = [(rational_from_text(low), rational_from_text(high)) for low, high in data["domain"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("target description", data.get("domain"), "a list of pairs of rationals as text") from error
        return cls(parse(data["expression"], canonical=True), pairs)

    def latex(self) -> str:
        """Return LaTeX code of the expression."""
        return to_latex(self.tree, self.dimension)

    def __repr__(self) -> str:
        return f"Target({self.text!r}, domain={self.domain})"

    def _repr_html_(self) -> str:
        return f"$f = {self.latex()}$ on {self.domain}"

    def part(self, position: int) -> Target:
        """Return the sub-expression at a position of the program, as a target on the same domain."""
        if position == len(self.program.instructions) - 1:
            return self
        part = Target(self.tree, self.domain)
        part.__dict__["program"] = self.program.part(position)
        return part

    def _coordinates(self, point: Any) -> Sequence[Any]:
        if isinstance(point, (list, tuple, np.ndarray)) and np.ndim(point) > 0:
            coordinates = list(point)
        else:
            coordinates = [point]
        if len(coordinates) != self.dimension:
            raise InputError("point", f"{len(coordinates)} coordinates", f"{self.dimension} coordinates")
        return coordinates


def tree_names(dimension: int) -> list[str]:
    """Return the names of the variables in this dimension."""
    return [to_text(tree.Variable(index), dimension) for index in range(dimension)]


def _to_tree(expression: Any) -> Node:
    if isinstance(expression, str):
        return parse(expression)
    if isinstance(expression, Node):
        return expression
    if is_sympy(expression):
        return from_sympy(expression)
    raise InputError("expression", expression, "text, an expression tree, a sympy expression, or a callable")
