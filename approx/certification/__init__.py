"""What is proved about a network: enclosures of sup |f - net|, and an independent check of them.

- `certify(network, target, ...)` -> `Certificate`; `Budget` limits the work.
- `Certificate.check(level)`: proves the statement again with code that shares nothing with the fast path.
- `decompose(network, lower, upper)`: the breakpoints of a piecewise linear network of one variable.
"""

from approx.certification.budget import Budget
from approx.certification.certificate import Certificate, network_digest
from approx.certification.certify import certify, observed_error
from approx.certification.pieces import decompose

__all__ = ["Budget", "Certificate", "certify", "decompose", "network_digest", "observed_error"]
