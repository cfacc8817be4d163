"""Constructive approximation theory of neural networks: functions in, certified networks out.

    import approx, constructions
    f = approx.Target("sin(2*pi*x)", domain=(0, 1))
    a = constructions.build(f, eps=1e-6)
    a.network.size, a.bound, a.certificate

Nouns: Target (what to approximate), Network (an exact function), Approximant (network + guarantee), Certificate
(lower <= sup |f - net| <= upper). Verbs: certify, compare, bound, sup, convert, load, from_onnx,
from_torch; `constructions.build` makes networks.
"""

from approx import studies
from approx.approximant import Approximant, BudgetItem, load
from approx.certification import Budget, Certificate, Range, bound, certify, compare, sup
from approx.interchange import from_onnx, from_torch
from approx.networks import Network, convert
from approx.targets import Regularity, Target

__version__ = "0.1.0"

__all__ = [
    "Approximant",
    "Budget",
    "BudgetItem",
    "Certificate",
    "Network",
    "Range",
    "Regularity",
    "Target",
    "__version__",
    "bound",
    "certify",
    "compare",
    "convert",
    "from_onnx",
    "from_torch",
    "load",
    "studies",
    "sup",
]
