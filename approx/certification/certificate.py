"""What a certificate says: lower <= sup |f - net| <= upper, where lower is attained, and how this was found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flint import fmpq

from approx.errors import FileFormatError
from approx.networks import Network
from approx.networks.files import network_to_arrays

if TYPE_CHECKING:
    from approx.certification.check import CheckReport
    from approx.targets import Target

STATUSES = ("tight", "budget", "conditional")


@dataclass(frozen=True)
class Certificate:
    """A certified enclosure lower <= sup |f - net| <= upper over a box, by default in exact real arithmetic.

    norm "rel": of |f - net| / |f|. semantics "float32" or "float64": net is what the exported file returns when it is
    executed on inputs of that type, and `slack` the proved bound of its rounding errors that upper includes.

    lower is attained (up to the enclosure of f) at the exact point `witness`; upper may be inf when f has a pole in
    the domain or the budget ran out before anything finite was shown. status: "tight" when upper <= (1+rtol) lower or
    upper <= atol, "budget" when not, "conditional" when the target is a callable whose regularity was only declared
    (see `assumptions`). `digest` names the exact network that was certified.

    `check()` proves the statement again with code that shares nothing with the code that found it.
    """

    lower: float
    upper: float
    witness: tuple[fmpq, ...]
    status: str
    method: str
    rtol: float
    domain: tuple[tuple[fmpq, fmpq], ...]
    target_text: str
    digest: str
    atol: float = 0.0
    semantics: str = "exact"
    norm: str = "abs"
    slack: float = 0.0
    assumptions: tuple[str, ...] = ()
    work: Mapping[str, Any] = field(default_factory=dict)
    network: Network | None = field(default=None, repr=False, compare=False)
    target: Target | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        network: Network,
        target: Target,
        found: tuple[float, float, Sequence[Any], str],
        rtol: float,
        atol: float,
        work: Mapping[str, Any],
        norm: str = "abs",
    ) -> Certificate:
        """The certificate that states an enclosure (lower, upper, witness, method); fails closed.

        An upper of NaN is infinite, and so is one below the lower bound: then one of the two is false.
        """
        lower, upper, witness, method = found
        if not upper >= lower:
            method += "" if upper != upper else f", contradicted: {upper:.6g} is below the error at the witness"
            upper = math.inf
        tight = upper <= max(lower * (1 + rtol), atol)
        return cls(
            lower=lower,
            upper=upper,
            witness=tuple(witness),
            status="conditional" if target.assumptions else "tight" if tight else "budget",
            method=method,
            rtol=rtol,
            domain=tuple(zip(target.domain.lower, target.domain.upper, strict=True)),
            target_text=target.text,
            digest=network_digest(network),
            atol=atol,
            norm=norm,
            assumptions=tuple(target.assumptions),
            work=work,
            network=network,
            target=target,
        )

    @property
    def gap(self) -> float:
        """(upper - lower) / upper; 0 when both are 0, 1 when upper is infinite."""
        if self.upper == 0:
            return 0.0
        return (self.upper - self.lower) / self.upper if math.isfinite(self.upper) else 1.0

    def proves(self, eps: float) -> bool | None:
        """True when sup |f - net| <= eps is certified, False when it is refuted, None when undecided."""
        if self.upper <= eps:
            return True
        return False if self.lower > eps else None

    def check(self, level: str = "witness") -> CheckReport:
        """Prove the certificate again: level "witness" (lower and digest), "regions" (also a sample of upper), "full"."""
        from approx.certification.check import check_certificate

        return check_certificate(self, level)

    def save(self, path: str | Path) -> None:
        """Write the certificate with its network and target to one file, atomically; Certificate.load reads it back."""
        from approx.certification.certificate_file import save_certificate

        save_certificate(self, path)

    @staticmethod
    def load(path: str | Path) -> Certificate:
        """The certificate in a file: a claim of whoever wrote it, until `check()` has proved it again."""
        from approx.certification.certificate_file import load_certificate

        return load_certificate(path)

    def summary(self) -> str:
        """One line for people."""
        where = ", ".join(_point_text(c) for c in self.witness)
        note = "" if self.status == "tight" else f", {self.status}"
        gap = f"gap {100 * self.gap:.2g} %{note}"
        return f"{self.lower:.6g} <= sup {self.error_name} <= {self.upper:.6g} ({gap}), near x = ({where})"

    @property
    def error_name(self) -> str:
        """What is enclosed: "error", "relative error", or that "in float32"."""
        name = "error" if self.norm == "abs" else "relative error"
        return name if self.semantics == "exact" else f"{name} in {self.semantics}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary; exact points as hexadecimal fractions."""
        return {
            "lower": repr(self.lower),
            "upper": repr(self.upper),
            "witness": [_hex(c) for c in self.witness],
            "status": self.status,
            "method": self.method,
            "rtol": self.rtol,
            "atol": self.atol,
            "domain": [[_hex(a), _hex(b)] for a, b in self.domain],
            "target": self.target_text,
            "digest": self.digest,
            "semantics": self.semantics,
            "norm": self.norm,
            "slack": repr(self.slack),
            "assumptions": list(self.assumptions),
            "work": dict(self.work),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], network: Network, target: Target) -> Certificate:
        """The certificate that to_dict wrote, attached to its network and target; raises FileFormatError on damage."""
        try:
            status = str(data["status"])
            if status not in STATUSES:
                raise FileFormatError(f"certificate: unknown status {status!r}")
            return cls(
                lower=float(data["lower"]),
                upper=float(data["upper"]),
                witness=tuple(_unhex(t) for t in data["witness"]),
                status=status,
                method=str(data["method"]),
                rtol=float(data["rtol"]),
                atol=float(data["atol"]),
                domain=tuple((_unhex(a), _unhex(b)) for a, b in data["domain"]),
                target_text=str(data["target"]),
                digest=str(data["digest"]),
                semantics=str(data["semantics"]),
                norm=str(data.get("norm", "abs")),
                slack=float(data.get("slack", 0.0)),
                assumptions=tuple(map(str, data["assumptions"])),
                work=dict(data["work"]),
                network=network,
                target=target,
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise FileFormatError(f"certificate: damaged contents ({error})") from error

    def __repr__(self) -> str:
        return f"<Certificate {self.summary()}; {self.method}>"

    def _repr_html_(self) -> str:
        return f"<p><b>Certificate</b> {escape(self.summary())}<br>{escape(self.method)}</p>"


def network_digest(network: Network) -> str:
    """SHA-256 of the exact network: layers, indices and weights (of its native form: that is what is certified)."""
    entry, arrays = network_to_arrays(network.native)
    digest = hashlib.sha256(repr(sorted(entry.items())).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + str(arrays[name].dtype).encode() + arrays[name].tobytes())
    return digest.hexdigest()


def _point_text(coordinate: fmpq) -> str:
    return f"{int(coordinate.p) / int(coordinate.q):.9g}"


def _hex(value: fmpq) -> str:
    return f"{int(value.p):x}/{int(value.q):x}"


def _unhex(text: str) -> fmpq:
    p, q = text.split("/")
    return fmpq(int(p, 16), int(q, 16))
