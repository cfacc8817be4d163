"""Networks with periodic activations: sines give frequencies, signs of sines give digits.

ROWS lists the builders for the catalogue as (builder, numbers of variables, declaration, further settings of the row), as
`constructions.relu.ROWS` does.
"""

from typing import Any

from constructions.periodic import deep_fourier as _deep_fourier
from constructions.periodic.deep_fourier import deep_fourier

ROWS: tuple[tuple[Any, tuple[int, ...], dict[str, Any], dict[str, Any]], ...] = (
    (deep_fourier, (1, 2), _deep_fourier.DESCRIPTION, {}),
)

__all__ = ["ROWS", "deep_fourier"]
