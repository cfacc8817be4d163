"""What is the value of a network at a point? In float64 (fast), in exact rationals, and in balls (rigorous).

- `evaluate`: float64 on arrays of points, by numpy or by the fused kernel (extra `fast`); both give the same bits.
- `evaluate_exact`: rational values of a network with rational weights.
- `evaluate_balls`: balls that contain the exact values.
- `evaluate_precisely`: balls of a wanted radius at exact points, whatever the weights.
- `rounding_slack`: a proved bound of |float64 value - exact value|.
"""

from approx.evaluation.balls import evaluate_balls
from approx.evaluation.exact import evaluate_exact
from approx.evaluation.floats import evaluate
from approx.evaluation.precise import evaluate_precisely
from approx.evaluation.slack import rounding_slack

__all__ = ["evaluate", "evaluate_balls", "evaluate_exact", "evaluate_precisely", "rounding_slack"]
