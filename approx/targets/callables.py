"""What is a target that is only a Python callable? Float values, and enclosures that rest on declared regularity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from flint import arb, fmpq

from approx.errors import DomainError, InputError, RegularityError, UnsupportedError
from approx.numbers import to_arb, to_float, working_precision
from approx.targets.domain import Domain, DomainLike, make_domain
from approx.targets.regularity import Regularity
from approx.targets.target import Target

_RELATIVE_ERROR = 2.0**-48
_STENCIL = 0.05


class CallableTarget(Target):
    """A target given by a Python callable: `Target(function, domain=..., regularity=Regularity(...))`.

    The callable takes a float64 array (n,) in one variable, (n, d) in several, and returns n values; callables of one
    point at a time work too (slowly). What is proved from it rests on the declared regularity and is listed in
    `assumptions`.

    >>> f = Target(np.sin, domain=(0, 1), regularity=Regularity(lipschitz=1.0))
    >>> f.lipschitz(), f.assumptions[0]
    (1.0, 'declared: |f(x) - f(y)| <= 1.0 |x - y|_inf on the domain')
    """

    is_rational = False

    def __init__(
        self, expression: Callable[..., Any], domain: DomainLike = None, *, regularity: Regularity | None = None
    ) -> None:
        if regularity is not None and not isinstance(regularity, Regularity):
            raise InputError("regularity", regularity, "a Regularity(...) or None")
        self.function = expression
        self.declared = regularity or Regularity()
        self.regularity = self.declared
        self.domain: Domain = make_domain(domain)
        self.dimension = self.domain.dimension
        self._one_by_one = False
        self._bounds: dict[Any, float] = {}
        error = self.declared.evaluation_error
        sentences = list(self.declared.sentences())
        if error is None:
            sentences.append("assumed: the callable's float64 results are within a relative 2^-48 of f")
        self.assumptions = tuple(sentences)
        for alpha in self.declared.derivative_bounds:
            if len(alpha) != self.dimension:
                raise InputError("Regularity.derivative_bounds", alpha, f"multi-indices of length {self.dimension}")

    @property
    def text(self) -> str:
        """A name for the callable (there is no expression)."""
        return f"<callable {getattr(self.function, '__name__', type(self.function).__name__)}>"

    # -- values -----------------------------------------------------------------------------------------------------

    def __call__(self, points: Any) -> Any:
        """Return the callable's float64 values, in the shapes of `Target.__call__`."""
        array = np.asarray(points, dtype=np.float64)
        flat = array.ndim == 0 or (array.ndim == 1 and self.dimension > 1)
        rows = array.reshape(-1) if self.dimension == 1 else np.atleast_2d(array)
        if self.dimension > 1 and rows.shape[-1] != self.dimension:
            raise InputError("points", array.shape, f"an array whose last axis has length {self.dimension}")
        values = self._values(rows)
        return float(values[0]) if flat else values.reshape(array.shape if self.dimension == 1 else array.shape[:-1])

    def _values(self, rows: np.ndarray) -> np.ndarray:
        if not self._one_by_one:
            try:
                values = np.asarray(self.function(rows), dtype=np.float64)
                if values.shape == (len(rows),):
                    return values
            except (TypeError, ValueError, IndexError):
                pass
            self._one_by_one = True
        one = self.function
        return np.array([float(one(float(row) if self.dimension == 1 else row)) for row in rows])

    def exact(self, point: Any) -> fmpq | None:
        """Return None: exact values of a callable are not known."""
        return None

    def ball(self, point: Any) -> arb:
        """Return a ball that contains f on the box, if the declarations hold; not finite without continuity."""
        coordinates = [to_arb(value) for value in self._coordinates(point)]
        if not all(value.is_finite() for value in coordinates):
            return arb("nan")
        ends = self._ends()
        centre = np.array([min(max(to_float(v.mid()), a), b) for v, (a, b) in zip(coordinates, ends, strict=True)])
        distance = arb(0)
        for value, middle in zip(coordinates, centre, strict=True):
            distance = distance.max(abs(value - float(middle)))
        value = self._value_ball(centre)
        return value if distance.is_zero() else value + arb(0, 1) * self._variation(distance)

    def _ends(self) -> list[tuple[float, float]]:
        return [(float(low), float(high)) for low, high in self.domain.floats_inside()]

    def _value_ball(self, centre: np.ndarray) -> arb:
        found = float(self(centre[0] if self.dimension == 1 else centre))
        if not math.isfinite(found):
            return arb("nan")
        error = self.declared.evaluation_error
        return arb(found, _RELATIVE_ERROR * abs(found) if error is None else error)

    def _variation(self, distance: arb) -> arb:
        """A bound of |f(x) - f(y)| for |x - y|_inf within the ball `distance`, from the declarations."""
        bounds = []
        lipschitz = self.lipschitz()
        if math.isfinite(lipschitz):
            bounds.append(arb(lipschitz) * distance.upper())
        if self.declared.hoelder is not None:
            alpha, constant = self.declared.hoelder
            bounds.append(arb(constant) * (distance.upper().log() * arb(alpha)).exp())
        best = arb("nan")
        for bound in bounds:
            best = bound if best.is_nan() or bound < best else best
        return best

    # -- derivatives ------------------------------------------------------------------------------------------------

    def check_defined(self) -> None:
        """Return None: a callable is taken to be defined on its domain."""

    def series(self, point: Any, order: int, scale: float = 1) -> list[arb]:
        """Return balls of the Taylor coefficients: the value, and [-B_k, B_k]/k! from declared derivative bounds."""
        if self.dimension != 1:
            raise InputError("series", f"dimension {self.dimension}", "a target of one variable (use jet)")
        jet = self.jet([point], order)
        return [jet[(k,)] * arb(scale) ** k if k else jet[(0,)] for k in range(order + 1)]

    def jet(self, point: Any, order: int) -> dict[tuple[int, ...], arb]:
        """Return balls of the Taylor coefficients from the value and the declared derivative bounds."""
        result = {}
        for alpha in product(range(order + 1), repeat=self.dimension):
            if sum(alpha) > order:
                continue
            bound = self.derivative_bound(alpha) if any(alpha) else 0.0
            factorial = math.prod(math.factorial(k) for k in alpha)
            if not any(alpha):
                result[alpha] = self.ball(point)
            elif math.isfinite(bound):
                result[alpha] = arb(0, 1) * (arb(bound) / factorial)
            else:
                result[alpha] = arb("nan")
        return result

    def jet_float(self, points: Any, order: int) -> dict[tuple[int, ...], np.ndarray]:
        """Return Taylor coefficients guessed from values on Chebyshev stencils around each point; not rigorous."""
        array = np.asarray(points, dtype=np.float64)
        array = array[:, None] if self.dimension == 1 and array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise InputError("points", array.shape, f"an array of shape (n, {self.dimension})")
        result: dict[tuple[int, ...], np.ndarray] = {}
        indices = [a for a in product(range(order + 1), repeat=self.dimension) if sum(a) <= order]
        for alpha in indices:
            result[alpha] = np.empty(len(array))
        for row, point in enumerate(array):
            tensor = self._local_polynomial(point, order)
            for alpha in indices:
                result[alpha][row] = tensor[alpha]
        return result

    def _local_polynomial(self, point: np.ndarray, order: int) -> np.ndarray:
        size = order + 3
        axes, inverses = [], []
        for value, (low, high) in zip(point, self._ends(), strict=True):
            radius = _STENCIL * (high - low)
            middle = min(max(value, low + radius), high - radius)
            nodes = middle + radius * np.cos(np.pi * (np.arange(size) + 0.5) / size)
            axes.append(nodes)
            matrix = np.vander((nodes - value) / radius, size, increasing=True)
            inverses.append(np.linalg.inv(matrix) / radius ** np.arange(size)[:, None])
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.dimension)
        values = self._values(grid[:, 0] if self.dimension == 1 else grid).reshape((size,) * self.dimension)
        for axis, inverse in enumerate(inverses):
            values = np.moveaxis(np.tensordot(inverse, values, axes=(1, axis)), 0, axis)
        return values

    def slopes_and_norm(self, point: Any) -> tuple[list[arb], arb]:
        """Return balls of the slopes and of their l1 norm, from the declarations."""
        slopes = []
        for axis in range(self.dimension):
            unit = tuple(int(i == axis) for i in range(self.dimension))
            bound = self.derivative_bound(unit)
            slopes.append(arb(0, 1) * arb(bound) if math.isfinite(bound) else arb("nan"))
        lipschitz = self.lipschitz()
        return slopes, arb(lipschitz) if math.isfinite(lipschitz) else arb("nan")

    def split_points(self) -> list[arb]:
        """Return an empty list: no kinks of a callable are known."""
        return []

    def derivative_bound(self, alpha: int | Sequence[int], box: Any = None, rtol: float = 0.05) -> float:
        """Return the declared bound of |D^alpha f| (the Lipschitz constant serves for |alpha| = 1), else math.inf."""
        orders = (alpha,) if isinstance(alpha, int) else tuple(alpha)
        if len(orders) != self.dimension or any(not isinstance(k, int) or k < 0 for k in orders):
            raise InputError("alpha", alpha, f"{self.dimension} integers >= 0")
        declared = self.declared.derivative_bounds
        if orders in declared:
            return declared[orders]
        if sum(orders) == 1 and self.declared.lipschitz is not None:
            return self.declared.lipschitz
        return math.inf

    def lipschitz(self, rtol: float = 0.05) -> float:
        """Return the declared Lipschitz constant, or the sum of the declared first derivative bounds, or math.inf."""
        if self.declared.lipschitz is not None:
            return self.declared.lipschitz
        units = [tuple(int(i == axis) for i in range(self.dimension)) for axis in range(self.dimension)]
        declared = self.declared.derivative_bounds
        if not all(unit in declared for unit in units):
            return math.inf
        return sum(declared[unit] for unit in units) * (1 + 2.0**-40)

    def hoelder(self) -> tuple[float, float]:
        """Return the declared (alpha, C), or (1, L); raises RegularityError when neither was declared."""
        if math.isfinite(self.lipschitz()):
            return 1.0, self.lipschitz()
        if self.declared.hoelder is None:
            raise RegularityError(
                f"target {self.text}: no continuity was declared; give regularity=Regularity(lipschitz=...) or hoelder=..."
            )
        return self.declared.hoelder

    def modulus(self, h: float) -> float:
        """Return C h^alpha from the declared continuity."""
        if not (math.isfinite(h) and h >= 0):
            raise InputError("h", h, "a finite number >= 0")
        alpha, constant = self.hoelder()
        return constant * h**alpha * (1 + 2.0**-40)

    def ellipse(self) -> tuple[float, float] | None:
        """Return None: nothing is known about a callable in the complex plane."""
        return None

    # -- other forms ------------------------------------------------------------------------------------------------

    def on(self, domain: DomainLike) -> CallableTarget:
        """Return the same function on a smaller domain, where its declarations still hold."""
        part = make_domain(domain, self.dimension)
        if not (self.domain.contains(part.lower) and self.domain.contains(part.upper)):
            raise DomainError(f"domain: got {part}; accepted: a part of {self.domain}, where the callable is declared")
        return CallableTarget(self.function, part, regularity=self.declared)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.function, self.domain, self.declared)

    def on_unit_box(self) -> CallableTarget:
        """Return g(t) = f(lower + (upper - lower) t) on [0, 1]^d with the regularity scaled along.

        The float64 rounding of the affine map adds to the evaluation error; an assumption says so when no continuity
        was declared.
        """
        bounds = self.domain.floats()
        low, width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        old = self.declared
        side = float(width.max()) * (1 + 2.0**-50)
        scaled = {
            alpha: bound * math.prod(float(w) ** k for w, k in zip(width, alpha, strict=True)) * (1 + 2.0**-40)
            for alpha, bound in old.derivative_bounds.items()
        }
        shift = 2.0**-51 * float(np.abs(bounds).max())
        error = old.evaluation_error
        if error is not None:
            with working_precision(64):
                moved = self._variation(arb(shift))
            error = error + float(moved.abs_upper()) * (1 + 2.0**-40) if moved.is_finite() else error
        regularity = Regularity(
            lipschitz=None if old.lipschitz is None else old.lipschitz * side,
            hoelder=None if old.hoelder is None else (old.hoelder[0], old.hoelder[1] * side ** old.hoelder[0]),
            derivative_bounds=scaled,
            smooth=old.smooth,
            evaluation_error=error,
        )

        def pulled_back(points: np.ndarray) -> np.ndarray:
            rows = np.asarray(points, dtype=np.float64)
            return np.asarray(self(low[0] + width[0] * rows if self.dimension == 1 else low + width * rows))

        return CallableTarget(pulled_back, [(0, 1)] * self.dimension, regularity=regularity)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; it records the name and the assumptions, not the code."""
        return {
            "kind": "callable",
            "name": self.text,
            "domain": self.domain.to_list(),
            "assumptions": list(self.assumptions),
        }

    def latex(self) -> str:
        """Return LaTeX code that names the callable."""
        return r"\text{" + self.text.strip("<>").replace("_", r"\_") + "}"

    def part(self, position: int) -> Target:
        """Raise UnsupportedError: a callable has no parts."""
        raise UnsupportedError(f"target {self.text}: a callable has no sub-expressions")


def _rebuilt(function: Callable[..., Any], domain: Domain, regularity: Regularity) -> CallableTarget:
    return CallableTarget(function, domain, regularity=regularity)


def refuse_stored_callable(data: Mapping[str, Any]) -> None:
    """Raise UnsupportedError for the description of a callable: its code is not stored in files."""
    if isinstance(data, Mapping) and data.get("kind") == "callable":
        raise UnsupportedError(
            f"target {data.get('name', '?')}: the code of a callable is not stored; build the Target again from it"
        )
