"""What does accuracy cost, and how far is that from the least possible? Builders come as arguments, nothing is built here.

- `bits_versus_error`: bits of the weights against the certified error, for several constructions, with `.plot()`.
- `entropy_bits`: the bits that any family of networks needs for a whole Hölder class (a lower bound).
"""

from approx.studies.bits_versus_error import BitsRow, BitsStudy, bits_versus_error
from approx.studies.entropy import entropy_bits

__all__ = ["BitsRow", "BitsStudy", "bits_versus_error", "entropy_bits"]
