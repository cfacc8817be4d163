"""What sup over outputs k of sup |f_k - net_k| is, for networks of several outputs: one certificate per output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from approx.certification.budget import Budget
from approx.certification.certificate import Certificate, network_digest
from approx.certification.check import CheckReport
from approx.errors import FileFormatError, InputError
from approx.networks import Builder, Network
from approx.targets import Target


@dataclass(frozen=True, repr=False)
class VectorCertificate(Certificate):
    """lower <= max_k sup |f_k - net_k| <= upper; `parts` holds the certificate of every output, in order.

    `output` is the number of the output at which lower is attained (at `witness`). check() checks every part, and that the
    enclosure is the largest of theirs.
    """

    parts: tuple[Certificate, ...] = ()
    output: int = 0

    def check(self, level: str = "witness") -> CheckReport:
        """A CheckReport over all parts."""
        reports = [part.check(level) for part in self.parts]
        refuted = [f"output {k}: {text}" for k, r in enumerate(reports) for text in r.refuted]
        if not self.parts or not self.upper >= max(p.upper for p in self.parts):
            refuted.append("upper is smaller than that of an output")
        if not self.parts or not self.lower <= max(p.lower for p in self.parts):
            refuted.append("lower is larger than that of every output")
        if self.network is None or len(self.parts) != self.network.outputs:
            refuted.append("there is not one certificate for every output")
        elif network_digest(self.network) != self.digest or any(
            p.digest != network_digest(select_output(self.network, k)) for k, p in enumerate(self.parts)
        ):
            refuted.append("the certificate was issued for another network (digests differ)")
        proved = tuple(f"output {k}: {text}" for k, r in enumerate(reports) for text in r.proved)
        observed = tuple(f"output {k}: {text}" for k, r in enumerate(reports) for text in r.observed)
        return CheckReport(not refuted, level, proved, observed, tuple(refuted))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary with those of the parts."""
        return {**super().to_dict(), "parts": [p.to_dict() for p in self.parts], "output": self.output}

    @classmethod
    def from_dict(cls, data: dict[str, Any], network: Network, target: Any) -> VectorCertificate:
        """The certificate that to_dict wrote; target: the sequence of targets. Raises FileFormatError on damage."""
        try:
            selected = [select_output(network, k) for k in range(network.outputs)]
            parts = zip(data["parts"], selected, target, strict=True)
            return combined([Certificate.from_dict(*each) for each in parts], network)
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"certificate: damaged contents ({error})") from error


def select_output(network: Network, output: int) -> Network:
    """The network of one output (numbers from 0), without the units that it does not read."""
    if not 0 <= output < network.outputs:
        raise InputError("output", output, f"an output number below {network.outputs}")
    b = Builder(network.inputs)
    return b.build([b.embed(network, [b.input(i) for i in range(network.inputs)])[output]])


def certify_outputs(
    network: Network,
    targets: Sequence[Target],
    rtol: float,
    atol: float,
    budget: Budget,
    scalar: Callable[[Network, Target, float, Budget], Certificate],
) -> VectorCertificate:
    """The VectorCertificate; scalar(network, target, atol, budget) certifies one output.

    Each output is certified only as sharply as the largest error found before it needs, with an equal share of what is
    left of the budget.
    """
    if len(targets) != network.outputs:
        raise InputError("target", f"{len(targets)} targets", f"{network.outputs} targets, one per output")
    if len({t.domain.to_list().__repr__() for t in targets}) != 1:
        raise InputError("target", [str(t.domain) for t in targets], "targets on one and the same domain")
    parts: list[Certificate] = []
    seconds, regions = budget.seconds, budget.regions
    for k, target in enumerate(targets):
        left = len(targets) - k
        share = Budget(seconds=max(seconds / left, 1e-3), regions=max(regions // left, 1))
        largest = max((p.lower for p in parts), default=0.0)
        part = scalar(select_output(network, k), target, max(atol, largest * (1 + rtol)), share)
        parts.append(part)
        seconds -= float(part.work.get("seconds", 0.0))
        regions -= sum(v for v in part.work.values() if isinstance(v, int))
    return combined(parts, network)


def combined(parts: list[Certificate], network: Network) -> VectorCertificate:
    """The VectorCertificate of the certificates of all outputs."""
    worst = max(range(len(parts)), key=lambda k: parts[k].lower)
    first, best = parts[0], parts[worst]
    lower, upper = best.lower, max(p.upper for p in parts)
    assumptions = tuple(dict.fromkeys(text for p in parts for text in p.assumptions))
    atol = min(p.atol for p in parts)
    tight = upper <= max(lower * (1 + first.rtol), atol)
    work: dict[str, Any] = {}
    for p in parts:
        for kind, number in p.work.items():
            work[kind] = work.get(kind, 0) + number if isinstance(number, int | float) else number
    return VectorCertificate(
        lower=lower,
        upper=upper if upper == upper else math.inf,
        witness=best.witness,
        status="conditional" if assumptions else "tight" if tight else "budget",
        method="; ".join(dict.fromkeys(p.method for p in parts)),
        rtol=first.rtol,
        atol=atol,
        domain=first.domain,
        target_text="(" + ", ".join(p.target_text for p in parts) + ")",
        digest=network_digest(network),
        semantics=first.semantics,
        norm=first.norm,
        slack=max(p.slack for p in parts),
        assumptions=assumptions,
        work=work,
        network=network,
        parts=tuple(parts),
        output=worst,
    )
