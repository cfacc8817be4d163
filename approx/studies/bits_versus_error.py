"""How many bits of weights does each construction spend on an accuracy? Certified errors, exact bits, and the entropy below."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from approx.approximant import Approximant
from approx.certification import Budget
from approx.errors import ApproxError, InputError
from approx.networks.container import write_atomically
from approx.plots import picture_type, style
from approx.studies.entropy import entropy_bits
from approx.targets import Target

Builder = Callable[[Target, float], Approximant]


@dataclass(frozen=True)
class BitsRow:
    """One network: asked for eps; `bound` is proved, `lower` and `upper` are certified, `bits` counts all weights."""

    method: str
    eps: float
    bits: int
    units: int
    bound: float
    lower: float
    upper: float
    seconds: float


@dataclass(frozen=True)
class BitsStudy:
    """The rows of a study; `missing` says why a method gave none; `entropy` and `published` are (eps, bits) to compare with."""

    target: Target
    rows: tuple[BitsRow, ...]
    missing: tuple[tuple[str, float, str], ...]
    entropy: tuple[tuple[float, int], ...]
    published: Mapping[str, Sequence[tuple[float, int]]]

    def method(self, name: str) -> tuple[BitsRow, ...]:
        """The rows of one method, coarse accuracies first."""
        return tuple(sorted((r for r in self.rows if r.method == name), key=lambda r: -r.eps))

    def orders(self) -> dict[str, float]:
        """For every method the slope of log(bits) against log(1/certified error), regressed; NaN below two rows."""
        found = {}
        for name in dict.fromkeys(r.method for r in self.rows):
            rows = self.method(name)
            errors, bits = [-math.log(r.upper) for r in rows], [math.log(r.bits) for r in rows]
            found[name] = float(np.polyfit(errors, bits, 1)[0]) if len(set(errors)) > 1 else math.nan
        return found

    def table(self) -> list[tuple[str, ...]]:
        """The rows as text, a heading first."""
        lines: list[tuple[str, ...]] = [("method", "eps", "bits", "units", "certified sup", "proved", "seconds")]
        for r in self.rows:
            certified = f"{r.lower:.4g} .. {r.upper:.4g}"
            lines.append(
                (r.method, f"{r.eps:.4g}", f"{r.bits:,}", str(r.units), certified, f"{r.bound:.4g}", f"{r.seconds:.1f}")
            )
        return lines

    def plot(self, path: str | Path | None = None, ax: Any = None) -> Any:
        """Draw bits against the certified error, doubly logarithmic, and return the axes; with a path also write the file.

        Raises InputError for a file type that matplotlib does not know, OSError when the path cannot be written.
        """
        kind = picture_type(path) if path is not None else None
        ax = style.axes_or_new(ax)
        colours = (style.ERROR, style.CERTIFIED, style.WITNESS, style.PROVED, style.WANTED, style.TARGET)
        for number, name in enumerate(dict.fromkeys(r.method for r in self.rows)):
            rows = self.method(name)
            colour = colours[number % len(colours)]
            ax.plot(
                [r.upper for r in rows], [r.bits for r in rows], "o-", ms=4, color=colour, label=f"{name} (certified)"
            )
        for name, points in self.published.items():
            ax.plot(*zip(*points, strict=True), "s--", ms=5, color=style.NETWORK, label=name)
        positive = [(e, b) for e, b in self.entropy if b > 0]
        if positive:
            label = "entropy of the Hölder class (lower bound)"
            ax.plot(*zip(*positive, strict=True), ":", color=style.QUIET, label=label)
        ax.set(xscale="log", yscale="log", xlabel="uniform error", ylabel="bits of all weights", title=self.target.text)
        ax.invert_xaxis()
        ax.legend(frameon=False, fontsize=8)
        style.tidy(ax)
        if path is not None:
            buffer = io.BytesIO()
            ax.figure.savefig(buffer, format=kind, dpi=130)
            write_atomically(path, buffer.getvalue())
        return ax


def bits_versus_error(
    target: Target,
    methods: Mapping[str, Builder],
    accuracies: Sequence[float],
    *,
    published: Mapping[str, Sequence[tuple[float, int]]] | None = None,
    most_seconds: float = 60.0,
    budget: Budget | None = None,
    rtol: float = 0.05,
) -> BitsStudy:
    """Return a BitsStudy: every method (a function `(target, eps) -> Approximant`) at every accuracy, certified.

    A method that raises one of this library's errors, or took longer than most_seconds at a coarser accuracy, has no row there
    (`missing` says why). published: (eps, bits) of others, drawn beside. The entropy bound uses the target's Hölder pair.
    Cost: that of building and certifying. Raises InputError on empty or non-positive accuracies.

    >>> from approx import Target
    >>> bits_versus_error(Target("x"), {}, [0.1]).entropy
    ((0.1, 4),)
    """
    wanted = sorted((float(e) for e in accuracies), reverse=True)
    if not wanted or not all(0 < e < math.inf for e in wanted):
        raise InputError("accuracies", accuracies, "positive finite numbers, at least one")
    rows, missing = [], []
    for name, build in methods.items():
        seconds = 0.0
        for eps in wanted:
            if seconds > most_seconds:
                missing.append((name, eps, f"the accuracy before took {seconds:.0f} s"))
                continue
            started = time.perf_counter()
            try:
                rows.append(_row(name, build(target, eps), eps, started, rtol, budget))
            except ApproxError as error:
                missing.append((name, eps, str(error)))
            seconds = time.perf_counter() - started
    alpha, constant = target.hoelder()
    below = tuple((e, entropy_bits(alpha, constant, list(target.domain), e) if constant > 0 else 0) for e in wanted)
    return BitsStudy(target, tuple(rows), tuple(missing), below, dict(published or {}))


def _row(name: str, found: Approximant, eps: float, started: float, rtol: float, budget: Budget | None) -> BitsRow:
    certificate = found.certificate or found.certify(rtol=rtol, budget=budget)
    size = found.network.size
    return BitsRow(
        method=name,
        eps=eps,
        bits=size.bits,
        units=size.units,
        bound=found.bound,
        lower=certificate.lower,
        upper=certificate.upper,
        seconds=time.perf_counter() - started,
    )
