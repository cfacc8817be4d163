"""Is a certificate true? Proved again in exact rational and ball arithmetic, sharing no code with the fast path.

Levels (each includes the ones before):
- "witness": the digest names this network; the witness lies in the domain; |f - net| there is at least `lower`.
- "regions": on 64 intervals, rectangles or boxes spread over the domain the bound `upper` is proved again (piecewise linear
  networks), or on 64 cells (step networks in any dimension, see check_steps); otherwise |f - net| <= upper is
  tried at 256 points (24 where weights do not fit into float64), which can refute but not prove.
- "full": `upper` is proved again on the whole domain (piecewise linear networks; step networks). In three and more
  variables at most 200,000 parts are looked at (check_space): enough for small networks.

f, f'' and the network are evaluated by code of the checker's own (check_function.py; rationals below).

Method for `upper`: the network is followed in rationals along an interval; where the input of a ReLU vanishes inside, the
interval is cut at that exact point. On a piece net(x) = s x + c exactly, and with h = f - net, h(a), h(b) balls and f'' a
ball over the piece, h lies below the parabola through both ends with the smallest f'' (and above that with the largest).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flint import arb, fmpq

from approx.certification.certificate import Certificate, network_digest
from approx.certification.check_function import CheckFunction
from approx.certification.check_steps import check_cells
from approx.certification.folds import check_folds
from approx.errors import InputError, UnsupportedError
from approx.evaluation.fitness import unfit_reason
from approx.networks import PIECEWISE_LINEAR, Network
from approx.numbers import to_fmpq, working_precision
from approx.targets import Target

LEVELS = ("witness", "regions", "full")
_BITS = 256
_DEPTH = 80
_STEPS = 20_000
_SAMPLE = 64


@dataclass(frozen=True)
class CheckReport:
    """The verdict of a check: `ok`, and one sentence for every statement that was proved, observed or refuted."""

    ok: bool
    level: str
    proved: tuple[str, ...]
    observed: tuple[str, ...]
    refuted: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"check ({self.level}): {'passed' if self.ok else 'FAILED'}"]
        for word, sentences in (("proved", self.proved), ("observed", self.observed), ("refuted", self.refuted)):
            lines += [f"  {word}: {s}" for s in sentences]
        return "\n".join(lines)


def check_certificate(certificate: Certificate, level: str = "witness") -> CheckReport:
    """A CheckReport for the certificate at the given level; cost of "full": about 1e3 to 1e4 pieces a second.

    Raises InputError on an unknown level or a certificate without its network and target, UnsupportedError when the level
    is not available for this kind of network.
    """
    if level not in LEVELS:
        raise InputError("level", level, "one of " + ", ".join(LEVELS))
    net, target = certificate.network, certificate.target
    if net is None or target is None:
        raise InputError("certificate", "without network", "a certificate with its network and target attached")
    if certificate.semantics != "exact":
        from approx.certification.executed import check_executed

        return check_executed(certificate, level)
    if certificate.norm != "abs":
        from approx.certification.check_relative import check_relative

        return check_relative(certificate, level)
    net = net.native
    proved: list[str] = []
    observed: list[str] = []
    refuted: list[str] = []
    with working_precision(_BITS):
        _check_identity(certificate, net, target, proved, refuted)
        _check_witness(certificate, net, target, proved, refuted)
        if level != "witness" and not refuted:
            if net.inputs == 1 and net.activations <= PIECEWISE_LINEAR:
                _check_upper(certificate, net, target, level, proved, refuted)
            elif net.inputs == 2 and net.activations <= PIECEWISE_LINEAR:
                from approx.certification.check_plane import check_plane

                check_plane(certificate, net, target, level, proved, refuted)
            elif net.activations <= PIECEWISE_LINEAR and net.tags["rational"]:
                from approx.certification.check_space import check_space

                check_space(certificate, net, target, level, proved, refuted)
            elif check_cells(certificate, net, target, level, proved, observed, refuted) or check_folds(
                certificate, net, target, level, proved
            ):
                pass
            elif level == "full":
                raise UnsupportedError(
                    "level 'full' needs a piecewise linear network with rational weights, a step network, or one of sines "
                    "and arcsines of one variable that fold and look up"
                )
            else:
                _try_points(certificate, net, target, observed, refuted)
    return CheckReport(not refuted, level, tuple(proved), tuple(observed), tuple(refuted))


def _check_identity(c: Certificate, net: Network, target: Target, proved: list[str], refuted: list[str]) -> None:
    if network_digest(net) != c.digest:
        refuted.append("the certificate was issued for another network (digests differ)")
    else:
        proved.append("the certificate names exactly this network")
    sides = tuple(zip(target.domain.lower, target.domain.upper, strict=True))
    if target.text != c.target_text or tuple((fmpq(a), fmpq(b)) for a, b in sides) != tuple(c.domain):
        refuted.append("the certificate was issued for another target or domain")
    if not c.lower <= c.upper or c.lower < 0:
        refuted.append(f"the enclosure [{c.lower}, {c.upper}] is empty or negative")
    if c.status == "tight" and not c.upper <= max(c.lower * (1 + c.rtol), c.atol):
        refuted.append("the status is 'tight' but the enclosure is not")
    if c.status != "conditional" and target.assumptions:
        refuted.append("the target depends on declared assumptions but the status does not say so")


def _check_witness(c: Certificate, net: Network, target: Target, proved: list[str], refuted: list[str]) -> None:
    if len(c.witness) != net.inputs or not all(a <= x <= b for x, (a, b) in zip(c.witness, c.domain, strict=True)):
        refuted.append("the witness lies outside the domain")
        return
    gap = _gap_at(net, CheckFunction(target), list(c.witness))
    if gap >= _exact(c.lower):
        proved.append(f"|f - net| >= {c.lower:.6g} at the witness")
    elif c.lower > 0:
        refuted.append(f"|f - net| at the witness is {gap.str(8)}, not shown to reach {c.lower:.17g}")


def _gap_at(net: Network, f: CheckFunction, point: list[fmpq]) -> arb:
    values: list[Any] = list(point)
    if net.activations <= PIECEWISE_LINEAR:
        for activation, bias, terms in net.exact_rows():
            z = bias
            for unit, weight in terms:
                z = z + weight * values[unit]
            values.append(z if activation == "identity" or z >= 0 else -z if activation == "abs" else fmpq(0))
    else:
        from approx.evaluation import evaluate_precisely

        values += evaluate_precisely(net, [point], bits=_BITS)
    return abs(f.value([arb(x) for x in point]) - arb(values[-1]))


def _exact(value: float) -> arb:
    return arb(to_fmpq(value)) if value < float("inf") else arb("inf")


# -- the upper bound in one variable ------------------------------------------------------------------------------------


def _check_upper(
    c: Certificate, net: Network, target: Target, level: str, proved: list[str], refuted: list[str]
) -> None:
    a, b = c.domain[0]
    if c.upper == float("inf"):
        proved.append("an infinite upper bound claims nothing")
        return
    if level == "full":
        intervals = [(a, b)]
    else:
        # Around the witness the bound is sharpest; the others are spread by a rule that meets no dyadic grid.
        step = (b - a) / 2**20
        starts = [a + (b - a) * fmpq((618033 * k) % 1_000_000, 1_000_001) for k in range(_SAMPLE - 1)]
        starts.append(max(a, min(c.witness[0] - step / 2, b - step)))
        intervals = [(s, min(s + step, b)) for s in starts if s < b] or [(a, b)]
    rows, f = net.exact_rows(), CheckFunction(target)
    upper = _exact(c.upper)
    pieces = 0
    for lo, hi in intervals:
        for left, right, slope, constant in affine_pieces(rows, lo, hi):
            pieces += 1
            if not _below(f, left, right, slope, constant, upper):
                refuted.append(
                    f"|f - net| <= {c.upper:.17g} could not be proved on [{float(left.p) / float(left.q):.9g}, "
                    f"{float(right.p) / float(right.q):.9g}]"
                )
                return
    where = "the whole domain" if level == "full" else f"{len(intervals)} intervals"
    proved.append(f"|f - net| <= {c.upper:.6g} on {where} ({pieces} exact pieces)")


def affine_pieces(rows: list[Any], lower: fmpq, upper: fmpq) -> Iterator[tuple[fmpq, fmpq, fmpq, fmpq]]:
    """(left, right, slope, constant) with net(x) = slope x + constant exactly on [left, right], in order."""
    stack = [(lower, upper, 0, [(fmpq(1), fmpq(0))])]
    while stack:
        a, b, start, forms = stack.pop()
        for number in range(start, len(rows)):
            activation, bias, terms = rows[number]
            slope, constant = fmpq(0), bias
            for unit, weight in terms:
                s, k = forms[unit]
                slope, constant = slope + weight * s, constant + weight * k
            if activation != "identity":
                at_a, at_b = slope * a + constant, slope * b + constant
                if (at_a < 0 < at_b) or (at_b < 0 < at_a):
                    root = -constant / slope
                    stack.append((root, b, number, list(forms)))
                    b = root
                    at_b = fmpq(0)
                if at_a <= 0 and at_b <= 0:
                    slope, constant = (-slope, -constant) if activation == "abs" else (fmpq(0), fmpq(0))
            forms.append((slope, constant))
        yield (a, b, *forms[-1])


def _below(f: CheckFunction, a: fmpq, b: fmpq, slope: fmpq, constant: fmpq, upper: arb) -> bool:
    """Whether |f(x) - slope x - constant| <= upper is proved on [a, b], in at most _STEPS bisections, _DEPTH in a row."""
    stack = [(a, b, 0)]
    steps = 0
    while stack:
        lo, hi, depth = stack.pop()
        if _bound(f, lo, hi, slope, constant) <= upper:
            continue
        steps += 1
        if depth >= _DEPTH or steps > _STEPS or lo == hi:
            return False
        middle = (lo + hi) / 2
        if abs(f.value([arb(middle)]) - arb(slope * middle + constant)) > upper:
            return False
        stack += [(middle, hi, depth + 1), (lo, middle, depth + 1)]
    return True


def _bound(f: CheckFunction, lo: fmpq, hi: fmpq, slope: fmpq, constant: fmpq) -> arb:
    """A ball whose points are upper bounds of |h| on [lo, hi], h = f - slope x - constant; NaN where nothing is known."""
    width = hi - lo
    centre = (lo + hi) / 2
    ball = arb(centre) + arb(0, 1) * arb(width / 2)
    curve = f.second(ball) * arb(width) * arb(width) / 2
    if not curve.is_finite():
        return abs(f.value([ball]) - (arb(slope) * ball + arb(constant))).upper()
    left = f.value([arb(lo)]) - arb(slope * lo + constant)
    right = f.value([arb(hi)]) - arb(slope * hi + constant)
    up = _parabola(left, right, curve.lower())
    down = _parabola(-left, -right, (-curve).lower())
    return up.max(down).upper()


def _parabola(left: arb, right: arb, c: arb) -> arb:
    """The maximum over t in [0, 1] of left (1-t) + right t - c t (1-t)."""
    ends = left.max(right)
    if c >= 0:
        return ends
    # The vertex formula bounds the maximum over all real t, so it is valid wherever the vertex lies.
    if not c < 0:
        return arb("nan")
    inner = (right - left) - c
    if inner < 0 or inner > -2 * c:
        return ends
    return ends.max(left - inner * inner / (4 * c))


# -- several variables --------------------------------------------------------------------------------------------------


def _try_points(c: Certificate, net: Network, target: Target, observed: list[str], refuted: list[str]) -> None:
    f = CheckFunction(target)
    multipliers = (618033, 754877, 569840, 819172, 856674)
    # Literal evaluation with weights that do not fit into float64 may take a second per point.
    count = 256 if unfit_reason(net) is None else 24
    for k in range(1, count + 1):
        point = [
            a + (b - a) * fmpq((multipliers[i % 5] * k) % 1_000_003, 1_000_003) for i, (a, b) in enumerate(c.domain)
        ]
        if _gap_at(net, f, point) > _exact(c.upper):
            refuted.append(f"|f - net| exceeds {c.upper:.17g} at {[str(x) for x in point]}")
            return
    observed.append(f"|f - net| <= {c.upper:.6g} at {count} points")
