"""The deep ReLU constructions: every builder is a function `(target, eps, **options) -> Approximant`.

ROWS lists them for the catalogue as (builder, numbers of variables, declaration, further settings of the row);
`constructions.build` tries them in the order of their estimated weights.
"""

from typing import Any

from constructions.relu import cached_narrow as _cached_narrow
from constructions.relu import cached_patches as _cached_patches
from constructions.relu import composition as _composition
from constructions.relu import deep_two_scale as _deep_two_scale
from constructions.relu import hoelder_two_scale as _hoelder_two_scale
from constructions.relu import local_taylor as _local_taylor
from constructions.relu import narrow as _narrow
from constructions.relu import piecewise_linear as _piecewise_linear
from constructions.relu import piecewise_polynomial as _piecewise_polynomial
from constructions.relu import polynomial as _polynomial
from constructions.relu import power_taylor as _power_taylor
from constructions.relu import powers as _powers
from constructions.relu import quotient_chain as _quotient_chain
from constructions.relu import relu_power as _relu_power
from constructions.relu import simplicial as _simplicial
from constructions.relu import spline_chain as _spline_chain
from constructions.relu import square_chain as _square_chain
from constructions.relu._estimates import (
    cached_narrow_weights,
    cached_weights,
    floor_of,
    hoelder_weights,
    narrow_weights,
    piecewise_linear_weights,
    quotient_chain_weights,
    simplicial_weights,
    two_scale_weights,
)
from constructions.relu.cached_narrow import cached_narrow
from constructions.relu.cached_patches import cached_patches
from constructions.relu.composition import composition
from constructions.relu.deep_two_scale import deep_two_scale
from constructions.relu.hoelder_two_scale import hoelder_two_scale
from constructions.relu.local_taylor import local_taylor
from constructions.relu.narrow import narrow
from constructions.relu.piecewise_linear import piecewise_linear
from constructions.relu.piecewise_polynomial import piecewise_polynomial
from constructions.relu.polynomial import polynomial
from constructions.relu.power_taylor import power_taylor
from constructions.relu.powers import powers
from constructions.relu.product import product
from constructions.relu.quotient_chain import quotient_chain
from constructions.relu.relu_power import relu_power
from constructions.relu.simplicial import simplicial
from constructions.relu.spline_chain import spline_chain
from constructions.relu.square import square
from constructions.relu.square_chain import square_chain


def _at_least(name: str) -> dict[str, Any]:
    return {"estimate": lambda target, eps: floor_of(name)}


ROWS: tuple[tuple[Any, tuple[int, ...], dict[str, Any], dict[str, Any]], ...] = (
    (powers, (1,), _powers.DESCRIPTION, _at_least("powers")),
    (square_chain, (1,), _square_chain.DESCRIPTION, _at_least("square-chain")),
    (spline_chain, (1,), _spline_chain.DESCRIPTION, _at_least("spline-chain")),
    (quotient_chain, (1,), _quotient_chain.DESCRIPTION, {"estimate": quotient_chain_weights}),
    (polynomial, (1,), _polynomial.DESCRIPTION, _at_least("polynomial")),
    (piecewise_linear, (1,), _piecewise_linear.DESCRIPTION, {"estimate": piecewise_linear_weights, "quick": True}),
    (
        piecewise_polynomial,
        (1,),
        _piecewise_polynomial.DESCRIPTION,
        {"estimate": _piecewise_polynomial.piecewise_polynomial_weights, "quick": True},
    ),
    (cached_patches, (1,), _cached_patches.DESCRIPTION, {"estimate": cached_weights}),
    (cached_narrow, (1,), _cached_narrow.DESCRIPTION, {"estimate": cached_narrow_weights}),
    (relu_power, (1,), _relu_power.DESCRIPTION, {}),
    (power_taylor, (1, 2, 3), _power_taylor.DESCRIPTION, {}),
    (composition, (2, 3, 4), _composition.DESCRIPTION, _at_least("composition")),
    (local_taylor, (1, 2, 3), _local_taylor.DESCRIPTION, _at_least("local-taylor")),
    (simplicial, (1, 2, 3, 4), _simplicial.DESCRIPTION, {"estimate": simplicial_weights}),
    (deep_two_scale, (1, 2, 3), _deep_two_scale.DESCRIPTION, {"estimate": two_scale_weights}),
    (narrow, (1, 2, 3), _narrow.DESCRIPTION, {"estimate": narrow_weights}),
    (hoelder_two_scale, (1, 2, 3), _hoelder_two_scale.DESCRIPTION, {"estimate": hoelder_weights}),
)

__all__ = [
    "ROWS",
    "cached_narrow",
    "cached_patches",
    "composition",
    "deep_two_scale",
    "hoelder_two_scale",
    "local_taylor",
    "narrow",
    "piecewise_linear",
    "piecewise_polynomial",
    "polynomial",
    "power_taylor",
    "powers",
    "product",
    "quotient_chain",
    "relu_power",
    "simplicial",
    "spline_chain",
    "square",
    "square_chain",
]
