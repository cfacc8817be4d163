"""The builders: from a target function and an accuracy to a certified network.

- `build(target, eps)`: the smallest certified network among the constructions that apply.
- `catalogue()`: what exists, what each needs and promises.
- `constructions.relu.<method>(target, eps, **options)`: every method as a function; likewise
  `constructions.periodic.<method>` and `constructions.superexpressive.<method>`.
"""

from constructions import periodic, relu, superexpressive
from constructions.build import build
from constructions.catalogue import Construction, catalogue

__all__ = ["Construction", "build", "catalogue", "periodic", "relu", "superexpressive"]
