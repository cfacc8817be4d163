"""Exact scalars, sound ball primitives and double-double arrays: the only place where numbers change type."""

from approx.numbers.balls import (
    absolute,
    asin,
    ball_from_pair,
    ball_to_pair,
    clip,
    maximum,
    minimum,
    relu,
    sin,
)
from approx.numbers.conversions import (
    arb_interval,
    exact_ball,
    float_down,
    float_up,
    to_arb,
    to_float,
    to_fmpq,
    to_fraction,
    to_mpf,
    to_mpq,
)
from approx.numbers.precision import working_precision
from approx.numbers.text import (
    decimal_text,
    integer_from_text,
    integer_to_text,
    rational_from_text,
    rational_to_text,
)

__all__ = [
    "absolute",
    "arb_interval",
    "asin",
    "ball_from_pair",
    "ball_to_pair",
    "clip",
    "decimal_text",
    "exact_ball",
    "float_down",
    "float_up",
    "integer_from_text",
    "integer_to_text",
    "maximum",
    "minimum",
    "rational_from_text",
    "rational_to_text",
    "relu",
    "sin",
    "to_arb",
    "to_float",
    "to_fmpq",
    "to_fraction",
    "to_mpf",
    "to_mpq",
    "working_precision",
]
