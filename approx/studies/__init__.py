"""What does accuracy cost, and how far is that from the least possible? Builders come as arguments, nothing is built here.

- `rates`: certified error against weights, for several constructions by name, with fitted exponents, theory and `.plot()`.
- `lower_bounds`: what no network of a given size goes below: pieces, continuous selection, VC dimension, bits.
- `bits_versus_error`: bits of the weights against the certified error, for several constructions, with `.plot()`.
- `entropy_bits`: the bits that any family of networks needs for a whole Hölder class (a lower bound).
"""

from approx.studies.bits_versus_error import BitsRow, BitsStudy, bits_versus_error
from approx.studies.curvature import CurvatureProfile, curvature_profile
from approx.studies.entropy import entropy_bits
from approx.studies.lower_bounds import (
    LowerBounds,
    any_selection,
    continuous_selection,
    lower_bounds,
    relu_pieces,
    vc_dimension_bound,
)
from approx.studies.methods import Method, Promise
from approx.studies.rates import rates
from approx.studies.rates_table import Exponent, RatesRow, RatesStudy
from approx.studies.regression import Slope, log_slope
from approx.studies.smoothness import SmoothnessClass, class_of

__all__ = [
    "BitsRow",
    "BitsStudy",
    "CurvatureProfile",
    "Exponent",
    "LowerBounds",
    "Method",
    "Promise",
    "RatesRow",
    "RatesStudy",
    "Slope",
    "SmoothnessClass",
    "any_selection",
    "bits_versus_error",
    "class_of",
    "continuous_selection",
    "curvature_profile",
    "entropy_bits",
    "log_slope",
    "lower_bounds",
    "rates",
    "relu_pieces",
    "vc_dimension_bound",
]
