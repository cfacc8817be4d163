"""Networks of a fixed number of units that reach any accuracy: only their weights, exact and computed, grow.

ROWS lists the builders for the catalogue as (builder, numbers of variables, declaration, further settings of the row), as
`constructions.relu.ROWS` does. None of them is automatic: they win on units and on bits, not on the number of weights.
`select_weight` and `certify_weight` are the number theory behind them.
"""

from typing import Any

from approx.certification.folds import region_bound
from constructions.superexpressive import _step_structure  # noqa: F401 (registers how step networks are read)
from constructions.superexpressive import analytic_floor as _analytic_floor
from constructions.superexpressive import floor_exp2 as _floor_exp2
from constructions.superexpressive import log_free as _log_free
from constructions.superexpressive import sigma3 as _sigma3
from constructions.superexpressive import sin_arcsin as _sin_arcsin
from constructions.superexpressive import sin_floor as _sin_floor
from constructions.superexpressive._structure import structural_balls
from constructions.superexpressive.analytic_floor import analytic_floor
from constructions.superexpressive.floor_exp2 import floor_exp2
from constructions.superexpressive.gadgets import plot_gadgets, plot_lookup, plot_partition, plot_staircases
from constructions.superexpressive.log_free import log_free
from constructions.superexpressive.rational import rational_weights
from constructions.superexpressive.sigma3 import sigma3
from constructions.superexpressive.sin_arcsin import sin_arcsin
from constructions.superexpressive.sin_floor import sin_floor
from constructions.superexpressive.weights import Weight, WeightCheck, certify_weight, select_weight

ROWS: tuple[tuple[Any, tuple[int, ...], dict[str, Any], dict[str, Any]], ...] = (
    (sin_floor, (1, 2, 3), _sin_floor.DESCRIPTION, {"automatic": False}),
    (sin_arcsin, (1, 2, 3), _sin_arcsin.DESCRIPTION, {"automatic": False}),
    (analytic_floor, (1, 2, 3), _analytic_floor.DESCRIPTION, {"automatic": False}),
    (sigma3, (1, 2, 3), _sigma3.DESCRIPTION, {"automatic": False}),
    (floor_exp2, (1, 2, 3), _floor_exp2.DESCRIPTION, {"automatic": False}),
    (log_free, (1, 2, 3), _log_free.DESCRIPTION, {"automatic": False}),
)

__all__ = [
    "ROWS",
    "Weight",
    "WeightCheck",
    "analytic_floor",
    "certify_weight",
    "floor_exp2",
    "log_free",
    "plot_gadgets",
    "plot_lookup",
    "plot_partition",
    "plot_staircases",
    "rational_weights",
    "region_bound",
    "select_weight",
    "sigma3",
    "sin_arcsin",
    "sin_floor",
    "structural_balls",
]
