"""How fast does the proved error fall with the number of weights? Several methods, fitted, beside theory and lower bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from approx.approximant import Approximant
from approx.certification import Budget
from approx.cli_errors import Interruptions
from approx.errors import ApproxError, InputError
from approx.studies.curvature import CurvatureProfile, curvature_profile
from approx.studies.lower_bounds import lower_bounds
from approx.studies.methods import Builder, Method, chosen_methods
from approx.studies.rates_table import RatesRow, RatesStudy
from approx.studies.sizing import Sizer
from approx.studies.smoothness import SmoothnessClass, class_of
from approx.targets import Target

Progress = Callable[[str, float | None], None]
#: Of one certification, unless a budget is given.
SECONDS = 20.0
_MOST_WEIGHTS = 10**8


def rates(
    target: Target | str,
    methods: Sequence[str] | Mapping[str, Builder],
    weights: Sequence[float],
    *,
    order: float | None = None,
    rtol: float = 0.05,
    budget: Budget | None = None,
    most_seconds: float = 300.0,
    progress: Progress | None = None,
) -> RatesStudy:
    """Return a RatesStudy: for every method the certified errors of networks of about these numbers of weights.

    `methods` are names of the catalogue, with options as in "local-taylor:order=3" (after `import constructions`), or a
    mapping from labels to builders `(target, eps) -> Approximant`. A method is asked for the largest network of at most W
    weights, see `approx.studies.sizing`; fits use the exact W that came out. Every row is certified (Budget of 20 s unless
    given); only errors enclosed within `rtol` enter the fit. `order` is the smoothness whose class bounds from below, see
    `class_of`; a method that is better than the bounds for its class uses more smoothness than that.
    Cost: up to 12 builds and one certification per row; a method that used most_seconds gets no further row (`missing`).
    Ctrl-C ends the study with the rows so far (`interrupted`). Raises InputError (methods, weights, order).

    >>> from approx.networks import affine
    >>> chord = Approximant(affine([[1]], [0]), Target("x**2"), 1, "chord", "x misses x**2 by 1/4")
    >>> study = rates("x**2", {"chord": lambda f, eps: chord}, [10])
    >>> study.rows[0].upper, study.rows[0].weights, study.exponents["chord"].points
    (0.25, 1, 1)
    """
    f = target if isinstance(target, Target) else Target(target)
    if not f.assumptions:
        f.check_defined()
    wanted = _weights(weights)
    chosen = chosen_methods(methods)
    smoothness, profile, notes = _classes(f, order)
    say = progress or _silent
    rows: list[RatesRow] = []
    missing: list[tuple[str, int, str]] = []
    interrupted = False
    with Interruptions() as interruptions:
        try:
            for number, method in enumerate(chosen.values()):
                study = _Run(f, method, smoothness, profile, rtol, budget or Budget(seconds=SECONDS), most_seconds)
                for step, w in enumerate(wanted):
                    say(f"{method.name}: {w:,} weights", (number + step / len(wanted)) / len(chosen))
                    study.add(w, rows, missing)
                    if interruptions.happened:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            interrupted, notes = True, (*notes, "interrupted: the rows so far")
    promises = {name: m.promise(f, m.options) for name, m in chosen.items() if m.reason_against(f) is None}
    return RatesStudy(
        target=f,
        rows=tuple(rows),
        missing=tuple(missing),
        promises={n: p for n, p in promises.items() if p is not None},
        smoothness=smoothness,
        rtol=rtol,
        notes=notes,
        interrupted=interrupted,
    )


class _Run:
    """One method along the weights that are wanted."""

    def __init__(
        self, target: Target, method: Method, smoothness: SmoothnessClass | None, profile: CurvatureProfile | None,
        rtol: float, budget: Budget, most_seconds: float,
    ) -> None:  # fmt: skip
        self.target, self.method, self.smoothness, self.profile = target, method, smoothness, profile
        self.rtol, self.budget, self.most_seconds = rtol, budget, most_seconds
        self.sizer = Sizer(method, target)
        self.seconds = 0.0
        self.last = -1

    def add(self, weights: int, rows: list[RatesRow], missing: list[tuple[str, int, str]]) -> None:
        """A row for this number of weights, or the reason why there is none."""
        name, started = self.method.name, time.perf_counter()
        reason = self.method.reason_against(self.target)
        if reason is None and self.seconds > self.most_seconds:
            reason = f"the rows before took {self.seconds:.0f} s"
        if reason is None:
            built = self.sizer.network(weights)
            if built is None:
                reason = self.sizer.reason()
            elif built.weights == self.last:
                reason = f"no network between {built.weights:,} and {weights:,}"
                if built.approximant.bound == 0:
                    reason = f"{built.weights:,} weights are exact"
            else:
                self.last = built.weights
                reason = self._certify(weights, built.eps, built.approximant, started, rows)
        if reason is not None:
            missing.append((name, weights, reason))
        self.seconds += time.perf_counter() - started

    def _certify(self, wanted: int, eps: float, found: Approximant, started: float, rows: list[RatesRow]) -> str | None:
        try:
            # An exact network has no relative gap: far below eps is enough.
            certificate = found.certificate or found.certify(rtol=self.rtol, atol=1e-6 * eps, budget=self.budget)
        except ApproxError as error:
            return f"not certified: {error}"
        size = found.network.size
        rows.append(
            RatesRow(
                method=self.method.name,
                wanted=wanted,
                eps=eps,
                **size._asdict(),
                bound=found.bound,
                lower=certificate.lower,
                upper=certificate.upper,
                status=certificate.status,
                below=lower_bounds(found.network, self.smoothness, self.profile),
                seconds=time.perf_counter() - started,
                approximant=found,
            )
        )
        return None


def _weights(given: Sequence[float]) -> list[int]:
    accepted = f"numbers of weights between 1 and {_MOST_WEIGHTS:g}, at least one"
    try:
        wanted = sorted({int(w) for w in given})
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("weights", given, accepted) from error
    if not wanted or not 1 <= wanted[0] <= wanted[-1] <= _MOST_WEIGHTS:
        raise InputError("weights", given, accepted)
    return wanted


def _classes(
    target: Target, order: float | None
) -> tuple[SmoothnessClass | None, CurvatureProfile | None, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    smoothness, profile = None, None
    try:
        smoothness = class_of(target, order)
    except ApproxError as error:
        if order is not None:
            raise
        notes = (f"no lower bounds for a class: {error}",)
    if not target.assumptions:
        profile = curvature_profile(target)
    return smoothness, profile, notes


def _silent(stage: str, fraction: float | None) -> None:
    """No progress is shown in library calls."""
