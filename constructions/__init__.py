"""The builders: from a target function and an accuracy to a certified network.

- `build(target, eps)`: the smallest certified network among the constructions that apply.
- `catalogue()`: what exists, what each needs and promises.
- `constructions.relu.<method>(target, eps, **options)`: every method as a function; likewise
  `constructions.superexpressive.<method>`.
"""

from constructions import relu, superexpressive
from constructions.build import build
from constructions.catalogue import Construction, catalogue

__all__ = ["Construction", "build", "catalogue", "relu", "superexpressive"]
