"""Which constructions exist: every one declares itself here once, with what it needs, what it promises and its paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from approx.approximant import Approximant
from approx.errors import InputError
from approx.studies.methods import Method, register
from approx.targets import Target
from constructions import periodic, relu, superexpressive
from constructions.promises import promise


@dataclass(frozen=True)
class Construction:
    """One row: a builder `(target, eps, **options) -> Approximant` and its declaration.

    `automatic` says whether `constructions.build` considers it when no method is named; `dimensions` are the numbers of
    variables that it takes; `estimate(target, eps)`, where there is one, is a cheap guess of the weights from below, so
    that networks which cannot win need not be built; `quick` says that it is about right, and that small ones take a second.
    """

    name: str
    builder: Callable[..., Approximant]
    activations: tuple[str, ...]
    dimensions: tuple[int, ...]
    needs: str
    guarantee: str
    rate: str
    paper: tuple[str, ...]
    automatic: bool = True
    estimate: Callable[[Target, float], int] | None = None
    quick: bool = False

    def reason_against(self, target: Target) -> str | None:
        """Why this construction does not take the target, or None."""
        if target.dimension not in self.dimensions:
            return f"{self.name} takes {_numbers(self.dimensions)} variables, the target has {target.dimension}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """The declaration as plain data."""
        return {
            "name": self.name,
            "activations": list(self.activations),
            "dimensions": list(self.dimensions),
            "needs": self.needs,
            "guarantee": self.guarantee,
            "rate": self.rate,
            "paper": list(self.paper),
            "automatic": self.automatic,
        }


class Catalogue:
    """The constructions in order; iterable, indexable by name, and a readable table as text."""

    def __init__(self, rows: tuple[Construction, ...]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Construction]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Construction:
        for row in self._rows:
            if row.name == name:
                return row
        raise InputError("method", name, "auto, " + ", ".join(r.name for r in self._rows))

    def to_dict(self) -> list[dict[str, Any]]:
        """All declarations as plain data."""
        return [row.to_dict() for row in self._rows]

    def __str__(self) -> str:
        lines = []
        for row in self._rows:
            lines += [
                f"{row.name}  ({', '.join(row.activations)}; {_numbers(row.dimensions)} variables; {', '.join(row.paper)})",
                f"    needs:     {row.needs}",
                f"    guarantee: {row.guarantee}",
                f"    rate:      {row.rate}",
            ]
        return "\n".join(lines)

    __repr__ = __str__


def _numbers(dimensions: tuple[int, ...]) -> str:
    return str(dimensions[0]) if len(dimensions) == 1 else f"{dimensions[0]} to {dimensions[-1]}"


def _row(
    builder: Callable[..., Approximant], dimensions: tuple[int, ...], description: dict[str, Any], **more: Any
) -> Construction:
    return Construction(
        name=description["name"],
        builder=builder,
        activations=description["activations"],
        dimensions=dimensions,
        needs=description["needs"],
        guarantee=description["guarantee"],
        rate=description["rate"],
        paper=description["references"],
        **more,
    )


def catalogue() -> Catalogue:
    """The table of constructions; also `approx methods`.

    >>> catalogue()["simplicial"].activations
    ('relu',)
    """
    families = (*relu.ROWS, *periodic.ROWS, *superexpressive.ROWS)
    return Catalogue(
        tuple(_row(builder, dimensions, description, **more) for builder, dimensions, description, more in families)
    )


@register
def methods() -> dict[str, Method]:
    """The constructions by name as the studies of `approx.studies` call them."""
    return {
        row.name: Method(row.name, row.builder, reason_against=row.reason_against, promise=partial(promise, row.name))
        for row in catalogue()
    }
