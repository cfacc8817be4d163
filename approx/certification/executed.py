"""Which certificate covers what an exported network returns when it is executed, and how is it checked again?

With delta the proved bound of the rounding errors over the domain (execution.py), sup |f - computed| <= sup |f - net| + delta;
and at one input of the format, |f - computed| >= |f - net| - delta there. Both hold for every order of summation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from flint import arb, fmpq

from approx.certification.certificate import Certificate
from approx.certification.check import CheckReport, check_certificate
from approx.certification.execution import FORMATS, Execution, Format, execution_slack
from approx.evaluation import evaluate_exact
from approx.networks import Network
from approx.numbers import float_down, float_up, to_fmpq, working_precision
from approx.targets import Target

_BITS = 256
_SAMPLE = 64


def executed(exact: Certificate, execution: Execution, rtol: float, smallest: float = 1.0) -> Certificate:
    """The certificate of execution, tight to rtol, that follows from one in exact arithmetic with network and target.

    smallest: for norm "rel" a lower bound of |f| on the domain, by which rounding errors are divided (else 1).
    """
    network, target = exact.network, exact.target
    assert network is not None and target is not None
    domain = target.domain
    lower = np.array([float_down(to_fmpq(v)) for v in domain.lower])
    upper = np.array([float_up(to_fmpq(v)) for v in domain.upper])
    finite = exact.upper if np.isfinite(exact.upper) else 0.0
    slack, boxes = execution_slack(execution, lower, upper, 0.05 * rtol * finite * smallest)
    slack = _up(slack, 1 / to_fmpq(smallest))
    witness, low = _lower(exact, execution, network, target)
    top = _up(slack, 1, exact.upper)
    tight = top <= max(low * (1 + rtol), exact.atol)
    name = execution.format.name
    return replace(
        exact,
        lower=low,
        upper=top,
        witness=witness,
        status="conditional" if exact.status == "conditional" else "tight" if tight else "budget",
        method=f"{exact.method}; {name} execution in any order of summation",
        semantics=name,
        rtol=rtol,
        slack=slack,
        work={**exact.work, "execution boxes": boxes},
    )


def _up(value: float, factor: fmpq | int, more: float = 0.0) -> float:
    if not (np.isfinite(value) and np.isfinite(more)):
        return float("inf")
    return float_up(to_fmpq(value) * factor + to_fmpq(more))


def _lower(
    exact: Certificate, execution: Execution, network: Network, target: Target
) -> tuple[tuple[fmpq, ...], float]:
    """(input of the format near the witness, lower bound there); the old witness and 0 where there is no such input."""
    at = nearest_input(exact.witness, exact.domain, execution.format)
    if at is None:
        return exact.witness, 0.0
    delta = float(execution.slack(np.array([at]), np.zeros((1, len(at))))[0])
    x = tuple(to_fmpq(p) for p in at)
    with working_precision(_BITS):
        value = target.ball([arb(c) for c in x])
        ball = abs(value - arb(evaluate_exact(network, [x])[0]))
        ball = ball - arb(to_fmpq(delta)) if np.isfinite(delta) else arb(0)
        ball = ball if exact.norm == "abs" else ball / abs(value)
        low = float_down(ball.lower()) if ball.is_finite() else 0.0
    return x, max(low, 0.0)


def nearest_input(
    point: Sequence[fmpq], domain: Sequence[tuple[fmpq, fmpq]], form: Format
) -> list[float] | None:
    """Numbers of the format next to the exact point, inside the domain; None where a side holds no number of the format."""
    found = [_nearest_inside(w, a, b, form) for w, (a, b) in zip(point, domain, strict=True)]
    inside = [p for p in found if p is not None]
    return inside if len(inside) == len(found) else None


def _nearest_inside(value: fmpq, lower: fmpq, upper: fmpq, form: Format) -> float | None:
    """A number of the format in [lower, upper] next to value, or None."""
    with np.errstate(over="ignore"):
        found = form.dtype.type(float_down(value))
        if to_fmpq(float(found)) < lower:
            found = np.nextafter(found, form.dtype.type(np.inf))
        elif to_fmpq(float(found)) > upper:
            found = np.nextafter(found, form.dtype.type(-np.inf))
    result = float(found)
    return result if np.isfinite(result) and lower <= to_fmpq(result) <= upper else None


# -- checking again -----------------------------------------------------------------------------------------------------


def check_executed(certificate: Certificate, level: str) -> CheckReport:
    """A CheckReport: the exact part is proved with upper - slack; the slack is tried by executing the network.

    Execution is emulated in the format at the witness and 64 points, each with two orders of summation: this can refute
    the slack and the lower bound, not prove them, and is reported as observed.
    """
    if certificate.semantics not in FORMATS or not certificate.slack >= 0:
        return CheckReport(False, level, (), (), (f"unknown semantics {certificate.semantics!r} or negative slack",))
    rest = certificate.upper
    if np.isfinite(rest) and np.isfinite(certificate.slack):
        rest = float_down(to_fmpq(rest) - to_fmpq(certificate.slack))
    status = "conditional" if certificate.status == "conditional" else "budget"
    report = check_certificate(replace(certificate, semantics="exact", slack=0.0, upper=rest, status=status), level)
    proved = tuple(f"{each} (exact arithmetic, without slack)" for each in report.proved)
    observed, refuted = list(report.observed), list(report.refuted)
    tight = certificate.upper <= max(certificate.lower * (1 + certificate.rtol), certificate.atol)
    if certificate.status == "tight" and not tight:
        refuted.append("the status is 'tight' but the enclosure is not")
    largest, gap = _emulated(certificate)
    if certificate.norm == "abs" and largest > certificate.slack:
        refuted.append(f"an execution is off by {largest:.6g}, more than the slack {certificate.slack:.6g}")
    elif gap < certificate.lower:
        refuted.append(f"an execution errs by {gap:.6g} only at the witness, less than lower")
    else:
        observed.append(f"executions at {_SAMPLE} points are off by at most {largest:.3g} <= slack")
    return CheckReport(not refuted, level, proved, tuple(observed), tuple(refuted))


def _emulated(certificate: Certificate) -> tuple[float, float]:
    """(largest |computed - exact| seen, smallest error seen at the witness)."""
    network, target, form = certificate.network, certificate.target, FORMATS[certificate.semantics]
    assert network is not None and target is not None
    rng = np.random.default_rng(0)
    largest, gap = 0.0, float("inf")
    for number in range(_SAMPLE + 1):
        wanted = list(certificate.witness)
        if number:
            wanted = [a + (b - a) * to_fmpq(float(rng.uniform())) for a, b in certificate.domain]
        x = nearest_input(wanted, certificate.domain, form)
        if x is None:
            continue
        exact = evaluate_exact(network, [x])[0]
        for order in (None, rng):
            computed = to_fmpq(execute(network, x, form, order))
            largest = max(largest, float_down(abs(computed - exact)))
            if not number:
                with working_precision(_BITS):
                    value = target.ball([arb(to_fmpq(c)) for c in x])
                    error = abs(value - arb(computed))
                    error = error if certificate.norm == "abs" else error / abs(value)
                    gap = min(gap, float_up(error.upper()))
    return largest, gap


def execute(network: Network, point: list[float], form: Format, rng: np.random.Generator | None = None) -> float:
    """Output 0 of the network computed in the format, summand by summand; in a random order if rng is given."""
    kind = form.dtype.type
    flat = network.flat
    values = [kind(v) for v in point]
    with np.errstate(all="ignore"):
        for row in range(len(flat.bias)):
            entries = range(flat.indptr[row], flat.indptr[row + 1])
            terms = [kind(flat.bias[row]), *(kind(flat.values[k]) * values[flat.indices[k]] for k in entries)]
            if rng is not None:
                rng.shuffle(terms)
            total = kind(0)
            for term in terms:
                total = total + term
            name = flat.names[flat.activation[row]]
            values.append(max(total, kind(0)) if name == "relu" else abs(total) if name == "abs" else total)
    return float(values[len(values) - network.outputs])
