"""Is a certificate of the relative error true? Proved again in exact rational and ball arithmetic.

Where f > 0 on a piece and net(x) = s x + c exactly, |f - net| <= r f means (1 - r) f - net <= 0 and net - (1 + r) f <= 0:
two bounds of a multiple of f minus an affine function, each by its end values and a ball for f''. f < 0 is alike with -f.
"""

from __future__ import annotations

from flint import arb, fmpq

from approx.certification.certificate import Certificate
from approx.certification.check import (
    _BITS,
    _DEPTH,
    CheckReport,
    _check_identity,
    _exact,
    _parabola,
    affine_pieces,
)
from approx.certification.check_function import CheckFunction
from approx.errors import UnsupportedError
from approx.evaluation import evaluate_balls
from approx.networks import PIECEWISE_LINEAR, Network
from approx.numbers import working_precision
from approx.targets import Target

_SAMPLE = 32


def check_relative(certificate: Certificate, level: str) -> CheckReport:
    """A CheckReport for norm "rel": digest and witness; "regions" and "full" as in check_certificate."""
    net, target = certificate.network, certificate.target
    assert net is not None and target is not None
    proved: list[str] = []
    observed: list[str] = []
    refuted: list[str] = []
    with working_precision(_BITS):
        _check_identity(certificate, net, target, proved, refuted)
        inside = len(certificate.witness) == net.inputs and all(
            a <= x <= b for x, (a, b) in zip(certificate.witness, certificate.domain, strict=True)
        )
        if not inside:
            refuted.append("the witness lies outside the domain")
        elif _ratio(net, target, list(certificate.witness)) >= _exact(certificate.lower):
            proved.append(f"|f - net| / |f| >= {certificate.lower:.6g} at the witness")
        elif certificate.lower > 0:
            refuted.append(f"|f - net| / |f| is not shown to reach {certificate.lower:.17g} at the witness")
        if level != "witness" and not refuted:
            if net.inputs == 1 and net.activations <= PIECEWISE_LINEAR:
                _check_upper(certificate, net, target, level, proved, refuted)
            elif level == "full":
                raise UnsupportedError("level 'full' needs a piecewise linear network of one variable")
            else:
                _try_points(certificate, net, target, observed, refuted)
    return CheckReport(not refuted, level, tuple(proved), tuple(observed), tuple(refuted))


def _ratio(net: Network, target: Target, point: list[fmpq]) -> arb:
    at = [arb(x) for x in point]
    value = CheckFunction(target).value(at)
    return abs(value - evaluate_balls(net, at)[0]) / abs(value)


def _check_upper(
    c: Certificate, net: Network, target: Target, level: str, proved: list[str], refuted: list[str]
) -> None:
    if c.upper == float("inf"):
        proved.append("an infinite upper bound claims nothing")
        return
    a, b = c.domain[0]
    intervals = [(a, b)]
    if level != "full":
        step = (b - a) / 2**16
        starts = [a + (b - a) * fmpq((618033 * k) % 1_000_000, 1_000_001) for k in range(_SAMPLE)]
        starts.append(max(a, min(c.witness[0] - step / 2, b - step)))
        intervals = [(s, min(s + step, b)) for s in starts]
    rows, f, pieces = net.exact_rows(), CheckFunction(target), 0
    for lo, hi in intervals:
        for left, right, slope, constant in affine_pieces(rows, lo, hi):
            pieces += 1
            if not _below(f, left, right, slope, constant, _exact(c.upper)):
                refuted.append(f"|f - net| <= {c.upper:.17g} |f| could not be proved on [{left}, {right}]")
                return
    where = "the whole domain" if level == "full" else f"{len(intervals)} intervals"
    proved.append(f"|f - net| / |f| <= {c.upper:.6g} on {where} ({pieces} exact pieces)")


def _below(f: CheckFunction, a: fmpq, b: fmpq, slope: fmpq, constant: fmpq, ratio: arb) -> bool:
    stack = [(a, b, 0)]
    while stack:
        lo, hi, depth = stack.pop()
        if _holds(f, lo, hi, slope, constant, ratio):
            continue
        if depth >= _DEPTH or lo == hi:
            return False
        middle = (lo + hi) / 2
        stack += [(middle, hi, depth + 1), (lo, middle, depth + 1)]
    return True


def _holds(f: CheckFunction, lo: fmpq, hi: fmpq, slope: fmpq, constant: fmpq, ratio: arb) -> bool:
    """Whether (sign - ratio) f <= sign net <= (sign + ratio) f, read for the sign of f, is proved on [lo, hi]."""
    ball = arb((lo + hi) / 2) + arb(0, 1) * arb((hi - lo) / 2)
    value = f.value([ball])
    sign = 1 if value > 0 else -1 if value < 0 else 0
    if sign == 0:
        return False
    ends = [sign * f.value([arb(x)]) for x in (lo, hi)]
    line = [sign * arb(slope * x + constant) for x in (lo, hi)]
    curve = sign * f.second(ball) / 2 * arb(hi - lo) ** 2
    if not curve.is_finite():
        whole = sign * (arb(slope) * ball + arb(constant))
        size = sign * value
        return bool((1 - ratio) * size - whole <= 0) and bool(whole - (1 + ratio) * size <= 0)
    for up in (1, -1):  # up * (f - net) - ratio f <= 0
        factor = up - ratio
        left, right = (factor * end - up * y for end, y in zip(ends, line, strict=True))
        if not _parabola(left, right, (factor * curve).lower()) <= 0:
            return False
    return True


def _try_points(c: Certificate, net: Network, target: Target, observed: list[str], refuted: list[str]) -> None:
    multipliers = (618033, 754877, 569840, 819172, 856674)
    for k in range(1, 257):
        point = [
            a + (b - a) * fmpq((multipliers[i % 5] * k) % 1_000_003, 1_000_003) for i, (a, b) in enumerate(c.domain)
        ]
        if _ratio(net, target, point) > _exact(c.upper):
            refuted.append(f"|f - net| / |f| exceeds {c.upper:.17g} at {[str(x) for x in point]}")
            return
    observed.append(f"|f - net| / |f| <= {c.upper:.6g} at 256 points")
