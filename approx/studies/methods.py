"""Which builders may studies call by name? Packages that build networks register what they have; nothing is built here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from approx.approximant import Approximant
from approx.errors import InputError
from approx.targets import Target

Builder = Callable[..., Approximant]


class Promise(NamedTuple):
    """What theory says of a method on a target: error = O(W^-rate) up to logarithms, hidden layers = O(W^depth); `why`."""

    rate: float
    depth: float
    why: str


@dataclass(frozen=True)
class Method:
    """A builder `(target, eps, **options) -> Approximant` with a name, and options that are set already.

    `reason_against(target)` says why it does not take a target (or None); `promise(target, options)` what theory expects.
    """

    name: str
    builder: Builder
    options: Mapping[str, Any] = field(default_factory=dict)
    reason_against: Callable[[Target], str | None] = lambda target: None
    promise: Callable[[Target, Mapping[str, Any]], Promise | None] = lambda target, options: None

    def __call__(self, target: Target, eps: float) -> Approximant:
        """The Approximant of this accuracy."""
        return self.builder(target, eps, **self.options)


Catalogue = Callable[[], Mapping[str, Method]]
_CATALOGUES: list[Catalogue] = []


def register(catalogue: Catalogue) -> Catalogue:
    """Add a catalogue: a function that returns methods by name. `import constructions` registers its own."""
    if catalogue not in _CATALOGUES:
        _CATALOGUES.append(catalogue)
    return catalogue


def chosen_methods(methods: Sequence[str] | Mapping[str, Builder]) -> dict[str, Method]:
    """Return the Methods of names such as "simplicial" or "local-taylor:order=3", or of a mapping from labels to builders.

    Raises InputError for a name or an option that nobody registered, and says so when nothing is registered at all.
    """
    if isinstance(methods, Mapping):
        found = {str(n): b if isinstance(b, Method) else Method(str(n), b) for n, b in methods.items()}
    elif isinstance(methods, str):
        raise InputError("methods", methods, f"a list of names, such as [{methods!r}]")
    else:
        found = {str(text): _named(str(text)) for text in methods}
    if not found:
        raise InputError("methods", methods, "at least one method")
    return found


def _named(text: str) -> Method:
    known: dict[str, Method] = {}
    for catalogue in _CATALOGUES:
        known.update(catalogue())
    name, _, settings = text.partition(":")
    if name not in known:
        accepted = ", ".join(known) if known else "no names before `import constructions`, which registers them"
        raise InputError("method", name, accepted)
    method, options = known[name], {}
    accepts = [n for n, p in inspect.signature(method.builder).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for setting in filter(None, settings.split(",")):
        option, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or option not in accepts:
            raise InputError(
                "method", text, f"{name}:OPTION=VALUE with the options {', '.join(accepts) or '(it has none)'}"
            )
        options[option] = _value(value)
    return Method(text, method.builder, options, method.reason_against, method.promise)


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
