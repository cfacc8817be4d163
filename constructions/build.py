"""Which network is the smallest that is certified to approximate a target: the one function `build`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection
from typing import Any

from approx.approximant import Approximant
from approx.certification import Budget, Certificate
from approx.errors import ApproxError, DomainError, InputError, RegularityError, UnreachableError
from approx.numbers import to_float, to_fmpq
from approx.targets import Target
from constructions.catalogue import Construction, catalogue

#: How often a construction whose certified error misses eps by a little is asked again.
_RETRIES = 2

#: Quick constructions with at most so many weights are tried before the searches.
_QUICK = 3000

Progress = Callable[[str, float | None], None]


def build(
    target: Target | str,
    eps: Any,
    method: str = "auto",
    *,
    certify: bool = True,
    rtol: float = 0.01,
    budget: Budget | None = None,
    progress: Progress | None = None,
    activations: Collection[str] = ("relu",),
    **options: Any,
) -> Approximant:
    """The smallest Approximant with certified sup |target - network| <= eps among the constructions that apply.

    With a `method` named, that construction alone, with its own options; without one, those of the catalogue's automatic rows
    that use no other `activations`: ("relu", "sin") lets sums of sines and deep Fourier networks compete. The certificate is
    attached (certify=False leaves it out and relies on the proved bound). Deterministic: the same call gives the same network.
    Ctrl-C ends the search with the smallest network so far.

    Raises InputError (eps, method, activations), DomainError (target undefined somewhere), RegularityError (a named method
    that does not apply), UnreachableError when nothing certified reaches eps; `.best` is then the best certified result.
    """
    f = target if isinstance(target, Target) else Target(target)
    goal = _accuracy(eps)
    if not f.assumptions:
        f.check_defined()
    say = progress or _silent
    if method != "auto":
        row = catalogue()[method]
        _refuse_unfit(row, f)
        _refuse_options(row, options)
        found = _attempt(row, f, goal, certify, rtol, budget, say, options, math.inf)
        assert found is not None
        return _accept(found, goal, certify)
    if options:
        raise InputError("options", sorted(options), "no options without a named method")
    rows = _rows(f, activations)
    return _smallest(rows, f, goal, certify, rtol, budget, say)


def _accuracy(eps: Any) -> float:
    try:
        goal = to_float(to_fmpq(eps))
    except (ApproxError, ValueError, TypeError, OverflowError) as error:
        raise InputError("eps", eps, "a positive finite number") from error
    if not 0 < goal < float("inf"):
        raise InputError("eps", eps, "a positive finite number")
    return goal


def _refuse_unfit(row: Construction, target: Target) -> None:
    reason = row.reason_against(target)
    if reason is not None:
        fits = ", ".join(r.name for r in catalogue() if r.reason_against(target) is None)
        raise RegularityError(f"{reason}; methods that take it: {fits}")


def _refuse_options(row: Construction, options: dict[str, Any]) -> None:
    for name in options:
        if not _takes(row, name):
            known = ", ".join(_options(row)) or "none"
            raise InputError(name, options[name], f"the options of {row.name}: {known}")


def _options(row: Construction) -> list[str]:
    return [n for n, p in inspect.signature(row.builder).parameters.items() if p.kind is p.KEYWORD_ONLY]


def _takes(row: Construction, option: str) -> bool:
    return option in _options(row)


def _rows(f: Target, activations: Collection[str]) -> list[Construction]:
    known = sorted({name for r in catalogue() for name in r.activations})
    if isinstance(activations, str) or not activations or not set(activations) <= set(known):
        raise InputError("activations", activations, "a collection of names among " + ", ".join(known))
    used = set(activations)
    return [r for r in catalogue() if r.automatic and set(r.activations) <= used and r.reason_against(f) is None]


def _smallest(
    rows: list[Construction],
    f: Target,
    goal: float,
    certify: bool,
    rtol: float,
    budget: Budget | None,
    say: Progress,
) -> Approximant:
    best: Approximant | None = None
    closest: Approximant | None = None
    reasons: list[str] = []
    guesses = {r.name: r.estimate(f, goal) if r.estimate else 0 for r in rows}
    # What is built in a second comes first: searches that know how many weights are to be beaten end early.
    order = sorted(rows, key=lambda r: (not (r.quick and guesses[r.name] <= _QUICK), guesses[r.name]))
    for number, row in enumerate(order):
        say(row.name, number / len(rows))
        if best is not None and guesses[row.name] >= best.network.size.weights:
            continue
        try:
            known = {} if best is None or not _takes(row, "fewer_than") else {"fewer_than": best.network.size.weights}
            most = math.inf if best is None else best.network.size.weights
            found = _attempt(row, f, goal, certify, rtol, budget, say, known, most)
            if found is None:
                continue
        except KeyboardInterrupt:
            reasons = ["interrupted"]
            break
        except (RegularityError, UnreachableError, DomainError) as error:
            reasons.append(f"{row.name}: {error}")
            partial: Approximant | None = getattr(error, "best", None)
            if partial is None:
                continue
            found = partial
        if _reaches(found, goal, certify):
            if best is None or found.network.size.weights < best.network.size.weights:
                best = found
            if best.network.size.units == 0 or _exactly(best):
                break
        elif closest is None or _proved(found) < _proved(closest):
            closest = found
    if best is None:
        detail = "; ".join(reasons) if reasons else "the certified errors stay above it"
        raise UnreachableError(f"no construction is certified to reach eps = {goal:g}: {detail}", closest)
    return best


def _attempt(
    row: Construction,
    f: Target,
    goal: float,
    certify: bool,
    rtol: float,
    budget: Budget | None,
    say: Progress,
    options: dict[str, Any],
    most: float,
) -> Approximant | None:
    """The construction's certified network; None, without a certificate, where it has `most` weights or more."""
    built = row.builder(f, goal, **options)
    if built.network.size.weights >= most:
        return None
    found = _certified(built, goal, certify, rtol, budget, say)
    for _ in range(_RETRIES):
        # Constructions that search with observed errors may miss by a little: asked for a little more, they do not.
        if not certify or found.certificate is None or not goal < found.certificate.upper < 2 * goal:
            break
        say(f"{row.name}: again, a little finer", None)
        again = row.builder(f, 0.995 * goal * goal / found.certificate.upper, **options)
        found = _certified(again, goal, certify, rtol, budget, say)
    return found


def _certified(
    found: Approximant, goal: float, certify: bool, rtol: float, budget: Budget | None, say: Progress
) -> Approximant:
    if certify and (found.certificate is None or not _tight(found.certificate, rtol, goal)):
        say(f"{found.method}: certifying", None)
        # An exact network has error 0, which no relative gap describes: far below eps is enough.
        found = found.certified(rtol=rtol, atol=goal * 1e-6, budget=budget)
        if found.certificate is not None and found.certificate.lower <= goal < found.certificate.upper:
            # The enclosure straddles eps: a narrower one decides, if anything does.
            margin = 0.5 * (goal / found.certificate.lower - 1) if found.certificate.lower > 0 else rtol
            found = found.certified(rtol=min(rtol, max(margin, 1e-6)), atol=goal * 1e-6, budget=budget)
    return found


def _tight(certificate: Certificate, rtol: float, goal: float) -> bool:
    return certificate.upper <= max(certificate.lower * (1 + rtol), goal * 1e-6)


def _proved(found: Approximant) -> float:
    return min(found.bound, found.certificate.upper if found.certificate else float("inf"))


def _exactly(found: Approximant) -> bool:
    return found.bound == 0


def _reaches(found: Approximant, goal: float, certify: bool) -> bool:
    if certify:
        return found.certificate is not None and found.certificate.upper <= goal
    return found.bound <= goal


def _accept(found: Approximant, goal: float, certify: bool) -> Approximant:
    if _reaches(found, goal, certify):
        return found
    word = "certified" if certify else "proved"
    raise UnreachableError(f"{found.method} reaches {_proved(found):.6g}, not eps = {goal:g} ({word})", found)


def _silent(stage: str, fraction: float | None) -> None:
    """No progress is shown in library calls."""
