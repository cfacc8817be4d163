"""How does a certificate travel to another machine? With its network and target in one file, to be checked there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from approx.errors import FileFormatError, InputError
from approx.networks.container import read_container, write_container
from approx.networks.files import network_from_arrays, network_to_arrays
from approx.targets import Target

if TYPE_CHECKING:
    from approx.certification.certificate import Certificate


def save_certificate(certificate: Certificate, path: str | Path) -> None:
    """Write the certificate with its network and target, atomically; raises InputError when either is missing."""
    if certificate.network is None or certificate.target is None:
        raise InputError("certificate", "without network", "a certificate with its network and target attached")
    entry, arrays = network_to_arrays(certificate.network)
    manifest = {"network": entry, "target": certificate.target.to_dict(), "certificate": certificate.to_dict()}
    write_container(path, "certificate", manifest, arrays)


def load_certificate(path: str | Path) -> Certificate:
    """The Certificate in a file of save_certificate or of an Approximant; a claim until `check()` has proved it again.

    Runs no code; raises FileFormatError on anything it cannot trust.
    """
    from approx.certification.certificate import Certificate

    _, manifest, arrays = read_container(path)
    if not manifest.get("certificate") or "network" not in manifest:
        raise FileFormatError(f"{path}: holds no certificate")
    network = network_from_arrays(manifest["network"], arrays)
    try:
        target = Target.from_dict(manifest["target"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: damaged contents ({error})") from error
    return Certificate.from_dict(manifest["certificate"], network, target)
