"""What does accuracy cost, and how far is that from the least possible? Builders come as arguments, nothing is built here.

- `rates`: certified error against weights, for several constructions by name, with fitted exponents, theory and `.plot()`.
- `lower_bounds`: what no network of a given size goes below: pieces, continuous selection, VC dimension, bits.
- `phase_diagram`: the methods of such studies in the plane of rate and depth exponent.
- `continuity`: the jumps of the weights that a method selects, along a path of functions.
- `compare_trained`: certified errors of constructions and of networks trained with as many weights, side by side.
- `bits_versus_error`: bits of the weights against the certified error, for several constructions, with `.plot()`.
- `entropy_bits`: the bits that any family of networks needs for a whole Hölder class (a lower bound).
"""

from approx.studies.bits_versus_error import BitsRow, BitsStudy, bits_versus_error
from approx.studies.compare_trained import TrainedRow, TrainedStudy, compare_trained
from approx.studies.continuity import ContinuityStudy, Jump, continuity
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
from approx.studies.phases import PhaseDiagram, PhasePoint, phase_diagram, region
from approx.studies.rates import rates
from approx.studies.rates_table import Exponent, RatesRow, RatesStudy
from approx.studies.regression import Slope, log_slope
from approx.studies.smoothness import SmoothnessClass, class_of
from approx.studies.training import Trained, Training, equal_width
from approx.studies.weight_distance import weight_distance

__all__ = [
    "BitsRow",
    "BitsStudy",
    "ContinuityStudy",
    "CurvatureProfile",
    "Exponent",
    "Jump",
    "LowerBounds",
    "Method",
    "PhaseDiagram",
    "PhasePoint",
    "Promise",
    "RatesRow",
    "RatesStudy",
    "Slope",
    "SmoothnessClass",
    "Trained",
    "TrainedRow",
    "TrainedStudy",
    "Training",
    "any_selection",
    "bits_versus_error",
    "class_of",
    "compare_trained",
    "continuity",
    "continuous_selection",
    "curvature_profile",
    "entropy_bits",
    "equal_width",
    "log_slope",
    "lower_bounds",
    "phase_diagram",
    "rates",
    "region",
    "relu_pieces",
    "vc_dimension_bound",
    "weight_distance",
]
