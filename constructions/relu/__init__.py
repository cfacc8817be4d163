"""The deep ReLU constructions: every builder is a function `(target, eps, **options) -> Approximant`.

ROWS lists them for the catalogue as (builder, numbers of variables, declaration, further settings of the row), in the
order in which `constructions.build` tries them: the cheap ones first, since their weights limit the others.
"""

from typing import Any

from constructions.relu import composition as _composition
from constructions.relu import local_taylor as _local_taylor
from constructions.relu import piecewise_linear as _piecewise_linear
from constructions.relu import polynomial as _polynomial
from constructions.relu import powers as _powers
from constructions.relu.composition import composition
from constructions.relu.local_taylor import local_taylor
from constructions.relu.piecewise_linear import piecewise_linear
from constructions.relu.polynomial import polynomial
from constructions.relu.powers import powers
from constructions.relu.product import product
from constructions.relu.square import square

ROWS: tuple[tuple[Any, tuple[int, ...], dict[str, Any], dict[str, Any]], ...] = (
    (powers, (1,), _powers.DESCRIPTION, {}),
    (piecewise_linear, (1,), _piecewise_linear.DESCRIPTION, {}),
    (polynomial, (1,), _polynomial.DESCRIPTION, {}),
    (composition, (2, 3, 4), _composition.DESCRIPTION, {}),
    (local_taylor, (1, 2, 3), _local_taylor.DESCRIPTION, {}),
)

__all__ = ["ROWS", "composition", "local_taylor", "piecewise_linear", "polynomial", "powers", "product", "square"]
