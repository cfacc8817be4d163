"""The errors that this library raises, and nothing else: every message names what was given and what is accepted."""

from __future__ import annotations

from typing import Any


class ApproxError(Exception):
    """Base of every error of this library; the command line prints it as one line and exits with 3."""


class InputError(ApproxError, ValueError):
    """An argument that cannot be used: names the argument, what was given and what would be accepted."""

    def __init__(self, argument: str, given: Any, accepted: str) -> None:
        shown = repr(given)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        self.argument, self.given, self.accepted = argument, given, accepted
        super().__init__(f"{argument}: got {shown}; accepted: {accepted}")


class ExpressionError(ApproxError, ValueError):
    """A target expression that the grammar refuses, with the place where reading stopped.

    >>> from approx.errors import ExpressionError
    >>> print(ExpressionError("unknown name 'foo'", "1+foo(x)", 2).pointer())
    1+foo(x)
      ^
    """

    def __init__(self, reason: str, text: str = "", position: int = 0) -> None:
        self.reason, self.text, self.position = reason, text, position
        where = f" at column {position + 1} of {self._excerpt()[0]!r}" if text else ""
        super().__init__(f"expression: {reason}{where}")

    def _excerpt(self, width: int = 60) -> tuple[str, int]:
        start = max(0, self.position - width // 2)
        return self.text[start : start + width], self.position - start

    def pointer(self) -> str:
        """The expression (an excerpt of it when it is long) with a caret under the place of the error."""
        excerpt, column = self._excerpt()
        return f"{excerpt}\n{' ' * column}^"


class DomainError(ApproxError, ValueError):
    """A target that is not defined on the whole domain (a pole, the logarithm of a negative number), or an unusable domain."""


class RegularityError(ApproxError, ValueError):
    """A construction asked for smoothness that the target does not have (or that nobody declared)."""


class UnreachableError(ApproxError):
    """No construction reached the accuracy within its budget; `.best` is the best certified result found, or None."""

    def __init__(self, message: str, best: Any = None) -> None:
        self.best = best
        super().__init__(message)


class FileFormatError(ApproxError, ValueError):
    """A file that is truncated, altered, hostile or of another version; nothing of it was used."""


class UnsupportedError(ApproxError):
    """An operation that this network or file does not admit, naming the operators or activations concerned."""


class MissingExtraError(ApproxError, ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'approx[{extra}]'")
