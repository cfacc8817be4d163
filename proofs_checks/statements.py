"""How is a numbered statement of a paper registered as a check, run and reported?"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from approx.errors import InputError

KINDS = ("proved", "certified", "observed")


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    kind: how the outcome is known: "proved" (exact arithmetic and an argument that covers every case), "certified" (an
    a-posteriori enclosure), "observed" (sampling, or finitely many parameters of an asymptotic statement).
    """

    ok: bool
    kind: str
    detail: str
    numbers: dict[str, Any] = field(default_factory=dict)
    paper: str = ""
    statement: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("kind", self.kind, "one of " + ", ".join(KINDS))

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "paper": self.paper, "statement": self.statement, "ok": self.ok, "kind": self.kind, "detail": self.detail,
            "numbers": {k: str(v) for k, v in self.numbers.items()}, "seconds": self.seconds,
        }  # fmt: skip


@dataclass(frozen=True)
class Check:
    """A registered check: the statement it stands for and the function that runs it."""

    paper: str
    statement: str
    function: Callable[..., Result]

    def run(self, full: bool = False) -> Result:
        """The Result, with the time it took; an exception is a failed check, reported as such."""
        start = time.perf_counter()
        takes_full = "full" in inspect.signature(self.function).parameters
        found = self.function(full=full) if takes_full else self.function()
        seconds = time.perf_counter() - start
        return replace(found, paper=self.paper, statement=self.statement, seconds=seconds)


_REGISTRY: list[Check] = []


def statement(paper: str, name: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Register the decorated function `check(full=False) -> Result` for the statement `name` of a paper (a short key).

    >>> @statement("P0", "a statement of nobody")
    ... def check() -> Result:
    ...     return Result(True, "proved", "1 = 1")
    >>> unregister("P0")
    """

    def register(function: Callable[..., Result]) -> Callable[..., Result]:
        _REGISTRY.append(Check(paper, name, function))
        return function

    return register


def unregister(paper: str) -> None:
    """Forget the checks of a paper (used by tests that register their own)."""
    _REGISTRY[:] = [c for c in _REGISTRY if c.paper != paper]


def checks(paper: str | None = None) -> list[Check]:
    """All registered checks, or those of one paper; every module `proofs_checks.p*` registers its own on import.

    Raises InputError when the paper has no checks.
    """
    import proofs_checks

    for module in sorted(m.name for m in pkgutil.iter_modules(proofs_checks.__path__)):
        if module.startswith("p") and module[1:2].isdigit():
            importlib.import_module(f"proofs_checks.{module}")
    found = [c for c in _REGISTRY if paper is None or c.paper.lower() == paper.lower()]
    if not found:
        raise InputError("paper", paper, "one of " + ", ".join(sorted({c.paper for c in _REGISTRY})))
    return found


def run(paper: str | None = None, full: bool = False) -> list[Result]:
    """The results of all checks (of one paper); full=True uses larger parameter ranges, minutes instead of seconds."""
    return [check.run(full) for check in checks(paper)]


def report(results: list[Result] | None = None, paper: str | None = None, full: bool = False) -> str:
    """A readable report, one block per statement, and a last line with the totals."""
    found = run(paper, full) if results is None else results
    lines = []
    for r in found:
        lines.append(f"{r.paper}  {r.statement}: {'holds' if r.ok else 'FAILS'} ({r.kind}, {r.seconds:.1f} s)")
        lines.append(f"      {r.detail}")
        if r.numbers:
            lines.append("      " + ", ".join(f"{k} = {_short(v)}" for k, v in r.numbers.items()))
    bad = sum(not r.ok for r in found)
    lines.append(f"{len(found)} statements checked, {len(found) - bad} hold, {bad} fail")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
