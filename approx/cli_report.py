"""What does the command line say about a result? The same facts as lines for people and as one JSON object."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from flint import fmpq

from approx.approximant import Approximant
from approx.certification import Certificate
from approx.networks import Network
from approx.numbers import decimal_text, to_float
from approx.plots.labels import interval, plural, rounded_down, rounded_up
from approx.targets import Target

_LABEL = 11


@dataclass(frozen=True)
class Result:
    """Everything that may be said about one run; what does not apply is None."""

    network: Network
    target: Target | None = None
    certificate: Certificate | None = None
    approximant: Approximant | None = None
    eps: float | None = None
    build_seconds: float | None = None
    certify_seconds: float | None = None

    def to_json(self, **more: Any) -> str:
        """One strictly valid JSON object (a value that is not finite becomes null), with the keys of `more` added."""
        certificate, found, size = self.certificate, self.approximant, self.network.size
        facts: dict[str, Any] = {
            "target": self.target.text if self.target else None,
            "domain": str(self.target.domain) if self.target else None,
            "method": found.method if found else None,
            "eps": self.eps,
            "bound": found.bound if found else None,
            "lower": certificate.lower if certificate else None,
            "upper": certificate.upper if certificate else None,
            "witness": [to_float(c) for c in certificate.witness] if certificate else None,
            "witness_exact": [exact_text(c) for c in certificate.witness] if certificate else None,
            "status": certificate.status if certificate else None,
            "semantics": certificate.semantics if certificate else None,
            "norm": certificate.norm if certificate else None,
            "slack": certificate.slack if certificate else None,
            "certified_by": certificate.method if certificate else None,
            "assumptions": list(certificate.assumptions) if certificate else [],
            **size._asdict(),
            "build_seconds": self.build_seconds,
            "certify_seconds": self.certify_seconds,
        }
        return json.dumps({key: finite(value) for key, value in (facts | more).items()}, allow_nan=False)

    def lines(self) -> list[str]:
        """The facts for people, one per line, bounds rounded so that they stay true."""
        size, found, certificate = self.network.size, self.approximant, self.certificate
        rows = [
            ("network", f"{plural(size.weights, 'weight')}, {plural(size.units, 'unit')}, "
                        f"{plural(size.hidden_layers, 'hidden layer')}, width {size.width:,}, {size.bits:,} bits"),
        ]  # fmt: skip
        if found is not None:
            proved = f"sup error <= {rounded_up(found.bound)}" if math.isfinite(found.bound) else "nothing a priori"
            rows = [("method", found.method), *rows, *_table(found), ("proved", proved)]
        if certificate is not None:
            rows.append(("certified", enclosure(certificate)))
            rows.append(("witness", f"the lower bound is attained near {point_text(certificate.witness)}"))
            rows += [("assuming", each) for each in certificate.assumptions]
        times = [
            f"{seconds:.2f} s to {verb}"
            for seconds, verb in ((self.build_seconds, "build"), (self.certify_seconds, "certify"))
            if seconds is not None
        ]
        if times:
            rows.append(("time", ", ".join(times)))
        heading = [f"{self.target.text} on {interval(self.target)}"] if self.target else []
        return [*heading, *(f"  {label:<{_LABEL}}{text}" for label, text in rows)]


def _table(found: Approximant) -> list[tuple[str, str]]:
    """For networks that hold a table in long weights: their bits, and the fewest that any such table needs."""
    own, least = (found.parameters.get(name) for name in ("weight_bits", "least_weight_bits"))
    if not isinstance(own, int) or not isinstance(least, int):
        return []
    return [("table", f"{own:,} bits in its long weights, of the {least:,} that arbitrary tables of that size need")]


def enclosure(certificate: Certificate) -> str:
    """The enclosure with outward rounding, its gap, and its status unless tight.

    The printed enclosure is wider than the certified one by less than a tenth of its gap (up to 12 digits), never narrower.
    """
    digits = 4 if not certificate.gap > 0 else min(max(4, 2 - math.floor(math.log10(certificate.gap))), 12)
    note = "" if certificate.status == "tight" else f", {certificate.status}"
    lower, upper = rounded_down(certificate.lower, digits), rounded_up(certificate.upper, digits)
    return f"{lower} <= sup {certificate.error_name} <= {upper}  (gap {rounded_up(100 * certificate.gap, 2)} %{note})"


def point_text(point: tuple[fmpq, ...]) -> str:
    """An exact point as decimals for people: 'x = 0.25' or '(0.25, 0.5)'."""
    numbers = [f"{to_float(c):.9g}" for c in point]
    return f"x = {numbers[0]}" if len(numbers) == 1 else f"({', '.join(numbers)})"


def exact_text(value: fmpq) -> str:
    """An exact rational as 'p/q' in decimal digits."""
    top, bottom = decimal_text(value.p), decimal_text(value.q)
    return top if bottom == "1" else f"{top}/{bottom}"


def finite(value: Any) -> Any:
    """The value, or None in place of a float that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
