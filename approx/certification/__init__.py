"""What is proved about a network: enclosures of sup |f - net|, and an independent check of them.

- `certify(network, target, ...)` -> `Certificate`; `Budget` limits the work.
- `Certificate.check(level)`: proves the statement again with code that shares nothing with the fast path.
- `compare(first, second, domain)`, `sup(network, domain)` -> `Certificate`; `bound(network, box)` -> `Range`.
- `decompose(network, lower, upper)`: the breakpoints of a piecewise linear network of one variable.
"""

from approx.certification.budget import Budget
from approx.certification.certificate import Certificate, network_digest
from approx.certification.certify import certify, observed_error
from approx.certification.compare import Range, bound, compare, sup
from approx.certification.pieces import decompose
from approx.certification.vector import VectorCertificate, select_output

__all__ = [
    "Budget",
    "Certificate",
    "Range",
    "VectorCertificate",
    "bound",
    "certify",
    "compare",
    "decompose",
    "network_digest",
    "observed_error",
    "select_output",
    "sup",
]
