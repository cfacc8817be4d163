"""What a construction returns: the network together with the target, the proved bound and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from approx.certification import Certificate, certify
from approx.certification.structure import structural_values
from approx.errors import FileFormatError
from approx.evaluation.fitness import unfit_reason
from approx.evaluation.shapes import as_points, shape_values
from approx.networks import Network
from approx.networks.container import read_container, write_container
from approx.networks.files import network_from_arrays, network_to_arrays
from approx.references import bibtex
from approx.targets import Target


class BudgetItem(NamedTuple):
    """One summand of an a-priori bound: what it is, an upper bound of it, and how that is proved."""

    name: str
    value: float
    proof: str


@dataclass(frozen=True)
class Approximant:
    """A network, the target that it approximates, and the a-priori guarantee sup |target - network| <= bound.

    `bound` is PROVED from the regularity of the target (its summands are `budget`), inf where nothing is proved
    a priori; `certificate` is the a-posteriori CERTIFIED enclosure, None before `certify()`. When the target's
    regularity was only declared by the user, both are conditional on `target.assumptions`.
    """

    network: Network
    target: Target
    bound: float
    method: str
    statement: str
    budget: tuple[BudgetItem, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    certificate: Certificate | None = None

    def __call__(self, x: Any) -> Any:
        """Float64 values of the network at x; where its weights do not fit into float64, by its structure if that is known.

        Raises UnsupportedError when neither is possible (approx.evaluation.evaluate_precisely is then the way).
        """
        # A table that just fits into float64 would still lose its digits when its fields are subtracted, and so would a
        # code that was built for exact arithmetic.
        exactly = self.network.activations >= {"floor", "exp2"} or self.parameters.get("arithmetic") == "exact"
        if exactly or unfit_reason(self.network) is not None:
            points, scalar = as_points(x, self.network.inputs)
            values = structural_values(self.network, self.target, points)
            if values is not None:
                return shape_values(values.reshape(-1, 1), scalar)
        return self.network(x)

    def certify(self, rtol: float = 0.01, **options: Any) -> Certificate:
        """A Certificate for sup |target - network| on the target's domain; options as in approx.certify."""
        return certify(self.network, self.target, rtol=rtol, **options)

    def certified(self, rtol: float = 0.01, **options: Any) -> Approximant:
        """This approximant with its certificate attached."""
        return replace(self, certificate=self.certify(rtol=rtol, **options))

    def plot(self, path: str | Path | None = None, **options: Any) -> Any:
        """Target, network and error with the certified band; see approx.plots.plot_approximant."""
        from approx.plots import plot_approximant

        return plot_approximant(self, path, **options)

    def cite(self) -> str:
        """BibTeX of the papers that this construction and its guarantee use."""
        return bibtex(self.references)

    def save(self, path: str | Path) -> None:
        """Write network, target, bound and certificate to one file, atomically; approx.load reads it back."""
        entry, arrays = network_to_arrays(self.network)
        manifest = {
            "network": entry,
            "target": self.target.to_dict(),
            "bound": _float_text(self.bound),
            "method": self.method,
            "statement": self.statement,
            "budget": [[i.name, _float_text(i.value), i.proof] for i in self.budget],
            "parameters": _plain(dict(self.parameters)),
            "references": list(self.references),
            "certificate": self.certificate.to_dict() if self.certificate else None,
        }
        write_container(path, "approximant", manifest, arrays)

    def __repr__(self) -> str:
        s = self.network.size
        lines = [
            f"<Approximant of {self.target.text} by {self.method}: {s.weights:,} weights, {s.units:,} units, "
            f"{s.hidden_layers:,} hidden layers>",
            f"  proved a priori: sup error <= {self.bound:.6g}" if math.isfinite(self.bound) else "  no a-priori bound",
        ]
        if self.certificate is not None:
            lines.append("  certified: " + self.certificate.summary())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(i.name)}</td><td>{i.value:.4g}</td><td>{escape(i.proof)}</td></tr>" for i in self.budget
        )
        table = f"<table><tr><th>error item</th><th>at most</th><th>proof</th></tr>{rows}</table>" if rows else ""
        return f"<pre>{escape(repr(self))}</pre><p>{escape(self.statement)}</p>{table}"


def load(path: str | Path) -> Approximant | Network:
    """The Approximant (or plain Network) in a file. Runs no code; raises FileFormatError on anything it cannot trust.

    The stored certificate is a claim of whoever wrote the file: `certificate.check()` proves it again.
    """
    kind, manifest, arrays = read_container(path)
    if "network" not in manifest:
        raise FileFormatError(f"{path}: holds no network")
    network = network_from_arrays(manifest["network"], arrays)
    if kind != "approximant":
        return network
    try:
        target = Target.from_dict(manifest["target"])
        stored = manifest["certificate"]
        return Approximant(
            network=network,
            target=target,
            bound=float(manifest["bound"]),
            method=str(manifest["method"]),
            statement=str(manifest["statement"]),
            budget=tuple(BudgetItem(str(n), float(v), str(p)) for n, v, p in manifest["budget"]),
            parameters=dict(manifest["parameters"]),
            references=tuple(map(str, manifest["references"])),
            certificate=Certificate.from_dict(stored, network, target) if stored is not None else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: damaged contents ({error})") from error


def _float_text(value: float) -> str:
    return repr(float(value))


def _plain(value: Any) -> Any:
    # Parameters are for people and scripts: anything that JSON does not know is kept as its text.
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return str(value)
