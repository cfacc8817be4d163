"""Networks of a fixed number of units that reach any accuracy: only their weights, exact and computed, grow.

ROWS lists the builders for the catalogue as (builder, numbers of variables, declaration, further settings of the row), as
`constructions.relu.ROWS` does. None of them is automatic: they win on units and on bits, not on the number of weights.
"""

from typing import Any

from constructions.superexpressive import floor_exp2 as _floor_exp2
from constructions.superexpressive import log_free as _log_free
from constructions.superexpressive.floor_exp2 import floor_exp2
from constructions.superexpressive.log_free import log_free

_NAMED: dict[str, Any] = {"automatic": False}

ROWS: tuple[tuple[Any, tuple[int, ...], dict[str, Any], dict[str, Any]], ...] = (
    (floor_exp2, (1, 2, 3), _floor_exp2.DESCRIPTION, _NAMED),
    (log_free, (1, 2, 3), _log_free.DESCRIPTION, _NAMED),
)

__all__ = ["ROWS", "floor_exp2", "log_free"]
